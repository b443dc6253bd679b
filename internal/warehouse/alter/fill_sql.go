package alter

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// queries are the statements of a fill. Every name in them is quoted; the expressions are those of the plan.
type queries struct {
	table postgres.Relation // in which the rows lie
	own   string            // the name of the table that is migrated, by which expressions may call it
	by    []migrate.KeyColumn
	set   []migrate.Assignment
	// asText are columns whose type has no equality.
	asText  map[string]bool
	perPage int64 // rows of a page, about
}

func (t *Tables) fillQueries(ctx context.Context, tx pgx.Tx, p migrate.Plan, table postgres.Relation) (queries, error) {
	q := queries{table: table, own: postgres.Ident(p.Migration.Table), by: p.Filling.Key, set: p.Filling.Set, asText: map[string]bool{}, perPage: 1}
	var types []string
	if err := tx.QueryRow(ctx, `
		SELECT CASE WHEN c.reltuples > 0 AND c.relpages > 0 THEN greatest(1, c.reltuples / c.relpages) ELSE 100 END::bigint, -- nobody has counted yet
		       ARRAY(
		         SELECT a.attname::text
		         FROM pg_attribute a
		         JOIN pg_type ty ON ty.oid = a.atttypid
		         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		           AND NOT EXISTS (SELECT FROM pg_opclass o WHERE o.opcdefault AND o.opcintype IN (ty.oid, ty.typbasetype))
		           AND ty.typname IN ('json', 'xml', 'point', 'line', 'lseg', 'box', 'path', 'polygon'))
		FROM pg_class c
		WHERE c.oid = $1`, table.OID).Scan(&q.perPage, &types); err != nil {
		return q, fmt.Errorf("look at the columns: %w", err)
	}
	for _, column := range types {
		q.asText[column] = true
	}
	return q, nil
}

// names are the columns of the key, each before an end. They are those of the table: a bare name would be that of the text which is selected.
func (q queries) names(end string) string {
	names := make([]string, len(q.by))
	for i, k := range q.by {
		names[i] = q.own + "." + postgres.Ident(k.Name) + end
	}
	return strings.Join(names, ", ")
}

// rows is where the rows lie, under the name by which expressions may call it.
func (q queries) rows() string { return "ONLY " + q.table.Name + " AS " + q.own }

// row is the key as one value.
func (q queries) row() string { return "(" + q.names("") + ")" }

// values are parameters as a key, from the given number on.
func (q queries) values(from int) string {
	values := make([]string, len(q.by))
	for i, k := range q.by {
		values[i] = fmt.Sprintf("$%d::text::%s", from+i, k.Type)
	}
	return "(" + strings.Join(values, ", ") + ")"
}

// bounds are the parameters of last and hi.
func (q queries) bounds(last, hi []string) []any {
	args := make([]any, 0, len(last)+len(hi)+1)
	for _, v := range append(append([]string{}, last...), hi...) {
		args = append(args, v)
	}
	return args
}

// key reads one, as text.
func (q queries) key(row pgx.CollectableRow) ([]string, error) {
	values := make([]string, len(row.FieldDescriptions()))
	targets := make([]any, len(values))
	for i := range values {
		targets[i] = &values[i]
	}
	return values, row.Scan(targets...)
}

// last selects the last key.
func (q queries) last() string {
	return fmt.Sprintf("SELECT %s FROM %s ORDER BY %s LIMIT 1", q.names("::text"), q.rows(), q.names(" DESC"))
}

// ends selects up to n - 1 keys, in order, that part the rows into n portions of about the same size, by a sample of so many percent of the pages.
func (q queries) ends() string {
	keys, numbered := make([]string, len(q.by)), make([]string, len(q.by))
	for i, k := range q.by {
		keys[i] = fmt.Sprintf("s.k%d::text", i)
		numbered[i] = fmt.Sprintf("%s.%s AS k%d", q.own, postgres.Ident(k.Name), i)
	}
	return fmt.Sprintf(`
		SELECT %[1]s
		FROM (
		  SELECT %[2]s, row_number() OVER (ORDER BY %[3]s) AS at, count(*) OVER () AS rows
		  FROM %[4]s TABLESAMPLE SYSTEM ($1::float8)
		) AS s
		WHERE s.at IN (SELECT s.rows * i / $2::bigint FROM generate_series(1, $2::bigint - 1) AS i)
		ORDER BY s.at`, strings.Join(keys, ", "), strings.Join(numbered, ", "), q.names(""), q.rows())
}

// window is the condition of a batch: after last, where there is one, up to hi. Without a key it is from one place to before another.
func (q queries) window(last bool) string {
	n := len(q.by)
	switch {
	case n == 0:
		return "ctid >= $1::text::tid AND ctid < $2::text::tid"
	case last:
		return q.row() + " > " + q.values(1) + " AND " + q.row() + " <= " + q.values(n+1)
	default:
		return q.row() + " <= " + q.values(1)
	}
}

// boundary selects the key of the last row of the next batch; none, where fewer rows are left.
func (q queries) boundary(last bool) string {
	n := len(q.by)
	if last {
		n *= 2
	}
	return fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s OFFSET $%d::int LIMIT 1", q.names("::text"), q.rows(), q.window(last), q.names(""), n+1)
}

// count counts the rows of a batch.
func (q queries) count(last bool) string {
	return fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", q.rows(), q.window(last))
}

// update writes what rows lack.
func (q queries) update(where string) string {
	needs, sets := make([]string, len(q.set)), make([]string, len(q.set))
	for i, a := range q.set {
		column := postgres.Ident(a.Column)
		left, right := column, "("+a.Expression+")"
		if q.asText[a.Column] {
			left, right = left+"::text", right+"::text"
		}
		needs[i], sets[i] = left+" IS DISTINCT FROM "+right, column+" = ("+a.Expression+")"
		if a.Keep {
			needs[i] = fmt.Sprintf("%s IS NULL AND (%s) IS NOT NULL", column, a.Expression)
		}
		if a.Keep && len(q.set) > 1 {
			sets[i] = fmt.Sprintf("%[1]s = CASE WHEN %[1]s IS NULL THEN (%[2]s) ELSE %[1]s END", column, a.Expression)
		}
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s AND (%s)", q.rows(), strings.Join(sets, ", "), where, strings.Join(needs, " OR "))
}
