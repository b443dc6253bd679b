package lint

// alters shows each part of an ALTER TABLE of a table that the file has not created, of the given subtypes.
func (l *look) alters(subtypes string, each func(t table, cmd object)) {
	if l.kind != "AlterTableStmt" || l.text("objtype") != "OBJECT_TABLE" {
		return
	}
	t := relation(l.part("relation"))
	if l.done.isNew(t) {
		return
	}
	for _, cmd := range l.nodes("cmds") {
		if in(cmd.text("subtype"), subtypes) {
			each(t, cmd.object)
		}
	}
}

// adds shows each column that is added to a table that the file has not created.
func (l *look) adds(each func(t table, def node, constraints []node)) {
	l.alters("AT_AddColumn", func(t table, cmd object) {
		def := cmd.node("def")
		each(t, def, def.nodes("constraints"))
	})
}

// constraint finds one of a column's constraints.
func constraint(all []node, kinds string) (node, bool) {
	for _, c := range all {
		if in(c.text("contype"), kinds) {
			return c, true
		}
	}
	return node{}, false
}

// serial says that a type makes a sequence of its own.
func serial(t typeName) bool {
	return in(t.name, "serial serial2 serial4 serial8 smallserial bigserial")
}

// steady are functions that give one value for a whole statement, or the same one for the same arguments.
const steady = "now transaction_timestamp statement_timestamp timezone date_trunc lower upper md5 length to_char to_date to_timestamp to_json to_jsonb " +
	"current_setting current_database current_schema make_date make_time make_timestamp make_timestamptz make_interval " +
	"json_build_object json_build_array jsonb_build_object jsonb_build_array array_fill concat format round abs coalesce"

// volatile says that an expression may give each row a value of its own. Of functions that it does not know it says so.
func volatile(expr node) bool {
	return has(expr, func(n node) bool { return n.kind == "FuncCall" && !in(last(n.nodes("funcname")), steady) })
}

