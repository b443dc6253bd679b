package warehouse_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/adoption"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/testdb"
)

// keeping is a warehouse with a plain table fct_orders of some days, as others made it before there was a Drawbridge.
func keeping(t *testing.T, rows int) *bundle {
	t.Helper()
	b := setupEmpty(t)
	b.exec(t, fmt.Sprintf(`
		CREATE TABLE fct_orders (order_id bigint NOT NULL, order_date date NOT NULL, channel text, amount numeric(12,2), note text DEFAULT 'none');
		INSERT INTO fct_orders SELECT n, date '2026-01-01' + (n %% 31)::int, 'web', n %% 100, 'old' FROM generate_series(1, %d) AS n;
		ALTER TABLE fct_orders ADD CONSTRAINT fct_orders_pkey PRIMARY KEY (order_id);
		CREATE INDEX fct_orders_date ON fct_orders (order_date);
		COMMENT ON TABLE fct_orders IS 'orders of the shop';
		COMMENT ON COLUMN fct_orders.amount IS 'in euros';
		CREATE VIEW daily WITH (security_barrier = true) AS SELECT o.order_date AS day, sum(o.amount) AS amount, count(*) AS orders FROM fct_orders o GROUP BY o.order_date;
		CREATE VIEW total AS SELECT sum(orders) AS orders FROM daily;
		COMMENT ON VIEW daily IS 'by day';
		CREATE FUNCTION latest() RETURNS date LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT max(order_date) FROM %[2]s.fct_orders); END $$;
		CREATE FUNCTION orders_of(d date) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM %[2]s.fct_orders WHERE order_date = d $$`, rows, b.db.Schema))
	return b
}

func (b *bundle) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := b.db.Pool.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func (b *bundle) one(t *testing.T, sql string) string {
	t.Helper()
	var out string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), sql).Scan(&out))
	return out
}

// whole is shop with one partition.
func whole() *pipeline.Pipeline {
	p := shop()
	p.Partition = partition.Scheme{By: partition.All}
	p.Outputs[0].Partition = p.Partition
	p.Loads[0].File = "orders.csv"
	p.Outputs[0].SQL = `SELECT order_id, ordered_at::date AS order_date, channel, amount, 'new' AS note FROM raw_orders`
	return p
}

// ranged is shop with the columns of the table that was there before.
func ranged() *pipeline.Pipeline {
	p := shop()
	p.Outputs[0].SQL = `SELECT order_id, ordered_at::date AS order_date, channel, amount, 'new' AS note
		FROM raw_orders
		WHERE ordered_at >= @partition_start AND ordered_at < @partition_end`
	return p
}

func (b *bundle) adopting(until partition.Key) adoption.Spec {
	owner := workflow(fmt.Sprintf("adopt/shop/%d", b.keys.Add(1)))
	return adoption.Spec{
		Ask: adoption.Ask{Output: "fct_orders", Until: until}, Key: anew(owner), Release: releaseOf("1.0.0"), By: "ada", Reason: "it is ours now",
		Application: "drawbridge/test/adopt", LockBudget: 20 * time.Second,
	}
}

func patiently(time.Duration) {}

// adopt adopts the table, and requires that it went through.
func (b *bundle) adopt(t *testing.T, p *pipeline.Pipeline, until partition.Key) adoption.Result {
	t.Helper()
	spec := b.adopting(until)
	proved, err := b.ProveAdoption(t.Context(), p, spec, patiently)
	require.NoError(t, err)
	require.True(t, proved.Done, "%+v", proved)
	result, err := b.Adopt(t.Context(), p, spec, patiently)
	require.NoError(t, err)
	require.True(t, result.Done, "%+v", result)
	require.NoError(t, b.SumAdopted(t.Context(), "fct_orders"))
	return result
}

func (b *bundle) giveBack(t *testing.T) {
	t.Helper()
	result, err := b.ReleaseTable(t.Context(), b.adopting(""), patiently)
	require.NoError(t, err)
	require.True(t, result.Done, "%+v", result)
}

