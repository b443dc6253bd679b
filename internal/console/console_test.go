package console

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/canary"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/lint"
	"drawbridge/internal/release"
	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

var update = flag.Bool("update", false, "write the golden files")

// noon is the time of every test.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

// paper is where no terminal is.
func paper() Screen { return Screen{Now: noon()} }

// golden compares text with testdata/name, or writes it with -update.
func golden(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
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
			Kind:        "deployment",
			Pipeline:    "shop",
			Release:     release.Release{Pipeline: "shop", Version: "1.1.0"},
			Plan:        digestOf("9"),
			By:          "ana",
			Stage:       workflows.StageWaiting,
			Environment: "prod",
			Step:        "approval",
			Sentence:    "may shop@1.1.0 be published in prod?",
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
			Pipeline: "shop",
			Release:  release.Release{Version: "1.3.0"},
			Stage:    workflows.StageRolledBack,
			Sentence: "watch breached: turned back to 1.1.0",
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
		"abandoned":   {Header: conduct.Header{Gates: waitingStatus().Gates, Pipeline: "shop", Stage: view.Abandoned, Environment: "prod", Sentence: "it was ended from outside (terminated) before it was finished"}},
		"refused":     {Header: conduct.Header{Kind: view.Deployment, Pipeline: "shop", Stage: workflows.StageRefused, Environment: "dev", Step: "canary", Sentence: "the canary failed"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "status-"+name+".txt", paper().Status(view.View{ID: "deploy/shop/1.1.0", Status: s}))
		})
	}
}

// pausedStatus is a deployment in the middle of its slices that bob has paused.
func pausedStatus(held *time.Time) workflows.Status {
	s := inSlices()
	s.Kind, s.Stage, s.Sentence = view.Deployment, workflows.StagePaused, "paused by bob: the month is closed"
	s.Paused = &conduct.Paused{By: "bob", Reason: "the month is closed", At: noon().Add(-12 * time.Minute), Held: held}
	s.Crossings[0].Lanes = 2
	return s
}

func TestAPausedDeploymentSaysWhoWhySinceWhenAndHowToGoOn(t *testing.T) {
	t.Parallel()
	held := new(noon().Add(-11*time.Minute - 18*time.Second))
	lanes := pausedStatus(held)
	lanes.Lanes = 4
	atGate := waitingStatus()
	atGate.Paused = lanes.Paused
	for name, s := range map[string]workflows.Status{
		"paused": pausedStatus(held), "pausing": pausedStatus(nil), "paused-lanes": lanes, "paused-at-gate": atGate,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := paper().Status(view.View{ID: "deploy/shop/1.1.0", Status: s})
			golden(t, "status-"+name+".txt", text)
			for _, part := range []string{"bob", "the month is closed", "drawbridge resume shop@1.1.0"} {
				require.Contains(t, text, part)
			}
		})
	}
	require.Contains(t, paper().List([]view.View{{ID: "deploy/shop/1.1.0", Status: pausedStatus(held)}}), "Next: drawbridge resume shop@1.1.0")
}

func TestAnswersOfSteering(t *testing.T) {
	t.Parallel()
	id, at := "deploy/shop/1.1.0", noon().Add(-time.Minute)
	bob := &conduct.Paused{By: "bob", Reason: "too slow", At: at}
	held := &conduct.Paused{By: "bob", Reason: "too slow", At: at, Held: new(at.Add(42 * time.Second))}
	for name, x := range map[string]Steered{
		"pause":          {Command: conduct.Command{Kind: conduct.Pause, By: "ana"}, Now: &conduct.Steered{Paused: bob}},
		"pause-already":  {Command: conduct.Command{Kind: conduct.Pause, By: "ana"}, Now: &conduct.Steered{Already: true, Paused: held}},
		"pause-recorded": {Command: conduct.Command{Kind: conduct.Pause, By: "ana"}},
		"resume":         {Command: conduct.Command{Kind: conduct.Resume, By: "ana"}, Now: &conduct.Steered{}},
		"resume-already": {Command: conduct.Command{Kind: conduct.Resume, By: "ana"}, Now: &conduct.Steered{Already: true}},
		"lanes":          {Command: conduct.Command{Kind: conduct.SetLanes, By: "ana", Lanes: 4}, Now: &conduct.Steered{Lanes: 4}},
		"window":         {Command: conduct.Command{Kind: conduct.SetWindow, By: "ana"}, Now: &conduct.Steered{Window: "22:00-06:00"}},
		"window-always":  {Command: conduct.Command{Kind: conduct.SetWindow, By: "ana"}, Now: &conduct.Steered{Already: true}},
		"lanes-already":  {Command: conduct.Command{Kind: conduct.SetLanes, By: "ana", Lanes: 1}, Now: &conduct.Steered{Already: true, Lanes: 1, Paused: held}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x.ID = id
			golden(t, "answer-"+name+".txt", paper().Steered(x, "drawbridge-worker --workflows"))
		})
	}
}

