package activities

import (
	"context"
	"encoding/json"
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
	done := make(chan struct{})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		h.beat(ctx, done)
	}()
	defer func() {
		close(done)
		<-stopped
	}()
	return i.Next.ExecuteActivity(context.WithValue(ctx, heartKey{}, h), in)
}

// heart beats for one attempt, with the details of the attempt before it, until the activity beats itself.
type heart struct {
	details []any
	own     atomic.Bool
}

type heartKey struct{}

func (h *heart) beat(ctx context.Context, done <-chan struct{}) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
			if !h.own.Load() {
				activity.RecordHeartbeat(ctx, h.details...)
			}
		}
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
