package alter_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

const customers = `CREATE TABLE customers (
	id bigint PRIMARY KEY, web boolean NOT NULL, amount numeric(12,2) NOT NULL DEFAULT 0, qty integer, note text, code varchar(10) COLLATE "C",
	created timestamptz NOT NULL DEFAULT '2026-01-01')`

// customers makes a table with all that the operations of the rich migration meet.
func (b *bundle) customers(t *testing.T, n int) {
	t.Helper()
	b.db.Exec(t, customers)
	b.db.Exec(t, `CREATE INDEX customers_created ON customers (created)`)
	b.db.Exec(t, `COMMENT ON COLUMN customers.amount IS 'in euros'`)
	b.db.Exec(t, `CREATE UNIQUE INDEX customers_amount ON customers (amount DESC, id) INCLUDE (code)`)
	b.db.Exec(t, `CREATE INDEX customers_code ON customers (code text_pattern_ops, qty NULLS FIRST) WHERE id > 10`)
	b.db.Exec(t, `ALTER TABLE customers ADD CONSTRAINT amount_positive CHECK (amount >= 0)`)
	b.db.Exec(t, `CREATE STATISTICS customers_both ON code, amount FROM customers`)
	b.db.Exec(t, `GRANT SELECT (amount, code) ON customers TO PUBLIC`)
	b.db.Exec(t, `INSERT INTO customers (id, web, amount, qty, note, code)
		SELECT i, i % 2 = 0, i / 7.0, i, CASE WHEN i % 3 > 0 THEN 'note ' || i END, i FROM generate_series(1, $1::int) i`, n)
	b.db.Exec(t, `ANALYZE customers`)
}

