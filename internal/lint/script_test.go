package lint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/lint"
)

// rules are the rules that find something, in the order of the file.
func rules(r lint.Report) []string {
	names := make([]string, len(r.Findings))
	for i, f := range r.Findings {
		names[i] = f.Rule
	}
	return names
}

func TestInWhichTransactionAStatementRuns(t *testing.T) {
	t.Parallel()
	const (
		index  = "CREATE INDEX CONCURRENTLY a ON b (c);\n"
		inside = "ban-concurrent-index-creation-in-transaction"
		nested = "transaction-nesting"
	)
	for name, tc := range map[string]struct {
		sql  string
		none bool
		want []string
	}{
		"a file is one":                            {index, false, []string{inside}},
		"unless the tool runs it without":          {index, true, nil},
		"or it has its own":                        {"BEGIN; SELECT 1; COMMIT;" + index, false, nil},
		"in which it is":                           {"BEGIN;" + index + "COMMIT;", true, []string{inside}},
		"goose runs one":                           {"-- +goose Up\n" + index, false, []string{inside}},
		"goose is told not to":                     {"-- +goose NO TRANSACTION\n-- +goose Up\n" + index, false, nil},
		"goose with a transaction of its own":      {"-- +goose Up\nBEGIN;\n" + index + "COMMIT;", false, []string{nested, inside, nested}},
		"without goose's it is not nested":         {"-- +goose NO TRANSACTION\n-- +goose Up\nBEGIN;\nCOMMIT;\n" + index, false, nil},
		"what goose takes back is not looked at":   {"-- +goose Up\nSELECT 1;\n-- +goose Down\nDROP TABLE a;", false, nil},
		"what is before goose's Up neither":        {"DROP TABLE a;\n-- +goose Up\nSELECT 1;", false, nil},
		"dbmate runs one":                          {"-- migrate:up\n" + index + "-- migrate:down\nDROP TABLE a;", false, []string{inside}},
		"another word is no header":                {"-- migrate:upgrade\nDROP TABLE a; -- b", true, []string{"require-timeout-settings", "ban-drop-table"}},
		"dbmate is told not to":                    {"-- migrate:up transaction:false\n" + index, false, nil},
		"a header in the middle of a line is none": {"SELECT 1; -- +goose Up\nDROP TABLE a; -- drawbridge", true, []string{"require-timeout-settings", "ban-drop-table"}},
		"COMMIT AND CHAIN goes on":                 {"BEGIN; COMMIT AND CHAIN;" + index + "COMMIT;", false, []string{inside}},
		"COMMIT alone ends the tool's":             {"SELECT 1; COMMIT;", false, []string{nested}},
		"a second BEGIN":                           {"BEGIN; BEGIN; COMMIT;", false, []string{nested}},
		"a savepoint is none":                      {"BEGIN; SAVEPOINT a; RELEASE a; COMMIT;", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := lint.Migration("a.sql", tc.sql, lint.Options{NoTransaction: tc.none})
			require.Empty(t, r.Problems)
			require.ElementsMatch(t, tc.want, rules(r))
		})
	}
}

func TestANewTableIsNobodys(t *testing.T) {
	t.Parallel()
	const changes = "ALTER TABLE t ADD COLUMN a int NOT NULL; CREATE INDEX ON t (a); ALTER TABLE t ADD UNIQUE (a); ALTER TABLE t ALTER a TYPE text; " +
		"DELETE FROM t; TRUNCATE t; LOCK TABLE t; VACUUM FULL t; CLUSTER t USING i; REINDEX TABLE t; ALTER TABLE t SET UNLOGGED; ALTER TABLE t DISABLE TRIGGER ALL; " +
		"ALTER TABLE t SET TABLESPACE u; ALTER TABLE t DETACH PARTITION v; ALTER TABLE t SET SCHEMA s; TRUNCATE t CASCADE; DROP TABLE t CASCADE;"
	for name, create := range map[string]string{
		"created":                    "CREATE TABLE t (id int);",
		"created if it is not there": "CREATE TABLE IF NOT EXISTS t (id int);",
		"created in a schema":        "CREATE TABLE public.t (id int);",
		"made of a query":            "CREATE TABLE t AS SELECT 1;",
		"selected into":              "SELECT 1 AS a INTO t;",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, lint.Migration("a.sql", create+changes, lint.Options{}).Findings)
		})
	}
	require.Empty(t, lint.Migration("a.sql", "CREATE SCHEMA IF NOT EXISTS s; CREATE TYPE s.a AS (b int); DROP TYPE s.a CASCADE; DROP SCHEMA s CASCADE;", lint.Options{}).Findings)
	require.Equal(t, []string{"ban-drop-schema", "ban-drop-cascade"}, rules(lint.Migration("a.sql", "CREATE TABLE t (id int); DROP SCHEMA t CASCADE;", lint.Options{})), "a schema is no table")
	require.NotEmpty(t, lint.Migration("a.sql", "CREATE TABLE u (id int);"+changes, lint.Options{}).Findings)
	require.NotEmpty(t, lint.Migration("a.sql", "CREATE TABLE a.t (id int);"+strings.ReplaceAll(changes, "TABLE t", "TABLE b.t"), lint.Options{}).Findings)
}

