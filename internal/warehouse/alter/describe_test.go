package alter_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
)

func TestATableIsDescribedWithAllThatHoldsItsColumns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, sql := range []string{
		`CREATE TABLE shops (id int PRIMARY KEY)`,
		`CREATE TABLE orders (
			id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, shop int REFERENCES shops, channel varchar(20) COLLATE "C" NOT NULL DEFAULT 'web',
			amount numeric(12,2) CHECK (amount >= 0), twice numeric GENERATED ALWAYS AS (amount * 2) STORED, no serial UNIQUE, note text, a int, b int)`,
		`CREATE INDEX orders_lower ON orders (lower(channel), amount DESC NULLS LAST) INCLUDE (note) WHERE shop > 0`,
		`CREATE STATISTICS orders_ab ON a, b FROM orders`,
		`ALTER TABLE orders ALTER note SET STORAGE EXTERNAL`,
		`ALTER TABLE orders ALTER note SET STATISTICS 7`,
		`GRANT SELECT (note) ON orders TO PUBLIC`,
		`COMMENT ON COLUMN orders.note IS 'what they say'`,
		`CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
		`CREATE TRIGGER touched BEFORE UPDATE OF amount ON orders FOR EACH ROW EXECUTE FUNCTION touch()`,
		`INSERT INTO orders (amount) SELECT i FROM generate_series(1, 1000) i`,
		`ANALYZE orders`,
	} {
		b.db.Exec(t, sql)
	}
	d, err := b.DescribeTable(t.Context(), "orders", nil)
	require.NoError(t, err)
	require.Equal(t, "table", d.Kind)
	require.True(t, d.Owned)
	require.False(t, d.Managed)
	require.EqualValues(t, 1000, d.Rows)
	require.Positive(t, d.Pages)
	require.Equal(t, d.Pages*8192, d.Bytes)
	require.GreaterOrEqual(t, d.Version, 140000)
	require.Equal(t, []string{"id"}, d.Key)
	require.Equal(t, []migrate.Trigger{{Name: "touched", Update: true, Of: []string{"amount"}}}, d.Triggers)
	require.Equal(t, []migrate.Constraint{{Name: "orders_amount_check", Definition: "CHECK ((amount >= (0)::numeric))", Columns: []string{"amount"}, Valid: true}}, d.Checks)
	holds := map[string][]string{}
	for _, c := range d.Columns {
		holds[c.Name] = c.Holds
	}
	require.Equal(t, map[string][]string{
		"id":    {"an identity"},
		"twice": {"that it is generated"},
		"shop":  nil, "no": nil, "channel": nil, "amount": nil, "note": nil, "a": nil, "b": nil,
	}, holds)
	require.Equal(t, []migrate.Unique{{Name: "orders_pkey", Columns: []string{"id"}, Primary: true, Led: []string{}}, {Name: "orders_no_key", Columns: []string{"no"}, Led: []string{}}}, d.Uniques)
	require.Equal(t, []migrate.ForeignKey{{Name: "orders_shop_fkey", Columns: []string{"shop"}, Schema: b.db.Schema, Table: "shops", Key: []string{"id"}, Owned: true, Valid: true}}, d.ForeignKeys)
	no, _ := d.Column("no")
	require.Equal(t, []migrate.Sequence{{Schema: b.db.Schema, Name: "orders_no_seq"}}, no.Sequences)
	channel, _ := d.Column("channel")
	require.Equal(t, "character varying(20)", channel.Type)
	require.Equal(t, "'web'::character varying", channel.Default)
	require.True(t, channel.NotNull)
	require.Equal(t, `pg_catalog."C"`, channel.Collation)
	note, _ := d.Column("note")
	target := 7
	require.Equal(t, migrate.Column{
		Name: "note", Type: "text", Comment: "what they say", Storage: "EXTERNAL", Target: &target, Options: []string{}, Grants: []migrate.Grant{{Privilege: "SELECT"}},
	}, note)
	require.Equal(t, []migrate.Statistics{{Schema: b.db.Schema, Name: "orders_ab", Columns: []string{"a", "b"}}}, d.Statistics)
	lower := d.Indexes[2]
	require.Equal(t, "orders_lower", lower.Name)
	require.Equal(t, []string{"shop", "channel", "amount", "note"}, lower.Columns)
	require.Contains(t, lower.Definition, "(lower((channel)::text), amount DESC NULLS LAST) INCLUDE (note) WHERE (shop > 0)")

	shops, err := b.DescribeTable(t.Context(), "shops", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"the foreign key orders_shop_fkey of " + b.db.Schema + ".orders"}, shops.Columns[0].Holds)
	require.Equal(t, []string{"orders_shop_fkey of orders"}, shops.Uniques[0].Led)
}

func TestWhatIsNoPlainTableIsCalledByItsKind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE orders (id int NOT NULL, day date NOT NULL) PARTITION BY RANGE (day)`)
	b.db.Exec(t, `CREATE TABLE orders_1 PARTITION OF orders FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')`)
	b.db.Exec(t, `CREATE VIEW v AS SELECT * FROM orders`)
	b.db.Exec(t, `CREATE MATERIALIZED VIEW m AS SELECT * FROM orders`)
	b.db.Exec(t, `CREATE TABLE p (id int)`)
	b.db.Exec(t, `CREATE TABLE c () INHERITS (p)`)
	b.db.Exec(t, `INSERT INTO `+b.ledger.Schema()+`.output (output, pipeline) VALUES ('orders', 'shop')`)
	for table, kind := range map[string]string{
		"orders": "partitioned table", "orders_1": "partition", "v": "view", "m": "materialized view", "p": "table that inherits, or is inherited from", "absent": "",
	} {
		d, err := b.DescribeTable(t.Context(), table, []migrate.Typed{{Expression: "1", Type: "int"}})
		require.NoError(t, err)
		require.Equal(t, kind, d.Kind)
		require.Equal(t, strings.HasPrefix(table, "orders"), d.Managed, table)
	}
}

