package workflows

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/backfill"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/workflows/conduct"
)

// Backfill builds a span of partitions again, with the release that is active.
//
//	planning → waiting (above a limit) → crossing ⇄ waiting, paused → done | stuck | refused (nothing was published)
//
// It promises: every partition is built aside, audited and published on its own, or all of them as one when all are built, at most
// once in a round; one that fails stops no other, and is named; whatever stops it, what is published stays, whole, and the same
// command goes on with what is left; nothing is published of a release that is not the active one.
func Backfill(ctx workflow.Context, in BackfillInput) (Status, error) {
	head := conduct.Header{Kind: "backfill", Pipeline: in.Pipeline, By: in.By, Stage: StagePlanning, Environment: in.Environment}
	b := &filling{in: in, state: &BackfillState{}}
	if in.State != nil {
		b.state = in.State
		head = in.State.Header
	}
	c, err := conduct.Open(ctx, head, b, Takes(BackfillName)...)
	if err != nil {
		return Status{}, err
	}
	b.Conductor = c
	err = c.Run(ctx, "backfill "+in.Pipeline, b.run, b.back)
	return Status{Header: c.Header(), Backfill: b.shown()}, err
}

// BackfillState is what a backfill carries across continue-as-new: counts and a cursor, however many partitions there are.
type BackfillState struct {
	Header conduct.Header    `json:"header"`
	Target activities.Target `json:"target"`
	Plan   backfill.Summary  `json:"plan"`
	Rule   gate.Approval     `json:"rule"`
	// Tells says that people are told what happens there.
	Tells bool `json:"tells,omitempty"`
	// Round counts the plans: the effects of each have keys of their own.
	Round int               `json:"round"`
	Line  conduct.LineState `json:"line"`
	// Whole says that the partitions are done, and what is one partition is built.
	Whole bool `json:"whole,omitempty"`
	// Tries counts the rounds of building that are behind it: those of the plans before this one.
	Tries int `json:"tries"`
	// MaxFailures is how many may fail until people are asked.
	MaxFailures int `json:"max_failures"`
	// Built is what waits to be published, and Parts counts the transactions that have, where all of it is published as one.
	Built     int       `json:"built,omitempty"`
	Parts     int       `json:"parts,omitempty"`
	Published int       `json:"published"`
	Rows      int64     `json:"rows"`
	Speed     float64   `json:"speed"`            // partitions a second, an exponential average
	RowSpeed  float64   `json:"row_speed"`        // rows a second, the same
	Stalled   time.Time `json:"stalled,omitzero"` // since when it has published nothing, where that is too long
	// Left are the cells of its strip in which something was left out.
	Left []int `json:"left,omitempty"`
	// Begun are the slices that are being done, or were handed back: where each goes on, and what of it has failed.
	Begun map[int]activities.Filled `json:"begun,omitempty"`
	Last  time.Time                 `json:"last"` // when the last of them were published
	Load  throttled                 `json:"load,omitzero"`
}

// filling is one backfill.
type filling struct {
	*conduct.Conductor
	in    BackfillInput
	state *BackfillState
	over  bool
}

func (b *filling) at(step string) conduct.Scope {
	return conduct.Scope{Environment: b.in.Environment, Step: step}
}

func (b *filling) run(ctx workflow.Context) error {
	if workflow.GetVersion(ctx, "stalls", workflow.DefaultVersion, 1) == 1 {
		workflow.GoNamed(ctx, "stalls", b.watchForStalls)
	}
	if b.in.State != nil {
		b.Rule(b.in.Environment, b.state.Rule)
		b.listen()
	} else if over, err := b.begin(ctx); err != nil || over {
		return err
	}
	for {
		moved, err := b.fill(ctx)
		if err == nil && !moved && len(b.state.Line.Failed) == 0 {
			moved, err = b.cutOver(ctx)
		}
		if err != nil {
			return err
		}
		if !moved {
			break
		}
		if over, err := b.goOn(ctx); err != nil || over {
			return err
		}
	}
	return b.end(ctx)
}