func TestListScreen(t *testing.T) {
	t.Parallel()
	golden(t, "list.txt", paper().List([]view.View{
		{ID: "deploy/shop/1.1.0", Status: waitingStatus(), Ended: new(noon().Add(-time.Minute))},
		{ID: "run/shop/dev/2026-01-31", Status: workflows.Status{Header: conduct.Header{Pipeline: "shop", Stage: view.Abandoned, Environment: "dev"}}, Ended: new(noon().Add(-50 * time.Hour))},
		{ID: "rollback/shop/prod", Status: workflows.Status{Header: conduct.Header{Pipeline: "shop", Stage: workflows.StageDone}}, Ended: new(noon().Add(-3 * time.Hour))},
	}))
}

func TestInboxScreen(t *testing.T) {
	t.Parallel()
	open, mute := Questions([]view.View{{ID: "deploy/shop/1.1.0", Status: waitingStatus()}, {ID: "run/shop/dev/all", Status: workflows.Status{Header: conduct.Header{Pipeline: "shop"}}}})
	golden(t, "inbox.txt", paper().Inbox(open, mute, []string{"drawbridge-worker --workflows"}))
	golden(t, "inbox-empty.txt", paper().Inbox(nil, nil, nil))
}

func TestInspectionScreens(t *testing.T) {
	t.Parallel()
	env := Place{Pipeline: "shop", Environment: "prod"}
	at := Place{Pipeline: "shop", Environment: "prod", Output: "fct_orders", Partition: "2026-01-31"}
	shop := release.Release{Pipeline: "shop", Version: "1.1.0"}
	s := paper()
	for name, text := range map[string]string{
		"history": s.History(env, generation.History{Active: &release.Tenure{Number: 7, Release: shop}, Horizon: new(noon().Add(48 * time.Hour)), Events: []generation.Event{
			{At: noon(), Kind: "activate", Release: shop, Workflow: "deploy/shop/1.1.0", Text: "made active"},
			{At: noon().Add(-time.Minute), Kind: "publish", Release: shop, Workflow: "deploy/shop/1.1.0", Text: "3 partitions of fct_orders, dim_channel"},
		}}),
		"history-empty": s.History(env, generation.History{}),
		"generations": s.Generations(at, []generation.Generation{
			{ID: 57, State: generation.Live, Release: shop, Rows: 2001, At: noon()},
			{ID: 41, State: generation.Retired, Release: release.Release{Version: "1.0.0"}, Rows: 2000, At: noon().Add(-time.Hour), NotReattachable: "its columns differ"},
		}),
		"diff-keyed": s.Diff(at, canary.Diff{
			Mode: canary.Keyed, Baseline: canary.Origin("generation 41"), BaselineRows: 2000, CandidateRows: 2001, RemovedKeys: 1, AddedKeys: 2,
			CommonRows: 1999, ChangedRows: 20, Changed: map[string]int64{"amount": 20, "channel": 0},
			AddedColumns: []string{"currency_code"}, RemovedColumns: []string{"note"},
			Metrics: map[string]canary.MetricPair{"sum(amount)": {Baseline: new(1000.5), Candidate: new(2001.0)}, "avg(x)": {}},
		}),
		"diff-multiset":  s.Diff(at, canary.Diff{Mode: canary.Multiset, Baseline: "generation 41", RemovedKeys: 3, AddedKeys: 4, RepeatedKeys: true}),
		"diff-identical": s.Diff(at, canary.Diff{Identical: true, Baseline: "generation 41", BaselineRows: 7, CandidateRows: 7}),
		"checksum":       s.Sum(Sum{Pipeline: "shop", Environment: "prod", Output: "fct_orders", Rows: 12000, Checksum: "ab12"}),
		"doctor": s.Diagnosis([]activities.Checked{
			{Subject: "store", OK: true, Text: "can be read and written"},
			{Subject: "drawbridge-dev", Text: "no worker polls", Remedy: "drawbridge-worker --env dev"},
		}),
		"validation": s.Validation("shop", Report{Lines: []activities.Validation{
			{Subject: "fct_orders: columns", OK: true},
			{Subject: "tests/totals.yaml: totals are summed", Text: "expected 2 rows, got 1", Hint: "mend the SQL or the test"},
		}, Unchecked: []string{"SQL"}}),
		"validation-warnings": s.Validation("shop", Report{
			Environment: "dev", Lines: []activities.Validation{{Subject: "fct_orders: columns", OK: true}},
			Warnings: []lint.Finding{{
				File: "sql/fct_orders.sql", Line: 3, Column: 5, Rule: "select-star", Severity: lint.Warning,
				Text: "* stands for the columns of a table. A column that the source gains becomes one of the output.", Instead: "Write the columns out.",
			}},
		}),
		"lint":          s.Lint(migrations()),
		"lint-warnings": s.Lint(warnings()),
		"lint-sizes":    s.Lint(weighed()),
		"lint-nothing":  s.Lint(Lint{Args: []string{"migrations"}, Files: 1}),
		"lint-rules":    s.LintRules(lint.Rules()[:2]),
		"lint-width-60": Screen{Now: noon(), Width: 60}.Lint(migrations()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name+".txt", text)
		})
	}
}

