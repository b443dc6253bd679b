package temporalx

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	schedulepb "go.temporal.io/api/schedule/v1"
	sdkpb "go.temporal.io/api/sdk/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"drawbridge/internal/fault"
	"drawbridge/internal/schedule"
)

// Schedules are the schedules of a namespace that start one type of workflow. They speak with the server itself: the SDK overwrites
// what somebody else has just changed, and what a person has paused has to stay so.
type Schedules struct {
	client     client.Client
	namespace  string
	workflow   string
	queue      string
	attributes func(schedule.Input) map[string]string
}

// NewSchedules returns those of a namespace that start a type of workflow on a queue. attributes are the search attributes of what is
// started; where the server does not know them it starts without.
func NewSchedules(c client.Client, namespace, workflow, queue string, attributes func(schedule.Input) map[string]string) Schedules {
	return Schedules{client: c, namespace: namespace, workflow: workflow, queue: queue, attributes: attributes}
}

// Until a busy server has time for a question, it is asked again, sooner first and for so long at most.
const (
	firstWait = 100 * time.Millisecond
	patience  = 8 * time.Second
)

// patiently asks a question, and waits until the server has time for it: of workflows the client does so by itself, of schedules it
// allows no retry.
func patiently[Q, A any](ctx context.Context, ask func(context.Context, Q, ...grpc.CallOption) (A, error), question Q) (A, error) {
	waits := backoff.NewExponentialBackOff()
	waits.InitialInterval = firstWait
	return backoff.Retry(ctx, func() (A, error) {
		answer, err := ask(ctx, question)
		_, busy := errors.AsType[*serviceerror.ResourceExhausted](err)
		_, away := errors.AsType[*serviceerror.Unavailable](err)
		if err != nil && !busy && !away {
			err = backoff.Permanent(err)
		}
		return answer, err
	}, backoff.WithBackOff(waits), backoff.WithMaxElapsedTime(patience))
}

// Find reads a schedule; nil: there is none.
func (s Schedules) Find(ctx context.Context, pipeline, environment string) (*schedule.Standing, error) {
	id := schedule.ID(pipeline, environment)
	answer, err := patiently(ctx, s.client.WorkflowService().DescribeSchedule, &workflowservice.DescribeScheduleRequest{Namespace: s.namespace, ScheduleId: id})
	if _, none := errors.AsType[*serviceerror.NotFound](err); none {
		return nil, nil
	}
	if err != nil {
		return nil, s.explain("read", id, err)
	}
	f := &schedule.Standing{}
	f.Token = string(answer.GetConflictToken())
	start := answer.GetSchedule().GetAction().GetStartWorkflow()
	if err := converter.GetDefaultDataConverter().FromPayloads(start.GetInput(), &f.Input); err != nil || start.GetWorkflowType().GetName() != s.workflow {
		return nil, fault.Newf(fault.Conflict, "read schedule", id, "give it another ID: the name is taken by what is no schedule of a pipeline", "it starts something else")
	}
	if state := answer.GetSchedule().GetState(); state.GetPaused() {
		paused := schedule.PauseOf(state.GetNotes())
		f.Pause = &paused
	}
	info := answer.GetInfo()
	for _, t := range info.GetFutureActionTimes() {
		f.Next = append(f.Next, t.AsTime())
	}
	for _, e := range info.GetRunningWorkflows() {
		f.Running = append(f.Running, e.GetWorkflowId())
	}
	if n := len(info.GetRecentActions()); n > 0 {
		last := info.GetRecentActions()[n-1]
		f.Last, f.LastFor = last.GetStartWorkflowResult().GetWorkflowId(), last.GetScheduleTime().AsTime()
	}
	f.Created = info.GetCreateTime().AsTime()
	f.Waiting, f.Missed, f.Skipped = int(info.GetBufferSize()), int(info.GetMissedCatchupWindow()), int(info.GetOverlapSkipped())
	return f, nil
}

// All are the schedules of the namespace that are ours.
func (s Schedules) All(ctx context.Context) ([]schedule.Standing, error) {
	var all []schedule.Standing
	request := &workflowservice.ListSchedulesRequest{Namespace: s.namespace, MaximumPageSize: 100}
	for {
		page, err := patiently(ctx, s.client.WorkflowService().ListSchedules, request)
		if err != nil {
			return nil, s.explain("list", "schedules", err)
		}
		for _, e := range page.GetSchedules() {
			pipeline, environment, ours := schedule.OfID(e.GetScheduleId())
			if !ours {
				continue
			}
			found, err := s.Find(ctx, pipeline, environment)
			if fault.ClassOf(err) == fault.Conflict {
				continue // it only has our kind of name
			}
			if err != nil {
				return nil, err
			}
			if found != nil { // the list lags behind
				all = append(all, *found)
			}
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return all, nil
		}
	}
}

