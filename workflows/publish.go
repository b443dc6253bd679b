package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/workflows/conduct"
)

const (
	// firstHeld and lastHeld are how often a publish that is held looks whether it may go on.
	firstHeld = 5 * time.Second
	lastHeld  = time.Minute
)

// publish swaps, and parks when somebody holds it up: it names who, and asks. While the environment is on hold it waits.
// Nothing is visible until it is done. What it returns are the partitions in which others were faster: then nothing is
// done, and what was built there is of no use any more. Generations whose audit was inconclusive are published only because
// a person was asked before; audited tells which.
func publish(ctx workflow.Context, c *conduct.Conductor, in activities.PublishInput, audited []activities.Piece) ([]generation.Swap, error) {
	for _, p := range audited {
		in.Accepted = in.Accepted || p.Audit == gate.Inconclusive
	}
	at := conduct.Scope{Environment: in.Target.Environment, Step: in.Step}
	for held := firstHeld; ; {
		if err := c.Checkpoint(ctx); err != nil { // nothing of it is visible yet
			return nil, err
		}
		res, err := Publish.Do(ctx, c, at, in.Step, in)
		if err != nil {
			return nil, err
		}
		if res.Done {
			c.Tell(ctx, at, fmt.Sprintf("%s: %s, readers waited at most %.0f ms", in.Step, count(res.Swapped, "swap"), res.HoldMS))
			return nil, nil
		}
		switch res.WaitingFor {
		case generation.ForOthers:
			return res.Moved, nil
		case generation.ForHold:
			if held == firstHeld {
				c.Tell(ctx, at, "waits: "+res.Why)
			}
			if err := workflow.NewTimer(ctx, held).Get(ctx, nil); err != nil {
				return nil, err
			}
			held = min(2*held, lastHeld)
			continue
		}
		g, err := c.Ask(ctx, at, parked(in.Step, in.Target, res))
		if err != nil {
			return nil, err
		}
		in.Terminate, in.IgnoreSnapshots = nil, false
		switch g.Decided {
		case gate.Retry:
		case gate.Proceed:
			in.IgnoreSnapshots = true
		case gate.Terminate:
			in.Terminate = res.Blocked
		case gate.Approve, gate.Reject, gate.Rollback, gate.Keep:
			return nil, conduct.Refused(in.Step, g.Why)
		}
	}
}

// expand makes room for a release's columns, and parks like a publish.
func expand(ctx workflow.Context, c *conduct.Conductor, in activities.ExpandInput) error {
	at := conduct.Scope{Environment: in.Target.Environment, Step: "expand"}
	for {
		res, err := Expand.Do(ctx, c, at, "expand schema", in)
		if err != nil {
			return err
		}
		for _, change := range res.Changes {
			c.Tell(ctx, at, "expanded: "+change)
		}
		if res.Done {
			return nil
		}
		question := parked("expand", in.Target, generation.PublishResult{Blocked: res.Blocked, WaitingFor: generation.ForLocks})
		question.Choices = []gate.Choice{gate.Retry, gate.Reject}
		g, err := c.Ask(ctx, at, question)
		if err != nil {
			return err
		}
		if g.Decided != gate.Retry {
			return conduct.Refused("expand", g.Why)
		}
	}
}

// parked is the question of a publish that could not get its locks, or whose new rows older snapshots could not see.
func parked(step string, t activities.Target, res generation.PublishResult) gate.Gate {
	g := gate.Gate{
		Name: step + "-" + t.Environment, Choices: []gate.Choice{gate.Retry, gate.Reject, gate.Terminate},
		Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: fmt.Sprintf("%s held up by %s: nothing of it is changed", step, count(len(res.Blocked), "session"))},
	}
	if res.WaitingFor == generation.ForSnapshots {
		g.Choices = append(g.Choices, gate.Proceed)
	}
	for _, s := range res.Blocked {
		g.Verdict.Evidence = append(g.Verdict.Evidence, gate.Evidence{
			Name: s.Name(), Value: s.State,
			Limit: "holds " + s.Holds, Note: "since " + s.Since.UTC().Format("15:04:05"), Outcome: gate.Inconclusive,
		})
	}
	g.Question = fmt.Sprintf("%s waits for %s held by %s", step, res.WaitingFor, sessions(res))
	return g
}

func sessions(res generation.PublishResult) string {
	if len(res.Blocked) == 0 {
		return "sessions that have just gone"
	}
	out := ""
	for i, s := range res.Blocked {
		if i == 3 {
			return out + fmt.Sprintf(" and %d more", len(res.Blocked)-i)
		}
		if i > 0 {
			out += ", "
		}
		out += s.Name()
	}
	return out
}
