// Package conduct is what every workflow shares: a header that people read, gates that they decide, a story, commands that
// steer, lanes of work, calls of activities, and the one ending.
//
//	Open → Run( body → back ) → the result
//
//	            ┌─────────── Command: pause, resume, cancel, set-lanes, … (update and signal); a kind of workflow
//	            │            refuses those that it was not opened with
//	            ▼
//	body:   Checkpoint ─ Call.Do ─ Ask ─ Line.Run …      any error, rejection or cancel
//	            │                                         → back: turns back, in a context that no cancel ends
//	            └ done                                    → refused | rolled_back | stuck
//
// What is carried across continue-as-new is bounded: the header (decided gates without their evidence, the last events) and
// a line's cursor. Everything else is made anew. A workflow continues as new only when its lanes are drained, no gate is
// open, and every decision and command that has arrived is counted.
package conduct
