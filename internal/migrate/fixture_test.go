package migrate_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
	"drawbridge/internal/release"
	"drawbridge/internal/sqltext"
)

var update = flag.Bool("update", false, "write the golden files")

// shopTable makes the table that the tests migrate.
const shopTable = `CREATE TABLE customers (
	id bigint PRIMARY KEY,
	web boolean NOT NULL,
	amount numeric(12,2) NOT NULL DEFAULT 0,
	qty integer,
	note text,
	code varchar(10),
	created timestamptz,
	CONSTRAINT created_late CHECK (created > '2000-01-01'))`

const (
	shopIndex   = `CREATE INDEX customers_created ON customers (created DESC)`
	shopComment = `COMMENT ON COLUMN customers.amount IS 'in euros; it''s net'`
)

// customers is shopTable as the server says it, with what it says of the expressions of a migration.
func customers(m migrate.Migration) migrate.Table {
	if m.Table == "areas" {
		return migrate.Table{Schema: "shop", Name: "areas", Version: 150018}
	}
	t := migrate.Table{
		Schema: "shop", Name: "customers", OID: 16385, Kind: "table", Owned: true, Rows: 1_000_000, Bytes: 80_000_000, Pages: 9766, Version: 150018,
		Columns: []migrate.Column{
			{Name: "id", Type: "bigint", NotNull: true},
			{Name: "web", Type: "boolean", NotNull: true},
			{Name: "amount", Type: "numeric(12,2)", NotNull: true, Default: "0", Comment: "in euros; it's net"},
			{Name: "qty", Type: "integer"},
			{Name: "note", Type: "text"},
			{Name: "code", Type: "character varying(10)"},
			{Name: "created", Type: "timestamp with time zone"},
		},
		Key: []string{"id"},
		Indexes: []migrate.Index{
			{Name: "customers_pkey", Definition: "CREATE UNIQUE INDEX customers_pkey ON shop.customers USING btree (id)", Columns: []string{"id"}, Unique: true, Primary: true, Constraint: true, Valid: true},
			{Name: "customers_created", Definition: "CREATE INDEX customers_created ON shop.customers USING btree (created DESC)", Columns: []string{"created"}, Valid: true},
		},
		Checks:      []migrate.Constraint{{Name: "created_late", Definition: "CHECK ((created > '2000-01-01 00:00:00+00'::timestamp with time zone))", Columns: []string{"created"}, Valid: true}},
		Expressions: map[string]migrate.Expression{},
	}
	for _, r := range migrate.Replacements(m) {
		if r.Column == "created" {
			index, condition := fmt.Sprintf("USING btree (%s DESC)", r.Added), fmt.Sprintf("(%s > '2000-01-01 00:00:00+00'::timestamp with time zone)", r.Added)
			t.Indexes[1].Carried = &migrate.Carried{Until: index, After: index}
			t.Checks[0].Carried = &migrate.Carried{Until: condition, After: condition}
		}
	}
	keys(&t, m)
	for _, e := range migrate.Expressions(m) {
		answer := migrate.Expression{Type: e.Type}
		for _, c := range t.Columns {
			if sqltext.Identifiers(e.Expression)[c.Name] {
				answer.Columns = append(answer.Columns, c.Name)
			}
		}
		answer.Text = "(" + e.Expression + ")"
		t.Expressions[e.Key()] = answer
	}
	return t
}

func migration(operations ...migrate.Operation) migrate.Migration {
	return migrate.Migration{Name: "0007_channel", Table: "customers", Why: "Reports need it.", Operations: operations}
}

// newTable is a migration of a table that is not there.
func newTable(o migrate.Operation) migrate.Migration {
	m := migration(o)
	m.Table = "areas"
	return m
}

func input(m migrate.Migration) migrate.Input {
	return migrate.Input{
		Migration: m, Environment: "prod", Table: customers(m),
		Release: release.Release{Pipeline: "shop", Version: "1.4.0", Digest: "sha256:0123456789abcdef"},
	}
}

