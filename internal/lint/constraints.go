package lint

// constraints shows each constraint that is added to a table that the file has not created, by itself or with a column.
func (l *look) constraints(kind string, each func(t table, c node)) {
	l.alters("AT_AddConstraint AT_AddColumn", func(t table, cmd object) {
		def := cmd.node("def")
		all := []node{def}
		if def.kind == "ColumnDef" {
			all = def.nodes("constraints")
		}
		for _, c := range all {
			if c.text("contype") == kind {
				each(t, c)
			}
		}
	})
}

// called is a constraint's name for a sentence.
func called(c node) string {
	if name := c.text("conname"); name != "" {
		return " " + name
	}
	return ""
}

func constraintRules() []Rule {
	return []Rule{
		{
			Name: "adding-foreign-key-constraint", Alias: "add_foreign_key", Of: Migrations, Severity: Error, Cost: Reads,
			Sees:    "a foreign key that is added without `NOT VALID`",
			Why:     "SHARE ROW EXCLUSIVE is held on both tables while every row is looked up: writers of both wait.",
			Instead: "ADD CONSTRAINT … FOREIGN KEY … NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own.",
			find: func(l *look) {
				l.constraints("CONSTR_FOREIGN", func(t table, c node) {
					if !c.is("skip_validation") {
						l.sayOf(t, c.at(), "the foreign key%s of %s to %s is checked at once", called(c), t, relation(c.part("pktable")))
					}
				})
			},
		},
		{
			Name: "constraint-missing-not-valid", Alias: "add_check_constraint", Of: Migrations, Severity: Error, Cost: Reads,
			Sees:    "a `CHECK` that is added without `NOT VALID`",
			Why:     "ACCESS EXCLUSIVE is held while every row is read: nobody reads or writes the table meanwhile.",
			Instead: "ADD CONSTRAINT … CHECK (…) NOT VALID, then VALIDATE CONSTRAINT in a transaction of its own.",
			find: func(l *look) {
				l.constraints("CONSTR_CHECK", func(t table, c node) {
					if !c.is("skip_validation") {
						l.sayOf(t, c.at(), "the CHECK%s of %s is checked at once", called(c), t)
					}
				})
			},
		},
		{
			Name: "disallowed-unique-constraint", Alias: "add_unique_constraint", Of: Migrations, Severity: Error, Cost: Indexes,
			Sees:    "a `UNIQUE` constraint that is added without `USING INDEX`",
			Why:     "ACCESS EXCLUSIVE is held while its index is built: nobody reads or writes the table meanwhile.",
			Instead: "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … UNIQUE USING INDEX.",
			find: func(l *look) {
				l.constraints("CONSTR_UNIQUE", func(t table, c node) {
					if c.text("indexname") == "" {
						l.sayOf(t, c.at(), "the UNIQUE constraint%s of %s builds its index", called(c), t)
					}
				})
			},
		},
		{
			Name: "adding-serial-primary-key-field", Of: Migrations, Severity: Error, Cost: Indexes,
			Sees:    "a primary key that is added without `USING INDEX`",
			Why:     "ACCESS EXCLUSIVE is held while every row is read for NULLs and the index is built: nobody reads or writes the table meanwhile.",
			Instead: "Make the columns NOT NULL by a validated CHECK, CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … PRIMARY KEY USING INDEX.",
			find: func(l *look) {
				l.constraints("CONSTR_PRIMARY", func(t table, c node) {
					if c.text("indexname") == "" {
						l.sayOf(t, c.at(), "the primary key%s of %s builds its index", called(c), t)
					}
				})
			},
		},
		{
			Name: "adding-exclusion-constraint", Alias: "add_exclusion_constraint", Of: Migrations, Severity: Error, Cost: Indexes,
			Sees:    "an exclusion constraint that is added",
			Why:     "ACCESS EXCLUSIVE is held while its index is built and every row compared: nobody reads or writes the table meanwhile, and Postgres knows no gentler way.",
			Instead: "Add it while the table is small, or make a new table with it, copy, and swap.",
			find: func(l *look) {
				l.constraints("CONSTR_EXCLUSION", func(t table, c node) {
					l.sayOf(t, c.at(), "the exclusion constraint%s of %s builds its index", called(c), t)
				})
			},
		},
		{
			Name: "ban-alter-domain-with-add-constraint", Of: Migrations, Severity: Error,
			Sees:    "a constraint that is added to a domain without `NOT VALID`, or `SET NOT NULL` of one",
			Why:     "SHARE is held on every table with a column of the domain while all their rows are read: writers of all of them wait, and the statement names none.",
			Instead: "ADD CONSTRAINT … CHECK (…) NOT VALID holds for what is written from then on, and reads nothing. Where the rows that are there are to be checked too, write the CHECK on each column instead, NOT VALID, and validate it by itself.",
			find: func(l *look) {
				t := dotted(l.nodes("typeName"))
				if l.kind != "AlterDomainStmt" || !in(l.text("subtype"), "C O") || l.object.node("def").is("skip_validation") || l.done.creates("OBJECT_DOMAIN", t) {
					return
				}
				l.say(0, "the domain %s gets a condition that is checked at once", t)
			},
		},
		{
			Name: "validating-in-adding-transaction", Alias: "validate_check_constraint", Of: Migrations, Severity: Error, Cost: Reads,
			Sees:    "`VALIDATE CONSTRAINT` in the transaction that adds the constraint `NOT VALID`",
			Why:     "The lock of ADD CONSTRAINT is held until the transaction ends, so others wait while every row is read: NOT VALID has gained nothing.",
			Instead: "Commit first: VALIDATE in a transaction, or a file, of its own.",
			find: func(l *look) {
				l.alters("AT_ValidateConstraint", func(t table, cmd object) {
					for _, c := range l.done.checks {
						if l.transaction != 0 && c.transaction == l.transaction && c.name == cmd.text("name") && c.table.same(t) {
							l.sayOf(t, 0, "%s of %s is validated in the transaction that adds it", c.name, t)
							return
						}
					}
				})
			},
		},
	}
}
