package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// mixed reads all outputs of a lab over and over, in one statement that joins them, until stop: that asserts that no read saw days, or
// outputs, of two releases, and that some saw each of those that it names.
func (l *tbLab) mixed(readers int, outputs ...string) (stop func(factors ...string)) {
	l.w.t.Helper()
	var parts []string
	for _, o := range outputs {
		column := "v"
		if o == "dim" {
			column = "n"
		}
		key := "d::text"
		if o == "dim" {
			key = "'all'"
		}
		parts = append(parts, fmt.Sprintf(`SELECT '%[1]s' AS output, %[2]s AS part, trim_scale(sum(%[3]s) / %[4]d) AS factor FROM %[5]s.%[1]s GROUP BY 2`,
			o, key, column, tbRowsSum, l.schema("dev")))
	}
	sql := `SELECT string_agg(DISTINCT factor::text, ' ' ORDER BY factor::text) || ' of ' || count(*) FROM (` + strings.Join(parts, " UNION ALL ") + `) AS seen`
	slots := 0
	for _, o := range outputs {
		if slots += len(l.days); o == "dim" {
			slots += 1 - len(l.days)
		}
	}
	ctx, cancel := context.WithCancel(l.w.t.Context())
	l.w.t.Cleanup(cancel)
	var group sync.WaitGroup
	var reads atomic.Int64
	var mu sync.Mutex
	seen := map[string]int{}
	for range readers {
		group.Go(func() {
			conn, err := pgx.Connect(ctx, l.w.url)
			if err != nil {
				return // which the number of reads tells
			}
			defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
			for ctx.Err() == nil {
				var what string
				if err := conn.QueryRow(ctx, sql).Scan(&what); err != nil && ctx.Err() == nil {
					what = err.Error()
				}
				if ctx.Err() == nil {
					mu.Lock()
					seen[what]++
					mu.Unlock()
					reads.Add(1)
				}
			}
		})
	}
	l.w.await("the readers to read", func() bool { return reads.Load() > int64(readers) })
	return func(factors ...string) {
		l.w.t.Helper()
		now := reads.Load()
		l.w.await("every reader to read on", func() bool { return reads.Load() > now+int64(readers) })
		cancel()
		group.Wait()
		var want []string
		for _, f := range factors {
			want = append(want, fmt.Sprintf("%s of %d", f, slots))
		}
		var have []string
		for what := range seen {
			have = append(have, what)
		}
		slices.Sort(want)
		slices.Sort(have)
		require.Equal(l.w.t, want, have, "what %d readers saw, in %d reads: %v", readers, reads.Load(), seen)
	}
}

// Whatever crosses, goes back or is built again, one read never sees two releases: all days of all outputs become visible as one.
func TestNoReadSeesTwoReleases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 20)
	first, second := tbFirst("ta", "tb"), tbSecond("ta", "tb")
	first.dim, second.dim = true, true
	l.deploy(first)

	stop := l.mixed(4, "ta", "tb", "dim")
	l.deploy(second)
	require.Equal(t, 1, w.number(`SELECT count(DISTINCT effect_key) FROM lab_dev__ledger.swap WHERE tenure = 2`), "one transaction")
	stop("1", "10")

	stop = l.mixed(4, "ta", "tb", "dim")
	a := l.rollback()
	require.Zero(t, a.code, tbTold(a))
	stop("10", "1")
	require.Equal(t, "1.0.0", l.active("dev"))

	l.corrected(3, l.days...)
	w.remove("source/lab/dim.csv")
	w.write("source/lab/dim.csv", "c,n\na,3\nb,15\n")
	stop = l.mixed(4, "ta", "tb", "dim")
	a = l.backfill("--cutover", "one", "--lanes", "2")
	require.Zero(t, a.code, tbTold(a))
	stop("1", "3")
	w.record(l.backfillID(), "cutover")

	stop = l.mixed(4, "ta", "tb", "dim")
	w.cli(0, "backfill", "rollback", l.backfillID(), "--reason", "the correction was wrong")
	stop("3", "1")
}

