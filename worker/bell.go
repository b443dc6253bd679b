package main

import (
	"context"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"drawbridge/internal/temporalx"
	"drawbridge/workflows"
)

const (
	// bellRest is the time in which changes count as one.
	bellRest = 2 * time.Second
	// bellTimeout bounds one ring.
	bellTimeout = 10 * time.Second
)

// bell sends the workflow of an environment a signal, that something has changed there or that people are owed something, and starts
// it where it does not run. What is not heard is no loss: it looks every hour anyway.
type bell struct {
	client client.Client
	env    string
	signal string
	log    *zap.Logger
	rung   chan struct{}
}

func newBell(c client.Client, env, signal string, log *zap.Logger) *bell {
	return &bell{client: c, env: env, signal: signal, log: log, rung: make(chan struct{}, 1)}
}

// ring does not wait.
func (b *bell) ring() {
	select {
	case b.rung <- struct{}{}:
	default:
	}
}

// serve passes on what rings until ctx ends.
func (b *bell) serve(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.rung:
		}
		if err := b.tell(ctx); err != nil && ctx.Err() == nil {
			b.log.Warn("the environment's workflow was not reached", zap.String("signal", b.signal), zap.String("environment", b.env), zap.Error(err))
		}
		rest := time.NewTimer(bellRest)
		select {
		case <-ctx.Done():
		case <-rest.C:
		}
		rest.Stop()
	}
}

func (b *bell) tell(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, bellTimeout)
	defer cancel()
	id := workflows.EnvironmentID(b.env)
	_, err := b.client.SignalWithStartWorkflow(ctx, id, b.signal, nil, temporalx.Standing(id, workflows.Queue),
		workflows.EnvironmentName, workflows.EnvironmentInput{Environment: b.env})
	return err
}
