package alter_test

import (
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
	"drawbridge/internal/testdb"
)

// people are roles of a test, that may be asked to do something, and what the server says then.
type people struct {
	b    *bundle
	conn *pgx.Conn
}

func (b *bundle) people(t *testing.T, names ...string) people {
	t.Helper()
	p := people{b: b}
	var err error
	p.conn, err = pgx.Connect(t.Context(), testdb.Superuser(t))
	require.NoError(t, err)
	run := superuser(t)
	t.Cleanup(func() {
		for _, name := range names {
			run(`DROP OWNED BY ` + p.role(name))
			run(`DROP ROLE ` + p.role(name))
		}
	})
	for _, name := range names {
		run(`CREATE ROLE ` + p.role(name))
		run(`GRANT USAGE ON SCHEMA ` + b.db.Schema + ` TO ` + p.role(name))
	}
	return p
}

func (p people) role(name string) string { return name + "_" + p.b.db.Schema }

// says is the SQLSTATE with which the server refuses a statement of somebody; empty: it does not.
func (p people) says(t *testing.T, name, sql string) string {
	t.Helper()
	tx, err := p.conn.Begin(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, tx.Rollback(t.Context())) }()
	_, err = tx.Exec(t.Context(), `SET LOCAL search_path TO `+p.b.db.Schema+`; SET LOCAL ROLE `+p.role(name), pgx.QueryExecModeSimpleProtocol)
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		require.NotEmpty(t, postgres.SQLState(err), err)
	}
	return postgres.SQLState(err)
}

// acl are all rights on the table and its columns, in no order.
func (b *bundle) acl(t *testing.T) string {
	t.Helper()
	return b.one(t, `SELECT concat_ws(E'\n',
		(SELECT string_agg(r::text, E'\n' ORDER BY r::text) FROM pg_class CROSS JOIN aclexplode(relacl) r WHERE oid = 'customers'::regclass),
		(SELECT string_agg(attname || r::text, E'\n' ORDER BY attname || r::text) FROM pg_attribute CROSS JOIN aclexplode(attacl) r WHERE attrelid = 'customers'::regclass AND NOT attisdropped))`)
}

func (b *bundle) brownout(p migrate.Plan, on bool) migrate.BrownoutSpec {
	return migrate.BrownoutSpec{Owner: b.owner, Key: b.key(), Plan: p, On: on, Application: "drawbridge/test"}
}

// browned is a migration in its deprecation window, whose plan has a brownout.
func (b *bundle) browned(t *testing.T, long time.Duration, operations ...migrate.Operation) migrate.Plan {
	t.Helper()
	m := laden(operations)
	m.Deprecate = migrate.Deprecate{Window: time.Hour, Brownout: long}
	p := b.planned(t, m)
	require.NotNil(t, p.Brownout)
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	return p
}

func remarked() migrate.Operation {
	return migrate.Operation{Kind: migrate.RenameColumn, Column: "note", To: "remark"}
}

func TestABrownoutRefusesTheOldShapeAndGivesBackExactlyWhatItTook(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text, "Odd ""one" int)`)
	b.db.Exec(t, `INSERT INTO customers VALUES (1, 'a', 1)`)
	who := b.people(t, "bi", "crm", "ops", "fin")
	for _, sql := range []string{
		`GRANT SELECT ON customers TO ` + who.role("bi"),
		`GRANT SELECT ON customers TO ` + who.role("crm") + ` WITH GRANT OPTION`,
		`GRANT UPDATE (id, note) ON customers TO ` + who.role("crm"),
		`GRANT SELECT (id), SELECT (note) ON customers TO ` + who.role("crm"),
		`GRANT SELECT, INSERT, UPDATE, DELETE ON customers TO ` + who.role("ops"),
		`GRANT SELECT (note) ON customers TO ` + who.role("fin") + ` WITH GRANT OPTION`,
		`GRANT SELECT (id) ON customers TO PUBLIC`,
	} {
		b.db.Exec(t, sql)
	}
	p := b.browned(t, time.Millisecond, remarked())
	before := b.acl(t)
	const refused = pgerrcode.InsufficientPrivilege

	tried, err := b.Brownout(t.Context(), b.brownout(p, true))
	require.NoError(t, err)
	require.True(t, tried.On())
	for _, test := range []struct{ name, sql, want string }{
		{"bi", `SELECT id, remark, "Odd ""one", xmin, ctid, tableoid FROM customers`, ""},
		{"bi", `SELECT note FROM customers`, refused},
		{"bi", `SELECT * FROM customers`, refused},
		{"crm", `SELECT remark FROM customers`, ""},
		{"crm", `SELECT count(*) FROM customers WHERE note = 'a'`, refused},
		{"crm", `UPDATE customers SET note = 'b'`, refused},
		{"crm", `UPDATE customers SET id = 2`, ""},
		{"fin", `SELECT note FROM customers`, refused},
		{"fin", `SELECT id FROM customers`, ""},
		{"ops", `INSERT INTO customers (id, note) VALUES (2, 'b')`, refused},
		{"ops", `INSERT INTO customers (id, remark) VALUES (2, 'b')`, ""},
		{"ops", `UPDATE customers SET remark = 'c' WHERE id = 1`, ""},
		{"ops", `DELETE FROM customers WHERE id = 1`, ""},
	} {
		require.Equal(t, test.want, who.says(t, test.name, test.sql), "%s: %s", test.name, test.sql)
	}
	b.db.Exec(t, `GRANT SELECT ON customers TO `+who.role("bi")) // somebody in a hurry: it stays, as it was so before

	tried, err = b.Brownout(t.Context(), b.brownout(p, false))
	require.NoError(t, err)
	require.True(t, tried.Held)
	require.False(t, tried.On())
	require.Equal(t, before, b.acl(t))
	require.Empty(t, who.says(t, "bi", `SELECT * FROM customers`))
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM `+b.ledger.Schema()+`.migration_right`))
}

