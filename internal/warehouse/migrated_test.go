package warehouse_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/turnback"
)

// euros is the pipeline's release of a version: the first gives amount, the second amount and amount_eur, the third amount_eur. That of 2.0.1 gives
// both, and not the same. Those of 4 give cents, as a number of another type: beside amount, alone, beside amount of that type, and as amount.
// That of 5 gives no amount at all.
func euros(version string) *pipeline.Pipeline {
	p := shop()
	p.Version = version
	p.Outputs[0].SQL = map[string]string{
		"1.0.0": "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders",
		"1.0.1": "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders",
		"2.0.0": "SELECT order_id, ordered_at::date AS order_date, channel, amount, amount AS amount_eur FROM raw_orders",
		"2.0.1": "SELECT order_id, ordered_at::date AS order_date, channel, amount, (amount + 1)::numeric(12,2) AS amount_eur FROM raw_orders",
		"4.0.0": "SELECT order_id, ordered_at::date AS order_date, channel, amount, (amount * 100)::bigint AS cents FROM raw_orders",
		"4.1.0": "SELECT order_id, ordered_at::date AS order_date, channel, (amount * 100)::bigint AS cents FROM raw_orders",
		"4.2.0": "SELECT order_id, ordered_at::date AS order_date, channel, (amount * 100)::bigint AS cents, (amount * 100)::bigint AS amount FROM raw_orders",
		"4.3.0": "SELECT order_id, ordered_at::date AS order_date, channel, (amount * 100)::bigint AS amount FROM raw_orders",
		"5.0.0": "SELECT order_id, ordered_at::date AS order_date, channel FROM raw_orders",
		"3.0.0": "SELECT order_id, ordered_at::date AS order_date, channel, amount AS amount_eur FROM raw_orders",
	}[version]
	p.Outputs[0].Checks = p.Outputs[0].Checks[:1]
	return p
}

// released deploys a version to some days, and leaves.
func (b *bundle) released(t *testing.T, version string, days ...partition.Key) (made []generation.Generation) {
	t.Helper()
	b.cross(t, version)
	var swaps []generation.Swap
	for _, day := range days {
		live, _, err := b.Live(t.Context(), "fct_orders", day)
		require.NoError(t, err)
		g := b.build(t, euros(version), day).Generation
		made, swaps = append(made, g), append(swaps, swap(g, live))
	}
	b.publish(t, swaps...)
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	return made
}

// filled builds days again with what is active, as a backfill does.
func (b *bundle) filled(t *testing.T, days ...partition.Key) (made []generation.Generation) {
	t.Helper()
	active, err := b.Active(t.Context(), "shop")
	require.NoError(t, err)
	b.tenure, b.owner = active, workflow("run/shop/"+uuid.NewString())
	for _, day := range days {
		live, _, err := b.Live(t.Context(), "fct_orders", day)
		require.NoError(t, err)
		g := b.build(t, euros(active.Release.Version), day).Generation
		b.publish(t, swap(g, live))
		made = append(made, g)
	}
	return made
}

// moving is a migration of the output that renames its amount.
type moving struct {
	*bundle
	owner effect.Owner
	plan  migrate.Plan
}

func renaming() migrate.Migration {
	return migrate.Migration{
		Name: "0001_euros", Table: "fct_orders", Why: "amount of what",
		Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"}},
	}
}

func (b *bundle) planMigration(t *testing.T, m migrate.Migration, giveUp bool) (migrate.Plan, error) {
	t.Helper()
	table, err := b.DescribeTable(t.Context(), m.Table, migrate.Expressions(m))
	require.NoError(t, err)
	return migrate.Compute(migrate.Input{Migration: m, Release: releaseOf("2.0.0"), Environment: prod, Table: table, Outputs: []string{"fct_orders"}, GiveUp: giveUp})
}

func (b *bundle) migrating(t *testing.T, m migrate.Migration, giveUp bool) *moving {
	t.Helper()
	p, err := b.planMigration(t, m, giveUp)
	require.NoError(t, err)
	v := &moving{bundle: b, owner: effect.OwnerOf("migrate/shop/prod/"+m.Name, uuid.NewString()), plan: p}
	_, err = b.BeginMigration(t.Context(), migrate.Entry{Plan: p, Digest: migrate.Digest(p), By: "ann", Reason: "clear"}, anew(v.owner))
	require.NoError(t, err)
	return v
}

