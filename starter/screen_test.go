package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/canary"
	"drawbridge/internal/gate"
	"drawbridge/internal/release"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// screen is an app that writes into a buffer, at noon.
func screen() (*app, *bytes.Buffer) {
	var out bytes.Buffer
	return &app{Main: &Main{Stdout: &out, Stderr: &out, Now: noon, Env: func(string) string { return "" }}}, &out
}

func digestOf(digit string) string {
	out := "sha256:"
	for range 64 {
		out += digit
	}
	return out
}

func waitingStatus() workflows.Status {
	return workflows.Status{
		Header: conduct.Header{
			Kind: "deployment", Pipeline: "shop", Release: release.Release{Pipeline: "shop", Version: "1.1.0"}, Plan: digestOf("9"), By: "ana",
			Stage: workflows.StageWaiting, Environment: "prod", Step: "approval", Sentence: "may shop@1.1.0 be published in prod?",
			Gates: []gate.Gate{
				{Name: "approval-staging", Plan: digestOf("9"), Decided: gate.Approve, Why: "approve by ben: ok"},
				{
					Name: "approval-prod", Plan: digestOf("9"), Question: "may shop@1.1.0 be published in prod?", Requester: "ana",
					Rule:    gate.Approval{Required: true, Quorum: 2, FourEyes: true, Approvers: []string{"ben", "cy", "di"}},
					Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: "no baseline"},
					Choices: []gate.Choice{gate.Approve, gate.Reject, gate.Retry}, OpenedAt: noon().Add(-time.Hour), Endless: true,
					Answers: []gate.Answer{{Decision: gate.Decision{Choice: gate.Approve, By: "ben", Reason: "numbers fit"}}},
				},
			},
			RefusedDecisions: []string{"approve by ana at gate approval-prod: four eyes"},
		},
		Crossings: []workflows.Crossing{
			{Environment: "dev", State: "live", Slices: 2, SlicesDone: 2, Verdicts: []workflows.GateVerdict{
				{Gate: "smoke-dev", Verdict: gate.Verdict{Outcome: gate.Pass, Reason: "12 checks pass"}},
				{Gate: "canary-dev", Verdict: gate.Verdict{Outcome: gate.Pass, Reason: "rows +0 %, no key removed"}},
			}},
			{Environment: "staging", State: "watching", WatchUntil: new(noon().Add(90 * time.Second))},
			{Environment: "prod", State: "crossing", Step: "approval", Slices: 5, SlicesDone: 1, Verdicts: []workflows.GateVerdict{
				{Gate: "canary-prod", Verdict: gate.Verdict{Outcome: gate.Inconclusive, Reason: "no baseline", Evidence: []gate.Evidence{
					{Name: "rows", Value: "2,000", Outcome: gate.Pass},
					{Name: "sum(amount)", Value: "+4 %", Limit: "1 %", Outcome: gate.Inconclusive, Note: "nothing to compare with"},
				}}},
			}},
		},
	}
}

// events are n events, a minute apart.
func events(n int) []workflows.Event {
	all := make([]workflows.Event, n)
	for i := range all {
		all[i] = workflows.Event{At: noon().Add(time.Duration(i-n) * time.Minute), Environment: "prod", Text: "event " + string(rune('a'+i))}
	}
	return all
}

func TestStatusScreens(t *testing.T) {
	t.Parallel()
	rolledBack := workflows.Status{
		Header: conduct.Header{
			Pipeline: "shop", Release: release.Release{Version: "1.3.0"}, Stage: workflows.StageRolledBack, Sentence: "watch breached: turned back to 1.1.0",
		},
		Crossings: []workflows.Crossing{{Environment: "prod", State: "turned_back", Verdicts: []workflows.GateVerdict{
			{Gate: "watch-prod", Verdict: gate.Verdict{Outcome: gate.Fail, Reason: "revenue per channel", Evidence: []gate.Evidence{
				{Name: "revenue_drift", Value: "0.31", Limit: "<= 0.05", Outcome: gate.Fail},
			}}},
		}}},
	}
	for name, s := range map[string]workflows.Status{
		"waiting":     waitingStatus(),
		"rolled-back": rolledBack,
		"running":     {Header: conduct.Header{Pipeline: "shop", Stage: workflows.StageCrossing, Environment: "dev", Step: "canary", Sentence: "building the canary"}},
		"done":        {Header: conduct.Header{Pipeline: "shop", Release: release.Release{Version: "1.1.0"}, Stage: workflows.StageDone, Environment: "prod", Sentence: "live in prod", Events: events(10)}},
		"abandoned":   {Header: conduct.Header{Gates: waitingStatus().Gates, Pipeline: "shop", Stage: stageAbandoned, Environment: "prod", Sentence: "it was ended from outside (terminated) before it was finished"}},
		"refused":     {Header: conduct.Header{Kind: deploymentKind, Pipeline: "shop", Stage: workflows.StageRefused, Environment: "dev", Step: "canary", Sentence: "the canary failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, out := screen()
			a.showStatus("deploy/shop", s, lastEvents(s))
			golden(t, "screen/status-"+name+".txt", out.String())
		})
	}
}

