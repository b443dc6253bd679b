// Package adoption is how a table that was there before becomes an output, without a copy of its rows, and how it is given back. It is
// pure: plans, and what became of them, as they cross boundaries.
package adoption

import (
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// Version is what a generation that was adopted has in the place of a release's version: no release has built it.
const Version = "adopted"

// LegacyPrefix is what the names of legacy partitions begin with, in the schema of generations; the output's name follows.
const LegacyPrefix = "legacy_"

// Ask is which table is to become an output.
type Ask struct {
	// Output is the table, and the output that it becomes.
	Output string `json:"output"`
	// Until is the first partition that is built, and not in the legacy partition any more; empty: the one after the newest row.
	Until partition.Key `json:"until,omitempty"`
}

// Plan is what an adoption does to a table.
type Plan struct {
	Output string           `json:"output"`
	Schema string           `json:"schema"`
	Scheme partition.Scheme `json:"scheme"`
	// First is the first partition that is built: all rows before it stay together, as the legacy partition. Empty: the output is one
	// partition, and the table becomes a generation of it.
	First partition.Key `json:"first,omitempty"`
	Rows  int64         `json:"rows"`  // as the server estimates
	Bytes int64         `json:"bytes"` // with indexes
	Steps []Step        `json:"steps,omitempty"`
	// Views are those that read the table and read the output afterwards.
	Views []string `json:"views,omitempty"`
	// Stays is what only the adopted rows keep: what is built later does not have it.
	Stays []string `json:"stays,omitempty"`
	// Refusals are what cannot be kept. While there is one nothing is done.
	Refusals []Refusal `json:"refusals,omitempty"`
	// Adopted says that it is the output already.
	Adopted bool `json:"adopted,omitempty"`
	// Released says that a release would give, or has given, the table back.
	Release bool `json:"release,omitempty"`
}

// listed bounds what a plan lists of a kind: it travels through histories, and anybody may make as many views as the server lets them.
const listed = 200

// Bounded is the plan with the first of what it lists, and how many others there are.
func (p Plan) Bounded() Plan {
	if more := len(p.Refusals) - listed; more > 0 {
		p.Refusals = append(p.Refusals[:listed:listed], Refusal{Rule: "more", Text: fmt.Sprintf("%d more things stand in the way", more), Remedy: "mend these first"})
	}
	for _, list := range []*[]string{&p.Views, &p.Stays} {
		if more := len(*list) - listed; more > 0 {
			*list = append((*list)[:listed:listed], fmt.Sprintf("%d more", more))
		}
	}
	return p
}

// Step is a part of it, with the strongest lock that it takes on the table.
type Step struct {
	Text string `json:"text"`
	Lock string `json:"lock"`
}

// Refusal is something that an adoption, or a release, would break.
type Refusal struct {
	Rule   string `json:"rule"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
}

// Refused says why, in a sentence; empty: nothing stands in the way.
func (p Plan) Refused() string {
	texts := make([]string, len(p.Refusals))
	for i, r := range p.Refusals {
		texts[i] = r.Text
	}
	return strings.Join(texts, "; ")
}

// Remedy is what to do about all that is refused.
func (p Plan) Remedy() string {
	seen := map[string]bool{}
	var remedies []string
	for _, r := range p.Refusals {
		if !seen[r.Remedy] {
			seen[r.Remedy] = true
			remedies = append(remedies, r.Remedy)
		}
	}
	return strings.Join(remedies, "; ")
}

// Spec is an adoption, or a release of a table, as an effect.
type Spec struct {
	Ask
	Key         effect.Key
	Release     release.Release // whose output it becomes
	Config      string
	By, Reason  string
	Application string // of the session
	LockBudget  time.Duration
	WaitedLocks time.Duration // what earlier attempts have spent of it
}

// Result is what became of it. While Done is false nothing that readers see has changed.
type Result struct {
	Done    bool                 `json:"done"`
	Views   int                  `json:"views,omitempty"` // that were made to read the other table
	Blocked []generation.Session `json:"blocked,omitempty"`
	More    int                  `json:"more,omitempty"` // sessions that Blocked does not name
	HoldMS  float64              `json:"hold_ms,omitempty"`
}
