package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
)

func TestBuildYieldsOneReleaseHoweverOften(t *testing.T) {
	t.Parallel()
	kept := open(t, t.TempDir())
	built, created, err := kept.Build(t.Context(), "shop", "1.0.0", tree())
	require.NoError(t, err)
	require.True(t, created)
	require.Equal(t, golden, built.Digest)

	// As a worker does it, from the source that the CLI left in the store.
	source, err := kept.PutSource(t.Context(), tree())
	require.NoError(t, err)
	files, err := kept.Source(t.Context(), source)
	require.NoError(t, err)
	again, created, err := kept.Build(t.Context(), "shop", "1.0.0", files)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, golden, again.Digest)
}

func TestBuildRefusesSecretsAndKeepsNothing(t *testing.T) {
	t.Parallel()
	kept := open(t, t.TempDir())
	files := tree()
	files["config.prod.yaml"] = []byte("warehouse_schema: shop\nwarehouse: postgres://etl:hunter2@db/warehouse\n")
	_, _, err := kept.Build(t.Context(), "shop", "1.0.0", files)
	requireFault(t, err, fault.Refused, "config.prod.yaml:2:27: password-in-url", "connection of the environment's policy")
	require.NotContains(t, err.Error(), "hunter2")
	versions, err := kept.Versions(t.Context(), "shop")
	require.NoError(t, err)
	require.Empty(t, versions)
}
