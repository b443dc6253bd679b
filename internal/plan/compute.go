package plan

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// maxTrial bounds the smoke and the canary partitions of an environment: they are samples, and every summary of a plan
// names each of them.
const maxTrial = 32

// Input is all that a plan depends on.
type Input struct {
	Release      release.Release
	Pipeline     *pipeline.Pipeline
	Rebuild      Rebuild
	Environments []EnvironmentInput // in the order of crossing
}

// EnvironmentInput is one environment: what differs there, what its policy says, and what was found.
type EnvironmentInput struct {
	Config   pipeline.Config // its overrides of smoke and watch are applied to the pipeline's
	Policy   pipeline.Policy
	Observed Observed
}

// Compute decides what a deployment does in each environment, and seals the plan. The same input gives the same digest.
//
// What stands in the way of a deployment is in the plan, so that people see all of it at once: Blocking lists it. An
// error is an input that no plan can be made of.
func Compute(in Input) (Plan, error) {
	if err := in.check(); err != nil {
		return Plan{}, err
	}
	if in.Rebuild.Mode == "" {
		in.Rebuild.Mode = RebuildNone
	}
	p := Plan{
		Release:      in.Release,
		Owner:        in.Pipeline.Owner,
		Description:  in.Pipeline.Description,
		Rebuild:      in.Rebuild,
		Environments: make([]Environment, 0, len(in.Environments)),
	}
	for _, e := range in.Environments {
		p.Environments = append(p.Environments, crossing{
			digest:   in.Release.Digest,
			pipeline: in.Pipeline,
			rebuild:  in.Rebuild,
			config:   e.Config,
			policy:   e.Policy,
			observed: e.Observed,
		}.plan())
	}
	Seal(&p)
	return p, nil
}

// Blocked is a problem that refuses the deployment, with the environment that has it.
type Blocked struct {
	Environment string `json:"environment"`
	Problem
}

// Blocking lists what refuses the deployment, in the order of the environments. A plan with none may be deployed.
func (p Plan) Blocking() []Blocked {
	var found []Blocked
	for _, e := range p.Environments {
		for _, problem := range e.Problems {
			if problem.Blocking {
				found = append(found, Blocked{Environment: e.Name, Problem: problem})
			}
		}
	}
	return found
}

