package warehouse

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/postgres"
)

// faced is a view that reads a table itself.
type faced struct {
	OID   uint32 `db:"oid"`
	Name  string `db:"name"` // quoted
	Owner string `db:"owner"`
	With  string `db:"with"` // its options
	Text  string `db:"text"` // its definition
}

// plainPath lets the server write names in full, and read them so.
const plainPath = "SET LOCAL search_path = pg_catalog"

// viewsOf lists the views that read a table itself, in the order of their OIDs. Those on them read it through these, and do not change.
// Their definitions name it as it is called now; the transaction has plainPath.
func viewsOf(ctx context.Context, tx pgx.Tx, table uint32) ([]faced, error) {
	rows, err := tx.Query(ctx, `
		SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, quote_ident(pg_get_userbyid(c.relowner)) AS owner,
		       coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '') AS with, rtrim(pg_get_viewdef(c.oid), ';') AS text
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'v' AND EXISTS (
		  SELECT
		  FROM pg_rewrite r
		  JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
		  WHERE r.ev_class = c.oid AND r.rulename = '_RETURN' AND d.refobjid = $1)
		ORDER BY c.oid`, table)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[faced])
}

// hold takes ACCESS EXCLUSIVE on the view alone. LOCK TABLE would take it on all that the view reads.
func (v faced) hold() string { return "ALTER VIEW " + v.Name + " OWNER TO " + v.Owner }

// again defines the view as it is, in the names of now: it keeps its OID, grants and dependents.
func (v faced) again() string { return "CREATE OR REPLACE VIEW " + v.Name + v.With + " AS " + v.Text }

