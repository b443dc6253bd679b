package temporalx

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc"
)

func TestAQuestionWaitsForABusyServer(t *testing.T) {
	t.Parallel()
	busy := serviceerror.NewResourceExhausted(enumspb.RESOURCE_EXHAUSTED_CAUSE_RPS_LIMIT, "namespace rate limit exceeded")
	none := serviceerror.NewNotFound("no such schedule")
	for name, c := range map[string]struct {
		answers []error
		asked   int
		err     error
	}{
		"it has time":                 {[]error{nil}, 1, nil},
		"soon it has":                 {[]error{busy, serviceerror.NewUnavailable("it starts"), nil}, 3, nil},
		"what it says is not doubted": {[]error{none, nil}, 1, none},
		"nor after a wait":            {[]error{busy, none, nil}, 2, none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			answer, err := patiently(t.Context(), func(_ context.Context, question string, _ ...grpc.CallOption) (string, error) {
				asked++
				return question + "!", c.answers[asked-1]
			}, "when")
			require.Equal(t, c.asked, asked)
			require.Equal(t, c.err, err)
			if c.err == nil {
				require.Equal(t, "when!", answer)
			}
		})
	}
	t.Run("until who asks has enough", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		enough := errors.New("Ctrl-C")
		_, err := patiently(ctx, func(context.Context, string, ...grpc.CallOption) (string, error) {
			cancel(enough)
			return "", busy
		}, "when")
		require.ErrorIs(t, err, enough)
	})
}
