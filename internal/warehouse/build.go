package warehouse

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
	"drawbridge/internal/source"
	"drawbridge/internal/sqltext"
)

// BuildSpec says what to build: one partition of some outputs, from one release.
type BuildSpec struct {
	Key         effect.Key
	Config      string // digest of the config that replaces the packed one; empty: the packed one
	Tenure      int64  // under which what is built will be published; 0: never
	Pipeline    *pipeline.Pipeline
	Release     release.Release
	Partition   partition.Key // outputs that are one partition are built as `all` beside it
	Outputs     []string      // tables
	Control     bool          // the generations are only for a comparison, and never published
	Twice       bool          // every output that says nothing else is built a second time, to be compared
	Batch       string        // what an append adds is called so; empty: after the files that it is made of
	Once        bool          // nothing is built where all that it would append is live already
	Anew        bool          // no row that is live is kept, however the environment writes
	MaxRewrite  int64         // bytes of a live generation that may be written again; 0: no bound
	Open        Opener
	Connect     source.Connect // to the databases that extracts read
	Application string         // application_name of the session
	Moment      time.Time      // what @now stands for in its checks
	Progress    func(Progress) // called from the goroutine of Build; nil: nobody listens
}

// Stage is a part of a build.
type Stage string

// The stages of a build, in order.
const (
	StageLoad      Stage = "load"
	StageTransform Stage = "transform"
	StageIndex     Stage = "index"
	StageAudit     Stage = "audit"
)

// Progress is one thing that a build tells: the start of a stage, its end (Done), or how far a load is.
type Progress struct {
	Stage     Stage
	Done      bool
	Output    string        // empty for a load
	Partition partition.Key // empty for a load
	Load      string
	RowsIn    int64 // rows staged for the stage
	RowsOut   int64
	Bytes     int64
	Check     *check.Result // end of one check
	Elapsed   time.Duration
}

// BuiltOutput is one output's part of a build.
type BuiltOutput struct {
	Generation generation.Generation `json:"generation"`
	// From is the generation that was live when the build began: a publish replaces that one and no other.
	From       int64          `json:"from"`
	Results    []check.Result `json:"results"`
	Verdict    gate.Verdict   `json:"verdict"` // of the audit; only a pass is published without a person
	LoadedRows int64          `json:"loaded_rows"`
	Seconds    float64        `json:"seconds"`
	// Samples is the statement with which a person reads keys of failing rows, in the warehouse.
	Samples string `json:"samples,omitempty"`
	// Rewritten is how many bytes of what is live this attempt has written again, because their rows stay.
	Rewritten int64 `json:"rewritten,omitempty"`
	// Standing is the batch that is live already: nothing was built, and Generation is the one that is live.
	Standing string `json:"standing,omitempty"`
}

// build is one attempt of a Build. What authors wrote runs in a session of theirs; what the ledger and the child's owner do,
// in ours.
type build struct {
	w       *Warehouse
	conn    *pgx.Conn
	author  *postgres.Session
	spec    BuildSpec
	fence   string // of this attempt
	started time.Time
	staged  map[string]staged
	reads   []string // what the SELECT that ran last has read
}

// provisional are the transactions of a build before its last one, which commits for all of them: the log is written in order. What a
// crash of the server takes of them belongs to a build that the crash has ended.
func provisional() pgx.TxOptions {
	return pgx.TxOptions{BeginQuery: "BEGIN; SET LOCAL synchronous_commit = off"}
}

// Build loads, transforms, indexes and audits one partition into new generations that nobody reads yet. It is
// idempotent on Key: once all outputs are built, it returns them, with the audit as it was. Before that every attempt
// starts anew with generations of its own, and ends the attempts before it. A failed audit is a result, not an error.
func (w *Warehouse) Build(ctx context.Context, spec BuildSpec) ([]BuiltOutput, error) {
	outputs, err := spec.outputs()
	if err != nil {
		return nil, err
	}
	done, err := w.alreadyBuilt(ctx, spec, outputs)
	if err != nil || done != nil {
		return done, err
	}
	author, err := w.author(ctx, spec, outputs)
	if err != nil {
		return nil, err
	}
	var built []BuiltOutput
	err = w.pool.ApartAside(ctx, spec.Application, author, func(author *postgres.Session) error {
		return w.pool.Pinned(ctx, spec.Application, func(conn *pgx.Conn) error {
			b := &build{w: w, conn: conn, author: author, spec: spec, fence: newFence(), started: time.Now(), staged: map[string]staged{}}
			built, err = b.run(ctx, outputs)
			return err
		})
	})
	return built, postgres.Classify("build", spec.object(), err)
}

