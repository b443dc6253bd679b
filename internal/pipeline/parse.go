package pipeline

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/sqltext"
)

// File is the name of a pipeline's main file.
const File = "pipeline.yaml"

var configFilePattern = regexp.MustCompile(`^config\.([^./]+)\.yaml$`)

// Parse reads a pipeline folder, or what was packed of one, given as slash paths and contents. Every config.<env>.yaml
// in it is checked; the one named by config becomes Pipeline.Config (none, where config is empty).
//
// All problems are returned at once, as a fault.Invalid that holds Problems.
func Parse(files map[string][]byte, config string) (*Pipeline, error) {
	b := builder{files: files, problems: &findings{}}
	content, ok := files[File]
	if !ok {
		b.problems.add(place{file: File}, "the file is missing", "run drawbridge init NAME for a folder that works")
		return nil, b.problems.err("pipeline")
	}
	root := b.problems.read(PipelineDocument, File, content)
	p := b.pipeline(root)
	p.Tests = b.tests(root.get("tests"), p)
	b.configs(p, config)
	if err := b.problems.err("pipeline"); err != nil {
		return nil, err
	}
	return p, nil
}

// builder turns values that fit their shapes into a pipeline, and records what does not fit together.
type builder struct {
	files    map[string][]byte
	problems *findings
}

func (b *builder) pipeline(root value) *Pipeline {
	p := &Pipeline{
		Name:        as[string](root.get("name")),
		Version:     as[string](root.get("version")),
		Owner:       as[string](root.get("owner")),
		Description: as[string](root.get("description")),
		Partition:   b.partition(root.get("partition")),
		Smoke:       Smoke{Latest: latest(root.get("smoke")), MaxRuntime: as[time.Duration](root.get("smoke").get("max_runtime"))},
		Pack:        b.pack(root.get("pack")),

		Environments: b.environments(root.get("environments")),
	}
	if len(p.Name) > maxName {
		b.problems.add(root.get("name").at, fmt.Sprintf("the name is longer than %d characters", maxName), "")
	}
	b.version(root.get("version"))
	for _, step := range root.get("steps").items() {
		if load := step.get("load"); load.ok() {
			p.Loads = append(p.Loads, b.load(load, p))
		}
	}
	for _, output := range root.get("outputs").items() {
		p.Outputs = append(p.Outputs, b.output(output, p))
	}
	b.unusedLoads(root, p)
	p.Canary = b.canary(root.get("canary"), p)
	p.Watch = b.watch(root.get("watch"))
	return p
}

// maxName leaves room for the environment and the kind of work in workflow IDs and session names.
const maxName = 40

func (b *builder) version(v value) {
	text, ok := v.data.(string)
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
		b.problems.add(v.at, fmt.Sprintf("%q is no semantic version", text), hint)
	case parsed.Metadata() != "":
		b.problems.add(v.at, "a version has no build metadata", "leave +"+parsed.Metadata()+" out")
	}
}

func (b *builder) partition(v value) partition.Scheme {
	if as[string](v) == string(partition.All) {
		return partition.Scheme{By: partition.All}
	}
	by := v.get("by")
	s := partition.Scheme{
		By:       partition.By(as[string](by)),
		Column:   as[string](v.get("column")),
		Timezone: as[string](v.get("timezone")),
	}
	if size := by.get("range"); size.ok() {
		s.By, s.Size = partition.Range, as[int64](size)
	}
	if s.By == "" {
		return s // what by holds was refused
	}
	if err := s.Validate(); err != nil {
		b.problems.add(v.at, reasonOf(err), fault.HintOf(err))
	}
	return s
}

func (b *builder) load(v value, p *Pipeline) Load {
	l := Load{
		Name:      as[string](v.get("name")),
		File:      as[string](v.get("file")),
		Format:    as[string](v.get("format")),
		Delimiter: as[string](v.get("delimiter")),
		Encoding:  as[string](v.get("encoding")),
	}
	for _, name := range v.get("columns").names() {
		l.Columns = append(l.Columns, Column{Name: name, Type: as[string](v.get("columns").get(name))})
	}
	if slices.ContainsFunc(p.Loads, func(other Load) bool { return other.Name == l.Name && l.Name != "" }) {
		b.problems.add(v.get("name").at, "another load is named "+l.Name, "give one of them another name")
	}
	b.inside(v.get("file"))
	for _, m := range fileParamPattern.FindAllString(l.File, -1) {
		if m != "@"+PartitionParam {
			b.problems.add(v.get("file").at, "unknown placeholder "+m, "a file name takes @partition only")
		}
	}
	if l.partitioned() && p.Partition.By == partition.All {
		b.problems.add(v.get("file").at, "the pipeline is one partition, so @partition has no value", "name one file")
	}
	return l
}

var fileParamPattern = regexp.MustCompile(`@[A-Za-z_]*`)

// Path is the load's file for a partition, relative to source_files.
func (l Load) Path(key partition.Key) string {
	return strings.ReplaceAll(l.File, "@"+PartitionParam, string(key))
}

func (l Load) partitioned() bool { return strings.Contains(l.File, "@"+PartitionParam) }

