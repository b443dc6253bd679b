package activities_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/canary"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// bench is a ledger in which release 1.0.0 is to replace 0.9.0: its plan publishes 2026-01-03 first, and its smoke builds 2026-01-02
// aside. Generation 1 is live on 2026-01-03, and 2 is the candidate; 3 is what was built aside, 4 a control, and 5 the candidate built
// again.
type bench struct {
	desk
	built    map[int64]generation.Tried
	live     int64
	inputs   string // of what is live
	diff     canary.Diff
	compared []activities.Comparison
	verdicts map[admission.Stage]admission.Verdict
	before   []partition.Key // live when it was let in
	again    canary.Diff     // of what was built twice
}

// tries is the effect under which the candidate is built.
var tries = target("prod").Effect("canary", "2026-01-03", 0)

func (b *bench) LiveBefore(context.Context, []string, int64) ([]partition.Key, error) {
	return b.before, nil
}

func (b *bench) Tried(_ context.Context, ids ...int64) (map[int64]generation.Tried, error) {
	for _, id := range ids {
		if _, ok := b.built[id]; !ok {
			return nil, fault.Newf(fault.Invalid, "read generation", "it", "look", "the ledger does not know it")
		}
	}
	return b.built, nil
}

func (b *bench) TriedUnder(_ context.Context, key effect.Key, output string) (generation.Tried, error) {
	switch {
	case output != "fct_orders":
	case key == target("prod").Effect("smoke", "2026-01-02", 0):
		return b.built[3], nil
	case key == tries.Again():
		return b.built[5], nil
	}
	return generation.Tried{}, nil
}

func (b *bench) Live(context.Context, string, partition.Key) (int64, string, error) {
	return b.live, b.inputs, nil
}

func (b *bench) Compare(_ context.Context, in activities.Comparison) (canary.Diff, error) {
	if in.Origin == canary.Repeat {
		return b.again, nil
	}
	b.compared = append(b.compared, in)
	return b.diff, nil
}

func (b *bench) Judged(context.Context, effect.Key) (map[admission.Stage]admission.Verdict, error) {
	return b.verdicts, nil
}

func (b *bench) Judge(_ context.Context, _ release.Tenure, _ effect.Key, verdicts ...admission.Verdict) (map[admission.Stage]admission.Verdict, error) {
	b.verdicts = map[admission.Stage]admission.Verdict{}
	for _, v := range verdicts {
		b.verdicts[v.Stage] = v
	}
	return b.verdicts, nil
}

// laid is a bench at which nothing is wrong, and what compares there.
func laid(t *testing.T, edits ...func(files map[string][]byte)) (*activities.Builds, *bench) {
	t.Helper()
	s := setup(t)
	for _, edit := range edits {
		edit(s.shelf.releases["sha256:1.0.0"])
	}
	active := release.Release{Pipeline: "shop", Version: "0.9.0", Digest: "sha256:0.9.0"}
	s.shelf.releases[active.Digest] = s.shelf.releases["sha256:1.0.0"]
	b := &bench{
		desk: *s.desk, live: 1, inputs: "abc", diff: canary.Diff{Mode: canary.Keyed, Identical: true, BaselineRows: 10, CandidateRows: 10, CommonRows: 10},
		built: map[int64]generation.Tried{},
	}
	b.facts.Active = release.Tenure{Number: 5, Release: active, Activated: true}
	add := func(id int64, day partition.Key, r release.Release) {
		b.built[id] = generation.Tried{
			Generation: generation.Generation{ID: id, Output: "fct_orders", Partition: day, Release: r, Inputs: "abc"},
			Owner:      owner, Tenure: 7, Baseline: 1, Audit: gate.Pass, Seconds: 2, Key: string(day),
		}
	}
	add(2, "2026-01-03", target("prod").Release)
	add(3, "2026-01-02", target("prod").Release)
	add(4, "2026-01-03", active)
	b.change(4, func(g *generation.Tried) { g.Control = true })
	b.change(2, func(g *generation.Tried) { g.Key, g.Rows, g.Checksum = tries.String(), 10, "17" })
	b.built[5] = b.built[2]
	b.change(5, func(g *generation.Tried) {
		g.ID, g.Key, g.Control, g.Audit = 5, tries.Again().String(), true, gate.None
	})

	p, err := s.Pipeline(t.Context(), target("prod"))
	require.NoError(t, err)
	whole := *p
	whole.Smoke = pipeline.Smoke{Latest: 2, MaxRuntime: p.Smoke.MaxRuntime}
	live := []generation.Generation{{Output: "fct_orders", Partition: "2026-01-02"}, {Output: "fct_orders", Partition: "2026-01-03"}}
	planned, err := plan.Compute(plan.Input{Release: target("prod").Release, Pipeline: &whole, Environments: []plan.EnvironmentInput{{
		Config: p.Config, Observed: plan.Observed{
			Environment: "prod", ConfigDigest: p.Config.Digest(), PolicyDigest: s.Policy.Digest(), Active: &active, LockSlots: 1000,
			Sources: []partition.Key{"2026-01-02", "2026-01-03"}, Outputs: []plan.ObservedOutput{{Table: "fct_orders", Kind: generation.Managed, Live: live}},
		},
	}}})
	require.NoError(t, err)
	require.Len(t, planned.Environments[0].Aside, 1)
	s.shelf.blobs["sha256:plan"], err = json.Marshal(planned)
	require.NoError(t, err)
	s.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return b, nil }
	return &activities.Builds{Site: s.Site, Now: opened}, b
}

