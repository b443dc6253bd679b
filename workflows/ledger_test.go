package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"drawbridge/activities"
	"drawbridge/internal/admission"
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

// ledger is one environment's warehouse in memory, without rows: what is live, the tenures, and who may change what. What it
// admits and what goes back is decided by the product's own rules, so it accepts nothing that a warehouse refuses. What no
// workflow asks for is a nil method of the embedded interface.
type ledger struct {
	activities.Warehouse
	environment string

	mu          sync.Mutex
	tenures     []release.Tenure // by number, from 1
	active      int64
	crossing    string
	exclusive   bool
	watching    string            // the deployment that watches
	fences      map[string]string // owner -> why
	hold        string
	clock       func() time.Time
	said        map[effect.Owner][]gate.Gate // what people answered to a workflow
	outputs     map[string]string            // output -> pipeline
	generations []made                       // by ID, from 1
	slots       map[admission.Slot]*slot
	keys        []partition.Key // of the slots, in order
	sorted      bool
	builds      map[effect.Key][]activities.Built
	effects     map[effect.Key]generation.PublishResult
	backs       []*turnback.TurnBack
	ends        map[effect.Key]turnback.State
	left        map[int64]map[admission.Slot]turnback.LeftOver  // by turn-back
	begun       map[int64]bool                                  // tenures under which something was published
	counted     map[int64]int                                   // how many swaps were, by tenure
	verdicts    map[int64]map[admission.Stage]admission.Verdict // by tenure

	away  error // why it cannot be read
	stays error // why nobody can leave

	tables *tables // that migrations change

	// meddle stands in a publish's way; spoil is what is wrong with a build. They are called with the ledger held.
	meddle func(generation.PublishSpec, []generation.Swap) (generation.PublishResult, error)
	spoil  func(activities.BuildSpec) error
}

type made struct {
	turnback.Generation
	pipeline string
	shadow   effect.Owner
	control  bool
	audit    gate.Outcome
}

type slot struct {
	turnback.Slot
	tenure int64 // of what is live
	seeded int64 // what was live when the scenario began
}

func newLedger(environment string) *ledger {
	return &ledger{
		clock: time.Now, environment: environment, fences: map[string]string{}, said: map[effect.Owner][]gate.Gate{}, outputs: map[string]string{},
		slots: map[admission.Slot]*slot{}, builds: map[effect.Key][]activities.Built{}, effects: map[effect.Key]generation.PublishResult{},
		left: map[int64]map[admission.Slot]turnback.LeftOver{}, begun: map[int64]bool{}, ends: map[effect.Key]turnback.State{}, counted: map[int64]int{},
		verdicts: map[int64]map[admission.Stage]admission.Verdict{},
	}
}

// held works on the ledger alone.
func held[T any](l *ledger, do func() (T, error)) (T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return do()
}

func (l *ledger) tenure(number int64) release.Tenure {
	if number < 1 || int(number) > len(l.tenures) {
		return release.Tenure{}
	}
	return l.tenures[number-1]
}

func (l *ledger) reserve(t release.Tenure) release.Tenure {
	t.Number = int64(len(l.tenures)) + 1
	l.tenures = append(l.tenures, t)
	return t
}

func (l *ledger) activate(number int64) {
	l.tenures[number-1].Activated = true
	l.active = number
}

func (l *ledger) EnsureLedger(context.Context) error { return nil }

// since is the tenure that ended another one, or the active one.
func (l *ledger) since(number int64) release.Tenure {
	l.mu.Lock()
	defer l.mu.Unlock()
	if next, ended := l.tenure(number).After(l.tenures); ended {
		return next
	}
	return l.tenure(l.active)
}

func (l *ledger) Active(context.Context, string) (release.Tenure, error) {
	return held(l, func() (release.Tenure, error) { return l.tenure(l.active), nil })
}

