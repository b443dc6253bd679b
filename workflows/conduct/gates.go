package conduct

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

// decidedLimit is how many decided gates are kept: those that somebody may still ask about.
const decidedLimit = 24

// question is an open gate and where it was asked.
type question struct {
	gate.Gate
	at Scope
	// outage says that it asks about what could not run there: every lane that meets the same outage waits at it.
	outage bool
}

// Ask opens a gate and waits until it is decided or expires; others may be open meanwhile. The gate has the rule of the
// scope's environment. Its name is made unique by a number when it was asked before. A wait that is cancelled rejects.
func (c *Conductor) Ask(ctx workflow.Context, at Scope, g gate.Gate) (gate.Gate, error) {
	q, err := c.put(ctx, at, g)
	if err != nil {
		return gate.Gate{}, err
	}
	return c.answer(ctx, q)
}

// Again is what another look at an open question came to.
type Again struct {
	// Question and Verdict replace those of the gate; an empty question leaves them as they are.
	Question string
	Verdict  gate.Verdict
	// Withdrawn says why it is no question any more.
	Withdrawn string
}

// AskWhile is Ask about something that may change, or mend itself: every so often look says how it is, as long as the gate is
// open. An error of it ends the question, and is returned.
func (c *Conductor) AskWhile(ctx workflow.Context, at Scope, g gate.Gate, every time.Duration, look func(workflow.Context) (Again, error)) (gate.Gate, error) {
	return c.AskUntil(ctx, at, g, func(time.Duration) time.Duration { return every }, func() bool { return false }, look)
}

// AskUntil is AskWhile, and looks at once whenever something has changed: whoever says so says it once. every is how long it waits for
// its next look when the gate has been open for so long.
func (c *Conductor) AskUntil(ctx workflow.Context, at Scope, g gate.Gate, every func(open time.Duration) time.Duration, changed func() bool, look func(workflow.Context) (Again, error)) (gate.Gate, error) {
	q, err := c.put(ctx, at, g)
	if err != nil {
		return gate.Gate{}, err
	}
	decided := func() bool { return q.Decided != "" }
	for {
		_, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
			Timeout: every(workflow.Now(ctx).Sub(q.OpenedAt)), TimerOptions: workflow.TimerOptions{Summary: "look again while gate " + q.Name + " is open"},
		}, func() bool { return decided() || changed() })
		if err != nil || decided() {
			return c.answer(ctx, q)
		}
		now, failed := look(ctx)
		switch {
		case decided() || cancelled(failed):
			return c.answer(ctx, q)
		case failed != nil:
			q.Decided, q.Why = gate.Withdrawn, Reason(failed)
		case now.Withdrawn != "":
			q.Decided, q.Why = gate.Withdrawn, now.Withdrawn
		default:
			if now.Question != "" && (now.Question != q.Question || now.Verdict.Reason != q.Verdict.Reason) {
				q.Question, q.Verdict = now.Question, now.Verdict
				c.Tell(ctx, at, "gate "+q.Name+" asks now: "+q.Question+" ("+q.Verdict.Reason+")")
			}
			continue
		}
		closed, err := c.answer(ctx, q)
		return closed, cmp.Or(failed, err)
	}
}

// put opens a gate.
func (c *Conductor) put(ctx workflow.Context, at Scope, g gate.Gate) (*question, error) {
	rule, ok := c.rules[at.Environment]
	if !ok {
		return nil, fault.Newf(fault.Refused, "ask", g.Name, "start again when its worker answers",
			"the rule of environment "+at.Environment+" is not known, so nobody could decide: "+g.Question)
	}
	g.Name, g.Rule = c.unique(g.Name), rule
	g.Plan, g.Requester, g.OpenedAt = c.head.Plan, c.head.By, workflow.Now(ctx)
	q := &question{Gate: g, at: at}
	c.open = append(c.open, q)
	c.head.Asked++
	c.Tell(ctx, at, "waits at gate "+g.Name+": "+g.Question)
	c.opened(ctx, q)
	return q, nil
}

// answer waits for a gate's decision and closes it.
func (c *Conductor) answer(ctx workflow.Context, q *question) (gate.Gate, error) {
	decided := func() bool { return q.Decided != "" }
	var err error
	if q.Endless {
		err = workflow.Await(ctx, decided)
	} else {
		_, err = workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
			Timeout: q.Deadline().Sub(workflow.Now(ctx)), TimerOptions: workflow.TimerOptions{Summary: "gate " + q.Name + " expires"},
		}, decided)
	}
	switch {
	case err != nil && !decided() && c.cancelled != nil && c.cancelled.stops(): // nobody said no
		q.Decided, q.Why = gate.Withdrawn, c.cancelled.sentence()
	case err != nil && !decided():
		q.Decided, q.Why = gate.Reject, "the workflow was cancelled"
	case !decided():
		sweep(ctx, Decide, c.heard) // what came while no worker ran
		q.Expire()
	}
	if (q.Decided == gate.Reject || q.Decided == gate.Rollback) && len(q.Answers) > 0 {
		c.no = append(c.no, q.Gate)
		c.saidAll = slices.ContainsFunc(q.Answers, func(a gate.Answer) bool { return a.CompensateAll })
	}
	c.open = slices.DeleteFunc(c.open, func(o *question) bool { return o == q })
	kept := q.Gate
	kept.Verdict.Evidence = nil
	c.head.Gates = append(c.head.Gates, kept)
	c.head.Gates = c.head.Gates[max(0, len(c.head.Gates)-decidedLimit):]
	c.Tell(ctx, q.at, "gate "+q.Name+": "+q.Why)
	c.closed(ctx, q)
	return q.Gate, err
}

