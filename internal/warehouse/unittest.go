package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// shownRows is how many rows of a failing unit test are shown. They are the author's own fixtures, not data.
const shownRows = 3

// given creates the relations that a test names, and the loads that it does not, as temporary tables with its rows.
func (v *validation) given(ctx context.Context, tx pgx.Tx, t pipeline.UnitTest) error {
	for name := range t.Given {
		if !slices.ContainsFunc(v.p.Loads, func(l pipeline.Load) bool { return l.Name == name }) {
			if err := v.copyShape(ctx, tx, name, t); err != nil {
				return err
			}
			if err := insertRows(ctx, tx, name, listed(t.Given[name]), t.Given[name]); err != nil {
				return err
			}
		}
	}
	for _, load := range v.p.Loads {
		rows := t.Given[load.Name]
		columns := slices.Clone(load.Columns)
		for _, name := range slices.Concat(v.headers[load.Name], listed(rows)) {
			if !slices.ContainsFunc(columns, func(c pipeline.Column) bool { return c.Name == name }) {
				columns = append(columns, pipeline.Column{Name: name, Type: "text"})
			}
		}
		if _, err := tx.Exec(ctx, createTemp(load, columns)); err != nil {
			return err
		}
		if err := insertRows(ctx, tx, load.Name, listed(rows), rows); err != nil {
			return err
		}
	}
	return nil
}

// copyShape gives a relation that is no load the columns of the output or the table of that name.
func (v *validation) copyShape(ctx context.Context, tx pgx.Tx, name string, t pipeline.UnitTest) error {
	if columns := v.columns[name]; columns != nil {
		_, err := tx.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (%s)", postgres.Ident(name), columnList(columns)))
		return err
	}
	err := savepoint(ctx, tx, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (LIKE %s)", postgres.Ident(name), pgx.Identifier{v.w.names.schema, name}.Sanitize()))
		return err
	})
	if postgres.SQLState(err) == pgerrcode.UndefinedTable {
		return fault.Newf(fault.Invalid, "test", t.Name, "give rows of a load, an output, or a table of the warehouse", "there is no relation "+name)
	}
	return err
}

// listed are the columns that rows name, sorted.
func listed(rows []pipeline.Row) []string {
	seen := map[string]bool{}
	var names []string
	for _, row := range rows {
		for name := range row {
			if !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// insertRows inserts fixtures as literals, so that the server reads each as the type of its column.
func insertRows(ctx context.Context, tx pgx.Tx, relation string, columns []string, rows []pipeline.Row) error {
	if len(columns) == 0 {
		return nil
	}
	tuples := make([]string, len(rows))
	for i, row := range rows {
		values := make([]string, len(columns))
		for j, name := range columns {
			values[j] = fixture(row[name])
		}
		tuples[i] = "(" + strings.Join(values, ", ") + ")"
	}
	_, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO pg_temp.%s (%s) VALUES %s", postgres.Ident(relation), postgres.Idents(columns), strings.Join(tuples, ", ")))
	return err
}

// fixture renders a YAML value as an untyped literal.
func fixture(value any) string {
	switch v := value.(type) {
	case nil:
		return "NULL"
	case string:
		return check.Literal(v)
	case float64:
		return postgres.Literal(strconv.FormatFloat(v, 'f', -1, 64))
	default:
		return postgres.Literal(fmt.Sprint(v)) // bool, and the integers
	}
}

// expect runs an output's SELECT on the given rows and compares it with the expected ones. It returns the difference in
// words; "" where there is none.
func (v *validation) expect(ctx context.Context, tx pgx.Tx, t pipeline.UnitTest, o pipeline.Output, rows []pipeline.Row) (string, error) {
	columns, err := v.w.describeOutput(ctx, tx.Conn(), v.p.Loads, o)
	if err != nil {
		return "", err
	}
	names := listed(rows)
	compared, err := comparedColumns(t, o, columns, names)
	if err != nil {
		return "", err
	}
	key := partitionOf(o, t.Partition)
	bounds, err := o.Partition.Bounds(key)
	if err != nil {
		return "", err
	}
	text, params := pipeline.Bind(o.SQL)
	const expected = "drawbridge expected" // no load or output can be called so
	want, got := postgres.Ident(expected), postgres.Ident("drawbridge got")
	if _, err := tx.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (%s); CREATE TEMP TABLE %s (%s)", want, columnList(columns), got, columnList(columns))); err != nil {
		return "", err
	}
	if err := insertRows(ctx, tx, expected, names, rows); err != nil {
		return "", err
	}
	sql := fmt.Sprintf("INSERT INTO pg_temp.%s SELECT * FROM (\n%s\n) AS output", got, text)
	args, types, err := v.w.bound(ctx, tx, o, sql, params, key, bounds)
	if err != nil {
		return "", err
	}
	if result := tx.Conn().PgConn().ExecParams(ctx, sql, args, types, nil, nil).Read(); result.Err != nil {
		return "", postgres.ClassifyRun("run", o.SQLFile, result.Err)
	}
	difference, err := compareFixtures(ctx, tx, o, want, got, names, compared)
	if err != nil {
		return "", err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf("DROP TABLE pg_temp.%s; DROP TABLE pg_temp.%s", want, got))
	return difference, err
}

// comparedColumns are expressions of the listed columns that have equality.
func comparedColumns(t pipeline.UnitTest, o pipeline.Output, columns []generation.Column, names []string) ([]string, error) {
	compared := make([]string, len(names))
	for i, name := range names {
		at := slices.IndexFunc(columns, func(c generation.Column) bool { return c.Name == name })
		if at < 0 {
			return nil, fault.Newf(fault.Invalid, "test", t.Name, "list columns of the SELECT in "+o.SQLFile, o.Table+" has no column "+name)
		}
		compared[i] = check.Column(columns[at]).Comparable() + " AS " + postgres.Ident(name)
	}
	return compared, nil
}

func compareFixtures(ctx context.Context, tx pgx.Tx, o pipeline.Output, want, got string, names, compared []string) (string, error) {
	var expected, found int64
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT (SELECT count(*) FROM pg_temp.%s), (SELECT count(*) FROM pg_temp.%s)", want, got)).Scan(&expected, &found); err != nil {
		return "", err
	}
	var parts []string
	if expected != found {
		parts = append(parts, fmt.Sprintf("expected %d rows, got %d", expected, found))
	}
	list := strings.Join(compared, ", ")
	for _, side := range []struct{ what, all, without string }{{"missing", want, got}, {"unexpected", got, want}} {
		if len(names) == 0 {
			break // no row is expected: the counts say it all
		}
		rows, err := tx.Query(ctx, fmt.Sprintf(`
			SELECT to_jsonb(difference)::text
			FROM (SELECT %[1]s FROM pg_temp.%[2]s EXCEPT ALL SELECT %[1]s FROM pg_temp.%[3]s) AS difference
			LIMIT %[4]d`, list, side.all, side.without, shownRows))
		if err != nil {
			return "", err
		}
		shown, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return "", err
		}
		if len(shown) > 0 {
			parts = append(parts, side.what+" "+strings.Join(shown, ", "))
		}
	}
	if len(parts) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s (%s): %s", o.Table, strings.Join(names, ", "), strings.Join(parts, "; ")), nil
}