func (v *moving) does(t *testing.T, undo bool, phase migrate.Phase) migrate.StepResult {
	t.Helper()
	var last migrate.StepResult
	for _, s := range v.plan.Of(phase) {
		var err error
		last, err = v.DoStep(t.Context(), migrate.StepSpec{
			Owner: v.owner, Key: anew(v.owner), Plan: v.plan, Step: s, Undo: undo, LockBudget: 20 * time.Second, Application: "drawbridge/test",
		}, func(time.Duration) {})
		require.NoError(t, err)
	}
	return last
}

func (v *moving) enters(t *testing.T, phases ...migrate.Phase) {
	t.Helper()
	for _, phase := range phases {
		require.NoError(t, v.EnterPhase(t.Context(), v.owner, phase))
	}
}

// waits is what it waits for in a phase.
func (v *moving) waits(t *testing.T, phase migrate.Phase) string {
	t.Helper()
	why, err := v.Ungiven(t.Context(), v.owner, phase)
	require.NoError(t, err)
	return strings.Join(why, "; ")
}

// free is what contract waits for of releases, by one of the two that ask for it.
func (v *moving) free(t *testing.T, ask func(context.Context, effect.Owner) ([]string, error)) string {
	t.Helper()
	why, err := ask(t.Context(), v.owner)
	require.NoError(t, err)
	return strings.Join(why, "; ")
}

// refuses is what an observation for a release says against it by the rule of migrations.
func (b *bundle) refuses(t *testing.T, version string) string {
	t.Helper()
	observed, err := b.Observe(t.Context(), euros(version), header())
	require.NoError(t, err)
	var said []string
	for _, p := range observed.Problems {
		if p.Rule == "migration" {
			require.True(t, p.Blocking)
			if !strings.Contains(p.Text, "has taken away") && !strings.Contains(p.Text, "has brought") { // then none is open that could be ended
				require.Regexp(t, "drawbridge migrate rollback migrate/shop/prod/000[0-9a-z_]+ --reason TEXT", p.Remedy)
			}
			said = append(said, p.Text)
		}
	}
	return strings.Join(said, "; ")
}

// columns are those of a relation, and of every kept table of generations.
func (b *bundle) having(t *testing.T, column string) (tables []string) {
	t.Helper()
	rows, err := b.db.Pool.Query(t.Context(), `
		SELECT c.relname::text
		FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ($1::text, $1::text || '__data') AND a.attname = $2 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
		ORDER BY 1`, b.db.Schema, column)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	return tables
}

const (
	first  = partition.Key("2026-01-01")
	second = partition.Key("2026-01-02")
)

// begun is the output as the first release made it, on two days.
func begun(t *testing.T) (*bundle, []generation.Generation) {
	t.Helper()
	b := setup(t)
	b.orders(first, 10, 1)
	b.orders(second, 10, 2)
	return b, b.released(t, "1.0.0", first, second)
}

