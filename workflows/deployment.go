// Package workflows decides: what is built, compared, published, watched and turned back, in which order, and who is
// asked. It does no I/O and knows no clock but the workflow's.
package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/plan"
)

// DeploymentState is what a deployment carries across continue-as-new.
type DeploymentState struct {
	Status  Status       `json:"status"`
	Summary plan.Summary `json:"summary"`
	// Environment is the index of the one that is being crossed.
	Environment int `json:"environment"`
	// Progress are the crossings by environment, as far as they got.
	Progress []Progress `json:"progress"`
	// Document is the plan for people, bounded.
	Document string `json:"document"`
}

// Progress is how far one environment's crossing got: enough to go on after continue-as-new, and to compensate.
type Progress struct {
	// Done are the steps that are finished.
	Done []string `json:"done,omitempty"`
	// Touched says that effects may be there: its compensation is registered.
	Touched bool `json:"touched,omitempty"`
	// Canary are the generations that were compared and wait to be promoted.
	Canary     []activities.Piece `json:"canary,omitempty"`
	SlicesDone int                `json:"slices_done,omitempty"`
}

// Deployment applies a plan through its environments, in order.
//
//	planning → validating → for each environment: crossing ⇄ waiting → watching → (next)  → done
//	                        any failure, breach, rejection, abort or cancel: → compensating → refused | rolled_back | stuck
//
// It promises: nothing unaudited is visible; nothing is done in an environment that moved since it was planned; whatever
// it published is turned back when it does not end as done, or a person was asked and said so.
func Deployment(ctx workflow.Context, in DeploymentInput) (Status, error) {
	d, err := newDeployment(ctx, in)
	if err != nil {
		return Status{}, err
	}
	err = d.run(ctx)
	return d.Status, failure("deploy "+in.Pipeline, err)
}

type deployment struct {
	*conversation
	in         DeploymentInput
	summary    plan.Summary
	index      int
	progress   []Progress
	superseded *SupersedeInput
}

func newDeployment(ctx workflow.Context, in DeploymentInput) (*deployment, error) {
	d := &deployment{in: in}
	status := Status{Kind: "deployment", Pipeline: in.Pipeline, Release: in.Release, By: in.By, Stage: StagePlanning}
	if in.State != nil {
		status, d.summary, d.index, d.progress = in.State.Status, in.State.Summary, in.State.Environment, in.State.Progress
	}
	var err error
	if d.conversation, err = converse(ctx, status); err != nil {
		return nil, err
	}
	if in.State != nil {
		d.document = in.State.Document
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, Supersede, d.supersede, workflow.UpdateHandlerOptions{
		Validator: d.maySupersede, Description: "end a deployment that is only watching, in favour of another",
	})
	return d, err
}

// run reads like the runbook.
func (d *deployment) run(ctx workflow.Context) error {
	err := d.deploy(ctx)
	if workflow.IsContinueAsNewError(err) {
		return err
	}
	calm, _ := workflow.NewDisconnectedContext(ctx)
	if err == nil {
		d.at(ctx, StageDone, d.Environment, "", fmt.Sprintf("%s@%s is live in %s", d.Release.Pipeline, d.Release.Version, d.Environment))
		return d.drain(calm)
	}
	if turnErr := d.compensate(calm, err); turnErr != nil {
		return turnErr
	}
	if drainErr := d.drain(calm); drainErr != nil {
		return drainErr
	}
	if temporal.IsCanceledError(err) {
		return temporal.NewCanceledError(d.Status)
	}
	if class, _ := faultOf(err); class == "" || class == fault.Invalid || class == fault.Ambiguous {
		return err
	}
	return nil
}

