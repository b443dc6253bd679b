package main

import (
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"

	"drawbridge/workflows"
)

func TestAWorkflowStandsWhereTheServerKeepsIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kept map[string]any
		want string
	}{
		"nothing is kept":      {},
		"at a gate":            {map[string]any{workflows.StageAttribute: "waiting", workflows.GateAttribute: "approval-prod"}, "waits at approval-prod"},
		"paused":               {map[string]any{workflows.StageAttribute: "paused", workflows.GateAttribute: ""}, "is paused"},
		"at work":              {map[string]any{workflows.StageAttribute: "crossing", workflows.GateAttribute: ""}, ""},
		"no attribute of ours": {map[string]any{workflows.GateAttribute: 7}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attributes := &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{}}
			for key, value := range c.kept {
				p, err := converter.GetDefaultDataConverter().ToPayload(value)
				require.NoError(t, err)
				attributes.IndexedFields[key] = p
			}
			require.Equal(t, c.want, standing(attributes))
			require.Empty(t, standing(nil))
		})
	}
}
