package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/backfill"
	"drawbridge/internal/check"
	"drawbridge/internal/cutover"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// filled is a warehouse in which a backfill has begun.
type filled struct {
	desk
	open   backfill.Open
	said   []gate.Gate
	fails  map[partition.Key]error
	during func(partition.Key) // while it is built
	built  []partition.Key
	// candidates were built and not published; done is what was published, and moved how often a publish finds one of them moved.
	candidates []generation.Candidate
	done       *generation.PublishResult
	moved      int
	published  []int // swaps of each publish
	states     map[partition.Key]generation.State
	held       bool  // nothing can be published
	slots      int64 // of the server's lock table; 0: it bounds nothing
}

func (f *filled) Gauge(_ context.Context, outputs []string) (map[string]cutover.Table, cutover.Bounds, error) {
	tables := map[string]cutover.Table{}
	for _, o := range outputs {
		tables[o] = cutover.NewTable(partition.Scheme{By: partition.Day, Column: "order_date"}, 1, nil)
	}
	return tables, cutover.Bounds{LockSlots: f.slots}, nil
}

func (f *filled) Candidates(context.Context, effect.Owner, int64) ([]generation.Candidate, error) {
	return f.candidates, nil
}

func (f *filled) Published(context.Context, effect.Key, bool) (generation.PublishResult, bool, error) {
	if f.done == nil {
		return generation.PublishResult{}, false, nil
	}
	return *f.done, true, nil
}

func (f *filled) Filled(context.Context, effect.Owner) (int, error) { return len(f.swapped), nil }

func (f *filled) Backfill(context.Context, effect.Owner) (backfill.Open, error) { return f.open, nil }

func (f *filled) Said(context.Context, effect.Owner) ([]gate.Gate, error) { return f.said, nil }

func (f *filled) Admit(_ context.Context, t admission.Ticket) error { return t.Decide(f.facts) }

func (f *filled) Build(_ context.Context, spec activities.BuildSpec, _ func(activities.Progress)) ([]activities.Built, error) {
	if f.during != nil {
		f.during(spec.Partition)
	}
	if err := f.fails[spec.Partition]; err != nil {
		return nil, err
	}
	f.built = append(f.built, spec.Partition)
	var all []activities.Built
	for _, table := range spec.Outputs {
		all = append(all, activities.Built{Generation: generation.Generation{ID: 9, Output: table, Partition: spec.Partition, Rows: 10, State: f.states[spec.Partition]}, Results: []check.Result{{Name: "row_count", Outcome: check.Passed}}})
	}
	return all, nil
}

func (f *filled) Publish(_ context.Context, _ generation.PublishSpec, ticket admission.Ticket, _ func(time.Duration, time.Duration)) (generation.PublishResult, error) {
	if f.moved > 0 {
		f.moved--
		return generation.PublishResult{WaitingFor: generation.ForOthers, Moved: ticket.Question.Swaps[1:2]}, nil
	}
	if f.held {
		return generation.PublishResult{WaitingFor: generation.ForLocks}, nil
	}
	f.published = append(f.published, len(ticket.Question.Swaps))
	f.swapped = append(f.swapped, ticket.Question.Swaps...)
	return generation.PublishResult{Done: true, Swapped: len(ticket.Question.Swaps)}, nil
}

// filling is a backfill of three days that has begun by the plan of the answer.
func filling(t *testing.T) (*activities.Filling, *filled, activities.FillInput) {
	t.Helper()
	b := setup(t)
	b.Policy.Publish.MaxPause = time.Second
	pl := backfill.Plan{Environment: "prod", Release: target("prod").Release, Tenure: 7, Slice: 10, Lanes: 1, Partitions: []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}}
	digest := backfill.Digest(pl)
	b.shelf.blobs[digest] = backfill.Canonical(pl)
	f := &filled{desk: *b.desk, open: backfill.Open{Owner: owner, Plan: digest, Tenure: 7}, fails: map[partition.Key]error{}}
	f.facts.Active = release.Tenure{Number: 7, Release: target("prod").Release}
	b.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return f, nil }
	return &activities.Filling{Site: b.Site, Now: opened}, f, activities.FillInput{Target: target("prod"), Plan: digest, Failures: 2}
}

