package warehouse

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// BeginTurnBack opens a turn-back, or finds the open one that the same request has opened: then it is resumed. In one
// transaction it stops whatever is under way for the pipeline, opens a tenure of the release that is gone back to, and
// makes that the active one, so that nothing of what is turned back publishes any more. It waits for one hold of a publish
// at most. ok is false where there is nothing to turn back: the workflow has published nothing, and is stopped; or somebody
// else's turn-back, which is returned, takes back what it did. It happens once under its key, whose owner goes on with the
// turn-back: a later call returns what the first one came to, also when the turn-back has ended since.
func (w *Warehouse) BeginTurnBack(ctx context.Context, req turnback.Request, key effect.Key) (turnback.TurnBack, bool, error) {
	out, err := settle(ctx, w, key, "begin turn-back", func(tx pgx.Tx) (opened, error) {
		if err := w.ledger.ExcludeChange(ctx, tx); err != nil {
			return opened{}, err
		}
		b, ok, err := w.openTurnBack(ctx, tx, req, key.Owner)
		if err == nil && req.Workflow != "" && (ok || !req.Resume) {
			err = w.bury(ctx, tx, req, key.Owner)
		}
		return opened{TurnBack: b, OK: ok}, err
	})
	return out.TurnBack, out.OK, postgres.Classify("turn back", req.Pipeline, err)
}

// opened is what beginning a turn-back came to.
type opened struct {
	TurnBack turnback.TurnBack `json:"turn_back"`
	OK       bool              `json:"ok"`
}

func (w *Warehouse) openTurnBack(ctx context.Context, tx pgx.Tx, req turnback.Request, actor effect.Owner) (turnback.TurnBack, bool, error) {
	b, ok, err := w.ledger.OpenTurnBack(ctx, tx, req.Pipeline)
	if err != nil {
		return b, false, err
	}
	if ok {
		if different := resumes(b, req); different != nil {
			return w.others(ctx, tx, b, req, different)
		}
		if err := w.reopen(ctx, tx, &b, req, actor); err != nil {
			return b, false, err
		}
		return b, true, w.stop(ctx, tx, &b, actor, "a turn-back goes on in another workflow")
	}
	if b, ok, err = w.stuckTurnBack(ctx, tx, req, actor); err != nil || ok || req.Resume {
		return b, ok, err
	}
	if err := w.held(ctx, tx, &req); err != nil {
		return b, false, err
	}
	if b, ok, err = w.planTurnBack(ctx, tx, req); err != nil {
		return b, false, err
	}
	switch {
	case ok:
		err = w.enterTurnBack(ctx, tx, &b, actor)
	case req.Owner != "": // it has changed nothing that readers see, and will not
		err = w.fence(ctx, tx, req.Pipeline, actor.Workflow()+" stopped it", []string{req.Owner})
	}
	return b, ok, err
}

// stuckTurnBack opens the active turn-back again where it has ended as stuck and the same is asked for: what was left of it
// is tried anew.
func (w *Warehouse) stuckTurnBack(ctx context.Context, tx pgx.Tx, req turnback.Request, actor effect.Owner) (turnback.TurnBack, bool, error) {
	active, err := w.ledger.Active(ctx, tx, req.Pipeline)
	if err != nil || active.Kind != release.ByTurnBack {
		return turnback.TurnBack{}, false, err
	}
	b, ok, err := w.ledger.TurnBack(ctx, tx, active.Number)
	if err != nil || !ok || b.State != turnback.Stuck {
		return turnback.TurnBack{}, false, err
	}
	same := !req.Resume && resumes(b, req) == nil
	if req.Workflow != "" {
		same = req.Resume && about(b, req.Workflow)
	}
	if !same {
		return turnback.TurnBack{}, false, nil
	}
	return b, true, w.reopen(ctx, tx, &b, req, actor)
}

// reopen goes on with a turn-back: what it left is said anew.
func (w *Warehouse) reopen(ctx context.Context, tx pgx.Tx, b *turnback.TurnBack, req turnback.Request, actor effect.Owner) error {
	b.State, b.Driver = turnback.Open, string(actor)
	b.Request.ByPerson, b.Request.Snapshot = b.Request.ByPerson || req.ByPerson, b.Request.Snapshot || req.Snapshot
	if err := w.ledger.ReopenTurnBack(ctx, tx, *b); err != nil {
		return err
	}
	return w.ledger.ForgetLeft(ctx, tx, b.Tenure.Number)
}

