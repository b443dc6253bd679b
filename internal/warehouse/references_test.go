package warehouse_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/turnback"
)

// What rows of somebody's own table refer to stays, and is named with their foreign key; what nobody refers to goes back. Without the
// key all of it does.
func TestWhatOthersReferToIsNamedWithTheirForeignKey(t *testing.T) {
	t.Parallel()
	for name, theirs := range map[string]string{
		"a table":             `CREATE TABLE "Their refunds" (order_id bigint, day date)`,
		"a partitioned table": `CREATE TABLE "Their refunds" (order_id bigint, day date) PARTITION BY RANGE (day); CREATE TABLE refunds_all PARTITION OF "Their refunds" DEFAULT`,
	} {
		for cut, days := range map[string][]partition.Key{
			"a whole chunk": {"2026-01-01", "2026-01-02", "2026-01-03"},
			"one day":       {"2026-01-02"},
		} {
			t.Run(name+", "+cut, func(t *testing.T) {
				t.Parallel()
				b, swaps := changed(t, days...)
				b.db.Exec(t, "ALTER TABLE fct_orders ADD UNIQUE (order_id, order_date); "+theirs+`;
					ALTER TABLE "Their refunds" ADD CONSTRAINT "of order" FOREIGN KEY (order_id, day) REFERENCES fct_orders (order_id, order_date);
					INSERT INTO "Their refunds" SELECT order_id, order_date FROM fct_orders WHERE order_date = '2026-01-02' LIMIT 1`)
				was := b.sum(t)
				back := b.begins(t, rollback(turnback.Nothing))
				_, err := b.attempt(t.Context(), back.try(backward(swaps)...), beat)
				require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
				require.ErrorContains(t, err, "rows of "+b.db.Schema+`."Their refunds" refer to rows of it by foreign key "of order"`)
				require.NotContains(t, err.Error(), "SQLSTATE")
				require.Equal(t, was, b.sum(t))
				for _, s := range backward(swaps) {
					if s.Partition != "2026-01-02" {
						b.done(t, back.try(s))
					}
				}
				_, remedy, found := strings.Cut(fault.HintOf(err), "before the same command again: ")
				require.True(t, found, fault.HintOf(err))
				b.db.Exec(t, remedy)
				for _, s := range backward(swaps) {
					if s.Partition == "2026-01-02" {
						b.done(t, back.try(s))
					}
				}
				require.Equal(t, "45.00", b.sum(t))
			})
		}
	}
}

// A foreign key that an output was given since is named where rows that would go live break it.
func TestARowThatRefersToWhatIsNotThereIsNamedWithItsForeignKey(t *testing.T) {
	t.Parallel()
	b, swaps := changed(t, "2026-01-02")
	b.db.Exec(t, `CREATE TABLE theirs (amount numeric(12,2) PRIMARY KEY);
		INSERT INTO theirs SELECT DISTINCT amount FROM fct_orders;
		ALTER TABLE fct_orders ADD CONSTRAINT "of theirs" FOREIGN KEY (amount) REFERENCES theirs`)
	b.orders("2026-01-02", 10, 7)
	next := swap(b.build(t, shop(), "2026-01-02").Generation, swaps[0].To)
	_, err := b.attempt(t.Context(), b.patient(next), beat)
	require.Equal(t, fault.Conflict, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, `its rows refer to what is not there, by foreign key "of theirs" of `+b.db.Schema+".fct_orders")
	_, remedy, found := strings.Cut(fault.HintOf(err), "before the same command again: ")
	require.True(t, found, fault.HintOf(err))
	b.db.Exec(t, remedy)
	b.publish(t, next)
}
