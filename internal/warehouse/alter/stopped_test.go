package alter_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse/alter"
)

// blockedError says who keeps a step from its locks.
type blockedError struct{ by []generation.Session }

func (e blockedError) Error() string { return fmt.Sprintf("blocked by %d sessions", len(e.by)) }

// onward does what is left of a migration, as a new start of its workflow does, to its end or to what stops it.
func (b *bundle) onward(t *testing.T, tables *alter.Tables, p migrate.Plan, budget time.Duration) error {
	t.Helper()
	b.owner = start()
	standing := b.begin(t, p)
	for _, phase := range migrate.Phases() {
		if phase.Before(standing.Phase) {
			continue
		}
		if err := tables.EnterPhase(t.Context(), b.owner, phase); err != nil {
			return err
		}
		for _, step := range p.Of(phase) {
			spec := b.asked(p, step, false)
			spec.LockBudget = budget
			r, err := tables.DoStep(t.Context(), spec, beat)
			if err == nil && !r.Done {
				err = blockedError{r.Blocked}
			}
			if err != nil {
				return err
			}
		}
		if phase == migrate.Backfill {
			if _, err := tables.FillTable(t.Context(), b.owner, p, migrate.Pace{For: time.Minute}); err != nil {
				return err
			}
		}
		if phase == migrate.Verify {
			checked, err := tables.Prove(t.Context(), b.owner, p, func() {})
			if err != nil {
				return err
			}
			for _, c := range checked {
				if c.Broken > 0 {
					return fmt.Errorf("%d rows break: %s; %s", c.Broken, c.Proof, c.Samples)
				}
			}
		}
	}
	return tables.EndMigration(t.Context(), b.owner, migrate.Done)
}

const stopped = `CREATE TABLE orders (id bigint PRIMARY KEY, amount bigint NOT NULL, note text, channel text NOT NULL DEFAULT 'web')`

// Whatever stops a migration, what is wrong is said, the ledger knows where it is, nothing of a row is in the words, and once it is put right
// the same command goes on to the end.
func TestWhateverStopsAMigrationItsStateIsKnownAndItGoesOn(t *testing.T) {
	t.Parallel()
	const secret = "planted-4711-value"
	for name, c := range map[string]struct {
		operation migrate.Operation
		fixture   []string // besides 8,000 rows
		phase     migrate.Phase
		class     fault.Class // empty: no fault, it may pass
		says      string
		mend      []string
		end, want string
	}{
		"up that fails on row 7,001": {
			migrate.Operation{Kind: migrate.ChangeType, Column: "note", To: "int", Up: "note::int", Down: "note::text"},
			[]string{`UPDATE orders SET note = '` + secret + `' WHERE id = 7001`},
			migrate.Backfill, fault.Refused, "change_type note fails on a row, after 5000 rows",
			[]string{`UPDATE orders SET note = '5' WHERE id = 7001`},
			`SELECT count(note) || ' ' || pg_typeof(max(note)) FROM orders`, "8000 integer",
		},
		"a type that cannot hold the values": {
			migrate.Operation{Kind: migrate.ChangeType, Column: "amount", To: "smallint", Up: "amount::smallint", Down: "amount"},
			[]string{`UPDATE orders SET amount = 4711471147 WHERE id = 17`},
			migrate.Backfill, fault.Refused, "change_type amount fails on a row, after 0 rows: a number is out of range",
			[]string{`UPDATE orders SET amount = 1 WHERE id = 17`},
			`SELECT count(amount) || ' ' || pg_typeof(max(amount)) FROM orders`, "8000 smallint",
		},
		"a value that is null": {
			migrate.Operation{Kind: migrate.SetNotNull, Column: "note"},
			[]string{`UPDATE orders SET note = NULL WHERE id = 7001`},
			migrate.Verify, "", "1 rows break: note is never null",
			[]string{`UPDATE orders SET note = '5' WHERE id = 7001`},
			`SELECT attnotnull FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'note'`, "true",
		},
		"a row that breaks a check": {
			migrate.Operation{Kind: migrate.AddCheck, Name: "short", Check: "length(note) < 8"},
			[]string{`UPDATE orders SET note = '` + secret + `' WHERE id = 7001`},
			migrate.Verify, "", "1 rows break: every row meets short",
			[]string{`UPDATE orders SET note = '5' WHERE id = 7001`},
			`SELECT convalidated FROM pg_constraint WHERE conname = 'short' AND conrelid = 'orders'::regclass`, "true",
		},
		"a key that is there twice": {
			migrate.Operation{Kind: migrate.CreateIndex, Name: "orders_note", Columns: []string{"note"}, Unique: true},
			[]string{`UPDATE orders SET note = '` + secret + `' WHERE id IN (7001, 7002)`},
			migrate.Expand, fault.Invalid, "duplicate keys",
			[]string{`UPDATE orders SET note = '-5' WHERE id = 7001`},
			`SELECT indisvalid FROM pg_index WHERE indexrelid = 'orders_note'::regclass`, "true",
		},
		"a view on the column": {
			migrate.Operation{Kind: migrate.RenameColumn, Column: "channel", To: "source"},
			[]string{`CREATE VIEW reads AS SELECT channel FROM orders`},
			migrate.Contract, fault.Conflict, ".reads reads channel",
			[]string{`DROP VIEW reads`},
			`SELECT count(source) FROM orders`, "8000",
		},
		"a table without a key": {
			migrate.Operation{Kind: migrate.RenameColumn, Column: "channel", To: "source"},
			[]string{`ALTER TABLE orders DROP CONSTRAINT orders_pkey`, `ALTER TABLE orders ALTER id DROP NOT NULL`},
			"", "", "", nil, `SELECT count(source) FROM orders`, "8000",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.db.Exec(t, stopped)
			b.db.Exec(t, `INSERT INTO orders SELECT i, i, i FROM generate_series(1, 8000) i`)
			for _, sql := range c.fixture {
				b.db.Exec(t, sql)
			}
			p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "orders", Why: "It stops.", Operations: []migrate.Operation{c.operation}})
			if c.phase != "" {
				for range 2 { // to try again changes nothing
					err := b.onward(t, b.Tables, p, 20*time.Second)
					require.ErrorContains(t, err, c.says)
					require.Equal(t, c.class, fault.ClassOf(err), "%v", err)
					for _, value := range []string{secret, "7001", "4711"} {
						require.NotContains(t, err.Error()+fault.HintOf(err), value)
					}
					standing, err := b.Migration(t.Context(), b.owner)
					require.NoError(t, err)
					require.Equal(t, c.phase, standing.Phase)
					require.Empty(t, standing.Ended)
				}
				for _, sql := range c.mend {
					b.db.Exec(t, sql)
				}
			}
			require.NoError(t, b.onward(t, b.Tables, p, 20*time.Second))
			require.Equal(t, c.want, b.one(t, c.end))
		})
	}
}

