package e2e_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
	"drawbridge/workflows"
)

// snapshot is a session whose REPEATABLE READ snapshot is older than whatever is built from now on.
func (w *world) snapshot() (end func()) {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url+"&application_name=a-long-report")
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close(cleanup(w.t)) })
	_, err = conn.Exec(w.t.Context(), `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1`)
	require.NoError(w.t, err)
	return func() {
		w.t.Helper()
		_, err := conn.Exec(w.t.Context(), `ROLLBACK`)
		require.NoError(w.t, err)
	}
}

// A run that waits when its release is rolled back does not publish that release's rows afterwards.
func TestARunOfARolledBackReleasePublishesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", "approval: {required: false}\n", "2m")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	l.deploy(tbFirst())
	l.deploy(tbSecond())
	end := w.snapshot()
	day := l.later() // nothing is live there that the rollback would take from under the run
	w.cli(0, "run", l.name, "--env", "dev", "--partition", day, "--detach")
	id := workflows.RunID(l.name, "dev", partition.Key(day))
	w.await("the run to wait with its publish", func() bool { return w.status(id).Step == "publish" })
	a := l.rollback()
	require.Equal(t, 0, a.code, tbTold(a))
	require.Equal(t, "1.0.0", l.active("dev"))
	end()
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
	l.w.snapshot()
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
	require.Equal(t, 1, l.w.number(`SELECT count(*) FROM pg_stat_activity WHERE application_name = 'a-long-report'`))
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
	require.Equal(t, 1, l.w.number(`SELECT count(*) FROM lab_dev__ledger.approval a WHERE a::text LIKE '%reject%' AND a::text LIKE '%grace%'`))
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

// admMoves is a lab with days and a dimension whose second release waits for its approval.
func admMoves(t *testing.T) (*tbLab, status) {
	t.Helper()
	w := newWorld(t)
	w.policy("dev", admRule)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 3)
	first, second := tbFirst("ta"), tbSecond("ta")
	first.dim, second.dim = true, true
	l.approved(first)
	return l, l.asks(second)
}

// A scheduled run while the gate is open moves what the deployment has built: the approval still holds, and it goes on.
func TestARunAtTheOpenGateDoesNotSpendTheApproval(t *testing.T) {
	t.Parallel()
	for name, day := range map[string]func(*tbLab) string{
		"a new day":         (*tbLab).later,
		"the canary's day":  func(l *tbLab) string { return l.days[2] },
		"a day of the rest": func(l *tbLab) string { return l.days[0] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, s := admMoves(t)
			moved := day(l)
			l.w.cli(0, "run", l.name+"@1.0.0", "--env", "dev", "--partition", moved)
			l.agree(s.ID)
			s = l.w.tbEnds(s.ID)
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			l.are("dev", 10, "dim")
			seen := l.seen("dev", "ta")
			for _, d := range tbDays(3) {
				require.Equal(t, "10", seen[d], "%s: %v", d, seen)
			}
			require.Contains(t, []string{"1", "10"}, seen[moved], "what the run published is there, or built again")
		})
	}
}

// Runs of several days at once share a dimension, and none is refused for what another has published of the same inputs.
func TestRunsAtOnceAllPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", "approval: {required: false}\n", "2m")
	w.worker("first", "--env", "dev", "--workflows", "--builds", "4")
	l := w.tbNewLab("lab", 4)
	first := tbFirst()
	first.dim = true
	l.deploy(first)
	held := l.block("dev", "dim", "")
	ids := make([]string, len(l.days))
	for i, day := range l.days {
		w.cli(0, "run", l.name, "--env", "dev", "--partition", day, "--detach")
		ids[i] = workflows.RunID(l.name, "dev", partition.Key(day))
	}
	for _, id := range ids {
		w.await("all runs to have built", func() bool { s := w.status(id); return s.Step == "publish" || s.Stage.Finished() })
	}
	held.end()
	for _, id := range ids {
		s := w.tbEnds(id)
		require.Equal(t, workflows.StageDone, s.Stage, "%s: %s", id, s.Sentence)
	}
	l.are("dev", 1, "ta", "dim")
}

// widened puts a column that nobody declared into a day's file.
func (l *tbLab) widened(day string) {
	l.w.t.Helper()
	body := strings.ReplaceAll(tbRows(day), "\n", ",123-45-6789\n")
	l.w.write(l.source(day), strings.Replace(body, "v,123-45-6789", "v,ssn", 1))
}

