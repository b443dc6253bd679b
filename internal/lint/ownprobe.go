package lint

// What a probe may read and call: the catalog, as far as it holds no rows' values, no text of functions and nothing about people, and what says how
// something is defined. Nothing of it changes anything, waits, or reaches out of the database.
const (
	probeNodes = "SelectStmt ResTarget ColumnRef A_Star A_Const A_Expr BoolExpr NullTest BooleanTest SubLink FuncCall RangeVar JoinExpr RangeSubselect " +
		"TypeCast CaseExpr CaseWhen CoalesceExpr A_ArrayExpr A_Indirection A_Indices SortBy List String Integer"
	probeTables = "pg_class pg_attribute pg_attrdef pg_index pg_constraint pg_namespace pg_statistic_ext pg_description pg_type pg_am pg_opclass pg_collation pg_depend pg_inherits"
	probeCalls  = "to_regclass to_regtype to_regnamespace pg_get_indexdef pg_get_constraintdef pg_get_expr pg_get_statisticsobjdef pg_index_column_has_property " +
		"obj_description col_description format_type count bool_and bool_or every min max array_agg array_length cardinality array_position lower upper length"
)

// probe looks at the query that says whether something has been done.
func (c *own) probe(n node) {
	if n.kind != "SelectStmt" || len(n.nodes("targetList")) != 1 || n.text("op") != "SETOP_NONE" || len(n.nodes("valuesLists")) > 0 {
		c.say("the probe has to be one SELECT of one boolean")
		return
	}
	walk(n, func(n node) bool {
		if !in(n.kind, probeNodes) {
			c.say("the probe may not have a %s", n.kind)
			return false
		}
		switch n.kind {
		case "SelectStmt":
			if n.part("intoClause") != nil || n.part("withClause") != nil {
				c.say("the probe may have neither INTO nor WITH")
			}
		case "RangeVar":
			if t := relation(n.object); t.schema != "" && t.schema != "pg_catalog" || !in(t.name, probeTables) {
				c.say("the probe reads %s, and may read of the catalog: %s", shownTable(t), probeTables)
			}
		case "FuncCall":
			if name := n.nodes("funcname"); !in(last(name), probeCalls) {
				c.say("the probe calls %s, and may call: %s", last(name), probeCalls)
			}
		}
		c.plain(n)
		return true
	})
	typed(n, c.plainType)
}
