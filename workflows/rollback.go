package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/internal/turnback"
	"drawbridge/workflows/conduct"
)

// Rollback turns back what is finished: an environment to an earlier tenure, or one partition to an earlier generation.
//
//	planning → compensating ⇄ waiting, paused → done | stuck | refused (nothing has moved)
//
// It promises: from its first effect on nothing of what is turned back publishes any more; what is ours swaps back in a time
// that does not depend on table size; whatever stops it, the same command goes on with exactly what is left; a dry run
// changes nothing.
func Rollback(ctx workflow.Context, in RollbackInput) (Status, error) {
	head := conduct.Header{Kind: "rollback", Pipeline: in.Pipeline, By: in.By, Stage: StagePlanning, Environment: in.Environment}
	if in.State != nil {
		head = in.State.Header
	}
	c, err := conduct.Open(ctx, head, plain{}, Takes(RollbackName)...)
	if err != nil {
		return Status{}, err
	}
	r := &rollback{Conductor: c, in: in, state: &TurnBackState{}}
	if in.State != nil {
		r.state = &in.State.TurnBack
	}
	err = c.Run(ctx, "roll back "+in.Pipeline, r.run, r.back)
	return Status{Header: c.Header()}, err
}

// RollbackState is what a rollback carries across continue-as-new.
type RollbackState struct {
	Header   conduct.Header `json:"header"`
	TurnBack TurnBackState  `json:"turn_back"`
}

type rollback struct {
	*conduct.Conductor
	in     RollbackInput
	state  *TurnBackState
	target activities.Target // once it has asked for its turn-back
	ended  bool
}

func (r *rollback) at(step string) conduct.Scope {
	return conduct.Scope{Environment: r.in.Environment, Step: step}
}

func (r *rollback) turnBack(ctx workflow.Context) turnBack {
	r.Rule(r.in.Environment, r.state.Began.Rule)
	if r.state.Began.Tells {
		target := r.state.Began.Target
		target.Owner = owner(ctx)
		r.Listen(target)
	}
	return turnBack{Conductor: r.Conductor, state: r.state, owner: owner(ctx), verify: r.in.Verify, grown: r.grown}
}

// grown continues as new once history has grown. What is carried are counts and one partition's key.
func (r *rollback) grown(ctx workflow.Context) error {
	if !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		return nil
	}
	return r.ContinueAsNew(ctx, RollbackName, func(carried conduct.Header) any {
		in := r.in
		in.State = &RollbackState{Header: carried, TurnBack: *r.state}
		return in
	})
}

func (r *rollback) run(ctx workflow.Context) error {
	if r.in.State == nil {
		if err := r.begin(ctx); err != nil {
			return err
		}
		if r.in.DryRun || r.state.Began.Nothing {
			return nil
		}
	}
	t := r.turnBack(ctx)
	if err := t.run(ctx); err != nil {
		return err
	}
	ended, err := t.end(ctx)
	if err != nil {
		return err
	}
	r.ended = true
	r.say(ctx, ended, r.sentence())
	return nil
}

// begin opens the turn-back, or finds the open one.
func (r *rollback) begin(ctx workflow.Context) error {
	in := r.in
	r.At(ctx, StagePlanning, r.at("begin"), "reading the ledger of "+in.Environment)
	target := activities.Target{Environment: in.Environment, Config: in.Config, Owner: owner(ctx)}
	target.Release.Pipeline = in.Pipeline
	r.target = target
	req := in.Request
	req.Pipeline, req.By, req.Reason = in.Pipeline, in.By, in.Reason
	began, err := BeginTurnBack.Try(ctx, in.Environment, "stop what is under way", activities.BeginInput{Target: target, Request: req, DryRun: in.DryRun})
	if err != nil {
		return err
	}
	r.state.Began = began
	r.About(began.TurnBack.Tenure.Release, "")
	switch {
	case began.Nothing:
		r.Finish(ctx, StageDone, r.at(""), "nothing is open, and there is nothing to turn back")
		return nil
	case in.DryRun:
		for _, line := range append(began.Ends, began.Lines...) {
			r.Tell(ctx, r.at("preview"), line)
		}
		becomes := ""
		if from := began.TurnBack.From.Release; r.part() == "" && from.Version != "" {
			becomes = fmt.Sprintf("%s would be active in place of %s; ", nameOf(began), from)
		}
		r.Finish(ctx, StageDone, r.at(""), "dry run: "+becomes+fmt.Sprintf("back by swap: %s; built again: %d; detached: %d; left: %d",
			count(began.Counts[turnback.SwapBack], "partition"), began.Counts[turnback.Rebuild], began.Counts[turnback.Detach], began.Counts[turnback.Leave])+
			r.newer(began.Newer, began.Discarded)+r.away(began.Away)+remnants(began.Remnants))
		return nil
	}
	tellSchedule(ctx, r.Conductor, r.at("begin"), began.Schedule)
	tellStopped(ctx, r.Conductor, r.at("begin"), &r.state.Began.TurnBack)
	doing := fmt.Sprintf("%s is active again, under tenure %d; turning back its data", nameOf(began), began.TurnBack.Tenure.Number)
	if part := r.part(); part != "" {
		doing = fmt.Sprintf("turning back %s, under tenure %d; %s stays active", part, began.TurnBack.Tenure.Number, nameOf(began))
	}
	r.At(ctx, StageCompensating, r.at("swap-back"), doing)
	return nil
}