// Nothing is built but by the plan that the environment has computed itself, for whom it did, and as far as people approved it.
func TestNothingIsFilledButByThePlanThatHasBegun(t *testing.T) {
	t.Parallel()
	approved := func(plan string) []gate.Gate {
		return []gate.Gate{{Name: gate.ApprovalOf("prod"), Plan: plan, Requester: "ann", Answers: []gate.Answer{{
			Decision: gate.Decision{Gate: gate.ApprovalOf("prod"), Plan: plan, Choice: gate.Approve, By: "bob", Reason: "it is right"}, At: opened(),
		}}}}
	}
	for name, c := range map[string]struct {
		change func(*filled, *activities.FillInput)
		says   string
	}{
		"as it began":                     {func(*filled, *activities.FillInput) {}, ""},
		"by another plan":                 {func(f *filled, _ *activities.FillInput) { f.open.Plan = "sha256:other" }, "not begun it by this plan"},
		"by none":                         {func(f *filled, _ *activities.FillInput) { f.open = backfill.Open{} }, "not begun it by this plan"},
		"it has ended":                    {func(f *filled, _ *activities.FillInput) { f.open.Ended = true }, "not begun it by this plan"},
		"it was stopped":                  {func(f *filled, _ *activities.FillInput) { f.open.Ended, f.facts.Fenced = true, "a turn-back" }, "its workflow was stopped: a turn-back"},
		"it is of another config":         {func(_ *filled, in *activities.FillInput) { in.Target.Config = "sha256:other" }, "read pipeline"},
		"nobody has approved it":          {func(f *filled, _ *activities.FillInput) { f.open.Asks = true }, "no approval is recorded"},
		"another plan was approved":       {func(f *filled, _ *activities.FillInput) { f.open.Asks, f.said = true, approved("sha256:other") }, "no approval is recorded"},
		"somebody has approved this plan": {func(f *filled, in *activities.FillInput) { f.open.Asks, f.said = true, approved(in.Plan) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, f, in := filling(t)
			c.change(f, &in)
			done, err := call(t, a.Fill, in)
			if c.says == "" {
				require.Nil(t, err)
				require.Equal(t, 3, done.Published)
				return
			}
			require.NotNil(t, err)
			require.Contains(t, err.Message(), c.says)
			require.Empty(t, f.built)
		})
	}
}

func TestWhatFailsOfASliceIsNamedAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	a, f, in := filling(t)
	f.fails["2026-01-02"] = fault.Newf(fault.Invalid, "load", "o.csv", "mend it", "line 3 is broken")
	done, err := call(t, a.Fill, in)
	require.Nil(t, err)
	require.Equal(t, 2, done.Published)
	require.Equal(t, []activities.Unfilled{{Index: 1, Partition: "2026-01-02", Why: "load o.csv: line 3 is broken"}}, done.Failed)
	require.Equal(t, []partition.Key{"2026-01-01", "2026-01-03"}, f.built)

	in.Failures = 1 // then it hands over
	done, err = call(t, a.Fill, in)
	require.Nil(t, err)
	require.Equal(t, 2, done.Next)
}

