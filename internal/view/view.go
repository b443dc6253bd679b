// Package view is a workflow as people look at it: what it says of itself, and what only the server knows of it.
package view

import (
	"time"

	"drawbridge/workflows"
)

// View is a workflow as status shows it.
type View struct {
	ID string `json:"id"`
	workflows.Status
	Started *time.Time `json:"started,omitempty"`
	Ended   *time.Time `json:"ended,omitempty"`
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