// migrations is what was found in three files.
func migrations() Lint {
	return Lint{
		Args: []string{"my migrations"}, Severity: lint.Error, Files: 3,
		Findings: []lint.Finding{
			{
				File: "my migrations/0001.sql", Line: 1, Column: 31, Rule: "adding-required-field", Severity: lint.Error,
				Text: "orders.note is added NOT NULL without a default. On a table with rows it fails.", Instead: "Add it nullable, fill it, then set NOT NULL.",
			},
			{
				File: "my migrations/0003.sql", Line: 12, Column: 1, Rule: "creating-trigger", Severity: lint.Warning,
				Text: "the trigger stamp is made on orders. Writers wait.", Instead: "Set lock_timeout.",
			},
		},
		Counts:   map[lint.Severity]int{lint.Error: 1, lint.Warning: 4},
		Problems: []lint.Problem{{File: "my migrations/0002.sql", Line: 4, Column: 2, Text: `syntax error at or near "SELEC"`, Hint: "mend it"}},
	}
}

// warnings are found in a file in which nothing fails.
func warnings() Lint {
	l := migrations()
	l.Args, l.Files, l.Problems = []string{"0003.sql", "--no-transaction"}, 1, nil
	l.Findings, l.Counts = l.Findings[1:], map[lint.Severity]int{lint.Warning: 1}
	return l
}

// weighed is what was found on a large table, and on small ones.
func weighed() Lint {
	found := func(table string, severity lint.Severity, rows, bytes int64, seconds float64) lint.Finding {
		return lint.Finding{
			File: "0004.sql", Line: 1, Column: 1, Rule: "require-concurrent-index-creation", Severity: severity, Text: "The index of " + table + " is built without CONCURRENTLY.",
			Instead: "CREATE INDEX CONCURRENTLY.", Weight: &lint.Weight{Table: "shop." + table, Size: lint.Size{Rows: rows, Bytes: bytes}, Seconds: seconds},
		}
	}
	return Lint{
		Args: []string{"0004.sql", "--env", "prod", "--pipeline", "shop"}, Severity: lint.Error, Files: 1,
		Findings: []lint.Finding{
			found("orders", lint.Error, 40_000_000, 6_000_000_000, 133), found("customers", lint.Error, 900_000, 90_000_000, 2), found("log", lint.Error, -1, 900_000_000_000, 20_000),
			found("shops", lint.Note, 1200, 98_304, 0.002), found("fresh", lint.Note, -1, 0, 0),
		},
		Counts:  map[lint.Severity]int{lint.Error: 3, lint.Note: 2},
		Unsized: []string{"archive"},
	}
}

