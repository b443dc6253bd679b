package main

import (
	"github.com/spf13/cobra"

	"drawbridge/internal/console"
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
			return a.answer(map[string]string{"version": version}, func(console.Screen) string { return "drawbridge " + version + "\n" })
		},
	}
}
