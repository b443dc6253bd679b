package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"drawbridge/internal/fault"
	"drawbridge/internal/temporalx"
)

var update = flag.Bool("update", false, "write the golden files")

// noon is the time of every test.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// terminal is a CLI under test: a working directory, an environment, and what it printed.
type terminal struct {
	main        *Main
	out, errOut bytes.Buffer
}

// newTerminal is a CLI in a new folder, without a Temporal.
func newTerminal(t *testing.T) *terminal {
	t.Helper()
	x := &terminal{}
	env := map[string]string{"DRAWBRIDGE_USER": "ana"}
	x.main = &Main{
		Stdout: &x.out, Stderr: &x.errOut, Dir: t.TempDir(), Now: noon,
		Env: func(name string) string { return env[name] }, Terminal: terminalOf,
		Dial: func(context.Context, temporalx.Options) (client.Client, error) {
			return nil, fault.New(fault.Invalid, "reach Temporal", "at nowhere", "start the local stack: make up", errors.New("no answer"))
		},
	}
	return x
}

// with has the CLI talk to a client.
func (x *terminal) with(c client.Client) *terminal {
	x.main.Dial = func(context.Context, temporalx.Options) (client.Client, error) { return c, nil }
	return x
}

// set sets a variable beside those that are set.
func (x *terminal) set(name, value string) *terminal {
	before := x.main.Env
	x.main.Env = func(n string) string {
		if n == name {
			return value
		}
		return before(n)
	}
	return x
}

func (x *terminal) run(t *testing.T, args ...string) int {
	t.Helper()
	x.out.Reset()
	x.errOut.Reset()
	return x.main.Run(t.Context(), args)
}

// path is a path in the working directory.
func (x *terminal) path(elements ...string) string {
	return filepath.Join(append([]string{x.main.Dir}, elements...)...)
}

// write puts a file into the working directory.
func (x *terminal) write(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(x.path(name)), 0o755))
	require.NoError(t, os.WriteFile(x.path(name), []byte(content), 0o644))
}

// golden compares text with testdata/name, or writes it with -update.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}
