package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
)

// PublishSpec says what goes live instead of what, all in one transaction.
type PublishSpec struct {
	Key         string // of the effect
	Swaps       []generation.Swap
	Release     release.Release // on whose behalf, for errors and logs
	Application string
	// TurnBack says that the swaps go back to what was live before; checks then never take what they replace for history.
	TurnBack bool
	// Accepted says that a person accepted generations whose audit was inconclusive.
	Accepted     bool
	LockBudget   time.Duration
	SnapshotWait time.Duration
	// IgnoreSnapshots goes on although older snapshots would see the new children as empty.
	IgnoreSnapshots bool
	// Terminate ends these sessions, those of them that still hold up the publish in the transaction that was seen.
	Terminate []generation.Session
	// WaitedSnapshots and WaitedLocks are what earlier attempts of this publish have spent of its budgets.
	WaitedSnapshots time.Duration
	WaitedLocks     time.Duration
}

// PublishResult is what became of a publish. While Done is false nothing has changed: a person decides, by the sessions
// that hold it up, whether to try again.
type PublishResult struct {
	Done       bool                 `json:"done"`
	Swapped    int                  `json:"swapped"`
	Blocked    []generation.Session `json:"blocked,omitempty"`
	WaitingFor string               `json:"waiting_for,omitempty"` // snapshots or locks, when not done
	HoldMS     float64              `json:"hold_ms,omitempty"`     // how long readers were kept out, but for the commit
}

// Publish swaps generations, in one transaction, when nobody can be misled by it. It is idempotent on Key: a publish
// that has happened returns its recorded result, also where the connection was lost at its commit, because the record
// commits with the effect. A live generation that is no longer From is fault.Conflict, and so is every publish of a
// fenced workflow. A rollback is the same swap, with From and To exchanged. While it waits, beat is told how long it has
// waited in all for snapshots and for locks, earlier attempts included.
func (w *Warehouse) Publish(ctx context.Context, spec PublishSpec, beat func(snapshots, locks time.Duration)) (PublishResult, error) {
	object := spec.object()
	result, done, err := postgres.Done[PublishResult](ctx, w.pool, w.ledger, spec.Key)
	if err != nil || done {
		return result, postgres.Classify("publish", object, err)
	}
	p := &publication{w: w, spec: spec}
	if err := p.read(ctx); err != nil {
		return PublishResult{}, postgres.Classify("publish", object, err)
	}
	snapshots := spec.WaitedSnapshots
	old, err := p.awaitReaders(ctx, spec.SnapshotWait-spec.WaitedSnapshots, func(waited time.Duration) {
		snapshots = spec.WaitedSnapshots + waited
		beat(snapshots, spec.WaitedLocks)
	})
	if err != nil {
		return PublishResult{}, postgres.Classify("publish", object, err)
	}
	if len(old) > 0 && !spec.IgnoreSnapshots {
		return PublishResult{Blocked: old, WaitingFor: "snapshots"}, nil
	}
	if err := p.terminateHolders(ctx); err != nil {
		return PublishResult{}, postgres.Classify("publish", object, err)
	}
	ladder := postgres.Ladder{
		Pool: w.pool, Relations: p.relations(), Budget: spec.LockBudget - spec.WaitedLocks,
		Beat: func(waited time.Duration) { beat(snapshots, spec.WaitedLocks+waited) },
	}
	done, blocked, err := ladder.Climb(ctx, func(ctx context.Context, rung postgres.Rung) error {
		var err error
		result, err = p.attempt(ctx, rung)
		return err
	})
	if err != nil {
		return PublishResult{}, postgres.Classify("publish", object, err)
	}
	if !done {
		return PublishResult{Blocked: blocked, WaitingFor: "locks"}, nil
	}
	return result, nil
}

func (s PublishSpec) object() string {
	if len(s.Swaps) == 1 {
		return s.Swaps[0].Output + " " + string(s.Swaps[0].Partition)
	}
	return fmt.Sprintf("%d partitions", len(s.Swaps))
}

func (s PublishSpec) kind() catalog.SwapKind {
	if s.TurnBack {
		return catalog.Rollback
	}
	return catalog.Publish
}

// relations are what the swap locks: parents, and children that readers know.
func (p *publication) relations() []uint32 {
	var oids []uint32
	for _, found := range p.parents {
		oids = append(oids, found.OID)
	}
	for _, g := range p.generations {
		oids = append(oids, g.Child)
	}
	return oids
}

// attempt is one try of the transaction. The ledger is written first and the tables last, so that readers are kept out
// for the DDL and the commit only. Fences are looked at again: one may have come since the first look.
func (p *publication) attempt(ctx context.Context, rung postgres.Rung) (PublishResult, error) {
	effect := postgres.Effect{Key: p.spec.Key, Kind: string(p.spec.kind()), Application: p.spec.Application}
	return postgres.Once(ctx, p.w.pool, p.w.ledger, effect, func(tx pgx.Tx) (PublishResult, error) {
		if err := p.compareAndSwap(ctx, tx); err != nil {
			return PublishResult{}, err
		}
		ddl, parents, children, err := p.ddl(ctx, tx)
		if err != nil {
			return PublishResult{}, err
		}
		started := time.Now()
		if err := postgres.Lock(ctx, tx, parents, children, rung); err != nil {
			return PublishResult{}, err
		}
		if len(ddl) > 0 {
			if _, err := tx.Conn().PgConn().Exec(ctx, strings.Join(ddl, ";\n")).ReadAll(); err != nil {
				return PublishResult{}, err
			}
		}
		hold := float64(time.Since(started).Microseconds()) / 1000
		return PublishResult{Done: true, Swapped: len(p.spec.Swaps), HoldMS: hold}, nil
	})
}

