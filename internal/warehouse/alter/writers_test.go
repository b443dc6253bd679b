package alter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
)

// written is a row as its writer wrote it last: qty in the unit of the new shape. The zero one is no row.
type written struct {
	amount, qty int64
	channel     string
}

// writers change a table of both shapes, each rows of its own, while it is migrated.
type writers struct {
	b *bundle
	// old and new say which shapes may be written. Whoever changes that waits for the statements that are under way.
	shape    sync.RWMutex
	old, new bool
	done     atomic.Int64
	stop     atomic.Bool
}

const (
	countWriters = 6
	writtenRows  = 6_000
)

// Ten thousand operations (DRAWBRIDGE_SOAK=1: ten times as many) update rows in either shape, insert them, upsert, delete, move them in the key,
// or copy them in. However they fall together with the steps of a migration, every row is what its writer wrote last, in both shapes.
func TestNoRowIsLostOrWrongUnderWritersOfBothShapes(t *testing.T) {
	t.Parallel()
	operations := int64(10_000)
	if os.Getenv("DRAWBRIDGE_SOAK") == "1" {
		operations = 100_000
	}
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, web boolean NOT NULL, amount numeric(12,2) NOT NULL DEFAULT 0, qty integer)`)
	b.db.Exec(t, `INSERT INTO customers SELECT i, i % 2 = 0, i, i FROM generate_series(0, $1::int - 1) i`, writtenRows)
	b.db.Exec(t, `ANALYZE customers`)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "customers", Why: "All at once.", Operations: []migrate.Operation{
		{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "CASE WHEN web THEN 'web' ELSE 'store' END"},
		{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"},
		{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty::bigint * 10", Down: "(qty / 10)::int"},
	}})
	b.begin(t, p)

	w := &writers{b: b, old: true}
	models := make([]map[int64]written, countWriters)
	failed := make(chan error, countWriters)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for n := range models {
		models[n] = map[int64]written{}
		wg.Go(func() { failed <- w.write(ctx, int64(n), models[n]) })
	}
	wait := func() { // until each phase has met its share of writes
		until := w.done.Load() + operations/int64(len(migrate.Phases())) + 1
		require.Eventually(t, func() bool { return w.done.Load() >= until || len(failed) > 0 }, 2*time.Minute, time.Millisecond)
	}
	for _, phase := range migrate.Phases() {
		if phase == migrate.Contract {
			require.Equal(t, "0", b.one(t, `
				SELECT count(*) FROM customers
				WHERE amount_eur IS DISTINCT FROM amount OR qty IS DISTINCT FROM qty__old * 10 OR channel IS NULL`), "the shapes say the same")
			w.may(false, true)
		}
		b.phase(t, p, phase)
		switch phase {
		case migrate.DualWrite:
			w.may(true, true)
		case migrate.Backfill:
			for done := false; !done; {
				filled, err := b.FillTable(ctx, b.owner, p, migrate.Pace{})
				require.NoError(t, err)
				done = filled.Done
			}
		case migrate.Verify:
			checked, err := b.Prove(ctx, b.owner, p, func() {})
			require.NoError(t, err)
			for _, c := range checked {
				require.Zero(t, c.Broken, c.Proof)
			}
		default: // there is nothing but steps
		}
		wait()
	}
	w.stop.Store(true)
	wg.Wait()
	for range countWriters {
		require.NoError(t, <-failed)
	}
	require.GreaterOrEqual(t, w.done.Load(), operations)
	require.NoError(t, b.EndMigration(ctx, b.owner, migrate.Done))

	want := map[int64]written{}
	for id := range int64(writtenRows) {
		want[id] = written{amount: id, qty: id * 10, channel: []string{"web", "store"}[id%2]}
	}
	for _, model := range models {
		for id, row := range model {
			if want[id] = row; row == (written{}) {
				delete(want, id)
			}
		}
	}
	found := map[int64]written{}
	rows, err := b.db.Pool.Query(ctx, `SELECT id, amount_eur::bigint, qty, channel FROM customers`)
	require.NoError(t, err)
	var id int64
	var row written
	_, err = pgx.ForEachRow(rows, []any{&id, &row.amount, &row.qty, &row.channel}, func() error { found[id] = row; return nil })
	require.NoError(t, err)
	var wrong []string
	for id, row := range want {
		if found[id] != row {
			wrong = append(wrong, fmt.Sprintf("%d: %v, and not %v", id, found[id], row))
		}
	}
	require.Empty(t, wrong)
	require.Len(t, found, len(want))
}

// may changes which shapes may be written.
func (w *writers) may(old, new bool) {
	w.shape.Lock()
	defer w.shape.Unlock()
	w.old, w.new = old, new
}

// write changes rows of a writer's own until it is stopped, and notes what they are.
func (w *writers) write(ctx context.Context, n int64, model map[int64]written) error {
	conn, err := w.b.db.Pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	random := rand.New(rand.NewPCG(uint64(n), 11))
	for i := int64(0); !w.stop.Load(); i++ {
		id := random.Int64N(writtenRows/countWriters)*countWriters + n
		last, touched := model[id]
		if !touched {
			last = written{amount: id, qty: id * 10, channel: []string{"web", "store"}[id%2]}
		}
		if err := w.once(ctx, conn.Conn(), random, id, 1_000_000+(n+countWriters*i)*4, last, model); err != nil {
			return fmt.Errorf("writer %d, operation %d: %w", n, i, err)
		}
		w.done.Add(1)
	}
	return nil
}

// once is one operation on the row id, in one of the shapes that may be written; fresh and the three numbers after it are of no row yet.
func (w *writers) once(ctx context.Context, conn *pgx.Conn, random *rand.Rand, id, fresh int64, last written, model map[int64]written) error {
	w.shape.RLock()
	defer w.shape.RUnlock()
	old := w.old && (!w.new || random.IntN(2) == 0)
	name, channel, value := "amount_eur", "phone", random.Int64N(1_000)
	columns, values := "amount_eur, qty, channel", "$2, $3, 'phone'"
	if old {
		name, channel, columns, values = "amount", "web", "amount, qty", "$2, $3"
	}
	// Which of its shapes a name means that both have, the statement itself says.
	unit := func(of string) int64 {
		if of == "integer" {
			return 10
		}
		return 1
	}
	var of string
	there := last != (written{})
	insert := `INSERT INTO customers (id, web, ` + columns + `) VALUES ($1, true, ` + values + `)`
	switch random.IntN(10) {
	case 0, 1, 2, 3:
		if !there {
			return nil
		}
		err := conn.QueryRow(ctx, `UPDATE customers SET `+name+` = $2, qty = $3 WHERE id = $1 RETURNING pg_typeof(qty)::text`, pgx.QueryExecModeExec, id, value, value*10).Scan(&of)
		model[id] = written{value, value * 10 * unit(of), last.channel}
		return err
	case 4:
		if !there {
			return nil
		}
		_, err := conn.Exec(ctx, `UPDATE customers SET `+name+` = $2 WHERE id = $1`, pgx.QueryExecModeExec, id, value)
		model[id] = written{value, last.qty, last.channel}
		return err
	case 5:
		_, err := conn.Exec(ctx, `DELETE FROM customers WHERE id = $1`, pgx.QueryExecModeExec, id)
		model[id] = written{}
		return err
	case 6:
		err := conn.QueryRow(ctx, insert+` RETURNING pg_typeof(qty)::text`, pgx.QueryExecModeExec, fresh, value, value*10).Scan(&of)
		model[fresh] = written{value, value * 10 * unit(of), channel}
		return err
	case 7:
		if there {
			channel = last.channel
		}
		err := conn.QueryRow(ctx, insert+` ON CONFLICT (id) DO UPDATE SET `+name+` = excluded.`+name+`, qty = excluded.qty RETURNING pg_typeof(qty)::text`, pgx.QueryExecModeExec, id, value, value*10).Scan(&of)
		model[id] = written{value, value * 10 * unit(of), channel}
		return err
	case 8: // in the key, before the backfill's cursor or behind it
		if !there {
			return nil
		}
		_, err := conn.Exec(ctx, `UPDATE customers SET id = $2, `+name+` = $3 WHERE id = $1`, pgx.QueryExecModeExec, id, -fresh, value)
		model[id], model[-fresh] = written{}, written{value, last.qty, last.channel}
		return err
	default:
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var lines strings.Builder
			for i := range int64(4) {
				fmt.Fprintf(&lines, "%d\tt\t%d\t%d", fresh+i, value+i, (value+i)*10)
				if !old {
					lines.WriteString("\tphone")
				}
				lines.WriteString("\n")
			}
			if _, err := tx.Conn().PgConn().CopyFrom(ctx, strings.NewReader(lines.String()), `COPY customers (id, web, `+columns+`) FROM STDIN`); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, `SELECT pg_typeof(qty)::text FROM customers WHERE id = $1`, pgx.QueryExecModeExec, fresh).Scan(&of); err != nil {
				return err
			}
			for i := range int64(4) {
				model[fresh+i] = written{value + i, (value + i) * 10 * unit(of), channel}
			}
			return nil
		})
	}
}
