package lint

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"drawbridge/internal/migrate"
	"drawbridge/internal/sqltext"
)

// The names that stand for the table while statements are looked at: nobody's tables are called so.
const (
	ownSchema = "drawbridge's schema"
	ownTable  = "drawbridge's table"
)

const ownHint = "leave it out; docs/migrations.md lists what SQL of one's own may do"

// Own says what statements of an operation's own do that no migration may. They run with the rights of the login that migrates, so only what is
// listed here is let through: what changes how the operation's table is kept, and touches neither rows nor rights nor anything else. A probe
// reads the catalog. It says nothing of what is no statement at all, where migrate.Mistakes does.
func Own(o migrate.Operation) []Problem {
	c := &own{made: map[string]bool{}, name: o.Name}
	for _, list := range []struct {
		statements []string
		look       func(node)
	}{{o.Act, c.act}, {o.Undo, c.undo}, {[]string{o.Probe}, c.probe}} {
		for _, sql := range list.statements {
			if n, ok := c.read(sql); ok {
				list.look(n)
			}
		}
	}
	return c.problems
}

// own is one look at an operation.
type own struct {
	name     string
	made     map[string]bool // indexes and statistics, by kind and name, that act makes
	problems []Problem
}

func (c *own) say(format string, args ...any) {
	p := Problem{Text: fmt.Sprintf("sql %s: ", c.name) + fmt.Sprintf(format, args...), Hint: ownHint}
	if !slices.Contains(c.problems, p) {
		c.problems = append(c.problems, p)
	}
}

// read parses one statement, with names in the places of the words that stand for them.
func (c *own) read(text string) (node, bool) {
	sql, err := migrate.Placed(text, ownSchema, ownTable)
	if err != nil || sql == "" {
		return node{}, false
	}
	tokens, err := sqltext.Scan(sql)
	if err != nil {
		return node{}, false
	}
	if slices.ContainsFunc(tokens, func(t sqltext.Token) bool { return t.Kind == sqltext.Punctuation && t.Text == ";" }) {
		c.say("there is a semicolon in %q, and each statement is an item of its own", short(text))
		return node{}, false
	}
	n, err := parse(sql, tokens)
	if bad, ok := errors.AsType[*syntaxError](err); ok {
		c.say("%q cannot be read: %s", short(text), bad.reason)
		return node{}, false
	}
	return n, err == nil
}

func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 80 {
		text = strings.ToValidUTF8(text[:80], "") + "…"
	}
	return text
}

// act looks at what is done, undo at what takes it back: that may drop what act has made, and nothing else.
func (c *own) act(n node) {
	switch n.kind {
	case "IndexStmt":
		c.index(n)
	case "CreateStatsStmt":
		c.statistics(n)
	default:
		c.change(n)
	}
	c.names(n)
}

func (c *own) undo(n node) {
	if n.kind != "DropStmt" {
		c.change(n)
		c.names(n)
		return
	}
	kind := n.text("removeType")
	for _, o := range n.nodes("objects") {
		t := dotted(o.nodes("items"))
		if t.schema != ownSchema || !c.made[kind+" "+t.name] {
			c.say("undo drops %s, which act does not make", shownTable(t))
		}
	}
	if n.text("behavior") == "DROP_CASCADE" {
		c.say("nothing is dropped with CASCADE")
	}
	if kind == "OBJECT_INDEX" && !n.is("concurrent") {
		c.say("an index is dropped CONCURRENTLY, so that nobody waits")
	}
}

func (c *own) index(n node) {
	switch {
	case !n.is("concurrent"):
		c.say("an index is made CONCURRENTLY, so that nobody waits")
	case n.text("idxname") == "":
		c.say("the index has no name")
	case n.is("if_not_exists"):
		c.say("IF NOT EXISTS takes an index of somebody else for its own")
	case n.text("tableSpace") != "":
		c.say("the database says in which tablespace an index is")
	}
	c.table(relation(n.part("relation")))
	c.made["OBJECT_INDEX "+n.text("idxname")] = true
}

func (c *own) statistics(n node) {
	t := dotted(n.nodes("defnames"))
	if t.schema != ownSchema {
		c.say("the statistics %s have to be @schema.%s", shownTable(t), t.name)
	}
	if n.is("if_not_exists") {
		c.say("IF NOT EXISTS takes statistics of somebody else for its own")
	}
	for _, r := range n.nodes("relations") {
		c.table(relation(r.object))
	}
	walk(n, func(n node) bool {
		if name := n.nodes("funcname"); n.kind == "FuncCall" && !in(last(name), statisticsCalls) {
			c.say("the statistics call %s, and may call: %s", last(name), statisticsCalls)
		}
		return true
	})
	c.made["OBJECT_STATISTIC_EXT "+t.name] = true
}

// statisticsCalls are what statistics may call. The server does not want that to be immutable, as it does of an index, and has functions of its own that
// read files or run SQL: whoever analyses the table would run them.
const statisticsCalls = "lower upper length substr substring left right btrim md5 abs mod round floor ceil trunc sign date_trunc date_part extract timezone"

