package warehouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/fault"
)

// reference is a foreign key between an output and another table.
type reference struct {
	Name  string `db:"name"`  // quoted
	Table string `db:"table"` // quoted; its rows refer
	Own   bool   `db:"own"`   // it is of an output, and refers to another table
}

// referred says which foreign key stands in the way of a swap, where that is what the server has refused; nil: err is about something else.
// Preflight refuses outputs that have one; this one came since. The server names that of one partition, and only the one that was made
// by hand, on the table as a whole, can be dropped.
func (p *publication) referred(ctx context.Context, err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code != pgerrcode.ForeignKeyViolation {
		return nil
	}
	var outputs []uint32
	for _, found := range p.parents {
		outputs = append(outputs, found.OID)
	}
	rows, err := p.w.pool.Query(ctx, `
		WITH RECURSIVE refused AS (
		  SELECT oid, conparentid
		  FROM pg_constraint
		  WHERE contype = 'f' AND conname = $1 AND conrelid = to_regclass(format('%I.%I', $2::text, $3::text))
		  UNION ALL
		  SELECT k.oid, k.conparentid
		  FROM refused r
		  JOIN pg_constraint k ON k.oid = r.conparentid
		)
		SELECT quote_ident(conname) AS name, conrelid::regclass::text AS "table", conrelid = ANY($4) AS own
		FROM pg_constraint
		WHERE contype = 'f' AND conparentid = 0
		  AND (confrelid = ANY($4) AND oid IN (SELECT oid FROM refused) OR conrelid = ANY($4) AND NOT EXISTS (SELECT FROM refused))
		ORDER BY 1
		LIMIT 1`, pg.ConstraintName, pg.SchemaName, pg.TableName, outputs)
	if err != nil {
		return fmt.Errorf("read foreign keys: %w", err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[reference])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read foreign keys: %w", err)
	}
	reason := fmt.Sprintf("rows of %s refer to rows of it by foreign key %s, and the server takes nothing away that is referred to", r.Table, r.Name)
	if r.Own {
		reason = fmt.Sprintf("its rows refer to what is not there, by foreign key %s of %s", r.Name, r.Table)
	}
	return fault.Newf(fault.Conflict, "publish", p.object(),
		fmt.Sprintf("before the same command again: ALTER TABLE %s DROP CONSTRAINT %s", r.Table, r.Name), reason)
}