// held finds which owner a workflow was that cannot speak, where it has stopped in the middle of a change.
func (w *Warehouse) held(ctx context.Context, q catalog.Querier, req *turnback.Request) error {
	if req.Workflow == "" {
		return nil
	}
	owner, err := w.half(ctx, q, req.Pipeline, req.Workflow)
	if owner != "" {
		req.Owner = owner
	}
	return err
}

// others says what a request comes to where the open turn-back is about something else.
func (w *Warehouse) others(ctx context.Context, tx pgx.Tx, open turnback.TurnBack, req turnback.Request, different error) (turnback.TurnBack, bool, error) {
	b, stopped, err := w.stoppedBy(ctx, tx, open, req)
	if err == nil && !stopped {
		return open, false, different
	}
	return b, false, err
}

// stoppedBy says whether the workflow that a request is about was stopped here while somebody else's turn-back is open. What it did goes
// back with the whole pipeline; where a single partition goes back, that comes first. Where it has changed nothing there is nothing to
// wait for, and the turn-back is empty.
func (w *Warehouse) stoppedBy(ctx context.Context, q catalog.Querier, open turnback.TurnBack, req turnback.Request) (b turnback.TurnBack, stopped bool, err error) {
	if req.Owner == "" {
		return b, false, nil
	}
	why, err := w.ledger.Fenced(ctx, q, req.Owner)
	if err != nil || why == "" {
		return b, false, err
	}
	var changed bool
	if open.Request.Single() {
		_, changed, err = w.planTurnBack(ctx, q, req)
	} else {
		changed, err = w.ledger.Swapped(ctx, q, req.Owner)
	}
	if changed {
		b = open
	}
	return b, true, err
}

// fence stops workflows, and takes them out of the crossing and of the spans that they build again.
func (w *Warehouse) fence(ctx context.Context, tx pgx.Tx, pipeline, why string, owners []string) error {
	for _, o := range owners {
		if err := w.ledger.LeaveCrossing(ctx, tx, pipeline, o); err != nil {
			return err
		}
	}
	if err := w.ledger.EndBackfills(ctx, tx, owners...); err != nil {
		return err
	}
	return w.ledger.Fence(ctx, tx, why, owners...)
}

// PreviewTurnBack is the turn-back that a request would open, or has opened. It changes nothing.
func (w *Warehouse) PreviewTurnBack(ctx context.Context, req turnback.Request) (b turnback.TurnBack, ok bool, err error) {
	err = pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		if b, ok, err = w.ledger.OpenTurnBack(ctx, tx, req.Pipeline); err != nil {
			return err
		}
		if ok {
			if resumes(b, req) == nil {
				b.Request.Snapshot = b.Request.Snapshot || req.Snapshot
				return nil
			}
			others, stopped, err := w.stoppedBy(ctx, tx, b, req)
			if stopped {
				b, ok = others, false
			}
			return err
		}
		if b, ok, err = w.planTurnBack(ctx, tx, req); err != nil || !ok {
			return err
		}
		would, err := w.underWay(ctx, tx, b, "")
		if err == nil {
			b.Stopped, err = w.tellable(ctx, tx, req, would)
		}
		return err
	})
	return b, ok, postgres.Classify("look at turn-back of", req.Pipeline, err)
}

