package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/notice"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
	"drawbridge/internal/schedule"
)

// Schedules are an environment's schedules, as Temporal has them.
type Schedules interface {
	// Find reads a pipeline's, with what it does; nil: it has none.
	Find(ctx context.Context, pipeline string) (*schedule.Standing, error)
	// Put makes a pipeline's schedule what is wanted, unless somebody has changed it since it was read: then it stays as that one
	// made it, and the next look shows it.
	Put(ctx context.Context, want schedule.Applied) error
	// Remove takes a pipeline's away. Twice is once.
	Remove(ctx context.Context, pipeline string) error
	// MakeUp runs for the times after one moment and up to another.
	MakeUp(ctx context.Context, in schedule.Input, after, to time.Time) error
}

// settleRounds is how often a schedule is brought up to what is active before somebody else's turn comes: others may change both
// meanwhile.
const settleRounds = 10

// settleSchedule brings a pipeline's schedule up to the ledger: it is that of the release that is active, there is none where that has
// none, and it is paused while a turn-back is open. It says what it did. It looks again after each change, so that of two who settle
// at the same time the last one leaves what the ledger says; done again it does nothing.
func (s *Site) settleSchedule(ctx context.Context, w Warehouse, pipelineName string, now time.Time) (string, error) {
	if s.Schedules == nil {
		return "", nil
	}
	var said []string
	for range settleRounds {
		active, turnBack, err := s.wanted(ctx, w, pipelineName)
		if err != nil {
			return "", err
		}
		found, err := s.Schedules.Find(ctx, pipelineName)
		if err != nil {
			return "", err
		}
		var have *schedule.Applied
		if found != nil {
			have = &found.Applied
		}
		step := schedule.Settle(active, turnBack, have, now)
		if step.None() {
			return strings.Join(said, "; "), nil
		}
		if !step.MakeUp.IsZero() {
			err = s.Schedules.MakeUp(ctx, step.Put.Input, step.MakeUp, now)
		}
		switch {
		case err != nil:
		case step.Remove:
			err = s.Schedules.Remove(ctx, pipelineName)
		default:
			err = s.Schedules.Put(ctx, *step.Put)
		}
		if err != nil {
			return "", err
		}
		if len(said) == 0 || said[len(said)-1] != step.Said {
			said = append(said, step.Said)
		}
	}
	return "", fmt.Errorf("apply the schedule of %s in %s: others change it again and again", pipelineName, s.Environment)
}

// wanted is the schedule of what is active, and who turns back, by the ledger.
func (s *Site) wanted(ctx context.Context, w Warehouse, pipelineName string) (*schedule.Input, string, error) {
	standing, err := w.Standing(ctx)
	if err != nil {
		return nil, "", err
	}
	turnBack := ""
	for _, p := range standing.Pipelines {
		if p.Name == pipelineName {
			turnBack = p.TurnBack
		}
	}
	active, err := w.Active(ctx, pipelineName)
	if err != nil || active.None() {
		return nil, turnBack, err
	}
	p, err := s.read(ctx, active.Release, active.Config)
	if err != nil || p.Config.Schedule == nil {
		return nil, turnBack, err
	}
	called := active.Release
	if err := s.renamed(ctx, pipelineName, &called.Version); err != nil {
		return nil, turnBack, err
	}
	return &schedule.Input{Pipeline: pipelineName, Environment: s.Environment, Release: called, Schedule: *p.Config.Schedule, Scheme: p.Partition}, turnBack, nil
}

// reschedule is settleSchedule for whoever has changed what is active, or turns back. What no retry mends is said, and keeps nobody from
// what they do: housekeeping tries again.
func (s *Site) reschedule(ctx context.Context, w Warehouse, pipelineName string) (string, error) {
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	said, err := s.settleSchedule(ctx, w, pipelineName, time.Now())
	if fault.ClassOf(err) == "" {
		return said, err
	}
	return "the schedule could not be changed: " + fault.Bound(err.Error()), nil
}

