package warehouse

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
)

// generationsShown bounds a listing of generations.
const generationsShown = 200

// History reads what happened to a pipeline: its publishes and turn-backs, one event an effect, and the tenures that became
// active.
func (w *Warehouse) History(ctx context.Context, pipeline string, limit int) (generation.History, error) {
	var out generation.History
	err := pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		active, err := w.ledger.Active(ctx, tx, pipeline)
		if err != nil {
			return err
		}
		if !active.None() {
			out.Active = &active
		}
		if out.Events, err = w.ledger.Events(ctx, tx, pipeline, limit); err != nil {
			return err
		}
		tenures, err := w.ledger.Tenures(ctx, tx, pipeline)
		if err != nil {
			return err
		}
		for _, t := range tenures {
			if t.Activated {
				out.Events = append(out.Events, activation(t))
			}
		}
		if out.Oldest, err = w.ledger.Oldest(ctx, tx, pipeline); err != nil {
			return err
		}
		outputs, err := w.ledger.OutputsOf(ctx, tx, pipeline)
		if err == nil {
			out.Pending, err = w.ledger.Pending(ctx, tx, outputs)
		}
		return err
	})
	slices.SortStableFunc(out.Events, func(a, b generation.Event) int { return b.At.Compare(a.At) })
	if limit > 0 && len(out.Events) > limit {
		out.Events = out.Events[:limit]
	}
	return out, postgres.Classify("read history of", pipeline, err)
}

func activation(t release.Tenure) generation.Event {
	text := fmt.Sprintf("made active, tenure %d", t.Number)
	if t.None() {
		text = fmt.Sprintf("nothing is active, tenure %d", t.Number)
	}
	return generation.Event{
		At: t.At, Kind: "activate", Tenure: t.Number, Release: t.Release, Workflow: effect.Owner(t.Owner).Workflow(), By: t.By, Reason: t.Reason, Text: text,
	}
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
