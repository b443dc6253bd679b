package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Place is where partitions of an output hang beside one another: a chunk of it, or with an empty one the output itself.
type Place struct {
	Output string
	Chunk  string
}

// Chunk is a table between an output and generations, as the server has it.
type Chunk struct {
	ID     int64  `db:"id"`
	Output string `db:"output"`
	Chunk  string `db:"chunk"`
	OID    uint32 `db:"oid"`
	// Parent is the table that it hangs in: the output, or 0, while it stands aside.
	Parent uint32 `db:"parent"`
	// Members are the tables that hang in it, in the order of their OIDs.
	Members []uint32 `db:"members"`
	// Strangers are those of them that are no generations, by their names.
	Strangers []string `db:"strangers"`
	// Fits says that it has exactly the columns and constraints of its output, and no primary key that would be another one's match.
	Fits bool `db:"fits"`
}

// Place is which chunk's table it is.
func (c Chunk) Place() Place { return Place{Output: c.Output, Chunk: c.Chunk} }

// Chunks reads the tables of some chunks, by the schemas of outputs and of generations, in the order in which they were made.
func (l Ledger) Chunks(ctx context.Context, q Querier, schema, data string, places []Place) ([]Chunk, error) {
	outputs, chunks := make([]string, len(places)), make([]string, len(places))
	for i, p := range places {
		outputs[i], chunks[i] = p.Output, p.Chunk
	}
	const shape = `(SELECT string_agg(part, E'\n' ORDER BY part)
		FROM (
		  SELECT format('%%s %%s %%s', attname, format_type(atttypid, atttypmod), attnotnull) AS part
		  FROM pg_attribute
		  WHERE attrelid = %[1]s AND attnum > 0 AND NOT attisdropped
		  UNION ALL
		  SELECT format('%%s %%s', conname, pg_get_constraintdef(oid))
		  FROM pg_constraint
		  WHERE conrelid = %[1]s AND contype = 'c'
		) AS parts)`
	// The unique indexes where one is the primary key's, in the order in which the server matches them; empty: none is.
	const keys = `(SELECT CASE WHEN bool_or(indisprimary) THEN string_agg(indisprimary || substring(pg_get_indexdef(indexrelid) FROM ' USING .*'), E'\n' ORDER BY indexrelid) ELSE '' END
		FROM pg_index
		WHERE indrelid = %[1]s AND indisunique)`
	rows, err := q.Query(ctx, l.sql(`
		WITH shapes AS MATERIALIZED (
		  SELECT o.output, r.oid, `+fmt.Sprintf(shape, "r.oid")+` AS shape, `+fmt.Sprintf(keys, "r.oid")+` AS keys
		  FROM (SELECT DISTINCT output FROM unnest($1::text[]) AS o (output)) AS o
		  JOIN pg_class r ON r.relname = o.output AND r.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $3)
		)
		SELECT k.id, k.output, k.chunk, c.oid, coalesce((SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid), 0) AS parent,
		       ARRAY(SELECT inhrelid FROM pg_inherits WHERE inhparent = c.oid ORDER BY inhrelid) AS members,
		       ARRAY(
		         SELECT m.oid::regclass::text
		         FROM pg_inherits i
		         JOIN pg_class m ON m.oid = i.inhrelid
		         WHERE i.inhparent = c.oid AND (m.relnamespace <> c.relnamespace OR m.relname !~ '^g[0-9]+$')
		         ORDER BY 1) AS strangers,
		       coalesce(`+fmt.Sprintf(shape, "c.oid")+` = s.shape, false)
		         AND (s.keys = '' OR `+fmt.Sprintf(keys, "c.oid")+` IN ('', s.keys)) AS fits
		FROM unnest($1::text[], $2::text[]) AS wanted (output, chunk)
		JOIN ledger.chunk k USING (output, chunk)
		JOIN pg_class c ON c.relname = 'c' || k.id AND c.relkind = 'p' AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $4)
		LEFT JOIN shapes s ON s.output = k.output
		ORDER BY k.id`), outputs, chunks, schema, data)
	if err != nil {
		return nil, fmt.Errorf("read chunks: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Chunk])
	if err != nil {
		return nil, fmt.Errorf("read chunks: %w", err)
	}
	return list, nil
}

// HoldLive says of tables in which generations hang which of them hang nowhere themselves, and hold a live one: at one moment, as others
// may attach them between two looks.
func (l Ledger) HoldLive(ctx context.Context, q Querier, tables []uint32) (map[uint32]bool, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT DISTINCT i.inhparent
		FROM pg_inherits i
		JOIN pg_class c ON c.oid = i.inhrelid
		JOIN ledger.generation g ON g.id = CASE WHEN c.relname ~ '^g[0-9]{1,18}$' THEN substr(c.relname, 2)::bigint END AND g.state = 'live'
		WHERE i.inhparent = ANY($1) AND NOT EXISTS (SELECT FROM pg_inherits up WHERE up.inhrelid = i.inhparent)`), tables)
	if err != nil {
		return nil, fmt.Errorf("look for live generations: %w", err)
	}
	hold := map[uint32]bool{}
	var table uint32
	if _, err := pgx.ForEachRow(rows, []any{&table}, func() error {
		hold[table] = true
		return nil
	}); err != nil {
		return nil, fmt.Errorf("look for live generations: %w", err)
	}
	return hold, nil
}

// Attached counts the partitions that hang in a table, by chunk; those in the table itself have an empty one.
func (l Ledger) Attached(ctx context.Context, q Querier, table uint32) (map[string]int, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT coalesce(k.chunk, ''), count(*) FILTER (WHERE k.chunk IS NULL) + coalesce(sum(below.n), 0)::bigint
		FROM pg_inherits i
		JOIN pg_class c ON c.oid = i.inhrelid
		LEFT JOIN ledger.chunk k ON c.relkind = 'p' AND c.relname = 'c' || k.id
		LEFT JOIN LATERAL (SELECT count(*) AS n FROM pg_inherits WHERE inhparent = c.oid) AS below ON k.chunk IS NOT NULL
		WHERE i.inhparent = $1
		GROUP BY 1`), table)
	if err != nil {
		return nil, fmt.Errorf("count partitions: %w", err)
	}
	attached := map[string]int{}
	var chunk string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&chunk, &n}, func() error {
		attached[chunk] = n
		return nil
	}); err != nil {
		return nil, fmt.Errorf("count partitions: %w", err)
	}
	return attached, nil
}

