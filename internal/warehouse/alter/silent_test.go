package alter_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// Here is what other tools are known to do in silence: a value lost by a search path, a backfill of nothing, objects of consumers that go
// along, and a lock on all tables for days. That what is over a column goes along with it in full is in
// TestAColumnIsReplacedWithAllThatIsOverIt.

// A writer's search path says nothing of which shape it means: what it has written does.
func TestAValueThatIsWrittenIsKeptUnderAnySearchPath(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, stopped)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "orders", Why: "Who writes what.", Operations: []migrate.Operation{
		{Kind: migrate.ChangeType, Column: "amount", To: "text", Up: "amount::text || ' EUR'", Down: "split_part(amount, ' ', 1)::bigint"},
		{Kind: migrate.RenameColumn, Column: "channel", To: "source"},
	}})
	b.begin(t, p)
	b.through(t, p, migrate.DualWrite)
	id := 0
	for _, path := range []string{
		``, `pg_catalog`, b.db.Schema, b.db.Schema + `, pg_catalog`, `"$user", ` + b.db.Schema, b.db.Schema + `, public`, b.ledger.Schema() + `, ` + b.db.Schema, `nothing`,
	} {
		for _, write := range []struct{ columns, row, want string }{
			{"amount, channel", "7\tshop", "7 7 EUR shop shop"}, {"amount__new, source", "8 EUR\tphone", "8 8 EUR phone phone"}, {"amount, source", "9\tweb", "9 9 EUR web web"},
		} {
			amount, channel, _ := strings.Cut(write.row, "\t")
			for _, do := range []func(tx pgx.Tx) error{
				func(tx pgx.Tx) error {
					_, err := tx.Exec(t.Context(), fmt.Sprintf(`INSERT INTO %s.orders (id, %s) VALUES (%d, '%s', '%s')`, b.db.Schema, write.columns, id, amount, channel), pgx.QueryExecModeExec)
					return err
				},
				func(tx pgx.Tx) error {
					row := strings.NewReader(fmt.Sprintf("%d\t%s\n", id, write.row))
					_, err := tx.Conn().PgConn().CopyFrom(t.Context(), row, fmt.Sprintf(`COPY %s.orders (id, %s) FROM STDIN`, b.db.Schema, write.columns))
					return err
				},
				func(tx pgx.Tx) error {
					if _, err := tx.Exec(t.Context(), fmt.Sprintf(`INSERT INTO %s.orders (id, amount) VALUES (%d, 1)`, b.db.Schema, id), pgx.QueryExecModeExec); err != nil {
						return err
					}
					_, err := tx.Exec(t.Context(), fmt.Sprintf(`UPDATE %s.orders SET (%s) = ROW('%s', '%s') WHERE id = %d`, b.db.Schema, write.columns, amount, channel, id), pgx.QueryExecModeExec)
					return err
				},
			} {
				id++
				require.NoError(t, pgx.BeginFunc(t.Context(), b.db.Pool, func(tx pgx.Tx) error {
					if _, err := tx.Exec(t.Context(), `SELECT set_config('search_path', $1, true)`, path); err != nil {
						return err
					}
					return do(tx)
				}))
				require.Equal(t, write.want, b.one(t, `SELECT concat_ws(' ', amount, amount__new, channel, source) FROM orders WHERE id = $1`, id), "%s with the path %q", write.columns, path)
			}
		}
	}
}

var triggerName = regexp.MustCompile(`CREATE TRIGGER (\S+)`)

// Where writers are not written for twice, no row is brought over, and that is said.
func TestNoRowIsBroughtOverWithoutTheTriggerThatWritesBoth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, stopped)
	b.db.Exec(t, `INSERT INTO orders SELECT i, i, i FROM generate_series(1, 100) i`)
	p := b.planned(t, renamedOrders())
	names := triggerName.FindStringSubmatch(strings.Join(p.Of(migrate.DualWrite)[0].Act, "\n"))
	require.NotEmpty(t, names)
	b.db.Exec(t, `CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`)
	b.db.Exec(t, `CREATE TRIGGER `+names[1]+` BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION nothing()`)
	for range 2 {
		err := b.onward(t, b.Tables, p, 20*time.Second)
		require.NotEmpty(t, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, p.Of(migrate.DualWrite)[0].ID)
		standing, err := b.Migration(t.Context(), b.owner)
		require.NoError(t, err)
		require.Equal(t, migrate.DualWrite, standing.Phase)
		require.Equal(t, "0", b.one(t, `SELECT count(source) FROM orders`))
	}
	b.db.Exec(t, `DROP TRIGGER `+names[1]+` ON orders`)
	require.NoError(t, b.onward(t, b.Tables, p, 20*time.Second))
	require.Equal(t, "100", b.one(t, `SELECT count(source) FROM orders`))
}

func renamedOrders() migrate.Migration {
	return migrate.Migration{Name: "0001_channel", Table: "orders", Why: "A better name.", Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "channel", To: "source"}}}
}

// What consumers have made over either shape is theirs: it is there when the migration is done, and when it is taken back.
func TestNothingThatConsumersMadeGoesAlong(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{false, true} {
		b := setup(t)
		b.db.Exec(t, stopped)
		b.db.Exec(t, `INSERT INTO orders SELECT i, i, i FROM generate_series(1, 100) i`)
		p := b.planned(t, renamedOrders())
		b.begin(t, p)
		b.db.Exec(t, `CREATE MATERIALIZED VIEW apart AS SELECT id, amount FROM orders`)
		b.db.Exec(t, `CREATE VIEW old AS SELECT channel FROM orders`)
		b.db.Exec(t, `CREATE MATERIALIZED VIEW over_it AS SELECT count(channel) AS n FROM old`)
		b.through(t, p, migrate.Deprecating)
		there := func(what string) {
			b.db.Exec(t, `REFRESH MATERIALIZED VIEW apart`)
			b.db.Exec(t, `REFRESH MATERIALIZED VIEW over_it`)
			require.Equal(t, "100 100", b.one(t, `SELECT (SELECT count(*) FROM apart) || ' ' || n FROM over_it`), what)
		}
		if back {
			require.NoError(t, b.back(t, p))
			there("it was taken back")
			continue
		}
		err := b.onward(t, b.Tables, p, 20*time.Second)
		require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, ".old reads channel")
		there("it was refused")
		b.db.Exec(t, `DROP MATERIALIZED VIEW over_it`)
		b.db.Exec(t, `DROP VIEW old`)
		require.NoError(t, b.onward(t, b.Tables, p, 20*time.Second))
		b.db.Exec(t, `REFRESH MATERIALIZED VIEW apart`)
		require.Equal(t, "100", b.one(t, `SELECT count(*) FROM apart`))
	}
}

// The days in which one table's old shape is kept keep nobody from changing another one.
func TestTablesOfASchemaAreChangedAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, stopped)
	b.db.Exec(t, `INSERT INTO orders SELECT i, i, i FROM generate_series(1, 100) i`)
	b.sales(t)
	first := b.planned(t, renamedOrders())
	b.begin(t, first)
	b.through(t, first, migrate.Deprecating)
	mine := b.owner

	b.owner = effect.OwnerOf("migrate/shop/prod/0002_qty", uuid.NewString())
	other := widened()
	other.Name = "0002_qty"
	second := b.planned(t, other)
	b.begin(t, second)
	b.through(t, second, migrate.Contract)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	b.owner = mine
	b.phase(t, first, migrate.Contract)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	require.Equal(t, "100 100", b.one(t, `SELECT (SELECT count(source) FROM orders) || ' ' || (SELECT count(*) FROM sales WHERE qty = (id + 1)::text)`))
}
