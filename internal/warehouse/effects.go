package warehouse

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
)

// ledgerWait bounds what one statement may take in the ledger: nobody else waits for it meanwhile.
const ledgerWait = 5 * time.Second

// Active is the tenure that runs of a pipeline use; of no release where nothing is active, and where there is no ledger
// yet.
func (w *Warehouse) Active(ctx context.Context, pipeline string) (release.Tenure, error) {
	version, err := w.ledger.Version(ctx, w.pool)
	if err != nil || version == 0 {
		return release.Tenure{}, postgres.Classify("read active release of", pipeline, err)
	}
	active, err := w.ledger.Active(ctx, w.pool, pipeline)
	return active, postgres.Classify("read active release of", pipeline, err)
}

// Since is the tenure that ended another one, by its number, or the active one where none did.
func (w *Warehouse) Since(ctx context.Context, pipeline string, number int64) (release.Tenure, error) {
	active, err := w.Active(ctx, pipeline)
	if err != nil || active.Number == number {
		return active, err
	}
	tenures, err := w.ledger.Tenures(ctx, w.pool, pipeline)
	if err != nil {
		return release.Tenure{}, postgres.Classify("read tenures of", pipeline, err)
	}
	i := slices.IndexFunc(tenures, func(t release.Tenure) bool { return t.Number == number })
	if i < 0 {
		return active, nil
	}
	if next, ended := tenures[i].After(tenures); ended {
		return next, nil
	}
	return active, nil
}

// Enter reserves a tenure for a deployment, and takes the crossing of its pipeline: while it is in there no other
// deployment changes the pipeline here. Entering again gives the same tenure. A workflow that was stopped, an open
// turn-back, an environment or an output of somebody else refuse it. exclusive lets the runs of the pipeline wait meanwhile.
// It happens once under its key: a call that comes back when its workflow has left takes nothing again.
func (w *Warehouse) Enter(ctx context.Context, t release.Tenure, key effect.Key, outputs []string, exclusive bool) (release.Tenure, error) {
	pipeline := t.Release.Pipeline
	t, err := settle(ctx, w, key, "enter", func(tx pgx.Tx) (release.Tenure, error) {
		if err := w.ledger.BindEnvironment(ctx, tx, key.Environment); err != nil {
			return t, err
		}
		if err := w.ledger.ExcludeChange(ctx, tx); err != nil {
			return t, err
		}
		// Looked at as a build: it is entitled to nothing yet, and everything else has to be right.
		question := admission.Question{
			What: admission.Build, Environment: key.Environment, Release: t.Release, Config: t.Config, Owner: effect.Owner(t.Owner), Outputs: outputs,
		}
		facts, err := w.ledger.Facts(ctx, tx, question)
		if err != nil {
			return t, err
		}
		if err := admission.Decide(question, facts, gate.Approval{}); err != nil {
			return t, err
		}
		if t.Kind == release.ByRun && !facts.Active.None() {
			return facts.Active, nil // a run uses what is active
		}
		entered := t
		if err := w.ledger.ReserveTenure(ctx, tx, &entered); err != nil {
			return t, err
		}
		if entered.Kind != release.ByDeployment || entered.Activated {
			return entered, nil
		}
		if err := w.ledger.Cross(ctx, tx, pipeline, t.Owner, entered.Number); err != nil || !exclusive {
			return entered, err
		}
		return entered, w.ledger.ExcludeRuns(ctx, tx, pipeline, t.Owner)
	})
	return t, postgres.Classify("enter", pipeline, err)
}

// Epoch tells this ledger from a copy of it that was bound anew.
func (w *Warehouse) Epoch(ctx context.Context) (string, error) {
	epoch, err := w.ledger.Epoch(ctx, w.pool)
	return epoch, postgres.Classify("read the epoch of", w.names.schema, err)
}

// Remembers holds the ledger to what it has told a workflow: what it lacks is an admission.LostError.
func (w *Warehouse) Remembers(ctx context.Context, told admission.Told) error {
	m, err := w.ledger.Recall(ctx, w.pool, told)
	if err != nil {
		// A warehouse that was restored to a time before its ledger has none.
		if version, missing := w.ledger.Version(ctx, w.pool); missing != nil || version != 0 {
			return postgres.Classify("look at", told.Pipeline, err)
		}
	}
	return told.Remembers(m)
}

// Watch takes a deployment out of its pipeline's crossing, so that others may change the pipeline, and keeps what it could go
// back to until it leaves, or for as long as it may watch and be recovered. It happens once under its key.
func (w *Warehouse) Watch(ctx context.Context, pipeline string, key effect.Key, long time.Duration) error {
	_, err := settle(ctx, w, key, "watch", func(tx pgx.Tx) (struct{}, error) {
		if err := w.ledger.EndLandings(ctx, tx, string(key.Owner)); err != nil { // it builds no more
			return struct{}{}, err
		}
		return struct{}{}, w.ledger.Watch(ctx, tx, pipeline, string(key.Owner), long)
	})
	return postgres.Classify("watch", pipeline, err)
}

// Leave ends a workflow's crossing of its pipeline, its backfill, its watch, and what it has loaded for its builds, or built and not
// published. It may be repeated.
func (w *Warehouse) Leave(ctx context.Context, pipeline, owner string) error {
	return postgres.Classify("leave", pipeline, pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if err := w.ledger.LeaveCrossing(ctx, tx, pipeline, owner); err != nil {
			return err
		}
		if err := w.ledger.EndLandings(ctx, tx, owner); err != nil {
			return err
		}
		if err := w.ledger.EndBackfills(ctx, tx, owner); err != nil {
			return err
		}
		if err := w.ledger.GiveUpBuilt(ctx, tx, owner); err != nil {
			return err
		}
		return w.ledger.Unwatch(ctx, tx, pipeline, owner)
	}))
}

