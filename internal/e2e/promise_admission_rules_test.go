package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
	"drawbridge/workflows"
)

// A run that waits when its release is rolled back does not publish that release's rows afterwards.
func TestARunOfARolledBackReleasePublishesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", "approval: {required: false}\n", "2m")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	l.deploy(tbFirst())
	l.deploy(tbSecond())
	held := w.session(holdsSnapshot)
	day := l.later() // nothing is live there that the rollback would take from under the run
	w.cli(0, "run", l.name, "--env", "dev", "--partition", day, "--detach")
	id := workflows.RunID(l.name, "dev", partition.Key(day))
	w.await("the run to wait with its publish", func() bool { return w.status(id).Step == "publish" })
	a := l.rollback()
	require.Equal(t, 0, a.code, tbTold(a))
	require.Equal(t, "1.0.0", l.active("dev"))
	require.NoError(t, held.Close(t.Context()))
	w.tbEnds(id)
	require.NotEqual(t, "10", l.seen("dev", "ta")[day], "a day of 1.1.0 in what is 1.0.0 again")
}

// While a rollback of an environment is done, an open deployment is not watching it any more: it says not that the release
// passed, and enters no other environment. Or the rollback is refused, and everything stays.
func TestARollbackDuringTheWatchEndsTheDeployment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", everything()...)
	l := w.tbNewLab("lab", 2)
	first, second := tbFirst(), tbSecond()
	first.environments, second.environments = []string{"staging", "prod"}, []string{"staging", "prod"}
	w.cli(0, "deploy", l.release(first), "--to", "staging")
	second.watch = "  for: 15s\n  every: 1s\n  checks:\n    - metric: {name: total, sql: SELECT sum(v) FROM ta, min: 0}\n"
	w.cli(0, "deploy", l.release(second), "--to", "prod", "--rebuild", "all", "--detach")
	id := w.status(l.name).ID
	w.await("the watch of staging", func() bool { return w.status(id).Stage == workflows.StageWatching })
	a := w.try("rollback", l.name, "--env", "staging", "--reason", "bad numbers")
	if a.code != 0 {
		require.Equal(t, 2, a.code, tbTold(a))
		require.Contains(t, a.out+a.err, "deploy", "the rollback names what is open there")
		l.are("staging", 10, "ta")
		return
	}
	l.are("staging", 1, "ta")
	s := w.tbEnds(id)
	require.True(t, s.Stage.Finished(), "it goes on in %s, step %s: %s", s.Environment, s.Step, s.Sentence)
	require.NotEqual(t, workflows.StageDone, s.Stage)
	require.Zero(t, w.statements(s.Release.Digest, "passed"), "staging did not pass")
}

func tbRead(w *world, name string) string {
	w.t.Helper()
	body, err := os.ReadFile(w.path(name))
	require.NoError(w.t, err)
	return string(body)
}

