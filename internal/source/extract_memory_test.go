package source_test

import (
	"context"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/source"
)

// measured looks at the memory in use when many rows have passed.
type measured struct {
	bytes, at int64
	heap      uint64
}

func (m *measured) Write(p []byte) (int, error) {
	if m.bytes += int64(len(p)); m.bytes >= m.at && m.heap == 0 {
		m.heap = inUse()
	}
	return len(p), nil
}

func inUse() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// An extract holds a row at a time, and a buffer, however many there are. Nothing else runs beside this test.
func TestMemoryDoesNotGrowWithTheRows(t *testing.T) { //nolint:paralleltest // it measures the process
	c := newCRM(t)
	const size = 100 << 20
	before := inUse()
	to := &measured{at: size / 2}
	err := c.connect.Extract(t.Context(), extract("SELECT i, repeat('x', 1000) AS x FROM generate_series(1, 100000) AS i"), "drawbridge/test", func(ctx context.Context, e *source.Extract) error {
		done, err := e.Copy(ctx, to, day)
		require.EqualValues(t, 100000, done.Rows)
		return err
	})
	require.NoError(t, err)
	require.Greater(t, to.bytes, int64(size*9/10))
	require.NotZero(t, to.heap)
	require.Less(t, int64(to.heap)-int64(before), int64(8<<20))
}
