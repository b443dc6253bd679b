package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/migrate"
)

// soon is how often it is looked whether releases give what is new, while somebody is likely to wait for it.
const soon = 5 * time.Second

// nextRelease is how long it waits for the next look at what releases give: others deploy them, and build partitions again.
func nextRelease(open time.Duration) time.Duration {
	if open < lookForReaders {
		return soon
	}
	return nextLook(open)
}

// given waits for releases to give what a phase needs, where they make the table: it is the pipeline's own deployments and backfills that bring it.
func (m *migrating) given(ctx workflow.Context, phase migrate.Phase) error {
	s, at := m.state, m.at(string(phase))
	if !s.Plan.Rebuilds {
		return nil
	}
	began, told := workflow.Now(ctx), ""
	for {
		if err := m.Checkpoint(ctx); err != nil {
			return err
		}
		if err := m.grown(ctx); err != nil {
			return err
		}
		lacks, err := Ungiven.Do(ctx, m.Conductor, at, "look what releases give", activities.UngivenInput{Target: s.Target, Phase: phase})
		if err != nil {
			return err
		}
		s.Blocked.Why = lacks.Why
		if len(lacks.Why) == 0 {
			return nil
		}
		if sentence := "it waits: " + strings.Join(firstOf(lacks.Why), "; "); sentence != told {
			told = sentence
			m.At(ctx, StageWatching, at, sentence)
		}
		if err := m.Rest(ctx, nextRelease(workflow.Now(ctx).Sub(began)), "until releases give what is new", func() bool { return false }); err != nil {
			return err
		}
	}
}

// reach begins a phase before contract, and says since when it is in it. Where something was published meanwhile that lacks what is new, it waits
// for that, and counts again.
func (m *migrating) reach(ctx workflow.Context, phase migrate.Phase) (time.Time, error) {
	for {
		if err := m.Checkpoint(ctx); err != nil {
			return time.Time{}, err
		}
		entered, err := EnterPhase.Do(ctx, m.Conductor, m.at(string(phase)), "begin "+words(phase), activities.EnterPhaseInput{Target: m.state.Target, Phase: phase})
		if err != nil || entered.Held == "" {
			return entered.Since, err
		}
		if err := m.given(ctx, phase); err != nil {
			return time.Time{}, err
		}
		if err := m.verify(ctx); err != nil {
			return time.Time{}, err
		}
		if err := m.Rest(ctx, soon, "until what held it has gone", func() bool { return false }); err != nil {
			return time.Time{}, err
		}
	}
}

// mending is what is done about rows that break a proof, until they are counted again.
func (m *migrating) mending(proved []migrate.Checked) string {
	if !m.state.Plan.Rebuilds {
		return "mend the rows, then fill in what is missing and count again"
	}
	var again []string
	for _, p := range proved {
		if p.Again != "" && !slices.Contains(again, p.Again) {
			again = append(again, p.Again)
		}
	}
	if len(again) == 0 { // an earlier program has counted them
		again = []string{fmt.Sprintf("drawbridge backfill %s --env %s --from KEY --to KEY --reason TEXT --force", m.in.Pipeline, m.in.Environment)}
	}
	return "correct what they come from, or deploy a release that gives what is meant, build their partitions again (" + strings.Join(firstOf(again), "; ") + "), and count again"
}
