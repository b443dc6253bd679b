// Package gate holds the pure rules of gates: verdicts, and what a person's decision does to an approval.
package gate

// Outcome is the result of a gate. The zero Outcome is a gate that is still open.
type Outcome string

// The outcomes. Fail compensates; Inconclusive pauses and asks a person; None had nothing to measure, for nothing came before
// this release: the other gates decide, and no screen shows it as passed.
const (
	Pass         Outcome = "pass"
	Fail         Outcome = "fail"
	Inconclusive Outcome = "inconclusive"
	None         Outcome = "none"
)

// Evidence is one number behind a verdict: what was measured, the value, the limit it was held against. It never
// holds a row's values.
type Evidence struct {
	Name    string  `json:"name"`
	Value   string  `json:"value"`
	Limit   string  `json:"limit,omitempty"`
	Outcome Outcome `json:"outcome"`
	Note    string  `json:"note,omitempty"`
}

// Verdict is a gate's result with its evidence and a sentence that says why.
type Verdict struct {
	Outcome  Outcome    `json:"outcome"`
	Reason   string     `json:"reason"`
	Evidence []Evidence `json:"evidence,omitempty"`
}

// Worst folds outcomes: one Fail fails, else one Inconclusive is inconclusive, else Pass. Of none it is Inconclusive:
// a gate that measured nothing has not passed.
func Worst(outcomes ...Outcome) Outcome {
	worst := Pass
	if len(outcomes) == 0 {
		worst = Inconclusive
	}
	for _, o := range outcomes {
		switch o {
		case Fail:
			return Fail
		case Pass:
		default: // Inconclusive, and an outcome that nobody set
			worst = Inconclusive
		}
	}
	return worst
}
