package admission_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
)

func TestALedgerIsHeldToWhatItHasTold(t *testing.T) {
	t.Parallel()
	told := admission.Told{Pipeline: "shop", Tenure: 7, Epoch: "a", Swaps: 3}
	for name, tc := range map[string]struct {
		memory admission.Memory
		says   string
	}{
		"it knows all":             {admission.Memory{Epoch: "a", Known: true, Swaps: 3}, ""},
		"it knows more":            {admission.Memory{Epoch: "a", Known: true, Swaps: 5}, ""},
		"the tenure is gone":       {admission.Memory{Epoch: "a"}, "does not know tenure 7 of shop"},
		"swaps are gone":           {admission.Memory{Epoch: "a", Known: true, Swaps: 2}, "2 of the 3 swaps"},
		"it is another one":        {admission.Memory{Epoch: "b", Known: true, Swaps: 3}, "bound anew"},
		"there is no ledger there": {admission.Memory{}, "gone back"},
	} {
		err := told.Remembers(tc.memory)
		if tc.says == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorAs(t, err, new(admission.LostError), name)
		require.ErrorContains(t, err, tc.says, name)
	}
}
