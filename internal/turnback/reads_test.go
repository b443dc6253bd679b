package turnback_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/turnback"
)

func TestWhatIsReadOfALedgerIsAllThatADecisionNeeds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := draw(t)
		f, ok := d.target(t)
		if !ok {
			return
		}
		for key, slots := range d.slots {
			part := f
			part.Generations = map[int64]turnback.Generation{}
			for _, s := range slots {
				for _, id := range f.Reads(*s) {
					part.Generations[id] = d.generations[id]
				}
			}
			require.Equal(t, d.decide(f, key), d.decide(part, key))
		}
	})
}

// However often a partition was built before and after a backfill, what was there before is two generations.
func TestOfWhatWasThereBeforeABackfillNothingIsReadButWhatItReplaced(t *testing.T) {
	t.Parallel()
	h := newHistory()
	k := h.deploys(1, "deploy", "1.0.0")
	for i := range 30 {
		h.publishes("2026-01-01", 1, fmt.Sprintf("run%d", i), "ta")
	}
	const fill = "backfill/shop/prod/2026-01-01..2026-01-01"
	replaced := h.slot("2026-01-01", "ta").Live
	built := h.publishes("2026-01-01", 1, fill, "ta")
	f := h.facts(turnback.Target{Owner: fill}, k.Number, []string{"ta"})
	require.ElementsMatch(t, []int64{replaced, built}, f.Reads(*h.slot("2026-01-01", "ta")))
	since := h.publishes("2026-01-01", 1, "run", "ta")
	require.ElementsMatch(t, []int64{replaced, built, since}, f.Reads(*h.slot("2026-01-01", "ta")))
	f.Target = turnback.Target{Tenure: 1}
	require.Len(t, f.Reads(*h.slot("2026-01-01", "ta")), 32, "of a tenure all of them say whose they are")
}
