// Package docs_test keeps the documents true: commands that they show exist, with their flags, and the reference of keys
// is what the schemas say.
package docs_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/lint"
	"drawbridge/internal/migrate"
	"drawbridge/internal/pipeline"
)

var update = flag.Bool("update", false, "write the references of keys and operations")

// property is what the reference shows of a key.
type property struct {
	Description string               `json:"description"`
	Default     any                  `json:"default"`
	Examples    []any                `json:"examples"`
	Properties  map[string]*property `json:"properties"`
	Items       *property            `json:"items"`
	AnyOf       []*property          `json:"anyOf"`
	OneOf       []*property          `json:"oneOf"`
	Additional  json.RawMessage      `json:"additionalProperties"`
}

// collect finds the keys below p by the paths of pipeline.SchemaKeys.
func (p *property) collect(path string, found map[string]*property) {
	for name, child := range p.Properties {
		at := strings.TrimPrefix(path+"."+name, ".")
		if found[at] == nil {
			found[at] = child
		}
		child.collect(at, found)
	}
	if p.Items != nil {
		p.Items.collect(path+"[]", found)
	}
	for _, other := range slices.Concat(p.AnyOf, p.OneOf) {
		other.collect(path, found)
	}
	var free property
	if json.Unmarshal(p.Additional, &free) == nil {
		free.collect(path+".*", found)
	}
}

// reference is the table of a document's keys, in the order of its schema.
func reference(t *testing.T, d pipeline.Document) string {
	t.Helper()
	body, err := pipeline.Schema(d)
	require.NoError(t, err)
	var root property
	require.NoError(t, json.Unmarshal(body, &root))
	found := map[string]*property{}
	root.collect("", found)
	var b strings.Builder
	b.WriteString("| key | what | default | example |\n| --- | --- | --- | --- |\n")
	said := map[string]bool{}
	for key := range pipeline.SchemaKeys(d) {
		if said[key.Path] {
			continue
		}
		said[key.Path] = true
		require.Contains(t, found, key.Path)
		p := found[key.Path]
		standard, example := "", ""
		if p.Default != nil && fmt.Sprint(p.Default) != "map[]" {
			standard = code(t, p.Default)
		}
		if len(p.Examples) > 0 {
			example = code(t, p.Examples[0])
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key.Path, strings.ReplaceAll(p.Description, "<env>", `\<env\>`), standard, example)
	}
	return b.String()
}

func code(t *testing.T, value any) string {
	t.Helper()
	text, ok := value.(string)
	if !ok {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		require.NoError(t, e.Encode(value))
		text = strings.TrimSpace(b.String())
	}
	return "`" + strings.ReplaceAll(text, "|", `\|`) + "`"
}

func TestTheReferenceOfKeysIsWhatTheSchemasSay(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("pipeline.md")
	require.NoError(t, err)
	text := string(body)
	for _, d := range pipeline.Documents() {
		begin := fmt.Sprintf("<!-- keys: %s -->\n", d)
		before, rest, ok := strings.Cut(text, begin)
		require.True(t, ok, "pipeline.md has no place for the keys of %s", d)
		_, after, ok := strings.Cut(rest, "<!-- end -->")
		require.True(t, ok)
		text = before + begin + reference(t, d) + "<!-- end -->" + after
	}
	if *update {
		require.NoError(t, os.WriteFile("pipeline.md", []byte(text), 0o644))
		return
	}
	require.Equal(t, text, string(body), "write it again: go test ./docs -update")
}

// lintRules is the table of rules, from their registry.
func lintRules() string {
	var b strings.Builder
	for _, part := range []struct {
		of    lint.Subject
		title string
	}{{lint.Migrations, "In migrations"}, {lint.Queries, "In SELECTs of outputs"}} {
		fmt.Fprintf(&b, "\n| %s | severity | what it sees | why it is dangerous | what to write instead |\n| --- | --- | --- | --- | --- |\n", part.title)
		for _, r := range lint.Rules() {
			if r.Of != part.of {
				continue
			}
			name := "`" + r.Name + "`"
			if r.Alias != "" {
				name += " (`" + r.Alias + "`)"
			}
			severity := string(r.Severity)
			if r.Cost != "" {
				severity += "; a note where the table is known to be small"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", name, severity, r.Sees, r.Why, r.Instead)
		}
	}
	return b.String() + "\n"
}

func TestTheTableOfRulesIsTheRegistrys(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("lint.md")
	require.NoError(t, err)
	const begin, end = "<!-- rules -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(string(body), begin)
	require.True(t, ok)
	_, after, ok := strings.Cut(rest, end)
	require.True(t, ok)
	text := before + begin + lintRules() + end + after
	if *update {
		require.NoError(t, os.WriteFile("lint.md", []byte(text), 0o644))
		return
	}
	require.Equal(t, text, string(body), "write it again: go test ./docs -update")
}

// operations is the table of what a migration does, as the registry has it.
func operations() string {
	var b strings.Builder
	b.WriteString("| operation | what it does | how | strongest lock on the table | way back before contract | Postgres |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, r := range migrate.Recipes() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", r.Kind, r.What, r.How, r.Lock, r.Undo, r.SinceText())
	}
	return b.String()
}

func TestTheTableOfOperationsIsTheRegistry(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("migrations.md")
	require.NoError(t, err)
	text := string(body)
	for name, table := range map[string]string{"operations": operations()} {
		begin := "<!-- " + name + " -->\n"
		before, rest, ok := strings.Cut(text, begin)
		require.True(t, ok, "migrations.md has no place for %s", name)
		_, after, ok := strings.Cut(rest, "<!-- end -->")
		require.True(t, ok)
		text = before + begin + table + "<!-- end -->" + after
	}
	if *update {
		require.NoError(t, os.WriteFile("migrations.md", []byte(text), 0o644))
		return
	}
	require.Equal(t, text, string(body), "write it again: go test ./docs -update")
}

