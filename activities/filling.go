package activities

import (
	"context"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/backfill"
	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

const backfillMedia = "application/vnd.drawbridge.backfill.v1+json"

// Filler keeps backfills in the ledger.
type Filler interface {
	// BeginBackfill enters a backfill, once under its key, and returns the tenure under which it publishes.
	BeginBackfill(ctx context.Context, e backfill.Entry, key effect.Key) (release.Tenure, error)
	// Backfill is the one that an owner has entered; its plan is empty where there is none.
	Backfill(ctx context.Context, owner effect.Owner) (backfill.Open, error)
	// OpenBackfills are those of a pipeline that have not ended.
	OpenBackfills(ctx context.Context, pipeline string) ([]backfill.Open, error)
	// BackfillsOf are the starts of one backfill that have published what is not turned back, as a request for it would, the latest
	// first.
	BackfillsOf(ctx context.Context, req turnback.Request) ([]effect.Owner, error)
	// WasActive is the last tenure under which a version was active; its number is 0 where it never was.
	WasActive(ctx context.Context, pipeline, version string) (release.Tenure, error)
	// Crosses is who crosses a pipeline, and by which plan; empty: nobody.
	Crosses(ctx context.Context, pipeline string) (owner, plan string, err error)
	// Filled is how many partitions an owner has published that are live.
	Filled(ctx context.Context, owner effect.Owner) (int, error)
	// Stopped is why an owner may do nothing here any more, empty where it may, and whether a turn-back of the pipeline is open.
	Stopped(ctx context.Context, pipeline string, owner effect.Owner) (why string, turning bool, err error)
}

// Filling are the activities of a backfill. Which partitions it builds, with which release, is its plan's; what is done of it is
// the ledger's: so any of them may be repeated, resumed or taken over, and does exactly what is left.
type Filling struct {
	Site *Site
	Now  func() time.Time
}

// FillInput is a slice of a backfill's plan.
type FillInput struct {
	Target Target `json:"target"`
	Plan   string `json:"plan"`  // digest
	Slice  int    `json:"slice"` // as the plan counts them; a negative one is a single partition, to be tried again
	From   int    `json:"from"`  // to go on with, as the call before said
	Round  int    `json:"round"` // a person's retry is a new one
	// Failures is how many partitions may fail until it hands over.
	Failures int `json:"failures"`
	// Waited says that the call before was throttled.
	Waited bool `json:"waited,omitempty"`
	// Window is when a person lets it work; empty: whenever the environment does.
	Window string `json:"window,omitempty"`
	By     string `json:"by"`
	Reason string `json:"reason"`
}

// Unfilled is a partition that could not be built or published, and why.
type Unfilled struct {
	Index     int           `json:"index"` // in the plan
	Partition partition.Key `json:"partition"`
	Why       string        `json:"why"`
}

// Filled is what a call did of a slice: counts, and what failed.
type Filled struct {
	// Next is the partition of the slice to go on with; 0: none is left.
	Next      int        `json:"next,omitempty"`
	Built     int        `json:"built,omitempty"` // aside, of a plan that cuts over when all of it is built
	Published int        `json:"published"`
	Swaps     int        `json:"swaps"`
	Rows      int64      `json:"rows"`
	Failed    []Unfilled `json:"failed,omitempty"`
	// Parked is why Next could not be published yet, Moved that the environment is not as it was when it began.
	Parked generation.PublishResult `json:"parked,omitzero"`
	About  string                   `json:"about,omitempty"`
	Moved  bool                     `json:"moved,omitempty"`
	// Throttled is why the warehouse has enough to do: nothing of Next is built yet.
	Throttled []string `json:"throttled,omitempty"`
	// Opens is when the window opens for which alone it waits.
	Opens time.Time `json:"opens,omitzero"`
}

// fillRounds is how often a partition is built again because others published there meanwhile.
const fillRounds = 5

// Fill builds, audits and publishes the partitions of a slice, one after another; those that are built quickly go live together. When that
// takes long it hands over at the edge of a partition, and the next call goes on from there. Each is done at most once under target + partition + round. One that cannot
// be done is named in the answer and stops no other. It heartbeats, and each attempt makes generations of its own.
func (a *Filling) Fill(ctx context.Context, in FillInput) (Filled, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return Filled{}, err
	}
	f := filling{Filling: a, in: in, p: p, w: w}
	if f.plan, err = a.plan(ctx, in.Target, in.Plan); err != nil {
		return Filled{}, err
	}
	if err := f.entitled(ctx); err != nil {
		return Filled{}, err
	}
	items := f.plan.Items(in.Slice)
	size, err := a.Site.batchSize(ctx, w, p, in.Target, f.plan.Lanes)
	if err != nil {
		return Filled{}, err
	}
	slice := filledSlice{
		filling: f, items: items, size: size, load: throttled{site: a.Site, w: w, waited: in.Waited, own: in.Window, now: a.Now}, i: in.From, alone: in.From, began: a.Now(),
	}
	for {
		if stop, err := slice.step(ctx); err != nil || stop {
			return slice.out, err
		}
	}
}

