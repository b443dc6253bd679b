package source_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/source"
	"drawbridge/internal/testdb"
)

// crm is a database that extracts read.
type crm struct {
	connect source.Connect
	pool    *pgxpool.Pool
}

func newCRM(t *testing.T) *crm {
	t.Helper()
	at, pool := testdb.Database(t)
	opened, err := postgres.Open(t.Context(), postgres.Options{URL: at, Object: "source crm", Application: "drawbridge/test"})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	c := &crm{pool: pool, connect: func(ctx context.Context, _, application string, f func(*postgres.Session) error) error {
		return opened.In("source crm", "public").Apart(ctx, application, f)
	}}
	c.exec(t, `CREATE TABLE customer (id bigint, name varchar(20), credit numeric(12,2), since timestamptz, day date);
		INSERT INTO customer
		SELECT i, 'name ' || i, i + 0.25, '2026-01-01T22:30:00Z'::timestamptz + i * interval '1 hour', '2026-01-01'::date + i
		FROM generate_series(0, 99) i`)
	return c
}

func (c *crm) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := c.pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func extract(sql string) pipeline.Load {
	return pipeline.Load{Name: "customers", File: "sql/customers.sql at crm", Extract: &pipeline.Extract{From: "crm", SQLFile: "sql/customers.sql", SQL: sql, Timeout: time.Minute}}
}

// copied is what an extract gives, for a day.
func (c *crm) copied(t *testing.T, load pipeline.Load, value source.Values) (text string, done source.Copied, err error) {
	t.Helper()
	var to bytes.Buffer
	err = c.connect.Extract(t.Context(), load, "drawbridge/test", func(ctx context.Context, e *source.Extract) (err error) {
		done, err = e.Copy(ctx, &to, value)
		return err
	})
	return to.String(), done, err
}

// day is the 2nd of January in Berlin, where it begins an hour before it does in UTC.
func day(param string, oid uint32) (value []byte, given uint32) {
	return []byte(map[string]string{
		pipeline.PartitionParam: "2026-01-02", pipeline.PartitionStartParam: "2026-01-02T00:00:00+01:00", pipeline.PartitionEndParam: "2026-01-03T00:00:00+01:00",
	}[param]), oid
}

func TestASourceSaysWhatASELECTReturns(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	columns, err := c.connect.Describe(t.Context(), extract("SELECT c.*, id + 1 AS next, @partition_start AS said FROM customer c WHERE since < @partition_end;"), "drawbridge/test")
	require.NoError(t, err)
	require.Equal(t, []pipeline.Column{
		{Name: "id", Type: "bigint"},
		{Name: "name", Type: "character varying(20)"},
		{Name: "credit", Type: "numeric(12,2)"},
		{Name: "since", Type: "timestamp with time zone"},
		{Name: "day", Type: "date"},
		{Name: "next", Type: "bigint"},
		{Name: "said", Type: "text"},
	}, columns)
}

// A bound means to COPY what it means to a statement with parameters: the server reads it as the type of what it is compared with.
func TestBoundsArePlacedAsValuesOfTheirTypes(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	c.exec(t, `CREATE TYPE mood AS ENUM ('2026-01-02', 'other'); CREATE TABLE felt (how mood); INSERT INTO felt VALUES ('2026-01-02'), ('other')`)
	for name, tc := range map[string]struct {
		sql  string
		rows string
	}{
		"timestamptz":          {"SELECT id FROM customer WHERE since >= @partition_start AND since < @partition_end", "SELECT id FROM customer WHERE since >= '2026-01-01T23:00:00Z' AND since < '2026-01-02T23:00:00Z'"},
		"date":                 {"SELECT id FROM customer WHERE day >= @partition_start AND day < @partition_end", "SELECT id FROM customer WHERE day = '2026-01-02'"},
		"text":                 {"SELECT 1 AS id WHERE 'it is 2026-01-02' = 'it is ' || @partition", "SELECT 1"},
		"both types of it":     {"SELECT id FROM customer WHERE day = @partition AND name <> @partition", "SELECT id FROM customer WHERE day = '2026-01-02'"},
		"under an operator":    {"SELECT id FROM customer WHERE day = @partition::date + 1", "SELECT id FROM customer WHERE day = '2026-01-03'"},
		"a type of its own":    {"SELECT 1 AS id FROM felt WHERE how = @partition", "SELECT 1"},
		"in what is no SQL":    {"SELECT 1 AS id /* @partition ' */ WHERE '@partition' = '@' || $$partition$$ -- @partition_end", "SELECT 1"},
		"behind a semicolon":   {"SELECT 1 AS id ; -- the end", "SELECT 1"},
		"with nothing of them": {"WITH c AS (SELECT id FROM customer) SELECT id FROM c", "SELECT id FROM customer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := c.pool.Exec(t.Context(), tc.rows)
			require.NoError(t, err)
			_, done, err := c.copied(t, extract(tc.sql), day)
			require.NoError(t, err)
			require.Positive(t, done.Rows)
			require.Equal(t, want.RowsAffected(), done.Rows)
		})
	}
}

