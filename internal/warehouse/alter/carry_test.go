package alter_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/testdb"
)

// laden makes a table whose columns have all that is carried over to others.
func (b *bundle) laden(t *testing.T) {
	t.Helper()
	for _, sql := range []string{
		`CREATE TABLE customers (
			id bigint PRIMARY KEY, k int, name text, note text NOT NULL, amount numeric(12,2) NOT NULL DEFAULT 0, qty int,
			CONSTRAINT amount_positive CHECK (amount >= 0), CONSTRAINT "note; is one" CHECK (note <> '' AND note <> name) NO INHERIT, CONSTRAINT qty_small CHECK (qty < 1000))`,
		`INSERT INTO customers SELECT i, i % 7, 'name ' || i, 'Note ' || i, i / 7.0, i FROM generate_series(1, 200) i`,
		`ALTER TABLE customers ADD CONSTRAINT amount_small CHECK (amount < 10000) NOT VALID`,
		`CREATE INDEX customers_order ON customers (amount DESC NULLS LAST, k)`,
		`CREATE INDEX customers_lower ON customers (lower(note), (amount + qty) DESC)`,
		`CREATE INDEX customers_include ON customers (amount) INCLUDE (name, note)`,
		`CREATE INDEX customers_pattern ON customers (note text_pattern_ops, qty NULLS FIRST)`,
		`CREATE INDEX "customers' partial" ON customers (k) WHERE note <> 'x' AND qty > 0`,
		`CREATE UNIQUE INDEX customers_unique ON customers (note, qty)`,
		`CREATE INDEX customers_params ON customers USING gist (numrange(qty, 5000)) WITH (fillfactor = 70)`,
		`CREATE INDEX customers_collated ON customers (note COLLATE "C" DESC)`,
		`CREATE INDEX customers_hash ON customers USING hash (note)`,
		`CREATE INDEX customers_brin ON customers USING brin (amount) WITH (pages_per_range = 16)`,
		`CREATE INDEX customers_words ON customers USING gin (to_tsvector('english', note))`,
		`CREATE INDEX customers_apart ON customers (k, name)`,
		`CREATE INDEX customers_with_a_name_that_has_all_the_letters_that_postgres_keeps ON customers (qty)`,
		`COMMENT ON INDEX customers_order IS 'what''s due'`,
		`COMMENT ON CONSTRAINT amount_positive ON customers IS 'no debts'`,
		`CREATE STATISTICS customers_both (dependencies, mcv) ON note, k, amount FROM customers`,
		`CREATE STATISTICS "customers' lower" ON (lower(note)), qty FROM customers`,
		`ALTER STATISTICS customers_both SET STATISTICS 500`,
		`COMMENT ON STATISTICS customers_both IS 'they go together'`,
		`ALTER TABLE customers ALTER note SET STORAGE EXTERNAL, ALTER note SET COMPRESSION pglz, ALTER note SET STATISTICS 300, ALTER note SET (n_distinct = -0.5, n_distinct_inherited = 7)`,
		`ALTER TABLE customers ALTER amount SET STATISTICS 0, ALTER qty SET (n_distinct = 3)`,
		`GRANT SELECT (note, amount), REFERENCES (qty) ON customers TO PUBLIC`,
		`GRANT UPDATE (note), INSERT (note, qty) ON customers TO pg_read_all_data WITH GRANT OPTION`,
		`COMMENT ON COLUMN customers.note IS 'what they say'`,
		`ALTER TABLE customers ADD CONSTRAINT "customers' once" UNIQUE (note, k) INCLUDE (qty) WITH (fillfactor = 80)`,
		`COMMENT ON CONSTRAINT "customers' once" ON customers IS 'once''s enough'`,
		`COMMENT ON INDEX "customers' once" IS 'it''s theirs'`,
		`ALTER TABLE customers ADD CONSTRAINT customers_told UNIQUE (note, id)`,
		`ALTER TABLE customers REPLICA IDENTITY USING INDEX customers_told`,
		`CREATE SEQUENCE customers_numbers OWNED BY customers.note`,
		`ALTER TABLE customers ALTER note SET DEFAULT 'x' || nextval('customers_numbers')`,
		`CREATE TABLE IF NOT EXISTS notes (note text PRIMARY KEY, amount numeric UNIQUE, qty numeric, UNIQUE (qty, note))`,
		`INSERT INTO notes SELECT note, amount, qty FROM customers ON CONFLICT DO NOTHING`,
		`ALTER TABLE customers ADD CONSTRAINT customers_noted FOREIGN KEY (note) REFERENCES notes ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED`,
		`ALTER TABLE customers ADD CONSTRAINT customers_both_noted FOREIGN KEY (note, qty) REFERENCES notes (note, qty) MATCH FULL ON DELETE SET NULL NOT VALID`,
		`ALTER TABLE customers ADD CONSTRAINT customers_due FOREIGN KEY (amount) REFERENCES notes (amount)`,
		`COMMENT ON CONSTRAINT customers_noted ON customers IS 'it''s noted'`,
	} {
		b.db.Exec(t, sql)
	}
	if b.since(t, 15) {
		b.db.Exec(t, `CREATE UNIQUE INDEX customers_nulls ON customers (qty, note, id) NULLS NOT DISTINCT`)
	}
}

