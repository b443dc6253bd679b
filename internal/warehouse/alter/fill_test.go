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
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// filling is a migration of the table that is there, whose rows are brought over next.
func (b *bundle) filling(t *testing.T, p migrate.Plan) {
	t.Helper()
	b.begin(t, p)
	for _, phase := range []migrate.Phase{migrate.Expand, migrate.DualWrite, migrate.Backfill} {
		b.phase(t, p, phase)
	}
}

// noted has the table orders note each update of a row, and by which session, in the table written.
func (b *bundle) noted(t *testing.T) {
	t.Helper()
	b.db.Exec(t, `CREATE TABLE written (id bigint, by int)`)
	b.db.Exec(t, `CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO `+b.db.Schema+`.written VALUES (NEW.id, pg_backend_pid()); RETURN NULL; END'`)
	b.db.Exec(t, `CREATE TRIGGER noted AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note()`)
}

// wrong counts the rows in which the two sides differ.
const wrong = `SELECT count(*) FROM orders WHERE source IS DISTINCT FROM upper(channel)`

func TestEveryRowIsBroughtOverWhileOthersWrite(t *testing.T) {
	t.Parallel()
	const writers, operations = 4, 2500
	b := setup(t)
	b.orders(t, 60_000)
	p := b.replacement()
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	// What each writer has last written of its own rows is what has to be there in the end.
	models := make([]map[int]string, writers)
	errs := make(chan error, writers)
	var wg sync.WaitGroup
	var written atomic.Int64
	ctx := t.Context()
	for w := range writers {
		models[w] = map[int]string{}
		wg.Go(func() { errs <- b.write(ctx, w, writers, operations, models[w], &written) })
	}
	b.phase(t, p, migrate.DualWrite)
	b.phase(t, p, migrate.Backfill)
	for done := false; !done; {
		before := written.Load()
		filled, err := b.FillTable(ctx, b.owner, p, migrate.Pace{})
		require.NoError(t, err)
		done = filled.Done
		require.Eventually(t, func() bool { return written.Load() >= min(before+operations/10, writers*operations) }, 20*time.Second, time.Millisecond)
	}
	wg.Wait()
	for range writers {
		require.NoError(t, <-errs)
	}
	require.EqualValues(t, writers*operations, written.Load())
	require.Equal(t, "0", b.one(t, wrong))
	checked, err := b.Prove(ctx, b.owner, p, func() {})
	require.NoError(t, err)
	for _, c := range checked {
		require.Zero(t, c.Broken)
	}
	rows, err := b.db.Pool.Query(ctx, `SELECT id, channel || ' ' || source FROM orders`)
	require.NoError(t, err)
	found := map[int]string{}
	var id int
	var value string
	_, err = pgx.ForEachRow(rows, []any{&id, &value}, func() error { found[id] = value; return nil })
	require.NoError(t, err)
	for w, model := range models {
		for id, channel := range model {
			want := channel + " " + strings.ToUpper(channel)
			if channel == "" {
				want = ""
			}
			require.Equal(t, want, found[id], "row %d of writer %d", id, w)
		}
	}
}

// write inserts, updates and deletes rows of a writer's own, and notes what they are; "" is a row that was deleted.
func (b *bundle) write(ctx context.Context, w, writers, operations int, model map[int]string, written *atomic.Int64) error {
	conn, err := b.db.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	random := rand.New(rand.NewPCG(uint64(w), 7))
	for i := 0; i < operations; {
		id := random.IntN(10_000)*writers + w + 1
		channel := fmt.Sprintf("Ch%d-%d", w, i)
		switch random.IntN(4) {
		case 0:
			_, err = conn.Exec(ctx, `DELETE FROM orders WHERE id = $1`, id)
			channel = ""
		case 1:
			id = 10_000_000 + i*writers + w
			_, err = conn.Exec(ctx, `INSERT INTO orders (id, channel) VALUES ($1, $2)`, id, channel)
		case 2: // moved in the key, behind the cursor or before it
			to := 1_000_000 + random.IntN(1_000_000)*writers + w
			var moved bool
			err = conn.QueryRow(ctx, `WITH m AS (UPDATE orders SET id = $2, channel = $3 WHERE id = $1 AND NOT EXISTS (SELECT FROM orders WHERE id = $2) RETURNING 1) SELECT EXISTS (SELECT FROM m)`,
				id, to, channel).Scan(&moved)
			if moved {
				model[id] = ""
				id = to
			} else {
				continue
			}
		default:
			_, err = conn.Exec(ctx, `INSERT INTO orders (id, channel) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET channel = excluded.channel`, id, channel)
		}
		if err != nil {
			return err
		}
		model[id] = channel
		i++
		written.Add(1)
	}
	return nil
}

