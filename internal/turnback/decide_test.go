package turnback_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

const (
	day  = partition.Key("2026-01-02")
	none = int64(0)
)

// want is what one output takes: the action, the rule, and what goes live again.
type want struct {
	action turnback.Action
	rule   int
	to     int64
}

func of(d turnback.Decision) map[string]want {
	got := map[string]want{}
	for _, it := range d.Items {
		got[it.Output] = want{it.Action, it.Case, it.To}
	}
	return got
}

// wants holds what a history takes against what is expected of the outputs of one partition.
func wants(t *testing.T, h *history, f turnback.Facts, key partition.Key, expected map[string]want) {
	t.Helper()
	d := h.decide(f, key)
	require.Equal(t, expected, of(d), "%+v", d.Items)
	for _, it := range d.Items {
		require.NotEmpty(t, it.Reason)
		require.Equal(t, h.slot(key, it.Output).Live, it.From)
	}
}

// two is 1.0.0 in tenure 1 and 1.1.0 in tenure 2, with one day published by both.
func two() (h *history, g1, g2 int64) {
	h = newHistory()
	h.deploys(1, "w1", "1.0.0")
	g1 = h.publishes(day, 1, "w1", "ta")
	h.deploys(2, "w2", "1.1.0")
	g2 = h.publishes(day, 2, "w2", "ta")
	return h, g1, g2
}

// dropped is what happened when housekeeping has dropped what was live under the release to go back to, which has one output.
func dropped(has string, snapshot bool) func(h *history, g1, g2 int64) turnback.Facts {
	return func(h *history, g1, _ int64) turnback.Facts {
		h.change(g1, func(g *turnback.Generation) { g.State = generation.Dropped })
		f := h.to(1, has)
		f.Snapshot = snapshot
		return f
	}
}

func TestTheEightCases(t *testing.T) {
	t.Parallel()
	// Case 1 is what nobody touched; each other case is two() and what happened then.
	cases := map[string]struct {
		then     func(h *history, g1, g2 int64) turnback.Facts
		expected func(g1, g2 int64) want
		open     bool
	}{
		"1: live is what was": {
			then: func(h *history, g1, _ int64) turnback.Facts {
				h.swap(day, "ta", 3, "x", turnback.KindTurnBack, g1)
				return h.to(1, "ta")
			},
			expected: func(_, _ int64) want { return want{turnback.Keep, 1, none} },
		},
		"2: a run of the target's release has published since": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.opens(3, "x", "1.0.0", release.ByTurnBack, 1)
				h.publishes(day, 3, "nightly", "ta")
				return h.to(1, "ta")
			},
			expected: func(_, _ int64) want { return want{turnback.Keep, 2, none} },
		},
		"2: the same release with another config is another state": {
			then: func(h *history, _, _ int64) turnback.Facts {
				other := h.deploys(3, "w3", "1.0.0")
				other.Config = "another"
				h.tenures[3] = other
				h.publishes(day, 3, "w3", "ta")
				return h.to(1, "ta")
			},
			expected: func(g1, _ int64) want { return want{turnback.SwapBack, 4, g1} },
		},
		"3: another workflow has published over the target's": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.deploys(3, "w3", "1.2.0")
				h.publishes(day, 3, "w3", "ta")
				return h.without("w2", 1, "ta")
			},
			expected: func(_, _ int64) want { return want{turnback.Leave, 3, none} },
		},
		"4: the deployment's own swap goes back, for a tenure": {
			then:     func(h *history, _, _ int64) turnback.Facts { return h.to(1, "ta") },
			expected: func(g1, _ int64) want { return want{turnback.SwapBack, 4, g1} },
		},
		"4: the deployment's own swap goes back, for a workflow": {
			then:     func(h *history, _, _ int64) turnback.Facts { return h.without("w2", 1, "ta") },
			expected: func(g1, _ int64) want { return want{turnback.SwapBack, 4, g1} },
		},
		"5: a later run of the bad release has newer data": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.publishes(day, 2, "nightly", "ta")
				return h.to(1, "ta")
			},
			expected: func(_, _ int64) want { return want{turnback.Rebuild, 5, none} },
		},
		"5: a later run of the bad release, for the workflow that deployed it": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.publishes(day, 2, "nightly", "ta")
				return h.without("w2", 1, "ta")
			},
			expected: func(_, _ int64) want { return want{turnback.Rebuild, 5, none} },
		},
		"5: a later run's data under a still later deployment is not lost either": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.publishes(day, 2, "nightly", "ta")
				h.deploys(3, "w3", "1.2.0")
				h.publishes(day, 3, "w3", "ta")
				return h.to(1, "ta")
			},
			expected: func(_, _ int64) want { return want{turnback.Rebuild, 5, none} },
		},
		"5: a later run with --data snapshot": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.publishes(day, 2, "nightly", "ta")
				f := h.to(1, "ta")
				f.Snapshot = true
				return f
			},
			expected: func(g1, _ int64) want { return want{turnback.SwapBack, 5, g1} },
		},
		"5: what was live is dropped": {
			then:     dropped("ta", false),
			expected: func(_, _ int64) want { return want{turnback.Rebuild, 5, none} },
		},
		"5: what was live lacks columns that came later": {
			then: func(h *history, g1, _ int64) turnback.Facts {
				h.change(g1, func(g *turnback.Generation) { g.NotReattachable = "it lacks the column tip" })
				return h.without("w2", 1, "ta")
			},
			expected: func(_, _ int64) want { return want{turnback.Rebuild, 5, none} },
		},
		"5: not even --data snapshot brings back what is dropped": {
			then:     dropped("ta", true),
			expected: func(_, _ int64) want { return want{turnback.Rebuild, 5, none} },
		},
		"5: dropped, and the target's release has no such output": {
			then:     dropped("tb", false),
			expected: func(_, _ int64) want { return want{turnback.Leave, 5, none} },
			open:     true,
		},
		"a person has detached it since": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.swap(day, "ta", 2, "ann", turnback.KindDetach, 0)
				return h.to(1, "ta")
			},
			expected: func(_, _ int64) want { return want{turnback.Leave, 0, none} },
		},
		"the swap log does not know what is live": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.slot(day, "ta").Live = 4711
				return h.to(1, "ta")
			},
			expected: func(_, _ int64) want { return want{turnback.Leave, 0, none} },
			open:     true,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, g1, g2 := two()
			f := c.then(h, g1, g2)
			wants(t, h, f, day, map[string]want{"ta": c.expected(g1, g2)})
			require.Equal(t, c.open, h.decide(f, day).Open())
		})
	}
}

