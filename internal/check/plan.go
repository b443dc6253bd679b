package check

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// parallelFrom is the number of rows from which two statements beat one: below, Postgres plans no parallel scan (8 MB)
// that a DISTINCT could take away.
const parallelFrom = 100_000

// The fields that every plan selects beside its checks.
const (
	fieldRows     = "rows"
	fieldChecksum = "checksum"
)

// Options are what the caller knows of the relation beyond its columns.
type Options struct {
	EstimatedRows int64
	// Proved names checks of kind unique and not_null that a valid constraint or index proves. They cost no scan.
	Proved map[string]bool
}

// Plan is how a relation's checks are evaluated. All its statements are run in one snapshot.
type Plan struct {
	// Statements are one, or two where a DISTINCT would cost the others their parallel plan: then they may run
	// concurrently.
	Statements []Statement

	relation string
	columns  []Column
	checks   []Check
	proved   map[string]bool
}

// Compile plans the checks of one relation. relation is quoted and qualified; columns are recorded with the generation,
// and the checksum covers exactly these, in this order. The same inputs give the same statements.
func Compile(relation string, columns []Column, checks []Check, opts Options) (Plan, error) {
	if err := validate(columns, checks); err != nil {
		return Plan{}, err
	}
	p := Plan{relation: relation, columns: columns, checks: checks, proved: make(map[string]bool)}
	parallel, serial := p.totals(), []term(nil)
	for i, c := range checks {
		if opts.Proved[c.Name] {
			if c.Kind != Unique && c.Kind != NotNull {
				return Plan{}, invalid(c.Name, "only unique and not_null can be proved", fmt.Sprintf("no constraint proves a check of kind %s", c.Kind))
			}
			p.proved[c.Name] = true
			continue
		}
		if t, ok := p.term(i); ok && t.serial && opts.EstimatedRows >= parallelFrom {
			serial = append(serial, t)
		} else if ok {
			parallel = append(parallel, t)
		}
	}
	p.Statements = []Statement{fuse(relation, parallel)}
	if len(serial) > 0 {
		p.Statements = append(p.Statements, fuse(relation, serial))
	}
	return p, nil
}

// Apart renders each check as a statement of its own, after one for the row count and checksum. Where a fused statement
// fails, they show which check is at fault.
func (p Plan) Apart() []Statement {
	statements := []Statement{fuse(p.relation, p.totals())}
	for i, c := range p.checks {
		if t, ok := p.term(i); ok && !p.proved[c.Name] {
			statements = append(statements, fuse(p.relation, []term{t}))
		}
	}
	return statements
}

// Confirm renders exact counts for the unique checks that the hashes put under suspicion. Two keys may share a hash,
// so no duplicate is believed before its Confirm statement has returned; a hash never hides one.
func (p Plan) Confirm(v Values) []Statement {
	var statements []Statement
	for i, c := range p.checks {
		if suspects, err := v.count(field(i)); c.Kind != Unique || err != nil || suspects == 0 {
			continue
		}
		columns := pick(p.columns, c.Columns)
		sql := fmt.Sprintf("SELECT coalesce(pg_catalog.sum(copies - 1), 0)::text AS %s\nFROM (\n%s\n) AS duplicates",
			Quote(exact(i)), duplicates(p.relation, "count(*) AS copies", columns))
		statements = append(statements, Statement{SQL: sql, Fields: []string{exact(i)}})
	}
	return statements
}

// Totals returns the row count and the checksum, as they are recorded with a generation.
func (p Plan) Totals(v Values) (rows int64, checksum string, err error) {
	rows, err = v.count(fieldRows)
	if err != nil {
		return 0, "", fmt.Errorf("read the row count: %w", err)
	}
	checksum, err = v.Text(fieldChecksum)
	if err != nil {
		return 0, "", fmt.Errorf("read the checksum: %w", err)
	}
	return rows, checksum, nil
}

func (p Plan) totals() []term {
	return []term{{field: fieldRows, sql: "count(*)"}, {field: fieldChecksum, sql: Checksum(p.columns)}}
}

// term renders check i, except a row count, which every plan selects already.
func (p Plan) term(i int) (term, bool) {
	c := p.checks[i]
	switch c.Kind {
	case RowCount:
		return term{}, false
	case Unique:
		columns := pick(p.columns, c.Columns)
		where := filter(present(columns))
		sql := fmt.Sprintf("pg_catalog.count(*)%s - pg_catalog.count(DISTINCT %s)%s", where, distinct(columns), where)
		return term{field: field(i), sql: sql, serial: true}, true
	case MetricKind:
		return term{field: field(i), sql: Number(c.SQL), serial: serial(c.SQL)}, true
	case NotNull, AcceptedValues, Expression:
		return term{field: field(i), sql: "count(*)" + filter(violation(c))}, true
	}
	return term{}, false // validate lets no other kind in
}

// violation is the condition of a row that fails a check of kind not_null, accepted_values or expression.
func violation(c Check) string {
	if c.Kind == AcceptedValues {
		return fmt.Sprintf("%s::text <> ALL (ARRAY[%s]::text[])", Quote(c.Columns[0]), join(c.Values, ", ", Literal))
	}
	if c.Kind == Expression {
		return embed(c.SQL) + " IS NOT TRUE"
	}
	return join(c.Columns, " OR ", func(name string) string { return Quote(name) + " IS NULL" })
}

// duplicates selects the keys that more than one row has.
func duplicates(relation, list string, key []Column) string {
	where := ""
	if condition := present(key); condition != "" {
		where = "\nWHERE " + condition
	}
	return fmt.Sprintf("SELECT %s\nFROM %s%s\nGROUP BY %s\nHAVING count(*) > 1", list, relation, where,
		join(key, ", ", Column.Comparable))
}

// present is the condition of a row whose key has no NULL; empty where none can have one.
func present(key []Column) string {
	var nullable []string
	for _, c := range key {
		if !c.NotNull {
			nullable = append(nullable, Quote(c.Name)+" IS NOT NULL")
		}
	}
	return strings.Join(nullable, " AND ")
}

func filter(condition string) string {
	if condition == "" {
		return ""
	}
	return " FILTER (WHERE " + condition + ")"
}

// Number renders an aggregate, or a SELECT of one value, as one number.
func Number(sql string) string { return embed(sql) + "::float8" }

func field(i int) string { return "c" + strconv.Itoa(i) }
func exact(i int) string { return field(i) + "_exact" }

func pick(columns []Column, names []string) []Column {
	picked := make([]Column, 0, len(names))
	for _, name := range names {
		for _, c := range columns {
			if c.Name == name {
				picked = append(picked, c)
			}
		}
	}
	return picked
}

func (v *Values) count(field string) (int64, error) {
	text, err := v.Text(field)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errors.New("it is no whole number")
	}
	return n, nil
}

// Number returns a field as a finite number.
func (v *Values) Number(field string) (float64, error) {
	text, err := v.Text(field)
	if err != nil {
		return 0, err
	}
	return number(text)
}
