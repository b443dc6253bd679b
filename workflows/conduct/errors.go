package conduct

import (
	"errors"
	"strings"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
)

// FailedType is the type of an error that is no fault: a retry may mend it.
const FailedType = "drawbridge.Failed"

// Failure is the last thing that a workflow does with an error. An error changes class when it is wrapped on the way out of
// a workflow, so the class and its details are issued again here; continue-as-new and cancellation pass untouched.
func Failure(op string, err error) error {
	if err == nil || workflow.IsContinueAsNewError(err) || temporal.IsCanceledError(err) {
		return err
	}
	text := Reason(err)
	if head := op + ": "; !strings.HasPrefix(text, head) { // a fault may say already what was being done
		text = head + text
	}
	class, detail := faultOf(err)
	if class == "" {
		return temporal.NewNonRetryableApplicationError(text, FailedType, err)
	}
	return temporal.NewApplicationErrorWithOptions(text, string(class), temporal.ApplicationErrorOptions{
		NonRetryable: true, Details: []any{detail},
	})
}

// ClassOf is the class and the hint of a fault; empty for what a retry may mend.
func ClassOf(err error) (class fault.Class, hint string) {
	class, detail := faultOf(err)
	return class, detail.Hint
}

// Decided says that an error is an answer, which nothing was changed by: a refusal, a fault of what was asked, or a moved world. What
// was cancelled, or got no answer, may have happened all the same.
func Decided(err error) bool {
	class, _ := faultOf(err)
	return class == fault.Refused || class == fault.Invalid || class == fault.Conflict
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

// reasonLimit bounds what an error says in a sentence, a gate or a failure: a driver's message may be as long as a file.
const reasonLimit = 2000

// Reason is what went wrong, without Temporal's frame around it.
func Reason(err error) string {
	text := err.Error()
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		text = app.Message()
	} else if timeout, ok := errors.AsType[*temporal.TimeoutError](err); ok {
		text = "timed out: " + timeout.Error()
	}
	return cut(text, reasonLimit)
}

// Refused is a gate that said no.
func Refused(op, why string) error {
	return fault.Newf(fault.Refused, op, "", "see the evidence: drawbridge status", why)
}

// Cut shortens text to what is carried of it, and is shown in a table; the whole of it was told.
func Cut(text string) string { return cut(text, cellLimit) }

// cut shortens text to at most limit bytes and leaves whole characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit], "") + "…"
}
