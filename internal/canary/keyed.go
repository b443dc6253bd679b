package canary

import (
	"fmt"
	"strings"

	"drawbridge/internal/check"
)

// paired counts, in one pass over the pairs, the keys of one side only and the rows that differ, by column.
func (p Plan) paired() check.Statement {
	const both = "b.here AND c.here"
	s := check.Statement{Fields: []string{"removed", "added", "common", "changed"}}
	list := []string{
		"  count(*) FILTER (WHERE c.here IS NULL)::text AS removed",
		"  count(*) FILTER (WHERE b.here IS NULL)::text AS added",
		fmt.Sprintf("  count(*) FILTER (WHERE %s)::text AS common", both),
		fmt.Sprintf("  count(*) FILTER (WHERE %s AND %s)::text AS changed", both, p.differs()),
	}
	for i := range p.pairs {
		s.Fields = append(s.Fields, field(i))
		list = append(list, fmt.Sprintf("  count(*) FILTER (WHERE %s AND b.v%d IS DISTINCT FROM c.v%d)::text AS %s", both, i, i, field(i)))
	}
	s.SQL = "SELECT\n" + strings.Join(list, ",\n") + "\nFROM " + p.pairing()
	return s
}

// pairing joins the sides on the key. A part that may be NULL is compared inside an array: its equality takes NULLs for
// equal and, unlike IS NOT DISTINCT FROM, serves a full join.
func (p Plan) pairing() string {
	on := make([]string, len(p.key))
	for i, c := range p.key {
		on[i] = fmt.Sprintf("b.k%d = c.k%d", i, i)
		if !c.NotNull {
			on[i] = fmt.Sprintf("ARRAY[b.k%d] = ARRAY[c.k%d]", i, i)
		}
	}
	return fmt.Sprintf("(%s) AS b\nFULL JOIN (%s) AS c\n  ON %s",
		p.renamed(p.spec.Baseline), p.renamed(p.spec.Candidate), strings.Join(on, " AND "))
}

// renamed selects a side under names that no user's column can collide with.
func (p Plan) renamed(side Side) string {
	list := []string{"true AS here"}
	for i, c := range p.key {
		list = append(list, fmt.Sprintf("%s AS k%d", c.Comparable(), i))
	}
	for i, c := range p.pairs {
		list = append(list, fmt.Sprintf("%s AS v%d", c.Comparable(), i))
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + side.Relation
}

func (p Plan) differs() string {
	if len(p.pairs) == 0 {
		return "false"
	}
	differ := make([]string, len(p.pairs))
	for i := range p.pairs {
		differ[i] = fmt.Sprintf("b.v%d IS DISTINCT FROM c.v%d", i, i)
	}
	return "(" + strings.Join(differ, " OR ") + ")"
}

func field(i int) string { return fmt.Sprintf("v%d", i) }
