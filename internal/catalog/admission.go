package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
)

// Facts reads what admission has to know about a question. In the effect's own transaction, after its table locks and
// under ShareChange, it stays true until the commit.
func (l Ledger) Facts(ctx context.Context, q Querier, question admission.Question) (f admission.Facts, err error) {
	pipeline := question.Release.Pipeline
	if f.Environment, err = l.Environment(ctx, q); err != nil {
		return f, err
	}
	if f.Active, err = l.Active(ctx, q, pipeline); err != nil {
		return f, err
	}
	if question.Tenure != 0 {
		if f.Tenure, err = l.tenure(ctx, q, `SELECT`+tenureColumns+`FROM ledger.tenure t WHERE t.number = $1`, question.Tenure); err != nil {
			return f, err
		}
	}
	if f.Fenced, err = l.Fenced(ctx, q, string(question.Owner)); err != nil {
		return f, err
	}
	hold, err := l.Standing(ctx, q)
	if err != nil {
		return f, err
	}
	if hold.ID != 0 {
		f.Hold = fmt.Sprintf("%s (set by %s)", hold.Reason, hold.By)
	}
	crossing, err := l.Crossing(ctx, q, pipeline)
	if err != nil {
		return f, err
	}
	f.Crossing, f.Exclusive = crossing.Owner, crossing.Exclusive
	open, ok, err := l.OpenTurnBack(ctx, q, pipeline)
	if err != nil {
		return f, err
	}
	if ok {
		f.TurnBack = open.Tenure.Number
	}
	if f.Owners, err = l.Owners(ctx, q, question.Tables()); err != nil {
		return f, err
	}
	if err := l.slots(ctx, q, question, &f); err != nil {
		return f, err
	}
	if f.Tenure.Plan != "" {
		if f.Answers, err = l.Answers(ctx, q, f.Tenure.Owner, f.Tenure.Plan, f.Tenure.Release.Digest); err != nil {
			return f, err
		}
	}
	if err := q.QueryRow(ctx, l.sql(`SELECT EXISTS (SELECT FROM ledger.swap WHERE tenure = $1), clock_timestamp()`), question.Tenure).Scan(&f.Begun, &f.Now); err != nil {
		return f, fmt.Errorf("look at tenure %d: %w", question.Tenure, err)
	}
	return f, nil
}

// slots reads the generations that are to go live, and the tenures of what is live in their place.
func (l Ledger) slots(ctx context.Context, q Querier, question admission.Question, f *admission.Facts) error {
	f.Generations, f.Live = map[int64]admission.Generation{}, map[admission.Slot]int64{}
	var to []int64
	outputs, partitions := make([]string, len(question.Swaps)), make([]string, len(question.Swaps))
	for i, s := range question.Swaps {
		outputs[i], partitions[i] = s.Output, string(s.Partition)
		if s.To != 0 {
			to = append(to, s.To)
		}
	}
	rows, err := q.Query(ctx, l.sql(`
		SELECT id, pipeline, digest, config, state, control
		FROM ledger.generation
		WHERE id = ANY($1)`), to)
	if err != nil {
		return fmt.Errorf("read generations: %w", err)
	}
	var id int64
	var g admission.Generation
	if _, err := pgx.ForEachRow(rows, []any{&id, &g.Pipeline, &g.Digest, &g.Config, &g.State, &g.Control}, func() error {
		f.Generations[id] = g
		return nil
	}); err != nil {
		return fmt.Errorf("read generations: %w", err)
	}
	rows, err = q.Query(ctx, l.sql(`
		SELECT l.output, l.partition, l.tenure
		FROM ledger.live l
		JOIN unnest($1::text[], $2::text[]) AS wanted (output, partition) USING (output, partition)`), outputs, partitions)
	if err != nil {
		return fmt.Errorf("read what is live: %w", err)
	}
	var at admission.Slot
	var tenure int64
	if _, err := pgx.ForEachRow(rows, []any{&at.Output, &at.Partition, &tenure}, func() error {
		f.Live[at] = tenure
		return nil
	}); err != nil {
		return fmt.Errorf("read what is live: %w", err)
	}
	return nil
}
