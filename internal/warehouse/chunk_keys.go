package warehouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
	"drawbridge/internal/postgres"
)

// repeated says which unique index of a chunk alone stands in the way of a swap, where rows that go live repeat its values; nil: err is
// about something else. Nobody has made it of them before, as it is none of the output's.
func (p *publication) repeated(ctx context.Context, err error) error {
	switch postgres.SQLState(err) {
	case pgerrcode.UniqueViolation, pgerrcode.ExclusionViolation:
	default:
		return nil
	}
	var outputs []uint32
	for _, found := range p.parents {
		outputs = append(outputs, found.OID)
	}
	var name, chunk, drop string
	lost := p.w.pool.QueryRow(ctx, `
		SELECT coalesce('constraint ' || quote_ident(k.conname), 'index ' || i.indexrelid::regclass), i.indrelid::regclass::text,
		       coalesce('ALTER TABLE ' || i.indrelid::regclass || ' DROP CONSTRAINT ' || quote_ident(k.conname), 'DROP INDEX ' || i.indexrelid::regclass)
		FROM pg_inherits up
		JOIN pg_class c ON c.oid = up.inhrelid AND c.relkind = 'p'
		JOIN pg_index i ON i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)
		LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
		WHERE up.inhparent = ANY($1) AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = i.indexrelid)
		ORDER BY i.indexrelid
		LIMIT 1`, outputs).Scan(&name, &chunk, &drop)
	if errors.Is(lost, pgx.ErrNoRows) {
		return nil
	}
	if lost != nil {
		return fmt.Errorf("read indexes of chunks: %w", lost)
	}
	return fault.Newf(fault.Conflict, "publish", p.object(), "before the same command again: "+drop,
		fmt.Sprintf("its rows repeat values of %s, which somebody has made on %s alone", name, chunk))
}
