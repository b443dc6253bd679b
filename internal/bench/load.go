package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/warehouse"
)

const (
	loadRows  = 1_000_000
	loadPairs = 5
)

// loadFigure compares a whole run of one partition (load, transform, index, audit with checksum, publish) with \copy of
// the same file into a table that has the same index: no transformation, no check, no way back. The second ratio is of a
// file that is sorted by the key.
func loadFigure() figure {
	return figure{
		name: "load_vs_copy",
		numbers: []number{
			{name: "load_vs_copy", bound: bound{atLeast, 1.0}},
			{name: "load_vs_copy_sorted", bound: bound{atLeast, 0.75}},
			{name: "load_vs_copy_psql"},
			{name: "load_mrows_s", better: higher},
			{name: "copy_mrows_s"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureLoad(ctx, b, s) })
		},
	}
}

func measureLoad(ctx context.Context, b *bench, s *site) error {
	client, err := newCopyClient(s)
	if err != nil {
		return err
	}
	b.put("load_vs_copy_psql", 0)
	if client.psql {
		b.put("load_vs_copy_psql", 1)
	}
	b.say("compared with %s", client.name)
	race := loadRace{site: s, client: client}
	for _, f := range []struct {
		name string
		by   order
	}{{"load_vs_copy_sorted", sorted}, {"load_vs_copy", unsorted}} {
		r, err := race.run(ctx, f.by)
		if err != nil {
			return err
		}
		copied, loaded := r.copies.median(), r.loads.median()
		b.put(f.name, r.ratio())
		b.because(f.name, "medians of %d pairs: copy %.2f s; run %.2f s, of which %s", loadPairs, copied.Seconds(), loaded.Seconds(), r.inStages())
		b.put("load_mrows_s", loadRows/loaded.Seconds()/1e6)
		b.put("copy_mrows_s", loadRows/copied.Seconds()/1e6)
	}
	return nil
}

// loadRace runs both sides by turns.
type loadRace struct {
	site   *site
	client copyClient
	live   int64 // generation
}

type loadResult struct {
	copies, loads sample
	stages        map[warehouse.Stage]sample
}

func (l *loadRace) run(ctx context.Context, by order) (loadResult, error) {
	r := loadResult{stages: map[warehouse.Stage]sample{}}
	file, err := writeFile(l.site.dir, firstDay(), loadRows, by)
	if err != nil {
		return r, fmt.Errorf("write the orders: %w", err)
	}
	for pair := range loadPairs + 1 {
		copied, err := l.site.copyPlain(ctx, l.client, file)
		if err != nil {
			return r, err
		}
		stages := map[warehouse.Stage]time.Duration{}
		loaded, err := l.load(ctx, file, stages)
		if err != nil {
			return r, err
		}
		if pair == 0 {
			continue // it warms up: the server makes the files of its log then
		}
		r.copies, r.loads = append(r.copies, copied), append(r.loads, loaded)
		for stage, took := range stages {
			r.stages[stage] = append(r.stages[stage], took)
		}
	}
	return r, nil
}

// load is a whole run: it builds the partition, and publishes it in the place of the one before.
func (l *loadRace) load(ctx context.Context, file string, stages map[warehouse.Stage]time.Duration) (time.Duration, error) {
	passed := clock()
	g, err := l.site.build(ctx, dayKey(firstDay()), fromFile(file), func(p warehouse.Progress) {
		if p.Done {
			stages[p.Stage] += p.Elapsed
		}
	})
	if err != nil {
		return 0, err
	}
	if err := l.site.publish(ctx, swap(g, l.live)); err != nil {
		return 0, err
	}
	took := passed()
	l.live = g.ID
	if g.Rows != loadRows {
		return 0, fmt.Errorf("%d rows are live where the file has %d", g.Rows, loadRows)
	}
	return took, nil
}

// copyPlain copies the file into a new table with the columns of the file, and the key's index.
func (s *site) copyPlain(ctx context.Context, client copyClient, file string) (time.Duration, error) {
	plain := s.name("plain")
	_, err := s.db.Exec(ctx, fmt.Sprintf(`
		DROP TABLE IF EXISTS %[1]s;
		CREATE TABLE %[1]s (order_id bigint NOT NULL, ordered_at timestamptz, channel text, customer_id bigint, amount numeric(12,2), currency text);
		CREATE UNIQUE INDEX ON %[1]s (order_id)`, plain))
	if err != nil {
		return 0, fmt.Errorf("create the table to copy into: %w", err)
	}
	return client.copy(ctx, plain, file)
}

// ratio is the median of the pairs' own ratios: what slows the machine for some seconds slows both sides of a pair.
func (r loadResult) ratio() float64 {
	ratios := make([]float64, len(r.loads))
	for i := range r.loads {
		ratios[i] = r.copies[i].Seconds() / r.loads[i].Seconds()
	}
	return median(ratios)
}

func (r loadResult) inStages() string {
	var parts []string
	for _, stage := range []warehouse.Stage{warehouse.StageLoad, warehouse.StageTransform, warehouse.StageIndex, warehouse.StageAudit} {
		parts = append(parts, fmt.Sprintf("%s %.2f", stage, r.stages[stage].median().Seconds()))
	}
	return strings.Join(parts, ", ")
}
