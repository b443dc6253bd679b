package activities

import (
	"context"
	"fmt"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/turnback"
)

const (
	// pageSize is how many partitions are decided about at a time: reading them is cheap, and most stay as they are.
	pageSize = 500
	// passTime is how long one activity goes on: then it says how far it is.
	passTime = 30 * time.Second
)

// PassInput goes on with a turn-back after a partition.
type PassInput struct {
	Target Target        `json:"target"` // where the ledger is; its owner is who turns back
	Tenure int64         `json:"tenure"` // of the turn-back
	After  partition.Key `json:"after,omitempty"`
	Round  int           `json:"round"`
	Verify Verify        `json:"verify,omitempty"`
	// Rebuild are the partitions that a pass has found to be built again; of RebuildPass only.
	Rebuild []partition.Key `json:"rebuild,omitempty"`
	// Deferred and Rebuilding are what the pass before said.
	Deferred   partition.Key `json:"deferred,omitempty"`
	Rebuilding bool          `json:"rebuilding,omitempty"`
}

// About names what a pass of a round publishes, in what people decide about it while it is held up.
func (in PassInput) About() string {
	return admission.AboutEffect(in.Target.Effect(fmt.Sprintf("turn-back-%d", in.Tenure), "", in.Round))
}

// Pass is how far a turn-back got: counts and one key, however many partitions there are.
type Pass struct {
	After partition.Key  `json:"after,omitempty"`
	Over  bool           `json:"over,omitempty"` // nothing comes after
	Tally turnback.Tally `json:"tally"`
	// Rebuild are partitions that have to be built again.
	Rebuild []partition.Key `json:"rebuild,omitempty"`
	// Deferred is the last of them after which there are more: what swaps back goes first, and they are found by another walk from
	// there. Rebuilding says that it is that walk.
	Deferred   partition.Key `json:"deferred,omitempty"`
	Rebuilding bool          `json:"rebuilding,omitempty"`
	// Parked is why it could not go on: nothing of the partition after After is changed.
	Parked generation.PublishResult `json:"parked,omitzero"`
}

// SwapPass swaps partitions back, as many in one transaction as readers bear and never one of them in part, until its time is over or
// something holds it up. What has to be built again it hands over, the first of it at once and the others in a walk of their own. What
// is left by rule becomes rows of the ledger.
func (a *TurningBack) SwapPass(ctx context.Context, in PassInput) (Pass, error) {
	t, err := a.open(ctx, in)
	if err != nil {
		return Pass{}, err
	}
	_, stop := pulse(ctx, in.After)
	defer stop()
	w := a.walk(t)
	err = w.run(ctx)
	return w.pass, err
}

// turning is a turn-back as one activity works on it.
type turning struct {
	in  PassInput
	w   Warehouse
	b   turnback.TurnBack
	has []turnback.Output
	p   *pipeline.Pipeline // of the release to go back to; nil: none
	// hindered is why nothing may be built again, though it may swap back.
	hindered error
}

func (a *TurningBack) open(ctx context.Context, in PassInput) (turning, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return turning{}, err
	}
	t := turning{in: in, w: w}
	if t.b, err = w.TurnBack(ctx, in.Tenure); err != nil {
		return t, err
	}
	if t.b.State != turnback.Open {
		return t, fault.Newf(fault.Conflict, "turn back", t.b.Request.Pipeline, "see what happened: drawbridge history "+t.b.Request.Pipeline+" --env "+a.Site.Environment,
			"the turn-back has ended as "+string(t.b.State))
	}
	if err := t.b.DrivenBy(in.Target.Owner); err != nil {
		return t, err
	}
	t.has, t.p, err = a.outputs(ctx, in.Target, t.b)
	return t, err
}

// leave records what a decision leaves as it is.
func (a *TurningBack) leave(ctx context.Context, t turning, d turnback.Decision) error {
	var left []turnback.LeftOver
	for _, it := range d.Items {
		if it.Action == turnback.Leave {
			left = append(left, turnback.LeftOver{Output: it.Output, Partition: d.Partition, Stuck: it.Open, Reason: it.Reason})
		}
	}
	if len(left) == 0 {
		return nil
	}
	return t.w.RecordLeft(ctx, t.b.Tenure.Number, left)
}

// swapAll swaps partitions back in one transaction. Those that cannot go back are rows of the ledger, and stop no other.
func (a *TurningBack) swapAll(ctx context.Context, t turning, batch []turnback.Decision) (failed map[partition.Key]bool, parked generation.PublishResult, err error) {
	failed = map[partition.Key]bool{}
	for len(batch) > 0 {
		parked, err = a.swap(ctx, t, batch)
		if fault.ClassOf(err) == "" {
			return failed, parked, err
		}
		if b, lost := t.w.TurnBack(ctx, t.in.Tenure); lost != nil || b.State != turnback.Open {
			return failed, parked, err // it is not about a partition
		}
		able, err := a.able(ctx, t, batch, failed)
		if err != nil {
			return failed, generation.PublishResult{}, err
		}
		if len(able) == len(batch) {
			parked, err := a.swapEach(ctx, t, batch, failed)
			return failed, parked, err
		}
		batch = able
	}
	return failed, generation.PublishResult{}, nil
}