func (s BuildSpec) object() string { return s.Pipeline.Name + " " + string(s.Partition) }

func (s BuildSpec) outputs() ([]pipeline.Output, error) {
	outputs := make([]pipeline.Output, 0, len(s.Outputs))
	for _, table := range s.Outputs {
		i := slices.IndexFunc(s.Pipeline.Outputs, func(o pipeline.Output) bool { return o.Table == table })
		if i < 0 {
			return nil, fault.Newf(fault.Invalid, "build", table, "name an output of "+s.Pipeline.Name, "the release has no such output")
		}
		outputs = append(outputs, s.Pipeline.Outputs[i])
	}
	return outputs, nil
}

// partitionOf is the partition of an output that a run of key builds.
func partitionOf(o pipeline.Output, key partition.Key) partition.Key {
	if o.Partition.By == partition.All {
		return partition.AllKey
	}
	return key
}

// alreadyBuilt returns what an earlier attempt has finished, if it finished all: outputs of one run come from one load.
func (w *Warehouse) alreadyBuilt(ctx context.Context, spec BuildSpec, outputs []pipeline.Output) ([]BuiltOutput, error) {
	var found []catalog.Generation
	for _, o := range outputs {
		g, ok, err := w.ledger.FindBuilt(ctx, w.pool, spec.Key.String(), o.Table)
		if err != nil {
			return nil, postgres.Classify("build", spec.object(), err)
		}
		if ok {
			found = append(found, g)
		}
	}
	if len(found) < len(outputs) {
		for _, g := range found {
			if g.State != generation.Built {
				continue
			}
			if err := w.ledger.Reject(ctx, w.pool, g.ID, "the other outputs of its run were not built"); err != nil {
				return nil, postgres.Classify("build", spec.object(), err)
			}
		}
		return nil, nil
	}
	built := make([]BuiltOutput, len(found))
	for i, g := range found {
		results, err := w.ledger.Results(ctx, w.pool, g.ID)
		if err != nil {
			return nil, postgres.Classify("build", spec.object(), err)
		}
		built[i] = w.builtOutput(g, results)
	}
	return built, nil
}

func (w *Warehouse) builtOutput(g catalog.Generation, results []check.Result) BuiltOutput {
	out := BuiltOutput{Generation: g.Plan(), From: g.Baseline, Results: results, Verdict: check.Verdict(results), LoadedRows: g.Loaded, Seconds: g.Seconds, Rewritten: g.Rewritten}
	if out.Verdict.Outcome != gate.Pass {
		out.Samples = w.ledger.SamplesQuery(g.ID)
	}
	return out
}

func (b *build) run(ctx context.Context, outputs []pipeline.Output) (built []BuiltOutput, err error) {
	generations, err := b.reserve(ctx, outputs)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			b.abandon(ctx, generations, err)
		}
	}()
	loads := b.loads(outputs)
	for _, load := range loads {
		if load.Partitioned() {
			b.staged[load.Name], err = b.stage(ctx, load, b.spec.Partition)
		} else {
			b.staged[load.Name], err = b.land(ctx, load)
		}
		if err != nil {
			return nil, err
		}
	}
	if built, err = b.standing(ctx, outputs, generations); err != nil || built != nil {
		return built, err
	}
	if err := b.analyze(ctx, loads); err != nil {
		return nil, postgres.Classify("analyze what is loaded for", b.spec.object(), err)
	}
	for i, o := range outputs {
		out, err := b.output(ctx, o, &generations[i])
		if err != nil {
			return nil, err
		}
		built = append(built, out)
	}
	return built, nil
}

