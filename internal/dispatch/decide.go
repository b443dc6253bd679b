package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

// answerTimeout is how long a worker may take to answer a decision or a command before it is left for the next one.
const answerTimeout = 10 * time.Second

// Delivery says how a decision or a command reached its workflow.
type Delivery string

// It was applied by a worker, or recorded for the next one.
const (
	Applied  Delivery = "applied"
	Recorded Delivery = "recorded"
)

// Decide hands a decision to a workflow. It returns the decision with its gate and plan filled in and, where a worker
// applied it, the gate as it is now.
func (d *Desk) Decide(ctx context.Context, t Talk, given gate.Decision) (Delivery, gate.Decision, gate.Gate, error) {
	full, err := address(ctx, t, given, t.remembered)
	if err != nil {
		return "", full, gate.Gate{}, err
	}
	how, g, err := deliver(ctx, full, t.Decide, t.Leave, answerTimeout)
	return how, full, g, err
}

// deliver hands a message over. An update answers at once, by the workflow's rules. Where no worker answers within patience,
// the same message is left as a signal; should the update have arrived after all, the workflow counts the two once.
func deliver[M, A any](ctx context.Context, m M, send func(context.Context, M) (A, error), leave func(context.Context, M) error, patience time.Duration) (Delivery, A, error) {
	var none A
	short, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answer, err := send(short, m)
	switch {
	case err == nil:
		return Applied, answer, nil
	case ctx.Err() != nil:
		return "", none, context.Cause(ctx)
	case !silent(err):
		return "", none, err
	}
	if err := leave(ctx, m); err != nil {
		return "", none, fmt.Errorf("record it for the next worker: %w", err)
	}
	return Recorded, none, nil
}

// address fills in the gate and the plan that a decision is about: as they were given, else those of the one open gate. What has
// ended asks no more, and says how it ended. Where no worker answers, the gate has to be given, and remembered is what Temporal knows
// even then: the plan, and a gate that is open.
func address(ctx context.Context, c conversation, d gate.Decision, remembered func(context.Context) (plan, gate string)) (gate.Decision, error) {
	s, err := c.Status(ctx)
	if err == nil && s.Stage.Finished() {
		return d, fault.Newf(fault.Conflict, "decide", cmp.Or(d.Gate, "gate"), "see what happened: drawbridge status", "no gate is open: it is "+string(s.Stage)+": "+s.Sentence)
	}
	if err == nil {
		return fill(d, s.Gates)
	}
	if !silent(err) {
		return d, err
	}
	plan, open := remembered(ctx)
	d.Plan = cmp.Or(d.Plan, plan)
	if d.Gate == "" {
		return d, fault.Newf(fault.Invalid, "decide", "gate",
			"name it: --gate "+cmp.Or(open, "GATE")+"; or start a worker: "+StartLines(Queues(nil))[0], "no worker answers, so what is open cannot be read")
	}
	return d, nil
}

// fill takes gate and plan from the gates. What is given is kept, right or wrong: the gate's rules judge it. Without a plan
// a decision is about the one open gate, or about a closed one that it names; where several are open it has to say which
// gate of which plan it has read.
func fill(d gate.Decision, gates []gate.Gate) (gate.Decision, error) {
	var open []gate.Gate
	var named gate.Gate
	for _, g := range gates {
		if g.Decided == "" {
			open = append(open, g)
		}
		if g.Name == d.Gate {
			named = g
		}
	}
	planless := named.Name != "" && named.Plan == ""
	if d.Gate != "" && (d.Plan != "" || named.Decided != "" || planless) {
		d.Plan = cmp.Or(d.Plan, named.Plan)
		return d, nil
	}
	switch len(open) {
	case 0:
		return d, fault.Newf(fault.Conflict, "decide", "gate", "see what happened: drawbridge status", "no gate is open")
	case 1:
		d.Gate = cmp.Or(d.Gate, open[0].Name)
		d.Plan = cmp.Or(d.Plan, open[0].Plan)
		return d, nil
	}
	flags := make([]string, len(open))
	for i, g := range open {
		flags[i] = "--gate " + g.Name
		if g.Plan != "" {
			flags[i] += " --plan " + gate.Short(g.Plan)
		}
	}
	return d, fault.Newf(fault.Invalid, "decide", "gate", "say which: "+strings.Join(flags, ", or "), "several gates are open")
}
