package gate

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ApprovalOf names the gate whose answers let a release into an environment.
func ApprovalOf(environment string) string { return "approval-" + environment }

// ContractOf names the gate whose answers let a migration take the old shape of a table away.
func ContractOf(environment string) string { return "contract-" + environment }

// Numbered names a gate that is opened for the n-th time, or beside so many others, from 2 on.
func Numbered(name string, n int) string { return fmt.Sprintf("%s-%d", name, n) }

// Is says whether a gate is the named one, whatever its number.
func Is(gate, name string) bool {
	number, ok := strings.CutPrefix(gate, name+"-")
	n, err := strconv.Atoi(number)
	return gate == name || ok && err == nil && n > 1
}

// Satisfied says whether recorded answers meet a rule: it counts those of the named gate, however often it was opened, each time as that would have, under this rule and no
// other. An answer counts for as long as a gate stays open by the rule; begun says that what it allowed has begun, and
// may go on. One rejection is enough to say no.
func Satisfied(rule Approval, name string, answered []Gate, now time.Time, begun bool) bool {
	approved := false
	for _, a := range answered {
		if !Is(a.Name, name) {
			continue
		}
		if !begun {
			a.Answers = slices.DeleteFunc(slices.Clone(a.Answers), func(said Answer) bool { return rule.lapsed(said, now) })
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

// Lack says what recorded answers that do not satisfy a rule lack, as the end of a sentence. lapsed says that they would have
// satisfied it while they counted: to ask again is all that it takes.
func Lack(rule Approval, name string, answered []Gate, now time.Time) (why string, lapsed bool) {
	if Satisfied(rule, name, answered, now, true) {
		var people []string
		var until time.Time
		for _, a := range answered {
			for _, said := range counted(rule, a, Approve, Reject).Answers {
				if Is(a.Name, name) && said.Choice == Approve && rule.lapsed(said, now) && !isOneOf(people, said.By) {
					people, until = append(people, said.By), said.At.Add(rule.patience())
				}
			}
		}
		return fmt.Sprintf("the approval of %s expired at %s", strings.Join(people, " and "), until.UTC().Format(time.RFC3339)), true
	}
	for _, a := range answered {
		if Is(a.Name, name) && Decide(rule, a, Approve, Reject) == Reject {
			return "it was rejected", false
		}
	}
	if slices.ContainsFunc(answered, func(a Gate) bool { return Is(a.Name, name) && len(a.Answers) > 0 }) {
		return "what is recorded for this release and plan does not meet it", false
	}
	return "none is recorded for this release and plan", false
}

// lapsed says that an answer does not count any more.
func (a Approval) lapsed(said Answer, now time.Time) bool { return now.Sub(said.At) > a.patience() }

// Decide is what recorded answers come to under a rule, of the choices that count here; empty where they decide nothing.
func Decide(rule Approval, recorded Gate, choices ...Choice) Choice {
	return counted(rule, recorded, choices...).Decided
}

// counted is a recorded gate as it would have been under a rule.
func counted(rule Approval, recorded Gate, choices ...Choice) Gate {
	g := Gate{Name: recorded.Name, Plan: recorded.Plan, Requester: recorded.Requester, Rule: rule, Choices: choices, Endless: true}
	for _, answer := range recorded.Answers {
		// An answer that this rule does not take counts for nothing.
		_ = g.Apply(answer.Decision, answer.At)
	}
	return g
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
