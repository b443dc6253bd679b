package pipeline

import (
	"time"

	"drawbridge/internal/check"
)

// At is the pipeline at a moment: its checks' SQL with @now in it. Without a moment it is as it was written.
func (p *Pipeline) At(now time.Time) *Pipeline {
	if now.IsZero() {
		return p
	}
	at := *p
	at.Outputs = make([]Output, len(p.Outputs))
	for i, o := range p.Outputs {
		o.Checks = check.At(o.Checks, now)
		at.Outputs[i] = o
	}
	at.Watch.Checks = make([]check.Metric, len(p.Watch.Checks))
	for i, m := range p.Watch.Checks {
		at.Watch.Checks[i] = m.At(now)
	}
	return &at
}
