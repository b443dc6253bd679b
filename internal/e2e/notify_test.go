package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/notice"
	"drawbridge/internal/schedule"
	"drawbridge/workflows"
)

// inbox is a real webhook, which takes events or fails.
type inbox struct {
	mu     sync.Mutex
	events []notice.Event
	down   bool
	asked  int
	secret string // of its URL
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	if i.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var e notice.Event
	if json.Unmarshal(body, &e) == nil {
		i.events = append(i.events, e)
	}
}

func (i *inbox) fails(down bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = down
}

func (i *inbox) tries() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// told are the kinds of the events so far, in order.
func (i *inbox) told() (kinds []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, e := range i.events {
		kinds = append(kinds, string(e.Kind))
	}
	return kinds
}

// event is the last one of a kind.
func (i *inbox) event(kind notice.Kind) (notice.Event, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, e := range slices.Backward(i.events) {
		if e.Kind == kind {
			return e, true
		}
	}
	return notice.Event{}, false
}

// listens writes a policy of an environment that tells a webhook, whose URL is behind a reference.
func (w *world) listens(env, approval string) *inbox {
	w.t.Helper()
	i := &inbox{secret: "B0TOKEN" + env}
	server := httptest.NewServer(i)
	w.t.Cleanup(server.Close)
	w.write("hook-"+env, server.URL+"/services/"+i.secret+"\n")
	w.policy(env, approval+"notify:\n  receivers:\n    team: {webhook: \"${file:"+w.path("hook-"+env)+"}\", owners: [shop-data]}\n")
	return i
}

// seen awaits that the server says of an environment that a worker is there.
func (w *world) seen(env string) {
	w.t.Helper()
	w.await("a worker of "+env+" to be seen", func() bool { return w.try("doctor", "--env", env).code == 0 })
}

func TestPeopleAreToldOfWhatHappensInAnEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.listens("dev", "approval: {required: true, four_eyes: true}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	w.seen("dev")
	a := w.cli(0, "notify", "test", "--env", "dev", "--json")
	require.Contains(t, a.out, "notify team")
	require.Equal(t, []string{"test"}, dev.told())

	w.cli(4, "deploy", w.release("1.0.0", "owner: shop-data\n", "owner: shop-data\nrunbook: https://wiki.example.com/shop\n"), "--to", "dev", "--reason", "first release")
	w.await("the gate to be told", func() bool { return slices.Contains(dev.told(), "gate_opened") })
	e, _ := dev.event(notice.GateOpened)
	require.Equal(t, "https://wiki.example.com/shop", e.Runbook)
	require.Equal(t, "shop-data", e.Owner)
	require.Equal(t, "ada", e.By)
	require.NotNil(t, e.Deadline)
	// The command that people are told is the one to type.
	i := slices.IndexFunc(e.Commands, func(c string) bool { return strings.HasPrefix(c, "drawbridge approve ") })
	command := strings.Fields(strings.TrimPrefix(strings.Replace(e.Commands[i], "TEXT", "looks-right", 1), "drawbridge "))
	w.cli(0, append(command, "--as", "grace")...)
	w.done(four, "1.0.0")
	w.await("the release to be told live", func() bool { return slices.Contains(dev.told(), "deployment_live") })

	w.cli(0, "hold", "--env", "dev", "--reason", "quarter end", "--as", "grace")
	w.await("the hold to be told", func() bool { return slices.Contains(dev.told(), "hold_set") })
	w.cli(0, "release-hold", "--env", "dev", "--as", "grace")
	require.Equal(t, []string{"test", "gate_opened", "gate_decided", "deployment_live", "hold_set"}, dev.told())
	w.never(dev.secret)
}

// A receiver that is down keeps nobody waiting, is named by doctor, and is told what it is owed when it is back, also by a worker that
// began later.
func TestAReceiverThatIsDownIsToldLaterAndDelaysNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.listens("dev", "approval: {required: false}\n")
	dev.fails(true)
	first := w.worker("first", "--env", "dev", "--workflows")
	w.seen("dev")
	a := w.cli(2, "notify", "test", "--env", "dev")
	require.Contains(t, a.out+a.err, "it answered 503")
	w.cli(0, "deploy", w.release("1.0.0"), "--to", "dev")
	w.holds("dev", four)
	w.await("it to be tried", func() bool { return dev.tries() > 1 })
	a = w.cli(2, "doctor", shop, "--env", "dev")
	require.Contains(t, a.out+a.err, "notify team")
	require.Contains(t, a.out+a.err, "it answered 503")
	first.kill()
	w.worker("second", "--env", "dev", "--workflows")
	dev.fails(false)
	w.await("it to be told", func() bool { return slices.Contains(dev.told(), "deployment_live") })
	w.await("doctor to find nothing", func() bool { return w.try("doctor", shop, "--env", "dev").code == 0 })
	require.Equal(t, []string{"deployment_live"}, dev.told())
	w.never(dev.secret)
}

