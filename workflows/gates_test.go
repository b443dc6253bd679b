package workflows_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/breach"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/workflows"
)

func TestSmokeBuildsWhatIsPublishedAndWhatIsOnlyTried(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Slices, x.Aside = 1, 2
	e := smooth(t, x)
	var asked []activities.SliceInput
	e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
		asked = append(asked, in)
		if in.Aside {
			return e.built(ctx, in, gate.Fail)
		}
		return e.built(ctx, in, gate.Pass)
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRefused, s.Stage, "an audit that fails aside refuses too")
	require.Len(t, asked, 2)
	require.False(t, asked[0].Aside)
	require.True(t, asked[1].Aside)
	require.NotEqual(t, asked[0].Step, asked[1].Step, "each has an effect key of its own")
	require.NotContains(t, e.seen(), "CompareCanary prod")
}

func TestAControlIsTheActiveReleaseInTheCandidatesPlace(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Slices = 1
	e := smooth(t, x)
	e.baseline = func(in activities.BaselineInput) (activities.BaselineResult, error) {
		return activities.BaselineResult{NeedControl: in.Pieces}, nil
	}
	var control *activities.SliceInput
	e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
		if in.Control != nil {
			control = &in
		}
		return e.built(ctx, in, gate.Pass)
	}
	var compared activities.CompareInput
	e.compare = func(in activities.CompareInput) (activities.CompareResult, error) {
		compared = in
		return activities.CompareResult{Verdict: gate.Verdict{Outcome: gate.Pass}}, nil
	}
	_, err := e.deploy(t)
	require.NoError(t, err)
	require.NotNil(t, control)
	require.Equal(t, previous(), *control.Control)
	require.Equal(t, candidate(), control.Target.Release, "the place is the crossing's: its config, its files, its warehouse")
	require.Equal(t, compared.Target.Config, control.Target.Config)
	require.Len(t, compared.Control, 1)
	require.NotEqual(t, compared.Pieces[0].Swap.To, compared.Control[0].Swap.To)
}

func TestACanaryWithNothingToCompareIsNoQuestionAndNoPass(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Slices, x.Active = 1, nil
	e := smooth(t, x)
	e.ledgers["prod"].active = 0
	e.compare = func(activities.CompareInput) (activities.CompareResult, error) {
		return activities.CompareResult{Verdict: gate.Verdict{Outcome: gate.None, Reason: "no baseline"}}, nil
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Empty(t, s.Gates)
	require.Equal(t, gate.None, s.Crossings[0].Verdicts[1].Verdict.Outcome)
}

func TestAnInconclusiveCanaryIsPublishedWithAPersonsWordAboutThatOne(t *testing.T) {
	t.Parallel()
	unsure := func(activities.CompareInput) (activities.CompareResult, error) {
		return activities.CompareResult{Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: "nothing could be compared"}}, nil
	}
	for name, c := range map[string]struct {
		runs    int      // how often a run moves what was compared
		answers []string // to which gates
		stage   workflows.Stage
	}{
		"once":                                {answers: []string{"canary-prod"}, stage: workflows.StageDone},
		"again, when it was compared again":   {runs: 1, answers: []string{"canary-prod", "canary-prod-2"}, stage: workflows.StageDone},
		"and not with one about what is gone": {runs: 1, answers: []string{"canary-prod"}, stage: workflows.StageRefused},
		"and not without any":                 {stage: workflows.StageRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := crossing("prod")
			x.Slices = 1
			e := smooth(t, x)
			e.compare = unsure
			tries := 0
			publish := e.publish
			e.publish = func(ctx context.Context, in activities.PublishInput) (generation.PublishResult, error) {
				if tries++; tries <= c.runs {
					require.True(t, e.runs(ctx, t, "prod", day("canary"), tries).Done)
				}
				return publish(ctx, in)
			}
			s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
				for i, name := range c.answers {
					decide(time.Duration(i+1)*time.Minute, yes(name), answered(t))(env)
				}
			})
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			require.Equal(t, c.stage == workflows.StageDone, e.ledgers["prod"].now().Release == candidate())
		})
	}
}

