package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/generation"
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
	Relations []uint32 // whose holders stand in the way
	Mode      Mode     // that is wanted of them: who holds what it goes along with stands in nobody's way
	// Read are tables that are only read beside them, as rows that foreign keys name are.
	Read   []uint32
	Budget time.Duration // of all rungs and the pauses between them
	// Beat is told how long the ladder has waited, every second, also within a rung.
	Beat func(waited time.Duration)
	// Longest is how long one attempt may take and still be alive: a server that says nothing for longer is lost. 0 is a minute.
	Longest time.Duration
}

// Rung is how long one attempt waits for locks.
type Rung struct {
	// Wait is for all of ACCESS EXCLUSIVE together: readers queue behind it meanwhile.
	Wait time.Duration
	// Patient lets SHARE UPDATE EXCLUSIVE, which readers pass, wait until an autovacuum yields.
	Patient bool
}

// Climb tries attempt with growing patience until it is done, fails for good, or the budget is spent; then it returns
// false and the sessions that stand in the way. Before each rung it looks for holders that no rung would outlast. When
// nobody is found in the way at the end there is one more try, so whoever is not done is told who or what to look for,
// or that they had just gone.
func (l Ladder) Climb(ctx context.Context, attempt func(ctx context.Context, rung Rung) error) (done bool, blocked []generation.Session, err error) {
	started := time.Now()
	beat := func() { l.Beat(time.Since(started)) }
	try := func(wait time.Duration) (settled bool, err error) {
		stop := Beating(beat, cmp.Or(l.Longest, longestRung))
		defer stop()
		err = attempt(ctx, Rung{Wait: jitter(wait), Patient: wait == TopRung})
		return err == nil || !Contended(err) || ctx.Err() != nil, err
	}
	for wait := firstRung; ; wait = min(2*wait, TopRung) {
		beat()
		if blocked, err = l.Pool.stalling(ctx, l.inTheWay()); err != nil {
			return false, nil, err
		}
		if len(blocked) == 0 {
			if settled, err := try(wait); settled {
				return err == nil, nil, err
			}
		}
		if time.Since(started)+wait > l.Budget {
			break
		}
		if err := Pause(ctx, jitter(wait)); err != nil {
			return false, nil, err
		}
	}
	if blocked, err = l.Pool.holders(ctx, l.inTheWay()); err != nil || len(blocked) > 0 {
		return false, blocked, err
	}
	if settled, err := try(TopRung); settled {
		return err == nil, nil, err
	}
	blocked, err = l.Pool.holders(ctx, l.inTheWay())
	return false, blocked, err
}

func (l Ladder) inTheWay() holding {
	return holding{relations: l.Relations, mode: l.Mode, read: l.Read}
}

const (
	betweenBeats = time.Second
	longestRung  = time.Minute
)

// Beating calls beat every second while something waits, from another goroutine, until stop or for longest.
func Beating(beat func(), longest time.Duration) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(betweenBeats)
		defer tick.Stop()
		for begun := time.Now(); time.Since(begun) < longest; {
			select {
			case <-done:
				return
			case <-tick.C:
				beat()
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// jitter spreads rivals that would else try in step: between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Pause waits, or ends with the context's error.
func Pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Mode is the lock that a change wants in the end, in the words of Postgres.
type Mode string

// The modes; "" is AccessExclusive.
const (
	ShareUpdateExclusive Mode = "SHARE UPDATE EXCLUSIVE" // readers and writers pass
	ShareRowExclusive    Mode = "SHARE ROW EXCLUSIVE"    // writers queue
	AccessExclusive      Mode = "ACCESS EXCLUSIVE"       // all queue
)

// conflicting are the modes, as pg_locks calls them, that a mode waits for.
func (m Mode) conflicting() string {
	switch m {
	case ShareUpdateExclusive:
		return queued
	case ShareRowExclusive:
		return queued + `, 'RowExclusiveLock'`
	default: // all of them
		return queued + `, 'RowExclusiveLock', 'RowShareLock', 'AccessShareLock'`
	}
}

// Levels are the tables that a change locks, from the top of their trees down.
type Levels struct {
	Mode     Mode
	Parents  []Relation
	Chunks   []Relation // between parents and children
	Children []Relation
}

// All are the tables in the order in which they are locked: level by level, each in the order of OIDs.
func (l Levels) All() []Relation {
	var all []Relation
	for _, level := range [][]Relation{l.Parents, l.Chunks, l.Children} {
		all = append(all, slices.SortedFunc(slices.Values(level), func(a, b Relation) int { return cmp.Compare(a.OID, b.OID) })...)
	}
	return all
}

// Lock takes what a change of partitions needs, so that readers never wait for anyone but us, and we never deadlock
// with them. First SHARE UPDATE EXCLUSIVE on all: it queues behind vacuums and other changes while readers pass. Then
// ACCESS EXCLUSIVE on the parents: a reader takes the parent before its children, so once we have it nobody holds a
// child and waits for us. What hangs in them after that, level by level. A rung bounds each statement as a whole,
// and stays below deadlock_timeout: else readers who lock two parents in another order would be killed for us.
//
// Who wants less than ACCESS EXCLUSIVE has the first, or gets that instead of it.
//
// prepare runs between the two: no other change comes in between any more, and readers do not wait yet. It has effectWait for a
// statement.
func Lock(ctx context.Context, tx pgx.Tx, levels Levels, rung Rung, prepare func() error) error {
	all := levels.All()
	if len(all) == 0 {
		return prepare()
	}
	shared, wait := "$1::int", rung.Wait
	if rung.Patient {
		shared, wait = deadlockTimeout+" + $1::int", autovacuumYields
	}
	if err := bound(ctx, tx, shared, wait); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "LOCK TABLE "+only(all)+" IN SHARE UPDATE EXCLUSIVE MODE"); err != nil {
		return err
	}
	if err := Bound(ctx, tx, effectWait); err != nil {
		return err
	}
	if err := prepare(); err != nil {
		return err
	}
	mode := cmp.Or(levels.Mode, AccessExclusive)
	if mode == ShareUpdateExclusive {
		return nil
	}
	if err := bound(ctx, tx, "least($1::int, "+deadlockTimeout+" * 4 / 5)", min(rung.Wait, TopRung)); err != nil {
		return err
	}
	// The DDL that follows holds every lock that it needs: it may take long, and waits for nobody. Sent with the lock, its
	// timeout costs the readers no journey.
	_, err := tx.Exec(ctx, "LOCK TABLE "+only(all)+" IN "+string(mode)+" MODE; SET LOCAL statement_timeout = "+Milliseconds(longestDDL))
	return err
}

const (
	deadlockTimeout = `(extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000)::int`
	longestDDL      = 10 * time.Second
)

// Milliseconds is a duration as timeouts are set.
func Milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

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
