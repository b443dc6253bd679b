package gate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/fault"
)

// Choice is what a person decides at a gate.
type Choice string

// The choices. A gate lists the ones that it takes.
const (
	Approve   Choice = "approve"   // go on
	Reject    Choice = "reject"    // turn back: compensate
	Retry     Choice = "retry"     // try the step again
	Proceed   Choice = "proceed"   // go on without waiting any longer
	Terminate Choice = "terminate" // end the sessions that block, and try again
	Rollback  Choice = "rollback"  // turn back what was published
	Keep      Choice = "keep"      // leave what is published as it is
	Withdrawn Choice = "withdrawn" // nobody's: what was asked about is no question any more
)

// forward says whether a choice lets the change go on; four eyes bind only those.
func (c Choice) forward() bool { return c == Approve || c == Proceed || c == Terminate || c == Keep }

// alone says whether one voice closes a gate, whatever the quorum: going back does, for an emergency waits for nobody, and so
// does trying again what was allowed before.
func (c Choice) alone() bool { return c == Reject || c == Rollback || c == Retry }

// Decision is a person's answer to one gate of one plan. The same value arrives by update or by signal.
type Decision struct {
	Gate   string `json:"gate"`
	Plan   string `json:"plan"` // digest, or a unique prefix of at least 8 hex digits
	Choice Choice `json:"choice"`
	By     string `json:"by"`
	Reason string `json:"reason"`
	// CompensateAll takes the environments back too that the deployment crossed before; of what turns back only.
	CompensateAll bool `json:"compensate_all,omitempty"`
}

// Answer is a decision that counted, with the time at which it did.
type Answer struct {
	Decision
	At time.Time `json:"at"`
}

// Gate is an open question of a deployment and the answers that it has. It is carried in workflow state, across
// continue-as-new, and is decided at most once.
type Gate struct {
	Name      string    `json:"name"` // unique in the deployment: approval-prod, canary-staging
	Plan      string    `json:"plan"` // digest
	Question  string    `json:"question"`
	Verdict   Verdict   `json:"verdict"`
	Rule      Approval  `json:"rule"`
	Choices   []Choice  `json:"choices"`
	Requester string    `json:"requester"`
	OpenedAt  time.Time `json:"opened_at"`
	// About names what it decides about, so that whoever acts on it can hold it to that: the ledger keeps it with the answers.
	About []string `json:"about,omitempty"`
	// Earlier are the environments that were crossed before, which a rejection may take back too.
	Earlier []string `json:"earlier,omitempty"`
	// Endless gates do not expire: what they ask about cannot be given up silently.
	Endless bool     `json:"endless,omitempty"`
	Answers []Answer `json:"answers,omitempty"`
	// Decided is the choice that closed the gate; empty while it is open.
	Decided Choice `json:"decided,omitempty"`
	Why     string `json:"why,omitempty"`
}

// shortest is the fewest characters of a plan digest that name it: 8 hex digits are as safe as a Git short hash.
const shortest = 8

// Deadline is when an undecided gate expires.
func (g Gate) Deadline() time.Time {
	return g.OpenedAt.Add(g.Rule.patience())
}

// quorum is how many distinct approvers the gate needs.
func (g Gate) quorum() int { return max(1, g.Rule.Quorum) }

// Check says whether a decision may count, without changing the gate. A repeated decision by the same person with the
// same choice is allowed: it counts once.
func (g Gate) Check(d Decision, now time.Time) error {
	refuse := func(class fault.Class, reason, hint string) error {
		return fault.Newf(class, "decide gate", d.Gate, hint, reason)
	}
	switch {
	case d.Gate != g.Name:
		return refuse(fault.Conflict, fmt.Sprintf("the open gate is %s", g.Name), "decide the gate that is open: drawbridge inbox")
	case !names(d.Plan, g.Plan):
		return refuse(fault.Conflict, fmt.Sprintf("the decision is about another plan; this gate is about %s", Short(g.Plan)),
			"read the plan that is waiting and decide on it: drawbridge status")
	case d.By == "":
		return refuse(fault.Invalid, "nobody is named as the one who decides", "say who decides: --as NAME")
	case d.Reason == "":
		return refuse(fault.Invalid, "the reason is missing", "say why: --reason TEXT")
	case Unfit(d.By, d.Reason) != "":
		return refuse(fault.Invalid, Unfit(d.By, d.Reason), "write them as plain text, and shorter")
	case !slices.Contains(g.Choices, d.Choice):
		return refuse(fault.Invalid, fmt.Sprintf("%q is no choice here; the choices are %s", d.Choice, joinChoices(g.Choices)), "choose one of them")
	case d.CompensateAll && d.Choice != Reject && d.Choice != Rollback:
		return refuse(fault.Invalid, fmt.Sprintf("%q turns nothing back", d.Choice), "leave out --compensate, or reject")
	case g.answered(d):
		return nil
	case g.Decided == Withdrawn:
		return refuse(fault.Conflict, "the gate was withdrawn: "+g.Why, "see what followed: drawbridge status")
	case g.Decided != "":
		return refuse(fault.Conflict, fmt.Sprintf("the gate was decided: %s", g.Decided), "see what followed: drawbridge status")
	case !g.Endless && now.After(g.Deadline()):
		return refuse(fault.Refused, "the gate has expired", "deploy again")
	}
	if reason, hint := g.Rule.bars(d.By, g.Requester, d.Choice); reason != "" {
		return refuse(fault.Refused, reason, hint)
	}
	return nil
}

// Apply counts a decision that Check allows and closes the gate when the rule is met: a choice that lets the change go on
// needs the quorum.
func (g *Gate) Apply(d Decision, now time.Time) error {
	if err := g.Check(d, now); err != nil {
		return err
	}
	if g.answered(d) {
		return nil
	}
	g.Answers = append(g.Answers, Answer{Decision: d, At: now})
	if d.Choice.alone() || g.distinct(d.Choice) >= g.quorum() {
		g.Decided = d.Choice
		g.Why = fmt.Sprintf("%s by %s: %s", d.Choice, d.By, d.Reason)
	}
	return nil
}

// Expire closes an undecided gate as rejected.
func (g *Gate) Expire() {
	if g.Decided == "" {
		g.Decided = Reject
		g.Why = fmt.Sprintf("expired: nobody decided before %s", g.Deadline().UTC().Format(time.RFC3339))
	}
}

// answered says whether the same person already gave the same choice.
func (g Gate) answered(d Decision) bool {
	return slices.ContainsFunc(g.Answers, func(a Answer) bool { return Same(a.By, d.By) && a.Choice == d.Choice })
}

// distinct counts the people who gave a choice.
func (g Gate) distinct(c Choice) int {
	n := 0
	for _, a := range g.Answers {
		if a.Choice == c {
			n++
		}
	}
	return n
}

// Short is the form in which people read and type a plan digest.
func Short(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return hex[:min(12, len(hex))]
}

// names says whether what a person typed names the digest.
func names(typed, digest string) bool {
	typed, digest = strings.TrimPrefix(typed, "sha256:"), strings.TrimPrefix(digest, "sha256:")
	return len(typed) >= min(shortest, len(digest)) && strings.HasPrefix(digest, typed)
}

func joinChoices(cs []Choice) string {
	names := make([]string, len(cs))
	for i, c := range cs {
		names[i] = string(c)
	}
	return strings.Join(names, ", ")
}