func TestAnswersOfCommands(t *testing.T) {
	t.Parallel()
	s := paper()
	for name, text := range map[string]string{
		"scaffold": s.Scaffold(Scaffold{Dir: "my shop", Files: []string{"pipeline.yaml", "sql/fct_orders.sql"}}),
		"built": s.Built(Built{
			Pipeline: "shop", Version: "1.0.0", Digest: digestOf("a"), Store: "/store", Created: true,
			Files: []Packed{{Path: "pipeline.yaml", Bytes: 1200}}, Skipped: []Skipped{{Path: "data", Reason: "data"}},
		}),
		"started":      s.Started(Started{ID: "deploy/shop/1.1.0", Run: "r", Plan: digestOf("9")}),
		"asked":        s.Asked("deploy/shop/1.1.0"),
		"asked-run":    s.Asked("run/shop/dev/2026-01-31"),
		"left":         s.Left("deploy/shop/1.1.0"),
		"missing":      s.Missing([]string{"drawbridge-dev", "drawbridge-dev-build"}, []string{"drawbridge-worker --env dev"}),
		"unregistered": s.Unregistered("temporal operator search-attribute create --name X --type Keyword"),
		"failed":       s.Failed("read pipeline: \npipeline.yaml:1:1: one\npipeline.yaml:2:1: two", "Mend the lines.", ""),
		"broken-off":   s.Failed("publish orders: it moved", "plan again", "run/shop/dev/all"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, "answer-"+name+".txt", text)
		})
	}
}

func TestDecisionScreens(t *testing.T) {
	t.Parallel()
	d := gate.Decision{Gate: "approval-prod", Plan: digestOf("9"), Choice: gate.Approve, By: "ana", Reason: "ok"}
	for name, tc := range map[string]struct {
		gate *gate.Gate
		want string
	}{
		"applied":         {&gate.Gate{Decided: gate.Approve, Why: "approve by ana: ok"}, "The gate is closed: approve by ana: ok"},
		"waits for more":  {&gate.Gate{Rule: gate.Approval{Quorum: 2}, Answers: make([]gate.Answer, 1)}, "1 of 2 have answered so"},
		"without workers": {nil, "recorded, will be applied when a worker returns (drawbridge-worker --workflows)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := paper().Decided(Decided{ID: "deploy/shop/1.1.0", Decision: d, Gate: tc.gate}, "drawbridge-worker --workflows")
			require.Contains(t, text, "approve by ana at gate approval-prod of plan 999999999999")
			require.Contains(t, text, tc.want)
			require.Equal(t, "Next: drawbridge status deploy/shop/1.1.0 --watch\n", paper().LookAgain("deploy/shop/1.1.0"))
		})
	}
}

func TestEveryProposedDecisionNamesItsPlan(t *testing.T) {
	t.Parallel()
	open, _ := Questions([]view.View{{ID: "deploy/shop/1.1.0", Status: waitingStatus()}})
	require.Equal(t, []string{
		"drawbridge approve shop@1.1.0 --gate approval-prod --plan 999999999999 --reason TEXT",
		"drawbridge reject shop@1.1.0 --gate approval-prod --plan 999999999999 --reason TEXT",
		"drawbridge decide shop@1.1.0 --gate approval-prod --plan 999999999999 --choice retry --reason TEXT",
	}, open[0].Commands)
	for _, text := range []string{paper().Inbox(open, nil, nil), paper().Status(view.View{ID: "deploy/shop/1.1.0", Status: waitingStatus()})} {
		for _, c := range open[0].Commands {
			require.Contains(t, text, c)
		}
	}
}

func TestColoursAreForThoseWhoWantThem(t *testing.T) {
	t.Parallel()
	v := view.View{ID: "deploy/shop/1.1.0", Status: waitingStatus()}
	plain, coloured := paper(), paper()
	coloured.Colour = true
	require.NotContains(t, plain.Status(v), "\x1b")
	require.Contains(t, coloured.Status(v), "\x1b[33mwaiting\x1b[m")
	require.Equal(t, plain.Status(v), ansi.Strip(coloured.Status(v)), "colours change nothing else")
}

