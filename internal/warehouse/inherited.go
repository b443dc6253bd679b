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

// inherited is an index of a table, or a key with its index, which each of its partitions needs as well. Where one lacks it, the server
// makes it when it attaches the partition, and reads all of its rows while readers wait. (References are not handed down: to look at rows
// of others they need locks on others' tables. A release is refused where its table has one.)
type inherited struct {
	Table uint32 `db:"table"`
	OID   uint32 `db:"oid"` // of the index
	Name  string `db:"name"`
	Index string `db:"index"` // its definition, without the names of itself and its table
	Key   string `db:"key"`   // the constraint that it is there for; empty: it is an index alone
}

// inheritances are what tables hand down, and have, in the order in which the server matches them.
func (w *Warehouse) inheritances(ctx context.Context, q catalog.Querier, tables []uint32) ([]inherited, error) {
	rows, err := q.Query(ctx, `
		SELECT i.indrelid AS "table", c.oid, coalesce(k.conname, c.relname) AS name,
		       CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || substr(pg_get_indexdef(c.oid), 1 + length(format('CREATE %sINDEX %I ON %s%s',
		         CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname, CASE WHEN c.relkind = 'I' THEN 'ONLY ' ELSE '' END, i.indrelid::regclass))) AS index,
		       coalesce(pg_get_constraintdef(k.oid), '') AS key
		FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid
		LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
		WHERE i.indrelid = ANY($1) AND (c.relkind = 'I' OR i.indisvalid)
		ORDER BY 1, 2`, tables)
	if err != nil {
		return nil, fmt.Errorf("read indexes: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[inherited])
	if err != nil {
		return nil, fmt.Errorf("read indexes: %w", err)
	}
	return found, nil
}

// primary says that it is a table's primary key, of which it has one at most.
func (x inherited) primary() bool { return strings.HasPrefix(x.Key, "PRIMARY KEY") }

// lacking are what a table hands down and a child has nothing equal to. Where that is the table's primary key, and the child has one of
// its own, stale is that: it has to make room, and answers for nothing.
func lacking(handed, has []inherited, parent, child uint32) (left []inherited, stale string) {
	of := func(list []inherited, table uint32) []inherited {
		return slices.DeleteFunc(slices.Clone(list), func(x inherited) bool { return x.Table != table })
	}
	handed, own := of(handed, parent), of(has, child)
	left = unanswered(handed, own)
	at := slices.IndexFunc(own, inherited.primary)
	if at < 0 || !slices.ContainsFunc(left, inherited.primary) {
		return left, ""
	}
	stale = own[at].Name
	return unanswered(handed, slices.Delete(own, at, at+1)), stale
}

// unanswered are what nothing of a child's own is equal to. Each of that answers for one alone, as the server has it; an index is content
// with that of a key, and a key wants a key.
func unanswered(handed, own []inherited) (left []inherited) {
	own = slices.Clone(own)
	for _, x := range handed {
		at := slices.IndexFunc(own, func(h inherited) bool { return h.Index == x.Index && (x.Key == "" || h.Key == x.Key) })
		if at < 0 {
			left = append(left, x)
			continue
		}
		own = slices.Delete(own, at, at+1)
	}
	return left
}

// inherit gives a child what it lacks.
func (w *Warehouse) inherit(d debt, x inherited) payment {
	name, child := postgres.Ident(fmt.Sprintf("%s_p%d", childName(d.generation.ID), x.OID)), w.names.child(d.generation.ID)
	statement := fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", child, name, x.Key)
	if x.Key == "" {
		unique, def := "", x.Index
		if rest, ok := strings.CutPrefix(def, "UNIQUE "); ok {
			unique, def = "UNIQUE ", rest
		}
		statement = fmt.Sprintf("CREATE %sINDEX %s ON %s%s", unique, name, child, def)
	}
	return payment{
		said: func(_ context.Context, err error) error { return w.disobeyed(d, x, err) },
		pay: func(ctx context.Context, tx pgx.Tx) error {
			return together(ctx, tx, []string{"SET LOCAL maintenance_work_mem = " + postgres.Literal(buildMemory), statement})
		},
	}
}

// disobeyed says that the rows of a child cannot have what its table hands down; nil: err is about something else.
func (w *Warehouse) disobeyed(d debt, x inherited, err error) error {
	what, drop := "constraint "+x.Name, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", d.parent, postgres.Ident(x.Name))
	if x.Key == "" {
		what, drop = "index "+x.Name, "DROP INDEX "+pgx.Identifier{w.names.schema, x.Name}.Sanitize()
	}
	how := "repeat values of"
	switch postgres.SQLState(err) {
	case pgerrcode.UniqueViolation:
	case pgerrcode.ExclusionViolation:
		how = "exclude one another by"
	default:
		return nil
	}
	g := d.generation
	return fault.Newf(fault.Refused, "publish", fmt.Sprintf("generation %d of %s %s", g.ID, g.Output, g.Partition),
		"build it anew with rows that obey, or, before the same command again: "+drop, fmt.Sprintf("its rows %s %s, which the table has gained since", how, what))
}
