package migrate_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// A step that locks another table says so, and how.
func TestAStepNamesTheOtherTablesThatItLocks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"add_foreign_key", "add_foreign_key_full", "drop_foreign_key"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := shop(t)
			p := plan(t, db, keyCases()[name])
			locked := func(statements []string) (mode string) {
				require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
					for _, sql := range statements {
						if _, err := tx.Exec(t.Context(), sql); err != nil {
							return err
						}
					}
					return tx.QueryRow(t.Context(), `SELECT coalesce(min(mode), '') FROM pg_locks WHERE pid = pg_backend_pid() AND relation = 'regions'::regclass
						AND mode NOT IN ('AccessShareLock', 'RowShareLock')`).Scan(&mode)
				}))
				return mode
			}
			for _, s := range p.Steps {
				require.Equal(t, []string{"regions"}, s.Also)
				mode := locked(s.Act)
				if s.Class == migrate.Scan {
					require.Empty(t, mode, "whoever writes there goes on")
				} else {
					require.Equal(t, lockNames[s.Lock], mode, s.ID)
				}
			}
			for _, s := range slices.Backward(beforeContract(p)) {
				require.Equal(t, "AccessExclusiveLock", locked(s.Undo), s.ID)
			}
		})
	}
}

// What is counted before is what the server would refuse.
func TestRowsThatAKeyWouldRefuseAreCounted(t *testing.T) {
	t.Parallel()
	const before = `INSERT INTO customers (id, web, code, qty) VALUES `
	for name, test := range map[string]struct {
		of     string
		insert string
		broken int
	}{
		"a key twice":                         {"add_unique", `(101, true, '1', 1), (102, true, 'x', 900), (103, true, 'x', 900)`, 4},
		"nulls are not the same":              {"add_unique", `(101, true, NULL, 1), (102, true, NULL, 1), (103, true, 'y', NULL), (104, true, 'y', NULL)`, 0},
		"nulls are the same":                  {"add_unique_nulls", `(101, true, NULL, 1), (102, true, NULL, 1)`, 2},
		"a row that leads nowhere":            {"add_foreign_key", `(101, true, 'a', 61), (102, true, 'b', NULL), (103, true, 'c', 60)`, 1},
		"a row that leads nowhere in full":    {"add_foreign_key_full", `(101, true, '9', 61), (102, true, '8', 9), (103, true, '9', 9)`, 2},
		"a row that leads in part":            {"add_foreign_key_full", `(101, true, '9', NULL), (102, true, NULL, 9), (103, true, NULL, NULL)`, 2},
		"a row that leads to none of its own": {"add_foreign_key_itself", `(101, true, 'a', 900), (102, true, 'b', 101)`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := shop(t)
			if newer(t, db, cases()[test.of]) {
				return
			}
			p := plan(t, db, cases()[test.of])
			require.Empty(t, broken(t, db, p))
			run(t, db, before+test.insert)
			require.Len(t, p.Proofs, 1)
			require.Equal(t, test.broken, one[int](t, db, "SELECT count(*) FROM ONLY "+db.Schema+".customers WHERE "+p.Proofs[0].Broken))
			var err error // of the server, once it is asked to
			for _, step := range p.Steps {
				for _, sql := range step.Act {
					if err == nil {
						_, err = db.Pool.Exec(t.Context(), sql)
					}
				}
			}
			require.Equal(t, test.broken > 0, err != nil, "%v", err)
		})
	}
}

