package plan

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// Drift says what has moved in an environment since it was planned, a sentence each; none when the plan still holds.
// Only what the digest covers counts: live generations and open runs may move, and so may a problem that would not have
// refused the plan.
//
// What applying the plan leaves behind is expected: a workflow that was reset looks again, and one that was turned back
// has left its columns. That is the release being the active one, and the tables and columns that the plan adds.
func Drift(planned Environment, release release.Release, now Observed) []string {
	var moved []string
	say := func(format string, args ...any) { moved = append(moved, fmt.Sprintf(format, args...)) }
	if !sameRelease(planned.Active, now.Active) && !sameRelease(&release, now.Active) {
		say("the active release was %s, and is %s", releaseText(planned.Active), releaseText(now.Active))
	}
	if planned.Schema != now.Schema {
		say("the schema was %s, and is %s", planned.Schema, now.Schema)
	}
	if planned.ConfigDigest != now.ConfigDigest {
		say("the config has changed: its digest was %s, and is %s", gate.Short(planned.ConfigDigest), gate.Short(now.ConfigDigest))
	}
	if planned.PolicyDigest != now.PolicyDigest {
		say("the policy has changed: its digest was %s, and is %s", gate.Short(planned.PolicyDigest), gate.Short(now.PolicyDigest))
	}
	moved = append(moved, schemaDrift(planned, now)...)
	for _, p := range now.Problems {
		known := slices.ContainsFunc(planned.Problems, func(q Problem) bool {
			return q.Blocking && q.Rule == p.Rule && q.Object == p.Object
		})
		if p.Blocking && !known {
			say("a new problem with %s: %s", p.Object, p.Text)
		}
	}
	return moved
}

// schemaDrift names the tables and columns that differ from the planned ones.
func schemaDrift(planned Environment, now Observed) []string {
	var moved []string
	outputs := slices.Clone(now.Outputs)
	for i, o := range outputs {
		at := slices.IndexFunc(planned.Changes, func(c SchemaChange) bool { return c.Table == o.Table })
		if at < 0 {
			continue // Fingerprint covers it
		}
		change := planned.Changes[at]
		outputs[i] = unexpanded(o, change)
		moved = append(moved, columnDrift(change, outputs[i])...)
	}
	if len(moved) == 0 && Fingerprint(outputs) != planned.Fingerprint {
		moved = append(moved, "the tables of the outputs are not the ones that were planned for: another kind of table, "+
			"another partitioning, or columns in another order")
	}
	return moved
}

// unexpanded is an output as it was before the plan expanded it.
func unexpanded(o ObservedOutput, change SchemaChange) ObservedOutput {
	if change.Class == SchemaCreate && o.Kind == generation.Managed && len(o.Columns) == len(change.Added) &&
		!slices.ContainsFunc(o.Columns, func(c generation.Column) bool { return !isAdded(generation.Column{Name: c.Name, Type: c.Type}, change) }) {
		// A column of a new table may be NOT NULL: bounds and keys want that.
		return ObservedOutput{Table: o.Table, Kind: generation.Absent, Candidate: o.Candidate}
	}
	if change.Class == SchemaAdditive {
		o.Columns = slices.DeleteFunc(slices.Clone(o.Columns), func(c generation.Column) bool { return isAdded(c, change) })
	}
	return o
}

func isAdded(c generation.Column, change SchemaChange) bool { return slices.Contains(change.Added, c) }

