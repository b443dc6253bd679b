package plan

import (
	"drawbridge/internal/pipeline"
)

// contractProblems refuses an output that breaks what its readers were promised, and names them: one problem for each column.
func contractProblems(o pipeline.Output, found ObservedOutput) []Problem {
	if o.Contract == nil || len(found.Candidate) == 0 { // what its SELECT cannot do is said already
		return nil
	}
	types := map[string]string{}
	for _, c := range found.Candidate {
		types[c.Name] = c.Type
	}
	var problems []Problem
	for _, broken := range o.Contract.Breaks(types) {
		problems = append(problems, Problem{
			Rule: "contract", Object: o.Table, Blocking: true,
			Text:   broken + " by " + o.Contract.File + "; " + o.Contract.Readers(),
			Remedy: "let the output's SELECT return it so, such as by a cast; or agree with its readers, and change the contract in the same release",
		})
	}
	return problems
}
