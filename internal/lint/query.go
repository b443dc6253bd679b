package lint

import (
	"errors"
	"slices"
	"strings"
)

// Query looks at the SELECT of an output, as the server gets it, with the rules of Queries. silenced are the rules that its author
// has silenced, with the reasons; one that silences nothing is told to be taken out.
func Query(file, sql string, silenced map[string]string) Report {
	src := newSource(file, sql)
	if p, ok := src.readable(); !ok {
		return Report{Problems: []Problem{p}}
	}
	all, problems := src.split(0, len(sql))
	r := Report{Problems: problems}
	all = slices.DeleteFunc(all, func(s statement) bool { return s.sql == "" })
	if len(all) == 0 || len(problems) > 0 {
		return r
	}
	st := all[0]
	n, err := parse(st.sql, st.tokens)
	if bad, ok := errors.AsType[*syntaxError](err); ok {
		r.Problems = append(r.Problems, src.problem(st.start+bad.offset, bad.reason, bad.hint))
		return r
	}
	st.node = n
	for _, rule := range Rules() {
		if rule.Of != Queries {
			continue
		}
		used := false
		rule.find(&look{rule: rule, src: src, statement: st, all: all, done: newDone(), found: func(f Finding) {
			used = true
			if silenced[rule.Name] == "" {
				r.Findings = append(r.Findings, f)
			}
		}})
		if !used && silenced[rule.Name] != "" {
			unused, _ := named(unusedIgnore)
			r.Findings = append(r.Findings, Finding{
				File: file, Line: 1, Column: 1, Rule: unused.Name, Severity: unused.Severity,
				Text: "lint silences " + rule.Name + ", which finds nothing here. " + unused.Why, Instead: "Take " + rule.Name + " out of the output's lint.",
			})
		}
	}
	r.sorted()
	return r
}

// clocks are functions whose value is the moment's, or chance's.
const clocks = "now clock_timestamp statement_timestamp transaction_timestamp timeofday random random_normal gen_random_uuid " +
	"uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4 uuidv4 uuidv7 nextval"

// moment says what a node takes from the moment or from chance; empty: nothing.
func moment(n node) string {
	switch n.kind {
	case "FuncCall":
		name := last(n.nodes("funcname"))
		if in(name, clocks) || name == "age" && len(n.nodes("args")) == 1 {
			return name + "()"
		}
	case "SQLValueFunction":
		if op := strings.ToLower(strings.TrimPrefix(n.text("op"), "SVFOP_")); strings.HasPrefix(op, "current_t") || strings.HasPrefix(op, "local") || op == "current_date" {
			return strings.TrimSuffix(op, "_n")
		}
	case "TypeCast":
		word := strings.ToLower(strings.TrimSpace(n.node("arg").part("sval").text("sval")))
		if in(word, "now today yesterday tomorrow") && in(typeOf(n.part("typeName")).name, "date time timetz timestamp timestamptz") {
			return "'" + word + "'"
		}
	}
	return ""
}

// money are words of columns' names that stand for an amount of money.
const money = "amount amounts price prices total totals cost costs revenue turnover fee fees tax taxes vat balance discount salary wage payment payments " +
	"refund refunds commission margin profit sum subtotal charge charges"

// isMoney says that a column's name suggests an amount of money.
func isMoney(name string) bool {
	return slices.ContainsFunc(strings.Split(strings.ToLower(name), "_"), func(word string) bool { return in(word, money) })
}

// floats says that a node is a cast to a binary fraction.
func floats(n node) bool {
	return n.kind == "TypeCast" && in(typeOf(n.part("typeName")).name, "float4 float8")
}

// NowInOutput is the rule about values of the moment; an output that says of itself that it is not repeatable breaks it on purpose.
const NowInOutput = "now-in-output"

