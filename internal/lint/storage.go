package lint

func storageRules() []Rule {
	return []Rule{
		{
			Name: "prefer-repack", Of: Migrations, Severity: Error, Cost: Rewrites,
			Sees:    "`VACUUM FULL` or `CLUSTER`",
			Why:     "ACCESS EXCLUSIVE is held while every row and index is written again: nobody reads or writes the table meanwhile.",
			Instead: "VACUUM, without FULL, lets the space be used again while others work. To make the file smaller, or to order its rows: pg_repack, which locks the table for moments only, or REPACK (CONCURRENTLY) of Postgres 19.",
			find: func(l *look) {
				if l.kind != "ClusterStmt" && (l.kind != "VacuumStmt" || !turnedOn(l.nodes("options"), "full")) {
					return
				}
				if l.part("relation") == nil && len(l.nodes("rels")) == 0 {
					l.say(0, "tables are written again, and the statement does not say which")
				}
				for _, t := range l.others(l.locks()) {
					l.sayOf(t, 0, "%s is written again", t)
				}
			},
		},
		{
			Name: "changing-persistence", Of: Migrations, Severity: Error,
			Sees:    "`SET UNLOGGED` or `SET LOGGED`",
			Why:     "ACCESS EXCLUSIVE is held while every row and index is written again: nobody reads or writes the table meanwhile. An unlogged table is empty after a crash of the server, and replicas do not have its rows.",
			Instead: "Say it where the table is created; or make a new table, fill it in batches, and swap the names.",
			find: func(l *look) {
				l.alters("AT_SetUnLogged", func(t table, _ object) { l.say(0, "%s becomes unlogged", t) })
				l.alters("AT_SetLogged", func(t table, _ object) { l.say(0, "%s becomes logged", t) })
			},
		},
		{
			Name: "moving-tablespace", Of: Migrations, Severity: Error, Cost: Rewrites,
			Sees:    "`SET TABLESPACE` of a table, index or materialized view",
			Why:     "ACCESS EXCLUSIVE is held while all of it is copied: nobody reads or writes it meanwhile.",
			Instead: "Of an index: REINDEX (CONCURRENTLY, TABLESPACE …), outside of a transaction. Of a table: pg_repack with --tablespace, which locks it for moments only; or make a new table there, fill it in batches, and swap the names.",
			find: func(l *look) {
				t := relation(l.part("relation"))
				if l.kind == "AlterTableMoveAllStmt" {
					l.say(0, "all of the tablespace %s moves to %s", l.text("orig_tablespacename"), l.text("new_tablespacename"))
				}
				for _, cmd := range l.nodes("cmds") {
					if l.kind == "AlterTableStmt" && cmd.text("subtype") == "AT_SetTableSpace" && !l.done.isNew(t) {
						l.sayOf(t, 0, "%s moves to the tablespace %s", t, cmd.text("name"))
					}
				}
			},
		},
		{
			Name: "require-concurrent-partition-detach", Of: Migrations, Severity: Error,
			Sees:    "`DETACH PARTITION` without `CONCURRENTLY`",
			Why:     "ACCESS EXCLUSIVE is held on the table and the partition until the transaction ends: nobody reads or writes either of them meanwhile.",
			Instead: "DETACH PARTITION … CONCURRENTLY, outside of a transaction, and … FINALIZE where it broke off. Where the table has a DEFAULT partition Postgres refuses that: set lock_timeout, and do nothing else in the transaction.",
			find: func(l *look) {
				l.alters("AT_DetachPartition", func(t table, cmd object) {
					if part := cmd.node("def"); !part.is("concurrent") {
						l.say(0, "%s is detached from %s", relation(part.part("name")), t)
					}
				})
			},
		},
		{
			Name: "require-concurrent-refresh", Of: Migrations, Severity: Error,
			Sees:    "`REFRESH MATERIALIZED VIEW` without `CONCURRENTLY`",
			Why:     "ACCESS EXCLUSIVE is held while its query runs: nobody reads the view meanwhile.",
			Instead: "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index of columns over all its rows, and that it has been filled before.",
			find: func(l *look) {
				if l.kind != "RefreshMatViewStmt" || l.is("concurrent") || l.done.isNew(relation(l.part("relation"))) {
					return
				}
				text := "%s is made anew"
				if l.is("skipData") {
					text = "%s is emptied, and cannot be read until it is refreshed again"
				}
				l.say(0, text, relation(l.part("relation")))
			},
		},
	}
}
