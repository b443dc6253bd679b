package migrate_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
	"drawbridge/internal/testdb"
)

// until does a plan's steps up to and with a phase.
func until(t *testing.T, db *testdb.DB, m migrate.Migration, phase migrate.Phase) migrate.Plan {
	t.Helper()
	p := plan(t, db, m)
	phases := migrate.Phases()
	advance(t, db, p, slices.DeleteFunc(slices.Clone(p.Steps), func(s migrate.Step) bool {
		return slices.Index(phases, s.Phase) > slices.Index(phases, phase)
	}))
	return p
}

func TestWhoeverWritesOneShapeIsReadInTheOther(t *testing.T) {
	t.Parallel()
	const row = "INSERT INTO customers (id, web, "
	for name, test := range map[string]struct {
		change migrate.Operation
		phase  migrate.Phase
		write  []string
		want   string // of row 99: the old column and the new one
	}{
		"the old name, at its insert":            {rename("note", "remark"), migrate.DualWrite, []string{row + "note) VALUES (99, true, 'a')"}, "a a"},
		"the new name, at its insert":            {rename("note", "remark"), migrate.DualWrite, []string{row + "remark) VALUES (99, true, 'b')"}, "b b"},
		"neither":                                {rename("note", "remark"), migrate.DualWrite, []string{row + "code) VALUES (99, true, 'b')"}, "<null> <null>"},
		"both, and the old one counts":           {rename("note", "remark"), migrate.DualWrite, []string{row + "note, remark) VALUES (99, true, 'a', 'b')"}, "a a"},
		"both, and the new one counts":           {rename("note", "remark"), migrate.Switch, []string{row + "note, remark) VALUES (99, true, 'a', 'b')"}, "b b"},
		"the old name after the switch":          {rename("note", "remark"), migrate.Switch, []string{row + "note) VALUES (99, true, 'a')"}, "a a"},
		"an update of the old name":              {rename("note", "remark"), migrate.DualWrite, []string{row + "note) VALUES (99, true, 'a')", "UPDATE customers SET note = 'c' WHERE id = 99"}, "c c"},
		"an update of the new name":              {rename("note", "remark"), migrate.DualWrite, []string{row + "note) VALUES (99, true, 'a')", "UPDATE customers SET remark = 'c' WHERE id = 99"}, "c c"},
		"an update to null":                      {rename("note", "remark"), migrate.DualWrite, []string{row + "note) VALUES (99, true, 'a')", "UPDATE customers SET remark = NULL WHERE id = 99"}, "<null> <null>"},
		"an update of both, the old one counts":  {rename("note", "remark"), migrate.DualWrite, []string{row + "note) VALUES (99, true, 'a')", "UPDATE customers SET note = 'c', remark = 'd' WHERE id = 99"}, "c c"},
		"an update of both, the new one counts":  {rename("note", "remark"), migrate.Switch, []string{row + "note) VALUES (99, true, 'a')", "UPDATE customers SET note = 'c', remark = 'd' WHERE id = 99"}, "d d"},
		"an update of something else":            {rename("note", "remark"), migrate.Switch, []string{row + "note) VALUES (99, true, 'a')", "UPDATE customers SET qty = 5 WHERE id = 99"}, "a a"},
		"a merge":                                {rename("note", "remark"), migrate.DualWrite, []string{row + "note) VALUES (99, true, 'a')", row + "remark) VALUES (99, true, 'x') ON CONFLICT (id) DO UPDATE SET remark = excluded.remark"}, "x x"},
		"another scale of an equal number":       {rename("amount", "amount_eur"), migrate.DualWrite, []string{row + "amount) VALUES (99, true, 1.0)", "UPDATE customers SET amount = 1.00 WHERE id = 99"}, "1.00 1.00"},
		"the new name of one with a default":     {rename("amount", "amount_eur"), migrate.DualWrite, []string{row + "amount_eur) VALUES (99, true, 5)"}, "5.00 5.00"},
		"the old name of one with a default":     {rename("amount", "amount_eur"), migrate.DualWrite, []string{row + "amount) VALUES (99, true, 5)"}, "5.00 5.00"},
		"neither of one with a default":          {rename("amount", "amount_eur"), migrate.DualWrite, []string{row + "qty) VALUES (99, true, 5)"}, "0.00 0.00"},
		"the old name of a default, switched":    {rename("amount", "amount_eur"), migrate.Switch, []string{row + "amount) VALUES (99, true, 5)"}, "5.00 5.00"},
		"the new name of a default, switched":    {rename("amount", "amount_eur"), migrate.Switch, []string{row + "amount_eur) VALUES (99, true, 5)"}, "5.00 5.00"},
		"neither of a default, switched":         {rename("amount", "amount_eur"), migrate.Switch, []string{row + "qty) VALUES (99, true, 5)"}, "0.00 0.00"},
		"the old type":                           {cents(), migrate.DualWrite, []string{row + "amount) VALUES (99, true, 1.25)"}, "1.25 125"},
		"the old type, updated":                  {cents(), migrate.DualWrite, []string{row + "amount) VALUES (99, true, 1.25)", "UPDATE customers SET amount = 2.5 WHERE id = 99"}, "2.50 250"},
		"the new type, switched":                 {cents(), migrate.Switch, []string{row + "amount) VALUES (99, true, 333)"}, "3.33 333"},
		"the new type, updated":                  {cents(), migrate.Switch, []string{row + "amount) VALUES (99, true, 333)", "UPDATE customers SET amount = 334 WHERE id = 99"}, "3.34 334"},
		"what up reads beside the column":        {scaled(), migrate.DualWrite, []string{row + "qty, code) VALUES (99, true, 2, '1')", "UPDATE customers SET code = '3' WHERE id = 99"}, "2 2003"},
		"what up reads does not count when over": {scaled(), migrate.Switch, []string{row + "qty, code) VALUES (99, true, 2001, '1')", "UPDATE customers SET code = '3' WHERE id = 99"}, "2 2001"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := shop(t)
			p := until(t, db, migration(test.change), test.phase)
			for _, sql := range test.write {
				run(t, db, sql)
			}
			old, added := test.change.Column, test.change.To
			if test.change.Kind == migrate.ChangeType {
				old, added = old+"__old", old
				if test.phase == migrate.DualWrite {
					old, added = test.change.Column, test.change.Column+"__new"
				}
			}
			require.Equal(t, test.want, one[string](t, db, "SELECT coalesce("+old+"::text, '<null>') || ' ' || coalesce("+added+"::text, '<null>') FROM customers WHERE id = 99"))
			if test.phase == migrate.DualWrite {
				fillAll(t, db, p)
				require.Empty(t, broken(t, db, p), "what writers gave in either shape holds")
			}
		})
	}
}

