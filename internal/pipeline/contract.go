package pipeline

import (
	"cmp"
	"fmt"
	"math"
	"path"
	"slices"
	"strings"

	"drawbridge/internal/check"
	"drawbridge/internal/contract"
	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
	"drawbridge/internal/strictyaml"
)

// contract reads the contract of an output, and holds the output's rows to it: its checks join those of the output.
func (b *builder) contract(v strictyaml.Value, o *Output) {
	if !v.OK() || !b.inside(v) {
		return
	}
	file := path.Clean(strictyaml.As[string](v))
	content, ok := b.files[file]
	if !ok {
		var others []string
		for name := range b.files {
			if strings.HasSuffix(name, ".yaml") && name != File {
				others = append(others, name)
			}
		}
		slices.Sort(others)
		b.problems.Add(v.At, "there is no file "+file, strictyaml.DidYouMean(file, others))
		return
	}
	root, read := b.contracts[file]
	if !read { // one may be about several outputs
		root = b.problems.Read(contractShape(), file, content)
		b.contracts[file] = root
	}
	object, ok := b.promised(root, v, o.Table)
	if !ok {
		return
	}
	p := promise{builder: b, output: o, contract: contract.Contract{
		File: file, ID: strictyaml.As[string](root.Get("id")), Version: strictyaml.As[string](root.Get("version")), Consumers: consumersOf(root),
	}}
	p.read(object)
	o.Contract = &p.contract
}

// promised is the part of a contract that is about a table.
func (b *builder) promised(root, v strictyaml.Value, table string) (strictyaml.Value, bool) {
	var names []string
	for _, object := range root.Get("schema").Items() {
		name := cmp.Or(strictyaml.As[string](object.Get("physicalName")), strictyaml.As[string](object.Get("name")))
		if name == table {
			return object, true
		}
		names = append(names, name)
	}
	if root.OK() && len(names) > 0 {
		b.problems.Add(v.At, "the contract is not about "+table, "name the table in its schema, by name or physicalName: it has "+strings.Join(names, ", "))
	}
	return strictyaml.Value{}, false
}

