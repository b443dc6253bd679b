package activities

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
)

// Waited is how much of its budgets a change has spent on waiting, over all attempts of its activity. It travels in
// heartbeats: an attempt that follows a lost one goes on where that one was, so the change parks when its policy says
// so, whatever happened to workers meanwhile.
type Waited struct {
	Snapshots time.Duration `json:"snapshots,omitempty"`
	Locks     time.Duration `json:"locks,omitempty"`
}

// patience returns what earlier attempts have waited, and beat, which heartbeats what all have: it is safe for several
// goroutines. A beat that is told less than is known keeps what is known.
func patience(ctx context.Context) (before Waited, beat func(snapshots, locks time.Duration)) {
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &before); err != nil {
			before = Waited{} // a lost attempt of another build: the budget begins anew
		}
	}
	beatsItself(ctx)
	var mu sync.Mutex
	now := before
	beat = func(snapshots, locks time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = Waited{Snapshots: max(now.Snapshots, snapshots), Locks: max(now.Locks, locks)}
		activity.RecordHeartbeat(ctx, now)
	}
	beat(0, 0)
	return before, beat
}