func rename(from, to string) migrate.Operation {
	return migrate.Operation{Kind: migrate.RenameColumn, Column: from, To: to}
}

func cents() migrate.Operation {
	return migrate.Operation{Kind: migrate.ChangeType, Column: "amount", To: "int", Up: "amount * 100", Down: "amount / 100.0", Default: "0"}
}

// scaled takes another column into the new value, and gives back less than it got.
func scaled() migrate.Operation {
	return migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty * 1000 + code::int", Down: "(qty / 1000)::int"}
}

func TestAWriterThatDoesNotKnowARequiredColumnGoesOn(t *testing.T) {
	t.Parallel()
	db := shop(t)
	p := until(t, db, cases()["add_column_required"], migrate.Switch)
	run(t, db, "INSERT INTO customers (id, web) VALUES (99, true), (100, false)")
	run(t, db, "INSERT INTO customers (id, web, channel) VALUES (101, true, 'phone')")
	run(t, db, "UPDATE customers SET web = false WHERE id IN (99, 101)")
	require.Equal(t, "web store phone", one[string](t, db, "SELECT string_agg(channel, ' ' ORDER BY id) FROM customers WHERE id > 98"))
	require.Equal(t, 0, one[int](t, db, "SELECT count(*) FROM customers WHERE channel IS NULL"))
	require.Empty(t, broken(t, db, p))
	for _, s := range p.Of(migrate.Contract) {
		do(t, db, s.Class, s.Act)
	}
	_, err := db.Pool.Exec(t.Context(), "INSERT INTO customers (id, web) VALUES (102, true)")
	require.ErrorContains(t, err, "not-null")
}

