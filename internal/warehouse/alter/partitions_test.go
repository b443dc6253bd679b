package alter_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/testdb"
)

// leaves of the table that parted makes: by range, by list within a range, and defaults of both.
var salesLeaves = []string{"sales_jan", "sales_feb_eu", "sales_feb_rest", "sales_rest"}

// parted makes a partitioned table, with leaves at two levels.
func (b *bundle) parted(t *testing.T, n int) {
	t.Helper()
	for _, sql := range []string{
		`CREATE TABLE sales (id bigint NOT NULL, at date NOT NULL, region text NOT NULL, web boolean NOT NULL, amount numeric(12,2) DEFAULT 0, qty integer, note text, code text, score numeric(8,3) DEFAULT 0.5,
		 PRIMARY KEY (id, at, region), CONSTRAINT qty_small CHECK (qty < 1000000)) PARTITION BY RANGE (at)`,
		`CREATE TABLE sales_jan PARTITION OF sales FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')`,
		`CREATE TABLE sales_feb PARTITION OF sales FOR VALUES FROM ('2026-02-01') TO ('2026-03-01') PARTITION BY LIST (region)`,
		`CREATE TABLE sales_feb_eu PARTITION OF sales_feb FOR VALUES IN ('eu')`,
		`CREATE TABLE sales_feb_rest PARTITION OF sales_feb DEFAULT`,
		`CREATE TABLE sales_rest PARTITION OF sales DEFAULT`,
		`CREATE INDEX sales_qty ON sales (qty)`,
		`CREATE UNIQUE INDEX sales_amount ON sales (amount DESC, id, at, region) INCLUDE (web) WHERE amount > 0`,
		`COMMENT ON INDEX sales_amount IS 'it''s quick'`,
		`CREATE INDEX sales_score ON sales (score, (score + 1)) WHERE score > 0`,
		`ALTER TABLE sales ADD CONSTRAINT score_small CHECK (score < 100000)`,
		`CREATE STATISTICS sales_both ON score, amount FROM sales`,
		`COMMENT ON COLUMN sales.amount IS 'in euros'`,
	} {
		b.db.Exec(t, sql)
	}
	b.db.Exec(t, `INSERT INTO sales (id, at, region, web, amount, qty, note, code, score)
		SELECT i, '2026-01-01'::date + i % 90, CASE WHEN i % 2 = 0 THEN 'eu' ELSE 'us' END, i % 2 = 0, i / 7.0, i, 'note ' || i, CASE WHEN i % 3 > 0 THEN 'c' || i END, i / 8.0
		FROM generate_series(1, $1::int) i`, n)
	b.db.Exec(t, `ANALYZE sales`)
}

// divided is one migration of every operation that there is for a partitioned table.
func divided() migrate.Migration {
	return migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Reports need it.", Operations: []migrate.Operation{
		{Kind: migrate.CreateIndex, Name: "sales_channel", Columns: []string{"channel", "amount_eur DESC"}, Where: "web"},
		{Kind: migrate.CreateIndex, Name: "sales_once", Columns: []string{"id", "at", "region DESC"}, Unique: true},
		{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "CASE WHEN web THEN 'web ' || qty ELSE 'store' END"},
		{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"},
		{Kind: migrate.ChangeType, Column: "score", To: "int", Up: "round(score * 10)::int", Down: "score / 10.0", Default: "5"},
		{Kind: migrate.SetNotNull, Column: "code", Up: "'none'"},
		{Kind: migrate.SetDefault, Column: "qty", Default: "1"},
		{Kind: migrate.AddCheck, Name: "at_late", Check: "at > '2000-01-01'"},
		{Kind: migrate.DropColumn, Column: "note"},
		{Kind: migrate.DropIndex, Name: "sales_qty"},
		{Kind: migrate.SetComment, Column: "region", Comment: "where it's sold"},
	}}
}

// tree is what the table and each of its partitions are like.
func (b *bundle) tree(t *testing.T) []migrate.Table {
	t.Helper()
	var all []migrate.Table
	for _, name := range append([]string{"sales", "sales_feb"}, salesLeaves...) {
		d := b.like(t, name)
		for i := range d.Partitions {
			d.Partitions[i].Bytes = 0
		}
		for i := range d.Indexes {
			if name != "sales" { // the server names the parts of an index otherwise
				definition := strings.Fields(d.Indexes[i].Definition)
				at := slices.Index(definition, "INDEX") + 1
				d.Indexes[i].Name, definition[at] = "", "x"
				d.Indexes[i].Definition = strings.Join(definition, " ")
			}
		}
		slices.SortFunc(d.Indexes, func(a, b migrate.Index) int { return strings.Compare(a.Definition, b.Definition) })
		all = append(all, d)
	}
	return all
}