// loads are the loads that the outputs name, once each, in the pipeline's order.
func (b *build) loads(outputs []pipeline.Output) []pipeline.Load {
	var loads []pipeline.Load
	for _, load := range b.spec.Pipeline.Loads {
		if slices.ContainsFunc(outputs, func(o pipeline.Output) bool { return len(o.Loads([]pipeline.Load{load})) > 0 }) {
			loads = append(loads, load)
		}
	}
	return loads
}

// reserve enters the generations of this attempt, which ends every earlier one.
func (b *build) reserve(ctx context.Context, outputs []pipeline.Output) ([]catalog.Generation, error) {
	generations := make([]catalog.Generation, len(outputs))
	for i, o := range outputs {
		var err error
		if generations[i], err = b.entry(o, b.spec.Partition, b.spec.Key); err != nil {
			return nil, err
		}
	}
	return generations, b.enter(ctx, generations)
}

// entry is a generation of this attempt as the ledger is to have it, for a build of a partition under a key.
func (b *build) entry(o pipeline.Output, key partition.Key, under effect.Key) (catalog.Generation, error) {
	key = partitionOf(o, key)
	bounds, err := o.Partition.Bounds(key)
	return catalog.Generation{
		Output: o.Table, Partition: key, Pipeline: b.spec.Release.Pipeline, Version: b.spec.Release.Version,
		Session: b.author.PID, SessionStart: b.author.Started,
		Digest: b.spec.Release.Digest, EffectKey: under.String(), Config: b.spec.Config, Owner: string(under.Owner), Tenure: b.spec.Tenure,
		Control: b.spec.Control, Fence: b.fence, Application: postgres.Clip(b.spec.Application), Moment: b.spec.Moment,
		Scheme: o.Partition, Lower: bounds.Lower, Upper: bounds.Upper,
	}, err
}

// enter reserves generations, all of them or none, and sets what the ledger gives them. It refuses those of a legacy partition: that is one
// table, and stays as it was adopted.
func (b *build) enter(ctx context.Context, generations []catalog.Generation) error {
	return pgx.BeginTxFunc(ctx, b.conn, provisional(), func(tx pgx.Tx) error {
		adopted, err := b.w.ledger.Adoptions(ctx, tx, b.spec.Outputs)
		if err != nil {
			return err
		}
		for _, g := range generations {
			if err := adopted[g.Output].AdoptedBefore("build", g.Partition); err != nil {
				return err
			}
		}
		all := make([]*catalog.Generation, len(generations))
		for i := range generations {
			all[i] = &generations[i]
		}
		return b.w.ledger.Reserve(ctx, tx, all...)
	})
}

// abandon gives up what this attempt made, as far as the server still answers; housekeeping does the rest.
func (b *build) abandon(ctx context.Context, generations []catalog.Generation, cause error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.CancelGrace)
	defer cancel()
	for _, g := range generations {
		_ = b.w.discard(ctx, g.ID, fault.Bound(cause.Error()))
	}
}

// discard rejects a generation that never went live, and drops its child.
func (w *Warehouse) discard(ctx context.Context, id int64, why string) error {
	if err := w.ledger.Reject(ctx, w.pool, id, why); err != nil {
		return err
	}
	now, err := w.ledger.Generation(ctx, w.pool, id)
	if err != nil || now.State != generation.Rejected {
		return err
	}
	return w.dropChildren(ctx, []catalog.Generation{now})
}

