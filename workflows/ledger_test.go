package workflows_test

import (
	"slices"
	"strings"
	"sync"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/release"
)

// ledger is a model of what environments keep: what is live, which release is active, and which workflow made what live. The
// effects of a scenario publish into it and turn back from it, so what a test expects is the rule's and not the fake's.
type ledger struct {
	mu     sync.Mutex
	live   map[string]int64 // environment, output and partition -> generation; 0 is none
	active map[string]*release.Release
	swaps  []publication // oldest first, without those that were turned back
	fenced []string
}

type publication struct {
	environment, key string
	swap             generation.Swap
}

func newLedger(environments ...string) *ledger {
	l := &ledger{live: map[string]int64{}, active: map[string]*release.Release{}}
	for _, env := range environments {
		before := previous()
		l.active[env] = &before
	}
	return l
}

func place(environment string, s generation.Swap) string {
	return environment + "/" + s.Output + "/" + string(s.Partition)
}

// publish swaps, as a warehouse does: the live generation is the one that the swap replaces.
func (l *ledger) publish(in activities.PublishInput) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	env := in.Target.Environment
	if slices.ContainsFunc(l.fenced, func(key string) bool { return in.Target.Key == key }) {
		return fault.Newf(fault.Conflict, "publish", in.Step, "plan again", "its effects are fenced")
	}
	for _, s := range in.Swaps {
		if have, known := l.live[place(env, s)]; known && have != s.From {
			return fault.Newf(fault.Conflict, "publish", in.Step, "plan again", "another generation is live now")
		}
	}
	for _, s := range in.Swaps {
		l.live[place(env, s)] = s.To
		if !in.TurnBack {
			l.swaps = append(l.swaps, publication{environment: env, key: in.Target.Key, swap: s})
		}
	}
	return nil
}

// of are the swaps of a workflow in an environment that were not turned back.
func (l *ledger) of(environment, key string) []generation.Swap {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []generation.Swap
	for _, p := range l.swaps {
		if p.environment == environment && (key == "" || p.key == key) && l.live[place(environment, p.swap)] == p.swap.To {
			out = append(out, p.swap)
		}
	}
	return out
}

// survey is what goes back: what the asked-for workflow made live, or everything where none is named.
func (l *ledger) survey(in activities.SurveyInput) activities.Survey {
	n := len(l.of(in.Target.Environment, in.Request.Key))
	before := previous()
	s := activities.Survey{Undo: "sha256:undo", To: &before, From: l.activeIn(in.Target.Environment), Swaps: n}
	if n > 0 {
		s.SwapBatches = 1
	}
	return s
}

// back are the swaps that turn a workflow's own ones back. A turn-back's key lies under the one that it is about.
func (l *ledger) back(in activities.BatchInput) activities.SwapBatch {
	of, _, compensating := strings.Cut(in.Target.Key, "/undo/")
	if !compensating {
		of = ""
	}
	var out activities.SwapBatch
	for _, s := range l.of(in.Target.Environment, of) {
		out.Swaps = append(out.Swaps, generation.Swap{Output: s.Output, Partition: s.Partition, From: s.To, To: s.From})
	}
	return out
}

func (l *ledger) activate(in activities.ActivateInput) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := in.Target.Release
	l.active[in.Target.Environment] = &r
	if in.None {
		l.active[in.Target.Environment] = nil
	}
}

func (l *ledger) activeIn(environment string) *release.Release {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.active[environment]
}

// visible counts the partitions of an environment that show another generation than before.
func (l *ledger) visible(environment string) int {
	return len(l.of(environment, ""))
}
