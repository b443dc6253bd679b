package e2e_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	sdk "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/release"
	"drawbridge/workflows"
)

// verQueue is where somebody's own deployments run.
const verQueue = "somebodys-own-deployments"

// verBypass is a deployment of somebody's own: it enters with a plan that policy approves by itself, builds what that publishes
// first, and wants it published and signed. What it does about the canary is its trick.
type verBypass struct {
	Release release.Release
	Active  release.Release
	Plan    string
	Trick   string
}

// The tricks.
const (
	verSkips         = "skips the canary"
	verCompares      = "compares, and goes on whatever is found"
	verAccepts       = "accepts in somebody's name what was refused"
	verLeavesOut     = "leaves out what differs"
	verPassesActive  = "compares what the active release builds"
	verOwnControl    = "brings the candidate's own rows as the control"
	verForgetsInputs = "says that live saw other inputs"
)

// verAnswers is how each step was answered: empty where it was done.
type verAnswers map[string]string

// bypass calls activities by name, in one workflow whose type and ID may.
func bypass(ctx workflow.Context, in verBypass) (verAnswers, error) {
	info := workflow.GetInfo(ctx)
	target := activities.Target{Environment: "dev", Release: in.Release, Owner: effect.OwnerOf(info.WorkflowExecution.ID, info.FirstRunID), Now: workflow.Now(ctx)}
	answers := verAnswers{}
	call := func(queue, name string, input, result any) {
		err := workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			TaskQueue: queue, StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{MaximumAttempts: 1},
		}), name, input).Get(ctx, result)
		if answers[name] = ""; err != nil {
			answers[name] = err.Error()
		}
	}
	control, build := workflows.ControlQueue("dev"), workflows.BuildQueue("dev")
	var entered activities.Entered
	call(control, "Enter", activities.EnterInput{Target: target, Kind: release.ByDeployment, Plan: in.Plan, By: "mallory"}, &entered)
	target.Tenure = entered.Tenure.Number
	var built activities.SliceResult
	call(build, "BuildSlice", activities.SliceInput{Target: target, Step: "canary", Plan: in.Plan}, &built)

	compare := activities.CompareInput{Target: target, Pieces: built.Pieces}
	items := make([]generation.Item, len(built.Pieces))
	for i, p := range built.Pieces {
		items[i] = generation.Item{Output: p.Swap.Output, Partition: p.Swap.Partition}
	}
	as := func(step string, r release.Release) []activities.Piece {
		var made activities.SliceResult
		call(build, "BuildSlice", activities.SliceInput{Target: target, Step: step, Items: items, Control: &r}, &made)
		return made.Pieces
	}
	switch in.Trick {
	case verLeavesOut:
		compare.Pieces = nil
		for _, p := range built.Pieces {
			if p.Swap.Output != "orders" {
				compare.Pieces = append(compare.Pieces, p)
			}
		}
	case verPassesActive:
		compare.Pieces = as("other", in.Active)
	case verOwnControl:
		compare.Control = as("control", in.Release)
	case verForgetsInputs:
		compare.Pieces = append([]activities.Piece(nil), built.Pieces...)
		for i := range compare.Pieces {
			compare.Pieces[i].Inputs = "unknown"
		}
	}
	if in.Trick != verSkips {
		call(build, "CompareCanary", compare, &activities.CompareResult{})
	}
	if in.Trick == verAccepts {
		call(control, "RecordAnswers", activities.RecordInput{Target: target, Gate: gate.Gate{
			Name: "canary-dev", Plan: in.Plan, Requester: "mallory", About: []string{compare.About()},
			Answers: []gate.Answer{{Decision: gate.Decision{Gate: "canary-dev", Plan: in.Plan, Choice: gate.Approve, By: "grace", Reason: "fine"}, At: target.Now}},
		}}, nil)
	}
	call(control, "Expand", activities.ExpandInput{Target: target}, nil)
	swaps := make([]generation.Swap, len(built.Pieces))
	for i, p := range built.Pieces {
		swaps[i] = p.Swap
	}
	call(control, "Publish", activities.PublishInput{Target: target, Step: "publish-canary", Activate: true, Swaps: swaps, By: "mallory"}, nil)
	call(control, "Attest", target, nil)
	call(control, "Leave", target, nil)
	return answers, nil
}

