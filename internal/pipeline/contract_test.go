package pipeline_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/contract"
	"drawbridge/internal/pipeline"
)

const contractHead = "apiVersion: v3.1.0\nkind: DataContract\nid: orders\nversion: 2.1.0\nstatus: active\n"

// promising is a pipeline of a table of days and one that is a single partition, with a contract about both.
func promising(contract string) map[string][]byte {
	return map[string][]byte{
		"pipeline.yaml": []byte(`name: shop
version: 1.0.0
owner: sales-data
partition: {by: day, column: ordered_on}
outputs:
  - {table: fct_orders, sql: fct_orders.sql, key: [order_id], contract: contracts/orders.odcs.yaml, checks: [{row_count: {min: 1}}]}
  - {table: dim_channel, partition: all, sql: dim_channel.sql, key: [channel], contract: contracts/orders.odcs.yaml, checks: [{row_count: {min: 1}}]}
`),
		"fct_orders.sql": []byte("SELECT 1 AS order_id, DATE '2026-01-01' AS ordered_on"), "dim_channel.sql": []byte("SELECT 'web' AS channel"),
		"config.prod.yaml":           []byte("warehouse_schema: shop\n"),
		"contracts/orders.odcs.yaml": []byte(contract),
	}
}

func TestAContractIsReadIntoColumnsChecksAndConsumers(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse(promising(contractHead+`
domain: sales
description: {purpose: "to bill"}
servers: [{server: prod, type: postgres, host: db, port: 5432, database: warehouse, schema: shop}]
customProperties: [{property: anything, value: {of: [any, shape]}}]
roles:
  - {role: bi_reader, access: read}
  - {role: loader, access: write}
team:
  name: sales
  members:
    - {username: ann, role: owner}
    - {username: fred, name: finance, role: Data Consumer}
schema:
  - name: orders
    physicalName: fct_orders
    properties:
      - {name: order_id, physicalType: int8, primaryKey: true}
      - {name: ordered_on, logicalType: date, required: true, description: when}
      - name: channel
        logicalType: string
        unique: true
        logicalTypeOptions: {maxLength: 10}
        quality:
          - {metric: nullValues, mustBe: 0}
          - {metric: invalidValues, arguments: {validValues: [web, 7]}, mustBeLessOrEqualTo: 5, unit: percent, severity: warning}
          - {metric: missingValues, arguments: {missingValues: ["", "n/a"]}, mustBe: 0}
          - {type: sql, name: even, query: "SELECT count(*) FROM fct_orders", mustBe: 0}
          - {type: text, description: it is right}
    quality:
      - {metric: rowCount, mustBeGreaterThan: 10}
      - {metric: duplicateValues, arguments: {properties: [order_id, channel]}, mustBeLessThan: 1}
  - name: dim_channel
    properties:
      - {name: channel, logicalType: string}
    quality:
      - {metric: rowCount, mustBeBetween: [1, 100]}
`), "config.prod.yaml")
	require.NoError(t, err)
	orders, channels := p.Outputs[0], p.Outputs[1]
	require.Equal(t, []contract.Column{
		{Name: "order_id", Type: "bigint", Required: true}, {Name: "ordered_on", Kind: contract.Date, Required: true}, {Name: "channel", Kind: contract.String},
	}, orders.Contract.Columns)
	require.Equal(t, []string{"bi_reader", "finance"}, orders.Contract.Consumers)
	require.Equal(t, []check.Check{
		{Name: "contract: not_null(order_id)", Kind: check.NotNull, Columns: []string{"order_id"}, Severity: check.Fail},
		{Name: "contract: not_null(ordered_on)", Kind: check.NotNull, Columns: []string{"ordered_on"}, Severity: check.Fail},
		{Name: "contract: unique(channel)", Kind: check.Unique, Columns: []string{"channel"}, Severity: check.Fail},
		{Name: "contract: not_null(channel)", Kind: check.NotNull, Columns: []string{"channel"}, Severity: check.Fail},
		{Name: "contract: accepted_values(channel)", Kind: check.AcceptedValues, Columns: []string{"channel"}, Values: []string{"web", "7"}, MaxFailing: 0.05, Severity: check.Warn},
		{Name: "contract: unique(order_id)", Kind: check.Unique, Columns: []string{"order_id"}, Severity: check.Fail},
		{Name: "contract: unique(order_id, channel)", Kind: check.Unique, Columns: []string{"order_id", "channel"}, Severity: check.Fail},
	}, orders.Checks[1:])
	const file = "contracts/orders.odcs.yaml: fct_orders"
	require.Equal(t, []string{
		file + ".channel: that it is unique across partitions: it is checked in each of them", file + ".channel: logicalTypeOptions",
		file + ".channel: missingValues (library)", file + ".channel: even (sql)", file + ".channel: a rule (text)",
		file + ".order_id: that it is unique across partitions: it is checked in each of them", file + ": rowCount (library)",
		file + ".order_id, channel: that it is unique across partitions: it is checked in each of them",
	}, orders.Contract.Unchecked)

	one, hundred := 1.0, 100.0
	require.Equal(t, []check.Check{{Name: "contract: row_count", Kind: check.RowCount, Min: &one, Max: &hundred, Severity: check.Fail}}, channels.Checks[1:], "a table of one partition is counted whole")
	require.Empty(t, channels.Contract.Unchecked)
}

