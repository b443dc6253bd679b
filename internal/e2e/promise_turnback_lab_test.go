package e2e_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/generation"
	"drawbridge/workflows"
)

// tbLab is a pipeline whose releases are told apart by what readers see: each multiplies the same rows by a factor of its
// own. All its outputs by day read one file a day; dim is of partition `all`.
type tbLab struct {
	w    *world
	name string
	days []string
}

// tbRelease is what one release of a lab does.
type tbRelease struct {
	version      string
	factor       int
	outputs      []string // by day; default: ta
	dim          bool
	columns      string // further columns of the outputs by day: SQL after a comma
	watch        string // the watch of the pipeline; default: none
	schema       string // of dev, where it is not the usual one
	environments []string
	schedule     string // of every config; default: none
}

// The releases of most labs, oldest first.
func tbFirst(outputs ...string) tbRelease {
	return tbRelease{version: "1.0.0", factor: 1, outputs: outputs}
}

func tbSecond(outputs ...string) tbRelease {
	return tbRelease{version: "1.1.0", factor: 10, outputs: outputs}
}

func tbThird(outputs ...string) tbRelease {
	return tbRelease{version: "1.2.0", factor: 100, outputs: outputs}
}

// tbDays are the first days of a month.
func tbDays(n int) []string {
	days := make([]string, n)
	for i := range days {
		days[i] = fmt.Sprintf("2026-01-%02d", i+1)
	}
	return days
}

// tbNewLab makes a lab with the source files of some days.
func (w *world) tbNewLab(name string, days int) *tbLab {
	w.t.Helper()
	l := &tbLab{w: w, name: name, days: tbDays(days)}
	for _, day := range l.days {
		w.write(l.source(day), tbRows(day))
	}
	w.write("source/"+name+"/dim.csv", "c,n\na,1\nb,5\n")
	return l
}

// tbRowsSum is the sum of v over a day's rows, times the factor of a release: it is the same for dim's n.
const tbRowsSum = 6

func tbRows(day string) string {
	n := day[len(day)-2:]
	return fmt.Sprintf("id,d,v\n%[1]s1,%[2]s,1\n%[1]s2,%[2]s,2\n%[1]s3,%[2]s,3\n", n, day)
}

func (l *tbLab) source(day string) string { return "source/" + l.name + "/o_" + day + ".csv" }

// schema is an environment's schema of the lab.
func (l *tbLab) schema(env string) string { return l.name + "_" + env }

// release builds a release, and returns the path of its folder.
func (l *tbLab) release(r tbRelease) string {
	l.w.t.Helper()
	folder := l.folder(r)
	l.w.cli(0, "build", folder)
	return folder
}

// folder is the folder of a release that nobody has built.
func (l *tbLab) folder(r tbRelease) string {
	l.w.t.Helper()
	if len(r.outputs) == 0 {
		r.outputs = []string{"ta"}
	}
	if len(r.environments) == 0 {
		r.environments = []string{"dev"}
	}
	folder := l.name + "-" + r.version
	require.NoError(l.w.t, os.RemoveAll(l.w.path(folder)))
	var y strings.Builder
	fmt.Fprintf(&y, `name: %s
version: %s
owner: lab
environments: [%s]
partition: {by: day, column: d}
steps:
  - load:
      name: raw
      file: o_@partition.csv
      columns: {id: bigint, d: date, v: numeric}
`, l.name, r.version, strings.Join(r.environments, ", "))
	if r.dim {
		y.WriteString("  - load:\n      name: raw_dim\n      file: dim.csv\n      columns: {c: text, n: numeric}\n")
	}
	y.WriteString("outputs:\n")
	changed := "v: 100%"
	for _, o := range r.outputs {
		fmt.Fprintf(&y, "  - table: %[1]s\n    sql: sql/%[1]s.sql\n    key: [id]\n    checks:\n      - row_count: {min: 1}\n", o)
		l.w.write(folder+"/sql/"+o+".sql", fmt.Sprintf("SELECT id, d, (%d * v)::numeric(12,2) AS v%s\nFROM raw\n", r.factor, r.columns))
	}
	if r.dim {
		y.WriteString("  - table: dim\n    partition: all\n    sql: sql/dim.sql\n    key: [c]\n    checks:\n      - row_count: {min: 1}\n")
		l.w.write(folder+"/sql/dim.sql", fmt.Sprintf("SELECT c, (%d * n)::numeric(12,2) AS n\nFROM raw_dim\n", r.factor))
		changed += ", n: 100%"
	}
	fmt.Fprintf(&y, "canary: {partitions: latest 1, expect: {rows: 100%%, changed: {%s}}}\n", changed)
	if r.watch != "" {
		y.WriteString("watch:\n" + r.watch)
	}
	l.w.write(folder+"/pipeline.yaml", y.String())
	for _, env := range r.environments {
		schema := l.schema(env)
		if env == "dev" && r.schema != "" {
			schema = r.schema
		}
		l.w.write(folder+"/config."+env+".yaml", "warehouse: warehouse\nwarehouse_schema: "+schema+"\nwrite_mode: replace\nsource_files: "+l.name+"\n"+r.scheduled())
	}
	return folder
}

