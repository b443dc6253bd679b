package lint_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/lint"
)

// timeouts are what a file that locks a table sets first.
const timeouts = "SET lock_timeout = '2s'; SET statement_timeout = '10s'; "

// weighed are the severities of what is found in a file, by rule, where the schema shop has a small table, a large one, and nothing else.
func weighed(t *testing.T, sql string) (map[string]lint.Severity, lint.Report) {
	t.Helper()
	r := lint.Migration("a.sql", sql, lint.Options{NoTransaction: true})
	require.Empty(t, r.Problems)
	r.Weigh(lint.Sizes{Schema: "shop", Tables: map[string]lint.Size{
		"small": {Rows: 1200, Bytes: lint.Small},
		"large": {Rows: 40_000_000, Bytes: 6_000_000_000},
	}})
	found := map[string]lint.Severity{}
	for _, f := range r.Findings {
		found[f.Rule] = f.Severity
	}
	return found, r
}

func TestWhatOnlyTakesLongIsANoteOnASmallTable(t *testing.T) {
	t.Parallel()
	for _, change := range []string{
		"ALTER TABLE %s ADD COLUMN u uuid DEFAULT gen_random_uuid()", "ALTER TABLE %s ADD COLUMN u int GENERATED ALWAYS AS (1) STORED",
		"ALTER TABLE %s ADD COLUMN u serial", "ALTER TABLE %s ALTER COLUMN u TYPE bigint", "ALTER TABLE %s ALTER COLUMN u SET NOT NULL",
		"ALTER TABLE %s ADD FOREIGN KEY (u) REFERENCES other", "ALTER TABLE %s ADD CHECK (u > 0)", "ALTER TABLE %s ADD UNIQUE (u)",
		"ALTER TABLE %s ADD PRIMARY KEY (u)", "ALTER TABLE %s ADD EXCLUDE (u WITH =)", "CREATE INDEX ON %s (u)", "VACUUM FULL %s",
		"ALTER TABLE %s SET TABLESPACE other", "BEGIN; ALTER TABLE %[1]s ADD COLUMN u int; UPDATE %[1]s SET u = 1; COMMIT",
		"BEGIN; ALTER TABLE %[1]s ADD CONSTRAINT c CHECK (u > 0) NOT VALID; ALTER TABLE %[1]s VALIDATE CONSTRAINT c; COMMIT",
	} {
		for of, want := range map[string]lint.Severity{
			"small": lint.Note, "shop.small": lint.Note, "large": lint.Error, "shop.large": lint.Error,
			"unknown": lint.Error, "other.small": lint.Error,
		} {
			sql := timeouts + strings.NewReplacer("%s", of, "%[1]s", of).Replace(change)
			found, r := weighed(t, sql)
			require.Len(t, found, 1, sql)
			for rule, severity := range found {
				require.Equal(t, want, severity, "%s: %s", rule, sql)
				require.Equal(t, 1, r.Counts[want], sql)
				require.Equal(t, want == lint.Note, r.Counts[lint.Error] == 0, sql)
			}
		}
	}
}

func TestALargeTableSaysForHowLongOthersWait(t *testing.T) {
	t.Parallel()
	_, read := weighed(t, timeouts+"ALTER TABLE large ALTER COLUMN u SET NOT NULL")
	_, rewritten := weighed(t, timeouts+"ALTER TABLE shop.large ALTER COLUMN u TYPE bigint")
	w := read.Findings[0].Weight
	require.Equal(t, lint.Weight{Table: "shop.large", Size: lint.Size{Rows: 40_000_000, Bytes: 6_000_000_000}, Seconds: 30}, *w)
	require.Greater(t, rewritten.Findings[0].Weight.Seconds, w.Seconds, "to write is slower than to read")
	_, other := weighed(t, timeouts+"ALTER TABLE elsewhere.large ALTER COLUMN u SET NOT NULL")
	require.Nil(t, other.Findings[0].Weight, "a table of another schema is not that of this one")
}

// What is lost, or breaks who names it, is so on a table of one row too.
func TestWhatIsDangerousAtAnySizeStaysSo(t *testing.T) {
	t.Parallel()
	for _, sql := range []string{
		"DROP TABLE small", "ALTER TABLE small DROP COLUMN u", "ALTER TABLE small RENAME COLUMN u TO v", "TRUNCATE small", "DELETE FROM small",
		"ALTER TABLE small ADD COLUMN u int NOT NULL", "DROP INDEX small",
	} {
		_, r := weighed(t, sql)
		require.Positive(t, r.Counts[lint.Error], sql)
		require.Zero(t, r.Counts[lint.Note], sql)
	}
}

// Before a file is run its tables may have other sizes, or other names, than when its statement comes.
func TestATableThatTheFileTouchedBeforeIsNotWeighed(t *testing.T) {
	t.Parallel()
	for _, before := range []string{
		"ALTER TABLE large RENAME TO small", "ALTER TABLE other.small SET SCHEMA shop", "SET search_path = other",
		"INSERT INTO small SELECT * FROM large", "COPY small FROM '/tmp/rows'", "MERGE INTO small USING large ON false WHEN NOT MATCHED THEN INSERT DEFAULT VALUES",
		"ALTER TABLE small ATTACH PARTITION large FOR VALUES IN (1)",
	} {
		_, r := weighed(t, timeouts+before+"; CREATE INDEX ON small (u)")
		last := r.Findings[len(r.Findings)-1]
		require.Equal(t, "require-concurrent-index-creation", last.Rule)
		require.Equal(t, lint.Error, last.Severity, before)
	}
}

func TestOnlyTablesWhoseSizeMattersAreAskedFor(t *testing.T) {
	t.Parallel()
	r := lint.Migration("a.sql", `CREATE TABLE fresh (u int); CREATE INDEX ON fresh (u); CREATE INDEX ON b (u); CREATE INDEX ON s.a (u);
		CREATE INDEX ON a (u); DROP TABLE gone; SELECT * FROM secrets`, lint.Options{})
	require.Equal(t, []string{"a", "b"}, r.Weighed())
}

func TestEveryCostIsThatOfARule(t *testing.T) {
	t.Parallel()
	seen := map[lint.Cost]bool{}
	for _, r := range lint.Rules() {
		seen[r.Cost] = true
	}
	require.Equal(t, map[lint.Cost]bool{"": true, lint.Reads: true, lint.Rewrites: true, lint.Indexes: true}, seen)
}
