package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func commands() []string {
	a := &app{Main: NewMain(nil, nil)}
	var names []string
	for _, c := range a.root().Commands() {
		names = append(names, c.Name())
	}
	return names
}

func TestHelpIsAsShown(t *testing.T) {
	t.Parallel()
	names := commands()
	require.Contains(t, names, "deploy")
	x := newTerminal(t)
	require.Zero(t, x.run(t))
	golden(t, "help/drawbridge.txt", x.out.String())
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t)
			require.Zero(t, x.run(t, name, "--help"))
			require.Empty(t, x.errOut.String())
			require.Contains(t, x.out.String(), "Examples:\n  ")
			require.Contains(t, x.out.String(), "--json")
			golden(t, "help/"+name+".txt", x.out.String())
		})
	}
}

// A hint is there to be typed: whatever any program of ours proposes has to exist.
func TestEveryCommandThatATextProposesExists(t *testing.T) {
	t.Parallel()
	known := append(commands(), "help", "completion")
	proposed := regexp.MustCompile(`\bdrawbridge ([a-z][a-z-]*)`)
	hint := regexp.MustCompile(`: drawbridge ([a-z][a-z-]*)`)
	adapters := regexp.MustCompile(`^\.\./internal/(catalog|postgres|testdb|warehouse)/`) // they mark what is ours in a server
	seen := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && path != ".." && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		if entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		wording := proposed
		if adapters.MatchString(filepath.ToSlash(path)) {
			wording = hint
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
				for _, m := range wording.FindAllStringSubmatch(text.Value, -1) {
					seen[m[1]] = true
					require.Contains(t, known, m[1], "%s proposes: %s", path, text.Value)
				}
			}
			return true
		})
		return nil
	})
	require.NoError(t, err)
	require.Contains(t, seen, "resume")
	require.Greater(t, len(seen), 15)
}

func TestCompletionIsWritten(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	require.Zero(t, x.run(t, "completion", "bash"))
	require.Contains(t, x.out.String(), "drawbridge")
}

func TestWrongUsageSaysWhatToType(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		text string
		hint string
	}{
		"an unknown command":             {[]string{"depoly"}, `run "depoly": there is no such command`, "did you mean deploy?"},
		"nothing like it":                {[]string{"xyzzyx"}, "there is no such command", "drawbridge --help"},
		"an unknown flag":                {[]string{"deploy", "--tow", "prod"}, "unknown flag: --tow", "drawbridge deploy --help"},
		"an argument too many":           {[]string{"build", "a", "b"}, `"b" is too much`, "drawbridge build --help"},
		"an argument where none is":      {[]string{"inbox", "a"}, "it takes no argument", "drawbridge inbox --help"},
		"no argument":                    {[]string{"deploy"}, "is missing", "drawbridge deploy --help"},
		"flags that exclude each other":  {[]string{"deploy", "x", "--detach", "--watch"}, "exclude each other", "drawbridge deploy --help"},
		"half of a place":                {[]string{"history", "shop", "--env", "dev", "--output", "t"}, "--partition is missing", "--partition VALUE"},
		"a decision without a reason":    {[]string{"approve", "shop"}, "the reason is missing", "--reason TEXT"},
		"a decision without a choice":    {[]string{"decide", "shop", "--reason", "r"}, "the choice is missing", "drawbridge inbox"},
		"half of a place to go back to":  {[]string{"rollback", "shop", "--env", "prod", "--reason", "r", "--output", "o"}, "--partition is missing", "--partition P"},
		"a run of no partition":          {[]string{"run", "shop@1.0.0", "--partition", "postgres://u:hunter2@h/x"}, "no partition is called like that", "2026-01-31"},
		"a rollback of no partition":     {[]string{"rollback", "shop", "--env", "prod", "--reason", "r", "--output", "o", "--partition", "postgres://u:hunter2@h/x"}, "no partition is called like that", "2026-01-31"},
		"a history of no partition":      {[]string{"history", "shop", "--env", "prod", "--output", "o", "--partition", "postgres://u:hunter2@h/x"}, "no partition is called like that", "2026-01-31"},
		"a rebuild since no partition":   {[]string{"plan", "shop@1.0.0", "--to", "dev", "--rebuild", "since=postgres://u:hunter2@h/x"}, "no partition is called like that", "2026-01-31"},
		"a rollback without environment": {[]string{"rollback", "shop", "--reason", "r"}, "--env", "--env prod"},
		"a rollback without reason":      {[]string{"rollback", "shop", "--env", "prod"}, "--reason", "--reason TEXT"},
		"last-good without a partition":  {[]string{"rollback", "shop", "--env", "prod", "--reason", "r", "--to", "last-good"}, "belongs to a partition", "--partition"},
		"a generation that is none":      {[]string{"rollback", "shop", "--env", "prod", "--reason", "r", "--output", "o", "--partition", "p", "--to", "x"}, "no generation", "drawbridge history"},
		"an unknown depth":               {[]string{"rollback", "shop", "--env", "prod", "--reason", "r", "--verify", "deep"}, "deep", "quick or full"},
		"an unknown data":                {[]string{"rollback", "shop", "--env", "prod", "--reason", "r", "--data", "all"}, "all", "rebuild or snapshot"},
		"an unknown compensation":        {[]string{"deploy", "shop@1.0.0", "--to", "dev", "--compensate", "none"}, "none", "failed or all"},
		"an unknown plan format":         {[]string{"plan", "shop@1.0.0", "--to", "dev", "--format", "html"}, "html", "text, md or json"},
		"a run without partition":        {[]string{"run", "shop"}, "the partition is missing", "--partition"},
		"setup without --print":          {[]string{"setup", "--env", "prod"}, "only prints", "--print"},
		"setup without environment":      {[]string{"setup", "--print"}, "--env is missing", "--env prod"},
		"setup with an unusable schema":  {[]string{"setup", "--env", "Prod", "--print"}, "no usable schema", "lower-case"},
		"env without a stack":            {[]string{"env"}, "there is no .drawbridge/devstack.json", "make up"},
		"no Temporal":                    {[]string{"status"}, "reach Temporal", "make up"},
		"a pipeline that is nothing":     {[]string{"deploy", "shop", "--to", "dev"}, "neither a folder", "shop@VERSION"},
		"a folder that is not there":     {[]string{"plan", "./shop", "--to", "dev"}, "there is no pipeline.yaml", "drawbridge init"},
		"a release that is not there":    {[]string{"plan", "shop@1.0.0", "--to", "dev"}, "not in the store", "drawbridge build"},
		"a version that is none":         {[]string{"plan", "shop@1", "--to", "dev"}, "no semantic version", "1.0.0"},
		"a plan without --to":            {[]string{"plan", "shop@1.0.0"}, "--to is missing", "--to prod"},
		"CONFIG that is no config":       {[]string{"run", "shop", "--partition", "p"}, "no config.<env>.yaml", "CONFIG=config.dev.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t)
			if strings.HasPrefix(name, "CONFIG") {
				x.set("CONFIG", "settings.yaml")
			}
			require.Equal(t, int(exitInvalid), x.run(t, tc.args...))
			require.Contains(t, x.errOut.String(), tc.text)
			require.NotContains(t, x.errOut.String(), "hunter2")
			_, hint, found := strings.Cut(x.errOut.String(), "\n→ ")
			require.True(t, found, "the hint has its own line")
			require.Contains(t, hint, tc.hint)
			require.Empty(t, x.out.String())
			require.NotContains(t, x.errOut.String(), "\x1b[", "no colours where no terminal is")

			require.Equal(t, int(exitInvalid), x.run(t, append(tc.args, "--json")...))
			var p problem
			if tc.text != "unknown flag: --tow" { // --json comes after the flag that ends the parsing
				require.NoError(t, json.Unmarshal(x.errOut.Bytes(), &p))
				require.Equal(t, "invalid", p.Class)
				require.Contains(t, p.Text, tc.text)
				require.Contains(t, p.Hint, tc.hint)
			}
		})
	}
}

