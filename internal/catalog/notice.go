package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/notice"
)

// Owe notes what receivers are owed, each event once, told or not.
func (l Ledger) Owe(ctx context.Context, q Querier, all []notice.Owed) error {
	for _, o := range all {
		event, err := json.Marshal(o.Event)
		if err != nil {
			return fmt.Errorf("encode event %s: %w", o.Event.ID, err)
		}
		if _, err := q.Exec(ctx, l.sql(`
			INSERT INTO ledger.notice (id, receiver, owner, kind, question, event, due)
			VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7)
			ON CONFLICT DO NOTHING`), o.Event.ID, o.Receiver, o.Owner, string(o.Event.Kind), o.Question, string(event), o.Due); err != nil {
			return fmt.Errorf("note that %s is to be told of %s: %w", o.Receiver, o.Event.ID, err)
		}
	}
	return nil
}

// Forgo drops what is owed of questions of a workflow that are not open any more; an empty question is all of them.
func (l Ledger) Forgo(ctx context.Context, q Querier, owner, question string) error {
	if _, err := q.Exec(ctx, l.sql(`
		DELETE FROM ledger.notice
		WHERE owner = $1 AND question <> '' AND ($2 = '' OR question = $2) AND told_at IS NULL`), owner, question); err != nil {
		return fmt.Errorf("forgo reminders of %s: %w", owner, err)
	}
	return nil
}

// TakeOwed takes what a receiver is owed next and is due, and lets nobody else take it for a while; ok is false where there is
// nothing. Whoever takes it tells the receiver: who does not say what became of it leaves it to whoever comes later.
func (l Ledger) TakeOwed(ctx context.Context, q Querier, receiver string, long time.Duration) (o notice.Owed, ok bool, err error) {
	var event string
	err = q.QueryRow(ctx, l.sql(`
		WITH first AS MATERIALIZED ( -- read once: a join may read a subquery again, and lock another row
		  SELECT id, due
		  FROM ledger.notice
		  WHERE receiver = $1 AND told_at IS NULL AND due <= now()
		  ORDER BY number
		  LIMIT 1
		  FOR UPDATE SKIP LOCKED
		)
		UPDATE ledger.notice n
		SET due = now() + make_interval(secs => $2)
		FROM first
		WHERE n.id = first.id AND n.receiver = $1
		RETURNING n.event::text, n.receiver, n.owner, n.question, first.due, n.tries`), receiver, long.Seconds()).
		Scan(&event, &o.Receiver, &o.Owner, &o.Question, &o.Due, &o.Tries)
	if errors.Is(err, pgx.ErrNoRows) {
		return o, false, nil
	}
	if err != nil {
		return o, false, fmt.Errorf("take what %s is owed: %w", receiver, err)
	}
	if err := json.Unmarshal([]byte(event), &o.Event); err != nil {
		return o, false, fmt.Errorf("decode what %s is owed: %w", receiver, err)
	}
	return o, true, nil
}

// Told says that a receiver was told, and how many were so for the first time: what was forgone meanwhile is none.
func (l Ledger) Told(ctx context.Context, q Querier, o notice.Owed) (first bool, err error) {
	tag, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.notice
		SET told_at = now(), failure = ''
		WHERE id = $1 AND receiver = $2 AND told_at IS NULL`), o.Event.ID, o.Receiver)
	if err != nil {
		return false, fmt.Errorf("note that %s was told of %s: %w", o.Receiver, o.Event.ID, err)
	}
	return tag.RowsAffected() > 0, nil
}

// Untold says that a receiver could not be told, and why. It is tried again after a rest, and what else it is owed not before.
func (l Ledger) Untold(ctx context.Context, q Querier, o notice.Owed, why string, rest time.Duration) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.notice
		SET due = now() + make_interval(secs => $3),
		    tries = tries + CASE WHEN id = $1 THEN 1 ELSE 0 END,
		    failure = CASE WHEN id = $1 THEN $4 ELSE failure END
		WHERE receiver = $2 AND told_at IS NULL AND (id = $1 OR due < now() + make_interval(secs => $3))`),
		o.Event.ID, o.Receiver, rest.Seconds(), why); err != nil {
		return fmt.Errorf("note that %s was not told of %s: %w", o.Receiver, o.Event.ID, err)
	}
	return nil
}

