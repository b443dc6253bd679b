package workflows

import (
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/canary"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/notice"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/workflows/conduct"
)

// cross takes one environment from preflight to attestation: the steps are those of the plan that was approved, in its order.
// A step is skipped when it is done already, so that the crossing goes on where it was after continue-as-new.
func (d *deployment) cross(ctx workflow.Context) error {
	x := &crossing{deployment: d, env: d.summary.Environments[d.index], progress: &d.progress[d.index], shown: &d.crossings[d.index]}
	x.target = d.target(ctx, x.env.Name)
	x.target.Tenure, x.target.Epoch, x.target.Swaps = x.progress.Tenure, x.progress.Epoch, x.progress.Swaps
	if x.shown.State == "waiting" {
		x.shown.State = "crossing"
	}
	for _, step := range x.env.Steps {
		do, ok := x.steps()[step.ID]
		if !ok {
			return fault.Newf(fault.Invalid, "cross", x.env.Name, "plan again with this release of drawbridge: drawbridge plan "+x.target.Release.String()+" --to "+x.env.Name,
				fmt.Sprintf("the plan has a step %q that is not known here", step.ID))
		}
		if x.progress.done(step.ID) {
			continue
		}
		if err := x.Checkpoint(ctx); err != nil {
			return err
		}
		x.shown.Step = step.ID
		if step.ID != plan.StepWatch { // which says itself until when
			x.At(ctx, StageCrossing, x.at(step.ID), step.Title)
		}
		if err := do(ctx); err != nil {
			return err
		}
		x.progress.Done = append(x.progress.Done, step.ID)
	}
	return nil
}

// crossing is one environment of a deployment.
type crossing struct {
	*deployment
	env      plan.EnvironmentSummary
	target   activities.Target
	progress *Progress
	shown    *Crossing
	load     throttled
}

// earlier are the environments that were crossed before this one, and have something to take back.
func (x *crossing) earlier() []string {
	var names []string
	for i, env := range x.summary.Environments[:x.index] {
		if x.deployment.progress[i].Touched {
			names = append(names, env.Name)
		}
	}
	return names
}

// now is the target at this moment of the workflow, for what reads a clock.
func (x *crossing) now(ctx workflow.Context) activities.Target {
	t := x.target
	t.Now = workflow.Now(ctx)
	return t
}

// steps are what a plan's steps do.
func (x *crossing) steps() map[string]func(workflow.Context) error {
	return map[string]func(workflow.Context) error{
		plan.StepPreflight:     x.preflight,
		plan.StepSmoke:         x.smoke,
		plan.StepCanary:        x.canary,
		plan.StepApproval:      x.approval,
		plan.StepExpand:        x.makeRoom,
		plan.StepPublishCanary: x.publishCanary,
		plan.StepPublishRest:   x.publishRest,
		plan.StepAgree:         x.agree,
		plan.StepBuildRest:     x.buildRest,
		plan.StepPublish:       x.cutOver,
		plan.StepWatch:         x.watch,
		plan.StepAttest:        x.attest,
	}
}

func (x *crossing) at(step string) conduct.Scope {
	return conduct.Scope{Environment: x.env.Name, Step: step}
}

func (x *crossing) preflight(ctx workflow.Context) error {
	x.progress.Entered = true // whatever becomes of the call
	entered, err := Enter.Do(ctx, x.Conductor, x.at("enter"), "enter "+x.env.Name, activities.EnterInput{
		Target: x.target, Kind: release.ByDeployment, Plan: x.summary.Digest, By: x.in.By, Reason: x.in.Reason,
	})
	if err != nil {
		return err
	}
	x.progress.Tenure, x.target.Tenure = entered.Tenure.Number, entered.Tenure.Number
	x.progress.Epoch, x.target.Epoch = entered.Epoch, entered.Epoch
	if called := entered.Tenure.Release; called.Digest == x.target.Release.Digest { // it may have claimed its version
		x.target.Release = called
		x.About(called, x.summary.Digest)
	}
	x.Rule(x.env.Name, entered.Rule)
	if entered.Tells {
		x.Listen(x.target)
	}
	_, err = Recheck.Do(ctx, x.Conductor, x.at("preflight"), "preflight "+x.env.Name, activities.RecheckInput{Target: x.target, Plan: x.summary.Digest})
	return err
}

// smoke builds what is published first and what is only tried, and judges audits and time.
func (x *crossing) smoke(ctx workflow.Context) error {
	x.progress.Touched = true
	return x.smokeAgain(ctx, 0)
}