func TestARuleOfAContractBecomesTheCheckThatSaysTheSame(t *testing.T) {
	t.Parallel()
	n := func(f float64) *float64 { return &f }
	for rule, want := range map[string]check.Check{ // none: nothing here holds the output to it
		"{metric: nullValues, mustBe: 0}":                                  {Kind: check.NotNull},
		"{metric: nullValues, mustBeLessThan: 1}":                          {Kind: check.NotNull},
		"{metric: nullValues, mustBeLessOrEqualTo: 0, unit: rows}":         {Kind: check.NotNull},
		"{metric: nullValues, mustBeLessThan: 5, unit: percent}":           {Kind: check.NotNull, MaxFailing: math.Nextafter(0.05, 0)},
		"{type: library, metric: nullValues, mustBe: 0}":                   {Kind: check.NotNull},
		"{rule: duplicateCount, mustBeLessThan: 1}":                        {Kind: check.Unique},
		"{rule: validValues, validValues: [a, 1.5, true], mustBe: 0}":      {Kind: check.AcceptedValues, Values: []string{"a", "1.5", "true"}},
		"{metric: nullValues, mustBeLessThan: 5}":                          {},
		"{metric: nullValues, mustBe: 1}":                                  {},
		"{metric: nullValues, mustNotBe: 0}":                               {},
		"{metric: nullValues, mustBe: 0, mustNotBe: 0}":                    {},
		"{metric: nullValues}":                                             {},
		"{metric: nullValues, mustBeLessOrEqualTo: 100, unit: percent}":    {},
		"{metric: duplicateValues, mustBeLessOrEqualTo: 1, unit: percent}": {},
		"{metric: invalidValues, arguments: {pattern: \"^a\"}, mustBe: 0}": {},
		"{metric: invalidValues, mustBe: 0}":                               {},
		"{metric: rowCount, mustBe: 0}":                                    {},
		"{type: custom, engine: soda, implementation: \"x\"}":              {},
		"{type: sql, metric: nullValues, query: \"SELECT 1\", mustBe: 0}":  {},
		"{metric: somethingNew, mustBe: 0}":                                {},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			p, err := pipeline.Parse(promising(contractHead+"schema:\n  - {name: fct_orders, properties: [{name: order_id}]}\n"+
				"  - {name: dim_channel, properties: [{name: channel, quality: ["+rule+"]}]}\n"), "")
			require.NoError(t, err)
			o := p.Outputs[1]
			if want.Kind == "" {
				require.Len(t, o.Checks, 1)
				require.Len(t, o.Contract.Unchecked, 1)
				return
			}
			want.Name, want.Columns, want.Severity = "contract: "+string(want.Kind)+"(channel)", []string{"channel"}, check.Fail
			require.Equal(t, want, o.Checks[1])
			require.Empty(t, o.Contract.Unchecked)
		})
	}
	for rule, want := range map[string]check.Check{
		"{metric: rowCount, mustBe: 7}":                                    {Min: n(7), Max: n(7)},
		"{metric: rowCount, mustBeGreaterThan: 7}":                         {Min: n(8)},
		"{metric: rowCount, mustBeGreaterOrEqualTo: 7, mustBeLessThan: 9}": {Min: n(7), Max: n(8)},
		"{metric: rowCount, mustBeLessOrEqualTo: 7}":                       {Max: n(7)},
		"{metric: rowCount, mustNotBe: 0}":                                 {},
		"{metric: rowCount, mustBeGreaterThan: 7, unit: percent}":          {},
		"{metric: nullValues, mustBe: 0}":                                  {},
		"{metric: duplicateValues, mustBe: 0}":                             {},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			p, err := pipeline.Parse(promising(contractHead+"schema:\n  - {name: fct_orders, properties: [{name: order_id}]}\n"+
				"  - {name: dim_channel, properties: [{name: channel}], quality: ["+rule+"]}\n"), "")
			require.NoError(t, err)
			o := p.Outputs[1]
			if want.Min == nil && want.Max == nil {
				require.Len(t, o.Checks, 1)
				require.Len(t, o.Contract.Unchecked, 1)
				return
			}
			require.Equal(t, want.Min, o.Checks[1].Min)
			require.Equal(t, want.Max, o.Checks[1].Max)
		})
	}
}

