package e2e_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/partition"
	"drawbridge/workflows"
)

// admMoves is a lab with days and a dimension whose second release waits for its approval.
func admMoves(t *testing.T) (*tbLab, status) {
	t.Helper()
	w := newWorld(t)
	w.policy("dev", admRule)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 3)
	first, second := tbFirst("ta"), tbSecond("ta")
	first.dim, second.dim = true, true
	l.approved(first)
	return l, l.asks(second)
}

// A scheduled run while the gate is open moves what the deployment has built: the approval still holds, and it goes on.
func TestARunAtTheOpenGateDoesNotSpendTheApproval(t *testing.T) {
	t.Parallel()
	for name, day := range map[string]func(*tbLab) string{
		"a new day":         (*tbLab).later,
		"the canary's day":  func(l *tbLab) string { return l.days[2] },
		"a day of the rest": func(l *tbLab) string { return l.days[0] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, s := admMoves(t)
			moved := day(l)
			l.w.cli(0, "run", l.name+"@1.0.0", "--env", "dev", "--partition", moved)
			l.agree(s.ID)
			s = l.w.tbEnds(s.ID)
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			l.are("dev", 10, "dim")
			seen := l.seen("dev", "ta")
			for _, d := range tbDays(3) {
				require.Equal(t, "10", seen[d], "%s: %v", d, seen)
			}
			require.Contains(t, []string{"1", "10"}, seen[moved], "what the run published is there, or built again")
		})
	}
}

// Runs of several days at once share a dimension, and none is refused for what another has published of the same inputs.
func TestRunsAtOnceAllPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient("dev", "approval: {required: false}\n", "2m")
	w.worker("first", "--env", "dev", "--workflows", "--builds", "4")
	l := w.tbNewLab("lab", 4)
	first := tbFirst()
	first.dim = true
	l.deploy(first)
	held := l.block("dev", "dim", "")
	ids := make([]string, len(l.days))
	for i, day := range l.days {
		w.cli(0, "run", l.name, "--env", "dev", "--partition", day, "--detach")
		ids[i] = workflows.RunID(l.name, "dev", partition.Key(day))
	}
	for _, id := range ids {
		w.await("all runs to have built", func() bool { s := w.status(id); return s.Step == "publish" || s.Stage.Finished() })
	}
	held.end()
	for _, id := range ids {
		s := w.tbEnds(id)
		require.Equal(t, workflows.StageDone, s.Stage, "%s: %s", id, s.Sentence)
	}
	l.are("dev", 1, "ta", "dim")
}

// widened puts a column that nobody declared into a day's file.
func (l *tbLab) widened(day string) {
	l.w.t.Helper()
	body := strings.ReplaceAll(tbRows(day), "\n", ",123-45-6789\n")
	l.w.write(l.source(day), strings.Replace(body, "v,123-45-6789", "v,ssn", 1))
}

// tbStar makes a release whose outputs are all that the files have.
func (l *tbLab) star(r tbRelease) string {
	l.w.t.Helper()
	folder := l.folder(r)
	l.w.write(folder+"/sql/ta.sql", "SELECT * FROM raw\n")
	l.w.cli(0, "build", folder)
	return folder
}

// columns are what readers of SELECT * get.
func (l *tbLab) columns(env string) []string {
	l.w.t.Helper()
	return l.w.texts(`SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum`, l.schema(env)+".ta")
}

// refusesRun asserts that a run says no, names what it is about, and changes nothing that readers see.
func (l *tbLab) refusesRun(env, day, names string) {
	l.w.t.Helper()
	columns, child := l.columns(env), l.child(env, "ta", day)
	a := l.w.try("run", l.name, "--env", env, "--partition", day)
	require.Equal(l.w.t, columns, l.columns(env), "readers' columns changed: %s", tbTold(a))
	require.Equal(l.w.t, child, l.child(env, "ta", day), "the day was published: %s", tbTold(a))
	require.Contains(l.w.t, []int{1, 2}, a.code, tbTold(a))
	require.Contains(l.w.t, a.out+a.err, names)
}

// A column that appears in a file is not shown to readers by a run.
func TestARunAddsNoColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	w.cli(0, "deploy", l.star(tbFirst()), "--to", "dev")
	l.widened(l.days[1])
	l.refusesRun("dev", l.days[1], "ssn")
	w.never("123-45-6789")
}

