package migrate_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// parted is the fixture as a table that is partitioned by created, with leaves at two levels.
func parted(m migrate.Migration) migrate.Input { return divided(input(m)) }

func divided(in migrate.Input) migrate.Input {
	t := &in.Table
	t.Kind, t.PartitionKey, t.Key, t.LockSlots = migrate.Partitioned, []string{"created"}, []string{"id", "created"}, 10_000
	t.Partitions = []migrate.Partition{
		{Schema: "shop", Name: "customers_2025", Of: "customers", Kind: migrate.Plain, Owned: true, Bytes: 60_000_000},
		{Schema: "shop", Name: "customers_2026", Of: "customers", Kind: migrate.Partitioned, Owned: true},
		{Schema: "shop", Name: "customers_2026_1", Of: "customers_2026", Kind: migrate.Plain, Owned: true, Bytes: 20_000_000},
	}
	return in
}

func TestOperationsOnAPartitionedTableHaveTheirRecipes(t *testing.T) {
	t.Parallel()
	all := cases()
	all["create_index_unique"] = migration(migrate.Operation{Kind: migrate.CreateIndex, Name: "customers_once", Columns: []string{"id", "created"}, Unique: true})
	for _, name := range []string{
		"add_column", "add_column_required", "rename_column", "change_type", "change_type_lossy", "change_type_wider", "drop_column", "set_not_null", "set_not_null_up", "drop_not_null",
		"set_default", "drop_default", "add_check", "drop_check", "create_index", "create_index_unique", "drop_index", "set_comment",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := migrate.Compute(parted(all[name]))
			require.NoError(t, err)
			golden(t, "partitioned_"+name+".golden", script(p))
			for _, s := range p.Steps {
				require.Equal(t, s.Phase != migrate.Contract, len(s.Undo) > 0, "%s has a way back until contract", s.ID)
			}
		})
	}
}

func TestWhatIsOverAReplacedColumnIsMadeInEachPartition(t *testing.T) {
	t.Parallel()
	in := divided(laden())
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	golden(t, "partitioned_laden.golden", script(p))
}

// Postgres makes the indexes above valid with the last one, and locks the tables above those: who reads from the top down waits for nobody then.
func TestTheIndexOfANestedPartitionIsHungInFromTheTop(t *testing.T) {
	t.Parallel()
	in := parted(cases()["create_index"])
	in.Table.Partitions = append(in.Table.Partitions,
		migrate.Partition{Schema: "shop", Name: "customers_2026_2", Of: "customers_2026", Kind: migrate.Partitioned, Owned: true},
		migrate.Partition{Schema: "shop", Name: "customers_2026_2_1", Of: "customers_2026_2", Kind: migrate.Plain, Owned: true})
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	locked := map[string]string{}
	for _, s := range p.Steps {
		locked[s.ID] = strings.Join(append([]string{string(s.Lock), s.Only}, s.Also...), " ")
	}
	require.Equal(t, "SHARE UPDATE EXCLUSIVE customers_2025", locked["expand-hang-customers_code_customers_2025"])
	require.Equal(t, "SHARE ROW EXCLUSIVE customers_2026", locked["expand-index-customers_code_customers_2026"])
	require.Equal(t, "ACCESS EXCLUSIVE customers customers_2026_1", locked["expand-hang-customers_code_customers_2026_1"])
	require.Equal(t, "ACCESS EXCLUSIVE customers customers_2026_2", locked["expand-index-customers_code_customers_2026_2"])
	require.Equal(t, "ACCESS EXCLUSIVE customers customers_2026 customers_2026_2_1", locked["expand-hang-customers_code_customers_2026_2_1"])
}