// A value that would end a literal does not end it.
func TestAValueStaysAValue(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	hostile := `'); DROP TABLE customer; --\' ` + "\x01$$"
	text, done, err := c.copied(t, extract("SELECT @partition || '' AS said, NULL::money AS makes_it_text"), func(_ string, oid uint32) ([]byte, uint32) { return []byte(hostile), oid })
	require.NoError(t, err)
	require.EqualValues(t, 1, done.Rows)
	require.Contains(t, text, `'); DROP TABLE customer; --\\' `)
	c.exec(t, "SELECT FROM customer")
}

// Whatever a type is, the rows come over in a form that every server reads alike.
func TestTheFormOfCOPYFollowsFromTheTypes(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	c.exec(t, `CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN email AS text; CREATE TYPE pair AS (a int, b int)`)
	for columns, want := range map[string]string{
		"1 AS a, 2::numeric AS b, 'x'::varchar(3) AS c, now() AS d, '{1}'::int[] AS e, '{}'::jsonb AS f": "binary",
		"'x'::email AS a": "binary", // a domain is read as what it is made of
		"'a'::mood AS a":  "text", "ARRAY['a'::mood] AS a": "text", "ROW(1, 2)::pair AS a": "text",
		"1::money AS a": "text", "'pg_class'::regclass AS a": "text", "'[1,2)'::int4range AS a": "text",
		"1 AS a, 'a'::mood AS b": "text",
	} {
		require.NoError(t, c.connect.Extract(t.Context(), extract("SELECT "+columns), "drawbridge/test", func(_ context.Context, e *source.Extract) error {
			require.Equal(t, want, e.Format(), columns)
			return nil
		}))
	}
}

// Whatever stands there, it is one SELECT in a transaction that only reads, or nothing is done.
func TestASELECTChangesNothingAtItsSource(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	c.exec(t, `CREATE FUNCTION run(sql text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE sql; RETURN 0; END $$`)
	for name, sql := range map[string]string{
		"another command":            "SELECT 1 AS a) TO PROGRAM 'touch /tmp/x'; --",
		"a change":                   "DELETE FROM customer RETURNING id",
		"a change in a function":     "SELECT run('DELETE FROM customer') AS a",
		"a change by a WITH":         "WITH gone AS (DELETE FROM customer RETURNING id) SELECT id FROM gone",
		"the transaction's mode":     "SELECT run('SET TRANSACTION READ WRITE') AS a",
		"the mode, then a change":    "SELECT set_config('transaction_read_only', 'off', true) AS a, run('DELETE FROM customer') AS b",
		"another transaction":        "SELECT run('COMMIT') AS a",
		"a table of its own":         "SELECT id INTO more FROM customer",
		"locks":                      "SELECT id FROM customer FOR UPDATE",
		"a file of the server's":     "SELECT run('COPY customer TO ''/tmp/x''') AS a",
		"a parenthesis in a comment": "SELECT 1 AS a /* ) */ ) TO STDOUT --",
	} {
		_, _, err := c.copied(t, extract(sql), day)
		require.Error(t, err, name)
		require.NotEmpty(t, fault.ClassOf(err), "%s: %v", name, err)
		require.NotEmpty(t, fault.HintOf(err), name)
	}
	var n int
	require.NoError(t, c.pool.QueryRow(t.Context(), "SELECT count(*) FROM customer").Scan(&n))
	require.Equal(t, 100, n)
}

func TestAnErrorOfASourceSaysWhereAndNotWhat(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	c.exec(t, `INSERT INTO customer (id, name) VALUES (500, 'hunter2-S3cret'); CREATE TABLE hidden (id int); ALTER TABLE hidden OWNER TO CURRENT_USER; REVOKE ALL ON hidden FROM CURRENT_USER`)
	for name, tc := range map[string]struct {
		sql   string
		class fault.Class
		says  string
	}{
		"an unknown column": {"SELECT id,\n  nowhere\nFROM customer", fault.Invalid, "sql/customers.sql:2 at crm"},
		"an unknown table":  {"SELECT id\n\nFROM nowhere", fault.Invalid, "sql/customers.sql:3 at crm"},
		"a value":           {"SELECT name::int AS n FROM customer ORDER BY id DESC", fault.Invalid, "sql/customers.sql"},
		"a raised message":  {"SELECT (name || ' ' || id)::date AS n FROM customer ORDER BY id DESC", fault.Invalid, "sql/customers.sql"},
		"rights":            {"SELECT id FROM hidden", fault.Refused, "permission"},
		"two of a name":     {"SELECT id, id FROM customer", fault.Invalid, "column 2 has no name of its own"},
		"no name":           {"SELECT 1 + 1", fault.Invalid, "column 1 has no name of its own"},
		"a type in quotes":  {`SELECT 'a'::"char" AS letter`, fault.Invalid, "column letter has a type of a name of its own"},
	} {
		_, _, err := c.copied(t, extract(tc.sql), day)
		require.Equal(t, tc.class, fault.ClassOf(err), "%s: %v", name, err)
		require.ErrorContains(t, err, tc.says, name)
		require.NotContains(t, err.Error()+fault.HintOf(err), "hunter2", name)
	}
}