// TestWhereNothingWasLive has the cases 6, 7 and 8: a day that 1.1.0 was the first to publish.
func TestWhereNothingWasLive(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		before   func(h *history) // under 1.0.0
		facts    func(h *history) turnback.Facts
		expected want
		open     bool
	}{
		"6: the target's release builds it": {
			facts: func(h *history) turnback.Facts { return h.to(1, "ta") }, expected: want{turnback.Rebuild, 6, none},
		},
		"6: for a workflow too": {
			facts: func(h *history) turnback.Facts { return h.without("w2", 1, "ta") }, expected: want{turnback.Rebuild, 6, none},
		},
		"6: --data snapshot detaches it": {
			facts: func(h *history) turnback.Facts {
				f := h.to(1, "ta")
				f.Snapshot = true
				return f
			}, expected: want{turnback.Detach, 6, none},
		},
		"7: the target's release has no such output": {
			facts: func(h *history) turnback.Facts { return h.to(1, "tb") }, expected: want{turnback.Leave, 7, none},
		},
		"7: a snapshot is no word about new outputs": {
			facts: func(h *history) turnback.Facts {
				f := h.to(1, "tb")
				f.Snapshot = true
				return f
			}, expected: want{turnback.Leave, 7, none},
		},
		"7: --detach-new-outputs": {
			facts: func(h *history) turnback.Facts {
				f := h.to(1, "tb")
				f.DetachNewOutputs = true
				return f
			}, expected: want{turnback.Detach, 7, none},
		},
		"8: a person had detached it": {
			before: func(h *history) {
				h.publishes(day, 1, "w1", "ta")
				h.swap(day, "ta", 1, "ann", turnback.KindDetach, 0)
			},
			facts: func(h *history) turnback.Facts { return h.to(1, "ta") }, expected: want{turnback.Detach, 8, none},
		},
		"8: for a workflow too, by itself": {
			before: func(h *history) {
				h.publishes(day, 1, "w1", "ta")
				h.swap(day, "ta", 1, "ann", turnback.KindDetach, 0)
			},
			facts: func(h *history) turnback.Facts { return h.without("w2", 1, "ta") }, expected: want{turnback.Detach, 8, none},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			h.deploys(1, "w1", "1.0.0")
			if c.before != nil {
				c.before(h)
			}
			h.deploys(2, "w2", "1.1.0")
			h.publishes(day, 2, "w2", "ta")
			f := c.facts(h)
			wants(t, h, f, day, map[string]want{"ta": c.expected})
			require.Equal(t, c.open, h.decide(f, day).Open())
		})
	}
}

// TestADetachIsRestoredOverTurnBacks: what a person detached stays so, however often it was published and turned back.
func TestADetachIsRestoredOverTurnBacks(t *testing.T) {
	t.Parallel()
	h, _, _ := two()
	h.swap(day, "ta", 2, "ann", turnback.KindDetach, 0)
	h.deploys(3, "w3", "1.2.0")
	h.publishes(day, 3, "w3", "ta")
	h.turnsBack(h.without("w3", 2, "ta"), 4, "u3")
	require.Zero(t, h.slot(day, "ta").Live)
	h.deploys(5, "w5", "1.3.0")
	h.publishes(day, 5, "w5", "ta")
	for _, f := range []turnback.Facts{h.to(4, "ta"), h.without("w5", 4, "ta")} {
		wants(t, h, f, day, map[string]want{"ta": {turnback.Detach, 8, none}})
	}
}

