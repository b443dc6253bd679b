package workflows_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/backfill"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// filler is an environment that backfills build in: partitions of numbers, each published under the key of its effect, once.
type filler struct {
	mu     sync.Mutex
	active release.Tenure
	asked  backfill.Plan
	done   map[string]partition.Key                                    // effects that have happened
	times  map[partition.Key]int                                       // how often a partition was published
	by     map[partition.Key]string                                    // the release that it is of
	poison map[partition.Key]bool                                      // what cannot be built
	before func(activities.FillInput) (activities.Filled, bool, error) // instead of a call; false: nothing is in the way
	ended  func() activities.EndedFill                                 // what it has come to, where it is not just what is live
	edge   int                                                         // partitions until a call hands over
	tells  bool                                                        // people are told what happens
	built  map[partition.Key]bool                                      // aside, of a plan that cuts over
	cuts   func(activities.CutInput) (activities.Filled, bool, error)  // instead of a cut-over; false: nothing is in the way
}

func newFiller(partitions int) *filler {
	f := &filler{
		active: release.Tenure{Number: 7, Release: candidate()}, done: map[string]partition.Key{}, times: map[partition.Key]int{},
		by: map[partition.Key]string{}, poison: map[partition.Key]bool{}, edge: 100, built: map[partition.Key]bool{},
	}
	for i := range partitions {
		f.asked.Partitions = append(f.asked.Partitions, key(i))
	}
	f.asked.Slice, f.asked.Lanes, f.asked.MaxFailures = 250, 4, 3
	return f
}

func key(i int) partition.Key { return partition.Key(fmt.Sprintf("%07d", i)) }

func (f *filler) plan(in activities.PlanFillInput) (activities.FillPlan, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked.Ask, f.asked.Environment, f.asked.Release, f.asked.Tenure = in.Ask, in.Target.Environment, f.active.Release, f.active.Number
	target := in.Target
	target.Release = f.active.Release
	return activities.FillPlan{Target: target, Summary: backfill.Summarize(f.asked, partition.Scheme{By: partition.Range, Column: "n", Size: 1}), Tells: f.tells}, nil
}

func (f *filler) begin(in activities.BeginFillInput) (activities.BegunFill, error) {
	planned, err := f.plan(activities.PlanFillInput{Target: in.Target, Ask: in.Ask})
	f.mu.Lock()
	defer f.mu.Unlock()
	return activities.BegunFill{FillPlan: planned, Tenure: f.active, Epoch: "e"}, err
}

// mend has a partition built the next time.
func (f *filler) mend(k partition.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.poison, k)
}

func (f *filler) live() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.times)
}

func (f *filler) fill(in activities.FillInput) (activities.Filled, error) {
	if f.before != nil {
		if done, instead, err := f.before(in); instead {
			return done, err
		}
	}
	return f.apply(in), nil
}

// apply does what a call asks for.
func (f *filler) apply(in activities.FillInput) activities.Filled {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out activities.Filled
	items := f.asked.Items(in.Slice)
	for i := in.From; i < len(items); i++ {
		if i-in.From == f.edge || len(out.Failed) >= max(1, in.Failures) {
			out.Next = i
			return out
		}
		if in.Target.Tenure != f.active.Number {
			out.Moved, out.Next = true, i
			return out
		}
		k := items[i].Partition
		effect := in.Target.Effect("backfill", k, in.Round).String()
		switch {
		case f.poison[k]:
			out.Failed = append(out.Failed, activities.Unfilled{Index: items[i].Index, Partition: k, Why: "its file is broken"})
			continue
		case len(f.asked.Parts) > 0:
			f.built[k] = true
			out.Built++
			continue
		case f.done[effect] == "":
			f.done[effect] = k
			f.times[k]++
			f.by[k] = in.Target.Release.Version
		}
		out.Published++
		out.Swaps++
		out.Rows += 10
	}
	return out
}

