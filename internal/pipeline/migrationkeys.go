package pipeline

import (
	"drawbridge/internal/migrate"
	"drawbridge/internal/strictyaml"
)

// constraintKeys are those of the operations that are about keys and enums.
func constraintKeys(kind migrate.Kind) []strictyaml.Key {
	name := func(examples ...string) strictyaml.Key {
		return strictyaml.Key{Name: "name", Required: true, Shape: nameShape("a name"), Doc: "Its name.", Examples: examples}
	}
	columns := func(key, doc string, examples ...string) strictyaml.Key {
		return strictyaml.Key{Name: key, Required: true, Shape: strictyaml.ListOf(columnShape()), Doc: doc, Examples: examples}
	}
	word := func(key, doc string, words []string, examples ...string) strictyaml.Key {
		return strictyaml.Key{Name: key, Shape: strictyaml.OneOf(words...), Doc: doc, Examples: examples}
	}
	value := func(key, doc string, examples ...string) strictyaml.Key {
		return strictyaml.Key{Name: key, Shape: strictyaml.Sentence(), Doc: doc, Examples: examples}
	}
	deferrable := word("deferrable", "It may wait: a transaction may put it off to its end, or does by itself. Left out: it is looked at at once, always.", migrate.Deferrals(), "immediate", "deferred")
	switch kind {
	case migrate.AddForeignKey:
		return []strictyaml.Key{
			name("orders_customer", "orders_customer_fkey"), columns("columns", "The columns that name a row.", "[customer]", "[client]"),
			{Name: "references", Required: true, Shape: nameShape("a table name"), Doc: "The table that they lead to, of the same schema, or the table itself.", Examples: []string{"customers", "clients"}},
			columns("key", "Its columns, one for each: its primary key, or those of a unique constraint.", "[id]", "[number]"),
			word("on_delete", "What becomes of rows when the one that they name goes; left out: no action, it fails.", migrate.Actions(), "restrict", "cascade"),
			word("on_update", "What becomes of rows when the one that they name gets another key; left out: no action, it fails.", migrate.Actions(), "cascade", "restrict"),
			word("match", "simple: a row with a null in any of the columns names none; full: with nulls in all of them. Left out: simple.", migrate.Matches(), "simple", "full"),
			deferrable,
		}
	case migrate.AddUnique:
		return []strictyaml.Key{
			name("customers_email", "customers_email_key"), columns("columns", "Its columns, in order.", "[email]", "[email, region]"),
			{Name: "nulls_equal", Shape: strictyaml.Shape{Kind: strictyaml.Boolean}, Preset: "false", Doc: "Two nulls are the same; from Postgres 15 on.", Examples: []string{"true", "false"}},
			deferrable,
		}
	case migrate.AddPrimaryKey:
		return []strictyaml.Key{name("customers_pkey", "customers_key"), columns("columns", "Its columns, in order.", "[id]", "[id, region]")}
	case migrate.DropForeignKey:
		return []strictyaml.Key{name("orders_shop", "orders_shop_fkey")}
	case migrate.DropUnique:
		return []strictyaml.Key{name("customers_fax", "customers_fax_key")}
	case migrate.AddEnumValue:
		return []strictyaml.Key{
			{Name: "type", Required: true, Shape: nameShape("a type name"), Doc: "An enum of the environment's schema, which a column of the table has.", Examples: []string{"channel_kind", "state"}},
			{Name: "value", Required: true, Shape: strictyaml.Sentence(), Doc: "The new value.", Examples: []string{"phone", "mail"}},
			value("before", "The value that it comes before; left out: it is the last.", "store", "web"),
			value("after", "The value that it comes after.", "web", "store"),
		}
	default: // is about columns, checks or indexes
	}
	return nil
}
