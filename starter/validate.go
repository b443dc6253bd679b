package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/lint"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/secret"
	"drawbridge/internal/shell"
	"drawbridge/internal/strictyaml"
	"drawbridge/workflows"
)

func (a *app) validateCommand() *cobra.Command {
	var env string
	var offline bool
	var configs []string
	cmd := &cobra.Command{
		Use:   "validate [DIR|PIPELINE@VERSION]",
		Short: "Check a pipeline: files, secrets, SQL against the warehouse, unit tests",
		Long: `Checks the files here, then has the environment's worker prepare every SELECT against its warehouse, compare columns and
run the unit tests in transactions that are rolled back. It changes nothing. What stands in the SELECTs and is often wrong, such as
now() or SELECT *, is a warning, which the output's lint: in pipeline.yaml silences with a reason. CONFIG=config.dev.yaml selects the environment
as --env dev does. --offline needs neither Temporal nor a worker, and lists what it did not check.`,
		Example: "  drawbridge validate ./shop --env dev\n  CONFIG=config.staging.yaml drawbridge validate ./shop\n  drawbridge validate ./shop --offline",
		GroupID: groupChange,
		Args:    between(0, 1, "DIR or PIPELINE@VERSION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			subject := dirOf(args)
			if offline {
				return a.validateOffline(subject)
			}
			chosen, err := a.environment(env)
			if err != nil {
				return err
			}
			return a.validate(cmd.Context(), subject, chosen, configs)
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "environment whose worker checks (default dev)")
	cmd.Flags().BoolVar(&offline, "offline", false, "check only what needs no worker")
	cmd.Flags().StringArrayVar(&configs, "config", nil, "ENV=FILE: a config that replaces the packed one")
	return cmd
}

// environment is the one that --env or CONFIG names, or dev.
func (a *app) environment(flag string) (string, error) {
	file := a.Env("CONFIG")
	switch {
	case flag != "":
		return flag, nil
	case file == "":
		return "dev", nil
	}
	env, ok := environmentOf(filepath.Base(file))
	if !ok || filepath.Base(file) != file {
		return "", fault.Newf(fault.Invalid, "read", "CONFIG="+file,
			"name a config of the pipeline: CONFIG=config.dev.yaml; another file replaces it with --config ENV=FILE", "it is no config.<env>.yaml")
	}
	return env, nil
}

// unchecked are the checks that need an environment's worker.
func unchecked() []string {
	return []string{
		"SQL: every SELECT prepared against the warehouse, and its columns compared with the table's",
		"unit tests: given rows and expected rows, in a real Postgres",
		"checks and watch checks: their SQL prepared",
		"secrets: whether references can be resolved by the worker",
	}
}

func (a *app) validateOffline(dir string) error {
	f, err := openFolder(dir)
	if err != nil {
		return err
	}
	lines, p := f.lines()
	r := console.Report{Lines: lines, Unchecked: unchecked()}
	if p != nil {
		lintOutputs(p.Outputs, &r)
		uncheckedContracts(p.Outputs, &r)
	}
	return a.showReport(dir, r)
}

// lintOutputs adds what is dangerous in outputs' SQL, and what of it could not be read here; whether it is right is for the server
// to say. What says that it gives other rows each time has said why.
func lintOutputs(outputs []pipeline.Output, r *console.Report) {
	for _, o := range outputs {
		found := lint.Query(o.SQLFile, pipeline.InPlace(o.SQL), o.Lint)
		for _, f := range found.Findings {
			if f.Rule != lint.NowInOutput || o.NotRepeatable == "" {
				r.Warnings = append(r.Warnings, f)
			}
		}
		for _, p := range found.Problems {
			r.Unchecked = append(r.Unchecked, fmt.Sprintf("lint: %s:%d:%d: %s", p.File, p.Line, p.Column, p.Text))
		}
	}
}

// uncheckedContracts adds the rules of contracts to which nothing here holds an output.
func uncheckedContracts(outputs []pipeline.Output, r *console.Report) {
	for _, o := range outputs {
		if o.Contract != nil {
			r.Unchecked = append(r.Unchecked, o.Contract.Unchecked...)
		}
	}
}

// lines are the checks of a folder that need nothing else, a line each, and the pipeline where it can be read.
func (f folder) lines() ([]activities.Validation, *pipeline.Pipeline) {
	var lines []activities.Validation
	for _, x := range secret.Scan(f.files) {
		lines = append(lines, activities.Validation{
			Subject: fmt.Sprintf("%s:%d:%d", x.Path, x.Line, x.Column), Text: "it looks like a secret: " + x.Rule,
			Hint: "put the value into a file or variable of the worker, and refer to it in a connection of the environment's policy",
		})
	}
	if len(lines) == 0 {
		lines = append(lines, activities.Validation{Subject: "secrets", OK: true, Text: fmt.Sprintf("none in %d files", len(f.files))})
	}
	p, err := parse(f.files)
	problems, ok := strictyaml.ProblemsOf(err)
	switch {
	case err == nil:
		for _, env := range p.Environments {
			lines = append(lines, activities.Validation{Subject: configFile(env), OK: true, Text: "fits " + pipeline.File})
		}
		for _, m := range p.Migrations {
			lines = append(lines, activities.Validation{
				Subject: "migration " + m.Name, OK: true,
				Text: "is read; whether " + m.Table + " can be changed so, drawbridge migrate plan says",
			})
		}
	case !ok:
		lines = append(lines, activities.Validation{Subject: f.dir, Text: err.Error(), Hint: fault.HintOf(err)})
	}
	for _, x := range problems {
		lines = append(lines, activities.Validation{Subject: x.Position(), Text: x.Text(), Hint: x.Hint})
	}
	return lines, p
}

func (a *app) validate(ctx context.Context, arg, env string, configs []string) error {
	if isFolder(arg) {
		// What is wrong in the files is said without waiting for anybody.
		f, err := openFolder(arg)
		if err != nil {
			return err
		}
		if lines, _ := f.lines(); (console.Report{Lines: lines}).Failures() > 0 {
			return a.showReport(arg, console.Report{Environment: env, Lines: lines, Unchecked: unchecked()})
		}
	}
	s, err := a.subject(ctx, arg)
	if err != nil {
		return err
	}
	if err := s.releaseNamed(); err != nil {
		return err
	}
	if s.plan != "" {
		return fault.Newf(fault.Invalid, "validate", s.title, "name a folder or PIPELINE@VERSION", "a plan cannot be validated")
	}
	if err := s.in(env); err != nil {
		return err
	}
	replaced, err := a.configs(ctx, configs)
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	res, err := dispatch.Ask[activities.ValidateResult](ctx, desk, "validate", dispatch.Order{
		Workflow: workflows.ValidationName, Pipeline: s.pipeline, Environments: []string{env}, Release: s.version,
		Summary: "validate " + s.title + " in " + env,
		Input: workflows.ValidationInput{
			Pipeline: s.pipeline, Source: s.source, Release: s.release, Environment: env, Config: replaced[env],
		},
	})
	if err != nil {
		return err
	}
	r := console.Report{Environment: env, Lines: res.Lines}
	if n := len(s.migrations); n > 0 {
		r.Lines = append(r.Lines, activities.Validation{
			Subject: "migrations", OK: true, Text: fmt.Sprintf("%d can be read", n),
			Hint: "see what they would do to their tables: drawbridge migrate plan " + shell.Word(arg) + " --env " + shell.Word(env),
		})
	}
	lintOutputs(s.outputs, &r)
	uncheckedContracts(s.outputs, &r)
	return a.showReport(arg, r)
}

// showReport shows what was checked, and is a refusal when something is not right.
func (a *app) showReport(arg string, r console.Report) error {
	if err := a.answer(r, func(s console.Screen) string { return s.Validation(arg, r) }); err != nil {
		return err
	}
	if r.Failures() > 0 {
		return exitInvalid.err()
	}
	return nil
}