// deploy goes forward; any error turns back.
func (d *deployment) deploy(ctx workflow.Context) error {
	if d.in.State == nil {
		if err := d.prepare(ctx); err != nil {
			return err
		}
	}
	for ; d.index < len(d.summary.Environments); d.index++ {
		if err := d.cross(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare builds the release when a folder is deployed, plans or reads the plan, and validates once.
func (d *deployment) prepare(ctx workflow.Context) error {
	d.at(ctx, StagePlanning, "", "plan", "planning "+d.in.Pipeline)
	p := planner{pipeline: d.in.Pipeline, environments: d.in.Environments, configs: d.in.Configs}
	computed, err := d.plan(ctx, p)
	if err != nil {
		return err
	}
	d.summary = computed.Summary
	d.Release, d.Plan, d.document = d.summary.Release, d.summary.Digest, computed.Markdown
	for _, env := range d.summary.Environments {
		d.Crossings = append(d.Crossings, Crossing{Environment: env.Name, State: "waiting", Slices: env.Slices})
	}
	d.progress = make([]Progress, len(d.summary.Environments))
	if blocking := d.summary.Blocked(); len(blocking) > 0 {
		first := blocking[0]
		return fault.Newf(fault.Refused, "deploy", d.in.Pipeline, first.Remedy,
			fmt.Sprintf("%s in the way, the first is %s: %s", count(len(blocking), "problem"), first.Object, first.Text))
	}
	d.at(ctx, StageValidating, "", "validate", "validating "+d.Release.Version)
	return d.validate(ctx, p)
}

func (d *deployment) plan(ctx workflow.Context, p planner) (activities.ComputeResult, error) {
	if d.in.Plan == "" {
		release, err := p.release(ctx, d.in.Source, d.in.Release)
		if err != nil {
			return activities.ComputeResult{}, err
		}
		return p.plan(ctx, release, d.in.Rebuild)
	}
	var acts *activities.Planning // nil: only names the method
	env := d.in.Environments[0]
	var read activities.ComputeResult
	err := d.perform(ctx, "plan", controlOptions(env, "read plan"), acts.ReadPlan,
		activities.ReadPlanInput{Target: p.target(ctx, env, d.in.Release), Plan: d.in.Plan}, &read)
	return read, err
}

// validate looks at the artifact once, on the first environment's worker.
func (d *deployment) validate(ctx workflow.Context, p planner) error {
	var acts *activities.Builds // nil: only names the method
	env := d.in.Environments[0]
	var report activities.ValidateResult
	err := d.perform(ctx, "validate", buildOptions(env, "validate "+d.Release.Version), acts.ValidateRelease, p.target(ctx, env, d.Release), &report)
	if err != nil {
		return err
	}
	for _, line := range report.Lines {
		if !line.OK {
			return fault.Newf(fault.Refused, "validate", line.Subject, line.Hint, fmt.Sprintf("%s (%d of %d lines are not right)", line.Text, report.Failures(), len(report.Lines)))
		}
	}
	d.event(ctx, fmt.Sprintf("valid: %d lines", len(report.Lines)))
	return nil
}

// maySupersede lets go only of a deployment that has published everything and watches its last environment.
func (d *deployment) maySupersede(_ workflow.Context, in SupersedeInput) error {
	last := d.index == len(d.summary.Environments)-1
	if d.Stage != StageWatching || !last {
		return activities.ApplicationError(fault.Newf(fault.Conflict, "supersede deployment of", d.Pipeline,
			"wait for it, or cancel it: drawbridge cancel "+d.Pipeline,
			fmt.Sprintf("it is not only watching: %s in %s by %s", d.Stage, d.Environment, d.By)))
	}
	if in.By == "" {
		return activities.ApplicationError(fault.Newf(fault.Invalid, "supersede deployment of", d.Pipeline, "say who: --as NAME", "nobody is named"))
	}
	return nil
}

func (d *deployment) supersede(ctx workflow.Context, in SupersedeInput) error {
	d.superseded = &in
	d.event(ctx, fmt.Sprintf("superseded by %s: %s", in.By, in.Reason))
	return nil
}

// continueAsNew starts over with all that was done, once history has grown.
func (d *deployment) continueAsNew(ctx workflow.Context) error {
	if err := d.drain(ctx); err != nil {
		return err
	}
	in := d.in
	in.State = &DeploymentState{Status: d.Status, Summary: d.summary, Environment: d.index, Progress: d.progress, Document: d.document}
	return workflow.NewContinueAsNewError(ctx, DeploymentName, in)
}

// target names the release in the environment that is being crossed.
func (d *deployment) target(ctx workflow.Context, environment string) activities.Target {
	return activities.Target{Environment: environment, Release: d.Release, Config: d.in.Configs[environment], Key: key(ctx)}
}

// compensate turns back whatever was touched, newest environment first, and says how the deployment ends.
func (d *deployment) compensate(ctx workflow.Context, cause error) error {
	why := reason(cause)
	if temporal.IsCanceledError(cause) {
		why = "cancelled"
	}
	ended := StageRefused
	var left []string
	for i := min(d.index, len(d.progress)-1); i >= 0; i-- {
		if !d.progress[i].Touched || (i < d.index && !d.in.CompensateAll) {
			continue
		}
		env := d.summary.Environments[i].Name
		d.at(ctx, StageCompensating, env, "compensate", "turning back in "+env+": "+why)
		out, err := turnBack{conversation: d.conversation, target: d.target(ctx, env)}.compensate(ctx)
		if err != nil {
			return err
		}
		d.Crossings[i].State = "refused"
		if out.changed {
			ended, d.Crossings[i].State = StageRolledBack, "turned_back"
		}
		left = append(left, out.left...)
	}
	d.Stage, d.Step, d.Sentence = ended, "", why
	if len(left) > 0 {
		d.Stage = StageStuck
		d.Sentence = why + "; left as they are: " + fmt.Sprint(left)
	}
	d.event(ctx, string(d.Stage)+": "+d.Sentence)
	return nil
}

// done says whether a step of an environment is finished.
func (p *Progress) done(step string) bool { return slices.Contains(p.Done, step) }
