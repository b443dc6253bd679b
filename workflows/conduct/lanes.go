package conduct

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/gate"
)

// Line is work over a cursor: its items are handed to lanes in order, are done beside each other, and are delivered one by
// one in order. A pause holds every lane and the delivery at the next edge; lanes may be added and taken away meanwhile.
type Line[R any] struct {
	At    Scope
	Total int
	// Lanes is how many work, unless a person set another number.
	Lanes int
	// Narrow is how many of so many may work now; nil: all of them.
	Narrow func(lanes int) int
	Name   func(item int) string
	// Do runs in a lane; Deliver runs outside of them, never twice at the same time.
	Do      func(ctx workflow.Context, at Scope, item int) (R, error)
	Deliver func(ctx workflow.Context, item int, result R) error
	// Parts are what has failed of an item that was delivered: each is tried again or left out by itself, as an item that no other
	// one has. Such items are negative. nil: an item fails as a whole.
	Parts func(result R) []Failed
	// LeftOut is told every item that is left out; it may be nil.
	LeftOut func(item int)
	// MaxFailures is how many items may fail while the others go on. One more stops the line. 0: the first one does, and is
	// the line's error.
	MaxFailures int
}

// LineState is what is carried of a line: a cursor, and what failed, which the line's limit bounds.
type LineState struct {
	// Next is the first item that is neither delivered nor failed.
	Next    int      `json:"next"`
	Failed  []Failed `json:"failed,omitempty"`
	Again   []int    `json:"again,omitempty"` // to be done before others: failed before, or handed back
	Skipped int      `json:"skipped,omitempty"`
	Retries int      `json:"retries,omitempty"` // how often a person had it tried again
}

// Failed is an item that failed.
type Failed struct {
	Item int    `json:"item"`
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Over says whether every item of a line was delivered, has failed or was skipped.
func (s LineState) Over(total int) bool { return s.Next >= total && len(s.Again) == 0 }

// Retry has what failed tried again.
func (s *LineState) Retry() {
	for _, f := range s.Failed {
		s.Again = append(s.Again, f.Item)
	}
	s.Failed = nil
	s.Retries++
}

// Skip leaves out what failed, by name; no name is all of it. each is told every item that is left out; it may be nil.
func (s *LineState) Skip(names []string, each func(item int)) {
	s.Failed = slices.DeleteFunc(s.Failed, func(f Failed) bool {
		if len(names) > 0 && !slices.Contains(names, f.Name) {
			return false
		}
		if each != nil {
			each(f.Item)
		}
		s.Skipped++
		return true
	})
}

// Names are the names of what failed.
func (s *LineState) Names() []string {
	names := make([]string, len(s.Failed))
	for i, f := range s.Failed {
		names[i] = f.Name
	}
	return names
}

// errLater is an item that is handed back: it is done when the workflow has continued as new.
var errLater = errors.New("it is done later")

// Later hands an item back before it is done, because history has grown: the line is drained, and the item comes first when the workflow
// goes on as new. What was done of it is the caller's to carry.
func Later(ctx workflow.Context) error {
	if workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		return errLater
	}
	return nil
}

// Fatal makes an error end a line, however many items may fail: it is about none of them.
func Fatal(err error) error { return fatalError{err} }

type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// lined is a line that runs.
type lined[R any] struct {
	Line[R]
	*LineState
	c       *Conductor
	cursor  int          // the next item to hand out, after those to be tried again
	ready   map[int]R    // done, and not delivered
	skipped map[int]bool // at or after the cursor of the state
	working map[int]bool // lanes that are there
	fatal   error
	halted  bool // hands nothing out any more
}

// Run works until every item is delivered or has failed, too many have failed, or history has grown and the workflow should
// continue as new: then the lanes are drained, and what was done is delivered. LineState.Over tells. The error is that of
// the first item where no failure is allowed, of a cancel, or nil.
func (l Line[R]) Run(ctx workflow.Context, c *Conductor, s *LineState) error {
	r := &lined[R]{Line: l, LineState: s, c: c, cursor: s.Next, ready: map[int]R{}, skipped: map[int]bool{}, working: map[int]bool{}}
	c.line = r
	defer func() { c.line = nil }()
	lanes, stop := workflow.WithCancel(ctx)
	err := r.deliver(ctx, lanes)
	if err != nil {
		stop()
	}
	r.halted = true
	calm, _ := workflow.NewDisconnectedContext(ctx)
	if waitErr := workflow.Await(calm, func() bool { return len(r.working) == 0 }); waitErr != nil {
		return waitErr
	}
	return err
}

// deliver keeps the lanes at their number and delivers what is ready, until nothing is left to do.
func (r *lined[R]) deliver(ctx, lanes workflow.Context) error {
	for {
		r.advance()
		r.look(ctx)
		r.staff(lanes)
		var item int
		var found bool
		if err := r.c.await(ctx, func() bool {
			item, found = r.deliverable()
			return r.fatal != nil || r.gone(r.Next) || (r.c.head.Paused == nil && (found || r.idle() || r.short()))
		}); err != nil {
			return err
		}
		switch {
		case r.fatal != nil:
			return r.fatal
		case found:
			result := r.ready[item]
			delete(r.ready, item)
			if err := r.Deliver(ctx, item, result); err != nil {
				if cancelled(err) {
					return err
				}
				r.fail(ctx, item, err)
				break
			}
			if item == r.Next {
				r.Next++
			}
			if r.Parts != nil {
				r.failed(ctx, r.Parts(result)...)
			}
		case r.idle():
			return nil
		}
	}
}

// width is how many lanes there should be now.
func (r *lined[R]) width() int {
	n := max(1, r.Lanes)
	if r.c.head.Lanes > 0 {
		n = r.c.head.Lanes
	}
	if r.Narrow != nil {
		n = max(1, r.Narrow(n))
	}
	return n
}

