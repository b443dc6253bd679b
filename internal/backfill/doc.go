// Package backfill is the pure planner of backfills: which partitions of a span an environment's active release builds again,
// in which order, how long that may take, and whether it is more than the environment lets through without being asked. It has
// no clients and no clock.
//
//	span ── no files ──▶ missing
//	  │
//	  ├── live, of the active release, no file newer ──▶ current: left as it is, unless forced
//	  │
//	  └──▶ partitions, in the order of work; outputs that are one partition come last, once
package backfill
