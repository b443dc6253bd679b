package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Files are read below the root that the worker was given, and from nowhere else: not by a path, not upwards, not by a link.
func TestNoFileOutsideTheRootIsRead(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.write("outside/data/out_"+newestDay+".csv", "id,d,v\n1,"+newestDay+","+planted+"\n")
	require.NoError(t, os.Symlink(w.path("outside"), w.path("source/link")))
	require.NoError(t, os.MkdirAll(w.path("source/files/data"), 0o755))
	require.NoError(t, os.Symlink(w.path("outside/data/out_"+newestDay+".csv"), w.path("source/files/data/out_"+newestDay+".csv")))
	for i, c := range []struct{ name, folder string }{
		{"an absolute path", w.path("outside")}, {"upwards", "../outside"}, {"a linked folder", "link"}, {"a linked file", "files"},
	} {
		table := fmt.Sprintf("out%d", i)
		folder := w.truFolder(table, "1.0.0", truSpec{file: "data/out_@partition.csv", config: truWarehouse + "source_files: \"" + c.folder + "\"\n"})
		planned, ended := w.truWithin(patience, "plan", folder, "--to", "dev")
		require.True(t, ended, c.name)
		a, ended := w.truWithin(patience, "run", folder, "--env", "dev", "--partition", newestDay)
		require.True(t, ended, c.name)
		require.NotZero(t, a.code, "%s: a file outside the root was read\n%s", c.name, a.out)
		require.Zero(t, w.truRows(table), c.name)
		require.NotZero(t, planned.code, "%s: seen at plan time\n%s", c.name, planned.out)
	}
	w.never(planted)
}

// truHeader asserts that a file whose first line is no header shows nothing of it to anybody, whatever stands there.
func (w *world) truHeader(name, columns, body string, hidden ...string) {
	w.t.Helper()
	w.write("source/data/"+name+".csv", body)
	w.write("source/data/"+name+"_"+newestDay+".csv", body)
	for i, file := range []string{"data/" + name + ".csv", "data/" + name + "_@partition.csv"} {
		folder := w.truFolder(name, fmt.Sprintf("1.0.%d", i), truSpec{
			partition: "{by: day, column: pd}", file: file, columns: columns, sql: "SELECT @partition_start::date AS pd, raw.* FROM raw",
			output: "    checks:\n      - row_count: {min: 0}\n",
		})
		for _, args := range [][]string{
			{"validate", folder, "--env", "dev"},
			{"plan", folder, "--to", "dev"},
			{"run", folder, "--env", "dev", "--partition", newestDay},
			{"deploy", folder, "--to", "dev"},
		} {
			a, ended := w.truWithin(patience, args...)
			require.True(w.t, ended, args)
			if args[0] == "run" {
				require.NotZero(w.t, a.code, "%s: a file without its header is no input\n%s", args, a.out)
			}
			for _, text := range hidden {
				require.NotContains(w.t, a.out+a.err, text, args)
			}
		}
		a, _ := w.truWithin(patience, "status", "run/"+name+"/dev/"+newestDay, "--json")
		for _, text := range hidden {
			require.NotContains(w.t, a.out+a.err, text)
		}
	}
	require.Zero(w.t, w.truRows(name))
	w.truNotInLedger(hidden...)
	w.never(hidden...)
}

// truNotInLedger asserts that no row of the ledger of dev holds a text.
func (w *world) truNotInLedger(hidden ...string) {
	w.t.Helper()
	for _, table := range w.texts(`SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace('shop_dev__ledger') AND relkind = 'r'`) {
		for _, text := range hidden {
			require.Zero(w.t, w.number(`SELECT count(*) FROM shop_dev__ledger."`+table+`" r WHERE strpos(r::text, $1) > 0`, text), "ledger.%s", table)
		}
	}
}

// The file has no header row.
func TestAFileWithoutAHeaderShowsNoRow(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.truHeader("noheader", "{id: int, email: text}",
		"4711,ann.secret@example.com,DE89370400440532013000\n4712,bob.secret@example.com,DE02120300000000202051\n",
		"ann.secret", "DE89370400440532013000", "bob.secret")
}

// A comment stands before the header.
func TestACommentBeforeTheHeaderIsNotShown(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.truHeader("commented", "{id: int}", "# exported 2026-01-31 by ann.secret\nid,city\n1,Rome\n", "ann.secret", "exported 2026")
}