func TestAColumnOfAnOutputIsRenamedByItsReleases(t *testing.T) {
	t.Parallel()
	b, old := begun(t)
	v := b.migrating(t, renaming(), false)
	v.does(t, false, migrate.Expand)
	require.Contains(t, b.having(t, "amount_eur"), "fct_orders")
	v.enters(t, migrate.DualWrite)
	require.Contains(t, v.waits(t, migrate.DualWrite), "shop@1.0.0 is active, and does not give amount_eur to fct_orders: deploy a release whose SELECT gives amount, amount_eur")
	require.Empty(t, b.refuses(t, "1.0.0"), "until a release gives both, that of before goes on")
	require.Empty(t, b.refuses(t, "2.0.0"))
	require.Contains(t, b.refuses(t, "3.0.0"), "its SELECT does not give amount, and while the migration 0001_euros is open")

	both := b.released(t, "2.0.0", first)
	require.Empty(t, v.waits(t, migrate.DualWrite))
	require.Contains(t, b.refuses(t, "1.0.0"), "does not give amount_eur")
	require.Contains(t, b.refuses(t, "3.0.0"), "does not give amount")
	v.enters(t, migrate.Backfill)
	require.Contains(t, v.waits(t, migrate.Backfill), "1 partition of fct_orders (2026-01-02) was built by releases that do not give amount, amount_eur: drawbridge backfill shop --env prod --from 2026-01-02 --to 2026-01-02 --reason TEXT")
	err := v.EnterPhase(t.Context(), v.owner, migrate.Switch)
	require.ErrorAs(t, err, new(admission.HeldError), "the new shape does not count where a partition lacks it")
	both = append(both, b.filled(t, second)...)
	require.Empty(t, v.waits(t, migrate.Backfill))

	v.enters(t, migrate.Verify)
	proved, err := v.Prove(t.Context(), v.owner, v.plan, func() {})
	require.NoError(t, err)
	require.Len(t, proved, 1)
	require.EqualValues(t, 20, proved[0].Rows, "the rows of all partitions are looked at")
	require.Zero(t, proved[0].Broken)

	require.Empty(t, v.free(t, v.Unfree), "before the window nothing is to go")
	v.enters(t, migrate.Switch, migrate.Deprecating)
	why := v.free(t, v.Unfree)
	require.Contains(t, why, "shop@2.0.0 is active, and gives amount to fct_orders: once contract is approved, deploy a release whose SELECT leaves it out")
	require.Contains(t, why, "2 retired generations of fct_orders lack amount_eur")
	require.Contains(t, b.refuses(t, "3.0.0"), "does not give amount", "to look lets nothing in")
	why = v.free(t, v.FreeOld)
	require.Contains(t, why, "shop@2.0.0 is active, and gives amount to fct_orders: deploy a release whose SELECT leaves it out")
	require.Contains(t, why, "2 retired generations of fct_orders lack amount_eur")
	require.Equal(t, why, v.free(t, v.Unfree))
	require.Empty(t, b.refuses(t, "3.0.0"), "whoever must has said that the old shape may go")
	require.Contains(t, b.refuses(t, "1.0.0"), "does not give amount_eur")
	after := b.released(t, "3.0.0", first)
	require.ErrorAs(t, v.EnterPhase(t.Context(), v.owner, migrate.Contract), new(admission.HeldError))

	_, err = b.db.Pool.Exec(t.Context(), `UPDATE `+b.db.Schema+`__ledger.generation SET at = now() - interval '8 days' WHERE id = ANY($1)`, []int64{old[0].ID, old[1].ID})
	require.NoError(t, err)
	require.NoError(t, b.Housekeep(t.Context(), 7*24*time.Hour))
	require.Empty(t, v.free(t, v.FreeOld))
	v.enters(t, migrate.Contract)
	require.True(t, v.does(t, false, migrate.Contract).Done)
	require.Empty(t, b.having(t, "amount"), "nothing that is kept has it")
	require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.Done))
	require.NoError(t, b.Verify(t.Context(), []int64{both[0].ID, both[1].ID, after[0].ID}, func() {}), "what is recorded of each generation is over what it has now")

	require.Equal(t, "its SELECT gives amount to fct_orders, which a migration has taken away", b.refuses(t, "2.0.0"), "to deploy it is refused as to go back to it is")
	require.Empty(t, b.refuses(t, "3.0.0"))
	b.filled(t, second)
	b.goBack(t, both[1])
	var sum string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT sum(amount_eur)::text FROM fct_orders`).Scan(&sum))
	require.Equal(t, "40.00", sum, "a generation of before contract is gone back to, with what is new")
	_, _, err = b.BeginTurnBack(t.Context(), rollback("2.0.0"), anew(workflow("rollback/shop/late")))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "its SELECT gives amount to fct_orders, which a migration has taken away")
}

func TestARollbackGoesBeforeAMigrationOfAnOutputUntilItsSwitch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		phases  []migrate.Phase
		refused string
	}{
		"in expand":                 {nil, ""},
		"in dual write":             {[]migrate.Phase{migrate.DualWrite}, ""},
		"in the backfill":           {[]migrate.Phase{migrate.DualWrite, migrate.Backfill}, ""},
		"when it is verified":       {[]migrate.Phase{migrate.DualWrite, migrate.Backfill, migrate.Verify}, ""},
		"after the switch":          {[]migrate.Phase{migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch}, "does not give amount_eur"},
		"in the deprecation window": {[]migrate.Phase{migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch, migrate.Deprecating}, "does not give amount_eur"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, old := begun(t)
			v := b.migrating(t, renaming(), false)
			v.does(t, false, migrate.Expand)
			b.released(t, "2.0.0", first, second)
			require.Empty(t, v.waits(t, migrate.Backfill))
			v.enters(t, c.phases...)

			if c.refused != "" {
				_, _, err := b.BeginTurnBack(t.Context(), rollback("1.0.0"), anew(workflow("rollback/shop/late")))
				require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
				require.ErrorContains(t, err, c.refused)
				require.Contains(t, fault.HintOf(err), "drawbridge migrate rollback migrate/shop/prod/0001_euros --reason TEXT")
				_, err = b.back(t, old[0])
				require.Equal(t, fault.Refused, fault.ClassOf(err), "a single partition neither: %v", err)
				v.does(t, true, migrate.Expand)
				require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.RolledBack))
			}
			turning := b.begins(t, rollback("1.0.0"))
			var swaps []generation.Swap
			for _, d := range turning.decisionsOf(t, "fct_orders") {
				for _, it := range d.Items {
					require.Equal(t, turnback.SwapBack, it.Action, it.Reason)
					swaps = append(swaps, generation.Swap{Output: it.Output, Partition: d.Partition, From: it.From, To: it.To})
				}
			}
			require.Len(t, swaps, 2)
			b.done(t, turning.try(swaps...))
			require.Equal(t, "40.00", b.sum(t))
			var given int
			require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(amount_eur) FROM fct_orders`).Scan(&given))
			require.Zero(t, given, "the release of before does not give it")
			require.NoError(t, b.EndTurnBack(t.Context(), turning.Tenure.Number, turnback.Done, anew(turning.actor)))
			require.Empty(t, b.refuses(t, "1.0.0"), "what is active goes on")
			b.filled(t, first)
			if c.refused == "" {
				require.Contains(t, v.waits(t, migrate.Backfill), "shop@1.0.0 is active, and does not give amount_eur")
				require.ErrorAs(t, v.EnterPhase(t.Context(), v.owner, migrate.Switch), new(admission.HeldError))
			}
		})
	}
}

