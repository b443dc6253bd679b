package pipeline

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
)

// Pattern is how the files that a load reads are called, below source_files. It is read from the load's file:
//
//	@partition      the key of the partition
//	{date:%Y%m%d}   a date or a part of one, which says the partition
//	{store}         text that the rows have as "@file.store": at least one character
//	* ? [a-z]       any characters, one character, one of some
//
// None of them stands for a slash, and the last two not for a dot at the beginning of a name either.
type Pattern struct {
	text     string
	segments []segment
	loose    []segment // with * where the partition is said
}

// segment is what one folder, or the file, is called.
type segment []token

// token is a piece of a segment: a text, or what stands for texts.
type token struct {
	kind kind
	text string // as it is written; of a literal: the text
	name string // of a part: its name; of digits: the letter that says of what
	date int    // which {date:…} of the segment it belongs to, counted from 1; 0: none
}

type kind int

const (
	literal kind = iota
	anyText      // *
	anyOne       // ?
	class        // [a-z]
	part         // {store}
	key          // @partition
	digits       // %Y of a date
)

// The letters of dates, each with the number of its digits.
func dateDigits(letter string) int {
	switch letter {
	case "Y", "G":
		return 4
	case "m", "d", "H", "V":
		return 2
	case "j":
		return 3
	}
	return 0
}

