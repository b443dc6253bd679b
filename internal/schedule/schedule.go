// Package schedule knows recurring runs: at which times of a cron expression which partitions are due, and what becomes of a
// schedule when another release is active or somebody turns back. It is pure.
package schedule

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// Overlap is what a time does at which the run of an earlier one is still open.
type Overlap string

// The kinds of overlap. Whatever is left out is found by gaps.
const (
	Queue    Overlap = "queue"    // it waits for its turn
	Parallel Overlap = "parallel" // it runs beside the other
	Skip     Overlap = "skip"     // it is left out
)

// Schedule is when a pipeline runs in an environment, and which partitions.
type Schedule struct {
	Cron string `json:"cron"`
	// Timezone is the zone in which the cron expression is read; empty is that of the partitions.
	Timezone string `json:"timezone,omitempty"`
	// Lag is how far before its time the partition is that is due.
	Lag time.Duration `json:"lag,omitempty"`
	// WaitFor is how long after its time a run waits for files that are not there yet.
	WaitFor time.Duration `json:"wait_for,omitempty"`
	Overlap Overlap       `json:"overlap"`
	// Catchup is how late a time may be made up that passed while Temporal was away.
	Catchup time.Duration `json:"catchup"`
	// Lookback is how many partitions before the one that is due are run again; LookbackFor is, in its place, how far before its time
	// the first of them is.
	Lookback    int           `json:"lookback,omitempty"`
	LookbackFor time.Duration `json:"lookback_for,omitempty"`
}

// Zone is the name of the zone in which the cron expression is read.
func (s Schedule) Zone(scheme partition.Scheme) string {
	for _, name := range []string{s.Timezone, scheme.Timezone} {
		if name != "" {
			return name
		}
	}
	return "UTC"
}

// Times reads the cron expression in its zone.
func (s Schedule) Times(scheme partition.Scheme) (Times, error) {
	cron, err := Parse(s.Cron)
	if err != nil {
		return Times{}, err
	}
	zone, err := partition.Zone(s.Zone(scheme))
	if err != nil {
		return Times{}, fault.New(fault.Invalid, "read schedule", "timezone", "use an IANA name such as Europe/Berlin", err)
	}
	return Times{cron: cron, zone: zone}, nil
}

// Keys are the partition that is due at a time, and those before it that are run again, oldest first. They follow from the time
// that was meant, and not from when a run begins.
func (s Schedule) Keys(scheme partition.Scheme, at time.Time) (due partition.Key, before []partition.Key, err error) {
	if due, err = scheme.Of(at, s.Lag); err != nil {
		return "", nil, err
	}
	first := due
	if s.LookbackFor > 0 {
		if first, err = scheme.Of(at, s.Lag+s.LookbackFor); err != nil {
			return "", nil, err
		}
	}
	for key := due; len(before) < s.Lookback || scheme.Compare(first, key) < 0; {
		if key, err = scheme.Prev(key); err != nil {
			return "", nil, err
		}
		before = append(before, key)
	}
	slices.Reverse(before)
	return due, before, nil
}

// Words are a schedule as a plan and a list say it, with everything that it decides.
func (s Schedule) Words(scheme partition.Scheme) string {
	parts := []string{s.When(scheme)}
	which := "the partition of its time"
	if s.Lag > 0 {
		which = "the partition of " + Short(s.Lag) + " before"
	}
	if scheme.By == partition.All {
		which = "the one partition"
	}
	if s.Lookback > 0 {
		which += fmt.Sprintf(", and the %d before that", s.Lookback)
	}
	if s.LookbackFor > 0 {
		which += ", and those of " + Short(s.LookbackFor) + " before that"
	}
	parts = append(parts, which)
	if s.WaitFor > 0 {
		parts = append(parts, "waits "+Short(s.WaitFor)+" for its files")
	}
	return strings.Join(append(parts, "overlap: "+string(s.Overlap), "catchup: "+Short(s.Catchup)), "; ")
}

// When is the cron expression with its zone.
func (s Schedule) When(scheme partition.Scheme) string { return s.Cron + " (" + s.Zone(scheme) + ")" }

// Short prints a duration as people write it.
func Short(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day && d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	text := strings.TrimSuffix(d.String(), "0s")
	if strings.HasSuffix(text, "h0m") {
		return strings.TrimSuffix(text, "0m")
	}
	if text == "" || !strings.HasSuffix(text, "m") {
		return d.String()
	}
	return text
}

// Input is what a scheduled run is started with. It runs what is active when it begins: what is said here of the release and its
// schedule is what people see.
type Input struct {
	Pipeline    string           `json:"pipeline"`
	Environment string           `json:"environment"`
	Release     release.Release  `json:"release"`
	Schedule    Schedule         `json:"schedule"`
	Scheme      partition.Scheme `json:"scheme"`
}

// ID names the one schedule that a pipeline may have in an environment.
func ID(pipeline, environment string) string { return prefix + pipeline + "/" + environment }

// OfID reads what ID made; ok is false for the ID of anything else.
func OfID(id string) (pipeline, environment string, ok bool) {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok {
		return "", "", false
	}
	pipeline, environment, ok = strings.Cut(rest, "/")
	return pipeline, environment, ok && pipeline != "" && environment != "" && !strings.Contains(environment, "/")
}

// RunsPrefix is what the IDs of all scheduled runs begin with; RunsID what those of one schedule do, before their time.
const RunsPrefix = "scheduled/"

// RunsID is what the IDs of the runs of a schedule begin with. Temporal adds the time.
func RunsID(pipeline, environment string) string { return RunsPrefix + pipeline + "/" + environment }

const prefix = "schedule/"
