package warehouse_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

func TestBadInputIsAClearErrorAndNothingIsLost(t *testing.T) {
	t.Parallel()
	const head = "order_id,ordered_at,channel,amount\n"
	row := func(id int, at, amount string) string { return fmt.Sprintf("%d,%s,web,%s\n", id, at, amount) }
	good := row(1, "2026-01-01 10:00:00+00", "1.50")
	for name, c := range map[string]struct {
		file   *string
		change func(p *pipeline.Pipeline)
		class  fault.Class
		says   []string
	}{
		"a short row":             {file: new(head + good + "2,2026-01-01\n"), says: []string{"orders_2026-01-01.csv, line 3", "the row has 2 values where the file has 4 columns"}},
		"a value of another type": {file: new(head + good + row(2, "2026-01-01", "sEcret")), says: []string{"line 3, column amount", "no numeric(12,2)"}},
		"a date that is none":     {file: new(head + row(2, "sEcret", "1")), says: []string{"line 2, column ordered_at", "date or time"}},
		"another encoding":        {file: new(head + "1,2026-01-01,caf\xe9 sEcret,1\n"), says: []string{"line 2", "no UTF-8"}},
		"a missing column":        {file: new("order_id,ordered_at,channel\n1,2026-01-01,web\n"), says: []string{"lacks amount", "orders_2026-01-01.csv"}},
		"a column twice":          {file: new("order_id,ordered_at,amount,amount\n1,2026-01-01,1,1\n"), says: []string{"amount twice"}},
		"an empty file":           {file: new(""), says: []string{"no header line"}},
		"a missing file":          {says: []string{"orders_2026-01-01.csv", "missing"}},
		"duplicate keys":          {file: new(head + good + good), says: []string{"the key (order_id) must be unique in a partition, and repeats: distinct values 1, rows 2"}},
		"NULL keys":               {file: new(head + ",2026-01-01 10:00:00+00,web,1\n"), says: []string{"1 of 1 rows: column order_id is NULL"}},
		"a value outside its partition": {
			file: new(head + good + row(2, "2026-01-02 10:00:00+00", "1")),
			change: func(p *pipeline.Pipeline) {
				p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders"
			},
			says: []string{"1 of 2 rows: column order_date lies outside the partition"},
		},
		"SQL that fails when it is prepared": {
			file:   new(head + good),
			change: func(p *pipeline.Pipeline) { p.Outputs[0].SQL = "SELECT order_id,\n nowhere\nFROM raw_orders" },
			says:   []string{"sql/fct_orders.sql:2", "nowhere"},
		},
		"SQL that fails when it runs": {
			file: new(head + good),
			change: func(p *pipeline.Pipeline) {
				p.Outputs[0].SQL = "SELECT order_id / 0 AS order_id, ordered_at::date AS order_date, channel, amount FROM raw_orders"
			},
			says: []string{"sql/fct_orders.sql", "division by zero"},
		},
		"SQL without the key": {
			file: new(head + good),
			change: func(p *pipeline.Pipeline) {
				p.Outputs[0].SQL = "SELECT ordered_at::date AS order_date, amount FROM raw_orders"
			},
			says: []string{"order_id"},
		},
		"SQL that returns another type": {
			file: new(head + good),
			change: func(p *pipeline.Pipeline) {
				p.Outputs[0].SQL = strings.Replace(p.Outputs[0].SQL, "amount", "amount::text AS amount", 1)
			},
			says: []string{"column amount is numeric(12,2) in the table and text in the SELECT"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.orders("2026-01-01", 10, 1)
			b.publish(t, swap(b.build(t, shop(), "2026-01-01").Generation, 0))
			before := b.sum(t)
			p := shop()
			if c.change != nil {
				c.change(p)
			}
			delete(b.files, "orders_2026-01-01.csv")
			if c.file != nil {
				b.files["orders_2026-01-01.csv"] = *c.file
			}
			_, err := b.Build(t.Context(), b.spec(p, "2026-01-01"))
			require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
			require.NotEmpty(t, fault.HintOf(err))
			for _, s := range c.says {
				require.ErrorContains(t, err, s)
			}
			require.NotContains(t, err.Error(), "sEcret", "a row's value is in an error")
			require.Equal(t, before, b.sum(t))
			require.Equal(t, 1, b.children(t), "the child of the failed attempt is still there")
		})
	}
}

func TestAFileIsReadAsItIs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		load    pipeline.Load
		content string
	}{
		"with a byte order mark, CRLF and other columns": {content: "\xef\xbb\xbforder_id,note,ordered_at,channel,amount\r\n1,\"a\"\"b,\r\nc\",2026-01-01,web,1.50\r\n"},
		"with a quoted header":                           {content: "\"order_id\",\"ordered_at\",\"channel\",\"amount\"\n1,2026-01-01,web,1.50\n"},
		"without a line break at its end":                {content: "order_id,ordered_at,channel,amount\n1,2026-01-01,web,1.50"},
		"with another delimiter and encoding": {
			load: pipeline.Load{Delimiter: ";", Encoding: "LATIN1"}, content: "order_id;ordered_at;channel;amount\n1;2026-01-01;caf\xe9;1.50\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := shop()
			p.Loads[0].Delimiter, p.Loads[0].Encoding = c.load.Delimiter, c.load.Encoding
			b.files["orders_2026-01-01.csv"] = c.content
			built := b.build(t, p, "2026-01-01")
			require.EqualValues(t, 1, built.Generation.Rows)
			b.publish(t, swap(built.Generation, 0))
			require.Equal(t, "1.50", b.sum(t))
		})
	}
}

