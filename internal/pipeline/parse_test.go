package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/strictyaml"
)

const shop = `name: shop
version: 1.0.0
owner: sales
partition: {by: day, column: order_date}
steps:
  - load: {name: raw_orders, file: "orders_@partition.csv", columns: {order_id: bigint}}
  - load: {name: raw_channels, file: channels.csv}
outputs:
  - table: fct_orders
    sql: fct_orders.sql
    key: [order_id]
    checks:
      - row_count: {min: 1}
      - not_null: [order_id]
      - metric: {name: revenue, sql: sum(amount)}
  - table: dim_channel
    sql: dim_channel.sql
    partition: all
    key: [channel]
    checks:
      - unique: [channel]
watch:
  for: 24h
  every: 15m
  freshness: 26h
`

const shopTest = `name: orders stay
partition: "2026-01-01"
given:
  raw_orders:
    - {order_id: 1, paid: true, amount: 1.5, note: null, code: "007"}
expect:
  fct_orders:
    - {order_id: 1}
`

func shopFolder() map[string][]byte {
	return map[string][]byte{
		"pipeline.yaml":     []byte(shop),
		"fct_orders.sql":    []byte("SELECT order_id, order_date, amount\nFROM raw_orders\nWHERE order_date >= @partition_start"),
		"dim_channel.sql":   []byte("SELECT DISTINCT channel FROM raw_channels"),
		"tests/orders.yaml": []byte(shopTest),
		"config.dev.yaml":   []byte("warehouse: postgres://etl@db/shop\nwarehouse_schema: shop_dev\n"),
	}
}

// edited replaces one piece of one file.
func edited(t *testing.T, file, from, to string) map[string][]byte {
	t.Helper()
	files := shopFolder()
	require.Contains(t, string(files[file]), from)
	files[file] = []byte(strings.Replace(string(files[file]), from, to, 1))
	return files
}

func TestParse(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse(shopFolder(), "config.dev.yaml")
	require.NoError(t, err)
	day := partition.Scheme{By: partition.Day, Column: "order_date"}
	require.Equal(t, day, p.Partition)
	require.Equal(t, day, p.Outputs[0].Partition)
	require.Equal(t, partition.Scheme{By: partition.All}, p.Outputs[1].Partition)
	require.Equal(t, pipeline.Load{
		Name: "raw_orders", File: "orders_@partition.csv", Format: "csv", Columns: []pipeline.Column{{Name: "order_id", Type: "bigint"}},
	}, p.Loads[0])
	require.Equal(t, "orders_2026-01-01.csv", p.Loads[0].Path("2026-01-01"))
	require.Equal(t, p.Loads[:1], p.Outputs[0].Loads(p.Loads))
	require.Equal(t, pipeline.Smoke{Latest: 1, MaxRuntime: 30 * time.Minute}, p.Smoke)
	require.Equal(t, 1, p.Canary.Latest)
	require.Equal(t, pipeline.Watch{For: 24 * time.Hour, Every: 15 * time.Minute, Freshness: 26 * time.Hour, OnBreach: pipeline.BreachRollback}, p.Watch)
	require.Equal(t, []check.Check{
		{Name: "row_count", Kind: check.RowCount, Severity: check.Fail, Min: new(1.0)},
		{Name: "not_null(order_id)", Kind: check.NotNull, Severity: check.Fail, Columns: []string{"order_id"}},
		{Name: "revenue", Kind: check.MetricKind, Severity: check.Fail, SQL: "sum(amount)"},
	}, p.Outputs[0].Checks)
	require.Equal(t, pipeline.UnitTest{
		File: "tests/orders.yaml", Name: "orders stay", Partition: "2026-01-01",
		Given:  map[string][]pipeline.Row{"raw_orders": {{"order_id": int64(1), "paid": true, "amount": 1.5, "note": nil, "code": "007"}}},
		Expect: map[string][]pipeline.Row{"fct_orders": {{"order_id": int64(1)}}},
	}, p.Tests[0])
	require.Equal(t, pipeline.Config{
		Environment: "dev", Warehouse: "postgres://etl@db/shop", WarehouseSchema: "shop_dev", WriteMode: "replace", SourceFiles: ".",
	}, p.Config)
}

