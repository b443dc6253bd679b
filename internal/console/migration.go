package console

import (
	"slices"
	"strings"
	"time"

	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// migration draws in which phase a migration is, how far its backfill, what its proofs found, and who holds up contract.
func (p *page) migration(v view.View) {
	m := v.Migration
	if m == nil || m.Plan != nil {
		return
	}
	p.line("%s changes %s%s", p.bold(m.Name), m.Table, because(m.Why))
	var rows [][]any
	for _, x := range m.Phases {
		glyph := p.dim("·")
		switch x.State {
		case workflows.PhaseDone:
			glyph = p.green("✔")
		case workflows.PhaseNow:
			glyph = p.yellow("▸")
		case workflows.PhaseUndone:
			glyph = p.dim("↩")
		}
		rows = append(rows, []any{glyph, strings.ReplaceAll(string(x.Phase), "_", " "), stepsText(x), p.phaseText(*m, x)})
	}
	p.table("  ", rows...)
	if m.Throttled != "" {
		p.line("%s %s", p.yellow("throttled:"), m.Throttled)
	}
	if v.Window != "" {
		p.line("works %s", v.Window)
	}
	p.blank()
	asked := slices.ContainsFunc(v.Gates, func(g gate.Gate) bool { return g.Decided == "" && ofContract(v, g) }) // it says the same
	if !m.Committed && !v.Stage.Finished() && v.Stage != workflows.StageCompensating && !asked {
		p.held(*m)
	}
}

func because(why string) ink {
	if why == "" {
		return ""
	}
	return inkf(": %s", why)
}

// stepsText is how many of a phase's steps have begun.
func stepsText(x workflows.PhaseStatus) ink {
	switch {
	case x.Steps == 0, x.State == workflows.PhaseUndone:
		return ""
	case x.State == workflows.PhaseNow:
		return inkf("step %d of %d", x.Begun, x.Steps)
	case x.Steps == 1:
		return "1 step"
	}
	return inkf("%d steps", x.Steps)
}

// phaseText is what there is to say of a phase beside its steps.
func (p *page) phaseText(m workflows.MigrationStatus, x workflows.PhaseStatus) ink {
	if x.State == workflows.PhaseUndone {
		return "undone"
	}
	switch x.Phase {
	case migrate.Backfill:
		if m.Rows > 0 {
			return p.brought(m)
		}
	case migrate.Verify:
		return p.proved(m)
	case migrate.Deprecating:
		if m.Until == nil {
			return ""
		}
		layout := "2006-01-02 15:04"
		if near := p.Now.Sub(*m.Until); near < time.Hour && near > -time.Hour {
			layout = "2006-01-02 15:04:05"
		}
		until := p.clock(*m.Until, layout)
		b := m.Brownout
		if b == nil {
			b = &migrate.Tried{}
		}
		switch {
		case b.On():
			return p.yellow("brownout") + inkf(" since %s: %s", p.clock(b.Since, "15:04:05"), m.Refuses)
		case x.State == workflows.PhaseDone:
			return inkf("both shapes were kept, at the least until %s", until)
		case m.Until.Before(p.Now) && b.Held:
			return inkf("both shapes are kept; the window was over at %s, and the brownout was held for %s", until, b.Until.Sub(b.Since).Round(time.Second))
		case m.Until.Before(p.Now):
			return inkf("both shapes are kept; the window was over at %s", until)
		}
		return inkf("both shapes are kept until %s", until)
	case migrate.Contract:
		switch x.State {
		case workflows.PhaseAhead:
			return "the point of no return"
		case workflows.PhaseNow:
			return p.red("past the point of no return")
		}
	case migrate.Expand, migrate.DualWrite, migrate.Switch:
	}
	return ""
}

// brought is how much a backfill has brought over, how fast, and how long the rest takes.
func (s Screen) brought(m workflows.MigrationStatus) ink {
	text := ink("")
	if m.Total > 0 {
		text = s.bar(int(min(m.Rows, m.Total)), int(m.Total)) + " "
	}
	text += inkf("%d rows", m.Rows)
	if m.Total > 0 {
		text += inkf(" of about %d", m.Total)
	}
	if m.RowSpeed > 0 && m.Left != "" {
		text += inkf(", %.0f a second, %s left", m.RowSpeed, m.Left)
	}
	if m.Batch > 0 && m.Left != "" {
		text += inkf(", %d a batch, %s", m.Batch, lanes(max(1, m.Lanes)))
	}
	return text
}

// proved is what the proofs found.
func (s Screen) proved(m workflows.MigrationStatus) ink {
	broken := slices.DeleteFunc(slices.Clone(m.Proved), func(c migrate.Checked) bool { return c.Broken == 0 })
	switch {
	case len(m.Proved) == 0:
		return ""
	case len(broken) == 0:
		return inkf("%d rows, each as it has to be", m.Proved[0].Rows)
	}
	text := ink("")
	for i, c := range broken {
		if i > 0 {
			text += "; "
		}
		text += s.red(inkf("✘ %s: %d of %d rows break it", c.Proof, c.Broken, c.Rows))
	}
	return text
}

// held lists what its phase waits for, where that is not contract: what releases have to give first.
func (p *page) held(m workflows.MigrationStatus) {
	at := slices.IndexFunc(m.Phases, func(x workflows.PhaseStatus) bool { return x.State == workflows.PhaseNow })
	if len(m.Blocked) > 0 && at >= 0 && m.Phases[at].Phase.Before(migrate.Deprecating) {
		p.line("%s waits for:", strings.ReplaceAll(string(m.Phases[at].Phase), "_", " "))
		var rows [][]any
		for _, why := range m.Blocked {
			rows = append(rows, []any{p.red("✘"), inkf("%s", why)})
		}
		p.table("  ", rows...)
		p.blank()
		m.Blocked = nil
	}
	p.consumers(m)
}

// consumers lists who is ready, and what else keeps the old shape from being taken away.
func (p *page) consumers(m workflows.MigrationStatus) {
	var rows [][]any
	for _, name := range m.Consumers {
		glyph, said := p.dim("·"), ink("need not say that it is ready")
		if slices.Contains(m.MustAck, name) {
			glyph, said = p.yellow("☐"), "has to say that it is ready"
		}
		if at := slices.IndexFunc(m.Acks, func(a migrate.Ack) bool { return a.Consumer == name }); at >= 0 {
			a := m.Acks[at]
			at := inkf(" at %s", p.clock(a.At, "01-02 15:04"))
			if a.At.IsZero() {
				at = ""
			}
			glyph, said = p.green("✔"), inkf("ready, said by %s%s%s", a.By, at, because(a.Reason))
		}
		rows = append(rows, []any{glyph, name, said})
	}
	for _, why := range m.Blocked {
		if !slices.ContainsFunc(m.Consumers, func(name string) bool { return strings.HasPrefix(why, name+" ") }) {
			rows = append(rows, []any{p.red("✘"), "", inkf("%s", why)})
		}
	}
	if len(rows) > 0 {
		p.line("contract waits for:")
		p.table("  ", rows...)
		p.looksAgain(m)
		p.blank()
	}
}

// looksAgain says when an approved contract looks again whether anybody is in its way.
func (p *page) looksAgain(m workflows.MigrationStatus) {
	if m.Approved != "" && m.Looks != nil {
		p.line("approved by %s; looks again at %s", m.Approved, p.clock(*m.Looks, "15:04:05"))
	}
}

// ofContract says whether a gate asks whether the old shape may go.
func ofContract(v view.View, g gate.Gate) bool {
	name := gate.ContractOf(v.Environment)
	return v.Migration != nil && gate.Is(g.Name, name)
}

// acksDue are the commands by which consumers say that they are ready, where a gate asks for that.
func acksDue(v view.View, g gate.Gate) []string {
	if !ofContract(v, g) {
		return nil
	}
	return acks(v)
}

// acks are the commands by which those say that they are ready who have to.
func acks(v view.View) []string {
	var lines []string
	for _, name := range migrate.Missing(v.Migration.MustAck, v.Migration.Acks) {
		lines = append(lines, "drawbridge migrate ack "+word(v.ID)+" --consumer "+word(name)+" --as NAME")
	}
	return lines
}

// nextOfMigration are the commands that make sense for a migration where those of others do not; none: they do.
func nextOfMigration(v view.View) []string {
	m := v.Migration
	if m == nil || m.Plan != nil || v.Stage == view.Abandoned {
		return nil
	}
	status := "drawbridge status " + word(v.ID) + " --watch"
	back := "drawbridge migrate rollback " + word(v.ID) + " --reason TEXT"
	resume := "drawbridge resume " + word(v.ID)
	switch {
	case v.Stage == workflows.StageStuck && !m.Committed:
		return []string{back}
	case v.Stage == workflows.StageStuck:
		return []string{"drawbridge migrate start " + word(v.Release.String()) + " " + word(m.Name) + " --env " + word(v.Environment) + " --reason TEXT"}
	case v.Stage.Finished() && (v.Environment == "" || v.Release.Version == ""):
		return []string{"drawbridge migrate status"}
	case v.Stage == workflows.StageDone && m.Next == "":
		return []string{"drawbridge status"}
	case v.Stage == workflows.StageDone:
		return []string{"drawbridge migrate plan " + word(v.Release.String()) + " " + word(m.Next) + " --env " + word(v.Environment)}
	case v.Stage.Finished():
		return []string{"drawbridge migrate plan " + word(v.Release.String()) + " " + word(m.Name) + " --env " + word(v.Environment)}
	case v.Stage == workflows.StagePaused && m.Committed:
		return []string{resume}
	case v.Stage == workflows.StagePaused:
		return []string{resume, back}
	case m.Committed, v.Stage == workflows.StageCompensating:
		return []string{status}
	case m.Brownout != nil && m.Brownout.On():
		return []string{status, "drawbridge pause " + word(v.ID) + " --reason TEXT", back}
	}
	return append(append([]string{status}, acks(v)...), back)
}
