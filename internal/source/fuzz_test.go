package source_test

import (
	"encoding/csv"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/source"
)

// FuzzCSV holds the strict reader against another reader of RFC 4180: what it lets pass has one meaning, and what it gives to the
// server has the same one.
func FuzzCSV(f *testing.F) {
	for _, body := range []string{
		"a,b\n1,2\n", "a,b\r\n\"1\",\"2\r\n3\"\r\n", "a\n\"x\"\"y\"\n", "a,b\n,\n\"\",\n", "a,b\n1,\"2", "a,b\n1, \"2\"\n", "a\n\\.\n", "a\n\n", "a,b\n\n1,2\n",
		"\xef\xbb\xbfa\n1\n", "a,b\r1,2\r", "a;b\n1;2\n", "a,b\n1,2\r\n", "a,b\n1,2,3\n", "a\n\"1\"x\n",
	} {
		f.Add(body, false)
		f.Add(body, true)
	}
	f.Fuzz(func(t *testing.T, body string, reject bool) {
		load := pipeline.Load{Name: "raw", File: "in.csv"}
		if reject {
			load.OnBadRow, load.MaxRejects = pipeline.RejectRow, pipeline.Limit{Share: 1}
		}
		rows, err := source.Read(strings.NewReader(body), load, "in.csv", utc)
		if err != nil {
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			return
		}
		given, err := io.ReadAll(rows)
		if err != nil {
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			return
		}
		passed := records(t, string(given), len(rows.Columns()))
		require.EqualValues(t, len(passed), rows.Records())
		if rows.Left() > 0 {
			return
		}
		want := records(t, strings.TrimPrefix(body, "\xef\xbb\xbf"), len(rows.Columns()))
		require.Equal(t, want[1:], passed)
	})
}

// records are those that encoding/csv reads, blank lines of a file of one column included.
func records(t *testing.T, body string, columns int) (all [][]string) {
	t.Helper()
	if columns == 1 { // it passes over blank lines, which are rows here
		body = strings.ReplaceAll(body, "\r\n", "\n")
		for strings.Contains(body, "\n\n") && !strings.Contains(body, `"`) {
			body = strings.Replace(body, "\n\n", "\n\"\"\n", 1)
		}
		if strings.Contains(body, `"`) {
			if strings.HasPrefix(body, "\n") || strings.Contains(body, "\n\n") {
				t.Skip("what is blank is not told from what is in quotes")
			}
		}
		if strings.HasPrefix(body, "\n") {
			body = "\"\"" + body
		}
	}
	r := csv.NewReader(strings.NewReader(body))
	r.FieldsPerRecord = columns
	all, err := r.ReadAll()
	require.NoError(t, err, "what was let pass is no RFC 4180")
	if len(all) == 0 {
		all = [][]string{}
	}
	return all
}
