package pipeline

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/check"
	"drawbridge/internal/partition"
	"drawbridge/internal/sqltext"
	"drawbridge/internal/strictyaml"
)

// The placeholders of SQL and file names.
const (
	PartitionParam      = "partition"       // the key
	PartitionStartParam = "partition_start" // the lower bound, included
	PartitionEndParam   = "partition_end"   // the upper bound, excluded
	PartitionValueParam = "partition_value" // the value of a list
)

func placeholders() []string {
	return []string{PartitionParam, PartitionStartParam, PartitionEndParam, PartitionValueParam}
}

// Bind numbers the placeholders of an output's SQL: the i-th of params is the name behind $i. Every occurrence has its
// own number, because Postgres gives a parameter one type for the whole statement: shared by a date and a timestamptz
// column, a bound would silently lose its hours. A closing semicolon is cut off.
func Bind(sql string) (text string, params []string) {
	tokens, _ := sqltext.Scan(sql)
	var b strings.Builder
	from := 0
	for _, t := range tokens {
		switch {
		case t.Kind == sqltext.Placeholder:
			params = append(params, t.Text)
			fmt.Fprintf(&b, "%s$%d", sql[from:t.Start], len(params))
			from = t.End
		case t.Kind == sqltext.Punctuation && t.Text == ";":
			return b.String() + sql[from:t.Start], params
		}
	}
	return b.String() + sql[from:], params
}

// InPlace is SQL with its placeholders numbered as by Bind, and everything at the byte where it stood: who finds something in it can
// say where in the file.
func InPlace(sql string) string {
	tokens, _ := sqltext.Scan(sql)
	var b strings.Builder
	from, n := 0, 0
	for _, t := range tokens {
		if t.Kind == sqltext.Placeholder {
			n++
			fmt.Fprintf(&b, "%s%-*s", sql[from:t.Start], t.End-t.Start, fmt.Sprintf("$%d", n))
			from = t.End
		}
	}
	return b.String() + sql[from:]
}

// Unbounded is an output's SQL in which no comparison with a placeholder leaves a row out, not even one that every value of a
// bound does: NULL, or what is at the end of its type. x >= @partition_start becomes
// x || ” IS DISTINCT FROM '~' || @partition_start, which always holds, because no x is written like that. Where the SQL
// compares in another way it is as it was.
func Unbounded(sql string) string {
	text, _ := unbounded(sql)
	return text
}

// Unbound says whether Unbounded finds every placeholder of an output's SQL in a comparison.
func Unbound(sql string) bool {
	_, left := unbounded(sql)
	return left == 0
}

// unbounded is Unbounded, and how many placeholders it has left as they were.
func unbounded(sql string) (text string, left int) {
	tokens, _ := sqltext.Scan(sql)
	var b strings.Builder
	from := 0
	for i, t := range tokens {
		if t.Kind != sqltext.Placeholder {
			continue
		}
		by := " || '' IS DISTINCT FROM '~' || "
		start, end := comparisonBefore(sql, tokens[:i], t.Start)
		if start < from || end == 0 {
			by = " || '~' IS DISTINCT FROM '' || "
			start, end = comparisonAfter(sql, tokens[i+1:], t.End)
		}
		if end > from {
			b.WriteString(sql[from:start] + by)
			from = end
		} else {
			left++
		}
	}
	return b.String() + sql[from:], left
}

// comparisonBefore finds the comparison that ends where a placeholder begins, but for blanks; end is 0 where there is none.
func comparisonBefore(sql string, tokens []sqltext.Token, place int) (start, end int) {
	at := len(tokens)
	for at > 0 && isOperator(tokens[at-1]) && (at == len(tokens) || tokens[at-1].End == tokens[at].Start) {
		at--
	}
	if at == len(tokens) {
		return notDistinct(tokens)
	}
	start, end = tokens[at].Start, tokens[len(tokens)-1].End
	if !isComparison(sql[start:end]) || strings.TrimSpace(sql[end:place]) != "" {
		return 0, 0
	}
	return start, end
}

// notDistinct finds IS NOT DISTINCT FROM at the end of tokens.
func notDistinct(tokens []sqltext.Token) (start, end int) {
	words := []string{"is", "not", "distinct", "from"}
	if len(tokens) < len(words) {
		return 0, 0
	}
	last := tokens[len(tokens)-len(words):]
	for i, t := range last {
		if t.Kind != sqltext.Word || t.Text != words[i] {
			return 0, 0
		}
	}
	return last[0].Start, last[len(last)-1].End
}

