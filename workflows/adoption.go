package workflows

import (
	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/workflows/conduct"
)

// Adoption turns a table that was there before into an output, or gives it back.
//
//	plan ──→ (only looked) | refused | prove ──→ adopt
//	     └──→ release
//
// It promises: what readers see stays the same throughout; whatever stops it, the table is as it was or is the output, and the same command
// goes on. Where others hold the table for too long it ends, and names them.
func Adoption(ctx workflow.Context, in activities.AdoptInput) (activities.Adopted, error) {
	op := "adopt "
	if in.Back {
		op = "release "
	}
	op += in.Ask.Output
	in.Target.Owner = owner(ctx)
	out, err := adopt(ctx, op, in)
	return out, conduct.Failure(op, err)
}

func adopt(ctx workflow.Context, op string, in activities.AdoptInput) (out activities.Adopted, err error) {
	environment := in.Target.Environment
	if out.Plan, err = PlanAdoption.Try(ctx, environment, "plan to "+op, in); err != nil || in.Look || len(out.Plan.Refusals) > 0 || out.Plan.Adopted {
		return out, err
	}
	if in.Back {
		out.Result, err = ReleaseTable.Try(ctx, environment, op, in)
		return out, err
	}
	if out.Result, err = ProveAdoption.Try(ctx, environment, "prove what "+in.Ask.Output+" keeps to", in); err != nil || !out.Result.Done {
		return out, err
	}
	out.Result, err = AdoptTable.Try(ctx, environment, op, in)
	return out, err
}
