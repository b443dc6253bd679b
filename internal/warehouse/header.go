package warehouse

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// headerMax bounds the header line: a file without line breaks must not be read into memory to find that out.
const headerMax = 1 << 20

var (
	errNoHeader   = errors.New("the file is empty: it has no header line")
	errLongHeader = errors.New("its first line is longer than 1 MiB")
	errBadHeader  = errors.New("its first line is no CSV header")
)

// byteOrderMark is what some programs put before UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// readHeader reads the names of a CSV file's columns. rest is the whole file again, header included, so that the
// server's line numbers are the file's; a UTF-8 byte order mark is gone.
func readHeader(file io.Reader, load pipeline.Load) (names []string, rest io.Reader, err error) {
	r := bufio.NewReaderSize(file, 64<<10)
	if mark, _ := r.Peek(len(byteOrderMark)); string(mark) == byteOrderMark {
		_, _ = r.Discard(len(byteOrderMark))
	}
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > headerMax {
			return nil, nil, errLongHeader
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, nil, err
		}
		if err != nil || bytes.Count(line, []byte{'"'})%2 == 0 { // an open quote holds a line break
			break
		}
	}
	if len(bytes.TrimSpace(line)) == 0 {
		return nil, nil, errNoHeader
	}
	parser := csv.NewReader(bytes.NewReader(line))
	if load.Delimiter != "" {
		parser.Comma, _ = utf8.DecodeRuneInString(load.Delimiter)
	}
	names, err = parser.Read()
	if err != nil {
		return nil, nil, errBadHeader
	}
	return names, io.MultiReader(bytes.NewReader(line), r), nil
}

func headerFault(err error, load pipeline.Load, key partition.Key) error {
	if errors.Is(err, errNoHeader) || errors.Is(err, errLongHeader) || errors.Is(err, errBadHeader) {
		return fault.New(fault.Invalid, "load", fileOf(load, key), "the first line names the columns; an empty partition is a header and no rows", err)
	}
	return fmt.Errorf("read %s: %w", fileOf(load, key), err)
}

// stageColumns gives every column of the file its type: the declared one, or text.
func stageColumns(load pipeline.Load, key partition.Key, head []string) ([]pipeline.Column, error) {
	columns := make([]pipeline.Column, len(head))
	seen := make(map[string]bool, len(head))
	for i, name := range head {
		switch {
		case name == "" || len(name) > 63 || !utf8.ValidString(name):
			return nil, fault.Newf(fault.Invalid, "load", fileOf(load, key), "name every column in the first line, in at most 63 bytes",
				fmt.Sprintf("column %d of the header has no usable name", i+1))
		case seen[name]:
			return nil, fault.Newf(fault.Invalid, "load", fileOf(load, key), "name each column once", "its header names column "+name+" twice")
		}
		seen[name] = true
		columns[i] = pipeline.Column{Name: name, Type: "text"}
	}
	var missing []string
	for _, c := range load.Columns {
		at := slices.Index(head, c.Name)
		if at < 0 {
			missing = append(missing, c.Name)
			continue
		}
		columns[at].Type = c.Type
	}
	if len(missing) > 0 {
		return nil, fault.Newf(fault.Invalid, "load", fileOf(load, key), "add the column to the file, or take it out of the load's columns",
			"its header lacks "+strings.Join(missing, ", ")+"; it has "+strings.Join(head, ", "))
	}
	return columns, nil
}

// ReadHeader reads the names of the columns of a load's file; validate and plan know by it what the SQL may select.
func ReadHeader(file io.Reader, load pipeline.Load, key partition.Key) ([]string, error) {
	head, _, err := readHeader(file, load)
	if err != nil {
		return nil, headerFault(err, load, key)
	}
	return head, nil
}
