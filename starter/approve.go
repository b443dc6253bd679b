package main

import (
	"github.com/spf13/cobra"

	"drawbridge/internal/gate"
)

func (a *app) approveCommand() *cobra.Command {
	var d decision
	cmd := &cobra.Command{
		Use:   "approve PIPELINE[@VERSION]|ID --reason TEXT",
		Short: "Let a change go on at its gate",
		Long:  decisionHelp,
		Example: "  drawbridge approve shop --gate approval-prod --reason 'numbers checked with finance'\n" +
			"  drawbridge approve shop@1.1.0 --plan 9b1e52aa04c1 --reason ok --as ana",
		GroupID: groupDecide,
		Args:    between(1, 1, workflowArgument),
		RunE: func(cmd *cobra.Command, args []string) error {
			d.choice = string(gate.Approve)
			return a.decide(cmd.Context(), args[0], d)
		},
	}
	d.flags(a, cmd)
	return cmd
}

// decisionHelp is what the three commands of deciding share.
const decisionHelp = `PIPELINE is its deployment that is open, or else the newest; of several open ones it is the one that asks, and where several
ask, name one: PIPELINE@VERSION. Where none does, the backfill, run or rollback of the pipeline that asks is meant. Without --gate
and --plan the one open gate and its plan are meant; where several gates are open, both have to be named. A decision about
another plan is refused. When no worker answers within ten seconds the decision is recorded, and applied when one returns.
With --watch it follows then until the deployment is over, which is after its watch; Ctrl-C leaves it to go on by itself.`