// short says that a lane is missing for which there is work.
func (r *lined[R]) short() bool {
	if !r.available() {
		return false
	}
	for lane := 1; lane <= r.width(); lane++ {
		if !r.working[lane] {
			return true
		}
	}
	return false
}

// idle says that nothing is handed out any more, nothing is being done, and nothing is ready.
func (r *lined[R]) idle() bool {
	return len(r.working) == 0 && len(r.ready) == 0 && !r.gone(r.Next) && !r.available()
}

// available says whether there is an item to hand out. What is done and not delivered is bounded by twice the lanes.
func (r *lined[R]) available() bool {
	return !r.halted && (len(r.Again) > 0 || (r.cursor < r.Total && r.cursor < r.Next+2*r.width()))
}

// staff starts the lanes that are missing.
func (r *lined[R]) staff(ctx workflow.Context) {
	if !r.available() {
		return
	}
	for lane := 1; lane <= r.width(); lane++ {
		if !r.working[lane] {
			r.working[lane] = true
			workflow.GoNamed(ctx, fmt.Sprintf("lane-%d", lane), func(ctx workflow.Context) {
				r.work(ctx, lane)
				delete(r.working, lane)
				r.c.settle(ctx)
			})
		}
	}
}

// work is one lane: it takes items until there is none, it is one lane too many, or the line is halted.
func (r *lined[R]) work(ctx workflow.Context, lane int) {
	at := r.At.In(lane)
	for {
		if err := r.c.Checkpoint(ctx); err != nil {
			return
		}
		if r.look(ctx); !r.available() || lane > r.width() {
			return
		}
		item := r.take()
		result, err := r.Do(ctx, at, item)
		switch {
		case err == nil:
			r.ready[item] = result
		case ctx.Err() != nil: // the line was stopped, and knows why
			return
		case errors.Is(err, errLater):
			r.Again = append(r.Again, item)
			return
		default:
			r.fail(ctx, item, err)
		}
	}
}

// look halts the line when history has grown, or when its error is known.
func (r *lined[R]) look(ctx workflow.Context) {
	r.halted = r.halted || r.fatal != nil || workflow.GetInfo(ctx).GetContinueAsNewSuggested()
}

// take hands out the next item.
func (r *lined[R]) take() int {
	if len(r.Again) > 0 {
		item := r.Again[0]
		r.Again = r.Again[1:]
		return item
	}
	r.cursor++
	return r.cursor - 1
}

// deliverable is the next item in order, or one that is late because it had failed.
func (r *lined[R]) deliverable() (int, bool) {
	for _, item := range workflow.DeterministicKeys(r.ready) {
		if item <= r.Next {
			return item, true
		}
	}
	return 0, false
}

// fail notes a failed item; one too many halts the line.
func (r *lined[R]) fail(ctx workflow.Context, item int, err error) {
	if fatal, ok := errors.AsType[fatalError](err); ok || r.MaxFailures == 0 {
		if ok {
			err = fatal.error
		}
		r.fatal = cmp.Or(r.fatal, err)
		return
	}
	r.failed(ctx, Failed{Item: item, Name: r.Name(item), Why: Reason(err)})
}

func (r *lined[R]) failed(ctx workflow.Context, all ...Failed) {
	for _, f := range all {
		r.c.Tell(ctx, r.At, fmt.Sprintf("%s failed: %s", f.Name, f.Why))
		f.Why = cut(f.Why, cellLimit)
		r.Failed = append(r.Failed, f)
	}
	r.halted = r.halted || len(r.Failed) > r.MaxFailures
}

// advance moves the cursor past what failed: it is late when it is tried again, and nothing waits for it.
func (r *lined[R]) advance() {
	for r.gone(r.Next) {
		delete(r.skipped, r.Next)
		r.Next++
	}
}

func (r *lined[R]) gone(item int) bool {
	return r.skipped[item] || slices.Contains(r.Again, item) || slices.ContainsFunc(r.Failed, func(f Failed) bool { return f.Item == item })
}

func (r *lined[R]) lanes() int { return len(r.working) }

func (r *lined[R]) failures() []string { return r.Names() }

func (r *lined[R]) retry() { r.Retry() }

func (r *lined[R]) skip(names []string) {
	r.Skip(names, func(item int) {
		if item >= r.Next {
			r.skipped[item] = true
		}
		if r.LeftOut != nil {
			r.LeftOut(item)
		}
	})
}

// rested is a line that has been halted, or is over, and of which something has failed: retry-failed and skip answer the question
// what is to become of that.
type rested struct {
	*LineState
	q       *question
	skipped func(item int)
}

func (rested) lanes() int { return 0 }

func (r rested) failures() []string { return r.Names() }

func (r rested) retry() {
	r.Retry()
	r.q.Decided, r.q.Why = gate.Withdrawn, "what failed is tried again"
}

func (r rested) skip(names []string) {
	if r.Skip(names, r.skipped); len(r.Failed) == 0 {
		r.q.Decided, r.q.Why = gate.Withdrawn, "what failed is left out"
	}
}

// AskFailed asks what is to become of what failed. retry-failed and skip withdraw the question, as they answer it; skipped is told every
// item that is left out, and may be nil.
func (c *Conductor) AskFailed(ctx workflow.Context, at Scope, g gate.Gate, s *LineState, skipped func(item int)) (gate.Gate, error) {
	q, err := c.put(ctx, at, g)
	if err != nil {
		return gate.Gate{}, err
	}
	c.line = rested{LineState: s, q: q, skipped: skipped}
	defer func() { c.line = nil }()
	return c.answer(ctx, q)
}