func TestKeysAndValuesAreRefused(t *testing.T) {
	t.Parallel()
	lead := func(change func(*migrate.Operation)) []migrate.Operation {
		o := migrate.Operation{Kind: migrate.AddForeignKey, Name: "k", Columns: []string{"qty"}, References: "regions", Key: []string{"id"}}
		if change != nil {
			change(&o)
		}
		return ops(o)
	}
	to := func(change func(*migrate.Reference)) func(*migrate.Input) {
		return func(in *migrate.Input) {
			r := in.Table.References["k"]
			change(&r)
			in.Table.References["k"] = r
		}
	}
	enum := func(change func(*migrate.Enum)) func(*migrate.Input) {
		return func(in *migrate.Input) {
			e := in.Table.Enums["channel_kind"]
			change(&e)
			in.Table.Enums["channel_kind"] = e
		}
	}
	unique := func(columns ...string) []migrate.Operation {
		return ops(migrate.Operation{Kind: migrate.AddUnique, Name: "k", Columns: columns})
	}
	value := func(change func(*migrate.Operation)) []migrate.Operation {
		o := migrate.Operation{Kind: migrate.AddEnumValue, Type: "channel_kind", Value: "phone"}
		if change != nil {
			change(&o)
		}
		return ops(o)
	}
	rename := migrate.Operation{Kind: migrate.RenameColumn, Column: "qty", To: "n"}
	for name, test := range map[string]struct {
		operations []migrate.Operation
		world      func(*migrate.Input)
		class      fault.Class
		want       string
	}{
		"a key that leads to nothing":               {lead(nil), to(func(r *migrate.Reference) { r.Table.Kind = "" }), fault.Refused, "k leads to regions, and there is no such table in shop"},
		"a key that leads to a view":                {lead(nil), to(func(r *migrate.Reference) { r.Table.Kind = "view" }), fault.Refused, "which is a view"},
		"a key that leads to a pipeline's table":    {lead(nil), to(func(r *migrate.Reference) { r.Table.Managed, r.Table.Pipeline = true, "sales" }), fault.Refused, "regions, which the pipeline sales makes"},
		"a key that leads to an output":             {lead(nil), func(in *migrate.Input) { in.Outputs = []string{"regions"} }, fault.Refused, "regions, an output of this pipeline"},
		"a key that leads to somebody else's table": {lead(nil), to(func(r *migrate.Reference) { r.Table.Owned = false }), fault.Refused, "our login may not alter regions"},
		"a key that leads to what is migrated":      {lead(nil), to(func(r *migrate.Reference) { r.Table.Open = "migrate/shop/prod/0003_x" }), fault.Refused, "which is being migrated by migrate/shop/prod/0003_x"},
		"a key that nobody asked about":             {lead(nil), func(in *migrate.Input) { in.Table.References = nil }, fault.Refused, "the server was not asked where k leads"},
		"a key that leads to a column of no table":  {lead(func(o *migrate.Operation) { o.Key = []string{"nr"} }), nil, fault.Invalid, "leads to a column nr, and regions has none"},
		"a key that leads to what is not unique":    {lead(nil), to(func(r *migrate.Reference) { r.Table.Indexes = r.Table.Indexes[1:] }), fault.Refused, "nothing keeps its rows apart by just these"},
		"a key that leads to half of a key":         {lead(func(o *migrate.Operation) { o.Columns, o.Key = []string{"code"}, []string{"code"} }), nil, fault.Refused, "nothing keeps its rows apart by just these"},
		"a key that leads to what waits": {lead(nil), to(func(r *migrate.Reference) {
			r.Table.Indexes = slices.Clone(r.Table.Indexes)
			r.Table.Indexes[0].Distinct = false
		}), fault.Refused, "nothing keeps its rows apart"},
		"a key of another type":                      {lead(nil), to(func(r *migrate.Reference) { r.Refused = "text and bigint" }), fault.Refused, "k cannot lead from qty to id of regions: text and bigint"},
		"a key over what is not there":               {lead(func(o *migrate.Operation) { o.Columns = []string{"nr"} }), nil, fault.Invalid, "is over a column nr, and customers has none"},
		"a key over what is replaced":                {append(lead(nil), rename), nil, fault.Invalid, "add_foreign_key k rests on qty"},
		"a key of a name that is taken":              {lead(func(o *migrate.Operation) { o.Name = "created_late" }), nil, fault.Invalid, "has a constraint or an index created_late already"},
		"a key of more columns than it leads to":     {lead(func(o *migrate.Operation) { o.Columns = []string{"qty", "code"} }), nil, fault.Invalid, "has 2 columns, and leads to 1"},
		"a key over a column twice":                  {lead(func(o *migrate.Operation) { o.Columns, o.Key = []string{"qty", "qty"}, []string{"id", "code"} }), nil, fault.Invalid, "names qty twice"},
		"a key that does what nobody knows":          {lead(func(o *migrate.Operation) { o.OnDelete = "CASCADE; DROP TABLE x" }), nil, fault.Invalid, "is no on_delete"},
		"a key that matches in part":                 {lead(func(o *migrate.Operation) { o.Match = "partial" }), nil, fault.Invalid, "partial is no match"},
		"a key that waits for ever":                  {lead(func(o *migrate.Operation) { o.Deferrable = "always" }), nil, fault.Invalid, "always is no deferrable"},
		"a key to drop that is not there":            {ops(migrate.Operation{Kind: migrate.DropForeignKey, Name: "k"}), nil, fault.Invalid, "has no foreign key k"},
		"a key to drop that leads elsewhere":         {ops(migrate.Operation{Kind: migrate.DropForeignKey, Name: "customers_led"}), func(in *migrate.Input) { in.Table.ForeignKeys[0].Schema = "other" }, fault.Refused, `leads to "other.regions" in another schema`},
		"a key to drop from somebody's table":        {ops(migrate.Operation{Kind: migrate.DropForeignKey, Name: "customers_led"}), func(in *migrate.Input) { in.Table.ForeignKeys[0].Owned = false }, fault.Refused, "our login may not alter regions"},
		"a unique constraint over nothing":           {unique(), nil, fault.Invalid, "has no columns"},
		"a unique constraint over what is not there": {unique("nr"), nil, fault.Invalid, "is over a column nr"},
		"a unique constraint over what is replaced":  {append(unique("qty"), rename), nil, fault.Invalid, "add_unique k rests on qty"},
		"a unique constraint of a name that is taken": {
			ops(migrate.Operation{Kind: migrate.AddUnique, Name: "customers_created", Columns: []string{"qty"}}), nil, fault.Invalid,
			"has a constraint or an index customers_created already",
		},
		"equal nulls on an old server": {
			ops(migrate.Operation{Kind: migrate.AddUnique, Name: "k", Columns: []string{"qty"}, NullsEqual: true}), func(in *migrate.Input) { in.Table.Version = 140010 }, fault.Refused,
			"from version 15.0 on, and the server has 14.10",
		},
		"a unique constraint that is led to": {
			ops(migrate.Operation{Kind: migrate.DropUnique, Name: "customers_apart"}), func(in *migrate.Input) { in.Table.Uniques[1].Led = []string{"orders_note of orders"} }, fault.Refused,
			"foreign keys lead to customers_apart: orders_note of orders",
		},
		"a unique constraint that subscribers need": {ops(migrate.Operation{Kind: migrate.DropUnique, Name: "customers_apart"}), func(in *migrate.Input) {
			in.Table.Indexes = append(in.Table.Indexes, migrate.Index{Name: "customers_apart", Replica: true})
		}, fault.Refused, "it is its replica identity"},
		"an index that subscribers need": {ops(migrate.Operation{Kind: migrate.DropIndex, Name: "customers_created"}), func(in *migrate.Input) { in.Table.Indexes[1].Replica = true }, fault.Refused, "it is its replica identity"},
		"a column that leads to somebody's table": {ops(migrate.Operation{Kind: migrate.DropColumn, Column: "note"}), func(in *migrate.Input) {
			in.Table.ForeignKeys = []migrate.ForeignKey{{Name: "k", Columns: []string{"note"}, Schema: "shop", Table: "notes"}}
		}, fault.Refused, "our login may not alter notes, which k leads to"},
		"a primary key that is to be null":   {ops(migrate.Operation{Kind: migrate.AddPrimaryKey, Name: "k", Columns: []string{"web"}}, migrate.Operation{Kind: migrate.DropNotNull, Column: "web"}), nil, fault.Invalid, "k is over web, which drop_not_null lets be null"},
		"a primary key to drop":              {ops(migrate.Operation{Kind: migrate.DropUnique, Name: "customers_pkey"}), nil, fault.Refused, "customers_pkey is the primary key"},
		"a unique constraint that is none":   {ops(migrate.Operation{Kind: migrate.DropUnique, Name: "customers_created"}), nil, fault.Invalid, "has no unique constraint customers_created"},
		"a second primary key":               {ops(migrate.Operation{Kind: migrate.AddPrimaryKey, Name: "k", Columns: []string{"qty"}}), func(in *migrate.Input) { in.Table.Uniques = []migrate.Unique{{Name: "p", Primary: true}} }, fault.Invalid, "has the primary key p already"},
		"two primary keys":                   {ops(migrate.Operation{Kind: migrate.AddPrimaryKey, Name: "k", Columns: []string{"qty"}}, migrate.Operation{Kind: migrate.AddPrimaryKey, Name: "l", Columns: []string{"code"}}), nil, fault.Invalid, "a table has one primary key"},
		"a primary key that may be null":     {ops(migrate.Operation{Kind: migrate.AddPrimaryKey, Name: "k", Columns: []string{"c"}}, migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: "int"}), nil, fault.Invalid, "is over c, which may be null"},
		"a primary key that was null":        {ops(migrate.Operation{Kind: migrate.AddPrimaryKey, Name: "k", Columns: []string{"n"}}, rename), nil, fault.Invalid, "is over n, which may be null"},
		"a type that is none":                {value(nil), enum(func(e *migrate.Enum) { e.Found = false }), fault.Refused, "there is no enum channel_kind in shop"},
		"a type of somebody else":            {value(nil), enum(func(e *migrate.Enum) { e.Owned = false }), fault.Refused, "our login may not alter the type channel_kind"},
		"a type that the table has not":      {value(nil), enum(func(e *migrate.Enum) { e.Columns = nil }), fault.Invalid, "no column of customers is of the type channel_kind"},
		"a type that nobody asked about":     {value(nil), func(in *migrate.Input) { in.Table.Enums = nil }, fault.Refused, "the server was not asked about the type channel_kind"},
		"a value that is there":              {value(func(o *migrate.Operation) { o.Value = "web" }), nil, fault.Invalid, "channel_kind has the value web already"},
		"a value before one that is not":     {value(func(o *migrate.Operation) { o.Before = "mail" }), nil, fault.Invalid, "channel_kind has no value mail"},
		"a value before and after":           {value(func(o *migrate.Operation) { o.Before, o.After = "web", "store" }), nil, fault.Invalid, "says before and after"},
		"a value beside itself":              {value(func(o *migrate.Operation) { o.After = "phone" }), nil, fault.Invalid, "beside itself"},
		"a value that is cut":                {value(func(o *migrate.Operation) { o.Value = hostile + hostile }), nil, fault.Invalid, "and Postgres keeps 63"},
		"a value twice":                      {append(value(nil), value(nil)...), nil, fault.Invalid, "two operations give channel_kind the value phone"},
		"a value before one that comes next": {append(value(func(o *migrate.Operation) { o.Before = "mail" }), value(func(o *migrate.Operation) { o.Value = "mail" })...), nil, fault.Invalid, "channel_kind has no value mail"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(migration(test.operations...))
			if test.world != nil {
				test.world(&in)
			}
			_, err := migrate.Compute(in)
			require.ErrorContains(t, err, test.want)
			require.Equal(t, test.class, fault.ClassOf(err))
			require.NotEmpty(t, fault.HintOf(err))
		})
	}
}

