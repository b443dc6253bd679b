// Package partition knows partition keys: how they are written, ordered and bounded. It is pure.
package partition

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"drawbridge/internal/fault"
)

// By is the grain of a partitioned output.
type By string

// The grains.
const (
	Hour  By = "hour"
	Day   By = "day"
	Week  By = "week"
	Month By = "month"
	Year  By = "year"
	Range By = "range"
	List  By = "list"
	All   By = "all"
)

// Key names one partition, in the one canonical spelling of its grain: 2026-01-31T05 (hour), 2026-01-31
// (day), 2026-W05 (ISO week), 2026-01 (month), 2026 (year), 100000 (range: its lower bound), the name of a value (list), all.
// Keys of one scheme sort as strings only through Scheme.Compare.
type Key string

// AllKey is the only key of an output that is one partition.
const AllKey Key = "all"

// maxKeys bounds what Range lists, so that a mistyped end costs an error and not the memory of the process.
const maxKeys = 100_000

// Scheme is how an output is cut into partitions.
//
// Hours, days, weeks, months and years follow the wall clock of Timezone. Where clocks are put forward, an hour that the
// wall clock skips has no key, and the day is shorter. Where they are put back, the repeated hour is one partition
// of two hours (two partitions would have the same bounds in a timestamp column), and the day is longer.
type Scheme struct {
	By     By     `json:"by"`
	Column string `json:"column,omitempty"` // empty for All
	Size   int64  `json:"size,omitempty"`   // width of a Range partition
	// Timezone is the IANA zone in which hours, days, weeks, months and years begin; empty is UTC.
	Timezone string `json:"timezone,omitempty"`
	// Values are those of a List.
	Values Values `json:"values,omitempty"`
}

// Bounds are the half-open limits [Lower, Upper) of a partition as literals that Postgres reads the same way
// for date, timestamp and timestamptz columns: local wall clock with an explicit offset
// ("2026-01-31 00:00:00+01:00"; the offset is ignored by date and timestamp), or integers for Range.
// Both are empty for All and List.
type Bounds struct {
	Lower string `json:"lower"`
	Upper string `json:"upper"`
}

// Same says that two schemes cut alike: no timezone is UTC, and of two lists no value has two names and no name two values. Either may
// have values that the other lacks.
func (s Scheme) Same(other Scheme) bool {
	if s.By == List && other.By == List {
		return s.Column == other.Column && s.Values.agree(other.Values)
	}
	for _, each := range []*Scheme{&s, &other} {
		if each.Timezone == "" {
			each.Timezone = "UTC"
		}
	}
	return s == other
}

// Text says in words how a scheme cuts.
func (s Scheme) Text() string {
	text := string(s.By)
	if s.By == Range {
		text = fmt.Sprintf("range of %d", s.Size)
	}
	if s.By == List {
		text = "list (" + s.Values.text() + ")"
	}
	if s.Column != "" {
		text += " of " + s.Column
	}
	if s.Timezone != "" {
		text += " in " + s.Timezone
	}
	return text
}

// Validate refuses a scheme that cannot be: an unknown grain or timezone, a missing column, a range without a size.
func (s Scheme) Validate() error {
	_, err := s.grid()
	return err
}

// Parse reads a key in its canonical spelling, and refuses every other one: two spellings of one partition would
// be two partitions to whoever compares keys.
func (s Scheme) Parse(text string) (Key, error) {
	g, err := s.grid()
	if err != nil {
		return "", err
	}
	p, err := g.parse(Key(text))
	if err != nil {
		return "", s.keyFault(text, err)
	}
	return g.key(p), nil
}

// Bounds returns the limits of k. The upper limit of a key is literally the lower limit of the next one.
func (s Scheme) Bounds(k Key) (Bounds, error) {
	g, err := s.grid()
	if err != nil {
		return Bounds{}, err
	}
	p, err := g.parse(k)
	if err != nil {
		return Bounds{}, s.keyFault(string(k), err)
	}
	return g.bounds(p), nil
}