// begin plans, asks where it is more than the environment lets through, and enters. over says that there is nothing to do.
func (b *filling) begin(ctx workflow.Context) (over bool, err error) {
	b.At(ctx, StagePlanning, b.at("plan"), fmt.Sprintf("looking at %s to %s in %s", b.in.Ask.From, b.in.Ask.To, b.in.Environment))
	planned, err := b.plan(ctx)
	if err != nil {
		return false, err
	}
	b.by(planned)
	for _, line := range b.state.Plan.Lines {
		b.Tell(ctx, b.at("plan"), line)
	}
	p := b.state.Plan
	switch {
	case p.Partitions == 0:
		b.Finish(ctx, StageDone, b.at(""), fmt.Sprintf("nothing to do: %s of this release and no older than their files%s", count(p.Current, "partition"), missing(p)))
		return true, nil
	case b.in.DryRun:
		b.Finish(ctx, StageDone, b.at(""), fmt.Sprintf("dry run: %s would be built with %s, %s%s", count(p.Partitions, "partition"), p.Release, p.Estimate, missing(p)))
		return true, nil
	}
	return false, b.enter(ctx)
}

func missing(p backfill.Summary) string {
	if p.Missing == 0 {
		return ""
	}
	return fmt.Sprintf("; %s without load files", count(p.Missing, "partition"))
}

// plan computes a plan by what is active now.
func (b *filling) plan(ctx workflow.Context) (activities.FillPlan, error) {
	return PlanBackfill.Do(ctx, b.Conductor, b.at("plan"), "plan backfill", activities.PlanFillInput{Target: b.target(ctx), Ask: b.in.Ask})
}

// target names the pipeline, and no release.
func (b *filling) target(ctx workflow.Context) activities.Target {
	target := activities.Target{Environment: b.in.Environment, Config: b.in.Config, Owner: owner(ctx)}
	target.Release.Pipeline = b.in.Pipeline
	return target
}

// by goes on by a plan.
func (b *filling) by(p activities.FillPlan) {
	b.state.Target, b.state.Plan, b.state.Rule, b.state.MaxFailures = p.Target, p.Summary, p.Rule, p.Summary.MaxFailures
	b.state.Tells = p.Tells
	b.Rule(b.in.Environment, p.Rule)
	b.About(p.Summary.Release, p.Summary.Digest)
}

// enter takes the span, and asks for the approval that its size wants. What it is done by is the plan of that moment.
func (b *filling) enter(ctx workflow.Context) error {
	if b.state.Round > 0 {
		b.state.Tries += b.state.Line.Retries + 1
	}
	b.state.Line, b.state.Whole, b.state.Built, b.state.Parts, b.state.Begun, b.state.Left = conduct.LineState{}, false, 0, 0, nil, nil
	begun, err := BeginBackfill.Do(ctx, b.Conductor, b.at("begin"), "begin backfill", activities.BeginFillInput{
		Target: b.target(ctx), Ask: b.in.Ask, Round: b.state.Round, By: b.in.By, Reason: b.in.Reason,
	})
	b.state.Round++
	if err != nil {
		return err
	}
	b.by(begun.FillPlan)
	b.state.Last = workflow.Now(ctx)
	b.state.Target.Tenure, b.state.Target.Epoch, b.state.Target.Swaps = begun.Tenure.Number, begun.Epoch, 0
	b.listen()
	if len(b.state.Plan.Over) == 0 {
		b.started(ctx)
		return nil
	}
	at := b.at("approval")
	g, err := b.Ask(ctx, at, gate.Gate{
		Name: gate.ApprovalOf(b.in.Environment), Choices: []gate.Choice{gate.Approve, gate.Reject},
		Question: fmt.Sprintf("build %s of %s in %s again, %s?", count(b.state.Plan.Partitions, "partition"), b.state.Plan.Release, b.in.Environment, b.state.Plan.Estimate),
		Verdict:  gate.Verdict{Outcome: gate.Inconclusive, Reason: strings.Join(b.state.Plan.Over, "; ")},
	})
	if err != nil {
		return err
	}
	if err := record(ctx, b.Conductor, at, b.state.Target, g); err != nil {
		return err
	}
	if g.Decided != gate.Approve {
		return conduct.Refused(at.Step, g.Why)
	}
	b.started(ctx)
	return nil
}

// errMoved says that the environment is not as it was when the backfill began.
var errMoved = errors.New("another release is active")

