package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/workflows/conduct"
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
	// Entered says that the ledger may know the deployment there: then it has to leave. Touched says that more effects may be
	// there: its compensation is registered. Tenure is the one that it has reserved.
	Entered bool  `json:"entered,omitempty"`
	Touched bool  `json:"touched,omitempty"`
	Tenure  int64 `json:"tenure,omitempty"`
	// Epoch is the ledger's, and Swaps counts those that were made under the tenure: a ledger that lacks them has gone back.
	Epoch string `json:"epoch,omitempty"`
	Swaps int    `json:"swaps,omitempty"`
	// Other is the tenure that the watch found active in place of its own.
	Other *release.Tenure `json:"other,omitempty"`
	// Canary are the generations that were compared and wait to be promoted; Tried are the IDs of all that smoke built; Round
	// is how often that was, after the first time.
	Canary []activities.Piece `json:"canary,omitempty"`
	Tried  []int64            `json:"tried,omitempty"`
	Round  int                `json:"round,omitempty"`
	// Rest is the line of the slices after the canary's, and Parts counts the transactions of the cut-over that are done.
	Rest  conduct.LineState `json:"rest"`
	Parts int               `json:"parts,omitempty"`
	// Baseline are the watch metrics before the publish, and Reads the tables and views that each of them read.
	Baseline map[string]float64  `json:"baseline,omitempty"`
	Lost     map[string]string   `json:"lost,omitempty"` // why a metric has no value in Baseline
	Reads    map[string][]string `json:"reads,omitempty"`
	// UnsureLooks counts the looks in a row that could not be evaluated; Asked is what the watch has asked about.
	UnsureLooks int      `json:"unsure_looks,omitempty"`
	Asked       []string `json:"asked,omitempty"`
	// Kept are the failing checks about which a person said to keep what is published; Breached counts the looks in a row
	// that found nothing else.
	Kept     []string `json:"kept,omitempty"`
	Breached int      `json:"breached,omitempty"`
}

// Deployment applies a plan through its environments, in order.
//
//	planning → validating → for each environment: crossing ⇄ waiting, paused → watching → (next)  → done
//	                        any failure, breach, rejection or cancel: → compensating → refused | rolled_back | stuck
//
// It promises: nothing unaudited is visible; nothing is done in an environment that moved since it was planned; whatever
// it published is turned back when it does not end as done, or a person was asked and said so.
func Deployment(ctx workflow.Context, in DeploymentInput) (Status, error) {
	d, err := newDeployment(ctx, in)
	if err != nil {
		return Status{}, err
	}
	err = d.Run(ctx, "deploy "+in.Pipeline, d.deploy, d.compensate)
	return d.status(d.Header()), err
}

type deployment struct {
	*conduct.Conductor
	in        DeploymentInput
	summary   plan.Summary
	crossings []Crossing
	index     int
	progress  []Progress
	document  string // the plan, for people: shown below the gates
}

func newDeployment(ctx workflow.Context, in DeploymentInput) (*deployment, error) {
	d := &deployment{in: in}
	head := conduct.Header{Kind: "deployment", Pipeline: in.Pipeline, Release: in.Release, By: in.By, Stage: StagePlanning}
	if s := in.State; s != nil {
		head, d.crossings, d.summary, d.index = s.Status.Header, s.Status.Crossings, s.Summary, s.Environment
		d.progress, d.document = s.Progress, s.Document
	}
	var err error
	d.Conductor, err = conduct.Open(ctx, head, d, Takes(DeploymentName)...)
	if err != nil {
		return nil, err
	}
	d.learn(ctx)
	return d, nil
}

// learn takes the rules by which the gates of the plan's environments are decided, and in which of them people are told.
func (d *deployment) learn(ctx workflow.Context) {
	for _, env := range d.summary.Environments {
		d.Rule(env.Name, env.Approval)
		if env.Tells {
			d.Listen(d.target(ctx, env.Name))
		}
	}
}

func (d *deployment) status(h conduct.Header) Status {
	return Status{Header: h, Crossings: d.crossings}
}

// Status adds the crossings to what people see.
func (d *deployment) Status(h conduct.Header) any { return d.status(h) }

// Details are the verdicts and the plan.
func (d *deployment) Details() []string { return append(verdictTable(d.crossings), d.document) }

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
	last := d.summary.Environments[len(d.summary.Environments)-1].Name
	sentence := fmt.Sprintf("%s is live in %s", d.Release(), last)
	if other := d.progress[len(d.progress)-1].Other; other != nil {
		sentence = fmt.Sprintf("%s was live in %s until %s became active; nothing is stated about it", d.Release(), last, other.Release)
	}
	d.Finish(ctx, StageDone, conduct.Scope{Environment: last}, sentence)
	return nil
}

// prepare builds the release when a folder is deployed, plans or reads the plan, and validates once.
func (d *deployment) prepare(ctx workflow.Context) error {
	d.At(ctx, StagePlanning, conduct.Scope{Step: "plan"}, "planning "+d.in.Pipeline)
	p := planner{pipeline: d.in.Pipeline, environments: d.in.Environments, configs: d.in.Configs}
	computed, err := d.plan(ctx, p)
	if err != nil {
		return err
	}
	d.summary, d.document = computed.Summary, computed.Markdown
	d.About(d.summary.Release, d.summary.Digest)
	d.learn(ctx)
	for _, env := range d.summary.Environments {
		d.crossings = append(d.crossings, Crossing{Environment: env.Name, State: "waiting", Slices: env.Slices, Transactions: env.Transactions, Lanes: env.Lanes})
	}
	d.progress = make([]Progress, len(d.summary.Environments))
	if blocking := d.summary.Blocked(); len(blocking) > 0 {
		first := blocking[0]
		return fault.Newf(fault.Refused, "deploy", d.in.Pipeline, first.Remedy,
			fmt.Sprintf("%s in the way, the first is %s: %s", count(len(blocking), "problem"), first.Object, first.Text))
	}
	d.At(ctx, StageValidating, conduct.Scope{Step: "validate"}, "validating "+d.Release().Version)
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
	env := d.in.Environments[0]
	return ReadPlan.Try(ctx, env, "read plan", activities.ReadPlanInput{Target: p.target(ctx, env, d.in.Release), Plan: d.in.Plan})
}