// resumes refuses a request that is about something else than the open turn-back.
func resumes(open turnback.TurnBack, req turnback.Request) error {
	if req.Resume {
		return nil
	}
	have := open.Request
	same := have.Output == req.Output && have.Partition == req.Partition
	if req.Workflow != "" {
		same = same && effect.Owner(have.Owner).Workflow() == req.Workflow
	} else {
		same = same && have.Owner == req.Owner
	}
	if req.Single() {
		same = same && (req.To == turnback.Nothing) == (have.Generation == 0) && (req.Generation == 0 || req.Generation == have.Generation)
	}
	switch {
	case !same || req.To == "" || req.Single():
	case req.To == turnback.Nothing:
		same = open.Tenure.None()
	default:
		_, err := turnback.Choose([]release.Tenure{open.Tenure}, open.Tenure.Number, req.To)
		same = err == nil || req.To == fmt.Sprint(open.Target)
	}
	if same {
		return nil
	}
	what := "to " + open.Tenure.Release.String()
	if have.Owner != "" {
		what = "of " + effect.Owner(have.Owner).Workflow()
	}
	return fault.Newf(fault.Conflict, "turn back", req.Pipeline, "finish that one first: drawbridge rollback "+req.Pipeline+" --env ENV --resume",
		fmt.Sprintf("another turn-back is open here, %s, since tenure %d", what, open.Tenure.Number))
}

// planTurnBack finds the target of a request. ok is false where a workflow has changed nothing that readers see.
func (w *Warehouse) planTurnBack(ctx context.Context, q catalog.Querier, req turnback.Request) (turnback.TurnBack, bool, error) {
	b := turnback.TurnBack{Request: req, State: turnback.Open}
	if err := w.beforeLegacy(ctx, q, req); err != nil {
		return b, false, err
	}
	active, err := w.ledger.Active(ctx, q, req.Pipeline)
	if err != nil {
		return b, false, err
	}
	tenures, err := w.ledger.Tenures(ctx, q, req.Pipeline)
	if err != nil {
		return b, false, err
	}
	b.From = active
	to := active
	switch {
	case req.Workflow != "" && req.Owner == "":
		return b, false, nil
	case req.Output != "" && req.To == turnback.Nothing:
		return b, false, fault.Newf(fault.Refused, "roll back", string(req.Partition), "leave --output out: --partition "+string(req.Partition)+" --to "+turnback.Nothing,
			"the outputs of a partition are taken away together")
	case req.Whole() && req.To == turnback.Nothing:
		if err := w.there(ctx, q, req); err != nil {
			return b, false, err
		}
	case req.Single():
		// Fixed here: asked again after it was done, the last good one would be another.
		if b.Request.Generation, err = w.lastGood(ctx, q, b); err != nil {
			return b, false, err
		}
		if g, err := w.ledger.Generation(ctx, q, b.Request.Generation); err != nil {
			return b, false, err
		} else if err := w.cutAlike(ctx, q, "roll back", req.Pipeline, map[string][]partition.Scheme{g.Output: {g.Scheme}}); err != nil {
			return b, false, err
		}
	case req.Owner != "":
		swapped, err := w.ledger.Swapped(ctx, q, req.Owner)
		if err != nil {
			return b, false, err
		}
		brought := origin(tenures, active)
		mine := brought.Owner == req.Owner && brought.Kind != release.ByTurnBack
		if !swapped && !mine {
			return b, false, nil
		}
		if !mine && !effect.IsBackfill(effect.Owner(req.Owner).Workflow()) {
			// Whoever turned the pipeline back since has decided about all of it: what is live is by that decision.
			if over, err := w.ledger.TurnedOver(ctx, q, req.Pipeline, req.Owner); err != nil || over {
				return b, false, err
			}
		}
		if mine {
			to = before(tenures, brought.Number)
		}
	default:
		if to, err = w.choose(ctx, q, tenures, active, req); err != nil {
			return b, false, err
		}
		if turnback.Forward(tenures, active.Number, to.Number) {
			if err := w.letIn(ctx, q, req, to); err != nil {
				return b, false, err
			}
		}
		b.Target = to.Number
	}
	if to.Number != active.Number { // what stays active is cut as what is live
		if err := w.wayBack(ctx, q, req.Pipeline, to); err != nil {
			return b, false, err
		}
		if err := w.givesBack(ctx, q, req.Pipeline, to); err != nil {
			return b, false, err
		}
	}
	b.Tenure = release.Tenure{Release: to.Release, Config: to.Config, Kind: release.ByTurnBack, By: req.By, Reason: req.Reason, Back: to.Number}
	b.Tenure.Release.Pipeline = req.Pipeline
	return b, true, nil
}

