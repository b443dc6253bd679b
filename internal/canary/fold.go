package canary

import (
	"fmt"
	"strings"

	"drawbridge/internal/gate"
	"drawbridge/internal/release"
)

// Named is the verdict on one generation that was compared.
type Named struct {
	Name    string // output[partition]
	Verdict gate.Verdict
}

// Fold is a canary's verdict over all that it tried. alone lists what had nothing to be compared with: it weighs nothing
// where something else was compared. Where a release is active and nothing was compared, nobody has looked, which is no
// pass; where none is active there was nothing to look at.
func Fold(compared []Named, alone []string, active *release.Release) gate.Verdict {
	var v gate.Verdict
	var reasons []string
	outcomes := make([]gate.Outcome, len(compared))
	for i, c := range compared {
		outcomes[i] = c.Verdict.Outcome
		reasons = append(reasons, c.Name+": "+c.Verdict.Reason)
		for _, e := range c.Verdict.Evidence {
			e.Name = c.Name + " " + e.Name
			v.Evidence = append(v.Evidence, e)
		}
	}
	switch {
	case len(compared) > 0:
		v.Outcome = gate.Worst(outcomes...)
		if len(alone) > 0 {
			reasons = append(reasons, "no baseline for "+list(alone))
		}
	case active == nil:
		v.Outcome = gate.None
		reasons = []string{"no baseline: no release is active to compare with"}
	default:
		v.Outcome = gate.Inconclusive
		reasons = []string{fmt.Sprintf("%s is active, and nothing could be compared with it: no baseline for %s", active.Version, list(alone))}
	}
	v.Reason = strings.Join(reasons, "; ")
	return v
}

// list names up to three, and counts the rest.
func list(names []string) string {
	const few = 3
	switch n := len(names); {
	case n == 0:
		return "anything"
	case n <= few:
		return strings.Join(names, ", ")
	default:
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), n-few)
	}
}
