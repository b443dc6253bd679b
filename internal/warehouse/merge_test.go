package warehouse_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/warehouse"
)

// newYear is the day of which most tests here write.
const newYear partition.Key = "2026-01-01"

// writing is the shop in an environment that writes in a mode: a row is newer where its amount is larger, and a cancelled order is
// deleted, where the test says so.
func writing(mode pipeline.WriteMode) *pipeline.Pipeline {
	p := shop()
	p.Config.WriteMode = mode
	p.Outputs[0].Checks = []check.Check{{Name: "amounts", Kind: check.Expression, Severity: check.Fail, SQL: "amount IS NULL OR amount >= 0"}}
	return p
}

func versioned(p *pipeline.Pipeline) *pipeline.Pipeline {
	p.Outputs[0].VersionColumn = "amount"
	return p
}

func deleting(p *pipeline.Pipeline) *pipeline.Pipeline {
	p.Outputs[0].DeleteWhen = "channel = 'cancelled'"
	return p
}

// file writes the file of a day; each row is "order_id,channel,amount".
func (b *bundle) file(day partition.Key, rows ...string) {
	b.files["orders_"+string(day)+".csv"] = dayOf(day, rows...)
}

func dayOf(day partition.Key, rows ...string) string {
	var file strings.Builder
	file.WriteString("order_id,ordered_at,channel,amount\n")
	for _, row := range rows {
		id, rest, _ := strings.Cut(row, ",")
		fmt.Fprintf(&file, "%s,%s 10:00:00+00,%s\n", id, day, rest)
	}
	return file.String()
}

// writes builds the day and publishes it, and requires what readers see then.
func (b *bundle) writes(t *testing.T, p *pipeline.Pipeline, want ...string) generation.Generation {
	t.Helper()
	built := b.build(t, p, newYear)
	b.publish(t, swap(built.Generation, built.From))
	require.ElementsMatch(t, want, b.rows(t))
	require.EqualValues(t, len(want), built.Generation.Rows)
	return built.Generation
}

// rows are what readers see, as the files have it.
func (b *bundle) rows(t *testing.T) []string {
	t.Helper()
	rows, err := b.db.Pool.Query(t.Context(), `SELECT concat_ws(',', order_id, channel, trim_scale(amount)) FROM fct_orders ORDER BY order_id`)
	require.NoError(t, err)
	seen, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return seen
}

func TestAMergeReplacesRowsByTheirKeyAndKeepsTheOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := writing(pipeline.Merge)
	b.file(newYear, "1,web,1", "2,web,2")
	b.writes(t, p, "1,web,1", "2,web,2")
	b.file(newYear, "2,shop,1", "3,web,3")
	b.writes(t, p, "1,web,1", "2,shop,1", "3,web,3")
	b.writes(t, p, "1,web,1", "2,shop,1", "3,web,3") // the same again is the same
}

func TestAMergeIntoAnOutputThatIsOnePartition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := writing(pipeline.Merge)
	all := partition.Scheme{By: partition.All}
	p.Partition, p.Outputs[0].Partition = all, all
	p.Loads[0].File = "orders.csv"
	p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders"
	b.files["orders.csv"] = dayOf(newYear, "1,web,1", "2,web,2")
	built := b.build(t, p, partition.AllKey)
	b.publish(t, swap(built.Generation, built.From))

	b.owner = workflow("run/shop") // what one workflow has loaded is the same for all of it
	b.files["orders.csv"] = dayOf(newYear, "2,shop,1", "3,web,3")
	next, err := b.Build(t.Context(), b.spec(p, partition.AllKey))
	require.NoError(t, err)
	b.publish(t, swap(next[0].Generation, next[0].From))
	require.Equal(t, []string{"1,web,1", "2,shop,1", "3,web,3"}, b.rows(t))
}

