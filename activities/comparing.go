package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/admission"
	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// Comparer compares generations inside a warehouse.
type Comparer interface {
	// Compare reads both sides in one snapshot; samples of differences stay in the ledger. It refuses a baseline that is the
	// candidate, or is not what its origin says.
	Compare(ctx context.Context, in Comparison) (canary.Diff, error)
	// Live returns the live generation of a partition and the digest of the inputs it was built from; 0 when none is.
	Live(ctx context.Context, output string, key partition.Key) (id int64, inputs string, err error)
	// Tried reads generations by ID; an unknown one is fault.Invalid.
	Tried(ctx context.Context, ids ...int64) (map[int64]generation.Tried, error)
	// TriedUnder reads the last generation of an output that was built and audited under a key, whatever became of it since; its
	// ID is 0 where there is none.
	TriedUnder(ctx context.Context, key effect.Key, output string) (generation.Tried, error)
	// Judged reads what a look under a key has found, by stage; none where there was none.
	// LiveBefore are the partitions of some outputs that are live, and were published before a tenure was reserved.
	LiveBefore(ctx context.Context, outputs []string, tenure int64) ([]partition.Key, error)
	Judged(ctx context.Context, key effect.Key) (map[admission.Stage]admission.Verdict, error)
	// Judge writes what a look under a key has found of a tenure, once, and returns what the ledger has.
	Judge(ctx context.Context, t release.Tenure, key effect.Key, verdicts ...admission.Verdict) (map[admission.Stage]admission.Verdict, error)
}

// Comparison is a candidate against a baseline.
type Comparison struct {
	Output    string
	Key       []string
	Metrics   []check.Check
	Baseline  int64
	Candidate int64
	Origin    canary.Origin
	// Active is the digest of the release that is active: a control is of this one.
	Active string
}

// CompareInput is what a canary built, and the controls that were built for those whose live generation saw other inputs.
type CompareInput struct {
	Target  Target  `json:"target"`
	Round   int     `json:"round,omitempty"` // of the builds
	Pieces  []Piece `json:"pieces"`
	Control []Piece `json:"control,omitempty"`
}

func (in CompareInput) effect() effect.Key { return in.Target.Effect("compare", "", in.Round) }

// About names what is found in what people decide about it, where it is inconclusive.
func (in CompareInput) About() string { return admission.AboutVerdict(in.effect()) }

// CompareResult is the canary's verdict.
type CompareResult struct {
	Verdict gate.Verdict `json:"verdict"`
	// NoBaseline lists the pieces that nothing live could be compared with: their verdict rests on absolute checks.
	NoBaseline []string `json:"no_baseline,omitempty"`
}

// BaselineInput asks which of a canary's partitions can be compared with what is live.
type BaselineInput struct {
	Target Target  `json:"target"`
	Pieces []Piece `json:"pieces"`
}

// BaselineResult lists the pieces whose live generation was built from other inputs, or from unknown ones: they need a
// control built by the active release.
type BaselineResult struct {
	NeedControl []Piece `json:"need_control,omitempty"`
}

// ChooseBaseline compares the recorded input digests of live and candidate. It reads only.
func (a *Builds) ChooseBaseline(ctx context.Context, in BaselineInput) (BaselineResult, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return BaselineResult{}, err
	}
	var out BaselineResult
	for _, piece := range in.Pieces {
		live, inputs, err := w.Live(ctx, piece.Swap.Output, piece.Swap.Partition)
		if err != nil {
			return BaselineResult{}, err
		}
		if live != 0 && !sameInputs(inputs, piece.Inputs) {
			out.NeedControl = append(out.NeedControl, piece)
		}
	}
	return out, nil
}

// sameInputs says that two generations were built from the same inputs, as far as is known.
func sameInputs(a, b string) bool { return a != "" && a == b }

