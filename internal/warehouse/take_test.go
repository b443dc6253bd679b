package warehouse_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/pipeline"
)

// Rows that cannot be read are left out where the load says so, by the worker or by the server, and are to be found with their lines.
func TestRowsThatCannotBeReadAreLeftOutAndKept(t *testing.T) {
	t.Parallel()
	const head = "order_id,ordered_at,channel,amount,token\n"
	good := func(i int) string {
		return fmt.Sprintf("%d,2026-01-01 10:00:00+00,web,1.50,00000000-0000-0000-0000-%012d\n", i, i)
	}
	for name, partitioned := range map[string]bool{"of a partition's own file": true, "of a file for all partitions": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var file strings.Builder
			file.WriteString(head)
			lines := map[int]string{}
			line, rows := 1, 0
			for i := range 3000 {
				line++
				switch {
				case i%700 == 30: // a value that is read before the server sees it
					fmt.Fprintf(&file, "%d,2026-01-01 10:00:00+00,web,1.505,00000000-0000-0000-0000-000000000000\n", i)
					lines[line] = "amount"
				case i%700 == 400 || i%700 == 401: // one that only the server can judge
					fmt.Fprintf(&file, "%d,2026-01-01 10:00:00+00,web,1.50,sEcret\n", i)
					lines[line] = "token"
				case i%700 == 450: // a row of several lines does not move the others
					file.WriteString(strings.Replace(good(i), "web", "\"we\nb\"", 1))
					line, rows = line+1, rows+1
				default:
					file.WriteString(good(i))
					rows++
				}
			}
			p := shop()
			p.Loads[0].OnBadRow, p.Loads[0].MaxRejects = pipeline.RejectRow, pipeline.Limit{Share: 0.01}
			p.Loads[0].Columns = append(p.Loads[0].Columns, pipeline.Column{Name: "token", Type: "uuid"})
			if partitioned {
				b.files["orders_2026-01-01.csv"] = file.String()
			} else {
				p.Loads[0].File = "orders.csv"
				b.files["orders.csv"] = file.String()
			}
			built := b.build(t, p, "2026-01-01")
			require.EqualValues(t, rows, built.Generation.Rows)
			require.Equal(t, gate.Pass, built.Verdict.Outcome)
			var said check.Result
			for _, r := range built.Results {
				if r.Kind == check.Rejects {
					said = r
				}
			}
			require.Equal(t, check.Warned, said.Outcome)
			require.EqualValues(t, len(lines), *said.Failing)
			_, query, ok := strings.Cut(said.Reason, ": ")
			require.True(t, ok)
			found, err := b.db.Pool.Query(t.Context(), query)
			require.NoError(t, err)
			defer found.Close()
			n := 0
			for found.Next() {
				var file, column, reason, text string
				var line int
				require.NoError(t, found.Scan(&file, &line, &column, &reason, &text))
				require.Equal(t, lines[line], column, "line %d", line)
				require.NotContains(t, reason, "sEcret")
				n++
			}
			require.NoError(t, found.Err())
			require.Equal(t, len(lines), n)
		})
	}
}

// More of them than the load allows fail it, and are to be found all the same.
func TestMoreRejectsThanTheLoadAllowsFailIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	p := shop()
	p.Loads[0].OnBadRow, p.Loads[0].MaxRejects = pipeline.RejectRow, pipeline.Limit{Share: 0.4}
	b.files["orders_2026-01-01.csv"] = "order_id,ordered_at,channel,amount\n1,2026-01-01,web,1\n2,now,web,1\n"
	_, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.ErrorContains(t, err, "1 of the 2 rows that were read cannot be loaded, and max_rejects is 40 % of rows")
	var kept int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM `+b.db.Schema+`__ledger.reject`).Scan(&kept))
	require.Equal(t, 1, kept)
}
