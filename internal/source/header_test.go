package source_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/source"
)

func TestAHeaderOfOneColumnThatHoldsAnotherDelimiterNamesIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		delimiter, header string
		says              string
	}{
		"semicolons":              {"", "id;email;" + secret, `is the file separated by ;? Then say so at the load: delimiter: ";"`},
		"tabs":                    {"", "id\temail\t" + secret, `is the file separated by a tab? Then say so at the load: delimiter: "\t"`},
		"bars":                    {",", "id|email|" + secret, `delimiter: "|"`},
		"commas, but declared ;":  {";", "id,email," + secret, `delimiter: ","`},
		"too long for one name":   {"", "id;email;" + strings.Repeat(secret, 9), `delimiter: ";"`},
		"the declared one":        {";", secret + ";x", "is the first line a header?"},
		"another among commas":    {"", "id;x,email;" + secret, "is the first line a header?"},
		"one column and no other": {"", secret, "is the first line a header?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			load := pipeline.Load{Name: "raw", File: "in.csv", Delimiter: c.delimiter, Columns: []pipeline.Column{{Name: "id", Type: "int"}, {Name: "email", Type: "text"}}}
			head, err := source.Header(strings.NewReader(c.header+"\n"), load, partition.AllKey)
			require.NoError(t, err)
			_, err = source.Columns(load, "in.csv", head)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			require.Contains(t, fault.HintOf(err), c.says)
			require.NotContains(t, err.Error()+fault.HintOf(err), secret)
		})
	}
}