// Each update of a row by the backfill is counted by the table itself.
func TestABackfillThatIsKilledAtAnyBatchLooksAtEachRowOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 30_000)
	b.noted(t)
	p := b.replacement()
	b.filling(t, p)
	random := rand.New(rand.NewPCG(1, 2))
	kills := 0
	for done := false; !done; {
		batches := random.IntN(3)
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(time.Duration(random.IntN(60))*time.Millisecond, func() {
			if kills++; kills%2 == 0 {
				cancel()
				return
			}
			_, _ = b.db.Pool.Exec(context.WithoutCancel(t.Context()), `
				SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE position($1 in query) > 0 AND query LIKE 'UPDATE ONLY%'`, b.db.Schema)
		})
		filled, err := b.FillTable(ctx, b.owner, p, migrate.Pace{For: time.Minute, Stop: func() bool { batches--; return batches < 0 }})
		timer.Stop()
		cancel()
		if err == nil {
			done = filled.Done
		}
		require.Empty(t, fault.ClassOf(err), "%v", err)
		if n := kills; n > 40 {
			done = true
		}
	}
	filled, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.EqualValues(t, 30_000, filled.Rows)
	require.Equal(t, "0", b.one(t, wrong))
	require.Equal(t, "30000 30000", b.one(t, `SELECT count(*) || ' ' || count(DISTINCT id) FROM written`))
}

func TestAnAttemptThatWasOvertakenWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 12_000)
	p := b.replacement()
	b.filling(t, p)
	overtaken := false
	_, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Beat: func(migrate.Filled) {
		if overtaken {
			return
		}
		overtaken = true
		_, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{})
		require.NoError(t, err)
	}})
	require.ErrorContains(t, err, "another attempt goes on with it")
	require.Empty(t, fault.ClassOf(err))
	require.Equal(t, "10000", b.one(t, `SELECT count(source) FROM orders`))
}

func TestAMigrationThatIsStoppedFillsNoMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 12_000)
	p := b.replacement()
	b.filling(t, p)
	_, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Beat: func(migrate.Filled) {
		require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
			if err := b.ledger.ExcludeChange(t.Context(), tx); err != nil {
				return err
			}
			return b.ledger.Fence(t.Context(), tx, "it was turned back", string(b.owner))
		}))
	}})
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.Equal(t, "5000", b.one(t, `SELECT count(source) FROM orders`))
}

func TestRowsOnWhichAnExpressionFailsAreNamedInTheLedgerOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10_000)
	b.db.Exec(t, `UPDATE orders SET amount = 0 WHERE id IN (7001, 7003)`)
	p := b.replacement()
	p.Steps[0].Act = []string{"ALTER TABLE " + b.db.Schema + ".orders ADD COLUMN source text"}
	p.Filling.Set[0].Expression = "(1000 / amount)::text"
	p.Migration.Operations[0].Up = p.Filling.Set[0].Expression
	b.filling(t, p)
	_, err := b.fill(t.Context(), p)
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "rename_column channel fails on a row, after 5000 rows: division by zero (SQLSTATE 22012)")
	require.NotContains(t, err.Error()+fault.HintOf(err), "700")
	query := b.ledger.MigrationSamplesQuery("orders")
	require.Contains(t, fault.HintOf(err), query)
	require.Equal(t, "rename_column channel 7001, rename_column channel 7003", b.one(t, `SELECT string_agg(subject || ' ' || key, ', ' ORDER BY key) FROM (`+query+`) AS s`))
	require.Equal(t, "5000", b.one(t, `SELECT count(source) FROM orders`), "batches before it stay, and nothing of its own does")

	b.db.Exec(t, `UPDATE orders SET amount = 1, source = '1000' WHERE amount = 0`)
	filled, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.Equal(t, "10000", b.one(t, `SELECT count(source) FROM orders`))
}

func TestATypeThatCannotHoldTheValuesIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE orders (id bigint PRIMARY KEY, channel text NOT NULL, amount bigint)`)
	b.db.Exec(t, `INSERT INTO orders SELECT i, 'web', 2147483640::bigint + i FROM generate_series(1, 20) i`)
	p := b.replacement()
	p.Migration.Operations = []migrate.Operation{{Kind: migrate.ChangeType, Column: "amount", To: "int"}}
	p.Steps[0].Act = []string{"ALTER TABLE " + b.db.Schema + ".orders ADD COLUMN source text, ADD COLUMN amount__new int"}
	p.Filling.Set = []migrate.Assignment{{Column: "amount__new", Expression: "amount"}}
	b.filling(t, p)
	_, err := b.fill(t.Context(), p)
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "change_type amount fails on a row, after 0 rows: a number is out of range for its type (SQLSTATE 22003)")
	require.Equal(t, "5", b.one(t, `SELECT count(*) FROM (`+b.ledger.MigrationSamplesQuery("orders")+`) AS s`))
}

func TestATableWithoutAKeyIsBroughtOverByThePlacesOfItsRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE orders (id bigint, channel text NOT NULL, amount int)`)
	b.db.Exec(t, `INSERT INTO orders SELECT nullif(i % 3, 0), 'Ch' || i % 7, i FROM generate_series(1, 20000) i`)
	b.db.Exec(t, `ANALYZE orders`)
	p := b.replacement()
	p.Filling.Key = nil
	b.filling(t, p)
	calls, rewritten := 0, false
	for done := false; !done; calls++ {
		filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{})
		require.NoError(t, err)
		done = filled.Done
		if calls == 1 {
			rewritten = true
			b.db.Exec(t, `VACUUM FULL orders`) // the rows lie elsewhere now
		}
	}
	require.True(t, rewritten)
	require.Greater(t, calls, 2)
	require.Equal(t, "0", b.one(t, wrong))
	require.Equal(t, "20000", b.one(t, `SELECT count(source) FROM orders`))
}

func TestACompositeKeyIsFollowedInItsOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE orders (shop text COLLATE "C", at timestamptz, "No" numeric, channel text NOT NULL, PRIMARY KEY (shop, at, "No"))`)
	b.db.Exec(t, `INSERT INTO orders SELECT 'Shop ' || i % 3, '2026-01-01'::timestamptz + (i % 5) * interval '0.000001s', i / 10.0, 'Ch' || i FROM generate_series(1, 12000) i`)
	b.db.Exec(t, `ANALYZE orders`)
	p := b.replacement()
	p.Filling.Key = []migrate.KeyColumn{{Name: "shop", Type: "text"}, {Name: "at", Type: "timestamp with time zone"}, {Name: "No", Type: "numeric"}}
	b.filling(t, p)
	var batches int
	filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Beat: func(migrate.Filled) { batches++ }})
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.EqualValues(t, 12_000, filled.Rows)
	require.GreaterOrEqual(t, batches, 3)
	require.Equal(t, "0", b.one(t, wrong))
}

func TestWhatOthersHaveWrittenIsLeftWhereThePlanSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10)
	p := b.replacement()
	p.Filling.Set = []migrate.Assignment{{Column: "source", Expression: "CASE WHEN id > 8 THEN NULL ELSE upper(channel) END", Keep: true}}
	b.filling(t, p)
	b.db.Exec(t, `UPDATE orders SET source = 'theirs' WHERE id = 3`)
	b.noted(t)
	_, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, "theirs", b.one(t, `SELECT source FROM orders WHERE id = 3`))
	require.Equal(t, "8", b.one(t, `SELECT count(source) FROM orders`))
	require.Equal(t, "7", b.one(t, `SELECT count(*) FROM written`), "rows that need nothing are not written")
}

func TestAnEmptyTableIsDoneAtOnce(t *testing.T) {
	t.Parallel()
	for _, key := range []bool{true, false} {
		t.Run(fmt.Sprint(key), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.orders(t, 0)
			p := b.replacement()
			if !key {
				p.Filling.Key = nil
			}
			b.filling(t, p)
			filled, err := b.fill(t.Context(), p)
			require.NoError(t, err)
			require.True(t, filled.Done)
			require.Zero(t, filled.Rows)
		})
	}
}

func TestALockedRowIsWaitedForAndTheBatchShrinks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 6000)
	p := b.replacement()
	b.filling(t, p)
	leave := b.holder(t, `SELECT FROM orders WHERE id = 5500 FOR UPDATE`)
	var last migrate.Filled
	failed := make(chan error, 1)
	go func() {
		_, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Beat: func(f migrate.Filled) { last = f }})
		failed <- err
	}()
	require.Eventually(t, func() bool { return b.one(t, `SELECT count(source) FROM orders`) == "5000" }, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		return b.one(t, `SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND position($1 in query) > 0 AND query LIKE 'UPDATE ONLY%'`, b.db.Schema) == "1"
	}, 10*time.Second, 10*time.Millisecond)
	require.Eventually(t, func() bool {
		n := b.one(t, `SELECT count(source) FROM orders`)
		return n != "5000"
	}, 20*time.Second, 50*time.Millisecond, "smaller batches come closer to the row")
	leave()
	require.NoError(t, <-failed)
	require.True(t, last.Done)
	require.Equal(t, "0", b.one(t, wrong))
}

func TestProofsCountWhatIsBrokenAndKeepKeysInTheLedger(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 100)
	p := b.replacement()
	b.filling(t, p)
	_, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	prove := func() []migrate.Checked {
		checked, err := b.Prove(t.Context(), b.owner, p, func() {})
		require.NoError(t, err)
		return checked
	}
	b.db.Exec(t, `ALTER TABLE orders DISABLE TRIGGER m0001_channel`)
	b.db.Exec(t, `UPDATE orders SET source = NULL WHERE id <= 7`)
	b.db.Exec(t, `UPDATE orders SET source = 'x' WHERE id = 9`)
	query := b.ledger.MigrationSamplesQuery("orders")
	require.Equal(t, []migrate.Checked{
		{Proof: "source is what channel says", Rows: 100, Broken: 8, Samples: query}, {Proof: "source is never null", Rows: 100, Broken: 7, Samples: query},
	}, prove())
	samples := `SELECT coalesce(string_agg(subject || ': ' || n, ', ' ORDER BY subject), '') FROM (SELECT subject, count(*) AS n FROM (` +
		b.ledger.MigrationSamplesQuery("orders") + `) AS s GROUP BY subject) AS g`
	require.Equal(t, "source is never null: 5, source is what channel says: 5", b.one(t, samples))
	require.Equal(t, "true", b.one(t, `SELECT bool_and(key::int BETWEEN 1 AND 9) FROM (`+b.ledger.MigrationSamplesQuery("orders")+`) AS s`))
	b.db.Exec(t, `UPDATE orders SET source = upper(channel)`)
	for _, c := range prove() {
		require.Zero(t, c.Broken)
	}
	require.Empty(t, b.one(t, samples), "what holds again has no samples")

	p.Proofs[0].Broken = "1 / (id - 50) > 5"
	b.db.Exec(t, `UPDATE `+b.ledger.Schema()+`.migration SET plan = $1`, migrate.Digest(p))
	_, err = b.Prove(t.Context(), b.owner, p, func() {})
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.ErrorContains(t, err, "division by zero")
}

func TestRowsThatAreHiddenFromTheLoginAreNotTakenForAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 10)
	p := b.replacement()
	b.filling(t, p)
	b.db.Exec(t, `ALTER TABLE orders ENABLE ROW LEVEL SECURITY`)
	b.db.Exec(t, `ALTER TABLE orders FORCE ROW LEVEL SECURITY`)
	b.db.Exec(t, `CREATE POLICY few ON orders USING (id < 5)`)
	_, err := b.fill(t.Context(), p)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	_, err = b.Prove(t.Context(), b.owner, p, func() {})
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	d, err := b.DescribeTable(t.Context(), "orders", nil)
	require.NoError(t, err)
	require.Contains(t, d.Kind, "hidden from the login")
}
