package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/check"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// historyDepth is how many earlier generations vs_history compares with.
const historyDepth = 30

// audit evaluates an output's checks, row count and checksum on a child, all in one snapshot that cannot write. Keys of
// failing rows go to the ledger.
func (b *build) audit(ctx context.Context, o pipeline.Output, g *catalog.Generation) ([]check.Result, error) {
	results, err := b.auditAll(ctx, o, []*catalog.Generation{g}, g.Rows)
	if err != nil {
		return nil, err
	}
	return results[0], nil
}

// auditAll is audit of several partitions, in one snapshot for all. estimate is about how many rows each has.
func (b *build) auditAll(ctx context.Context, o pipeline.Output, generations []*catalog.Generation, estimate int64) ([][]check.Result, error) {
	started := time.Now()
	object := o.Table + " " + spanOf(generations)
	var history map[string][]float64
	var err error
	if slices.ContainsFunc(o.Checks, func(c check.Check) bool { return c.VsHistory != nil }) {
		if history, err = b.w.ledger.History(ctx, b.conn, o.Table, historyDepth); err != nil {
			return nil, postgres.Classify("audit", object, err)
		}
	}
	plans := make([]check.Plan, len(generations))
	for i, g := range generations {
		b.progress(Progress{Stage: StageAudit, Output: o.Table, Partition: g.Partition, RowsIn: g.Rows})
		options := check.Options{EstimatedRows: estimate, Proved: proved(o, *g)}
		if plans[i], err = check.Compile(b.w.names.child(g.ID), checkColumns(g.Columns), o.Checks, options); err != nil {
			return nil, err
		}
	}
	var values []check.Values
	results := make([][]check.Result, len(generations))
	samples := make([]map[string][]string, len(generations))
	err = pgx.BeginTxFunc(ctx, b.author, postgres.ReadOnly(), func(tx pgx.Tx) error {
		if values, err = evaluateAll(ctx, tx, plans); err != nil {
			return err
		}
		for i, g := range generations {
			results[i] = plans[i].Judge(values[i], history)
			if samples[i], err = b.samples(ctx, tx, o, g, results[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, postgres.ClassifyRun("audit", object, err)
	}
	for i, g := range generations {
		if g.Rows, g.Checksum, err = plans[i].Totals(values[i]); err != nil {
			return nil, fmt.Errorf("audit %s: %w", object, err)
		}
		for name, keys := range samples[i] {
			if err := b.w.ledger.RecordSamples(ctx, b.conn, g.ID, name, keys); err != nil {
				return nil, postgres.Classify("audit", object, err)
			}
		}
		for r := range results[i] {
			b.progress(Progress{Stage: StageAudit, Output: o.Table, Partition: g.Partition, RowsIn: g.Rows, Check: &results[i][r]})
		}
		b.progress(Progress{Stage: StageAudit, Done: true, Output: o.Table, Partition: g.Partition, RowsIn: g.Rows, RowsOut: g.Rows, Elapsed: time.Since(started)})
	}
	return results, nil
}

// samples are keys of rows that fail, by check.
func (b *build) samples(ctx context.Context, tx pgx.Tx, o pipeline.Output, g *catalog.Generation, results []check.Result) (map[string][]string, error) {
	samples := map[string][]string{}
	for i, r := range results {
		if r.Outcome != check.Failed && r.Outcome != check.Warned {
			continue
		}
		s, ok := check.Samples(b.w.names.child(g.ID), checkColumns(g.Columns), o.Checks[i], o.Key)
		if !ok {
			continue
		}
		var err error
		if samples[r.Name], err = sampleRows(ctx, tx, s); err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// evaluateAll runs the plans of several children, which are alike: each of their statements once for all of them. Where that fails
// for a check's own SQL, each child is evaluated by itself.
func evaluateAll(ctx context.Context, tx pgx.Tx, plans []check.Plan) ([]check.Values, error) {
	values := make([]check.Values, len(plans))
	var err error
	if len(plans) > 1 {
		err = savepoint(ctx, tx, func(tx pgx.Tx) error { return unite(ctx, tx, plans, values) })
		if err != nil && !ofTheCheck(err) {
			return nil, err
		}
	}
	apart := len(plans) == 1 || err != nil
	for i, p := range plans {
		if apart {
			if values[i], err = evaluate(ctx, tx, p); err != nil {
				return nil, err
			}
			continue
		}
		if err := confirm(ctx, tx, p, &values[i]); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// unite runs each statement of the plans for all their children at once.
func unite(ctx context.Context, tx pgx.Tx, plans []check.Plan, values []check.Values) error {
	for n, s := range plans[0].Statements {
		parts := make([]string, len(plans))
		for i, p := range plans {
			parts[i] = fmt.Sprintf("SELECT '%d'::text, s.* FROM (\n%s\n) AS s", i, p.Statements[n].SQL)
		}
		rows, err := tx.Query(ctx, strings.Join(parts, "\nUNION ALL\n"))
		if err != nil {
			return err
		}
		for rows.Next() {
			texts := make([]*string, 1+len(s.Fields))
			targets := make([]any, len(texts))
			for i := range texts {
				targets[i] = &texts[i]
			}
			if err := rows.Scan(targets...); err != nil {
				rows.Close()
				return err
			}
			at, err := strconv.Atoi(*texts[0])
			if err != nil {
				rows.Close()
				return err
			}
			if err := values[at].Put(plans[at].Statements[n], texts[1:]); err != nil {
				rows.Close()
				return err
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
	}
	return nil
}

// evaluate runs a plan's statements. Where a fused one fails for a check's own SQL, each check runs apart, so that the
// others keep their result and the failing one is named.
func evaluate(ctx context.Context, tx pgx.Tx, p check.Plan) (check.Values, error) {
	values, err := runAll(ctx, tx, p.Statements, nil)
	if err != nil && ofTheCheck(err) {
		values, err = runAll(ctx, tx, p.Apart(), ofTheCheck)
	}
	if err != nil {
		return check.Values{}, err
	}
	return values, confirm(ctx, tx, p, &values)
}

// confirm counts exactly what the values put under suspicion.
func confirm(ctx context.Context, tx pgx.Tx, p check.Plan, values *check.Values) error {
	for _, s := range p.Confirm(*values) {
		row, err := oneRow(ctx, tx, s)
		if err != nil {
			return err
		}
		if err := values.Put(s, row); err != nil {
			return err
		}
	}
	return nil
}

// ofTheCheck says that a statement failed for its text or its data, so that no other try would do better.
func ofTheCheck(err error) bool {
	state := postgres.SQLState(err)
	return len(state) == 5 && slices.Contains([]string{"21", "22", "25", "42", "P0", "0A"}, state[:2])
}

// runAll runs statements one after another; tolerate says of which errors the statement's values are only lost.
func runAll(ctx context.Context, tx pgx.Tx, statements []check.Statement, tolerate func(error) bool) (check.Values, error) {
	var values check.Values
	for _, s := range statements {
		var row []*string
		err := savepoint(ctx, tx, func(tx pgx.Tx) (err error) {
			row, err = oneRow(ctx, tx, s)
			return err
		})
		switch {
		case err != nil && tolerate != nil && tolerate(err):
			values.Lose(s, "SQLSTATE "+postgres.SQLState(err))
			continue
		case err != nil:
			return check.Values{}, err
		}
		if err := values.Put(s, row); err != nil {
			return check.Values{}, err
		}
	}
	return values, nil
}

// oneRow runs a statement that returns one row of text.
func oneRow(ctx context.Context, q catalog.Querier, s check.Statement) ([]*string, error) {
	rows, err := q.Query(ctx, s.SQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) ([]*string, error) {
		texts := make([]*string, len(s.Fields))
		targets := make([]any, len(texts))
		for i := range texts {
			targets[i] = &texts[i]
		}
		return texts, row.Scan(targets...)
	})
}

// sampleRows runs a statement that selects samples, one text a row.
func sampleRows(ctx context.Context, q catalog.Querier, s check.Statement) ([]string, error) {
	rows, err := q.Query(ctx, s.SQL)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// proved names the checks that the child's own constraints prove: its unique index, and NOT NULL on key and partition.
func proved(o pipeline.Output, g catalog.Generation) map[string]bool {
	names := map[string]bool{}
	key, required := slices.Sorted(slices.Values(o.Key)), keyColumns(o, g)
	for _, c := range o.Checks {
		switch c.Kind {
		case check.Unique:
			names[c.Name] = len(key) > 0 && slices.Equal(slices.Sorted(slices.Values(c.Columns)), key)
		case check.NotNull:
			names[c.Name] = !slices.ContainsFunc(c.Columns, func(name string) bool { return !slices.Contains(required, name) })
		default:
		}
	}
	return names
}

func checkColumns(columns []generation.Column) []check.Column {
	list := make([]check.Column, len(columns))
	for i, c := range columns {
		list[i] = check.Column(c)
	}
	return list
}
