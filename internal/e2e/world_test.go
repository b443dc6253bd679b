package e2e_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"google.golang.org/protobuf/types/known/durationpb"

	"drawbridge/workflows"
)

// world is a test's own part of the servers, and a folder with everything else.
type world struct {
	t         *testing.T
	dir       string
	namespace string
	url       string // of the database, as the workers know it
	db        *pgxpool.Pool
	address   string // of Temporal
	temporal  client.Client
	said      []string // all that the CLI has printed
	held      int      // holds so far
	days      []string // of which there are source files
	cutover   string   // of the policies that are written; empty: the default
}

// newWorld makes a world with the source files of five days, and policies in which only prod asks for approval.
func newWorld(t *testing.T) *world {
	t.Helper()
	return worldOn(t, os.Getenv(temporalAddress), os.Getenv(warehouseURL), os.Getenv(superuserURL))
}

// worldOn is newWorld on servers that are not everybody's.
func worldOn(t *testing.T, address, warehouse, superuser string) *world {
	t.Helper()
	if name := missing(); name != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("%s is not set: in CI no end-to-end test may be skipped", name)
		}
		t.Skipf("%s is not set: make test sets it", name)
	}
	name := "e2e_" + strings.ToLower(rand.Text()[:10])
	w := &world{t: t, dir: t.TempDir(), namespace: name}
	w.database(name, warehouse, superuser)
	w.server(address)
	t.Cleanup(w.tell)
	for _, folder := range []string{"policies", "source/data", "store"} {
		require.NoError(t, os.MkdirAll(w.path(folder), 0o755))
	}
	w.policies()
	w.sources(fiveDays())
	return w
}

// policies writes those that most tests have.
func (w *world) policies() {
	w.t.Helper()
	for _, env := range []string{"dev", "staging", "prod"} {
		w.policy(env, "approval: {required: false}\n")
	}
	w.policy("prod", "approval: {required: true, four_eyes: true}\nrequires: [staging]\n")
}

// inSteps has what is published, and turned back, become visible some partitions at a time, so that a test can stop it half-way.
func (w *world) inSteps() {
	w.t.Helper()
	w.cutover = "steps"
	w.policies()
}

func (w *world) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

// write writes a file of the world's folder.
func (w *world) write(name, body string) {
	w.t.Helper()
	require.NoError(w.t, os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
	require.NoError(w.t, os.WriteFile(w.path(name), []byte(body), 0o644))
}

// policy writes an environment's policy, with waits that no test outlasts.
func (w *world) policy(env, body string) {
	w.t.Helper()
	w.impatient(env, body, "20s")
}

// impatient is policy with a bound for both waits of a publish: for locks, and for snapshots.
func (w *world) impatient(env, body, wait string) {
	w.t.Helper()
	publish := "lock_budget: " + wait + ", snapshot_wait: " + wait
	if w.cutover != "" {
		publish += ", cutover: " + w.cutover
	}
	w.write("policies/policy."+env+".yaml", body+"publish: {"+publish+"}\n")
}

// env is the environment of every program: it holds nothing of the machine's but what programs cannot do without.
func (w *world) env() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.dir, "NO_COLOR=1",
		temporalAddress + "=" + w.address, "TEMPORAL_NAMESPACE=" + w.namespace,
		"DRAWBRIDGE_STORE=" + w.path("store"), "DRAWBRIDGE_USER=ada",
	}
}

func (w *world) database(name, warehouse, superuser string) {
	t := w.t
	t.Helper()
	owner, err := url.Parse(warehouse)
	require.NoError(t, err)
	admin, err := pgx.Connect(t.Context(), superuser)
	require.NoError(t, err)
	// One of its own: a publish waits for the snapshots of its database, and other tests hold some open on purpose.
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+name+" OWNER "+pgx.Identifier{owner.User.Username()}.Sanitize())
	require.NoError(t, err)
	require.NoError(t, admin.Close(t.Context()))
	owner.Path = "/" + name
	w.url = owner.String()
	w.db, err = pgxpool.New(t.Context(), w.url)
	require.NoError(t, err)
	t.Cleanup(func() {
		w.db.Close()
		ctx := cleanup(t)
		admin, err := pgx.Connect(ctx, superuser)
		require.NoError(t, err)
		defer func() { _ = admin.Close(ctx) }()
		_, err = admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		require.NoError(t, err)
	})
}

func (w *world) server(address string) {
	t := w.t
	t.Helper()
	var err error
	w.temporal, err = client.Dial(client.Options{HostPort: address, Namespace: w.namespace, Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))})
	require.NoError(t, err)
	w.address = address
	t.Cleanup(w.temporal.Close)
	_, err = w.temporal.WorkflowService().RegisterNamespace(t.Context(), &workflowservice.RegisterNamespaceRequest{
		Namespace: w.namespace, WorkflowExecutionRetentionPeriod: durationpb.New(24 * time.Hour),
	})
	require.NoError(t, err)
	attributes := map[string]enumspb.IndexedValueType{}
	for _, name := range []string{
		workflows.PipelineAttribute, workflows.EnvironmentAttribute, workflows.ReleaseAttribute, workflows.StageAttribute, workflows.GateAttribute,
	} {
		attributes[name] = enumspb.INDEXED_VALUE_TYPE_KEYWORD
	}
	w.await("the namespace to be usable", func() bool {
		_, err := w.temporal.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
			Namespace: w.namespace, SearchAttributes: attributes,
		})
		if err != nil {
			return false
		}
		_, err = w.temporal.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: workflows.StageAttribute + " = 'x'"})
		return err == nil
	})
}

// await looks until something is so.
func (w *world) await(what string, so func() bool) {
	w.t.Helper()
	if !w.becomes(patience, so) {
		require.FailNow(w.t, "waited in vain for "+what)
	}
}

// becomes looks for a while, and says whether something got so.
func (w *world) becomes(within time.Duration, so func() bool) bool {
	w.t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-deadline.C:
			return so()
		case <-tick.C:
		}
	}
	return true
}

// logTail is how much of a worker's log helps to see why a test failed.
const logTail = 8 << 10

// tell is done after every test, when its workers have ended and the servers are still there: what was said, logged and
// recorded holds no password, and no program raced with itself; of a failed test the logs are shown.
func (w *world) tell() {
	if !w.t.Failed() {
		w.never(w.password(), "WARNING: DATA RACE")
		return
	}
	logs, err := filepath.Glob(w.path("*.log"))
	require.NoError(w.t, err)
	for _, name := range logs {
		body, err := os.ReadFile(name)
		require.NoError(w.t, err)
		w.t.Logf("== %s\n%s", filepath.Base(name), body[max(0, len(body)-logTail):])
	}
}

// status reads where a workflow is, through the CLI.
func (w *world) status(id string) status {
	w.t.Helper()
	a := w.try("status", id, "--json")
	var s status
	require.NoError(w.t, json.Unmarshal([]byte(a.out), &s), "drawbridge status %s --json\n%s%s", id, a.out, a.err)
	s.code = a.code
	return s
}

// status is the answer of drawbridge status --json.
type status struct {
	ID      string     `json:"id"`
	Started *time.Time `json:"started"`
	workflows.Status
	code int
}

// cleanup is the context of what is done after a test, whose own has ended by then.
func cleanup(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}
