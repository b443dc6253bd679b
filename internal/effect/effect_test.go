package effect_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
)

const run = "0192f0c1-8f6e-7c3a-9a51-0e5d6f7a8b9c"

func TestAKeyIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[a-z][a-z0-9_.+-]{0,12}`)
		id := word.Draw(t, "kind") + "/" + word.Draw(t, "pipeline") + "/" + word.Draw(t, "version")
		k := effect.Key{
			Owner: effect.OwnerOf(id, run), Environment: word.Draw(t, "environment"), Step: word.Draw(t, "step"),
			Partition: partition.Key(rapid.SampledFrom([]string{"", "all", "2026-01-31", "-100", "2026-W05"}).Draw(t, "partition")),
			Round:     rapid.IntRange(0, 99).Draw(t, "round"),
		}
		read, err := effect.Parse(k.String())
		require.NoError(t, err)
		require.Equal(t, k, read)
		require.Equal(t, id, read.Owner.Workflow())
		require.True(t, read.Under(effect.OwnerOf(id, run)))
	})
}

func TestWhatIsNoKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "deploy/shop", "deploy/shop/" + run, run + "/prod/publish/-/0", "deploy/shop/" + run + "/prod/publish/-/x", "deploy/shop/" + run + "/prod/publish/-/-1"} {
		_, err := effect.Parse(text)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), text)
	}
}
