package e2e_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/workflows"
)

// fareRows are there before anything is migrated. Bringing them over takes long enough to be interrupted.
const fareRows = 60_000

// undoing is the phase of a migration that goes back.
const undoing migrate.Phase = "undo"

// duringPhase is what a fault meets that comes in a phase of a migration.
func duringPhase(phase migrate.Phase) string { return "migration: " + string(phase) }

// chaosTable is a table that no pipeline makes, whose migrations go there and back again: each renames a column, gives another one
// another type, and makes, or drops, an index and a check. Its writers know the old shape only until they have said that they are ready.
type chaosTable struct {
	*fareTraffic
	c     *chaos
	lab   *chaosLab
	names []string // of the migrations, in order
	seen  int      // rows of the ledger whose end was looked at
}

// newFares builds a release with so many migrations of the table, of a pipeline that is deployed, run, and turned back meanwhile.
func (c *chaos) newFares(migrations int) *chaosTable {
	c.t.Helper()
	t := &chaosTable{c: c, lab: c.labs[0]}
	r := tbFirst(t.lab.tables...)
	r.version, r.schema = "2.0.0", "rides_dev"
	folder := t.lab.folder(r)
	for i := range migrations {
		way, operations := "there", `
  - rename_column: {column: amount, to: fare}
  - change_type: {column: qty, to: text, up: "qty::text", down: "qty::int"}
  - create_index: {name: fares_note, columns: [note]}
  - add_check: {name: fares_noted, check: "note <> ''"}`
		if i%2 == 1 {
			way, operations = "back", `
  - rename_column: {column: fare, to: amount}
  - change_type: {column: qty, to: int, up: "qty::int", down: "qty::text"}
  - drop_index: {name: fares_note}
  - drop_check: {name: fares_noted}`
		}
		name := fmt.Sprintf("%04d_%s", i+1, way)
		t.names = append(t.names, name)
		c.write(folder+"/migrations/"+name+".yaml", "table: fares\nwhy: chaos\noperations:"+operations+
			"\nconsumers:\n  - {name: writers, must_ack: true}\ndeprecate: {window: 1s}\n")
	}
	c.cli(0, "build", folder)
	return t
}

// made makes the table, and lets others read and write it.
func (t *chaosTable) made(seed uint64) {
	t.c.t.Helper()
	_, err := t.c.db.Exec(t.c.t.Context(), `
		CREATE TABLE rides_dev.fares (id int PRIMARY KEY, amount int NOT NULL DEFAULT 0, qty int NOT NULL, note text NOT NULL);
		COMMENT ON COLUMN rides_dev.fares.amount IS 'what it costs'`)
	require.NoError(t.c.t, err)
	pool, err := pgxpool.New(t.c.t.Context(), t.c.url)
	require.NoError(t.c.t, err)
	t.c.t.Cleanup(pool.Close)
	t.fareTraffic = newFareTraffic(pool, fareRows)
	_, err = pool.CopyFrom(t.c.t.Context(), pgx.Identifier{"rides_dev", "fares"}, []string{"id", "amount", "qty", "note"},
		pgx.CopyFromSlice(fareRows, func(i int) ([]any, error) {
			return []any{i, t.rows[i].amount, t.rows[i].qty, "there from the beginning"}, nil
		}))
	require.NoError(t.c.t, err)
	t.goes(t.c.t.Context(), seed)
}

// name is the migration whose turn it is; once all are done, the last.
func (t *chaosTable) name() string { return t.names[min(t.at, len(t.names)-1)] }

func (t *chaosTable) id() string { return workflows.MigrationID(t.lab.name, "dev", t.name()) }

// starts is the command that begins the migration whose turn it is, or goes on with it.
func (t *chaosTable) starts() {
	t.c.t.Helper()
	t.c.starts("migrate", "start", t.lab.name+"@2.0.0", t.name(), "--env", "dev", "--reason", "chaos", "--detach")
}

// phase is where the ledger has the open migration; empty: none is open. known says that it was to be read.
func (t *chaosTable) phase() (phase migrate.Phase, known bool) {
	ctx, cancel := context.WithTimeout(t.c.t.Context(), 3*time.Second)
	defer cancel()
	err := t.c.db.QueryRow(ctx, `
		SELECT coalesce(max(CASE WHEN back THEN $1 ELSE phase END), '') FROM rides_dev__ledger.migration WHERE ended_at IS NULL`, undoing).Scan(&phase)
	return phase, err == nil
}

// busy lets the next migration begin once the last one has ended, and does to one that is under way what people do. It says whether it has
// let one go on to contract, which takes a moment only.
func (t *chaosTable) busy() (contracts bool) {
	t.c.t.Helper()
	what := t.c.draw.IntN(12)
	running, known := t.c.describes(t.id())
	phase, read := t.phase()
	switch {
	case !known || !read:
	case !running && phase == "":
		if t.noted() && t.at < len(t.names) {
			t.starts()
		}
	case !running && what < 9: // it was terminated, or could not go on
		t.starts()
	case !running, what == 11:
		t.c.starts("migrate", "rollback", t.id(), "--reason", "chaos", "--detach")
	case what == 10:
		return t.decided(gate.Reject) == gate.Approve
	case phase == migrate.Deprecating:
		t.acked()
		return t.decided(gate.Retry) == gate.Approve
	case what < 2:
		t.acked()
	}
	return false
}

