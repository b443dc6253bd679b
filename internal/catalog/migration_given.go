package catalog

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/generation"
)

// notReattachable is why a generation of an alias g cannot be live again: for good, or while a migration of its output is switched that needs
// columns of it which it was not given.
const notReattachable = `
	CASE WHEN g.not_reattachable <> '' THEN g.not_reattachable ELSE coalesce((
	  SELECT 'it does not give what the migration ' || m.name || ' needs since its switch: ' || array_to_string(m.gives, ', ')
	  FROM ledger.migration m
	  WHERE m.table_name = g.output AND m.ended_at IS NULL AND m.phase IN ('switch', 'deprecate', 'contract') AND NOT ` + gives + ` @> m.gives), '')
	END`

// gives is Generation.Gives of an alias g.
const gives = `
	ARRAY(SELECT name FROM unnest(g.returned) AS name WHERE g.columns @> jsonb_build_array(jsonb_build_object('name', name)))`

// readGiving reads what whatever is published for outputs has to give, by the migrations of them that are open, and by those that are done: what
// they brought is given until a later one takes it away, which decides itself from when on nobody has to, or until the table is gone.
func (l Ledger) readGiving(outputs []string, found *[]admission.Giving) statement {
	var g admission.Giving
	return statement{
		what: "look for open migrations", sql: `
			SELECT table_name, name, owner, gives, phase IN ('switch', 'deprecate', 'contract'), false
			FROM ledger.migration
			WHERE table_name = ANY($1) AND ended_at IS NULL AND cardinality(gives) > 0
			UNION ALL
			SELECT m.table_name, m.name, m.owner, brought.columns, true, true
			FROM ledger.migration m
			CROSS JOIN LATERAL (
			  SELECT array_agg(new.name ORDER BY new.name) AS columns
			  FROM unnest(m.new_given) AS new (name)
			  WHERE NOT EXISTS (
			    SELECT FROM ledger.migration later
			    WHERE later.table_name = m.table_name AND later.since > m.since AND (later.ended_at IS NULL OR later.outcome = 'done') AND new.name = ANY(later.old_given))) AS brought
			WHERE m.table_name = ANY($1) AND m.outcome = 'done' AND brought.columns IS NOT NULL
			  AND EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = to_regnamespace(quote_ident($2)) AND c.relname = m.table_name)`, args: []any{outputs, l.of()},
		into: []any{&g.Output, &g.Migration, &g.Owner, &g.Columns, &g.Switched, &g.Done}, each: func() error {
			*found = append(*found, g)
			g = admission.Giving{}
			return nil
		},
	}
}

// Giving reads what whatever is published for outputs has to give, by their migrations.
func (l Ledger) Giving(ctx context.Context, q Querier, outputs []string) (found []admission.Giving, err error) {
	err = l.together(ctx, q, l.readGiving(outputs, &found))
	return found, err
}

// Give says what whatever is published for a migration's table has to give from now on. The caller holds ExcludeChange.
func (l Ledger) Give(ctx context.Context, tx pgx.Tx, owner string, columns []string) error {
	if _, err := tx.Exec(ctx, l.sql(`UPDATE ledger.migration SET gives = coalesce($2::text[], '{}') WHERE owner = $1 AND ended_at IS NULL`), owner, columns); err != nil {
		return fmt.Errorf("note what has to be given: %w", err)
	}
	return nil
}

// GiveAsBefore lets releases of before be published again, for the migrations of a pipeline that are not switched yet. The caller holds
// ExcludeChange.
func (l Ledger) GiveAsBefore(ctx context.Context, tx pgx.Tx, pipeline string) error {
	if _, err := tx.Exec(ctx, l.sql(`
		UPDATE ledger.migration
		SET gives = old_given
		WHERE pipeline = $1 AND ended_at IS NULL AND phase IN ('expand', 'dual_write', 'backfill', 'verify')`), pipeline); err != nil {
		return fmt.Errorf("let releases of before be published: %w", err)
	}
	return nil
}

// GivenBy lists the columns that a release's SELECT returned when it was last published for an output, whichever its config; none when it
// never was.
func (l Ledger) GivenBy(ctx context.Context, q Querier, output, digest string) (columns []string, err error) {
	err = q.QueryRow(ctx, l.sql(`
		SELECT coalesce((
		  SELECT returned
		  FROM ledger.generation
		  WHERE output = $1 AND digest = $2 AND replaced IS NOT NULL
		  ORDER BY id DESC
		  LIMIT 1), '{}')`), output, digest).Scan(&columns)
	if err != nil {
		return nil, fmt.Errorf("read what a release gives to %s: %w", output, err)
	}
	return columns, nil
}

// Taken lists the columns that migrations of a pipeline which are done have taken away, by output.
func (l Ledger) Taken(ctx context.Context, q Querier, pipeline string) (map[string][]string, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT table_name, column_name
		FROM ledger.migration, unnest(old_given) AS column_name
		WHERE pipeline = $1 AND outcome = 'done'`), pipeline)
	if err != nil {
		return nil, fmt.Errorf("read what migrations took away: %w", err)
	}
	taken := map[string][]string{}
	var output, column string
	if _, err := pgx.ForEachRow(rows, []any{&output, &column}, func() error {
		taken[output] = append(taken[output], column)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read what migrations took away: %w", err)
	}
	return taken, nil
}

// Kept lists the generations of an output that are live or can be again, and those that are built and not published yet.
func (l Ledger) Kept(ctx context.Context, q Querier, output string) ([]Generation, error) {
	return l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.output = $1 AND NOT g.control
		  AND (g.state IN ('building', 'built', 'shadow', 'live') OR g.state = 'retired' AND g.not_reattachable = '')
		ORDER BY g.id`, output)
}

// Recount gives a generation another list of columns, and the checksum over them: a column of every one was taken away.
func (l Ledger) Recount(ctx context.Context, tx pgx.Tx, id int64, columns []generation.Column, checksum string) error {
	body, err := json.Marshal(columns)
	if err != nil {
		return fmt.Errorf("encode the columns of generation %d: %w", id, err)
	}
	if _, err := tx.Exec(ctx, l.sql(`UPDATE ledger.generation SET columns = $2::text::jsonb, checksum = $3::text::numeric WHERE id = $1`), id, string(body), checksum); err != nil {
		return fmt.Errorf("note the columns of generation %d: %w", id, err)
	}
	return nil
}

// Busy says who changes a pipeline now, or watches what it has published there; empty: nobody.
func (l Ledger) Busy(ctx context.Context, q Querier, pipeline string) (owner string, err error) {
	err = q.QueryRow(ctx, l.sql(`
		SELECT coalesce((
		  SELECT owner FROM ledger.crossing WHERE pipeline = $1
		  UNION ALL
		  SELECT owner FROM ledger.tenure WHERE pipeline = $1 AND kind <> 'turn_back' AND watched_until > clock_timestamp()
		  LIMIT 1), '')`), pipeline).Scan(&owner)
	if err != nil {
		return "", fmt.Errorf("look who changes %s: %w", pipeline, err)
	}
	return owner, nil
}
