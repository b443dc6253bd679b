package warehouse_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

// untried is a deployment of 1.1.0 that nobody has judged, beside 1.0.0 which is active, with two generations of the day.
func untried(t *testing.T) (b *bundle, live int64, candidate, other generation.Generation) {
	t.Helper()
	b = setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	live, _, err := b.Live(t.Context(), "fct_orders", "2026-01-01")
	require.NoError(t, err)
	b.owner = workflow("deploy/shop/untried")
	b.tenure, err = b.Enter(t.Context(), deployment(b.owner, "1.1.0"), anew(b.owner), outputs(), false)
	require.NoError(t, err)
	built := func() generation.Generation {
		out, err := b.Build(t.Context(), b.spec(mart("1.1.0"), "2026-01-01"))
		require.NoError(t, err)
		return out[0].Generation
	}
	return b, live, built(), built()
}

// judges records what smoke and canary found, in the name of the workflow that is at work.
func (b *bundle) judges(t *testing.T, found gate.Outcome, about string, compared ...admission.Compared) {
	t.Helper()
	_, err := b.Judge(t.Context(), b.tenure, b.key(),
		admission.Verdict{Stage: admission.Smoke, Verdict: gate.Verdict{Outcome: gate.Pass}},
		admission.Verdict{Stage: admission.Canary, Verdict: gate.Verdict{Outcome: found, Reason: "as a test says"}, About: []string{about}, Compared: compared})
	require.NoError(t, err)
}

func TestAPublishIsHeldToTheLastVerdictOfItsTenure(t *testing.T) {
	t.Parallel()
	b, live, candidate, other := untried(t)
	pair := admission.Compared{Output: candidate.Output, Partition: candidate.Partition, Candidate: candidate.ID, Live: live, Baseline: live}
	try := func(g generation.Generation) error {
		_, err := b.attempt(t.Context(), b.patient(swap(g, live)), beat)
		return err
	}
	refused := func(class fault.Class, g generation.Generation, says string) {
		t.Helper()
		err := try(g)
		require.Equal(t, class, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, says)
		now, _, err := b.Live(t.Context(), candidate.Output, candidate.Partition)
		require.NoError(t, err)
		require.Equal(t, live, now)
	}
	refused(fault.Refused, candidate, "no verdict of its smoke")
	b.judges(t, gate.Fail, "round 0", pair)
	refused(fault.Refused, candidate, "canary is fail: as a test says")
	b.judges(t, gate.Inconclusive, "round 1", pair)
	b.answered(t, "grace", gate.Approve, "round 0")
	refused(fault.Refused, candidate, "canary is inconclusive")
	b.answered(t, "grace", gate.Approve, "round 1")
	refused(fault.Conflict, other, "and not about")
	require.NoError(t, try(candidate))
}

// What another workflow, or the same one under another plan, has recorded is no verdict of this tenure.
func TestAVerdictIsOfTheTenuresOwnWorkflowAndPlan(t *testing.T) {
	t.Parallel()
	b, live, candidate, _ := untried(t)
	foreign, replanned := b.tenure, b.tenure
	foreign.Owner, replanned.Plan = string(workflow("deploy/shop/foreign")), "sha256:other"
	passed(t, b.Warehouse, foreign)
	passed(t, b.Warehouse, replanned)
	_, err := b.attempt(t.Context(), b.patient(swap(candidate, live)), beat)
	require.ErrorContains(t, err, "no verdict of its smoke")
}

// An attempt that was stopped, and comes back when another one has judged, changes nothing.
func TestOfTwoAttemptsTheFirstVerdictCounts(t *testing.T) {
	t.Parallel()
	b, _, candidate, _ := untried(t)
	key := b.key()
	first := admission.Verdict{
		Stage: admission.Canary, Round: 2, About: []string{"this"},
		Verdict:  gate.Verdict{Outcome: gate.Fail, Reason: "too many rows", Evidence: []gate.Evidence{{Name: "rows", Value: "3", Outcome: gate.Fail}}},
		Compared: []admission.Compared{{Output: candidate.Output, Partition: candidate.Partition, Candidate: candidate.ID}},
	}
	found, err := b.Judge(t.Context(), b.tenure, key, first)
	require.NoError(t, err)
	require.Equal(t, map[admission.Stage]admission.Verdict{admission.Canary: first}, found)
	second := first
	second.Outcome = gate.Pass
	found, err = b.Judge(t.Context(), b.tenure, key, second)
	require.NoError(t, err)
	require.Equal(t, first, found[admission.Canary])
	found, err = b.Judged(t.Context(), key)
	require.NoError(t, err)
	require.Equal(t, first, found[admission.Canary])
	found, err = b.Judged(t.Context(), b.key())
	require.NoError(t, err)
	require.Empty(t, found, "nobody has looked under another key")
}

