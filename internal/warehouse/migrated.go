package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// migrated refuses a release whose SELECT does not give what an open migration of an output needs.
func migrated(ctx context.Context, in inspection) ([]plan.Problem, error) {
	version, err := in.w.ledger.Version(ctx, in.w.pool)
	if err != nil || version == 0 {
		return nil, err
	}
	open, err := in.w.ledger.Giving(ctx, in.w.pool, in.pipeline.Tables())
	if err != nil {
		return nil, err
	}
	var problems []plan.Problem
	for _, g := range open {
		for _, out := range in.observed.Outputs {
			if out.Table != g.Output || len(out.Candidate) == 0 { // of none it is said already why
				continue
			}
			if why := g.Lacks(columnNames(out.Candidate)); why != "" {
				problems = append(problems, plan.Problem{Rule: "migration", Object: out.Table, Blocking: true, Text: "its SELECT " + why, Remedy: g.Way()})
			}
		}
	}
	return problems, nil
}

func columnNames(columns []generation.Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// givesBack refuses to turn back to a release that does not give what a switched migration needs, or that gives what a migration took away:
// its next run would fail.
func (w *Warehouse) givesBack(ctx context.Context, q catalog.Querier, pipeline string, to release.Tenure) error {
	if to.None() {
		return nil
	}
	outputs, err := w.ledger.OutputsOf(ctx, q, pipeline)
	if err != nil {
		return err
	}
	open, err := w.ledger.Giving(ctx, q, outputs)
	if err != nil {
		return err
	}
	taken, err := w.ledger.Taken(ctx, q, pipeline)
	if err != nil {
		return err
	}
	refuse := func(reason, hint string) error {
		return fault.Newf(fault.Refused, "roll back", "to "+to.Release.String(), hint, reason)
	}
	for _, output := range outputs {
		gives, err := w.ledger.GivenBy(ctx, q, output, to.Release.Digest)
		if err != nil {
			return err
		}
		if len(gives) == 0 {
			continue // it does not have the output
		}
		for _, g := range open {
			if g.Output != output || !g.Switched {
				continue
			}
			if why := g.Lacks(gives); why != "" {
				return refuse(fmt.Sprintf("its SELECT for %s %s: what is new counts since its switch", output, why), g.Way())
			}
		}
		gone := slices.DeleteFunc(slices.Clone(taken[output]), func(name string) bool { return !slices.Contains(gives, name) })
		if len(gone) == 0 {
			continue
		}
		found, err := w.findParent(ctx, q, output)
		if err != nil {
			return err
		}
		gone = slices.DeleteFunc(gone, func(name string) bool { return slices.Contains(columnNames(found.Columns), name) })
		if len(gone) > 0 && found.OID != 0 {
			return refuse(fmt.Sprintf("its SELECT gives %s to %s, which a migration has taken away", strings.Join(gone, ", "), output),
				"go to a release that does not give it: drawbridge history "+pipeline+" --env ENV; or deploy one")
		}
	}
	return nil
}