// ladenCase is a migration of such a table, and the plain SQL that comes to the same.
type ladenCase struct {
	operations []migrate.Operation
	plain      []string
}

func ladenCases() map[string]ladenCase {
	note := migrate.Operation{Kind: migrate.RenameColumn, Column: "note", To: "what she said"}
	return map[string]ladenCase{
		"a column gets another name": {[]migrate.Operation{note}, []string{`ALTER TABLE customers RENAME note TO "what she said"`}},
		"a key gets another name":    {[]migrate.Operation{{Kind: migrate.RenameColumn, Column: "id", To: "Number"}}, []string{`ALTER TABLE customers RENAME id TO "Number"`}},
		"a key gets another type": {
			[]migrate.Operation{{Kind: migrate.ChangeType, Column: "id", To: "numeric", Up: "id", Down: "id::bigint"}}, []string{`ALTER TABLE customers ALTER id TYPE numeric`},
		},
		"a column gets another type": {
			[]migrate.Operation{{Kind: migrate.ChangeType, Column: "qty", To: "numeric", Up: "qty::numeric", Down: "qty::int"}},
			[]string{`ALTER TABLE customers ALTER qty TYPE numeric USING qty::numeric`},
		},
		"three columns become others": {
			[]migrate.Operation{
				{Kind: migrate.ChangeType, Column: "amount", To: "numeric(14,2)", Up: "amount", Down: "amount", Default: "0"},
				note,
				{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty", Down: "qty::int"},
			},
			[]string{
				`ALTER TABLE customers ALTER amount DROP DEFAULT, ALTER amount TYPE numeric(14,2), ALTER qty TYPE bigint`, `ALTER TABLE customers ALTER amount SET DEFAULT 0`,
				`ALTER TABLE customers RENAME note TO "what she said"`,
				`ALTER STATISTICS customers_both SET STATISTICS 500`, // which the server forgets
			},
		},
	}
}

// since says whether the server is of a major version, or of a newer one.
func (b *bundle) since(t *testing.T, major int) bool {
	t.Helper()
	return b.one(t, fmt.Sprintf(`SELECT current_setting('server_version_num')::int >= %d`, major*10000)) == "true"
}

// physical is what the catalog says of the table, whatever the order of its columns.
func (b *bundle) physical(t *testing.T) string {
	t.Helper()
	return b.one(t, `SELECT concat_ws(E'\n',
		(SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attstorage, attcompression, attstattarget, attoptions,
		   (SELECT array_agg(r::text ORDER BY r::text) FROM aclexplode(attacl) r), col_description(attrelid, attnum), pg_get_expr(adbin, adrelid)), E'\n' ORDER BY attname)
		 FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attrelid = 'customers'::regclass AND attnum > 0 AND NOT attisdropped),
		(SELECT string_agg(concat_ws(' ', conname, pg_get_constraintdef(oid), convalidated, obj_description(oid, 'pg_constraint')), E'\n' ORDER BY conname) FROM pg_constraint
		 WHERE conrelid = 'customers'::regclass AND contype <> 'n'), -- NOT NULL, which Postgres 18 calls after the column of the moment
		(SELECT string_agg(concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisready, indoption, indclass, indcollation, reltablespace, reloptions, obj_description(indexrelid, 'pg_class')), E'\n' ORDER BY relname)
		 FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'customers'::regclass),
		(SELECT string_agg(concat_ws(' ', stxname, stxkind, stxstattarget, pg_get_statisticsobjdef_expressions(oid), stxowner, obj_description(oid, 'pg_statistic_ext'),
		   (SELECT array_agg(attname ORDER BY attname) FROM pg_attribute WHERE attrelid = stxrelid AND attnum = ANY(stxkeys::int2[]))), E'\n' ORDER BY stxname)
		 FROM pg_statistic_ext WHERE stxrelid = 'customers'::regclass),
		(SELECT string_agg(attname || ' ' || objid::regclass, ', ') FROM pg_depend JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
		 WHERE deptype = 'a' AND classid = 'pg_class'::regclass AND refobjid = 'customers'::regclass AND objid = to_regclass('customers_numbers')),
		(SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'customers'::regclass AND indisreplident),
		(SELECT count(*) FROM pg_trigger WHERE tgrelid = 'customers'::regclass AND NOT tgisinternal))`)
}

func laden(operations []migrate.Operation) migrate.Migration {
	return migrate.Migration{Name: "0001_channel", Table: "customers", Why: "Reports need it.", Operations: operations}
}

func TestAColumnIsReplacedWithAllThatIsOverIt(t *testing.T) {
	t.Parallel()
	for name, test := range ladenCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.laden(t)
			p := b.planned(t, laden(test.operations))
			b.begin(t, p)
			b.through(t, p, migrate.Contract)
			require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
			after := b.physical(t)
			b.db.Exec(t, `DROP TABLE customers`)
			b.laden(t)
			for _, sql := range test.plain {
				b.db.Exec(t, sql)
			}
			require.Equal(t, b.physical(t), after)
		})
	}
}

