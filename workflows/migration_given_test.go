package workflows_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

func (l *ledger) Ungiven(context.Context, effect.Owner, migrate.Phase) ([]string, error) {
	l.tables.mu.Lock()
	defer l.tables.mu.Unlock()
	return l.tables.ungiven, nil
}

func (l *ledger) Unfree(context.Context, effect.Owner) ([]string, error) {
	l.tables.mu.Lock()
	defer l.tables.mu.Unlock()
	return l.tables.unfree, nil
}

func (l *ledger) FreeOld(context.Context, effect.Owner) ([]string, error) {
	l.tables.mu.Lock()
	defer l.tables.mu.Unlock()
	l.tables.log = append(l.tables.log, "free")
	return l.tables.unfree, nil
}

// later changes the tables some time after the start.
func (x *tables) later(after time.Duration, change func()) func(*testsuite.TestWorkflowEnvironment) {
	return func(env *testsuite.TestWorkflowEnvironment) {
		env.RegisterDelayedCallback(func() { x.set(change) }, after)
	}
}

func TestAMigrationOfAnOutputWaitsForReleasesThatGiveWhatItNeeds(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	x.made, x.ungiven, x.unfree = true, []string{"shop@1.0.0 is active, and does not give channel"}, []string{"shop@2.0.0 is active, and gives chan"}
	const rebuilt = 50 * time.Hour
	s := e.migrateOn(t, migrationInput(),
		looks(t, time.Hour, func(s workflows.Status) {
			require.Equal(t, workflows.StageWatching, s.Stage, s.Sentence)
			require.Equal(t, "it waits: shop@1.0.0 is active, and does not give channel", s.Sentence)
			require.Equal(t, x.ungiven, s.Migration.Blocked)
			require.Equal(t, []string{"do expand-add-channel", "phase dual_write"}, x.changes())
		}),
		x.later(rebuilt, func() { x.ungiven = nil }),
		looks(t, rebuilt+time.Hour, func(s workflows.Status) {
			require.Equal(t, append([]string{"bi has not said that it is ready"}, x.unfree...), s.Migration.Blocked, "what contract waits for is known from the switch on")
		}),
		says(t, rebuilt+2*time.Hour, ready("bi")),
		looks(t, rebuilt+window+time.Hour, func(s workflows.Status) {
			g, open := s.Open()
			require.True(t, open, s.Sentence)
			require.Equal(t, gate.Inconclusive, g.Verdict.Outcome)
			require.Equal(t, "it waits, approved or not: shop@2.0.0 is active, and gives chan", g.Verdict.Reason)
			require.Equal(t, x.unfree, s.Migration.Blocked)
			require.NotContains(t, x.changes(), "free", "to look lets nothing in")
		}),
		answers(t, rebuilt+window+2*time.Hour, gate.Approve),
		looks(t, rebuilt+window+3*time.Hour, func(s workflows.Status) {
			require.Contains(t, s.Sentence, "approved by", "the approval waits for the release that leaves the old shape out")
			require.Equal(t, x.unfree, s.Migration.Blocked)
			require.NotContains(t, x.changes(), "phase contract")
		}),
		x.later(rebuilt+window+4*time.Hour, func() { x.unfree = nil }),
	)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	log := slices.DeleteFunc(x.changes(), func(what string) bool { return what == "free" })
	require.Equal(t, []string{
		"do expand-add-channel", "phase dual_write", "phase backfill", "phase verify", "phase switch", "phase deprecate", "phase contract",
		"do contract-drop-chan", migrate.Done,
	}, log, "nothing is written in place")
}

func TestWhatIsPublishedBeforeTheSwitchIsWaitedForAndCounted(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	x.made = true
	turned := false
	x.proves = func() { // somebody turns a partition back right after the rows were counted
		if !turned {
			turned, x.ungiven = true, []string{"1 partition of sales lacks channel"}
		}
	}
	s := e.migrateOn(t, migrationInput(),
		looks(t, time.Hour, func(s workflows.Status) {
			require.Equal(t, "it waits: 1 partition of sales lacks channel", s.Sentence)
			require.NotContains(t, x.changes(), "phase switch")
		}),
		x.later(2*time.Hour, func() { x.ungiven = nil }),
		says(t, 4*time.Hour, ready("bi")),
		answers(t, window+5*time.Hour, gate.Approve),
	)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, 4, x.proved, "what came meanwhile is counted too: by the migration, and by the environment before it lets it switch")
}

// Nobody mends the rows of a generation by hand: they are built again, and then counted again.
func TestTheVerifyGateOfAnOutputSaysWhatBuildsItsRowsAgain(t *testing.T) {
	t.Parallel()
	for again, says := range map[string]string{
		"drawbridge backfill shop --env prod --from 2026-01-02 --to 2026-01-03 --reason TEXT --force": "drawbridge backfill shop --env prod --from 2026-01-02 --to 2026-01-03 --reason TEXT --force",
		"": "drawbridge backfill shop --env prod --from KEY --to KEY --reason TEXT --force",
	} {
		e, x := migrates(t)
		x.made, x.broken, x.again = true, 7, again
		s := e.migrateOn(t, migrationInput(),
			looks(t, time.Hour, func(s workflows.Status) {
				g, open := s.Open()
				require.True(t, open, s.Sentence)
				require.Equal(t, "channel is chan does not hold of 7 rows: correct what they come from, or deploy a release that gives what is meant, build their partitions again ("+
					says+"), and count again (retry), or undo all that was done (reject)?", g.Question)
				x.set(func() { x.broken = 0 })
			}),
			answers(t, 2*time.Hour, gate.Retry),
			looks(t, 3*time.Hour, func(s workflows.Status) { require.Equal(t, workflows.StageWatching, s.Stage, s.Sentence) }),
			steer(4*time.Hour, conduct.Command{Kind: conduct.Cancel, By: "bob"}),
		)
		require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
		require.NotContains(t, x.changes(), "fill again", "nothing is written in place")
	}
}

func TestAMigrationOfAnOutputThatWaitsIsCancelled(t *testing.T) {
	t.Parallel()
	e, x := migrates(t)
	x.made, x.ungiven = true, []string{"shop@1.0.0 is active, and does not give channel"}
	s := e.migrateOn(t, migrationInput(), says(t, time.Hour, conduct.Command{Kind: conduct.Cancel, By: "bob"}))
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
	require.Equal(t, []string{"do expand-add-channel", "phase dual_write", "undo expand-add-channel", migrate.RolledBack}, x.changes())
}
