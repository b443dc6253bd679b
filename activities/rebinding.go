package activities

import (
	"context"
	"fmt"

	"drawbridge/internal/generation"
)

// Rebinder binds a ledger to a warehouse that was dumped and restored.
type Rebinder interface {
	// Rebind records the tables that are there now. copied lets this environment take over the ledger of another one.
	Rebind(ctx context.Context, environment string, copied bool) (generation.Rebound, error)
	// Restored counts the tables that are others than the ledger recorded.
	Restored(ctx context.Context) (int, error)
	// Unseen names what is live of a pipeline in the ledger, and hangs in no table that readers see.
	Unseen(ctx context.Context, pipeline string) (generation.Unseen, error)
}

// rebind binds the ledger anew, and says what came of it, a line each.
func (a *Inspecting) rebind(ctx context.Context, in InspectInput) ([]Checked, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return nil, err
	}
	r, err := w.Rebind(ctx, a.Site.Environment, in.Copied)
	if err != nil {
		return nil, err
	}
	if in.Copied {
		if err := a.Site.join(ctx, in.Target, p.Config, w); err != nil {
			return nil, err
		}
	}
	lines := []Checked{{
		Subject: "ledger", OK: true,
		Text: fmt.Sprintf("bound anew: %d of %d generations have another table than before; it has a new epoch", r.Bound, r.Generations),
	}}
	for _, text := range r.Lines {
		lines = append(lines, Checked{Subject: "ledger", Text: text, Remedy: "build the partition again: drawbridge run " + in.Target.Release.Pipeline + " --env " + a.Site.Environment + " --partition P"})
	}
	if more := r.Left - len(r.Lines); more > 0 {
		lines = append(lines, Checked{Subject: "ledger", Text: fmt.Sprintf("and %d more have no table as recorded", more)})
	}
	return lines, nil
}

// boundLines say whether the ledger knows the tables that are there, and readers see what it has as live.
func (a *Inspecting) boundLines(ctx context.Context, pipeline string, w Warehouse) []Checked {
	n, err := w.Restored(ctx)
	switch {
	case err != nil:
		return []Checked{unwell("ledger", err)}
	case n > 0:
		return []Checked{{
			Subject: "ledger", Text: fmt.Sprintf("%d generations have another table than it recorded, as after a restore from a dump", n),
			Remedy: fmt.Sprintf("drawbridge doctor %s --env %s --rebind", pipeline, a.Site.Environment),
		}}
	}
	unseen, err := w.Unseen(ctx, pipeline)
	switch {
	case err != nil:
		return []Checked{unwell("ledger", err)}
	case len(unseen.Lines) == 0:
		return []Checked{{Subject: "ledger", OK: true, Text: "knows the tables that are there"}}
	}
	var lines []Checked
	for _, l := range unseen.Lines {
		lines = append(lines, Checked{Subject: "ledger", Text: l.Text, Remedy: l.Remedy})
	}
	if unseen.More > 0 {
		lines = append(lines, Checked{Subject: "ledger", Text: fmt.Sprintf("and %d more tables that readers should see and do not", unseen.More)})
	}
	return lines
}
