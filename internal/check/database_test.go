package check_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/gate"
	"drawbridge/internal/testdb"
)

const ordersTable = `CREATE TABLE orders (
	order_id bigint, line int, amount numeric(12,2), "pay""ment" varchar(10), payload json, spot point,
	at timestamptz(3), tags text[])`

// good rows pass everyKind, and hold NULLs, equal values and every type.
const goodRows = `INSERT INTO orders VALUES
	(1, 1, 10,   'cash',   '{"a": 1}', '(1,2)', '2026-01-01', '{a,NULL}'),
	(1, 2, 20.5, 'it''s\', '{"a":1}',  NULL,    '2026-01-01', '{}'),
	(2, NULL, 0, NULL,     NULL,       '(1,2)', NULL,         NULL),
	(2, NULL, 0, NULL,     NULL,       '(1,2)', NULL,         NULL)`

// evaluate runs statements and, where they suspect duplicates, their confirmation.
func evaluate(t *testing.T, db *testdb.DB, p check.Plan, statements []check.Statement) check.Values {
	t.Helper()
	var v check.Values
	run := func(statements []check.Statement) {
		for _, s := range statements {
			rows := db.Read(t, s.SQL)
			require.Len(t, rows, 1)
			require.NoError(t, v.Put(s, rows[0]))
		}
	}
	run(statements)
	run(p.Confirm(v))
	return v
}

func TestEveryKindFailsWhenItShould(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		row    string // added to the good ones
		fails  []string
		reason string
	}{
		"good rows":              {"", nil, ""},
		"one row too many":       {"(9, 1, 1), (9, 2, 1)", []string{"row_count"}, "6 is above 5"},
		"a NULL in one column":   {"(3, 1, NULL)", []string{"not_null"}, "1 of 5 rows"},
		"a repeated key":         {"(1, 1, 1)", []string{"key"}, "1 of 5 rows repeat a key"},
		"a value of no list":     {"(3, 1, 1, 'CASH')", []string{"payment"}, "1 of 5 rows"},
		"a false expression":     {"(3, 1, -1), (3, 2, -1)", []string{"row_count", "positive"}, ""},
		"an unknown is no truth": {"(3, 1, NULL), (3, 2, NULL)", []string{"row_count", "not_null", "positive"}, ""},
		"a metric too high":      {"(3, 1, 69.51)", []string{"revenue"}, "100.01 is above 100"},
		"a third distinct value": {"(3, 3, 1)", []string{"lines"}, "3 is above 2"},
	} {
		for variant, rows := range map[string]int64{"one statement": 0, "two statements": 1e9, "apart": -1} {
			t.Run(name+" in "+variant, func(t *testing.T) {
				t.Parallel()
				db := testdb.New(t)
				db.Exec(t, ordersTable)
				db.Exec(t, goodRows)
				if test.row != "" {
					db.Exec(t, "INSERT INTO orders VALUES "+test.row)
				}
				p, err := check.Compile("orders", orders(), everyKind(), check.Options{EstimatedRows: rows})
				require.NoError(t, err)
				statements := p.Statements
				if variant == "apart" {
					statements = p.Apart()
					require.Len(t, statements, len(everyKind()), "each but the row count, and the totals")
				}
				results := p.Judge(evaluate(t, db, p, statements), nil)
				var failed, reasons []string
				for _, r := range results {
					require.NotEqual(t, check.Errored, r.Outcome, r.Reason)
					if r.Outcome == check.Failed {
						failed = append(failed, r.Name)
						reasons = append(reasons, r.Reason)
					}
				}
				require.Equal(t, test.fails, failed)
				require.Contains(t, strings.Join(reasons, "; "), test.reason)
				if len(test.fails) > 0 {
					require.Equal(t, gate.Fail, check.Verdict(results).Outcome)
				}
			})
		}
	}
}

