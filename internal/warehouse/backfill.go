package warehouse

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/backfill"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// BeginBackfill enters a backfill under the active tenure: while it is open no other one builds partitions of its span. An
// earlier start of its workflow that was ended from outside is closed. What is not as it was planned is fault.Conflict. It
// happens once under its key.
func (w *Warehouse) BeginBackfill(ctx context.Context, e backfill.Entry, key effect.Key) (release.Tenure, error) {
	pipeline := e.Plan.Release.Pipeline
	t, err := settle(ctx, w, key, "begin backfill", func(tx pgx.Tx) (release.Tenure, error) {
		none := release.Tenure{}
		if err := w.ledger.BindEnvironment(ctx, tx, key.Environment); err != nil {
			return none, err
		}
		if err := w.ledger.ExcludeChange(ctx, tx); err != nil {
			return none, err
		}
		question := admission.Question{
			What: admission.Build, Environment: key.Environment, Release: e.Plan.Release, Config: e.Plan.Config, Owner: key.Owner, Outputs: e.Outputs,
		}
		facts, err := w.ledger.Facts(ctx, tx, question)
		if err != nil {
			return none, err
		}
		if err := admission.Decide(question, facts, gate.Approval{}); err != nil {
			return none, err
		}
		if facts.Active.Number != e.Plan.Tenure {
			return none, fault.Newf(fault.Conflict, "backfill", pipeline, "start it again: it is planned anew",
				fmt.Sprintf("tenure %d is active since it was planned, not %d", facts.Active.Number, e.Plan.Tenure))
		}
		if facts.Crossing != "" && facts.Crossing != e.Beside {
			return none, fault.Newf(fault.Conflict, "backfill", pipeline, "start it again: what that builds is looked at first",
				effect.Owner(facts.Crossing).Workflow()+" has begun to cross here")
		}
		if err := w.apart(ctx, tx, e, key.Owner); err != nil {
			return none, err
		}
		return facts.Active, w.ledger.BeginBackfill(ctx, tx, catalog.Backfill{
			Owner: string(key.Owner), Pipeline: pipeline, Tenure: e.Plan.Tenure, Plan: backfill.Digest(e.Plan), Digest: e.Plan.Release.Digest, Config: e.Plan.Config,
			First: e.Plan.Ask.From, Last: e.Plan.Ask.To, Asks: len(e.Plan.Over) > 0, By: e.By, Reason: e.Reason,
		})
	})
	return t, postgres.Classify("backfill", pipeline, err)
}

// apart keeps the open backfills of a pipeline apart. Of its own workflow none can be open but an earlier start, which is over.
func (w *Warehouse) apart(ctx context.Context, tx pgx.Tx, e backfill.Entry, owner effect.Owner) error {
	open, err := w.ledger.OpenBackfills(ctx, tx, e.Plan.Release.Pipeline)
	if err != nil {
		return err
	}
	for _, b := range open {
		workflow := effect.Owner(b.Owner).Workflow()
		switch {
		case b.Owner == string(owner):
		case workflow == owner.Workflow():
			if err := w.fence(ctx, tx, b.Pipeline, "it was started again", []string{b.Owner}); err != nil {
				return err
			}
		case backfill.Overlaps(e.Scheme, e.Plan.Ask, backfill.Ask{From: b.First, To: b.Last}):
			return fault.Newf(fault.Conflict, "backfill", e.Plan.Release.Pipeline,
				fmt.Sprintf("see what it does: drawbridge status %s; where it was terminated: drawbridge recover %s", workflow, workflow),
				fmt.Sprintf("%s builds %s to %s since %s", workflow, b.First, b.Last, b.Since.UTC().Format("2006-01-02 15:04 MST")))
		}
	}
	return nil
}

// OpenBackfills are the backfills of a pipeline that have not ended.
func (w *Warehouse) OpenBackfills(ctx context.Context, pipeline string) ([]backfill.Open, error) {
	list, err := w.ledger.OpenBackfills(ctx, w.pool, pipeline)
	open := make([]backfill.Open, len(list))
	for i, b := range list {
		open[i] = standing(b)
	}
	return open, postgres.Classify("read the backfills of", pipeline, err)
}

// BackfillsOf are the starts of one backfill that have published something which nobody has turned back, as a
// request for it would, the latest first.
func (w *Warehouse) BackfillsOf(ctx context.Context, req turnback.Request) ([]effect.Owner, error) {
	list, err := w.ledger.BackfillsOf(ctx, w.pool, req)
	owners := make([]effect.Owner, len(list))
	for i, o := range list {
		owners[i] = effect.Owner(o)
	}
	return owners, postgres.Classify("read the backfills of", req.Pipeline, err)
}

// WasActive is the last tenure under which a version was active; its number is 0 where it never was.
func (w *Warehouse) WasActive(ctx context.Context, pipeline, version string) (release.Tenure, error) {
	tenures, err := w.ledger.Tenures(ctx, w.pool, pipeline)
	for _, t := range slices.Backward(tenures) {
		if t.Activated && t.Release.Version == version {
			return t, nil
		}
	}
	return release.Tenure{}, postgres.Classify("read the tenures of", pipeline, err)
}

// Crosses is who crosses a pipeline here, and the digest of the plan by which; empty: nobody.
func (w *Warehouse) Crosses(ctx context.Context, pipeline string) (owner, plan string, err error) {
	c, err := w.Crossing(ctx, pipeline)
	if err != nil || c.Owner == "" {
		return "", "", err
	}
	t, err := w.ledger.Tenure(ctx, w.pool, c.Tenure)
	return c.Owner, t.Plan, postgres.Classify("read the crossing of", pipeline, err)
}

// Backfill is the backfill that an owner has entered; its plan is empty where there is none.
func (w *Warehouse) Backfill(ctx context.Context, owner effect.Owner) (backfill.Open, error) {
	b, err := w.ledger.Backfill(ctx, w.pool, string(owner))
	return standing(b), postgres.Classify("read the backfill of", owner.Workflow(), err)
}

// Filled is how many partitions an owner has published that are live.
func (w *Warehouse) Filled(ctx context.Context, owner effect.Owner) (int, error) {
	n, err := w.ledger.Filled(ctx, w.pool, string(owner))
	return n, postgres.Classify("count what was published by", owner.Workflow(), err)
}

// Stopped is why a workflow is fenced, empty where it is not, and whether a turn-back of the pipeline is open.
func (w *Warehouse) Stopped(ctx context.Context, pipeline string, owner effect.Owner) (why string, turning bool, err error) {
	if why, err = w.ledger.Fenced(ctx, w.pool, string(owner)); err == nil {
		_, turning, err = w.ledger.OpenTurnBack(ctx, w.pool, pipeline)
	}
	return why, turning, postgres.Classify("look at what stopped", owner.Workflow(), err)
}

func standing(b catalog.Backfill) backfill.Open {
	return backfill.Open{Owner: effect.Owner(b.Owner), Plan: b.Plan, Tenure: b.Tenure, First: b.First, Last: b.Last, Asks: b.Asks, Ended: b.Ended}
}
