package canary_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/gate"
	"drawbridge/internal/release"
)

func TestNothingPassesBecauseNobodyLooked(t *testing.T) {
	t.Parallel()
	active := &release.Release{Pipeline: "shop", Version: "1.0.0"}
	one := func(o gate.Outcome) canary.Named {
		return canary.Named{Name: "ta[2026-01-02]", Verdict: gate.Verdict{Outcome: o}}
	}
	for name, c := range map[string]struct {
		compared []canary.Named
		alone    []string
		active   *release.Release
		want     gate.Outcome
	}{
		"nothing was compared with the active release":        {nil, []string{"ta[2026-01-02]"}, active, gate.Inconclusive},
		"nothing was tried":                                   {nil, nil, active, gate.Inconclusive},
		"no release is active":                                {nil, []string{"ta[2026-01-02]"}, nil, gate.None},
		"one was compared, one is new":                        {[]canary.Named{one(gate.Pass)}, []string{"ta[2026-01-03]"}, active, gate.Pass},
		"one differs, one is new":                             {[]canary.Named{one(gate.Fail)}, []string{"ta[2026-01-03]"}, active, gate.Fail},
		"what was compared counts where no release is active": {[]canary.Named{one(gate.Fail)}, nil, nil, gate.Fail},
		"the worst of many":                                   {[]canary.Named{one(gate.Pass), one(gate.Inconclusive)}, nil, active, gate.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := canary.Fold(c.compared, c.alone, c.active)
			require.Equal(t, c.want, v.Outcome, v.Reason)
			require.NotEmpty(t, v.Reason)
		})
	}
}
