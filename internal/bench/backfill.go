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
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"drawbridge/workflows"
)

const (
	fillDays  = 200
	fillRows  = 10_000
	fillPairs = 3
	fillLanes = 2
	emptyDays = 500
	manyDays  = 10_000
	manyRows  = 5
	fewDays   = 100
	// severalDays are the first of manyDays.
	severalDays = 2_000
	recoveries  = 3
	// fillLimit bounds one backfill, and recoveryLimit how long a new worker may take.
	fillLimit     = time.Hour
	recoveryLimit = 2 * time.Minute
)

//go:embed sql/backfill_*.sql
var backfillScripts embed.FS

// backfillFigure compares a backfill with a hand-written script that does the same in as many connections as it has lanes, and measures
// how soon a new worker goes on with it.
func backfillFigure() figure {
	return figure{
		name: "backfill",
		numbers: []number{
			{name: "backfill_vs_sql", bound: bound{atLeast, 0.85}},
			{name: "backfill_vs_bare_sql", bound: bound{atLeast, 0.60}},
			{name: "backfill_mrows_s", better: higher},
			{name: "backfill_sql_mrows_s"},
			{name: "recovery_s", bound: bound{atMost, 15}, grain: 1},
		},
		measure: func(ctx context.Context, b *bench) error {
			return filling(ctx, b, fillDays, fillRows, func(ctx context.Context, f *filled) error { return f.compare(ctx) })
		},
	}
}

// backfillOverheadFigure is what a partition costs that has no rows, above the script.
func backfillOverheadFigure() figure {
	return figure{
		name: "backfill_overhead",
		numbers: []number{
			{name: "backfill_overhead_ms", bound: bound{atMost, 25}},
			{name: "backfill_rebuilt_vs_sql", bound: bound{atMost, 2}},
			{name: "planning_ms_unpruned_500", better: lower},
		},
		measure: func(ctx context.Context, b *bench) error {
			return filling(ctx, b, emptyDays, 0, func(ctx context.Context, f *filled) error { return f.overhead(ctx) })
		},
	}
}

// backfillManyFigure is how history and memory grow with the number of partitions.
func backfillManyFigure() figure {
	return figure{
		name: "backfill_many",
		numbers: []number{
			{name: "events_per_partition", bound: bound{atMost, 0.2}},
			{name: "worker_rss_many_vs_few", bound: bound{atMost, 1.2}},
			{name: "planning_ms_unpruned_2000", better: lower},
			{name: "planning_ms_unpruned_10000", better: lower},
		},
		measure: measureMany,
	}
}

// filled is a pipeline of many days, one file each, of which the first one is deployed.
type filled struct {
	*site
	programs
	b      *bench
	days   int
	rows   int // of a day
	name   string
	worker *worker
}

// filling runs a measurement on a site of its own, with a running worker and the files.
func filling(ctx context.Context, b *bench, days, rows int, measure func(ctx context.Context, f *filled) error) error {
	return onSite(ctx, b, func(ctx context.Context, s *site) (err error) {
		if os.Getenv(temporalVariable) == "" {
			return errors.New(temporalVariable + " is not set: make bench sets it")
		}
		f := &filled{site: s, b: b, days: days, rows: rows, programs: programs{dir: s.dir, environment: append(os.Environ(), warehouseVariable+"="+s.url,
			"DRAWBRIDGE_STORE="+filepath.Join(s.dir, "store"), "DRAWBRIDGE_USER=bench", "NO_COLOR=1")}, name: "bench_" + strings.ToLower(rand.Text()[:8])}
		defer func() { err = errors.Join(err, dropSchemas(ctx, f.db, f.name)) }()
		measured := f.prepare(ctx)
		if measured == nil {
			measured = measure(ctx, f)
		}
		if f.worker != nil {
			_, stopped := f.worker.stop()
			if measured = errors.Join(measured, stopped); measured != nil {
				measured = fmt.Errorf("%w\n%s", measured, f.worker.tail())
			}
		}
		return measured
	})
}

