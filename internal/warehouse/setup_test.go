package warehouse_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"drawbridge/internal/testdb"
)

// Whoever comes first makes the ledger, and the others, who come at the same moment, find it there.
func TestManyPrepareOneLedger(t *testing.T) {
	t.Parallel()
	for range 5 {
		w := open(t, testdb.New(t))
		var group errgroup.Group
		for range 6 {
			group.Go(func() error { return w.EnsureLedger(t.Context()) })
		}
		require.NoError(t, group.Wait())
	}
}