// check lists everything about the input of which no plan can be made.
func (in Input) check() error {
	var wrong []error
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if in.Pipeline == nil || len(in.Pipeline.Outputs) == 0 {
		return fault.Newf(fault.Invalid, "plan", in.Release.Pipeline, "give the pipeline an output", "the release has no output")
	}
	if in.Release.Digest == "" {
		say("the release has no digest")
	}
	if len(in.Environments) == 0 {
		say("no environment is named")
	}
	switch in.Rebuild.Mode {
	case "", RebuildNone, RebuildAll:
	case RebuildLast:
		if in.Rebuild.Last < 1 {
			say("rebuild last %d: the number is 1 or more", in.Rebuild.Last)
		}
	case RebuildSince:
		if _, err := in.Pipeline.Partition.Parse(string(in.Rebuild.Since)); err != nil {
			say("rebuild since: %w", err)
		}
	default:
		say("rebuild %q is not a scope", in.Rebuild.Mode)
	}
	seen := map[string]bool{}
	for _, e := range in.Environments {
		name := e.Observed.Environment
		if seen[name] {
			say("environment %s is named twice", name)
		}
		seen[name] = true
		for _, o := range in.Pipeline.Outputs {
			if _, ok := e.Observed.output(o.Table); !ok {
				say("output %s was not observed in %s", o.Table, name)
			}
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "plan", in.Release.Pipeline, "drawbridge plan --help", errors.Join(wrong...))
}

// output returns an output as observed.
func (o Observed) output(table string) (ObservedOutput, bool) {
	i := slices.IndexFunc(o.Outputs, func(out ObservedOutput) bool { return out.Table == table })
	if i < 0 {
		return ObservedOutput{}, false
	}
	return o.Outputs[i], true
}

// crossing plans one environment.
type crossing struct {
	digest   string // of the release
	pipeline *pipeline.Pipeline
	rebuild  Rebuild
	config   pipeline.Config
	policy   pipeline.Policy
	observed Observed
}

func (c crossing) plan() Environment {
	smoke, watch := c.smoke(), WatchOf(c.pipeline, c.config)
	w := c.work(smoke.Latest, c.pipeline.Canary.Latest)
	over, cut := c.cutover(w)
	e := Environment{
		Name:         c.observed.Environment,
		Schema:       c.observed.Schema,
		ConfigDigest: c.observed.ConfigDigest,
		PolicyDigest: c.observed.PolicyDigest,
		Active:       c.observed.Active,
		Fingerprint:  Fingerprint(c.observed.Outputs),
		Smoke:        w.smoke,
		SmokeMax:     smoke.MaxRuntime,
		Canary:       w.canary,
		Aside:        w.aside,
		Slices:       w.slices,
		Lanes:        c.policy.Publish.Lanes,
		Batch:        c.pipeline.Batch,
		Cutover:      over,
		Budgets:      budgetTexts(c.pipeline.Canary.Expect),
		Approval:     c.policy.Approval,
		Compensate:   c.policy.Compensate,
		Requires:     c.policy.Requires,
		Watch:        watch,
		Schedule:     c.schedule(),
		Problems:     slices.Clone(c.observed.Problems),
		Shown:        c.shown(w),
	}
	for _, o := range c.pipeline.Outputs {
		found, _ := c.observed.output(o.Table)
		change := schemaChange(o.Partition, found)
		e.Changes = append(e.Changes, change)
		e.Problems = append(e.Problems, c.schemaProblems(change)...)
		e.Problems = append(e.Problems, contractProblems(o, found)...)
		if o.Contract != nil {
			e.Checks = append(e.Checks, o.Table+": "+o.Contract.Text())
		}
		if len(o.Key) > 0 {
			where := "in a partition"
			if o.KeyScope != "" {
				where = "over the whole " + string(o.KeyScope)
			}
			e.Checks = append(e.Checks, fmt.Sprintf("%s: key(%s), unique and not null %s", o.Table, strings.Join(o.Key, ", "), where))
		}
		for _, k := range o.Checks {
			e.Checks = append(e.Checks, o.Table+": "+checkText(k))
		}
		if o.NotRepeatable != "" {
			e.Checks = append(e.Checks, o.Table+": not built twice, because "+o.NotRepeatable)
		}
	}
	e.Shown.Pause = cut.Hold
	e.Problems = append(e.Problems, c.limits(w)...)
	e.Rollback = c.rollback(e.Changes)
	e.Steps = steps(e)
	return e
}

// smoke is the pipeline's, with the parts that the config replaces.
func (c crossing) smoke() pipeline.Smoke {
	s := c.pipeline.Smoke
	if over := c.config.Smoke; over != nil {
		if over.Latest > 0 {
			s.Latest = over.Latest
		}
		if over.MaxRuntime > 0 {
			s.MaxRuntime = over.MaxRuntime
		}
	}
	return s
}

// schedule is the config's, in words.
func (c crossing) schedule() string { return ScheduleOf(c.pipeline, c.config) }

// ScheduleOf is when a pipeline runs by itself, in words; empty: never.
func ScheduleOf(p *pipeline.Pipeline, config pipeline.Config) string {
	if config.Schedule == nil {
		return ""
	}
	return config.Schedule.Words(p.Partition)
}

// WatchOf is a pipeline's watch, with the parts that a config replaces.
func WatchOf(p *pipeline.Pipeline, config pipeline.Config) Watch {
	from := p.Watch
	w := Watch{For: from.For, Every: from.Every, Freshness: from.Freshness, OnBreach: string(from.OnBreach)}
	if over := config.Watch; over != nil {
		replace(&w.For, over.For)
		replace(&w.Every, over.Every)
		replace(&w.Freshness, over.Freshness)
		if over.OnBreach != nil {
			w.OnBreach = string(*over.OnBreach)
		}
	}
	for _, m := range from.Checks {
		w.Checks = append(w.Checks, metricText(m))
	}
	return w
}

func replace(d *time.Duration, with *time.Duration) {
	if with != nil {
		*d = *with
	}
}

// shown estimates from what is live: a partition is expected to have as many rows as the output's others have on average.
func (c crossing) shown(w work) Shown {
	s := Shown{Live: map[string]int{}, OpenRuns: c.observed.OpenRuns, Schedule: c.observed.Schedule, Tells: c.policy.Notify.Tells()}
	building, anew := map[string]int64{}, map[generation.Item]bool{}
	for _, slice := range w.slices {
		for _, item := range slice.Items {
			building[item.Output]++
			anew[item] = true
		}
	}
	for _, o := range c.pipeline.Outputs {
		found, _ := c.observed.output(o.Table)
		s.Live[o.Table] = len(found.Live)
		for _, d := range found.Dependents {
			if !slices.Contains(s.Dependents, d) {
				s.Dependents = append(s.Dependents, d)
			}
		}
		var rows int64
		for _, g := range found.Live {
			rows += g.Rows
			if g.Release.Digest != c.digest && !anew[generation.Item{Output: o.Table, Partition: g.Partition}] {
				if s.Stays == nil {
					s.Stays = map[string]int{}
				}
				s.Stays[g.Release.Version]++
			}
		}
		if n := int64(len(found.Live)); n > 0 {
			s.Rows += rows * building[o.Table] / n
		}
	}
	if c.observed.RowsPerSecond > 0 {
		s.Duration = time.Duration(float64(s.Rows) / c.observed.RowsPerSecond * float64(time.Second)).Round(time.Second)
	}
	return s
}

// rollback states what turning back takes, in words that a reviewer can check.
func (c crossing) rollback(changes []SchemaChange) Rollback {
	r := Rollback{To: c.observed.Active, Horizon: c.policy.KeepRetired}
	swap := "partitions that this release replaced: the retained generations are swapped back in, whatever their size"
	if r.To == nil {
		r.Steps = []string{
			"a first release goes by a person's word only: cancel or reject it while it is under way", swap,
			"partitions that this release published first: detached; the tables stay",
		}
	} else {
		r.Steps = []string{
			r.To.Version + " becomes the active release first, so that no new run uses this one", swap,
			"partitions that this release published first, or that were published again since: rebuilt with " + r.To.Version +
				", or detached where it has no such output",
		}
	}
	if c.schedule() != "" || c.observed.Schedule != "" {
		r.Steps = append(r.Steps, "the schedule is paused meanwhile, and again that of what is active: "+scheduleText(c.observed.Schedule))
	}
	for _, change := range changes {
		if change.Class == SchemaAdditive {
			r.Steps = append(r.Steps, fmt.Sprintf("added columns of %s (%s) stay in place, and are NULL", change.Table, columnNames(change.Added)))
		}
	}
	return r
}

// steps are the sequence of an environment; one that has nothing to do there is left out.
func steps(e Environment) []Step {
	var out []Step
	add := func(id, format string, args ...any) {
		out = append(out, Step{ID: id, Title: fmt.Sprintf(format, args...)})
	}
	if len(e.Requires) > 0 {
		add(StepPreflight, "observe again; nothing may have moved; the release has passed %s", strings.Join(e.Requires, ", "))
	} else {
		add(StepPreflight, "observe again; nothing may have moved")
	}
	add(StepSmoke, "%s", smokeText(e))
	add(StepCanary, "build %s in shadow; %s", keysText(e.Canary), baselineText(e))
	switch {
	case e.Approval.Required && e.Cutover.Asks:
		add(StepApproval, "%s; and to %s", approvalText(e.Approval), askText(e))
	case e.Approval.Required:
		add(StepApproval, "%s", approvalText(e.Approval))
	case e.Cutover.Asks:
		add(StepAgree, "ask whether to %s", askText(e))
	}
	rest, whole := len(e.Slices)-1, len(e.Cutover.Slices) > 0
	if whole && rest > 0 {
		add(StepBuildRest, "build and audit %s aside, in %s%s", count(Partitions(e.Slices[1:]), "partition"), count(rest, "slice"), batchText(e.Batch))
	}
	var grown []string
	for _, change := range e.Changes {
		switch change.Class {
		case SchemaCreate:
			grown = append(grown, "create "+change.Table)
		case SchemaAdditive:
			grown = append(grown, fmt.Sprintf("add %s to %s", columnNames(change.Added), change.Table))
		case SchemaSame, SchemaDestructive:
		}
	}
	if len(grown) > 0 {
		add(StepExpand, "%s", strings.Join(grown, "; "))
	}
	if whole {
		add(StepPublish, "publish %s %s", count(generations(e.Slices), "generation"), cutoverText(e))
	}
	if !whole && rest >= 0 {
		add(StepPublishCanary, "publish what is tried in one transaction: %s%s", count(len(e.Slices[0].Items), "generation"), activates(e, rest == 0))
	}
	if !whole && rest > 0 {
		add(StepPublishRest, "build, audit and publish %s in %s%s%s", count(Partitions(e.Slices[1:]), "partition"), count(rest, "transaction"), batchText(e.Batch), activates(e, true))
	}
	if e.Watch.For > 0 {
		add(StepWatch, "watch for %s, every %s; %s", durationText(e.Watch.For), durationText(e.Watch.Every), breachText(e.Watch.OnBreach))
	}
	add(StepAttest, "sign that the release passed %s", e.Name)
	return out
}

// activates says that the last transaction of a publish also makes the release the active one; its schedule follows.
func activates(e Environment, last bool) string {
	if !last {
		return ""
	}
	return "; the last one makes the release the active one" + schedules(e)
}

// schedules says what becomes of the pipeline's schedule where its release becomes the active one.
func schedules(e Environment) string {
	switch {
	case e.Schedule != "":
		return ", and applies its schedule"
	case e.Shown.Schedule != "":
		return ", and removes the schedule"
	}
	return ""
}

// Partitions counts the distinct partitions of slices. The one partition of an output of grain all counts as one.
func Partitions(of []Slice) int {
	seen := map[partition.Key]bool{}
	for _, s := range of {
		for _, item := range s.Items {
			seen[item.Partition] = true
		}
	}
	return len(seen)
}
