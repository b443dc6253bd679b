package pipeline

import (
	"fmt"
	"time"

	"drawbridge/internal/partition"
	"drawbridge/internal/schedule"
	"drawbridge/internal/strictyaml"
)

const (
	// longestWait bounds how long a run waits for its files: each look is a few events of its history.
	longestWait = 14 * 24 * time.Hour
	// shortestCatchup is the least that Temporal can promise, and some more: its own workers may be away for as long.
	shortestCatchup = time.Minute
	// longestLookback bounds how many partitions a run builds again; more are a backfill.
	longestLookback = 400
)

// schedule reads when a pipeline runs by itself and, where p is given, holds it against how that is cut into partitions.
func (b *builder) schedule(v strictyaml.Value, p *Pipeline) *schedule.Schedule {
	s := schedule.Schedule{
		Cron:     strictyaml.As[string](v.Get("cron")),
		Timezone: strictyaml.As[string](v.Get("timezone")),
		Lag:      strictyaml.As[time.Duration](v.Get("lag")),
		WaitFor:  strictyaml.As[time.Duration](v.Get("wait_for")),
		Overlap:  schedule.Overlap(strictyaml.As[string](v.Get("overlap"))),
		Catchup:  strictyaml.As[time.Duration](v.Get("catchup")),
		Lookback: int(strictyaml.As[int64](v.Get("lookback"))), LookbackFor: strictyaml.As[time.Duration](v.Get("lookback")),
	}
	if at := v.Get("cron"); at.OK() {
		if _, err := schedule.Parse(s.Cron); err != nil {
			b.problems.Add(at.At, "this is no cron expression: "+reasonOf(err), "write minute, hour, day of the month, month and day of the week, such as 0 6 * * *")
		}
	}
	if at := v.Get("timezone"); at.OK() {
		if _, err := partition.Zone(s.Timezone); err != nil {
			b.problems.Add(at.At, err.Error(), "use an IANA name such as Europe/Berlin")
		}
	}
	if at := v.Get("wait_for"); s.WaitFor > longestWait {
		b.problems.Add(at.At, "no run waits for longer than 14d", "lower it: what comes later is found by drawbridge gaps")
	}
	if at := v.Get("catchup"); at.OK() && s.Catchup < shortestCatchup {
		b.problems.Add(at.At, "a time cannot be made up that soon", "give 1m or more")
	}
	if at := v.Get("lookback"); s.Lookback > longestLookback || p != nil && p.Partition.By == partition.Hour && s.LookbackFor > longestLookback*time.Hour ||
		s.LookbackFor > longestLookback*24*time.Hour {
		b.problems.Add(at.At, fmt.Sprintf("a run looks back at most %d partitions", longestLookback), "lower it: more of them are a backfill")
	}
	if p == nil {
		return &s
	}
	switch p.Partition.By {
	case partition.List:
		b.problems.Add(v.At, "no partition follows from a time: the pipeline is cut by a list of values", "remove it, and call drawbridge run with --partition")
	case partition.Range:
		b.problems.Add(v.At, "no partition follows from a time: the pipeline is cut by integers", "remove it, and call drawbridge run with --partition")
	case partition.All:
		for name, given := range map[string]bool{"lag": s.Lag > 0, "lookback": s.Lookback > 0 || s.LookbackFor > 0} {
			if given {
				b.problems.Add(v.KeyAt(name), "the pipeline is one partition, so "+name+" has no effect", "remove it")
			}
		}
	case partition.Hour, partition.Day, partition.Week, partition.Month, partition.Year:
	}
	return &s
}
