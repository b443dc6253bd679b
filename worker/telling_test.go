package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/internal/notice"
	"drawbridge/internal/notify"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
	"drawbridge/internal/secret"
	"drawbridge/internal/source"
	"drawbridge/internal/testdb"
)

// receiver is a real webhook that takes events, fails, or hangs.
type receiver struct {
	mu     sync.Mutex
	events []notice.Event
	status int
	hang   chan struct{} // until it is closed
	asked  int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, _ := io.ReadAll(req.Body)
	r.mu.Lock()
	hang := r.hang
	r.asked++
	r.mu.Unlock()
	if hang != nil {
		select {
		case <-hang:
		case <-req.Context().Done():
		}
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status != 0 {
		w.WriteHeader(r.status)
		return
	}
	var e notice.Event
	if json.Unmarshal(body, &e) == nil {
		r.events = append(r.events, e)
	}
}

func (r *receiver) answers(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

func (r *receiver) ids() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []string
	for _, e := range r.events {
		ids = append(ids, filepath.Base(e.ID))
	}
	return ids
}

// office is an environment with a real ledger, and real receivers.
type office struct {
	*activities.Telling
	db    *testdb.DB
	now   time.Time
	fates map[effect.Owner]activities.Fate
}

// folder is a store with one release of a pipeline.
type folder struct {
	activities.Store
	files map[string][]byte
}

func (f folder) Files(context.Context, string) (map[string][]byte, error) { return f.files, nil }

func newOffice(t *testing.T, receivers map[string]*receiver) *office {
	t.Helper()
	db := testdb.New(t)
	o := &office{db: db, now: time.Now(), fates: map[effect.Owner]activities.Fate{}}
	policy := pipeline.Policy{Environment: "prod", Notify: pipeline.Notify{Receivers: map[string]pipeline.Receiver{}, Remind: time.Hour, Expiring: time.Hour}}
	policy.Connections = map[string]pipeline.Connection{"warehouse": {URL: "${env:WAREHOUSE}", Schemas: pipeline.Schemas{Write: []string{db.Schema}}}}
	for name, r := range receivers {
		server := httptest.NewServer(r)
		t.Cleanup(server.Close)
		reference := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(reference, []byte(server.URL+"/services/"+name), 0o600))
		policy.Notify.Receivers[name] = pipeline.Receiver{Webhook: "${file:" + reference + "}"}
	}
	w := newWarehouses(2, secret.Resolver{Getenv: func(string) string { return db.URL }, ReadFile: os.ReadFile})
	t.Cleanup(w.close)
	site := &activities.Site{
		Environment: "prod", Policy: policy, Warehouse: w.opener(policy, source.Below(t.TempDir())), Ledgers: w.ledgers(policy),
		Sender: notify.New(&secret.Known{}), Store: folder{files: map[string][]byte{
			"pipeline.yaml": []byte("name: shop\nversion: 1.0.0\nowner: sales-data\nrunbook: https://wiki.example.com/shop\npartition: all\n" +
				"outputs: [{table: t, sql: t.sql, key: [id], checks: [{row_count: {min: 1}}]}]\n"),
			"t.sql": []byte("SELECT 1 AS id"), "config.prod.yaml": []byte("warehouse_schema: " + db.Schema + "\n"),
		}},
		Fate: func(_ context.Context, owner effect.Owner) (activities.Fate, string, error) {
			return o.fates[owner], "", nil
		},
	}
	o.Telling = &activities.Telling{Site: site, Now: func() time.Time { return o.now }}
	return o
}

func (o *office) announce(t *testing.T, owner effect.Owner, events ...notice.Event) {
	t.Helper()
	o.fates[owner] = activities.FateOpen
	for i := range events {
		events[i].At = o.now
	}
	_, err := act[any](t, o.Announce, activities.AnnounceInput{Events: events, Target: activities.Target{
		Environment: "prod", Owner: owner, Release: release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:10"},
	}})
	require.NoError(t, err)
}

func (o *office) deliver(t *testing.T) activities.Delivered {
	t.Helper()
	done, err := act[activities.Delivered](t, o.Deliver, activities.DeliverInput{Environment: "prod"})
	require.NoError(t, err)
	return done
}

