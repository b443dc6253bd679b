package migrate_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
)

// made makes the table one that the releases of a pipeline make.
func made(pipeline string) func(*migrate.Input) {
	return func(in *migrate.Input) {
		in.Table.Managed, in.Table.Pipeline, in.Table.Kind = true, pipeline, "partitioned table"
	}
}

func TestComputeRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 32) // 64 bytes
	add := migrate.Operation{Kind: migrate.AddColumn, Column: "channel", Type: "text"}
	type world func(*migrate.Input)
	for name, test := range map[string]struct {
		operations []migrate.Operation
		world      world
		class      fault.Class
		want       string
	}{
		"no operation":                         {nil, nil, fault.Invalid, "it has no operation"},
		"an unknown operation":                 {ops(migrate.Operation{Kind: "add_colum"}), nil, fault.Invalid, "there is no operation add_colum"},
		"a table that goes with its column":    {ops(migrate.Operation{Kind: migrate.DropTable}, migrate.Operation{Kind: migrate.DropColumn, Column: "note"}), nil, fault.Invalid, "drop_table is about all of customers"},
		"the name of an output":                {ops(migrate.Operation{Kind: migrate.RenameTable, To: "daily"}), func(in *migrate.Input) { in.Outputs = []string{"daily"} }, fault.Refused, "which is an output of this pipeline"},
		"a view called as an output":           {ops(migrate.Operation{Kind: migrate.CreateView, Name: "daily", Columns: []string{"id"}}), func(in *migrate.Input) { in.Outputs = []string{"daily"} }, fault.Refused, "which is an output of this pipeline"},
		"a new table that is there":            {ops(migrate.Operation{Kind: migrate.CreateTable, Made: []migrate.MadeColumn{{Name: "id", Type: "int"}}}), nil, fault.Invalid, "there is a table customers in shop already"},
		"a new table without a column":         {ops(migrate.Operation{Kind: migrate.CreateTable}), nil, fault.Invalid, "create_table has no column"},
		"a new table of two columns of a name": {ops(migrate.Operation{Kind: migrate.CreateTable, Made: []migrate.MadeColumn{{Name: "a", Type: "int"}, {Name: "a", Type: "int"}}}), nil, fault.Invalid, "has two columns a"},
		"a new table of a type that is SQL":    {ops(migrate.Operation{Kind: migrate.CreateTable, Made: []migrate.MadeColumn{{Name: "a", Type: "int); DROP TABLE x"}}}), nil, fault.Invalid, "is no type that columns are made with"},
		"a new table with a key of nothing":    {ops(migrate.Operation{Kind: migrate.CreateTable, Made: []migrate.MadeColumn{{Name: "a", Type: "int"}}, Key: []string{"b"}}), nil, fault.Invalid, "the key of create_table names b"},
		"a brownout of a hidden table": {ops(migrate.Operation{Kind: migrate.DropTable}), func(in *migrate.Input) {
			in.Migration.Deprecate = migrate.Deprecate{Window: time.Hour, Brownout: time.Minute}
		}, fault.Invalid, "drop_table has no brownout"},
		"a table's own name":                  {ops(migrate.Operation{Kind: migrate.RenameTable, To: "customers"}), nil, fault.Invalid, "the table is called customers already"},
		"a view of what is not there":         {ops(migrate.Operation{Kind: migrate.CreateView, Name: "v", Columns: []string{"nota"}}), nil, fault.Invalid, "create_view names a column nota"},
		"a view of what goes":                 {ops(migrate.Operation{Kind: migrate.CreateView, Name: "v", Columns: []string{"note AS n"}}, migrate.Operation{Kind: migrate.DropColumn, Column: "note"}), nil, fault.Invalid, "create_view v rests on note"},
		"a view of an expression":             {ops(migrate.Operation{Kind: migrate.CreateView, Name: "v", Columns: []string{"lower(note) AS n"}}), nil, fault.Invalid, "must be a column, and after it AS"},
		"a view of two columns of a name":     {ops(migrate.Operation{Kind: migrate.CreateView, Name: "v", Columns: []string{"id", "qty AS id"}}), nil, fault.Invalid, "has two columns id"},
		"a view past policies":                {ops(migrate.Operation{Kind: migrate.CreateView, Name: "v", Columns: []string{"id"}}), func(in *migrate.Input) { in.Table.RowSecurity, in.Table.Version = true, 140012 }, fault.Refused, "before version 15 a view would show them all"},
		"an old name past policies":           {ops(migrate.Operation{Kind: migrate.RenameTable, To: "clients"}), func(in *migrate.Input) { in.Table.RowSecurity, in.Table.Version = true, 140012 }, fault.Refused, "before version 15 a view would show them all"},
		"SQL about nobody knows what":         {ops(own("ANALYZE @tabel", "ANALYZE @table", "")), nil, fault.Invalid, "nothing stands for @tabel"},
		"SQL that is cut off":                 {ops(own("COMMENT ON TABLE @table IS 'x", "ANALYZE @table", "")), nil, fault.Invalid, "it is cut off"},
		"SQL with a lock of nobody":           {ops(own("ANALYZE @table", "ANALYZE @table", "NONE")), nil, fault.Invalid, `says that it locks "NONE"`},
		"SQL that reads all under a lock":     {ops(own("ANALYZE @table", "ANALYZE @table", "ACCESS EXCLUSIVE")), nil, fault.Invalid, "nobody may wait for that"},
		"SQL of an index that is there":       {ops(own("CREATE INDEX CONCURRENTLY customers_created ON @table (id)", "DROP INDEX CONCURRENTLY @schema.customers_created", "")), nil, fault.Invalid, "has an index customers_created already"},
		"SQL that is undone in a transaction": {ops(own("CREATE INDEX CONCURRENTLY i ON @table (id)", "DROP INDEX @schema.i", "")), nil, fault.Invalid, "one of act and undo in a transaction"},
		"SQL that says nothing":               {ops(migrate.Operation{Kind: migrate.SQL, Name: "x"}), nil, fault.Invalid, "sql x has to say what it does, how that is undone, and how it is seen"},
		"no reason":                           {ops(add), func(in *migrate.Input) { in.Migration.Why = " " }, fault.Invalid, "does not say why"},
		"a name that is none":                 {ops(add), func(in *migrate.Input) { in.Migration.Name = "7_channel" }, fault.Invalid, "is no name of a migration"},
		"a brownout that is the window": {ops(add), func(in *migrate.Input) {
			in.Migration.Deprecate = migrate.Deprecate{Window: time.Hour, Brownout: time.Hour}
		}, fault.Invalid, "not shorter than the window"},
		"two consumers of one name":          {ops(add), func(in *migrate.Input) { in.Migration.Consumers = []migrate.Consumer{{Name: "bi"}, {Name: "bi"}} }, fault.Invalid, "two consumers are called bi"},
		"an old server":                      {ops(add), func(in *migrate.Input) { in.Table.Version = 130022 }, fault.Refused, "the server has version 13.22"},
		"a server that makes broken indexes": {ops(migrate.Operation{Kind: migrate.CreateIndex, Name: "i", Columns: []string{"id"}}), func(in *migrate.Input) { in.Table.Version = 140003 }, fault.Refused, "create_index needs version 14.4"},
		"no table":                           {ops(add), func(in *migrate.Input) { in.Table.Kind = "" }, fault.Refused, "there is no table customers"},
		"a table that was not read":          {ops(add), func(in *migrate.Input) { in.Table = migrate.Table{Schema: "shop"} }, fault.Refused, "there is no table customers in shop"},
		"an output that is not there yet": {ops(add), func(in *migrate.Input) {
			in.Table, in.Outputs = migrate.Table{Schema: "shop"}, []string{"customers"}
		}, fault.Refused, "is an output of this pipeline"},
		"a table with its schema": {ops(add), func(in *migrate.Input) {
			in.Migration.Table, in.Table = "shop.customers", migrate.Table{Schema: "shop"}
		}, fault.Refused, "the schema of a table is always its environment's"},
		"a partition":              {ops(add), func(in *migrate.Input) { in.Table.Kind = "partition" }, fault.Refused, "customers is a partition, and its columns are those of its table"},
		"another pipeline's table": {ops(add), made("till"), fault.Refused, "made by pipeline till"},
		"a part of an output": {ops(add), func(in *migrate.Input) {
			in.Table.Managed, in.Table.Pipeline, in.Table.Kind = true, "shop", "partition"
		}, fault.Refused, "a part of an output"},
		"a type of an output":                 {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint"}), made("shop"), fault.Refused, "change_type would give qty, of every generation that is kept, another type under the same name"},
		"a check of an output":                {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: "id > 0"}), made("shop"), fault.Refused, "add_check is about one that is written in place"},
		"an index of an output":               {ops(migrate.Operation{Kind: migrate.CreateIndex, Name: "i", Columns: []string{"id"}}), made("shop"), fault.Refused, "create_index is about one that is written in place"},
		"a default of an output's new column": {ops(migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: "text", Default: "'x'"}), made("shop"), fault.Refused, "releases give every value"},
		"a rename of what an output is cut by": {ops(rename("note", "remark")), func(in *migrate.Input) {
			made("shop")(in)
			column("note", func(c *migrate.Column) { c.Holds = []string{"the partition key"} })(in)
		}, fault.Refused, "with it would go the partition key"},
		"a rename to a column of another type":   {ops(rename("note", "qty")), made("shop"), fault.Invalid, "would make a column qty of type text, and customers has one of type integer"},
		"nothing to give up":                     {ops(add), func(in *migrate.Input) { made("shop")(in); in.GiveUp = true }, fault.Invalid, "no way back to give up"},
		"nothing to give up of a plain table":    {ops(rename("note", "remark")), func(in *migrate.Input) { in.GiveUp = true }, fault.Invalid, "no way back to give up"},
		"a view":                                 {ops(add), func(in *migrate.Input) { in.Table.Kind = "view" }, fault.Refused, "customers is a view"},
		"a table of somebody else":               {ops(add), func(in *migrate.Input) { in.Table.Owned = false }, fault.Refused, "our login may not alter customers"},
		"a table that is being migrated":         {ops(add), func(in *migrate.Input) { in.Table.Open = "migrate/shop/prod/0006_x" }, fault.Refused, "being migrated by migrate/shop/prod/0006_x"},
		"a type of somebody's own":               {ops(migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: "shop.color"}), nil, fault.Invalid, "no type that columns are added with"},
		"a type that is a sequence too":          {ops(migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: "bigserial"}), nil, fault.Invalid, "no type"},
		"a type that is SQL":                     {ops(migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: "text; DROP TABLE x"}), nil, fault.Invalid, "no type"},
		"a column that is there":                 {ops(migrate.Operation{Kind: migrate.AddColumn, Column: "note", Type: "text"}), nil, fault.Invalid, "would make a column note, and customers has one of that name already"},
		"a column of the server":                 {ops(migrate.Operation{Kind: migrate.AddColumn, Column: "ctid", Type: "text"}), nil, fault.Invalid, "ctid is a name of the server's own"},
		"a long name":                            {ops(migrate.Operation{Kind: migrate.AddColumn, Column: long, Type: "text"}), nil, fault.Invalid, "column of add_column has 64 bytes, and Postgres keeps 63"},
		"required without a value":               {ops(migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: "text", Required: true}), nil, fault.Invalid, "nothing gives rows that are there a value"},
		"up of what may be null":                 {ops(migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: "text", Up: "note"}), nil, fault.Invalid, "which is for a required column"},
		"up and a default":                       {ops(migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: "text", Required: true, Up: "note", Default: "'x'"}), nil, fault.Invalid, "has up and a default"},
		"an expression of two":                   {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: "true; DROP TABLE x"}), nil, fault.Invalid, "holds a semicolon"},
		"an expression that closes too much":     {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: "true) NOT VALID, ADD CHECK (true"}), nil, fault.Invalid, "closes a parenthesis that it did not open"},
		"an expression that is cut off":          {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: "note = 'x"}), nil, fault.Invalid, "is cut off"},
		"an expression with a parameter":         {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: "id = $1"}), nil, fault.Invalid, "has a parameter"},
		"an expression over the place of a row":  {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: "tableoid = 1"}), nil, fault.Invalid, "reads tableoid"},
		"an expression that the server refuses":  {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: "random() < 1"}), said("generation expression is not immutable"), fault.Invalid, "is refused: generation expression is not immutable"},
		"an expression that nobody looked at":    {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: "id > 0"}), func(in *migrate.Input) { in.Table.Expressions = nil }, fault.Refused, "the server was not asked"},
		"a default that reads the row":           {ops(migrate.Operation{Kind: migrate.SetDefault, Column: "note", Default: "code"}), nil, fault.Invalid, "reads code"},
		"a rename to what is there":              {ops(rename("note", "code")), nil, fault.Invalid, "would make a column code"},
		"a rename of what is not there":          {ops(rename("nota", "remark")), nil, fault.Invalid, "names a column nota, and customers has none"},
		"an index that nobody asked about":       {ops(rename("created", "made")), func(in *migrate.Input) { in.Table.Indexes[1].Carried = nil }, fault.Refused, "the server was not asked what becomes of the index customers_created"},
		"an index that the server refuses":       {ops(rename("created", "made")), func(in *migrate.Input) { in.Table.Indexes[1].Carried = &migrate.Carried{Refused: "no such class"} }, fault.Refused, "the index customers_created cannot be carried over to another column: no such class"},
		"a check that the server refuses":        {ops(rename("created", "made")), func(in *migrate.Input) { in.Table.Checks[0].Carried = &migrate.Carried{Refused: "no such operator"} }, fault.Refused, "the check created_late cannot be carried over to another column: no such operator"},
		"an heir's name that is there":           {ops(rename("created", "made")), func(in *migrate.Input) { in.Table.Checks[0].Name = "customers_created__new" }, fault.Invalid, "customers_created__new is a name that is taken"},
		"an heir's name that is made":            {ops(rename("created", "made"), migrate.Operation{Kind: migrate.CreateIndex, Name: "customers_created__new", Columns: []string{"id"}}), nil, fault.Invalid, "customers_created__new is a name that is taken"},
		"an index over what goes and what stays": {ops(rename("created", "made"), migrate.Operation{Kind: migrate.DropColumn, Column: "note"}), func(in *migrate.Input) { in.Table.Indexes[1].Columns = []string{"created", "note"} }, fault.Invalid, "the index customers_created is over note, which the same file takes away"},
		"a type of what has a storage":           {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "note", To: "int", Up: "1", Down: "''"}), column("note", func(c *migrate.Column) { c.Storage = "MAIN" }), fault.Refused, "has a storage of its own"},
		"a rename of what holds a foreign key":   {ops(rename("note", "remark")), column("note", func(c *migrate.Column) { c.Holds = []string{"the foreign key customers_note_fkey"} }), fault.Refused, "the foreign key customers_note_fkey cannot be carried over"},
		"a type of a sequence's column":          {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "1", Down: "1", Default: "1"}), column("qty", func(c *migrate.Column) { c.Default = "nextval('shop.s'::regclass)" }), fault.Refused, "a sequence that gives its default"},
		"a rename of a type of somebody's own":   {ops(rename("note", "n")), column("note", func(c *migrate.Column) { c.Type = "shop.color" }), fault.Refused, "is of type shop.color"},
		"a trigger that fires later":             {ops(rename("note", "n")), func(in *migrate.Input) { in.Table.Triggers = []migrate.Trigger{{Name: "audit"}, {Name: "zzz"}} }, fault.Refused, "the trigger zzz fires after"},
		"a type that it has":                     {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "int"}), nil, fault.Invalid, "is of type integer already"},
		"a type that rewrites, without up":       {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint"}), nil, fault.Invalid, "writes every row anew"},
		"a type without a way back":              {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty"}), nil, fault.Invalid, "needs up and down"},
		"a type of what has a default":           {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "amount", To: "bigint", Up: "amount", Down: "amount"}), nil, fault.Invalid, "nothing says what it is of the new type"},
		"a derived name that is taken":           {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty", Down: "qty"}, migrate.Operation{Kind: migrate.AddColumn, Column: "qty__old", Type: "text"}), nil, fault.Invalid, "two operations would make a column qty__old"},
		"a derived name that is there":           {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "qty", To: "bigint", Up: "qty", Down: "qty"}), column("note", func(c *migrate.Column) { c.Name = "qty__new" }), fault.Invalid, "would make a column qty__new"},
		"a derived name that is long":            {ops(migrate.Operation{Kind: migrate.ChangeType, Column: long[:60], To: "bigint", Up: "1", Down: "2"}), column("note", func(c *migrate.Column) { c.Name = long[:60] }), fault.Invalid, "has 65 bytes"},
		"a wider type under a view": {ops(migrate.Operation{Kind: migrate.ChangeType, Column: "code", To: "text"}), func(in *migrate.Input) {
			in.Table.Readers = []migrate.Reader{{Column: "code", Kind: "view", Name: "codes"}}
		}, fault.Refused, "the view codes holds code to its type"},
		"a key that goes":                  {ops(migrate.Operation{Kind: migrate.DropColumn, Column: "id"}), nil, fault.Refused, "with id would go customers_pkey"},
		"NOT NULL that is":                 {ops(migrate.Operation{Kind: migrate.SetNotNull, Column: "web"}), nil, fault.Invalid, "web is NOT NULL already"},
		"NOT NULL that is not valid":       {ops(migrate.Operation{Kind: migrate.SetNotNull, Column: "note"}), column("note", func(c *migrate.Column) { c.NotNull, c.Unproved = true, "some note" }), fault.Refused, "the NOT NULL \"some note\" of note is not valid"},
		"a key that may be null":           {ops(migrate.Operation{Kind: migrate.DropNotNull, Column: "id"}), nil, fault.Refused, "id is part of the key"},
		"null that may be":                 {ops(migrate.Operation{Kind: migrate.DropNotNull, Column: "note"}), nil, fault.Invalid, "note may be null already"},
		"no default to drop":               {ops(migrate.Operation{Kind: migrate.DropDefault, Column: "note"}), nil, fault.Invalid, "note has no default"},
		"a check that is there":            {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "created_late", Check: "true"}), nil, fault.Invalid, "has a check created_late already"},
		"a check that is not there":        {ops(migrate.Operation{Kind: migrate.DropCheck, Name: "created_lat"}), nil, fault.Invalid, "has no check created_lat"},
		"an index that is there":           {ops(migrate.Operation{Kind: migrate.CreateIndex, Name: "customers_created", Columns: []string{"id"}}), nil, fault.Invalid, "has an index customers_created already"},
		"an index over nothing":            {ops(migrate.Operation{Kind: migrate.CreateIndex, Name: "i"}), nil, fault.Invalid, "has no column"},
		"an index over an expression":      {ops(migrate.Operation{Kind: migrate.CreateIndex, Name: "i", Columns: []string{"lower(note)"}}), nil, fault.Invalid, "must be a column"},
		"an index over what is not there":  {ops(migrate.Operation{Kind: migrate.CreateIndex, Name: "i", Columns: []string{"nota"}}), nil, fault.Invalid, "is over a column nota"},
		"an index over what goes":          {ops(migrate.Operation{Kind: migrate.CreateIndex, Name: "i", Columns: []string{"note"}}, migrate.Operation{Kind: migrate.DropColumn, Column: "note"}), nil, fault.Invalid, "create_index i rests on note"},
		"a check over what is renamed":     {ops(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: "note <> ''"}, rename("note", "n")), nil, fault.Invalid, "add_check k rests on note"},
		"an unordered index with an order": {ops(migrate.Operation{Kind: migrate.CreateIndex, Name: "i", Method: "hash", Columns: []string{"note DESC"}}), nil, fault.Invalid, "has no order"},
		"an index of an unknown kind":      {ops(migrate.Operation{Kind: migrate.CreateIndex, Name: "i", Method: "btree (id); --", Columns: []string{"note"}}), nil, fault.Invalid, "there is no kind of index"},
		"the index of a constraint":        {ops(migrate.Operation{Kind: migrate.DropIndex, Name: "customers_pkey"}), nil, fault.Refused, "belongs to a constraint"},
		"the comment that it has":          {ops(migrate.Operation{Kind: migrate.SetComment, Column: "amount", Comment: "in euros; it's net"}), nil, fault.Invalid, "has that comment already"},
		"two operations on a column":       {ops(migrate.Operation{Kind: migrate.SetNotNull, Column: "note"}, migrate.Operation{Kind: migrate.SetComment, Column: "note", Comment: "x"}), nil, fault.Invalid, "set_not_null and set_comment are both about note"},
		"bytes that are no text":           {ops(migrate.Operation{Kind: migrate.SetComment, Column: "note", Comment: "a\x00b"}), nil, fault.Invalid, "bytes that are no text"},
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
			if in.Table.Version == 0 {
				require.NotContains(t, err.Error(), "version", "a server that did not say is not old")
			}
		})
	}
}