func TestCounterexamples(t *testing.T) {
	t.Parallel()
	t.Run("what ran between two steps of a deployment is not lost", func(t *testing.T) {
		t.Parallel()
		h, _, _ := two()
		g3 := h.build(day, "ta", 1, "nightly", turnback.KindPublish, h.tenures[1])
		h.publishes(day, 2, "w2", "ta")
		wants(t, h, h.to(1, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g3}})
		wants(t, h, h.without("w2", 1, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g3}})
	})
	t.Run("going back twice is no loop", func(t *testing.T) {
		t.Parallel()
		h, g1, _ := two()
		f := h.to(1, "ta")
		h.turnsBack(f, 3, "u")
		require.Equal(t, g1, h.slot(day, "ta").Live)
		wants(t, h, f, day, map[string]want{"ta": {turnback.Keep, 1, none}})
		wants(t, h, h.to(3, "ta"), day, map[string]want{"ta": {turnback.Keep, 1, none}})
		wants(t, h, h.without("w2", 1, "ta"), day, map[string]want{"ta": {turnback.Keep, 1, none}})
	})
	t.Run("what was turned back beneath does not come to life again", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		h.deploys(1, "w1", "1.0.0")
		g1 := h.publishes(day, 1, "w1", "ta")
		h.publishes(day, 1, "backfill1", "ta")
		h.publishes(day, 1, "backfill2", "ta")
		require.False(t, h.decide(h.without("backfill1", 1, "ta"), day).Changes(), "another has published over it")
		wants(t, h, h.without("backfill2", 1, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g1}})
	})
	t.Run("nor does a deployment that was turned back, when a tenure after it is the target", func(t *testing.T) {
		t.Parallel()
		h, g1, _ := two()
		h.opens(3, "u", "1.0.0", release.ByTurnBack, 1) // and it got stuck on this day
		h.deploys(4, "w4", "1.2.0")
		h.publishes(day, 4, "w4", "ta")
		wants(t, h, h.to(3, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g1}})
		wants(t, h, h.without("w4", 3, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g1}})
	})
	t.Run("what a turn-back kept, because it is of its release, is what comes back", func(t *testing.T) {
		t.Parallel()
		h, _, _ := two()
		h.deploys(3, "w3", "1.0.0")
		g3 := h.publishes(day, 3, "w3", "ta")
		h.turnsBack(h.to(1, "ta"), 4, "u") // to 1.0.0 as it was at first: g3 is newer, and stays
		require.Equal(t, g3, h.slot(day, "ta").Live)
		h.deploys(5, "w5", "1.2.0")
		h.publishes(day, 5, "w5", "ta")
		wants(t, h, h.to(4, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g3}})
		wants(t, h, h.without("w5", 4, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g3}})
	})
	t.Run("days that the target never touched keep their older release", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		h.deploys(1, "w1", "1.0.0")
		h.publishes(day, 1, "w1", "ta")
		h.deploys(2, "w2", "1.1.0") // publishes another day only
		h.deploys(3, "w3", "1.2.0")
		wants(t, h, h.to(2, "ta"), day, map[string]want{"ta": {turnback.Keep, 1, none}})
		wants(t, h, h.without("w3", 2, "ta"), day, map[string]want{"ta": {turnback.Keep, 1, none}})
	})
	t.Run("an older release beneath is what comes back", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		h.deploys(1, "w1", "1.0.0")
		g1 := h.publishes(day, 1, "w1", "ta")
		h.deploys(2, "w2", "1.1.0") // publishes another day only
		h.deploys(3, "w3", "1.2.0")
		h.publishes(day, 3, "w3", "ta")
		wants(t, h, h.to(2, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g1}})
	})
	t.Run("a rollback of a rollback goes to a sibling", func(t *testing.T) {
		t.Parallel()
		h, _, g2 := two()
		h.turnsBack(h.to(1, "ta"), 3, "u3")
		wants(t, h, h.to(2, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g2}})
		h.turnsBack(h.to(2, "ta"), 4, "u4")
		require.Equal(t, g2, h.slot(day, "ta").Live)
		// What was brought back counts as never turned back.
		h.turnedBack["w2"] = 3
		h.deploys(5, "w5", "1.2.0")
		h.publishes(day, 5, "w5", "ta")
		wants(t, h, h.without("w5", 4, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g2}})
		wants(t, h, h.to(4, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g2}})
	})
	t.Run("leftovers of an abandoned deployment under a later one go too", func(t *testing.T) {
		t.Parallel()
		h, g1, _ := two()
		abandoned := h.tenures[2]
		abandoned.Activated = false
		h.tenures[2] = abandoned
		h.deploys(3, "w3", "1.2.0")
		wants(t, h, h.to(1, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g1}})
		h.publishes(day, 3, "w3", "ta")
		wants(t, h, h.to(1, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g1}})
	})
	t.Run("a run's data between two things that were turned back is not lost", func(t *testing.T) {
		t.Parallel()
		h, _, _ := two()
		h.publishes(day, 2, "nightly", "ta")
		h.deploys(3, "w3", "1.0.0")
		h.publishes(day, 3, "w3", "ta")
		h.turnsBack(h.to(1, "ta"), 4, "u") // keeps what w3 has built of 1.0.0
		wants(t, h, h.without("w3", 4, "ta"), day, map[string]want{"ta": {turnback.Rebuild, 5, none}})
	})
	t.Run("a workflow's own turn-back publishes nothing of the workflow", func(t *testing.T) {
		t.Parallel()
		h, g1, _ := two()
		h.change(g1, func(g *turnback.Generation) { g.State = generation.Dropped })
		f := h.without("w2", 1, "ta")
		h.turnsBack(f, 3, "w2") // compensation runs under the workflow's own key
		wants(t, h, f, day, map[string]want{"ta": {turnback.Keep, 2, none}})
		h.publishes(day, 3, "nightly", "ta")
		wants(t, h, f, day, map[string]want{"ta": {turnback.Keep, 2, none}})
	})
	t.Run("a run turns back under the same release", func(t *testing.T) {
		t.Parallel()
		h := newHistory()
		h.deploys(1, "w1", "1.0.0")
		g1 := h.publishes(day, 1, "w1", "ta")
		h.publishes(day, 1, "run", "ta")
		wants(t, h, h.without("run", 1, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g1}})
	})
}

