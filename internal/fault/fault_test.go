package fault_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
)

func TestNoTextOfAFaultIsLongerThanItsBound(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("größe, ", 20_000)
	f := fault.Newf(fault.Invalid, "load "+long, long, "name "+long, "its header has "+long)
	outer := fault.New(fault.Invalid, "run", "shop", "", fmt.Errorf("step: %w", f))
	for _, text := range []string{f.Error(), f.Object, f.Op, fault.HintOf(f), outer.Error(), fault.HintOf(outer)} {
		require.LessOrEqual(t, len(text), fault.MaxText)
		require.True(t, utf8.ValidString(text))
	}
	require.Contains(t, f.Error(), "bytes more")
	require.True(t, strings.HasPrefix(outer.Error(), "run shop: step: load größe"))
	require.Equal(t, "short", fault.Bound("short"))
}
