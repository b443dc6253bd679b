package turnback_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// Where runs keep rows that are live, a release cannot build again what several runs have brought: only what was live brings it back.
func TestWhereRowsAreKeptNothingIsBuiltInPlaceOfThem(t *testing.T) {
	t.Parallel()
	fresh := partition.Key("2026-01-03")
	for name, tc := range map[string]struct {
		then     func(h *history, g1, g2 int64) turnback.Facts
		key      partition.Key
		expected func(g1 int64) want
		says     string
	}{
		"what was live goes live again": {
			then:     func(h *history, _, _ int64) turnback.Facts { return h.to(1, "ta") },
			expected: func(g1 int64) want { return want{turnback.SwapBack, 4, g1} },
		},
		"a later run has added to it: a person decides": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.publishes(day, 2, "nightly", "ta")
				return h.to(1, "ta")
			},
			expected: func(int64) want { return want{turnback.Leave, 5, none} },
			says:     "--data snapshot goes back to what was live, and what later runs brought has to be run again",
		},
		"a person takes what was live": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.publishes(day, 2, "nightly", "ta")
				f := h.to(1, "ta")
				f.Snapshot = true
				return f
			},
			expected: func(g1 int64) want { return want{turnback.SwapBack, 5, g1} },
		},
		"what was live is dropped: nothing brings it back": {
			then: func(h *history, g1, _ int64) turnback.Facts {
				h.change(g1, func(g *turnback.Generation) { g.State = generation.Dropped })
				return h.to(1, "ta")
			},
			expected: func(int64) want { return want{turnback.Leave, 5, none} },
			says:     "can build only those of its files again",
		},
		"what was published first is built from its files": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.publishes(fresh, 2, "w2", "ta")
				return h.to(1, "ta")
			},
			key:      fresh,
			expected: func(int64) want { return want{turnback.Rebuild, 6, none} },
		},
		"what was published first, and a later run has added to": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.publishes(fresh, 2, "w2", "ta")
				h.publishes(fresh, 2, "nightly", "ta")
				return h.to(1, "ta")
			},
			key:      fresh,
			expected: func(int64) want { return want{turnback.Leave, 6, none} },
			says:     "--data snapshot",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, g1, g2 := two()
			f := tc.then(h, g1, g2)
			f.Keeps = true
			if tc.key == "" {
				tc.key = day
			}
			wants(t, h, f, tc.key, map[string]want{"ta": tc.expected(g1)})
			d := h.decide(f, tc.key)
			require.Contains(t, d.Items[0].Reason, tc.says)
			require.Equal(t, tc.says != "", d.Open(), "what is left is a person's to decide")
		})
	}
}

// An output that has its rows back by a swap is not built again beside one that has to be: it would lose those that were kept.
func TestWhereRowsAreKeptTheOutputsOfAPartitionGoBackEachInItsWay(t *testing.T) {
	t.Parallel()
	h := newHistory()
	h.deploys(1, "w1", "1.0.0")
	old := h.publishes(day, 1, "w1", "ta")
	h.deploys(2, "w2", "1.1.0")
	h.publishes(day, 2, "w2", "ta", "tb")
	f := h.to(1, "ta", "tb")
	f.Keeps = true
	wants(t, h, f, day, map[string]want{"ta": {turnback.SwapBack, 4, old}, "tb": {turnback.Rebuild, 6, none}})
}
