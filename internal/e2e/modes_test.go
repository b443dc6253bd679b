package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// One release, and one line of each environment's config: dev appends what staging merges.
func TestAReleaseAppendsInOneEnvironmentAndMergesInAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("worker", "--env", "dev", "--env", "staging", "--workflows")
	w.cli(0, "deploy", w.release("1.0.0", "shop_dev\nwrite_mode: replace", "shop_dev\nwrite_mode: append", "shop_staging\nwrite_mode: replace", "shop_staging\nwrite_mode: merge"), "--to", "staging")
	orders := func(env string) (rows, cents int) {
		where := schemaOf(env) + ".orders WHERE ordered_on = '" + newestDay + "'"
		return w.number("SELECT count(*) FROM " + where), w.number("SELECT (100 * sum(amount))::int FROM " + where)
	}
	devRows, devCents := orders("dev")
	stagingRows, stagingCents := orders("staging")
	require.Equal(t, ordersPerDay, devRows)
	require.Equal(t, ordersPerDay, stagingRows)

	w.write(sourceOf(newestDay), ordersColumns+"\n5900,"+newestDay+",web,1.00,EUR\n")
	run := func(env string) string {
		a := w.cli(0, "run", "shop", "--env", env, "--partition", newestDay)
		return a.out + a.err
	}
	late := func(env string, rows, cents int) {
		nowRows, nowCents := orders(env)
		require.Equal(t, [2]int{rows, cents}, [2]int{nowRows, nowCents}, env)
	}
	run("dev")
	run("staging")
	late("dev", devRows+1, devCents+100)
	late("staging", stagingRows+1, stagingCents+100)
	require.Contains(t, run("dev"), "nothing is appended twice")
	late("dev", devRows+1, devCents+100)
	w.write(sourceOf(newestDay), ordersColumns+"\n5900,"+newestDay+",web,3.00,EUR\n")
	run("staging")
	late("staging", stagingRows+1, stagingCents+300)

	back := w.cli(0, "rollback", "shop", "--env", "dev", "--partition", newestDay, "--to", "last-good", "--reason", "the file was wrong")
	late("dev", devRows, devCents)
	require.Contains(t, back.out+back.err, "pending again")
	require.Contains(t, w.cli(0, "history", "shop", "--env", "dev").out, "pending: batch files-")
	w.write(sourceOf(newestDay), ordersColumns+"\n5900,"+newestDay+",web,1.00,EUR\n")
	require.NotContains(t, run("dev"), "nothing is appended twice")
	late("dev", devRows+1, devCents+100)
	require.NotContains(t, w.cli(0, "history", "shop", "--env", "dev").out, "pending: batch")

	w.write(sourceOf(newestDay), ordersColumns+"\n5901,"+newestDay+",app,2.00,EUR\n")
	w.cli(0, "run", "shop", "--env", "dev", "--partition", newestDay, "--batch", "by-hand")
	late("dev", devRows+2, devCents+300)
	refused := w.try("run", "shop", "--env", "staging", "--partition", newestDay, "--batch", "by-hand")
	require.Equal(t, 1, refused.code)
	require.Contains(t, refused.out+refused.err, "write_mode of staging is merge")

	next := w.release("1.1.0", "shop_dev\nwrite_mode: replace", "shop_dev\nwrite_mode: append", "shop_staging\nwrite_mode: replace", "shop_staging\nwrite_mode: merge", "channel, amount\n", "channel, amount, currency\n")
	plan := w.cli(0, "plan", next, "--to", "staging").out
	require.True(t, strings.Contains(plan, "append: a batch that is live already") && strings.Contains(plan, "merge: the release is applied"), plan)
	w.write(sourceOf(newestDay), ordersColumns+"\n5900,"+newestDay+",web,1.00,EUR\n") // which is live
	w.cli(0, "deploy", next, "--to", "dev")
	late("dev", devRows+2, devCents+300)
}
