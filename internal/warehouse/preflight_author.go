package warehouse

import (
	"context"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/plan"
)

// trustedAuthors says that SQL of pipelines may do here whatever the worker may. On a laptop that is nobody's harm.
func trustedAuthors(_ context.Context, in inspection) ([]plan.Problem, error) {
	if in.w.pool.Author != "" {
		return nil, nil
	}
	return []plan.Problem{{
		Rule: "trusted-authors", Object: in.w.names.schema,
		Text:   "authors of pipelines are trusted here: their SQL runs under the worker's own login, which writes the ledger",
		Remedy: "give the connection an author in the environment's policy: its role is made by: drawbridge setup --env ENV --print",
	}}, nil
}

// authorRights names what the authors' login may do and must not, and what it must do and may not.
func authorRights(ctx context.Context, in inspection) ([]plan.Problem, error) {
	author := in.w.pool.Author
	if author == "" {
		return nil, nil
	}
	rows, err := in.w.pool.Query(ctx, `
		WITH login AS (
		  SELECT r.oid, r.rolname, r.rolsuper OR r.rolcreaterole AS mighty
		  FROM pg_roles r
		  WHERE r.rolname IN ($1, $2)
		), ledger AS (
		  SELECT n.oid, n.nspowner
		  FROM pg_namespace n
		  WHERE n.nspname = $4
		)
		SELECT 'the authors'' login ' || rolname || ' may make itself any role', 'make one that is neither SUPERUSER nor CREATEROLE'
		FROM login
		WHERE mighty
		UNION
		SELECT 'the authors'' login ' || l.rolname || ' may become ' || o.rolname || ', which owns the ledger', format('REVOKE %I FROM %I', o.rolname, l.rolname)
		FROM login l
		JOIN pg_roles o ON o.rolname = current_user OR o.oid IN (SELECT nspowner FROM ledger)
		WHERE NOT l.mighty AND pg_has_role(l.oid, o.oid, 'MEMBER')
		UNION
		SELECT 'the authors'' login ' || l.rolname || ' may write table ' || c.relname || ' of the ledger', format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I, PUBLIC', $4, l.rolname)
		FROM login l
		CROSS JOIN pg_class c
		WHERE NOT l.mighty
		  AND NOT pg_has_role(l.oid, c.relowner, 'MEMBER')
		  AND c.relnamespace IN (SELECT oid FROM ledger) AND c.relkind IN ('r', 'p')
		  AND has_table_privilege(l.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER')
		UNION
		SELECT 'the authors'' login ' || l.rolname || ' may create in schema ' || n.nspname, format('REVOKE CREATE ON SCHEMA %I FROM %I, PUBLIC', n.nspname, l.rolname)
		FROM login l
		JOIN pg_namespace n ON n.nspname = ANY($3)
		WHERE NOT l.mighty AND NOT pg_has_role(l.oid, n.nspowner, 'MEMBER') AND has_schema_privilege(l.oid, n.oid, 'CREATE')
		UNION
		SELECT 'the authors'' login ' || l.rolname || ' lacks USAGE on schema ' || n.nspname, format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, l.rolname)
		FROM login l
		JOIN pg_namespace n ON n.nspname IN ($5, $6)
		WHERE l.rolname = $1 AND NOT has_schema_privilege(l.oid, n.oid, 'USAGE')
		UNION
		SELECT 'the authors'' login ' || l.rolname || ' lacks TEMP on the database', format('GRANT TEMPORARY ON DATABASE %I TO %I', current_database(), l.rolname)
		FROM login l
		WHERE l.rolname = $1 AND NOT has_database_privilege(l.oid, current_database(), 'TEMP')
		UNION
		SELECT 'the role cannot end sessions of the authors'' login, which a later attempt of a build does', format('GRANT pg_signal_backend TO %I', current_user)
		WHERE NOT pg_has_role('pg_signal_backend', 'USAGE') AND NOT pg_has_role($2, 'USAGE')
		ORDER BY 1`,
		author, in.w.pool.AuthorLogin, in.w.names.all(), in.w.names.ledger(), in.w.names.schema, in.w.names.data())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (p plan.Problem, err error) {
		err = row.Scan(&p.Text, &p.Remedy)
		p.Rule, p.Object, p.Blocking = "author-rights", author, true
		return p, err
	})
}
