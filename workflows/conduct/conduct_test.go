package conduct_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/workflows/conduct"
)

func TestAWorkflowWaitsAsLongAsAnyOfItsGatesIsOpen(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var seen []conduct.Stage
	look := func() { seen = append(seen, s.now().Stage) }
	s.later(1*time.Hour, func() {
		look()
		require.Len(t, s.now().Gates, 2, "two lanes ask at the same time")
		s.both("item-1") // the second one that was asked is the first to be decided
	})
	s.later(2*time.Hour, func() {
		look()
		s.both("item-0")
	})
	status, err := s.play(toyInput{Items: 2, Lanes: 2, Ask: true})
	require.NoError(t, err)
	require.Equal(t, []conduct.Stage{conduct.StageWaiting, conduct.StageWaiting}, seen)
	require.Equal(t, conduct.StageDone, status.Stage)
	require.Equal(t, []int{0, 1}, status.Done)
}

func TestEveryGateHasTheRuleOfItsEnvironment(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.work = func(item, attempt int) error {
		if attempt <= 2 {
			return broken()
		}
		return nil
	}
	s.later(time.Hour, func() {
		s.decide("item-0", gate.Approve, "bob", "")
		s.decide("item-0", gate.Approve, "ann", "not an approver")
	})
	s.later(2*time.Hour, func() {
		require.Equal(t, conduct.StageWaiting, s.now().Stage, "the quorum is two")
		s.decide("item-0", gate.Approve, "carol", "")
	})
	s.later(3*time.Hour, func() {
		s.decide("outage-prod", gate.Retry, "dave", "not an approver")
		s.decide("outage-prod", gate.Retry, "bob", "")
	})
	status, err := s.play(toyInput{Items: 1, Lanes: 1, Ask: true})
	require.NoError(t, err)
	require.Equal(t, conduct.StageDone, status.Stage)
	for _, g := range status.Gates {
		require.Equal(t, []string{"bob", "carol"}, g.Rule.Approvers, g.Name)
	}
}

func TestOneOutageOfManyLanesIsOneGate(t *testing.T) {
	t.Parallel()
	for choice, want := range map[gate.Choice]conduct.Stage{gate.Retry: conduct.StageDone, gate.Reject: conduct.StageRefused} {
		t.Run(string(choice), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.work = func(_, attempt int) error {
				if attempt <= 2 {
					return broken()
				}
				return nil
			}
			s.later(time.Hour, func() {
				open := s.now().Gates
				require.Len(t, open, 1)
				require.Equal(t, "outage-prod", open[0].Name)
				s.decide("outage-prod", choice, "bob", "")
			})
			status, err := s.play(toyInput{Items: 4, Lanes: 4})
			require.NoError(t, err)
			require.Equal(t, want, status.Stage)
			require.Equal(t, 1, status.Asked)
		})
	}
}

func TestDecidedGatesAreForgottenInTheEndAndNamesAreNeverUsedAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	const asked = 100
	var names []string
	for i := range asked {
		s.later(time.Duration(i+1)*time.Hour, func() {
			open := s.now().Gates[0]
			names = append(names, open.Name)
			s.decide(open.Name, gate.Reject, "bob", "")
		})
	}
	status, err := s.play(toyInput{Gates: asked})
	require.NoError(t, err)
	require.Equal(t, asked, status.Asked)
	body, err := json.Marshal(status)
	require.NoError(t, err)
	require.Less(t, len(body), 64<<10, "what is carried is bounded")
	require.Equal(t, names[asked-1], status.Gates[len(status.Gates)-1].Name)
	slices.Sort(names)
	require.Len(t, slices.Compact(names), asked)
}

