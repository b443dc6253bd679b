package gate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
)

// Recorded answers are held against a rule anew, whenever somebody acts on them; what they lack is said as it is.
func TestWhatRecordedAnswersComeTo(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	at := func(name string, ago time.Duration, choice gate.Choice, by ...string) gate.Gate {
		g := gate.Gate{Name: name, Plan: "sha256:plan", Requester: "ada"}
		for _, person := range by {
			g.Answers = append(g.Answers, gate.Answer{
				Decision: gate.Decision{Gate: name, Plan: g.Plan, Choice: choice, By: person, Reason: "read it"}, At: now.Add(-ago),
			})
		}
		return g
	}
	rule := gate.Approval{Required: true, Approvers: []string{"grace", "linus"}, Quorum: 2, Expires: time.Hour}
	old, fresh := 2*time.Hour, time.Minute
	for name, c := range map[string]struct {
		answers []gate.Gate
		begun   bool
		lacks   string // empty: satisfied
		lapsed  bool
	}{
		"nobody was asked":                   {lacks: "none is recorded for this release and plan"},
		"a gate that nobody answered":        {answers: []gate.Gate{at("approval-prod", fresh, gate.Approve)}, lacks: "none is recorded for this release and plan"},
		"another gate":                       {answers: []gate.Gate{at("approval-production", fresh, gate.Approve, "grace", "linus")}, lacks: "none is recorded for this release and plan"},
		"the gate of a numbered environment": {answers: []gate.Gate{at("approval-prod-eu-2", fresh, gate.Approve, "grace", "linus")}, lacks: "none is recorded for this release and plan"},
		"both":                               {answers: []gate.Gate{at("approval-prod", fresh, gate.Approve, "grace", "linus")}},
		"both, where many gates came before": {answers: []gate.Gate{at("approval-prod-27", fresh, gate.Approve, "grace", "linus")}},
		"one of two":                         {answers: []gate.Gate{at("approval-prod", fresh, gate.Approve, "grace")}, lacks: "what is recorded for this release and plan does not meet it"},
		"one at each of two gates": {answers: []gate.Gate{
			at("approval-prod", fresh, gate.Approve, "grace"), at("approval-prod-2", fresh, gate.Approve, "linus"),
		}, lacks: "what is recorded for this release and plan does not meet it"},
		"somebody who may not": {answers: []gate.Gate{at("approval-prod", fresh, gate.Approve, "eve", "mallory")}, lacks: "what is recorded for this release and plan does not meet it"},
		"a rejection":          {answers: []gate.Gate{at("approval-prod", fresh, gate.Reject, "grace")}, lacks: "it was rejected"},
		"what has expired": {
			answers: []gate.Gate{at("approval-prod", old, gate.Approve, "grace", "linus")}, lacks: "the approval of grace and linus expired at 2026-01-31T11:00:00Z", lapsed: true,
		},
		"what has expired in part": {
			answers: []gate.Gate{{Name: "approval-prod", Plan: "sha256:plan", Requester: "ada", Answers: append(
				at("approval-prod", old, gate.Approve, "grace").Answers, at("approval-prod", fresh, gate.Approve, "linus").Answers...)}},
			lacks: "the approval of grace expired at 2026-01-31T11:00:00Z", lapsed: true,
		},
		"what had begun before it expired": {answers: []gate.Gate{at("approval-prod", old, gate.Approve, "grace", "linus")}, begun: true},
		"what was asked again": {answers: []gate.Gate{
			at("approval-prod", old, gate.Approve, "grace", "linus"), at("approval-prod-2", fresh, gate.Approve, "linus", "grace"),
		}},
		"what was asked again, and rejected": {answers: []gate.Gate{
			at("approval-prod", old, gate.Approve, "grace", "linus"), at("approval-prod-2", fresh, gate.Reject, "linus"),
		}, lacks: "it was rejected"},
		"one of two that expired": {answers: []gate.Gate{at("approval-prod", old, gate.Approve, "grace")}, lacks: "what is recorded for this release and plan does not meet it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.lacks == "", gate.Satisfied(rule, gate.ApprovalOf("prod"), c.answers, now, c.begun))
			if c.lacks == "" {
				return
			}
			why, lapsed := gate.Lack(rule, gate.ApprovalOf("prod"), c.answers, now)
			require.Equal(t, c.lacks, why)
			require.Equal(t, c.lapsed, lapsed)
		})
	}
}
