// Package warehouse is everything that Drawbridge does in a Postgres warehouse: it loads files, builds and audits
// generations, publishes them by swapping partitions, turns them back, and looks at what is there. It knows no
// Temporal: errors leave it as faults, or plain where another try may work.
//
// All its state is in the server; what a process holds is sessions.
//
//	Build     reserve (the ledger knows it) ─ load ─ SELECT, as its author ─ index, CHECK, VACUUM ─ audit ─ seal ─→ a child, aside
//	Publish   admitted? ─ snapshots that precede the build ─ ladder( locks ─ admitted still? ─ detach, attach, ledger ) ─→ commit
//	turn back Begin (flips what is active, fences) ─ Decide, a page at a time ─ Publish backwards │ Build again ─ End
package warehouse
