package alter_test

import "drawbridge/internal/migrate"

// keyScenarios are those of keys, and of values of enums.
func keyScenarios() map[migrate.Kind]map[string]scenario {
	const shops = `CREATE TABLE "{shops}" ("{shop}" int CONSTRAINT "{shops_pk}" PRIMARY KEY)`
	const shopRows = `INSERT INTO "{shops}" SELECT i FROM generate_series(1, 8) i`
	const led = `ALTER TABLE "{customers}" ADD CONSTRAINT "{customers_shop}" FOREIGN KEY ("{qty}") REFERENCES "{shops}" ("{shop}") ON DELETE SET NULL`
	const apart = `ALTER TABLE "{customers}" ADD CONSTRAINT "{apart}" UNIQUE ("{amount}", "{id}")`
	const kinds = `CREATE TYPE "{kind}" AS ENUM ('web', 'it''s')`
	const kind = `ALTER TABLE "{customers}" ADD "{kind}" "{kind}"`
	return map[migrate.Kind]map[string]scenario{
		migrate.AddUnique: {"": {
			operation: migrate.Operation{Kind: migrate.AddUnique, Name: "{apart}", Columns: []string{"{amount}", "{id}"}},
			plain:     []string{apart},
		}},
		migrate.DropUnique: {"": {
			fixture:   []string{apart},
			operation: migrate.Operation{Kind: migrate.DropUnique, Name: "{apart}"},
			plain:     []string{`ALTER TABLE "{customers}" DROP CONSTRAINT "{apart}"`},
		}},
		migrate.AddPrimaryKey: {"of a column that may be null": {
			fixture:   []string{`ALTER TABLE "{customers}" DROP CONSTRAINT "{customers_pk}"`, `ALTER TABLE "{customers}" ALTER "{id}" DROP NOT NULL`},
			operation: migrate.Operation{Kind: migrate.AddPrimaryKey, Name: "{key}", Columns: []string{"{id}"}},
			plain:     []string{`ALTER TABLE "{customers}" ADD CONSTRAINT "{key}" PRIMARY KEY ("{id}")`},
		}},
		migrate.AddForeignKey: {
			"to another table": {
				fixture:   []string{shops, shopRows},
				operation: migrate.Operation{Kind: migrate.AddForeignKey, Name: "{customers_shop}", Columns: []string{"{qty}"}, References: "{shops}", Key: []string{"{shop}"}, OnDelete: "set null"},
				plain:     []string{led},
			},
			"to the table itself": {
				operation: migrate.Operation{Kind: migrate.AddForeignKey, Name: "{before}", Columns: []string{"{qty}"}, References: "{customers}", Key: []string{"{id}"}, Deferrable: "deferred"},
				plain:     []string{`ALTER TABLE "{customers}" ADD CONSTRAINT "{before}" FOREIGN KEY ("{qty}") REFERENCES "{customers}" ("{id}") DEFERRABLE INITIALLY DEFERRED`},
			},
		},
		migrate.DropForeignKey: {"": {
			fixture:   []string{shops, shopRows, led},
			operation: migrate.Operation{Kind: migrate.DropForeignKey, Name: "{customers_shop}"},
			plain:     []string{`ALTER TABLE "{customers}" DROP CONSTRAINT "{customers_shop}"`},
		}},
		migrate.AddEnumValue: {"": {
			fixture:   []string{kinds, kind},
			operation: migrate.Operation{Kind: migrate.AddEnumValue, Type: "{kind}", Value: `'; DROP TABLE kept; --`, Before: "it's"},
			plain:     []string{`ALTER TYPE "{kind}" ADD VALUE '''; DROP TABLE kept; --' BEFORE 'it''s'`},
		}},
	}
}

// relationScenarios are those of whole tables, of views, and of SQL of an author's own.
func relationScenarios() map[migrate.Kind]map[string]scenario {
	return map[migrate.Kind]map[string]scenario{
		migrate.CreateView: {"": {
			operation: migrate.Operation{Kind: migrate.CreateView, Name: "{old_customers}", Columns: []string{`"{id}"`, `"{amount}" AS "{total}"`}, Where: `"{code}" <> ''';--'`},
			plain: []string{
				`CREATE VIEW "{old_customers}" WITH (security_invoker = true) AS SELECT "{id}", "{amount}" AS "{total}" FROM "{customers}" WHERE "{code}" <> ''';--'`,
				`GRANT SELECT ("{total}") ON "{old_customers}" TO PUBLIC`,
				`DO $do$ BEGIN EXECUTE format('COMMENT ON VIEW %s IS %L', $said$"{old_customers}"$said$, $said$Over {customers}: $said$ || replace($said$"{id}", "{amount}" AS "{total}"$said$, '"', '') || $said$ where "{code}" <> ''';--'$said$); END $do$`,
			},
		}},
		migrate.CreateTable: {"": {
			table: "{shops}",
			operation: migrate.Operation{Kind: migrate.CreateTable, Made: []migrate.MadeColumn{
				{Name: "{shop}", Type: "int8"}, {Name: "{turnover}", Type: "numeric(12,2)", Required: true}, {Name: "{tags}", Type: "text[]"},
			}, Key: []string{"{shop}"}},
			plain: []string{`CREATE TABLE "{shops}" ("{shop}" bigint, "{turnover}" numeric(12,2) NOT NULL, "{tags}" text[], PRIMARY KEY ("{shop}"))`},
		}},
		migrate.RenameTable: {"": {
			refuses:   migrate.Contract,
			operation: migrate.Operation{Kind: migrate.RenameTable, To: "{clients}"},
			plain:     []string{`ALTER TABLE "{customers}" RENAME TO "{clients}"`},
		}},
		migrate.DropTable: {"": {
			refuses:   migrate.Switch,
			operation: migrate.Operation{Kind: migrate.DropTable},
			plain:     []string{`DROP TABLE "{customers}"`},
		}},
		migrate.SQL: {"": {
			operation: migrate.Operation{
				Kind: migrate.SQL, Name: "{sampled}",
				Act:   []string{`CREATE STATISTICS @schema."{both}" (mcv) ON "{code}", "{qty}" FROM @table`, `COMMENT ON COLUMN @table."{note}" IS 'it''s; ours'`},
				Undo:  []string{`COMMENT ON COLUMN @table."{note}" IS NULL`, `DROP STATISTICS @schema."{both}"`},
				Probe: `SELECT EXISTS (SELECT FROM pg_statistic_ext WHERE stxrelid = @table_oid AND stxnamespace = @schema_oid)`,
			},
			plain: []string{`CREATE STATISTICS "{both}" (mcv) ON "{code}", "{qty}" FROM "{customers}"`, `COMMENT ON COLUMN "{customers}"."{note}" IS 'it''s; ours'`},
		}},
	}
}
