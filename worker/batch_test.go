package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// A release that says that it gives for a range what it gives one by one is tried before anything is built so, by the real
// activities on a real server: each of these SELECTs would publish other rows.
func TestABatchThatGivesOtherRowsIsRefusedByName(t *testing.T) { //nolint:paralleltest // it sets the environment of its worker
	m := newMonth(t)
	m.whole(9)
	for i, c := range []struct {
		name, says string
		sql        func(string) string
	}{
		{"numbers rows", "other values in a batch", func(sql string) string {
			return strings.Replace(good(sql), "order_id,", "row_number() OVER () AS order_id,", 1)
		}},
		{"cuts off", "[2026-01-03] has 44 rows in a batch and 71 by itself", func(sql string) string { return good(sql) + "ORDER BY order_id\nLIMIT 250\n" }},
		{"says of which range it is", "other values in a batch", func(sql string) string {
			return strings.Replace(good(sql), "order_id,", "order_id, @partition_start::date AS loaded_for,", 1)
		}},
	} {
		s := m.batched(fmt.Sprintf("1.0.%d", i), c.sql)
		require.NotEqual(t, workflows.StageDone, s.Stage, c.name)
		require.Contains(t, s.Sentence, "partition.batch of "+m.name, c.name)
		require.Contains(t, s.Sentence, c.says, c.name)
		require.Zero(t, m.together(), c.name)
	}
	s := m.batched("1.1.0", good)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, 8, m.together(), "all but the canary are filled by one statement")
	for d := 1; d <= 9; d++ {
		require.Equal(t, m.wantWhole(d), m.have(d), "day %d", d)
	}
}

// good is the scaffold's SELECT of a file of many days: it gives for a range what it gives one by one.
func good(sql string) string {
	return strings.NewReplacer("@partition_start::date AS order_date", "ordered_at::date AS order_date",
		"FROM raw_orders", "FROM raw_orders\nWHERE ordered_at >= @partition_start AND ordered_at < @partition_end").Replace(sql)
}

// What a release gives in its smoke it has to give again.
func TestAReleaseThatIsNotRepeatableAsks(t *testing.T) { //nolint:paralleltest // it sets the environment of its worker
	m := newMonth(t)
	m.whole(3)
	drawn := func(sql string) string {
		return strings.Replace(good(sql), "       amount\n", "       (amount + random()::numeric(12,2))::numeric(12,2) AS amount\n", 1)
	}
	s := m.batched("1.0.0", drawn)
	require.NotEqual(t, workflows.StageDone, s.Stage, "nobody has answered")
	v := m.last(s, "canary")
	require.Equal(t, gate.Inconclusive, v.Outcome)
	require.Contains(t, v.Reason, "not repeatable: built twice from the same inputs, the second has other values in amount")
	m.keeps = "it draws"
	s = m.batched("1.0.1", drawn)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
}

// whole writes one file of some days.
func (m *month) whole(days int) {
	m.t.Helper()
	var b strings.Builder
	b.WriteString("order_id,ordered_at,channel,amount\n")
	for d := 1; d <= days; d++ {
		for i := range m.sold(d) {
			fmt.Fprintf(&b, "%d,%s 09:00:00+00,%s,7.00\n", d*10000+i, key(d), []string{"web", "app", "store"}[i%3])
		}
	}
	m.write(m.root+"/"+m.name+"/data/orders.csv", b.String())
}

// wantWhole is what a day's revenue is, by that file.
func (m *month) wantWhole(d int) string { return fmt.Sprintf("%d.00", 7*m.sold(d)) }

// batched deploys a version of the scaffold whose orders come in one file, and that says that it may be built in batches.
func (m *month) batched(version string, sql func(string) string) workflows.Status {
	m.t.Helper()
	m.edit = func(files map[string][]byte) {
		text := strings.NewReplacer("orders_@partition.csv", "orders.csv", "column: order_date}", "column: order_date, batch: 31}").Replace(string(files["pipeline.yaml"]))
		if m.keeps != "" {
			text = strings.Replace(text, ", batch: 31", "", 1) // what is not the same twice is never built so
			text = strings.Replace(text, "    indexes:", "    repeatable: {is: false, because: "+m.keeps+"}\n    indexes:", 1)
		}
		files["pipeline.yaml"] = []byte(text)
		delete(files, "tests/fct_orders.yaml")
	}
	return m.deploy(m.day(12), version, sql, func(time.Time) {})
}

// together says how many live generations were written by a transaction that wrote others of their output too.
func (m *month) together() (n int) {
	m.t.Helper()
	require.NoError(m.t, m.db.Pool.QueryRow(m.t.Context(), `SELECT count(*) FROM (
		SELECT count(*) OVER (PARTITION BY built_xid) AS together FROM `+m.name+`_prod__ledger.generation WHERE state = 'live') AS g WHERE together > 1`).Scan(&n))
	return n
}
