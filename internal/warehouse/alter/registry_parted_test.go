package alter_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// partedKinds are the operations that a partitioned table has.
func partedKinds() []migrate.Kind {
	return []migrate.Kind{
		migrate.AddColumn, migrate.DropColumn, migrate.RenameColumn, migrate.ChangeType, migrate.SetComment, migrate.SetNotNull, migrate.DropNotNull, migrate.SetDefault,
		migrate.DropDefault, migrate.AddCheck, migrate.DropCheck, migrate.CreateIndex, migrate.DropIndex,
	}
}

// Each operation of the registry is proved on a partitioned table by each of its scenarios, or refused there by name.
func TestEveryOperationOfAPartitionedTableIsProved(t *testing.T) {
	t.Parallel()
	for kind, forms := range scenarios() {
		for form, s := range forms {
			s.parted = true
			if s.table != "" { // it is about another one
				continue
			}
			t.Run(strings.TrimSpace(string(kind)+" "+form), func(t *testing.T) {
				t.Parallel()
				if !slices.Contains(partedKinds(), kind) {
					proveRefusal(t, s)
					return
				}
				for name, proof := range map[string]func(*testing.T, scenario){
					"comes to what plain SQL does, through a crash in every place": proveCrash,
					"is taken back through a crash in every place":                 proveCrashOnTheWayBack,
					"takes names for names":                                        proveNames,
				} {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						proof(t, s)
					})
				}
			})
		}
	}
}

// What takes the place of an index stays in the partitions under the name with which it was made: the next migration makes another one beside it.
func TestAColumnOfAPartitionedTableIsReplacedAgainAndAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := scenarios()[migrate.RenameColumn]["laden"]
	s.parted = true
	b.make(t, s, plainly)
	for _, c := range []struct{ name, from, to string }{{"0001_made", "created", "made"}, {"0002_built", "made", "built"}, {"0003_created", "built", "created"}} {
		p := b.planned(t, migrate.Migration{Name: c.name, Table: "customers", Why: "A better name.", Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: c.from, To: c.to}}})
		b.restart(t, p)
		b.steps(t, p, len(p.Steps), func(step migrate.Step) { b.once(t, b.asked(p, step, false)) })
		require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	}
	after := b.world(t)
	same(t, b.model(t, s, plainly, nil), after, "done")
}

func proveRefusal(t *testing.T, s scenario) {
	t.Helper()
	b := setup(t)
	b.make(t, s, plainly)
	_, err := b.computed(t, naming(plainly).migration(s))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, string(s.operation.Kind)+" of a partitioned table")
}