func TestASignalThatCannotCountIsRecorded(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.later(time.Hour, func() {
		s.SignalWorkflow(conduct.Decide, gate.Decision{Gate: "other", Choice: gate.Approve, By: "bob", Reason: "fine"})
		s.SignalWorkflow(conduct.Steer, conduct.Command{Kind: "explode", By: "bob"})
	})
	s.later(2*time.Hour, func() {
		s.SignalWorkflow(conduct.Decide, gate.Decision{Gate: "again", Plan: "0123456789abcdef", Choice: gate.Reject, By: "bob", Reason: "no"})
	})
	status, err := s.play(toyInput{Gates: 1})
	require.NoError(t, err)
	require.Len(t, status.RefusedDecisions, 2)
	require.Contains(t, status.RefusedDecisions[0], "the open gate is again")
	require.Contains(t, status.RefusedDecisions[1], "this workflow takes only pause, resume")
}

func TestResultsAreDeliveredInPlanOrder(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	second := make(chan struct{})
	s.work = func(item, _ int) error { // the first is done after the second
		switch item {
		case 0:
			<-second
		case 1:
			close(second)
		}
		return nil
	}
	status, err := s.play(toyInput{Items: 20, Lanes: 3})
	require.NoError(t, err)
	want := make([]int, 20)
	for i := range want {
		want[i] = i
	}
	require.Equal(t, want, status.Done)
	require.ElementsMatch(t, want, s.began, "each item is done once")
}

func TestAPauseHoldsEveryLaneAtTheNextEdge(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(*stage, conduct.Command){
		"by update": func(s *stage, m conduct.Command) { s.steer(m, "") },
		"by signal": func(s *stage, m conduct.Command) { s.SignalWorkflow(conduct.Steer, m) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.work = func(item, _ int) error {
				if item == 2 {
					send(s, conduct.Command{Kind: conduct.Pause, By: "bob", Reason: "too slow"})
				}
				return nil
			}
			began := 0
			s.later(time.Hour, func() {
				began = len(s.began)
				require.Equal(t, conduct.StagePaused, s.now().Stage)
				require.Contains(t, s.now().Sentence, "paused by bob: too slow")
			})
			s.later(10*time.Hour, func() {
				require.Len(t, s.began, began, "nothing begins while it is paused")
				send(s, conduct.Command{Kind: conduct.Resume, By: "bob"})
			})
			status, err := s.play(toyInput{Items: 10, Lanes: 2})
			require.NoError(t, err)
			require.Positive(t, began, "it did not wait")
			require.Less(t, began, 10)
			require.Len(t, status.Done, 10)
			require.Nil(t, status.Paused)
		})
	}
}

func TestAPauseHoldsOnceAllThatHadBegunIsAtItsEdge(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.later(1*time.Hour, func() { // both lanes work: each waits for its gate
		s.orders(conduct.Command{Kind: conduct.Pause, By: "bob", Reason: "too slow"}, func(got conduct.Steered) {
			require.False(t, got.Already)
			require.Nil(t, got.Paused.Held)
		})
	})
	s.later(2*time.Hour, func() { s.both("item-0") })
	s.later(3*time.Hour, func() {
		require.Nil(t, s.now().Paused.Held, "the other lane is not at its edge")
		s.both("item-1")
	})
	s.later(5*time.Hour, func() {
		h := s.now().Header
		require.Equal(t, conduct.StagePaused, h.Stage)
		require.Equal(t, 2*time.Hour, h.Paused.Held.Sub(h.Paused.At), "it is told how long it took")
		require.Contains(t, h.Events[len(h.Events)-1].Text, "2h0m0s after it was asked for")
		page := s.page()
		for _, text := range []string{"Paused by bob", "too slow", "2h0m0s after", "drawbridge resume default-test-workflow-id", `{"command": "resume", "by": "your name"}`} {
			require.Contains(t, page, text)
		}
		s.orders(conduct.Command{Kind: conduct.Pause, By: "carol"}, func(got conduct.Steered) {
			require.True(t, got.Already)
			require.Equal(t, "bob", got.Paused.By, "who paused it first")
		})
	})
	s.later(6*time.Hour, func() {
		s.orders(conduct.Command{Kind: conduct.Resume, By: "bob"}, func(got conduct.Steered) {
			require.False(t, got.Already)
			require.Nil(t, got.Paused)
		})
	})
	s.later(7*time.Hour, func() {
		require.NotContains(t, s.page(), "Paused by")
		s.orders(conduct.Command{Kind: conduct.Resume, By: "bob"}, func(got conduct.Steered) { require.True(t, got.Already) })
		s.both("item-2")
		s.both("item-3")
	})
	status, err := s.play(toyInput{Items: 4, Lanes: 2, Ask: true})
	require.NoError(t, err)
	require.Equal(t, []int{0, 1, 2, 3}, status.Done)
}

