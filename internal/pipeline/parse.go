package pipeline

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
	"drawbridge/internal/strictyaml"
)

// File is the name of a pipeline's main file.
const File = "pipeline.yaml"

var configFilePattern = regexp.MustCompile(`^config\.([^./]+)\.yaml$`)

// Parse reads a pipeline folder, or what was packed of one, given as slash paths and contents. Every config.<env>.yaml
// in it is checked; the one named by config becomes Pipeline.Config (none, where config is empty).
//
// All problems are returned at once, as a fault.Invalid that holds strictyaml.Problems.
func Parse(files map[string][]byte, config string) (*Pipeline, error) {
	b := builder{files: files, problems: &strictyaml.Findings{}, contracts: map[string]strictyaml.Value{}}
	content, ok := files[File]
	if !ok {
		b.problems.Add(strictyaml.Place{File: File}, "the file is missing", "run drawbridge init NAME for a folder that works")
		return nil, b.problems.Err("pipeline")
	}
	root := b.problems.Read(PipelineDocument.shape(), File, content)
	p := b.pipeline(root)
	p.Tests = b.tests(root.Get("tests"), p)
	p.Migrations = b.migrations()
	b.configs(p, config)
	if err := b.problems.Err("pipeline"); err != nil {
		return nil, err
	}
	return p, nil
}

// builder turns values that fit their shapes into a pipeline, and records what does not fit together.
type builder struct {
	files    map[string][]byte
	problems *strictyaml.Findings
	// contracts are the files of contracts that have been read.
	contracts map[string]strictyaml.Value
}

func (b *builder) pipeline(root strictyaml.Value) *Pipeline {
	p := &Pipeline{
		Name:        strictyaml.As[string](root.Get("name")),
		Version:     strictyaml.As[string](root.Get("version")),
		Owner:       strictyaml.As[string](root.Get("owner")),
		Description: strictyaml.As[string](root.Get("description")),
		Runbook:     strictyaml.As[string](root.Get("runbook")),
		Partition:   b.partition(root.Get("partition")),
		Smoke:       Smoke{Latest: latest(root.Get("smoke")), MaxRuntime: strictyaml.As[time.Duration](root.Get("smoke").Get("max_runtime"))},
		Pack:        b.pack(root.Get("pack")),

		Environments: b.environments(root.Get("environments")),
	}
	if len(p.Name) > maxName {
		b.problems.Add(root.Get("name").At, fmt.Sprintf("the name is longer than %d characters", maxName), "")
	}
	b.version(root.Get("version"))
	for _, step := range root.Get("steps").Items() {
		if load := step.Get("load"); load.OK() {
			p.Loads = append(p.Loads, b.load(load, p))
		}
		if extract := step.Get("extract"); extract.OK() {
			p.Loads = append(p.Loads, b.extract(extract, p))
		}
	}
	for _, output := range root.Get("outputs").Items() {
		p.Outputs = append(p.Outputs, b.output(output, p))
	}
	b.unusedLoads(root, p)
	b.parts(root, p)
	b.batch(root.Get("partition").Get("batch"), p)
	p.Canary = b.canary(root.Get("canary"), p)
	p.Watch = b.watch(root.Get("watch"))
	return p
}

// maxName leaves room for the environment and the kind of work in workflow IDs and session names.
const maxName = 40

func (b *builder) version(v strictyaml.Value) {
	text, ok := v.Data.(string)
	if !ok {
		return
	}
	parsed, err := semver.StrictNewVersion(text)
	switch {
	case err != nil:
		hint := "write MAJOR.MINOR.PATCH, for example 1.0.0"
		if near, nearErr := semver.NewVersion(text); nearErr == nil {
			hint = fmt.Sprintf("write %d.%d.%d", near.Major(), near.Minor(), near.Patch())
		}
		b.problems.Add(v.At, fmt.Sprintf("%q is no semantic version", text), hint)
	case parsed.Metadata() != "":
		b.problems.Add(v.At, "a version has no build metadata", "leave +"+parsed.Metadata()+" out")
	case release.MistakenForTry(text):
		b.problems.Add(v.At, fmt.Sprintf("%q ends as a release does that has claimed no version, in - and 8 hexadecimal digits", text),
			"put a word and a dot before the digits, such as dev.")
	}
}

func (b *builder) partition(v strictyaml.Value) partition.Scheme {
	if strictyaml.As[string](v) == string(partition.All) {
		return partition.Scheme{By: partition.All}
	}
	by := v.Get("by")
	s := partition.Scheme{
		By:       partition.By(strictyaml.As[string](by)),
		Column:   strictyaml.As[string](v.Get("column")),
		Timezone: strictyaml.As[string](v.Get("timezone")),
	}
	if size := by.Get("range"); size.OK() {
		s.By, s.Size = partition.Range, strictyaml.As[int64](size)
	}
	if list := by.Get("list"); list.OK() {
		s.By, s.Values = partition.List, listed(list)
	}
	if s.By == "" {
		return s // what by holds was refused
	}
	if err := s.Validate(); err != nil {
		b.problems.Add(v.At, reasonOf(err), fault.HintOf(err))
	}
	return s
}

