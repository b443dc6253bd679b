package activities_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/check"
	"drawbridge/internal/cutover"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
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
	fails     int                    // publishes that go through before one finds locks in its way
	broken    map[partition.Key]bool // days that cannot go back
	left      []turnback.LeftOver
}

func (b *books) Gauge(_ context.Context, outputs []string) (map[string]cutover.Table, cutover.Bounds, error) {
	tables := map[string]cutover.Table{}
	for _, o := range outputs {
		tables[o] = cutover.Table{Attached: map[string]int{"": len(b.days)}, Indexes: 2}
	}
	return tables, cutover.Bounds{LockSlots: 7040}, nil
}

func (b *books) Swappable(_ context.Context, _ generation.PublishSpec, ticket admission.Ticket) error {
	return b.refuses(ticket.Question.Swaps)
}

func (b *books) refuses(swaps []generation.Swap) error {
	for _, s := range swaps {
		if b.broken[s.Partition] {
			return fault.Newf(fault.Refused, "publish", string(s.Partition), "rebuild it", "its columns are not those that were recorded")
		}
	}
	return nil
}

func (b *books) RecordLeft(_ context.Context, _ int64, left []turnback.LeftOver) error {
	b.left = append(b.left, left...)
	return nil
}

func (b *books) LeftAt(context.Context, int64, []partition.Key) (map[generation.Item]bool, error) {
	left := map[generation.Item]bool{}
	for _, l := range b.left {
		left[generation.Item{Output: l.Output, Partition: l.Partition}] = true
	}
	return left, nil
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
	if err := b.refuses(ticket.Question.Swaps); err != nil {
		return generation.PublishResult{}, err
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
	return passes(t, ledger, pipeline.Publish{}, activities.PassInput{After: after})
}

// passes is a pass under the rules of a policy.
func passes(t *testing.T, ledger *books, rules pipeline.Publish, in activities.PassInput) activities.Pass {
	t.Helper()
	b := setup(t)
	b.Policy.Publish = rules
	b.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return ledger, nil }
	in.Target, in.Tenure = target("prod"), 9
	out, err := call(t, (&activities.TurningBack{Site: b.Site, Now: opened}).SwapPass, in)
	require.Nil(t, err)
	return out
}

// asOne is what a policy says by default.
func asOne() pipeline.Publish {
	return pipeline.Publish{Cutover: cutover.One, MaxPause: 500 * time.Millisecond}
}

