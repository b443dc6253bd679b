package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
)

// failure is the last thing that every workflow does with its error. An error changes class when it is wrapped on the way
// out of a workflow, so the class and its details are issued again here; continue-as-new and cancellation pass untouched.
func failure(op string, err error) error {
	if err == nil || workflow.IsContinueAsNewError(err) || temporal.IsCanceledError(err) {
		return err
	}
	class, detail := faultOf(err)
	if class == "" {
		return temporal.NewNonRetryableApplicationError(op+": "+reason(err), "drawbridge.Failed", err)
	}
	return temporal.NewApplicationErrorWithOptions(op+": "+reason(err), string(class), temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{detail},
	})
}

// faultOf returns the class of an activity's or of our own fault, or "" for what a retry may mend.
func faultOf(err error) (fault.Class, activities.Fault) {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f.Class, activities.Fault{Op: f.Op, Object: f.Object, Hint: fault.HintOf(err)}
	}
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok {
		return "", activities.Fault{}
	}
	for _, class := range fault.Classes() {
		if app.Type() == string(class) {
			var detail activities.Fault
			if app.HasDetails() {
				if err := app.Details(&detail); err != nil {
					return class, activities.Fault{}
				}
			}
			return class, detail
		}
	}
	return "", activities.Fault{}
}

// reason is what went wrong, without Temporal's frame around it.
func reason(err error) string {
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return app.Message()
	}
	if timeout, ok := errors.AsType[*temporal.TimeoutError](err); ok {
		return "timed out: " + timeout.Error()
	}
	return err.Error()
}
