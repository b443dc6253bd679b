package alter_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// moving makes a table of rows with nulls, with or without a key.
func (b *bundle) moving(t *testing.T, key string, n int) {
	t.Helper()
	b.db.Exec(t, `CREATE TABLE sales (id bigint `+key+`, seen int NOT NULL DEFAULT 0, qty int, chan text NOT NULL DEFAULT 'web', note text)`)
	b.db.Exec(t, `INSERT INTO sales (id, qty, chan, note) SELECT i, nullif(i % 5, 0), 'ch' || i % 7, CASE WHEN i % 3 > 0 THEN 'note ' || i END FROM generate_series(1, $1::int) i`, n)
	b.db.Exec(t, `ANALYZE sales`)
}

func replacing() migrate.Migration {
	return migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Names say what they are.", Operations: []migrate.Operation{
		{Kind: migrate.RenameColumn, Column: "chan", To: "channel"},
		{Kind: migrate.RenameColumn, Column: "note", To: "remark"},
		{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "coalesce(qty, 0)::bigint", Down: "nullif(qty, 0)::int"},
	}}
}

// unlike counts the rows of which the two shapes do not say the same.
const unlike = `SELECT count(*) FROM sales WHERE chan IS DISTINCT FROM channel OR note IS DISTINCT FROM remark OR qty__new IS DISTINCT FROM coalesce(qty, 0)`

func (b *bundle) holds(t *testing.T, p migrate.Plan) {
	t.Helper()
	checked, err := b.Prove(t.Context(), b.owner, p, func() {})
	require.NoError(t, err)
	require.NotEmpty(t, checked)
	for _, c := range checked {
		require.Zero(t, c.Broken, c.Proof)
	}
	require.Equal(t, "0", b.one(t, unlike))
}

