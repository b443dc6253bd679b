package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/testing/freeport"
)

// programVariable makes the test binary behave as the program: the stack runs its own executable in the background.
const programVariable = "DRAWBRIDGE_DEVSTACK_IS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		main()
		return
	}
	if err := os.Setenv(programVariable, "yes"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// bundle is one stack's directory and what the commands print about it.
type bundle struct {
	home home
}

// setup returns a directory for a stack that lies deeper than a Unix socket may, with a blank in its name. As root it
// is closed to every other user, as a clone in `mktemp -d` is.
func setup(t *testing.T) bundle {
	t.Helper()
	dir := filepath.Join(t.TempDir(), strings.Repeat("deep", 20), strings.Repeat("deeper", 20), "a checkout", ".drawbridge")
	require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o700))
	b := bundle{home: home(dir)}
	// The test's own context has ended when this runs.
	t.Cleanup(func() { require.NoError(t, clean(context.WithoutCancel(t.Context()), b.home)) })
	return b
}

func (b bundle) run(t *testing.T, command string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(t.Context(), []string{command, "--test", "--dir", string(b.home)}, nil, &out))
	return out.String()
}

func (b bundle) stack(t *testing.T) Stack {
	t.Helper()
	s, err := b.home.running()
	require.NoError(t, err)
	return s
}

// postgresPort is read from the URL rather than from ports.json, which the stack only prefers.
func postgresPort(t *testing.T, s Stack) string {
	t.Helper()
	u, err := url.Parse(s.Warehouse)
	require.NoError(t, err)
	return u.Port()
}

func (b bundle) connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) }) // the server may be gone by then
	return conn
}

func (b bundle) temporal(t *testing.T) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{HostPort: b.stack(t).TemporalAddress, Namespace: namespace})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// leaveTraces writes a row to the warehouse and starts a workflow; requireTraces finds them again.
func (b bundle) leaveTraces(t *testing.T) {
	t.Helper()
	_, err := b.connect(t, b.stack(t).Warehouse).Exec(t.Context(), `CREATE TABLE trace AS SELECT 'kept' AS word`)
	require.NoError(t, err)
	_, err = b.temporal(t).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID:        "trace",
		TaskQueue: "nobody",
		TypedSearchAttributes: temporal.NewSearchAttributes(
			temporal.NewSearchAttributeKeyKeyword("DrawbridgePipeline").ValueSet("shop")),
	}, "Trace")
	require.NoError(t, err)
}

func (b bundle) requireTraces(t *testing.T) {
	t.Helper()
	var word string
	require.NoError(t, b.connect(t, b.stack(t).Warehouse).QueryRow(t.Context(), `SELECT word FROM trace`).Scan(&word))
	require.Equal(t, "kept", word)
	_, err := b.temporal(t).DescribeWorkflowExecution(t.Context(), "trace", "")
	require.NoError(t, err)
}

// answers is how soon a workflow has to be answered after the stack was told to start. It takes a few seconds; what is
// left is for a busy machine. A server that waits for the one that it replaces takes 40 at least.
const answers = 30 * time.Second

// requireAnswer brings the stack up, and finds a workflow answered soon after.
func (b bundle) requireAnswer(t *testing.T) {
	t.Helper()
	began := time.Now()
	b.run(t, "up")
	answer(t, b.temporal(t), func(workflow.Context) error { return nil })
	require.Less(t, time.Since(began), answers)
}

// answer works on a workflow, and returns how long it took from its start to its end.
func answer(t *testing.T, c client.Client, doFunc func(workflow.Context) error) time.Duration {
	t.Helper()
	w := worker.New(c, t.Name(), worker.Options{})
	w.RegisterWorkflowWithOptions(doFunc, workflow.RegisterOptions{Name: "answer"})
	require.NoError(t, w.Start())
	defer w.Stop()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{TaskQueue: t.Name()}, "answer")
	require.NoError(t, err)
	require.NoError(t, run.Get(ctx, nil))
	return time.Since(began)
}

// requireNoPostgres waits until the cluster of a dead stack is shut down, which its last checkpoint shows: then it
// removes its process id file.
func (b bundle) requireNoPostgres(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(b.home.postgres(), "data", "postmaster.pid"))
		return os.IsNotExist(err)
	}, 20*time.Second, 20*time.Millisecond)
}

