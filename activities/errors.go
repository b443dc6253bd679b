package activities

import (
	"context"
	"errors"
	"strings"

	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/temporal"

	"drawbridge/internal/admission"
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
// fault.MaxText. Only the outermost error of a chain counts
// for Temporal, so this is done once, here. redact takes secrets out of every text: no error of a site should hold one, and
// none passes here.
func NewFaultInterceptor(redact func(string) string) interceptor.WorkerInterceptor {
	return &faultInterceptor{redact: redact}
}

type faultInterceptor struct {
	interceptor.WorkerInterceptorBase
	redact func(string) string
}

func (f *faultInterceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &faultActivity{redact: f.redact}
	i.Next = next
	return i
}

type faultActivity struct {
	interceptor.ActivityInboundInterceptorBase
	redact func(string) string
}

func (i *faultActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	res, err := i.Next.ExecuteActivity(ctx, in)
	return res, ApplicationError(redacted(err, i.redact))
}

// redacted is an error without its secrets. One that holds none stays as it is.
func redacted(err error, redact func(string) string) error {
	if err == nil {
		return nil
	}
	f, ok := errors.AsType[*fault.Error](err)
	text := redact(err.Error())
	switch {
	case !ok && text == err.Error():
		return err
	case !ok:
		return errors.New(text)
	}
	return redactedError{text: text, fault: fault.New(f.Class, redact(f.Op), redact(f.Object), redact(fault.HintOf(err)), nil)}
}

// redactedError is a fault in a text of its own.
type redactedError struct {
	text  string
	fault *fault.Error
}

func (e redactedError) Error() string { return e.text }

func (e redactedError) Unwrap() error { return e.fault }

// Lost is the type of the error that the ledger has gone back. It is no class of fault: no rule says what follows, so a person
// is asked at once.
const Lost = "drawbridge.Lost"

// ApplicationError translates a fault; any other error is returned as it is, but for a text without bound, whose chain
// would repeat it in a history level by level.
func ApplicationError(err error) error {
	if lost, ok := errors.AsType[admission.LostError](err); ok {
		return temporal.NewApplicationErrorWithOptions(fault.Bound(lost.Error()), Lost, temporal.ApplicationErrorOptions{NonRetryable: true})
	}
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

// placed names the environment in what a hint of the ledger proposes: the ledger does not know how it is called.
func (s *Site) placed(err error) error {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return err
	}
	hint := strings.NewReplacer("--env ENV", "--env "+s.Environment, "--to ENV", "--to "+s.Environment).Replace(fault.HintOf(f))
	return fault.New(f.Class, f.Op, f.Object, hint, f.Err)
}
