package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// BuildSpec asks a warehouse for all the named outputs of one partition, built with one release from one set of inputs.
type BuildSpec struct {
	// Key is the effect key: a build that finished under it is returned again, never repeated.
	Key       effect.Key
	Config    string // digest of the config that replaces the packed one
	Tenure    int64
	Pipeline  *pipeline.Pipeline
	Release   release.Release
	Partition partition.Key // of the loads and the partitioned outputs; outputs of grain `all` are built as `all`
	Outputs   []string
	// Control says that the generations are only for a comparison and are never published.
	Control bool
	// Twice asks for a second build of each output from the same inputs, under the key's Again, to be compared with the first.
	Twice bool
	// Batch is what an append adds by name; empty: it is named after its files. Once says that nothing is built where all of it is live
	// already, and Anew that no row that is live is kept.
	Batch string
	Once  bool
	Anew  bool
	// MaxRewrite is how many bytes of a live generation may be written again; 0: no bound.
	MaxRewrite  int64
	Application string
	Moment      time.Time // what @now stands for
}

// Progress is where a build is: for logs and heartbeats. It holds counts and names, never a row's values.
type Progress struct {
	Stage     string        `json:"stage"` // run, load, transform, index, audit, check
	Partition partition.Key `json:"partition,omitempty"`
	Output    string        `json:"output,omitempty"`
	Load      string        `json:"load,omitempty"`
	Done      bool          `json:"done,omitempty"`   // the end of the stage
	Middle    bool          `json:"middle,omitempty"` // neither its start nor its end
	RowsIn    int64         `json:"rows_in,omitempty"`
	RowsOut   int64         `json:"rows_out,omitempty"`
	Bytes     int64         `json:"bytes,omitempty"`
	Seconds   float64       `json:"seconds,omitempty"`
	Check     string        `json:"check,omitempty"`
	Value     *float64      `json:"value,omitempty"`
	Limit     string        `json:"limit,omitempty"`
	Outcome   string        `json:"outcome,omitempty"`
}

// Built is a generation that a build made, with its audit.
type Built struct {
	Generation generation.Generation `json:"generation"`
	// From is the generation that was live when the build began; a publish replaces that one and no other.
	From    int64          `json:"from"`
	Loaded  int64          `json:"loaded"` // rows of the loads that it names
	Results []check.Result `json:"results"`
	// Samples is the statement with which a person reads keys of failing rows, in the warehouse.
	Samples string `json:"samples,omitempty"`
	// Rewritten is how many bytes of what is live were written again, because their rows stay.
	Rewritten int64 `json:"rewritten,omitempty"`
	// Standing is the batch that is live already: nothing was built, and Generation is the one that is live.
	Standing string `json:"standing,omitempty"`
}

// Builder builds and audits generations.
type Builder interface {
	Build(ctx context.Context, spec BuildSpec, progress func(Progress)) ([]Built, error)
	// BuildBatch is Build of neighbouring partitions, in order, by one statement for each output: each has the generations and the
	// keys that it would have by itself. All of it is built or nothing is.
	BuildBatch(ctx context.Context, spec BuildSpec, keys []partition.Key, progress func(Progress)) ([]Built, error)
	// BatchProof is what a release was seen to give for a range under a config; RecordBatchProof writes it, once.
	BatchProof(ctx context.Context, digest, config string) (generation.BatchProof, error)
	RecordBatchProof(ctx context.Context, digest, config string, proof generation.BatchProof) error
	// Discard gives up generations that never went live.
	Discard(ctx context.Context, why string, ids ...int64) error
	Validate(ctx context.Context, p *pipeline.Pipeline) ([]Validation, error)
}

// Builds are the long activities: they run on an environment's build queue.
type Builds struct {
	Site *Site
	Now  func() time.Time
}