// cut publishes a transaction of a plan, whole, once.
func (f *filler) cut(in activities.CutInput) (activities.Filled, error) {
	if f.cuts != nil {
		if done, instead, err := f.cuts(in); instead {
			return done, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if in.Target.Tenure != f.active.Number {
		return activities.Filled{Moved: true}, nil
	}
	missing, swaps := 0, 0
	for _, it := range f.asked.Part(in.Part) {
		effect := in.Target.Effect(fmt.Sprintf("backfill-%d", in.Part), it.Partition, in.Round).String()
		switch {
		case !f.built[it.Partition]:
			missing++
			continue
		case f.done[effect] == "":
			f.done[effect] = it.Partition
			f.times[it.Partition]++
			f.by[it.Partition] = in.Target.Release.Version
		}
		swaps++
	}
	if missing > in.Left {
		return activities.Filled{}, fault.Newf(fault.Conflict, "backfill", "shop", "start it again", "something is not built")
	}
	return activities.Filled{Published: len(f.times), Swaps: swaps}, nil
}

func (e *effects) backfillInput() workflows.BackfillInput {
	return workflows.BackfillInput{
		Pipeline: "shop", Environment: "prod", By: "ann", Reason: "corrected files",
		Ask: backfill.Ask{From: key(0), To: key(len(e.filler.asked.Partitions) - 1), Order: backfill.Oldest},
	}
}

// fillsOn is a backfill over all.
func (e *effects) fillsOn(t *testing.T, prepare func(*testsuite.TestWorkflowEnvironment)) (s workflows.Status, continued int) {
	t.Helper()
	return overAll(t, e, workflows.BackfillName, e.backfillInput(), prepare, func(in workflows.BackfillInput) {
		require.Positive(t, in.State.Line.Next, "it goes on where it was")
	})
}

func TestABackfillOfManyPartitionsPublishesEachOnceWhateverStopsIt(t *testing.T) {
	t.Parallel()
	many := 10_000
	if os.Getenv("DRAWBRIDGE_SOAK") == "1" {
		many = 100_000
	}
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(many)
	var calls atomic.Int64
	e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
		switch n := calls.Add(1); {
		case n%97 == 0: // its worker is lost when it has done its work
			e.filler.apply(in)
			return activities.Filled{}, true, errors.New("the connection was lost")
		case n%61 == 0:
			return activities.Filled{Next: in.From, Parked: generation.PublishResult{WaitingFor: generation.ForHold, Why: "quarter end"}}, true, nil
		}
		return activities.Filled{}, false, nil
	}
	s, continued := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		worked := 0
		env.SetOnActivityCompletedListener(func(*activity.Info, converter.EncodedValue, error) { // where workflow code runs, and not beside it
			if worked++; worked == 25 {
				env.SetContinueAsNewSuggested(true)
			}
		})
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.GreaterOrEqual(t, continued, 3)
	require.Len(t, e.filler.times, many)
	for k, n := range e.filler.times {
		require.Equal(t, 1, n, k)
	}
	require.Equal(t, many, s.Backfill.Published)
	require.Equal(t, many, s.Backfill.Partitions)
}

// steer sends a command some time after the start.
func steer(after time.Duration, m conduct.Command) func(*testsuite.TestWorkflowEnvironment) {
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.Steer, m) }, after)
	}
}

