package gate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func opened() time.Time { return time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC) }

// open is an approval gate that ann asked for.
func open(change ...func(*gate.Gate)) gate.Gate {
	g := gate.Gate{
		Name: "approval-prod", Plan: digest, Requester: "ann", OpenedAt: opened(),
		Choices: []gate.Choice{gate.Approve, gate.Reject}, Rule: gate.Approval{Required: true},
	}
	for _, c := range change {
		c(&g)
	}
	return g
}

// said is bob's approval.
func said(change ...func(*gate.Decision)) gate.Decision {
	d := gate.Decision{Gate: "approval-prod", Plan: digest, Choice: gate.Approve, By: "bob", Reason: "the numbers are right"}
	for _, c := range change {
		c(&d)
	}
	return d
}

func TestWhatMayDecideAGate(t *testing.T) {
	t.Parallel()
	type decision = func(*gate.Decision)
	four := func(g *gate.Gate) { g.Rule.FourEyes = true }
	listed := func(g *gate.Gate) { g.Rule.Approvers = []string{"bob", "carol"} }
	cases := map[string]struct {
		gate  func(*gate.Gate)
		said  decision
		after time.Duration
		class fault.Class // empty: it counts
	}{
		"an approval":                          {},
		"a short digest of 8 hex digits":       {said: func(d *gate.Decision) { d.Plan = "01234567" }},
		"a digest of 7 hex digits names none":  {said: func(d *gate.Decision) { d.Plan = "0123456" }, class: fault.Conflict},
		"no digest names none":                 {said: func(d *gate.Decision) { d.Plan = "" }, class: fault.Conflict},
		"another plan":                         {said: func(d *gate.Decision) { d.Plan = "sha256:ffffffffffff" }, class: fault.Conflict},
		"another gate":                         {said: func(d *gate.Decision) { d.Gate = "approval-staging" }, class: fault.Conflict},
		"nobody":                               {said: func(d *gate.Decision) { d.By = "" }, class: fault.Invalid},
		"a name that turns the direction":      {said: func(d *gate.Decision) { d.By = "bob\u202e" }, class: fault.Invalid},
		"a name longer than a name":            {said: func(d *gate.Decision) { d.By = strings.Repeat("b", 201) }, class: fault.Invalid},
		"a reason longer than a page":          {said: func(d *gate.Decision) { d.Reason = strings.Repeat("r", 2001) }, class: fault.Invalid},
		"no reason":                            {said: func(d *gate.Decision) { d.Reason = "" }, class: fault.Invalid},
		"a choice that the gate does not take": {said: func(d *gate.Decision) { d.Choice = gate.Proceed }, class: fault.Invalid},
		"the requester, where two eyes do":     {said: func(d *gate.Decision) { d.By = "ann" }},
		"the requester, where four are wanted": {gate: four, said: func(d *gate.Decision) { d.By = "ann" }, class: fault.Refused},
		"the requester's own rejection":        {gate: four, said: func(d *gate.Decision) { d.By, d.Choice = "ann", gate.Reject }},
		"an approver of the list":              {gate: listed},
		"somebody who is not on the list":      {gate: listed, said: func(d *gate.Decision) { d.By = "dave" }, class: fault.Refused},
		"just before the default deadline":     {after: 72 * time.Hour},
		"after the default deadline":           {after: 72*time.Hour + time.Second, class: fault.Refused},
		"after a deadline of the policy":       {gate: func(g *gate.Gate) { g.Rule.Expires = time.Hour }, after: 2 * time.Hour, class: fault.Refused},
		"long after, where nothing expires":    {gate: func(g *gate.Gate) { g.Endless = true }, after: 1000 * time.Hour},
		"a gate that was decided by somebody":  {gate: func(g *gate.Gate) { g.Decided = gate.Reject }, class: fault.Conflict},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, d := open(), said()
			if c.gate != nil {
				c.gate(&g)
			}
			if c.said != nil {
				c.said(&d)
			}
			before := len(g.Answers)
			err := g.Apply(d, opened().Add(c.after))
			require.Equal(t, c.class, fault.ClassOf(err), "%v", err)
			if err != nil {
				require.NotEmpty(t, fault.HintOf(err), "a refusal says what to do next")
				require.Len(t, g.Answers, before, "a refused decision leaves no trace")
			} else {
				require.Equal(t, d.Choice, g.Decided)
			}
		})
	}
}