func TestTheKeyIsOneThatIsNeverNull(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE orders (a int UNIQUE, b int NOT NULL, c text NOT NULL, d int NOT NULL)`)
	b.db.Exec(t, `CREATE UNIQUE INDEX part ON orders (d) WHERE d > 0`)
	b.db.Exec(t, `CREATE UNIQUE INDEX pair ON orders (c, b) INCLUDE (d)`)
	d, err := b.DescribeTable(t.Context(), "orders", nil)
	require.NoError(t, err)
	require.Equal(t, []string{"c", "b"}, d.Key)
}

func TestReadersOfAColumnAreFoundHoweverTheyReadIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.db.Schema
	for _, sql := range []string{
		`CREATE TABLE orders (id bigint PRIMARY KEY, channel text NOT NULL, amount int, loud text GENERATED ALWAYS AS (upper(channel)) STORED)`,
		`CREATE VIEW by_star AS SELECT * FROM orders`,
		`CREATE VIEW on_view AS SELECT channel FROM by_star`,
		`CREATE MATERIALIZED VIEW stored AS SELECT count(*) AS n FROM on_view`,
		`CREATE VIEW other AS SELECT amount FROM orders`,
		`CREATE POLICY mine ON orders USING (channel = 'web')`,
		`CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.channel := lower(NEW.channel); RETURN NEW; END'`,
		`CREATE TRIGGER touched BEFORE UPDATE OF channel ON orders FOR EACH ROW EXECUTE FUNCTION touch()`,
		`CREATE TRIGGER worded BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch('first', 'channel')`,
		`CREATE TRIGGER other_words BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch('channels')`,
		`CREATE FUNCTION standard() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(channel) FROM orders; END`,
		`CREATE FUNCTION hidden() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(CHANNEL) FROM orders); END'`,
		`CREATE FUNCTION through_view() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(channel) FROM by_star); END'`,
		`CREATE FUNCTION channels() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(channels) FROM orders); END'`,
		`CREATE FUNCTION elsewhere() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(channel) FROM other_orders); END'`,
		`CREATE FUNCTION ` + b.ledger.Schema() + `.ours() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(channel) FROM orders); END'`,
	} {
		b.db.Exec(t, sql)
	}
	readers, err := b.ReadersOf(t.Context(), "orders", []string{"channel"})
	require.NoError(t, err)
	var found []string
	for _, r := range readers {
		require.Equal(t, "channel", r.Column)
		require.NotEmpty(t, r.Owner)
		guessed := ""
		if r.Guessed {
			guessed = "?"
			if r.Kind == "function" && !strings.HasPrefix(r.Name, s+".") {
				continue // another test's
			}
		}
		found = append(found, r.Kind+" "+strings.ReplaceAll(r.Name, s+".", "")+guessed)
	}
	require.Equal(t, []string{
		"function standard()", "generated column loud", "materialized view stored", "policy mine", "trigger touched", "view by_star", "view on_view",
		"function hidden()?", "function through_view()?", "function touch()?", "trigger worded?",
	}, found)
	none, err := b.ReadersOf(t.Context(), "orders", []string{"nothing"})
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestAnExpressionOfTheRowIsTakenWithItsTypeAndColumns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TYPE mood AS ENUM ('good', 'bad')`)
	b.db.Exec(t, `CREATE TABLE orders (id bigint PRIMARY KEY, channel text NOT NULL, "odd ""name" int, amount numeric(12,2), at timestamptz)`)
	for _, x := range []struct {
		text, wanted, kind string
		columns            []string
	}{
		{"upper(channel)", "text", "text", []string{"channel"}},
		{`coalesce(amount, "odd ""name") * 2`, "numeric(20,4)", "numeric", []string{`odd "name`, "amount"}},
		{"CASE WHEN channel IN ('a;b', 'it''s -- not /* one */ $1') THEN 1 ELSE 2 END", "bigint", "integer", []string{"channel"}},
		{"(at AT TIME ZONE 'UTC')::date", "date", "date", []string{"at"}},
		{"amount > 0 AND id IS NOT NULL", "boolean", "boolean", []string{"id", "amount"}},
		{"'good'::" + b.db.Schema + ".mood", b.db.Schema + ".mood", b.db.Schema + ".mood", []string{}},
		{"'none'", "text", "text", []string{}},
	} {
		e := migrate.Typed{Expression: x.text, Type: x.wanted}
		d, err := b.DescribeTable(t.Context(), "orders", []migrate.Typed{e})
		require.NoError(t, err)
		found := d.Expressions[e.Key()]
		require.NotEmpty(t, found.Text)
		found.Text = ""
		require.Equal(t, migrate.Expression{Type: x.kind, Columns: x.columns}, found, x.text)
	}
}