// reseal changes the text of a plan in the store, and returns the digest of what it has become.
func (w *world) reseal(digest string, change func(string) string) string {
	w.t.Helper()
	const blobs = "store/blobs/sha256/"
	body := tbRead(w, blobs+strings.TrimPrefix(digest, "sha256:"))
	changed := change(body)
	require.NotEqual(w.t, body, changed, "nothing was changed: the plan says it in other words")
	sum := sha256.Sum256([]byte(changed))
	w.write(blobs+hex.EncodeToString(sum[:]), changed)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// planned is the digest of a plan that was asked for.
func (w *world) planned(args ...string) string {
	w.t.Helper()
	var p struct {
		Digest string `json:"digest"`
	}
	require.NoError(w.t, json.Unmarshal([]byte(w.cli(0, append([]string{"plan"}, append(args, "--format", "json")...)...).out), &p))
	require.NotEmpty(w.t, p.Digest)
	return p.Digest
}

var admApproval = regexp.MustCompile(`"approval":\{[^{}]*\}`)

// The rule of an environment is its policy's, whatever a plan in the store says of it.
func TestAPlanDoesNotReplaceTheRuleOfApproval(t *testing.T) {
	t.Parallel()
	l := admWorld(t, tbFirst("ta"))
	digest := l.w.planned(l.release(tbSecond("ta")), "--to", "dev", "--rebuild", "all")
	forged := l.w.reseal(digest, func(body string) string {
		return admApproval.ReplaceAllString(body, `"approval":{"required":true,"quorum":1,"four_eyes":false,"expires":259200000000000}`)
	})
	l.w.try("deploy", forged)
	l.w.try("approve", l.name, "--reason", "I like my own work")
	l.w.tbEnds(l.name)
	l.are("dev", 1, "ta")
	require.Equal(t, "1.0.0", l.active("dev"))
}

// Nor does a plan say that nobody has to be asked, or that nothing is watched.
func TestAPlanReplacesNoLimitOfTheEnvironment(t *testing.T) {
	t.Parallel()
	l := admWorld(t, tbFirst("ta"))
	second := tbSecond("ta")
	second.watch = "  for: 1h\n  every: 1m\n  checks:\n    - metric: {name: total, sql: SELECT sum(v) FROM ta, vs_history: 25%}\n"
	digest := l.w.planned(l.release(second), "--to", "dev", "--rebuild", "all")
	for what, change := range map[string]func(string) string{
		"that nobody has to be asked": func(body string) string {
			return admApproval.ReplaceAllString(body, `"approval":{"required":false,"quorum":0,"four_eyes":false,"expires":0}`)
		},
		"that nothing is watched": func(body string) string {
			return regexp.MustCompile(`"watch":\{"for":\d+,"every":\d+`).ReplaceAllString(body, `"watch":{"for":0,"every":0`)
		},
	} {
		a := l.w.try("deploy", l.w.reseal(digest, change))
		require.Equal(t, 2, a.code, "a plan says %s: %s", what, tbTold(a))
		l.are("dev", 1, "ta")
	}
}

// A publish that waits for a session is no reason to ask just anybody: whoever may not let a release in may not end
// sessions, nor show readers an empty day.
func TestAParkedPublishAsksWhomThePolicyNames(t *testing.T) {
	t.Parallel()
	l := admWorld(t, tbFirst("ta"))
	l.w.session(holdsSnapshot)
	id := workflows.RunID(l.name, "dev", "2026-01-01")
	a := l.w.try("run", l.name, "--env", "dev", "--partition", l.days[0])
	require.Equal(t, 4, a.code, tbTold(a))
	before := l.child("dev", "ta", l.days[0])
	for _, choice := range []string{"proceed", "terminate"} {
		for _, who := range []string{"mallory", "ada"} { // no approver; who asked
			a := l.w.try("decide", id, "--choice", choice, "--as", who, "--reason", "I am in a hurry")
			require.NotZero(t, a.code, "%s by %s: %s", choice, who, tbTold(a))
		}
	}
	require.Equal(t, workflows.StageWaiting, l.w.status(id).Stage)
	require.Equal(t, before, l.child("dev", "ta", l.days[0]))
	require.Equal(t, 1, l.w.number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '`+report+`'`))
}

// Going back in an emergency needs one of those who may decide, not all of them.
func TestGoingBackNeedsOneVoice(t *testing.T) {
	t.Parallel()
	l := admWorld(t, tbFirst("ta"))
	second := tbSecond("ta")
	second.watch = tbAsks
	id := l.asks(second).ID
	l.agree(id)
	require.Equal(t, workflows.StageWaiting, l.w.tbEnds(id).Stage)
	l.are("dev", 10, "ta")
	l.w.cli(0, "decide", id, "--choice", "rollback", "--as", "grace", "--reason", "the totals are wrong")
	_, open := l.w.status(id).Open()
	require.False(t, open, "it asks for more voices")
	require.Equal(t, workflows.StageRolledBack, l.w.tbEnds(id).Stage)
	l.are("dev", 1, "ta")
}

// Who said no is on record where the yes is.
func TestARejectionIsRecorded(t *testing.T) {
	t.Parallel()
	l := admWorld(t, tbFirst("ta"))
	id := l.asks(tbSecond("ta")).ID
	l.w.cli(0, "reject", id, "--as", "grace", "--reason", "not on a Friday")
	require.Equal(t, workflows.StageRefused, l.w.tbEnds(id).Stage)
	require.Equal(t, 1, l.w.number(`SELECT count(*) FROM lab_dev__ledger.answer a WHERE a::text LIKE '%reject%' AND a::text LIKE '%grace%'`))
}

// What was approved is what is decided on: the line that one screen proposed does not approve what another plan asks.
func TestAProposedApprovalIsOfThePlanThatWasShown(t *testing.T) {
	t.Parallel()
	l := admWorld(t, tbFirst("ta"))
	folder := l.release(tbSecond("ta"))
	a := l.w.cli(4, "deploy", folder, "--to", "dev", "--rebuild", "all")
	id := l.w.status(l.name).ID
	line := regexp.MustCompile(`drawbridge (approve .*)`).FindStringSubmatch(a.out)
	require.NotNil(t, line, a.out)
	l.w.cli(0, "reject", id, "--as", "grace", "--reason", "look again")
	l.w.tbOver(id)
	next := l.asks(tbThird("ta"))
	args := strings.Fields(strings.TrimSuffix(line[1], "TEXT"))
	a = l.w.try(append(args, "looks right", "--as", "grace")...)
	require.NotZero(t, a.code, "the line of %s approves %s: %s", id, next.ID, tbTold(a))
	g, open := l.w.status(l.name).Open()
	require.True(t, open)
	require.Empty(t, g.Answers)
}

// The inbox proposes a line that says what it is about.
func TestTheInboxProposesThePlanItShows(t *testing.T) {
	t.Parallel()
	l := admWorld(t, tbFirst("ta"))
	s := l.asks(tbSecond("ta"))
	require.NotEmpty(t, s.Plan)
	short := strings.TrimPrefix(s.Plan, "sha256:")[:8]
	for _, screen := range []string{l.w.cli(0, "inbox").out, l.w.try("status", s.ID).out} {
		for line := range strings.SplitSeq(screen, "\n") {
			if strings.Contains(line, "drawbridge approve") {
				require.Contains(t, line, short, screen)
			}
		}
	}
}

// An output belongs to the pipeline that first published it, whoever else names it.
func TestAnOutputHasOneOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	l.deploy(tbFirst())
	other := w.tbNewLab("other", 2)
	folder := other.release(tbRelease{version: "1.0.0", factor: 100, schema: "lab_dev"})
	before := l.child("dev", "ta", l.days[0])
	for _, args := range [][]string{
		{"plan", folder, "--to", "dev"},
		{"deploy", folder, "--to", "dev", "--rebuild", "all"},
		{"run", folder, "--env", "dev", "--partition", l.days[0]},
	} {
		a := w.try(args...)
		require.Equal(t, 2, a.code, "%s: %s", args[0], tbTold(a))
		require.Regexp(t, `\blab\b`, a.out+a.err, args[0])
		require.Equal(t, before, l.child("dev", "ta", l.days[0]), args[0])
		l.are("dev", 1, "ta")
	}
	a := l.rollback("--output", "ta", "--partition", l.days[0], "--to", "last-good")
	require.Equal(t, 2, a.code, "nothing of another pipeline is what this one goes back to: %s", tbTold(a))
}

// A schema belongs to the environment that first wrote it: another one's config may name it, and reaches nothing.
func TestASchemaHasOneEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--env", "staging", "--workflows")
	l := w.tbNewLab("lab", 2)
	first := tbFirst()
	first.environments = []string{"staging"}
	w.cli(0, "deploy", l.release(first), "--to", "staging")
	second := tbSecond()
	second.environments, second.schema = []string{"dev", "staging"}, "lab_staging"
	folder := l.release(second)
	for _, args := range [][]string{
		{"plan", folder, "--to", "dev"},
		{"deploy", folder, "--to", "dev", "--rebuild", "all"},
		{"run", folder, "--env", "dev", "--partition", l.days[0]},
	} {
		a := w.try(args...)
		require.Equal(t, 2, a.code, "%s: %s", args[0], tbTold(a))
		require.Regexp(t, `\bstaging\b`, a.out+a.err, args[0])
		l.are("staging", 1, "ta")
	}
}

// An approval expires while its publish waits for a hold. Nothing is published under it, and it is asked for again: once the hold
// has ended, and with the reason.
func TestAnApprovalThatExpiresOnHoldIsAskedForAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", "approval: {required: true, approvers: [grace, linus], quorum: 2, expires: 20s}\n", "5s")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	l.approved(tbFirst("ta"))
	s := l.asks(tbSecond("ta"))
	w.cli(0, "hold", "--env", "dev", "--reason", "quarter end")
	l.agree(s.ID)
	w.await("it to wait for the hold", func() bool { return envTold(w.status(s.ID), "on hold: quarter end") })
	w.await("the approval to expire", func() bool {
		return w.number(`SELECT count(*) FROM lab_dev__ledger.answer WHERE at > now() - interval '20 seconds'`) == 0
	})
	w.cli(0, "release-hold", "--env", "dev")
	w.await("it to ask again", func() bool { return envTold(w.status(s.ID), "waits at gate approval-dev-2") })
	require.True(t, envTold(w.status(s.ID), "the approval of grace and linus expired at "))
	l.are("dev", tbFirst().factor, "ta")
	l.agree(s.ID)
	require.Equal(t, workflows.StageDone, l.w.tbEnds(s.ID).Stage)
	l.are("dev", tbSecond().factor, "ta")
}
