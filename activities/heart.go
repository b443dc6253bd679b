package activities

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// NewHeartInterceptor returns what lets every activity heartbeat while it runs, so that another worker takes over within
// seconds of the end of this one, whatever the activity does. An activity that says more than that it is alive, or that
// must not seem alive while its server is silent, beats itself: see pulse and patience.
func NewHeartInterceptor() interceptor.WorkerInterceptor { return &heartInterceptor{} }

type heartInterceptor struct {
	interceptor.WorkerInterceptorBase
}

func (*heartInterceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &heartActivity{}
	i.Next = next
	return i
}

type heartActivity struct {
	interceptor.ActivityInboundInterceptorBase
}

func (i *heartActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	h := &heart{}
	if activity.HasHeartbeatDetails(ctx) {
		var carried json.RawMessage
		if err := activity.GetHeartbeatDetails(ctx, &carried); err == nil {
			h.details = []any{carried}
		}
	}
	defer beating(ctx, func() {
		if !h.own.Load() {
			activity.RecordHeartbeat(ctx, h.details...)
		}
	})()
	return i.Next.ExecuteActivity(context.WithValue(ctx, heartKey{}, h), in)
}

// heart beats for one attempt, with the details of the attempt before it, until the activity beats itself.
type heart struct {
	details []any
	own     atomic.Bool
}

type heartKey struct{}

// beat is well below the heartbeat timeout of activities, so that one late beat does not end an attempt.
const beat = 2 * time.Second

// beating calls do every beat, until ctx ends or stop is called. stop waits for the last of them.
func beating(ctx context.Context, do func()) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(beat)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-ctx.Done():
				return
			case <-tick.C:
				do()
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
	}
}

// beatsItself silences the interceptor's heartbeat for the rest of the attempt, or until resume.
func beatsItself(ctx context.Context) (resume func()) {
	h, ok := ctx.Value(heartKey{}).(*heart)
	if !ok {
		return func() {}
	}
	h.own.Store(true)
	return func() { h.own.Store(false) }
}