// fill builds slices in lanes until all are done or what failed is left by a person's word. moved says that something else became
// active meanwhile.
func (b *filling) fill(ctx workflow.Context) (moved bool, err error) {
	s := b.state
	for !s.Line.Over(s.Plan.Slices) || len(s.Line.Failed) > 0 {
		s.Whole = s.Whole || s.Line.Over(b.slices()) && len(s.Line.Failed) == 0
		b.At(ctx, StageCrossing, b.at("backfill"), fmt.Sprintf("building %s with %s", count(s.Plan.Partitions, "partition"), s.Plan.Release.Version))
		err := b.line().Run(ctx, b.Conductor, &s.Line)
		switch {
		case errors.Is(err, errMoved):
			return true, nil
		case err != nil:
			return false, err
		case workflow.GetInfo(ctx).GetContinueAsNewSuggested() && !s.Line.Over(b.slices()):
			return false, b.continueAsNew(ctx)
		case len(s.Line.Failed) == 0:
			continue
		case !s.Line.Over(b.slices()) && len(s.Line.Failed) <= s.MaxFailures:
			continue // somebody had some of it tried again while the lanes were drained
		}
		if left, err := b.failed(ctx); err != nil || left {
			return false, err
		}
	}
	return false, nil
}

func (b *filling) continueAsNew(ctx workflow.Context) error {
	return b.ContinueAsNew(ctx, BackfillName, func(carried conduct.Header) any {
		in := b.in
		state := *b.state
		state.Header = carried
		in.State = &state
		return in
	})
}

// slices are those that are built now: what is one partition comes when all others are done.
func (b *filling) slices() int {
	if b.state.Plan.Whole && !b.state.Whole {
		return b.state.Plan.Slices - 1
	}
	return b.state.Plan.Slices
}

func (b *filling) line() conduct.Line[activities.Filled] {
	s := b.state
	return conduct.Line[activities.Filled]{
		At: b.at("backfill"), Total: b.slices(), Lanes: s.Plan.Lanes, Narrow: s.Load.narrow, MaxFailures: s.MaxFailures,
		Name: slice, LeftOut: b.leave,
		Do: b.slice,
		Deliver: func(ctx workflow.Context, item int, done activities.Filled) error {
			delete(s.Begun, item)
			switch {
			case done.Published > 0:
				b.Tell(ctx, b.at("backfill"), fmt.Sprintf("%d of %d published", s.Published, s.Plan.Partitions))
			case done.Built > 0:
				b.Tell(ctx, b.at("backfill"), fmt.Sprintf("%d of %d built", s.Built, s.Plan.Partitions))
			}
			return nil
		},
		Parts: func(done activities.Filled) []conduct.Failed {
			failed := make([]conduct.Failed, len(done.Failed))
			for i, f := range done.Failed {
				failed[i] = conduct.Failed{Item: backfill.Single(f.Index), Name: string(f.Partition), Why: f.Why}
			}
			return failed
		},
	}
}

// slice has one slice built and published, from edge to edge, and parks where something holds it up.
func (b *filling) slice(ctx workflow.Context, at conduct.Scope, item int) (activities.Filled, error) {
	s := b.state
	in := activities.FillInput{Plan: s.Plan.Digest, Slice: item, Round: s.Tries, By: b.in.By, Reason: b.in.Reason}
	if item < 0 {
		in.Round += s.Line.Retries
	}
	name := fmt.Sprintf("build slice %d of %d", item+1, s.Plan.Slices)
	if item < 0 {
		name = "build again what failed"
	}
	all := s.Begun[item]
	in.From, all.Next = all.Next, 0
	for wait := (holding{}); ; {
		in.Target, in.Window = s.Target, b.Window()
		in.Target.Now = workflow.Now(ctx)
		in.Failures = s.MaxFailures + 1 - len(s.Line.Failed) - len(all.Failed)
		done, err := FillSlice.Do(ctx, b.Conductor, at.At("backfill"), name, in)
		if err != nil {
			if temporal.IsCanceledError(err) {
				return all, err
			}
			return all, conduct.Fatal(err)
		}
		b.note(ctx, done)
		all.Published, all.Built, all.Failed = all.Published+done.Published, all.Built+done.Built, append(all.Failed, short(done.Failed)...)
		b.begun(item, all, done)
		in.Waited = len(done.Throttled) > 0
		if !in.Waited {
			s.Load.went(at.Lane, b.lanes())
		}
		if done.Next == 0 && !done.Moved && done.Parked.WaitingFor == "" && !in.Waited {
			return all, nil
		}
		in.From = done.Next
		if err := conduct.Later(ctx); err != nil && !done.Moved {
			return all, err
		}
		switch {
		case in.Waited:
			if err := s.Load.out(ctx, b.Conductor, at, b.lanes(), done.Throttled, done.Opens, in.Window); err != nil {
				return all, err
			}
		case done.Moved:
			return all, conduct.Fatal(errMoved)
		case done.Parked.WaitingFor == generation.ForHold:
			if err := wait.out(ctx, b.Conductor, at, done.Parked.Why); err != nil {
				return all, err
			}
		case done.Parked.WaitingFor != "":
			if err := b.park(ctx, at, done); err != nil {
				return all, conduct.Fatal(err)
			}
		}
		if err := b.Checkpoint(ctx); err != nil {
			return all, err
		}
	}
}