func queryRules() []Rule {
	return []Rule{
		{
			Name: NowInOutput, Of: Queries, Severity: Warning,
			Sees:    "`now()`, `current_date`, `clock_timestamp()`, `random()`, `gen_random_uuid()` and their like in an output's SELECT; not where the output says `repeatable: {is: false}`",
			Why:     "Built again, a partition has other rows: a canary compares them as changed, and a rollback that rebuilds does not give back what was there.",
			Instead: "Take times from @partition_start and @partition_end or from a column of the source, and identifiers from a hash of the key.",
			find: func(l *look) {
				walk(l.node, func(n node) bool {
					if what := moment(n); what != "" {
						l.say(n.at(), "%s stands in the SELECT", what)
					}
					return true
				})
			},
		},
		{
			Name: "select-star", Of: Queries, Severity: Warning,
			Sees:    "`SELECT *` or `t.*` of a table; not of a subquery or a common table expression, whose columns are written there",
			Why:     "A column that the source gains becomes one of the output, without a release.",
			Instead: "Write the columns out.",
			find: func(l *look) {
				with := commonTables(l.node)
				walk(l.node, func(n node) bool {
					if n.kind == "SubLink" && n.text("subLinkType") == "EXISTS_SUBLINK" {
						return false // its list is never evaluated
					}
					if n.kind != "SelectStmt" {
						return true
					}
					for _, target := range n.nodes("targetList") {
						fields := target.node("val").nodes("fields")
						if len(fields) > 0 && fields[len(fields)-1].kind == "A_Star" && starOfTable(n, words(fields[:len(fields)-1]), with) {
							l.say(target.node("val").at(), "* stands for the columns of a table")
						}
					}
					return true
				})
			},
		},
		{
			Name: "join-without-condition", Of: Queries, Severity: Warning,
			Sees:    "`FROM a, b` that nothing in `WHERE` joins, or `JOIN … ON true`",
			Why:     "Each row of one meets each row of the other: sums count rows many times, and a day of data may become a year's.",
			Instead: "Write the condition; where all pairs are meant, write CROSS JOIN.",
			find: func(l *look) {
				walk(l.node, func(n node) bool {
					switch n.kind {
					case "JoinExpr":
						if always(n.node("quals")) && !follows(n.node("rarg")) {
							l.say(n.node("quals").at(), "a join has a condition that always holds")
						}
					case "SelectStmt":
						if at, name, ok := unjoined(n); ok {
							l.say(at, "nothing joins %s to what stands before it", name)
						}
					}
					return true
				})
			},
		},
		{
			Name: "float-for-money", Of: Queries, Severity: Warning,
			Sees:    "a column whose name suggests money (amount, price, total, cost, revenue, fee, tax, …) that is cast to `real` or `double precision`",
			Why:     "A binary fraction has no exact cents: sums differ by the order of the rows, and comparisons of equal amounts fail.",
			Instead: "Cast to numeric(p,s), or count in the smallest unit as bigint.",
			find: func(l *look) {
				seen := map[int]bool{}
				say := func(cast node, name string) {
					if at := cast.at(); !seen[at] {
						seen[at] = true
						l.say(at, "%s becomes a binary fraction", name)
					}
				}
				walk(l.node, func(n node) bool {
					switch {
					case floats(n):
						walk(n.node("arg"), func(inner node) bool {
							if name := last(inner.nodes("fields")); inner.kind == "ColumnRef" && isMoney(name) {
								say(n, name)
							}
							return true
						})
					case n.kind == "ResTarget" && isMoney(n.text("name")):
						if val := n.node("val"); floats(val) {
							say(val, n.text("name"))
						}
					}
					return true
				})
			},
		},
	}
}

// commonTables are the names of the WITH of a statement, wherever they stand in it.
func commonTables(n node) []string {
	var names []string
	walk(n, func(n node) bool {
		if n.kind == "CommonTableExpr" {
			names = append(names, n.text("ctename"))
		}
		return true
	})
	return names
}

// sources are the relations and subqueries of a FROM, through its joins.
func sources(items []node) []node {
	var all []node
	for _, item := range items {
		if item.kind == "JoinExpr" {
			all = append(all, sources([]node{item.node("larg"), item.node("rarg")})...)
		} else {
			all = append(all, item)
		}
	}
	return all
}

// alias is what a source is called in the statement.
func alias(n node) string {
	if name := n.part("alias").text("aliasname"); name != "" {
		return name
	}
	return n.text("relname")
}

// starOfTable says that a star stands for columns of a table: of all sources, or of the one that is named before it.
func starOfTable(sel node, of, with []string) bool {
	for _, s := range sources(sel.nodes("fromClause")) {
		if len(of) > 0 && alias(s) != of[len(of)-1] {
			continue
		}
		if s.kind == "RangeVar" && (s.text("schemaname") != "" || !slices.Contains(with, s.text("relname"))) {
			return true
		}
	}
	return false
}

// always says that a condition is true, or compares two constants.
func always(n node) bool {
	switch n.kind {
	case "A_Const":
		return n.part("boolval").is("boolval")
	case "A_Expr":
		return n.node("lexpr").kind == "A_Const" && n.node("rexpr").kind == "A_Const"
	}
	return false
}

// follows says that a source is computed from those before it, or is one row for sure.
func follows(n node) bool {
	return n.is("lateral") || n.kind == "RangeFunction" || n.kind == "RangeTableFunc" || n.kind == "JsonTable"
}

// unjoined finds an item of a FROM that no condition joins to the ones before it. Where a condition does not say whose column
// it compares, it is taken as one that joins.
func unjoined(sel node) (at int, name string, ok bool) {
	items := sel.nodes("fromClause")
	if len(items) < 2 {
		return 0, "", false
	}
	group := map[string]int{} // alias → the item that it is joined to
	for i, item := range items {
		for _, s := range sources([]node{item}) {
			group[alias(s)] = i
		}
	}
	joined := make([]int, len(items)) // each item's group
	for i := range joined {
		joined[i] = i
	}
	unite := func(a, b int) {
		a, b = joined[a], joined[b]
		for i := range joined {
			if joined[i] == b {
				joined[i] = a
			}
		}
	}
	open := false
	walk(sel.node("whereClause"), func(n node) bool {
		if n.kind != "A_Expr" && n.kind != "FuncCall" && n.kind != "SubLink" {
			return true
		}
		first, columns, bare := -1, 0, 0
		walk(n, func(c node) bool {
			if c.kind == "ColumnRef" {
				columns++
				fields := words(c.nodes("fields"))
				i, known := group[fields[max(0, len(fields)-2)]]
				switch {
				case len(fields) < 2:
					bare++
				case known && first < 0:
					first = i
				case known:
					unite(first, i)
				}
			}
			return true
		})
		open = open || bare > 0 && columns > 1
		return true
	})
	if open {
		return 0, "", false
	}
	for i, item := range items[1:] {
		if joined[i+1] != joined[0] && !slices.ContainsFunc(sources([]node{item}), follows) {
			first := sources([]node{item})[0]
			return first.at(), alias(first), true
		}
	}
	return 0, "", false
}
