package warehouse_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/testdb"
)

// restore leaves the ledger as a restore from a dump does: no table has the number that it recorded, and the transactions are
// of a server that went on longer.
func (b *bundle) restore(t *testing.T) {
	t.Helper()
	b.db.Exec(t, "UPDATE "+b.db.Schema+"__ledger.generation SET child = child::bigint + 1000000, owner = owner::bigint + 1000000, built_xid = '900000000000'")
}

// count counts rows of the ledger.
func (b *bundle) count(t *testing.T, of string) (n int) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM "+b.db.Schema+"__ledger."+of).Scan(&n))
	return n
}

func TestARestoredLedgerIsBoundByNameAndStructure(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.deploy(t, "1.1.0", 2, "2026-01-01", "2026-01-02")
	n, err := b.Restored(t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	b.restore(t)
	all := b.count(t, "generation WHERE state IN ('live', 'retired')")
	n, err = b.Restored(t.Context())
	require.NoError(t, err)
	require.Equal(t, all, n)

	b.orders("2026-01-01", 10, 3)
	next := b.patient(b.swaps(t, mart("1.1.0"), "2026-01-01")...)
	before := b.live(t)
	_, err = b.attempt(t.Context(), next, beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.Contains(t, fault.HintOf(err), "drawbridge doctor shop --env prod --rebind")
	require.NotContains(t, err.Error(), "not attached")
	require.Equal(t, before, b.live(t))

	// A retired one that somebody has changed meanwhile is not trusted by its name.
	b.db.Exec(t, "ALTER TABLE "+b.db.Schema+"__data.g1 DISABLE TRIGGER ALL")
	epoch, err := b.Epoch(t.Context())
	require.NoError(t, err)
	for range 2 { // twice is once
		r, err := b.Rebind(t.Context(), prod, false)
		require.NoError(t, err)
		require.Equal(t, 1, r.Left, "%+v", r)
		require.Contains(t, r.Lines[0], "generation 1 of fct_orders[2026-01-01], retired: its write-refusing triggers")
	}
	n, err = b.Restored(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	b.done(t, next)

	told := admission.Told{Pipeline: "shop", Owner: b.owner, Tenure: b.tenure.Number}
	require.NoError(t, b.Remembers(t.Context(), told))
	told.Epoch = epoch
	require.ErrorAs(t, b.Remembers(t.Context(), told), new(admission.LostError), "who was told before notices")
}

func TestACopyIsTakenOverByItsOwnerOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.restore(t)
	_, err := b.Rebind(t.Context(), "staging", false)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "belongs to the environment prod")
	require.Contains(t, fault.HintOf(err), "--as-environment")

	ctx, ledger := t.Context(), b.db.Schema+"__ledger"
	admin, err := pgx.Connect(ctx, onDatabase(t, testdb.Superuser(t), b.db.URL))
	require.NoError(t, err)
	defer func() { _ = admin.Close(ctx) }()
	var own string
	require.NoError(t, b.db.Pool.QueryRow(ctx, `SELECT current_user`).Scan(&own))
	own = pgx.Identifier{own}.Sanitize()
	_, err = admin.Exec(ctx, "ALTER SCHEMA "+ledger+" OWNER TO CURRENT_USER; GRANT ALL ON SCHEMA "+ledger+" TO "+own)
	require.NoError(t, err)
	_, err = b.Rebind(ctx, "staging", true)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.Contains(t, fault.HintOf(err), "the migrator")
	_, err = admin.Exec(ctx, "ALTER SCHEMA "+ledger+" OWNER TO "+own)
	require.NoError(t, err)

	r, err := b.Rebind(ctx, "staging", true)
	require.NoError(t, err)
	require.Positive(t, r.Bound)
	require.Zero(t, r.Left, "%+v", r)
	_, err = b.Enter(ctx, deployment(workflow("deploy/shop/next"), "1.1.0"), anew(workflow("deploy/shop/next"), "staging"), outputs(), false)
	require.NoError(t, err, "who crossed prod does not cross its copy")
	_, err = b.Enter(ctx, deployment(workflow("deploy/shop/prod"), "1.1.0"), anew(workflow("deploy/shop/prod")), outputs(), false)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
}

func TestALedgerThatHasLostWhatItToldIsNotGoneOnWith(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	told := admission.Told{Pipeline: "shop", Owner: b.owner, Tenure: b.tenure.Number, Swaps: b.count(t, "swap")}
	require.NoError(t, b.Remembers(t.Context(), told))
	told.Swaps++
	require.ErrorAs(t, b.Remembers(t.Context(), told), new(admission.LostError))
	told.Swaps, told.Tenure = 0, b.tenure.Number+1
	require.ErrorAs(t, b.Remembers(t.Context(), told), new(admission.LostError))
	_, err := b.TurnBack(t.Context(), 99)
	require.ErrorAs(t, err, new(admission.LostError))
	b.db.Exec(t, "DROP SCHEMA "+b.db.Schema+"__ledger CASCADE")
	require.ErrorAs(t, b.Remembers(t.Context(), told), new(admission.LostError))
}
