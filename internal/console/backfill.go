package console

import (
	"cmp"
	"strings"

	"drawbridge/internal/backfill"
	"drawbridge/workflows"
)

// backfill draws how far a backfill is, and what has failed of it.
func (p *page) backfill(s workflows.Status) {
	b := s.Backfill
	if b == nil || b.Partitions == 0 {
		return
	}
	p.line("%s %s", p.bar(max(b.Published, b.Built), b.Partitions), backfillText(*b))
	p.line("%s", p.heat(b.Heat))
	p.line("%s", amount(s))
	if b.Throttled != "" {
		p.line("%s", p.waits(*b))
	}
	if b.Deviates != "" {
		p.line("%s of %s, while %s is active", p.yellow("deviating by choice:"), s.Release, b.Deviates)
	}
	if b.Stalled != nil {
		p.line("%s since %s", p.red("stalled"), p.clock(*b.Stalled, "01-02 15:04"))
	}
	var rows [][]any
	for _, f := range b.Failures {
		rows = append(rows, []any{p.red("✘"), f.Name, f.Why})
	}
	p.table("  ", rows...)
	p.blank()
}

// waits is why nothing of it is begun right now.
func (s Screen) waits(b workflows.BackfillStatus) ink {
	return inkf("%s %s", s.yellow(strings.ToLower(b.Waits())+":"), b.Throttled)
}

// heat draws a strip of partitions, in the order in which they are built.
func (s Screen) heat(strip string) ink {
	var text ink
	for from := 0; from < len(strip); {
		to := from + 1
		for to < len(strip) && strip[to] == strip[from] {
			to++
		}
		shades := backfill.Shades(strip[from:to])
		switch strip[from] {
		case backfill.HeatFailed:
			text += s.red(shades)
		case backfill.HeatLeft:
			text += s.yellow(shades)
		case backfill.HeatWaits:
			text += s.dim(shades)
		default:
			text += s.green(shades)
		}
		from = to
	}
	return text
}

// amount is what is built, how fast, and by how many.
func amount(s workflows.Status) ink {
	b := s.Backfill
	text := inkf("%s to %s, %d rows", b.From, b.To, b.Rows)
	if b.RowSpeed > 0 && b.Left != "" {
		text += inkf(", %.0f a second", b.RowSpeed)
	}
	text += inkf(", %s", lanes(cmp.Or(s.Lanes, b.Lanes, 1)))
	if s.Window != "" {
		text += inkf(", works %s", s.Window)
	}
	return text
}

func backfillText(b workflows.BackfillStatus) ink {
	text := inkf("%d of %d partitions", b.Published, b.Partitions)
	if b.Built > b.Published {
		text = inkf("%d of %d partitions built, none published yet", b.Built, b.Partitions)
		if b.Published > 0 {
			text = inkf("%d of %d partitions published", b.Published, b.Partitions)
		}
	}
	if b.Failed > 0 {
		text += inkf(", %d failed", b.Failed)
	}
	if b.Skipped > 0 {
		text += inkf(", %d left out", b.Skipped)
	}
	if b.Speed > 0 && b.Left != "" {
		text += inkf(", %.1f a second, %s left", b.Speed, b.Left)
	}
	return text
}