func TestAnOlderVersionNeverReplacesANewerOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := versioned(writing(pipeline.Merge))
	b.file(newYear, "1,web,5", "2,web,5", "3,web,5", "4,web,")
	b.writes(t, p, "1,web,5", "2,web,5", "3,web,5", "4,web")
	b.file(newYear, "1,old,4", "2,new,6", "3,same,5", "3,older,1", "4,known,1")
	b.writes(t, p, "1,web,5", "2,new,6", "3,same,5", "4,known,1")
	b.file(newYear, "1,unknown,", "4,unknown,")
	b.writes(t, p, "1,web,5", "2,new,6", "3,same,5", "4,known,1")
}

func TestADeleteTakesItsKeyAway(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := deleting(writing(pipeline.Merge))
	b.file(newYear, "1,web,1", "2,web,2", "9,cancelled,1")
	b.writes(t, p, "1,web,1", "2,web,2")
	b.file(newYear, "2,cancelled,0", "3,web,3")
	b.writes(t, p, "1,web,1", "3,web,3")
	b.file(newYear, "1,cancelled,0", "3,cancelled,0")
	b.writes(t, p)
}

func TestADeleteThatIsOlderThanItsRowDeletesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := deleting(versioned(writing(pipeline.Merge)))
	b.file(newYear, "1,web,5", "2,web,5")
	b.writes(t, p, "1,web,5", "2,web,5")
	b.file(newYear, "1,cancelled,4", "2,cancelled,6", "2,web,4")
	b.writes(t, p, "1,web,5")
}

func TestABatchThatDoesNotSayWhichRowIsNewerIsRefusedWithACount(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		p    *pipeline.Pipeline
		rows []string
		says string
	}{
		"no version":                    {writing(pipeline.Merge), []string{"1,web,1", "1,web,2", "2,web,1"}, "distinct values 1, rows 2"},
		"no version, and one deletes":   {deleting(writing(pipeline.Merge)), []string{"1,web,1", "1,cancelled,2", "2,web,1"}, "distinct values 1, rows 2"},
		"a tie":                         {versioned(writing(pipeline.Merge)), []string{"1,web,1", "1,a,2", "1,b,2", "1,c,2"}, "distinct values 1, rows 3"},
		"a row without a key":           {versioned(writing(pipeline.Merge)), []string{",web,1", "2,web,1"}, "1 of 2 rows: column order_id is NULL"},
		"a delete without a key":        {deleting(writing(pipeline.Merge)), []string{",cancelled,1", "2,web,1"}, "1 of 2 rows: column order_id is NULL"},
		"a key that is there, appended": {writing(pipeline.Append), []string{"0,web,1", "5,web,1"}, "distinct values 1, rows 2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.file(newYear, "0,web,0")
			b.writes(t, writing(tc.p.Config.WriteMode), "0,web,0")
			b.file(newYear, tc.rows...)
			_, err := b.Build(t.Context(), b.spec(tc.p, newYear))
			require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, tc.says)
			require.Equal(t, []string{"0,web,0"}, b.rows(t))
		})
	}
}

// What a delete names has to lie in the partition, as every row: it would be lost without a word.
func TestADeleteOfAnotherPartitionIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := deleting(writing(pipeline.Merge))
	p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders"
	b.files["orders_"+string(newYear)+".csv"] = dayOf("2026-01-02", "1,cancelled,1")
	_, err := b.Build(t.Context(), b.spec(p, newYear))
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "1 of 1 rows: column order_date lies outside the partition")
}

func TestADeleteWhenThatIsNoConditionIsRefusedBeforeAnythingIsBuilt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for when, says := range map[string]string{"amount": "it is no boolean", "no_such_column": "no_such_column"} {
		p := writing(pipeline.Merge)
		p.Outputs[0].DeleteWhen = when
		_, err := b.Describe(t.Context(), p, p.Outputs[0], header())
		require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, says)
	}
}

