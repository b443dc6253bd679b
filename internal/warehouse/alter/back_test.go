package alter_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// sales makes a table of which either column with a default can be replaced.
func (b *bundle) sales(t *testing.T) {
	t.Helper()
	b.db.Exec(t, `CREATE TABLE sales (id bigint PRIMARY KEY, qty int NOT NULL DEFAULT 1, chan text NOT NULL DEFAULT 'web')`)
	b.db.Exec(t, `CREATE INDEX sales_chan ON sales (chan)`)
	b.db.Exec(t, `INSERT INTO sales SELECT i, i, 'c' || i FROM generate_series(1, 100) i`)
	b.db.Exec(t, `ANALYZE sales`)
}

func renamed() migrate.Migration {
	return migrate.Migration{Name: "0001_channel", Table: "sales", Why: "Names.", Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "chan", To: "channel"}}}
}

func widened() migrate.Migration {
	return migrate.Migration{Name: "0001_channel", Table: "sales", Why: "It grows.", Operations: []migrate.Operation{
		{Kind: migrate.ChangeType, Column: "qty", To: "text", Up: "(qty + 1)::text", Down: "qty::int - 1", Default: "'2'"},
	}}
}

// undo undoes a step.
func (b *bundle) undo(t *testing.T, p migrate.Plan, id string) error {
	t.Helper()
	spec := b.spec(p, id)
	spec.Undo = true
	r, err := b.DoStep(t.Context(), spec, beat)
	require.True(t, err != nil || r.Done, "%s is blocked: %+v", id, r)
	return err
}

// back undoes every step, last first, as far as that goes.
func (b *bundle) back(t *testing.T, p migrate.Plan) error {
	t.Helper()
	for _, s := range slices.Backward(p.Steps) {
		if s.Phase == migrate.Contract {
			continue
		}
		if err := b.undo(t, p, s.ID); err != nil {
			return err
		}
	}
	return b.EndMigration(t.Context(), b.owner, migrate.RolledBack)
}

// writer is the name of the trigger of a dual write that ends in a suffix.
func (b *bundle) writer(t *testing.T, suffix string) string {
	t.Helper()
	return b.one(t, `SELECT quote_ident(tgname) FROM pg_trigger WHERE tgrelid = 'sales'::regclass AND NOT tgisinternal AND tgname LIKE '%' || $1`, suffix)
}

// What somebody has changed of a migration while both shapes are there is not gone by that.
func TestARollbackBringsTheTableBackWhateverSomebodyHasChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m  migrate.Migration
		by []string
	}{
		"a default dropped":               {renamed(), []string{`ALTER TABLE sales ALTER channel DROP DEFAULT`}},
		"another default":                 {renamed(), []string{`ALTER TABLE sales ALTER channel SET DEFAULT 'store'`}},
		"a default of the old column":     {renamed(), []string{`ALTER TABLE sales ALTER chan SET DEFAULT 'store'`}},
		"a default dropped after a swap":  {widened(), []string{`ALTER TABLE sales ALTER qty DROP DEFAULT`}},
		"a null allowed":                  {renamed(), []string{`ALTER TABLE sales ALTER channel DROP NOT NULL`}},
		"a null allowed after a swap":     {widened(), []string{`ALTER TABLE sales ALTER qty DROP NOT NULL`}},
		"a trigger that always fires":     {renamed(), []string{`ALTER TABLE sales ENABLE ALWAYS TRIGGER INSERT`}},
		"a trigger that is switched off":  {renamed(), []string{`ALTER TABLE sales DISABLE TRIGGER UPDATE`}},
		"a trigger dropped":               {renamed(), []string{`DROP TRIGGER UPDATE ON sales`}},
		"a trigger dropped after a swap":  {widened(), []string{`DROP TRIGGER INSERT ON sales`}},
		"all that writes both dropped":    {widened(), []string{`DROP FUNCTION FUNCTION CASCADE`}},
		"a function that does otherwise":  {widened(), []string{`CREATE OR REPLACE FUNCTION FUNCTION() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`}},
		"a function of its owner's":       {renamed(), []string{`ALTER FUNCTION FUNCTION() SECURITY DEFINER`}},
		"an index dropped":                {renamed(), []string{`DROP INDEX INDEX`}},
		"an index over something else":    {renamed(), []string{`DROP INDEX INDEX`, `CREATE INDEX INDEX ON sales (channel, id)`}},
		"a comment, and a new statistics": {renamed(), []string{`COMMENT ON COLUMN sales.channel IS 'new'`, `ALTER TABLE sales ALTER channel SET STATISTICS 10`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.sales(t)
			before := b.like(t, "sales")
			p := b.planned(t, c.m)
			b.begin(t, p)
			b.through(t, p, migrate.Deprecating)
			function := b.one(t, `SELECT min(tgfoid::regproc::text) FROM pg_trigger WHERE tgrelid = 'sales'::regclass AND NOT tgisinternal`)
			index := b.one(t, `SELECT coalesce(min(x.relname), '') FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = 'sales'::regclass AND x.relname NOT IN ('sales_pkey', 'sales_chan')`)
			named := strings.NewReplacer("FUNCTION FUNCTION", "FUNCTION "+function, "TRIGGER INSERT", "TRIGGER "+b.writer(t, "_i"), "TRIGGER UPDATE", "TRIGGER "+b.writer(t, "_u"), "INDEX INDEX", "INDEX "+index)
			for _, sql := range c.by {
				b.db.Exec(t, named.Replace(sql))
			}
			require.NoError(t, b.back(t, p))
			require.Equal(t, before, b.like(t, "sales"))
			require.Equal(t, "0", b.one(t, `SELECT count(*) FROM pg_trigger WHERE tgrelid = 'sales'::regclass AND NOT tgisinternal`))
			b.db.Exec(t, `INSERT INTO sales (id) VALUES (9001)`)
			require.Equal(t, "1 web", b.one(t, `SELECT qty || ' ' || chan FROM sales WHERE id = 9001`))
		})
	}
}

