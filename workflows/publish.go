package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
)

// build runs one slice on the environment's build queue.
func (c *conversation) build(ctx workflow.Context, name string, in activities.SliceInput, out *activities.SliceResult) error {
	var acts *activities.Builds // nil: only names the method
	env := in.Target.Environment
	return c.perform(ctx, name+"-"+env, buildOptions(env, "build "+name), acts.BuildSlice, in, out)
}

// publish swaps, and parks when somebody holds it up: it names who, and asks. Nothing is visible until it is done.
// Generations whose audit was inconclusive are published only because a person was asked before; audited tells which.
func (c *conversation) publish(ctx workflow.Context, in activities.PublishInput, audited []activities.Piece) error {
	for _, p := range audited {
		in.Accepted = in.Accepted || p.Audit == gate.Inconclusive
	}
	var acts *activities.Publishing // nil: only names the method
	env := in.Target.Environment
	for {
		var res activities.PublishResult
		if err := c.perform(ctx, in.Step+"-"+env, publishOptions(env, in.Step), acts.Publish, in, &res); err != nil {
			return err
		}
		if res.Done {
			c.event(ctx, fmt.Sprintf("%s: %s, readers waited at most %.0f ms", in.Step, count(res.Swapped, "partition"), res.HoldMS))
			return nil
		}
		question := parked(in.Step, in.Target, res)
		question.Choices, question.Endless = append(question.Choices, gate.Terminate), in.TurnBack
		if res.WaitingFor == "snapshots" {
			question.Choices = append(question.Choices, gate.Proceed)
		}
		g, err := c.ask(ctx, question)
		if err != nil {
			return err
		}
		in.Terminate, in.IgnoreSnapshots = nil, false
		switch g.Decided {
		case gate.Retry:
		case gate.Proceed:
			in.IgnoreSnapshots = true
		case gate.Terminate:
			for _, s := range res.Blocked {
				in.Terminate = append(in.Terminate, s.PID)
			}
		case gate.Approve, gate.Reject, gate.Rollback, gate.Keep:
			return refused(in.Step, g.Why)
		}
	}
}

// expand makes room for a release's columns, and parks like a publish.
func (c *conversation) expand(ctx workflow.Context, in activities.ExpandInput) error {
	var acts *activities.Publishing // nil: only names the method
	env := in.Target.Environment
	for {
		var res activities.ExpandResult
		if err := c.perform(ctx, "expand-"+env, publishOptions(env, "expand schema"), acts.Expand, in, &res); err != nil {
			return err
		}
		for _, change := range res.Changes {
			c.event(ctx, "expanded: "+change)
		}
		if len(res.Blocked) == 0 {
			return nil
		}
		g, err := c.ask(ctx, parked("expand", in.Target, activities.PublishResult{Blocked: res.Blocked, WaitingFor: "locks"}))
		if err != nil {
			return err
		}
		if g.Decided != gate.Retry {
			return refused("expand", g.Why)
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
			Name: fmt.Sprintf("pid %d", s.PID), Value: fmt.Sprintf("%s (%s), %s", s.User, s.Application, s.State),
			Limit: "holds " + s.Holds, Note: "since " + s.Since.UTC().Format("15:04:05"), Outcome: gate.Inconclusive,
		})
	}
	g.Question = fmt.Sprintf("%s waits for %s held by %s", step, res.WaitingFor, sessions(res))
	return g
}

func sessions(res activities.PublishResult) string {
	out := ""
	for i, s := range res.Blocked {
		if i == 3 {
			return out + fmt.Sprintf(" and %d more", len(res.Blocked)-i)
		}
		if i > 0 {
			out += ", "
		}
		out += fmt.Sprintf("pid %d (%s, %s)", s.PID, s.User, s.Application)
	}
	return out
}
