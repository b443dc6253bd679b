package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// cross takes one environment from preflight to attestation. Every step is skipped when it is done already, so that the
// crossing goes on where it was after continue-as-new.
func (d *deployment) cross(ctx workflow.Context) error {
	x := &crossing{deployment: d, env: d.summary.Environments[d.index], progress: &d.progress[d.index], shown: &d.Crossings[d.index]}
	x.target = d.target(ctx, x.env.Name)
	steps := []struct {
		id   string
		what string
		do   func(workflow.Context) error
	}{
		{plan.StepPreflight, "checking that nothing moved since the plan", x.preflight},
		{plan.StepSmoke, "building and auditing the newest partitions", x.smoke},
		{plan.StepCanary, "comparing with what is live", x.canary},
		{plan.StepApproval, "asking for approval", x.approval},
		{plan.StepExpand, "making room for new columns", x.makeRoom},
		{plan.StepPublishCanary, "publishing the canary", x.publishCanary},
		{plan.StepPublishRest, "publishing the rest in steps", x.publishRest},
		{plan.StepActivate, "making it the active release", x.activate},
		{plan.StepWatch, "watching the published tables", x.watch},
		{plan.StepAttest, "stating that it passed", x.attest},
	}
	for _, step := range steps {
		if x.progress.done(step.id) {
			continue
		}
		if step.id == plan.StepApproval && !x.env.Approval.Required {
			continue
		}
		x.shown.Step = step.id
		if step.id != plan.StepWatch {
			d.at(ctx, StageCrossing, x.env.Name, step.id, step.what)
		}
		if err := step.do(ctx); err != nil {
			return err
		}
		x.progress.Done = append(x.progress.Done, step.id)
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
}

func (x *crossing) preflight(ctx workflow.Context) error {
	var acts *activities.Planning // nil: only names the method
	x.shown.State = "crossing"
	if err := x.perform(ctx, "preflight-"+x.env.Name, observeOptions(x.env.Name, "preflight "+x.env.Name), acts.Recheck,
		activities.RecheckInput{Target: x.target, Plan: x.Plan}, nil); err != nil {
		return err
	}
	var watching *activities.Watching // nil: only names the method
	var before activities.WatchBaseline
	if err := x.perform(ctx, "baseline-"+x.env.Name, controlOptions(x.env.Name, "watch metrics before"), watching.MeasureBefore, x.target, &before); err != nil {
		return err
	}
	x.shown.Baseline = before.Values
	return nil
}

// smoke builds the canary's partitions, which the canary compares and the publish promotes, and judges audits and time.
func (x *crossing) smoke(ctx workflow.Context) error {
	x.progress.Touched = true
	var built activities.SliceResult
	if err := x.build(ctx, "smoke", activities.SliceInput{Target: x.target, Step: "canary", Plan: x.Plan, Slice: 0}, &built); err != nil {
		return err
	}
	x.progress.Canary = built.Pieces
	v := audit(built.Pieces)
	if limit := x.env.SmokeMax.Seconds(); limit > 0 {
		e := gate.Evidence{Name: "runtime", Value: fmt.Sprintf("%.1fs", built.Seconds), Limit: x.env.SmokeMax.String(), Outcome: gate.Pass}
		if built.Seconds > limit {
			e.Outcome = gate.Fail
			v = gate.Verdict{Outcome: gate.Fail, Reason: fmt.Sprintf("the smoke run took %.1f s, more than %s", built.Seconds, x.env.SmokeMax), Evidence: v.Evidence}
		}
		v.Evidence = append(v.Evidence, e)
	}
	return x.pass(ctx, "smoke", v)
}

// canary compares what smoke built with what is live, beside it, in a shadow.
func (x *crossing) canary(ctx workflow.Context) error {
	var publishing *activities.Publishing // nil: only names the methods
	ids := make([]int64, len(x.progress.Canary))
	for i, p := range x.progress.Canary {
		ids[i] = p.Swap.To
	}
	if err := x.perform(ctx, "shadow-"+x.env.Name, controlOptions(x.env.Name, "attach shadow"), publishing.AttachShadow,
		activities.ShadowInput{Target: x.target, Generations: ids}, nil); err != nil {
		return err
	}
	var acts *activities.Builds // nil: only names the methods
	var base activities.BaselineResult
	if err := x.perform(ctx, "canary-baseline-"+x.env.Name, buildOptions(x.env.Name, "choose baseline"), acts.ChooseBaseline,
		activities.BaselineInput{Target: x.target, Pieces: x.progress.Canary}, &base); err != nil {
		return err
	}
	control, err := x.control(ctx, base.NeedControl)
	if err != nil {
		return err
	}
	var res activities.CompareResult
	if err := x.perform(ctx, "compare-"+x.env.Name, buildOptions(x.env.Name, "compare with live"), acts.CompareCanary,
		activities.CompareInput{Target: x.target, Pieces: x.progress.Canary, Control: control}, &res); err != nil {
		return err
	}
	if len(res.NoBaseline) > 0 && res.Verdict.Outcome == gate.Pass && x.env.Approval.Required {
		x.event(ctx, "no baseline for "+fmt.Sprint(res.NoBaseline)+": the approval decides")
	}
	return x.pass(ctx, "canary", res.Verdict)
}

// control runs the active release again on the candidate's inputs, for the pieces whose live generation saw other ones.
func (x *crossing) control(ctx workflow.Context, need []activities.Piece) ([]activities.Piece, error) {
	if len(need) == 0 || x.env.Active == nil {
		return nil, nil
	}
	target := x.target
	target.Release, target.Config = *x.env.Active, ""
	in := activities.SliceInput{Target: target, Step: "control", Control: true}
	for _, p := range need {
		in.Items = append(in.Items, generation.Item{Output: p.Swap.Output, Partition: p.Swap.Partition})
	}
	var built activities.SliceResult
	err := x.build(ctx, "control", in, &built)
	return built.Pieces, err
}

// approval asks, where the environment's policy wants it, with the canary's evidence; and records the answer where
// publish reads it.
func (x *crossing) approval(ctx workflow.Context) error {
	g, err := x.ask(ctx, gate.Gate{
		Name: "approval-" + x.env.Name, Rule: x.env.Approval, Choices: []gate.Choice{gate.Approve, gate.Reject},
		Question: fmt.Sprintf("publish %s@%s to %s?", x.Release.Pipeline, x.Release.Version, x.env.Name),
		Verdict:  x.verdict("canary"),
	})
	if err != nil {
		return err
	}
	if g.Decided != gate.Approve {
		return refused("approval-"+x.env.Name, g.Why)
	}
	var acts *activities.Publishing // nil: only names the method
	return x.perform(ctx, "record-approval-"+x.env.Name, controlOptions(x.env.Name, "record approval"), acts.RecordApproval,
		activities.RecordInput{Target: x.target, Gate: g}, nil)
}

func (x *crossing) makeRoom(ctx workflow.Context) error {
	return x.expand(ctx, activities.ExpandInput{Target: x.target, Plan: x.Plan})
}

func (x *crossing) publishCanary(ctx workflow.Context) error {
	in := activities.PublishInput{Target: x.target, Plan: x.Plan, Step: "publish-canary", Swaps: swaps(x.progress.Canary)}
	if err := x.publish(ctx, in, x.progress.Canary); err != nil {
		return err
	}
	x.progress.SlicesDone, x.shown.SlicesDone = 1, 1
	return nil
}

// publishRest builds, audits and publishes slice by slice. The history of a slice is a few events, whatever it holds.
func (x *crossing) publishRest(ctx workflow.Context) error {
	for next := x.progress.SlicesDone; next < x.env.Slices; next++ {
		step := fmt.Sprintf("slice-%d", next)
		var built activities.SliceResult
		if err := x.build(ctx, step, activities.SliceInput{Target: x.target, Step: step, Plan: x.Plan, Slice: next}, &built); err != nil {
			return err
		}
		if err := x.pass(ctx, step, audit(built.Pieces)); err != nil {
			return err
		}
		if err := x.publish(ctx, activities.PublishInput{Target: x.target, Plan: x.Plan, Step: "publish-" + step, Swaps: swaps(built.Pieces)}, built.Pieces); err != nil {
			return err
		}
		x.progress.SlicesDone++
		x.shown.SlicesDone = x.progress.SlicesDone
		x.event(ctx, fmt.Sprintf("published step %d of %d", next+1, x.env.Slices))
		if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			return x.continueAsNew(ctx)
		}
	}
	return nil
}

