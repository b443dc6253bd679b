package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// proposals are the command lines in a text that are there to be typed: at its beginning, or after a colon, a bracket, a quote
// or the dollar of a shell. Elsewhere a command is only spoken of.
var proposals = regexp.MustCompile("(?:^|: |\\(|`|then |\n *|, or )drawbridge ([^;,)`|#\n]+)")

// typedAs completes a line as a person would: what only a run knows, and what they are told to fill in, becomes a word.
const typedAs = "x"

// text is what an expression of strings says, with a word for all that is not written in it. Of what writes flags by itself
// nothing is known.
func text(e ast.Expr) (said string, known bool) {
	switch x := e.(type) {
	case *ast.BasicLit:
		said, err := strconv.Unquote(x.Value)
		return said, err == nil
	case *ast.BinaryExpr:
		left, knownLeft := text(x.X)
		right, knownRight := text(x.Y)
		return left + right, knownLeft && knownRight
	case *ast.ParenExpr:
		return text(x.X)
	case *ast.CallExpr:
		if f, ok := x.Fun.(*ast.SelectorExpr); ok {
			switch f.Sel.Name {
			case "flags":
				return "", false
			case "String":
				return typedAs + "@" + typedAs, true
			case "Short":
				return strings.Repeat("0", 12), true
			case "Sprintf":
				format, known := text(x.Args[0])
				args := x.Args[1:]
				return verbs.ReplaceAllStringFunc(format, func(string) string {
					if len(args) == 0 {
						return typedAs
					}
					said, ok := text(args[0])
					args, known = args[1:], known && ok
					return said
				}), known
			}
		}
		if f, ok := x.Fun.(*ast.Ident); ok && f.Name == "word" {
			return text(x.Args[0])
		}
	case *ast.SelectorExpr:
		return text(x.Sel)
	case *ast.Ident:
		if x.Name == "Dir" || x.Name == "arg" || x.Name == "what" { // a folder, or a release
			return "./" + typedAs, true
		}
	}
	return typedAs, true
}

// operands are what a sum is made of.
func operands(e ast.Expr) []ast.Expr {
	if sum, ok := e.(*ast.BinaryExpr); ok {
		return append(operands(sum.X), operands(sum.Y)...)
	}
	return []ast.Expr{e}
}

var verbs = regexp.MustCompile(`%[-+# 0-9.]*[a-z]`)

// complete fails unless a command line can be carried out as far as its words go: the command, its flags, its arguments, and the
// flags that its usage says it wants.
func complete(root *cobra.Command, line string) string {
	if help, ok := strings.CutSuffix(line, " --help"); ok {
		line = help
		if _, _, err := root.Find(strings.Fields(line)); err == nil {
			return ""
		}
	}
	words := strings.Fields(strings.NewReplacer("'", "", `"`, "", "…", "").Replace(quotedText.ReplaceAllString(line, typedAs)))
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err.Error()
	}
	if cmd == root {
		return "" // not a command's name: it exists, or is a mark of ours in a server
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err.Error()
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err.Error()
	}
	wants, what := cmd.Use, cmd.Flags().Arg(0)
	switch {
	case (cmd.Name() == "deploy" || cmd.Name() == "plan") && digestPattern.MatchString(what), cmd.Name() == "rollback" && cmd.Flags().Changed("resume"):
		wants = "" // a plan knows how far it goes, and an open turn-back why
	case strings.Contains(cmd.Use, "DIR|PIPELINE@VERSION") && !strings.ContainsAny(what, "@/.") && what != "DIR" && what != typedAs:
		return what + " is no folder and no release"
	}
	for _, m := range regexp.MustCompile(`--([a-z]+)`).FindAllStringSubmatch(wants, -1) {
		if !cmd.Flags().Changed(m[1]) {
			return "--" + m[1] + " is missing"
		}
	}
	return ""
}

var quotedText = regexp.MustCompile(`'[^']*'`)

// What is proposed is typed as it stands: it has to name all that its command wants.
func TestEveryCommandThatATextProposesIsComplete(t *testing.T) {
	t.Parallel()
	seen := 0
	check := func(where, said string) {
		for _, m := range proposals.FindAllStringSubmatch(said, -1) {
			line := strings.TrimSpace(verbs.ReplaceAllString(m[1], typedAs))
			seen++
			a := &app{Main: NewMain(nil, nil)}
			if why := complete(a.root(), line); why != "" {
				t.Errorf("%s proposes drawbridge %s: %s", where, line, why)
			}
		}
	}
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
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		var look func(n ast.Node) bool
		look = func(n ast.Node) bool {
			switch e := n.(type) {
			case *ast.BasicLit:
				if e.Kind == token.STRING {
					said, _ := text(e)
					check(path, said)
				}
			case *ast.CallExpr:
				if f, ok := e.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Sprintf" {
					return true
				}
				if said, known := text(e); known {
					check(path, said)
				}
				for _, arg := range e.Args[1:] {
					ast.Inspect(arg, look)
				}
				return false
			case *ast.BinaryExpr:
				if said, known := text(e); known {
					check(path, said)
				}
				for _, operand := range operands(e) {
					if _, literal := operand.(*ast.BasicLit); !literal {
						ast.Inspect(operand, look)
					}
				}
				return false
			}
			return true
		}
		ast.Inspect(file, look)
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, seen, 100)
}