// comparisonAfter finds the comparison that begins where a placeholder ends, but for blanks and one cast.
func comparisonAfter(sql string, tokens []sqltext.Token, place int) (start, end int) {
	if len(tokens) > 2 && tokens[0].Text == ":" && tokens[1].Text == ":" && tokens[2].Kind == sqltext.Word {
		place, tokens = tokens[2].End, tokens[3:]
	}
	at := 0
	for at < len(tokens) && isOperator(tokens[at]) && (at == 0 || tokens[at-1].End == tokens[at].Start) {
		at++
	}
	if at == 0 {
		return 0, 0
	}
	start, end = tokens[0].Start, tokens[at-1].End
	if !isComparison(sql[start:end]) || strings.TrimSpace(sql[place:start]) != "" {
		return 0, 0
	}
	return start, end
}

func isOperator(t sqltext.Token) bool {
	const operators = "+-*/<>=~!@#%^&|`?"
	return t.Kind == sqltext.Punctuation && strings.Contains(operators, t.Text)
}

func isComparison(operator string) bool {
	return slices.Contains([]string{"<", "<=", "=", ">=", ">"}, operator)
}

// unbound refuses placeholders that have no value in partitions of a scheme.
func (b *builder) unbound(at strictyaml.Place, o Output) {
	tokens, _ := sqltext.Scan(o.SQL)
	list := o.Partition.By == partition.List
	null := slices.ContainsFunc(o.Partition.Values.All(), func(v partition.Value) bool { return v.Null })
	if null && slices.Contains(o.Key, o.Partition.Column) {
		b.problems.Add(at, "a column of the key is never NULL, and the list has null for "+o.Partition.Column, "leave the column out of the key, which is unique within each partition")
	}
	for _, t := range tokens {
		switch {
		case t.Kind != sqltext.Placeholder:
		case t.Text == PartitionValueParam && !list && o.Partition.By != partition.All:
			b.problems.Add(placeIn(o.SQLFile, o.SQL, t.Start), "only a list has @"+PartitionValueParam, "compare with @partition_start and @partition_end")
		case list && (t.Text == PartitionStartParam || t.Text == PartitionEndParam):
			b.problems.Add(placeIn(o.SQLFile, o.SQL, t.Start), "a partition of a list has no @"+t.Text,
				fmt.Sprintf("write %s = @%[2]s, or %[1]s IS NOT DISTINCT FROM @%[2]s where the list has null", o.Partition.Column, PartitionValueParam))
		}
	}
}

// Loads returns those of loads that the output's SQL names.
func (o Output) Loads(loads []Load) []Load {
	names := sqltext.Identifiers(o.SQL)
	var read []Load
	for _, l := range loads {
		if names[l.Name] {
			read = append(read, l)
		}
	}
	return read
}

// Undeclared finds a load of which the output's SQL takes every column, SELECT * or TABLE, although none is declared. Then nothing
// says that the first line of its file is a header, and the names of columns, which plans and histories hold, might be a row.
// line is where in the SQL; ok is false where there is no such load.
func (o Output) Undeclared(loads []Load) (load string, line int, ok bool) {
	at := slices.IndexFunc(o.Loads(loads), func(l Load) bool { return len(l.Columns) == 0 })
	if at < 0 {
		return "", 0, false
	}
	tokens, _ := sqltext.Scan(o.SQL)
	for i, t := range tokens {
		if takesAll(o.SQL, tokens[:i], t) {
			return o.Loads(loads)[at].Name, placeIn(o.SQLFile, o.SQL, t.Start).Line, true
		}
	}
	return "", 0, false
}

// takesAll says that a token stands for every column of a relation. A multiplication has something else before it, and count(*)
// a parenthesis.
func takesAll(sql string, before []sqltext.Token, t sqltext.Token) bool {
	if t.Kind == sqltext.Word {
		return t.Text == "table"
	}
	if t.Kind != sqltext.Punctuation || t.Text != "*" || len(before) == 0 {
		return false
	}
	last := before[len(before)-1]
	if !blank(sql[last.End:t.Start]) {
		return false
	}
	return last.Text == "," || last.Text == "." || last.Text == ")" && distinctOn(before) || last.Kind == sqltext.Word && slices.Contains([]string{"select", "distinct", "all"}, last.Text)
}

// distinctOn says that tokens end with DISTINCT ON (…).
func distinctOn(tokens []sqltext.Token) bool {
	depth := 0
	for i, t := range slices.Backward(tokens) {
		switch {
		case t.Kind != sqltext.Punctuation:
		case t.Text == ")":
			depth++
		case t.Text == "(":
			depth--
		}
		if depth == 0 {
			return i > 1 && tokens[i-1].Text == "on" && tokens[i-2].Text == "distinct"
		}
	}
	return false
}

