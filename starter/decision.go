package main

import (
	"context"
	"fmt"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

// decideTimeout is how long a worker may take to answer a decision before it is left for the next one.
const decideTimeout = 10 * time.Second

// delivery says how a decision reached its workflow.
type delivery string

// A decision was applied by a worker, or recorded for the next one.
const (
	applied  delivery = "applied"
	recorded delivery = "recorded"
)

// deliver hands a decision over. An update answers at once, by the gate's rules. Where no worker answers within patience,
// the same decision is left as a signal; should the update have arrived after all, the gate counts the two once.
func deliver(ctx context.Context, c conversation, d gate.Decision, patience time.Duration) (delivery, gate.Gate, error) {
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	g, err := c.Decide(short, d)
	switch {
	case err == nil:
		return applied, g, nil
	case ctx.Err() != nil:
		return "", gate.Gate{}, context.Cause(ctx)
	case !silent(err):
		return "", gate.Gate{}, err
	}
	if err := c.Leave(ctx, d); err != nil {
		return "", gate.Gate{}, fmt.Errorf("record decision: %w", err)
	}
	return recorded, gate.Gate{}, nil
}

// address fills in the gate and the plan that a decision is about: as they were given, else those of the one open gate.
// Where no worker answers, the gate has to be given, and remembered is the plan that Temporal knows even then.
func address(ctx context.Context, c conversation, d gate.Decision, remembered func(context.Context) string) (gate.Decision, error) {
	s, err := c.Status(ctx)
	if err == nil {
		return fill(d, s.Gates)
	}
	if !silent(err) {
		return d, err
	}
	if d.Plan == "" {
		d.Plan = remembered(ctx)
	}
	if d.Gate == "" {
		return d, fault.Newf(fault.Invalid, "decide", "gate",
			"name it: --gate GATE; or start a worker: "+startLines(queues(nil))[0], "no worker answers, so what is open cannot be read")
	}
	return d, nil
}

// fill takes gate and plan from the gates. What is given is kept, right or wrong: the gate's rules judge it.
func fill(d gate.Decision, gates []gate.Gate) (gate.Decision, error) {
	var open []gate.Gate
	plan := ""
	for _, g := range gates {
		if g.Decided == "" {
			open = append(open, g)
		}
		if g.Name == d.Gate {
			plan = g.Plan
		}
	}
	if d.Gate == "" {
		switch len(open) {
		case 0:
			return d, fault.Newf(fault.Conflict, "decide", "gate", "see what happened: drawbridge status", "no gate is open")
		case 1:
			d.Gate, plan = open[0].Name, open[0].Plan
		default:
			return d, fault.Newf(fault.Invalid, "decide", "gate", "choose one: --gate "+open[0].Name, "several gates are open")
		}
	}
	if d.Plan == "" {
		d.Plan = plan
	}
	return d, nil
}
