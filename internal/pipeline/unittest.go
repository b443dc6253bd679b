package pipeline

import (
	"maps"
	"path"
	"slices"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/sqltext"
)

// tests reads the unit tests in the pipeline's tests folder.
func (b *builder) tests(folder value, p *Pipeline) []UnitTest {
	name, ok := folder.data.(string)
	if !ok || !b.inside(folder) {
		return nil
	}
	dir := path.Clean(name)
	var tests []UnitTest
	files := 0
	for _, file := range slices.Sorted(maps.Keys(b.files)) {
		if path.Dir(file) != dir || path.Ext(file) != ".yaml" && path.Ext(file) != ".yml" {
			continue
		}
		files++
		root := b.problems.read(TestDocument, file, b.files[file])
		tests = append(tests, b.unitTest(root, file, p))
	}
	if files == 0 && dir != "tests" {
		b.problems.add(folder.at, "there is no test in "+dir, "put tests/*.yaml there, or leave the key out")
	}
	return tests
}

func (b *builder) unitTest(root value, file string, p *Pipeline) UnitTest {
	t := UnitTest{
		File:      file,
		Name:      as[string](root.get("name")),
		Partition: b.testPartition(root, p),
		Given:     rowsOf(root.get("given")),
		Expect:    rowsOf(root.get("expect")),
	}
	var outputs []string
	for _, o := range p.Outputs {
		outputs = append(outputs, o.Table)
	}
	read := map[string]bool{}
	for _, name := range root.get("expect").names() {
		i := slices.Index(outputs, name)
		if i < 0 {
			b.problems.add(root.get("expect").keyAt(name), "no output is named "+name, didYouMean(name, outputs))
			continue
		}
		maps.Copy(read, sqltext.Identifiers(p.Outputs[i].SQL))
		b.sameColumns(root.get("expect").get(name))
	}
	for _, name := range root.get("given").names() {
		if !read[name] && len(read) > 0 {
			hint := "expect rows of an output that reads it"
			if near := nearest(name, slices.Collect(maps.Keys(read))); near != "" {
				hint = "did you mean " + near + "?"
			}
			b.problems.add(root.get("given").keyAt(name), "no tested output reads "+name, hint)
		}
	}
	return t
}

func (b *builder) testPartition(root value, p *Pipeline) partition.Key {
	v := root.get("partition")
	text, ok := v.data.(string)
	switch {
	case p.Partition.Validate() != nil:
		return "" // the scheme is the problem
	case !ok && p.Partition.By == partition.All:
		return partition.AllKey
	case !ok:
		if root.ok() && !slices.Contains(root.names(), "partition") {
			b.problems.add(root.at, "the key partition is missing", "name the partition that is built")
		}
		return ""
	}
	key, err := p.Partition.Parse(text)
	if err != nil {
		b.problems.add(v.at, reasonOf(err), fault.HintOf(err))
	}
	return key
}

// sameColumns holds expected rows to one list of columns: rows are compared as a multiset of those.
func (b *builder) sameColumns(rows value) {
	items := rows.items()
	for _, row := range items {
		if row.ok() && len(row.names()) == 0 {
			b.problems.add(row.at, "the row has no column", "list the columns to compare")
		}
		want, got := slices.Sorted(slices.Values(items[0].names())), slices.Sorted(slices.Values(row.names()))
		if !slices.Equal(want, got) {
			b.problems.add(row.at, "the row has other columns than the first one: "+strings.Join(want, ", "),
				"list the same columns in every row, null where there is no value")
		}
	}
}

func rowsOf(v value) map[string][]Row {
	out := map[string][]Row{}
	for _, name := range v.names() {
		rows := []Row{}
		for _, item := range v.get(name).items() {
			row := Row{}
			for _, column := range item.names() {
				data := item.get(column).data
				if data == (null{}) {
					data = nil
				}
				row[column] = data
			}
			rows = append(rows, row)
		}
		out[name] = rows
	}
	return out
}
