package pipeline

import (
	"maps"
	"slices"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/sqltext"
	"drawbridge/internal/strictyaml"
)

// Load is a step that copies files, or what a SELECT returns in another database, into a relation that only the run sees.
type Load struct {
	Name string `json:"name"`
	// File is how the files are called, relative to the config's source_files: a Pattern. Of an extract it is what people are told:
	// the SQL's file, and where it is run.
	File string `json:"file"`
	// Parts are the columns that the load's rows have from the names of their files, as text: those that SQL asks for of "@file",
	// the path, and "@file.store", what stands in place of {store}.
	Parts  []string `json:"parts,omitempty"`
	Format Format   `json:"format"`
	// Columns give the types of the file's columns by header name; a column that is not listed is text. Without a header they are
	// the file's columns, in their order; of JSON Lines they are the members that are read. Every one has to be in the file.
	Columns []Column `json:"columns,omitempty"`
	// Encoding is the file's, by its Postgres name or that of IANA; empty: UTF-8.
	Encoding string `json:"encoding,omitempty"`
	// Delimiter, Quote and Escape are single characters; empty: a comma, a double quote, and the quote itself. Quote may be QuoteNone.
	Delimiter string `json:"delimiter,omitempty"`
	Quote     string `json:"quote,omitempty"`
	Escape    string `json:"escape,omitempty"`
	// NoHeader says that the first line is a row.
	NoHeader bool `json:"no_header,omitempty"`
	// Null are the unquoted texts that stand for NULL; nil: the empty one.
	Null []string `json:"null,omitempty"`
	// SkipBlankLines says that lines without a character are no rows; else they are refused.
	SkipBlankLines bool `json:"skip_blank_lines,omitempty"`
	// Dates is the order of a day's parts, dmy or mdy; empty: days are written as ISO 8601 does.
	Dates string `json:"dates,omitempty"`
	// Decimal is the character before the decimals of a number; empty: a point.
	Decimal string `json:"decimal,omitempty"`
	// Timezone is the zone of times that are written without an offset; empty: the pipeline's.
	Timezone string `json:"timezone,omitempty"`
	// OnBadRow says what becomes of a row that cannot be read, and MaxRejects how many may be left out.
	OnBadRow   OnBadRow `json:"on_bad_row,omitempty"`
	MaxRejects Limit    `json:"max_rejects,omitzero"`
	// Extract says that the rows come from another database; nil: from File. Its columns that are declared are held to their types.
	Extract *Extract `json:"extract,omitempty"`
}

// FilePart is the column with the path of a row's file, and before a dot and a name that with a part of it.
const FilePart = "@file"

const filePlaceholder = "@" + PartitionParam

// Pattern is how the load's files are called; Parse has refused what is none.
func (l Load) Pattern() (Pattern, error) { return ParsePattern(l.File) }

// Path is how the load's files of a partition are called, relative to source_files: of one file, its path.
func (l Load) Path(key partition.Key) string {
	p, err := l.Pattern()
	if err != nil || l.Extract != nil {
		return l.File
	}
	return p.For(key).String()
}

// Partitioned says whether the load is another one for each partition: it has files of each, or a SELECT with bounds.
func (l Load) Partitioned() bool {
	if l.Extract != nil {
		return usesPlaceholder(l.Extract.SQL)
	}
	p, err := l.Pattern()
	return err == nil && p.Partitioned()
}

// Of is the load as it reads one file of those that its pattern is for.
func (l Load) Of(file string) Load {
	l.File = file
	return l
}

func (b *builder) load(v strictyaml.Value, p *Pipeline) Load {
	l := Load{
		Name: strictyaml.As[string](v.Get("name")),
		File: strictyaml.As[string](v.Get("file")),
	}
	b.form(v, &l)
	for _, c := range l.Columns {
		if c.Name == FilePart || strings.HasPrefix(c.Name, FilePart+".") {
			b.problems.Add(v.Get("columns").Get(c.Name).At, c.Name+" is no column of the file", "leave it out: it is text, and there where the SQL names it; the SQL can cast it")
		}
	}
	b.relationName(v.Get("name"), l.Name, p)
	if b.inside(v.Get("file")) {
		b.pattern(v.Get("file"), p.Partition)
	}
	return l
}

// pattern refuses a load's file of which nobody could say which partition it is of.
func (b *builder) pattern(v strictyaml.Value, s partition.Scheme) {
	pattern, err := ParsePattern(strictyaml.As[string](v))
	if err != nil {
		b.problems.Add(v.At, reasonOf(err), fault.HintOf(err))
		return
	}
	if !pattern.Partitioned() || s.By == "" {
		return
	}
	if s.By == partition.All {
		b.problems.Add(v.At, "the pipeline is one partition, so "+pattern.placeholder()+" has no value", "name one file, or write * in its place")
		return
	}
	if missing := pattern.lacks(s.By); missing != "" {
		b.problems.Add(v.At, "the date in the name does not say the "+string(s.By), missing)
	}
}

// parts finds which columns from the names of files the outputs ask for, and refuses those that no name has.
func (b *builder) parts(root strictyaml.Value, p *Pipeline) {
	for i, o := range p.Outputs {
		for _, name := range slices.Sorted(maps.Keys(sqltext.Identifiers(o.SQL))) {
			part, ok := strings.CutPrefix(name, FilePart+".")
			if !ok && name != FilePart {
				continue
			}
			given := false
			for _, l := range o.Loads(p.Loads) {
				if l.Extract != nil {
					continue
				}
				pattern, err := l.Pattern()
				if err != nil || ok && !slices.Contains(pattern.Parts(), part) {
					given = given || err != nil // its own problem is said
					continue
				}
				given = true
				at := slices.IndexFunc(p.Loads, func(other Load) bool { return other.Name == l.Name })
				if !slices.Contains(p.Loads[at].Parts, name) {
					p.Loads[at].Parts = append(p.Loads[at].Parts, name)
				}
			}
			if !given {
				b.problems.Add(root.Get("outputs").Items()[i].Get("sql").At, o.SQLFile+" asks for "+name+", and no load that it reads has that in its file",
					"write {"+part+"} in the file of a load where the name has it")
			}
		}
	}
	for i := range p.Loads {
		slices.Sort(p.Loads[i].Parts)
	}
}

// unusedLoads refuses a load that no output's SQL names: it would be declared and never carried out.
func (b *builder) unusedLoads(root strictyaml.Value, p *Pipeline) {
	var all []map[string]bool
	for _, o := range p.Outputs {
		if o.SQL == "" {
			return // the missing file is the problem
		}
		all = append(all, sqltext.Identifiers(o.SQL))
	}
	for _, step := range root.Get("steps").Items() {
		for _, kind := range []string{"load", "extract"} {
			name := step.Get(kind).Get("name")
			if n, ok := name.Data.(string); ok && !slices.ContainsFunc(all, func(ids map[string]bool) bool { return ids[n] }) {
				b.problems.Add(name.At, "no output reads "+n, "remove the "+kind+", or name it in an output's SQL")
			}
		}
	}
}