// Crossing reads who changes a pipeline here.
func (w *Warehouse) Crossing(ctx context.Context, pipeline string) (catalog.Crossing, error) {
	c, err := w.ledger.Crossing(ctx, w.pool, pipeline)
	return c, postgres.Classify("read the crossing of", pipeline, err)
}

// RecordAnswers stores what people answered at a gate about a release, one by one: admission holds them against this
// environment's own rule.
func (w *Warehouse) RecordAnswers(ctx context.Context, owner effect.Owner, r release.Release, g gate.Gate) error {
	return postgres.Classify("record answers about", r.String(), w.ledger.RecordAnswers(ctx, w.pool, string(owner), r.Digest, g))
}

// Said reads everything that people answered to a workflow, by gate.
func (w *Warehouse) Said(ctx context.Context, owner effect.Owner) ([]gate.Gate, error) {
	said, err := w.ledger.Said(ctx, w.pool, string(owner))
	return said, postgres.Classify("read answers to", owner.Workflow(), err)
}

// TenureOf is the tenure that a deployment or run has reserved; its number is 0 when it has none.
func (w *Warehouse) TenureOf(ctx context.Context, pipeline string, owner effect.Owner) (release.Tenure, error) {
	t, err := w.ledger.TenureOf(ctx, w.pool, pipeline, string(owner))
	return t, postgres.Classify("read the tenure of", owner.Workflow(), err)
}

// Standing is how the ledger stands; nothing where there is none yet.
func (w *Warehouse) Standing(ctx context.Context) (release.Standing, error) {
	var out release.Standing
	version, err := w.ledger.Version(ctx, w.pool)
	if err != nil || version == 0 {
		return out, postgres.Classify("look at", w.names.schema, err)
	}
	err = pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		if out.Environment, err = w.ledger.Environment(ctx, tx); err != nil {
			return err
		}
		hold, err := w.ledger.Standing(ctx, tx)
		if err != nil {
			return err
		}
		out.Hold = hold.Stands()
		out.Pipelines, err = w.ledger.Pipelines(ctx, tx)
		return err
	})
	return out, postgres.Classify("look at", w.names.schema, err)
}

// Join gives the ledger to an environment, where it has none yet, and takes over the hold that stands elsewhere there, once
// under its key. The ledger is seen to be the environment's before it looks, and from there on nobody sets or releases a hold
// here until it is done: whoever does so elsewhere finds the ledger afterwards. One of another environment is fault.Refused.
func (w *Warehouse) Join(ctx context.Context, key effect.Key, elsewhere func(context.Context) (*release.Hold, error)) error {
	if err := w.ledger.BindEnvironment(ctx, w.pool, key.Environment); err != nil {
		return postgres.Classify("join", w.names.schema, err)
	}
	_, err := settle(ctx, w, key, "join", func(tx pgx.Tx) (struct{}, error) {
		if err := w.ledger.ExcludeChange(ctx, tx); err != nil {
			return struct{}{}, err
		}
		hold, err := elsewhere(ctx)
		if err != nil || hold == nil {
			return struct{}{}, err
		}
		_, err = w.ledger.SetHold(ctx, tx, hold.By, hold.Reason, key.Owner)
		return struct{}{}, err
	})
	return postgres.Classify("join", w.names.schema, err)
}

// Hold sets a hold in the ledger of an environment; while it stands nothing is published but what turns back, and when it
// returns nothing is under way that has not seen it. A ledger of another environment is fault.Refused.
//
// Where one stands already that stays, and is returned. It happens once under its key: a call that comes back when the hold was
// released sets none again.
func (w *Warehouse) Hold(ctx context.Context, key effect.Key, by, reason string) (standing *release.Hold, err error) {
	if reason == "" || by == "" {
		return nil, fault.Newf(fault.Invalid, "hold", w.names.schema, "say who and why: --as NAME --reason TEXT", "a hold names a person and a reason")
	}
	if err := w.EnsureLedger(ctx); err != nil {
		return nil, err
	}
	standing, err = settle(ctx, w, key, "hold", func(tx pgx.Tx) (*release.Hold, error) {
		if err := w.ledger.BindEnvironment(ctx, tx, key.Environment); err != nil {
			return nil, err
		}
		if err := w.ledger.ExcludeChange(ctx, tx); err != nil {
			return nil, err
		}
		hold, err := w.ledger.SetHold(ctx, tx, by, reason, key.Owner)
		return hold.Stands(), err
	})
	return standing, postgres.Classify("hold", w.names.schema, err)
}

// ReleaseHold ends the hold, once under its key, and returns it. Where none stands, and where there is no ledger, it changes
// nothing, and returns nil.
func (w *Warehouse) ReleaseHold(ctx context.Context, key effect.Key, by string) (stood *release.Hold, err error) {
	version, err := w.ledger.Version(ctx, w.pool)
	if err != nil || version == 0 {
		return nil, postgres.Classify("release hold of", w.names.schema, err)
	}
	stood, err = settle(ctx, w, key, "release hold", func(tx pgx.Tx) (*release.Hold, error) {
		if err := w.ledger.ExcludeChange(ctx, tx); err != nil { // who joins may be about to take one over
			return nil, err
		}
		hold, err := w.ledger.ReleaseHold(ctx, tx, by, key.Owner)
		return hold.Stands(), err
	})
	return stood, postgres.Classify("release hold of", w.names.schema, err)
}
