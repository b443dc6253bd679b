// Package cutover says what it costs readers that many partitions change in one transaction, and into how many transactions a
// change is cut where that is more than they may wait for, or than the server's lock table holds. It is pure.
package cutover

import (
	"maps"
	"time"

	"drawbridge/internal/partition"
)

// Mode is how what is built becomes visible.
type Mode string

// The modes. Each is Steps in the words of a backfill: partition by partition.
const (
	One   Mode = "one"
	Steps Mode = "steps"
	Each  Mode = "each"
)

// A command that attaches or detaches a partition looks at all that are attached beside it, which grow fewer while old ones are
// detached, and more while new ones are attached: half of what changes is beside it. In a chunk it has the chunk's limits to prove
// as well. A chunk that changes as a whole is one command each way, and all that hang in it prove its limits. Postgres reads every
// constraint of the database at each attaching, and a partition has one at least. Measured on two cores.
const (
	each    = 170 * time.Microsecond
	deeper  = 130 * time.Microsecond
	beside  = 3700 * time.Nanosecond
	subtree = 100 * time.Microsecond
	within  = 25 * time.Microsecond
	page    = 2850 * time.Nanosecond
)

// Table is a table before a change.
type Table struct {
	Scheme  partition.Scheme
	Indexes int // of each partition
	// Attached counts the partitions of each chunk; those of a table that has none are under an empty name.
	Attached map[string]int
}

// NewTable is a table of which some partitions are live.
func NewTable(scheme partition.Scheme, indexes int, live []partition.Key) Table {
	t := Table{Scheme: scheme, Indexes: indexes, Attached: map[string]int{}}
	for _, key := range live {
		t.Attached[t.chunk(key)]++
	}
	return t
}

// chunk is where a partition hangs: in the table itself, where others do already.
func (t Table) chunk(key partition.Key) string {
	if t.Attached[""] > 0 {
		return ""
	}
	return t.Scheme.Chunk(key)
}

// Swaps counts partitions that hang beside one another: Replaced ones are detached and others attached in their place, Added ones are
// attached only, Removed ones detached only.
type Swaps struct {
	Replaced int
	Added    int
	Removed  int
}

// Change is what one transaction does to partitions that hang beside one another.
type Change struct {
	Chunk    bool // they hang in a chunk of a table, and not in the table itself
	Attached int
	Indexes  int
	Swaps
}

// Whole says that everything in a chunk changes, so that the chunk as a whole can: what replaces it is put together before.
func (c Change) Whole() bool {
	return c.Chunk && c.Attached == c.Replaced+c.Removed && (c.Attached == 0 || c.Replaced+c.Added != 1)
}

// hold is how long the table is locked for the commands, where a command that attaches has so many pages of constraints to read.
func (c Change) hold(pages int64) time.Duration {
	attaching := time.Duration(pages) * page
	if c.Whole() {
		sum := within * time.Duration(2*c.Replaced+c.Removed+c.Added)
		if c.Attached > 0 {
			sum += subtree
		}
		if c.Replaced+c.Added > 0 {
			sum += subtree + attaching
		}
		return sum
	}
	command := func(attached int) time.Duration {
		cost := each + beside*time.Duration(max(0, attached))
		if c.Chunk {
			cost += deeper
		}
		return cost
	}
	return time.Duration(2*c.Replaced)*command(c.Attached-c.Replaced/2) + time.Duration(c.Replaced+c.Added)*attaching +
		time.Duration(c.Added)*command(c.Attached+c.Added/2) + time.Duration(c.Removed)*command(c.Attached-c.Removed/2)
}

// locks are the transaction's own: each partition's two tables, and the indexes of one where it changes by itself.
func (c Change) locks() int64 {
	if c.Whole() {
		return int64(2*c.Replaced + c.Added + c.Removed + 2)
	}
	return int64(c.Replaced+c.Added+c.Removed) * int64(2+c.Indexes)
}

// Hold is how long readers are expected to wait for a transaction.
func (b Bounds) Hold(changes []Change) time.Duration {
	var sum time.Duration
	for _, c := range changes {
		sum += c.hold(b.ConstraintPages)
	}
	return atSpeed(sum, b.Speed)
}

func atSpeed(d time.Duration, speed float64) time.Duration {
	if speed > 0 {
		return time.Duration(float64(d) * speed)
	}
	return d
}

// Locks is how much of the server's lock table a transaction takes.
func Locks(changes []Change) int64 {
	var sum int64
	for _, c := range changes {
		sum += c.locks()
	}
	return sum
}

const (
	// Telling is how long a change has to be expected to take to say something about the server: in shorter ones the journeys
	// to it weigh more than the commands.
	Telling = 10 * time.Millisecond
	// fastest and slowest bound what a few changes on a busy machine may make of the expectation.
	fastest = 0.25
	slowest = 8
)

// Speed is what a server's changes took over what was expected of them, within reason; 0 where none of them tells. ratio is
// the median.
func Speed(ratio float64) float64 {
	if ratio <= 0 {
		return 0
	}
	return min(slowest, max(fastest, ratio))
}

// Bounds is what one transaction may cost.
type Bounds struct {
	MaxPause time.Duration
	// LockSlots is the size of the server's lock table; 0: it is not known, and bounds nothing.
	LockSlots int64
	// ConstraintPages is the size of the catalog of constraints of the database, in its pages.
	ConstraintPages int64
	// Speed is what Speed says of the server; 0: it was never measured.
	Speed float64
}