// columnDrift compares a parent's columns, and what the release would now add to them, with the plan.
func columnDrift(change SchemaChange, now ObservedOutput) []string {
	var moved []string
	say := func(format string, args ...any) {
		moved = append(moved, change.Table+": "+fmt.Sprintf(format, args...))
	}
	for _, was := range change.Before {
		is, ok := column(now.Columns, was.Name)
		switch {
		case !ok:
			say("column %s is gone", was.Name)
		case is != was:
			say("column %s was %s, and is %s", was.Name, typeText(was), typeText(is))
		}
	}
	for _, is := range now.Columns {
		if _, ok := column(change.Before, is.Name); !ok {
			say("there is a new column %s %s", is.Name, typeText(is))
		}
	}
	if len(moved) > 0 || now.Kind == generation.Plain {
		return moved
	}
	added, _, conflicts := compareColumns(now.Columns, now.Candidate)
	if !slices.Equal(added, change.Added) {
		say("the release would now add (%s), the plan adds (%s)", strings.Join(columnTexts(added), ", "), strings.Join(columnTexts(change.Added), ", "))
	}
	for _, c := range conflicts {
		if !slices.Contains(change.Conflicts, c) {
			say("%s", c)
		}
	}
	return moved
}

func typeText(c generation.Column) string {
	if c.NotNull {
		return c.Type + " NOT NULL"
	}
	return c.Type
}

func sameRelease(a, b *release.Release) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Digest == b.Digest
}

func releaseText(r *release.Release) string {
	if r == nil {
		return "none"
	}
	return fmt.Sprintf("%s (%s)", r.Version, gate.Short(r.Digest))
}

// Bends says in what a plan is looser than, or other than, what this environment's own files say now: a plan is a blob that
// anybody may write, and its word counts only where it equals the policy's. None when it holds.
func Bends(planned Environment, p *pipeline.Pipeline, policy pipeline.Policy) []string {
	own := crossing{pipeline: p, config: p.Config, policy: policy}
	var bent []string
	say := func(format string, args ...any) { bent = append(bent, fmt.Sprintf(format, args...)) }
	if digest := policy.Digest(); planned.PolicyDigest != digest {
		say("the policy's digest is %s, the plan says %s", gate.Short(digest), gate.Short(planned.PolicyDigest))
	}
	if digest := p.Config.Digest(); planned.ConfigDigest != digest {
		say("the config's digest is %s, the plan says %s", gate.Short(digest), gate.Short(planned.ConfigDigest))
	}
	if !bytes.Equal(canonical(planned.Approval), canonical(policy.Approval)) {
		say("the rule of approval is another one than the policy's")
	}
	if !slices.Equal(planned.Requires, policy.Requires) {
		say("the environments that a release has to pass first are others than the policy's")
	}
	if !bytes.Equal(canonical(planned.Watch), canonical(WatchOf(own.pipeline, own.config))) {
		say("the watch is another one than the release's")
	}
	if planned.Schedule != own.schedule() {
		say("the schedule is another one than the config's")
	}
	if planned.SmokeMax != own.smoke().MaxRuntime || planned.Lanes != policy.Publish.Lanes {
		say("the limits of smoke or lanes are others than the release's and the policy's")
	}
	if n := Partitions(planned.Slices); policy.MaxPartitions > 0 && n > policy.MaxPartitions {
		say("%d partitions would be built, the policy allows %d", n, policy.MaxPartitions)
	}
	if !planned.cutsOver(policy.Publish.Cutover) {
		say("its cut-over is another one than the policy's")
	}
	if left := own.untried(planned); left != "" {
		say("what it publishes first leaves out what has to be tried: %s", left)
	}
	if !slices.Equal(stepIDs(planned.Steps), stepIDs(steps(planned))) {
		say("its steps are not those that follow from what it does")
	}
	return bent
}

// untried names what a plan publishes untried: of the partitions of its canary it has to try every output. Empty: nothing.
func (c crossing) untried(planned Environment) string {
	if len(planned.Slices) == 0 {
		return ""
	}
	if len(planned.Canary) == 0 {
		return "any partition"
	}
	everything := func(pipeline.Output) bool { return true }
	wanted := c.wholeItems()
	for _, key := range planned.Canary {
		wanted = append(wanted, c.cutItems(key, everything)...)
	}
	for _, item := range wanted {
		if !slices.Contains(planned.Slices[0].Items, item) {
			return item.Output + " " + string(item.Partition)
		}
	}
	return ""
}

func stepIDs(steps []Step) []string {
	ids := make([]string, len(steps))
	for i, s := range steps {
		ids[i] = s.ID
	}
	return ids
}