// prepare starts a worker, and deploys the first day.
func (f *filled) prepare(ctx context.Context) error {
	if err := f.compile(ctx); err != nil {
		return err
	}
	if err := f.writePolicy(); err != nil {
		return err
	}
	files, err := folderFiles()
	if err != nil {
		return err
	}
	for name, content := range files {
		text := strings.NewReplacer("name: bench\n", "name: "+f.name+"\n", "warehouse_schema: bench\n", "warehouse_schema: "+f.name+"\n").Replace(string(content))
		if f.rows == 0 {
			text = strings.NewReplacer("row_count: {min: 1}", "row_count: {min: 0}", "sql: sum(amount),", `sql: "coalesce(sum(amount), 0)",`).Replace(text)
		}
		path := filepath.Join(f.programs.dir, "release", filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			return fmt.Errorf("write the release: %w", err)
		}
	}
	if err := os.MkdirAll(f.data(), 0o755); err != nil {
		return fmt.Errorf("write the orders: %w", err)
	}
	if _, err := writeFile(f.data(), firstDay(), f.rows, unsorted); err != nil {
		return fmt.Errorf("write the orders: %w", err)
	}
	if f.worker, err = f.startWorker(ctx); err != nil {
		return err
	}
	if err := f.deploy(ctx); err != nil {
		return err
	}
	for d := range f.days {
		if _, err := writeFile(f.data(), f.day(d), f.rows, unsorted); err != nil {
			return fmt.Errorf("write the orders: %w", err)
		}
	}
	return nil
}

func (f *filled) data() string { return filepath.Join(f.programs.dir, "data") }

func (f *filled) day(n int) time.Time { return firstDay().AddDate(0, 0, n) }

// backfill builds all days by the program, and says how long that took.
func (f *filled) backfill(ctx context.Context, flags ...string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, fillLimit)
	defer cancel()
	args := append([]string{
		"backfill", f.name, "--env", environment, "--force", "--lanes", fmt.Sprint(fillLanes), "--reason", "measure",
		"--from", string(dayKey(f.day(0))), "--to", string(dayKey(f.day(f.days - 1))),
	}, flags...)
	passed := clock()
	out, err := f.cli(ctx, args...)
	if err != nil {
		return 0, fmt.Errorf("backfill: %w\n%s", err, out)
	}
	return passed(), nil
}

// holds says that every row of every day is there.
func (f *filled) holds(ctx context.Context, schema string) error {
	for from := 0; from < f.days; from += 100 { // a read of all of them would lock every partition
		to := min(from+100, f.days)
		var rows int
		if err := f.db.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{schema, table}.Sanitize()+" WHERE ordered_on >= $1 AND ordered_on < $2", f.day(from), f.day(to)).Scan(&rows); err != nil {
			return fmt.Errorf("count what is live: %w", err)
		}
		if rows != (to-from)*f.rows {
			return fmt.Errorf("%d rows are live of days that have %d", rows, (to-from)*f.rows)
		}
	}
	return nil
}

// script is the hand-written one: as many connections as there are lanes, each with every so manieth day.
type script struct {
	*filled
	program     string
	environment []string
	schema      string
	round       int
}

func (f *filled) byHand(ctx context.Context) (*script, error) {
	program, err := exec.LookPath("psql")
	if err != nil {
		return nil, errors.New("the scripts of internal/bench/sql are psql's, and there is no psql on the PATH")
	}
	vars, err := psqlEnvironment(f.url)
	if err != nil {
		return nil, err
	}
	s := &script{filled: f, program: program, environment: vars, schema: "bench_" + strings.ToLower(rand.Text()[:8])}
	var begin bytes.Buffer
	return s, errors.Join(s.include(&begin, "begin"), s.psql(ctx, &begin))
}

// include adds a script of this folder.
func (s *script) include(to io.Writer, name string) error {
	text, err := backfillScripts.ReadFile("sql/backfill_" + name + ".sql")
	if err == nil {
		_, err = to.Write(text)
	}
	return err
}