// listed are the values of a list: each is the name of its partition, or has one.
func listed(v strictyaml.Value) partition.Values {
	var all []partition.Value
	for _, item := range v.Items() {
		one := valueOf(item)
		if one.Key = partition.Key(one.Text); one.Null {
			one.Key = partition.NullKey
		}
		all = append(all, one)
	}
	for _, name := range v.Names() {
		one := valueOf(v.Get(name))
		one.Key = partition.Key(name)
		all = append(all, one)
	}
	return partition.NewValues(all...)
}

func valueOf(v strictyaml.Value) partition.Value {
	if v.Data == (strictyaml.Null{}) {
		return partition.Value{Null: true}
	}
	return partition.Value{Text: cell(v.Data)}
}

// cell is a value of YAML as Postgres reads it.
func cell(value any) string {
	if f, ok := value.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}

// columnsOf are the declared columns of a relation.
func columnsOf(v strictyaml.Value) []Column {
	var columns []Column
	for _, name := range v.Names() {
		columns = append(columns, Column{Name: name, Type: strictyaml.As[string](v.Get(name))})
	}
	return columns
}

// relationName refuses a name that another relation of the run has.
func (b *builder) relationName(v strictyaml.Value, name string, p *Pipeline) {
	if slices.ContainsFunc(p.Loads, func(other Load) bool { return other.Name == name && name != "" }) {
		b.problems.Add(v.At, "another load is named "+name, "give one of them another name")
	}
	if strings.HasPrefix(name, "pg_") || name == "information_schema" {
		b.problems.Add(v.At, name+" is a name of the server's own", "give the load another, for example raw_"+strings.TrimPrefix(name, "pg_"))
	}
}

func (b *builder) output(v strictyaml.Value, p *Pipeline) Output {
	o := Output{
		Table:     strictyaml.As[string](v.Get("table")),
		Partition: p.Partition,
		SQLFile:   path.Clean(strictyaml.As[string](v.Get("sql"))),
		Key:       v.Get("key").Strings(),
	}
	if strictyaml.As[string](v.Get("partition")) == string(partition.All) {
		o.Partition = partition.Scheme{By: partition.All}
	}
	for _, index := range v.Get("indexes").Items() {
		o.Indexes = append(o.Indexes, index.Strings())
		b.distinct(index, "the index")
	}
	b.distinct(v.Get("key"), "the key")
	b.outputName(v.Get("table"), p)
	b.outputSQL(v, &o)
	b.keyScope(v.Get("key_scope"), &o)
	b.outputPartition(v, o, p)
	b.unbound(v.Get("key").At, o)
	o.Checks = b.checks(v.Get("checks"))
	b.contract(v.Get("contract"), &o)
	o.NotRepeatable = b.repeatable(v.Get("repeatable"))
	b.merged(v, &o)
	for _, rule := range v.Get("lint").Names() {
		if o.Lint == nil {
			o.Lint = map[string]string{}
		}
		o.Lint[rule] = strictyaml.As[string](v.Get("lint").Get(rule))
	}
	return o
}

// repeatable is why an output is not held to giving the same rows twice.
func (b *builder) repeatable(v strictyaml.Value) string {
	if is := v.Get("is"); strictyaml.As[bool](is) {
		b.problems.Add(is.At, "every output is held to it unless it says otherwise", "leave repeatable out")
	}
	return strictyaml.As[string](v.Get("because"))
}

func (b *builder) outputName(v strictyaml.Value, p *Pipeline) {
	name, ok := v.Data.(string)
	if !ok {
		return
	}
	if strings.HasPrefix(name, "pg_") {
		b.problems.Add(v.At, name+" is a name of the server's own", "give the output another")
	}
	if slices.ContainsFunc(p.Outputs, func(o Output) bool { return o.Table == name }) {
		b.problems.Add(v.At, "another output is named "+name, "give one of them another name")
	}
	if slices.ContainsFunc(p.Loads, func(l Load) bool { return l.Name == name }) {
		b.problems.Add(v.At, "a load is named "+name+" too", "rename the load, for example raw_"+name)
	}
}

func (b *builder) outputSQL(v strictyaml.Value, o *Output) {
	o.SQL = b.sqlFile(v.Get("sql"), o.SQLFile)
}

