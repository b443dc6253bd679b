package catalog_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/catalog"
	"drawbridge/internal/testdb"
)

func TestMigratorsMayMeet(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ledger := catalog.New(db.Schema)
	_, err := db.Pool.Exec(t.Context(), "CREATE SCHEMA "+pgx.Identifier{ledger.Schema()}.Sanitize())
	require.NoError(t, err)
	version, err := ledger.Version(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Zero(t, version)

	const migrators = 4
	errs := make(chan error, migrators)
	for range migrators {
		go func() {
			errs <- pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error { return ledger.Migrate(t.Context(), tx) })
		}()
	}
	for range migrators {
		require.NoError(t, <-errs)
	}
	version, err = ledger.Version(t.Context(), db.Pool)
	require.NoError(t, err)
	require.Equal(t, catalog.Latest(), version)
}

func TestAPartitionHasOneLiveGenerationAtMost(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ledger := catalog.New(db.Schema)
	_, err := db.Pool.Exec(t.Context(), "CREATE SCHEMA "+pgx.Identifier{ledger.Schema()}.Sanitize())
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error { return ledger.Migrate(t.Context(), tx) }))
	var ids []int64
	for _, key := range []string{"a", "b"} {
		g := catalog.Generation{Output: "t", Partition: "all", EffectKey: key, Fence: "00000000-0000-0000-0000-000000000000"}
		require.NoError(t, ledger.Reserve(t.Context(), db.Pool, &g))
		ids = append(ids, g.ID)
	}
	require.NoError(t, ledger.SetState(t.Context(), db.Pool, ids[0], "live", ""))
	require.ErrorContains(t, ledger.SetState(t.Context(), db.Pool, ids[1], "live", ""), "generation_live")
}