// begun carries how far a slice is, until it is delivered; what is over is all of it.
func (b *filling) begun(item int, all, done activities.Filled) {
	if b.state.Begun == nil {
		b.state.Begun = map[int]activities.Filled{}
	}
	all.Next = done.Next
	b.state.Begun[item] = all
}

// leave notes that an item is left out: only single partitions fail.
func (b *filling) leave(item int) {
	b.state.Left = b.state.Plan.Leave(b.state.Left, backfill.Place(item))
}

// short bounds what is carried of failures.
func short(failed []activities.Unfilled) []activities.Unfilled {
	cut := make([]activities.Unfilled, len(failed))
	for i, f := range failed {
		f.Why = conduct.Cut(f.Why)
		cut[i] = f
	}
	return cut
}

// lanes are those of the plan, or those that a person set.
func (b *filling) lanes() int { return cmp.Or(b.Header().Lanes, b.state.Plan.Lanes, 1) }

// park asks what to do about whoever holds a publish up.
func (b *filling) park(ctx workflow.Context, at conduct.Scope, held activities.Filled) error {
	g, err := b.Ask(ctx, at, parked("backfill", held.About, b.state.Target, held.Parked))
	if err != nil {
		return err
	}
	return goesOn(ctx, b.Conductor, at, b.state.Target, g)
}

// cutOver publishes what was built, in as few transactions as the plan says. moved says that something else became active.
func (b *filling) cutOver(ctx workflow.Context) (moved bool, err error) {
	s, at := b.state, b.at("cut-over")
	for wait := (holding{}); s.Parts < s.Plan.Transactions; {
		if err := b.Checkpoint(ctx); err != nil {
			return false, err
		}
		b.At(ctx, StageCrossing, at, fmt.Sprintf("publishing %s, transaction %d of %d", count(s.Built, "partition"), s.Parts+1, s.Plan.Transactions))
		in := activities.CutInput{
			Target: s.Target, Plan: s.Plan.Digest, Part: s.Parts, Round: s.Tries, Left: s.Line.Skipped, Window: b.Window(), By: b.in.By, Reason: b.in.Reason,
		}
		in.Target.Now = workflow.Now(ctx)
		done, err := CutBackfill.Do(ctx, b.Conductor, at, "publish what was built", in)
		switch {
		case err != nil || done.Moved:
			return done.Moved, err
		case len(done.Throttled) > 0:
			if err := s.Load.out(ctx, b.Conductor, at, b.lanes(), done.Throttled, done.Opens, in.Window); err != nil {
				return false, err
			}
		case done.Parked.WaitingFor == generation.ForHold:
			if err := wait.out(ctx, b.Conductor, at, done.Parked.Why); err != nil {
				return false, err
			}
		case done.Parked.WaitingFor != "":
			if err := b.park(ctx, at, done); err != nil {
				return false, err
			}
		default:
			s.Load.went(at.Lane, b.lanes())
			s.Published, s.Target.Swaps, s.Parts = done.Published, s.Target.Swaps+done.Swaps, s.Parts+1
			b.Tell(ctx, at, fmt.Sprintf("%d of %d published", s.Published, s.Plan.Partitions))
		}
	}
	return false, nil
}

