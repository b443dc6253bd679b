package alter_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// A table that somebody drops while it is migrated leaves nothing behind that keeps its migration open.
func TestAMigrationWhoseTableWasDroppedGoesBackAllTheSame(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]migrate.Operation{
		"rename a column": {Kind: migrate.RenameColumn, Column: "note", To: "remark"},
		"required column": {Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "'web'"},
		"an index":        {Kind: migrate.CreateIndex, Name: "customers_note", Columns: []string{"note"}},
		"rename it":       {Kind: migrate.RenameTable, To: "clients"},
		"drop it":         {Kind: migrate.DropTable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.customers(t, 100)
			p := b.planned(t, changing("0001_channel", o))
			b.begin(t, p)
			for _, phase := range []migrate.Phase{migrate.Expand, migrate.DualWrite} {
				b.phase(t, p, phase)
			}
			require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Backfill))
			_, err := b.fill(t.Context(), p)
			require.NoError(t, err)
			for _, phase := range []migrate.Phase{migrate.Verify, migrate.Switch, migrate.Deprecating} {
				b.phase(t, p, phase)
			}
			table := "customers"
			if p.Renamed != "" {
				table = p.Renamed
			}
			b.db.Exec(t, `DROP TABLE `+table+` CASCADE`)
			require.NoError(t, b.back(t, p))
			require.Equal(t, "0", b.one(t, `SELECT count(*) FROM pg_proc WHERE pronamespace = $1::regnamespace AND proname LIKE '%0001_channel%'`, b.ledger.Schema()), "what stood beside it has gone too")
			b.customers(t, 10)
			b.owner = start()
			b.begin(t, b.planned(t, changing("0001_channel", o)))
		})
	}
}

func TestATableThatWasDroppedByHandIsDropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 100)
	p := b.planned(t, changing("0001_channel", migrate.Operation{Kind: migrate.DropTable}))
	b.begin(t, p)
	for _, phase := range []migrate.Phase{migrate.Switch, migrate.Deprecating} {
		b.phase(t, p, phase)
	}
	b.db.Exec(t, `DROP TABLE `+p.Renamed)
	require.Empty(t, b.unready(t, p))
	b.phase(t, p, migrate.Contract)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
}

// Whoever renames a table meanwhile has to give it its name back: what was made is on it still.
func TestATableThatWasRenamedByHandIsNotTakenForDropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 100)
	p := b.planned(t, changing("0001_channel", migrate.Operation{Kind: migrate.RenameColumn, Column: "note", To: "remark"}))
	b.begin(t, p)
	for _, phase := range []migrate.Phase{migrate.Expand, migrate.DualWrite} {
		b.phase(t, p, phase)
	}
	b.db.Exec(t, `ALTER TABLE customers RENAME TO others`)
	require.Equal(t, fault.Conflict, fault.ClassOf(b.back(t, p)))
	b.db.Exec(t, `ALTER TABLE others RENAME TO customers`)
	require.NoError(t, b.back(t, p))
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM pg_trigger WHERE tgrelid = 'customers'::regclass AND NOT tgisinternal`))
}
