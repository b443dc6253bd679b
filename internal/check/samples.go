package check

import "fmt"

// samples is how many failing rows are kept: enough to look one up, too few to copy a table.
const samples = 5

// Samples selects up to five rows that fail a check, one JSON object a row: the output's key, and the columns that the
// check names; without a key, the row's ctid, which stays true as long as the generation is not written. They hold
// values of rows, so they are stored in the warehouse only. A row count and a metric have no failing rows: ok is false.
func Samples(relation string, columns []Column, c Check, key []string) (s Statement, ok bool) {
	list := names(key, c.Columns)
	if len(key) == 0 {
		list = "ctid" + prefixed(list)
	}
	var rows string
	switch c.Kind {
	case RowCount, MetricKind:
		return Statement{}, false
	case Unique:
		duplicated := pick(columns, c.Columns)
		value := func(d Column) string { return d.Comparable() + " AS " + Quote(d.Name) }
		rows = duplicates(relation, join(duplicated, ", ", value)+", count(*) AS copies", duplicated)
	case NotNull, AcceptedValues, Expression:
		rows = fmt.Sprintf("SELECT %s\nFROM %s\nWHERE %s", list, relation, violation(c))
	}
	sql := fmt.Sprintf("SELECT pg_catalog.to_jsonb(failing)::text AS sample\nFROM (\n%s\nLIMIT %d\n) AS failing", rows, samples)
	return Statement{SQL: sql, Fields: []string{"sample"}}, true
}

// names lists columns once each.
func names(lists ...[]string) string {
	seen := make(map[string]bool)
	var once []string
	for _, list := range lists {
		for _, name := range list {
			if !seen[name] {
				seen[name] = true
				once = append(once, name)
			}
		}
	}
	return join(once, ", ", Quote)
}

func prefixed(list string) string {
	if list == "" {
		return ""
	}
	return ", " + list
}