// output builds and audits one output from what is staged.
func (b *build) output(ctx context.Context, o pipeline.Output, g *catalog.Generation) (BuiltOutput, error) {
	inputs, err := b.inputs(ctx, o)
	if err != nil {
		return BuiltOutput{}, err
	}
	g.Inputs = inputs
	for _, load := range o.Loads(b.spec.Pipeline.Loads) {
		g.Loaded += b.staged[load.Name].rows
	}
	if err := b.keeps(ctx, o, g); err != nil {
		return BuiltOutput{}, err
	}
	candidate, err := b.w.describeOutput(ctx, b.author.Conn, b.spec.Pipeline.Loads, o)
	if err != nil {
		return BuiltOutput{}, postgres.Classify("build", o.Table, err)
	}
	if err := b.createChild(ctx, o, g, candidate); err != nil {
		return BuiltOutput{}, err
	}
	if err := b.fill(ctx, o, g, candidate); err != nil {
		return BuiltOutput{}, err
	}
	results, err := b.audit(ctx, o, g)
	if err != nil {
		return BuiltOutput{}, err
	}
	audits := [][]check.Result{results}
	if err := b.across(ctx, o, []*catalog.Generation{g}, audits); err != nil {
		return BuiltOutput{}, err
	}
	results = audits[0]
	if b.spec.Twice && o.NotRepeatable == "" {
		if err := b.again(ctx, o, *g, candidate); err != nil {
			return BuiltOutput{}, err
		}
	}
	results = append(results, b.rejects(o)...)
	if err := b.finish(ctx, []*catalog.Generation{g}, [][]check.Result{results}); err != nil {
		return BuiltOutput{}, err
	}
	return b.w.builtOutput(*g, results), nil
}

// inputs is the digest of all that an output is made of; empty where its SQL may read more than the loaded files.
func (b *build) inputs(ctx context.Context, o pipeline.Output) (string, error) {
	named := sqltext.Identifiers(o.SQL)
	digest := sha256.New()
	for _, load := range o.Loads(b.spec.Pipeline.Loads) {
		fmt.Fprintf(digest, "%s %s\n", load.Name, b.staged[load.Name].digest)
		delete(named, load.Name)
	}
	others := make([]string, 0, len(named))
	for name := range named {
		others = append(others, name)
	}
	// A column that is called like a table only costs a control run, so names are compared, not parsed.
	var reads bool
	err := b.conn.QueryRow(ctx, `
		SELECT EXISTS (
		  SELECT
		  FROM pg_class
		  WHERE relname = ANY($1)
		    AND relkind IN ('r', 'v', 'm', 'p', 'f')
		    AND relpersistence <> 't'
		    AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace))`,
		others).Scan(&reads)
	if err != nil {
		return "", postgres.Classify("build", o.Table, err)
	}
	if reads {
		return "", nil
	}
	return hex.EncodeToString(digest.Sum(nil)), nil
}

// finish makes the children of an output immutable and its generations built, in one transaction: the last of their build. What it
// took counts in equal parts.
func (b *build) finish(ctx context.Context, generations []*catalog.Generation, results [][]check.Result) error {
	seconds := time.Since(b.started).Seconds() / float64(len(generations))
	err := pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		owner, err := b.w.sealChildren(ctx, tx, generations)
		if err != nil {
			return err
		}
		if err := b.w.ledger.RecordReads(ctx, tx, generations[0].Digest, generations[0].Output, b.reads); err != nil {
			return err
		}
		for i, g := range generations {
			verdict := check.Verdict(results[i])
			g.ChildOwner, g.Audit, g.Seconds = owner, verdict.Outcome, seconds
			if verdict.Outcome != gate.Pass {
				g.Reason = verdict.Reason
			}
		}
		if err := b.w.ledger.RecordResults(ctx, tx, generations, results); err != nil {
			return err
		}
		for _, g := range generations {
			if g.Mode == "" {
				continue
			}
			if err := b.w.ledger.RecordBatch(ctx, tx, *g); err != nil {
				return err
			}
		}
		return b.w.ledger.Finish(ctx, tx, generations)
	})
	if err != nil {
		return postgres.Classify("finish", generations[0].Output+" "+string(generations[0].Partition), err)
	}
	for _, g := range generations {
		g.State, g.At = generation.Built, time.Now()
	}
	return nil
}

func (b *build) progress(p Progress) {
	if b.spec.Progress != nil {
		b.spec.Progress(p)
	}
}

// newFence is an attempt's own token: two attempts never share one, unlike an effect key.
func newFence() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // crypto/rand never returns an error
	return hex.EncodeToString(id[:])
}