// smokeAgain is smoke of a round: a later one replaces what the earlier ones built.
func (x *crossing) smokeAgain(ctx workflow.Context, round int) error {
	x.progress.Round, x.progress.Tried = round, nil
	in := activities.SliceInput{Target: x.now(ctx), Step: "canary", Round: round, Plan: x.summary.Digest, Slice: 0}
	built, err := x.build(ctx, x.at("smoke"), "build smoke", in)
	if err != nil {
		return err
	}
	x.progress.Canary = built.Pieces
	if x.env.Aside > 0 && round == 0 {
		in.Step, in.Aside = "smoke", true
		aside, err := x.build(ctx, x.at("smoke"), "build smoke, not published", in)
		if err != nil {
			return err
		}
		built.Pieces, built.Seconds = slices.Concat(built.Pieces, aside.Pieces), built.Seconds+aside.Seconds
	}
	v := canary.Timed(audit(built.Pieces), built.Seconds, x.env.SmokeMax)
	for _, p := range built.Pieces {
		x.progress.Tried = append(x.progress.Tried, p.Swap.To)
	}
	return x.pass(ctx, "smoke", "smoke", v, unsure(built.Pieces)...)
}

// canary compares what smoke built with what is live, beside it, in a shadow: what is not published from there is given up
// with it.
func (x *crossing) canary(ctx workflow.Context) error {
	at := x.at("canary")
	if x.progress.Round > 0 {
		if _, err := DropShadow.Do(ctx, x.Conductor, at.At("shadow"), "drop shadow", activities.ShadowInput{Target: x.target}); err != nil {
			return err
		}
	}
	if _, err := AttachShadow.Do(ctx, x.Conductor, at.At("shadow"), "attach shadow", activities.ShadowInput{Target: x.target, Generations: x.progress.Tried}); err != nil {
		return err
	}
	base, err := ChooseBaseline.Do(ctx, x.Conductor, at.At("baseline"), "choose baseline", activities.BaselineInput{Target: x.target, Pieces: x.progress.Canary})
	if err != nil {
		return err
	}
	control, err := x.control(ctx, base.NeedControl)
	if err != nil {
		return err
	}
	in := activities.CompareInput{Target: x.now(ctx), Round: x.progress.Round, Pieces: x.progress.Canary, Control: control}
	res, err := CompareCanary.Do(ctx, x.Conductor, at.At("compare"), "compare with live", in)
	if err != nil {
		return err
	}
	if n := x.compared(); n < x.env.Partitions && res.Verdict.Outcome != gate.None {
		res.Verdict.Reason += fmt.Sprintf(" (%d of %s compared)", n, count(x.env.Partitions, "partition"))
	}
	var about []string
	if res.Verdict.Outcome == gate.Inconclusive && workflow.GetVersion(ctx, changeCanaryAnswers, workflow.DefaultVersion, 1) != workflow.DefaultVersion {
		about = []string{in.About()}
	}
	return x.pass(ctx, "canary", "canary", res.Verdict, about...)
}

// compared is how many partitions the canary is made of.
func (x *crossing) compared() int {
	keys := map[partition.Key]bool{}
	for _, p := range x.progress.Canary {
		keys[p.Swap.Partition] = true
	}
	return len(keys)
}

// changeCanaryAnswers, 2026-11-26: what people answer about an inconclusive canary is recorded, because a publish looks for it. The old
// branch may go when no deployment is open that asked before.
const changeCanaryAnswers = "record-canary-answers"

// control runs the active release again on the candidate's inputs and in its place, for the pieces whose live generation saw
// other inputs.
func (x *crossing) control(ctx workflow.Context, need []activities.Piece) ([]activities.Piece, error) {
	if len(need) == 0 || x.env.Active == nil {
		return nil, nil
	}
	in := activities.SliceInput{Target: x.now(ctx), Step: "control", Round: x.progress.Round, Control: x.env.Active}
	for _, p := range need {
		in.Items = append(in.Items, generation.Item{Output: p.Swap.Output, Partition: p.Swap.Partition})
	}
	built, err := x.build(ctx, x.at("control"), "build control", in)
	return built.Pieces, err
}

// approval asks, with the canary's evidence, and records the answer where publish reads it.
func (x *crossing) approval(ctx workflow.Context) error { return x.approve(ctx, "") }

