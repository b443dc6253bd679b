package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

const (
	wholeRows  = 300_000
	wholeDays  = 365
	wholePairs = 3
	// small partitions: many of them, with few rows.
	smallDays     = 500
	smallDayRows  = 50
	smallRepeats  = 3
	wholeDeployed = 10 * time.Minute
)

//go:embed wholefile
var wholeFolder embed.FS

//go:embed sql
var scripts embed.FS

// wholeFileFigure compares a first deployment of a pipeline whose days come in one file with a hand-written psql script that loads
// the same file.
func wholeFileFigure() figure {
	return figure{
		name: "whole_file_vs_sql",
		numbers: []number{
			{name: "whole_file_vs_sql", bound: bound{atLeast, 0.33}},
			{name: "whole_file_unbatched_vs_sql", bound: bound{atLeast, 0.10}},
			{name: "whole_file_s", better: lower},
			{name: "whole_file_unbatched_s", better: lower},
			{name: "whole_file_sql_s"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onLine(ctx, b, wholeDays, wholeRows/wholeDays+1, measureWholeFile)
		},
	}
}

// smallPartitionsFigure is a backfill of many small partitions that come in one file.
func smallPartitionsFigure() figure {
	return figure{
		name:    "backfill_batch_ms",
		numbers: []number{{name: "backfill_batch_ms", bound: bound{atMost, 12}}},
		measure: func(ctx context.Context, b *bench) error {
			return onLine(ctx, b, smallDays, smallDayRows, measureSmallPartitions)
		},
	}
}

// line is a worker, a CLI, and one file of many days.
type line struct {
	*site
	programs
	b    *bench
	file string
	days int
	rows int
}

// onLine runs a measurement on a site of its own, with a running worker and the file.
func onLine(ctx context.Context, b *bench, days, perDay int, measure func(ctx context.Context, l *line) error) error {
	return onSite(ctx, b, func(ctx context.Context, s *site) error {
		if os.Getenv(temporalVariable) == "" {
			return errors.New(temporalVariable + " is not set: make bench sets it")
		}
		l := &line{site: s, b: b, days: days, rows: days * perDay, programs: newPrograms(s)}
		if err := l.compile(ctx); err != nil {
			return err
		}
		if err := l.writeDays(perDay); err != nil {
			return fmt.Errorf("write the orders: %w", err)
		}
		if err := l.writePolicy(); err != nil {
			return err
		}
		w, err := l.startWorker(ctx)
		if err != nil {
			return err
		}
		measured := measure(ctx, l)
		_, err = w.stop()
		if err := errors.Join(measured, err); err != nil {
			return fmt.Errorf("%w\n%s", err, w.tail())
		}
		return nil
	})
}

// writeDays writes the orders of all days into one file, day after day, each in no order.
func (l *line) writeDays(perDay int) error {
	l.file = filepath.Join(l.site.dir, "data", "orders.csv")
	if err := os.MkdirAll(filepath.Dir(l.file), 0o755); err != nil {
		return err
	}
	var all bytes.Buffer
	for d := range l.days {
		var one bytes.Buffer
		if err := writeOrders(&one, firstDay().AddDate(0, 0, d), perDay, unsorted); err != nil {
			return err
		}
		head, rest, _ := bytes.Cut(one.Bytes(), []byte("\n"))
		if d == 0 {
			all.Write(append(head, '\n'))
		}
		all.Write(rest)
	}
	return os.WriteFile(l.file, all.Bytes(), 0o644)
}

// name is one that nobody else has: of a schema, and of the pipeline that has it.
func newName() string { return "bench_" + strings.ToLower(rand.Text()[:8]) }

// first deploys the pipeline for the first time, under a name of its own, which it returns with the time that this took.
func (l *line) first(ctx context.Context, edit func(text string) string) (name string, took time.Duration, err error) {
	name = newName()
	folder := filepath.Join(l.site.dir, name)
	err = writeEmbedded(wholeFolder, "wholefile", folder, func(file, text string) string {
		switch file {
		case "pipeline.yaml":
			return edit(strings.Replace(text, "name: whole\n", "name: "+name+"\n", 1))
		case "config.bench.yaml":
			return strings.Replace(text, "warehouse_schema: whole\n", "warehouse_schema: "+name+"\n", 1)
		}
		return text
	})
	if err != nil {
		return name, 0, fmt.Errorf("write the release: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, wholeDeployed)
	defer cancel()
	passed := clock()
	if out, err := l.cli(ctx, "deploy", folder, "--to", environment, "--reason", "measure"); err != nil {
		return name, 0, fmt.Errorf("deploy: %w\n%s", err, out)
	}
	took = passed()
	return name, took, l.holds(ctx, name)
}

// holds says that all rows of the file are there.
func (l *line) holds(ctx context.Context, schema string) error {
	var live, days int
	if err := l.db.QueryRow(ctx, "SELECT count(*), count(DISTINCT ordered_on) FROM "+pgx.Identifier{schema, table}.Sanitize()).Scan(&live, &days); err != nil {
		return fmt.Errorf("count what is live: %w", err)
	}
	if live != l.rows || days != l.days {
		return fmt.Errorf("%d rows of %d days are live where the file has %d of %d", live, days, l.rows, l.days)
	}
	return nil
}

func batchesAsWritten(text string) string { return text }

func noBatches(text string) string { return strings.Replace(text, ", batch: 64", "", 1) }

func measureWholeFile(ctx context.Context, l *line) error {
	var batched, unbatched, written sample
	for range wholePairs {
		for _, side := range []struct {
			times *sample
			run   func(ctx context.Context) (string, time.Duration, error)
		}{
			{&written, l.byHand},
			{&batched, func(ctx context.Context) (string, time.Duration, error) { return l.first(ctx, batchesAsWritten) }},
			{&unbatched, func(ctx context.Context) (string, time.Duration, error) { return l.first(ctx, noBatches) }},
		} {
			schema, took, err := side.run(ctx)
			if err := errors.Join(err, dropSchemas(ctx, l.db, schema)); err != nil {
				return err
			}
			*side.times = append(*side.times, took)
		}
	}
	l.b.put("whole_file_vs_sql", ratioOf(written, batched))
	l.b.put("whole_file_unbatched_vs_sql", ratioOf(written, unbatched))
	l.b.put("whole_file_s", batched.median().Seconds())
	l.b.put("whole_file_unbatched_s", unbatched.median().Seconds())
	l.b.put("whole_file_sql_s", written.median().Seconds())
	l.b.because("whole_file_vs_sql", "medians of %d: by hand %.2f s, deployed in batches %.2f s, and one by one %.2f s",
		wholePairs, written.median().Seconds(), batched.median().Seconds(), unbatched.median().Seconds())
	return nil
}

// ratioOf is the median of the pairs' own ratios.
func ratioOf(written, deployed sample) float64 {
	ratios := make([]float64, len(written))
	for i := range written {
		ratios[i] = written[i].Seconds() / deployed[i].Seconds()
	}
	return median(ratios)
}

func measureSmallPartitions(ctx context.Context, l *line) error {
	name, _, err := l.first(ctx, batchesAsWritten)
	if err != nil {
		return errors.Join(err, dropSchemas(ctx, l.db, name))
	}
	var each []float64
	for range smallRepeats {
		passed := clock()
		out, err := l.cli(ctx, "backfill", name, "--env", environment, "--force", "--lanes", "2", "--reason", "measure",
			"--from", string(dayKey(firstDay())), "--to", string(dayKey(firstDay().AddDate(0, 0, l.days-1))))
		took := passed()
		if err != nil {
			return errors.Join(fmt.Errorf("backfill: %w\n%s", err, out), dropSchemas(ctx, l.db, name))
		}
		each = append(each, took.Seconds()*1000/float64(l.days))
	}
	l.b.put("backfill_batch_ms", median(each))
	l.b.because("backfill_batch_ms", "%d partitions of %d rows in 2 lanes; of %d backfills: %.1f ms a partition", l.days, l.rows/l.days, smallRepeats, each)
	return errors.Join(l.holds(ctx, name), dropSchemas(ctx, l.db, name))
}

// byHand runs the scripts: the one that fills alone, then the two that index at the same time, then the one that analyzes.
func (l *line) byHand(ctx context.Context) (schema string, took time.Duration, err error) {
	psql, err := newPsql(l.site)
	if err != nil {
		return "", 0, err
	}
	schema = newName()
	file, err := os.Open(l.file)
	if err != nil {
		return schema, 0, err
	}
	defer func() { _ = file.Close() }()
	passed := clock()
	if err := psql.run(ctx, "whole_file.sql", file, "schema="+schema, "days="+strconv.Itoa(l.days)); err != nil {
		return schema, 0, err
	}
	both, indexing := errgroup.WithContext(ctx)
	for _, script := range []string{"whole_file_key.sql", "whole_file_index.sql"} {
		both.Go(func() error { return psql.run(indexing, script, nil, "schema="+schema) })
	}
	if err := both.Wait(); err != nil {
		return schema, 0, err
	}
	if err := psql.run(ctx, "whole_file_analyze.sql", nil, "schema="+schema); err != nil {
		return schema, 0, err
	}
	took = passed()
	return schema, took, l.holds(ctx, schema)
}

// psql runs scripts of this folder.
type psql struct {
	program     string
	environment []string
}

func newPsql(s *site) (psql, error) {
	program, err := exec.LookPath("psql")
	if err != nil {
		return psql{}, errors.New("the scripts of internal/bench/sql are psql's, and there is no psql on the PATH")
	}
	environment, err := psqlEnvironment(s.url)
	return psql{program: program, environment: environment}, err
}

func (p psql) run(ctx context.Context, script string, in io.Reader, variables ...string) error {
	text, err := scripts.ReadFile("sql/" + script)
	if err != nil {
		return fmt.Errorf("read %s: %w", script, err)
	}
	path, err := os.CreateTemp("", "drawbridge-*.sql")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(path.Name()) }()
	if _, err := path.Write(text); err != nil {
		return err
	}
	if err := path.Close(); err != nil {
		return err
	}
	args := []string{"-X", "-q", "-o", os.DevNull, "-f", path.Name()}
	for _, v := range variables {
		args = append(args, "-v", v)
	}
	cmd := exec.CommandContext(ctx, p.program, args...)
	cmd.Env, cmd.Stdin = p.environment, in
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", script, err, bytes.TrimSpace(out))
	}
	return nil
}