// fell is a look at which a check failed, and who is to blame.
func fell(reason string, cause breach.Cause) activities.Look {
	b := breach.Breach{Check: "revenue", Cause: cause, Why: "why"}
	if cause == breach.Run {
		b.Workflow, b.Mend = "run/shop/prod/2026-01-05", []string{"drawbridge rollback shop --env prod --partition 2026-01-05 --to 11 --reason TEXT"}
	}
	return activities.Look{Verdict: gate.Verdict{Outcome: gate.Fail, Reason: reason}, Breaches: []breach.Breach{b}}
}

func TestOnlyTheReleasesOwnBreachTurnsItBackByItself(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cause    breach.Cause
		onBreach string
		first    bool
		asks     string // empty: it turns back
	}{
		"the release":                        {breach.Release, "rollback", false, ""},
		"the release, where policy says ask": {breach.Release, "ask", false, "because of this release"},
		"the release, which is the first":    {breach.Release, "rollback", true, "no release was active before"},
		"a later run":                        {breach.Run, "rollback", false, "drawbridge rollback shop --env prod --partition 2026-01-05 --to 11 --reason TEXT"},
		"nobody known":                       {breach.Unknown, "rollback", false, "not known"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := crossing("prod")
			x.Slices, x.Watch = 1, plan.Watch{For: 10 * time.Hour, Every: time.Hour, OnBreach: c.onBreach}
			if c.first {
				x.Active, x.RollbackTo = nil, nil
			}
			e := smooth(t, x)
			e.look = func(activities.LookInput) (activities.Look, error) { return fell("revenue fell", c.cause), nil }
			var asked string
			keep := yes("watch-breach-prod")
			keep.Choice = gate.Keep
			s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
				if c.asks == "" {
					return
				}
				env.RegisterDelayedCallback(func() {
					g, _ := now(t, env).Open()
					asked = g.Question
				}, 2*time.Hour)
				decide(3*time.Hour, keep, answered(t))(env)
			})
			require.NoError(t, err)
			if c.asks == "" {
				require.Equal(t, workflows.StageRolledBack, s.Stage)
				e.unchanged(t, "prod")
				return
			}
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Contains(t, asked, c.asks)
			require.Equal(t, 1, s.Asked, "what was decided is not asked again")
			last := s.Crossings[0].Verdicts[len(s.Crossings[0].Verdicts)-1]
			require.Equal(t, gate.Fail, last.Verdict.Outcome, "it stays visible")
			require.Greater(t, last.Times, 5)
			told := 0
			for _, event := range s.Events {
				if event.Step == plan.StepWatch && len(event.Text) > 14 && event.Text[:14] == "still breached" {
					told++
				}
			}
			require.Positive(t, told, "it is told again")
			require.Less(t, told, last.Times, "and not at every look")
		})
	}
}

func TestABreachThatWasKeptAndIsOverIsAskedAnew(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Slices, x.Watch = 1, plan.Watch{For: 10 * time.Hour, Every: time.Hour, OnBreach: "rollback"}
	e := smooth(t, x)
	looks := 0
	e.look = func(activities.LookInput) (activities.Look, error) {
		looks++
		if looks == 1 || looks > 3 {
			return fell("revenue fell", breach.Unknown), nil
		}
		return activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass, Reason: "1 check passed"}}, nil
	}
	keep := yes("watch-breach-prod")
	keep.Choice = gate.Keep
	back := keep
	back.Gate, back.Choice = "watch-breach-prod-2", gate.Rollback
	s, err := e.deploy(t, decide(30*time.Minute, keep, answered(t)), decide(20*time.Hour, back, answered(t)))
	require.NoError(t, err)
	require.Equal(t, 2, s.Asked)
	require.Equal(t, workflows.StageRolledBack, s.Stage)
}

