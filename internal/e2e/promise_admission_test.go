package e2e_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/workflows"
)

// admUnapproved is a release that waits for an approval that it does not have.
func admUnapproved() tbRelease {
	return tbRelease{version: "6.6.6", factor: 666, outputs: []string{"ta"}}
}

// admBefore is a world in which one release is live and another waits, and somebody else who can reach Temporal.
func admBefore(t *testing.T, unapproved tbRelease) (l *tbLab, f *admForeign, live, waiting status) {
	t.Helper()
	l = admWorld(t, tbFirst("ta"))
	live = l.w.status(l.name)
	waiting = l.asks(unapproved)
	require.NotEqual(t, live.Release.Digest, waiting.Release.Digest)
	return l, l.w.admForeign(), live, waiting
}

// unchanged asserts that forged calls changed nothing for anybody.
func (l *tbLab) unchanged(before []string, digest, what string) {
	l.w.t.Helper()
	require.Equal(l.w.t, before, l.admSeen(digest), what)
}

// Whoever calls Publish by name cannot publish rows of a release that nobody approved, whatever release or plan it names.
func TestAForeignPublishShowsNothingUnapproved(t *testing.T) {
	t.Parallel()
	l, f, live, waiting := admBefore(t, admUnapproved())
	before := l.admSeen(waiting.Release.Digest)
	day, was, built := l.admCandidate("6.6.6")
	for _, c := range []struct {
		what   string
		fields map[string]any
	}{
		{"by its own name, without a plan", map[string]any{"target": admTarget(waiting.Release)}},
		{"under a made-up plan", map[string]any{"target": admTarget(waiting.Release), "plan": "sha256:forged"}},
		{"under its plan, which waits", map[string]any{"target": admTarget(waiting.Release), "plan": waiting.Plan}},
		{"as a turn-back", map[string]any{"target": admTarget(waiting.Release), "turn_back": true}},
		{"under the approval of another release", map[string]any{"target": admTarget(waiting.Release), "plan": live.Plan}},
	} {
		fields := map[string]any{"step": "publish", "swaps": admSwaps(day, was, built), "accepted": true, "ignore_snapshots": true}
		maps.Copy(fields, c.fields)
		refusal := f.call(workflows.ControlQueue("dev"), "Publish", admInput[activities.PublishInput](t, fields))
		l.unchanged(before, waiting.Release.Digest, c.what)
		require.NotEmpty(t, refusal, c.what)
	}
}

// Naming the active release does not make another one's rows its own.
func TestAForeignPublishInTheNameOfTheActiveReleaseIsRefused(t *testing.T) {
	t.Parallel()
	l, f, live, waiting := admBefore(t, admUnapproved())
	before := l.admSeen(waiting.Release.Digest)
	day, was, built := l.admCandidate("6.6.6")
	for _, plan := range []string{"", live.Plan} {
		refusal := f.call(workflows.ControlQueue("dev"), "Publish", admInput[activities.PublishInput](t, map[string]any{
			"target": admTarget(live.Release), "plan": plan, "step": "publish", "swaps": admSwaps(day, was, built),
		}))
		l.unchanged(before, waiting.Release.Digest, "in the name of the active release")
		require.NotEmpty(t, refusal)
	}
}

// Room for columns is made for what was approved only: readers of SELECT * would see it.
func TestAForeignCallerMakesNoRoom(t *testing.T) {
	t.Parallel()
	wider := admUnapproved()
	wider.columns = ", 7 AS later"
	l, f, live, waiting := admBefore(t, wider)
	before := l.admSeen(waiting.Release.Digest)
	for _, c := range []struct {
		what   string
		fields map[string]any
	}{
		{"for it, without a plan", map[string]any{"target": admTarget(waiting.Release)}},
		{"for it, under its plan", map[string]any{"target": admTarget(waiting.Release), "plan": waiting.Plan}},
		{"for the active release", map[string]any{"target": admTarget(live.Release)}},
		{"for it, under the approval of another release", map[string]any{"target": admTarget(waiting.Release), "plan": live.Plan}},
	} {
		f.call(workflows.ControlQueue("dev"), "Expand", admInput[activities.ExpandInput](t, c.fields))
		l.unchanged(before, waiting.Release.Digest, "room "+c.what)
	}
}

