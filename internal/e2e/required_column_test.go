package e2e_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// customerRows are those of the example's table.
const customerRows = 20_000

// customers makes the table of examples/required-column as the example does, and its release.
func (w *world) customers() (release string) {
	w.t.Helper()
	example := filepath.Join("..", "..", "examples", "required-column")
	require.NoError(w.t, os.CopyFS(w.path("required-column"), os.DirFS(example)))
	sql, err := os.ReadFile(filepath.Join(example, "customers.sql"))
	require.NoError(w.t, err)
	_, err = w.db.Exec(w.t.Context(), "CREATE SCHEMA accounts_dev; SET search_path TO accounts_dev;\n"+string(sql)+"RESET search_path;")
	require.NoError(w.t, err)
	w.cli(0, "build", "required-column")
	return "accounts@1.0.0"
}

// traffic is what others do with the table all the while.
type traffic struct {
	reads, writes atomic.Int64
	// aware says that writers give the new column a value.
	aware atomic.Bool
	// stale counts how often Postgres wanted a prepared SELECT * to be prepared anew.
	stale atomic.Int64
}

// around has three consumers read the table and two programs write it, until the returned function is called: that asserts that none of
// them got an error.
func (x *traffic) around(w *world) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var group sync.WaitGroup
	wrong := make(chan error, 5)
	over := func(count *atomic.Int64, do func(n int64) error) {
		group.Go(func() {
			for ctx.Err() == nil {
				if err := do(count.Add(1)); err != nil && ctx.Err() == nil {
					wrong <- err
					return
				}
			}
		})
	}
	var rows, sum int64
	over(&x.reads, func(int64) error { // bi
		return w.db.QueryRow(ctx, `SELECT count(*), count(DISTINCT store_id) FROM accounts_dev.customers`).Scan(&rows, &sum)
	})
	over(&x.reads, func(n int64) error { // finance
		var turnover string
		return w.db.QueryRow(ctx, `SELECT turnover::text FROM accounts_dev.customers WHERE id = $1`, 1+n%customerRows).Scan(&turnover)
	})
	crm, err := pgx.Connect(ctx, w.url)
	require.NoError(w.t, err)
	require.NoError(w.t, prepareAll(ctx, crm))
	over(&x.reads, func(n int64) error {
		found, err := crm.Query(ctx, "all", 1+n%customerRows)
		if err != nil {
			return err
		}
		_, err = pgx.CollectOneRow(found, pgx.RowToMap)
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Message == "cached plan must not change result type" {
			x.stale.Add(1)
			return prepareAll(ctx, crm)
		}
		return err
	})
	for writer := range int64(2) {
		over(&x.writes, func(n int64) error {
			sql := `INSERT INTO accounts_dev.customers (id, name, created_on) VALUES ($1, 'new', '2026-01-01')`
			if x.aware.Load() {
				sql = `INSERT INTO accounts_dev.customers (id, name, created_on, channel) VALUES ($1, 'new', '2026-01-01', 'app')`
			}
			if _, err := w.db.Exec(ctx, sql, customerRows+n); err != nil {
				return err
			}
			_, err := w.db.Exec(ctx, `UPDATE accounts_dev.customers SET turnover = turnover + $2 WHERE id = $1`, 1+n%customerRows, writer)
			return err
		})
	}
	end := sync.OnceFunc(func() {
		cancel()
		group.Wait()
		_ = crm.Close(context.Background())
	})
	w.t.Cleanup(end)
	return func() {
		w.t.Helper()
		end()
		close(wrong)
		for err := range wrong {
			require.NoError(w.t, err, "somebody noticed the migration")
		}
		require.Greater(w.t, x.reads.Load(), int64(3))
		require.Greater(w.t, x.writes.Load(), int64(2))
	}
}

// prepareAll prepares a query of all columns, as many programs do.
func prepareAll(ctx context.Context, crm *pgx.Conn) error {
	if err := crm.DeallocateAll(ctx); err != nil {
		return err
	}
	_, err := crm.Prepare(ctx, "all", `SELECT * FROM accounts_dev.customers WHERE id = $1`)
	return err
}

// A required column comes to a table that others read and write all the while, and none of them notices: the example, as it is told.
func TestARequiredColumnComesToATableThatOthersReadAndWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	release := w.customers()
	var x traffic
	stop := x.around(w)

	plan := w.cli(0, "migrate", "plan", release, "--env", "dev").out
	require.Contains(t, plan, "channel")
	require.Contains(t, w.cli(0, "migrate", "plan", release, "0001", "--env", "dev", "--format", "md").out, "channel")

	said := w.cli(0, "migrate", "start", release, "--env", "dev", "--reason", "channels", "--detach")
	require.Contains(t, said.out+said.err, "0001_channel", "it says which is the first")
	id := workflows.MigrationID("accounts", "dev", "0001_channel")
	w.await("the deprecation window", func() bool {
		s := w.status(id)
		return s.Migration != nil && s.Migration.Until != nil
	})
	require.Contains(t, w.cli(0, "migrate", "ack", id, "--consumer", "bi", "--as", "bob").out, "bi is ready")
	require.Contains(t, w.cli(0, "migrate", "ack", id, "--consumer", "crm", "--as", "carla").out, "crm is ready")
	require.NotZero(t, w.try("migrate", "ack", id, "--consumer", "marketing", "--as", "eve").code)
	w.await("the brownout waits", func() bool {
		return strings.Contains(w.status(id).Sentence, "the brownout waits: finance has not said that it is ready")
	})
	x.aware.Store(true)
	w.cli(0, "migrate", "ack", id, "--consumer", "finance", "--as", "fred", "--reason", "we give it")
	w.await("the contract gate", func() bool {
		_, open := w.status(id).Open()
		return open
	})
	require.Regexp(t, `brownout was held for [1-9][0-9]*s`, w.cli(4, "status", id).out)
	tried := w.status(id).Migration.Brownout
	require.True(t, tried.Held)
	require.GreaterOrEqual(t, tried.Until.Sub(tried.Since), time.Second)
	g, _ := w.status(id).Open()
	require.Equal(t, gate.ContractOf("dev"), g.Name)
	inbox := w.cli(0, "inbox").out
	require.Contains(t, inbox, "point of no return")
	w.cli(0, "approve", id, "--reason", "all three are ready")
	w.await("its end", func() bool { return w.status(id).Stage.Finished() })
	s := w.status(id)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	for _, e := range s.Events {
		require.NotContains(t, e.Text, "left for the next time", "it is stated that it is verified and switched")
	}
	stop()
	require.EqualValues(t, 1, x.stale.Load(), "a prepared SELECT * is prepared anew when the column comes, and at no other time")

	shape := w.shape("accounts_dev", "customers")
	require.Contains(t, shape, "column channel text t ")
	for _, line := range shape {
		require.NotContains(t, line, "trigger")
		require.NotContains(t, line, "function")
	}
	require.Zero(t, w.number(`SELECT count(*) FROM accounts_dev.customers WHERE channel IS NULL`))
	require.Zero(t, w.number(`SELECT count(*) FROM accounts_dev.customers WHERE id <= $1 AND channel <> CASE WHEN store_id IS NULL THEN 'web' ELSE 'store' END`, customerRows))
	w.record(id, "done")
	again := w.try("migrate", "start", release, "0001", "--env", "dev", "--reason", "again")
	require.Equal(t, 2, again.code, again.out+again.err)
	require.Contains(t, again.out+again.err, "it is done in dev")
	require.Contains(t, w.cli(0, "migrate", "start", release, "--env", "dev", "--reason", "again").out, "nothing to do")
}
