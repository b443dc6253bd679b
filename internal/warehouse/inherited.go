package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/postgres"
)

// inherited is an index, a key or a reference of a table, which each of its partitions needs as well. Where one lacks it, the server
// makes it when it attaches the partition, and reads all of its rows while readers wait.
type inherited struct {
	Table  uint32 `db:"table"`
	OID    uint32 `db:"oid"`
	Name   string `db:"name"`
	Kind   string `db:"kind"`   // as pg_constraint's contype; "i" is an index
	Def    string `db:"def"`    // without the names of itself and its table
	Refers uint32 `db:"refers"` // to this table; 0: to none
}

// index says that it is no constraint.
func (x inherited) index() bool { return x.Kind == "i" }

// inheritances are what tables hand down, and have. Of what a constraint needs the index is listed by itself where asked: an equal
// index of the table above is content with it.
func (w *Warehouse) inheritances(ctx context.Context, q catalog.Querier, tables []uint32, all bool) ([]inherited, error) {
	rows, err := q.Query(ctx, `
		SELECT i.indrelid AS "table", c.oid, c.relname AS name, 'i' AS kind,
		       CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || substr(pg_get_indexdef(c.oid), 1 + length(format('CREATE %sINDEX %I ON %s%s',
		         CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname, CASE WHEN c.relkind = 'I' THEN 'ONLY ' ELSE '' END, i.indrelid::regclass))) AS def,
		       0::oid AS refers
		FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid
		WHERE i.indrelid = ANY($1) AND (c.relkind = 'I' OR i.indisvalid)
		  AND ($2 OR NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')))
		UNION ALL
		SELECT conrelid, oid, conname, contype::text, pg_get_constraintdef(oid), confrelid
		FROM pg_constraint
		WHERE conrelid = ANY($1) AND contype IN ('p', 'u', 'x', 'f') AND ($2 OR conparentid = 0)
		ORDER BY 1, 2`, tables, all)
	if err != nil {
		return nil, fmt.Errorf("read indexes: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[inherited])
	if err != nil {
		return nil, fmt.Errorf("read indexes: %w", err)
	}
	return found, nil
}

// lacking are what a table hands down and a child has nothing equal to.
func lacking(handed, has []inherited, parent, child uint32) []inherited {
	var left []inherited
	for _, x := range handed {
		if x.Table == parent && !slices.ContainsFunc(has, func(h inherited) bool { return h.Table == child && h.Kind == x.Kind && h.Def == x.Def }) {
			left = append(left, x)
		}
	}
	return left
}

// inherit gives a child what it lacks, in two steps: what is there for new rows, and what its rows are read for under a lock that keeps
// no reader out.
func (w *Warehouse) inherit(d debt, x inherited) []payment {
	said := func(ctx context.Context, err error) error { return w.disobeyed(ctx, d, x, err) }
	name := postgres.Ident(fmt.Sprintf("%s_p%d", childName(d.generation.ID), x.OID))
	child := w.names.child(d.generation.ID)
	run := func(statement string) payment {
		return payment{said: said, refers: x.Refers, pay: func(ctx context.Context, tx pgx.Tx) error {
			return together(ctx, tx, []string{"SET LOCAL maintenance_work_mem = " + postgres.Literal(buildMemory), statement})
		}}
	}
	add := fmt.Sprintf("ALTER TABLE %[1]s DROP CONSTRAINT IF EXISTS %[2]s, ADD CONSTRAINT %[2]s ", child, name)
	switch {
	case x.index():
		unique, def := "", x.Def
		if rest, ok := strings.CutPrefix(def, "UNIQUE "); ok {
			unique, def = "UNIQUE ", rest
		}
		return []payment{run(fmt.Sprintf("CREATE %sINDEX %s ON %s%s", unique, name, child, def))}
	case x.Refers == 0, strings.HasSuffix(x.Def, " NOT VALID"):
		return []payment{run(add + x.Def)}
	default:
		return []payment{run(add + x.Def + " NOT VALID"), run("ALTER TABLE " + child + " VALIDATE CONSTRAINT " + name)}
	}
}

// disobeyed says that the rows of a child cannot have what its table hands down; nil: err is about something else.
func (w *Warehouse) disobeyed(ctx context.Context, d debt, x inherited, err error) error {
	drop := fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", d.parent, postgres.Ident(x.Name))
	what, how := "constraint "+x.Name, "repeat values of"
	if x.index() {
		what, drop = "index "+x.Name, "DROP INDEX "+pgx.Identifier{w.names.schema, x.Name}.Sanitize()
	}
	switch postgres.SQLState(err) {
	case pgerrcode.UniqueViolation:
	case pgerrcode.ExclusionViolation:
		how = "exclude one another by"
	case pgerrcode.ForeignKeyViolation:
		how = "refer to what is not there, by"
		child, name := w.names.child(d.generation.ID), postgres.Ident(fmt.Sprintf("%s_p%d", childName(d.generation.ID), x.OID))
		if _, err := w.pool.Exec(ctx, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", child, name)); err != nil {
			return err
		}
	default:
		return nil
	}
	g := d.generation
	return fault.Newf(fault.Refused, "publish", fmt.Sprintf("generation %d of %s %s", g.ID, g.Output, g.Partition),
		"build it anew with rows that obey, or, before the same command again: "+drop, fmt.Sprintf("its rows %s %s, which the table has gained since", how, what))
}
