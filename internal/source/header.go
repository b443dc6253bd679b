package source

import (
	"cmp"
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

var errNoHeader = errors.New("the file is empty: it has no header line")

// byteOrderMark is what some programs put before UTF-8.
const byteOrderMark = "\xef\xbb\xbf"

// Header reads the names of the columns of a load's file.
func Header(file io.Reader, load pipeline.Load, key partition.Key) ([]string, error) {
	r := &Rows{load: load, object: load.Path(key)}
	if load.NoHeader || load.Format == pipeline.JSONLines {
		return load.Names(), nil
	}
	if err := r.open(file); err != nil {
		return nil, r.explain(err)
	}
	names, err := r.header()
	if err != nil {
		return nil, r.explain(err)
	}
	return names, nil
}

// Columns gives every column of the file its type: the declared one, or text. What is wrong with a header is said by
// positions, counts and declared names: a file without a header has a row in its place.
func Columns(load pipeline.Load, object string, head []string) ([]pipeline.Column, error) {
	invalid := func(hint, reason string) error {
		for _, usual := range []string{";", "\t", "|", ","} { // what one column holds may be all of them
			if len(head) == 1 && usual != cmp.Or(load.Delimiter, ",") && strings.Contains(head[0], usual) {
				hint = fmt.Sprintf("is the file separated by %s? Then say so at the load: delimiter: %q", strings.Replace(usual, "\t", "a tab", 1), usual)
				break
			}
		}
		return fault.Newf(fault.Invalid, "load", object, hint, reason)
	}
	declared := func(name string) bool {
		return slices.ContainsFunc(load.Columns, func(c pipeline.Column) bool { return c.Name == name })
	}
	columns := make([]pipeline.Column, len(head))
	seen := make(map[string]int, len(head))
	known := 0
	for i, name := range head {
		if name == "" || len(name) > 63 || !utf8.ValidString(name) {
			return nil, invalid("name every column in the first line, in at most 63 bytes", fmt.Sprintf("column %d of the header has no usable name", i+1))
		}
		if first, twice := seen[name]; twice {
			reason := fmt.Sprintf("columns %d and %d of its header have the same name", first+1, i+1)
			if declared(name) {
				reason = fmt.Sprintf("its header names column %s twice", name)
			}
			return nil, invalid("name each column once; is the first line a header?", reason)
		}
		seen[name] = i
		columns[i] = pipeline.Column{Name: name, Type: "text"}
		if declared(name) {
			known++
		}
	}
	var missing []string
	for _, c := range load.Columns {
		at, ok := seen[c.Name]
		if !ok {
			missing = append(missing, c.Name)
			continue
		}
		columns[at].Type = c.Type
	}
	if len(missing) > 0 {
		return nil, invalid("is the first line a header? Add the column to the file, or take it out of the load's columns",
			fmt.Sprintf("its header lacks %s; columns in it: %d, declared ones among them: %d", strings.Join(missing, ", "), len(head), known))
	}
	return columns, nil
}
