package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/generation"

	"github.com/jackc/pgx/v5"
)

const (
	// TopRung is the longest rung: readers queue behind a waiting ACCESS EXCLUSIVE for at most one rung.
	TopRung   = 500 * time.Millisecond
	firstRung = 50 * time.Millisecond
	// autovacuumYields is added to deadlock_timeout: only then does a waiting lock make an autovacuum give way.
	autovacuumYields = 200 * time.Millisecond
	// longHolder is how old a transaction is that no rung would outlast; trying would only stall readers.
	longHolder = 2 * time.Second
)

// Relation is a table that a change locks.
type Relation struct {
	OID  uint32
	Name string // quoted
}

func only(relations []Relation) string {
	names := make([]string, len(relations))
	for i, r := range relations {
		names[i] = "ONLY " + r.Name
	}
	return strings.Join(names, ", ")
}

// Ladder tries a change that takes locks.
type Ladder struct {
	Pool      *Pool
	Relations []uint32      // whose holders stand in the way
	Budget    time.Duration // of all rungs and the pauses between them
}

// Climb tries attempt with growing patience until it is done, fails for good, or the budget is spent; then it returns
// false and the sessions that stand in the way. Before each rung it looks for holders that no rung would outlast.
func (l Ladder) Climb(ctx context.Context, attempt func(ctx context.Context, rung time.Duration) error) (done bool, blocked []generation.Session, err error) {
	deadline := time.Now().Add(l.Budget)
	for rung := firstRung; ; rung = min(2*rung, TopRung) {
		blocked, err = l.Pool.Holders(ctx, l.Relations, longHolder)
		if err != nil {
			return false, nil, err
		}
		if len(blocked) == 0 {
			err = attempt(ctx, jitter(rung))
			if err == nil || !Contended(err) || ctx.Err() != nil {
				return err == nil, nil, err
			}
		}
		if time.Until(deadline) < rung {
			break
		}
		if err := pause(ctx, jitter(rung)); err != nil {
			return false, nil, err
		}
	}
	if len(blocked) == 0 {
		blocked, err = l.Pool.Holders(ctx, l.Relations, 0)
	}
	return false, blocked, err
}

// jitter spreads rivals that would else try in step: between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Lock takes what a change of partitions needs, so that readers never wait for anyone but us, and we never deadlock
// with them. First SHARE UPDATE EXCLUSIVE on all: it queues behind vacuums and other changes while readers pass. Then
// ACCESS EXCLUSIVE on the parents: a reader takes the parent before its children, so once we have it nobody holds a
// child and waits for us. The children last. Each group in the order of OIDs; rung bounds each statement as a whole.
func Lock(ctx context.Context, tx pgx.Tx, parents, children []Relation, rung time.Duration) error {
	for _, group := range [][]Relation{parents, children} {
		slices.SortFunc(group, func(a, b Relation) int { return cmp.Compare(a.OID, b.OID) })
	}
	all := slices.Concat(parents, children)
	if len(all) == 0 {
		return nil
	}
	if err := bound(ctx, tx, "(SELECT setting::int FROM pg_settings WHERE name = 'deadlock_timeout') + $1::int", autovacuumYields); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+only(all)+" IN SHARE UPDATE EXCLUSIVE MODE"); err != nil {
		return err
	}
	if err := Bound(ctx, tx, rung); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+only(all)+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		return err
	}
	// The DDL that follows waits for nothing: it holds every lock.
	return Bound(ctx, tx, 10*time.Second)
}

// Bound sets both timeouts of the transaction: lock_timeout bounds one lock, statement_timeout the statement.
func Bound(ctx context.Context, tx pgx.Tx, d time.Duration) error {
	return bound(ctx, tx, "$1::int", d)
}

func bound(ctx context.Context, tx pgx.Tx, milliseconds string, d time.Duration) error {
	_, err := tx.Exec(ctx, fmt.Sprintf(`
		SELECT set_config('lock_timeout', ms::text, true), set_config('statement_timeout', ms::text, true)
		FROM (SELECT %s AS ms) AS t`, milliseconds), int(d.Milliseconds()))
	return err
}
