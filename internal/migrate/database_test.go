package migrate_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
	"drawbridge/internal/testdb"
)

// shop makes the table with rows, and the schema of the ledger.
func shop(t *testing.T) *testdb.DB {
	t.Helper()
	db := testdb.New(t)
	for _, sql := range []string{
		shopTable, shopIndex, shopComment, regionsTable, regionsRows, channelKind, "CREATE SCHEMA " + db.Schema + "__ledger",
		`INSERT INTO customers (id, web, amount, qty, note, code, created)
		 SELECT n, n % 2 = 0, n / 7.0, n, CASE WHEN n % 3 > 0 THEN 'note ' || n END, n::text, '2026-01-01'::timestamptz + n * interval '1 hour' FROM generate_series(1, 50) n`,
	} {
		run(t, db, sql)
	}
	return db
}

func run(t *testing.T, db *testdb.DB, sql string) {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), sql)
	require.NoError(t, err, sql)
}

func one[T any](t *testing.T, db *testdb.DB, sql string) T {
	t.Helper()
	var v T
	require.NoError(t, db.Pool.QueryRow(t.Context(), sql).Scan(&v), sql)
	return v
}

// described is the fixture in the test's schema, with what the server says of the expressions.
func described(t *testing.T, db *testdb.DB, m migrate.Migration) migrate.Table {
	t.Helper()
	table := customers(m)
	table.Schema, table.OID = db.Schema, one[uint32](t, db, "SELECT 'customers'::regclass::oid")
	for i := range table.ForeignKeys {
		table.ForeignKeys[i].Schema = db.Schema
	}
	for _, e := range migrate.Expressions(m) {
		answer := migrate.Expression{Type: e.Type}
		c, ok := table.Column(e.Of)
		require.True(t, ok || e.Of == "")
		if answer.Type == "" {
			answer.Type = c.Type
		}
		err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
			statements := []string{"CREATE TEMP TABLE probe (LIKE customers)"}
			if e.As != "" {
				statements = append(statements, "ALTER TABLE probe DROP COLUMN "+e.Of, "ALTER TABLE probe ADD COLUMN "+e.Of+" "+e.As)
			}
			statements = append(statements, fmt.Sprintf("ALTER TABLE probe ADD COLUMN g %s GENERATED ALWAYS AS (%s) STORED", answer.Type, e.Expression))
			for _, sql := range statements {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					return fmt.Errorf("%s: %w", sql, err)
				}
			}
			if err := tx.QueryRow(t.Context(), "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'probe'::regclass").Scan(&answer.Text); err != nil {
				return err
			}
			rows, err := tx.Query(t.Context(), `SELECT a.attname::text FROM pg_depend d
				JOIN pg_attrdef f ON f.adrelid = 'probe'::regclass
				  AND (d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid OR d.classid = 'pg_class'::regclass AND d.objid = f.adrelid AND d.objsubid = f.adnum) -- before Postgres 15
				JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = 'probe'::regclass AND a.attname <> 'g'`)
			if err != nil {
				return err
			}
			if answer.Columns, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
				return err
			}
			return errors.Join(tx.Rollback(t.Context()))
		})
		require.ErrorIs(t, err, pgx.ErrTxClosed)
		table.Expressions[e.Key()] = answer
	}
	return table
}

func plan(t *testing.T, db *testdb.DB, m migrate.Migration) migrate.Plan {
	t.Helper()
	for _, sql := range keyTable(m) {
		run(t, db, sql)
	}
	in := input(m)
	in.Table = described(t, db, m)
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	return p
}