func TestABrownoutOfARequiredColumnLetsNothingBeFilledIn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text)`)
	b.db.Exec(t, `INSERT INTO customers VALUES (1, 'a')`)
	who := b.people(t, "ops")
	b.db.Exec(t, `GRANT SELECT, INSERT, UPDATE ON customers TO `+who.role("ops"))
	b.db.Exec(t, `GRANT USAGE ON SCHEMA `+b.ledger.Schema()+` TO `+who.role("ops"))
	p := b.browned(t, 30*time.Minute, migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "'web'"}, remarked())
	before := b.acl(t)
	const without, with = `INSERT INTO customers (id) VALUES (2)`, `INSERT INTO customers (id, remark, channel) VALUES (3, 'c', 'store')`
	require.Empty(t, who.says(t, "ops", without))

	_, err := b.Brownout(t.Context(), b.brownout(p, true))
	require.NoError(t, err)
	require.Equal(t, pgerrcode.NotNullViolation, who.says(t, "ops", without))
	require.Empty(t, who.says(t, "ops", with))
	require.Empty(t, who.says(t, "ops", with+`; DO $$BEGIN ASSERT (SELECT remark = 'c' FROM customers WHERE id = 3); END$$`))

	tried, err := b.Brownout(t.Context(), b.brownout(p, false))
	require.NoError(t, err)
	require.False(t, tried.Held, "it was not on for so long")
	require.Empty(t, who.says(t, "ops", without))
	require.Equal(t, before, b.acl(t))
	undone, err := b.Undone(t.Context(), p, migrate.DualWrite, migrate.Switch)
	require.NoError(t, err)
	require.Empty(t, undone, "what it writes is as it was")
}

func TestABrownoutHappensOnceAndMayBeBegunAnewWhenItWasEndedBeforeItsTime(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text)`)
	p := b.browned(t, 30*time.Minute, remarked())
	tried, err := b.Brownout(t.Context(), b.brownout(p, false))
	require.NoError(t, err)
	require.Zero(t, tried, "none was on")
	begin := b.brownout(p, true)
	first, err := b.Brownout(t.Context(), begin)
	require.NoError(t, err)
	again, err := b.Brownout(t.Context(), b.brownout(p, true))
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = b.Brownout(t.Context(), b.brownout(p, false))
	require.NoError(t, err)
	_, err = b.Brownout(t.Context(), begin) // whoever comes by late
	require.NoError(t, err)
	standing, err := b.Migration(t.Context(), b.owner)
	require.NoError(t, err)
	require.False(t, standing.Brownout.On(), "what has ended is not begun by an attempt of before")
	second, err := b.Brownout(t.Context(), b.brownout(p, true))
	require.NoError(t, err)
	require.True(t, second.On())
	require.True(t, second.Since.After(first.Since))
	on, err := b.BrownedOut(t.Context())
	require.NoError(t, err)
	require.Len(t, on, 1)
	require.Equal(t, b.owner, on[0].Owner)
}

