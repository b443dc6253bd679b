package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/adoption"
	"drawbridge/internal/catalog"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// adoptRule finds things of a table that an output cannot have, or that would go on reading the table that was there before.
type adoptRule struct {
	name   string
	sql    string // selects what {} stands for, of the table $1
	text   string
	remedy string
}

// faceRules find what is bound to a table itself, and would not follow its name to another one.
func faceRules() []adoptRule {
	return []adoptRule{
		{
			name: "incoming-foreign-key",
			sql: `SELECT format('%I of %s', conname, conrelid::regclass)
			      FROM pg_constraint
			      WHERE contype = 'f' AND confrelid = $1 AND conrelid <> $1 AND conparentid = 0`,
			text:   "foreign key {} refers to it, and no partition that is referred to can be swapped",
			remedy: "drop foreign key {}, or check the reference by an audit",
		},
		{
			name: "materialized-view",
			sql: `SELECT DISTINCT r.ev_class::regclass::text
			      FROM pg_depend d
			      JOIN pg_rewrite r ON r.oid = d.objid
			      JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'm'
			      WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1`,
			text:   "materialized view {} reads it, and its definition cannot be replaced",
			remedy: "drop materialized view {}, and create it again afterwards",
		},
		{
			name: "function-body",
			sql: `SELECT DISTINCT d.objid::regprocedure::text
			      FROM pg_depend d
			      WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1`,
			text:   "function {} has a body of BEGIN ATOMIC, which is bound to the table and not to its name",
			remedy: "give function {} a body in quotes, or drop it and create it again afterwards",
		},
		{
			name: "row-type",
			sql: `SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
			      FROM pg_class c
			      JOIN pg_type t ON t.oid = c.reltype
			      JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.oid, t.typarray) AND d.deptype <> 'i'
			      WHERE c.oid = $1`,
			text:   "{} is of its row type, which stays that of the table that was there before",
			remedy: "change {} so that it names columns",
		},
		{
			name: "group-by-key",
			sql: `SELECT DISTINCT coalesce(r.ev_class::regclass::text, pg_describe_object(d.classid, d.objid, d.objsubid))
			      FROM pg_constraint k
			      JOIN pg_depend d ON d.refclassid = 'pg_constraint'::regclass AND d.refobjid = k.oid AND d.deptype = 'n' AND d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass)
			      LEFT JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
			      WHERE k.conrelid = $1`,
			text:   "{} groups by its primary key and reads other columns, and the output as a whole has none",
			remedy: "name these columns in the GROUP BY of {}",
		},
		{
			name: "other-policy",
			sql: `SELECT DISTINCT format('%I of %s', p.polname, p.polrelid::regclass)
			      FROM pg_depend d
			      JOIN pg_policy p ON p.oid = d.objid AND p.polrelid <> $1
			      WHERE d.classid = 'pg_policy'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1`,
			text:   "policy {} reads it, and would go on reading what was there before",
			remedy: "drop policy {}, and create it again afterwards",
		},
		{
			name: "own-policy",
			sql: `SELECT quote_ident(polname)
			      FROM pg_policy
			      WHERE polrelid = $1 AND concat(polqual::text, polwithcheck::text) LIKE '%:relid ' || $1::text || ' %'`,
			text:   "policy {} selects from the table itself, and would go on reading what was there before",
			remedy: "drop policy {}, and create it again afterwards",
		},
		{
			name: "dependent",
			sql: `SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)
			      FROM pg_depend d
			      LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
			      LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
			      LEFT JOIN pg_class v ON v.oid = r.ev_class
			      LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
			      WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype IN ('n', 'a')
			        AND d.classid NOT IN ('pg_proc'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_statistic_ext'::regclass, 'pg_publication_rel'::regclass)
			        AND NOT (d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef a WHERE a.oid = d.objid AND a.adrelid = $1))
			        AND NOT coalesce(k.conrelid = $1 OR k.contype = 'f' AND k.confrelid = $1, false)
			        AND NOT coalesce(c.relkind IN ('i', 'I') AND EXISTS (SELECT FROM pg_index WHERE indexrelid = c.oid AND indrelid = $1), false)
			        AND NOT coalesce(c.relkind = 'S' AND d.deptype = 'a', false)
			        AND NOT coalesce(EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid AND inhparent = $1), false)
			        AND NOT coalesce(v.relkind IN ('v', 'm') AND r.rulename = '_RETURN' OR v.oid = $1, false)`,
			text:   "{} depends on the table itself, and would not follow its name",
			remedy: "drop {}, and create it again afterwards",
		},
		{
			name: "view-right",
			sql: `SELECT DISTINCT c.oid::regclass::text || ' of ' || quote_ident(pg_get_userbyid(c.relowner))
			      FROM pg_depend d
			      JOIN pg_rewrite r ON r.oid = d.objid AND r.rulename = '_RETURN'
			      JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v'
			      WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
			        AND NOT (pg_has_role(c.relowner, 'USAGE') AND has_schema_privilege(c.relnamespace, 'CREATE'))`,
			text:   "view {} reads it, and the worker's role may not replace its definition",
			remedy: "GRANT the role that owns view {} to the worker's, and CREATE on its schema",
		},
		{
			name: "rule",
			sql:  `SELECT rulename FROM pg_rewrite WHERE ev_class = $1`, text: "rule {} does not apply to a swap", remedy: "drop rule {}",
		},
		{
			name: "publication",
			sql: `SELECT DISTINCT p.pubname
			      FROM pg_publication_tables p
			      JOIN pg_class c ON c.relname = p.tablename
			      JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = p.schemaname
			      WHERE c.oid = $1`,
			text:   "publication {} sends it to subscribers, and a swap sends them nothing",
			remedy: "take the table out of publication {}",
		},
	}
}

