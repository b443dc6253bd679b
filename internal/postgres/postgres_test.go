package postgres_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
	"drawbridge/internal/testdb"
)

// bundle is a pool of ours and the sessions of others.
type bundle struct {
	*postgres.Pool
	db *testdb.DB
}

func setup(t *testing.T) *bundle {
	t.Helper()
	db := testdb.New(t)
	return &bundle{Pool: open(t, db.URL, db.Schema), db: db}
}

func open(t *testing.T, url, schema string) *postgres.Pool {
	t.Helper()
	p, err := postgres.Open(t.Context(), postgres.Options{URL: url, Object: "test", Application: "drawbridge/test"})
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p.In("test", schema)
}

// session is another session, in which the statements have run. It ends with the test.
func (b *bundle) session(t *testing.T, sql string) *pgx.Conn {
	t.Helper()
	return connect(t, b.db.URL, "SET search_path = "+b.db.Schema+"; "+sql)
}

func connect(t *testing.T, url, sql string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	run(t, conn, sql)
	return conn
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// table is a new table, with its OID.
func (b *bundle) table(t *testing.T) postgres.Relation {
	t.Helper()
	b.db.Exec(t, `CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) AS i`)
	r := postgres.Relation{Name: b.db.Schema + ".t"}
	require.NoError(t, b.QueryRow(t.Context(), `SELECT $1::text::regclass::oid`, r.Name).Scan(&r.OID))
	return r
}

// role is the test's server as a role of its own sees it, without any right to look at the sessions of others.
func (b *bundle) role(t *testing.T, super *pgx.Conn) string {
	t.Helper()
	name := "blind_" + b.db.Schema
	run(t, super, "CREATE ROLE "+name+" LOGIN PASSWORD 'blind'")
	t.Cleanup(func() { _, _ = super.Exec(context.WithoutCancel(t.Context()), "DROP ROLE "+name) })
	login, err := url.Parse(b.db.URL)
	require.NoError(t, err)
	login.User = url.UserPassword(name, "blind")
	return login.String()
}

func pids(sessions []generation.Session) []int32 {
	list := []int32{}
	for _, s := range sessions {
		list = append(list, s.PID)
	}
	return list
}

func pid(conn *pgx.Conn) int32 { return int32(conn.PgConn().PID()) }

func silent(time.Duration) {}
