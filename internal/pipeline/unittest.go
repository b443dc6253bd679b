package pipeline

import (
	"maps"
	"path"
	"slices"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/sqltext"
	"drawbridge/internal/strictyaml"
)

// tests reads the unit tests in the pipeline's tests folder.
func (b *builder) tests(folder strictyaml.Value, p *Pipeline) []UnitTest {
	name, ok := folder.Data.(string)
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
		root := b.problems.Read(TestDocument.shape(), file, b.files[file])
		tests = append(tests, b.unitTest(root, file, p))
	}
	if files == 0 && dir != "tests" {
		b.problems.Add(folder.At, "there is no test in "+dir, "put tests/*.yaml there, or leave the key out")
	}
	return tests
}

func (b *builder) unitTest(root strictyaml.Value, file string, p *Pipeline) UnitTest {
	t := UnitTest{
		File:      file,
		Name:      strictyaml.As[string](root.Get("name")),
		Partition: b.testPartition(root, p),
		Given:     rowsOf(root.Get("given")),
		Expect:    rowsOf(root.Get("expect")),
	}
	var outputs []string
	for _, o := range p.Outputs {
		outputs = append(outputs, o.Table)
	}
	read := map[string]bool{}
	for _, name := range root.Get("expect").Names() {
		i := slices.Index(outputs, name)
		if i < 0 {
			b.problems.Add(root.Get("expect").KeyAt(name), "no output is named "+name, strictyaml.DidYouMean(name, outputs))
			continue
		}
		maps.Copy(read, sqltext.Identifiers(p.Outputs[i].SQL))
		b.sameColumns(root.Get("expect").Get(name))
	}
	for _, name := range root.Get("given").Names() {
		if !read[name] && len(read) > 0 {
			hint := "expect rows of an output that reads it"
			if near := strictyaml.Nearest(name, slices.Collect(maps.Keys(read))); near != "" {
				hint = "did you mean " + near + "?"
			}
			b.problems.Add(root.Get("given").KeyAt(name), "no tested output reads "+name, hint)
		}
	}
	return t
}

func (b *builder) testPartition(root strictyaml.Value, p *Pipeline) partition.Key {
	v := root.Get("partition")
	text, ok := v.Data.(string)
	switch {
	case p.Partition.Validate() != nil:
		return "" // the scheme is the problem
	case !ok && p.Partition.By == partition.All:
		return partition.AllKey
	case !ok:
		if root.OK() && !slices.Contains(root.Names(), "partition") {
			b.problems.Add(root.At, `the key "partition" is missing`, "name the partition that is built")
		}
		return ""
	}
	key, err := p.Partition.Parse(text)
	if err != nil {
		b.problems.Add(v.At, reasonOf(err), fault.HintOf(err))
	}
	return key
}

// sameColumns holds expected rows to one list of columns: rows are compared as a multiset of those.
func (b *builder) sameColumns(rows strictyaml.Value) {
	items := rows.Items()
	for _, row := range items {
		if row.OK() && len(row.Names()) == 0 {
			b.problems.Add(row.At, "the row has no column", "list the columns to compare")
		}
		want, got := slices.Sorted(slices.Values(items[0].Names())), slices.Sorted(slices.Values(row.Names()))
		if !slices.Equal(want, got) {
			b.problems.Add(row.At, "the row has other columns than the first one: "+strings.Join(want, ", "),
				"list the same columns in every row, null where there is no value")
		}
	}
}

func rowsOf(v strictyaml.Value) map[string][]Row {
	out := map[string][]Row{}
	for _, name := range v.Names() {
		rows := []Row{}
		for _, item := range v.Get(name).Items() {
			row := Row{}
			for _, column := range item.Names() {
				data := item.Get(column).Data
				if data == (strictyaml.Null{}) {
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
