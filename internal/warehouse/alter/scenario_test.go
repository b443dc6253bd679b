package alter_test

import (
	"cmp"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/migrate"
)

// scenario is an operation, and the plain SQL that comes to the same on a table that nobody uses meanwhile. Names are written in braces:
// {note} is the name, and "{note}" the name as SQL has it.
type scenario struct {
	operation migrate.Operation
	table     string // that it is about; empty: {customers}
	plain     []string
	fixture   []string      // what is there besides the table
	parted    bool          // that the rows of the table lie in partitions, at two levels
	refuses   migrate.Phase // from which on others get errors, as they were told; empty: nobody does
	stays     []string      // plain SQL for what is left of it once it is taken back: none, but for what the registry says. Twice is once.
}

// scenarios are those of every operation, by its forms.
func scenarios() map[migrate.Kind]map[string]scenario {
	all := columnScenarios()
	maps.Copy(all, keyScenarios())
	maps.Copy(all, relationScenarios())
	return all
}

func columnScenarios() map[migrate.Kind]map[string]scenario {
	const web = `CASE WHEN "{web}" THEN 'it''s "web"; $drawbridge$ $body$' ELSE 'x''; DROP TABLE kept; --' || "{id}" END`
	return map[migrate.Kind]map[string]scenario{
		migrate.AddColumn: {
			"nullable": {
				operation: migrate.Operation{Kind: migrate.AddColumn, Column: "{channel}", Type: "varchar(20)"},
				plain:     []string{`ALTER TABLE "{customers}" ADD "{channel}" varchar(20)`},
			},
			"with a default": {
				operation: migrate.Operation{Kind: migrate.AddColumn, Column: "{channel}", Type: "text", Default: "'it''s $body$'"},
				plain:     []string{`ALTER TABLE "{customers}" ADD "{channel}" text DEFAULT 'it''s $body$'`},
			},
			"required": {
				operation: migrate.Operation{Kind: migrate.AddColumn, Column: "{channel}", Type: "text", Required: true, Up: web},
				plain: []string{
					`ALTER TABLE "{customers}" ADD "{channel}" text`, `UPDATE "{customers}" SET "{channel}" = ` + web, `ALTER TABLE "{customers}" ALTER "{channel}" SET NOT NULL`,
				},
			},
			"required with a default": {
				operation: migrate.Operation{Kind: migrate.AddColumn, Column: "{channel}", Type: "int", Required: true, Default: "7"},
				plain:     []string{`ALTER TABLE "{customers}" ADD "{channel}" int NOT NULL DEFAULT 7`},
			},
		},
		migrate.RenameColumn: {
			"laden": {
				operation: migrate.Operation{Kind: migrate.RenameColumn, Column: "{created}", To: "{made}"},
				plain:     []string{`ALTER TABLE "{customers}" RENAME "{created}" TO "{made}"`},
			},
			"never null": {
				operation: migrate.Operation{Kind: migrate.RenameColumn, Column: "{amount}", To: "{amount_eur}"},
				plain:     []string{`ALTER TABLE "{customers}" RENAME "{amount}" TO "{amount_eur}"`},
			},
		},
		migrate.ChangeType: {
			"lossy": {
				operation: migrate.Operation{Kind: migrate.ChangeType, Column: "{amount}", To: "int", Up: `"{amount}" * 100`, Down: `"{amount}" / 100`, Default: "0"},
				plain: []string{
					`ALTER TABLE "{customers}" ALTER "{amount}" DROP DEFAULT`, `ALTER TABLE "{customers}" ALTER "{amount}" TYPE int USING "{amount}" * 100`,
					`ALTER TABLE "{customers}" ALTER "{amount}" SET DEFAULT 0`,
				},
			},
			"wider": {
				operation: migrate.Operation{Kind: migrate.ChangeType, Column: "{code}", To: "text"},
				plain:     []string{`ALTER TABLE "{customers}" ALTER "{code}" TYPE text`},
			},
		},
		migrate.DropColumn: {"": {
			operation: migrate.Operation{Kind: migrate.DropColumn, Column: "{note}"},
			plain:     []string{`ALTER TABLE "{customers}" DROP "{note}"`},
		}},
		migrate.SetNotNull: {
			"of values that are there": {
				operation: migrate.Operation{Kind: migrate.SetNotNull, Column: "{code}"},
				plain:     []string{`ALTER TABLE "{customers}" ALTER "{code}" SET NOT NULL`},
			},
			"of values that are given": {
				operation: migrate.Operation{Kind: migrate.SetNotNull, Column: "{note}", Up: web},
				stays:     []string{`UPDATE "{customers}" SET "{note}" = ` + web + ` WHERE "{note}" IS NULL`},
				plain:     []string{`UPDATE "{customers}" SET "{note}" = ` + web + ` WHERE "{note}" IS NULL`, `ALTER TABLE "{customers}" ALTER "{note}" SET NOT NULL`},
			},
		},
		migrate.DropNotNull: {"": {
			operation: migrate.Operation{Kind: migrate.DropNotNull, Column: "{amount}"},
			plain:     []string{`ALTER TABLE "{customers}" ALTER "{amount}" DROP NOT NULL`},
		}},
		migrate.SetDefault: {
			"another": {
				operation: migrate.Operation{Kind: migrate.SetDefault, Column: "{amount}", Default: "1.50"},
				plain:     []string{`ALTER TABLE "{customers}" ALTER "{amount}" SET DEFAULT 1.50`},
			},
			"the first": {
				operation: migrate.Operation{Kind: migrate.SetDefault, Column: "{note}", Default: `'it''s; -- $$'`},
				plain:     []string{`ALTER TABLE "{customers}" ALTER "{note}" SET DEFAULT 'it''s; -- $$'`},
			},
		},
		migrate.DropDefault: {"": {
			operation: migrate.Operation{Kind: migrate.DropDefault, Column: "{amount}"},
			plain:     []string{`ALTER TABLE "{customers}" ALTER "{amount}" DROP DEFAULT`},
		}},
		migrate.AddCheck: {"": {
			operation: migrate.Operation{Kind: migrate.AddCheck, Name: "{positive}", Check: `"{amount}" >= 0 AND "{note}" IS DISTINCT FROM ''';--'`},
			plain:     []string{`ALTER TABLE "{customers}" ADD CONSTRAINT "{positive}" CHECK ("{amount}" >= 0 AND "{note}" IS DISTINCT FROM ''';--')`},
		}},
		migrate.DropCheck: {"": {
			operation: migrate.Operation{Kind: migrate.DropCheck, Name: "{late}"},
			plain:     []string{`ALTER TABLE "{customers}" DROP CONSTRAINT "{late}"`},
		}},
		migrate.CreateIndex: {
			"with all that it may have": {
				operation: migrate.Operation{
					Kind: migrate.CreateIndex, Name: "{by_code}", Columns: []string{`"{code}"`, `"{created}" DESC`, `"{qty}" NULLS FIRST`}, Include: []string{"{id}"}, Where: `"{code}" <> ''';--'`,
				},
				plain: []string{`CREATE INDEX "{by_code}" ON "{customers}" ("{code}", "{created}" DESC, "{qty}" NULLS FIRST) INCLUDE ("{id}") WHERE "{code}" <> ''';--'`},
			},
			"unique": {
				operation: migrate.Operation{Kind: migrate.CreateIndex, Name: "{by_amount}", Columns: []string{`"{amount}"`, `"{id}"`}, Unique: true},
				plain:     []string{`CREATE UNIQUE INDEX "{by_amount}" ON "{customers}" ("{amount}", "{id}")`},
			},
		},
		migrate.DropIndex: {"": {
			operation: migrate.Operation{Kind: migrate.DropIndex, Name: "{by_created}"},
			plain:     []string{`DROP INDEX "{by_created}"`},
		}},
		migrate.SetComment: {"": {
			operation: migrate.Operation{Kind: migrate.SetComment, Column: "{note}", Comment: `it's "what"\they say'; DROP TABLE kept; --`},
			plain:     []string{`COMMENT ON COLUMN "{customers}"."{note}" IS 'it''s "what"\they say''; DROP TABLE kept; --'`},
		}},
	}
}

