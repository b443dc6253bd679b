package plan_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/plan"
	"drawbridge/internal/schedule"
)

// Whoever can store a blob can seal a plan anew with whatever it says: it holds only where it says what the environment's
// own files say.
func TestAPlanThatBendsTheEnvironmentsRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		bend func(*plan.Environment)
		says string // empty: it holds
	}{
		"as it was planned":              {func(*plan.Environment) {}, ""},
		"what is shown moved":            {func(e *plan.Environment) { e.Shown = plan.Shown{} }, ""},
		"no approval":                    {func(e *plan.Environment) { e.Approval.Required = false }, "rule of approval"},
		"a quorum of one":                {func(e *plan.Environment) { e.Approval.Quorum = 0 }, "rule of approval"},
		"another approver":               {func(e *plan.Environment) { e.Approval.Approvers = append([]string{"mallory"}, e.Approval.Approvers...) }, "rule of approval"},
		"an approval that never expires": {func(e *plan.Environment) { e.Approval.Expires = 0 }, "rule of approval"},
		"no environment before":          {func(e *plan.Environment) { e.Requires = nil }, "has to pass first"},
		"no watch":                       {func(e *plan.Environment) { e.Watch.For = 0 }, "the watch"},
		"a watch that only asks":         {func(e *plan.Environment) { e.Watch.OnBreach = "ask" }, "the watch"},
		"no schedule":                    {func(e *plan.Environment) { e.Schedule = "" }, "the schedule"},
		"another policy":                 {func(e *plan.Environment) { e.PolicyDigest = "sha256:" + hex64('e') }, "the policy's digest"},
		"another config":                 {func(e *plan.Environment) { e.ConfigDigest = "sha256:" + hex64('e') }, "the config's digest"},
		"more lanes":                     {func(e *plan.Environment) { e.Lanes = 64 }, "limits of smoke or lanes"},
		"a cut-over in steps":            {func(e *plan.Environment) { e.Cutover = plan.Cutover{} }, "its cut-over"},
		"a cut-over in two, unasked":     {func(e *plan.Environment) { e.Cutover.Slices = []int{1, len(e.Slices) - 1} }, "its cut-over"},
		"a cut-over that leaves one out": {func(e *plan.Environment) { e.Cutover.Slices = []int{len(e.Slices) - 1} }, "its cut-over"},
		"a smoke without a limit":        {func(e *plan.Environment) { e.SmokeMax = 0 }, "limits of smoke or lanes"},
		"more partitions than are allowed": {func(e *plan.Environment) {
			var more plan.Slice
			for _, key := range january(1, 31) {
				more.Items = append(more.Items, generation.Item{Output: "fct_orders", Partition: key})
			}
			e.Slices = append(e.Slices, more)
		}, "the policy allows 8"},
		"a canary of nothing": {func(e *plan.Environment) { e.Canary = nil }, "what has to be tried"},
		"a first step without an output": {func(e *plan.Environment) {
			e.Slices[0].Items = slices.DeleteFunc(slices.Clone(e.Slices[0].Items), func(it generation.Item) bool { return it.Output == "fct_orders" })
		}, "what has to be tried: fct_orders"},
		"a first step without the whole of one": {func(e *plan.Environment) {
			e.Slices[0].Items = slices.DeleteFunc(slices.Clone(e.Slices[0].Items), func(it generation.Item) bool { return it.Partition == partition.AllKey })
		}, "what has to be tried: "},
		"no step at all to publish": {func(e *plan.Environment) { e.Slices, e.Canary, e.Cutover = nil, nil, plan.Cutover{} }, "its steps"},
		"a step less":               {func(e *plan.Environment) { e.Steps = e.Steps[1:] }, "its steps"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input()
			env := &in.Environments[0]
			env.Policy.MaxPartitions = 8
			env.Config.Schedule = &schedule.Schedule{Cron: "0 6 * * *", Overlap: schedule.Queue, Catchup: time.Hour}
			in.Pipeline.Config = env.Config
			env.Observed.PolicyDigest, env.Observed.ConfigDigest = env.Policy.Digest(), env.Config.Digest()
			p, err := plan.Compute(in)
			require.NoError(t, err)
			body, err := json.Marshal(p) // as it travels
			require.NoError(t, err)
			var stored plan.Plan
			require.NoError(t, json.Unmarshal(body, &stored))
			c.bend(&stored.Environments[0])
			bent := strings.Join(plan.Bends(stored.Environments[0], in.Pipeline, env.Policy), "; ")
			if c.says == "" {
				require.Empty(t, bent)
				return
			}
			require.Contains(t, bent, c.says)
		})
	}
}

// The environment's own files may have become stricter since.
func TestAPlanBendsWhatThePolicySaysNow(t *testing.T) {
	t.Parallel()
	in := input()
	env := in.Environments[0]
	in.Pipeline.Config = env.Config
	p, err := plan.Compute(in)
	require.NoError(t, err)
	now := env.Policy
	now.Approval = gate.Approval{Required: true, Approvers: []string{"ada", "grace"}, Quorum: 2, FourEyes: true, Expires: 72 * time.Hour}
	require.Contains(t, strings.Join(plan.Bends(p.Environments[0], in.Pipeline, now), "; "), "rule of approval")
}
