package lint

import (
	"slices"
	"strings"
)

// timeouts are the settings that bound how long a statement waits, and keeps others waiting.
func timeouts() []string { return []string{"lock_timeout", "statement_timeout"} }

// others are those of tables that the file has not created.
func (l *look) others(all []table) []table {
	return slices.DeleteFunc(slices.Clone(all), l.done.isNew)
}

func transactionRules() []Rule {
	return []Rule{
		{
			Name: "require-timeout-settings", Of: Migrations, Severity: Warning,
			Sees:    "a file that locks a table of others, against writers or readers, before it sets `lock_timeout` and `statement_timeout`",
			Why:     "A statement that waits for its lock keeps everybody waiting who comes after it, for as long as whoever is before it takes.",
			Instead: "SET lock_timeout = '2s'; SET statement_timeout = '10s'; before it, and try again when it gives up. CREATE INDEX CONCURRENTLY needs neither.",
			find: func(l *look) {
				locked := l.others(l.locks())
				missing := slices.DeleteFunc(timeouts(), func(name string) bool { return l.done.set[name] })
				if len(locked) > 0 && !l.done.waits && len(missing) > 0 {
					l.say(0, "%s is locked, and nothing sets %s", locked[0], strings.Join(missing, " and "))
				}
			},
		},
		{
			Name: "transaction-nesting", Of: Migrations, Severity: Error,
			Sees:    "`BEGIN` in a transaction, or `COMMIT` without one that the file began",
			Why:     "A second BEGIN only warns, and a COMMIT ends the transaction of the tool: what comes after it stays when the rest fails.",
			Instead: "Leave BEGIN and COMMIT to the tool, or tell it that the file runs without a transaction.",
			find: func(l *look) {
				switch {
				case l.nested && l.begins():
					l.say(0, "a transaction begins in another one")
				case l.nested:
					l.say(0, "a transaction ends that the file has not begun")
				}
			},
		},
		{
			Name: "ban-uncommitted-transaction", Of: Migrations, Severity: Error,
			Sees:    "`BEGIN` without a `COMMIT` after it",
			Why:     "When the connection ends everything is undone; until then its locks are held.",
			Instead: "End it with COMMIT.",
			find: func(l *look) {
				if l.begins() && !slices.ContainsFunc(l.all[l.index:], func(s statement) bool { return s.ends() }) {
					l.say(0, "the transaction does not end")
				}
			},
		},
		{
			Name: "locking-several-tables", Of: Migrations, Severity: Warning,
			Sees:    "a transaction that locks a second table of others",
			Why:     "The first one stays locked while it waits for the second: programs that take them in the other order end in a deadlock, and the others wait for both.",
			Instead: "One table in a transaction.",
			find: func(l *look) {
				held := l.done.locked[l.transaction]
				if l.transaction == 0 || len(held) == 0 {
					return
				}
				for _, t := range l.others(l.locks()) {
					if !slices.ContainsFunc(held, t.same) {
						l.say(0, "%s is locked while %s still is", t, held[0])
						return
					}
				}
			},
		},
		{
			Name: "backfilling-with-ddl", Of: Migrations, Severity: Error, Cost: Rewrites,
			Sees:    "`UPDATE` or `DELETE` of a whole table in a transaction that changes tables too",
			Why:     "While it goes through every row the locks of the other statements are held, all rows stay locked until the end, and vacuum can clean up nothing.",
			Instead: "Change the table in a transaction of its own; write or delete rows outside of it, in batches of a few thousand by key.",
			find: func(l *look) {
				t := relation(l.part("relation"))
				if !in(l.kind, "UpdateStmt DeleteStmt") || !wholeTable(l.node) || l.transaction == 0 || l.done.isNew(t) {
					return
				}
				does := "written"
				if l.kind == "DeleteStmt" {
					does = "deleted"
				}
				if slices.ContainsFunc(l.all, func(s statement) bool { return s.transaction == l.transaction && s.changesTable() }) {
					l.sayOf(t, 0, "every row of %s is %s in a transaction that changes tables", t, does)
				}
			},
		},
		{
			Name: "locking-table", Of: Migrations, Severity: Warning,
			Sees:    "`LOCK TABLE` in a mode that keeps writers waiting: `SHARE` or a stronger one, or without a mode",
			Why:     "It waits for all that write the table, and in the strongest modes for readers, and whoever comes after it waits too; the lock is held until the transaction ends, whatever it does.",
			Instead: "Leave it out: statements take the locks that they need. Where one is needed before them, keep the transaction short, and silence this with the reason.",
			find: func(l *look) {
				if l.kind == "LockStmt" {
					for _, t := range l.others(l.locks()) {
						l.say(0, "%s is locked", t)
					}
				}
			},
		},
		{
			Name: "creating-trigger", Of: Migrations, Severity: Warning,
			Sees:    "`CREATE TRIGGER` on a table of others",
			Why:     "SHARE ROW EXCLUSIVE is taken: it waits for writers under way, and those that come wait for it. Then every write pays for it.",
			Instead: "Set lock_timeout, make it in a transaction of its own, and try again when it gives up.",
			find: func(l *look) {
				if t := relation(l.part("relation")); l.kind == "CreateTrigStmt" && !l.done.isNew(t) {
					l.say(0, "the trigger %s is made on %s", l.text("trigname"), t)
				}
			},
		},
		{
			Name: "ban-disable-trigger", Of: Migrations, Severity: Error,
			Sees:    "`DISABLE TRIGGER`",
			Why:     "SHARE ROW EXCLUSIVE is held until the transaction ends: writers wait. Rows that are written while it is off miss what it does; with ALL, foreign keys are not checked either.",
			Instead: "Let the trigger pass over this session: SET LOCAL a setting of your own, which it reads by current_setting. Replace a trigger that is not needed any more by one that does nothing, then drop it.",
			find: func(l *look) {
				l.alters("AT_DisableTrig AT_DisableTrigAll AT_DisableTrigUser", func(t table, cmd object) {
					if name := cmd.text("name"); name != "" {
						l.say(0, "the trigger %s of %s is turned off", name, t)
						return
					}
					l.say(0, "the triggers of %s are turned off", t)
				})
			},
		},
	}
}
