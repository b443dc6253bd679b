package migrate_test

import (
	"slices"
	"testing"

	"drawbridge/internal/migrate"
	"drawbridge/internal/testdb"
)

// keyCases are the operations of keys and enums, each in its forms.
func keyCases() map[string]migrate.Migration {
	lead := migrate.Operation{Kind: migrate.AddForeignKey, Name: "customers_region", Columns: []string{"qty"}, References: "regions", Key: []string{"id"}}
	bound := migrate.Operation{
		Kind: migrate.AddForeignKey, Name: "customers_region", Columns: []string{"qty", "code"}, References: "regions", Key: []string{"id", "code"},
		OnDelete: "cascade", OnUpdate: "set null", Match: "full", Deferrable: "deferred",
	}
	return map[string]migrate.Migration{
		"add_foreign_key":        migration(lead),
		"add_foreign_key_full":   migration(bound),
		"add_foreign_key_itself": migration(migrate.Operation{Kind: migrate.AddForeignKey, Name: "customers_before", Columns: []string{"qty"}, References: "customers", Key: []string{"id"}, OnDelete: "restrict"}),
		"drop_foreign_key":       migration(migrate.Operation{Kind: migrate.DropForeignKey, Name: "customers_led"}),
		"add_unique":             migration(migrate.Operation{Kind: migrate.AddUnique, Name: "customers_code", Columns: []string{"code", "qty"}}),
		"add_unique_nulls":       migration(migrate.Operation{Kind: migrate.AddUnique, Name: "customers_code", Columns: []string{"code"}, NullsEqual: true, Deferrable: "deferred"}),
		"drop_unique":            migration(migrate.Operation{Kind: migrate.DropUnique, Name: "customers_apart"}),
		"add_primary_key":        migration(migrate.Operation{Kind: migrate.AddPrimaryKey, Name: "customers_key", Columns: []string{"web", "code"}}),
		"add_enum_value":         migration(migrate.Operation{Kind: migrate.AddEnumValue, Type: "channel_kind", Value: "it's phone", Before: "store"}),
		"add_enum_value_last":    migration(migrate.Operation{Kind: migrate.AddEnumValue, Type: "channel_kind", Value: "mail"}),
		"keys_of_new_columns": migration(
			migrate.Operation{Kind: migrate.AddPrimaryKey, Name: "customers_key", Columns: []string{"number", "amount_eur"}},
			migrate.Operation{Kind: migrate.AddForeignKey, Name: "customers_region", Columns: []string{"number"}, References: "regions", Key: []string{"id"}},
			migrate.Operation{Kind: migrate.AddColumn, Column: "number", Type: "int", Required: true, Up: "id::int"},
			migrate.Operation{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"},
		),
	}
}

// has says whether a migration has an operation of a kind.
func has(m migrate.Migration, kind migrate.Kind) bool {
	return slices.ContainsFunc(m.Operations, func(o migrate.Operation) bool { return o.Kind == kind })
}

// Beside shopTable there is another one, and an enum.
const (
	regionsTable = `CREATE TABLE regions (id bigint PRIMARY KEY, code text NOT NULL, UNIQUE (code, id))`
	regionsRows  = `INSERT INTO regions SELECT n, n FROM generate_series(1, 60) n`
	channelKind  = `CREATE TYPE channel_kind AS ENUM ('web', 'store')`
)

// newer says whether a case is for newer servers than the one at hand: there it is refused before anything is done.
func newer(t *testing.T, db *testdb.DB, m migrate.Migration) bool {
	t.Helper()
	version := one[int](t, db, "SELECT current_setting('server_version_num')::int")
	return slices.ContainsFunc(m.Operations, func(o migrate.Operation) bool { return o.NullsEqual && version < 150000 })
}

// keyTable makes of shopTable what a migration of keys begins with.
func keyTable(m migrate.Migration) (statements []string) {
	if has(m, migrate.AddPrimaryKey) {
		statements = append(statements, "ALTER TABLE customers DROP CONSTRAINT customers_pkey")
	}
	if has(m, migrate.DropForeignKey) {
		statements = append(statements, "ALTER TABLE customers ADD CONSTRAINT customers_led FOREIGN KEY (qty) REFERENCES regions")
	}
	if has(m, migrate.DropUnique) {
		statements = append(statements, "ALTER TABLE customers ADD CONSTRAINT customers_apart UNIQUE (note, id)")
	}
	return statements
}

// keys adds to the fixture what is beside the table, and what keyTable makes of it.
func keys(t *migrate.Table, m migrate.Migration) {
	t.Uniques = []migrate.Unique{{Name: "customers_pkey", Columns: []string{"id"}, Primary: true}}
	t.Indexes[0].Keys, t.Indexes[0].Distinct, t.Indexes[1].Keys = []string{"id"}, true, []string{"created"}
	if has(m, migrate.AddPrimaryKey) {
		t.Uniques, t.Indexes, t.Key = nil, t.Indexes[1:], nil
	}
	if has(m, migrate.DropForeignKey) {
		t.ForeignKeys = []migrate.ForeignKey{{Name: "customers_led", Columns: []string{"qty"}, Schema: t.Schema, Table: "regions", Key: []string{"id"}, Owned: true}}
	}
	if has(m, migrate.DropUnique) {
		t.Uniques = append(t.Uniques, migrate.Unique{Name: "customers_apart", Columns: []string{"note", "id"}})
	}
	t.References = map[string]migrate.Reference{}
	for _, lead := range migrate.Leads(m) {
		t.References[lead.Name] = migrate.Reference{Table: regions(*t)}
	}
	t.Enums = map[string]migrate.Enum{}
	for _, name := range migrate.EnumsOf(m) {
		t.Enums[name] = migrate.Enum{Found: true, Owned: true, Values: []string{"web", "store"}, Columns: []string{"kind"}, Others: []string{"kind of orders"}}
	}
}

// regions is the other table.
func regions(t migrate.Table) migrate.Table {
	return migrate.Table{
		Schema: t.Schema, Name: "regions", Kind: "table", Owned: true, Version: t.Version, Columns: []migrate.Column{{Name: "id", Type: "bigint", NotNull: true}, {Name: "code", Type: "text", NotNull: true}},
		Indexes: []migrate.Index{
			{Name: "regions_pkey", Keys: []string{"id"}, Unique: true, Primary: true, Valid: true, Distinct: true},
			{Name: "regions_code_id_key", Keys: []string{"code", "id"}, Unique: true, Valid: true, Distinct: true},
		},
	}
}
