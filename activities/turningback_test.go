package activities_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// books is a ledger of two outputs a day under an open turn-back: what goes live again is generation 100 under what is live.
type books struct {
	desk
	days      []partition.Key
	rebuild   map[partition.Key]bool
	back      map[partition.Key]bool // days that are as they were
	publishes [][]generation.Swap
	fails     int // publishes that go through before one finds locks in its way
}

func (b *books) TurnBack(_ context.Context, tenure int64) (turnback.TurnBack, error) {
	return turnback.TurnBack{
		Tenure:  release.Tenure{Number: tenure, Kind: release.ByTurnBack, Release: target("prod").Release},
		Request: turnback.Request{Pipeline: "shop"}, State: turnback.Open, Driver: string(target("prod").Owner),
	}, nil
}

func (b *books) DecideTurnBack(_ context.Context, _ turnback.TurnBack, _ []turnback.Output, after partition.Key, limit int) (turnback.Page, error) {
	var page turnback.Page
	for i, day := range b.days {
		if day <= after {
			continue
		}
		d := turnback.Decision{Partition: day, Action: turnback.SwapBack}
		switch {
		case b.back[day]:
			d.Action = turnback.Keep
		case b.rebuild[day]:
			d.Action = turnback.Rebuild
		}
		for n, output := range []string{"fct_orders", "agg_orders"} {
			from := int64(1000 + 2*i + n)
			d.Items = append(d.Items, turnback.Item{Output: output, Action: d.Action, From: from, To: from - 900})
		}
		page.Decisions = append(page.Decisions, d)
		if len(page.Decisions) == limit {
			page.Last = day
			return page, nil
		}
	}
	return page, nil
}

func (b *books) Publish(_ context.Context, _ generation.PublishSpec, ticket admission.Ticket, _ func(_, _ time.Duration)) (generation.PublishResult, error) {
	if !ticket.Question.TurnBack || ticket.Question.Tenure != 9 {
		return generation.PublishResult{}, fmt.Errorf("it is not asked under the turn-back: %+v", ticket.Question)
	}
	if len(b.publishes) == b.fails {
		b.fails = -1
		return generation.PublishResult{WaitingFor: generation.ForLocks, Blocked: []generation.Session{{PID: 7}}}, nil
	}
	b.publishes = append(b.publishes, ticket.Question.Swaps)
	for _, s := range ticket.Question.Swaps {
		b.back[s.Partition] = true
	}
	return generation.PublishResult{Done: true, Swapped: len(ticket.Question.Swaps)}, nil
}

// pass is one pass of a turn-back over books, as an activity.
func pass(t *testing.T, ledger *books, after partition.Key) activities.Pass {
	t.Helper()
	b := setup(t)
	b.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return ledger, nil }
	out, err := call(t, (&activities.TurningBack{Site: b.Site, Now: opened}).SwapPass, activities.PassInput{Target: target("prod"), Tenure: 9, After: after})
	require.Nil(t, err)
	return out
}

func newBooks(days int) *books {
	b := &books{rebuild: map[partition.Key]bool{}, back: map[partition.Key]bool{}, fails: -1}
	for i := range days {
		b.days = append(b.days, partition.Key(opened().AddDate(0, 0, i).Format(time.DateOnly)))
	}
	return b
}

func TestAPassNeverSplitsAPartitionAndBoundsItsTransactions(t *testing.T) {
	t.Parallel()
	ledger := newBooks(1203) // three pages
	out := pass(t, ledger, "")
	require.True(t, out.Over)
	require.Equal(t, turnback.Tally{Moved: 1203}, out.Tally)
	seen := map[partition.Key]bool{}
	for _, swaps := range ledger.publishes {
		days := map[partition.Key]int{}
		for _, s := range swaps {
			days[s.Partition]++
		}
		require.LessOrEqual(t, len(days), 8)
		for day, outputs := range days {
			require.Equal(t, 2, outputs, "%s is split", day)
			require.False(t, seen[day], "%s goes back twice", day)
			seen[day] = true
		}
	}
	require.Len(t, seen, 1203)
}

func TestAPassThatIsHeldUpCountsNothingTwice(t *testing.T) {
	t.Parallel()
	ledger := newBooks(40)
	for i := range 40 {
		if i%2 == 1 {
			ledger.back[ledger.days[i]] = true // in between there is what stays as it is
		}
	}
	ledger.fails = 1
	first := pass(t, ledger, "")
	require.False(t, first.Over)
	require.Equal(t, generation.ForLocks, first.Parked.WaitingFor)
	require.Len(t, ledger.publishes, 1)
	require.Equal(t, ledger.days[14], first.After, "the last partition of what is done")
	second := pass(t, ledger, first.After)
	require.True(t, second.Over)
	require.Equal(t, turnback.Tally{Moved: 20, Kept: 20}, first.Tally.Plus(second.Tally))
}

func TestAPassHandsOverWhatHasToBeBuiltAgain(t *testing.T) {
	t.Parallel()
	ledger := newBooks(30)
	for _, i := range []int{3, 4, 20} {
		ledger.rebuild[ledger.days[i]] = true
	}
	out := pass(t, ledger, "")
	require.True(t, out.Over)
	require.Equal(t, []partition.Key{ledger.days[3], ledger.days[4], ledger.days[20]}, out.Rebuild)
	require.Equal(t, turnback.Tally{Moved: 27}, out.Tally, "they are counted when they were built")
	for _, day := range out.Rebuild {
		require.False(t, ledger.back[day])
	}

	many := newBooks(30)
	for _, day := range many.days {
		many.rebuild[day] = true
	}
	out = pass(t, many, "")
	require.False(t, out.Over, "what travels stays small")
	require.Equal(t, many.days[:8], out.Rebuild)
	require.Equal(t, slices.Max(out.Rebuild), out.After)
}
