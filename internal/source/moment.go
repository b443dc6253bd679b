package source

import (
	"strconv"
	"strings"
	"time"
)

// want is how much of a moment a column keeps.
type want int

const (
	dateOnly  want = iota // a day
	localTime             // a day and a time of it, in no zone
	instant               // a point in time
)

// moments reads days and times: ISO 8601, or with the day first or the month first where the load says so. A time that the column
// would not keep is refused, and so is one without an offset that its zone does not have or has twice.
type moments struct {
	typ    string
	dates  string // "", dmy, mdy
	want   want
	digits int            // of a second
	zone   *time.Location // of an instant that is written without an offset
}

// moment is one that has been read.
type moment struct {
	year, month, day     int
	hour, minute, second int
	nano                 string // digits of the second
	timed, offset        bool
	before               bool // our era, as the server writes such years
	rest                 int  // where the offset begins in the text
	plain                bool
}

func (m moments) read(dst, text []byte) ([]byte, string) {
	if s := trimmed(text); string(s) == "infinity" || string(s) == "-infinity" { // as the server writes it
		return s, ""
	}
	at, seconds, why := m.moment(text)
	switch {
	case why != "":
		return nil, why
	case m.want == instant && !at.offset:
		at.timed = true // of a day it is the beginning
		dst = append(at.appendISO(dst[:0]), formatOffset(seconds)...)
		if at.before {
			dst = append(dst, beforeOurEra...)
		}
		return dst, ""
	case at.plain:
		return trimmed(text), ""
	}
	return append(at.appendISO(dst[:0]), trimmed(text)[at.rest:]...), ""
}

// moment reads a text, and how many seconds its time is ahead of UTC.
func (m moments) moment(text []byte) (at moment, seconds int, why string) {
	s := string(trimmed(text))
	at, ok := m.parse(s)
	switch {
	case !ok:
		return at, 0, m.none(s)
	case m.want == dateOnly && at.timed:
		return at, 0, "the value has a time, which " + m.typ + " does not keep"
	case m.want == localTime && at.offset:
		return at, 0, "the value has an offset from UTC, which " + m.typ + " does not keep"
	case len(at.nano) > m.digits && !zeros(at.nano[m.digits:]):
		return at, 0, "the value has more digits of a second than " + m.typ + " keeps: it would be rounded"
	case m.want != instant:
		return at, 0, ""
	case at.offset:
		return at, offsetSeconds(s[at.rest:]), ""
	}
	seconds, why = m.offset(at)
	return at, seconds, why
}

// none says what a text that is no moment looks like.
func (m moments) none(s string) string {
	if m.dates == "" {
		for _, order := range []string{"dmy", "mdy"} {
			if _, ok := (moments{dates: order}).parse(s); ok {
				return "the value is no " + m.typ + " as ISO 8601 writes it, such as " + m.example() +
					"; where the day stands first, say dates: dmy at the load, where the month does, dates: mdy"
			}
		}
	}
	return "the value is no " + m.typ + ": write a date or time as ISO 8601 does, such as " + m.example()
}

func (m moments) example() string {
	switch m.want {
	case dateOnly:
		return "2026-01-31"
	case localTime:
		return "2026-01-31 23:59:59"
	}
	return "2026-01-31 23:59:59+00:00"
}

// offset is that of an instant's zone at a time that is written without one, in seconds.
func (m moments) offset(at moment) (seconds int, why string) {
	if m.zone == nil || m.zone == time.UTC {
		return 0, ""
	}
	wall := time.Date(at.astronomical(), time.Month(at.month), at.day, at.hour, at.minute, at.second, 0, time.UTC)
	// Whatever the zone's offset is at that time, it is one of those that it has a day before and a day after.
	var found []int
	for _, near := range []time.Duration{-26 * time.Hour, 26 * time.Hour} {
		_, seconds := wall.Add(near).In(m.zone).Zone()
		if _, own := wall.Add(-time.Duration(seconds) * time.Second).In(m.zone).Zone(); own == seconds && (len(found) == 0 || found[0] != seconds) {
			found = append(found, seconds)
		}
	}
	switch len(found) {
	case 0:
		return 0, "there is no such time in " + m.zone.String() + ": the clocks skip it"
	case 2:
		return 0, "there are two such times in " + m.zone.String() + ": the clocks are put back; write the offset from UTC"
	}
	return found[0], ""
}

func formatOffset(seconds int) string {
	if seconds == 0 {
		return "+00"
	}
	sign := "+"
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	text := sign + two(seconds/3600) + ":" + two(seconds/60%60)
	if seconds%60 != 0 {
		text += ":" + two(seconds%60)
	}
	return text
}

func two(n int) string {
	if n < 10 {
		return "0" + strconv.Itoa(n)
	}
	return strconv.Itoa(n)
}

func zeros(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}

// appendISO writes all of a moment but its offset.
func (m moment) appendISO(dst []byte) []byte {
	for _, pad := range []int{1000, 100, 10} {
		if m.year < pad {
			dst = append(dst, '0')
		}
	}
	dst = strconv.AppendInt(dst, int64(m.year), 10)
	dst = append(append(append(append(dst, '-'), two(m.month)...), '-'), two(m.day)...)
	if !m.timed {
		return dst
	}
	dst = append(append(append(append(dst, ' '), two(m.hour)...), ':'), two(m.minute)...)
	dst = append(append(dst, ':'), two(m.second)...)
	if m.nano != "" {
		dst = append(append(dst, '.'), m.nano...)
	}
	return dst
}

