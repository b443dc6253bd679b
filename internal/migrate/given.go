package migrate

import (
	"slices"
	"strings"
)

// Given are columns of a table that a pipeline's releases make. No row of it is ever written in place: what is new comes with generations,
// which releases build whose SELECT gives it, and what is old goes once no release gives it.
type Given struct {
	// Old are the columns that whatever is published has to give until contract may begin, and New those that it has to give from dual write on.
	Old []string `json:"old,omitempty"`
	New []string `json:"new,omitempty"`
	// GiveUp says that retired generations which lack what is new do not hold contract up: nobody goes back to them any more.
	GiveUp bool `json:"give_up,omitempty"`
}

// Both are all of them, the old ones first.
func (g Given) Both() []string { return slices.Concat(g.Old, g.New) }

// Lacking are the columns that have to be given and are not.
func Lacking(have, wanted []string) []string {
	var lacking []string
	for _, name := range wanted {
		if !slices.Contains(have, name) {
			lacking = append(lacking, name)
		}
	}
	return lacking
}

// partitioned is the kind of a table that is cut into partitions, as the server calls it.
const partitioned = "partitioned table"

// otherWay is what is done instead of an operation that a table of releases does not have; empty: it has it.
func otherWay(kind Kind) string {
	switch kind {
	case AddColumn, RenameColumn, DropColumn:
		return ""
	case ChangeType:
		return "give it another name with its type, in one file: add_column with the new type, required: true and up, and drop_column of the old one; a rename_column in the file after it brings the old name back"
	case CreateIndex, DropIndex:
		return "write the output's indexes, or its key, in pipeline.yaml, and deploy it: each generation is built with them"
	case SetDefault, DropDefault:
		return "give the value in the output's SELECT, and deploy it"
	case SetComment:
		return "write it by hand: COMMENT ON COLUMN; the table that readers see stays the same one"
	default:
		return "write the output's key and checks in pipeline.yaml, and deploy it: each generation is held to them before anybody sees it"
	}
}

// give plans an operation on a table of releases.
func (p *planner) give(o Operation) {
	if o.Kind == ChangeType {
		p.refuse(otherWay(o.Kind), "%s would give %s, of every generation that is kept, another type under the same name, and a release gives one of the two types: until contract the one, and from then on the other, with no moment for both",
			o.Kind, shown(o.Column))
		return
	}
	if way := otherWay(o.Kind); way != "" {
		p.refuse(way, "%s is made by this pipeline's releases, generation by generation, and %s is about one that is written in place", shown(p.in.Table.Name), o.Kind)
		return
	}
	switch o.Kind {
	case AddColumn:
		p.giveAdded(o)
	case RenameColumn:
		c, ok := p.column(o, o.Column)
		if !ok || !p.goes(o, c) || !p.room(o, o.To, c.Type) {
			return
		}
		p.plan.Given.Old, p.plan.Given.New = append(p.plan.Given.Old, c.Name), append(p.plan.Given.New, o.To)
		p.expand(o.To, c.Type)
		same := Proof{Name: shown(o.To) + " is " + shown(c.Name), Broken: differs(quote(o.To), quote(c.Name), c.Type), Given: []string{c.Name, o.To}}
		p.plan.Proofs = append(p.plan.Proofs, same)
		p.dropGiven(c, same)
	case DropColumn:
		if c, ok := p.column(o, o.Column); ok && p.goes(o, c) {
			p.plan.Given.Old = append(p.plan.Given.Old, c.Name)
			p.dropGiven(c)
		}
	default: // there is another way
	}
}

// giveAdded adds a column that releases may give, or have to.
func (p *planner) giveAdded(o Operation) {
	name, _ := typeName(o.Type)
	if o.Default != "" {
		p.refuse("leave default out, and give the value in the output's SELECT", "%s of %s has a default, and releases give every value of the table", o.Kind, shown(o.Column))
		return
	}
	if !p.room(o, o.Column, name) {
		return
	}
	p.expand(o.Column, name)
	if !o.Required {
		return
	}
	up, ok := p.said(o, Typed{Expression: o.Up, Type: name})
	if !ok {
		return
	}
	p.plan.Given.New = append(p.plan.Given.New, o.Column)
	p.plan.Proofs = append(p.plan.Proofs,
		Proof{Name: shown(o.Column) + " is never null", Broken: quote(o.Column) + " IS NULL", Given: []string{o.Column}},
		Proof{Name: shown(o.Column) + " is what up says", Broken: differs(quote(o.Column), embed(o.Up), name), Given: append([]string{o.Column}, up.Columns...)})
}

