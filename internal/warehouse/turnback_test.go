package warehouse_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
	"drawbridge/internal/turnback"
)

// mart is a shop with three outputs: two that are cut by day, and one that is one partition. Each row says which release
// made it, and from which amount.
func mart(version string) *pipeline.Pipeline {
	p := shop()
	p.Version = version
	made := fmt.Sprintf("'%s'::text AS made_by", version)
	p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, channel, amount, " + made + " FROM raw_orders"
	positive := []check.Check{{Name: "amount >= 0", Kind: check.Expression, Severity: check.Fail, SQL: "amount >= 0"}}
	p.Outputs = append(p.Outputs,
		pipeline.Output{
			Table: "agg_orders", Partition: day(), SQLFile: "sql/agg_orders.sql", Key: []string{"channel"}, Checks: positive,
			SQL: "SELECT channel, ordered_at::date AS order_date, max(amount) AS amount, " + made + " FROM raw_orders GROUP BY 1, 2",
		},
		pipeline.Output{
			Table: "dim_channel", Partition: partition.Scheme{By: partition.All}, SQLFile: "sql/dim_channel.sql", Key: []string{"channel"}, Checks: positive,
			SQL: "SELECT DISTINCT channel, amount, " + made + " FROM raw_orders",
		})
	return p
}

// outputs are what a release of the mart has.
func outputs() []string { return []string{"fct_orders", "agg_orders", "dim_channel"} }

// has are the outputs of the mart's releases, as a turn-back knows them.
func has() []turnback.Output {
	return []turnback.Output{{Table: "fct_orders"}, {Table: "agg_orders"}, {Table: "dim_channel", All: true}}
}

