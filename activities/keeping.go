package activities

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// Keeper looks after a ledger, and holds it.
type Keeper interface {
	// Standing is how the ledger stands; nothing where there is none yet.
	Standing(ctx context.Context) (release.Standing, error)
	// Housekeep drops what nobody can go back to any more. It may be repeated.
	Housekeep(ctx context.Context, keep time.Duration) error
	// Hold stops every publish but what turns back, until ReleaseHold. Twice is once.
	// Both happen once under their keys, whose owner is recorded as who asked.
	Hold(ctx context.Context, key effect.Key, by, reason string) error
	ReleaseHold(ctx context.Context, key effect.Key, by string) error
}

// Keeping looks after the ledgers of an environment while nobody waits, and holds them.
type Keeping struct {
	Site *Site
}

// House is a schema of an environment, in which there may be a ledger.
type House struct {
	Connection string `json:"connection"` // as the policy names it
	Schema     string `json:"schema"`
}

// String is the name that people read.
func (h House) String() string { return h.Schema + " (" + h.Connection + ")" }

const (
	// houseWait bounds what is done in one house: the others go on.
	houseWait = 15 * time.Second
	// releasesLooked bounds how many releases of a pipeline are asked where it lives.
	releasesLooked = 20
)

// SurveyInput names the environment, so that no worker answers for another.
type SurveyInput struct {
	Environment string `json:"environment"`
}

// Surveyed is a house as it was seen.
type Surveyed struct {
	House    House            `json:"house"`
	Standing release.Standing `json:"standing"`
	// Unreached says why nothing is known of it.
	Unreached string `json:"unreached,omitempty"`
}

// Survey looks at every house of the environment. It reads only. One that cannot be reached is no error.
func (a *Keeping) Survey(ctx context.Context, in SurveyInput) ([]Surveyed, error) {
	if err := a.Site.serves(in.Environment); err != nil {
		return nil, err
	}
	houses, err := a.Site.houses(ctx)
	if err != nil {
		return nil, err
	}
	seen := each(ctx, houses, func(ctx context.Context, h House) Surveyed {
		out := Surveyed{House: h}
		w, err := a.Site.enter(ctx, h)
		if err == nil {
			out.Standing, err = w.Standing(ctx)
		}
		for i := range out.Standing.Pipelines {
			if p := &out.Standing.Pipelines[i]; err == nil {
				err = a.Site.renamed(ctx, p.Name, &p.Active)
			}
		}
		if err != nil {
			out.Unreached = fault.Bound(err.Error())
		}
		return out
	})
	// A schema of which only a release speaks may be another environment's.
	return slices.DeleteFunc(seen, func(s Surveyed) bool {
		return s.Standing.Environment != in.Environment && s.Unreached == ""
	}), nil
}

// HousekeepInput is one house of an environment.
type HousekeepInput struct {
	Environment string `json:"environment"`
	House       House  `json:"house"`
}

// Housekeep drops what nobody can go back to any more, within the policy's horizon. It may be repeated.
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
	return w.Housekeep(ctx, a.Site.Policy.KeepRetired)
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
	// Unreached says why it does not have it.
	Unreached string `json:"unreached,omitempty"`
	Hint      string `json:"hint,omitempty"`
}

// Hold sets a hold in the ledger of every house of the environment, or releases it: admission reads it there. One that cannot
// be reached is named, and keeps no other from having it. Twice is once.
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
	houses, err := a.Site.houses(ctx)
	if err != nil {
		return nil, err
	}
	key := effect.Key{Owner: in.Owner, Environment: in.Environment, Step: "hold"}
	defer a.Site.changed()
	return each(ctx, houses, func(ctx context.Context, h House) Held {
		out := Held{House: h}
		w, err := a.Site.enter(ctx, h)
		switch {
		case err != nil:
		case in.Release:
			err = w.ReleaseHold(ctx, key, in.By)
		default:
			err = w.Hold(ctx, key, in.By, in.Reason)
		}
		if err != nil {
			out.Unreached, out.Hint = fault.Bound(err.Error()), fault.HintOf(err)
		}
		return out
	}), nil
}

// each does the same in several houses at the same time, and returns the answers in their order.
func each[T any](ctx context.Context, houses []House, do func(context.Context, House) T) []T {
	out := make([]T, len(houses))
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	for i, h := range houses {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(ctx, houseWait)
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

// houses are the schemas that the environment's policy lets pipelines write. Where a connection leaves that open, they are
// those that the newest releases of the store have in their config for this environment.
func (s *Site) houses(ctx context.Context) ([]House, error) {
	found := map[House]bool{}
	open := false
	for name, c := range s.Policy.Connections {
		for _, schema := range c.Schemas.Write {
			found[House{Connection: name, Schema: schema}] = true
		}
		open = open || len(c.Schemas.Write) == 0
	}
	if open {
		names, err := s.Store.Pipelines(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if err := s.released(ctx, name, found); err != nil {
				return nil, err
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b House) int {
		return cmp.Or(strings.Compare(a.Connection, b.Connection), strings.Compare(a.Schema, b.Schema))
	}), nil
}

// released adds the houses that the newest releases of a pipeline name. A release that is not for this environment, or that
// its policy refuses, names none.
func (s *Site) released(ctx context.Context, name string, found map[House]bool) error {
	left := releasesLooked
	tried := ""
	for r, err := range s.Store.Releases(ctx, name) {
		if err != nil {
			return err
		}
		if base, _, try := release.CutTry(r.Version); try && base == tried {
			continue // a version is tried any number of times: the last try speaks for all
		} else if try {
			tried = base
		}
		if left--; left < 0 {
			break
		}
		p, err := s.read(ctx, r, "")
		switch {
		case fault.ClassOf(err) != "":
			continue
		case err != nil:
			return err
		}
		if connection, err := s.Policy.ConnectionName(p.Config); err == nil {
			found[House{Connection: connection, Schema: p.Config.WarehouseSchema}] = true
		}
	}
	return nil
}
