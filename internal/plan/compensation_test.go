package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

func TestCompensation(t *testing.T) {
	t.Parallel()
	good := release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:good"}
	bad := release.Release{Pipeline: "shop", Version: "1.1.0", Digest: "sha256:bad"}
	other := release.Release{Pipeline: "shop", Version: "2.0.0", Digest: "sha256:other"}
	live := func(id int64, r release.Release) *generation.Generation {
		return &generation.Generation{ID: id, State: generation.Live, Release: r}
	}
	retired := func(id int64) *generation.Generation {
		return &generation.Generation{ID: id, State: generation.Retired, Release: good}
	}
	lost := retired(1)
	lost.NotReattachable = "column amount was dropped"
	gone := retired(1)
	gone.State = generation.Dropped

	for name, c := range map[string]struct {
		held     plan.Held
		to       *release.Release
		snapshot bool
		want     plan.UndoKind // empty: no item
		goesTo   int64
	}{
		"ours swaps back to what was live before":         {held: plan.Held{Standing: plan.Ours, Live: live(2, bad), Before: retired(1)}, to: &good, want: plan.UndoSwapBack, goesTo: 1},
		"swapping back needs no release that could build": {held: plan.Held{Standing: plan.Ours, Live: live(2, bad), Before: retired(1)}, want: plan.UndoSwapBack, goesTo: 1},
		"republished by the bad release is rebuilt":       {held: plan.Held{Standing: plan.Republished, Live: live(3, bad), Before: retired(1)}, to: &good, want: plan.UndoRebuild},
		"republished goes back to the snapshot on demand": {held: plan.Held{Standing: plan.Republished, Live: live(3, bad), Before: retired(1)}, to: &good, snapshot: true, want: plan.UndoSwapBack, goesTo: 1},
		"a newer release's data is left":                  {held: plan.Held{Standing: plan.Foreign, Live: live(4, other), Before: retired(1)}, to: &good, want: plan.UndoLeave},
		"a newer release's data is left on a snapshot":    {held: plan.Held{Standing: plan.Foreign, Live: live(4, other), Before: retired(1)}, to: &good, snapshot: true, want: plan.UndoLeave},
		"without a predecessor the old release rebuilds":  {held: plan.Held{Standing: plan.Ours, Live: live(2, bad)}, to: &good, want: plan.UndoRebuild},
		"without a predecessor a snapshot detaches":       {held: plan.Held{Standing: plan.Ours, Live: live(2, bad)}, to: &good, snapshot: true, want: plan.UndoDetach},
		"the first release of all is detached":            {held: plan.Held{Standing: plan.Ours, Live: live(2, bad)}, want: plan.UndoDetach},
		"a predecessor that cannot return is rebuilt":     {held: plan.Held{Standing: plan.Ours, Live: live(2, bad), Before: lost}, to: &good, want: plan.UndoRebuild},
		"a dropped predecessor is rebuilt":                {held: plan.Held{Standing: plan.Ours, Live: live(2, bad), Before: gone}, to: &good, want: plan.UndoRebuild},
		"what nobody can rebuild is left, not detached":   {held: plan.Held{Standing: plan.Ours, Live: live(2, bad), Before: gone}, want: plan.UndoLeave},
		"a partition that is back has no item":            {held: plan.Held{Standing: plan.Foreign, Live: live(1, good), Before: live(1, good)}, to: &good},
		"a partition that was rebuilt has no item":        {held: plan.Held{Standing: plan.Foreign, Live: live(5, good), Before: retired(1)}, to: &good},
		"nothing before and nothing now has no item":      {held: plan.Held{Standing: plan.Foreign}, to: &good},
		"what somebody detached is left":                  {held: plan.Held{Standing: plan.Foreign, Before: retired(1)}, to: &good, want: plan.UndoLeave},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			items := plan.Compensation(c.to, []plan.Held{c.held}, c.snapshot)
			if c.want == "" {
				require.Empty(t, items)
				return
			}
			require.Len(t, items, 1)
			require.Equal(t, c.want, items[0].Kind, items[0].Reason)
			require.Equal(t, c.goesTo, items[0].To)
			require.NotEmpty(t, items[0].Reason)
		})
	}
}
