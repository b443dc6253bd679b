package alter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
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

func TestAPartitionedTableIsRolledBackFromEveryPhase(t *testing.T) {
	t.Parallel()
	for _, last := range migrate.Phases()[:6] {
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
				filled, err := b.FillTable(t.Context(), b.owner, p, 0, func() bool { return true }, func(migrate.Filled) {})
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
				for _, before := range done {
					require.True(t, is(before.Probe), "%s stays done before %s", before.ID, s.ID)
				}
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
	}
}

// Rows move between partitions, behind the backfill and before it; what each writer has last written is what is there in the end.
func TestRowsThatMoveBetweenPartitionsAreBroughtOverWhileOthersWrite(t *testing.T) {
	t.Parallel()
	const writers, operations = 4, 600
	b := setup(t)
	b.parted(t, 30_000)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Reports need it.", Operations: []migrate.Operation{
		{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "CASE WHEN web THEN 'web ' || coalesce(qty, 0) ELSE 'store' END"},
		{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"},
		{Kind: migrate.CreateIndex, Name: "sales_channel", Columns: []string{"channel"}},
	}})
	b.begin(t, p)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var written atomic.Int64
	var wg sync.WaitGroup
	errs := make(chan error, 2*writers)
	models := make([]map[int]string, writers)
	for w := range writers {
		models[w] = map[int]string{}
		wg.Go(func() { errs <- b.move(t.Context(), w, writers, operations, models[w], &written) })
		wg.Go(func() {
			for ctx.Err() == nil {
				var n int
				if err := b.db.Pool.QueryRow(t.Context(), `SELECT count(amount) FROM sales WHERE at >= '2026-02-01' AND id % 7 = $1`, w).Scan(&n); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		})
	}
	for _, phase := range []migrate.Phase{migrate.Expand, migrate.DualWrite} {
		b.phase(t, p, phase)
	}
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Backfill))
	for done := false; !done; {
		before := written.Load()
		filled, err := b.FillTable(t.Context(), b.owner, p, 20*time.Millisecond, func() bool { return true }, func(migrate.Filled) {})
		if !postgres.Contended(err) { // a row that moves while it is brought over: the next attempt finds it where it is
			require.NoError(t, err)
		}
		done = filled.Done
		require.Eventually(t, func() bool { return written.Load() >= min(before+100, writers*operations) }, 60*time.Second, time.Millisecond)
	}
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Verify))
	checked, err := b.Prove(t.Context(), b.owner, p, func() {})
	require.NoError(t, err)
	for _, c := range checked {
		require.Zero(t, c.Broken, c.Proof)
	}
	b.phase(t, p, migrate.Switch)
	require.Eventually(t, func() bool { return written.Load() >= writers*operations }, 60*time.Second, time.Millisecond)
	stop()
	wg.Wait()
	for range 2 * writers {
		require.NoError(t, <-errs)
	}
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM sales WHERE amount_eur IS DISTINCT FROM amount OR channel IS NULL`))
	rows, err := b.db.Pool.Query(t.Context(), `SELECT id, at || ' ' || trunc(amount_eur) FROM sales`)
	require.NoError(t, err)
	found := map[int]string{}
	var id int
	var value string
	_, err = pgx.ForEachRow(rows, []any{&id, &value}, func() error { found[id] = value; return nil })
	require.NoError(t, err)
	require.Len(t, found, 30_000)
	for w, model := range models {
		for id, want := range model {
			require.Equal(t, want, found[id], "row %d of writer %d", id, w)
		}
	}
	b.phase(t, p, migrate.Deprecating)
	b.phase(t, p, migrate.Contract)
}

// move gives rows of a writer's own another day, most often one of another partition, and another amount, and notes what they are.
func (b *bundle) move(ctx context.Context, w, writers, operations int, model map[int]string, written *atomic.Int64) error {
	random := rand.New(rand.NewPCG(uint64(w), 7))
	for i := range operations {
		id := random.IntN(30_000/writers)*writers + w + 1
		day := time.Date(2026, 1, 1+random.IntN(120), 0, 0, 0, 0, time.UTC).Format("2006-01-02")
		region := []string{"eu", "us"}[random.IntN(2)]
		tag, err := b.db.Pool.Exec(ctx, `UPDATE sales SET at = $2::text::date, region = $3, amount = $4 WHERE id = $1`, id, day, region, i)
		if err != nil {
			return err
		}
		if tag.RowsAffected() != 1 {
			return fmt.Errorf("row %d is there %d times", id, tag.RowsAffected())
		}
		model[id] = fmt.Sprintf("%s %d", day, i)
		written.Add(1)
	}
	return nil
}

// Partitions come and go while a table is migrated, as those of a day do.
func TestPartitionsThatComeAndGoAreNoticed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parted(t, 30_000)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Reports need it.", Operations: []migrate.Operation{
		{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"},
		{Kind: migrate.CreateIndex, Name: "sales_code", Columns: []string{"code"}},
		{Kind: migrate.AddCheck, Name: "at_late", Check: "at > '2000-01-01'"},
	}})
	b.begin(t, p)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Expand))
	for _, s := range p.Of(migrate.Expand) {
		if s.Only == "sales_jan" && s.Class == migrate.Concurrent {
			b.db.Exec(t, `CREATE TABLE sales_may PARTITION OF sales FOR VALUES FROM ('2026-05-01') TO ('2026-06-01')`) // brings its part of the index
			b.db.Exec(t, `ALTER TABLE sales_feb DETACH PARTITION sales_feb_eu`)
		}
		b.step(t, p, s.ID)
	}
	b.phase(t, p, migrate.DualWrite)
	b.db.Exec(t, `INSERT INTO sales (id, at, region, web, amount) VALUES (50000, '2026-05-05', 'us', true, 5)`)
	require.Equal(t, "5.00", b.one(t, `SELECT amount_eur FROM sales_may`))

	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Backfill))
	first := true
	for done := false; !done; first = false {
		filled, err := b.FillTable(t.Context(), b.owner, p, 0, func() bool { return true }, func(migrate.Filled) {})
		require.NoError(t, err)
		if done = filled.Done; first {
			require.False(t, done)
			b.db.Exec(t, `DROP TABLE sales_rest`)
			b.db.Exec(t, `ALTER TABLE sales DETACH PARTITION sales_jan`)
		}
	}
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Verify))
	proved := func() (broken int64) {
		checked, err := b.Prove(t.Context(), b.owner, p, func() {})
		require.NoError(t, err)
		for _, c := range checked {
			broken += c.Broken
		}
		return broken
	}
	require.Zero(t, proved())

	// One that is attached brings rows that nobody has brought over: they are counted, and looking at all rows again brings them over.
	b.db.Exec(t, `UPDATE sales_jan SET amount_eur = NULL`)
	b.db.Exec(t, `ALTER TABLE sales ATTACH PARTITION sales_jan FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')`)
	require.NotZero(t, proved())
	_, err := b.FillAgain(t.Context(), b.owner, p)
	require.NoError(t, err)
	filled, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.Zero(t, proved())

	// After the proof, before the switch.
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Switch))
	require.Equal(t, "eu", b.one(t, `SELECT min(region) FROM sales_feb_eu WHERE amount_eur IS NULL`))
	b.db.Exec(t, `ALTER TABLE sales_feb ATTACH PARTITION sales_feb_eu FOR VALUES IN ('eu')`)
	var last migrate.Step
	for _, s := range p.Of(migrate.Switch) {
		if last = s; len(s.Proofs) > 0 {
			break
		}
		b.step(t, p, s.ID)
	}
	_, err = b.DoStep(t.Context(), b.spec(p, last.ID), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.ErrorContains(t, err, "that amount and amount_eur say the same does not hold of")
	b.db.Exec(t, `UPDATE sales SET amount_eur = amount WHERE amount_eur IS NULL`)
	b.phase(t, p, migrate.Switch)

	// And before contract: who is not written in both shapes, and whose rows are nobody's to change.
	b.db.Exec(t, `ALTER TABLE sales_jan DISABLE TRIGGER USER`)
	why, err := b.Unready(t.Context(), b.owner, p, func() {})
	require.NoError(t, err)
	require.Len(t, why, 1)
	require.Contains(t, why[0], "Write both shapes")
	b.db.Exec(t, `ALTER TABLE sales_jan ENABLE TRIGGER USER`)
	b.phase(t, p, migrate.Deprecating)
	b.phase(t, p, migrate.Contract)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	require.Equal(t, "true", b.one(t, `SELECT indisvalid FROM pg_index WHERE indexrelid = 'sales_code'::regclass`))
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
	require.Empty(t, column("amount").Holds)
	require.Len(t, d.Readers, 1)
	require.Equal(t, "note", d.Readers[0].Column)

	b.db.Exec(t, `CREATE TABLE odd (a int, b int) PARTITION BY LIST ((a + 1))`)
	d, err = b.DescribeTable(t.Context(), "odd", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, d.PartitionKey)
	require.True(t, d.PlacedBy)
	require.Empty(t, d.Partitions)
}

