package activities

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/notice"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// Keeper looks after a ledger, and holds it.
type Keeper interface {
	// Standing is how the ledger stands; nothing where there is none yet.
	Standing(ctx context.Context) (release.Standing, error)
	// Housekeep drops what nobody can go back to any more. It may be repeated.
	Housekeep(ctx context.Context, keep time.Duration) error
	// Hold stops every publish but what turns back, until ReleaseHold. Where a hold stands already that stays, and Hold returns it;
	// ReleaseHold returns what stood. nil: none did. Both happen once under their keys, whose owner is recorded as who asked.
	Hold(ctx context.Context, key effect.Key, by, reason string) (standing *release.Hold, err error)
	ReleaseHold(ctx context.Context, key effect.Key, by string) (stood *release.Hold, err error)
	// Join gives the ledger to the key's environment, and takes over, once under the key, the hold that stands elsewhere there;
	// nil: none does. While that is looked for nobody sets or releases one here. A ledger of another environment is
	// fault.Refused.
	Join(ctx context.Context, key effect.Key, elsewhere func(context.Context) (*release.Hold, error)) error
}

// Keeping looks after the ledgers of an environment while nobody waits, and holds them.
type Keeping struct {
	Site *Site
}

// House is a schema of an environment, in which there may be a ledger.
type House struct {
	Connection string `json:"connection"` // as the policy names it
	Schema     string `json:"schema"`     // empty: whatever is behind a connection that does not say
}

// String is the name that people read.
func (h House) String() string {
	if h.Schema == "" {
		return "connection " + h.Connection
	}
	return h.Schema + " (" + h.Connection + ")"
}

func (h House) compare(o House) int {
	return cmp.Or(strings.Compare(h.Connection, o.Connection), strings.Compare(h.Schema, o.Schema))
}

const (
	// houseWait bounds what is done in one house: the others go on.
	houseWait = 15 * time.Second
	// joinWait bounds how long a ledger that joins looks for a hold in the others: whoever holds it waits meanwhile, and so
	// does its own transaction, which a server ends when it pauses for longer.
	joinWait = 6 * time.Second
)

// SurveyInput names the environment, so that no worker answers for another.
type SurveyInput struct {
	Environment string `json:"environment"`
}

// Surveyed is a house as it was seen.
type Surveyed struct {
	House    House            `json:"house"`
	Standing release.Standing `json:"standing"`
	// Tells says that the environment's policy has somebody told what happens there.
	Tells bool `json:"tells,omitempty"`
	// Unreached says why nothing is known of it.
	Unreached string `json:"unreached,omitempty"`
}

// Survey looks at every house of the environment. It reads only. One that cannot be reached is no error.
func (a *Keeping) Survey(ctx context.Context, in SurveyInput) ([]Surveyed, error) {
	if err := a.Site.serves(in.Environment); err != nil {
		return nil, err
	}
	houses, unseen := a.Site.houses(ctx, a.Site.connections())
	var seen []Surveyed
	for i, l := range each(ctx, houses, a.Site.look) {
		for n := range l.standing.Pipelines {
			if p := &l.standing.Pipelines[n]; l.err == nil {
				l.err = a.Site.renamed(ctx, p.Name, &p.Active)
			}
		}
		switch {
		case l.err != nil:
			unseen[houses[i]] = l.err
		case l.standing.Environment == in.Environment: // a schema of the policy's list may be nobody's yet
			seen = append(seen, Surveyed{House: houses[i], Standing: l.standing, Tells: a.Site.Policy.Notify.Tells()})
		}
	}
	for h, err := range unseen {
		seen = append(seen, Surveyed{House: h, Unreached: fault.Bound(err.Error())})
	}
	slices.SortFunc(seen, func(a, b Surveyed) int { return a.House.compare(b.House) })
	return seen, nil
}

// HousekeepInput is one house of an environment.
type HousekeepInput struct {
	Environment string `json:"environment"`
	House       House  `json:"house"`
	// Owner is the workflow that asks.
	Owner effect.Owner `json:"owner,omitempty"`
}

// Housekeep drops what nobody can go back to any more, within the policy's horizon, brings the schedules up to what is active, ends
// brownouts that are overdue, has people told of times that they have missed, and counts who calls what migrations take away. It may be
// repeated.
func (a *Keeping) Housekeep(ctx context.Context, in HousekeepInput) error {
	if err := a.Site.serves(in.Environment); err != nil {
		return err
	}
	w, err := a.Site.enter(ctx, in.House)
	if err != nil {
		return err
	}
	standing, err := w.Standing(ctx)
	if err != nil || standing.Environment != in.Environment {
		return err
	}
	on := a.keepBrownouts(ctx, in, w) // one that cannot be ended, as its table is gone, keeps nobody from the rest
	if err := w.Housekeep(ctx, a.Site.Policy.KeepRetired); err != nil {
		return err
	}
	for _, p := range standing.Pipelines { // who should have done it may have been terminated
		if err := a.keepSchedule(ctx, Target{Environment: in.Environment, Release: release.Release{Pipeline: p.Name}, Owner: in.Owner}); err != nil {
			return err
		}
	}
	return cmp.Or(a.countCalls(ctx, w), on)
}