// doing runs what a step does as its class says, and returns the strongest lock that it took on the table.
func (b *bundle) doing(t *testing.T, class migrate.Class, statements []string) (lock migrate.Lock) {
	t.Helper()
	if class == migrate.Concurrent {
		require.Len(t, statements, 1)
		_, err := b.pool.Exec(t.Context(), statements[0])
		require.NoError(t, err)
		return migrate.ShareUpdateExclusive // it holds none when it is over
	}
	names := []string{"AccessShareLock", "ShareUpdateExclusiveLock", "ShareRowExclusiveLock", "AccessExclusiveLock"}
	locks := []migrate.Lock{migrate.NoLock, migrate.ShareUpdateExclusive, migrate.ShareRowExclusive, migrate.AccessExclusive}
	strongest := 0
	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		for _, sql := range statements {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		rows, err := tx.Query(t.Context(), `SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND granted AND relation = to_regclass($1)`, b.db.Schema+".customers")
		if err != nil {
			return err
		}
		modes, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, mode := range modes {
			strongest = max(strongest, slices.Index(names, mode))
		}
		return err
	}))
	return locks[strongest]
}

func (b *bundle) says(t *testing.T, probe string) (yes bool) {
	t.Helper()
	require.NoError(t, b.pool.QueryRow(t.Context(), probe).Scan(&yes), probe)
	return yes
}

