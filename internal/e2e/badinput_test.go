package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

// planted is a value of a row that must never be seen outside the warehouse.
const planted = "planted-4711-value"

// Whatever a file holds, the run says what is wrong and where, and what is live stays.
func TestABadFileChangesNothing(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	row := func(fields string) string { return csv(newestDay, 2) + fields + "\n" }
	for _, c := range []struct {
		name, body string
		code       int
		says       []string
	}{
		{"a short row", row("5100," + newestDay + ",web"), 1, []string{"orders_" + newestDay + ".csv, line 4"}},
		{"a wrong type", row("5100," + newestDay + ",web," + planted + ",EUR"), 1, []string{"line 4", "column amount", "numeric(12,2)"}},
		{"a wrong encoding", row("5100," + newestDay + ",w\xe9b,1.00,EUR"), 1, []string{"line 4"}},
		{"a missing column", "order_id,ordered_on,channel,amount\n5100," + newestDay + ",web,1.00\n", 1, []string{"currency"}},
		{"an empty file", "", 1, []string{"orders_" + newestDay + ".csv"}},
		{"a header alone", csv(newestDay, 0), 2, []string{"row_count"}},
		{"duplicate keys", row("5000," + newestDay + "," + planted + ",1.00,EUR"), 1, []string{"order_id", "must be unique"}},
		{"a NULL key", row("," + newestDay + "," + planted + ",1.00,EUR"), 1, []string{"order_id is NULL"}},
		{"a value outside its partition", row("5100," + middleDay + ",web,1.00,EUR"), 1, []string{"partition"}},
	} {
		w.write(sourceOf(newestDay), c.body)
		a := w.try("run", "shop@1.0.0", "--env", "dev", "--partition", newestDay)
		require.Equal(t, c.code, a.code, "%s\n%s%s", c.name, a.out, a.err)
		for _, text := range c.says {
			require.Contains(t, a.out+a.err, text, c.name)
		}
		w.holds("dev", four)
		w.tidy("dev")
	}
	w.record(workflows.RunID(shop, "dev", newestDay), "refused")
	w.remove(sourceOf(newestDay))
	a := w.cli(1, "run", "shop@1.0.0", "--env", "dev", "--partition", newestDay)
	require.Contains(t, a.out+a.err, "orders_"+newestDay+".csv")
	require.Contains(t, a.out+a.err, "it is not there")
	w.write(sourceOf(newestDay), csv(newestDay, ordersPerDay))
	w.cli(0, "run", "shop@1.0.0", "--env", "dev", "--partition", newestDay)
	w.holds("dev", four)
	w.never(planted)
}

// Whatever a pipeline says, it is refused before anything is touched.
func TestABadReleaseChangesNothing(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	for i, c := range []struct {
		name    string
		replace []string
		code    int
		says    []string
	}{
		{"malformed YAML", []string{"owner: shop-data", "owner: [shop-data"}, 1, []string{"pipeline.yaml:"}},
		{"an unknown key", []string{"owner: shop-data", "ownr: shop-data"}, 1, []string{"pipeline.yaml:3:1", "owner"}},
		{"a version that is no semver", []string{"version: 1.1.2", "version: one"}, 1, []string{"pipeline.yaml:2:10", "semantic version"}},
		{"a literal password", []string{"warehouse: warehouse", "warehouse: postgres://u:" + planted + "@h/d"}, 2, []string{"config."}},
		{"SQL that fails", []string{"channel, amount\n", "chanel, amount\n"}, 2, []string{"chanel"}},
		{"SQL of another type", []string{"channel, amount\n", "channel, amount::text AS amount\n"}, 2, []string{"amount"}},
		{"SQL without its key", []string{"order_id, ordered_on, channel", "order_id AS id, ordered_on, channel"}, 2, []string{"order_id"}},
	} {
		folder := w.folder(fmt.Sprintf("1.1.%d", i), c.replace...)
		a := w.try("deploy", folder, "--to", "dev")
		require.Equal(t, c.code, a.code, "%s\n%s%s", c.name, a.out, a.err)
		for _, text := range c.says {
			require.Contains(t, a.out+a.err, text, c.name)
		}
		w.holds("dev", four)
		require.Equal(t, "1.0.0", w.active("dev"), c.name)
		w.tidy("dev")
	}
	a := w.cli(2, "build", w.folder("1.0.0", "channel, amount\n", "channel, 2 * amount AS amount\n"))
	require.Contains(t, a.err, "the version exists as sha256:")
	w.holds("dev", four)
	w.never(planted)
}

// A release whose bytes were changed after it was built is noticed by whoever reads it.
func TestATamperedArtifactIsRefused(t *testing.T) {
	t.Parallel()
	w, first := liveInDev(t)
	w.cli(0, "build", w.withCurrency("1.1.0"))
	blobs, err := filepath.Glob(w.path("store/blobs/sha256/*"))
	require.NoError(t, err)
	changed := 0
	for _, name := range blobs {
		body, err := os.ReadFile(name)
		require.NoError(t, err)
		if text := string(body); strings.Contains(text, "channel, amount, currency\n") {
			require.NoError(t, os.Chmod(name, 0o644))
			require.NoError(t, os.WriteFile(name, []byte(strings.ReplaceAll(text, "amount, currency\n", "amount, CURRENCY\n")), 0o644))
			changed++
		}
	}
	require.NotZero(t, changed)
	a := w.try("deploy", "shop@1.1.0", "--to", "dev")
	require.NotZero(t, a.code)
	require.Contains(t, a.out+a.err, "digest")
	w.holds("dev", four)

	// A worker that looks into another store says that the release is not there.
	first.kill()
	w.workerIn(w.path("elsewhere"), "blind", "--env", "dev", "--workflows")
	a = w.try("deploy", w.release("1.2.0"), "--to", "dev")
	require.NotZero(t, a.code)
	require.Contains(t, a.out+a.err, "store")
	w.holds("dev", four)
}

// No worker is said at once, with the line that starts one, and never waited for in silence.
func TestNoWorkerIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	folder := w.release("1.0.0")
	for _, args := range [][]string{
		{"plan", folder, "--to", "dev"}, {"validate", folder, "--env", "dev"}, {"deploy", folder, "--to", "dev", "--detach"}, {"status", shop},
	} {
		began := time.Now()
		a := w.try(args...)
		require.Less(t, time.Since(began), 5*time.Second, args)
		require.Contains(t, a.out+a.err, "drawbridge-worker", args)
		require.Contains(t, a.out+a.err, "--workflows", args)
	}
}
