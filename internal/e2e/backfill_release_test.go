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