// speedOf is how much the last call counts in the average speed.
const speedOf = 0.2

// note counts what a call has done.
func (b *filling) note(ctx workflow.Context, done activities.Filled) {
	s, now := b.state, workflow.Now(ctx)
	s.Published += done.Published
	s.Built += done.Built
	s.Rows += done.Rows
	s.Target.Swaps += done.Swaps
	if took, n := now.Sub(s.Last).Seconds(), done.Published+done.Built; n > 0 && took > 0 {
		speed := float64(n) / took
		if s.Speed == 0 {
			s.Speed = speed
		}
		s.Speed += speedOf * (speed - s.Speed)
		rows := float64(done.Rows) / took
		if s.RowSpeed == 0 {
			s.RowSpeed = rows
		}
		s.RowSpeed += speedOf * (rows - s.RowSpeed)
		s.Last, s.Stalled = now, time.Time{}
	}
}

// failed asks what is to become of what failed: too much of it, or all the others are done. left says that it is left as it is.
func (b *filling) failed(ctx workflow.Context) (left bool, err error) {
	s := b.state
	names := strings.Join(firstOf(s.Line.Names()), ", ")
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	last := ""
	if s.Plan.Whole && !s.Whole {
		last = ", but what is one partition, which comes last"
	}
	others, ends := "all others are published"+last, "them as they are"
	if s.Plan.Transactions > 0 {
		others, ends = "all others are built"+last+"; nothing is published", "nothing published"
	}
	question := gate.Gate{
		Name: "failed-" + b.in.Environment, Endless: true, Choices: []gate.Choice{gate.Retry, gate.Keep},
		Question: fmt.Sprintf("%s failed; %s: try again (drawbridge retry-failed %s), leave out (drawbridge skip %s PARTITION --reason TEXT), or end with %s (keep)?",
			count(len(s.Line.Failed), "partition"), others, id, id, ends),
		Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: names},
	}
	if !s.Line.Over(b.slices()) {
		b.tooMany(ctx)
		question.Choices = []gate.Choice{gate.Retry, gate.Proceed, gate.Keep}
		question.Question = fmt.Sprintf("%s failed, more than %d: try again (drawbridge retry-failed %s), go on with the others (proceed), or end here (keep)?", count(len(s.Line.Failed), "partition"), s.MaxFailures, id)
	}
	for _, f := range s.Line.Failed {
		question.Verdict.Evidence = append(question.Verdict.Evidence, gate.Evidence{Name: f.Name, Note: f.Why, Outcome: gate.Fail})
	}
	question.Verdict.Evidence = worstFirst(question.Verdict.Evidence)
	g, err := b.AskFailed(ctx, b.at("backfill"), question, &s.Line, b.leave)
	if err != nil {
		return false, err
	}
	switch g.Decided {
	case gate.Retry:
		s.Line.Retry()
	case gate.Proceed:
		s.MaxFailures = len(s.Line.Failed) + s.Plan.MaxFailures
	case gate.Keep:
		return true, nil
	case gate.Approve, gate.Reject, gate.Rollback, gate.Terminate, gate.Withdrawn:
	}
	return false, nil
}

// goOn asks whether to go on with what is active now, under a new plan. The same release under another tenure is no question; one that
// became active while another was asked about is a new one. over says that it ends here.
func (b *filling) goOn(ctx workflow.Context) (over bool, err error) {
	was := b.state.Plan
	planned, err := b.plan(ctx)
	if err != nil {
		return false, err
	}
	for asked := was; planned.Summary.Release.Digest != asked.Release.Digest || planned.Summary.Config != asked.Config; {
		asked = planned.Summary
		g, err := b.Ask(ctx, b.at("backfill"), gate.Gate{
			Name: "moved-" + b.in.Environment, Endless: true, Choices: []gate.Choice{gate.Proceed, gate.Keep},
			Question: fmt.Sprintf("%s is active since, not %s: go on with it, %s again (proceed), or end here (keep)?", asked.Release, was.Release, count(asked.Partitions, "partition")),
			Verdict:  gate.Verdict{Outcome: gate.Inconclusive, Reason: fmt.Sprintf("%s published with %s", count(b.state.Published, "partition"), was.Release)},
		})
		if err != nil {
			return false, err
		}
		if g.Decided != gate.Proceed {
			return true, b.end(ctx)
		}
		if workflow.GetVersion(ctx, "moved again", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
			break
		}
		if planned, err = b.plan(ctx); err != nil {
			return false, err
		}
	}
	if planned.Summary.Partitions == 0 { // what was left is current by now
		b.state.Line = conduct.LineState{Next: b.state.Plan.Slices, Skipped: b.state.Line.Skipped}
		return true, b.end(ctx)
	}
	b.state.Published, b.state.Rows = 0, 0
	return false, b.enter(ctx)
}

