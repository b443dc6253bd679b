package gate

import (
	"slices"
	"time"
)

// ApprovalOf names the gate whose answers let a release into an environment.
func ApprovalOf(environment string) string { return "approval-" + environment }

// Satisfied says whether recorded answers meet a rule: it counts those of the named gate as that would have, under this rule and no
// other. An answer counts for as long as a gate stays open by the rule; begun says that what it allowed has begun, and
// may go on. One rejection is enough to say no.
func Satisfied(rule Approval, name string, answered []Gate, now time.Time, begun bool) bool {
	approved := false
	for _, a := range answered {
		if a.Name != name {
			continue
		}
		if !begun {
			a.Answers = slices.DeleteFunc(slices.Clone(a.Answers), func(said Answer) bool { return now.Sub(said.At) > rule.patience() })
		}
		switch Decide(rule, a, Approve, Reject) {
		case Reject:
			return false
		case Approve:
			approved = true
		default: // undecided: not enough
		}
	}
	return approved
}

// Decide is what recorded answers come to under a rule, of the choices that count here; empty where they decide nothing.
func Decide(rule Approval, recorded Gate, choices ...Choice) Choice {
	g := Gate{Name: recorded.Name, Plan: recorded.Plan, Requester: recorded.Requester, Rule: rule, Choices: choices, Endless: true}
	for _, answer := range recorded.Answers {
		// An answer that this rule does not take counts for nothing.
		_ = g.Apply(answer.Decision, answer.At)
	}
	return g.Decided
}

// Cancel names the word of whoever cancelled a workflow, among what is recorded: nobody asked for it, so no rule says who may.
const Cancel = "cancel"

// SaidNo says that a person, of those whom a rule lets, wanted back what they were asked about, or cancelled it.
func SaidNo(rule Approval, recorded []Gate) bool {
	return slices.ContainsFunc(recorded, func(g Gate) bool {
		if g.Name == Cancel {
			return Decide(Approval{}, g, Reject) != ""
		}
		return Decide(rule, g, Reject, Rollback) != ""
	})
}

// patience is how long a gate under the rule stays open.
func (a Approval) patience() time.Duration {
	if a.Expires == 0 {
		return 72 * time.Hour
	}
	return a.Expires
}
