package activities_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/cutover"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

// crossed is a site whose deployment has built all of a plan of twenty days, and publishes it as one.
func crossed(t *testing.T) (*bundle, *filled, plan.Plan) {
	t.Helper()
	b := setup(t)
	p, err := b.Pipeline(t.Context(), target("prod"))
	require.NoError(t, err)
	b.Policy, err = pipeline.DefaultPolicy("prod")
	require.NoError(t, err)
	observed := plan.Observed{Environment: "prod", Schema: p.Config.WarehouseSchema, ConfigDigest: p.Config.Digest(), PolicyDigest: b.Policy.Digest(), LockSlots: 7040}
	for _, o := range p.Outputs {
		observed.Outputs = append(observed.Outputs, plan.ObservedOutput{Table: o.Table, Kind: generation.Absent})
	}
	for i := range 20 {
		observed.Sources = append(observed.Sources, partition.Key(opened().AddDate(0, 0, i).Format(time.DateOnly)))
	}
	planned, err := plan.Compute(plan.Input{
		Release: target("prod").Release, Pipeline: p, Environments: []plan.EnvironmentInput{{Config: p.Config, Policy: b.Policy, Observed: observed}},
	})
	require.NoError(t, err)
	f := &filled{desk: *b.desk}
	for _, s := range planned.Environments[0].Slices {
		for _, it := range s.Items {
			f.candidates = append(f.candidates, generation.Candidate{
				Swap: generation.Swap{Output: it.Output, Partition: it.Partition, To: int64(100 + len(f.candidates))}, Audit: gate.Pass,
			})
		}
	}
	b.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return f, nil }
	return b, f, planned
}

// cutsOver publishes a transaction of the plan.
func (b *bundle) cutsOver(t *testing.T, planned plan.Plan, part int) (generation.PublishResult, string) {
	t.Helper()
	body, err := json.Marshal(planned)
	require.NoError(t, err)
	b.shelf.blobs["sha256:plan"] = body
	res, refused := call(t, (&activities.Publishing{Site: b.Site}).Publish, activities.PublishInput{Target: target("prod"), Step: "publish", Plan: "sha256:plan", Part: part})
	if refused != nil {
		return res, refused.Type() + ": " + refused.Message()
	}
	return res, ""
}

func TestACutOverPublishesAllOfAPlanOrNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*filled, *plan.Plan)
		stale  []int // slices
		says   string
	}{
		"all is built": {func(*filled, *plan.Plan) {}, nil, ""},
		"what is none of the plan's stays out": {func(f *filled, _ *plan.Plan) {
			f.candidates = append(f.candidates, generation.Candidate{Swap: generation.Swap{Output: "fct_orders", Partition: "1999-01-01", To: 9}, Audit: gate.Pass})
		}, nil, ""},
		"something is not there": {func(f *filled, _ *plan.Plan) { f.candidates = f.candidates[:len(f.candidates)-1] }, []int{3}, ""},
		"nothing is there":       {func(f *filled, _ *plan.Plan) { f.candidates = nil }, []int{0, 1, 2, 3}, ""},
		"something has moved":    {func(f *filled, _ *plan.Plan) { f.moved = 1 }, []int{1}, ""},
		"slices are left out":    {func(_ *filled, p *plan.Plan) { p.Environments[0].Cutover.Slices[0]-- }, nil, string(fault.Conflict)},
		"it was cut by nobody's leave": {func(_ *filled, p *plan.Plan) {
			active := target("prod").Release
			p.Environments[0].Active, p.Environments[0].Cutover.Slices = &active, []int{1, len(p.Environments[0].Slices) - 1}
		}, nil, string(fault.Conflict)},
		"it is published in steps": {func(_ *filled, p *plan.Plan) { p.Environments[0].Cutover = plan.Cutover{} }, nil, string(fault.Conflict)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, f, planned := crossed(t)
			require.Equal(t, cutover.One, b.Policy.Publish.Cutover, "it is the default")
			require.Equal(t, []int{4}, planned.Environments[0].Cutover.Slices)
			all := len(f.candidates)
			c.change(f, &planned)
			res, refused := b.cutsOver(t, planned, 0)
			switch {
			case c.says != "":
				require.Contains(t, refused, c.says)
				require.Contains(t, refused, "its cut-over is another one than the policy's")
			case c.stale != nil:
				require.Empty(t, refused)
				require.Equal(t, generation.PublishResult{WaitingFor: generation.ForOthers, Stale: c.stale}, res)
			default:
				require.Empty(t, refused)
				require.Len(t, f.swapped, all)
				return
			}
			require.Empty(t, f.swapped)
		})
	}
}

func TestACutOverThatHasHappenedIsNotMissed(t *testing.T) {
	t.Parallel()
	b, f, planned := crossed(t)
	f.done, f.candidates = &generation.PublishResult{Done: true, Swapped: 21}, nil
	res, refused := b.cutsOver(t, planned, 0)
	require.Empty(t, refused)
	require.Equal(t, 21, res.Swapped)
	f.done = nil
	_, refused = b.cutsOver(t, planned, 1)
	require.Contains(t, refused, "it has 1 transactions, not 2")
}
