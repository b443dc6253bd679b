package pipeline

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/strictyaml"
)

// SourceDB is what an extract calls the database that the config's source_db names.
const SourceDB = "source_db"

// Extract is a load that is read from another database, by one SELECT there, and not from a file.
type Extract struct {
	// From is SourceDB, or the name of a connection of each environment's policy.
	From    string `json:"from"`
	SQLFile string `json:"sql_file"`
	SQL     string `json:"sql"` // as written
	// Column says in which partition a row is; empty: only the outputs' SELECTs do.
	Column string `json:"column,omitempty"`
	// Timeout is how long one reading may take. Default 10m.
	Timeout time.Duration `json:"timeout"`
}

// FileLoads are the loads that are read from files.
func (p *Pipeline) FileLoads() []Load {
	return slices.DeleteFunc(slices.Clone(p.Loads), func(l Load) bool { return l.Extract != nil })
}

// Extracts are the loads that are read from other databases.
func (p *Pipeline) Extracts() []Load {
	return slices.DeleteFunc(slices.Clone(p.Loads), func(l Load) bool { return l.Extract == nil })
}

// With is the pipeline with the columns of its extracts as their sources say them, by the extract's name.
func (p *Pipeline) With(columns map[string][]Column) *Pipeline {
	known := *p
	known.Loads = slices.Clone(p.Loads)
	for i, l := range known.Loads {
		if said, ok := columns[l.Name]; ok {
			known.Loads[i].Columns = said
		}
	}
	return &known
}

func (b *builder) extract(v strictyaml.Value, p *Pipeline) Load {
	e := &Extract{
		From:    strictyaml.As[string](v.Get("from")),
		SQLFile: path.Clean(strictyaml.As[string](v.Get("sql"))),
		Column:  strictyaml.As[string](v.Get("column")),
		Timeout: strictyaml.As[time.Duration](v.Get("timeout")),
	}
	e.SQL = b.sqlFile(v.Get("sql"), e.SQLFile)
	l := Load{Name: strictyaml.As[string](v.Get("name")), File: e.SQLFile + " at " + e.From, Columns: columnsOf(v.Get("columns")), Extract: e}
	b.relationName(v.Get("name"), l.Name, p)
	if strings.Contains(e.SQLFile, filePlaceholder) {
		b.problems.Add(v.Get("sql").At, "the name of an SQL file holds no placeholder", "write @partition in the SELECT")
	}
	if l.Partitioned() && p.Partition.By == partition.All {
		b.problems.Add(v.Get("sql").At, "the pipeline is one partition, so @partition has no value in "+e.SQLFile, "read all rows")
	}
	b.valueless(e.SQLFile, e.SQL, p.Partition)
	if e.Column != "" && p.Partition.By == partition.All {
		b.problems.Add(v.Get("column").At, "the pipeline is one partition, so no column says in which one a row is", "leave column out")
	}
	return l
}

// SourceName is the connection that an extract's from means under a config: one that the policy allows to be read. Any other is
// fault.Refused.
func (p Policy) SourceName(c Config, from string) (string, error) {
	want, says := from, "the source "+from
	if from == SourceDB {
		want, says = c.SourceDB, "source_db of config."+c.Environment+".yaml"
	}
	if want == "" {
		return "", fault.Newf(fault.Invalid, "read from", from, "add source_db to config."+c.Environment+".yaml: the name of a connection of the policy", "the config has no source_db")
	}
	name, found := p.connectionOf(want, ForSource)
	switch {
	case !found:
		return "", fault.Newf(fault.Refused, "read from", says, fmt.Sprintf("name %s, or ask who keeps the policy of %s to add a connection with use: [source]",
			oneOf(p.connectionsFor(ForSource), "no connection, as none may be read"), c.Environment), "the environment's policy has no such connection")
	case !p.Connections[name].For(ForSource):
		return "", fault.Newf(fault.Refused, "read from", name, "ask who keeps the policy of "+c.Environment+" to add source to the connection's use",
			"the environment's policy lets no extract read over this connection")
	}
	return name, nil
}

// connectionOf finds the connection that has a name or a URL; of several to one database, one that is for the use.
func (p Policy) connectionOf(nameOrURL string, use Use) (name string, found bool) {
	if _, ok := p.Connections[nameOrURL]; ok {
		return nameOrURL, true
	}
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(p.Connections))) {
		if sameDatabase(p.Connections[n].URL, nameOrURL) && (!found || p.Connections[n].For(use) || !p.Connections[name].For(use)) {
			name, found = n, true
		}
	}
	return name, found
}

// connectionsFor are the names of the connections that may be used for something.
func (p Policy) connectionsFor(use Use) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.Connections)) {
		if p.Connections[name].For(use) {
			names = append(names, name)
		}
	}
	return names
}

func oneOf(names []string, none string) string {
	if len(names) == 0 {
		return none
	}
	return strings.Join(names, " or ")
}
