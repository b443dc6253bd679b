package main

import (
	"context"
	"fmt"
	"io"

	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/temporalx"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// follow shows a workflow until it ends or asks, and returns the exit code as an error. The story begins after the event
// that was told last; nil is its beginning.
func (a *app) follow(ctx context.Context, t dispatch.Talk, environments []string, p dispatch.Patience, told *workflows.Event) error {
	tells := a.teller(told)
	tells.story.ID, tells.story.Through = t.ID, p == dispatch.UntilDone
	s, err := a.deskOf(tells).Follow(ctx, t, environments, p)
	if dispatch.Interrupted(ctx, err) {
		a.say(func(s console.Screen) string { return s.Left(t.ID) })
		return exitInterrupt.err()
	}
	if err != nil {
		return brokenOffError{id: t.ID, error: err}
	}
	v := view.View{ID: t.ID, Status: s}
	if err := a.answer(v, func(s console.Screen) string { return s.Ending(v) }); err != nil {
		return err
	}
	return exitOf(s).err()
}

// followUnless follows what was started in an environment, or says that it has started.
func (a *app) followUnless(ctx context.Context, detach bool, t dispatch.Talk, env string) error {
	if !detach {
		return a.follow(ctx, t, []string{env}, dispatch.UntilAsked, nil)
	}
	return a.detached(ctx, t, []string{env}, "")
}

// detached says that a workflow has started, and which of its workers are missing.
func (a *app) detached(ctx context.Context, t dispatch.Talk, environments []string, digest string) error {
	if missing := a.deskOf(a.teller(nil)).Missing(ctx, environments); len(missing) > 0 {
		a.sayMissing(missing)
	}
	started := console.Started{ID: t.ID, Run: t.Run, Plan: digest}
	return a.answer(started, func(s console.Screen) string { return s.Started(started) })
}

// teller writes what a desk tells. With --json the story goes to stderr, since stdout is for the answer.
type teller struct {
	app   *app
	out   io.Writer
	story console.Story
}

// teller tells a story that begins after an event, or, for nil, at its beginning.
func (a *app) teller(told *workflows.Event) *teller {
	t := &teller{app: a, out: a.Stdout}
	if a.json {
		t.out = a.Stderr
	}
	t.story.Told = told
	return t
}

func (t *teller) Status(s workflows.Status, retries []view.Retry) {
	t.story.Screen, t.story.Live = t.app.screen(t.out) // a terminal may be resized
	fmt.Fprint(t.out, t.story.Status(s, retries))
}

func (t *teller) Workers(missing []dispatch.Queue) {
	t.End()
	if len(missing) == 0 {
		t.app.say(console.Screen.Back)
		return
	}
	t.app.sayMissing(missing)
}

func (t *teller) End() { fmt.Fprint(t.out, t.story.End()) }

func (t *teller) Unregistered() {
	t.app.say(func(s console.Screen) string { return s.Unregistered(temporalx.RegisterLine(workflows.Attributes())) })
}

// preview is a question like any other: it changes nothing, and ends soon whatever died. command carries out what it shows.
func (a *app) preview(ctx context.Context, desk *dispatch.Desk, kind string, o dispatch.Order, command string) error {
	s, err := dispatch.Ask[workflows.Status](ctx, desk, kind, o)
	if err != nil {
		return err
	}
	desk.Listener.Status(s, nil)
	v := view.View{ID: o.ID, Status: s}
	if err := a.answer(v, func(x console.Screen) string { return x.Preview(v, command) }); err != nil {
		return err
	}
	return exitOf(s).err()
}