// What is done to one partition after the other is one line of the text, however many there are; the steps are all in the plan.
func TestTheTextOfAPlanIsAsLongForManyPartitionsAsForFew(t *testing.T) {
	t.Parallel()
	lines := func(name string, partitions int) (string, int) {
		in := parted(cases()[name])
		for i := range partitions {
			in.Table.Partitions = append(in.Table.Partitions, migrate.Partition{
				Schema: "shop", Name: fmt.Sprintf("customers_2027_%d", i), Of: "customers", Kind: migrate.Plain, Owned: true,
			})
		}
		p, err := migrate.Compute(in)
		require.NoError(t, err)
		text := migrate.Text(p, migrate.Measure(p, in.Table))
		return text, len(p.Steps)
	}
	for _, name := range []string{"create_index", "add_check"} {
		few, steps := lines(name, 1)
		many, all := lines(name, 400)
		require.Equal(t, strings.Count(few, "\n"), strings.Count(many, "\n"), name)
		require.Greater(t, all, steps+300)
		require.Contains(t, many, "; and so for 401 more partitions", many)
	}
}

// A day's partition comes every day: that alone makes no other plan, and asks for no other approval, where nothing is made in each partition.
func TestAPartitionMoreIsNoOtherPlanWhereNothingIsMadeInEach(t *testing.T) {
	t.Parallel()
	for name, same := range map[string]bool{"add_column": true, "rename_column_null": true, "drop_default": true, "create_index": false} {
		in := parted(cases()[name])
		first, err := migrate.Compute(in)
		require.NoError(t, err)
		in.Table.Partitions = append(in.Table.Partitions, migrate.Partition{Schema: "shop", Name: "customers_2027", Of: "customers", Kind: migrate.Plain, Owned: true})
		second, err := migrate.Compute(in)
		require.NoError(t, err)
		require.Equal(t, same, migrate.Digest(first) == migrate.Digest(second), name)
	}
}

func TestWhatAPartitionedTableDoesNotAllowIsRefusedByName(t *testing.T) {
	t.Parallel()
	part := func(change func(*migrate.Partition)) func(*migrate.Input) {
		return func(in *migrate.Input) { change(&in.Table.Partitions[2]) }
	}
	column := func(name string, change func(*migrate.Column)) func(*migrate.Input) {
		return func(in *migrate.Input) {
			for i := range in.Table.Columns {
				if in.Table.Columns[i].Name == name {
					change(&in.Table.Columns[i])
				}
			}
		}
	}
	unlike := func(c *migrate.Column) { c.Unlike = []string{"the partition customers_2026_1 has another default"} }
	nothing := func(*migrate.Input) {}
	unique := func(columns ...string) migrate.Operation {
		return migrate.Operation{Kind: migrate.CreateIndex, Name: "once", Columns: columns, Unique: true}
	}
	add := migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text"}
	for name, test := range map[string]struct {
		operation migrate.Operation
		change    func(*migrate.Input)
		class     fault.Class
		reason    string
	}{
		"a foreign partition":               {add, part(func(p *migrate.Partition) { p.Kind = "foreign table" }), fault.Refused, "the partition customers_2026_1 is a foreign table"},
		"a partition of another schema":     {add, part(func(p *migrate.Partition) { p.Schema = "cold" }), fault.Refused, "the partition customers_2026_1 is in the schema cold"},
		"a partition of another owner":      {add, part(func(p *migrate.Partition) { p.Owned = false }), fault.Refused, "our login may not alter the partition customers_2026_1"},
		"more locks than the server has":    {add, func(in *migrate.Input) { in.Table.LockSlots = 60 }, fault.Refused, "a step takes about 16 locks, on 3 partitions with their indexes, and a quarter of the server's lock table is 15"},
		"the partition key gets a name":     {migrate.Operation{Kind: migrate.RenameColumn, Column: "created", To: "made"}, nothing, fault.Refused, "rename_column of created: customers is partitioned by it"},
		"the partition key gets a type":     {migrate.Operation{Kind: migrate.ChangeType, Column: "created", To: "date", Up: "created", Down: "created"}, nothing, fault.Refused, "change_type of created: customers is partitioned by it"},
		"the partition key goes":            {migrate.Operation{Kind: migrate.DropColumn, Column: "created"}, nothing, fault.Refused, "drop_column of created: customers is partitioned by it"},
		"a default that one has otherwise":  {migrate.Operation{Kind: migrate.SetDefault, Column: "qty", Default: "1"}, column("qty", unlike), fault.Refused, "set_default of qty: the partition customers_2026_1 has another default"},
		"NOT NULL where one has a default":  {migrate.Operation{Kind: migrate.SetNotNull, Column: "qty"}, column("qty", unlike), fault.Refused, "set_not_null of qty: the partition"},
		"a name where one has a default":    {migrate.Operation{Kind: migrate.RenameColumn, Column: "qty", To: "pieces"}, column("qty", unlike), fault.Refused, "rename_column of qty: the partition"},
		"a name where one has an index":     {migrate.Operation{Kind: migrate.RenameColumn, Column: "qty", To: "pieces"}, column("qty", func(c *migrate.Column) { c.Holds = []string{"the index x of the partition y"} }), fault.Refused, "the index x of the partition y cannot be carried over"},
		"a check that one has by itself":    {migrate.Operation{Kind: migrate.AddCheck, Name: "late", Check: "qty > 0"}, part(func(p *migrate.Partition) { p.Checks = []string{"late"} }), fault.Invalid, "the partition customers_2026_1 has a check late of its own"},
		"a check for NOT NULL that one has": {migrate.Operation{Kind: migrate.SetNotNull, Column: "qty"}, part(func(p *migrate.Partition) { p.Checks = []string{"drawbridge_qty_not_null"} }), fault.Invalid, "has a check drawbridge_qty_not_null of its own"},
		"a unique index without the key":    {unique("id"), nothing, fault.Invalid, "the unique index once lacks created, by which customers is partitioned"},
		"a unique index over an expression": {unique("id", "created"), func(in *migrate.Input) { in.Table.PlacedBy = true }, fault.Refused, "customers is partitioned by an expression"},
		"a name where an index is to follow": {migrate.Operation{Kind: migrate.RenameColumn, Column: "note", To: "remark"}, func(in *migrate.Input) {
			in.Table.Indexes = append(in.Table.Indexes, migrate.Index{Name: "noted", Columns: []string{"note"}, Valid: true, Carried: &migrate.Carried{Refused: "it lies in partitions"}})
		}, fault.Refused, "the index noted cannot be carried over to another column: it lies in partitions"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := parted(migration(test.operation))
			test.change(&in)
			_, err := migrate.Compute(in)
			require.Equal(t, test.class, fault.ClassOf(err), "%v", err)
			require.ErrorContains(t, err, test.reason)
			require.NotEmpty(t, fault.HintOf(err))
		})
	}
}

