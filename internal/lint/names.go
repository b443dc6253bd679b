package lint

import "drawbridge/internal/sqltext"

// nameOf is a name in a statement that is not about a table alone: of a schema, a type, a function.
func nameOf(n node) table {
	switch n.kind {
	case "String":
		return table{name: n.text("sval")}
	case "TypeName":
		return dotted(n.nodes("names"))
	case "ObjectWithArgs":
		return dotted(n.nodes("objname"))
	}
	return dotted(n.nodes("items"))
}

// maxName is how many bytes of a name Postgres keeps.
const maxName = 63

func nameRules() []Rule {
	return []Rule{
		{
			Name: "renaming-column", Alias: "rename_column", Of: Migrations, Severity: Error,
			Sees:    "a column that is renamed",
			Why:     "Every program that reads or writes the old name fails from the commit on, and no deployment changes all of them at that moment.",
			Instead: "Add a column of the new name, write both, fill it, let readers move, then drop the old one. A migration of Drawbridge does all of it, by the operation rename_column.",
			find: func(l *look) {
				if t := relation(l.part("relation")); l.kind == "RenameStmt" && l.text("renameType") == "OBJECT_COLUMN" && in(l.text("relationType"), "OBJECT_TABLE OBJECT_VIEW OBJECT_MATVIEW") && !l.done.isNew(t) {
					l.say(0, "%s.%s becomes %s", t, l.text("subname"), l.text("newname"))
				}
			},
		},
		{
			Name: "renaming-table", Alias: "rename_table", Of: Migrations, Severity: Error,
			Sees:    "a table or view that is renamed",
			Why:     "Every program that names the old one fails from the commit on, and no deployment changes all of them at that moment.",
			Instead: "In one transaction rename it and CREATE VIEW of the old name with its columns written out; drop the view when nobody reads it.",
			find: func(l *look) {
				if t := relation(l.part("relation")); l.kind == "RenameStmt" && in(l.text("renameType"), "OBJECT_TABLE OBJECT_VIEW OBJECT_MATVIEW") && !l.done.isNew(t) {
					l.say(0, "%s becomes %s", t, l.text("newname"))
				}
			},
		},
		{
			Name: "renaming-schema", Alias: "rename_schema", Of: Migrations, Severity: Error,
			Sees:    "a schema that is renamed",
			Why:     "Every program that names it, or has it in its search_path, fails from the commit on, and no deployment changes all of them at that moment.",
			Instead: "Make a schema of the new name, with views of the tables of the old one, their columns written out; let readers move, then move the tables one by one.",
			find: func(l *look) {
				if l.kind == "RenameStmt" && l.text("renameType") == "OBJECT_SCHEMA" && !l.done.creates("OBJECT_SCHEMA", table{name: l.text("subname")}) {
					l.say(0, "%s becomes %s", l.text("subname"), l.text("newname"))
				}
			},
		},
		{
			Name: "renaming-enum-value", Of: Migrations, Severity: Error,
			Sees:    "`ALTER TYPE … RENAME VALUE`",
			Why:     "Every program that writes the old value, or compares with it, fails from the commit on, and those that read it meet one that they do not know.",
			Instead: "Add the new value, let programs take both, write the new one, change the rows that are there in batches, and leave the old value unused.",
			find: func(l *look) {
				if t := dotted(l.nodes("typeName")); l.kind == "AlterEnumStmt" && l.text("oldVal") != "" && !l.done.creates("OBJECT_TYPE", t) {
					l.say(0, "%s of %s becomes %s", l.text("oldVal"), t, l.text("newVal"))
				}
			},
		},
		{
			Name: "identifier-too-long", Of: Migrations, Severity: Warning,
			Sees:    "a name of more than 63 bytes",
			Why:     "Postgres cuts it off with a notice that nobody reads: what looks it up by its whole name does not find it, and two names may become one.",
			Instead: "Write a name of up to 63 bytes.",
			find: func(l *look) {
				for _, t := range l.tokens {
					if (t.Kind == sqltext.Word || t.Kind == sqltext.Quoted) && len(t.Text) > maxName {
						l.say(t.Start, "%s has %d bytes", t.Text, len(t.Text))
					}
				}
			},
		},
		{
			Name: "ban-set-schema", Of: Migrations, Severity: Error,
			Sees:    "`SET SCHEMA`: a table, view, type or function that moves to another schema",
			Why:     "Every program that looks for it in the old schema fails from the commit on, and no deployment changes all of them at that moment.",
			Instead: "In one transaction move it and CREATE VIEW in the old schema with its columns written out; drop the view when nobody reads it. Make types and functions anew in the other schema, and let their users move.",
			find: func(l *look) {
				if l.kind != "AlterObjectSchemaStmt" {
					return
				}
				what := nameOf(l.object.node("object"))
				if rel := l.part("relation"); rel != nil {
					what = relation(rel)
				}
				if !l.done.creates(l.text("objectType"), what) {
					l.say(0, "%s moves to the schema %s", what, l.text("newschema"))
				}
			},
		},
	}
}
