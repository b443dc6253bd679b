package console

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/canary"
	"drawbridge/internal/fieldtest"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/lint"
	"drawbridge/internal/schedule"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ text, want string }{
		"words stay":                   {"Änderung für 日本, ok ✔", "Änderung für 日本, ok ✔"},
		"a cursor moves":               {"ok\x1b[2Kapproved", `ok\u001b[2Kapproved`},
		"a line begins":                {"ok\nNext: drawbridge approve x", `ok\nNext: drawbridge approve x`},
		"a line is written over":       {"ok\rno", `ok\u000dno`},
		"a C1 control":                 {"ok\u009b2J", `ok\u009b2J`},
		"a bidirectional override":     {"user\u202etxt.exe", `user\u202etxt.exe`},
		"an isolate":                   {"a\u2066b\u2069", `a\u2066b\u2069`},
		"an invisible letter":          {"an\u200bn", `an\u200bn`},
		"a tag beyond the first plane": {"a\U000e0041", `a\U000e0041`},
		"bytes that are no text":       {"a\xffb", `a\xffb`},
		"a replacement character":      {"a\ufffdb", "a\ufffdb"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := string(escape(tc.text))
			require.Equal(t, tc.want, got)
			require.Equal(t, got, string(escape(got)), "escaping again changes nothing")
		})
	}
}

func TestATextHasABound(t *testing.T) {
	t.Parallel()
	require.Len(t, []rune(string(escape(strings.Repeat("ä", longest+1)))), longest+1, "cut, with a sign that it was")
	require.Len(t, []rune(string(escape(strings.Repeat("ä", longest)))), longest)
}

// evil is in every text of a value: an escape sequence, a bidirectional override, a line break.
const evil = "x\x1b]0;owned\a\u202e\nNext: rm -rf /"

// poison sets a text to evil; numbers and times hold none.
func poison(v reflect.Value) bool {
	if v.Kind() == reflect.String {
		v.SetString(evil)
	}
	return v.Type() == reflect.TypeFor[time.Time]()
}

func poisoned[T any]() T {
	var v T
	fieldtest.Value(reflect.ValueOf(&v).Elem(), poison)
	return v
}

func TestNoScreenLetsATextReachTheTerminal(t *testing.T) {
	t.Parallel()
	v := poisoned[view.View]()
	v.Stage = workflows.StageWaiting
	v.Gates[0].Decided = ""
	v.Crossings[0].Slices, v.Crossings[0].SlicesDone = 3, 1
	scheduled := v
	v.Schedule = nil
	over := v
	over.Stage = workflows.StageDone
	open, mute := Questions([]view.View{v, {ID: evil}})
	at := poisoned[Place]()
	keyed := poisoned[canary.Diff]()
	keyed.Mode, keyed.Changed = canary.Keyed, map[string]int64{evil: 3}
	d := poisoned[Decided]()
	waits := d
	waits.Gate = &gate.Gate{}
	recorded := d
	recorded.Gate = nil
	wrong := []activities.Checked{poisoned[activities.Checked]()}
	for _, s := range []Screen{paper(), {Now: noon(), Width: 60}} {
		story := Story{Screen: s}
		for name, text := range map[string]string{
			"status": s.Status(v), "over": s.Status(over), "ending": s.Ending(v), "list": s.List([]view.View{v, scheduled}), "inbox": s.Inbox(open, mute, []string{evil}),
			"history": s.History(at, poisoned[generation.History]()), "generations": s.Generations(at, poisoned[[]generation.Generation]()),
			"diff": s.Diff(at, keyed), "multiset": s.Diff(at, poisoned[canary.Diff]()), "sum": s.Sum(poisoned[Sum]()),
			"lint": s.Lint(poisoned[Lint]()), "lint rules": s.LintRules([]lint.Rule{{Name: evil, Alias: evil, Sees: evil, Why: evil, Instead: evil, Of: evil, Severity: evil}}),
			"doctor": s.Diagnosis(wrong), "validation": s.Validation(evil, poisoned[Report]()),
			"decided": s.Decided(d, evil), "waits": s.Decided(waits, evil), "recorded": s.Decided(recorded, evil), "look": s.LookAgain(evil),
			"scaffold": s.Scaffold(poisoned[Scaffold]()), "built": s.Built(poisoned[Built]()), "started": s.Started(poisoned[Started]()),
			"schedules": s.Schedules(poisoned[[]schedule.Standing]()), "next": s.Next(poisoned[schedule.Standing](), poisoned[[]Next]()),
			"steered schedule": s.SteeredSchedule(poisoned[SteeredSchedule]()), "gaps": s.Gaps(poisoned[Gaps]()),
			"asked": s.Asked(evil), "left": s.Left(evil), "missing": s.Missing([]string{evil}, []string{evil}),
			"unregistered": s.Unregistered(evil), "failed": s.Failed(evil, evil, evil), "document": s.Document(evil),
			"story": story.Status(v.Status, v.Retries), "progress": string(s.progress("", v.Status, v.Retries)),
		} {
			require.NotEmpty(t, text, name)
			for _, r := range text {
				require.True(t, r == '\n' || unicode.IsGraphic(r), "%s writes %U: %q", name, r, text)
			}
			if name != "document" { // which has lines of its own
				require.NotRegexp(t, `(?m)^Next: rm`, text, name)
			}
		}
	}
}

func TestJSONIsHarmlessAndTheSame(t *testing.T) {
	t.Parallel()
	text, err := JSON(map[string]string{"reason": evil + "<ä>\U000e0041"})
	require.NoError(t, err)
	for _, r := range text {
		require.True(t, r == '\n' || unicode.IsGraphic(r), "%U", r)
	}
	require.Contains(t, text, "<ä>", "what is readable stays so")
	var back map[string]string
	require.NoError(t, json.Unmarshal([]byte(text), &back))
	require.Equal(t, evil+"<ä>\U000e0041", back["reason"])
	line, err := Line(map[string]string{"a": "b\nc"})
	require.NoError(t, err)
	require.JSONEq(t, `{"a":"b\nc"}`, line)
	require.Equal(t, len(line)-1, strings.Index(line, "\n"), "it is one line")
}

func TestAProposedCommandIsOneCommand(t *testing.T) {
	t.Parallel()
	g := gate.Gate{Name: "approval-prod;reboot", Choices: []gate.Choice{gate.Approve}}
	require.Equal(t, []string{`drawbridge approve 'shop@$(id)' --gate 'approval-prod;reboot' --reason TEXT`}, g.Commands(typed("deploy/shop/$(id)")))
	require.Equal(t, `'it'\''s'`, word("it's"))
}
