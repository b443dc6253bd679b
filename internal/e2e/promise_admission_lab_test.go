package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/effect"
	"drawbridge/workflows"
)

// admRule is a policy under which two people have to agree, neither of whom is who asked.
const admRule = "approval: {required: true, quorum: 2, four_eyes: true, approvers: [grace, linus]}\n"

// admWorld is a world with a lab whose dev has a rule of who decides, and a first release that two people let in.
func admWorld(t *testing.T, first tbRelease) *tbLab {
	t.Helper()
	w := newWorld(t)
	w.impatient("dev", admRule, "5s")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	l.approved(first)
	return l
}

// asks brings a release before the gate of dev.
func (l *tbLab) asks(r tbRelease) status {
	l.w.t.Helper()
	l.w.cli(4, "deploy", l.release(r), "--to", "dev", "--rebuild", "all")
	return l.w.status(l.name)
}

// agree gives both voices to the open gate of a workflow.
func (l *tbLab) agree(id string) {
	l.w.t.Helper()
	for _, who := range []string{"grace", "linus"} {
		l.w.cli(0, "approve", id, "--as", who, "--reason", "looks right")
	}
}

// approved brings a release to dev past its gate.
func (l *tbLab) approved(r tbRelease) {
	l.w.t.Helper()
	s := l.asks(r)
	l.agree(s.ID)
	require.Equal(l.w.t, workflows.StageDone, l.w.tbEnds(s.ID).Stage)
	l.are("dev", r.factor, r.outputs...)
}

// admForeign is a client of Temporal that has nothing to do with Drawbridge, and a worker for its own workflow.
type admForeign struct {
	w     *world
	calls int
}

const admForeignQueue = "somebody-else"

// admOwn stands for the foreign workflow's own name, under which nobody refuses it for speaking in another's.
const admOwn = "the-workflow-that-calls"

// admMisread is what is said of an input that an activity cannot even read: such a call proves nothing.
const admMisread = "unable to decode"

// admCall is an activity to call by its name.
type admCall struct {
	Pipeline string          `json:"pipeline"`
	Queue    string          `json:"queue"`
	Activity string          `json:"activity"`
	Input    json.RawMessage `json:"input"`
}

// admAs is who somebody pretends to be: a type of workflow, and what its ID begins with.
type admAs struct{ kind, prefix string }

func (w *world) admForeign() *admForeign {
	w.t.Helper()
	foreign := sdk.New(w.temporal, admForeignQueue, sdk.Options{})
	call := func(ctx workflow.Context, c admCall) (json.RawMessage, error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			TaskQueue: c.Queue, StartToCloseTimeout: 3 * time.Minute, ScheduleToCloseTimeout: 4 * time.Minute,
			RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
		})
		info := workflow.GetInfo(ctx)
		mine := effect.OwnerOf(info.WorkflowExecution.ID, info.FirstRunID)
		var out json.RawMessage
		err := workflow.ExecuteActivity(ctx, c.Activity, json.RawMessage(strings.ReplaceAll(string(c.Input), admOwn, string(mine)))).Get(ctx, &out)
		return out, err
	}
	foreign.RegisterWorkflowWithOptions(call, workflow.RegisterOptions{Name: "somebody.Else"})
	for _, known := range workflows.Workflows() { // anybody may give a workflow any name
		foreign.RegisterWorkflowWithOptions(call, workflow.RegisterOptions{Name: known.Name})
	}
	require.NoError(w.t, foreign.Start())
	w.t.Cleanup(foreign.Stop)
	return &admForeign{w: w}
}

// start calls an activity of dev; what it returns waits for its end, and gives what a refusal says, or nothing.
func (f *admForeign) start(queue, activity string, input any) (refusal func() string) {
	f.w.t.Helper()
	return f.startAs(admAs{"somebody.Else", "foreign/"}, queue, activity, input)
}

// startAs is start under another workflow's name.
func (f *admForeign) startAs(as admAs, queue, activity string, input any) (refusal func() string) {
	f.w.t.Helper()
	body, err := json.Marshal(input)
	require.NoError(f.w.t, err)
	f.calls++
	run, err := f.w.temporal.ExecuteWorkflow(f.w.t.Context(),
		client.StartWorkflowOptions{ID: as.prefix + strconv.Itoa(f.calls), TaskQueue: admForeignQueue, WorkflowExecutionTimeout: 5 * time.Minute},
		as.kind, admCall{Pipeline: "lab", Queue: queue, Activity: activity, Input: body})
	require.NoError(f.w.t, err)
	return func() string {
		f.w.t.Helper()
		err := run.Get(f.w.t.Context(), nil)
		if err == nil {
			return ""
		}
		require.NotContains(f.w.t, err.Error(), "unable to find activityType", "%s is no activity any more: the test calls another", activity)
		require.NotRegexp(f.w.t, `(?i)\btimeout\b`, err.Error(), "nobody has refused %s", activity)
		return err.Error()
	}
}

