package conduct_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/workflows/conduct"
)

// stopping is what a turn-back tells the start of a workflow that it has stopped.
func stopping(of effect.Owner) conduct.Command {
	return conduct.Command{Kind: conduct.Cancel, By: "rollback/shop/prod", Reason: "turned back under tenure 7 (a late file)", For: of}
}

// self is the toy as effects know it: the test environment has no first run.
var self = effect.OwnerOf("default-test-workflow-id", "")

func TestATurnBackEndsWhatItHasStopped(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*stage){
		"while it waits at a gate": func(*stage) {},
		"when one of two has approved": func(s *stage) {
			s.decide("again", gate.Approve, "bob", "")
		},
		"while it is paused": func(s *stage) {
			s.both("again")
			s.steer(conduct.Command{Kind: conduct.Pause, By: "bob"}, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.later(1*time.Hour, func() { before(s) })
			s.later(2*time.Hour, func() { s.SignalWorkflow(conduct.Steer, stopping(self)) })
			status, err := s.play(toyInput{Gates: 1, Items: 3, Lanes: 1})
			require.NoError(t, err, "a moved world is a completed workflow")
			require.Equal(t, conduct.StageRefused, status.Stage)
			require.Contains(t, status.Sentence, "stopped by rollback/shop/prod: turned back under tenure 7 (a late file)")
			require.Contains(t, status.Hint, "drawbridge history shop --env prod")
			require.Nil(t, status.Paused)
			require.Empty(t, status.RefusedDecisions)
			_, open := status.Open()
			require.False(t, open)
			require.Len(t, status.Gates, 1)
			if g := status.Gates[0]; name != "while it is paused" {
				require.Equal(t, gate.Withdrawn, g.Decided, "nobody said no")
				require.Contains(t, g.Why, "stopped by rollback/shop/prod")
			}
		})
	}
}

func TestAWorkflowThatWasStartedSinceIsNotStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	earlier := effect.OwnerOf(self.Workflow(), "00000000-0000-4000-8000-00000000000e")
	s.later(1*time.Hour, func() {
		s.SignalWorkflow(conduct.Steer, stopping(earlier))
		s.steer(stopping(earlier), "it is meant for an earlier start of it")
	})
	s.later(2*time.Hour, func() {
		require.Equal(t, conduct.StageWaiting, s.now().Stage)
		require.Len(t, s.now().RefusedDecisions, 1)
		require.Contains(t, s.now().RefusedDecisions[0], "earlier start")
		s.both("again")
	})
	status, err := s.play(toyInput{Gates: 1, Items: 1, Lanes: 1})
	require.NoError(t, err)
	require.Equal(t, conduct.StageDone, status.Stage)
}

// A person who cancelled has said no, whatever stops the workflow as well; a turn-back is no person's word.
func TestOnlyAPersonsCancelIsAPersonsWord(t *testing.T) {
	t.Parallel()
	person := conduct.Command{Kind: conduct.Cancel, By: "carol", Reason: "not on a Friday"}
	for name, c := range map[string]struct {
		sent []conduct.Command
		says string
		no   []string
	}{
		"a turn-back":                       {[]conduct.Command{stopping(self)}, "stopped by rollback/shop/prod", nil},
		"a person":                          {[]conduct.Command{person}, "cancelled by carol: not on a Friday", []string{"carol"}},
		"a turn-back, right after a person": {[]conduct.Command{person, stopping(self)}, "cancelled by carol", []string{"carol"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.later(time.Hour, func() {
				for _, m := range c.sent {
					s.SignalWorkflow(conduct.Steer, m)
				}
			})
			status, err := s.play(toyInput{Gates: 1, Items: 1, Lanes: 1})
			require.NoError(t, err)
			require.Contains(t, status.Sentence, c.says)
			require.Equal(t, c.no, status.No)
		})
	}
}

// What meets its turn-back by itself, and is on its way back when it is told, has refused nobody's decision.
func TestWhoEndsAlreadyNeedsNotBeStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.work = func(int, int) error { return broken() }
	s.later(time.Hour, func() { s.decide("outage-prod", gate.Reject, "bob", "") })
	s.undo = func(int) error {
		s.SignalWorkflow(conduct.Steer, stopping(self))
		return nil
	}
	status, err := s.play(toyInput{Items: 1, Lanes: 1, Published: true})
	require.NoError(t, err)
	require.Equal(t, conduct.StageRolledBack, status.Stage)
	require.Contains(t, status.Sentence, "reject by bob")
	require.Empty(t, status.RefusedDecisions)
}
