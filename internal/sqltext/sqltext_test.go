package sqltext_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/sqltext"
)

func TestIdentifiersAreOutsideStringsAndComments(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql  string
		want []string
	}{
		"folded":                         {`SELECT Raw_Orders`, []string{"select", "raw_orders"}},
		"quoted as is":                   {`"Raw ""Orders"`, []string{`Raw "Orders`}},
		"a string":                       {`a 'b ''c' d`, []string{"a", "d"}},
		"a backslash ends a string":      {`a 'b\' c`, []string{"a", "c"}},
		"an escaped quote in E''":        {`a E'b\' c' d`, []string{"a", "d"}},
		"a name that ends in e":          {`type'b\' c`, []string{"type", "c"}},
		"a dollar-quoted string":         {`a $$ b $x$ c $$ d`, []string{"a", "d"}},
		"a tagged string":                {`a $x$ b $$ c $x$ d`, []string{"a", "d"}},
		"a name with a dollar":           {`a$b$c`, []string{"a$b$c"}},
		"a line comment":                 {"a -- b 'c\nd", []string{"a", "d"}},
		"a comment at the end":           {"a --", []string{"a"}},
		"nested comments":                {`a /* b /* c */ d */ e`, []string{"a", "e"}},
		"a number with an exponent":      {`1e5 + x`, []string{"x"}},
		"letters beyond ASCII":           {`größe`, []string{"größe"}},
		"a placeholder and a positional": {`@partition_start $1 a`, []string{"a"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := map[string]bool{}
			for _, id := range tc.want {
				want[id] = true
			}
			require.Equal(t, want, sqltext.Identifiers(tc.sql))
		})
	}
}

func TestScanSaysWhatDoesNotEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql    string
		reason string
		offset int
	}{
		"a string":        {`SELECT 'x`, "the string does not end", 7},
		"an E string":     {`SELECT E'x\'`, "the string does not end", 7},
		"a name":          {`SELECT "x`, "the quoted name does not end", 7},
		"a comment":       {`SELECT /* /* */`, "the comment does not end", 7},
		"a dollar string": {`SELECT $a$ $$`, "the dollar-quoted string does not end", 7},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tokens, err := sqltext.Scan(tc.sql)
			var scan *sqltext.Error
			require.ErrorAs(t, err, &scan)
			require.Equal(t, tc.reason, scan.Error())
			require.Equal(t, tc.offset, scan.Offset)
			require.Len(t, tokens, 1)
		})
	}
}

func TestCommentsAreFoundWhereTheyStand(t *testing.T) {
	t.Parallel()
	comments, err := sqltext.Comments("a -- b 'c\n'-- d' /* e /* f */ -- */ $$ -- g $$ -- h")
	require.NoError(t, err)
	require.Equal(t, []sqltext.Comment{{Text: "-- b 'c", Start: 2}, {Text: "/* e /* f */ -- */", Start: 17}, {Text: "-- h", Start: 47}}, comments)
	comments, err = sqltext.Comments("-- a\n'")
	require.Error(t, err)
	require.Len(t, comments, 1)
}

func TestPlaceholdersAreNotOperators(t *testing.T) {
	t.Parallel()
	tokens, err := sqltext.Scan(`a <@b AND c @> d AND e = @partition AND f @@ g`)
	require.NoError(t, err)
	var found []string
	for _, token := range tokens {
		if token.Kind == sqltext.Placeholder {
			found = append(found, token.Text)
		}
	}
	require.Equal(t, []string{"partition"}, found)
}

func FuzzScan(f *testing.F) {
	f.Add(`SELECT E'a\'' || $x$ b $x$ /* c */ FROM "t" WHERE d >= @partition_start -- e`)
	f.Fuzz(func(t *testing.T, sql string) {
		tokens, _ := sqltext.Scan(sql)
		end := 0
		for _, token := range tokens {
			require.GreaterOrEqual(t, token.Start, end)
			require.Greater(t, token.End, token.Start)
			end = token.End
		}
		require.LessOrEqual(t, end, len(sql))
	})
}