// call is start, and waits.
func (f *admForeign) call(queue, activity string, input any) (refusal string) {
	f.w.t.Helper()
	return f.start(queue, activity, input)()
}

// admInput is an input as the activity takes it: a field that it does not know any more fails the test.
func admInput[T any](t *testing.T, fields map[string]any) T {
	t.Helper()
	body, err := json.Marshal(fields)
	require.NoError(t, err)
	var in T
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&in))
	return in
}

// admTarget is a target that somebody makes up.
func admTarget(release any) map[string]any {
	return map[string]any{"environment": "dev", "release": release, "owner": "foreign/1/0192f0c1-8f6e-7c3a-9a51-0e5d6f7a8b9c"}
}

// admUnder is a made-up target under a tenure.
func (l *tbLab) admUnder(release any, tenure int) map[string]any {
	target := admTarget(release)
	target["tenure"] = tenure
	return target
}

// admOwned is a target in the name of somebody's workflow.
func (l *tbLab) admOwned(s status, tenure int) map[string]any {
	l.w.t.Helper()
	description, err := l.w.temporal.DescribeWorkflow(l.w.t.Context(), s.ID, "")
	require.NoError(l.w.t, err)
	target := l.admUnder(s.Release, tenure)
	target["owner"] = string(effect.OwnerOf(s.ID, description.WorkflowExecution.RunID))
	return target
}

// admTenure is the tenure that is active.
func (l *tbLab) admTenure() int {
	l.w.t.Helper()
	return l.w.number(`SELECT tenure FROM lab_dev__ledger.active`)
}

// admCandidate is the generation of a day that a waiting deployment has built, and what is live there.
func (l *tbLab) admCandidate(version string) (day string, live, built int) {
	l.w.t.Helper()
	found := l.w.texts(`
		SELECT g.partition || ' ' || coalesce(g.baseline, 0) || ' ' || g.id
		FROM lab_dev__ledger.generation g
		WHERE g.version = $1 AND g.output = 'ta' AND g.state IN ('built', 'shadow')
		ORDER BY g.id DESC LIMIT 1`, version)
	require.Len(l.w.t, found, 1, "the deployment has built nothing yet")
	_, err := fmt.Sscan(found[0], &day, &live, &built)
	require.NoError(l.w.t, err)
	return day, live, built
}

func admSwaps(day string, live, built int) []map[string]any {
	return []map[string]any{{"output": "ta", "partition": day, "from": live, "to": built}}
}

// statements counts what is signed in the store about a release, of one kind.
func (w *world) statements(digest, kind string) int {
	w.t.Helper()
	blobs, err := filepath.Glob(w.path("store/blobs/sha256/*"))
	require.NoError(w.t, err)
	n := 0
	for _, name := range blobs {
		body, err := os.ReadFile(name)
		require.NoError(w.t, err)
		var envelope struct {
			Payload string `json:"payload"`
		}
		if json.Unmarshal(body, &envelope) != nil || envelope.Payload == "" {
			continue
		}
		said, err := base64.StdEncoding.DecodeString(envelope.Payload)
		require.NoError(w.t, err)
		if strings.Contains(string(said), strings.TrimPrefix(digest, "sha256:")) && strings.Contains(string(said), `"`+kind+`"`) {
			n++
		}
	}
	return n
}

// admSeen is all that a forged call could change for others: what readers see, in which tables and columns, which release is
// active, and what is signed.
func (l *tbLab) admSeen(digest string) []string {
	l.w.t.Helper()
	seen := l.w.texts(`SELECT tableoid::regclass || ' ' || ta::text FROM lab_dev.ta ORDER BY id`)
	seen = append(seen, l.w.texts(`SELECT attname::text FROM pg_attribute WHERE attrelid = 'lab_dev.ta'::regclass AND attnum > 0 AND NOT attisdropped`)...)
	seen = append(seen, l.w.texts(`SELECT 'active ' || version FROM lab_dev__ledger.active JOIN lab_dev__ledger.tenure ON number = tenure`)...)
	return append(seen, fmt.Sprint("passed ", l.w.statements(digest, "passed")))
}