// live is what readers see of the mart, a line per output and partition: fct_orders 2026-01-01 1.0.0/1.50.
func (b *bundle) live(t *testing.T) []string {
	t.Helper()
	rows, err := b.db.Pool.Query(t.Context(), `
		SELECT DISTINCT 'fct_orders ' || order_date || ' ' || made_by || '/' || amount FROM fct_orders
		UNION ALL
		SELECT DISTINCT 'agg_orders ' || order_date || ' ' || made_by || '/' || amount FROM agg_orders
		UNION ALL
		SELECT DISTINCT 'dim_channel all ' || made_by || '/' || amount FROM dim_channel
		ORDER BY 1`)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

// seen is what live says where days, and the dimension, are as these say: made by which release from which amount.
func seen(dim string, days ...string) []string {
	lines := []string{"dim_channel all " + dim}
	for i, made := range days {
		if made != "" {
			lines = append(lines, fmt.Sprintf("fct_orders 2026-01-%02d %s", i+1, made), fmt.Sprintf("agg_orders 2026-01-%02d %s", i+1, made))
		}
	}
	slices.Sort(lines)
	return lines
}

// run builds the days of the mart from this amount and publishes each, with the dimension, as the workflow at work.
func (b *bundle) run(t *testing.T, amount int, days ...partition.Key) {
	t.Helper()
	p := mart(b.tenure.Release.Version)
	for _, key := range days {
		b.orders(key, 10, amount)
		b.publish(t, b.swaps(t, p, key)...)
	}
}

// swaps builds a day, and says what it takes to publish it.
func (b *bundle) swaps(t *testing.T, p *pipeline.Pipeline, key partition.Key) []generation.Swap {
	t.Helper()
	built, err := b.Build(t.Context(), b.spec(p, key))
	require.NoError(t, err)
	b.expand(t, p)
	swaps := make([]generation.Swap, len(built))
	for i, one := range built {
		swaps[i] = swap(one.Generation, one.From)
	}
	return swaps
}

// deploy crosses with a version, and publishes days.
func (b *bundle) deploy(t *testing.T, version string, amount int, days ...partition.Key) {
	t.Helper()
	b.cross(t, version)
	b.run(t, amount, days...)
}

// scheduled lets a run of what is active publish days.
func (b *bundle) scheduled(t *testing.T, amount int, days ...partition.Key) {
	t.Helper()
	b.owner = workflow(fmt.Sprintf("run/shop/%d", b.keys.Add(1)))
	b.run(t, amount, days...)
}

// turning is a turn-back as the activities carry it out, on behalf of a workflow.
type turning struct {
	*bundle
	turnback.TurnBack
	actor effect.Owner
}

// rollback is a request of a person.
func rollback(to string) turnback.Request {
	return turnback.Request{Pipeline: "shop", To: to, ByPerson: true, By: "ann", Reason: "amounts doubled"}
}

func compensation(owner effect.Owner) turnback.Request {
	return turnback.Request{Pipeline: "shop", Owner: string(owner), By: "deploy", Reason: "its watch was breached"}
}

func (b *bundle) begins(t *testing.T, req turnback.Request) turning {
	t.Helper()
	actor := workflow(fmt.Sprintf("rollback/shop/%d", b.keys.Add(1)))
	back, ok, err := b.BeginTurnBack(t.Context(), req, anew(actor))
	require.NoError(t, err)
	require.True(t, ok, "there is nothing to turn back")
	return turning{bundle: b, TurnBack: back, actor: actor}
}

// decisions are what is left to do, read in pages of two partitions.
func (b turning) decisions(t *testing.T) (all []turnback.Decision) {
	t.Helper()
	for after := partition.Key(""); ; {
		page, err := b.DecideTurnBack(t.Context(), b.TurnBack, has(), after, 2)
		require.NoError(t, err)
		all = append(all, page.Decisions...)
		if page.Last == "" {
			return all
		}
		after = page.Last
	}
}

// try is the publish of swaps under the turn-back.
func (b turning) try(swaps ...generation.Swap) try {
	a := b.patient(swaps...)
	a.Activate, a.Key.Owner, a.By, a.Reason = false, b.actor, b.Request.By, b.Request.Reason
	q := &a.ticket.Question
	q.TurnBack, q.Owner, q.Tenure, q.Config, q.Release = true, b.actor, b.Tenure.Number, b.Tenure.Config, b.Tenure.Release
	return a
}

// apply carries out one decision: all of a partition in one transaction. What has to be built again is built first.
func (b turning) apply(t *testing.T, d turnback.Decision) {
	t.Helper()
	var swaps []generation.Swap
	var again []string
	for _, it := range d.Items {
		switch it.Action {
		case turnback.SwapBack, turnback.Detach:
			swaps = append(swaps, generation.Swap{Output: it.Output, Partition: d.Partition, From: it.From, To: it.To})
		case turnback.Rebuild:
			again = append(again, it.Output)
		case turnback.Leave:
			require.NoError(t, b.RecordLeft(t.Context(), b.Tenure.Number, []turnback.LeftOver{{Output: it.Output, Partition: d.Partition, Stuck: it.Open, Reason: it.Reason}}))
		case turnback.Keep:
		}
	}
	if len(again) > 0 {
		p := mart(b.Tenure.Release.Version)
		from := d.Partition
		if from == partition.AllKey {
			from = "2026-01-02" // the newest file
		}
		spec := b.spec(p, from)
		spec.Key.Owner, spec.Tenure, spec.Outputs = b.actor, b.Tenure.Number, again
		built, err := b.Build(t.Context(), spec)
		require.NoError(t, err)
		for _, one := range built {
			swaps = append(swaps, swap(one.Generation, one.From))
		}
	}
	if len(swaps) > 0 {
		b.done(t, b.try(swaps...))
	}
}

// finish does what is left, and ends the turn-back. What is active then is what the next workflows run with.
func (b turning) finish(t *testing.T) (turnback.State, []turnback.LeftOver) {
	t.Helper()
	for _, d := range b.decisions(t) {
		b.apply(t, d)
	}
	stuck, _, left, err := b.Left(t.Context(), b.Tenure.Number, 100)
	require.NoError(t, err)
	state := turnback.Done
	if stuck > 0 {
		state = turnback.Stuck
	}
	key := anew(effect.Owner(b.Driver))
	for range 2 { // twice is once
		require.NoError(t, b.EndTurnBack(t.Context(), b.Tenure.Number, state, key))
	}
	ended, err := b.Warehouse.TurnBack(t.Context(), b.Tenure.Number)
	require.NoError(t, err)
	require.Equal(t, state, ended.State)
	b.owner = workflow(fmt.Sprintf("run/shop/%d", b.keys.Add(1)))
	b.tenure, err = b.Active(t.Context(), "shop")
	require.NoError(t, err)
	return state, left
}

// back turns one partition of an output back to a generation, as a person does.
func (b *bundle) back(t *testing.T, to generation.Generation) (generation.PublishResult, error) {
	t.Helper()
	req := rollback("")
	req.Output, req.Partition, req.Generation = to.Output, to.Partition, to.ID
	actor := workflow(fmt.Sprintf("rollback/shop/%d", b.keys.Add(1)))
	back, ok, err := b.BeginTurnBack(t.Context(), req, anew(actor))
	if err != nil {
		return generation.PublishResult{}, err
	}
	require.True(t, ok)
	turning := turning{bundle: b, TurnBack: back, actor: actor}
	var swaps []generation.Swap
	for _, d := range turning.decisions(t) {
		for _, it := range d.Items {
			require.Equal(t, turnback.SwapBack, it.Action)
			swaps = append(swaps, generation.Swap{Output: it.Output, Partition: d.Partition, From: it.From, To: it.To})
		}
	}
	require.Len(t, swaps, 1)
	result, err := b.attempt(t.Context(), turning.try(swaps...), beat)
	if err == nil && result.Done {
		_, left := turning.finish(t)
		require.Empty(t, left)
	}
	return result, err
}

// goBack is back, and requires that it went through.
func (b *bundle) goBack(t *testing.T, to generation.Generation) {
	t.Helper()
	result, err := b.back(t, to)
	require.NoError(t, err)
	require.True(t, result.Done, "blocked: %+v", result)
}

// actions are what is to be done with each partition.
func actions(decisions []turnback.Decision) map[partition.Key]turnback.Action {
	all := map[partition.Key]turnback.Action{}
	for _, d := range decisions {
		all[d.Partition] = d.Action
	}
	return all
}

func (b *bundle) activeVersion(t *testing.T) string {
	t.Helper()
	active, err := b.Active(t.Context(), "shop")
	require.NoError(t, err)
	return active.Release.Version
}

func TestARollbackBringsBackAllOutputsOfEveryPartition(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02", "2026-01-03")
	b.deploy(t, "1.1.0", 2, "2026-01-01", "2026-01-02")
	require.Equal(t, seen("1.1.0/2.50", "1.1.0/2.50", "1.1.0/2.50", "1.0.0/1.50"), b.live(t))

	b.hold(t, anew(workflow("hold/prod/1")), "ann", "quarter end")
	back := b.begins(t, rollback(""))
	require.Equal(t, "1.0.0", b.activeVersion(t), "from its begin on, runs use what is gone back to")
	state, left := back.finish(t)
	require.Equal(t, turnback.Done, state, "a hold does not keep bad data live: %v", left)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50"), b.live(t))

	_, _, err := b.BeginTurnBack(t.Context(), rollback(""), anew(workflow("rollback/again")))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "what was turned back to has no one before it: %v", err)
	history, err := b.History(t.Context(), "shop", 100)
	require.NoError(t, err)
	require.Equal(t, release.ByTurnBack, history.Active.Kind)
	at := slices.IndexFunc(history.Events, func(e generation.Event) bool { return e.Kind == "turn_back" })
	require.GreaterOrEqual(t, at, 0)
	require.Equal(t, []string{"ann", "amounts doubled"}, []string{history.Events[at].By, history.Events[at].Reason})
	first := history.Events[len(history.Events)-1]
	require.Equal(t, "3 swaps: 2026-01-01 of agg_orders, dim_channel, fct_orders", first.Text, "what is one partition is no other partition")
}

