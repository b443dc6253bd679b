package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/workflows"
)

func TestSmokeBuildsWhatIsPublishedAndWhatIsOnlyTried(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Slices, x.Aside = 1, 2
	e := smooth(t, x)
	var asked []activities.SliceInput
	e.build = func(in activities.SliceInput) (activities.SliceResult, error) {
		asked = append(asked, in)
		p := piece(in.Step, gate.Pass)
		if in.Aside {
			p.Swap.To, p.Audit, p.Why = 3, gate.Fail, "1 check failed"
		}
		return activities.SliceResult{Pieces: []activities.Piece{p}, Seconds: 1}, nil
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageRefused, s.Stage, "an audit that fails aside refuses too")
	require.Len(t, asked, 2)
	require.False(t, asked[0].Aside)
	require.True(t, asked[1].Aside)
	require.NotEqual(t, asked[0].Step, asked[1].Step, "each has an effect key of its own")
	require.NotContains(t, e.seen(), "CompareCanary prod")
}

func TestAControlIsTheActiveReleaseInTheCandidatesPlace(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Slices = 1
	e := smooth(t, x)
	e.baseline = func(in activities.BaselineInput) (activities.BaselineResult, error) {
		return activities.BaselineResult{NeedControl: in.Pieces}, nil
	}
	var control *activities.SliceInput
	e.build = func(in activities.SliceInput) (activities.SliceResult, error) {
		if in.Control != nil {
			control = &in
		}
		return activities.SliceResult{Pieces: []activities.Piece{piece(in.Step, gate.Pass)}, Seconds: 1}, nil
	}
	var compared activities.CompareInput
	e.compare = func(in activities.CompareInput) (activities.CompareResult, error) {
		compared = in
		return activities.CompareResult{Verdict: gate.Verdict{Outcome: gate.Pass}}, nil
	}
	_, err := e.deploy(t)
	require.NoError(t, err)
	require.NotNil(t, control)
	require.Equal(t, previous(), *control.Control)
	require.Equal(t, candidate(), control.Target.Release, "the place is the crossing's: its config, its files, its warehouse")
	require.Equal(t, compared.Target.Config, control.Target.Config)
	require.Equal(t, previous(), *compared.Active)
}

func TestACanaryWithNothingToCompareIsNoQuestionAndNoPass(t *testing.T) {
	t.Parallel()
	x := crossing("prod")
	x.Slices, x.Active = 1, nil
	e := smooth(t, x)
	e.compare = func(activities.CompareInput) (activities.CompareResult, error) {
		return activities.CompareResult{Verdict: gate.Verdict{Outcome: gate.None, Reason: "no baseline"}}, nil
	}
	s, err := e.deploy(t)
	require.NoError(t, err)
	require.Equal(t, workflows.StageDone, s.Stage)
	require.Empty(t, s.Gates)
	require.Equal(t, gate.None, s.Crossings[0].Verdicts[1].Verdict.Outcome)
}
