package workflows

import (
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/throttle"
	"drawbridge/workflows/conduct"
)

// throttled is what lanes do about a warehouse that has enough to do: they wait, and fewer of them go on.
type throttled struct {
	// Why it waits, in words; empty: it does not.
	Why string `json:"why,omitempty"`
	// Opens is when the window does for which alone it waits.
	Opens time.Time      `json:"opens,omitzero"`
	Lanes throttle.Lanes `json:"lanes,omitempty"`
	wait  map[int]int    // by lane: how often in a row it waited
}

const (
	// firstThrottled and lastThrottled are how long a lane waits until it looks again.
	firstThrottled = 5 * time.Second
	lastThrottled  = time.Minute
	// lastClosed is how long it waits at most for a window to open: the policy may have another one meanwhile.
	lastClosed = 15 * time.Minute
)

// narrow is how many lanes may work.
func (t *throttled) narrow(most int) int { return t.Lanes.Of(most) }

// went notes that a lane was not throttled.
func (t *throttled) went(lane, most int) {
	delete(t.wait, lane)
	if len(t.wait) == 0 {
		t.Why, t.Opens = "", time.Time{}
	}
	t.Lanes = t.Lanes.Went(most)
}

// out waits until it is time to look again, and says why when that is new. opens is when a window does, where that is all that it waits
// for: nothing has too much to do then, no lane less goes on, and it looks again when a person sets another window than it was.
func (t *throttled) out(ctx workflow.Context, c *conduct.Conductor, at conduct.Scope, most int, why []string, opens time.Time, was string) error {
	if t.wait == nil {
		t.wait = map[int]int{}
	}
	text := strings.Join(why, "; ")
	if t.Why == "" {
		c.Tell(ctx, at, "throttled: "+text)
	}
	t.Why, t.Opens = text, opens
	if !opens.IsZero() {
		t.wait[at.Lane] = max(1, t.wait[at.Lane])
		wait := min(lastClosed, max(time.Second, opens.Sub(workflow.Now(ctx))))
		return c.Rest(ctx, wait, "until its window opens", func() bool { return c.Window() != was })
	}
	if t.wait[at.Lane] == 0 {
		t.Lanes = t.Lanes.Waited(most)
	}
	t.wait[at.Lane]++
	return workflow.NewTimer(ctx, min(lastThrottled, firstThrottled<<min(4, t.wait[at.Lane]-1))).Get(ctx, nil)
}