func TestEveryStepThatCarriesIsSeenDoneAndUndoneAndTakesTheLockThatItSays(t *testing.T) {
	t.Parallel()
	for name, test := range ladenCases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.laden(t)
			before := b.physical(t)
			p := b.planned(t, laden(test.operations))
			carried := 0
			for i, s := range p.Steps {
				if s.Phase == migrate.Switch && p.Steps[i-1].Phase != migrate.Switch {
					for _, a := range p.Filling.Set {
						b.db.Exec(t, fmt.Sprintf(`UPDATE customers SET %s = %s`, pgx.Identifier{a.Column}.Sanitize(), a.Expression))
					}
				}
				if s.Phase == migrate.Contract {
					break
				}
				require.False(t, b.says(t, s.Probe), "%s is not there before", s.ID)
				require.Equal(t, s.Lock, b.doing(t, s.Class, s.Act), s.ID)
				require.True(t, b.says(t, s.Probe), "%s is done: %s", s.ID, s.Probe)
				b.doing(t, s.Class, s.Undo)
				require.False(t, b.says(t, s.Probe), "%s is undone", s.ID)
				if len(s.Undo) > 1 && s.Class == migrate.Scan { // it made anew what it rests on
					require.True(t, b.says(t, p.Steps[i-1].Probe))
				}
				b.doing(t, s.Class, s.Act)
				for _, earlier := range p.Steps[:i+1] {
					require.True(t, b.says(t, earlier.Probe), "%s stays done after %s", earlier.ID, s.ID)
				}
				carried++
			}
			for _, s := range slices.Backward(p.Steps[:carried]) {
				b.doing(t, s.Class, s.Undo)
			}
			require.Equal(t, before, b.physical(t))
		})
	}
}