func TestEveryProblemIsReportedAtOnceWithItsPlace(t *testing.T) {
	t.Parallel()
	files := shopFolder()
	files["pipeline.yaml"] = []byte(`name: shop
verison: 1.0.0
owner: sales
partition: {by: day, column: order_date}
outputs:
  - table: fct_orders
    sql: fct_orders.sql
    checks:
      - row_count: {mim: 1}
      - nonsense: 1
`)
	files["fct_orders.sql"] = []byte("SELECT 'ä' AS a,\n  'ä', @partition_stat FROM x")
	files["config.dev.yaml"] = []byte("warehouse: reports\nwarehouse_schema: [a]\n")
	_, err := pipeline.Parse(files, "config.dev.yaml")
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.NotEmpty(t, fault.HintOf(err))
	problems, ok := strictyaml.ProblemsOf(err)
	require.True(t, ok)
	var lines []string
	for _, p := range problems {
		lines = append(lines, p.String())
	}
	require.Equal(t, []string{
		"config.dev.yaml:2:19: warehouse_schema: must be a lower-case identifier of at most 40 letters, digits and underscores; as in warehouse_schema: shop_dev",
		"fct_orders.sql:2:8: unknown placeholder @partition_stat; did you mean partition_start?",
		"pipeline.yaml:1:1: the key \"version\" is missing; The semantic version of the next release: MAJOR.MINOR.PATCH, as in version: 1.0.0",
		"pipeline.yaml:2:1: verison: unknown key; did you mean version?",
		"pipeline.yaml:9:20: outputs[0].checks[0].row_count: without a limit the check can never fail; give min, max or vs_history",
		"pipeline.yaml:9:21: outputs[0].checks[0].row_count.mim: unknown key; did you mean min?",
		"pipeline.yaml:10:9: outputs[0].checks[1].nonsense: unknown key; use row_count, not_null, unique, accepted_values, expression or metric",
		"tests/orders.yaml:4:3: given.raw_orders: no tested output reads raw_orders; expect rows of an output that reads it",
	}, lines)
}

