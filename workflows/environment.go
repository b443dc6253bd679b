package workflows

import (
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/workflows/conduct"
)

// FailedType is the type of an answer that could not be had.
const FailedType = conduct.FailedType

const (
	// Ask is an update: an activities.InspectInput, answered by an Answer.
	Ask = "ask"
	// AnswerQuery answers an Answer to a question that was asked by number.
	AnswerQuery = "answer"
	// HouseQuery answers how house is kept: a House.
	HouseQuery = "house"
	// Changed is a signal: something has changed in the environment.
	Changed = "changed"
	// Owed is a signal: people are to be told something.
	Owed = "owed"
)

const (
	// houseEvery is how often house is kept where nothing is told.
	houseEvery = time.Hour
	// houseSoon is how long after a change house is kept: what one command does is over by then.
	houseSoon = 10 * time.Second
	// houseRest is the longest rest between two rounds while changes go on and on.
	houseRest = 5 * time.Minute
	// environmentAge and environmentAsks bound one run of the workflow.
	environmentAge  = 24 * time.Hour
	environmentAsks = 500
	// longAsks is how many long questions may be in flight, and longAtOnce how many of them are worked on: the others of an
	// environment's slots are for those who change something.
	longAsks   = 10
	longAtOnce = 2
	// longKept is how many answers to them are kept for who asked.
	longKept = 20
)

// EnvironmentInput starts an Environment. Nothing is carried to the next run.
type EnvironmentInput struct {
	Environment string `json:"environment"`
}

// Answer is the answer to a question, or the number by which it is asked for.
type Answer struct {
	Number int  `json:"number,omitempty"`
	Done   bool `json:"done"`
	// Failed says why there is no result.
	Failed string      `json:"failed,omitempty"`
	Class  fault.Class `json:"class,omitempty"`
	Hint   string      `json:"hint,omitempty"`
	activities.InspectResult
}

// Environment answers questions about an environment, keeps house there, and has people told what they are owed. It keeps nothing that the ledgers lack: to
// terminate it loses nothing, whoever asks or changes something next starts it again, and no change waits for it.
//
//	ask ──→ Inspect ──→ the answer            changed ──┐
//	    └─→ a number ─→ Examine ─→ answer?    an hour ──┴──→ Survey → Housekeep, house by house
//	owed, or when something is due ─→ Deliver
//
//	a day, or 500 questions → what is asked is answered → continues as new
func Environment(ctx workflow.Context, in EnvironmentInput) error {
	e := &environment{in: in, turns: workflow.NewSemaphore(ctx, longAtOnce), born: workflow.Now(ctx), rest: houseSoon}
	e.next = e.born.Add(houseSoon)
	if err := workflow.SetQueryHandler(ctx, AnswerQuery, e.answer); err != nil {
		return err
	}
	if err := workflow.SetQueryHandler(ctx, HouseQuery, e.house); err != nil {
		return err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, Ask, e.ask, workflow.UpdateHandlerOptions{
		Validator: e.mayAsk, Description: "a question about this environment: an InspectInput",
	})
	if err != nil {
		return err
	}
	workflow.SetCurrentDetails(ctx, "nobody has looked yet")
	workflow.Go(ctx, e.listen)
	workflow.Go(ctx, e.hear)
	workflow.Go(ctx, e.tell)
	return e.run(ctx)
}

// House is how house is kept.
type House struct {
	Last  time.Time `json:"last,omitzero"`
	Next  time.Time `json:"next"`
	Asked int       `json:"asked"`
}

func (e *environment) house() (House, error) {
	return House{Last: e.last, Next: e.next, Asked: e.asked}, nil
}

type environment struct {
	in      EnvironmentInput
	born    time.Time
	asked   int
	open    int // long questions in flight
	long    []*Answer
	turns   workflow.Semaphore
	closing bool // no long question is taken any more

	keeping bool // house is kept now
	again   bool // something has changed meanwhile

	next time.Time     // when house is kept
	last time.Time     // when it was
	rest time.Duration // before the next round, while changes go on

	due     time.Time // when people are to be told something; zero: nothing that is known
	telling bool      // they are being told now
}

// hear hears that people are owed something.
func (e *environment) hear(ctx workflow.Context) {
	owed := workflow.GetSignalChannel(ctx, Owed)
	for owed.Receive(ctx, nil) {
		e.due = workflow.Now(ctx)
	}
}

