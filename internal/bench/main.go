// Command bench measures the figures that Drawbridge promises, against a real Postgres and a real Temporal, and holds
// them to their bounds. What is compared is measured side by side in one run, by turns, and judged by medians, so that a
// busy machine moves both sides.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// warehouseVariable names the Postgres to measure on. Its schemas bench_* are the bench's.
const warehouseVariable = "DRAWBRIDGE_WAREHOUSE"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// figure is one measurement, which finds some numbers.
type figure struct {
	name    string
	numbers []number
	measure func(ctx context.Context, b *bench) error
}

func figures() []figure {
	return []figure{
		loadFigure(), mergeFigure(), rollbackFigure(), pauseFigure(), cutoverFigure(), chunksFigure(), checksFigure(), memoryFigure(), wholeFileFigure(),
		smallPartitionsFigure(), backfillFigure(), backfillOverheadFigure(), backfillManyFigure(),
		notNullFigure(), migrateFillFigure(), pgrollFigure(),
		dualWriteFigure(), extractFigure(),
	}
}

// bench is one run of all figures.
type bench struct {
	url    string // of the warehouse; it holds credentials and is never shown
	out    io.Writer
	values map[string]float64
	causes map[string]string // why a number is what it is, for the reader of a missed bound
}

// say tells how far the run is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.out, "  "+format+"\n", args...)
}

func (b *bench) put(name string, value float64) { b.values[name] = value }

// because records where a number comes from, and says it.
func (b *bench) because(name, format string, args ...any) {
	b.causes[name] = fmt.Sprintf(format, args...)
	b.say("%s", b.causes[name])
}

// run returns the exit code: 0 where every bound is met, 1 where one is missed or could not be measured.
func run(ctx context.Context, args []string, out io.Writer) int {
	if len(args) > 0 && args[0] == "compare" {
		return runCompare(args[1:], out)
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	only := flags.String("only", "", "measure one figure, and write no file: "+strings.Join(names(figures()), ", "))
	file := flags.String("out", ".drawbridge/bench.json", "where the numbers go")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 1
	}
	chosen := figures()
	if *only != "" {
		chosen = slices.DeleteFunc(chosen, func(f figure) bool { return f.name != *only })
		*file = ""
	}
	b := &bench{url: os.Getenv(warehouseVariable), out: out, values: map[string]float64{}, causes: map[string]string{}}
	if err := b.run(ctx, chosen, *file); err != nil {
		fmt.Fprintf(out, "bench: %s\n", err)
		return 1
	}
	return 0
}

func (b *bench) run(ctx context.Context, chosen []figure, file string) error {
	if len(chosen) == 0 {
		return errors.New("there is no such figure; -help lists them")
	}
	if b.url == "" {
		return errors.New(warehouseVariable + " is not set: make bench sets it")
	}
	var numbers []number
	for _, f := range chosen {
		fmt.Fprintf(b.out, "%s (load average %s)\n", f.name, loadAverage())
		started := time.Now()
		if err := f.measure(ctx, b); err != nil {
			return fmt.Errorf("measure %s: %w", f.name, err)
		}
		b.say("took %.0f s", time.Since(started).Seconds())
		numbers = append(numbers, f.numbers...)
	}
	if err := complete(numbers, b.values); err != nil {
		return err
	}
	if file != "" {
		if err := write(file, b.values); err != nil {
			return err
		}
	}
	return b.report(numbers)
}

func names(list []figure) []string {
	names := make([]string, len(list))
	for i, f := range list {
		names[i] = f.name
	}
	return names
}

// loadAverage tells how busy the machine is, where it says so.
func loadAverage() string {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(content), " ")
	return one
}
