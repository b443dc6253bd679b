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

func proveRefusal(t *testing.T, s scenario) {
	t.Helper()
	b := setup(t)
	b.make(t, s, plainly)
	_, err := b.computed(t, naming(plainly).migration(s))
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, string(s.operation.Kind)+" of a partitioned table")
}