func TestAKeyWithANULLRepeatsNothing(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	db.Exec(t, `CREATE TABLE pairs AS SELECT * FROM (VALUES (NULL, 1), (NULL, 1), (1, NULL), (1, NULL), (1, 1)) v(a, b)`)
	columns := []check.Column{{Name: "a", Type: "integer"}, {Name: "b", Type: "integer"}}
	unique := check.Check{Name: "key", Kind: check.Unique, Severity: check.Fail, Columns: []string{"a", "b"}}
	judge := func() check.Result {
		p, err := check.Compile("pairs", columns, []check.Check{unique}, check.Options{})
		require.NoError(t, err)
		return p.Judge(evaluate(t, db, p, p.Statements), nil)[0]
	}
	require.Equal(t, check.Passed, judge().Outcome)
	db.Exec(t, `INSERT INTO pairs VALUES (1, 1), (1, 1), (NULL, 1)`)
	require.Equal(t, int64(2), *judge().Failing)
}

func TestEqualTextsOfJSONAreDuplicates(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	db.Exec(t, ordersTable)
	db.Exec(t, `INSERT INTO orders (order_id, line, amount, payload) SELECT i, i, 0, '{"a":1}' FROM generate_series(1, 2) i`)
	p, err := check.Compile("orders", orders(), everyKind(), check.Options{})
	require.NoError(t, err)
	v := evaluate(t, db, p, p.Statements)
	require.Equal(t, check.Warned, p.Judge(v, nil)[3].Outcome)
}

func TestAHashCollisionIsNoDuplicate(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	db.Exec(t, ordersTable)
	db.Exec(t, goodRows)
	p, err := check.Compile("orders", orders(), everyKind(), check.Options{})
	require.NoError(t, err)
	v := evaluate(t, db, p, p.Statements)
	require.NoError(t, v.Put(check.Statement{Fields: []string{"c2"}}, []*string{new("1")}), "as if two keys shared a hash")
	for _, s := range p.Confirm(v) {
		require.NoError(t, v.Put(s, db.Read(t, s.SQL)[0]))
	}
	require.Equal(t, check.Passed, p.Judge(v, nil)[2].Outcome)
}

// checksum is the checksum of a query over columns.
func checksum(t *testing.T, db *testdb.DB, query string, columns ...check.Column) string {
	t.Helper()
	p, err := check.Compile("("+query+") AS t", columns, nil, check.Options{})
	require.NoError(t, err)
	_, sum, err := p.Totals(evaluate(t, db, p, p.Statements))
	require.NoError(t, err)
	return sum
}

func TestChecksum(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	a, b := check.Column{Name: "a", Type: "numeric(6,2)"}, check.Column{Name: "b", Type: "text"}
	const rows = `VALUES (1.0, 'x'), (2, NULL)`
	sum := checksum(t, db, `SELECT a, b FROM (`+rows+`) v(a, b)`, a, b)
	require.Equal(t, sum, checksum(t, db, `SELECT b, a FROM (`+rows+`) v(a, b)`, a, b), "the column order of the table")
	require.Equal(t, sum, checksum(t, db, `SELECT * FROM (VALUES (2, NULL), (1.00, 'x')) v(a, b)`, a, b), "row order, numeric scale")
	require.Equal(t, sum, checksum(t, db, `SELECT *, 1 AS c FROM (`+rows+`) v(a, b)`, a, b), "a column that is not covered")
	require.NotEqual(t, sum, checksum(t, db, `SELECT a, b FROM (`+rows+`) v(a, b)`, b, a), "the recorded order counts")
	require.NotEqual(t, sum, checksum(t, db, `SELECT * FROM (VALUES (1.0, 'x'), (2, '')) v(a, b)`, a, b), "NULL is no empty text")
	require.NotEqual(t, sum, checksum(t, db, `SELECT * FROM (VALUES (1.0, NULL), (2, 'x')) v(a, b)`, a, b), "rows that swap a value")
	require.NotEqual(t,
		checksum(t, db, `SELECT * FROM (VALUES ('A'), ('A')) v(b)`, b),
		checksum(t, db, `SELECT * FROM (VALUES ('B'), ('B')) v(b)`, b), "pairs do not cancel")
	require.Equal(t, "0", checksum(t, db, `SELECT NULL::text AS b WHERE false`, b))
}

