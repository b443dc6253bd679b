package pipeline

import (
	"drawbridge/internal/migrate"
	"drawbridge/internal/strictyaml"
)

func migrationShape() strictyaml.Shape {
	return strictyaml.ObjectOf(
		strictyaml.Key{Name: "table", Required: true, Shape: nameShape("a table name"), Doc: "The table in the environment's schema: one that no pipeline makes.", Examples: []string{"customers", "orders"}},
		strictyaml.Key{Name: "why", Required: true, Shape: strictyaml.Sentence(), Doc: "Why, for those who approve it and for consumers.", Examples: []string{"Reports need it.", "Other words."}},
		strictyaml.Key{Name: "operations", Required: true, Shape: strictyaml.ListOf(operationShape()), Doc: "What is to change, each about another column or name."},
		strictyaml.Key{Name: "consumers", Doc: "Who reads or writes the table, and is told.", Shape: strictyaml.ListOf(strictyaml.ObjectOf(
			strictyaml.Key{Name: "name", Required: true, Shape: strictyaml.Sentence(), Doc: "How people call the team.", Examples: []string{"bi", "finance"}},
			strictyaml.Key{Name: "contact", Shape: strictyaml.Sentence(), Doc: "Where it is reached.", Examples: []string{"bi@example.com", "data@example.com"}},
			strictyaml.Key{Name: "must_ack", Shape: strictyaml.Shape{Kind: strictyaml.Boolean}, Preset: "false", Doc: "Nothing is taken away before the team has said that it is ready.", Examples: []string{"true", "false"}},
			strictyaml.Key{Name: "roles", Shape: strictyaml.ListOf(nameShape("a role name")), Doc: "The logins under which it reads.", Examples: []string{"[bi_reader]", "[bi_reader, bi_nightly]"}},
		))},
		strictyaml.Key{Name: "deprecate", Preset: "{}", Doc: "How the old shape is taken away.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "window", Shape: strictyaml.Shape{Kind: strictyaml.Duration, Zero: true}, Preset: "0s", Doc: "How long both shapes are kept after the switch, at the least.", Examples: []string{"168h", "35d"}},
			strictyaml.Key{Name: "brownout", Shape: strictyaml.Shape{Kind: strictyaml.Duration, Zero: true}, Preset: "0s", Doc: "For how long, at the end of the window, whoever still needs the old shape is refused, as a trial; 0s: it is not tried.", Examples: []string{"10m", "1h"}},
		)},
	)
}

// operationShape has a key for each operation of the registry.
func operationShape() strictyaml.Shape {
	s := strictyaml.Shape{Kind: strictyaml.Object, Single: true}
	for _, r := range migrate.Recipes() {
		s.Keys = append(s.Keys, strictyaml.Key{Name: string(r.Kind), Doc: r.What, Shape: strictyaml.ObjectOf(operationKeys(r.Kind)...)})
	}
	return s
}

