package migrate

import (
	"fmt"
	"slices"
	"strings"
)

// pair is a column that is written twice: under its old shape, and under the new one.
type pair struct {
	// column is the name that readers know, added the one of the new column until the switch.
	column, added string
	// renamed and formerly are the names of the new column and of the old one from the switch on.
	renamed, formerly string
	typeOld, typeNew  string
	collation         string
	// up and down are expressions over the names before the switch; in down, column is the new value. Empty: the value itself.
	up, down string
	// reads are the columns of up, readsBack those of down but for column.
	reads, readsBack []string
	// oldDefault and newDefault are defaults as SQL; empty: none.
	oldDefault, newDefault string
	notNull                bool
	// sequences go with the old column until contract, and with the new one from then on.
	sequences []Sequence
}

// swaps says whether the switch gives both columns other names.
func (f pair) swaps() bool { return f.added != f.renamed }

// fill is a column that gets a value where nobody gives one.
type fill struct {
	column, up string
	reads      []string
	hasDefault bool
}

// authority is which of two shapes counts where a writer gives both, and they differ.
type authority string

const (
	oldShape authority = "old"
	newShape authority = "new"
)

// guardSetting is set by sessions that bring rows over: what they write is not written back, so that a way back that loses something
// never reaches the column that it came from.
const guardSetting = "drawbridge.backfill"

// dualWrite plans the trigger that writes both shapes, the switch of its authority, and the end of the old shape.
func (p *planner) dualWrite() {
	if len(p.pairs) == 0 && len(p.fills) == 0 {
		return
	}
	name := dualWriter(p.in.Release.Pipeline, p.in.Migration.Name)
	function := qualified(p.ledger(), name)
	before := p.body(oldShape)
	after := p.body(newShape)
	create := []string{p.defineFunction(function, before)}
	var drop, fire []string
	gone := []string{no(p.anyFunction(name))}
	for _, w := range p.writers(name) {
		create = append(create, fmt.Sprintf("CREATE TRIGGER %s BEFORE %s ON %s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION %s()",
			quote(w.name), w.event, p.table(), w.when, function))
		drop = append(drop, fmt.Sprintf("DROP TRIGGER IF EXISTS %s ON %s", quote(w.name), p.table()))
		fire = append(fire, p.hasTrigger(w, name))
		gone = append(gone, no(p.anyTrigger(w.name)))
	}
	drop = append(drop, "DROP FUNCTION IF EXISTS "+function+"() RESTRICT")
	bodies := []string{before}
	if len(p.pairs) > 0 {
		bodies = append(bodies, after)
	}
	p.step(DualWrite, "write", "both", Step{
		Title: "Write both shapes: " + p.dualTitle(),
		Act:   create,
		Probe: probe(append([]string{p.hasFunction(name, bodies...)}, fire...)...),
		Gone:  probe(gone...),
		Undo:  drop,
		Lock:  ShareRowExclusive,
		Risk:  "Every row that others write costs a function call more. A write whose values an expression does not take fails.",
	})
	needs := []string{p.last()}
	if len(p.pairs) > 0 {
		p.switchover(name, function, before, after)
		needs = append(needs, p.last())
	}
	p.contract(name, drop, gone, needs)
}

// writer is a trigger of a dual write. Its condition is bound to columns and operators where it is made, and keeps the function from
// being called for rows that say the same in both shapes.
type writer struct {
	name, event, when string
	fires             int // pg_trigger.tgtype
}

// Bits of pg_trigger.tgtype.
const (
	forEachRow  = 1
	firesBefore = 2
	onInsert    = 4
	onUpdate    = 16
)

func (p *planner) writers(name string) []writer {
	guard := "pg_catalog.current_setting(" + literal(guardSetting) + ", true) IS DISTINCT FROM 'on'"
	var inserts, updates []string
	for _, f := range p.pairs {
		if f.up == "" {
			differ := bytesDiffer("NEW."+quote(f.column), "NEW."+quote(f.added), f.typeOld, f.collation)
			inserts, updates = append(inserts, differ), append(updates, differ)
			continue
		}
		// What an expression gives is not known outside of the function: a row that has nothing yet may lack it.
		sources := slices.Concat([]string{f.column, f.added}, f.reads, f.readsBack)
		slices.Sort(sources)
		inserts = append(inserts, "true")
		updates = append(updates, imageChanged(slices.Compact(sources)), "NEW."+quote(f.added)+" IS NULL")
	}
	for _, f := range p.fills {
		missing := "NEW." + quote(f.column) + " IS NULL"
		inserts, updates = append(inserts, missing), append(updates, missing)
	}
	return []writer{
		{name: name + insertSuffix, event: "INSERT", when: all(either(inserts...), guard), fires: forEachRow + firesBefore + onInsert},
		{name: name + updateSuffix, event: "UPDATE", when: all(either(updates...), guard), fires: forEachRow + firesBefore + onUpdate},
	}
}

func (p *planner) dualTitle() string {
	var parts []string
	for _, f := range p.pairs {
		parts = append(parts, fmt.Sprintf("%s and %s", shown(f.column), shown(f.added)))
	}
	for _, f := range p.fills {
		parts = append(parts, fmt.Sprintf("%s where it is not given", shown(f.column)))
	}
	return strings.Join(parts, ", ")
}