// What fails its audit keeps all of it away: nobody has seen anything of the release.
func TestWhatFailsItsAuditKeepsAllOfItAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 12)
	l.deploy(tbFirst("ta", "tb"))
	l.w.write(l.source(l.days[2]), "id,d,v\n") // the check wants a row
	stop := l.mixed(2, "ta", "tb")
	a := w.cli(2, "deploy", l.release(tbSecond("ta", "tb")), "--to", "dev", "--rebuild", "all")
	require.Contains(t, a.out, "row_count")
	stop("1")
	require.Equal(t, "1.0.0", l.active("dev"))
	require.Zero(t, w.number(`SELECT count(*) FROM lab_dev__ledger.generation WHERE state IN ('built', 'shadow')`), "what was built is given up")
}

// Where readers would wait for longer than the policy lets them, the plan says how many transactions it takes, and a person is asked
// before anything is built for it.
func TestACutOverThatReadersWouldNoticeIsAskedAbout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("policies/policy.dev.yaml", "approval: {required: false}\npublish: {max_pause: 1ms}\n")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 20)
	l.deploy(tbFirst("ta", "tb")) // nothing was there before that it could be mixed with
	second := l.release(tbSecond("ta", "tb"))
	said := w.cli(0, "plan", second, "--to", "dev", "--rebuild", "all")
	require.Contains(t, said.out, "so that readers may see 3 states in between")
	a := w.cli(4, "deploy", second, "--to", "dev", "--rebuild", "all")
	require.Contains(t, a.out, "so that readers may see 3 states in between")
	l.are("dev", 1, "ta", "tb")
	w.cli(0, "reject", "lab", "--reason", "not before the weekend")
	require.Equal(t, workflows.StageRefused, w.tbOver(w.status("lab").ID).Stage)
	require.Equal(t, "1.0.0", l.active("dev"))

	w.cli(4, "deploy", second, "--to", "dev", "--rebuild", "all")
	w.cli(0, "approve", "lab", "--reason", "nobody reads at night")
	require.Equal(t, workflows.StageDone, w.tbEnds(w.status("lab").ID).Stage)
	l.are("dev", 10, "ta", "tb")
	require.Equal(t, 4, w.number(`SELECT count(DISTINCT effect_key) FROM lab_dev__ledger.swap WHERE tenure = (SELECT max(tenure) FROM lab_dev__ledger.swap)`))
}

// A run that was faster while the deployment was built costs what it has built there, and not the deployment.
func TestWhatMovedBeforeACutOverIsBuiltAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: false}\n")
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 12)
	l.deploy(tbFirst("ta", "tb"))
	h := w.holdIn(l.schema("dev"), "generation", "NEW.state = 'built' AND NEW.partition = '"+l.days[0]+"' AND NEW.effect_key LIKE 'deploy/%'")
	w.cli(0, "deploy", l.release(tbSecond("ta", "tb")), "--to", "dev", "--rebuild", "all", "--detach")
	h.reached()
	l.corrected(3, l.days[5])
	w.cli(0, "run", "lab", "--env", "dev", "--partition", l.days[5])
	h.release()
	require.Equal(t, workflows.StageDone, w.tbEnds(w.status("lab@1.1.0").ID).Stage)
	for _, o := range []string{"ta", "tb"} {
		l.sees(o, 10, map[string]string{l.days[5]: "30"})
	}
}

// Wherever its worker is killed, a backfill that is published as one is published as one: before, nobody has seen anything of it.
func TestABackfillAsOneSurvivesTheDeathOfItsWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 8)
	l.deploy(tbFirst("ta", "tb"))
	l.corrected(3, l.days...)
	l.poisoned(l.days[6])
	said := l.backfill("--cutover", "one")
	require.Equal(t, 4, said.code, tbTold(said))
	require.Contains(t, said.out, "nothing is published")
	l.are("dev", 1, "ta", "tb")

	h := w.holdIn(l.schema("dev"), "effect", effectOf("backfill-1"))
	w.cli(0, "skip", l.backfillID(), l.days[6], "--reason", "the shop was closed")
	h.reached() // all is done, and nothing is visible: readers wait
	first.kill()
	h.release()
	w.worker("second", "--env", "dev", "--workflows")
	require.Equal(t, workflows.StageDone, w.tbEnds(l.backfillID()).Stage)
	for _, o := range []string{"ta", "tb"} {
		l.sees(o, 3, map[string]string{l.days[6]: "1"})
	}
	require.Equal(t, 1, w.number(`SELECT count(DISTINCT effect_key) FROM lab_dev__ledger.swap WHERE starts_with(owner, '`+l.backfillID()+`')`))
}
