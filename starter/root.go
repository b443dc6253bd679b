package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"drawbridge/internal/fault"
	"drawbridge/internal/temporalx"
)

// Main is the program with everything that it touches, so that a test runs it as a user does.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Dir is where .drawbridge is looked for, and then its parents.
	Dir string
	Env func(name string) string
	Now func() time.Time
	// Terminal says whether what is written is read in a terminal, and how many columns that has; 0 where it does not say.
	Terminal func(w io.Writer) (width int, ok bool)
	// Dial connects to Temporal.
	Dial func(ctx context.Context, opts temporalx.Options) (client.Client, error)
}

// NewMain returns the program in the environment of this process.
func NewMain(stdout, stderr io.Writer) *Main {
	return &Main{Stdin: os.Stdin, Stdout: stdout, Stderr: stderr, Dir: ".", Env: os.Getenv, Now: time.Now, Terminal: terminalOf, Dial: temporalx.Dial}
}

// Run carries out one command line and returns its exit code.
func (m *Main) Run(ctx context.Context, args []string) int {
	a := &app{Main: m}
	root := a.root()
	root.SetArgs(append([]string{}, args...)) // never nil: cobra would read the arguments of the process
	root.SetOut(m.Stdout)
	root.SetErr(m.Stderr)
	err := root.ExecuteContext(ctx)
	a.close()
	return int(m.finish(ctx, err, a.json))
}

const (
	groupChange = "change"
	groupLook   = "look"
	groupDecide = "decide"
	groupSetup  = "setup"
)

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "drawbridge",
		Short: "Ship changes to data pipelines through gates, and turn them back",
		Long: `Drawbridge packs a pipeline into a release, takes it through dev, staging and prod with a canary and approvals,
watches it, and turns code and data back when something is wrong. What it starts runs in Temporal: closing the terminal
stops nothing.

Exit codes: 0 done, 1 usage or invalid input, 2 refused or a failed check, 3 rolled back, 4 waiting for a person (at a gate, or
paused), 5 stuck (turned back in part), 130 interrupted while following (what was started goes on).`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err.Error()) })
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print data and errors as JSON")
	root.PersistentFlags().StringVar(&a.storeRef, "store", "", "artifact store: a folder or an OCI repository (default $DRAWBRIDGE_STORE, then .drawbridge/store)")
	root.SuggestionsMinimumDistance = 2
	root.AddGroup(
		&cobra.Group{ID: groupChange, Title: "Change a pipeline:"},
		&cobra.Group{ID: groupDecide, Title: "Decide:"},
		&cobra.Group{ID: groupLook, Title: "Look:"},
		&cobra.Group{ID: groupSetup, Title: "Set up:"},
	)
	root.AddCommand(
		a.initCommand(), a.validateCommand(), a.buildCommand(), a.planCommand(), a.deployCommand(), a.runCommand(),
		a.backfillCommand(), a.retryFailedCommand(), a.skipCommand(), a.migrateCommand(), a.scheduleCommand(),
		a.adoptCommand(), a.releaseTableCommand(),
		a.rollbackCommand(), a.recoverCommand(),
		a.pauseCommand(), a.resumeCommand(), a.setLanesCommand(), a.setWindowCommand(), a.cancelCommand(),
		a.approveCommand(), a.rejectCommand(), a.decideCommand(), a.inboxCommand(), a.holdCommand(), a.releaseHoldCommand(),
		a.statusCommand(), a.gapsCommand(), a.historyCommand(), a.diffCommand(), a.checksumCommand(),
		a.lintMigrationCommand(), a.doctorCommand(), a.notifyCommand(), a.setupCommand(), a.envCommand(), a.versionCommand(),
	)
	root.SetHelpCommandGroupID(groupSetup)
	root.SetCompletionCommandGroupID(groupSetup)
	return root
}

func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "list them: drawbridge --help"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return fault.Newf(fault.Invalid, "run", fmt.Sprintf("%q", args[0]), hint, "there is no such command")
}

// usage is a fault in how a command was typed.
func usage(cmd *cobra.Command, reason string) error {
	return fault.Newf(fault.Invalid, "read", "the command line", "see: "+cmd.CommandPath()+" --help", reason)
}

// between accepts from min to max arguments, named for the message.
func between(min, max int, name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < min:
			return usage(cmd, name+" is missing")
		case len(args) > max && max == 0:
			return usage(cmd, fmt.Sprintf("%q is too much: it takes no argument", args[0]))
		case len(args) > max:
			return usage(cmd, fmt.Sprintf("%q is too much: it takes %s", args[max], name))
		}
		return nil
	}
}
