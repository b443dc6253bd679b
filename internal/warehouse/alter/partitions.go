package alter

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// partitions reads of a partitioned table by what its rows are placed, which parts it has, and where these are not as it is itself.
func (t *Tables) partitions(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	if d.Kind != migrate.Partitioned {
		return nil
	}
	if err := tx.QueryRow(ctx, `
		WITH split AS (SELECT p.* FROM pg_partition_tree($1::oid) m JOIN pg_partitioned_table p ON p.partrelid = m.relid)
		SELECT ARRAY(
		         SELECT DISTINCT a.attname::text
		         FROM split s
		         JOIN pg_depend dep ON dep.classid = 'pg_class'::regclass AND dep.objid = s.partrelid AND dep.refclassid = 'pg_class'::regclass
		           AND dep.refobjid = s.partrelid AND dep.refobjsubid = 0 AND dep.deptype = 'i'
		         JOIN pg_attribute a ON a.attrelid = s.partrelid AND a.attnum = dep.objsubid
		         ORDER BY 1),
		       EXISTS (SELECT FROM split WHERE partexprs IS NOT NULL)`, d.OID).Scan(&d.PartitionKey, &d.PlacedBy); err != nil {
		return fmt.Errorf("read by what the table is partitioned: %w", err)
	}
	rows, err := tx.Query(ctx, `
		SELECT n.nspname, c.relname, u.relname,
		       CASE c.relkind WHEN 'r' THEN '`+migrate.Plain+`' WHEN 'p' THEN '`+migrate.Partitioned+`' WHEN 'f' THEN 'foreign table' ELSE 'relation of another kind' END,
		       pg_has_role(c.relowner, 'USAGE'), CASE c.relkind WHEN 'r' THEN pg_relation_size(c.oid) ELSE 0 END, CASE c.relkind WHEN 'r' THEN c.reltuples::bigint ELSE 0 END,
		       ARRAY(SELECT conname::text FROM pg_constraint WHERE conrelid = c.oid AND contype = 'c' AND coninhcount = 0 ORDER BY 1)
		FROM pg_partition_tree($1::oid) m
		JOIN pg_class c ON c.oid = m.relid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_class u ON u.oid = m.parentrelid
		WHERE m.level > 0
		ORDER BY m.level, n.nspname, c.relname`, d.OID)
	if err != nil {
		return fmt.Errorf("read partitions: %w", err)
	}
	var part migrate.Partition
	var counted int64
	known := false
	d.Rows, d.Bytes = 0, 0
	if _, err := pgx.ForEachRow(rows, []any{&part.Schema, &part.Name, &part.Of, &part.Kind, &part.Owned, &part.Bytes, &counted, &part.Checks}, func() error {
		d.Partitions = append(d.Partitions, part)
		d.Rows, d.Bytes = d.Rows+max(counted, 0), d.Bytes+part.Bytes
		known = known || part.Kind == migrate.Plain && counted >= 0
		return nil
	}); err != nil {
		return fmt.Errorf("read partitions: %w", err)
	}
	if !known && len(d.Partitions) > 0 {
		d.Rows = -1
	}
	return t.apart(ctx, tx, d)
}

