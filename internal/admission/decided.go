package admission

import (
	"fmt"
	"slices"

	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
)

// AboutGeneration names a generation whose audit a person is asked about.
func AboutGeneration(id int64) string { return fmt.Sprintf("generation %d", id) }

// AboutEffect names an effect that is held up.
func AboutEffect(key effect.Key) string { return "effect " + key.String() }

// AboutSession names a session in the transaction in which it was seen.
func AboutSession(s generation.Session) string {
	return fmt.Sprintf("session %d %s", s.PID, s.Transaction)
}

// accepted says that people have accepted what they were asked about, by this environment's own rule.
func accepted(rule gate.Approval, about string, recorded []gate.Gate) bool {
	return slices.ContainsFunc(recorded, func(g gate.Gate) bool {
		return slices.Contains(g.About, about) && gate.Decide(rule, g, gate.Approve, gate.Reject) == gate.Approve
	})
}

// Word is what people have said about an effect that is held up: to go on without waiting for snapshots, or to end sessions.
type Word struct {
	Proceed bool
	about   []string
}

// Heard is the last word about an effect, of recorded answers in their order, by this environment's own rule. An earlier one
// was about what held it up then.
func Heard(rule gate.Approval, recorded []gate.Gate) Word {
	for _, g := range slices.Backward(recorded) {
		switch gate.Decide(rule, g, gate.Retry, gate.Proceed, gate.Terminate, gate.Reject) {
		case gate.Proceed:
			return Word{Proceed: true}
		case gate.Terminate:
			return Word{about: g.About}
		case gate.Retry, gate.Reject:
			return Word{}
		default: // it decides nothing
		}
	}
	return Word{}
}

// Terminate says that there are sessions to end.
func (w Word) Terminate() bool { return len(w.about) > 0 }

// Ends are those of some sessions that people said to end, each in the transaction in which they saw it.
func (w Word) Ends(sessions []generation.Session) []generation.Session {
	var ends []generation.Session
	for _, s := range sessions {
		if slices.Contains(w.about, AboutSession(s)) {
			ends = append(ends, s)
		}
	}
	return ends
}