func TestABackfillHoldsWhenTooManyPartitionsFail(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(2_000)
	e.filler.asked.Slice = 20
	for _, i := range []int{10, 600, 1100, 1101, 1102, 1900} {
		e.filler.poison[key(i)] = true
	}
	var at []workflows.Status
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { // more than three have failed: it goes on by a person's word only
			at = append(at, now(t, env))
			env.UpdateWorkflow(workflows.Decide, "1", answered(t), gate.Decision{Gate: at[0].Gates[0].Name, Choice: gate.Proceed, By: "bob", Reason: "they are few", Plan: at[0].Plan})
		}, time.Hour)
		env.RegisterDelayedCallback(func() { // all others are done
			at = append(at, now(t, env))
			e.filler.mend(key(600))
			env.SignalWorkflow(workflows.Steer, conduct.Command{Kind: conduct.RetryFailed, By: "bob"})
		}, 2*time.Hour)
		steer(3*time.Hour, conduct.Command{Kind: conduct.Skip, By: "bob", Reason: "closed", Items: []string{string(key(10)), string(key(1900))}})(env)
		env.RegisterDelayedCallback(func() { // what is left is left as it is
			at = append(at, now(t, env))
			env.UpdateWorkflow(workflows.Decide, "2", answered(t), gate.Decision{Gate: at[2].Gates[0].Name, Choice: gate.Keep, By: "bob", Reason: "later", Plan: at[2].Plan})
		}, 4*time.Hour)
	})
	require.Equal(t, workflows.StageWaiting, at[0].Stage)
	require.Greater(t, at[0].Backfill.Failed, 3)
	require.Less(t, at[0].Backfill.Published, 1_994)
	require.Equal(t, 6, at[1].Backfill.Failed)
	require.Equal(t, 1_994, at[1].Backfill.Published)
	require.Equal(t, 3, at[2].Backfill.Failed)
	require.Equal(t, workflows.StageStuck, s.Stage)
	require.Contains(t, s.Sentence, string(key(1101)))
	require.Equal(t, 2, s.Backfill.Skipped)
	for _, left := range []int{10, 1900} {
		require.Equal(t, byte(backfill.HeatLeft), s.Backfill.Heat[left*backfill.HeatCells/2000], "what was left out is not shown as done: %s", s.Backfill.Heat)
	}
	require.Len(t, e.filler.times, 1_995)
	for k, n := range e.filler.times {
		require.Equal(t, 1, n, k)
	}
}

// A yes is about the release that was asked about: one that has become active meanwhile is another question.
func TestABackfillAsksAboutEachReleaseThatBecomesActive(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(200)
	turn := func(number int64, r release.Release) {
		e.filler.mu.Lock()
		defer e.filler.mu.Unlock()
		e.filler.active = release.Tenure{Number: number, Release: r}
	}
	var calls atomic.Int64
	e.filler.before = func(activities.FillInput) (activities.Filled, bool, error) {
		if calls.Add(1) == 2 {
			turn(8, previous())
		}
		return activities.Filled{}, false, nil
	}
	third := release.Release{Pipeline: "shop", Version: "1.2.0", Digest: "sha256:third"}
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		yes := func(about string) func() {
			return func() {
				waits := now(t, env)
				require.Contains(t, waits.Sentence, about+" is active since")
				env.UpdateWorkflow(workflows.Decide, about, answered(t), gate.Decision{Gate: waits.Gates[0].Name, Choice: gate.Proceed, By: "bob", Reason: "so", Plan: waits.Plan})
			}
		}
		env.RegisterDelayedCallback(func() { turn(9, third) }, 30*time.Minute)
		env.RegisterDelayedCallback(yes("shop@1.0.0"), time.Hour)
		env.RegisterDelayedCallback(yes("shop@1.2.0"), 2*time.Hour)
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	for _, version := range e.filler.by {
		require.Equal(t, "1.2.0", version)
	}
}

func TestABackfillPublishesNothingOfAReleaseThatIsNotActive(t *testing.T) {
	t.Parallel()
	for choice, want := range map[gate.Choice]workflows.Stage{gate.Proceed: workflows.StageDone, gate.Keep: workflows.StageStuck} {
		t.Run(string(choice), func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.filler = newFiller(2_000)
			var calls atomic.Int64
			old := 0
			e.filler.before = func(activities.FillInput) (activities.Filled, bool, error) {
				if calls.Add(1) == 5 {
					e.filler.mu.Lock()
					defer e.filler.mu.Unlock()
					old = len(e.filler.times)
					e.filler.active = release.Tenure{Number: 8, Release: previous()}
				}
				return activities.Filled{}, false, nil
			}
			s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					waits := now(t, env)
					require.Contains(t, waits.Sentence, "shop@1.0.0 is active since")
					env.UpdateWorkflow(workflows.Decide, "1", answered(t), gate.Decision{Gate: waits.Gates[0].Name, Choice: choice, By: "bob", Reason: "so", Plan: waits.Plan})
				}, time.Hour)
			})
			require.Equal(t, want, s.Stage, s.Sentence)
			left := map[string]int{}
			for _, version := range e.filler.by {
				left[version]++
			}
			if choice == gate.Proceed {
				require.Equal(t, map[string]int{"1.0.0": 2_000}, left)
				return
			}
			require.Equal(t, map[string]int{"1.1.0": old}, left)
		})
	}
}

