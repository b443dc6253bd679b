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

// migrated refuses a release whose SELECT does not give what a migration of an output needs or has brought, or gives what one has taken away.
func migrated(ctx context.Context, in inspection) ([]plan.Problem, error) {
	version, err := in.w.ledger.Version(ctx, in.w.pool)
	if err != nil || version == 0 {
		return nil, err
	}
	open, err := in.w.ledger.Giving(ctx, in.w.pool, in.pipeline.Tables())
	if err != nil {
		return nil, err
	}
	taken, err := in.w.ledger.Taken(ctx, in.w.pool, in.pipeline.Name)
	if err != nil {
		return nil, err
	}
	var problems []plan.Problem
	for _, out := range in.observed.Outputs {
		refuse := func(text, remedy string) {
			problems = append(problems, plan.Problem{Rule: "migration", Object: out.Table, Blocking: true, Text: "its SELECT " + text, Remedy: remedy})
		}
		gives := columnNames(out.Candidate)
		if len(gives) == 0 { // it is said already why
			continue
		}
		for _, g := range open {
			if g.Output != out.Table {
				continue
			}
			if why := g.Lacks(gives); why != "" {
				refuse(why, g.Way())
			}
		}
		if why := givesTaken(out.Table, taken[out.Table], gives, out.Columns); why != "" {
			refuse(why, "leave it out of the SELECT; or bring it back by a migration of its own (add_column), and deploy this then")
		}
	}
	return problems, nil
}

// givesTaken says which columns a SELECT gives to an output, of which table has those that are said, although migrations have taken them
// away; empty: none. One that the table has again was brought back, and of a table that is gone there is nothing to hold it to.
func givesTaken(output string, taken, gives []string, table []generation.Column) string {
	has := columnNames(table)
	gone := slices.DeleteFunc(slices.Clone(taken), func(name string) bool {
		return !slices.Contains(gives, name) || slices.Contains(has, name)
	})
	if len(gone) == 0 || len(has) == 0 {
		return ""
	}
	return fmt.Sprintf("gives %s to %s, which a migration has taken away", strings.Join(gone, ", "), output)
}

func columnNames(columns []generation.Column) []string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	return names
}

// givesBack refuses to turn back to a release that does not give what a switched migration needs or has brought, or that gives what one took
// away: its next run would fail, or leave readers without it.
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
		if len(taken[output]) > 0 {
			found, err := w.findParent(ctx, q, output)
			if err != nil {
				return err
			}
			if why := givesTaken(output, taken[output], gives, found.Columns); why != "" {
				return refuse("its SELECT "+why, "go to a release that does not give it: drawbridge history "+pipeline+" --env ENV; or deploy one")
			}
		}
		for _, g := range open {
			if g.Output != output || !g.Switched {
				continue
			}
			why := g.Lacks(gives)
			if why == "" {
				continue
			}
			if !g.Done {
				why += ": what is new counts since its switch"
			}
			return refuse("its SELECT for "+output+" "+why, g.Way())
		}
	}
	return nil
}
