package alter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// Rows move between partitions, behind the backfill and before it; what each writer has last written is what is there in the end.
func TestRowsThatMoveBetweenPartitionsAreBroughtOverWhileOthersWrite(t *testing.T) {
	t.Parallel()
	const writers, operations = 4, 600
	b := setup(t)
	b.parted(t, 30_000)
	others := b.others(t)
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
		wg.Go(func() { errs <- move(t.Context(), others, w, writers, operations, models[w], &written) })
		wg.Go(func() {
			for ctx.Err() == nil {
				var n int
				if err := others.QueryRow(t.Context(), `SELECT count(amount) FROM sales WHERE at >= '2026-02-01' AND id % 7 = $1`, w).Scan(&n); err != nil {
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
		filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{})
		require.Empty(t, fault.ClassOf(err), "a row that moves while it is brought over: the next attempt finds it where it is (%v)", err)
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

// patience is how long a reader or a writer waits for a lock before it is an error: several rungs of a ladder, and a batch of a backfill.
const patience = 5 * time.Second

// others are sessions of readers and writers who wait for nobody for long.
func (b *bundle) others(t *testing.T) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(b.db.URL)
	require.NoError(t, err)
	config.ConnConfig.RuntimeParams["search_path"] = b.db.Schema
	config.ConnConfig.RuntimeParams["lock_timeout"] = postgres.Milliseconds(patience)
	config.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// move gives rows of a writer's own another day, most often one of another partition, and another amount, and notes what they are.
func move(ctx context.Context, others *pgxpool.Pool, w, writers, operations int, model map[int]string, written *atomic.Int64) error {
	random := rand.New(rand.NewPCG(uint64(w), 7))
	for i := range operations {
		id := random.IntN(30_000/writers)*writers + w + 1
		day := time.Date(2026, 1, 1+random.IntN(120), 0, 0, 0, 0, time.UTC).Format("2006-01-02")
		region := []string{"eu", "us"}[random.IntN(2)]
		tag, err := others.Exec(ctx, `UPDATE sales SET at = $2::text::date, region = $3, amount = $4 WHERE id = $1`, id, day, region, i)
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
		filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{})
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
