package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/workflows"
)

// The variables of a run with faults; .ci/chaos sets them.
const (
	chaosMinutes = "DRAWBRIDGE_CHAOS_MINUTES"
	chaosSeed    = "DRAWBRIDGE_CHAOS_SEED"
)

// The faults, and what may be under way when one comes.
const (
	killWorker   = "kill -9 of a worker"
	freezeWorker = "SIGSTOP of a worker"
	cancelOne    = "cancel"
	terminateOne = "terminate of a migration"
	restart      = "restart of Postgres"
	immediate    = "immediate shutdown of Postgres"
	killStack    = "kill -9 of the stack"

	publishing  = "publish"
	turningBack = "turn-back"
	running     = "run"
	backfilling = "backfill"
)

// interrupted are all that a fault has to meet.
func interrupted() []string {
	all := []string{publishing, turningBack, running, backfilling}
	for _, phase := range append(migrate.Phases(), undoing) {
		all = append(all, duringPhase(phase))
	}
	for _, kind := range chaosKinds() {
		all = append(all, duringKind(kind))
	}
	return append(all, duringBrownout)
}

// faultsPerMinute, and faultsEach a minute during each of what is interrupted, or faultsPhase during a phase or a kind of migrations, are what a
// run has to reach. It goes on beyond its minutes until it has, for so long at most.
const (
	faultsPerMinute = 10
	faultsEach      = 2
	faultsPhase     = 1
	extension       = 10 * time.Minute
)

// least is how many faults something has to meet in so many minutes.
func least(what string, minutes float64) int {
	if strings.HasPrefix(what, "migration") {
		return max(1, int(minutes*faultsPhase))
	}
	return max(1, int(minutes*faultsEach))
}

// TestChaos lets pipelines of one schema be deployed, run, backfilled and rolled back, and backfills rolled back, and an output, and tables
// beside theirs, be migrated there and back, while workers, Postgres and the whole stack are killed, stopped and restarted under them, and others
// read, and write those tables. The seed, which it prints, draws what happens. In the end nothing may be torn, unnamed, lost or without an
// end. It needs a stack of its own: .ci/chaos starts one.
func TestChaos(t *testing.T) { //nolint:paralleltest // it kills the servers that others would use
	minutes, err := strconv.ParseFloat(os.Getenv(chaosMinutes), 64)
	if err != nil {
		t.Skipf("%s is not set: make chaos sets it", chaosMinutes)
	}
	seed := uint64(time.Now().UnixNano() % 1_000_000)
	if text := os.Getenv(chaosSeed); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	t.Logf("seed %d: replay it with SEED=%d", seed, seed)
	c := newChaos(t, seed)
	c.minutes = minutes
	c.newTables(16 + int(6*minutes))
	c.first()
	c.made(seed)
	stop := c.read()
	c.storm(time.Duration(minutes * float64(time.Minute)))
	c.calm()
	stop()
	c.settles()
	for _, table := range c.tables {
		table.traffic.stops()
	}
	c.whole()
	t.Logf("seed %d: %d faults, %v; during %v; of migrations %v", seed, c.count, c.kinds, c.during, c.met)
	require.Empty(t, c.violations, "seed %d", seed)
	for _, what := range interrupted() {
		require.GreaterOrEqual(t, c.during[what], least(what, minutes), "too few faults during a %s", what)
	}
	require.GreaterOrEqual(t, c.count, int(minutes*faultsPerMinute))
}

// chaos is a world in which things break.
type chaos struct {
	*world
	draw       *rand.Rand
	stack      string
	labs       []*chaosLab
	roles      chaosRoles
	tables     []*chaosTable
	numbered   int // files of migrations
	minutes    float64
	workers    [2]*worker
	thaw       [2]time.Time // of a frozen one
	launched   int
	count      int
	kinds      map[string]int
	during     map[string]int
	met        map[string]int // faults, by a migration's kind and phase
	began      time.Time
	lock       sync.Mutex // of what is said and seen, by several at a time
	violations []string
}