// What is built quickly goes live together, what takes long by itself, and what cannot as one goes one by one; nothing is built twice.
func TestWhatIsBuiltQuicklyGoesLiveTogether(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		takes     time.Duration
		change    func(*filled)
		published []int
		rest      activities.Filled // but for counts of what is live
	}{
		"quickly":                    {0, func(*filled) {}, []int{3}, activities.Filled{}},
		"readers bear one":           {0, func(f *filled) { f.slots = 2 }, []int{1, 1, 1}, activities.Filled{}},
		"not so quickly":             {400 * time.Millisecond, func(*filled) {}, []int{2, 1}, activities.Filled{}},
		"too slowly for two":         {600 * time.Millisecond, func(*filled) {}, []int{1, 1, 1}, activities.Filled{}},
		"slowly":                     {2 * time.Second, func(*filled) {}, []int{1, 1, 1}, activities.Filled{}},
		"one was published by a run": {0, func(f *filled) { f.moved = 1 }, []int{1, 1, 1}, activities.Filled{}},
		"one fails": {0, func(f *filled) {
			f.fails["2026-01-02"] = fault.Newf(fault.Invalid, "load", "o.csv", "mend it", "line 3 is broken")
		}, []int{1, 1}, activities.Filled{Failed: []activities.Unfilled{{Index: 1, Partition: "2026-01-02", Why: "load o.csv: line 3 is broken"}}}},
		"an attempt before published two": {0, func(f *filled) {
			f.states = map[partition.Key]generation.State{"2026-01-01": generation.Live, "2026-01-02": generation.Retired, "2026-01-03": generation.Built}
		}, []int{1}, activities.Filled{}},
		"an attempt before published all": {2 * time.Second, func(f *filled) {
			f.states = map[partition.Key]generation.State{"2026-01-01": generation.Live, "2026-01-02": generation.Live, "2026-01-03": generation.Live}
		}, nil, activities.Filled{}},
		"somebody reads": {0, func(f *filled) { f.held = true }, nil, activities.Filled{
			Parked: generation.PublishResult{WaitingFor: generation.ForLocks}, About: "backfill/2026-01-01/0",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, f, in := filling(t)
			now := opened()
			a.Now = func() time.Time { return now }
			f.during = func(partition.Key) { now = now.Add(c.takes) }
			c.change(f)
			done, err := call(t, a.Fill, in)
			require.Nil(t, err)
			require.Equal(t, c.published, f.published)
			live := 3 - len(c.rest.Failed)
			if c.rest.About != "" {
				live = 0
			}
			c.rest.Published, c.rest.Swaps, c.rest.Rows = live, live, int64(10*live)
			if c.rest.About != "" {
				require.NotEmpty(t, done.About)
				c.rest.About = done.About
			}
			require.Equal(t, c.rest, done)
		})
	}
}

// Whenever another release becomes active, also in the middle of a build, it is no fault of the partition, and nothing more is built.
func TestAnotherReleaseEndsASliceAtAnyMoment(t *testing.T) {
	t.Parallel()
	for _, at := range []partition.Key{"2026-01-01", "2026-01-02"} {
		a, f, in := filling(t)
		f.during = func(key partition.Key) {
			if key == at {
				f.facts.Active.Number = 8
				f.fails[key] = fault.Newf(fault.Conflict, "build", "shop", "run it again", "it is not active any more")
			}
		}
		done, err := call(t, a.Fill, in)
		require.Nil(t, err)
		require.True(t, done.Moved)
		require.Empty(t, done.Failed)
		require.Equal(t, len(f.built), done.Published)
		require.Equal(t, len(f.built), done.Next)
	}
	a, f, in := filling(t)
	f.during = func(partition.Key) {
		f.facts.Active.Number, f.facts.Fenced = 8, "a rollback"
		f.fails["2026-01-01"] = fault.Newf(fault.Conflict, "build", "shop", "run it again", "its workflow was stopped")
	}
	_, err := call(t, a.Fill, in)
	require.NotNil(t, err, "a turn-back stops it for good")
	require.Contains(t, err.Message(), "its workflow was stopped: a rollback")
}