func TestAPartitionIsNeverSplit(t *testing.T) {
	t.Parallel()
	h := newHistory()
	h.deploys(1, "w1", "1.0.0")
	ta := h.publishes(day, 1, "w1", "ta")
	h.publishes(day, 1, "w1", "tb")
	h.swap(day, "td", 1, "ann", turnback.KindDetach, 0)
	h.deploys(2, "w2", "1.1.0")
	h.publishes(day, 2, "w2", "ta", "tb", "tc", "td")
	h.change(ta, func(g *turnback.Generation) { g.State = generation.Dropped })

	f := h.to(1, "ta", "tb", "td", "te")
	h.slot(day, "te") // an output of the target's that has nothing here
	d := h.decide(f, day)
	require.Equal(t, turnback.Rebuild, d.Action)
	got := of(d)
	require.Equal(t, turnback.Rebuild, got["ta"].action, "its generation is dropped")
	require.Equal(t, want{turnback.Rebuild, 4, none}, got["tb"], "it could go back by swap, and is built with ta")
	require.Equal(t, turnback.Leave, got["tc"].action, "the target has no such output")
	require.Equal(t, turnback.Detach, got["td"].action, "a person had detached it")
	require.Equal(t, turnback.Rebuild, got["te"].action, "one rebuild rebuilds all that the target has")

	h.apply(f, d, 3, "u")
	again := h.decide(f, day)
	require.False(t, again.Changes(), "%+v", again.Items)
}

// Both outputs of a day were published together twice; what becomes of the second time where one of them cannot go back as it was.
func TestWhereAnOutputIsLeftSoIsItsPartition(t *testing.T) {
	t.Parallel()
	const fill, run = "backfill/shop/prod/2026-01-01..2026-01-31/run", "run/shop/prod/2026-01-02/run"
	gone := func(h *history, ids ...int64) {
		for _, id := range ids {
			h.change(id, func(g *turnback.Generation) { g.NotReattachable = "its rows have changed" })
		}
	}
	filled := func(h *history, outputs ...string) turnback.Facts {
		h.publishes(day, 1, fill, outputs...)
		f := h.without(fill, 1, "ta", "tb")
		f.ByPerson = true
		return f
	}
	for name, c := range map[string]struct {
		then     func(h *history, ta, tb int64) turnback.Facts
		expected func(ta, tb int64) map[string]want
		open     bool
		with     string // the output that the others are left with
		newer    int    // of so many it is said that somebody's word takes them along
	}{
		"a backfill's, and one is gone": {
			then: func(h *history, _, tb int64) turnback.Facts {
				gone(h, tb)
				return filled(h, "ta", "tb")
			},
			expected: func(_, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.Leave, 4, none}, "tb": {turnback.Leave, 5, none}}
			},
			open: true, with: "tb",
		},
		"a backfill's, and one was published since": {
			then: func(h *history, _, _ int64) turnback.Facts {
				f := filled(h, "ta", "tb")
				h.publishes(day, 1, run, "ta")
				return f
			},
			expected: func(_, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.Leave, 3, none}, "tb": {turnback.Leave, 4, none}}
			},
			with: "ta", newer: 1,
		},
		"a backfill's, one was published since and the other is gone: no word helps": {
			then: func(h *history, _, tb int64) turnback.Facts {
				f := filled(h, "ta", "tb")
				h.publishes(day, 1, run, "ta")
				gone(h, tb)
				return f
			},
			expected: func(_, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.Leave, 3, none}, "tb": {turnback.Leave, 5, none}}
			},
			open: true,
		},
		"nor is it said that something is discarded, where it is left": {
			then: func(h *history, _, tb int64) turnback.Facts {
				f := filled(h, "ta", "tb")
				h.publishes(day, 1, run, "ta", "tb")
				gone(h, tb)
				f.Snapshot = true
				return f
			},
			expected: func(_, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.Leave, 4, none}, "tb": {turnback.Leave, 5, none}}
			},
			open: true, with: "tb",
		},
		"what a backfill was the first to publish is not taken away from what is left": {
			then: func(h *history, ta, _ int64) turnback.Facts {
				gone(h, ta)
				return filled(h, "ta", "tc")
			},
			expected: func(_, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.Leave, 5, none}, "tb": {turnback.Keep, 1, none}, "tc": {turnback.Leave, 6, none}}
			},
			open: true, with: "ta",
		},
		"what is as it was holds nothing, and is held by nothing": {
			then: func(h *history, _, tb int64) turnback.Facts {
				gone(h, tb)
				return filled(h, "ta")
			},
			expected: func(ta, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.SwapBack, 4, ta}, "tb": {turnback.Keep, 1, none}}
			},
		},
		"a release's, and the log does not know one": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.deploys(2, "w2", "1.1.0")
				h.publishes(day, 2, "w2", "ta", "tb")
				h.slot(day, "tb").Live = 4711
				return h.to(1, "ta", "tb")
			},
			expected: func(_, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.Leave, 4, none}, "tb": {turnback.Leave, 0, none}}
			},
			open: true, with: "tb",
		},
		"what would be built again is left with it too": {
			then: func(h *history, ta, _ int64) turnback.Facts {
				gone(h, ta)
				h.deploys(2, "w2", "1.1.0")
				h.publishes(day, 2, "w2", "ta", "tb")
				h.slot(day, "tb").Live = 4711
				return h.to(1, "ta", "tb")
			},
			expected: func(_, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.Leave, 5, none}, "tb": {turnback.Leave, 0, none}}
			},
			open: true, with: "tb",
		},
		"a release's, and one is gone: both are built again": {
			then: func(h *history, _, tb int64) turnback.Facts {
				gone(h, tb)
				h.deploys(2, "w2", "1.1.0")
				h.publishes(day, 2, "w2", "ta", "tb")
				return h.to(1, "ta", "tb")
			},
			expected: func(_, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.Rebuild, 4, none}, "tb": {turnback.Rebuild, 5, none}}
			},
		},
		"an output that the release to go back to does not have holds none of its own": {
			then: func(h *history, _, tb int64) turnback.Facts {
				gone(h, tb)
				h.deploys(2, "w2", "1.1.0")
				h.publishes(day, 2, "w2", "ta", "tb")
				return h.to(1, "ta")
			},
			expected: func(ta, _ int64) map[string]want {
				return map[string]want{"ta": {turnback.SwapBack, 4, ta}, "tb": {turnback.Leave, 5, none}}
			},
			open: true,
		},
		"nor does what a later release has published, which may lack the others": {
			then: func(h *history, _, _ int64) turnback.Facts {
				h.deploys(2, "w2", "1.1.0")
				h.publishes(day, 2, "w2", "ta", "tb")
				h.deploys(3, "w3", "1.2.0")
				h.publishes(day, 3, "w3", "ta")
				return h.without("w2", 1, "ta", "tb")
			},
			expected: func(_, tb int64) map[string]want {
				return map[string]want{"ta": {turnback.Leave, 3, none}, "tb": {turnback.SwapBack, 4, tb}}
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			h.deploys(1, "w1", "1.0.0")
			ta := h.publishes(day, 1, "w1", "ta")
			tb := h.publishes(day, 1, "w1", "tb")
			f := c.then(h, ta, tb)
			d := h.decide(f, day)
			wants(t, h, f, day, c.expected(ta, tb))
			require.Equal(t, c.open, d.Open())
			newer := 0
			for _, it := range d.Items {
				if it.Newer != 0 {
					newer++
				}
				if c.with != "" && it.Action == turnback.Leave && it.Output != c.with {
					require.Contains(t, it.Reason, "left with "+c.with+": ")
				}
			}
			require.Equal(t, c.newer, newer)
			h.apply(f, d, 9, "u")
			require.Equal(t, c.open, h.decide(f, day).Open(), "asked again it says the same")
			require.False(t, h.decide(f, day).Changes())
		})
	}
}

