package canary

import (
	"fmt"
	"time"

	"drawbridge/internal/gate"
)

// Timed holds a smoke run's verdict to the time that it took. Without a limit it is the verdict.
func Timed(v gate.Verdict, seconds float64, limit time.Duration) gate.Verdict {
	if limit <= 0 {
		return v
	}
	e := gate.Evidence{Name: "runtime", Value: fmt.Sprintf("%.1fs", seconds), Limit: limit.String(), Outcome: gate.Pass}
	if seconds > limit.Seconds() {
		e.Outcome = gate.Fail
		v = gate.Verdict{Outcome: gate.Fail, Reason: fmt.Sprintf("the smoke run took %.1f s, more than %s", seconds, limit), Evidence: v.Evidence}
	}
	v.Evidence = append(v.Evidence, e)
	return v
}