func TestWhatCannotBeTakenBackIsNamedAndTheSameCommandFinishesOnceItIsPutRight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sales(t)
	before := b.like(t, "sales")
	p := b.planned(t, widened())
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	b.db.Exec(t, `ALTER TABLE sales RENAME qty TO amount`)
	for range 2 {
		err := b.back(t, p)
		require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
		require.ErrorContains(t, err, "somebody has changed what the migration made")
		require.ErrorContains(t, err, "qty__new")
		require.Equal(t, "put that right, and then: drawbridge migrate rollback migrate/shop/prod/0001_channel --reason TEXT", fault.HintOf(err))
	}
	b.db.Exec(t, `ALTER TABLE sales RENAME amount TO qty`)
	require.NoError(t, b.back(t, p))
	require.Equal(t, before, b.like(t, "sales"))
}

// unready is what the table says against the contract.
func (b *bundle) unready(t *testing.T, p migrate.Plan) []string {
	t.Helper()
	why, err := b.Unready(t.Context(), b.owner, p, func() {})
	require.NoError(t, err)
	return why
}

// end is the step that takes the old shape away.
func (b *bundle) end(t *testing.T, p migrate.Plan) error {
	t.Helper()
	r, err := b.DoStep(t.Context(), b.spec(p, p.Of(migrate.Contract)[0].ID), beat)
	require.True(t, err != nil || r.Done, "it is blocked: %+v", r)
	return err
}

func TestWhatIsWrittenToOneShapeOnlyKeepsTheOldOneFromGoing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		m             migrate.Migration
		write, repair string
		why           string
	}{
		"renamed": {
			renamed(), `UPDATE sales SET chan = 'NEW' WHERE id IN (7, 8, 9)`, `UPDATE sales SET channel = chan WHERE chan = 'NEW'`,
			"that chan and channel say the same does not hold of 3 rows; keys of some: ",
		},
		"of another type": {
			widened(), `UPDATE sales SET qty__old = 555 WHERE id = 7`, `UPDATE sales SET qty = (qty__old + 1)::text WHERE id = 7`,
			"that qty__old and qty say the same does not hold of 1 row; keys of some: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.sales(t)
			p := b.planned(t, c.m)
			b.begin(t, p)
			b.through(t, p, migrate.Deprecating)
			require.Empty(t, b.unready(t, p))
			b.db.Exec(t, `ALTER TABLE sales DISABLE TRIGGER USER`)
			require.Len(t, b.unready(t, p), 1)
			require.Contains(t, b.unready(t, p)[0], "somebody has changed what the step dual-write-write-both made")
			b.db.Exec(t, c.write)
			b.db.Exec(t, `ALTER TABLE sales ENABLE TRIGGER USER`)
			why := b.unready(t, p)
			require.Len(t, why, 1)
			require.Contains(t, why[0], c.why)
			_, samples, _ := strings.Cut(why[0], c.why)
			rows, err := b.db.Pool.Query(t.Context(), samples)
			require.NoError(t, err)
			rows.Close()
			require.NoError(t, rows.Err())

			require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract)) // whoever comes by here anyway
			err = b.end(t, p)
			require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, c.why)
			require.Contains(t, fault.HintOf(err), "drawbridge migrate start shop@1.0.0 0001_channel --env prod --reason TEXT")
			b.db.Exec(t, c.repair)
			require.Empty(t, b.unready(t, p))
			require.NoError(t, b.end(t, p))
			require.Equal(t, "1", b.one(t, `SELECT count(*) FROM sales s WHERE id = 7 AND (s::text LIKE '%NEW%' OR s::text LIKE '%556%')`))
		})
	}
}