func TestAPartitionedTableEndsAsPlainSQLWouldHaveLeftIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 3000)
	p := b.planned(t, divided())
	b.begin(t, p)
	b.through(t, p, migrate.Contract)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	require.Empty(t, b.one(t, `SELECT coalesce(string_agg(relname, ', '), '') FROM pg_class WHERE relnamespace = $1::regnamespace AND relname LIKE '%!_!_new%' ESCAPE '!'`, b.db.Schema), "what takes a place has its name, in each partition too")
	require.Equal(t, "true", b.one(t, `SELECT to_regclass('sales_feb_eu_sales_amount') IS NOT NULL`))
	after := b.tree(t)
	const all = `SELECT md5(string_agg(concat_ws('|', tableoid::regclass, id, at, region, web, amount_eur, qty, channel, code, score), ',' ORDER BY id)) FROM sales`
	rows := b.one(t, all)
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM pg_proc WHERE pronamespace = $1::regnamespace AND proname <> 'refuse_write'`, b.ledger.Schema()), "nothing of the dual write is left")

	b.db.Exec(t, `DROP TABLE sales`)
	b.parted(t, 3000)
	for _, sql := range []string{
		`ALTER TABLE sales ADD COLUMN channel text`,
		`UPDATE sales SET channel = CASE WHEN web THEN 'web ' || qty ELSE 'store' END, code = coalesce(code, 'none')`,
		`ALTER TABLE sales ALTER channel SET NOT NULL, ALTER code SET NOT NULL, ALTER qty SET DEFAULT 1`,
		`ALTER TABLE sales RENAME amount TO amount_eur`,
		`ALTER TABLE sales ALTER score DROP DEFAULT`,
		`ALTER TABLE sales ALTER score TYPE int USING round(score * 10)::int`,
		`ALTER TABLE sales ALTER score SET DEFAULT 5`,
		`ALTER TABLE sales ADD CONSTRAINT at_late CHECK (at > '2000-01-01')`,
		`DROP INDEX sales_qty`,
		`ALTER TABLE sales DROP COLUMN note`,
		`CREATE INDEX sales_channel ON sales (channel, amount_eur DESC) WHERE web`,
		`CREATE UNIQUE INDEX sales_once ON sales (id, at, region DESC)`,
		`COMMENT ON COLUMN sales.region IS 'where it''s sold'`,
	} {
		b.db.Exec(t, sql)
	}
	require.Equal(t, b.tree(t), after)
	require.Equal(t, b.one(t, all), rows)
}

func TestAPartitionedTableIsRolledBackFromEveryPhaseThatChangesIt(t *testing.T) {
	t.Parallel()
	for _, last := range []migrate.Phase{migrate.Expand, migrate.DualWrite, migrate.Switch} {
		t.Run(string(last), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.parted(t, 500)
			before := b.tree(t)
			const all = `SELECT md5(string_agg(concat_ws('|', tableoid::regclass, id, at, region, web, amount, qty, note, score), ',' ORDER BY id)) FROM sales`
			rows := b.one(t, all)
			p := b.planned(t, divided())
			b.begin(t, p)
			b.through(t, p, last)
			for _, s := range slices.Backward(p.Steps) {
				if s.Phase == migrate.Contract {
					continue
				}
				undo := b.spec(p, s.ID)
				undo.Undo = true
				r, err := b.DoStep(t.Context(), undo, beat)
				require.NoError(t, err, s.ID)
				require.True(t, r.Done, "%s is blocked: %+v", s.ID, r)
			}
			require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
			require.Equal(t, before, b.tree(t))
			require.Equal(t, rows, b.one(t, all))
		})
	}
}

// A worker is gone at each boundary of each step: before it acts, and after it has acted and before it has recorded that.
func TestAMigrationOfAPartitionedTableGoesOnAfterACrashAtAnyBoundary(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 500)
	p := b.planned(t, divided())
	b.begin(t, p)
	for _, phase := range migrate.Phases() {
		require.NoError(t, b.EnterPhase(t.Context(), b.owner, phase))
		if phase == migrate.Backfill {
			for done := false; !done; { // a batch an attempt: each begins where the last one was killed
				filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{})
				require.NoError(t, err)
				done = filled.Done
				b.owner = start()
				b.begin(t, p)
			}
		}
		for _, s := range p.Of(phase) {
			b.owner = start()
			require.Equal(t, phase, b.begin(t, p).Phase)
			b.run(t, s.Class, s.Act)
			b.step(t, p, s.ID)
		}
	}
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	require.Equal(t, "500 500", b.one(t, `SELECT count(channel) || ' ' || count(amount_eur) FROM sales`))
}

// Each step takes the lock that it says, on the table and on the partitions that it is about, and on no other.
func TestEachStepLocksWhatItSaysOfAPartitionedTable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 500)
	p := b.planned(t, divided())
	strength := []string{"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
	names := map[migrate.Lock]string{migrate.ShareUpdateExclusive: "ShareUpdateExclusiveLock", migrate.ShareRowExclusive: "ShareRowExclusiveLock", migrate.AccessExclusive: "AccessExclusiveLock"}
	all := append([]string{"sales", "sales_feb"}, salesLeaves...)
	is := func(query string) bool { return b.one(t, strings.TrimPrefix(query, "SELECT ")) == "true" }
	var done []migrate.Step
	b.begin(t, p)
	for _, phase := range migrate.Phases() {
		require.NoError(t, b.EnterPhase(t.Context(), b.owner, phase))
		if phase == migrate.Backfill {
			_, err := b.fill(t.Context(), p)
			require.NoError(t, err)
		}
		for _, s := range p.Of(phase) {
			if len(s.Act) > 0 {
				require.False(t, is(s.Probe), "%s is not there before", s.ID)
			}
			if phase != migrate.Contract {
				require.True(t, len(s.Act) == 0 || is(s.Gone), "nothing of %s is there before", s.ID)
				done = append(done, s)
			}
			if s.Class == migrate.Concurrent || len(s.Act) == 0 {
				b.step(t, p, s.ID)
				require.True(t, is(s.Probe) && !is(s.Gone), s.ID)
				continue
			}
			require.NoError(t, pgx.BeginFunc(t.Context(), b.db.Pool, func(tx pgx.Tx) error {
				for _, sql := range s.Act {
					_, err := tx.Exec(t.Context(), sql)
					require.NoError(t, err, s.ID)
				}
				for _, name := range all {
					var held []string
					require.NoError(t, tx.QueryRow(t.Context(), `SELECT coalesce(array_agg(mode), '{}') FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND relation = $1::text::regclass`, name).Scan(&held))
					strongest := -1
					for _, mode := range held {
						strongest = max(strongest, slices.Index(strength, mode))
					}
					allowed := slices.Index(strength, names[s.Lock])
					if s.Only != "" && s.Only != name || s.Lock == migrate.ShareUpdateExclusive && s.Only == "" && name != "sales" {
						allowed = min(allowed, slices.Index(strength, "ShareUpdateExclusiveLock")) // which nobody who reads or writes waits for
					}
					require.LessOrEqual(t, strongest, allowed, "%s holds %v on %s", s.ID, held, name)
				}
				return nil
			}))
			b.step(t, p, s.ID)
			require.True(t, phase == migrate.Contract || !is(s.Gone), "%s is not gone", s.ID)
		}
		for _, before := range done {
			require.True(t, phase == migrate.Contract || is(before.Probe), "%s stays done in %s", before.ID, phase)
		}
	}
}

// A partition that came between the plan and its first step lacks its part of an index: nobody says that the index is whole.
func TestAnIndexThatAPartitionLacksIsNotWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 100)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Reports need it.", Operations: []migrate.Operation{
		{Kind: migrate.CreateIndex, Name: "sales_code", Columns: []string{"code"}},
	}})
	before := b.tree(t)
	b.begin(t, p)
	b.db.Exec(t, `CREATE TABLE sales_may PARTITION OF sales FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')`)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Expand))
	for i, s := range p.Steps {
		if i < len(p.Steps)-1 {
			b.step(t, p, s.ID)
			continue
		}
		_, err := b.DoStep(t.Context(), b.spec(p, s.ID), beat)
		require.Equal(t, fault.Conflict, fault.ClassOf(err))
		require.ErrorContains(t, err, "what is looked for is not as it has to be")
	}
	for _, s := range slices.Backward(p.Steps) {
		undo := b.spec(p, s.ID)
		undo.Undo = true
		_, err := b.DoStep(t.Context(), undo, beat)
		require.NoError(t, err, s.ID)
	}
	b.db.Exec(t, `DROP TABLE sales_may`)
	require.Equal(t, before, b.tree(t))
}

