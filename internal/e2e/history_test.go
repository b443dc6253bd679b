package e2e_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/api/workflowservice/v1"
)

// executions lists all workflows of the world.
func (w *world) executions() []*commonpb.WorkflowExecution {
	w.t.Helper()
	var all []*commonpb.WorkflowExecution
	request := &workflowservice.ListWorkflowExecutionsRequest{Namespace: w.namespace}
	for {
		page, err := w.temporal.ListWorkflow(w.context(), request)
		require.NoError(w.t, err)
		for _, e := range page.GetExecutions() {
			all = append(all, e.GetExecution())
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return all
		}
	}
}

// history reads a workflow's events; an empty run is the last one.
func (w *world) history(id, run string) *historypb.History {
	w.t.Helper()
	events := w.temporal.GetWorkflowHistory(w.context(), id, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	var h historypb.History
	for events.HasNext() {
		e, err := events.Next()
		require.NoError(w.t, err)
		h.Events = append(h.Events, e)
	}
	return &h
}

// named is what the input of every workflow names.
func named(id string) string {
	for _, kind := range []string{"environment/", "hold/"} {
		if strings.HasPrefix(id, kind) {
			return `"environment"`
		}
	}
	return `"pipeline"`
}

// never asserts that texts are in no history, no log of a worker, and nothing that the CLI said.
func (w *world) never(texts ...string) {
	w.t.Helper()
	in := func(place, all string) {
		w.t.Helper()
		for _, text := range texts {
			require.NotContains(w.t, all, text, place)
		}
	}
	executions := w.executions()
	require.NotEmpty(w.t, executions)
	for _, e := range executions {
		recorded := plainText(w.t, w.history(e.GetWorkflowId(), e.GetRunId()))
		require.Contains(w.t, recorded, named(e.GetWorkflowId()), "its input cannot be read, so nothing would be found in it")
		in("history of "+e.GetWorkflowId(), recorded)
	}
	logs, err := filepath.Glob(w.path("*.log"))
	require.NoError(w.t, err)
	for _, name := range logs {
		body, err := os.ReadFile(name)
		require.NoError(w.t, err)
		in(filepath.Base(name), string(body))
	}
	in("what the CLI said", strings.Join(w.said, "\n"))
}

// plainText is a history with its payloads readable: JSON in JSON, not base64.
func plainText(t *testing.T, h *historypb.History) string {
	t.Helper()
	options := temporalproto.CustomJSONMarshalOptions{Metadata: map[string]any{commonpb.EnablePayloadShorthandMetadataKey: true}}
	body, err := options.Marshal(h)
	require.NoError(t, err)
	return string(body)
}

// password is the secret that every worker holds.
func (w *world) password() string {
	w.t.Helper()
	u, err := url.Parse(w.url)
	require.NoError(w.t, err)
	secret, _ := u.User.Password()
	require.NotEmpty(w.t, secret)
	return secret
}

// context is the test's, and, once that has ended, one for what is done after it.
func (w *world) context() context.Context {
	w.t.Helper()
	if ctx := w.t.Context(); ctx.Err() == nil {
		return ctx
	}
	return cleanup(w.t)
}

// recordDir is where histories of a release are kept for workflows/replay_test.go, recorded once from the code of that release:
// DRAWBRIDGE_RECORD=$PWD/workflows/testdata/replay/0.1.0 go test ./internal/e2e
const recordDir = "DRAWBRIDGE_RECORD"

// fixtureLimit keeps what is recorded small: a history that is larger has grown beyond what a test needs.
const fixtureLimit = 300 << 10

// who is the machine and process that did something: no part of what is replayed.
var who = regexp.MustCompile(`"identity":\s*"[^"]*"`)

// record keeps the history of a workflow's last run as a fixture, where that is wanted; scenario says how it ended. What is
// recorded already stays as it is: a history is a promise to workflows that are running.
func (w *world) record(id, scenario string) {
	w.t.Helper()
	w.recordRun(id, "", scenario)
}

// recordRun is record for one run of several.
func (w *world) recordRun(id, run, scenario string) {
	w.t.Helper()
	dir := os.Getenv(recordDir)
	if dir == "" {
		return
	}
	h := w.history(id, run)
	started := h.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
	kind := strings.ToLower(strings.TrimPrefix(started.GetWorkflowType().GetName(), "drawbridge."))
	body, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(h)
	require.NoError(w.t, err)
	body = who.ReplaceAll(body, []byte(`"identity": "recorded"`))
	require.Less(w.t, len(body), fixtureLimit, "%s of %s", scenario, id)
	require.NoError(w.t, os.MkdirAll(filepath.Join(dir, kind), 0o755))
	keep(w.t, filepath.Join(dir, kind, scenario+".json"), append(body, '\n'))
}

// keep writes a file that is not there yet, and refuses to write over another.
func keep(t *testing.T, name string, body []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	require.NoError(t, err, "a recorded history is never overwritten")
	_, err = f.Write(body)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// recordKinds keeps one history of each of these kinds, by what their IDs begin with.
func (w *world) recordKinds(scenario string, kinds ...string) {
	w.t.Helper()
	kept := map[string]bool{}
	for _, e := range w.executions() {
		kind, _, _ := strings.Cut(e.GetWorkflowId(), "/")
		if slices.Contains(kinds, kind) && !kept[kind] {
			kept[kind] = true
			w.record(e.GetWorkflowId(), scenario)
		}
	}
}