func (x *crossing) activate(ctx workflow.Context) error {
	var acts *activities.Publishing // nil: only names the method
	err := x.perform(ctx, "activate-"+x.env.Name, controlOptions(x.env.Name, "flip active release"), acts.Activate,
		activities.ActivateInput{Target: x.target, Plan: x.Plan, Step: "activate"}, nil)
	if err == nil {
		x.shown.State = "live"
	}
	return err
}

// attest states, signed, that the release passed this environment, and sweeps. A cancel that comes now is too late for this
// environment: a statement must not stand for what was turned back.
func (x *crossing) attest(ctx workflow.Context) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	var acts *activities.Releases // nil: only names the method
	in := activities.AttestInput{Target: x.target, Kind: release.Passed, Plan: x.Plan, By: x.By, Reason: x.in.Reason}
	if x.superseded != nil {
		in.Details = map[string]string{"watch": "superseded by " + x.superseded.By}
	}
	if err := x.perform(ctx, "attest-"+x.env.Name, controlOptions(x.env.Name, "attest"), acts.Attest, in, nil); err != nil {
		return err
	}
	var publishing *activities.Publishing // nil: only names the methods
	if err := x.tidy(ctx, controlOptions(x.env.Name, "drop shadow"), publishing.DropShadow, activities.ShadowInput{Target: x.target}); err != nil {
		return err
	}
	return x.tidy(ctx, controlOptions(x.env.Name, "keep house"), publishing.Housekeep, x.target)
}

