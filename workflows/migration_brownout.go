package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/notice"
	"drawbridge/workflows/conduct"
)

// brownout tries contract in the last stretch of the window, once nobody is known to be in the way, for as long as the plan says. A pause
// takes it back at once, and it is begun anew when the pause is over.
func (m *migrating) brownout(ctx workflow.Context) error {
	s := m.state
	for s.Plan.Brownout > 0 && !s.Brownout.Held {
		if !s.Brownout.On() {
			if err := m.darken(ctx); err != nil {
				return err
			}
		}
		if left := s.Dark.Add(s.Plan.Brownout).Sub(workflow.Now(ctx)); left > 0 {
			if err := m.Rest(ctx, left, "the brownout", func() bool { return m.Header().Paused != nil }); err != nil {
				return err
			}
		}
		if err := m.lighten(ctx); err != nil {
			return err
		}
	}
	return nil
}

// darken begins the brownout, as soon as it may.
func (m *migrating) darken(ctx workflow.Context) error {
	s, at, told := m.state, m.at("brownout"), ""
	for wait := (holding{}); ; {
		if err := m.Checkpoint(ctx); err != nil {
			return err
		}
		if left := s.Until.Add(-s.Plan.Brownout).Sub(workflow.Now(ctx)); left > 0 {
			if err := m.Rest(ctx, left, "the deprecation window", func() bool { return false }); err != nil {
				return err
			}
			continue
		}
		m.heard = false
		out, err := BrownOut.Do(ctx, m.Conductor, at, "begin the brownout", activities.BrownoutInput{Target: s.Target, On: true, Round: s.Browned})
		switch {
		case err != nil:
			return err
		case out.Held != "":
			if err := wait.out(ctx, m.Conductor, at, out.Held); err != nil {
				return err
			}
			continue
		case len(out.Blocked) == 0:
			s.Brownout, s.Dark, s.Blocked.Why = out.Tried, workflow.Now(ctx), nil
			m.At(ctx, StageCrossing, at, fmt.Sprintf("brownout: %s, until %s; pause takes that back at once", s.Plan.Refuses, s.Dark.Add(s.Plan.Brownout).UTC().Format(time.RFC3339)))
			m.tell(ctx, notice.MigrationBrownout)
			return nil
		}
		s.Blocked.Why = out.Blocked
		if sentence := "the brownout waits: " + strings.Join(firstOf(out.Blocked), "; "); sentence != told {
			told = sentence
			m.At(ctx, StageWatching, at, sentence)
		}
		if err := m.Rest(ctx, lookForReaders, "until the brownout may begin", func() bool { return m.heard }); err != nil {
			return err
		}
		if err := m.grown(ctx); err != nil {
			return err
		}
	}
}

// lighten ends the brownout, also for whoever is cancelled: what it took is given back.
func (m *migrating) lighten(ctx workflow.Context) error {
	s, at := m.state, m.at("brownout")
	calm, _ := workflow.NewDisconnectedContext(ctx)
	out, err := BrownOut.Do(calm, m.Conductor, at, "end the brownout", activities.BrownoutInput{Target: s.Target, Round: s.Browned})
	if err != nil {
		return err
	}
	was := s.Brownout.On()
	s.Brownout, s.Browned = out.Tried, s.Browned+1
	switch long := out.Tried.Until.Sub(out.Tried.Since).Round(time.Second); {
	case s.Brownout.Held:
		m.At(ctx, StageWatching, at, fmt.Sprintf("the brownout was held for %s, and what it took is given back", long))
	case was:
		m.Tell(ctx, at, fmt.Sprintf("the brownout was ended after %s, and what it took is given back", long))
	}
	return nil
}

// lit ends a brownout that may be on before anything is undone; left says why it could not be.
func (m *migrating) lit(ctx workflow.Context) (left string) {
	if m.state.Plan.Brownout == 0 {
		return ""
	}
	if err := m.lighten(ctx); err != nil {
		return "the brownout, which may be on still: " + conduct.Reason(err)
	}
	return ""
}
