package pipeline

import (
	"regexp"
	"strconv"
	"strings"

	"drawbridge/internal/charset"
	"drawbridge/internal/partition"
	"drawbridge/internal/strictyaml"
)

// Format is how a file is written.
type Format string

// The formats.
const (
	CSV       Format = "csv"
	JSONLines Format = "jsonl"
)

// QuoteNone says that no character quotes: every byte between two delimiters is of the value.
const QuoteNone = "none"

// OnBadRow says what becomes of a row that cannot be read.
type OnBadRow string

// What becomes of a row that cannot be read; a failed load is the default.
const (
	FailLoad  OnBadRow = "fail"
	RejectRow OnBadRow = "reject"
)

// Limit is how many rows may be left out: a number, or where it is more than 0, a share of all rows.
type Limit struct {
	Count int64   `json:"count,omitempty"`
	Share float64 `json:"share,omitempty"`
}

var (
	encodingPattern  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.:-]*$`)
	delimiterPattern = regexp.MustCompile(`^[\t -~]$`)
	quotePattern     = regexp.MustCompile(`^([!-~]|` + QuoteNone + `)$`)
	limitPattern     = regexp.MustCompile(`^[0-9]{1,12}$|^[0-9]{1,2}(\.[0-9]{1,6})? ?%$`)
	nullPattern      = regexp.MustCompile(`^[^\n\r\x00]{0,40}$`)
)

// usualRejects is the share of rows that may be rejected where the load does not say.
const usualRejects = 0.001

// mostNulls bounds what every value of a file is compared with.
const mostNulls = 20

// formKeys are the keys of a load that say how its file is written.
func formKeys() []strictyaml.Key {
	return []strictyaml.Key{
		{
			Name: "format", Shape: strictyaml.OneOf(string(CSV), string(JSONLines)), Preset: string(CSV),
			Doc: "How the file is written: csv by RFC 4180, or jsonl, one JSON object a line.", Examples: []string{"csv", "jsonl"},
		},
		{
			Name: "columns", Shape: strictyaml.DictOf(strictyaml.Matching(typePattern, "a Postgres type such as numeric(12,2)")),
			Doc: "Column names of the file's header with their Postgres types; a column that is not listed is text. With header: false all columns of the file in their order; of JSON Lines the members that are read.", Examples: []string{"{order_id: bigint}", "{order_id: integer}"},
		},
		{Name: "header", Shape: strictyaml.Shape{Kind: strictyaml.Boolean}, Preset: "true", Doc: "false: the first line is a row, and columns lists the columns in their order.", Examples: []string{"true", "false"}},
		{Name: "delimiter", Shape: strictyaml.Matching(delimiterPattern, "one ASCII character"), Doc: `The field separator; "," by default.`, Examples: []string{`";"`, `"|"`}},
		{Name: "quote", Shape: strictyaml.Matching(quotePattern, "one ASCII character, or "+QuoteNone), Doc: `The character around values that hold a delimiter or a line end; '"' by default. none: no value is quoted, and quotes are part of values.`, Examples: []string{`"'"`, "none"}},
		{Name: "escape", Shape: strictyaml.Matching(quotePattern, "one ASCII character"), Doc: "The character before a quote that is part of a value; by default the quote itself, doubled.", Examples: []string{`"\\"`, `"~"`}},
		{Name: "null", Shape: strictyaml.ListOf(strictyaml.Matching(nullPattern, "a text of at most 40 characters in one line")), Doc: `Texts that stand for NULL where they are not quoted; [""] by default.`, Examples: []string{`["", NA]`, `["-"]`}},
		{Name: "encoding", Shape: strictyaml.Matching(encodingPattern, "an encoding such as LATIN1"), Doc: "The encoding of the header and the rows, by its name in Postgres or of IANA; UTF8 by default.", Examples: []string{"LATIN1", "WIN1252"}},
		{Name: "blank_lines", Shape: strictyaml.OneOf("fail", "skip"), Preset: "fail", Doc: "skip: lines without a character are no rows. By default they are refused.", Examples: []string{"fail", "skip"}},
		{Name: "dates", Shape: strictyaml.OneOf("iso", "dmy", "mdy"), Preset: "iso", Doc: "The order of day, month and year in dates and times, as in 31.01.2026 (dmy) or 01/31/2026 (mdy); by default they are as ISO 8601 writes them, which is read always.", Examples: []string{"iso", "dmy"}},
		{Name: "decimal", Shape: strictyaml.OneOf(".", ","), Preset: `"."`, Doc: "The character before the decimals of a number.", Examples: []string{`"."`, `","`}},
		{Name: "timezone", Shape: strictyaml.Sentence(), Doc: "The zone of times that are written without an offset from UTC, for columns of type timestamptz; by default the pipeline's, or UTC.", Examples: []string{"Europe/Berlin", "America/New_York"}},
		{Name: "on_bad_row", Shape: strictyaml.OneOf(string(FailLoad), string(RejectRow)), Preset: string(FailLoad), Doc: "What becomes of a row that cannot be read. fail: nothing is loaded, and the line is named. reject: the row is kept in the samples of the ledger, and the others are loaded.", Examples: []string{"fail", "reject"}},
		{
			Name: "max_rejects", Shape: strictyaml.Matching(limitPattern, "a number such as 100, or a share such as 0.1%"),
			Doc: "How many rows of a partition's files may be rejected: a number, or a share of all rows; 0.1% by default. More fail the load.", Examples: []string{"100", "0.1%"},
		},
	}
}

// form reads how a load's file is written.
func (b *builder) form(v strictyaml.Value, l *Load) {
	l.Format = Format(strictyaml.As[string](v.Get("format")))
	l.Delimiter = strictyaml.As[string](v.Get("delimiter"))
	l.Quote = strictyaml.As[string](v.Get("quote"))
	l.Escape = strictyaml.As[string](v.Get("escape"))
	l.Encoding = strictyaml.As[string](v.Get("encoding"))
	l.Null = v.Get("null").Strings()
	l.SkipBlankLines = strictyaml.As[string](v.Get("blank_lines")) == "skip"
	l.Timezone = strictyaml.As[string](v.Get("timezone"))
	if header, ok := v.Get("header").Data.(bool); ok {
		l.NoHeader = !header
	}
	if dates := strictyaml.As[string](v.Get("dates")); dates != "iso" {
		l.Dates = dates
	}
	if mark := strictyaml.As[string](v.Get("decimal")); mark != "." {
		l.Decimal = mark
	}
	for _, name := range v.Get("columns").Names() {
		l.Columns = append(l.Columns, Column{Name: name, Type: strictyaml.As[string](v.Get("columns").Get(name))})
	}
	b.marks(v, *l)
	b.encoding(v.Get("encoding"))
	b.rejects(v, l)
	if len(l.Null) > mostNulls {
		b.problems.Add(v.Get("null").At, "more texts stand for NULL than every value can be compared with", "load the column as text, and decide in the SQL")
	}
	b.distinct(v.Get("null"), "null")
	if l.Timezone != "" {
		if _, err := partition.Zone(l.Timezone); err != nil {
			b.problems.Add(v.Get("timezone").At, err.Error(), "use an IANA name such as Europe/Berlin")
		}
	}
	if l.NoHeader && len(l.Columns) == 0 {
		b.problems.Add(v.Get("header").At, "without a header the columns have no names", "list all of them in their order: columns: {id: bigint, name: text}")
	}
	if l.Format == JSONLines {
		b.jsonLines(v, *l)
	}
}

// marks refuses characters of a file that mean two things.
func (b *builder) marks(v strictyaml.Value, l Load) {
	delimiter, quote := l.Delimiter, l.Quote
	if delimiter == "" {
		delimiter = ","
	}
	if quote == "" {
		quote = `"`
	}
	at := v.Get("delimiter").At
	if quote == delimiter {
		b.problems.Add(v.Get("quote").At, "delimiter and quote are the same character", "name two")
	}
	if strings.ContainsAny(delimiter, `"\.`) || delimiter >= "0" && delimiter <= "9" || strings.ToLower(delimiter) != strings.ToUpper(delimiter) {
		b.problems.Add(at, "a letter, digit, quote, point or backslash separates no fields", `name the character between the values, such as ";" or "\t"`)
	}
	if l.Escape != "" && (l.Quote == QuoteNone || l.Escape == QuoteNone || l.Escape == delimiter) {
		b.problems.Add(v.Get("escape").At, "an escape stands before quotes, and is no delimiter", "leave it out where nothing is quoted")
	}
	if l.Decimal == "," && delimiter == "," && l.Quote == QuoteNone {
		b.problems.Add(v.Get("decimal").At, "a comma is the delimiter too, and nothing is quoted", "name the delimiter")
	}
}