func TestAWholeOutputGoesBackOnItsOwn(t *testing.T) {
	t.Parallel()
	h := newHistory()
	h.deploys(1, "w1", "1.0.0")
	g1 := h.publishes(day, 1, "w1", "ta")
	h.publishes(partition.AllKey, 1, "w1", "dim")
	h.deploys(2, "w2", "1.1.0")
	h.publishes(day, 2, "w2", "ta")
	h.publishes(partition.AllKey, 2, "w2", "dim")
	h.publishes("2026-01-03", 2, "nightly", "ta")
	h.publishes(partition.AllKey, 2, "nightly", "dim")

	f := h.to(1, "ta", "dim")
	wants(t, h, f, day, map[string]want{"ta": {turnback.SwapBack, 4, g1}})
	wants(t, h, f, "2026-01-03", map[string]want{"ta": {turnback.Rebuild, 6, none}})
	wants(t, h, f, partition.AllKey, map[string]want{"dim": {turnback.Rebuild, 5, none}})
	require.Contains(t, h.decide(f, partition.AllKey).Items[0].Reason, "newer than the other partitions")
	require.NotContains(t, h.decide(f, "2026-01-03").Items[0].Reason, "newer than the other partitions")

	// From a half state: the days are back, a run of the target's release has taken the dimension along.
	h.opens(3, "u", "1.0.0", release.ByTurnBack, 1)
	h.apply(f, h.decide(f, day), 3, "u")
	h.publishes(partition.AllKey, 3, "nightly2", "dim")
	wants(t, h, f, day, map[string]want{"ta": {turnback.Keep, 1, none}})
	wants(t, h, f, partition.AllKey, map[string]want{"dim": {turnback.Keep, 2, none}})
	wants(t, h, f, "2026-01-03", map[string]want{"ta": {turnback.Rebuild, 6, none}})
}

func TestAFirstRelease(t *testing.T) {
	t.Parallel()
	h := newHistory()
	h.deploys(1, "w1", "1.0.0")
	g1 := h.publishes(day, 1, "w1", "ta")
	f := h.without("w1", 0, "ta")
	wants(t, h, f, day, map[string]want{"ta": {turnback.Leave, 6, none}})
	require.True(t, h.decide(f, day).Open(), "it waits for a person")
	f.DetachNewOutputs, f.Snapshot = true, true
	wants(t, h, f, day, map[string]want{"ta": {turnback.Leave, 6, none}})
	f = h.without("w1", 0, "ta")
	f.ByPerson = true
	wants(t, h, f, day, map[string]want{"ta": {turnback.Detach, 6, none}})

	// Whatever was turned back can be brought back, also when nothing is active.
	h.turnsBack(f, 2, "u")
	require.Zero(t, h.slot(day, "ta").Live)
	wants(t, h, f, day, map[string]want{"ta": {turnback.Keep, 1, none}})
	wants(t, h, h.to(1, "ta"), day, map[string]want{"ta": {turnback.SwapBack, 4, g1}})

	// The next one is a first release again, though the log has swaps.
	h.deploys(3, "w3", "1.1.0")
	h.publishes(day, 3, "w3", "ta")
	wants(t, h, h.without("w3", 2), day, map[string]want{"ta": {turnback.Leave, 6, none}})
}

