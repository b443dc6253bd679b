package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/postgres"
	"drawbridge/internal/testdb"
)

// becoming is a pool whose authors log in as one role and become another.
func becoming(t *testing.T) (pool *postgres.Pool, db *testdb.DB, author string) {
	t.Helper()
	db = testdb.New(t)
	admin, err := pgx.Connect(t.Context(), testdb.Superuser(t))
	require.NoError(t, err)
	author = db.Schema + "_author"
	for _, sql := range []string{
		"CREATE ROLE %[1]s NOLOGIN", "CREATE ROLE %[1]s_login LOGIN PASSWORD 'author' IN ROLE %[1]s", "ALTER ROLE %[1]s_login SET role = '%[1]s'",
	} {
		_, err := admin.Exec(t.Context(), fmt.Sprintf(sql, author))
		require.NoError(t, err)
	}
	t.Cleanup(func() {
		defer func() { _ = admin.Close(context.Background()) }()
		_, err := admin.Exec(context.Background(), fmt.Sprintf("DROP ROLE %[1]s_login, %[1]s", author))
		require.NoError(t, err)
	})
	login, err := url.Parse(db.URL)
	require.NoError(t, err)
	login.User = url.UserPassword(author+"_login", "author")
	pool, err = postgres.Open(t.Context(), postgres.Options{URL: db.URL, AuthorURL: login.String(), Object: "test", Application: "drawbridge/test"})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool, db, author
}

const kept = "drawbridge/test/kept"

// pidOf is the session in which an author's SQL runs.
func pidOf(t *testing.T, pool *postgres.Pool, application, author string) (pid int32) {
	t.Helper()
	require.NoError(t, pool.ApartAside(t.Context(), application, author, func(s *postgres.Session) error {
		pid = s.PID
		return nil
	}))
	return pid
}

// A session is taken up again by the same author alone, and has nothing of what was done to it.
func TestAKeptSessionIsAsANewOne(t *testing.T) {
	t.Parallel()
	pool, _, author := becoming(t)
	state := func(s *postgres.Session) (is string) {
		require.NoError(t, s.QueryRow(t.Context(), `
			SELECT format('%s %s %s', current_user, session_user, current_setting('application_name'))
			       || (SELECT ' settings:' || coalesce(string_agg(name || '=' || setting, ',' ORDER BY name), '') FROM pg_settings WHERE source = 'session')
			       || (SELECT ' locks:' || count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory')
			       || (SELECT ' prepared:' || count(*) FROM pg_prepared_statements) || (SELECT ' cursors:' || count(*) FROM pg_cursors WHERE is_holdable)
			       || (SELECT ' temporary:' || count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema())
			       || (SELECT ' functions:' || count(*) FROM pg_proc WHERE pronamespace = pg_my_temp_schema())
			       || (SELECT ' channels:' || count(*) FROM pg_listening_channels())`).Scan(&is))
		return is
	}
	var first int32
	var fresh string
	require.NoError(t, pool.ApartAside(t.Context(), kept, "ours", func(s *postgres.Session) error {
		first, fresh = s.PID, state(s)
		require.Equal(t, author, s.Role)
		_, err := s.PgConn().Exec(t.Context(), `
			CREATE TEMP TABLE orders (id int); CREATE FUNCTION pg_temp.now() RETURNS int LANGUAGE sql AS 'SELECT 1';
			PREPARE mine AS SELECT 1; LISTEN mine; SET timezone = 'Asia/Tokyo'; SET search_path = mine; SET statement_timeout = '1ms';
			SET statement_timeout = 0; SELECT pg_advisory_lock(4711); DECLARE mine CURSOR WITH HOLD FOR SELECT 1; RESET ROLE; SET mine.own = 'x'`).ReadAll()
		require.NoError(t, err)
		require.NotEqual(t, fresh, state(s))
		return nil
	}))
	require.NoError(t, pool.ApartAside(t.Context(), kept, "ours", func(s *postgres.Session) error {
		require.Equal(t, first, s.PID, "it was kept")
		require.Equal(t, fresh, state(s))
		return nil
	}))
	require.NotEqual(t, first, pidOf(t, pool, kept, "theirs"))
	require.NotEqual(t, first, pidOf(t, pool, kept+"/other", "ours"))
	require.NotEqual(t, first, pidOf(t, pool.In("part", "other"), kept, "ours"))
	require.Equal(t, first, pidOf(t, pool, kept, "ours"))
}

// A session in which something went wrong, and one that the server has ended, is nobody's.
func TestABrokenSessionIsNotKept(t *testing.T) {
	t.Parallel()
	pool, _, _ := becoming(t)
	var failed int32
	require.Error(t, pool.ApartAside(t.Context(), kept, "ours", func(s *postgres.Session) error {
		failed = s.PID
		return errors.New("it broke")
	}))
	next := pidOf(t, pool, kept, "ours")
	require.NotEqual(t, failed, next)
	open := pool.ApartAside(t.Context(), kept, "ours", func(s *postgres.Session) error {
		require.Equal(t, next, s.PID)
		_, err := s.Exec(t.Context(), "BEGIN")
		return err
	})
	require.NoError(t, open, "what it left open is not kept, and no fault of what it did")
	after := pidOf(t, pool, kept, "ours")
	require.NotEqual(t, next, after)
	admin, err := pgx.Connect(t.Context(), testdb.Superuser(t))
	require.NoError(t, err)
	defer func() { _ = admin.Close(t.Context()) }()
	_, err = admin.Exec(t.Context(), "SELECT pg_terminate_backend($1, 5000)", after)
	require.NoError(t, err)
	require.NotEqual(t, after, pidOf(t, pool, kept, "ours"))
}

// Nobody's session stays: it goes by itself, and with its pool.
func TestAKeptSessionGoes(t *testing.T) {
	t.Parallel()
	pool, db, _ := becoming(t)
	gone := func(pid int32) {
		require.Eventually(t, func() bool {
			var there bool
			return db.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)`, pid).Scan(&there) == nil && !there
		}, 30*time.Second, 50*time.Millisecond)
	}
	gone(pidOf(t, pool, kept, "ours"))
	last := pidOf(t, pool, kept, strings.Repeat("ours", 2))
	pool.Close()
	gone(last)
}
