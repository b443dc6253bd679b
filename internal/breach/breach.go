// Package breach says who is to blame for a watch check that fails, from what the check finds when somebody's data is left
// out. It is pure.
package breach

import (
	"fmt"

	"drawbridge/internal/check"
	"drawbridge/internal/partition"
)

// Cause is who is to blame.
type Cause string

// The causes. Only the release that is watched is ever turned back for a breach; the others are for a person.
const (
	Release Cause = "release"
	Run     Cause = "run" // a later one, which is named
	Unknown Cause = "unknown"
)

// Breach is a failed watch check with its cause.
type Breach struct {
	Check string `json:"check"`
	Cause Cause  `json:"cause"`
	Why   string `json:"why"`
	// Workflow is the later one that is to blame, and Mend are the commands that take back what it published.
	Workflow string   `json:"workflow,omitempty"`
	Mend     []string `json:"mend,omitempty"`
}

// Trial is a failed check once more, without what one workflow published.
type Trial struct {
	// Why says why it could not be tried; empty when it was.
	Why string
	// Outcome is what the check found.
	Outcome check.Outcome
	// Stayed counts the partitions that the workflow published first: nothing could take their place.
	Stayed int
}

// mends says that the check holds without it.
func (t Trial) mends() bool {
	return t.Why == "" && (t.Outcome == check.Passed || t.Outcome == check.Warned)
}

// OfRelease judges the trial without the release that is watched. The release is to blame only where the check holds
// without it; what nobody could find out is for a person.
func OfRelease(name string, t Trial) Breach {
	b := Breach{Check: name, Cause: Unknown}
	switch {
	case t.mends():
		b.Cause, b.Why = Release, "it holds without this release"
	case t.Why != "":
		b.Why = "it could not be evaluated without this release: " + t.Why
	case t.Outcome != check.Failed:
		b.Why = "without this release it says nothing"
	case t.Stayed > 0:
		b.Why = fmt.Sprintf("it fails without what this release replaced too, and in %d partitions there was nothing before it", t.Stayed)
	default:
		b.Why = "it fails without this release too"
	}
	return b
}

// OfRun judges the trial without a later workflow: whether that one mends the check.
func (b Breach) OfRun(workflow string, mend []string, t Trial) (Breach, bool) {
	if !t.mends() {
		return b, false
	}
	b.Cause, b.Workflow, b.Mend = Run, workflow, mend
	b.Why += ", and holds without " + workflow
	return b, true
}

// Measured is what a watch check found, and the tables and views that it read, as schema.name.
type Measured struct {
	Value float64
	Reads []string
}

// Without is what a watch check finds where what one workflow published is not there.
type Without struct {
	Value float64
	// Why says why that cannot be known; empty when it is.
	Why string
	// Stayed counts the partitions that the workflow published first, and that therefore stayed.
	Stayed int
}

// Placed is a live generation that a workflow published, and what was live there before the workflow's first swap.
type Placed struct {
	Output     string
	Partition  partition.Key
	Generation int64
	Before     int64 // 0: nothing was live
}

// Later is a workflow that published after another one.
type Later struct {
	Owner     string
	Pipeline  string
	Published []Placed
}