func TestListScreen(t *testing.T) {
	t.Parallel()
	a, out := screen()
	a.showList([]view{
		{ID: "deploy/shop", Status: waitingStatus(), Ended: new(noon().Add(-time.Minute))},
		{ID: "run/shop/dev/2026-01-31", Status: workflows.Status{Header: conduct.Header{Pipeline: "shop", Stage: stageAbandoned, Environment: "dev"}}, Ended: new(noon().Add(-50 * time.Hour))},
		{ID: "rollback/shop/prod", Status: workflows.Status{Header: conduct.Header{Pipeline: "shop", Stage: workflows.StageDone}}, Ended: new(noon().Add(-3 * time.Hour))},
	})
	golden(t, "screen/list.txt", out.String())
}

func TestInboxScreen(t *testing.T) {
	t.Parallel()
	a, out := screen()
	s := waitingStatus()
	a.showInbox([]question{{ID: "deploy/shop", Title: title(s), Gate: s.Gates[1]}}, []view{{ID: "run/shop/dev/all", Status: workflows.Status{Header: conduct.Header{Pipeline: "shop"}}}})
	golden(t, "screen/inbox.txt", out.String())
}

func TestInspectionScreens(t *testing.T) {
	t.Parallel()
	in := activities.InspectInput{Output: "fct_orders", Partition: "2026-01-31"}
	for name, show := range map[string]func(a *app){
		"diff-keyed": func(a *app) {
			a.showDiff("shop", "prod", in, canary.Diff{
				Mode: canary.Keyed, Baseline: canary.Origin("generation 41"), BaselineRows: 2000, CandidateRows: 2001, RemovedKeys: 1, AddedKeys: 2,
				CommonRows: 1999, ChangedRows: 20, Changed: map[string]int64{"amount": 20, "channel": 0},
				AddedColumns: []string{"currency_code"}, RemovedColumns: []string{"note"},
				Metrics: map[string]canary.MetricPair{"sum(amount)": {Baseline: new(1000.5), Candidate: new(2001.0)}, "avg(x)": {}},
			})
		},
		"diff-multiset": func(a *app) {
			a.showDiff("shop", "prod", in, canary.Diff{Mode: canary.Multiset, Baseline: "generation 41", RemovedKeys: 3, AddedKeys: 4, RepeatedKeys: true})
		},
		"diff-identical": func(a *app) {
			a.showDiff("shop", "prod", in, canary.Diff{Identical: true, Baseline: "generation 41", BaselineRows: 7, CandidateRows: 7})
		},
		"doctor": func(a *app) {
			a.showChecked([]activities.Checked{
				{Subject: "store", OK: true, Text: "can be read and written"},
				{Subject: "drawbridge-dev", Text: "no worker polls", Remedy: "drawbridge-worker --env dev"},
			})
		},
		"validation": func(a *app) {
			r := report{Lines: []activities.Validation{
				{Subject: "fct_orders: columns", OK: true},
				{Subject: "tests/totals.yaml: totals are summed", Text: "expected 2 rows, got 1", Hint: "mend the SQL or the test"},
			}, Unchecked: []string{"SQL"}}
			a.showValidation("shop", r, failures(r.Lines))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, out := screen()
			show(a)
			golden(t, "screen/"+name+".txt", out.String())
		})
	}
}

func TestDecisionScreens(t *testing.T) {
	t.Parallel()
	d := gate.Decision{Gate: "approval-prod", Plan: digestOf("9"), Choice: gate.Approve, By: "ana", Reason: "ok"}
	for name, tc := range map[string]struct {
		answer decided
		want   string
	}{
		"applied":         {decided{Delivery: applied, Gate: &gate.Gate{Decided: gate.Approve, Why: "approve by ana: ok"}}, "The gate is closed: approve by ana: ok"},
		"waits for more":  {decided{Delivery: applied, Gate: &gate.Gate{Rule: gate.Approval{Quorum: 2}, Answers: make([]gate.Answer, 1)}}, "1 of 2 have answered so"},
		"without workers": {decided{Delivery: recorded}, "recorded, will be applied when a worker returns (drawbridge-worker --workflows)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, out := screen()
			tc.answer.ID, tc.answer.Decision = "deploy/shop", d
			a.showDecided(tc.answer, false)
			require.Contains(t, out.String(), "approve by ana at gate approval-prod of plan 999999999999")
			require.Contains(t, out.String(), tc.want)
			require.Contains(t, out.String(), "Next: drawbridge status deploy/shop --watch")
		})
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	t.Parallel()
	a, _ := screen()
	require.False(t, a.style(a.Stdout).colour)
	require.Equal(t, "done", style{}.stage(workflows.StageDone))
	require.Equal(t, "\x1b[32mdone\x1b[0m", style{colour: true}.stage(workflows.StageDone))
}

func TestProgressLineFitsOneLine(t *testing.T) {
	t.Parallel()
	s := workflows.Status{Header: conduct.Header{Stage: workflows.StageCrossing, Environment: "prod", Step: "publish-rest"}, Crossings: []workflows.Crossing{{Environment: "prod", Slices: 5, SlicesDone: 3}}}
	require.Equal(t, "crossing prod · publish-rest · 3 of 5 steps published", progressLine(s))
	s.Step = string(bytes.Repeat([]byte("ä"), 100))
	require.LessOrEqual(t, len([]rune(progressLine(s))), 76)
}