// untoldRest is the rest after people could not be told at all.
const untoldRest = time.Minute

// tell has people told what they are owed, when it is due. It waits for no house to be kept.
func (e *environment) tell(ctx workflow.Context) {
	for {
		if workflow.Await(ctx, func() bool { return !e.due.IsZero() && !e.closing }) != nil {
			return
		}
		if due := e.due; due.After(workflow.Now(ctx)) {
			if _, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
				Timeout: due.Sub(workflow.Now(ctx)), TimerOptions: workflow.TimerOptions{Summary: "tell people"},
			}, func() bool { return e.due.Before(due) || e.closing }); err != nil {
				return
			}
			continue
		}
		e.due, e.telling = time.Time{}, true
		done, err := Deliver.Try(ctx, e.in.Environment, "tell people in "+e.in.Environment, activities.DeliverInput(e.in))
		e.telling = false
		if err != nil {
			done.Next = workflow.Now(ctx).Add(untoldRest)
		}
		if e.due.IsZero() || !done.Next.IsZero() && done.Next.Before(e.due) {
			e.due = done.Next
		}
	}
}

// listen hears of changes.
func (e *environment) listen(ctx workflow.Context) {
	changes := workflow.GetSignalChannel(ctx, Changed)
	for changes.Receive(ctx, nil) {
		e.changed(workflow.Now(ctx))
	}
}

// changed brings the next round forward. While changes go on and on the rounds become rarer.
func (e *environment) changed(now time.Time) {
	if e.keeping {
		e.again = true // the round may have passed it
		return
	}
	soon := now.Add(houseSoon)
	if rested := e.last.Add(e.rest); rested.After(soon) {
		soon = rested
	}
	if soon.Before(e.next) {
		e.next = soon
		e.rest = min(2*e.rest, houseRest)
	}
}

// old says that this run has lasted long enough.
func (e *environment) old(ctx workflow.Context) bool {
	return e.asked >= environmentAsks || !workflow.Now(ctx).Before(e.born.Add(environmentAge)) ||
		workflow.GetInfo(ctx).GetContinueAsNewSuggested()
}

func (e *environment) run(ctx workflow.Context) error {
	for !e.old(ctx) {
		due := e.next
		if pause := due.Sub(workflow.Now(ctx)); pause > 0 {
			if _, err := workflow.AwaitWithOptions(ctx, workflow.AwaitOptions{
				Timeout: pause, TimerOptions: workflow.TimerOptions{Summary: "keep house"},
			}, func() bool {
				return e.next.Before(due) || e.asked >= environmentAsks || workflow.GetInfo(ctx).GetContinueAsNewSuggested()
			}); err != nil {
				return err
			}
		}
		if !workflow.Now(ctx).Before(e.next) {
			if err := e.keep(ctx); err != nil {
				return err
			}
		}
	}
	e.closing = true
	if err := workflow.Await(ctx, func() bool { return e.open == 0 && !e.telling && workflow.AllHandlersFinished(ctx) }); err != nil {
		return err
	}
	return workflow.NewContinueAsNewError(ctx, EnvironmentName, e.in)
}

// keep keeps house in every house, and shows how they stand. What cannot be done is left for the next time.
func (e *environment) keep(ctx workflow.Context) error {
	e.keeping = true
	defer func() { e.keeping = false }()
	seen, err := Survey.Try(ctx, e.in.Environment, "look at "+e.in.Environment, activities.SurveyInput(e.in))
	if temporal.IsCanceledError(err) {
		return err
	}
	lines := []string{}
	if err != nil {
		lines = append(lines, "could not look: "+conduct.Reason(err), "")
	}
	if slices.ContainsFunc(seen, func(s activities.Surveyed) bool { return s.Tells }) {
		e.due = workflow.Now(ctx) // this run may not know of what the ledgers have
	}
	for _, s := range seen {
		if s.Unreached != "" {
			continue
		}
		_, err := Housekeep.Try(ctx, e.in.Environment, "keep house in "+s.House.Schema, activities.HousekeepInput{Environment: e.in.Environment, House: s.House, Owner: owner(ctx)})
		if temporal.IsCanceledError(err) {
			return err
		}
		if err != nil {
			lines = append(lines, "left for the next time in "+s.House.String()+": "+conduct.Reason(err), "")
		}
	}
	now := workflow.Now(ctx)
	workflow.SetCurrentDetails(ctx, conduct.Page(append(standing(seen, now), lines...)))
	if e.last.IsZero() || now.Sub(e.last) >= houseEvery {
		e.rest = houseSoon
	}
	e.last, e.next = now, now.Add(houseEvery)
	e.keeping = false
	if e.again {
		e.again = false
		e.changed(now)
	}
	return nil
}

