package conduct

import (
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Child is what people know of a workflow that another one starts, before it says it itself.
type Child struct {
	ID      string
	Summary string
	Header  Header // pipeline, release, environment, and who wants it
}

// Child is the context in which a workflow starts another one under an ID that may be taken: then it is refused. The other goes on
// whatever becomes of this one, but for a cancel, which is waited for.
func (c *Conductor) Child(ctx workflow.Context, child Child) workflow.Context {
	h := child.Header
	opts := workflow.ChildWorkflowOptions{
		WorkflowID: child.ID, StaticSummary: child.Summary, WaitForCancellation: true,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		Memo:                  map[string]any{"pipeline": h.Pipeline, "release": h.Release.Version, "by": h.By, "environments": h.Environment},
	}
	if c.attributes {
		var set []temporal.SearchAttributeUpdate
		for _, a := range []struct{ name, value string }{
			{PipelineAttribute, h.Pipeline},
			{EnvironmentAttribute, h.Environment},
			{ReleaseAttribute, h.Release.Version},
			{StageAttribute, string(StagePlanning)},
			{GateAttribute, ""},
		} {
			set = append(set, temporal.NewSearchAttributeKeyKeyword(a.name).ValueSet(a.value))
		}
		opts.TypedSearchAttributes = temporal.NewSearchAttributes(set...)
	}
	return workflow.WithChildOptions(ctx, opts)
}
