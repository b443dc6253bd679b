package workflows

import (
	"fmt"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/workflows/conduct"
)

// Run builds, audits and publishes one partition, all outputs, with one release.
//
//	planning → crossing ⇄ waiting → done | refused | stuck
//
// It promises: what is visible afterwards passed its audit, or a person accepted it, or nothing changed. Running it again
// gives the same rows.
func Run(ctx workflow.Context, in RunInput) (Status, error) {
	head := conduct.Header{Kind: "run", Pipeline: in.Pipeline, Release: in.Release, By: in.By, Stage: StagePlanning, Environment: in.Environment}
	c, err := conduct.Open(ctx, head, plain{}, conduct.Cancel)
	if err != nil {
		return Status{}, err
	}
	r := &run{Conductor: c, in: in}
	err = c.Run(ctx, "run "+in.Pipeline, r.run, r.back)
	return Status{Header: c.Header()}, err
}

type run struct {
	*conduct.Conductor
	in        RunInput
	published bool
}

func (r *run) at(step string) conduct.Scope {
	return conduct.Scope{Environment: r.in.Environment, Step: step}
}

func (r *run) run(ctx workflow.Context) error {
	in := r.in
	p := planner{pipeline: in.Pipeline, environments: []string{in.Environment}, configs: map[string]string{in.Environment: in.Config}}
	release, err := p.release(ctx, in.Source, in.Release)
	if err != nil {
		return err
	}
	r.About(release, "")
	target := p.target(ctx, in.Environment, release)
	here, err := Active.Try(ctx, in.Environment, "read active release", activities.ActiveInput{Target: target})
	if err != nil {
		return err
	}
	r.Rule(in.Environment, here.Rule)
	r.At(ctx, StageCrossing, r.at("build"), fmt.Sprintf("building %s with %s", in.Partition, release.Version))
	built, err := BuildSlice.Do(ctx, r.Conductor, r.at("run"), "build run", activities.SliceInput{Target: target, Step: "run", Partition: in.Partition})
	if err != nil {
		return err
	}
	if err := r.pass(ctx, audit(built.Pieces)); err != nil {
		return err
	}
	if err := expand(ctx, r.Conductor, activities.ExpandInput{Target: target}); err != nil {
		return err
	}
	r.At(ctx, StageCrossing, r.at("publish"), "publishing "+string(in.Partition))
	if err := publish(ctx, r.Conductor, activities.PublishInput{Target: target, Step: "publish", Swaps: swaps(built.Pieces)}, built.Pieces); err != nil {
		return err
	}
	r.published = true
	if here.Release == nil {
		// The first run of all makes its own release active. It is visible by now: a cancel comes too late.
		calm, _ := workflow.NewDisconnectedContext(ctx)
		if _, err := Activate.Do(calm, r.Conductor, r.at("activate"), "flip active release", activities.ActivateInput{Target: target, Step: "activate"}); err != nil {
			return err
		}
	}
	r.Finish(ctx, StageDone, r.at(""), fmt.Sprintf("%s is live in %s", in.Partition, in.Environment))
	return nil
}

// pass holds the run to its audit: a failed one refuses, an inconclusive one asks.
func (r *run) pass(ctx workflow.Context, v gate.Verdict) error {
	r.Tell(ctx, r.at("audit"), fmt.Sprintf("audit: %s: %s", v.Outcome, v.Reason))
	switch v.Outcome {
	case gate.Pass:
		return nil
	case gate.Fail:
		return fault.Newf(fault.Refused, "audit", string(r.in.Partition), "mend the data or the SQL and run it again", v.Reason)
	case gate.Inconclusive:
	}
	v.Evidence = worstFirst(v.Evidence)
	g, err := r.Ask(ctx, r.at("audit"), gate.Gate{
		Name: "audit-" + r.in.Environment, Verdict: v, Choices: []gate.Choice{gate.Approve, gate.Reject},
		Question: fmt.Sprintf("the audit of %s is inconclusive: publish it?", r.in.Partition),
	})
	if err != nil {
		return err
	}
	if g.Decided != gate.Approve {
		return conduct.Refused("audit", g.Why)
	}
	return nil
}

// back says what stays: a run publishes in one transaction, so either nothing did, or all of it is live.
func (r *run) back(workflow.Context, error) (conduct.Outcome, error) {
	if !r.published {
		return conduct.Outcome{}, nil
	}
	return conduct.Outcome{Left: []string{fmt.Sprintf("%s is live, and no release is active", r.in.Partition)}}, nil
}