// rich is one migration of nearly every operation.
func rich() migrate.Migration {
	return migrate.Migration{Name: "0001_channel", Table: "customers", Why: "Reports need it.", Operations: []migrate.Operation{
		{Kind: migrate.CreateIndex, Name: "customers_channel", Columns: []string{"channel", "amount_eur DESC"}},
		{Kind: migrate.DropColumn, Column: "note"},
		{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "CASE WHEN web THEN 'web ' || qty ELSE 'store' END"},
		{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"},
		{Kind: migrate.ChangeType, Column: "qty", To: "text", Up: "(qty + 1)::text", Down: "qty::int - 1"},
		{Kind: migrate.SetDefault, Column: "code", Default: "'none'"},
		{Kind: migrate.AddCheck, Name: "created_late", Check: "created > '2000-01-01 00:00:00+00'"},
		{Kind: migrate.DropIndex, Name: "customers_created"},
		{Kind: migrate.SetComment, Column: "created", Comment: "it's when they came"},
	}}
}

// planned is the plan of a migration of the table as it is.
func (b *bundle) planned(t *testing.T, m migrate.Migration) migrate.Plan {
	t.Helper()
	p, err := b.computed(t, m)
	require.NoError(t, err)
	return p
}

func (b *bundle) computed(t *testing.T, m migrate.Migration) (migrate.Plan, error) {
	t.Helper()
	d, err := b.DescribeTable(t.Context(), m.Table, migrate.Expressions(m), migrate.Replacements(m)...)
	require.NoError(t, err)
	d, err = b.DescribeAround(t.Context(), d, m)
	require.NoError(t, err)
	return migrate.Compute(migrate.Input{Migration: m, Release: releaseOf("1.0.0"), Environment: prod, Table: d})
}

// run runs what a step does, and records nothing.
func (b *bundle) run(t *testing.T, class migrate.Class, statements []string) {
	t.Helper()
	if class == migrate.Concurrent {
		for _, sql := range statements {
			b.db.Exec(t, sql)
		}
		return
	}
	require.NoError(t, pgx.BeginFunc(t.Context(), b.db.Pool, func(tx pgx.Tx) error {
		for _, sql := range statements {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	}))
}

// through does the phases up to one, and what is between steps.
func (b *bundle) through(t *testing.T, p migrate.Plan, last migrate.Phase) {
	t.Helper()
	for _, phase := range migrate.Phases() {
		b.phase(t, p, phase)
		if phase == migrate.Backfill {
			filled, err := b.fill(t.Context(), p)
			require.NoError(t, err)
			require.True(t, filled.Done)
		}
		if phase == migrate.Verify {
			checked, err := b.Prove(t.Context(), b.owner, p, func() {})
			require.NoError(t, err)
			require.Len(t, checked, len(p.Proofs))
			for _, c := range checked {
				require.Zero(t, c.Broken, c.Proof)
			}
		}
		if phase == last {
			return
		}
	}
}

// like is a table's description without what rows and names of sizes say.
func (b *bundle) like(t *testing.T, table string) migrate.Table {
	t.Helper()
	d, err := b.DescribeTable(t.Context(), table, nil)
	require.NoError(t, err)
	d.Readers = slices.DeleteFunc(d.Readers, func(r migrate.Reader) bool { return r.Guessed }) // other tests of the server have functions too
	d.OID, d.Rows, d.Bytes, d.Pages, d.Open, d.Name = 0, 0, 0, 0, "", ""
	slices.SortFunc(d.Columns, func(a, b migrate.Column) int { return strings.Compare(a.Name, b.Name) })
	for i := range d.Indexes {
		slices.Sort(d.Indexes[i].Columns)
	}
	for i := range d.Statistics {
		slices.Sort(d.Statistics[i].Columns)
	}
	return d
}

func TestAPlannedMigrationLeavesTheTableAsPlainSQLWouldHaveLeftIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 3000)
	p := b.planned(t, rich())
	b.begin(t, p)
	b.through(t, p, migrate.Contract)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	after := b.like(t, "customers")
	rows := b.one(t, `SELECT md5(string_agg(concat_ws('|', id, web, amount_eur, qty, channel, code, created), ',' ORDER BY id)) FROM customers`)
	functions := b.one(t, `SELECT count(*) FROM pg_proc WHERE pronamespace = $1::regnamespace AND proname <> 'refuse_write'`, b.ledger.Schema())
	require.Equal(t, "0", functions, "nothing of the dual write is left")

	b.db.Exec(t, `DROP TABLE customers`)
	b.customers(t, 3000)
	for _, sql := range []string{
		`ALTER TABLE customers ADD COLUMN channel text`,
		`UPDATE customers SET channel = CASE WHEN web THEN 'web ' || qty ELSE 'store' END`,
		`ALTER TABLE customers ALTER channel SET NOT NULL`,
		`ALTER TABLE customers RENAME amount TO amount_eur`,
		`ALTER TABLE customers ALTER qty TYPE text USING (qty + 1)::text`,
		`ALTER TABLE customers ALTER code SET DEFAULT 'none'`,
		`ALTER TABLE customers ADD CONSTRAINT created_late CHECK (created > '2000-01-01 00:00:00+00')`,
		`ALTER TABLE customers DROP COLUMN note`,
		`DROP INDEX customers_created`,
		`CREATE INDEX customers_channel ON customers (channel, amount_eur DESC)`,
		`COMMENT ON COLUMN customers.created IS 'it''s when they came'`,
	} {
		b.db.Exec(t, sql)
	}
	require.Equal(t, b.like(t, "customers"), after)
	require.Equal(t, b.one(t, `SELECT md5(string_agg(concat_ws('|', id, web, amount_eur, qty, channel, code, created), ',' ORDER BY id)) FROM customers`), rows)
}

