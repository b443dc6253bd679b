package dispatch

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"drawbridge/workflows"
)

// questionTimeout ends a question that no worker could answer.
const questionTimeout = 30 * time.Minute

// Ask starts a workflow that only reads and returns its answer. Where no worker polls it says so at once and asks nothing.
// Interrupted, it withdraws the question.
func Ask[T any](ctx context.Context, d *Desk, kind string, o Order) (T, error) {
	var answer T
	if missing := d.Missing(ctx, o.Environments); len(missing) > 0 {
		return answer, noWorker(missing)
	}
	o.ID = workflows.QuestionID(kind, o.Pipeline, strings.ToLower(rand.Text()[:8]))
	o.timeout = questionTimeout
	t, err := d.start(ctx, o)
	if err != nil {
		return answer, err
	}
	done := make(chan error, 1)
	go func() { done <- d.Client.GetWorkflow(ctx, t.ID, t.Run).Get(ctx, &answer) }()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	said := attendance{listener: d.Listener}
	for {
		select {
		case err := <-done:
			if ctx.Err() != nil {
				withdraw(ctx, t)
			}
			return answer, t.explain(err)
		case <-look.C:
			said.look(d.Missing(ctx, o.Environments))
		}
	}
}

// withdraw cancels a question that nobody waits for any more. It only reads, so an error harms nothing.
func withdraw(ctx context.Context, t Talk) {
	calm, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	_ = t.client.CancelWorkflow(calm, t.ID, t.Run)
}
