package testdb

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func exists(t *testing.T, db *DB, schema string) bool {
	t.Helper()
	var found bool
	err := db.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, schema).Scan(&found)
	require.NoError(t, err)
	return found
}

func TestASchemaLivesAsLongAsItsTest(t *testing.T) {
	t.Parallel()
	outer := New(t)
	var inner *DB
	t.Run("a test", func(t *testing.T) {
		inner = New(t)
		require.NotEqual(t, outer.Schema, inner.Schema)
		inner.Exec(t, `CREATE TABLE t ()`)
		for _, suffix := range []string{"__data", "__ledger", "__shadow"} {
			inner.Exec(t, `CREATE SCHEMA `+pgx.Identifier{inner.Schema + suffix}.Sanitize())
		}
		require.True(t, exists(t, outer, inner.Schema))
	})
	for _, suffix := range []string{"", "__data", "__ledger", "__shadow"} {
		require.False(t, exists(t, outer, inner.Schema+suffix))
	}
}

func TestLeftoversOfCrashedRunsAreDropped(t *testing.T) {
	t.Parallel()
	db := New(t)
	old, young := name(time.Now().Add(-2*leftover))+"__data", name(time.Now().Add(-leftover/2))
	for _, schema := range []string{old, young} {
		db.Exec(t, `CREATE SCHEMA `+pgx.Identifier{schema}.Sanitize())
		t.Cleanup(func() {
			ctx := context.WithoutCancel(t.Context())
			conn, err := pgx.Connect(ctx, db.URL)
			require.NoError(t, err)
			_, err = conn.Exec(ctx, `DROP SCHEMA IF EXISTS `+pgx.Identifier{schema}.Sanitize())
			require.NoError(t, err)
			require.NoError(t, conn.Close(ctx))
		})
	}
	// A sweep that another test holds the lock of does it for us.
	require.Eventually(t, func() bool {
		require.NoError(t, sweep(t.Context(), db.Pool, time.Now().Add(-leftover)))
		return !exists(t, db, old)
	}, 10*time.Second, 10*time.Millisecond)
	require.True(t, exists(t, db, young))
}