// apart reads what of a column is in partitions otherwise than in the table. Defaults and NOT NULL stand in the way of whoever changes them; what
// else a partition has of its own goes with its column.
func (t *Tables) apart(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		WITH part AS (SELECT c.oid, c.relname FROM pg_partition_tree($1::oid) m JOIN pg_class c ON c.oid = m.relid WHERE m.level > 0),
		a AS (
		  SELECT o.attname AS name, o.attnum AS place, p.oid AS part, p.relname AS called, a.attnum, o.attnotnull AS top_not_null, a.attnotnull,
		         pg_get_expr(od.adbin, od.adrelid) IS DISTINCT FROM pg_get_expr(d.adbin, d.adrelid) AS other_default,
		         (o.attstorage, o.attcompression, o.attstattarget, o.attoptions) IS DISTINCT FROM (a.attstorage, a.attcompression, a.attstattarget, a.attoptions) AS other_settings,
		         a.attacl IS NOT NULL AS granted, col_description(p.oid, a.attnum) IS NOT NULL AS commented
		  FROM part p
		  JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
		  JOIN pg_attribute o ON o.attrelid = $1 AND o.attname = a.attname AND NOT o.attisdropped
		  LEFT JOIN pg_attrdef od ON od.adrelid = o.attrelid AND od.adnum = o.attnum
		  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		),
		found AS (
		  SELECT name, place, true AS unlike, false AS stays, format('the partition %s has another default', called) AS what FROM a WHERE other_default
		  UNION ALL
		  SELECT name, place, true, false, format('in the partition %s it is %s', called, CASE WHEN attnotnull THEN 'NOT NULL' ELSE 'nullable' END) FROM a WHERE attnotnull <> top_not_null
		  UNION ALL
		  SELECT name, place, false, false, format('its storage, compression or statistics target in the partition %s', called) FROM a WHERE other_settings
		  UNION ALL
		  SELECT name, place, false, false, format('a right on the column of the partition %s alone', called) FROM a WHERE granted
		  UNION ALL
		  SELECT name, place, false, false, format('its comment in the partition %s', called) FROM a WHERE commented
		  UNION ALL
		  SELECT a.name, a.place, false, false, format('the index %I of the partition %s', c.relname, a.called)
		  FROM a
		  JOIN pg_index x ON x.indrelid = a.part
		  JOIN pg_class c ON c.oid = x.indexrelid AND NOT c.relispartition
		  WHERE a.attnum = ANY(x.indkey::int2[]) OR EXISTS (
		    SELECT FROM pg_depend dep
		    WHERE dep.classid = 'pg_class'::regclass AND dep.objid = x.indexrelid AND dep.refclassid = 'pg_class'::regclass AND dep.refobjid = a.part AND dep.refobjsubid = a.attnum)
		  UNION ALL
		  SELECT a.name, a.place, false, false, format('the constraint %I of the partition %s', o.conname, a.called)
		  FROM a
		  JOIN pg_constraint o ON o.conrelid = a.part AND a.attnum = ANY(o.conkey) AND o.coninhcount = 0 AND o.conparentid = 0
		  WHERE o.contype IN ('c', 'f', 'x')
		  UNION ALL
		  SELECT a.name, a.place, false, true, format('the foreign key %I of %s to the partition %s', o.conname, o.conrelid::regclass, a.called)
		  FROM a
		  JOIN pg_constraint o ON o.confrelid = a.part AND o.contype = 'f' AND a.attnum = ANY(o.confkey) AND o.conparentid = 0
		  UNION ALL
		  SELECT a.name, a.place, false, false, format('the statistics %I of the partition %s', e.stxname, a.called)
		  FROM a
		  JOIN pg_statistic_ext e ON e.stxrelid = a.part AND a.attnum = ANY(e.stxkeys::int2[])
		  UNION ALL
		  SELECT DISTINCT a.name, a.place, false, true, format('the rule %I of the partition %s', r.rulename, a.called)
		  FROM a
		  JOIN pg_depend dep ON dep.refclassid = 'pg_class'::regclass AND dep.refobjid = a.part AND dep.refobjsubid = a.attnum
		    AND dep.classid = 'pg_rewrite'::regclass
		  JOIN pg_rewrite r ON r.oid = dep.objid AND r.ev_class = a.part
		  UNION ALL
		  SELECT a.name, a.place, false, false, format('the replica identity of the partition %s', a.called) -- it names the index of the partition, which goes
		  FROM a
		  JOIN pg_index x ON x.indrelid = a.part AND x.indisreplident AND a.attnum = ANY(x.indkey::int2[])
		  UNION ALL
		  SELECT a.name, a.place, false, false, format('the order by which the partition %s is clustered', a.called) -- so does this
		  FROM a
		  JOIN pg_index x ON x.indrelid = a.part AND x.indisclustered
		  WHERE a.attnum = ANY(x.indkey::int2[]) OR EXISTS (
		    SELECT FROM pg_depend dep
		    WHERE dep.classid = 'pg_class'::regclass AND dep.objid = x.indexrelid AND dep.refclassid = 'pg_class'::regclass AND dep.refobjid = a.part AND dep.refobjsubid = a.attnum)
		)
		SELECT name, unlike, stays, what
		FROM found
		ORDER BY place, what`, d.OID)
	if err != nil {
		return fmt.Errorf("read what partitions have of their own: %w", err)
	}
	var column, what string
	var unlike, stays bool
	if _, err := pgx.ForEachRow(rows, []any{&column, &unlike, &stays, &what}, func() error {
		for i := range d.Columns {
			switch c := &d.Columns[i]; {
			case c.Name != column:
			case unlike:
				c.Unlike = append(c.Unlike, what)
			default:
				c.Holds = append(c.Holds, what)
				if stays {
					c.Stays = append(c.Stays, what)
				}
			}
		}
		return nil
	}); err != nil {
		return fmt.Errorf("read what partitions have of their own: %w", err)
	}
	return nil
}

// parts are the partitions of a table: those that are partitioned themselves, and those in which rows lie.
func parts(ctx context.Context, q catalog.Querier, table postgres.Relation) (between, leaves []postgres.Relation, err error) {
	rows, err := q.Query(ctx, `
		SELECT c.oid, n.nspname, c.relname, m.isleaf
		FROM pg_partition_tree($1::oid) m
		JOIN pg_class c ON c.oid = m.relid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE m.level > 0 AND c.relkind IN ('r', 'p') -- nobody can lock another one
		ORDER BY m.level, c.oid`, table.OID)
	if err != nil {
		return nil, nil, fmt.Errorf("look for partitions: %w", err)
	}
	var r postgres.Relation
	var schema, name string
	var leaf bool
	if _, err := pgx.ForEachRow(rows, []any{&r.OID, &schema, &name, &leaf}, func() error {
		r.Name = pgx.Identifier{schema, name}.Sanitize()
		if leaf {
			leaves = append(leaves, r)
		} else {
			between = append(between, r)
		}
		return nil
	}); err != nil {
		return nil, nil, fmt.Errorf("look for partitions: %w", err)
	}
	return between, leaves, nil
}

// partition finds one by its name, as long as it is a part of the table.
func (t *Tables) partition(ctx context.Context, q catalog.Querier, table, name string) (r postgres.Relation, there bool, err error) {
	root, err := t.relation(ctx, q, table)
	if err != nil {
		return r, false, err
	}
	between, leaves, err := parts(ctx, q, root)
	all := slices.Concat(between, leaves)
	at := slices.IndexFunc(all, func(part postgres.Relation) bool { return part.Name == t.name(name) })
	if err != nil || at < 0 {
		return r, false, err
	}
	return all[at], true, nil
}

// errLeft says that a partition is a part of its table no more.
var errLeft = errors.New("the partition is no part of its table any more")

// leaf is where rows lie that are brought over: a partition, or the table itself.
type leaf struct {
	postgres.Relation
	cursor uint32 // by which the ledger knows how far it is
	whole  bool   // it is the table itself
	rows   int64  // as the server estimates; -1: unknown
}

// leaves are those of a table, the newest partition first.
func (t *Tables) leaves(ctx context.Context, q catalog.Querier, table postgres.Relation) ([]leaf, error) {
	rows, err := q.Query(ctx, `
		SELECT c.oid, n.nspname, c.relname, c.oid = $1, c.reltuples::bigint
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND (c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1::oid) WHERE isleaf AND level > 0))
		ORDER BY c.oid DESC`, table.OID)
	if err != nil {
		return nil, fmt.Errorf("look where the rows lie: %w", err)
	}
	leaves, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l leaf, err error) {
		var schema, name string
		err = row.Scan(&l.OID, &schema, &name, &l.whole, &l.rows)
		if l.Name = (pgx.Identifier{schema, name}).Sanitize(); !l.whole {
			l.cursor = l.OID
		}
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("look where the rows lie: %w", err)
	}
	return leaves, nil
}

// within keeps a leaf a part of its table until the transaction ends; errLeft: it is none any more.
func (l leaf) within(ctx context.Context, tx pgx.Tx, table uint32) error {
	if l.whole {
		return nil
	}
	_, err := tx.Exec(ctx, "LOCK TABLE ONLY "+l.Name+" IN ROW EXCLUSIVE MODE")
	if postgres.SQLState(err) == pgerrcode.UndefinedTable {
		return errLeft
	}
	if err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_partition_ancestors($1::oid) u WHERE u.relid = $2)`, l.OID, table).Scan(&there); err != nil {
		return fmt.Errorf("look whether %s is a part of its table: %w", l.Name, err)
	}
	if !there {
		return errLeft
	}
	return nil
}
