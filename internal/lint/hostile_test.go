package lint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/lint"
)

func TestWhatCannotBeReadIsSaidWithItsPlace(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql          string
		line, column int
		text         string
		findings     int // in what was read all the same
	}{
		"no SQL":                      {"SELECT 1;\n  SELEC 'ä', 2;\nDROP TABLE orders;", 2, 3, `syntax error at or near "SELEC"`, 2},
		"after letters beyond ASCII":  {"SELECT 'ää', ää ää ää;", 1, 20, "syntax error", 0},
		"a long word":                 {"SELECT 1 '" + strings.Repeat("x", 100_000) + "'", 1, 10, "syntax error", 0},
		"what no token begins":        {"5;", 1, 1, "syntax error", 0},
		"a string that does not end":  {"DROP TABLE a;\nSELECT 'x", 2, 8, "the string does not end", 2},
		"a comment that does not end": {"SELECT /* x", 1, 8, "the comment does not end", 0},
		"invalid UTF-8":               {"SELECT 1;\nSELECT '\xff'", 2, 9, "no UTF-8", 0},
		"a NUL":                       {"SELECT 1\x00; DROP TABLE a", 1, 9, "NUL", 0},
		"an include of psql":          {"DROP TABLE a;\n\\i 'it''s", 2, 1, "a command of psql", 2},
		"a copy of psql":              {"\\copy orders FROM 'x.csv'\nDROP TABLE a;", 1, 1, "a command of psql", 0},
		"rows in the file":            {"DROP TABLE a;\nCOPY orders (id) FROM stdin;\n1\tit's\n\\.\nDROP TABLE b;", 2, 1, "COPY FROM stdin", 2},
		"parentheses":                 {"SELECT " + strings.Repeat("(", 5000) + "1" + strings.Repeat(")", 5000), 1, 1, "nests too deeply", 0},
		"subqueries":                  {strings.Repeat("SELECT (", 300) + "SELECT 1" + strings.Repeat(")", 300), 1, 1, "nests too deeply", 0},
		"operators":                   {"SELECT 1" + strings.Repeat("+1", 100_000), 1, 1, "nests too deeply", 0},
		"NOT":                         {"SELECT " + strings.Repeat("NOT ", 5000) + "a", 1, 1, "nests too deeply", 0},
		"unions with commas":          {"SELECT a, b" + strings.Repeat(" UNION SELECT a, b", 5000), 1, 1, "nests too deeply", 0},
		"joins with AND":              {"SELECT 1 FROM a" + strings.Repeat(" JOIN b ON x AND y", 5000), 1, 1, "nests too deeply", 0},
		"CASE with AND":               {"SELECT " + strings.Repeat("CASE WHEN a AND b THEN ", 500) + "1" + strings.Repeat(" END", 500), 1, 1, "nests too deeply", 0},
		"what is not closed":          {"SELECT " + strings.Repeat("f(ARRAY[", 5000), 1, 1, "nests too deeply", 0},
		"a huge statement":            {"SELECT 1;\nINSERT INTO a VALUES (1" + strings.Repeat(",1", 1<<20) + ")", 2, 1, "more than 1024 KiB", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := lint.Migration("a.sql", tc.sql, lint.Options{})
			require.Len(t, r.Problems, 1)
			require.Contains(t, r.Problems[0].Text, tc.text)
			require.Equal(t, [2]int{tc.line, tc.column}, [2]int{r.Problems[0].Line, r.Problems[0].Column})
			require.NotEmpty(t, r.Problems[0].Hint)
			require.Less(t, len(r.Problems[0].Text), 1100)
			require.Len(t, r.Findings, tc.findings)
			require.Empty(t, lint.Migration("b.sql", "SELECT 1", lint.Options{}).Problems, "the parser goes on")
		})
	}
}

