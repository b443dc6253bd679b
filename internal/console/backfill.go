package console

import (
	"cmp"

	"drawbridge/workflows"
)

// backfill draws how far a backfill is, and what has failed of it.
func (p *page) backfill(s workflows.Status) {
	b := s.Backfill
	if b == nil || b.Partitions == 0 {
		return
	}
	p.line("%s %s", p.bar(max(b.Published, b.Built), b.Partitions), backfillText(*b))
	p.line("%s to %s, %d rows, %s", b.From, b.To, b.Rows, lanes(cmp.Or(s.Lanes, b.Lanes, 1)))
	if b.Throttled != "" {
		p.line("%s %s", p.yellow("throttled:"), b.Throttled)
	}
	var rows [][]any
	for _, f := range b.Failures {
		rows = append(rows, []any{p.red("✘"), f.Name, f.Why})
	}
	p.table("  ", rows...)
	p.blank()
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
