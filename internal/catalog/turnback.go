package catalog

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// OpenTurnBack reads the open turn-back of a pipeline; ok is false when there is none.
func (l Ledger) OpenTurnBack(ctx context.Context, q Querier, pipeline string) (turnback.TurnBack, bool, error) {
	return l.turnBack(ctx, q, `b.pipeline = $1 AND b.state = 'open'`, pipeline)
}

// TurnBack reads a turn-back by the tenure that it opened; ok is false when there is none.
func (l Ledger) TurnBack(ctx context.Context, q Querier, tenure int64) (turnback.TurnBack, bool, error) {
	return l.turnBack(ctx, q, `b.tenure = $1`, tenure)
}

func (l Ledger) turnBack(ctx context.Context, q Querier, where string, arg any) (b turnback.TurnBack, ok bool, err error) {
	var tenure, from int64
	r := &b.Request
	err = q.QueryRow(ctx, l.sql(`
		SELECT b.tenure, b.was, b.pipeline, b.target_tenure, b.target_owner, b.output, b.partition, b.generation, b.snapshot, b.detach,
		       b.by_person, b.state, b.driver, t.asked_by, t.reason
		FROM ledger.turn_back b
		JOIN ledger.tenure t ON t.number = b.tenure
		WHERE `+where), arg).Scan(&tenure, &from, &r.Pipeline, &b.Target, &r.Owner, &r.Output, &r.Partition, &r.Generation, &r.Snapshot,
		&r.Detach, &r.ByPerson, &b.State, &b.Driver, &r.By, &r.Reason)
	if errors.Is(err, pgx.ErrNoRows) {
		return b, false, nil
	}
	if err != nil {
		return b, false, fmt.Errorf("read turn-back: %w", err)
	}
	if b.Tenure, err = l.Tenure(ctx, q, tenure); err != nil {
		return b, false, err
	}
	if from != 0 {
		b.From, err = l.Tenure(ctx, q, from)
	}
	return b, err == nil, err
}

// EnterTurnBack records a turn-back as open. Its tenure is reserved.
func (l Ledger) EnterTurnBack(ctx context.Context, q Querier, b turnback.TurnBack) error {
	r := b.Request
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.turn_back (tenure, was, back, pipeline, target_tenure, target_owner, output, partition, generation, snapshot, detach, by_person,
		                              driver)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`),
		b.Tenure.Number, b.From.Number, b.Tenure.Back, r.Pipeline, b.Target, r.Owner, r.Output, string(r.Partition), r.Generation, r.Snapshot, r.Detach, r.ByPerson, b.Driver); err != nil {
		return fmt.Errorf("enter turn-back of %s: %w", r.Pipeline, err)
	}
	return nil
}

// EndTurnBack closes a turn-back for who goes on with it; one that is closed already stays as it is.
func (l Ledger) EndTurnBack(ctx context.Context, q Querier, tenure int64, state turnback.State, driver effect.Owner) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.turn_back
		SET state = $2, ended_at = now()
		WHERE tenure = $1 AND state = 'open' AND driver = $3`), tenure, string(state), string(driver)); err != nil {
		return fmt.Errorf("end turn-back %d: %w", tenure, err)
	}
	return nil
}

// ReopenTurnBack opens a stuck turn-back again, and goes on with an open one, by another workflow from now on. A person's word,
// once given, stays, and so does it that newer data is given up.
func (l Ledger) ReopenTurnBack(ctx context.Context, q Querier, b turnback.TurnBack) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.turn_back
		SET state = 'open', ended_at = NULL, by_person = by_person OR $2, snapshot = snapshot OR $3, driver = $4
		WHERE tenure = $1 AND state IN ('open', 'stuck')`), b.Tenure.Number, b.Request.ByPerson, b.Request.Snapshot, b.Driver); err != nil {
		return fmt.Errorf("open turn-back %d again: %w", b.Tenure.Number, err)
	}
	return nil
}

// RecordLeft stores what a turn-back leaves; a later word on a partition replaces the earlier one.
func (l Ledger) RecordLeft(ctx context.Context, q Querier, tenure int64, left []turnback.LeftOver) error {
	for _, one := range left {
		if _, err := q.Exec(ctx, l.sql(`
			INSERT INTO ledger.left_over (turn_back, output, partition, stuck, reason)
			VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (turn_back, output, partition) DO UPDATE
			SET stuck = excluded.stuck, reason = excluded.reason, at = now()`), tenure, one.Output, string(one.Partition), one.Stuck, one.Reason); err != nil {
			return fmt.Errorf("record what turn-back %d leaves: %w", tenure, err)
		}
	}
	return nil
}

// ForgetLeft forgets what an earlier pass of a turn-back left: another pass says it anew.
func (l Ledger) ForgetLeft(ctx context.Context, q Querier, tenure int64) error {
	if _, err := q.Exec(ctx, l.sql(`DELETE FROM ledger.left_over WHERE turn_back = $1`), tenure); err != nil {
		return fmt.Errorf("forget what turn-back %d left: %w", tenure, err)
	}
	return nil
}

// LeftAt reads which outputs of some partitions a turn-back has said not to have turned back.
func (l Ledger) LeftAt(ctx context.Context, q Querier, tenure int64, keys []partition.Key) (map[generation.Item]bool, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT output, partition
		FROM ledger.left_over
		WHERE turn_back = $1 AND stuck AND partition = ANY($2)`), tenure, keys)
	if err != nil {
		return nil, fmt.Errorf("read what turn-back %d leaves: %w", tenure, err)
	}
	left := map[generation.Item]bool{}
	var at generation.Item
	if _, err := pgx.ForEachRow(rows, []any{&at.Output, &at.Partition}, func() error {
		left[at] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read what turn-back %d leaves: %w", tenure, err)
	}
	return left, nil
}

