package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/breach"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/notice"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// listening lets people be told what happens in some environments.
func (e *effects) listening(environments ...string) *effects {
	for _, env := range environments {
		e.sites[env].Policy.Notify.Receivers = map[string]pipeline.Receiver{"team": {}}
		for i := range e.plan.Summary.Environments {
			if x := &e.plan.Summary.Environments[i]; x.Name == env {
				x.Tells = true
			}
		}
	}
	return e
}

// kinds are what people were told, in order, each with its environment.
func (e *effects) kinds() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []string
	for _, told := range e.told {
		all = append(all, string(told.Kind)+" "+told.Environment)
	}
	return all
}

// event is the first one of a kind.
func (e *effects) event(t *testing.T, kind notice.Kind) notice.Event {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.told, func(told notice.Event) bool { return told.Kind == kind })
	require.GreaterOrEqual(t, i, 0, "nobody was told of %s", kind)
	return e.told[i]
}

func TestWhereNobodyListensNothingIsAnnounced(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Approval.Required = true
	e := smooth(t, x)
	s, err := e.deploy(t, decide(time.Hour, yes("approval-prod"), answered(t)))
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.NotContains(t, e.seen(), "Announce prod")
}

func TestPeopleAreToldOfAGateOfItsDecisionAndOfWhatIsLive(t *testing.T) {
	t.Parallel()
	dev, prod := crossing("dev"), crossing("prod")
	prod.Approval.Required, prod.Watch = true, plan.Watch{For: 2 * time.Hour, Every: time.Hour}
	e := smooth(t, dev, prod).listening("prod")
	s, err := e.deploy(t, decide(3*time.Hour, yes("approval-prod"), answered(t)))
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Equal(t, []string{"gate_opened prod", "gate_decided prod", "deployment_live prod"}, e.kinds(), "and nothing of dev")

	open := e.event(t, notice.GateOpened)
	require.Equal(t, "approval-prod", open.Gate)
	require.Contains(t, open.What, "publish shop@1.1.0 to prod?")
	require.Equal(t, "within budget (1 of 3 partitions compared)", open.Why)
	require.Equal(t, "ann", open.By)
	require.Equal(t, "shop@1.1.0", open.Release)
	require.Equal(t, planDigest, open.Plan)
	require.Equal(t, open.At.Add(72*time.Hour), *open.Deadline)
	require.Contains(t, open.Commands[0], " --gate approval-prod --plan 0123456789ab --reason TEXT")
	require.True(t, strings.HasPrefix(open.Commands[0], "drawbridge approve "))
	require.Contains(t, e.event(t, notice.GateDecided).What, "approve by bob: the numbers are right")
	live := e.event(t, notice.DeploymentLive)
	require.Contains(t, live.What, "watched for 2h")
	require.Equal(t, notice.Number{Name: "partitions published", Value: "3"}, live.Numbers[0])
}

func TestPeopleAreToldHowAWorkflowEnds(t *testing.T) {
	t.Parallel()
	no := yes("approval-prod")
	no.Choice = gate.Reject
	for name, c := range map[string]struct {
		prepare func(*effects)
		reject  bool // by a person
		ends    func(*testing.T, *effects) (workflows.Status, error)
		told    []string
		what    string
	}{
		"a deployment that a person rejects": {
			reject: true, told: []string{"gate_opened prod", "gate_decided prod", "deployment_refused prod"}, what: "reject by bob",
		},
		"a deployment that is refused before it crosses": {
			prepare: func(e *effects) {
				x := &e.plan.Summary.Environments[0]
				x.Blocking, x.Problems = 1, []plan.Problem{{Blocking: true, Object: "fct_orders", Text: "a column is dropped"}}
			},
			told: []string{"deployment_refused prod"}, what: "a column is dropped",
		},
		"a deployment whose canary fails": {
			prepare: func(e *effects) {
				e.compare = func(activities.CompareInput) (activities.CompareResult, error) {
					return activities.CompareResult{Verdict: gate.Verdict{Outcome: gate.Fail, Reason: "revenue doubled"}}, nil
				}
			},
			told: []string{"deployment_refused prod"}, what: "revenue doubled",
		},
		"a release that a watch turns back": {
			prepare: func(e *effects) {
				x := &e.plan.Summary.Environments[0]
				x.Watch, x.Approval.Required = plan.Watch{For: 10 * time.Hour, Every: time.Hour, OnBreach: "rollback"}, false
				x.Steps = steps(*x)
				e.rule(x.Approval)
				e.look = func(activities.LookInput) (activities.Look, error) {
					return fell("revenue fell by half", breach.Release), nil
				}
			},
			told: []string{"deployment_live prod", "watch_breached prod", "deployment_rolled_back prod"}, what: "revenue fell by half",
		},
		"a run that its audit refuses": {
			prepare: func(e *effects) {
				e.build = func(ctx context.Context, in activities.SliceInput) (activities.SliceResult, error) {
					return e.built(ctx, in, gate.Fail)
				}
			},
			ends: func(t *testing.T, e *effects) (workflows.Status, error) { t.Helper(); return e.run(t) },
			told: []string{"run_failed prod"}, what: "has failed",
		},
		"a run that publishes": {
			ends: func(t *testing.T, e *effects) (workflows.Status, error) { t.Helper(); return e.run(t) },
		},
		"a rollback of a person's": {
			prepare: func(e *effects) { e.deployed("prod", day("slice-1")) },
			ends:    func(t *testing.T, e *effects) (workflows.Status, error) { t.Helper(); return e.rollback(t) },
			told:    []string{"deployment_rolled_back prod"}, what: "shop@1.0.0 is active in prod",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := crossing("prod")
			x.Approval.Required = true
			e := smooth(t, x).listening("prod")
			if c.prepare != nil {
				c.prepare(e)
			}
			ends := c.ends
			if ends == nil {
				ends = func(t *testing.T, e *effects) (workflows.Status, error) {
					t.Helper()
					if !c.reject {
						return e.deploy(t)
					}
					return e.deploy(t, decide(time.Hour, no, answered(t)))
				}
			}
			_, err := ends(t, e)
			require.NoError(t, err)
			require.Equal(t, c.told, e.kinds())
			if len(c.told) > 0 {
				require.Contains(t, e.told[len(e.told)-1].What+e.told[len(e.told)-1].Why, c.what)
			}
		})
	}
}