// facts are what a warehouse reads for admission.
func (l *ledger) facts(q admission.Question) admission.Facts {
	f := admission.Facts{
		Environment: l.environment, Active: l.tenure(l.active), Tenure: l.tenure(q.Tenure), Fenced: l.fences[string(q.Owner)], Hold: l.hold,
		Crossing: l.crossing, Exclusive: l.exclusive, Owners: l.outputs, Generations: map[int64]admission.Generation{}, Live: map[admission.Slot]int64{},
		Now: l.clock(), Verdicts: l.verdicts[q.Tenure],
	}
	if b := l.open(); b != nil {
		f.TurnBack = b.Tenure.Number
	}
	for _, s := range q.Swaps {
		at := admission.Slot{Output: s.Output, Partition: s.Partition}
		if have := l.slots[at]; have != nil {
			f.Live[at] = have.tenure
		}
		if s.To > 0 && int(s.To) <= len(l.generations) {
			g := l.generations[s.To-1]
			f.Generations[s.To] = admission.Generation{Pipeline: g.pipeline, Digest: g.Digest, Config: g.Config, State: g.State, Control: g.control, Audit: g.audit}
		}
	}
	for _, g := range l.said[q.Owner] {
		if f.Tenure.Plan != "" && g.Plan == f.Tenure.Plan {
			f.Answers = append(f.Answers, g)
		}
		f.Accepted = append(f.Accepted, g)
	}
	f.Begun = l.begun[q.Tenure]
	return f
}

func (l *ledger) Admit(_ context.Context, t admission.Ticket) error {
	_, err := held(l, func() (struct{}, error) { return struct{}{}, t.Decide(l.facts(t.Question)) })
	return err
}

func (l *ledger) Enter(_ context.Context, t release.Tenure, key effect.Key, outputs []string, exclusive bool) (release.Tenure, error) {
	return held(l, func() (release.Tenure, error) {
		q := admission.Question{What: admission.Build, Environment: key.Environment, Release: t.Release, Config: t.Config, Owner: effect.Owner(t.Owner), Outputs: outputs}
		f := l.facts(q)
		if err := admission.Decide(q, f, gate.Approval{}); err != nil {
			return t, err
		}
		if t.Kind == release.ByRun && !f.Active.None() {
			return f.Active, nil
		}
		at := slices.IndexFunc(l.tenures, func(o release.Tenure) bool { return o.Owner == t.Owner && o.Kind == t.Kind })
		if at >= 0 {
			t = l.tenures[at]
		} else {
			t = l.reserve(t)
		}
		if t.Kind != release.ByDeployment || t.Activated {
			return t, nil
		}
		if l.crossing != "" && l.crossing != t.Owner {
			return t, fault.Newf(fault.Conflict, "change", t.Release.Pipeline, "wait for it", l.crossing+" crosses here")
		}
		l.crossing, l.exclusive = t.Owner, l.exclusive || exclusive
		return t, nil
	})
}

func (l *ledger) Standing(context.Context) (release.Standing, error) {
	return release.Standing{Environment: l.environment, Pipelines: []release.Pipeline{{Name: "shop"}}}, nil
}

func (l *ledger) Epoch(context.Context) (string, error) { return "epoch of " + l.environment, nil }

func (l *ledger) Remembers(_ context.Context, told admission.Told) error {
	_, err := held(l, func() (struct{}, error) {
		return struct{}{}, told.Remembers(admission.Memory{
			Epoch: "epoch of " + l.environment, Known: l.tenure(told.Tenure).Number != 0, Swaps: l.counted[told.Tenure],
		})
	})
	return err
}

func (l *ledger) Leave(_ context.Context, _, owner string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stays != nil {
		return l.stays
	}
	l.leave(owner)
	if l.watching == owner {
		l.watching = ""
	}
	return nil
}

func (l *ledger) Watch(_ context.Context, _ string, key effect.Key, _ time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leave(string(key.Owner))
	l.watching = string(key.Owner)
	return nil
}