// A row that moves to another partition is inserted there: what its two sides say stays, though neither way gives back all that the other one has.
func TestARowThatMovesKeepsWhatBothOfItsShapesSay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ column, old, added string }{
		"nullable":       {"coarse numeric(8,3)", "coarse", "coarse__new"},
		"with a default": {"coarse numeric(8,3) DEFAULT 9", "coarse", "coarse__new"},
		"never null":     {"coarse numeric(8,3) NOT NULL", "coarse", "coarse__new"},
	} {
		for _, last := range []migrate.Phase{migrate.DualWrite, migrate.Switch} {
			t.Run(name+", "+string(last), func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				b.db.Exec(t, `CREATE TABLE moved (id int, at int, `+test.column+`, PRIMARY KEY (id, at)) PARTITION BY LIST (at)`)
				b.db.Exec(t, `CREATE TABLE moved_1 PARTITION OF moved FOR VALUES IN (1)`)
				b.db.Exec(t, `CREATE TABLE moved_2 PARTITION OF moved FOR VALUES IN (2)`)
				o := migrate.Operation{Kind: migrate.ChangeType, Column: "coarse", To: "int", Up: "(coarse * 2)::int", Down: "(coarse / 2)::numeric"}
				if strings.Contains(test.column, "DEFAULT") {
					o.Default = "18"
				}
				p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "moved", Why: "Finer.", Operations: []migrate.Operation{o}})
				b.begin(t, p)
				b.db.Exec(t, `INSERT INTO moved (id, at, coarse) VALUES (0, 1, 1.2)`) // nobody has brought it over
				b.through(t, p, migrate.DualWrite)
				old, added := test.old, test.added
				if last == migrate.Switch {
					for _, phase := range []migrate.Phase{migrate.Backfill, migrate.Verify, migrate.Switch} {
						b.phase(t, p, phase)
						if phase == migrate.Backfill {
							_, err := b.fill(t.Context(), p)
							require.NoError(t, err)
						}
					}
					old, added = "coarse__old", "coarse"
				}
				b.db.Exec(t, `INSERT INTO moved (id, at, `+old+`) VALUES (1, 1, 3.7)`) // which down does not give back
				b.db.Exec(t, `INSERT INTO moved (id, at, `+added+`) VALUES (2, 1, 5)`) // which up does not
				b.db.Exec(t, `UPDATE moved SET `+old+` = 1.3 WHERE id = 2`)            // nor this
				b.db.Exec(t, `INSERT INTO moved (id, at, `+added+`) VALUES (3, 1, 7)`) //
				b.db.Exec(t, `UPDATE moved SET `+added+` = 9 WHERE id = 3`)            //
				rows := `SELECT string_agg(concat_ws(' ', id, ` + old + `, ` + added + `), ', ' ORDER BY id) FROM moved WHERE id > 0`
				before := b.one(t, rows)
				for at := range 4 {
					b.db.Exec(t, `UPDATE moved SET at = $1`, 2-at%2)
					require.Equal(t, before, b.one(t, rows))
				}
				require.Equal(t, "1.200 2", b.one(t, `SELECT concat_ws(' ', `+old+`, `+added+`) FROM moved WHERE id = 0`))
				b.db.Exec(t, `UPDATE moved SET `+old+` = 4.4, at = 2 WHERE id = 3`)
				require.Equal(t, "4.400 9", b.one(t, `SELECT concat_ws(' ', `+old+`, `+added+`) FROM moved WHERE id = 3`), "a change goes along")
				checked, err := b.Prove(t.Context(), b.owner, p, func() {})
				if last == migrate.DualWrite {
					require.NoError(t, err)
					require.Zero(t, checked[0].Broken)
				}
				if last == migrate.Switch {
					b.phase(t, p, migrate.Deprecating)
					b.phase(t, p, migrate.Contract)
					require.Equal(t, "4", b.one(t, `SELECT count(coarse) FROM moved`))
				}
			})
		}
	}
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
