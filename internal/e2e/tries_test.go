package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/workflows"
)

// watched are the changes of a folder that let its watch in dev last longer than a test.
func watched(more ...string) []string {
	return append(more, "watch: {for: 0s}\n", "watch: {for: 1h, every: 1s}\n")
}

// tried deploys the folder of 1.4.0 to dev and returns as what it is known: 1.4.0+0123abcd.
func (w *world) tried(folder string) string {
	w.t.Helper()
	var started struct {
		ID string `json:"id"`
	}
	w.json(&started, "deploy", folder, "--to", "dev", "--rebuild", "all", "--detach")
	require.Regexp(w.t, `^deploy/shop/1\.4\.0-[0-9a-f]{8}$`, started.ID)
	return strings.Replace(strings.TrimPrefix(started.ID, "deploy/shop/"), "1.4.0-", "1.4.0+", 1)
}

// stage waits until a deployment has come to a stage.
func (w *world) stage(release string, stage workflows.Stage) {
	w.t.Helper()
	w.await(release+" to be "+string(stage), func() bool { return w.status(release).Stage == stage })
}

// A developer deploys a folder to dev, edits it, and deploys it again under the same version: the newer try ends the older
// one's watch and is not turned back by it, each is known by its digest, and each can be gone back to.
func TestAVersionIsTriedInDevAsOftenAsOneLikes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--workflows")
	first := w.tried(w.folder("1.4.0", watched()...))
	w.stage(shop+"@"+first, workflows.StageWatching)
	require.Equal(t, first, w.active("dev"))
	w.holds("dev", four)

	folder := w.folder("1.4.0", watched("channel, amount\n", "channel, amount, currency\n")...)
	second := w.tried(folder)
	require.NotEqual(t, first, second)
	w.stage(shop+"@"+second, workflows.StageWatching)
	w.stage(shop+"@"+first, workflows.StageDone)
	require.Contains(t, w.status(shop+"@"+first).Sentence, "until shop@"+second+" became active")
	require.Equal(t, second, w.active("dev"))
	w.holds("dev", fiveFilled)
	require.Equal(t, "deploy/shop/"+strings.Replace(second, "+", "-", 1), w.status(shop+"@1.4.0").ID, "the version means its try that is open")
	w.cli(2, "deploy", folder, "--to", "dev") // the same content: it runs already

	require.Contains(t, w.cli(0, "status").out, "shop@"+second)
	require.Contains(t, w.cli(0, "history", shop, "--env", "dev").out, second+" is active")
	generations := w.cli(0, "history", shop, "--env", "dev", "--output", "orders", "--partition", middleDay).out
	require.Contains(t, generations, first)
	require.Contains(t, generations, second)
	w.cli(0, "run", shop, "--env", "dev", "--partition", middleDay) // with the one that is active, by its digest
	w.holds("dev", fiveFilled)

	refused := w.cli(2, "rollback", shop, "--env", "dev", "--to", "1.4.0", "--reason", "which of them?")
	require.Contains(t, refused.out+refused.err, "more than one")
	w.cli(0, "rollback", shop, "--env", "dev", "--to", first, "--reason", "currencies are wrong")
	require.Equal(t, first, w.active("dev"))
	w.holds("dev", fiveEmpty)
	w.stage(shop+"@"+second, workflows.StageRolledBack)
	w.tidy("dev")

	third := w.tried(folder) // as it was the second time
	require.Equal(t, second, third)
	w.stage(shop+"@"+third, workflows.StageWatching)
	w.holds("dev", fiveFilled)
	var history generation.History
	w.json(&history, "history", shop, "--env", "dev")
	require.Equal(t, second, history.Active.Release.Version)
	w.cli(0, "cancel", shop+"@"+third)
	w.stage(shop+"@"+third, workflows.StageRolledBack)
	require.Equal(t, first, w.active("dev"), "what the try replaced, and not the other of its version")
	w.tidy("dev")
}