// caller is the ID of the workflow that the test environment says calls.
const caller = "default-test-workflow-id"

// act runs an activity as a worker does.
func act[Out any](t *testing.T, f, in any) (out Out, err error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.SetTestTimeout(time.Minute)
	env.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: "act"})
	value, err := env.ExecuteActivity("act", in)
	if err == nil && value.HasValue() {
		err = value.Get(&out)
	}
	return out, err
}

// later lets time pass in the ledger, which alone knows what is due.
func (o *office) later(t *testing.T, d time.Duration) {
	t.Helper()
	o.db.Exec(t, "UPDATE "+o.db.Schema+"__ledger.notice SET due = due - make_interval(secs => $1)", d.Seconds())
}

// someone is a workflow that has something to tell.
func someone() effect.Owner { return effect.OwnerOf(caller, uuid.NewString()) }

func TestWhatIsAnnouncedIsToldWithOwnerRunbookAndWhatItMatters(t *testing.T) {
	t.Parallel()
	team := &receiver{}
	o := newOffice(t, map[string]*receiver{"team": team})
	owner := someone()
	for range 2 { // an attempt that is made again
		o.announce(t, owner, activities.RunFailed(owner.Workflow(), "ann", "its file is broken", o.now))
	}
	o.deliver(t)
	o.deliver(t)
	require.Equal(t, []string{"run_failed"}, team.ids())
	e := team.events[0]
	require.Equal(t, "sales-data", e.Owner)
	require.Equal(t, "https://wiki.example.com/shop", e.Runbook)
	require.Equal(t, notice.Critical, e.Severity)
	require.Equal(t, notice.Schema, e.Schema)
	require.Equal(t, "prod", e.Environment)
	require.Equal(t, "ann", e.By)
}

func TestAReceiverThatFailsIsToldInOrderWhenItIsBack(t *testing.T) {
	t.Parallel()
	team, oncall := &receiver{status: http.StatusBadGateway}, &receiver{}
	o := newOffice(t, map[string]*receiver{"team": team, "oncall": oncall})
	owner := someone()
	for _, id := range []string{"1", "2", "3"} {
		o.announce(t, owner, notice.Event{ID: id, Kind: notice.BackfillStarted, What: "it begins"})
	}
	next := o.deliver(t).Next
	require.Empty(t, team.ids())
	require.Equal(t, 1, team.asked, "what else it is owed rests too")
	require.Equal(t, []string{"1", "2", "3"}, oncall.ids())
	require.WithinDuration(t, o.now.Add(5*time.Second), next, 4*time.Second)
	for range 8 {
		o.later(t, 20*time.Minute)
		next = o.deliver(t).Next
	}
	require.LessOrEqual(t, time.Until(next), 10*time.Minute, "it is tried again as long as it is down, and not ever more rarely")
	team.answers(0)
	o.later(t, 20*time.Minute)
	o.deliver(t)
	require.Equal(t, []string{"1", "2", "3"}, team.ids())
}

// A receiver that hangs keeps nobody else waiting, and is tried again.
func TestAReceiverThatHangsKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	team, oncall := &receiver{hang: make(chan struct{})}, &receiver{}
	o := newOffice(t, map[string]*receiver{"team": team, "oncall": oncall})
	owner := someone()
	o.announce(t, owner, notice.Event{Kind: notice.DeploymentLive, What: "it is live"})
	delivered := make(chan activities.Delivered, 1)
	go func() {
		done, _ := act[activities.Delivered](t, o.Deliver, activities.DeliverInput{Environment: "prod"})
		delivered <- done
	}()
	require.Eventually(t, func() bool { return len(oncall.ids()) == 1 }, time.Minute, 10*time.Millisecond)
	select {
	case <-delivered:
		require.FailNow(t, "the test means to look while the other hangs")
	default:
	}
	began := time.Now()
	o.announce(t, owner, notice.Event{Kind: notice.DeploymentRefused, What: "no"}) // whose events these are does not wait
	require.Less(t, time.Since(began), 5*time.Second)
	require.False(t, (<-delivered).Next.IsZero())
	close(team.hang)
	team.mu.Lock()
	team.hang = nil
	team.mu.Unlock()
	o.later(t, time.Hour)
	o.deliver(t)
	require.Equal(t, []string{"deployment_live", "deployment_refused"}, team.ids())
}

