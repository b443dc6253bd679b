package alter_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// sold makes orders without a key that lead to customers by what no constraint says, and an enum that both have.
func (b *bundle) sold(t *testing.T) {
	t.Helper()
	for _, sql := range []string{
		`CREATE TYPE state AS ENUM ('open', 'paid')`,
		`CREATE TABLE customers (id bigint PRIMARY KEY, email text NOT NULL, region int NOT NULL, state state, UNIQUE (region, id))`,
		`CREATE TABLE orders (id bigint, number int, customer int, region int, email varchar(40) COLLATE "C", state state NOT NULL DEFAULT 'open', states state[], note jsonb)`,
		`INSERT INTO customers SELECT i, 'c' || i, i % 5, 'open' FROM generate_series(1, 200) i`,
		`INSERT INTO orders (id, number, customer, region, email) SELECT i, i, i % 200 + 1, (i % 200 + 1) % 5, 'c' || i FROM generate_series(1, 2000) i`,
		`ANALYZE customers`, `ANALYZE orders`,
	} {
		b.db.Exec(t, sql)
	}
}

// keyed is one migration of every operation of keys and enums.
func keyed() migrate.Migration {
	return migrate.Migration{Name: "0001_channel", Table: "orders", Why: "Orders are of customers.", Operations: []migrate.Operation{
		{Kind: migrate.AddPrimaryKey, Name: "orders_pkey", Columns: []string{"id"}},
		{Kind: migrate.AddUnique, Name: "orders_number", Columns: []string{"number", "region"}, Deferrable: "immediate"},
		{Kind: migrate.AddForeignKey, Name: "orders_customer", Columns: []string{"region", "customer"}, References: "customers", Key: []string{"region", "id"}, OnDelete: "cascade"},
		{Kind: migrate.AddForeignKey, Name: "orders_before", Columns: []string{"before"}, References: "orders", Key: []string{"id"}, OnUpdate: "set null", Deferrable: "deferred"},
		{Kind: migrate.AddColumn, Column: "before", Type: "bigint"},
		{Kind: migrate.AddEnumValue, Type: "state", Value: "sent", Before: "paid"},
	}}
}

func TestKeysAreMadeAsPlainSQLWouldHaveMadeThem(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sold(t)
	m := keyed()
	m.Operations = slices.DeleteFunc(m.Operations, func(o migrate.Operation) bool { return o.Name == "orders_before" }) // it leads to the key that the file makes
	p := b.planned(t, m)
	b.begin(t, p)
	b.through(t, p, migrate.Contract)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	after := b.like(t, "orders")
	values := b.one(t, `SELECT string_agg(v.enumlabel, ',' ORDER BY v.enumsortorder) FROM pg_enum v JOIN pg_type ty ON ty.oid = v.enumtypid WHERE ty.typname = 'state' AND ty.typnamespace = current_schema()::regnamespace`)
	b.db.Exec(t, `DROP TABLE orders, customers`)
	b.db.Exec(t, `DROP TYPE state`)
	b.sold(t)
	for _, sql := range []string{
		`ALTER TABLE orders ADD COLUMN before bigint`,
		`ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY (id)`,
		`ALTER TABLE orders ADD CONSTRAINT orders_number UNIQUE (number, region) DEFERRABLE`,
		`ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (region, customer) REFERENCES customers (region, id) ON DELETE CASCADE`,
		`ALTER TYPE state ADD VALUE 'sent' BEFORE 'paid'`,
	} {
		b.db.Exec(t, sql)
	}
	require.Equal(t, b.like(t, "orders"), after)
	require.Equal(t, b.one(t, `SELECT string_agg(v.enumlabel, ',' ORDER BY v.enumsortorder) FROM pg_enum v JOIN pg_type ty ON ty.oid = v.enumtypid WHERE ty.typname = 'state' AND ty.typnamespace = current_schema()::regnamespace`), values)
}

