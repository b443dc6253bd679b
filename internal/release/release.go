// Package release is the noun that crosses every boundary: an immutable artifact of a pipeline, and what is stated about
// it.
package release

// Release names an immutable artifact: the digest is its identity, pipeline and version are for people.
type Release struct {
	Pipeline string `json:"pipeline"`
	Version  string `json:"version"`
	Digest   string `json:"digest"`
}

// String is the name that people type: shop@1.4.0.
func (r Release) String() string { return r.Pipeline + "@" + r.Version }