func (l *ledger) leave(owner string) {
	if l.crossing == owner {
		l.crossing, l.exclusive = "", false
	}
}

func (l *ledger) RecordAnswers(_ context.Context, owner effect.Owner, _ release.Release, g gate.Gate) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.said[owner] = append(l.said[owner], gate.Gate{Name: g.Name, Plan: g.Plan, Requester: g.Requester, About: g.About, Answers: g.Answers})
	return nil
}

// word is what people have said about an effect of a workflow. It is called with the ledger held.
func (l *ledger) word(rule gate.Approval, owner effect.Owner, about string) admission.Word {
	said := slices.DeleteFunc(slices.Clone(l.said[owner]), func(g gate.Gate) bool { return !slices.Contains(g.About, about) })
	return admission.Heard(rule, said)
}

func (l *ledger) Said(_ context.Context, owner effect.Owner) ([]gate.Gate, error) {
	return held(l, func() ([]gate.Gate, error) { return slices.Clone(l.said[owner]), nil })
}

func (l *ledger) TenureOf(_ context.Context, _ string, owner effect.Owner) (release.Tenure, error) {
	return held(l, func() (release.Tenure, error) {
		for _, t := range l.tenures {
			if t.Owner == string(owner) && t.Kind != release.ByTurnBack {
				return t, nil
			}
		}
		return release.Tenure{}, nil
	})
}

func (l *ledger) slot(output string, key partition.Key) *slot {
	at := admission.Slot{Output: output, Partition: key}
	if l.slots[at] == nil {
		l.slots[at] = &slot{Slot: turnback.Slot{Output: output}}
		l.keys, l.sorted = append(l.keys, key), false
	}
	return l.slots[at]
}

func (l *ledger) Build(_ context.Context, spec activities.BuildSpec, _ func(activities.Progress)) ([]activities.Built, error) {
	return held(l, func() ([]activities.Built, error) {
		if why := l.fences[string(spec.Key.Owner)]; why != "" {
			return nil, fault.Newf(fault.Conflict, "build", string(spec.Partition), "look", "its workflow was stopped: "+why)
		}
		if built, ok := l.builds[spec.Key]; ok {
			return built, nil
		}
		if l.spoil != nil {
			if err := l.spoil(spec); err != nil {
				return nil, err
			}
		}
		var out []activities.Built
		for _, output := range spec.Outputs {
			g := turnback.Generation{
				ID: int64(len(l.generations)) + 1, Digest: spec.Release.Digest, Config: spec.Config, State: generation.Built, Owner: string(spec.Key.Owner),
			}
			l.generations = append(l.generations, made{Generation: g, pipeline: spec.Release.Pipeline, control: spec.Control, audit: gate.Pass})
			from := int64(0)
			if s := l.slots[admission.Slot{Output: output, Partition: spec.Partition}]; s != nil {
				from = s.Live
			}
			out = append(out, activities.Built{
				Generation: generation.Generation{ID: g.ID, Output: output, Partition: spec.Partition, Rows: 10}, From: from,
				Results: []check.Result{{Name: "row_count", Outcome: check.Passed}},
			})
		}
		l.builds[spec.Key] = out
		return out, nil
	})
}

// judged keeps what smoke and canary found, as who compares does.
func (l *ledger) judged(in activities.CompareInput, found gate.Verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	smoke := admission.Verdict{Stage: admission.Smoke, Verdict: gate.Verdict{Outcome: gate.Pass}}
	verdict := admission.Verdict{Stage: admission.Canary, Verdict: found, About: []string{in.About()}}
	for _, p := range in.Pieces {
		if p.Audit != gate.Pass {
			smoke.Outcome, smoke.About = p.Audit, append(smoke.About, admission.AboutGeneration(p.Swap.To))
		}
		verdict.Compared = append(verdict.Compared, admission.Compared{
			Output: p.Swap.Output, Partition: p.Swap.Partition, Candidate: p.Swap.To, Live: p.Swap.From, Baseline: p.Swap.From,
		})
	}
	l.verdicts[in.Target.Tenure] = map[admission.Stage]admission.Verdict{admission.Smoke: smoke, admission.Canary: verdict}
}