// What a source gives is another thing when its columns are, and that is said before a row is read.
func TestASourceIsHeldToTheDeclaredColumns(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	load := extract("SELECT id, name, credit FROM customer")
	load.Columns = []pipeline.Column{{Name: "id", Type: "int8"}, {Name: "credit", Type: "decimal(12,2)"}, {Name: "name", Type: "varchar"}}
	columns, err := c.connect.Describe(t.Context(), load, "drawbridge/test")
	require.NoError(t, err)
	require.Len(t, columns, 3)

	c.exec(t, "ALTER TABLE customer ALTER credit TYPE numeric(14,4)")
	_, _, err = c.copied(t, load, day)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "sql/customers.sql at crm, column credit: it is declared as decimal(12,2), and the source has numeric(14,4)")
	c.exec(t, "ALTER TABLE customer ALTER credit TYPE numeric(12,2); ALTER TABLE customer RENAME id TO number")
	load.Extract.SQL = "SELECT * FROM customer"
	_, _, err = c.copied(t, load, day)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "column id: the SELECT does not return it")
}

// Two readings of the same rows have one digest, in whatever order the rows come, and other rows have another.
func TestADigestNamesTheRowsAndNotTheirOrder(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	for _, format := range []string{"", ", NULL::money AS makes_it_text"} {
		digest := func(sql string) string {
			_, done, err := c.copied(t, extract(strings.Replace(sql, " FROM", format+" FROM", 1)), day)
			require.NoError(t, err)
			return done.Digest
		}
		all := digest("SELECT id, name FROM customer ORDER BY id")
		require.Equal(t, all, digest("SELECT id, name FROM customer ORDER BY id DESC"))
		require.NotEqual(t, all, digest("SELECT id, name FROM customer WHERE id > 0"))
		require.NotEqual(t, all, digest("SELECT id, CASE id WHEN 7 THEN 'x' ELSE name END AS name FROM customer"))
		require.NotEqual(t, all, digest("SELECT id, name AS called FROM customer"))
		require.NotEqual(t, digest("SELECT id FROM customer WHERE id = 1"), digest("SELECT id FROM (VALUES (1), (1), (1)) AS v (id)"))
	}
}

func TestAnExtractHasATimeOfItsOwn(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	load := extract("SELECT pg_sleep(60)::text AS slept")
	load.Extract.Timeout = 50 * time.Millisecond
	_, _, err := c.copied(t, load, day)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "within 50ms")
	require.Contains(t, fault.HintOf(err), "timeout")
}

// Whoever stops an extract stops the statement at its source too.
func TestAnExtractThatIsStoppedRunsNowhere(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- c.connect.Extract(ctx, extract("SELECT pg_sleep(600)::text AS slept"), "drawbridge/stopped", func(ctx context.Context, e *source.Extract) error {
			_, err := e.Copy(ctx, &bytes.Buffer{}, day)
			return err
		})
	}()
	running := func() (n int) {
		require.NoError(t, c.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'drawbridge/stopped' AND state = 'active' AND query LIKE 'COPY%'").Scan(&n))
		return n
	}
	require.Eventually(t, func() bool { return running() == 1 }, 30*time.Second, 20*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Eventually(t, func() bool { return running() == 0 }, 10*time.Second, 20*time.Millisecond)
}

// Who holds a lock at the source is waited for for seconds, and no plan for longer.
func TestASourceThatIsLockedIsSaidToBeAway(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	held, err := c.pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = held.Rollback(context.WithoutCancel(t.Context())) }()
	_, err = held.Exec(t.Context(), "LOCK TABLE customer")
	require.NoError(t, err)
	_, err = c.connect.Describe(t.Context(), extract("SELECT id FROM customer"), "drawbridge/test")
	require.ErrorAs(t, err, new(*fault.Away))
	require.ErrorContains(t, err, "the source of customers, crm: somebody there holds a lock on what sql/customers.sql reads")
	require.Empty(t, fault.ClassOf(err), "another try may find it free")
}

// Who takes the rows may fail: the source is let go, and what is said is why.
func TestAReaderThatFailsEndsTheExtract(t *testing.T) {
	t.Parallel()
	c := newCRM(t)
	full := errors.New("the disk is full")
	err := c.connect.Extract(t.Context(), extract("SELECT i, repeat('x', 1000) AS x FROM generate_series(1, 1000000) i"), "drawbridge/test", func(ctx context.Context, e *source.Extract) error {
		_, err := e.Copy(ctx, failing{full}, day)
		return err
	})
	require.ErrorIs(t, err, full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
