// Package admission answers one question: may this be done here, for this release, under this plan? It is pure. Whoever
// has an effect looks twice: before it waits for anything, and in the effect's own transaction, with the facts as they are
// then. An environment trusts no caller: what a question says of itself is held against the ledger and the policy.
package admission

import (
	"errors"
	"fmt"
	"time"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// What is asked about.
type What string

// The effects that are asked about.
const (
	Build   What = "build"   // aside: nobody reads it
	Expand  What = "expand"  // make room in readers' tables
	Publish What = "publish" // and activate, where the question says so
	Attest  What = "attest"  // sign that the release passed
)

// Question is an effect that somebody wants, as the caller says it.
type Question struct {
	What        What
	Environment string
	Release     release.Release
	Config      string // digest of the config that replaces the packed one
	Owner       effect.Owner
	Tenure      int64
	TurnBack    bool // on behalf of the turn-back that opened Tenure
	Outputs     []string
	Swaps       []generation.Swap
	Watch       time.Duration // how long the release is watched before it has passed; of Attest
}

// Facts is what the ledger says, read in one transaction.
type Facts struct {
	Environment string         // that the ledger belongs to; empty: nobody's yet
	Active      release.Tenure // number 0: there never was one
	Tenure      release.Tenure // the question's; number 0: the ledger does not know it
	Fenced      string         // why the question's owner is fenced; empty: it is not
	Hold        string         // why nothing is published for now; empty: nothing holds
	Crossing    string         // owner of who crosses; empty: nobody
	Exclusive   bool           // the others wait until who crosses has published
	TurnBack    int64          // tenure of the open turn-back; 0: none is open
	Owners      map[string]string
	Giving      []Giving // what open migrations of the question's outputs need of whatever is published
	// Generations are those that go live, Live the tenures of what is live in the question's partitions.
	Generations map[int64]Generation
	Live        map[Slot]int64
	Answers     []gate.Gate       // recorded answers about the tenure's plan and release
	Accepted    []gate.Gate       // recorded answers to the question's owner about the generations, and about verdicts of the tenure
	Verdicts    map[Stage]Verdict // the last of the tenure and its plan
	Begun       bool              // something was published under the tenure already
	Chosen      Chosen            // what the question's owner builds again, where that is a backfill
	Now         time.Time
}

// Chosen is the release that an open backfill builds under a tenure, and what people answered about its plan. It may be another one than the
// tenure's, where they approved that.
type Chosen struct {
	Tenure  int64
	Digest  string
	Config  string
	Answers []gate.Gate
}

// Generation is what admission has to know of one that is to go live.
type Generation struct {
	Pipeline string
	Digest   string
	Config   string
	State    generation.State
	Control  bool
	// Audit is what its checks found, and Reason why it did not pass.
	Audit  gate.Outcome
	Reason string
	Gives  []string // the columns that its release's SELECT returned
}

// Slot is one partition of one output.
type Slot struct {
	Output    string
	Partition partition.Key
}

// HeldError says that nothing is wrong, and it has to wait.
type HeldError struct{ Reason string }

func (h HeldError) Error() string { return "it waits: " + h.Reason }

// LapsedError is the refusal of what was approved, where the approval has expired: it may be asked for again.
type LapsedError struct{ Refusal *fault.Error }

func (l LapsedError) Error() string { return l.Refusal.Error() }

func (l LapsedError) Unwrap() error { return l.Refusal }

// Reason is why, without what was to be done.
func (l LapsedError) Reason() string { return l.Refusal.Err.Error() }

// clocks is the part of a watch by which the ledger's clock may run behind the one that the watch went by.
const clocks = 100

// Decide admits a question, or says why not: a HeldError, a LapsedError, or a fault. rule is the approval that this environment's own policy
// wants, whatever a plan or a caller says of it.
func Decide(q Question, f Facts, rule gate.Approval) error {
	var lapsed error
	for _, check := range []func(Question, Facts, gate.Approval) error{bound, unfenced, undisturbed, entitled, owned, fitting, giving, judged} {
		err := check(q, f, rule)
		if _, again := errors.AsType[LapsedError](err); again {
			lapsed = err // people are asked only about what could be done now
			continue
		}
		if err != nil {
			return err
		}
	}
	if f.Hold != "" && (q.What == Publish || q.What == Expand) && !q.TurnBack {
		return HeldError{Reason: "the environment is on hold: " + f.Hold}
	}
	if f.Exclusive && f.Crossing != string(q.Owner) && q.What == Publish && !q.TurnBack {
		return HeldError{Reason: effect.Owner(f.Crossing).Workflow() + " publishes first"}
	}
	return lapsed
}

func (q Question) refuse(class fault.Class, reason, hint string) error {
	return fault.Newf(class, string(q.What), q.Release.String()+" in "+q.Environment, hint, reason)
}

// bound holds the ledger to its environment.
func bound(q Question, f Facts, _ gate.Approval) error {
	if f.Environment == "" || f.Environment == q.Environment {
		return nil
	}
	return q.refuse(fault.Refused, fmt.Sprintf("the schema belongs to the environment %s", f.Environment),
		"give config."+q.Environment+".yaml a warehouse_schema of its own")
}

func unfenced(q Question, f Facts, _ gate.Approval) error {
	if f.Fenced == "" || q.TurnBack {
		return nil
	}
	return q.refuse(fault.Conflict, "its workflow was stopped: "+f.Fenced, "see what is active: drawbridge history "+q.Release.Pipeline+" --env "+q.Environment)
}

// rollback is the command that starts a turn-back here.
func (q Question) rollback() string {
	return "drawbridge rollback " + q.Release.Pipeline + " --env " + q.Environment + " --reason TEXT"
}

// undisturbed keeps everything but the turn-back itself away while one is open.
func undisturbed(q Question, f Facts, _ gate.Approval) error {
	switch {
	case q.TurnBack && f.TurnBack != q.Tenure:
		return q.refuse(fault.Conflict, "the turn-back has ended", "start it again: "+q.rollback())
	case !q.TurnBack && f.TurnBack != 0:
		return q.refuse(fault.Conflict, fmt.Sprintf("a turn-back is open here, under tenure %d", f.TurnBack),
			"finish it first: drawbridge rollback "+q.Release.Pipeline+" --env "+q.Environment+" --resume")
	}
	return nil
}

// entitled says whether the tenure may change what is visible now.
func entitled(q Question, f Facts, rule gate.Approval) error {
	if q.What == Build && q.Tenure == 0 {
		return nil // aside, and never published without a tenure
	}
	t := f.Tenure
	switch {
	case t.Number == 0:
		return q.refuse(fault.Refused, fmt.Sprintf("the ledger knows no tenure %d", q.Tenure), "deploy it: drawbridge deploy "+q.Release.String()+" --to "+q.Environment)
	case q.chosen(f):
		return q.approvedChoice(f, rule)
	case t.Release.Pipeline != q.Release.Pipeline || t.Release.Digest != q.Release.Digest || t.Config != q.Config:
		return q.refuse(fault.Refused, fmt.Sprintf("tenure %d is of %s, or of another config", t.Number, t.Release), "deploy it: drawbridge deploy "+q.Release.String()+" --to "+q.Environment)
	case q.What == Attest && (q.TurnBack || t.Kind != release.ByDeployment):
		return q.refuse(fault.Refused, "only what a deployment brought here can have passed", "deploy it: drawbridge deploy "+q.Release.String()+" --to "+q.Environment)
	case q.What == Attest && t.Owner != string(q.Owner):
		return q.refuse(fault.Refused, "the tenure belongs to another workflow", "let that one say it: drawbridge status "+effect.Owner(t.Owner).Workflow())
	case q.What == Attest && t.Activated && f.Now.Sub(t.At) < q.Watch-q.Watch/clocks:
		return HeldError{Reason: fmt.Sprintf("it is watched for %s, and is active since %s", q.Watch, t.At.UTC().Format(time.RFC3339))}
	case q.TurnBack && t.Kind != release.ByTurnBack:
		return q.refuse(fault.Refused, fmt.Sprintf("tenure %d is not a turn-back's", t.Number), "start one: "+q.rollback())
	case q.TurnBack:
		return nil
	case t.Number == f.Active.Number:
		return nil
	case q.What == Attest && f.Active.Kind == release.ByTurnBack && f.Active.Same(t):
		return nil // single partitions went back, and the release stayed: one that went as a whole is fenced
	case q.What == Attest:
		return q.refuse(fault.Conflict, "it is not what is active here: "+nameOf(f.Active), "see what happened: drawbridge history "+q.Release.Pipeline+" --env "+q.Environment)
	case t.Activated || t.Number < f.Active.Number:
		return q.refuse(fault.Conflict, "it is not active any more: "+nameOf(f.Active), "run it again, with what is active")
	case t.Owner != string(q.Owner):
		return q.refuse(fault.Refused, "the tenure belongs to another workflow", "start a new deployment or run")
	}
	return q.opening(f, rule)
}

// chosen says that the question is of a release that its backfill builds under the active tenure, and that is not the tenure's.
func (q Question) chosen(f Facts) bool {
	t, c := f.Tenure, f.Chosen
	return (q.What == Build || q.What == Publish) && !q.TurnBack && t.Release.Pipeline == q.Release.Pipeline && (t.Release.Digest != q.Release.Digest || t.Config != q.Config) &&
		c.Tenure == q.Tenure && c.Digest == q.Release.Digest && c.Config == q.Config
}

// approvedChoice admits another release than the active one by an approval of the plan that says so, however the environment's rule is.
func (q Question) approvedChoice(f Facts, rule gate.Approval) error {
	name := gate.ApprovalOf(q.Environment)
	switch {
	case f.Tenure.Number != f.Active.Number:
		return q.refuse(fault.Conflict, "the backfill was planned for another active release: "+nameOf(f.Active), "start it again: it is planned anew")
	case q.What == Publish && !gate.Satisfied(rule, name, f.Chosen.Answers, f.Now, true):
		return q.refuse(fault.Refused, nameOf(f.Active)+", and no approval is recorded of a plan to build another release", "start the backfill again, and approve its plan")
	}
	return nil
}

// opening says whether a tenure that is not active yet may become so.
func (q Question) opening(f Facts, rule gate.Approval) error {
	switch f.Tenure.Kind {
	case release.ByDeployment:
		if f.Crossing != string(q.Owner) {
			return q.refuse(fault.Conflict, "its workflow does not cross here any more", "deploy it again: drawbridge deploy "+q.Release.String()+" --to "+q.Environment)
		}
	case release.ByRun:
		if !f.Active.None() {
			return q.refuse(fault.Conflict, nameOf(f.Active)+" is active since it began", "run it again, with what is active")
		}
		if f.Crossing != "" && f.Crossing != string(q.Owner) {
			return q.refuse(fault.Conflict, effect.Owner(f.Crossing).Workflow()+" crosses here", "run it again when that has ended: drawbridge status")
		}
	case release.ByTurnBack:
		return q.refuse(fault.Refused, "only a turn-back opens this tenure", "start it: "+q.rollback())
	case release.ByAdoption:
		return q.refuse(fault.Refused, "the tenure is that of a table that was adopted, and nothing is published under it", "deploy it: drawbridge deploy "+q.Release.String()+" --to "+q.Environment)
	}
	if q.What == Build || !rule.Required {
		return nil
	}
	name, answers := gate.ApprovalOf(q.Environment), f.Answers
	if f.Tenure.Plan == "" {
		answers = nil // of no plan, so about nothing
	}
	if gate.Satisfied(rule, name, answers, f.Now, f.Begun) {
		return nil
	}
	why, lapsed := gate.Lack(rule, name, answers, f.Now)
	refusal := fault.Newf(fault.Refused, string(q.What), q.Release.String()+" in "+q.Environment,
		"deploy it: drawbridge deploy "+q.Release.String()+" --to "+q.Environment, q.Environment+" wants an approval by its own rule, and "+why)
	if lapsed {
		return LapsedError{Refusal: refusal}
	}
	return refusal
}

func nameOf(t release.Tenure) string {
	if t.None() {
		return "nothing is active"
	}
	return fmt.Sprintf("%s is, under tenure %d", t.Release, t.Number)
}

// owned keeps a pipeline to its own outputs.
func owned(q Question, f Facts, _ gate.Approval) error {
	for _, output := range q.Tables() {
		if owner := f.Owners[output]; owner != "" && owner != q.Release.Pipeline {
			return q.refuse(fault.Refused, fmt.Sprintf("table %s belongs to the pipeline %s", output, owner), "give the output another name, or another warehouse_schema")
		}
	}
	return nil
}

// Tables are the outputs that a question is about.
func (q Question) Tables() []string {
	outputs := append([]string(nil), q.Outputs...)
	for _, s := range q.Swaps {
		outputs = append(outputs, s.Output)
	}
	return outputs
}

// fitting holds every generation to the tenure's release, and every partition to the order of tenures.
func fitting(q Question, f Facts, rule gate.Approval) error {
	for _, s := range q.Swaps {
		slot := s.Output + " " + string(s.Partition)
		if live := f.Live[Slot{Output: s.Output, Partition: s.Partition}]; live > q.Tenure {
			return q.refuse(fault.Conflict, fmt.Sprintf("%s was published under the later tenure %d", slot, live), "run it again, with what is active")
		}
		if s.To == 0 {
			if !q.TurnBack {
				return q.refuse(fault.Refused, slot+" would be detached", "only a turn-back detaches: "+q.rollback())
			}
			continue
		}
		g, ok := f.Generations[s.To]
		switch {
		case !ok || g.Control:
			return q.refuse(fault.Refused, fmt.Sprintf("generation %d of %s is none that may be published", s.To, slot), "build the partition with the release that you want")
		case g.Pipeline != q.Release.Pipeline:
			return q.refuse(fault.Refused, fmt.Sprintf("generation %d of %s is of the pipeline %s", s.To, slot, g.Pipeline), "build the partition with the release that you want")
		case q.TurnBack && g.State == generation.Retired:
			// It was live before, so it was admitted then.
		case g.State == generation.Retired:
			return q.refuse(fault.Refused, fmt.Sprintf("generation %d of %s was live before", s.To, slot), "only a turn-back goes back: "+q.rollback())
		case g.State != generation.Built && g.State != generation.Shadow:
			return q.refuse(fault.Conflict, fmt.Sprintf("generation %d of %s is %s", s.To, slot, g.State), "build the partition again")
		case g.Digest != q.Release.Digest || g.Config != q.Config:
			return q.refuse(fault.Refused, fmt.Sprintf("generation %d of %s is of another release, or of another config", s.To, slot), "build the partition with the release that you want")
		case g.Audit == gate.Pass:
		case g.Audit != gate.Inconclusive:
			return q.refuse(fault.Refused, fmt.Sprintf("the audit of generation %d of %s failed: %s", s.To, slot, g.Reason), "correct the data or the check, and build again")
		case !accepted(rule, AboutGeneration(s.To), f.Accepted):
			return q.refuse(fault.Refused, fmt.Sprintf("the audit of generation %d of %s is inconclusive: %s", s.To, slot, g.Reason), "mend the check, or let a person accept it at the gate")
		}
	}
	return nil
}

// Ticket is a question together with the environment's own rule. An effect carries it into its transaction, where the
// second look is taken.
type Ticket struct {
	Question Question
	Rule     gate.Approval
}

// Decide admits the ticket's question by the facts as they are, or says why not.
func (t Ticket) Decide(f Facts) error { return Decide(t.Question, f, t.Rule) }
