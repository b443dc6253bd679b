package plan

import (
	"strings"

	"drawbridge/internal/pipeline"
)

// Obstacles are the blocking problems that a run meets where a release is to be published again: those of a deployment,
// and columns that the table would gain or lose, which only a deployment changes. One set of rules serves both.
func Obstacles(p *pipeline.Pipeline, observed Observed) []Problem {
	var found []Problem
	for _, problem := range observed.Problems {
		if problem.Blocking {
			found = append(found, problem)
		}
	}
	c := crossing{pipeline: p, config: p.Config, observed: observed}
	for _, o := range p.Outputs {
		seen, _ := observed.output(o.Table)
		change := schemaChange(o.Partition, seen)
		found = append(found, c.schemaProblems(change)...)
		if change.Class == SchemaAdditive && observed.Active != nil {
			text := "its SELECT returns columns that the table does not have: " + strings.Join(columnTexts(change.Added), ", ")
			if len(change.LeftOut) > 0 {
				text += "; and leaves out columns that it has: " + strings.Join(change.LeftOut, ", ")
			}
			found = append(found, Problem{
				Rule: "schema", Object: o.Table, Blocking: true,
				Text:   text,
				Remedy: "name the columns in " + o.SQLFile + ", raise the version, and deploy it: a run adds none",
			})
		}
	}
	return found
}
