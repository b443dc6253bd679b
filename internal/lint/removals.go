package lint

// cascades says that a statement, or a part of it, drops what depends on what it drops.
func cascades(o object) bool { return o.text("behavior") == "DROP_CASCADE" }

func removalRules() []Rule {
	return []Rule{
		{
			Name: "renaming-column", Alias: "rename_column", Of: Migrations, Severity: Error,
			Sees:    "a column that is renamed",
			Why:     "Every program that reads or writes the old name fails from the commit on, and no deployment changes all of them at that moment.",
			Instead: "Add a column of the new name, write both, fill it, let readers move, then drop the old one.",
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
			Name: "ban-drop-column", Alias: "remove_column", Of: Migrations, Severity: Error,
			Sees:    "a column that is dropped",
			Why:     "Programs that still name it fail, and its data is gone for good; SELECT * that was prepared before fails once.",
			Instead: "Find out that nobody reads it, take the right to read it away for a while, then drop it in a release of its own.",
			find: func(l *look) {
				l.alters("AT_DropColumn", func(t table, cmd object) { l.say(0, "%s.%s is dropped", t, cmd.text("name")) })
			},
		},
		{
			Name: "ban-drop-table", Of: Migrations, Severity: Error,
			Sees:    "a table that is dropped",
			Why:     "Programs that still name it fail, and its data is gone for good.",
			Instead: "Move it into another schema first, which is undone in a moment, and drop it when nobody has asked for it.",
			find: func(l *look) {
				if l.kind != "DropStmt" || l.text("removeType") != "OBJECT_TABLE" {
					return
				}
				for _, item := range l.nodes("objects") {
					if t := dotted(item.nodes("items")); !l.done.isNew(t) {
						l.say(0, "%s is dropped", t)
					}
				}
			},
		},
		{
			Name: "ban-drop-cascade", Of: Migrations, Severity: Error,
			Sees:    "`DROP … CASCADE`, also of a column or a constraint",
			Why:     "Whatever depends on it goes too, without being named: views of other teams, foreign keys, functions.",
			Instead: "Drop what depends on it by name, then this with RESTRICT, which is what happens without a word.",
			find: func(l *look) {
				if l.kind == "DropStmt" && cascades(l.object) || l.kind == "DropOwnedStmt" && cascades(l.object) {
					l.say(0, "what depends on it is dropped too")
				}
				l.alters("AT_DropColumn AT_DropConstraint", func(t table, cmd object) {
					if cascades(cmd) {
						l.say(0, "what depends on %s of %s is dropped too", cmd.text("name"), t)
					}
				})
			},
		},
		{
			Name: "ban-truncate-cascade", Of: Migrations, Severity: Error,
			Sees:    "`TRUNCATE … CASCADE`",
			Why:     "Every table with a foreign key to it is emptied too, and so on, without being named.",
			Instead: "Name the tables to empty.",
			find: func(l *look) {
				if l.kind == "TruncateStmt" && cascades(l.object) {
					l.say(0, "tables that refer to it are emptied too")
				}
			},
		},
		{
			Name: "require-enum-value-ordering", Of: Migrations, Severity: Warning,
			Sees:    "`ALTER TYPE … ADD VALUE` without `BEFORE` or `AFTER`",
			Why:     "The value sorts after all others, and its place cannot be changed later.",
			Instead: "Say where it belongs: ADD VALUE 'new' AFTER 'old'.",
			find: func(l *look) {
				if l.kind == "AlterEnumStmt" && l.text("oldVal") == "" && l.text("newValNeighbor") == "" {
					l.say(0, "a value of %s gets the last place", dotted(l.nodes("typeName")))
				}
			},
		},
	}
}
