package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/release"
)

// Run builds, audits and publishes one partition, all outputs, with one release.
//
//	planning → crossing ⇄ waiting → done | refused
//
// It promises: what is visible afterwards passed its audit, or nothing changed. Running it again gives the same rows.
func Run(ctx workflow.Context, in RunInput) (Status, error) {
	c, err := converse(ctx, Status{Kind: "run", Pipeline: in.Pipeline, Release: in.Release, By: in.By, Stage: StagePlanning, Environment: in.Environment})
	if err != nil {
		return Status{}, err
	}
	r := &run{conversation: c, in: in}
	err = r.run(ctx)
	if err == nil {
		r.at(ctx, StageDone, in.Environment, "", fmt.Sprintf("%s is live in %s", in.Partition, in.Environment))
	} else {
		r.end(ctx, err)
	}
	calm, _ := workflow.NewDisconnectedContext(ctx)
	if drainErr := r.drain(calm); drainErr != nil {
		return r.Status, drainErr
	}
	return r.Status, failure("run "+in.Pipeline, err)
}

type run struct {
	*conversation
	in RunInput
}

func (r *run) run(ctx workflow.Context) error {
	in := r.in
	p := planner{pipeline: in.Pipeline, environments: []string{in.Environment}, configs: map[string]string{in.Environment: in.Config}}
	release, err := p.release(ctx, in.Source, in.Release)
	if err != nil {
		return err
	}
	r.Release = release
	target := p.target(ctx, in.Environment, release)
	active, err := r.active(ctx, target)
	if err != nil {
		return err
	}
	r.at(ctx, StageCrossing, in.Environment, "build", fmt.Sprintf("building %s with %s", in.Partition, release.Version))
	var built activities.SliceResult
	if err := r.build(ctx, "run", activities.SliceInput{Target: target, Step: "run", Partition: in.Partition}, &built); err != nil {
		return err
	}
	v := audit(built.Pieces)
	r.event(ctx, fmt.Sprintf("audit: %s: %s", v.Outcome, v.Reason))
	if v.Outcome != gate.Pass {
		return fault.Newf(fault.Refused, "audit", string(in.Partition), "mend the data or the SQL and run it again", v.Reason)
	}
	if err := r.expand(ctx, activities.ExpandInput{Target: target}); err != nil {
		return err
	}
	r.at(ctx, StageCrossing, in.Environment, "publish", "publishing "+string(in.Partition))
	if err := r.publish(ctx, activities.PublishInput{Target: target, Step: "publish", Swaps: swaps(built.Pieces)}, nil); err != nil {
		return err
	}
	if active != nil {
		return nil
	}
	var publishing *activities.Publishing // nil: only names the method
	return r.perform(ctx, "activate", controlOptions(in.Environment, "flip active release"), publishing.Activate,
		activities.ActivateInput{Target: target, Step: "activate"}, nil)
}

// active reads which release the environment runs; the first run of all makes its own release active.
func (r *run) active(ctx workflow.Context, target activities.Target) (*release.Release, error) {
	var acts *activities.Publishing // nil: only names the method
	var res activities.ActiveResult
	err := r.perform(ctx, "active", controlOptions(target.Environment, "read active release"), acts.Active, activities.ActiveInput{Target: target}, &res)
	return res.Release, err
}

// end says how it ended when it did not end well.
func (c *conversation) end(ctx workflow.Context, err error) {
	why := reason(err)
	if temporal.IsCanceledError(err) {
		why = "cancelled"
	}
	c.at(ctx, StageRefused, c.Environment, c.Step, why)
}