// decisionsOf are what is left to do of one output.
func (b turning) decisionsOf(t *testing.T, table string) []turnback.Decision {
	t.Helper()
	page, err := b.DecideTurnBack(t.Context(), b.TurnBack, []turnback.Output{{Table: table}}, "", 100)
	require.NoError(t, err)
	return page.Decisions
}

func TestWhatWasGivenUpAtContractIsNeverAttachedAgain(t *testing.T) {
	t.Parallel()
	b, old := begun(t)
	v := b.migrating(t, renaming(), true)
	v.does(t, false, migrate.Expand)
	both := b.released(t, "2.0.0", first, second)
	require.Empty(t, v.waits(t, migrate.Backfill))
	v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch, migrate.Deprecating)
	_, err := v.FreeOld(t.Context(), v.owner)
	require.NoError(t, err)
	b.released(t, "3.0.0", first, second)
	v.enters(t, migrate.Contract)
	require.True(t, v.does(t, false, migrate.Contract).Done)
	require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.Done))

	require.NoError(t, b.Verify(t.Context(), []int64{both[0].ID, both[1].ID}, func() {}))
	b.goBack(t, both[0]) // which stood aside in a chunk with others
	_, err = b.back(t, old[0])
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	for _, g := range old {
		var why string
		require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT not_reattachable FROM `+b.db.Schema+`__ledger.generation WHERE id = $1`, g.ID).Scan(&why))
		require.Equal(t, "amount was taken away by the migration 0001_euros, and it gives nothing in its place", why)
	}
}

// A column that was renamed, and is called again as before, has no value in generations of the release that gave both: the first migration has
// taken it away from them.
func TestAColumnThatComesBackIsBuiltAnew(t *testing.T) {
	t.Parallel()
	b, _ := begun(t)
	v := b.migrating(t, renaming(), true)
	v.does(t, false, migrate.Expand)
	both := b.released(t, "2.0.0", first, second)
	require.Empty(t, v.waits(t, migrate.Backfill))
	v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch, migrate.Deprecating)
	_, err := v.FreeOld(t.Context(), v.owner)
	require.NoError(t, err)
	b.released(t, "3.0.0", first)
	v.enters(t, migrate.Contract)
	require.True(t, v.does(t, false, migrate.Contract).Done)
	require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.Done))

	again := renaming()
	again.Name, again.Operations[0].Column, again.Operations[0].To = "0002_again", "amount_eur", "amount"
	v = b.migrating(t, again, true)
	require.Contains(t, b.refuses(t, "2.0.0"), "gives amount to fct_orders, which a migration has taken away")
	v.does(t, false, migrate.Expand)
	require.Empty(t, b.refuses(t, "2.0.0"), "the table has it again")
	b.released(t, "2.0.0", first)
	require.Empty(t, v.waits(t, migrate.DualWrite))
	v.enters(t, migrate.DualWrite, migrate.Backfill)
	require.Contains(t, v.waits(t, migrate.Backfill), "1 partition of fct_orders (2026-01-02) was built by releases that do not give amount_eur, amount")
	b.filled(t, second)
	require.Empty(t, v.waits(t, migrate.Backfill))
	v.enters(t, migrate.Verify, migrate.Switch, migrate.Deprecating)

	for _, old := range both {
		_, err := b.back(t, old)
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, "cannot be again")
	}
	require.Equal(t, "40.00", b.sum(t))
}

// A column gets another type by another name, and then its own name again.
func TestAColumnOfAnOutputGetsAnotherTypeByWayOfAnotherName(t *testing.T) {
	t.Parallel()
	b, _ := begun(t)
	goes := func(m migrate.Migration, both, after string) {
		v := b.migrating(t, m, true)
		v.does(t, false, migrate.Expand)
		b.released(t, both, first, second)
		require.Empty(t, v.waits(t, migrate.Backfill))
		v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify)
		proved, err := v.Prove(t.Context(), v.owner, v.plan, func() {})
		require.NoError(t, err)
		for _, p := range proved {
			require.EqualValues(t, 20, p.Rows, p.Proof)
			require.Zero(t, p.Broken, p.Proof)
		}
		v.enters(t, migrate.Switch, migrate.Deprecating)
		v.free(t, v.FreeOld)
		b.released(t, after, first)
		require.Empty(t, v.free(t, v.FreeOld))
		why, err := v.Unready(t.Context(), v.owner, v.plan, func() {})
		require.NoError(t, err)
		require.Empty(t, why)
		v.enters(t, migrate.Contract)
		require.True(t, v.does(t, false, migrate.Contract).Done)
		require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.Done))
	}
	typed := renaming()
	typed.Name, typed.Operations = "0001_cents", []migrate.Operation{
		{Kind: migrate.AddColumn, Column: "cents", Type: "bigint", Required: true, Up: "(amount * 100)::bigint"}, {Kind: migrate.DropColumn, Column: "amount"},
	}
	goes(typed, "4.0.0", "4.1.0")
	named := renaming()
	named.Name, named.Operations[0].Column, named.Operations[0].To = "0002_named", "cents", "amount"
	goes(named, "4.2.0", "4.3.0")
	b.filled(t, second)
	var like string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT sum(amount) || ' ' || min(pg_typeof(amount)::text) FROM fct_orders`).Scan(&like))
	require.Equal(t, "4000 bigint", like)
	require.Empty(t, b.having(t, "cents"))
}

