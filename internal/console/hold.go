package console

import (
	"cmp"
	"slices"

	"drawbridge/activities"
)

// Held is what became of a hold, or of its release.
type Held struct {
	Environment string            `json:"environment"`
	Released    bool              `json:"released,omitempty"`
	Houses      []activities.Held `json:"houses"`
}

// Complete says that every ledger has it.
func (h Held) Complete() bool {
	return !slices.ContainsFunc(h.Houses, func(x activities.Held) bool { return x.Unreached != "" })
}

// Held names every schema that has it, and those that could not be reached.
func (s Screen) Held(h Held) string {
	p := s.page()
	done, undone, next := "on hold", "not on hold", "drawbridge release-hold --env "+word(h.Environment)
	if h.Released {
		done, undone, next = "released", "not released", "drawbridge status"
	}
	switch {
	case len(h.Houses) == 0:
		p.line("%s has no ledger yet: nothing is held", s.bold(h.Environment))
	case h.Complete():
		p.line("%s is %s", s.bold(h.Environment), done)
	default:
		p.line("%s is %s only in part", s.bold(h.Environment), done)
	}
	rows := make([][]any, len(h.Houses))
	for i, x := range h.Houses {
		schema := cmp.Or(x.House.Schema, "every schema")
		rows[i] = []any{schema, x.House.Connection, done, ""}
		if x.Unreached != "" {
			rows[i] = []any{schema, x.House.Connection, undone, x.Unreached}
		}
	}
	p.table("", rows...)
	p.blank()
	p.next(next)
	return p.String()
}