// Next returns the key that begins where k ends. It is Invalid for All and at the end of the calendar.
func (s Scheme) Next(k Key) (Key, error) { return s.neighbour(k, 1) }

// Prev returns the key that ends where k begins. It is Invalid for All and at the start of the calendar.
func (s Scheme) Prev(k Key) (Key, error) { return s.neighbour(k, -1) }

// Of returns the key of the partition in which a moment is, some time back, on the wall clock of the timezone: hours are counted
// back in real time, longer partitions on the clock. It is Invalid for Range and List, which have no time.
func (s Scheme) Of(at time.Time, back time.Duration) (Key, error) {
	g, err := s.grid()
	if err != nil {
		return "", err
	}
	switch g := g.(type) {
	case whole:
		return AllKey, nil
	case calendar:
		p, err := g.of(at, back)
		if err != nil {
			return "", s.keyFault(at.UTC().Format(time.RFC3339), err)
		}
		return g.key(p), nil
	}
	return "", fault.Newf(fault.Invalid, "find partition of", at.UTC().Format(time.RFC3339), "name the partition", "its partitions have no time")
}

// Range lists the keys from one to the other, both included. It is Invalid when they are in the wrong order or
// more than 100,000 keys apart.
func (s Scheme) Range(from, to Key) ([]Key, error) {
	g, err := s.grid()
	if err != nil {
		return nil, err
	}
	p, err := g.parse(from)
	if err != nil {
		return nil, s.keyFault(string(from), err)
	}
	last, err := g.parse(to)
	if err != nil {
		return nil, s.keyFault(string(to), err)
	}
	if g.compare(p, last) > 0 {
		return nil, fault.Newf(fault.Invalid, "list partitions", fmt.Sprintf("%s to %s", from, to),
			"Swap the two keys.", "the first key is after the last")
	}
	keys := []Key{g.key(p)}
	for g.compare(p, last) < 0 {
		if len(keys) == maxKeys {
			return nil, fault.Newf(fault.Invalid, "list partitions", fmt.Sprintf("%s to %s", from, to),
				"Name a shorter range.", fmt.Sprintf("more than %d partitions", maxKeys))
		}
		// p precedes a valid point, so there is a next one.
		p, _ = g.step(p, 1)
		keys = append(keys, g.key(p))
	}
	return keys, nil
}

// Compare orders two valid keys of the scheme by where they begin, and those of a list as they are declared; what is not declared comes
// before.
func (s Scheme) Compare(a, b Key) int {
	if s.By == Range {
		return compareIntegers(string(a), string(b))
	}
	if s.By == List {
		return cmp.Or(cmp.Compare(s.Values.at(a), s.Values.at(b)), strings.Compare(string(a), string(b)))
	}
	// Fixed-width calendar keys sort as text.
	return strings.Compare(string(a), string(b))
}

// Sort orders valid keys of the scheme in place.
func (s Scheme) Sort(keys []Key) { slices.SortFunc(keys, s.Compare) }

// Latest returns the n last distinct keys in order, all of them where there are fewer. keys is not changed.
func (s Scheme) Latest(keys []Key, n int) []Key {
	sorted := slices.Clone(keys)
	s.Sort(sorted)
	sorted = slices.Compact(sorted)
	return sorted[max(0, len(sorted)-max(0, n)):]
}

func (s Scheme) neighbour(k Key, by int) (Key, error) {
	g, err := s.grid()
	if err != nil {
		return "", err
	}
	p, err := g.parse(k)
	if err != nil {
		return "", s.keyFault(string(k), err)
	}
	p, err = g.step(p, by)
	if err != nil {
		return "", s.keyFault(string(k), err)
	}
	return g.key(p), nil
}

func (s Scheme) keyFault(text string, err error) error {
	return fault.New(fault.Invalid, "read partition", shown(text), s.Spelling(), err)
}

// longestKey bounds a key: an integer of 21 characters is the longest that is computed.
const longestKey = 24

