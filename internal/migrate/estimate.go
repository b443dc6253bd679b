package migrate

import "time"

// What a server does in a second, as far as nothing is known of it: throttled batches of a backfill, and a scan beside other work.
const (
	filledRows   = 10_000
	scannedBytes = 200_000_000
)

// Measure says how much work a plan is, by the size of the table as the server estimates it.
func Measure(p Plan, t Table) Estimate {
	e := Estimate{Rows: t.Rows, Bytes: t.Bytes}
	scanned := int64(0)
	for _, s := range p.Steps {
		if s.Class == Instant || s.Phase == Contract {
			continue
		}
		scanned += t.read(s)
		if s.Class == Concurrent {
			scanned += t.read(s) // it reads the table twice
		}
	}
	if len(p.Proofs) > 0 {
		scanned += t.Bytes
	}
	seconds := float64(scanned) / scannedBytes
	if p.Filling != nil && t.Rows > 0 {
		seconds += float64(t.Rows) / filledRows
	}
	e.Took = time.Duration(seconds * float64(time.Second)).Round(time.Second)
	return e
}

// read is how many bytes of the table a step reads. What was validated in each partition is not read again for the table.
func (t Table) read(s Step) int64 {
	if t.Kind != Partitioned {
		return t.Bytes
	}
	for _, part := range t.Partitions {
		if part.Name == s.Only {
			return part.Bytes
		}
	}
	return 0
}