func TestOnlyTheSameThingPassesForWhatTakesThePlaceOfAnIndex(t *testing.T) {
	t.Parallel()
	for name, instead := range map[string]string{
		"another order":             `CREATE INDEX customers_order__new ON customers (amount_eur DESC, k)`,
		"another class":             `CREATE INDEX customers_order__new ON customers (amount_eur DESC NULLS LAST, (k::text) text_pattern_ops)`,
		"another column":            `CREATE INDEX customers_order__new ON customers (amount DESC NULLS LAST, k)`,
		"it is unique":              `CREATE UNIQUE INDEX customers_order__new ON customers (amount_eur DESC NULLS LAST, k)`,
		"it includes a column":      `CREATE INDEX customers_order__new ON customers (amount_eur DESC NULLS LAST, k) INCLUDE (id)`,
		"it is of fewer rows":       `CREATE INDEX customers_order__new ON customers (amount_eur DESC NULLS LAST, k) WHERE id > 0`,
		"it has another fillfactor": `CREATE INDEX customers_order__new ON customers (amount_eur DESC NULLS LAST, k) WITH (fillfactor = 50)`,
		"another kind":              `CREATE INDEX customers_order__new ON customers USING brin (amount_eur, k)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.laden(t)
			p := b.planned(t, laden([]migrate.Operation{{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"}}))
			at := slices.IndexFunc(p.Steps, func(s migrate.Step) bool { return s.ID == "switch-index-customers_order" })
			b.db.Exec(t, `ALTER TABLE customers ADD amount_eur numeric(12,2)`)
			b.db.Exec(t, `UPDATE customers SET amount_eur = amount`)
			b.db.Exec(t, instead)
			require.False(t, b.says(t, p.Steps[at].Probe))
			b.db.Exec(t, `DROP INDEX customers_order__new`)
			b.db.Exec(t, p.Steps[at].Act[0])
			require.True(t, b.says(t, p.Steps[at].Probe))
		})
	}
}

func TestWhatCannotBeCarriedIsRefusedByName(t *testing.T) {
	t.Parallel()
	rename := migrate.Operation{Kind: migrate.RenameColumn, Column: "note", To: "remark"}
	number := migrate.Operation{Kind: migrate.ChangeType, Column: "note", To: "int", Up: "length(note)", Down: "note::text"}
	for name, test := range map[string]struct {
		sql  []string
		do   migrate.Operation
		want []string
	}{
		"a class that the new type has not":     {[]string{`CREATE INDEX customers_note ON customers (note text_pattern_ops)`}, number, []string{"the index customers_note cannot be carried", "text_pattern_ops"}},
		"a function that the new type has not":  {[]string{`CREATE INDEX customers_note ON customers (lower(note))`}, number, []string{"the index customers_note cannot be carried", "lower(integer)"}},
		"a condition of the old type":           {[]string{`CREATE INDEX customers_note ON customers (id) WHERE note LIKE 'x%'`}, number, []string{"the index customers_note cannot be carried"}},
		"a check of the old type":               {[]string{`ALTER TABLE customers ADD CONSTRAINT short CHECK (note ~ '^x')`}, number, []string{"the check short cannot be carried"}},
		"statistics of the old type":            {[]string{`CREATE STATISTICS customers_s ON id, (upper(note)) FROM customers`}, number, []string{"the statistics customers_s cannot be carried"}},
		"a storage of the old type":             {[]string{`ALTER TABLE customers ALTER note SET STORAGE MAIN`}, number, []string{"has a storage of its own"}},
		"an index that calls somebody's own":    {[]string{`CREATE INDEX customers_note ON customers (evil(note))`}, rename, []string{"the index customers_note cannot be carried", "does not bring along: function", ".evil("}},
		"a check that calls somebody's own":     {[]string{`ALTER TABLE customers ADD CONSTRAINT good CHECK (evil(note) = 'x') NOT VALID`}, rename, []string{"the check good cannot be carried", ".evil("}},
		"statistics that call somebody's own":   {[]string{`CREATE STATISTICS customers_s ON (evil(note)), id FROM customers`}, rename, []string{"the statistics customers_s cannot be carried", ".evil("}},
		"the index that the table is in":        {[]string{`CREATE INDEX customers_note ON customers (note)`, `CLUSTER customers USING customers_note`}, rename, []string{"clustered by it"}},
		"an index that is sampled of its own":   {[]string{`CREATE INDEX customers_note ON customers (lower(note))`, `ALTER INDEX customers_note ALTER 1 SET STATISTICS 5`}, rename, []string{"statistics target"}},
		"a name that is taken":                  {[]string{`CREATE INDEX customers_note ON customers (note)`, `CREATE INDEX customers_note__new ON customers (id)`}, rename, []string{"customers_note__new is a name that is taken"}},
		"a unique constraint that may wait":     {[]string{`ALTER TABLE customers ADD CONSTRAINT one UNIQUE (note) DEFERRABLE`}, rename, []string{"the deferrable unique constraint one"}},
		"a foreign key that sets defaults":      {[]string{`CREATE TABLE others (note text PRIMARY KEY)`, `ALTER TABLE customers ADD CONSTRAINT led FOREIGN KEY (note) REFERENCES others ON DELETE SET DEFAULT`}, rename, []string{"the foreign key led cannot be carried", "it sets defaults"}},
		"a foreign key of the old type":         {[]string{`CREATE TABLE others (note text PRIMARY KEY)`, `ALTER TABLE customers ADD CONSTRAINT led FOREIGN KEY (note) REFERENCES others`}, number, []string{"led cannot lead from note__new to note of others", "integer and text"}},
		"a foreign key to a unique index":       {[]string{`CREATE UNIQUE INDEX customers_note ON customers (note)`, `CREATE TABLE others (note text REFERENCES customers (note))`}, rename, []string{"the foreign key others_note_fkey of"}},
		"a collation that the new type has not": {[]string{`CREATE INDEX customers_note ON customers (note COLLATE "C")`}, number, []string{"the index customers_note cannot be carried", "collation"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			for _, sql := range append([]string{
				`CREATE TABLE customers (id bigint PRIMARY KEY, note text)`, `CREATE TABLE ran (who text)`,
				`CREATE FUNCTION evil(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN INSERT INTO ` + b.db.Schema + `.ran VALUES ($1); RETURN $1; END'`,
			}, test.sql...) {
				b.db.Exec(t, sql)
			}
			m := laden([]migrate.Operation{test.do})
			_, err := b.computed(t, m)
			require.Contains(t, []fault.Class{fault.Refused, fault.Invalid}, fault.ClassOf(err))
			for _, want := range test.want {
				require.ErrorContains(t, err, want)
			}
			require.Equal(t, "0", b.one(t, `SELECT count(*) FROM ran`), "nothing of somebody's own runs")
		})
	}
}

