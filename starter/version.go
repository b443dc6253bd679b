package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version of this program",
		Long:    "Prints the version that this program was built as.",
		Example: "  drawbridge version",
		GroupID: groupSetup,
		Args:    between(0, 0, "no argument"),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.print(map[string]string{"version": version})
			}
			fmt.Fprintln(a.Stdout, "drawbridge", version)
			return nil
		},
	}
}
