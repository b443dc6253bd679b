package pipeline

import (
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/lint"
	"drawbridge/internal/migrate"
	"drawbridge/internal/strictyaml"
)

// migrationFolder holds the migrations, a file each.
const migrationFolder = "migrations"

// migrations reads the migrations of the folder, in the order of their names.
func (b *builder) migrations() []migrate.Migration {
	var all []migrate.Migration
	numbers := map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(b.files)) {
		if !strings.HasPrefix(file, migrationFolder+"/") {
			continue
		}
		at := strictyaml.Place{File: file}
		name, yaml := strings.CutSuffix(path.Base(file), ".yaml")
		if path.Dir(file) != migrationFolder || !yaml || !migrate.ValidName(name) {
			b.problems.Add(at, "the folder "+migrationFolder+" holds migrations only", "call it as in 0007_channel.yaml, or keep it elsewhere")
			continue
		}
		number, _, _ := strings.Cut(name, "_")
		if other, taken := numbers[number]; taken {
			b.problems.Add(at, other+" has the number "+number+" too", "give one of them another number")
		}
		numbers[number] = file
		all = append(all, b.migration(b.problems.Read(MigrationDocument.shape(), file, b.files[file]), name))
	}
	return all
}

func (b *builder) migration(root strictyaml.Value, name string) migrate.Migration {
	deprecate := root.Get("deprecate")
	m := migrate.Migration{
		Name: name, Table: strictyaml.As[string](root.Get("table")), Why: strictyaml.As[string](root.Get("why")),
		Deprecate: migrate.Deprecate{
			Window:   strictyaml.As[time.Duration](deprecate.Get("window")),
			Brownout: strictyaml.As[time.Duration](deprecate.Get("brownout")),
		},
	}
	for _, v := range root.Get("consumers").Items() {
		m.Consumers = append(m.Consumers, migrate.Consumer{
			Name: strictyaml.As[string](v.Get("name")), Contact: strictyaml.As[string](v.Get("contact")),
			MustAck: strictyaml.As[bool](v.Get("must_ack")), Roles: v.Get("roles").Strings(),
		})
	}
	whole := root.OK() && root.Get("table").OK() && root.Get("why").OK()
	var places []strictyaml.Place
	for _, item := range root.Get("operations").Items() {
		o, ok := operationOf(item)
		whole = whole && ok
		m.Operations = append(m.Operations, o)
		places = append(places, item.At)
	}
	if !whole || len(m.Operations) == 0 {
		return m // what is wrong is said
	}
	for _, mistake := range slices.Concat(migrate.Mistakes(m), ownMistakes(m)) {
		at := root.At
		if mistake.Operation >= 0 {
			at = places[mistake.Operation]
		}
		b.problems.Add(at, mistake.Reason, mistake.Hint)
	}
	return m
}

// ownMistakes are what statements of the author's own do that no migration may. Whoever reads a migration looks at them anew: an environment's worker
// does so before it plans.
func ownMistakes(m migrate.Migration) []migrate.Mistake {
	var all []migrate.Mistake
	for i, o := range m.Operations {
		if o.Kind != migrate.SQL {
			continue
		}
		for _, found := range lint.Own(o) {
			all = append(all, migrate.Mistake{Operation: i, Reason: found.Text, Hint: found.Hint})
		}
	}
	return all
}

// operationOf is an operation as it is written, and whether every key of it fits its shape.
func operationOf(item strictyaml.Value) (migrate.Operation, bool) {
	if len(item.Names()) != 1 {
		return migrate.Operation{}, false
	}
	kind := item.Names()[0]
	v := item.Get(kind)
	o := migrate.Operation{Kind: migrate.Kind(kind)}
	ok := v.OK()
	for _, key := range operationKeys(o.Kind) {
		given := slices.Contains(v.Names(), key.Name)
		ok = ok && v.Get(key.Name).OK() == given && (given || !key.Required)
		text := strictyaml.As[string](v.Get(key.Name))
		switch key.Name {
		case "column":
			o.Column = text
		case "to":
			o.To = text
		case "type":
			o.Type = text
		case "required":
			o.Required = strictyaml.As[bool](v.Get(key.Name))
		case "default":
			o.Default = text
		case "up":
			o.Up = text
		case "down":
			o.Down = text
		case "name":
			o.Name = text
		case "check":
			o.Check = text
		case "columns":
			if o.Kind == migrate.CreateTable {
				var whole bool
				o.Made, whole = madeColumns(v.Get(key.Name))
				ok = ok && whole
				continue
			}
			o.Columns = v.Get(key.Name).Strings()
		case "key":
			o.Key = v.Get(key.Name).Strings()
		case "unique":
			o.Unique = strictyaml.As[bool](v.Get(key.Name))
		case "include":
			o.Include = v.Get(key.Name).Strings()
		case "where":
			o.Where = text
		case "method":
			o.Method = text
		case "comment":
			o.Comment = text
		case "act":
			o.Act = v.Get(key.Name).Strings()
		case "undo":
			o.Undo = v.Get(key.Name).Strings()
		case "probe":
			o.Probe = text
		case "locks":
			o.Locks = text
		case "references":
			o.References = text
		case "on_delete":
			o.OnDelete = text
		case "on_update":
			o.OnUpdate = text
		case "match":
			o.Match = text
		case "deferrable":
			o.Deferrable = text
		case "nulls_equal":
			o.NullsEqual = strictyaml.As[bool](v.Get(key.Name))
		case "value":
			o.Value = text
		case "before":
			o.Before = text
		case "after":
			o.After = text
		}
	}
	return o, ok
}

// madeColumns are the columns of a table that is made, and whether each is written whole.
func madeColumns(v strictyaml.Value) (all []migrate.MadeColumn, ok bool) {
	ok = true
	for _, c := range v.Items() {
		name, typeOf := c.Get("name"), c.Get("type")
		ok = ok && c.OK() && name.OK() && typeOf.OK()
		all = append(all, migrate.MadeColumn{Name: strictyaml.As[string](name), Type: strictyaml.As[string](typeOf), Required: strictyaml.As[bool](c.Get("required"))})
	}
	return all, ok
}
