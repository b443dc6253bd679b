package pipeline

import (
	"drawbridge/internal/check"
	"drawbridge/internal/strictyaml"
)

func checkShape() strictyaml.Shape {
	columns := strictyaml.Key{Name: "columns", Required: true, Shape: strictyaml.ListOf(columnShape()), Doc: "The columns.", Examples: []string{"[order_id]", "[channel]"}}
	maxFailing := strictyaml.Key{Name: "max_failing", Shape: strictyaml.Shape{Kind: strictyaml.Ratio}.UpTo(1), Doc: "Share of the rows that may fail; none by default.", Examples: []string{"0.5%", "1%"}}
	return strictyaml.Shape{Kind: strictyaml.Object, Single: true, Keys: []strictyaml.Key{
		{Name: string(check.RowCount), Doc: "The number of rows.", Shape: strictyaml.ObjectOf(limitKeys(nameKey(false), severityKey())...)},
		{
			Name: string(check.NotNull), Doc: "Columns without NULLs.", Examples: []string{"[order_id]", "[order_id, channel]"},
			Shape: strictyaml.ListOf(columnShape()).OrElse(strictyaml.ObjectOf(columns, maxFailing, nameKey(false), severityKey())),
		},
		{
			Name: string(check.Unique), Doc: "Columns whose values, taken together, are distinct.", Examples: []string{"[order_id]", "[order_id, channel]"},
			Shape: strictyaml.ListOf(columnShape()).OrElse(strictyaml.ObjectOf(columns, nameKey(false), severityKey())),
		},
		{Name: string(check.AcceptedValues), Doc: "The values that a column may have, compared as text; NULL passes.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "column", Required: true, Shape: columnShape(), Doc: "The column.", Examples: []string{"channel", "currency"}},
			strictyaml.Key{Name: "values", Required: true, Shape: strictyaml.ListOf(strictyaml.Shape{Kind: strictyaml.Text}), Doc: "The values.", Examples: []string{"[web, store]", "[web, app]"}},
			maxFailing, nameKey(false), severityKey(),
		)},
		{Name: string(check.Expression), Doc: "A condition that every row meets.", Shape: strictyaml.ObjectOf(
			strictyaml.Key{Name: "sql", Required: true, Shape: strictyaml.Sentence(), Doc: "A boolean expression over a row.", Examples: []string{"amount >= 0", "amount > 0"}},
			maxFailing, nameKey(false), severityKey(),
		)},
		{Name: string(check.MetricKind), Doc: "One number of the rows.", Shape: strictyaml.ObjectOf(
			metricKeys("An aggregate over the rows.", []string{"sum(amount)", "avg(amount)"})...,
		)},
	}}
}

func metricKeys(sqlDoc string, sqlExamples []string) []strictyaml.Key {
	return limitKeys(
		nameKey(true),
		strictyaml.Key{Name: "sql", Required: true, Shape: strictyaml.Sentence(), Doc: sqlDoc, Examples: sqlExamples},
		severityKey(),
	)
}

func limitKeys(keys ...strictyaml.Key) []strictyaml.Key {
	return append(keys,
		strictyaml.Key{Name: "min", Shape: strictyaml.Shape{Kind: strictyaml.Number}, Doc: "The least value that passes.", Examples: []string{"1", "2"}},
		strictyaml.Key{Name: "max", Shape: strictyaml.Shape{Kind: strictyaml.Number}, Doc: "The greatest value that passes.", Examples: []string{"5_000_000", "6_000_000"}},
		strictyaml.Key{Name: "vs_history", Shape: strictyaml.Shape{Kind: strictyaml.Ratio}, Doc: "The greatest relative change against earlier values, either way.", Examples: []string{"40%", "50%"}},
	)
}

func nameKey(required bool) strictyaml.Key {
	return strictyaml.Key{Name: "name", Required: required, Shape: strictyaml.Sentence(), Doc: "The check's name in verdicts.", Examples: []string{"revenue", "turnover"}}
}

func severityKey() strictyaml.Key {
	return strictyaml.Key{
		Name: "severity", Shape: strictyaml.OneOf(string(check.Fail), string(check.Warn)), Preset: string(check.Fail),
		Doc: "fail blocks, warn is reported.", Examples: []string{"warn", "fail"},
	}
}