func TestATurnBackThatWasStoppedHalfWayGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02", "2026-01-03")
	b.deploy(t, "1.1.0", 2, "2026-01-01", "2026-01-02", "2026-01-03")
	first := b.begins(t, rollback(""))
	require.Equal(t, map[partition.Key]turnback.Action{
		"2026-01-01": turnback.SwapBack, "2026-01-02": turnback.SwapBack, "2026-01-03": turnback.SwapBack, partition.AllKey: turnback.SwapBack,
	}, actions(first.decisions(t)))
	first.apply(t, first.decisions(t)[0])
	require.Equal(t, seen("1.1.0/2.50", "1.0.0/1.50", "1.1.0/2.50", "1.1.0/2.50"), b.live(t))

	other := rollback("")
	other.Owner = string(workflow("deploy/shop/other"))
	_, _, err := b.BeginTurnBack(t.Context(), other, anew(workflow("rollback/other")))
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "it is about something else: %v", err)
	for _, req := range []turnback.Request{rollback(""), rollback("1.0.0"), {Pipeline: "shop", Resume: true, By: "ben"}} {
		again := b.begins(t, req)
		require.Equal(t, first.Tenure.Number, again.Tenure.Number, "the same command goes on with it")
		require.Equal(t, map[partition.Key]turnback.Action{
			"2026-01-01": turnback.Keep, "2026-01-02": turnback.SwapBack, "2026-01-03": turnback.SwapBack, partition.AllKey: turnback.SwapBack,
		}, actions(again.decisions(t)), "it is exactly what is left")
	}
	state, _ := b.begins(t, rollback("")).finish(t)
	require.Equal(t, turnback.Done, state)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50"), b.live(t))
}

func TestAPartitionOfWhichOneTableIsHeldStaysWhole(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	back := b.begins(t, rollback(""))
	d := back.decisions(t)[0]
	require.Len(t, d.Items, 2)
	reader := b.begin(t, pgx.TxOptions{})
	_, err := reader.Exec(t.Context(), `SELECT count(*) FROM agg_orders`)
	require.NoError(t, err)
	var swaps []generation.Swap
	for _, it := range d.Items {
		swaps = append(swaps, generation.Swap{Output: it.Output, Partition: d.Partition, From: it.From, To: it.To})
	}
	impatient := back.try(swaps...)
	impatient.LockBudget = 300 * time.Millisecond
	result, err := b.attempt(t.Context(), impatient, beat)
	require.NoError(t, err)
	require.Equal(t, generation.ForLocks, result.WaitingFor)
	require.NoError(t, reader.Rollback(t.Context()))
	require.Equal(t, seen("1.1.0/2.50", "1.1.0/2.50"), b.live(t))
	state, _ := back.finish(t)
	require.Equal(t, turnback.Done, state)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50"), b.live(t))
}

func TestADeploymentThatHasNotActivatedIsCompensated(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.cross(t, "1.1.0")
	owner := b.owner
	p := mart("1.1.0")
	b.orders("2026-01-01", 10, 2)
	half := b.patient(b.swaps(t, p, "2026-01-01")...)
	half.Activate = false
	b.done(t, half)
	b.orders("2026-01-02", 10, 2)
	late := b.patient(b.swaps(t, p, "2026-01-02")...)
	require.Equal(t, "1.0.0", b.activeVersion(t), "not all of it is published")

	state, left := b.begins(t, compensation(owner)).finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50"), b.live(t))
	require.Equal(t, "1.0.0", b.activeVersion(t))
	_, err := b.attempt(t.Context(), late, beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "a stopped workflow publishes nothing any more: %v", err)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50"), b.live(t))
	b.cross(t, "1.1.0") // the crossing is free, and another deployment of the release may try
	b.run(t, 2, "2026-01-01")
	require.Equal(t, "1.1.0", b.activeVersion(t))
}