func TestAPlannedMigrationIsRolledBackFromEveryPhase(t *testing.T) {
	t.Parallel()
	for _, last := range migrate.Phases()[:6] {
		t.Run(string(last), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.customers(t, 1000)
			before := b.like(t, "customers")
			const all = `SELECT md5(string_agg(c::text, ',' ORDER BY id)) FROM customers c`
			rows := b.one(t, all)
			p := b.planned(t, rich())
			b.begin(t, p)
			b.through(t, p, last)
			for i, s := range slices.Backward(p.Steps) {
				if s.Phase == migrate.Contract {
					continue
				}
				if slices.Index(migrate.Phases(), s.Phase) <= slices.Index(migrate.Phases(), last) && i%2 == 0 { // whoever undid it is gone, and another goes on
					b.run(t, s.Class, s.Undo)
					b.owner = start()
					b.begin(t, p)
				}
				undo := b.spec(p, s.ID)
				undo.Undo = true
				r, err := b.DoStep(t.Context(), undo, beat)
				require.NoError(t, err, s.ID)
				require.True(t, r.Done, "%s is blocked: %+v", s.ID, r)
				standing, err := b.Migration(t.Context(), b.owner)
				require.NoError(t, err)
				require.True(t, standing.Back)
			}
			require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
			require.Equal(t, before, b.like(t, "customers"))
			require.Equal(t, rows, b.one(t, all))
		})
	}
}

// Readers name their columns, so that none of them sees a change before the contract; writers write the old shape.
func TestReadersAndWritersOfTheOldShapeMeetNoErrorBeforeTheContract(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 20_000)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "customers", Why: "Reports need it.", Operations: []migrate.Operation{
		{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "CASE WHEN web THEN 'web' ELSE 'store' END"},
		{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"},
	}})
	b.begin(t, p)
	stop, failed := make(chan struct{}), make(chan error, 8)
	var reads, writes atomic.Int64
	ctx := context.WithoutCancel(t.Context())
	session := func(count *atomic.Int64, do func(conn *pgx.Conn, i int) error) {
		conn, err := pgx.Connect(ctx, b.db.URL)
		if err == nil {
			defer func() { _ = conn.Close(ctx) }()
			_, err = conn.Exec(ctx, `SET search_path = pg_catalog`)
		}
		for i := 0; err == nil; i++ {
			select {
			case <-stop:
				failed <- nil
				return
			default:
			}
			if err = do(conn, i); err == nil {
				count.Add(1)
			}
		}
		failed <- err
	}
	for n := range 4 {
		go session(&reads, func(conn *pgx.Conn, i int) error {
			var amount string
			return conn.QueryRow(ctx, `SELECT amount::text FROM `+b.db.Schema+`.customers WHERE id = $1`, (i*7+n)%20_000+1).Scan(&amount)
		})
		go session(&writes, func(conn *pgx.Conn, i int) error {
			var err error
			switch i % 3 {
			case 0:
				_, err = conn.Exec(ctx, `INSERT INTO `+b.db.Schema+`.customers (id, web, amount) VALUES ($1, true, 5)`, 100_000+i*4+n)
			case 1:
				_, err = conn.Exec(ctx, `UPDATE `+b.db.Schema+`.customers SET amount = amount + 1 WHERE id = $1`, (i*11)%20_000+1)
			default:
				_, err = conn.CopyFrom(ctx, pgx.Identifier{b.db.Schema, "customers"}, []string{"id", "web", "amount"}, pgx.CopyFromRows([][]any{{1_000_000 + i*4 + n, false, 7}}))
			}
			return err
		})
	}
	b.through(t, p, migrate.Deprecating)
	at := writes.Load()
	require.Eventually(t, func() bool { return writes.Load() > at+50 }, 20*time.Second, time.Millisecond)
	close(stop)
	for range 8 {
		require.NoError(t, <-failed)
	}
	require.Positive(t, reads.Load())
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM customers WHERE amount_eur IS DISTINCT FROM amount OR channel IS DISTINCT FROM CASE WHEN web THEN 'web' ELSE 'store' END`))
	b.phase(t, p, migrate.Contract)
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM pg_trigger WHERE tgrelid = 'customers'::regclass AND NOT tgisinternal`))
}