// end frees the span and says what it came to.
func (b *filling) end(ctx workflow.Context) error {
	s := b.state
	ended, err := EndBackfill.Do(ctx, b.Conductor, b.at("end"), "end backfill", activities.EndFillInput{Target: s.Target})
	if err != nil {
		return err
	}
	b.over = true
	sentence := fmt.Sprintf("%s published with %s", count(ended.Live, "partition"), s.Plan.Release)
	if s.Line.Skipped > 0 {
		sentence += fmt.Sprintf("; left out: %d", s.Line.Skipped)
	}
	if s.Plan.Current > 0 {
		sentence += fmt.Sprintf("; current already: %d", s.Plan.Current)
	}
	if s.Plan.Beside != "" {
		sentence += fmt.Sprintf("; they deviate by choice: %s is active", s.Plan.Beside)
	}
	sentence += missing(s.Plan)
	stage := StageDone
	if n := len(s.Line.Failed); n > 0 {
		stage = StageStuck
		sentence += fmt.Sprintf("; failed: %s", strings.Join(firstOf(s.Line.Names()), ", "))
	} else if !s.Line.Over(s.Plan.Slices) {
		stage = StageStuck
		sentence += "; it ended before the others were built: another release is active"
	}
	b.Finish(ctx, stage, b.at(""), sentence)
	return nil
}

// namesShown bounds how many names a sentence has.
const namesShown = 12

func firstOf(names []string) []string {
	if more := len(names) - namesShown; more > 0 {
		return append(names[:namesShown:namesShown], fmt.Sprintf("and %d more", more))
	}
	return names
}

// turnBackLooks is how often a backfill that was stopped looks what a turn-back makes of what it has published, and turnBackPause
// the time between two looks: one that takes longer says itself how it ends.
const (
	turnBackLooks = 6
	turnBackPause = 5 * time.Second
)

// back says what stays when it was stopped: every partition that it has published, whole. Nothing is turned back unasked. Where
// another workflow stopped it, that one may turn it back: then it says what that has left.
func (b *filling) back(ctx workflow.Context, _ error) (conduct.Outcome, error) {
	if b.state.Target.Tenure == 0 || b.over {
		return conduct.Outcome{}, nil
	}
	var ended activities.EndedFill
	for look := 1; ; look++ {
		var err error
		ended, err = EndBackfill.Soon(ctx, b.in.Environment, "end backfill", activities.EndFillInput{Target: b.state.Target})
		if err != nil {
			return conduct.Outcome{}, err
		}
		if ended.Stopped == "" || !ended.Turning || ended.Live == 0 || look == turnBackLooks {
			break
		}
		if err := workflow.Sleep(ctx, turnBackPause); err != nil {
			return conduct.Outcome{}, err
		}
	}
	published := max(b.state.Published, ended.Live)
	switch {
	case ended.Stopped != "" && ended.Live < published:
		out := conduct.Outcome{Changed: true}
		if ended.Live > 0 {
			out.Left = []string{fmt.Sprintf("%d of the %d partitions that it had published (drawbridge history %s --env %s)", ended.Live, published, b.in.Pipeline, b.in.Environment)}
		}
		return out, nil
	case ended.Live == 0:
		return conduct.Outcome{}, nil
	}
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	return conduct.Outcome{Left: []string{fmt.Sprintf("%s that it has published (drawbridge backfill rollback %s --reason TEXT)", count(ended.Live, "partition"), id)}}, nil
}
