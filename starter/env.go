package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/fault"
)

func (a *app) envCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: "Print what to export to use the local stack",
		Long: `Prints shell lines from .drawbridge/devstack.json of the working directory or one above it. They hold the stack's password,
so they are for eval and not for a log.`,
		Example: `  eval "$(drawbridge env)"`,
		GroupID: groupSetup,
		Args:    between(0, 0, "no argument"),
		RunE:    func(*cobra.Command, []string) error { return a.env() },
	}
}

func (a *app) env() error {
	s, _, err := a.stack()
	if errors.Is(err, fs.ErrNotExist) {
		return fault.Newf(fault.Invalid, "find", "the local stack", "start it: make up", "there is no "+stackDir+"/devstack.json here or above")
	}
	if err != nil {
		return err
	}
	variables := []struct{ name, value string }{
		{"TEMPORAL_ADDRESS", s.TemporalAddress},
		{"DRAWBRIDGE_UI", s.UI},
		{"DRAWBRIDGE_WAREHOUSE", s.Warehouse},
		{"DRAWBRIDGE_STORE", a.storeReference()},
		{"TEST_DATABASE_URL", s.TestDatabase},
		{"DRAWBRIDGE_TEST_SUPERUSER_URL", s.TestSuperuser},
	}
	all := map[string]string{}
	var script strings.Builder
	for _, v := range variables {
		all[v.name] = v.value
		fmt.Fprintf(&script, "export %s=%s\n", v.name, shellQuote(v.value))
	}
	return a.answer(all, func(console.Screen) string { return script.String() })
}

// shellQuote makes one word of a text for every POSIX shell.
func shellQuote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