// audited says what a generation's checks found.
func (l *ledger) audited(id int64, outcome gate.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generations[id-1].audit = outcome
}

func (l *ledger) AttachShadow(_ context.Context, owner string, ids []int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		g := &l.generations[id-1]
		if g.State != generation.Built && (g.State != generation.Shadow || g.shadow != effect.Owner(owner)) {
			return fault.Newf(fault.Conflict, "attach shadow of", owner, "build the canary again", fmt.Sprintf("generation %d is %s", id, g.State))
		}
		g.State, g.shadow = generation.Shadow, effect.Owner(owner)
	}
	return nil
}

func (l *ledger) DropShadow(_ context.Context, owner string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.generations {
		if g := &l.generations[i]; g.State == generation.Shadow && g.shadow == effect.Owner(owner) {
			g.State = generation.Rejected
		}
	}
	return nil
}

func (l *ledger) Expand(_ context.Context, _ *pipeline.Pipeline, _ generation.ExpandSpec, t admission.Ticket, _ func(time.Duration)) (generation.ExpandResult, error) {
	return held(l, func() (generation.ExpandResult, error) {
		err := t.Decide(l.facts(t.Question))
		if held, ok := errors.AsType[admission.HeldError](err); ok {
			return generation.ExpandResult{Held: held.Reason}, nil
		}
		if lapsed, ok := errors.AsType[admission.LapsedError](err); ok {
			return generation.ExpandResult{Lapsed: lapsed.Reason()}, nil
		}
		return generation.ExpandResult{Done: err == nil}, err
	})
}

// Publish swaps as a warehouse does: at most once under its key, when it is admitted, what is live is what the caller saw,
// and every audit passed or a person accepted it.
func (l *ledger) Publish(_ context.Context, spec generation.PublishSpec, t admission.Ticket, _ func(_, _ time.Duration)) (generation.PublishResult, error) {
	return held(l, func() (generation.PublishResult, error) {
		if done, ok := l.effects[spec.Key]; ok {
			return done, nil
		}
		if l.meddle != nil {
			if res, err := l.meddle(spec, t.Question.Swaps); err != nil || res.WaitingFor != "" {
				return res, err
			}
		}
		err := t.Decide(l.facts(t.Question))
		if held, ok := errors.AsType[admission.HeldError](err); ok {
			return generation.PublishResult{WaitingFor: generation.ForHold, Why: held.Reason}, nil
		}
		if lapsed, ok := errors.AsType[admission.LapsedError](err); ok {
			return generation.PublishResult{WaitingFor: generation.ForApproval, Why: lapsed.Reason()}, nil
		}
		if err != nil {
			return generation.PublishResult{}, err
		}
		var moved []generation.Swap
		for _, s := range t.Question.Swaps {
			if l.slot(s.Output, s.Partition).Live != s.From {
				moved = append(moved, s)
			}
		}
		if len(moved) > 0 {
			return generation.PublishResult{WaitingFor: generation.ForOthers, Moved: moved}, nil
		}
		kind := turnback.KindPublish
		if t.Question.TurnBack {
			kind = turnback.KindTurnBack
		}
		for _, s := range t.Question.Swaps {
			l.swap(s, t.Question.Tenure, string(spec.Key.Owner), kind)
			l.outputs[s.Output] = t.Question.Release.Pipeline
		}
		if spec.Activate {
			l.activate(t.Question.Tenure)
		}
		done := generation.PublishResult{Done: true, Swapped: len(t.Question.Swaps)}
		l.effects[spec.Key] = done
		return done, nil
	})
}

