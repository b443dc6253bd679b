package gate

import "time"

// Approval is an environment's rule of who must say yes before it is touched. It is policy: a file of the
// environment's worker, out of a pipeline author's reach.
type Approval struct {
	Required  bool          `json:"required"`
	Approvers []string      `json:"approvers,omitempty"` // empty: anyone
	Quorum    int           `json:"quorum"`              // distinct approvers; 0 is 1
	FourEyes  bool          `json:"four_eyes"`           // the requester may not approve
	Expires   time.Duration `json:"expires"`             // 0 is 72h; an expired gate rejects
}
