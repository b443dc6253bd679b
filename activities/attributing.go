package activities

import (
	"cmp"
	"context"
	"fmt"
	"strconv"

	"drawbridge/internal/breach"
	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// attribution finds out who is to blame for one failed watch check.
type attribution struct {
	warehouse Watcher
	target    Target
	metric    check.Metric
	judge     func(value float64, failed error) (check.Result, error)
	reads     []string
}

// attribute runs the check again without the release that is watched, and, where that does not mend it, without each later
// workflow, the newest first.
func (a attribution) attribute(ctx context.Context) (breach.Breach, error) {
	owner := string(a.target.Owner)
	trial, err := a.try(ctx, owner, false)
	if err != nil {
		return breach.Breach{}, err
	}
	b := breach.OfRelease(a.metric.Name, trial)
	if b.Cause == breach.Release {
		return b, nil
	}
	later, err := a.warehouse.PublishedLater(ctx, owner, a.reads)
	if err != nil {
		return breach.Breach{}, err
	}
	for _, l := range later {
		// What a run published first is left out: it is only named, and a person decides.
		trial, err := a.try(ctx, l.Owner, true)
		if err != nil {
			return breach.Breach{}, err
		}
		if named, ok := b.OfRun(effect.Owner(l.Owner).Workflow(), commands(l, a.target.Environment), trial); ok {
			return named, nil
		}
	}
	return b, nil
}

func (a attribution) try(ctx context.Context, owner string, bare bool) (breach.Trial, error) {
	without, err := a.warehouse.MeasureWithout(ctx, a.metric, owner, bare)
	if err != nil || without.Why != "" {
		return breach.Trial{Why: without.Why, Stayed: without.Stayed}, err
	}
	result, err := a.judge(without.Value, nil)
	return breach.Trial{Outcome: result.Outcome, Stayed: without.Stayed}, err
}

// commandsShown bounds the commands of one question.
const commandsShown = 4

// commands turn back what a later workflow published, one for each partition with all its outputs: to what was live before, or to
// nothing, where nothing was.
func commands(l breach.Later, environment string) []string {
	before := map[partition.Key]int64{}
	var keys []partition.Key
	for _, p := range l.Published {
		if _, known := before[p.Partition]; !known {
			keys = append(keys, p.Partition)
		}
		before[p.Partition] = cmp.Or(before[p.Partition], p.Before)
	}
	var out []string
	for _, key := range keys[:min(len(keys), commandsShown)] {
		to := turnback.Nothing
		if id := before[key]; id != 0 {
			to = strconv.FormatInt(id, 10)
		}
		out = append(out, fmt.Sprintf("drawbridge rollback %s --env %s --partition %s --to %s --reason TEXT", l.Pipeline, environment, key, to))
	}
	return out
}