// Swappable says what would keep a publish from happening, whoever holds it up.
func (l *ledger) Swappable(_ context.Context, spec generation.PublishSpec, t admission.Ticket) error {
	_, err := held(l, func() (struct{}, error) {
		if l.meddle != nil {
			if _, err := l.meddle(spec, t.Question.Swaps); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, t.Decide(l.facts(t.Question))
	})
	return err
}

func (l *ledger) Published(_ context.Context, key effect.Key, _ bool) (generation.PublishResult, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	done, ok := l.effects[key]
	return done, ok, nil
}

// Candidates are what an owner has built and nobody has published, the newest of each partition.
func (l *ledger) Candidates(_ context.Context, owner effect.Owner, _ int64) ([]generation.Candidate, error) {
	return held(l, func() ([]generation.Candidate, error) {
		newest := map[partition.Key]generation.Candidate{}
		for key, built := range l.builds {
			for _, b := range built {
				g := l.generations[b.Generation.ID-1]
				waits := key.Owner == owner && !g.control && (g.State == generation.Built || g.State == generation.Shadow)
				if waits && newest[b.Generation.Partition].To < b.Generation.ID {
					newest[b.Generation.Partition] = generation.Candidate{
						Swap: generation.Swap{Output: b.Generation.Output, Partition: b.Generation.Partition, From: b.From, To: b.Generation.ID}, Audit: g.audit,
					}
				}
			}
		}
		return slices.Collect(maps.Values(newest)), nil
	})
}

func (l *ledger) swap(s generation.Swap, tenure int64, owner, kind string) {
	at := l.slot(s.Output, s.Partition)
	if s.From != 0 {
		l.generations[s.From-1].State = generation.Retired
	}
	if s.To != 0 {
		g := &l.generations[s.To-1]
		if !slices.ContainsFunc(at.Swaps, func(o turnback.Swap) bool { return o.To == s.To }) {
			g.Replaced = s.From
		}
		g.State = generation.Live
	}
	at.Live, at.tenure, l.begun[tenure] = s.To, tenure, true
	l.counted[tenure]++
	at.Swaps = append(at.Swaps, turnback.Swap{ID: int64(len(at.Swaps)) + 1, Tenure: tenure, Owner: owner, From: s.From, To: s.To, Kind: kind})
}

func (l *ledger) Housekeep(context.Context, time.Duration) error { return nil }

// published makes partitions live, as a workflow that has ended did: under a new tenure of a release, or, as a run, under the
// active one.
func (l *ledger) published(r release.Release, kind release.TenureKind, owner effect.Owner, keys ...partition.Key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tenure := l.active
	if kind != release.ByRun {
		tenure = l.reserve(release.Tenure{Release: r, Kind: kind, Owner: string(owner), By: "dora", Reason: "long ago"}).Number
		l.activate(tenure)
	}
	l.outputs["fct_orders"] = r.Pipeline
	for _, key := range keys {
		at := l.slot("fct_orders", key)
		g := turnback.Generation{ID: int64(len(l.generations)) + 1, Digest: r.Digest, State: generation.Built, Owner: string(owner)}
		l.generations = append(l.generations, made{Generation: g, pipeline: r.Pipeline, audit: gate.Pass})
		l.swap(generation.Swap{Output: "fct_orders", Partition: key, From: at.Live, To: g.ID}, tenure, string(owner), turnback.KindPublish)
	}
}

// settle takes what is live for what was there before the scenario.
func (l *ledger) settle() {
	for _, s := range l.slots {
		s.seeded = s.Live
	}
}

// visible counts the partitions that show another generation than before the scenario.
func (l *ledger) visible() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, s := range l.slots {
		if s.Live != s.seeded {
			n++
		}
	}
	return n
}

// now is the active tenure.
func (l *ledger) now() release.Tenure {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tenure(l.active)
}
