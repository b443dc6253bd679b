package dispatch

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

// shelf is a server that lists workflows. What it says of one is newer than what it lists.
type shelf struct {
	client.Client
	lists [][]*workflowpb.WorkflowExecutionInfo // one after the other; the last stays
	ended map[string]bool                       // though they are listed as running
	never string                                // an ID that nothing has
	asks  map[string]bool                       // those in which a gate is open
	mute  bool                                  // no worker answers
	query string
}

func (s *shelf) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	s.query = r.GetQuery()
	now := s.lists[0]
	if len(s.lists) > 1 {
		s.lists = s.lists[1:]
	}
	return &workflowservice.ListWorkflowExecutionsResponse{Executions: now}, nil
}

func (s *shelf) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if s.never != "" && id == s.never {
		return nil, serviceerror.NewNotFound("no such workflow")
	}
	now := execution(id, runs, time.Hour)
	if s.ended[id] {
		now.Status = completed
	}
	if s.asks[id] {
		waiting, err := converter.GetDefaultDataConverter().ToPayload(workflows.StageWaiting)
		if err != nil {
			return nil, err
		}
		now.SearchAttributes = &commonpb.SearchAttributes{IndexedFields: map[string]*commonpb.Payload{workflows.StageAttribute: waiting}}
	}
	return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: now}, nil
}

func (s *shelf) QueryWorkflow(_ context.Context, id, _, _ string, _ ...any) (converter.EncodedValue, error) {
	if s.mute {
		return nil, serviceerror.NewFailedPrecondition("no worker polled lately")
	}
	now := at(workflows.StageWatching, gate.Gate{Name: "approval-prod", Decided: gate.Approve})
	if s.asks[id] {
		now = at(workflows.StageWaiting, gate.Gate{Name: "approval-prod"})
	}
	payloads, err := converter.GetDefaultDataConverter().ToPayloads(now)
	return client.NewValue(payloads), err
}

func TestADecisionMeansTheOneThatAsks(t *testing.T) {
	t.Parallel()
	const older, newer, third = "deploy/shop/1.0.0", "deploy/shop/1.1.0", "deploy/shop/1.2.0"
	for name, tc := range map[string]struct {
		open []string
		asks []string
		mute bool
		want string
		says string
	}{
		"one of two":                     {open: []string{newer, older}, asks: []string{newer}, want: newer},
		"the older one":                  {open: []string{newer, older}, asks: []string{older}, want: older},
		"only one is open":               {open: []string{older}, want: older},
		"one waits, and no worker is up": {open: []string{newer, older}, asks: []string{newer}, mute: true, want: newer},
		"several ask":                    {open: []string{third, newer, older}, asks: []string{newer, older}, says: "2 wait for a decision: " + newer + ", " + older},
		"none asks":                      {open: []string{newer, older}, says: "2 are open, and none is known to wait for a decision: " + newer + ", " + older},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{lists: [][]*workflowpb.WorkflowExecutionInfo{nil}, asks: map[string]bool{}, mute: tc.mute}
			for _, id := range tc.open {
				s.lists[0] = append(s.lists[0], execution(id, runs, time.Hour))
			}
			for _, id := range tc.asks {
				s.asks[id] = true
			}
			id, err := (&Desk{Client: s}).FindAsking(t.Context(), "shop")
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				require.Equal(t, fault.Invalid, fault.ClassOf(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, id)
		})
	}
}

