package contract_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/contract"
)

func TestWhatAnOutputLacksOfItsContractIsNamed(t *testing.T) {
	t.Parallel()
	c := contract.Contract{Columns: []contract.Column{{Name: "id", Type: "bigint"}, {Name: "amount", Type: "numeric"}, {Name: "note", Kind: contract.String}, {Name: "any"}}}
	types := map[string]string{"id": "bigint", "amount": "numeric(12,2)", "note": "character varying(10)", "any": "point", "more": "text"}
	require.Empty(t, c.Breaks(types), "more columns break nothing")
	types["id"], types["note"] = "integer", "text[]"
	delete(types, "any")
	require.Equal(t, []string{
		"column id is integer, and is promised as bigint", "column note is text[], and is promised as string", "column any is missing, and is promised as a column",
	}, c.Breaks(types))
}

func TestAKindTakesItsTypes(t *testing.T) {
	t.Parallel()
	for kind, types := range map[contract.Kind]struct{ takes, not []string }{
		contract.String:    {[]string{"text", "character varying(20)", "character(2)", "uuid"}, []string{"integer", "text[]", "json"}},
		contract.Date:      {[]string{"date"}, []string{"timestamp with time zone", "text"}},
		contract.Timestamp: {[]string{"timestamp with time zone", "timestamp without time zone", "timestamp(3) with time zone"}, []string{"date", "time without time zone"}},
		contract.Time:      {[]string{"time without time zone", "time with time zone"}, []string{"timestamp with time zone"}},
		contract.Number:    {[]string{"numeric", "numeric(12,2)", "double precision", "bigint"}, []string{"text", "boolean"}},
		contract.Integer:   {[]string{"smallint", "integer", "bigint", "numeric(10,0)"}, []string{"numeric(12,2)", "numeric", "real", "numeric(10,10)"}},
		contract.Object:    {[]string{"json", "jsonb"}, []string{"text", "jsonb[]"}},
		contract.Array:     {[]string{"text[]", "numeric(12,2)[]"}, []string{"text"}},
		contract.Boolean:   {[]string{"boolean"}, []string{"integer"}},
	} {
		for want, list := range map[bool][]string{true: types.takes, false: types.not} {
			for _, name := range list {
				c := contract.Contract{Columns: []contract.Column{{Name: "c", Kind: kind}}}
				require.Equal(t, want, len(c.Breaks(map[string]string{"c": name})) == 0, "%s as %s", name, kind)
			}
		}
	}
	require.Len(t, contract.Kinds(), 9)
}