// Who turned the pipeline back since has decided about what a deployment published: it takes nothing of that back when it comes to it.
func TestADeploymentTurnsNothingBackThatWasDecidedAboutSince(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	first := b.tenure
	b.deploy(t, "2.0.0", 2, "2026-01-01")
	forward := b.tenure
	b.begins(t, rollback(fmt.Sprint(first.Number))).finish(t)
	b.deploy(t, "2.0.0", 2, "2026-01-01")
	cancelled := b.owner
	b.begins(t, rollback(fmt.Sprint(forward.Number))).finish(t)
	require.Equal(t, "2.0.0", b.activeVersion(t))
	was := b.live(t)
	for range 2 {
		_, ok, err := b.BeginTurnBack(t.Context(), compensation(cancelled), anew(cancelled))
		require.NoError(t, err)
		require.False(t, ok, "there is nothing to turn back")
	}
	require.Equal(t, was, b.live(t))
	require.Equal(t, "2.0.0", b.activeVersion(t))
}

func TestADeploymentThatHasActivatedIsCompensatedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	deployment := b.owner
	for range 2 {
		back, ok, err := b.BeginTurnBack(t.Context(), compensation(deployment), anew(deployment)) // it turns itself back
		require.NoError(t, err)
		require.True(t, ok)
		state, left := turning{bundle: b, TurnBack: back, actor: deployment}.finish(t)
		require.Equal(t, turnback.Done, state, "%v", left)
		require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50"), b.live(t), "again it finds nothing left to do")
		require.Equal(t, "1.0.0", b.activeVersion(t))
	}
}

// What a rollback has stopped is turned back by the rollback: nobody is asked, and nobody waits.
func TestWhatARollbackHasStoppedNeedsNoTurnBackOfItsOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	b.cross(t, "1.2.0")
	owner := b.owner
	half := b.patient(b.swaps(t, mart("1.2.0"), "2026-01-01")...)
	half.Activate = false
	b.done(t, half)
	back := b.begins(t, rollback("1.0.0"))
	other, ok, err := b.BeginTurnBack(t.Context(), compensation(owner), anew(owner))
	require.NoError(t, err)
	require.False(t, ok)
	require.Equal(t, back.Tenure.Number, other.Tenure.Number, "it says who does it")
	_, _, err = b.BeginTurnBack(t.Context(), compensation(workflow("deploy/shop/other")), anew(owner))
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "it has not stopped that one: %v", err)
	state, _ := back.finish(t)
	require.Equal(t, turnback.Done, state)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50"), b.live(t))
}

func TestAWorkflowThatHasPublishedNothingIsStopped(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	for _, by := range []func(owner effect.Owner) turnback.Request{
		compensation,
		func(owner effect.Owner) turnback.Request {
			return turnback.Request{Pipeline: "shop", Workflow: owner.Workflow(), ByPerson: true, By: "ann"}
		},
	} {
		b.cross(t, "1.1.0")
		built := b.patient(b.swaps(t, mart("1.1.0"), "2026-01-01")...)
		_, ok, err := b.BeginTurnBack(t.Context(), by(b.owner), anew(workflow("recover/1")))
		require.NoError(t, err)
		require.False(t, ok)
		_, err = b.attempt(t.Context(), built, beat)
		require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
		_, err = b.Enter(t.Context(), deployment(b.owner, "1.1.0"), anew(b.owner), outputs(), false)
		require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
		crossing, err := b.Crossing(t.Context(), "shop")
		require.NoError(t, err)
		require.Empty(t, crossing.Owner)
	}
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50"), b.live(t))
	require.Equal(t, "1.0.0", b.activeVersion(t))
}

func TestNothingElseChangesAPipelineThatIsTurnedBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	b.orders("2026-01-02", 10, 2)
	b.owner = workflow("run/shop/nightly")
	run := b.patient(b.swaps(t, mart("1.1.0"), "2026-01-02")...)
	back := b.begins(t, rollback(""))

	_, err := b.attempt(t.Context(), run, beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	_, err = b.Enter(t.Context(), deployment(workflow("deploy/shop/next"), "1.2.0"), anew(workflow("deploy/shop/next")), outputs(), false)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "a turn-back is open")
	state, _ := back.finish(t)
	require.Equal(t, turnback.Done, state)
	stray := back.try(generation.Swap{Output: "fct_orders", Partition: "2026-01-02", To: 1})
	_, err = b.attempt(t.Context(), stray, beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "a turn-back that has ended changes nothing: %v", err)
	b.scheduled(t, 3, "2026-01-02")
	require.Equal(t, seen("1.0.0/3.50", "1.0.0/1.50", "1.0.0/3.50"), b.live(t))
}