// seen is what readers see, in all the ways in which they look.
func (b *bundle) seen(t *testing.T) string {
	t.Helper()
	return b.one(t, `SELECT concat_ws(' ', (SELECT count(*) FROM fct_orders), (SELECT sum(amount) FROM fct_orders), (SELECT orders FROM total), latest(), orders_of('2026-01-05'), (SELECT count(*) FROM daily))`)
}

func TestAnAdoptedTableIsReadAsBefore(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]*pipeline.Pipeline{"of one partition": whole(), "of days": ranged()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := keeping(t, 1000)
			before, view := b.seen(t), b.one(t, `SELECT 'daily'::regclass::oid::text || obj_description('daily'::regclass) || (SELECT reloptions::text FROM pg_class WHERE oid = 'daily'::regclass)`)
			plan, err := b.PlanAdoption(t.Context(), p, adoption.Ask{Output: "fct_orders"})
			require.NoError(t, err)
			require.Empty(t, plan.Refusals)
			require.Equal(t, []string{b.db.Schema + ".daily"}, plan.Views)
			require.Equal(t, before, b.seen(t), "a plan changes nothing")
			file := b.one(t, `SELECT pg_relation_filenode('fct_orders')::text`)
			require.Equal(t, 1, b.adopt(t, p, "").Views)
			require.Equal(t, before, b.seen(t))
			require.Equal(t, view, b.one(t, `SELECT 'daily'::regclass::oid::text || obj_description('daily'::regclass) || (SELECT reloptions::text FROM pg_class WHERE oid = 'daily'::regclass)`),
				"the view is the same one")
			require.Equal(t, file, b.one(t, `SELECT pg_relation_filenode(inhrelid)::text FROM pg_inherits WHERE inhparent = 'fct_orders'::regclass`), "no row was copied")
			require.Equal(t, "orders of the shop in euros", b.one(t, `SELECT obj_description('fct_orders'::regclass) || ' ' || col_description('fct_orders'::regclass, 4)`))
			_, err = b.db.Pool.Exec(t.Context(), `INSERT INTO fct_orders (order_id, order_date) VALUES (-1, '2026-01-01')`)
			require.ErrorContains(t, err, "nobody writes it in place", "nobody writes an output")
			observed, err := b.Observe(t.Context(), p, header())
			require.NoError(t, err)
			require.Equal(t, generation.Managed, observed.Outputs[0].Kind)
			for _, problem := range observed.Problems {
				require.False(t, problem.Blocking, "%+v", problem)
			}
			b.adopt(t, p, "") // again is nothing
			require.Equal(t, before, b.seen(t))
		})
	}
}

func TestAnAdoptedTableOfOnePartitionIsPublishedOverAndComesBack(t *testing.T) {
	t.Parallel()
	b := keeping(t, 1000)
	p := whole()
	before := b.seen(t)
	b.adopt(t, p, "")
	b.cross(t, "1.0.0")
	b.files["orders.csv"] = "order_id,ordered_at,channel,amount\n1,2026-01-05 10:00:00+00,web,7\n2,2026-02-01 10:00:00+00,web,8\n"
	built := b.build(t, p, partition.AllKey)
	observed, err := b.Observe(t.Context(), p, header())
	require.NoError(t, err)
	require.Len(t, observed.Outputs[0].Live, 1)
	live := observed.Outputs[0].Live[0]
	require.EqualValues(t, 1000, live.Rows)
	require.NotEmpty(t, live.Checksum)
	require.Equal(t, adoption.Version, live.Release.Version)
	b.publish(t, swap(built.Generation, live.ID))
	require.Equal(t, "2 15.00 2 2026-02-01 1 2", b.seen(t), "views and functions read what is published")
	b.begins(t, rollback("nothing")).finish(t)
	require.Equal(t, before, b.seen(t), "where nothing was active before, the adopted rows were live")
	require.NoError(t, b.Verify(t.Context(), []int64{live.ID}, func() {}))
}

