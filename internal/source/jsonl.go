package source

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"drawbridge/internal/reject"
)

// jsonReader reads JSON Lines: an object a line, of which the declared columns are members.
type jsonReader struct {
	lines   *bufio.Reader
	long    []byte // a line that is longer than the buffer
	line    int
	decoder *jsontext.Decoder
	columns map[string]int
	values  [][]byte // by column; nil: NULL
}

func newJSONReader(text io.Reader) *jsonReader {
	return &jsonReader{lines: bufio.NewReaderSize(text, firstBuffer), decoder: jsontext.NewDecoder(bytes.NewReader(nil))}
}

// next returns the next line without its end, and io.EOF after the last.
func (j *jsonReader) next() ([]byte, error) {
	j.line++
	j.long = j.long[:0]
	for {
		part, err := j.lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			if j.long = append(j.long, part...); len(j.long) > longestRecord {
				return nil, &flaw{line: j.line, reason: "the line is longer than 64 MiB", hint: "write one object a line", form: true}
			}
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case err != nil && len(part)+len(j.long) == 0:
			return nil, io.EOF
		}
		if len(j.long) > 0 {
			j.long = append(j.long, part...)
			part = j.long
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(part, []byte("\n")), []byte("\r")), nil
	}
}

// read takes a line's object apart; why says what is wrong with it.
func (j *jsonReader) read(line []byte) (why string) {
	clear(j.values)
	j.decoder.Reset(bytes.NewReader(line))
	if kind := j.decoder.PeekKind(); kind != jsontext.KindBeginObject {
		return "the line is no JSON object"
	}
	if _, err := j.decoder.ReadToken(); err != nil {
		return "the line is no JSON object"
	}
	for j.decoder.PeekKind() != jsontext.KindEndObject {
		name, err := j.decoder.ReadToken()
		if err != nil {
			return j.broken(err)
		}
		at, declared := j.columns[name.String()]
		if !declared {
			if err := j.decoder.SkipValue(); err != nil {
				return j.broken(err)
			}
			continue
		}
		value, err := j.decoder.ReadValue()
		if err != nil {
			return j.broken(err)
		}
		switch value.Kind() {
		case jsontext.KindNull:
		case jsontext.KindString:
			if j.values[at], err = jsontext.AppendUnquote(make([]byte, 0, len(value)), value); err != nil {
				return j.broken(err)
			}
		default:
			j.values[at] = bytes.Clone(value)
		}
	}
	if _, err := j.decoder.ReadToken(); err != nil {
		return j.broken(err)
	}
	if _, err := j.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return "something follows the object in its line"
	}
	return ""
}

func (j *jsonReader) broken(err error) string {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return "the object names a member twice"
	}
	return "the line is no JSON"
}

// renderJSON adds the next line to what is given.
func (r *Rows) renderJSON(out []byte) ([]byte, error) {
	line, err := r.json.next()
	if err != nil {
		return out, err
	}
	if len(bytes.TrimSpace(line)) == 0 && r.load.SkipBlankLines {
		r.shift(1)
		return out, nil
	}
	begin := len(out)
	why, column := "", ""
	switch {
	case len(bytes.TrimSpace(line)) == 0:
		why = "the line is blank"
	case !utf8.Valid(line):
		why = r.noText()
	default:
		if why = r.json.read(line); why == "" {
			out, why, column = r.renderValues(out)
		}
	}
	if why == "" {
		feeds := 1
		if r.encoders == nil { // what is escaped in the file ends lines for the server
			feeds += bytes.Count(out[begin:], []byte{'\n'})
		}
		out = r.given(out, begin, r.json.line, feeds)
		r.shift(1 - feeds)
		return out, nil
	}
	if err := r.bad(&flaw{line: r.json.line, reason: why, hint: "write one JSON object a line"}, column); err != nil {
		return out[:begin], err
	}
	r.shift(1)
	return out[:begin], r.leaveOut(reject.Row{Line: r.json.line, Column: column, Reason: why, Text: reject.Cut(line)})
}

// renderValues adds what has been read of an object.
func (r *Rows) renderValues(out []byte) (rendered []byte, why, column string) {
	if r.encoders != nil {
		return r.encodeValues(out)
	}
	for i, value := range r.json.values {
		if i > 0 {
			out = append(out, ',')
		}
		if value == nil {
			continue
		}
		if bytes.IndexByte(value, 0) >= 0 {
			return out, noZero, r.shown(i)
		}
		if read := r.readers[i]; read != nil {
			if value, why = read(r.written, value); why != "" {
				return out, why, r.shown(i)
			}
		}
		out = append(out, '"')
		for _, c := range value {
			if c == '"' {
				out = append(out, '"')
			}
			out = append(out, c)
		}
		out = append(out, '"')
	}
	return out, "", ""
}

// encodeValues is renderValues in binary.
func (r *Rows) encodeValues(out []byte) (rendered []byte, why, column string) {
	out = binary.BigEndian.AppendUint16(out, uint16(len(r.json.values))) //nolint:gosec // UseBinary looked
	for i, value := range r.json.values {
		switch {
		case value == nil:
			out = append(out, 0xff, 0xff, 0xff, 0xff)
			continue
		case bytes.IndexByte(value, 0) >= 0:
			return out, noZero, r.shown(i)
		}
		if why = r.encodeValue(&out, i, value); why != "" {
			return out, why, r.shown(i)
		}
	}
	return out, "", ""
}

// noZero is what is wrong with a text that the server cannot keep.
const noZero = "the value holds a character of code 0, which no text may"