func TestABreachThatPersistsIsToldAgain(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Watch = plan.Watch{For: 12 * time.Hour, Every: time.Hour, OnBreach: "ask"}
	e := smooth(t, x).listening("prod")
	e.look = func(activities.LookInput) (activities.Look, error) { return fell("revenue fell", breach.Release), nil }
	d := yes("watch-breach-prod")
	d.Choice = gate.Keep
	_, err := e.deploy(t, decide(2*time.Hour, d, answered(t)))
	require.NoError(t, err)
	require.Equal(t, []string{
		"deployment_live prod", "watch_breached prod", "gate_opened prod", "gate_decided prod", "watch_still_breached prod", "watch_still_breached prod", "watch_still_breached prod",
	}, e.kinds()[:7])
	ids := map[string]bool{}
	for _, told := range e.told {
		ids[string(told.Kind)+told.ID] = true
	}
	require.Len(t, ids, len(e.told), "each is an event of its own")
}

// A ledger in which nothing can be noted delays a deployment by nothing but its end, and by no more than any other effect.
func TestWhatCannotBeNotedHoldsNothingUp(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Approval.Required = true
	e := smooth(t, x).listening("prod")
	e.announce = func(activities.AnnounceInput) error { return errors.New("the warehouse is away") }
	env := e.environment(t)
	decide(time.Minute, yes("approval-prod"), answered(t))(env)
	moments := e.at(env, "Attest prod")
	began := env.Now()
	in := workflows.DeploymentInput{Pipeline: "shop", Release: candidate(), By: "ann", Environments: []string{"prod"}}
	env.ExecuteWorkflow(workflows.DeploymentName, in)
	s, err := result(t, env)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Less(t, (*moments)[0], 2*time.Minute)
	require.Less(t, env.Now().Sub(began), time.Hour)
}

// What is told is told in order, and before the workflow ends: also where nothing can be noted for a while.
func TestWhatIsToldIsToldInOrderOnceItCanBeNoted(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Approval.Required = true
	e := smooth(t, x).listening("prod")
	tries := 0
	e.announce = func(activities.AnnounceInput) error {
		if tries++; tries < 6 {
			return errors.New("the warehouse is away")
		}
		return nil
	}
	_, err := e.deploy(t, decide(time.Second, yes("approval-prod"), answered(t)))
	require.NoError(t, err)
	require.Equal(t, []string{"gate_opened prod", "gate_decided prod", "deployment_live prod"}, e.kinds())
}

func TestPeopleAreToldHowABackfillGoes(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("prod"))
	e.filler = newFiller(600)
	e.filler.tells, e.filler.asked.Slice, e.filler.asked.Lanes = true, 20, 1
	for _, i := range []int{10, 30, 50, 70} {
		e.filler.poison[key(i)] = true
	}
	s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
		for _, after := range []time.Duration{time.Hour, 2 * time.Hour} {
			env.RegisterDelayedCallback(func() {
				waits := now(t, env)
				choice := gate.Proceed
				if !slices.Contains(waits.Gates[0].Choices, choice) {
					choice = gate.Keep
				}
				env.UpdateWorkflow(workflows.Decide, fmt.Sprint(after), answered(t), gate.Decision{Gate: waits.Gates[0].Name, Choice: choice, By: "bob", Reason: "so", Plan: waits.Plan})
			}, after)
		}
	})
	require.Equal(t, workflows.StageStuck, s.Stage)
	require.Equal(t, []string{
		"backfill_started prod", "backfill_failures prod", "gate_opened prod", "gate_decided prod", "gate_opened prod", "gate_decided prod", "backfill_ended prod",
	}, e.kinds())
	started := e.event(t, notice.BackfillStarted)
	require.Equal(t, "corrected files", started.Why)
	require.Contains(t, started.Numbers, notice.Number{Name: "partitions published", Value: "0 of 600"})
	require.Contains(t, e.event(t, notice.BackfillFailures).Numbers, notice.Number{Name: "partitions failed", Value: "4", Limit: "3"})
	require.Contains(t, e.event(t, notice.BackfillEnded).What, "596 partitions published")
}

