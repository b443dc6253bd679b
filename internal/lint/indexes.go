package lint

import (
	"slices"
	"strings"
)

// turnedOn says that a list of options has one, and not turned off.
func turnedOn(options []node, name string) bool {
	return slices.ContainsFunc(options, func(o node) bool {
		if o.text("defname") != name {
			return false
		}
		switch arg := o.node("arg"); arg.kind {
		case "Integer":
			return arg.number("ival") != 0
		case "Boolean":
			return arg.is("boolval")
		default:
			return !in(strings.ToLower(arg.text("sval")), "off false")
		}
	})
}

// concurrently says that a statement asks for the gentler way, which takes several transactions.
func (s statement) concurrently() bool {
	switch s.kind {
	case "IndexStmt", "DropStmt":
		return s.is("concurrent")
	case "ReindexStmt":
		return turnedOn(s.nodes("params"), "concurrently")
	case "AlterTableStmt":
		return slices.ContainsFunc(s.nodes("cmds"), func(cmd node) bool {
			return cmd.text("subtype") == "AT_DetachPartition" && cmd.node("def").is("concurrent")
		})
	}
	return false
}

// indexOf is what an index is called in a sentence.
func indexOf(s statement) string {
	if name := s.text("idxname"); name != "" {
		return "the index " + name + " of " + relation(s.part("relation")).String()
	}
	return "an index of " + relation(s.part("relation")).String()
}

func indexRules() []Rule {
	return []Rule{
		{
			Name: "require-concurrent-index-creation", Alias: "add_index", Of: Migrations, Severity: Error, Cost: Indexes,
			Sees:    "`CREATE INDEX` without `CONCURRENTLY`",
			Why:     "SHARE is held while the index is built: writers of the table wait.",
			Instead: "CREATE INDEX CONCURRENTLY, outside of a transaction, then look whether it is valid. Of a partitioned table: CREATE INDEX ON ONLY the table, CONCURRENTLY on each partition, and ALTER INDEX … ATTACH PARTITION.",
			find: func(l *look) {
				if t := relation(l.part("relation")); l.kind == "IndexStmt" && !l.is("concurrent") && l.part("relation").is("inh") && !l.done.isNew(t) {
					l.sayOf(relation(l.part("relation")), 0, "%s is built without CONCURRENTLY", indexOf(l.statement))
				}
			},
		},
		{
			Name: "require-concurrent-index-deletion", Alias: "remove_index", Of: Migrations, Severity: Error,
			Sees:    "`DROP INDEX` without `CONCURRENTLY`",
			Why:     "ACCESS EXCLUSIVE is taken on the table: it waits for all that run, and whoever comes after it waits too.",
			Instead: "DROP INDEX CONCURRENTLY, outside of a transaction.",
			find: func(l *look) {
				if l.kind == "DropStmt" && l.text("removeType") == "OBJECT_INDEX" && !l.is("concurrent") {
					for _, item := range l.nodes("objects") {
						l.say(0, "the index %s is dropped without CONCURRENTLY", dotted(item.nodes("items")))
					}
				}
			},
		},
		{
			Name: "require-concurrent-reindex", Of: Migrations, Severity: Error,
			Sees:    "`REINDEX` without `CONCURRENTLY`",
			Why:     "Writers of the table wait while its indexes are built, and readers that would use them.",
			Instead: "REINDEX … CONCURRENTLY, outside of a transaction.",
			find: func(l *look) {
				if l.kind == "ReindexStmt" && !l.concurrently() && !l.done.isNew(relation(l.part("relation"))) {
					l.say(0, "REINDEX without CONCURRENTLY")
				}
			},
		},
		{
			Name: "ban-concurrent-index-creation-in-transaction", Of: Migrations, Severity: Error,
			Sees:    "`CREATE INDEX`, `DROP INDEX`, `REINDEX` or `DETACH PARTITION` `CONCURRENTLY` in a transaction",
			Why:     "Postgres refuses it: it takes several transactions of its own.",
			Instead: "Put it into a file of its own that your tool runs without a transaction, and say so: --no-transaction, -- +goose NO TRANSACTION, or -- migrate:up transaction:false.",
			find: func(l *look) {
				if l.concurrently() && l.transaction != 0 {
					l.say(0, "CONCURRENTLY stands in a transaction")
				}
			},
		},
		{
			Name: "hiding-invalid-index", Of: Migrations, Severity: Error,
			Sees:    "`CREATE INDEX CONCURRENTLY IF NOT EXISTS`",
			Why:     "A build that broke off leaves an invalid index of that name, which no query uses and every write pays for; this then does nothing, and succeeds.",
			Instead: "DROP INDEX CONCURRENTLY IF EXISTS before it, or leave IF NOT EXISTS out; afterwards look at indisvalid in pg_index.",
			find: func(l *look) {
				if l.kind == "IndexStmt" && l.is("concurrent") && l.is("if_not_exists") {
					l.say(0, "%s may be there, and invalid", indexOf(l.statement))
				}
			},
		},
		{
			Name: "concurrent-index-on-partitioned-table", Of: Migrations, Severity: Error,
			Sees:    "`CREATE INDEX CONCURRENTLY` on a table that the file shows to be partitioned",
			Why:     "Postgres refuses it on the parent.",
			Instead: "CREATE INDEX ON ONLY the parent, CREATE INDEX CONCURRENTLY on each partition, then ALTER INDEX … ATTACH PARTITION for each.",
			find: func(l *look) {
				if t := relation(l.part("relation")); l.kind == "IndexStmt" && l.is("concurrent") && slices.ContainsFunc(l.done.parents, t.same) {
					l.say(0, "%s is partitioned", t)
				}
			},
		},
	}
}