// CompareCanary judges what smoke and canary have built, and writes both verdicts into the ledger, where admission holds the
// publish to them: once under target + round. It trusts no caller: what has to be tried is what the plan of the owner's tenure
// says, and what it is compared with is what the ledger has of it. Every piece is compared with its baseline, by the
// release's budgets; one without a baseline is listed, and its verdict rests on its audit.
func (a *Builds) CompareCanary(ctx context.Context, in CompareInput) (CompareResult, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return CompareResult{}, err
	}
	found, err := w.Judged(ctx, in.effect())
	if err == nil && len(found) == 0 {
		found, err = a.Site.judge(ctx, in, p, w)
	}
	if err != nil {
		return CompareResult{}, err
	}
	smoke, compared := found[admission.Smoke], found[admission.Canary]
	out := CompareResult{Verdict: compared.Verdict}
	if smoke.Outcome == gate.Fail {
		out.Verdict = smoke.Verdict
	}
	for _, c := range compared.Compared {
		if c.Baseline == 0 {
			out.NoBaseline = append(out.NoBaseline, c.Name())
		}
	}
	return out, nil
}

// judge looks at all that a canary has to try, and records what it finds.
func (s *Site) judge(ctx context.Context, in CompareInput, p *pipeline.Pipeline, w Warehouse) (map[admission.Stage]admission.Verdict, error) {
	c, err := s.comparing(ctx, in, p, w)
	if err != nil {
		return nil, err
	}
	smoke, err := c.smoke(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range c.tried {
		if err := c.compare(ctx, t); err != nil {
			return nil, fmt.Errorf("compare %s: %w", t.Name(), err)
		}
	}
	if err := c.repeated(ctx); err != nil {
		return nil, err
	}
	var active *release.Release
	if !c.active.None() {
		active = &c.active.Release
		if err := c.choice(ctx); err != nil {
			return nil, err
		}
	}
	verdict := canary.Fold(c.verdicts, c.alone, active)
	verdict.Evidence = append(verdict.Evidence, c.same...)
	return w.Judge(ctx, c.tenure, in.effect(), smoke, admission.Verdict{
		Stage: admission.Canary, Round: in.Round, Verdict: verdict, Compared: c.compared, About: []string{in.About()},
	})
}

// comparing is one canary's comparisons.
type comparing struct {
	in        CompareInput
	site      *Site
	warehouse Warehouse
	pipeline  *pipeline.Pipeline
	plan      plan.Environment
	tenure    release.Tenure // of who compares
	active    release.Tenure
	tried     []generation.Tried
	control   map[string]generation.Tried // by name
	verdicts  []canary.Named
	alone     []string
	same      []gate.Evidence // what was built twice and is the same
	compared  []admission.Compared
}

// comparing takes from the caller which generations it means, and no more: they are what its own workflow has built of the
// release under its tenure, all that its plan publishes first, and controls of the active release.
func (s *Site) comparing(ctx context.Context, in CompareInput, p *pipeline.Pipeline, w Warehouse) (*comparing, error) {
	refuse := func(reason string) error {
		return fault.Newf(fault.Refused, "compare", in.Target.Release.String(), "deploy it again: drawbridge deploy "+in.Target.Release.String()+" --to "+s.Environment, reason)
	}
	c := &comparing{in: in, site: s, warehouse: w, pipeline: p, control: map[string]generation.Tried{}}
	var err error
	if c.tenure, err = w.TenureOf(ctx, in.Target.Release.Pipeline, in.Target.Owner); err != nil {
		return nil, err
	}
	if c.tenure.Number == 0 || c.tenure.Number != in.Target.Tenure || c.tenure.Kind != release.ByDeployment {
		return nil, refuse(fmt.Sprintf("tenure %d is no deployment of its own", in.Target.Tenure))
	}
	if c.plan, _, err = s.planned(ctx, in.Target, c.tenure.Plan); err != nil {
		return nil, err
	}
	if c.active, err = w.Active(ctx, in.Target.Release.Pipeline); err != nil {
		return nil, err
	}
	var ids []int64
	for _, piece := range append(slices.Clone(in.Pieces), in.Control...) {
		ids = append(ids, piece.Swap.To)
	}
	known, err := w.Tried(ctx, ids...)
	if err != nil {
		return nil, err
	}
	missing := map[generation.Item]bool{}
	if len(c.plan.Slices) > 0 {
		for _, item := range c.plan.Slices[0].Items {
			missing[item] = true
		}
	}
	for _, piece := range in.Pieces {
		t := known[piece.Swap.To]
		if why := t.Unlike(in.Target.Owner, in.Target.Release, in.Target.Config, c.tenure.Number); why != "" {
			return nil, refuse(why)
		}
		item := generation.Item{Output: t.Output, Partition: t.Partition}
		if t.Control || !missing[item] {
			return nil, refuse(fmt.Sprintf("generation %d is none that the plan publishes first", t.ID))
		}
		delete(missing, item)
		c.tried = append(c.tried, t)
	}
	for item := range missing {
		return nil, refuse(fmt.Sprintf("%s[%s] was not tried, which the plan publishes first", item.Output, item.Partition))
	}
	for _, piece := range in.Control {
		t := known[piece.Swap.To]
		if why := t.Unlike(in.Target.Owner, c.active.Release, in.Target.Config, c.tenure.Number); why != "" {
			return nil, refuse(why)
		}
		c.control[t.Name()] = t
	}
	return c, nil
}

// smoke judges the audits of all that smoke has built, also of what it built to be audited only, and the time that it took.
func (c *comparing) smoke(ctx context.Context) (admission.Verdict, error) {
	tried, timed := slices.Clone(c.tried), slices.Clone(c.tried)
	for _, item := range c.plan.Aside {
		t, err := c.warehouse.TriedUnder(ctx, c.in.Target.Effect("smoke", item.Partition, 0), item.Output)
		if err != nil {
			return admission.Verdict{}, err
		}
		if why := t.Unlike(c.in.Target.Owner, c.in.Target.Release, c.in.Target.Config, c.tenure.Number); why != "" || t.ID == 0 {
			return admission.Verdict{}, fault.Newf(fault.Refused, "compare", c.in.Target.Release.String(), "deploy it again",
				fmt.Sprintf("%s[%s] was not tried, which the plan's smoke builds aside", item.Output, item.Partition))
		}
		tried = append(tried, t)
		if c.in.Round == 0 { // a later round builds only what has moved
			timed = append(timed, t)
		}
	}
	out := admission.Verdict{Stage: admission.Smoke, Round: c.in.Round}
	var outcomes []gate.Outcome
	var reasons []string
	for _, t := range tried {
		outcomes = append(outcomes, t.Audit)
		out.Compared = append(out.Compared, admission.Compared{Output: t.Output, Partition: t.Partition, Candidate: t.ID, Live: t.Baseline})
		if t.Audit != gate.Pass {
			reasons, out.About = append(reasons, t.Name()+": "+t.Reason), append(out.About, admission.AboutGeneration(t.ID))
		}
	}
	seconds, builds := 0.0, map[string]float64{}
	for _, t := range timed { // the outputs of a build are built one after the other
		builds[t.Key] = max(builds[t.Key], t.Seconds)
	}
	for _, took := range builds {
		seconds += took
	}
	out.Verdict = canary.Timed(gate.Verdict{Outcome: gate.Worst(outcomes...), Reason: strings.Join(reasons, "; ")}, seconds, c.plan.SmokeMax)
	return out, nil
}

// repeated holds what smoke has built of its newest partition against what the same build made of it a second time.
func (c *comparing) repeated(ctx context.Context) error {
	if len(c.tried) == 0 {
		return nil
	}
	all := batches(c.pipeline, c.plan.Slices[0].Items) // which hold what was tried
	newest := all[len(all)-1]
	key := c.in.Target.Effect("canary", newest.key, c.in.Round)
	for _, t := range c.tried {
		output, ok := c.pipeline.Output(t.Output)
		if !ok || output.NotRepeatable != "" || !slices.Contains(newest.outputs, t.Output) || t.Partition != newest.key && t.Partition != partition.AllKey {
			continue
		}
		again, err := c.warehouse.TriedUnder(ctx, key.Again(), t.Output)
		if err != nil {
			return err
		}
		if again.ID == 0 || t.Key != key.String() || again.Unlike(c.in.Target.Owner, c.in.Target.Release, c.in.Target.Config, c.tenure.Number) != "" {
			return fault.Newf(fault.Refused, "compare", t.Name(), "deploy it again", "it was not built twice, which smoke does with its newest partition")
		}
		if again.Rows == t.Rows && again.Checksum == t.Checksum {
			c.same = append(c.same, gate.Evidence{Name: t.Name() + " built twice", Value: "the same checksum", Outcome: gate.Pass})
			continue
		}
		activity.RecordHeartbeat(ctx, t.Name())
		diff, err := c.warehouse.Compare(ctx, Comparison{Output: t.Output, Key: output.Key, Baseline: again.ID, Candidate: t.ID, Origin: canary.Repeat})
		if err != nil {
			return fmt.Errorf("compare %s, built twice: %w", t.Name(), err)
		}
		c.verdicts = append(c.verdicts, canary.Named{Name: t.Name(), Verdict: canary.NotRepeatable(diff)})
	}
	return nil
}

// choice holds the plan to the partitions that a canary has to try: a plan is a blob that anybody may have written, and one in which
// the release changes nothing is easily found. Where it tries older ones than it could have when it was let in, people decide.
func (c *comparing) choice(ctx context.Context) error {
	var outputs []string
	for _, o := range c.pipeline.Outputs {
		if o.Partition.By == c.pipeline.Partition.By {
			outputs = append(outputs, o.Table)
		}
	}
	live, err := c.warehouse.LiveBefore(ctx, outputs, c.tenure.Number)
	if err != nil || len(live) == 0 {
		return err
	}
	all := func(partition.Key) bool { return true }
	left := func(keys []partition.Key) []partition.Key {
		return slices.DeleteFunc(keys, func(key partition.Key) bool { return slices.Contains(c.plan.Canary, key) })
	}
	if len(left(plan.CanaryOf(c.pipeline, live, all))) == 0 {
		return nil
	}
	_, stop := pulse(ctx, partition.AllKey) // to find partitions in the data takes as long as to load it
	defer stop()
	sources, err := c.site.buildable(ctx, c.pipeline, c.warehouse)
	if err != nil {
		return err
	}
	missing := left(plan.CanaryOf(c.pipeline, sources.Keys, func(key partition.Key) bool { return slices.Contains(live, key) }))
	if len(missing) == 0 {
		return nil
	}
	c.verdicts = append(c.verdicts, canary.Named{Name: "choice of partitions", Verdict: gate.Verdict{
		Outcome: gate.Inconclusive, Reason: fmt.Sprintf("the plan tries %v, and not %v, which is newer and could have been compared", c.plan.Canary, missing),
	}})
	return nil
}

// compare holds one generation against its control, or else against what is live and saw the same inputs.
func (c *comparing) compare(ctx context.Context, t generation.Tried) error {
	output, ok := c.pipeline.Output(t.Output)
	if !ok {
		return fault.Newf(fault.Invalid, "compare", t.Name(), "deploy it again: drawbridge deploy "+c.in.Target.Release.String()+" --to "+c.in.Target.Environment, "the release has no such output")
	}
	live, inputs, err := c.warehouse.Live(ctx, t.Output, t.Partition)
	if err != nil {
		return err
	}
	in := Comparison{
		Output: output.Table, Key: output.Key, Metrics: metrics(output.Checks), Candidate: t.ID, Baseline: live, Origin: canary.Live,
		Active: c.active.Release.Digest,
	}
	about := admission.Compared{Output: t.Output, Partition: t.Partition, Candidate: t.ID, Live: t.Baseline}
	if control, ok := c.control[t.Name()]; ok {
		in.Baseline, in.Origin = control.ID, canary.Control
	} else if live == 0 || !sameInputs(inputs, t.Inputs) {
		c.alone, c.compared = append(c.alone, t.Name()), append(c.compared, about)
		return c.mayBeAlone(ctx, t, live)
	}
	activity.RecordHeartbeat(ctx, t.Name())
	diff, err := c.warehouse.Compare(ctx, in)
	if err != nil {
		return err
	}
	about.Baseline = in.Baseline
	c.compared = append(c.compared, about)
	c.verdicts = append(c.verdicts, canary.Named{Name: t.Name(), Verdict: canary.Judge(diff, c.pipeline.Canary.Expect)})
	return nil
}

// mayBeAlone refuses to leave out a comparison that could have been made. What has moved since it was built is never published.
func (c *comparing) mayBeAlone(ctx context.Context, t generation.Tried, live int64) error {
	if live == 0 || live != t.Baseline || c.active.None() {
		return nil
	}
	p, err := c.site.other(ctx, c.in.Target, c.active.Release)
	if err != nil {
		return err
	}
	if _, has := p.Output(t.Output); !has {
		return nil
	}
	return fault.Newf(fault.Refused, "compare", t.Name(), "deploy it again", "what is live saw other inputs, and no control was built")
}

// metrics are the checks that are numbers to compare.
func metrics(checks []check.Check) []check.Check {
	var out []check.Check
	for _, c := range checks {
		if c.Kind == check.MetricKind {
			out = append(out, c)
		}
	}
	return out
}
