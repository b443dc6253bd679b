package warehouse

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/adoption"
	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/postgres"
)

// parent is what stands under an output's name.
type parent struct {
	OID     uint32
	Kind    generation.TableKind
	Columns []generation.Column
	Owner   uint32
	// Flat says that its partitions hang in itself: some do, and no chunk does. A legacy partition counts for nothing there.
	Flat bool
	// First is the first partition after its legacy one; empty: it has none.
	First partition.Key
	// Partitioned says that partitions can hang in it.
	Partitioned bool
}

// findParent looks at an output's name. Only a partitioned table is managed in which nothing hangs but generations and chunks; what hangs
// in a chunk is looked at where the chunk changes.
func (w *Warehouse) findParent(ctx context.Context, q catalog.Querier, output string) (parent, error) {
	var p parent
	var managed, legacy bool
	err := q.QueryRow(ctx, `
		SELECT r.oid, r.relowner, r.relkind = 'p', r.relkind = 'p' AND NOT coalesce(has.others, false), coalesce(has.leaves, false), coalesce(has.legacy, false)
		FROM pg_class r
		LEFT JOIN LATERAL ( -- one look for each, by its OID: the server would read all of pg_class
		  SELECT bool_or((SELECT relnamespace FROM pg_class WHERE oid = i.inhrelid) IS DISTINCT FROM (SELECT oid FROM pg_namespace WHERE nspname = $2)) AS others,
		         bool_and(c.relkind <> 'p') FILTER (WHERE NOT starts_with(c.relname, $4)) AS leaves, bool_or(starts_with(c.relname, $4)) AS legacy
		  FROM pg_inherits i
		  CROSS JOIN LATERAL (SELECT relkind, relname::text FROM pg_class WHERE oid = i.inhrelid) AS c
		  WHERE i.inhparent = r.oid
		) AS has ON true
		WHERE r.relname = $1 AND r.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $3)`, output, w.names.data(), w.names.schema, adoption.LegacyPrefix).Scan(&p.OID, &p.Owner, &p.Partitioned, &managed, &p.Flat, &legacy)
	if errors.Is(err, pgx.ErrNoRows) {
		return parent{Kind: generation.Absent}, nil
	}
	if err != nil {
		return parent{}, postgres.Classify("look at", output, err)
	}
	p.Kind = generation.Plain
	if managed {
		p.Kind = generation.Managed
	}
	if legacy {
		if p.First, err = w.ledger.FirstAfterLegacy(ctx, q, output); err != nil {
			return parent{}, postgres.Classify("look at", output, err)
		}
	}
	p.Columns, err = columnsOf(ctx, q, p.OID)
	return p, err
}

func plainTable(output, schema string) error {
	return fault.Newf(fault.Refused, "build", output, plainTableHint(output, schema, "PIPELINE@VERSION", "ENV"),
		"a table or view of this name exists that Drawbridge does not manage")
}

// plainTableHint is what to do about a table that has an output's name.
func plainTableHint(output, schema, release, environment string) string {
	return fmt.Sprintf("make it the output as it is: drawbridge adopt %s %s --env %s; or give the output another name, or another warehouse_schema, or rename what is there: ALTER TABLE %s RENAME TO %s",
		release, output, environment, pgx.Identifier{schema, output}.Sanitize(), postgres.Ident(output+"_old"))
}
