package conduct_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/workflows/conduct"
)

func TestAFailureSaysOnceWhatWasBeingDone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"a fault of the same":       {fault.Newf(fault.Invalid, "run", "dup: fct", "correct the SQL", "a column comes twice"), "run dup: fct: a column comes twice"},
		"a fault of the whole":      {fault.Newf(fault.Invalid, "run", "dup", "correct the SQL", "a column comes twice"), "run dup: a column comes twice"},
		"a fault of something else": {fault.Newf(fault.Invalid, "run", "dupe", "correct the SQL", "a column comes twice"), "run dup: run dupe: a column comes twice"},
		"an activity's": {
			activities.ApplicationError(fault.Newf(fault.Invalid, "run", "dup: fct", "correct the SQL", "a column comes twice")),
			"run dup: fct: a column comes twice",
		},
		"what is no fault": {errors.New("the server is away"), "run dup: the server is away"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, ok := errors.AsType[*temporal.ApplicationError](conduct.Failure("run dup", c.err))
			require.True(t, ok)
			require.Equal(t, c.says, app.Message())
		})
	}
}