// Lines end with CR alone, so that the whole file is one line.
func TestAFileOfOneLineShowsNoRow(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	var b strings.Builder
	b.WriteString("id,email,iban\r")
	for i := range 18_000 {
		fmt.Fprintf(&b, "%d,p%d.secret@ex.com,DE%010d\r", i, i, i) // less than what a first line may have
	}
	w.truHeader("oneline", "{amount: numeric}", b.String(), ".secret@", "DE0000000")
}

// Whatever is wrong with a header or with the form of a row, no word of it is shown.
func TestAFileThatIsNoCSVShowsNothing(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	const mail = "ann.secret@example.com"
	for name, body := range map[string]string{
		"twice":      "id," + mail + "," + mail + "\n1,2,3\n",
		"bycase":     "id,Ann.secret@example.com," + mail + "\n1,a,b\n",
		"toolong":    "id," + mail + strings.Repeat("x", 80) + "\n1,2\n",
		"blankname":  "id,," + mail + "\n1,a,b\n",
		"unclosed":   "id,\"" + mail + "\n1,a\n",
		"nullbyte":   "id,ann.secret\x00@example.com\n1,a\n",
		"othercomma": "id\t" + mail + "\n1\t2\n",
		"blankline":  " \nid," + mail + "\n1,2\n",
		"widerow":    "id,v\n1,a\n2," + mail + ",DE8937\n",
	} {
		w.write("source/data/"+name+"_"+newestDay+".csv", body)
		folder := w.truFolder(name, "1.0.0", truSpec{columns: "{id: int, v: text}", partition: "{by: day, column: pd}", sql: "SELECT @partition_start::date AS pd, id, v FROM raw"})
		for _, args := range [][]string{{"plan", folder, "--to", "dev"}, {"run", folder, "--env", "dev", "--partition", newestDay}} {
			a, ended := w.truWithin(patience, args...)
			require.True(t, ended, "%s: %s", name, args)
			require.True(t, a.code != 0 || args[0] == "plan", "%s is no input\n%s", name, a.out)
		}
	}
	w.truNotInLedger("nn.secret", "DE8937")
	w.never("nn.secret", "DE8937")
}

// What a check, a key or a partition finds wrong is told in numbers and declared names.
func TestWhatAnAuditFindsShowsNoValue(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	const stray = "1999-03-04"
	file := func(rows ...string) {
		w.write("source/data/found_"+newestDay+".csv", "id,d,v\n"+strings.Join(rows, "\n")+"\n")
	}
	good := "1," + newestDay + "," + planted
	for i, c := range []struct {
		rows   []string
		key    string
		checks string
	}{
		{[]string{good}, "[id]", "accepted_values: {column: v, values: [a, b]}"},
		{[]string{good, "2," + newestDay + "," + planted}, "[id]", "unique: [v]"},
		{[]string{good}, "[id]", "expression: {name: brief, sql: \"length(v) < 2\"}"},
		{[]string{good, good}, "[id, v]", "row_count: {min: 0}"},
		{[]string{"1," + stray + "," + planted}, "[id]", "row_count: {min: 0}"},
	} {
		file(c.rows...)
		folder := w.truFolder("found", fmt.Sprintf("1.0.%d", i), truSpec{output: "    key: " + c.key + "\n    checks:\n      - " + c.checks + "\n"})
		a, ended := w.truWithin(patience, "run", folder, "--env", "dev", "--partition", newestDay)
		require.True(t, ended, c.checks)
		require.NotZero(t, a.code, "%s\n%s", c.checks, a.out)
	}
	w.never(planted, stray)
}

// What is said about a file has a bound, whatever the file.
func TestAMessageHasABound(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	var b strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&b, "column_of_forty_six_characters_number_%08d,", i)
	}
	b.WriteString("last\n" + strings.Repeat("1,", 20_000) + "1\n")
	w.write("source/data/wide_"+newestDay+".csv", b.String())
	folder := w.truFolder("wide", "1.0.0", truSpec{columns: "{id: int}", sql: "SELECT id, @partition_start::date AS d FROM raw"})
	const bound = 16 << 10
	for _, args := range [][]string{
		{"validate", folder, "--env", "dev"},
		{"plan", folder, "--to", "dev"},
		{"run", folder, "--env", "dev", "--partition", newestDay},
		{"status", "run/wide/dev/" + newestDay},
		{"status", "run/wide/dev/" + newestDay, "--json"},
	} {
		a, ended := w.truWithin(patience, args...)
		require.True(t, ended, args)
		require.Less(t, len(a.out)+len(a.err), bound, "%s says this many bytes", args)
		if args[0] == "run" {
			require.NotZero(t, a.code, a.out)
			require.Contains(t, a.out+a.err, "data/wide_", "it names the load")
		}
	}
	for _, e := range w.executions() {
		require.Less(t, len(plainText(t, w.history(e.GetWorkflowId(), e.GetRunId()))), 1<<20, e.GetWorkflowId())
	}
}