func (r tbRelease) scheduled() string {
	if r.schedule == "" {
		return ""
	}
	return "schedule: " + r.schedule + "\n"
}

// deploy brings a release to dev, all its partitions built anew, and holds it to that.
func (l *tbLab) deploy(r tbRelease) {
	l.w.t.Helper()
	l.w.cli(0, "deploy", l.release(r), "--to", "dev", "--rebuild", "all")
}

// rollback is the command that every test of turning back repeats, with further flags.
func (l *tbLab) rollback(flags ...string) answer {
	l.w.t.Helper()
	return l.w.try(append([]string{"rollback", l.name, "--env", "dev", "--reason", "bad"}, flags...)...)
}

// tbTold is what a command said, for messages of a test.
func tbTold(a answer) string { return fmt.Sprintf("exit code %d\n%s%s", a.code, a.out, a.err) }

// id is the rollback's workflow.
func (l *tbLab) id() string { return workflows.RollbackID(l.name, "dev") }

// seen is, per day, by which factor an output's rows were multiplied: 0 where there are none.
func (l *tbLab) seen(env, output string) map[string]string {
	l.w.t.Helper()
	sql := `SELECT d || ' ' || trim_scale(sum(v) / %d) FROM %s.%s GROUP BY d`
	if output == "dim" {
		sql = `SELECT 'all ' || trim_scale(sum(n) / %d) FROM %s.%s HAVING count(*) > 0`
	}
	seen := map[string]string{}
	for _, line := range l.w.texts(fmt.Sprintf(sql, tbRowsSum, l.schema(env), output)) {
		at, factor, _ := strings.Cut(line, " ")
		seen[at] = factor
	}
	return seen
}

// are asserts that every day of some outputs, or the whole of dim, is as a release made it.
func (l *tbLab) are(env string, factor int, outputs ...string) {
	l.w.t.Helper()
	for _, o := range outputs {
		want := map[string]string{}
		if o == "dim" {
			want["all"] = fmt.Sprint(factor)
		} else {
			for _, day := range l.days {
				want[day] = fmt.Sprint(factor)
			}
		}
		require.Equal(l.w.t, want, l.seen(env, o), "%s of %s in %s", o, l.name, env)
	}
}

// together asserts that the outputs of each day are of one release.
func (l *tbLab) together(env string, outputs ...string) {
	l.w.t.Helper()
	for _, day := range l.days {
		of := map[string]string{}
		for _, o := range outputs {
			of[o] = l.seen(env, o)[day]
		}
		for _, o := range outputs {
			require.Equal(l.w.t, of[outputs[0]], of[o], "%s: readers see %v", day, of)
		}
	}
}

// active is the version that history calls active; empty: none.
func (l *tbLab) active(env string) string {
	l.w.t.Helper()
	var h generation.History
	l.w.json(&h, "history", l.name, "--env", env)
	if h.Active == nil {
		return ""
	}
	return h.Active.Release.Version
}