func TestACancelledBackfillSaysWhatItLeaves(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(2_000)
	var calls atomic.Int64
	e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
		return activities.Filled{Next: in.From, Parked: generation.PublishResult{WaitingFor: generation.ForHold, Why: "quarter end"}}, calls.Add(1) > 8, nil
	}
	s, _ := e.fillsOn(t, steer(time.Hour, conduct.Command{Kind: conduct.Cancel, By: "bob", Reason: "enough"}))
	require.Equal(t, workflows.StageStuck, s.Stage)
	require.Contains(t, s.Sentence, "cancelled by bob: enough")
	require.Contains(t, s.Sentence, "backfill rollback")
	require.Contains(t, strings.Join(e.seen(), " "), "EndBackfill prod", "its span is free")
}

// What a rollback stops in the middle says who stopped it, and what became of what it had published, not what it was before that.
func TestABackfillThatARollbackStoppedSaysWhatBecameOfIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		left  []int // at each look
		stage workflows.Stage
		says  string
	}{
		"all of it goes back, in time":      {[]int{400, 150, 0}, workflows.StageRolledBack, "what it had published was turned back"},
		"a part stays":                      {[]int{400, 150, 150, 150, 150, 150}, workflows.StageStuck, "left as they are: 150 of the "},
		"another partition was turned back": {[]int{2_000, 2_000, 2_000, 2_000, 2_000, 2_000}, workflows.StageStuck, "2000 partitions that it has published (drawbridge backfill rollback "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := smooth(t, crossing("prod"))
			e.filler = newFiller(2_000)
			stopped := "rollback/shop/prod turned it back under tenure 9"
			var calls atomic.Int64
			e.filler.before = func(activities.FillInput) (activities.Filled, bool, error) {
				if calls.Add(1) > 5 {
					return activities.Filled{}, true, fault.Newf(fault.Conflict, "build", "shop@1.1.0", "see what is active: drawbridge history shop --env prod", "its workflow was stopped: "+stopped)
				}
				return activities.Filled{}, false, nil
			}
			looks := 0
			e.filler.ended = func() activities.EndedFill {
				looks++
				return activities.EndedFill{Live: c.left[looks-1], Stopped: stopped, Turning: true}
			}
			s, _ := e.fillsOn(t, func(*testsuite.TestWorkflowEnvironment) {})
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			require.Equal(t, len(c.left), looks)
			require.Contains(t, s.Sentence, stopped)
			require.Contains(t, s.Sentence, c.says)
		})
	}
}

func TestABackfillThatMayNotGoOnEndsRefused(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(500)
	e.filler.before = func(activities.FillInput) (activities.Filled, bool, error) {
		return activities.Filled{}, true, fault.Newf(fault.Conflict, "build", "shop", "see what happened", "its workflow was stopped: a turn-back")
	}
	s, _ := e.fillsOn(t, func(*testsuite.TestWorkflowEnvironment) {})
	require.Equal(t, workflows.StageRefused, s.Stage)
	require.Contains(t, s.Sentence, "a turn-back")
}

func TestAThrottledBackfillWorksInFewerLanes(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(4_000)
	e.filler.asked.Slice = 50
	var calls atomic.Int64
	e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
		n := calls.Add(1)
		if n <= 12 { // every lane meets it, again and again
			return activities.Filled{Next: in.From, Throttled: []string{"jobs is 6, the limit is 5"}}, true, nil
		}
		return activities.Filled{}, false, nil
	}
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() {
			waits := now(t, env)
			require.Equal(t, workflows.StageCrossing, waits.Stage, "nobody is asked")
			require.Equal(t, "jobs is 6, the limit is 5", waits.Backfill.Throttled)
			require.Equal(t, 1, waits.Backfill.Lanes)
		}, 6*time.Second)
	})
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Empty(t, s.Backfill.Throttled)
	require.Equal(t, 4, s.Backfill.Lanes, "they grow again")
	require.Len(t, e.filler.times, 4_000)
}