func operationKeys(kind migrate.Kind) []strictyaml.Key {
	column := strictyaml.Key{Name: "column", Required: true, Shape: columnShape(), Doc: "The column."}
	name := strictyaml.Key{Name: "name", Required: true, Shape: nameShape("a name"), Doc: "Its name."}
	expression := func(key, doc string, examples ...string) strictyaml.Key {
		return strictyaml.Key{Name: key, Shape: strictyaml.Sentence(), Doc: doc, Examples: examples}
	}
	flag := func(key, doc string) strictyaml.Key {
		return strictyaml.Key{Name: key, Shape: strictyaml.Shape{Kind: strictyaml.Boolean}, Preset: "false", Doc: doc, Examples: []string{"true", "false"}}
	}
	typeOf := func(key, doc string, examples ...string) strictyaml.Key {
		return strictyaml.Key{Name: key, Required: true, Shape: strictyaml.Matching(typePattern, "a Postgres type such as numeric(12,2)"), Doc: doc, Examples: examples}
	}
	with := func(k strictyaml.Key, examples ...string) strictyaml.Key {
		k.Examples = examples
		return k
	}
	required := func(k strictyaml.Key) strictyaml.Key {
		k.Required = true
		return k
	}
	switch kind {
	case migrate.AddColumn:
		return []strictyaml.Key{
			with(column, "region", "area"), typeOf("type", "Its type, one that Postgres brings along.", "text", "varchar(20)"),
			flag("required", "It is never null from the switch on."),
			expression("up", "Its value for rows and writers that do not give one, over the row's columns; for a required column.", `"CASE WHEN web THEN 'web' ELSE 'store' END"`, `"'unknown'"`),
			expression("default", "Its default: an expression without columns.", "0", "1"),
		}
	case migrate.RenameColumn:
		return []strictyaml.Key{
			with(column, "amount", "total"),
			{Name: "to", Required: true, Shape: columnShape(), Doc: "Its new name.", Examples: []string{"amount_eur", "amount_usd"}},
		}
	case migrate.ChangeType:
		return []strictyaml.Key{
			with(column, "qty", "pieces"), typeOf("to", "Its new type, one that Postgres brings along.", "bigint", "text"),
			expression("up", "The new value, over the row's columns.", `"qty::bigint"`, `"qty * 1000"`),
			expression("down", "The way back: the column's own name is the new value in it. It may lose something.", `"qty::int"`, `"qty / 1000"`),
			expression("default", "Its default as it is of the new type; needed where it has one.", "0", "1"),
		}
	case migrate.DropColumn:
		return []strictyaml.Key{with(column, "legacy", "old_note")}
	case migrate.SetNotNull:
		return []strictyaml.Key{with(column, "note", "remark"), expression("up", "Its value where it is null, over the row's columns.", `"'none'"`, `"upper(code)"`)}
	case migrate.DropNotNull:
		return []strictyaml.Key{with(column, "phone", "fax")}
	case migrate.SetDefault:
		return []strictyaml.Key{with(column, "state", "status"), required(expression("default", "An expression without columns.", `"'new'"`, `"'open'"`))}
	case migrate.DropDefault:
		return []strictyaml.Key{with(column, "kind", "sort")}
	case migrate.AddCheck:
		return []strictyaml.Key{with(name, "amount_positive", "positive"), required(expression("check", "A condition that every row meets.", `"amount >= 0"`, `"amount > 0"`))}
	case migrate.DropCheck:
		return []strictyaml.Key{with(name, "created_late", "created_check")}
	case migrate.CreateIndex:
		return []strictyaml.Key{
			with(name, "customers_channel", "customers_by_channel"),
			{Name: "columns", Required: true, Shape: strictyaml.ListOf(strictyaml.Sentence()), Doc: "Its columns, each with ASC or DESC and NULLS FIRST or NULLS LAST after it where that is wanted.", Examples: []string{`[channel, "created DESC"]`, `["created DESC NULLS LAST"]`}},
			{Name: "include", Shape: strictyaml.ListOf(columnShape()), Doc: "Columns that it holds, and is not ordered by.", Examples: []string{"[id]", "[id, web]"}},
			expression("where", "A condition of the rows that are in it.", `"channel <> ''"`, `"channel = 'web'"`),
			flag("unique", "No two rows have the same values in its columns."),
			{Name: "method", Shape: strictyaml.OneOf(migrate.Methods()...), Preset: "btree", Doc: "Its kind.", Examples: []string{"btree", "gin"}},
		}
	case migrate.CreateView:
		return []strictyaml.Key{
			with(name, "customers_v1", "customers_of_the_web"),
			{Name: "columns", Required: true, Shape: strictyaml.ListOf(strictyaml.Sentence()), Doc: "Its columns: those of the table, each with AS and the name that it has in the view after it, where that is another one.", Examples: []string{`[id, "amount AS total"]`, "[id, web]"}},
			expression("where", "A condition of the rows that it shows.", `"channel <> ''"`, `"channel = 'web'"`),
		}
	case migrate.CreateTable:
		return []strictyaml.Key{
			{Name: "columns", Required: true, Doc: "Its columns, in order.", Shape: strictyaml.ListOf(strictyaml.ObjectOf(
				with(name, "remark", "note"), typeOf("type", "Its type, one that Postgres brings along.", "bigint", "int"), flag("required", "It is never null."),
			))},
			{Name: "key", Shape: strictyaml.ListOf(columnShape()), Doc: "The columns of its primary key, in order; without it, it has none.", Examples: []string{"[id]", "[id, day]"}},
		}
	case migrate.RenameTable:
		return []strictyaml.Key{{Name: "to", Required: true, Shape: nameShape("a table name"), Doc: "Its new name.", Examples: []string{"clients", "buyers"}}}
	case migrate.DropTable:
		return nil
	case migrate.SQL:
		statements := func(key, doc string, examples ...string) strictyaml.Key {
			return strictyaml.Key{Name: key, Required: true, Shape: strictyaml.ListOf(strictyaml.Sentence()), Doc: doc, Examples: examples}
		}
		return []strictyaml.Key{
			with(name, "sampled", "sampled_more"),
			statements("act", "The statements, in one transaction; one that works concurrently stands alone.", `["ALTER TABLE @table ALTER COLUMN code SET STATISTICS 500"]`, `["ALTER TABLE @table ALTER COLUMN code SET STATISTICS 1000"]`),
			statements("undo", "The statements that take it back.", `["ALTER TABLE @table ALTER COLUMN code SET STATISTICS -1"]`, `["ALTER TABLE @table ALTER COLUMN code SET STATISTICS 100"]`),
			required(expression("probe", "A query of the catalog, of one boolean: whether it has been done.", `"SELECT attstattarget = 500 FROM pg_attribute WHERE attrelid = @table_oid AND attname = 'code'"`,
				`"SELECT attstattarget = 1000 FROM pg_attribute WHERE attrelid = @table_oid AND attname = 'code'"`)),
			{Name: "locks", Shape: strictyaml.OneOf(migrate.OwnLocks()...), Preset: string(migrate.ShareUpdateExclusive), Doc: "The strongest lock that the statements take on the table; where they take a stronger one they are taken back.", Examples: []string{"SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"}},
		}
	case migrate.DropIndex:
		return []strictyaml.Key{with(name, "customers_phone", "customers_fax")}
	case migrate.SetComment:
		return []strictyaml.Key{
			with(column, "web", "online"),
			{Name: "comment", Required: true, Shape: strictyaml.Shape{Kind: strictyaml.Text}, Doc: "What it is; an empty one takes the comment away.", Examples: []string{"Whether it came by the web.", "Other words."}},
		}
	default: // is about keys and enums
		return constraintKeys(kind)
	}
}
