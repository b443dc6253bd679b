package workflows_test

import (
	"slices"
	"strings"
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

const brownout = time.Hour

// brownsOut is a migration with a brownout of an hour, at the end of its window of two days.
func brownsOut(t *testing.T) (*effects, *tables) {
	t.Helper()
	e, x := migrates(t)
	e.shelf.files["migrations/0001_channel.yaml"] = []byte(strings.Replace(migrationFile, "window: 48h", "window: 48h, brownout: 1h", 1))
	return e, x
}

// trial is what the log has of brownouts, of steps of the contract, and of steps that are undone.
func (x *tables) trial() []string {
	return slices.DeleteFunc(x.changes(), func(line string) bool {
		return line != "dark" && line != "light" && line != "phase contract" && !strings.HasPrefix(line, "undo ")
	})
}

func command(kind conduct.Kind) conduct.Command {
	return conduct.Command{Kind: kind, By: "bob", Reason: "the dashboards are empty"}
}

func TestABrownoutIsHeldAtTheEndOfTheWindowBeforeContractIsAskedFor(t *testing.T) {
	t.Parallel()
	e, x := brownsOut(t)
	s := e.migrateOn(t, migrationInput(),
		says(t, time.Hour, ready("bi")),
		looks(t, window-brownout-time.Minute, func(s workflows.Status) {
			require.Empty(t, x.trial())
			require.Equal(t, workflows.StageWatching, s.Stage, s.Sentence)
		}),
		looks(t, window-brownout+time.Minute, func(s workflows.Status) {
			require.Equal(t, []string{"dark"}, x.trial())
			require.True(t, s.Migration.Brownout.On())
			require.Contains(t, s.Sentence, "whoever reads or writes chan, or all columns as *, is refused")
			require.Contains(t, s.Sentence, "pause takes that back at once")
		}),
		looks(t, window+time.Minute, func(s workflows.Status) {
			g, open := s.Open()
			require.True(t, open, s.Sentence)
			require.Equal(t, "contract-prod", g.Name)
			require.True(t, slices.ContainsFunc(g.Verdict.Evidence, func(e gate.Evidence) bool { return e.Name == "brownout" && e.Value == "held for 1h0m0s" }), "%v", g.Verdict.Evidence)
		}),
		answers(t, window+time.Hour, gate.Approve),
	)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, []string{"dark", "light", "phase contract"}, x.trial())
}

// It is for those whom nobody knows: while somebody is known to be in the way it is not tried on them.
func TestABrownoutWaitsForWhoIsKnownToNeedTheOldShape(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stop func(*effects, *tables)
		free func(*effects, *tables)
		says string
	}{
		"bi is not ready":                {func(*effects, *tables) {}, func(*effects, *tables) {}, "bi has not said that it is ready"},
		"the environment is on hold":     {func(e *effects, _ *tables) { e.ledgers["prod"].hold = "quarter end" }, func(e *effects, _ *tables) { e.ledgers["prod"].hold = "" }, "quarter end"},
		"rights could not be given back": {func(_ *effects, x *tables) { x.odd = []string{"crm has it of bi"} }, func(_ *effects, x *tables) { x.odd = nil }, "crm has it of bi"},
		"a view reads the old column": {
			func(_ *effects, x *tables) {
				x.readers = []migrate.Reader{{Column: "chan", Kind: "view", Name: "daily"}}
			},
			func(_ *effects, x *tables) { x.readers = nil }, "the view daily reads chan",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, x := brownsOut(t)
			mine := func(do func(*effects, *tables)) func(*testsuite.TestWorkflowEnvironment) {
				return func(env *testsuite.TestWorkflowEnvironment) {
					env.RegisterDelayedCallback(func() { x.set(func() { do(e, x) }) }, window-2*brownout)
				}
			}
			prepare := []func(*testsuite.TestWorkflowEnvironment){
				mine(c.stop),
				looks(t, window+2*time.Hour, func(s workflows.Status) {
					require.Empty(t, x.trial(), s.Sentence)
					require.True(t, slices.ContainsFunc(s.Events, func(e conduct.Event) bool { return strings.Contains(e.Text, c.says) }), "%v", s.Events)
					_, open := s.Open()
					require.False(t, open, "nobody is asked for contract before it")
				}),
				func(env *testsuite.TestWorkflowEnvironment) {
					env.RegisterDelayedCallback(func() { x.set(func() { c.free(e, x) }) }, window+3*time.Hour)
				},
				looks(t, window+5*time.Hour, func(s workflows.Status) {
					g, open := s.Open()
					require.True(t, open, s.Sentence)
					require.Equal(t, "contract-prod", g.Name)
				}),
				answers(t, window+6*time.Hour, gate.Approve),
			}
			word := time.Hour
			if name == "bi is not ready" {
				word = window + 3*time.Hour
			}
			s := e.migrateOn(t, migrationInput(), append(prepare, says(t, word, ready("bi")))...)
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Equal(t, []string{"dark", "light", "phase contract"}, x.trial())
		})
	}
}

