package canary

import (
	"fmt"
	"strings"

	"drawbridge/internal/check"
)

// samples is how many rows of each kind of difference are kept.
const samples = 5

// Samples selects rows of (kind, sample): up to five a kind of difference, the sample a JSON object. With a key the kinds
// are removed, added and "changed.<column>", and a sample is {key}, with {baseline, candidate} of a changed column; without
// one a sample is the row. They hold values of rows, so they are stored in the warehouse only.
func (p Plan) Samples() check.Statement {
	s := check.Statement{Fields: []string{"kind", "sample"}}
	if len(p.key) == 0 {
		columns := make([]string, len(p.pairs))
		for i, c := range p.pairs {
			columns[i] = check.Quote(c.Name)
		}
		row := func(kind string, side Side, more string) string {
			return fmt.Sprintf("(SELECT %s AS kind, pg_catalog.to_jsonb(sample)::text AS sample FROM (SELECT %s FROM %s WHERE %s IN (SELECT hash FROM copies WHERE %s) LIMIT %d) AS sample)",
				check.Literal(kind), strings.Join(columns, ", "), side.Relation, check.RowHash(p.pairs), more, samples)
		}
		s.SQL = "WITH copies AS (SELECT * FROM " + p.copies() + " WHERE b <> c)\n" +
			row("removed", p.spec.Baseline, "b > c") + "\nUNION ALL\n" + row("added", p.spec.Candidate, "c > b")
		return s
	}
	var columns, key []string
	for i, c := range p.key {
		columns = append(columns, fmt.Sprintf("CASE WHEN b.here THEN b.k%d ELSE c.k%d END AS k%d", i, i, i))
		key = append(key, fmt.Sprintf("%s, k%d", check.Literal(c.Name), i))
	}
	for i := range p.pairs {
		columns = append(columns, fmt.Sprintf("b.v%d AS b%d, c.v%d AS c%d", i, i, i, i))
	}
	object := "'key', pg_catalog.jsonb_build_object(" + strings.Join(key, ", ") + ")"
	kinds := []string{
		differing("removed", object, "in_c IS NULL"),
		differing("added", object, "in_b IS NULL"),
	}
	for i, c := range p.pairs {
		sample := fmt.Sprintf("%s, 'baseline', b%d, 'candidate', c%d", object, i, i)
		kinds = append(kinds, differing("changed."+c.Name, sample, fmt.Sprintf("in_b AND in_c AND b%d IS DISTINCT FROM c%d", i, i)))
	}
	s.SQL = fmt.Sprintf("WITH differing AS (\nSELECT b.here AS in_b, c.here AS in_c, %s\nFROM %s\nWHERE b.here IS NULL OR c.here IS NULL OR %s\n)\n%s",
		strings.Join(columns, ", "), p.pairing(), p.differs(), strings.Join(kinds, "\nUNION ALL\n"))
	return s
}

// differing selects one kind; sample lists the names and values of the JSON object.
func differing(kind, sample, where string) string {
	return fmt.Sprintf("(SELECT %s AS kind, pg_catalog.jsonb_build_object(%s)::text AS sample FROM differing WHERE %s LIMIT %d)", check.Literal(kind), sample, where, samples)
}
