package activities

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"drawbridge/internal/breach"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// Watcher evaluates SQL over published tables, read only.
type Watcher interface {
	Measure(ctx context.Context, m check.Metric) (breach.Measured, error)
	// MeasureBefore is Measure before a publish; ok is false where nothing is live yet of an output that the check reads.
	MeasureBefore(ctx context.Context, m check.Metric, outputs []string) (found breach.Measured, ok bool, err error)
	// MeasureWithout runs a check as if a workflow had published nothing; bare, without what it published first too.
	MeasureWithout(ctx context.Context, m check.Metric, owner string, bare bool) (breach.Without, error)
	// PublishedLater lists who published after a workflow into what a check reads, newest first.
	PublishedLater(ctx context.Context, owner string, reads []string) ([]breach.Later, error)
	// Since is the tenure that ended another one, by its number, or the active one where none did.
	Since(ctx context.Context, pipeline string, number int64) (release.Tenure, error)
	// Newest is the greatest value of an output's partition column, as a time; ok is false for an empty or absent table.
	Newest(ctx context.Context, output pipeline.Output) (at time.Time, ok bool, err error)
}

// Watching evaluates watch checks over the published tables.
type Watching struct {
	Site *Site
}

// WatchBaseline are the watch metrics before a publish. A metric that cannot be evaluated yet (its table is not there, or
// is still empty) is absent.
type WatchBaseline struct {
	Values map[string]float64 `json:"values,omitempty"`
	// Lost says of metrics why they gave no value, though there was one to give.
	Lost map[string]string `json:"lost,omitempty"`
	// Reads are the tables and views that each metric read.
	Reads map[string][]string `json:"reads,omitempty"`
}

// MeasureBefore evaluates the watch metrics right before something is published. It reads only.
func (a *Watching) MeasureBefore(ctx context.Context, t Target) (WatchBaseline, error) {
	p, w, err := a.Site.open(ctx, t)
	if err != nil {
		return WatchBaseline{}, err
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	out := WatchBaseline{Values: map[string]float64{}, Lost: map[string]string{}, Reads: map[string][]string{}}
	for _, m := range p.Watch.Checks {
		found, ok, err := w.MeasureBefore(ctx, m, p.Tables())
		switch {
		case err == nil && !ok:
		case err == nil:
			out.Values[m.Name], out.Reads[m.Name] = found.Value, found.Reads[:min(len(found.Reads), readsShown)]
		case fault.ClassOf(err) == "":
			return WatchBaseline{}, fmt.Errorf("evaluate %s: %w", m.Name, err)
		default:
			out.Lost[m.Name] = fault.Bound(err.Error())
		}
	}
	return out, nil
}

// readsShown bounds how many tables of a metric travel with a baseline.
const readsShown = 50

// LookInput is one look of a watch.
type LookInput struct {
	Target   Target             `json:"target"`
	Baseline map[string]float64 `json:"baseline,omitempty"`
	Lost     map[string]string  `json:"lost,omitempty"` // of the baseline
}

// Look is what one look of a watch saw.
type Look struct {
	Verdict gate.Verdict `json:"verdict"`
	// Breaches are the checks that failed, with who is to blame.
	Breaches []breach.Breach `json:"breaches,omitempty"`
	// Values are the metrics as this look found them: the baseline of those that had none before the publish.
	Values map[string]float64 `json:"values,omitempty"`
	// Late says that data is late: it alerts and asks, and never rolls back.
	Late string `json:"late,omitempty"`
	// Active is the tenure that was active when all of it had been seen, or that which ended the watched one, where others came after.
	Active release.Tenure `json:"active"`
}

// Look evaluates the watch checks once. Only a data check that was evaluated and failed is a Fail, and is attributed; one
// that could not be evaluated is Inconclusive. It reads only.
func (a *Watching) Look(ctx context.Context, in LookInput) (Look, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return Look{}, err
	}
	beat, stop := pulse(ctx, partition.AllKey) // attributing a breach runs its check many times
	defer stop()
	results := make([]check.Result, 0, len(p.Watch.Checks))
	out := Look{Values: map[string]float64{}}
	for _, m := range p.Watch.Checks {
		beat(Progress{Stage: "watch", Check: m.Name, Middle: true})
		result, breached, err := a.check(ctx, w, in.Target, m, judging(m, in.Baseline, in.Lost[m.Name]))
		if err != nil {
			return Look{}, err
		}
		if result.Value != nil {
			out.Values[m.Name] = *result.Value
		}
		results = append(results, result)
		if breached != nil {
			out.Breaches = append(out.Breaches, *breached)
		}
	}
	out.Verdict = watched(results)
	if p.Watch.Freshness > 0 {
		if out.Late, err = late(ctx, p, w, in.Target.Now); err != nil {
			return Look{}, err
		}
	}
	if out.Active, err = w.Since(ctx, in.Target.Release.Pipeline, in.Target.Tenure); err != nil {
		return Look{}, err
	}
	// The checks may have waited until somebody had restored an older ledger: what is active there is no word about this watch.
	return out, remembers(ctx, w, in.Target)
}

