// Package alter changes tables of a schema in place, partitioned ones too, while others read and write them: what a plan of internal/migrate says, step
// by step, and nothing that anybody else says. Where a table stands is known by the ledger's row of its open migration, its phase, and the
// probes; so whoever was killed is followed by another one who looks.
//
//	nobody's ── BeginMigration ──▶ open: phase by phase ── EndMigration ──▶ done
//	                                 │ an undone step
//	                                 ▼
//	                               open, on its way back ── EndMigration ──▶ rolled back
//
// Of a table that the pipeline's releases make no row is written: its row in the ledger says what whatever is published has to give, columns come and go
// with it and with every generation that is kept.
//
// While it is open no other migration changes the table. Steps are done in the ledger's phase only, and none any more once one was
// undone; from the phase contract on nothing is undone.
package alter
