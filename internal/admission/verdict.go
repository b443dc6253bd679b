package admission

import (
	"fmt"
	"slices"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// Stage is what a verdict of the ledger is of.
type Stage string

// The stages that a deployment's release has to pass before it takes another one's place.
const (
	Smoke  Stage = "smoke"
	Canary Stage = "canary"
)

// Verdict is what a stage found of a tenure's release, as whoever looked has written it into the ledger.
type Verdict struct {
	gate.Verdict
	Stage Stage
	// Round is that of the builds that it looked at: what moved was built, and looked at, again.
	Round int
	// Compared are the generations that it is about.
	Compared []Compared
	// About names what people have to accept where it is inconclusive, in what they decide.
	About []string
}

// Compared is a generation that a verdict is about.
type Compared struct {
	Output    string        `json:"output"`
	Partition partition.Key `json:"partition"`
	Candidate int64         `json:"candidate"`
	// Live is what it replaces: live when its build began; 0: nothing was.
	Live int64 `json:"live"`
	// Baseline is what it was compared with, which may be a control; 0: nothing.
	Baseline int64 `json:"baseline"`
}

// Name is its output and partition, as people read it.
func (c Compared) Name() string { return fmt.Sprintf("%s[%s]", c.Output, c.Partition) }

// AboutVerdict names what a look under a key has found.
func AboutVerdict(key effect.Key) string { return "verdict " + key.String() }

// judged holds a deployment's release that is to take another one's place, and the statement that it has passed, to what smoke
// and canary found of its tenure when they looked last. A release that replaces none has nothing to be compared with.
func judged(q Question, f Facts, rule gate.Approval) error {
	replaces := q.What != Attest && f.Tenure.Number != f.Active.Number && !f.Active.None()
	if q.TurnBack || f.Tenure.Kind != release.ByDeployment || q.What == Build || q.What != Attest && !replaces {
		return nil
	}
	again := "deploy it again: drawbridge deploy " + q.Release.String() + " --to " + q.Environment
	for _, stage := range []Stage{Smoke, Canary} {
		v, ok := f.Verdicts[stage]
		switch {
		case !ok:
			return q.refuse(fault.Refused, fmt.Sprintf("the ledger has no verdict of its %s", stage), again)
		case v.Outcome == gate.Pass:
		case v.Outcome == gate.None && !replaces: // nothing was active to compare with
		case v.Outcome == gate.Inconclusive && all(rule, v.About, f.Accepted):
		default:
			return q.refuse(fault.Refused, fmt.Sprintf("the verdict of its %s is %s: %s", stage, v.Outcome, v.Reason), again)
		}
	}
	for _, s := range q.Swaps {
		for _, c := range f.Verdicts[Canary].Compared {
			if c.Output == s.Output && c.Partition == s.Partition && (c.Candidate != s.To || c.Live != s.From) {
				return q.refuse(fault.Conflict, fmt.Sprintf("the canary was about generation %d of %s %s in the place of %d, and not about %d in the place of %d",
					c.Candidate, s.Output, s.Partition, c.Live, s.To, s.From), again)
			}
		}
	}
	return nil
}

// all says that people have accepted each of some things.
func all(rule gate.Approval, about []string, recorded []gate.Gate) bool {
	return len(about) > 0 && !slices.ContainsFunc(about, func(one string) bool { return !accepted(rule, one, recorded) })
}
