package check_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
)

func TestCompileRefusesWhatCannotWorkOrCannotFail(t *testing.T) {
	t.Parallel()
	valid := check.Check{Name: "n", Kind: check.NotNull, Severity: check.Fail, Columns: []string{"line"}}
	with := func(change func(*check.Check)) []check.Check {
		c := valid
		change(&c)
		return []check.Check{c}
	}
	for name, test := range map[string]struct {
		checks []check.Check
		reason string
	}{
		"no name":                 {with(func(c *check.Check) { c.Name = "" }), "no name"},
		"one name twice":          {[]check.Check{valid, valid}, "two checks have this name"},
		"unknown column":          {with(func(c *check.Check) { c.Columns = []string{"Line"} }), `there is no column "Line"`},
		"unknown kind":            {with(func(c *check.Check) { c.Kind = "fresh" }), `kind "fresh"`},
		"unknown severity":        {with(func(c *check.Check) { c.Severity = "" }), `severity ""`},
		"no column":               {with(func(c *check.Check) { c.Columns = nil }), "names no column"},
		"all rows may fail":       {with(func(c *check.Check) { c.MaxFailing = 1 }), "max_failing"},
		"row count without limit": {with(func(c *check.Check) { c.Kind = check.RowCount }), "can never fail"},
		"no accepted value":       {with(func(c *check.Check) { c.Kind = check.AcceptedValues }), "its values"},
		"empty expression":        {with(func(c *check.Check) { c.Kind = check.Expression; c.SQL = "\n" }), "empty"},
		"second statement":        {with(func(c *check.Check) { c.Kind = check.Expression; c.SQL = "true; DROP TABLE t" }), "semicolon"},
		"escape of the wrapper":   {with(func(c *check.Check) { c.Kind = check.MetricKind; c.SQL = "1) FILTER (WHERE true" }), "parentheses"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := check.Compile("t", orders(), test.checks, check.Options{})
			require.ErrorContains(t, err, test.reason)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			require.NotEmpty(t, fault.HintOf(err))
		})
	}
	_, err := check.Compile("t", orders(), []check.Check{valid}, check.Options{})
	require.NoError(t, err)
	_, err = check.Compile("t", nil, nil, check.Options{})
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "a checksum over nothing")
	_, err = check.Compile("t", orders(), everyKind(), check.Options{Proved: map[string]bool{"revenue": true}})
	require.ErrorContains(t, err, "no constraint proves")
}

func TestAuthorsSQLStaysInItsParentheses(t *testing.T) {
	t.Parallel()
	metric := check.Metric{Name: "m", Severity: check.Fail, Max: new(1.0)}
	for sql, reason := range map[string]string{
		`select 1`:                           "",
		`select ')' || ";" || $$)$$ from t`:  "",
		`select E'\')' || $a$ ; $$ $a$`:      "",
		`select 1 -- )`:                      "",
		`select /* ) /* ; */ ( */ 1`:         "",
		`select 'it''s ; fine', "a"" ; b"`:   "",
		`select count(*) from a$b$ where $1`: "",
		`select 1;`:                          "semicolon",
		`select 1) from (select 2`:           "parentheses",
		`select (1`:                          "parentheses",
		`select 'a\' ; drop table t; --'`:    "semicolon",
		`select 'open`:                       "does not end",
		`select "open`:                       "does not end",
		`select $a$ open $$`:                 "does not end",
		`select /* /* */ 1`:                  "does not end",
	} {
		metric.SQL = sql
		_, err := check.CompileMetric(metric)
		if reason == "" {
			require.NoError(t, err, sql)
			continue
		}
		require.ErrorContains(t, err, reason, sql)
	}
	_, err := check.CompileMetric(check.Metric{Name: "m", Severity: check.Fail, SQL: "select 1"})
	require.ErrorContains(t, err, "can never fail")
}

func TestDefaultNames(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]check.Check{
		"row_count":             {Kind: check.RowCount},
		"not_null(a)":           {Kind: check.NotNull, Columns: []string{"a"}},
		"unique(a, b)":          {Kind: check.Unique, Columns: []string{"a", "b"}},
		"expression(fare >= 0)": {Kind: check.Expression, SQL: " fare\n  >= 0 "},
		"expression(ééééééééééééééééééééééééééééééééééééééééééééééé…)": {Kind: check.Expression, SQL: "éééééééééééééééééééééééééééééééééééééééééééééééééééé"},
	} {
		require.Equal(t, want, check.DefaultName(c))
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"0": check.FormatCount(0), "999": check.FormatCount(999), "-1,234,567": check.FormatCount(-1234567),
		"1,234.5": check.FormatNumber(1234.5), "-0.000012": check.FormatNumber(-0.000012), "1e-09": check.FormatNumber(1e-9), "1e+20": check.FormatNumber(1e20),
		"20.29 %": check.FormatPercent(0.202858), "0 %": check.FormatPercent(0), "100 %": check.FormatPercent(1),
		"5.001 %": check.FormatPercent(0.05001), "0.0001 %": check.FormatPercent(0.000001), "12,346 %": check.FormatPercent(123.456),
		"from zero": check.FormatPercent(check.Share(1, 0)),
	} {
		require.Equal(t, want, got)
	}
}
