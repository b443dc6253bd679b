package plan

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// schemaChange says how a release changes one output's columns.
func schemaChange(want partition.Scheme, found ObservedOutput) SchemaChange {
	change := SchemaChange{Table: found.Table, Before: found.Columns}
	switch {
	case found.Kind == generation.Plain:
		change.Conflicts = []string{"a table that Drawbridge does not manage has this name"}
	case len(found.Candidate) == 0:
		change.Conflicts = []string{"the columns that the release returns could not be determined"}
	case found.Kind == generation.Absent:
		change.Class, change.Added = SchemaCreate, nullable(found.Candidate)
		change.Conflicts = repeated(found.Candidate)
	default:
		change.Class = SchemaSame
		change.Added, change.LeftOut, change.Conflicts = compareColumns(found.Columns, found.Candidate)
		if len(change.Added) > 0 {
			change.Class = SchemaAdditive
		}
		if conflict := cutOtherwise(want, found); conflict != "" {
			change.Conflicts = append(change.Conflicts, conflict)
		}
		change.Conflicts = append(change.Conflicts, repeated(found.Candidate)...)
	}
	if len(change.Conflicts) > 0 {
		change.Class = SchemaDestructive
	}
	return change
}

// compareColumns compares a parent's columns with those that a SELECT returns. Order does not matter: columns are
// matched by name, and new ones are appended.
func compareColumns(parent, candidate []generation.Column) (added []generation.Column, leftOut, conflicts []string) {
	for _, want := range candidate {
		have, ok := column(parent, want.Name)
		switch {
		case !ok:
			added = append(added, want)
		case have.Type != want.Type:
			conflicts = append(conflicts, fmt.Sprintf("column %s is %s, the release returns %s", want.Name, have.Type, want.Type))
		}
	}
	for _, have := range parent {
		if _, ok := column(candidate, have.Name); ok {
			continue
		}
		if have.NotNull {
			conflicts = append(conflicts, fmt.Sprintf("column %s is %s NOT NULL, the release leaves it out", have.Name, have.Type))
			continue
		}
		leftOut = append(leftOut, have.Name)
	}
	return nullable(added), leftOut, conflicts
}

func column(columns []generation.Column, name string) (generation.Column, bool) {
	i := slices.IndexFunc(columns, func(c generation.Column) bool { return c.Name == name })
	if i < 0 {
		return generation.Column{}, false
	}
	return columns[i], true
}

// nullable is how columns are added: partitions that an earlier release built have no value for them.
func nullable(columns []generation.Column) []generation.Column {
	out := slices.Clone(columns)
	for i := range out {
		out[i].NotNull = false
	}
	return out
}

func repeated(columns []generation.Column) []string {
	var found []string
	seen := map[string]bool{}
	for _, c := range columns {
		if seen[c.Name] {
			found = append(found, fmt.Sprintf("the release returns column %s twice", c.Name))
		}
		seen[c.Name] = true
	}
	return found
}

// cutOtherwise says that what is live is partitioned in another way than a release does it; empty: it is not.
func cutOtherwise(want partition.Scheme, found ObservedOutput) string {
	if found.Scheme == nil || found.Scheme.Same(want) {
		return ""
	}
	return fmt.Sprintf("it is partitioned by %s, the release partitions by %s", found.Scheme.Text(), want.Text())
}

// cutRemedy is what is done about a release that partitions in another way.
const cutRemedy = "partition as the table is; or give the output another name, fill that, and let its readers move there"

// KeptOtherwise refuses a release that partitions in another way than data that could go live again: a rollback could not bring it back.
func KeptOtherwise(table string, kept, want partition.Scheme) Problem {
	return Problem{
		Rule: "schema", Object: table, Blocking: true,
		Text:   fmt.Sprintf("earlier data of it, to which a rollback could go back, is partitioned by %s, the release partitions by %s", kept.Text(), want.Text()),
		Remedy: cutRemedy + "; or wait until that data is dropped, after the policy's keep_retired",
	}
}

// schemaProblems refuses a destructive change, one problem for each conflict. Where preflight has said already what is
// wrong with the table under the name, or with the SELECT, it is not said again.
func (c crossing) schemaProblems(change SchemaChange) []Problem {
	found, _ := c.observed.output(change.Table)
	unknown := found.Kind == generation.Plain || len(found.Candidate) == 0
	if unknown && slices.ContainsFunc(c.observed.Problems, func(p Problem) bool {
		return p.Blocking && p.Object == change.Table
	}) {
		return nil
	}
	var problems []Problem
	var want partition.Scheme
	if i := slices.IndexFunc(c.pipeline.Outputs, func(o pipeline.Output) bool { return o.Table == change.Table }); i >= 0 {
		want = c.pipeline.Outputs[i].Partition
	}
	for _, conflict := range change.Conflicts {
		p := Problem{Rule: "schema", Object: change.Table, Blocking: true}
		switch {
		case found.Kind == generation.Plain:
			p.Text, p.Remedy = conflict, "give the output another name, or rename the table that is there"
		case len(found.Candidate) == 0:
			p.Text, p.Remedy = conflict, "see what its SQL cannot do there: drawbridge validate DIR"
		case conflict == cutOtherwise(want, found):
			p.Text, p.Remedy = conflict+": readers would see some rows twice and others not at all", cutRemedy
		default:
			p.Text = conflict + ": this needs a migration, which is not supported yet"
			p.Remedy = "cast it to the type that the column has, such as (total * 1.1)::numeric(12,2), where the values fit; else keep the column as it is and add one under another name"
		}
		problems = append(problems, p)
	}
	return problems
}

// Fingerprint identifies the tables under the outputs' names: what they are, their columns in order, and how they are
// cut. What a release would return there, and what is live, are no part of it.
func Fingerprint(outputs []ObservedOutput) string {
	type table struct {
		Table   string
		Kind    generation.TableKind
		Columns []generation.Column
		Scheme  *partition.Scheme
	}
	tables := make([]table, 0, len(outputs))
	for _, o := range outputs {
		t := table{Table: o.Table, Kind: o.Kind, Columns: o.Columns, Scheme: o.Scheme}
		if len(t.Columns) == 0 {
			t.Columns = nil
		}
		tables = append(tables, t)
	}
	slices.SortFunc(tables, func(a, b table) int { return strings.Compare(a.Table, b.Table) })
	return digestOf(canonical(tables))
}