func TestHousekeepingForgetsTheVerdictsOfDeploymentsThatHaveEnded(t *testing.T) {
	t.Parallel()
	b, _, _, _ := untried(t)
	b.judges(t, gate.Pass, "round 0")
	count := func() (n int) {
		t.Helper()
		require.NoError(t, b.Housekeep(t.Context(), 0))
		require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM `+b.db.Schema+`__ledger.verdict WHERE tenure = $1`, b.tenure.Number).Scan(&n))
		return n
	}
	age := func(days int) {
		t.Helper()
		_, err := b.db.Pool.Exec(t.Context(), `UPDATE `+b.db.Schema+`__ledger.verdict SET at = now() - make_interval(days => $1)`, days)
		require.NoError(t, err)
	}
	age(31)
	require.Equal(t, 2, count(), "it crosses, however long it waits at a gate")
	require.NoError(t, b.Watch(t.Context(), "shop", anew(b.owner), time.Hour))
	require.Equal(t, 2, count(), "it watches, and is not attested yet")
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	age(29)
	require.Equal(t, 2, count())
	age(31)
	require.Zero(t, count())
}

// What smoke has built to be audited only is found by its key, also when it was given up since.
func TestWhatWasTriedIsFoundWhateverBecameOfIt(t *testing.T) {
	t.Parallel()
	b, live, candidate, _ := untried(t)
	spec := b.spec(mart("1.1.0"), "2026-01-01")
	found, err := b.TriedUnder(t.Context(), spec.Key, "fct_orders")
	require.NoError(t, err)
	require.Zero(t, found.ID)
	out, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	require.NoError(t, b.AttachShadow(t.Context(), string(b.owner), []int64{out[0].Generation.ID}))
	require.NoError(t, b.DropShadow(t.Context(), string(b.owner)))
	found, err = b.TriedUnder(t.Context(), spec.Key, "fct_orders")
	require.NoError(t, err)
	require.Equal(t, out[0].Generation.ID, found.ID)
	require.Equal(t, generation.Rejected, found.State)
	require.Equal(t, gate.Pass, found.Audit)
	require.Positive(t, found.Seconds)
	tried, err := b.Tried(t.Context(), candidate.ID)
	require.NoError(t, err)
	require.Equal(t, live, tried[candidate.ID].Baseline)
	require.Empty(t, tried[candidate.ID].Unlike(b.owner, b.tenure.Release, "", b.tenure.Number))
	for name, why := range map[string]string{
		"another workflow": tried[candidate.ID].Unlike(workflow("deploy/shop/foreign"), b.tenure.Release, "", b.tenure.Number),
		"another release":  tried[candidate.ID].Unlike(b.owner, releaseOf("1.2.0"), "", b.tenure.Number),
		"another config":   tried[candidate.ID].Unlike(b.owner, b.tenure.Release, "sha256:config", b.tenure.Number),
		"another tenure":   tried[candidate.ID].Unlike(b.owner, b.tenure.Release, "", b.tenure.Number+1),
	} {
		require.NotEmpty(t, why, name)
	}
	_, err = b.Tried(t.Context(), 1_000_000)
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
}

func TestWhatWasLiveBeforeADeploymentWasLetInIsKnown(t *testing.T) {
	t.Parallel()
	b, _, candidate, _ := untried(t)
	later := b.tenure.Number
	b.judges(t, gate.Pass, "")
	live, _, err := b.Live(t.Context(), candidate.Output, candidate.Partition)
	require.NoError(t, err)
	b.publish(t, swap(candidate, live))
	b.orders("2026-01-02", 5, 1)
	next := b.build(t, mart("1.1.0"), "2026-01-02")
	b.publish(t, swap(next.Generation, next.From))
	keys, err := b.LiveBefore(t.Context(), []string{"fct_orders"}, later)
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"2026-01-01"}, keys, "what the deployment itself has brought does not count")
	b.cross(t, "1.2.0")
	keys, err = b.LiveBefore(t.Context(), []string{"fct_orders"}, b.tenure.Number)
	require.NoError(t, err)
	require.ElementsMatch(t, []partition.Key{"2026-01-01", "2026-01-02"}, keys)
	keys, err = b.LiveBefore(t.Context(), []string{"fct_other"}, b.tenure.Number)
	require.NoError(t, err)
	require.Empty(t, keys)
}
