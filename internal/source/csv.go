package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// csvReader cuts a file into records by RFC 4180 and by nothing else: what a server or a library would read leniently, and so
// merge, cut or lose without a word, is refused with its line. Memory does not grow with the file.
type csvReader struct {
	source    io.Reader
	delimiter byte
	quote     byte // 0: no character quotes
	escape    byte // makes a quote a character of its field; the quote itself, unless the file says otherwise
	class     [256]byte

	most       int // bytes of a record
	buf        []byte
	start, end int // what of buf is not read yet
	eof        bool
	line       int    // of the record's first byte
	next       int    // line of the record after it
	ends       string // how lines end; empty before the first end
	fields     []field
}

// field is where a field of a record stands in it, quotes included.
type field struct {
	from, to int
	quoted   bool
}

const (
	// firstBuffer is how much of a file is looked at at once.
	firstBuffer = 256 << 10
	// longestRecord bounds a record: a quote that nobody closes must not be read into memory to find that out.
	longestRecord = 64 << 20
)

// What a byte is where no quote is open.
const (
	ordinary byte = iota
	isDelimiter
	isQuote
	isFeed
	isReturn
	isNull
)

func newCSVReader(source io.Reader, delimiter, quote, escape byte) *csvReader {
	r := &csvReader{source: source, delimiter: delimiter, quote: quote, escape: escape, most: longestRecord, buf: make([]byte, firstBuffer), next: 1}
	r.class['\n'], r.class['\r'], r.class[0] = isFeed, isReturn, isNull
	r.class[delimiter] = isDelimiter
	if quote != 0 {
		r.class[quote] = isQuote
	}
	return r
}

// flaw is what is wrong with a record. It holds no text of the file.
type flaw struct {
	line   int
	reason string
	hint   string
	form   bool // where the record ends is not known: nothing that follows can be read
}

func (f *flaw) Error() string { return f.reason }

func (r *csvReader) flaw(line int, hint, reason string) *flaw {
	return &flaw{line: line, reason: reason, hint: hint, form: true}
}

var errMore = errors.New("the record does not end in what has been read")