// able are the partitions that could be swapped back, as far as that shows before it is tried; the others have failed.
func (a *TurningBack) able(ctx context.Context, t turning, batch []turnback.Decision, failed map[partition.Key]bool) ([]turnback.Decision, error) {
	var able []turnback.Decision
	for _, d := range batch {
		spec, ticket := a.publication(ctx, t, d.Partition, backward(d))
		err := t.w.Swappable(ctx, spec, ticket)
		if err == nil {
			able = append(able, d)
			continue
		}
		if err := a.failed(ctx, t, d, err, failed); err != nil {
			return nil, err
		}
	}
	return able, nil
}

// swapEach swaps partitions back one by one, where none of them alone says why they could not go back together.
func (a *TurningBack) swapEach(ctx context.Context, t turning, batch []turnback.Decision, failed map[partition.Key]bool) (generation.PublishResult, error) {
	for _, d := range batch {
		parked, err := a.swap(ctx, t, []turnback.Decision{d})
		if err != nil {
			err = a.failed(ctx, t, d, err, failed)
		}
		if err != nil || parked.WaitingFor != "" {
			return parked, err
		}
	}
	return generation.PublishResult{}, nil
}

// failed makes a partition that cannot go back a row of the ledger; of any other error it is one.
func (a *TurningBack) failed(ctx context.Context, t turning, d turnback.Decision, err error, failed map[partition.Key]bool) error {
	if fault.ClassOf(err) == "" {
		return err
	}
	failed[d.Partition] = true
	return t.w.RecordLeft(ctx, t.b.Tenure.Number, stuck(d, err))
}

// backward are the swaps of a decision.
func backward(d turnback.Decision) []generation.Swap {
	var swaps []generation.Swap
	for _, it := range d.Items {
		if it.Action == turnback.SwapBack || it.Action == turnback.Detach {
			swaps = append(swaps, generation.Swap{Output: it.Output, Partition: d.Partition, From: it.From, To: it.To})
		}
	}
	return swaps
}

// swap makes whole decisions visible in one transaction.
func (a *TurningBack) swap(ctx context.Context, t turning, batch []turnback.Decision) (generation.PublishResult, error) {
	var swaps []generation.Swap
	for _, d := range batch {
		swaps = append(swaps, backward(d)...)
	}
	if err := a.verify(ctx, t, swaps); err != nil {
		return generation.PublishResult{}, err
	}
	return a.publish(ctx, t, batch[0].Partition, swaps)
}

// verify reads what goes live again, where that was asked for.
func (a *TurningBack) verify(ctx context.Context, t turning, swaps []generation.Swap) error {
	var back []int64
	for _, s := range swaps {
		if s.To != 0 {
			back = append(back, s.To)
		}
	}
	if t.in.Verify != VerifyFull || len(back) == 0 {
		return nil
	}
	return t.w.Verify(ctx, back, func() {})
}

// publish makes swaps of a turn-back visible, under its tenure. Its key is new for every decision: what is live tells what
// has been done.
func (a *TurningBack) publish(ctx context.Context, t turning, first partition.Key, swaps []generation.Swap) (generation.PublishResult, error) {
	spec, ticket := a.publication(ctx, t, first, swaps)
	return t.w.Publish(ctx, spec, ticket, func(time.Duration, time.Duration) {}) // the pass beats by itself
}

func (a *TurningBack) publication(ctx context.Context, t turning, first partition.Key, swaps []generation.Swap) (generation.PublishSpec, admission.Ticket) {
	target := t.in.Target
	target.Release, target.Config, target.Tenure = t.b.Tenure.Release, t.b.Tenure.Config, t.b.Tenure.Number
	if target.Release.Pipeline == "" {
		target.Release.Pipeline = t.b.Request.Pipeline
	}
	spec := a.Site.publishSpec(ctx, PublishInput{
		Target: target, Step: fmt.Sprintf("turn-back-%d", t.b.Tenure.Number), Round: t.in.Round, By: t.b.Request.By, Reason: t.b.Request.Reason,
	})
	spec.About = t.in.About()
	spec.Key.Partition = partition.Key(fmt.Sprintf("%s:%d", first, swaps[0].From))
	ticket := a.Site.ticket(target, admission.Publish, nil, swaps)
	ticket.Question.TurnBack = true
	return spec, ticket
}

