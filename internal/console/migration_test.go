package console

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/internal/release"
	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

const migrationID = "migrate/shop/prod/0003_channel"

// migrated is a migration in a phase.
func migrated(phase migrate.Phase) workflows.Status {
	s := workflows.Status{
		Header: conduct.Header{
			Kind: "migration", Pipeline: "shop", Release: release.Release{Pipeline: "shop", Version: "1.2.0"}, Stage: workflows.StageCrossing, Environment: "prod",
			Step: string(phase), Plan: "sha256:0123456789abcdef", Sentence: "bringing the rows of shop.sales over",
		},
		Migration: &workflows.MigrationStatus{
			Name: "0003_channel", Table: "shop.sales", Why: "the shop sells in several channels", Consumers: []string{"bi", "ops", "mail"}, MustAck: []string{"bi", "ops"},
		},
	}
	steps := map[migrate.Phase]int{migrate.Expand: 2, migrate.DualWrite: 1, migrate.Switch: 1, migrate.Contract: 1}
	for _, p := range migrate.Phases() {
		x := workflows.PhaseStatus{Phase: p, State: workflows.PhaseAhead, Steps: steps[p]}
		switch {
		case p.Before(phase):
			x.State, x.Begun = workflows.PhaseDone, x.Steps
		case p == phase:
			x.State, x.Begun = workflows.PhaseNow, min(1, x.Steps)
		}
		s.Migration.Phases = append(s.Migration.Phases, x)
	}
	return s
}

func shownMigration(s workflows.Status) string {
	return paper().Status(view.View{ID: migrationID, Status: s})
}

func TestAMigrationShowsHowFarItsBackfillIsAndWhatHoldsItUp(t *testing.T) {
	t.Parallel()
	s := migrated(migrate.Backfill)
	s.Window = "22:00-06:00 Europe/Berlin"
	m := s.Migration
	m.Rows, m.Total, m.RowSpeed, m.Left, m.Batch, m.Lanes, m.Throttled = 420_000, 1_000_000, 52_000, "11s", 8_000, 2, "waiting locks is 9, the limit is 5"
	golden(t, "status-migration-backfill.txt", shownMigration(s))
	story := Story{Screen: paper(), Live: true}
	require.Contains(t, story.Status(s, nil), "420000 rows")
}

func TestAMigrationShowsWhichProofsRowsBreak(t *testing.T) {
	t.Parallel()
	s := migrated(migrate.Verify)
	s.Stage, s.Sentence = workflows.StageWaiting, "channel is never null does not hold of 7 rows"
	s.Migration.Rows, s.Migration.Total = 1_000_000, 1_000_000
	s.Migration.Proved = []migrate.Checked{{Proof: "channel is never null", Rows: 1_000_000, Broken: 7}}
	s.Gates = []gate.Gate{{
		Name: "verify-prod", Question: "mend the rows, then fill in what is missing and count again (retry), or undo all that was done (reject)?", Choices: []gate.Choice{gate.Retry, gate.Reject}, Endless: true,
		Verdict: gate.Verdict{Outcome: gate.Fail, Reason: "channel is never null does not hold of 7 rows"}, Plan: s.Plan, Requester: "ann", OpenedAt: noon(),
	}}
	golden(t, "status-migration-verify.txt", shownMigration(s))
}

// Nobody takes what a backfill waits for as something that only contract does.
func TestWhatAPhaseWaitsForIsHeadedByThatPhase(t *testing.T) {
	t.Parallel()
	const why = "2 partitions of sales (2026-01-01 to 2026-01-02) were built by releases that do not give chan, channel: drawbridge backfill shop --env prod --from 2026-01-01 --to 2026-01-02 --reason TEXT"
	s := migrated(migrate.Backfill)
	s.Stage, s.Sentence, s.Migration.Blocked = workflows.StageWatching, "it waits: "+why, []string{why}
	golden(t, "status-migration-rebuilds.txt", shownMigration(s))

	s = migrated(migrate.DualWrite)
	s.Stage, s.Migration.Blocked, s.Migration.Consumers = workflows.StageWatching, []string{why}, nil
	text := shownMigration(s)
	require.Contains(t, text, "dual write waits for:")
	require.NotContains(t, text, "contract waits for:")
}

func TestAMigrationShowsWhoStillNeedsTheOldShape(t *testing.T) {
	t.Parallel()
	s := migrated(migrate.Deprecating)
	s.Stage, s.Sentence = workflows.StageWatching, "both shapes of shop.sales are kept"
	m := s.Migration
	m.Rows, m.Total, m.Proved = 1_000_000, 1_000_000, []migrate.Checked{{Proof: "channel is never null", Rows: 1_000_000}}
	m.Until = new(noon().Add(14 * 24 * time.Hour))
	m.Acks = []migrate.Ack{{Consumer: "bi", By: "bob", Reason: "the dashboards read it", At: noon().Add(-time.Hour)}}
	m.Blocked = []string{"ops has not said that it is ready", "the view daily reads chan"}
	golden(t, "status-migration-deprecate.txt", shownMigration(s))
}

