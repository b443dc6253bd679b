package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/release"
	"drawbridge/workflows"
)

func TestAHoldNamesWhoWhyAndWhatCouldNotBeReached(t *testing.T) {
	t.Parallel()
	stood := release.Hold{By: "ben", Reason: "quarter end", Since: time.Now()}
	for name, c := range map[string]struct {
		args    []string
		away    string
		stood   *release.Hold
		code    exit
		want    activities.HoldInput
		says    []string
		refused bool
	}{
		"hold":           {[]string{"hold", "--env", "prod", "--reason", "quarter end"}, "", nil, exitDone, activities.HoldInput{Environment: "prod", By: "ana", Reason: "quarter end"}, []string{"shop", "on hold", "release-hold --env prod"}, false},
		"in part":        {[]string{"hold", "--env", "prod", "--reason", "quarter end"}, "no route to host", nil, exitRefused, activities.HoldInput{Environment: "prod", By: "ana", Reason: "quarter end"}, []string{"only in part", "sales", "no route to host"}, false},
		"on hold before": {[]string{"hold", "--env", "prod", "--reason", "lunch"}, "", &stood, exitDone, activities.HoldInput{Environment: "prod", By: "ana", Reason: "lunch"}, []string{"was on hold already", "this one was not set", "quarter end, set by ben", "release-hold --env prod"}, false},
		"the same, told": {[]string{"hold", "--env", "prod", "--reason", "lunch", "--json"}, "", &stood, exitDone, activities.HoldInput{Environment: "prod", By: "ana", Reason: "lunch"}, []string{`"stood": {`, `"by": "ben"`, `"reason": "quarter end"`}, false},
		"release":        {[]string{"release-hold", "--env", "prod"}, "", &stood, exitDone, activities.HoldInput{Environment: "prod", By: "ana", Release: true}, []string{"prod is released by ana", "quarter end, set by ben"}, false},
		"none stood":     {[]string{"release-hold", "--env", "prod"}, "", nil, exitDone, activities.HoldInput{Environment: "prod", By: "ana", Release: true}, []string{"prod was not on hold: nothing was released"}, false},
		"no reason":      {[]string{"hold", "--env", "prod"}, "", nil, exitInvalid, activities.HoldInput{}, []string{"--reason"}, true},
		"no environment": {[]string{"release-hold"}, "", nil, exitInvalid, activities.HoldInput{}, []string{"--env"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := staffed("prod")
			s.result = func(_ context.Context, answer any) error {
				*answer.(*[]activities.Held) = []activities.Held{
					{House: activities.House{Connection: "warehouse", Schema: "shop"}, Stood: c.stood},
					{House: activities.House{Connection: "warehouse", Schema: "sales"}, Stood: c.stood, Unreached: c.away},
				}
				return nil
			}
			x := newTerminal(t).with(s)
			require.Equal(t, int(c.code), x.run(t, c.args...), x.errOut.String())
			for _, text := range c.says {
				require.Contains(t, x.out.String()+x.errOut.String(), text)
			}
			if c.refused {
				require.Empty(t, s.started)
				return
			}
			require.Len(t, s.started, 1)
			require.Equal(t, c.want, s.inputs[0])
			require.Equal(t, workflows.Queue, s.started[0].TaskQueue)
		})
	}
}

func TestAHoldOfAnEnvironmentThatNobodyHasHeardOfAsksForItsName(t *testing.T) {
	t.Parallel()
	s := staffed("prod")
	s.never = "environment/prd"
	x := newTerminal(t).with(s)
	require.Equal(t, int(exitInvalid), x.run(t, "hold", "--env", "prd", "--reason", "quarter end"))
	require.Contains(t, x.errOut.String(), `find environment "prd": no worker is there, and there is no trace of it`)
	require.Contains(t, x.errOut.String(), "check the name; if it is right, start a worker for it: drawbridge-worker --env prd")

	require.Equal(t, int(exitRefused), x.run(t, "hold", "--env", "staging", "--reason", "quarter end"))
	require.Contains(t, x.errOut.String(), "start one: drawbridge-worker --env staging", "it was there")
	require.Empty(t, s.started)
}
