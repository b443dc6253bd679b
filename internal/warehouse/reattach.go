package warehouse

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

// child is a child table as the server has it now.
type child struct {
	OID     uint32              `db:"oid"`
	Owner   uint32              `db:"owner"`
	Parent  uint32              `db:"parent"` // 0: it hangs in none
	Hangs   string              `db:"hangs"`  // the parent's name, quoted
	Top     uint32              `db:"top"`    // what the parent hangs in; 0: nothing
	Aside   bool                `db:"aside"`  // the parent is a chunk that nobody reads
	Guarded bool                `db:"guarded"`
	Granted bool                `db:"granted"` // somebody else may write
	Columns []generation.Column `db:"columns"`
}

// children reads the child tables of generations, by id; those that are not there are missing from the result.
func (w *Warehouse) children(ctx context.Context, q catalog.Querier, ids []int64) (map[int64]child, error) {
	rows, err := q.Query(ctx, `
		SELECT wanted.id, c.oid, c.relowner AS owner,
		       coalesce(up.oid, 0) AS parent, coalesce(quote_ident(upn.nspname) || '.' || quote_ident(up.relname), '') AS hangs, coalesce(above.inhparent, 0) AS top,
		       coalesce(upn.oid = n.oid AND above.inhparent IS NULL, false) AS aside,
		       (SELECT count(*) = 2
		        FROM pg_trigger
		        WHERE tgrelid = c.oid
		          AND tgname IN ('drawbridge_refuse_write', 'drawbridge_refuse_truncate')
		          AND tgenabled IN ('O', 'A')) AS guarded,
		       EXISTS (
		         SELECT
		         FROM aclexplode(c.relacl) AS acl
		         WHERE acl.grantee <> c.relowner AND acl.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')) AS granted,
		       (SELECT jsonb_agg(jsonb_build_object('name', attname, 'type', format_type(atttypid, atttypmod), 'not_null', attnotnull) ORDER BY attnum)
		        FROM pg_attribute
		        WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) AS columns
		FROM unnest($1::bigint[]) AS wanted (id)
		JOIN pg_class c ON c.relname = 'g' || wanted.id
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $2
		LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
		LEFT JOIN pg_class up ON up.oid = i.inhparent
		LEFT JOIN pg_namespace upn ON upn.oid = up.relnamespace
		LEFT JOIN pg_inherits above ON above.inhrelid = up.oid`, ids, w.names.data())
	if err != nil {
		return nil, err
	}
	found := map[int64]child{}
	var id int64
	var c child
	_, err = pgx.ForEachRow(rows, []any{&id, &c.OID, &c.Owner, &c.Parent, &c.Hangs, &c.Top, &c.Aside, &c.Guarded, &c.Granted, &c.Columns}, func() error {
		found[id] = c
		c.Columns = nil
		return nil
	})
	return found, err
}

// trusted says, without reading a row, whether a child still is what the ledger recorded: the recorded checksum then
// holds, because nobody else could write it. shadow is the parent in which it has to hang; without one it hangs nowhere, or in a
// chunk that stands aside.
func (c child) trusted(g catalog.Generation, shadow uint32) error {
	reason := ""
	switch {
	case c.OID == 0 || c.OID != g.Child:
		reason = "its table is gone, or another one"
	case c.Owner != g.ChildOwner:
		reason = "its owner has changed"
	case !c.Guarded:
		reason = "its write-refusing triggers were dropped or disabled"
	case c.Granted:
		reason = "another role may write it"
	case c.Parent != shadow && (shadow != 0 || !c.Aside):
		reason = "it is attached to a table that the ledger does not know of"
	case !c.keeps(g.Columns):
		reason = "its columns are not those that were recorded"
	default:
		return nil
	}
	return fault.Newf(fault.Refused, "publish", fmt.Sprintf("generation %d of %s %s", g.ID, g.Output, g.Partition),
		"rebuild the partition: run it with the release that you want", reason)
}

// keeps says whether every recorded column is there as recorded; a child may have gained nullable ones since.
func (c child) keeps(recorded []generation.Column) bool {
	for _, want := range recorded {
		at := slices.IndexFunc(c.Columns, func(have generation.Column) bool { return have.Name == want.Name })
		if at < 0 || c.Columns[at].Type != want.Type {
			return false
		}
	}
	for _, have := range c.Columns {
		if have.NotNull && !named(recorded, have.Name) {
			return false
		}
	}
	return true
}

// missing are the parent's columns that the child has yet to gain; output is the parent's name, quoted. What nullable columns cannot
// reconcile is a fault.
func (c child) missing(g catalog.Generation, parent []generation.Column, output string) ([]generation.Column, error) {
	object := fmt.Sprintf("generation %d of %s %s", g.ID, g.Output, g.Partition)
	var missing []generation.Column
	for _, want := range parent {
		at := slices.IndexFunc(c.Columns, func(have generation.Column) bool { return have.Name == want.Name })
		switch {
		case at < 0 && want.NotNull:
			return nil, fault.Newf(fault.Refused, "publish", object, "rebuild the partition with a release that selects it", "it lacks column "+want.Name+", which the table demands")
		case at < 0:
			missing = append(missing, want)
		case c.Columns[at].Type != want.Type:
			return nil, fault.Newf(fault.Refused, "publish", object, "rebuild the partition with a release of the table's types",
				fmt.Sprintf("its column %s is %s, and %s in the table", want.Name, c.Columns[at].Type, want.Type))
		}
	}
	for _, have := range c.Columns {
		if named(g.Columns, have.Name) && !named(parent, have.Name) {
			return nil, fault.Newf(fault.Conflict, "publish", object,
				fmt.Sprintf("before the same command again: ALTER TABLE %s ADD COLUMN %s %s", output, postgres.Ident(have.Name), have.Type),
				"the table lacks its column "+have.Name)
		}
	}
	return missing, nil
}

// surplus are the columns that the child was not built with: it has gained them with its table, and the table has none of them any more.
func (c child) surplus(g catalog.Generation, parent []generation.Column) (names []string) {
	for _, have := range c.Columns {
		if !named(g.Columns, have.Name) && !named(parent, have.Name) {
			names = append(names, have.Name)
		}
	}
	return names
}

// named says that a column of a name is among some.
func named(columns []generation.Column, name string) bool {
	return slices.ContainsFunc(columns, func(c generation.Column) bool { return c.Name == name })
}