func TestKeysAreTakenBackFromEveryPhaseAndTakenAwayAtContract(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sold(t)
	b.db.Exec(t, `ALTER TABLE orders ADD CONSTRAINT orders_id UNIQUE (id)`)
	before := b.like(t, "orders")
	p := b.planned(t, keyed())
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
	require.NotEqual(t, before, b.like(t, "orders"))
	require.NoError(t, b.back(t, p))
	require.Equal(t, before, b.like(t, "orders"))

	b.owner = start()
	p = b.planned(t, keyed())
	b.begin(t, p)
	b.through(t, p, migrate.Contract)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))

	b.owner = start()
	gone := migrate.Migration{Name: "0002_loose", Table: "orders", Why: "They are in the way.", Operations: []migrate.Operation{
		{Kind: migrate.DropForeignKey, Name: "orders_customer"}, {Kind: migrate.DropForeignKey, Name: "orders_before"}, {Kind: migrate.DropUnique, Name: "orders_number"},
	}}
	p = b.planned(t, gone)
	b.begin(t, p)
	b.through(t, p, migrate.Contract)
	require.Equal(t, "2", b.one(t, `SELECT count(*) FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype IN ('p', 'u', 'f')`), "the primary key, and the one that was there")
}

func TestRowsThatAKeyRefusesAreCountedAndNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sold(t)
	b.db.Exec(t, `ALTER TABLE orders ADD CONSTRAINT orders_id UNIQUE (id)`)
	m := keyed()
	m.Operations = m.Operations[1:3]
	p := b.planned(t, m)
	b.begin(t, p)
	b.phase(t, p, migrate.Expand)
	b.db.Exec(t, `INSERT INTO orders (id, number, customer, region) VALUES (9001, 1, 2, 2), (9002, 7, 900, 7)`)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Verify))
	checked, err := b.Prove(t.Context(), b.owner, p, func() {})
	require.NoError(t, err)
	found := map[string]int64{}
	for _, c := range checked {
		found[c.Proof] = c.Broken
	}
	require.Equal(t, map[string]int64{"no two rows have the same number, region": 2, "every row with region, customer leads to a row of customers": 1}, found)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Switch))

	// Whoever goes on meets the server's own refusal, and no index is left half made.
	_, err = b.DoStep(t.Context(), b.spec(p, "switch-index-orders_number"), beat)
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM pg_index WHERE indrelid = 'orders'::regclass AND NOT indisvalid`))
	b.step(t, p, "switch-foreign-key-orders_customer")
	_, err = b.DoStep(t.Context(), b.spec(p, "switch-validate-orders_customer"), beat)
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.NotContains(t, err.Error(), "900", "no row is in an error")
	b.db.Exec(t, `DELETE FROM orders WHERE id > 9000`)
	b.phase(t, p, migrate.Switch)
}

// A session that holds only the other table is named, and keeps nobody behind the step waiting for long.
func TestWhoHoldsTheOtherTableIsNamed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sold(t)
	m := keyed()
	m.Operations = m.Operations[2:3]
	p := b.planned(t, m)
	b.begin(t, p)
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Switch))
	leave := b.holder(t, `UPDATE customers SET email = 'x' WHERE id = 1`)
	spec := b.spec(p, "switch-foreign-key-orders_customer")
	spec.LockBudget = 2500 * time.Millisecond
	r, err := b.DoStep(t.Context(), spec, beat)
	require.NoError(t, err)
	require.False(t, r.Done)
	require.Len(t, r.Blocked, 1)
	require.Contains(t, r.Blocked[0].Holds, "customers")
	leave()
	b.step(t, p, "switch-foreign-key-orders_customer")
	leave = b.holder(t, `LOCK TABLE customers IN EXCLUSIVE MODE`) // rows of it are looked up, and kept from going
	spec = b.spec(p, "switch-validate-orders_customer")
	spec.LockBudget = 2500 * time.Millisecond
	r, err = b.DoStep(t.Context(), spec, beat)
	require.NoError(t, err)
	require.False(t, r.Done)
	require.Len(t, r.Blocked, 1, "the session of the other table is named there too")
	require.Contains(t, r.Blocked[0].Holds, "customers")
	leave()
	leave = b.holder(t, `UPDATE customers SET email = 'x' WHERE id = 1`) // who writes it is in nobody's way
	b.phase(t, p, migrate.Switch)
	leave()

	leave = b.holder(t, `SELECT FROM customers LIMIT 1`) // to take it back is to lock out readers too
	undo := b.spec(p, "switch-foreign-key-orders_customer")
	undo.Undo, undo.LockBudget = true, 2500*time.Millisecond
	r, err = b.DoStep(t.Context(), undo, beat)
	require.NoError(t, err)
	require.False(t, r.Done)
	require.Contains(t, r.Blocked[0].Holds, "customers")
	leave()
	b.db.Exec(t, `DROP TABLE customers CASCADE`)
	require.NoError(t, b.back(t, p), "what led there went with it")
}

// Writers of both tables meet no error but the key's own, and wait for nobody for long.
func TestAForeignKeyIsMadeWhileOthersWriteBothTables(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sold(t)
	b.db.Exec(t, `CREATE INDEX orders_of ON orders (region, customer)`)
	m := keyed()
	m.Operations = m.Operations[2:3]
	p := b.planned(t, m)
	require.Empty(t, p.Warnings, "an index helps it")
	b.begin(t, p)
	stop, failed := make(chan struct{}), make(chan error, 4)
	ctx := context.WithoutCancel(t.Context())
	for n := range 4 {
		go func() {
			conn, err := pgx.Connect(ctx, b.db.URL)
			for i := 0; err == nil; i++ {
				select {
				case <-stop:
					_ = conn.Close(ctx)
					failed <- nil
					return
				default:
				}
				sql := fmt.Sprintf(`INSERT INTO %s.orders (id, number, customer, region) VALUES (%d, 1, %[3]d, %[4]d)`, b.db.Schema, 10_000+i*4+n, i%200+1, (i%200+1)%5)
				if n%2 == 0 { // the tables the other way round
					sql = fmt.Sprintf(`WITH c AS (UPDATE %[1]s.customers SET email = email || '.' WHERE id = %[2]d RETURNING id) DELETE FROM %[1]s.orders o USING c WHERE o.customer = c.id AND o.id > 10000`, b.db.Schema, i%200+1)
				}
				_, err = conn.Exec(ctx, sql)
			}
			failed <- err
		}()
	}
	b.through(t, p, migrate.Deprecating)
	close(stop)
	for range 4 {
		require.NoError(t, <-failed)
	}
	require.Equal(t, "true", b.one(t, `SELECT convalidated FROM pg_constraint WHERE conname = 'orders_customer' AND conrelid = 'orders'::regclass`))
}

func TestWhereAForeignKeyCannotLeadIsSaidBefore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sold(t)
	for _, sql := range []string{
		`CREATE TABLE parts (id bigint PRIMARY KEY) PARTITION BY RANGE (id)`,
		`CREATE VIEW seen AS SELECT id FROM customers`,
		`CREATE UNLOGGED TABLE lost (id bigint PRIMARY KEY)`,
		`CREATE TABLE loose (id bigint, late bigint UNIQUE DEFERRABLE, part bigint, n jsonb UNIQUE)`,
		`CREATE UNIQUE INDEX loose_part ON loose (part) WHERE part > 0`,
		`CREATE TABLE mail (email text PRIMARY KEY)`,
		`INSERT INTO mail SELECT DISTINCT email FROM orders`,
	} {
		b.db.Exec(t, sql)
	}
	lead := func(column, table, key string) migrate.Migration {
		return migrate.Migration{Name: "0001_channel", Table: "orders", Why: "x", Operations: []migrate.Operation{
			{Kind: migrate.AddForeignKey, Name: "k", Columns: []string{column}, References: table, Key: []string{key}},
		}}
	}
	for _, test := range []struct{ column, table, key, want string }{
		{"customer", "parts", "id", "which is a partitioned table"},
		{"customer", "seen", "id", "which is a view"},
		{"customer", "nowhere", "id", "there is no such table"},
		{"customer", "lost", "id", "the table is kept through a crash, and the other one is not"},
		{"customer", "loose", "id", "nothing keeps its rows apart by just these"},
		{"customer", "loose", "late", "nothing keeps its rows apart by just these"},
		{"customer", "loose", "part", "nothing keeps its rows apart by just these"},
		{"email", "customers", "id", "values of the two types are not compared by an index: character varying(40) and bigint"},
		{"note", "customers", "id", "jsonb and bigint"},
		{"customer", "customers", "region", "nothing keeps its rows apart by just these"},
		{"customer", "customers", "nr", "leads to a column nr"},
	} {
		_, err := b.computed(t, lead(test.column, test.table, test.key))
		require.ErrorContains(t, err, test.want)
	}
	// Text of another collation is compared by that of the key, as the server will.
	p := b.planned(t, lead("email", "mail", "email"))
	b.begin(t, p)
	b.through(t, p, migrate.Deprecating)
}

func TestATypeOfNamedValuesIsReadWithWhoHasIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sold(t)
	b.db.Exec(t, `CREATE DOMAIN early AS state CHECK (VALUE <> 'paid')`)
	b.db.Exec(t, `CREATE TABLE bills (id int, state early)`)
	b.db.Exec(t, `CREATE TYPE pair AS (a int, b int)`)
	d, err := b.DescribeTable(t.Context(), "orders", nil)
	require.NoError(t, err)
	m := migrate.Migration{Operations: []migrate.Operation{{Kind: migrate.AddEnumValue, Type: "state"}, {Kind: migrate.AddEnumValue, Type: "pair"}, {Kind: migrate.AddEnumValue, Type: "no\"'; --"}}}
	d, err = b.DescribeAround(t.Context(), d, m)
	require.NoError(t, err)
	require.Equal(t, migrate.Enum{Found: true, Owned: true, Values: []string{"open", "paid"}, Columns: []string{"state", "states"}, Others: []string{"state of bills", "state of customers"}}, d.Enums["state"])
	require.False(t, d.Enums["pair"].Found)
	require.False(t, d.Enums["no\"'; --"].Found)
}

// While a foreign key is there twice, what happens in the other table happens to both columns, whichever of them counts.
func TestBothShapesFollowTheTableThatTheyLeadTo(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]migrate.Migration{
		"another name": {Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "customer", To: "buyer"}}},
		"another type": {Operations: []migrate.Operation{{Kind: migrate.ChangeType, Column: "customer", To: "bigint", Up: "customer", Down: "customer::int"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.sold(t)
			b.db.Exec(t, `ALTER TABLE orders ADD PRIMARY KEY (id)`)
			b.db.Exec(t, `ALTER TABLE orders ADD CONSTRAINT orders_customer FOREIGN KEY (customer) REFERENCES customers ON DELETE SET NULL ON UPDATE CASCADE`)
			before := b.like(t, "orders")
			m.Name, m.Table, m.Why = "0001_channel", "orders", "Names."
			p := b.planned(t, m)
			b.begin(t, p)
			b.through(t, p, migrate.Verify)
			require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Switch))
			r := migrate.Replacements(m)[0]
			follows := func(old, added string, gone, moved int) {
				for _, column := range []string{old, added} {
					_, err := b.db.Pool.Exec(t.Context(), fmt.Sprintf(`INSERT INTO orders (id, %s) VALUES (9000, 777)`, column))
					require.ErrorContains(t, err, "orders_customer")
				}
				b.db.Exec(t, `DELETE FROM customers WHERE id = $1`, gone)
				b.db.Exec(t, `UPDATE customers SET id = id + 1000 WHERE id = $1`, moved)
				require.Equal(t, "0 10 0", b.one(t, fmt.Sprintf(`SELECT concat_ws(' ',
					(SELECT count(*) FROM orders WHERE %[1]s IS DISTINCT FROM %[2]s), (SELECT count(*) FROM orders WHERE %[2]s = %[3]d), (SELECT count(*) FROM orders WHERE %[1]s IN (%[4]d, %[5]d)))`,
					old, added, moved+1000, gone, moved)))
			}
			for _, s := range p.Of(migrate.Switch) {
				if s.ID == "switch-authority-orders" {
					follows(r.Column, r.Added, 1, 2)
				}
				b.step(t, p, s.ID)
			}
			follows(r.Formerly, r.Renamed, 3, 4)
			b.phase(t, p, migrate.Deprecating)
			at := slices.IndexFunc(p.Steps, func(s migrate.Step) bool { return s.Phase == migrate.Contract })
			require.Equal(t, []string{"customers"}, p.Steps[at].Also, "it goes with its column, and locks where it leads")
			leave := b.holder(t, `SELECT FROM customers LIMIT 1`)
			require.NoError(t, b.EnterPhase(t.Context(), b.owner, migrate.Contract))
			spec := b.spec(p, p.Steps[at].ID)
			spec.LockBudget = 2500 * time.Millisecond
			blocked, err := b.DoStep(t.Context(), spec, beat)
			require.NoError(t, err)
			require.False(t, blocked.Done)
			require.Contains(t, blocked.Blocked[0].Holds, "customers")
			leave()
			b.phase(t, p, migrate.Contract)
			require.Equal(t, before.ForeignKeys[0].OnDelete, b.like(t, "orders").ForeignKeys[0].OnDelete)
		})
	}
}

// A worker is gone at each boundary of each step, on the way there and on the way back.
func TestKeysGoOnAfterACrashAtAnyBoundary(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{false, true} {
		t.Run(map[bool]string{false: "there", true: "and back"}[back], func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.sold(t)
			b.db.Exec(t, `ALTER TABLE orders ADD CONSTRAINT orders_id UNIQUE (id)`)
			before := b.like(t, "orders")
			p := b.planned(t, keyed())
			b.begin(t, p)
			var done []migrate.Step
			for _, phase := range migrate.Phases() {
				if back && phase == migrate.Contract {
					break
				}
				require.NoError(t, b.EnterPhase(t.Context(), b.owner, phase))
				for _, s := range p.Of(phase) {
					b.owner = start() // another worker's workflow takes it over
					require.Equal(t, phase, b.begin(t, p).Phase)
					b.run(t, s.Class, s.Act)
					b.step(t, p, s.ID)
					done = append(done, s)
				}
			}
			if !back {
				require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
				require.Equal(t, "5", b.one(t, `SELECT count(*) FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype IN ('p', 'u', 'f') AND convalidated`))
				return
			}
			for _, s := range slices.Backward(done) {
				if b.says(t, s.Probe) { // an index goes with its constraint
					b.run(t, s.Class, s.Undo)
				}
				b.owner = start()
				b.begin(t, p)
				require.NoError(t, b.undo(t, p, s.ID))
			}
			require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.RolledBack))
			require.Equal(t, before, b.like(t, "orders"))
		})
	}
}

func TestKeysOfAPartitionedTableHoldTheirColumns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE shops (id int PRIMARY KEY)`)
	b.db.Exec(t, `CREATE TABLE visits (id int, day date, shop int REFERENCES shops, PRIMARY KEY (day, id)) PARTITION BY RANGE (day)`)
	d, err := b.DescribeTable(t.Context(), "visits", nil)
	require.NoError(t, err)
	id, _ := d.Column("id")
	require.Equal(t, []string{"the primary key visits_pkey"}, id.Holds)
	shop, _ := d.Column("shop")
	require.Equal(t, []string{"the foreign key visits_shop_fkey"}, shop.Holds)
}