// room says whether there is room for a column, or it is there already: a release that gives it has been deployed before.
func (p *planner) room(o Operation, name, typeName string) bool {
	c, there := p.in.Table.Column(name)
	switch {
	case !there:
		return p.add(o, name, typeName)
	case c.Type != typeName:
		p.invalid("choose another name, or the type that it has", "%s would make a column %s of type %s, and %s has one of type %s", o.Kind, shown(name), typeName, shown(p.in.Table.Name), c.Type)
		return false
	}
	return true
}

// goes says whether a column can be taken from a table of releases.
func (p *planner) goes(o Operation, c Column) bool {
	for _, what := range c.Holds {
		p.refuse("take it away first, by name", "%s takes %s away, and with it would go %s", o.Kind, shown(c.Name), what)
	}
	if c.NotNull {
		p.refuse("let it be null first: ALTER TABLE … ALTER COLUMN … DROP NOT NULL", "%s takes %s away, and no release could leave it out before: the table holds it to NOT NULL", o.Kind, shown(c.Name))
	}
	return len(c.Holds) == 0 && !c.NotNull
}

// expand adds a column that may be null to the table and to what hangs in it. What has retired gains it when it is attached again.
func (p *planner) expand(name, typeName string) {
	p.step(Expand, "add", name, Step{
		Title: "Add " + shown(name),
		Act:   []string{p.alter("ADD COLUMN IF NOT EXISTS " + quote(name) + " " + typeName)},
		Probe: probe(p.hasColumn(name, ofType(typeName))),
		Gone:  probe(no(p.hasColumn(name))),
		Undo:  []string{p.alter("DROP COLUMN IF EXISTS " + quote(name) + " RESTRICT")},
		Lock:  AccessExclusive, Column: name,
		Risk: "Readers of all columns (SELECT *) see one more. Undone, it stays where a generation was built with it: that could not be gone back to otherwise.",
	})
}

// dropGiven takes a column away, when nothing that is published gives it any more, and what it is compared with holds still.
func (p *planner) dropGiven(c Column, proofs ...Proof) {
	p.take(c.Name)
	p.plan.Old = append(p.plan.Old, c.Name)
	p.step(Contract, "drop", c.Name, Step{
		Title: "Take " + shown(c.Name) + " away, from every generation that is kept too",
		Act:   []string{p.alter("DROP COLUMN " + quote(c.Name) + " RESTRICT")},
		Probe: probe(no(p.hasColumn(c.Name))),
		Lock:  AccessExclusive, Column: c.Name, Proofs: proofs,
		Risk: "Whoever still reads " + shown(c.Name) + " gets an error, nothing brings its values back, and no rollback goes to a release that gives it.",
	})
}

// given has contract rest on what was verified, and says, to those who approve, what a table of releases waits for.
func (p *planner) given() {
	g := p.plan.Given
	if g != nil {
		p.provedAgain()
	}
	if g == nil || len(g.Old) == 0 {
		if p.in.GiveUp {
			p.invalid("leave --give-up-rollback out", "it takes nothing away from a table that releases make, so there is no way back to give up")
		}
		if g == nil {
			return
		}
	}
	if len(g.New) > 0 {
		p.warn("It waits, from dual write on, for a release of %s that gives %s, and for every partition to be built by one; until contract no other release is let in.", p.in.Release.Pipeline, listed(g.Both()))
	} else if len(g.Old) > 0 {
		p.warn("Until contract no release of %s is let in that does not give %s.", p.in.Release.Pipeline, listed(g.Old))
	}
	if len(g.Old) == 0 {
		return
	}
	p.warn("Contract waits for a release of %s that does not give %s.", p.in.Release.Pipeline, listed(g.Old))
	switch {
	case len(g.New) == 0:
	case g.GiveUp:
		p.warn("Retired generations that lack %s are given up at contract: no rollback goes back to them.", listed(g.New))
	default:
		p.warn("Contract waits, too, until no retired generation is kept that lacks %s: as long as the environment keeps them to go back to.", listed(g.New))
	}
}

// provedAgain lets the first column go only where everything holds that was proved before the switch: releases have written since. What compares
// a column that goes with another one is proved where it goes.
func (p *planner) provedAgain() {
	at := slices.IndexFunc(p.plan.Steps, func(s Step) bool { return s.Phase == Contract })
	if at < 0 {
		return
	}
	later := map[string]bool{}
	for _, s := range p.plan.Steps[at:] {
		for _, proof := range s.Proofs {
			later[proof.Name] = true
		}
	}
	for _, proof := range p.plan.Proofs {
		if !later[proof.Name] {
			p.plan.Steps[at].Proofs = append(p.plan.Steps[at].Proofs, proof)
		}
	}
}

// listed are names in a sentence.
func listed(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = shown(name)
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}
