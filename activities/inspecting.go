package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"drawbridge/internal/backfill"
	"drawbridge/internal/canary"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// Checked is one line of a doctor's look: what was checked, and the remedy when it is not right.
type Checked struct {
	Subject string `json:"subject"`
	OK      bool   `json:"ok"`
	Text    string `json:"text"`
	Remedy  string `json:"remedy,omitempty"`
}

// Inspector answers questions about a warehouse; it changes nothing.
type Inspector interface {
	History(ctx context.Context, pipeline string, limit int) (generation.History, error)
	Generations(ctx context.Context, output string, key partition.Key) ([]generation.Generation, error)
	// Checksum is the row count and the order-independent checksum of a whole published table.
	Checksum(ctx context.Context, table string) (rows int64, sum string, err error)
	Rights(ctx context.Context) ([]Checked, error)
	// ColumnsAt are those of an extract's SELECT, as its source says them.
	ColumnsAt(ctx context.Context, extract pipeline.Load) ([]pipeline.Column, error)
	// Sizes are those of tables of the schema that have one of the names, and the schema.
	Sizes(ctx context.Context, names []string) (schema string, sizes []migrate.Size, err error)
}

// Inspecting are the read-only questions that the CLI puts to an environment's worker, because it holds no credentials.
type Inspecting struct {
	Site *Site
}

// InspectInput is a question. The target's release may be empty: then what is active says where the
// warehouse is.
type InspectInput struct {
	Target    Target        `json:"target"`
	Kind      InspectKind   `json:"kind"`
	Output    string        `json:"output,omitempty"`
	Partition partition.Key `json:"partition,omitempty"`
	Left      int64         `json:"left,omitempty"`  // diff: generation IDs; 0: the retired one before the live one
	Right     int64         `json:"right,omitempty"` // 0: the live one
	Limit     int           `json:"limit,omitempty"`
	Tables    []string      `json:"tables,omitempty"` // sizes: names without a schema
	Copied    bool          `json:"copied,omitempty"` // rebind: the ledger is a copy of another environment's
}

// InspectKind is the kind of a question.
type InspectKind string

// The questions.
const (
	InspectHistory     InspectKind = "history"
	InspectGenerations InspectKind = "generations"
	InspectDiff        InspectKind = "diff"
	InspectChecksum    InspectKind = "checksum"
	InspectDoctor      InspectKind = "doctor"
	InspectGaps        InspectKind = "gaps"
	InspectSizes       InspectKind = "sizes"
	InspectRebind      InspectKind = "rebind" // binds the ledger to a restored warehouse: the only one that changes anything
	InspectNotify      InspectKind = "notify" // tells every receiver of the policy that it is a test
)

// Long says that the answer takes as long as tables are large.
func (k InspectKind) Long() bool {
	return k == InspectDiff || k == InspectChecksum || k == InspectGaps // which loads the files where their names do not say
}

// InspectResult is the answer; the field of the question's kind is set.
type InspectResult struct {
	History     *generation.History     `json:"history,omitempty"`
	Generations []generation.Generation `json:"generations,omitempty"`
	Diff        *canary.Diff            `json:"diff,omitempty"`
	Rows        int64                   `json:"rows,omitempty"`
	// Blob is the digest of a large answer in the store: nothing else is set.
	Blob     string         `json:"blob,omitempty"`
	Checksum string         `json:"checksum,omitempty"`
	Checked  []Checked      `json:"checked,omitempty"`
	Gaps     *backfill.Gaps `json:"gaps,omitempty"`
	Sizes    []migrate.Size `json:"sizes,omitempty"`
	Schema   string         `json:"schema,omitempty"` // of what has sizes
}

// Inspect answers a question. It reads only, but for a rebind, which writes the ledger.
func (a *Inspecting) Inspect(ctx context.Context, in InspectInput) (InspectResult, error) {
	res, err := a.inspect(ctx, in)
	if err != nil {
		return res, a.Site.atOnce(err)
	}
	return a.small(ctx, res)
}

// answerLimit is how many bytes of an answer travel through Temporal.
const answerLimit = 32 << 10

// small puts a large answer into the store.
func (a *Inspecting) small(ctx context.Context, res InspectResult) (InspectResult, error) {
	body, err := json.Marshal(res)
	if err != nil {
		return res, fmt.Errorf("encode answer: %w", err)
	}
	if len(body) <= answerLimit {
		return res, nil
	}
	digest, err := a.Site.Store.PutBlob(ctx, answerMedia, body)
	return InspectResult{Blob: digest}, err
}

// answerMedia is the media type of an answer in the store: an InspectResult.
const answerMedia = "application/vnd.drawbridge.answer.v1+json"

