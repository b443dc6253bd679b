package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// Backfill is a span of partitions that a workflow builds again.
type Backfill struct {
	Owner    string        `db:"owner"`
	Pipeline string        `db:"pipeline"`
	Tenure   int64         `db:"tenure"`
	Plan     string        `db:"plan"`   // digest
	Digest   string        `db:"digest"` // of the release that is built
	Config   string        `db:"config"`
	First    partition.Key `db:"first"`
	Last     partition.Key `db:"last"`
	// Asks says that people have to approve its plan before anything of it is built.
	Asks   bool      `db:"asks"`
	By     string    `db:"asked_by"`
	Reason string    `db:"reason"`
	Since  time.Time `db:"since"`
	Ended  bool      `db:"ended"`
}

const backfillColumns = ` owner, pipeline, tenure, plan, digest, config, first, last, asks, asked_by, reason, since, ended_at IS NOT NULL AS ended `

// OpenBackfills lists the backfills of a pipeline that have not ended, oldest first.
func (l Ledger) OpenBackfills(ctx context.Context, q Querier, pipeline string) ([]Backfill, error) {
	return l.backfills(ctx, q, `SELECT`+backfillColumns+`FROM ledger.backfill WHERE pipeline = $1 AND ended_at IS NULL ORDER BY since`, pipeline)
}

// Backfill reads the backfill of an owner; its owner is empty where there is none.
func (l Ledger) Backfill(ctx context.Context, q Querier, owner string) (b Backfill, err error) {
	list, err := l.backfills(ctx, q, `SELECT`+backfillColumns+`FROM ledger.backfill WHERE owner = $1`, owner)
	if len(list) > 0 {
		b = list[0]
	}
	return b, err
}

// BackfillsOf lists the starts of one backfill that have published something which nobody has turned back, newest first: whatever a
// turn-back of one came to, what it has built and is live is left to turn back. Who wants newer data back too asks for those as well of
// which something was left.
func (l Ledger) BackfillsOf(ctx context.Context, q Querier, req turnback.Request) ([]string, error) {
	over := `true`
	if req.Snapshot {
		over = `(t.snapshot OR NOT EXISTS (SELECT FROM ledger.left_over l WHERE l.turn_back = t.tenure))`
	}
	return l.ownersOf(ctx, q, req.Pipeline, req.Workflow, `
		SELECT b.owner
		FROM ledger.backfill b
		WHERE b.pipeline = $1 AND starts_with(b.owner, $2)
		  AND EXISTS (SELECT FROM ledger.swap s WHERE s.owner = b.owner AND s.kind = 'publish')
		  AND (
		    NOT EXISTS (SELECT FROM ledger.turn_back t WHERE t.target_owner = b.owner AND t.state = 'done' AND `+over+`)
		    OR EXISTS (
		      SELECT
		      FROM ledger.swap s
		      JOIN ledger.live v ON v.output = s.output AND v.partition = s.partition AND v.generation = s.to_generation
		      WHERE s.owner = b.owner AND s.kind = 'publish')
		  )
		ORDER BY b.since DESC`)
}

// BeginBackfill enters a backfill. Where its owner has entered one already, that is replaced: it goes on by another plan.
func (l Ledger) BeginBackfill(ctx context.Context, tx pgx.Tx, b Backfill) error {
	if _, err := tx.Exec(ctx, l.sql(`
		INSERT INTO ledger.backfill (owner, pipeline, tenure, plan, digest, config, first, last, asks, asked_by, reason)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
		ON CONFLICT (owner) DO UPDATE
		SET tenure = excluded.tenure, plan = excluded.plan, digest = excluded.digest, config = excluded.config, asks = excluded.asks`),
		b.Owner, b.Pipeline, b.Tenure, b.Plan, b.Digest, b.Config, string(b.First), string(b.Last), b.Asks, fault.Bound(b.By), fault.Bound(b.Reason)); err != nil {
		return fmt.Errorf("enter the backfill of %s: %w", b.Pipeline, err)
	}
	return nil
}

// readChosen reads what the open backfill of an owner builds, and what people answered about its plan.
func readChosen(owner string, c *admission.Chosen) []statement {
	return []statement{
		{
			what: "read the backfill", sql: `SELECT tenure, digest, config FROM ledger.backfill WHERE owner = $1 AND ended_at IS NULL`,
			args: []any{owner}, into: []any{&c.Tenure, &c.Digest, &c.Config},
		},
		answered(&c.Answers, `WHERE a.owner = $1 AND a.plan = (SELECT b.plan FROM ledger.backfill b WHERE b.owner = $1)`, owner),
	}
}

// EndBackfills says that workflows build nothing again any more. Twice is once.
func (l Ledger) EndBackfills(ctx context.Context, q Querier, owners ...string) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.backfill
		SET ended_at = clock_timestamp()
		WHERE owner = ANY($1) AND ended_at IS NULL`), owners); err != nil {
		return fmt.Errorf("end the backfills of %v: %w", owners, err)
	}
	return nil
}

// Filled counts the partitions that an owner has published and that are still live.
func (l Ledger) Filled(ctx context.Context, q Querier, owner string) (int, error) {
	var n int
	if err := q.QueryRow(ctx, l.sql(`
		SELECT count(DISTINCT v.partition)
		FROM ledger.swap s
		JOIN ledger.live v ON v.output = s.output AND v.partition = s.partition AND v.generation = s.to_generation
		WHERE s.owner = $1 AND s.kind = 'publish'`), owner).Scan(&n); err != nil {
		return 0, fmt.Errorf("count what %s has published: %w", owner, err)
	}
	return n, nil
}

func (l Ledger) backfills(ctx context.Context, q Querier, text string, args ...any) ([]Backfill, error) {
	rows, err := q.Query(ctx, l.sql(text), args...)
	if err != nil {
		return nil, fmt.Errorf("read backfills: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Backfill])
	if err != nil {
		return nil, fmt.Errorf("read backfills: %w", err)
	}
	return list, nil
}