// pass records a gate's verdict: fail ends the crossing, inconclusive asks.
func (x *crossing) pass(ctx workflow.Context, name string, v gate.Verdict) error {
	v.Evidence = v.Evidence[:min(len(v.Evidence), evidenceLimit)]
	x.shown.Verdicts = append(x.shown.Verdicts, GateVerdict{Gate: name, Verdict: v, At: workflow.Now(ctx)})
	x.shown.Verdicts = x.shown.Verdicts[max(0, len(x.shown.Verdicts)-verdictLimit):]
	x.event(ctx, fmt.Sprintf("%s: %s: %s", name, v.Outcome, v.Reason))
	switch v.Outcome {
	case gate.Pass:
		return nil
	case gate.Fail:
		return fault.Newf(fault.Refused, name, x.env.Name, "see the numbers: drawbridge status "+x.Pipeline, v.Reason)
	case gate.Inconclusive:
	}
	g, err := x.ask(ctx, gate.Gate{
		Name: name + "-" + x.env.Name, Verdict: v, Rule: x.env.Approval, Choices: []gate.Choice{gate.Approve, gate.Reject},
		Question: fmt.Sprintf("the %s gate of %s is inconclusive: go on?", name, x.env.Name),
	})
	if err != nil {
		return err
	}
	if g.Decided != gate.Approve {
		return refused(name+"-"+x.env.Name, g.Why)
	}
	return nil
}

// Evidence and verdicts in a status stay within a payload that histories and screens bear.
const (
	evidenceLimit = 60
	verdictLimit  = 40
)

// verdict returns the newest verdict of a gate.
func (x *crossing) verdict(name string) gate.Verdict {
	for _, v := range slices.Backward(x.shown.Verdicts) {
		if v.Gate == name {
			return v.Verdict
		}
	}
	return gate.Verdict{Outcome: gate.Inconclusive, Reason: "nothing was measured"}
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
	if all == "" {
		return next
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