// Nobody of those who write here knows a column that is replaced.
func TestRowsThatMoveBehindTheBackfillAreBroughtOver(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ key, update string }{
		"by place, as there is no key": {"", `UPDATE sales SET seen = seen + 1 WHERE id % 20 = $1`},
		"by their key":                 {"PRIMARY KEY", `UPDATE sales SET id = -id WHERE id % 20 = $1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.moving(t, x.key, 20_000)
			p := b.planned(t, replacing())
			require.Equal(t, x.key != "", len(p.Filling.Key) > 0)
			b.filling(t, p)
			var rest atomic.Bool
			var wg sync.WaitGroup
			failed := make(chan error, 1)
			wg.Go(func() {
				var err error
				for i := 1; err == nil && !rest.Load(); i++ {
					_, err = b.db.Pool.Exec(t.Context(), `UPDATE sales SET seen = seen + 1 WHERE abs(id) = $1`, 1+i*37%20_000)
				}
				failed <- err
			})
			for done, call := false, 0; !done; call++ {
				_, err := b.db.Pool.Exec(t.Context(), x.update, 19-call)
				require.NoError(t, err)
				filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{})
				require.NoError(t, err)
				done = filled.Done
			}
			rest.Store(true)
			wg.Wait()
			require.NoError(t, <-failed)
			require.Equal(t, "20000", b.one(t, `SELECT count(*) FROM sales`))
			b.holds(t, p)
		})
	}
}

func TestRowsThatLackAValueAreBroughtOverWhenItIsLookedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.moving(t, "", 7000)
	p := b.planned(t, replacing())
	b.filling(t, p)
	_, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	b.holds(t, p)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Verify))
	require.NoError(t, pgx.BeginFunc(t.Context(), b.db.Pool, func(tx pgx.Tx) error { // unseen by the trigger, and far from where it was
		for _, sql := range []string{`SET LOCAL drawbridge.backfill = 'on'`, `UPDATE sales SET channel = NULL, qty__new = NULL WHERE id IN (3, 6500)`} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	}))
	require.Equal(t, "2", b.one(t, unlike))
	filled, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	require.True(t, filled.Done, "nothing is looked at twice unless that is asked for")
	require.Equal(t, "2", b.one(t, unlike))

	before := b.one(t, `SELECT md5(string_agg(ctid::text || xmin, ',' ORDER BY id)) FROM sales WHERE id NOT IN (3, 6500)`)
	filled, err = b.FillAgain(t.Context(), b.owner, p)
	require.NoError(t, err)
	require.False(t, filled.Done)
	filled, err = b.fill(t.Context(), p)
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.EqualValues(t, 7000, filled.Rows)
	b.holds(t, p)
	require.Equal(t, before, b.one(t, `SELECT md5(string_agg(ctid::text || xmin, ',' ORDER BY id)) FROM sales WHERE id NOT IN (3, 6500)`), "rows that need nothing are not written")
}

func TestNothingIsBroughtOverAgainOnceTheNewShapeCounts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.moving(t, "PRIMARY KEY", 10)
	p := b.planned(t, replacing())
	b.begin(t, p)
	b.through(t, p, migrate.Switch)
	_, err := b.FillAgain(t.Context(), b.owner, p)
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
}

// What the server binds to a column goes with the old one, whoever writes the new one.
func TestWhatIsBoundToAColumnKeepsItFromBeingReplaced(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.moving(t, "PRIMARY KEY", 10)
	b.db.Exec(t, `CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`)
	change := migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty::bigint", Down: "qty::int"}
	rename := migrate.Operation{Kind: migrate.RenameColumn, Column: "qty", To: "quantity"}
	other := migrate.Operation{Kind: migrate.RenameColumn, Column: "note", To: "remark"}
	drop := migrate.Operation{Kind: migrate.DropColumn, Column: "qty"}
	type binding struct {
		make, drop, name string
		refused          []migrate.Operation
		taken            []migrate.Operation
	}
	bindings := []binding{
		{`CREATE TRIGGER audited AFTER UPDATE OF qty ON sales FOR EACH ROW EXECUTE FUNCTION audit()`, `DROP TRIGGER audited ON sales`, "the trigger audited is bound to that one", []migrate.Operation{change, rename}, []migrate.Operation{other, drop}},
		{`CREATE TRIGGER audited BEFORE UPDATE ON sales FOR EACH ROW WHEN (OLD.qty <> NEW.qty) EXECUTE FUNCTION audit()`, `DROP TRIGGER audited ON sales`, "the trigger audited is bound to that one", []migrate.Operation{change, rename}, []migrate.Operation{other, drop}},
		{`CREATE POLICY few ON sales USING (qty < 10)`, `DROP POLICY few ON sales`, "the policy few is bound to that one", []migrate.Operation{change, rename}, []migrate.Operation{other, drop}},
		{`CREATE TRIGGER audited AFTER UPDATE ON sales FOR EACH ROW EXECUTE FUNCTION audit()`, `DROP TRIGGER audited ON sales`, "", nil, []migrate.Operation{change, rename, drop}},
		{`CREATE VIEW seen AS SELECT qty FROM sales`, `DROP VIEW seen`, "", nil, []migrate.Operation{change, rename, drop}},
	}
	if b.since(t, 15) {
		publication := "published_" + b.db.Schema
		bindings = append(bindings, binding{
			`CREATE PUBLICATION ` + publication + ` FOR TABLE sales (id, qty)`, `DROP PUBLICATION ` + publication, "the publication " + publication + " is bound to that one",
			[]migrate.Operation{change},
			[]migrate.Operation{rename, other, drop},
		})
	}
	for _, x := range bindings {
		b.db.Exec(t, x.make)
		compute := func(o migrate.Operation) error {
			m := migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Names say what they are.", Operations: []migrate.Operation{o}}
			d, err := b.DescribeTable(t.Context(), "sales", migrate.Expressions(m), migrate.Replacements(m)...)
			require.NoError(t, err)
			_, err = migrate.Compute(migrate.Input{Migration: m, Release: releaseOf("1.0.0"), Environment: prod, Table: d})
			return err
		}
		for _, o := range x.refused {
			err := compute(o)
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%s of what has: %s", o.Kind, x.make)
			require.ErrorContains(t, err, x.name)
			require.Equal(t, "drop it first, and create it anew after contract", fault.HintOf(err))
		}
		for _, o := range x.taken {
			require.NoError(t, compute(o), "%s of what has: %s", o.Kind, x.make)
		}
		b.db.Exec(t, x.drop)
	}
}

func TestATriggerThatTheBackfillSetsOffIsToldOf(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.moving(t, "PRIMARY KEY", 10)
	b.db.Exec(t, `CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`)
	for name, when := range map[string]string{
		"each_row": `BEFORE UPDATE ON sales FOR EACH ROW`, "with_condition": `AFTER INSERT OR UPDATE ON sales FOR EACH ROW WHEN (NEW.seen > 1)`,
		"of_seen": `AFTER UPDATE OF seen ON sales FOR EACH ROW`, "of_note": `BEFORE UPDATE OF note ON sales FOR EACH ROW`,
		"each_statement": `AFTER UPDATE ON sales FOR EACH STATEMENT`,
		"on_insert":      `BEFORE INSERT ON sales FOR EACH ROW`, "on_delete": `AFTER DELETE ON sales FOR EACH ROW`, "off": `AFTER UPDATE ON sales FOR EACH ROW`,
	} {
		b.db.Exec(t, fmt.Sprintf(`CREATE TRIGGER %s %s EXECUTE FUNCTION audit()`, name, when))
	}
	b.db.Exec(t, `ALTER TABLE sales DISABLE TRIGGER off`)
	told := func(o migrate.Operation) []string {
		p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Names say what they are.", Operations: []migrate.Operation{o}})
		return slices.DeleteFunc(p.Warnings, func(w string) bool { return !strings.HasPrefix(w, "The trigger") })
	}
	warning := func(name string) string {
		return "The trigger " + name + " fires for the rows that are brought over, where its condition lets it. What it does then stays after a rollback."
	}
	all := []string{warning("each_row"), warning("each_statement"), warning("with_condition")}
	require.Equal(t, all, told(migrate.Operation{Kind: migrate.RenameColumn, Column: "chan", To: "channel"}))
	require.Equal(t, []string{warning("each_row"), warning("each_statement"), warning("of_note"), warning("with_condition")}, told(migrate.Operation{Kind: migrate.SetNotNull, Column: "note", Up: "'-'"}))
	require.Empty(t, told(migrate.Operation{Kind: migrate.SetDefault, Column: "note", Default: "'-'"}), "no row is brought over")
}