// do runs the statements of a step as its class says, and returns the strongest lock that they took on the table.
func do(t *testing.T, db *testdb.DB, class migrate.Class, statements []string) string {
	t.Helper()
	if class == migrate.Concurrent {
		require.Len(t, statements, 1)
		run(t, db, statements[0])
		return "ShareUpdateExclusiveLock" // it holds none when it is over
	}
	lock, table := "", one[uint32](t, db, fmt.Sprintf("SELECT coalesce(to_regclass('%[1]s.clients'), to_regclass('%[1]s.customers'), to_regclass('%[1]s.customers__dropped_0007'), 0::regclass)::oid", db.Schema))
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL search_path = ''"); err != nil {
			return err
		}
		for _, sql := range statements {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		locks := []string{"", "AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"}
		rows, err := tx.Query(t.Context(), `SELECT mode FROM pg_catalog.pg_locks WHERE pid = pg_catalog.pg_backend_pid() AND granted AND relation = $1
			AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())`, table)
		if err != nil {
			return err
		}
		modes, err := pgx.CollectRows(rows, pgx.RowTo[string])
		for _, mode := range modes {
			lock = locks[max(slices.Index(locks, lock), slices.Index(locks, mode))]
		}
		return err
	})
	require.NoError(t, err)
	return lock
}

// fillAll brings the rows over as a backfill does, in one batch.
func fillAll(t *testing.T, db *testdb.DB, p migrate.Plan) {
	t.Helper()
	if p.Filling == nil {
		return
	}
	err := pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL drawbridge.backfill = 'on'"); err != nil {
			return err
		}
		for _, a := range p.Filling.Set {
			sql := fmt.Sprintf("UPDATE %s.customers SET %s = %s WHERE %s IS NULL", db.Schema, pgx.Identifier{a.Column}.Sanitize(), a.Expression, pgx.Identifier{a.Column}.Sanitize())
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
	require.NoError(t, err)
}

// broken are the proofs that do not hold.
func broken(t *testing.T, db *testdb.DB, p migrate.Plan) []string {
	t.Helper()
	var names []string
	for _, proof := range p.Proofs {
		if one[int](t, db, "SELECT count(*) FROM "+db.Schema+".customers WHERE "+proof.Broken) > 0 {
			names = append(names, proof.Name)
		}
	}
	return names
}

// catalogOf is everything that the catalog says of the table, as text.
func catalogOf(t *testing.T, db *testdb.DB) string {
	t.Helper()
	return one[string](t, db, fmt.Sprintf(`SELECT pg_catalog.concat_ws(E'\n',
		(SELECT string_agg(concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(attrelid, attnum)), E'\n' ORDER BY attnum)
		 FROM pg_attribute LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum WHERE attrelid = %[1]s AND attnum > 0 AND NOT attisdropped),
		(SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), E'\n' ORDER BY conname) FROM pg_constraint WHERE conrelid = %[1]s),
		(SELECT string_agg(pg_get_indexdef(indexrelid) || indisvalid, E'\n' ORDER BY indexrelid) FROM pg_index WHERE indrelid = %[1]s),
		(SELECT string_agg(tgname, E'\n' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = %[1]s),
		(SELECT string_agg(proname, E'\n' ORDER BY proname) FROM pg_proc f JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = '%[2]s__ledger'))`,
		"to_regclass('"+db.Schema+".customers')", db.Schema))
}

var lockNames = map[migrate.Lock]string{
	migrate.NoLock: "", migrate.AccessShare: "AccessShareLock", migrate.ShareUpdateExclusive: "ShareUpdateExclusiveLock", migrate.ShareRowExclusive: "ShareRowExclusiveLock", migrate.AccessExclusive: "AccessExclusiveLock",
}

// undo takes back every step of a plan that its probe says is done, last first.
func undo(t *testing.T, db *testdb.DB, steps []migrate.Step) {
	t.Helper()
	for _, s := range slices.Backward(steps) {
		if !one[bool](t, db, s.Probe) {
			continue
		}
		do(t, db, s.Class, s.Undo)
		require.False(t, one[bool](t, db, s.Probe), "%s is undone", s.ID)
		require.True(t, one[bool](t, db, s.Gone), "%s is gone: %s", s.ID, s.Gone)
	}
	for _, s := range steps {
		require.True(t, one[bool](t, db, s.Gone), "%s stays gone: %s", s.ID, s.Gone)
	}
}

func beforeContract(p migrate.Plan) []migrate.Step {
	return slices.DeleteFunc(slices.Clone(p.Steps), func(s migrate.Step) bool { return s.Phase == migrate.Contract })
}

