package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/cutover"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

// published lists the partitions of fct_orders in the order of publishing.
func published(e plan.Environment) []partition.Key {
	var keys []partition.Key
	for _, s := range e.Slices {
		for _, item := range s.Items {
			if item.Output == "fct_orders" {
				keys = append(keys, item.Partition)
			}
		}
	}
	return keys
}

func TestScope(t *testing.T) {
	t.Parallel()
	canaryThen := func(rest ...partition.Key) []partition.Key { return append([]partition.Key{"2026-01-31"}, rest...) }
	for name, c := range map[string]struct {
		changes []change
		want    []partition.Key
	}{
		"none builds the canary only":           {nil, canaryThen()},
		"last counts the canary":                {[]change{rebuild(plan.Rebuild{Mode: plan.RebuildLast, Last: 3})}, canaryThen("2026-01-29", "2026-01-30")},
		"last beyond the sources is all":        {[]change{rebuild(plan.Rebuild{Mode: plan.RebuildLast, Last: 99})}, canaryThen(january(1, 30)...)},
		"since includes its day":                {[]change{rebuild(plan.Rebuild{Mode: plan.RebuildSince, Since: "2026-01-30"})}, canaryThen("2026-01-30")},
		"since in the future leaves the canary": {[]change{rebuild(plan.Rebuild{Mode: plan.RebuildSince, Since: "2027-01-01"})}, canaryThen()},
		"all is every source":                   {[]change{rebuild(plan.Rebuild{Mode: plan.RebuildAll})}, canaryThen(january(1, 30)...)},
		"a partition without a live generation is built in any scope": {[]change{orders(func(o *plan.ObservedOutput) {
			o.Live = slices.Delete(o.Live, 4, 5)
		})}, canaryThen("2026-01-05")},
		"a larger canary goes first, newest last": {[]change{func(in *plan.Input, _ *plan.EnvironmentInput) {
			in.Pipeline.Canary.Latest = 2
			in.Rebuild = plan.Rebuild{Mode: plan.RebuildLast, Last: 3}
		}}, []partition.Key{"2026-01-30", "2026-01-31", "2026-01-29"}},
		"nothing is published untried": {[]change{func(in *plan.Input, _ *plan.EnvironmentInput) {
			in.Pipeline.Canary.Latest, in.Pipeline.Smoke.Latest = 0, 0
		}}, canaryThen()},
		"sources in any order are built in order": {[]change{
			observed(func(o *plan.Observed) { slices.Reverse(o.Sources) }),
			rebuild(plan.Rebuild{Mode: plan.RebuildLast, Last: 3}),
		}, canaryThen("2026-01-29", "2026-01-30")},
		"a live partition without files stays": {[]change{
			observed(func(o *plan.Observed) { o.Sources = january(30, 31) }),
			rebuild(plan.Rebuild{Mode: plan.RebuildAll}),
		}, canaryThen("2026-01-30")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, published(compute(t, c.changes...).Environments[0]))
		})
	}
}