// validate looks at the artifact once, on the first environment's worker.
func (d *deployment) validate(ctx workflow.Context, p planner) error {
	at := conduct.Scope{Environment: d.summary.Environments[0].Name, Step: "validate"}
	report, err := ValidateRelease.Do(ctx, d.Conductor, at, "validate "+d.Release().Version, p.target(ctx, at.Environment, d.Release()))
	if err != nil {
		return err
	}
	for _, line := range report.Lines {
		if !line.OK {
			return fault.Newf(fault.Refused, "validate", line.Subject, line.Hint, fmt.Sprintf("%s (%d of %d checks are not right)", line.Text, report.Failures(), len(report.Lines)))
		}
	}
	d.Tell(ctx, at, fmt.Sprintf("valid: %d checks pass", len(report.Lines)))
	return nil
}

// continueAsNew starts over with all that was done, once history has grown.
func (d *deployment) continueAsNew(ctx workflow.Context) error {
	return d.ContinueAsNew(ctx, DeploymentName, func(carried conduct.Header) any {
		in := d.in
		in.State = &DeploymentState{
			Status: d.status(carried), Summary: d.summary, Environment: d.index, Progress: d.progress,
			Document: d.document,
		}
		return in
	})
}

// target names the release in an environment.
func (d *deployment) target(ctx workflow.Context, environment string) activities.Target {
	return activities.Target{Environment: environment, Release: d.Release(), Config: d.in.Configs[environment], Owner: owner(ctx)}
}

// compensate turns back whatever was touched, newest environment first. One that fails stops no other, and is named.
func (d *deployment) compensate(ctx workflow.Context, cause error) (conduct.Outcome, error) {
	everywhere := d.in.CompensateAll || d.SaidAll() || (d.index < len(d.summary.Environments) && d.summary.Environments[d.index].Compensate == pipeline.CompensateAll)
	var all conduct.Outcome
	for i := min(d.index, len(d.progress)-1); i >= 0; i-- {
		out, err := d.uncross(ctx, i, i == d.index || everywhere, cause)
		all.Changed, all.Left = all.Changed || out.Changed, append(all.Left, out.Left...)
		if err != nil {
			all.Left = append(all.Left, d.summary.Environments[i].Name+": turning back stopped: "+conduct.Reason(err))
		}
	}
	return all, nil
}

// uncross turns back what was touched in an environment, if it is to go back, and leaves it.
func (d *deployment) uncross(ctx workflow.Context, i int, back bool, cause error) (conduct.Outcome, error) {
	env, p := d.summary.Environments[i].Name, &d.progress[i]
	if !p.Touched || !back {
		return conduct.Outcome{}, d.leave(ctx, env, p)
	}
	d.At(ctx, StageCompensating, conduct.Scope{Environment: env, Step: "compensate"}, "turning back in "+env+": "+conduct.Reason(cause))
	out, err := d.turnBack(ctx, env, p, cause)
	if err == nil {
		err = d.leave(ctx, env, p)
	}
	if err != nil {
		return out, err
	}
	d.crossings[i].State = "refused"
	if out.Changed {
		d.crossings[i].State = "turned_back"
	}
	return out, nil
}

// turnBack takes back what the deployment changed in an environment, and its shadow. Where the watch found another tenure
// there is nothing to take back.
func (d *deployment) turnBack(ctx workflow.Context, env string, p *Progress, cause error) (conduct.Outcome, error) {
	target := d.target(ctx, env)
	sweep := func() error {
		return DropShadow.Tidy(ctx, d.Conductor, conduct.Scope{Environment: env, Step: "sweep"}, "drop shadow", activities.ShadowInput{Target: target})
	}
	if p.Other != nil {
		return conduct.Outcome{Changed: p.Other.Kind == release.ByTurnBack}, sweep()
	}
	at := conduct.Scope{Environment: env, Step: "compensate"}
	in := activities.CompensateInput{Target: target, Reason: conduct.Reason(cause)}
	c := &compensation{Conductor: d.Conductor, target: target, reason: in.Reason, no: d.No(ctx, cause)}
	c.begin = func(ctx workflow.Context, round int) (activities.Began, error) {
		in.Round = round
		return BeginCompensation.Do(ctx, d.Conductor, at.At("begin"), "stop what is under way", in)
	}
	c.preview = func(ctx workflow.Context) (activities.Began, error) {
		in := in
		in.DryRun = true
		return BeginCompensation.Do(ctx, d.Conductor, at.At("preview"), "look at what would go back", in)
	}
	out, err := c.run(ctx)
	if err != nil {
		return out, err
	}
	return out, sweep()
}

// leave ends the deployment's crossing of an environment, and its watch there: others may change the pipeline.
func (d *deployment) leave(ctx workflow.Context, environment string, p *Progress) error {
	if !p.Entered {
		return nil
	}
	_, err := Leave.Do(ctx, d.Conductor, conduct.Scope{Environment: environment, Step: "leave"}, "leave "+environment, d.target(ctx, environment))
	if err == nil {
		p.Entered = false
	}
	return err
}

// done says whether a step of an environment is finished.
func (p *Progress) done(step string) bool { return slices.Contains(p.Done, step) }