// advance does the steps of a plan up to a number of them, with what lies between the phases.
func advance(t *testing.T, db *testdb.DB, p migrate.Plan, steps []migrate.Step) {
	t.Helper()
	filled := false
	for i, s := range steps {
		if !filled && (s.Phase == migrate.Switch || s.Phase == migrate.Contract) {
			fillAll(t, db, p)
			require.Empty(t, broken(t, db, p))
			filled = true
		}
		require.False(t, one[bool](t, db, s.Probe), "%s is not there before", s.ID)
		if s.Phase != migrate.Contract {
			require.True(t, one[bool](t, db, s.Gone), "nothing of %s is there before: %s", s.ID, s.Gone)
		}
		lock := do(t, db, s.Class, s.Act)
		require.Equal(t, lockNames[s.Lock], lock, s.ID)
		require.True(t, one[bool](t, db, s.Probe), "%s is done: %s", s.ID, s.Probe)
		if s.Phase != migrate.Contract {
			require.False(t, one[bool](t, db, s.Gone), "%s is not gone: %s", s.ID, s.Gone)
		}
		if s.Half != "" {
			require.False(t, one[bool](t, db, s.Half))
		}
		if s.Phase != migrate.Contract {
			for _, before := range steps[:i] {
				require.True(t, one[bool](t, db, before.Probe), "%s stays done after %s", before.ID, s.ID)
			}
		}
	}
}

func TestEveryStepIsSeenDoneAndUndoneAndTakesTheLockThatItSays(t *testing.T) {
	t.Parallel()
	for name, m := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := shop(t)
			if newer(t, db, m) {
				return
			}
			p := plan(t, db, m)
			before := catalogOf(t, db)
			steps := beforeContract(p)
			for n := range steps {
				advance(t, db, p, steps[:n+1])
				undo(t, db, steps)
				require.Equal(t, before, catalogOf(t, db), "after going back from %s", steps[n].ID)
			}
			advance(t, db, p, p.Steps)
			require.NotContains(t, catalogOf(t, db), "drawbridge", "nothing of ours is left")
		})
	}
}