// share is the part of the lock table that a transaction may fill: everybody else's locks are in there too.
const share = 2

// fits says whether a transaction is within the bounds, on a server that was never measured.
func (b Bounds) fits(hold time.Duration, locks int64) bool {
	return atSpeed(hold, b.Speed) <= b.MaxPause && (b.LockSlots == 0 || locks <= b.LockSlots/share)
}

// Move is a partition that changes.
type Move struct {
	Output    string
	Partition partition.Key
	Was       bool // something is live there before
	Is        bool // and after
}

// Unit is what is never cut.
type Unit []Move

// place is where partitions hang beside one another.
type place struct{ output, chunk string }

// Batch is a transaction that grows unit by unit.
type Batch struct {
	bounds  Bounds
	tables  map[string]Table
	changes map[place]Change
	hold    time.Duration
	locks   int64
	units   int
}

// NewBatch is an empty transaction over tables.
func NewBatch(tables map[string]Table, b Bounds) *Batch {
	return &Batch{bounds: b, tables: tables, changes: map[place]Change{}}
}

// Add takes a unit into the transaction, or says that it would be too much with it. One that is too much by itself is taken
// when it is alone: nothing cuts it.
func (b *Batch) Add(u Unit) bool { return b.add(u, b.units > 0) }

// ahead bounds how many units are looked at for one that completes a chunk: what is too much while a part of it changes may be
// little when all of it does. None has more partitions.
const ahead = 32

// Extend takes as many units as fit, in their order, and returns how many.
func (b *Batch) Extend(units []Unit) (taken int) {
	for taken < len(units) {
		if b.Add(units[taken]) {
			taken++
			continue
		}
		further := *b
		further.changes = maps.Clone(b.changes)
		n := taken
		for n < min(taken+ahead, len(units)) {
			further.add(units[n], false)
			if n++; further.Fits() {
				break
			}
		}
		if !further.Fits() {
			return taken
		}
		*b, taken = further, n
	}
	return taken
}

// add takes a unit into the transaction, bound says if only where it fits.
func (b *Batch) add(u Unit, bound bool) bool {
	with, hold, locks := map[place]Change{}, b.hold, b.locks
	for _, m := range u {
		t := b.tables[m.Output]
		at := place{m.Output, t.chunk(m.Partition)}
		change, ok := with[at]
		if !ok {
			if change, ok = b.changes[at]; ok {
				hold, locks = hold-change.hold(b.bounds.ConstraintPages), locks-change.locks()
			} else {
				change = Change{Chunk: at.chunk != "", Attached: t.Attached[at.chunk], Indexes: t.Indexes}
			}
		} else {
			hold, locks = hold-change.hold(b.bounds.ConstraintPages), locks-change.locks()
		}
		switch {
		case m.Was && m.Is:
			change.Replaced++
		case m.Was:
			change.Removed++
		default:
			change.Added++
		}
		with[at] = change
		hold, locks = hold+change.hold(b.bounds.ConstraintPages), locks+change.locks()
	}
	if bound && !b.bounds.fits(hold, locks) {
		return false
	}
	maps.Copy(b.changes, with)
	b.hold, b.locks, b.units = hold, locks, b.units+1
	return true
}

// Fits says whether the transaction is within its bounds: only one that is a single unit may not be.
func (b *Batch) Fits() bool { return b.bounds.fits(b.hold, b.locks) }

// Hold is how long readers are expected to wait for it.
func (b *Batch) Hold() time.Duration { return atSpeed(b.hold, b.bounds.Speed) }

// Locks is what it takes of the server's lock table.
func (b *Batch) Locks() int64 { return b.locks }

// next are the tables after the transaction.
func (b *Batch) next() map[string]Table {
	after := make(map[string]Table, len(b.tables))
	for name, t := range b.tables {
		t.Attached = maps.Clone(t.Attached)
		if t.Attached == nil {
			t.Attached = map[string]int{}
		}
		after[name] = t
	}
	for at, c := range b.changes {
		if t, ok := after[at.output]; ok {
			t.Attached[at.chunk] += c.Added - c.Removed
		}
	}
	return after
}

// Cut is a change as it is cut into transactions.
type Cut struct {
	// Units is how many of them each transaction has, in their order.
	Units []int
	// Fits says that it is one transaction, within the bounds.
	Fits bool
	// Hold is how long readers are expected to wait for the longest one, and Locks what the largest one takes.
	Hold  time.Duration
	Locks int64
}

// Into cuts units into as few transactions as the bounds allow, in their order.
func Into(tables map[string]Table, units []Unit, b Bounds) Cut {
	var cut Cut
	if len(units) == 0 {
		return cut
	}
	batch := NewBatch(tables, b)
	for done := 0; ; batch = NewBatch(batch.next(), b) {
		done += batch.Extend(units[done:])
		cut.Units = append(cut.Units, batch.units)
		cut.Hold, cut.Locks = max(cut.Hold, batch.Hold()), max(cut.Locks, batch.Locks())
		if done == len(units) {
			break
		}
	}
	cut.Fits = len(cut.Units) == 1 && batch.Fits()
	return cut
}