func TestWhatSmokeAndCanaryTry(t *testing.T) {
	t.Parallel()
	day := func(d int) partition.Key { return january(d, d)[0] }
	trial := func(smoke, canary int) change {
		return func(in *plan.Input, _ *plan.EnvironmentInput) {
			in.Pipeline.Smoke.Latest, in.Pipeline.Canary.Latest = smoke, canary
		}
	}
	notYet := func(days ...int) change {
		return orders(func(o *plan.ObservedOutput) {
			o.Live = slices.DeleteFunc(o.Live, func(g generation.Generation) bool {
				return slices.ContainsFunc(days, func(d int) bool { return g.Partition == day(d) })
			})
		})
	}
	ordersOf := func(items []generation.Item) []partition.Key {
		var keys []partition.Key
		for _, item := range items {
			if item.Output == "fct_orders" {
				keys = append(keys, item.Partition)
			}
		}
		return keys
	}
	for name, c := range map[string]struct {
		changes                     []change
		smoke, canary, first, aside []partition.Key
	}{
		"a file that nobody has run yet is smoked and published, and the newest live day is compared": {
			changes: []change{notYet(31)}, smoke: january(31, 31), canary: january(30, 30), first: january(30, 31),
		},
		"of a larger smoke what is live is tried and not published": {
			changes: []change{trial(3, 1)}, smoke: january(29, 31), canary: january(31, 31), first: january(31, 31), aside: january(29, 30),
		},
		"unless it is rebuilt anyway": {
			changes: []change{trial(3, 1), rebuild(plan.Rebuild{Mode: plan.RebuildLast, Last: 2})},
			smoke:   january(29, 31), canary: january(31, 31), first: january(30, 31), aside: january(29, 29),
		},
		"of a larger canary all are published": {
			changes: []change{trial(1, 3)}, smoke: january(31, 31), canary: january(29, 31), first: january(29, 31),
		},
		"where nothing is live the newest is tried": {
			changes: []change{nothingYet()}, smoke: january(31, 31), canary: january(31, 31), first: january(31, 31),
		},
		"a live day whose files are gone is not compared": {
			changes: []change{observed(func(o *plan.Observed) { o.Sources = january(1, 28) })},
			smoke:   january(28, 28), canary: january(28, 28), first: january(28, 28),
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := compute(t, c.changes...).Environments[0]
			require.Equal(t, c.smoke, e.Smoke)
			require.Equal(t, c.canary, e.Canary)
			require.Equal(t, c.first, ordersOf(e.Slices[0].Items), "what is published first")
			require.Equal(t, c.aside, ordersOf(e.Aside), "what is given up")
			seen := map[generation.Item]int{}
			for _, s := range e.Slices {
				for _, item := range s.Items {
					seen[item]++
					require.Equal(t, 1, seen[item], "nothing is published twice: %v", item)
					require.NotContains(t, e.Aside, item)
				}
			}
			for _, key := range c.smoke {
				require.Contains(t, slices.Concat(c.first, c.aside), key, "all that smoke names is built")
			}
		})
	}
}

func TestSlices(t *testing.T) {
	t.Parallel()
	e := compute(t, rebuild(plan.Rebuild{Mode: plan.RebuildAll})).Environments[0]
	require.Equal(t, plan.Slice{Reused: true, Items: []generation.Item{
		{Output: "fct_orders", Partition: "2026-01-31"}, {Output: "dim_channel", Partition: partition.AllKey},
	}}, e.Slices[0], "the canary is promoted, with the outputs that are one partition")
	var sizes []int
	for _, s := range e.Slices[1:] {
		require.False(t, s.Reused)
		sizes = append(sizes, len(s.Items))
	}
	require.Equal(t, []int{8, 8, 8, 6}, sizes)
}

func TestOutputsOfAPartitionShareATransaction(t *testing.T) {
	t.Parallel()
	e := compute(t, rebuild(plan.Rebuild{Mode: plan.RebuildAll}), func(in *plan.Input, env *plan.EnvironmentInput) {
		returns := in.Pipeline.Outputs[0]
		returns.Table = "fct_returns"
		in.Pipeline.Outputs = append(in.Pipeline.Outputs, returns)
		found := env.Observed.Outputs[0]
		found.Table = "fct_returns"
		env.Observed.Outputs = append(env.Observed.Outputs, found)
	}).Environments[0]
	at := map[partition.Key]int{}
	for i, s := range e.Slices {
		for _, item := range s.Items {
			if before, ok := at[item.Partition]; ok {
				require.Equal(t, before, i, "partition %s", item.Partition)
			}
			at[item.Partition] = i
		}
	}
	require.Len(t, at, 32)
	require.Len(t, e.Slices, 5, "eight partitions are published at once, whatever the number of outputs")
}