func TestAfterALegacyPartitionDaysArePublishedAsUsual(t *testing.T) {
	t.Parallel()
	b := keeping(t, 1000)
	p := ranged()
	b.adopt(t, p, "2026-02-10")
	b.cross(t, "1.0.0")
	for _, day := range []partition.Key{"2026-02-09", "2026-02-10", "2026-02-11", "2026-03-01"} {
		b.orders(day, 10, 1)
	}
	_, err := b.Build(t.Context(), b.spec(p, "2026-02-09"))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "legacy partition")
	var swaps []generation.Swap
	for _, day := range []partition.Key{"2026-02-10", "2026-02-11", "2026-03-01"} { // the first chunk begins within a month
		swaps = append(swaps, swap(b.build(t, p, day).Generation, 0))
	}
	b.publish(t, swaps...)
	require.Equal(t, "1030", b.one(t, `SELECT count(*)::text FROM fct_orders`))
	require.Equal(t, "2 chunks", b.one(t, `SELECT count(*) || ' chunks' FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE inhparent = 'fct_orders'::regclass AND relkind = 'p'`))
	_, err = b.ReleaseTable(t.Context(), b.adopting(""), patiently)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "3 generations")
	b.begins(t, rollback("nothing")).finish(t)
	require.Equal(t, "1000", b.one(t, `SELECT count(*)::text FROM fct_orders`), "the legacy partition stays")
	before := b.seen(t)
	b.giveBack(t)
	require.Equal(t, before, b.seen(t))
	b.exec(t, `INSERT INTO fct_orders (order_id, order_date) VALUES (-1, '2026-03-01')`)
}

// schema is what the catalog says of the tables of a schema, a line for each thing, as a dump would.
func (b *bundle) dump(t *testing.T) []string {
	t.Helper()
	rows, err := b.db.Pool.Query(t.Context(), `
		WITH c AS (SELECT c.* FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'S'))
		SELECT relname || ' is ' || CASE relkind WHEN 'p' THEN 'partitioned' WHEN 'r' THEN 'a table' WHEN 'v' THEN 'a view' ELSE relkind::text END FROM c
		UNION ALL SELECT relname || ' belongs to ' || pg_get_userbyid(relowner) FROM c
		UNION ALL SELECT relname || ' has settings ' || reloptions::text FROM c WHERE reloptions IS NOT NULL
		UNION ALL SELECT relname || ' grants ' || a.privilege_type || ' to ' || coalesce(r.rolname, 'public') || a.is_grantable::text
		  FROM c CROSS JOIN aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 'S' ELSE 'r' END::"char", relowner))) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee
		UNION ALL SELECT relname || '.' || attname || ' grants ' || a.privilege_type || ' to ' || coalesce(r.rolname, 'public')
		  FROM c JOIN pg_attribute t ON t.attrelid = c.oid CROSS JOIN aclexplode(t.attacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee
		UNION ALL SELECT relname || '.' || attname || ' ' || attnum || ' ' || format_type(atttypid, atttypmod) || ' ' || attnotnull || ' ' || attstorage::text || ' ' || coalesce(attstattarget, -1)
		  FROM c JOIN pg_attribute t ON t.attrelid = c.oid WHERE attnum > 0 AND NOT attisdropped
		UNION ALL SELECT relname || ' default ' || pg_get_expr(adbin, adrelid) FROM c JOIN pg_attrdef d ON d.adrelid = c.oid
		UNION ALL SELECT relname || ' constraint ' || conname || ' ' || pg_get_constraintdef(k.oid) FROM c JOIN pg_constraint k ON k.conrelid = c.oid
		UNION ALL SELECT relname || ' ' || pg_get_indexdef(indexrelid) FROM c JOIN pg_index i ON i.indrelid = c.oid
		UNION ALL SELECT relname || ' trigger ' || tgname FROM c JOIN pg_trigger g ON g.tgrelid = c.oid AND NOT tgisinternal
		UNION ALL SELECT relname || ' policy ' || polname || ' ' || polcmd::text || polpermissive::text || coalesce(pg_get_expr(polqual, polrelid), '') FROM c JOIN pg_policy p ON p.polrelid = c.oid
		UNION ALL SELECT relname || ' row security ' || relrowsecurity FROM c WHERE relkind IN ('r', 'p')
		UNION ALL SELECT relname || ' comment ' || description FROM c JOIN pg_description d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass
		UNION ALL SELECT relname || ' reads ' || pg_get_viewdef(oid) FROM c WHERE relkind = 'v'
		ORDER BY 1`, b.db.Schema)
	require.NoError(t, err)
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return lines
}