func TestANewValueMayStandBesideAnotherNewOne(t *testing.T) {
	t.Parallel()
	db := shop(t)
	p := plan(t, db, migration(
		migrate.Operation{Kind: migrate.AddEnumValue, Type: "channel_kind", Value: "phone", After: "web"},
		migrate.Operation{Kind: migrate.AddEnumValue, Type: "channel_kind", Value: "fax", After: "phone"},
	))
	advance(t, db, p, p.Steps)
	require.Equal(t, "{web,phone,fax,store}", one[string](t, db, `SELECT enum_range(NULL::channel_kind)::text`))
	require.NotEmpty(t, p.Warnings, "others have the type too")
}

// A foreign key that no index helps makes its other table slow: the plan says so.
func TestAPlanWarnsOfAForeignKeyWithoutAnIndex(t *testing.T) {
	t.Parallel()
	const warning = "No index of customers begins with"
	lead := migrate.Operation{Kind: migrate.AddForeignKey, Name: "k", Columns: []string{"qty", "code"}, References: "regions", Key: []string{"id", "code"}}
	index := migrate.Operation{Kind: migrate.CreateIndex, Name: "i", Columns: []string{"code DESC", "qty", "note"}}
	part := index
	part.Where = "note <> ''"
	warnings := func(operations ...migrate.Operation) string {
		return fmt.Sprint(computed(t, migration(operations...)).Warnings)
	}
	require.Contains(t, warnings(lead), warning)
	require.Contains(t, warnings(lead, part), warning)
	require.NotContains(t, warnings(lead, index), warning)
	in := input(migration(lead))
	in.Table.Indexes = append(in.Table.Indexes, migrate.Index{Name: "there", Keys: []string{"qty", "code"}, Valid: true})
	p, err := migrate.Compute(in)
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(p.Warnings), warning)
}

// Where the other table has gone meanwhile, nothing of a key is left, and the rest of the way back goes on.
func TestAForeignKeyGoesWithItsOtherTable(t *testing.T) {
	t.Parallel()
	db := shop(t)
	p := plan(t, db, keyCases()["add_foreign_key"])
	advance(t, db, p, p.Steps)
	_, err := db.Pool.Exec(context.WithoutCancel(t.Context()), "DROP TABLE regions CASCADE")
	require.NoError(t, err)
	for _, s := range p.Steps {
		require.True(t, one[bool](t, db, s.Gone), s.ID)
		require.False(t, one[bool](t, db, s.Probe), s.ID)
	}
}

func TestAnIndexOfEqualNullsIsNoneOfOthers(t *testing.T) {
	t.Parallel()
	for of, instead := range map[string]string{"add_unique": "(code, qty) NULLS NOT DISTINCT", "add_unique_nulls": "(code)"} {
		db := shop(t)
		if newer(t, db, cases()["add_unique_nulls"]) {
			return
		}
		p := plan(t, db, cases()[of])
		run(t, db, "CREATE UNIQUE INDEX customers_code ON customers "+instead)
		require.False(t, one[bool](t, db, p.Steps[0].Probe), p.Steps[0].Probe)
	}
}