// tbStar makes a release whose outputs are all that the files have.
func (l *tbLab) star(r tbRelease) string {
	l.w.t.Helper()
	folder := l.release(r)
	l.w.write(folder+"/sql/ta.sql", "SELECT * FROM raw\n")
	return folder
}

// columns are what readers of SELECT * get.
func (l *tbLab) columns(env string) []string {
	l.w.t.Helper()
	return l.w.texts(`SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, l.schema(env)+".ta")
}

// refusesRun asserts that a run says no, names what it is about, and changes nothing that readers see.
func (l *tbLab) refusesRun(env, day, names string) {
	l.w.t.Helper()
	columns, child := l.columns(env), l.child(env, "ta", day)
	a := l.w.try("run", l.name, "--env", env, "--partition", day)
	require.Equal(l.w.t, columns, l.columns(env), "readers' columns changed: %s", tbTold(a))
	require.Equal(l.w.t, child, l.child(env, "ta", day), "the day was published: %s", tbTold(a))
	require.Contains(l.w.t, []int{1, 2}, a.code, tbTold(a))
	require.Contains(l.w.t, a.out+a.err, names)
}

// A column that appears in a file is not shown to readers by a run.
func TestARunAddsNoColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	w.cli(0, "deploy", l.star(tbFirst()), "--to", "dev")
	l.widened(l.days[1])
	l.refusesRun("dev", l.days[1], "ssn")
	w.never("123-45-6789")
}

// In prod neither, where people have approved the table as it is.
func TestARunInProdAddsNoColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", everything()...)
	l := w.tbNewLab("lab", 2)
	first := tbFirst()
	first.environments = []string{"staging", "prod"}
	w.cli(4, "deploy", l.star(first), "--to", "prod")
	w.cli(0, "approve", w.status(l.name).ID, "--as", "grace", "--reason", "looks right")
	require.Equal(t, workflows.StageDone, w.tbEnds(l.name).Stage)
	l.widened(l.days[1])
	l.refusesRun("prod", l.days[1], "ssn")
}

// A column that vanishes from a file is not NULL for readers from one day to the next.
func TestARunLeavesOutNoColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	for _, day := range l.days {
		l.widened(day)
	}
	w.cli(0, "deploy", l.star(tbFirst()), "--to", "dev")
	require.Contains(t, l.columns("dev"), "ssn")
	w.write(l.source(l.days[1]), tbRows(l.days[1]))
	l.refusesRun("dev", l.days[1], "ssn")
}

// What the plan of a deployment refuses, a run does not publish either.
func TestARunIsHeldToTheRulesOfAPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	l.deploy(tbFirst())
	_, err := w.db.Exec(t.Context(), `CREATE INDEX somebodys ON lab_dev.ta (v)`)
	require.NoError(t, err)
	a := w.try("deploy", l.release(tbSecond()), "--to", "dev")
	require.Equal(t, 2, a.code, tbTold(a))
	require.Contains(t, a.out+a.err, "somebodys")
	l.refusesRun("dev", l.days[0], "somebodys")
}

// A column that a person renamed is not made again under its old name, with half of the rows in each.
func TestARunDoesNotSplitARenamedColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	l.deploy(tbFirst())
	_, err := w.db.Exec(t.Context(), `ALTER TABLE lab_dev.ta RENAME COLUMN v TO amount`)
	require.NoError(t, err)
	l.refusesRun("dev", l.days[0], "amount")
}

// A load that is named like a table of the server's own is refused, or does no harm: what passes the look at it is live.
func TestALoadNamedLikeACatalogIsRefusedOrHarmless(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	for i, load := range []string{"pg_class", "pg_attribute", "pg_inherits", "pg_namespace", "values"} {
		l := w.tbNewLab("lab"+string(rune('a'+i)), 1)
		folder := l.release(tbFirst())
		w.write(folder+"/pipeline.yaml", strings.Replace(tbRead(w, folder+"/pipeline.yaml"), "name: raw\n", "name: "+load+"\n", 1))
		w.write(folder+"/sql/ta.sql", "SELECT id, d, v::numeric(12,2) AS v FROM \""+load+"\"\n")
		if looked := w.try("validate", folder, "--env", "dev"); looked.code != 0 {
			require.Contains(t, looked.out+looked.err, load, "a refusal names the load")
			continue
		}
		a := w.try("deploy", folder, "--to", "dev")
		require.Equal(t, 0, a.code, "validate took a load named %s, and then: %s", load, tbTold(a))
		l.are("dev", 1, "ta")
	}
}
