package migrate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// byReleases is the plan of a migration of a table that the pipeline's releases make.
func byReleases(t *testing.T, giveUp bool, operations ...migrate.Operation) (migrate.Plan, migrate.Input) {
	t.Helper()
	m := migration(operations...)
	m.Consumers = []migrate.Consumer{{Name: "bi", Contact: "bi@example.com", MustAck: true}}
	m.Deprecate.Window = 48 * time.Hour
	in := input(m)
	made("shop")(&in)
	in.GiveUp, in.Table.Rows = giveUp, -1
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	return p, in
}

func TestATableOfReleasesIsMigratedByThem(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		giveUp     bool
		operations []migrate.Operation
		given      migrate.Given
	}{
		"given_rename":         {false, ops(rename("note", "remark")), migrate.Given{Old: []string{"note"}, New: []string{"remark"}}},
		"given_rename_give_up": {true, ops(rename("note", "remark")), migrate.Given{Old: []string{"note"}, New: []string{"remark"}, GiveUp: true}},
		"given_drop":           {false, ops(migrate.Operation{Kind: migrate.DropColumn, Column: "note"}), migrate.Given{Old: []string{"note"}}},
		"given_add_required_from_what_goes": {
			false, ops(migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "coalesce(note, 'web')"}, migrate.Operation{Kind: migrate.DropColumn, Column: "note"}),
			migrate.Given{Old: []string{"note"}, New: []string{"channel"}},
		},
		"given_add": {false, ops(migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text"}), migrate.Given{}},
		"given_add_required": {
			false, ops(migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "coalesce(note, 'web')"}),
			migrate.Given{New: []string{"channel"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, in := byReleases(t, c.giveUp, c.operations...)
			require.Equal(t, c.given, *p.Given)
			require.Nil(t, p.Filling, "nothing is written in place")
			golden(t, name+".golden", script(p))
			golden(t, name+".md", migrate.Markdown(p, migrate.Measure(p, in.Table)))
		})
	}
}

// A trial of contract refuses what goes, and that is a column of the table that readers see. Nobody fills in anything that could be left out.
func TestABrownoutOfATableOfReleasesRefusesWhatGoes(t *testing.T) {
	t.Parallel()
	in := input(migration(rename("note", "remark"), migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "coalesce(note, 'web')"}))
	in.Migration.Deprecate = migrate.Deprecate{Window: time.Hour, Brownout: 10 * time.Minute}
	made("shop")(&in)
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	require.Equal(t, &migrate.Brownout{For: 10 * time.Minute, Columns: []string{"note"}}, p.Brownout)
	require.Contains(t, p.Warnings, "Nor does it stop whoever has rights on the table of a single generation, and reads that by its name.")
}

// Releases write until a column goes, so what was verified is proved again where it does: once, and where both of what is compared are there.
func TestContractOfATableOfReleasesRestsOnWhatWasVerified(t *testing.T) {
	t.Parallel()
	const same, never, up = "remark is note", "channel is never null", "channel is what up says"
	required := migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "coalesce(note, 'web')"}
	for name, c := range map[string]struct {
		operations []migrate.Operation
		want       map[string][]string // by the column that goes
	}{
		"a rename":                          {ops(rename("note", "remark")), map[string][]string{"note": {same}}},
		"a drop":                            {ops(migrate.Operation{Kind: migrate.DropColumn, Column: "note"}), map[string][]string{"note": nil}},
		"a required column, and its source": {ops(required, migrate.Operation{Kind: migrate.DropColumn, Column: "note"}), map[string][]string{"note": {never, up}}},
		"a drop before a rename": {
			ops(required, migrate.Operation{Kind: migrate.DropColumn, Column: "qty"}, rename("note", "remark")), map[string][]string{"qty": {never, up}, "note": {same}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := byReleases(t, false, c.operations...)
			proved := map[string][]string{}
			for _, s := range p.Of(migrate.Contract) {
				proved[s.Column] = nil
				for _, proof := range s.Proofs {
					proved[s.Column] = append(proved[s.Column], proof.Name)
					require.NotEmpty(t, proof.Given, "a generation that does not give it proves nothing of it")
				}
			}
			require.Equal(t, c.want, proved)
		})
	}
}

// A release that gives the new column may have been deployed before: then there is nothing to add.
func TestAColumnThatAReleaseHasBroughtIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	m := migration(rename("note", "remark"))
	in := input(m)
	made("shop")(&in)
	in.Table.Columns = append(in.Table.Columns, migrate.Column{Name: "remark", Type: "text"})
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	require.Equal(t, []string{"remark"}, p.Given.New)
}

// What an output has of the registry is proved in the warehouse; whatever else there is is refused by name, with another way.
func TestATableOfReleasesHasNoOperationButThoseThatAreProved(t *testing.T) {
	t.Parallel()
	for name, m := range cases() {
		if slices.ContainsFunc(m.Operations, func(o migrate.Operation) bool {
			return slices.Contains([]migrate.Kind{migrate.AddColumn, migrate.RenameColumn, migrate.DropColumn, migrate.CreateTable}, o.Kind)
		}) { // what makes a table is about none that is there
			continue
		}
		in := input(m)
		made("shop")(&in)
		_, err := migrate.Compute(in)
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%s: %v", name, err)
		require.NotEmpty(t, fault.HintOf(err), name)
		require.ErrorContains(t, err, string(m.Operations[0].Kind), name)
	}
}

// What is said instead of a change of type is one file that can be planned, and the one after it.
func TestAnotherTypeOfAnOutputsColumnComesWithAnotherName(t *testing.T) {
	t.Parallel()
	in := input(migration(migrate.Operation{Kind: migrate.ChangeType, Column: "note", To: "bigint", Up: "1", Down: "''"}))
	made("shop")(&in)
	_, err := migrate.Compute(in)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	for _, part := range []string{"in one file", "add_column with the new type, required: true and up", "drop_column of the old one", "rename_column in the file after it"} {
		require.Contains(t, fault.HintOf(err), part)
	}
}

// Which phases there are follows from what releases have to give.
func TestPhasesOfATableOfReleases(t *testing.T) {
	t.Parallel()
	all := migrate.Phases()
	for name, c := range map[string]struct {
		operation migrate.Operation
		phases    []migrate.Phase
	}{
		"a rename":       {rename("note", "remark"), all},
		"a drop":         {migrate.Operation{Kind: migrate.DropColumn, Column: "note"}, []migrate.Phase{migrate.Deprecating, migrate.Contract}},
		"a column":       {migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: "text"}, []migrate.Phase{migrate.Expand}},
		"a required one": {migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text", Required: true, Up: "coalesce(note, 'web')"}, all[:5]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, in := byReleases(t, false, c.operation)
			s := migrate.Summarize(p, migrate.Measure(p, in.Table))
			var has []migrate.Phase
			for _, phase := range all {
				if s.Has(phase) {
					has = append(has, phase)
				}
			}
			require.Equal(t, c.phases, has)
		})
	}
}