func TestPipelineOfOnePartition(t *testing.T) {
	t.Parallel()
	e := compute(t, func(in *plan.Input, env *plan.EnvironmentInput) {
		in.Pipeline.Partition = whole
		in.Pipeline.Outputs = in.Pipeline.Outputs[1:]
		env.Observed.Sources = []partition.Key{partition.AllKey}
	}).Environments[0]
	require.Equal(t, []plan.Slice{{Reused: true, Items: []generation.Item{{Output: "dim_channel", Partition: partition.AllKey}}}}, e.Slices)
}

func TestSchemaClasses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change    change
		class     plan.SchemaClass
		added     []generation.Column
		leftOut   []string
		conflicts []string
	}{
		"equal columns are the same": {change: orders(func(*plan.ObservedOutput) {}), class: plan.SchemaSame},
		"another order is the same":  {change: orders(func(o *plan.ObservedOutput) { slices.Reverse(o.Candidate) }), class: plan.SchemaSame},
		"a new column is additive":   {change: addsCurrency(), class: plan.SchemaAdditive, added: []generation.Column{{Name: "currency_code", Type: "text"}}},
		"a new column is added nullable": {change: orders(func(o *plan.ObservedOutput) {
			o.Candidate = append(o.Candidate, generation.Column{Name: "x", Type: "text", NotNull: true})
		}), class: plan.SchemaAdditive, added: []generation.Column{{Name: "x", Type: "text"}}},
		"a nullable column may be left out": {change: orders(func(o *plan.ObservedOutput) { o.Candidate = o.Candidate[:2] }), class: plan.SchemaSame, leftOut: []string{"amount"}},
		"a required column may not": {
			change: orders(func(o *plan.ObservedOutput) { o.Candidate = o.Candidate[1:] }), class: plan.SchemaDestructive,
			conflicts: []string{"column order_id is bigint NOT NULL, the release leaves it out"},
		},
		"another type is destructive, and names both": {
			change: orders(func(o *plan.ObservedOutput) { o.Candidate[2].Type = "text" }), class: plan.SchemaDestructive,
			conflicts: []string{"column amount is numeric(12,2), the release returns text"},
		},
		"another grain is destructive": {
			change: orders(func(o *plan.ObservedOutput) { o.Scheme = &partition.Scheme{By: partition.Month, Column: "order_date"} }), class: plan.SchemaDestructive,
			conflicts: []string{"it is partitioned by month of order_date, the release partitions by day of order_date"},
		},
		"another timezone is destructive": {
			change: orders(func(o *plan.ObservedOutput) { o.Scheme.Timezone = "Europe/Berlin" }), class: plan.SchemaDestructive,
			conflicts: []string{"it is partitioned by day of order_date in Europe/Berlin, the release partitions by day of order_date"},
		},
		"UTC by name is the same timezone": {change: orders(func(o *plan.ObservedOutput) { o.Scheme.Timezone = "UTC" }), class: plan.SchemaSame},
		"a column twice is refused": {
			change: orders(func(o *plan.ObservedOutput) { o.Candidate = append(o.Candidate, o.Candidate[0]) }), class: plan.SchemaDestructive,
			conflicts: []string{"the release returns column order_id twice"},
		},
		"a SELECT that could not be described is refused": {
			change: orders(func(o *plan.ObservedOutput) { o.Candidate = nil; o.Columns = nil }), class: plan.SchemaDestructive,
			conflicts: []string{"the columns that the release returns could not be determined"},
		},
		"a table of others is refused": {
			change: orders(func(o *plan.ObservedOutput) { o.Kind, o.Scheme = generation.Plain, nil }), class: plan.SchemaDestructive,
			conflicts: []string{"a table that Drawbridge does not manage has this name"},
		},
		"nothing there is a create": {change: nothingYet(), class: plan.SchemaCreate, added: []generation.Column{
			{Name: "order_id", Type: "bigint"}, {Name: "order_date", Type: "date"}, {Name: "amount", Type: "numeric(12,2)"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := compute(t, c.change)
			got := p.Environments[0].Changes[0]
			require.Equal(t, c.class, got.Class)
			require.Equal(t, c.added, got.Added)
			require.Equal(t, c.leftOut, got.LeftOut)
			require.Equal(t, c.conflicts, got.Conflicts)
			var said []string
			for _, b := range p.Blocking() {
				require.Equal(t, "fct_orders", b.Object)
				require.NotEmpty(t, b.Remedy)
				if strings.Contains(b.Text, "partitioned by") {
					require.Contains(t, b.Remedy, "give the output another name")
					require.NotContains(t, b.Remedy, "cast", "that is about columns")
				}
				said = append(said, b.Text)
			}
			require.Len(t, said, len(c.conflicts), "every conflict refuses the deployment")
			for i, conflict := range c.conflicts {
				require.Contains(t, said[i], conflict)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	all := rebuild(plan.Rebuild{Mode: plan.RebuildAll})
	for name, c := range map[string]struct {
		changes []change
		rule    string // of the blocking problem; empty: none
		text    string
		remedy  string
	}{
		"nothing in the way": {},
		"no source": {
			[]change{observed(func(o *plan.Observed) { o.Sources = nil })},
			"sources", "no partition can be tried", "config.prod.yaml",
		},
		"locks at the limit":               {[]change{observed(func(o *plan.Observed) { o.LockSlots = 4 * 31 * 3 })}, "", "", ""},
		"one lock over it":                 {[]change{observed(func(o *plan.Observed) { o.LockSlots = 4*31*3 - 1 })}, "lock-table", "31 partitions with 2 indexes each take 93 locks", "partition by month"},
		"partitions at the limit":          {[]change{all, policy(func(p *pipeline.Policy) { p.MaxPartitions = 32 })}, "", "", ""},
		"one partition over it":            {[]change{all, policy(func(p *pipeline.Policy) { p.MaxPartitions = 31 })}, "max-partitions", "32 partitions would be built; the policy of prod allows 31", "--rebuild last=N"},
		"a first build over it":            {[]change{nothingYet(), policy(func(p *pipeline.Policy) { p.MaxPartitions = 31 })}, "max-partitions", "32 partitions", "policy.prod.yaml"},
		"a canary that is no such":         {[]change{func(in *plan.Input, _ *plan.EnvironmentInput) { in.Pipeline.Canary.Latest = 33 }}, "trial-size", "at most 32 partitions; 33", "latest N"},
		"a watch as long as what is kept":  {[]change{func(in *plan.Input, _ *plan.EnvironmentInput) { in.Pipeline.Watch.For = 7 * 24 * time.Hour }}, "", "", ""},
		"a watch longer than what is kept": {[]change{func(in *plan.Input, _ *plan.EnvironmentInput) { in.Pipeline.Watch.For = 7*24*time.Hour + 1 }}, "watch", "what it would go back to is kept for 7d", "raise keep_retired in policy.prod.yaml"},
		"a config that watches for too long": {[]change{func(_ *plan.Input, e *plan.EnvironmentInput) {
			e.Config.Watch = &pipeline.WatchOverride{For: new(8 * 24 * time.Hour)}
		}}, "watch", "it watches for 8d", "config.prod.yaml"},
		"what preflight found": {
			[]change{observed(func(o *plan.Observed) {
				o.Problems = []plan.Problem{{Rule: "publication", Object: "fct_orders", Text: "is published", Remedy: "leave it out", Blocking: true}}
			})},
			"publication", "is published", "leave it out",
		},
		"a risk does not refuse": {[]change{observed(func(o *plan.Observed) {
			o.Problems = []plan.Problem{{Rule: "standby", Object: "server", Text: "has a standby"}}
		})}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			blocking := compute(t, c.changes...).Blocking()
			if c.rule == "" {
				require.Empty(t, blocking)
				return
			}
			require.Len(t, blocking, 1)
			require.Equal(t, "prod", blocking[0].Environment)
			require.Equal(t, c.rule, blocking[0].Rule)
			require.Contains(t, blocking[0].Text, c.text)
			require.Contains(t, blocking[0].Remedy, c.remedy)
		})
	}
}

// Each lane has its part of half the lock table: 8 locks a child.
func TestABatchThatDoesNotFitIntoTheLockTableIsARisk(t *testing.T) {
	t.Parallel()
	of := func(batch int, slots int64) []plan.Problem {
		p := compute(t, func(in *plan.Input, e *plan.EnvironmentInput) {
			in.Pipeline.Batch, e.Policy.Publish.Lanes, e.Observed.LockSlots = batch, 2, slots
		})
		require.Empty(t, p.Blocking())
		return p.Environments[0].Problems
	}
	require.Empty(t, of(0, 6400))
	require.Empty(t, of(200, 6400))
	problems := of(201, 6400)
	require.Len(t, problems, 1)
	require.Contains(t, problems[0].Text, "partition.batch is 201; in 2 lanes, half of the server's lock table is enough for 200")
}

// Readers wait for a publish, so it is small; where nothing is live yet nobody reads, and a batch goes live as it was built.
func TestAFirstReleaseThatIsBuiltInBatchesIsPublishedInLargerSteps(t *testing.T) {
	t.Parallel()
	largest := func(batch int, changes ...change) (n int) {
		p := compute(t, append(changes, rebuild(plan.Rebuild{Mode: plan.RebuildAll}), func(in *plan.Input, _ *plan.EnvironmentInput) { in.Pipeline.Batch = batch })...)
		for _, s := range p.Environments[0].Slices[1:] {
			n = max(n, plan.Partitions([]plan.Slice{s}))
		}
		return n
	}
	require.Equal(t, 8, largest(0, nothingYet()))
	require.Equal(t, 20, largest(20, nothingYet()))
	require.Equal(t, 8, largest(3, nothingYet()))
	require.Equal(t, 30, largest(500, nothingYet()), "all the others")
	require.Equal(t, 8, largest(20), "a release is active")
}

func TestAnOutputThatIsNotBuiltTwiceIsNamed(t *testing.T) {
	t.Parallel()
	p := compute(t, func(in *plan.Input, _ *plan.EnvironmentInput) {
		in.Pipeline.Outputs[0].NotRepeatable = "ids are drawn anew"
	})
	require.Contains(t, p.Environments[0].Checks, "fct_orders: not built twice, because ids are drawn anew")
}

func TestWhatPreflightSaidIsNotSaidAgain(t *testing.T) {
	t.Parallel()
	for rule, cause := range map[string]change{
		"plain-table": orders(func(o *plan.ObservedOutput) { o.Kind = generation.Plain }),
		"describe":    orders(func(o *plan.ObservedOutput) { o.Candidate = nil }),
		"lock-table":  observed(func(o *plan.Observed) { o.LockSlots = 50 }),
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			said := observed(func(o *plan.Observed) {
				o.Problems = []plan.Problem{{Rule: rule, Object: "fct_orders", Text: "is in the way", Remedy: "mend it", Blocking: true}}
			})
			require.Len(t, compute(t, cause).Blocking(), 1, "the planner finds it by itself")
			p := compute(t, cause, said)
			require.Len(t, p.Blocking(), 1)
			require.Equal(t, "mend it", p.Blocking()[0].Remedy)
		})
	}
}

func TestPartitionsWhoseFilesAreGoneAreARisk(t *testing.T) {
	t.Parallel()
	p := compute(t, observed(func(o *plan.Observed) { o.Sources = january(30, 31) }), rebuild(plan.Rebuild{Mode: plan.RebuildAll}))
	require.Empty(t, p.Blocking())
	require.Len(t, p.Environments[0].Problems, 1)
	require.Contains(t, p.Environments[0].Problems[0].Text, "29 partitions in the scope cannot be built again")
}

func TestSteps(t *testing.T) {
	t.Parallel()
	ids := func(p plan.Plan) string {
		var out []string
		for _, s := range p.Environments[0].Steps {
			require.NotEmpty(t, s.Title)
			out = append(out, s.ID)
		}
		return strings.Join(out, " ")
	}
	unasked := policy(func(p *pipeline.Policy) { p.Approval.Required = false })
	require.Equal(t, "preflight smoke canary approval publish watch attest", ids(compute(t)))
	require.Equal(t, "preflight smoke canary approval build-rest expand publish watch attest", ids(compute(t, nothingYet())))
	require.Equal(t, "preflight smoke canary expand publish attest", ids(compute(t, addsCurrency(), unasked,
		func(in *plan.Input, _ *plan.EnvironmentInput) { in.Pipeline.Watch.For = 0 })))
	steps := policy(func(p *pipeline.Policy) { p.Publish.Cutover = cutover.Steps })
	require.Equal(t, "preflight smoke canary approval publish-canary watch attest", ids(compute(t, steps)))
	require.Equal(t, "preflight smoke canary approval expand publish-canary publish-rest watch attest", ids(compute(t, steps, nothingYet())))
	hasty := policy(func(p *pipeline.Policy) { p.Publish.MaxPause = time.Millisecond })
	require.Equal(t, "preflight smoke canary approval build-rest publish watch attest", ids(compute(t, hasty, rebuild(plan.Rebuild{Mode: plan.RebuildAll}))))
	require.Equal(t, "preflight smoke canary agree build-rest publish watch attest", ids(compute(t, hasty, unasked, rebuild(plan.Rebuild{Mode: plan.RebuildAll}))))
}

func TestACutOverIsOneTransactionUnlessReadersWouldNotice(t *testing.T) {
	t.Parallel()
	all := rebuild(plan.Rebuild{Mode: plan.RebuildAll})
	pause := func(d time.Duration) change { return policy(func(p *pipeline.Policy) { p.Publish.MaxPause = d }) }
	for name, c := range map[string]struct {
		changes []change
		slices  []int
		asks    bool
		says    string
	}{
		"a month is one":                    {[]change{all}, []int{5}, false, "in one transaction, which makes the release the active one"},
		"in steps there is none":            {[]change{all, policy(func(p *pipeline.Policy) { p.Publish.Cutover = cutover.Steps })}, nil, false, "the last one makes the release the active one"},
		"a short pause cuts it":             {[]change{all, pause(time.Millisecond)}, []int{1, 1, 1, 1, 1}, true, "in 5 transactions, so that readers may see 4 states in between"},
		"a slow server does too":            {[]change{all, pause(2 * time.Millisecond), observed(func(o *plan.Observed) { o.SwapSpeed = 2 })}, []int{1, 1, 1, 1, 1}, true, "in 5 transactions"},
		"so does its lock table":            {[]change{all, observed(func(o *plan.Observed) { o.LockSlots = 130 })}, []int{2, 2, 1}, true, "in 3 transactions, so that readers may see 2 states in between"},
		"one slice may be too much":         {[]change{pause(time.Microsecond)}, []int{1}, true, "in one transaction"},
		"nobody is asked about what is new": {[]change{nothingYet(), pause(time.Microsecond)}, []int{1, 1, 1, 1, 1}, false, "in 5 transactions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := compute(t, c.changes...)
			e := p.Environments[0]
			require.Equal(t, plan.Cutover{Slices: c.slices, Asks: c.asks}, e.Cutover)
			var said string
			for _, s := range e.Steps {
				said += s.Title + "\n"
			}
			require.Contains(t, said, c.says)
			summary := plan.Summarize(p).Environments[0]
			require.Equal(t, len(c.slices), summary.Transactions)
			require.Equal(t, c.asks, summary.Asks)
			if len(c.slices) == 0 {
				return
			}
			items := 0
			for part := range c.slices {
				for item, slice := range e.Items(part) {
					require.Contains(t, e.Slices[slice].Items, item)
					items++
				}
			}
			all := 0
			for _, s := range e.Slices {
				all += len(s.Items)
			}
			require.Equal(t, all, items, "all of it is published, each in one transaction")
		})
	}
}

