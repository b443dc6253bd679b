package alter_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse/alter"
)

// world is everything that is in the test's schema, and the functions beside the ledger: what it is like, and the rows, whatever the order of
// columns and rows.
func (b *bundle) world(t *testing.T) string {
	t.Helper()
	shape := b.one(t, `
		SELECT string_agg(line, E'\n' ORDER BY line)
		FROM (
			SELECT concat_ws(' ', 'relation', relname, relkind, relpersistence, relispartition, reltablespace, reloptions, relowner::regrole, obj_description(c.oid, 'pg_class'),
				(SELECT array_agg(r::text ORDER BY r::text) FROM aclexplode(relacl) r), CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END) AS line
			FROM pg_class c WHERE relnamespace = $1::regnamespace AND relkind NOT IN ('i', 'I')
			UNION ALL
			SELECT concat_ws(' ', 'column', relname, attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attcollation::regcollation, attstorage, attcompression, nullif(attstattarget, -1),
				attoptions, (SELECT array_agg(r::text ORDER BY r::text) FROM aclexplode(attacl) r), col_description(attrelid, attnum), pg_get_expr(adbin, adrelid))
			FROM pg_attribute JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
			WHERE relnamespace = $1::regnamespace AND relkind NOT IN ('i', 'I') AND attnum > 0 AND NOT attisdropped
			UNION ALL
			SELECT concat_ws(' ', 'constraint', relname, conname, pg_get_constraintdef(k.oid), convalidated, connoinherit, condeferrable, obj_description(k.oid, 'pg_constraint'))
			FROM pg_constraint k JOIN pg_class c ON c.oid = conrelid WHERE relnamespace = $1::regnamespace AND contype <> 'n'
			UNION ALL
			SELECT concat_ws(' ', 'index', -- the server, too, names the parts of an index
				CASE WHEN c.relispartition THEN replace(pg_get_indexdef(indexrelid), quote_ident(c.relname), '') ELSE pg_get_indexdef(indexrelid) END, indisvalid, indisready, indoption, indclass, indcollation, indisreplident, indisclustered, c.reltablespace, c.reloptions, obj_description(indexrelid, 'pg_class'))
			FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE relnamespace = $1::regnamespace
			UNION ALL
			SELECT concat_ws(' ', 'statistics', pg_get_statisticsobjdef(oid), stxstattarget, stxowner, obj_description(oid, 'pg_statistic_ext')) FROM pg_statistic_ext WHERE stxnamespace = $1::regnamespace
			UNION ALL
			SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(g.oid), tgenabled) FROM pg_trigger g JOIN pg_class c ON c.oid = tgrelid WHERE relnamespace = $1::regnamespace AND NOT tgisinternal
			UNION ALL
			SELECT concat_ws(' ', 'function', pg_get_functiondef(oid)) FROM pg_proc WHERE pronamespace IN ($1::regnamespace, $2::regnamespace) AND prokind = 'f' AND proname NOT IN ('refuse_write', 'note_locks')
			UNION ALL
			SELECT concat_ws(' ', 'type', typname, (SELECT array_agg(enumlabel ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid)) FROM pg_type t WHERE typnamespace = $1::regnamespace
		) AS all_of_it`, b.db.Schema, b.ledger.Schema())
	rows, err := b.db.Pool.Query(t.Context(), `SELECT relname::text FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p', 'v', 'm') ORDER BY 1`, b.db.Schema)
	require.NoError(t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	for _, table := range tables {
		shape += "\nrows of " + table + "\n" + b.one(t, `SELECT coalesce(string_agg(r, E'\n' ORDER BY r), '') FROM (SELECT to_jsonb(c)::text AS r FROM `+pgx.Identifier{table}.Sanitize()+` c) AS rows`)
	}
	return shape
}

// model is the world as plain SQL leaves it.
func (b *bundle) model(t *testing.T, s scenario, n naming, plain []string) string {
	t.Helper()
	b.db.Exec(t, `DROP SCHEMA `+b.db.Schema+` CASCADE`)
	b.db.Exec(t, `CREATE SCHEMA `+b.db.Schema)
	b.make(t, s, n)
	for _, sql := range plain {
		b.db.Exec(t, n.in(sql))
	}
	return b.world(t)
}

// undone makes what a scenario begins with, and says what the world has to be once it is taken back.
func (b *bundle) undone(t *testing.T, s scenario, n naming) string {
	t.Helper()
	want := b.model(t, s, n, s.stays)
	b.model(t, s, n, nil)
	return want
}

// unroll undoes all steps of a plan, each by do, and looks at what that has come to.
func (b *bundle) unroll(t *testing.T, s scenario, n naming, p migrate.Plan, want, when string, do func(migrate.Step)) {
	t.Helper()
	for _, step := range slices.Backward(p.Steps[:undoable(p)]) { // what was not done is undone as well
		do(step)
	}
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
	for _, sql := range s.stays {
		b.db.Exec(t, n.in(sql))
	}
	same(t, want, b.world(t), when)
}

// same compares two worlds, and shows the lines in which they differ.
func same(t *testing.T, want, got, when string) {
	t.Helper()
	less := func(from, than string) []string {
		return slices.DeleteFunc(strings.Split(from, "\n"), func(line string) bool { return slices.Contains(strings.Split(than, "\n"), line) })
	}
	if want != got {
		require.Fail(t, when, "it lacks\n%.2000s\nand has\n%.2000s", strings.Join(less(want, got), "\n"), strings.Join(less(got, want), "\n"))
	}
}

// restart begins a plan's migration by a new start of its workflow.
func (b *bundle) restart(t *testing.T, p migrate.Plan) {
	t.Helper()
	b.owner = start()
	b.begin(t, p)
}

// steps does the first so many steps of a plan, each by do, with what lies between them.
func (b *bundle) steps(t *testing.T, p migrate.Plan, count int, do func(migrate.Step)) {
	t.Helper()
	for _, phase := range migrate.Phases() {
		require.NoError(t, b.EnterPhase(t.Context(), b.owner, phase))
		for _, s := range p.Of(phase) {
			if count == 0 {
				return
			}
			do(s)
			count--
		}
		switch phase {
		case migrate.Backfill:
			filled, err := b.fill(t.Context(), p)
			require.NoError(t, err)
			require.True(t, filled.Done)
		case migrate.Verify:
			checked, err := b.Prove(t.Context(), b.owner, p, func() {})
			require.NoError(t, err)
			for _, c := range checked {
				require.Zero(t, c.Broken, c.Proof)
			}
		default: // there is nothing but steps
		}
		if count == 0 {
			return
		}
	}
}

// undoable is how many steps of a plan can be taken back.
func undoable(p migrate.Plan) int { return len(p.Steps) - len(p.Of(migrate.Contract)) }

// asked is a step, under the key that each attempt at it has.
func (b *bundle) asked(p migrate.Plan, s migrate.Step, undo bool) migrate.StepSpec {
	return migrate.StepSpec{
		Owner: b.owner, Key: effect.Key{Owner: b.owner, Environment: prod, Step: fmt.Sprintf("%s %t", s.ID, undo)}, Plan: p, Step: s, Undo: undo, LockBudget: 20 * time.Second,
		Application: "drawbridge/test/" + s.ID,
	}
}

// once does a step, or undoes it, without an accident.
func (b *bundle) once(t *testing.T, spec migrate.StepSpec) {
	t.Helper()
	r, err := b.DoStep(t.Context(), spec, beat)
	require.NoError(t, err, spec.Step.ID)
	require.True(t, r.Done, "%s is blocked: %+v", spec.Step.ID, r)
}

// over are the tables of the bundle, as a worker has them whose line is cut.
func (b *bundle) over(t *testing.T, at testdb.Cut, act string) (l *testdb.Line, tables *alter.Tables, leave func()) {
	t.Helper()
	l, url := testdb.Over(t, b.db.URL, at, act)
	pool, err := postgres.Open(t.Context(), postgres.Options{URL: url, Object: "warehouse", Application: "drawbridge/test", MaxConns: 6})
	require.NoError(t, err)
	return l, alter.On(pool, b.db.Schema), func() {
		pool.Close()
		l.Close()
	}
}

// crashing does a step, or undoes it, where the worker's line is cut in each of the places where that can be.
func (b *bundle) crashing(t *testing.T, spec migrate.StepSpec) {
	t.Helper()
	statements := spec.Step.Act
	if spec.Undo {
		statements = spec.Step.Undo
	}
	needed := len(statements) > 0
	if needed && spec.Undo { // what an earlier step has taken along is gone already
		gone := spec.Step.Gone
		if gone == "" {
			gone = "SELECT NOT (" + spec.Step.Probe + ")"
		}
		needed = !b.says(t, gone)
	}
	for _, at := range testdb.Cuts() {
		if !needed {
			break
		}
		act, _, _ := strings.Cut(statements[0], "\n")
		l, tables, leave := b.over(t, at, act)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		r, err := tables.DoStep(ctx, spec, beat)
		cancel()
		leave()
		require.Empty(t, fault.ClassOf(err), "%s %s: what may pass is tried again: %v", spec.Step.ID, at, err)
		if spec.Step.Class == migrate.Concurrent && !l.WasCut() && err == nil { // no transaction takes back what it did when it was cut before
			require.Equal(t, testdb.AfterTheAct, at, spec.Step.ID)
			spec.Key.Step += " once more"
			continue
		}
		require.True(t, l.WasCut(), "%s is not cut %s", spec.Step.ID, at)
		if at == testdb.AfterTheCommit {
			require.NoError(t, err, spec.Step.ID)
			require.True(t, r.Done, "%s is blocked: %+v", spec.Step.ID, r)
		}
	}
	b.once(t, spec)
}

// Each operation of the registry is proved by each of its scenarios. An operation without one is not registered.
func TestEveryOperationIsProved(t *testing.T) {
	t.Parallel()
	all := scenarios()
	for _, r := range migrate.Recipes() {
		require.NotEmpty(t, all[r.Kind], "%s has no scenario: nothing shows what it comes to, what it locks, and that it survives a crash", r.Kind)
	}
	for kind, forms := range all {
		_, known := migrate.RecipeOf(kind)
		require.True(t, known, "%s is in no registry", kind)
		for form, s := range forms {
			require.Equal(t, kind, s.operation.Kind)
			t.Run(strings.TrimSpace(string(kind)+" "+form), func(t *testing.T) {
				t.Parallel()
				for name, proof := range map[string]func(*testing.T, scenario){
					"comes to what plain SQL does, through a crash in every place": proveCrash,
					"is taken back from every step":                                proveUndo,
					"is taken back through a crash in every place":                 proveCrashOnTheWayBack,
					"takes names for names":                                        proveNames,
					"locks what it says, and no longer than it may":                proveLocks,
				} {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						proof(t, s)
					})
				}
			})
		}
	}
}

