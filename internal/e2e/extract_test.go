package e2e_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// source makes the database that examples/extract reads, with a login that may read there and do nothing else, and the pipeline. It
// returns the URL, and the login's password.
func (w *world) source() (at *url.URL, password string) {
	w.t.Helper()
	t, superuser := w.t, os.Getenv(superuserURL)
	example := filepath.Join("..", "..", "examples", "extract")
	require.NoError(t, os.CopyFS(w.path("turnover"), os.DirFS(example)))
	at, err := url.Parse(superuser)
	require.NoError(t, err)
	name := w.namespace + "_crm"
	admin, err := pgx.Connect(t.Context(), superuser)
	require.NoError(t, err)
	password = "crm-pl4nted"
	for _, sql := range []string{"CREATE DATABASE " + name, "CREATE ROLE " + name + " LOGIN PASSWORD '" + password + "'"} {
		_, err = admin.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	require.NoError(t, admin.Close(t.Context()))
	t.Cleanup(func() {
		ctx := cleanup(t)
		admin, err := pgx.Connect(ctx, superuser)
		require.NoError(t, err)
		defer func() { _ = admin.Close(ctx) }()
		for _, sql := range []string{"DROP DATABASE " + name + " WITH (FORCE)", "DROP ROLE " + name} {
			_, err = admin.Exec(ctx, sql)
			require.NoError(t, err)
		}
	})
	at.Path = "/" + name
	body, err := os.ReadFile(filepath.Join(example, "crm.sql"))
	require.NoError(t, err)
	w.crm(at, string(body))
	w.crm(at, "GRANT USAGE ON SCHEMA crm TO "+name+"; GRANT SELECT ON ALL TABLES IN SCHEMA crm TO "+name)
	reader := *at
	reader.User = url.User(name)
	w.policy("dev", `approval: {required: false}
connections:
  warehouse: {url: "${env:DRAWBRIDGE_WAREHOUSE}"}
  crm: {url: "`+reader.String()+`", password: "${env:CRM_PASSWORD}", use: [source], schemas: {read: [crm]}}
`)
	return at, password
}

// crm runs SQL in a source.
func (w *world) crm(at *url.URL, sql string) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), at.String())
	require.NoError(w.t, err)
	defer func() { _ = conn.Close(w.t.Context()) }()
	_, err = conn.Exec(w.t.Context(), sql)
	require.NoError(w.t, err)
}

// The example's pipeline goes live from another database, over a connection of the policy, and follows what changes there.
func TestAPipelineReadsAnotherDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, password := w.source()
	p := w.start(built.worker, []string{"CRM_PASSWORD=" + password}, "first", "--env", "dev", "--workflows")
	require.Contains(t, w.cli(0, "validate", "turnover", "--env", "dev").out, "an order without a customer is a guest's")
	w.cli(0, "deploy", "turnover", "--to", "dev")
	require.Equal(t, 1800, w.number(`SELECT count(*) FROM turnover_dev.fct_turnover`))
	require.Equal(t, []string{"business 540", "guest 180", "private 1080"}, w.texts(`SELECT segment || ' ' || count(*) FROM turnover_dev.fct_turnover GROUP BY segment ORDER BY 1`))
	require.Equal(t, 6, w.number(`SELECT count(DISTINCT ordered_on) FROM turnover_dev.fct_turnover`))
	require.Equal(t, 1, w.number(`SELECT count(*) FROM turnover_dev__ledger.landing WHERE name = 'customers' AND digest <> ''`), "it is read once for all days")

	require.Contains(t, w.cli(0, "doctor", "turnover", "--env", "dev").out, "sql/raw_orders.sql at source_db returns 4 columns")

	w.crm(at, `UPDATE crm.orders SET amount = 1000 WHERE ordered_at::date = '2026-01-02'; INSERT INTO crm.orders VALUES (9000, NULL, '2026-01-09 12:00Z', 7)`)
	w.cli(0, "run", "turnover", "--env", "dev", "--partition", "2026-01-02")
	w.cli(0, "backfill", "turnover", "--env", "dev", "--from", "2026-01-09", "--to", "2026-01-09")
	require.Equal(t, 360, w.number(`SELECT count(*) FROM turnover_dev.fct_turnover WHERE amount = 1000`))
	require.Equal(t, 1801, w.number(`SELECT count(*) FROM turnover_dev.fct_turnover`))
	w.never(password, "postgres://"+at.User.Username())
	require.NotContains(t, p.output(), password)
}

// What a source has changed, and one that is away, are said by name, and nothing that is live is touched.
func TestASourceThatHasChangedOrIsAwayIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at, password := w.source()
	first := w.start(built.worker, []string{"CRM_PASSWORD=" + password}, "first", "--env", "dev", "--workflows")
	w.cli(0, "deploy", "turnover", "--to", "dev")

	w.crm(at, `ALTER TABLE crm.orders ALTER amount TYPE text`)
	a := w.try("run", "turnover", "--env", "dev", "--partition", "2026-01-02")
	require.NotZero(t, a.code)
	require.Contains(t, a.out+a.err, "column amount: it is declared as numeric(12,2), and the source has text")
	w.crm(at, `ALTER TABLE crm.orders ALTER amount TYPE numeric(12,2) USING amount::numeric`)

	w.write("turnover/sql/customers.sql", "SELECT customer_id,\n  segmnt\nFROM customer\n")
	w.write("turnover/pipeline.yaml", strings.Replace(w.read("turnover/pipeline.yaml"), "version: 1.0.0", "version: 1.1.0", 1))
	a = w.try("plan", "turnover", "--to", "dev")
	require.NotZero(t, a.code)
	require.Contains(t, a.out+a.err, "sql/customers.sql:2 at source_db")
	w.write("turnover/sql/customers.sql", "SELECT customer_id, segment\nFROM customer\nORDER BY 1\n")

	first.stop()
	w.write("policies/policy.dev.yaml", strings.Replace(w.read("policies/policy.dev.yaml"), at.Host, "127.0.0.1:1", 1))
	w.start(built.worker, []string{"CRM_PASSWORD=" + password}, "second", "--env", "dev", "--workflows")
	for _, command := range [][]string{{"plan", "turnover", "--to", "dev"}, {"validate", "turnover", "--env", "dev"}} {
		a, ended := w.truWithin(truBrief, command...)
		require.True(t, ended, "it is said at once")
		require.NotZero(t, a.code)
		require.Contains(t, a.out+a.err, "the source crm: the server cannot be reached: nothing listens at its address")
	}
	require.Contains(t, w.try("doctor", "turnover", "--env", "dev").out, "extract customers")
	require.Equal(t, 1800, w.number(`SELECT count(*) FROM turnover_dev.fct_turnover`))
}

// read reads a file of the world's folder.
func (w *world) read(name string) string {
	w.t.Helper()
	body, err := os.ReadFile(w.path(name))
	require.NoError(w.t, err)
	return string(body)
}
