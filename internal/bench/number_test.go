package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReportHoldsEveryNumberToItsBound(t *testing.T) {
	t.Parallel()
	numbers := []number{{name: "speed", bound: bound{atLeast, 0.65}}, {name: "pause_ms", bound: bound{atMost, 25}}, {name: "longest_ms"}}
	for _, c := range []struct {
		name   string
		values map[string]float64
		missed string
	}{
		{name: "at the bounds", values: map[string]float64{"speed": 0.65, "pause_ms": 25, "longest_ms": 1e6}},
		{name: "too little", values: map[string]float64{"speed": 0.649, "pause_ms": 1, "longest_ms": 1}, missed: "1 of 2 bounds are missed\n  speed is 0.649 and must be ≥ 0.65: the disk"},
		{name: "too much", values: map[string]float64{"speed": 1, "pause_ms": 25.5, "longest_ms": 1}, missed: "1 of 2 bounds are missed\n  pause_ms is 25.5 and must be ≤ 25: the readers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			b := &bench{out: &out, values: c.values, causes: map[string]string{"speed": "the disk", "pause_ms": "the readers"}}
			err := b.report(numbers)
			require.Contains(t, out.String(), "longest_ms")
			if c.missed == "" {
				require.NoError(t, err)
				require.NotContains(t, out.String(), "MISSED")
				return
			}
			require.EqualError(t, err, c.missed)
			require.Contains(t, out.String(), "MISSED")
		})
	}
}

func TestEveryDeclaredNumberMustBeMeasured(t *testing.T) {
	t.Parallel()
	numbers := []number{{name: "speed"}, {name: "pause_ms"}}
	require.NoError(t, complete(numbers, map[string]float64{"speed": 0, "pause_ms": 1}))
	require.EqualError(t, complete(numbers, map[string]float64{"speed": 0}), "pause_ms was not measured")
	require.EqualError(t, complete(numbers, map[string]float64{"speed": 0, "pause_ms": 1, "other": 1}), "other was measured and is not declared")
}

func TestTheFileIsAFlatObjectOfNumbers(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "new", "bench.json")
	values := map[string]float64{"speed": 0.65, "psql": 1}
	require.NoError(t, write(file, values))
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	var read map[string]float64
	require.NoError(t, json.Unmarshal(body, &read))
	require.Equal(t, values, read)
}
