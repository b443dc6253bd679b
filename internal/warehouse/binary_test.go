package warehouse_test

import (
	"encoding/csv"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/source"
)

// values are texts of a type that a file may hold.
func values(t *rapid.T, typ string) string {
	digits := func(label string, most int) string {
		return rapid.StringOfN(rapid.SampledFrom([]rune("0123456789000999")), 1, most, most).Draw(t, label)
	}
	sign := rapid.SampledFrom([]string{"", "-", "+"}).Draw(t, "sign")
	day := func() string {
		return time.Unix(rapid.Int64Range(-62_135_596_800, 253_402_300_799).Draw(t, "second"), 0).UTC().Format("2006-01-02")
	}
	second := func() string {
		text := time.Unix(rapid.Int64Range(0, 86399).Draw(t, "of the day"), 0).UTC().Format("15:04:05")
		if n := rapid.IntRange(0, 6).Draw(t, "digits"); n > 0 {
			text += "." + rapid.StringOfN(rapid.RuneFrom([]rune("0123456789")), n, n, n).Draw(t, "fraction")
		}
		return text
	}
	switch typ {
	case "smallint":
		return fmt.Sprint(rapid.Int16().Draw(t, "n"))
	case "integer":
		return fmt.Sprint(rapid.Int32().Draw(t, "n"))
	case "bigint":
		return fmt.Sprint(rapid.Int64().Draw(t, "n"))
	case "numeric":
		return rapid.SampledFrom([]string{"NaN", "0", "-0.000", "1e20", "1.5e-9", sign + digits("whole", 40), sign + digits("whole", 30) + "." + digits("after", 30), sign + "." + digits("after", 9)}).Draw(t, "v")
	case "numeric(12,2)":
		return sign + digits("whole", 10) + "." + digits("after", 2) + strings.Repeat("0", rapid.IntRange(0, 3).Draw(t, "zeros"))
	case "real":
		return fmt.Sprint(rapid.Float32().Filter(func(f float32) bool { return f == 0 || f > 1e-30 && f < 1e30 || f < -1e-30 && f > -1e30 }).Draw(t, "n"))
	case "double precision":
		f := rapid.Float64().Filter(func(f float64) bool { return f == 0 || f > 1e-290 && f < 1e290 || f < -1e-290 && f > -1e290 }).Draw(t, "n")
		return new(big.Float).SetFloat64(f).Text('g', 17)
	case "boolean":
		return rapid.SampledFrom([]string{"t", "f", "True", "no", "on", "off", "1", "0", "Y"}).Draw(t, "v")
	case "date":
		return rapid.SampledFrom([]string{day(), "infinity", "-infinity", "20260131", "0044-03-15 BC", "0001-12-31 BC", "4712-01-01 BC", "10000-02-29", "294275-12-31"}).Draw(t, "v")
	case "timestamp":
		return rapid.SampledFrom([]string{day() + " " + second(), day() + "T" + second(), day(), "infinity", "0044-03-15 12:00:00.5 BC", "294275-12-31 23:59:59"}).Draw(t, "v")
	case "timestamptz":
		zone := rapid.SampledFrom([]string{"", "Z", "+00", "-05:30", "+0130", " +02:00", "+00:19:32"}).Draw(t, "zone")
		return rapid.SampledFrom([]string{day() + " " + second() + zone, "infinity", "-infinity", "2026-01-31", "0044-03-15 12:00:00 BC", "0001-01-01 00:30:00+01 BC", "12026-01-31 01:00:00"}).Draw(t, "v")
	case "varchar(5)":
		return rapid.StringOfN(rapid.SampledFrom([]rune("aé€ \t")), 0, 5, -1).Draw(t, "v")
	}
	return rapid.StringOfN(rapid.SampledFrom([]rune("abc é€\"',;\n\\ NULL")), 0, 20, -1).Draw(t, "v")
}