// chaosLab is a pipeline: its tables, and the releases that it has.
type chaosLab struct {
	*tbLab
	tables   []string
	releases []tbRelease
	// choose is the version that a migration waits for, if one does, and a release that people may choose beside it; nil: any.
	choose func(*rand.Rand) (wanted string, r tbRelease)
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	w := newWorld(t)
	stack := os.Getenv(stackDir)
	require.NotEmpty(t, stack, "the servers are not ours to kill")
	c := &chaos{
		world: w, stack: stack, draw: rand.New(rand.NewPCG(seed, seed)), kinds: map[string]int{}, during: map[string]int{}, met: map[string]int{},
		began: time.Now(),
	}
	for i, name := range []string{"rides", "trips"} {
		l := &chaosLab{tbLab: w.tbNewLab(name, 4), tables: []string{string(rune('a'+i)) + "1", string(rune('a'+i)) + "2"}}
		for _, r := range []tbRelease{tbFirst(l.tables...), tbSecond(l.tables...), tbThird(l.tables...)} {
			r.schema = "rides_dev"
			l.release(r)
			l.releases = append(l.releases, r)
		}
		c.labs = append(c.labs, l)
	}
	c.newTaxis()
	return c
}

// first brings two releases of each pipeline to dev, in peace.
func (c *chaos) first() {
	c.t.Helper()
	for i := range c.workers {
		c.launched++
		c.workers[i] = c.start(built.worker, c.secret(), fmt.Sprintf("worker-%d", c.launched), "--env", "dev", "--workflows")
	}
	for _, l := range c.labs {
		for _, r := range l.releases[:2] {
			c.cli(0, "deploy", l.name+"-"+r.version, "--to", "dev", "--rebuild", "all")
		}
	}
}

// secret is where the workers find the connection that the labs name.
func (c *chaos) secret() []string { return []string{"DRAWBRIDGE_WAREHOUSE=" + c.url} }

func (c *chaos) tell(format string, args ...any) {
	c.t.Logf("%6.1fs "+format, append([]any{time.Since(c.began).Seconds()}, args...)...)
}

func (c *chaos) violated(format string, args ...any) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.violations = append(c.violations, fmt.Sprintf(format, args...))
	c.tell("VIOLATION: "+format, args...)
}

// storm lets faults happen while there is always something under way.
func (c *chaos) storm(length time.Duration) {
	c.t.Helper()
	enough := func() bool {
		return c.count >= int(length.Minutes()*faultsPerMinute) &&
			!slices.ContainsFunc(interrupted(), c.lacks)
	}
	for began := time.Now(); time.Since(began) < length || !enough() && time.Since(began) < length+extension; {
		c.tend()
		c.together(len(c.labs), func(i int, draw *rand.Rand) { c.busy(c.labs[i], draw) })
		pause := time.Duration(c.draw.IntN(1500)) * time.Millisecond
		contracts := make([]bool, len(c.tables))
		c.together(len(c.tables), func(i int, draw *rand.Rand) { contracts[i] = c.tables[i].busy(draw) })
		if !slices.Contains(contracts, true) {
			c.pause(pause)
		}
		c.fault()
	}
}

// together does so many things at the same time, each with draws of its own.
func (c *chaos) together(n int, do func(i int, draw *rand.Rand)) {
	var group sync.WaitGroup
	for i := range n {
		draw := rand.New(rand.NewPCG(c.draw.Uint64(), uint64(i)))
		group.Go(func() { do(i, draw) })
	}
	group.Wait()
}

// pause lets time pass.
func (c *chaos) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.t.Context().Done():
	}
}

// attempt runs the CLI where its failure is no fault of it: servers are away.
func (c *chaos) attempt(args ...string) answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, built.cli, args...)
	cmd.Dir, cmd.Env = c.dir, c.env()
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, _ := cmd.Output() // how it ended is in its code
	c.lock.Lock()
	defer c.lock.Unlock()
	c.said = append(c.said, string(out), errOut.String())
	return answer{code: cmd.ProcessState.ExitCode(), out: string(out), err: errOut.String()}
}

