package e2e_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
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

const renamedChannel = `table: sales
why: the name is short
operations:
  - rename_column: {column: chan, to: channel}
consumers:
  - {name: bi, must_ack: true}
deprecate: {window: 1s}
`

func migratedID() string { return workflows.MigrationID("shop", "dev", "0001_channel") }

// shape is what the catalog says of a table: its columns, constraints and triggers, and the functions beside the ledger.
func (w *world) shape(schema, table string) []string {
	w.t.Helper()
	return w.texts(`
		SELECT format('column %s %s %s %s', attname, format_type(atttypid, atttypmod), attnotnull, col_description(attrelid, attnum))
		FROM pg_attribute WHERE attrelid = to_regclass($1 || '.' || $2) AND attnum > 0 AND NOT attisdropped
		UNION ALL SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = to_regclass($1 || '.' || $2) AND contype <> 'n'
		UNION ALL SELECT format('trigger %s', tgname) FROM pg_trigger WHERE tgrelid = to_regclass($1 || '.' || $2)
		UNION ALL SELECT format('function %s', proname) FROM pg_proc WHERE pronamespace = to_regnamespace($1 || '__ledger') AND proname ILIKE '%channel%'
		ORDER BY 1`, schema, table)
}

// Whatever kills its worker in the middle of a backfill, a cancelled migration leaves the table as it was.
func TestAMigrationThatIsKilledAndCancelledLeavesTheTableAsItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.worker("first", "--env", "dev", "--workflows")
	release := w.sales(renamedChannel)
	before := w.shape("shop_dev", "sales")
	id := migratedID()

	w.cli(0, "migrate", "plan", release, "--env", "dev") // which makes the ledger
	h := w.holdIn("shop_dev", "migration_cursor", "NEW.rows >= 10000 AND NOT NEW.done")
	w.cli(0, "migrate", "start", release, "0001", "--env", "dev", "--reason", "a better name", "--detach")
	h.reached()
	brought := w.number(`SELECT count(*) FROM shop_dev.sales WHERE channel IS NOT NULL`)
	require.Positive(t, brought)
	require.Less(t, brought, migratedRows)
	require.NotEqual(t, before, w.shape("shop_dev", "sales"))
	first.kill()
	h.release()
	w.cli(0, "cancel", id)
	w.worker("second", "--env", "dev", "--workflows")
	w.await("its end", func() bool { return w.status(id).Stage.Finished() })
	s := w.status(id)
	require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
	require.Equal(t, before, w.shape("shop_dev", "sales"))
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
		needs := slices.DeleteFunc(g.Verdict.Evidence, func(e gate.Evidence) bool { return e.Outcome == gate.None })
		require.Len(t, needs, 1, "what the migration itself has made is nobody who needs the old shape: %v", needs)
	}
	atContract()
	require.Contains(t, w.cli(3, "migrate", "rollback", id, "--reason", "not after all").out, "rolled back")
	require.Equal(t, before, w.shape("shop_dev", "sales"))

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
	for _, line := range w.shape("shop_dev", "sales") {
		require.NotContains(t, line, "chan ")
		require.NotContains(t, line, "trigger")
		require.NotContains(t, line, "function")
	}
	require.Contains(t, w.shape("shop_dev", "sales"), "column channel text t where it was sold", "the comment is carried, and NOT NULL")
	require.NotZero(t, w.try("cancel", id).code, "it is over")
}

// Whoever terminates its workflow does not prolong the deprecation window: the same command goes on with what is left of it.
func TestATerminatedMigrationGoesOnWithWhatIsLeftOfItsWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	release := w.sales(strings.Replace(renamedChannel, "window: 1s", "window: 1h", 1))
	before := w.shape("shop_dev", "sales")
	id := migratedID()
	until := func() time.Time {
		w.cli(0, "migrate", "start", release, "0001", "--env", "dev", "--reason", "a better name", "--detach")
		var s status
		w.await("the deprecation window", func() bool {
			s = w.status(id)
			return s.Migration != nil && s.Migration.Until != nil
		})
		require.Equal(t, workflows.StageWatching, s.Stage, s.Sentence)
		return *s.Migration.Until
	}
	first := until()
	require.NoError(t, w.temporal.TerminateWorkflow(t.Context(), id, "", "somebody was in a hurry"))
	require.Equal(t, first, until())
	require.Contains(t, w.cli(3, "migrate", "rollback", id, "--reason", "not after all").out, "rolled back")
	require.Equal(t, before, w.shape("shop_dev", "sales"))
}
