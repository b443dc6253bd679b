package lint

import (
	"slices"
	"strings"
)

// done is what the statements of a file have done so far.
type done struct {
	created []table         // tables and views that are new: nobody reads or writes them yet
	types   []table         // that are new
	schemas []string        // that are new
	parents []table         // partitioned
	columns []column        // added, with their types
	checks  []check         // constraints that were added
	locked  map[int][]table // by transaction: tables of others that are locked until it ends
	waits   bool            // a table of others has been locked, in whatever transaction
	set     map[string]bool // timeouts, and other settings
	moved   []table         // tables whose size is not that of what had their name before: renamed to it, or with rows of the file
}

// column is a column whose type the file says.
type column struct {
	table table
	name  string
	typeName
}

// check is a constraint that the file adds.
type check struct {
	table       table
	name        string
	notNull     string // the column that it says IS NOT NULL of, and nothing else
	valid       bool
	transaction int
}

func newDone() *done { return &done{locked: map[int][]table{}, set: map[string]bool{}} }

// isNew says that the file has created a table.
func (d *done) isNew(t table) bool { return slices.ContainsFunc(d.created, t.same) }

// moves says that a name may be another table's here than for who asks the server before the file is run, or that rows came to it.
func (d *done) moves(t table) bool {
	_, elsewhere := d.set["search_path"]
	return elsewhere && t.schema == "" || slices.ContainsFunc(d.moved, t.same)
}

// creates says that the file has created something of a kind.
func (d *done) creates(kind string, t table) bool {
	switch kind {
	case "OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW":
		return d.isNew(t)
	case "OBJECT_TYPE", "OBJECT_DOMAIN":
		return slices.ContainsFunc(d.types, t.same)
	case "OBJECT_SCHEMA":
		return slices.Contains(d.schemas, t.name)
	}
	return false
}

// typeOf is a column's type, where the file says it.
func (d *done) typeOf(t table, name string) (typeName, bool) {
	for _, c := range slices.Backward(d.columns) {
		if c.table.same(t) && c.name == name {
			return c.typeName, true
		}
	}
	return typeName{}, false
}

// add records a statement.
func (d *done) add(s statement) {
	switch s.kind {
	case "CreateStmt":
		t := relation(s.part("relation"))
		d.created = append(d.created, t)
		if s.part("partspec") != nil {
			d.parents = append(d.parents, t)
		}
		if s.part("partbound") != nil {
			for _, parent := range s.nodes("inhRelations") {
				d.parents = append(d.parents, relation(parent.object))
			}
		}
	case "CreateTableAsStmt":
		d.created = append(d.created, relation(s.part("into").part("rel")))
	case "ViewStmt":
		if !s.is("replace") {
			d.created = append(d.created, relation(s.part("view")))
		}
	case "CreateEnumStmt", "CreateRangeStmt":
		d.types = append(d.types, dotted(s.nodes("typeName")))
	case "CreateDomainStmt":
		d.types = append(d.types, dotted(s.nodes("domainname")))
	case "CompositeTypeStmt":
		d.types = append(d.types, relation(s.part("typevar")))
	case "CreateSchemaStmt":
		d.schemas = append(d.schemas, s.text("schemaname"))
	case "SelectStmt":
		if into := s.part("intoClause"); into != nil {
			d.created = append(d.created, relation(into.part("rel")))
		}
	case "AlterTableStmt":
		for _, cmd := range s.nodes("cmds") {
			d.alter(s, relation(s.part("relation")), cmd.object)
		}
	case "InsertStmt", "CopyStmt", "MergeStmt":
		d.moved = append(d.moved, relation(s.part("relation")))
	case "AlterObjectSchemaStmt":
		d.moved = append(d.moved, table{schema: s.text("newschema"), name: relation(s.part("relation")).name})
	case "RenameStmt":
		if s.text("renameType") == "OBJECT_TABLE" {
			d.moved = append(d.moved, table{schema: relation(s.part("relation")).schema, name: s.text("newname")})
		}
		if t := relation(s.part("relation")); s.text("renameType") == "OBJECT_TABLE" && d.isNew(t) {
			d.created = append(d.created, table{schema: t.schema, name: s.text("newname")})
		}
	case "VariableSetStmt":
		d.set[s.text("name")] = s.text("kind") == "VAR_SET_VALUE" && !zero(s.nodes("args"))
	}
	for _, t := range s.locks() {
		if !d.isNew(t) {
			d.waits = true
			if s.transaction != 0 && !slices.ContainsFunc(d.locked[s.transaction], t.same) {
				d.locked[s.transaction] = append(d.locked[s.transaction], t)
			}
		}
	}
}