// A try that fails uses up no version: not by its validation, nor by a gate.
func TestATryThatFailsUsesUpNoVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--env", "staging", "--workflows")
	bad := w.cli(2, "deploy", w.folder("1.4.0", "channel, amount\n", "chanel, amount\n"), "--to", "staging")
	require.Contains(t, bad.out, "chanel")
	failing := w.cli(2, "deploy", w.folder("1.4.0", "row_count: {min: 1, max: 1000}", "row_count: {min: 1, max: 10}"), "--to", "staging")
	require.Contains(t, failing.out, "row_count")
	require.Empty(t, w.active("dev"))
	w.cli(0, "plan", w.folder("1.4.0"), "--to", "staging")
	w.cli(0, "deploy", "shop-1.4.0", "--to", "staging")
	require.Equal(t, "1.4.0", w.active("staging"), "it has claimed the version there")
	require.Equal(t, w.texts(`SELECT digest FROM shop_dev__ledger.tenure WHERE activated_at IS NOT NULL`), w.texts(`SELECT digest FROM shop_staging__ledger.tenure`))
	require.Regexp(t, `^1\.4\.0\+[0-9a-f]{8}$`, w.active("dev"), "as it was known when it came to dev")
	require.Contains(t, w.cli(0, "history", shop, "--env", "dev").out, "1.4.0 is active", "as it is known now")
	require.Contains(t, w.cli(0, "build", "shop-1.4.0").out, "was there already")
	w.tidy("dev")
	w.tidy("staging")
}

// A version that is built is that release's: another content is tried in dev under it, and goes nowhere else.
func TestAClaimedVersionIsRefusedToAnotherRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--env", "staging", "--workflows")
	w.release("1.4.0")
	w.cli(0, "deploy", "shop@1.4.0", "--to", "dev")
	require.Equal(t, "1.4.0", w.active("dev"))
	require.Equal(t, "deploy/shop/1.4.0", w.status(shop).ID)

	other := w.folder("1.4.0", "channel, amount\n", "channel, amount, currency\n")
	planned := w.cli(2, "plan", other, "--to", "staging")
	require.Contains(t, planned.out, "raise the version in pipeline.yaml")
	refused := w.cli(2, "deploy", other, "--to", "staging", "--rebuild", "all")
	require.Contains(t, refused.out, "the version is another release's already")
	require.Equal(t, "1.4.0", w.active("dev"), "nothing was done before that was said")
	w.holds("dev", four)
	require.Empty(t, w.active("staging"))

	w.cli(0, "deploy", other, "--to", "dev", "--rebuild", "all")
	require.Regexp(t, `^1\.4\.0\+[0-9a-f]{8}$`, w.active("dev"))
	w.holds("dev", fiveFilled)
	w.cli(2, "build", other)
	w.cli(0, "rollback", shop, "--env", "dev", "--to", "1.4.0", "--reason", "that which was built")
	require.Equal(t, "1.4.0", w.active("dev"))
	w.holds("dev", fiveEmpty)
	w.tidy("dev")
}

// Of two tries that are on their way at the same time, one gets the version where it enters staging; the other is refused
// there before any work.
func TestOfTwoTriesOneGetsTheVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.policy("dev", "approval: {required: true}\n")
	w.worker("worker", "--env", "dev", "--env", "staging", "--workflows")
	// The first waits at its gate in dev with a plan in which the version was to be had.
	w.cli(4, "deploy", w.folder("1.4.0"), "--to", "staging")
	first := w.status(shop)
	require.Regexp(t, `^deploy/shop/1\.4\.0-[0-9a-f]{8}$`, first.ID)
	built := w.folder("1.4.0", "channel, amount\n", "channel, amount, currency\n")
	w.cli(0, "build", built)

	w.cli(0, "approve", first.ID, "--as", "grace", "--reason", "looks right")
	a := w.cli(2, "status", first.ID, "--watch")
	require.Contains(t, a.out, "the version exists as sha256:")
	require.Contains(t, a.out+a.err, "raise the version")
	require.Equal(t, first.Release.Version, w.active("dev"), "where it was tried it stays")
	require.Empty(t, w.active("staging"))
	require.Zero(t, w.number(`SELECT count(*) FROM shop_staging__ledger.generation`), "no work was done there")
	require.Zero(t, w.number(`SELECT count(*) FROM shop_staging__ledger.crossing`))

	w.cli(4, "deploy", built, "--to", "staging", "--rebuild", "all")
	w.cli(0, "approve", shop+"@1.4.0", "--as", "grace", "--reason", "looks right")
	w.cli(0, "status", shop+"@1.4.0", "--watch")
	require.Equal(t, "1.4.0", w.active("staging"))
	w.holds("staging", fiveFilled)
	w.tidy("staging")
}