// filling is one slice as one activity works on it.
type filling struct {
	*Filling
	in   FillInput
	p    *pipeline.Pipeline
	w    Warehouse
	plan backfill.Plan
}

// entitled holds a slice to the backfill that its owner has entered, and that to the approval which its plan wants.
func (f filling) entitled(ctx context.Context) error {
	refuse := func(reason string) error {
		return fault.Newf(fault.Refused, "backfill", f.p.Name, "start it again: drawbridge backfill "+f.p.Name+" --env "+f.Site.Environment+" --from KEY --to KEY", reason)
	}
	entered, err := f.w.Backfill(ctx, f.in.Target.Owner)
	if err != nil {
		return err
	}
	switch {
	case entered.Plan != f.in.Plan || entered.Ended:
		if stopped := f.stopped(ctx); stopped != nil {
			return stopped
		}
		return refuse("its workflow has not begun it by this plan")
	case !entered.Asks:
		return nil
	}
	said, err := f.w.Said(ctx, f.in.Target.Owner)
	if err != nil {
		return err
	}
	var about []gate.Gate
	for _, g := range said {
		if g.Plan == f.in.Plan {
			about = append(about, g)
		}
	}
	if !gate.Satisfied(f.Site.Policy.Approval, gate.ApprovalOf(f.Site.Environment), about, f.Now(), true) {
		return refuse("it is above the limits of " + f.Site.Environment + ", and no approval is recorded for its plan")
	}
	return nil
}

// stopped is why the backfill may go on with nothing at all, whatever is active; nil: it may.
func (f filling) stopped(ctx context.Context) error {
	ticket := f.Site.ticket(f.in.Target, admission.Build, nil, nil)
	ticket.Question.Tenure = 0
	return f.w.Admit(ctx, ticket)
}

// moved says that something else is active than when the backfill began. An error is why it may go on with nothing at all.
func (f filling) moved(ctx context.Context) (bool, error) {
	active, err := f.w.Active(ctx, f.p.Name)
	if err != nil || active.Number == f.in.Target.Tenure {
		return false, err
	}
	return true, f.stopped(ctx)
}

func (f filling) step(round int) (PublishInput, int) {
	round += f.in.Round * fillRounds
	return PublishInput{Target: f.in.Target, Step: "backfill", Round: round, By: f.in.By, Reason: f.in.Reason}, round
}

// about names a publish in what people decide about it while it is held up.
func (f filling) about(it backfill.Item) string {
	return admission.AboutEffect(f.in.Target.Effect("backfill", it.Partition, f.in.Round))
}

// do builds an item, and publishes it unless that is done when all of them are built.
func (f filling) do(ctx context.Context, it backfill.Item) (generation.PublishResult, int64, error) {
	if !f.aside() {
		return f.fill(ctx, it)
	}
	built, err := f.buildOne(ctx, it)
	return generation.PublishResult{Done: err == nil}, rowsOf(built), err
}

// buildOne builds an item for the first time.
func (f filling) buildOne(ctx context.Context, it backfill.Item) ([]Built, error) {
	_, key := f.step(0)
	return f.build(ctx, it, key)
}

// aside says that nothing is published until all of the plan is built.
func (f filling) aside() bool { return len(f.plan.Parts) > 0 }

func rowsOf(built []Built) int64 {
	var rows int64
	for _, b := range built {
		rows += b.Generation.Rows
	}
	return rows
}

