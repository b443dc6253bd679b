package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"drawbridge/internal/partition"
)

// Sources are which partitions the names of files say that there are, and what they leave out.
type Sources struct {
	// Keys are the partitions that have the file of every load, in order.
	Keys []partition.Key
	// Named is false where no load's file is named by partition, so that only the data can say.
	Named bool
	// Called are how the files of such loads are called.
	Called []string
	// Unfit are files that are called as a load's files are and name no partition: nothing ever reads them.
	Unfit Names
	// Incomplete are partitions that have the file of one load and not of another: they cannot be built.
	Incomplete Names
}

// namesShown and nameShown bound what is told of names that others chose.
const (
	namesShown = 5
	nameShown  = 60
)

// Names are a number of names, of which the first are known.
type Names struct {
	Count int
	First []string
}

// NamesOf counts names and keeps the first of them, in order and in a form that is safe to show.
func NamesOf(all []string) Names {
	sorted := slices.Sorted(slices.Values(all))
	n := Names{Count: len(sorted)}
	for _, name := range sorted[:min(namesShown, len(sorted))] {
		n.First = append(n.First, shownName(name))
	}
	return n
}

// shownName is a name as people may see it: short, and without what moves a terminal's cursor or turns a line around.
func shownName(name string) string {
	name = cut(strings.ToValidUTF8(name, string(utf8.RuneError)), nameShown)
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return strconv.QuoteToGraphic(name)
	}
	return name
}

// String names the first, and says how many more there are.
func (n Names) String() string {
	text := strings.Join(n.First, ", ")
	if more := n.Count - len(n.First); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Problems are what the files leave out, as risks: a file that nobody reads is data that nobody sees.
func (s Sources) Problems(scheme partition.Scheme) []Problem {
	var found []Problem
	if s.Unfit.Count > 0 {
		found = append(found, Problem{
			Rule: "unfit-files", Object: "sources",
			Text:   fmt.Sprintf("%s like those of a load, and no partition is in the name, so nothing reads it: %s", called(s.Unfit.Count), s.Unfit),
			Remedy: "rename or remove them. " + s.spelling(scheme),
		})
	}
	if s.Incomplete.Count > 0 {
		found = append(found, Problem{
			Rule: "incomplete-partitions", Object: "sources",
			Text:   fmt.Sprintf("%s the file of one load and not of another, so it cannot be built: %s", lacking(s.Incomplete.Count), s.Incomplete),
			Remedy: "add the files that are missing",
		})
	}
	return found
}

// spelling says how a file has to be called.
func (s Sources) spelling(scheme partition.Scheme) string {
	for _, name := range s.Called {
		if strings.Contains(name, "{") {
			return "Files are called " + strings.Join(s.Called, ", ") + "."
		}
	}
	return scheme.Spelling()
}

func called(n int) string {
	if n == 1 {
		return "1 file is called"
	}
	return fmt.Sprintf("%d files are called", n)
}

func lacking(n int) string {
	if n == 1 {
		return "1 partition has"
	}
	return fmt.Sprintf("%d partitions have", n)
}
