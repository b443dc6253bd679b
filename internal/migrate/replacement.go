package migrate

import "slices"

// Replacement is a column that another one takes the place of, and the names of both.
type Replacement struct {
	Column string
	Type   string // of the new column; empty: that of the old one
	// Added is the new column's name until the switch. From then on it is called Renamed, and the old one Formerly.
	Added, Renamed, Formerly string
}

// Replacements are the columns that a migration replaces. The server is asked what becomes of what is over them before anything is planned.
func Replacements(m Migration) []Replacement {
	var all []Replacement
	for _, o := range m.Operations {
		r := Replacement{Column: o.Column}
		switch {
		case o.Kind == RenameColumn:
			r.Added, r.Renamed, r.Formerly = o.To, o.To, o.Column
		case o.Kind == ChangeType && o.Up != "":
			r.Type, _ = typeName(o.To)
			r.Added, r.Renamed, r.Formerly = o.Column+newSuffix, o.Column, o.Column+oldSuffix
			if r.Type == "" {
				continue // nobody can plan that
			}
		default:
			continue
		}
		if badName(r.Column) == "" && badName(r.Added) == "" && badName(r.Formerly) == "" && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	return all
}

// Instead is the column that takes the place of one that goes, under the name that it has at contract; empty: none does. The column
// that goes may be named as it is before the switch, or after it.
func (m Migration) Instead(column string) string {
	for _, r := range Replacements(m) {
		if column == r.Column || column == r.Formerly {
			return r.Renamed
		}
	}
	return ""
}