func TestConfigOverrides(t *testing.T) {
	t.Parallel()
	e := compute(t, func(_ *plan.Input, env *plan.EnvironmentInput) {
		env.Config.Smoke = &pipeline.Smoke{Latest: 2, MaxRuntime: time.Minute}
		env.Config.Watch = &pipeline.WatchOverride{For: new(time.Hour), OnBreach: new(pipeline.BreachAsk)}
	}).Environments[0]
	require.Equal(t, january(30, 31), e.Smoke)
	require.Equal(t, time.Minute, e.SmokeMax)
	require.Equal(t, january(31, 31), e.Canary)
	require.Equal(t, time.Hour, e.Watch.For)
	require.Equal(t, 15*time.Minute, e.Watch.Every, "what the config does not name is the pipeline's")
	require.Equal(t, "ask", e.Watch.OnBreach)
}

func TestRollback(t *testing.T) {
	t.Parallel()
	p := compute(t, addsCurrency())
	require.Equal(t, &first, p.Environments[0].Rollback.To)
	require.Equal(t, 7*24*time.Hour, p.Environments[0].Rollback.Horizon)
	require.Contains(t, strings.Join(p.Environments[0].Rollback.Steps, "\n"), "added columns of fct_orders (currency_code) stay in place")
	p = compute(t, nothingYet())
	require.Nil(t, p.Environments[0].Rollback.To)
	require.Contains(t, strings.Join(p.Environments[0].Rollback.Steps, "\n"), "detach")
}