// What a migration has brought is promised to readers from then on: until another one takes it away.
func TestWhatAMigrationHasBroughtIsGivenUntilAnotherOneTakesItAway(t *testing.T) {
	t.Parallel()
	b, _ := begun(t)
	added := renaming()
	added.Name, added.Operations = "0001_cents", []migrate.Operation{
		{Kind: migrate.AddColumn, Column: "cents", Type: "bigint", Required: true, Up: "(amount * 100)::bigint"},
	}
	v := b.migrating(t, added, false)
	v.does(t, false, migrate.Expand)
	both := b.released(t, "4.0.0", first, second)
	v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch, migrate.Deprecating)
	require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.Done))

	require.Equal(t, "its SELECT does not give cents, which the migration 0001_cents has brought", b.refuses(t, "1.0.0"))
	require.Empty(t, b.refuses(t, "4.1.0"))
	_, _, err := b.BeginTurnBack(t.Context(), rollback("1.0.0"), anew(workflow("rollback/shop/late")))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "its SELECT for fct_orders does not give cents, which the migration 0001_cents has brought")
	require.Contains(t, fault.HintOf(err), "take it away by a migration of its own (drop_column)")
	b.cross(t, "1.0.1")
	built := b.build(t, euros("1.0.1"), first).Generation
	_, err = b.attempt(t.Context(), b.patient(swap(built, both[0].ID)), beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "does not give cents, which the migration 0001_cents has brought")
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))

	dropped := renaming()
	dropped.Name, dropped.Operations = "0002_no_cents", []migrate.Operation{{Kind: migrate.DropColumn, Column: "cents"}}
	v = b.migrating(t, dropped, false)
	require.Contains(t, b.refuses(t, "1.0.0"), "its SELECT does not give cents, and while the migration 0002_no_cents is open")
	v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch, migrate.Deprecating)
	v.free(t, v.FreeOld)
	require.Empty(t, b.refuses(t, "1.0.0"))
	b.released(t, "1.0.0", first)
	require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.RolledBack))
	require.Contains(t, b.refuses(t, "1.0.0"), "which the migration 0001_cents has brought", "what was not taken away is promised still")
	b.db.Exec(t, `DROP TABLE fct_orders CASCADE`)
	require.Empty(t, b.refuses(t, "1.0.0"), "of a table that is gone nothing is promised")
}