func TestNothingGoesOnWhileABrownoutIsOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text)`)
	m := laden([]migrate.Operation{remarked()})
	m.Deprecate = migrate.Deprecate{Window: time.Hour, Brownout: time.Minute}
	p := b.planned(t, m)
	b.begin(t, p)
	b.through(t, p, migrate.Switch)
	_, err := b.Brownout(t.Context(), b.brownout(p, true))
	require.ErrorContains(t, err, "it is in the phase switch")
	b.phase(t, p, migrate.Deprecating)
	_, err = b.Brownout(t.Context(), b.brownout(p, true))
	require.NoError(t, err)

	require.ErrorContains(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract), "its brownout is on")
	require.ErrorContains(t, b.EndMigration(t.Context(), b.owner, migrate.Done), "its brownout is on")
	undo := b.spec(p, p.Of(migrate.Switch)[0].ID)
	undo.Undo = true
	_, err = b.DoStep(t.Context(), undo, beat)
	require.ErrorContains(t, err, "its brownout is on")

	require.NoError(t, pgx.BeginFunc(t.Context(), b.pool, func(tx pgx.Tx) error {
		_, err := b.ledger.SetHold(t.Context(), tx, "ann", "an incident", "hold/prod/x")
		return err
	}))
	_, err = b.Brownout(t.Context(), b.brownout(p, false))
	require.NoError(t, err, "a hold keeps nobody refused")
	_, err = b.Brownout(t.Context(), b.brownout(p, true))
	require.ErrorAs(t, err, new(admission.HeldError))
}

func TestABrownoutTakesNoRightThatItCouldNotGiveBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text)`)
	who := b.people(t, "bi", "crm", "gone")
	b.db.Exec(t, `GRANT SELECT ON customers TO `+who.role("bi")+` WITH GRANT OPTION`)
	b.db.Exec(t, `GRANT SELECT (note) ON customers TO `+who.role("gone"))
	p := b.browned(t, time.Millisecond, remarked())
	run := superuser(t)
	run(`SET ROLE ` + who.role("bi") + `; GRANT SELECT ON ` + b.db.Schema + `.customers TO ` + who.role("crm") + `; RESET ROLE`)
	before := b.acl(t)
	why, err := b.BrownoutBlocked(t.Context(), p)
	require.NoError(t, err)
	require.Len(t, why, 1)
	require.Contains(t, why[0], "SELECT to "+who.role("crm")+" by "+who.role("bi"))
	_, err = b.Brownout(t.Context(), b.brownout(p, true))
	require.Equal(t, fault.Conflict, fault.ClassOf(err))
	require.ErrorContains(t, err, "SELECT to "+who.role("crm")+" by "+who.role("bi"))
	require.Equal(t, before, b.acl(t))

	run(`SET ROLE ` + who.role("bi") + `; REVOKE SELECT ON ` + b.db.Schema + `.customers FROM ` + who.role("crm") + `; RESET ROLE`)
	_, err = b.Brownout(t.Context(), b.brownout(p, true))
	require.NoError(t, err)
	run(`DROP OWNED BY ` + who.role("gone"))
	run(`DROP ROLE ` + who.role("gone"))
	_, err = b.Brownout(t.Context(), b.brownout(p, false))
	require.NoError(t, err, "whoever is gone gets nothing back")
	require.Empty(t, who.says(t, "bi", `SELECT note FROM customers`))
	run(`CREATE ROLE ` + who.role("gone")) // which is dropped after the test
}