func (d *done) alter(s statement, t table, cmd object) {
	switch cmd.text("subtype") {
	case "AT_AddColumn", "AT_AlterColumnType":
		def := cmd.node("def")
		name := def.text("colname")
		if name == "" {
			name = cmd.text("name")
		}
		d.columns = append(d.columns, column{table: t, name: name, typeName: typeOf(def.part("typeName"))})
	case "AT_AddConstraint":
		def := cmd.node("def")
		c := check{table: t, name: def.text("conname"), valid: !def.is("skip_validation"), transaction: s.transaction}
		if def.text("contype") == "CONSTR_CHECK" {
			c.notNull = notNullColumn(def.node("raw_expr"))
		}
		d.checks = append(d.checks, c)
	case "AT_ValidateConstraint":
		for i, c := range d.checks {
			if c.table.same(t) && c.name == cmd.text("name") {
				d.checks[i].valid = true
			}
		}
	case "AT_AttachPartition":
		d.parents, d.moved = append(d.parents, t), append(d.moved, t)
	}
}

// notNullColumn is the column of which a condition says IS NOT NULL, alone.
func notNullColumn(n node) string {
	if n.kind != "NullTest" || n.text("nulltesttype") != "IS_NOT_NULL" {
		return ""
	}
	return last(n.node("arg").nodes("fields"))
}

// zero says that a setting turns a timeout off.
func zero(args []node) bool {
	if len(args) != 1 {
		return false
	}
	text := strings.TrimRight(args[0].part("sval").text("sval"), "ms inhd")
	_, isText := args[0].object["sval"]
	return !isText && args[0].part("ival").number("ival") == 0 && args[0].part("fval") == nil || isText && text == "0"
}

// shareLock is the weakest mode of LOCK TABLE that writers wait for, by its number in Postgres.
const shareLock = 5

// locks are the tables that a statement locks against writers, or against readers too, until its transaction ends.
func (s statement) locks() []table {
	switch s.kind {
	case "AlterTableStmt":
		if s.text("objtype") != "OBJECT_TABLE" {
			return nil
		}
		t := relation(s.part("relation"))
		var all []table
		for _, cmd := range s.nodes("cmds") {
			if !in(cmd.text("subtype"), "AT_ValidateConstraint AT_AttachPartition AT_DetachPartitionFinalize AT_SetStatistics") && !s.concurrently() && len(all) == 0 {
				all = append(all, t)
			}
			if fk := cmd.node("def").part("pktable"); fk != nil {
				all = append(all, relation(fk))
			}
		}
		return all
	case "RenameStmt", "CreateTrigStmt", "AlterObjectSchemaStmt", "ClusterStmt":
		if t := relation(s.part("relation")); t.name != "" {
			return []table{t}
		}
	case "IndexStmt":
		if !s.is("concurrent") {
			return []table{relation(s.part("relation"))}
		}
	case "ReindexStmt":
		if s.text("kind") == "REINDEX_OBJECT_TABLE" && !s.concurrently() {
			return []table{relation(s.part("relation"))}
		}
	case "RefreshMatViewStmt":
		if !s.is("concurrent") {
			return []table{relation(s.part("relation"))}
		}
	case "VacuumStmt":
		if !turnedOn(s.nodes("options"), "full") {
			return nil
		}
		var all []table
		for _, r := range s.nodes("rels") {
			all = append(all, relation(r.part("relation")))
		}
		return all
	case "TruncateStmt", "LockStmt":
		if s.kind == "LockStmt" && s.number("mode") < shareLock {
			return nil
		}
		var all []table
		for _, r := range s.nodes("relations") {
			all = append(all, relation(r.object))
		}
		return all
	case "DropStmt":
		if s.text("removeType") == "OBJECT_TABLE" {
			var all []table
			for _, item := range s.nodes("objects") {
				all = append(all, dotted(item.nodes("items")))
			}
			return all
		}
	}
	return nil
}

// changesTable says that a statement changes tables' definitions.
func (s statement) changesTable() bool {
	return in(s.kind, "AlterTableStmt AlterObjectSchemaStmt RenameStmt IndexStmt CreateTrigStmt TruncateStmt DropStmt")
}