// What is published is held to the migration once more, in its own transaction: it may have been planned before.
func TestAReleaseThatLacksWhatAMigrationNeedsIsNotPublished(t *testing.T) {
	t.Parallel()
	b, old := begun(t)
	b.cross(t, "3.0.0")
	built := b.build(t, euros("3.0.0"), first).Generation
	b.migrating(t, renaming(), false)
	_, err := b.attempt(t.Context(), b.patient(swap(built, old[0].ID)), beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "does not give amount, and while the migration 0001_euros is open")
}

func TestAMigrationOfAnOutputThatGoesBackLeavesWhatGenerationsHave(t *testing.T) {
	t.Parallel()
	b, _ := begun(t)
	v := b.migrating(t, renaming(), false)
	v.does(t, false, migrate.Expand)
	require.Contains(t, b.having(t, "amount_eur"), "fct_orders")
	v.does(t, true, migrate.Expand)
	require.Empty(t, b.having(t, "amount_eur"), "nothing was built with it")
	require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.RolledBack))
	require.Empty(t, b.refuses(t, "3.0.0"))

	made := b.released(t, "2.0.0", first)
	v = b.migrating(t, renaming(), false)
	v.does(t, false, migrate.Expand)
	v.does(t, true, migrate.Expand)
	require.NoError(t, v.EndMigration(t.Context(), v.owner, migrate.RolledBack))
	require.Contains(t, b.having(t, "amount_eur"), "fct_orders", "a generation gives it, and has to stay as it is")
	require.NoError(t, b.Verify(t.Context(), []int64{made[0].ID}, func() {}))
}

func TestWhatAnOutputIsCutByIsNotTakenAway(t *testing.T) {
	t.Parallel()
	b, _ := begun(t)
	m := renaming()
	m.Operations = []migrate.Operation{{Kind: migrate.DropColumn, Column: "order_date"}}
	_, err := b.planMigration(t, m, false)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "the partitions, which are cut by it")
}

// After the switch a workflow's own turn-back does not bring back what lacks the new shape: the release that stays builds it again.
func TestWhatLacksTheNewShapeIsBuiltAgainInsteadOfAttached(t *testing.T) {
	t.Parallel()
	b, old := begun(t)
	v := b.migrating(t, renaming(), false)
	v.does(t, false, migrate.Expand)
	b.released(t, "2.0.0", first)
	b.filled(t, second)
	backfilled := b.owner
	turnsTo := func() turnback.Item {
		b, ok, err := b.PreviewTurnBack(t.Context(), compensation(backfilled))
		require.NoError(t, err)
		require.True(t, ok)
		decisions := turning{bundle: v.bundle, TurnBack: b}.decisionsOf(t, "fct_orders")
		var items []turnback.Item
		for _, d := range decisions {
			if d.Partition == second {
				items = append(items, d.Items...)
			}
		}
		require.Len(t, items, 1, "%+v", decisions)
		return items[0]
	}
	before := turnsTo()
	require.Equal(t, turnback.SwapBack, before.Action, before.Reason)
	require.Equal(t, old[1].ID, before.To)
	v.enters(t, migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch)
	after := turnsTo()
	require.Equal(t, turnback.Rebuild, after.Action, after.Reason)
	require.Contains(t, after.Reason, "it does not give what the migration 0001_euros needs since its switch: amount, amount_eur")
}

// Whoever leaves a column out first, and drops it then, goes on meanwhile.
func TestWhatTheActiveReleaseLeavesOutNobodyHasToGiveAgain(t *testing.T) {
	t.Parallel()
	drop := migrate.Migration{Name: "0001_euros", Table: "fct_orders", Why: "nobody reads it", Operations: []migrate.Operation{{Kind: migrate.DropColumn, Column: "amount"}}}
	b, _ := begun(t)
	b.migrating(t, drop, false)
	require.Contains(t, b.refuses(t, "3.0.0"), "does not give amount", "readers have it until contract")

	b, _ = begun(t)
	b.released(t, "3.0.0", first)
	b.migrating(t, drop, false)
	require.Empty(t, b.refuses(t, "3.0.0"))
	b.filled(t, second)
}
