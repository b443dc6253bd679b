// Package catalog is the ledger: the schema `<schema>__ledger` of a warehouse, and its typed queries. The ledger says
// which generation is live, who built what from which release, and which effects have happened. Every method takes
// the session or transaction in which it runs, because a ledger row is only true when it commits with its effect.
//
//	generation   building ─→ built ─→ shadow ─→ live ⇄ retired ─→ dropped       one live per output and partition
//	                 └─────────┴─────────┴──→ rejected ──────────────↑
//	tenure       reserved ─ the last publish ─→ active ─ another one, or a turn-back ─→ earlier      numbers only grow
//	turn-back    open ─→ done | stuck ─ the same command ─→ open                 one open per pipeline
//	crossing     entered ─→ left, or it watches under its tenure                 one per pipeline
//	backfill     entered ─→ ended                                                spans of a pipeline never overlap
//	hold         set ─→ released                                                 one per schema
//	fence, effect, swap, answer: written once, and never taken away
package catalog
