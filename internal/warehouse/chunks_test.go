package warehouse_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/turnback"
)

// trees are the chunks of a table, each with the generations in it, in the order in which they were made: "c1: g1 g2", and "aside" after
// those that nobody reads.
func (b *bundle) trees(t *testing.T) []string {
	t.Helper()
	rows, err := b.db.Pool.Query(t.Context(), `
		SELECT c.relname || ':' || coalesce((
		         SELECT string_agg(' ' || m.relname, '' ORDER BY substr(m.relname, 2)::int)
		         FROM pg_inherits i
		         JOIN pg_class m ON m.oid = i.inhrelid
		         WHERE i.inhparent = c.oid), '') || CASE WHEN c.relispartition THEN '' ELSE ' aside' END
		FROM pg_class c
		WHERE c.relkind = 'p' AND c.relnamespace = to_regnamespace($1)
		ORDER BY substr(c.relname, 2)::int`, b.db.Schema+"__data")
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

// again builds days with this amount, and says what it takes to publish them.
func (b *bundle) again(t *testing.T, p *pipeline.Pipeline, amount int, live map[partition.Key]generation.Generation, days ...partition.Key) []generation.Swap {
	t.Helper()
	var swaps []generation.Swap
	for _, day := range days {
		b.orders(day, 10, amount)
		built := b.build(t, p, day).Generation
		swaps = append(swaps, swap(built, live[day].ID))
		live[day] = built
	}
	return swaps
}

func backward(swaps []generation.Swap) []generation.Swap {
	var back []generation.Swap
	for _, s := range swaps {
		back = append(back, generation.Swap{Output: s.Output, Partition: s.Partition, From: s.To, To: s.From})
	}
	return back
}

func TestAChunkOfWhichEverythingChangesIsSwappedAsOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live := map[partition.Key]generation.Generation{}
	january := []partition.Key{"2026-01-01", "2026-01-02", "2026-01-31"}
	b.publish(t, b.again(t, shop(), 1, live, append(january, "2026-02-01", "2026-02-02")...)...)
	require.Equal(t, []string{"c1: g1 g2 g3", "c2: g4 g5"}, b.trees(t), "a month each")

	b.publish(t, b.again(t, shop(), 2, live, "2026-02-02")...)
	require.Equal(t, []string{"c1: g1 g2 g3", "c2: g4 g6"}, b.trees(t), "one day changes inside its month")

	swaps := b.again(t, shop(), 3, live, append(january, "2026-02-01")...)
	b.publish(t, swaps...)
	require.Equal(t, []string{"c1: g1 g2 g3 aside", "c2: g6 g10", "c3: g7 g8 g9"}, b.trees(t), "January as a whole, February inside")
	require.Equal(t, "165.00", b.sum(t))

	back := b.begins(t, rollback(turnback.Nothing))
	b.done(t, back.try(backward(swaps)...))
	require.Equal(t, []string{"c1: g1 g2 g3", "c2: g4 g6", "c3: g7 g8 g9 aside"}, b.trees(t), "and back as it was")
	require.Equal(t, "85.00", b.sum(t))

	b.done(t, back.try(swaps[:2]...))
	require.Equal(t, []string{"c1: g3 g7 g8", "c2: g4 g6", "c3: g9 aside"}, b.trees(t), "some of January alone")
	rebound, err := b.Rebind(t.Context(), prod, false)
	require.NoError(t, err)
	require.Zero(t, rebound.Left, "what stands aside is as the ledger knows it: %v", rebound.Lines)

	b.done(t, back.try(
		generation.Swap{Output: "fct_orders", Partition: "2026-02-01", From: live["2026-02-01"].ID - 6},
		generation.Swap{Output: "fct_orders", Partition: "2026-02-02", From: live["2026-02-02"].ID}))
	require.Equal(t, []string{"c1: g3 g7 g8", "c2: g4 g6 aside", "c3: g9 aside"}, b.trees(t), "a month of which nothing is live any more")
	require.Equal(t, "85.00", b.sum(t))
	b.done(t, back.try(generation.Swap{Output: "fct_orders", Partition: "2026-02-02", To: live["2026-02-02"].ID}))
	require.Equal(t, []string{"c1: g3 g7 g8", "c2: g4 aside", "c3: g9 aside", "c4: g6"}, b.trees(t), "a day of it is")
	require.Equal(t, "110.00", b.sum(t))
}

