package workflows

import (
	"cmp"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/internal/backfill"
	"drawbridge/workflows/conduct"
)

// BackfillStatus is a backfill as status shows it.
type BackfillStatus struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Partitions int    `json:"partitions"`
	Built      int    `json:"built,omitempty"` // aside, to be published as one
	Published  int    `json:"published"`
	Failed     int    `json:"failed,omitempty"`
	Skipped    int    `json:"skipped,omitempty"`
	Current    int    `json:"current,omitempty"`
	Missing    int    `json:"missing,omitempty"`
	Rows       int64  `json:"rows"`
	Lanes      int    `json:"lanes"`
	// Speed and RowSpeed are exponential averages: what was done last counts most.
	Speed    float64 `json:"partitions_per_second,omitempty"`
	RowSpeed float64 `json:"rows_per_second,omitempty"`
	// Left is how long the rest will take at that speed.
	Left string `json:"left,omitempty"`
	// Throttled is why it waits for the warehouse, or for its window.
	Throttled string `json:"throttled,omitempty"`
	// Opens is when the window does for which alone it waits: until then nothing goes on, and nobody knows how long the rest takes.
	Opens *time.Time `json:"opens,omitempty"`
	// Deviates is the release that is active, where another one is built by choice.
	Deviates string `json:"deviates,omitempty"`
	// Stalled is since when nothing was done although nobody holds it up.
	Stalled *time.Time `json:"stalled,omitempty"`
	// Heat is how far its partitions are, in the order in which they are built: backfill.Summary's strip.
	Heat string `json:"heat,omitempty"`
	// Plan is that of a dry run.
	Plan *backfill.Summary `json:"plan,omitempty"`
	// Failures are what failed, with why.
	Failures []conduct.Failed `json:"failures,omitempty"`
}

// Waits is the word for what Throttled says.
func (b BackfillStatus) Waits() string {
	if b.Opens != nil {
		return "Waits"
	}
	return "Throttled"
}

func (b *filling) shown() *BackfillStatus {
	s := b.state
	out := &BackfillStatus{
		From: string(b.in.Ask.From), To: string(b.in.Ask.To), Partitions: s.Plan.Partitions, Published: s.Published, Built: s.Built,
		Failed: len(s.Line.Failed), Skipped: s.Line.Skipped, Current: s.Plan.Current, Missing: s.Plan.Missing,
		Rows: s.Rows, RowSpeed: s.RowSpeed, Heat: s.Plan.Heat(b.progress()), Deviates: s.Plan.Beside, Throttled: s.Load.Why, Lanes: s.Load.narrow(s.Plan.Lanes), Speed: s.Speed, Failures: s.Line.Failed[:min(len(s.Line.Failed), evidenceLimit)],
	}
	if left := out.Partitions - max(out.Published, out.Built) - out.Failed - out.Skipped; left > 0 && s.Speed > 0 && !b.held() && s.Load.Opens.IsZero() {
		out.Left = max(time.Second, time.Duration(float64(left)/s.Speed*float64(time.Second)).Round(time.Second)).String()
	}
	if b.in.DryRun {
		out.Plan = &s.Plan
	}
	if !s.Stalled.IsZero() {
		out.Stalled = &s.Stalled
	}
	if !s.Load.Opens.IsZero() {
		out.Opens = &s.Load.Opens
	}
	return out
}

// held says that nothing goes on until a person says so: then nobody knows how long the rest takes.
func (b *filling) held() bool {
	stage := b.Header().Stage
	return stage == StageWaiting || stage == StagePaused
}

// progress is how far each of its slices is.
func (b *filling) progress() backfill.Progress {
	s := b.state
	p := backfill.Progress{Next: s.Line.Next, Left: s.Left}
	single := func(item int) {
		if item < 0 {
			p.Failed = append(p.Failed, backfill.Place(item))
		}
	}
	for _, item := range s.Line.Again {
		if _, begun := s.Begun[item]; !begun && item >= 0 {
			p.Open = append(p.Open, backfill.Begun{Slice: item})
		}
		single(item)
	}
	for _, f := range s.Line.Failed {
		single(f.Item)
	}
	for _, item := range workflow.DeterministicKeys(s.Begun) {
		done := s.Begun[item]
		if single(item); item >= 0 {
			p.Open = append(p.Open, backfill.Begun{Slice: item, Done: done.Published + done.Built + len(done.Failed)})
			for _, f := range done.Failed {
				p.Failed = append(p.Failed, f.Index)
			}
		}
	}
	return p
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
	rest := "nothing"
	switch {
	case b.held():
		rest = "it waits, and nobody knows how long is"
	case s.Opens != nil:
		rest = "its window opens " + s.Opens.UTC().Format("2006-01-02 15:04 MST") + ", and nobody knows how long is"
	}
	lines := []string{
		fmt.Sprintf("**%d of %d partitions** %s, %d failed, %d left out, %d lanes; %.0f rows/s; %s left", done, s.Partitions, what, s.Failed, s.Skipped, s.Lanes, s.RowSpeed, cmp.Or(s.Left, rest)), "",
		"`" + backfill.Shades(s.Heat) + "`", "",
	}
	if window := b.Window(); window != "" {
		lines = append(lines, "**Window:** "+conduct.Cell(window), "")
	}
	if s.Deviates != "" {
		lines = append(lines, "**Deviating by choice:** "+conduct.Cell(s.Deviates)+" is active", "")
	}
	if s.Stalled != nil {
		lines = append(lines, "**Stalled** since "+s.Stalled.UTC().Format("2006-01-02 15:04 MST"), "")
	}
	if s.Throttled != "" {
		lines = append(lines, "**"+s.Waits()+":** "+conduct.Cell(s.Throttled), "")
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
