// Package throttle is the pure rule of when a warehouse has enough to do: work that builds waits while a signal that the
// environment's policy watches is above its limit, or cannot be observed. It has no clients and no clock.
package throttle

import (
	"fmt"
	"strings"
	"time"
)

// Signal is something that a warehouse can be asked for.
type Signal string

// The signals. Times are in seconds, sizes in bytes. What Drawbridge's own sessions do counts for none of them but the WAL and
// the size of the database.
const (
	ReplicaLag        Signal = "replica_lag"        // of the slowest standby
	ReplicaBytes      Signal = "replica_bytes"      // that the slowest standby has not replayed
	WALRate           Signal = "wal_rate"           // bytes a second
	WaitingLocks      Signal = "waiting_locks"      // lock requests that are not granted
	ActiveSessions    Signal = "active_sessions"    // that run a statement
	OldestTransaction Signal = "oldest_transaction" // of a client
	Size              Signal = "size"               // of the database
	Query             Signal = "query"              // the policy's own SQL
)

// Limit is the most that a signal may be. A signal without one is not looked at.
type Limit struct {
	Signal Signal  `json:"signal"`
	Max    float64 `json:"max"`
	// Name and SQL are of a query: it returns one number.
	Name string `json:"name,omitempty"`
	SQL  string `json:"sql,omitempty"`
}

// title names a limit for people.
func (l Limit) title() string {
	if l.Signal == Query {
		return l.Name
	}
	return strings.ReplaceAll(string(l.Signal), "_", " ")
}

// Reading is what a signal is right now.
type Reading struct {
	Limit Limit
	Value float64
	// Unseen is why it cannot be observed, and Remedy what has to be done about that; empty: Value is it.
	Unseen string
	Remedy string
}

// resume is the part of a limit below which what waited goes on: else it would begin and wait by turns.
const resume = 0.8

// Stops says why work has to wait, one line for every signal that stops it; nothing: it may go on. What has waited already goes on
// only when every signal is well below its limit. What cannot be observed stops.
func Stops(readings []Reading, waited bool) []string {
	var why []string
	for _, r := range readings {
		most := r.Limit.Max
		if waited {
			most *= resume
		}
		switch {
		case r.Unseen != "":
			why = append(why, fmt.Sprintf("%s cannot be observed: %s", r.Limit.title(), r.Unseen))
		case r.Value > most:
			text := fmt.Sprintf("%s is %s, the limit is %s", r.Limit.title(), r.Limit.text(r.Value), r.Limit.text(r.Limit.Max))
			if r.Value <= r.Limit.Max {
				text += fmt.Sprintf("; it goes on below %s", r.Limit.text(most))
			}
			why = append(why, text)
		}
	}
	return why
}

// text is a value of a signal in its unit.
func (l Limit) text(value float64) string {
	switch l.Signal {
	case ReplicaLag, OldestTransaction:
		return time.Duration(value * float64(time.Second)).Round(100 * time.Millisecond).String()
	case ReplicaBytes, Size:
		return bytes(value)
	case WALRate:
		return bytes(value) + "/s"
	case WaitingLocks, ActiveSessions, Query:
	}
	return fmt.Sprintf("%g", value)
}

func bytes(value float64) string {
	unit := 0
	units := []string{"B", "kB", "MB", "GB", "TB"}
	for value >= 1000 && unit < len(units)-1 {
		value, unit = value/1000, unit+1
	}
	return fmt.Sprintf("%.3g %s", value, units[unit])
}

// Lanes is how many lanes work of at most so many may have, by what it met: half of them when it had to wait, one more when it had
// not. It begins with all of them.
type Lanes int

// Waited halves the lanes.
func (l Lanes) Waited(most int) Lanes { return Lanes(max(1, l.Of(most)/2)) }

// Went gives one lane more.
func (l Lanes) Went(most int) Lanes {
	if n := l.Of(most) + 1; n < most {
		return Lanes(n)
	}
	return 0
}

// Of is how many there may be, where there are at most so many.
func (l Lanes) Of(most int) int {
	if l == 0 || int(l) > most {
		return most
	}
	return int(l)
}