func TestStackKeepsItsStateAndPorts(t *testing.T) {
	t.Parallel()
	b := setup(t)

	first := b.run(t, "up")
	started := b.stack(t)
	require.Equal(t, first, b.run(t, "up"), "up on a running stack prints the same")
	require.Equal(t, started, b.stack(t), "up on a running stack starts nothing")
	require.Equal(t, first, b.run(t, "status"))
	require.NotContains(t, first, "postgres://drawbridge:"+password(t, started.Warehouse), "passwords are not shown")
	b.leaveTraces(t)

	b.run(t, "down")
	b.requireNoPostgres(t)
	_, err := b.home.running()
	require.ErrorIs(t, err, errNotRunning)
	b.run(t, "down") // again does nothing

	b.requireAnswer(t)
	restarted := b.stack(t)
	require.NotEqual(t, started.PID, restarted.PID)
	restarted.PID = started.PID
	require.Equal(t, started, restarted, "addresses and passwords are the same after a restart")
	b.requireTraces(t)

	b.run(t, "clean")
	require.NoDirExists(t, string(b.home))
}

func TestKilledStackLeavesNoPostgresAndLosesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, "up")
	b.leaveTraces(t)

	require.NoError(t, syscall.Kill(b.stack(t).PID, syscall.SIGKILL))
	b.requireNoPostgres(t)
	_, err := b.home.running()
	require.ErrorIs(t, err, errNotRunning, "the file that the dead stack left is not believed")

	b.requireAnswer(t)
	b.requireTraces(t)
}

// By the server's own settings each timer would take a second at least.
func TestShortTimersAreShort(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, "up")
	const timers = 40
	took := answer(t, b.temporal(t), func(ctx workflow.Context) error {
		for range timers {
			if err := workflow.Sleep(ctx, time.Millisecond); err != nil {
				return err
			}
		}
		return nil
	})
	require.Less(t, took, timers*time.Second/2)
}

// A step of a lone workflow costs a read of each queue, and the queues may be read so often that nobody notices. How
// long a step takes says little of that on a busy machine; what the server reads from the settings does.
func TestNoQueueWaitsForItsNextRead(t *testing.T) {
	t.Parallel()
	settings := dynamicconfig.NewCollection(dynamicSettings(lasting), log.NewNoopLogger())
	rates := map[string]int{
		"transfer":   dynamicconfig.TransferProcessorMaxPollRPS.Get(settings)(),
		"timer":      dynamicconfig.TimerProcessorMaxPollRPS.Get(settings)(),
		"visibility": dynamicconfig.VisibilityProcessorMaxPollRPS.Get(settings)(),
	}
	for queue, rate := range rates {
		require.Less(t, time.Second/time.Duration(rate), 5*time.Millisecond, queue)
	}
}

func TestReadyStackHoldsNoWorkflowOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, "up")
	c := b.temporal(t)
	require.Eventually(t, func() bool {
		found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Namespace: namespace})
		return err == nil && found.GetCount() == 0
	}, 2*time.Minute, 50*time.Millisecond) // a deletion is many tasks of a busy server
}

// A server without its matching service lists workflows and takes new ones, and dispatches none.
func TestStackIsNotReadyBeforeAWorkflowIsAnswered(t *testing.T) {
	t.Parallel()
	port := freeport.MustGetFreePort()
	server, err := newTemporal(filepath.Join(t.TempDir(), "temporal.db"), port, passing, []string{"frontend", "history"})
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { require.NoError(t, (&parts{temporal: server}).stop()) })

	c, err := client.NewLazyClient(client.Options{HostPort: address(port), Namespace: namespace})
	require.NoError(t, err)
	defer c.Close()
	limited, cancel := context.WithTimeout(t.Context(), answerLimit)
	defer cancel()
	require.NoError(t, awaitList(limited, c))

	require.ErrorContains(t, awaitTemporal(t.Context(), address(port), 5*time.Second), "temporal answered no workflow within 5s")
}

func TestRestartOfPostgresKeepsTheStack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, "up")
	b.leaveTraces(t)
	before := b.stack(t)
	session := b.connect(t, before.Warehouse)

	b.run(t, "restart-postgres")

	require.Error(t, session.Ping(t.Context()), "sessions are ended")
	require.Equal(t, before, b.stack(t))
	b.requireTraces(t)
}