// acked says for the writers that they are ready, which they then are.
func (t *chaosTable) acked() {
	t.c.t.Helper()
	t.know(t.at, true)
	t.c.starts("migrate", "ack", t.id(), "--consumer", "writers", "--as", "bob")
}

// decided answers what the migration asks. Whatever happens, no row ever breaks a proof.
func (t *chaosTable) decided(prefer gate.Choice) gate.Choice {
	t.c.t.Helper()
	question, choice := t.c.decides(t.id(), prefer)
	if strings.Contains(question, "does not hold of") {
		t.c.violated("%s: %s", t.id(), question)
	}
	return choice
}

// noted looks at a table of which no migration is open, and whose turn it is next. It says whether the server let it look.
func (t *chaosTable) noted() bool {
	t.c.t.Helper()
	ctx, cancel := context.WithTimeout(t.c.t.Context(), 20*time.Second)
	defer cancel()
	var ended int
	var outcome string
	if err := t.c.db.QueryRow(ctx, `
		SELECT count(*), coalesce((array_agg(outcome ORDER BY ended_at DESC) FILTER (WHERE name = $1))[1], '')
		FROM rides_dev__ledger.migration WHERE ended_at IS NOT NULL`, t.name()).Scan(&ended, &outcome); err != nil {
		return false
	}
	if ended == t.seen {
		return true
	}
	at := t.at
	if outcome == "done" {
		at++
	}
	wrong, err := t.wrong(ctx, at)
	if err != nil {
		return false
	}
	for _, line := range wrong {
		t.c.violated("%s is %s, and %s", t.name(), outcome, line)
	}
	t.c.tell("%s is %s", t.name(), outcome)
	t.seen = ended
	t.know(at, false)
	return true
}

// wrong is what differs from what the table has to be after so many migrations, in shape and rows.
func (t *chaosTable) wrong(ctx context.Context, after int) (wrong []string, err error) {
	rows, err := t.c.db.Query(ctx, `
		SELECT format('column %s %s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum))
		FROM pg_attribute a
		LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = 'rides_dev.fares'::regclass AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = 'rides_dev.fares'::regclass AND contype <> 'n'
		UNION ALL SELECT format('index %s valid %s', indexrelid::regclass, indisvalid) FROM pg_index WHERE indrelid = 'rides_dev.fares'::regclass
		UNION ALL SELECT format('trigger %s', tgname) FROM pg_trigger WHERE tgrelid = 'rides_dev.fares'::regclass
		UNION ALL SELECT format('function %s', proname) FROM pg_proc WHERE pronamespace = 'rides_dev__ledger'::regnamespace AND starts_with(proname, 'zz_drawbridge')`)
	if err != nil {
		return nil, err
	}
	shape, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	want := []string{
		"column id integer t  ", "column note text t  ", "constraint fares_pkey PRIMARY KEY (id)", "index rides_dev.fares_pkey valid t",
		"column amount integer t 0 what it costs", "column qty integer t  ",
	}
	if after%2 == 1 {
		want = append(want[:4], "column fare integer t 0 what it costs", "column qty text t  ",
			"constraint fares_noted CHECK ((note <> ''::text))", "index rides_dev.fares_note valid t")
	}
	for _, line := range shape {
		if !slices.Contains(want, line) {
			wrong = append(wrong, "it has "+line)
		}
	}
	for _, line := range want {
		if !slices.Contains(shape, line) {
			wrong = append(wrong, "it lacks "+line)
		}
	}
	if len(wrong) > 0 {
		return wrong, nil
	}
	return t.differs(ctx, after)
}

// finishes is what people do when no fault comes any more: they say that they are ready, approve, and give the same command again where
// nothing runs and the ledger has it open. Then it ends.
func (t *chaosTable) finishes() {
	t.c.t.Helper()
	if g, open := t.c.where(t.id()).Open(); open && g.Name != gate.ContractOf("dev") { // nobody is in anything's way any more
		t.c.violated("%s waits for a cause that is gone: %s", t.id(), g.Question)
	}
	for began := time.Now(); ; t.c.pause(500 * time.Millisecond) {
		running, known := t.c.describes(t.id())
		phase, read := t.phase()
		switch {
		case !known || !read:
		case running:
			t.acked()
			t.decided(gate.Retry)
		case phase != "":
			t.starts()
		default:
			if t.noted() {
				return
			}
		}
		if time.Since(began) > settling {
			t.c.violated("%s does not end %.0f s after everybody was ready: %s %s", t.id(), time.Since(began).Seconds(), phase, t.c.where(t.id()).Sentence)
			return
		}
	}
}

// whole holds the table to its promises once nobody writes it any more.
func (t *chaosTable) whole() {
	t.c.t.Helper()
	for _, line := range t.texts() {
		t.c.violated("%s", line)
	}
	wrong, err := t.wrong(t.c.t.Context(), t.at)
	require.NoError(t.c.t, err)
	for _, line := range wrong {
		t.c.violated("in the end %s", line)
	}
	t.c.tell("%d writes, %d reads of the table; the slowest write took %.1f s; migrations: %v", t.writes, t.reads, t.slowest.Seconds(),
		t.c.texts(`SELECT outcome || ' ' || count(*) FROM rides_dev__ledger.migration GROUP BY outcome ORDER BY 1`))
	if t.writes == 0 || t.reads == 0 {
		t.c.violated("nobody has read or written the table")
	}
}