// cutting is a backfill of three days that becomes visible as one, of which two outputs a day are built and have passed.
func cutting(t *testing.T) (*activities.Filling, *filled, activities.CutInput) {
	t.Helper()
	a, f, in := filling(t)
	b, ok := a.Site.Store.(*shelf)
	require.True(t, ok)
	pl := backfill.Plan{
		Environment: "prod", Release: target("prod").Release, Tenure: 7, Slice: 10, Lanes: 1, Partitions: []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"},
		Parts: []int{3},
	}
	digest := backfill.Digest(pl)
	b.blobs[digest] = backfill.Canonical(pl)
	f.open.Plan = digest
	for i, day := range pl.Partitions {
		f.candidates = append(f.candidates, generation.Candidate{Swap: generation.Swap{Output: "fct_orders", Partition: day, From: int64(10 + i), To: int64(20 + i)}, Audit: gate.Pass})
	}
	in.Plan = digest
	return a, f, activities.CutInput{Target: in.Target, Plan: digest}
}

func TestASliceOfAWholeIsBuiltAside(t *testing.T) {
	t.Parallel()
	a, f, cut := cutting(t)
	done, err := call(t, a.Fill, activities.FillInput{Target: cut.Target, Plan: cut.Plan, Failures: 2})
	require.Nil(t, err)
	require.Equal(t, 3, done.Built)
	require.Zero(t, done.Published)
	require.Empty(t, f.swapped)
	require.Equal(t, []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}, f.built)
}

func TestAWholeBackfillIsPublishedAsOneAndOnlyWhole(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*filled, *activities.CutInput)
		swaps  int
		says   string
	}{
		"all of it":                 {func(*filled, *activities.CutInput) {}, 3, ""},
		"what is not built":         {func(f *filled, _ *activities.CutInput) { f.candidates = f.candidates[1:] }, 0, "1 partitions of the plan are not built, and 0 were left out"},
		"what has not passed":       {func(f *filled, _ *activities.CutInput) { f.candidates[1].Audit = gate.Fail }, 0, "1 partitions of the plan are not built"},
		"what people have left out": {func(f *filled, in *activities.CutInput) { f.candidates, in.Left = f.candidates[1:], 1 }, 2, ""},
		"what is none of the plan stays out": {func(f *filled, _ *activities.CutInput) {
			f.candidates = append(f.candidates, generation.Candidate{Swap: generation.Swap{Output: "fct_orders", Partition: "2026-02-01", To: 99}, Audit: gate.Pass})
		}, 3, ""},
		"a part that is none":    {func(_ *filled, in *activities.CutInput) { in.Part = 1 }, 0, "it has 1 transactions, not 2"},
		"nobody has approved it": {func(f *filled, _ *activities.CutInput) { f.open.Asks = true }, 0, "no approval is recorded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, f, in := cutting(t)
			c.change(f, &in)
			done, err := call(t, a.CutOver, in)
			require.Len(t, f.swapped, c.swaps)
			if c.says != "" {
				require.NotNil(t, err)
				require.Contains(t, err.Message(), c.says)
				return
			}
			require.Nil(t, err)
			require.Equal(t, c.swaps, done.Swaps)
		})
	}
}

func TestAWholeThatWasPublishedIsNotPublishedAgain(t *testing.T) {
	t.Parallel()
	a, f, in := cutting(t)
	f.done, f.candidates = &generation.PublishResult{Done: true, Swapped: 3}, nil
	done, err := call(t, a.CutOver, in)
	require.Nil(t, err)
	require.Equal(t, 3, done.Swaps)
	require.Empty(t, f.swapped)
}

func TestWhatMovedOfAWholeIsBuiltAgainBeforeAnyOfItIsPublished(t *testing.T) {
	t.Parallel()
	a, f, in := cutting(t)
	f.moved = 1
	done, err := call(t, a.CutOver, in)
	require.Nil(t, err)
	require.Equal(t, 3, done.Swaps)
	require.Equal(t, []partition.Key{"2026-01-02"}, f.built)
	require.Len(t, f.swapped, 3)

	a, f, in = cutting(t)
	f.facts.Active.Number = 8
	done, err = call(t, a.CutOver, in)
	require.Nil(t, err)
	require.True(t, done.Moved, "another release is active")
	require.Empty(t, f.swapped)
}
