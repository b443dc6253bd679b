package migrate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
)

// What runs in no transaction is measured by nobody: it is what begins so, and not what only has the word.
func TestOnlyWhatMakesOrDropsAnIndexConcurrentlyIsRunSo(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string]migrate.Class{
		"CREATE INDEX CONCURRENTLY i ON @table (id)":                                   migrate.Concurrent,
		"create /* x */ unique\nindex concurrently i ON @table (id)":                   migrate.Concurrent,
		"DROP INDEX CONCURRENTLY @schema.i":                                            migrate.Concurrent,
		"CREATE INDEX i ON @table (id)":                                                migrate.Instant,
		"ALTER INDEX @schema.i RESET (fillfactor, concurrently, on)":                   migrate.Instant,
		"COMMENT ON TABLE @table IS 'create index concurrently i on x'":                migrate.Instant,
		`ALTER TABLE @table ALTER COLUMN "create index concurrently" SET STATISTICS 5`: migrate.Instant,
		"ANALYZE @table": migrate.Scan,
	} {
		require.Equal(t, want, migrate.OwnClass([]string{sql}), sql)
	}
}
