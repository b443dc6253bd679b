package warehouse

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/notice"
	"drawbridge/internal/postgres"
)

// Owe notes what receivers of an environment are owed, each event once, and drops what was owed of questions that are decided. A
// ledger of another environment is fault.Refused.
func (w *Warehouse) Owe(ctx context.Context, environment string, owner effect.Owner, decided []string, owed []notice.Owed) error {
	if err := w.EnsureLedger(ctx); err != nil {
		return err
	}
	return postgres.Classify("tell people in", w.names.schema, pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if err := w.ledger.BindEnvironment(ctx, tx, environment); err != nil {
			return err
		}
		for _, question := range decided {
			if err := w.ledger.Forgo(ctx, tx, string(owner), question); err != nil {
				return err
			}
		}
		return w.ledger.Owe(ctx, tx, owed)
	}))
}

// TakeOwed takes what a receiver is owed next and is due, for a while in which nobody else takes it; ok is false where there is nothing.
func (w *Warehouse) TakeOwed(ctx context.Context, receiver string, long time.Duration) (notice.Owed, bool, error) {
	o, ok, err := w.ledger.TakeOwed(ctx, w.pool, receiver, long)
	return o, ok, postgres.Classify("tell people in", w.names.schema, err)
}

// Told says that a receiver was told, and what it is owed after that; what was forgone meanwhile is followed by nothing.
func (w *Warehouse) Told(ctx context.Context, o notice.Owed, next ...notice.Owed) error {
	return postgres.Classify("tell people in", w.names.schema, pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		first, err := w.ledger.Told(ctx, tx, o)
		if err != nil || !first {
			return err
		}
		return w.ledger.Owe(ctx, tx, next)
	}))
}

// Untold says why a receiver could not be told: after a rest it is tried again, and what else it is owed not before.
func (w *Warehouse) Untold(ctx context.Context, o notice.Owed, why string, rest time.Duration) error {
	return postgres.Classify("tell people in", w.names.schema, w.ledger.Untold(ctx, w.pool, o, why, rest))
}

// NextOwed is when some receivers are to be told next; zero: they are owed nothing.
func (w *Warehouse) NextOwed(ctx context.Context, receivers []string) (time.Time, error) {
	next, err := w.ledger.NextOwed(ctx, w.pool, receivers)
	return next, postgres.Classify("tell people in", w.names.schema, err)
}

// Debts are what receivers are owed and should have been told before; nothing where there is no ledger yet.
func (w *Warehouse) Debts(ctx context.Context) ([]notice.Debt, error) {
	version, err := w.ledger.Version(ctx, w.pool)
	if err != nil || version == 0 {
		return nil, postgres.Classify("look at", w.names.schema, err)
	}
	debts, err := w.ledger.Debts(ctx, w.pool)
	return debts, postgres.Classify("look at", w.names.schema, err)
}

// noticeAge is how long it is kept that people were told, and tried to tell them.
const noticeAge = 14 * 24 * time.Hour

// Undertakings are the workflows that have something open here, with its pipeline; those are left out of which was told that they
// were abandoned. It forgets what is old, and what nobody of receivers is owed any more.
func (w *Warehouse) Undertakings(ctx context.Context, receivers []string) (map[effect.Owner]string, error) {
	if err := w.ledger.ForgetNotices(ctx, w.pool, noticeAge, receivers); err != nil {
		return nil, postgres.Classify("look at", w.names.schema, err)
	}
	all, err := w.ledger.Undertakings(ctx, w.pool)
	open := make(map[effect.Owner]string, len(all))
	for _, u := range all {
		open[u.Owner] = u.Pipeline
	}
	return open, postgres.Classify("look at", w.names.schema, err)
}

// Forgo drops what is owed of questions of a workflow that has ended.
func (w *Warehouse) Forgo(ctx context.Context, owner effect.Owner) error {
	return postgres.Classify("tell people in", w.names.schema, w.ledger.Forgo(ctx, w.pool, string(owner), ""))
}

// ToldMissed is how many missed times of a pipeline's schedule, which was made at a moment, people were told of.
func (w *Warehouse) ToldMissed(ctx context.Context, pipeline string, since time.Time) (int, error) {
	times, err := w.ledger.ToldMissed(ctx, w.pool, pipeline, since.Truncate(time.Microsecond))
	return times, postgres.Classify("look which times were told of", pipeline, err)
}

// TellMissed notes of how many people were told.
func (w *Warehouse) TellMissed(ctx context.Context, pipeline string, since time.Time, times int) error {
	err := w.ledger.TellMissed(ctx, w.pool, pipeline, since.Truncate(time.Microsecond), times)
	return postgres.Classify("note which times were told of", pipeline, err)
}
