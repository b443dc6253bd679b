package generation

import (
	"time"

	"drawbridge/internal/effect"
)

// PublishSpec says how swaps become visible, all in one transaction, at most once under Key.
type PublishSpec struct {
	Key effect.Key
	// Activate makes the tenure the active one in the same transaction.
	Activate bool
	// About names the effect in what people decide about it while it is held up; empty: it is Key.
	About        string
	By, Reason   string // who asked, and why: recorded with each swap
	Application  string // of the session
	LockBudget   time.Duration
	SnapshotWait time.Duration
	// IgnoreSnapshots goes on although older snapshots would see the new children as empty.
	IgnoreSnapshots bool
	// WaitedSnapshots and WaitedLocks are what earlier attempts have spent of the budgets.
	WaitedSnapshots time.Duration
	WaitedLocks     time.Duration
}

// PublishResult is what became of a publish. While Done is false nothing has changed: a person decides, by the sessions
// that hold it up, whether to try again.
type PublishResult struct {
	Done       bool      `json:"done"`
	Swapped    int       `json:"swapped"`
	Blocked    []Session `json:"blocked,omitempty"`
	More       int       `json:"more,omitempty"`        // sessions that Blocked does not name
	WaitingFor string    `json:"waiting_for,omitempty"` // when not done
	Why        string    `json:"why,omitempty"`         // of a hold, or of an approval that is to be asked for again
	// Moved are the swaps whose From is not live any more: somebody else published there meanwhile.
	Moved []Swap `json:"moved,omitempty"`
	// Stale are, of a cut-over, the slices of the plan in which something moved, or is not there any more, instead.
	Stale  []int   `json:"stale,omitempty"`
	HoldMS float64 `json:"hold_ms,omitempty"` // how long readers were kept out, but for the commit
	// SwapMS is the part of it in which every lock was held, and ExpectedMS what that was expected to take.
	SwapMS     float64 `json:"swap_ms,omitempty"`
	ExpectedMS float64 `json:"expected_ms,omitempty"`
	// Schedule is what became of the pipeline's schedule, where its release became the active one.
	Schedule string `json:"schedule,omitempty"`
}

// What a publish that is not done waits for.
const (
	ForSnapshots = "snapshots"
	ForLocks     = "locks"
	ForHold      = "hold"
	ForApproval  = "approval" // the one that there was has expired
	ForOthers    = "others"   // who were faster: Moved
)

// ExpandSpec says how an expansion waits.
type ExpandSpec struct {
	LockBudget  time.Duration
	WaitedLocks time.Duration // what earlier attempts have spent of the budget
	Application string
}

// ExpandResult is what an expansion changed. While Done is false something is left to do, and Blocked or a hold is in the way.
type ExpandResult struct {
	Done    bool      `json:"done"`
	Changes []string  `json:"changes,omitempty"` // "create fct_orders", "add fct_orders.currency_code text"
	Blocked []Session `json:"blocked,omitempty"`
	More    int       `json:"more,omitempty"`   // sessions that Blocked does not name
	Held    string    `json:"held,omitempty"`   // why nothing that readers see is changed for now
	Lapsed  string    `json:"lapsed,omitempty"` // why an approval is to be asked for again
}