func TestRowsThatAreKeptHaveNoValueInAColumnThatIsNew(t *testing.T) {
	t.Parallel()
	for _, mode := range []pipeline.WriteMode{pipeline.Merge, pipeline.Append} {
		for _, p := range []*pipeline.Pipeline{writing(mode), versioned(writing(mode))} {
			t.Run(string(mode)+p.Outputs[0].VersionColumn, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				b.file(newYear, "1,web,1")
				b.writes(t, p, "1,web,1")
				b.cross(t, "1.1.0")
				p.Version = "1.1.0"
				p.Outputs[0].SQL = strings.Replace(p.Outputs[0].SQL, "channel,", "channel, 'EUR' AS currency,", 1)
				b.file(newYear, "2,web,2")
				b.writes(t, p, "1,web,1", "2,web,2")
				var known []int64
				require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT array_agg(order_id) FROM fct_orders WHERE currency = 'EUR'`).Scan(&known))
				require.Equal(t, []int64{2}, known)
			})
		}
	}
}

func TestABatchIsAppendedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := writing(pipeline.Append)
	b.file(newYear, "1,web,1")
	first := b.writes(t, p, "1,web,1")
	b.file(newYear, "2,web,2")
	second := b.writes(t, p, "1,web,1", "2,web,2")

	again := b.spec(p, newYear)
	again.Once = true
	built, err := b.Build(t.Context(), again)
	require.NoError(t, err)
	require.NotEmpty(t, built[0].Standing)
	require.Equal(t, second.ID, built[0].Generation.ID, "what is live stays")
	b.file(newYear, "1,web,1") // an older one
	built, err = b.Build(t.Context(), again)
	require.NoError(t, err)
	require.NotEmpty(t, built[0].Standing)
	require.Equal(t, 2, b.children(t), "nothing was built for it")

	b.writes(t, p, "1,web,1", "2,web,2") // who has to publish something gets the rows as they are

	b.goBack(t, first)
	require.Equal(t, []string{"1,web,1"}, b.rows(t))
	pending, err := b.Pending(t.Context(), "shop")
	require.NoError(t, err)
	require.Len(t, pending, 1)
	require.Equal(t, second.ID, pending[0].Generation)
	b.file(newYear, "2,web,2")
	b.writes(t, p, "1,web,1", "2,web,2")
	pending, err = b.Pending(t.Context(), "shop")
	require.NoError(t, err)
	require.Empty(t, pending)
}

func TestABatchMayHaveANameOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := writing(pipeline.Append)
	for i, tc := range []struct {
		batch, row string
		rows       int
	}{{"monday", "1,web,1", 1}, {"tuesday", "2,web,1", 2}, {"monday", "3,web,1", 2}} {
		b.file(newYear, tc.row)
		spec := b.spec(p, newYear)
		spec.Batch = tc.batch
		built, err := b.Build(t.Context(), spec)
		require.NoError(t, err)
		b.expand(t, p)
		b.publish(t, swap(built[0].Generation, built[0].From))
		require.Len(t, b.rows(t), tc.rows, "batch %d", i)
	}
}

// A release whose SELECT reads no file does not say what is the same again.
func TestAnAppendWithoutAFileNeedsAName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := writing(pipeline.Append)
	p.Outputs[0].SQL = "SELECT 1::bigint AS order_id, @partition_start::date AS order_date, 'web' AS channel, 1::numeric(12,2) AS amount"
	_, err := b.Build(t.Context(), b.spec(p, newYear))
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.Contains(t, fault.HintOf(err), "--batch")
}

func TestALivePartitionThatIsTooLargeIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, mode := range []pipeline.WriteMode{pipeline.Merge, pipeline.Append} {
		b.file(newYear, fmt.Sprintf("%s,web,1", map[pipeline.WriteMode]string{pipeline.Merge: "1", pipeline.Append: "2"}[mode]))
		spec := b.spec(writing(mode), newYear)
		spec.MaxRewrite = 1
		built, err := b.Build(t.Context(), spec)
		if mode == pipeline.Merge { // nothing is live yet
			require.NoError(t, err)
			b.expand(t, spec.Pipeline)
			b.publish(t, swap(built[0].Generation, built[0].From))
			spec.Key = b.key()
			_, err = b.Build(t.Context(), spec)
		}
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, "max_rewrite_bytes is 1")
	}
}

func TestWhatIsBuiltTwiceIsTheSameInEveryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []pipeline.WriteMode{pipeline.Merge, pipeline.Append} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.file(newYear, "1,web,1")
			b.writes(t, writing(mode), "1,web,1")
			b.file(newYear, "2,web,2")
			spec := b.spec(writing(mode), newYear)
			spec.Twice = true
			built, err := b.Build(t.Context(), spec)
			require.NoError(t, err)
			again, err := b.TriedUnder(t.Context(), spec.Key.Again(), "fct_orders")
			require.NoError(t, err)
			require.Equal(t, built[0].Generation.Checksum, again.Checksum)
			require.EqualValues(t, 2, again.Rows)
		})
	}
}

// A turn-back builds only what was not there before: nothing of what is live is right then.
func TestWhatIsBuiltAnewKeepsNothing(t *testing.T) {
	t.Parallel()
	for _, mode := range []pipeline.WriteMode{pipeline.Merge, pipeline.Append} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.file(newYear, "1,web,1")
			b.writes(t, writing(mode), "1,web,1")
			b.file(newYear, "2,web,2")
			b.writes(t, writing(mode), "1,web,1", "2,web,2")
			spec := b.spec(writing(mode), newYear)
			spec.Anew = true
			built, err := b.Build(t.Context(), spec)
			require.NoError(t, err)
			b.publish(t, swap(built[0].Generation, built[0].From))
			require.Equal(t, []string{"2,web,2"}, b.rows(t))
		})
	}
}

// Another run's rows in one of two generations say nothing about the release that built the other.
func TestGenerationsThatKeepOtherRowsAreNotCompared(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := writing(pipeline.Merge)
	b.file(newYear, "1,web,1")
	live := b.writes(t, p, "1,web,1")
	b.file(newYear, "2,web,2")
	candidate := b.build(t, p, newYear)
	against := func(baseline int64, origin canary.Origin) error {
		_, err := b.Compare(t.Context(), warehouse.Comparison{
			Output: "fct_orders", Key: []string{"order_id"}, Baseline: baseline, Candidate: candidate.Generation.ID, Origin: origin, Active: "sha256:1.0.0",
		})
		return err
	}
	control := func() int64 {
		spec := b.spec(p, newYear)
		spec.Control = true
		built, err := b.Build(t.Context(), spec)
		require.NoError(t, err)
		return built[0].Generation.ID
	}
	require.NoError(t, against(live.ID, canary.Live))
	require.NoError(t, against(control(), canary.Control))
	b.file(newYear, "3,web,3")
	other := b.writes(t, p, "1,web,1", "3,web,3")
	for origin, baseline := range map[canary.Origin]int64{canary.Live: other.ID, canary.Control: control()} {
		err := against(baseline, origin)
		require.Equal(t, fault.Conflict, fault.ClassOf(err), "%s: %v", origin, err)
		require.ErrorContains(t, err, "another run has published in between")
	}
}

// Each of eight runs has built over the same live generation before the first of them publishes.
func TestRivalsOfOnePartitionLoseNothingAndAddNothingTwice(t *testing.T) {
	t.Parallel()
	for _, mode := range []pipeline.WriteMode{pipeline.Merge, pipeline.Append} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			const rivals = 8
			b := setup(t)
			p := writing(mode)
			b.file(newYear, "0,web,0")
			b.writes(t, p, "0,web,0")
			want := []string{"0,web,0"}
			var ready, done sync.WaitGroup
			ready.Add(rivals)
			errs, moved := make([]error, rivals), make([]int, rivals)
			for i := range rivals {
				row := fmt.Sprintf("%d,web,%d", i+1, i+1)
				want = append(want, row)
				done.Go(func() { moved[i], errs[i] = b.rival(t.Context(), p, row, &ready) })
			}
			done.Wait()
			total := 0
			for i := range rivals {
				require.NoError(t, errs[i])
				total += moved[i]
			}
			require.GreaterOrEqual(t, total, rivals-1, "they were meant to meet")
			require.ElementsMatch(t, want, b.rows(t))
		})
	}
}

// rival publishes one row, and builds again for as long as others are faster; it says how often they were. It waits for the others
// between its first build and its first publish.
func (b *bundle) rival(ctx context.Context, p *pipeline.Pipeline, row string, ready *sync.WaitGroup) (moved int, err error) {
	met := sync.OnceFunc(func() { ready.Done(); ready.Wait() })
	defer met()
	for {
		spec := b.spec(p, newYear)
		spec.Open = only(io.NopCloser(strings.NewReader(dayOf(newYear, row))))
		built, err := b.Build(ctx, spec)
		if err != nil {
			return moved, err
		}
		met()
		result, err := b.attempt(ctx, b.patient(swap(built[0].Generation, built[0].From)), beat)
		switch {
		case err != nil:
			return moved, err
		case result.Done:
			return moved, nil
		case result.WaitingFor == generation.ForOthers:
			moved++
		}
	}
}

func TestReadersOfTwoOutputsNeverSeeAMixWhileBothAreMerged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := mart("1.0.0")
	p.Config.WriteMode = pipeline.Merge
	p.Outputs = p.Outputs[:2]
	write := func(amount int) {
		b.orders(newYear, 10, amount)
		b.publish(t, b.swaps(t, p, newYear)...)
	}
	write(1)
	ctx, stop := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	mixes := make([]int, 2)
	for i, query := range []string{
		`SELECT count(*) FROM fct_orders f FULL JOIN agg_orders a USING (channel) WHERE f.amount IS DISTINCT FROM a.amount`,
		`SELECT count(*) FROM agg_orders a FULL JOIN fct_orders f USING (channel) WHERE f.amount IS DISTINCT FROM a.amount`,
	} {
		readers.Go(func() {
			for ctx.Err() == nil {
				var mixed int
				if err := b.db.Pool.QueryRow(ctx, query).Scan(&mixed); err == nil {
					mixes[i] += mixed
				}
			}
		})
	}
	for amount := range 5 {
		write(amount + 2)
	}
	stop()
	readers.Wait()
	require.Equal(t, []int{0, 0}, mixes)
}

// What an author writes runs under the author's login in every mode, also the condition of a delete.
func TestAMergeRunsUnderTheLoginOfItsAuthor(t *testing.T) {
	t.Parallel()
	b, _ := authored(t)
	p := deleting(versioned(writing(pipeline.Merge)))
	b.file(newYear, "1,web,1", "2,web,1")
	live := b.writes(t, p, "1,web,1", "2,web,1")
	b.file(newYear, "2,cancelled,2", "3,web,3")
	for _, statement := range []string{
		"DELETE FROM " + b.child(live.ID), "INSERT INTO " + b.child(live.ID) + " SELECT * FROM " + b.child(live.ID),
		"UPDATE " + b.db.Schema + "__ledger.generation SET audit = ''pass''",
	} {
		hostile := versioned(writing(pipeline.Merge))
		hostile.Outputs[0].DeleteWhen = fmt.Sprintf("run('%s') > 0", statement)
		_, err := b.Build(t.Context(), b.spec(hostile, newYear))
		require.ErrorContains(t, err, "42501", statement)
	}
	for _, mode := range []pipeline.WriteMode{pipeline.Merge, pipeline.Append} {
		built, err := b.Build(t.Context(), b.spec(writing(mode), newYear))
		if mode == pipeline.Append {
			require.ErrorContains(t, err, "repeats")
			continue
		}
		require.NoError(t, err)
		require.EqualValues(t, 3, built[0].Generation.Rows)
	}
	b.writes(t, p, "1,web,1", "3,web,3")
}