func (b *builder) output(v value, p *Pipeline) Output {
	o := Output{
		Table:     as[string](v.get("table")),
		Partition: p.Partition,
		SQLFile:   path.Clean(as[string](v.get("sql"))),
		Key:       v.get("key").strings(),
	}
	if as[string](v.get("partition")) == string(partition.All) {
		o.Partition = partition.Scheme{By: partition.All}
	}
	for _, index := range v.get("indexes").items() {
		o.Indexes = append(o.Indexes, index.strings())
		b.distinct(index, "the index")
	}
	b.distinct(v.get("key"), "the key")
	b.outputName(v.get("table"), p)
	b.outputSQL(v, &o)
	b.outputPartition(v, o, p)
	o.Checks = b.checks(v.get("checks"))
	return o
}

func (b *builder) outputName(v value, p *Pipeline) {
	name, ok := v.data.(string)
	if !ok {
		return
	}
	if slices.ContainsFunc(p.Outputs, func(o Output) bool { return o.Table == name }) {
		b.problems.add(v.at, "another output is named "+name, "give one of them another name")
	}
	if slices.ContainsFunc(p.Loads, func(l Load) bool { return l.Name == name }) {
		b.problems.add(v.at, "a load is named "+name+" too", "rename the load, for example raw_"+name)
	}
}

func (b *builder) outputSQL(v value, o *Output) {
	file := v.get("sql")
	if !file.ok() || !b.inside(file) {
		return
	}
	content, ok := b.files[o.SQLFile]
	if !ok {
		var others []string
		for name := range b.files {
			if strings.HasSuffix(name, ".sql") {
				others = append(others, name)
			}
		}
		slices.Sort(others)
		b.problems.add(file.at, "there is no file "+o.SQLFile, didYouMean(o.SQLFile, others))
		return
	}
	o.SQL = string(content)
	b.problems.selectStatement(o.SQLFile, o.SQL)
}

func (b *builder) outputPartition(v value, o Output, p *Pipeline) {
	if o.Partition.By != partition.All {
		return
	}
	if !v.get("key").ok() {
		b.problems.add(v.at, "an output that is one partition needs a key", "name the columns that tell its rows apart")
	}
	if usesPlaceholder(o.SQL) {
		b.problems.add(v.get("sql").at, "the output is one partition, so @partition has no value in "+o.SQLFile, "read all rows")
	}
	for _, l := range o.Loads(p.Loads) {
		if l.partitioned() && p.Partition.By != partition.All {
			b.problems.add(v.get("sql").at, "the output is one partition, but "+l.Name+" that it reads has a file per partition",
				"read a load whose file has no @partition")
		}
	}
}

// unusedLoads refuses a load that no output's SQL names: it would be declared and never carried out.
func (b *builder) unusedLoads(root value, p *Pipeline) {
	var all []map[string]bool
	for _, o := range p.Outputs {
		if o.SQL == "" {
			return // the missing file is the problem
		}
		all = append(all, sqltext.Identifiers(o.SQL))
	}
	for _, step := range root.get("steps").items() {
		name := step.get("load").get("name")
		if n, ok := name.data.(string); ok && !slices.ContainsFunc(all, func(ids map[string]bool) bool { return ids[n] }) {
			b.problems.add(name.at, "no output reads "+n, "remove the load, or name it in an output's SQL")
		}
	}
}

func (b *builder) pack(v value) Pack {
	pack := Pack{Allow: v.get("allow").strings()}
	for _, glob := range v.get("allow").items() {
		if g, ok := glob.data.(string); ok {
			if _, err := path.Match(g, ""); err != nil {
				b.problems.add(glob.at, fmt.Sprintf("%q is no glob", g), "write it as seeds/*.sql")
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
		}
	}
	if selected != "" && !slices.Contains(names, selected) {
		b.problems.add(place{file: selected}, "the folder has no such config", didYouMean(selected, names))
	}
}

// environments are the crossing's order: the listed one, or dev, staging, prod and then by name. Each has a config.
func (b *builder) environments(v value) []string {
	var configured []string
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		if m := configFilePattern.FindStringSubmatch(name); m != nil {
			configured = append(configured, m[1])
		}
	}
	if !v.ok() {
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
	for _, item := range v.items() {
		if name, ok := item.data.(string); ok && !slices.Contains(configured, name) {
			b.problems.add(item.at, "the folder has no config."+name+".yaml", didYouMean(name, configured))
		}
	}
	return v.strings()
}

// inside refuses a path that leaves the folder.
func (b *builder) inside(v value) bool {
	name, ok := v.data.(string)
	if !ok {
		return false
	}
	if clean := path.Clean(name); clean == ".." || strings.HasPrefix(clean, "../") {
		b.problems.add(v.at, "the path leaves the folder", "use a path inside it")
		return false
	}
	return true
}

// distinct refuses a column that is listed twice.
func (b *builder) distinct(v value, what string) {
	seen := map[string]bool{}
	for _, item := range v.items() {
		name, ok := item.data.(string)
		if !ok {
			continue
		}
		if seen[name] {
			b.problems.add(item.at, what+" names "+name+" twice", "name it once")
		}
		seen[name] = true
	}
}
