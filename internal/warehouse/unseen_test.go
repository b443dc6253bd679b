package warehouse_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
)

// mends runs the statement that a hint names.
func (b *bundle) mends(t *testing.T, hint string) {
	t.Helper()
	_, statement, ok := strings.Cut(hint, "as the ledger has it: ")
	require.True(t, ok, hint)
	b.db.Exec(t, statement)
}

func (b *bundle) unseen(t *testing.T) generation.Unseen {
	t.Helper()
	u, err := b.Unseen(t.Context(), "shop")
	require.NoError(t, err)
	return u
}

// A second chunk in the place of one that was detached by hand would keep that from being attached again.
func TestAChunkThatWasDetachedByHandIsAttachedAgainBeforeAnotherIsMade(t *testing.T) {
	t.Parallel()
	for name, days := range map[string][]partition.Key{
		"a partition is added":                  {"2026-01-04"},
		"some are added":                        {"2026-01-04", "2026-01-05"},
		"one is replaced":                       {"2026-01-02"},
		"all of it is, and more in another one": {"2026-01-01", "2026-01-02", "2026-01-03", "2026-02-01"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			live := map[partition.Key]generation.Generation{}
			b.publish(t, b.again(t, shop(), 1, live, "2026-01-01", "2026-01-02", "2026-01-03")...)
			require.Empty(t, b.unseen(t))
			swaps := b.again(t, shop(), 2, live, days...)
			b.db.Exec(t, "ALTER TABLE fct_orders DETACH PARTITION "+b.db.Schema+"__data.c1")

			_, err := b.attempt(t.Context(), b.patient(swaps...), beat)
			require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
			require.Equal(t, []string{"c1: g1 g2 g3 aside"}, b.trees(t))
			require.Equal(t, 3, b.count(t, "generation WHERE state = 'live'"))

			b.mends(t, fault.HintOf(err))
			require.Equal(t, "45.00", b.sum(t), "readers see again what is live")
			require.Empty(t, b.unseen(t))
			b.done(t, b.patient(swaps...))
		})
	}
}

func TestWhatIsLiveAndHangsWhereNobodyReadsIsNamed(t *testing.T) {
	t.Parallel()
	days := []partition.Key{"2026-01-01", "2026-01-02", "2026-02-01"}
	for name, c := range map[string]struct {
		by    string // what the administrator does
		lines []string
	}{
		"a chunk": {"ALTER TABLE fct_orders DETACH PARTITION D.c1", []string{"partitions of fct_orders in 2026-01 are live"}},
		"partitions in a chunk": {
			"ALTER TABLE D.c1 DETACH PARTITION D.g1; ALTER TABLE D.c1 DETACH PARTITION D.g2",
			[]string{"fct_orders[2026-01-01] is live", "fct_orders[2026-01-02] is live"},
		},
		"a partition that hangs in a table of somebody's": {
			"ALTER TABLE D.c1 DETACH PARTITION D.g1; CREATE TABLE theirs (LIKE fct_orders) PARTITION BY RANGE (order_date);" +
				"ALTER TABLE theirs ATTACH PARTITION D.g1 FOR VALUES FROM ('2026-01-01') TO ('2026-01-02')",
			[]string{"fct_orders[2026-01-01] is live"},
		},
		"all of it": {
			"ALTER TABLE fct_orders DETACH PARTITION D.c1; ALTER TABLE fct_orders DETACH PARTITION D.c2",
			[]string{"partitions of fct_orders in 2026-01 are live", "partitions of fct_orders in 2026-02 are live"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.publish(t, b.again(t, shop(), 1, map[partition.Key]generation.Generation{}, days...)...)
			b.db.Exec(t, strings.ReplaceAll(c.by, "D.", b.db.Schema+"__data."))
			require.NotEqual(t, "45.00", b.sum(t))
			u := b.unseen(t)
			require.Len(t, u.Lines, len(c.lines))
			observed, err := b.Observe(t.Context(), shop(), header())
			require.NoError(t, err)
			problems := slices.DeleteFunc(observed.Problems, func(p plan.Problem) bool { return p.Rule != "detached" })
			require.Len(t, problems, len(c.lines))
			require.Empty(t, blocking(observed), "what hangs elsewhere may be built and published")
			for i, line := range u.Lines {
				require.Contains(t, line.Text, c.lines[i])
				require.Equal(t, []string{line.Text, line.Remedy}, []string{problems[i].Text, problems[i].Remedy})
				b.mends(t, line.Remedy)
			}
			require.Equal(t, "45.00", b.sum(t))
			require.Empty(t, b.unseen(t))
		})
	}
}

// Its chunk is there no more: another partition makes one, and then it can be attached.
func TestALivePartitionThatHasLostItsChunkIsAttachedToAnother(t *testing.T) {
	t.Parallel()
	b := setup(t)
	live := map[partition.Key]generation.Generation{}
	b.publish(t, b.again(t, shop(), 1, live, "2026-01-01")...)
	data := b.db.Schema + "__data."
	b.db.Exec(t, "ALTER TABLE "+data+"c1 DETACH PARTITION "+data+"g1; DROP TABLE "+data+"c1")
	require.Contains(t, b.unseen(t).Lines[0].Remedy, "run another partition of 2026-01")
	b.publish(t, b.again(t, shop(), 1, live, "2026-01-02")...)
	b.mends(t, b.unseen(t).Lines[0].Remedy)
	require.Equal(t, "30.00", b.sum(t))
}

func TestALivePartitionWhoseTableIsGoneIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.publish(t, b.again(t, shop(), 1, map[partition.Key]generation.Generation{}, "2026-01-01", "2026-01-02")...)
	b.db.Exec(t, "DROP TABLE "+b.db.Schema+"__data.g2")
	require.Contains(t, b.unseen(t).Lines[0].Text, "fct_orders[2026-01-02] is live, and readers do not see it")
	b.db.Exec(t, "DROP TABLE fct_orders")
	require.Equal(t, "partitions of fct_orders are live, and readers do not see them: the table is not there", b.unseen(t).Lines[0].Text)
	require.Len(t, b.unseen(t).Lines, 1)
}

// Whoever puts a view in an output's place is told how the output gets its name back: nothing can be built or published there before.
func TestAnOutputWhoseNameSomethingElseHasGetsItBack(t *testing.T) {
	t.Parallel()
	for name, theirs := range map[string]string{
		"a view":  "CREATE VIEW fct_orders AS SELECT * FROM \"My orders\"",
		"a table": "CREATE TABLE fct_orders AS SELECT * FROM \"My orders\"",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			live := map[partition.Key]generation.Generation{}
			b.publish(t, b.again(t, shop(), 1, live, "2026-01-01", "2026-02-01")...)
			b.db.Exec(t, `ALTER TABLE fct_orders RENAME TO "My orders"; `+theirs)
			u := b.unseen(t)
			require.Len(t, u.Lines, 1, "%+v", u)
			require.Equal(t, "partitions of fct_orders are live, and something else has its name", u.Lines[0].Text)
			_, statements, found := strings.Cut(u.Lines[0].Remedy, "rename that, and the table back: ")
			require.True(t, found, u.Lines[0].Remedy)
			b.db.Exec(t, statements)
			require.Empty(t, b.unseen(t))
			b.publish(t, b.again(t, shop(), 2, live, "2026-01-01")...)
			require.Equal(t, "40.00", b.sum(t))
		})
	}
}