// sqlFile is the one SELECT in a file of the folder.
func (b *builder) sqlFile(at strictyaml.Value, name string) string {
	if !at.OK() || !b.inside(at) {
		return ""
	}
	content, ok := b.files[name]
	if !ok {
		var others []string
		for name := range b.files {
			if strings.HasSuffix(name, ".sql") {
				others = append(others, name)
			}
		}
		slices.Sort(others)
		b.problems.Add(at.At, "there is no file "+name, strictyaml.DidYouMean(name, others))
		return ""
	}
	b.selectStatement(name, string(content))
	return string(content)
}

// keyScope reads where the key is unique. What is the default stays empty, as it was before there was another.
func (b *builder) keyScope(v strictyaml.Value, o *Output) {
	if strictyaml.As[string](v) != string(KeyOfOutput) {
		return
	}
	o.KeyScope = KeyOfOutput
	switch {
	case len(o.Key) == 0:
		b.problems.Add(v.At, "the output has no key", "name the columns that tell its rows apart under key")
	case o.Partition.By == partition.All:
		b.problems.Add(v.At, "the output is one partition, in which its key is unique", "leave key_scope out")
	}
}

func (b *builder) outputPartition(v strictyaml.Value, o Output, p *Pipeline) {
	if o.Partition.By != partition.All {
		return
	}
	if !v.Get("key").OK() {
		b.problems.Add(v.At, "an output that is one partition needs a key", "name the columns that tell its rows apart")
	}
	if usesPlaceholder(o.SQL) {
		b.problems.Add(v.Get("sql").At, "the output is one partition, so @partition has no value in "+o.SQLFile, "read all rows")
	}
	for _, l := range o.Loads(p.Loads) {
		if l.Partitioned() && p.Partition.By != partition.All {
			what, instead := "has a file per partition", "read a load whose file has no @partition"
			if l.Extract != nil {
				what, instead = "is read partition by partition", "read an extract whose SELECT has no @partition"
			}
			b.problems.Add(v.Get("sql").At, "the output is one partition, but "+l.Name+" that it reads "+what, instead)
		}
	}
}

func (b *builder) pack(v strictyaml.Value) Pack {
	pack := Pack{Allow: v.Get("allow").Strings()}
	for _, glob := range v.Get("allow").Items() {
		if g, ok := glob.Data.(string); ok {
			if _, err := path.Match(g, ""); err != nil {
				b.problems.Add(glob.At, fmt.Sprintf("%q is no glob", g), "write it as seeds/*.sql")
			}
		}
	}
	return pack
}

// configs checks every config of the folder and selects one.
func (b *builder) configs(p *Pipeline, selected string) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		if !configFilePattern.MatchString(name) {
			continue
		}
		names = append(names, name)
		c := b.config(name, b.files[name], p)
		if name == selected {
			p.Config = c
			p.Config.Timezone = p.Partition.Timezone
		}
	}
	if selected != "" && !slices.Contains(names, selected) {
		b.problems.Add(strictyaml.Place{File: selected}, "the folder has no such config", strictyaml.DidYouMean(selected, names))
	}
}

// environments are the crossing's order: the listed one, or dev, staging, prod and then by name. Each has a config.
func (b *builder) environments(v strictyaml.Value) []string {
	var configured []string
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		if m := configFilePattern.FindStringSubmatch(name); m != nil {
			configured = append(configured, m[1])
		}
	}
	if !v.OK() {
		usual := []string{"dev", "staging", "prod"}
		rank := func(name string) int {
			if i := slices.Index(usual, name); i >= 0 {
				return i
			}
			return len(usual)
		}
		slices.SortStableFunc(configured, func(a, b string) int { return rank(a) - rank(b) })
		return configured
	}
	b.distinct(v, "environments")
	for _, item := range v.Items() {
		if name, ok := item.Data.(string); ok && !slices.Contains(configured, name) {
			b.problems.Add(item.At, "the folder has no config."+name+".yaml", strictyaml.DidYouMean(name, configured))
		}
	}
	return v.Strings()
}

// inside refuses a path that leaves the folder.
func (b *builder) inside(v strictyaml.Value) bool {
	name, ok := v.Data.(string)
	if !ok {
		return false
	}
	if clean := path.Clean(name); clean == ".." || strings.HasPrefix(clean, "../") {
		b.problems.Add(v.At, "the path leaves the folder", "use a path inside it")
		return false
	}
	return true
}

// distinct refuses a column that is listed twice.
func (b *builder) distinct(v strictyaml.Value, what string) {
	seen := map[string]bool{}
	for _, item := range v.Items() {
		name, ok := item.Data.(string)
		if !ok {
			continue
		}
		if seen[name] {
			b.problems.Add(item.At, what+" names "+name+" twice", "name it once")
		}
		seen[name] = true
	}
}