func TestACrashOfPostgresKeepsTheStackAndWhatIsLogged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, "up")
	b.leaveTraces(t)
	before := b.stack(t)
	session := b.connect(t, before.Warehouse)
	_, err := session.Exec(t.Context(), `CREATE UNLOGGED TABLE unlogged AS SELECT 1 AS n`)
	require.NoError(t, err)

	b.run(t, "crash-postgres")

	require.Error(t, session.Ping(t.Context()), "sessions are ended")
	require.Equal(t, before, b.stack(t))
	b.requireTraces(t)
	var rows int
	require.NoError(t, b.connect(t, before.Warehouse).QueryRow(t.Context(), `SELECT count(*) FROM unlogged`).Scan(&rows))
	require.Zero(t, rows, "there was no shutdown")
}

func TestStackEndsWithItsDirectory(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, "up")
	s := b.stack(t)
	cluster, err := filepath.EvalSymlinks(b.home.postgres())
	require.NoError(t, err)

	require.NoError(t, os.RemoveAll(string(b.home)))

	require.Eventually(t, func() bool {
		_, err := os.Stat(cluster)
		return os.IsNotExist(err) && syscall.Kill(s.PID, 0) != nil
	}, 30*time.Second, 50*time.Millisecond, "the process ends and takes the cluster with it")
}

func TestStackServesThisMachineOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, "up")
	s := b.stack(t)
	for _, file := range []string{b.home.stateFile(), b.home.logFile(), b.home.temporal(), filepath.Join(b.home.postgres(), "passwords.json")} {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), file)
	}

	response, err := http.Get(s.UI)
	require.NoError(t, err)
	page, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Contains(t, string(page), "<html")

	owner := b.connect(t, s.Warehouse)
	var superuser, seesOthers bool
	require.NoError(t, owner.QueryRow(t.Context(), `
		SELECT rolsuper, pg_has_role('pg_read_all_stats', 'USAGE')
		FROM pg_roles WHERE rolname = current_user`).Scan(&superuser, &seesOthers))
	require.False(t, superuser)
	require.True(t, seesOthers)

	var addresses, sockets string
	var fsync bool
	require.NoError(t, b.connect(t, s.TestSuperuser).QueryRow(t.Context(), `
		SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories'),
			current_setting('fsync')::bool`).Scan(&addresses, &sockets, &fsync))
	require.Equal(t, host, addresses)
	require.Empty(t, sockets)
	require.False(t, fsync, "a stack for one test run gives durability up")

	_, err = pgx.Connect(t.Context(), strings.Replace(s.Warehouse, password(t, s.Warehouse), "wrong", 1))
	require.ErrorContains(t, err, "28P01", "a wrong password is refused")
}

func TestEnvCanBeEvaluated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.run(t, "up")
	s := b.stack(t)
	var content Stack
	file, err := os.ReadFile(b.home.stateFile())
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(file, &content))
	require.Equal(t, s, content)

	lines := strings.Split(strings.TrimSpace(b.run(t, "env")), "\n")
	require.Equal(t, []string{
		"export DRAWBRIDGE_STACK='" + string(b.home) + "'",
		"export TEMPORAL_ADDRESS='" + s.TemporalAddress + "'",
		"export DRAWBRIDGE_UI='" + s.UI + "'",
		"export DRAWBRIDGE_WAREHOUSE='" + s.Warehouse + "'",
		"export TEST_DATABASE_URL='" + s.TestDatabase + "'",
		"export DRAWBRIDGE_TEST_SUPERUSER_URL='" + s.TestSuperuser + "'",
	}, lines)
	require.Contains(t, s.Warehouse, ":"+postgresPort(t, s)+"/warehouse?")
}

func password(t *testing.T, rawURL string) string {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	word, ok := u.User.Password()
	require.True(t, ok)
	return word
}

func TestCommandsRefuse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		args []string
		want string
	}{
		"an unknown command":         {args: []string{"start"}, want: `unknown command "start"`},
		"an unknown flag":            {args: []string{"up", "--fast"}, want: "-fast"},
		"an argument too many":       {args: []string{"up", "dir"}, want: `unexpected argument "dir"`},
		"status of no stack":         {args: []string{"status"}, want: "no stack is running"},
		"env of no stack":            {args: []string{"env"}, want: "no stack is running"},
		"a restart without a server": {args: []string{"restart-postgres"}, want: "no stack is running"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := tt.args
			if len(args) == 1 {
				args = append(args, "--dir", t.TempDir())
			}
			require.ErrorContains(t, run(t.Context(), args, nil, io.Discard), tt.want)
		})
	}
}

func TestCleanLeavesOtherDirectoriesAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "work")
	require.NoError(t, os.WriteFile(file, []byte("mine"), 0o600))
	require.NoError(t, run(t.Context(), []string{"clean", "--dir", dir}, nil, io.Discard))
	require.FileExists(t, file)
}