// cases have every operation of the registry, in each of its forms.
func cases() map[string]migrate.Migration {
	all := map[string]migrate.Migration{
		"add_column":          migration(migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "varchar(20)"}),
		"add_column_default":  migration(migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text", Default: "'it''s web'"}),
		"add_column_required": migration(migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "CASE WHEN web THEN 'web' ELSE 'store' END"}),
		"add_column_always":   migration(migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "int", Required: true, Default: "7"}),
		"rename_column":       migration(migrate.Operation{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"}),
		"rename_column_null":  migration(migrate.Operation{Kind: migrate.RenameColumn, Column: "note", To: "remark"}),
		"rename_column_laden": migration(migrate.Operation{Kind: migrate.RenameColumn, Column: "created", To: "made"}),
		"change_type":         migration(migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty::bigint", Down: "qty::int"}),
		"change_type_lossy":   migration(migrate.Operation{Kind: migrate.ChangeType, Column: "amount", To: "int", Up: "amount * 100", Down: "amount / 100", Default: "0"}),
		"change_type_wider":   migration(migrate.Operation{Kind: migrate.ChangeType, Column: "code", To: "text"}),
		"drop_column":         migration(migrate.Operation{Kind: migrate.DropColumn, Column: "note"}),
		"set_not_null":        migration(migrate.Operation{Kind: migrate.SetNotNull, Column: "qty"}),
		"set_not_null_up":     migration(migrate.Operation{Kind: migrate.SetNotNull, Column: "qty", Up: "0"}),
		"drop_not_null":       migration(migrate.Operation{Kind: migrate.DropNotNull, Column: "web"}),
		"set_default":         migration(migrate.Operation{Kind: migrate.SetDefault, Column: "amount", Default: "1.50"}),
		"set_default_first":   migration(migrate.Operation{Kind: migrate.SetDefault, Column: "note", Default: "'-'"}),
		"drop_default":        migration(migrate.Operation{Kind: migrate.DropDefault, Column: "amount"}),
		"add_check":           migration(migrate.Operation{Kind: migrate.AddCheck, Name: "amount_positive", Check: "amount >= 0"}),
		"drop_check":          migration(migrate.Operation{Kind: migrate.DropCheck, Name: "created_late"}),
		"create_index":        migration(migrate.Operation{Kind: migrate.CreateIndex, Name: "customers_code", Columns: []string{"code", "created DESC", "qty NULLS FIRST", "note DESC NULLS LAST"}, Include: []string{"id"}, Where: "code <> ''"}),
		"create_index_unique": migration(migrate.Operation{Kind: migrate.CreateIndex, Name: "customers_amount", Columns: []string{"amount", "id"}, Unique: true}),
		"create_index_hash":   migration(migrate.Operation{Kind: migrate.CreateIndex, Name: "customers_code", Columns: []string{"code"}, Method: "hash"}),
		"drop_index":          migration(migrate.Operation{Kind: migrate.DropIndex, Name: "customers_created"}),
		"set_comment":         migration(migrate.Operation{Kind: migrate.SetComment, Column: "note", Comment: `it's what\they say`}),
		"create_view":         migration(migrate.Operation{Kind: migrate.CreateView, Name: "customers_v1", Columns: []string{"id", "amount AS total", `web AS "From the web"`}, Where: "code <> ''"}),
		"create_table": newTable(migrate.Operation{Kind: migrate.CreateTable, Made: []migrate.MadeColumn{
			{Name: "region", Type: "text"}, {Name: "id", Type: "int8"}, {Name: "amount", Type: "numeric(12,2)", Required: true}, {Name: "tags", Type: "text[]"},
		}, Key: []string{"id", "region"}}),
		"create_table_no_key": newTable(migrate.Operation{Kind: migrate.CreateTable, Made: []migrate.MadeColumn{{Name: "id", Type: "bigint"}}}),
		"rename_table":        migration(migrate.Operation{Kind: migrate.RenameTable, To: "clients"}),
		"drop_table":          migration(migrate.Operation{Kind: migrate.DropTable}),
		"sql": migration(migrate.Operation{
			Kind: migrate.SQL, Name: "sampled",
			Act:   []string{"ALTER TABLE @table ALTER COLUMN code SET STATISTICS 500", "CREATE STATISTICS @schema.customers_both (mcv) ON code, qty FROM @table"},
			Undo:  []string{"DROP STATISTICS @schema.customers_both", "ALTER TABLE @table ALTER COLUMN code SET STATISTICS -1"},
			Probe: "SELECT EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = @table_oid AND stxnamespace = @schema_oid AND stxname = 'customers_both')",
		}),
		"sql_locks": migration(migrate.Operation{
			Kind: migrate.SQL, Name: "apart", Locks: "ACCESS EXCLUSIVE",
			Act: []string{"ALTER TABLE @table ALTER COLUMN note SET STORAGE EXTERNAL"}, Undo: []string{"ALTER TABLE @table ALTER COLUMN note SET STORAGE EXTENDED"},
			Probe: "SELECT attstorage = 'e' FROM pg_attribute WHERE attrelid = @table_oid AND attname = 'note'",
		}),
		"sql_index": migration(migrate.Operation{
			Kind: migrate.SQL, Name: "lower",
			Act: []string{"CREATE INDEX CONCURRENTLY customers_lower ON @table (lower(note))"}, Undo: []string{"DROP INDEX CONCURRENTLY @schema.customers_lower"},
			Probe: "SELECT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = @table_oid AND c.relname = 'customers_lower' AND i.indisvalid)",
		}),
		"several": migration(
			migrate.Operation{Kind: migrate.CreateIndex, Name: "customers_channel", Columns: []string{"channel", "amount_eur DESC"}},
			migrate.Operation{Kind: migrate.DropColumn, Column: "web"},
			migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "CASE WHEN web THEN 'web ' || qty ELSE 'store' END"},
			migrate.Operation{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"},
			migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "text", Up: "(qty + 1)::text", Down: "qty::int - 1"},
			migrate.Operation{Kind: migrate.SetDefault, Column: "code", Default: "'none'"},
		),
	}
	maps.Copy(all, keyCases())
	return all
}

func rich() migrate.Migration {
	m := cases()["several"]
	m.Why = "Reports need the channel of every customer, and amounts say their currency."
	m.Consumers = []migrate.Consumer{
		{Name: "bi", Contact: "bi@example.com", MustAck: true, Roles: []string{"bi_reader"}},
		{Name: "finance <team>", Contact: "[finance](http://evil.example)"},
	}
	m.Deprecate = migrate.Deprecate{Window: 7 * 24 * time.Hour, Brownout: 10 * time.Minute}
	return m
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	path := filepath.Join("testdata", file)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "run go test ./internal/migrate -update")
}