func TestABudgetOfLocksThatIsSpentStopsAMigrationBeforeItChangesAnything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, stopped)
	b.db.Exec(t, `INSERT INTO orders SELECT i, i, i FROM generate_series(1, 100) i`)
	before := b.world(t)
	p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "orders", Why: "It waits.", Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "channel", To: "source"}}})
	leave := b.holder(t, `SELECT FROM orders LIMIT 1`)
	blocked, ok := errors.AsType[blockedError](b.onward(t, b.Tables, p, 300*time.Millisecond))
	require.True(t, ok)
	require.Len(t, blocked.by, 1)
	require.Equal(t, "idle in transaction", blocked.by[0].State)
	same(t, before, b.world(t), "blocked")
	leave()
	require.NoError(t, b.onward(t, b.Tables, p, 20*time.Second))
	require.Equal(t, "100", b.one(t, `SELECT count(source) FROM orders`))
}

// A batch, and the count of what is proved, lose their connection too; whoever goes on finds what was committed.
func TestAConnectionThatIsLostInABatchLosesNoRow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at  testdb.Cut
		act string
	}{{testdb.BeforeTheAct, "UPDATE ONLY"}, {testdb.DuringTheAct, "UPDATE ONLY"}, {testdb.AfterTheAct, "UPDATE ONLY"}, {testdb.AfterTheAct, "count(*) FILTER"}} {
		t.Run(string(c.at)+" "+c.act, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.db.Exec(t, stopped)
			b.db.Exec(t, `INSERT INTO orders SELECT i, i, i FROM generate_series(1, 8000) i`)
			p := b.planned(t, migrate.Migration{Name: "0001_channel", Table: "orders", Why: "It is cut.", Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "channel", To: "source"}}})
			l, tables, leave := b.over(t, c.at, c.act)
			defer leave()
			err := b.onward(t, tables, p, 20*time.Second)
			require.Error(t, err)
			require.Empty(t, fault.ClassOf(err), "it may be tried again: %v", err)
			require.True(t, l.WasCut())
			require.NoError(t, b.onward(t, tables, p, 20*time.Second))
			require.Equal(t, "8000", b.one(t, `SELECT count(source) FROM orders WHERE source = 'web'`))
		})
	}
}