func TestACommandThatAWorkflowDoesNotObeyIsRefusedWithThoseThatItDoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		takes []conduct.Kind
		want  conduct.Kind
		says  string
		hint  string
	}{
		"one that others obey":      {[]conduct.Kind{conduct.Cancel}, conduct.Pause, "takes only cancel", "drawbridge cancel ID"},
		"one that nobody knows":     {[]conduct.Kind{conduct.Pause, conduct.Resume}, "explode", "takes only pause, resume", "drawbridge status ID"},
		"any, where none is obeyed": {nil, conduct.Cancel, "takes no commands", "drawbridge status ID"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := conduct.NotTaken("ID", c.want, c.takes)
			require.Equal(t, fault.Refused, fault.ClassOf(err))
			require.ErrorContains(t, err, c.says)
			require.Contains(t, fault.HintOf(err), c.hint)
		})
	}
}

func TestLanesAreSetWhileTheyWork(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	first, fourth := make(chan struct{}), make(chan struct{})
	s.work = func(item, _ int) error {
		switch item { // each is there until the other is
		case 0:
			close(first)
			<-fourth
		case 3:
			close(fourth)
			<-first
		}
		return nil
	}
	s.later(0, func() { s.steer(conduct.Command{Kind: conduct.SetLanes, By: "bob", Lanes: 4}, "") })
	status, err := s.play(toyInput{Items: 12, Lanes: 1})
	require.NoError(t, err)
	require.Len(t, status.Done, 12)
	require.GreaterOrEqual(t, s.most, 2, "the lane that was alone has company")
}

func TestFailuresAreCollectedUntilThereAreTooMany(t *testing.T) {
	t.Parallel()
	fails := func(items ...int) func(int, int) error {
		return func(item, attempt int) error {
			if slices.Contains(items, item) && attempt == 1 {
				return invalid()
			}
			return nil
		}
	}
	t.Run("few do not stop the others", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.work = fails(1, 4)
		status, err := s.play(toyInput{Items: 6, Lanes: 2, MaxFailures: 2})
		require.NoError(t, err)
		require.Equal(t, []int{0, 2, 3, 5}, status.Done)
		require.ElementsMatch(t, []string{"item-1", "item-4"}, []string{status.Line.Failed[0].Name, status.Line.Failed[1].Name})
		require.Contains(t, status.Line.Failed[0].Why, "line 5 is short")
	})
	t.Run("one too many stops the rest", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.work = fails(0, 1, 2)
		status, err := s.play(toyInput{Items: 100, Lanes: 1, MaxFailures: 2})
		require.NoError(t, err)
		require.Equal(t, conduct.StageRefused, status.Stage)
		require.Less(t, len(s.began), 10)
	})
	t.Run("where none is allowed the first is the cause, and nothing later is delivered", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.work = fails(2)
		_, err := s.play(toyInput{Items: 100, Lanes: 2})
		require.ErrorContains(t, err, "line 5 is short")
		require.Subset(t, []int{0, 1}, s.now().Done)
		require.Less(t, len(s.began), 10)
	})
}

