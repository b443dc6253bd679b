package setup_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/setup"
	"drawbridge/internal/testdb"
)

var update = flag.Bool("update", false, "write the golden files")

func TestSQLIsAsShown(t *testing.T) {
	t.Parallel()
	got, err := setup.SQL(setup.Options{Schema: "shop"})
	require.NoError(t, err)
	const golden = "testdata/shop.golden.sql"
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestSQLRefusesNames(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]setup.Options{
		"no schema":                {},
		"a schema of Postgres":     {Schema: "pg_shop"},
		"an injected schema":       {Schema: `shop"; DROP`},
		"a schema too long":        {Schema: strings.Repeat("s", 49)},
		"a role of Postgres":       {Schema: "shop", Runner: "pg_monitor"},
		"a role that ends a quote": {Schema: "shop", Runner: "a$$b"},
		"a role of two lines":      {Schema: "shop", Runner: "a\nb"},
		"a role too long":          {Schema: "shop", Reader: strings.Repeat("r", 64)},
		"one role for two tasks":   {Schema: "shop", Runner: "etl", Migrator: "etl"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := setup.SQL(o)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			require.NotEmpty(t, fault.HintOf(err))
		})
	}
}

// The roles belong to the whole server, so the test needs a superuser and takes everything back.
func TestSQLWorksInPostgres(t *testing.T) {
	t.Parallel()
	url := testdb.Superuser(t)
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(t.Context())) })

	o := setup.Options{Schema: "setup_test", Migrator: "Setup owner", Runner: "setup'runner", Author: "Setup author", Reader: `setup"reader`}
	text, err := setup.SQL(o)
	require.NoError(t, err)
	_, err = conn.PgConn().Exec(ctx, strings.Replace(text, "COMMIT;", "", 1)).ReadAll() // the transaction is rolled back
	require.NoError(t, err)

	exec := func(sql string) {
		t.Helper()
		_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		require.NoError(t, err, sql)
	}
	refused := func(sql string) {
		t.Helper()
		exec("SAVEPOINT s")
		_, err := conn.PgConn().Exec(ctx, sql).ReadAll()
		require.ErrorContains(t, err, "permission denied", sql)
		exec("ROLLBACK TO s")
	}
	exec(`SET LOCAL SESSION AUTHORIZATION 'setup''runner'; SET LOCAL ROLE "Setup owner"`)
	exec(`CREATE TABLE setup_test.t (a int); CREATE TABLE setup_test__data.g1 (a int);
		CREATE TABLE setup_test__ledger.l (a int); CREATE TABLE setup_test__shadow.s (a int); CREATE TEMP TABLE x (a int)`)
	exec(`RESET SESSION AUTHORIZATION; SET LOCAL SESSION AUTHORIZATION 'setup"reader'`)
	exec(`SELECT a FROM setup_test.t`)
	refused(`INSERT INTO setup_test.t VALUES (1)`)
	refused(`SELECT a FROM setup_test__data.g1`)
	refused(`SELECT a FROM setup_test__ledger.l`)
	refused(`CREATE TABLE setup_test.mine (a int)`)
	exec(`RESET SESSION AUTHORIZATION; SET LOCAL SESSION AUTHORIZATION "Setup author"`)
	exec(`SELECT a FROM setup_test.t; CREATE TEMP TABLE y (a int)`)
	refused(`INSERT INTO setup_test.t VALUES (1)`)
	refused(`SELECT a FROM setup_test__ledger.l`)
	refused(`INSERT INTO setup_test__data.g1 VALUES (1)`)
	refused(`CREATE FUNCTION setup_test.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'`)
	refused(`SET ROLE "Setup owner"`)
	exec(`ROLLBACK`)
}