// busy starts something for a pipeline about which nothing is under way, and answers, as a person would, what waits.
func (c *chaos) busy(l *chaosLab, draw *rand.Rand) {
	c.t.Helper()
	idle := true
	for _, id := range l.ids() {
		if c.runs(id) {
			idle = false
			if draw.IntN(4) == 0 {
				c.answers(id)
			}
		}
	}
	what := draw.IntN(15)
	if !idle && what < 7 { // a turn-back, a run or a backfill may come upon a deployment
		return
	}
	r := l.releases[draw.IntN(len(l.releases))]
	if l.choose != nil {
		wanted, let := l.choose(draw)
		r = let
		if wanted != "" && idle && draw.IntN(2) == 0 {
			c.starts("deploy", l.name+"-"+wanted, "--to", "dev", "--rebuild", "all", "--detach")
			return
		}
	}
	switch {
	case what < 4:
		c.starts("deploy", l.name+"-"+r.version, "--to", "dev", "--rebuild", "all", "--detach")
	case what < 8:
		c.starts("rollback", l.name, "--env", "dev", "--to", r.version, "--reason", "chaos", "--detach")
	case what < 12:
		cutover := []string{"each", "one"}[draw.IntN(2)]
		c.starts("backfill", l.name, "--env", "dev", "--from", l.days[0], "--to", l.days[len(l.days)-1], "--force", "--lanes", "2",
			"--cutover", cutover, "--reason", "chaos", "--detach")
	case what < 13:
		c.starts("backfill", "rollback", l.backfillID(), "--reason", "chaos", "--detach")
	default:
		for range 2 {
			c.starts("run", l.name, "--env", "dev", "--partition", l.days[draw.IntN(len(l.days))], "--detach")
		}
	}
}

func (c *chaos) starts(args ...string) {
	c.t.Helper()
	a := c.attempt(args...)
	first, _, _ := strings.Cut(strings.TrimSpace(a.out+a.err), "\n")
	c.tell("%s: %d %s", strings.Join(args, " "), a.code, first)
}

// ids are the workflows that a pipeline may have.
func (l *chaosLab) ids() []string {
	ids := []string{workflows.RollbackID(l.name, "dev"), l.backfillID()}
	for _, r := range l.releases {
		ids = append(ids, workflows.DeploymentID(l.name, r.version))
	}
	return append(ids, l.runs()...)
}

// runs are the workflows that build a day.
func (l *chaosLab) runs() []string {
	var ids []string
	for _, day := range l.days {
		ids = append(ids, "run/"+l.name+"/dev/"+day)
	}
	return ids
}

// runs says whether the server knows a workflow as running; while the server is away, it does not.
func (c *chaos) runs(id string) bool {
	running, _ := c.describes(id)
	return running
}

// describes asks the server whether a workflow is running; known says that it has answered.
func (c *chaos) describes(id string) (running, known bool) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Second)
	defer cancel()
	d, err := c.temporal.DescribeWorkflow(ctx, id, "")
	if _, never := errors.AsType[*serviceerror.NotFound](err); never {
		return false, true
	}
	return err == nil && d.Status == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, err == nil
}

// answers is a person who decides the open gate of a workflow, if it has one: try again where that is a choice.
func (c *chaos) answers(id string) { c.decides(id, gate.Retry) }

// decides decides the open gate of a workflow, if it has one, by the choice that is preferred where it has that, and says which it was.
func (c *chaos) decides(id string, prefer gate.Choice) (question string, choice gate.Choice) {
	c.t.Helper()
	a := c.attempt("status", id, "--json")
	var s status
	if json.Unmarshal([]byte(a.out), &s) != nil {
		return "", ""
	}
	g, open := s.Open()
	if !open || len(g.Choices) == 0 {
		return "", ""
	}
	choice = g.Choices[0]
	if at := slices.Index(g.Choices, prefer); at >= 0 {
		choice = g.Choices[at]
	}
	done := c.attempt("decide", id, "--gate", g.Name, "--choice", string(choice), "--as", "grace", "--reason", "chaos")
	c.tell("%s asks %q; %s: %d %s", id, g.Question, choice, done.code, strings.TrimSpace(done.err))
	return g.Question, choice
}

// tend thaws workers whose time has come, and starts those that have ended.
func (c *chaos) tend() {
	c.t.Helper()
	for i, p := range c.workers {
		if !c.thaw[i].IsZero() && time.Now().After(c.thaw[i]) {
			c.thaw[i] = time.Time{}
			_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGCONT) // it may have ended
		}
		if p.ended() {
			c.launched++
			c.workers[i] = c.launch(built.worker, c.secret(), fmt.Sprintf("worker-%d", c.launched), "--env", "dev", "--workflows")
		}
	}
}
