package notice_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/notice"
)

func opened() notice.Event {
	at := time.Date(2026, 11, 26, 8, 0, 0, 0, time.UTC)
	deadline := at.Add(72 * time.Hour)
	return notice.Event{
		Schema: notice.Schema, ID: "deploy/shop/1.1.0/run/prod/gate_opened/approval-prod", Kind: notice.GateOpened, Severity: notice.GateOpened.Severity(), At: at,
		Environment: "prod", Pipeline: "shop", Owner: "sales-data", Release: "shop@1.1.0", Workflow: "deploy/shop/1.1.0", Gate: "approval-prod",
		What: "publish shop@1.1.0 to prod?", Why: "within budget", By: "ann", Deadline: &deadline, Runbook: "https://wiki.example.com/shop",
		Numbers:  []notice.Number{{Name: "rows", Value: "+0.1%", Limit: "5%", Outcome: "pass"}},
		Commands: []string{"drawbridge approve deploy/shop/1.1.0 --gate approval-prod --plan 0123456789ab --reason TEXT"},
	}
}

func TestAReceiverIsToldOfWhatItWantsToHearOf(t *testing.T) {
	t.Parallel()
	of := func(change func(*notice.Event)) notice.Event {
		e := opened()
		change(&e)
		return e
	}
	for name, tc := range map[string]struct {
		filter notice.Filter
		event  notice.Event
		wants  bool
	}{
		"without a filter everything":          {notice.Filter{}, opened(), true},
		"its owner's pipelines":                {notice.Filter{Owners: []string{"finance", "sales-data"}}, opened(), true},
		"no other owner's":                     {notice.Filter{Owners: []string{"finance"}}, opened(), false},
		"what is about no pipeline":            {notice.Filter{Owners: []string{"finance"}}, of(func(e *notice.Event) { e.Pipeline, e.Owner = "", "" }), true},
		"what nobody is known to own":          {notice.Filter{Owners: []string{"finance"}}, of(func(e *notice.Event) { e.Owner = "" }), true},
		"its kinds":                            {notice.Filter{Kinds: []notice.Kind{notice.RunFailed, notice.GateOpened}}, opened(), true},
		"no other kind":                        {notice.Filter{Kinds: []notice.Kind{notice.RunFailed}}, opened(), false},
		"what matters as much as it asks for":  {notice.Filter{Severity: notice.Warning}, opened(), true},
		"nothing that matters less than that":  {notice.Filter{Severity: notice.Critical}, opened(), false},
		"a consumer's own":                     {notice.Filter{Consumers: []string{"bi", "crm"}}, of(func(e *notice.Event) { e.Consumer = "crm" }), true},
		"no other consumer's":                  {notice.Filter{Consumers: []string{"bi"}}, of(func(e *notice.Event) { e.Consumer = "crm" }), false},
		"nothing but a consumer's":             {notice.Filter{Consumers: []string{"bi"}}, opened(), false},
		"consumers', where it does not choose": {notice.Filter{}, of(func(e *notice.Event) { e.Consumer = "crm" }), true},
		"nothing that only some filters allow": {notice.Filter{Owners: []string{"sales-data"}, Severity: notice.Critical}, opened(), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.wants, tc.filter.Wants(tc.event))
		})
	}
}

func TestAnOpenGateIsRemindedOfAndItsEndIsSaidBefore(t *testing.T) {
	t.Parallel()
	e := opened()
	later := notice.Later(e, 8*time.Hour, 4*time.Hour)
	require.Len(t, later, 2)
	require.Equal(t, notice.GateReminded, later[0].Event.Kind)
	require.Equal(t, e.At.Add(8*time.Hour), later[0].Due)
	require.Equal(t, notice.GateExpiring, later[1].Event.Kind)
	require.Equal(t, e.Deadline.Add(-4*time.Hour), later[1].Due)
	require.Equal(t, notice.Critical, later[1].Event.Severity)
	require.NotEqual(t, later[0].Event.ID, later[1].Event.ID)

	third := later[0].Event.Again(2).Again(3)
	require.Equal(t, e.ID+"/reminder-3", third.ID)
	require.Equal(t, 3, third.Reminder)

	e.Deadline = nil
	require.Len(t, notice.Later(e, 8*time.Hour, 4*time.Hour), 1, "what does not expire is not about to")
	soon := e.At.Add(time.Hour)
	e.Deadline = &soon
	require.Empty(t, notice.Later(e, 0, 4*time.Hour), "it is said at once until when it is open")
}

func TestNothingInAnEventIsMarkupOrCallsAnybody(t *testing.T) {
	t.Parallel()
	e := opened()
	e.What, e.By = "look at <!channel> & \x1b[31m\n*:rotating_light:*", strings.Repeat("x", 5000)
	e = e.Tidy(func(text string) string { return text })
	text := e.Slack()
	require.NotContains(t, text, "<!channel>")
	require.Contains(t, text, "&lt;!channel&gt; &amp;")
	require.NotContains(t, text, "\x1b")
	require.NotContains(t, e.What, "\n")
	require.LessOrEqual(t, len(e.By), fault.MaxText)
	require.Contains(t, e.Mail(), "<!channel>")
}

