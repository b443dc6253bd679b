package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// examples/channels is cut by a list: docs/partitions.md shows what it does.
func TestAListCrossesAndIsBuiltAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	example := filepath.Join("..", "..", "examples", "channels")
	require.NoError(t, os.CopyFS(w.path("channels"), os.DirFS(example)))
	require.NoError(t, os.CopyFS(w.path("source/channels/data"), os.DirFS(filepath.Join(example, "data"))))
	w.worker("worker", "--env", "dev", "--workflows")
	visits := func() []string {
		return w.texts(`SELECT coalesce(channel, '-') || ' ' || string_agg(visit_id::text, ',' ORDER BY visit_id) FROM visits_dev.fct_visits GROUP BY channel ORDER BY 1`)
	}

	w.cli(0, "validate", "channels")
	w.cli(0, "build", "channels")
	w.cli(0, "deploy", "visits@1.0.0", "--to", "dev", "--rebuild", "all")
	all := []string{"- 3", "P 5", "S 2", "W 1,4"}
	require.ElementsMatch(t, all, visits())
	w.cli(0, "run", "visits@1.0.0", "--env", "dev", "--partition", "web")
	w.cli(0, "backfill", "visits", "--env", "dev", "--from", "phone", "--to", "web", "--force")
	w.cli(0, "gaps", "visits", "--env", "dev")
	require.ElementsMatch(t, all, visits())
	a := w.try("run", "visits@1.0.0", "--env", "dev", "--partition", "pigeon")
	require.NotZero(t, a.code)
	require.Contains(t, a.out+a.err, "Write one of phone, store, web, unknown.")

	// A visit by two channels does not go live beside the first.
	file, err := os.ReadFile(filepath.Join(example, "data", "visits.csv"))
	require.NoError(t, err)
	w.write("source/channels/data/visits.csv", string(file)+"1,2026-02-01 12:00:00+00,S\n")
	a = w.try("run", "visits@1.0.0", "--env", "dev", "--partition", "store")
	require.NotZero(t, a.code)
	require.Contains(t, a.out+a.err, "1 keys of what goes live are in another partition too")
	require.ElementsMatch(t, all, visits())
}