// TurnedOver says that a pipeline was turned back as a whole, to a tenure, after an owner has published there.
func (l Ledger) TurnedOver(ctx context.Context, q Querier, pipeline, owner string) (over bool, err error) {
	if err := q.QueryRow(ctx, l.sql(`
		SELECT EXISTS (
		  SELECT
		  FROM ledger.turn_back
		  WHERE pipeline = $1 AND target_owner = '' AND output = '' AND partition = ''
		    AND tenure > (SELECT max(tenure) FROM ledger.swap WHERE owner = $2 AND kind = 'publish'))`), pipeline, owner).Scan(&over); err != nil {
		return false, fmt.Errorf("look for turn-backs after %s: %w", owner, err)
	}
	return over, nil
}

// Left counts what a turn-back leaves, and reads the first of it, those first that should have gone back.
func (l Ledger) Left(ctx context.Context, q Querier, tenure int64, limit int) (stuck, left int, first []turnback.LeftOver, err error) {
	if err := q.QueryRow(ctx, l.sql(`
		SELECT count(*) FILTER (WHERE stuck), count(*) FILTER (WHERE NOT stuck)
		FROM ledger.left_over
		WHERE turn_back = $1`), tenure).Scan(&stuck, &left); err != nil {
		return 0, 0, nil, fmt.Errorf("count what turn-back %d leaves: %w", tenure, err)
	}
	rows, err := q.Query(ctx, l.sql(`
		SELECT output, partition, stuck, reason
		FROM ledger.left_over
		WHERE turn_back = $1
		ORDER BY stuck DESC, partition, output
		LIMIT `+strconv.Itoa(limit)), tenure)
	if err != nil {
		return 0, 0, nil, fmt.Errorf("read what turn-back %d leaves: %w", tenure, err)
	}
	first, err = pgx.CollectRows(rows, pgx.RowToStructByName[turnback.LeftOver])
	if err != nil {
		return 0, 0, nil, fmt.Errorf("read what turn-back %d leaves: %w", tenure, err)
	}
	return stuck, left, first, nil
}

// TurnedBack lists the workflows of a pipeline whose changes were, or are being, turned back, with the tenure that the last turn-back
// of each opened.
func (l Ledger) TurnedBack(ctx context.Context, q Querier, pipeline string) (map[string]int64, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT target_owner, max(tenure)
		FROM ledger.turn_back
		WHERE pipeline = $1 AND target_owner <> ''
		GROUP BY target_owner`), pipeline)
	if err != nil {
		return nil, fmt.Errorf("list workflows that were turned back: %w", err)
	}
	back := map[string]int64{}
	var owner string
	var tenure int64
	if _, err := pgx.ForEachRow(rows, []any{&owner, &tenure}, func() error {
		back[owner] = tenure
		return nil
	}); err != nil {
		return nil, fmt.Errorf("list workflows that were turned back: %w", err)
	}
	return back, nil
}

// Past reads what turning back has to know of generations; one that the ledger does not know is missing from the result.
func (l Ledger) Past(ctx context.Context, q Querier, ids []int64) (map[int64]turnback.Generation, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT g.id, g.digest, g.config, g.state, `+notReattachable+`, coalesce(g.replaced, 0), g.owner_key
		FROM ledger.generation g
		WHERE g.id = ANY($1)`), ids)
	if err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	found := make(map[int64]turnback.Generation, len(ids))
	var g turnback.Generation
	if _, err := pgx.ForEachRow(rows, []any{&g.ID, &g.Digest, &g.Config, &g.State, &g.NotReattachable, &g.Replaced, &g.Owner}, func() error {
		found[g.ID] = g
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read generations: %w", err)
	}
	return found, nil
}

// LivePage reads what is live of outputs, for the next limit partitions after a key in byte order, all outputs of a
// partition together.
func (l Ledger) LivePage(ctx context.Context, q Querier, outputs []string, after partition.Key, limit int) (map[partition.Key]map[string]Live, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT output, partition, coalesce(generation, 0), tenure
		FROM ledger.live
		WHERE output = ANY($1) AND partition IN (
		  SELECT DISTINCT partition
		  FROM ledger.live
		  WHERE output = ANY($1) AND partition > $2
		  ORDER BY partition
		  LIMIT `+strconv.Itoa(limit)+`)`), outputs, string(after))
	if err != nil {
		return nil, fmt.Errorf("read what is live: %w", err)
	}
	page := map[partition.Key]map[string]Live{}
	var at Slot
	var live Live
	if _, err := pgx.ForEachRow(rows, []any{&at.Output, &at.Partition, &live.Generation, &live.Tenure}, func() error {
		if page[at.Partition] == nil {
			page[at.Partition] = map[string]Live{}
		}
		page[at.Partition][at.Output] = live
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read what is live: %w", err)
	}
	return page, nil
}

// LiveAt reads what is live in one partition, by output.
func (l Ledger) LiveAt(ctx context.Context, q Querier, outputs []string, key partition.Key) (map[string]Live, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT output, coalesce(generation, 0), tenure
		FROM ledger.live
		WHERE output = ANY($1) AND partition = $2`), outputs, string(key))
	if err != nil {
		return nil, fmt.Errorf("read what is live in %s: %w", key, err)
	}
	at := map[string]Live{}
	var output string
	var live Live
	if _, err := pgx.ForEachRow(rows, []any{&output, &live.Generation, &live.Tenure}, func() error {
		at[output] = live
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read what is live in %s: %w", key, err)
	}
	return at, nil
}