func (a *Inspecting) inspect(ctx context.Context, in InspectInput) (InspectResult, error) {
	if in.Kind == InspectDoctor {
		return InspectResult{Checked: a.doctor(ctx, in.Target)}, nil
	}
	if in.Kind == InspectSizes {
		return a.sizes(ctx, in)
	}
	if in.Kind == InspectRebind {
		lines, err := a.rebind(ctx, in)
		return InspectResult{Checked: lines}, err
	}
	if in.Kind == InspectNotify {
		lines, err := a.test(ctx, in.Target)
		return InspectResult{Checked: lines}, err
	}
	_, p, w, err := a.Site.locate(ctx, in.Target)
	if err != nil {
		return InspectResult{}, err
	}
	if err := w.EnsureLedger(ctx); err != nil {
		return InspectResult{}, err
	}
	switch in.Kind {
	case InspectHistory:
		h, err := w.History(ctx, p.Name, in.Limit)
		if err != nil {
			return InspectResult{}, err
		}
		if h.Oldest != nil {
			until := h.Oldest.Add(a.Site.Policy.KeepRetired)
			h.Horizon = &until
		}
		var named []*string
		for i := range h.Events {
			named = append(named, &h.Events[i].Release.Version)
		}
		if h.Active != nil {
			named = append(named, &h.Active.Release.Version)
		}
		return InspectResult{History: &h}, a.Site.renamed(ctx, p.Name, named...)
	case InspectGenerations:
		g, err := w.Generations(ctx, in.Output, in.Partition)
		if err == nil && len(g) == 0 {
			err = possible(p, in.Output, in.Partition)
		}
		if err != nil {
			return InspectResult{}, err
		}
		var named []*string
		for i := range g {
			named = append(named, &g[i].Release.Version)
		}
		return InspectResult{Generations: g}, a.Site.renamed(ctx, p.Name, named...)
	case InspectChecksum:
		rows, sum, err := w.Checksum(ctx, in.Output)
		return InspectResult{Rows: rows, Checksum: sum}, err
	case InspectDiff:
		d, err := a.diff(ctx, p, w, in)
		return InspectResult{Diff: d}, err
	case InspectGaps:
		g, err := a.gaps(ctx, p, w)
		return InspectResult{Gaps: g}, err
	case InspectDoctor, InspectRebind, InspectNotify, InspectSizes:
	}
	return InspectResult{}, fault.Newf(fault.Invalid, "inspect", string(in.Kind), "ask for one of: history, generations, diff, checksum, gaps, sizes, doctor, rebind, notify", "there is no such question")
}

// MaxSizes bounds how many tables one question is about.
const MaxSizes = 1000

// sizes says how large tables of the warehouse's schema are. It needs no ledger, and makes none.
func (a *Inspecting) sizes(ctx context.Context, in InspectInput) (InspectResult, error) {
	if len(in.Tables) > MaxSizes {
		return InspectResult{}, fault.Newf(fault.Invalid, "inspect", string(in.Kind), "ask for fewer at a time", fmt.Sprintf("it names %d tables, and may name %d", len(in.Tables), MaxSizes))
	}
	_, _, w, err := a.Site.locate(ctx, in.Target)
	if err != nil {
		return InspectResult{}, err
	}
	schema, sizes, err := w.Sizes(ctx, in.Tables)
	return InspectResult{Schema: schema, Sizes: sizes}, err
}

// gaps looks for what is missing, by what is active: ledger, files and schedule.
func (a *Inspecting) gaps(ctx context.Context, p *pipeline.Pipeline, w Warehouse) (*backfill.Gaps, error) {
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	observed, err := w.Observe(ctx, p)
	if err != nil {
		return nil, err
	}
	sources, err := a.Site.buildable(ctx, p, w)
	if err != nil {
		return nil, err
	}
	observed.Sources = sources.Keys
	changed, err := a.Site.Sources.Changed(p.Config, p, observed.Sources)
	if err != nil {
		return nil, err
	}
	var due partition.Key
	if s := p.Config.Schedule; s != nil {
		times, err := s.Times(p.Partition)
		if err != nil {
			return nil, err
		}
		if last := times.Last(time.Now()); !last.IsZero() {
			if due, _, err = s.Keys(p.Partition, last); err != nil {
				return nil, err
			}
		}
	}
	g, err := backfill.FindGaps(backfill.Input{Pipeline: p, Observed: observed, Changed: changed}, due)
	return &g, err
}

// possible refuses an output that the pipeline does not have, and a partition that cannot be. What an earlier release had is
// in the ledger still, so only who found nothing there asks.
func possible(p *pipeline.Pipeline, output string, key partition.Key) error {
	if err := hasOutput(p, "list generations", output); err != nil {
		return err
	}
	_, err := p.Partition.Parse(string(key))
	return err
}