// looksAgain bounds how often a check is looked at while its tables change.
const looksAgain = 3

// check evaluates a check, and attributes it where it fails. What somebody publishes or turns back between the two would have the wrong one
// blamed, so it counts only where the check gives the same afterwards.
func (a *Watching) check(ctx context.Context, w Warehouse, t Target, m check.Metric, judge func(float64, error) (check.Result, error)) (check.Result, *breach.Breach, error) {
	measure := func() (breach.Measured, check.Result, error) {
		found, err := w.Measure(ctx, m)
		if err != nil && fault.ClassOf(err) == "" {
			return found, check.Result{}, fmt.Errorf("evaluate %s: %w", m.Name, err)
		}
		result, err := judge(found.Value, err)
		return found, result, err
	}
	found, result, err := measure()
	for looks := 0; err == nil && result.Outcome == check.Failed; looks++ {
		b, err := attribution{warehouse: w, target: t, metric: m, judge: judge, reads: found.Reads}.attribute(ctx)
		if err != nil {
			return result, nil, fmt.Errorf("attribute the breach of %s: %w", m.Name, err)
		}
		before := found.Value
		if found, result, err = measure(); err != nil {
			return result, nil, err
		}
		if result.Outcome == check.Failed && (found.Value == before || looks == looksAgain) {
			return result, &b, nil
		}
	}
	return result, nil, err
}

// judging holds a value of one metric against its limits and the value before the publish. One that could not be evaluated
// is a lost value, which judges as an error; so is one within its limits whose earlier value was lost: there is nothing to compare
// it with.
func judging(m check.Metric, baseline map[string]float64, lost string) func(value float64, failed error) (check.Result, error) {
	var history []float64
	if before, ok := baseline[m.Name]; ok {
		history = []float64{before}
	}
	return func(value float64, failed error) (check.Result, error) {
		statement, err := check.CompileMetric(m)
		if err != nil {
			return check.Result{}, err
		}
		var values check.Values
		if failed != nil {
			values.Lose(statement, failed.Error())
			return check.JudgeMetric(m, values, history), nil
		}
		text := strconv.FormatFloat(value, 'g', -1, 64)
		if err := values.Put(statement, []*string{&text}); err != nil {
			return check.Result{}, err
		}
		result := check.JudgeMetric(m, values, history)
		if lost != "" && m.VsHistory != nil && result.Outcome != check.Failed {
			var none check.Values
			none.Lose(statement, "it gave no value right before the publish, so there is nothing to compare with: "+lost)
			result = check.JudgeMetric(m, none, nil)
		}
		return result, nil
	}
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

// late says which output's newest data is older than the freshness that the pipeline promises.
func late(ctx context.Context, p *pipeline.Pipeline, w Warehouse, now time.Time) (string, error) {
	for _, o := range p.Outputs {
		at, ok, err := w.Newest(ctx, o)
		if err != nil {
			return "", err
		}
		if age := now.Sub(at); ok && age > p.Watch.Freshness {
			return fmt.Sprintf("%s: newest data is %s old, promised %s", o.Table, age.Round(time.Minute), p.Watch.Freshness), nil
		}
	}
	return "", nil
}
