package alter

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/migrate"
)

// liveTables are the live generations of a table that releases make, by the tables that hold their rows.
type liveTables map[uint32]catalog.Generation

// liveTables reads those of the table of a plan.
func (t *Tables) liveTables(ctx context.Context, tx pgx.Tx, p migrate.Plan) (liveTables, error) {
	live, err := t.ledger.Live(ctx, tx, []string{p.Migration.Table})
	if err != nil {
		return nil, err
	}
	byID := map[int64]catalog.Generation{}
	ids := make([]int64, len(live))
	for i, g := range live {
		ids[i], byID[g.ID] = g.ID, g
	}
	found, err := tx.Query(ctx, `
		SELECT c.oid, g.id
		FROM unnest($2::bigint[]) AS g (id)
		JOIN pg_namespace n ON n.nspname = $1
		JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'g' || g.id`, t.schema+dataSuffix, ids)
	if err != nil {
		return nil, fmt.Errorf("find the tables of generations: %w", err)
	}
	all := liveTables{}
	var oid uint32
	var id int64
	_, err = pgx.ForEachRow(found, []any{&oid, &id}, func() error {
		all[oid] = byID[id]
		return nil
	})
	return all, err
}

// about is the condition that a row is one that a proof is about: that it is of a generation that gives certain columns.
func (l liveTables) about(given []string) string {
	var tables []string
	for oid, g := range l {
		if len(migrate.Lacking(g.Gives(), given)) == 0 {
			tables = append(tables, strconv.FormatUint(uint64(oid), 10))
		}
	}
	slices.Sort(tables)
	return "tableoid = ANY ('{" + strings.Join(tables, ",") + "}'::pg_catalog.oid[])"
}

// again is the command that builds the partitions again in which a condition is true of a row.
func (l liveTables) again(ctx context.Context, tx pgx.Tx, p migrate.Plan, table, broken string) (string, error) {
	found, err := tx.Query(ctx, fmt.Sprintf("SELECT DISTINCT tableoid FROM %s WHERE (%s)", table, broken), pgx.QueryExecModeExec)
	if err != nil {
		return "", err
	}
	tables, err := pgx.CollectRows(found, pgx.RowTo[uint32])
	if err != nil {
		return "", err
	}
	var live []catalog.Generation
	for _, oid := range slices.Sorted(slices.Values(tables)) {
		if g, known := l[oid]; known {
			live = append(live, g)
		}
	}
	if len(live) == 0 {
		return "", nil
	}
	sorted(live)
	return rebuild(p.Release.Pipeline, p.Environment, live, " --force"), nil // they are current, as far as files say
}