func own(act, undo, locks string) migrate.Operation {
	return migrate.Operation{Kind: migrate.SQL, Name: "x", Act: []string{act}, Undo: []string{undo}, Probe: "SELECT true", Locks: locks}
}

func ops(all ...migrate.Operation) []migrate.Operation { return all }

func said(refused string) func(*migrate.Input) {
	return func(in *migrate.Input) {
		for key := range in.Table.Expressions {
			in.Table.Expressions[key] = migrate.Expression{Refused: refused}
		}
	}
}

func column(name string, change func(*migrate.Column)) func(*migrate.Input) {
	return func(in *migrate.Input) {
		for i := range in.Table.Columns {
			if in.Table.Columns[i].Name == name {
				change(&in.Table.Columns[i])
			}
		}
	}
}

func TestEveryProblemIsNamedAtOnce(t *testing.T) {
	t.Parallel()
	in := input(migration(
		migrate.Operation{Kind: migrate.RenameColumn, Column: "created", To: "made"},
		migrate.Operation{Kind: migrate.DropColumn, Column: "nothing"},
		migrate.Operation{Kind: migrate.DropDefault, Column: "note"},
	))
	in.Table.Indexes[1].Carried, in.Table.Checks[0].Carried = nil, nil
	_, err := migrate.Compute(in)
	for _, words := range []string{"customers_created", "created_late", "nothing", "note has no default"} {
		require.ErrorContains(t, err, words)
	}
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "what the author has to mend weighs more")
}

