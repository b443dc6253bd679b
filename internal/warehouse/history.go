package warehouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
)

// generationsShown bounds a listing of generations.
const generationsShown = 200

// Event is one change of what readers see, or of the active release.
type Event struct {
	At      time.Time       `json:"at"`
	Kind    string          `json:"kind"` // publish, rollback, activate
	Release release.Release `json:"release"`
	Key     string          `json:"key"` // of the effect
	Text    string          `json:"text"`
}

// History is what happened to a pipeline here, newest first.
type History struct {
	Active *release.Release `json:"active,omitempty"`
	Events []Event          `json:"events"`
	// Oldest is when the oldest generation that can be gone back to was retired; nil when there is none.
	Oldest *time.Time `json:"oldest,omitempty"`
}

// History reads what happened to a pipeline: its publishes and rollbacks, one event an effect, and the changes of its
// active release.
func (w *Warehouse) History(ctx context.Context, p *pipeline.Pipeline, limit int) (History, error) {
	h, err := w.readHistory(ctx, p)
	if err != nil {
		return History{}, postgres.Classify("read history of", p.Name, err)
	}
	out := History{Active: h.active, Events: h.publications()}
	for _, e := range h.events {
		event := Event{At: e.At, Kind: "activate", Key: e.EffectKey, Release: release.Release{Pipeline: p.Name}, Text: "no release is active"}
		if to := e.To(); to != nil {
			event.Release, event.Text = *to, to.Version+" is active"
		}
		out.Events = append(out.Events, event)
	}
	slices.SortStableFunc(out.Events, func(a, b Event) int { return cmp.Compare(b.At.UnixNano(), a.At.UnixNano()) })
	if limit > 0 && len(out.Events) > limit {
		out.Events = out.Events[:limit]
	}
	for _, g := range h.generations {
		if g.State == generation.Retired && g.NotReattachable == "" && (out.Oldest == nil || g.At.Before(*out.Oldest)) {
			out.Oldest = &g.At
		}
	}
	return out, nil
}

// publications folds swaps into one event an effect.
func (h history) publications() []Event {
	var events []Event
	counts := map[string]int{}
	index := map[string]int{}
	for _, s := range h.swaps {
		counts[s.EffectKey]++
		if _, ok := index[s.EffectKey]; ok {
			continue
		}
		index[s.EffectKey] = len(events)
		side := s.To
		if side == 0 {
			side = s.From
		}
		events = append(events, Event{At: s.At, Kind: string(s.Kind), Key: s.EffectKey, Release: h.generations[side].Release(), Text: s.Output + " " + string(s.Partition)})
	}
	for key, i := range index {
		if n := counts[key]; n > 1 {
			events[i].Text = fmt.Sprintf("%d partitions, of them %s", n, events[i].Text)
		}
	}
	return events
}

// Generations lists the newest generations of one partition of an output, newest first; of all when key is empty.
func (w *Warehouse) Generations(ctx context.Context, output string, key partition.Key) ([]generation.Generation, error) {
	found, err := w.ledger.Of(ctx, w.pool, output, key, generationsShown)
	if err != nil {
		return nil, postgres.Classify("list generations of", output, err)
	}
	list := make([]generation.Generation, len(found))
	for i, g := range found {
		list[i] = g.Plan()
	}
	return list, nil
}

// Rights says, a line each, what the worker's role may do here, with the statement that grants what it may not.
func (w *Warehouse) Rights(ctx context.Context) ([]Finding, error) {
	in := inspection{w: w}
	var lines []Finding
	for _, r := range []struct {
		subject string
		rule    rule
		well    string
	}{
		{"server", serverVersion, "is new enough"},
		{"rights", missingRights, "the role may build and publish in " + w.names.schema},
		{"author rights", authorRights, "the authors' login is as it should be, or there is none"},
		{"authors", trustedAuthors, "their SQL runs under a login that cannot write the ledger"},
		{"sessions", hiddenSessions, "the role sees what holds up a publish"},
		{"isolation", sharedRole, "no other environment shares the role"},
		{"standbys", standbys, "none"},
	} {
		problems, err := r.rule(ctx, in)
		if err != nil {
			return nil, postgres.Classify("look at", r.subject, err)
		}
		for _, p := range problems {
			lines = append(lines, Finding{Subject: r.subject, OK: !p.Blocking, Text: p.Text, Hint: p.Remedy})
		}
		if len(problems) == 0 {
			lines = append(lines, Finding{Subject: r.subject, OK: true, Text: r.well})
		}
	}
	return lines, nil
}
