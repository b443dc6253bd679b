package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Published is how many rows of an output are live, and how many of them went live since its table was analysed.
type Published struct {
	Output string `db:"output"`
	Rows   int64  `db:"rows"`
	Fresh  int64  `db:"fresh"`
}

// PublishedSince compares what was published with the statistics of the readers' tables in a schema, the stalest first.
// Only tables that the role may analyse are listed.
func (l Ledger) PublishedSince(ctx context.Context, q Querier, schema string) ([]Published, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT g.output, sum(g.rows)::bigint AS rows, coalesce(sum(g.rows) FILTER (WHERE s.last_analyze IS NULL OR g.at > s.last_analyze), 0)::bigint AS fresh
		FROM ledger.generation g
		JOIN pg_class c ON c.relname = g.output AND c.relkind = 'p' AND pg_has_role(c.relowner, 'USAGE')
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1
		JOIN pg_stat_all_tables s ON s.relid = c.oid
		WHERE g.state = 'live' AND g.rows > 0
		GROUP BY g.output
		ORDER BY coalesce(sum(g.rows) FILTER (WHERE s.last_analyze IS NULL OR g.at > s.last_analyze), 0) / sum(g.rows) DESC, g.output`), schema)
	if err != nil {
		return nil, fmt.Errorf("compare statistics with the ledger: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Published])
	if err != nil {
		return nil, fmt.Errorf("compare statistics with the ledger: %w", err)
	}
	return list, nil
}