// outage asks about what could not run, and returns nil when it is to be tried again. One outage of an environment is one
// gate: a lane that meets it while it is open waits with the others.
func (c *Conductor) outage(ctx workflow.Context, at Scope, cause error) error {
	for _, q := range c.undecided() {
		if q.outage && q.at.Environment == at.Environment {
			c.Tell(ctx, at, fmt.Sprintf("%s could not run either, and waits at gate %s: %s", at.Step, q.Name, Reason(cause)))
			if err := workflow.Await(ctx, func() bool { return q.Decided != "" }); err != nil {
				return err
			}
			return again(q.Gate)
		}
	}
	q, err := c.put(ctx, at, gate.Gate{
		Name: "outage-" + at.Environment, Question: fmt.Sprintf("%s could not run: %s", at.Step, Reason(cause)),
		Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: Reason(cause)},
		Choices: []gate.Choice{gate.Retry, gate.Reject},
	})
	if err != nil {
		return cause
	}
	q.outage = true
	g, err := c.answer(ctx, q)
	if err != nil {
		return err
	}
	return again(g)
}

func again(g gate.Gate) error {
	if g.Decided == gate.Retry {
		return nil
	}
	return Refused(g.Name, g.Why)
}

// unique numbers a name that was used before. Where old gates are forgotten, the number is that of all gates, so that an old
// decision never meets a new gate.
func (c *Conductor) unique(base string) string {
	taken := func(name string) bool {
		return slices.ContainsFunc(c.head.Gates, func(g gate.Gate) bool { return g.Name == name }) ||
			slices.ContainsFunc(c.open, func(q *question) bool { return q.Name == name })
	}
	name, n := base, 2
	if c.head.Asked > len(c.head.Gates)+len(c.open) {
		n = c.head.Asked + 1
		name = gate.Numbered(base, n)
	}
	for ; taken(name); n++ {
		name = gate.Numbered(base, n)
	}
	return name
}

// mayDecide refuses, before anything is recorded, what the gate's rules do not allow.
func (c *Conductor) mayDecide(ctx workflow.Context, d gate.Decision) error {
	g, err := c.named(d)
	if err != nil {
		return activities.ApplicationError(err)
	}
	return activities.ApplicationError(g.Check(d, hearing(ctx, *g)))
}

// hearing is when a decision about a gate counts as given. One that is not closed yet has not expired, whatever the clock says: while
// no worker runs nothing expires, and what was decided until one comes counts.
func hearing(ctx workflow.Context, g gate.Gate) time.Time {
	now := workflow.Now(ctx)
	if g.Decided == "" && !g.Endless && now.After(g.Deadline()) {
		return g.Deadline()
	}
	return now
}

// decide counts a decision that arrived as an update.
func (c *Conductor) decide(ctx workflow.Context, d gate.Decision) (gate.Gate, error) {
	g, err := c.named(d)
	if err != nil {
		return gate.Gate{}, activities.ApplicationError(err)
	}
	if err := g.Apply(d, hearing(ctx, *g)); err != nil {
		return gate.Gate{}, activities.ApplicationError(err)
	}
	c.show(ctx)
	return *g, nil
}

// heard counts a decision that arrived as a signal. A signal cannot be refused, so one that does not count is recorded.
func (c *Conductor) heard(ctx workflow.Context, d gate.Decision) {
	if _, err := c.decide(ctx, d); err != nil {
		c.refuse(ctx, fmt.Sprintf("%s by %s at gate %s: %s", d.Choice, d.By, d.Gate, Reason(err)))
	}
}

// named finds the gate that a decision is about: the open one of its name, else the newest decided one.
func (c *Conductor) named(d gate.Decision) (*gate.Gate, error) {
	for _, q := range c.open {
		if q.Name == d.Gate {
			return &q.Gate, nil
		}
	}
	for i, g := range slices.Backward(c.head.Gates) {
		if g.Name == d.Gate {
			return &c.head.Gates[i], nil
		}
	}
	reason := "no gate is open"
	if c.head.Sentence != "" {
		reason += ": " + c.head.Sentence
	}
	if waits := c.undecided(); len(waits) > 0 {
		names := make([]string, len(waits))
		for i, q := range waits {
			names[i] = q.Name
		}
		reason = "the open gate is " + strings.Join(names, ", ")
	}
	return nil, fault.Newf(fault.Conflict, "decide gate", d.Gate, "see what is open: drawbridge inbox", reason)
}

// cancelled says whether an error is a cancellation.
func cancelled(err error) bool { return temporal.IsCanceledError(err) }