func TestARejectionMayTakeTheEarlierEnvironmentsBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		person bool
		policy pipeline.Compensate
		all    bool
	}{
		"the one that was rejected": {false, pipeline.CompensateFailed, false},
		"all, by the person's word": {true, pipeline.CompensateFailed, true},
		"all, by the policy":        {false, pipeline.CompensateAll, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev, prod := crossing("dev"), crossing("prod")
			dev.Slices, prod.Slices = 1, 1
			prod.Approval, prod.Compensate = gate.Approval{Required: true}, c.policy
			e := smooth(t, dev, prod)
			no := yes("approval-prod")
			no.Choice, no.CompensateAll = gate.Reject, c.person
			var offered []string
			s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					g, _ := now(t, env).Open()
					offered = g.Earlier
				}, time.Hour)
			}, decide(2*time.Hour, no, answered(t)))
			require.NoError(t, err)
			require.Equal(t, []string{"dev"}, offered)
			want := map[bool]string{false: "live", true: "turned_back"}[c.all]
			require.Equal(t, want, s.Crossings[0].State)
			if c.all {
				e.unchanged(t, "dev")
			}
		})
	}
}

// An environment in which turning back stops stops no other one, and is named.
func TestADeploymentTurnsBackInTheOtherEnvironmentsWhereOneFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		person bool
		policy pipeline.Compensate
		back   bool
	}{
		"all, by the person's word": {true, pipeline.CompensateFailed, true},
		"all, by the policy":        {false, pipeline.CompensateAll, true},
		"only the one that failed":  {false, pipeline.CompensateFailed, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dev, staging, prod := crossing("dev"), crossing("staging"), crossing("prod")
			dev.Slices, staging.Slices, prod.Slices = 1, 1, 1
			prod.Approval, prod.Compensate = gate.Approval{Required: true}, c.policy
			e := smooth(t, dev, staging, prod)
			no := yes("approval-prod")
			no.Choice, no.CompensateAll = gate.Reject, c.person
			s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					l := e.ledgers["prod"]
					l.mu.Lock()
					defer l.mu.Unlock()
					l.stays = fault.Newf(fault.Refused, "leave", "prod", "look", "its ledger is gone")
				}, time.Hour)
			}, decide(2*time.Hour, no, answered(t)))
			require.NoError(t, err)
			require.Equal(t, workflows.StageStuck, s.Stage, s.Sentence)
			require.Contains(t, s.Sentence, "prod: turning back stopped: leave prod: its ledger is gone")
			if !c.back {
				require.Equal(t, "live", s.Crossings[0].State)
				return
			}
			e.unchanged(t, "dev")
			e.unchanged(t, "staging")
			require.Equal(t, []string{"turned_back", "turned_back"}, []string{s.Crossings[0].State, s.Crossings[1].State})
		})
	}
}

// While a question of the watch is open the watch goes on looking, and the question says how it is now.
func TestAnOpenQuestionOfTheWatchFollowsWhatIsSeen(t *testing.T) {
	t.Parallel()
	breached := func(causes ...breach.Cause) activities.Look {
		out := activities.Look{Verdict: gate.Verdict{Outcome: gate.Fail, Reason: fmt.Sprintf("%d fell", len(causes))}}
		for i, cause := range causes {
			out.Breaches = append(out.Breaches, breach.Breach{Check: fmt.Sprintf("check-%d", i), Cause: cause, Why: "why"})
		}
		return out
	}
	passes := activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass, Reason: "1 check passed"}}
	late := activities.Look{Verdict: gate.Verdict{Outcome: gate.Pass}, Late: "newest data is 30h old"}
	cases := map[string]struct {
		looks     []activities.Look // the last one stays
		meanwhile string            // what the question says at half past the second look
		why       string            // of its end
		stage     workflows.Stage
	}{
		"it mends itself":              {[]activities.Look{breached(breach.Unknown), breached(breach.Unknown), passes}, "1 fell", "holds again", workflows.StageDone},
		"another check fails too":      {[]activities.Look{breached(breach.Unknown), breached(breach.Unknown, breach.Unknown), passes}, "2 fell", "holds again", workflows.StageDone},
		"the release is found guilty":  {[]activities.Look{breached(breach.Unknown), breached(breach.Unknown), breached(breach.Release)}, "1 fell", "breached", workflows.StageRolledBack},
		"late data comes after all":    {[]activities.Look{late, late, passes}, "30h old", "so no more", workflows.StageDone},
		"late data, and then a breach": {[]activities.Look{late, late, breached(breach.Release)}, "30h old", "so no more", workflows.StageRolledBack},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := crossing("prod")
			x.Slices, x.Watch = 1, plan.Watch{For: 10 * time.Hour, Every: time.Hour, OnBreach: "rollback"}
			e := smooth(t, x)
			looks := 0
			e.look = func(activities.LookInput) (activities.Look, error) {
				looks++
				return c.looks[min(looks, len(c.looks))-1], nil
			}
			s, err := e.deploy(t, func(env *testsuite.TestWorkflowEnvironment) {
				env.RegisterDelayedCallback(func() {
					open, ok := now(t, env).Open()
					require.True(t, ok)
					require.Contains(t, open.Verdict.Reason, c.meanwhile)
				}, 90*time.Minute)
			})
			require.NoError(t, err)
			require.Equal(t, c.stage, s.Stage, s.Sentence)
			require.Equal(t, gate.Withdrawn, s.Gates[0].Decided)
			require.Contains(t, s.Gates[0].Why, c.why)
			require.Equal(t, 1, s.Asked)
		})
	}
}

