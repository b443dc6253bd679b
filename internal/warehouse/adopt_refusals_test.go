package warehouse_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/adoption"
	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
)

func TestWhatAnOutputCannotKeepIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ sql, named string }{
		"a foreign key of others":       {`CREATE TABLE lines (o bigint REFERENCES fct_orders)`, "lines_o_fkey of lines"},
		"a materialized view":           {`CREATE MATERIALIZED VIEW mat AS SELECT count(*) FROM fct_orders`, "materialized view mat"},
		"a function of BEGIN ATOMIC":    {`CREATE FUNCTION bound() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM fct_orders; END`, "function bound()"},
		"an identity column":            {`ALTER TABLE fct_orders ADD COLUMN n int GENERATED ALWAYS AS IDENTITY`, "column n is an identity"},
		"a generated column":            {`ALTER TABLE fct_orders ADD COLUMN twice numeric GENERATED ALWAYS AS (amount * 2) STORED`, "column twice is generated"},
		"a trigger for statements":      {`CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER audit AFTER INSERT ON fct_orders EXECUTE FUNCTION nothing()`, "trigger audit"},
		"a trigger for rows":            {`CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER each AFTER INSERT ON fct_orders FOR EACH ROW EXECUTE FUNCTION nothing()`, `trigger each`},
		"a rule":                        {`CREATE RULE quiet AS ON DELETE TO fct_orders DO INSTEAD NOTHING`, "rule quiet"},
		"an exclusion constraint":       {`ALTER TABLE fct_orders ADD CONSTRAINT apart EXCLUDE USING btree (order_id WITH =)`, "exclusion constraint apart"},
		"inheritance":                   {`CREATE TABLE more () INHERITS (fct_orders)`, "it and more inherit"},
		"a table without a log":         {`ALTER TABLE fct_orders SET UNLOGGED`, "unlogged"},
		"row security of its owner":     {`ALTER TABLE fct_orders FORCE ROW LEVEL SECURITY`, "row security is forced"},
		"a function of its row type":    {`CREATE FUNCTION cheap(o fct_orders) RETURNS boolean LANGUAGE sql AS 'SELECT $1.amount < 1'`, "cheap("},
		"a view of its row type":        {`CREATE VIEW rows AS SELECT o FROM fct_orders o`, "row type"},
		"a view that groups by a key":   {`CREATE VIEW keyed AS SELECT order_id, channel FROM fct_orders GROUP BY order_id`, "keyed groups by its primary key"},
		"a rule of another table":       {`CREATE TABLE other (n int); CREATE RULE also AS ON INSERT TO other DO ALSO SELECT count(*) FROM fct_orders`, "rule also"},
		"a policy of another table":     {`CREATE TABLE other (n int); CREATE POLICY p ON other USING (n IN (SELECT order_id FROM fct_orders))`, "policy p of other"},
		"a policy that reads the table": {`CREATE POLICY own ON fct_orders USING (order_id IN (SELECT o.order_id FROM fct_orders o))`, "policy own selects"},
		"a foreign key that cascades":   {`CREATE TABLE channels (c text PRIMARY KEY); INSERT INTO channels VALUES ('web'); ALTER TABLE fct_orders ADD CONSTRAINT known FOREIGN KEY (channel) REFERENCES channels ON DELETE CASCADE`, "foreign key known"},
		"a table that was partitioned":  {`DROP TABLE fct_orders CASCADE; CREATE TABLE fct_orders (order_id bigint, order_date date) PARTITION BY RANGE (order_date)`, "partitioned already"},
		"a view of that name":           {`ALTER TABLE fct_orders RENAME TO t; CREATE VIEW fct_orders AS SELECT * FROM t`, "it is a view"},
		"a table without the column":    {`ALTER TABLE fct_orders RENAME COLUMN order_date TO day`, `no column "order_date"`},
		"a column of another type":      {`DROP VIEW total, daily; ALTER TABLE fct_orders ALTER COLUMN order_date TYPE text`, "is text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := keeping(t, 10)
			b.exec(t, c.sql)
			before := b.dump(t)
			plan, err := b.PlanAdoption(t.Context(), ranged(), adoption.Ask{Output: "fct_orders"})
			require.NoError(t, err)
			require.Contains(t, strings.ReplaceAll(plan.Refused(), b.db.Schema+".", ""), c.named)
			require.NotEmpty(t, plan.Remedy())
			_, err = b.ProveAdoption(t.Context(), ranged(), b.adopting(""), patiently)
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
			_, err = b.Adopt(t.Context(), ranged(), b.adopting(""), patiently)
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
			require.Equal(t, before, b.dump(t))
		})
	}
}

func TestRowsThatBreakWhatAnOutputPromisesAreCounted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql, says string
		p         *pipeline.Pipeline
	}{
		"without a day":    {`ALTER TABLE fct_orders ALTER COLUMN order_date DROP NOT NULL; UPDATE fct_orders SET order_date = NULL WHERE order_id <= 3`, "3 rows", ranged()},
		"without a key":    {`ALTER TABLE fct_orders DROP CONSTRAINT fct_orders_pkey, ALTER COLUMN order_id DROP NOT NULL; UPDATE fct_orders SET order_id = NULL WHERE order_id <= 2`, "2 rows", whole()},
		"with a key twice": {`ALTER TABLE fct_orders DROP CONSTRAINT fct_orders_pkey; UPDATE fct_orders SET order_id = 1 WHERE order_id = 2`, "distinct values 1, rows 2", whole()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := keeping(t, 100)
			b.exec(t, c.sql)
			before := b.dump(t)
			_, err := b.ProveAdoption(t.Context(), c.p, b.adopting(""), patiently)
			require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			b.giveBackRest(t)
			require.Equal(t, before, b.dump(t), "nothing is left of the try")
		})
	}
}

// giveBackRest drops what an adoption that was not done has left, where it has left something.
func (b *bundle) giveBackRest(t *testing.T) {
	t.Helper()
	_, err := b.ReleaseTable(t.Context(), b.adopting(""), patiently)
	if err != nil {
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, "not adopted")
	}
}

func TestATableIsAdoptedOnlyWhereNobodyElseIsInTheWay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		does func(t *testing.T, b *bundle)
		says string
	}{
		"the environment is on hold": {func(t *testing.T, b *bundle) {
			t.Helper()
			_, err := b.Hold(t.Context(), anew("hold/prod/x"), "ann", "quarter end")
			require.NoError(t, err)
		}, "quarter end"},
		"a deployment crosses": {func(t *testing.T, b *bundle) {
			t.Helper()
			b.cross(t, "1.0.0")
		}, "crosses"},
		"the ledger is another environment's": {func(t *testing.T, b *bundle) {
			t.Helper()
			_, err := b.Hold(t.Context(), anew("hold/staging/x", "staging"), "ann", "quarter end")
			require.NoError(t, err)
		}, "staging"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := keeping(t, 10)
			c.does(t, b)
			before := b.dump(t)
			_, err := b.ProveAdoption(t.Context(), ranged(), b.adopting(""), patiently)
			require.NotEmpty(t, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.says)
			require.Equal(t, before, b.dump(t))
		})
	}
}

func TestATableWithALegacyPartitionIsNotMigrated(t *testing.T) {
	t.Parallel()
	b := keeping(t, 10)
	b.adopt(t, ranged(), "")
	_, err := b.DescribeTable(t.Context(), "fct_orders", nil)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "legacy partition")
}