// proven is the table that the scenarios change, and one that nobody touches.
func proven(parted bool) []string {
	placed := ")"
	var partitions []string
	if parted {
		placed = `) PARTITION BY RANGE ("{id}")`
		partitions = []string{
			`CREATE TABLE "{low}" PARTITION OF "{customers}" FOR VALUES FROM (MINVALUE) TO (20)`,
			`CREATE TABLE "{high}" PARTITION OF "{customers}" FOR VALUES FROM (20) TO (MAXVALUE) PARTITION BY RANGE ("{id}")`,
			`CREATE TABLE "{middle}" PARTITION OF "{high}" FOR VALUES FROM (20) TO (40)`,
			`CREATE TABLE "{rest}" PARTITION OF "{high}" DEFAULT`,
		}
	}
	return slices.Concat([]string{
		`CREATE TABLE kept (id int)`,
		`CREATE TABLE "{customers}" (
			"{id}" bigint CONSTRAINT "{customers_pk}" PRIMARY KEY, "{web}" boolean NOT NULL, "{amount}" numeric(12,2) NOT NULL DEFAULT 0, "{qty}" integer, "{note}" text, "{code}" varchar(10),
			"{created}" timestamptz DEFAULT '2026-01-01 00:00:00+00', CONSTRAINT "{late}" CHECK ("{created}" > '2000-01-01 00:00:00+00')` + placed,
	}, partitions, []string{
		`INSERT INTO "{customers}" SELECT i, i % 2 = 0, i / 7.0, nullif(i % 9, 0), CASE WHEN i % 3 > 0 THEN 'note ' || i END, i, '2026-01-01 00:00:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(1, 60) i`,
		`CREATE INDEX "{by_created}" ON "{customers}" ("{created}" DESC)`,
		`COMMENT ON COLUMN "{customers}"."{amount}" IS 'in euros; it''s net'`,
		`COMMENT ON INDEX "{by_created}" IS 'what''s new'`,
		`ALTER TABLE "{customers}" ALTER "{created}" SET STATISTICS 300`,
		`GRANT SELECT ("{amount}", "{created}") ON "{customers}" TO PUBLIC`,
		`ANALYZE "{customers}"`,
	})
}

