package pipeline_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/strictyaml"
)

const channel = `table: customers
why: Reports need it.
operations:
  - add_column: {column: channel, type: text, required: true, up: "CASE WHEN web THEN 'web' ELSE 'store' END"}
  - rename_column: {column: amount, to: amount_eur}
  - change_type: {column: qty, to: bigint, up: "qty::bigint", down: "qty::int"}
  - create_index: {name: customers_channel, columns: [channel, "created DESC"], include: [id], where: "channel <> ''"}
consumers:
  - {name: bi, contact: bi@example.com, must_ack: true, roles: [bi_reader]}
deprecate: {window: 168h, brownout: 10m}
`

func withMigrations(files map[string]string) map[string][]byte {
	folder := shopFolder()
	for name, text := range files {
		folder["migrations/"+name] = []byte(text)
	}
	return folder
}

func TestMigrationsAreReadInTheOrderOfTheirNames(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse(withMigrations(map[string]string{
		"0010_later.yaml":   "table: orders\nwhy: It is gone.\noperations: [{drop_column: {column: legacy}}]\n",
		"0007_channel.yaml": channel,
	}), "")
	require.NoError(t, err)
	require.Equal(t, []migrate.Migration{
		{
			Name: "0007_channel", Table: "customers", Why: "Reports need it.",
			Operations: []migrate.Operation{
				{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "CASE WHEN web THEN 'web' ELSE 'store' END"},
				{Kind: migrate.RenameColumn, Column: "amount", To: "amount_eur"},
				{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty::bigint", Down: "qty::int"},
				{Kind: migrate.CreateIndex, Name: "customers_channel", Columns: []string{"channel", "created DESC"}, Include: []string{"id"}, Where: "channel <> ''", Method: "btree"},
			},
			Consumers: []migrate.Consumer{{Name: "bi", Contact: "bi@example.com", MustAck: true, Roles: []string{"bi_reader"}}},
			Deprecate: migrate.Deprecate{Window: 7 * 24 * time.Hour, Brownout: 10 * time.Minute},
		},
		{Name: "0010_later", Table: "orders", Why: "It is gone.", Operations: []migrate.Operation{{Kind: migrate.DropColumn, Column: "legacy"}}},
	}, p.Migrations)
	none, err := pipeline.Parse(shopFolder(), "")
	require.NoError(t, err)
	require.NotEqual(t, none.Digest(), p.Digest())
}

func TestMigrationsThatSayWhatCannotBeAreRefusedWithTheirPlace(t *testing.T) {
	t.Parallel()
	one := func(operation string) map[string]string {
		return map[string]string{"0007_channel.yaml": "table: customers\nwhy: x\noperations:\n  - " + operation + "\n"}
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a file of another name":      {map[string]string{"channel.yaml": channel}, "migrations/channel.yaml: the folder migrations holds migrations only; call it as in 0007_channel.yaml"},
		"a file that is no YAML":      {map[string]string{"0007_channel.sql": "DROP TABLE x"}, "migrations/0007_channel.sql: the folder migrations holds migrations only"},
		"a file further down":         {map[string]string{"old/0007_channel.yaml": channel}, "migrations/old/0007_channel.yaml: the folder migrations holds migrations only"},
		"two of one number":           {map[string]string{"0007_a.yaml": channel, "0007_b.yaml": channel}, "migrations/0007_b.yaml: migrations/0007_a.yaml has the number 0007 too"},
		"an unknown key":              {map[string]string{"0007_a.yaml": channel + "tabel: x\n"}, "0007_a.yaml:11:1: tabel: unknown key; did you mean table?"},
		"an unknown operation":        {one("add_colum: {column: a, type: text}"), "0007_channel.yaml:4:5: operations[0].add_colum: unknown key; did you mean add_column?"},
		"a key of other columns":      {one("add_foreign_key: {name: k, columns: [a, b], references: c, key: [id]}"), "the foreign key k has 2 columns, and leads to 1"},
		"an action that is SQL":       {one(`add_foreign_key: {name: k, columns: [a], references: c, key: [id], on_delete: "CASCADE; DROP TABLE x"}`), "add_foreign_key.on_delete: must be no action, restrict, cascade, set null or set default"},
		"a key that may wait so":      {one("add_unique: {name: k, columns: [a], deferrable: always}"), "add_unique.deferrable: must be immediate or deferred"},
		"a value twice":               {one("add_enum_value: {type: kind, value: x, before: a, after: b}"), "add_enum_value of kind says before and after"},
		"a key of another one":        {one("drop_column: {column: a, to: b}"), "operations[0].drop_column.to: unknown key"},
		"a key that is missing":       {one("rename_column: {column: a}"), "operations[0].rename_column: the key \"to\" is missing"},
		"a table that is a mapping":   {one("add_foreign_key: {name: k, columns: [a], references: {table: c}, key: [id]}"), "add_foreign_key.references: must be a table name of at most 63 characters; as in references: customers"},
		"a key without its columns":   {one("add_foreign_key: {name: k, columns: [a], references: c}"), `add_foreign_key: the key "key" is missing; Its columns, one for each: its primary key, or those of a unique constraint, as in key: [id]`},
		"a type that is SQL":          {one(`add_column: {column: a, type: "text; DROP TABLE x"}`), "add_column.type: must be a Postgres type"},
		"a type of one's own":         {one("add_column: {column: a, type: color}"), "0007_channel.yaml:4:5: operations[0]: add_column of a:"},
		"an expression of two":        {one(`add_check: {name: k, check: "true; DROP TABLE x"}`), `the expression "true; DROP TABLE x" of add_check holds a semicolon`},
		"a column of an expression":   {one(`create_index: {name: i, columns: ["lower(a)"]}`), "must be a column, and after it ASC or DESC"},
		"required without a value":    {one("add_column: {column: a, type: text, required: true}"), "nothing gives rows that are there a value"},
		"two about one column":        {one("drop_column: {column: a}\n  - drop_default: {column: a}"), "0007_channel.yaml:5:5: operations[1]: drop_column and drop_default are both about a"},
		"a brownout without window":   {one("drop_column: {column: a}\ndeprecate: {brownout: 10m}"), "the brownout is not shorter than the window"},
		"two operations in one":       {one("drop_column: {column: a}\n    drop_default: {column: b}"), "operations[0]: must have exactly one key"},
		"SQL that drops":              {one(`sql: {name: x, act: ["DROP TABLE @table"], undo: ["ANALYZE @table"], probe: "SELECT true"}`), "0007_channel.yaml:4:5: operations[0]: sql x: it holds a statement that a migration may not have (Drop); leave it out"},
		"SQL that looks at rows":      {one(`sql: {name: x, act: ["ANALYZE @table"], undo: ["ANALYZE @table"], probe: "SELECT EXISTS (SELECT FROM @table)"}`), "the probe reads @table"},
		"SQL about nobody knows what": {one(`sql: {name: x, act: ["ANALYZE @tabel"], undo: ["ANALYZE @table"], probe: "SELECT true"}`), "nothing stands for @tabel"},
		"a column of a view":          {one(`create_view: {name: v, columns: ["lower(a)"]}`), "must be a column, and after it AS"},
		"keys of a table that goes":   {one("drop_table: {cascade: true}"), "operations[0].drop_table.cascade: unknown key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.Parse(withMigrations(test.files), "")
			require.ErrorContains(t, err, test.want)
			problems, _ := strictyaml.ProblemsOf(err)
			require.Len(t, problems, 1, "said once")
		})
	}
}