// consumersOf are who reads by a contract: the roles that give access to it, but for those that may write, and people of the team whose
// role says that they are consumers.
func consumersOf(root strictyaml.Value) []string {
	var all []string
	add := func(name string) {
		if name != "" && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	for _, role := range root.Get("roles").Items() {
		if access := strings.ToLower(strictyaml.As[string](role.Get("access"))); access == "" || access == "read" || access == "select" {
			add(strictyaml.As[string](role.Get("role")))
		}
	}
	for _, member := range slices.Concat(root.Get("team").Items(), root.Get("team").Get("members").Items()) {
		if strings.Contains(strings.ToLower(strictyaml.As[string](member.Get("role"))), "consumer") {
			add(cmp.Or(strictyaml.As[string](member.Get("name")), strictyaml.As[string](member.Get("username"))))
		}
	}
	return all
}

// promise is the contract of one output while it is read.
type promise struct {
	*builder
	output   *Output
	contract contract.Contract
}

func (p *promise) read(object strictyaml.Value) {
	var key []string
	for _, property := range object.Get("properties").Items() {
		column := p.column(property)
		if strictyaml.As[bool](property.Get("primaryKey")) {
			key = append(key, column.Name)
			column.Required = true
		}
		if column.Required {
			p.check(property, check.Check{Kind: check.NotNull, Columns: []string{column.Name}, Severity: check.Fail})
		}
		if strictyaml.As[bool](property.Get("unique")) {
			p.distinctRows(property, []string{column.Name}, check.Fail)
		}
		if property.Get("logicalTypeOptions").OK() {
			p.unchecked(column.Name, "logicalTypeOptions")
		}
		p.contract.Columns = append(p.contract.Columns, column)
		for _, rule := range property.Get("quality").Items() {
			p.quality(rule, column.Name)
		}
	}
	if len(key) > 0 {
		p.distinctRows(object, key, check.Fail)
	}
	for _, rule := range object.Get("quality").Items() {
		p.quality(rule, "")
	}
}

func (p *promise) column(property strictyaml.Value) contract.Column {
	column := contract.Column{
		Name: cmp.Or(strictyaml.As[string](property.Get("physicalName")), strictyaml.As[string](property.Get("name"))),
		Kind: contract.Kind(strictyaml.As[string](property.Get("logicalType"))), Required: strictyaml.As[bool](property.Get("required")),
	}
	physical := property.Get("physicalType")
	if written := strictyaml.As[string](physical); written != "" {
		name, known := migrate.TypeName(written)
		if !known {
			p.problems.Add(physical.At, fmt.Sprintf("%q is no type that Postgres brings along", written), "write one, such as numeric(12,2); or leave physicalType out, and logicalType is compared")
		}
		column.Type = name
	}
	if slices.ContainsFunc(p.contract.Columns, func(c contract.Column) bool { return c.Name == column.Name }) {
		p.problems.Add(property.At, "the contract has the column "+column.Name+" twice", "keep one of them")
	}
	return column
}

// check adds a check of the output, once.
func (p *promise) check(at strictyaml.Value, c check.Check) {
	c.Name = "contract: " + check.DefaultName(c)
	if i := slices.IndexFunc(p.output.Checks, func(other check.Check) bool { return other.Name == c.Name }); i >= 0 {
		if len(c.Values) > 0 || c.Kind == check.RowCount || c.MaxFailing != p.output.Checks[i].MaxFailing {
			p.problems.Add(at.At, "the contract says twice what "+check.DefaultName(c)+" holds, and differs", "say it once")
		}
		return
	}
	p.output.Checks = append(p.output.Checks, c)
}

// distinctRows holds columns to be unique: in a partition, which is what is looked at before it is published.
func (p *promise) distinctRows(at strictyaml.Value, columns []string, severity check.Severity) {
	p.check(at, check.Check{Kind: check.Unique, Columns: columns, Severity: severity})
	if p.output.Partition.By != partition.All {
		p.unchecked(strings.Join(columns, ", "), "that it is unique across partitions: it is checked in each of them")
	}
}

func (p *promise) unchecked(about, what string) {
	if about != "" {
		about = "." + about
	}
	p.contract.Unchecked = append(p.contract.Unchecked, fmt.Sprintf("%s: %s%s: %s", p.contract.File, p.output.Table, about, what))
}

// quality holds the output to a rule, or says that nothing here does. column is the one whose rule it is; empty: it is the table's.
func (p *promise) quality(rule strictyaml.Value, column string) {
	metric := strictyaml.As[string](rule.Get("metric"))
	of := cmp.Or(strictyaml.As[string](rule.Get("type")), "library")
	switch strictyaml.As[string](rule.Get("rule")) { // as the standard had it before 3.1
	case "duplicateCount":
		metric = "duplicateValues"
	case "validValues":
		metric = "invalidValues"
	case "rowCount":
		metric = "rowCount"
	}
	severity := check.Fail
	switch strings.ToLower(strictyaml.As[string](rule.Get("severity"))) {
	case "warning", "warn", "info":
		severity = check.Warn
	}
	share, bounded := failing(rule)
	values := cells(slices.Concat(rule.Get("validValues").Items(), rule.Get("arguments").Get("validValues").Items()))
	columns := rule.Get("arguments").Get("properties").Strings()
	if column != "" {
		columns = []string{column}
	}
	switch {
	case of != "library":
	case metric == "nullValues" && column != "" && bounded:
		p.check(rule, check.Check{Kind: check.NotNull, Columns: columns, MaxFailing: share, Severity: severity})
		return
	case metric == "duplicateValues" && len(columns) > 0 && bounded && share == 0:
		p.distinctRows(rule, columns, severity)
		return
	case metric == "invalidValues" && column != "" && bounded && len(values) > 0 && !rule.Get("arguments").Get("pattern").OK():
		p.check(rule, check.Check{Kind: check.AcceptedValues, Columns: columns, Values: values, MaxFailing: share, Severity: severity})
		return
	case metric == "rowCount" && column == "" && p.output.Partition.By == partition.All:
		if least, most, ok := counts(rule); ok {
			p.check(rule, check.Check{Kind: check.RowCount, Min: least, Max: most, Severity: severity})
			return
		}
	}
	name := cmp.Or(strictyaml.As[string](rule.Get("name")), metric, strictyaml.As[string](rule.Get("rule")), "a rule")
	p.unchecked(column, name+" ("+of+")")
}

// failing is the share of rows that may fail a rule; bounded is false where it is none that a check can hold.
func failing(rule strictyaml.Value) (share float64, bounded bool) {
	percent := strictyaml.As[string](rule.Get("unit")) == "percent"
	below, hasBelow := rule.Get("mustBeLessThan").Data.(float64)
	most, hasMost := rule.Get("mustBeLessOrEqualTo").Data.(float64)
	switch {
	case comparisons(rule) != 1:
		return 0, false
	case rule.Get("mustBe").OK():
		return 0, number(rule.Get("mustBe").Data) == 0
	case hasMost && (percent || most == 0):
		return most / 100, most >= 0 && most < 100
	case hasBelow && percent:
		return math.Nextafter(below/100, 0), below > 0 && below <= 100
	case hasBelow:
		return 0, below == 1
	}
	return 0, false
}

// counts are the limits of a row count.
func counts(rule strictyaml.Value) (least, most *float64, ok bool) {
	if comparisons(rule) == 0 || strictyaml.As[string](rule.Get("unit")) == "percent" || rule.Get("mustNotBe").OK() || rule.Get("mustNotBeBetween").OK() {
		return nil, nil, false
	}
	if exactly := rule.Get("mustBe"); exactly.OK() {
		n := number(exactly.Data)
		return &n, &n, !math.IsNaN(n)
	}
	if between := rule.Get("mustBeBetween").Items(); len(between) == 2 {
		return strictyaml.Pointer[float64](between[0]), strictyaml.Pointer[float64](between[1]), true
	}
	if n, given := rule.Get("mustBeGreaterThan").Data.(float64); given {
		n = math.Floor(n) + 1
		least = &n
	}
	if n, given := rule.Get("mustBeLessThan").Data.(float64); given {
		n = math.Ceil(n) - 1
		most = &n
	}
	least = cmp.Or(least, strictyaml.Pointer[float64](rule.Get("mustBeGreaterOrEqualTo")))
	most = cmp.Or(most, strictyaml.Pointer[float64](rule.Get("mustBeLessOrEqualTo")))
	return least, most, least != nil || most != nil
}

// comparisons is with how many things a rule compares its number.
func comparisons(rule strictyaml.Value) int {
	n := 0
	for _, name := range rule.Names() {
		if strings.HasPrefix(name, "must") {
			n++
		}
	}
	return n
}

func number(data any) float64 {
	switch n := data.(type) {
	case int64:
		return float64(n)
	case float64:
		return n
	}
	return math.NaN()
}

func cells(items []strictyaml.Value) []string {
	var out []string
	for _, item := range items {
		if item.Data != nil {
			out = append(out, fmt.Sprint(item.Data))
		}
	}
	return out
}
