// Package window is the pure rule of when something may work: on which days, between which times, by the clock of which place. It has
// no clock of its own.
package window

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/fault"
)

// Window is a span of time that comes again every week.
type Window struct {
	days     [7]bool // by time.Weekday: on which it begins
	from, to int     // minutes of the day; to <= from ends on the day after
	zone     string
	text     string
}

// Example is a window as people write it.
const Example = "mon-fri 22:00-06:00 Europe/Berlin"

const (
	dayMinutes  = 24 * 60
	weekMinutes = 7 * dayMinutes
)

// dayNames are as time.Weekday counts them.
func dayNames() []string { return []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} }

// Parse reads [DAYS ]HH:MM-HH:MM[ ZONE]. Without days it is every day, without a zone UTC. One that ends before it begins ends on the
// day after; its days are those on which it begins. Whether a zone is known is not looked at: Load does.
func Parse(text string) (Window, error) {
	refuse := func(reason string) (Window, error) {
		return Window{}, fault.Newf(fault.Invalid, "read window", text, "write it like "+Example, reason)
	}
	w := Window{days: [7]bool{true, true, true, true, true, true, true}, zone: "UTC", text: strings.Join(strings.Fields(text), " ")}
	words := strings.Fields(text)
	if len(words) > 0 && !strings.Contains(words[0], ":") {
		days, ok := parseDays(words[0])
		if !ok {
			return refuse("its days are not like mon-fri, or sat,sun")
		}
		w.days, words = days, words[1:]
	}
	if len(words) == 0 || len(words) > 2 {
		return refuse("it is not days, times and a zone")
	}
	from, to, ok := strings.Cut(words[0], "-")
	var fromOK, toOK bool
	w.from, fromOK = minutes(from)
	w.to, toOK = minutes(to)
	if !ok || !fromOK || !toOK || w.from == dayMinutes {
		return refuse("its times are not like 22:00-06:00")
	}
	if w.from == w.to {
		return refuse("it begins when it ends; a whole day is 00:00-24:00")
	}
	if len(words) == 2 {
		w.zone = words[1]
	}
	return w, nil
}

func parseDays(text string) (days [7]bool, ok bool) {
	for part := range strings.SplitSeq(strings.ToLower(text), ",") {
		first, last, isRange := strings.Cut(part, "-")
		if !isRange {
			last = first
		}
		from, to := slices.Index(dayNames(), first), slices.Index(dayNames(), last)
		if from < 0 || to < 0 {
			return days, false
		}
		for d := from; ; d = (d + 1) % 7 {
			days[d] = true
			if d == to {
				break
			}
		}
	}
	return days, true
}

// minutes reads HH:MM, 24:00 included.
func minutes(text string) (int, bool) {
	if text == "24:00" {
		return dayMinutes, true
	}
	at, err := time.Parse("15:04", text)
	return at.Hour()*60 + at.Minute(), err == nil
}

func (w Window) String() string { return w.text }

// length is how long it is open, in minutes.
func (w Window) length() int {
	if w.to > w.from {
		return w.to - w.from
	}
	return w.to + dayMinutes - w.from
}

// ParseAll reads windows, any of which may be open.
func ParseAll(texts []string) ([]Window, error) {
	all := make([]Window, len(texts))
	for i, text := range texts {
		var err error
		if all[i], err = Parse(text); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// List is windows in a row, as people read them.
func List(all []Window) string {
	texts := make([]string, len(all))
	for i, w := range all {
		texts[i] = w.text
	}
	return strings.Join(texts, ", or ")
}

// Longest is how long some window is open without a break; 0: for ever. Windows of different zones are not joined.
func Longest(all []Window) time.Duration {
	longest := 0
	zones := map[string]*[weekMinutes]bool{}
	for _, w := range all {
		week := zones[w.zone]
		if week == nil {
			week = &[weekMinutes]bool{}
			zones[w.zone] = week
		}
		for d, on := range w.days {
			for m := 0; on && m < w.length(); m++ {
				week[(d*dayMinutes+w.from+m)%weekMinutes] = true
			}
		}
	}
	for _, week := range zones {
		run := 0
		for m := range 2 * weekMinutes { // the week after goes on with it
			if run++; !week[m%weekMinutes] {
				run = 0
			}
			longest = max(longest, run)
		}
	}
	if longest >= weekMinutes {
		return 0
	}
	return time.Duration(longest) * time.Minute
}

// Load holds a window to a place whose clock is known.
func (w Window) Load() (*time.Location, error) {
	zone, err := time.LoadLocation(w.zone)
	if err != nil || w.zone == "Local" {
		return nil, fault.Newf(fault.Invalid, "read window", w.text, "name a zone like Europe/Berlin", fmt.Sprintf("the zone %s is not known", w.zone))
	}
	return zone, nil
}

// Opens says whether any window is open; if not, when the next one opens. Where there is none nothing is closed.
func Opens(all []Window, now time.Time) (open bool, next time.Time, err error) {
	if len(all) == 0 {
		return true, time.Time{}, nil
	}
	for _, w := range all {
		zone, err := w.Load()
		if err != nil {
			return false, time.Time{}, err
		}
		here := now.In(zone)
		for off := -1; off <= 7; off++ {
			day := time.Date(here.Year(), here.Month(), here.Day()+off, 0, 0, 0, 0, zone)
			if !w.days[day.Weekday()] {
				continue
			}
			begins := time.Date(day.Year(), day.Month(), day.Day(), 0, w.from, 0, 0, zone)
			ends := time.Date(day.Year(), day.Month(), day.Day(), 0, w.from+w.length(), 0, 0, zone)
			switch {
			case !begins.After(now) && now.Before(ends):
				return true, time.Time{}, nil
			case begins.After(now) && (next.IsZero() || begins.Before(next)):
				next = begins
			}
		}
	}
	return false, next, nil
}

// Why says why nothing is to be done now, and until when; nothing: a window is open. What cannot be told stops.
func Why(of string, all []Window, now time.Time) (why string, next time.Time) {
	open, next, err := Opens(all, now)
	switch {
	case err != nil:
		return fmt.Sprintf("%s cannot be told: %s", of, cmp.Or(fault.HintOf(err), err.Error())), time.Time{}
	case open:
		return "", time.Time{}
	}
	return fmt.Sprintf("%s is closed (%s): it opens %s", of, List(all), next.Format("Mon 2006-01-02 15:04 MST")), next
}
