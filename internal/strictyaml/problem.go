package strictyaml

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/fault"
)

// Problem is one thing that the author of a file has to mend.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"` // from 1; 0 where the file itself is missing
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"` // the offending key: outputs[0].checks[1].unique
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Position reads file:line:column, as editors link it.
func (p Problem) Position() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Text is what is wrong, and with which key.
func (p Problem) Text() string {
	if p.Path == "" {
		return p.Message
	}
	return p.Path + ": " + p.Message
}

// String is the problem in one line, with its hint.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Position() + ": " + p.Text())
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Problems is an error that holds everything found, in the order of files and lines.
type Problems []Problem //nolint:errname // a list of problems, and read as one

// Error prints one problem per line.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// ProblemsOf returns the problems in err's chain.
func ProblemsOf(err error) (Problems, bool) { return errors.AsType[Problems](err) }

// Place is where a value or a key stands.
type Place struct {
	File         string
	Line, Column int
	Path         string
}

// Findings collects problems while files are read.
type Findings struct{ problems Problems }

// Add records a problem. The hint says what to do about it, and may be empty.
func (f *Findings) Add(at Place, message, hint string) {
	f.problems = append(f.problems, Problem{
		File: at.File, Line: at.Line, Column: at.Column, Path: at.Path, Message: message, Hint: hint,
	})
}

// Err returns nil, or all problems as a fault.Invalid; object names what was read.
func (f *Findings) Err(object string) error {
	if len(f.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(f.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return fault.New(fault.Invalid, "read", object, "Mend the lines that are named, then read it again.", f.problems)
}

// DidYouMean proposes the nearest valid name, or lists all of them where none is near.
func DidYouMean(name string, valid []string) string {
	if near := Nearest(name, valid); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	if len(valid) == 0 {
		return ""
	}
	return "use " + orList(valid)
}

func orList(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// maxTypo is the longest name worth comparing, in bytes.
const maxTypo = 100

// Nearest returns the valid name that is at most a third of its letters away, or "".
func Nearest(name string, valid []string) string {
	if len(name) > maxTypo {
		return ""
	}
	best, bestDistance := "", 0
	for _, v := range valid {
		d := distance(strings.ToLower(name), v)
		if d <= max(1, len(v)/3) && (best == "" || d < bestDistance) {
			best, bestDistance = v, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with their neighbour to turn a into b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(replace, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