// NextOwed is when some receivers are to be told next; zero: they are owed nothing.
func (l Ledger) NextOwed(ctx context.Context, q Querier, receivers []string) (time.Time, error) {
	var due *time.Time
	if err := q.QueryRow(ctx, l.sql(`
		SELECT min(due)
		FROM ledger.notice
		WHERE receiver = ANY($1) AND told_at IS NULL`), receivers).Scan(&due); err != nil {
		return time.Time{}, fmt.Errorf("look what is owed next: %w", err)
	}
	if due == nil {
		return time.Time{}, nil
	}
	return *due, nil
}

// Debts are what receivers are owed and should have been told before, by name.
func (l Ledger) Debts(ctx context.Context, q Querier) ([]notice.Debt, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT receiver, count(*) AS owed, min(at) AS since, coalesce((array_agg(failure ORDER BY number) FILTER (WHERE failure <> ''))[1], '') AS failure
		FROM ledger.notice
		WHERE told_at IS NULL AND (question = '' OR tries > 0)
		GROUP BY receiver
		ORDER BY receiver`))
	if err != nil {
		return nil, fmt.Errorf("look what is owed: %w", err)
	}
	debts, err := pgx.CollectRows(rows, pgx.RowToStructByName[notice.Debt])
	if err != nil {
		return nil, fmt.Errorf("look what is owed: %w", err)
	}
	return debts, nil
}

// ForgetNotices deletes what was told or noted longer than age ago, and what nobody is named for any more.
func (l Ledger) ForgetNotices(ctx context.Context, q Querier, age time.Duration, receivers []string) error {
	if _, err := q.Exec(ctx, l.sql(`
		DELETE FROM ledger.notice
		WHERE told_at < now() - make_interval(secs => $1)
		   OR told_at IS NULL AND (due < now() - make_interval(secs => $1) OR at < now() - make_interval(secs => $1) AND question = '' OR receiver <> ALL($2))`),
		age.Seconds(), receivers); err != nil {
		return fmt.Errorf("forget old notices: %w", err)
	}
	return nil
}

// ToldMissed is how many missed times of a pipeline's schedule, which was made at a moment, people were told of.
func (l Ledger) ToldMissed(ctx context.Context, q Querier, pipeline string, since time.Time) (times int, err error) {
	err = q.QueryRow(ctx, l.sql(`
		SELECT times
		FROM ledger.missed
		WHERE pipeline = $1 AND since = $2`), pipeline, since).Scan(&times)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("look which times of %s were told: %w", pipeline, err)
	}
	return times, nil
}

// TellMissed notes of how many people were told.
func (l Ledger) TellMissed(ctx context.Context, q Querier, pipeline string, since time.Time, times int) error {
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.missed (pipeline, since, times)
		VALUES ($1, $2, $3)
		ON CONFLICT (pipeline) DO UPDATE
		SET since = excluded.since, times = excluded.times`), pipeline, since, times); err != nil {
		return fmt.Errorf("note which times of %s were told: %w", pipeline, err)
	}
	return nil
}

// Undertaking is a workflow that has something open in the ledger, and of which pipeline.
type Undertaking struct {
	Owner    effect.Owner
	Pipeline string
}

// Undertakings are the workflows that have something open: they cross, watch, turn back, build again, migrate, or wait at a gate that is reminded of.
// Those of which it was told that they were abandoned are left out.
func (l Ledger) Undertakings(ctx context.Context, q Querier) ([]Undertaking, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT o.owner, max(o.pipeline) AS pipeline
		FROM (
		  SELECT owner, pipeline FROM ledger.crossing
		  UNION ALL
		  SELECT owner, pipeline FROM ledger.tenure WHERE watched_until > now()
		  UNION ALL
		  SELECT driver, pipeline FROM ledger.turn_back WHERE state = 'open'
		  UNION ALL
		  SELECT owner, pipeline FROM ledger.backfill WHERE ended_at IS NULL
		  UNION ALL
		  SELECT owner, pipeline FROM ledger.migration WHERE ended_at IS NULL
		  UNION ALL
		  SELECT owner, coalesce(event ->> 'pipeline', '') FROM ledger.notice WHERE question <> '' AND told_at IS NULL
		) o
		WHERE NOT EXISTS (SELECT FROM ledger.notice n WHERE n.owner = o.owner AND n.kind = $1)
		GROUP BY o.owner
		ORDER BY o.owner`), string(notice.WorkflowAbandoned))
	if err != nil {
		return nil, fmt.Errorf("list what is open: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[Undertaking])
	if err != nil {
		return nil, fmt.Errorf("list what is open: %w", err)
	}
	return all, nil
}