// An approval is what people of this environment's policy have said, not what a caller says that they have.
func TestAForgedApprovalLetsNothingIn(t *testing.T) {
	t.Parallel()
	l, f, _, waiting := admBefore(t, admUnapproved())
	before := l.admSeen(waiting.Release.Digest)
	day, was, built := l.admCandidate("6.6.6")
	answer := func(by, plan string) map[string]any {
		return map[string]any{"gate": "approval-dev", "plan": plan, "choice": "approve", "by": by, "reason": "ok", "at": "2026-01-01T00:00:00Z"}
	}
	for _, c := range []struct {
		what, plan string
		answers    func(plan string) []map[string]any
	}{
		{"nobody, of a made-up plan", "sha256:forged", func(string) []map[string]any { return nil }},
		{"nobody, of the plan that waits", waiting.Plan, func(string) []map[string]any { return nil }},
		{"strangers", waiting.Plan, func(p string) []map[string]any {
			return []map[string]any{answer("mallory", p), answer("eve", p)}
		}},
		{"one approver twice", waiting.Plan, func(p string) []map[string]any {
			return []map[string]any{answer("grace", p), answer("Grace", p)}
		}},
		{"one approver", waiting.Plan, func(p string) []map[string]any { return []map[string]any{answer("grace", p)} }},
	} {
		gate := map[string]any{
			"name": "approval-dev", "plan": c.plan, "question": "?", "choices": []string{"approve"}, "requester": "ada",
			"rule": map[string]any{"required": true, "quorum": 1, "four_eyes": false}, "decided": "approve", "why": "ok",
			"opened_at": "2026-01-01T00:00:00Z", "answers": c.answers(c.plan),
		}
		f.call(workflows.ControlQueue("dev"), "RecordApproval", admInput[activities.RecordInput](t, map[string]any{"target": admTarget(waiting.Release), "gate": gate}))
		f.call(workflows.ControlQueue("dev"), "Activate", admInput[activities.ActivateInput](t, map[string]any{
			"target": admTarget(waiting.Release), "step": "activate", "plan": c.plan,
		}))
		l.unchanged(before, waiting.Release.Digest, "approved by "+c.what+", and activated")
		f.call(workflows.ControlQueue("dev"), "Publish", admInput[activities.PublishInput](t, map[string]any{
			"target": admTarget(waiting.Release), "step": "publish", "plan": c.plan, "swaps": admSwaps(day, was, built),
		}))
		l.unchanged(before, waiting.Release.Digest, "approved by "+c.what+", and published")
	}
}

// An approval lets in the release that it is about, and no other.
func TestAnApprovalServesOneRelease(t *testing.T) {
	t.Parallel()
	l, f, live, waiting := admBefore(t, admUnapproved())
	before := l.admSeen(waiting.Release.Digest)
	refusal := f.call(workflows.ControlQueue("dev"), "Activate", admInput[activities.ActivateInput](t, map[string]any{
		"target": admTarget(waiting.Release), "step": "activate", "plan": live.Plan,
	}))
	l.unchanged(before, waiting.Release.Digest, "under the approval of another release")
	require.NotEmpty(t, refusal)
}

// Nor is an approval good for ever: once another release was let in, going back is a rollback, not an old plan.
func TestASpentApprovalLetsNothingBackIn(t *testing.T) {
	t.Parallel()
	l := admWorld(t, tbFirst("ta"))
	old := l.w.status(l.name)
	l.approved(tbSecond("ta"))
	f := l.w.admForeign()
	before := l.admSeen(old.Release.Digest)
	refusal := f.call(workflows.ControlQueue("dev"), "Activate", admInput[activities.ActivateInput](t, map[string]any{
		"target": admTarget(old.Release), "step": "activate", "plan": old.Plan,
	}))
	l.unchanged(before, old.Release.Digest, "under the approval of last time")
	require.NotEmpty(t, refusal)
}

// Which release is active changes with a deployment or a turn-back that the ledger knows, and not because somebody says so.
func TestAForeignActivationIsRefused(t *testing.T) {
	t.Parallel()
	l, f, live, waiting := admBefore(t, admUnapproved())
	before := l.admSeen(waiting.Release.Digest)
	for _, c := range []struct {
		what   string
		fields map[string]any
	}{
		{"of a release without an approval", map[string]any{"target": admTarget(waiting.Release)}},
		{"of one that was never there, as a turn-back", map[string]any{"target": admTarget(waiting.Release), "turn_back": true}},
		{"of none", map[string]any{"target": admTarget(live.Release), "none": true}},
		{"of none, as a turn-back", map[string]any{"target": admTarget(live.Release), "none": true, "turn_back": true}},
	} {
		fields := map[string]any{"step": "activate"}
		maps.Copy(fields, c.fields)
		refusal := f.call(workflows.ControlQueue("dev"), "Activate", admInput[activities.ActivateInput](t, fields))
		l.unchanged(before, waiting.Release.Digest, "activation "+c.what)
		require.NotEmpty(t, refusal, c.what)
	}
}

// A statement says what the ledger says, not what a caller says: a release that was never live has passed nothing.
func TestAForeignStatementIsNotSigned(t *testing.T) {
	t.Parallel()
	l, f, _, waiting := admBefore(t, admUnapproved())
	for _, kind := range []string{"passed", "approved"} {
		refusal := f.call(workflows.ControlQueue("dev"), "Attest", admInput[activities.AttestInput](t, map[string]any{
			"target": admTarget(waiting.Release), "kind": kind, "plan": waiting.Plan, "by": "mallory",
		}))
		require.Zero(t, l.w.statements(waiting.Release.Digest, kind), "signed: %s", kind)
		require.NotEmpty(t, refusal, kind)
	}
}

