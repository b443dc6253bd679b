package source

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/transform"

	"drawbridge/internal/charset"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/reject"
)

// Rows are the rows of one file, proven record by record while they stream, as the text of a COPY with the options of CopyOptions.
// Nothing is lost, merged, cut or rounded without a word: what cannot be read as it stands ends the rows with an error, or where
// the load says so is rejected.
type Rows struct {
	// Keep stores rows that are left out.
	Keep func([]reject.Row) error

	load    pipeline.Load
	object  string // the file, for people
	csv     *csvReader
	json    *jsonReader // nil: the file is CSV
	columns []pipeline.Column
	zone    *time.Location // of times that are written without an offset
	readers []reader       // by column; nil: the server reads it alone
	typed   bool           // any column has a reader
	nulls   [][]byte
	plain   bool // the empty text, and no other, is NULL
	decoded bool // it was converted to UTF-8: bytes that are no character have become noCharacter

	encoders []encoder // by column; nil: what is given is text
	begun    bool

	out     []byte // what is not given yet
	room    []byte // in which out is
	sure    bool
	index   []Given
	indexed bool   // index is kept
	scratch []byte // a value without its escapes
	written []byte // room for a value in other words
	records int64
	left    int64 // rows that were left out
	lines   int   // line feeds in what was given
	shifts  []shift
	rejects []reject.Row
	err     error
}

const (
	// mostShifts bounds what is remembered of lines: an error is never far from what was sent last.
	mostShifts = 10_000
	// keptAtOnce is how many rows that are left out are kept in memory.
	keptAtOnce = 500
	// blockSize is how much is rendered before it is given.
	blockSize = 64 << 10
)

// Read opens the rows of a load's file, of which object is the name for people, and reads its header.
func Read(file io.Reader, load pipeline.Load, object string, scheme partition.Scheme) (*Rows, error) {
	r := &Rows{load: load, object: object, written: make([]byte, 0, 64)}
	if err := r.open(file); err != nil {
		return nil, r.explain(err)
	}
	names := load.Names()
	if load.Format != pipeline.JSONLines && !load.NoHeader {
		var err error
		if names, err = r.header(); err != nil {
			return nil, r.explain(err)
		}
	}
	columns, err := Columns(load, object, names)
	if err != nil {
		return nil, err
	}
	r.columns = columns
	if r.json != nil {
		r.json.values, r.json.columns = make([][]byte, len(columns)), make(map[string]int, len(columns))
		for i, c := range columns {
			r.json.columns[c.Name] = i
		}
	}
	return r, r.types(scheme)
}

// UseBinary gives the rows in the server's binary form, which it reads in half the time, where that of all columns is known. It is
// called before the first row is read.
func (r *Rows) UseBinary() {
	if len(r.columns) > math.MaxInt16 {
		return
	}
	encoders := make([]encoder, len(r.columns))
	for i, c := range r.columns {
		if encoders[i] = encoderOf(c.Type, r.load, r.zone); encoders[i] == nil {
			return
		}
	}
	r.encoders = encoders
}

// Columns are the file's, in its order.
func (r *Rows) Columns() []pipeline.Column { return r.columns }

// Err is what ended the rows before the file's end; nil: nothing.
func (r *Rows) Err() error {
	if errors.Is(r.err, io.EOF) {
		return nil
	}
	return r.err
}

// Records is how many rows have been given.
func (r *Rows) Records() int64 { return r.records }