// fill does one item: the answer says whether it is live, or what holds it up.
func (f filling) fill(ctx context.Context, it backfill.Item) (generation.PublishResult, int64, error) {
	for round := range fillRounds {
		in, key := f.step(round)
		built, err := f.build(ctx, it, key)
		if err != nil {
			return generation.PublishResult{}, 0, err
		}
		rows := rowsOf(built)
		if in.Swaps = due(built); len(in.Swaps) == 0 {
			return generation.PublishResult{Done: true, Swapped: len(built)}, rows, nil
		}
		spec := f.Site.publishSpec(ctx, in)
		spec.Key.Partition, spec.About = it.Partition, f.about(it)
		_, stop := pulse(ctx, it.Partition)
		res, err := f.w.Publish(ctx, spec, f.Site.ticket(f.in.Target, admission.Publish, nil, in.Swaps), func(time.Duration, time.Duration) {})
		stop()
		if err != nil || res.WaitingFor != generation.ForOthers {
			return res, rows, err
		}
	}
	return generation.PublishResult{}, 0, fault.Newf(fault.Conflict, "backfill", string(it.Partition), "try it again when the other runs have ended", "other runs were faster, again and again")
}

// outputs are those that an item has.
func (f filling) outputs(it backfill.Item) []string {
	if it.Whole {
		return f.plan.Whole
	}
	return cutOutputs(f.p)
}

// build builds an item, and holds it to its audit: only what passed is published without a person, and a run asks one.
func (f filling) build(ctx context.Context, it backfill.Item, round int) ([]Built, error) {
	report, stop := pulse(ctx, it.Partition)
	defer stop()
	built, err := f.w.Build(ctx, f.spec(ctx, it, round), report)
	if err != nil {
		return nil, err
	}
	for _, b := range built {
		if err := f.audited(b); err != nil {
			return nil, err
		}
	}
	return built, nil
}

// spec asks for an item.
func (f filling) spec(ctx context.Context, it backfill.Item, round int) BuildSpec {
	spec := BuildSpec{
		Key: f.in.Target.Effect("backfill", it.Partition, round), Config: f.in.Target.Config, Tenure: f.in.Target.Tenure, Pipeline: f.p,
		Release: f.in.Target.Release, Partition: it.Partition, Outputs: f.outputs(it), Application: application(ctx, "backfill"), Moment: f.in.Target.Now,
		MaxRewrite: f.Site.Policy.Publish.MaxRewriteBytes,
	}
	if it.Whole {
		spec.Partition = f.plan.Last
	}
	return spec
}

// audited refuses what did not pass its audit.
func (f filling) audited(b Built) error {
	v := check.Verdict(b.Results)
	switch v.Outcome {
	case gate.Pass, gate.None:
		return nil
	case gate.Inconclusive:
		return fault.Newf(fault.Refused, "audit", b.Generation.Output, "let a person decide: drawbridge run "+f.p.Name+" --env "+f.Site.Environment+" --partition "+string(b.Generation.Partition),
			"inconclusive: "+v.Reason)
	case gate.Fail:
	}
	return fault.Newf(fault.Refused, "audit", b.Generation.Output, "mend the data or the SQL, then: drawbridge retry-failed "+f.in.Target.Owner.Workflow(), v.Reason)
}

// EndFillInput ends a backfill.
type EndFillInput struct {
	Target Target `json:"target"`
}

// EndedFill is what a backfill has come to: how many partitions of it are live.
type EndedFill struct {
	Live int `json:"live"`
	// Stopped is who stopped it, empty where nobody did; Turning that a turn-back is under way, so that Live may change yet.
	Stopped string `json:"stopped,omitempty"`
	Turning bool   `json:"turning,omitempty"`
}

// End closes a backfill: its span is free, and what it has loaded goes. Twice is once.
func (a *Filling) End(ctx context.Context, in EndFillInput) (EndedFill, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return EndedFill{}, err
	}
	defer a.Site.changed()
	if err := w.Leave(ctx, in.Target.Release.Pipeline, string(in.Target.Owner)); err != nil {
		return EndedFill{}, err
	}
	var out EndedFill
	if out.Stopped, out.Turning, err = w.Stopped(ctx, in.Target.Release.Pipeline, in.Target.Owner); err != nil {
		return EndedFill{}, err
	}
	out.Live, err = w.Filled(ctx, in.Target.Owner)
	return out, err
}
