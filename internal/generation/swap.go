package generation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/partition"
)

// Item is one partition of one output .
type Item struct {
	Output    string        `json:"output"`
	Partition partition.Key `json:"partition"`
}

// Swap replaces, in one output's partition, the live generation From by the generation To. From 0 means that nothing
// is live; To 0 detaches. A rollback is the same swap with From and To exchanged.
type Swap struct {
	Output    string        `json:"output"`
	Partition partition.Key `json:"partition"`
	From      int64         `json:"from"`
	To        int64         `json:"to"`
}

// Session is a database session, or a prepared transaction, that holds up a change. It carries no query text.
type Session struct {
	PID         int32     `json:"pid"` // 0: a prepared transaction
	User        string    `json:"user"`
	Application string    `json:"application"`
	Client      string    `json:"client,omitempty"`
	State       string    `json:"state"`
	Since       time.Time `json:"since"` // start of its transaction
	Holds       string    `json:"holds"` // "snapshot" or the relation it has locked
	// Transaction is its identity: the session's virtual transaction, or the gid of a prepared one.
	Transaction string `json:"transaction,omitempty"`
}

const (
	// sessionsNamed bounds how many sessions are named, and sessionText each of their texts in bytes: they travel through
	// histories, and anybody may open as many sessions, of any name, as the server lets them.
	sessionsNamed = 20
	sessionText   = 200
)

// Named are the first of some sessions, and how many more there are.
func Named(all []Session) (named []Session, more int) {
	named = slices.Clone(all[:min(len(all), sessionsNamed)])
	for i := range named {
		s := &named[i]
		for _, text := range []*string{&s.User, &s.Application, &s.Client, &s.State, &s.Holds} {
			if len(*text) > sessionText {
				*text = strings.ToValidUTF8((*text)[:sessionText], "") + "…"
			}
		}
	}
	return named, len(all) - len(named)
}

// PreparedState is the state of a prepared transaction: it has no session that could be ended.
const PreparedState = "prepared"

// Name says who it is.
func (s Session) Name() string {
	if s.State == PreparedState {
		return fmt.Sprintf("prepared transaction %q (%s): COMMIT PREPARED or ROLLBACK PREPARED ends it", s.Transaction, s.User)
	}
	return fmt.Sprintf("pid %d (%s, %s)", s.PID, s.User, s.Application)
}
