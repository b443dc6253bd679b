package main

import (
	"github.com/spf13/cobra"

	"drawbridge/internal/gate"
)

func (a *app) rejectCommand() *cobra.Command {
	var d decision
	cmd := &cobra.Command{
		Use:     "reject PIPELINE[@VERSION]|ID --reason TEXT",
		Short:   "Turn a change back at its gate",
		Long:    decisionHelp,
		Example: "  drawbridge reject shop --gate approval-prod --reason 'amounts look doubled'",
		GroupID: groupDecide,
		Args:    between(1, 1, workflowArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.choice = string(gate.Reject)
			return a.decide(cmd.Context(), args[0], d)
		},
	}
	d.flags(a, cmd)
	d.compensateFlag(cmd)
	return cmd
}
