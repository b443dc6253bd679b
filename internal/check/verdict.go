package check

import (
	"fmt"
	"strings"

	"drawbridge/internal/gate"
)

// Verdict folds results: a failed check fails, a check that could not be evaluated is inconclusive whatever its
// severity, and so is a gate at which no check ran.
func Verdict(results []Result) gate.Verdict {
	var v gate.Verdict
	var outcomes []gate.Outcome
	told := make(map[Outcome][]string)
	for _, r := range results {
		e := r.evidence()
		v.Evidence = append(v.Evidence, e)
		if r.Outcome != Skipped {
			outcomes = append(outcomes, e.Outcome)
		}
		told[r.Outcome] = append(told[r.Outcome], r.Name+": "+r.Reason)
	}
	v.Outcome = gate.Worst(outcomes...)
	ran := len(outcomes)
	switch {
	case ran == 0:
		v.Reason = "no check ran"
	case v.Outcome == gate.Fail:
		v.Reason = fmt.Sprintf("%d of %s failed: %s", len(told[Failed]), checks(ran), some(told[Failed]))
	case v.Outcome == gate.Inconclusive:
		v.Reason = fmt.Sprintf("%d of %s could not be evaluated: %s", len(told[Errored]), checks(ran), some(told[Errored]))
	case len(told[Warned]) > 0:
		v.Reason = fmt.Sprintf("%s ran, none failed, %d warned: %s", checks(ran), len(told[Warned]), some(told[Warned]))
	default:
		v.Reason = checks(ran) + " passed"
	}
	return v
}

// evidence of a skipped check is inconclusive: it is no pass, though it does not weigh on the verdict.
func (r Result) evidence() gate.Evidence {
	e := gate.Evidence{Name: r.Name, Limit: r.Threshold, Note: r.Reason}
	switch {
	case r.Value != nil:
		e.Value = FormatNumber(*r.Value)
	case r.Failing != nil:
		e.Value = fmt.Sprintf("%s of %s rows", FormatCount(*r.Failing), FormatCount(r.Rows))
	}
	switch r.Outcome {
	case Passed:
		e.Outcome = gate.Pass
	case Warned:
		e.Outcome, e.Note = gate.Pass, "warning: "+r.Reason
	case Failed:
		e.Outcome = gate.Fail
	case Errored:
		e.Outcome = gate.Inconclusive
	case Skipped:
		e.Outcome, e.Note = gate.Inconclusive, "skipped: "+r.Reason
	}
	return e
}

func checks(n int) string {
	if n == 1 {
		return "1 check"
	}
	return fmt.Sprintf("%d checks", n)
}

// some keeps a sentence readable: the evidence has the rest.
func some(reasons []string) string {
	const few = 3
	if len(reasons) <= few {
		return strings.Join(reasons, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(reasons[:few], "; "), len(reasons)-few)
}
