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

// listed bounds how many tenures a refusal names.
const listed = 10

// Nothing is what one goes back to from a first release: nothing is live afterwards. Only a person's word asks for it.
const Nothing = "nothing"

// Choose finds the tenure that a rollback goes to. active is the number of the present one. to is a version, a version
// with the first hex digits of its digest (1.4.0+0123abcd), or a tenure's number. A version is that of the release that had
// claimed it; where none had, of its tries. Without to, it is the latest before the
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
		hint := "deploy a release: drawbridge deploy PIPELINE@VERSION --to ENV"
		if len(was) > 0 {
			hint = "say which with --to NUMBER: " + list(was)
		}
		return release.Tenure{}, fault.Newf(fault.Refused, "roll back", strings.TrimSpace("to "+to), hint, reason)
	}
	switch {
	case to == "":
		return previous(was, active, refuse)
	case to == Nothing && slices.ContainsFunc(was, func(t release.Tenure) bool { return t.Number == active && !t.None() }):
		return release.Tenure{}, nil
	case to == Nothing:
		return refuse("nothing is active")
	}
	if number, err := strconv.ParseInt(to, 10, 64); err == nil {
		for _, t := range was {
			if t.Number == number {
				return t, nil
			}
		}
		return refuse(fmt.Sprintf("tenure %d was never active here", number))
	}
	found := named(was, to)
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

// Forward says that what a tenure brought was turned back: it lies above what is active, or was left by a turn-back, whatever came
// since. To go there again turns nothing back. Turn-backs count as what they went back to.
func Forward(tenures []release.Tenure, active, to int64) bool {
	back := map[int64]release.Tenure{}
	for _, t := range tenures {
		back[t.Number] = t
	}
	brought := func(number int64) int64 {
		for back[number].Kind == release.ByTurnBack && back[number].Back < number {
			number = back[number].Back
		}
		return number
	}
	if brought(to) >= brought(active) {
		return brought(to) > brought(active)
	}
	left, ended := back[to].After(tenures)
	return ended && left.Kind == release.ByTurnBack && brought(left.Number) < brought(to)
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
		return refuse("nothing was active before " + was[at].Release.Version + ": --to " + Nothing + " takes away all that it has published")
	case was[at+1].None():
		return refuse("nothing was active right before " + was[at].Release.Version + ": --to " + Nothing + " takes away all that it has published")
	}
	return was[at+1], nil
}

// named are the tenures of the releases that have a name. A release that claimed its version after it was tried here has both
// names in the ledger.
func named(was []release.Tenure, to string) []release.Tenure {
	base, hex, try := release.CutTry(to)
	digests := func(called func(release.Release) bool) map[string]bool {
		of := map[string]bool{}
		for _, t := range was {
			if !t.None() && called(t.Release) {
				of[t.Release.Digest] = true
			}
		}
		return of
	}
	of := digests(func(r release.Release) bool { return r.Version == to })
	if len(of) == 0 && (!try || len(hex) >= release.TryDigits) {
		of = digests(func(r release.Release) bool { return r.Base() == base && r.Is(hex) })
	}
	return slices.DeleteFunc(slices.Clone(was), func(t release.Tenure) bool { return t.None() || !of[t.Release.Digest] })
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
