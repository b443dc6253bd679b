package testdb

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
)

// Database is a database of a test's own at the test server, owned by its login, for what lies beside a warehouse.
func Database(tb testing.TB) (at string, pool *pgxpool.Pool) {
	tb.Helper()
	db := New(tb) // skips where there is no server
	superuser := Superuser(tb)
	parsed, err := url.Parse(db.URL)
	require.NoError(tb, err)
	created := strings.Replace(name(time.Now()), "test_", "test_database_", 1)
	admin := func(sql string) {
		ctx, cancel := context.WithTimeout(context.Background(), cleanup)
		defer cancel()
		conn, err := pgx.Connect(ctx, superuser)
		require.NoError(tb, err)
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, sql)
		require.NoError(tb, err)
	}
	admin("CREATE DATABASE " + created + " OWNER " + pgx.Identifier{parsed.User.Username()}.Sanitize())
	tb.Cleanup(func() { admin("DROP DATABASE " + created + " WITH (FORCE)") })
	parsed.Path = "/" + created
	pool, err = pgxpool.New(tb.Context(), parsed.String())
	require.NoError(tb, err)
	tb.Cleanup(pool.Close)
	return parsed.String(), pool
}
