package backfill

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"drawbridge/internal/partition"
)

// Reader is a pipeline of the same ledger whose active release read what is to be built, as the server saw it.
type Reader struct {
	Pipeline string
	Scheme   partition.Scheme
	// Reads are the tables that it read of those, without their schema.
	Reads []string
	// Live are its partitions, in its order.
	Live []partition.Key
}

// Downstream is what a backfill leaves to be built by others: their data is as before until they are.
type Downstream struct {
	Pipeline string   `json:"pipeline"`
	Reads    []string `json:"reads"`
	// Partitions are those of it that overlap the span.
	Partitions []Span   `json:"partitions,omitempty"`
	Commands   []string `json:"commands,omitempty"`
}

// downstreamCommands bounds how many commands are named of one pipeline.
const downstreamCommands = 6

// affected is what of readers overlaps the span, and what to type about it. Where schemes cannot be compared, all of it does.
func (p Plan) affected(scheme partition.Scheme, readers []Reader) []Downstream {
	var all []Downstream
	for _, r := range readers {
		var keys []partition.Key
		for _, key := range r.Live {
			if overlap(scheme, p.Ask, r.Scheme, key) {
				keys = append(keys, key)
			}
		}
		d := Downstream{Pipeline: r.Pipeline, Reads: slices.Clone(r.Reads), Partitions: Spans(r.Scheme, keys)}
		for _, s := range d.Partitions {
			if len(d.Commands) == downstreamCommands {
				break
			}
			command := fmt.Sprintf("drawbridge backfill %s --env %s --from %s --to %s --force", r.Pipeline, p.Environment, s.First, s.Last)
			if s.First == partition.AllKey {
				command = fmt.Sprintf("drawbridge run %s --env %s --partition all", r.Pipeline, p.Environment)
			}
			d.Commands = append(d.Commands, command)
		}
		all = append(all, d)
	}
	return all
}

// overlap says whether a partition of another scheme has rows of the span, as far as the bounds tell.
func overlap(scheme partition.Scheme, span Ask, other partition.Scheme, key partition.Key) bool {
	first, err1 := scheme.Bounds(span.From)
	last, err2 := scheme.Bounds(span.To)
	theirs, err3 := other.Bounds(key)
	if err1 != nil || err2 != nil || err3 != nil || (scheme.By == partition.Range) != (other.By == partition.Range) || other.By == partition.All {
		return true
	}
	if scheme.By == partition.Range {
		return less(integer, first.Lower, theirs.Upper) && less(integer, theirs.Lower, last.Upper)
	}
	return less(moment, first.Lower, theirs.Upper) && less(moment, theirs.Lower, last.Upper)
}

// less compares two literals; what cannot be read is no reason to leave something out.
func less(read func(string) (int64, error), a, b string) bool {
	x, err1 := read(a)
	y, err2 := read(b)
	return err1 != nil || err2 != nil || x < y
}

func integer(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

func moment(text string) (int64, error) {
	at, err := time.Parse("2006-01-02 15:04:05-07:00", text)
	return at.Unix(), err
}

func (d Downstream) String() string {
	return fmt.Sprintf("%s reads %s: %s is as before until it is built again", d.Pipeline, strings.Join(d.Reads, ", "), spansText(d.Partitions))
}