func (b *bench) change(id int64, do func(*generation.Tried)) {
	g := b.built[id]
	do(&g)
	b.built[id] = g
}

// pieces are what a caller says that it has built.
func pieces(ids ...int64) []activities.Piece {
	var out []activities.Piece
	for _, id := range ids {
		out = append(out, activities.Piece{Swap: generation.Swap{Output: "fct_orders", Partition: "2026-01-03", From: 1, To: id}, Inputs: "whatever", Audit: gate.Pass})
	}
	return out
}

func TestWhatIsTriedAndComparedIsWhatTheLedgerAndThePlanSay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ledger  func(*bench)
		pieces  []int64
		control []int64
		refused string // empty: both verdicts are recorded
		smoke   gate.Outcome
		canary  gate.Outcome
		with    int64 // what the candidate was compared with; 0: nothing
	}{
		"what saw the inputs of what is live": {pieces: []int64{2}, smoke: gate.Pass, canary: gate.Pass, with: 1},
		"what differs too much": {
			ledger: func(b *bench) {
				b.diff = canary.Diff{Mode: canary.Keyed, BaselineRows: 10, CandidateRows: 5, RemovedKeys: 5, CommonRows: 5}
			},
			pieces: []int64{2}, smoke: gate.Pass, canary: gate.Fail, with: 1,
		},
		"what saw other inputs, with a control": {ledger: func(b *bench) { b.inputs = "def" }, pieces: []int64{2}, control: []int64{4}, smoke: gate.Pass, canary: gate.Pass, with: 4},
		"what saw other inputs, without one":    {ledger: func(b *bench) { b.inputs = "def" }, pieces: []int64{2}, refused: "no control was built"},
		"what moved since it was built, and saw other inputs": {
			ledger: func(b *bench) { b.inputs, b.live = "def", 9 }, pieces: []int64{2}, smoke: gate.Pass, canary: gate.Inconclusive,
		},
		"what is the first to be live": {ledger: func(b *bench) { b.live = 0 }, pieces: []int64{2}, smoke: gate.Pass, canary: gate.Inconclusive},
		"what is the first to be active": {
			ledger: func(b *bench) { b.live, b.facts.Active = 0, release.Tenure{} }, pieces: []int64{2}, smoke: gate.Pass, canary: gate.None,
		},

		"nothing":                     {refused: "was not tried"},
		"what is not published first": {pieces: []int64{2, 3}, refused: "none that the plan publishes first"},
		"one generation twice":        {pieces: []int64{2, 2}, refused: "none that the plan publishes first"},
		"a control in its place":      {ledger: func(b *bench) { b.change(2, func(g *generation.Tried) { g.Control = true }) }, pieces: []int64{2}, refused: "none that the plan publishes first"},
		"what another workflow has built": {
			ledger: func(b *bench) { b.change(2, func(g *generation.Tried) { g.Owner = "deploy/shop/1/x" }) }, pieces: []int64{2}, refused: "built by another workflow",
		},
		"what another release has built": {pieces: []int64{4}, refused: "of another release"},
		"what the ledger does not know":  {pieces: []int64{77}, refused: "does not know it"},
		"a control of another release": {
			ledger: func(b *bench) {
				b.inputs = "def"
				b.change(4, func(g *generation.Tried) { g.Release = target("prod").Release })
			}, pieces: []int64{2}, control: []int64{4}, refused: "of another release",
		},
		"a tenure of somebody else": {ledger: func(b *bench) { b.facts.Tenure.Number = 8 }, pieces: []int64{2}, refused: "no deployment of its own"},
		"a run's tenure":            {ledger: func(b *bench) { b.facts.Tenure.Kind = release.ByRun }, pieces: []int64{2}, refused: "no deployment of its own"},

		"what was built aside by nobody": {ledger: func(b *bench) { delete(b.built, 3) }, pieces: []int64{2}, refused: "builds aside"},
		"what was built aside and failed": {
			ledger: func(b *bench) { b.change(3, func(g *generation.Tried) { g.Audit = gate.Fail }) }, pieces: []int64{2}, smoke: gate.Fail, canary: gate.Pass, with: 1,
		},
		"what was built aside and could not be audited": {
			ledger: func(b *bench) { b.change(3, func(g *generation.Tried) { g.Audit = gate.Inconclusive }) }, pieces: []int64{2}, smoke: gate.Inconclusive, canary: gate.Pass, with: 1,
		},
		"what took too long, all in all": {
			ledger: func(b *bench) {
				for id := range b.built {
					b.change(id, func(g *generation.Tried) { g.Seconds = 200 })
				}
			}, pieces: []int64{2}, smoke: gate.Fail, canary: gate.Pass, with: 1,
		},
		"outputs that were built one after the other": {
			ledger: func(b *bench) {
				b.change(2, func(g *generation.Tried) { g.Seconds = 299 })
				b.change(3, func(g *generation.Tried) { g.Seconds, g.Key = 280, tries.String() })
			}, pieces: []int64{2}, smoke: gate.Pass, canary: gate.Pass, with: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := laid(t)
			if c.ledger != nil {
				c.ledger(b)
			}
			in := activities.CompareInput{Target: target("prod"), Pieces: pieces(c.pieces...), Control: pieces(c.control...)}
			out, err := call(t, a.CompareCanary, in)
			if c.refused != "" {
				require.NotNil(t, err)
				require.Contains(t, err.Message(), c.refused)
				require.Empty(t, b.verdicts)
				return
			}
			require.Nil(t, err)
			smoke, compared := b.verdicts[admission.Smoke], b.verdicts[admission.Canary]
			require.Equal(t, c.smoke, smoke.Outcome, smoke.Reason)
			require.Equal(t, c.canary, compared.Outcome, compared.Reason)
			require.Len(t, smoke.Compared, 2)
			require.Equal(t, []admission.Compared{{Output: "fct_orders", Partition: "2026-01-03", Candidate: 2, Live: 1, Baseline: c.with}}, compared.Compared)
			require.Equal(t, []string{in.About()}, compared.About)
			require.Equal(t, c.smoke != gate.Inconclusive, len(smoke.About) == 0 || c.smoke == gate.Fail)
			if c.smoke == gate.Fail {
				require.Equal(t, smoke.Verdict, out.Verdict, "what failed first is the answer")
			} else {
				require.Equal(t, compared.Verdict, out.Verdict)
			}
			if c.with == 0 {
				require.Equal(t, []string{"fct_orders[2026-01-03]"}, out.NoBaseline)
				require.Empty(t, b.compared)
			} else {
				require.Equal(t, c.with, b.compared[0].Baseline)
				require.Equal(t, "sha256:0.9.0", b.compared[0].Active)
			}
		})
	}
}

