package alter_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// changing is a migration of the table customers by one operation.
func changing(name string, o migrate.Operation) migrate.Migration {
	return migrate.Migration{Name: name, Table: "customers", Why: "x", Operations: []migrate.Operation{o}}
}

// refused tells what a step was refused for.
func (b *bundle) refused(t *testing.T, p migrate.Plan, id string) error {
	t.Helper()
	_, err := b.DoStep(t.Context(), b.spec(p, id), beat)
	require.Error(t, err)
	require.NotEmpty(t, fault.HintOf(err))
	return err
}

func TestATableIsKeptUnderAnotherNameUntilItGoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 100)
	was, before := b.one(t, `SELECT 'customers'::regclass::oid`), b.like(t, "customers")
	p := b.planned(t, changing("0001_channel", migrate.Operation{Kind: migrate.DropTable}))
	b.begin(t, p)
	b.phase(t, p, migrate.Switch)
	_, err := b.db.Pool.Exec(t.Context(), `SELECT FROM customers`)
	require.ErrorContains(t, err, "does not exist", "whoever reads it gets an error")
	b.phase(t, p, migrate.Deprecating)
	require.Empty(t, b.unready(t, p))
	require.NoError(t, b.back(t, p))
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
	require.Equal(t, was, b.one(t, `SELECT 'customers'::regclass::oid`))
	require.Equal(t, before, b.like(t, "customers"), "everything of it was kept")
	require.Equal(t, "100", b.one(t, `SELECT count(*) FROM customers`))

	b.owner = start()
	b.begin(t, p)
	for _, phase := range []migrate.Phase{migrate.Switch, migrate.Deprecating} {
		b.phase(t, p, phase)
	}
	later := changing("0002_later", migrate.Operation{Kind: migrate.DropColumn, Column: "note"})
	later.Table = "customers__dropped_0001"
	_, err = b.computed(t, later)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "what is hidden is changed by nobody else: %v", err)
	require.ErrorContains(t, err, "customers__dropped_0001 is being migrated by "+b.owner.Workflow())
	b.db.Exec(t, `CREATE TABLE customers (id int)`) // the name is free for another one
	b.db.Exec(t, `CREATE VIEW late AS SELECT count(*) FROM customers__dropped_0001`)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	err = b.refused(t, p, "contract-drop-table-customers")
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.ErrorContains(t, err, "late", "who depends on it is named")
	b.db.Exec(t, `DROP VIEW late`)
	b.step(t, p, "contract-drop-table-customers")
	require.Equal(t, "true", b.one(t, `SELECT to_regclass($1) IS NULL`, b.db.Schema+".customers__dropped_0001"))
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM customers`), "the other one stays")
	b.db.Exec(t, `DROP TABLE customers`)
	b.step(t, p, "contract-drop-table-customers")
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
}

func TestATableIsReadAndWrittenByBothNamesUntilTheOldOneGoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 100)
	b.db.Exec(t, `GRANT SELECT, INSERT ON customers TO PUBLIC`)
	was, before := b.one(t, `SELECT 'customers'::regclass::oid`), b.like(t, "customers")
	p := b.planned(t, changing("0001_channel", migrate.Operation{Kind: migrate.RenameTable, To: "clients"}))
	b.begin(t, p)
	b.phase(t, p, migrate.Switch)
	for _, name := range []string{"customers", "clients"} {
		b.db.Exec(t, `INSERT INTO `+name+` (id, web) VALUES (1000, true) ON CONFLICT (id) DO NOTHING`)
		b.db.Exec(t, `UPDATE `+name+` SET qty = qty + 1 WHERE id = 1000`)
		b.db.Exec(t, `SELECT FROM `+name+` WHERE id = 1000 FOR UPDATE`)
		b.db.Exec(t, `DELETE FROM `+name+` WHERE id = 1000`)
		require.Equal(t, "100", b.one(t, `SELECT count(*) FROM `+name))
	}
	for _, refused := range []string{`TRUNCATE customers`, `COPY customers TO STDOUT`, `COPY customers FROM STDIN`, `INSERT INTO customers (id, web) VALUES (1, true) ON CONFLICT ON CONSTRAINT customers_pkey DO NOTHING`} {
		_, err := b.db.Pool.Exec(t.Context(), refused)
		require.ErrorContains(t, err, `"customers"`, "the docs and the plan warn of it: %s", refused)
	}
	require.Equal(t, "INSERT,SELECT", b.one(t, `SELECT string_agg(r.privilege_type, ',' ORDER BY 1) FROM pg_class, aclexplode(relacl) r WHERE oid = 'customers'::regclass AND r.grantee = 0`))
	d, err := b.DescribeTable(t.Context(), "clients", nil)
	require.NoError(t, err)
	require.Equal(t, b.owner.Workflow(), d.Open, "nobody else changes it by its new name")

	b.db.Exec(t, `CREATE VIEW late AS SELECT id FROM customers`)
	err = b.back(t, p)
	require.ErrorContains(t, err, "the view "+b.db.Schema+".late reads customers")
	b.db.Exec(t, `DROP VIEW late`)
	require.NoError(t, b.back(t, p))
	require.Equal(t, was, b.one(t, `SELECT 'customers'::regclass::oid`))
	require.Equal(t, before, b.like(t, "customers"))

	b.owner = start()
	b.begin(t, p)
	b.phase(t, p, migrate.Switch)
	b.phase(t, p, migrate.Deprecating)
	b.db.Exec(t, `CREATE VIEW late AS SELECT id FROM customers`)
	readers, err := b.ReadersOf(t.Context(), "customers", nil)
	require.NoError(t, err)
	require.Equal(t, []migrate.Reader{{Column: "customers", Kind: "view", Name: b.db.Schema + ".late", Owner: readers[0].Owner}}, readers[:1])
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	require.ErrorContains(t, b.refused(t, p, "contract-drop-view-customers"), "late reads customers")
	b.db.Exec(t, `DROP VIEW late`)
	b.step(t, p, "contract-drop-view-customers")
	require.Equal(t, was, b.one(t, `SELECT 'clients'::regclass::oid`))
	require.Equal(t, "true", b.one(t, `SELECT to_regclass($1) IS NULL`, b.db.Schema+".customers"))
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
}

func TestReadersOfAWholeTableAreFoundHoweverTheyReadIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 10)
	for _, sql := range []string{
		`CREATE VIEW counted AS SELECT count(*) AS n FROM customers`,
		`CREATE MATERIALIZED VIEW kept AS SELECT n FROM counted`,
		`CREATE TABLE orders (customer bigint CONSTRAINT of_customer REFERENCES customers)`,
		`CREATE FUNCTION guessed() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(*) FROM Customers); END'`,
		`CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
		`CREATE TRIGGER own BEFORE UPDATE OF note ON customers FOR EACH ROW EXECUTE FUNCTION touched()`,
		`CREATE POLICY own ON customers USING (id > 0)`,
	} {
		b.db.Exec(t, sql)
	}
	readers, err := b.ReadersOf(t.Context(), "customers", nil)
	require.NoError(t, err)
	var found []string
	for _, r := range readers {
		require.Equal(t, "customers", r.Column)
		name := strings.ReplaceAll(r.Name, b.db.Schema+".", "")
		if r.Guessed && !strings.Contains(r.Name, b.db.Schema) {
			continue // other tests of the server have functions too
		}
		found = append(found, fmt.Sprintf("%s %s %t", r.Kind, name, r.Guessed))
	}
	require.Equal(t, []string{
		"foreign key of_customer of orders false", "materialized view kept false", "view counted false", "function guessed() true",
	}, found, "what belongs to the table goes with it")
}

func TestAViewHasTheRightsOfItsTableAndIsOfWhoeverAsks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 10)
	b.db.Exec(t, `GRANT SELECT, INSERT, TRUNCATE ON customers TO PUBLIC`)
	p := b.planned(t, changing("0001_channel", migrate.Operation{Kind: migrate.CreateView, Name: "customers_v1", Columns: []string{"id", "web", "amount AS total"}, Where: "web"}))
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	require.Equal(t, "5", b.one(t, `SELECT count(total) FROM customers_v1`))
	b.db.Exec(t, `INSERT INTO customers_v1 (id, web, total) VALUES (100, true, 7) ON CONFLICT (id) DO NOTHING`)
	require.Equal(t, "7.00", b.one(t, `SELECT amount FROM customers WHERE id = 100`), "writes reach the table, with its defaults")
	require.Equal(t, "INSERT,SELECT", b.one(t, `SELECT string_agg(r.privilege_type, ',' ORDER BY 1) FROM pg_class, aclexplode(relacl) r WHERE oid = 'customers_v1'::regclass AND r.grantee = 0`))
	require.Equal(t, "total SELECT", b.one(t, `SELECT string_agg(attname || ' ' || r.privilege_type, ',') FROM pg_attribute, aclexplode(attacl) r WHERE attrelid = 'customers_v1'::regclass`),
		"what is shown of a column's own rights")
	require.Equal(t, b.one(t, `SELECT (current_setting('server_version_num')::int >= 150000)`), b.one(t, `SELECT coalesce(reloptions @> ARRAY['security_invoker=true'], false) FROM pg_class WHERE oid = 'customers_v1'::regclass`))
	b.db.Exec(t, `CREATE VIEW over AS SELECT * FROM customers_v1`)
	require.ErrorContains(t, b.back(t, p), "cannot be taken back")
	b.db.Exec(t, `DROP VIEW over`)
	require.NoError(t, b.back(t, p))
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
}

func TestSomethingOfANameThatIsThereIsNotTakenForOnesOwn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 10)
	p := b.planned(t, changing("0001_channel", migrate.Operation{Kind: migrate.CreateView, Name: "customers_v1", Columns: []string{"id"}}))
	b.run(t, migrate.Instant, p.Steps[0].Act)
	_, err := b.BeginMigration(t.Context(), migrate.Entry{Plan: p, Digest: migrate.Digest(p), By: "ann", Reason: "x"}, b.key())
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "is there already, or something of its name")
	list, err := b.Migrations(t.Context(), "shop")
	require.NoError(t, err)
	require.Empty(t, list, "it has not begun")
}

// own is SQL of an author's own about the table; what a reader of files would refuse is let through.
func own(act, undo, probe, locks string) migrate.Operation {
	return migrate.Operation{Kind: migrate.SQL, Name: "own", Act: []string{act}, Undo: []string{undo}, Probe: probe, Locks: locks}
}

const sampled = "SELECT attstattarget = 500 FROM pg_attribute WHERE attrelid = @table_oid AND attname = 'code'"

func TestSQLOfOnesOwnIsDoneAndUndone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 10)
	lower := own("CREATE INDEX CONCURRENTLY customers_lower ON @table (lower(note))", "DROP INDEX CONCURRENTLY @schema.customers_lower",
		"SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = @table_oid AND c.relname = 'customers_lower')", "")
	for i, o := range []migrate.Operation{
		own("ALTER TABLE @table ALTER COLUMN code SET STATISTICS 500", "ALTER TABLE @table ALTER COLUMN code SET STATISTICS -1", sampled, ""),
		own("ALTER TABLE @table ALTER COLUMN note SET STORAGE EXTERNAL", "ALTER TABLE @table ALTER COLUMN note SET STORAGE EXTENDED",
			"SELECT attstorage = 'e' FROM pg_attribute WHERE attrelid = @table_oid AND attname = 'note'", "ACCESS EXCLUSIVE"),
		lower,
	} {
		b.owner = start()
		before := b.like(t, "customers")
		p := b.planned(t, changing(fmt.Sprintf("000%d_own", i+1), o))
		b.begin(t, p)
		b.phase(t, p, migrate.Expand)
		require.NotEqual(t, before, b.like(t, "customers"))
		require.NoError(t, b.back(t, p))
		require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
		require.Equal(t, before, b.like(t, "customers"))
	}
}

func TestWhatSQLOfOnesOwnMayNotLockIsTakenBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 10)
	b.db.Exec(t, `CREATE TABLE other (id int PRIMARY KEY)`)
	b.db.Exec(t, `CREATE INDEX words ON customers USING gin (to_tsvector('simple', note))`)
	for act, want := range map[string]string{
		"ALTER TABLE @table ALTER COLUMN note SET STORAGE EXTERNAL, ALTER COLUMN code SET STATISTICS 500":           "a stronger lock on the table (AccessExclusiveLock) than it says (SHARE UPDATE EXCLUSIVE); they were taken back",
		"ALTER INDEX @schema.words SET (fastupdate = off); ALTER TABLE @table ALTER COLUMN code SET STATISTICS 500": "a stronger lock on " + b.db.Schema + ".words (AccessExclusiveLock) than it says (SHARE UPDATE EXCLUSIVE)",
		"ALTER TABLE @schema.other SET (fillfactor = 70); ALTER TABLE @table ALTER COLUMN code SET STATISTICS 500":  "its statements lock " + b.db.Schema + ".other",
		"ALTER INDEX @schema.other_pkey RENAME TO taken; ALTER TABLE @table ALTER COLUMN code SET STATISTICS 500":   "its statements lock " + b.db.Schema + ".taken",
		"DELETE FROM @schema.other; ALTER TABLE @table ALTER COLUMN code SET STATISTICS 500":                        "its statements lock " + b.db.Schema + ".other",
		"ALTER TABLE @table ALTER COLUMN code SET STATISTICS 400":                                                   "what is looked for is not as it has to be",
	} {
		b.owner = start()
		before := b.like(t, "customers")
		p := b.planned(t, changing("0001_own", own(act, "ALTER TABLE @table ALTER COLUMN code SET STATISTICS -1", sampled, "")))
		b.begin(t, p)
		require.ErrorContains(t, b.refused(t, p, "expand-sql-own"), want, act)
		require.Equal(t, before, b.like(t, "customers"), "nothing of it stays: %s", act)
		require.NoError(t, b.back(t, p))
		require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
	}
	require.Equal(t, "true", b.one(t, `SELECT to_regclass($1) IS NOT NULL AND (SELECT reloptions IS NULL FROM pg_class WHERE oid = 'other'::regclass)`, b.db.Schema+".other_pkey"))
}

func TestAProbeThatTheServerRefusesLetsNothingBegin(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.customers(t, 10)
	for _, probe := range []string{"SELECT relname FROM pg_class", "SELECT nothing FROM pg_class", "SELECT 1 = relpages FROM pg_class"} {
		p := b.planned(t, changing("0001_own", own("ANALYZE @table", "ANALYZE @table", probe, "")))
		_, err := b.BeginMigration(t.Context(), migrate.Entry{Plan: p, Digest: migrate.Digest(p), By: "ann", Reason: "x"}, b.key())
		require.Error(t, err, probe)
		require.NotEmpty(t, fault.ClassOf(err), "nobody tries it again: %v", err)
	}
}

func TestATableIsMadeAndTakenBackAsLongAsItIsEmpty(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := changing("0001_regions", migrate.Operation{Kind: migrate.CreateTable, Made: []migrate.MadeColumn{{Name: "id", Type: "int"}, {Name: "name", Type: "text", Required: true}}, Key: []string{"id"}})
	m.Table = "regions"
	p := b.planned(t, m)
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	b.db.Exec(t, `INSERT INTO regions VALUES (1, 'north')`)
	err := b.back(t, p)
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.ErrorContains(t, err, "there are rows in it")
	require.Equal(t, "1", b.one(t, `SELECT count(*) FROM regions`), "nothing is lost")
	b.db.Exec(t, `DELETE FROM regions`)
	b.db.Exec(t, `CREATE VIEW late AS SELECT FROM regions`)
	require.ErrorContains(t, b.back(t, p), "other objects depend on it")
	b.db.Exec(t, `DROP VIEW late`)
	require.NoError(t, b.back(t, p))
	require.Equal(t, "true", b.one(t, `SELECT to_regclass($1) IS NULL`, b.db.Schema+".regions"))

	b.owner = start()
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	d, err := b.DescribeTable(t.Context(), "regions", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"id"}, d.Key)
	_, err = migrate.Compute(migrate.Input{Migration: m, Release: releaseOf("1.0.0"), Environment: prod, Table: d})
	require.ErrorContains(t, err, "there is a table regions")
}