// approve asks for an approval; why is empty the first time.
func (x *crossing) approve(ctx workflow.Context, why string) error {
	at := x.at("approval")
	if n := x.env.Partitions; n > x.compared() {
		why = strings.TrimSpace(fmt.Sprintf("%s are published. %s", count(n, "partition"), why))
	}
	g, err := x.Ask(ctx, at, gate.Gate{
		Earlier: x.earlier(),
		Name:    gate.ApprovalOf(x.env.Name), Choices: []gate.Choice{gate.Approve, gate.Reject},
		Question: strings.TrimSpace(fmt.Sprintf("publish %s@%s to %s? %s", x.target.Release.Pipeline, x.target.Release.Version, x.env.Name, why)),
		Verdict:  x.shown.verdict("canary"),
	})
	if err != nil {
		return err
	}
	err = record(ctx, x.Conductor, at, x.target, g)
	if err == nil && g.Decided != gate.Approve {
		err = conduct.Refused("approval-"+x.env.Name, g.Why)
	}
	return err
}

func (x *crossing) makeRoom(ctx workflow.Context) error {
	return expand(ctx, x.Conductor, activities.ExpandInput{Target: x.target}, x.approve)
}

func (x *crossing) publishCanary(ctx workflow.Context) error {
	if err := x.measureBefore(ctx); err != nil {
		return err
	}
	in := activities.PublishInput{Step: "publish-canary", Activate: x.env.Slices == 1, Swaps: swaps(x.progress.Canary)}
	err := x.publish(ctx, in, func(ctx workflow.Context, round int, _ []int) ([]generation.Swap, error) {
		if err := x.tryAgain(ctx, round); err != nil {
			return nil, err
		}
		return swaps(x.progress.Canary), x.measureBefore(ctx)
	})
	if err != nil {
		return err
	}
	x.shown.SlicesDone = 1
	x.live(ctx, in.Activate)
	return nil
}

// tryAgain is smoke and canary of a later round: what they try moved.
func (x *crossing) tryAgain(ctx workflow.Context, round int) error {
	if err := x.smokeAgain(ctx, round); err != nil {
		return err
	}
	return x.canary(ctx)
}

// publishRounds is how often what moved while it was built, or while a gate was open, is built again. In the last round the
// runs of the pipeline wait.
const publishRounds = 3

// publish makes what was built visible. An approval is of decisions, not of data: where scheduled runs have published in the
// meantime, again builds, audits and compares anew, within the same budgets, and the deployment goes on. It is told which slices
// are stale, where the plan says what is published, and else returns the swaps to make instead.
func (x *crossing) publish(ctx workflow.Context, in activities.PublishInput, again func(ctx workflow.Context, round int, stale []int) ([]generation.Swap, error)) error {
	in.Target, in.By, in.Reason = x.target, x.in.By, x.in.Reason
	for in.Round = 0; ; in.Round++ {
		res, err := publish(ctx, x.Conductor, in, x.approve, x.measureBefore)
		if err != nil {
			return err
		}
		if res.Done {
			x.progress.Swaps += res.Swapped
			x.target.Swaps = x.progress.Swaps
			return nil
		}
		if in.Round == publishRounds {
			return fault.Newf(fault.Conflict, in.Step, x.env.Name, "deploy it again when the other runs have ended", "what it replaces moved, again and again")
		}
		moved := count(len(res.Moved), "partition")
		if len(res.Stale) > 0 {
			moved = count(len(res.Stale), "slice")
		}
		x.Tell(ctx, x.at(in.Step), fmt.Sprintf("%s moved since it was built: building it again", moved))
		if in.Round+1 == publishRounds {
			if _, err := Enter.Do(ctx, x.Conductor, x.at("enter"), "let runs wait", activities.EnterInput{
				Target: x.target, Kind: release.ByDeployment, Plan: x.summary.Digest, By: x.in.By, Reason: x.in.Reason, Exclusive: true,
			}); err != nil {
				return err
			}
		}
		if in.Swaps, err = again(ctx, in.Round+1, res.Stale); err != nil {
			return err
		}
	}
}

// publishRest builds and audits slices in lanes, and publishes them in the order of the plan. The history of a slice is a few
// events, whatever it holds.
func (x *crossing) publishRest(ctx workflow.Context) error {
	return x.rest(ctx, plan.StepPublishRest, func(ctx workflow.Context, item int, built activities.SliceResult) error {
		in := activities.PublishInput{Step: "publish-" + slice(item), Activate: item == x.env.Slices-2, Swaps: swaps(built.Pieces)}
		err := x.publish(ctx, in, func(ctx workflow.Context, round int, _ []int) ([]generation.Swap, error) {
			built, err := x.buildAgain(ctx, item, round)
			return swaps(built.Pieces), err
		})
		if err != nil {
			return err
		}
		x.shown.SlicesDone++
		x.live(ctx, in.Activate)
		x.Tell(ctx, x.at(plan.StepPublishRest), fmt.Sprintf("published step %d of %d", item+2, x.env.Slices))
		return nil
	})
}