func TestNewerDataIsBuiltAgainByTheReleaseThatIsGoneBackTo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.deploy(t, "1.1.0", 2, "2026-01-01", "2026-01-02")
	b.scheduled(t, 3, "2026-01-02")
	b.scheduled(t, 4, "2026-01-03")
	snapshot := rollback("")
	snapshot.Snapshot = true
	preview, ok, err := b.PreviewTurnBack(t.Context(), snapshot)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, map[partition.Key]turnback.Action{
		"2026-01-01": turnback.SwapBack, "2026-01-02": turnback.SwapBack, "2026-01-03": turnback.Detach, partition.AllKey: turnback.SwapBack,
	}, actions(turning{bundle: b, TurnBack: preview}.decisions(t)))
	require.Equal(t, "1.1.0", b.activeVersion(t), "a preview changes nothing")

	back := b.begins(t, rollback(""))
	require.Equal(t, map[partition.Key]turnback.Action{
		"2026-01-01": turnback.SwapBack, "2026-01-02": turnback.Rebuild, "2026-01-03": turnback.Rebuild, partition.AllKey: turnback.Rebuild,
	}, actions(back.decisions(t)))
	state, left := back.finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)
	require.Equal(t, seen("1.0.0/3.50", "1.0.0/1.50", "1.0.0/3.50", "1.0.0/4.50"), b.live(t))
}

func TestWhatATurnBackBuildsIsHeldToItsReleaseAndItsAudit(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	b.scheduled(t, 3, "2026-01-01")
	back := b.begins(t, rollback(""))
	before := b.live(t)
	publish := func(version string, amount int) error {
		b.orders("2026-01-01", 10, amount)
		spec := b.spec(mart(version), "2026-01-01")
		spec.Key.Owner, spec.Tenure, spec.Outputs = back.actor, back.Tenure.Number, []string{"fct_orders"}
		built, err := b.Build(t.Context(), spec)
		require.NoError(t, err)
		_, err = b.attempt(t.Context(), back.try(swap(built[0].Generation, built[0].From)), beat)
		return err
	}
	err := publish("1.1.0", 4)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "it is of what is turned back: %v", err)
	err = publish("1.0.0", -4)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "its audit failed: %v", err)
	require.Equal(t, before, b.live(t), "readers see what they saw")
	require.NoError(t, publish("1.0.0", 4))
}

func TestARollbackToATenureByItsNumber(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	first := b.tenure.Number
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	b.deploy(t, "1.2.0", 3, "2026-01-01")
	state, _ := b.begins(t, rollback(fmt.Sprint(first))).finish(t)
	require.Equal(t, turnback.Done, state)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50"), b.live(t))
	_, _, err := b.BeginTurnBack(t.Context(), rollback("0.9.0"), anew(workflow("rollback/1")))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "it was never active here: %v", err)
}

func TestARollbackIsRolledBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.deploy(t, "1.1.0", 2, "2026-01-01", "2026-01-02")
	for range 2 {
		state, _ := b.begins(t, rollback("1.0.0")).finish(t)
		require.Equal(t, turnback.Done, state)
		require.Equal(t, seen("1.0.0/1.50", "1.0.0/1.50", "1.0.0/1.50"), b.live(t))
		state, _ = b.begins(t, rollback("1.1.0")).finish(t)
		require.Equal(t, turnback.Done, state)
		require.Equal(t, seen("1.1.0/2.50", "1.1.0/2.50", "1.1.0/2.50"), b.live(t))
		require.Equal(t, "1.1.0", b.activeVersion(t))
	}
}

// What goes forward to a release that was turned back is a change: a hold keeps it out, and so does a rule of approval. What turns
// back is held by neither, and neither keeps an interrupted one from its end.
func TestGoingForwardIsHeldLikeAChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	b.hold(t, anew(workflow("hold/prod/1")), "ann", "quarter end")
	back, forward := rollback("1.0.0"), rollback("1.1.0")
	back.Guarded, forward.Guarded = true, true
	state, _ := b.begins(t, back).finish(t)
	require.Equal(t, turnback.Done, state)
	refused := func(says string) {
		t.Helper()
		_, _, err := b.BeginTurnBack(t.Context(), forward, anew(workflow("rollback/1")))
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, says)
		require.Equal(t, "1.0.0", b.activeVersion(t))
	}
	refused("quarter end (set by ann)")
	_, err := b.ReleaseHold(t.Context(), anew(workflow("hold/prod/2")), "ann")
	require.NoError(t, err)
	refused("wants an approval")
	forward.Guarded = false
	b.begins(t, forward)
	b.hold(t, anew(workflow("hold/prod/1")), "ann", "quarter end")
	forward.Guarded = true
	state, _ = b.begins(t, forward).finish(t)
	require.Equal(t, turnback.Done, state, "what has begun goes on")
	require.Equal(t, "1.1.0", b.activeVersion(t))
}

func TestOnePartitionIsTurnedBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.scheduled(t, 2, "2026-01-01")
	b.scheduled(t, 3, "2026-01-02")
	req := rollback("")
	req.Output, req.Partition = "fct_orders", "2026-01-01"
	state, _ := b.begins(t, req).finish(t)
	require.Equal(t, turnback.Done, state)
	after := slices.DeleteFunc(seen("1.0.0/3.50", "1.0.0/2.50", "1.0.0/3.50"), func(line string) bool {
		return strings.HasPrefix(line, "fct_orders 2026-01-01")
	})
	require.ElementsMatch(t, append(after, "fct_orders 2026-01-01 1.0.0/1.50"), b.live(t), "nothing else has moved")
	require.Equal(t, "1.0.0", b.activeVersion(t))
	req.Generation = 999
	_, _, err := b.BeginTurnBack(t.Context(), req, anew(workflow("rollback/1")))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
}