// SliceInput names what to build: items given as they are (a run, a rebuild), or a slice of a plan.
type SliceInput struct {
	Target Target `json:"target"`
	// Step and Round are part of the effect key; a person's retry is a new round.
	Step  string            `json:"step"`
	Round int               `json:"round"`
	Items []generation.Item `json:"items,omitempty"`
	// Partition asks for all outputs of one partition.
	Partition partition.Key `json:"partition,omitempty"`
	Plan      string        `json:"plan,omitempty"`  // digest
	Slice     int           `json:"slice,omitempty"` // index into the environment's slices
	// Aside asks for what the plan's smoke builds and nobody publishes, instead of a slice.
	Aside bool `json:"aside,omitempty"`
	// From is the partition to begin with, as the call before said; 0 is the first.
	From int `json:"from,omitempty"`
	// Waited says that the call before was throttled.
	Waited bool `json:"waited,omitempty"`
	// Control is a release that is built in the target's place, only to be compared with.
	Control *release.Release `json:"control,omitempty"`
	// Batch names what the partition appends, where a person has; Once says that what is live already is not appended again.
	Batch string `json:"batch,omitempty"`
	Once  bool   `json:"once,omitempty"`
}

// of is the release that a slice is built with.
func (in SliceInput) of() release.Release {
	if in.Control != nil {
		return *in.Control
	}
	return in.Target.Release
}

// Piece is one generation that a slice built, small enough for workflow history.
type Piece struct {
	Swap   generation.Swap `json:"swap"`
	Rows   int64           `json:"rows"`
	Inputs string          `json:"inputs,omitempty"` // digest of what was loaded; empty when unknown
	// Audit is the verdict of its checks, Checks how many of them ran, Why the sentence: numbers only.
	Audit  gate.Outcome `json:"audit"`
	Checks int          `json:"checks"`
	Why    string       `json:"why"`
	// Samples is the statement with which a person reads keys of failing rows, in the warehouse.
	Samples string `json:"samples,omitempty"`
	// Rewritten is how many bytes of what is live were written again, because their rows stay.
	Rewritten int64 `json:"rewritten,omitempty"`
	// Standing is the batch that is live already: nothing was built, and there is nothing to swap.
	Standing string `json:"standing,omitempty"`
}

// SliceResult is what a slice built, or what a call built of it.
type SliceResult struct {
	Pieces  []Piece `json:"pieces"`
	Seconds float64 `json:"seconds"`
	// Next is the partition to go on with; 0: none is left.
	Next int `json:"next,omitempty"`
	// Throttled is why the warehouse has enough to do, where that is so: nothing of Next, which may be 0, is built yet.
	Throttled []string `json:"throttled,omitempty"`
	// Opens is when the window opens for which alone it waits.
	Opens time.Time `json:"opens,omitzero"`
}

// edgeEvery is how long an activity goes on from partition to partition before it hands over at an edge: what a pause waits
// for beyond the partition that is under way.
const edgeEvery = 5 * time.Second

// BuildSlice builds and audits the partitions of one slice, one after another, and publishes nothing. When that takes long
// it hands over at the edge of a partition, and the next call goes on from there. It is idempotent on
// target key + step + round + partition: the ledger is the checkpoint, so a retry builds only what is missing. It
// heartbeats, and each attempt makes generations of its own.
func (a *Builds) BuildSlice(ctx context.Context, in SliceInput) (SliceResult, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return SliceResult{}, err
	}
	if in.Control != nil {
		if p, err = a.Site.other(ctx, in.Target, *in.Control); err != nil {
			return SliceResult{}, err
		}
		in.Items = slices.DeleteFunc(slices.Clone(in.Items), func(it generation.Item) bool {
			_, has := p.Output(it.Output) // what the control's release does not have is compared with nothing
			return !has
		})
		if len(in.Items) == 0 {
			return SliceResult{}, nil
		}
	}
	items, first := in.Items, false
	switch {
	case in.Partition != "":
		items = itemsOf(p, in.Partition)
	case len(items) == 0:
		first = in.Slice == 0 && !in.Aside
		if items, err = a.Site.planItems(ctx, in); err != nil {
			return SliceResult{}, err
		}
	}
	if in.Batch != "" && p.Config.WriteMode != pipeline.Append {
		return SliceResult{}, fault.Newf(fault.Invalid, "run", in.Target.Release.String(), "leave --batch out, or write append where the config of the environment has write_mode",
			"a batch has a name where runs append, and write_mode of "+in.Target.Environment+" is "+string(p.Config.WriteMode))
	}
	started := a.Now()
	var result SliceResult
	all := batches(p, items)
	if first && len(all) > 0 {
		all[len(all)-1].twice = true // for who judges smoke
	}
	load := throttled{site: a.Site, w: w, waited: in.Waited, now: a.Now}
	size := 1
	if in.Plan != "" && in.Control == nil && !first {
		if size, err = a.Site.batchSize(ctx, w, p, in.Target, a.Site.Policy.Publish.Lanes); err != nil {
			return SliceResult{}, err
		}
	}
	for i := in.From; i < len(all) && result.Next == 0; {
		if in.Plan != "" { // a run, and what is only compared, is one partition, and somebody waits for it
			if result.Throttled, result.Opens, err = load.why(ctx); err != nil {
				return SliceResult{}, err
			}
		}
		if len(result.Throttled) > 0 {
			result.Next = i
			break
		}
		group := neighbours(p, all[i:], size)
		pieces, err := a.runTogether(ctx, w, p, in, group)
		if err != nil {
			return SliceResult{}, err
		}
		result.Pieces = append(result.Pieces, pieces...)
		if i += len(group); i < len(all) && a.Now().Sub(started) >= edgeEvery {
			result.Next = i
		}
	}
	result.Seconds = a.Now().Sub(started).Seconds()
	if first && result.Next == 0 && len(result.Throttled) == 0 {
		return result, a.Site.proveBatch(ctx, w, p, in)
	}
	return result, nil
}

