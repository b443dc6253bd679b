package warehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

// Publish swaps generations, in one transaction, when it is admitted and nobody can be misled by it. It is idempotent on
// its key: a publish that has happened returns its recorded result, also where the connection was lost at its commit,
// because the record commits with the effect; unless its workflow was turned back since, which is fault.Conflict. The
// ticket is looked at before anything is waited for, and again in the transaction. Where a live generation is no longer
// From, nothing is done, and the result says which moved. Turning back is the same swap, with From and To exchanged. While
// it waits, beat is told how long it has waited in all for snapshots and for locks, earlier attempts included.
func (w *Warehouse) Publish(ctx context.Context, spec generation.PublishSpec, ticket admission.Ticket, beat func(snapshots, locks time.Duration)) (generation.PublishResult, error) {
	p := &publication{w: w, spec: spec, ticket: ticket}
	result, err := p.publish(ctx, beat)
	if moved, ok := errors.AsType[movedError](err); ok {
		return generation.PublishResult{WaitingFor: generation.ForOthers, Moved: moved.swaps}, nil
	}
	if held, ok := errors.AsType[admission.HeldError](err); ok {
		return generation.PublishResult{WaitingFor: generation.ForHold, Why: held.Reason}, nil
	}
	if lapsed, ok := errors.AsType[admission.LapsedError](err); ok {
		return generation.PublishResult{WaitingFor: generation.ForApproval, Why: lapsed.Reason()}, nil
	}
	return result, postgres.Classify("publish", p.object(), err)
}

func (p *publication) publish(ctx context.Context, beat func(snapshots, locks time.Duration)) (generation.PublishResult, error) {
	none := generation.PublishResult{}
	result, done, err := p.w.Published(ctx, p.spec.Key, p.ticket.Question.TurnBack)
	if err != nil || done {
		return result, err
	}
	if err := p.w.Admit(ctx, p.ticket); err != nil {
		return none, err
	}
	if err := p.read(ctx); err != nil {
		return none, err
	}
	if err := p.listen(ctx); err != nil {
		return none, err
	}
	stop := postgres.Beating(func() { beat(p.spec.WaitedSnapshots, p.spec.WaitedLocks) }, longestKeys)
	err = p.keysAcross(ctx, p.w.pool)
	stop()
	if err != nil {
		return none, err
	}
	snapshots := p.spec.WaitedSnapshots
	old, err := p.awaitReaders(ctx, p.spec.SnapshotWait-snapshots, func(waited time.Duration) {
		snapshots = p.spec.WaitedSnapshots + waited
		beat(snapshots, p.spec.WaitedLocks)
	})
	if err != nil {
		return none, err
	}
	if len(old) > 0 && !p.spec.IgnoreSnapshots && !p.word.Proceed {
		return heldUp(generation.ForSnapshots, old), nil
	}
	if err := p.terminateHolders(ctx); err != nil {
		return none, err
	}
	done, blocked, err := p.settle(ctx, func(waited time.Duration) { beat(snapshots, p.spec.WaitedLocks+waited) })
	if err != nil {
		return none, err
	}
	if !done {
		return heldUp(generation.ForLocks, blocked), nil
	}
	done, blocked, err = p.assemble(ctx, func(waited time.Duration) { beat(snapshots, p.spec.WaitedLocks+waited) })
	if err != nil {
		return none, err
	}
	if !done {
		return heldUp(generation.ForLocks, blocked), nil
	}
	relations, err := p.relations(ctx)
	if err != nil {
		return none, err
	}
	ladder := postgres.Ladder{
		Pool: p.w.pool, Relations: relations, Budget: p.spec.LockBudget - p.spec.WaitedLocks,
		Beat: func(waited time.Duration) { beat(snapshots, p.spec.WaitedLocks+waited) },
	}
	done, blocked, err = ladder.Climb(ctx, func(ctx context.Context, rung postgres.Rung) error {
		var err error
		result, err = p.attempt(ctx, rung)
		return err
	})
	if err != nil {
		return none, cmp.Or(p.referred(ctx, err), p.repeated(ctx, err), err)
	}
	if !done {
		return heldUp(generation.ForLocks, blocked), nil
	}
	return result, nil
}

// heldUp is the result of a publish that waited in vain.
func heldUp(waitingFor string, sessions []generation.Session) generation.PublishResult {
	named, more := generation.Named(sessions)
	return generation.PublishResult{Blocked: named, More: more, WaitingFor: waitingFor}
}

// Published reads the recorded result of a publish that has happened under a key. What a stopped workflow has published is never
// taken for done, unless it turns back.
func (w *Warehouse) Published(ctx context.Context, key effect.Key, turnBack bool) (generation.PublishResult, bool, error) {
	result, done, err := postgres.Done[generation.PublishResult](ctx, w.pool, w.ledger, key.String())
	if err != nil || !done || turnBack {
		return result, done, postgres.Classify("publish", key.Step, err)
	}
	why, err := w.ledger.Fenced(ctx, w.pool, string(key.Owner))
	if err == nil && why != "" {
		err = fault.Newf(fault.Conflict, "publish", key.Step, "start a new deployment or run: its effects have keys of their own",
			"it has happened, and its workflow was stopped since: "+why)
	}
	return result, true, postgres.Classify("publish", key.Step, err)
}

// Admit takes the first look at a ticket: what is refused now needs to wait for nothing.
func (w *Warehouse) Admit(ctx context.Context, ticket admission.Ticket) error {
	facts, err := w.ledger.Facts(ctx, w.pool, ticket.Question)
	if err != nil {
		return postgres.Classify("look at", ticket.Question.Release.String(), err)
	}
	return ticket.Decide(facts)
}

