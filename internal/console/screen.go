package console

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"

	"drawbridge/internal/gate"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// Screen is where text is shown.
type Screen struct {
	// Width is the terminal's, in columns; 0 where none is: then lines are as long as they are.
	Width  int
	Colour bool
	// Now is on the clock of the person who reads.
	Now time.Time
}

// paint escapes and colours text.
func (s Screen) paint(style lipgloss.Style, text any) ink {
	plain := inkf("%v", text)
	if !s.Colour || plain == "" {
		return plain
	}
	return ink(style.Inline(true).Render(string(plain)))
}

func (s Screen) red(text any) ink { return s.paint(lipgloss.NewStyle().Foreground(lipgloss.Red), text) }

func (s Screen) green(text any) ink {
	return s.paint(lipgloss.NewStyle().Foreground(lipgloss.Green), text)
}

func (s Screen) yellow(text any) ink {
	return s.paint(lipgloss.NewStyle().Foreground(lipgloss.Yellow), text)
}
func (s Screen) dim(text any) ink  { return s.paint(lipgloss.NewStyle().Faint(true), text) }
func (s Screen) bold(text any) ink { return s.paint(lipgloss.NewStyle().Bold(true), text) }

// stage colours a stage by whether somebody has to do something.
func (s Screen) stage(stage workflows.Stage) ink {
	text := strings.ReplaceAll(string(stage), "_", " ")
	switch stage {
	case workflows.StageDone:
		return s.green(text)
	case workflows.StageRefused, workflows.StageRolledBack, workflows.StageStuck, view.Abandoned:
		return s.red(text)
	case workflows.StageWaiting, workflows.StagePaused, workflows.StageCompensating:
		return s.yellow(text)
	case workflows.StagePlanning, workflows.StageValidating, workflows.StageCrossing, workflows.StageWatching:
	}
	return s.bold(text)
}

// outcome is the glyph of a verdict.
func (s Screen) outcome(o gate.Outcome) ink {
	switch o {
	case gate.Pass:
		return s.green("✔")
	case gate.Fail:
		return s.red("✘")
	case gate.Inconclusive:
		return s.yellow("?")
	case gate.None:
		return s.dim("–")
	}
	return "·"
}

// ok is the glyph of a check.
func (s Screen) ok(ok bool) ink {
	if ok {
		return s.green("✔")
	}
	return s.red("✘")
}

// barWidth is how many columns a bar takes.
const barWidth = 20

// bar shows how much of something is done.
func (s Screen) bar(done, total int) ink {
	full := 0
	if total > 0 {
		full = min(barWidth, max(0, done)*barWidth/total)
	}
	return s.green(strings.Repeat("█", full)) + s.dim(strings.Repeat("░", barWidth-full))
}

// clock is a time on the clock of the person who reads it.
func (s Screen) clock(at time.Time, layout string) string {
	return at.In(s.Now.Location()).Format(layout)
}

// ago is a time as people say it.
func (s Screen) ago(at time.Time) string {
	d := s.Now.Sub(at)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds ago", max(0, int(d.Seconds())))
	case d < time.Hour:
		return fmt.Sprintf("%dm ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh ago", int(d.Hours()))
	}
	return fmt.Sprintf("%dd ago", int(d.Hours()/24))
}
