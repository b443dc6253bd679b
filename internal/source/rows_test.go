package source_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/reject"
	"drawbridge/internal/source"
)

var utc = partition.Scheme{By: partition.Day, Column: "d"}

// text reads a file as a load has it: what the server is given, or what is wrong.
func text(t *testing.T, load pipeline.Load, scheme partition.Scheme, body string) (*source.Rows, string, error) {
	t.Helper()
	rows, err := source.Read(strings.NewReader(body), load, "data/in.csv", scheme)
	if err != nil {
		return nil, "", err
	}
	given, err := io.ReadAll(rows)
	return rows, string(given), err
}

func TestAFileThatIsReadOneWayOnlyIsGivenAsItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		load        pipeline.Load
		body, given string
		records     int64
	}{
		"values":                          {body: "a,b\n1,x\n2,y\n", given: "1,x\n2,y\n", records: 2},
		"no line end at the end":          {body: "a,b\n1,x", given: "1,x\n", records: 1},
		"no rows":                         {body: "a,b\n", given: ""},
		"a header alone":                  {body: "a,b", given: ""},
		"carriage returns":                {body: "a,b\r\n1,x\r\n2,y\r\n", given: "1,x\n2,y\n", records: 2},
		"a byte order mark":               {body: "\xef\xbb\xbfa,b\n1,x\n", given: "1,x\n", records: 1},
		"a quoted header":                 {body: "\"a\",\"b\"\n1,x\n", given: "1,x\n", records: 1},
		"quoted values":                   {body: "a,b\n1,\"x,\"\"y\"\"\nz\"\n", given: "1,\"x,\"\"y\"\"\nz\"\n", records: 1},
		"carriage returns in a value":     {body: "a,b\n1,\"x\r\ny\"\n", given: "1,\"x\r\ny\"\n", records: 1},
		"an empty value and no value":     {body: "a,b\n\"\",\n", given: "\"\",\n", records: 1},
		"a quoted end of the data":        {body: "a\n\"\\.\"\n", given: "\"\\.\"\n", records: 1},
		"one column and no value":         {body: "a\n\n1\n", given: "\n1\n", records: 2},
		"another delimiter":               {load: pipeline.Load{Delimiter: ";"}, body: "a;b\n1;x,y\n", given: "1;x,y\n", records: 1},
		"another quote":                   {load: pipeline.Load{Quote: "'"}, body: "a,b\n'1,2','it''s \"\"'\n", given: "'1,2','it''s \"\"'\n", records: 1},
		"another escape":                  {load: pipeline.Load{Escape: `\`}, body: "a,b\n\"1\\\"2\",\"\\\\\"\n", given: "\"1\\\"2\",\"\\\\\"\n", records: 1},
		"no quotes":                       {load: pipeline.Load{Quote: "none"}, body: "a,b\n5\" pipe,x\n", given: "\"5\"\" pipe\",x\n", records: 1},
		"no header":                       {load: pipeline.Load{NoHeader: true, Columns: cols("a", "text", "b", "int")}, body: "x,1\ny,2\n", given: "x,1\ny,2\n", records: 2},
		"blank lines, skipped":            {load: pipeline.Load{SkipBlankLines: true}, body: "\na,b\n\n1,x\n\n\n2,y\n\n", given: "1,x\n2,y\n", records: 2},
		"texts for NULL":                  {load: pipeline.Load{Null: []string{"", "NA", "-"}}, body: "a,b,c\nNA,-,\n\"NA\",x,NAN\n", given: ",,\n\"NA\",x,NAN\n", records: 2},
		"texts for NULL, not the empty":   {load: pipeline.Load{Null: []string{"NA"}}, body: "a,b\nNA,\n", given: ",\"\"\n", records: 1},
		"another encoding":                {load: pipeline.Load{Encoding: "LATIN1"}, body: "gr\xf6\xdfe,b\nZ\xfcrich,x\n", given: "Zürich,x\n", records: 1},
		"an encoding that the web names":  {load: pipeline.Load{Encoding: "windows-1252"}, body: "a\n3 \x80\n", given: "3 €\n", records: 1},
		"numbers of another decimal mark": {load: pipeline.Load{Delimiter: ";", Decimal: ",", Columns: cols("a", "numeric(10,2)")}, body: "a;b\n-1,5;1,5\n2;x\n", given: "\"-1.5\";1,5\n2;x\n", records: 2},
		"days first":                      {load: pipeline.Load{Dates: "dmy", Columns: cols("a", "date", "b", "timestamp")}, body: "a,b\n3/4/26,31.01.2026 14:30\n2026-04-03,2026-04-03T00:00:01\n", given: "\"2026-04-03\",\"2026-01-31 14:30:00\"\n2026-04-03,2026-04-03T00:00:01\n", records: 2},
		"months first":                    {load: pipeline.Load{Dates: "mdy", Columns: cols("a", "date")}, body: "a\n03/04/99\n", given: "\"1999-03-04\"\n", records: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rows, given, err := text(t, c.load, utc, c.body)
			require.NoError(t, err)
			require.Equal(t, c.given, given)
			require.Equal(t, c.records, rows.Records())
		})
	}
}

// cols are columns of names and types by turns.
func cols(pairs ...string) (columns []pipeline.Column) {
	for i := 0; i < len(pairs); i += 2 {
		columns = append(columns, pipeline.Column{Name: pairs[i], Type: pairs[i+1]})
	}
	return columns
}

// What could be read in two ways, or would lose something, is refused where it stands; nothing of it is shown.
func TestAFileThatWouldHaveToBeGuessedAtIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		load pipeline.Load
		body string
		says []string
	}{
		"the end of the data":                {body: "note\nfirst\n\\.\nthird\n", says: []string{"line 3", `\. alone`}},
		"a quote within a value":             {body: "id,item,qty\n1,5\" pipe,3\n2,6\" pipe,4\n", says: []string{"line 2", "a quote stands within a value"}},
		"a blank after a quote":              {body: "id,city,n\n1,\"Rome\" ,2\n", says: []string{"line 2", "a blank stands after a quote"}},
		"a blank before a quote":             {body: "id,city,n\n1,x,2\n2, \"Oslo, NO\",3\n", says: []string{"line 3", "a blank stands before a quote"}},
		"text after a quote":                 {body: "id,city\n1,\"Rome\"x\n", says: []string{"line 2", "text stands after a quote"}},
		"an open quote":                      {body: "id,city\n1,a\n2,\"Rome\n3,x\n4,y\n", says: []string{"line 3", "the quote that opens in this line is not closed"}},
		"an open quote after lines in value": {body: "id,city\n1,\"a\nb\"\n2,\"Rome\n", says: []string{"line 4", "not closed"}},
		"an open quote in the header":        {body: "id,\"city\n1,x\n", says: []string{"line 1", "not closed"}},
		"a short row":                        {body: "id,city\n1,\"a\nb\"\n2\n", says: []string{"line 4", "1 value where the file has 2 columns"}},
		"a long row":                         {body: "id\n1,2\n", says: []string{"line 2", "2 values where the file has 1 column"}},
		"a blank line":                       {body: "id,city\n1,x\n\n", says: []string{"line 3", "blank"}},
		"a blank first line":                 {body: "\nid,city\n1,x\n", says: []string{"line 1", "blank", "header"}},
		"a blank first line of blanks":       {body: "  \nid,city\n1,x\n", says: []string{"line 1", "blank"}},
		"line ends of two kinds":             {body: "id,city\r\n1,x\n", says: []string{"line 2", "a line feed alone", "a carriage return and a line feed"}},
		"line ends of two kinds, later":      {body: "id,city\n1,x\n2,y\r\n", says: []string{"line 3", "carriage return"}},
		"carriage returns alone":             {body: "id,city\r1,x\r", says: []string{"line 1", "carriage return"}},
		"a byte of value 0":                  {body: "id,city\n1,a\x00b\n", says: []string{"line 2", "value 0"}},
		"UTF-16":                             {body: "\xff\xfei\x00d\x00\n\x00", says: []string{"UTF-16"}},
		"UTF-16 without a mark":              {body: "i\x00d\x00,\x00a\x00\n\x001\x00", says: []string{"UTF-16"}},
		"Parquet":                            {body: "PAR1....", says: []string{"Parquet"}},
		"another encoding":                   {body: "id,city\n1,Z\xfcrich\n", says: []string{"line 2", "no UTF-8"}},
		"another encoding in the header":     {body: "id,gr\xf6\xdfe\n1,x\n", says: []string{"line 1", "no UTF-8"}},
		"a byte that the encoding lacks":     {load: pipeline.Load{Encoding: "WIN1252"}, body: "id,city\n1,x\n2,\x81\n", says: []string{"line 3", "no WIN1252"}},
		"an empty file":                      {body: "", says: []string{"no header line"}},
		"a line that never ends":             {body: "id," + strings.Repeat("x", 2<<20), says: []string{"longer than 1 MiB"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, given, err := text(t, c.load, utc, c.body)
			require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v\n%.100s", err, given)
			require.NotEmpty(t, fault.HintOf(err))
			require.ErrorContains(t, err, "data/in.csv")
			for _, says := range c.says {
				require.ErrorContains(t, err, says)
			}
			for _, value := range []string{"Rome", "pipe", "Oslo", "city"} {
				require.NotContains(t, err.Error(), value)
			}
		})
	}
}

func TestValuesAreISOAndNothingIsDroppedOrRounded(t *testing.T) {
	t.Parallel()
	berlin := partition.Scheme{By: partition.Day, Column: "d", Timezone: "Europe/Berlin"}
	for typ, c := range map[string]struct {
		scheme partition.Scheme
		good   map[string]string // as given; empty: as it is
		bad    []string
	}{
		"int":                      {good: map[string]string{"1": "", "-2147483648": "", "2147483647": "", "+5": "", "007": ""}, bad: []string{"2147483648", "1.0", "1e3", "0x1F", "1_000", "x", "--1", "-", "1,5"}},
		"smallint":                 {good: map[string]string{"32767": ""}, bad: []string{"32768"}},
		"bigint":                   {good: map[string]string{"9223372036854775807": ""}, bad: []string{"9223372036854775808"}},
		"numeric(10,2)":            {good: map[string]string{"10.5": "", "10.500": "", "-0.00": "", "1e3": "", "12345678.99": "", ".5": "", "5.": ""}, bad: []string{"10.005", "0.004", "123456789", "1e8", "1e-3", "Infinity", "nan", "1.2.3", "1 000", "10,5", "0x10"}},
		"numeric":                  {good: map[string]string{"10.005": "", "NaN": "", "-Infinity": "", "1e-10": ""}, bad: []string{"inf", "1,5", "now"}},
		"numeric(3)":               {good: map[string]string{"123": "", "1.0": ""}, bad: []string{"1234", "1.5"}},
		"real":                     {good: map[string]string{"0.1": "", "16777216": "", "1e10": "", "3.4028235e38": ""}, bad: []string{"16777217", "0.123456789", "1e39", "1e-60", "nan", "x"}},
		"double precision":         {good: map[string]string{"0.1": "", "9007199254740992": "", "1e308": "", "0.30000000000000004": ""}, bad: []string{"9007199254740993", "1e309", "inf", "0.1000000000000000055"}},
		"boolean":                  {good: map[string]string{"true": "", "F": "", "yes": "", "0": ""}, bad: []string{"tru", "2", "wahr", ""}},
		"varchar(3)":               {good: map[string]string{"abc": "", "äöü": ""}, bad: []string{"abcd", "abc "}},
		"char(2)":                  {good: map[string]string{"ab": "", "a": ""}, bad: []string{"abc"}},
		"date":                     {good: map[string]string{"infinity": "", "2026-01-31": "", "20260131": "2026-01-31"}, bad: []string{"03/04/26", "01.02.26", "2026-02-30", "0000-00-00", "now", "today", "Infinity", "2026-01-31T23:30:00-05:00", "2026-01-31 00:00:00", "2026-1-3", "31 Jan 2026", "2031-07"}},
		"timestamp":                {good: map[string]string{"2026-01-31 23:59:59.123456": "", "2026-01-31T23:59": "", "2026-01-31": "", "2026-01-31 00:00:00.1234560": ""}, bad: []string{"2026-01-31 23:59:59+01", "2026-01-31T00:00:00Z", "2026-01-31 00:00:00.1234567", "2026-01-31 24:00:00", "2026-01-31 23:59:60", "now", "epoch", "2026-01-31 1:00", "2026-01-31 11:00 PM", "01/31/2026"}},
		"timestamp(0)":             {good: map[string]string{"2026-01-31 23:59:59.000": ""}, bad: []string{"2026-01-31 23:59:59.5"}},
		"timestamptz":              {good: map[string]string{"2026-01-31 23:59:59+01": "", "2026-01-31T23:59:59Z": "", "2026-01-31 23:59:59 +05:30": "", "2026-01-31 23:59:59": "2026-01-31 23:59:59+00", "2026-01-31": "2026-01-31 00:00:00+00"}, bad: []string{"2026-01-31 00:00:00 Europe/Berlin", "2026-01-31 00:00 EST", "2026-01-31 00:00:00+25", "now", "tomorrow"}},
		"timestamp with time zone": {scheme: berlin, good: map[string]string{"2026-07-01 00:30:00": "2026-07-01 00:30:00+02:00", "2026-01-01": "2026-01-01 00:00:00+01:00", "2026-03-29 02:30:00+01": ""}, bad: []string{"2026-03-29 02:30:00", "2026-10-25 02:30:00"}},
		"time":                     {good: map[string]string{"23:59:59.5": "", "08:00": ""}, bad: []string{"24:00", "now", "allballs", "8:00", "23:59:59.1234567", "10:00 PM"}},
		"timetz":                   {bad: []string{"now"}},
		"text":                     {good: map[string]string{"now": "", "x  y": ""}},
	} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			scheme := c.scheme
			if scheme.By == "" {
				scheme = utc
			}
			load := pipeline.Load{Columns: cols("v", typ), NoHeader: true, Delimiter: "|"}
			for value, given := range c.good {
				_, got, err := text(t, load, scheme, value+"\n")
				require.NoError(t, err, value)
				if given == "" {
					given = value
				} else {
					given = `"` + given + `"`
				}
				require.Equal(t, given+"\n", got)
			}
			for _, value := range c.bad {
				quoted := value
				if value == "" {
					quoted = `""`
				}
				_, _, err := text(t, load, scheme, "\n"+quoted+"\n")
				require.Equal(t, fault.Invalid, fault.ClassOf(err), "%q is read", value)
				require.ErrorContains(t, err, "line 2, column v")
				if len(value) > 3 {
					require.NotContains(t, err.Error(), value)
				}
			}
		})
	}
}

func TestRowsThatCannotBeReadAreRejectedAndTheOthersAreGiven(t *testing.T) {
	t.Parallel()
	load := pipeline.Load{Columns: cols("id", "int", "d", "date"), OnBadRow: pipeline.RejectRow, MaxRejects: pipeline.Limit{Count: 10}}
	rows, err := source.Read(strings.NewReader("id,d,v\n1,2026-01-01,\"a\nb\"\nx,2026-01-01,c\n2,01.01.2026,\"d\ne\"\n3,2026-01-03\n4,2026-01-04,f\n"), load, "in.csv", utc)
	require.NoError(t, err)
	var rejects []reject.Row
	rows.Keep = func(some []reject.Row) error {
		rejects = append(rejects, some...)
		return nil
	}
	given, err := io.ReadAll(rows)
	require.NoError(t, err)
	require.Equal(t, "1,2026-01-01,\"a\nb\"\n4,2026-01-04,f\n", string(given))
	require.EqualValues(t, 2, rows.Records())
	require.EqualValues(t, 3, rows.Left())
	require.NoError(t, rows.Flush())
	require.Len(t, rejects, 3)
	require.Equal(t, reject.Row{File: "in.csv", Line: 4, Column: "id", Reason: "the value is no int", Text: "x,2026-01-01,c"}, rejects[0])
	require.Equal(t, 5, rejects[1].Line)
	require.Equal(t, "d", rejects[1].Column)
	require.Equal(t, 7, rejects[2].Line)
	require.Equal(t, 2, rows.Line(1))
	require.Equal(t, 3, rows.Line(2), "lines within a value count")
	require.Equal(t, 8, rows.Line(3))
}

// A file whose form is broken has no rows that could be left out: where they end is not known.
func TestABrokenFormIsNeverARejectedRow(t *testing.T) {
	t.Parallel()
	load := pipeline.Load{OnBadRow: pipeline.RejectRow, MaxRejects: pipeline.Limit{Count: 10}}
	_, _, err := text(t, load, utc, "id,v\n1,a\"b\n2,c\n")
	require.ErrorContains(t, err, "line 2")
}

func TestMoreRejectsThanAllowedEndTheFile(t *testing.T) {
	t.Parallel()
	load := pipeline.Load{Columns: cols("id", "int"), OnBadRow: pipeline.RejectRow, MaxRejects: pipeline.Limit{Count: 2}}
	_, _, err := text(t, load, utc, "id\na\n1\nb\n2\nc\n3\n")
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.ErrorContains(t, err, "3 of the 5 rows that were read cannot be loaded, and max_rejects is 2")
}

func TestJSONLinesAreReadByTheirMembers(t *testing.T) {
	t.Parallel()
	load := pipeline.Load{Format: pipeline.JSONLines, Columns: cols("id", "bigint", "at", "timestamptz", "name", "text", "tags", "jsonb", "ok", "bool")}
	rows, given, err := text(t, load, utc, `{"id": 9007199254740993, "at": "2026-01-31T00:00:00Z", "name": "a \"b\"\nc", "tags": ["x", {"y": null}], "ok": true, "more": [1]}`+"\r\n"+
		`{"name": null, "ok": "no", "id": -1}`)
	require.NoError(t, err)
	require.Equal(t, `"9007199254740993","2026-01-31T00:00:00Z","a ""b""`+"\n"+`c","[""x"", {""y"": null}]","true"`+"\n"+`"-1",,,,"no"`+"\n", given)
	require.EqualValues(t, 2, rows.Records())
	require.Equal(t, 2, rows.Line(3), "the line that the server counts as its third")
	for body, says := range map[string]string{
		`{"id": 1.5}`:          "line 1, column id: the value is no bigint",
		`{"id": 1} {"id": 2}`:  "something follows the object",
		`{"id": 1, "id": 2}`:   "names a member twice",
		`[1]`:                  "no JSON object",
		`{"id": 1`:             "no JSON",
		`{"name": "\u0000"}`:   "column name: the value holds a character of code 0",
		"{\"id\": 1}\n\n":      "line 2: the line is blank",
		"{\"name\": \"\xff\"}": "no UTF-8",
	} {
		_, _, err := text(t, load, utc, body)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), body)
		require.ErrorContains(t, err, says)
	}
}
