package workflows

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/schedule"
	"drawbridge/workflows/conduct"
)

// Scheduled runs what is due at a time of a pipeline's schedule, with the release that is active in the environment.
//
//	planning → crossing (a Run for each partition) → done | refused (files that did not come, or runs that were refused)
//
// It promises: which partitions are due follows from the time that was meant, however late it begins; a file that is not there is
// waited for, by timers alone, and named when the wait is over; each run is one like a person's, and meets deployments, turn-backs,
// backfills and holds as that does; where another release becomes active meanwhile, that one runs.
func Scheduled(ctx workflow.Context, in schedule.Input) (Status, error) {
	by := schedule.ID(in.Pipeline, in.Environment)
	head := conduct.Header{Kind: "scheduled", Pipeline: in.Pipeline, Release: in.Release, By: by, Stage: StagePlanning, Environment: in.Environment}
	c, err := conduct.Open(ctx, head, plain{}, Takes(ScheduledName)...)
	if err != nil {
		return Status{}, err
	}
	s := &scheduled{Conductor: c, in: in, by: by, at: meant(ctx)}
	err = c.Run(ctx, "run "+in.Pipeline+" by its schedule", s.run, conduct.Nothing)
	return Status{Header: c.Header()}, err
}

// meant is the time of the schedule for which a workflow runs.
func meant(ctx workflow.Context) time.Time {
	if at, ok := workflow.GetTypedSearchAttributes(ctx).GetTime(temporal.NewSearchAttributeKeyTime("TemporalScheduledStartTime")); ok {
		return at
	}
	return workflow.Now(ctx)
}

type scheduled struct {
	*conduct.Conductor
	in schedule.Input
	by string
	at time.Time

	done    []string // partitions that are live
	without []string // partitions before the one that is due that were left out: their files are not there
	failed  []string // partitions, each with why
}

func (s *scheduled) scope(step string) conduct.Scope {
	return conduct.Scope{Environment: s.in.Environment, Step: step}
}

func (s *scheduled) run(ctx workflow.Context) error {
	due, err := s.due(ctx)
	if err != nil {
		return err
	}
	if due.Nothing != "" {
		s.Finish(ctx, StageDone, s.scope(""), "nothing is due at "+s.time()+": "+due.Nothing)
		return nil
	}
	for _, key := range due.Before {
		if err := s.before(ctx, due, key); err != nil {
			return err
		}
	}
	if err := s.wait(ctx, due); err != nil {
		return err
	}
	if err := s.build(ctx, due.Key); err != nil {
		return err
	}
	if len(s.failed) > 0 {
		return fault.Newf(fault.Refused, "run", s.in.Pipeline+" at "+s.time(), "see why: drawbridge status; what is missing afterwards: drawbridge gaps "+s.in.Pipeline+" --env "+s.in.Environment,
			strings.Join(s.failed, "; "))
	}
	s.Finish(ctx, StageDone, s.scope(""), s.sentence())
	return nil
}

func (s *scheduled) time() string { return s.at.UTC().Format("2006-01-02 15:04 MST") }

func (s *scheduled) sentence() string {
	text := "nothing was run"
	if len(s.done) > 0 {
		text = "live: " + strings.Join(s.done, ", ")
	}
	if len(s.without) > 0 {
		text += "; left out, as there are no files: " + strings.Join(s.without, ", ")
	}
	return text
}

// due asks what is due, by what is active now. While something is turned back it waits: nothing else may run.
func (s *scheduled) due(ctx workflow.Context) (activities.Due, error) {
	target := activities.Target{Environment: s.in.Environment, Owner: owner(ctx)}
	target.Release.Pipeline = s.in.Pipeline
	for wait := (holding{}); ; {
		due, err := Due.Do(ctx, s.Conductor, s.scope("due"), "what is due", activities.DueInput{Target: target, At: s.at})
		if err != nil {
			return due, err
		}
		if due.Tells {
			s.listen(target, due)
		}
		if due.TurnBack == "" {
			if due.Nothing == "" {
				s.About(due.Release, "")
			}
			return due, nil
		}
		if err := wait.out(ctx, s.Conductor, s.scope("due"), due.TurnBack+" turns back"); err != nil {
			return due, err
		}
	}
}

// listen has people told how it ends, about what is active.
func (s *scheduled) listen(target activities.Target, due activities.Due) {
	if due.Release.Digest != "" {
		target.Release, target.Config = due.Release, due.Config
	}
	s.Listen(target)
}

// before runs a partition before the one that is due. Where its files are not there it is left out: that is for gaps to say, and not
// for every run.
func (s *scheduled) before(ctx workflow.Context, due activities.Due, key partition.Key) error {
	missing, err := s.missing(ctx, due, key)
	if err != nil {
		return err
	}
	if missing.Count > 0 {
		s.without = append(s.without, string(key))
		s.Tell(ctx, s.scope("wait"), fmt.Sprintf("%s is left out: %s", key, notThere(missing)))
		return nil
	}
	return s.build(ctx, key)
}

func (s *scheduled) missing(ctx workflow.Context, due activities.Due, key partition.Key) (activities.Missing, error) {
	in := activities.MissingInput{Partition: key, Target: activities.Target{
		Environment: s.in.Environment, Release: due.Release, Config: due.Config, Owner: owner(ctx),
	}}
	return MissingFiles.Do(ctx, s.Conductor, s.scope("wait"), "look for the files of "+string(key), in)
}

