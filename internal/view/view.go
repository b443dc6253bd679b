// Package view is a workflow as people look at it: what it says of itself, and what only the server knows of it.
package view

import (
	"time"

	"drawbridge/internal/schedule"
	"drawbridge/workflows"
)

// View is a workflow as status shows it.
type View struct {
	ID string `json:"id"`
	workflows.Status
	Started *time.Time `json:"started,omitempty"`
	Ended   *time.Time `json:"ended,omitempty"`
	// Schedule is set where this is no workflow, but what starts some by itself.
	Schedule *schedule.Standing `json:"schedule,omitempty"`
	// Retries are the activities that failed and are tried again now.
	Retries []Retry `json:"retries,omitempty"`
}

// Retry is an activity that failed and is tried again.
type Retry struct {
	Activity string `json:"activity"`
	Attempt  int    `json:"attempt"`
	// Attempts is how many there are at most; 0 is no bound.
	Attempts int        `json:"attempts,omitempty"`
	Next     *time.Time `json:"next,omitempty"` // when the attempt begins; nil where it runs
	Error    string     `json:"error"`          // of the last attempt, shortened
}

// Abandoned is the stage of a workflow that was ended from outside before it was finished. No workflow reports it: it is
// what the server says when the workflow cannot speak any more.
const Abandoned workflows.Stage = "abandoned"

// Scheduled is the stage of a schedule that nobody has paused.
const Scheduled workflows.Stage = "scheduled"

// OfSchedule is a schedule as status shows it.
func OfSchedule(x schedule.Standing) View {
	v := View{ID: schedule.ID(x.Pipeline, x.Environment), Schedule: &x}
	v.Kind, v.Pipeline, v.Environment, v.Release, v.Stage = "schedule", x.Pipeline, x.Environment, x.Release, Scheduled
	v.Sentence = "runs " + x.Release.Version + " at " + x.Schedule.When(x.Scheme)
	if x.Pause != nil {
		v.Stage, v.Sentence = workflows.StagePaused, v.Sentence+"; "+x.Pause.String()
	}
	return v
}

// Over says that a workflow takes no decision any more.
func Over(stage workflows.Stage) bool { return stage.Finished() || stage == Abandoned }

// The kinds of workflow that their screens and exit codes tell apart.
const (
	Deployment = "deployment"
	Recovery   = "recovery"
)

// Title is what a workflow is about: shop@1.1.0.
func Title(s workflows.Status) string {
	if s.Release.Version == "" {
		return s.Pipeline
	}
	return s.Pipeline + "@" + s.Release.Version
}