// asFaced are the statements that give a table owner, rights, policies, comments and targets of statistics of another one, in the place of its own.
// Both have the same columns; the transaction has plainPath.
func asFaced(ctx context.Context, tx pgx.Tx, from uint32, to string) ([]string, error) {
	rows, err := tx.Query(ctx, `
		WITH t AS (SELECT c.* FROM pg_class c WHERE c.oid = $1),
		n AS (SELECT c.* FROM pg_class c WHERE c.oid = $2::regclass),
		who AS (SELECT 0::oid AS oid, 'PUBLIC' AS name UNION ALL SELECT oid, quote_ident(rolname) FROM pg_roles)
		SELECT statement
		FROM (
		  SELECT 1 AS step, '' AS sort, format('ALTER TABLE %s OWNER TO %I', $3::text, pg_get_userbyid(t.relowner)) AS statement FROM t, n WHERE t.relowner <> n.relowner
		  UNION ALL
		  SELECT DISTINCT 2, who.name, format('REVOKE ALL ON %s FROM %s', $3::text, who.name)
		  FROM n
		  CROSS JOIN aclexplode(n.relacl) AS acl
		  JOIN who ON who.oid = acl.grantee
		  UNION
		  SELECT 2, who.name, format('REVOKE ALL ON %s FROM %s', $3::text, who.name) FROM t JOIN who ON who.oid = t.relowner WHERE t.relacl IS NOT NULL
		  UNION ALL
		  SELECT 3, who.name || acl.privilege_type,
		         format('GRANT %s ON %s TO %s', acl.privilege_type, $3::text, who.name) || CASE WHEN acl.is_grantable AND acl.grantee <> t.relowner THEN ' WITH GRANT OPTION' ELSE '' END
		  FROM t
		  CROSS JOIN n
		  CROSS JOIN aclexplode(CASE WHEN t.relacl IS NOT NULL OR n.relacl IS NOT NULL THEN coalesce(t.relacl, acldefault('r', t.relowner)) END) AS acl
		  JOIN who ON who.oid = acl.grantee
		  UNION ALL
		  SELECT 4, who.name || a.attname || acl.privilege_type,
		         format('GRANT %s (%I) ON %s TO %s', acl.privilege_type, a.attname, $3::text, who.name) || CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
		  FROM t
		  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		  CROSS JOIN aclexplode(a.attacl) AS acl
		  JOIN who ON who.oid = acl.grantee
		  UNION ALL
		  SELECT 5, p.polname, format('DROP POLICY %I ON %s', p.polname, $3::text) FROM n JOIN pg_policy p ON p.polrelid = n.oid
		  UNION ALL
		  SELECT 6, p.polname,
		         format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', p.polname, $3::text, CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
		                CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
		                (SELECT string_agg(who.name, ', ') FROM who WHERE who.oid = ANY(p.polroles)))
		           || coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '') || coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
		  FROM t
		  JOIN pg_policy p ON p.polrelid = t.oid
		  UNION ALL
		  SELECT 7, p.polname, format('COMMENT ON POLICY %I ON %s IS %L', p.polname, $3::text, obj_description(p.oid, 'pg_policy'))
		  FROM t
		  JOIN pg_policy p ON p.polrelid = t.oid
		  WHERE obj_description(p.oid, 'pg_policy') IS NOT NULL
		  UNION ALL
		  SELECT 8, '', format('ALTER TABLE %s %s ROW LEVEL SECURITY', $3::text, CASE WHEN t.relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END)
		  FROM t, n WHERE t.relrowsecurity <> n.relrowsecurity
		  UNION ALL
		  SELECT 9, '', format('COMMENT ON TABLE %s IS %L', $3::text, obj_description(t.oid, 'pg_class')) FROM t, n
		  WHERE obj_description(t.oid, 'pg_class') IS DISTINCT FROM obj_description(n.oid, 'pg_class')
		  UNION ALL
		  SELECT 10, a.attname, format('COMMENT ON COLUMN %s.%I IS %L', $3::text, a.attname, col_description(t.oid, a.attnum))
		  FROM t
		  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		  JOIN n ON true
		  JOIN pg_attribute b ON b.attrelid = n.oid AND b.attname = a.attname
		  WHERE col_description(t.oid, a.attnum) IS DISTINCT FROM col_description(n.oid, b.attnum)
		  UNION ALL
		  SELECT 11, a.attname, format('ALTER TABLE ONLY %s ALTER COLUMN %I SET STATISTICS %s', $3::text, a.attname, coalesce(a.attstattarget, -1))
		  FROM t
		  JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
		  JOIN n ON true
		  JOIN pg_attribute b ON b.attrelid = n.oid AND b.attname = a.attname
		  WHERE coalesce(a.attstattarget, -1) <> coalesce(b.attstattarget, -1)
		) AS statements
		ORDER BY step, sort`, from, to, to)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// faceAs carries asFaced out.
func faceAs(ctx context.Context, tx pgx.Tx, from uint32, to string) error {
	statements, err := asFaced(ctx, tx, from, to)
	if err != nil || len(statements) == 0 {
		return err
	}
	return together(ctx, tx, statements)
}

// faceless takes all rights of others away from a table, and the policies that would filter what its owner reads for the output.
func faceless(ctx context.Context, tx pgx.Tx, table string) error {
	rows, err := tx.Query(ctx, `
		SELECT DISTINCT format('REVOKE ALL ON %s FROM %s', $1::text, coalesce(quote_ident(r.rolname), 'PUBLIC'))
		FROM pg_class c
		CROSS JOIN LATERAL (
		  SELECT acl.grantee FROM aclexplode(c.relacl) AS acl
		  UNION
		  SELECT acl.grantee FROM pg_attribute a CROSS JOIN aclexplode(a.attacl) AS acl WHERE a.attrelid = c.oid
		) AS given
		LEFT JOIN pg_roles r ON r.oid = given.grantee
		WHERE c.oid = $1::regclass AND given.grantee <> c.relowner`, table)
	if err != nil {
		return err
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	return together(ctx, tx, append(statements, "ALTER TABLE "+table+" DISABLE ROW LEVEL SECURITY"))
}

// bring moves a table to another schema and name.
func bring(schema, name, toSchema, toName string) string {
	return strings.Join([]string{
		fmt.Sprintf("ALTER TABLE %s SET SCHEMA %s", pgx.Identifier{schema, name}.Sanitize(), postgres.Ident(toSchema)),
		fmt.Sprintf("ALTER TABLE %s RENAME TO %s", pgx.Identifier{toSchema, name}.Sanitize(), postgres.Ident(toName)),
	}, ";\n")
}
