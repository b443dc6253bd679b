package pipeline

import (
	"regexp"
	"strings"

	"drawbridge/internal/strictyaml"
)

// WriteMode is how the rows of a run meet those that are live in its partition.
type WriteMode string

// The ways to write. Empty is Replace.
const (
	Replace WriteMode = "replace" // they take their place, all of them
	Merge   WriteMode = "merge"   // each takes the place of the one with its key
	Append  WriteMode = "append"  // they are added, once for each batch
)

// Keeps says that rows that are live stay: a generation then depends on the one that it replaces.
func (m WriteMode) Keeps() bool { return m == Merge || m == Append }

// batchNamePattern is how a person may call a batch.
var batchNamePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:-]{0,99}$`)

// FileBatch begins the names of batches that are called after what their files hold.
const FileBatch = "files-"

// BatchName says whether a person may call a batch so.
func BatchName(name string) bool {
	return batchNamePattern.MatchString(name) && !strings.HasPrefix(name, FileBatch)
}

// writeMode reads how runs write, and refuses what no output can be written by.
func (b *builder) writeMode(v strictyaml.Value, p *Pipeline) WriteMode {
	mode := WriteMode(strictyaml.As[string](v))
	if mode != Merge || p == nil {
		return mode
	}
	for _, o := range p.Outputs {
		if len(o.Key) == 0 {
			b.problems.Add(v.At, "merge finds rows by their key, and "+o.Table+" has none", "give it a key in "+File+", or write append or replace")
		}
	}
	return mode
}

// merged reads what an output says of how its rows are merged.
func (b *builder) merged(v strictyaml.Value, o *Output) {
	o.VersionColumn, o.DeleteWhen = strictyaml.As[string](v.Get("version_column")), strictyaml.As[string](v.Get("delete_when"))
	for _, name := range []string{"version_column", "delete_when"} {
		if at := v.Get(name); at.OK() && len(o.Key) == 0 {
			b.problems.Add(at.At, name+" says how rows of one key are merged, and "+o.Table+" has no key", "give it a key, or leave "+name+" out")
		}
	}
	if at := v.Get("delete_when"); at.OK() {
		b.expression(at)
		if strings.Contains(o.DeleteWhen, "@") {
			b.problems.Add(at.At, "delete_when has no placeholders", "select what it needs in "+o.SQLFile)
		}
	}
}