func TestEveryColumnTypeHasAChecksum(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	db.Exec(t, `CREATE TYPE mood AS ENUM ('sad', 'ok')`)
	db.Exec(t, `CREATE DOMAIN positive AS int CHECK (VALUE > 0)`)
	db.Exec(t, `CREATE TYPE pair AS (a int, b json)`)
	types := strings.Split(`boolean,smallint,integer,bigint,numeric,numeric(12#2),real,double precision,oid,text,character varying(9),`+
		`character(3),"char",name,bytea,uuid,json,jsonb,xml,date,time(3) without time zone,time with time zone,timestamp(3) without time zone,`+
		`timestamp with time zone,interval,interval day to second(3),inet,cidr,macaddr,macaddr8,int4range,numrange,daterange,tstzrange,money,bit(3),`+
		`bit varying,point,line,lseg,box,path,polygon,circle,tsvector,tsquery,pg_lsn,int4multirange,mood,positive,pair,text[],json[],mood[],numeric(12#2)[]`, ",")
	columns := make([]check.Column, len(types))
	definition := make([]string, len(types))
	for i, name := range types {
		columns[i] = check.Column{Name: fmt.Sprintf("c%d", i), Type: strings.ReplaceAll(name, "#", ",")}
		definition[i] = columns[i].Name + " " + columns[i].Type
	}
	db.Exec(t, "CREATE TABLE wide ("+strings.Join(definition, ", ")+")")
	db.Exec(t, "INSERT INTO wide DEFAULT VALUES")
	rows := db.Read(t, `SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'wide'::regclass AND attnum > 0 ORDER BY attnum`)
	var checks []check.Check
	for i, c := range columns {
		require.Equal(t, c.Type, *rows[i][0], "the type as the server prints it")
		checks = append(checks, check.Check{Name: c.Name, Kind: check.Unique, Severity: check.Fail, Columns: []string{c.Name}})
	}
	p, err := check.Compile("wide", columns, checks, check.Options{})
	require.NoError(t, err)
	require.Equal(t, gate.Pass, check.Verdict(p.Judge(evaluate(t, db, p, p.Statements), nil)).Outcome)
}

func TestSamplesNameFailingRowsByKeyOrCtid(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	db.Exec(t, ordersTable)
	db.Exec(t, `INSERT INTO orders (order_id, line, amount, "pay""ment") SELECT i, 1, -i, 'IOU' FROM generate_series(1, 9) i`)
	db.Exec(t, `INSERT INTO orders (order_id, line, amount) VALUES (9, 1, NULL)`)
	for name, want := range map[string]string{
		"not_null": `{"line": 1, "amount": null, "order_id": 9}`,
		"key":      `{"line": 1, "copies": 2, "order_id": 9}`,
	} {
		require.Equal(t, []string{want}, sampled(t, db, name, "order_id", "line"))
	}
	require.Len(t, sampled(t, db, "payment", "order_id"), 5)
	require.Contains(t, sampled(t, db, "positive", "order_id")[0], "order_id")
	require.Contains(t, sampled(t, db, "positive")[0], `"ctid": "(0,1)"`)
}

func sampled(t *testing.T, db *testdb.DB, name string, key ...string) []string {
	t.Helper()
	var found []string
	for _, c := range everyKind() {
		if c.Name != name {
			continue
		}
		s, ok := check.Samples("orders", orders(), c, key)
		require.True(t, ok)
		for _, row := range db.Read(t, s.SQL) {
			found = append(found, *row[0])
		}
	}
	return found
}

func TestAWatchMetricIsOneNumber(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	m := check.Metric{Name: "m", Severity: check.Fail, Min: new(3.0), SQL: "WITH n AS (SELECT 3::numeric AS x) SELECT sum(x) FROM n -- all"}
	value := func() check.Values {
		s, err := check.CompileMetric(m)
		require.NoError(t, err)
		var v check.Values
		require.NoError(t, v.Put(s, db.Read(t, s.SQL)[0]))
		return v
	}
	require.Equal(t, check.Passed, check.JudgeMetric(m, value(), nil).Outcome)
	m.SQL = "SELECT 1 WHERE false"
	require.Equal(t, check.Errored, check.JudgeMetric(m, value(), nil).Outcome, "no row")
	for _, sql := range []string{"SELECT 1, 2", "SELECT generate_series(1, 2)", "DELETE FROM pg_class RETURNING 1"} {
		m.SQL = sql
		s, err := check.CompileMetric(m)
		require.NoError(t, err)
		_, err = db.Pool.Exec(t.Context(), s.SQL)
		require.Error(t, err, sql)
	}
}