func TestAReleaseThatDroppedAnOutput(t *testing.T) {
	t.Parallel()
	h := newHistory()
	h.deploys(1, "w1", "1.0.0")
	ta := h.publishes(day, 1, "w1", "ta")
	tb := h.publishes(day, 1, "w1", "tb")
	h.deploys(2, "w2", "1.1.0") // has ta only; tb stays as it was
	h.publishes(day, 2, "w2", "ta")
	// Back to the one that has both: what 1.1.0 never touched is as it was.
	wants(t, h, h.to(1, "ta", "tb"), day, map[string]want{"ta": {turnback.SwapBack, 4, ta}, "tb": {turnback.Keep, 1, none}})
	// And from a later one that has both again to the one that lacks tb: tb of 1.0.0 was live then.
	h.deploys(3, "w3", "1.2.0")
	h.publishes(day, 3, "w3", "ta", "tb")
	f := h.to(2, "ta")
	d := h.decide(f, day)
	require.Equal(t, want{turnback.SwapBack, 4, tb}, of(d)["tb"])
	// From a half state of an older Drawbridge, or of a person's hand: ta is back, tb is not.
	h.apply(f, turnback.Decision{Partition: day, Items: d.Items[:1]}, 4, "u")
	wants(t, h, f, day, map[string]want{"ta": {turnback.Keep, 1, none}, "tb": {turnback.SwapBack, 4, tb}})
}

func TestAReleaseThatCameWithANewOutput(t *testing.T) {
	t.Parallel()
	h, g1, _ := two()
	h.publishes(day, 2, "w2", "tnew")
	f := h.to(1, "ta")
	wants(t, h, f, day, map[string]want{"ta": {turnback.SwapBack, 4, g1}, "tnew": {turnback.Leave, 7, none}})
	require.False(t, h.decide(f, day).Open(), "it is listed, and nothing is wrong")
	f.DetachNewOutputs = true
	wants(t, h, f, day, map[string]want{"ta": {turnback.SwapBack, 4, g1}, "tnew": {turnback.Detach, 7, none}})
	h.turnsBack(f, 3, "u")
	require.False(t, h.decide(f, day).Changes())
}

// What a backfill published goes back to exactly what was there. The same release would build the same again, so nothing is rebuilt,
// and what somebody published since stays, and is said.
func TestABackfillGoesBackToWhatWasThere(t *testing.T) {
	t.Parallel()
	const fill, run = "backfill/shop/prod/2026-01-01..2026-01-31/run", "run/shop/prod/2026-01-02/run"
	for name, c := range map[string]struct {
		history func(h *history) (was int64)
		change  func(h *history, was int64)
		turned  string // a workflow that was turned back before
		force   bool
		want    func(was int64) want
		open    bool
		newer   bool // it is said whose publish it is about
	}{
		"it goes back": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			want:    func(was int64) want { return want{turnback.SwapBack, 4, was} },
		},
		"what was live is dropped": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			change: func(h *history, was int64) {
				h.change(was, func(g *turnback.Generation) { g.State = generation.Dropped })
			},
			want: func(int64) want { return want{turnback.Leave, 5, none} }, open: true,
		},
		"nothing was live": {
			history: func(*history) int64 { return none },
			want:    func(int64) want { return want{turnback.Detach, 6, none} },
		},
		"a turn-back had left what was live": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			turned:  "w1",
			want:    func(was int64) want { return want{turnback.SwapBack, 4, was} },
		},
		"a run published since": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			change:  func(h *history, _ int64) { h.publishes(day, 1, run, "ta") },
			want:    func(int64) want { return want{turnback.Leave, 3, none} }, newer: true,
		},
		"a run published since, and a person wants it back": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			change:  func(h *history, _ int64) { h.publishes(day, 1, run, "ta") },
			force:   true,
			want:    func(was int64) want { return want{turnback.SwapBack, 4, was} }, newer: true,
		},
		"a later release published since, and a person wants it back": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			change: func(h *history, _ int64) {
				h.deploys(2, "w2", "1.1.0")
				h.publishes(day, 2, "w2", "ta")
			},
			force: true,
			want:  func(was int64) want { return want{turnback.SwapBack, 4, was} }, newer: true,
		},
		"a run published where nothing was, and a person wants it back": {
			history: func(*history) int64 { return none },
			change:  func(h *history, _ int64) { h.publishes(day, 1, run, "ta") },
			force:   true,
			want:    func(int64) want { return want{turnback.Detach, 6, none} }, newer: true,
		},
		"a run published since, and what was live is dropped": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			change: func(h *history, was int64) {
				h.publishes(day, 1, run, "ta")
				h.change(was, func(g *turnback.Generation) { g.State = generation.Dropped })
			},
			want: func(int64) want { return want{turnback.Leave, 3, none} },
		},
		"what is dropped goes back for nobody": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			change: func(h *history, was int64) {
				h.publishes(day, 1, run, "ta")
				h.change(was, func(g *turnback.Generation) { g.State = generation.Dropped })
			},
			force: true,
			want:  func(int64) want { return want{turnback.Leave, 5, none} }, open: true,
		},
		"what was published after it went back is nobody's to discard": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			change: func(h *history, was int64) {
				h.swap(day, "ta", 1, "u", turnback.KindTurnBack, was)
				h.publishes(day, 1, run, "ta")
			},
			force: true,
			want:  func(int64) want { return want{turnback.Leave, 3, none} },
		},
		"what a person has detached since stays so": {
			history: func(h *history) int64 { return h.publishes(day, 1, "w1", "ta") },
			change:  func(h *history, _ int64) { h.swap(day, "ta", 1, "u", turnback.KindDetach, none) },
			force:   true,
			want:    func(int64) want { return want{turnback.Leave, 0, none} },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory()
			h.deploys(1, "w1", "1.0.0")
			was := c.history(h)
			h.publishes(day, 1, fill, "ta")
			if c.change != nil {
				c.change(h, was)
			}
			f := h.without(fill, 1, "ta")
			f.ByPerson, f.Snapshot = true, c.force
			if c.turned != "" {
				f.TurnedBack = map[string]int64{c.turned: 1}
			}
			wants(t, h, f, day, map[string]want{"ta": c.want(was)})
			d := h.decide(f, day)
			require.Equal(t, c.open, d.Open())
			require.Equal(t, c.newer, d.Items[0].Newer != 0)
			if c.newer {
				require.Equal(t, d.Items[0].From, d.Items[0].Newer)
				require.Contains(t, d.Items[0].Reason, "since")
			}
		})
	}
}