func (b *builder) encoding(v strictyaml.Value) {
	name := strictyaml.As[string](v)
	if _, ok := charset.Find(name); ok {
		return
	}
	if charset.Wide(name) {
		b.problems.Add(v.At, name+" is not read: its lines are no lines of bytes", "convert the file before, for example with iconv -f UTF-16 -t UTF-8")
		return
	}
	hint := "one of " + strings.Join(charset.Names(), ", ")
	if near := strictyaml.DidYouMean(name, charset.Names()); near != "" {
		hint = near
	}
	b.problems.Add(v.At, "no encoding is called "+name, hint)
}

func (b *builder) rejects(v strictyaml.Value, l *Load) {
	if policy := OnBadRow(strictyaml.As[string](v.Get("on_bad_row"))); policy == RejectRow {
		l.OnBadRow = policy
	}
	most := v.Get("max_rejects")
	text := strictyaml.As[string](most)
	if share, ok := strings.CutSuffix(text, "%"); ok {
		percent, _ := strconv.ParseFloat(strings.TrimSpace(share), 64) // it is of the pattern
		l.MaxRejects.Share = percent / 100
	} else {
		l.MaxRejects.Count, _ = strconv.ParseInt(text, 10, 64)
	}
	switch {
	case most.OK() && l.OnBadRow == "":
		b.problems.Add(v.KeyAt("max_rejects"), "no row is rejected, so max_rejects has no effect", "say on_bad_row: reject, or remove it")
	case !most.OK() && l.OnBadRow != "":
		l.MaxRejects.Share = usualRejects
	case most.OK() && l.MaxRejects.Count < 1 && l.MaxRejects.Share <= 0:
		b.problems.Add(most.At, "no row may be rejected", "say on_bad_row: fail, or allow some")
	}
}

// jsonLines refuses what has no meaning in JSON.
func (b *builder) jsonLines(v strictyaml.Value, l Load) {
	for _, name := range []string{"header", "delimiter", "quote", "escape", "null", "encoding", "decimal"} {
		if v.KeyAt(name) != v.At {
			b.problems.Add(v.KeyAt(name), name+" says nothing of JSON Lines", "remove it: JSON is UTF-8, names its members and has null")
		}
	}
	if len(l.Columns) == 0 {
		b.problems.Add(v.At, "no member is read", "list those that are: columns: {id: bigint, name: text}")
	}
}

// Zone is the zone of times that a load writes without an offset.
func (l Load) Zone(s partition.Scheme) string {
	if l.Timezone != "" {
		return l.Timezone
	}
	return s.Timezone
}

// Names are those of the declared columns, in their order.
func (l Load) Names() []string {
	names := make([]string, len(l.Columns))
	for i, c := range l.Columns {
		names[i] = c.Name
	}
	return names
}

// String reads as on screens.
func (l Limit) String() string {
	if l.Share > 0 {
		return strconv.FormatFloat(l.Share*100, 'f', -1, 64) + " % of rows"
	}
	return strconv.FormatInt(l.Count, 10)
}
