package activities

import (
	"context"
	"fmt"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/backfill"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

// CutInput is one transaction of a backfill that becomes visible when all of it is built.
type CutInput struct {
	Target Target `json:"target"`
	Plan   string `json:"plan"` // digest
	Part   int    `json:"part"`
	Round  int    `json:"round"` // of the plan
	// Left is how many partitions people have left out: all others of the plan have to be built.
	Left int `json:"left,omitempty"`
	// Window is when a person lets it work; empty: whenever the environment does.
	Window string `json:"window,omitempty"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// CutOver publishes a transaction of a plan, whole, at most once under target + part + round. Which generations that are is the
// ledger's; what others were faster with is built again first. The answer counts all partitions of the backfill that are live.
func (a *Filling) CutOver(ctx context.Context, in CutInput) (Filled, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return Filled{}, err
	}
	f := filling{Filling: a, p: p, w: w, in: FillInput{Target: in.Target, Plan: in.Plan, Round: in.Round, By: in.By, Reason: in.Reason}}
	if f.plan, err = a.plan(ctx, in.Target, in.Plan); err != nil {
		return Filled{}, err
	}
	if in.Part < 0 || in.Part >= len(f.plan.Parts) {
		return Filled{}, fault.Newf(fault.Invalid, "read cut-over of plan", in.Plan, "start the backfill again", fmt.Sprintf("it has %d transactions, not %d", len(f.plan.Parts), in.Part+1))
	}
	c := cut{filling: f, part: in.Part, key: in.Target.Effect(fmt.Sprintf("backfill-%d", in.Part+1), "", in.Round)}
	done, known, err := w.Published(ctx, c.key, false)
	if err != nil {
		return Filled{}, err
	}
	if !known {
		if err := f.entitled(ctx); err != nil {
			return Filled{}, err
		}
		if moved, err := f.moved(ctx); err != nil || moved {
			return Filled{Moved: moved}, err
		}
		if why, opens := f.closed(in.Window); len(why) > 0 {
			return Filled{Throttled: why, Opens: opens}, nil
		}
		if err := c.complete(ctx, in.Left); err != nil {
			return Filled{}, err
		}
		if done, err = c.publish(ctx); err != nil {
			if moved, lost := f.moved(ctx); lost != nil || moved { // it is not about what was built
				return Filled{Moved: moved}, lost
			}
			return Filled{}, err
		}
	}
	if !done.Done {
		return Filled{Parked: done, About: admission.AboutEffect(c.key)}, nil
	}
	live, err := w.Filled(ctx, in.Target.Owner)
	return Filled{Published: live, Swaps: done.Swapped}, err
}

// closed says which windows are closed.
func (f filling) closed(own string) (why []string, opens time.Time) {
	load := throttled{site: f.Site, own: own, now: f.Now}
	return load.closed()
}

// cut is one transaction of a backfill.
type cut struct {
	filling
	part int
	key  effect.Key
}

// ready are the swaps of items of which every output was built and has passed its audit, and how many items that are not.
func (c cut) ready(ctx context.Context, items []backfill.Item) (swaps []generation.Swap, missing int, err error) {
	built, err := c.w.Candidates(ctx, c.in.Target.Owner, c.in.Target.Tenure)
	if err != nil {
		return nil, 0, err
	}
	passed := map[generation.Item]generation.Swap{}
	for _, b := range built {
		if b.Audit == gate.Pass {
			passed[generation.Item{Output: b.Output, Partition: b.Partition}] = b.Swap
		}
	}
	for _, it := range items {
		var all []generation.Swap
		for _, output := range c.outputs(it) {
			if s, ok := passed[generation.Item{Output: output, Partition: it.Partition}]; ok {
				all = append(all, s)
			}
		}
		if len(all) < len(c.outputs(it)) {
			missing++
			continue
		}
		swaps = append(swaps, all...)
	}
	return swaps, missing, nil
}

// complete refuses to publish anything of a plan of which more is missing than people have left out.
func (c cut) complete(ctx context.Context, left int) error {
	if c.part > 0 {
		return nil
	}
	var items []backfill.Item
	for part := range c.plan.Parts {
		items = append(items, c.plan.Part(part)...)
	}
	_, missing, err := c.ready(ctx, items)
	if err == nil && missing > left {
		err = fault.Newf(fault.Conflict, "backfill", c.p.Name, "start it again: drawbridge backfill "+c.p.Name+" --env "+c.Site.Environment+" --from "+string(c.plan.Ask.From)+" --to "+string(c.plan.Ask.To)+" --reason TEXT",
			fmt.Sprintf("%d partitions of the plan are not built, and %d were left out", missing, left))
	}
	return err
}

// publish publishes what is ready, and builds again what moved meanwhile.
func (c cut) publish(ctx context.Context) (generation.PublishResult, error) {
	items := c.plan.Part(c.part)
	for round := 1; ; round++ {
		swaps, _, err := c.ready(ctx, items)
		if err != nil {
			return generation.PublishResult{}, err
		}
		if len(swaps) == 0 {
			return generation.PublishResult{Done: true}, nil
		}
		spec := c.Site.publishSpec(ctx, PublishInput{Target: c.in.Target, Step: c.key.Step, Round: c.in.Round, By: c.in.By, Reason: c.in.Reason})
		_, stop := pulse(ctx, partition.AllKey)
		res, err := c.w.Publish(ctx, spec, c.Site.ticket(c.in.Target, admission.Publish, nil, swaps), func(time.Duration, time.Duration) {})
		stop()
		if err != nil || res.WaitingFor != generation.ForOthers {
			return res, err
		}
		if round == fillRounds {
			return generation.PublishResult{}, fault.Newf(fault.Conflict, "backfill", c.p.Name, "try it again when the other runs have ended", "other runs were faster, again and again")
		}
		if err := c.again(ctx, items, res.Moved, round); err != nil {
			return generation.PublishResult{}, err
		}
	}
}

// again builds the items of which something moved.
func (c cut) again(ctx context.Context, items []backfill.Item, swaps []generation.Swap, round int) error {
	moved := map[partition.Key]bool{}
	for _, s := range swaps {
		moved[s.Partition] = true
	}
	_, key := c.step(round)
	for _, it := range items {
		if !moved[it.Partition] {
			continue
		}
		if _, err := c.build(ctx, it, key); err != nil {
			return err
		}
	}
	return nil
}