// Whoever turned single partitions back since has decided about them: none of them moves, and it is said where that is something else
// than what was there before.
func TestWhatWasDecidedAboutOnePartitionOfABackfillSinceStays(t *testing.T) {
	t.Parallel()
	const fill, person = "backfill/shop/prod/2026-01-01..2026-01-31/run", "rollback/shop/prod/person"
	for name, c := range map[string]struct {
		to    func(oldest, was, built int64) int64 // what the person made live
		moves bool
		away  bool
	}{
		"back to what was there before":  {to: func(_, was, _ int64) int64 { return was }},
		"back to what was there earlier": {to: func(oldest, _, _ int64) int64 { return oldest }, away: true},
		"to nothing":                     {to: func(_, _, _ int64) int64 { return none }, away: true},
		"away, and to it again":          {to: func(_, _, built int64) int64 { return built }, moves: true},
	} {
		for _, force := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, force %t", name, force), func(t *testing.T) {
				t.Parallel()
				h := newHistory()
				h.deploys(1, "w1", "1.0.0")
				oldest := h.publishes(day, 1, "w1", "ta")
				was := h.publishes(day, 1, "run1", "ta")
				built := h.publishes(day, 1, fill, "ta")
				h.opens(2, person, "1.0.0", release.ByTurnBack, 1)
				h.swap(day, "ta", 2, person, turnback.KindTurnBack, oldest)
				if to := c.to(oldest, was, built); to != oldest {
					h.swap(day, "ta", 2, person, turnback.KindTurnBack, to)
				}
				f := h.without(fill, 1, "ta")
				f.ByPerson, f.Snapshot = true, force
				d := h.decide(f, day)
				require.Equal(t, c.moves, d.Changes(), "%+v", d)
				require.Equal(t, c.away, d.Items[0].Away)
				tally := turnback.Tally{}.Add(d, d.Changes())
				require.Equal(t, c.away, tally.Away == 1)
				require.Equal(t, tally.Away*2, tally.Plus(tally).Away)
				if !c.moves {
					require.Contains(t, d.Items[0].Reason, "rollback/shop/prod has taken away what the backfill published here")
				}
			})
		}
	}
}