// runTogether builds partitions by one statement where they are many. A batch that fails is run one by one, so that the one that is
// to blame is named.
func (a *Builds) runTogether(ctx context.Context, w Warehouse, p *pipeline.Pipeline, in SliceInput, group []batch) ([]Piece, error) {
	if len(group) > 1 {
		pieces, err := a.runBatch(ctx, w, p, in, group)
		if !oneByOne(ctx, err) {
			return pieces, err
		}
	}
	var all []Piece
	for _, batch := range group {
		pieces, err := a.run(ctx, w, p, in, batch)
		if err != nil {
			return nil, fmt.Errorf("build partition %s of %s: %w", batch.key, describe(p), err)
		}
		all = append(all, pieces...)
	}
	return all, nil
}

// run builds one partition, all its outputs, and logs its start and its end.
func (a *Builds) run(ctx context.Context, w Warehouse, p *pipeline.Pipeline, in SliceInput, batch batch) ([]Piece, error) {
	spec := a.spec(ctx, in, p, batch)
	return a.told(ctx, batch.key, func(report func(Progress)) ([]Built, error) { return w.Build(ctx, spec, report) })
}

// runBatch is run of several partitions by one statement.
func (a *Builds) runBatch(ctx context.Context, w Warehouse, p *pipeline.Pipeline, in SliceInput, group []batch) ([]Piece, error) {
	keys := make([]partition.Key, len(group))
	for i, one := range group {
		keys[i] = one.key
	}
	spec := a.spec(ctx, in, p, group[0])
	return a.told(ctx, spanOf(keys), func(report func(Progress)) ([]Built, error) { return w.BuildBatch(ctx, spec, keys, report) })
}

// spec asks for what a batch is of.
func (a *Builds) spec(ctx context.Context, in SliceInput, p *pipeline.Pipeline, batch batch) BuildSpec {
	return BuildSpec{
		Key:         in.Target.Effect(in.Step, batch.key, in.Round),
		Config:      in.Target.Config,
		Tenure:      in.Target.Tenure,
		Pipeline:    p,
		Release:     in.of(),
		Partition:   batch.key,
		Outputs:     batch.outputs,
		Control:     in.Control != nil,
		Twice:       batch.twice,
		Batch:       in.Batch,
		Once:        in.Once,
		MaxRewrite:  a.Site.Policy.Publish.MaxRewriteBytes,
		Application: application(ctx, in.Step),
		Moment:      in.Target.Now,
	}
}

