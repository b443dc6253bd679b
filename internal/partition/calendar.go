package partition

import (
	"errors"
	"fmt"
	"strconv"
	"time"
	_ "time/tzdata" // the bounds must not depend on whether an image carries zone files
)

// Keys have four-digit years, and so has every upper bound.
const (
	minYear = 1
	maxYear = 9998
)

// calendar is the grid of hours, days, weeks, months and years in one timezone.
type calendar struct {
	by  By
	loc *time.Location
}

// Zone reads the name of an IANA timezone; empty is UTC.
func Zone(name string) (*time.Location, error) { return location(name) }

// location refuses "Local", which would mean another zone on another machine.
func location(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New("timezone Local differs between machines")
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown timezone %q", name)
	}
	return loc, nil
}

func (g calendar) parse(k Key) (point, error) {
	wall, err := g.wall(string(k))
	if err != nil || g.key(point{wall: wall}) != k {
		return point{}, fmt.Errorf("not a key of grain %s", g.by)
	}
	p := point{wall: wall}
	if !g.holds(p) {
		return point{}, errors.New("the year is out of range")
	}
	if g.skipped(p) {
		return point{}, fmt.Errorf("there is no such %s in %s: the clocks skip it", g.by, g.loc)
	}
	return p, nil
}

// wall reads the wall clock at which the key begins, leniently: parse compares the canonical spelling.
func (g calendar) wall(text string) (time.Time, error) {
	if g.by != Week {
		return time.Parse(g.layout(), text)
	}
	if len(text) != len("2026-W05") {
		return time.Time{}, errors.New("not a week")
	}
	year, err := strconv.Atoi(text[:4])
	if err != nil {
		return time.Time{}, err
	}
	week, err := strconv.Atoi(text[6:])
	if err != nil {
		return time.Time{}, err
	}
	return monday(year, week), nil
}

func (g calendar) layout() string {
	switch g.by {
	case Hour:
		return "2006-01-02T15"
	case Month:
		return "2006-01"
	case Year:
		return "2006"
	default:
		return "2006-01-02"
	}
}

func (g calendar) key(p point) Key {
	if g.by == Week {
		year, week := p.wall.ISOWeek()
		return Key(fmt.Sprintf("%04d-W%02d", year, week))
	}
	return Key(p.wall.Format(g.layout()))
}

func (g calendar) holds(p point) bool { return p.wall.Year() >= minYear && p.wall.Year() <= maxYear }

// skipped tells whether the clocks jump over the whole partition.
func (g calendar) skipped(p point) bool { return g.start(p).Equal(g.start(g.after(p, 1))) }

// after moves along the wall clock, over partitions that do not exist too.
func (g calendar) after(p point, n int) point {
	switch g.by {
	case Hour:
		return point{wall: p.wall.Add(time.Duration(n) * time.Hour)}
	case Week:
		return point{wall: p.wall.AddDate(0, 0, 7*n)}
	case Month:
		return point{wall: p.wall.AddDate(0, n, 0)}
	case Year:
		return point{wall: p.wall.AddDate(n, 0, 0)}
	default:
		return point{wall: p.wall.AddDate(0, 0, n)}
	}
}

func (g calendar) step(p point, n int) (point, error) {
	for {
		p = g.after(p, n)
		if !g.holds(p) {
			return point{}, errors.New("its neighbour is out of the calendar")
		}
		if !g.skipped(p) {
			return p, nil
		}
	}
}

// start returns the first instant at which the zone's wall clock shows p or later. time.Date does not promise
// which of two instants it picks where the clocks are put back.
func (g calendar) start(p point) time.Time {
	const widest = 36 * time.Hour // no offset from UTC is this far, so the search begins before the answer
	for t := p.wall.Add(-widest).In(g.loc); ; {
		_, end := t.ZoneBounds()
		if !end.IsZero() && !end.After(t) {
			// Go 1.26 reports an end that is already reached on the last day of leap years after 2037.
			end = t.Add(time.Hour)
		}
		_, offset := t.Zone()
		candidate := p.wall.Add(-time.Duration(offset) * time.Second)
		if candidate.Before(t) {
			return t
		}
		if end.IsZero() || candidate.Before(end) {
			return candidate.In(g.loc)
		}
		t = end
	}
}

// of finds the partition in which a moment is, some time back. Hours are counted back in real time, longer partitions on the wall
// clock: a day before a day of 23 or 25 hours is the day before. One that the clocks skip is the one before it.
func (g calendar) of(at time.Time, back time.Duration) (point, error) {
	if g.by == Hour {
		at, back = at.Add(-back), 0
	}
	at = at.In(g.loc)
	wall := time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC).Add(-back)
	year, month, day := wall.Date()
	switch g.by {
	case Hour:
		wall = wall.Truncate(time.Hour)
	case Week:
		wall = time.Date(year, month, day-(int(wall.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
	case Month:
		wall = time.Date(year, month, 1, 0, 0, 0, 0, time.UTC)
	case Year:
		wall = time.Date(year, time.January, 1, 0, 0, 0, 0, time.UTC)
	default:
		wall = time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	}
	p := point{wall: wall}
	switch {
	case !g.holds(p):
		return point{}, errors.New("the year is out of range")
	case g.skipped(p):
		return g.step(p, -1)
	}
	return p, nil
}

func (g calendar) bounds(p point) Bounds {
	return Bounds{Lower: literal(g.start(p)), Upper: literal(g.start(g.after(p, 1)))}
}

func (g calendar) compare(a, b point) int { return a.wall.Compare(b.wall) }

// literal writes an instant for Postgres. Offsets before standard time have seconds.
func literal(t time.Time) string {
	if _, offset := t.Zone(); offset%60 != 0 {
		return t.Format("2006-01-02 15:04:05-07:00:00")
	}
	return t.Format("2006-01-02 15:04:05-07:00")
}