// Nor is anything longer for what a person or an author has written: names, reasons, and lists of what was declared.
func TestWhatPeopleWriteHasABound(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	var declared strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&declared, "column_of_forty_six_characters_number_%08d: int, ", i)
	}
	w.truDays("declared", "a", newestDay)
	folder := w.truFolder("declared", "1.0.0", truSpec{columns: "{" + declared.String() + "id: int, d: date, v: text}"})
	long := strings.Repeat("n", 100_000)
	run := "run/base/dev/" + newestDay
	for _, args := range [][]string{
		{"validate", folder, "--env", "dev"},
		{"plan", folder, "--to", "dev"},
		{"run", folder, "--env", "dev", "--partition", newestDay},
		{"run", "base@1.0.0", "--env", "dev", "--partition", newestDay, "--as", long},
		{"status", run, "--json"},
		{"rollback", "base", "--env", "dev", "--as", long, "--reason", long},
		{"status", "rollback/base/dev", "--json"},
		{"hold", "--env", "dev", "--reason", long, "--as", long},
		{"history", "base", "--env", "dev", "--json"},
	} {
		a, ended := w.truWithin(patience, args...)
		require.True(t, ended, args[0])
		require.Less(t, len(a.out)+len(a.err), 16<<10, "%s says this many bytes", args[0])
	}
	for _, column := range []string{"tenure.asked_by", "swap.asked_by", "hold.reason", "hold.set_by"} {
		table, name, _ := strings.Cut(column, ".")
		require.Less(t, w.number(`SELECT coalesce(max(length(`+name+`)), 0) FROM shop_dev__ledger.`+table), 4<<10, column)
	}
	w.cli(0, "release-hold", "--env", "dev")
}

// Whatever fails while rows are read, what is said holds structure and no value.
func TestAnErrorOverRowsHoldsNoValue(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.truDays("rows", planted, newestDay)
	_, err := w.db.Exec(t.Context(), `
		CREATE FUNCTION public.tru_raise(code text, value text) RETURNS text LANGUAGE plpgsql AS $$
		BEGIN
		  RAISE EXCEPTION 'the value is %', value USING ERRCODE = code, HINT = value, DETAIL = value;
		END $$`)
	require.NoError(t, err)
	key := "    key: [id]\n    checks:\n      - row_count: {min: 0}\n"
	type sample struct{ name, sql, output string }
	cases := []sample{
		{"a cast", "SELECT id, d, v::int AS v FROM raw", key},
		{"a parameter", "SELECT id, d, current_setting(v) AS v FROM raw", key},
		{"a table", "SELECT id, d, v::regclass::text AS v FROM raw", key},
		{"a role", "SELECT id, d, v::regrole::text AS v FROM raw", key},
		{"a check", "SELECT id, d, v FROM raw", key + "      - expression: {name: bad, sql: \"current_setting(v) is not null\"}\n"},
		{"a metric", "SELECT id, d, v FROM raw", key + "      - metric: {name: bad, sql: \"max(length(current_setting(v)))\", min: 0}\n"},
	}
	for _, code := range []string{"42501", "42P01", "55000", "0A000", "28000", "3D000", "25006", "54000"} {
		cases = append(cases, sample{"SQLSTATE " + code, "SELECT id, d, public.tru_raise('" + code + "', v) AS v FROM raw", key})
	}
	for i, c := range cases {
		folder := w.truFolder("rows", fmt.Sprintf("1.0.%d", i), truSpec{sql: c.sql, output: c.output})
		a, ended := w.truWithin(20*time.Second, "run", folder, "--env", "dev", "--partition", newestDay)
		require.NotContains(t, a.out+a.err, planted, c.name)
		if !ended { // it is retried, and the retries say something too
			w.try("cancel", "run/rows/dev/"+newestDay)
		} else {
			require.NotZero(t, a.code, c.name)
		}
		s, _ := w.truWithin(patience, "status", "run/rows/dev/"+newestDay, "--json")
		require.NotContains(t, s.out, planted, c.name)
	}
	w.truNotInLedger(planted)
	w.never(planted)
}