// bypasses serves somebody's own deployments, and runs one.
func (w *world) bypasses() func(verBypass) verAnswers {
	w.t.Helper()
	own := sdk.New(w.temporal, verQueue, sdk.Options{})
	own.RegisterWorkflowWithOptions(bypass, workflow.RegisterOptions{Name: workflows.DeploymentName})
	require.NoError(w.t, own.Start())
	w.t.Cleanup(own.Stop)
	return func(in verBypass) verAnswers {
		w.t.Helper()
		run, err := w.temporal.ExecuteWorkflow(w.t.Context(), client.StartWorkflowOptions{
			ID: "deploy/evil/" + in.Trick, TaskQueue: verQueue, WorkflowExecutionTimeout: 5 * time.Minute,
		}, workflows.DeploymentName, in)
		require.NoError(w.t, err)
		var answers verAnswers
		require.NoError(w.t, run.Get(w.t.Context(), &answers))
		for _, step := range []string{"Enter", "BuildSlice", "Leave"} { // else nothing is proven about the rest
			require.Contains(w.t, answers, step)
			require.Empty(w.t, answers[step], in.Trick)
		}
		return answers
	}
}

// What the canary has refused is not published by who does without it, whatever is made up about it; and what passes is.
func TestWhatTheCanaryRefusedIsPublishedByNobody(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	live := w.status(shop).Release
	w.cli(2, "deploy", w.doubled("1.1.0"), "--to", "dev", "--rebuild", "all")
	refused := w.status(shop).Release
	plan := w.planned("shop@1.1.0", "--to", "dev")
	bypasses := w.bypasses()
	for trick, says := range map[string]string{
		verSkips:         "the ledger has no verdict",
		verCompares:      "the verdict of its canary is fail",
		verAccepts:       "the verdict of its canary is fail",
		verForgetsInputs: "the verdict of its canary is fail",
		verLeavesOut:     "the ledger has no verdict",
		verPassesActive:  "the ledger has no verdict",
		verOwnControl:    "the ledger has no verdict",
	} {
		answers := bypasses(verBypass{Release: refused, Active: live, Plan: plan, Trick: trick})
		require.Contains(t, answers["Expand"], says, trick)
		require.Contains(t, answers["Publish"], says, trick)
		require.NotEmpty(t, answers["Attest"], trick)
		require.Equal(t, "1.0.0", w.active("dev"), trick)
		w.holds("dev", four)
		require.Zero(t, w.statements(refused.Digest, "passed"), trick)
	}
	w.cli(0, "deploy", w.withCurrency("1.2.0"), "--to", "dev", "--rebuild", "all")
	w.holds("dev", fiveFilled)
	require.Equal(t, []string{"smoke pass", "canary pass"},
		w.texts(`SELECT v.stage || ' ' || v.outcome FROM shop_dev__ledger.verdict v JOIN shop_dev__ledger.tenure USING (plan) WHERE version = '1.2.0' ORDER BY v.id`))
}

// Where nothing is active there is nothing to be compared with, but nobody signs for what nobody has tried.
func TestNobodySignsForAFirstReleaseThatWasNotTried(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	var planned struct {
		Digest  string          `json:"digest"`
		Release release.Release `json:"release"`
	}
	require.NoError(t, json.Unmarshal([]byte(w.cli(0, "plan", w.release("1.0.0"), "--to", "dev", "--format", "json").out), &planned))
	answers := w.bypasses()(verBypass{Release: planned.Release, Plan: planned.Digest, Trick: verSkips})
	require.Empty(t, answers["Publish"])
	require.Equal(t, "1.0.0", w.active("dev"))
	require.Contains(t, answers["Attest"], "the ledger has no verdict of its smoke")
	require.Zero(t, w.statements(planned.Release.Digest, "passed"))
}
