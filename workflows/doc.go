// Package workflows decides: what is built, compared, published, watched and turned back, in which order, and who is
// asked. It does no I/O and knows no clock but the workflow's. What all of them share is in conduct.
//
//	Deployment   plan ─ validate ─ for each environment: Crossing ─ done
//	Crossing     enter ─ preflight ─ smoke ─ canary ─ approval ─ expand ─ publish ─ watch ─ attest ─ leave
//	                └────────┴────────┴───────┴────────┴──────────┴────────┴────────┴──→ fail, reject, cancel: TurnBack
//	TurnBack     begin ─ pass, page by page: swap, then build again ─ end: done | stuck        of Rollback and Recovery too
//	Run          enter ─ build and audit ─ publish            again where what it replaces has moved
//	Environment  questions, a round of housekeeping by timer and after changes ─ drained ─→ continues as new
//
// What is carried over continue-as-new is DeploymentState, RollbackState and Environment's input: counts and places, never a
// list that grows with the partitions. What a workflow must not forget is in the ledger.
package workflows