// A worker is gone at each boundary of each step: before it acts, and after it has acted and before it has recorded that.
func TestAPlannedMigrationGoesOnAfterACrashAtAnyBoundary(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 500)
	p := b.planned(t, rich())
	b.begin(t, p)
	for _, phase := range migrate.Phases() {
		require.NoError(t, b.EnterPhase(t.Context(), b.owner, phase))
		if phase == migrate.Backfill {
			_, err := b.fill(t.Context(), p)
			require.NoError(t, err)
		}
		for _, s := range p.Of(phase) {
			b.owner = start() // another worker's workflow takes it over
			require.Equal(t, phase, b.begin(t, p).Phase)
			b.run(t, s.Class, s.Act)
			b.step(t, p, s.ID)
		}
	}
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	require.Equal(t, "500 500", b.one(t, `SELECT count(channel) || ' ' || count(amount_eur) FROM customers`))
}

func TestHostileNamesAreOnlyNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	table, key, column := `Or"ders; DROP TABLE kept; --`, `I"d $1`, `Cha'nnel "x" (\`
	name := pgx.Identifier{table}.Sanitize()
	quoted := func(column string) string { return pgx.Identifier{column}.Sanitize() }
	b.db.Exec(t, `CREATE TABLE kept ()`)
	b.db.Exec(t, `CREATE TABLE `+name+` (`+quoted(key)+` bigint PRIMARY KEY, `+quoted(column)+` text NOT NULL)`)
	b.db.Exec(t, `INSERT INTO `+name+` SELECT i, 'v' || i FROM generate_series(1, 6000) i`)
	thing := quoted(`Th"ing'; DROP TABLE kept; -- %s %I $1`)
	b.db.Exec(t, `CREATE INDEX `+thing+` ON `+name+` (lower(`+quoted(column)+`)) WHERE `+quoted(column)+` <> ''';--'`)
	b.db.Exec(t, `ALTER TABLE `+name+` ADD CONSTRAINT `+thing+` CHECK (`+quoted(column)+` <> E'\\'';--')`)
	b.db.Exec(t, `CREATE STATISTICS `+quoted(`St"at'; DROP TABLE kept; -- %s`)+` ON `+quoted(key)+`, `+quoted(column)+` FROM `+name)
	before := b.like(t, table)
	b.db.Exec(t, `CREATE VIEW reads AS SELECT `+quoted(column)+` FROM `+name)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: table, Why: "Names.", Operations: []migrate.Operation{
		{Kind: migrate.RenameColumn, Column: column, To: "channel"},
	}})
	require.Equal(t, []migrate.KeyColumn{{Name: key, Type: "bigint"}}, p.Filling.Key)
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	readers, err := b.ReadersOf(t.Context(), table, []string{column})
	require.NoError(t, err)
	require.Len(t, readers, 1)
	b.db.Exec(t, `DROP VIEW reads`)
	b.phase(t, p, migrate.Contract)
	after := b.like(t, table)
	require.Len(t, after.Indexes, 2)
	require.Equal(t, before.Indexes[1].Name, after.Indexes[1].Name)
	require.Equal(t, before.Checks[0].Name, after.Checks[0].Name)
	require.Equal(t, before.Statistics[0].Name, after.Statistics[0].Name)
	require.Equal(t, "6000 0", b.one(t, `SELECT (SELECT count(channel) FROM `+name+`) || ' ' || (SELECT count(*) FROM kept)`))
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
}

// Nothing that others have made goes along with a column.
func TestWhatStillReadsAColumnKeepsItFromBeingDropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 10)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "customers", Why: "Nobody reads it.", Operations: []migrate.Operation{{Kind: migrate.DropColumn, Column: "note"}}})
	b.begin(t, p)
	b.db.Exec(t, `CREATE VIEW late AS SELECT note FROM customers`)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	steps := p.Of(migrate.Contract)
	_, err := b.DoStep(t.Context(), b.spec(p, steps[len(steps)-1].ID), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.ErrorContains(t, err, ".late reads note")
	require.Equal(t, "drop it, or create it anew over the new shape: then it goes on", fault.HintOf(err))
	require.Equal(t, "7", b.one(t, `SELECT count(note) FROM late`))
	b.db.Exec(t, `DROP VIEW late`)
	b.step(t, p, steps[len(steps)-1].ID)
}