func TestEstimate(t *testing.T) {
	t.Parallel()
	shown := compute(t).Environments[0].Shown
	require.Equal(t, int64(4000), shown.Rows, "the average of what is live, for each partition that is built")
	require.Equal(t, 4*time.Second, shown.Duration)
	require.Equal(t, map[string]int{"fct_orders": 31, "dim_channel": 1}, shown.Live)
	require.Equal(t, []string{"view bi.revenue"}, shown.Dependents)
	shown = compute(t, nothingYet()).Environments[0].Shown
	require.Zero(t, shown.Rows)
	require.Zero(t, shown.Duration)
}

func TestEnvironmentsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	in := input()
	for _, name := range []string{"staging", "dev"} {
		env := prod()
		env.Observed.Environment = name
		in.Environments = append(in.Environments, env)
	}
	p, err := plan.Compute(in)
	require.NoError(t, err)
	require.Equal(t, "prod", p.Environments[0].Name)
	require.Equal(t, "staging", p.Environments[1].Name)
	require.Equal(t, "dev", p.Environments[2].Name)
}

func TestInputOfWhichNoPlanCanBeMade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		edit func(*plan.Input)
		says []string
	}{
		"no output":            {func(in *plan.Input) { in.Pipeline.Outputs = nil }, []string{"no output"}},
		"no pipeline":          {func(in *plan.Input) { in.Pipeline = nil }, []string{"no output"}},
		"no environment":       {func(in *plan.Input) { in.Environments = nil }, []string{"no environment"}},
		"an environment twice": {func(in *plan.Input) { in.Environments = append(in.Environments, in.Environments[0]) }, []string{"prod is named twice"}},
		"unknown scope":        {func(in *plan.Input) { in.Rebuild.Mode = "some" }, []string{`rebuild "some"`}},
		"last without number":  {func(in *plan.Input) { in.Rebuild.Mode = plan.RebuildLast }, []string{"rebuild last 0"}},
		"since no partition":   {func(in *plan.Input) { in.Rebuild = plan.Rebuild{Mode: plan.RebuildSince, Since: "2026-W01"} }, []string{"rebuild since"}},
		"all that is wrong at once": {func(in *plan.Input) {
			in.Release.Digest = ""
			in.Rebuild.Mode = plan.RebuildLast
			in.Environments[0].Observed.Outputs = in.Environments[0].Observed.Outputs[:1]
		}, []string{"no digest", "rebuild last 0", "dim_channel was not observed in prod"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input()
			c.edit(&in)
			_, err := plan.Compute(in)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			require.NotEmpty(t, fault.HintOf(err))
			for _, s := range c.says {
				require.ErrorContains(t, err, s)
			}
		})
	}
}