func TestAContractIsReadStrictly(t *testing.T) {
	t.Parallel()
	const tables = "schema:\n  - {name: fct_orders, properties: [{name: order_id}]}\n  - {name: dim_channel, properties: [{name: channel}]}\n"
	for name, tc := range map[string]struct{ contract, says string }{
		"a key that the standard does not have": {contractHead + "consumers: [bi]\n" + tables, "contracts/orders.odcs.yaml:6:1: consumers: unknown key"},
		"a misspelt key of a column":            {contractHead + strings.Replace(tables, "{name: order_id}", "{name: order_id, requierd: true}", 1), "did you mean required?"},
		"another version of the standard":       {strings.Replace(contractHead, "v3.1.0", "v2.2.2", 1) + tables, "v3.1.0"},
		"a table that it is not about":          {contractHead + "schema: [{name: fct_orders, properties: [{name: order_id}]}]\n", "the contract is not about dim_channel"},
		"a type of another database":            {contractHead + strings.Replace(tables, "{name: order_id}", "{name: order_id, physicalType: STRING}", 1), `"STRING" is no type that Postgres brings along`},
		"a column twice":                        {contractHead + strings.Replace(tables, "{name: order_id}", "{name: order_id}, {name: order_id}", 1), "has the column order_id twice"},
		"an empty file":                         {"", "the file is empty"},
		"what holds twice, and differs": {contractHead + strings.Replace(tables, "{name: order_id}",
			"{name: order_id, required: true, quality: [{metric: nullValues, mustBeLessThan: 5, unit: percent}]}", 1), "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.Parse(promising(tc.contract), "")
			require.ErrorContains(t, err, tc.says)
		})
	}
	files := promising(contractHead + tables)
	delete(files, "contracts/orders.odcs.yaml")
	_, err := pipeline.Parse(files, "")
	require.ErrorContains(t, err, "there is no file contracts/orders.odcs.yaml")
}

// The contract that the documents show is one of the shop that the repository builds.
func TestTheContractOfTheDocumentsIsRead(t *testing.T) {
	t.Parallel()
	shop := filepath.Join("..", "..", "examples", "shop")
	files := map[string][]byte{}
	for name, from := range map[string]string{
		"pipeline.yaml": filepath.Join(shop, "pipeline.yaml"), "sql/fct_orders.sql": filepath.Join(shop, "sql", "fct_orders.sql"),
		"sql/dim_channel.sql": filepath.Join(shop, "sql", "dim_channel.sql"), "config.dev.yaml": filepath.Join(shop, "config.dev.yaml"),
		"config.staging.yaml": filepath.Join(shop, "config.staging.yaml"), "config.prod.yaml": filepath.Join(shop, "config.prod.yaml"),
		"contracts/orders.odcs.yaml": filepath.Join("..", "..", "docs", "contract-example.odcs.yaml"),
	} {
		body, err := os.ReadFile(from)
		require.NoError(t, err)
		files[name] = body
	}
	const output = "  - table: fct_orders\n"
	require.Contains(t, string(files["pipeline.yaml"]), output)
	files["pipeline.yaml"] = []byte(strings.Replace(string(files["pipeline.yaml"]), output, output+"    contract: contracts/orders.odcs.yaml\n", 1))
	p, err := pipeline.Parse(files, "")
	require.NoError(t, err)
	orders := p.Outputs[0]
	require.Equal(t, []string{"bi_reader", "finance"}, orders.Contract.Consumers)
	require.Equal(t, contract.Column{Name: "amount", Type: "numeric(12,2)", Kind: contract.Number, Required: true}, orders.Contract.Columns[5])
	require.Len(t, orders.Contract.Unchecked, 2)
}