// What is sent in binary is what the server would have read from the text of the file: of both the server makes the same rows.
func TestTheBinaryFormOfAFileIsWhatItsTextSays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, err := b.db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	types := []string{
		"smallint", "integer", "bigint", "numeric", "numeric(12,2)", "real", "double precision", "boolean", "date", "timestamp", "timestamptz", "varchar(5)", "text",
	}
	load := pipeline.Load{Name: "raw", File: "in.csv", Null: []string{"", "NULL"}}
	var declared []string
	for i, typ := range types {
		load.Columns = append(load.Columns, pipeline.Column{Name: fmt.Sprintf("c%d", i), Type: typ})
		declared = append(declared, fmt.Sprintf("c%d %s", i, typ))
	}
	for _, zone := range []string{"", "America/New_York"} {
		load.Timezone = zone
		_, err = conn.Exec(t.Context(), fmt.Sprintf("CREATE TEMP TABLE as_text (%[1]s); CREATE TEMP TABLE as_binary (%[1]s)", strings.Join(declared, ", ")))
		require.NoError(t, err)
		rapid.Check(t, func(r *rapid.T) {
			var file strings.Builder
			file.WriteString(strings.Join(load.Names(), ",") + "\n")
			rows := rapid.IntRange(1, 20).Draw(r, "rows")
			for range rows {
				for i, typ := range types {
					if i > 0 {
						file.WriteString(",")
					}
					if rapid.IntRange(0, 9).Draw(r, "null") == 0 {
						file.WriteString(rapid.SampledFrom([]string{"", "NULL"}).Draw(r, "as"))
						continue
					}
					file.WriteString(`"` + strings.ReplaceAll(values(r, typ), `"`, `""`) + `"`)
				}
				file.WriteString("\n")
			}
			var refused [2]bool
			for i, table := range []string{"as_text", "as_binary"} {
				read, err := source.Read(strings.NewReader(file.String()), load, "in.csv", partition.Scheme{By: partition.All})
				require.NoError(r, err)
				if i == 1 {
					read.UseBinary()
				}
				_, err = conn.Exec(t.Context(), "TRUNCATE "+table)
				require.NoError(r, err)
				tag, err := conn.Conn().PgConn().CopyFrom(t.Context(), read, fmt.Sprintf("COPY %s (%s) FROM STDIN (%s)",
					table, postgres.Idents(load.Names()), strings.Join(read.CopyOptions(), ", ")))
				if refused[i] = err != nil; refused[i] {
					require.Error(r, read.Err(), "the server refused what was let pass: %v", err)
					continue
				}
				require.EqualValues(r, rows, tag.RowsAffected())
			}
			require.Equal(r, refused[0], refused[1])
			if refused[0] {
				return
			}
			found, err := conn.Query(t.Context(), `SELECT t::text FROM (TABLE as_text EXCEPT ALL TABLE as_binary) AS t`)
			require.NoError(r, err)
			differ, err := pgx.CollectRows(found, pgx.RowTo[string])
			require.NoError(r, err)
			require.Empty(r, differ)
			var texts, binaries string
			require.NoError(r, conn.QueryRow(t.Context(), `SELECT string_agg(t::text, '|' ORDER BY t::text) FROM as_text t`).Scan(&texts))
			require.NoError(r, conn.QueryRow(t.Context(), `SELECT string_agg(t::text, '|' ORDER BY t::text) FROM as_binary t`).Scan(&binaries))
			require.Equal(r, texts, binaries, "the scale of a number, too")
		})
		_, err = conn.Exec(t.Context(), "DROP TABLE as_text, as_binary")
		require.NoError(t, err)
	}
}

// A file that is let pass is in the table what another reader of RFC 4180 makes of it, in either form.
func TestAFileThatIsLetPassIsInTheTableWhatAnotherReaderMakesOfIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	conn, err := b.db.Pool.Acquire(t.Context())
	require.NoError(t, err)
	defer conn.Release()
	_, err = conn.Exec(t.Context(), "CREATE TEMP TABLE taken (n int GENERATED ALWAYS AS IDENTITY, a text, b text)")
	require.NoError(t, err)
	load := pipeline.Load{Name: "raw", File: "in.csv"}
	pieces := []string{"a", "x", ",", ",", "\n", "\n", "\r\n", "\"", "\"\"", "\\", "\\.", " ", "é", ";", "\",\"", "\"\n\"", "NULL", "\t"}
	passed := 0
	rapid.Check(t, func(r *rapid.T) {
		body := "a,b\n"
		if rapid.Bool().Draw(r, "carriage returns") {
			body = "a,b\r\n"
		}
		body += strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 14).Draw(r, "pieces"), "")
		for _, binary := range []bool{false, true} {
			rows, err := source.Read(strings.NewReader(body), load, "in.csv", partition.Scheme{By: partition.All})
			require.NoError(r, err)
			if binary {
				rows.UseBinary()
			}
			_, err = conn.Exec(t.Context(), "TRUNCATE taken")
			require.NoError(r, err)
			tag, err := conn.Conn().PgConn().CopyFrom(t.Context(), rows, fmt.Sprintf("COPY taken (a, b) FROM STDIN (%s)", strings.Join(rows.CopyOptions(), ", ")))
			if rows.Err() != nil {
				continue
			}
			require.NoError(r, err, "the server refused what was let pass")
			require.Equal(r, rows.Records(), tag.RowsAffected())
			reader := csv.NewReader(strings.NewReader(body))
			reader.FieldsPerRecord = 2
			want, err := reader.ReadAll()
			require.NoError(r, err)
			found, err := conn.Query(t.Context(), "SELECT coalesce(a, ''), coalesce(b, '') FROM taken ORDER BY n")
			require.NoError(r, err)
			taken, err := pgx.CollectRows(found, func(row pgx.CollectableRow) ([]string, error) {
				both := make([]string, 2)
				err := row.Scan(&both[0], &both[1])
				for i := range both { // as that reader does
					both[i] = strings.ReplaceAll(both[i], "\r\n", "\n")
				}
				return both, err
			})
			require.NoError(r, err)
			require.Equal(r, append([][]string{}, want[1:]...), append([][]string{}, taken...), "%q", body)
			passed++
		}
	})
	require.NotZero(t, passed)
}
