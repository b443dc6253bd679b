package alter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

const (
	// sampled is how many keys of rows are kept.
	sampled = 5
	// searchWait bounds the search for rows that an expression fails on.
	searchWait = 30 * time.Second
)

// onRow says whether an error is one of what rows hold.
func onRow(err error) bool {
	state := postgres.SQLState(err)
	return state != "" && slices.Contains([]string{"22", "23", "P0"}, state[:2])
}

// wordsOf is what may be said of such an error: nothing that a row holds.
func wordsOf(err error) error {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return errors.New(postgres.DescribeRun(pg))
	}
	return err
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
func (p *portion) explain(ctx context.Context, err error) error {
	if !onRow(err) {
		return err
	}
	names := make([]string, len(p.plan.Filling.Set))
	for i, a := range p.plan.Filling.Set {
		names[i] = operation(p.plan, a.Column)
	}
	hint := "correct the data, and go on"
	if kept := p.keepFailing(ctx, names[0]); kept > 0 {
		hint += "; keys of such rows, in the warehouse: " + p.t.ledger.MigrationSamplesQuery(p.plan.Migration.Table)
	}
	return fault.New(fault.Refused, "fill", object(p.plan), hint,
		fmt.Errorf("%s fails on a row, after %d rows: %w", strings.Join(names, ", "), p.filled().Rows, wordsOf(err)))
}

// keepFailing looks in the batch that has failed for rows on which it does, by halves, and keeps their keys in the ledger. Nothing of the batch
// is written. It says how many it has kept.
func (p *portion) keepFailing(ctx context.Context, subject string) int {
	ctx, cancel := context.WithTimeout(ctx, searchWait)
	defer cancel()
	var failing []string
	err := pgx.BeginFunc(ctx, p.t.pool, func(tx pgx.Tx) error {
		if err := p.prepare(ctx, tx); err != nil {
			return err
		}
		places, err := p.places(ctx, tx)
		if err != nil {
			return err
		}
		if failing, err = p.search(ctx, tx, places, failing); err != nil {
			return err
		}
		return errSearched // whatever was tried is undone
	})
	if !errors.Is(err, errSearched) || len(failing) == 0 {
		return 0
	}
	if err := pgx.BeginFunc(ctx, p.t.pool, func(tx pgx.Tx) error {
		return p.t.ledger.RecordMigrationSamples(ctx, tx, string(p.owner), subject, failing)
	}); err != nil {
		return 0
	}
	return len(failing)
}

var errSearched = errors.New("searched")

// places are the rows of the next batch: what an update of one needs, and how a person knows it.
func (p *portion) places(ctx context.Context, tx pgx.Tx) ([]place, error) {
	q, window := p.query, p.query.window(len(p.cursor.Last) > 0)
	shown, order := "ctid::text", "ctid"
	if !p.leaf.whole {
		shown = placeOf
	}
	args := p.query.bounds(p.cursor.Last, p.cursor.Upper)
	if len(q.by) > 0 {
		shown, order = "concat_ws(', ', "+q.names("::text")+")", q.names("")
	} else {
		for i := range args {
			args[i] = fmt.Sprintf("(%s,0)", args[i])
		}
	}
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT ctid::text, %s FROM %s WHERE %s ORDER BY %s LIMIT %d", shown, q.rows(), window, order, p.cursor.Batch), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[place])
}

// place is where a row lies, and its key.
type place struct{ At, Key string }

// search tries rows, and halves them where that fails, until it knows enough single rows.
func (p *portion) search(ctx context.Context, tx pgx.Tx, places []place, failing []string) ([]string, error) {
	if len(places) == 0 || len(failing) >= sampled {
		return failing, nil
	}
	at := make([]string, len(places))
	for i, row := range places {
		at[i] = row.At
	}
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, p.query.update("ctid = ANY($1::text[]::tid[])"), at); err != nil {
			return err
		}
		return errSearched
	})
	switch {
	case errors.Is(err, errSearched):
		return failing, nil
	case !onRow(err):
		return failing, err
	case len(places) == 1:
		return append(failing, places[0].Key), nil
	}
	if failing, err = p.search(ctx, tx, places[:len(places)/2], failing); err != nil {
		return failing, err
	}
	return p.search(ctx, tx, places[len(places)/2:], failing)
}

// placeOf selects how a person knows a row without a key, where it may lie in any partition.
const placeOf = "concat_ws(' ', tableoid::regclass, ctid)"

// keyOf selects how a person knows a row.
func keyOf(key []string) string {
	if len(key) == 0 {
		return "ctid::text"
	}
	names := make([]string, len(key))
	for i, name := range key {
		names[i] = postgres.Ident(name) + "::text"
	}
	return "concat_ws(', ', " + strings.Join(names, ", ") + ")"
}
