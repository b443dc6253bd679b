package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAQuestionAboutAnEnvironmentThatThePipelineDoesNotKnowSaysWhichItKnows(t *testing.T) {
	t.Parallel()
	x := newTerminal(t).with(staffed("dev"))
	require.Zero(t, x.run(t, "build", shop(t, x)), x.errOut.String())
	require.Equal(t, int(exitInvalid), x.run(t, "history", "shop", "--env", "nope"))
	require.Contains(t, x.errOut.String(), `find environment "nope": the pipeline does not know it`)
	require.Contains(t, x.errOut.String(), "choose one of dev, staging, prod")

	require.Equal(t, int(exitRefused), x.run(t, "history", "shop", "--env", "prod"))
	require.Contains(t, x.errOut.String(), "start one: drawbridge-worker --env prod", "its worker is away")
	require.Equal(t, int(exitRefused), x.run(t, "history", "sales", "--env", "nope"))
	require.Contains(t, x.errOut.String(), "start one: drawbridge-worker --env nope", "nothing is known of the pipeline here")
}
