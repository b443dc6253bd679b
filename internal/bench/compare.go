package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// worseLimit is the ratio to the base that a number may have at most. Above 1 is worse, whatever the number is of.
const worseLimit = 1.15

// round is what one build measured in one round: numbers by name.
type round map[string]float64

// comparison is what two builds measured by turns. It is the file that make bench BASE=... writes.
type comparison struct {
	Base       string     `json:"base"`
	Limit      float64    `json:"limit"`
	Numbers    []compared `json:"numbers"`
	OnlyInBase []string   `json:"only_in_base"`
	OnlyInOurs []string   `json:"only_in_ours"`
}

// compared is one number of both builds.
type compared struct {
	Name       string    `json:"name"`
	Base       []float64 `json:"base"` // round by round, as are ours
	Ours       []float64 `json:"ours"`
	BaseMedian float64   `json:"base_median"`
	OursMedian float64   `json:"ours_median"`
	Ratio      *ratio    `json:"ratio,omitempty"` // none of a number that is neither better nor worse
}

// ratio is how much worse ours is than the base: the median of the rounds' own ratios, as what slows the machine for a
// minute slows both sides of a round, with the lowest and the highest of them.
type ratio struct {
	Median  float64 `json:"median"`
	Lowest  float64 `json:"lowest"`
	Highest float64 `json:"highest"`
	Worse   bool    `json:"worse"`
}

// compare joins the rounds of both builds. The numbers are those that this build declares; the base may have others. A
// number that one side measured in some rounds only is an error.
func compare(numbers []number, base, ours []round) (comparison, error) {
	c := comparison{Limit: worseLimit, Numbers: []compared{}, OnlyInBase: []string{}, OnlyInOurs: []string{}}
	if len(base) != len(ours) || len(base) == 0 {
		return c, fmt.Errorf("there are %d rounds of the base and %d of ours", len(base), len(ours))
	}
	declared := map[string]bool{}
	for _, n := range numbers {
		declared[n.name] = true
		b, err := series("base", n.name, base)
		if err != nil {
			return c, err
		}
		o, err := series("ours", n.name, ours)
		if err != nil {
			return c, err
		}
		switch {
		case b != nil && o != nil:
			one := compared{Name: n.name, Base: b, Ours: o, BaseMedian: median(b), OursMedian: median(o)}
			if one.Ratio, err = n.ratio(b, o); err != nil {
				return c, err
			}
			c.Numbers = append(c.Numbers, one)
		case b != nil:
			c.OnlyInBase = append(c.OnlyInBase, n.name)
		case o != nil:
			c.OnlyInOurs = append(c.OnlyInOurs, n.name)
		}
	}
	for _, r := range base {
		for name := range r {
			if !declared[name] && !slices.Contains(c.OnlyInBase, name) {
				c.OnlyInBase = append(c.OnlyInBase, name)
			}
		}
	}
	slices.Sort(c.OnlyInBase)
	if len(c.Numbers) == 0 {
		return c, errors.New("no number is of both builds")
	}
	return c, nil
}

// series is a number round by round, or nil where no round has it.
func series(side, name string, rounds []round) ([]float64, error) {
	var values []float64
	for _, r := range rounds {
		if value, ok := r[name]; ok {
			values = append(values, value)
		}
	}
	if len(values) != 0 && len(values) != len(rounds) {
		return nil, fmt.Errorf("%s has %s in %d of %d rounds", side, name, len(values), len(rounds))
	}
	return values, nil
}

func (n number) ratio(base, ours []float64) (*ratio, error) {
	if n.direction() == neither {
		return nil, nil
	}
	ratios := make([]float64, len(base))
	for i := range base {
		b, o := max(base[i], n.grain), max(ours[i], n.grain)
		if b <= 0 || o <= 0 {
			return nil, fmt.Errorf("%s has no ratio: it is %s in the base and %s here", n.name, text(base[i]), text(ours[i]))
		}
		ratios[i] = o / b
		if n.direction() == higher {
			ratios[i] = b / o
		}
	}
	m := median(ratios)
	return &ratio{Median: m, Lowest: slices.Min(ratios), Highest: slices.Max(ratios), Worse: m > worseLimit}, nil
}

