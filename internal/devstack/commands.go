package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/devstack/postgres"
)

const (
	// poll is the pause between two looks at something that starts or stops.
	poll = 50 * time.Millisecond
	// startLimit includes the download of a Postgres on a machine without one.
	startLimit = 5 * time.Minute
	// stopLimit is more than the parts of a stack may take together.
	stopLimit = 90 * time.Second
)

// up starts the stack in the background, unless it runs, and waits until it is ready.
func up(ctx context.Context, h home, k kind, out io.Writer) error {
	if err := h.create(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()

	pid, err := h.holder()
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	if pid == 0 {
		background, err := spawn(h, k)
		if err != nil {
			return err
		}
		go func() {
			_ = background.Wait() // why it ended is in the log
			close(ended)
		}()
		defer func() {
			if ctx.Err() != nil {
				_ = background.Process.Signal(syscall.SIGTERM)
			}
		}()
	}
	for {
		s, err := h.running()
		if err == nil {
			return s.print(out)
		}
		if !errors.Is(err, errNotRunning) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await the stack: %w; its log is %s", ctx.Err(), h.logFile())
		case <-ended:
			// Another `up` may have been faster: then its stack is awaited.
			if pid, err := h.holder(); err != nil || pid == 0 {
				return errors.Join(fmt.Errorf("the stack ended before it was ready; the end of %s:\n%s", h.logFile(), tail(h.logFile())), err)
			}
			ended = nil
		case <-time.After(poll):
		}
	}
}

// spawn starts `serve` in a session of its own: it outlives the terminal.
func spawn(h home, k kind) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start the stack: %w", err)
	}
	if err := os.Rename(h.logFile(), h.logFile()+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keep the last log: %w", err)
	}
	log, err := os.OpenFile(h.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start the stack: %w", err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(program, "serve", "--dir", string(h))
	if k == passing {
		cmd.Args = append(cmd.Args, "--test")
	}
	cmd.Dir = string(h) // not the caller's directory, which may be deleted or unmounted
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the stack: %w", err)
	}
	return cmd, nil
}

// tail returns the last lines of a log.
func tail(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

func down(ctx context.Context, h home, out io.Writer) error {
	if err := stop(ctx, h); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, "stopped; the state is kept in", h)
	return err
}

// stop stops the stack, where one runs, and returns when it has ended, its Postgres included.
func stop(ctx context.Context, h home) error {
	pid, err := h.holder()
	if err != nil || pid == 0 {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the stack, process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	for {
		holder, err := h.holder()
		if err != nil {
			return err
		}
		if holder != pid {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await the end of the stack, process %d: %w; its log is %s", pid, ctx.Err(), h.logFile())
		case <-time.After(poll):
		}
	}
}

func status(h home, out io.Writer) error {
	s, err := h.running()
	if err != nil {
		return err
	}
	return s.print(out)
}

// print shows where the stack is, without the passwords.
func (s Stack) print(out io.Writer) error {
	warehouse, err := url.Parse(s.Warehouse)
	if err != nil {
		return fmt.Errorf("read the warehouse's URL: %w", err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"Temporal", s.TemporalAddress},
		{"Web UI", s.UI},
		{"Warehouse", warehouse.Redacted()},
		{"Log", s.Log},
	} {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", row[0], row[1]) // Flush reports the error
	}
	return table.Flush()
}

// env prints what to export, for `eval`.
func env(h home, out io.Writer) error {
	s, err := h.running()
	if err != nil {
		return err
	}
	for _, variable := range [][2]string{
		{"DRAWBRIDGE_STACK", string(h)},
		{"TEMPORAL_ADDRESS", s.TemporalAddress},
		{"DRAWBRIDGE_UI", s.UI},
		{"DRAWBRIDGE_WAREHOUSE", s.Warehouse},
		{"TEST_DATABASE_URL", s.TestDatabase},
		{"DRAWBRIDGE_TEST_SUPERUSER_URL", s.TestSuperuser},
	} {
		if _, err := fmt.Fprintf(out, "export %s='%s'\n", variable[0], strings.ReplaceAll(variable[1], "'", `'\''`)); err != nil {
			return err
		}
	}
	return nil
}

// restartPostgres tells the stack by a signal how to restart the server, and returns when that takes connections.
func restartPostgres(ctx context.Context, h home, how syscall.Signal) error {
	s, err := h.running()
	if err != nil {
		return err
	}
	before, err := serverStart(ctx, s)
	if err != nil {
		return err
	}
	if err := syscall.Kill(s.PID, how); err != nil {
		return fmt.Errorf("restart Postgres: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopLimit)
	defer cancel()
	for {
		after, err := serverStart(ctx, s)
		if err == nil && after.After(before) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("await the restart of Postgres: %w; its log is %s", ctx.Err(), s.Log), err)
		case <-time.After(poll):
		}
	}
}

// serverStart returns when the stack's Postgres was started.
func serverStart(ctx context.Context, s Stack) (time.Time, error) {
	conn, err := pgx.Connect(ctx, s.TestSuperuser)
	if err != nil {
		return time.Time{}, fmt.Errorf("connect to Postgres: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var started time.Time
	if err := conn.QueryRow(ctx, `SELECT pg_postmaster_start_time()`).Scan(&started); err != nil {
		return time.Time{}, fmt.Errorf("ask Postgres for its start time: %w", err)
	}
	return started, nil
}

// clean stops the stack and deletes its directory, and the cluster where that lives elsewhere. A directory in which no
// stack ever ran is left alone.
func clean(ctx context.Context, h home) error {
	if _, err := os.Stat(h.lockFile()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := stop(ctx, h); err != nil {
		return err
	}
	return errors.Join(postgres.Remove(h.postgres()), os.RemoveAll(string(h)))
}
