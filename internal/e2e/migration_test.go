package e2e_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

const migratedRows = 20_000

// sales makes a table that no pipeline makes, and a release with a migration of it.
func (w *world) sales(migration string) (release string) {
	w.t.Helper()
	_, err := w.db.Exec(w.t.Context(), `
		CREATE SCHEMA shop_dev;
		CREATE TABLE shop_dev.sales (id bigint PRIMARY KEY, amount int NOT NULL, chan text NOT NULL DEFAULT 'web');
		COMMENT ON COLUMN shop_dev.sales.chan IS 'where it was sold';`)
	require.NoError(w.t, err)
	_, err = w.db.Exec(w.t.Context(), `INSERT INTO shop_dev.sales SELECT i, i % 20, 'web' FROM generate_series(1, $1::int) AS i`, migratedRows)
	require.NoError(w.t, err)
	_, err = w.db.Exec(w.t.Context(), `VACUUM ANALYZE shop_dev.sales`)
	require.NoError(w.t, err)
	folder := w.folder("1.0.0")
	w.write(folder+"/migrations/0001_channel.yaml", migration)
	w.cli(0, "build", folder)
	return "shop@1.0.0"
}

const requiredChannel = `table: sales
why: the shop sells in several channels
operations:
  - add_column: {column: channel, type: text, required: true, up: "CASE WHEN amount > 10 THEN 'web' ELSE 'shop' END"}
consumers:
  - {name: bi, must_ack: true}
  - {name: ops, must_ack: true}
deprecate: {window: 2s}
`

const renamedChannel = `table: sales
why: the name is short
operations:
  - rename_column: {column: chan, to: channel}
consumers:
  - {name: bi, must_ack: true}
deprecate: {window: 1s}
`

func migratedID() string { return workflows.MigrationID("shop", "dev", "0001_channel") }

// shape is what the catalog says of the table: its columns, constraints and triggers, and the functions beside the ledger.
func (w *world) shape() []string {
	w.t.Helper()
	return w.texts(`
		SELECT format('column %s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum))
		FROM pg_attribute WHERE attrelid = 'shop_dev.sales'::regclass AND attnum > 0 AND NOT attisdropped
		UNION ALL SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = 'shop_dev.sales'::regclass AND contype <> 'n'
		UNION ALL SELECT format('trigger %s', tgname) FROM pg_trigger WHERE tgrelid = 'shop_dev.sales'::regclass
		UNION ALL SELECT format('function %s', proname) FROM pg_proc WHERE pronamespace = to_regnamespace('shop_dev__ledger') AND proname ILIKE '%channel%'
		ORDER BY 1`)
}

// traffic reads and writes the table over and over, until the returned function is called: that asserts that nobody got an error. Writers
// give the new column a value once they are told to.
func (w *world) traffic(aware *atomic.Bool) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	var group sync.WaitGroup
	wrong := make(chan error, 5)
	var reads, writes atomic.Int64
	over := func(count *atomic.Int64, do func(n int64) error) {
		group.Go(func() {
			for ctx.Err() == nil {
				err := do(count.Add(1))
				if err != nil && ctx.Err() == nil {
					wrong <- err
					return
				}
			}
		})
	}
	for range 3 {
		over(&reads, func(int64) error {
			var rows, sum int64
			return w.db.QueryRow(ctx, `SELECT count(*), sum(amount) FROM shop_dev.sales WHERE chan <> ''`).Scan(&rows, &sum)
		})
	}
	for range 2 {
		over(&writes, func(n int64) error {
			sql := `INSERT INTO shop_dev.sales (id, amount) VALUES ($1, 7)`
			if aware.Load() {
				sql = `INSERT INTO shop_dev.sales (id, amount, channel) VALUES ($1, 7, 'app')`
			}
			if _, err := w.db.Exec(ctx, sql, migratedRows+n); err != nil {
				return err
			}
			_, err := w.db.Exec(ctx, `UPDATE shop_dev.sales SET amount = amount + 1 WHERE id = $1`, 1+n%migratedRows)
			return err
		})
	}
	w.t.Cleanup(cancel)
	return func() {
		w.t.Helper()
		cancel()
		group.Wait()
		close(wrong)
		for err := range wrong {
			require.NoError(w.t, err, "somebody noticed the migration")
		}
		require.Greater(w.t, reads.Load(), int64(3))
		require.Greater(w.t, writes.Load(), int64(2))
	}
}

