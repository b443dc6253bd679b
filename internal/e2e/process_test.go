package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// worker is a running drawbridge-worker, in a process group of its own.
type worker struct {
	t    *testing.T
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

// queuesPerEnvironment is how many task queues a worker serves for an environment: control and build.
const queuesPerEnvironment = 2

// worker starts a worker that serves environments, and the workflows too, and returns when it polls. A name is used once.
func (w *world) worker(name string, args ...string) *worker {
	w.t.Helper()
	return w.workerOf(built.worker, name, args...)
}

// workerOf starts another build of the program.
func (w *world) workerOf(program, name string, args ...string) *worker {
	w.t.Helper()
	return w.start(program, nil, name, args...)
}

// workerIn starts a worker that looks into another store.
func (w *world) workerIn(store, name string, args ...string) *worker {
	w.t.Helper()
	return w.start(built.worker, []string{"DRAWBRIDGE_STORE=" + store}, name, args...)
}

func (w *world) start(program string, env []string, name string, args ...string) *worker {
	w.t.Helper()
	p := w.launch(program, env, name, args...)
	serving := 0
	for _, a := range args {
		switch a {
		case "--env":
			serving += queuesPerEnvironment
		case "--workflows":
			serving++
		}
	}
	w.await(name+" to serve", func() bool {
		if p.ended() {
			require.FailNow(w.t, name+" ended", p.output())
		}
		return strings.Count(p.output(), `"msg":"serving"`) == serving
	})
	return p
}

// credential names a secret that every worker holds, in no policy's words, for whoever tries to get at it.
const credential = "DRAWBRIDGE_SECRET_WAREHOUSE"

// launch starts a build of the program, and awaits nothing.
func (w *world) launch(program string, env []string, name string, args ...string) *worker {
	w.t.Helper()
	p := &worker{t: w.t, name: name, log: filepath.Join(w.dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	require.NoError(w.t, err)
	args = append([]string{"--policies", w.path("policies"), "--source-root", w.path("source"), "--key", w.path("signing-key.pem")}, args...)
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Env = w.dir, append(append(w.env(), env...), warehouseURL+"="+w.url, credential+"="+w.url)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(w.t, p.cmd.Start())
	require.NoError(w.t, log.Close())
	go func() {
		_ = p.cmd.Wait() // how it ends is the test's wish
		close(p.done)
	}()
	w.t.Cleanup(func() { p.end() })
	return p
}

// ended says whether its process has ended.
func (p *worker) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// everything are the flags of a worker that serves all that a pipeline needs.
func everything() []string {
	return []string{"--env", "dev", "--env", "staging", "--env", "prod", "--workflows"}
}

func (p *worker) output() string {
	body, err := os.ReadFile(p.log)
	require.NoError(p.t, err)
	return string(body)
}

// kill ends it as a crash of its machine would: it does nothing any more.
func (p *worker) kill() {
	p.t.Helper()
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop asks it to end, as whoever deploys a newer one does, and holds it to a clean end.
func (p *worker) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	<-p.done
	require.Zero(p.t, p.cmd.ProcessState.ExitCode(), p.output())
}

// freeze stops it in the middle of whatever it does; thaw lets it go on as if no time had passed.
func (p *worker) freeze() {
	p.t.Helper()
	p.signal(syscall.SIGSTOP)
}

func (p *worker) thaw() {
	p.t.Helper()
	p.signal(syscall.SIGCONT)
}

func (p *worker) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, syscall.Kill(-p.cmd.Process.Pid, s))
}

func (p *worker) end() {
	if p.ended() {
		return
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// answer is what a command said, and how it ended.
type answer struct {
	code     int
	out, err string
}

// patience is how long any command, and any awaited state, may take on a busy machine.
const patience = 90 * time.Second

// try runs the CLI as a person does.
func (w *world) try(args ...string) answer {
	w.t.Helper()
	return w.tryUntil(nil, args...)
}

// tryUntil is try; where wait is given, a person presses Ctrl-C when it returns.
func (w *world) tryUntil(wait func(), args ...string) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, built.cli, args...)
	cmd.Dir, cmd.Env = w.dir, w.env()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	require.NoError(w.t, cmd.Start())
	if wait != nil {
		wait()
		require.NoError(w.t, cmd.Process.Signal(os.Interrupt))
	}
	err := cmd.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		require.NoError(w.t, err)
	}
	require.NoError(w.t, ctx.Err(), "drawbridge %s does not end\n%s%s", strings.Join(args, " "), out.String(), errOut.String())
	w.said = append(w.said, out.String(), errOut.String())
	return answer{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errOut.String()}
}

// cli runs the CLI and holds it to an exit code.
func (w *world) cli(code int, args ...string) answer {
	w.t.Helper()
	a := w.try(args...)
	require.Equal(w.t, code, a.code, "drawbridge %s\n%s%s", strings.Join(args, " "), a.out, a.err)
	return a
}
