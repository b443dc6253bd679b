package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/workflows/conduct"
)

const (
	// firstHeld and lastHeld are how often what is held looks whether it may go on.
	firstHeld = 5 * time.Second
	lastHeld  = time.Minute
)

// publish swaps, and parks when somebody holds it up: it names who, and asks. While the environment is on hold it waits.
// Nothing is visible until it is done; anew runs before each attempt that follows a wait. Where others were faster nothing is done,
// the result says where, and what was built there is of no use any more. What a person answers is recorded where the publish looks
// for it. An approval that has expired meanwhile is asked for again.
func publish(ctx workflow.Context, c *conduct.Conductor, in activities.PublishInput, approve approving, anew func(workflow.Context) error) (generation.PublishResult, error) {
	at := conduct.Scope{Environment: in.Target.Environment, Step: in.Step}
	for wait, first := (holding{}), true; ; first = false {
		if err := c.Checkpoint(ctx); err != nil { // nothing of it is visible yet
			return generation.PublishResult{}, err
		}
		if !first {
			if err := anew(ctx); err != nil {
				return generation.PublishResult{}, err
			}
		}
		res, err := Publish.Do(ctx, c, at, in.Step, in)
		if err != nil {
			return generation.PublishResult{}, err
		}
		if res.Done {
			c.Tell(ctx, at, fmt.Sprintf("%s: %s, readers waited at most %.0f ms", in.Step, count(res.Swapped, "swap"), res.HoldMS))
			tellSchedule(ctx, c, at, res.Schedule)
			return res, nil
		}
		switch res.WaitingFor {
		case generation.ForOthers:
			return res, nil
		case generation.ForHold:
			if err := wait.out(ctx, c, at, res.Why); err != nil {
				return generation.PublishResult{}, err
			}
			continue
		case generation.ForApproval:
			if err := approve(ctx, res.Why); err != nil {
				return generation.PublishResult{}, err
			}
			continue
		}
		g, err := c.Ask(ctx, at, parked(in.Step, in.About(), in.Target, res))
		if err != nil {
			return generation.PublishResult{}, err
		}
		if err := goesOn(ctx, c, at, in.Target, g); err != nil {
			return generation.PublishResult{}, err
		}
	}
}

// approving asks for the approval of a release, and says why: an error is that it was not given.
type approving func(ctx workflow.Context, why string) error

// goesOn records what was answered about something that is held up, and refuses to go on where a person said no.
func goesOn(ctx workflow.Context, c *conduct.Conductor, at conduct.Scope, t activities.Target, g gate.Gate) error {
	if err := record(ctx, c, at, t, g); err != nil {
		return err
	}
	switch g.Decided {
	case gate.Retry, gate.Proceed, gate.Terminate:
		return nil
	case gate.Approve, gate.Reject, gate.Rollback, gate.Keep, gate.Withdrawn:
	}
	return conduct.Refused(at.Step, g.Why)
}

// record keeps what people answered at a gate in the ledger of an environment, which acts on nothing else.
func record(ctx workflow.Context, c *conduct.Conductor, at conduct.Scope, t activities.Target, g gate.Gate) error {
	_, err := RecordAnswers.Do(ctx, c, at.At("record-answers"), "record answers", activities.RecordInput{Target: t, Gate: g})
	return err
}

// unsure names the pieces whose audit could not tell: they are published only when people have accepted them.
func unsure(pieces []activities.Piece) []string {
	var about []string
	for _, p := range pieces {
		if p.Audit == gate.Inconclusive {
			about = append(about, admission.AboutGeneration(p.Swap.To))
		}
	}
	return about
}

// holding is the wait of what is held.
type holding struct{ last time.Duration }

// out waits until it is time to look again, and says the first time why.
func (h *holding) out(ctx workflow.Context, c *conduct.Conductor, at conduct.Scope, why string) error {
	if h.last == 0 {
		c.Tell(ctx, at, "waits: "+why)
	}
	h.last = min(max(firstHeld, 2*h.last), lastHeld)
	return workflow.NewTimer(ctx, h.last).Get(ctx, nil)
}

// expand makes room for a release's columns, and waits and parks like a publish.
func expand(ctx workflow.Context, c *conduct.Conductor, in activities.ExpandInput, approve approving) error {
	at := conduct.Scope{Environment: in.Target.Environment, Step: "expand"}
	for wait := (holding{}); ; {
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
		if res.Held != "" {
			if err := wait.out(ctx, c, at, res.Held); err != nil {
				return err
			}
			continue
		}
		if res.Lapsed != "" {
			if err := approve(ctx, res.Lapsed); err != nil {
				return err
			}
			continue
		}
		question := parked("expand", "", in.Target, generation.PublishResult{Blocked: res.Blocked, More: res.More, WaitingFor: generation.ForLocks})
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
func parked(step, about string, t activities.Target, res generation.PublishResult) gate.Gate {
	g := gate.Gate{
		About: []string{about},
		Name:  step + "-" + t.Environment, Choices: []gate.Choice{gate.Retry, gate.Reject, gate.Terminate},
		Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: fmt.Sprintf("%s held up by %s: nothing of it is changed", step, count(len(res.Blocked)+res.More, "session"))},
	}
	if res.WaitingFor == generation.ForSnapshots {
		g.Choices = append(g.Choices, gate.Proceed)
	}
	for _, s := range res.Blocked {
		g.About = append(g.About, admission.AboutSession(s))
		g.Verdict.Evidence = append(g.Verdict.Evidence, gate.Evidence{
			Name: s.Name(), Value: s.State,
			Limit: "holds " + s.Holds, Note: "since " + s.Since.UTC().Format("15:04:05"), Outcome: gate.Inconclusive,
		})
	}
	if res.More > 0 {
		g.Verdict.Evidence = append(g.Verdict.Evidence, gate.Evidence{Name: fmt.Sprintf("and %d more", res.More), Outcome: gate.Inconclusive})
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
			return out + fmt.Sprintf(" and %d more", len(res.Blocked)+res.More-i)
		}
		if i > 0 {
			out += ", "
		}
		out += s.Name()
	}
	return out
}