// open begins to read a file as its encoding has it.
func (r *Rows) open(file io.Reader) error {
	start := make([]byte, 512)
	n := 0
	for n < len(byteOrderMark) { // what is there says enough: whoever writes a pipe may write no more for long
		more, err := file.Read(start[n:])
		n += more
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	start = start[:n]
	if why, hint := foreign(start); why != "" {
		return fault.Newf(fault.Invalid, "load", r.object, hint, why)
	}
	start = bytes.TrimPrefix(start, []byte(byteOrderMark))
	enc, ok := charset.Find(r.load.Encoding)
	if !ok {
		return fault.Newf(fault.Invalid, "load", r.load.Name, "use one of "+strings.Join(charset.Names(), ", "), "no encoding is called "+r.load.Encoding)
	}
	text := io.MultiReader(bytes.NewReader(start), file)
	if r.decoded = enc != nil; r.decoded {
		text = transform.NewReader(text, enc.NewDecoder())
	}
	mark := func(text string, usual byte) byte {
		if text == "" {
			return usual
		}
		return text[0]
	}
	quote := mark(r.load.Quote, '"')
	if r.load.Quote == pipeline.QuoteNone {
		quote = 0
	}
	if r.load.Format == pipeline.JSONLines {
		r.json = newJSONReader(text)
	}
	r.csv = newCSVReader(text, mark(r.load.Delimiter, ','), quote, mark(r.load.Escape, quote))
	return nil
}

// foreign says what a file is that is no text with a byte for each ASCII character, and what to do with it.
func foreign(start []byte) (why, hint string) {
	const convert = "convert it before, for example with iconv -f UTF-16 -t UTF-8"
	switch {
	case bytes.HasPrefix(start, []byte{0xff, 0xfe}), bytes.HasPrefix(start, []byte{0xfe, 0xff}):
		return "the file is UTF-16, which is not read", convert
	case len(start) >= 8 && bytes.Count(start, []byte{0})*3 >= len(start):
		return "the file looks like UTF-16 or UTF-32, which is not read: many of its bytes have the value 0", convert
	case bytes.HasPrefix(start, []byte("PAR1")):
		return "the file is Parquet, and the load reads text", "export it as CSV in UTF-8"
	}
	return "", ""
}

// header reads the first record as names.
func (r *Rows) header() ([]string, error) {
	r.csv.most = headerMax
	defer func() { r.csv.most = longestRecord }()
	for {
		record, fields, err := r.csv.record()
		switch {
		case errors.Is(err, io.EOF):
			return nil, errNoHeader
		case err != nil:
			return nil, err
		case len(bytes.TrimSpace(record)) == 0:
			if r.load.SkipBlankLines {
				continue
			}
			return nil, &flaw{
				line: r.csv.line, reason: "the line is blank, where the header is to be", form: true,
				hint: "take the line away, or say blank_lines: skip at the load",
			}
		case !utf8.Valid(record), r.decoded && strings.Contains(string(record), noCharacter):
			return nil, &flaw{line: r.csv.line, reason: r.noText(), hint: encodingHint, form: true}
		}
		r.shift(r.csv.next - 1)
		names := make([]string, len(fields))
		for i, f := range fields {
			names[i] = string(r.value(record, f))
		}
		return names, nil
	}
}

// noCharacter is what bytes become that are none in a file's encoding.
const noCharacter = "\ufffd"

const encodingHint = "is it written in another encoding? Then say which at the load: encoding: WIN1252"

// types finds how the values of each column are read.
func (r *Rows) types(scheme partition.Scheme) error {
	var err error
	if r.zone, err = partition.Zone(cmp.Or(r.load.Zone(scheme), "UTC")); err != nil {
		return fault.New(fault.Invalid, "load", r.load.Name, "use an IANA name such as Europe/Berlin", err)
	}
	r.readers, r.sure = make([]reader, len(r.columns)), true
	for i, c := range r.columns {
		r.sure = r.sure && wholly(c.Type)
		r.readers[i] = readerOf(c.Type, r.load, r.zone)
		r.typed = r.typed || r.readers[i] != nil
	}
	r.plain = len(r.load.Null) == 0 || len(r.load.Null) == 1 && r.load.Null[0] == ""
	for _, text := range r.load.Null {
		r.nulls = append(r.nulls, []byte(text))
	}
	return nil
}

// Read gives the next rows as text. It ends with io.EOF, or with what is wrong with the file.
func (r *Rows) Read(p []byte) (int, error) {
	for len(r.out) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		r.fill()
	}
	n := copy(p, r.out)
	r.out = r.out[n:]
	return n, nil
}

// fill renders a block of rows.
func (r *Rows) fill() {
	out := r.room[:0]
	r.index = r.index[:0]
	if r.encoders != nil && !r.begun {
		r.begun = true
		out = append(out, binaryHeader...)
	}
	for len(out) < blockSize && r.err == nil {
		var err error
		if r.json != nil {
			out, err = r.renderJSON(out)
		} else {
			out, err = r.render(out)
		}
		switch r.err = err; {
		case err == nil:
		case !errors.Is(err, io.EOF):
			r.err = r.explain(err)
		case r.encoders != nil:
			out = append(out, 0xff, 0xff) // what the server takes for the end
		}
	}
	r.out, r.room = out, out
}

// Sure says that the server takes every row that is given: the values of all columns are read here.
func (r *Rows) Sure() bool { return r.sure }

// CopyOptions are those of the COPY that takes the text of the rows.
func (r *Rows) CopyOptions() (options []string) {
	if r.encoders != nil {
		return []string{"FORMAT binary"}
	}
	option := func(name, value string) {
		options = append(options, name+" '"+strings.ReplaceAll(value, "'", "''")+"'")
	}
	options = append(options, "FORMAT csv")
	option("DELIMITER", string(r.csv.delimiter))
	option("ENCODING", "UTF8")
	option("QUOTE", string(r.quoteMark()))
	if r.csv.quote != 0 {
		option("ESCAPE", string(r.csv.escape))
	}
	return options
}

// explain turns what is wrong with a file into a fault that names the file, the line and the column.
func (r *Rows) explain(err error) error {
	if fault.ClassOf(err) != "" {
		return err
	}
	if bad, ok := errors.AsType[*flaw](err); ok {
		object := fmt.Sprintf("%s, line %d", r.object, bad.line)
		if bad.column != "" {
			object += ", column " + bad.column
		}
		return fault.Newf(fault.Invalid, "load", object, bad.hint, bad.reason)
	}
	if errors.Is(err, errNoHeader) {
		return fault.New(fault.Invalid, "load", r.object, "the first line names the columns; an empty partition is a header and no rows", err)
	}
	return fmt.Errorf("read %s: %w", r.object, err)
}