// admit takes the second look, in the effect's own transaction. Nobody fences the pipeline until that ends.
func (w *Warehouse) admit(ctx context.Context, tx pgx.Tx, ticket admission.Ticket) error {
	facts, shared, err := w.ledger.FactsToStay(ctx, tx, ticket.Question)
	if err != nil {
		return err
	}
	if !shared {
		return postgres.ErrContended // somebody turns it back right now: the next attempt sees what became of it
	}
	return ticket.Decide(facts)
}

func (p *publication) swaps() []generation.Swap { return p.ticket.Question.Swaps }

func (p *publication) object() string {
	switch swaps := p.swaps(); len(swaps) {
	case 0:
		return p.ticket.Question.Release.String()
	case 1:
		return swaps[0].Output + " " + string(swaps[0].Partition)
	default:
		return fmt.Sprintf("%d partitions", len(swaps))
	}
}

func (p *publication) kind() catalog.SwapKind {
	if p.ticket.Question.TurnBack {
		return catalog.TurnBack
	}
	return catalog.Publish
}

// relations are what the swap locks: parents, children, and the chunks and shadows between them, also those that stand aside.
func (p *publication) relations(ctx context.Context) ([]uint32, error) {
	var oids []uint32
	for _, found := range p.parents {
		oids = append(oids, found.OID)
	}
	for _, g := range p.generations {
		oids = append(oids, g.Child)
	}
	rows, err := p.w.pool.Query(ctx, `SELECT unnest($1::oid[]) UNION SELECT inhparent FROM pg_inherits WHERE inhrelid = ANY($1)`, oids)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uint32])
}

// attempt is one try of the transaction. The ledger is written first and the tables last, so that readers are kept out
// for the DDL and the commit only. The second look comes when no other change can come in between: what it sees stays so
// while readers are waited for, which takes at most postgres.TopRung.
func (p *publication) attempt(ctx context.Context, rung postgres.Rung) (generation.PublishResult, error) {
	effect := postgres.Effect{Key: p.spec.Key.String(), Kind: string(p.kind()), Application: p.spec.Application}
	return postgres.Once(ctx, p.w.pool, p.w.ledger, effect, func(tx pgx.Tx) (generation.PublishResult, error) {
		none := generation.PublishResult{}
		if err := p.compareAndSwap(ctx, tx); err != nil {
			return none, err
		}
		plan, err := p.plan(ctx, tx)
		if err != nil {
			return none, err
		}
		var ddl string
		var started time.Time
		if err := postgres.Lock(ctx, tx, plan.levels, rung, func() error {
			if err := p.stands(ctx, tx, plan); err != nil {
				return err
			}
			if err := p.w.admit(ctx, tx, p.ticket); err != nil {
				return err
			}
			if err := p.cutAlike(ctx, tx); err != nil {
				return err
			}
			if err := p.keysAcross(ctx, tx); err != nil {
				return err
			}
			err := p.record(ctx, tx)
			if err == nil {
				ddl, err = p.render(ctx, tx, plan)
			}
			started = time.Now()
			return err
		}); err != nil {
			return none, err
		}
		locked := time.Now()
		if ddl != "" {
			if _, err := tx.Conn().PgConn().Exec(ctx, ddl).ReadAll(); err != nil {
				return none, err
			}
		}
		return generation.PublishResult{
			Done: true, Swapped: len(p.swaps()), HoldMS: milliseconds(time.Since(started)), SwapMS: milliseconds(time.Since(locked)),
			ExpectedMS: milliseconds(plan.expected),
		}, nil
	})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// record writes what changes into the ledger, and makes the tenure the active one where that is asked for.
func (p *publication) record(ctx context.Context, tx pgx.Tx) error {
	q := p.ticket.Question
	return p.w.ledger.Record(ctx, tx, catalog.Change{
		Pipeline: q.Release.Pipeline, Outputs: q.Tables(), Tenure: q.Tenure, Activate: p.spec.Activate,
		Key: p.spec.Key, Kind: p.kind(), By: p.spec.By, Reason: p.spec.Reason,
	}, p.swaps())
}

// compareAndSwap locks the ledger's rows, if what is live is still what the caller saw and the new generations are
// unchanged.
func (p *publication) compareAndSwap(ctx context.Context, tx pgx.Tx) error {
	live, err := p.w.ledger.LockLive(ctx, tx, p.swaps())
	if err != nil {
		return err
	}
	var to []int64
	var moved []generation.Swap
	for _, s := range p.swaps() {
		if live[catalog.Slot{Output: s.Output, Partition: s.Partition}].Generation != s.From {
			moved = append(moved, s)
		}
		if s.To != 0 {
			to = append(to, s.To)
		}
	}
	if len(moved) > 0 {
		return movedError{moved}
	}
	locked, err := p.w.ledger.LockGenerations(ctx, tx, to)
	if err != nil {
		return err
	}
	for id, g := range locked {
		if was := p.generations[id]; g.State != was.State || g.Child != was.Child || g.Shadow != was.Shadow {
			return fault.Newf(fault.Conflict, "publish", fmt.Sprintf("generation %d of %s %s", id, g.Output, g.Partition),
				"plan again; what is live: drawbridge history PIPELINE --env ENV", fmt.Sprintf("it was %s and is %s now", was.State, g.State))
		}
	}
	return nil
}

// movedError says that partitions show another generation than the caller saw.
type movedError struct{ swaps []generation.Swap }

func (e movedError) Error() string { return fmt.Sprintf("%d partitions have moved", len(e.swaps)) }
