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

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/source"
	"drawbridge/internal/warehouse"
)

const (
	wholeFile = "orders.csv"
	perDay    = 10
)

// uncut is the shop, whose orders of all days come in one file.
func uncut() *pipeline.Pipeline {
	p := shop()
	p.Loads[0].File = wholeFile
	return p
}

// whole writes that file: orders of three days, of this amount each.
func (b *bundle) whole(amount int) {
	var file strings.Builder
	file.WriteString("order_id,ordered_at,channel,amount\n")
	for day := range 3 {
		for i := range perDay {
			fmt.Fprintf(&file, "%d,2026-01-%02d 10:00:00+00,web,%d.50\n", 100*day+i, day+1, amount)
		}
	}
	b.files[wholeFile] = file.String()
}

var threeDays = []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}

// counted is a spec whose opens are counted.
func (b *bundle) counted(p *pipeline.Pipeline, key partition.Key, opens *atomic.Int64) warehouse.BuildSpec {
	spec := b.spec(p, key)
	spec.Open = func(ctx context.Context, load pipeline.Load, key partition.Key) ([]source.File, error) {
		opens.Add(1)
		return b.open(ctx, load, key)
	}
	return spec
}

// landings says in which states the landings are.
func (b *bundle) landings(t *testing.T) []string {
	t.Helper()
	rows, err := b.db.Pool.Query(t.Context(), `SELECT state FROM `+b.db.Schema+`__ledger.landing ORDER BY id`)
	require.NoError(t, err)
	states, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return states
}

// tables counts the tables of landings that are there.
func (b *bundle) tables(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(),
		`SELECT count(*) FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relname ~ '^l\d+$' AND relkind = 'r'`, b.db.Schema+"__data").Scan(&n))
	return n
}