func TestAPauseEndsABrownoutAtOnceAndItIsBegunAnewWhenItGoesOn(t *testing.T) {
	t.Parallel()
	e, x := brownsOut(t)
	begun := window - brownout
	s := e.migrateOn(t, migrationInput(),
		says(t, time.Hour, ready("bi")),
		says(t, begun+10*time.Minute, command(conduct.Pause)),
		looks(t, begun+11*time.Minute, func(s workflows.Status) {
			require.Equal(t, []string{"dark", "light"}, x.trial())
			require.Equal(t, workflows.StagePaused, s.Stage)
		}),
		looks(t, window+time.Hour, func(workflows.Status) { require.Equal(t, []string{"dark", "light"}, x.trial()) }),
		says(t, window+2*time.Hour, command(conduct.Resume)),
		looks(t, window+2*time.Hour+brownout-time.Minute, func(s workflows.Status) {
			require.Equal(t, []string{"dark", "light", "dark"}, x.trial(), "a whole one")
			require.True(t, s.Migration.Brownout.On())
		}),
		answers(t, window+4*time.Hour, gate.Approve),
	)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, []string{"dark", "light", "dark", "light", "phase contract"}, x.trial())
}

func TestACancelledBrownoutGivesBackWhatItTookBeforeAnythingIsUndone(t *testing.T) {
	t.Parallel()
	e, x := brownsOut(t)
	s := e.migrateOn(t, migrationInput(),
		says(t, time.Hour, ready("bi")),
		says(t, window-brownout+10*time.Minute, command(conduct.Cancel)),
	)
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
	require.Empty(t, x.left())
	require.Equal(t, []string{"dark", "light"}, x.trial()[:2])
	require.False(t, x.standings[0].Brownout.On())
}

// Whoever terminates its workflow in a brownout leaves it on: the next start goes on with what is left of it, or ends it.
func TestANewStartGoesOnWithABrownoutThatIsOn(t *testing.T) {
	t.Parallel()
	for name, rollback := range map[string]bool{"it goes on": false, "it goes back": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, x := brownsOut(t)
			before, contract := x.planned(t, e)
			p := e.dryRun(t)
			in := migrationInput()
			in.Rollback = rollback
			s := e.migrateOn(t, in, func(env *testsuite.TestWorkflowEnvironment) {
				x.standings = []migrate.Standing{{
					Owner: effect.OwnerOf(migrationID, "00000000-0000-4000-8000-000000000009"), Pipeline: "shop", Name: "0001_channel", Table: "sales", Plan: p.Digest,
					Phase: migrate.Deprecating, PhaseSince: env.Now().Add(-window + 20*time.Minute), Acks: []migrate.Ack{{Consumer: "bi", By: "bob"}},
					Brownout: migrate.Tried{Since: env.Now().Add(-40 * time.Minute)},
				}}
				x.done = slices.Clone(before)
				if rollback {
					return
				}
				looks(t, 19*time.Minute, func(s workflows.Status) { require.True(t, s.Migration.Brownout.On(), s.Sentence) })(env)
				looks(t, 21*time.Minute, func(s workflows.Status) { require.True(t, s.Migration.Brownout.Held, s.Sentence) })(env)
				answers(t, time.Hour, gate.Approve)(env)
			})
			if rollback {
				require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
				require.Equal(t, "light", x.trial()[0])
				require.Empty(t, x.left())
				return
			}
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Equal(t, []string{"light", "phase contract"}, x.trial())
			require.Equal(t, append(before, contract...), x.left())
		})
	}
}