// keepSchedule brings the schedule of a pipeline up to what is active in the ledger that counts for it: it may have moved from another.
// What it has missed is told out of that ledger.
func (a *Keeping) keepSchedule(ctx context.Context, t Target) error {
	if a.Site.Schedules == nil {
		return nil
	}
	_, p, w, err := a.Site.locate(ctx, t)
	if err == nil {
		_, err = a.Site.reschedule(ctx, w, t.Release.Pipeline)
	}
	if err == nil {
		err = a.Site.tellMissed(ctx, w, p, t.Release.Pipeline, t.Owner, time.Now())
	}
	if fault.ClassOf(err) != "" { // what is wrong with a release keeps nobody's house from being kept
		return nil
	}
	return err
}

// HoldInput holds an environment, or releases its hold.
type HoldInput struct {
	Environment string `json:"environment"`
	By          string `json:"by"`
	Reason      string `json:"reason,omitempty"`
	Release     bool   `json:"release,omitempty"`
	// Owner is the workflow that asks, on behalf of By.
	Owner effect.Owner `json:"owner,omitempty"`
}

// Held is what became of a hold in one house.
type Held struct {
	House House `json:"house"`
	// Stood is the hold that stood before: it stays, and no other was set; or it was released. nil: none stood.
	Stood *release.Hold `json:"stood,omitempty"`
	// Unreached says why it does not have it.
	Unreached string `json:"unreached,omitempty"`
	Hint      string `json:"hint,omitempty"`
}

// Hold sets a hold in the ledger of every house of the environment, or releases it: admission reads it there. One that cannot
// be reached is named, and keeps no other from having it. Where one stands already it stays. Where nothing keeps a hold it is
// fault.Refused. Twice is once.
//
// It returns when a last look has found nothing left to do: a hold is in every ledger that there is, and a release has found
// none that still had one. So it does not matter how it meets a ledger that joins: either it finds that ledger, or that ledger
// has found what it has done.
func (a *Keeping) Hold(ctx context.Context, in HoldInput) ([]Held, error) {
	if err := a.Site.serves(in.Environment); err != nil {
		return nil, err
	}
	if in.By == "" || in.Reason == "" && !in.Release {
		return nil, fault.Newf(fault.Invalid, "hold", in.Environment, "say who and why: --as NAME --reason TEXT", "a hold names a person and a reason")
	}
	if err := a.Site.calls(ctx, in.Owner); err != nil {
		return nil, err
	}
	defer a.Site.changed()
	done, stood := map[House]error{}, map[House]*release.Hold{}
	over := func(h House) bool {
		err, known := done[h]
		return err != nil || known && !in.Release
	}
	connections := a.Site.connections()
	for round, left := 0, true; left; round++ {
		houses, unseen := a.Site.houses(ctx, connections)
		maps.Copy(done, unseen)
		connections = slices.DeleteFunc(connections, over)
		houses, left = slices.DeleteFunc(houses, over), false
		for i, c := range each(ctx, houses, func(ctx context.Context, h House) change { return a.hold(ctx, h, in, round) }) {
			done[houses[i]], left = c.err, left || c.made
			if c.stood != nil {
				stood[houses[i]] = c.stood
			}
		}
	}
	if len(done) == 0 && !in.Release {
		return nil, fault.Newf(fault.Refused, "hold", in.Environment, "deploy something, or start a migration, first; until then nothing is published there that could be held",
			"no schema there has a ledger yet that belongs to it, and could keep it")
	}
	held := []Held{}
	told := in.Release || !a.Site.Policy.Notify.Tells()
	for _, h := range slices.SortedFunc(maps.Keys(done), House.compare) {
		out := Held{House: h, Stood: stood[h]}
		if err := done[h]; err != nil {
			out.Unreached, out.Hint = fault.Bound(err.Error()), fault.HintOf(err)
		} else if !told { // once, however many have it
			if err := a.tell(ctx, h, in); err != nil {
				return nil, err
			}
			told = true
		}
		held = append(held, out)
	}
	return held, nil
}

// tell has people told of a hold, out of a house that has it.
func (a *Keeping) tell(ctx context.Context, h House, in HoldInput) error {
	w, err := a.Site.enter(ctx, h)
	if err != nil {
		return err
	}
	return a.Site.owe(ctx, w, nil, in.Owner, notice.Event{
		Kind: notice.HoldSet, At: time.Now(), What: in.Environment + " is on hold: nothing is published there but what turns back", Why: in.Reason, By: in.By,
		Commands: []string{"drawbridge release-hold --env " + in.Environment},
	})
}

// change is what became of a house.
type change struct {
	made  bool
	stood *release.Hold
	err   error
}