func without(lines, others []string) []string {
	return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return slices.Contains(others, line) })
}

func TestAnAdoptedTableDiffersInWhatThePlanNamesAndIsGivenBackAsItWas(t *testing.T) {
	t.Parallel()
	b := keeping(t, 100)
	p := ranged()
	role := b.reader(t)
	b.exec(t, fmt.Sprintf(`
		CREATE TABLE allowed (n text);
		GRANT SELECT, INSERT ON fct_orders TO %[1]s;
		GRANT UPDATE (note) ON fct_orders TO %[1]s WITH GRANT OPTION;
		GRANT SELECT (order_id) ON fct_orders TO PUBLIC;
		ALTER TABLE fct_orders ENABLE ROW LEVEL SECURITY;
		CREATE POLICY web ON fct_orders FOR SELECT TO %[1]s USING (channel = 'web' AND note IN (SELECT n FROM allowed));
		CREATE POLICY strict ON fct_orders AS RESTRICTIVE TO %[1]s USING (amount < 1000) WITH CHECK (amount > 0);
		ALTER TABLE fct_orders ALTER COLUMN channel SET STATISTICS 500;
		ALTER TABLE fct_orders ALTER COLUMN note SET STORAGE EXTERNAL;
		ALTER TABLE fct_orders SET (fillfactor = 80);
		ALTER TABLE fct_orders ADD CONSTRAINT positive CHECK (amount >= 0)`, role))
	before := b.dump(t)
	b.adopt(t, p, "")
	adopted := b.dump(t)
	require.Equal(t, []string{
		"fct_orders CREATE INDEX fct_orders_date ON " + b.db.Schema + ".fct_orders USING btree (order_date)",
		"fct_orders CREATE UNIQUE INDEX fct_orders_pkey ON " + b.db.Schema + ".fct_orders USING btree (order_id)",
		"fct_orders constraint fct_orders_pkey PRIMARY KEY (order_id)",
		"fct_orders constraint positive CHECK ((amount >= (0)::numeric))",
		"fct_orders default 'none'::text",
		"fct_orders has settings {fillfactor=80}",
		"fct_orders is a table",
	}, without(before, adopted), "what goes is what the plan says that stays with the rows")
	require.Equal(t, []string{"fct_orders is partitioned"}, without(adopted, before))
	b.giveBack(t)
	require.Equal(t, before, b.dump(t))
}

// reader is a role of this test alone, which the test's own may become.
func (b *bundle) reader(t *testing.T) string {
	t.Helper()
	superuser, role := testdb.Superuser(t), b.db.Schema+"_reader"
	admin := func(ctx context.Context, sql string) {
		conn, err := pgx.Connect(ctx, onDatabase(t, superuser, b.db.URL))
		require.NoError(t, err)
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, sql)
		require.NoError(t, err)
	}
	admin(t.Context(), fmt.Sprintf("CREATE ROLE %s; GRANT %[1]s TO %s", role, b.one(t, `SELECT quote_ident(current_user)`)))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		admin(ctx, "DROP OWNED BY "+role+" CASCADE; DROP ROLE "+role)
	})
	b.exec(t, fmt.Sprintf("GRANT USAGE ON SCHEMA %s TO %s", b.db.Schema, role))
	return role
}

