package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

func TestADeploymentIsNamedByWhatItsReleaseIsKnownAs(t *testing.T) {
	t.Parallel()
	for version, id := range map[string]string{
		"1.4.0":               "deploy/shop/1.4.0",
		"1.4.0+0123abcd":      "deploy/shop/1.4.0-0123abcd",
		"1.4.0-rc.1":          "deploy/shop/1.4.0-rc.1",
		"1.4.0-rc.1+0123abcd": "deploy/shop/1.4.0-rc.1-0123abcd",
		"1.4.0-beef":          "deploy/shop/1.4.0-beef",
	} {
		require.Equal(t, id, workflows.DeploymentID("shop", version))
		pipeline, read, ok := workflows.Deployed(id)
		require.True(t, ok)
		require.Equal(t, []string{"shop", version}, []string{pipeline, read})
	}
	_, _, ok := workflows.Deployed("run/shop/dev/all")
	require.False(t, ok)
}