func TestTheDualWriteMeansTheSameUnderAnySearchPathAndForAnyWriter(t *testing.T) {
	t.Parallel()
	db := shop(t)
	until(t, db, cases()["several"], migrate.DualWrite)
	tx, err := db.Pool.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	for _, sql := range []string{
		// Whoever has an operator of the same name earlier in the path does not get it called.
		"CREATE FUNCTION plus(integer, integer) RETURNS integer LANGUAGE sql AS 'SELECT 1/0'",
		"CREATE OPERATOR + (FUNCTION = plus, LEFTARG = integer, RIGHTARG = integer)",
		"SET LOCAL search_path = " + db.Schema + ", pg_catalog",
		"INSERT INTO " + db.Schema + ".customers (id, web, qty, amount) VALUES (99, true, 5, 2)",
		"UPDATE " + db.Schema + ".customers SET qty = 6, amount = 3 WHERE id = 99",
	} {
		_, err := tx.Exec(t.Context(), sql)
		require.NoError(t, err, sql)
	}
	var got string
	require.NoError(t, tx.QueryRow(t.Context(), "SELECT pg_catalog.concat_ws(' ', channel, amount_eur, qty__new) FROM "+db.Schema+".customers WHERE id = 99").Scan(&got))
	require.Equal(t, "web 5 3.00 7", got, "channel stays what it became at first")
}

// A function without an expression sets no search path: it finds nothing by its caller's.
func TestADualWriteOfNewNamesFindsNothingByItsCallersPath(t *testing.T) {
	t.Parallel()
	db := shop(t)
	columns := []string{"amount", "note", "code", "qty", "web"}
	var renames []migrate.Operation
	for _, column := range columns {
		renames = append(renames, rename(column, column+"_to"))
	}
	const evil = "_evil"
	statements := []string{"CREATE SCHEMA " + db.Schema + evil}
	for _, of := range []string{"text", "varchar", "numeric", "integer", "boolean", "bigint", "record", "name"} {
		statements = append(statements, strings.NewReplacer("EVIL", db.Schema+evil, "TYPE", of).Replace(`
			CREATE FUNCTION EVIL.called(TYPE, TYPE) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''it was called''; END';
			CREATE OPERATOR EVIL.= (FUNCTION = EVIL.called, LEFTARG = TYPE, RIGHTARG = TYPE);
			CREATE OPERATOR EVIL.<> (FUNCTION = EVIL.called, LEFTARG = TYPE, RIGHTARG = TYPE)`))
	}
	statements = append(statements,
		"CREATE FUNCTION "+db.Schema+evil+".record_image_ne(record, record) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE ''it was called''; END'",
		"CREATE FUNCTION "+db.Schema+evil+".current_setting(text, boolean) RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE ''it was called''; END'")
	for _, phase := range []migrate.Phase{migrate.DualWrite, migrate.Switch} {
		p := plan(t, db, migration(renames...))
		until(t, db, migration(renames...), phase)
		tx, err := db.Pool.Begin(t.Context())
		require.NoError(t, err)
		t.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) })
		for _, sql := range append(slices.Clone(statements),
			"SET LOCAL search_path = "+db.Schema+evil+", pg_catalog",
			"INSERT INTO "+db.Schema+".customers (id, web, qty, amount, note, code) VALUES (99, true, 5, 2, 'a', 'b'), (98, true, 5, 2, 'a', 'b')",
			"UPDATE "+db.Schema+".customers SET web = false, qty = 6, amount = 3, note = 'c', code = 'd' WHERE id BETWEEN 99 AND 99",
			"UPDATE "+db.Schema+".customers SET web_to = false, qty_to = 6, amount_to = 3, note_to = 'c', code_to = 'd' WHERE id BETWEEN 98 AND 98",
		) {
			_, err := tx.Exec(t.Context(), sql)
			require.NoError(t, err, sql)
		}
		rows, err := tx.Query(t.Context(), "SELECT pg_catalog.concat_ws(' ', web, web_to, qty, qty_to, amount, amount_to, note, note_to, code, code_to) FROM "+db.Schema+".customers WHERE id > 97")
		require.NoError(t, err)
		got, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		const want = "f f 6 6 3.00 3.00 c c d d"
		require.Equal(t, []string{want, want}, got)
		require.NoError(t, tx.Rollback(t.Context()))
		undo(t, db, beforeContract(p))
	}
}

