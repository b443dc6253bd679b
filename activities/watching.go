package activities

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// Watcher evaluates SQL over published tables, read only.
type Watcher interface {
	EvaluateMetric(ctx context.Context, m check.Metric) (float64, error)
	// Newest is the greatest value of an output's partition column, as a time; ok is false for an empty or absent table.
	Newest(ctx context.Context, output pipeline.Output) (at time.Time, ok bool, err error)
}

// Watching evaluates watch checks over the published tables.
type Watching struct {
	Site *Site
	Now  func() time.Time
}

// WatchBaseline are the watch metrics before a publish. A metric that cannot be evaluated yet (its table is not there) is
// absent.
type WatchBaseline struct {
	Values map[string]float64 `json:"values,omitempty"`
}

// MeasureBefore evaluates the watch metrics before anything is published. It reads only.
func (a *Watching) MeasureBefore(ctx context.Context, t Target) (WatchBaseline, error) {
	p, w, err := a.Site.open(ctx, t)
	if err != nil {
		return WatchBaseline{}, err
	}
	out := WatchBaseline{Values: map[string]float64{}}
	for _, m := range p.Watch.Checks {
		v, err := w.EvaluateMetric(ctx, m)
		switch {
		case err == nil:
			out.Values[m.Name] = v
		case fault.ClassOf(err) == "":
			return WatchBaseline{}, fmt.Errorf("evaluate %s: %w", m.Name, err)
		}
	}
	return out, nil
}

// LookInput is one look of a watch.
type LookInput struct {
	Target   Target             `json:"target"`
	Baseline map[string]float64 `json:"baseline,omitempty"`
}

// Look is what one look of a watch saw.
type Look struct {
	Verdict gate.Verdict `json:"verdict"`
	// Values are the metrics as this look found them: the baseline of those that had none before the publish.
	Values map[string]float64 `json:"values,omitempty"`
	// Late says that data is late: it alerts and asks, and never rolls back.
	Late string `json:"late,omitempty"`
	// Active is the tenure that was active when all of it had been seen.
	Active release.Tenure `json:"active"`
}

// Look evaluates the watch checks once. Only a data check that was evaluated and failed is a Fail; one that could not be
// evaluated is Inconclusive. It reads only.
func (a *Watching) Look(ctx context.Context, in LookInput) (Look, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return Look{}, err
	}
	results := make([]check.Result, 0, len(p.Watch.Checks))
	out := Look{Values: map[string]float64{}}
	for _, m := range p.Watch.Checks {
		var history []float64
		if before, ok := in.Baseline[m.Name]; ok {
			history = []float64{before}
		}
		values, err := a.evaluate(ctx, w, m)
		if err != nil {
			return Look{}, err
		}
		result := check.JudgeMetric(m, values, history)
		if result.Value != nil {
			out.Values[m.Name] = *result.Value
		}
		results = append(results, result)
	}
	out.Verdict = watched(results)
	if p.Watch.Freshness > 0 {
		if out.Late, err = a.late(ctx, p, w); err != nil {
			return Look{}, err
		}
	}
	out.Active, err = w.Active(ctx, in.Target.Release.Pipeline)
	return out, err
}

// watched folds the results of a look. A first release has no earlier values: a look at which every check had nothing to
// compare with passes, and becomes what the next ones are compared with.
func watched(results []check.Result) gate.Verdict {
	if len(results) == 0 {
		return gate.Verdict{Outcome: gate.Pass, Reason: "the release watches no check"}
	}
	for _, r := range results {
		if r.Outcome != check.Skipped {
			return check.Verdict(results)
		}
	}
	v := check.Verdict(results)
	v.Outcome, v.Reason = gate.Pass, "nothing to compare with yet: this look is the baseline"
	return v
}

// evaluate runs one metric. One that cannot be evaluated is a lost value, which judges as an error; a transient failure is
// retried by Temporal.
func (a *Watching) evaluate(ctx context.Context, w Warehouse, m check.Metric) (check.Values, error) {
	var values check.Values
	statement, err := check.CompileMetric(m)
	if err != nil {
		return values, err
	}
	v, err := w.EvaluateMetric(ctx, m)
	switch {
	case err == nil:
		text := strconv.FormatFloat(v, 'g', -1, 64)
		return values, values.Put(statement, []*string{&text})
	case fault.ClassOf(err) == "":
		return values, fmt.Errorf("evaluate %s: %w", m.Name, err)
	}
	values.Lose(statement, err.Error())
	return values, nil
}

// late says which output's newest data is older than the freshness that the pipeline promises.
func (a *Watching) late(ctx context.Context, p *pipeline.Pipeline, w Warehouse) (string, error) {
	for _, o := range p.Outputs {
		at, ok, err := w.Newest(ctx, o)
		if err != nil {
			return "", err
		}
		if age := a.Now().Sub(at); ok && age > p.Watch.Freshness {
			return fmt.Sprintf("%s: newest data is %s old, promised %s", o.Table, age.Round(time.Minute), p.Watch.Freshness), nil
		}
	}
	return "", nil
}
