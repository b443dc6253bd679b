package e2e_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/workflows"
)

const euros = `table: orders
why: amount of what
operations:
  - rename_column: {column: amount, to: amount_eur}
deprecate: {window: 2s, brownout: 1s}
`

var backfillLine = regexp.MustCompile(`drawbridge (backfill shop --env dev --from \S+ --to \S+) --reason TEXT`)

// inEuros is a release with the migration; its orders have the columns that are said, and are looked at by one of them.
func (w *world) inEuros(version, columns, looks string) {
	w.t.Helper()
	folder := w.folder(version, "channel, amount\n", "channel, "+columns+"\n", "not_null: [order_id, channel, amount]", "not_null: [order_id, channel, "+looks+"]",
		"sum(amount)", "sum("+looks+")", "removed_keys: 0", "removed_keys: 0, changed: {amount: 100%}")
	w.write(folder+"/migrations/0001_euros.yaml", euros)
	w.cli(0, "build", folder)
}

// A column of an output is called otherwise: its releases write both, a backfill builds what they have not, and the old one goes once the
// release that does without it is there.
func TestAColumnOfAnOutputIsRenamed(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	w.inEuros("2.0.0", "amount, amount AS amount_eur", "amount")
	w.inEuros("3.0.0", "amount AS amount_eur", "amount_eur")
	id := workflows.MigrationID(shop, "dev", "0001_euros")
	waits := func(text string) status {
		var s status
		w.await(text, func() bool {
			s = w.status(id)
			return s.Migration != nil && strings.Contains(strings.Join(s.Migration.Blocked, "; "), text)
		})
		return s
	}

	w.cli(0, "migrate", "start", "shop@2.0.0", "--env", "dev", "--reason", "say of what", "--give-up-rollback", "--detach")
	waits("shop@1.0.0 is active, and does not give amount_eur to orders")
	refused := w.try("deploy", "shop@3.0.0", "--to", "dev")
	require.NotZero(t, refused.code)
	require.Contains(t, refused.out+refused.err, "its SELECT does not give amount, and while the migration 0001_euros is open")

	w.cli(0, "deploy", "shop@2.0.0", "--to", "dev")
	s := waits("were built by releases that do not give amount, amount_eur")
	line := backfillLine.FindStringSubmatch(strings.Join(s.Migration.Blocked, "; "))
	require.NotNil(t, line, "%v", s.Migration.Blocked)
	w.cli(0, append(strings.Fields(line[1]), "--reason", "both columns")...)
	w.await("the contract gate", func() bool {
		g, open := w.status(id).Open()
		return open && g.Name == "contract-dev" && strings.Contains(g.Verdict.Reason, "shop@2.0.0 is active, and gives amount to orders: once contract is approved, deploy a release whose SELECT leaves it out")
	})
	require.True(t, w.status(id).Migration.Brownout.Held, "contract was tried before")
	require.Zero(t, w.number(`SELECT count(*) FROM shop_dev.orders WHERE amount_eur IS DISTINCT FROM amount`))
	refused = w.try("rollback", shop, "--env", "dev", "--reason", "too late")
	require.NotZero(t, refused.code)
	require.Contains(t, refused.out+refused.err, "does not give amount_eur")

	w.cli(0, "approve", id, "--reason", "nobody reads it")
	waits("shop@2.0.0 is active, and gives amount to orders")
	w.cli(0, "deploy", "shop@3.0.0", "--to", "dev")
	require.Equal(t, workflows.StageDone, w.tbOver(id).Stage)
	require.Equal(t, []string{"order_id", "ordered_on", "channel", "amount_eur"},
		w.texts(`SELECT attname::text FROM pg_attribute WHERE attrelid = 'shop_dev.orders'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum`))
	w.cli(0, "run", shop, "--env", "dev", "--partition", middleDay)
	require.Equal(t, ordersPerDay*len(fiveDays()), w.number(`SELECT count(amount_eur) FROM shop_dev.orders`))
}
