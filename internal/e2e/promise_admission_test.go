package e2e_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
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
	l, f, _, waiting := admBefore(t, admUnapproved())
	before := l.admSeen(waiting.Release.Digest)
	day, was, built := l.admCandidate("6.6.6")
	for _, c := range []struct {
		what   string
		fields map[string]any
	}{
		{"by its own name, without a tenure", map[string]any{"target": admTarget(waiting.Release)}},
		{"under a made-up tenure", map[string]any{"target": l.admUnder(waiting.Release, 99)}},
		{"under its tenure, which waits", map[string]any{"target": l.admUnder(waiting.Release, l.admTenure()+1)}},
		{"under the tenure of what is active", map[string]any{"target": l.admUnder(waiting.Release, l.admTenure())}},
		{"in the name of its workflow", map[string]any{"target": l.admOwned(waiting, l.admTenure()+1), "activate": true}},
	} {
		fields := map[string]any{"step": "publish", "swaps": admSwaps(day, was, built)}
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
	for _, tenure := range []int{0, l.admTenure()} {
		target := admTarget(live.Release)
		target["tenure"] = tenure
		refusal := f.call(workflows.ControlQueue("dev"), "Publish", admInput[activities.PublishInput](t, map[string]any{
			"target": target, "step": "publish", "swaps": admSwaps(day, was, built),
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
		{"for it, without a tenure", map[string]any{"target": admTarget(waiting.Release)}},
		{"for it, under its tenure", map[string]any{"target": l.admUnder(waiting.Release, l.admTenure()+1)}},
		{"for the active release", map[string]any{"target": l.admUnder(live.Release, l.admTenure())}},
		{"for it, in the name of its workflow", map[string]any{"target": l.admOwned(waiting, l.admTenure()+1)}},
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
		f.call(workflows.ControlQueue("dev"), "RecordAnswers", admInput[activities.RecordInput](t, map[string]any{"target": admTarget(waiting.Release), "gate": gate}))
		f.call(workflows.ControlQueue("dev"), "Publish", admInput[activities.PublishInput](t, map[string]any{
			"target": l.admOwned(waiting, l.admTenure()+1), "step": "activate", "activate": true,
		}))
		l.unchanged(before, waiting.Release.Digest, "approved by "+c.what+", and activated")
		f.call(workflows.ControlQueue("dev"), "Publish", admInput[activities.PublishInput](t, map[string]any{
			"target": l.admOwned(waiting, l.admTenure()+1), "step": "publish", "swaps": admSwaps(day, was, built),
		}))
		l.unchanged(before, waiting.Release.Digest, "approved by "+c.what+", and published")
	}
}

// An approval lets in the release that it is about, and no other.
func TestAnApprovalServesOneRelease(t *testing.T) {
	t.Parallel()
	l, f, _, waiting := admBefore(t, admUnapproved())
	before := l.admSeen(waiting.Release.Digest)
	refusal := f.call(workflows.ControlQueue("dev"), "Publish", admInput[activities.PublishInput](t, map[string]any{
		"target": l.admOwned(waiting, l.admTenure()+1), "step": "activate", "activate": true,
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
	refusal := f.call(workflows.ControlQueue("dev"), "Publish", admInput[activities.PublishInput](t, map[string]any{
		"target": l.admOwned(old, l.admTenure()-1), "step": "activate", "activate": true,
	}))
	l.unchanged(before, old.Release.Digest, "under the approval of last time")
	require.NotEmpty(t, refusal)
}

// Which release is active changes with a deployment or a turn-back that the ledger knows, and not because somebody says so.
func TestAForeignActivationIsRefused(t *testing.T) {
	t.Parallel()
	l, f, _, waiting := admBefore(t, admUnapproved())
	before := l.admSeen(waiting.Release.Digest)
	for _, c := range []struct {
		what   string
		fields map[string]any
	}{
		{"of a release without an approval", map[string]any{"target": l.admUnder(waiting.Release, l.admTenure()+1)}},
		{"in the name of its workflow", map[string]any{"target": l.admOwned(waiting, l.admTenure()+1)}},
		{"of what is active, as a release of its own", map[string]any{"target": l.admUnder(waiting.Release, l.admTenure())}},
	} {
		fields := map[string]any{"step": "activate", "activate": true}
		maps.Copy(fields, c.fields)
		refusal := f.call(workflows.ControlQueue("dev"), "Publish", admInput[activities.PublishInput](t, fields))
		l.unchanged(before, waiting.Release.Digest, "activation "+c.what)
		require.NotEmpty(t, refusal, c.what)
	}
}

// A statement says what the ledger says, not what a caller says: a release that was never live has passed nothing, and of what is
// live only its own deployment says that it has.
func TestAForeignStatementIsNotSigned(t *testing.T) {
	t.Parallel()
	l, f, live, waiting := admBefore(t, admUnapproved())
	target := admTarget(waiting.Release)
	target["kind"], target["plan"], target["by"] = "approved", waiting.Plan, "mallory"
	require.NotEmpty(t, f.call(workflows.ControlQueue("dev"), "Attest", target))
	mine := l.admUnder(live.Release, l.admTenure())
	mine["owner"] = admOwn
	before := l.w.statements(live.Release.Digest, "passed")
	refusal := f.startAs(admAs{workflows.DeploymentName, "deploy/lab/"}, workflows.ControlQueue("dev"), "Attest", mine)()
	require.Contains(t, refusal, "belongs to another workflow")
	require.Equal(t, before, l.w.statements(live.Release.Digest, "passed"))
	for _, kind := range []string{"passed", "approved"} {
		require.Zero(t, l.w.statements(waiting.Release.Digest, kind), "signed: %s", kind)
	}
}

// Nobody stops the effects of others by fencing what is not theirs.
func TestAForeignFenceStopsNobody(t *testing.T) {
	t.Parallel()
	l, f, live, waiting := admBefore(t, admUnapproved())
	owned := l.admOwned(waiting, 0)["owner"]
	for _, owner := range []any{"", "run", "deploy", "run/lab/dev/2026-01-01", owned} {
		for _, request := range []map[string]any{{"owner": owner}, {"workflow": waiting.ID}, {"resume": true}, {}} {
			request["pipeline"], request["by"], request["by_person"] = "lab", "mallory", true
			target := admTarget(live.Release)
			target["owner"] = owner
			f.call(workflows.ControlQueue("dev"), "BeginTurnBack", admInput[activities.BeginInput](t, map[string]any{"target": target, "request": request}))
		}
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
	target := l.admOwned(waiting, 0)
	f.call(workflows.ControlQueue("dev"), "Leave", admInput[activities.Target](t, target))
	f.call(workflows.ControlQueue("dev"), "DropShadow", admInput[activities.ShadowInput](t, map[string]any{"target": target}))
	l.agree(waiting.ID)
	s := l.w.tbEnds(waiting.ID)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	l.are("dev", 666, "ta")
}

// admActivities are all activities of an environment by their queues.
func admActivities() map[string][]string {
	queues := map[conduct.Queue]string{conduct.ControlQueue: workflows.ControlQueue("dev"), conduct.BuildQueue: workflows.BuildQueue("dev")}
	all := map[string][]string{}
	for _, a := range workflows.Activities() {
		all[queues[a.Queue]] = append(all[queues[a.Queue]], a.Name)
	}
	return all
}

// admDisguises are the workflows that may call an activity, as somebody else who took their names.
func admDisguises(activity string) []admAs {
	var all []admAs
	for _, a := range workflows.Activities() {
		for _, w := range workflows.Workflows() {
			if a.Name == activity && slices.Contains(a.By, w.Name) {
				all = append(all, admAs{w.Name, strings.Join(append(w.IDs, "foreign/")[:1], "")})
			}
		}
	}
	return all
}

// admEverything is an input of everybody's fields at once: each activity takes those that it knows, and all are forged.
func admEverything(target map[string]any, plan string, swaps []map[string]any) map[string]any {
	return map[string]any{
		"target": target, "plan": plan, "step": "publish", "round": 1, "swaps": swaps, "workflow": "deploy/lab/1.0.0",
		"activate": true, "kind": "passed", "by": "mallory", "items": []map[string]any{{"output": "ta", "partition": "2026-01-01"}},
		"generations": []any{swaps[0]["to"], swaps[0]["from"]}, "tenure": target["tenure"], "after": "", "rebuild": []string{"2026-01-01"}, "source": plan, "observed": []string{plan},
		"request": map[string]any{"pipeline": "lab", "to": "6.6.6", "by": "mallory", "by_person": true}, "partition": "2026-01-01", "output": "ta", "pieces": []any{}, "values": map[string]any{},
		"gate": map[string]any{"name": "approval-dev", "plan": plan, "decided": "approve", "why": "ok"},
	}
}

// admInputs is a forged input for an activity, as that activity reads it.
func admInputs(activity string, target map[string]any, plan string, swaps []map[string]any) map[string]any {
	input := admEverything(target, plan, swaps)
	maps.Copy(input, map[string]map[string]any{
		"Enter": {"kind": "deployment"}, "Compute": {"rebuild": map[string]any{"mode": "all"}}, "Inspect": {"kind": "history"}, "Examine": {"kind": "checksum"},
		"Housekeep": {"house": map[string]any{"schema": "lab_dev"}}, "Survey": {"environment": "dev"}, "SetHold": {"environment": "dev", "reason": "none", "release": true, "owner": target["owner"]},
	}[activity])
	if slices.Contains([]string{"Observe", "ValidateRelease", "MeasureBefore", "Attest", "BeginWatch", "Leave", "ProveMigration", "MigrationBlockers", "AttestMigration"}, activity) {
		return target
	}
	return input
}

// The worst that follows from any call of any activity, in any state, is a refusal: all are called, in the name of either
// release, under every plan, and as anybody; the deployment that waited goes on as if nothing had been.
func TestNoActivityTrustsItsCaller(t *testing.T) {
	t.Parallel()
	l, f, live, waiting := admBefore(t, admUnapproved())
	digest := waiting.Release.Digest
	day, was, built := l.admCandidate("6.6.6")
	forged := func(state string) {
		before := l.admSeen(digest)
		refusals, disguised := map[string]func() string{}, map[string]func() string{}
		for queue, names := range admActivities() {
			for _, name := range names {
				for more, of := range []status{live, waiting} { // under the tenure that is active, and under the one that waits
					for _, owner := range []any{"foreign/1/made-up", l.admOwned(waiting, 0)["owner"], admOwn} {
						target := map[string]any{"environment": "dev", "release": of.Release, "owner": owner, "tenure": l.admTenure() + more}
						input := admInputs(name, target, waiting.Plan, admSwaps(day, was, built))
						call := fmt.Sprint(name, " for ", of.Release.Version, " as ", owner)
						refusals[call] = f.start(queue, name, input)
						for _, as := range admDisguises(name) {
							disguised[fmt.Sprint(call, " in the clothes of ", as)] = f.startAs(as, queue, name, input)
						}
					}
				}
			}
		}
		for call, refusal := range refusals {
			said := refusal()
			require.NotEmpty(t, said, "%s: it is not for everybody", call)
			require.NotContains(t, said, admMisread, call)
		}
		for call, answer := range disguised { // which may read
			require.NotContains(t, answer(), admMisread, call)
		}
		l.unchanged(before, digest, state)
	}
	forged("while a gate is open")
	l.agree(waiting.ID)
	s := l.w.tbEnds(waiting.ID)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	l.are("dev", 666, "ta")

	next := l.asks(tbSecond("ta"))
	digest, waiting = next.Release.Digest, next
	day, was, built = l.admCandidate("1.1.0")
	l.w.cli(0, "reject", next.ID, "--as", "grace", "--reason", "no")
	require.Equal(t, workflows.StageRefused, l.w.tbEnds(next.ID).Stage)
	forged("after a rejection")
	l.are("dev", 666, "ta")
}

// Whoever is somebody else's workflow by its ID only, because it was started after it, owns nothing of it.
func TestAWorkflowThatIsStartedAgainIsAnotherOne(t *testing.T) {
	t.Parallel()
	l, f, _, waiting := admBefore(t, admUnapproved())
	owned := l.admOwned(waiting, l.admTenure()+1)
	require.NoError(t, l.w.temporal.TerminateWorkflow(t.Context(), waiting.ID, "", "by hand"))
	before := l.w.texts(`SELECT owner FROM lab_dev__ledger.crossing`)
	require.Len(t, before, 1)
	f.calls = 5 // the next call has the number 6, with which the ID ends
	prefix := strings.TrimSuffix(waiting.ID, "6")
	require.NotEqual(t, waiting.ID, prefix)
	refusal := f.startAs(admAs{workflows.DeploymentName, prefix}, workflows.ControlQueue("dev"), "Leave", owned)()
	require.Contains(t, refusal, "started under the same ID")
	require.Equal(t, before, l.w.texts(`SELECT owner FROM lab_dev__ledger.crossing`))
}

// Nobody holds an environment, or turns it back, but the workflow whose task that is; and the ledger says which one it was.
func TestAHoldIsTheWorkflowsThatMayAndRecorded(t *testing.T) {
	t.Parallel()
	l, f, live, _ := admBefore(t, admUnapproved())
	standing := func() int {
		return l.w.number(`SELECT count(*) FROM lab_dev__ledger.hold WHERE released_at IS NULL`)
	}
	forged := map[string]any{"environment": "dev", "by": "mallory", "reason": "because", "owner": admOwn}
	for _, as := range []admAs{{"somebody.Else", "hold/dev/"}, {workflows.HoldName, "foreign/"}, {workflows.RunName, "run/lab/dev/"}} {
		require.Contains(t, f.startAs(as, workflows.ControlQueue("dev"), "SetHold", forged)(), "is not for")
	}
	require.Zero(t, standing())
	l.w.cli(0, "hold", "--env", "dev", "--reason", "quarter end")
	require.Equal(t, 1, l.w.number(`SELECT count(*) FROM lab_dev__ledger.hold WHERE set_by = 'ada' AND set_in LIKE 'hold/dev/%/%'`))
	forged["release"] = true
	require.Contains(t, f.startAs(admAs{"somebody.Else", "hold/dev/"}, workflows.ControlQueue("dev"), "SetHold", forged)(), "is not for")
	require.Equal(t, 1, standing())

	target := l.admUnder(live.Release, 0)
	target["owner"] = admOwn
	request := map[string]any{"pipeline": "lab", "by": "mallory", "reason": "because", "output": "ta", "partition": l.days[0]}
	for activity, input := range map[string]any{
		"BeginTurnBack":     map[string]any{"target": target, "request": request},
		"BeginCompensation": map[string]any{"target": target, "round": 1},
		"BeginRecovery":     map[string]any{"target": target, "round": 1, "workflow": live.ID},
		"EndTurnBack":       map[string]any{"target": target, "tenure": l.admTenure()},
	} {
		require.Contains(t, f.start(workflows.ControlQueue("dev"), activity, input)(), "is not for", activity)
	}
	require.Zero(t, l.w.number(`SELECT count(*) FROM lab_dev__ledger.turn_back`))
}
