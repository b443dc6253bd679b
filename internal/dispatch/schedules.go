package dispatch

import (
	"cmp"
	"context"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"drawbridge/internal/fault"
	"drawbridge/internal/schedule"
	"drawbridge/internal/temporalx"
	"drawbridge/workflows"
)

func (d *Desk) allSchedules() (temporalx.Schedules, error) {
	namespace, err := temporalx.Namespace(temporalx.Options{})
	return temporalx.NewSchedules(d.Client, namespace, workflows.ScheduledName, workflows.Queue, workflows.ScheduledAttributes), err
}

// Schedules are those of all pipelines, by pipeline and environment.
func (d *Desk) Schedules(ctx context.Context) ([]schedule.Standing, error) {
	s, err := d.allSchedules()
	if err != nil {
		return nil, err
	}
	all, err := s.All(ctx)
	slices.SortFunc(all, func(a, b schedule.Standing) int {
		return cmp.Or(cmp.Compare(a.Pipeline, b.Pipeline), cmp.Compare(a.Environment, b.Environment))
	})
	return all, err
}

// Schedule is a pipeline's in an environment.
func (d *Desk) Schedule(ctx context.Context, pipeline, environment string) (schedule.Standing, error) {
	s, err := d.allSchedules()
	if err != nil {
		return schedule.Standing{}, err
	}
	found, err := s.Find(ctx, pipeline, environment)
	if err != nil {
		return schedule.Standing{}, err
	}
	if found == nil {
		return schedule.Standing{}, fault.Newf(fault.Invalid, "find", schedule.ID(pipeline, environment),
			"list what there is: drawbridge schedule list; to have one, write schedule: into config."+environment+".yaml, and deploy it", "there is no such schedule")
	}
	return *found, nil
}

// farthest is how far ahead the next times are looked for: a 29 February is at most eight years away.
const farthest = 9 * 366 * 24 * time.Hour

// NextTimes are the next times of a schedule, at most count, as Temporal reads them.
func (d *Desk) NextTimes(ctx context.Context, of schedule.Standing, count int) ([]time.Time, error) {
	s, err := d.allSchedules()
	if err != nil {
		return nil, err
	}
	now := d.Now()
	times, err := s.Times(ctx, of.Pipeline, of.Environment, now, now.Add(farthest))
	return times[:min(len(times), count)], err
}

// pauseTries is how often a pause is written when somebody else changes the schedule meanwhile.
const pauseTries = 10

// PauseSchedule lets a schedule start nothing more, in a person's name. Where it was paused by a person already nothing changes. One that
// a turn-back has paused is the person's then, and stays paused when that ends.
func (d *Desk) PauseSchedule(ctx context.Context, pipeline, environment string, p schedule.Pause) (now schedule.Standing, already bool, err error) {
	return d.steerSchedule(ctx, pipeline, environment, &p, func(have *schedule.Pause) (bool, error) {
		return have != nil && have.TurnBack == "", nil
	})
}

// ResumeSchedule lets it start again. What a turn-back has paused goes on by itself.
func (d *Desk) ResumeSchedule(ctx context.Context, pipeline, environment string) (now schedule.Standing, already bool, err error) {
	return d.steerSchedule(ctx, pipeline, environment, nil, func(have *schedule.Pause) (bool, error) {
		if have != nil && have.TurnBack != "" {
			return false, fault.Newf(fault.Refused, "resume", schedule.ID(pipeline, environment), "wait for it: drawbridge status "+have.TurnBack+"; where it was terminated: drawbridge recover "+have.TurnBack,
				have.String()+", and it goes on when that has ended")
		}
		return have == nil, nil
	})
}

// steerSchedule writes a pause, or none, until it stands as it was wanted.
func (d *Desk) steerSchedule(ctx context.Context, pipeline, environment string, want *schedule.Pause, stands func(*schedule.Pause) (bool, error)) (schedule.Standing, bool, error) {
	s, err := d.allSchedules()
	if err != nil {
		return schedule.Standing{}, false, err
	}
	for tries := range pauseTries {
		found, err := d.Schedule(ctx, pipeline, environment)
		if err != nil {
			return found, false, err
		}
		done, err := stands(found.Pause)
		if err != nil || done {
			return found, tries == 0, err
		}
		put := found.Applied
		put.Pause = want
		if err := s.Put(ctx, put); err != nil {
			return found, false, err
		}
	}
	return schedule.Standing{}, false, fault.Newf(fault.Conflict, "steer", schedule.ID(pipeline, environment), "try again", "others change it again and again")
}

const (
	// triggerEvery and triggerTries are how often and how long it is looked for what a trigger starts.
	triggerEvery = 200 * time.Millisecond
	triggerTries = 50
)

// TriggerSchedule runs for a moment as if it were one of the schedule's times, and returns the workflow that does.
func (d *Desk) TriggerSchedule(ctx context.Context, of schedule.Standing, at time.Time) (Talk, error) {
	s, err := d.allSchedules()
	if err != nil {
		return Talk{}, err
	}
	at = at.UTC().Truncate(time.Second)
	t := d.Talk(schedule.RunsID(of.Pipeline, of.Environment) + "-" + at.Format(time.RFC3339))
	before, open := t.last(ctx)
	if open {
		return t, t.running(ctx)
	}
	if err := s.Trigger(ctx, of.Input, at); err != nil {
		return t, err
	}
	for range triggerTries {
		if run, _ := t.last(ctx); run != "" && run != before { // it may have ended already
			return t, nil
		}
		if err := pause(ctx, triggerEvery); err != nil {
			return t, err
		}
	}
	return t, fault.Newf(fault.Ambiguous, "trigger", schedule.ID(of.Pipeline, of.Environment), "look whether it has begun: drawbridge status "+t.ID, "Temporal has taken the trigger, and has not started it yet")
}

// last is the newest run of the workflow, and whether it is open; empty where there is none, or the server does not say.
func (t Talk) last(ctx context.Context) (run string, open bool) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	d, err := t.client.DescribeWorkflowExecution(ctx, t.ID, "")
	if err != nil {
		return "", false
	}
	info := d.GetWorkflowExecutionInfo()
	return info.GetExecution().GetRunId(), info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
}
