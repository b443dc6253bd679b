package alter_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

func TestATableIsChangedByOneMigrationAtATime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10)
	p := b.replacement()
	mine := b.begin(t, p)
	entry := migrate.Entry{Plan: p, Digest: migrate.Digest(p), By: "bob"}
	other := effect.OwnerOf("migrate/shop/prod/0002_more", uuid.NewString())
	_, err := b.BeginMigration(t.Context(), entry, effect.Key{Owner: other, Environment: prod, Step: "begin"})
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.ErrorContains(t, err, "migrate/shop/prod/0001_channel changes the table since")
	require.Equal(t, "see what it does: drawbridge status migrate/shop/prod/0001_channel", fault.HintOf(err))

	again, err := b.BeginMigration(t.Context(), entry, b.key())
	require.NoError(t, err)
	require.Equal(t, mine, again, "its own workflow may ask twice")
	d, err := b.DescribeTable(t.Context(), "orders", nil)
	require.NoError(t, err)
	require.Equal(t, "migrate/shop/prod/0001_channel", d.Open)
	none, err := b.Migration(t.Context(), other)
	require.NoError(t, err)
	require.Empty(t, none.Owner)
}

func TestAConsumersWordIsTakenBackUntilContractHasBegun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 1)
	p := b.replacement()
	b.begin(t, p)
	for _, name := range []string{"bi", "ops"} {
		require.NoError(t, b.AckMigration(t.Context(), b.owner, migrate.Ack{Consumer: name, By: "bob", At: time.Now()}))
	}
	for range 2 {
		require.NoError(t, b.WithdrawAck(t.Context(), b.owner, "bi"))
	}
	at, err := b.Migration(t.Context(), b.owner)
	require.NoError(t, err)
	require.Len(t, at.Acks, 1)
	require.Equal(t, "ops", at.Acks[0].Consumer)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	require.Equal(t, fault.Conflict, fault.ClassOf(b.WithdrawAck(t.Context(), b.owner, "ops")))
}

func TestAStoppedMigrationIsTakenOverAsItStands(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 300)
	p := b.replacement()
	b.begin(t, p)
	for _, phase := range []migrate.Phase{migrate.Expand, migrate.DualWrite, migrate.Backfill} {
		b.phase(t, p, phase)
	}
	first := b.owner
	ack := migrate.Ack{Consumer: "bi", By: "bob", At: time.Now().Add(-time.Minute)}
	require.NoError(t, b.AckMigration(t.Context(), first, ack))
	require.NoError(t, b.AckMigration(t.Context(), first, migrate.Ack{Consumer: "bi", By: "eve", At: time.Now()}))
	_, err := b.fill(t.Context(), p)
	require.NoError(t, err)

	at, err := b.Migration(t.Context(), first)
	require.NoError(t, err)
	since := at.PhaseSince
	require.True(t, since.After(at.Since), "the phase began when the ledger entered it")
	require.NoError(t, b.EnterPhase(t.Context(), first, migrate.Backfill))

	b.owner = start()
	planned := p
	planned.Warnings = []string{"it was planned anew, on a table that was half changed"}
	s, err := b.BeginMigration(t.Context(), migrate.Entry{Plan: planned, Digest: migrate.Digest(planned), By: "cid"}, b.key())
	require.NoError(t, err)
	require.Equal(t, b.owner, s.Owner)
	require.Equal(t, migrate.Backfill, s.Phase)
	require.Equal(t, since, s.PhaseSince, "who takes it over did not begin the phase")
	require.Equal(t, migrate.Digest(p), s.Plan, "it goes on by the plan that was approved")
	require.Len(t, s.Acks, 1)
	require.Equal(t, "bob", s.Acks[0].By, "what was said first stays")
	filled, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.EqualValues(t, 300, filled.Rows)

	stale := b.spec(p, "expand-add-source")
	stale.Owner, stale.Key.Owner = first, first
	for _, try := range []func() error{
		func() error { _, err := b.DoStep(t.Context(), stale, beat); return err },
		func() error { return b.EnterPhase(t.Context(), first, migrate.Contract) },
		func() error { return b.EndMigration(t.Context(), first, migrate.Done) },
		func() error {
			_, err := b.FillTable(t.Context(), first, p, migrate.Pace{For: time.Minute})
			return err
		},
	} {
		err := try()
		require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, "it was stopped: it was started again")
	}
}

func TestWhatCannotBeginIsSaidToBeSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10)
	begin := func(p migrate.Plan, digest string) error {
		_, err := b.BeginMigration(t.Context(), migrate.Entry{Plan: p, Digest: digest}, b.key())
		return err
	}
	p := b.replacement()
	require.Equal(t, fault.Conflict, fault.ClassOf(begin(p, "sha256:another")))
	elsewhere := p
	elsewhere.Environment = "dev"
	require.Equal(t, fault.Conflict, fault.ClassOf(begin(elsewhere, migrate.Digest(elsewhere))))
	b.db.Exec(t, `INSERT INTO `+b.ledger.Schema()+`.output (output, pipeline) VALUES ('fct', 'shop')`)
	managed := p
	managed.Migration.Table = "fct"
	err := begin(managed, migrate.Digest(managed))
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "an output of the pipeline shop")

	b.begin(t, p)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	b.owner = start()
	err = begin(p, migrate.Digest(p))
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.ErrorContains(t, err, "it was done already")
}

func TestAMigrationEndsAsItCan(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10)
	p := b.replacement()
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	undo := b.spec(p, "expand-add-source")
	undo.Undo = true
	r, err := b.DoStep(t.Context(), undo, beat)
	require.NoError(t, err)
	require.True(t, r.Done)
	require.Equal(t, fault.Conflict, fault.ClassOf(b.EndMigration(t.Context(), b.owner, migrate.Done)), "it is on its way back")
	require.Equal(t, fault.Conflict, fault.ClassOf(b.EnterPhase(t.Context(), b.owner, migrate.DualWrite)))
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))

	b.owner = start()
	require.Equal(t, migrate.Expand, b.begin(t, p).Phase, "what was rolled back may begin again")
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Expand), "it stays where it is")
	require.Equal(t, fault.Refused, fault.ClassOf(b.EndMigration(t.Context(), b.owner, migrate.RolledBack)))
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	list, err := b.Migrations(t.Context(), "shop")
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, []string{migrate.Done, migrate.RolledBack}, []string{list[0].Ended, list[1].Ended})
}

func TestAHoldStopsStepsButNotTheWayBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10)
	p := b.replacement()
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	b.phase(t, p, migrate.DualWrite)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Backfill))
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		if err := b.ledger.ExcludeChange(t.Context(), tx); err != nil {
			return err
		}
		_, err := b.ledger.SetHold(t.Context(), tx, "ann", "an incident", "hold/prod/x")
		return err
	}))
	const why = "the environment is on hold: an incident (set by ann)"
	filled, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, migrate.Filled{Held: why}, filled)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Verify))
	r, err := b.DoStep(t.Context(), b.spec(p, "verify-check"), beat)
	require.NoError(t, err)
	require.Equal(t, migrate.StepResult{Held: why}, r)
	for _, id := range []string{"dual-trigger", "dual-function", "expand-add-source"} {
		undo := b.spec(p, id)
		undo.Undo = true
		r, err := b.DoStep(t.Context(), undo, beat)
		require.NoError(t, err)
		require.True(t, r.Done, id)
	}
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
}