// part is what goes back where the active release stays: one partition, or what a backfill has published.
func (r *rollback) part() string {
	req := r.state.Began.TurnBack.Request
	did := effect.Owner(req.Owner).Workflow()
	switch {
	case req.Output != "":
		return fmt.Sprintf("%s[%s]", req.Output, req.Partition)
	case req.Single():
		return string(req.Partition)
	case effect.IsBackfill(did):
		return did
	}
	return ""
}

func nameOf(b activities.Began) string {
	if b.TurnBack.Tenure.None() {
		return "nothing"
	}
	return b.TurnBack.Tenure.Release.String()
}

func (r *rollback) sentence() string {
	tally := r.state.Tally
	if part := r.part(); part != "" { // what is kept is none of its business
		return fmt.Sprintf("%s is turned back: %s; left: %d; %s stays active in %s", part, count(tally.Moved, "partition"), tally.Left, nameOf(r.state.Began), r.in.Environment) +
			r.newer(tally.Newer, tally.Discarded) + r.away(tally.Away)
	}
	return fmt.Sprintf("%s is active in %s; went back: %s; kept as they were: %d; left: %d", nameOf(r.state.Began), r.in.Environment, count(tally.Moved, "partition"), tally.Kept, tally.Left) +
		r.newer(tally.Newer, tally.Discarded) + remnants(tally.Remnants)
}

// newer says of how many partitions of a backfill others have published something since, and what becomes of it.
func (r *rollback) newer(left, discarded int) string {
	said := ""
	if discarded > 0 {
		said = fmt.Sprintf("; what others have published since is discarded in %s", count(discarded, "partition"))
	}
	if left > 0 {
		said += fmt.Sprintf("; others have published %s since, which go back all the same with: drawbridge backfill rollback %s --reason TEXT --force",
			count(left, "partition"), effect.Owner(r.state.Began.TurnBack.Request.Owner).Workflow())
	}
	return said
}

// away says in how many partitions of a backfill another turn-back has decided since what is live.
func (r *rollback) away(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; another rollback has decided about %s since, and what it made live there stays: drawbridge history %s --env %s", count(n, "partition"), r.in.Pipeline, r.in.Environment)
}

// remnants says in how many partitions data is live again that its own rollback had left.
func remnants(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; what an earlier rollback had left is live again in %s, and that rollback's command goes on with it", count(n, "partition"))
}

// say is the end of a turn-back in words.
func (r *rollback) say(ctx workflow.Context, ended activities.Ended, sentence string) {
	stage := StageDone
	if ended.State == turnback.Stuck {
		stage = StageStuck
	}
	if len(ended.Lines) > 0 {
		sentence += "; " + strings.Join(ended.Lines, "; ")
	}
	r.Finish(ctx, stage, r.at(""), sentence)
}

// back says what stays when a rollback was stopped. The active release has moved, so it is never refused: it stays open, and
// the same command goes on with it.
func (r *rollback) back(ctx workflow.Context, cause error) (conduct.Outcome, error) {
	began := r.state.Began.TurnBack.Tenure.Number != 0
	if r.in.DryRun || r.ended || r.state.Began.Nothing || !began && conduct.Decided(cause) {
		return conduct.Outcome{}, nil
	}
	why := conduct.Reason(cause)
	if temporal.IsCanceledError(cause) {
		why = "it was cancelled"
	}
	target := r.target
	if began {
		target = r.state.Began.Target
	}
	left, err := BeginTurnBack.Soon(ctx, r.in.Environment, "look at what is left", activities.BeginInput{
		Target: target, Request: turnback.Request{Pipeline: r.in.Pipeline, Resume: true}, DryRun: true,
	})
	switch {
	case err != nil && began:
		left.Lines = []string{"what is left could not be read: " + conduct.Reason(err)}
	case !began && conduct.Decided(err), !began && err == nil && left.TurnBack.Tenure.Number == 0: // none is open
		return conduct.Outcome{}, nil
	case err != nil:
		return conduct.Outcome{Left: []string{"whether it has begun could not be read: " + conduct.Reason(err) + "; the same command goes on with it"}}, nil
	}
	open := fmt.Sprintf("it is open (%s), and the same command goes on with it", why) // first: a sentence names few of many
	return conduct.Outcome{Left: append([]string{open}, left.Lines...)}, nil
}
