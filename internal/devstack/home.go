package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// errNotRunning says that no stack runs in the directory.
var errNotRunning = errors.New("no stack is running: start one with `make up`")

// home is the directory of a stack, as an absolute path.
type home string

func openHome(dir string) (home, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the stack's directory: %w", err)
	}
	return home(abs), nil
}

func (h home) file(name string) string { return filepath.Join(string(h), name) }

func (h home) stateFile() string { return h.file("devstack.json") }
func (h home) lockFile() string  { return h.file("devstack.lock") }
func (h home) logFile() string   { return h.file("devstack.log") }
func (h home) portsFile() string { return h.file("ports.json") }
func (h home) temporal() string  { return h.file("temporal.db") }
func (h home) postgres() string  { return h.file("postgres") }

// create makes the directory. Others may pass through it, since Postgres may run as another user, but not look into
// it; each file in it protects itself.
func (h home) create() error {
	if err := os.MkdirAll(string(h), 0o711); err != nil {
		return fmt.Errorf("create the stack's directory: %w", err)
	}
	return nil
}

// lock takes the lock that only one stack can hold, until the process ends, however it ends. It must be called once
// in a process: closing any other descriptor of the file would release it.
func (h home) lock() (*os.File, error) {
	file, err := os.OpenFile(h.lockFile(), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the stack's directory: %w", err)
	}
	err = syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("a stack is running in %s already: %w", h, err), file.Close())
	}
	return file, nil
}

// holder returns the process that holds the lock, 0 where no stack runs. It asks the kernel, which a stale file or a
// process id that came round again cannot deceive, and takes no lock itself.
func (h home) holder() (int, error) {
	file, err := os.OpenFile(h.lockFile(), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("look for a running stack: %w", err)
	}
	defer func() { _ = file.Close() }()
	probe := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart}
	if err := syscall.FcntlFlock(file.Fd(), syscall.F_GETLK, &probe); err != nil {
		return 0, fmt.Errorf("look for a running stack: %w", err)
	}
	if probe.Type == syscall.F_UNLCK {
		return 0, nil
	}
	return int(probe.Pid), nil
}

// running returns the stack that runs in the directory and is ready, or errNotRunning.
func (h home) running() (Stack, error) {
	pid, err := h.holder()
	if err != nil {
		return Stack{}, err
	}
	if pid == 0 {
		return Stack{}, errNotRunning
	}
	var s Stack
	if err := readJSON(h.stateFile(), &s); errors.Is(err, fs.ErrNotExist) || (err == nil && s.PID != pid) {
		return Stack{}, fmt.Errorf("process %d is starting or stopping: %w", pid, errNotRunning)
	} else if err != nil {
		return Stack{}, err
	}
	return s, nil
}

func readJSON(file string, into any) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(file), err)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}

// writeJSON replaces the file at once, so that no reader sees half of it, and keeps it to its owner.
func writeJSON(file string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	if err := os.WriteFile(file+".new", append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	return nil
}
