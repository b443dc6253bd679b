package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/backfill"
)

// A plan names who reads what is built, by what their builds have read, and how to have that built again.
func TestThePlanOfABackfillNamesWhoReadsIt(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	l.deploy(tbFirst("ta"))
	l.w.write("totals/pipeline.yaml", `name: totals
version: 1.0.0
owner: lab
environments: [dev]
partition: all
steps:
  - load: {name: raw_dim, file: dim.csv, columns: {c: text, n: numeric}}
outputs:
  - table: totals
    sql: sql/totals.sql
    key: [d]
    checks:
      - row_count: {min: 1}
`)
	l.w.write("totals/sql/totals.sql", "SELECT d, sum(v) AS v\nFROM ta\nWHERE EXISTS (SELECT FROM raw_dim)\nGROUP BY d\n")
	l.w.write("totals/config.dev.yaml", "warehouse: warehouse\nwarehouse_schema: lab_dev\nwrite_mode: replace\nsource_files: lab\n")
	l.w.cli(0, "deploy", "totals", "--to", "dev")
	l.corrected(3, l.days...)

	said := l.backfill("--dry-run")
	require.Zero(t, said.code, tbTold(said))
	require.Contains(t, said.out, "totals reads ta: all is as before until it is built again")
	require.Contains(t, said.out, "drawbridge run totals --env dev --partition all")

	said = l.backfill("--dry-run", "--format", "md")
	require.Zero(t, said.code, tbTold(said))
	require.Contains(t, said.out, "# Backfill of lab in dev: 2026-01-01 to 2026-01-04")
	require.Contains(t, said.out, "| totals | ta | all |")
	require.Contains(t, said.out, "drawbridge backfill rollback "+l.backfillID())

	var s status
	l.w.json(&s, "backfill", l.name, "--env", "dev", "--from", l.days[0], "--to", l.days[3], "--dry-run")
	require.Equal(t, "totals", s.Backfill.Plan.Downstream[0].Pipeline)
	require.Equal(t, []backfill.Span{{First: "all", Last: "all", Count: 1}}, s.Backfill.Plan.Downstream[0].Partitions)
	require.Positive(t, s.Backfill.Plan.Estimate.Bytes, "what is live has a size")
	l.are("dev", 1, "ta")

	require.Zero(t, l.backfill().code)
	l.w.cli(0, "run", "totals", "--env", "dev", "--partition", "all")
	require.Equal(t, 4*3*tbRowsSum, l.w.number(`SELECT sum(v)::int FROM lab_dev.totals`), "what the plan said brings it up to date")
}