// Outputs that became visible together go back together, to what was live before the last publish, or with a generation that a
// person names; and forwards again.
func TestAllOutputsOfAPartitionGoBackTogether(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.scheduled(t, 2, "2026-01-01")
	b.scheduled(t, 3, "2026-01-01")
	is := func(rows string) {
		t.Helper()
		require.Equal(t, seen("1.0.0/3.50", rows, "1.0.0/1.50"), b.live(t), "all of the partition, and nothing else")
		require.Equal(t, "1.0.0", b.activeVersion(t))
	}
	req := rollback("")
	req.Partition = "2026-01-01"
	half := b.begins(t, req)
	other := req
	other.To = turnback.Nothing
	_, _, err := b.BeginTurnBack(t.Context(), other, anew(workflow("rollback/1")))
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "to nothing is another turn-back: %v", err)
	decided := half.decisions(t)
	require.Len(t, decided, 1)
	require.Len(t, decided[0].Items, 2)
	state, left := b.begins(t, req).finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)
	is("1.0.0/2.50")

	var first, last int64
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `
		SELECT min(id), max(id) FROM `+b.db.Schema+`__ledger.generation WHERE partition = '2026-01-01' AND output = 'agg_orders'`).Scan(&first, &last))
	for id, rows := range map[int64]string{first: "1.0.0/1.50", last: "1.0.0/3.50"} {
		req.Generation = id
		state, left = b.begins(t, req).finish(t)
		require.Equal(t, turnback.Done, state, "%v", left)
		is(rows)
	}
}

// What a run of a wrong file has published where nothing was goes away again, all outputs of it, and comes back.
func TestAPartitionIsTakenAwayAndComesBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.scheduled(t, 2, "2026-01-02")
	there := b.live(t)
	number := b.tenure.Number
	one := rollback("")
	one.Output, one.Partition = "fct_orders", "2026-01-02"
	_, _, err := b.BeginTurnBack(t.Context(), one, anew(workflow("rollback/1")))
	require.ErrorContains(t, err, "no other generation")
	require.Contains(t, fault.HintOf(err), "--partition 2026-01-02 --to nothing")

	away := rollback(turnback.Nothing)
	away.Partition = "2026-01-02"
	half := b.begins(t, away)
	for name, req := range map[string]turnback.Request{"everything": rollback(turnback.Nothing), "the release before": rollback("1.0.0"), "one output": one} {
		_, _, err := b.BeginTurnBack(t.Context(), req, anew(workflow("rollback/2")))
		require.Equal(t, fault.Conflict, fault.ClassOf(err), "%s is another turn-back than the open one: %v", name, err)
	}
	decided := half.decisions(t)
	require.Len(t, decided, 1)
	require.Len(t, decided[0].Items, 2, "the outputs of a partition go together")
	state, left := b.begins(t, away).finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)
	require.Equal(t, seen("1.0.0/2.50", "1.0.0/1.50"), b.live(t), "nothing else has moved")
	require.Equal(t, "1.0.0", b.activeVersion(t))
	_, _, err = b.BeginTurnBack(t.Context(), away, anew(workflow("rollback/3")))
	require.ErrorContains(t, err, "nothing is live there")
	one.To = turnback.Nothing
	_, _, err = b.BeginTurnBack(t.Context(), one, anew(workflow("rollback/4")))
	require.ErrorContains(t, err, "taken away together")

	state, _ = b.begins(t, rollback(fmt.Sprint(number))).finish(t)
	require.Equal(t, turnback.Done, state)
	require.Equal(t, there, b.live(t), "whatever is turned back can be brought back")
}

// A turn-back that is open is not taken for another one because both end with a release that was active.
func TestATurnBackToAReleaseIsNotResumedByOneToNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	b.begins(t, rollback("1.0.0"))
	_, _, err := b.BeginTurnBack(t.Context(), rollback(turnback.Nothing), anew(workflow("rollback/1")))
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
}

func TestAFirstReleaseIsTakenAwayByAPersonOnlyAndComesBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	owner := b.owner
	there := b.live(t)
	state, left := b.begins(t, compensation(owner)).finish(t)
	require.Equal(t, turnback.Stuck, state)
	require.Len(t, left, 3)
	require.Contains(t, left[0].Reason, "by a person only")
	require.Equal(t, there, b.live(t), "no workflow takes away what readers have")

	byPerson := compensation(owner)
	byPerson.ByPerson = true
	state, left = b.begins(t, byPerson).finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)
	require.Empty(t, b.live(t))
	active, err := b.Active(t.Context(), "shop")
	require.NoError(t, err)
	require.True(t, active.None())

	state, _ = b.begins(t, rollback("1.0.0")).finish(t)
	require.Equal(t, turnback.Done, state)
	require.Equal(t, there, b.live(t), "whatever is turned back can be brought back")
	require.Equal(t, "1.0.0", b.activeVersion(t))
}

