package e2e_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/console"
	"drawbridge/internal/lint"
)

// Through the worker, a linter without a credential knows how large the tables of the pipeline's schema are, and of no other.
func TestLintKnowsHowLargeTablesAre(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", everything()...)
	folder := w.release("1.0.0")
	w.cli(0, "deploy", folder, "--to", "dev")
	_, err := w.db.Exec(t.Context(), `
		CREATE TABLE shop_dev.large AS SELECT i, repeat('x', 200) AS filler FROM generate_series(1, 60000) AS i;
		CREATE TABLE shop_dev.small (i int);
		CREATE SCHEMA hidden;
		CREATE TABLE hidden.vault (i int);
		ANALYZE shop_dev.large`)
	require.NoError(t, err)
	w.write("m/0001.sql", `SET lock_timeout = '2s'; SET statement_timeout = '10s';
		CREATE INDEX ON small (i); CREATE INDEX ON shop_dev.large (i); CREATE INDEX ON orders (amount); CREATE INDEX ON hidden.vault (i);
		CREATE INDEX ON hidden.small (i); CREATE INDEX ON "no; such" (i);`)
	file := w.path("m/0001.sql")
	ask := []string{"lint-migration", file, "--no-transaction", "--env", "dev", "--pipeline", shop}

	said := w.cli(2, ask...).out
	require.Contains(t, said, "shop_dev.large has about 60,000 rows")
	require.Contains(t, said, "The schema of the warehouse has no table no; such, vault")
	var l console.Lint
	require.NoError(t, json.Unmarshal([]byte(w.cli(2, append(ask, "--json")...).out), &l))
	require.Equal(t, 4, l.Counts[lint.Error])
	require.Equal(t, 2, l.Counts[lint.Note])
	require.Equal(t, []string{"no; such", "vault"}, l.Unsized)
	for i, want := range []lint.Severity{lint.Note, lint.Error, lint.Note, lint.Error, lint.Error, lint.Error} {
		require.Equal(t, want, l.Findings[i].Severity, l.Findings[i].Text)
		require.Equal(t, i < 3, l.Findings[i].Weight != nil, "of other schemas, and of what is not there, nothing is said: %s", l.Findings[i].Text)
	}

	w.write(folder+"/migrations/0001_index.yaml", "table: large\nwhy: reports look for it\noperations:\n  - create_index: {name: large_i, columns: [i]}\n")
	checked := w.cli(0, "validate", folder, "--env", "dev").out
	require.Contains(t, checked, "migrations: 1 can be read")
	require.Contains(t, checked, "drawbridge migrate plan "+folder+" --env dev")
	w.write("m/0001.sql", "CREATE INDEX CONCURRENTLY ON small (i);")
	w.cli(0, ask...)
	w.write("m/0001.sql", "SET lock_timeout = '2s'; SET statement_timeout = '10s'; CREATE INDEX ON small (i);")
	require.Contains(t, w.cli(0, ask...).out, "less than half a second")
	require.Contains(t, w.cli(2, "lint-migration", file, "--env", "dev", "--pipeline", "nobody").err, "nobody")
}