// Between the count and the lock a trigger was off, and is on again: rows are counted anew.
func TestATriggerThatWasSwitchedWhileRowsWereCountedHasThemCountedAnew(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sales(t)
	p := b.planned(t, renamed())
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	reader, err := b.db.Pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = reader.Exec(t.Context(), `SELECT FROM sales LIMIT 1`) // the step waits for it, and has counted by then
	require.NoError(t, err)
	ended := make(chan error, 1)
	spec := b.spec(p, p.Of(migrate.Contract)[0].ID)
	go func() {
		_, err := b.DoStep(t.Context(), spec, beat)
		ended <- err
	}()
	require.Eventually(t, func() bool {
		return b.one(t, `SELECT count(*) FROM pg_locks WHERE relation = 'sales'::regclass AND NOT granted`) == "1"
	}, 20*time.Second, time.Millisecond)
	require.NoError(t, pgx.BeginFunc(t.Context(), b.db.Pool, func(tx pgx.Tx) error {
		for _, sql := range []string{`LOCK TABLE sales IN SHARE ROW EXCLUSIVE MODE`, `ALTER TABLE sales DISABLE TRIGGER USER`, `UPDATE sales SET chan = 'NEW' WHERE id = 7`, `ALTER TABLE sales ENABLE TRIGGER USER`} {
			if _, err := tx.Exec(t.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, reader.Rollback(t.Context()))
	err = <-ended
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "does not hold of 1 row")
	require.Equal(t, "NEW", b.one(t, `SELECT chan FROM sales WHERE id = 7`))
}

func TestATriggerThatIsGoneKeepsNothingWrittenFromBeingKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sales(t)
	p := b.planned(t, renamed())
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	definition := b.one(t, `SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'sales'::regclass AND tgname LIKE '%\_i'`)
	b.db.Exec(t, `DROP TRIGGER `+b.writer(t, "_i")+` ON sales`)
	require.Contains(t, b.unready(t, p)[0], "somebody has changed what the step dual-write-write-both made")
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	err := b.end(t, p)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "put it back as the plan has it")
	b.db.Exec(t, definition)
	require.NoError(t, b.end(t, p))
}

func TestATriggerThatOnlyFillsInIsNotMissedAtContract(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sales(t)
	b.db.Exec(t, `ALTER TABLE sales ALTER qty DROP NOT NULL`)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "sales", Why: "It is there.", Operations: []migrate.Operation{{Kind: migrate.SetNotNull, Column: "qty", Up: "0"}}})
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	b.db.Exec(t, `DROP TRIGGER `+b.writer(t, "_i")+` ON sales`)
	require.Empty(t, b.unready(t, p))
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	require.NoError(t, b.end(t, p))
}

func TestAHoldKeepsContractFromBeginning(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sales(t)
	p := b.planned(t, renamed())
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	require.NoError(t, pgx.BeginFunc(t.Context(), b.db.Pool, func(tx pgx.Tx) error {
		_, err := b.ledger.SetHold(t.Context(), tx, "ann", "an incident", "hold/prod/x")
		return err
	}))
	err := b.EnterPhase(t.Context(), b.owner, migrate.Contract)
	require.ErrorAs(t, err, &admission.HeldError{})
	require.ErrorContains(t, err, "an incident")
	standing, err := b.Migration(t.Context(), b.owner)
	require.NoError(t, err)
	require.Equal(t, migrate.Deprecating, standing.Phase)
	require.NoError(t, b.back(t, p), "what goes back waits for no hold")
}

func TestNothingIsDoneToATableThatOthersInheritFrom(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sales(t)
	p := b.planned(t, renamed())
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	b.db.Exec(t, `CREATE TABLE child () INHERITS (sales)`)
	b.db.Exec(t, `INSERT INTO child (id, qty, chan, channel) VALUES (7777, 1, 'childval', 'x')`)
	child := b.db.Schema + ".child inherits from the table"
	require.Len(t, b.unready(t, p), 1)
	require.Contains(t, b.unready(t, p)[0], child)
	err := b.undo(t, p, "expand-add-channel")
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, child)
	b.db.Exec(t, `UPDATE `+b.ledger.Schema()+`.migration SET back = false`)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
	err = b.end(t, p)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, child)
	require.Equal(t, "childval", b.one(t, `SELECT chan FROM child`))
	b.db.Exec(t, `ALTER TABLE child NO INHERIT sales`)
	require.NoError(t, b.end(t, p))
	require.Equal(t, "childval", b.one(t, `SELECT chan FROM child`))
}
