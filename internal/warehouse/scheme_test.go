package warehouse_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/turnback"
)

// cutBy is a shop with one output, which is cut by a scheme. Each partition has one row, where it begins.
func cutBy(version string, s partition.Scheme, columnType string) *pipeline.Pipeline {
	p := shop()
	p.Version, p.Partition, p.Outputs[0].Partition = version, s, s
	p.Outputs[0].SQL = fmt.Sprintf("SELECT order_id, @partition_start::%s AS at, amount FROM raw_orders", columnType)
	return p
}

// crosses publishes partitions of a pipeline where nothing is live, in one transaction, as a deployment of its version.
func (b *bundle) crosses(t *testing.T, p *pipeline.Pipeline, keys ...partition.Key) {
	t.Helper()
	b.cross(t, p.Version)
	var swaps []generation.Swap
	for _, key := range keys {
		b.files["orders_"+string(key)+".csv"] = "order_id,ordered_at,channel,amount\n1,2026-01-01 10:00:00+00,web,7\n"
		swaps = append(swaps, swap(b.build(t, p, key).Generation, 0))
	}
	b.publish(t, swaps...)
}

// goes carries out a turn-back of what has one output, page after page.
func (b *bundle) goes(t *testing.T, req turnback.Request) {
	t.Helper()
	back := b.begins(t, req)
	page, err := b.DecideTurnBack(t.Context(), back.TurnBack, []turnback.Output{{Table: "fct_orders"}}, "", 100)
	require.NoError(t, err)
	var swaps []generation.Swap
	for _, d := range page.Decisions {
		for _, it := range d.Items {
			require.NotEqual(t, turnback.Rebuild, it.Action)
			if it.Action == turnback.SwapBack || it.Action == turnback.Detach {
				swaps = append(swaps, generation.Swap{Output: it.Output, Partition: d.Partition, From: it.From, To: it.To})
			}
		}
	}
	b.done(t, back.try(swaps...))
	require.NoError(t, b.EndTurnBack(t.Context(), back.Tenure.Number, turnback.Done, anew(back.actor)))
}

// One key is two spans under two schemes, and their chunks have the same names: what was cut in one way does not go live beside the other.
func TestNoTurnBackMixesTwoWaysOfPartitioning(t *testing.T) {
	t.Parallel()
	tens, twenties := partition.Scheme{By: partition.Range, Column: "at", Size: 10}, partition.Scheme{By: partition.Range, Column: "at", Size: 20}
	utc, berlin := partition.Scheme{By: partition.Day, Column: "at"}, partition.Scheme{By: partition.Day, Column: "at", Timezone: "Europe/Berlin"}
	for name, c := range map[string]struct {
		columnType    string
		first, second partition.Scheme
		before, after []partition.Key
	}{
		"wider ranges":     {"int", tens, twenties, []partition.Key{"0", "10", "20", "320", "330"}, []partition.Key{"0", "20", "320", "640"}},
		"narrower ranges":  {"int", twenties, tens, []partition.Key{"0", "20", "320", "640"}, []partition.Key{"0", "10", "20", "320", "330"}},
		"another timezone": {"timestamptz", utc, berlin, []partition.Key{"2026-01-31", "2026-02-01"}, []partition.Key{"2026-01-31", "2026-02-01", "2026-02-02"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			first, second := cutBy("1.0.0", c.first, c.columnType), cutBy("2.0.0", c.second, c.columnType)
			rows := func() string {
				return b.text(t, "SELECT coalesce(string_agg(at::text, ' ' ORDER BY at), '') FROM fct_orders")
			}
			refuses := func(version string) {
				t.Helper()
				there, active := rows(), b.activeVersion(t)
				_, _, err := b.PreviewTurnBack(t.Context(), rollback(version))
				require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
				_, _, err = b.BeginTurnBack(t.Context(), rollback(version), anew(workflow("rollback/over")))
				require.ErrorContains(t, err, "what is live is partitioned by ")
				require.Contains(t, fault.HintOf(err), "--to nothing")
				require.Equal(t, []string{there, active}, []string{rows(), b.activeVersion(t)}, "nothing has moved")
			}
			b.crosses(t, first, c.before...)
			was, number := rows(), fmt.Sprint(b.tenure.Number)
			for _, key := range c.before {
				away := rollback(turnback.Nothing)
				away.Partition = key
				b.goes(t, away)
			}

			for p, want := range map[*pipeline.Pipeline]int{first: 0, second: 1} {
				observed, err := b.Observe(t.Context(), p, header())
				require.NoError(t, err)
				require.Len(t, blocking(observed), want)
			}
			b.crosses(t, second, c.after...)
			is := rows()
			refuses(number)

			// A build that nobody has planned is refused where it would go live.
			odd := cutBy("2.0.0", c.first, c.columnType)
			key := c.before[0]
			built := b.build(t, odd, key).Generation
			live, _, err := b.Live(t.Context(), "fct_orders", key)
			require.NoError(t, err)
			_, err = b.attempt(t.Context(), b.patient(swap(built, live)), beat)
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
			require.Equal(t, is, rows())

			// So is one partition, to what was live there before.
			one := rollback("")
			one.Output, one.Partition = "fct_orders", key
			_, _, err = b.BeginTurnBack(t.Context(), one, anew(workflow("rollback/one")))
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)

			b.goes(t, rollback(turnback.Nothing))
			require.Empty(t, rows())
			b.goes(t, rollback(number))
			require.Equal(t, was, rows(), "where nothing is live, what was there comes back")
			refuses("2.0.0")
			b.goes(t, rollback(turnback.Nothing))
			b.goes(t, rollback("2.0.0"))
			require.Equal(t, is, rows())
		})
	}
}

// Its release before would build keys of other spans in the place of what it has published.
func TestACompensationOverAChangeOfSchemeLeavesAllToAPerson(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.crosses(t, cutBy("1.0.0", partition.Scheme{By: partition.Range, Column: "at", Size: 10}, "int"), "0", "10")
	away := rollback(turnback.Nothing)
	for _, away.Partition = range []partition.Key{"0", "10"} {
		b.goes(t, away)
	}
	b.crosses(t, cutBy("2.0.0", partition.Scheme{By: partition.Range, Column: "at", Size: 20}, "int"), "0", "20")
	_, _, err := b.BeginTurnBack(t.Context(), compensation(b.owner), anew(b.owner))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.EqualValues(t, 2, b.number(t, "SELECT count(*) FROM fct_orders"))
	b.goes(t, rollback(turnback.Nothing))
	require.EqualValues(t, 0, b.number(t, "SELECT count(*) FROM fct_orders"))
}