// compareAndSwap writes the ledger, if what is live is still what the caller saw and the new generations are unchanged.
func (p *publication) compareAndSwap(ctx context.Context, tx pgx.Tx) error {
	live, err := p.w.ledger.LockLive(ctx, tx, p.spec.Swaps)
	if err != nil {
		return err
	}
	var to []int64
	for _, s := range p.spec.Swaps {
		if now := live[s.Partition][s.Output]; now != s.From {
			return p.moved(ctx, tx, s, now)
		}
		if s.To != 0 {
			to = append(to, s.To)
		}
	}
	locked, err := p.w.ledger.LockGenerations(ctx, tx, to)
	if err != nil {
		return err
	}
	for id, g := range locked {
		if was := p.generations[id]; g.State != was.State || g.Child != was.Child || g.Shadow != was.Shadow {
			return fault.Newf(fault.Conflict, "publish", fmt.Sprintf("generation %d of %s %s", id, g.Output, g.Partition),
				"plan again: drawbridge status shows what is live", fmt.Sprintf("it was %s and is %s now", was.State, g.State))
		}
	}
	return p.w.ledger.RecordSwaps(ctx, tx, p.spec.Key, p.spec.kind(), p.spec.Swaps)
}

// moved is the conflict of a partition whose live generation is another than the caller saw.
func (p *publication) moved(ctx context.Context, tx pgx.Tx, s generation.Swap, now int64) error {
	reason := "nothing is live there any more"
	if now != 0 {
		g, err := p.w.ledger.Generation(ctx, tx, now)
		if err != nil {
			return err
		}
		reason = fmt.Sprintf("generation %d of %s %s is live now", now, g.Pipeline, g.Version)
	}
	return fault.Newf(fault.Conflict, "publish", s.Output+" "+string(s.Partition), "plan again, or run the partition again",
		fmt.Sprintf("%s, where generation %d was when this began", reason, s.From))
}

// ddl renders the swap, after it has checked each child in a time that does not depend on its size.
func (p *publication) ddl(ctx context.Context, tx pgx.Tx) (statements []string, parents, children []postgres.Relation, err error) {
	var ids []int64
	for id := range p.generations {
		ids = append(ids, id)
	}
	found, err := p.w.children(ctx, tx, ids)
	if err != nil {
		return nil, nil, nil, err
	}
	for output, f := range p.parents {
		parents = append(parents, postgres.Relation{OID: f.OID, Name: p.w.names.parent(output)})
	}
	for _, t := range p.shadows {
		parents = append(parents, t)
	}
	var detach, attach []string
	for _, s := range p.spec.Swaps {
		parentName := p.w.names.parent(s.Output)
		if s.From != 0 {
			child := p.w.names.child(s.From)
			if f := found[s.From]; f.OID != p.generations[s.From].Child || f.Parent != p.parents[s.Output].OID {
				return nil, nil, nil, fault.Newf(fault.Conflict, "publish", s.Output+" "+string(s.Partition),
					"somebody swapped by hand: attach it again, or drawbridge adopt",
					fmt.Sprintf("%s is live in the ledger, and not attached to the table", child))
			}
			children = append(children, postgres.Relation{OID: found[s.From].OID, Name: child})
			detach = append(detach, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", parentName, child))
		}
		if s.To != 0 {
			more, err := p.attach(s, p.generations[s.To], found[s.To])
			if err != nil {
				return nil, nil, nil, err
			}
			children = append(children, postgres.Relation{OID: found[s.To].OID, Name: p.w.names.child(s.To)})
			attach = append(attach, more...)
		}
	}
	return slices.Concat(detach, attach), parents, children, nil
}

// attach renders what makes one child live.
func (p *publication) attach(s generation.Swap, g catalog.Generation, found child) ([]string, error) {
	name, parentName := p.w.names.child(g.ID), p.w.names.parent(s.Output)
	shadowName := p.w.names.shadowParent(g.Output, g.Shadow)
	shadowOID := p.shadows[shadowName].OID
	if g.State != generation.Shadow {
		shadowOID = 0
	}
	if err := found.trusted(g, shadowOID); err != nil {
		return nil, err
	}
	missing, err := found.missing(g, p.parents[s.Output].Columns)
	if err != nil {
		return nil, err
	}
	var statements []string
	if shadowOID != 0 {
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", shadowName, name))
	}
	for _, c := range missing {
		statements = append(statements, fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", name, postgres.Ident(c.Name), c.Type))
	}
	return append(statements, fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s", parentName, name, forValues(g))), nil
}
