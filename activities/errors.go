package activities

import (
	"context"
	"errors"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"drawbridge/internal/fault"
)

// Fault is the detail of an application error: what the CLI prints beside the message.
type Fault struct {
	Op     string `json:"op"`
	Object string `json:"object"`
	Hint   string `json:"hint"`
}

// NewFaultInterceptor returns the boundary at which every activity's faults become application errors: the class is the
// type, no fault is retried, everything else stays as it is and is retried. No text passes it that is longer than
// fault.MaxText. Only the outermost error of a chain counts for Temporal, so this is done once, here.
func NewFaultInterceptor() interceptor.WorkerInterceptor { return &faultInterceptor{} }

type faultInterceptor struct {
	interceptor.WorkerInterceptorBase
}

func (*faultInterceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &faultActivity{}
	i.Next = next
	return i
}

type faultActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

func (i *faultActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	res, err := i.Next.ExecuteActivity(ctx, in)
	return res, ApplicationError(err)
}

// ApplicationError translates a fault; any other error is returned as it is, but for a text without bound, whose chain
// would repeat it in a history level by level.
func ApplicationError(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	switch {
	case !ok && (err == nil || len(err.Error()) <= fault.MaxText || temporal.IsCanceledError(err) || errors.Is(err, context.Canceled)):
		return err
	case !ok:
		return errors.New(fault.Bound(err.Error()))
	}
	return temporal.NewApplicationErrorWithOptions(fault.Bound(err.Error()), string(f.Class), temporal.ApplicationErrorOptions{
		NonRetryable: true,
		Details:      []any{Fault{Op: f.Op, Object: f.Object, Hint: fault.HintOf(err)}},
	})
}