func TestAHostileExpressionIsRefusedAndNothingOfItRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := b.db.Schema
	for _, sql := range []string{
		`CREATE TABLE orders (id bigint PRIMARY KEY, channel text NOT NULL, at timestamptz, loud text GENERATED ALWAYS AS (upper(channel)) STORED)`,
		`CREATE TABLE ran (who text)`,
		`CREATE FUNCTION evil(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS 'BEGIN INSERT INTO ` + s + `.ran VALUES (current_user); RETURN $1; END'`,
		`CREATE FUNCTION evil2(text, text) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT ` + s + `.evil($1) = $2'`,
		`CREATE OPERATOR === (LEFTARG = text, RIGHTARG = text, FUNCTION = evil2)`,
		`CREATE DOMAIN checked AS text CHECK (` + s + `.evil(VALUE) IS NOT NULL)`,
		`CREATE SEQUENCE numbers`,
	} {
		b.db.Exec(t, sql)
	}
	const parentheses, more, comment = "parentheses do not pair", "more than one expression", "it holds a comment"
	for _, x := range []struct{ text, kind, why string }{
		{"(SELECT 'x'::text)", "text", "subquery"},
		{"(SELECT current_database()::text)", "text", "subquery"},
		{"(SELECT who FROM " + s + ".ran LIMIT 1)", "text", "table " + s + ".ran"},
		{"random()::text", "text", "immutable"},
		{"at::text", "text", "immutable"},
		{"current_user::text", "text", "immutable"},
		{"current_setting('drawbridge.secret')", "text", "immutable"},
		{"pg_read_file('/etc/passwd')", "text", "immutable"},
		{s + ".evil(channel)", "text", "function " + s + ".evil(pg_catalog.text)"},
		{s + ".evil('x')", "text", "function " + s + ".evil(pg_catalog.text)"},
		{"evil(channel)", "text", "function evil(text) does not exist"},
		{"channel OPERATOR(" + s + ".===) 'x'", "boolean", "operator " + s + ".===(pg_catalog.text,pg_catalog.text)"},
		{"channel::" + s + ".checked", "text", "type " + s + ".checked"},
		{"channel", s + ".checked", "is a domain or a composite type"},
		{"nextval('" + s + ".numbers')", "bigint", s + ".numbers"},
		{"'x'; DROP TABLE " + s + ".orders", "text", more},
		{"'x'); DROP TABLE " + s + ".orders; --", "text", parentheses},
		{"'x') STORED, ADD COLUMN more text DEFAULT (" + s + ".evil('x')", "text", parentheses},
		{"'x' -- the end", "text", comment},
		{"'x' /* the", "text", "the comment does not end"},
		{"'x' /* the end */", "text", comment},
		{"$$x$$", "text", comment},
		{"E'a'\n'\\' || ') STORED, ADD COLUMN more text DEFAULT (1'", "text", comment},
		{"'x', 'y'", "text", more},
		{"(channel", "text", parentheses},
		{"channel)", "text", parentheses},
		{"(channel]", "text", parentheses},
		{"'never ends", "text", "the string does not end"},
		{"$1", "text", "placeholder"},
		{"", "text", "it is empty"},
		{"loud", "text", "generated column loud"},
		{"count(*)", "bigint", "aggregate"},
		{"row_number() OVER ()", "bigint", "window function"},
		{"generate_series(1, 2)", "int", "set-returning"},
		{"nothing", "text", `column "nothing" does not exist`},
		{"channel", "integer", "integer"},
		{"channel", "nothing", "the server knows no type nothing"},
		{"1", "int DEFAULT 1", "42601"},
		{"1", "int) STORED, ADD COLUMN more int DEFAULT (1", parentheses},
		{"1", "serial", "the server knows no type serial"},
		{"'abc'::int", "int", "22P02"},
	} {
		e := migrate.Typed{Expression: x.text, Type: x.kind}
		d, err := b.DescribeTable(t.Context(), "orders", []migrate.Typed{e})
		require.NoError(t, err, x.text)
		require.Contains(t, d.Expressions[e.Key()].Refused, x.why, x.text)
	}
	require.Equal(t, "0", b.one(t, `SELECT count(*) FROM ran`))
	require.Equal(t, "4", b.one(t, `SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped`))
}

// Postgres 18 has a NOT NULL that rows of before it may break: what builds on it would take nulls for none.
func TestANotNullThatIsNotValidIsValidatedFirst(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.db.Exec(t, `CREATE TABLE customers (id bigint PRIMARY KEY, note text, amount int NOT NULL)`)
	valid := func() string {
		d, err := b.DescribeTable(t.Context(), "customers", nil)
		require.NoError(t, err)
		for _, c := range d.Columns {
			require.True(t, c.Name == "note" || c.Unproved == "", c.Name)
		}
		c, _ := d.Column("note")
		return c.Unproved
	}
	require.Empty(t, valid())
	if !b.since(t, 18) {
		return
	}
	b.db.Exec(t, `INSERT INTO customers VALUES (1, NULL, 1)`)
	b.db.Exec(t, `ALTER TABLE customers ADD CONSTRAINT "some note" NOT NULL note NOT VALID`)
	require.Equal(t, "some note", valid())
	b.db.Exec(t, `UPDATE customers SET note = ''`)
	b.db.Exec(t, `ALTER TABLE customers VALIDATE CONSTRAINT "some note"`)
	require.Empty(t, valid())
}