// Put makes a schedule what is wanted. One that somebody has changed since it was read, or has made or removed, stays as that one left
// it; the server says nothing of that, so whoever puts reads again.
func (s Schedules) Put(ctx context.Context, want schedule.Applied) error {
	body, err := s.build(want, true)
	if err != nil {
		return err
	}
	err = s.put(ctx, want, body)
	if invalid, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok && strings.Contains(invalid.Message, "earch attribute") {
		if body, err = s.build(want, false); err == nil {
			err = s.put(ctx, want, body)
		}
	}
	return s.explain("apply", schedule.ID(want.Pipeline, want.Environment), err)
}

func (s Schedules) put(ctx context.Context, want schedule.Applied, body *schedulepb.Schedule) error {
	id := schedule.ID(want.Pipeline, want.Environment)
	if want.Token != "" {
		_, err := s.client.WorkflowService().UpdateSchedule(ctx, &workflowservice.UpdateScheduleRequest{
			Namespace: s.namespace, ScheduleId: id, Schedule: body, ConflictToken: []byte(want.Token), RequestId: uuid.NewString(),
		})
		if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
			return nil
		}
		return err
	}
	_, err := s.client.WorkflowService().CreateSchedule(ctx, &workflowservice.CreateScheduleRequest{
		Namespace: s.namespace, ScheduleId: id, Schedule: body, RequestId: uuid.NewString(),
	})
	if _, there := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); there {
		return nil
	}
	if _, there := errors.AsType[*serviceerror.AlreadyExists](err); there {
		return nil
	}
	return err
}

// Remove takes a schedule away. Twice is once.
func (s Schedules) Remove(ctx context.Context, pipeline, environment string) error {
	id := schedule.ID(pipeline, environment)
	_, err := s.client.WorkflowService().DeleteSchedule(ctx, &workflowservice.DeleteScheduleRequest{Namespace: s.namespace, ScheduleId: id})
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return nil
	}
	return s.explain("remove", id, err)
}

// MakeUp runs for the times after one moment and up to another, paused or not.
func (s Schedules) MakeUp(ctx context.Context, in schedule.Input, after, to time.Time) error {
	return s.patch(ctx, in, &schedulepb.SchedulePatch{BackfillRequest: []*schedulepb.BackfillRequest{{
		StartTime: timestamppb.New(after.Add(time.Second)), EndTime: timestamppb.New(to), OverlapPolicy: overlaps(orQueue(in.Schedule.Overlap)),
	}}})
}

// Trigger runs for a moment as if that were one of its times, paused or not, beside whatever runs.
func (s Schedules) Trigger(ctx context.Context, in schedule.Input, at time.Time) error {
	return s.patch(ctx, in, &schedulepb.SchedulePatch{TriggerImmediately: &schedulepb.TriggerImmediatelyRequest{
		OverlapPolicy: enumspb.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL, ScheduledTime: timestamppb.New(at),
	}})
}

func (s Schedules) patch(ctx context.Context, in schedule.Input, patch *schedulepb.SchedulePatch) error {
	id := schedule.ID(in.Pipeline, in.Environment)
	_, err := s.client.WorkflowService().PatchSchedule(ctx, &workflowservice.PatchScheduleRequest{
		Namespace: s.namespace, ScheduleId: id, Patch: patch, RequestId: uuid.NewString(),
	})
	return s.explain("steer", id, err)
}

// Times are those from one moment to another, as the server reads them.
func (s Schedules) Times(ctx context.Context, pipeline, environment string, from, to time.Time) ([]time.Time, error) {
	id := schedule.ID(pipeline, environment)
	answer, err := patiently(ctx, s.client.WorkflowService().ListScheduleMatchingTimes, &workflowservice.ListScheduleMatchingTimesRequest{
		Namespace: s.namespace, ScheduleId: id, StartTime: timestamppb.New(from), EndTime: timestamppb.New(to),
	})
	if err != nil {
		return nil, s.explain("read the times of", id, err)
	}
	var times []time.Time
	for _, t := range answer.GetStartTime() {
		times = append(times, t.AsTime())
	}
	return times, nil
}