func (s *script) psql(ctx context.Context, input io.Reader) error {
	cmd := exec.CommandContext(ctx, s.program, "-X", "-q", "-o", os.DevNull, "-v", "schema="+s.schema)
	cmd.Env, cmd.Stdin = s.environment, input
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run the script: %w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// run builds all days; bare leaves out audit and checksum.
func (s *script) run(ctx context.Context, bare bool) (time.Duration, error) {
	s.round++
	lanes := make([]bytes.Buffer, fillLanes)
	for i := range lanes {
		if err := s.include(&lanes[i], "lane"); err != nil {
			return 0, err
		}
	}
	for d := range s.days {
		lane, day := &lanes[d%fillLanes], s.day(d)
		old := ""
		if s.round > 1 {
			old = fmt.Sprintf("d%d_%d", d, s.round-1)
		}
		fmt.Fprintf(lane, "\\set day '%s'\n\\set next '%s'\n\\set fresh d%d_%d\n\\set old '%s'\n\\set least %d\n",
			dayKey(day), dayKey(day.AddDate(0, 0, 1)), d, s.round, old, min(1, s.rows))
		fmt.Fprintf(lane, "\\copy raw_orders from '%s' with (format csv, header true)\n", filepath.Join(s.data(), "orders_"+string(dayKey(day))+".csv"))
		parts := []string{"build", "audit", "swap"}
		if bare {
			parts = []string{"build", "swap"}
		}
		for _, part := range parts {
			if err := s.include(lane, part); err != nil {
				return 0, err
			}
		}
	}
	passed := clock()
	both, running := errgroup.WithContext(ctx)
	for i := range lanes {
		both.Go(func() error { return s.psql(running, &lanes[i]) })
	}
	err := both.Wait()
	return passed(), errors.Join(err, s.holds(ctx, s.schema))
}

func (f *filled) compare(ctx context.Context) error {
	s, err := f.byHand(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = dropSchemas(ctx, f.db, s.schema) }()
	if _, err := f.backfill(ctx); err != nil { // both sides replace what is there
		return err
	}
	if _, err := s.run(ctx, true); err != nil {
		return err
	}
	var full, bare, ours []float64
	var took, written sample
	for range fillPairs {
		a, err := s.run(ctx, false)
		if err != nil {
			return err
		}
		b, err := f.backfill(ctx)
		if err != nil {
			return err
		}
		c, err := s.run(ctx, true)
		if err != nil {
			return err
		}
		took, written = append(took, b), append(written, a)
		full, bare, ours = append(full, a.Seconds()/b.Seconds()), append(bare, c.Seconds()/b.Seconds()), append(ours, b.Seconds())
	}
	if err := f.holds(ctx, f.name); err != nil {
		return err
	}
	rows := float64(f.days*f.rows) / 1e6
	f.b.put("backfill_vs_sql", median(full))
	f.b.put("backfill_vs_bare_sql", median(bare))
	f.b.because("backfill_vs_bare_sql", "over the script without audit and checksum, each time: %.2f", bare)
	f.b.put("backfill_mrows_s", rows/took.median().Seconds())
	f.b.put("backfill_sql_mrows_s", rows/written.median().Seconds())
	f.b.because("backfill_vs_sql", "%d days of %d rows in %d lanes: %.1f s; the script %.1f s", f.days, f.rows, fillLanes, ours, written.median().Seconds())
	return f.recover(ctx)
}

// published is how many swaps the ledger has.
func (f *filled) published(ctx context.Context) (n int, err error) {
	err = f.db.QueryRow(ctx, "SELECT count(*) FROM "+pgx.Identifier{f.name + "__ledger", "swap"}.Sanitize()).Scan(&n)
	return n, err
}

// recover kills the worker in the middle of a backfill, starts another one at once, and measures until the next partition is published.
func (f *filled) recover(ctx context.Context) error {
	var all []float64
	for range recoveries {
		before, err := f.published(ctx)
		if err != nil {
			return err
		}
		if _, err := f.backfill(ctx, "--detach"); err != nil {
			return err
		}
		if err := f.grows(ctx, before+f.days/10); err != nil {
			return err
		}
		if err := f.worker.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill the worker: %w", err)
		}
		_ = f.worker.cmd.Wait() // it was killed
		passed := clock()
		at, err := f.published(ctx)
		if err != nil {
			return err
		}
		if f.worker, err = f.startWorker(ctx); err != nil {
			return err
		}
		if err := f.grows(ctx, at+1); err != nil {
			return err
		}
		all = append(all, passed().Seconds())
		if out, err := f.cli(ctx, "status", f.id(), "--watch"); err != nil {
			return fmt.Errorf("follow the backfill: %w\n%s", err, out)
		}
	}
	f.b.put("recovery_s", median(all))
	f.b.because("recovery_s", "from the kill to the next published partition, each time: %.1f s", all)
	return f.holds(ctx, f.name)
}

func (f *filled) id() string {
	return workflows.BackfillID(f.name, environment, dayKey(f.day(0)), dayKey(f.day(f.days-1)))
}

func (f *filled) grows(ctx context.Context, to int) error {
	ctx, cancel := context.WithTimeout(ctx, recoveryLimit)
	defer cancel()
	for {
		n, err := f.published(ctx)
		if err != nil || n >= to {
			return err
		}
		wait(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("%d partitions are published after %s, not %d", n, recoveryLimit, to)
		}
	}
}

