package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/check"
)

func (a *app) checksumCommand() *cobra.Command {
	var p place
	cmd := &cobra.Command{
		Use:     "checksum PIPELINE --env ENV --output TABLE",
		Short:   "Count and checksum a published table",
		Long:    "Reads a whole published table, through the environment's worker. Equal rows have the equal checksum, in any order.",
		Example: "  drawbridge checksum shop --env prod --output fct_orders",
		GroupID: groupLook,
		Args:    between(1, 1, "PIPELINE"),
		RunE:    func(cmd *cobra.Command, args []string) error { return a.checksum(cmd.Context(), args[0], p) },
	}
	p.flags(cmd)
	return cmd
}

// sum is the answer of checksum.
type sum struct {
	Pipeline    string `json:"pipeline"`
	Environment string `json:"environment"`
	Output      string `json:"output"`
	Rows        int64  `json:"rows"`
	Checksum    string `json:"checksum"`
}

func (a *app) checksum(ctx context.Context, arg string, p place) error {
	if err := p.need("env", "output"); err != nil {
		return err
	}
	res, name, err := a.inspect(ctx, arg, p, activities.InspectInput{Kind: activities.InspectChecksum, Output: p.output})
	if err != nil {
		return err
	}
	if a.json {
		return a.print(sum{Pipeline: name, Environment: p.env, Output: p.output, Rows: res.Rows, Checksum: res.Checksum})
	}
	fmt.Fprintf(a.Stdout, "%s in %s: %s rows, checksum %s\n", p.output, p.env, check.FormatCount(res.Rows), res.Checksum)
	a.next(fmt.Sprintf("drawbridge history %s --env %s", name, p.env))
	return nil
}
