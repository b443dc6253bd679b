package pipeline

import "drawbridge/internal/check"

func checkShape() shape {
	columns := key{name: "columns", required: true, shape: listOf(columnShape()), doc: "The columns.", examples: []string{"[order_id]", "[channel]"}}
	maxFailing := key{name: "max_failing", shape: shape{kind: ratio}.upTo(1), doc: "Share of the rows that may fail; none by default.", examples: []string{"0.5%", "1%"}}
	return shape{kind: object, single: true, keys: []key{
		{name: string(check.RowCount), doc: "The number of rows.", shape: objectOf(limitKeys(nameKey(false), severityKey())...)},
		{
			name: string(check.NotNull), doc: "Columns without NULLs.", examples: []string{"[order_id]", "[order_id, channel]"},
			shape: listOf(columnShape()).orElse(objectOf(columns, maxFailing, nameKey(false), severityKey())),
		},
		{
			name: string(check.Unique), doc: "Columns whose values, taken together, are distinct.", examples: []string{"[order_id]", "[order_id, channel]"},
			shape: listOf(columnShape()).orElse(objectOf(columns, nameKey(false), severityKey())),
		},
		{name: string(check.AcceptedValues), doc: "The values that a column may have, compared as text; NULL passes.", shape: objectOf(
			key{name: "column", required: true, shape: columnShape(), doc: "The column.", examples: []string{"channel", "currency"}},
			key{name: "values", required: true, shape: listOf(shape{kind: text}), doc: "The values.", examples: []string{"[web, store]", "[web, app]"}},
			maxFailing, nameKey(false), severityKey(),
		)},
		{name: string(check.Expression), doc: "A condition that every row meets.", shape: objectOf(
			key{name: "sql", required: true, shape: sentence(), doc: "A boolean expression over a row.", examples: []string{"amount >= 0", "amount > 0"}},
			maxFailing, nameKey(false), severityKey(),
		)},
		{name: string(check.MetricKind), doc: "One number of the rows.", shape: objectOf(
			metricKeys("An aggregate over the rows.", []string{"sum(amount)", "avg(amount)"})...,
		)},
	}}
}

func metricKeys(sqlDoc string, sqlExamples []string) []key {
	return limitKeys(
		nameKey(true),
		key{name: "sql", required: true, shape: sentence(), doc: sqlDoc, examples: sqlExamples},
		severityKey(),
	)
}

func limitKeys(keys ...key) []key {
	return append(keys,
		key{name: "min", shape: shape{kind: number}, doc: "The least value that passes.", examples: []string{"1", "2"}},
		key{name: "max", shape: shape{kind: number}, doc: "The greatest value that passes.", examples: []string{"5_000_000", "6_000_000"}},
		key{name: "vs_history", shape: shape{kind: ratio}, doc: "The greatest relative change against earlier values, either way.", examples: []string{"40%", "50%"}},
	)
}

func nameKey(required bool) key {
	return key{name: "name", required: required, shape: sentence(), doc: "The check's name in verdicts.", examples: []string{"revenue", "turnover"}}
}

func severityKey() key {
	return key{
		name: "severity", shape: oneOf(string(check.Fail), string(check.Warn)), preset: string(check.Fail),
		doc: "fail blocks, warn is reported.", examples: []string{"warn", "fail"},
	}
}