// A right on a single column of which somebody has given others one stands in the way as well: to take the whole table would take that too.
func TestABrownoutWaitsForRightsThatRestOnThoseThatItTakes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text)`)
	who := b.people(t, "bi", "crm")
	b.db.Exec(t, `GRANT SELECT ON customers TO `+who.role("bi"))
	b.db.Exec(t, `GRANT SELECT (id) ON customers TO `+who.role("bi")+` WITH GRANT OPTION`)
	p := b.browned(t, time.Millisecond, remarked())
	superuser(t)(`SET ROLE ` + who.role("bi") + `; GRANT SELECT (id) ON ` + b.db.Schema + `.customers TO ` + who.role("crm") + `; RESET ROLE`)
	why, err := b.BrownoutBlocked(t.Context(), p)
	require.NoError(t, err)
	require.Len(t, why, 1)
	require.Contains(t, why[0], "SELECT to "+who.role("crm")+" by "+who.role("bi"))
}

// While it is on others change rights, roles and columns: what they take stays taken, and nobody loses what was theirs.
func TestABrownoutEndsByWhatOthersHaveMadeOfRightsMeanwhile(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		meanwhile func(b *bundle, who people, run func(sql string)) []string
		says      map[string]string // what becomes of reading the old column
	}{
		"a right is taken": {
			func(b *bundle, who people, _ func(string)) []string {
				return []string{`REVOKE ALL ON customers FROM ` + who.role("bi")}
			}, map[string]string{"bi": pgerrcode.InsufficientPrivilege, "crm": ""},
		},
		"a right is given with the option to give it, and given": {
			func(b *bundle, who people, run func(string)) []string {
				run(`GRANT SELECT ON ` + b.db.Schema + `.customers TO ` + who.role("bi") + ` WITH GRANT OPTION`)
				run(`SET ROLE ` + who.role("bi") + `; GRANT SELECT ON ` + b.db.Schema + `.customers TO ` + who.role("ops") + `; RESET ROLE`)
				return nil
			}, map[string]string{"bi": "", "crm": "", "ops": ""},
		},
		"a column is added, and another one gets another name": {
			func(*bundle, people, func(string)) []string {
				return []string{`ALTER TABLE customers ADD later int`, `ALTER TABLE customers RENAME other TO "another one"`}
			}, map[string]string{"bi": "", "crm": ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text, other int)`)
			who := b.people(t, "bi", "crm", "ops")
			b.db.Exec(t, `GRANT SELECT ON customers TO `+who.role("bi"))
			b.db.Exec(t, `GRANT SELECT (note), UPDATE (other) ON customers TO `+who.role("crm"))
			p := b.browned(t, time.Millisecond, remarked())
			_, err := b.Brownout(t.Context(), b.brownout(p, true))
			require.NoError(t, err)
			for _, sql := range test.meanwhile(b, who, superuser(t)) {
				b.db.Exec(t, sql)
			}
			tried, err := b.Brownout(t.Context(), b.brownout(p, false))
			require.NoError(t, err)
			require.True(t, tried.Held)
			for role, want := range test.says {
				require.Equal(t, want, who.says(t, role, `SELECT note FROM customers`), role)
			}
		})
	}
}

func TestARoleThatGetsAnotherNameInABrownoutHasItsRightsAfterwards(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text)`)
	who := b.people(t, "bi", "crm")
	b.db.Exec(t, `GRANT SELECT ON customers TO `+who.role("bi")+`, `+who.role("crm")+` WITH GRANT OPTION`)
	p := b.browned(t, time.Millisecond, remarked())
	before := b.acl(t)
	_, err := b.Brownout(t.Context(), b.brownout(p, true))
	require.NoError(t, err)
	run := superuser(t)
	for _, change := range [][2]string{{"bi", "was"}, {"crm", "bi"}, {"was", "crm"}} {
		run(`ALTER ROLE ` + who.role(change[0]) + ` RENAME TO ` + who.role(change[1]))
	}
	_, err = b.Brownout(t.Context(), b.brownout(p, false))
	require.NoError(t, err)
	require.Equal(t, before, b.acl(t), "rights are a role's, whatever it is called")
}

// What somebody grants while a brownout takes rights, or gives them back, is there in the end, whichever comes first.
func TestAGrantThatABrownoutMeetsIsNotLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text)`)
	who := b.people(t, "bi")
	b.db.Exec(t, `GRANT SELECT ON customers TO `+who.role("bi"))
	p := b.browned(t, time.Minute, remarked())
	persistent := func(do func() error) { // two who change the same rights at the same moment: one of them is told, and tries again
		for {
			err := do()
			if err == nil {
				return
			}
			require.Empty(t, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, "tuple concurrently updated")
		}
	}
	const grantable = `SELECT is_grantable FROM pg_class CROSS JOIN aclexplode(relacl) WHERE oid = 'customers'::regclass AND privilege_type = 'SELECT' AND grantee <> relowner`
	for i := range 200 {
		require.Equal(t, "false", b.one(t, grantable))
		for _, on := range []bool{true, false} {
			meets := on == (i%2 == 0)
			var granting sync.WaitGroup
			if meets {
				granting.Go(func() {
					_, err := b.db.Pool.Exec(t.Context(), `SELECT pg_sleep($1)`, float64(i%20)/2000)
					require.NoError(t, err)
					persistent(func() error {
						_, err := b.db.Pool.Exec(t.Context(), `GRANT SELECT ON customers TO `+who.role("bi")+` WITH GRANT OPTION`)
						return err
					})
				})
			}
			persistent(func() error {
				_, err := b.Brownout(t.Context(), b.brownout(p, on))
				return err
			})
			granting.Wait()
		}
		require.Equal(t, "true", b.one(t, grantable), "round %d", i)
		b.db.Exec(t, `REVOKE GRANT OPTION FOR SELECT ON customers FROM `+who.role("bi"))
	}
}
