package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"

	"github.com/charmbracelet/x/term"
	"go.temporal.io/sdk/client"

	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/store"
	"drawbridge/internal/temporalx"
)

// app is one invocation: the flags that every command has, and the connections that they lead to, made when first used.
type app struct {
	*Main
	json     bool
	storeRef string
	as       string

	connected client.Client
	opened    *store.Store
}

// close ends the connection to Temporal, if there is one.
func (a *app) close() {
	if a.connected != nil {
		a.connected.Close()
	}
}

// desk connects to Temporal once.
func (a *app) desk(ctx context.Context) (*dispatch.Desk, error) {
	if a.connected == nil {
		stack, _, err := a.stack()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		by, err := a.by()
		if err != nil {
			return nil, err
		}
		a.connected, err = a.Dial(ctx, temporalx.Options{Address: stack.TemporalAddress, Identity: "drawbridge/" + by})
		if err != nil {
			return nil, err
		}
	}
	return a.deskOf(a.teller(nil)), nil
}

// deskOf is the desk of the connection; what it has to tell it tells the teller.
func (a *app) deskOf(t *teller) *dispatch.Desk {
	return &dispatch.Desk{Client: a.connected, Now: a.Now, Listener: t}
}

// store opens the artifact store. Worker and CLI must use the same one: they hand each other digests.
func (a *app) store() (*store.Store, error) {
	if a.opened != nil {
		return a.opened, nil
	}
	var err error
	a.opened, err = store.OpenStore(a.storeReference())
	return a.opened, err
}

func (a *app) storeReference() string {
	if a.storeRef != "" {
		return a.storeRef
	}
	if ref := a.Env("DRAWBRIDGE_STORE"); ref != "" {
		return ref
	}
	if _, dir, err := a.stack(); err == nil {
		return filepath.Join(dir, "store")
	}
	return filepath.Join(a.Dir, store.DefaultStore)
}

// by is who asks: --as, DRAWBRIDGE_USER, or the user of the operating system.
func (a *app) by() (string, error) {
	if a.as != "" {
		return a.as, nil
	}
	if name := a.Env("DRAWBRIDGE_USER"); name != "" {
		return name, nil
	}
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return "", fault.New(fault.Invalid, "find out", "who you are", "say it: --as NAME, or export DRAWBRIDGE_USER=NAME", err)
	}
	return u.Username, nil
}

// screen is how text is shown on w. The second value says that w is a terminal that can move its cursor.
func (m *Main) screen(w io.Writer) (console.Screen, bool) {
	s := console.Screen{Now: m.Now()}
	width, ok := m.Terminal(w)
	if !ok || m.Env("TERM") == "dumb" {
		return s, false
	}
	s.Width, s.Colour = width, m.Env("NO_COLOR") == ""
	return s, true
}

// terminalOf says whether w is a terminal, and how many columns it has; 0 where it does not say.
func terminalOf(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(f.Fd()) {
		return 0, false
	}
	width, _, err := term.GetSize(f.Fd())
	if err != nil {
		return 0, true
	}
	return width, true
}

// answer writes what a command was asked for: as JSON for programs, or as a screen.
func (a *app) answer(value any, show func(console.Screen) string) error {
	if !a.json {
		a.write(a.Stdout, show)
		return nil
	}
	text, err := console.JSON(value)
	if err == nil {
		fmt.Fprint(a.Stdout, text)
	}
	return err
}

// say writes what is worth knowing beside the answer.
func (m *Main) say(show func(console.Screen) string) { m.write(m.Stderr, show) }

func (m *Main) write(w io.Writer, show func(console.Screen) string) {
	s, _ := m.screen(w)
	fmt.Fprint(w, show(s))
}

// sayMissing says where no worker answers: none polls, or the one that polled last does not answer.
func (m *Main) sayMissing(missing []dispatch.Queue) {
	m.say(func(s console.Screen) string { return s.Missing(dispatch.Names(missing), dispatch.StartLines(missing)) })
}
