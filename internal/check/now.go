package check

import (
	"strings"
	"time"

	"drawbridge/internal/sqltext"
)

// NowParam is the placeholder of a check's SQL that stands for the moment of the run or of the look: one clock for all that
// a run or a look reads, which the server's own is not.
const NowParam = "now"

// At returns the check at a moment: its SQL with @now as a timestamptz.
func (c Check) At(now time.Time) Check {
	c.SQL = at(c.SQL, now)
	return c
}

// At returns the metric at a moment.
func (m Metric) At(now time.Time) Metric {
	m.SQL = at(m.SQL, now)
	return m
}

// At returns checks at a moment.
func At(checks []Check, now time.Time) []Check {
	out := make([]Check, len(checks))
	for i, c := range checks {
		out[i] = c.At(now)
	}
	return out
}

func at(sql string, now time.Time) string {
	tokens, _ := sqltext.Scan(sql)
	var b strings.Builder
	from := 0
	for _, t := range tokens {
		if t.Kind == sqltext.Placeholder && t.Text == NowParam {
			b.WriteString(sql[from:t.Start] + "'" + now.UTC().Format("2006-01-02 15:04:05.999999Z07:00") + "'::pg_catalog.timestamptz")
			from = t.End
		}
	}
	return b.String() + sql[from:]
}