// letIn holds what goes forward, to a release that was turned back, to what a change is held to: no hold stands, and no approval is
// wanted.
func (w *Warehouse) letIn(ctx context.Context, q catalog.Querier, req turnback.Request, to release.Tenure) error {
	refuse := func(hint, reason string) error {
		return fault.Newf(fault.Refused, "roll back", "to "+to.Release.String(), hint, "it was turned back here, so to go there again is a change: "+reason)
	}
	hold, err := w.ledger.Standing(ctx, q)
	switch {
	case err != nil:
		return err
	case hold.ID != 0:
		return refuse("wait, or release the hold: drawbridge release-hold --env ENV", fmt.Sprintf("nothing is published on hold, %s (set by %s)", hold.Reason, hold.By))
	case req.Guarded:
		return refuse("deploy it: drawbridge deploy "+to.Release.String()+" --to ENV", "the environment wants an approval, and a rollback asks for none")
	}
	return nil
}

// choose finds the tenure that a person wants to go back to. The same command after a turn-back that ended as stuck takes up
// what that left.
func (w *Warehouse) choose(ctx context.Context, q catalog.Querier, tenures []release.Tenure, active release.Tenure, req turnback.Request) (release.Tenure, error) {
	to, refused := turnback.Choose(tenures, active.Number, req.To)
	if refused == nil || req.To != "" {
		return to, refused
	}
	last, ok, err := w.ledger.TurnBack(ctx, q, active.Number)
	if err != nil {
		return to, err
	}
	if ok && last.State == turnback.Stuck && !last.Request.Single() && active.Back != 0 {
		return w.ledger.Tenure(ctx, q, active.Back)
	}
	return to, refused
}

// origin is the tenure that brought what is active: turn-backs of single partitions leave it as it is.
func origin(tenures []release.Tenure, active release.Tenure) release.Tenure {
	for active.Kind == release.ByTurnBack {
		i := slices.IndexFunc(tenures, func(t release.Tenure) bool { return t.Number == active.Back })
		if i < 0 || !tenures[i].Same(active) {
			break
		}
		active = tenures[i]
	}
	return active
}

// before is the tenure that was active before another; of no release where none was.
func before(tenures []release.Tenure, number int64) release.Tenure {
	var last release.Tenure
	for _, t := range tenures {
		if t.Activated && t.Number < number {
			last = t
		}
	}
	return last
}

func (w *Warehouse) enterTurnBack(ctx context.Context, tx pgx.Tx, b *turnback.TurnBack, actor effect.Owner) error {
	pipeline := b.Request.Pipeline
	b.Tenure.Owner, b.Driver = string(actor), string(actor)
	if err := w.ledger.ReserveTenure(ctx, tx, &b.Tenure); err != nil {
		return err
	}
	if err := w.ledger.EnterTurnBack(ctx, tx, *b); err != nil {
		return err
	}
	if b.Tenure.Back != b.From.Number { // another release: until the switch it may be one of before a migration
		if err := w.ledger.GiveAsBefore(ctx, tx, pipeline); err != nil {
			return err
		}
	}
	var turned []string
	if b.Request.Owner != "" { // the actor, where it turns itself back
		turned = append(turned, b.Request.Owner)
	}
	why := fmt.Sprintf("%s turned it back under tenure %d", actor.Workflow(), b.Tenure.Number)
	if err := w.stop(ctx, tx, b, actor, why, turned...); err != nil {
		return err
	}
	return w.ledger.Activate(ctx, tx, pipeline, b.Tenure.Number)
}

// stop fences some workflows and whatever else is under way for the pipeline, and notes those that have to be told.
func (w *Warehouse) stop(ctx context.Context, tx pgx.Tx, b *turnback.TurnBack, actor effect.Owner, why string, owners ...string) error {
	others, err := w.underWay(ctx, tx, *b, actor)
	if err != nil {
		return err
	}
	if b.Stopped, err = w.tellable(ctx, tx, b.Request, others); err != nil {
		return err
	}
	return w.fence(ctx, tx, b.Request.Pipeline, why, append(owners, others...))
}

