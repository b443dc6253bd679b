// Package postgres is what every change of a Postgres shares, whoever makes it: sessions, the classes of SQLSTATEs, the
// ladder on which locks are tried, the sessions that stand in the way, the snapshots that a swap must outlive, quoting,
// and effects that happen exactly once. It knows neither generations nor the ledger's tables, and no Temporal.
//
//	Once ── begin ── key locked ── recorded already? ── yes ─────────────────────────────→ the recorded result
//	                                     │ no
//	                                     └── effect, record ── commit ──┬─ answered ────→ the result
//	                                                                    └─ answer lost ─→ key locked, look again
//
//	Ladder ── holders that no rung outlasts? ── rung (SHARE UPDATE EXCLUSIVE, then ACCESS EXCLUSIVE) ── done
//	   ↑                                             │ somebody else has it
//	   └──────────── pause, a longer rung ───────────┴── budget spent: the sessions in the way
package postgres
