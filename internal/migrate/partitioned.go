package migrate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// lockedPart is the part of the server's lock table that one step may take.
const lockedPart = 4

// partitioned says whether the rows lie in partitions. Most statements on such a table are done to all of these, under the same lock; only
// what reads rows, or waits for snapshots, is done partition by partition.
func (p *planner) partitioned() bool { return p.in.Table.Kind == Partitioned }

// leaves are the partitions in which rows lie.
func (p *planner) leaves() []Partition {
	return slices.DeleteFunc(slices.Clone(p.in.Table.Partitions), func(part Partition) bool { return part.Kind != Plain })
}

// partitions looks at those of the table: each of them is altered with it.
func (p *planner) partitions() {
	t := p.in.Table
	for _, part := range t.Partitions {
		switch {
		case part.Kind != Plain && part.Kind != Partitioned:
			p.refuse("detach it first", "the partition %s is a %s, whose rows are not changed in place", shown(part.Name), part.Kind)
		case part.Schema != t.Schema:
			p.refuse("bring it into the table's schema first", "the partition %s is in the schema %s, and a migration changes nothing outside of %s", shown(part.Name), shown(part.Schema), shown(t.Schema))
		case !part.Owned:
			p.refuse("let the owner make our login a member of the owning role", "our login may not alter the partition %s", shown(part.Name))
		}
	}
	locks := int64(len(t.Partitions)+1) * int64(2+len(t.Indexes))
	if t.LockSlots > 0 && locks > t.LockSlots/lockedPart {
		p.refuse("raise max_locks_per_transaction, or detach partitions that nobody reads", "a step takes about %d locks, on %d partitions with their indexes, and a quarter of the server's lock table is %d",
			locks, len(t.Partitions), t.LockSlots/lockedPart)
	}
}

// divided says whether an operation can be done to a partitioned table as it is.
func (p *planner) divided(o Operation) bool {
	known := len(p.problems)
	c, _ := p.in.Table.Column(o.Column)
	placing := slices.Contains(p.in.Table.PartitionKey, o.Column)
	name := shown(p.in.Table.Name)
	switch o.Kind {
	case RenameColumn, ChangeType, DropColumn:
		if placing {
			p.refuse("make a table that is partitioned otherwise, and move to that", "%s of %s: %s is partitioned by it", o.Kind, shown(o.Column), name)
		}
		if o.Kind != DropColumn {
			p.alike(o, c)
		}
	case SetNotNull, DropNotNull, SetDefault, DropDefault:
		p.alike(o, c)
	case CreateIndex:
		p.whole(o)
	case AddColumn, AddCheck, DropCheck, DropIndex, SetComment: // nothing of a partition stands in the way
	default:
		p.refuse("migrate it by hand", "%s of a partitioned table: its steps are known for tables without partitions only", o.Kind)
	}
	p.unchecked(p.checks(o)...)
	return len(p.problems) == known
}

// checks are the names of those that an operation makes.
func (p *planner) checks(o Operation) []string {
	var names []string
	if o.Kind == AddCheck {
		names = append(names, o.Name)
	}
	if o.Kind == AddColumn || o.Kind == SetNotNull {
		names = append(names, notNullCheck(o.Column))
	}
	for _, r := range Replacements(Migration{Operations: []Operation{o}}) {
		names = append(names, notNullCheck(r.Added))
		for _, k := range p.in.Table.Checks {
			if slices.Contains(k.Columns, r.Column) {
				names = append(names, heirName(k.Name))
			}
		}
	}
	return names
}

// alike refuses to change a column that some partition has otherwise: the change is done to all, and its way back would not bring that back.
func (p *planner) alike(o Operation, c Column) {
	for _, what := range c.Unlike {
		p.refuse("make it as it is in the table first", "%s of %s: %s", o.Kind, shown(o.Column), what)
	}
}

// unchecked refuses a check that some partition has by itself: it would become one with that of the table, and go with it.
func (p *planner) unchecked(names ...string) {
	for _, part := range p.in.Table.Partitions {
		for _, name := range names {
			if slices.Contains(part.Checks, name) {
				p.invalid("rename it", "the partition %s has a check %s of its own", shown(part.Name), shown(name))
			}
		}
	}
}