// Whoever reads a partition holds up a step on the table no longer than its budget, and is named.
func TestAReaderOfAPartitionIsInTheWayOfItsTable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 100)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Reports need it.", Operations: []migrate.Operation{{Kind: migrate.AddColumn, Column: "channel", Type: "text"}}})
	b.begin(t, p)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Expand))
	reader, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = reader.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = reader.Exec(t.Context(), `SELECT count(*) FROM sales_feb_eu`)
	require.NoError(t, err)
	spec := b.spec(p, p.Steps[0].ID)
	spec.LockBudget = 300 * time.Millisecond
	r, err := b.DoStep(t.Context(), spec, beat)
	require.NoError(t, err)
	require.False(t, r.Done)
	require.Len(t, r.Blocked, 1)
	require.Contains(t, r.Blocked[0].Holds, "sales_feb_eu")
	require.NoError(t, reader.Rollback(t.Context()))
	b.step(t, p, p.Steps[0].ID)
}

// A rule does not go with the column that it names, so the drop at contract would fail: it is refused where it is planned.
func TestAColumnThatARuleNamesIsNotDropped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 10)
	b.customers(t, 10)
	b.db.Exec(t, `CREATE RULE kept AS ON UPDATE TO sales_rest WHERE NEW.amount < 0 DO INSTEAD NOTHING`)
	b.db.Exec(t, `CREATE RULE noted AS ON UPDATE TO customers WHERE NEW.note = '' DO INSTEAD NOTHING`)
	for table, c := range map[string]struct{ column, rule string }{
		"sales": {"amount", "the rule kept of the partition sales_rest"}, "customers": {"note", "the rule noted"},
	} {
		m := changing("0001_channel", migrate.Operation{Kind: migrate.DropColumn, Column: c.column})
		m.Table = table
		_, err := b.computed(t, m)
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, "drop_column takes "+c.column+" away, and "+c.rule+" needs it")
		_, err = b.db.Pool.Exec(t.Context(), `ALTER TABLE `+table+` DROP COLUMN `+c.column+` RESTRICT`)
		require.ErrorContains(t, err, "depend", "it would not have gone")
	}
}

