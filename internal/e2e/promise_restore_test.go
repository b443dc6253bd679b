package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// srvProgram is a program of Postgres, of the server's own version where the server is of this machine. A Postgres that the local
// stack has fetched comes without: then there is nothing to restore with.
func (w *world) srvProgram(name string) string {
	w.t.Helper()
	admin, err := pgx.Connect(w.t.Context(), os.Getenv(superuserURL))
	require.NoError(w.t, err)
	defer func() { _ = admin.Close(w.t.Context()) }()
	var folder string
	require.NoError(w.t, admin.QueryRow(w.t.Context(), `SELECT setting FROM pg_config WHERE name = 'BINDIR'`).Scan(&folder))
	if program, err := exec.LookPath(filepath.Join(folder, name)); err == nil {
		return program
	}
	program, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "" {
		w.t.Skipf("%s is neither beside the server's programs, in %s, nor on the PATH", name, folder)
	}
	require.NoError(w.t, err)
	return program
}

// srvDump writes all that is in dev into a file, as people back up their schemas.
func (w *world) srvDump(name string) {
	w.t.Helper()
	out, err := exec.CommandContext(w.t.Context(), w.srvProgram("pg_dump"), "--dbname", w.url, "--schema", "shop_dev*", "--file", w.path(name)).CombinedOutput()
	require.NoError(w.t, err, string(out))
}

// srvRestore puts back what was in dev, in one transaction: everything is as it was, and nothing has the number it had.
func (w *world) srvRestore(name string) {
	w.t.Helper()
	body, err := os.ReadFile(w.path(name))
	require.NoError(w.t, err)
	var drop strings.Builder
	for _, schema := range w.texts(`SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'shop\_dev%'`) {
		drop.WriteString("DROP SCHEMA \"" + schema + "\" CASCADE;\n")
	}
	w.write(name+".restore", drop.String()+string(body))
	cmd := exec.CommandContext(w.t.Context(), w.srvProgram("psql"), "--quiet", "--single-transaction", "--set", "ON_ERROR_STOP=1", "--dbname", w.url, "--file", w.path(name+".restore"))
	out, err := cmd.CombinedOutput()
	require.NoError(w.t, err, string(out))
	w.db.Reset() // what the test's own sessions know of the tables is gone
}

// What was dumped and restored works again after doctor has bound the ledger to it anew: runs, deployments, and the way back.
func TestARestoredWarehouseIsBoundAnew(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.cli(0, "deploy", w.withCurrency("1.1.0"), "--to", "dev", "--rebuild", "all")
	w.srvDump("dev.sql")
	w.srvRestore("dev.sql")
	w.holds("dev", fiveFilled)
	a := w.try("run", "shop@1.1.0", "--env", "dev", "--partition", middleDay)
	require.NotContains(t, a.out+a.err, "adopt", "there is no such command")
	require.NotContains(t, a.out+a.err, "not attached", "it is attached")
	if a.code != 0 {
		require.Contains(t, a.out+a.err, "rebind")
	}
	w.cli(0, "doctor", shop, "--env", "dev", "--rebind")
	w.tidy("dev")
	w.cli(0, "run", "shop@1.1.0", "--env", "dev", "--partition", middleDay)
	w.holds("dev", fiveFilled)
	w.cli(0, "rollback", shop, "--env", "dev", "--to", "1.0.0", "--reason", "it was better")
	w.holds("dev", fiveEmpty)
	w.cli(0, "deploy", w.release("1.2.0", "channel, amount\n", "channel, amount, currency\n"), "--to", "dev", "--rebuild", "all")
	w.holds("dev", fiveFilled)
	w.tidy("dev")
	truDocumented(t, "docs/operations.md", "--rebind")
}

// A workflow that was told of what the ledger has lost since, by a restore to an earlier point, says so and asks.
func TestAWorkflowNoticesThatTheLedgerHasGoneBack(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.srvDump("dev.sql")
	w.cli(0, "deploy", w.release("1.1.0", "channel, amount\n", "channel, amount, currency\n", "watch: {for: 0s}\n", "watch: {for: 1h, every: 1s}\n"),
		"--to", "dev", "--rebuild", "all", "--detach")
	w.await("the watch to begin", func() bool { return w.status(shop).Stage == workflows.StageWatching })
	w.srvRestore("dev.sql")
	w.holds("dev", four)
	var s status
	require.True(t, w.becomes(45*time.Second, func() bool {
		s = w.status(shop)
		return s.Stage == workflows.StageWaiting
	}), "it is %s: %s", s.Stage, s.Sentence)
	require.Contains(t, strings.ToLower(s.Sentence), "ledger")
	w.holds("dev", four)
}
