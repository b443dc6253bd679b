package lint

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