// tableOnlyRules find what a plain table has and an output cannot have.
func tableOnlyRules() []adoptRule {
	return []adoptRule{
		{
			name: "kind",
			sql: `SELECT CASE relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table'
			                          WHEN 'p' THEN 'partitioned already' ELSE 'no table' END
			      FROM pg_class
			      WHERE oid = $1 AND relkind <> 'r'`,
			text: "it is {}", remedy: "adopt a plain table, or give the output another name",
		},
		{
			name: "unlogged",
			sql:  `SELECT oid::regclass::text FROM pg_class WHERE oid = $1 AND relpersistence <> 'p'`,
			text: "{} is unlogged or temporary: a crash would empty it", remedy: "ALTER TABLE {} SET LOGGED",
		},
		{
			name: "inheritance",
			sql:  `SELECT inhparent::regclass::text FROM pg_inherits WHERE inhrelid = $1 UNION SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1`,
			text: "it and {} inherit from one another", remedy: "take it out: ALTER TABLE … NO INHERIT",
		},
		{
			name: "typed-table",
			sql:  `SELECT reloftype::regtype::text FROM pg_class WHERE oid = $1 AND reloftype <> 0`,
			text: "it is a table of the type {}", remedy: "ALTER TABLE … NOT OF",
		},
		{
			name: "identity",
			sql:  `SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = $1 AND attidentity <> '' AND NOT attisdropped`,
			text: "column {} is an identity column, and a partition has none", remedy: "ALTER TABLE … ALTER COLUMN {} DROP IDENTITY",
		},
		{
			name: "generated",
			sql:  `SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = $1 AND attgenerated <> '' AND NOT attisdropped`,
			text: "column {} is generated, and a release's SELECT gives all columns", remedy: "ALTER TABLE … ALTER COLUMN {} DROP EXPRESSION",
		},
		{
			name: "trigger",
			sql:  `SELECT quote_ident(tgname) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal`,
			text: "trigger {} does not fire on a swap", remedy: "drop trigger {}, and do its work in the pipeline",
		},
		{
			name: "exclusion",
			sql:  `SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = $1 AND contype = 'x'`,
			text: "exclusion constraint {} would hold for the adopted rows only", remedy: "drop constraint {}, and declare a check of the output",
		},
		{
			name: "cascade",
			sql:  `SELECT quote_ident(conname) FROM pg_constraint WHERE conrelid = $1 AND contype = 'f' AND (confrelid = $1 OR confdeltype NOT IN ('a', 'r') OR confupdtype NOT IN ('a', 'r'))`,
			text: "foreign key {} changes its rows when others change, or refers to itself, and nobody writes a published row", remedy: "drop foreign key {}, and check the reference by an audit",
		},
		{
			name: "forced-row-security",
			sql:  `SELECT oid::regclass::text FROM pg_class WHERE oid = $1 AND relforcerowsecurity`,
			text: "row security is forced on its owner too, so that audits would not see all rows", remedy: "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY",
		},
		{
			name: "security-label",
			sql:  `SELECT DISTINCT provider FROM pg_seclabel WHERE classoid = 'pg_class'::regclass AND objoid = $1`,
			text: "it has a security label of {}", remedy: "take the label away: SECURITY LABEL … IS NULL",
		},
		{
			name: "extension",
			sql: `SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
			      WHERE d.classid = 'pg_class'::regclass AND d.objid = $1 AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'`,
			text: "it belongs to the extension {}", remedy: "ALTER EXTENSION {} DROP TABLE …",
		},
		{
			name: "missing-right",
			sql: `SELECT format('GRANT %I TO %I', pg_get_userbyid(relowner), current_user)
			      FROM pg_class WHERE oid = $1 AND NOT pg_has_role(relowner, 'USAGE')
			      UNION ALL
			      SELECT format('GRANT CREATE ON SCHEMA %I TO %I', n.nspname, pg_get_userbyid(c.relowner))
			      FROM pg_class c
			      JOIN pg_namespace own ON own.oid = c.relnamespace
			      JOIN pg_namespace n ON n.nspname IN (own.nspname, own.nspname || '__data')
			      WHERE c.oid = $1 AND NOT has_schema_privilege(c.relowner, n.oid, 'CREATE')`,
			text: "a right is missing: {}", remedy: "{}",
		},
	}
}