func TestARuleIsSilentWhereTheFileSaysWhy(t *testing.T) {
	t.Parallel()
	const timeouts = "SET lock_timeout = '2s'; SET statement_timeout = '10s';\n"
	for name, tc := range map[string]struct {
		sql  string
		want []string
	}{
		"with a reason":               {"-- drawbridge:ignore ban-drop-table it is empty\nDROP TABLE a;", nil},
		"by the other tool's name":    {"-- drawbridge:ignore remove_column it is empty\nALTER TABLE a DROP COLUMN b;", nil},
		"without one":                 {"-- drawbridge:ignore ban-drop-table\nDROP TABLE a;", []string{"ignore-without-reason", "ban-drop-table"}},
		"only there":                  {"-- drawbridge:ignore ban-drop-table it is empty\nDROP TABLE a;\nDROP TABLE a;", []string{"ban-drop-table"}},
		"only that rule":              {"-- drawbridge:ignore ban-drop-table it is empty\nDROP TABLE a CASCADE;", []string{"ban-drop-cascade"}},
		"two rules":                   {"-- drawbridge:ignore ban-drop-table it is empty\n-- drawbridge:ignore ban-drop-cascade nothing hangs on it\nDROP TABLE a CASCADE;", nil},
		"not in a block":              {"/* drawbridge:ignore ban-drop-table it is empty */\nDROP TABLE a;", []string{"ban-drop-table"}},
		"a rule that finds nothing":   {"-- drawbridge:ignore ban-drop-column it is empty\nDROP TABLE a;", []string{"unused-ignore", "ban-drop-table"}},
		"an unknown rule":             {"-- drawbridge:ignore drop-table it is empty\nDROP TABLE a;", []string{"unused-ignore", "ban-drop-table"}},
		"the comment is not silenced": {"-- drawbridge:ignore unused-ignore why not\nSELECT 1;", []string{"unused-ignore"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, append([]string(nil), rules(lint.Migration("a.sql", timeouts+tc.sql, lint.Options{}))...))
		})
	}
}

func TestAnOutputSilencesRulesByName(t *testing.T) {
	t.Parallel()
	const sql = "SELECT *, now() FROM orders"
	require.Equal(t, []string{"select-star", "now-in-output"}, rules(lint.Query("a.sql", sql, nil)))
	require.Equal(t, []string{"now-in-output"}, rules(lint.Query("a.sql", sql, map[string]string{"select-star": "the source is ours"})))
	unused := lint.Query("a.sql", "SELECT id FROM orders", map[string]string{"select-star": "the source is ours"})
	require.Equal(t, []string{"unused-ignore"}, rules(unused))
	require.Contains(t, unused.Findings[0].Text, "select-star")
}

// What docs/lint.md says no rule is about is in no finding.
func TestWhatNoRuleIsAbout(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"INSERT INTO orders VALUES (1)", "UPDATE orders SET note = ''", "UPDATE orders SET note = '' WHERE id > 0", "DELETE FROM orders WHERE id > 0", "DELETE FROM orders WHERE 1 = 1",
		"MERGE INTO orders USING news ON orders.id = news.id WHEN MATCHED THEN DELETE", "COPY orders TO '/tmp/orders'",
		"GRANT SELECT ON orders TO bob", "REVOKE SELECT ON orders FROM bob", "CREATE ROLE bob", "DROP ROLE bob",
		"DROP FUNCTION stamp(int)", "DROP PROCEDURE close_day()", "DROP SEQUENCE numbers", "DROP TRIGGER stamp ON orders", "DROP EXTENSION citext",
		"CREATE POLICY mine ON orders", "DROP POLICY mine ON orders", "CREATE PUBLICATION all_of_it FOR ALL TABLES", "ALTER SYSTEM SET work_mem = '1GB'",
		"ALTER TYPE state RENAME TO states", "ALTER FUNCTION stamp(int) RENAME TO stamps", "ALTER SEQUENCE numbers RESTART", "COMMENT ON TABLE orders IS 'x'",
		"DO $$BEGIN DROP TABLE orders; END$$", "CREATE FUNCTION empty() RETURNS void LANGUAGE sql AS 'DELETE FROM orders'",
		"CREATE FUNCTION empty() RETURNS void LANGUAGE sql BEGIN ATOMIC DELETE FROM orders; END", "PREPARE d AS DELETE FROM orders", "EXPLAIN DELETE FROM orders",
		"CREATE RULE empty AS ON INSERT TO orders DO ALSO DELETE FROM refunds", "CALL close_day()", "SELECT close_day()", "EXECUTE prepared",
	} {
		r := lint.Migration("a.sql", sql, lint.Options{NoTransaction: true})
		require.Empty(t, r.Problems, sql)
		require.Empty(t, rules(r), sql)
	}
}
