package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// watched is a release of dev that is watched for long, by one check.
func (w *world) watched(version, sql string, replace ...string) string {
	w.t.Helper()
	return w.release(version, append(replace, "watch: {for: 0s}\n", "watch: {for: 1h, every: 1s}\n", "SELECT sum(amount) FROM orders", sql)...)
}

// watching waits until a deployment watches, and has looked so often.
func (w *world) watching(looks int) {
	w.t.Helper()
	w.await("the watch to look", func() bool {
		s := w.status(shop)
		return s.Stage == workflows.StageWatching && s.Crossings[0].Looks >= looks
	})
}

// asked waits until a deployment asks.
func (w *world) asked() gate.Gate {
	w.t.Helper()
	var open gate.Gate
	w.await("a question", func() bool {
		for _, g := range w.status(shop).Gates {
			if g.Decided == "" {
				open = g
				return true
			}
		}
		return false
	})
	return open
}

// times multiplies the amounts of a day's file.
func (w *world) times(day string) {
	w.t.Helper()
	body := csv(day, ordersPerDay)
	var b strings.Builder
	for i, line := range strings.Split(body, "\n") {
		fields := strings.Split(line, ",")
		if i > 0 && len(fields) == 5 {
			fields[3] += "0" // 1.50 is 1.500: the same
			fields[3] = "20" + fields[3]
		}
		b.WriteString(strings.Join(fields, ",") + "\n")
	}
	w.write(sourceOf(day), strings.TrimSuffix(b.String(), "\n"))
}

// Amounts × 20 by a daily run: the release that is watched has nothing to do with it.
func TestAnInnocentReleaseIsNotTurnedBackForALaterRun(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.cli(0, "deploy", w.watched("1.1.0", "SELECT sum(amount) FROM orders"), "--to", "dev", "--rebuild", "all", "--detach")
	w.watching(1)
	w.times(middleDay)
	w.cli(0, "run", shop, "--env", "dev", "--partition", middleDay)
	g := w.asked()
	require.Equal(t, "watch-breach-dev", g.Name)
	require.Contains(t, g.Verdict.Reason, "fails without this release too")
	require.Contains(t, g.Verdict.Reason, "holds without run/shop/dev/"+middleDay)
	require.Equal(t, "1.1.0", w.active("dev"))

	// The command that it names mends it.
	_, command, named := strings.Cut(g.Question, "drawbridge rollback")
	require.True(t, named, g.Question)
	command, _, _ = strings.Cut("drawbridge rollback"+command, ";")
	require.Contains(t, command, "--env dev --partition "+middleDay)
	words := strings.Fields(strings.TrimSpace(command))
	w.cli(0, words[1:]...)
	w.await("the check to hold again, and the question to be withdrawn", func() bool { return w.verdictOf(shop, "watch").Outcome == gate.Pass })
	require.Equal(t, "1.1.0", w.active("dev"))
}

// What a person has kept is not asked again, stays seen, and is turned back on their word only.
func TestABreachThatPersistsStaysVisible(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.cli(0, "deploy", w.watched("1.1.0", "SELECT sum(amount) FROM shop_dev.orders"), "--to", "dev", "--rebuild", "all", "--detach")
	w.watching(1)
	w.times(middleDay)
	w.cli(0, "run", shop, "--env", "dev", "--partition", middleDay)
	g := w.asked()
	require.Contains(t, g.Verdict.Reason, "by its full name", "what cannot be known is said")
	w.cli(0, "decide", shop, "--choice", "keep", "--as", "grace", "--reason", "we look into it")
	w.await("the breach to be told again", func() bool {
		s := w.status(shop)
		last := s.Crossings[0].Verdicts[len(s.Crossings[0].Verdicts)-1]
		return s.Stage == workflows.StageWatching && last.Verdict.Outcome == gate.Fail && last.Times >= 4
	})
	told := 0
	for _, e := range w.status(shop).Events {
		if strings.Contains(e.Text, "still breached") {
			told++
		}
	}
	w.record(workflows.DeploymentID(shop, "1.1.0"), "breach_kept")
	require.Positive(t, told)
	require.Less(t, told, w.status(shop).Crossings[0].Looks)
	require.Equal(t, "1.1.0", w.active("dev"))
}