func TestVersionIsPrinted(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	require.Zero(t, x.run(t, "version"))
	require.Equal(t, "drawbridge dev\n", x.out.String())
	require.Zero(t, x.run(t, "version", "--json"))
	require.JSONEq(t, `{"version":"dev"}`, x.out.String())
}

func TestSetupPrintsSQL(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	require.Zero(t, x.run(t, "setup", "--env", "prod", "--schema", "sales", "--print"))
	require.Contains(t, x.out.String(), `CREATE SCHEMA "sales__ledger" AUTHORIZATION "sales_migrator";`)
}

func TestEnvQuotesForTheShell(t *testing.T) {
	t.Parallel()
	x := newTerminal(t)
	x.write(t, ".drawbridge/devstack.json", `{"temporal_address":"127.0.0.1:7233","warehouse":"postgres://u:it's $HOME@h/w"}`)
	x.main.Dir = x.path("deep", "down")
	require.Zero(t, x.run(t, "env"))
	require.Contains(t, x.out.String(), "export TEMPORAL_ADDRESS='127.0.0.1:7233'\n")
	require.Contains(t, x.out.String(), `export DRAWBRIDGE_WAREHOUSE='postgres://u:it'\''s $HOME@h/w'`+"\n")
	require.Contains(t, x.out.String(), "/.drawbridge/store'\n")
}

func TestColoursAndWidthAreTheTerminals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		terminal bool
		set      [2]string
		coloured bool
		wrapped  bool
	}{
		"a terminal":             {true, [2]string{}, true, true},
		"no colour is wanted":    {true, [2]string{"NO_COLOR", "1"}, false, true},
		"one that is only paper": {true, [2]string{"TERM", "dumb"}, false, false},
		"a pipe":                 {false, [2]string{}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTerminal(t).set(tc.set[0], tc.set[1])
			x.main.Terminal = func(io.Writer) (int, bool) { return 40, tc.terminal }
			require.Equal(t, int(exitInvalid), x.run(t, "depoly-a-pipeline-with-a-long-name-that-is-no-command", "x"))
			require.Equal(t, tc.coloured, strings.Contains(x.errOut.String(), "\x1b["))
			first, _, _ := strings.Cut(x.errOut.String(), "\n")
			require.Equal(t, tc.wrapped, !strings.Contains(first, "there is no such command"), x.errOut.String())
		})
	}
}