// whole refuses a unique index that no partition could answer for alone.
func (p *planner) whole(o Operation) {
	if !o.Unique {
		return
	}
	if p.in.Table.PlacedBy {
		p.refuse("leave unique out", "the unique index %s: %s is partitioned by an expression, and Postgres keeps rows of several partitions apart by columns only", shown(o.Name), shown(p.in.Table.Name))
		return
	}
	for _, column := range p.in.Table.PartitionKey {
		if !slices.ContainsFunc(o.Columns, func(item string) bool {
			c, err := ParseIndexColumn(item)
			return err == nil && c.Name == column
		}) {
			p.invalid("add it to the columns", "the unique index %s lacks %s, by which %s is partitioned: Postgres keeps rows of several partitions apart by that only", shown(o.Name), shown(column), shown(p.in.Table.Name))
		}
	}
}

// partOf is whether a relation is a part of the table still.
func (p *planner) partOf(part Partition) string {
	return fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_partition_tree(%s) m WHERE m.relid = %s)", p.relation(), relation(part.Schema, part.Name))
}

// validateParts looks at the rows of one partition after the other, so that whoever is killed has lost one of them at the most, and none of them is
// locked for longer than it takes. What validates the whole table then reads nothing. undo has it not valid again, and done are conditions after
// which the check is not needed.
func (p *planner) validateParts(verb, object, check, title string, undo []string, done ...string) {
	if !p.partitioned() {
		return
	}
	for _, leaf := range p.leaves() {
		valid := hasCheckOn(relation(leaf.Schema, leaf.Name), check, "k.convalidated")
		p.step(Switch, verb, object+"-"+leaf.Name, Step{
			Title: fmt.Sprintf(title, shown(leaf.Name)),
			Act:   []string{"ALTER TABLE " + qualified(leaf.Schema, leaf.Name) + " VALIDATE CONSTRAINT " + quote(check)},
			Probe: probe(either(append([]string{no(p.partOf(leaf)), valid}, done...)...)),
			Gone:  probe(either(no(p.partOf(leaf)), no(valid))),
			Undo:  undo, Only: leaf.Name,
			Lock: ShareUpdateExclusive, Class: Scan,
		})
	}
}

// division is an index of a partitioned table: one without rows for the table, and for whatever is partitioned within it, and one for each
// partition.
type division struct {
	phase Phase // in which those of the partitions are made
	// name is that of the table's, and of is what people call it. The one of each partition is called by part, and keeps that name.
	name, of, part string
	// begin is what stands before INDEX, and rest what stands after the relation.
	begin, rest string
	// like are conditions of the index of a relation, with rows or without.
	like func(on string, rows bool) []string
	risk string
}