// parse reads a day, and a time and an offset where they stand there.
func (m moments) parse(s string) (at moment, ok bool) {
	s, at.before = strings.CutSuffix(s, beforeOurEra)
	rest, ok := m.date(s, &at)
	if !ok || !at.real() || at.before && !at.plain {
		return at, false
	}
	at.rest = len(s) - len(rest)
	if rest == "" {
		return at, true
	}
	if rest[0] != ' ' && rest[0] != 'T' && rest[0] != 't' {
		return at, false
	}
	if rest, ok = parseClock(rest[1:], &at); !ok {
		return at, false
	}
	at.timed, at.rest = true, len(s)-len(rest)
	if len(rest) > 1 && rest[0] == ' ' {
		rest = rest[1:]
	}
	if rest == "" {
		return at, true
	}
	at.offset = true
	return at, isOffset(rest)
}

// date reads a day, in the order of the load or as ISO 8601 has it.
func (m moments) date(s string, at *moment) (rest string, ok bool) {
	if w := strings.IndexByte(s, '-'); w >= 4 && w <= 6 && len(s) >= w+6 && s[w+3] == '-' {
		if at.year, ok = number(s[:w]); !ok {
			return s, false
		}
		if at.month, ok = number(s[w+1 : w+3]); !ok {
			return s, false
		}
		at.day, ok = number(s[w+4 : w+6])
		at.plain = true
		return s[w+6:], ok
	}
	if len(s) == 8 || len(s) > 8 && (s[8] == 'T' || s[8] == 't') {
		if n, ok := number(s[:8]); ok {
			at.year, at.month, at.day = n/10000, n/100%100, n%100
			return s[8:], true
		}
	}
	if m.dates == "" {
		return s, false
	}
	var parts [3]int
	var widths [3]int
	var mark byte
	for i := range parts {
		width := 0
		for width < len(s) && width < 4 && s[width] >= '0' && s[width] <= '9' {
			width++
		}
		if parts[i], ok = number(s[:width]); !ok {
			return s, false
		}
		widths[i], s = width, s[width:]
		if i == 2 {
			break
		}
		if s == "" || s[0] != '.' && s[0] != '/' && s[0] != '-' || mark != 0 && s[0] != mark {
			return s, false
		}
		mark, s = s[0], s[1:]
	}
	if widths[0] > 2 || widths[1] > 2 || widths[2] != 2 && widths[2] != 4 {
		return s, false
	}
	at.day, at.month, at.year = parts[0], parts[1], parts[2]
	if m.dates == "mdy" {
		at.day, at.month = at.month, at.day
	}
	if widths[2] == 2 { // as the server reads two digits
		if at.year += 1900; at.year < 1970 {
			at.year += 100
		}
	}
	return s, true
}

// parseClock reads hours and minutes, and seconds with their digits where they stand there.
func parseClock(s string, at *moment) (rest string, ok bool) {
	if len(s) < 5 || s[2] != ':' {
		return s, false
	}
	if at.hour, ok = number(s[:2]); !ok {
		return s, false
	}
	if at.minute, ok = number(s[3:5]); !ok {
		return s, false
	}
	s = s[5:]
	if len(s) >= 3 && s[0] == ':' {
		if at.second, ok = number(s[1:3]); !ok {
			return s, false
		}
		s = s[3:]
		if len(s) > 1 && s[0] == '.' {
			width := 1
			for width < len(s) && s[width] >= '0' && s[width] <= '9' {
				width++
			}
			if width == 1 {
				return s, false
			}
			at.nano, s = s[1:width], s[width:]
		}
	}
	// A minute of 61 seconds and the hour 24 are read by the server as the moment that follows.
	return s, at.hour < 24 && at.minute < 60 && at.second < 60
}

// isOffset says that a text is Z, or hours and minutes from UTC.
func isOffset(s string) bool {
	if s == "Z" || s == "z" {
		return true
	}
	if s[0] != '+' && s[0] != '-' {
		return false
	}
	digits := s[1:]
	if len(digits) == 5 && digits[2] == ':' {
		digits = digits[:2] + digits[3:]
	}
	if len(digits) == 8 && digits[2] == ':' && digits[5] == ':' {
		digits = digits[:2] + digits[3:5] + digits[6:]
	}
	n, ok := number(digits)
	switch len(digits) {
	case 2:
		return ok && n <= 15
	case 4:
		return ok && n/100 <= 15 && n%100 < 60
	case 6:
		return ok && n/10000 <= 15 && n/100%100 < 60 && n%100 < 60
	}
	return false
}

// number reads digits, and nothing else.
func number(s string) (n int, ok bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, s != ""
}

// beforeOurEra is how the server writes that a year is.
const beforeOurEra = " BC"

// astronomical is the year, where 0 is the one before the year 1.
func (m moment) astronomical() int {
	if m.before {
		return 1 - m.year
	}
	return m.year
}

// The years that the server has, of all types.
const (
	firstYear = -4711 // astronomical
	lastYear  = 294_275
)

// real says that there is such a day.
func (m moment) real() bool {
	year := m.astronomical()
	if m.year < 1 || year < firstYear || year > lastYear || m.month < 1 || m.month > 12 || m.day < 1 {
		return false
	}
	return m.day <= 28 || m.day <= time.Date(year, time.Month(m.month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// clock reads a time of the day.
func clock(digits int) reader {
	return func(_, text []byte) ([]byte, string) {
		var at moment
		rest, ok := parseClock(string(trimmed(text)), &at)
		switch {
		case !ok || rest != "":
			return nil, "the value is no time of the day, such as 23:59:59"
		case len(at.nano) > digits && !zeros(at.nano[digits:]):
			return nil, "the value has more digits of a second than the column keeps: it would be rounded"
		}
		return text, ""
	}
}