// What smoke has built twice is no caller's to say: the ledger has both.
func TestWhatIsNotRepeatableIsAPersonsToDecide(t *testing.T) {
	t.Parallel()
	differs := func(b *bench) {
		b.change(5, func(g *generation.Tried) { g.Checksum = "18" })
		b.again = canary.Diff{Mode: canary.Keyed, BaselineRows: 10, CandidateRows: 10, CommonRows: 10, ChangedRows: 4, Changed: map[string]int64{"amount": 4, "channel": 0}}
	}
	for name, c := range map[string]struct {
		ledger  func(*bench)
		keeps   string // why the release says that it need not be
		outcome gate.Outcome
		says    string
		refused string
	}{
		"the same twice":                        {outcome: gate.Pass},
		"other values the second time":          {ledger: differs, outcome: gate.Inconclusive, says: "fct_orders[2026-01-03]: not repeatable: built twice from the same inputs, the second has other values in amount"},
		"rows too few the second time":          {ledger: func(b *bench) { differs(b); b.again.BaselineRows = 9 }, outcome: gate.Inconclusive, says: "9 rows instead of 10"},
		"where nothing is active yet":           {ledger: func(b *bench) { differs(b); b.live, b.facts.Active = 0, release.Tenure{} }, outcome: gate.Inconclusive, says: "not repeatable"},
		"what says that it is not":              {ledger: differs, keeps: "ids are drawn anew", outcome: gate.Pass},
		"what was not built twice":              {ledger: func(b *bench) { delete(b.built, 5) }, refused: "it was not built twice"},
		"what another has built":                {ledger: func(b *bench) { b.change(5, func(g *generation.Tried) { g.Owner = "deploy/shop/1/x" }) }, refused: "it was not built twice"},
		"what another release has built":        {ledger: func(b *bench) { b.change(5, func(g *generation.Tried) { g.Release.Digest = "sha256:0" }) }, refused: "it was not built twice"},
		"what was built by itself, beside that": {ledger: func(b *bench) { b.change(2, func(g *generation.Tried) { g.Key = "another" }) }, refused: "it was not built twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := laid(t, func(files map[string][]byte) {
				if c.keeps != "" {
					said := "    repeatable: {is: false, because: " + c.keeps + "}\n    checks:\n"
					files["pipeline.yaml"] = bytes.Replace(files["pipeline.yaml"], []byte("    checks:\n"), []byte(said), 1)
				}
			})
			if c.ledger != nil {
				c.ledger(b)
			}
			out, err := call(t, a.CompareCanary, activities.CompareInput{Target: target("prod"), Pieces: pieces(2)})
			if c.refused != "" {
				require.NotNil(t, err)
				require.Contains(t, err.Message(), c.refused)
				require.Empty(t, b.verdicts)
				return
			}
			require.Nil(t, err)
			require.Equal(t, c.outcome, out.Verdict.Outcome, out.Verdict.Reason)
			require.Contains(t, out.Verdict.Reason, c.says)
			twice := slices.ContainsFunc(out.Verdict.Evidence, func(e gate.Evidence) bool { return e.Name == "fct_orders[2026-01-03] built twice" })
			require.Equal(t, c.outcome == gate.Pass && c.keeps == "", twice, "what was looked at is said")
		})
	}
}