func TestWhatFailedIsTriedAgainOrSkipped(t *testing.T) {
	t.Parallel()
	for kind, want := range map[conduct.Kind][]int{conduct.RetryFailed: {1, 2, 0}, conduct.Skip: {1, 2}} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.work = func(item, attempt int) error {
				if item == 0 && attempt == 1 {
					return invalid()
				}
				return nil
			}
			s.later(time.Hour, func() { // the second item waits at its gate, and the first has failed
				s.both("item-0")
			})
			s.later(2*time.Hour, func() {
				s.steer(conduct.Command{Kind: conduct.Skip, By: "bob", Items: []string{"item-7"}}, "has not failed")
				s.steer(conduct.Command{Kind: kind, By: "bob"}, "")
			})
			s.later(3*time.Hour, func() {
				for _, g := range s.now().Gates {
					if g.Decided == "" {
						s.both(g.Name)
					}
				}
			})
			s.later(4*time.Hour, func() {
				for _, g := range s.now().Gates {
					if g.Decided == "" {
						s.both(g.Name)
					}
				}
			})
			status, err := s.play(toyInput{Items: 3, Lanes: 2, MaxFailures: 1, Ask: true})
			require.NoError(t, err)
			require.ElementsMatch(t, want, status.Done)
			require.Empty(t, status.Line.Failed)
			require.Equal(t, kind == conduct.Skip, status.Line.Skipped == 1)
		})
	}
}

func TestLanesAreDrainedBeforeAWorkflowContinuesAsNew(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	worked := 0
	s.SetOnActivityCompletedListener(func(*activity.Info, converter.EncodedValue, error) { // where workflow code runs, and not beside it
		if worked++; worked == 10 {
			s.SetContinueAsNewSuggested(true)
		}
	})
	s.work = func(item, _ int) error {
		if item == 3 {
			return invalid()
		}
		return nil
	}
	_, err := s.play(toyInput{Items: 40, Lanes: 4, MaxFailures: 5})
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, err, &next)
	var again toyInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &again))
	require.Len(t, again.State.Done, len(s.began)-1, "what was begun is delivered, or failed")
	require.Equal(t, len(s.began), again.State.Line.Next)

	rest := newStage(t)
	rest.work = func(int, int) error { return nil }
	status, err := rest.play(again)
	require.NoError(t, err)
	require.Len(t, rest.began, 40-again.State.Line.Next, "nothing is done twice")
	require.Len(t, status.Done, 39)
	require.Equal(t, "item-3", status.Line.Failed[0].Name, "what failed is carried")
}

func TestWhatIsToBeTriedAgainIsCarriedAndHoldsNothingUp(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.work = func(item, attempt int) error {
		if item == 1 && attempt == 1 {
			return invalid()
		}
		return nil
	}
	s.later(1*time.Hour, func() { s.both("item-1") }) // fails, while both lanes are soon at a gate
	s.later(2*time.Hour, func() {
		s.SetContinueAsNewSuggested(true)
		s.steer(conduct.Command{Kind: conduct.RetryFailed, By: "bob"}, "")
	})
	s.later(3*time.Hour, func() {
		s.both("item-0")
		s.both("item-2")
	})
	_, err := s.play(toyInput{Items: 6, Lanes: 2, MaxFailures: 1, Ask: true})
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, err, &next)
	var again toyInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &again))
	require.Equal(t, []int{0, 2}, again.State.Done)
	require.Equal(t, []int{1}, again.State.Line.Again)

	again.Ask = false
	rest := newStage(t)
	status, err := rest.play(again)
	require.NoError(t, err)
	require.ElementsMatch(t, []int{0, 1, 2, 3, 4, 5}, status.Done)
	require.Len(t, rest.began, 4)
}

func TestAPauseAndTheNumberOfLanesAreCarried(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	in := toyInput{Items: 3, Lanes: 1, State: &toyState{Header: conduct.Header{
		Kind: "toy", Stage: conduct.StageCrossing, Lanes: 3, Paused: &conduct.Paused{By: "bob"},
	}}}
	s.later(5*time.Hour, func() {
		require.Empty(t, s.began)
		s.steer(conduct.Command{Kind: conduct.Resume, By: "bob"}, "")
	})
	status, err := s.play(in)
	require.NoError(t, err)
	require.Equal(t, 3, status.Lanes)
	require.Equal(t, []int{0, 1, 2}, status.Done)
}

