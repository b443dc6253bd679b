// Package migrate plans changes of tables that others read and write: typed operations become steps, each of which is looked for
// (probe), done (act) and looked for again, so that whoever was killed anywhere goes on or goes back. It is pure.
//
//	expand → dual write → backfill → verify → switch → deprecate → contract → done
//	   └──────────┴──────────┴─────────┴─────────┴─────────┘
//	                     rolled back, step by step                    after contract: never
//
// A table that the migration's own pipeline makes is never written in place (Given): its releases bring what is new, and the migration waits for them.
//
// A migration is about one table. Until contract, what readers and writers of the old shape do goes on to work, and every step has
// an undo; contract takes the old shape away, and nothing brings it back.
package migrate