func TestNothingElseOfTheNamePassesForDone(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		of      string // the case
		step    string // of its plan
		instead []string
	}{
		"a column of another type":             {"add_column", "expand-add-channel", []string{"ALTER TABLE customers ADD channel varchar(21)"}},
		"a column that is not null":            {"add_column", "expand-add-channel", []string{"ALTER TABLE customers ADD channel varchar(20) NOT NULL DEFAULT ''", "ALTER TABLE customers ALTER channel DROP DEFAULT"}},
		"a column with a default":              {"add_column", "expand-add-channel", []string{"ALTER TABLE customers ADD channel varchar(20) DEFAULT 'x'"}},
		"a column with another default":        {"add_column_default", "expand-add-channel", []string{"ALTER TABLE customers ADD channel text DEFAULT 'other'"}},
		"a column without its default":         {"add_column_default", "expand-add-channel", []string{"ALTER TABLE customers ADD channel text"}},
		"a column of another table":            {"add_column", "expand-add-channel", []string{"CREATE TABLE other (channel varchar(20))"}},
		"a check of another condition":         {"add_check", "switch-check-amount_positive", []string{"ALTER TABLE customers ADD CONSTRAINT amount_positive CHECK (amount > -1)"}},
		"a check that is not validated":        {"add_check", "switch-validate-amount_positive", []string{"ALTER TABLE customers ADD CONSTRAINT amount_positive CHECK (amount >= 0) NOT VALID"}},
		"an index over other columns":          {"create_index", "expand-index-customers_code", []string{"CREATE INDEX customers_code ON customers (code)"}},
		"an index in another order":            {"create_index", "expand-index-customers_code", []string{"CREATE INDEX customers_code ON customers (code, created, qty NULLS FIRST, note DESC NULLS LAST) INCLUDE (id) WHERE code <> ''"}},
		"an index of other rows":               {"create_index", "expand-index-customers_code", []string{"CREATE INDEX customers_code ON customers (code, created DESC, qty NULLS FIRST, note DESC NULLS LAST) INCLUDE (id)"}},
		"an index that is unique":              {"create_index", "expand-index-customers_code", []string{"CREATE UNIQUE INDEX customers_code ON customers (code, created DESC, qty NULLS FIRST, note DESC NULLS LAST) INCLUDE (id) WHERE code <> ''"}},
		"an index by other classes":            {"create_index", "expand-index-customers_code", []string{"CREATE INDEX customers_code ON customers (code varchar_pattern_ops, created DESC, qty NULLS FIRST, note DESC NULLS LAST) INCLUDE (id) WHERE code <> ''"}},
		"an index that includes nothing":       {"create_index", "expand-index-customers_code", []string{"CREATE INDEX customers_code ON customers (code, created DESC, qty NULLS FIRST, note DESC NULLS LAST, id) WHERE code <> ''"}},
		"an index of another kind":             {"create_index_hash", "expand-index-customers_code", []string{"CREATE INDEX customers_code ON customers (code)"}},
		"a trigger that is switched off":       {"add_column_required", "dual-write-write-both", []string{"ALTER TABLE customers DISABLE TRIGGER USER"}},
		"a function that says something else":  {"add_column_required", "dual-write-write-both", []string{"CREATE OR REPLACE FUNCTION SCHEMA__ledger.NAME() RETURNS trigger LANGUAGE plpgsql SET search_path = '' AS 'BEGIN RETURN NEW; END'"}},
		"a function with its owner's rights":   {"add_column_required", "dual-write-write-both", []string{"ALTER FUNCTION SCHEMA__ledger.NAME() SECURITY DEFINER"}},
		"a function that finds by a path":      {"add_column_required", "dual-write-write-both", []string{"ALTER FUNCTION SCHEMA__ledger.NAME() RESET search_path"}},
		"a function that brings a path along":  {"rename_column", "dual-write-write-both", []string{"ALTER FUNCTION SCHEMA__ledger.NAME() SET search_path = public"}},
		"a unique index of other columns":      {"add_unique", "switch-index-customers_code", []string{"CREATE UNIQUE INDEX customers_code ON customers (qty, code)"}},
		"an index that is no constraint":       {"add_unique", "switch-unique-customers_code", []string{"CREATE UNIQUE INDEX customers_code ON customers (code, qty)"}},
		"a constraint of other columns":        {"add_unique", "switch-unique-customers_code", []string{"ALTER TABLE customers ADD CONSTRAINT customers_code UNIQUE (qty, code)"}},
		"a constraint that may wait":           {"add_unique", "switch-unique-customers_code", []string{"ALTER TABLE customers ADD CONSTRAINT customers_code UNIQUE (code, qty) DEFERRABLE"}},
		"a primary key of other columns":       {"add_primary_key", "switch-primary-key-customers_key", []string{"ALTER TABLE customers ADD CONSTRAINT customers_key PRIMARY KEY (code, web)"}},
		"a key that is only unique":            {"add_primary_key", "switch-primary-key-customers_key", []string{"ALTER TABLE customers ADD CONSTRAINT customers_key UNIQUE (web, code)"}},
		"a foreign key elsewhere":              {"add_foreign_key", "switch-foreign-key-customers_region", []string{"ALTER TABLE customers ADD CONSTRAINT customers_region FOREIGN KEY (qty) REFERENCES customers NOT VALID"}},
		"a foreign key of another column":      {"add_foreign_key", "switch-foreign-key-customers_region", []string{"ALTER TABLE customers ADD CONSTRAINT customers_region FOREIGN KEY (id) REFERENCES regions"}},
		"a foreign key that cascades":          {"add_foreign_key", "switch-foreign-key-customers_region", []string{"ALTER TABLE customers ADD CONSTRAINT customers_region FOREIGN KEY (qty) REFERENCES regions ON DELETE CASCADE"}},
		"a foreign key that may wait":          {"add_foreign_key", "switch-foreign-key-customers_region", []string{"ALTER TABLE customers ADD CONSTRAINT customers_region FOREIGN KEY (qty) REFERENCES regions DEFERRABLE"}},
		"a foreign key that waits by itself":   {"add_foreign_key_full", "switch-foreign-key-customers_region", []string{"ALTER TABLE customers ADD CONSTRAINT customers_region FOREIGN KEY (qty, code) REFERENCES regions (id, code) MATCH FULL ON UPDATE SET NULL ON DELETE CASCADE DEFERRABLE NOT VALID"}},
		"a foreign key that matches simply":    {"add_foreign_key_full", "switch-foreign-key-customers_region", []string{"ALTER TABLE customers ADD CONSTRAINT customers_region FOREIGN KEY (qty, code) REFERENCES regions (id, code) ON UPDATE SET NULL ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED NOT VALID"}},
		"a foreign key that was not looked at": {"add_foreign_key", "switch-validate-customers_region", []string{"ALTER TABLE customers ADD CONSTRAINT customers_region FOREIGN KEY (qty) REFERENCES regions NOT VALID"}},
		"a value in another place":             {"add_enum_value", "contract-add-value-channel_kind", []string{"ALTER TYPE channel_kind ADD VALUE 'it''s phone'"}},
		"a value of another type":              {"add_enum_value", "contract-add-value-channel_kind", []string{"CREATE TYPE other_kind AS ENUM ('it''s phone', 'store')"}},
		"another comment":                      {"set_comment", "expand-comment-note", []string{"COMMENT ON COLUMN customers.note IS 'else'"}},
		"another default":                      {"set_default", "switch-set-default-amount", []string{"ALTER TABLE customers ALTER amount SET DEFAULT 1.5"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := shop(t)
			p := plan(t, db, cases()[test.of])
			at := slices.IndexFunc(p.Steps, func(s migrate.Step) bool { return s.ID == test.step })
			require.GreaterOrEqual(t, at, 0)
			s := p.Steps[at]
			if strings.Contains(test.instead[0], "TRIGGER") || strings.Contains(test.instead[0], "FUNCTION") {
				advance(t, db, p, p.Steps[:at+1])
				require.True(t, one[bool](t, db, s.Probe))
			}
			function := one[string](t, db, "SELECT coalesce(max(proname), '') FROM pg_proc f JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = '"+db.Schema+"__ledger'")
			for _, sql := range test.instead {
				run(t, db, strings.NewReplacer("SCHEMA", db.Schema, "NAME", function).Replace(sql))
			}
			require.False(t, one[bool](t, db, s.Probe), s.Probe)
		})
	}
}