func TestEveryTextOfAnEventIsTidied(t *testing.T) {
	t.Parallel()
	body, err := json.Marshal(opened().Tidy(func(string) string { return "@" }))
	require.NoError(t, err)
	for _, text := range []string{"shop", "sales-data", "approval-prod", "budget", "ann", "wiki", "rows", "5%"} {
		require.NotContains(t, strings.ReplaceAll(string(body), `"id":"deploy/shop/1.1.0/run/prod/gate_opened/approval-prod"`, ""), text)
	}
}

func TestEveryKindHasASeverityAndIsChosen(t *testing.T) {
	t.Parallel()
	seen := map[notice.Severity]bool{}
	for _, k := range notice.Kinds() {
		seen[k.Severity()] = true
	}
	require.Len(t, seen, len(notice.Severities()))
	require.NotContains(t, notice.Kinds(), notice.Test)
}

// The published schema is what programs are written against.
func TestTheSchemaOfAnEventIsThePublishedOne(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile(filepath.Join("..", "..", "docs", "event.schema.json"))
	require.NoError(t, err)
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("event", parsed))
	schema, err := c.Compile("event")
	require.NoError(t, err)

	event, err := json.Marshal(opened().Again(1))
	require.NoError(t, err)
	var value map[string]any
	require.NoError(t, json.Unmarshal(event, &value))
	value["text"] = opened().Slack()
	require.NoError(t, schema.Validate(value))
	properties := parsed.(map[string]any)["properties"].(map[string]any)
	for key := range value {
		require.Contains(t, properties, key, "the schema says what it is")
	}
	kinds := properties["kind"].(map[string]any)["enum"].([]any)
	require.Len(t, kinds, len(notice.Kinds())+1)
	for _, k := range append(notice.Kinds(), notice.Test) {
		require.Contains(t, kinds, string(k))
	}
	delete(value, "id")
	require.Error(t, schema.Validate(value))
}

func TestAConsumerIsRemindedInItsTimeAndThenEveryDay(t *testing.T) {
	t.Parallel()
	asked := opened()
	asked.Kind, asked.Consumer, asked.Notice, asked.ID = notice.ConsumerAsked, "bi", "# all of it", "x"
	until := asked.At.Add(10 * 24 * time.Hour)
	asked.Deadline = &until
	chase := notice.Chase(asked)
	require.Len(t, chase, 2+14)
	for i, want := range []struct {
		kind notice.Kind
		due  time.Time
	}{
		{notice.ConsumerReminded, asked.At.Add(5 * 24 * time.Hour)},
		{notice.ConsumerReminded, until.Add(-24 * time.Hour)},
		{notice.ConsumerOverdue, until},
		{notice.ConsumerOverdue, until.Add(24 * time.Hour)},
	} {
		require.Equal(t, want.kind, chase[i].Event.Kind)
		require.Equal(t, want.kind.Severity(), chase[i].Event.Severity)
		require.Equal(t, want.due, chase[i].Due)
		require.Equal(t, notice.AckQuestion("bi"), chase[i].Question, "it is owed only until bi is ready")
		require.Empty(t, chase[i].Event.Notice, "it was told once")
	}
	ids := map[string]bool{}
	for _, o := range chase {
		ids[o.Event.ID] = true
	}
	require.Len(t, ids, len(chase), "each is told once")

	soon := asked.At.Add(time.Minute)
	asked.Deadline = &soon
	require.Equal(t, notice.ConsumerOverdue, notice.Chase(asked)[0].Event.Kind, "of a minute no half is worth a word")
	past := asked.At.Add(-36 * time.Hour)
	asked.Deadline = &past
	require.Equal(t, asked.At.Add(12*time.Hour), notice.Chase(asked)[0].Due, "what should have been told before is not told all at once")
	asked.Deadline = nil
	require.Empty(t, notice.Chase(asked))
}

func TestANoticeKeepsItsLinesAndIsBounded(t *testing.T) {
	t.Parallel()
	e := opened()
	e.Consumer, e.Notice = "bi", "To bi\n\n- chan\x1b[31m goes <!channel>\n"+strings.Repeat("word word\n", 2000)
	tidy := e.Tidy(func(s string) string { return strings.ReplaceAll(s, "word", "xxxx") })
	require.Contains(t, tidy.Notice, "To bi\n\n- chan")
	require.NotContains(t, tidy.Notice, "\x1b")
	require.NotContains(t, tidy.Notice, "word", "secrets are taken out of it too")
	require.Less(t, len(tidy.Notice), 6100)
	require.Contains(t, tidy.Slack(), "- chan")
	require.NotContains(t, tidy.Slack(), "<!channel>")
}
