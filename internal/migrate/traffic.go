package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Traffic is who calls statements that name what goes, as the server counts them since the switch.
type Traffic struct {
	Calls []Call `json:"calls,omitempty"`
	// Unseen is why it is not counted; empty: it is.
	Unseen string `json:"unseen,omitempty"`
}

// Call is one statement of one role.
type Call struct {
	Role    string   `json:"role"`
	Query   int64    `json:"query"` // the server's number of it
	Columns []string `json:"columns"`
	// Guessed says that its text has the names, and may mean another table's.
	Guessed bool `json:"guessed,omitempty"`
	// Calls are those since the switch, Last when a look has found more of them than the one before.
	Calls int64     `json:"calls"`
	Last  time.Time `json:"last,omitzero"`
}

// quietMost bounds for how long nobody may have named what goes before it does.
const quietMost = 24 * time.Hour

// quiet is for how long a consumer's role may not have named what goes before it does: a day, or the window where that is shorter.
func (d Deprecate) quiet() time.Duration { return min(d.Window, quietMost) }

// Callers are the roles that name columns in their statements since the switch, as readers of them, those of consumers first; why is what
// of that keeps contract waiting: what a consumer's own role has called of late, beyond doubt.
func (m Migration) Callers(t Traffic, now time.Time) (readers []Reader, why []string) {
	for _, c := range t.Calls {
		if c.Calls == 0 {
			continue
		}
		consumer := m.claims(c.Role)
		of := cmp.Or(consumer, "no consumer")
		late := !c.Guessed && consumer != "" && now.Sub(c.Last) < m.Deprecate.quiet()
		for _, column := range c.Columns {
			kind := fmt.Sprintf("statement %d, called %s until %s, of role", c.Query, times(c.Calls), c.Last.UTC().Format("2006-01-02 15:04 MST"))
			readers = append(readers, Reader{Column: column, Kind: kind, Name: c.Role, Owner: of, Guessed: !late})
		}
		if !late {
			continue
		}
		sentence := fmt.Sprintf("%s still reads or writes %s as %s: %s since the switch, the last seen at %s; it waits until nothing was seen for %s",
			consumer, shownAll(c.Columns), shown(c.Role), times(c.Calls), c.Last.UTC().Format("2006-01-02 15:04 MST"), durationText(m.Deprecate.quiet()))
		why = append(why, sentence)
	}
	slices.SortStableFunc(readers, func(a, b Reader) int {
		switch {
		case a.Guessed == b.Guessed:
			return 0
		case a.Guessed:
			return 1
		}
		return -1
	})
	return readers, why
}

// claims is the consumer that lists a role; empty: none does.
func (m Migration) claims(role string) string {
	for _, c := range m.Consumers {
		if slices.Contains(c.Roles, role) {
			return c.Name
		}
	}
	return ""
}

func times(n int64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