func TestAnOpenGateIsRemindedOfUntilItIsDecided(t *testing.T) {
	t.Parallel()
	team := &receiver{}
	o := newOffice(t, map[string]*receiver{"team": team})
	owner := someone()
	deadline := o.now.Add(4*time.Hour + 30*time.Minute)
	o.announce(t, owner, notice.Event{ID: "approval-prod", Gate: "approval-prod", Kind: notice.GateOpened, What: "publish it?", Deadline: &deadline})
	o.deliver(t)
	require.Equal(t, []string{"approval-prod"}, team.ids())
	o.later(t, 30*time.Minute)
	o.deliver(t)
	require.Len(t, team.ids(), 1, "not yet")
	for range 2 {
		o.later(t, time.Hour)
		o.deliver(t)
	}
	require.Equal(t, []string{"approval-prod", "reminder-1", "reminder-2"}, team.ids())
	o.later(t, time.Hour)
	o.deliver(t)
	require.ElementsMatch(t, []string{"reminder-3", "expiring"}, team.ids()[3:])
	o.announce(t, owner, notice.Event{ID: "approval-prod", Gate: "approval-prod", Kind: notice.GateDecided, What: "approve by bob"})
	o.later(t, 5*time.Hour)
	o.deliver(t)
	require.Equal(t, notice.GateDecided, team.events[len(team.events)-1].Kind)
	require.Len(t, team.ids(), 6)
	require.True(t, o.deliver(t).Next.IsZero(), "nothing is owed any more")
}

// A workflow that was terminated says nothing any more: that is told for it, once, and nobody is reminded of its gates.
func TestAnAbandonedWorkflowIsToldOnceAndItsGatesAreRemindedOfNoMore(t *testing.T) {
	t.Parallel()
	team := &receiver{}
	o := newOffice(t, map[string]*receiver{"team": team})
	owner, ended := someone(), someone()
	for _, who := range []effect.Owner{owner, ended} {
		o.announce(t, who, notice.Event{ID: "approval-prod", Gate: "approval-prod", Kind: notice.GateOpened, What: "publish it?"})
	}
	require.LessOrEqual(t, time.Until(o.deliver(t).Next), 10*time.Minute, "what is open is looked at")
	o.fates[owner], o.fates[ended] = activities.FateAbandoned, activities.FateEnded
	for range 3 {
		o.later(t, 3*time.Hour)
		o.deliver(t)
	}
	require.Equal(t, []string{"approval-prod", "approval-prod", "workflow_abandoned"}, team.ids())
	told := team.events[2]
	require.Equal(t, caller, told.Workflow)
	require.Contains(t, told.Commands, "drawbridge recover "+caller)
	require.Equal(t, "shop", told.Pipeline)
}

// What one worker owed another one tells: it is in the ledger, and nowhere else.
func TestWhatIsOwedSurvivesWhoeverOwesIt(t *testing.T) {
	t.Parallel()
	team := &receiver{status: http.StatusServiceUnavailable}
	o := newOffice(t, map[string]*receiver{"team": team})
	o.announce(t, someone(), notice.Event{Kind: notice.RunFailed, What: "no"})
	o.deliver(t)
	o.later(t, time.Hour)
	w, err := o.Site.Warehouse(t.Context(), pipeline.Config{Environment: "prod", Warehouse: "warehouse", WarehouseSchema: o.db.Schema})
	require.NoError(t, err)
	_, ok, err := w.TakeOwed(t.Context(), "team", time.Minute) // by a worker that dies before it says what became of it
	require.NoError(t, err)
	require.True(t, ok)
	team.answers(0)
	require.WithinDuration(t, time.Now().Add(time.Minute), o.deliver(t).Next, 30*time.Second)
	require.Empty(t, team.ids())
	o.later(t, time.Hour)
	o.deliver(t)
	require.Equal(t, []string{"run_failed"}, team.ids())
}