func TestAHalfMadeIndexIsSeenAndCleanedAway(t *testing.T) {
	t.Parallel()
	db := shop(t)
	p := plan(t, db, migration(migrate.Operation{Kind: migrate.CreateIndex, Name: "customers_web", Columns: []string{"web"}, Unique: true}))
	s := p.Steps[0]
	require.False(t, one[bool](t, db, s.Half))
	_, err := db.Pool.Exec(t.Context(), s.Act[0])
	require.ErrorContains(t, err, "could not create unique index")
	require.True(t, one[bool](t, db, s.Half))
	require.False(t, one[bool](t, db, s.Probe), "an index that is not valid is not done")
	do(t, db, s.Class, s.Clean)
	require.False(t, one[bool](t, db, s.Half))
}

func TestAnExpressionMayReadAColumnOfATypeOfOnesOwn(t *testing.T) {
	t.Parallel()
	db := shop(t)
	run(t, db, "CREATE TYPE mood AS ENUM ('ok', 'bad')")
	run(t, db, `ALTER TABLE customers ADD mood mood DEFAULT 'ok', ADD "new" integer DEFAULT 5`)
	m := migration(migrate.Operation{Kind: migrate.AddColumn, Column: "face", Type: "text", Required: true, Up: `CASE WHEN mood = 'ok' THEN ':)' ELSE ':(' END || "new"`})
	in := input(m)
	in.Table = described(t, db, m)
	in.Table.Columns = append(in.Table.Columns, migrate.Column{Name: "mood", Type: db.Schema + ".mood"}, migrate.Column{Name: "new", Type: "integer"})
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	advance(t, db, p, beforeContract(p))
	run(t, db, "INSERT INTO customers (id, web, mood, \"new\") VALUES (99, true, 'bad', 7)")
	require.Equal(t, ":(7", one[string](t, db, "SELECT face FROM customers WHERE id = 99"))
	require.Equal(t, ":)5", one[string](t, db, "SELECT face FROM customers WHERE id = 1"))
}