func TestALegacyPartitionThatWasDetachedByHandIsNamedWithTheStatementThatAttachesIt(t *testing.T) {
	t.Parallel()
	b := keeping(t, 100)
	b.adopt(t, ranged(), "")
	before := b.seen(t)
	b.exec(t, fmt.Sprintf(`ALTER TABLE fct_orders DETACH PARTITION %s__data.legacy_fct_orders`, b.db.Schema))
	unseen, err := b.Unseen(t.Context(), "shop")
	require.NoError(t, err)
	require.Len(t, unseen.Lines, 1)
	_, statement, ok := strings.Cut(unseen.Lines[0].Remedy, ": ")
	require.True(t, ok, unseen.Lines[0].Remedy)
	b.exec(t, statement)
	require.Equal(t, before, b.seen(t))
	unseen, err = b.Unseen(t.Context(), "shop")
	require.NoError(t, err)
	require.Empty(t, unseen.Lines)
}

// What a check would have found without a workflow counts the legacy partition too.
func TestACounterfactualHasTheLegacyPartition(t *testing.T) {
	t.Parallel()
	b := keeping(t, 100)
	p := ranged()
	b.adopt(t, p, "")
	b.cross(t, "1.0.0")
	b.orders("2026-02-01", 10, 1)
	b.publish(t, swap(b.build(t, p, "2026-02-01").Generation, 0))
	most := 1000.0
	without, err := b.MeasureWithout(t.Context(), check.Metric{Name: "orders", Severity: check.Fail, Max: &most, SQL: "SELECT count(*) FROM fct_orders"}, string(b.owner), true)
	require.NoError(t, err)
	require.Empty(t, without.Why)
	require.InDelta(t, 100, without.Value, 0)
}

// A table and its view that belong to other roles stay theirs, and what is published on it belongs to the table's owner.
func TestAnAdoptedTableStaysItsOwners(t *testing.T) {
	t.Parallel()
	b := keeping(t, 100)
	p := whole()
	role := b.reader(t)
	lacks, err := b.PlanAdoption(t.Context(), p, adoption.Ask{Output: "fct_orders"})
	require.NoError(t, err)
	require.Empty(t, lacks.Refusals)
	b.exec(t, fmt.Sprintf(`
		GRANT CREATE ON SCHEMA %[1]s TO %[2]s;
		ALTER TABLE fct_orders OWNER TO %[2]s;
		ALTER VIEW daily OWNER TO %[2]s`, b.db.Schema, role))
	lacks, err = b.PlanAdoption(t.Context(), p, adoption.Ask{Output: "fct_orders"})
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("GRANT CREATE ON SCHEMA %s__data TO %s", b.db.Schema, role), lacks.Remedy(), "what is missing is said as it is typed")
	b.exec(t, lacks.Remedy())
	before := b.dump(t)
	b.adopt(t, p, "")
	b.cross(t, "1.0.0")
	b.files["orders.csv"] = "order_id,ordered_at,channel,amount\n1,2026-01-05 10:00:00+00,web,7\n"
	b.publish(t, swap(b.build(t, p, partition.AllKey).Generation, b.adopted(t)))
	require.Equal(t, role+" "+role+" "+role, b.one(t, `
		SELECT pg_get_userbyid(p.relowner) || ' ' || pg_get_userbyid(c.relowner) || ' ' || (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'daily'::regclass)
		FROM pg_class p
		JOIN pg_inherits i ON i.inhparent = p.oid
		JOIN pg_class c ON c.oid = i.inhrelid
		WHERE p.oid = 'fct_orders'::regclass`))
	require.Equal(t, "1", b.one(t, `SELECT orders::text FROM total`))
	b.begins(t, rollback("nothing")).finish(t)
	b.giveBack(t)
	require.Equal(t, before, b.dump(t))
}

// adopted is the generation that is live of the output that is one partition.
func (b *bundle) adopted(t *testing.T) int64 {
	t.Helper()
	var id int64
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), fmt.Sprintf(`SELECT generation FROM %s__ledger.live WHERE output = 'fct_orders' AND partition = 'all'`, b.db.Schema)).Scan(&id))
	return id
}