// divide plans an index of a partitioned table. That of each partition is made beside its readers and writers, and hung into that of the table
// when it is ready. That of the table is there from the beginning: a partition that comes meanwhile brings its own.
func (p *planner) divide(d division) {
	t := p.in.Table
	root := qualified(t.Schema, d.name)
	drop := []string{"DROP INDEX IF EXISTS " + root}
	names := map[string]string{t.Name: d.name}
	step := func(phase Phase, verb, object string, s Step) {
		if s.Undo == nil {
			s.Undo = drop
		}
		p.step(phase, verb, object, s)
		p.indexing[p.last()] = true
	}
	if p.indexing == nil {
		p.indexing = map[string]bool{}
	}
	step(Expand, "index", d.of, Step{
		Title: "Make the index " + shown(d.name) + ", of no partition yet",
		Act:   []string{fmt.Sprintf("%s INDEX %s ON ONLY %s %s", d.begin, quote(d.name), p.table(), d.rest)},
		Probe: probe(p.hasIndex(d.name, d.like(t.Name, false)...)),
		Gone:  probe(no(p.hasIndex(d.name))),
		Only:  t.Name, Lock: ShareRowExclusive, Risk: d.risk,
	})
	for _, part := range t.Partitions {
		name := partIndex(d.part, part.Name)
		names[part.Name] = name
		on, object := relation(part.Schema, part.Name), d.of+"-"+part.Name
		// One that comes back brings an index of another name.
		hung := fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_index i ON i.indexrelid = h.inhrelid WHERE %s)",
			all("i.indrelid = "+on, "h.inhparent = "+relation(t.Schema, names[part.Of])))
		lost := no(p.partOf(part))
		hang := fmt.Sprintf("ALTER INDEX %s ATTACH PARTITION %s", qualified(t.Schema, names[part.Of]), qualified(part.Schema, name))
		// With the last one Postgres makes the index above valid too, and locks the tables above that, while it has those of the partition:
		// readers, who lock from the top down, would wait for it, and it for them. So the top comes first.
		hanging := func(s Step) Step {
			if above := p.above(part.Of); len(above) > 0 {
				s.Only, s.Also, s.Lock = t.Name, slices.Concat(above[1:], []string{part.Name}), AccessExclusive
			}
			return s
		}
		if part.Kind == Partitioned {
			step(Expand, "index", object, hanging(Step{
				Title: fmt.Sprintf("Make the index of %s, of no partition yet", shown(part.Name)),
				Act:   []string{fmt.Sprintf("%s INDEX %s ON ONLY %s %s", d.begin, quote(name), qualified(part.Schema, part.Name), d.rest), hang},
				Probe: probe(either(lost, hung)),
				Gone:  probe(no(hung)),
				Only:  part.Name, Lock: ShareRowExclusive,
			}))
			continue
		}
		clean := []string{"DROP INDEX CONCURRENTLY IF EXISTS " + qualified(part.Schema, name)}
		step(d.phase, "index", object, Step{
			Title: "Make the index of the partition " + shown(part.Name),
			Act:   []string{fmt.Sprintf("%s INDEX CONCURRENTLY %s ON %s %s", d.begin, quote(name), qualified(part.Schema, part.Name), d.rest)},
			Probe: probe(either(lost, hung, hasIndexOn(on, name, slices.Concat([]string{"i.indisvalid", "i.indisready"}, d.like(part.Name, true))...))),
			Gone:  probe(either(lost, no(hasIndexOn(on, name)))),
			Half:  probe(hasIndexOn(on, name, "NOT (i.indisvalid AND i.indisready)")),
			Clean: clean, Undo: clean,
			Only: part.Name, Lock: ShareUpdateExclusive, Class: Concurrent,
		})
		step(d.phase, "hang", object, hanging(Step{
			Title: "Hang it into that of " + shown(part.Of),
			Act:   []string{where(p.partOf(part), hang)},
			Probe: probe(either(lost, hung)),
			Gone:  probe(no(hung)),
			Only:  part.Name, Lock: ShareUpdateExclusive,
		}))
	}
	step(d.phase, "whole", d.of, Step{
		Title: "See that every partition has its part of " + shown(d.name),
		Probe: probe(p.hasIndex(d.name, slices.Concat([]string{"i.indisvalid"}, d.like(t.Name, false))...)),
		Gone:  probe(no(p.hasIndex(d.name, "i.indisvalid"))),
		Only:  t.Name, Lock: AccessExclusive, // to undo
	})
}

// above are the tables in which a partition hangs, from the top down; none: it is the top.
func (p *planner) above(partition string) []string {
	at := slices.IndexFunc(p.in.Table.Partitions, func(part Partition) bool { return part.Name == partition })
	if at < 0 {
		return nil
	}
	of := p.in.Table.Partitions[at].Of
	return append(p.above(of), of)
}

// renameParts gives the parts of an index the names that they have by that of the table's. One whose name somebody else has keeps its own: it
// serves as well.
func (p *planner) renameParts(from, to string) []string {
	var act []string
	for _, part := range p.in.Table.Partitions {
		was, named := partIndex(from, part.Name), partIndex(to, part.Name)
		act = append(act, where(
			all(p.partOf(part), hasIndexOn(relation(part.Schema, part.Name), was), relation(part.Schema, named)+" IS NULL"),
			fmt.Sprintf("ALTER INDEX %s RENAME TO %s", qualified(part.Schema, was), quote(named))))
	}
	return act
}

// partIndex names the index of a partition that is a part of a table's.
func partIndex(index, partition string) string {
	name := partition + "_" + index
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	after := "_" + hex.EncodeToString(sum[:4])
	return cut(name, maxName-len(after)) + after
}