// inSlices is a deployment with many slices, of which one did not pass.
func inSlices() workflows.Status {
	c := workflows.Crossing{Environment: "prod", State: "crossing", Step: "slice-9", Slices: 12, SlicesDone: 9, Verdicts: []workflows.GateVerdict{
		{Gate: "smoke", Verdict: gate.Verdict{Outcome: gate.Pass, Reason: "12 checks pass"}},
	}}
	for i := range 9 {
		v := gate.Verdict{Outcome: gate.Pass, Reason: "96 checks pass"}
		if i == 4 {
			v = gate.Verdict{Outcome: gate.Inconclusive, Reason: "fct_orders[2026-01-05]: no history", Evidence: []gate.Evidence{
				{Name: "fct_orders[2026-01-05]", Value: "12 rows", Outcome: gate.Inconclusive, Note: "no history"},
			}}
		}
		c.Verdicts = append(c.Verdicts, workflows.GateVerdict{Gate: fmt.Sprintf("slice-%d", i+1), Verdict: v})
	}
	return workflows.Status{Header: conduct.Header{Pipeline: "shop", Stage: workflows.StageCrossing, Environment: "prod", Step: "slice-9", Sentence: "building"}, Crossings: []workflows.Crossing{c}}
}

func TestSlicesAreOneLineWithABar(t *testing.T) {
	t.Parallel()
	text := paper().Status(view.View{ID: "deploy/shop/1.1.0", Status: inSlices()})
	golden(t, "status-slices.txt", text)
	require.NotContains(t, text, "slice-1:", "what passed is in the bar")
	require.Contains(t, text, "? slice-5: fct_orders[2026-01-05]: no history")
}

func TestWhatIsTriedAgainIsShownWithItsError(t *testing.T) {
	t.Parallel()
	v := view.View{ID: "deploy/shop/1.1.0", Status: inSlices(), Retries: []view.Retry{
		{Activity: "Publish", Attempt: 4, Attempts: 45, Next: new(noon().Add(12 * time.Second)), Error: "connection refused"},
		{Activity: "Build", Attempt: 2, Error: "the server restarts"},
	}}
	golden(t, "status-retries.txt", paper().Status(v))
}

func TestAnEndNamesWhatToDoAndABreachThatPersistsIsOneLine(t *testing.T) {
	t.Parallel()
	s := workflows.Status{
		Header: conduct.Header{Pipeline: "shop", Stage: workflows.StageRefused, Environment: "dev", Sentence: "2026-01-31 has no file", Hint: "put orders_2026-01-31.csv there"},
		Crossings: []workflows.Crossing{{Environment: "dev", State: "refused", Verdicts: []workflows.GateVerdict{
			{Gate: "watch", Times: 7, Verdict: gate.Verdict{Outcome: gate.Fail, Reason: "revenue is 0"}},
		}}},
	}
	golden(t, "status-hint.txt", paper().Status(view.View{ID: "deploy/shop/1.1.0", Status: s}))
}

func TestAScreenFitsItsTerminal(t *testing.T) {
	t.Parallel()
	s := waitingStatus()
	s.Sentence = strings.Repeat("a long sentence about what happened ", 8)
	v := view.View{ID: "deploy/shop/1.1.0", Status: s, Retries: []view.Retry{{Activity: "Publish", Attempt: 2, Error: strings.Repeat("no answer ", 30)}}}
	for _, width := range []int{40, 80} {
		screen := paper()
		screen.Width = width
		for _, text := range []string{screen.Status(v), screen.List([]view.View{v, v})} {
			for line := range strings.Lines(text) {
				line = strings.TrimRight(line, "\n")
				if strings.Contains(line, "drawbridge ") {
					continue // commands are copied as they are
				}
				require.LessOrEqual(t, lipgloss.Width(line), width, line)
			}
		}
		golden(t, fmt.Sprintf("status-width-%d.txt", width), screen.Status(v))
	}
}

// What is proposed to turn one partition back is taken by the environment, whatever went back there before.
func TestTheWayBackOfAPartitionIsAGenerationThatIsKept(t *testing.T) {
	t.Parallel()
	at := Place{Pipeline: "shop", Environment: "prod", Output: "fct_orders", Partition: "2026-01-31"}
	of := func(id int64, state generation.State) generation.Generation {
		return generation.Generation{ID: id, State: state}
	}
	gone := of(41, generation.Retired)
	gone.NotReattachable = "its columns differ"
	for to, all := range map[string][]generation.Generation{
		"57":      {of(60, generation.Live), of(57, generation.Retired), of(41, generation.Retired)},
		"41":      {of(60, generation.Retired), of(57, generation.Live), of(41, generation.Retired)},
		"60":      {of(60, generation.Retired), of(57, generation.Live), gone},
		"58":      {of(58, generation.Retired), gone},
		"nothing": {of(57, generation.Live), gone},
	} {
		require.Contains(t, paper().Generations(at, all), "--partition 2026-01-31 --to "+to+" --reason TEXT", to)
	}
}
