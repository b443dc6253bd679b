package backfill

import (
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/check"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// Summary is what a workflow carries of a plan, however many partitions that has.
type Summary struct {
	From        partition.Key   `json:"from"` // as it was asked for
	To          partition.Key   `json:"to"`
	Digest      string          `json:"digest"`
	Release     release.Release `json:"release"`
	Config      string          `json:"config,omitempty"`
	Tenure      int64           `json:"tenure"`
	Beside      string          `json:"beside,omitempty"` // the active release, where another one is built by choice
	Lanes       int             `json:"lanes"`
	Slices      int             `json:"slices"`
	Whole       bool            `json:"whole,omitempty"` // the last slice is what is one partition
	Slice       int             `json:"slice"`
	Partitions  int             `json:"partitions"` // what is one partition included
	First       partition.Key   `json:"first,omitempty"`
	Last        partition.Key   `json:"last,omitempty"`
	MaxFailures int             `json:"max_failures"`
	Current     int             `json:"current,omitempty"`
	Missing     int             `json:"missing,omitempty"`
	Estimate    Estimate        `json:"estimate"`
	// Transactions publish what is built aside; 0: each partition is published when it is built.
	Transactions int      `json:"transactions,omitempty"`
	Over         []string `json:"over,omitempty"`
	// Downstream is what others have to build again afterwards, bounded.
	Downstream []Downstream `json:"downstream,omitempty"`
	// Lines are the plan in words, bounded.
	Lines []string `json:"lines,omitempty"`
}

// spansNamed bounds how many spans a line names.
const spansNamed = 6

// Summarize bounds a plan.
func Summarize(p Plan, scheme partition.Scheme) Summary {
	s := Summary{
		From: p.Ask.From, To: p.Ask.To, Downstream: shown(p.Downstream),
		Digest: Digest(p), Release: p.Release, Config: p.Config, Tenure: p.Tenure, Beside: p.Beside, Lanes: p.Lanes, Slices: p.Slices(), Slice: p.Slice,
		Partitions: len(p.Partitions), MaxFailures: p.MaxFailures, Current: total(p.Current), Missing: total(p.Missing),
		Estimate: p.Estimate, Over: p.Over, Transactions: len(p.Parts),
	}
	if s.Whole = len(p.Whole) > 0; s.Whole {
		s.Partitions++
	}
	if n := len(p.Partitions); n > 0 {
		s.First, s.Last = p.Partitions[0], p.Partitions[n-1]
	}
	sorted := append([]partition.Key(nil), p.Partitions...)
	scheme.Sort(sorted)
	say := func(format string, args ...any) { s.Lines = append(s.Lines, fmt.Sprintf(format, args...)) }
	say("build with %s: %s", p.Release, spansText(Spans(scheme, sorted)))
	if p.Beside != "" {
		say("they will deviate by choice: %s is active", p.Beside)
	}
	if len(p.Whole) > 0 {
		say("and once, at the end, from the inputs of %s: %s", p.Last, strings.Join(p.Whole, ", "))
	}
	if len(p.Current) > 0 {
		say("left as they are, of this release and no older than their files: %s", spansText(p.Current))
	}
	if len(p.Missing) > 0 {
		say("without load files: %s", spansText(p.Missing))
	}
	say("estimate: %s, in %d lanes", p.Estimate, p.Lanes)
	if len(p.Windows) > 0 {
		say("it works only while a window of %s is open: %s", p.Environment, strings.Join(p.Windows, ", or "))
	}
	switch n := len(p.Parts); {
	case n == 1:
		say("published in one transaction, when all of it is built")
	case n > 1:
		say("published in %d transactions, when all of it is built", n)
	}
	for _, d := range s.Downstream {
		say("%s", d)
		for _, command := range d.Commands[:min(1, len(d.Commands))] {
			say("then: %s", command)
		}
	}
	if more := len(p.Downstream) - len(s.Downstream); more > 0 {
		say("and %d more pipelines that read it", more)
	}
	for _, over := range p.Over {
		say("above a limit of %s: %s", p.Environment, over)
	}
	return s
}

func (e Estimate) String() string {
	if e.Unknown {
		return "unknown: the ledger has no build to go by"
	}
	if e.Bytes > 0 {
		return fmt.Sprintf("about %d rows, %s, %s", e.Rows, check.FormatBytes(e.Bytes), max(e.Took, time.Second))
	}
	return fmt.Sprintf("about %d rows, %s", e.Rows, max(e.Took, time.Second))
}

// shown bounds what a workflow carries of readers.
func shown(all []Downstream) []Downstream {
	var few []Downstream
	for _, d := range all[:min(len(all), spansNamed)] {
		d.Partitions, d.Commands, d.Reads = d.Partitions[:min(len(d.Partitions), spansNamed)], d.Commands[:min(len(d.Commands), 2)], d.Reads[:min(len(d.Reads), spansNamed)]
		few = append(few, d)
	}
	return few
}

func total(spans []Span) int {
	n := 0
	for _, s := range spans {
		n += s.Count
	}
	return n
}

func spansText(spans []Span) string {
	if len(spans) == 0 {
		return "nothing"
	}
	texts := make([]string, 0, spansNamed+1)
	for i, s := range spans {
		if i == spansNamed {
			texts = append(texts, fmt.Sprintf("and %d more spans", len(spans)-i))
			break
		}
		texts = append(texts, s.String())
	}
	return strings.Join(texts, ", ")
}
