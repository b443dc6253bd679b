// Package release is the noun that crosses every boundary: an immutable artifact of a pipeline, and what is stated about
// it.
package release

import "time"

// Release names an immutable artifact: the digest is its identity, pipeline and version are for people.
type Release struct {
	Pipeline string `json:"pipeline"`
	Version  string `json:"version"` // 1.4.0; of a release that has not claimed it: 1.4.0+0123abcd
	Digest   string `json:"digest"`
}

// String is the name that people type: shop@1.4.0, or shop@1.4.0+0123abcd.
func (r Release) String() string { return r.Pipeline + "@" + r.Version }

// Tenure is one activation of a release with a config in an environment. Its number is reserved before the first swap;
// swaps and generations record it, so that a state "as of tenure K" can be gone back to.
type Tenure struct {
	Number  int64   `json:"number"`
	Release Release `json:"release"` // no digest: nothing is active
	// Config is the digest of the config that replaces the packed one; empty is the packed one.
	Config    string     `json:"config,omitempty"`
	Kind      TenureKind `json:"kind"`
	Owner     string     `json:"owner"` // the workflow that opened it: an effect.Owner
	Plan      string     `json:"plan,omitempty"`
	By        string     `json:"by,omitempty"`
	Reason    string     `json:"reason,omitempty"`
	Activated bool       `json:"activated"`
	// Back is, for a turn-back, the tenure that is active again through it, also where it goes back before a workflow; 0 for
	// the others, and where nothing is active afterwards.
	Back int64     `json:"back,omitempty"`
	At   time.Time `json:"at"` // of its activation, or of its reservation
}

// TenureKind is what opened a tenure.
type TenureKind string

// The kinds of tenure. A run opens one only where nothing is active. An adoption's is never active.
const (
	ByDeployment TenureKind = "deployment"
	ByRun        TenureKind = "run"
	ByTurnBack   TenureKind = "turn_back"
	ByAdoption   TenureKind = "adoption"
)

// None says that nothing is active under the tenure.
func (t Tenure) None() bool { return t.Release.Digest == "" }

// After is what ended a tenure: of tenures in their order, the first one that was activated after it, but for those that turned
// single partitions or a backfill back and left its release active. Whatever came later ended others.
func (t Tenure) After(tenures []Tenure) (next Tenure, ended bool) {
	for _, o := range tenures {
		if o.Activated && o.Number > t.Number && (o.Kind != ByTurnBack || !o.Same(t)) {
			return o, true
		}
	}
	return Tenure{}, false
}

// Same says whether two tenures are of one release with one config.
func (t Tenure) Same(o Tenure) bool {
	return t.Release.Digest == o.Release.Digest && t.Config == o.Config
}
