package catalog

import (
	"context"
	"fmt"
	"strconv"
)

// Stand keeps everybody from moving a generation until the transaction ends.
func (l Ledger) Stand(ctx context.Context, q Querier) error {
	if _, err := q.Exec(ctx, l.sql(`LOCK TABLE ledger.generation IN EXCLUSIVE MODE`)); err != nil {
		return fmt.Errorf("lock the generations: %w", err)
	}
	return nil
}

// WithChildren lists the generations that are visible or may become so, by number, after a number.
func (l Ledger) WithChildren(ctx context.Context, q Querier, after int64, limit int) ([]Generation, error) {
	return l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.id > $1 AND g.child IS NOT NULL AND g.state IN ('built', 'shadow', 'live', 'retired')
		ORDER BY g.id
		LIMIT `+strconv.Itoa(limit), after)
}

// Rebind records which tables generations have, and who owns them. Who had older snapshots when it was built is nobody's question any more: what
// a restore wrote, every session of the new server sees.
func (l Ledger) Rebind(ctx context.Context, q Querier, ids []int64, tables, owners []uint32) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.generation g
		SET child = now.child, owner = now.owner, built_xid = NULL, older = '{}'
		FROM unnest($1::bigint[], $2::oid[], $3::oid[]) AS now (id, child, owner)
		WHERE g.id = now.id`), ids, tables, owners); err != nil {
		return fmt.Errorf("bind %d generations anew: %w", len(ids), err)
	}
	return nil
}

// RenewEpoch makes the ledger another one than those knew who were told of it, and gives it to an environment.
func (l Ledger) RenewEpoch(ctx context.Context, q Querier, environment string) error {
	if _, err := q.Exec(ctx, l.sql(`UPDATE ledger.environment SET name = $1, epoch = gen_random_uuid()`), environment); err != nil {
		return fmt.Errorf("renew the ledger's epoch: %w", err)
	}
	return nil
}

// ForgetCrossings takes out everybody who changes a pipeline here: in a copy they are another ledger's.
func (l Ledger) ForgetCrossings(ctx context.Context, q Querier) error {
	if _, err := q.Exec(ctx, l.sql(`DELETE FROM ledger.crossing`)); err != nil {
		return fmt.Errorf("forget the crossings of a copy: %w", err)
	}
	return nil
}