// Typed is a key as somebody typed it, for a scheme that is not known yet. What is no key of any scheme is refused and not
// repeated: it may be a secret that was pasted into the wrong place, and keys go into names and histories.
func Typed(text string) (Key, error) {
	if !formed(text) {
		return "", fault.Newf(fault.Invalid, "read partition", shown(text), "write it as history shows it, such as 2026-01-31",
			"no partition is called like that")
	}
	return Key(text), nil
}

// formed says that a text has the form of a key of some scheme.
func formed(text string) bool {
	return text != "" && len(text) <= longestKey && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// shown is a text as a fault repeats it: as it is, where it could be a key.
func shown(text string) string {
	if formed(text) {
		return strconv.Quote(text)
	}
	return fmt.Sprintf("of %d characters", utf8.RuneCountInString(text))
}

// Spelling says how a key of the scheme is written.
func (s Scheme) Spelling() string {
	switch s.By {
	case Hour:
		return "Write the hour as 2026-01-31T05."
	case Day:
		return "Write the day as 2026-01-31."
	case Week:
		return "Write the ISO week as 2026-W05."
	case Month:
		return "Write the month as 2026-01."
	case Year:
		return "Write the year as 2026."
	case Range:
		return fmt.Sprintf("Write the lower bound, a multiple of %d.", s.Size)
	case List:
		return "Write one of " + s.Values.text() + "."
	case All:
		return `The only partition is "all".`
	default:
		return ""
	}
}

// grid does the arithmetic of one scheme on points: the place where a partition begins.
type grid interface {
	parse(k Key) (point, error)
	key(p point) Key
	step(p point, n int) (point, error)
	bounds(p point) Bounds
	compare(a, b point) int
}

func (s Scheme) grid() (grid, error) {
	invalid := func(reason, hint string) error {
		return fault.Newf(fault.Invalid, "read partition scheme", string(s.By), hint, reason)
	}
	if s.By != List && s.Values != "" {
		return nil, invalid("only a list has values", "Leave them out.")
	}
	if s.By == All {
		if s.Column != "" || s.Size != 0 || s.Timezone != "" {
			return nil, invalid("one partition has no column, size or timezone", "Leave them out.")
		}
		return whole{}, nil
	}
	if s.Column == "" {
		return nil, invalid("column is missing", "Name the column that the output is partitioned by.")
	}
	switch s.By {
	case Range:
		if s.Size <= 0 {
			return nil, invalid("range must be 1 or more", "Give the width of a partition: {range: 100000}.")
		}
		if s.Timezone != "" {
			return nil, invalid("integers have no timezone", "Leave timezone out.")
		}
		return integers{size: s.Size}, nil
	case List:
		if s.Size != 0 || s.Timezone != "" {
			return nil, invalid("a list has no size or timezone", "Leave them out.")
		}
		if err := s.Values.valid(); err != nil {
			return nil, invalid(err.Error(), "Give every partition one value and a name of its own: {list: [web, store]} or {list: {web: 1, store: 2}}.")
		}
		return values{s.Values}, nil
	case Hour, Day, Week, Month, Year:
		if s.Size != 0 {
			return nil, invalid("a calendar partition has no size", "Leave it out.")
		}
		loc, err := location(s.Timezone)
		if err != nil {
			return nil, invalid(err.Error(), "Use an IANA name such as Europe/Berlin.")
		}
		return calendar{by: s.By, loc: loc}, nil
	default:
		return nil, invalid(fmt.Sprintf("unknown grain %q", s.By), "Use hour, day, week, month, year, {range: N}, {list: [...]} or all.")
	}
}

// whole is the grid of All: one point.
type whole struct{}

func (whole) parse(k Key) (point, error) {
	if k != AllKey {
		return point{}, errors.New("not a partition of a table that is one partition")
	}
	return point{}, nil
}

func (whole) key(point) Key { return AllKey }

func (whole) step(point, int) (point, error) {
	return point{}, errors.New("a table that is one partition has no other")
}

func (whole) bounds(point) Bounds { return Bounds{} }

func (whole) compare(point, point) int { return 0 }