// sums are rows and amounts of what was built, by partition.
func (b *bundle) amounts(t *testing.T, g generation.Generation) string {
	t.Helper()
	var line string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) || ' × ' || max(amount) FROM `+b.child(g.ID)).Scan(&line))
	return line
}

func TestAFileOfManyPartitionsIsLoadedOnceForAllBuildsOfAWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	var opens atomic.Int64
	type answer struct {
		built []warehouse.BuiltOutput
		err   error
	}
	answers := make(chan answer, len(threeDays))
	for _, key := range threeDays {
		spec := b.counted(uncut(), key, &opens)
		go func() {
			built, err := b.Build(context.WithoutCancel(t.Context()), spec)
			answers <- answer{built, err}
		}()
	}
	for range threeDays {
		a := <-answers
		require.NoError(t, a.err)
		require.Equal(t, "10 × 1.50", b.amounts(t, a.built[0].Generation))
	}
	require.EqualValues(t, 1, opens.Load())
	require.Equal(t, []string{"loaded"}, b.landings(t))
}

// Lanes and retries of a workflow build from the same rows, whatever becomes of the file. A later round reads it again: it is
// asked for because the world has moved, or a person has mended the file.
func TestAFileThatChangesMeanwhileChangesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	var opens atomic.Int64
	first, err := b.Build(t.Context(), b.counted(uncut(), "2026-01-01", &opens))
	require.NoError(t, err)
	b.whole(2)
	second, err := b.Build(t.Context(), b.counted(uncut(), "2026-01-02", &opens))
	require.NoError(t, err)
	require.Equal(t, "10 × 1.50", b.amounts(t, second[0].Generation))
	require.Equal(t, first[0].Generation.Inputs, second[0].Generation.Inputs)

	again := b.counted(uncut(), "2026-01-02", &opens)
	again.Key.Round = 1
	third, err := b.Build(t.Context(), again)
	require.NoError(t, err)
	require.Equal(t, "10 × 2.50", b.amounts(t, third[0].Generation))
	require.EqualValues(t, 2, opens.Load())
}

// A control of another release reads the file as that release does.
func TestReleasesThatReadAFileDifferentlyShareNoLanding(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	_, err := b.Build(t.Context(), b.spec(uncut(), "2026-01-01"))
	require.NoError(t, err)
	other := uncut()
	other.Loads[0].Columns[2].Type = "numeric(12,1)"
	built, err := b.Build(t.Context(), b.spec(other, "2026-01-02"))
	require.NoError(t, err)
	require.Equal(t, "10 × 1.5", b.amounts(t, built[0].Generation))
	require.Equal(t, []string{"loaded", "loaded"}, b.landings(t))
}

func TestALandingThatACrashHasEmptiedIsLoadedAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	var opens atomic.Int64
	_, err := b.Build(t.Context(), b.counted(uncut(), "2026-01-01", &opens))
	require.NoError(t, err)
	b.db.Exec(t, `TRUNCATE `+b.db.Schema+`__data.l1`) // as crash recovery does
	second, err := b.Build(t.Context(), b.counted(uncut(), "2026-01-02", &opens))
	require.NoError(t, err)
	require.Equal(t, "10 × 1.50", b.amounts(t, second[0].Generation))
	require.EqualValues(t, 2, opens.Load())
	require.Equal(t, []string{"over", "loaded"}, b.landings(t))

	b.db.Exec(t, `TRUNCATE `+b.db.Schema+`__data.l2`)
	b.whole(2)
	_, err = b.Build(t.Context(), b.counted(uncut(), "2026-01-03", &opens))
	require.Equal(t, fault.Conflict, fault.ClassOf(err), err)
	require.ErrorContains(t, err, wholeFile)
	require.Equal(t, []string{"over", "over", "over"}, b.landings(t))
}

func TestAnEmptyFileIsNotTakenForACrash(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.files[wholeFile] = "order_id,ordered_at,channel,amount\n"
	var opens atomic.Int64
	for _, key := range threeDays[:2] {
		built, err := b.Build(t.Context(), b.counted(uncut(), key, &opens))
		require.NoError(t, err)
		require.Zero(t, built[0].Generation.Rows)
	}
	require.EqualValues(t, 1, opens.Load())
}

// The others wait for whoever loads, and go on when that one is gone, however it went.
func TestALoaderThatDiesStopsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	head, rest, _ := strings.Cut(b.files[wholeFile], "\n")
	file := &stalled{head: strings.NewReader(head + "\n"), rest: strings.NewReader(rest), reached: make(chan struct{}), resume: make(chan struct{})}
	reached := file.reached
	dying := b.spec(uncut(), "2026-01-01")
	dying.Open = only(file)
	died := make(chan error, 1)
	go func() {
		_, err := b.Build(context.WithoutCancel(t.Context()), dying)
		died <- err
	}()
	<-reached
	waits := make(chan error, 1)
	spec := b.spec(uncut(), "2026-01-02")
	go func() {
		_, err := b.Build(context.WithoutCancel(t.Context()), spec)
		waits <- err
	}()
	b.db.Exec(t, `SELECT pg_terminate_backend(backend_pid) FROM `+b.db.Schema+`__ledger.landing`)
	require.NoError(t, <-waits)
	close(file.resume)
	require.Error(t, <-died)
	require.Equal(t, []string{"over", "loaded"}, b.landings(t))
}

// The session of a worker that was stopped lives, and nothing more comes of it.
func TestALoaderThatIsSilentStopsNobody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	head, rest, _ := strings.Cut(b.files[wholeFile], "\n")
	file := &stalled{head: strings.NewReader(head + "\n"), rest: strings.NewReader(rest), reached: make(chan struct{}), resume: make(chan struct{})}
	reached := file.reached
	silent := b.spec(uncut(), "2026-01-01")
	silent.Open = only(file)
	failed, waits := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := b.Build(context.WithoutCancel(t.Context()), silent)
		failed <- err
	}()
	<-reached
	spec := b.spec(uncut(), "2026-01-02")
	go func() {
		_, err := b.Build(context.WithoutCancel(t.Context()), spec)
		waits <- err
	}()
	require.Eventually(t, func() bool {
		b.db.Exec(t, `UPDATE `+b.db.Schema+`__ledger.landing SET at = at - interval '1 minute' WHERE id = 1 AND state = 'loading'`)
		return len(waits) == 1
	}, time.Minute, 20*time.Millisecond)
	require.NoError(t, <-waits)
	close(file.resume)
	require.Error(t, <-failed, "it was given up")
	require.Equal(t, []string{"over", "loaded"}, b.landings(t))
}

func TestAFileThatCannotBeLoadedFailsEveryBuildAndLeavesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.files[wholeFile] = "order_id,ordered_at,channel,amount\nsecret,2026-01-01 10:00:00+00,web,1\n"
	for _, key := range threeDays[:2] {
		_, err := b.Build(t.Context(), b.spec(uncut(), key))
		require.Equal(t, fault.Invalid, fault.ClassOf(err), err)
		require.ErrorContains(t, err, "line 2")
		require.NotContains(t, err.Error(), "secret")
	}
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Zero(t, b.tables(t))
}

func TestALandingGoesWithItsWorkflow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	b.build(t, uncut(), "2026-01-01")
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Equal(t, 1, b.tables(t), "its workflow is open")

	reader := b.begin(t, pgx.TxOptions{})
	_, err := reader.Exec(t.Context(), `SELECT count(*) FROM `+b.db.Schema+`__data.l1`)
	require.NoError(t, err)
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	require.Error(t, b.Housekeep(t.Context(), time.Hour))
	require.Equal(t, 1, b.tables(t), "a build that comes late still reads it")
	require.NoError(t, reader.Rollback(t.Context()))
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Zero(t, b.tables(t))
	require.Equal(t, []string{"dropped"}, b.landings(t))
}

func TestALandingOfAStoppedOrForgottenWorkflowGoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.whole(1)
	b.build(t, uncut(), "2026-01-01")
	b.db.Exec(t, `UPDATE `+b.db.Schema+`__ledger.landing SET at = now() - interval '15 days'`)
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Zero(t, b.tables(t), "nobody has used it for two weeks")

	b.build(t, uncut(), "2026-01-02")
	b.db.Exec(t, `INSERT INTO `+b.db.Schema+`__ledger.fence (owner, reason) VALUES ('`+string(b.owner)+`', 'stopped')`)
	require.NoError(t, b.Housekeep(t.Context(), time.Hour))
	require.Zero(t, b.tables(t), "it was stopped")
}

// An author's SQL runs while others of the same workflow read the same rows.
func TestAnAuthorCannotChangeWhatIsLoadedForAll(t *testing.T) {
	t.Parallel()
	b, _ := authored(t)
	b.whole(1)
	hostile := running(`DELETE FROM ` + b.db.Schema + `__data.l1`)
	hostile.Loads[0].File = wholeFile
	_, err := b.Build(t.Context(), b.spec(hostile, "2026-01-01"))
	require.ErrorContains(t, err, "42501")
	hostile = running(`INSERT INTO ` + b.db.Schema + `__data.l1 DEFAULT VALUES`)
	hostile.Loads[0].File = wholeFile
	_, err = b.Build(t.Context(), b.spec(hostile, "2026-01-01"))
	require.ErrorContains(t, err, "42501")
	built, err := b.Build(t.Context(), b.spec(uncut(), "2026-01-02"))
	require.NoError(t, err)
	require.Equal(t, "10 × 1.50", b.amounts(t, built[0].Generation))
}

func TestALandingHasTypesOfTheAuthorsSchema(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TYPE channel AS ENUM ('web', 'shop')`)
	b.whole(1)
	p := uncut()
	p.Loads[0].Columns = append(p.Loads[0].Columns, pipeline.Column{Name: "channel", Type: "channel"})
	built, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
	require.NoError(t, err)
	require.Equal(t, "10 × 1.50", b.amounts(t, built[0].Generation))
}
