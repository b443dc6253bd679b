package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestGenerate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, generate(dir))
	files, err := filepath.Glob(filepath.Join(dir, "orders_*.csv"))
	require.NoError(t, err)
	require.Len(t, files, 31)

	seen := map[string]bool{}
	for _, file := range files {
		day := filepath.Base(file)[len("orders_") : len("orders_")+len(time.DateOnly)]
		orders := read(t, file)
		require.Equal(t, []string{"order_id", "ordered_at", "channel", "customer_id", "amount", "currency"}, orders[0])
		orders = orders[1:]
		require.InDelta(t, 2_000, len(orders), 100, "orders of %s", day)
		for _, o := range orders {
			require.False(t, seen[o[0]], "order %s is there twice", o[0])
			seen[o[0]] = true
			at, err := time.Parse(time.RFC3339, o[1])
			require.NoError(t, err)
			require.Equal(t, day, at.UTC().Format(time.DateOnly))
			amount, err := strconv.ParseFloat(o[4], 64)
			require.NoError(t, err)
			require.Greater(t, amount, 0.0)
		}
	}
}

func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	require.NoError(t, generate(first))
	require.NoError(t, generate(second))
	entries, err := os.ReadDir(first)
	require.NoError(t, err)
	require.Len(t, entries, 32)
	for _, e := range entries {
		want, err := os.ReadFile(filepath.Join(first, e.Name()))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(second, e.Name()))
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), e.Name())
	}
}

func read(t *testing.T, path string) [][]string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	return rows
}