func TestKeysOfTheDesignThatAreNotCarriedOutAreRefusedByName(t *testing.T) {
	t.Parallel()
	step := "  - load: {name: raw_channels, file: channels.csv}\n"
	output := "    sql: fct_orders.sql\n"
	for name, tc := range map[string]struct{ file, from, to string }{
		"command":  {"pipeline.yaml", step, step + "  - command: {run: [python, etl.py]}\n"},
		"publish":  {"pipeline.yaml", output, output + "    publish: in_place\n"},
		"schedule": {"pipeline.yaml", "owner: sales", "owner: sales\nschedule: '@daily'"},
		"flags":    {"config.dev.yaml", "warehouse_schema", "flags: {a: b}\nwarehouse_schema"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.Parse(edited(t, tc.file, tc.from, tc.to), "")
			require.ErrorContains(t, err, "not supported yet: "+name)
			problems, _ := strictyaml.ProblemsOf(err)
			require.Len(t, problems, 1)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ file, from, to, want string }{
		"a version that ends as a try does":   {"pipeline.yaml", "version: 1.0.0", "version: 1.0.0-20261125", "in - and 8 hexadecimal digits; put a word and a dot before the digits, such as dev."},
		"a version that is no semver":         {"pipeline.yaml", "version: 1.0.0", "version: 1.2", `pipeline.yaml:2:10: version: "1.2" is no semantic version; write 1.2.0`},
		"a version with build metadata":       {"pipeline.yaml", "version: 1.0.0", "version: 1.0.0+b1", "no build metadata"},
		"a name that is none":                 {"pipeline.yaml", "name: shop", "name: My Shop", "pipeline.yaml:1:7: name: must be lower-case words"},
		"a long name":                         {"pipeline.yaml", "name: shop", "name: " + strings.Repeat("a", 41), "longer than 40"},
		"a blank owner":                       {"pipeline.yaml", "owner: sales", "owner: ' '", "must be text that is not blank"},
		"an owner that is nothing":            {"pipeline.yaml", "owner: sales", "owner:", "must be text that is not blank"},
		"a duplicate key":                     {"pipeline.yaml", "owner: sales", "owner: sales\nowner: me", "pipeline.yaml:4:1: owner: the key is already given on line 3"},
		"an anchor":                           {"pipeline.yaml", "owner: sales", "owner: &o sales", "anchors, aliases and tags are not read"},
		"a merge key":                         {"pipeline.yaml", "owner: sales", "owner: sales\n<<: {a: 1}", "merge keys and complex keys are not read"},
		"no YAML":                             {"pipeline.yaml", "owner: sales", "owner: [sales", "no valid YAML"},
		"two documents":                       {"pipeline.yaml", "owner: sales", "owner: sales\n---\nname: b", "a second document begins"},
		"a partition without column":          {"pipeline.yaml", "{by: day, column: order_date}", "{by: day}", "column is missing"},
		"a range without column":              {"pipeline.yaml", "{by: day, column: order_date}", "{by: {range: 5}}", "column is missing"},
		"a range of nothing":                  {"pipeline.yaml", "{by: day, ", "{by: {range: 0}, ", "partition.by.range: must be 1 or more"},
		"an unknown timezone":                 {"pipeline.yaml", "{by: day, ", "{by: day, timezone: Europe/Berlim, ", `unknown timezone "Europe/Berlim"`},
		"an unknown grain":                    {"pipeline.yaml", "by: day", "by: dya", `not "dya"; did you mean day?`},
		"two loads of one name":               {"pipeline.yaml", "name: raw_channels", "name: raw_orders", "another load is named raw_orders"},
		"a load that nothing reads":           {"pipeline.yaml", "name: raw_channels", "name: raw_chanels", "no output reads raw_chanels"},
		"two keys in one step":                {"pipeline.yaml", "  - load: {name: raw_channels", "    extract: {}\n  - load: {name: raw_channels", "steps[0]: must have exactly one key"},
		"the data of another schema":          {"config.dev.yaml", "shop_dev", "shop_dev__data", "config.dev.yaml:2:19: warehouse_schema: shop_dev__data is where Drawbridge keeps what belongs to a schema shop_dev"},
		"the ledger of another schema":        {"config.dev.yaml", "shop_dev", "shop_prod__ledger", "belongs to a schema shop_prod"},
		"the shadows of another schema":       {"config.dev.yaml", "shop_dev", "shop_prod__shadow", "belongs to a schema shop_prod"},
		"a schema of the server":              {"config.dev.yaml", "shop_dev", "pg_catalog", "pg_catalog is the server's own"},
		"the information schema":              {"config.dev.yaml", "shop_dev", "information_schema", "information_schema is the server's own"},
		"source files anywhere":               {"config.dev.yaml", "warehouse_schema", "source_files: /etc\nwarehouse_schema", "must be a folder below the worker's source root"},
		"source files outside":                {"config.dev.yaml", "warehouse_schema", "source_files: shop/../../etc\nwarehouse_schema", "the path leaves the folder"},
		"a partition that is named twice":     {"pipeline.yaml", "orders_@partition.csv", "@partition_orders_@partition.csv", "unknown placeholder @partition_orders_"},
		"a date without a format":             {"pipeline.yaml", "orders_@partition.csv", "orders_{date}.csv", "{date} does not say how the date is written"},
		"a date of another program":           {"pipeline.yaml", "orders_@partition.csv", "orders_{date:%y%m%d}.csv", "two digits of a year do not say which century"},
		"a date that is coarser than a day":   {"pipeline.yaml", "orders_@partition.csv", "{date:%Y}/orders_{date:%m}.csv", "the date in the name does not say the day"},
		"a date in an all pipeline":           {"pipeline.yaml", "{by: day, column: order_date}", "all", "the pipeline is one partition"},
		"a part that is declared":             {"pipeline.yaml", "order_id: bigint", "\"@file\": text, order_id: bigint", "@file is no column of the file"},
		"a part that no name has":             {"fct_orders.sql", "SELECT", "SELECT \"@file.store\", ", "asks for @file.store, and no load that it reads has that in its file"},
		"a load outside":                      {"pipeline.yaml", "file: channels.csv", "file: ../channels.csv", "the path leaves the folder"},
		"a load with an unknown placeholder":  {"pipeline.yaml", "orders_@partition.csv", "orders_@partion.csv", "unknown placeholder @partion"},
		"a load with a bound":                 {"pipeline.yaml", "orders_@partition.csv", "orders_@partition_start.csv", "unknown placeholder @partition_start"},
		"a type that is SQL":                  {"pipeline.yaml", "order_id: bigint", `order_id: "bigint); DROP TABLE x"`, "must be a Postgres type"},
		"a load of no output":                 {"pipeline.yaml", "table: fct_orders", "table: raw_orders", "a load is named raw_orders too"},
		"an output that is no identifier":     {"pipeline.yaml", "table: fct_orders", "table: Fct-Orders", "must be a lower-case identifier"},
		"an output with a long name":          {"pipeline.yaml", "table: fct_orders", "table: " + strings.Repeat("a", 41), "at most 40"},
		"two outputs of one name":             {"pipeline.yaml", "table: dim_channel", "table: fct_orders", "another output is named fct_orders"},
		"SQL that is missing":                 {"pipeline.yaml", "sql: fct_orders.sql", "sql: fct_order.sql", "there is no file fct_order.sql; did you mean fct_orders.sql?"},
		"an empty key":                        {"pipeline.yaml", "key: [order_id]", "key: []", "outputs[0].key: must not be empty"},
		"a key that names a column twice":     {"pipeline.yaml", "key: [order_id]", "key: [order_id, order_id]", "outputs[0].key[1]: the key names order_id twice"},
		"an all output without key":           {"pipeline.yaml", "    key: [channel]\n", "", "an output that is one partition needs a key"},
		"an all output with a bound":          {"dim_channel.sql", "raw_channels", "raw_channels WHERE d < @partition_end", "@partition has no value in dim_channel.sql"},
		"an all output with partitioned load": {"pipeline.yaml", "file: channels.csv", "file: channels_@partition.csv", "raw_channels that it reads has a file per partition"},
		"an all pipeline with a placeholder":  {"pipeline.yaml", "{by: day, column: order_date}", "all", "the pipeline is one partition, so @partition has no value"},
		"an output without checks":            {"pipeline.yaml", "    checks:\n      - unique: [channel]\n", "", "the key \"checks\" is missing"},
		"a check that is no list":             {"pipeline.yaml", "unique: [channel]", "unique: channel", "must be a list, or a mapping"},
		"min above max":                       {"pipeline.yaml", "{min: 1}", "{min: 2, max: 1}", "min is greater than max"},
		"two checks of one name":              {"pipeline.yaml", "- not_null: [order_id]", "- not_null: [order_id]\n      - not_null: [order_id]", "another check is named not_null(order_id)"},
		"all rows may fail":                   {"pipeline.yaml", "not_null: [order_id]", "not_null: {columns: [order_id], max_failing: 100%}", "all rows may fail"},
		"more than all rows may fail":         {"pipeline.yaml", "not_null: [order_id]", "not_null: {columns: [order_id], max_failing: 101%}", "must be at most 100%"},
		"a bare 5 for 5%":                     {"pipeline.yaml", "{min: 1}", "{vs_history: 5}", "write 5%"},
		"a number as text":                    {"pipeline.yaml", "{min: 1}", "{min: one}", "must be a number"},
		"an expression with a semicolon":      {"pipeline.yaml", "sql: sum(amount)", "sql: sum(amount);", "the SQL holds a semicolon"},
		"an expression that closes too much":  {"pipeline.yaml", "sql: sum(amount)", "sql: 1) FROM (SELECT 1", "the parenthesis closes nothing"},
		"an expression with a placeholder":    {"pipeline.yaml", "sql: sum(amount)", `sql: "sum(amount) + @partition"`, "a check has no placeholder @partition"},
		"a metric that no check defines":      {"pipeline.yaml", "watch:", "canary: {expect: {metrics: {revenu: 1%}}}\nwatch:", "canary.expect.metrics.revenu: no check defines the metric revenu; did you mean revenue?"},
		"a smoke of nothing":                  {"pipeline.yaml", "watch:", "smoke: {partitions: latest 0}\nwatch:", "must be latest N"},
		"a duration without unit":             {"pipeline.yaml", "for: 24h", "for: 24", "watch.for: must be a duration"},
		"a duration of nothing":               {"pipeline.yaml", "for: 24h", "for: 0s", "must be longer than nothing"},
		"a watch that ends too soon":          {"pipeline.yaml", "for: 24h", "for: 10m", "the watch would end before its first evaluation"},
		"a watch that cannot fail":            {"pipeline.yaml", "  freshness: 26h\n", "", "so it can never fail"},
		"a check whose name is a page":        {"pipeline.yaml", "name: revenue,", "name: " + strings.Repeat("n", 101) + ",", "longer than 100"},
		"a watch metric without limit":        {"pipeline.yaml", "  freshness: 26h\n", "  checks: [metric: {name: a, sql: select 1}]\n", "without a limit the check can never fail"},
		"tests that are not there":            {"pipeline.yaml", "watch:", "tests: checks/\nwatch:", "there is no test in checks"},
		"a glob that is none":                 {"pipeline.yaml", "watch:", "pack: {allow: ['a[']}\nwatch:", `"a[" is no glob`},

		"no SQL":                    {"dim_channel.sql", "SELECT DISTINCT channel FROM raw_channels", "-- raw_channels", "the file holds no SQL"},
		"another statement":         {"dim_channel.sql", "SELECT DISTINCT", "DELETE", "dim_channel.sql:1:1: the file is one SELECT"},
		"two statements":            {"dim_channel.sql", "raw_channels", "raw_channels;\nSELECT 2", "dim_channel.sql:2:1: a second statement begins"},
		"a parenthesis that closes": {"dim_channel.sql", "raw_channels", "raw_channels) x", "the parenthesis closes nothing"},
		"a parenthesis left open":   {"dim_channel.sql", "raw_channels", "(raw_channels", "the parenthesis is not closed"},
		"a string left open":        {"dim_channel.sql", "raw_channels", "raw_channels WHERE a = 'x", "the string does not end"},
		"a numbered parameter":      {"dim_channel.sql", "raw_channels", "raw_channels WHERE a = $1", "$1 is numbered by Drawbridge"},
		"a change inside WITH":      {"dim_channel.sql", "SELECT", "WITH x AS MATERIALIZED (DELETE FROM y RETURNING *) SELECT", "the SQL only reads"},
		"a change after WITH":       {"dim_channel.sql", "SELECT", "WITH x AS (SELECT 1) INSERT INTO y SELECT", "the SQL only reads"},

		"a test of no output":         {"tests/orders.yaml", "fct_orders", "fct_order", "tests/orders.yaml:7:3: expect.fct_order: no output is named fct_order; did you mean fct_orders?"},
		"a test that gives nothing":   {"tests/orders.yaml", "raw_orders", "raw_order", "no tested output reads raw_order; did you mean raw_orders?"},
		"a test without partition":    {"tests/orders.yaml", "partition: \"2026-01-01\"\n", "", "the key \"partition\" is missing"},
		"a test of no partition":      {"tests/orders.yaml", "2026-01-01", "2026-13-01", "not a key of grain day; Write the day as 2026-01-31."},
		"a test that expects nothing": {"tests/orders.yaml", "expect:\n  fct_orders:\n    - {order_id: 1}\n", "expect: {}\n", "expect: must not be empty"},
		"rows with different columns": {"tests/orders.yaml", "- {order_id: 1}", "- {order_id: 1}\n    - {amount: 1}", "expect.fct_orders[1]: the row has other columns than the first one: order_id"},
		"a number with leading zero":  {"tests/orders.yaml", `"007"`, "007", "a number must not begin with 0; quote it"},
		"a nested cell":               {"tests/orders.yaml", `"007"`, "[7]", "must be a single value"},

		"a password in the config":     {"config.dev.yaml", "etl@db", "etl:hunter2@db", "config.dev.yaml:1:12: warehouse: the password is written out"},
		"a reference that is none":     {"config.dev.yaml", "etl@db", "etl:${env:}@db", "warehouse: "},
		"a schema that is none":        {"config.dev.yaml", "shop_dev", "Shop", "must be a lower-case identifier"},
		"an override of watch checks":  {"config.dev.yaml", "warehouse_schema", "watch: {checks: []}\nwarehouse_schema", "watch.checks: unknown key"},
		"an override that cannot be":   {"config.dev.yaml", "warehouse_schema", "watch: {for: 1m}\nwarehouse_schema", "config.dev.yaml:2:8: watch: the watch would end before its first evaluation"},
		"a smoke override that is not": {"config.dev.yaml", "warehouse_schema", "smoke: {partitions: 2}\nwarehouse_schema", "must be latest N"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.Parse(edited(t, tc.file, tc.from, tc.to), "config.dev.yaml")
			require.ErrorContains(t, err, tc.want)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestAWatchOverrideNeedsAWatch(t *testing.T) {
	t.Parallel()
	files := edited(t, "pipeline.yaml", "watch:\n  for: 24h\n  every: 15m\n  freshness: 26h\n", "")
	p, err := pipeline.Parse(files, "")
	require.NoError(t, err)
	require.Zero(t, p.Watch)
	require.Zero(t, p.Config, "no config was selected")
	files["config.dev.yaml"] = append(files["config.dev.yaml"], "watch: {for: 1h}\n"...)
	_, err = pipeline.Parse(files, "")
	require.ErrorContains(t, err, "the pipeline has no watch to override")
}

func TestMissingFiles(t *testing.T) {
	t.Parallel()
	_, err := pipeline.Parse(map[string][]byte{}, "")
	require.ErrorContains(t, err, "pipeline.yaml: the file is missing")
	_, err = pipeline.Parse(shopFolder(), "config.prod.yaml")
	require.ErrorContains(t, err, "config.prod.yaml: the folder has no such config; did you mean config.dev.yaml?")
	files := shopFolder()
	files["pipeline.yaml"] = []byte("# nothing\n")
	_, err = pipeline.Parse(files, "")
	require.ErrorContains(t, err, "pipeline.yaml:1:1: the file is empty")
	files = shopFolder()
	files["config.dev-build.yaml"] = files["config.dev.yaml"]
	_, err = pipeline.Parse(files, "")
	require.ErrorContains(t, err, "config.dev-build.yaml: the file name does not name an environment")
}

func TestTheDigestIsOfWhatIsSaid(t *testing.T) {
	t.Parallel()
	one, err := pipeline.Parse(shopFolder(), "config.dev.yaml")
	require.NoError(t, err)
	respelled := edited(t, "pipeline.yaml", "name: shop\nversion: 1.0.0\nowner: sales", "# the shop\nowner: 'sales'\nname:   shop\nversion: \"1.0.0\"")
	two, err := pipeline.Parse(respelled, "")
	require.NoError(t, err)
	require.Equal(t, one.Digest(), two.Digest(), "neither spelling nor the selected config is part of it")
	require.Regexp(t, `^sha256:[0-9a-f]{64}$`, one.Digest())
	require.NotEqual(t, one.Config.Digest(), two.Config.Digest())
}

func FuzzParse(f *testing.F) {
	f.Add(shop, shopTest)
	f.Add("a: [", "? b\n: c")
	f.Fuzz(func(t *testing.T, main, test string) {
		files := shopFolder()
		files["pipeline.yaml"], files["tests/orders.yaml"] = []byte(main), []byte(test)
		p, err := pipeline.Parse(files, "config.dev.yaml")
		if err != nil {
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			return
		}
		require.NotEmpty(t, p.Digest())
	})
}
