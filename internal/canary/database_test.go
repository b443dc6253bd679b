package canary_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/testdb"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "rewrite the golden files")
	os.Exit(m.Run())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if flag.Lookup("update").Value.String() == "true" {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// trips has a key that may be NULL in one part, and a value of each way of comparing.
func trips() []check.Column {
	return []check.Column{
		{Name: "id", Type: "integer", NotNull: true},
		{Name: "leg", Type: "numeric(4,2)"},
		{Name: "fare", Type: "numeric(10,2)"},
		{Name: "score", Type: "double precision"},
		{Name: "payload", Type: "json"},
	}
}

func spec(key ...string) canary.Spec {
	return canary.Spec{
		Key: key, Origin: canary.Live,
		Baseline:  canary.Side{Relation: "live", Columns: trips()},
		Candidate: canary.Side{Relation: "candidate", Columns: trips()},
		Metrics:   []check.Check{{Name: "revenue", Kind: check.MetricKind, SQL: "sum(fare) -- all"}},
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]canary.Spec{"keyed.sql": spec("id", "leg"), "multiset.sql": spec()} {
		p, err := canary.Compile(s)
		require.NoError(t, err)
		golden(t, name, p.Summary.SQL+";\n\n"+p.Difference.SQL+";\n\n"+p.Samples().SQL+";\n")
	}
}

// compare runs a comparison as the warehouse does.
func compare(t *testing.T, db *testdb.DB, s canary.Spec) (canary.Diff, canary.Plan) {
	t.Helper()
	p, err := canary.Compile(s)
	require.NoError(t, err)
	var v check.Values
	require.NoError(t, v.Put(p.Summary, db.Read(t, p.Summary.SQL)[0]))
	if !p.Identical(v) {
		require.NoError(t, v.Put(p.Difference, db.Read(t, p.Difference.SQL)[0]))
	}
	d, err := p.Read(v)
	require.NoError(t, err)
	return d, p
}

const rows = `(1, 1.0, 10, 'NaN', '{}'), (1, NULL, 20, 0, NULL), (2, 1.5, NULL, -0.5, '[1]'), (3, 3, 5, 1e300, '{}')`

func tables(t *testing.T, live, candidate string) *testdb.DB {
	t.Helper()
	db := testdb.New(t)
	for name, values := range map[string]string{"live": live, "candidate": candidate} {
		db.Exec(t, `CREATE TABLE `+name+` (id int, leg numeric, fare numeric, score float8, payload json)`)
		if values != "" {
			db.Exec(t, `INSERT INTO `+name+` VALUES `+values)
		}
	}
	return db
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	type counts struct{ removed, added, common, changedRows, fare, score, payload int64 }
	for name, test := range map[string]struct {
		live, candidate string
		keyed           counts
		removed, added  int64 // as a multiset
	}{
		"equal in another order, scale and NaN": {rows, `(3, 3.00, 5.0, 1e300, '{}'), (2, 1.50, NULL, -0.5, '[1]'), (1, NULL, 20, -0.0, NULL), (1, 1, 10.00, 'NaN', '{}')`, counts{common: 4}, 0, 0},
		"both empty":                            {"", "", counts{}, 0, 0},
		"baseline empty":                        {"", rows, counts{added: 4}, 0, 4},
		"candidate empty":                       {rows, "", counts{removed: 4}, 4, 0},
		"a key part became NULL":                {rows, `(1, 1, 10, 'NaN', '{}'), (1, NULL, 20, 0, NULL), (2, NULL, NULL, -0.5, '[1]'), (3, 3, 5, 1e300, '{}')`, counts{removed: 1, added: 1, common: 3}, 1, 1},
		"a row of a NULL key part changed":      {rows, `(1, 1, 10, 'NaN', '{}'), (1, NULL, 21, 0, NULL), (2, 1.5, NULL, -0.5, '[1]'), (3, 3, 5, 1e300, '{}')`, counts{common: 4, changedRows: 1, fare: 1}, 1, 1},
		"NULL became a value, and back":         {rows, `(1, 1, 10, 'NaN', '{}'), (1, NULL, NULL, 0, NULL), (2, 1.5, 0, -0.5, '[1]'), (3, 3, 5, 1e300, NULL)`, counts{common: 4, changedRows: 3, fare: 2, payload: 1}, 3, 3},
		"NaN became a number":                   {rows, `(1, 1, 10, 0, '{}'), (1, NULL, 20, 0, NULL), (2, 1.5, NULL, -0.5, '[1]'), (3, 3, 5, 1e300, '{}')`, counts{common: 4, changedRows: 1, score: 1}, 1, 1},
		"a key replaced by another":             {rows, `(1, 1, 10, 'NaN', '{}'), (1, NULL, 20, 0, NULL), (2, 1.5, NULL, -0.5, '[1]'), (4, 3, 5, 1e300, '{}')`, counts{removed: 1, added: 1, common: 3}, 1, 1},
		"one row in two columns":                {`(1, 1, 1, 1, '{}')`, `(1, 1, 2, 2, '{}')`, counts{common: 1, changedRows: 1, fare: 1, score: 1}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := tables(t, test.live, test.candidate)
			d, _ := compare(t, db, spec("id", "leg"))
			require.Equal(t, canary.Keyed, d.Mode)
			got := counts{d.RemovedKeys, d.AddedKeys, d.CommonRows, d.ChangedRows, d.Changed["fare"], d.Changed["score"], d.Changed["payload"]}
			require.Equal(t, test.keyed, got)
			require.False(t, d.RepeatedKeys)
			require.Equal(t, test.removed == 0 && test.added == 0, d.Identical)
			d, _ = compare(t, db, spec())
			require.Equal(t, canary.Multiset, d.Mode)
			require.Equal(t, []int64{test.removed, test.added}, []int64{d.RemovedKeys, d.AddedKeys})
			require.Equal(t, test.removed == 0 && test.added == 0, d.Identical)
		})
	}
}