func TestAShadowStaysUntilItsChunkIsSwapped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live := map[partition.Key]generation.Generation{}
	days := []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}
	b.publish(t, b.again(t, shop(), 1, live, days...)...)
	swaps := b.again(t, shop(), 2, live, days...)
	require.NoError(t, b.AttachShadow(t.Context(), "deploy/2", []int64{swaps[2].To}))
	holder := b.begin(t, pgx.TxOptions{})
	_, err := holder.Exec(t.Context(), "SELECT count(*) FROM fct_orders")
	require.NoError(t, err)
	held := b.patient(swaps...)
	held.LockBudget = 1
	result, err := b.attempt(t.Context(), held, beat)
	require.NoError(t, err)
	require.Equal(t, generation.ForLocks, result.WaitingFor)
	require.Equal(t, []string{"c1: g1 g2 g3", "c2: g4 g5 aside"}, b.trees(t))
	shadow := b.text(t, `SELECT oid::regclass::text FROM pg_class WHERE relkind = 'p' AND relnamespace = to_regnamespace('`+b.db.Schema+`__shadow')`)
	require.EqualValues(t, 10, b.number(t, `SELECT count(*) FROM `+shadow), "people still read the canary")
	require.NoError(t, holder.Rollback(t.Context()))

	b.done(t, held)
	require.Equal(t, []string{"c1: g1 g2 g3 aside", "c2: g4 g5 g6"}, b.trees(t))
	require.Equal(t, "75.00", b.sum(t))
	require.NoError(t, b.DropShadow(t.Context(), "deploy/2"))
	require.Equal(t, "75.00", b.sum(t))
}

// Whoever has locked a chunk, and nothing above or below it, is named: one that is live, and one that stands aside.
func TestWhoHoldsAChunkAloneIsNamed(t *testing.T) {
	t.Parallel()
	for name, chunk := range map[string]string{"live": "c2", "aside": "c1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			live := map[partition.Key]generation.Generation{}
			days := []partition.Key{"2026-01-01", "2026-01-02"}
			b.publish(t, b.again(t, shop(), 1, live, days...)...)
			second := b.again(t, shop(), 2, live, days...)
			b.publish(t, second...)
			require.Equal(t, []string{"c1: g1 g2 aside", "c2: g3 g4"}, b.trees(t))
			holder := b.begin(t, pgx.TxOptions{})
			_, err := holder.Exec(t.Context(), `LOCK TABLE `+b.db.Schema+`__data.`+chunk+` IN ACCESS SHARE MODE`)
			require.NoError(t, err)
			held := b.begins(t, rollback(turnback.Nothing)).try(backward(second)...)
			held.LockBudget = 1
			result, err := b.attempt(t.Context(), held, beat)
			require.NoError(t, err)
			require.Equal(t, generation.ForLocks, result.WaitingFor)
			require.Len(t, result.Blocked, 1)
			require.EqualValues(t, holder.Conn().PgConn().PID(), result.Blocked[0].PID)
		})
	}
}

