package alter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// wide makes a table of so many rows that there are several portions of it.
func (b *bundle) wide(t *testing.T, rows int) {
	t.Helper()
	b.db.Exec(t, `CREATE TABLE orders (id bigint PRIMARY KEY, channel text NOT NULL, amount int) WITH (fillfactor = 10)`)
	b.db.Exec(t, `INSERT INTO orders SELECT i * 7, 'Ch' || i % 7, i FROM generate_series(1, `+fmt.Sprint(rows)+`) i ORDER BY i % 100`)
	b.db.Exec(t, `ANALYZE orders`)
}

func TestALargeTableIsBroughtOverBySeveralLanesEachRowOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 40_000)
	b.noted(t)
	p := b.replacement()
	b.filling(t, p)
	most := int64(0)
	filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Lanes: 3, Beat: func(f migrate.Filled) {
		require.GreaterOrEqual(t, f.Rows, most, "what is said of it never goes back")
		most = f.Rows
	}})
	require.NoError(t, err)
	require.Equal(t, migrate.Filled{Rows: 40_000, Total: filled.Total, Done: true, Batch: filled.Batch}, filled)
	require.InDelta(t, 40_000, filled.Total, 100)
	require.Equal(t, "0", b.one(t, wrong))
	require.Equal(t, "40000 40000", b.one(t, `SELECT count(*) || ' ' || count(DISTINCT id) FROM written`))
	require.Equal(t, "3", b.one(t, `SELECT count(DISTINCT by) FROM written`))
	require.Equal(t, "4 4 0", b.one(t, `SELECT count(*) || ' ' || count(*) FILTER (WHERE done) || ' ' || count(*) FILTER (WHERE rows NOT BETWEEN 6000 AND 14000) FROM `+b.ledger.Schema()+`.migration_cursor`),
		"portions are of about the same size")
}

func TestLanesThatAreKilledAtAnyBatchLookAtEachRowOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 40_000)
	b.noted(t)
	p := b.replacement()
	b.filling(t, p)
	random := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(time.Duration(random.IntN(80))*time.Millisecond, cancel)
		batches := random.IntN(5)
		_, err := b.FillTable(ctx, b.owner, p, migrate.Pace{For: time.Minute, Lanes: 1 + random.IntN(4), Stop: func() bool { batches--; return batches < 0 }})
		timer.Stop()
		cancel()
		require.Empty(t, fault.ClassOf(err), "%v", err)
	}
	// Two attempts at once: one of them overtakes the other wherever they meet.
	ended := make(chan error, 2)
	for range 2 {
		go func() {
			_, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Lanes: 3})
			ended <- err
		}()
	}
	for range 2 {
		require.Empty(t, fault.ClassOf(<-ended))
	}
	var filled migrate.Filled
	require.Eventually(t, func() bool {
		var err error
		filled, err = b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Lanes: 2})
		return err == nil && filled.Done
	}, time.Minute, time.Millisecond)
	require.EqualValues(t, 40_000, filled.Rows)
	require.Equal(t, "0", b.one(t, wrong))
	require.Equal(t, "40000 40000", b.one(t, `SELECT count(*) || ' ' || count(DISTINCT id) FROM written`))
}

func TestAllPortionsAreLookedAtOnceMoreWhereThatIsWanted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 20_000)
	p := b.replacement()
	b.filling(t, p)
	var again sync.Once
	_, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Beat: func(migrate.Filled) {
		again.Do(func() {
			b.db.Exec(t, `ALTER TABLE orders DISABLE TRIGGER m0001_channel`)
			b.db.Exec(t, `UPDATE orders SET source = NULL`)
			filled, err := b.FillAgain(t.Context(), b.owner, p)
			require.NoError(t, err)
			require.False(t, filled.Done)
			require.Zero(t, filled.Rows)
		})
	}})
	require.ErrorContains(t, err, "another attempt goes on with it")
	filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Lanes: 2})
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.EqualValues(t, 20_000, filled.Rows)
	require.Equal(t, "0", b.one(t, wrong))
}

func TestWhereALaneFailsTheOthersEndAtTheirNextEdge(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 40_000)
	b.db.Exec(t, `UPDATE orders SET amount = 0 WHERE id = 7`)
	p := b.replacement()
	p.Filling.Set[0].Expression = "(1000 / amount)::text"
	p.Migration.Operations[0].Up = p.Filling.Set[0].Expression
	b.filling(t, p)
	_, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Lanes: 2})
	require.Equal(t, fault.Refused, fault.ClassOf(err))
	require.Equal(t, "rename_column channel 7", b.one(t, `SELECT string_agg(subject || ' ' || key, ', ') FROM (`+b.ledger.MigrationSamplesQuery("orders")+`) AS s`))
	require.NotEqual(t, "40000", b.one(t, `SELECT count(source) FROM orders`))
}

// The order of an extension's type is not what Postgres compares by where no schema of the extension is searched.
func TestAKeyOfAnExtensionsOrderLeavesNoRowOut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE EXTENSION IF NOT EXISTS citext SCHEMA public`)
	b.db.Exec(t, `CREATE TABLE customers (code public.citext PRIMARY KEY, note text NOT NULL)`)
	b.db.Exec(t, `INSERT INTO customers SELECT CASE WHEN i % 2 = 0 THEN 'aB' ELSE 'Ab' END || i, 'note ' || i FROM generate_series(1, 9000) i`)
	b.db.Exec(t, `ANALYZE customers`)
	p := b.planned(t, changing("0001_remark", migrate.Operation{Kind: migrate.RenameColumn, Column: "note", To: "remark"}))
	require.Empty(t, p.Filling.Key, "it goes by the places of the rows")
	b.filling(t, p)
	filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Lanes: 3})
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM customers WHERE remark IS DISTINCT FROM note`))
}

func TestWhatLanesBringOverIsSaidWhileOneOfThemWaitsForARow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.wide(t, 40_000)
	p := b.replacement()
	b.filling(t, p)
	leave := b.holder(t, `SELECT FROM orders WHERE id = 7 FOR UPDATE`)
	filled, err := b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: 3 * time.Second, Lanes: 2})
	require.NoError(t, err)
	require.False(t, filled.Done)
	require.Positive(t, filled.Rows)
	require.Equal(t, fmt.Sprint(filled.Rows), b.one(t, `SELECT count(source) FROM orders`))
	leave()
	filled, err = b.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute, Lanes: 2})
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.Equal(t, "0", b.one(t, wrong))
}