// The value before the publish is that of the moment before it, not of days before, when the gate opened.
func TestABaselineIsTakenRightBeforeThePublish(t *testing.T) {
	t.Parallel()
	w, first := liveInDev(t)
	first.stop()
	w.policy("dev", "approval: {required: true}\n")
	w.worker("second", "--env", "dev", "--workflows")
	w.cli(4, "deploy", w.watched("1.1.0", "SELECT count(*) FROM orders"), "--to", "dev")
	for _, day := range []string{"2026-01-06", "2026-01-07"} {
		w.days = append(w.days, day)
		w.write(sourceOf(day), csv(day, ordersPerDay))
		w.cli(0, "run", "shop@1.0.0", "--env", "dev", "--partition", day)
	}
	w.cli(0, "approve", shop, "--as", "grace", "--reason", "harmless")
	w.watching(2)
	require.Equal(t, "1.1.0", w.active("dev"))
	require.Empty(t, w.verdictOf(shop, "watch").Outcome, "250 rows became 350 while the gate was open, and none since")
}

// Of a first release nothing is taken away without a person.
func TestAFirstReleaseIsDetachedByAPersonOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	w.cli(0, "deploy", w.watched("1.0.0", "SELECT sum(amount) FROM orders"), "--to", "dev", "--detach")
	w.watching(1)
	w.times(middleDay)
	w.cli(0, "run", shop, "--env", "dev", "--partition", middleDay)
	g := w.asked()
	require.Equal(t, "watch-breach-dev", g.Name)
	require.Equal(t, "1.0.0", w.active("dev"))
	require.Equal(t, 5*ordersPerDay, w.number(`SELECT count(*) FROM shop_dev.orders`))
}

// After a rejection in prod the earlier environments need not keep the wrong release: whoever rejects may say so.
func TestARejectionTakesAllBackWhereItSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", everything()...)
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "prod")
	w.cli(0, "approve", shop, "--as", "grace", "--reason", "first")
	w.cli(0, "status", shop, "--watch")
	w.cli(4, "deploy", w.withCurrency("1.1.0"), "--to", "prod", "--rebuild", "all")
	a := w.cli(0, "inbox")
	require.Contains(t, a.out, "--compensate all")
	require.Contains(t, a.out, "dev staging")
	w.cli(0, "reject", shop, "--as", "grace", "--reason", "the currency is wrong", "--compensate", "all")
	w.try("status", shop, "--watch")
	for _, env := range []string{"dev", "staging", "prod"} {
		require.Equal(t, "1.0.0", w.active(env), env)
	}
	w.holds("dev", fiveEmpty)
	w.holds("staging", fiveEmpty)
}

// A watch of days fills a history: it goes on in a new one, with what it has seen.
func TestAWatchGoesOnWhenItsHistoryHasGrown(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.cli(0, "deploy", w.watched("1.1.0", "SELECT sum(amount) FROM orders"), "--to", "dev", "--rebuild", "all", "--detach")
	w.watching(1)
	id, began := workflows.DeploymentID(shop, "1.1.0"), w.status(shop).Started
	var runs []string
	w.await("a second run", func() bool {
		runs = nil
		for _, e := range w.executions() {
			if e.GetWorkflowId() == id {
				runs = append(runs, e.GetRunId())
			}
		}
		return len(runs) > 1
	})
	before := w.status(shop).Crossings[0]
	w.watching(before.Looks + 2)
	after := w.status(shop).Crossings[0]
	require.Equal(t, before.WatchUntil, after.WatchUntil, "a new history is no new watch")
	require.Equal(t, began, w.status(shop).Started, "nor a new deployment")
	w.recordRun(id, w.history(id, "").GetEvents()[0].GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId(), "continued")
	w.record(id, "carried_on")
	w.times(middleDay)
	w.cli(0, "run", shop, "--env", "dev", "--partition", middleDay)
	require.Contains(t, w.asked().Verdict.Reason, "fails without this release too", "the baseline is that of the first run")
}

// A check that had a value before the publish, and did not give it, has nothing to compare with: the release's own rows are no
// baseline, and a person is asked.
func TestALostBaselineIsNoFirstLook(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	_, err := w.db.Exec(t.Context(), `CREATE TABLE public.rate (n int); INSERT INTO public.rate VALUES (0); GRANT SELECT ON public.rate TO PUBLIC`)
	require.NoError(t, err)
	w.cli(0, "deploy", w.watched("1.1.0", "SELECT sum(amount) / (SELECT max(n) FROM public.rate) FROM orders"), "--to", "dev", "--rebuild", "all", "--detach")
	w.watching(1)
	_, err = w.db.Exec(t.Context(), `UPDATE public.rate SET n = 1`)
	require.NoError(t, err)
	w.await("a question about what there is nothing to compare with", func() bool {
		return strings.Contains(w.asked().Verdict.Reason, "gave no value right before the publish")
	})
}