// hold sets a hold in a house, once, or releases it, once in each round.
func (a *Keeping) hold(ctx context.Context, h House, in HoldInput, round int) change {
	w, err := a.Site.enter(ctx, h)
	if err != nil {
		return change{err: err}
	}
	key := effect.Key{Owner: in.Owner, Environment: in.Environment, Step: "hold"}
	if !in.Release {
		stood, err := w.Hold(ctx, key, in.By, in.Reason)
		return change{made: true, stood: stood, err: err}
	}
	key.Round = round
	stood, err := w.ReleaseHold(ctx, key, in.By)
	return change{made: stood != nil, stood: stood, err: err}
}

// each does the same in several houses at the same time, and returns the answers in their order.
func each[T any](ctx context.Context, houses []House, do func(context.Context, House) T) []T {
	return within(ctx, houseWait, houses, do)
}

// within is each with another bound of what is done in one house.
func within[T any](ctx context.Context, wait time.Duration, houses []House, do func(context.Context, House) T) []T {
	out := make([]T, len(houses))
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, h := range houses {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			out[i] = do(ctx, h)
		})
	}
	group.Wait()
	return out
}

// enter opens the warehouse of a house.
func (s *Site) enter(ctx context.Context, h House) (Warehouse, error) {
	return s.warehouse(ctx, pipeline.Config{Environment: s.Environment, Warehouse: h.Connection, WarehouseSchema: h.Schema})
}

// changed tells whoever keeps house that there may be something to do.
func (s *Site) changed() {
	if s.Changed != nil {
		s.Changed()
	}
}

// connections are the houses of which only the connection is known: those that may be warehouses.
func (s *Site) connections() []House {
	var all []House
	for _, name := range slices.Sorted(maps.Keys(s.Policy.Connections)) {
		if s.Policy.Connections[name].For(pipeline.ForWarehouse) {
			all = append(all, House{Connection: name})
		}
	}
	return all
}

// houses are what there is behind connections: the schemas that the policy lists for pipelines to write; where it leaves that
// open, those that have a ledger of this environment, as the server says. unseen are the connections whose server does not say,
// and the houses whose ledger does not, and why.
func (s *Site) houses(ctx context.Context, connections []House) (houses []House, unseen map[House]error) {
	unseen = map[House]error{}
	for i, b := range each(ctx, connections, s.behind) {
		if b.err != nil {
			unseen[connections[i]] = b.err
		}
		for schema, why := range b.unread {
			unseen[House{Connection: connections[i].Connection, Schema: schema}] = why
		}
		for _, schema := range b.schemas {
			houses = append(houses, House{Connection: connections[i].Connection, Schema: schema})
		}
	}
	return houses, unseen
}

// behind is what there is behind a connection.
type behind struct {
	schemas []string
	unread  map[string]error
	err     error
}

func (s *Site) behind(ctx context.Context, connection House) behind {
	if listed := s.Policy.Connections[connection.Connection].Schemas.Write; len(listed) > 0 {
		return behind{schemas: listed}
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	schemas, unread, err := s.Ledgers(ctx, connection.Connection)
	return behind{schemas: schemas, unread: unread, err: err}
}

// join lets the ledger of a target join the environment: it may not have been there when the hold was set that stands in the
// others. The ledger is there to be found before it looks for that.
func (s *Site) join(ctx context.Context, t Target, cfg pipeline.Config, w Warehouse) error {
	name, err := s.Policy.ConnectionName(cfg)
	if err != nil {
		return err
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	return w.Join(ctx, t.Effect("join", "", 0), func(ctx context.Context) (*release.Hold, error) {
		return s.standing(ctx, House{Connection: name, Schema: cfg.WarehouseSchema})
	})
}

// standing is the hold that stands in the environment's ledgers but one; nil: none does. One that cannot be reached is not
// waited for, unless nothing of the environment can be.
func (s *Site) standing(ctx context.Context, but House) (*release.Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, joinWait)
	defer cancel()
	houses, failed := s.houses(ctx, s.connections())
	houses = slices.DeleteFunc(houses, func(h House) bool { return h == but })
	reached := false
	for i, seen := range each(ctx, houses, s.look) {
		switch {
		case seen.err != nil:
			failed[houses[i]] = seen.err
		case seen.standing.Environment != s.Environment: // nobody's yet, or another's
		case seen.standing.Hold != nil:
			return seen.standing.Hold, nil
		default:
			reached = true
		}
	}
	for _, h := range slices.SortedFunc(maps.Keys(failed), House.compare) {
		if err := failed[h]; !reached && fault.ClassOf(err) == "" { // what can never be reached holds nothing
			return nil, fmt.Errorf("look in %s whether %s is on hold: %w", h, s.Environment, err)
		}
	}
	return nil, nil
}

// looked is a house as it was found.
type looked struct {
	standing release.Standing
	err      error
}

// look reads how a house stands.
func (s *Site) look(ctx context.Context, h House) looked {
	w, err := s.enter(ctx, h)
	if err != nil {
		return looked{err: err}
	}
	standing, err := w.Standing(ctx)
	return looked{standing: standing, err: err}
}