func TestWhatPartitionsHaveOfTheirOwnIsDescribed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 100)
	for _, sql := range []string{
		`ALTER TABLE sales_jan ALTER qty SET DEFAULT 7`,
		`ALTER TABLE sales_jan ALTER code SET NOT NULL`,
		`CREATE INDEX jan_note ON sales_jan (lower(note))`,
		`ALTER TABLE sales_feb_eu ADD CONSTRAINT noted CHECK (note <> '')`,
		`CREATE VIEW eu AS SELECT note FROM sales_feb_eu`,
		`CREATE RULE kept AS ON UPDATE TO sales_rest WHERE NEW.amount < 0 DO INSTEAD NOTHING`,
		`CREATE UNIQUE INDEX sales_web ON sales (id, at, region, web)`,
		`ALTER TABLE sales_rest REPLICA IDENTITY USING INDEX sales_rest_id_at_region_web_idx`,
		`ALTER TABLE sales_jan CLUSTER ON sales_jan_pkey`,
		`CREATE FUNCTION passed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$`,
		`CREATE TRIGGER zzz BEFORE INSERT OR UPDATE ON sales_feb_eu FOR EACH ROW EXECUTE FUNCTION passed()`,
		`CREATE TRIGGER counted BEFORE INSERT ON sales FOR EACH ROW EXECUTE FUNCTION passed()`,
	} {
		if strings.Contains(sql, "NOT NULL") {
			b.db.Exec(t, `UPDATE sales_jan SET code = '' WHERE code IS NULL`)
		}
		b.db.Exec(t, sql)
	}
	d, err := b.DescribeTable(t.Context(), "sales", nil)
	require.NoError(t, err)
	require.Equal(t, migrate.Partitioned, d.Kind)
	require.Equal(t, []string{"at", "region"}, d.PartitionKey)
	require.False(t, d.PlacedBy)
	require.EqualValues(t, 100, d.Rows)
	require.Equal(t, []string{"id", "at", "region"}, d.Key)
	require.Positive(t, d.LockSlots)
	var names []string
	for _, part := range d.Partitions {
		require.True(t, part.Owned)
		names = append(names, part.Of+">"+part.Name+" "+part.Kind)
		require.Equal(t, part.Name == "sales_feb_eu", len(part.Checks) == 1)
	}
	require.Equal(t, []string{"sales>sales_feb partitioned table", "sales>sales_jan table", "sales>sales_rest table", "sales_feb>sales_feb_eu table", "sales_feb>sales_feb_rest table"}, names)
	column := func(name string) migrate.Column {
		c, ok := d.Column(name)
		require.True(t, ok)
		return c
	}
	require.Equal(t, []string{"the partition sales_jan has another default"}, column("qty").Unlike)
	require.Equal(t, []string{"in the partition sales_jan it is NOT NULL"}, column("code").Unlike)
	require.Equal(t, []string{"the constraint noted of the partition sales_feb_eu", "the index jan_note of the partition sales_jan"}, column("note").Holds)
	require.Equal(t, []string{"the rule kept of the partition sales_rest"}, column("amount").Holds)
	require.Contains(t, column("web").Holds, "the replica identity of the partition sales_rest")
	require.Contains(t, column("id").Holds, "the order by which the partition sales_jan is clustered")
	require.Empty(t, column("qty").Holds)
	require.Equal(t, []migrate.Trigger{{Name: "counted", Of: []string{}}, {Name: "zzz", Update: true, Of: []string{}}}, d.Triggers)
	require.Len(t, d.Readers, 1)
	require.Equal(t, "note", d.Readers[0].Column)

	b.db.Exec(t, `CREATE TABLE odd (a int, b int) PARTITION BY LIST ((a + 1))`)
	d, err = b.DescribeTable(t.Context(), "odd", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, d.PartitionKey)
	require.True(t, d.PlacedBy)
	require.Empty(t, d.Partitions)
}

