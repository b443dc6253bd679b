package model

import (
	"errors"
	"fmt"
	"slices"
)

// Kind is what a workflow is.
type Kind string

// The workflows.
const (
	Deploy   Kind = "deploy"
	Run      Kind = "run"
	Rollback Kind = "rollback"
	Recover  Kind = "recover"
)

// Step is the next effect of a workflow.
type Step int

// The steps, in the order of each workflow. Entering is the first of deployments and runs, opening of turn-backs.
const (
	StepEnter Step = iota
	StepBuild
	StepPublish     // what a deployment has built, or the first group of it; or a run's partition
	StepPublishRest // in steps; the last transaction activates
	StepAttest
	StepLeave
	StepOpen // which makes the turn-back's tenure the active one
	StepBack
	StepBackRest
	StepEnd
	StepOver
)

// String names a step as a trace prints it.
func (s Step) String() string {
	return [...]string{
		"enter", "build", "publish", "publish-rest", "attest", "leave", "open", "back", "back-rest", "end", "over",
	}[s]
}

// Flow is a workflow: what it does next, and what it knows. The ledger is the world's.
type Flow struct {
	Kind     Kind
	Pipeline int
	Release  int    // of a deployment, and of a run where nothing is active
	Part     int    // of a run
	To       string // of a rollback
	Of       string // owner that is recovered, or compensated
	Owner    string
	Step     Step
	Tenure   int64
	Round    int
	Back     int64 // tenure of the turn-back that it carries out
	// Result is how it ended: done, refused, stuck, gone.
	Result string

	number    int
	from      [Partitions * Outputs]int64
	done      uint32 // steps whose effect has committed under the key of this round
	stopping  bool   // it was cancelled
	killed    bool
	lost      bool // the commit of the present step was lost
	published bool
}

// alive says that a worker runs the flow.
func (f *Flow) alive() bool { return f.Step != StepOver && !f.killed }

// ends is how a flow ends.
func (f *Flow) end(result string) { f.Step, f.Result = StepOver, result }

// effect is the effect of the flow's present step, once under its key: a key that is found is not done again, unless its
// workflow was stopped since.
func (w *World) effect(f *Flow) error {
	if f.done&(1<<f.Step) != 0 {
		return w.recorded(f)
	}
	if err := w.first(f); err != nil {
		return err
	}
	f.done |= 1 << f.Step
	return nil
}

// recorded is what a retry finds: a build and a publish have a key, everything else is looked at anew.
func (w *World) recorded(f *Flow) error {
	if f.Step == StepBuild {
		return nil
	}
	if f.Step != StepPublish && f.Step != StepPublishRest {
		return w.first(f)
	}
	if slices.Contains(w.Ledgers[f.Pipeline].Fenced, f.Owner) {
		return fmt.Errorf("%s was stopped since", f.Owner)
	}
	return nil
}

func (w *World) first(f *Flow) error {
	all := []int{0, 1, 2}
	switch f.Step {
	case StepEnter:
		return w.enter(f)
	case StepBuild:
		if f.Kind == Run {
			all = []int{f.Part}
		}
		w.build(f, all)
		return nil
	case StepPublish:
		if f.Kind == Run {
			return w.publish(f, []int{f.Part}, !w.tenure(f.Tenure).Activated)
		}
		if !w.Bounds.Steps {
			return w.publish(f, all, true)
		}
		return w.publish(f, Group(0), false)
	case StepPublishRest:
		return w.publish(f, Group(1), true)
	case StepAttest:
		return w.attest(f)
	case StepLeave:
		return w.leave(f)
	case StepOpen:
		return w.openBack(f)
	case StepBack:
		if !w.Bounds.Steps {
			return w.back(f, all)
		}
		return w.back(f, Group(0))
	case StepBackRest:
		return w.back(f, Group(1))
	case StepEnd:
		return w.endBack(f, f.stopping)
	case StepOver:
	}
	return nil
}

// advance is what the workflow decides when it learns how its step went.
func (w *World) advance(f *Flow, err error) {
	f.lost = false
	switch {
	case err != nil:
		w.failed(f, err)
	case f.Kind == Run && f.Step == StepPublish, f.Step == StepLeave:
		if f.Result == "" {
			f.Result = "done"
		}
		f.end(f.Result)
	case f.Step == StepOpen && f.Back == 0: // nothing to turn back: it is stopped
		w.nothing(f)
	case f.Step == StepEnd:
		w.backEnded(f)
	case f.Step == StepPublish || f.Step == StepPublishRest:
		f.published = true
		f.Step = w.next(f.Step)
	case f.stopping && (f.Step == StepOpen || f.Step == StepBack) && f.Kind != Deploy:
		f.Step = StepEnd // a cancel stops at the next edge
	default:
		f.Step = w.next(f.Step)
	}
	if f.stopping && f.Kind == Deploy && f.Step < StepLeave {
		w.compensate(f)
	}
	if f.stopping && f.Kind == Run && f.Step < StepLeave {
		f.end("refused")
	}
}

// next is the step after one. What is done in one transaction has no rest.
func (w *World) next(s Step) Step {
	if !w.Bounds.Steps && (s == StepPublish || s == StepBack) {
		return s + 2
	}
	return s + 1
}

// failed is what follows a refusal. What moved is built again, once; a deployment that fails turns back what it did.
func (w *World) failed(f *Flow, err error) {
	switch {
	case errors.Is(err, errMoved) && f.Round < rounds-1 && f.Step <= StepPublishRest:
		f.Round++
		f.done &^= 1<<StepBuild | 1<<StepPublish | 1<<StepPublishRest
		if f.Step == StepPublishRest {
			f.done |= 1 << StepPublish // the first group stays published
		}
		f.Step = StepBuild
	case f.Kind == Deploy && f.Step > StepEnter && f.Step < StepLeave:
		w.compensate(f)
	case f.Kind == Deploy && f.Step >= StepOpen:
		f.Result = "gone" // somebody else turns back, or has
		f.Step = StepLeave
	default:
		f.end("refused")
	}
}

// compensate turns back what the deployment has done by itself. What somebody else has turned back already needs nothing.
func (w *World) compensate(f *Flow) {
	f.stopping = false
	for _, b := range w.Ledgers[f.Pipeline].Backs {
		if b.Tenure > f.Tenure {
			f.Result, f.Step = "gone", StepLeave
			return
		}
	}
	f.Of, f.Step, f.Result = f.Owner, StepOpen, "refused"
}

// backEnded takes over what the ledger says of the turn-back that the flow has ended.
func (w *World) backEnded(f *Flow) {
	if f.Kind == Deploy {
		f.Step = StepLeave
		return
	}
	for _, b := range w.Ledgers[f.Pipeline].Backs {
		if b.Tenure == f.Back {
			f.end(string(b.State))
		}
	}
}

// nothing is what follows where there is nothing to turn back.
func (w *World) nothing(f *Flow) {
	if f.Kind == Deploy {
		f.Step = StepLeave
		return
	}
	f.end("refused")
}