// standing is the live page of an environment in the Web UI: what is live, open and held.
func standing(seen []activities.Surveyed, now time.Time) []string {
	lines := []string{"as of " + now.UTC().Format("2006-01-02 15:04:05 MST"), ""}
	for _, s := range seen {
		lines = append(lines, "### "+s.House.String())
		if s.Unreached != "" {
			lines = append(lines, "cannot be reached: "+conduct.Cell(s.Unreached), "")
			continue
		}
		if h := s.Standing.Hold; h != nil {
			lines = append(lines, fmt.Sprintf("**on hold** since %s by %s: %s", h.Since.UTC().Format("2006-01-02 15:04 MST"), h.By, conduct.Cell(h.Reason)), "")
		}
		lines = append(lines, "| pipeline | live | open |", "|---|---|---|")
		for _, p := range s.Standing.Pipelines {
			live, open := p.Active, ""
			if live == "" {
				live = "nothing"
			}
			if p.Crossing != "" {
				open = join(open, p.Crossing+" crosses")
			}
			if p.TurnBack != "" {
				open = join(open, p.TurnBack+" turns back")
			}
			for _, w := range p.Watching {
				open = join(open, w+" watches")
			}
			lines = append(lines, fmt.Sprintf("| %s | %s | %s |", conduct.Cell(p.Name), conduct.Cell(live), conduct.Cell(open)))
		}
		lines = append(lines, "")
	}
	return lines
}

// mayAsk refuses what this run does not answer.
func (e *environment) mayAsk(_ workflow.Context, in activities.InspectInput) error {
	if in.Target.Environment != e.in.Environment {
		return activities.ApplicationError(fault.Newf(fault.Invalid, "ask", e.in.Environment, "ask "+EnvironmentID(in.Target.Environment), "the question is about another environment"))
	}
	if !in.Kind.Long() {
		return nil
	}
	if e.closing {
		return activities.ApplicationError(fault.Newf(fault.Ambiguous, "ask", e.in.Environment, "ask again", "it is about to start over"))
	}
	if e.open >= longAsks {
		return activities.ApplicationError(fault.Newf(fault.Refused, "ask", e.in.Environment, "ask again in a while",
			fmt.Sprintf("%d long questions are being answered", e.open)))
	}
	return nil
}

// ask answers a short question, and takes a long one.
func (e *environment) ask(ctx workflow.Context, in activities.InspectInput) (Answer, error) {
	e.asked++
	in.Target.Owner = owner(ctx)
	summary := string(in.Kind) + " of " + in.Target.Release.Pipeline
	if !in.Kind.Long() {
		res, err := Inspect.Soon(ctx, e.in.Environment, summary, in)
		return Answer{Done: true, InspectResult: res}, conduct.Failure("inspect "+string(in.Kind), err)
	}
	a := &Answer{Number: e.asked}
	e.long = append(e.long, a)
	if len(e.long) > longKept && e.long[0].Done {
		e.long = e.long[1:]
	}
	e.open++
	workflow.Go(ctx, func(ctx workflow.Context) {
		defer func() { e.open-- }()
		if err := e.turns.Acquire(ctx, 1); err != nil {
			return // the workflow is cancelled
		}
		defer e.turns.Release(1)
		res, err := Examine.Try(ctx, e.in.Environment, summary, in)
		*a = answered(a.Number, res, err)
	})
	return *a, nil
}

// answered is the answer to a long question, which is not asked by a call that could fail.
func answered(number int, res activities.InspectResult, err error) Answer {
	out := Answer{Number: number, Done: true, InspectResult: res}
	if err != nil {
		class, hint := conduct.ClassOf(err)
		out.Failed, out.Class, out.Hint = conduct.Reason(err), class, hint
	}
	return out
}

func (e *environment) answer(number int) (Answer, error) {
	for _, a := range e.long {
		if a.Number == number {
			return *a, nil
		}
	}
	return Answer{}, fault.Newf(fault.Invalid, "answer", fmt.Sprint(number), "ask again", "nobody has asked it here")
}