// Whoever has moved to the new shape, as they were asked to, reads what is written until they have moved back: nothing is undone before.
func TestNothingIsUndoneWhileSomebodyReadsWhatWouldGo(t *testing.T) {
	t.Parallel()
	for _, last := range []migrate.Phase{migrate.DualWrite, migrate.Switch, migrate.Deprecating} {
		for column, name := range map[string]string{"amount_eur": "amount_eur", "qty": "qty__new"} {
			t.Run(string(last)+" "+column, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				b.customers(t, 100)
				p := b.planned(t, rich())
				b.begin(t, p)
				b.through(t, p, last)
				if last == migrate.DualWrite {
					column = name // it is called so until the switch
				}
				b.db.Exec(t, `CREATE VIEW moved AS SELECT id, `+column+` AS value FROM customers`)
				undo := func(id string) (migrate.StepResult, error) {
					spec := b.spec(p, id)
					spec.Undo = true
					return b.DoStep(t.Context(), spec, beat)
				}
				for _, s := range slices.Backward(p.Steps) {
					if s.Phase == migrate.Contract || last.Before(s.Phase) {
						continue
					}
					_, err := undo(s.ID)
					require.Equal(t, fault.Conflict, fault.ClassOf(err), s.ID)
					require.ErrorContains(t, err, ".moved reads "+column)
					require.Contains(t, fault.HintOf(err), "drawbridge migrate rollback "+b.owner.Workflow())
				}
				standing, err := b.Migration(t.Context(), b.owner)
				require.NoError(t, err)
				require.False(t, standing.Back, "it may still go on")
				b.db.Exec(t, `INSERT INTO customers (id, web, amount, qty) VALUES (-1, true, 7, 7)`)
				if last != migrate.DualWrite && column == "qty" {
					require.Equal(t, "7", b.one(t, `SELECT value FROM moved WHERE id = -1`), "who writes the new shape is read in it")
				}
				require.NotEmpty(t, b.one(t, `SELECT value::text FROM moved WHERE id = -1`))

				b.db.Exec(t, `DROP VIEW moved`)
				for _, s := range slices.Backward(p.Steps) {
					if s.Phase == migrate.Contract || last.Before(s.Phase) {
						continue
					}
					r, err := undo(s.ID)
					require.NoError(t, err, s.ID)
					require.True(t, r.Done)
				}
			})
		}
	}
}

// Who has begun to read a column in the middle of the way back is named too.
func TestWhoReadsWhatGoesInTheMiddleOfTheWayBackIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 10)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "customers", Why: "A better name.", Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"}}})
	b.begin(t, p)
	b.through(t, p, migrate.DualWrite)
	var failed error
	for _, s := range slices.Backward(p.Steps) {
		if s.Phase == migrate.Contract {
			continue
		}
		if s.Phase == migrate.Expand && failed == nil {
			b.db.Exec(t, `CREATE OR REPLACE VIEW late AS SELECT amount_eur FROM customers`)
		}
		spec := b.spec(p, s.ID)
		spec.Undo = true
		if _, err := b.DoStep(t.Context(), spec, beat); err != nil {
			failed = err
		}
	}
	require.Equal(t, fault.Conflict, fault.ClassOf(failed))
	require.ErrorContains(t, failed, ".late reads amount_eur")
}

// What is done of a plan is what its table says.
func TestWhatIsNotDoneOfAPlanIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 10)
	p := b.planned(t, rich())
	b.begin(t, p)
	all := []migrate.Phase{migrate.Expand, migrate.DualWrite, migrate.Switch}
	undone := func(phases ...migrate.Phase) int {
		titles, err := b.Undone(t.Context(), p, phases...)
		require.NoError(t, err)
		return len(titles)
	}
	require.Equal(t, len(p.Of(migrate.Expand)), undone(migrate.Expand))
	b.through(t, p, migrate.DualWrite)
	require.Zero(t, undone(migrate.Expand, migrate.DualWrite))
	require.NotZero(t, undone(all...))
	b.db.Exec(t, `DROP INDEX customers_channel`)
	require.Equal(t, 1, undone(migrate.Expand))
}
