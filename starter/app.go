package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"

	"go.temporal.io/sdk/client"

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

// temporal connects once.
func (a *app) temporal(ctx context.Context) (client.Client, error) {
	if a.connected != nil {
		return a.connected, nil
	}
	stack, _, err := a.stack()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	by, err := a.by()
	if err != nil {
		return nil, err
	}
	a.connected, err = a.Dial(ctx, temporalx.Options{Address: stack.TemporalAddress, Identity: "drawbridge/" + by})
	return a.connected, err
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

// print writes a value as JSON, for programs.
func (a *app) print(value any) error {
	e := json.NewEncoder(a.Stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return nil
}

// next writes the last line of a screen: the command to type now.
func (a *app) next(commands ...string) {
	for i, c := range commands {
		label := "Next:"
		if i > 0 {
			label = "     "
		}
		fmt.Fprintf(a.Stdout, "%s %s\n", label, c)
	}
}
