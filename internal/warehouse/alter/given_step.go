package alter

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/check"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// dataSuffix is what the schema of generations has after that of the tables.
const dataSuffix = "__data"

func (t *Tables) child(id int64) string {
	return pgx.Identifier{t.schema + dataSuffix, fmt.Sprintf("g%d", id)}.Sanitize()
}

// kept is a generation of which a column is taken away.
type kept struct {
	id    int64
	state generation.State
	// lacks says that it is not gone back to any more: with the column its values would be lost.
	lacks bool
	// columns are those that stay, and checksum is over them.
	columns  []generation.Column
	checksum string
}

func (k kept) same(other kept) bool { return k.id == other.id && k.state == other.state }

// takesGiven says whether it takes a column away from all generations.
func (s *step) takesGiven() bool {
	return s.spec.Plan.Given != nil && s.step.Phase == migrate.Contract && !s.spec.Undo
}

// stays says of a column that is to be taken back again whether it has to stay: a generation was built with it.
func (s *step) stays(ctx context.Context, q catalog.Querier) (bool, error) {
	if s.spec.Plan.Given == nil || !s.spec.Undo {
		return false, nil
	}
	all, err := s.t.ledger.Kept(ctx, q, s.spec.Plan.Migration.Table)
	return slices.ContainsFunc(all, func(g catalog.Generation) bool { return slices.Contains(names(g.Columns), s.step.Column) }), err
}

// having are the generations that have the column: those of which it is taken away. While one is built, or waits to be published, none is.
func (s *step) having(ctx context.Context, q catalog.Querier) (list []kept, all []catalog.Generation, err error) {
	found, err := s.t.ledger.Kept(ctx, q, s.spec.Plan.Migration.Table)
	if err != nil {
		return nil, nil, err
	}
	for _, g := range found {
		if !slices.Contains(names(g.Columns), s.step.Column) {
			continue
		}
		if g.State != generation.Live && g.State != generation.Retired {
			return nil, nil, admission.HeldError{Reason: fmt.Sprintf("generation %d of %s %s is being built, or is not published yet", g.ID, g.Output, g.Partition)}
		}
		k := kept{id: g.ID, state: g.State, lacks: g.State == generation.Retired && len(migrate.Lacking(g.Gives(), s.spec.Plan.Given.New)) > 0}
		k.columns = slices.DeleteFunc(slices.Clone(g.Columns), func(c generation.Column) bool { return c.Name == s.step.Column })
		list, all = append(list, k), append(all, g)
	}
	return list, all, nil
}

