package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/workflows"
)

const (
	// followEvery is how often a followed workflow is asked: often enough to look live, seldom enough for a query.
	followEvery = 700 * time.Millisecond
	// lookEvery is how often it is looked whether the workers are there.
	lookEvery = 5 * time.Second
)

// patience says what following does when a person has to decide.
type patience string

// Following ends at an open gate, so that CI goes on, or it waits.
const (
	untilAsked patience = "until_asked"
	untilDone  patience = "until_done"
)

// follower watches a workflow until it ends, or until a person has to decide. It only reads.
type follower struct {
	talk     conversation
	patience patience
	// missing returns the queues that no worker polls now.
	missing func(ctx context.Context) []queue
	screen  storyteller
	every   time.Duration
	look    time.Duration
}

// storyteller shows what a follower sees.
type storyteller interface {
	// status shows what is new since the last call.
	status(s workflows.Status)
	// workers is called when the queues that no worker polls have changed.
	workers(missing []queue)
	// end clears what is shown only while following.
	end()
}

// follow returns the last status. The error is the context's where following was interrupted.
func (f follower) follow(ctx context.Context) (workflows.Status, error) {
	defer f.screen.end()
	type ending struct {
		status workflows.Status
		err    error
	}
	ended := make(chan ending, 1)
	waitCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		s, err := f.talk.Result(waitCtx)
		ended <- ending{s, err}
	}()
	poll, look := time.NewTicker(f.every), time.NewTicker(f.look)
	defer poll.Stop()
	defer look.Stop()
	workers := attendance{screen: f.screen}
	workers.look(f.missing(ctx))
	for {
		select {
		case <-ctx.Done():
			return workflows.Status{}, context.Cause(ctx)
		case e := <-ended:
			if ctx.Err() != nil { // the result was not waited for
				return workflows.Status{}, context.Cause(ctx)
			}
			if e.err == nil {
				f.screen.status(e.status)
			}
			return e.status, e.err
		case <-look.C:
			workers.look(f.missing(ctx))
		case <-poll.C:
			s, err := f.talk.Status(ctx)
			switch {
			case ctx.Err() != nil: // the next turn says so
			case err == nil:
				workers.heard()
				f.screen.status(s)
				if _, open := s.Open(); open && f.patience == untilAsked && s.Stage == workflows.StageWaiting {
					return s, nil
				}
			case silent(err):
				workers.silence()
			case fault.ClassOf(err) == "": // a workflow that has just ended is not found; its result comes
				return workflows.Status{}, fmt.Errorf("ask for the status: %w", err)
			}
		}
	}
}

// attendance tells of workers that go and come, each change once.
type attendance struct {
	screen  storyteller
	missing []queue // at the last look
	mute    bool    // the workflows' worker does not answer, though a poll of it may still be on the books
	said    string
}

// look notes which queues no worker polls.
func (a *attendance) look(missing []queue) {
	a.missing = missing
	a.tell()
}

// heard notes that the workflows' worker answered, silence that it did not.
func (a *attendance) heard() { a.mute = false; a.tell() }

func (a *attendance) silence() { a.mute = true; a.tell() }

func (a *attendance) tell() {
	missing := a.missing
	if a.mute && (len(missing) == 0 || missing[0].environment != "") {
		missing = append(queues(nil), missing...)
	}
	if text := queueNames(missing); text != a.said {
		a.said = text
		a.screen.workers(missing)
	}
}

// interrupted says whether following ended because the person at the terminal wanted it.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && errors.Is(err, context.Canceled)
}