// A workflow that was terminated says nothing any more: the environment says it.
func TestAnAbandonedWorkflowIsToldByItsEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.listens("dev", "approval: {required: true}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "dev")
	w.await("the gate to be told", func() bool { return slices.Contains(dev.told(), "gate_opened") })
	id := workflows.DeploymentID(shop, "1.0.0")
	require.NoError(t, w.temporal.TerminateWorkflow(t.Context(), id, "", "by somebody in the Web UI"))
	require.NoError(t, w.temporal.SignalWorkflow(t.Context(), workflows.EnvironmentID("dev"), "", workflows.Owed, nil)) // and not in ten minutes
	w.await("it to be told", func() bool { return slices.Contains(dev.told(), "workflow_abandoned") })
	e, _ := dev.event(notice.WorkflowAbandoned)
	require.Equal(t, id, e.Workflow)
	require.Equal(t, "shop-data", e.Owner)
	require.Contains(t, e.Commands, "drawbridge recover "+id)
}

// A run that is refused before it begins, and one that its audit refuses, are told alike: whoever starts them may be a clock.
func TestARunThatFailsIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.listens("dev", "approval: {required: false}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	folder := w.release("1.0.0")
	_, err := w.db.Exec(t.Context(), "CREATE SCHEMA "+schemaOf("dev")+"; CREATE TABLE "+schemaOf("dev")+".orders (theirs int)")
	require.NoError(t, err)
	w.cli(2, "run", folder, "--env", "dev", "--partition", middleDay)
	w.await("the run that was not let in to be told", func() bool { return slices.Contains(dev.told(), "run_failed") })
	refused, _ := dev.event(notice.RunFailed)
	require.Contains(t, refused.Why, "orders")
	_, err = w.db.Exec(t.Context(), "DROP TABLE "+schemaOf("dev")+".orders")
	require.NoError(t, err)
	w.cli(0, "deploy", folder, "--to", "dev")
	w.write(sourceOf(middleDay), "order_id,ordered_on,channel,amount,currency\n")
	w.cli(2, "run", shop, "--env", "dev", "--partition", middleDay)
	w.await("the failed audit to be told", func() bool {
		e, _ := dev.event(notice.RunFailed)
		return e.ID != refused.ID
	})
	e, _ := dev.event(notice.RunFailed)
	require.Equal(t, workflows.RunID(shop, "dev", middleDay), e.Workflow)
	require.Equal(t, notice.Critical, e.Severity)
}

// A clock started it, so nobody looks: its environment says what was due and is not there.
func TestATimeThatWasMissedIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dev := w.listens("dev", "approval: {required: false}\n")
	w.worker("worker", "--env", "dev", "--workflows")
	folder := w.folder("1.0.0")
	config := folder + "/config.dev.yaml"
	body, err := os.ReadFile(w.path(config))
	require.NoError(t, err)
	w.write(config, string(body)+"schedule: "+mornings+"\n")
	w.cli(0, "deploy", folder, "--to", "dev")
	w.cli(2, "schedule", "trigger", shop, "--env", "dev", "--at", "2026-03-01T06:00")
	w.await("the missed time to be told", func() bool { return slices.Contains(dev.told(), "schedule_missed") })
	e, _ := dev.event(notice.ScheduleMissed)
	require.Equal(t, schedule.RunsID(shop, "dev")+"-2026-03-01T06:00:00Z", e.Workflow)
	require.Equal(t, schedule.ID(shop, "dev"), e.By)
	require.Equal(t, "shop-data", e.Owner)
	require.Equal(t, notice.Critical, e.Severity)
	require.Contains(t, e.Why, "data/orders_2026-02-28.csv is not there")
	w.cli(0, strings.Fields(strings.TrimPrefix(e.Commands[0], "drawbridge "))...) // the command that people are told is the one to type
	require.Equal(t, []string{"deployment_live", "schedule_missed"}, dev.told())
	require.Zero(t, w.number("SELECT count(*) FROM "+schemaOf("dev")+"__ledger.notice WHERE kind = 'schedule_missed' AND told_at IS NULL"))
	require.Equal(t, 1, w.number("SELECT count(*) FROM "+schemaOf("dev")+"__ledger.notice WHERE kind = 'schedule_missed'"))
}
