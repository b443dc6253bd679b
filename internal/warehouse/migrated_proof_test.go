package warehouse_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
	"drawbridge/internal/testdb"
)

// Only what releases build gets other rows: it is said which partitions have to be built again, and by what.
func TestRowsThatBreakAProofOfAnOutputNameThePartitionsToBuildAgain(t *testing.T) {
	t.Parallel()
	b, _ := begun(t)
	v := b.migrating(t, renaming(), false)
	v.does(t, false, migrate.Expand)
	b.released(t, "2.0.0", first)
	b.released(t, "2.0.1", second)
	v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify)
	const again = "drawbridge backfill shop --env prod --from 2026-01-02 --to 2026-01-02 --reason TEXT --force"
	proved, err := v.Prove(t.Context(), v.owner, v.plan, func() {})
	require.NoError(t, err)
	require.EqualValues(t, 10, proved[0].Broken)
	require.Equal(t, again, proved[0].Again)
	b.released(t, "2.0.0", second)
	proved, err = v.Prove(t.Context(), v.owner, v.plan, func() {})
	require.NoError(t, err)
	require.Zero(t, proved[0].Broken)
	require.Empty(t, proved[0].Again)
}

// Between the switch and contract releases write: what they wrote is looked at again before nothing brings the old column back. Of a generation that
// leaves it out already there is nothing to be said.
func TestContractOfAnOutputWaitsForRowsThatDoNotHoldAnyMore(t *testing.T) {
	t.Parallel()
	b, _ := begun(t)
	v := b.migrating(t, renaming(), true)
	v.does(t, false, migrate.Expand)
	b.released(t, "2.0.0", first, second)
	require.Empty(t, v.waits(t, migrate.Backfill))
	v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch, migrate.Deprecating)
	unready := func() []string {
		why, err := v.Unready(t.Context(), v.owner, v.plan, func() {})
		require.NoError(t, err)
		return why
	}
	require.Empty(t, unready())

	odd := b.released(t, "2.0.1", first, second)
	v.free(t, v.FreeOld)
	b.released(t, "3.0.0", first)
	require.Empty(t, v.free(t, v.FreeOld))
	require.Equal(t, []string{
		"that amount_eur is amount does not hold of 10 rows; keys of some: " + catalog.New(b.db.Schema).MigrationSamplesQuery("fct_orders") +
			"; build their partitions again: drawbridge backfill shop --env prod --from 2026-01-02 --to 2026-01-02 --reason TEXT --force",
	}, unready())
	b.filled(t, second)
	require.Empty(t, unready(), "a release that leaves the old column out has built it again")
	v.enters(t, migrate.Contract)

	b.goBack(t, odd[1])
	drop := v.plan.Of(migrate.Contract)[0]
	step := migrate.StepSpec{Owner: v.owner, Key: anew(v.owner), Plan: v.plan, Step: drop, LockBudget: 20 * time.Second, Application: "drawbridge/test"}
	_, err := v.DoStep(t.Context(), step, func(time.Duration) {})
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "that amount_eur is amount does not hold of 10 rows")
	require.Contains(t, b.having(t, "amount"), "fct_orders")
	b.filled(t, second)
	require.True(t, v.does(t, false, migrate.Contract).Done)
	require.Empty(t, b.having(t, "amount"))
}

// A brownout takes the old column from those who read the output, and from nobody the rest. What releases build meanwhile is published, and refused as
// what was there.
func TestABrownoutOfAnOutputRefusesItsReadersTheOldColumn(t *testing.T) {
	t.Parallel()
	b, _ := begun(t)
	reader := "reader_of_" + b.db.Schema
	admin, err := pgx.Connect(t.Context(), onDatabase(t, testdb.Superuser(t), b.db.URL))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := admin.Exec(ctx, "DROP OWNED BY "+reader+"; DROP ROLE "+reader)
		require.NoError(t, err)
		require.NoError(t, admin.Close(ctx))
	})
	_, err = admin.Exec(t.Context(), "CREATE ROLE "+reader+"; GRANT USAGE ON SCHEMA "+b.db.Schema+" TO "+reader)
	require.NoError(t, err)
	b.db.Exec(t, "GRANT SELECT ON fct_orders TO "+reader)
	says := func(sql string) string {
		tx, err := admin.Begin(t.Context())
		require.NoError(t, err)
		defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
		_, err = tx.Exec(t.Context(), "SET LOCAL search_path TO "+b.db.Schema+"; SET LOCAL ROLE "+reader)
		require.NoError(t, err)
		_, err = tx.Exec(t.Context(), sql)
		return postgres.SQLState(err)
	}
	const old, rest = `SELECT sum(amount) FROM fct_orders`, `SELECT sum(amount_eur), min(order_date) FROM fct_orders`
	m := renaming()
	m.Deprecate = migrate.Deprecate{Window: time.Hour, Brownout: time.Millisecond}
	v := b.migrating(t, m, true)
	v.does(t, false, migrate.Expand)
	b.released(t, "2.0.0", first, second)
	require.Empty(t, v.waits(t, migrate.Backfill))
	v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch, migrate.Deprecating)
	why, err := b.BrownoutBlocked(t.Context(), v.plan)
	require.NoError(t, err)
	require.Empty(t, why)
	tries := func(on bool) migrate.Tried {
		tried, err := b.Brownout(t.Context(), migrate.BrownoutSpec{Owner: v.owner, Key: anew(v.owner), Plan: v.plan, On: on, Application: "drawbridge/test"})
		require.NoError(t, err)
		return tried
	}
	require.Empty(t, says(old))

	require.True(t, tries(true).On())
	require.Equal(t, pgerrcode.InsufficientPrivilege, says(old))
	require.Empty(t, says(rest))
	b.filled(t, second)
	require.Equal(t, pgerrcode.InsufficientPrivilege, says(old), "what is published meanwhile is refused as well")
	require.Empty(t, says(rest))
	require.ErrorContains(t, v.EnterPhase(t.Context(), v.owner, migrate.Contract), "its brownout is on")

	require.True(t, tries(false).Held)
	require.Empty(t, says(old))
	v.free(t, v.FreeOld)
	b.released(t, "3.0.0", first, second)
	v.enters(t, migrate.Contract)
	require.True(t, v.does(t, false, migrate.Contract).Done)
	require.Empty(t, says(rest))
}

func TestARequiredColumnOfAnOutputIsProvedByWhatUpSays(t *testing.T) {
	t.Parallel()
	b, _ := begun(t)
	m := renaming()
	m.Operations = []migrate.Operation{{Kind: migrate.AddColumn, Column: "amount_eur", Type: "numeric(12,2)", Required: true, Up: "amount + 1"}}
	v := b.migrating(t, m, false)
	v.does(t, false, migrate.Expand)
	b.released(t, "2.0.0", first, second)
	require.Empty(t, v.waits(t, migrate.Backfill))
	v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify)
	proved, err := v.Prove(t.Context(), v.owner, v.plan, func() {})
	require.NoError(t, err)
	broken := map[string]int64{}
	for _, p := range proved {
		broken[p.Proof] = p.Broken
	}
	require.Equal(t, map[string]int64{"amount_eur is never null": 0, "amount_eur is what up says": 20}, broken)
}