// RebuildPass builds the named partitions again with the release that is gone back to, audits and publishes them, one after
// another; when that takes long it hands over what is left. One that cannot be built is a row of the ledger, and stops no other.
func (a *TurningBack) RebuildPass(ctx context.Context, in PassInput) (Pass, error) {
	t, err := a.open(ctx, in)
	if err != nil {
		return Pass{}, err
	}
	if t.p != nil && len(in.Rebuild) > 0 {
		_, stop := pulse(ctx, in.Rebuild[0])
		t.hindered = unobstructed(ctx, "rebuild", t.p, t.w)
		stop()
		if t.hindered != nil && fault.ClassOf(t.hindered) == "" {
			return Pass{}, t.hindered
		}
	}
	var pass Pass
	began := a.Now()
	for i, key := range in.Rebuild {
		if i > 0 && a.Now().Sub(began) >= edgeEvery {
			pass.Rebuild = in.Rebuild[i:]
			return pass, nil
		}
		parked, d, err := a.rebuild(ctx, t, key)
		if err != nil {
			if fault.ClassOf(err) == "" || len(d.Items) == 0 {
				return pass, err // another attempt may do better; what was published is not done again
			}
			if err := t.w.RecordLeft(ctx, t.b.Tenure.Number, stuck(d, err)); err != nil {
				return pass, err
			}
			pass.Tally = pass.Tally.Add(d, false)
			continue
		}
		if parked.WaitingFor != "" {
			pass.Parked, pass.Rebuild = parked, in.Rebuild[i:]
			return pass, nil
		}
		pass.Tally = pass.Tally.Add(d, d.Changes())
	}
	pass.Over = true
	return pass, nil
}

// stuck are the rows of a partition that could not go back: why, and what a person can do about it.
func stuck(d turnback.Decision, cause error) []turnback.LeftOver {
	reason := cause.Error()
	if hint := fault.HintOf(cause); hint != "" {
		reason += " → " + hint
	}
	var left []turnback.LeftOver
	for _, it := range d.Items {
		if it.Action != turnback.Keep && it.Action != turnback.Leave {
			left = append(left, turnback.LeftOver{Output: it.Output, Partition: d.Partition, Stuck: true, Reason: reason})
		}
	}
	return left
}

// rebuild decides about one partition anew, and builds it again where that is still what it takes.
func (a *TurningBack) rebuild(ctx context.Context, t turning, key partition.Key) (generation.PublishResult, turnback.Decision, error) {
	d, err := t.w.DecidePartition(ctx, t.b, t.has, key)
	if err != nil {
		return generation.PublishResult{}, d, err
	}
	if d.Action != turnback.Rebuild || t.p == nil {
		return generation.PublishResult{}, d, nil
	}
	if t.hindered != nil {
		return generation.PublishResult{}, d, t.hindered
	}
	var outputs []string
	for _, it := range d.Items {
		if it.Action == turnback.Rebuild {
			outputs = append(outputs, it.Output)
		}
	}
	swaps := backward(d)
	if err := a.verify(ctx, t, swaps); err != nil {
		return generation.PublishResult{}, d, err
	}
	built, err := a.build(ctx, t, key, outputs)
	if err != nil {
		return generation.PublishResult{}, d, err
	}
	for _, b := range built {
		if v := check.Verdict(b.Results); v.Outcome != gate.Pass {
			return generation.PublishResult{}, d, fault.Newf(fault.Refused, "rebuild", b.Generation.Output+" "+string(key), "mend the data or the check, and roll back again", v.Reason)
		}
		swaps = append(swaps, generation.Swap{Output: b.Generation.Output, Partition: b.Generation.Partition, From: b.From, To: b.Generation.ID})
	}
	res, err := a.publish(ctx, t, key, swaps)
	return res, d, err
}

// build builds a partition with the release that is gone back to.
func (a *TurningBack) build(ctx context.Context, t turning, key partition.Key, outputs []string) ([]Built, error) {
	target := t.in.Target
	target.Release, target.Config, target.Tenure = t.b.Tenure.Release, t.b.Tenure.Config, t.b.Tenure.Number
	_, w, err := a.Site.open(ctx, target)
	if err != nil {
		return nil, err
	}
	from := key
	if key == partition.AllKey && t.p.Partition.By != partition.All {
		if from, err = a.newest(ctx, t.p, w); err != nil {
			return nil, err
		}
	}
	report, stop := pulse(ctx, key)
	defer stop()
	step := fmt.Sprintf("rebuild-%d", t.b.Tenure.Number)
	return w.Build(ctx, BuildSpec{
		Key: target.Effect(step, key, t.in.Round), Config: target.Config, Tenure: target.Tenure, Pipeline: t.p, Release: target.Release,
		Partition: from, Outputs: outputs, Application: application(ctx, step), Moment: target.Now,
		Anew: true, // nothing was live here: see turnback.Facts.Keeps
	}, report)
}

// newest is the partition whose inputs an output of grain `all` is built with.
func (a *TurningBack) newest(ctx context.Context, p *pipeline.Pipeline, w Warehouse) (partition.Key, error) {
	sources, err := a.Site.buildable(ctx, p, w)
	if err != nil {
		return "", err
	}
	if len(sources.Keys) == 0 {
		return partition.AllKey, nil
	}
	return sources.Keys[len(sources.Keys)-1], nil
}