func (f *filled) overhead(ctx context.Context) error {
	s, err := f.byHand(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = dropSchemas(ctx, f.db, s.schema) }()
	byScript, err := s.run(ctx, false)
	if err != nil {
		return err
	}
	ours, err := f.backfill(ctx)
	if err != nil {
		return err
	}
	var ratios []float64
	for range fillPairs {
		a, err := s.run(ctx, false)
		if err != nil {
			return err
		}
		b, err := f.backfill(ctx)
		if err != nil {
			return err
		}
		ratios = append(ratios, b.Seconds()/a.Seconds())
	}
	each := func(d time.Duration) float64 { return d.Seconds() * 1000 / float64(f.days) }
	f.b.put("backfill_overhead_ms", each(ours)-each(byScript))
	f.b.put("backfill_rebuilt_vs_sql", median(ratios))
	f.b.because("backfill_overhead_ms", "%d empty days for the first time, in %d lanes: %.1f ms each, the script %.1f ms", f.days, fillLanes, each(ours), each(byScript))
	f.b.because("backfill_rebuilt_vs_sql", "rebuilt, over the script, each time: %.2f", ratios)
	return f.planning(ctx, f.days)
}

// planning measures how long a statement is planned that prunes nothing.
func (f *filled) planning(ctx context.Context, days int) error {
	if _, err := f.db.Exec(ctx, "SELECT count(*) FROM "+pgx.Identifier{f.name, table}.Sanitize()+" WHERE ordered_on = '2026-01-01'"); err != nil {
		return err
	}
	read := "SELECT sum(amount) FROM " + pgx.Identifier{f.name, table}.Sanitize()
	if days < f.days {
		read += " WHERE ordered_on < '" + string(dayKey(f.day(days))) + "'"
	}
	var times []float64
	for range fillPairs {
		var plans []struct {
			Ms float64 `json:"Planning Time"`
		}
		if err := f.db.QueryRow(ctx, "EXPLAIN (SUMMARY, FORMAT JSON) "+read).Scan(&plans); err != nil {
			return fmt.Errorf("plan a read of %d partitions: %w", days, err)
		}
		times = append(times, plans[0].Ms)
	}
	f.b.put(fmt.Sprintf("planning_ms_unpruned_%d", days), median(times))
	return nil
}

func measureMany(ctx context.Context, b *bench) error {
	peaks := map[int]float64{}
	for _, days := range []int{fewDays, manyDays} {
		err := filling(ctx, b, days, manyRows, func(ctx context.Context, f *filled) error {
			if _, err := f.backfill(ctx); err != nil {
				return err
			}
			if err := f.holds(ctx, f.name); err != nil {
				return err
			}
			if days == manyDays {
				if err := f.events(ctx); err != nil {
					return err
				}
				for _, read := range []int{severalDays, manyDays} {
					if err := f.planning(ctx, read); err != nil {
						return err
					}
				}
			}
			var err error
			peaks[days], err = f.worker.stop()
			f.worker = nil
			return err
		})
		if err != nil {
			return err
		}
	}
	b.put("worker_rss_many_vs_few", peaks[manyDays]/peaks[fewDays])
	b.because("worker_rss_many_vs_few", "%d partitions: %.0f MB; %d: %.0f MB", fewDays, peaks[fewDays], manyDays, peaks[manyDays])
	return nil
}

// events counts what the history of a backfill has, in all its runs.
func (f *filled) events(ctx context.Context) error {
	c, err := client.Dial(client.Options{HostPort: os.Getenv(temporalVariable), Namespace: os.Getenv("TEMPORAL_NAMESPACE")})
	if err != nil {
		return fmt.Errorf("connect to Temporal: %w", err)
	}
	defer c.Close()
	var events, most, runs int64
	for range 50 { // what has just ended is listed a little later
		list, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: "WorkflowId = '" + f.id() + "' AND ExecutionStatus != 'Running'"})
		if err != nil {
			return fmt.Errorf("list the runs of the backfill: %w", err)
		}
		events, most, runs = 0, 0, int64(len(list.Executions))
		for _, e := range list.Executions {
			events, most = events+e.HistoryLength, max(most, e.HistoryLength)
		}
		if events > 0 {
			break
		}
		wait(ctx, 200*time.Millisecond)
	}
	if events == 0 {
		return errors.New("no run of the backfill is listed")
	}
	f.b.put("events_per_partition", float64(events)/float64(f.days))
	f.b.because("events_per_partition", "%d events in %d runs, at most %d in one", events, runs, most)
	return nil
}
