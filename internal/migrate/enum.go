package migrate

import (
	"fmt"
	"slices"
	"strings"
)

func enumRecipes() []Recipe {
	return []Recipe{{
		Kind: AddEnumValue, Since: oldestVersion, Lock: NoLock, plan: (*planner).addEnumValue,
		What: "Gives a type of named values, which a column of the table has, one more.",
		How:  "Nothing happens before contract, for nothing takes a value away again: consumers are told and acknowledge. Then ALTER TYPE ADD VALUE, which locks no table.",
		Undo: "None is needed before contract, and none is possible after it.",
	}}
}

// EnumsOf are the types that get values. The server is asked about them before anything is planned.
func EnumsOf(m Migration) []string {
	var names []string
	for _, o := range m.Operations {
		if o.Kind == AddEnumValue && !slices.Contains(names, o.Type) {
			names = append(names, o.Type)
		}
	}
	return names
}

// maxValue is how many bytes Postgres keeps of a value of an enum.
const maxValue = 63

func (p *planner) addEnumValue(o Operation) {
	e, asked := p.in.Table.Enums[o.Type]
	name := shown(o.Type)
	switch {
	case !asked:
		p.refuse("plan again", "the server was not asked about the type %s", name)
		return
	case !e.Found:
		p.refuse("name a type of the environment's schema", "there is no enum %s in %s", name, shown(p.in.Table.Schema))
		return
	case !e.Owned:
		p.refuse("let the owner make our login a member of the owning role", "our login may not alter the type %s", name)
		return
	case len(e.Columns) == 0:
		p.invalid("write it into a migration of a table that has it", "no column of %s is of the type %s", shown(p.in.Table.Name), name)
		return
	case slices.Contains(e.Values, o.Value):
		p.invalid("leave it out", "%s has the value %s already", name, shown(o.Value))
		return
	}
	place, order := "", []string{}
	for _, beside := range []struct{ value, word, compare string }{{o.Before, "BEFORE", "<"}, {o.After, "AFTER", ">"}} {
		if beside.value == "" {
			continue
		}
		if !slices.Contains(e.Values, beside.value) && !p.valueAdded(o, beside.value) {
			p.invalid("its values are "+shownAll(e.Values), "%s has no value %s", name, shown(beside.value))
			return
		}
		place = " " + beside.word + " " + literal(beside.value)
		order = []string{fmt.Sprintf("v.enumsortorder %s (SELECT b.enumsortorder FROM pg_catalog.pg_enum b WHERE b.enumtypid = v.enumtypid AND b.enumlabel = %s)", beside.compare, literal(beside.value))}
	}
	if len(e.Others) > 0 {
		p.warn("The type %s is not this table's alone: %s.", name, strings.Join(each(e.Others, oneLine), ", "))
	}
	p.step(Contract, "add-value", o.Type, Step{
		Title: fmt.Sprintf("Give %s the value %s", name, shown(o.Value)),
		Act:   []string{fmt.Sprintf("ALTER TYPE %s ADD VALUE IF NOT EXISTS %s%s", qualified(p.in.Table.Schema, o.Type), literal(o.Value), place)},
		Probe: probe(fmt.Sprintf("EXISTS (SELECT FROM pg_catalog.pg_enum v WHERE %s)", all(append([]string{
			"v.enumtypid = pg_catalog.to_regtype(" + literal(qualified(p.in.Table.Schema, o.Type)) + ")", "v.enumlabel = " + literal(o.Value),
		}, order...)...))),
		Risk: fmt.Sprintf("Readers may see %s in %s, and nothing takes the value away again.", shown(o.Value), strings.Join(each(e.Columns, shown), ", ")),
	})
}

// valueAdded says whether the file gives a type a value before it comes to an operation.
func (p *planner) valueAdded(o Operation, value string) bool {
	for _, other := range p.in.Migration.Operations {
		switch {
		case other.Kind != AddEnumValue || other.Type != o.Type:
		case other.Value == o.Value:
			return false
		case other.Value == value:
			return true
		}
	}
	return false
}