// A backfill that publishes nothing for ten minutes is told once, with why; one that is paused or waits for a person is none.
func TestABackfillThatStallsIsToldOnce(t *testing.T) {
	t.Parallel()
	fills := func(t *testing.T, throttled time.Duration, prepare ...func(*testsuite.TestWorkflowEnvironment)) *effects {
		t.Helper()
		e := smooth(t, crossing("prod"))
		e.filler = newFiller(600)
		e.filler.tells, e.filler.asked.Lanes = true, 1
		var clock func() time.Time
		var until time.Time
		e.filler.before = func(in activities.FillInput) (activities.Filled, bool, error) {
			if until.IsZero() {
				until = clock().Add(throttled)
			}
			if in.Slice == 1 && clock().Before(until) {
				return activities.Filled{Next: in.From, Throttled: []string{"replica lag: 40 s, above 30 s"}}, true, nil
			}
			return activities.Filled{}, false, nil
		}
		s, _ := e.fillsOn(t, func(env *testsuite.TestWorkflowEnvironment) {
			clock = env.Now
			for _, p := range prepare {
				p(env)
			}
		})
		require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
		return e
	}
	t.Run("throttled for an hour", func(t *testing.T) {
		t.Parallel()
		e := fills(t, time.Hour)
		require.Equal(t, []string{"backfill_started prod", "backfill_stalled prod", "backfill_ended prod"}, e.kinds())
		require.Contains(t, e.event(t, notice.BackfillStalled).Why, "replica lag")
	})
	t.Run("throttled for less", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, []string{"backfill_started prod", "backfill_ended prod"}, fills(t, 8*time.Minute).kinds())
	})
	t.Run("paused for an hour", func(t *testing.T) {
		t.Parallel()
		e := fills(t, time.Minute, steer(30*time.Second, conduct.Command{Kind: conduct.Pause, By: "bob"}), steer(time.Hour, conduct.Command{Kind: conduct.Resume, By: "bob"}))
		require.Equal(t, []string{"backfill_started prod", "backfill_ended prod"}, e.kinds())
	})
}

func TestAnEnvironmentHasPeopleToldWhenItIsDue(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	e.survey = []activities.Surveyed{{House: activities.House{Schema: "shop_dev"}, Tells: true}}
	env := e.environment(t)
	moments := e.at(env, "Deliver")
	start := env.Now()
	due := []time.Duration{3*time.Hour + 20*time.Minute, 3*time.Hour + 40*time.Minute}
	e.deliver = func() (activities.Delivered, error) {
		for _, d := range due {
			if at := start.Add(d); at.After(env.Now()) {
				return activities.Delivered{Next: at}, nil
			}
		}
		return activities.Delivered{}, nil
	}
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(workflows.Owed, nil) }, 5*time.Hour+30*time.Minute)
	e.live(t, env)
	for _, want := range append(due, 5*time.Hour+30*time.Minute, 10*time.Second) { // and when it begins: an earlier run may have known
		require.True(t, slices.ContainsFunc(*moments, func(m time.Duration) bool { return m >= want && m < want+time.Minute }), "%s: %v", want, *moments)
	}
	require.Less(t, len(*moments), 24+8, "and when it keeps house")
}

// House may be kept for hours; nobody who is owed something waits for that.
func TestPeopleAreToldWhileHouseIsKept(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	e.survey = []activities.Surveyed{{House: activities.House{Schema: "shop_dev"}, Tells: true}}
	failures := 0
	e.deliver = func() (activities.Delivered, error) {
		if failures++; failures < 3 {
			return activities.Delivered{}, fault.Newf(fault.Refused, "tell", "people", "", "not now")
		}
		return activities.Delivered{}, nil
	}
	env := e.environment(t)
	e.live(t, env)
	seen := e.seen()
	require.Greater(t, failures, 3, "what failed is tried again")
	require.Less(t, slices.Index(seen, "Deliver"), len(seen)/2)
}

func TestWhereNobodyIsToldAnEnvironmentDeliversNothing(t *testing.T) {
	t.Parallel()
	e := smooth(t, crossing("dev"))
	e.survey = []activities.Surveyed{{House: activities.House{Schema: "shop_dev"}}}
	e.live(t, e.environment(t))
	require.NotContains(t, e.seen(), "Deliver")
}