func TestABrownoutShowsWhatItRefusesAndThatItWasHeld(t *testing.T) {
	t.Parallel()
	s := migrated(migrate.Deprecating)
	s.Stage, s.Step, s.Sentence = workflows.StageCrossing, "brownout", "brownout: for 1h, whoever reads or writes chan, or all columns as *, is refused, until 13:00; pause takes that back at once"
	m := s.Migration
	m.Until, m.Refuses = new(noon().Add(time.Hour)), "for 1h, whoever reads or writes chan, or all columns as *, is refused"
	m.Brownout, m.Acks = &migrate.Tried{Since: noon().Add(-time.Minute)}, []migrate.Ack{{Consumer: "bi", By: "bob"}, {Consumer: "ops", By: "eve"}}
	golden(t, "status-migration-brownout.txt", shownMigration(s))
	m.Until, m.Brownout = new(noon().Add(-time.Minute)), &migrate.Tried{Since: noon().Add(-time.Hour), Until: noon(), Held: true}

	require.Contains(t, shownMigration(s), "the brownout was held for 1h0m0s")
	require.Contains(t, shownMigration(s), "the window was over at "+paper().clock(*m.Until, "2006-01-02 15:04:05"), "a minute ago is said to the second")
}

// Its gate says who is in the way, and what to type: nothing of it is said a second time above it.
func TestTheGateOfContractAsksForTheWordsThatItWaitsFor(t *testing.T) {
	t.Parallel()
	s := migrated(migrate.Deprecating)
	s.Stage, s.Step, s.Sentence = workflows.StageWaiting, "contract", "both shapes of shop.sales are kept"
	s.Migration.Until = new(noon().Add(-time.Hour))
	s.Migration.Blocked = []string{"ops has not said that it is ready"}
	s.Migration.Acks = []migrate.Ack{{Consumer: "bi", By: "bob", At: noon().Add(-time.Hour)}}
	s.Gates = []gate.Gate{{
		Name: "contract-prod", Question: "take chan of shop.sales away in prod? It is the point of no return", Choices: []gate.Choice{gate.Approve, gate.Reject}, Endless: true,
		Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: "it waits, approved or not: ops has not said that it is ready"}, Plan: s.Plan, Requester: "ann", OpenedAt: noon(),
	}}
	text := shownMigration(s)
	golden(t, "status-migration-gate.txt", text)
	require.NotContains(t, text, "contract waits for")
	open, _ := Questions([]view.View{{ID: migrationID, Status: s}})
	require.Contains(t, paper().Inbox(open, nil, nil), "drawbridge migrate ack "+migrationID+" --consumer ops --as NAME")
}

func TestAnApprovedContractSaysWhenItLooksAgain(t *testing.T) {
	t.Parallel()
	s := migrated(migrate.Deprecating)
	s.Stage, s.Step, s.Sentence = workflows.StageWatching, "contract", "approved by alice; contract waits: the view daily reads chan (let it read channel instead)"
	m := s.Migration
	m.Until, m.Approved, m.Looks = new(noon().Add(-time.Hour)), "alice", new(noon().Add(time.Minute))
	m.Acks = []migrate.Ack{{Consumer: "bi", By: "bob", At: noon()}, {Consumer: "ops", By: "eve"}}
	m.Blocked = []string{"the view daily reads chan (let it read channel instead)"}
	golden(t, "status-migration-approved.txt", shownMigration(s))
}

func TestWhatIsUndoneIsNotShownAsDone(t *testing.T) {
	t.Parallel()
	s := migrated(migrate.Deprecating)
	s.Stage, s.Step, s.Sentence = workflows.StageRolledBack, "", "rolled back by ann: not needed; what it had done to shop.sales was turned back"
	s.Migration.Until = new(noon())
	for i := range s.Migration.Phases[:6] {
		s.Migration.Phases[i].State = workflows.PhaseUndone
	}
	text := shownMigration(s)
	golden(t, "status-migration-rolled-back.txt", text)
	require.NotContains(t, text, "✔")
	require.NotContains(t, text, "kept until")
}

// From contract on nothing is undone, and nothing of the kind is proposed.
func TestAMigrationThatTakesTheOldShapeAwayProposesNoWayBack(t *testing.T) {
	t.Parallel()
	s := migrated(migrate.Contract)
	s.Sentence, s.Migration.Committed = "taking the old shape of shop.sales away", true
	text := shownMigration(s)
	golden(t, "status-migration-contract.txt", text)
	require.NotContains(t, text, "rollback")
	require.NotContains(t, text, "cancel")
	s.Stage = workflows.StageStuck
	require.Contains(t, shownMigration(s), "drawbridge migrate start shop@1.2.0 0003_channel --env prod")
}

func TestAMigrationThatEndedShowsHow(t *testing.T) {
	t.Parallel()
	s := migrated(migrate.Contract)
	for i := range s.Migration.Phases {
		s.Migration.Phases[i].State = workflows.PhaseDone
	}
	s.Stage, s.Step, s.Sentence = workflows.StageDone, "", "0003_channel is done: shop.sales is changed in prod"
	golden(t, "status-migration-done.txt", shownMigration(s))
	s.Migration.Next = "0004_note"
	require.Contains(t, shownMigration(s), "drawbridge migrate plan shop@1.2.0 0004_note --env prod", "as long as there is one that is not done")
	s = migrated(migrate.Switch)
	s.Stage, s.Sentence = workflows.StageStuck, "cancelled; left as they are: Switch: a view depends on it"
	require.Contains(t, shownMigration(s), "drawbridge migrate rollback "+migrationID)
	s.Stage = view.Abandoned
	require.Contains(t, shownMigration(s), "drawbridge migrate rollback "+migrationID)
}

func TestAConsumersWordIsAnswered(t *testing.T) {
	t.Parallel()
	x := Steered{ID: migrationID, Delivery: "applied", Command: conduct.Command{Kind: conduct.Ack, By: "bob", Items: []string{"bi"}}, Now: &conduct.Steered{Stage: workflows.StageWatching}}
	golden(t, "answer-ack.txt", paper().Steered(x, "drawbridge-worker"))
	x.Now.Already = true
	golden(t, "answer-ack-already.txt", paper().Steered(x, "drawbridge-worker"))
}
