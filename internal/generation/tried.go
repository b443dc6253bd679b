package generation

import (
	"fmt"

	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/internal/release"
)

// Tried is a generation as smoke and canary have to know it.
type Tried struct {
	Generation
	Config  string       // digest of the config that replaced the packed one
	Owner   effect.Owner // the workflow that built it
	Key     string       // of the build's effect
	Tenure  int64
	Control bool
	// Baseline was live when its build began: a publish replaces that one and no other.
	Baseline int64
	// Audit is what its checks found, and Reason why it did not pass.
	Audit   gate.Outcome
	Reason  string
	Seconds float64 // since its build began, with the outputs that were built before it
}

// Candidate is the swap that would make live what a workflow has built and not published, and what the audit of that found.
type Candidate struct {
	Swap
	Audit gate.Outcome
}

// Name is its output and partition, as people read it.
func (t Tried) Name() string { return fmt.Sprintf("%s[%s]", t.Output, t.Partition) }

// Unlike says why it is not what a workflow has built of a release under a tenure; empty when it is.
func (t Tried) Unlike(owner effect.Owner, r release.Release, config string, tenure int64) string {
	switch {
	case t.Owner != owner:
		return fmt.Sprintf("generation %d was built by another workflow", t.ID)
	case t.Release.Pipeline != r.Pipeline || t.Release.Digest != r.Digest || t.Config != config:
		return fmt.Sprintf("generation %d is of another release, or of another config", t.ID)
	case t.Tenure != tenure:
		return fmt.Sprintf("generation %d was built under another tenure", t.ID)
	}
	return ""
}
