package canary

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/check"
)

// multiset counts the rows, copies included, that only one side has, and tells for each column whether its values, taken
// alone, differ (1) or not (0). Rows are told apart by check.RowHash: two different ones that share a hash count
// as equal.
func (p Plan) multiset() check.Statement {
	s := check.Statement{Fields: []string{"removed", "added"}}
	list := []string{
		"  coalesce(pg_catalog.sum(greatest(b - c, 0)), 0)::text AS removed",
		"  coalesce(pg_catalog.sum(greatest(c - b, 0)), 0)::text AS added",
	}
	sums := make([]string, len(p.pairs))
	for i, c := range p.pairs {
		s.Fields = append(s.Fields, field(i))
		list = append(list, fmt.Sprintf("  (pg_catalog.min(x.%s) <> pg_catalog.min(y.%s))::int::text AS %s", field(i), field(i), field(i)))
		sums[i] = check.Checksum([]check.Column{c}) + " AS " + field(i)
	}
	side := func(of Side) string { return "(SELECT " + strings.Join(sums, ", ") + " FROM " + of.Relation + ")" }
	s.SQL = fmt.Sprintf("SELECT\n%s\nFROM %s AS x\nCROSS JOIN %s AS y\nLEFT JOIN %s ON true",
		strings.Join(list, ",\n"), side(p.spec.Baseline), side(p.spec.Candidate), p.copies())
	return s
}

// copies counts the copies of each row on both sides.
func (p Plan) copies() string {
	hash := check.RowHash(slices.Concat(p.key, p.pairs))
	return fmt.Sprintf(`(
  SELECT hash, pg_catalog.sum(b) AS b, pg_catalog.sum(c) AS c
  FROM (
    SELECT %s AS hash, 1 AS b, 0 AS c FROM %s
    UNION ALL
    SELECT %s, 0, 1 FROM %s
  ) AS rows
  GROUP BY hash
) AS copies`, hash, p.spec.Baseline.Relation, hash, p.spec.Candidate.Relation)
}