// keeping are the changes of a table, and of an index, that say how it is kept, and nothing of what is in it.
const keeping = "AT_SetStatistics AT_SetOptions AT_ResetOptions AT_SetStorage AT_SetCompression AT_SetRelOptions AT_ResetRelOptions AT_ReplicaIdentity AT_ClusterOn AT_DropCluster AT_ValidateConstraint"

// change looks at a statement that both act and undo may have.
func (c *own) change(n node) {
	about := relation(n.part("relation"))
	switch n.kind {
	case "AlterTableStmt":
		if n.is("missing_ok") {
			c.say("IF EXISTS hides that something is not there")
		}
		for _, cmd := range n.nodes("cmds") {
			if !in(cmd.text("subtype"), keeping) {
				c.say("ALTER TABLE may not do that (%s)", strings.TrimPrefix(cmd.text("subtype"), "AT_"))
			}
			if cmd.node("def").text("identity_type") == "n" {
				c.say("without a replica identity, writes fail where the table is published")
			}
		}
		switch n.text("objtype") {
		case "OBJECT_TABLE":
			c.table(about)
		case "OBJECT_INDEX":
			c.inside("index", about)
		default:
			c.say("only the table and its indexes are altered")
		}
	case "RenameStmt":
		switch n.text("renameType") {
		case "OBJECT_TABCONSTRAINT":
			c.table(about)
		case "OBJECT_INDEX":
			c.inside("index", about)
		default:
			c.say("only an index or a constraint gets another name by SQL")
		}
	case "CommentStmt":
		c.comment(n)
	case "VacuumStmt":
		c.analyze(n)
	default:
		c.say("it holds a statement that a migration may not have (%s)", strings.TrimSuffix(n.kind, "Stmt"))
	}
}

func (c *own) comment(n node) {
	all := words(n.node("object").nodes("items"))
	switch n.text("objtype") {
	case "OBJECT_TABLE":
		c.table(dotted(n.node("object").nodes("items")))
	case "OBJECT_COLUMN", "OBJECT_TABCONSTRAINT":
		if len(all) != 3 || all[0] != ownSchema || all[1] != ownTable {
			c.say("a comment is about @table, a column or a constraint of it, or an index")
		}
	case "OBJECT_INDEX":
		c.inside("index", dotted(n.node("object").nodes("items")))
	default:
		c.say("a comment is about @table, a column or a constraint of it, or an index")
	}
}

func (c *own) analyze(n node) {
	rels := n.nodes("rels")
	if n.is("is_vacuumcmd") || len(n.nodes("options")) > 0 || len(rels) != 1 {
		c.say("only ANALYZE @table reads the whole table, without options")
		return
	}
	c.table(relation(rels[0].part("relation")))
}

// table wants a name to be the table's.
func (c *own) table(t table) {
	if t.schema != ownSchema || t.name != ownTable {
		c.say("it is about %s, and has to be about @table", shownTable(t))
	}
}

// inside wants something to be in the table's schema. Whether it is the table's own is seen by what is locked.
func (c *own) inside(what string, t table) {
	if t.schema != ownSchema || t.name == ownTable {
		c.say("the %s %s has to be written @schema.NAME", what, shownTable(t))
	}
}

func shownTable(t table) string {
	switch {
	case t.schema == ownSchema && t.name == ownTable:
		return "@table"
	case t.schema == ownSchema:
		return "@schema." + t.name
	}
	return t.String()
}

// names wants functions, operators, types, collations and classes in expressions to be the server's own: what has no schema is looked for
// among those only.
func (c *own) names(n node) {
	walk(n, func(n node) bool {
		switch n.kind {
		case "SubLink", "SelectStmt", "ParamRef":
			c.say("an expression reads other rows than its own, or has a parameter")
		default:
			c.plain(n)
		}
		return true
	})
	typed(n, c.plainType)
}

// plain wants what a node calls to be the server's own.
func (c *own) plain(n node) {
	var called []node
	switch n.kind {
	case "FuncCall":
		called = n.nodes("funcname")
	case "A_Expr":
		called = n.nodes("name")
	case "CollateClause":
		called = n.nodes("collname")
	case "IndexElem":
		c.serverOwn(n.nodes("opclass"))
		called = n.nodes("collation")
	case "A_Indirection": // (x).f calls f, whatever f is
		if slices.ContainsFunc(n.nodes("indirection"), func(n node) bool { return n.kind != "A_Indices" }) {
			c.say("(…).name may call a function: write name(…)")
		}
		return
	default:
		return
	}
	c.serverOwn(called)
}

func (c *own) plainType(o object) { c.serverOwn(o.nodes("names")) }

func (c *own) serverOwn(name []node) {
	if all := words(name); len(all) > 1 && (len(all) > 2 || all[0] != "pg_catalog") {
		c.say("%s is not one of Postgres's own", strings.Join(all, "."))
	}
}

// typed shows every type of a tree: what holds one does not say its kind.
func typed(v any, visit func(object)) {
	switch v := v.(type) {
	case node:
		typed(map[string]any(v.object), visit)
	case []any:
		for _, item := range v {
			typed(item, visit)
		}
	case map[string]any:
		if _, is := v["names"]; is {
			visit(object(v))
		}
		for _, field := range slices.Sorted(maps.Keys(v)) {
			typed(v[field], visit)
		}
	}
}