// What the planner refuses of a file by itself, whoever made it, the reader refuses too.
func TestEveryMistakeOfAMigrationIsSaidWhereItIsRead(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse(withMigrations(map[string]string{"0007_channel.yaml": channel}), "")
	require.NoError(t, err)
	require.Empty(t, migrate.Mistakes(p.Migrations[0]))
	files := maps.Clone(shopFolder())
	files["migrations/0007_channel.yaml"] = []byte(strings.ReplaceAll(channel, "qty::int", "qty::int)"))
	_, err = pipeline.Parse(files, "")
	require.ErrorContains(t, err, "closes a parenthesis that it did not open")
}

func TestOperationsOfKeysAreReadWhole(t *testing.T) {
	t.Parallel()
	p, err := pipeline.Parse(withMigrations(map[string]string{"0007_keys.yaml": `table: orders
why: Orders are of customers.
operations:
  - add_foreign_key: {name: orders_customer, columns: [customer, region], references: customers, key: [id, region], on_delete: set null, on_update: cascade, match: full, deferrable: deferred}
  - add_unique: {name: orders_number, columns: [number, "Region"], nulls_equal: true, deferrable: immediate}
  - add_primary_key: {name: orders_pkey, columns: [id]}
  - drop_unique: {name: orders_old}
  - drop_foreign_key: {name: orders_shop}
  - add_enum_value: {type: state, value: "it's gone", before: lost}
  - add_enum_value: {type: state, value: found, after: lost}
`}), "")
	require.NoError(t, err)
	require.Equal(t, []migrate.Operation{
		{
			Kind: migrate.AddForeignKey, Name: "orders_customer", Columns: []string{"customer", "region"}, References: "customers", Key: []string{"id", "region"},
			OnDelete: "set null", OnUpdate: "cascade", Match: "full", Deferrable: "deferred",
		},
		{Kind: migrate.AddUnique, Name: "orders_number", Columns: []string{"number", "Region"}, NullsEqual: true, Deferrable: "immediate"},
		{Kind: migrate.AddPrimaryKey, Name: "orders_pkey", Columns: []string{"id"}},
		{Kind: migrate.DropUnique, Name: "orders_old"},
		{Kind: migrate.DropForeignKey, Name: "orders_shop"},
		{Kind: migrate.AddEnumValue, Type: "state", Value: "it's gone", Before: "lost"},
		{Kind: migrate.AddEnumValue, Type: "state", Value: "found", After: "lost"},
	}, p.Migrations[0].Operations)
}
