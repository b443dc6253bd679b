package alter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// errRewritten says that the table was rewritten, and its rows lie elsewhere now.
var errRewritten = errors.New("the table was rewritten")

// batch looks at the next rows, and writes what they lack, in one transaction with the cursor. It says how many rows those were.
func (f *fill) batch(ctx context.Context) (int64, error) {
	next := f.cursor
	var rows int64
	err := pgx.BeginFunc(ctx, f.t.pool, func(tx pgx.Tx) error {
		if err := f.prepare(ctx, tx); err != nil {
			return err
		}
		if err := f.leaf.within(ctx, tx, f.table.OID); err != nil {
			return err
		}
		if err := f.t.ledger.HoldCursor(ctx, tx, string(f.owner), f.cursor); err != nil {
			return err
		}
		var err error
		if len(f.plan.Filling.Key) == 0 {
			rows, err = f.pages(ctx, tx, &next)
		} else {
			rows, err = f.keys(ctx, tx, &next)
		}
		if err != nil {
			return err
		}
		facts, err := f.t.stay(ctx, tx, f.owner) // last: whoever stops it waits for the commit only
		if err != nil {
			return err
		}
		if err := filling(facts, f.owner, f.plan); err != nil {
			return err
		}
		next.Rows += rows
		return f.t.ledger.MoveCursor(ctx, tx, string(f.owner), next)
	})
	if err != nil && !errors.Is(err, errRewritten) {
		return 0, err
	}
	if errors.Is(err, errRewritten) {
		if err := f.rewind(ctx); err != nil {
			return 0, err
		}
		return 0, errRewritten
	}
	f.cursor = next
	return rows, nil
}

// prepare sets what the statements of a batch rely on: the trigger that writes both sides leaves what we write alone, rows that are hidden
// from the login are an error, and what is ahead is planned for as much as it is: a plan for any bounds might sort all of it for each batch.
func (f *fill) prepare(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `
		SELECT set_config('lock_timeout', $1, true), set_config('statement_timeout', $2, true),
		       set_config('drawbridge.backfill', 'on', true), set_config('row_security', 'off', true),
		       set_config('plan_cache_mode', 'force_custom_plan', true)`,
		postgres.Milliseconds(batchLock), postgres.Milliseconds(batchWait))
	return err
}

// keys takes the next rows in the order of the key.
func (f *fill) keys(ctx context.Context, tx pgx.Tx, next *catalog.MigrationCursor) (int64, error) {
	after := len(next.Last) > 0
	rows, err := tx.Query(ctx, f.query.boundary(after), append(f.query.bounds(next.Last, next.Upper), f.cursor.Batch-1)...)
	if err != nil {
		return 0, fmt.Errorf("look for the next rows: %w", err)
	}
	found, err := pgx.CollectRows(rows, f.query.key)
	if err != nil {
		return 0, fmt.Errorf("look for the next rows: %w", err)
	}
	n, hi := int64(f.cursor.Batch), next.Upper
	if len(found) > 0 {
		hi = found[0]
	} else { // fewer than a batch are left
		next.Done = true
		if err := tx.QueryRow(ctx, f.query.count(after), f.query.bounds(next.Last, hi)...).Scan(&n); err != nil {
			return 0, fmt.Errorf("count the last rows: %w", err)
		}
	}
	if _, err := tx.Exec(ctx, f.query.update(f.query.window(after)), f.query.bounds(next.Last, hi)...); err != nil {
		return 0, err
	}
	next.Last = hi
	return n, nil
}

// pages takes the rows of the next pages. Rows that others move meanwhile get what they lack from the trigger, whatever is changed of them; what
// we move ourselves has what it needs.
func (f *fill) pages(ctx context.Context, tx pgx.Tx, next *catalog.MigrationCursor) (int64, error) {
	if _, err := tx.Exec(ctx, "LOCK TABLE ONLY "+f.query.table.Name+" IN ROW EXCLUSIVE MODE"); err != nil {
		return 0, err
	}
	var filenode uint32
	if err := tx.QueryRow(ctx, `SELECT pg_relation_filenode($1::oid)`, f.query.table.OID).Scan(&filenode); err != nil {
		return 0, err
	}
	if filenode != next.Filenode {
		return 0, errRewritten
	}
	at, err := strconv.ParseInt(next.Last[0], 10, 64)
	if err != nil {
		return 0, err
	}
	end, err := strconv.ParseInt(next.Upper[0], 10, 64)
	if err != nil {
		return 0, err
	}
	to := min(end, at+max(1, int64(f.cursor.Batch)/f.query.perPage))
	from, until := fmt.Sprintf("(%d,0)", at), fmt.Sprintf("(%d,0)", to)
	var n int64
	if err := tx.QueryRow(ctx, f.query.count(true), from, until).Scan(&n); err != nil {
		return 0, err
	}
	if _, err := tx.Exec(ctx, f.query.update(f.query.window(true)), from, until); err != nil {
		return 0, err
	}
	next.Last = []string{strconv.FormatInt(to, 10)}
	next.Done = to >= end
	return n, nil
}

// rewind begins anew: what is filled already needs nothing.
func (f *fill) rewind(ctx context.Context) error {
	return pgx.BeginFunc(ctx, f.t.pool, func(tx pgx.Tx) error {
		if err := f.t.ledger.HoldCursor(ctx, tx, string(f.owner), f.cursor); err != nil {
			return err
		}
		c, err := f.begin(ctx, tx)
		if err != nil {
			return err
		}
		c.Attempt = f.cursor.Attempt
		f.cursor = c
		return f.t.ledger.MoveCursor(ctx, tx, string(f.owner), c)
	})
}

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

// operation names what fills a column, as the file has it.
func operation(p migrate.Plan, column string) string {
	for _, o := range p.Migration.Operations {
		if o.Column == column || o.To == column || strings.HasPrefix(column, o.Column+"__") {
			return string(o.Kind) + " " + o.Column
		}
	}
	return column
}

// explain says of rows that the expressions fail on which operation that is, and where keys of them are to be found.
func (f *fill) explain(ctx context.Context, err error) error {
	if !onRow(err) {
		return err
	}
	names := make([]string, len(f.plan.Filling.Set))
	for i, a := range f.plan.Filling.Set {
		names[i] = operation(f.plan, a.Column)
	}
	hint := "correct the data, and go on"
	if kept := f.keepFailing(ctx, names[0]); kept > 0 {
		hint += "; keys of such rows, in the warehouse: " + f.t.ledger.MigrationSamplesQuery(f.plan.Migration.Table)
	}
	return fault.New(fault.Refused, "fill", object(f.plan), hint,
		fmt.Errorf("%s fails on a row, after %d rows: %w", strings.Join(names, ", "), f.cursor.Rows, wordsOf(err)))
}