// Numbers and times of another country are the same numbers and times in the table.
func TestValuesMeanInTheTableWhatTheyMeanInTheFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		load              pipeline.Load
		content           string
		day               partition.Key
		at, channel, paid string
	}{
		"a decimal comma, days first, times of a zone, a text for NULL": {
			load:    pipeline.Load{Delimiter: ";", Decimal: ",", Dates: "dmy", Timezone: "Europe/Berlin", Null: []string{"NA"}},
			content: "order_id;ordered_at;channel;amount\n1;01.07.2026 00:30;NA;1,50\n", day: "2026-06-30", at: "2026-06-30 22:30:00+00", paid: "1.50",
		},
		"a day without a time is its beginning in the zone": {
			load:    pipeline.Load{Timezone: "America/New_York"},
			content: "order_id,ordered_at,channel,amount\n1,2026-01-31,\"\",2\n", day: "2026-01-31", at: "2026-01-31 05:00:00+00", paid: "2.00",
		},
		"no header, other quotes": {
			load:    pipeline.Load{NoHeader: true, Quote: "'"},
			content: "1,20260131T10:00:00Z,'it''s',3\n", day: "2026-01-31", at: "2026-01-31 10:00:00+00", channel: "it's", paid: "3.00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			p := shop()
			c.load.Name, c.load.File, c.load.Format = p.Loads[0].Name, p.Loads[0].File, pipeline.CSV
			c.load.Columns = []pipeline.Column{{Name: "order_id", Type: "bigint"}, {Name: "ordered_at", Type: "timestamptz"}, {Name: "channel", Type: "text"}, {Name: "amount", Type: "numeric(12,2)"}}
			p.Loads[0] = c.load
			p.Outputs[0].SQL = "SELECT order_id, ordered_at::date AS order_date, coalesce(channel, '') AS channel, amount, ordered_at::text AS at FROM raw_orders"
			b.files["orders_"+string(c.day)+".csv"] = c.content
			built := b.build(t, p, c.day)
			b.publish(t, swap(built.Generation, 0))
			var at, channel, paid string
			require.NoError(t, b.db.Pool.QueryRow(t.Context(), "SELECT at, channel, amount::text FROM "+b.db.Schema+".fct_orders").Scan(&at, &channel, &paid))
			require.Equal(t, []string{c.at, c.channel, c.paid}, []string{at, channel, paid})
		})
	}
}

// Postgres before 18 takes such a line for the end of the data, and drops what follows. It is found wherever the reads are cut.
func TestALineThatEndsTheDataForTheServerIsRefused(t *testing.T) {
	t.Parallel()
	const head = "order_id,ordered_at,channel,amount\n"
	row := func(i int) string { return fmt.Sprintf("%d,2026-01-01,web,1.50\n", i) }
	for name, c := range map[string]struct {
		content string
		line    string
		rows    int64
	}{
		"in the middle":          {content: head + row(1) + "\\.\n" + row(2), line: "line 3"},
		"with CRLF":              {content: head + row(1) + "\\.\r\n" + row(2), line: "line 3"},
		"right after the header": {content: head + "\\.\n" + row(2), line: "line 2"},
		"as a value's part":      {content: head + "1,2026-01-01,\"\\.\",1.50\n2,2026-01-01,\\.x,1.50\n", rows: 2},
	} {
		for _, cut := range []int{1, 2, 3, 5, 1 << 16} {
			t.Run(fmt.Sprintf("%s, read by %d bytes", name, cut), func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				spec := b.spec(shop(), "2026-01-01")
				spec.Open = only(io.NopCloser(&choppy{rest: c.content, at: cut}))
				built, err := b.Build(t.Context(), spec)
				if c.line == "" {
					require.NoError(t, err)
					require.Equal(t, c.rows, built[0].Generation.Rows)
					return
				}
				require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
				require.ErrorContains(t, err, c.line)
			})
		}
	}
}

// choppy gives a few bytes at a time.
type choppy struct {
	rest string
	at   int
}

func (c *choppy) Read(p []byte) (int, error) {
	n := copy(p, c.rest[:min(c.at, len(c.rest))])
	if n == 0 {
		return 0, io.EOF
	}
	c.rest = c.rest[n:]
	return n, nil
}

func TestAnEmptyPartitionIsAHeaderAndNoRows(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.files["orders_2026-01-01.csv"] = "order_id,ordered_at,channel,amount\n"
	p := shop()
	p.Outputs[0].Checks = p.Outputs[0].Checks[1:]
	require.Zero(t, b.build(t, p, "2026-01-01").Generation.Rows)
}

// children counts the child tables that are there.
func (b *bundle) children(t *testing.T) (n int) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace($1)`, b.db.Schema+"__data").Scan(&n))
	return n
}