func TestHostileNamesAreNamesOnTheServerToo(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ident := func(name string) string { return pgx.Identifier{name}.Sanitize() }
	run(t, db, "CREATE SCHEMA "+db.Schema+"__ledger")
	run(t, db, "CREATE TABLE pwned ()")
	run(t, db, fmt.Sprintf("CREATE TABLE %s (id bigint PRIMARY KEY, web boolean, %s text DEFAULT 'x')", ident(hostile), ident(hostile)))
	run(t, db, fmt.Sprintf("COMMENT ON COLUMN %s.%s IS 'it''s'", ident(hostile), ident(hostile)))
	other := hostile[:24] + "2"
	for _, o := range []migrate.Operation{
		{Kind: migrate.AddColumn, Column: other, Type: "text", Required: true, Up: "CASE WHEN web THEN " + ident(hostile) + " ELSE E'\\';' END"},
		{Kind: migrate.RenameColumn, Column: hostile, To: other},
		{Kind: migrate.ChangeType, Column: hostile, To: "int", Up: "length(" + ident(hostile) + ")", Down: ident(hostile) + "::text", Default: "1"},
		{Kind: migrate.SetNotNull, Column: hostile, Up: "'-' -- )"},
		{Kind: migrate.AddCheck, Name: other, Check: ident(hostile) + " <> ';' /* ) */"},
		{Kind: migrate.CreateIndex, Name: other, Columns: []string{ident(hostile) + " DESC"}},
		{Kind: migrate.SetComment, Column: hostile, Comment: hostile + `'\`},
	} {
		m := migration(o)
		m.Table = hostile
		in := input(m)
		in.Table = migrate.Table{
			Schema: db.Schema, Name: hostile, Kind: "table", Owned: true, Version: 150018, Key: []string{"id"},
			Columns:     []migrate.Column{{Name: "id", Type: "bigint", NotNull: true}, {Name: "web", Type: "boolean"}, {Name: hostile, Type: "text", Default: "'x'::text", Comment: "it's"}},
			Expressions: map[string]migrate.Expression{},
		}
		for _, e := range migrate.Expressions(m) {
			answer := migrate.Expression{}
			if strings.Contains(e.Expression, ident(hostile)) {
				answer.Columns = []string{hostile}
			}
			if strings.Contains(e.Expression, "web") {
				answer.Columns = append(answer.Columns, "web")
			}
			if o.Kind == migrate.AddCheck {
				answer.Text = "(" + ident(hostile) + " <> ';'::text)"
			}
			in.Table.Expressions[e.Key()] = answer
		}
		p, err := migrate.Compute(in)
		require.NoError(t, err)
		steps := beforeContract(p)
		for _, s := range steps {
			if s.Phase == migrate.Switch && o.Kind != migrate.AddCheck {
				run(t, db, fmt.Sprintf("INSERT INTO %s (id, web) VALUES (1, true) ON CONFLICT (id) DO UPDATE SET web = excluded.web", ident(hostile)))
			}
			require.False(t, one[bool](t, db, s.Probe), s.Probe)
			do(t, db, s.Class, s.Act)
			require.True(t, one[bool](t, db, s.Probe), s.Probe)
		}
		undo(t, db, steps)
		run(t, db, fmt.Sprintf("DELETE FROM %s", ident(hostile)))
	}
	require.Equal(t, "it's", one[string](t, db, fmt.Sprintf("SELECT col_description(%s::regclass, 3)", "'"+strings.ReplaceAll(ident(db.Schema)+"."+ident(hostile), "'", "''")+"'")))
	run(t, db, "DROP TABLE pwned")
}
