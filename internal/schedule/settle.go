package schedule

import (
	"fmt"
	"strings"
	"time"
)

// Pause is why a schedule starts nothing for now.
type Pause struct {
	// TurnBack is the workflow that turns back meanwhile; empty: a person has paused it.
	TurnBack string    `json:"turn_back,omitempty"`
	By       string    `json:"by,omitempty"`
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"since,omitzero"`
}

// Temporal keeps of a pause one line of text, which people read too.
const (
	turnBackNote = "for the turn-back "
	personNote   = "by "
	sinceNote    = " since "
)

// Note is the line that is kept of a pause.
func (p Pause) Note() string {
	since := sinceNote + p.Since.UTC().Format(time.RFC3339)
	if p.TurnBack != "" {
		return turnBackNote + p.TurnBack + since
	}
	note := personNote + strings.ReplaceAll(p.By, sinceNote, " ") + since
	if p.Reason != "" {
		note += ": " + p.Reason
	}
	return note
}

// PauseOf reads a note. What somebody has written by other means is a person's pause.
func PauseOf(note string) Pause {
	for _, begin := range []string{turnBackNote, personNote} {
		rest, ok := strings.CutPrefix(note, begin)
		who, rest, ok2 := strings.Cut(rest, sinceNote)
		if !ok || !ok2 {
			continue
		}
		text, reason, _ := strings.Cut(rest, ": ")
		since, err := time.Parse(time.RFC3339, text)
		switch {
		case err != nil:
		case begin == turnBackNote:
			return Pause{TurnBack: who, Since: since}
		default:
			return Pause{By: who, Reason: reason, Since: since}
		}
	}
	return Pause{By: "somebody", Reason: note}
}

// String says who has paused it, and why.
func (p Pause) String() string {
	if p.TurnBack != "" {
		return p.TurnBack + " turns back"
	}
	text := "paused by " + p.By
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

// Applied is a schedule as Temporal has it.
type Applied struct {
	Input
	Pause *Pause `json:"pause,omitempty"`
	// Token is by what it is known whether somebody has changed it since it was read; empty: there was none.
	Token string `json:"-"`
}

// Standing is a schedule with what it does.
type Standing struct {
	Applied
	// Next are the times to come; Running are the workflows that run for it, and Waiting is how many times wait for their turn.
	Next    []time.Time `json:"next,omitempty"`
	Running []string    `json:"running,omitempty"`
	Waiting int         `json:"waiting,omitempty"`
	// Last is the workflow that was started last, for the time LastFor.
	Last    string    `json:"last,omitempty"`
	LastFor time.Time `json:"last_for,omitzero"`
	// Created is when it was made: what it counts is since then.
	Created time.Time `json:"created,omitzero"`
	// Missed is how many times have passed that were too late to be made up, Skipped how many an open run has left out.
	Missed  int `json:"missed,omitempty"`
	Skipped int `json:"skipped,omitempty"`
}

// Step is what is to be done about a schedule: nothing, to remove it, or to make it what Put says.
type Step struct {
	Remove bool
	Put    *Applied
	// MakeUp is since when times have passed that are made up before Put, so that a turn-back costs none; zero: none have.
	MakeUp time.Time
	// Said is what happens, for people.
	Said string
}

// None says that all is as it should be.
func (s Step) None() bool { return !s.Remove && s.Put == nil }

// Settle decides what is to be done about a schedule, from what is active (nil: nothing, or a release that has none), who turns back
// (empty: nobody), and how it stands (nil: there is none). Done again after it was done, it is nothing.
//
// A turn-back pauses it, and what a turn-back has paused goes on when none is open. What a person has paused stays so.
func Settle(active *Input, turnBack string, have *Applied, now time.Time) Step {
	switch {
	case active == nil && have == nil:
		return Step{}
	case active == nil:
		return Step{Remove: true, Said: "the schedule " + have.Schedule.When(have.Scheme) + " is removed: what is active has none"}
	}
	want := Applied{Input: *active}
	var said []string
	switch {
	case have == nil || have.Schedule != active.Schedule || have.Scheme != active.Scheme:
		said = append(said, "the schedule is "+active.Schedule.Words(active.Scheme))
	case have.Release != active.Release:
		said = append(said, "the schedule "+active.Schedule.When(active.Scheme)+" runs "+active.Release.String())
	}
	var makeUp time.Time
	var paused *Pause
	if have != nil {
		paused, want.Token = have.Pause, have.Token
	}
	switch {
	case paused == nil && turnBack != "":
		want.Pause = &Pause{TurnBack: turnBack, Since: now.UTC().Truncate(time.Second)}
		said = append(said, "the schedule is paused until "+turnBack+" has ended")
	case paused == nil:
	case paused.TurnBack != "" && turnBack == "":
		makeUp = paused.Since
		if earliest := now.Add(-active.Schedule.Catchup); makeUp.Before(earliest) {
			makeUp = earliest
		}
		text := "the schedule goes on"
		if times, err := active.Schedule.Times(active.Scheme); err == nil {
			switch n := times.Between(makeUp, now); n {
			case 0:
				makeUp = time.Time{}
			case 1:
				text += "; 1 time that has passed meanwhile is made up"
			default:
				text += fmt.Sprintf("; %d times that have passed meanwhile are made up", n)
			}
		}
		said = append(said, text)
	default:
		want.Pause = paused
		if len(said) > 0 && paused.TurnBack == "" {
			said = append(said, "it stays "+paused.String())
		}
	}
	if have != nil && have.Input == want.Input && same(have.Pause, want.Pause) {
		return Step{}
	}
	return Step{Put: &want, MakeUp: makeUp, Said: strings.Join(said, "; ")}
}

func same(a, b *Pause) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}
