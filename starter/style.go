package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// style colours text where a person reads it in a terminal and has not said no.
type style struct{ colour bool }

func (m *Main) style(w io.Writer) style {
	return style{colour: m.terminal(w) && m.Env("NO_COLOR") == ""}
}

// terminal says whether w is a terminal that can move its cursor.
func (m *Main) terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || m.Env("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (s style) paint(code, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) red(text string) string    { return s.paint("31", text) }
func (s style) green(text string) string  { return s.paint("32", text) }
func (s style) yellow(text string) string { return s.paint("33", text) }
func (s style) dim(text string) string    { return s.paint("2", text) }
func (s style) bold(text string) string   { return s.paint("1", text) }

// stage colours a stage by whether somebody has to do something.
func (s style) stage(stage workflows.Stage) string {
	text := strings.ReplaceAll(string(stage), "_", " ")
	switch stage {
	case workflows.StageDone:
		return s.green(text)
	case workflows.StageRefused, workflows.StageRolledBack, workflows.StageStuck, stageAbandoned:
		return s.red(text)
	case workflows.StageWaiting, workflows.StagePaused, workflows.StageCompensating:
		return s.yellow(text)
	case workflows.StagePlanning, workflows.StageValidating, workflows.StageCrossing, workflows.StageWatching:
	}
	return s.bold(text)
}

// outcome is the glyph of a verdict.
func (s style) outcome(o gate.Outcome) string {
	switch o {
	case gate.Pass:
		return s.green("✔")
	case gate.Fail:
		return s.red("✘")
	case gate.Inconclusive:
		return s.yellow("?")
	}
	return "·"
}

// clock is a time on the clock of the person who reads it.
func (m *Main) clock(at time.Time, layout string) string {
	return at.In(m.Now().Location()).Format(layout)
}

// ago is a time as people say it.
func ago(now, at time.Time) string {
	d := now.Sub(at)
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

// title is what a workflow is about: shop@1.1.0.
func title(s workflows.Status) string {
	if s.Release.Version == "" {
		return s.Pipeline
	}
	return s.Pipeline + "@" + s.Release.Version
}