func TestAFinishedFirstReleaseIsTakenAwayByWhoeverSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	there := b.live(t)
	_, _, err := b.BeginTurnBack(t.Context(), rollback(""), anew(workflow("rollback/1")))
	require.ErrorContains(t, err, "--to nothing")

	half := b.begins(t, rollback(turnback.Nothing))
	half.apply(t, half.decisions(t)[0])
	require.NotEqual(t, there, b.live(t))
	state, left := b.begins(t, rollback(turnback.Nothing)).finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)
	require.Empty(t, b.live(t))
	_, _, err = b.BeginTurnBack(t.Context(), rollback(turnback.Nothing), anew(workflow("rollback/2")))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)

	state, _ = b.begins(t, rollback("1.0.0")).finish(t)
	require.Equal(t, turnback.Done, state)
	require.Equal(t, there, b.live(t), "whatever is turned back can be brought back")
}

// Who administers a warehouse may demand more of a table than its generations of earlier days promise. Those whose rows obey go
// back all the same, and the table demands it of them too; of the others the refusal says what they break.
func TestAGenerationGoesBackUnderWhatItsTableHasGainedSince(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ add, says, remedy string }{
		"a CHECK that it obeys":         {"ADD CONSTRAINT few CHECK (amount < 100)", "", ""},
		"one that is not proven itself": {"ADD CONSTRAINT many CHECK (amount > 2) NOT VALID", "", ""},
		"NOT NULL that it obeys":        {"ALTER COLUMN channel SET NOT NULL", "", ""},
		"a CHECK of a column that it lacks": {
			"ADD COLUMN later int, ADD CONSTRAINT few CHECK (later > 0 OR amount < 100)", "", "",
		},
		"a CHECK that it breaks": {
			"ADD CONSTRAINT many CHECK (amount > 2)", "10 of its rows break constraint many", `DROP CONSTRAINT "many"`,
		},
		"NOT NULL that it breaks": {"ALTER COLUMN note SET NOT NULL", "10 of its rows break NOT NULL of column note", `ALTER COLUMN "note" DROP NOT NULL`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := shop()
			p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, channel, amount, CASE WHEN amount > 2 THEN 'new' END AS note FROM raw_orders"
			b.orders("2026-01-01", 10, 1)
			old := b.build(t, p, "2026-01-01").Generation
			b.expand(t, p)
			b.publish(t, swap(old, 0))
			b.orders("2026-01-01", 10, 2)
			b.publish(t, swap(b.build(t, p, "2026-01-01").Generation, old.ID))
			b.db.Exec(t, "ALTER TABLE fct_orders "+c.add)
			result, err := b.back(t, old)
			if c.says == "" {
				require.NoError(t, err)
				require.True(t, result.Done)
			} else {
				require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
				require.ErrorContains(t, err, c.says)
				require.Contains(t, fault.HintOf(err), c.remedy)
				require.EqualValues(t, 0, b.number(t, `SELECT count(*) FROM pg_constraint WHERE contype = 'c' AND conrelid = '`+b.child(old.ID)+`'::regclass AND conname NOT LIKE '%_bounds'`),
					"what could not be promised is gone")
				b.db.Exec(t, "ALTER TABLE fct_orders "+c.remedy)
				result, err = b.back(t, old)
				require.NoError(t, err)
				require.True(t, result.Done)
			}
			require.EqualValues(t, 10, b.number(t, `SELECT count(*) FROM fct_orders WHERE amount < 2`))
			require.Zero(t, b.number(t, `SELECT count(*) FROM pg_constraint WHERE conname LIKE '%\_nn%' AND conrelid = '`+b.child(old.ID)+`'::regclass`))
		})
	}
}

func TestWhatCannotGoBackIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01", "2026-01-02")
	b.deploy(t, "1.1.0", 2, "2026-01-01", "2026-01-02")
	_, err := b.db.Pool.Exec(context.WithoutCancel(t.Context()), `
		UPDATE `+b.db.Schema+`__ledger.generation
		SET not_reattachable = 'its rows were changed'
		WHERE output = 'fct_orders' AND partition = '2026-01-01' AND state = 'retired'`)
	require.NoError(t, err)
	back := b.begins(t, rollback(""))
	page, err := b.DecideTurnBack(t.Context(), back.TurnBack, nil, "", 100) // a release that builds none of it again
	require.NoError(t, err)
	for _, d := range page.Decisions {
		back.apply(t, d)
	}
	stuck, rest, first, err := b.Left(t.Context(), back.Tenure.Number, 10)
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{stuck, rest})
	require.Equal(t, []any{"fct_orders", partition.Key("2026-01-01")}, []any{first[0].Output, first[0].Partition})
	require.Contains(t, first[0].Reason, "its rows were changed")
	require.NoError(t, b.EndTurnBack(t.Context(), back.Tenure.Number, turnback.Stuck, anew(effect.Owner(back.Driver))))

	// The same command takes that up, and with the release at hand builds it again.
	next := b.begins(t, rollback(""))
	require.Equal(t, turnback.Rebuild, actions(next.decisions(t))["2026-01-01"])
	state, left := next.finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)
	require.Equal(t, seen("1.0.0/1.50", "1.0.0/2.50", "1.0.0/1.50"), b.live(t))
}

