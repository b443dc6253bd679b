package e2e_test

import (
	"fmt"
	"os"
	"syscall"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// hold stops the workers at an exact moment, by a lock that their sessions wait for.
type hold struct {
	w       *world
	conn    *pgx.Conn // has the lock
	waiting string    // condition of the waiting row of pg_locks
	unlock  string
	undo    string // takes it away for good
}

func (w *world) newHold() *hold {
	w.t.Helper()
	conn, err := pgx.Connect(w.t.Context(), w.url)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close(cleanup(w.t)) })
	return &hold{w: w, conn: conn}
}

func (h *hold) exec(sql string) {
	h.w.t.Helper()
	_, err := h.conn.Exec(h.w.t.Context(), sql)
	require.NoError(h.w.t, err)
}

// hold stops every transaction that writes a certain row of an environment's ledger at its very commit: all is done, and
// nothing is visible.
func (w *world) hold(env, table, when string) *hold {
	w.t.Helper()
	return w.holdOn(env, table, "INSERT OR UPDATE", when)
}

// holdIn is hold in a schema of another pipeline.
func (w *world) holdIn(schema, table, when string) *hold {
	w.t.Helper()
	return w.holdEvents(schema, table, "INSERT OR UPDATE", when)
}

// holdOn is hold for other events than those that write a row.
func (w *world) holdOn(env, table, event, when string) *hold {
	w.t.Helper()
	return w.holdEvents(schemaOf(env), table, event, when)
}

func (w *world) holdEvents(schema, table, event, when string) *hold {
	w.t.Helper()
	w.held++
	h := w.newHold()
	h.waiting = fmt.Sprintf("locktype = 'advisory' AND objid = %d", w.held)
	h.unlock = fmt.Sprintf(`SELECT pg_advisory_unlock(%d)`, w.held)
	h.undo = fmt.Sprintf(`DROP TRIGGER hold_%d ON %s__ledger.%s`, w.held, schema, table)
	h.exec(fmt.Sprintf(`SELECT pg_advisory_lock(%d)`, w.held))
	// Whoever is stopped stays so until released, however short it would wait for a lock.
	h.exec(`CREATE OR REPLACE FUNCTION public.hold() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$
		BEGIN
		  PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint);
		  RETURN NULL;
		END $$`)
	h.exec(fmt.Sprintf(`
		CREATE CONSTRAINT TRIGGER hold_%d AFTER %s ON %s__ledger.%s
		DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (%s) EXECUTE FUNCTION public.hold(%d)`,
		w.held, event, schema, table, when, w.held))
	return h
}

// shut stops everyone who touches a table of an environment's ledger.
func (w *world) shut(env, table string) *hold {
	w.t.Helper()
	name := schemaOf(env) + "__ledger." + table
	h := w.newHold()
	h.waiting = fmt.Sprintf("locktype = 'relation' AND relation = '%s'::regclass", name)
	h.unlock, h.undo = `ROLLBACK`, `SELECT`
	h.exec(`BEGIN`)
	h.exec(`LOCK TABLE ` + name)
	return h
}

// effect names the ledger rows of one step's effect.
func effectOf(step string) string { return "NEW.key LIKE '%/" + step + "/%'" }

// reached waits until somebody is stopped.
func (h *hold) reached() {
	h.w.t.Helper()
	h.w.await("a worker to be stopped", func() bool {
		return h.w.number(`
			SELECT count(*)
			FROM pg_locks
			WHERE NOT granted
			  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
			  AND `+h.waiting) > 0
	})
}

// release lets them go on, and everyone who comes later.
func (h *hold) release() {
	h.w.t.Helper()
	h.exec(h.unlock)
}

// crash kills the server's process of whoever is stopped, as the kernel does where memory is short: the server ends all its
// sessions, and recovers.
func (h *hold) crash() {
	h.w.t.Helper()
	pid := h.w.number(`SELECT min(pid) FROM pg_locks WHERE NOT granted AND ` + h.waiting)
	require.NoError(h.w.t, syscall.Kill(pid, syscall.SIGKILL))
	h.w.await("the server to recover", func() bool {
		h.w.db.Reset()
		return h.w.db.Ping(h.w.t.Context()) == nil && h.conn.Ping(h.w.t.Context()) != nil
	})
}

// drop takes a released hold away, so that another can be put there.
func (h *hold) drop() {
	h.w.t.Helper()
	h.exec(h.undo)
}

// pipe is a source file that a worker reads as slowly as the test wants.
type pipe struct {
	w    *world
	day  string
	file *os.File
}

// pipe puts a named pipe in the place of a day's file, with the first half of its rows in it: a load begins, and waits.
func (w *world) pipe(day string) *pipe {
	w.t.Helper()
	path := w.path(sourceOf(day))
	w.remove(sourceOf(day))
	require.NoError(w.t, syscall.Mkfifo(path, 0o644))
	file, err := os.OpenFile(path, os.O_RDWR, 0) // for writing only it would wait for the reader
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = file.Close() })
	_, err = file.WriteString(csv(day, ordersPerDay/2))
	require.NoError(w.t, err)
	return &pipe{w: w, day: day, file: file}
}

// loading waits until a worker is in the middle of loading it, and no other day: all loads look the same but in the ledger.
func (p *pipe) loading() {
	p.w.t.Helper()
	ledger := schemaOf("dev") + "__ledger.generation"
	p.w.await("the load of "+p.day, func() bool {
		return p.w.number(`SELECT count(*) WHERE to_regclass('`+ledger+`') IS NOT NULL`) > 0 && p.w.number(`
			SELECT count(*)
			FROM pg_stat_activity AS a
			JOIN `+ledger+` AS g ON g.backend_pid = a.pid AND g.backend_start = a.backend_start
			WHERE a.state = 'active' AND a.query LIKE 'COPY pg_temp."raw_orders"%'
			  AND g.state = 'building' AND g.partition = '`+p.day+`'`) > 0
	})
}

// restore puts the whole file in its place, for whoever opens it from now on.
func (p *pipe) restore() {
	p.w.t.Helper()
	p.w.write(sourceOf(p.day)+".new", csv(p.day, ordersPerDay))
	require.NoError(p.w.t, os.Rename(p.w.path(sourceOf(p.day)+".new"), p.w.path(sourceOf(p.day))))
}

// finish gives the rest of the rows to whoever has read the first half, and ends.
func (p *pipe) finish() {
	p.w.t.Helper()
	_, err := p.file.WriteString(csv(p.day, ordersPerDay)[len(csv(p.day, ordersPerDay/2)):])
	require.NoError(p.w.t, err)
	require.NoError(p.w.t, p.file.Close())
}
