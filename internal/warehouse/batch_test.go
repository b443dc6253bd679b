package warehouse_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/warehouse"
)

// parents counts the parents of batches that are there.
func (b *bundle) parents(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relkind = 'p' AND relnamespace = $1::text::regnamespace`, b.db.Schema+"__data").Scan(&n))
	return n
}

// shapes are a child's constraints, indexes and triggers, without its own name.
func (b *bundle) shape(t *testing.T, g generation.Generation) []string {
	t.Helper()
	rows, err := b.db.Pool.Query(t.Context(), `
		SELECT replace(text, $2, 'child') FROM (
		  SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = $1::text::regclass
		  UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = $1::text::regclass
		  UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = $1::text::regclass
		  UNION ALL SELECT attname || ' ' || attnotnull FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0
		  UNION ALL SELECT coalesce(array_to_string(reloptions, ','), '') || relispartition FROM pg_class WHERE oid = $1::text::regclass) AS all_of_it (text)
		ORDER BY 1`, b.child(g.ID), fmt.Sprintf("g%d", g.ID))
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

func TestABatchIsWhatItsPartitionsAreOneByOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	p := uncut()
	p.Outputs[0].Indexes = [][]string{{"channel"}, {"amount", "channel"}}
	p.Outputs[0].Checks = append(p.Outputs[0].Checks,
		check.Check{Name: "unique", Kind: check.Unique, Severity: check.Fail, Columns: []string{"order_id", "channel"}},
		check.Check{Name: "revenue", Kind: check.MetricKind, Severity: check.Fail, SQL: "sum(amount)"})
	p.Outputs = append(p.Outputs, p.Outputs[0])
	p.Outputs[1].Table = "fct_channels"

	var opens atomic.Int64
	spec := b.counted(p, "", &opens)
	batch, err := b.BuildBatch(t.Context(), spec, threeDays)
	require.NoError(t, err)
	require.Len(t, batch, 6)
	require.EqualValues(t, 1, opens.Load())
	require.Zero(t, b.parents(t), "what it was filled through is gone")
	for i, key := range threeDays {
		alone, err := b.Build(t.Context(), b.counted(p, key, &opens))
		require.NoError(t, err)
		for o, one := range alone {
			g := batch[2*i+o]
			require.Equal(t, []any{one.Generation.Output, key, one.Generation.Rows, one.Generation.Checksum, one.Generation.Inputs, one.LoadedRows},
				[]any{g.Generation.Output, g.Generation.Partition, g.Generation.Rows, g.Generation.Checksum, g.Generation.Inputs, g.LoadedRows})
			require.Equal(t, one.Results, g.Results)
			require.Equal(t, gate.Pass, g.Verdict.Outcome)
			require.Equal(t, b.shape(t, one.Generation), b.shape(t, g.Generation))
		}
	}
	b.expand(t, p)
	b.publish(t, swap(batch[0].Generation, 0), swap(batch[2].Generation, 0), swap(batch[4].Generation, 0))
	require.Equal(t, "45.00", b.sum(t))
	_, err = b.db.Pool.Exec(t.Context(), `DELETE FROM `+b.child(batch[1].Generation.ID))
	require.ErrorContains(t, err, "nobody writes it in place")
}

// A batch and its partitions one by one are the same effects: whatever an attempt has built is not built again.
func TestABatchBuildsOnlyWhatIsLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	spec := b.spec(uncut(), "")
	one := spec
	one.Partition, one.Key.Partition = threeDays[0], threeDays[0]
	first, err := b.Build(t.Context(), one)
	require.NoError(t, err)
	batch, err := b.BuildBatch(t.Context(), spec, threeDays)
	require.NoError(t, err)
	require.Equal(t, first[0].Generation.ID, batch[0].Generation.ID)
	again, err := b.BuildBatch(t.Context(), spec, threeDays)
	require.NoError(t, err)
	one.Partition, one.Key.Partition = threeDays[2], threeDays[2]
	last, err := b.Build(t.Context(), one)
	require.NoError(t, err)
	require.Equal(t, batch[2].Generation.ID, last[0].Generation.ID)
	for i := range batch {
		require.Equal(t, batch[i].Generation.ID, again[i].Generation.ID)
	}
	_, err = b.BuildBatch(t.Context(), b.spec(uncut(), ""), []partition.Key{threeDays[0], threeDays[2]})
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "what lies between them would be in none: %v", err)
}

func TestABatchOfWhichAPartitionFailsBuildsNothing(t *testing.T) {
	t.Parallel()
	everything := func(p *pipeline.Pipeline) {
		p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders"
	}
	for name, c := range map[string]struct {
		change func(*pipeline.Pipeline)
		rows   string
		says   string
	}{
		"a row of no partition": {everything, "900,2026-02-01 10:00:00+00,web,1.50\n900,2026-02-02 10:00:00+00,web,1.50\n", "2 of 32 rows are in none of the partitions"},
		"a row without a date":  {everything, "900,,web,1.50\n", "1 of 31 rows are in none of the partitions"},
		"a key that repeats":    {func(*pipeline.Pipeline) {}, "101,2026-01-02 11:00:00+00,web,1.50\n", "23505"},
		"a key that is NULL":    {func(*pipeline.Pipeline) {}, ",2026-01-02 11:00:00+00,web,1.50\n", "23502"},
		"a value that cannot be": {func(p *pipeline.Pipeline) {
			p.Outputs[0].SQL = strings.Replace(p.Outputs[0].SQL, "amount", "1 / (amount - 7)::int AS amount", 1)
		}, "900,2026-01-02 11:00:00+00,web,7.00\n", "22012"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.whole(1)
			b.files[wholeFile] += c.rows
			p := uncut()
			c.change(p)
			_, err := b.BuildBatch(t.Context(), b.spec(p, ""), threeDays)
			require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.Zero(t, b.parents(t))
			require.Equal(t, 1, b.children(t), "the landing")
		})
	}
}

// An audit is each partition's own, also where a check's SQL fails for one of them.
func TestABatchAuditsEachPartitionByItself(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	b.files[wholeFile] += "900,2026-01-02 11:00:00+00,web,-7.00\n"
	batch, err := b.BuildBatch(t.Context(), b.spec(uncut(), ""), threeDays)
	require.NoError(t, err)
	require.Equal(t, []gate.Outcome{gate.Pass, gate.Fail, gate.Pass}, []gate.Outcome{batch[0].Verdict.Outcome, batch[1].Verdict.Outcome, batch[2].Verdict.Outcome})
	var samples int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM ("+batch[1].Samples+") AS s").Scan(&samples))
	require.Equal(t, 1, samples)

	p := uncut()
	p.Outputs[0].Checks = []check.Check{
		{Name: "divides", Kind: check.Expression, Severity: check.Fail, SQL: "1 / (amount + 7) > 0"},
		{Name: "revenue", Kind: check.MetricKind, Severity: check.Fail, SQL: "sum(amount)"},
	}
	batch, err = b.BuildBatch(t.Context(), b.spec(p, ""), threeDays)
	require.NoError(t, err)
	require.Equal(t, []gate.Outcome{gate.Pass, gate.Inconclusive, gate.Pass}, []gate.Outcome{batch[0].Verdict.Outcome, batch[1].Verdict.Outcome, batch[2].Verdict.Outcome})
	require.Contains(t, batch[1].Verdict.Reason, "divides")
	require.NotContains(t, batch[1].Verdict.Reason, "revenue", "the other checks keep their result")
}

func TestAnAuthorFillsABatchAndWritesItNeverAgain(t *testing.T) {
	t.Parallel()
	b, author := authored(t)
	b.whole(1)
	batch, err := b.BuildBatch(t.Context(), b.spec(uncut(), ""), threeDays)
	require.NoError(t, err)
	for _, built := range batch {
		require.EqualValues(t, perDay, built.Generation.Rows)
		var may bool
		require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT has_table_privilege($1, $2, 'INSERT')`, author, b.child(built.Generation.ID)).Scan(&may))
		require.False(t, may)
	}
	require.Zero(t, b.parents(t))
}

