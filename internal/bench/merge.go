package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"time"

	"drawbridge/internal/pipeline"
	"drawbridge/internal/warehouse"
)

const (
	mergeRows  = 1_000_000
	mergePairs = 3
)

// mergeShares are how many of a hundred rows the batch has.
func mergeShares() []int { return []int{10, 50} }

// mergeFigure compares a whole run that merges a file into a live partition (load, merge, index, audit with checksum, publish) with the
// better one of two scripts that merge it into a plain table in place: no audit, no way back.
func mergeFigure() figure {
	return figure{
		name: "merge_vs_sql",
		numbers: []number{
			{name: "merge_vs_sql", bound: bound{atLeast, 0.30}},
			{name: "merge_vs_sql_50", bound: bound{atLeast, 0.75}},
			{name: "merge_crosses_at", better: lower},
			{name: "merge_s", better: lower},
			{name: "merge_sql_s"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureMerge(ctx, b, s) })
		},
	}
}

func measureMerge(ctx context.Context, b *bench, s *site) error {
	hand, err := newPsql(s)
	if err != nil {
		return err
	}
	base, err := writeFile(s.dir, firstDay(), mergeRows, unsorted)
	if err != nil {
		return fmt.Errorf("write the orders: %w", err)
	}
	s.pipeline.Config.WriteMode = pipeline.Merge
	r := mergeRace{site: s, hand: hand}
	if _, err := r.merge(ctx, base, nil); err != nil {
		return err
	}
	if err := r.keep(ctx); err != nil {
		return err
	}
	ratios, names := map[int]float64{}, map[int]string{10: "merge_vs_sql", 50: "merge_vs_sql_50"}
	for _, share := range mergeShares() {
		file, err := some(base, share)
		if err != nil {
			return fmt.Errorf("write the changes: %w", err)
		}
		merged, written, stages, err := r.run(ctx, file)
		if err != nil {
			return err
		}
		ratios[share] = ratioOf(written, merged)
		b.put(names[share], ratios[share])
		b.because(names[share], "%d %% of %d rows, medians of %d: by hand %.2f s; run %.2f s, of which %s",
			share, mergeRows, mergePairs, written.median().Seconds(), merged.median().Seconds(), loadResult{stages: stages}.inStages())
		if share == mergeShares()[0] {
			b.put("merge_s", merged.median().Seconds())
			b.put("merge_sql_s", written.median().Seconds())
		}
	}
	// Both sides grow about as the share does, so that the lines are straight enough to be followed to where they cross.
	low, high := mergeShares()[0], mergeShares()[1]
	crosses := 100.0
	if slope := (ratios[high] - ratios[low]) / float64(high-low); slope > 0 {
		crosses = float64(high) + (1-ratios[high])/slope
	}
	b.put("merge_crosses_at", crosses)
	return nil
}

// mergeRace merges the same files in both ways, by turns.
type mergeRace struct {
	site *site
	hand psql
	live int64 // generation
}

func (r *mergeRace) run(ctx context.Context, file string) (merged, written sample, stages map[warehouse.Stage]sample, err error) {
	stages = map[warehouse.Stage]sample{}
	for pair := range mergePairs + 1 {
		hand, err := r.byHand(ctx, file)
		if err != nil {
			return nil, nil, nil, err
		}
		took := map[warehouse.Stage]time.Duration{}
		run, err := r.merge(ctx, file, took)
		if err != nil {
			return nil, nil, nil, err
		}
		if pair == 0 {
			continue // it warms up
		}
		merged, written = append(merged, run), append(written, hand)
		for stage, d := range took {
			stages[stage] = append(stages[stage], d)
		}
	}
	return merged, written, stages, nil
}

// merge is a whole run: it merges a file into what is live, and publishes that.
func (r *mergeRace) merge(ctx context.Context, file string, stages map[warehouse.Stage]time.Duration) (time.Duration, error) {
	passed := clock()
	g, err := r.site.build(ctx, dayKey(firstDay()), fromFile(file), func(p warehouse.Progress) {
		if p.Done && stages != nil {
			stages[p.Stage] += p.Elapsed
		}
	})
	if err != nil {
		return 0, err
	}
	if err := r.site.publish(ctx, swap(g, r.live)); err != nil {
		return 0, err
	}
	took := passed()
	if g.Rows != mergeRows {
		return 0, fmt.Errorf("%d rows are live where there are %d keys", g.Rows, mergeRows)
	}
	r.live = g.ID
	return took, nil
}

// keep keeps what is live before the first merge, for the scripts to merge into.
func (r *mergeRace) keep(ctx context.Context) error {
	if _, err := r.site.db.Exec(ctx, fmt.Sprintf(`
		CREATE TABLE %[1]s AS SELECT order_id, ordered_at, ordered_on, channel, customer_id, amount, currency FROM %[2]s;
		ALTER TABLE %[1]s ALTER order_id SET NOT NULL`, r.site.name("merged_base"), r.site.name(table))); err != nil {
		return fmt.Errorf("keep what is live: %w", err)
	}
	return nil
}

// byHand is the better one of the two scripts, each on a table as it was before.
func (r *mergeRace) byHand(ctx context.Context, file string) (time.Duration, error) {
	var best time.Duration
	for _, script := range []string{"merge_conflict.sql", "merge_merge.sql"} {
		plain := r.site.name("merged")
		if _, err := r.site.db.Exec(ctx, fmt.Sprintf(`
			DROP TABLE IF EXISTS %[1]s;
			CREATE TABLE %[1]s (LIKE %[2]s);
			INSERT INTO %[1]s SELECT * FROM %[2]s;
			CREATE UNIQUE INDEX ON %[1]s (order_id)`, plain, r.site.name("merged_base"))); err != nil {
			return 0, fmt.Errorf("make the table to merge into: %w", err)
		}
		if _, err := r.site.db.Exec(ctx, "VACUUM (ANALYZE) "+plain); err != nil {
			return 0, err
		}
		in, err := os.Open(file)
		if err != nil {
			return 0, err
		}
		passed := clock()
		err = r.hand.run(ctx, script, in, "table="+plain)
		took := passed()
		_ = in.Close()
		if err != nil {
			return 0, err
		}
		if best == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

// some writes a file of so many rows of a hundred of another one, spread over it.
func some(file string, share int) (string, error) {
	in, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }()
	path := fmt.Sprintf("%s.%d", file, share)
	out, err := os.Create(path)
	if err != nil {
		return "", err
	}
	lines, to := bufio.NewScanner(in), bufio.NewWriter(out)
	for n := 0; lines.Scan(); n++ {
		if n == 0 || n%100 < share {
			_, _ = to.Write(append(lines.Bytes(), '\n')) // Flush has its error
		}
	}
	if err := lines.Err(); err != nil {
		_ = out.Close()
		return "", err
	}
	if err := to.Flush(); err != nil {
		_ = out.Close()
		return "", err
	}
	return path, out.Close()
}
