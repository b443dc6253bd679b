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
	for i, name := range head {
		if slices.Contains(load.Parts, name) {
			return nil, invalid("call the column otherwise in the file, or do not ask for "+name, fmt.Sprintf("column %d of its header has the name that the file's own name is asked for by", i+1))
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

// Alike refuses a file of a load whose columns are others than those of the first one that was read, in whatever order: a row would
// lack some, or lose some.
func Alike(load pipeline.Load, columns []pipeline.Column, first string, of []pipeline.Column) error {
	has := func(list []pipeline.Column, name string) bool {
		return slices.ContainsFunc(list, func(c pipeline.Column) bool { return c.Name == name })
	}
	reason := ""
	for i, c := range columns {
		if !has(of, c.Name) {
			reason = fmt.Sprintf("column %d of its header is not in that of %s", i+1, first)
			break
		}
	}
	for i, c := range of {
		if reason == "" && !has(columns, c.Name) {
			reason = fmt.Sprintf("its header lacks column %d of that of %s", i+1, first)
		}
	}
	if reason == "" {
		return nil
	}
	return fault.Newf(fault.Invalid, "load", load.File, "let the files of a load have the same columns, in any order, or read them by a load each", reason)
}
