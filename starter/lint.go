package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/fault"
	"drawbridge/internal/lint"
)

func (a *app) lintMigrationCommand() *cobra.Command {
	var o lint.Options
	var severity string
	var rules bool
	var at place
	var pipeline string
	cmd := &cobra.Command{
		Use:   "lint-migration FILE...",
		Short: "Find what is dangerous in SQL migrations of any tool",
		Long: `Reads SQL files with Postgres's own parser, and says which statements lock others out, rewrite tables, lose data or break
readers, and what to write instead. FILE may be a folder, of which its *.sql are read in the order of their names, or - for what
comes on stdin. It needs no database, no Temporal and no worker.

With --env and --pipeline the environment's worker is asked how large the tables are, in the schema of that pipeline's warehouse:
what only takes long on a large table is told with the time that it takes, and is a note, which fails nothing, on a small one.

Many tools run a file in one transaction, so that is taken for granted, unless the file has BEGIN or COMMIT itself. It is not so
with --no-transaction, -- +goose NO TRANSACTION, or -- migrate:up transaction:false. Of a file with -- +goose Up or -- migrate:up
only what goes up is looked at. A table that the same file creates is nobody's yet, and may be changed in any way.

-- drawbridge:ignore RULE reason on the line before a statement silences one rule there.

Exit codes: 0 nothing of --severity or graver, 1 a file, or a part of one, could not be read, 2 something was found.`,
		Example: "  drawbridge lint-migration migrations\n  drawbridge lint-migration 0042_add_note.sql --severity warning\n  git show HEAD:0042.sql | drawbridge lint-migration - --no-transaction\n  drawbridge lint-migration migrations --env prod --pipeline shop\n  drawbridge lint-migration --rules",
		GroupID: groupLook,
		RunE: func(cmd *cobra.Command, args []string) error {
			if rules {
				all := lint.Rules()
				return a.answer(all, func(s console.Screen) string { return s.LintRules(all) })
			}
			if len(args) == 0 {
				return usage(cmd, "FILE is missing")
			}
			if !slices.Contains(lint.Severities(), lint.Severity(severity)) {
				return fault.Newf(fault.Invalid, "read", "--severity "+severity, "write error or warning", "there is no such severity")
			}
			if (at.env == "") != (pipeline == "") {
				return fault.Newf(fault.Invalid, "read", "the command line", "give both: --env ENV --pipeline PIPELINE", "--env and --pipeline say together where the tables are")
			}
			return a.lintMigration(cmd.Context(), args, o, lint.Severity(severity), at, pipeline)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.NoTransaction, "no-transaction", false, "the tool runs each statement by itself")
	f.StringVar(&severity, "severity", string(lint.Error), "what makes the exit code 2: error or warning")
	f.StringVar(&at.env, "env", "", "environment whose worker says how large the tables are")
	f.StringVar(&pipeline, "pipeline", "", "pipeline whose warehouse they are in")
	f.BoolVar(&rules, "rules", false, "list the rules instead")
	return cmd
}

// lintMigration looks at files, and is a refusal where one has something of a severity, or of a graver one.
func (a *app) lintMigration(ctx context.Context, args []string, o lint.Options, severity lint.Severity, at place, pipeline string) error {
	files, err := sqlFiles(args)
	if err != nil {
		return err
	}
	asked := args
	if o.NoTransaction {
		asked = append(slices.Clone(args), "--no-transaction")
	}
	if severity != lint.Error {
		asked = append(slices.Clone(asked), "--severity", string(severity))
	}
	if pipeline != "" {
		asked = append(slices.Clone(asked), "--env", at.env, "--pipeline", pipeline)
	}
	reports := make([]lint.Report, len(files))
	for i, file := range files {
		text, err := a.sqlFile(file)
		if err != nil {
			return err
		}
		reports[i] = lint.Migration(file, text, o)
	}
	shown := console.Lint{Args: asked, Severity: severity, Files: len(files), Findings: []lint.Finding{}, Counts: map[lint.Severity]int{}}
	if pipeline != "" {
		if shown.Unsized, err = a.weigh(ctx, reports, at, pipeline); err != nil {
			return err
		}
	}
	for _, r := range reports {
		shown.Findings = append(shown.Findings, r.Findings...)
		shown.Problems = append(shown.Problems, r.Problems...)
		for severity, n := range r.Counts {
			shown.Counts[severity] += n
		}
	}
	if err := a.answer(shown, func(s console.Screen) string { return s.Lint(shown) }); err != nil {
		return err
	}
	switch {
	case len(shown.Problems) > 0:
		return exitInvalid.err()
	case shown.Fails():
		return exitRefused.err()
	}
	return nil
}

// weigh asks a worker how large the tables of reports are, and returns those of which it does not know.
func (a *app) weigh(ctx context.Context, reports []lint.Report, at place, pipeline string) (unknown []string, err error) {
	for _, r := range reports {
		unknown = append(unknown, r.Weighed()...)
	}
	slices.Sort(unknown)
	unknown = slices.Compact(unknown)
	if len(unknown) == 0 {
		return nil, nil
	}
	res, _, err := a.inspect(ctx, pipeline, at, activities.InspectInput{Kind: activities.InspectSizes, Tables: unknown[:min(len(unknown), activities.MaxSizes)]})
	if err != nil {
		return nil, err
	}
	sizes := lint.Sizes{Schema: res.Schema, Tables: map[string]lint.Size{}}
	for _, s := range res.Sizes {
		sizes.Tables[s.Table] = lint.Size{Rows: s.Rows, Bytes: s.Bytes}
	}
	for i := range reports {
		reports[i].Weigh(sizes)
	}
	return slices.DeleteFunc(unknown, func(name string) bool { _, ok := sizes.Tables[name]; return ok }), nil
}

// stdin is how a person names what comes on it.
const stdin = "-"

// sqlFiles are the files that arguments name: of a folder its *.sql.
func sqlFiles(args []string) ([]string, error) {
	var files []string
	for _, arg := range args {
		info, err := os.Stat(arg)
		switch {
		case arg == stdin:
			files = append(files, arg)
			continue
		case err != nil:
			return nil, fault.New(fault.Invalid, "read", arg, "name SQL files, a folder of them, or - for stdin", err)
		case !info.IsDir():
			files = append(files, arg)
			continue
		}
		entries, err := os.ReadDir(arg)
		if err != nil {
			return nil, fault.New(fault.Invalid, "read", arg, "name a folder that can be read", err)
		}
		before := len(files)
		for _, e := range entries {
			if !e.IsDir() && strings.HasSuffix(e.Name(), ".sql") {
				files = append(files, filepath.Join(arg, e.Name()))
			}
		}
		if len(files) == before {
			return nil, fault.Newf(fault.Invalid, "read", arg, "name the folder that holds the migrations", "the folder has no *.sql")
		}
	}
	return files, nil
}

// sqlFile reads a file as far as the linter goes, which refuses longer ones.
func (a *app) sqlFile(file string) (string, error) {
	from := a.Stdin
	if file != stdin {
		f, err := os.Open(file)
		if err != nil {
			return "", fault.New(fault.Invalid, "read", file, "name a file that can be read", err)
		}
		defer f.Close()
		from = f
	}
	body, err := io.ReadAll(io.LimitReader(from, lint.MaxFile+1))
	if err != nil {
		return "", fault.New(fault.Invalid, "read", file, "name a file that can be read", err)
	}
	return string(body), nil
}
