package turnback

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
)

// publishes is a log of one partition with outputs a and b: each step swaps what it names, in one transaction.
func publishes(steps ...[]placed) []Slot {
	logs := map[string][]Swap{}
	live := map[string]int64{}
	id := int64(0)
	for _, step := range steps {
		for _, x := range step {
			id++
			x.ID, x.From = id, live[x.output]
			live[x.output] = x.To
			logs[x.output] = append(logs[x.output], x.Swap)
		}
	}
	return []Slot{{Output: "a", Live: live["a"], Swaps: logs["a"]}, {Output: "b", Live: live["b"], Swaps: logs["b"]}}
}

func swapped(owner string, tenure int64, kind, output string, to int64) placed {
	return placed{output: output, Swap: Swap{Owner: owner, Tenure: tenure, Kind: kind, To: to}}
}

func TestTheOutputsOfAPartitionGoBackToWhatWasLiveTogether(t *testing.T) {
	t.Parallel()
	both := func(owner string, tenure, a, b int64) []placed {
		return []placed{swapped(owner, tenure, "publish", "a", a), swapped(owner, tenure, "publish", "b", b)}
	}
	first, second, third := both("run/1", 1, 11, 12), both("run/2", 1, 21, 22), both("run/3", 1, 31, 32)
	for name, tc := range map[string]struct {
		log        [][]placed
		generation int64
		tenure     int64
		want       map[string]int64
	}{
		"right before":                         {[][]placed{first, second}, 11, 0, map[string]int64{"a": 11, "b": 12}},
		"by whichever of them is named":        {[][]placed{first, second}, 12, 0, map[string]int64{"a": 11, "b": 12}},
		"further back":                         {[][]placed{first, second, third}, 11, 0, map[string]int64{"a": 11, "b": 12}},
		"one workflow that published twice":    {[][]placed{first, both("run/1", 1, 21, 22)}, 12, 0, map[string]int64{"a": 11, "b": 12}},
		"an output that came later has none":   {[][]placed{{first[0]}, second}, 11, 0, map[string]int64{"a": 11}},
		"one that was taken away then":         {[][]placed{first, {swapped("rollback", 2, "detach", "b", 0)}, {swapped("run/2", 2, "publish", "a", 21)}}, 11, 0, map[string]int64{"a": 11}},
		"its own swaps do not count":           {[][]placed{first, second, {swapped("rollback", 2, "turn_back", "a", 11)}}, 11, 2, map[string]int64{"a": 11, "b": 12}},
		"nor when they are done":               {[][]placed{first, second, {swapped("rollback", 2, "turn_back", "a", 11), swapped("rollback", 2, "turn_back", "b", 12)}}, 11, 2, map[string]int64{"a": 11, "b": 12}},
		"what is live is none to go back to":   {[][]placed{first, second}, 21, 0, nil},
		"neither is what was never live there": {[][]placed{first, second}, 99, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			was, ok := Together(publishes(tc.log...), tc.generation, tc.tenure)
			require.Equal(t, tc.want != nil, ok)
			require.Equal(t, tc.want, was)
		})
	}
}

func TestAPartitionOfWhichAnOutputCannotBeLiveAgainStays(t *testing.T) {
	t.Parallel()
	publish := func(owner string, a, b int64) []placed {
		return []placed{swapped(owner, 1, "publish", "a", a), swapped(owner, 1, "publish", "b", b)}
	}
	slots := publishes(publish("run/1", 11, 12), publish("run/2", 21, 22))
	f := Facts{Generations: map[int64]Generation{11: {ID: 11, State: generation.Retired}, 12: {ID: 12, State: generation.Retired}}}
	require.Equal(t, SwapBack, DecideTogether(f, "2026-01-01", slots, 11, 0).Action)

	f.Generations[12] = Generation{ID: 12, State: generation.Dropped}
	d := DecideTogether(f, "2026-01-01", slots, 11, 0)
	require.Equal(t, Leave, d.Action)
	require.True(t, d.Open())
	require.Equal(t, "left with b: "+d.Items[1].Reason, d.Items[0].Reason)
	require.Contains(t, d.Items[1].Reason, "generation 12, which was live, is dropped")
}