// The deepest of each kind that is let through does the parser no harm.
func TestTheDeepestThatIsReadDoesNoHarm(t *testing.T) {
	t.Parallel()
	nested := func(before, inner, after string) func(int) string {
		return func(n int) string { return strings.Repeat(before, n) + inner + strings.Repeat(after, n) }
	}
	for name, tc := range map[string]struct {
		sql  func(int) string
		deep int // at least so deep is read
	}{
		"operators":   {func(n int) string { return "SELECT 1" + strings.Repeat(" + a", n) }, 200},
		"NOT":         {func(n int) string { return "SELECT " + strings.Repeat("NOT ", n) + "a" }, 200},
		"casts":       {func(n int) string { return "SELECT a" + strings.Repeat("::int", n) }, 100},
		"IS NULL":     {func(n int) string { return "SELECT a" + strings.Repeat(" IS NULL", n) }, 200},
		"time zones":  {func(n int) string { return "SELECT a" + strings.Repeat(" AT TIME ZONE 'UTC'", n) }, 100},
		"collations":  {func(n int) string { return "SELECT a" + strings.Repeat(` COLLATE "C"`, n) }, 200},
		"subscripts":  {func(n int) string { return "SELECT a" + strings.Repeat("[1]", n) }, 200},
		"unions":      {func(n int) string { return "SELECT 1, 2" + strings.Repeat(" UNION SELECT 1, 2", n) }, 100},
		"joins":       {func(n int) string { return "SELECT 1 FROM a" + strings.Repeat(" JOIN b ON c AND d", n) }, 100},
		"subqueries":  {nested("SELECT (", "SELECT 1", ")"), 40},
		"FROM":        {nested("SELECT a FROM (", "SELECT 1", ") x"), 40},
		"WITH":        {nested("WITH a AS (", "SELECT 1", ") SELECT b FROM a"), 40},
		"EXISTS":      {nested("SELECT 1 WHERE EXISTS (", "SELECT 1", ")"), 40},
		"parentheses": {func(n int) string { return "SELECT " + nested("(a + ", "1", ")")(n) }, 70},
		"AND and OR":  {func(n int) string { return "SELECT " + nested("(a OR b AND ", "c", ")")(n) }, 100},
		"calls":       {func(n int) string { return "SELECT " + nested("f(", "1", ")")(n) }, 100},
		"arrays":      {func(n int) string { return "SELECT " + nested("ARRAY[", "1", "]")(n) }, 100},
		"CASE":        {func(n int) string { return "SELECT " + nested("CASE WHEN a AND b THEN ", "1", " END")(n) }, 50},
		"windows":     {func(n int) string { return "SELECT " + nested("count(*) OVER (PARTITION BY ", "a", ")")(n) }, 50},
		"filters":     {func(n int) string { return "SELECT " + nested("count(*) FILTER (WHERE ", "a", ")")(n) }, 50},
		"JSON":        {func(n int) string { return "SELECT " + nested("JSON_OBJECT('a': ", "1", ")")(n) }, 50},
		"joined":      {func(n int) string { return "SELECT 1 FROM " + nested("(a JOIN ", "b", " ON c)")(n) }, 50},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := func(n int) []lint.Problem { return lint.Migration("a.sql", tc.sql(n), lint.Options{}).Problems }
			require.Empty(t, problems(tc.deep))
			deepest := tc.deep
			for deepest < 1000 && len(problems(deepest+1)) == 0 {
				deepest++
			}
			require.Less(t, deepest, 300)
			require.Contains(t, problems(deepest + 1)[0].Text, "nests too deeply")
			require.Equal(t, []string{"select-star"}, rules(lint.Query("b.sql", "SELECT * FROM a", nil)))
		})
	}
}