// An attempt that comes back finds what was recorded, whatever it brings along.
func TestACanaryIsJudgedOnce(t *testing.T) {
	t.Parallel()
	a, b := laid(t)
	in := activities.CompareInput{Target: target("prod"), Pieces: pieces(2)}
	first, err := call(t, a.CompareCanary, in)
	require.Nil(t, err)
	b.diff = canary.Diff{Mode: canary.Keyed, BaselineRows: 10}
	again, err := call(t, a.CompareCanary, in)
	require.Nil(t, err)
	require.Equal(t, first, again)
	require.Len(t, b.compared, 1)
	later := in
	later.Round = 1
	require.NotEqual(t, in.About(), later.About(), "what people accept is one look")
}

// days are sources whose files name their partitions.
type days []partition.Key

func (d days) Partitions(pipeline.Config, *pipeline.Pipeline) (plan.Sources, error) {
	return plan.Sources{Named: true, Keys: d}, nil
}

func (days) Changed(pipeline.Config, *pipeline.Pipeline, []partition.Key) (map[partition.Key]time.Time, error) {
	return nil, nil
}

func (days) Missing(pipeline.Config, *pipeline.Pipeline, partition.Key) ([]string, error) {
	return nil, nil
}

// A plan is a blob that anybody may have written: one whose canary is of partitions that the release does not change passes by
// nobody's word but a person's.
func TestACanaryOfOlderPartitionsThanItCouldTryIsAPersonsToDecide(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		live    []partition.Key // when it was let in
		sources days
		passes  bool
	}{
		"it tries the newest":                     {[]partition.Key{"2026-01-02", "2026-01-03"}, days{"2026-01-02", "2026-01-03"}, true},
		"a newer one was live when it was let in": {[]partition.Key{"2026-01-03", "2026-01-04"}, days{"2026-01-03", "2026-01-04"}, false},
		"a newer one was live, and has no file":   {[]partition.Key{"2026-01-03", "2026-01-04"}, days{"2026-01-03"}, true},
		"a newer file is there, and nothing live": {[]partition.Key{"2026-01-03"}, days{"2026-01-03", "2026-01-04"}, true},
		"nothing was live":                        {nil, days{"2026-01-03", "2026-01-04"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := laid(t)
			a.Site.Sources, b.before = c.sources, c.live
			res, err := call(t, a.CompareCanary, activities.CompareInput{Target: target("prod"), Pieces: pieces(2)})
			require.Nil(t, err)
			if c.passes {
				require.Equal(t, gate.Pass, res.Verdict.Outcome, res.Verdict.Reason)
				return
			}
			require.Equal(t, gate.Inconclusive, res.Verdict.Outcome)
			require.Contains(t, res.Verdict.Reason, "2026-01-04")
			require.Equal(t, gate.Inconclusive, b.verdicts[admission.Canary].Outcome, "admission wants a person's word")
		})
	}
}