var (
	fileParamPattern = regexp.MustCompile(`^@[A-Za-z_]*`)
	partPattern      = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,39}$`)
)

// ParsePattern reads the file of a load. What it refuses is a fault.Invalid.
func ParsePattern(file string) (Pattern, error) {
	p := Pattern{text: path.Clean(file)}
	for text := range strings.SplitSeq(p.text, "/") {
		s, err := parseSegment(text)
		if err != nil {
			return Pattern{}, err
		}
		p.segments, p.loose = append(p.segments, s), append(p.loose, s.loose())
	}
	return p, p.dated()
}

func (s segment) loose() segment {
	var out segment
	for _, t := range s {
		switch {
		case t.kind != key && t.date == 0:
			out = append(out, t)
		case len(out) == 0 || out[len(out)-1].kind != anyText:
			out = append(out, token{kind: anyText})
		}
	}
	return out
}

func unfitPattern(text, hint, reason string) error {
	return fault.Newf(fault.Invalid, "read file of load", text, hint, reason)
}

func parseSegment(text string) (segment, error) {
	var s segment
	dates := 0
	for rest := text; rest != ""; {
		t := token{kind: literal}
		switch rest[0] {
		case '@':
			word := fileParamPattern.FindString(rest)
			t = token{kind: key, text: filePlaceholder}
			if word == filePlaceholder+"_" { // and no letter after it: a name's end, and not another placeholder
				word = filePlaceholder
			}
			if word != filePlaceholder {
				hint := "a file name takes @partition only"
				if strings.HasPrefix(word, filePlaceholder) {
					hint += "; where an underscore follows it, write @partition[_]"
				}
				return nil, unfitPattern(text, hint, "unknown placeholder "+word)
			}
		case '{':
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return nil, unfitPattern(text, "write {name}, or [{] where the character itself is meant", "the { is not closed before the next slash")
			}
			inner := rest[1:end]
			if format, ok := strings.CutPrefix(inner, "date:"); ok {
				dates++
				date, err := parseDate(format, dates)
				if err != nil {
					return nil, err
				}
				s, rest = append(s, date...), rest[end+1:]
				continue
			}
			if inner == "date" {
				return nil, unfitPattern(text, "write {date:%Y-%m-%d}, with what the names have", "{date} does not say how the date is written")
			}
			if !partPattern.MatchString(inner) {
				return nil, unfitPattern(text, "write {name} in lower-case letters, digits and underscores, or [{] where the character itself is meant", "{"+inner+"} is no name")
			}
			t = token{kind: part, text: rest[:end+1], name: inner}
		case '}':
			return nil, unfitPattern(text, "write [}] where the character itself is meant", "the } closes nothing")
		case '*':
			if strings.HasPrefix(rest, "**") {
				return nil, unfitPattern(text, "write one * for each folder: */*/name", "** would look through folders of any depth")
			}
			t = token{kind: anyText, text: "*"}
		case '?':
			t = token{kind: anyOne, text: "?"}
		case '[':
			end := strings.IndexByte(rest, ']')
			if end < 0 {
				return nil, unfitPattern(text, "write [[] where the character itself is meant", "the [ is not closed before the next slash")
			}
			t = token{kind: class, text: rest[:end+1]}
			if strings.HasPrefix(rest, "[!") {
				return nil, unfitPattern(text, "write [^ for every character but those", "[! is no class of characters")
			}
			if _, err := path.Match(t.text, "a"); err != nil {
				return nil, unfitPattern(text, "write it as [abc], [a-z] or [^a-z]", t.text+" is no class of characters")
			}
		default:
			end := strings.IndexAny(rest, "@{}*?[")
			if end < 0 {
				end = len(rest)
			}
			t.text = rest[:end]
		}
		if before := len(s) - 1; before >= 0 && openEnded(s[before], t) {
			return nil, unfitPattern(text, "put a character between them, such as _", fmt.Sprintf("nothing says where %s ends and %s begins", s[before].text, t.text))
		}
		s, rest = append(s, t), rest[len(t.text):]
	}
	return s, nil
}

// openEnded says that two neighbours are both of any length, and one of them has a meaning.
func openEnded(a, b token) bool {
	long := func(t token) bool { return t.kind == anyText || t.kind == part || t.kind == key }
	return long(a) && long(b) && (a.kind != anyText || b.kind != anyText)
}

// parseDate reads what stands after {date:.
func parseDate(format string, number int) ([]token, error) {
	written := "{date:" + format + "}"
	var s []token
	for rest := format; rest != ""; {
		if rest[0] != '%' {
			end := strings.IndexByte(rest, '%')
			if end < 0 {
				end = len(rest)
			}
			if strings.ContainsAny(rest[:end], "*?[@{") {
				return nil, unfitPattern(written, "write it outside of the braces", "only % and plain text may stand in a date")
			}
			s, rest = append(s, token{kind: literal, text: rest[:end], date: number}), rest[end:]
			continue
		}
		letter := rest[1:min(2, len(rest))]
		if letter == "%" {
			s, rest = append(s, token{kind: literal, text: "%", date: number}), rest[2:]
			continue
		}
		if dateDigits(letter) == 0 {
			return nil, unfitPattern(written, dateHint(letter), "%"+letter+" is not read in a date")
		}
		s, rest = append(s, token{kind: digits, text: "%" + letter, name: letter, date: number}), rest[2:]
	}
	if !slices.ContainsFunc(s, func(t token) bool { return t.kind == digits }) {
		return nil, unfitPattern(written, "write for example {date:%Y%m%d}", "the date has no year")
	}
	return s, nil
}

// dateHint says what to write in place of a letter of other programs.
func dateHint(letter string) string {
	switch letter {
	case "y", "C":
		return "two digits of a year do not say which century: the files have to be called by %Y"
	case "U", "W", "u", "w":
		return "weeks are ISO weeks: write %G-W%V"
	case "M", "S", "f", "s":
		return "a partition is at least an hour: write ?? outside of the braces where other digits stand"
	case "I", "p", "l", "k":
		return "write %H, of 24 hours"
	case "b", "B", "h", "a", "A":
		return "names of months and days differ between languages: the files have to be called by %m and %d"
	case "e", "-":
		return "a day of one or two digits does not say where it ends: the files have to be called by %d"
	case "F":
		return "write %Y-%m-%d"
	}
	return "use %Y, %m, %d, %H, %j (day of the year), %G and %V (ISO year and week)"
}

// dated refuses a date that lacks what its parts are parts of.
func (p Pattern) dated() error {
	has := p.dateLetters()
	for _, need := range []struct{ letter, of, why string }{
		{"m", "Y", "a month without its year"},
		{"d", "m", "a day without its month"},
		{"j", "Y", "a day without its year"},
		{"V", "G", "an ISO week without its year, %G"},
		{"G", "V", "an ISO year without its week, %V"},
	} {
		if has[need.letter] && !has[need.of] {
			return unfitPattern(p.text, "add %"+need.of, "%"+need.letter+" is "+need.why)
		}
	}
	if has["H"] && !has["d"] && !has["j"] {
		return unfitPattern(p.text, "add %Y, %m and %d", "%H is an hour without its day")
	}
	return nil
}

func (p Pattern) dateLetters() map[string]bool {
	has := map[string]bool{}
	for t := range p.tokens() {
		if t.kind == digits {
			has[t.name] = true
		}
	}
	return has
}

func (p Pattern) tokens() func(yield func(token) bool) {
	return func(yield func(token) bool) {
		for _, s := range p.segments {
			for _, t := range s {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// String is the pattern as it is written.
func (p Pattern) String() string { return p.text }

// Partitioned says whether the name of a file says its partition.
func (p Pattern) Partitioned() bool {
	for t := range p.tokens() {
		if t.kind == key || t.kind == digits {
			return true
		}
	}
	return false
}

// placeholder is the first of what says the partition, as it is written.
func (p Pattern) placeholder() string {
	for t := range p.tokens() {
		switch t.kind {
		case key:
			return t.text
		case digits:
			return "{date:…}"
		default:
		}
	}
	return ""
}

// lacks says what to write for names to say the partition of a grain; empty where they do.
func (p Pattern) lacks(by partition.By) string {
	has := p.dateLetters()
	for t := range p.tokens() {
		if t.kind == key {
			return ""
		}
	}
	needs := dateNeeds(by)
	if needs == nil {
		return "write @partition"
	}
	day := has["d"] || has["j"]
	for _, letter := range needs {
		if !has[letter] && (!day || letter == "H") {
			return "write for example " + map[partition.By]string{
				partition.Hour: "{date:%Y%m%d%H}", partition.Day: "{date:%Y%m%d}", partition.Week: "{date:%G-W%V}", partition.Month: "{date:%Y%m}", partition.Year: "{date:%Y}",
			}[by]
		}
	}
	return ""
}

// Exact says whether one file alone can be called so.
func (p Pattern) Exact() bool {
	for t := range p.tokens() {
		if t.kind != literal {
			return false
		}
	}
	return true
}

// Parts are the names of what rows get from the names of their files, sorted.
func (p Pattern) Parts() []string {
	var names []string
	for t := range p.tokens() {
		if t.kind == part {
			names = append(names, t.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Depth is how many folders and files a path has that is called so.
func (p Pattern) Depth() int { return len(p.segments) }

// Plain is what the i-th folder, or the file, is called where it can be called so only.
func (p Pattern) Plain(i int) (name string, ok bool) {
	for _, t := range p.segments[i] {
		if t.kind != literal {
			return "", false
		}
		name += t.text
	}
	return name, true
}

// For is how the files of one partition are called, as far as its key says it. It is for looking for them: which partition they
// are of, the whole pattern says.
func (p Pattern) For(k partition.Key) Pattern {
	says := dateOf(k)
	out := Pattern{segments: make([]segment, len(p.segments))}
	texts := make([]string, len(p.segments))
	for i, s := range p.segments {
		for _, t := range s {
			switch {
			case t.kind == key:
				t = token{kind: literal, text: string(k)}
			case t.kind == digits && says[t.name] != "":
				t = token{kind: literal, text: says[t.name]}
			}
			out.segments[i] = append(out.segments[i], t)
			if t.kind == digits {
				texts[i] += "{date:" + t.text + "}"
			} else {
				texts[i] += t.text
			}
		}
	}
	out.text = strings.Join(texts, "/")
	return out
}

// Like says whether the i-th folder, or the file, is called about so: upper and lower case apart, and whatever stands where the
// partition is said.
func (p Pattern) Like(i int, name string) bool { return p.loose[i].places(name, true) != nil }

// Fits says whether the i-th folder, or the file, can be called so.
func (p Pattern) Fits(i int, name string) bool { return p.segments[i].places(name, false) != nil }

// Read reads the path of a file. ok is false where it is not called so, where it can be read in two ways, or where two places of
// it contradict each other.
func (p Pattern) Read(name string) (r Reading, ok bool) {
	names := strings.Split(name, "/")
	if len(names) != len(p.segments) {
		return Reading{}, false
	}
	r = Reading{Values: map[string]string{}, date: map[string]string{}}
	for i, s := range p.segments {
		places := s.places(names[i], false)
		if places == nil || !s.note(names[i], places, &r) {
			return Reading{}, false
		}
	}
	return r, r.complete()
}

// note records what the pieces of a name say.
func (s segment) note(name string, places []place, r *Reading) bool {
	for i, t := range s {
		if t.kind != part && t.kind != key && t.kind != digits {
			continue
		}
		if !places[i].one() || !places[i+1].one() {
			return false
		}
		known, of := r.date, t.name
		switch t.kind {
		case part:
			known = r.Values
		case key:
			of = PartitionParam
		default:
		}
		text := name[places[i].first:places[i+1].first]
		if was, twice := known[of]; twice && was != text {
			return false
		}
		known[of] = text
	}
	return true
}