// build is a schedule as the server takes it.
func (s Schedules) build(want schedule.Applied, attributes bool) (*schedulepb.Schedule, error) {
	cron, err := schedule.Parse(want.Schedule.Cron)
	if err != nil {
		return nil, err
	}
	spec := &schedulepb.ScheduleSpec{TimezoneName: want.Schedule.Zone(want.Scheme)}
	for _, c := range cron.Calendars() {
		spec.StructuredCalendar = append(spec.StructuredCalendar, &schedulepb.StructuredCalendarSpec{
			Second: ranges(0), Minute: ranges(c.Minute...), Hour: ranges(c.Hour...), DayOfMonth: ranges(c.Day...), Month: ranges(c.Month...),
			DayOfWeek: ranges(c.Weekday...), Comment: want.Schedule.Cron,
		})
	}
	payloads := converter.GetDefaultDataConverter()
	input, err := payloads.ToPayloads(want.Input)
	if err != nil {
		return nil, fmt.Errorf("encode the input of a scheduled run: %w", err)
	}
	summary, err := payloads.ToPayload(fmt.Sprintf("%s in %s, by schedule %s", want.Pipeline, want.Environment, want.Schedule.Cron))
	if err != nil {
		return nil, fmt.Errorf("encode the summary of a scheduled run: %w", err)
	}
	start := &workflowpb.NewWorkflowExecutionInfo{
		WorkflowId: schedule.RunsID(want.Pipeline, want.Environment), WorkflowType: &commonpb.WorkflowType{Name: s.workflow},
		TaskQueue: &taskqueuepb.TaskQueue{Name: s.queue}, Input: input, UserMetadata: &sdkpb.UserMetadata{Summary: summary},
		Memo: &commonpb.Memo{Fields: map[string]*commonpb.Payload{}},
	}
	for name, text := range map[string]string{
		"pipeline": want.Pipeline, "release": want.Release.Version, "by": schedule.ID(want.Pipeline, want.Environment), "environments": want.Environment,
	} {
		if start.Memo.Fields[name], err = payloads.ToPayload(text); err != nil {
			return nil, fmt.Errorf("encode the memo of a scheduled run: %w", err)
		}
	}
	if attributes {
		start.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{}}
		for name, text := range s.attributes(want.Input) {
			payload, err := payloads.ToPayload(text)
			if err != nil {
				return nil, fmt.Errorf("encode the search attributes of a scheduled run: %w", err)
			}
			payload.Metadata["type"] = []byte("Keyword")
			start.SearchAttributes.IndexedFields[name] = payload
		}
	}
	state := &schedulepb.ScheduleState{Notes: "runs " + want.Release.String()}
	if want.Pause != nil {
		state = &schedulepb.ScheduleState{Paused: true, Notes: want.Pause.Note()}
	}
	return &schedulepb.Schedule{
		Spec: spec, State: state, Action: &schedulepb.ScheduleAction{Action: &schedulepb.ScheduleAction_StartWorkflow{StartWorkflow: start}},
		Policies: &schedulepb.SchedulePolicies{OverlapPolicy: overlaps(want.Schedule.Overlap), CatchupWindow: durationpb.New(want.Schedule.Catchup)},
	}, nil
}

// ranges are values as the server takes them, neighbours together.
func ranges(values ...int) []*schedulepb.Range {
	var all []*schedulepb.Range
	for _, v := range values {
		if n := len(all); n > 0 && int(all[n-1].GetEnd()) == v-1 {
			all[n-1].End = int32(v)
			continue
		}
		all = append(all, &schedulepb.Range{Start: int32(v), End: int32(v)})
	}
	return all
}

func overlaps(o schedule.Overlap) enumspb.ScheduleOverlapPolicy {
	switch o {
	case schedule.Parallel:
		return enumspb.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
	case schedule.Skip:
		return enumspb.SCHEDULE_OVERLAP_POLICY_SKIP
	case schedule.Queue:
	}
	return enumspb.SCHEDULE_OVERLAP_POLICY_BUFFER_ALL
}

// orQueue is how times meet that are made up: none of them leaves another out.
func orQueue(o schedule.Overlap) schedule.Overlap {
	if o == schedule.Skip {
		return schedule.Queue
	}
	return o
}

// explain turns what no retry mends into a fault.
func (s Schedules) explain(verb, id string, err error) error {
	if err == nil {
		return nil
	}
	if fault.ClassOf(err) != "" {
		return err
	}
	hint := ""
	if _, ok := errors.AsType[*serviceerror.PermissionDenied](err); ok {
		hint = "let the worker and the CLI write schedules of the namespace " + s.namespace
	}
	if _, ok := errors.AsType[*serviceerror.Unimplemented](err); ok {
		hint = "take a Temporal server of version 1.18 or later, with schedules enabled"
	}
	if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok {
		hint = "see what the server says, and correct the schedule in the environment's config"
	}
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		hint = "list them: drawbridge schedule list"
	}
	if hint == "" {
		return fmt.Errorf("%s %s: %w", verb, id, err)
	}
	return fault.New(fault.Refused, verb, id, hint, err)
}
