package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/fault"
	"drawbridge/internal/setup"
)

func (a *app) setupCommand() *cobra.Command {
	var env string
	var show bool
	var o setup.Options
	cmd := &cobra.Command{
		Use:   "setup --env ENV --print",
		Short: "Print the SQL that makes an environment's roles and schemas",
		Long: `Prints the SQL that an administrator runs once per environment: a role that owns, one that the worker logs in as, one as
which it runs the SQL of pipelines, one for readers, and the schemas. It needs no connection and sets no password.`,
		Example: "  drawbridge setup --env prod --print | psql -h warehouse.internal -d warehouse\n  drawbridge setup --env prod --schema sales --reader analysts --print",
		GroupID: groupSetup,
		Args:    between(0, 0, "no argument"),
		RunE: func(_ *cobra.Command, _ []string) error {
			if !show {
				return fault.Newf(fault.Invalid, "set up", env, "add --print, read the SQL, and run it in the warehouse's database",
					"the CLI holds no credentials: it only prints")
			}
			return a.printSetup(env, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&env, "env", "", "environment")
	f.BoolVar(&show, "print", false, "print the SQL")
	f.StringVar(&o.Schema, "schema", "", "warehouse_schema of the environment's config (default: ENV)")
	f.StringVar(&o.Migrator, "migrator", "", "role that owns schemas and tables (default SCHEMA_migrator)")
	f.StringVar(&o.Runner, "runner", "", "role that the worker logs in as (default SCHEMA_runner)")
	f.StringVar(&o.Author, "author", "", "role as which the worker runs the SQL of pipelines (default SCHEMA_author)")
	f.StringVar(&o.Reader, "reader", "", "role of those who read (default SCHEMA_reader)")
	return cmd
}

func (a *app) printSetup(env string, o setup.Options) error {
	if env == "" && o.Schema == "" {
		return fault.Newf(fault.Invalid, "set up", "environment", "name it: --env prod", "--env is missing")
	}
	o.Schema = cmp.Or(o.Schema, env)
	text, err := setup.SQL(o)
	if err != nil {
		return err
	}
	return a.answer(struct {
		SQL string `json:"sql"`
	}{text}, func(console.Screen) string { return text })
}