func columnRules() []Rule {
	return []Rule{
		{
			Name: "adding-required-field", Of: Migrations, Severity: Error,
			Sees:    "a column that is added `NOT NULL` without a default",
			Why:     "On a table with rows it fails; on an empty one every INSERT fails that does not give the column, and the programs that run now do not.",
			Instead: "Add it nullable, let programs write it, fill the rows that are there, then set NOT NULL by a validated CHECK. Or give it a constant DEFAULT.",
			find: func(l *look) {
				l.adds(func(t table, def node, constraints []node) {
					_, required := constraint(constraints, "CONSTR_NOTNULL")
					c, filled := constraint(constraints, "CONSTR_DEFAULT CONSTR_GENERATED CONSTR_IDENTITY")
					if filled && c.node("raw_expr").is("isnull") {
						filled = false
					}
					if required && !filled && !serial(typeOf(def.part("typeName"))) {
						l.say(def.at(), "%s.%s is added NOT NULL without a default", t, def.text("colname"))
					}
				})
			},
		},
		{
			Name: "adding-field-with-default", Alias: "add_column_default", Of: Migrations, Severity: Error, Cost: Rewrites,
			Sees:    "a column that is added with a default that may differ from row to row, such as `gen_random_uuid()` or `clock_timestamp()`",
			Why:     "ACCESS EXCLUSIVE is held while every row is written again: nobody reads or writes the table meanwhile. A constant, or now(), is noted once and costs nothing.",
			Instead: "Add the column without a default, set the default by ALTER COLUMN … SET DEFAULT, and fill the rows that are there in batches.",
			find: func(l *look) {
				l.adds(func(t table, def node, constraints []node) {
					if c, ok := constraint(constraints, "CONSTR_DEFAULT"); ok && volatile(c.node("raw_expr")) {
						l.sayOf(t, c.at(), "%s.%s is added with a default that may differ from row to row", t, def.text("colname"))
					}
				})
			},
		},
		{
			Name: "adding-stored-generated-column", Alias: "add_column_generated_stored", Of: Migrations, Severity: Error, Cost: Rewrites,
			Sees:    "a stored generated column that is added",
			Why:     "ACCESS EXCLUSIVE is held while every row is written again: nobody reads or writes the table meanwhile.",
			Instead: "Add a plain column, let programs or a trigger write it, and fill the rows that are there in batches; or compute it in a view.",
			find: func(l *look) {
				l.adds(func(t table, def node, constraints []node) {
					if c, ok := constraint(constraints, "CONSTR_GENERATED"); ok {
						l.sayOf(t, c.at(), "%s.%s is generated and stored", t, def.text("colname"))
					}
				})
			},
		},
		{
			Name: "adding-auto-increment-column", Alias: "add_column_auto_incrementing", Of: Migrations, Severity: Error, Cost: Rewrites,
			Sees:    "a `serial` or identity column that is added",
			Why:     "Each row gets a number: ACCESS EXCLUSIVE is held while every row is written again, and nobody reads or writes the table meanwhile.",
			Instead: "Make the sequence, add a plain column, set its default to nextval, and number the rows that are there in batches.",
			find: func(l *look) {
				l.adds(func(t table, def node, constraints []node) {
					if _, ok := constraint(constraints, "CONSTR_IDENTITY"); ok || serial(typeOf(def.part("typeName"))) {
						l.sayOf(t, def.at(), "%s.%s numbers the rows that are there", t, def.text("colname"))
					}
				})
			},
		},
		{
			Name: "adding-json-column", Alias: "add_column_json", Of: Migrations, Severity: Error,
			Sees:    "a column of type `json` that is added",
			Why:     "The type has no equality: a SELECT DISTINCT, a UNION or a GROUP BY over all columns, which worked before, fails from then on.",
			Instead: "Make it jsonb. Where the text has to stay as it was written, make it text.",
			find: func(l *look) {
				l.adds(func(t table, def node, _ []node) {
					if typeOf(def.part("typeName")).name == "json" {
						l.say(def.at(), "%s.%s is of type json", t, def.text("colname"))
					}
				})
			},
		},
		{
			Name: "ban-char-field", Of: Migrations, Severity: Warning,
			Sees:    "a column of type `char(n)`, in a new table too",
			Why:     "Values are filled up with blanks, which count in some comparisons, with LIKE for example, and not in others; no value is shorter for it.",
			Instead: "Make it text, with a CHECK of its length where that matters.",
			find: func(l *look) {
				say := func(t table, def node) {
					if typeOf(def.part("typeName")).name == "bpchar" {
						l.say(def.at(), "%s.%s is of type %s", t, def.text("colname"), typeOf(def.part("typeName")))
					}
				}
				l.adds(func(t table, def node, _ []node) { say(t, def) })
				if l.kind == "CreateStmt" {
					for _, def := range l.nodes("tableElts") {
						say(relation(l.part("relation")), def)
					}
				}
			},
		},
		{
			Name: "changing-column-type", Alias: "change_column", Of: Migrations, Severity: Error, Cost: Rewrites,
			Sees:    "a change of a column's type, unless the file says the old type and no row is rewritten: " + unchanged,
			Why:     "ACCESS EXCLUSIVE is held while every row and index is written again: nobody reads or writes the table meanwhile. A view on the column refuses it.",
			Instead: "Add a column of the new type, write both, fill it in batches, compare, and swap the names in one transaction: a migration of Drawbridge does all of it, by the operation change_type. No rewrite is needed from " + unchanged + ".",
			find: func(l *look) {
				l.alters("AT_AlterColumnType", func(t table, cmd object) {
					def := cmd.node("def")
					to := typeOf(def.part("typeName"))
					from, known := l.done.typeOf(t, cmd.text("name"))
					_, converted := def.object["raw_default"]
					switch {
					case !known:
						l.sayOf(t, def.part("typeName").at(), "%s.%s becomes %s; from which type no connection says here, so this may be one of the changes that rewrite nothing", t, cmd.text("name"), to)
					case converted || rewrites(from, to):
						l.sayOf(t, def.part("typeName").at(), "%s.%s becomes %s and was %s", t, cmd.text("name"), to, from)
					}
				})
			},
		},
		{
			Name: "adding-not-nullable-field", Alias: "change_column_null", Of: Migrations, Severity: Error, Cost: Reads,
			Sees:    "`SET NOT NULL` of a column for which the file has validated no `CHECK (… IS NOT NULL)` before",
			Why:     "ACCESS EXCLUSIVE is held while every row is read: nobody reads or writes the table meanwhile.",
			Instead: "ADD CONSTRAINT … CHECK (column IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT in a transaction of its own, SET NOT NULL, which then reads nothing, and DROP CONSTRAINT.",
			find: func(l *look) {
				l.alters("AT_SetNotNull", func(t table, cmd object) {
					for _, c := range l.done.checks {
						if c.valid && c.table.same(t) && c.notNull == cmd.text("name") {
							return
						}
					}
					l.sayOf(t, 0, "%s.%s is set NOT NULL, and no CHECK in this file proves it", t, cmd.text("name"))
				})
			},
		},
		{
			Name: "ban-drop-not-null", Of: Migrations, Severity: Warning,
			Sees:    "`DROP NOT NULL`",
			Why:     "Readers that rely on a value get NULL, and to have it back every row must be read.",
			Instead: "Tell the readers first; where they can take NULL, silence this with the reason.",
			find: func(l *look) {
				l.alters("AT_DropNotNull", func(t table, cmd object) { l.say(0, "%s.%s may be NULL from here on", t, cmd.text("name")) })
			},
		},
	}
}