// tellable are those of the workflows that a turn-back stops which have to be told. Who watches sees it by itself, and who cannot
// speak hears nothing.
func (w *Warehouse) tellable(ctx context.Context, q catalog.Querier, req turnback.Request, stopped []string) ([]effect.Owner, error) {
	var told []effect.Owner
	for _, o := range stopped {
		watches, err := w.ledger.Watches(ctx, q, req.Pipeline, o)
		if err != nil {
			return nil, err
		}
		if owner := effect.Owner(o); !watches && (req.Workflow == "" || owner.Workflow() != req.Workflow) {
			told = append(told, owner)
		}
	}
	return told, nil
}

// underWay are the workflows with something under way for the pipeline, but for who turns back. Where one partition goes back the
// release stays: who brought it here, and crosses no more, goes on watching it.
func (w *Warehouse) underWay(ctx context.Context, q catalog.Querier, b turnback.TurnBack, actor effect.Owner) ([]string, error) {
	open, err := w.ledger.OpenOwners(ctx, q, b.Request.Pipeline)
	if err != nil {
		return nil, err
	}
	var watching string
	if b.Request.Single() {
		tenures, err := w.ledger.Tenures(ctx, q, b.Request.Pipeline)
		if err != nil {
			return nil, err
		}
		crossing, err := w.ledger.Crossing(ctx, q, b.Request.Pipeline)
		if err != nil {
			return nil, err
		}
		if brought := origin(tenures, b.From).Owner; brought != crossing.Owner {
			watching = brought
		}
	}
	return slices.DeleteFunc(open, func(o string) bool { return o == string(actor) || o == watching }), nil
}

// RecordLeft stores what a turn-back leaves as it is, a row each.
func (w *Warehouse) RecordLeft(ctx context.Context, tenure int64, left []turnback.LeftOver) error {
	return postgres.Classify("record what is left by turn-back", fmt.Sprint(tenure), w.ledger.RecordLeft(ctx, w.pool, tenure, left))
}

// TurnBack reads a turn-back by its tenure.
func (w *Warehouse) TurnBack(ctx context.Context, tenure int64) (turnback.TurnBack, error) {
	b, ok, err := w.ledger.TurnBack(ctx, w.pool, tenure)
	if err == nil && !ok {
		err = admission.LostError{Reason: fmt.Sprintf("it does not know the turn-back of tenure %d", tenure)}
	}
	return b, postgres.Classify("read turn-back", fmt.Sprint(tenure), err)
}

// EndTurnBack closes a turn-back: done, or stuck where something that should have gone back did not. It happens once under
// its key: one that was opened again since stays open, and is another one's to end.
func (w *Warehouse) EndTurnBack(ctx context.Context, tenure int64, state turnback.State, key effect.Key) error {
	_, err := settle(ctx, w, key, "end turn-back", func(tx pgx.Tx) (turnback.State, error) {
		if err := w.ledger.EndTurnBack(ctx, tx, tenure, state, key.Owner); err != nil {
			return "", err
		}
		b, _, err := w.ledger.TurnBack(ctx, tx, tenure)
		if err != nil {
			return "", err
		}
		return state, b.DrivenBy(key.Owner)
	})
	return postgres.Classify("end turn-back", fmt.Sprint(tenure), err)
}

// Ended reads the state in which a turn-back was closed under a key; empty: it was not.
func (w *Warehouse) Ended(ctx context.Context, key effect.Key) (turnback.State, error) {
	out, _, err := postgres.Done[postgres.Settled[turnback.State]](ctx, w.pool, w.ledger, key.String())
	return out.Value, postgres.Classify("look for", key.String(), err)
}

// LeftAt are the outputs that a turn-back could not turn back in some partitions, and has said so.
func (w *Warehouse) LeftAt(ctx context.Context, tenure int64, keys []partition.Key) (map[generation.Item]bool, error) {
	left, err := w.ledger.LeftAt(ctx, w.pool, tenure, keys)
	return left, postgres.Classify("read what is left by turn-back", fmt.Sprint(tenure), err)
}

// Left counts what a turn-back leaves, and reads the first of it.
func (w *Warehouse) Left(ctx context.Context, tenure int64, limit int) (stuck, left int, first []turnback.LeftOver, err error) {
	stuck, left, first, err = w.ledger.Left(ctx, w.pool, tenure, limit)
	return stuck, left, first, postgres.Classify("read what is left by turn-back", fmt.Sprint(tenure), err)
}