// An approval counts for as long as its gate would have been open. What waits longer, for a hold or for sessions, is not published
// under it, and is asked about again.
func TestAnApprovalThatExpiresBeforeItsPublishIsAskedForAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		again func(t *testing.T) func(*testsuite.TestWorkflowEnvironment)
		stage workflows.Stage
	}{
		"and given": {func(t *testing.T) func(*testsuite.TestWorkflowEnvironment) {
			t.Helper()
			return decide(160*time.Hour, yes("approval-prod-2"), answered(t))
		}, workflows.StageDone},
		"and refused": {func(t *testing.T) func(*testsuite.TestWorkflowEnvironment) {
			t.Helper()
			no := yes("approval-prod-2")
			no.Choice = gate.Reject
			return decide(160*time.Hour, no, answered(t))
		}, workflows.StageRefused},
		"and not answered": {func(*testing.T) func(*testsuite.TestWorkflowEnvironment) {
			return func(*testsuite.TestWorkflowEnvironment) {}
		}, workflows.StageRefused},
	} {
		for step, hold := range map[string]func(*ledger, bool){
			"before the schema is expanded": func(l *ledger, stands bool) {
				if l.hold = ""; stands {
					l.hold = "quarter end (set by ann)"
				}
			},
			"before the first publish": func(l *ledger, stands bool) {
				if l.meddle = nil; stands {
					l.meddle = func(generation.PublishSpec, []generation.Swap) (generation.PublishResult, error) {
						return generation.PublishResult{WaitingFor: generation.ForHold, Why: "quarter end"}, nil
					}
				}
			},
		} {
			t.Run(name+" "+step, func(t *testing.T) {
				t.Parallel()
				x := crossing("prod")
				x.Slices, x.Approval = 1, gate.Approval{Required: true}
				e := smooth(t, x)
				l := e.ledgers["prod"]
				hold(l, true)
				var waits workflows.Status
				s, err := e.deploy(t, decide(time.Minute, yes("approval-prod"), answered(t)), c.again(t), func(env *testsuite.TestWorkflowEnvironment) {
					l.clock = env.Now
					env.RegisterDelayedCallback(func() {
						l.mu.Lock()
						defer l.mu.Unlock()
						hold(l, false)
					}, 100*time.Hour)
					env.RegisterDelayedCallback(func() { waits = now(t, env) }, 150*time.Hour)
				})
				require.NoError(t, err)
				open, _ := waits.Open()
				require.Equal(t, "approval-prod-2", open.Name)
				require.Contains(t, open.Question, "the approval of bob expired at ")
				require.Equal(t, c.stage, s.Stage, s.Sentence)
				require.Equal(t, c.stage == workflows.StageDone, l.tenure(l.active).Release == candidate(), "only what was approved again is published")
			})
		}
	}
}