// A required column comes to a table that others read and write all the while, and none of them notices.
func TestARequiredColumnComesToATableThatOthersReadAndWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	release := w.sales(requiredChannel)
	var aware atomic.Bool
	stop := w.traffic(&aware)

	plan := w.cli(0, "migrate", "plan", release, "--env", "dev").out
	require.Contains(t, plan, "channel")
	require.Contains(t, w.cli(0, "migrate", "plan", release, "0001", "--env", "dev", "--format", "md").out, "channel")

	said := w.cli(0, "migrate", "start", release, "--env", "dev", "--reason", "channels", "--detach")
	require.Contains(t, said.out+said.err, "0001_channel", "it says which is the first")
	id := migratedID()
	w.await("the deprecation window", func() bool {
		s := w.status(id)
		return s.Migration != nil && s.Migration.Until != nil
	})
	require.Contains(t, w.cli(0, "migrate", "ack", id, "--consumer", "bi", "--as", "bob").out, "bi is ready")
	require.NotZero(t, w.try("migrate", "ack", id, "--consumer", "marketing", "--as", "eve").code)
	w.await("the contract gate", func() bool {
		_, open := w.status(id).Open()
		return open
	})
	inbox := w.cli(0, "inbox").out
	require.Contains(t, inbox, "ops has not said that it is ready")
	require.Contains(t, inbox, "point of no return")
	w.cli(0, "migrate", "ack", id, "--consumer", "ops", "--as", "olga", "--reason", "we give it")
	aware.Store(true)
	w.cli(0, "approve", id, "--reason", "everybody is ready")
	w.await("its end", func() bool { return w.status(id).Stage.Finished() })
	s := w.status(id)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	for _, e := range s.Events {
		require.NotContains(t, e.Text, "left for the next time", "it is stated that it is verified and switched")
	}
	stop()

	require.Contains(t, w.shape(), "column channel text t ")
	for _, line := range w.shape() {
		require.NotContains(t, line, "trigger")
		require.NotContains(t, line, "function")
	}
	require.Zero(t, w.number(`SELECT count(*) FROM shop_dev.sales WHERE channel IS NULL`))
	require.Zero(t, w.number(`SELECT count(*) FROM shop_dev.sales WHERE id <= $1 AND amount < 10 AND channel <> 'shop'`, migratedRows))
	w.record(id, "done")
	again := w.try("migrate", "start", release, "0001", "--env", "dev", "--reason", "again")
	require.Equal(t, 2, again.code, again.out+again.err)
	require.Contains(t, again.out+again.err, "it is done in dev")
	require.Contains(t, w.cli(0, "migrate", "start", release, "--env", "dev", "--reason", "again").out, "nothing to do")
}

// Whatever kills its worker in the middle of a backfill, a cancelled migration leaves the table as it was.
func TestAMigrationThatIsKilledAndCancelledLeavesTheTableAsItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.worker("first", "--env", "dev", "--workflows")
	release := w.sales(renamedChannel)
	before := w.shape()
	id := migratedID()

	w.cli(0, "migrate", "plan", release, "--env", "dev") // which makes the ledger
	h := w.holdIn("shop_dev", "migration_cursor", "NEW.rows >= 10000 AND NOT NEW.done")
	w.cli(0, "migrate", "start", release, "0001", "--env", "dev", "--reason", "a better name", "--detach")
	h.reached()
	brought := w.number(`SELECT count(*) FROM shop_dev.sales WHERE channel IS NOT NULL`)
	require.Positive(t, brought)
	require.Less(t, brought, migratedRows)
	require.NotEqual(t, before, w.shape())
	first.kill()
	h.release()
	w.cli(0, "cancel", id)
	w.worker("second", "--env", "dev", "--workflows")
	w.await("its end", func() bool { return w.status(id).Stage.Finished() })
	s := w.status(id)
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
	require.Equal(t, before, w.shape())
	require.Equal(t, migratedRows, w.number(`SELECT count(*) FROM shop_dev.sales WHERE chan = 'web'`))
	require.Equal(t, []string{"rolled_back"}, w.texts(`SELECT outcome FROM shop_dev__ledger.migration`))
	w.record(id, "rolled_back")

	// The same command begins it anew, and it goes back at the last moment too.
	atContract := func() {
		w.cli(0, "migrate", "start", release, "0001", "--env", "dev", "--reason", "once more", "--detach")
		w.await("the contract gate", func() bool {
			g, open := w.status(id).Open()
			return open && g.Name == "contract-dev"
		})
		require.Zero(t, w.number(`SELECT count(*) FROM shop_dev.sales WHERE channel IS DISTINCT FROM chan`))
		g, _ := w.status(id).Open()
		require.Len(t, g.Verdict.Evidence, 1, "what the migration itself has made is nobody who needs the old shape: %v", g.Verdict.Evidence)
	}
	atContract()
	require.Contains(t, w.cli(3, "migrate", "rollback", id, "--reason", "not after all").out, "rolled back")
	require.Equal(t, before, w.shape())

	atContract()
	w.cli(0, "migrate", "ack", id, "--consumer", "bi", "--as", "bob")
	past := w.holdIn("shop_dev", "effect", "NEW.key LIKE '%/migrate-contract-%'")
	w.cli(0, "approve", id, "--reason", "bi is ready")
	past.reached()
	for _, late := range [][]string{{"cancel", id}, {"migrate", "rollback", id, "--reason", "too late"}} {
		said := w.cli(2, late...)
		require.Contains(t, said.out+said.err, "point of no return")
	}
	past.release()
	require.Equal(t, workflows.StageDone, w.tbOver(id).Stage)
	require.Equal(t, migratedRows, w.number(`SELECT count(*) FROM shop_dev.sales WHERE channel = 'web'`))
	for _, line := range w.shape() {
		require.NotContains(t, line, "chan ")
		require.NotContains(t, line, "trigger")
		require.NotContains(t, line, "function")
	}
	require.Contains(t, w.shape(), "column channel text t where it was sold", "the comment is carried, and NOT NULL")
	require.NotZero(t, w.try("cancel", id).code, "it is over")
}