// Names of partitions are as long as Postgres lets them be, and nobody's to trust.
func TestIndexesOfPartitionsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	in := parted(migration(migrate.Operation{Kind: migrate.CreateIndex, Name: strings.Repeat("i", 63), Columns: []string{"qty"}}))
	for i, suffix := range []string{"a", "b", "c"} {
		in.Table.Partitions[i].Name = strings.Repeat("p", 62) + suffix
	}
	in.Table.Partitions[1].Of, in.Table.Partitions[1].Kind = "customers", migrate.Plain
	in.Table.Partitions[2].Of, in.Table.Partitions[2].Name = "customers", hostile
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	made := map[string]bool{}
	for _, s := range p.Steps {
		for _, sql := range s.Act {
			name, _, is := strings.Cut(strings.TrimPrefix(sql, "CREATE INDEX CONCURRENTLY "), " ON ")
			if is && s.Class == migrate.Concurrent {
				require.LessOrEqual(t, len(strings.ReplaceAll(name, `""`, `"`)), 65, name)
				require.False(t, made[name], name)
				made[name] = true
			}
		}
	}
	require.Len(t, made, 3)
}

// What is read in each partition is as much as is read in the table, and not that for each of them.
func TestAPartitionedTableTakesAsLongAsAPlainOneOfItsSize(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"add_column", "add_check", "set_not_null_up", "create_index"} {
		plain, whole := input(cases()[name]), parted(cases()[name])
		a, err := migrate.Compute(plain)
		require.NoError(t, err)
		b, err := migrate.Compute(whole)
		require.NoError(t, err)
		require.Equal(t, migrate.Measure(a, plain.Table), migrate.Measure(b, whole.Table), name)
	}
}
