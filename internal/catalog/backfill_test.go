package catalog_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/partition"
	"drawbridge/internal/testdb"
	"drawbridge/internal/turnback"
)

// grown is a ledger of 200 partitions that were each published 40 times. The last ten of the first ten are by a backfill.
const grown = `
	INSERT INTO ledger.tenure (pipeline, version, digest, config, kind, owner, plan, asked_by, reason, activated_at)
	VALUES ('shop', '1.0.0', 'sha256:1', '', 'deployment', 'deploy/run', '', 'ann', '', now());
	INSERT INTO ledger.generation (output, partition, state, pipeline, version, digest, config, owner_key, tenure, effect_key, control, fence,
	  application, backend_pid, backend_start, moment, scheme, lower, upper)
	SELECT 't', to_char(p, 'FM000'), CASE n WHEN 40 THEN 'live' ELSE 'retired' END, 'shop', '1.0.0', 'sha256:1', '',
	  CASE WHEN n = 40 AND p <= 10 THEN 'backfill/shop/prod/001..010/run' ELSE 'run/' || p || '/' || n END, 1, '', false, gen_random_uuid(), '', 0, now(), now(), '{}', '', ''
	FROM generate_series(1, 200) AS p, generate_series(1, 40) AS n
	ORDER BY n, p;
	INSERT INTO ledger.swap (tenure, owner, effect_key, kind, output, partition, from_generation, to_generation)
	SELECT 1, owner_key, '', 'publish', output, partition, lag(id) OVER (PARTITION BY partition ORDER BY id), id
	FROM ledger.generation
	ORDER BY id;
	INSERT INTO ledger.live (output, partition, generation, tenure)
	SELECT output, partition, id, 1 FROM ledger.generation WHERE state = 'live';
	INSERT INTO ledger.backfill (owner, pipeline, tenure, plan, digest, config, first, last, asks, asked_by, reason, ended_at)
	VALUES ('backfill/shop/prod/001..010/run', 'shop', 1, '', 'sha256:1', '', '001', '010', false, 'ann', '', now());
	INSERT INTO ledger.turn_back (tenure, was, back, pipeline, target_tenure, target_owner, output, partition, generation, snapshot, detach, by_person, driver, state)
	VALUES (1, 1, 1, 'shop', 0, 'backfill/shop/prod/001..010/run', '', '', 0, false, false, true, '', 'done')`

// What turning a backfill back reads of the ledger follows from what the backfill has published, and not from what was ever built.
func TestTurningABackfillBackReadsWhatItHasPublished(t *testing.T) {
	t.Parallel()
	const fill = "backfill/shop/prod/001..010"
	db := testdb.New(t)
	ledger := catalog.New(db.Schema)
	schema := pgx.Identifier{ledger.Schema()}.Sanitize()
	db.Exec(t, "CREATE SCHEMA "+schema)
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error { return ledger.Migrate(t.Context(), tx) }))
	db.Exec(t, strings.ReplaceAll(grown, "ledger.", schema+"."))
	for _, table := range []string{"generation", "swap", "live"} {
		db.Exec(t, "ANALYZE "+schema+"."+table)
	}
	// read is how many rows of a table something reads.
	read := func(table string, f func(tx pgx.Tx)) (rows int64) {
		require.NoError(t, pgx.BeginTxFunc(t.Context(), db.Pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
			const sql = `SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_xact_all_tables WHERE schemaname = $1 AND relname = $2`
			var before int64
			if err := tx.QueryRow(t.Context(), sql, ledger.Schema(), table).Scan(&before); err != nil {
				return err
			}
			f(tx)
			if err := tx.QueryRow(t.Context(), sql, ledger.Schema(), table).Scan(&rows); err != nil {
				return err
			}
			rows -= before
			return nil
		}))
		return rows
	}
	keys := []partition.Key{"001", "002", "100", "200"}
	asks := map[string]func(tx pgx.Tx){
		"which starts of it": func(tx pgx.Tx) {
			owners, err := ledger.BackfillsOf(t.Context(), tx, turnback.Request{Pipeline: "shop", Workflow: fill})
			require.NoError(t, err)
			require.Equal(t, []string{fill + "/run"}, owners)
		},
		"how much is live": func(tx pgx.Tx) {
			n, err := ledger.Filled(t.Context(), tx, string(effect.Owner(fill+"/run")))
			require.NoError(t, err)
			require.Equal(t, 10, n)
		},
		"where it has published": func(tx pgx.Tx) {
			at, err := ledger.PublishedAt(t.Context(), tx, fill+"/run", []string{"t"}, keys)
			require.NoError(t, err)
			require.Equal(t, keys[:2], at)
		},
	}
	for name, ask := range asks {
		require.Zero(t, read("generation", ask), name)
		require.LessOrEqual(t, read("swap", ask), int64(200), name) // of 8,000
	}
	require.Equal(t, int64(1), read("generation", func(tx pgx.Tx) {
		past, err := ledger.Past(t.Context(), tx, []int64{7999})
		require.NoError(t, err)
		require.Equal(t, "run/199/40", past[7999].Owner)
	}))
}
