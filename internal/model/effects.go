package model

import (
	"errors"
	"slices"
	"strconv"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// errMoved is a compare-and-swap that found something else live.
var errMoved = errors.New("what is live has moved")

// rounds is how often a flow builds before it gives up.
const rounds = 2

// groups is how many transactions a publish and a turn-back in steps cut the partitions into.
const groups = 2

// Group are the partitions of one transaction.
func Group(n int) []int { return [groups][]int{{0}, {1, 2}}[n] }

// admit asks as the product does, with the facts as they are in the effect's transaction.
func (w *World) admit(p int, q admission.Question) error {
	l := &w.Ledgers[p]
	f := admission.Facts{
		Environment: environment, Active: w.tenure(l.Active), Tenure: w.tenure(q.Tenure), Crossing: l.Crossing,
		Generations: map[int64]admission.Generation{}, Live: map[admission.Slot]int64{},
		Verdicts: map[admission.Stage]admission.Verdict{admission.Smoke: passed(), admission.Canary: passed()},
	}
	if slices.Contains(l.Fenced, string(q.Owner)) {
		f.Fenced = "turned back"
	}
	if b := l.open(); b != nil {
		f.TurnBack = b.Tenure
	}
	for _, s := range q.Swaps {
		if g, ok := l.generation(s.To); ok {
			f.Generations[s.To] = admission.Generation{Pipeline: Version(p, 0).Pipeline, Digest: g.Digest, Config: g.Config, State: g.State, Audit: gate.Pass}
		}
		if swaps := l.slot(s).Swaps; len(swaps) > 0 {
			f.Live[admission.Slot{Output: s.Output, Partition: s.Partition}] = swaps[len(swaps)-1].Tenure
		}
	}
	q.Environment = environment
	return admission.Decide(q, f, gate.Approval{})
}

// passed is what smoke and canary find of every release here.
func passed() admission.Verdict { return admission.Verdict{Verdict: gate.Verdict{Outcome: gate.Pass}} }

func (l *Ledger) slot(s generation.Swap) *turnback.Slot {
	part := slices.Index(Keys[:], s.Partition)
	for o := range Outputs {
		if l.Slots[part][o].Output == s.Output {
			return &l.Slots[part][o]
		}
	}
	panic("model: no such output: " + s.Output)
}

// enter reserves a deployment's tenure and takes the crossing; a run gets what is active, or reserves its own. Who enters
// again has the same tenure, and a run what is active by then.
func (w *World) enter(f *Flow) error {
	l := &w.Ledgers[f.Pipeline]
	r := Version(f.Pipeline, f.Release)
	if active := w.tenure(l.Active); f.Kind == Run && !active.None() {
		r = active.Release
	}
	if err := w.admit(f.Pipeline, admission.Question{What: admission.Build, Release: r, Owner: effect.Owner(f.Owner)}); err != nil {
		return err
	}
	switch {
	case f.Kind == Deploy && l.Crossing != "" && l.Crossing != f.Owner:
		return fault.Newf(fault.Conflict, "enter", r.String(), "wait", "another one crosses")
	case f.Kind == Run && !w.tenure(l.Active).None():
		f.Tenure = l.Active
		return nil
	case w.tenure(f.Tenure).Owner == f.Owner: // reserved before
	default:
		kind := release.ByDeployment
		if f.Kind == Run {
			kind = release.ByRun
		}
		f.Tenure = w.reserve(release.Tenure{Release: r, Kind: kind, Owner: f.Owner})
	}
	if f.Kind == Deploy {
		l.Crossing = f.Owner
	}
	return nil
}

// build makes the generations of some partitions aside, from what is live now. Nobody is asked: nobody reads them.
func (w *World) build(f *Flow, parts []int) {
	t := w.tenure(f.Tenure)
	for _, part := range parts {
		for o := range Outputs {
			if Has(t.Release.Version, o) {
				w.generation(f, part, o, f.Round, t)
			}
		}
	}
}

// Built is the ID of what the flow builds of an output's partition in a round. It says who built it, so that worlds that differ
// in the order of builds only are the same.
func (f *Flow) Built(round, part, output int) int64 {
	return int64(f.number)*10_000 + int64(round)*100 + int64(part)*10 + int64(output) + 1
}

// Rebuilds is the round of what is built again by a turn-back: none of a deployment's own.
func (l *Ledger) Rebuilds() int { return rounds + len(l.Backs) }

// generation adds one that was built.
func (w *World) generation(f *Flow, part, output, round int, of release.Tenure) int64 {
	l := &w.Ledgers[f.Pipeline]
	id := f.Built(round, part, output)
	live := l.Slots[part][output].Live
	f.from[slotOf(part, output)] = live
	l.Generations = append(l.Generations, turnback.Generation{
		ID: id, Digest: of.Release.Digest, Config: of.Config, State: generation.Built, Replaced: live, Owner: f.Owner,
	})
	return id
}

// publish swaps what the flow has built of some partitions, all outputs in one transaction.
func (w *World) publish(f *Flow, parts []int, activate bool) error {
	t := w.tenure(f.Tenure)
	q := admission.Question{What: admission.Publish, Release: t.Release, Config: t.Config, Owner: effect.Owner(f.Owner), Tenure: f.Tenure}
	for _, part := range parts {
		for o := range Outputs {
			if Has(t.Release.Version, o) {
				q.Swaps = append(q.Swaps, generation.Swap{
					Output: Table(f.Pipeline, o), Partition: Keys[part], From: f.from[slotOf(part, o)],
					To: f.Built(f.Round, part, o),
				})
			}
		}
	}
	if err := w.swap(f, q, turnback.KindPublish); err != nil {
		return err
	}
	if activate {
		w.activate(f.Pipeline, f.Tenure)
	}
	return nil
}

// swap is the transaction of every publish and turn-back: admission's look, compare-and-swap, the swaps.
func (w *World) swap(f *Flow, q admission.Question, kind string) error {
	l := &w.Ledgers[f.Pipeline]
	if err := w.admit(f.Pipeline, q); err != nil {
		return err
	}
	for _, s := range q.Swaps {
		if l.slot(s).Live != s.From {
			return errMoved
		}
	}
	l.Generations = slices.Clone(l.Generations)
	for _, s := range q.Swaps {
		for i := range l.Generations {
			switch g := &l.Generations[i]; g.ID {
			case s.From:
				g.State = generation.Retired
			case s.To:
				if g.State == generation.Built {
					g.Replaced = s.From
				}
				g.State = generation.Live
			}
		}
		slot := l.slot(s)
		slot.Live = s.To
		slot.Swaps = append(slot.Swaps, turnback.Swap{Tenure: q.Tenure, Owner: f.Owner, From: s.From, To: s.To, Kind: kind})
		if as, known := l.asOf[q.Tenure]; known {
			as[slotOf(slices.Index(Keys[:], s.Partition), outputOf(f.Pipeline, s.Output))] = s.To
			l.asOf = cloned(l.asOf)
			l.asOf[q.Tenure] = as
		}
	}
	return nil
}

func outputOf(p int, table string) int {
	if table == Table(p, 0) {
		return 0
	}
	return 1
}

func (w *World) attest(f *Flow) error {
	t := w.tenure(f.Tenure)
	if err := w.admit(f.Pipeline, admission.Question{What: admission.Attest, Release: t.Release, Config: t.Config, Owner: effect.Owner(f.Owner), Tenure: f.Tenure}); err != nil {
		return err
	}
	l := &w.Ledgers[f.Pipeline]
	l.Attested = append(l.Attested, f.Tenure)
	return nil
}

// leave takes a deployment out of the crossing, and gives up what it has built and not published.
func (w *World) leave(f *Flow) error {
	l := &w.Ledgers[f.Pipeline]
	if l.Crossing == f.Owner {
		l.Crossing = ""
	}
	l.giveUp(f.Owner)
	return nil
}

// openBack opens a turn-back, or resumes the one that is open where that is the same: it fences what is open, opens its tenure
// and makes that the active one, in one transaction. Of a workflow that has changed nothing, it only stops it.
func (w *World) openBack(f *Flow) error {
	l := &w.Ledgers[f.Pipeline]
	f.Back = 0
	if b := l.open(); b != nil {
		if !f.resumes(b) {
			return errOther
		}
		f.Back = b.Tenure
		b = l.change(b.Tenure)
		b.Driver, b.ByPerson = f.Owner, b.ByPerson || f.Kind != Deploy
		l.stopOthers(f.Owner)
		return nil
	}
	if f.Kind == Rollback && f.To == "" {
		return nil // there is nothing to go on with
	}
	if of := f.Of; of != "" && !w.changed(f) {
		if f.Kind == Deploy || l.Crossing == of || slices.Contains(l.builders(), of) {
			l.stop(of)
		}
		return nil
	}
	k, err := w.target(f)
	if err != nil {
		return err
	}
	b := Back{K: k.Number, Driver: f.Owner, ByPerson: f.Kind != Deploy, State: turnback.Open, Tally: turnback.Tally{Flipped: true}}
	if f.Of == "" {
		b.Target.Tenure = k.Number
	} else {
		b.Target.Owner = f.Of
		l.stop(f.Of)
	}
	l.stopOthers(f.Owner)
	for part := range Partitions {
		for o := range Outputs {
			b.opened[slotOf(part, o)] = len(l.Slots[part][o].Swaps)
		}
	}
	b.Tenure = w.reserve(release.Tenure{Release: k.Release, Config: k.Config, Kind: release.ByTurnBack, Owner: f.Owner, Back: k.Number})
	if k.None() {
		w.Tenures = slices.Clone(w.Tenures)
		w.Tenures[b.Tenure-1].Release.Pipeline = Version(f.Pipeline, 0).Pipeline
	}
	l.Backs = append(l.Backs, b)
	f.Back = b.Tenure
	w.activate(f.Pipeline, b.Tenure)
	return nil
}

// errOther is a turn-back that somebody else has opened, for something else, or goes on with.
var errOther = errors.New("another turn-back is open")

// resumes says that the open turn-back is the one that the flow would open. A recovery goes on with any, as does a rollback
// that names no tenure.
func (f *Flow) resumes(b *Back) bool {
	if f.Kind == Recover || f.Kind == Rollback && f.To == "" {
		return true
	}
	if b.Target.Owner != f.Of {
		return false
	}
	return f.Kind == Deploy || f.To == strconv.FormatInt(b.Target.Tenure, 10) || f.To == strconv.FormatInt(b.Tenure, 10)
}

// changed says that readers have seen something of the workflow that is to be turned back. A recovery knows it by its crossing.
func (w *World) changed(f *Flow) bool {
	l := &w.Ledgers[f.Pipeline]
	if f.Kind == Recover && l.Crossing != f.Of {
		return false
	}
	if active := w.tenure(l.Active); active.Owner == f.Of && active.Kind != release.ByTurnBack {
		return true
	}
	published := int64(-1)
	swapped := false
	for part := range Partitions {
		for o := range Outputs {
			for _, s := range l.Slots[part][o].Swaps {
				if s.Owner == f.Of {
					swapped = true
					if s.Kind == turnback.KindPublish {
						published = max(published, s.Tenure)
					}
				}
			}
		}
	}
	if published >= 0 && slices.ContainsFunc(l.Backs, func(b Back) bool { return b.Target.Owner == "" && b.Tenure > published }) {
		return false // whoever turned the pipeline back since has decided about all of it
	}
	return swapped
}

// builders are the owners of what was built and not published.
func (l *Ledger) builders() (owners []string) {
	for _, g := range l.Generations {
		if g.State == generation.Built {
			owners = append(owners, g.Owner)
		}
	}
	return owners
}

// stop fences a workflow, takes it out of the crossing, and gives up what it has built.
func (l *Ledger) stop(owner string) {
	l.fence(owner)
	if l.Crossing == owner {
		l.Crossing = ""
	}
	l.giveUp(owner)
}

func (l *Ledger) giveUp(owner string) {
	l.Generations = slices.Clone(l.Generations)
	for i := range l.Generations {
		if g := &l.Generations[i]; g.State == generation.Built && g.Owner == owner {
			g.State = generation.Rejected
		}
	}
}

// stopOthers stops whatever is under way, but the one that turns back.
func (l *Ledger) stopOthers(but string) {
	open := l.builders()
	if l.Crossing != "" {
		open = append(open, l.Crossing)
	}
	for _, owner := range open {
		if owner != but {
			l.stop(owner)
		}
	}
}

func (l *Ledger) fence(owner string) {
	if !slices.Contains(l.Fenced, owner) {
		l.Fenced = append(l.Fenced, owner)
	}
}

// target is the tenure that is active after a turn-back.
func (w *World) target(f *Flow) (release.Tenure, error) {
	l := &w.Ledgers[f.Pipeline]
	if f.Of == "" {
		return turnback.Choose(w.tenuresOf(f.Pipeline), l.Active, f.To)
	}
	if active := w.tenure(l.Active); active.Owner == f.Of && active.Kind != release.ByTurnBack {
		return w.tenure(l.before[l.Active]), nil
	}
	return w.tenure(l.Active), nil
}

func (w *World) tenuresOf(p int) (of []release.Tenure) {
	for _, t := range w.Tenures {
		if t.Release.Pipeline == Version(p, 0).Pipeline {
			of = append(of, t)
		}
	}
	return of
}

// errEnded is a turn-back that somebody else has finished.
var errEnded = errors.New("the turn-back has ended")

// decide asks what turning back a partition takes, as the ledger is now.
func (w *World) decide(p int, b Back, part int) turnback.Decision {
	l := &w.Ledgers[p]
	k := w.tenure(b.K)
	f := turnback.Facts{
		Target: b.Target, K: k, Outputs: map[string]bool{}, Tenures: map[int64]release.Tenure{},
		Generations: map[int64]turnback.Generation{}, TurnedBack: map[string]int64{}, ByPerson: b.ByPerson,
	}
	for o := range Outputs {
		f.Outputs[Table(p, o)] = !k.None() && Has(k.Release.Version, o)
	}
	for _, t := range w.tenuresOf(p) {
		f.Tenures[t.Number] = t
	}
	for _, g := range l.Generations {
		f.Generations[g.ID] = g
	}
	for _, other := range l.Backs {
		if other.Target.Owner != "" {
			f.TurnedBack[other.Target.Owner] = max(f.TurnedBack[other.Target.Owner], other.Tenure)
		}
	}
	return turnback.Decide(f, Keys[part], l.Slots[part][:])
}

// back turns partitions back in one transaction, each as a whole. What cannot be built is named, and stops nothing.
func (w *World) back(f *Flow, parts []int) error {
	l := &w.Ledgers[f.Pipeline]
	b := l.change(f.Back)
	if b == nil {
		return errEnded
	}
	if b.Driver != f.Owner {
		return errOther
	}
	k := w.tenure(b.K)
	q := admission.Question{What: admission.Publish, Release: w.tenure(b.Tenure).Release, Config: k.Config, Owner: effect.Owner(f.Owner), Tenure: b.Tenure, TurnBack: true}
	tally := b.Tally
	for _, part := range parts {
		d := w.decide(f.Pipeline, *b, part)
		stuck := d.Action == turnback.Rebuild && w.Bounds.Sourceless[part]
		for _, it := range d.Items {
			o := outputOf(f.Pipeline, it.Output)
			b.Left[slotOf(part, o)] = it.Action == turnback.Leave || stuck
			s := generation.Swap{Output: it.Output, Partition: Keys[part], From: it.From, To: it.To}
			switch {
			case stuck || it.Action == turnback.Keep || it.Action == turnback.Leave:
				continue
			case it.Action == turnback.Rebuild:
				s.To = w.generation(f, part, o, l.Rebuilds(), k)
			}
			q.Swaps = append(q.Swaps, s)
		}
		if !b.tried[part] {
			tally = tally.Add(d, !stuck)
		}
	}
	if err := w.swap(f, q, turnback.KindTurnBack); err != nil {
		return err
	}
	b.Tally = tally
	for _, part := range parts {
		b.tried[part] = true
	}
	return nil
}

// endBack closes the turn-back: done, or stuck where something that should have gone back did not. One that was stopped stays
// open: the same command goes on with it.
func (w *World) endBack(f *Flow, stopped bool) error {
	b := w.Ledgers[f.Pipeline].change(f.Back)
	if b == nil {
		return errEnded
	}
	if b.Driver != f.Owner {
		return errOther
	}
	if !stopped {
		b.State = b.Tally.End()
	}
	return nil
}

// drop is housekeeping at its worst: every retired generation of a pipeline is gone.
func (w *World) drop(p int) {
	l := &w.Ledgers[p]
	l.Generations = slices.Clone(l.Generations)
	for i := range l.Generations {
		if g := &l.Generations[i]; g.State == generation.Retired {
			g.State = generation.Dropped
		}
	}
}

// ancestors are the tenures whose state led to one, by what was active before each: written apart from turnback's own.
func (w *World) ancestors(p int, number int64) map[int64]bool {
	set := map[int64]bool{}
	for number != 0 {
		set[number] = true
		if t := w.tenure(number); t.Kind == release.ByTurnBack {
			number = t.Back
		} else {
			number = w.Ledgers[p].before[number]
		}
	}
	return set
}