// What people write is read: long lists are not deep.
func TestWhatIsLongAndNotDeepIsRead(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"conditions":   "SELECT 1 FROM a WHERE b = 1" + strings.Repeat(" AND (c + 1) * 2 > d::int OR lower(e) IN (1, 2)", 500),
		"columns":      "SELECT a + b * c || d" + strings.Repeat(", coalesce(a::int, b -> 'c' ->> 'd')", 500) + " FROM a",
		"cases":        "SELECT CASE " + strings.Repeat("WHEN a > 1 AND b < 2 THEN 3 + 4 ", 500) + "END",
		"rows":         "INSERT INTO a VALUES (1, 2 - 1)" + strings.Repeat(", (1, -1)", 5000),
		"joins":        "SELECT 1 FROM a" + strings.Repeat(" JOIN b ON b.x = a.x AND b.y = a.y", 60),
		"unions":       "SELECT 1" + strings.Repeat(" UNION ALL SELECT a, b FROM c WHERE d = 1", 60),
		"subqueries":   strings.Repeat("SELECT a FROM (", 30) + "SELECT 1" + strings.Repeat(") x", 30),
		"betweens":     "SELECT 1 WHERE a BETWEEN 1 AND 2" + strings.Repeat(" AND a BETWEEN 1 AND 2", 500),
		"a body":       "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC " + strings.Repeat("SELECT a FROM b JOIN c ON true; SELECT CASE WHEN a THEN 1 END; ", 100) + "END",
		"nothing":      "-- nothing\n;;/* at all */",
		"a mark":       "\ufeffSELECT 1",
		"another line": "SELECT 1\r\n;\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, lint.Migration("a.sql", sql, lint.Options{}).Problems)
		})
	}
}

func TestALongFileIsReadAndNotAllOfItRepeated(t *testing.T) {
	t.Parallel()
	ten := strings.Repeat("ALTER TABLE orders DROP COLUMN something;\n", 10<<20/42)
	r := lint.Migration("a.sql", ten, lint.Options{})
	require.Len(t, r.Findings, 500)
	require.Equal(t, map[lint.Severity]int{lint.Error: 10_000, lint.Warning: 1}, r.Counts)
	require.Len(t, r.Problems, 1)
	require.Contains(t, r.Problems[0].Text, "more than 10000 statements")
	require.Equal(t, 10_001, r.Problems[0].Line)
	r = lint.Migration("a.sql", strings.Repeat("SELECT 1;\n", 2<<20), lint.Options{})
	require.Len(t, r.Problems, 1)
	require.Contains(t, r.Problems[0].Text, "more than 16 MiB")
}

func TestSeverityAndPlacesAreThoseOfTheFile(t *testing.T) {
	t.Parallel()
	r := lint.Migration("a.sql", "-- drawbridge:ignore require-timeout-settings they are the role's\r\nALTER TABLE \"Größe\"\r\n  ADD COLUMN a int,\r\n  ADD COLUMN \"b\x1b[31m\" text NOT NULL;", lint.Options{})
	require.Len(t, r.Findings, 1)
	f := r.Findings[0]
	require.Equal(t, "adding-required-field", f.Rule)
	require.Equal(t, [2]int{4, 14}, [2]int{f.Line, f.Column})
	require.Contains(t, f.Text, "Größe.b\x1b[31m is added", "screens make it harmless, programs get the name")
}

func FuzzMigration(f *testing.F) {
	f.Add("-- +goose Up\nBEGIN; ALTER TABLE a ADD b int NOT NULL, DROP c CASCADE; UPDATE a SET b = 1; -- drawbridge:ignore x\nCOMMIT")
	f.Add("CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; END; COPY a FROM stdin; \\i x")
	f.Fuzz(func(t *testing.T, sql string) {
		r := lint.Migration("a.sql", sql, lint.Options{})
		for _, found := range r.Findings {
			require.Positive(t, found.Line)
			require.Positive(t, found.Column)
		}
		for _, p := range r.Problems {
			require.NotContains(t, p.Text, "the parser failed")
		}
		lint.Query("b.sql", sql, nil)
	})
}