// rest builds and audits the slices after the canary's in lanes, and delivers them in the order of the plan.
func (x *crossing) rest(ctx workflow.Context, step string, deliver func(workflow.Context, int, activities.SliceResult) error) error {
	total := x.env.Slices - 1 // the first is the canary's
	line := conduct.Line[activities.SliceResult]{
		At: x.at(step), Total: total, Lanes: x.env.Lanes, Narrow: x.load.narrow,
		Name: slice,
		Do: func(ctx workflow.Context, at conduct.Scope, item int) (activities.SliceResult, error) {
			built, err := x.build(ctx, at.At(slice(item)), "build "+slice(item), x.slice(ctx, item, 0))
			if err != nil {
				return built, err
			}
			if v := audit(built.Pieces); v.Outcome == gate.Fail {
				return built, x.pass(ctx, "slices", slice(item), v, unsure(built.Pieces)...)
			}
			return built, nil
		},
		Deliver: func(ctx workflow.Context, item int, built activities.SliceResult) error {
			if err := x.pass(ctx, "slices", slice(item), audit(built.Pieces), unsure(built.Pieces)...); err != nil {
				return err
			}
			return deliver(ctx, item, built)
		},
	}
	for !x.progress.Rest.Over(total) {
		if err := line.Run(ctx, x.Conductor, &x.progress.Rest); err != nil {
			return err
		}
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return x.continueAsNew(ctx)
		}
	}
	return nil
}

// slice is what a slice after the canary's is built from.
func (x *crossing) slice(ctx workflow.Context, item, round int) activities.SliceInput {
	return activities.SliceInput{Target: x.now(ctx), Step: slice(item), Round: round, Plan: x.summary.Digest, Slice: item + 1}
}

// buildAgain builds and audits a slice of which something moved.
func (x *crossing) buildAgain(ctx workflow.Context, item, round int) (activities.SliceResult, error) {
	built, err := x.build(ctx, x.at(slice(item)), "build "+slice(item)+" again", x.slice(ctx, item, round))
	if err != nil {
		return built, err
	}
	return built, x.pass(ctx, "slices", slice(item), audit(built.Pieces), unsure(built.Pieces)...)
}

// build has a slice built. The activity hands over at the edge of a partition now and then, where a pause may hold it.
func (x *crossing) build(ctx workflow.Context, at conduct.Scope, summary string, in activities.SliceInput) (activities.SliceResult, error) {
	var all activities.SliceResult
	for {
		built, err := BuildSlice.Do(ctx, x.Conductor, at, summary, in)
		all.Pieces, all.Seconds = append(all.Pieces, built.Pieces...), all.Seconds+built.Seconds
		in.Waited = len(built.Throttled) > 0
		switch {
		case err != nil:
			return all, err
		case in.Waited:
			err := x.load.out(ctx, x.Conductor, at, x.env.Lanes, built.Throttled, built.Opens, "")
			x.shown.Throttled = x.load.Why
			if err != nil {
				return all, err
			}
		default:
			x.load.went(at.Lane, x.env.Lanes)
			x.shown.Throttled = x.load.Why
			if built.Next == 0 {
				return all, nil
			}
		}
		if err := x.Checkpoint(ctx); err != nil {
			return all, err
		}
		in.From = built.Next
	}
}

// slice names a slice after the canary's, as steps and effect keys know it.
func slice(item int) string { return fmt.Sprintf("slice-%d", item+1) }

// live says that the release became the active one, in the transaction of its last publish.
func (x *crossing) live(ctx workflow.Context, activated bool) {
	if !activated {
		return
	}
	x.shown.State = "live"
	e := notice.Event{
		Kind: notice.DeploymentLive, What: fmt.Sprintf("%s is live in %s", x.target.Release, x.env.Name), Why: x.in.Reason,
		Numbers: []notice.Number{{Name: "partitions published", Value: fmt.Sprint(x.env.Partitions)}, {Name: "transactions", Value: fmt.Sprint(x.env.Slices)}},
		Commands: []string{
			"drawbridge status " + x.target.Release.String(),
			fmt.Sprintf("drawbridge rollback %s --env %s --reason TEXT", x.target.Release.Pipeline, x.env.Name),
		},
	}
	if long := x.env.Watch.For; long > 0 {
		e.What += fmt.Sprintf(", and is watched for %s", long)
	}
	x.Announce(ctx, x.env.Name, e)
}

