package turnback

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/release"
)

const (
	// listed bounds how many tenures a refusal names.
	listed = 10
	// shortest is the fewest hex digits of a digest that name a release.
	shortest = 8
)

// Choose finds the tenure that a rollback goes to. active is the number of the present one. to is a version, a version
// with the first hex digits of its digest (1.4.0+0123abcd), or a tenure's number. Without it, it is the latest before the
// present one; after a turn-back that would mean something else each time, so it is refused and the tenures are listed.
func Choose(tenures []release.Tenure, active int64, to string) (release.Tenure, error) {
	var was []release.Tenure // newest first
	for _, t := range tenures {
		if t.Activated {
			was = append(was, t)
		}
	}
	slices.SortFunc(was, func(a, b release.Tenure) int { return cmp.Compare(b.Number, a.Number) })
	refuse := func(reason string) (release.Tenure, error) {
		hint := "deploy a release: drawbridge deploy"
		if len(was) > 0 {
			hint = "say which with --to NUMBER: " + list(was)
		}
		return release.Tenure{}, fault.Newf(fault.Refused, "roll back", strings.TrimSpace("to "+to), hint, reason)
	}
	if to == "" {
		return previous(was, active, refuse)
	}
	if number, err := strconv.ParseInt(to, 10, 64); err == nil {
		for _, t := range was {
			if t.Number == number {
				return t, nil
			}
		}
		return refuse(fmt.Sprintf("tenure %d was never active here", number))
	}
	var found []release.Tenure
	for _, t := range was {
		if named(t, to) {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		return refuse("no such release was active here")
	}
	for _, t := range found[1:] {
		if t.Release.Digest != found[0].Release.Digest || t.Config != found[0].Config {
			return refuse("it names more than one: another digest, or the same release with another config")
		}
	}
	return found[0], nil
}

// previous is the tenure before the active one.
func previous(was []release.Tenure, active int64, refuse func(string) (release.Tenure, error)) (release.Tenure, error) {
	at := slices.IndexFunc(was, func(t release.Tenure) bool { return t.Number == active })
	switch {
	case at < 0:
		return refuse("nothing is active")
	case was[at].Kind == release.ByTurnBack:
		return refuse("what is active was turned back to, so the one before it is no default")
	case at+1 == len(was):
		return refuse("nothing was active before " + was[at].Release.Version)
	case was[at+1].None():
		return refuse("nothing was active right before " + was[at].Release.Version)
	}
	return was[at+1], nil
}

// named says whether what a person typed names the tenure's release.
func named(t release.Tenure, to string) bool {
	if t.None() {
		return false
	}
	if t.Release.Version == to {
		return true
	}
	at := strings.LastIndex(to, "+")
	if at < 0 || t.Release.Version != to[:at] || len(to[at+1:]) < shortest {
		return false
	}
	return strings.HasPrefix(strings.TrimPrefix(t.Release.Digest, "sha256:"), to[at+1:])
}

// listing is how a refusal names a tenure: 3 1.0.0 (turn_back).
func listing(t release.Tenure) string {
	version := t.Release.Version
	if t.None() {
		version = "nothing"
	}
	return fmt.Sprintf("%d %s (%s)", t.Number, version, t.Kind)
}

func list(ts []release.Tenure) string {
	var names []string
	for _, t := range ts[:min(listed, len(ts))] {
		names = append(names, listing(t))
	}
	if len(ts) > listed {
		names = append(names, fmt.Sprintf("and %d earlier", len(ts)-listed))
	}
	return strings.Join(names, ", ")
}
