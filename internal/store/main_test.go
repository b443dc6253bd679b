package store_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/store"
)

// childEnv makes the test binary act as another process: its value is a command of child.
const childEnv = "DRAWBRIDGE_RELEASE_CHILD"

func TestMain(m *testing.M) {
	if command := os.Getenv(childEnv); command != "" {
		os.Exit(child(strings.Fields(command)))
	}
	os.Exit(m.Run())
}

// child runs in a process of its own, so that umask, user and locks are really another's.
func child(args []string) int {
	switch args[0] {
	case "digest": // DIR: writes the tree there and prints the digest of its release
		if err := writeTree(args[1], tree()); err != nil {
			return childFailed(err)
		}
		files, _, err := store.Collect(args[1], store.Options{})
		if err != nil {
			return childFailed(err)
		}
		packed, err := store.Pack("shop", "1.0.0", files)
		if err != nil {
			return childFailed(err)
		}
		fmt.Fprint(os.Stdout, packed.Digest)
	case "push": // STORE NAME COUNT: pushes that many versions
		kept, err := store.OpenStore(args[1])
		if err != nil {
			return childFailed(err)
		}
		var count int
		if _, err := fmt.Sscan(args[3], &count); err != nil {
			return childFailed(err)
		}
		for i := range count {
			packed, err := store.Pack(args[2], fmt.Sprintf("1.0.%d", i), tree())
			if err != nil {
				return childFailed(err)
			}
			if _, err := kept.Push(context.Background(), packed); err != nil {
				return childFailed(err)
			}
		}
	}
	return 0
}

func childFailed(err error) int {
	fmt.Fprintf(os.Stdout, "%s|%v|%s", fault.ClassOf(err), err, fault.HintOf(err))
	return 1
}

func command(t *testing.T, binary string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(args, " "))
	return cmd
}

func executable(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// tree is a small pipeline. The golden digest is of these files.
func tree() store.Files {
	return store.Files{
		"pipeline.yaml":              []byte("name: shop\nversion: 1.0.0\n"),
		"config.dev.yaml":            []byte("warehouse_schema: shop_dev\n"),
		"config.prod.yaml":           []byte("warehouse_schema: shop\n"),
		"sql/fct_orders.sql":         []byte("SELECT 1 AS order_id\n"),
		"contracts/fct_orders.yaml":  {},
		"tests/fct_orders/given.csv": []byte("order_id\n1\n"),
		"tests/ünïcode name.yaml":    []byte("rows: []\n"),
	}
}

// files and release of a test.
func pack(t *testing.T, name, version string, files store.Files) store.Packed {
	t.Helper()
	packed, err := store.Pack(name, version, files)
	require.NoError(t, err)
	return packed
}

func requireFault(t *testing.T, err error, class fault.Class, says ...string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, class, fault.ClassOf(err), err)
	require.NotEmpty(t, fault.HintOf(err), "every fault says what to do next")
	for _, s := range says {
		require.Contains(t, err.Error()+" "+fault.HintOf(err), s)
	}
}
