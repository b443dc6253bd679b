package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// stopGrace is how long a server may take to roll back its sessions and write a checkpoint.
const stopGrace = 30 * time.Second

// poll is the pause between two looks at a server that starts or stops.
const poll = 25 * time.Millisecond

// GuardCommand is the first argument with which a program that uses this package must call Guard: Start runs the
// program itself once more, as the server's guard.
const GuardCommand = "guard-postgres"

// Server is a running server. Between it and this process stands the guard, a process that holds the reading end of a
// pipe; when the writing end closes, be it by Stop or by the death of this process, it stops the server.
type Server struct {
	leash io.WriteCloser
	done  chan struct{}
	err   error // how the guard ended; set before done is closed
}

// Start starts the cluster's server and returns when it takes connections and has the role and the databases. What the
// server writes goes to log. A cluster has at most one server at a time.
func (c *Cluster) Start(ctx context.Context, port int, log *os.File) (*Server, error) {
	if err := c.create(ctx); err != nil {
		return nil, err
	}
	c.port = port
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("start Postgres: %w", err)
	}
	guard := exec.Command(program, GuardCommand, filepath.Join(c.installation.Bin, "postgres"), "-D", c.data())
	for name, value := range c.settings() {
		guard.Args = append(guard.Args, "-c", name+"="+value)
	}
	guard.Dir = c.home
	guard.Stdout, guard.Stderr = log, log
	guard.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	leash, err := guard.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start Postgres: %w", err)
	}
	if err := guard.Start(); err != nil {
		return nil, fmt.Errorf("start Postgres: %w", err)
	}
	s := &Server{leash: leash, done: make(chan struct{})}
	go func() {
		s.err = guard.Wait()
		close(s.done)
	}()
	if err := c.awaitReady(ctx, s); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	if err := c.provision(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// awaitReady tries to connect until the server lets it: refused and "starting up" are two of the answers on the way.
func (c *Cluster) awaitReady(ctx context.Context, s *Server) error {
	for {
		conn, err := pgx.Connect(ctx, c.url(superuser, c.passwords.Superuser, "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-s.done:
			return errors.New("start Postgres: it ended at once; its log says why")
		case <-ctx.Done():
			return fmt.Errorf("start Postgres: %w: %w", ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}

// Done is closed when the server has ended, asked or not.
func (s *Server) Done() <-chan struct{} { return s.done }

// Stop ends the server's sessions and shuts it down cleanly. Stopping it again does nothing.
func (s *Server) Stop() error {
	_ = s.leash.Close() // fails only when it is closed already
	<-s.done
	if s.err != nil {
		return fmt.Errorf("stop Postgres: %w", s.err)
	}
	return nil
}

// Crash ends the server at once, as a power cut does: nothing is written any more, and whoever starts it recovers.
func (s *Server) Crash() {
	_, _ = s.leash.Write([]byte{crash}) // fails only when the guard is gone, and the server with it
	_ = s.Stop()                        // how a server ends that was cut off is no news
}

// crash on the leash asks for an end without a shutdown.
const crash = '!'

// Guard runs the server program that args name, and stops it when stdin ends. It returns when the server has ended.
func Guard(stdin io.Reader, args []string) error {
	account, err := CurrentAccount()
	if err != nil {
		return err
	}
	server := exec.Command(args[0], args[1:]...)
	server.Stdout, server.Stderr = os.Stdout, os.Stderr
	server.SysProcAttr = account.process()
	if err := server.Start(); err != nil {
		return fmt.Errorf("start %s: %w", args[0], err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	released := make(chan []byte)
	go func() {
		last, _ := io.ReadAll(stdin) // however the pipe ends, the stack is gone
		released <- last
	}()
	// SIGINT is the fast shutdown: it does not wait for clients. SIGQUIT gives up on cleanliness, not on the data.
	steps := []os.Signal{syscall.SIGINT, syscall.SIGQUIT}
	select {
	case err := <-ended:
		return errors.Join(fmt.Errorf("%s ended by itself", args[0]), err)
	case last := <-released:
		if bytes.IndexByte(last, crash) >= 0 {
			steps = steps[1:]
		}
	}
	for _, step := range steps {
		_ = server.Process.Signal(step) // fails only when the server has ended
		select {
		case err := <-ended:
			return err
		case <-time.After(stopGrace):
		}
	}
	_ = server.Process.Kill()
	return <-ended
}

// stopLeftover stops a server that still runs on the cluster although its stack is gone, which takes the death of
// stack and guard at once, or finds the guard at work. A process id file that names another process is removed:
// process ids return after a restart of the machine, and Postgres would refuse to start beside the newcomer.
func (c *Cluster) stopLeftover(ctx context.Context) error {
	file := filepath.Join(c.data(), "postmaster.pid")
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a server left behind: %w", err)
	}
	line, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return fmt.Errorf("read the process id in %s: %w", file, err)
	}
	if !c.serves(ctx, pid) {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove a stale process id: %w", err)
		}
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("stop the server left behind, process %d: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	for c.serves(ctx, pid) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the server left behind, process %d, to stop: %w", pid, ctx.Err())
		case <-time.After(poll):
		}
	}
	return nil
}

// serves reports whether process pid is a server on this cluster's data.
func (c *Cluster) serves(ctx context.Context, pid int) bool {
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil { // no such process, or no Linux
		command, err = exec.CommandContext(ctx, "ps", "-ww", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	}
	return err == nil && bytes.Contains(command, []byte(c.data()))
}