// tellMissed has people told of the times of a pipeline's schedule for which nothing was ever started: no workflow is there that could
// say so. Each is told once.
func (s *Site) tellMissed(ctx context.Context, w Warehouse, p *pipeline.Pipeline, pipelineName string, owner effect.Owner, now time.Time) error {
	found, err := s.Schedules.Find(ctx, pipelineName)
	if err != nil || found == nil {
		return err
	}
	told, err := w.ToldMissed(ctx, pipelineName, found.Created)
	if err != nil || found.Missed <= told {
		return err
	}
	id := schedule.ID(pipelineName, s.Environment)
	n := fmt.Sprintf("%d of its times have", found.Missed-told)
	if found.Missed-told == 1 {
		n = "one of its times has"
	}
	if err := s.owe(ctx, w, p, owner, notice.Event{
		ID: fmt.Sprintf("%s/%d/%d", pipelineName, found.Created.Unix(), found.Missed), Kind: notice.ScheduleMissed, At: now, By: id,
		What:     fmt.Sprintf("%s has started nothing: %s passed", id, n),
		Why:      "Temporal was away for longer than " + schedule.Short(found.Schedule.Catchup) + " (catchup)",
		Commands: []string{fmt.Sprintf("drawbridge gaps %s --env %s", pipelineName, s.Environment), "drawbridge schedule list"},
	}); err != nil {
		return err
	}
	return w.TellMissed(ctx, pipelineName, found.Created, found.Missed)
}

// Scheduling are the activities of a scheduled run. They read only.
type Scheduling struct {
	Site *Site
}

// DueInput asks what is due at a time of a pipeline's schedule. The target names the pipeline, and no release: what is active runs.
type DueInput struct {
	Target Target    `json:"target"`
	At     time.Time `json:"at"`
}

// Due is what a scheduled run has to do.
type Due struct {
	// Release and Config are what is active, and Key the partition that is due; Before are those that are run again, oldest first.
	Release release.Release `json:"release"`
	Config  string          `json:"config,omitempty"`
	Tenure  int64           `json:"tenure,omitempty"`
	Key     partition.Key   `json:"key,omitempty"`
	Before  []partition.Key `json:"before,omitempty"`
	// WaitFor is how long after its time the run waits for files.
	WaitFor time.Duration `json:"wait_for,omitempty"`
	// Nothing is why nothing is due.
	Nothing string `json:"nothing,omitempty"`
	// TurnBack is who turns back now: until that has ended nothing can run.
	TurnBack string `json:"turn_back,omitempty"`
	// Tells says that the environment's policy has somebody told what happens there.
	Tells bool `json:"tells,omitempty"`
}

// Due says what is due at a time, by what is active now. It may be repeated.
func (a *Scheduling) Due(ctx context.Context, in DueInput) (Due, error) {
	if err := a.Site.calls(ctx, in.Target.Owner); err != nil {
		return Due{}, err
	}
	target, _, w, err := a.Site.locate(ctx, in.Target)
	if err != nil {
		return Due{}, err
	}
	active, turnBack, err := a.Site.wanted(ctx, w, target.Release.Pipeline)
	if err != nil {
		return Due{}, err
	}
	out := Due{TurnBack: turnBack, Tells: a.Site.Policy.Notify.Tells()}
	if active == nil {
		out.Nothing = "no release is active, or the one that is has no schedule"
		return out, nil
	}
	tenure, err := w.Active(ctx, target.Release.Pipeline)
	if err != nil {
		return Due{}, err
	}
	if tenure.Release.Digest != active.Release.Digest {
		return Due{}, errors.New("another release became active just now") // the next attempt sees one
	}
	out.Release, out.Config, out.Tenure, out.WaitFor = active.Release, tenure.Config, tenure.Number, active.Schedule.WaitFor
	out.Key, out.Before, err = active.Schedule.Keys(active.Scheme, in.At)
	return out, err
}

// MissingInput asks for the load files of a partition that are not there.
type MissingInput struct {
	Target    Target        `json:"target"`
	Partition partition.Key `json:"partition"`
}

// Missing are load files that are not there: how many, and the first of them.
type Missing struct {
	Count int      `json:"count"`
	Files []string `json:"files,omitempty"`
}

// mostMissing bounds how many files an answer names.
const mostMissing = 8

// Missing looks for the load files of a partition. It may be repeated.
func (a *Scheduling) Missing(ctx context.Context, in MissingInput) (Missing, error) {
	p, err := a.Site.Pipeline(ctx, in.Target)
	if err != nil {
		return Missing{}, err
	}
	files, err := a.Site.Sources.Missing(p.Config, p, in.Partition)
	return Missing{Count: len(files), Files: files[:min(len(files), mostMissing)]}, err
}

// scheduleOf is when what is active runs by itself, in words; empty: never. What cannot be read any more says nothing.
func (s *Site) scheduleOf(ctx context.Context, w Warehouse, p *pipeline.Pipeline) (string, error) {
	active, err := w.Active(ctx, p.Name)
	if err != nil || active.None() {
		return "", err
	}
	was, err := s.read(ctx, active.Release, active.Config)
	if fault.ClassOf(err) != "" {
		return "unknown: " + fault.Bound(err.Error()), nil
	}
	if err != nil || was.Config.Schedule == nil {
		return "", err
	}
	return was.Config.Schedule.Words(was.Partition), nil
}
