package alter

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// CallsOf counts what roles call of statements that name what a plan takes away, as pg_stat_statements has it, and returns what has come
// since the first look. Our own login's are left out. Where it cannot be counted the answer says why. No text of a statement leaves
// here.
func (t *Tables) CallsOf(ctx context.Context, owner effect.Owner, p migrate.Plan) (migrate.Traffic, error) {
	object := owner.Workflow()
	schema, unseen, err := t.counter(ctx)
	if err != nil || unseen != "" {
		return migrate.Traffic{Unseen: unseen}, postgres.Classify("count calls of", object, err)
	}
	var out migrate.Traffic
	err = t.change(ctx, owner, "count calls", func(tx pgx.Tx, f catalog.MigrationFacts) error {
		counted, unseen, err := t.counted(ctx, tx, schema, p)
		if err != nil || unseen != "" {
			out.Unseen = unseen
			return err
		}
		if err := t.ledger.CountCalls(ctx, tx, f.Migration.Owner, counted); err != nil {
			return err
		}
		out.Calls, err = t.ledger.Calls(ctx, tx, f.Migration.Owner)
		return err
	})
	return out, err
}

// Deprecated are the migrations whose deprecation window has begun, and whose contract has not.
func (t *Tables) Deprecated(ctx context.Context) ([]migrate.Standing, error) {
	list, err := t.ledger.DeprecatedMigrations(ctx, t.pool)
	if err != nil {
		return nil, postgres.Classify("read migrations in", t.schema, err)
	}
	return t.standing(ctx, list)
}

// counter finds the schema of pg_stat_statements; unseen is why nothing is counted.
func (t *Tables) counter(ctx context.Context) (schema, unseen string, err error) {
	var may bool
	err = t.pool.QueryRow(ctx, `
		SELECT n.nspname, pg_has_role('pg_read_all_stats', 'USAGE')
		FROM pg_extension e
		JOIN pg_namespace n ON n.oid = e.extnamespace
		WHERE e.extname = 'pg_stat_statements'`).Scan(&schema, &may)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return "", "pg_stat_statements is not installed in this database", nil
	case err != nil:
		return "", "", fmt.Errorf("look for pg_stat_statements: %w", err)
	case !may:
		return "", "our login may not see the statements of others: GRANT pg_read_all_stats to it", nil
	}
	return schema, "", nil
}

// longestStatement bounds, in bytes, what is read of a statement's text: one that is cut is only guessed at.
const longestStatement = 1 << 20

// counted are the statements of this database that name what a plan takes away, with their calls as the server has them.
func (t *Tables) counted(ctx context.Context, tx pgx.Tx, schema string, p migrate.Plan) (calls []migrate.Call, unseen string, err error) {
	look, err := tx.Begin(ctx) // what the server refuses to say ends nothing else
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = look.Rollback(context.WithoutCancel(ctx)) }()
	rows, err := look.Query(ctx, fmt.Sprintf(`
		SELECT pg_get_userbyid(s.userid), s.queryid, left(min(s.query), $2), sum(s.calls)::bigint
		FROM %s.pg_stat_statements s
		WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND s.userid <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
		  AND s.queryid IS NOT NULL AND strpos(lower(s.query), lower($1)) > 0
		GROUP BY s.userid, s.queryid
		ORDER BY s.userid, s.queryid`, pgx.Identifier{schema}.Sanitize()), p.Migration.Table, longestStatement)
	if err == nil {
		var role, text string
		var query, n int64
		_, err = pgx.ForEachRow(rows, []any{&role, &query, &text, &n}, func() error {
			call := migrate.Call{Role: role, Query: query, Calls: n, Guessed: true}
			for _, m := range migrate.Mentions(text, t.schema, p.Migration.Table, p.Old) {
				call.Columns = append(call.Columns, m.Column)
				call.Guessed = call.Guessed && (m.Guessed || len(text) >= longestStatement)
			}
			if len(call.Columns) > 0 {
				calls = append(calls, call)
			}
			return nil
		})
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && (refused.Code == "55000" || refused.Code == "42501") {
		return nil, "pg_stat_statements cannot be read: it has to be in shared_preload_libraries, and our login has to be allowed to read it", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("read pg_stat_statements: %w", err)
	}
	return calls, "", nil
}
