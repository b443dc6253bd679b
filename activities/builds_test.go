package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// slow is a warehouse in which every build takes some time of its clock.
type slow struct {
	desk
	now   time.Time
	takes time.Duration
	built []partition.Key
}

func (s *slow) Build(_ context.Context, spec activities.BuildSpec, _ func(activities.Progress)) ([]activities.Built, error) {
	s.now = s.now.Add(s.takes)
	s.built = append(s.built, spec.Partition)
	return []activities.Built{{Generation: generation.Generation{Output: spec.Outputs[0], Partition: spec.Partition}}}, nil
}

func TestASliceThatTakesLongHandsOverAtTheEdgesOfItsPartitions(t *testing.T) {
	t.Parallel()
	days := []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"}
	for name, c := range map[string]struct {
		takes time.Duration
		calls [][]partition.Key
	}{
		"quick ones are one call":        {time.Second, [][]partition.Key{days}},
		"those of some seconds share it": {3 * time.Second, [][]partition.Key{days[:2], days[2:]}},
		"long ones have one each":        {time.Hour, [][]partition.Key{days[:1], days[1:2], days[2:3], days[3:]}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, w := setup(t), &slow{now: opened(), takes: c.takes}
			b.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return w, nil }
			in := activities.SliceInput{Target: target("prod"), Step: "slice-1"}
			for _, day := range days {
				in.Items = append(in.Items, generation.Item{Output: "fct_orders", Partition: day})
			}
			builds := &activities.Builds{Site: b.Site, Now: func() time.Time { return w.now }}
			var calls [][]partition.Key
			for {
				w.built = nil
				out, err := call(t, builds.BuildSlice, in)
				require.Nil(t, err)
				require.Len(t, out.Pieces, len(w.built))
				calls = append(calls, w.built)
				if in.From = out.Next; out.Next == 0 {
					break
				}
			}
			require.Equal(t, c.calls, calls)
		})
	}
}