// A file that no load reads, because its name says no partition, is named wherever somebody looks; so is a day of which one of
// two files is missing. What can be built is built.
func TestFilesThatNothingReadsAreNamed(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.truDays("names", "x", newestDay, "20260106", "2026-1-7")
	w.write("source/data/names_\x1b[2J.csv", "id,d,v\n")
	folder := w.truFolder("names", "1.0.0", truSpec{})
	for _, args := range [][]string{{"plan", folder, "--to", "dev"}, {"plan", folder, "--to", "dev", "--format", "json"}, {"validate", folder, "--env", "dev"}, {"doctor", folder, "--env", "dev"}} {
		a, ended := w.truWithin(patience, args...)
		require.True(t, ended, args)
		for _, text := range []string{"3 files are called", "names_20260106.csv", "names_2026-1-7.csv", "Write the day as 2026-01-31"} {
			require.Contains(t, strings.Join(strings.Fields(a.out), " "), text, "%s\n%s", args, a.out+a.err)
		}
		require.NotContains(t, a.out, "\x1b[2J", args)
	}
	w.cli(0, "deploy", folder, "--to", "dev")
	require.Equal(t, 3, w.truRows("names"))
}

// Rows of a file of many partitions that are in none of them are counted and refused before anything is built, and so is a
// partition column that the data does not say.
func TestRowsInNoPartitionAreCountedAndRefused(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	w.write("source/data/uncut.csv", "id,d\n1,2026-01-05\n2,\n3,infinity\n4,2026-01-06\n")
	for i, c := range []struct{ sql, says string }{
		{"SELECT id, d FROM raw WHERE d >= @partition_start AND d < @partition_end", "2 of 4 rows are in no partition: column d"},
		{"SELECT id, @partition_start::date AS d FROM raw", "4 of 4 rows are in no partition: column d"},
	} {
		folder := w.truFolder("uncut", fmt.Sprintf("1.0.%d", i), truSpec{file: "data/uncut.csv", columns: "{id: int, d: date}", sql: c.sql})
		for _, args := range [][]string{{"validate", folder, "--env", "dev"}, {"plan", folder, "--to", "dev"}, {"deploy", folder, "--to", "dev"}} {
			a, ended := w.truWithin(patience, args...)
			require.True(t, ended, args)
			require.Equal(t, 1, a.code, "%s\n%s", args, a.out+a.err)
			said := strings.Join(strings.Fields(a.out+a.err), " ")
			require.Contains(t, said, c.says, args)
			require.Contains(t, said, "sql/out.sql", args)
		}
	}
	folder := w.truFolder("uncut", "1.0.2", truSpec{
		file: "data/uncut.csv", columns: "{id: int, d: date}",
		sql: "SELECT id, d FROM raw WHERE d >= @partition_start AND d < @partition_end AND isfinite(d)",
	})
	w.cli(0, "deploy", folder, "--to", "dev", "--rebuild", "all")
	require.Equal(t, 2, w.truRows("uncut"))
}

// A file without a header, of a load that declares no column, gives no row away as names of columns.
func TestAFileWithoutAHeaderShowsNoRowWhereNothingIsDeclared(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	hidden := []string{"4111-1111-1113", "bob2@example.com"}
	row := strings.Join(hidden, ",") + "\n"
	w.write("source/data/bare.csv", row+row)
	w.write("source/data/bare_"+newestDay+".csv", row+row)
	for i, c := range []struct{ file, sql string }{
		{"data/bare_@partition.csv", "SELECT raw.*, @partition_start::date AS pd FROM raw"},
		{"data/bare.csv", "WITH x AS (SELECT * FROM raw) SELECT x.*, DATE '2026-01-01' AS pd FROM x"},
		{"data/bare_@partition.csv", "SELECT id, email, @partition_start::date AS pd FROM raw"},
	} {
		folder := w.truFolder("bare", fmt.Sprintf("1.0.%d", i), truSpec{
			partition: "{by: day, column: pd}", file: c.file, columns: "{}", sql: c.sql, output: "    checks:\n      - row_count: {min: 0}\n",
		})
		for _, args := range [][]string{
			{"validate", folder, "--env", "dev"}, {"plan", folder, "--to", "dev"}, {"run", folder, "--env", "dev", "--partition", newestDay}, {"deploy", folder, "--to", "dev"},
		} {
			a, ended := w.truWithin(patience, args...)
			require.True(t, ended, args)
			require.NotZero(t, a.code, "%s\n%s", args, a.out+a.err)
			if i < 2 && args[0] != "deploy" {
				require.Contains(t, strings.Join(strings.Fields(a.out+a.err), " "), "all columns of load raw, of which none is declared", args)
			}
			for _, text := range hidden {
				require.NotContains(t, a.out+a.err, text, args)
			}
		}
	}
	require.Zero(t, w.truRows("bare"))
	w.truNotInLedger(hidden...)
	w.never(hidden...)
}