// EnterChunk gives a table to come of a chunk its number.
func (l Ledger) EnterChunk(ctx context.Context, q Querier, p Place) (id int64, err error) {
	if err := q.QueryRow(ctx, l.sql(`INSERT INTO ledger.chunk (output, chunk) VALUES ($1, $2) RETURNING id`), p.Output, p.Chunk).Scan(&id); err != nil {
		return 0, fmt.Errorf("enter chunk %s of %s: %w", p.Chunk, p.Output, err)
	}
	return id, nil
}

// EmptyChunks lists the tables of chunks that stand aside and hold nothing. Those that are not there any more are forgotten.
func (l Ledger) EmptyChunks(ctx context.Context, q Querier, data string) ([]int64, error) {
	if _, err := q.Exec(ctx, l.sql(`
		DELETE FROM ledger.chunk k
		WHERE NOT EXISTS (
		  SELECT FROM pg_class WHERE relname = 'c' || k.id AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1))`), data); err != nil {
		return nil, fmt.Errorf("forget chunks: %w", err)
	}
	rows, err := q.Query(ctx, l.sql(`
		SELECT k.id
		FROM ledger.chunk k
		JOIN pg_class c ON c.relname = 'c' || k.id AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $1)
		WHERE NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid)
		ORDER BY k.id`), data)
	if err != nil {
		return nil, fmt.Errorf("list chunks: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("list chunks: %w", err)
	}
	return ids, nil
}

// ForgetChunk says that a chunk's table is gone.
func (l Ledger) ForgetChunk(ctx context.Context, q Querier, id int64) error {
	if _, err := q.Exec(ctx, l.sql(`DELETE FROM ledger.chunk WHERE id = $1`), id); err != nil {
		return fmt.Errorf("forget chunk %d: %w", id, err)
	}
	return nil
}

// ChunksOf lists the chunks of an output, also those that nobody reads.
func (l Ledger) ChunksOf(ctx context.Context, q Querier, output string) ([]int64, error) {
	rows, err := q.Query(ctx, l.sql(`SELECT id FROM ledger.chunk WHERE output = $1 ORDER BY id`), output)
	if err != nil {
		return nil, fmt.Errorf("list the chunks of %s: %w", output, err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
