package warehouse

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// Knows says whether the ledger, where there is one, has ever heard of a pipeline.
func (w *Warehouse) Knows(ctx context.Context, pipeline string) (bool, error) {
	version, err := w.ledger.Version(ctx, w.pool)
	if err != nil || version == 0 {
		return false, postgres.Classify("look for", pipeline, err)
	}
	known, err := w.ledger.Knows(ctx, w.pool, pipeline)
	return known, postgres.Classify("look for", pipeline, err)
}

// Remains is what the ledger has of a workflow that cannot speak. It reads only.
func (w *Warehouse) Remains(ctx context.Context, pipeline, workflow string) (r turnback.Remains, err error) {
	if r.Known, err = w.Knows(ctx, pipeline); err != nil || !r.Known {
		return r, err
	}
	err = pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		owners, err := w.ledger.OpenOf(ctx, tx, pipeline, workflow)
		if err != nil {
			return err
		}
		half, err := w.half(ctx, tx, pipeline, workflow)
		if err != nil {
			return err
		}
		back, err := w.unfinished(ctx, tx, pipeline, workflow)
		if err != nil {
			return err
		}
		r.Open = len(owners) > 0 || half != "" || back.Tenure.Number != 0
		if half != "" || back.Tenure.Number != 0 {
			return nil
		}
		return w.stays(ctx, tx, pipeline, workflow, &r)
	})
	return r, postgres.Classify("look for what is left of", workflow, err)
}

// stays notes what a workflow has brought here that is active.
func (w *Warehouse) stays(ctx context.Context, tx pgx.Tx, pipeline, workflow string, r *turnback.Remains) error {
	active, err := w.ledger.Active(ctx, tx, pipeline)
	if err != nil {
		return err
	}
	tenures, err := w.ledger.Tenures(ctx, tx, pipeline)
	if err != nil {
		return err
	}
	brought := origin(tenures, active)
	if brought.None() || brought.Kind == release.ByTurnBack || effect.Owner(brought.Owner).Workflow() != workflow {
		return nil
	}
	r.Live = brought
	_, none := turnback.Choose(tenures, active.Number, "")
	r.Before = none == nil
	r.Watched, err = w.ledger.Watches(ctx, tx, pipeline, brought.Owner)
	return err
}

// half is the owner that a workflow was when it stopped in the middle of a change: the one that holds the crossing, or of which
// something is live though its release never became active.
func (w *Warehouse) half(ctx context.Context, q catalog.Querier, pipeline, workflow string) (string, error) {
	crossing, err := w.ledger.Crossing(ctx, q, pipeline)
	if err != nil {
		return "", err
	}
	if effect.Owner(crossing.Owner).Workflow() == workflow {
		return crossing.Owner, nil
	}
	owners, err := w.ledger.HalfOf(ctx, q, pipeline, workflow)
	if err != nil || len(owners) == 0 {
		return "", err
	}
	return owners[len(owners)-1], nil
}

// unfinished is the turn-back that the recovery of a workflow has to go on with: whichever is open, or the active one that has
// ended as stuck and was the workflow's, or about it. Its tenure is 0 where there is none.
func (w *Warehouse) unfinished(ctx context.Context, q catalog.Querier, pipeline, workflow string) (turnback.TurnBack, error) {
	open, ok, err := w.ledger.OpenTurnBack(ctx, q, pipeline)
	if err != nil || ok {
		return open, err
	}
	active, err := w.ledger.Active(ctx, q, pipeline)
	if err != nil || active.Kind != release.ByTurnBack {
		return turnback.TurnBack{}, err
	}
	last, ok, err := w.ledger.TurnBack(ctx, q, active.Number)
	if err != nil || !ok || last.State != turnback.Stuck || !about(last, workflow) {
		return turnback.TurnBack{}, err
	}
	return last, nil
}

// about says that a turn-back is, or was last, a workflow's, or takes back what it did.
func about(b turnback.TurnBack, workflow string) bool {
	return slices.ContainsFunc([]string{b.Tenure.Owner, b.Driver, b.Request.Owner}, func(o string) bool { return effect.Owner(o).Workflow() == workflow })
}

// bury ends whatever the ledger still holds open of a workflow that cannot speak: what it has built and loaded, its crossing,
// and its watch.
func (w *Warehouse) bury(ctx context.Context, tx pgx.Tx, req turnback.Request, actor effect.Owner) error {
	owners, err := w.ledger.OpenOf(ctx, tx, req.Pipeline, req.Workflow)
	if err != nil {
		return err
	}
	for _, o := range owners {
		if err := cmp.Or(w.ledger.Unwatch(ctx, tx, req.Pipeline, o), w.ledger.EndLandings(ctx, tx, o)); err != nil {
			return err
		}
	}
	return w.fence(ctx, tx, req.Pipeline, actor.Workflow()+" stopped it", owners)
}
