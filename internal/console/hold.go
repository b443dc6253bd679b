package console

import (
	"cmp"
	"fmt"
	"slices"

	"drawbridge/activities"
)

// Held is what became of a hold, or of its release.
type Held struct {
	Environment string            `json:"environment"`
	Released    bool              `json:"released,omitempty"`
	By          string            `json:"by"`
	Houses      []activities.Held `json:"houses"`
}

// Complete says that every ledger has it.
func (h Held) Complete() bool {
	return !slices.ContainsFunc(h.Houses, func(x activities.Held) bool { return x.Unreached != "" })
}

// Held names every schema that has it, and those that could not be reached; and the holds that stood before: they stay, or were
// released. An empty release is no error, and neither is a hold that somebody else keeps: what was asked for is so.
func (s Screen) Held(h Held) string {
	p := s.page()
	done, undone, next := "on hold", "not on hold", "drawbridge release-hold --env "+word(h.Environment)
	if h.Released {
		done, undone, next = "released", "not released", "drawbridge status"
	}
	stood := 0
	rows := make([][]any, len(h.Houses))
	for i, x := range h.Houses {
		schema, became, note := cmp.Or(x.House.Schema, "every schema"), done, ""
		if x.Stood != nil {
			stood++
			note = fmt.Sprintf("%s, set by %s %s", x.Stood.Reason, x.Stood.By, s.ago(x.Stood.Since))
		}
		switch {
		case x.Unreached != "":
			became, note = undone, x.Unreached
		case h.Released && x.Stood == nil:
			became = "none stood"
		case !h.Released && x.Stood != nil:
			became = "on hold before"
		}
		rows[i] = []any{schema, x.House.Connection, became, note}
	}
	switch {
	case len(h.Houses) == 0:
		p.line("%s has no ledger yet: nothing is held", s.bold(h.Environment))
	case !h.Complete():
		p.line("%s is %s only in part", s.bold(h.Environment), done)
	case h.Released && stood == 0:
		p.line("%s was not on hold: nothing was released", s.bold(h.Environment))
	case h.Released:
		p.line("%s is released by %s", s.bold(h.Environment), h.By)
	case stood == len(h.Houses):
		p.line("%s was on hold already: that one stays, and this one was not set", s.bold(h.Environment))
	case stood > 0:
		p.line("%s is on hold; where it was already, that one stays, and this one was not set", s.bold(h.Environment))
	default:
		p.line("%s is on hold", s.bold(h.Environment))
	}
	p.table("", rows...)
	p.blank()
	p.next(next)
	return p.String()
}