// Rows are looked through partition by partition, under a lock that nobody who reads or writes waits for, and once.
func TestNothingIsScannedUnderALockThatOthersWaitFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 500)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Reports need it.", Operations: []migrate.Operation{
		{Kind: migrate.SetNotNull, Column: "code", Up: "'none'"},
		{Kind: migrate.AddCheck, Name: "at_late", Check: "at > '2000-01-01'"},
	}})
	b.begin(t, p)
	b.through(t, p, migrate.Verify)
	config, err := pgx.ParseConfig(b.db.URL)
	require.NoError(t, err)
	var scanned []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if strings.HasPrefix(n.Message, "verifying table") {
			scanned = append(scanned, n.Message)
		}
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), `SET client_min_messages = debug1`)
	require.NoError(t, err)
	total := 0
	for _, s := range p.Of(migrate.Switch) {
		scanned = nil
		for _, sql := range s.Act {
			_, err := conn.Exec(t.Context(), sql)
			require.NoError(t, err, s.ID)
		}
		if slices.Contains(salesLeaves, s.Only) {
			require.Equal(t, []string{`verifying table "` + s.Only + `"`}, scanned, s.ID)
			require.Equal(t, migrate.ShareUpdateExclusive, s.Lock)
		} else {
			require.Empty(t, scanned, s.ID)
		}
		total += len(scanned)
	}
	require.Equal(t, 2*len(salesLeaves), total)
}

// Nobody can bring over what lies on another server.
func TestAForeignPartitionIsRefusedWheneverItComes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 100)
	o := migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text"}
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Reports need it.", Operations: []migrate.Operation{o}})
	b.begin(t, p)
	super, err := pgx.Connect(t.Context(), testdb.Superuser(t))
	require.NoError(t, err)
	name := pgx.Identifier{b.db.Schema + "_far"}.Sanitize()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		_, err := super.Exec(ctx, `DROP FOREIGN DATA WRAPPER `+name+` CASCADE`)
		require.NoError(t, err)
		require.NoError(t, super.Close(ctx))
	})
	for _, sql := range []string{`CREATE FOREIGN DATA WRAPPER ` + name, `CREATE SERVER ` + name + ` FOREIGN DATA WRAPPER ` + name, `GRANT USAGE ON FOREIGN SERVER ` + name + ` TO PUBLIC`} {
		_, err := super.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	b.db.Exec(t, `DROP INDEX sales_amount`) // which no foreign table may have a part of
	b.db.Exec(t, `ALTER TABLE sales DROP CONSTRAINT sales_pkey`)
	b.db.Exec(t, `CREATE FOREIGN TABLE sales_far PARTITION OF sales FOR VALUES FROM ('2026-05-01') TO ('2026-06-01') SERVER `+name)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Expand))
	_, err = b.DoStep(t.Context(), b.spec(p, p.Steps[0].ID), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.ErrorContains(t, err, "sales_far is a foreign table: detach it first")
	d, err := b.DescribeTable(t.Context(), "sales", nil)
	require.NoError(t, err)
	_, err = migrate.Compute(migrate.Input{Migration: p.Migration, Release: p.Release, Environment: prod, Table: d})
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "the partition sales_far is a foreign table")
}

