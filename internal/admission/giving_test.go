package admission_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/fault"
)

// What an open migration lets in: by how far it is, by what the SELECT of a release returned, and by what is done with it.
func TestAMigrationLetsInWhatGivesItsColumns(t *testing.T) {
	t.Parallel()
	forward := map[string]func() *world{"a deployment": crossing, "a run": nightly}
	gives := map[string][]string{"the old": {"id", "amount"}, "both": {"id", "amount", "amount_eur"}, "the new": {"id", "amount_eur"}}
	for name, c := range map[string]struct {
		needs       []string
		switched    bool
		goes, turns map[string]bool // which releases are let in, and gone back to
	}{
		"before a release gives both": {
			needs: []string{"amount"}, goes: map[string]bool{"the old": true, "both": true}, turns: map[string]bool{"the old": true, "both": true, "the new": true},
		},
		"from dual write to the switch": {
			needs: []string{"amount", "amount_eur"}, goes: map[string]bool{"both": true}, turns: map[string]bool{"the old": true, "both": true, "the new": true},
		},
		"from the switch on": {
			needs: []string{"amount", "amount_eur"}, switched: true, goes: map[string]bool{"both": true}, turns: map[string]bool{"both": true},
		},
		"once the old shape may go": {
			needs: []string{"amount_eur"}, switched: true, goes: map[string]bool{"both": true, "the new": true}, turns: map[string]bool{"both": true, "the new": true},
		},
	} {
		for shape, columns := range gives {
			try := func(verb string, w *world, want bool) {
				t.Run(name+", "+verb+" of what gives "+shape, func(t *testing.T) {
					t.Parallel()
					g := w.f.Generations[12]
					g.Gives = columns
					w.f.Generations[12] = g
					w.f.Giving = []admission.Giving{{Output: "orders", Migration: "0001_euros", Owner: "migrate/shop/prod/0001_euros/x", Columns: c.needs, Switched: c.switched}}
					err := admission.Decide(w.q, w.f, w.rule)
					if want {
						require.NoError(t, err)
						return
					}
					require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
					require.ErrorContains(t, err, "while the migration 0001_euros is open")
					require.Contains(t, fault.HintOf(err), "drawbridge migrate rollback migrate/shop/prod/0001_euros --reason TEXT")
				})
			}
			for verb, w := range forward {
				try(verb, w(), c.goes[shape])
			}
			try("a turn-back", back(), c.turns[shape])
		}
	}
}

func TestAMigrationOfAnotherOutputIsInNobodysWay(t *testing.T) {
	t.Parallel()
	w := crossing()
	w.f.Giving = []admission.Giving{{Output: "channels", Migration: "0001_titles", Owner: "migrate/shop/prod/0001_titles/x", Columns: []string{"title"}, Switched: true}}
	require.NoError(t, admission.Decide(w.q, w.f, w.rule))
}