// What becomes of a day that was there, and was built again by a backfill, or by two one after another.
func TestOfTwoBackfillsEachGoesBackToWhatWasNotTurnedBack(t *testing.T) {
	t.Parallel()
	const first, second = "backfill/shop/prod/2026-01-01..2026-01-05/one", "backfill/shop/prod/2026-01-03..2026-01-07/two"
	const run = "run/shop/prod/2026-01-03/run"
	const was, one, two = int64(1), int64(3), int64(5) // the generations, where nothing is between them
	back := func(h *history, workflow string, force bool) turnback.Facts {
		f := h.without(workflow, 1, "ta")
		f.ByPerson, f.Snapshot = true, force
		return f
	}
	rolls := func(h *history, tenure int64, workflow string, force bool) {
		h.turnsBack(back(h, workflow, force), tenure, "rollback/"+workflow)
	}
	fills := func(h *history, tenure int64, workflow string) int64 { return h.publishes(day, tenure, workflow, "ta") }
	for name, c := range map[string]struct {
		then   func(h *history) // after the day was published, and the first backfill has built it again
		turned string           // the backfill that is turned back
		plain  want             // without force
		forced want
		live   int64  // what is live afterwards with force
		says   string // in both
		newer  bool   // it is said that force takes it along
	}{
		"the first, and then the second": {
			then:   func(h *history) { fills(h, 1, second); rolls(h, 2, first, false) },
			turned: second, plain: want{turnback.SwapBack, 4, was}, forced: want{turnback.SwapBack, 4, was}, live: was,
		},
		"the first with force, and then the second": {
			then:   func(h *history) { fills(h, 1, second); rolls(h, 2, first, true) },
			turned: second, plain: want{turnback.Keep, 1, none}, forced: want{turnback.Keep, 1, none}, live: was,
			says: "rollback/backfill/shop/prod/2026-01-01..2026-01-05 has taken away what the backfill published here",
		},
		"the second, and then the first": {
			then:   func(h *history) { fills(h, 1, second); rolls(h, 2, second, false) },
			turned: first, plain: want{turnback.SwapBack, 4, was}, forced: want{turnback.SwapBack, 4, was}, live: was,
		},
		"the second with force, and then the first": {
			then:   func(h *history) { fills(h, 1, second); rolls(h, 2, second, true) },
			turned: first, plain: want{turnback.SwapBack, 4, was}, forced: want{turnback.SwapBack, 4, was}, live: was,
		},
		"the first with force, and the first again": {
			then:   func(h *history) { fills(h, 1, second); rolls(h, 2, first, true) },
			turned: first, plain: want{turnback.Keep, 1, none}, forced: want{turnback.Keep, 1, none}, live: was,
			says: "it is as it was",
		},
		"the first was turned back before the second was built": {
			then:   func(h *history) { rolls(h, 2, first, false); fills(h, 2, second) },
			turned: second, plain: want{turnback.SwapBack, 4, was}, forced: want{turnback.SwapBack, 4, was}, live: was,
		},
		"the first's rollback had left it when the second was built": {
			then: func(h *history) {
				h.change(was, func(g *turnback.Generation) { g.NotReattachable = "its rows have changed" })
				rolls(h, 2, first, false)
				fills(h, 2, second)
			},
			turned: second, plain: want{turnback.SwapBack, 4, one}, forced: want{turnback.SwapBack, 4, one}, live: one,
			says: "which an earlier rollback of backfill/shop/prod/2026-01-01..2026-01-05 had left",
		},
		"a run published after the first with force": {
			then:   func(h *history) { fills(h, 1, second); rolls(h, 2, first, true); fills(h, 2, run) },
			turned: second, plain: want{turnback.Leave, 3, none}, forced: want{turnback.Leave, 3, none}, live: 8,
			says: "published by run/shop/prod/2026-01-03 since it went back",
		},
		"the pipeline went back to what was before both": {
			then: func(h *history) {
				fills(h, 1, second)
				h.opens(2, "rollback/shop/prod/u", "1.0.0", release.ByTurnBack, 1)
				h.swap(day, "ta", 2, "rollback/shop/prod/u", turnback.KindTurnBack, was)
			},
			turned: first, plain: want{turnback.Keep, 1, none}, forced: want{turnback.Keep, 1, none}, live: was,
			says: "rollback/shop/prod has taken away what the backfill published here",
		},
		"a person took the day back to the first's": {
			then: func(h *history) {
				fills(h, 1, second)
				h.opens(2, "rollback/shop/prod/u", "1.0.0", release.ByTurnBack, 1)
				h.swap(day, "ta", 2, "rollback/shop/prod/u", turnback.KindTurnBack, one)
			},
			turned: first, plain: want{turnback.SwapBack, 4, was}, forced: want{turnback.SwapBack, 4, was}, live: was,
		},
		"a person took the day away": {
			then: func(h *history) {
				fills(h, 1, second)
				h.opens(2, "rollback/shop/prod/u", "1.0.0", release.ByTurnBack, 1)
				h.swap(day, "ta", 2, "rollback/shop/prod/u", turnback.KindTurnBack, none)
			},
			turned: first, plain: want{turnback.Keep, 1, none}, forced: want{turnback.Keep, 1, none},
			says: "rollback/shop/prod has taken away what the backfill published here: nothing is live",
		},
		"what was published over the first came back, when more had been": {
			then: func(h *history) {
				fills(h, 1, second)
				fills(h, 1, run)
				h.opens(2, "rollback/shop/prod/u", "1.0.0", release.ByTurnBack, 1)
				h.swap(day, "ta", 2, "rollback/shop/prod/u", turnback.KindTurnBack, two)
			},
			turned: first, plain: want{turnback.Leave, 3, none}, forced: want{turnback.SwapBack, 4, was}, live: was,
			says: "published by backfill/shop/prod/2026-01-03..2026-01-07 since", newer: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for force, expected := range map[bool]want{false: c.plain, true: c.forced} {
				h := newHistory()
				h.deploys(1, "w1", "1.0.0")
				h.publishes(day, 1, "w1", "ta")
				fills(h, 1, first)
				c.then(h)
				f := back(h, c.turned, force)
				wants(t, h, f, day, map[string]want{"ta": expected})
				it := h.decide(f, day).Items[0]
				require.Contains(t, it.Reason, c.says)
				require.Equal(t, c.newer, it.Newer != 0)
				require.Equal(t, it.Action == turnback.SwapBack && it.To == one, it.Remnant)
				h.turnsBack(f, 9, "u")
				if force {
					require.Equal(t, c.live, h.slot(day, "ta").Live)
				}
				require.False(t, h.decide(f, day).Changes(), "done is done")
			}
		})
	}
}
