package source_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/source"
)

func names(files []source.File) []string {
	all := make([]string, len(files))
	for i, f := range files {
		all[i] = f.Name
	}
	return all
}

func TestAPartitionHasTheFilesThatAreCalledSo(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{
		"stores/south/sales_7_20260131.csv", "stores/north/sales_3_20260131.csv", "stores/north/sales_4_20260131.csv", "stores/north/sales_3_20260201.csv",
		"stores/north/sales_3_20260131.csv.part", "stores/north/SALES_9_20260131.csv", "stores/north/sales_3_20260230.csv", "stores/sales_1_20260131.csv",
		"stores/.old/sales_3_20260131.csv", "stores/readme.txt", "other/sales_3_20260131.csv",
	} {
		write(t, filepath.Join(root, "shop", name), "id\n")
	}
	require.NoError(t, os.Symlink("../other", filepath.Join(root, "shop/stores/west")))
	files := source.Below(root)
	load := pipeline.Load{Name: "raw", File: "stores/*/sales_{store}_{date:%Y%m%d}.csv", Parts: []string{"@file", "@file.store"}}
	found, err := files.List(config("shop"), load, "2026-01-31")
	require.NoError(t, err)
	require.Equal(t, []string{
		"stores/north/sales_3_20260131.csv", "stores/north/sales_4_20260131.csv", "stores/south/sales_7_20260131.csv", "stores/west/sales_3_20260131.csv",
	}, names(found))
	require.Equal(t, "7", found[2].Column("@file.store"))
	require.Equal(t, "stores/south/sales_7_20260131.csv", found[2].Column("@file"))

	sources, err := files.Partitions(config("shop"), orders(load))
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"2026-01-31", "2026-02-01"}, sources.Keys)
	require.Equal(t, []string{"stores/north/SALES_9_20260131.csv", "stores/north/sales_3_20260230.csv"}, sources.Unfit.First)
	require.Contains(t, sources.Problems(orders(load).Partition)[0].Remedy, "stores/*/sales_{store}_{date:%Y%m%d}.csv")

	_, err = files.List(config("shop"), load, "2026-03-01")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, fault.Invalid, fault.ClassOf(err))
	require.ErrorContains(t, err, "shop/stores/*/sales_{store}_20260301.csv")
	missing, err := files.Missing(config("shop"), orders(load), "2026-03-01")
	require.NoError(t, err)
	require.Equal(t, []string{"shop/stores/*/sales_{store}_20260301.csv"}, missing)
	missing, err = files.Missing(config("shop"), orders(load), "2026-02-01")
	require.NoError(t, err)
	require.Empty(t, missing)
	heads, err := files.Headers(config("shop"), orders(load))
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"raw": {"id"}}, heads)
}

func TestFilesOfDaysMakeAMonth(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"2026/01/o_20260101.csv", "2026/01/o_20260131.csv", "2026/02/o_20260201.csv", "2026/02/o_20260131.csv", "2026/01/o_20260132.csv"} {
		write(t, filepath.Join(root, "shop", name), "id\n")
	}
	load := pipeline.Load{Name: "raw", File: "{date:%Y}/{date:%m}/o_{date:%Y%m%d}.csv"}
	p := orders(load)
	p.Partition.By = partition.Month
	files := source.Below(root)
	sources, err := files.Partitions(config("shop"), p)
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"2026-01", "2026-02"}, sources.Keys)
	require.Equal(t, []string{"2026/01/o_20260132.csv", "2026/02/o_20260131.csv"}, sources.Unfit.First)
	found, err := files.List(config("shop"), load, "2026-01")
	require.NoError(t, err)
	require.Equal(t, []string{"2026/01/o_20260101.csv", "2026/01/o_20260131.csv"}, names(found))
	_, err = files.List(config("shop"), load, "2025-12")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// A day of which one load has a file and another has none is named, however many files the one has.
func TestSeveralFilesOfOneLoadDoNotStandForAnothers(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"a_2026-01-01.csv", "b_2026-01-01.csv", "rates_2026-01-01.csv", "a_2026-01-02.csv", "b_2026-01-02.csv"} {
		write(t, filepath.Join(root, "shop", name), "id\n")
	}
	sources, err := source.Below(root).Partitions(config("shop"), orders(
		pipeline.Load{Name: "raw", File: "[ab]_@partition.csv"}, pipeline.Load{Name: "rates", File: "rates_@partition.csv"}))
	require.NoError(t, err)
	require.Equal(t, []partition.Key{"2026-01-01"}, sources.Keys)
	require.Equal(t, []string{"2026-01-02"}, sources.Incomplete.First)
	require.Zero(t, sources.Unfit.Count)
}

func TestTheNewestOfSeveralFilesSaysWhenAPartitionChanged(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	at := time.Date(2026, 2, 1, 6, 0, 0, 0, time.UTC)
	for name, written := range map[string]time.Time{
		"a/o_20260131.csv": at, "b/o_20260131.csv": at.Add(time.Hour), "b/o_20260130.csv": at.Add(9 * time.Hour), "zones/1.csv": at.Add(-time.Hour), "zones/2.csv": at.Add(-time.Minute),
	} {
		name = filepath.Join(root, "shop", name)
		write(t, name, "id\n")
		require.NoError(t, os.Chtimes(name, written, written))
	}
	dated, zones := pipeline.Load{Name: "raw", File: "[ab]/o_{date:%Y%m%d}.csv"}, pipeline.Load{Name: "zones", File: "zones/*.csv"}
	keys := []partition.Key{"2026-01-31", "2026-01-29"}
	changed, err := source.Below(root).Changed(config("shop"), orders(dated, zones), keys)
	require.NoError(t, err)
	require.Len(t, changed, 2)
	require.True(t, changed["2026-01-31"].Equal(at.Add(time.Hour)))
	require.True(t, changed["2026-01-29"].Equal(at.Add(-time.Minute)))
}

func TestALinkOutOfTheRootIsNotFollowedWhereSeveralFoldersAreLookedThrough(t *testing.T) {
	t.Parallel()
	outside, root := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "o_2026-01-31.csv"), secret+"\n")
	write(t, filepath.Join(root, "shop/a/o_2026-01-31.csv"), "id\n")
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "shop/b")))
	load := pipeline.Load{Name: "raw", File: "*/o_@partition.csv"}
	_, err := source.Below(root).List(config("shop"), load, "2026-01-31")
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "shop/b")
	require.NotContains(t, err.Error(), secret)
	_, err = source.Below(root).Partitions(config("shop"), orders(load))
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
}
