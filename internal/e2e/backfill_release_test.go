package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
	"drawbridge/workflows"
)

// Another release than the active one is built only where it was active before, and only when people have approved that.
func TestABackfillOfAnotherReleaseWantsAnApprovalAndSaysThatItDeviates(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	l.deploy(tbFirst("ta", "tb"))
	l.deploy(tbSecond("ta", "tb"))
	third := l.release(tbThird("ta", "tb"))
	require.NotEmpty(t, third)
	ask := func(version string) answer {
		return l.w.try("backfill", l.name, "--env", "dev", "--from", l.days[0], "--to", l.days[1], "--release", version, "--reason", "as it was reported")
	}
	id := workflows.BackfillID(l.name, "dev", partition.Key(l.days[0]), partition.Key(l.days[1]))

	said := ask("1.2.0")
	require.Equal(t, 2, said.code, tbTold(said))
	require.Contains(t, said.out+said.err, "it was never active in dev", "it was built, and never crossed")

	said = ask("1.0.0")
	require.Equal(t, 4, said.code, tbTold(said))
	require.Contains(t, said.out, "lab@1.1.0 is active, and not lab@1.0.0")
	l.are("dev", 10, "ta", "tb")
	l.w.cli(0, "approve", id, "--reason", "the auditors want it")
	s := l.w.tbEnds(id)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Contains(t, s.Sentence, "deviate by choice")
	require.Equal(t, "lab@1.1.0", s.Backfill.Deviates)
	for _, o := range []string{"ta", "tb"} {
		l.sees(o, 10, map[string]string{l.days[0]: "1", l.days[1]: "1"})
	}
	require.Equal(t, "1.1.0", l.active("dev"), "what is active stays")
	require.Contains(t, l.w.cli(0, "backfill", "status", l.name).out, "deviating by choice")

	said = ask("1.0.0")
	require.Zero(t, said.code, tbTold(said))
	require.Contains(t, said.out, "nothing to do")
	l.w.cli(0, "backfill", "rollback", id, "--reason", "they have seen it")
	l.are("dev", 10, "ta", "tb")
}

// Neighbours are built together of another release too, where that one has proved it, and become visible bit by bit or as one.
func TestABackfillOfAnotherReleaseBuildsNeighboursTogetherAndPublishesAsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: false}\n")
	with := append(w.oneFile(), "column: ordered_on}", "column: ordered_on, batch: 31}", "removed_keys: 0}", "removed_keys: 0, changed: {amount: 100%}, metrics: {revenue: 200%}}")
	w.worker("worker", "--env", "dev", "--workflows")
	w.cli(0, "deploy", w.release("1.0.0", with...), "--to", "dev")
	cents := func() int { return w.number(`SELECT (100 * sum(amount))::bigint FROM shop_dev.orders`) }
	first := cents()
	w.cli(0, "deploy", w.doubled("1.1.0", with...), "--to", "dev", "--rebuild", "all")
	require.Equal(t, 2*first, cents())

	id := workflows.BackfillID(shop, "dev", partition.Key(w.days[0]), newestDay)
	for _, cutover := range []string{"each", "one"} {
		said := w.try("backfill", shop, "--env", "dev", "--from", w.days[0], "--to", newestDay, "--release", "1.0.0", "--cutover", cutover, "--reason", "as it was reported")
		require.Equal(t, 4, said.code, tbTold(said))
		require.Equal(t, 2*first, cents())
		w.cli(0, "approve", id, "--reason", "the auditors want it")
		s := w.tbEnds(id)
		require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
		require.Equal(t, "shop@1.1.0", s.Backfill.Deviates, cutover)
		require.Equal(t, first, cents(), cutover)
		require.Equal(t, 5, w.together(), cutover)
		transactions := w.number(`
			SELECT count(DISTINCT effect_key)
			FROM shop_dev__ledger.swap
			WHERE owner = (SELECT owner FROM shop_dev__ledger.backfill ORDER BY since DESC LIMIT 1)`)
		if cutover == "one" {
			require.Equal(t, 1, transactions)
		} else {
			require.Greater(t, transactions, 1, "what is one partition comes after the others")
		}
		w.cli(0, "backfill", "rollback", id, "--reason", "they have seen it")
		require.Equal(t, 2*first, cents(), cutover)
	}
	w.tidy("dev")
}