// hasOutput refuses a table that is no output, and says which are.
func hasOutput(p *pipeline.Pipeline, op, table string) error {
	if _, ok := p.Output(table); ok {
		return nil
	}
	return fault.Newf(fault.Invalid, op, table, "name an output of "+p.Name+": "+strings.Join(p.Tables(), ", "), "the pipeline has no such output")
}

// diff compares two generations of one partition; by default the newest retired one with the live one.
func (a *Inspecting) diff(ctx context.Context, p *pipeline.Pipeline, w Warehouse, in InspectInput) (*canary.Diff, error) {
	if err := hasOutput(p, "compare", in.Output); err != nil {
		return nil, err
	}
	output, _ := p.Output(in.Output)
	if in.Left == 0 || in.Right == 0 {
		all, err := w.Generations(ctx, in.Output, in.Partition)
		if err != nil {
			return nil, err
		}
		for _, g := range all {
			switch {
			case g.State == generation.Live && in.Right == 0:
				in.Right = g.ID
			case g.State == generation.Retired && in.Left == 0 && g.ID != in.Right:
				in.Left = g.ID
			}
		}
	}
	if in.Left == 0 || in.Right == 0 {
		return nil, fault.Newf(fault.Invalid, "compare", in.Output+"["+string(in.Partition)+"]",
			"list them: drawbridge history "+p.Name+" --env "+in.Target.Environment+" --output "+in.Output+" --partition "+string(in.Partition),
			"it takes two generations, and there are not two")
	}
	d, err := w.Compare(ctx, Comparison{
		Output: output.Table, Key: output.Key, Metrics: metrics(output.Checks),
		Baseline: in.Left, Candidate: in.Right, Origin: canary.Earlier,
	})
	return &d, err
}

// doctor looks at everything that this worker needs for its environment, a line each; nothing that it finds is an error.
func (a *Inspecting) doctor(ctx context.Context, t Target) []Checked {
	lines := []Checked{{Subject: "worker", OK: true, Text: "serves " + a.Site.Environment}}
	p, err := a.Site.Pipeline(ctx, t)
	if err != nil {
		return append(lines, unwell("store", err))
	}
	lines = append(lines, Checked{Subject: "store", OK: true, Text: "reads " + describe(p)})
	w, err := a.Site.warehouse(ctx, p.Config)
	if err != nil {
		return append(lines, unwell("warehouse", err))
	}
	rights, err := w.Rights(ctx)
	if err != nil {
		return append(lines, unwell("warehouse", err))
	}
	lines = append(lines, rights...)
	lines = append(lines, a.boundLines(ctx, p.Name, w)...)
	lines = append(lines, a.notifyLines(ctx, w)...)
	lines = append(lines, extractLines(ctx, p, w)...)
	return append(lines, a.sourceLines(p)...)
}

// extractLines ask each extract's source what its SELECT returns.
func extractLines(ctx context.Context, p *pipeline.Pipeline, w Warehouse) []Checked {
	var lines []Checked
	for _, load := range p.Extracts() {
		columns, err := w.ColumnsAt(ctx, load)
		if err != nil {
			lines = append(lines, unwell("extract "+load.Name, err))
			continue
		}
		lines = append(lines, Checked{Subject: "extract " + load.Name, OK: true, Text: fmt.Sprintf("%s returns %d columns", load.File, len(columns))})
	}
	return lines
}

func (a *Inspecting) sourceLines(p *pipeline.Pipeline) []Checked {
	found, err := a.Site.Sources.Partitions(p.Config, p)
	var lines []Checked
	switch {
	case err != nil:
		return []Checked{unwell("sources", err)}
	case !found.Named:
		return []Checked{{Subject: "sources", OK: true, Text: "no file is named by partition: the data says which there are"}}
	case len(found.Keys) == 0:
		lines = append(lines, Checked{Subject: "sources", Text: "no partition has all its files", Remedy: "put files where source_files of config." + a.Site.Environment + ".yaml says"})
	default:
		lines = append(lines, Checked{Subject: "sources", OK: true, Text: strconv.Itoa(len(found.Keys)) + " partitions, newest " + string(found.Keys[len(found.Keys)-1])})
	}
	for _, problem := range found.Problems(p.Partition) {
		lines = append(lines, Checked{Subject: "sources", Text: problem.Text, Remedy: problem.Remedy})
	}
	return lines
}

func unwell(subject string, err error) Checked {
	hint := fault.HintOf(err)
	if _, away := errors.AsType[fault.Unreachable](err); away || errors.Is(err, context.DeadlineExceeded) {
		hint = "is it up, and reachable from the worker?"
	}
	return Checked{Subject: subject, Text: err.Error(), Remedy: hint}
}
