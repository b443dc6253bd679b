package console

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"charm.land/lipgloss/v2"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

func TestOnlyNewEventsAreTold(t *testing.T) {
	t.Parallel()
	event := func(second int, text string) workflows.Event {
		return workflows.Event{At: noon().Add(time.Duration(second) * time.Second), Text: text}
	}
	a, b, c, d := event(1, "a"), event(1, "b"), event(2, "c"), event(3, "d")
	require.Equal(t, []workflows.Event{a, b}, newEvents([]workflows.Event{a, b}, nil))
	require.Equal(t, []workflows.Event{b, c}, newEvents([]workflows.Event{a, b, c}, &a), "two of one second")
	require.Empty(t, newEvents([]workflows.Event{a, b}, &b))
	require.Equal(t, []workflows.Event{d}, newEvents([]workflows.Event{c, d}, &workflows.Event{At: c.At, Text: "forgotten"}))
	require.Empty(t, newEvents(nil, &d))
}

func TestAStoryIsALinePerEvent(t *testing.T) {
	t.Parallel()
	story := Story{Screen: paper()}
	s := workflows.Status{Header: conduct.Header{Stage: workflows.StageCrossing, Events: []workflows.Event{{At: noon(), Environment: "dev", Step: "smoke", Text: "built"}}}}
	require.Equal(t, "12:00:00  dev       smoke           built\n", story.Status(s, nil))
	require.Empty(t, story.Status(s, nil), "an event is told once")
	require.Empty(t, story.End(), "nothing is written over where no terminal is")
}

func TestAStoryTellsEachErrorOnce(t *testing.T) {
	t.Parallel()
	story := Story{Screen: paper()}
	s := workflows.Status{Header: conduct.Header{Stage: workflows.StageCrossing}}
	retry := func(attempt int, err string) []view.Retry {
		return []view.Retry{{Activity: "Publish", Attempt: attempt, Error: err}}
	}
	require.Equal(t, "↻ Publish is tried again: attempt 2; the last one said: down\n", story.Status(s, retry(2, "down")))
	require.Empty(t, story.Status(s, retry(3, "down")))
	require.Contains(t, story.Status(s, retry(4, "starting")), "attempt 4; the last one said: starting")
	require.Empty(t, story.Status(s, nil))
	require.Contains(t, story.Status(s, retry(2, "starting")), "starting", "it failed anew")
}

func TestALiveStoryWritesItsLastLineOver(t *testing.T) {
	t.Parallel()
	story := Story{Screen: paper(), Live: true}
	s := workflows.Status{Header: conduct.Header{Stage: workflows.StageCrossing, Environment: "prod", Step: "slice-3"}}
	require.Equal(t, clearLine+"⠙ crossing prod · slice-3", story.Status(s, nil))
	s.Events = []workflows.Event{{At: noon(), Text: "published"}}
	text := story.Status(s, nil)
	require.Regexp(t, "^"+regexp.QuoteMeta(clearLine)+"12:00:00.*published\n"+regexp.QuoteMeta(clearLine), text, "the event takes the place of the line")
	require.Equal(t, clearLine, story.End())
	require.Empty(t, story.End())
}

func TestTheProgressFitsOneLine(t *testing.T) {
	t.Parallel()
	s := workflows.Status{Header: conduct.Header{Stage: workflows.StageCrossing, Environment: "prod", Step: "publish-rest"}, Crossings: []workflows.Crossing{{Environment: "prod", Slices: 5, SlicesDone: 3}}}
	require.Equal(t, "* crossing prod · publish-rest · ████████████░░░░░░░░ 3 of 5 slices", string(paper().progress("*", s, nil)))
	require.Contains(t, string(paper().progress("*", workflows.Status{}, []view.Retry{{Activity: "Publish", Attempt: 7}})), "Publish attempt 7")
	s.Step = strings.Repeat("ä", 100)
	require.Equal(t, narrow, lipgloss.Width(string(paper().progress("*", s, nil))))
	wide := paper()
	wide.Width = 30
	require.Equal(t, 29, lipgloss.Width(string(wide.progress("*", s, nil))))
}

func TestAStoryThatGoesOnSaysWhatToTypeWhenAPersonIsAskedOnce(t *testing.T) {
	t.Parallel()
	story := Story{Screen: paper(), ID: "deploy/shop/1.1.0", Through: true}
	approval := gate.Gate{Name: "approval-prod", Choices: []gate.Choice{gate.Approve, gate.Reject}, OpenedAt: noon()}
	s := workflows.Status{Header: conduct.Header{Stage: workflows.StageWaiting, Gates: []gate.Gate{approval}}}
	lines := "Next: drawbridge approve shop@1.1.0 --gate approval-prod --reason TEXT\n" +
		"      drawbridge reject shop@1.1.0 --gate approval-prod --reason TEXT\n"
	require.Equal(t, lines, story.Status(s, nil))
	require.Empty(t, story.Status(s, nil), "it is said once")
	s.Gates[0].Decided = gate.Approve
	require.Empty(t, story.Status(s, nil), "it is decided")
	again := approval
	again.OpenedAt = noon().Add(time.Hour)
	s.Gates = []gate.Gate{again}
	require.Equal(t, lines, story.Status(s, nil), "it asks anew")

	held := noon()
	s = workflows.Status{Header: conduct.Header{Stage: workflows.StagePaused, Paused: &conduct.Paused{By: "ana", At: noon()}}}
	require.Empty(t, story.Status(s, nil), "what has begun goes on to its edge")
	s.Paused.Held = &held
	require.Equal(t, "Next: drawbridge resume shop@1.1.0\n      drawbridge cancel deploy/shop/1.1.0\n", story.Status(s, nil))
	require.Empty(t, story.Status(s, nil))

	short := Story{Screen: paper(), ID: "deploy/shop/1.1.0"}
	require.Empty(t, short.Status(workflows.Status{Header: conduct.Header{Stage: workflows.StageWaiting, Gates: []gate.Gate{approval}}}, nil),
		"the screen that follows says it")
}
