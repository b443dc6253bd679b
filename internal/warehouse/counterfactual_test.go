package warehouse_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/breach"
	"drawbridge/internal/check"
	"drawbridge/internal/partition"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse"
)

// shelf is a ledger with a table of days that workflows published one after the other, written as a publish writes them.
type shelf struct {
	*warehouse.Warehouse
	t    *testing.T
	db   *testdb.DB
	last int64
}

const shelfDays = "2026-01-0" // + one digit

func newShelf(t *testing.T) *shelf {
	t.Helper()
	s := &shelf{db: testdb.New(t), t: t}
	s.Warehouse = open(t, s.db)
	require.NoError(t, s.EnsureLedger(t.Context()))
	s.exec(`CREATE TABLE %[1]s.fct (d date NOT NULL, x numeric) PARTITION BY RANGE (d)`)
	s.exec(`COMMENT ON TABLE %[1]s.fct IS 'managed by drawbridge'`)
	s.exec(`INSERT INTO %[1]s__ledger.tenure (pipeline, kind, owner) VALUES ('shop', 'deployment', 'test')`)
	return s
}

func (s *shelf) exec(sql string) {
	s.t.Helper()
	_, err := s.db.Pool.Exec(s.t.Context(), strings.ReplaceAll(sql, "%[1]s", s.db.Schema))
	require.NoError(s.t, err, sql)
}

// publish replaces a day by one row of a value.
func (s *shelf) publish(owner string, day, value int) int64 {
	s.t.Helper()
	s.last++
	key := fmt.Sprintf("%s%d", shelfDays, day)
	var from *int64
	require.NoError(s.t, s.db.Pool.QueryRow(s.t.Context(), `SELECT max(generation) FROM `+s.db.Schema+`__ledger.live WHERE partition = $1`, key).Scan(&from))
	if from != nil {
		s.exec(fmt.Sprintf(`ALTER TABLE %%[1]s.fct DETACH PARTITION %%[1]s__data.g%d`, *from))
	}
	s.exec(fmt.Sprintf(`CREATE TABLE %%[1]s__data.g%d AS SELECT date '%s' AS d, %d::numeric AS x`, s.last, key, value))
	s.exec(fmt.Sprintf(`ALTER TABLE %%[1]s__data.g%d ALTER d SET NOT NULL`, s.last))
	s.exec(fmt.Sprintf(`ALTER TABLE %%[1]s.fct ATTACH PARTITION %%[1]s__data.g%d FOR VALUES FROM ('%s') TO ('%s%d')`, s.last, key, shelfDays, day+1))
	s.exec(fmt.Sprintf(`INSERT INTO %%[1]s__ledger.generation (output, partition, state, pipeline, version, digest, config, owner_key, tenure, effect_key, control, fence, application,
		backend_pid, backend_start, moment, scheme, lower, upper, child) VALUES ('fct', '%[2]s', 'built', 'shop', '1', 'd', '', '%[3]s', 1, '%[3]s', false, gen_random_uuid(), '', 0, now(), now(), '{}', '', '', 1)`, 0, key, owner))
	for _, sql := range []string{
		`UPDATE %[1]s__ledger.generation SET state = 'retired' WHERE state = 'live' AND partition = '` + key + `'`,
		fmt.Sprintf(`UPDATE %%[1]s__ledger.generation SET state = 'live' WHERE id = %d`, s.last),
		fmt.Sprintf(`INSERT INTO %%[1]s__ledger.live VALUES ('fct', '%s', %d, 1) ON CONFLICT (output, partition) DO UPDATE SET generation = excluded.generation`, key, s.last),
	} {
		s.exec(sql)
	}
	_, err := s.db.Pool.Exec(s.t.Context(), `INSERT INTO `+s.db.Schema+`__ledger.swap (tenure, owner, effect_key, kind, output, partition, from_generation, to_generation)
		VALUES (1, $1, $1, 'publish', 'fct', $2, $3, $4)`, owner, key, from, s.last)
	require.NoError(s.t, err)
	return s.last
}

func metricOf(sql string) check.Metric {
	limit := 1.0
	return check.Metric{Name: "total", SQL: sql, Severity: check.Fail, Max: &limit}
}

func (s *shelf) without(sql, owner string, bare bool) breach.Without {
	s.t.Helper()
	out, err := s.MeasureWithout(s.t.Context(), metricOf(strings.ReplaceAll(sql, "%[1]s", s.db.Schema)), owner, bare)
	require.NoError(s.t, err)
	return out
}