// In prod neither, where people have approved the table as it is.
func TestARunInProdAddsNoColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", everything()...)
	l := w.tbNewLab("lab", 2)
	first := tbFirst()
	first.environments = []string{"staging", "prod"}
	w.cli(4, "deploy", l.star(first), "--to", "prod")
	w.cli(0, "approve", w.status(l.name).ID, "--as", "grace", "--reason", "looks right")
	require.Equal(t, workflows.StageDone, w.tbEnds(l.name).Stage)
	l.widened(l.days[1])
	l.refusesRun("prod", l.days[1], "ssn")
}

// A column that vanishes from a file is not NULL for readers from one day to the next.
func TestARunLeavesOutNoColumn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 2)
	for _, day := range l.days {
		l.widened(day)
	}
	w.cli(0, "deploy", l.star(tbFirst()), "--to", "dev")
	require.Contains(t, l.columns("dev"), "ssn")
	w.write(l.source(l.days[1]), tbRows(l.days[1]))
	l.refusesRun("dev", l.days[1], "ssn")
}

// What the plan of a deployment refuses, a run does not publish either.
func TestARunIsHeldToTheRulesOfAPlan(t *testing.T) {
	t.Parallel()
	for rule, sql := range map[string]string{
		"index":   `CREATE INDEX somebodys ON lab_dev.ta (v)`,
		"trigger": `CREATE FUNCTION public.noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; CREATE TRIGGER somebodys AFTER INSERT ON lab_dev.ta FOR EACH ROW EXECUTE FUNCTION public.noop()`,
		"foreign key": `ALTER TABLE lab_dev.ta ADD CONSTRAINT somebodys UNIQUE (id, d);
			CREATE TABLE public.others (id bigint, d date, CONSTRAINT somebodys_too FOREIGN KEY (id, d) REFERENCES lab_dev.ta (id, d))`,
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.worker("first", "--env", "dev", "--workflows")
			l := w.tbNewLab("lab", 2)
			l.deploy(tbFirst())
			_, err := w.db.Exec(t.Context(), sql)
			require.NoError(t, err)
			a := w.try("deploy", l.release(tbSecond()), "--to", "dev")
			require.Equal(t, 2, a.code, tbTold(a))
			require.Contains(t, a.out+a.err, "somebodys")
			l.refusesRun("dev", l.days[0], "somebodys")
		})
	}
}

// What a turn-back builds again is held to the same rules; what only swaps goes back all the same.
func TestARebuildIsHeldToTheRulesOfAPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("first", "--env", "dev", "--workflows")
	l := w.tbNewLab("lab", 3)
	l.deploy(tbFirst())
	before := l.seen("dev", "ta")
	l.deploy(tbSecond())
	w.cli(0, "run", l.name, "--env", "dev", "--partition", l.days[0]) // is built again, as there is no generation of the first release that it replaced
	_, err := w.db.Exec(t.Context(), `CREATE FUNCTION public.noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER somebodys AFTER INSERT ON lab_dev.ta FOR EACH ROW EXECUTE FUNCTION public.noop()`)
	require.NoError(t, err)
	a := l.rollback()
	require.Equal(t, 5, a.code, tbTold(a))
	require.Contains(t, a.out+a.err, "somebodys")
	now := l.seen("dev", "ta")
	require.NotEqual(t, before[l.days[0]], now[l.days[0]])
	require.Equal(t, before[l.days[1]], now[l.days[1]])
	_, err = w.db.Exec(t.Context(), `DROP TRIGGER somebodys ON lab_dev.ta`)
	require.NoError(t, err)
	a = l.rollback()
	require.Equal(t, 0, a.code, tbTold(a))
	require.Equal(t, before, l.seen("dev", "ta"))
}

// What a person has done to a column is not undone by a run: it is not made again under its old name with half of the rows in
// each, nor after it was dropped, and no value is forced into another type.
func TestARunUndoesNothingThatWasDoneToAColumn(t *testing.T) {
	t.Parallel()
	for done, c := range map[string]struct{ sql, names string }{
		"renamed": {`ALTER TABLE lab_dev.ta RENAME COLUMN v TO amount`, "amount"},
		"dropped": {`ALTER TABLE lab_dev.ta DROP COLUMN v`, "v"},
		"retyped": {`ALTER TABLE lab_dev.ta ALTER COLUMN v TYPE text`, "text"},
	} {
		t.Run(done, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.worker("first", "--env", "dev", "--workflows")
			l := w.tbNewLab("lab", 2)
			l.deploy(tbFirst())
			_, err := w.db.Exec(t.Context(), c.sql)
			require.NoError(t, err)
			l.refusesRun("dev", l.days[0], c.names)
		})
	}
}
