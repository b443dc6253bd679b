package workflows

import (
	"fmt"
	"time"

	"drawbridge/workflows/conduct"
)

// BackfillStatus is a backfill as status shows it.
type BackfillStatus struct {
	From       string  `json:"from"`
	To         string  `json:"to"`
	Partitions int     `json:"partitions"`
	Built      int     `json:"built,omitempty"` // aside, to be published as one
	Published  int     `json:"published"`
	Failed     int     `json:"failed,omitempty"`
	Skipped    int     `json:"skipped,omitempty"`
	Current    int     `json:"current,omitempty"`
	Missing    int     `json:"missing,omitempty"`
	Rows       int64   `json:"rows"`
	Lanes      int     `json:"lanes"`
	Speed      float64 `json:"partitions_per_second,omitempty"`
	// Left is how long the rest will take at that speed.
	Left string `json:"left,omitempty"`
	// Throttled is why it waits for the warehouse.
	Throttled string `json:"throttled,omitempty"`
	// Failures are what failed, with why.
	Failures []conduct.Failed `json:"failures,omitempty"`
}

func (b *filling) shown() *BackfillStatus {
	s := b.state
	out := &BackfillStatus{
		From: string(b.in.Ask.From), To: string(b.in.Ask.To), Partitions: s.Plan.Partitions, Published: s.Published, Built: s.Built,
		Failed: len(s.Line.Failed), Skipped: s.Line.Skipped, Current: s.Plan.Current, Missing: s.Plan.Missing,
		Rows: s.Rows, Throttled: s.Load.Why, Lanes: s.Load.narrow(s.Plan.Lanes), Speed: s.Speed, Failures: s.Line.Failed[:min(len(s.Line.Failed), evidenceLimit)],
	}
	if left := out.Partitions - max(out.Published, out.Built) - out.Failed - out.Skipped; left > 0 && s.Speed > 0 {
		out.Left = time.Duration(float64(left) / s.Speed * float64(time.Second)).Round(time.Second).String()
	}
	return out
}

// Status implements conduct.Face.
func (b *filling) Status(h conduct.Header) any { return Status{Header: h, Backfill: b.shown()} }

// Details implements conduct.Face.
func (b *filling) Details() []string {
	s := b.shown()
	done, what := s.Published, "published"
	if s.Built > s.Published {
		done, what = s.Built, "built"
	}
	lines := []string{fmt.Sprintf("**%d of %d partitions** %s, %d failed, %d left out, %d lanes; %s left", done, s.Partitions, what, s.Failed, s.Skipped, s.Lanes, s.Left), ""}
	if s.Throttled != "" {
		lines = append(lines, "**Throttled:** "+conduct.Cell(s.Throttled), "")
	}
	if len(s.Failures) == 0 {
		return lines
	}
	lines = append(lines, "| partition | why |", "|---|---|")
	for _, f := range s.Failures {
		lines = append(lines, fmt.Sprintf("| %s | %s |", conduct.Cell(f.Name), conduct.Cell(f.Why)))
	}
	return append(lines, "")
}
