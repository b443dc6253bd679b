package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// A deployment that waits for its approval while a partition goes back cannot publish any more: it ends by itself, asks nobody
// further, and the same release is deployed again.
func TestADeploymentAtItsGateEndsWhenAPartitionIsTurnedBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", everything()...)
	approved := func() {
		w.cli(0, "approve", shop, "--as", "grace", "--reason", "looks right")
		w.cli(0, "status", shop, "--watch")
	}
	w.cli(4, "deploy", w.release("1.0.0"), "--to", "prod")
	approved()
	w.cli(0, "run", shop, "--env", "prod", "--partition", middleDay)
	next := w.withCurrency("1.1.0")
	w.cli(4, "deploy", next, "--to", "prod", "--rebuild", "all")

	id := workflows.DeploymentID(shop, "1.1.0")
	back := []string{"rollback", shop, "--env", "prod", "--partition", middleDay, "--to", "last-good", "--reason", "a late file"}
	require.Contains(t, w.cli(0, append(back, "--dry-run")...).out, "ends "+id+", which waits at approval-prod")
	require.Equal(t, workflows.StageWaiting, w.status(id).Stage, "a dry run ends nothing")
	require.Contains(t, w.cli(0, back...).out, id+" is stopped, and told so")

	w.await("the deployment to end by itself", func() bool { return w.status(id).Stage.Finished() })
	s := w.status(id)
	require.Equal(t, workflows.StageRefused, s.Stage, s.Sentence)
	require.Contains(t, s.Sentence, "stopped by rollback/shop/prod: turned back under tenure")
	require.Contains(t, s.Sentence, "a late file")
	require.Contains(t, s.Hint, "drawbridge deploy shop@1.1.0 --to prod")
	require.Equal(t, gate.Withdrawn, s.Gates[0].Decided)
	late := w.cli(2, "approve", id, "--gate", "approval-prod", "--as", "grace", "--reason", "looks right")
	require.Contains(t, late.out+late.err, "stopped by rollback/shop/prod")
	require.NotContains(t, w.cli(0, "inbox").out, "1.1.0", "nobody is asked any more")
	require.Equal(t, "1.0.0", w.active("prod"))
	w.tidy("prod")

	w.cli(4, "deploy", shop+"@1.1.0", "--to", "prod", "--rebuild", "all")
	approved()
	require.Equal(t, "1.1.0", w.active("prod"))
}