func TestANameMeansTheOpenDeploymentOrElseTheNewest(t *testing.T) {
	t.Parallel()
	type executions = []*workflowpb.WorkflowExecutionInfo
	old, young := execution("deploy/shop/1.0.0", completed, 2*time.Hour), execution("deploy/shop/1.1.0", completed, time.Hour)
	watching, crossing := execution("deploy/shop/1.0.0", runs, 2*time.Hour), execution("deploy/shop/1.1.0", runs, time.Hour)
	tried, older := execution("deploy/shop/1.1.0-aaaaaaaa", completed, time.Hour), execution("deploy/shop/1.1.0-dddddddd", completed, 2*time.Hour)
	trying, again := execution("deploy/shop/1.1.0-bbbbbbbb", runs, time.Hour), execution("deploy/shop/1.1.0-cccccccc", runs, time.Minute)
	for name, tc := range map[string]struct {
		arg   string
		lists []executions
		ended string
		never string
		want  string
		says  string
	}{
		"a full ID":                      {arg: "run/shop/dev/all", want: "run/shop/dev/all"},
		"a release":                      {arg: "shop@1.0.0", want: "deploy/shop/1.0.0"},
		"a try":                          {arg: "shop@1.1.0+0123abcd", want: "deploy/shop/1.1.0-0123abcd"},
		"a release beside its tries":     {arg: "shop@1.1.0", want: "deploy/shop/1.1.0"},
		"the one open try of a version":  {arg: "shop@1.1.0", never: "deploy/shop/1.1.0", lists: []executions{{tried, trying, watching}}, want: "deploy/shop/1.1.0-bbbbbbbb"},
		"the newest try of a version":    {arg: "shop@1.1.0", never: "deploy/shop/1.1.0", lists: []executions{{older, tried, young}}, want: "deploy/shop/1.1.0-aaaaaaaa"},
		"two open tries":                 {arg: "shop@1.1.0", never: "deploy/shop/1.1.0", lists: []executions{{trying, again}}, says: "2 are open: deploy/shop/1.1.0-bbbbbbbb, deploy/shop/1.1.0-cccccccc"},
		"a version that nothing has":     {arg: "shop@1.2.0", never: "deploy/shop/1.2.0", lists: []executions{{tried, trying, watching}}, says: "there is none"},
		"the newest of those that ended": {arg: "shop", lists: []executions{{old, young}}, want: "deploy/shop/1.1.0"},
		"an older one that is open":      {arg: "shop", lists: []executions{{watching, young}}, want: "deploy/shop/1.0.0"},
		"several are open":               {arg: "shop", lists: []executions{{crossing, watching}}, says: "2 are open: deploy/shop/1.1.0, deploy/shop/1.0.0"},
		"one has just ended":             {arg: "shop", lists: []executions{{crossing, watching}}, ended: "deploy/shop/1.0.0", want: "deploy/shop/1.1.0"},
		"one has just begun":             {arg: "shop", lists: []executions{{}, {crossing}}, want: "deploy/shop/1.1.0"},
		"none":                           {arg: "shop", lists: []executions{{}}, says: "there is none"},
		"no name":                        {arg: "shop' OR '", says: "there is none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shelf{lists: tc.lists, ended: map[string]bool{tc.ended: true}, never: tc.never}
			id, err := (&Desk{Client: s}).Find(t.Context(), tc.arg)
			if tc.says != "" {
				require.ErrorContains(t, err, tc.says)
				require.Equal(t, fault.Invalid, fault.ClassOf(err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, id)
			require.Equal(t, len(tc.lists) > 0, strings.Contains(s.query, "'deploy/shop/'"), s.query)
		})
	}
}

// A watch goes on in new histories, days after a newer deployment has begun: it is no newer for that.
func TestADeploymentIsAsOldAsItsFirstHistory(t *testing.T) {
	t.Parallel()
	at, err := converter.GetDefaultDataConverter().ToPayload(noon().Add(-72 * time.Hour).Format(time.RFC3339Nano))
	require.NoError(t, err)
	watched := execution("deploy/shop/1.0.0", completed, time.Hour)
	watched.Memo = &commonpb.Memo{Fields: map[string]*commonpb.Payload{since: at}}
	newer := execution("deploy/shop/1.1.0", completed, 2*time.Hour)
	for _, all := range [][]*workflowpb.WorkflowExecutionInfo{{watched, newer}, {newer, watched}} {
		require.Equal(t, newer, newest(all))
	}
}
