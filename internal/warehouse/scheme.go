package warehouse

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// otherwise finds an output of which something is live that is cut in another way than what would go live.
func otherwise(live, coming map[string][]partition.Scheme) (output string, was, is partition.Scheme, found bool) {
	for _, output := range slices.Sorted(maps.Keys(coming)) {
		for _, is := range coming[output] {
			for _, was := range live[output] {
				if !was.Same(is) {
					return output, was, is, true
				}
			}
		}
	}
	return "", was, is, false
}

// cutAlike refuses to let partitions go live beside, or in the place of, such as are cut in another way: keys would say other spans
// than those that they replace, and readers would see some rows twice and others not at all.
func (w *Warehouse) cutAlike(ctx context.Context, q catalog.Querier, op, pipeline string, coming map[string][]partition.Scheme) error {
	live, err := w.ledger.SchemesIn(ctx, q, slices.Collect(maps.Keys(coming)), generation.Live)
	if err != nil {
		return err
	}
	output, was, is, found := otherwise(live, coming)
	if !found {
		return nil
	}
	return fault.Newf(fault.Refused, op, output,
		fmt.Sprintf("take away first what is live: drawbridge rollback %[1]s --env ENV --to nothing --reason TEXT; then go back: drawbridge rollback %[1]s --env ENV --to NUMBER --reason TEXT, "+
			"which drawbridge history %[1]s --env ENV lists", pipeline),
		fmt.Sprintf("what is live is partitioned by %s, and what would go live by %s: readers would see some rows twice and others not at all", was.Text(), is.Text()))
}

// cutAlike holds a publish to how its tables are cut.
func (p *publication) cutAlike(ctx context.Context, q catalog.Querier) error {
	coming := map[string][]partition.Scheme{}
	for _, s := range p.swaps() {
		if g := p.generations[s.To]; s.To != 0 && !slices.Contains(coming[s.Output], g.Scheme) {
			coming[s.Output] = append(coming[s.Output], g.Scheme)
		}
	}
	if len(coming) == 0 {
		return nil
	}
	return p.w.cutAlike(ctx, q, "publish", p.ticket.Question.Release.Pipeline, coming)
}

// wayBack refuses to turn back to a tenure under which outputs were cut in another way than they are now.
func (w *Warehouse) wayBack(ctx context.Context, q catalog.Querier, pipeline string, to release.Tenure) error {
	if to.None() {
		return nil
	}
	outputs, err := w.ledger.OutputsOf(ctx, q, pipeline)
	if err != nil {
		return err
	}
	coming, err := w.ledger.SchemesUnder(ctx, q, outputs, to)
	if err != nil {
		return err
	}
	return w.cutAlike(ctx, q, "roll back", pipeline, coming)
}

// keptOtherwise refuses outputs that are cut in another way than data that is kept and could go live again.
func keptOtherwise(ctx context.Context, in inspection) ([]plan.Problem, error) {
	version, err := in.w.ledger.Version(ctx, in.w.pool)
	if err != nil || version == 0 {
		return nil, err
	}
	kept, err := in.w.ledger.SchemesIn(ctx, in.w.pool, in.pipeline.Tables(), generation.Retired)
	if err != nil {
		return nil, err
	}
	var problems []plan.Problem
	for i, o := range in.pipeline.Outputs {
		if len(in.observed.Outputs[i].Live) > 0 {
			continue // how that is cut says it
		}
		if _, was, is, found := otherwise(kept, map[string][]partition.Scheme{o.Table: {o.Partition}}); found {
			problems = append(problems, plan.KeptOtherwise(o.Table, was, is))
		}
	}
	return problems, nil
}