// told logs the start and the end of what builds, and heartbeats meanwhile.
func (a *Builds) told(ctx context.Context, key partition.Key, build func(report func(Progress)) ([]Built, error)) ([]Piece, error) {
	started := a.Now()
	report, stop := pulse(ctx, key)
	defer stop()
	report(Progress{Stage: "run", Partition: key})
	built, err := build(report)
	end := Progress{Stage: "run", Partition: key, Done: true, Seconds: a.Now().Sub(started).Seconds()}
	if err != nil {
		end.Outcome = "error" // what it was is the activity's error
		report(end)
		return nil, err
	}
	pieces := make([]Piece, len(built))
	for i, b := range built {
		pieces[i] = piece(b)
		end.RowsIn += b.Loaded
		end.RowsOut += b.Generation.Rows
	}
	report(end)
	return pieces, nil
}

// itemsOf are all the outputs of one partition.
func itemsOf(p *pipeline.Pipeline, key partition.Key) []generation.Item {
	items := make([]generation.Item, 0, len(p.Outputs))
	for _, o := range p.Outputs {
		of := key
		if o.Partition.By == partition.All {
			of = partition.AllKey
		}
		items = append(items, generation.Item{Output: o.Table, Partition: of})
	}
	return items
}

// batch is what one build session makes: all the outputs of one partition.
type batch struct {
	key     partition.Key
	outputs []string
	twice   bool
}

// batches groups items by the partition whose inputs they read. An output of grain `all` is built with the newest
// partition of the slice, or by itself when the slice has no other.
func batches(p *pipeline.Pipeline, items []generation.Item) []batch {
	var out []batch
	index := map[partition.Key]int{}
	var whole []string
	for _, it := range items {
		if it.Partition == partition.AllKey && p.Partition.By != partition.All {
			whole = append(whole, it.Output)
			continue
		}
		i, ok := index[it.Partition]
		if !ok {
			i = len(out)
			index[it.Partition] = i
			out = append(out, batch{key: it.Partition})
		}
		out[i].outputs = append(out[i].outputs, it.Output)
	}
	if len(whole) > 0 {
		if len(out) == 0 {
			return []batch{{key: partition.AllKey, outputs: whole}}
		}
		last := &out[len(out)-1]
		last.outputs = append(last.outputs, whole...)
	}
	return out
}

// planItems reads one slice of a plan, or what its smoke builds aside.
func (s *Site) planItems(ctx context.Context, in SliceInput) ([]generation.Item, error) {
	env, _, err := s.planned(ctx, in.Target, in.Plan)
	if err != nil {
		return nil, err
	}
	if in.Aside {
		return env.Aside, nil
	}
	if in.Slice < 0 || in.Slice >= len(env.Slices) {
		return nil, fault.Newf(fault.Invalid, "read slice of plan", in.Plan, "plan again", fmt.Sprintf("it has %d slices, not %d", len(env.Slices), in.Slice+1))
	}
	return env.Slices[in.Slice].Items, nil
}

// plan reads a plan by its digest, which the store verifies.
func (s *Site) plan(ctx context.Context, digest string) (plan.Plan, error) {
	body, err := s.Store.Blob(ctx, digest)
	if err != nil {
		return plan.Plan{}, fmt.Errorf("fetch plan %s: %w", digest, err)
	}
	var pl plan.Plan
	if err := json.Unmarshal(body, &pl); err != nil {
		return plan.Plan{}, fault.New(fault.Invalid, "read plan", digest, "plan again", err)
	}
	pl.Digest = digest
	return pl, nil
}

func piece(b Built) Piece {
	verdict := check.Verdict(b.Results)
	out := Piece{
		Swap: generation.Swap{Output: b.Generation.Output, Partition: b.Generation.Partition, From: b.From, To: b.Generation.ID},
		Rows: b.Generation.Rows, Inputs: b.Generation.Inputs, Audit: verdict.Outcome, Why: verdict.Reason, Samples: b.Samples,
		Standing: b.Standing, Rewritten: b.Rewritten,
	}
	for _, r := range b.Results {
		if r.Outcome != check.Skipped {
			out.Checks++
		}
	}
	return out
}

// applicationLimit is where Postgres cuts application_name.
const applicationLimit = 63

// application is the name of a session: drawbridge/<workflow id>/<step>, cut where Postgres cuts it.
func application(ctx context.Context, step string) string {
	name := "drawbridge/" + activity.GetInfo(ctx).WorkflowExecution.ID + "/" + step
	return name[:min(len(name), applicationLimit)]
}