// Up makes the same of two values, and only one row may have it.
func TestAUniqueIndexThatTheNewValuesBreakIsCleanedAwayAndSaid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, qty numeric)`)
	b.db.Exec(t, `INSERT INTO customers VALUES (1, 1.2), (2, 1.4)`)
	b.db.Exec(t, `CREATE UNIQUE INDEX customers_qty ON customers (qty)`)
	before := b.physical(t)
	p := b.planned(t, laden([]migrate.Operation{{Kind: migrate.ChangeType, Column: "qty", To: "int", Up: "round(qty)::int", Down: "qty::numeric"}}))
	b.begin(t, p)
	b.through(t, p, migrate.Verify)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Switch))
	_, err := b.DoStep(t.Context(), b.spec(p, "switch-index-customers_qty"), beat)
	require.ErrorContains(t, err, "duplicate keys")
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE NOT indisvalid AND relnamespace = '`+b.db.Schema+`'::regnamespace`))
	for _, s := range slices.Backward(p.Steps) {
		if s.Phase == migrate.Contract {
			continue
		}
		undo := b.spec(p, s.ID)
		undo.Undo = true
		r, err := b.DoStep(t.Context(), undo, beat)
		require.NoError(t, err, s.ID)
		require.True(t, r.Done)
	}
	require.Equal(t, before, b.physical(t))
}

// superuser is a session that may do everything, until after the test.
func superuser(t *testing.T) func(sql string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, testdb.Superuser(t))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(ctx) })
	return func(sql string) {
		_, err := conn.Exec(ctx, sql, pgx.QueryExecModeExec)
		require.NoError(t, err, sql)
	}
}

