package scaffold_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/pipeline/scaffold"
)

func TestTheScaffoldIsValidUntouched(t *testing.T) {
	t.Parallel()
	for _, environment := range []string{"dev", "staging", "prod"} {
		files, err := scaffold.New("web-shop")
		require.NoError(t, err)
		p, err := pipeline.Parse(files, "config."+environment+".yaml")
		require.NoError(t, err)
		require.Equal(t, "web-shop", p.Name)
		require.Equal(t, "web_shop_"+environment, p.Config.WarehouseSchema)
		require.Len(t, p.Tests, 1)
		for _, day := range []string{"2026-01-01", "2026-01-02", "2026-01-03"} {
			key, err := p.Partition.Parse(day)
			require.NoError(t, err)
			require.Contains(t, files, p.Loads[0].Path(key))
		}
	}
}

func TestANameThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "Shop", "a b", "../x", "shop: {", "1shop"} {
		_, err := scaffold.New(name)
		require.Equal(t, fault.Invalid, fault.ClassOf(err), name)
	}
}
