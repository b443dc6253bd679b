package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/release"
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
	c, err := conduct.Open(ctx, head, plain{}, Takes(RunName)...)
	if err != nil {
		return Status{}, err
	}
	r := &run{Conductor: c, in: in}
	err = c.Run(ctx, "run "+in.Pipeline, r.run, r.back)
	r.leave(ctx)
	return Status{Header: c.Header()}, err
}

type run struct {
	*conduct.Conductor
	in     RunInput
	target activities.Target // once it has entered the environment
	// standing says that there was nothing to publish, as the end of a sentence; empty: there was.
	standing string
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
	entered, err := Enter.Do(ctx, r.Conductor, r.at("enter"), "enter "+in.Environment, activities.EnterInput{Target: target, Kind: tenures, By: in.By})
	if err != nil {
		return err
	}
	r.Rule(in.Environment, entered.Rule)
	if entered.Tells {
		r.Listen(target)
	}
	if !entered.Tenure.None() && entered.Tenure.Release.Digest != release.Digest {
		return fault.Newf(fault.Refused, "run", release.String(), "run what is active: drawbridge run "+entered.Tenure.Release.String()+" --env "+in.Environment+" --partition "+string(in.Partition)+"; or deploy this one: drawbridge deploy "+release.String()+" --to "+in.Environment,
			entered.Tenure.Release.String()+" is active in "+in.Environment)
	}
	if called := entered.Tenure.Release; called.Digest == release.Digest { // it may have claimed its version
		target.Release = called
		r.About(called, "")
	}
	target.Tenure, target.Epoch = entered.Tenure.Number, entered.Epoch
	if in.Config == "" {
		target.Config = entered.Tenure.Config
	}
	r.target = target
	for round := range runRounds {
		target.Now = workflow.Now(ctx)
		moved, err := r.once(ctx, target, round, !entered.Tenure.Activated)
		if err != nil {
			return err
		}
		if len(moved) == 0 {
			r.Finish(ctx, StageDone, r.at(""), fmt.Sprintf("%s is live in %s%s", in.Partition, in.Environment, r.standing))
			return nil
		}
		r.Tell(ctx, r.at("publish"), fmt.Sprintf("another run was faster in %s %s: building it again", moved[0].Output, moved[0].Partition))
	}
	return fault.Newf(fault.Conflict, "run", string(in.Partition), "run it again when the others have ended", "other runs were faster, again and again")
}

// tenures are what a run opens, where nothing is active yet.
const tenures = release.ByRun

// runRounds is how often a run builds its partition again because others published in between: parallel runs of many days
// share outputs that are one partition.
const runRounds = 10

// once builds, audits and publishes. It returns the partitions in which others were faster.
func (r *run) once(ctx workflow.Context, target activities.Target, round int, first bool) ([]generation.Swap, error) {
	in := r.in
	r.At(ctx, StageCrossing, r.at("build"), fmt.Sprintf("building %s with %s", in.Partition, target.Release.Version))
	built, err := BuildSlice.Do(ctx, r.Conductor, r.at("run"), "build run", activities.SliceInput{
		Target: target, Step: "run", Round: round, Partition: in.Partition, Batch: in.Batch, Once: true,
	})
	if err != nil {
		return nil, err
	}
	if r.standing = appended(built.Pieces); r.standing != "" {
		return nil, nil
	}
	if again := rewritten(built.Pieces); again > 0 {
		r.Tell(ctx, r.at("build"), check.FormatBytes(again)+" of what is live were written again: their rows stay")
	}
	if err := r.pass(ctx, target, built.Pieces); err != nil {
		return nil, err
	}
	if first {
		if err := expand(ctx, r.Conductor, activities.ExpandInput{Target: target}, unplanned); err != nil {
			return nil, err
		}
	}
	r.At(ctx, StageCrossing, r.at("publish"), "publishing "+string(in.Partition))
	publishing := activities.PublishInput{Target: target, Step: "publish", Round: round, Swaps: swaps(built.Pieces), Activate: first, By: in.By}
	res, err := publish(ctx, r.Conductor, publishing, unplanned, func(workflow.Context) error { return nil })
	if err != nil && r.happened(ctx, publishing) {
		return nil, nil
	}
	return res.Moved, err
}

