package turnback

import (
	"cmp"
	"slices"

	"drawbridge/internal/release"
)

// path is the tenures that led to K: those that had been turned back when K began are not on it. What a tenure off the
// path published is never the state to go back to, so that what was once turned back does not come to life again.
type path struct {
	workflow string // the target's, where it is one
	k        int64
	tenures  map[int64]release.Tenure
	backs    []release.Tenure // the turn-backs up to K, newest first
}

func newPath(f Facts) path {
	p := path{workflow: f.Target.Owner, k: f.K.Number, tenures: f.Tenures}
	for _, t := range f.Tenures {
		// Where a turn-back does not say what it went back to, it skips nothing.
		if t.Kind == release.ByTurnBack && t.Number <= p.k && (t.Back != 0 || t.None()) {
			p.backs = append(p.backs, t)
		}
	}
	slices.SortFunc(p.backs, func(a, b release.Tenure) int { return cmp.Compare(b.Number, a.Number) })
	return p
}

// leads says that a tenure is on the path to K. Where it is not, by is the turn-back that took it off; of a tenure after K
// it is none.
func (p path) leads(tenure int64) (on bool, by release.Tenure) {
	end := p.k
	for _, b := range p.backs {
		if b.Number > end {
			continue // turned back itself
		}
		if tenure >= b.Number {
			break
		}
		end, by = b.Back, b
	}
	return tenure <= end, by
}

// counts says that what a swap made live belongs to the state to go back to: its tenure is on the path, or the turn-back
// that took that off kept the generation, because it is of the release that it went back to. A table that was adopted was there
// before any tenure: nothing goes back beyond it.
func (p path) counts(s Swap, g Generation) bool {
	if s.Kind == KindAdopt {
		return true
	}
	on, by := p.leads(s.Tenure)
	return on || !by.None() && s.To != 0 && g.Digest == by.Release.Digest && g.Config == by.Config
}

// bad says that a tenure is what is turned back.
func (p path) bad(tenure int64) bool {
	if p.workflow != "" {
		t := p.tenures[tenure]
		return t.Owner == p.workflow && t.Kind != release.ByTurnBack
	}
	on, _ := p.leads(tenure)
	return !on
}

// later says that a swap is a publish under a tenure that is not part of the state to go back to, by another workflow than
// the one that opened it: a run or a backfill brought data that is newer than what is retained.
func (p path) later(s Swap) bool {
	on, _ := p.leads(s.Tenure)
	return s.Kind == KindPublish && (!on || p.bad(s.Tenure)) && p.tenures[s.Tenure].Owner != s.Owner
}

// owned says that a swap is what the target workflow published, or what was published under the tenure that it opened.
func (p path) owned(s Swap) bool {
	return s.Kind == KindPublish && (s.Owner == p.workflow || p.bad(s.Tenure))
}