func TestACounterfactualPutsBackWhatAWorkflowReplaced(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish("old", 1, 1)
	s.publish("old", 2, 10)
	s.publish("release", 1, 100)  // replaced
	s.publish("release", 2, 200)  // replaced, then replaced again by a run
	s.publish("release", 3, 3000) // was not there before
	s.publish("run", 2, 40000)
	const total = "SELECT sum(x) FROM fct"

	here, err := s.Measure(t.Context(), metricOf(total))
	require.NoError(t, err)
	require.InDelta(t, 43100, here.Value, 0)
	require.Equal(t, []string{s.db.Schema + ".fct"}, here.Reads)

	without := s.without(total, "release", false)
	require.Empty(t, without.Why)
	require.InDelta(t, 43001, without.Value, 0, "its first day is as it was, its new day stays, the run's day is the run's")
	require.Equal(t, 1, without.Stayed)
	require.InDelta(t, 40001, s.without(total, "release", true).Value, 0, "bare, its new day is not there")
	require.InDelta(t, 3300, s.without(total, "run", true).Value, 0)
	require.NotEmpty(t, s.without(total, "old", false).Why, "nothing of it is live any more")

	later, err := s.PublishedLater(t.Context(), "release", here.Reads)
	require.NoError(t, err)
	require.Len(t, later, 1)
	require.Equal(t, "run", later[0].Owner)
	require.Equal(t, partition.Key(shelfDays+"2"), later[0].Published[0].Partition)
	later, err = s.PublishedLater(t.Context(), "release", []string{"elsewhere.fct"})
	require.NoError(t, err)
	require.Empty(t, later, "a run that the check does not read is not to blame")
	again, err := s.Measure(t.Context(), metricOf(total))
	require.NoError(t, err)
	require.Equal(t, here, again, "nothing of it stays")
}

func TestAFunctionThatRanBeforeIsSeenThroughToo(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish("old", 1, 1)
	s.publish("release", 1, 100)
	s.exec(`CREATE FUNCTION %[1]s.total() RETURNS numeric LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT sum(x) FROM fct); END'`)
	for range 5 {
		found, err := s.Measure(t.Context(), metricOf("SELECT total()"))
		require.NoError(t, err)
		require.InDelta(t, 100, found.Value, 0)
		require.Equal(t, []string{s.db.Schema + ".fct"}, found.Reads, "what a function reads is read")
	}
	require.InDelta(t, 1, s.without("SELECT total()", "release", false).Value, 0)
}

func TestACheckThatReadsPastTheViewsSaysNothing(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish("old", 1, 1)
	dropped := s.publish("old", 2, 1)
	s.publish("release", 1, 100)
	s.exec(`CREATE VIEW %[1]s.v AS SELECT * FROM %[1]s.fct`)
	s.exec(`CREATE FUNCTION %[1]s.deep() RETURNS numeric LANGUAGE plpgsql STABLE SET search_path = %[1]s, pg_temp AS 'BEGIN RETURN (SELECT sum(x) FROM fct); END'`)
	for name, sql := range map[string]string{
		"a full name": "SELECT sum(x) FROM %[1]s.fct",
		"a view":      "SELECT sum(x) FROM v",
		"a function with a search_path of its own": "SELECT deep()",
		"a part of it": "SELECT sum(x) + (SELECT count(*) FROM %[1]s.fct) FROM fct",
	} {
		require.Contains(t, s.without(sql, "release", false).Why, "it reads fct", name)
	}
	require.Empty(t, s.without("SELECT sum(x) FROM fct", "release", false).Why)
	require.NotEmpty(t, s.without("SELECT 1 / (sum(x) - 2) FROM fct", "release", false).Why, "it cannot be evaluated then")

	s.publish("release", 2, 1)
	s.exec(fmt.Sprintf(`DROP TABLE %%[1]s__data.g%d`, dropped))
	require.Contains(t, s.without("SELECT sum(x) FROM fct", "release", false).Why, "is dropped")
}

func TestACheckWritesNothingThere(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish("old", 1, 1)
	s.publish("release", 1, 100)
	s.exec(`CREATE TABLE %[1]s.note (x int)`)
	s.exec(`CREATE FUNCTION %[1]s.writes() RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO note VALUES (1); RETURN 1; END'`)
	require.NotEmpty(t, s.without("SELECT writes() + sum(x) FROM fct", "release", false).Why)
	_, err := s.Measure(t.Context(), metricOf("SELECT writes()"))
	require.Error(t, err)
	var notes int
	require.NoError(t, s.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM `+s.db.Schema+`.note`).Scan(&notes))
	require.Zero(t, notes)
}
