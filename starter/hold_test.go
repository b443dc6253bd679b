package main

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/workflows"
)

func TestAHoldNamesWhoWhyAndWhatCouldNotBeReached(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args    []string
		away    string
		code    exit
		want    activities.HoldInput
		says    []string
		refused bool
	}{
		"hold":           {[]string{"hold", "--env", "prod", "--reason", "quarter end"}, "", exitDone, activities.HoldInput{Environment: "prod", By: "ana", Reason: "quarter end"}, []string{"shop", "on hold", "release-hold --env prod"}, false},
		"in part":        {[]string{"hold", "--env", "prod", "--reason", "quarter end"}, "no route to host", exitRefused, activities.HoldInput{Environment: "prod", By: "ana", Reason: "quarter end"}, []string{"only in part", "sales", "no route to host"}, false},
		"release":        {[]string{"release-hold", "--env", "prod"}, "", exitDone, activities.HoldInput{Environment: "prod", By: "ana", Release: true}, []string{"released"}, false},
		"no reason":      {[]string{"hold", "--env", "prod"}, "", exitInvalid, activities.HoldInput{}, []string{"--reason"}, true},
		"no environment": {[]string{"release-hold"}, "", exitInvalid, activities.HoldInput{}, []string{"--env"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := staffed("prod")
			s.result = func(_ context.Context, answer any) error {
				*answer.(*[]activities.Held) = []activities.Held{
					{House: activities.House{Connection: "warehouse", Schema: "shop"}},
					{House: activities.House{Connection: "warehouse", Schema: "sales"}, Unreached: c.away},
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
