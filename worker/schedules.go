package main

import (
	"context"
	"time"

	"go.temporal.io/sdk/client"

	"drawbridge/activities"
	"drawbridge/internal/schedule"
	"drawbridge/internal/temporalx"
	"drawbridge/workflows"
)

// schedules are an environment's, through the client that the worker has anyway.
type schedules struct {
	all temporalx.Schedules
	env string
}

var _ activities.Schedules = schedules{}

func newSchedules(c client.Client, env string) (schedules, error) {
	namespace, err := temporalx.Namespace(temporalx.Options{})
	return schedules{all: temporalx.NewSchedules(c, namespace, workflows.ScheduledName, workflows.Queue, workflows.ScheduledAttributes), env: env}, err
}

// Find implements activities.Schedules.
func (s schedules) Find(ctx context.Context, pipeline string) (*schedule.Standing, error) {
	return s.all.Find(ctx, pipeline, s.env)
}

// Put implements activities.Schedules.
func (s schedules) Put(ctx context.Context, want schedule.Applied) error { return s.all.Put(ctx, want) }

// Remove implements activities.Schedules.
func (s schedules) Remove(ctx context.Context, pipeline string) error {
	return s.all.Remove(ctx, pipeline, s.env)
}

// MakeUp implements activities.Schedules.
func (s schedules) MakeUp(ctx context.Context, in schedule.Input, after, to time.Time) error {
	return s.all.MakeUp(ctx, in, after, to)
}
