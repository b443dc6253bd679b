package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
)

// number is one named result.
type number struct {
	name  string
	bound bound
	// better is where a number without a bound should go; one with a bound should go away from it.
	better direction
	// grain is the least value that counts in a comparison of builds: what is below it counts as it.
	grain float64
}

// direction is which values of a number are the better ones.
type direction string

const (
	neither direction = "" // the number tells about the machine, or about the other side of a ratio
	higher  direction = "higher"
	lower   direction = "lower"
)

func (n number) direction() direction {
	switch n.bound.side {
	case atLeast:
		return higher
	case atMost:
		return lower
	default:
		return n.better
	}
}

// bound is what a number must be.
type bound struct {
	side side
	at   float64
}

type side string

const (
	reported side = "" // no bound: the number is only told
	atLeast  side = "≥"
	atMost   side = "≤"
)

func (b bound) String() string {
	if b.side == reported {
		return "reported"
	}
	return string(b.side) + " " + text(b.at)
}

func (b bound) met(value float64) bool {
	switch b.side {
	case atLeast:
		return value >= b.at
	case atMost:
		return value <= b.at
	default:
		return true
	}
}

// text has at most three digits after the point.
func text(value float64) string {
	return strings.TrimRight(strings.TrimRight(strconv.FormatFloat(value, 'f', 3, 64), "0"), ".")
}

// complete refuses results in which a number is missing, or has no name that is declared.
func complete(numbers []number, values map[string]float64) error {
	declared := make(map[string]bool, len(numbers))
	for _, n := range numbers {
		declared[n.name] = true
		if _, ok := values[n.name]; !ok {
			return fmt.Errorf("%s was not measured", n.name)
		}
	}
	for name := range values {
		if !declared[name] {
			return fmt.Errorf("%s was measured and is not declared", name)
		}
	}
	return nil
}

// report prints all numbers; it is an error where a bound is missed.
func (b *bench) report(numbers []number) error {
	fmt.Fprintln(b.out)
	table := tabwriter.NewWriter(b.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "number\tmeasured\ttarget\t")
	var missed []number
	for _, n := range numbers {
		verdict := ""
		switch {
		case !n.bound.met(b.values[n.name]):
			verdict = "MISSED"
			missed = append(missed, n)
		case n.bound.side != reported:
			verdict = "ok"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", n.name, text(b.values[n.name]), n.bound, verdict)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the numbers: %w", err)
	}
	if len(missed) == 0 {
		return nil
	}
	lines := make([]string, len(missed))
	for i, n := range missed {
		lines[i] = fmt.Sprintf("%s is %s and must be %s: %s", n.name, text(b.values[n.name]), n.bound, b.causes[n.name])
	}
	return fmt.Errorf("%d of %d bounds are missed\n  %s", len(missed), bounds(numbers), strings.Join(lines, "\n  "))
}

// bounds is how many numbers have one.
func bounds(numbers []number) int {
	n := 0
	for _, one := range numbers {
		if one.bound.side != reported {
			n++
		}
	}
	return n
}

// write writes what was measured as JSON.
func write(file string, measured any) error {
	body, err := json.MarshalIndent(measured, "", "  ")
	if err != nil {
		return fmt.Errorf("write the numbers: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("write the numbers: %w", err)
	}
	if err := os.WriteFile(file, append(body, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the numbers: %w", err)
	}
	return nil
}