// rewritten is how many bytes of what is live pieces hold again.
func rewritten(pieces []activities.Piece) (bytes int64) {
	for _, p := range pieces {
		bytes += p.Rewritten
	}
	return bytes
}

// appended says that all that a run would append is live already; empty where something is not.
func appended(pieces []activities.Piece) string {
	var of []string
	for _, p := range pieces {
		if p.Standing == "" {
			return ""
		}
		of = append(of, fmt.Sprintf("%s of %s, generation %d", p.Standing, p.Swap.Output, p.Swap.To))
	}
	if len(of) == 0 {
		return ""
	}
	return " as it was: nothing is appended twice, and its batches are live already: " + strings.Join(of, "; ")
}

// happened says whether a publish is done of which the answer was lost, before somebody stopped the run or gave it up.
func (r *run) happened(ctx workflow.Context, publishing activities.PublishInput) bool {
	calm, _ := workflow.NewDisconnectedContext(ctx)
	publishing.Look = true
	res, err := Publish.Soon(calm, r.in.Environment, "look whether it is published", publishing)
	if err != nil {
		r.Tell(calm, r.at("publish"), "whether it is published could not be read: "+conduct.Reason(err))
		return false
	}
	if res.Done {
		r.Tell(calm, r.at("publish"), "it was published before it was stopped")
	}
	return res.Done
}

// unplanned refuses to ask for an approval: a run has no plan that it could be about.
func unplanned(_ workflow.Context, why string) error { return conduct.Refused("publish", why) }

// pass holds the run to its audit: a failed one refuses, an inconclusive one asks.
func (r *run) pass(ctx workflow.Context, t activities.Target, pieces []activities.Piece) error {
	v := audit(pieces)
	r.Tell(ctx, r.at("audit"), fmt.Sprintf("audit: %s: %s", v.Outcome, v.Reason))
	switch v.Outcome {
	case gate.Pass:
		return nil
	case gate.Fail:
		return fault.Newf(fault.Refused, "audit", string(r.in.Partition), "mend the data or the SQL and run it again", v.Reason)
	case gate.Inconclusive, gate.None:
	}
	v.Evidence = worstFirst(v.Evidence)
	g, err := r.Ask(ctx, r.at("audit"), gate.Gate{
		Name: "audit-" + r.in.Environment, Verdict: v, Choices: []gate.Choice{gate.Approve, gate.Reject}, About: unsure(pieces),
		Question: fmt.Sprintf("the audit of %s is inconclusive: publish it?", r.in.Partition),
	})
	if err != nil {
		return err
	}
	if g.Decided != gate.Approve {
		return conduct.Refused("audit", g.Why)
	}
	return record(ctx, r.Conductor, r.at("audit"), t, g)
}

// leave says that the run builds no more, however it ended. What is not said housekeeping finds out.
func (r *run) leave(ctx workflow.Context) {
	if r.target.Tenure == 0 {
		return
	}
	calm, _ := workflow.NewDisconnectedContext(ctx)
	if _, err := Leave.Do(calm, r.Conductor, r.at("leave"), "leave "+r.in.Environment, r.target); err != nil {
		r.Tell(calm, r.at("leave"), "what it had loaded is left to housekeeping: "+conduct.Reason(err))
	}
}

// back says what stays: a run publishes, and activates where nothing was active, in one transaction. So either nothing of it is
// live, or all of it, whatever came afterwards.
func (r *run) back(workflow.Context, error) (conduct.Outcome, error) { return conduct.Outcome{}, nil }