func TestAQuorumIsOfPeople(t *testing.T) {
	t.Parallel()
	g := open(func(g *gate.Gate) { g.Rule.Quorum = 2 })
	for range 3 {
		require.NoError(t, g.Apply(said(), opened()))
		require.Empty(t, g.Decided, "one person is one voice, however often it is raised")
	}
	require.NoError(t, g.Apply(said(func(d *gate.Decision) { d.By = "carol" }), opened()))
	require.Equal(t, gate.Approve, g.Decided)
	require.NoError(t, g.Apply(said(), opened()), "a repeated decision is no error, also when the gate is closed")
	require.Len(t, g.Answers, 2)
}

func TestGoingBackNeedsOneVoiceAndGoingOnTheQuorum(t *testing.T) {
	t.Parallel()
	for choice, alone := range map[gate.Choice]bool{
		gate.Reject: true, gate.Rollback: true, gate.Retry: true,
		gate.Approve: false, gate.Proceed: false, gate.Terminate: false, gate.Keep: false,
	} {
		g := open(func(g *gate.Gate) {
			g.Rule.Quorum, g.Choices = 2, []gate.Choice{choice}
		})
		require.NoError(t, g.Apply(said(func(d *gate.Decision) { d.Choice = choice }), opened()))
		require.Equal(t, alone, g.Decided == choice, choice)
	}
}

func TestAGateThatNobodyDecidedRejects(t *testing.T) {
	t.Parallel()
	g := open()
	g.Expire()
	require.Equal(t, gate.Reject, g.Decided)
	decided := open(func(g *gate.Gate) { g.Decided = gate.Approve })
	decided.Expire()
	require.Equal(t, gate.Approve, decided.Decided)
}

func TestADecidedGateNeverChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		g := open(func(g *gate.Gate) {
			g.Rule.Quorum = rapid.IntRange(0, 3).Draw(t, "quorum")
			g.Rule.FourEyes = rapid.Bool().Draw(t, "four eyes")
		})
		voices := map[string]bool{}
		for range rapid.IntRange(1, 12).Draw(t, "decisions") {
			was := g.Decided
			d := said(func(d *gate.Decision) {
				d.By = rapid.SampledFrom([]string{"ann", "bob", "carol", "dave"}).Draw(t, "by")
				d.Choice = rapid.SampledFrom([]gate.Choice{gate.Approve, gate.Reject}).Draw(t, "choice")
			})
			if err := g.Apply(d, opened()); err == nil && d.Choice == gate.Approve && was == "" {
				voices[d.By] = true
			}
			if was != "" {
				require.Equal(t, was, g.Decided)
			}
			if was == "" && g.Decided == gate.Approve {
				require.GreaterOrEqual(t, len(voices), max(1, g.Rule.Quorum))
				require.False(t, g.Rule.FourEyes && voices["ann"])
			}
		}
	})
}

func TestWorstOutcome(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		of   []gate.Outcome
		want gate.Outcome
	}{
		"nothing was measured":          {nil, gate.Inconclusive},
		"all pass":                      {[]gate.Outcome{gate.Pass, gate.Pass}, gate.Pass},
		"one is unsure":                 {[]gate.Outcome{gate.Pass, gate.Inconclusive, gate.Pass}, gate.Inconclusive},
		"one fails":                     {[]gate.Outcome{gate.Inconclusive, gate.Fail, gate.Pass}, gate.Fail},
		"an outcome that was never set": {[]gate.Outcome{""}, gate.Inconclusive},
		"an unset outcome after a pass": {[]gate.Outcome{gate.Pass, ""}, gate.Inconclusive},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, gate.Worst(c.of...))
		})
	}
}