func newBooks(days int) *books {
	b := &books{rebuild: map[partition.Key]bool{}, back: map[partition.Key]bool{}, broken: map[partition.Key]bool{}, fails: -1}
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
	require.Equal(t, ledger.days[15], first.After, "the last partition of what is done")
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

// dates are the days of a publish.
func dates(swaps []generation.Swap) []partition.Key {
	var all []partition.Key
	for _, s := range swaps {
		all = append(all, s.Partition)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func TestAPassSwapsBackInAsFewTransactionsAsReadersBear(t *testing.T) {
	t.Parallel()
	small := newBooks(100)
	out := passes(t, small, asOne(), activities.PassInput{})
	require.True(t, out.Over)
	require.Equal(t, turnback.Tally{Moved: 100}, out.Tally)
	require.Len(t, small.publishes, 1, "two outputs of a hundred days keep readers out for less than half a second")
	require.Equal(t, small.days, dates(small.publishes[0]))

	large := newBooks(1203)
	out = passes(t, large, asOne(), activities.PassInput{})
	require.True(t, out.Over)
	require.Equal(t, turnback.Tally{Moved: 1203}, out.Tally)
	var seen []partition.Key
	for i, swaps := range large.publishes {
		one := cutover.Change{Attached: 1203, Indexes: 2, Swaps: cutover.Swaps{Replaced: len(swaps) / 2}}
		changes := []cutover.Change{one, one}
		require.LessOrEqual(t, cutover.Bounds{}.Hold(changes), 500*time.Millisecond)
		changes[0].Replaced, changes[1].Replaced = changes[0].Replaced+1, changes[1].Replaced+1
		require.True(t, i == len(large.publishes)-1 || cutover.Bounds{}.Hold(changes) > 500*time.Millisecond, "one more would fit")
		seen = append(seen, dates(swaps)...)
	}
	require.Equal(t, large.days, seen, "each once, in order, and none in part")
}

// What has to be built again takes long: nobody waits for it with what only has to be swapped, and what travels stays small.
func TestWhatIsBuiltAgainComesAfterWhatIsSwappedBack(t *testing.T) {
	t.Parallel()
	ledger := newBooks(60)
	var again []partition.Key
	for i := range 20 {
		ledger.rebuild[ledger.days[2*i]] = true
		again = append(again, ledger.days[2*i])
	}
	out := passes(t, ledger, asOne(), activities.PassInput{})
	require.Len(t, ledger.publishes, 1)
	require.Len(t, dates(ledger.publishes[0]), 40)
	require.Equal(t, turnback.Tally{Moved: 40}, out.Tally)
	found := out.Rebuild
	for !out.Over {
		require.LessOrEqual(t, len(out.Rebuild), 8)
		for _, day := range out.Rebuild {
			ledger.back[day] = true // as another activity does
		}
		out = passes(t, ledger, asOne(), activities.PassInput{After: out.After, Deferred: out.Deferred, Rebuilding: out.Rebuilding})
		require.Equal(t, turnback.Tally{}, out.Tally, "nothing is counted twice")
		found = append(found, out.Rebuild...)
	}
	require.Equal(t, again, found)
	require.Len(t, ledger.publishes, 1)
}

func TestWhatCannotGoBackKeepsNothingElseFromGoingBackAsOne(t *testing.T) {
	t.Parallel()
	ledger := newBooks(50)
	ledger.broken[ledger.days[7]], ledger.broken[ledger.days[31]] = true, true
	out := passes(t, ledger, asOne(), activities.PassInput{})
	require.True(t, out.Over)
	require.Equal(t, turnback.Tally{Moved: 48, Open: 2}, out.Tally)
	require.Len(t, ledger.publishes, 1)
	require.Len(t, dates(ledger.publishes[0]), 48)
	require.Len(t, ledger.left, 4, "both outputs of both days are named")
}

func TestWhatIsHeldUpGoesBackAsOneTheNextTime(t *testing.T) {
	t.Parallel()
	ledger := newBooks(50)
	for i := range 12 {
		ledger.rebuild[ledger.days[4*i]] = true
	}
	ledger.fails = 0
	out := passes(t, ledger, asOne(), activities.PassInput{})
	require.Equal(t, generation.ForLocks, out.Parked.WaitingFor)
	require.Empty(t, out.Rebuild, "nothing is built before what is swapped has gone back")
	require.Empty(t, out.After)
	out = passes(t, ledger, asOne(), activities.PassInput{After: out.After, Deferred: out.Deferred, Rebuilding: out.Rebuilding})
	require.Len(t, ledger.publishes, 1)
	require.Equal(t, turnback.Tally{Moved: 38}, out.Tally)
	require.Len(t, out.Rebuild, 8)
}

// half is books of a partition of which one output is built again, and the other, which the release to go back to does not have, is
// swapped back.
type half struct{ *books }

func (half) DecidePartition(_ context.Context, _ turnback.TurnBack, _ []turnback.Output, key partition.Key) (turnback.Decision, error) {
	return turnback.Decision{Partition: key, Action: turnback.Rebuild, Items: []turnback.Item{
		{Output: "fct_orders", Action: turnback.Rebuild, From: 1000}, {Output: "agg_orders", Action: turnback.SwapBack, From: 1001, To: 101},
	}}, nil
}

func (half) Build(_ context.Context, spec activities.BuildSpec, _ func(activities.Progress)) (built []activities.Built, err error) {
	for _, o := range spec.Outputs {
		built = append(built, activities.Built{
			Generation: generation.Generation{ID: 2000, Output: o, Partition: spec.Partition}, From: 1000,
			Results: []check.Result{{Name: "row_count", Outcome: check.Passed}},
		})
	}
	return built, nil
}

func TestWhatSwapsBackBesideARebuildGoesWithIt(t *testing.T) {
	t.Parallel()
	b, ledger := setup(t), half{newBooks(1)}
	b.looked()
	ledger.observed = b.desk.observed
	b.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return ledger, nil }
	in := activities.PassInput{Target: target("prod"), Tenure: 9, Rebuild: ledger.days}
	out, failed := call(t, (&activities.TurningBack{Site: b.Site, Now: opened}).RebuildPass, in)
	require.Nil(t, failed)
	require.Empty(t, ledger.left)
	require.Equal(t, turnback.Tally{Moved: 1}, out.Tally)
	require.Equal(t, [][]generation.Swap{{
		{Output: "agg_orders", Partition: ledger.days[0], From: 1001, To: 101},
		{Output: "fct_orders", Partition: ledger.days[0], From: 1000, To: 2000},
	}}, ledger.publishes)
}

// overwritten is books of a backfill of which others have published days since, and nothing else is left.
type overwritten struct{ *books }

func (overwritten) BackfillsOf(_ context.Context, req turnback.Request) ([]effect.Owner, error) {
	if !req.Snapshot {
		return nil, nil
	}
	return []effect.Owner{effect.Owner(req.Workflow + "/first"), effect.Owner(req.Workflow + "/second")}, nil
}

func (o overwritten) PreviewTurnBack(ctx context.Context, req turnback.Request) (turnback.TurnBack, bool, error) {
	b, err := o.TurnBack(ctx, 9)
	b.Request = req
	return b, true, err
}

func TestNobodyIsToldToForceABackfillBackOfWhichNothingWouldGo(t *testing.T) {
	t.Parallel()
	const fill = "backfill/shop/prod/2026-01-01..2026-01-03"
	for name, c := range map[string]struct {
		back int // days that are as they were, whatever was left
		hint string
	}{
		"of one day something would go": {2, "goes back with: drawbridge backfill rollback " + fill + " --reason TEXT --force"},
		"nothing would go":              {3, "see what it did: drawbridge history shop --env prod"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, ledger := setup(t), overwritten{newBooks(3)}
			for _, day := range ledger.days[:c.back] {
				ledger.back[day] = true
			}
			b.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return ledger, nil }
			_, refused := call(t, (&activities.TurningBack{Site: b.Site, Now: opened}).Begin, activities.BeginInput{
				Target: target("prod"), Request: turnback.Request{Workflow: fill, Reason: "the correction was wrong"},
			})
			require.NotNil(t, refused)
			require.Equal(t, string(fault.Refused), refused.Type())
			var details activities.Fault
			require.NoError(t, refused.Details(&details))
			require.Contains(t, details.Hint, c.hint)
			require.Equal(t, c.back < 3, strings.Contains(details.Hint, "--force"))
		})
	}
}
