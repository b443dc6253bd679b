// Package cutover says what it costs readers that many partitions change in one transaction, and into how many transactions a
// change is cut where that is more than they may wait for, or than the server's lock table holds. It is pure.
package cutover

import (
	"maps"
	"slices"
	"time"
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
// detached, and more while new ones are attached: half of what changes is beside it. Measured on two cores.
const (
	each   = 170 * time.Microsecond
	beside = 3700 * time.Nanosecond
)

// Table is a table before a change.
type Table struct {
	Attached int // partitions
	Indexes  int // of each of them
}

// Swaps counts partitions of a table: Replaced ones are detached and others attached in their place, Added ones are attached
// only, Removed ones detached only.
type Swaps struct {
	Replaced int
	Added    int
	Removed  int
}

func (s Swaps) plus(o Swaps) Swaps {
	return Swaps{Replaced: s.Replaced + o.Replaced, Added: s.Added + o.Added, Removed: s.Removed + o.Removed}
}

// Change is what one transaction does to one table.
type Change struct {
	Table
	Swaps
}

// hold is how long the table is locked for the commands.
func (c Change) hold() time.Duration {
	command := func(attached int) time.Duration { return each + beside*time.Duration(max(0, attached)) }
	return time.Duration(2*c.Replaced)*command(c.Attached-c.Replaced/2) +
		time.Duration(c.Added)*command(c.Attached+c.Added/2) + time.Duration(c.Removed)*command(c.Attached-c.Removed/2)
}

// locks are the transaction's own: each partition's two tables, and the indexes of one.
func (c Change) locks() int64 { return int64(c.Replaced+c.Added+c.Removed) * int64(2+c.Indexes) }

// Hold is how long readers are expected to wait for a transaction. speed is what Speed says of the server.
func Hold(changes []Change, speed float64) time.Duration {
	var sum time.Duration
	for _, c := range changes {
		sum += c.hold()
	}
	if speed > 0 {
		sum = time.Duration(float64(sum) * speed)
	}
	return sum
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
	Speed     float64
}

// share is the part of the lock table that a transaction may fill: everybody else's locks are in there too.
const share = 2

// Fits says whether a transaction is within the bounds.
func (b Bounds) Fits(changes []Change) bool {
	return Hold(changes, b.Speed) <= b.MaxPause && (b.LockSlots == 0 || Locks(changes) <= b.LockSlots/share)
}

// Unit is what is never cut, by table.
type Unit map[string]Swaps

// Batch is a transaction that grows unit by unit.
type Batch struct {
	bounds  Bounds
	tables  map[string]Table
	changes map[string]Change
	units   int
}

// NewBatch is an empty transaction over tables.
func NewBatch(tables map[string]Table, b Bounds) *Batch {
	return &Batch{bounds: b, tables: tables, changes: map[string]Change{}}
}

// Add takes a unit into the transaction, or says that it would be too much with it. One that is too much by itself is taken
// when it is alone: nothing cuts it.
func (b *Batch) Add(u Unit) bool {
	with := maps.Clone(b.changes)
	for name, swaps := range u {
		with[name] = Change{Table: b.tables[name], Swaps: with[name].plus(swaps)}
	}
	if b.units > 0 && !b.bounds.Fits(values(with)) {
		return false
	}
	b.changes, b.units = with, b.units+1
	return true
}

// Fits says whether the transaction is within its bounds: only one that is a single unit may not be.
func (b *Batch) Fits() bool { return b.bounds.Fits(values(b.changes)) }

// Hold is how long readers are expected to wait for it, and Locks what it takes of the lock table.
func (b *Batch) Hold() time.Duration { return Hold(values(b.changes), b.bounds.Speed) }

// Locks is what it takes of the server's lock table.
func (b *Batch) Locks() int64 { return Locks(values(b.changes)) }

// next are the tables after the transaction.
func (b *Batch) next() map[string]Table {
	after := make(map[string]Table, len(b.tables))
	for name, t := range b.tables {
		c := b.changes[name]
		t.Attached += c.Added - c.Removed
		after[name] = t
	}
	return after
}

func values(changes map[string]Change) []Change { return slices.Collect(maps.Values(changes)) }

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
	end := func() {
		cut.Units = append(cut.Units, batch.units)
		cut.Hold, cut.Locks = max(cut.Hold, batch.Hold()), max(cut.Locks, batch.Locks())
	}
	for _, u := range units {
		if batch.Add(u) {
			continue
		}
		end()
		batch = NewBatch(batch.next(), b)
		batch.Add(u)
	}
	end()
	cut.Fits = len(cut.Units) == 1 && batch.Fits()
	return cut
}