// Nobody stops the effects of others by fencing what is not theirs.
func TestAForeignFenceStopsNobody(t *testing.T) {
	t.Parallel()
	l, f, live, waiting := admBefore(t, admUnapproved())
	description, err := l.w.temporal.DescribeWorkflow(t.Context(), waiting.ID, "")
	require.NoError(t, err)
	for _, key := range []string{"", "run", "deploy", "run/lab/dev/2026-01-01", workflows.EffectKey(waiting.ID, description.WorkflowExecution.RunID)} {
		target := admTarget(live.Release)
		target["key"] = key
		f.call(workflows.ControlQueue("dev"), "Fence", admInput[activities.Target](t, target))
	}
	a := l.w.try("run", l.name, "--env", "dev", "--partition", l.days[0])
	require.Equal(t, 0, a.code, tbTold(a))
	l.agree(waiting.ID)
	s := l.w.tbEnds(waiting.ID)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
}

// Nobody takes away what a deployment of others has built.
func TestAForeignCallerDropsNoShadow(t *testing.T) {
	t.Parallel()
	l, f, _, waiting := admBefore(t, admUnapproved())
	description, err := l.w.temporal.DescribeWorkflow(t.Context(), waiting.ID, "")
	require.NoError(t, err)
	target := admTarget(waiting.Release)
	target["key"] = workflows.EffectKey(waiting.ID, description.WorkflowExecution.RunID)
	f.call(workflows.ControlQueue("dev"), "DropShadow", admInput[activities.ShadowInput](t, map[string]any{"target": target}))
	l.agree(waiting.ID)
	s := l.w.tbEnds(waiting.ID)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	l.are("dev", 666, "ta")
}

// admActivities are all activities of an environment by their queues.
func admActivities() map[string][]string {
	return map[string][]string{
		workflows.ControlQueue("dev"): {
			"BuildRelease", "Attest", "Observe", "Compute", "ReadPlan", "Recheck", "Expand", "AttachShadow", "DropShadow", "Publish",
			"Activate", "Active", "RecordApproval", "Housekeep", "Fence", "Survey", "Swaps", "Rebuilds", "MeasureBefore", "Look", "Inspect",
		},
		workflows.BuildQueue("dev"): {"BuildSlice", "ValidateRelease", "ValidateSource", "ChooseBaseline", "CompareCanary"},
	}
}

// admEverything is an input of everybody's fields at once: each activity takes those that it knows, and all are forged.
func admEverything(release any, plan, key string, swaps []map[string]any) map[string]any {
	target := map[string]any{"environment": "dev", "release": release, "key": key}
	return map[string]any{
		"environment": "dev", "release": release, "key": key, // where the target is the input
		"target": target, "plan": plan, "step": "publish", "round": 1, "swaps": swaps, "accepted": true, "ignore_snapshots": true,
		"turn_back": false, "none": false, "kind": "passed", "by": "mallory", "items": []map[string]any{{"output": "ta", "partition": "2026-01-01"}},
		"generations": []any{swaps[0]["to"], swaps[0]["from"]}, "undo": plan, "batch": 0, "source": plan, "observed": []string{plan},
		"request": map[string]any{"version": "6.6.6"}, "partition": "2026-01-01", "output": "ta", "pieces": []any{}, "values": map[string]any{},
		"gate": map[string]any{"name": "approval-dev", "plan": plan, "decided": "approve", "why": "ok"},
	}
}

// The worst that follows from any call of any activity, in any state, is a refusal: first all are called, in the name of
// either release and under every plan; then the deployment that waited goes on as if nothing had been.
func TestNoActivityTrustsItsCaller(t *testing.T) {
	t.Parallel()
	l, f, live, waiting := admBefore(t, admUnapproved())
	digest := waiting.Release.Digest
	before := l.admSeen(digest)
	day, was, built := l.admCandidate("6.6.6")
	forged := func(state string) {
		for _, queue := range []string{workflows.ControlQueue("dev"), workflows.BuildQueue("dev")} {
			for _, name := range admActivities()[queue] {
				var refusals []func() string
				for _, release := range []any{waiting.Release, live.Release} {
					for _, plan := range []string{live.Plan, waiting.Plan} {
						refusals = append(refusals, f.start(queue, name, admEverything(release, plan, "foreign/1/made-up", admSwaps(day, was, built))))
					}
				}
				for _, refusal := range refusals {
					refusal()
				}
				l.unchanged(before, digest, state+": "+name)
			}
		}
	}
	forged("while a gate is open")
	l.w.cli(0, "reject", waiting.ID, "--as", "grace", "--reason", "no")
	require.Equal(t, workflows.StageRefused, l.w.tbEnds(waiting.ID).Stage)
	forged("after a rejection")
}