// The example of the document is a migration that is read and planned without a mistake.
func TestTheExampleOfAMigrationIsOne(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile("migrations.md")
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(body), "```yaml\n")
	require.True(t, ok)
	example, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	p, err := pipeline.Parse(map[string][]byte{
		"pipeline.yaml":                []byte("name: shop\nversion: 1.0.0\nowner: sales\npartition: all\noutputs:\n  - {table: t, sql: t.sql, key: [a], checks: [{row_count: {min: 1}}]}\n"),
		"t.sql":                        []byte("SELECT 1 AS a"),
		"config.dev.yaml":              []byte("warehouse_schema: shop\n"),
		"migrations/0007_channel.yaml": []byte(example),
	}, "")
	require.NoError(t, err)
	require.Len(t, p.Migrations, 1)
}

// shown are the places where people read commands of ours.
func shown(t *testing.T) []string {
	t.Helper()
	files := []string{filepath.Join("..", "README.md"), filepath.Join("..", "ARCHITECTURE.md"), filepath.Join("..", "examples", "demo.sh")}
	for _, pattern := range []string{"*.md", filepath.Join("..", "examples", "ci", "*.yml")} {
		more, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, more, pattern)
		files = append(files, more...)
	}
	return files
}

var (
	fence   = regexp.MustCompile("(?s)```[a-z]*\n(.*?)```")
	inline  = regexp.MustCompile("`([^`\n]+)`")
	command = regexp.MustCompile(`(?:^|[\s(])(drawbridge|drawbridge-worker)((?: +[^\s|;&#)]+)+)`)
	option  = regexp.MustCompile(`^--[a-z][a-z-]*`)
)

// commands are the lines of a document that begin with one of our programs: of Markdown those in code, of scripts all.
func commands(file, text string) [][]string {
	text = strings.ReplaceAll(text, "\\\n", " ")
	code := []string{text}
	if strings.HasSuffix(file, ".md") {
		code = nil
		for _, m := range fence.FindAllStringSubmatch(text, -1) {
			code = append(code, m[1])
		}
		for _, m := range inline.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			code = append(code, m[1])
		}
	}
	var found [][]string
	for _, c := range code {
		for line := range strings.Lines(c) {
			line, _, _ = strings.Cut(line, " #")
			for _, m := range command.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
				found = append(found, append([]string{m[1]}, strings.Fields(strings.NewReplacer(`"`, " ", "'", " ").Replace(m[2]))...))
			}
		}
	}
	return found
}

func TestCommandsOfTheDocumentsExist(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "../starter", "../worker")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	programs := map[string]string{"drawbridge": filepath.Join(bin, "starter"), "drawbridge-worker": filepath.Join(bin, "worker")}
	helps := map[string]string{}
	help := func(words []string) string {
		key := strings.Join(words, " ")
		if _, ok := helps[key]; !ok {
			out, err := exec.Command(programs[words[0]], slices.Concat(words[1:], []string{"--help"})...).CombinedOutput()
			require.NoError(t, err, "%s: %s", key, out)
			helps[key] = string(out)
		}
		return helps[key]
	}
	for _, file := range shown(t) {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, words := range commands(file, string(body)) {
			program := words[:1]
			if words[0] == "drawbridge" && !strings.HasPrefix(words[1], "-") && !strings.HasPrefix(words[1], "$") {
				has := func(program []string, command string) bool {
					return regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(command) + ` `).MatchString(help(program))
				}
				program = words[:2]
				require.True(t, has(words[:1], words[1]), "%s shows: %s", file, strings.Join(words, " "))
				if len(words) > 2 && has(program, words[2]) {
					program = words[:3]
				}
			}
			for _, word := range words {
				if flag := option.FindString(word); flag != "" {
					known := regexp.MustCompile(regexp.QuoteMeta(flag) + `\b`).MatchString(help(program))
					require.True(t, known, "%s shows: %s", file, strings.Join(words, " "))
				}
			}
		}
	}
	require.Greater(t, len(helps), 15, "the documents show the commands")
}

// An invariant is worth what its test is: one that was renamed is not proved any more.
func TestTheTestsOfTheInvariantsExist(t *testing.T) {
	t.Parallel()
	body, err := os.ReadFile(filepath.Join("..", "ARCHITECTURE.md"))
	require.NoError(t, err)
	named := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(body), -1)
	require.NotEmpty(t, named)
	declared := map[string]bool{}
	err = filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if entry != nil && entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != ".." {
			return filepath.SkipDir // .drawbridge is a server's
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(string(source), -1) {
			declared[m[1]] = true
		}
		return err
	})
	require.NoError(t, err)
	for _, m := range named {
		require.True(t, declared[m[1]], "there is no %s", m[1])
	}
}

// A package that keeps state, in a server, a file or a history, says in its doc.go what states there are: in a drawing.
func TestAPackageThatKeepsStateHasADrawing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"workflows", "workflows/conduct", "internal/catalog", "internal/warehouse", "internal/postgres", "internal/store"} {
		body, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name), "doc.go"))
		require.NoError(t, err)
		require.Regexp(t, `(?m)^//\t.*[→>⇄]`, string(body), name)
	}
}

// A link of a document leads to a file that is there.
func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	for _, file := range shown(t) {
		body, err := os.ReadFile(file)
		require.NoError(t, err)
		if !strings.HasSuffix(file, ".md") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(string(body), -1) {
			if !strings.Contains(m[1], "://") {
				_, err := os.Stat(filepath.Join(filepath.Dir(file), m[1]))
				require.NoError(t, err, "%s links to it", file)
			}
		}
	}
}
