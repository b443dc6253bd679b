package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What one pipeline's SQL does to its session reaches no other pipeline, before it or after it.
func TestSQLOfOnePipelineChangesNoOther(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	days := []string{"2026-01-01", middleDay}
	victim := truSpec{columns: "{id: int, d: date, at: timestamptz}", sql: "SELECT id, d, at::date AS day FROM raw"}
	var folders []string
	for _, name := range []string{"before", "after"} {
		for _, day := range days {
			w.write("source/data/"+name+"_"+day+".csv", "id,d,at\n1,"+day+","+day+" 20:00:00+00\n")
		}
		folders = append(folders, w.truFolder(name, "1.0.0", victim))
	}
	w.truDays("hostile", "a", newestDay)
	_, err := w.db.Exec(t.Context(), `CREATE SCHEMA tru_elsewhere`)
	require.NoError(t, err)
	hostile := w.truFolder("hostile", "1.0.0", truSpec{sql: `SELECT id, d, v FROM raw
WHERE set_config('timezone', 'Asia/Tokyo', false) IS NOT NULL
  AND set_config('search_path', 'tru_elsewhere', false) IS NOT NULL
  AND pg_advisory_lock(4711) IS NOT NULL`})
	run := func(folder, day string) {
		a, ended := w.truWithin(patience, "run", folder, "--env", "dev", "--partition", day)
		require.True(t, ended, a.out)
		require.Zero(t, a.code, a.out+a.err)
	}
	run(folders[0], days[0])
	a, ended := w.truWithin(patience, "run", hostile, "--env", "dev", "--partition", newestDay)
	require.True(t, ended, a.out)
	require.Contains(t, []int{0, 1, 2}, a.code, "it works, or it is refused")
	for _, day := range days {
		run(folders[0], day)
		run(folders[1], day)
	}
	for _, name := range []string{"before", "after"} {
		require.Empty(t, w.texts(`SELECT d::text || ' is ' || day FROM shop_dev."`+name+`" WHERE day <> d`), name)
		require.Equal(t, len(days), w.truRows(name))
	}
	require.Zero(t, w.number(`
		SELECT count(*)
		FROM pg_locks
		WHERE locktype = 'advisory' AND objid = 4711 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`),
		"a lock of an author outlives the run")
}

// An environment with one login cannot keep its authors from the ledger: the plan and doctor say that they are trusted.
func TestAnEnvironmentOfOneLoginSaysThatItTrustsItsAuthors(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	planned := w.try("plan", "base-1.0.0", "--to", "dev")
	require.Contains(t, strings.ToLower(planned.out+planned.err), "trust")
	doctor := w.try("doctor", "base", "--env", "dev")
	require.Contains(t, strings.ToLower(doctor.out+doctor.err), "trust")
}

// A load named like something of the catalog is refused when it is read, or does no harm.
func TestALoadNamedLikeTheCatalogDoesNoHarm(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	for i, load := range []string{
		"pg_class", "pg_attribute", "pg_namespace", "pg_inherits", "pg_type", "pg_locks", "pg_stat_activity", "values",
		"information_schema", "only", "generation", "swap", "g1", "named13", // the last is the output's own
	} {
		name := fmt.Sprintf("named%d", i)
		w.truDays(name, "a", newestDay)
		folder := w.truFolder(name, "1.0.0", truSpec{load: load, sql: `SELECT id, d, v FROM "` + load + `"`})
		read := w.try("validate", folder, "--offline")
		if read.code != 0 {
			require.Contains(t, read.out+read.err, load)
			continue
		}
		a, ended := w.truWithin(truBrief, "run", folder, "--env", "dev", "--partition", newestDay)
		require.True(t, ended, load)
		if a.code == 1 {
			require.Contains(t, w.try("validate", folder, "--env", "dev").err, load, "validate says it too")
			continue
		}
		require.Zero(t, a.code, "%s is read, and does not work\n%s%s", load, a.out, a.err)
		require.Equal(t, 3, w.truRows(name), load)
	}
}