func TestTypesAreThoseOfTheServer(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"int": "integer", "INT8": "bigint", "decimal(12)": "numeric(12,0)", "numeric ( 12 , 2 )": "numeric(12,2)", "varchar(20)": "character varying(20)",
		"char": "character(1)", "timestamptz": "timestamp with time zone", "timestamp(3) with time zone": "timestamp(3) with time zone",
		"timestamptz(3)": "timestamp(3) with time zone", "time": "time without time zone", "text[]": "text[]", "float8[][]": "double precision[]", "bool": "boolean",
	} {
		m := migration(migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: written})
		p := computed(t, m)
		require.Contains(t, p.Steps[0].Act[0], `ADD COLUMN "c" `+want, written)
	}
	for _, written := range []string{"", "serial", "money", "int(3)", "text(3)", "varchar(0)", "numeric(0)", "timestamp with time zone with time zone", "color", `"int"`, "int, x int", "setof int", "time(99)"} {
		_, err := migrate.Compute(input(migration(migrate.Operation{Kind: migrate.AddColumn, Column: "c", Type: written})))
		require.ErrorContains(t, err, "no type", written)
	}
}

func TestIndexColumnsAreReadStrictly(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]migrate.IndexColumn{
		"amount": {Name: "amount"}, " Amount asc ": {Name: "amount"}, `"Amount" DESC`: {Name: "Amount", Descending: true, NullsFirst: true},
		"amount nulls first": {Name: "amount", NullsFirst: true}, "amount DESC NULLS LAST": {Name: "amount", Descending: true},
	} {
		got, err := migrate.ParseIndexColumn(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "1", "amount 1", "amount text_ops", "lower(amount)", "amount DESC ASC", "amount NULLS", "amount -- x", "a.b", "amount 'x'", "amount DESC NULLS FIRST x", `"a`} {
		_, err := migrate.ParseIndexColumn(text)
		require.Error(t, err, text)
	}
}

// FuzzBadExpression holds that no expression that is let through ends the parentheses that it is put into.
func FuzzBadExpression(f *testing.F) {
	for _, seed := range []string{"a", "')'", "a)", "E'\\')", "/* ( */ 1", "$x$)$x$", "1 -- )"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		in := input(migration(migrate.Operation{Kind: migrate.AddCheck, Name: "k", Check: expression}))
		p, err := migrate.Compute(in)
		if err != nil {
			require.NotEmpty(t, fault.ClassOf(err))
			return
		}
		for _, sql := range p.Steps[0].Act {
			oneStatement(t, sql)
		}
	})
}