func TestWhatIsCarriedBelongsToWhomItDid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	run := superuser(t)
	owner, login := "owner_of_"+b.db.Schema, b.one(t, `SELECT current_user`)
	run(`CREATE ROLE ` + owner)
	t.Cleanup(func() {
		run(`DROP TABLE ` + b.db.Schema + `.customers`)
		run(`DROP OWNED BY ` + owner)
		run(`DROP ROLE ` + owner)
	})
	run(`GRANT ` + owner + ` TO ` + login)
	run(`GRANT USAGE, CREATE ON SCHEMA ` + b.db.Schema + ` TO ` + owner)
	run(`GRANT USAGE ON SCHEMA ` + b.ledger.Schema() + ` TO ` + owner)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text)`)
	b.db.Exec(t, `ALTER TABLE customers OWNER TO `+owner)
	b.db.Exec(t, `GRANT SELECT (note) ON customers TO PUBLIC`)
	b.db.Exec(t, `CREATE INDEX customers_note ON customers (note)`)
	b.db.Exec(t, `CREATE STATISTICS customers_both ON id, note FROM customers`)
	b.db.Exec(t, `ALTER STATISTICS customers_both OWNER TO `+owner)
	m := laden([]migrate.Operation{{Kind: migrate.RenameColumn, Column: "note", To: "remark"}})
	p := b.planned(t, m)
	b.begin(t, p)
	b.through(t, p, migrate.Contract)
	require.Equal(t, owner+" "+owner+" "+owner, b.one(t, `SELECT concat_ws(' ',
		(SELECT pg_get_userbyid(grantor) FROM pg_attribute, aclexplode(attacl) WHERE attrelid = 'customers'::regclass AND attname = 'remark'),
		(SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'customers_note'::regclass),
		(SELECT pg_get_userbyid(stxowner) FROM pg_statistic_ext WHERE stxrelid = 'customers'::regclass AND stxname = 'customers_both'))`))

	other := "other_of_" + b.db.Schema
	run(`CREATE ROLE ` + other)
	t.Cleanup(func() {
		run(`DROP OWNED BY ` + other)
		run(`DROP ROLE ` + other)
	})
	run(`GRANT USAGE ON SCHEMA ` + b.db.Schema + ` TO ` + other)
	b.db.Exec(t, `GRANT UPDATE (remark) ON customers TO `+other+` WITH GRANT OPTION`)
	run(`SET ROLE ` + other)
	run(`GRANT UPDATE (remark) ON ` + b.db.Schema + `.customers TO pg_monitor`)
	run(`RESET ROLE`)
	d, err := b.DescribeTable(t.Context(), "customers", nil)
	require.NoError(t, err)
	remark, _ := d.Column("remark")
	require.Equal(t, []migrate.Grant{{Privilege: "UPDATE", To: other, Grantable: true}, {Privilege: "SELECT"}}, remark.Grants)
	require.Equal(t, []string{"a right on the column that " + other + " gave, who does not own the table"}, remark.Holds)
}

func TestAnIndexStaysInItsTablespace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	run := superuser(t)
	space := "space_of_" + b.db.Schema
	run(`SET allow_in_place_tablespaces = on`)
	run(`CREATE TABLESPACE ` + space + ` LOCATION ''`)
	t.Cleanup(func() {
		run(`DROP TABLE ` + b.db.Schema + `.customers`)
		run(`DROP TABLESPACE ` + space)
	})
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text)`)
	run(`GRANT CREATE ON TABLESPACE ` + space + ` TO PUBLIC`)
	b.db.Exec(t, `CREATE INDEX customers_note ON customers (note) WITH (fillfactor = 80) TABLESPACE `+space+` WHERE note <> ' WHERE '`)
	b.db.Exec(t, `CREATE INDEX customers_whole ON customers (note, id) TABLESPACE `+space)
	m := laden([]migrate.Operation{{Kind: migrate.RenameColumn, Column: "note", To: "remark"}})
	run(`REVOKE CREATE ON TABLESPACE ` + space + ` FROM PUBLIC`)
	d, err := b.DescribeTable(t.Context(), m.Table, nil, migrate.Replacements(m)...)
	require.NoError(t, err)
	require.Contains(t, d.Indexes[1].Carried.Refused, "our login may not make one")
	run(`GRANT CREATE ON TABLESPACE ` + space + ` TO PUBLIC`)
	p := b.planned(t, m)
	b.begin(t, p)
	b.through(t, p, migrate.Contract)
	const definitions = `SELECT string_agg(pg_get_indexdef(c.oid) || ' ' || spcname, ', ' ORDER BY relname) FROM pg_class c JOIN pg_tablespace s ON s.oid = reltablespace WHERE relkind = 'i' AND relname LIKE 'customers%'`
	require.Equal(t, fmt.Sprintf("CREATE INDEX customers_note ON %[1]s.customers USING btree (remark) WITH (fillfactor='80') WHERE (remark <> ' WHERE '::text) %[2]s, "+
		"CREATE INDEX customers_whole ON %[1]s.customers USING btree (remark, id) %[2]s", b.db.Schema, space), b.one(t, definitions+` AND relnamespace = '`+b.db.Schema+`'::regnamespace`))
}
