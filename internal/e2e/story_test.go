package e2e_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/workflows"
)

// A release crosses to prod as people do it, is run again, is replaced by another, and is turned back to.
func TestAReleaseCrossesToProdAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", everything()...)
	first := w.release("1.0.0")

	w.cli(0, "validate", first, "--env", "dev")
	local := w.cli(0, "build", first)
	w.plans(first)
	w.cli(0, "doctor", "--env", "prod")

	waiting := w.cli(4, "deploy", first, "--to", "prod", "--reason", "first release")
	require.Contains(t, waiting.out, "drawbridge approve shop@1.0.0 --gate approval-prod")
	s := w.status(shop)
	require.Equal(t, workflows.StageWaiting, s.Stage)
	require.Equal(t, 4, s.code)
	require.Contains(t, local.out, s.Release.Digest, "the worker builds the same artifact")
	w.holds("staging", four)
	require.Zero(t, w.number(`SELECT count(*) FROM pg_class WHERE relname = 'orders' AND relnamespace = to_regnamespace('shop')`),
		"prod is not touched before approval")

	w.inboxHas("approval-prod")
	own := w.cli(2, "approve", shop, "--gate", "approval-prod", "--reason", "I like my own work")
	require.Contains(t, own.err, "four eyes")
	w.cli(0, "approve", shop, "--gate", "approval-prod", "--as", "grace", "--reason", "numbers look right")
	w.cli(0, "status", shop, "--watch")
	w.live(four, "1.0.0")

	sum := w.cli(0, "checksum", shop, "--env", "prod", "--output", "orders", "--json").out
	middle := w.number(`SELECT generation FROM shop__ledger.live WHERE output = 'orders' AND partition = $1`, middleDay)
	w.cli(0, "run", shop, "--env", "prod", "--partition", middleDay)
	w.live(four, "1.0.0")
	require.NotEqual(t, middle, w.number(`SELECT generation FROM shop__ledger.live WHERE output = 'orders' AND partition = $1`, middleDay))
	require.Equal(t, sum, w.cli(0, "checksum", shop, "--env", "prod", "--output", "orders", "--json").out)
	var diff canary.Diff
	w.json(&diff, "diff", shop, "--env", "prod", "--output", "orders", "--partition", middleDay)
	require.True(t, diff.Identical)
	require.EqualValues(t, ordersPerDay, diff.CandidateRows)
	w.cli(2, "rollback", shop, "--env", "prod", "--reason", "there is nothing before it")
	w.live(four, "1.0.0")

	second := w.withCurrency("1.1.0")
	w.cli(4, "deploy", second, "--to", "prod", "--rebuild", "all", "--reason", "currencies")
	w.cli(0, "approve", shop, "--as", "grace", "--reason", "only a column")
	w.cli(0, "status", shop, "--watch")
	w.live(fiveFilled, "1.1.0")
	digest := w.status(shop).Release.Digest

	w.cli(0, "rollback", shop, "--env", "prod", "--to", "1.0.0", "--reason", "finance is not ready")
	w.holds("prod", fiveEmpty)
	w.holds("staging", fiveFilled)
	require.Equal(t, "1.0.0", w.active("prod"))
	var history generation.History
	w.json(&history, "history", shop, "--env", "prod")
	require.Equal(t, "1.0.0", history.Active.Release.Version)

	w.cli(4, "deploy", "shop@1.1.0", "--to", "prod", "--rebuild", "all")
	w.cli(0, "approve", shop, "--as", "grace", "--reason", "finance is ready")
	w.cli(0, "status", shop, "--watch")
	w.live(fiveFilled, "1.1.0")
	require.Equal(t, digest, w.status(shop).Release.Digest)
	w.recordKinds("done", "plan", "validate", "inspect")
	w.record(workflows.DeploymentID(shop, "1.1.0"), "to_prod")
}

// Prod takes nothing that staging has not seen.
func TestProdRefusesWhatStagingHasNotPassed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", everything()...)
	folder := w.folder("1.0.0", "environments: [dev, staging, prod]", "environments: [dev, prod]")
	require.NoError(t, os.Remove(w.path(folder+"/config.staging.yaml")))
	a := w.cli(2, "deploy", folder, "--to", "prod")
	require.Contains(t, a.out+a.err, "staging")
	require.Zero(t, w.number(`SELECT count(*) FROM pg_class WHERE relname = 'orders' AND relnamespace = to_regnamespace('shop')`))
}

// live asserts that all environments have a release, its rows, and nothing else.
func (w *world) live(shape columns, version string) {
	w.t.Helper()
	for _, env := range []string{"dev", "staging", "prod"} {
		w.holds(env, shape)
		w.tidy(env)
		require.Equal(w.t, version, w.active(env), env)
	}
}

// json runs a command that answers with --json.
func (w *world) json(into any, args ...string) {
	w.t.Helper()
	a := w.cli(0, append(args, "--json")...)
	require.NoError(w.t, json.Unmarshal([]byte(a.out), into), a.out)
}

// plans asks for the plan in every format.
func (w *world) plans(folder string) {
	w.t.Helper()
	require.Contains(w.t, w.cli(0, "plan", folder, "--to", "prod").out, "prod")
	require.Contains(w.t, w.cli(0, "plan", folder, "--to", "prod", "--format", "md").out, "# ")
	var plan map[string]any
	require.NoError(w.t, json.Unmarshal([]byte(w.cli(0, "plan", folder, "--to", "prod", "--format", "json").out), &plan))
	require.NotEmpty(w.t, plan)
}

// inboxHas asserts that exactly one gate is open.
func (w *world) inboxHas(name string) {
	w.t.Helper()
	var open []struct {
		ID   string    `json:"id"`
		Gate gate.Gate `json:"gate"`
	}
	w.json(&open, "inbox")
	require.Len(w.t, open, 1)
	require.Equal(w.t, name, open[0].Gate.Name)
	require.Equal(w.t, workflows.DeploymentID(shop, "1.0.0"), open[0].ID)
}
