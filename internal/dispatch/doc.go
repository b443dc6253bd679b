// Package dispatch speaks with Temporal for people: it starts workflows, asks them, hands decisions over, follows, lists.
// It writes nothing: what is worth saying meanwhile it tells a Listener.
//
//	Desk ──┬── Begin    start a workflow, never a second one of its ID; make room where one only watches
//	       ├── Ask      start a workflow that only reads, and wait for its answer
//	       ├── Follow   status after status, until it ends or asks
//	       ├── Decide   by update; by signal where no worker answers
//	       ├── Steer    the same for pause, resume and set-lanes
//	       ├── Cancel, Abandoned
//	       └── Overview, Waiting, View
//	Talk   ──── one workflow: status, result, decisions, commands, what is tried again
//	Queue  ──── who polls, and the command that starts who is missing
package dispatch