// switchover lets the new shape count from here on, of all pairs at once.
func (p *planner) switchover(name, function, before, after string) {
	act, undo := []string{p.defineFunction(function, after)}, []string{p.defineFunction(function, before)}
	conditions := []string{p.hasFunction(name, after)}
	gone := []string{either(p.hasFunction(name, before), no(p.anyFunction(name)))}
	titles := []string{}
	for _, f := range p.pairs {
		title := fmt.Sprintf("%s counts, and %s follows", shown(f.renamed), shown(f.formerly))
		if f.swaps() {
			title = fmt.Sprintf("%s is of type %s, and %s is what it was", shown(f.renamed), f.typeNew, shown(f.formerly))
			act = append(act, p.rename(f.column, f.formerly), p.rename(f.added, f.renamed))
			undo = append(undo, where(all(p.hasColumn(f.formerly), p.hasColumn(f.renamed)), p.rename(f.renamed, f.added), p.rename(f.formerly, f.column)))
			gone = append(gone, no(p.hasColumn(f.formerly)))
		}
		titles = append(titles, title)
		oldConditions := []string{ofType(f.typeOld)}
		newConditions := []string{ofType(f.typeNew)}
		if f.oldDefault != "" {
			act = append(act, p.alterColumn(f.formerly, "DROP DEFAULT"), p.alterColumn(f.renamed, "SET DEFAULT "+embed(f.newDefault)))
			undo = append(undo, p.alterColumn(f.added, "DROP DEFAULT"), p.alterColumn(f.column, "SET DEFAULT "+f.oldDefault))
			gone = append(gone, p.hadDefault(f.column, f.oldDefault), no(p.hasColumn(f.added, "a.atthasdef")))
			oldConditions, newConditions = append(oldConditions, noDefault), append(newConditions, "a.atthasdef")
		}
		conditions = append(conditions, p.hasColumn(f.formerly, oldConditions...), p.hasColumn(f.renamed, newConditions...))
	}
	var proofs []Proof
	if p.partitioned() { // one may have been attached since the rows were counted
		for _, f := range p.pairs {
			proofs = append(proofs, p.same(f, oldShape))
		}
	}
	s := Step{
		Proofs: proofs,
		Title:  "Switch: " + strings.Join(titles, "; "), Act: act, Probe: probe(conditions...), Gone: probe(gone...), Undo: undo,
		Risk: "Sessions that prepared a statement over all columns have to prepare it again.",
	}
	if len(act) > 1 {
		s.Lock = AccessExclusive
	}
	p.step(Switch, "authority", p.in.Table.Name, s)
}

// contractEnd is the ID of the step that ends a dual write.
const contractEnd = "contract-end-both"

// contract ends the dual write, and takes the old columns away, in one transaction: between the two a writer of the new shape would
// leave the old column without a value. What was over the old columns goes with them, and what was made in its place gets its name.
func (p *planner) contract(name string, drop, gone, needs []string) {
	act, conditions := slices.Clone(drop), slices.Clone(gone)
	title := "Stop to fill in what writers leave out"
	var old, risks, also []string
	for _, f := range p.pairs {
		old = append(old, shown(f.formerly))
		p.plan.Old = append(p.plan.Old, f.formerly)
		for _, s := range f.sequences {
			act = append(act, fmt.Sprintf("ALTER SEQUENCE %s OWNED BY %s.%s", qualified(s.Schema, s.Name), p.table(), quote(f.renamed)))
			conditions = append(conditions, p.hasColumn(f.renamed, goesWith(s)))
		}
		act = append(act, p.alter("DROP COLUMN "+quote(f.formerly)+" RESTRICT"))
		conditions = append(conditions, no(p.hasColumn(f.formerly)))
	}
	for _, h := range p.heirs {
		act = append(act, h.act...)
		conditions = append(conditions, h.there)
		also = append(also, h.also...)
	}
	if len(old) > 0 {
		title = "Take away " + strings.Join(old, ", ") + ", and stop to write both"
		risks = append(risks, "Whoever still reads or writes "+strings.Join(old, ", ")+" gets an error, and nothing brings its values back.")
	}
	for _, f := range p.pairs {
		if f.notNull {
			risks = append(risks, refusesNulls(f.renamed, f.newDefault != ""))
		}
	}
	for _, f := range p.fills {
		risks = append(risks, refusesNulls(f.column, f.hasDefault))
	}
	slices.Sort(also)
	s := Step{Title: title, Act: act, Probe: probe(conditions...), Lock: AccessExclusive, Also: slices.Compact(also), Risk: strings.Join(risks, " ")}
	if len(p.pairs) > 0 {
		s.Needs = needs
		for _, h := range p.heirs {
			s.Needs = append(s.Needs, h.made)
		}
	}
	for _, f := range p.pairs {
		s.Proofs = append(s.Proofs, p.same(f, newShape))
	}
	p.step(Contract, "end", "both", s)
}

func (p *planner) rename(from, to string) string {
	return p.alter("RENAME COLUMN " + quote(from) + " TO " + quote(to))
}

func (p *planner) alterColumn(column, action string) string {
	return p.alter("ALTER COLUMN " + quote(column) + " " + action)
}