func TestHostileNamesOfPartitionsAreOnlyNames(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE kept ()`)
	b.db.Exec(t, `CREATE TABLE sales (id bigint, at int, code text, PRIMARY KEY (id, at)) PARTITION BY LIST (at)`)
	for i, name := range []string{`Of"1'; DROP TABLE kept; --`, `$body$ %s %I $1`, strings.Repeat("ü", 31)} {
		b.db.Exec(t, `CREATE TABLE `+pgx.Identifier{name}.Sanitize()+` PARTITION OF sales FOR VALUES IN (`+strconv.Itoa(i)+`)`)
	}
	b.db.Exec(t, `INSERT INTO sales SELECT i, i % 3, 'c' || i FROM generate_series(1, 300) i`)
	before := b.like(t, "sales")
	for i := range before.Partitions {
		before.Partitions[i].Bytes = 0
	}
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Names.", Operations: []migrate.Operation{
		{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "'x' || code"},
		{Kind: migrate.RenameColumn, Column: "code", To: "mark"},
		{Kind: migrate.AddCheck, Name: `Ch"eck'; DROP TABLE kept; --`, Check: "id > 0"},
		{Kind: migrate.CreateIndex, Name: `In"dex'; DROP TABLE kept; --`, Columns: []string{"channel"}},
	}})
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	require.Equal(t, "300 300 0", b.one(t, `SELECT (SELECT count(channel) || ' ' || count(mark) FROM sales) || ' ' || (SELECT count(*) FROM kept)`))
	for _, s := range slices.Backward(p.Steps) {
		if s.Phase != migrate.Contract {
			undo := b.spec(p, s.ID)
			undo.Undo = true
			r, err := b.DoStep(t.Context(), undo, beat)
			require.NoError(t, err, s.ID)
			require.True(t, r.Done, s.ID)
		}
	}
	after := b.like(t, "sales")
	for i := range after.Partitions {
		after.Partitions[i].Bytes = 0
	}
	require.Equal(t, before, after)
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM kept`))
}

// Rows without a key are known by their partition, and by where they lie in it.
func TestRowsOfPartitionsThatBreakAProofAreFound(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE sales (at int, code text) PARTITION BY LIST (at)`)
	b.db.Exec(t, `CREATE TABLE sales_1 PARTITION OF sales FOR VALUES IN (1)`)
	b.db.Exec(t, `CREATE TABLE sales_2 PARTITION OF sales FOR VALUES IN (2)`)
	b.db.Exec(t, `INSERT INTO sales SELECT 1 + i % 2, i FROM generate_series(1, 12000) i`)
	b.db.Exec(t, `UPDATE sales SET code = 'many' WHERE code = '7001'`)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Numbers.", Operations: []migrate.Operation{
		{Kind: migrate.ChangeType, Column: "code", To: "int", Up: "code::int", Down: "code::text"},
	}})
	require.Empty(t, p.Filling.Key)
	b.begin(t, p)
	b.through(t, p, migrate.DualWrite)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Backfill))
	_, err := b.fill(t.Context(), p)
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "change_type code fails on a row")
	samples := `SELECT string_agg(key, ', ') FROM ` + b.ledger.Schema() + `.migration_sample`
	place := b.one(t, `SELECT concat_ws(' ', tableoid::regclass, ctid) FROM sales WHERE code = 'many'`)
	require.Contains(t, b.one(t, samples), place)
	b.db.Exec(t, `UPDATE sales SET code = '7001' WHERE code = 'many'`)
	filled, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.Equal(t, "12000", b.one(t, `SELECT count(*) FROM sales WHERE code__new = code::int`))

	b.db.Exec(t, `ALTER TABLE sales DISABLE TRIGGER USER`)
	b.db.Exec(t, `UPDATE sales SET code__new = 0 WHERE code = '8000'`)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Verify))
	checked, err := b.Prove(t.Context(), b.owner, p, func() {})
	require.NoError(t, err)
	require.EqualValues(t, 12_000, checked[0].Rows)
	require.EqualValues(t, 1, checked[0].Broken)
	require.Contains(t, b.one(t, samples), b.one(t, `SELECT concat_ws(' ', tableoid::regclass, ctid) FROM sales WHERE code = '8000'`))
}
