package partition_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
)

func TestAColumnThatCannotBeCutIsRefusedWithItsCast(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		scheme partition.Scheme
		column string
		cast   string // empty: it can be cut
	}{
		{by(partition.Day, ""), "date", ""},
		{by(partition.Day, ""), "timestamp without time zone", ""},
		{by(partition.Month, ""), "timestamp(3) with time zone", ""},
		{by(partition.Day, ""), "text", "at::date"},
		{by(partition.Day, ""), "character varying(10)", "at::date"},
		{by(partition.Year, ""), "integer", "at::date"},
		{by(partition.Week, ""), "time without time zone", "at::date"},
		{by(partition.Hour, ""), "timestamp with time zone", ""},
		{by(partition.Hour, ""), "date", "at::timestamptz"},
		{by(partition.Hour, ""), "text", "at::timestamptz"},
		{ranged(10), "smallint", ""},
		{ranged(10), "numeric(12,2)", ""},
		{ranged(10), "text", "id::bigint"},
		{ranged(10), "double precision", "id::bigint"},
		{listOf("web"), "text", ""},
		{listOf("web"), "character(4)", ""},
		{listOf("web"), "uuid", ""},
		{listOf("web"), "boolean", ""},
		{listOf("web"), "jsonb", "channel::text"},
		{listOf("web"), "real", "channel::text"},
		{partition.Scheme{By: partition.All}, "jsonb", ""},
	} {
		why, cast := tc.scheme.Unfit(tc.column)
		require.Equal(t, tc.cast, cast, "%s of %s", tc.scheme.By, tc.column)
		require.Equal(t, tc.cast == "", why == "", "%s of %s", tc.scheme.By, tc.column)
	}
}

func TestWhatAColumnCannotHoldIsNoLimit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		column              string
		size                int64
		key                 partition.Key
		lower, upper, empty bool
	}{
		"inside":                    {"integer", 100000, "100000", true, true, false},
		"to the end of integer":     {"integer", 100000, "2147400000", true, false, false},
		"from the start of integer": {"integer", 100000, "-2147500000", false, true, false},
		"beyond integer":            {"integer", 100000, "2147500000", true, false, true},
		"all of smallint":           {"smallint", 1 << 40, "0", true, false, false},
		"below smallint":            {"smallint", 100, "-32900", false, true, true},
		"to the end of bigint":      {"bigint", 100000, "9223372036854700000", true, false, false},
		"numeric has no end":        {"numeric", 100000, "9223372036854700000", true, true, false},
		"to the end of its digits":  {"numeric(5,2)", 100, "900", true, false, false},
		"beyond its digits":         {"numeric(5,2)", 100, "1000", false, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ranged(tc.size)
			b, err := s.Bounds(tc.key)
			require.NoError(t, err)
			lower, upper, empty := s.Reach(tc.column, b)
			require.Equal(t, tc.empty, empty)
			if !empty {
				require.Equal(t, [2]bool{tc.lower, tc.upper}, [2]bool{lower, upper})
			}
		})
	}
}
