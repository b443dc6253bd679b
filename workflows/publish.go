package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/workflows/conduct"
)

// publish swaps, and parks when somebody holds it up: it names who, and asks. Nothing is visible until it is done.
// Generations whose audit was inconclusive are published only because a person was asked before; audited tells which.
func publish(ctx workflow.Context, c *conduct.Conductor, in activities.PublishInput, audited []activities.Piece) error {
	for _, p := range audited {
		in.Accepted = in.Accepted || p.Audit == gate.Inconclusive
	}
	at := conduct.Scope{Environment: in.Target.Environment, Step: in.Step}
	for {
		res, err := Publish.Do(ctx, c, at, in.Step, in)
		if err != nil {
			return err
		}
		if res.Done {
			c.Tell(ctx, at, fmt.Sprintf("%s: %s, readers waited at most %.0f ms", in.Step, count(res.Swapped, "partition"), res.HoldMS))
			return nil
		}
		question := parked(in.Step, in.Target, res)
		question.Choices, question.Endless = append(question.Choices, gate.Terminate), in.TurnBack
		if res.WaitingFor == "snapshots" {
			question.Choices = append(question.Choices, gate.Proceed)
		}
		g, err := c.Ask(ctx, at, question)
		if err != nil {
			return err
		}
		in.Terminate, in.IgnoreSnapshots = nil, false
		switch g.Decided {
		case gate.Retry:
		case gate.Proceed:
			in.IgnoreSnapshots = true
		case gate.Terminate:
			in.Terminate = res.Blocked
		case gate.Approve, gate.Reject, gate.Rollback, gate.Keep:
			return conduct.Refused(in.Step, g.Why)
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
		g, err := c.Ask(ctx, at, parked("expand", in.Target, activities.PublishResult{Blocked: res.Blocked, WaitingFor: "locks"}))
		if err != nil {
			return err
		}
		if g.Decided != gate.Retry {
			return conduct.Refused("expand", g.Why)
		}
	}
}

// parked is the question of a publish that could not get its locks, or whose new rows older snapshots could not see.
func parked(step string, t activities.Target, res activities.PublishResult) gate.Gate {
	g := gate.Gate{
		Name: step + "-" + t.Environment, Choices: []gate.Choice{gate.Retry, gate.Reject},
		Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: fmt.Sprintf("%s held up by %s: nothing is changed", step, count(len(res.Blocked), "session"))},
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

func sessions(res activities.PublishResult) string {
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