// naming writes the names of a scenario.
type naming func(name string) string

// plainly are names that need no quoting.
func plainly(name string) string { return name }

// hostilely are names that are much SQL and little name.
func hostilely(name string) string { return name + `"; DROP TABLE kept; --'$body$ %s \` }

var inBraces = regexp.MustCompile(`"?\{[a-z_]+\}"?`)

// in writes the names of a text.
func (n naming) in(text string) string {
	return inBraces.ReplaceAllStringFunc(text, func(found string) string {
		name := n(strings.Trim(found, `"{}`))
		if strings.HasPrefix(found, `"`) {
			return pgx.Identifier{name}.Sanitize()
		}
		return name
	})
}

// migration is one of the scenario's operation.
func (n naming) migration(s scenario) migrate.Migration {
	for _, f := range reflect.ValueOf(&s.operation).Elem().Fields() {
		switch f.Interface().(type) {
		case string:
			f.SetString(n.in(f.String()))
		case []string:
			written := make([]string, f.Len())
			for j := range written {
				written[j] = n.in(f.Index(j).String())
			}
			if f.Len() > 0 {
				f.Set(reflect.ValueOf(written))
			}
		case []migrate.MadeColumn:
			written := make([]migrate.MadeColumn, f.Len())
			for j := range written {
				written[j] = f.Index(j).Interface().(migrate.MadeColumn)
				written[j].Name = n.in(written[j].Name)
			}
			if f.Len() > 0 {
				f.Set(reflect.ValueOf(written))
			}
		}
	}
	return migrate.Migration{Name: "0001_channel", Table: n.in(cmp.Or(s.table, "{customers}")), Why: "It is proved.", Operations: []migrate.Operation{s.operation}}
}

// make builds what a scenario begins with.
func (b *bundle) make(t *testing.T, s scenario, n naming) {
	t.Helper()
	for _, sql := range slices.Concat(proven(s.parted), s.fixture) {
		b.db.Exec(t, n.in(sql))
	}
}
