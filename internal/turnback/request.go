package turnback

import (
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// Request asks for an environment to go back. Of To, Owner, Workflow and Output one says to what: a tenure,
// as before a workflow, or one partition to an earlier generation of it.
type Request struct {
	Pipeline string `json:"pipeline"`
	// To names the tenure to go back to: a version, version+digest8 or a tenure's number; empty is the one before the present.
	// Nothing takes away what is live; of one partition all outputs of it.
	To string `json:"to,omitempty"`
	// Owner is the workflow (effect.Owner) whose changes go back: compensation, recovery.
	Owner string `json:"owner,omitempty"`
	// Workflow is the ID of one that cannot speak: whatever the ledger still holds open of it goes back.
	Workflow string `json:"workflow,omitempty"`
	// Resume goes on with whatever turn-back is open, and opens none; of a workflow that cannot speak also with the one that has
	// ended as stuck.
	Resume bool `json:"resume,omitempty"`
	// Output and Partition narrow to one output's partition; then Generation names the one to go back to, 0 the last good one.
	// Partition without Output narrows to all outputs of it: they go back together to what was live when Generation was, or to
	// Nothing.
	Output     string        `json:"output,omitempty"`
	Partition  partition.Key `json:"partition,omitempty"`
	Generation int64         `json:"generation,omitempty"`
	// Snapshot goes back to the retained data also where newer data was published since, or detaches what had none before. Of a
	// backfill that is also what others have published over it.
	Snapshot bool `json:"snapshot,omitempty"`
	// Detach detaches outputs that the target's release does not have; else they stay, and are listed.
	Detach bool `json:"detach,omitempty"`
	// ByPerson says that a person asked: only then is a first release taken away.
	ByPerson bool `json:"by_person,omitempty"`
	// Guarded says that the environment lets changes in by an approval only. It is the environment's word, never the caller's.
	Guarded bool   `json:"-"`
	By      string `json:"by"`
	Reason  string `json:"reason"`
}

// Single says that one partition goes back, and the release stays.
func (r Request) Single() bool { return r.Output != "" || r.Partition != "" }

// Whole says that all outputs of one partition go back together.
func (r Request) Whole() bool { return r.Output == "" && r.Partition != "" }

// State is where a turn-back is.
type State string

// The states of a turn-back: an open one is resumed by the same command.
const (
	Open  State = "open"
	Done  State = "done"
	Stuck State = "stuck"
)

// TurnBack is a turn-back as the ledger has it. Tenure is the one that it opened; From was active before.
type TurnBack struct {
	Tenure  release.Tenure `json:"tenure"`
	From    release.Tenure `json:"from"`
	Request Request        `json:"request"`
	// Target is the tenure that it goes back to; its number is 0 for a workflow's, and for a single partition.
	Target int64 `json:"target,omitempty"`
	State  State `json:"state"`
	// Driver is the workflow (effect.Owner) that goes on with it: who opened it, or took it up last.
	Driver string `json:"driver"`
	// Stopped are the other workflows with something under way that beginning it has stopped, or would stop. Only who begins or
	// previews it is told them.
	Stopped []effect.Owner `json:"stopped,omitempty"`
}

// DrivenBy refuses a workflow that does not go on with an open turn-back, because another has taken it up.
func (b TurnBack) DrivenBy(owner effect.Owner) error {
	if b.State != Open || b.Driver == string(owner) {
		return nil
	}
	driver := effect.Owner(b.Driver).Workflow()
	return fault.Newf(fault.Refused, "turn back", b.Request.Pipeline, "see what it does: drawbridge status "+driver, driver+" goes on with the turn-back")
}