const (
	// firstLook and rarestLook bound how often files are looked for; looks is about how often in all, which bounds the history.
	firstLook  = 15 * time.Second
	rarestLook = time.Minute
	looks      = 250
)

// wait waits for the files of the partition that is due. The release that is active then may want others than the one at the start.
func (s *scheduled) wait(ctx workflow.Context, due activities.Due) error {
	for pause, first := firstLook, true; ; first = false {
		missing, err := s.missing(ctx, due, due.Key)
		if err != nil || missing.Count == 0 {
			return err
		}
		end := s.at.Add(due.WaitFor)
		left := end.Sub(workflow.Now(ctx))
		if left <= 0 {
			return fault.Newf(fault.Refused, "run", string(due.Key), fmt.Sprintf("put it there, then: drawbridge run %s --env %s --partition %s", s.in.Pipeline, s.in.Environment, due.Key),
				fmt.Sprintf("%s, %s after %s", notThere(missing), schedule.Short(due.WaitFor), s.time()))
		}
		if first {
			s.At(ctx, StageCrossing, s.scope("wait"), fmt.Sprintf("waits until %s: %s", end.UTC().Format("2006-01-02 15:04 MST"), notThere(missing)))
		}
		if err := workflow.NewTimerWithOptions(ctx, min(pause, left), workflow.TimerOptions{Summary: "wait for " + missing.Files[0]}).Get(ctx, nil); err != nil {
			return err
		}
		pause = min(2*pause, max(rarestLook, due.WaitFor/looks))
		if due, err = s.due(ctx); err != nil {
			return err
		}
		if due.Nothing != "" {
			return fault.Newf(fault.Conflict, "run", s.in.Pipeline, "see what is active: drawbridge history "+s.in.Pipeline+" --env "+s.in.Environment, due.Nothing)
		}
	}
}

// notThere names files that are missing.
func notThere(m activities.Missing) string {
	text := strings.Join(m.Files, ", ")
	if more := m.Count - len(m.Files); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if m.Count == 1 {
		return text + " is not there"
	}
	return text + " are not there"
}

// buildRounds is how often a partition is run again because another release became active meanwhile, or something was turned back.
const buildRounds = 5

// build runs a partition, with what is active. One that fails is named, and stops no other.
func (s *scheduled) build(ctx workflow.Context, key partition.Key) error {
	why := ""
	for range buildRounds {
		due, err := s.due(ctx)
		if err != nil {
			return err
		}
		if due.Nothing != "" {
			why = due.Nothing
			break
		}
		if why, err = s.child(ctx, due, key); err != nil {
			return err
		}
		if why == "" {
			s.done = append(s.done, string(key))
			return nil
		}
		now, err := s.due(ctx)
		if err != nil {
			return err
		}
		if now.Tenure == due.Tenure {
			break
		}
		s.Tell(ctx, s.scope("run"), fmt.Sprintf("%s: %s: %s is active now, and runs it again", key, why, now.Release))
	}
	s.failed = append(s.failed, fmt.Sprintf("%s: %s", key, why))
	s.Tell(ctx, s.scope("run"), fmt.Sprintf("%s failed: %s", key, why))
	return nil
}

// openWait is how long a run of the same partition that is open is waited for at least; wait_for may be longer.
const openWait = time.Hour

// child runs a partition once, as a workflow of its own. It returns why that did not end as done. One that runs already is waited for:
// it may have begun before the files were there.
func (s *scheduled) child(ctx workflow.Context, due activities.Due, key partition.Key) (why string, err error) {
	id := RunID(s.in.Pipeline, s.in.Environment, key)
	s.At(ctx, StageCrossing, s.scope("run"), fmt.Sprintf("running %s with %s", key, due.Release.Version))
	end := workflow.Now(ctx).Add(max(openWait, due.WaitFor))
	for wait := (holding{}); ; {
		started := s.Child(ctx, conduct.Child{ID: id, Summary: fmt.Sprintf("run %s of %s in %s, by its schedule", key, due.Release, s.in.Environment), Header: conduct.Header{
			Pipeline: s.in.Pipeline, Release: due.Release, Environment: s.in.Environment, By: s.by,
		}})
		var ended Status
		err := workflow.ExecuteChildWorkflow(started, RunName, RunInput{
			Pipeline: s.in.Pipeline, Release: due.Release, Environment: s.in.Environment, Config: due.Config, Partition: key, By: s.by,
		}).Get(ctx, &ended)
		_, open := errors.AsType[*temporal.ChildWorkflowExecutionAlreadyStartedError](err)
		switch {
		case err == nil && ended.Stage == StageDone:
			return "", nil
		case err == nil:
			return fmt.Sprintf("%s is %s: %s", id, ended.Stage, ended.Sentence), nil
		case ctx.Err() != nil:
			return "", err
		case !open:
			return id + " has failed: " + conduct.Reason(err), nil
		case !workflow.Now(ctx).Before(end):
			return id + " was open all the time, and is open still", nil
		}
		if err := wait.out(ctx, s.Conductor, s.scope("run"), id+" is open already"); err != nil {
			return "", err
		}
	}
}

// tellSchedule says what became of a pipeline's schedule, where something did.
func tellSchedule(ctx workflow.Context, c *conduct.Conductor, at conduct.Scope, text string) {
	if text != "" {
		c.Tell(ctx, at, text)
	}
}
