package lint

import "slices"

// reindexesConcurrently says that a REINDEX has the option.
func reindexesConcurrently(s statement) bool {
	return slices.ContainsFunc(s.nodes("params"), func(p node) bool { return p.text("defname") == "concurrently" })
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
			Name: "require-concurrent-index-creation", Alias: "add_index", Of: Migrations, Severity: Error,
			Sees:    "`CREATE INDEX` without `CONCURRENTLY`",
			Why:     "SHARE is held while the index is built: writers of the table wait.",
			Instead: "CREATE INDEX CONCURRENTLY, outside of a transaction, then look whether it is valid. Of a partitioned table: CREATE INDEX ON ONLY the table, CONCURRENTLY on each partition, and ALTER INDEX … ATTACH PARTITION.",
			find: func(l *look) {
				if t := relation(l.part("relation")); l.kind == "IndexStmt" && !l.is("concurrent") && l.part("relation").is("inh") && !l.done.isNew(t) {
					l.say(0, "%s is built while writers wait", indexOf(l.statement))
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
						l.say(0, "the index %s is dropped while readers and writers wait", dotted(item.nodes("items")))
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
				if l.kind == "ReindexStmt" && !reindexesConcurrently(l.statement) {
					l.say(0, "indexes are built again while others wait")
				}
			},
		},
		{
			Name: "ban-concurrent-index-creation-in-transaction", Of: Migrations, Severity: Error,
			Sees:    "`CREATE INDEX`, `DROP INDEX` or `REINDEX` `CONCURRENTLY` in a transaction",
			Why:     "Postgres refuses it: it takes several transactions of its own.",
			Instead: "Put it into a file of its own that your tool runs without a transaction, and say so: --no-transaction, -- +goose NO TRANSACTION, or -- migrate:up transaction:false.",
			find: func(l *look) {
				concurrent := in(l.kind, "IndexStmt DropStmt") && l.is("concurrent") || l.kind == "ReindexStmt" && reindexesConcurrently(l.statement)
				if concurrent && l.transaction != 0 {
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