func TestMultisetsCountCopies(t *testing.T) {
	t.Parallel()
	db := tables(t, `(1), (1), (2)`, `(1), (2), (2), (2)`)
	d, _ := compare(t, db, spec())
	require.Equal(t, []int64{3, 4, 1, 2}, []int64{d.BaselineRows, d.CandidateRows, d.RemovedKeys, d.AddedKeys})
	require.Empty(t, d.ChangedColumns, "one row more is one more of every column")
	db = tables(t, `(1), (1)`, `(2), (2)`)
	d, _ = compare(t, db, spec())
	require.False(t, d.Identical, "pairs do not cancel")
	require.Equal(t, int64(2), d.RemovedKeys)
	require.Equal(t, []string{"id"}, d.ChangedColumns)
}

func TestRowsMayDifferWhereNoColumnDoes(t *testing.T) {
	t.Parallel()
	d, _ := compare(t, tables(t, `(1, 1), (2, 2)`, `(1, 2), (2, 1)`), spec())
	require.Equal(t, []int64{2, 2}, []int64{d.RemovedKeys, d.AddedKeys})
	require.Empty(t, d.ChangedColumns)
}

func TestARepeatedKeyCannotBePaired(t *testing.T) {
	t.Parallel()
	for name, sides := range map[string][2]string{
		"in the candidate": {`(1, 1, 1)`, `(1, 1, 1), (1, 1, 2)`},
		"in the baseline":  {`(1, 1, 1), (1, 1, 2)`, `(1, 1, 1)`},
		"in both":          {`(1, 1, 1), (1, 1, 2)`, `(1, 1, 1), (1, 1, 3)`},
		"as a NULL":        {`(1, NULL, 1), (1, NULL, 2)`, `(1, NULL, 1), (1, NULL, 3)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, _ := compare(t, tables(t, sides[0], sides[1]), spec("id", "leg"))
			require.True(t, d.RepeatedKeys)
			require.Equal(t, gate.Inconclusive, canary.Judge(d, canary.Budgets{}).Outcome)
		})
	}
}

func TestColumnsOfOneSideAreNamedNotCompared(t *testing.T) {
	t.Parallel()
	for _, key := range [][]string{{"id", "leg"}, nil} {
		db := tables(t, rows, rows)
		db.Exec(t, `ALTER TABLE candidate ADD currency_code text DEFAULT 'EUR'`)
		db.Exec(t, `ALTER TABLE candidate DROP payload`)
		s := spec(key...)
		s.Candidate.Columns[4] = check.Column{Name: "currency_code", Type: "text"}
		s.Metrics = append(s.Metrics,
			check.Check{Name: "currencies", SQL: "count(DISTINCT currency_code)"},
			check.Check{Name: "payloads", SQL: "count(payload)"})
		d, _ := compare(t, db, s)
		require.True(t, d.Identical)
		require.Equal(t, []string{"currency_code"}, d.AddedColumns)
		require.Equal(t, []string{"payload"}, d.RemovedColumns)
		require.NotContains(t, d.Changed, "payload")
		require.Equal(t, map[string]canary.MetricPair{
			"revenue":    {Baseline: new(35.0), Candidate: new(35.0)},
			"currencies": {Candidate: new(1.0), New: true},
			"payloads":   {Baseline: new(3.0), New: true},
		}, d.Metrics)
		require.Equal(t, gate.Pass, canary.Judge(d, canary.Budgets{}).Outcome)
	}
}

func TestOnlyAKeyAndNoOtherColumn(t *testing.T) {
	t.Parallel()
	db := tables(t, `(1), (2)`, `(2), (3)`)
	s := spec("id")
	s.Baseline.Columns, s.Candidate.Columns, s.Metrics = trips()[:1], trips()[:1], nil
	d, p := compare(t, db, s)
	require.Equal(t, []int64{1, 1, 1, 0}, []int64{d.RemovedKeys, d.AddedKeys, d.CommonRows, d.ChangedRows})
	require.Len(t, db.Read(t, p.Samples().SQL), 2)
}

func TestSamplesShowEachKindOfDifference(t *testing.T) {
	t.Parallel()
	live, candidate := `(1, 1, 1, 1, '{}'), (2, NULL, 2, 2, '{}')`, `(2, NULL, 3, 2, '{}'), (3, 1, 1, 1, '{}')`
	for name, test := range map[string]struct {
		key  []string
		want map[string]string
	}{
		"keyed": {[]string{"id", "leg"}, map[string]string{
			"removed": `{"key": {"id": 1, "leg": 1}}`, "added": `{"key": {"id": 3, "leg": 1}}`, "changed.fare": `{"key": {"id": 2, "leg": null}, "baseline": 2, "candidate": 3}`,
		}},
		"multiset": {nil, map[string]string{
			"removed": `{"id": 2, "leg": null, "fare": 2, "score": 2, "payload": {}}`, "added": `{"id": 2, "leg": null, "fare": 3, "score": 2, "payload": {}}`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := tables(t, live, candidate)
			_, p := compare(t, db, spec(test.key...))
			found := make(map[string][]string)
			for _, row := range db.Read(t, p.Samples().SQL) {
				found[*row[0]] = append(found[*row[0]], *row[1])
			}
			require.Len(t, found, len(test.want))
			for kind, sample := range test.want {
				require.Contains(t, found[kind], sample)
			}
			db.Exec(t, `INSERT INTO live SELECT i, i, i, i FROM generate_series(10, 30) i`)
			require.LessOrEqual(t, len(db.Read(t, p.Samples().SQL)), 5*len(test.want))
		})
	}
}

func TestCompileRefusesWhatCannotBeCompared(t *testing.T) {
	t.Parallel()
	column := func(name, kind string) []check.Column { return []check.Column{{Name: name, Type: kind}} }
	for name, test := range map[string]struct {
		key      []string
		from, to []check.Column
		reason   string
	}{
		"a retyped column":     {nil, column("a", "integer"), column("a", "bigint"), "it is integer in the baseline and bigint in the candidate"},
		"a value made an list": {nil, column("a", "text"), column("a", "text[]"), "text[]"},
		"a key that went":      {[]string{"a"}, column("a", "text"), column("b", "text"), "does not have it"},
		"a key of arrays":      {[]string{"a"}, column("a", "text[]"), column("a", "text[]"), "it holds arrays"},
		"nothing in common":    {nil, column("a", "text"), column("b", "text"), "no column in common"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := canary.Compile(canary.Spec{Key: test.key, Baseline: canary.Side{Columns: test.from}, Candidate: canary.Side{Columns: test.to}})
			require.ErrorContains(t, err, test.reason)
			require.NotEmpty(t, fault.ClassOf(err))
			require.NotEmpty(t, fault.HintOf(err))
		})
	}
	s := canary.Spec{Baseline: canary.Side{Columns: column("a", "numeric(4,2)")}, Candidate: canary.Side{Columns: column("a", "numeric(9,2)")}}
	_, err := canary.Compile(s)
	require.NoError(t, err, "a modifier is no other type")
}

func TestAnUnreadComparisonIsAnError(t *testing.T) {
	t.Parallel()
	p, err := canary.Compile(spec("id"))
	require.NoError(t, err)
	require.False(t, p.Identical(check.Values{}))
	_, err = p.Read(check.Values{})
	require.ErrorContains(t, err, "not evaluated")
}