func TestThereIsOneEnding(t *testing.T) {
	t.Parallel()
	refusal := func(int, int) error {
		return temporal.NewApplicationErrorWithOptions("it moved", string(fault.Conflict), temporal.ApplicationErrorOptions{NonRetryable: true})
	}
	wrong := func(int, int) error { return invalid() }
	for name, c := range map[string]struct {
		in    toyInput
		work  func(int, int) error
		stage conduct.Stage
		class fault.Class // of the workflow's error; empty: it completes
		says  string
	}{
		"a refusal completes":                    {in: toyInput{}, work: refusal, stage: conduct.StageRefused, says: "it moved"},
		"what was visible was turned back":       {in: toyInput{Published: true}, work: refusal, stage: conduct.StageRolledBack, says: "turned back"},
		"whatever the cause":                     {in: toyInput{Published: true}, work: wrong, stage: conduct.StageRolledBack, says: "line 5 is short"},
		"what is left makes it stuck":            {in: toyInput{Published: true, Left: []string{"2026-01-31"}}, work: wrong, stage: conduct.StageStuck, says: "2026-01-31"},
		"an input that can never work is failed": {in: toyInput{}, work: wrong, stage: conduct.StageRefused, class: fault.Invalid, says: "line 5 is short"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.work = c.work
			c.in.Items, c.in.Lanes = 3, 1
			status, err := s.play(c.in)
			if c.class != "" {
				var app *temporal.ApplicationError
				require.ErrorAs(t, err, &app)
				require.Equal(t, string(c.class), app.Type())
				status = s.now()
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, c.stage, status.Stage)
			require.Contains(t, status.Sentence, c.says)
			require.Equal(t, c.in.Published, s.undone == 1)
		})
	}
}

func TestACancelThatTurnedBackSaysSo(t *testing.T) {
	t.Parallel()
	t.Run("by command it completes", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.later(time.Hour, func() {
			s.steer(conduct.Command{Kind: conduct.Cancel, By: "bob", Reason: "wrong day"}, "")
		})
		status, err := s.play(toyInput{Items: 1, Lanes: 1, Ask: true, Published: true})
		require.NoError(t, err)
		require.Equal(t, conduct.StageRolledBack, status.Stage)
		require.Contains(t, status.Sentence, "cancelled by bob: wrong day")
		require.Contains(t, status.Sentence, "turned back")
	})
	t.Run("by Temporal it ends as cancelled and carries the status", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.later(time.Hour, s.CancelWorkflow)
		_, err := s.play(toyInput{Items: 1, Lanes: 1, Ask: true, Published: true})
		var canceled *temporal.CanceledError
		require.ErrorAs(t, err, &canceled)
		var status toyStatus
		require.NoError(t, canceled.Details(&status))
		require.Equal(t, conduct.StageRolledBack, status.Stage)
		require.Contains(t, status.Sentence, "cancelled")
	})
	t.Run("and is refused once it turns back", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.undo = func(attempt int) error {
			if attempt <= 2 {
				return broken()
			}
			return nil
		}
		s.later(time.Hour, func() { s.decide("item-0", gate.Reject, "bob", "") })
		s.later(2*time.Hour, func() {
			s.steer(conduct.Command{Kind: conduct.Cancel, By: "bob"}, "it is too late")
			s.steer(conduct.Command{Kind: conduct.Pause, By: "bob"}, "it is too late")
			s.decide("outage-prod", gate.Retry, "carol", "")
		})
		status, err := s.play(toyInput{Items: 1, Lanes: 1, Ask: true, Published: true})
		require.NoError(t, err)
		require.Equal(t, conduct.StageRolledBack, status.Stage)
	})
}

func TestTheStoryKeepsItsPlacesAndItsBounds(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.work = func(int, int) error {
		return temporal.NewApplicationErrorWithOptions(strings.Repeat("a long message ", 1000), string(fault.Invalid), temporal.ApplicationErrorOptions{NonRetryable: true})
	}
	status, err := s.play(toyInput{Items: 300, Lanes: 2, MaxFailures: 1000})
	require.NoError(t, err)
	require.NotEmpty(t, status.Events)
	for _, e := range status.Events {
		require.Equal(t, "prod", e.Environment)
		require.Less(t, len(e.Text), 1000)
	}
	require.Less(t, len(status.Events), 300)
	require.Len(t, status.Line.Failed, 300)
}
