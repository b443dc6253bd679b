package source

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"

	"drawbridge/internal/pipeline"
	"drawbridge/internal/reject"
)

func (r *Rows) noText() string {
	return "the line holds bytes that are no " + cmp.Or(r.load.Encoding, "UTF-8")
}

// value is what a field says, without its quotes.
func (r *Rows) value(record []byte, f field) []byte {
	text := record[f.from:f.to]
	if !f.quoted {
		return text
	}
	text = text[1 : len(text)-1]
	if bytes.IndexByte(text, r.csv.escape) < 0 {
		return text
	}
	plain := r.scratch[:0]
	for at := 0; at < len(text); at++ {
		if text[at] == r.csv.escape && at+1 < len(text) && (text[at+1] == r.csv.quote || text[at+1] == r.csv.escape) {
			at++
		}
		plain = append(plain, text[at])
	}
	r.scratch = plain
	return plain
}

// render adds the next record to what is given.
func (r *Rows) render(out []byte) ([]byte, error) {
	record, fields, err := r.csv.record()
	if err != nil {
		return out, err
	}
	if len(record) == 0 && r.load.SkipBlankLines {
		r.shift(1)
		return out, nil
	}
	line := r.csv.line
	begin := len(out)
	if bad, column := r.check(&out, record, fields); bad != "" {
		out = out[:begin]
		if err := r.bad(&flaw{line: line, reason: bad, hint: "correct the file, or the load's columns, delimiter or encoding"}, column); err != nil {
			return out, err
		}
		r.shift(r.csv.next - line)
		return out, r.leaveOut(reject.Row{Line: line, Column: column, Reason: bad, Text: reject.Cut(record)})
	}
	return r.given(out, begin, line, max(1, r.csv.next-line)), nil // the last line may have no end
}

// bad is what is wrong with a row, where it may not be left out.
func (r *Rows) bad(why *flaw, column string) error {
	if r.load.OnBadRow == pipeline.RejectRow {
		return nil
	}
	return &columnFlaw{flaw: why, column: column}
}

// given ends a row of so many lines that has been rendered.
func (r *Rows) given(out []byte, begin, line, feeds int) []byte {
	r.records++
	if r.encoders != nil { // the server counts rows
		r.lines++
		r.shift(feeds - 1)
		return out
	}
	r.lines += feeds
	if r.indexed {
		r.index = append(r.index, Given{At: begin, Line: line, Feeds: feeds})
	}
	return append(out, '\n')
}

// check proves a record and adds it to out, values as the server is to read them. It says what is wrong with it.
func (r *Rows) check(out *[]byte, record []byte, fields []field) (why, column string) {
	switch {
	case len(record) == 0 && len(r.columns) > 1:
		return "the line is blank", ""
	case len(record) == 2 && record[0] == '\\' && record[1] == '.':
		return `the line is \. alone, which ends the data for some servers: put it into quotes if it is a value`, ""
	case len(fields) != len(r.columns):
		return fmt.Sprintf("the row has %s where the file has %s", counted(len(fields), "value"), counted(len(r.columns), "column")), ""
	case !utf8.Valid(record), r.decoded && bytes.Contains(record, noCharacter):
		return r.noText(), ""
	}
	if r.encoders != nil {
		return r.encode(out, record, fields)
	}
	if !r.typed && r.plain && r.csv.quote != 0 {
		*out = append(*out, record...)
		return "", ""
	}
	done := 0 // of the record
	for i, f := range fields {
		raw := record[f.from:f.to]
		if !f.quoted && r.null(raw) {
			if len(raw) > 0 {
				*out = append(*out, record[done:f.from]...)
				done = f.to
			}
			continue
		}
		read := r.readers[i]
		switch {
		case read != nil:
			text := r.value(record, f)
			value, bad := read(r.written[:0:cap(r.written)], text)
			if bad != "" {
				return bad, r.shown(i)
			}
			if len(value) > 0 && len(text) > 0 && &value[0] == &text[0] && len(value) == len(text) {
				continue
			}
			*out = append(append(*out, record[done:f.from]...), r.quoteMark())
			*out = append(append(*out, value...), r.quoteMark())
			done = f.to
		case len(raw) == 0, r.csv.quote == 0 && bytes.IndexByte(raw, '"') >= 0:
			*out = append(append(*out, record[done:f.from]...), r.quoteMark())
			for _, c := range raw {
				if c == '"' {
					*out = append(*out, '"')
				}
				*out = append(*out, c)
			}
			*out = append(*out, r.quoteMark())
			done = f.to
		}
	}
	*out = append(*out, record[done:]...)
	return "", ""
}

// What stands before the rows in the server's binary form, and after them.
var (
	binaryHeader = []byte("PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	binaryEnd    = []byte{0xff, 0xff}
)

// encode adds a record in binary.
func (r *Rows) encode(out *[]byte, record []byte, fields []field) (why, column string) {
	*out = binary.BigEndian.AppendUint16(*out, uint16(len(fields))) //nolint:gosec // UseBinary looked
	for i, f := range fields {
		if !f.quoted && r.null(record[f.from:f.to]) {
			*out = append(*out, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		if why = r.encodeValue(out, i, r.value(record, f)); why != "" {
			return why, r.shown(i)
		}
	}
	return "", ""
}

// encodeValue adds a value in binary, after its length.
func (r *Rows) encodeValue(out *[]byte, column int, text []byte) (why string) {
	at := len(*out)
	*out = append(*out, 0, 0, 0, 0)
	if *out, why = r.encoders[column](*out, text); why != "" {
		return why
	}
	binary.BigEndian.PutUint32((*out)[at:], uint32(len(*out)-at-4)) //nolint:gosec // a record has a bound
	return ""
}

// quoteMark is what quotes in the text that is given.
func (r *Rows) quoteMark() byte {
	if r.csv.quote == 0 {
		return '"'
	}
	return r.csv.quote
}

func (r *Rows) null(text []byte) bool {
	if r.plain {
		return len(text) == 0
	}
	return slices.ContainsFunc(r.nulls, func(n []byte) bool { return bytes.Equal(n, text) })
}

// shown names a column to people: by its name where the load declares it, else by its place, as the header may be a row.
func (r *Rows) shown(i int) string {
	name := r.columns[i].Name
	if slices.ContainsFunc(r.load.Columns, func(c pipeline.Column) bool { return c.Name == name }) {
		return name
	}
	return fmt.Sprint(i + 1)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