// Columns may have the names that our own SQL uses.
func TestColumnsMayBeNamedLikeOurOwn(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	names := []string{
		"failing", "sample", "copies", "duplicates", "output", "rows", "value", "key", "kind", "baseline", "candidate", "generation", "partition",
		"own", "named", "l", "r", "o", "g", "n", "b", "c", "hash", "checksum", "row", "count", "old", "new",
	}
	days := []string{middleDay, "2026-01-04", newestDay}
	w.truDays("own", "a", days...)
	columns := `"id", "d"`
	for _, name := range names {
		columns += fmt.Sprintf(`, v || '%s' AS "%s"`, name, name)
	}
	output := "    key: [id]\n    checks:\n      - row_count: {min: 1}\n      - unique: [failing, copies, id]\n      - not_null: [sample, duplicates]\n" +
		"      - expression: {name: odd, sql: \"id < 3\", severity: warn}\n"
	spec := truSpec{sql: "SELECT " + columns + " FROM raw", output: output}
	w.cli(0, "deploy", w.truFolder("own", "1.0.0", spec), "--to", "dev", "--rebuild", "all")
	spec.sql = "SELECT " + strings.Replace(columns, "v || 'failing'", "v || 'changed'", 1) + " FROM raw"
	a := w.cli(2, "deploy", w.truFolder("own", "1.1.0", spec), "--to", "dev", "--rebuild", "all")
	require.Contains(t, a.out+a.err, "failing changed", "the canary sees the one column that changed")
	require.Equal(t, 3*len(days), w.number(`SELECT count(*) FROM shop_dev.own WHERE failing = 'afailing' AND baseline = 'abaseline'`))
	require.NotEmpty(t, w.texts(`SELECT s::text FROM shop_dev__ledger.sample s WHERE s::text LIKE '%"id"%'`), "samples hold keys")
}

// A function of the readers' schema that is named like a builtin is not what our own SQL calls.
func TestOurSQLCallsNoFunctionOfTheReaders(t *testing.T) {
	t.Parallel()
	w, _ := liveInDev(t)
	sum := w.cli(0, "checksum", shop, "--env", "dev", "--output", "orders", "--json").out
	_, err := w.db.Exec(t.Context(), `
		CREATE FUNCTION shop_dev.hashtextextended(text, integer) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT 1::bigint';
		CREATE FUNCTION shop_dev.count(bigint) RETURNS bigint IMMUTABLE LANGUAGE sql AS 'SELECT 1::bigint';
		CREATE FUNCTION shop_dev.pg_get_userbyid(integer) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT ''nobody''';
		CREATE FUNCTION shop_dev.to_regclass(unknown_name varchar) RETURNS regclass IMMUTABLE LANGUAGE sql AS 'SELECT NULL::regclass'`)
	require.NoError(t, err)
	require.Equal(t, sum, w.cli(0, "checksum", shop, "--env", "dev", "--output", "orders", "--json").out)
	a := w.cli(2, "deploy", w.release("1.1.0", "channel, amount\n", "channel, 2 * amount AS amount\n"), "--to", "dev", "--rebuild", "all")
	require.Contains(t, a.out+a.err, "amount", "the canary sees what changed")
	w.holds("dev", four)
}

// A check only looks: one whose function writes is refused, or nothing of it stays.
func TestAChecksFunctionWritesNothing(t *testing.T) {
	t.Parallel()
	w, _ := truWorld(t)
	_, err := w.db.Exec(t.Context(), `
		CREATE TABLE public.tru_trace (at timestamptz DEFAULT clock_timestamp());
		CREATE FUNCTION public.tru_write() RETURNS boolean VOLATILE LANGUAGE plpgsql AS $$
		BEGIN
		  INSERT INTO public.tru_trace DEFAULT VALUES;
		  RETURN true;
		END $$`)
	require.NoError(t, err)
	w.truDays("writer", "a", newestDay)
	for i, c := range []struct{ name, output, tail string }{
		{"an expression", "      - expression: {name: sly, sql: \"public.tru_write()\"}\n", ""},
		{"a metric", "      - metric: {name: sly, sql: \"count(*) filter (where public.tru_write())\", min: 0}\n", ""},
		{"a watch", "", "watch:\n  for: 1s\n  every: 1s\n  checks:\n    - metric: {name: sly, sql: \"SELECT count(*) FROM writer WHERE public.tru_write()\", min: 0}\n"},
	} {
		folder := w.truFolder("writer", fmt.Sprintf("1.0.%d", i), truSpec{output: "    key: [id]\n    checks:\n      - row_count: {min: 0}\n" + c.output, tail: c.tail})
		a, ended := w.truWithin(patience, "deploy", folder, "--to", "dev")
		require.True(t, ended, "%s\n%s", c.name, a.out)
		require.Zero(t, w.number(`SELECT count(*) FROM public.tru_trace`), "%s wrote", c.name)
		if a.code == 4 { // a check that could not be evaluated asks
			w.try("reject", "writer", "--as", "grace", "--reason", "it writes")
			_, _ = w.truWithin(30*time.Second, "status", "writer", "--watch")
		}
	}
}
