package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/workflows/conduct"
)

const (
	// holdRounds is how often a hold is tried where a house cannot be reached, and holdPause the time between two of them.
	holdRounds = 3
	holdPause  = 2 * time.Second
)

// Hold holds an environment, or releases its hold, and says which ledgers have it. It needs nobody but the environment's
// worker.
func Hold(ctx workflow.Context, in activities.HoldInput) ([]activities.Held, error) {
	op := "hold " + in.Environment
	in.Owner = owner(ctx)
	for round := 1; ; round++ {
		held, err := SetHold.Soon(ctx, in.Environment, op, in)
		if err != nil || round == holdRounds || all(held) {
			return held, conduct.Failure(op, err)
		}
		if err := workflow.Sleep(ctx, holdPause); err != nil {
			return held, err
		}
	}
}

// all says that every house has it.
func all(held []activities.Held) bool {
	for _, h := range held {
		if h.Unreached != "" {
			return false
		}
	}
	return true
}