// An attempt that was stopped comes back when its turn-back has ended: it opens none again, and ends none.
func TestAStoppedAttemptOpensAndEndsNoTurnBackAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	b.deploy(t, "1.2.0", 3, "2026-01-01")
	actor := workflow("rollback/shop/1")
	begin, end := anew(actor), anew(actor)
	first, ok, err := b.BeginTurnBack(t.Context(), rollback(""), begin)
	require.NoError(t, err)
	require.True(t, ok)
	turning := turning{bundle: b, TurnBack: first, actor: actor}
	for _, d := range turning.decisions(t) {
		turning.apply(t, d)
	}
	require.NoError(t, b.EndTurnBack(t.Context(), first.Tenure.Number, turnback.Stuck, end))
	there, active := b.live(t), b.activeVersion(t)

	again, ok, err := b.BeginTurnBack(t.Context(), rollback(""), begin)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, first.Tenure.Number, again.Tenure.Number)
	ended, err := b.TurnBack(t.Context(), first.Tenure.Number)
	require.NoError(t, err)
	require.Equal(t, turnback.Stuck, ended.State, "it is not open again")
	require.Equal(t, []any{there, active}, []any{b.live(t), b.activeVersion(t)})

	// Somebody takes it up again: the end that comes back is not that one's.
	reopened, ok, err := b.BeginTurnBack(t.Context(), rollback(""), anew(workflow("rollback/shop/2")))
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, first.Tenure.Number, reopened.Tenure.Number)
	require.NoError(t, b.EndTurnBack(t.Context(), first.Tenure.Number, turnback.Stuck, end))
	require.ErrorContains(t, b.EndTurnBack(t.Context(), first.Tenure.Number, turnback.Done, anew(actor)), "rollback/shop/2 goes on with the turn-back")
	now, err := b.TurnBack(t.Context(), first.Tenure.Number)
	require.NoError(t, err)
	require.Equal(t, turnback.Open, now.State)
	require.Equal(t, string(workflow("rollback/shop/2")), now.Driver)
}

// What was refused stays refused: the attempt that comes back when nothing is in its way any more begins nothing.
func TestAStoppedAttemptThatWasRefusedStaysRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	open := b.begins(t, rollback(""))
	other, late := rollback(""), anew(workflow("rollback/other/1"))
	other.To = "1.1.0"
	_, _, refused := b.BeginTurnBack(t.Context(), other, late)
	require.Equal(t, fault.Conflict, fault.ClassOf(refused), "%v", refused)
	next, entering := deployment(workflow("deploy/shop/next"), "1.2.0"), anew(workflow("deploy/shop/next"))
	_, denied := b.Enter(t.Context(), next, entering, outputs(), false)
	require.Equal(t, fault.Conflict, fault.ClassOf(denied), "%v", denied)
	state, left := open.finish(t)
	require.Equal(t, turnback.Done, state, "%v", left)

	_, _, err := b.BeginTurnBack(t.Context(), other, late)
	require.EqualError(t, err, refused.Error())
	require.Equal(t, fault.HintOf(refused), fault.HintOf(err))
	_, err = b.Enter(t.Context(), next, entering, outputs(), false)
	require.EqualError(t, err, denied.Error())
	require.Equal(t, "1.0.0", b.activeVersion(t))
	crossing, err := b.Crossing(t.Context(), "shop")
	require.NoError(t, err)
	require.NotEqual(t, next.Owner, crossing.Owner)
}

// Of a deployment that was terminated while it watched there is nothing to turn back: its watch ends, its release stays, and it
// says nothing about it any more.
func TestARecoveryOfAWatchEndsItAndLeavesTheRelease(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.deploy(t, "1.0.0", 1, "2026-01-01")
	b.deploy(t, "1.1.0", 2, "2026-01-01")
	watched := b.tenure
	require.NoError(t, b.Watch(t.Context(), "shop", anew(b.owner), time.Hour))
	there := b.live(t)
	request := turnback.Request{Pipeline: "shop", Workflow: b.owner.Workflow(), ByPerson: true, By: "ann", Reason: "recovery"}
	remains, err := b.Remains(t.Context(), "shop", request.Workflow)
	require.NoError(t, err)
	require.Equal(t, watched.Number, remains.Live.Number)
	require.True(t, remains.Known && remains.Open && remains.Watched && remains.Before, "%+v", remains)
	_, ok, err := b.BeginTurnBack(t.Context(), request, anew(workflow("recover/1")))
	require.NoError(t, err)
	require.False(t, ok)
	require.Equal(t, []any{there, "1.1.0"}, []any{b.live(t), b.activeVersion(t)})
	standing, err := b.Standing(t.Context())
	require.NoError(t, err)
	require.Empty(t, standing.Pipelines[0].Watching)
	attest := b.ticket()
	attest.Question.What = admission.Attest
	require.Equal(t, fault.Conflict, fault.ClassOf(b.Admit(t.Context(), attest)), "it is stopped")

	remains, err = b.Remains(t.Context(), "shop", request.Workflow)
	require.NoError(t, err)
	require.False(t, remains.Open || remains.Watched, "the second time there is nothing: %+v", remains)
}