// report prints all numbers; it is an error where one is worse than it may be.
func (c comparison) report(out io.Writer) error {
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "number\t%s\tours\tratio\tspread\t\n", c.Base)
	judged := 0
	var worse []string
	for _, n := range c.Numbers {
		told, spread, verdict := "", "", ""
		if r := n.Ratio; r != nil {
			judged++
			told, spread, verdict = text(r.Median), text(r.Lowest)+" to "+text(r.Highest), "ok"
			if r.Worse {
				verdict = "WORSE"
				worse = append(worse, fmt.Sprintf("%s has a ratio of %s (%s): %s in %s, %s here", n.Name, told, spread, text(n.BaseMedian), c.Base, text(n.OursMedian)))
			}
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, text(n.BaseMedian), text(n.OursMedian), told, spread, verdict)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the comparison: %w", err)
	}
	for _, only := range []struct {
		side  string
		names []string
	}{{c.Base, c.OnlyInBase}, {"ours", c.OnlyInOurs}} {
		if len(only.names) > 0 {
			fmt.Fprintf(out, "only in %s: %s\n", only.side, strings.Join(only.names, ", "))
		}
	}
	if len(worse) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d ratios are above %s\n  %s", len(worse), judged, text(c.Limit), strings.Join(worse, "\n  "))
}

// runCompare is `bench compare`: it reads what .ci/bench-compare has collected, one file of printed numbers a figure in
// DIR/<side>/<round>, and returns the exit code.
func runCompare(args []string, out io.Writer) int {
	flags := flag.NewFlagSet("bench compare", flag.ContinueOnError)
	flags.SetOutput(out)
	name := flags.String("base", "base", "what the base is called")
	rounds := flags.Int("rounds", 0, "how many rounds there are")
	file := flags.String("out", ".drawbridge/bench-compare.json", "where the comparison goes")
	if err := flags.Parse(args); err != nil {
		return 1
	}
	if err := compareDir(flags.Arg(0), *name, *rounds, *file, out); err != nil {
		fmt.Fprintf(out, "bench: %s\n", err)
		return 1
	}
	return 0
}

func compareDir(dir, name string, rounds int, file string, out io.Writer) error {
	base, err := readRounds(filepath.Join(dir, "base"), rounds)
	if err != nil {
		return err
	}
	ours, err := readRounds(filepath.Join(dir, "ours"), rounds)
	if err != nil {
		return err
	}
	var numbers []number
	for _, f := range figures() {
		numbers = append(numbers, f.numbers...)
	}
	c, err := compare(numbers, base, ours)
	if err != nil {
		return err
	}
	c.Base = name
	if err := write(file, c); err != nil {
		return err
	}
	return c.report(out)
}

func readRounds(dir string, rounds int) ([]round, error) {
	list := make([]round, rounds)
	for i := range list {
		list[i] = round{}
		files, err := filepath.Glob(filepath.Join(dir, strconv.Itoa(i+1), "*"))
		if err != nil {
			return nil, fmt.Errorf("read the rounds: %w", err)
		}
		for _, path := range files {
			printed, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read the rounds: %w", err)
			}
			values := readReport(string(printed))
			if len(values) == 0 {
				return nil, fmt.Errorf("read the rounds: %s has no numbers", path)
			}
			maps.Copy(list[i], values)
		}
	}
	return list, nil
}

// reportLine is a number and its value in what report prints.
var reportLine = regexp.MustCompile(`^([a-z0-9_]+) +(-?[0-9.]+) `)

// readReport reads the numbers out of what a build printed of one figure. It is the one form that every build has told
// its numbers in: a build that measures one figure need not write a file.
func readReport(printed string) round {
	values := round{}
	inside := false
	lines := bufio.NewScanner(strings.NewReader(printed))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "number ") {
			inside = true
			continue
		}
		found := reportLine.FindStringSubmatch(lines.Text())
		if !inside || found == nil {
			inside = false
			continue
		}
		if value, err := strconv.ParseFloat(found[2], 64); err == nil {
			values[found[1]] = value
		}
	}
	return values
}
