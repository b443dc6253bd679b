package canary_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/gate"
)

func TestWhatCannotBeRepeatedNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		key               []string
		second, first     string
		says, saysNothing string
	}{
		"columns of the same keys":       {[]string{"id", "leg"}, `(1, 1, 2, 3, '{}'), (2, 1, 2, 3, '{}')`, `(1, 1, 3, 4, '{}'), (2, 1, 2, 3, '{}')`, "other values in fare, score", "payload"},
		"keys":                           {[]string{"id", "leg"}, `(1, 1, 2, 3, '{}')`, `(7, 1, 2, 3, '{}')`, "other keys: 1 only in the first, 1 only in the second", "rows instead"},
		"a number of rows":               {[]string{"id", "leg"}, `(1, 1, 2, 3, '{}')`, `(1, 1, 2, 3, '{}'), (2, 1, 2, 3, '{}')`, "1 rows instead of 2", "other values"},
		"a key that is none":             {[]string{"id", "leg"}, `(1, 1, 2, 3, '{}'), (1, 1, 2, 3, '{}')`, `(1, 1, 2, 3, '{}'), (1, 1, 2, 4, '{}')`, "cannot be paired", "other keys"},
		"columns, where there is no key": {nil, `(1, 1, 2, 3, '{}')`, `(1, 1, 2, 4, '{}')`, "other values in score", "fare"},
		"pairs of values":                {nil, `(1, 1, 2, 3, '{}'), (2, 1, 2, 4, '{}')`, `(2, 1, 2, 3, '{}'), (1, 1, 2, 4, '{}')`, "2 other rows", "other values"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := spec(c.key...)
			s.Origin = canary.Repeat
			d, _ := compare(t, tables(t, c.second, c.first), s)
			v := canary.NotRepeatable(d)
			require.Equal(t, gate.Inconclusive, v.Outcome, "a person decides")
			require.Contains(t, v.Reason, "not repeatable")
			require.Contains(t, v.Reason, c.says)
			require.NotContains(t, v.Reason, c.saysNothing)
		})
	}
	require.Contains(t, canary.NotRepeatable(canary.Diff{Identical: true}).Reason, "another checksum", "the sums said so")
}
