package gate

import "time"

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
		g := Gate{Name: a.Name, Plan: a.Plan, Requester: a.Requester, Rule: rule, Choices: []Choice{Approve, Reject}, Endless: true}
		for _, answer := range a.Answers {
			if !begun && now.Sub(answer.At) > rule.patience() {
				continue
			}
			// An answer that this rule does not take counts for nothing.
			_ = g.Apply(answer.Decision, answer.At)
		}
		switch g.Decided {
		case Reject:
			return false
		case Approve:
			approved = true
		default: // undecided: not enough
		}
	}
	return approved
}

// patience is how long a gate under the rule stays open.
func (a Approval) patience() time.Duration {
	if a.Expires == 0 {
		return 72 * time.Hour
	}
	return a.Expires
}
