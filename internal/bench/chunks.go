package main

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

const (
	// wholeRounds is how often all partitions change, there and back.
	wholeRounds = 6
	// copied is how many generations are copied in one transaction: each takes some of the server's locks.
	copied = 100
)

// chunksFigure measures how long readers are kept out while all days of a table change in one transaction, chunk by chunk as a whole.
// What hangs there has no rows: a swap takes as long for any size.
func chunksFigure() figure {
	return figure{
		name: "chunks",
		numbers: []number{
			{name: "publish_hold_730_ms", bound: bound{atMost, 100}, grain: pauseGrain},
			{name: "publish_hold_730_expected_ms"},
			{name: "publish_hold_5000_ms", bound: bound{atMost, 600}, grain: pauseGrain},
			{name: "publish_hold_5000_expected_ms"},
		},
		measure: func(ctx context.Context, b *bench) error {
			for _, days := range []int{730, 5000} {
				if err := onSite(ctx, b, func(ctx context.Context, s *site) error { return measureChunks(ctx, b, s, days) }); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func measureChunks(ctx context.Context, b *bench, s *site, days int) error {
	first := dayKey(firstDay())
	var generations [2][]generation.Swap
	for i := range generations {
		one, err := s.build(ctx, first, generated(firstDay(), cutRows), nil)
		if err != nil {
			return err
		}
		if generations[i], err = s.copies(ctx, one, days); err != nil {
			return err
		}
	}
	if err := s.publish(ctx, generations[0]...); err != nil {
		return err
	}
	var holds, expected []float64
	for round := range wholeRounds {
		from, to := generations[round%2], generations[(round+1)%2]
		ticket := s.ticket(make([]generation.Swap, days))
		for i := range to {
			ticket.Question.Swaps[i] = to[i]
			ticket.Question.Swaps[i].From = from[i].To
		}
		ticket.Question.TurnBack = round > 0 // what was live before goes live again by that alone
		result, err := s.change(ctx, generation.PublishSpec{}, ticket)
		if err != nil {
			return err
		}
		holds, expected = append(holds, result.HoldMS), append(expected, result.ExpectedMS)
		if round > 0 {
			continue
		}
		back, _, err := s.BeginTurnBack(ctx, turnback.Request{Pipeline: s.tenure.Release.Pipeline, To: turnback.Nothing, ByPerson: true, By: "bench", Reason: "it is measured"},
			effect.Key{Owner: owner, Environment: here, Step: "begin-turn-back"})
		if err != nil {
			return err
		}
		s.tenure = back.Tenure
	}
	name := fmt.Sprintf("publish_hold_%d", days)
	b.put(name+"_ms", median(holds))
	b.put(name+"_expected_ms", median(expected))
	b.because(name+"_ms", "%d transactions of all %d partitions, there and back: %.1f ms, expected %.1f ms; the first %.1f ms", wholeRounds, days, median(holds), median(expected), holds[0])
	return nil
}

// copies makes generations of further days like one that was built, without its rows, and returns what makes all of them live.
func (s *site) copies(ctx context.Context, one generation.Generation, days int) ([]generation.Swap, error) {
	swaps := []generation.Swap{swap(one, 0)}
	scheme := s.pipeline.Outputs[0].Partition
	for done := 1; done < days; {
		err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
			for range min(copied, days-done) {
				key := dayKey(firstDay().AddDate(0, 0, done))
				id, err := s.copyOf(ctx, tx, one, scheme, key)
				if err != nil {
					return err
				}
				swaps = append(swaps, generation.Swap{Output: one.Output, Partition: key, To: id})
				done++
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("copy generation %d: %w", one.ID, err)
		}
	}
	return swaps, nil
}

func (s *site) copyOf(ctx context.Context, tx pgx.Tx, one generation.Generation, scheme partition.Scheme, key partition.Key) (id int64, err error) {
	bounds, err := scheme.Bounds(key)
	if err != nil {
		return 0, err
	}
	ledger := pgx.Identifier{s.Schema() + "__ledger"}.Sanitize()
	if err := tx.QueryRow(ctx, `SELECT nextval(pg_get_serial_sequence($1, 'id'))`, ledger+".generation").Scan(&id); err != nil {
		return 0, err
	}
	name := func(id int64) string { return pgx.Identifier{s.Schema() + "__data", fmt.Sprintf("g%d", id)}.Sanitize() }
	column := pgx.Identifier{scheme.Column}.Sanitize()
	_, err = tx.Conn().PgConn().Exec(ctx, fmt.Sprintf(`
		CREATE TABLE %[1]s (LIKE %[2]s INCLUDING INDEXES,
		  CHECK (%[3]s IS NOT NULL AND %[3]s >= '%[4]s' AND %[3]s < '%[5]s'));
		CREATE TRIGGER drawbridge_refuse_write BEFORE INSERT OR UPDATE OR DELETE ON %[1]s FOR EACH ROW EXECUTE FUNCTION %[6]s.refuse_write();
		CREATE TRIGGER drawbridge_refuse_truncate BEFORE TRUNCATE ON %[1]s FOR EACH STATEMENT EXECUTE FUNCTION %[6]s.refuse_write();
		INSERT INTO %[6]s.generation OVERRIDING SYSTEM VALUE
		SELECT (jsonb_populate_record(g, jsonb_build_object(
		  'id', %[7]d, 'partition', '%[8]s', 'lower', '%[4]s', 'upper', '%[5]s', 'child', '%[1]s'::regclass::oid, 'effect_key', '%[7]d'))).*
		FROM %[6]s.generation g
		WHERE g.id = %[9]d`,
		name(id), name(one.ID), column, bounds.Lower, bounds.Upper, ledger, id, key, one.ID)).ReadAll()
	return id, err
}