// record returns the next record without its line end, and where its fields stand in it; both are good until the next call. It
// ends with io.EOF.
func (r *csvReader) record() ([]byte, []field, error) {
	r.line = r.next
	for {
		if r.start == r.end && r.eof {
			return nil, nil, io.EOF
		}
		size, ends, err := r.scan(r.buf[r.start:r.end])
		if errors.Is(err, errMore) {
			if err := r.more(); err != nil {
				return nil, nil, err
			}
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		body := r.buf[r.start : r.start+size]
		r.start += size + len(ends)
		if ends == "" {
			return body, r.fields, nil
		}
		switch r.next++; {
		case r.ends == "":
			r.ends = ends
		case r.ends != ends:
			return nil, nil, r.flaw(r.next-1, "write all line ends alike; most tools that convert text do it",
				fmt.Sprintf("the line ends in %s, the lines before it in %s", ending(ends), ending(r.ends)))
		}
		return body, r.fields, nil
	}
}

func ending(ends string) string {
	if ends == "\r\n" {
		return "a carriage return and a line feed"
	}
	return "a line feed alone"
}

// more reads on. What is not read yet moves to the front, into a larger buffer where it fills this one.
func (r *csvReader) more() error {
	if left := r.end - r.start; r.start > 0 {
		copy(r.buf, r.buf[r.start:r.end])
		r.start, r.end = 0, left
	}
	if r.end == len(r.buf) {
		if len(r.buf) >= r.most {
			return r.tooLong()
		}
		r.buf = append(r.buf, make([]byte, len(r.buf))...)
	}
	n, err := r.source.Read(r.buf[r.end:])
	r.end += n
	if errors.Is(err, io.EOF) {
		r.eof = true
		return nil
	}
	return err
}

func (r *csvReader) tooLong() error {
	const hint = "is the delimiter right, and every quote closed?"
	if line, open := r.open(r.buf[r.start:r.end]); open {
		return r.flaw(line, "close it, or double a quote that is part of a value", "the quote that opens in this line is not closed within "+r.room())
	}
	return r.flaw(r.line, hint, "the line is longer than "+r.room())
}

func (r *csvReader) room() string { return fmt.Sprintf("%d MiB", r.most>>20) }

// open says whether a quote is open at the end of an unfinished record, and in which line it opened.
func (r *csvReader) open(text []byte) (line int, open bool) {
	line = r.line
	for at, opened := 0, 0; at < len(text); at++ {
		switch c := text[at]; {
		case open && c == r.escape && r.escape != r.quote:
			at++
		case r.quote != 0 && c == r.quote:
			if open = !open; open {
				opened = line + bytes.Count(text[:at], []byte{'\n'})
			}
		}
		if at == len(text)-1 && open {
			return opened, true
		}
	}
	return line, false
}

// scan finds the end of the record that begins at text, and its fields. It returns errMore where the end is not there yet.
func (r *csvReader) scan(text []byte) (size int, ends string, err error) {
	r.fields, r.next = r.fields[:0], r.line
	for at := 0; ; at++ {
		from := at
		quoted := at < len(text) && r.quote != 0 && text[at] == r.quote
		if quoted {
			if at, err = r.quotedField(text, at); err != nil {
				return 0, "", err
			}
		} else {
			for at < len(text) && r.class[text[at]] == ordinary {
				at++
			}
		}
		if at == len(text) {
			if !r.eof {
				return 0, "", errMore
			}
			r.fields = append(r.fields, field{from, at, quoted})
			return at, "", nil
		}
		switch r.class[text[at]] {
		case isDelimiter:
			r.fields = append(r.fields, field{from, at, quoted})
			continue
		case isFeed:
			r.fields = append(r.fields, field{from, at, quoted})
			return at, "\n", nil
		case isReturn:
			if at+1 == len(text) && !r.eof {
				return 0, "", errMore
			}
			if at+1 < len(text) && text[at+1] == '\n' {
				r.fields = append(r.fields, field{from, at, quoted})
				return at, "\r\n", nil
			}
			return 0, "", r.flaw(r.next, "end lines with a line feed, or put the value into quotes",
				"a carriage return stands in the line that no line feed follows")
		case isNull:
			return 0, "", r.flaw(r.next, "is it a text file?", "the line holds a byte of value 0")
		}
		return 0, "", r.stray(text, from, at, quoted)
	}
}

// quotedField returns where the field that begins with a quote ends. Lines that it holds are counted.
func (r *csvReader) quotedField(text []byte, at int) (int, error) {
	from := at
	for at++; ; at++ {
		i := -1
		if r.escape == r.quote {
			i = bytes.IndexByte(text[at:], r.quote)
		} else {
			for j := at; j < len(text) && i < 0; j++ {
				switch text[j] {
				case r.escape:
					j++
				case r.quote:
					i = j - at
				}
			}
		}
		if i < 0 {
			if r.eof {
				return 0, r.flaw(r.next, "close it, or double a quote that is part of a value", "the quote that opens in this line is not closed")
			}
			return 0, errMore
		}
		at += i + 1
		if at == len(text) && !r.eof { // the next byte may double it
			return 0, errMore
		}
		if r.escape != r.quote || at == len(text) || text[at] != r.quote {
			r.next += bytes.Count(text[from:at], []byte{'\n'})
			return at, nil
		}
	}
}

// stray says what is wrong with a quote that neither opens a field nor closes one, or with what follows one that does.
func (r *csvReader) stray(text []byte, from, at int, quoted bool) *flaw {
	const wrap = "put the whole value into quotes, and double the quotes in it; where no value is quoted, say quote: none at the load"
	switch {
	case quoted && (text[at] == ' ' || text[at] == '\t'):
		return r.flaw(r.next, "write nothing between a quote and the delimiter", "a blank stands after a quote that closes a value")
	case quoted:
		return r.flaw(r.next, wrap, "text stands after a quote that closes a value")
	case len(bytes.TrimLeft(text[from:at], " \t")) == 0:
		return r.flaw(r.next, "write nothing between the delimiter and a quote", "a blank stands before a quote that opens a value")
	}
	return r.flaw(r.next, wrap, "a quote stands within a value that is not quoted")
}