// attest states, signed, that the release passed this environment, and drops the shadow. A cancel that comes now is too late for this
// environment: a statement must not stand for what was turned back. Nothing is stated where another tenure ended the watch.
func (x *crossing) attest(ctx workflow.Context) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	at := x.at("attest")
	if x.progress.Other != nil {
		if err := x.leave(ctx, x.env.Name, x.progress); err != nil {
			return err
		}
		return x.sweep(ctx)
	}
	if _, err := Attest.Do(ctx, x.Conductor, at, "attest", x.target); err != nil {
		return err
	}
	if err := x.leave(ctx, x.env.Name, x.progress); err != nil {
		return err
	}
	return x.sweep(ctx)
}

// sweep drops the shadow. What nobody can go back to any more is dropped by the environment's housekeeping, when nobody waits.
func (x *crossing) sweep(ctx workflow.Context) error {
	return DropShadow.Tidy(ctx, x.Conductor, x.at("sweep"), "drop shadow", activities.ShadowInput{Target: x.target})
}

// pass notes a gate's verdict: fail ends the crossing, inconclusive asks, and records the answer, with what it is about, where
// publish reads it. Many steps may share a gate.
func (x *crossing) pass(ctx workflow.Context, name, step string, v gate.Verdict, about ...string) error {
	x.shown.note(GateVerdict{Gate: name, Verdict: v, At: workflow.Now(ctx)})
	v.Evidence = worstFirst(v.Evidence)
	x.Tell(ctx, x.at(step), fmt.Sprintf("%s: %s: %s", step, v.Outcome, v.Reason))
	switch v.Outcome {
	case gate.Pass, gate.None:
		return nil
	case gate.Fail:
		return fault.Newf(fault.Refused, step, x.env.Name, "see the numbers: drawbridge status "+x.target.Release.String(), v.Reason)
	case gate.Inconclusive:
	}
	g, err := x.Ask(ctx, x.at(step), gate.Gate{
		Earlier: x.earlier(), About: about,
		Name: step + "-" + x.env.Name, Verdict: v, Choices: []gate.Choice{gate.Approve, gate.Reject},
		Question: fmt.Sprintf("the %s gate of %s is inconclusive: go on?", step, x.env.Name),
	})
	if err != nil {
		return err
	}
	if g.Decided != gate.Approve {
		return conduct.Refused(step+"-"+x.env.Name, g.Why)
	}
	if len(g.About) == 0 {
		return nil
	}
	return record(ctx, x.Conductor, x.at(step), x.target, g)
}

// audit folds what a slice's checks found.
func audit(pieces []activities.Piece) gate.Verdict {
	var v gate.Verdict
	outcomes := make([]gate.Outcome, 0, len(pieces))
	checks, rows := 0, int64(0)
	for _, p := range pieces {
		outcomes = append(outcomes, p.Audit)
		checks += p.Checks
		rows += p.Rows
		name := fmt.Sprintf("%s[%s]", p.Swap.Output, p.Swap.Partition)
		e := gate.Evidence{Name: name, Value: count(int(p.Rows), "row") + ", " + count(p.Checks, "check"), Outcome: p.Audit, Note: p.Why}
		if p.Samples != "" {
			e.Note += "; read the keys of failing rows in the warehouse: " + p.Samples
		}
		v.Evidence = append(v.Evidence, e)
		if p.Audit != gate.Pass {
			v.Reason = join(v.Reason, name+": "+p.Why)
		}
	}
	v.Outcome = gate.Worst(outcomes...)
	if v.Reason == "" {
		v.Reason = fmt.Sprintf("%s pass on %s of %s", count(checks, "check"), count(int(rows), "row"), count(len(pieces), "partition"))
	}
	return v
}

func join(all, next string) string {
	switch "" {
	case all:
		return next
	case next:
		return all
	}
	return all + "; " + next
}

// swaps are the swaps that make pieces live.
func swaps(pieces []activities.Piece) []generation.Swap {
	out := make([]generation.Swap, len(pieces))
	for i, p := range pieces {
		out[i] = p.Swap
	}
	return out
}
