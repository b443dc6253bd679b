package lint

// cascades says that a statement, or a part of it, drops what depends on what it drops.
func cascades(o object) bool { return o.text("behavior") == "DROP_CASCADE" }

// dropped are the things of some kinds that a statement drops and the file has not created.
func (l *look) dropped(kinds string) []table {
	kind := l.text("removeType")
	if l.kind != "DropStmt" || !in(kind, kinds) {
		return nil
	}
	var all []table
	for _, item := range l.nodes("objects") {
		if t := nameOf(item); !l.done.creates(kind, t) {
			all = append(all, t)
		}
	}
	return all
}

// runs says that what stands inside a node is carried out with the statement, and not only kept or explained.
func runs(n node) bool {
	return !in(n.kind, "CreateFunctionStmt RuleStmt PrepareStmt") && (n.kind != "ExplainStmt" || turnedOn(n.nodes("options"), "analyze"))
}

// wholeTable says that an UPDATE or a DELETE is of every row.
func wholeTable(n node) bool {
	return n.object["whereClause"] == nil || n.node("whereClause").part("boolval").is("boolval")
}

func removalRules() []Rule {
	return []Rule{
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
			Instead: "Take the rights on it away first, which is undone in a moment, and drop it in a release of its own when nobody has asked for it.",
			find: func(l *look) {
				for _, t := range l.dropped("OBJECT_TABLE") {
					l.say(0, "%s is dropped", t)
				}
			},
		},
		{
			Name: "ban-drop-view", Of: Migrations, Severity: Error,
			Sees:    "a view or materialized view that is dropped",
			Why:     "Programs that still name it fail; made again, it has lost the rights that others were granted on it.",
			Instead: "CREATE OR REPLACE VIEW keeps the rights, where columns are only added at the end. Else make a new one of another name, grant the same rights, let readers move, then drop this one.",
			find: func(l *look) {
				for _, t := range l.dropped("OBJECT_VIEW OBJECT_MATVIEW") {
					l.say(0, "%s is dropped", t)
				}
			},
		},
		{
			Name: "ban-drop-type", Of: Migrations, Severity: Error,
			Sees:    "a type or domain that is dropped",
			Why:     "Programs that still name it, as in a cast, fail. A column of it refuses the drop, and goes with it where CASCADE is written.",
			Instead: "Move every column to another type first, find out that nobody names it, then drop it in a release of its own.",
			find: func(l *look) {
				for _, t := range l.dropped("OBJECT_TYPE OBJECT_DOMAIN") {
					l.say(0, "%s is dropped", t)
				}
			},
		},
		{
			Name: "ban-drop-schema", Of: Migrations, Severity: Error,
			Sees:    "a schema that is dropped",
			Why:     "Where anything is in it Postgres refuses it, or drops all of that too where CASCADE is written: programs that still name it fail, and data is gone for good.",
			Instead: "Drop by name what is in it, each as its own rule says, and the schema when it is empty.",
			find: func(l *look) {
				for _, t := range l.dropped("OBJECT_SCHEMA") {
					l.say(0, "the schema %s is dropped", t)
				}
			},
		},
		{
			Name: "ban-drop-database", Of: Migrations, Severity: Error,
			Sees:    "`DROP DATABASE`",
			Why:     "All that is in it is gone for good.",
			Instead: "Leave it to whoever runs the server, when a backup of it has been restored somewhere else.",
			find: func(l *look) {
				if l.kind == "DropdbStmt" {
					l.say(0, "the database %s is dropped", l.text("dbname"))
				}
			},
		},
		{
			Name: "ban-drop-cascade", Of: Migrations, Severity: Error,
			Sees:    "`DROP … CASCADE`, also of a column or a constraint",
			Why:     "Whatever depends on it goes too, without being named: views of other teams, foreign keys, functions.",
			Instead: "Drop what depends on it by name, then this with RESTRICT, which is what happens without a word.",
			find: func(l *look) {
				switch {
				case !cascades(l.object):
				case l.kind == "DropStmt":
					for _, t := range l.dropped(l.text("removeType")) {
						l.say(0, "%s is dropped with CASCADE", t)
					}
				case l.kind == "DropOwnedStmt":
					l.say(0, "all that a role owns is dropped with CASCADE")
				}
				l.alters("AT_DropColumn AT_DropConstraint", func(t table, cmd object) {
					if cascades(cmd) {
						l.say(0, "%s of %s is dropped with CASCADE", cmd.text("name"), t)
					}
				})
			},
		},
		{
			Name: "deleting-all-rows", Of: Migrations, Severity: Error,
			Sees:    "`DELETE` without `WHERE`, also in a common table expression",
			Why:     "Nothing brings the rows back once it commits. Until then all of them are locked: who would write one waits.",
			Instead: "Say by WHERE which rows, and delete them in batches of a few thousand by key. Where the table is to be emptied, find out first that nobody reads it, and silence this with the reason.",
			find: func(l *look) {
				walk(l.node, func(n node) bool {
					if t := relation(n.part("relation")); n.kind == "DeleteStmt" && wholeTable(n) && !l.done.isNew(t) {
						l.say(n.part("relation").at(), "every row of %s is deleted", t)
					}
					return runs(n)
				})
			},
		},
		{
			Name: "truncating-table", Of: Migrations, Severity: Error,
			Sees:    "`TRUNCATE`",
			Why:     "ACCESS EXCLUSIVE is held until the transaction ends: nobody reads or writes the table meanwhile. Then every row is gone, also for transactions that began before it.",
			Instead: "Delete the rows in batches of a few thousand by key. Where the table is to be emptied, find out first that nobody reads it, and silence this with the reason.",
			find: func(l *look) {
				if l.kind == "TruncateStmt" {
					for _, t := range l.others(l.locks()) {
						l.say(0, "%s is emptied", t)
					}
				}
			},
		},
		{
			Name: "ban-truncate-cascade", Of: Migrations, Severity: Error,
			Sees:    "`TRUNCATE … CASCADE`",
			Why:     "Every table with a foreign key to it is emptied too, and so on, without being named.",
			Instead: "Name the tables to empty.",
			find: func(l *look) {
				if l.kind != "TruncateStmt" || !cascades(l.object) {
					return
				}
				for _, t := range l.others(l.locks()) {
					l.say(0, "CASCADE is written behind %s", t)
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