// child is the table in which readers find a day of an output.
func (l *tbLab) child(env, output, day string) string {
	l.w.t.Helper()
	where := "d = '" + day + "'"
	if output == "dim" {
		where = "true"
	}
	found := l.w.texts(fmt.Sprintf(`SELECT DISTINCT tableoid::regclass::text FROM %s.%s WHERE %s`, l.schema(env), output, where))
	require.Len(l.w.t, found, 1, "%s[%s]", output, day)
	return found[0]
}

// tbLock is a session that holds a table as a reader does.
type tbLock struct {
	w    *world
	conn *pgx.Conn
}

// block holds what readers see of a day, so that no swap of it gets its lock.
func (l *tbLab) block(env, output, day string) *tbLock {
	l.w.t.Helper()
	return &tbLock{w: l.w, conn: l.w.session(`BEGIN; LOCK TABLE ` + l.child(env, output, day) + ` IN ACCESS SHARE MODE`)}
}

func (b *tbLock) end() {
	b.w.t.Helper()
	_, err := b.conn.Exec(b.w.t.Context(), `ROLLBACK`)
	require.NoError(b.w.t, err)
}

// tbSoon is how long what a test has caused may take to show on a busy machine, where waiting longer helps nobody.
const tbSoon = 30 * time.Second

// tbEnds waits until a workflow has ended or asks, and returns how it stands.
func (w *world) tbEnds(id string) (s status) {
	w.t.Helper()
	require.True(w.t, w.becomes(patience, func() bool {
		s = w.status(id)
		_, open := s.Open()
		return s.Stage.Finished() || open
	}), "%s neither ends nor asks: %s, %s", id, s.Stage, s.Sentence)
	return s
}

// tbOver waits until a workflow that was told to end has ended, and returns how.
func (w *world) tbOver(id string) (s status) {
	w.t.Helper()
	require.True(w.t, w.becomes(patience, func() bool {
		s = w.status(id)
		return s.Stage.Finished()
	}), "%s does not end: %s, %s", id, s.Stage, s.Sentence)
	return s
}

// tbWorld is a world with a lab and a worker of dev whose publishes park soon, and become visible some partitions at a time.
func tbWorld(t *testing.T, days int) (*tbLab, *worker) {
	t.Helper()
	w := newWorld(t)
	w.inSteps()
	w.impatient("dev", "approval: {required: false}\n", "2s")
	p := w.worker("first", "--env", "dev", "--workflows")
	return w.tbNewLab("lab", days), p
}

// fifo puts a named pipe in the place of a day's file: a load of it begins, and waits until finish.
func (l *tbLab) fifo(day string) (finish func()) {
	l.w.t.Helper()
	path := l.w.path(l.source(day))
	l.w.remove(l.source(day))
	require.NoError(l.w.t, syscall.Mkfifo(path, 0o644))
	file, err := os.OpenFile(path, os.O_RDWR, 0) // for writing only it would wait for the reader
	require.NoError(l.w.t, err)
	l.w.t.Cleanup(func() { _ = file.Close() })
	header, rest, _ := strings.Cut(tbRows(day), "\n")
	_, err = file.WriteString(header + "\n")
	require.NoError(l.w.t, err)
	return func() {
		l.w.t.Helper()
		_, err := file.WriteString(rest)
		require.NoError(l.w.t, err)
		require.NoError(l.w.t, file.Close())
	}
}

// loads says whether a worker is in the middle of a load.
func (w *world) loads() bool {
	w.t.Helper()
	return w.number(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'COPY %FROM%'`) > 0
}

// tbLater is a day that comes after those of the lab, with its file.
func (l *tbLab) later() string {
	l.w.t.Helper()
	day := tbDays(len(l.days) + 1)[len(l.days)]
	l.days = append(slices.Clone(l.days), day)
	l.w.write(l.source(day), tbRows(day))
	return day
}