func proveCrash(t *testing.T, s scenario) {
	t.Helper()
	b := setup(t)
	b.make(t, s, plainly)
	p := b.planned(t, naming(plainly).migration(s))
	b.begin(t, p)
	b.steps(t, p, len(p.Steps), func(step migrate.Step) { b.crashing(t, b.asked(p, step, false)) })
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	after := b.world(t)
	same(t, b.model(t, s, plainly, s.plain), after, "done")
}

func proveUndo(t *testing.T, s scenario) {
	t.Helper()
	b := setup(t)
	want := b.undone(t, s, plainly)
	p := b.planned(t, naming(plainly).migration(s))
	for count := range undoable(p) + 1 {
		b.restart(t, p)
		b.steps(t, p, count, func(step migrate.Step) { b.once(t, b.asked(p, step, false)) })
		b.unroll(t, s, plainly, p, want, fmt.Sprintf("undone after %d steps", count), func(step migrate.Step) { b.once(t, b.asked(p, step, true)) })
	}
}

func proveCrashOnTheWayBack(t *testing.T, s scenario) {
	t.Helper()
	b := setup(t)
	want := b.undone(t, s, plainly)
	p := b.planned(t, naming(plainly).migration(s))
	b.begin(t, p)
	b.steps(t, p, undoable(p), func(step migrate.Step) { b.once(t, b.asked(p, step, false)) })
	b.unroll(t, s, plainly, p, want, "undone", func(step migrate.Step) { b.crashing(t, b.asked(p, step, true)) })
}

func proveNames(t *testing.T, s scenario) {
	t.Helper()
	b := setup(t)
	want := b.undone(t, s, hostilely)
	p := b.planned(t, naming(hostilely).migration(s))
	b.begin(t, p)
	b.steps(t, p, undoable(p), func(step migrate.Step) { b.once(t, b.asked(p, step, false)) })
	b.unroll(t, s, hostilely, p, want, "undone", func(step migrate.Step) { b.once(t, b.asked(p, step, true)) })
	b.restart(t, p)
	b.steps(t, p, len(p.Steps), func(step migrate.Step) { b.once(t, b.asked(p, step, false)) })
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	after := b.world(t)
	same(t, b.model(t, s, hostilely, s.plain), after, "done")
}