// recount sums each generation up over the columns that stay. Nobody writes one, so that holds until the column is gone. One that is not what the
// ledger recorded keeps its old checksum, by which that is found.
func (s *step) recount(ctx context.Context) error {
	if there, err := s.there(ctx, s.t.pool); err != nil || there {
		return err
	}
	stop := postgres.Beating(func() { s.beat(0) }, longestScan)
	defer stop()
	list, generations, err := s.having(ctx, s.t.pool)
	if err != nil {
		return err
	}
	for i, g := range generations {
		if list[i].lacks {
			continue
		}
		err := pgx.BeginTxFunc(ctx, s.t.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
			if err := bounded(ctx, tx, longestScan); err != nil {
				return err
			}
			var was string
			if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT (%s)::text, (%s)::text FROM %s", check.Checksum(summed(g.Columns)), check.Checksum(summed(list[i].columns)), s.t.child(g.ID))).
				Scan(&was, &list[i].checksum); err != nil {
				return err
			}
			if was != g.Checksum {
				list[i].checksum = g.Checksum
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	s.kept = list
	return nil
}

func summed(columns []generation.Column) []check.Column {
	list := make([]check.Column, len(columns))
	for i, c := range columns {
		list[i] = check.Column(c)
	}
	return list
}

// recounted holds it, under its lock, to the generations that were summed up.
func (s *step) recounted(ctx context.Context, q catalog.Querier) error {
	if !s.takesGiven() {
		return nil
	}
	now, _, err := s.having(ctx, q)
	if err == nil && !slices.EqualFunc(now, s.kept, kept.same) {
		err = admission.HeldError{Reason: "something was published for " + s.spec.Plan.Migration.Table + " while its generations were summed up"}
	}
	return err
}

// tree is what is locked of a table that releases make: all that hangs in it, and, where a column goes from all generations, what stands aside.
func (s *step) tree(ctx context.Context, q catalog.Querier) (levels postgres.Levels, err error) {
	table, err := s.t.relation(ctx, q, s.spec.Plan.Migration.Table)
	if err != nil {
		return levels, err
	}
	levels.Mode = postgres.AccessExclusive
	tops := []uint32{table.OID}
	if s.takesGiven() {
		aside, err := s.aside(ctx, q)
		if err != nil {
			return levels, err
		}
		for _, r := range aside {
			tops = append(tops, r.OID)
		}
	}
	rows, err := q.Query(ctx, `
		SELECT DISTINCT t.relid::oid, format('%I.%I', n.nspname, c.relname), t.relid = $2, c.relkind = 'p'
		FROM unnest($1::oid[]) AS top (oid)
		CROSS JOIN LATERAL (SELECT relid FROM pg_partition_tree(top.oid) UNION SELECT top.oid) AS t
		JOIN pg_class c ON c.oid = t.relid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		ORDER BY 1`, tops, table.OID)
	if err != nil {
		return levels, err
	}
	var r postgres.Relation
	var top, cut bool
	_, err = pgx.ForEachRow(rows, []any{&r.OID, &r.Name, &top, &cut}, func() error {
		switch {
		case top:
			levels.Parents = append(levels.Parents, r)
		case cut:
			levels.Chunks = append(levels.Chunks, r)
		default:
			levels.Children = append(levels.Children, r)
		}
		return nil
	})
	return levels, err
}

// aside are the tables of the output that hang in nothing and have the column: generations that were summed up, and chunks that nobody reads.
func (s *step) aside(ctx context.Context, q catalog.Querier) ([]postgres.Relation, error) {
	ids := make([]int64, len(s.kept))
	for i, k := range s.kept {
		ids[i] = k.id
	}
	chunks, err := s.t.ledger.ChunksOf(ctx, q, s.spec.Plan.Migration.Table)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, `
		SELECT c.oid, format('%I.%I', n.nspname, c.relname)
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = $1
		WHERE (c.relkind = 'r' AND c.relname IN (SELECT 'g' || id FROM unnest($2::bigint[]) AS id) OR c.relkind = 'p' AND c.relname IN (SELECT 'c' || id FROM unnest($3::bigint[]) AS id))
		  AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid)
		  AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = $4 AND a.attnum > 0 AND NOT a.attisdropped)
		ORDER BY c.oid`, s.t.schema+dataSuffix, ids, chunks, s.step.Column)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (r postgres.Relation, err error) {
		err = row.Scan(&r.OID, &r.Name)
		return r, err
	})
}

// note takes the column away from what stands aside, and notes what each generation is from now on.
func (s *step) note(ctx context.Context, tx pgx.Tx) error {
	if !s.takesGiven() {
		return nil
	}
	aside, err := s.aside(ctx, tx)
	if err != nil {
		return err
	}
	for _, r := range aside {
		if _, err := tx.Exec(ctx, "ALTER TABLE "+r.Name+" DROP COLUMN "+postgres.Ident(s.step.Column)+" RESTRICT"); err != nil {
			return err
		}
	}
	for _, k := range s.kept {
		if k.lacks {
			err = s.t.ledger.MarkNotReattachable(ctx, tx, k.id, fmt.Sprintf("%s was taken away by the migration %s, and it gives nothing in its place", s.step.Column, s.spec.Plan.Migration.Name))
		} else {
			err = s.t.ledger.Recount(ctx, tx, k.id, k.columns, k.checksum)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
