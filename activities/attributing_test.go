package activities

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/breach"
	"drawbridge/internal/check"
)

// changing is a warehouse whose tables change between two looks.
type changing struct {
	Warehouse
	values []float64 // of the looks, the last of which stays
	looks  int
}

func (c *changing) Measure(context.Context, check.Metric) (breach.Measured, error) {
	c.looks++
	return breach.Measured{Value: c.values[min(c.looks, len(c.values))-1]}, nil
}

func (*changing) MeasureWithout(context.Context, check.Metric, string, bool) (breach.Without, error) {
	return breach.Without{Value: 1}, nil
}

// What was turned back while a check was attributed is nobody's fault any more, and least of all that of who is left.
func TestAReleaseIsBlamedOnlyForWhatStillFails(t *testing.T) {
	t.Parallel()
	judge := func(value float64, err error) (check.Result, error) {
		outcome := check.Passed
		if value > 10 {
			outcome = check.Failed
		}
		return check.Result{Outcome: outcome}, err
	}
	for name, c := range map[string]struct {
		values  []float64
		breach  bool
		outcome check.Outcome
	}{
		"it fails":                    {[]float64{20}, true, check.Failed},
		"it was mended meanwhile":     {[]float64{20, 5}, false, check.Passed},
		"it changes and fails":        {[]float64{20, 30}, true, check.Failed},
		"it changes, then is mended":  {[]float64{20, 30, 5}, false, check.Passed},
		"it never stays as it is":     {[]float64{20, 21, 22, 23, 24, 25, 26}, true, check.Failed},
		"there was nothing the first": {[]float64{5}, false, check.Passed},
	} {
		w := &changing{values: c.values}
		result, b, err := (&Watching{}).check(t.Context(), w, Target{Owner: "deploy/shop/1"}, check.Metric{Name: "total"}, judge)
		require.NoError(t, err, name)
		require.Equal(t, c.outcome, result.Outcome, name)
		require.Equal(t, c.breach, b != nil, name)
		require.LessOrEqual(t, w.looks, looksAgain+2, name)
	}
}

// The outputs of a partition became visible together: one command turns all of them back.
func TestACommandTurnsAPartitionBackWithAllItsOutputs(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{
		"drawbridge rollback shop --env prod --partition 2026-01-01 --to 11 --reason TEXT",
		"drawbridge rollback shop --env prod --partition 2026-01-02 --to 13 --reason TEXT",
		"drawbridge rollback shop --env prod --partition 2026-01-03 --to nothing --reason TEXT",
	}, commands(breach.Later{Pipeline: "shop", Published: []breach.Placed{
		{Output: "fct_orders", Partition: "2026-01-01", Before: 11},
		{Output: "fct_totals", Partition: "2026-01-01", Before: 12},
		{Output: "fct_orders", Partition: "2026-01-02"}, // it came with the release that did this
		{Output: "fct_totals", Partition: "2026-01-02", Before: 13},
		{Output: "fct_orders", Partition: "2026-01-03"},
		{Output: "fct_totals", Partition: "2026-01-03"},
	}}, "prod"))
}