func TestARowThatIsNotBroughtOverYetIsByWhateverIsChangedOfIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change migrate.Operation
		write  string // of row 2, in which note is 'note 2', qty 2, and amount 0.29
		added  string
		want   string
	}{
		"something else":               {rename("note", "remark"), "UPDATE customers SET web = false WHERE id = 2", "remark", "note 2"},
		"the key":                      {rename("note", "remark"), "UPDATE customers SET id = -2 WHERE id = 2", "remark", "note 2"},
		"nothing":                      {rename("note", "remark"), "UPDATE customers SET web = web WHERE id = 2", "remark", "note 2"},
		"the old column":               {rename("note", "remark"), "UPDATE customers SET note = 'a' WHERE id = 2", "remark", "a"},
		"the old column, to null":      {rename("note", "remark"), "UPDATE customers SET note = NULL WHERE id = 2", "remark", "<null>"},
		"the new column":               {rename("note", "remark"), "UPDATE customers SET remark = 'b' WHERE id = 2", "remark", "b"},
		"of another type":              {cents(), "UPDATE customers SET web = false WHERE id = 2", "amount__new", "29"},
		"of another type, the key":     {cents(), "UPDATE customers SET id = -2 WHERE id = 2", "amount__new", "29"},
		"of another type, and changed": {cents(), "UPDATE customers SET amount = 3 WHERE id = 2", "amount__new", "300"},
		"with what up reads":           {scaled(), "UPDATE customers SET web = false WHERE id = 2", "qty__new", "2002"},
		"what up does not take": {
			migrate.Operation{Kind: migrate.ChangeType, Column: "note", To: "int", Up: "note::int", Down: "note::text"},
			"UPDATE customers SET web = false WHERE id = 2", "note__new", "<null>",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := shop(t)
			until(t, db, migration(test.change), migrate.DualWrite)
			run(t, db, test.write)
			require.Equal(t, test.want, one[string](t, db, "SELECT coalesce("+test.added+"::text, '<null>') FROM customers WHERE abs(id) = 2"))
		})
	}
}

// What somebody has written past the trigger is counted, and nobody's to overwrite.
func TestWhatDiffersAfterTheSwitchIsLeftToBeCounted(t *testing.T) {
	t.Parallel()
	for _, change := range []migrate.Operation{rename("note", "remark"), {Kind: migrate.ChangeType, Column: "note", To: "varchar(20)", Up: "note", Down: "note"}} {
		db := shop(t)
		p := until(t, db, migration(change), migrate.DualWrite)
		fillAll(t, db, p)
		advance(t, db, p, p.Of(migrate.Switch))
		old := "note"
		if change.Kind == migrate.ChangeType {
			old = "note__old"
		}
		run(t, db, "BEGIN; SET LOCAL drawbridge.backfill = 'on'; UPDATE customers SET "+old+" = 'unseen' WHERE id = 2; COMMIT")
		run(t, db, "UPDATE customers SET web = false WHERE id = 2")
		require.Equal(t, "unseen", one[string](t, db, "SELECT "+old+" FROM customers WHERE id = 2"))
	}
}

func TestABackfillNeverWritesBackThroughAWayThatLosesSomething(t *testing.T) {
	t.Parallel()
	db := shop(t)
	m := migration(migrate.Operation{Kind: migrate.ChangeType, Column: "note", To: "int", Up: "length(note)", Down: "'?'"})
	p := until(t, db, m, migrate.DualWrite)
	before := one[string](t, db, "SELECT string_agg(note, ',' ORDER BY id) FROM customers")
	fillAll(t, db, p)
	require.Equal(t, before, one[string](t, db, "SELECT string_agg(note, ',' ORDER BY id) FROM customers"))
	require.Empty(t, broken(t, db, p))
	run(t, db, "UPDATE customers SET note__new = 1000 WHERE id = 1")
	require.Equal(t, "?", one[string](t, db, "SELECT note FROM customers WHERE id = 1"))
}

func TestAProofCountsWhatIsWrong(t *testing.T) {
	t.Parallel()
	db := shop(t)
	p := until(t, db, cases()["change_type_lossy"], migrate.DualWrite)
	fillAll(t, db, p)
	require.Empty(t, broken(t, db, p))
	unseen := func(sql string) {
		run(t, db, "BEGIN; SET LOCAL drawbridge.backfill = 'on'; "+sql+"; COMMIT")
	}
	unseen("UPDATE customers SET amount__new = 7 WHERE id = 3")
	require.Equal(t, []string{"amount and amount__new say the same"}, broken(t, db, p))
	unseen("UPDATE customers SET amount__new = NULL WHERE id = 3")
	require.Equal(t, []string{"amount and amount__new say the same", "amount__new is never null"}, broken(t, db, p))
}