// Two publishes that make the same chunk, or change it, meet: each sees what became of the other's.
func TestPublishesOfOneChunkMeet(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live := map[partition.Key]generation.Generation{}
	for round := range 3 {
		var tries []try
		for half := range 2 {
			var days []partition.Key
			for i := range 3 {
				days = append(days, partition.Key(fmt.Sprintf("2026-01-%02d", 1+3*half+i)))
			}
			tries = append(tries, b.patient(b.again(t, shop(), round, live, days...)...))
		}
		done := make(chan error, len(tries))
		for _, one := range tries {
			go func() {
				result, err := b.attempt(context.WithoutCancel(t.Context()), one, beat)
				if err == nil && !result.Done {
					err = fmt.Errorf("it waits: %+v", result)
				}
				done <- err
			}()
		}
		for range tries {
			require.NoError(t, <-done)
		}
		require.Equal(t, fmt.Sprintf("%d.00", 60*round+30), b.sum(t))
		require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM pg_inherits WHERE inhparent = 'fct_orders'::regclass`))
	}
}

// What a table has gained since keeps no chunk away: its generations gain it too, in another chunk.
func TestAChunkGoesBackUnderWhatItsTableHasGainedSince(t *testing.T) {
	t.Parallel()
	for name, gained := range map[string]string{
		"a column":                     "ADD COLUMN currency text",
		"a CHECK":                      "ADD CONSTRAINT few CHECK (amount < 100)",
		"a CHECK of a column it lacks": "ADD COLUMN later int, ADD CONSTRAINT few CHECK (later > 0 OR amount < 100)",
		"one that is not proven":       "ADD CONSTRAINT many CHECK (amount > 2) NOT VALID",
		"NOT NULL":                     "ALTER COLUMN channel SET NOT NULL",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			live := map[partition.Key]generation.Generation{}
			days := []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}
			b.publish(t, b.again(t, shop(), 1, live, days...)...)
			swaps := b.again(t, shop(), 2, live, days...)
			b.publish(t, swaps...)
			b.db.Exec(t, "ALTER TABLE fct_orders "+gained)
			back := b.begins(t, rollback(turnback.Nothing))
			b.done(t, back.try(backward(swaps)...))
			require.Equal(t, []string{"c1: aside", "c2: g4 g5 g6 aside", "c3: g1 g2 g3"}, b.trees(t))
			require.Equal(t, "45.00", b.sum(t))
			b.done(t, back.try(swaps...))
			require.Equal(t, "75.00", b.sum(t))
			require.NoError(t, b.Housekeep(t.Context(), 1<<40))
			require.Equal(t, []string{"c2: g4 g5 g6", "c3: g1 g2 g3 aside"}, b.trees(t), "an empty one is dropped")
		})
	}
}

// Who changes a constraint has to take it away and add it again: what stands aside has it still as it was, under the same name.
func TestWhatGoesBackObeysAConstraintAsItIsNow(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ now, says string }{
		"it demands less":          {"CHECK (amount < 1000)", ""},
		"it demands more":          {"CHECK (amount < 50)", ""},
		"it is not proven":         {"CHECK (amount > 2) NOT VALID", ""},
		"what goes back breaks it": {"CHECK (amount > 2)", "10 of its rows break constraint few"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			live := map[partition.Key]generation.Generation{}
			days := []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}
			b.publish(t, b.again(t, shop(), 1, live, days...)...)
			b.db.Exec(t, "ALTER TABLE fct_orders ADD CONSTRAINT few CHECK (amount < 100)")
			swaps := b.again(t, shop(), 2, live, days...)
			b.publish(t, swaps...)
			b.db.Exec(t, "ALTER TABLE fct_orders DROP CONSTRAINT few")
			b.db.Exec(t, "ALTER TABLE fct_orders ADD CONSTRAINT few "+c.now)
			back := b.begins(t, rollback(turnback.Nothing))
			result, err := b.attempt(t.Context(), back.try(backward(swaps)...), beat)
			if c.says != "" {
				require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
				require.ErrorContains(t, err, c.says)
				require.Contains(t, fault.HintOf(err), `DROP CONSTRAINT "few"`)
				require.Equal(t, "75.00", b.sum(t))
				return
			}
			require.NoError(t, err)
			require.True(t, result.Done)
			require.Equal(t, "45.00", b.sum(t))
			const def = `SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'few' AND conrelid = `
			require.Equal(t, b.text(t, def+`'fct_orders'::regclass`), b.text(t, def+`'`+b.child(swaps[0].From)+`'::regclass`))
		})
	}
}

// A generation that somebody has hung beside the chunks keeps nobody away but itself, and is told how it goes.
func TestWhatHangsBesideTheChunksStopsNoOther(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live := map[partition.Key]generation.Generation{}
	b.publish(t, b.again(t, shop(), 1, live, "2026-01-01", "2026-01-02", "2026-02-01")...)
	feb := b.child(live["2026-02-01"].ID)
	b.db.Exec(t, "ALTER TABLE "+b.db.Schema+"__data.c2 DETACH PARTITION "+feb)
	b.db.Exec(t, "ALTER TABLE fct_orders DETACH PARTITION "+b.db.Schema+"__data.c2")
	b.db.Exec(t, "ALTER TABLE fct_orders ATTACH PARTITION "+feb+" FOR VALUES FROM ('2026-02-01') TO ('2026-02-02')")

	b.publish(t, b.again(t, shop(), 2, live, "2026-01-02")...)
	require.Equal(t, "55.00", b.sum(t))
	_, err := b.attempt(t.Context(), b.patient(b.again(t, shop(), 3, live, "2026-02-01")...), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	remedy, _, found := strings.Cut(strings.TrimPrefix(fault.HintOf(err), "somebody swapped by hand: "), "; run another partition of 2026-02")
	require.True(t, found, fault.HintOf(err))
	b.db.Exec(t, remedy)
	require.Equal(t, "40.00", b.sum(t))
}

// A table of somebody's own in a chunk is refused by name, and taken out as it says.
func TestATableOfSomebodysInAChunkIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live := map[partition.Key]generation.Generation{}
	b.publish(t, b.again(t, shop(), 1, live, "2026-01-01", "2026-02-01")...)
	b.db.Exec(t, `CREATE TABLE "Their own" (LIKE fct_orders)`)
	b.db.Exec(t, "ALTER TABLE "+b.db.Schema+`__data.c1 ATTACH PARTITION "Their own" FOR VALUES FROM ('2026-01-20') TO ('2026-01-21')`)
	swaps := b.again(t, shop(), 2, live, "2026-01-01")
	_, err := b.attempt(t.Context(), b.patient(swaps...), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "Their own")
	b.publish(t, b.again(t, shop(), 2, live, "2026-02-01")...)
	b.db.Exec(t, strings.TrimPrefix(fault.HintOf(err), "take it out: "))
	b.publish(t, swaps...)
	require.Equal(t, "50.00", b.sum(t))
}

// A column that a table has gained and lost again was never a generation's own; what stands aside when it goes still has it.
func TestAColumnThatATableHasLostAgainKeepsNothingAway(t *testing.T) {
	t.Parallel()
	for name, days := range map[string][]partition.Key{
		"of a whole chunk": {"2026-01-01", "2026-01-02", "2026-01-03"},
		"of one day":       {"2026-01-02"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			live := map[partition.Key]generation.Generation{}
			b.publish(t, b.again(t, shop(), 1, live, "2026-01-01", "2026-01-02", "2026-01-03")...)
			swaps := b.again(t, shop(), 2, live, days...)
			b.publish(t, swaps...)
			after := b.sum(t)
			b.db.Exec(t, "ALTER TABLE fct_orders ADD COLUMN note text, ADD CONSTRAINT said CHECK (note <> '' AND amount > 0)")
			back := b.begins(t, rollback(turnback.Nothing))
			b.done(t, back.try(backward(swaps)...))
			b.db.Exec(t, "ALTER TABLE fct_orders DROP COLUMN note")

			b.done(t, back.try(swaps...))
			require.Equal(t, after, b.sum(t))
			require.Zero(t, b.number(t, `
				SELECT count(*) FROM pg_attribute
				WHERE attrelid IN ('fct_orders'::regclass, '`+b.child(swaps[0].To)+`'::regclass) AND attname = 'note'`))
			b.done(t, back.try(backward(swaps)...))
			require.Equal(t, "45.00", b.sum(t))
		})
	}
}

// What a generation was built with is its own: its table has to have it.
func TestAColumnOfItsOwnIsNotTakenFromAGeneration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live := map[partition.Key]generation.Generation{}
	b.publish(t, b.again(t, shop(), 1, live, "2026-01-01")...)
	b.db.Exec(t, "ALTER TABLE fct_orders ADD COLUMN note text")
	b.publish(t, b.again(t, shop(), 2, live, "2026-01-01")...)
	swaps := b.again(t, shop(), 3, live, "2026-01-01")
	b.publish(t, swaps...)
	b.db.Exec(t, "ALTER TABLE fct_orders DROP COLUMN note")
	back := b.begins(t, rollback(turnback.Nothing))
	_, err := b.attempt(t.Context(), back.try(backward(swaps)...), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "the table lacks its column note")
	_, remedy, ok := strings.Cut(fault.HintOf(err), ": ")
	require.True(t, ok)
	b.db.Exec(t, remedy)
	b.done(t, back.try(backward(swaps)...))
	require.Equal(t, "25.00", b.sum(t))
}

func TestAChunkGoesWithTheLastOfItsGenerations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live := map[partition.Key]generation.Generation{}
	days := []partition.Key{"2026-01-01", "2026-01-02"}
	b.publish(t, b.again(t, shop(), 1, live, days...)...)
	b.publish(t, b.again(t, shop(), 2, live, days...)...)
	require.Equal(t, []string{"c1: g1 g2 aside", "c2: g3 g4"}, b.trees(t))
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	require.NoError(t, b.Housekeep(t.Context(), 0))
	require.Equal(t, []string{"c2: g3 g4"}, b.trees(t))
	require.EqualValues(t, 1, b.number(t, `SELECT count(*) FROM `+b.db.Schema+`__ledger.chunk`))
	require.Equal(t, "50.00", b.sum(t))
}

// A generation of a chunk that was written aside would be trusted for what it was before.
func TestAChunkThatCouldHaveBeenWrittenDoesNotGoLiveAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live := map[partition.Key]generation.Generation{}
	days := []partition.Key{"2026-01-01", "2026-01-02"}
	b.publish(t, b.again(t, shop(), 1, live, days...)...)
	swaps := b.again(t, shop(), 2, live, days...)
	b.publish(t, swaps...)
	_, err := b.db.Pool.Exec(t.Context(), "DELETE FROM "+b.db.Schema+"__data.c1")
	require.ErrorContains(t, err, "is a generation")
	_, err = b.db.Pool.Exec(t.Context(), "TRUNCATE "+b.db.Schema+"__data.c1")
	require.ErrorContains(t, err, "is a generation")
	b.db.Exec(t, "ALTER TABLE "+b.child(swaps[0].From)+" DISABLE TRIGGER ALL")
	back := b.begins(t, rollback(turnback.Nothing))
	_, err = b.attempt(t.Context(), back.try(backward(swaps)...), beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "write-refusing triggers")
	require.Equal(t, "50.00", b.sum(t))
}

// The bounds of a chunk may lie beyond what the column can hold, those of its partitions do not.
func TestRangesAreCutWhereTheirColumnEnds(t *testing.T) {
	t.Parallel()
	for columnType, key := range map[string]partition.Key{"int": "2100000000", "smallint": "30000", "bigint": "9223372036000000000", "numeric(6)": "900000"} {
		t.Run(columnType, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := shop()
			size := int64(10000)
			if columnType == "smallint" {
				size = 1000
			}
			p.Partition = partition.Scheme{By: partition.Range, Column: "n", Size: size}
			p.Loads[0].File = "orders_@partition.csv"
			p.Outputs[0].Partition = p.Partition
			p.Outputs[0].SQL = "SELECT order_id, @partition_start::" + columnType + " AS n, channel, amount FROM raw_orders"
			b.files["orders_"+string(key)+".csv"] = "order_id,ordered_at,channel,amount\n1,2026-01-01 10:00:00+00,web,7\n"
			b.publish(t, swap(b.build(t, p, key).Generation, 0))
			require.Equal(t, "7.00", b.sum(t))
		})
	}
}
