package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"drawbridge/internal/migrate"
)

const (
	dualWriters = 2
	dualPairs   = 15
	// dualInserts are how many INSERTs a writer does in one turn, of dualRows rows each.
	dualInserts, dualRows = 150, 1000
)

// dualWriteFigure compares INSERTs into a table whose columns are written in two shapes with those into one without a trigger.
func dualWriteFigure() figure {
	return figure{
		name: "dual_write",
		numbers: []number{
			{name: "dual_write_insert_ratio", bound: bound{atLeast, 0.55}},
			{name: "dual_write_both_ratio", bound: bound{atLeast, 0.95}},
			{name: "dual_write_up_ratio", better: higher},
			{name: "dual_write_none_krows_s"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureDualWrite(ctx, b, s) })
		},
	}
}

// written is a table that is written to.
type written struct {
	table, columns, values string
	// over is the one without a trigger that is written to in the same way.
	over   *written
	rates  []float64 // rows per second
	number string
}

func measureDualWrite(ctx context.Context, b *bench, s *site) error {
	const old, values = "order_id, ordered_at, channel, customer_id, amount, currency, note", "$1::bigint + i, at, channel, customer_id, amount, currency, note"
	plain := &written{table: "plain", columns: old, values: values}
	plainBoth := &written{table: "plain", columns: old + ", total", values: values + ", amount"}
	renamed := &written{table: "renamed", columns: old, values: values, over: plain, number: "dual_write_insert_ratio"}
	both := &written{table: "renamed", columns: old + ", total", values: values + ", amount", over: plainBoth, number: "dual_write_both_ratio"}
	required := &written{table: "required", columns: old, values: values, over: plain, number: "dual_write_up_ratio"}
	for _, sql := range []string{
		`CREATE TABLE ` + s.name("plain") + ` (order_id bigint PRIMARY KEY, ordered_at timestamptz, channel text, customer_id bigint, amount numeric(12,2), currency text, note text)`,
		`CREATE TABLE ` + s.name("renamed") + ` (LIKE ` + s.name("plain") + ` INCLUDING ALL)`,
		`CREATE TABLE ` + s.name("required") + ` (LIKE ` + s.name("plain") + ` INCLUDING ALL)`,
		`ALTER TABLE ` + s.name("plain") + ` ADD COLUMN total numeric(12,2)`,
	} {
		if _, err := s.db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the tables to write to: %w", err)
		}
	}
	for table, o := range map[string]migrate.Operation{
		"renamed":  {Kind: migrate.RenameColumn, Column: "amount", To: "total"},
		"required": {Kind: migrate.AddColumn, Column: "total", Type: "bigint", Required: true, Up: bringUp},
	} {
		d, err := s.migrate(ctx, table, o)
		if err != nil {
			return err
		}
		if err := d.through(ctx, migrate.Expand, migrate.DualWrite); err != nil {
			return err
		}
	}
	writers := make([]*pgx.Conn, dualWriters)
	for i := range writers {
		var err error
		if writers[i], err = s.connect(ctx); err != nil {
			return err
		}
		defer func() { _ = writers[i].Close(context.WithoutCancel(ctx)) }()
	}
	ratios := map[string][]float64{}
	all := []*written{plain, renamed, required, plainBoth, both}
	for pair := range dualPairs + 1 {
		last := map[*written]float64{}
		for i := range all {
			w := all[i]
			if pair%2 == 1 { // what goes first in one turn goes last in the next
				w = all[len(all)-1-i]
			}
			took, err := s.write(ctx, w, writers)
			if err != nil {
				return err
			}
			last[w] = dualWriters * dualInserts * dualRows / took.Seconds()
		}
		if pair == 0 {
			continue // it warms up
		}
		for _, w := range all {
			w.rates = append(w.rates, last[w])
			if w.over != nil {
				ratios[w.number] = append(ratios[w.number], last[w]/last[w.over])
			}
		}
	}
	for _, w := range all {
		if w.over != nil {
			b.put(w.number, median(ratios[w.number]))
			b.because(w.number, "medians of %d turns: %.0f thousand rows a second, without the trigger %.0f", dualPairs, median(w.rates)/1000, median(w.over.rates)/1000)
		}
	}
	b.put("dual_write_none_krows_s", median(plain.rates)/1000)
	return nil
}

// thousand are the values of one INSERT, column by column.
func thousand() []any {
	var ids, customers []int64
	var at []time.Time
	var channels, amounts, currencies, notes []string
	for i := range dualRows {
		ids, customers = append(ids, int64(i)), append(customers, int64(i*37%200_000))
		at = append(at, firstDay().Add(time.Duration(i)*86*time.Millisecond))
		channels, amounts = append(channels, []string{"web", "app", "store", "partner"}[i%4]), append(amounts, fmt.Sprintf("%d.%02d", 1+i%500, i%100))
		currencies, notes = append(currencies, "EUR"), append(notes, fmt.Sprintf("%032x", i*7919))
	}
	return []any{ids, at, channels, customers, amounts, currencies, notes}
}

// write empties a table, and says how long all writers take for their INSERTs.
func (s *site) write(ctx context.Context, w *written, writers []*pgx.Conn) (time.Duration, error) {
	if _, err := s.db.Exec(ctx, "TRUNCATE "+s.name(w.table)); err != nil {
		return 0, err
	}
	insert := fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s
		FROM unnest($2::bigint[], $3::timestamptz[], $4::text[], $5::bigint[], $6::numeric(12,2)[], $7::text[], $8::text[]) AS r (i, at, channel, customer_id, amount, currency, note)`,
		s.name(w.table), w.columns, w.values)
	rows := thousand()
	passed := clock()
	both, running := errgroup.WithContext(ctx)
	for i, conn := range writers {
		both.Go(func() error {
			for n := range dualInserts {
				if _, err := conn.Exec(running, insert, append([]any{(i*dualInserts + n) * dualRows}, rows...)...); err != nil {
					return fmt.Errorf("insert into %s: %w", w.table, err)
				}
			}
			return nil
		})
	}
	err := both.Wait()
	took := passed()
	if err != nil {
		return 0, err
	}
	if w.over == nil {
		return took, nil
	}
	var wrong int
	expected := map[string]string{"renamed": "amount", "required": bringUp}[w.table]
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM "+s.name(w.table)+" WHERE total IS DISTINCT FROM "+expected).Scan(&wrong); err != nil {
		return 0, err
	}
	if wrong > 0 {
		return 0, fmt.Errorf("%d rows of %s do not say the same in both shapes", wrong, w.table)
	}
	return took, nil
}