// refusals are what rules find about a table.
func refusals(ctx context.Context, q catalog.Querier, rules []adoptRule, table uint32) ([]adoption.Refusal, error) {
	var found []adoption.Refusal
	for _, r := range rules {
		rows, err := q.Query(ctx, r.sql+" ORDER BY 1", table)
		if err != nil {
			return nil, err
		}
		objects, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("look for %s: %w", r.name, err)
		}
		for _, o := range objects {
			found = append(found, adoption.Refusal{Rule: r.name, Text: strings.ReplaceAll(r.text, "{}", o), Remedy: strings.ReplaceAll(r.remedy, "{}", o)})
		}
	}
	return found, nil
}

// stays are what the adopted rows keep and nothing has that is built later, and what of a table does not go with its name.
func stays(ctx context.Context, q catalog.Querier, table uint32) ([]string, error) {
	rows, err := q.Query(ctx, `
		SELECT CASE contype WHEN 'p' THEN 'primary key ' WHEN 'u' THEN 'unique constraint ' WHEN 'f' THEN 'foreign key ' ELSE 'check ' END || quote_ident(conname)
		FROM pg_constraint
		WHERE conrelid = $1 AND contype IN ('p', 'u', 'c', 'f') AND conname <> $2
		UNION ALL
		SELECT 'index ' || i.indexrelid::regclass::text
		FROM pg_index i
		WHERE i.indrelid = $1 AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid)
		UNION ALL
		SELECT 'the default of column ' || quote_ident(a.attname)
		FROM pg_attrdef d
		JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
		WHERE d.adrelid = $1
		UNION ALL
		SELECT 'the sequence ' || s.oid::regclass::text || ', which moves with it'
		FROM pg_depend d
		JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
		WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'a'
		UNION ALL
		SELECT 'the statistics ' || quote_ident(stxname)
		FROM pg_statistic_ext
		WHERE stxrelid = $1
		UNION ALL
		SELECT 'the setting ' || unnest(reloptions)
		FROM pg_class
		WHERE oid = $1
		ORDER BY 1`, table, boundsProof)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// unfitColumns are columns that the output needs, and the table lacks or has in a way that does not do.
func unfitColumns(o pipeline.Output, columns []generation.Column) []adoption.Refusal {
	var found []adoption.Refusal
	for _, name := range keyColumns(o, catalog.Generation{}) {
		if !slices.ContainsFunc(columns, func(c generation.Column) bool { return c.Name == name }) {
			found = append(found, adoption.Refusal{
				Rule: "column", Text: "it has no column " + postgres.Ident(name) + ", which the key or the partition of the output names",
				Remedy: "name a column of the table in pipeline.yaml",
			})
		}
	}
	if o.Partition.By != partition.All && len(found) == 0 {
		i := slices.IndexFunc(columns, func(c generation.Column) bool { return c.Name == o.Partition.Column })
		if c := columns[i]; !cuttable(o.Partition, c.Type) {
			found = append(found, adoption.Refusal{
				Rule: "column", Text: fmt.Sprintf("column %s is %s, which no partition by %s is cut by", postgres.Ident(c.Name), c.Type, o.Partition.Text()),
				Remedy: "partition by a column that says it, or bring that into the table first",
			})
		}
	}
	return found
}

// cuttable says whether a column of a type can be the partition column of a scheme whose partitions follow one another: all rows before one of
// them are the legacy partition.
func cuttable(s partition.Scheme, columnType string) bool {
	if s.By == partition.List {
		return false
	}
	if s.By == partition.Range {
		return columnType == "smallint" || columnType == "integer" || columnType == "bigint" || strings.HasPrefix(columnType, "numeric")
	}
	return columnType == "date" || strings.HasPrefix(columnType, "timestamp")
}
