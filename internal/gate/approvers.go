package gate

import (
	"strings"
	"time"
)

// Approval is an environment's rule of who must say yes before it is touched. It is policy: a file of the
// environment's worker, out of a pipeline author's reach.
type Approval struct {
	Required  bool          `json:"required"`
	Approvers []string      `json:"approvers,omitempty"` // empty: anyone
	Quorum    int           `json:"quorum"`              // distinct approvers; 0 is 1
	FourEyes  bool          `json:"four_eyes"`           // the requester may not approve
	Expires   time.Duration `json:"expires"`             // 0 is 72h; an expired gate rejects
}

// bars says why a person may not choose something at a gate under the rule, and who may; empty: the person may. Turning back is for
// every approver, also for who asked for the change.
func (a Approval) bars(person, requester string, c Choice) (reason, hint string) {
	switch {
	case len(a.Approvers) > 0 && !isOneOf(a.Approvers, person):
		return person + " is not an approver of this environment", "ask one of: " + strings.Join(a.Approvers, ", ")
	case a.FourEyes && Same(person, requester) && c.forward():
		return "the policy wants four eyes: the requester may turn back but not approve", "ask somebody else to approve"
	}
	return "", ""
}

// patience is how long a gate under the rule stays open.
func (a Approval) patience() time.Duration {
	if a.Expires == 0 {
		return 72 * time.Hour
	}
	return a.Expires
}
