package alter_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
)

func TestSizesAreThoseOfTheSchemasTablesOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, sql := range []string{
		`CREATE TABLE counted AS SELECT i, repeat('x', 1000) AS filler FROM generate_series(1, 1000) i`, `ANALYZE counted`,
		`CREATE INDEX counted_i ON counted (i)`,
		`CREATE TABLE fresh (i int)`,
		`CREATE VIEW seen AS SELECT i FROM counted`,
		`CREATE MATERIALIZED VIEW kept AS SELECT i FROM counted`, `ANALYZE kept`,
		`CREATE TABLE parts (day int, filler text) PARTITION BY RANGE (day)`,
		`CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (10) PARTITION BY RANGE (day)`,
		`CREATE TABLE parts_1_1 PARTITION OF parts_1 FOR VALUES FROM (1) TO (5)`,
		`CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20)`,
		`INSERT INTO parts SELECT day, repeat('x', 1000) FROM generate_series(1, 19) day WHERE day NOT BETWEEN 5 AND 9`,
		`ANALYZE parts_1_1`, `ANALYZE parts_2`,
		`CREATE TABLE "it's; DROP" (i int)`,
		`CREATE SCHEMA ` + b.db.Schema + `__data`, `CREATE TABLE ` + b.db.Schema + `__data.elsewhere AS SELECT 1 AS i`,
	} {
		b.db.Exec(t, sql)
	}
	schema, sizes, err := b.Sizes(t.Context(), []string{
		"counted", "counted_i", "fresh", "seen", "kept", "parts", "it's; DROP", "elsewhere", b.db.Schema + "__data.elsewhere", "pg_authid", "missing", "",
	})
	require.NoError(t, err)
	require.Equal(t, b.db.Schema, schema)
	found := map[string]migrate.Size{}
	for _, s := range sizes {
		found[s.Table] = s
	}
	require.Len(t, found, 5, "%v", sizes)
	require.EqualValues(t, 1000, found["counted"].Rows)
	require.Greater(t, found["counted"].Bytes, int64(1_000_000))
	require.Equal(t, b.one(t, `SELECT pg_total_relation_size('counted') - pg_indexes_size('counted')`), fmt.Sprint(found["counted"].Bytes), "indexes do not count")
	require.EqualValues(t, 1000, found["kept"].Rows)
	require.Equal(t, migrate.Size{Table: "fresh", Rows: -1}, found["fresh"], "nobody has counted")
	require.EqualValues(t, 14, found["parts"].Rows, "the rows of all leaves")
	require.Positive(t, found["parts"].Bytes)

	b.db.Exec(t, `CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (20) TO (30)`)
	_, sizes, err = b.Sizes(t.Context(), []string{"parts"})
	require.NoError(t, err)
	require.EqualValues(t, -1, sizes[0].Rows, "a part of which nobody has counted")

	_, sizes, err = b.Sizes(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, sizes)
}
