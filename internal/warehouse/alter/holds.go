package alter

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/migrate"
)

// holds reads what of each column cannot be carried over to another one, in words, and what of that does not go with it.
func (t *Tables) holds(ctx context.Context, tx pgx.Tx, d *migrate.Table) error {
	rows, err := tx.Query(ctx, `
		WITH a AS (
		  SELECT a.*
		  FROM pg_attribute a
		  WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
		),
		held AS (
		  SELECT a.attnum, 1 AS rank,
		         'the ' || CASE WHEN o.condeferrable THEN 'deferrable ' ELSE '' END || CASE o.contype
		           WHEN 'p' THEN 'primary key ' WHEN 'u' THEN 'unique constraint ' WHEN 'x' THEN 'exclusion constraint ' WHEN 'f' THEN 'foreign key '
		           ELSE 'constraint '
		         END || o.conname AS what
		  FROM a
		  JOIN pg_constraint o ON o.conrelid = $1 AND a.attnum = ANY(o.conkey)
		  JOIN pg_class c ON c.oid = o.conrelid
		  WHERE c.relkind = 'p' AND o.contype IN ('p', 'u', 'f') -- no constraint of a partitioned table is made of an index
		     OR o.contype IN ('p', 'u') AND o.condeferrable
		     OR o.contype NOT IN ('c', 'f', 'n', 'p', 'u')
		  UNION ALL
		  SELECT a.attnum, 3, 'the foreign key ' || o.conname || ' of ' || o.conrelid::regclass
		  FROM a
		  JOIN pg_constraint o ON o.confrelid = $1 AND o.contype = 'f' AND a.attnum = ANY(o.confkey)
		  UNION ALL
		  SELECT attnum, 4, 'an identity' FROM a WHERE attidentity <> ''
		  UNION ALL
		  SELECT attnum, 5, 'that it is generated' FROM a WHERE attgenerated <> ''
		  UNION ALL
		  SELECT DISTINCT a.attnum, 8, 'a right on the column that ' || pg_get_userbyid(r.grantor) || ' gave, who does not own the table'
		  FROM a
		  JOIN pg_class c ON c.oid = $1
		  CROSS JOIN aclexplode(a.attacl) r
		  WHERE r.grantor <> c.relowner
		  UNION ALL
		  SELECT a.attnum, 2, 'the partitions, which are cut by it'
		  FROM a
		  JOIN pg_partitioned_table p ON p.partrelid = $1 AND a.attnum = ANY(p.partattrs::int2[])
		  UNION ALL
		  SELECT DISTINCT a.attnum, 15, 'the rule ' || r.rulename
		  FROM a
		  JOIN pg_depend dep ON dep.refclassid = 'pg_class'::regclass AND dep.refobjid = $1 AND dep.refobjsubid = a.attnum
		    AND dep.classid = 'pg_rewrite'::regclass
		  JOIN pg_rewrite r ON r.oid = dep.objid AND r.ev_class = $1
		  UNION ALL
		  SELECT a.attnum, 16, 'a security label'
		  FROM a
		  JOIN pg_seclabel l ON l.classoid = 'pg_class'::regclass AND l.objoid = $1 AND l.objsubid = a.attnum
		)
		SELECT a.attname, h.what, h.rank IN (3, 15)
		FROM held h
		JOIN pg_attribute a ON a.attrelid = $1 AND a.attnum = h.attnum
		ORDER BY a.attnum, h.rank, h.what`, d.OID)
	if err != nil {
		return fmt.Errorf("read what holds columns: %w", err)
	}
	held, staying := map[string][]string{}, map[string][]string{}
	var column, what string
	var stays bool
	if _, err := pgx.ForEachRow(rows, []any{&column, &what, &stays}, func() error {
		held[column] = append(held[column], what)
		if stays {
			staying[column] = append(staying[column], what)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("read what holds columns: %w", err)
	}
	for i := range d.Columns {
		d.Columns[i].Holds, d.Columns[i].Stays = held[d.Columns[i].Name], staying[d.Columns[i].Name]
	}
	return nil
}