// blank says that nothing but blanks and comments stands in a piece of SQL between two tokens.
func blank(between string) bool {
	for {
		between = strings.TrimSpace(between)
		switch {
		case between == "":
			return true
		case strings.HasPrefix(between, "--"):
			_, between, _ = strings.Cut(between, "\n")
		case strings.HasPrefix(between, "/*"):
			at := strings.LastIndex(between, "*/")
			if at < 0 {
				return false
			}
			between = between[at+2:]
		default:
			return false
		}
	}
}

// selectStatement records what keeps an SQL file from being one SELECT that can be bound and embedded.
func (b *builder) selectStatement(file, sql string) {
	say := func(offset int, message, hint string) { b.problems.Add(placeIn(file, sql, offset), message, hint) }
	tokens, ok := scanSQL(sql, say)
	if !ok {
		return
	}
	if len(tokens) == 0 {
		say(0, "the file holds no SQL", "write one SELECT")
		return
	}
	if first := tokens[0]; first.Kind != sqltext.Word || first.Text != "select" && first.Text != "with" {
		say(first.Start, "an output is one SELECT", "begin with SELECT or WITH")
	}
	for i, t := range tokens {
		if t.Kind == sqltext.Punctuation && t.Text == ";" && i+1 < len(tokens) {
			say(tokens[i+1].Start, "a second statement begins", "keep one SELECT per file")
			break
		}
	}
	onlyReads(tokens, say)
	for _, t := range tokens {
		if t.Kind == sqltext.Placeholder && !slices.Contains(placeholders(), t.Text) {
			say(t.Start, "unknown placeholder @"+t.Text, strictyaml.DidYouMean(t.Text, placeholders()))
		}
	}
}

// expression records what keeps a check's SQL from being one expression, or one SELECT, that can be put in parentheses.
func (b *builder) expression(v strictyaml.Value) {
	sql, ok := v.Data.(string)
	if !ok {
		return
	}
	say := func(_ int, message, hint string) { b.problems.Add(v.At, message, hint) }
	tokens, ok := scanSQL(sql, say)
	if !ok {
		return
	}
	for _, t := range tokens {
		if t.Kind == sqltext.Punctuation && t.Text == ";" {
			say(t.Start, "the SQL holds a semicolon", "write one expression")
			break
		}
	}
	for _, t := range tokens {
		if t.Kind == sqltext.Placeholder && t.Text != check.NowParam {
			say(t.Start, "a check has no placeholder @"+t.Text, "use columns, constants, and @now for the moment of the run or look")
		}
	}
}

// scanSQL reports text that does not end, parentheses that do not match, and parameters that only Bind may number.
func scanSQL(sql string, say func(offset int, message, hint string)) ([]sqltext.Token, bool) {
	tokens, err := sqltext.Scan(sql)
	if scan, bad := errors.AsType[*sqltext.Error](err); bad {
		say(scan.Offset, scan.Reason, "")
		return nil, false
	}
	var open []int
	for _, t := range tokens {
		switch {
		case t.Kind == sqltext.Positional:
			say(t.Start, "$"+t.Text+" is numbered by Drawbridge", "use @partition, @partition_start, @partition_end or @partition_value")
		case t.Kind != sqltext.Punctuation:
		case t.Text == "(":
			open = append(open, t.Start)
		case t.Text == ")" && len(open) == 0:
			say(t.Start, "the parenthesis closes nothing", "")
			return nil, false
		case t.Text == ")":
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		say(open[len(open)-1], "the parenthesis is not closed", "")
		return nil, false
	}
	return tokens, true
}

// onlyReads refuses a WITH that changes data: as the statement after it, or inside it.
func onlyReads(tokens []sqltext.Token, say func(offset int, message, hint string)) {
	depth := 0
	for i, t := range tokens {
		if t.Kind == sqltext.Punctuation {
			switch t.Text {
			case "(":
				depth++
			case ")":
				depth--
			}
			continue
		}
		if t.Kind != sqltext.Word || i == 0 || tokens[0].Text != "with" {
			continue
		}
		inWith := tokens[i-1].Text == "(" && i > 1 && (tokens[i-2].Text == "as" || tokens[i-2].Text == "materialized")
		afterWith := depth == 0 && tokens[i-1].Text == ")"
		if !inWith && !afterWith {
			continue
		}
		switch t.Text {
		case "insert", "update", "delete", "merge":
			say(t.Start, "an output's SQL only reads", "use SELECT")
		}
	}
}

// usesPlaceholder tells whether the SQL differs between partitions.
func usesPlaceholder(sql string) bool {
	_, params := Bind(sql)
	return len(params) > 0
}

// placeIn turns a byte offset into line and column.
func placeIn(file, text string, offset int) strictyaml.Place {
	before := text[:offset]
	lineStart := strings.LastIndexByte(before, '\n') + 1
	return strictyaml.Place{
		File:   file,
		Line:   1 + strings.Count(before, "\n"),
		Column: 1 + len([]rune(before[lineStart:])),
	}
}