// A worker that dies in the middle leaves children that hang in the parent of its batch.
func TestHousekeepingTakesWhatAStoppedBatchLeft(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	reader := b.begin(t, pgx.TxOptions{})
	spec := b.spec(uncut(), "")
	spec.Application = "drawbridge/test/stopped"
	spec.Progress = func(p warehouse.Progress) {
		if p.Stage != warehouse.StageTransform || !p.Done {
			return
		}
		ctx := context.WithoutCancel(t.Context())
		var first int64
		require.NoError(t, b.db.Pool.QueryRow(ctx, `SELECT min(id) FROM `+b.db.Schema+`__ledger.generation`).Scan(&first))
		_, err := reader.Exec(ctx, fmt.Sprintf(`SELECT count(*) FROM %s__data.b%d`, b.db.Schema, first)) // nobody can detach anything meanwhile
		require.NoError(t, err)
		require.NoError(t, b.Housekeep(ctx, time.Hour), "it is being built")
		_, err = b.db.Pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND datname = current_database()`, spec.Application)
		require.NoError(t, err)
	}
	_, err := b.BuildBatch(t.Context(), spec, threeDays)
	require.Error(t, err)
	require.Empty(t, fault.ClassOf(err), "a lost session is transient: %v", err)
	require.Equal(t, 1, b.parents(t))
	require.NoError(t, reader.Rollback(t.Context()))
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Zero(t, b.parents(t))
	require.Equal(t, 1, b.children(t), "the landing")
	spec.Progress = nil
	batch, err := b.BuildBatch(t.Context(), spec, threeDays)
	require.NoError(t, err)
	require.Len(t, batch, 3)
}

func TestWhatWasSeenOfABatchIsRecordedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	proof, err := b.BatchProof(t.Context(), "sha256:1", "")
	require.NoError(t, err)
	require.False(t, proof.Known)
	require.Positive(t, proof.Most)
	require.NoError(t, b.RecordBatchProof(t.Context(), "sha256:1", "", generation.BatchProof{Difference: "it differs", Partitions: threeDays}))
	require.NoError(t, b.RecordBatchProof(t.Context(), "sha256:1", "", generation.BatchProof{Partitions: threeDays}))
	proof, err = b.BatchProof(t.Context(), "sha256:1", "")
	require.NoError(t, err)
	require.Equal(t, generation.BatchProof{Known: true, Difference: "it differs", Partitions: threeDays, Most: proof.Most}, proof)
	other, err := b.BatchProof(t.Context(), "sha256:1", "sha256:config")
	require.NoError(t, err)
	require.False(t, other.Known, "another config reads other files")
}

// What is built twice has the same rows twice, of which one is gone, or other rows, of which both are kept for a comparison.
func TestWhatIsBuiltTwiceIsKeptWhereItDiffers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	spec := b.spec(shop(), "2026-01-01")
	spec.Twice = true
	built, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	again, err := b.TriedUnder(t.Context(), spec.Key.Again(), "fct_orders")
	require.NoError(t, err)
	require.Equal(t, []any{built[0].Generation.Checksum, built[0].Generation.Rows, built[0].Generation.Inputs, true}, []any{again.Checksum, again.Rows, again.Inputs, again.Control})
	require.Equal(t, generation.Dropped, again.State)
	require.Equal(t, 1, b.children(t))

	p := shop()
	p.Outputs[0].SQL = strings.Replace(p.Outputs[0].SQL, "channel, amount", "channel, (amount + extract(epoch FROM clock_timestamp())::numeric(20,6) % 1)::numeric(12,6) AS amount", 1)
	spec = b.spec(p, "2026-01-01")
	spec.Twice = true
	built, err = b.Build(t.Context(), spec)
	require.NoError(t, err)
	again, err = b.TriedUnder(t.Context(), spec.Key.Again(), "fct_orders")
	require.NoError(t, err)
	require.NotEqual(t, built[0].Generation.Checksum, again.Checksum)
	require.Equal(t, 3, b.children(t))
	diff, err := b.Compare(t.Context(), warehouse.Comparison{Output: "fct_orders", Key: []string{"order_id"}, Baseline: again.ID, Candidate: built[0].Generation.ID, Origin: "repeat"})
	require.NoError(t, err)
	require.EqualValues(t, 10, diff.Changed["amount"])
	require.Zero(t, diff.Changed["channel"])

	p.Outputs[0].NotRepeatable = "it asks the clock"
	spec = b.spec(p, "2026-01-01")
	spec.Twice = true
	_, err = b.Build(t.Context(), spec)
	require.NoError(t, err)
	again, err = b.TriedUnder(t.Context(), spec.Key.Again(), "fct_orders")
	require.NoError(t, err)
	require.Zero(t, again.ID)
}
