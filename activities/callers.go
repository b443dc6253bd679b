package activities

import (
	"context"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/interceptor"
)

// NewCallerInterceptor refuses an activity to workflows that may not call it, by type and ID as the server says them, before
// its input is looked at.
func NewCallerInterceptor(may func(activityName, workflowType, id string) error) interceptor.WorkerInterceptor {
	return &callerInterceptor{may: may}
}

type callerInterceptor struct {
	interceptor.WorkerInterceptorBase
	may func(activityName, workflowType, id string) error
}

func (c *callerInterceptor) InterceptActivity(_ context.Context, next interceptor.ActivityInboundInterceptor) interceptor.ActivityInboundInterceptor {
	i := &callerActivity{may: c.may}
	i.Next = next
	return i
}

type callerActivity struct {
	interceptor.ActivityInboundInterceptorBase
	may func(activityName, workflowType, id string) error
}

func (i *callerActivity) ExecuteActivity(ctx context.Context, in *interceptor.ExecuteActivityInput) (any, error) {
	info := activity.GetInfo(ctx)
	workflowType := ""
	if info.WorkflowType != nil {
		workflowType = info.WorkflowType.Name
	}
	if err := i.may(info.ActivityType.Name, workflowType, info.WorkflowExecution.ID); err != nil {
		return nil, err
	}
	return i.Next.ExecuteActivity(ctx, in)
}
