package e2e_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// truWarehouse is how a config of these tests names the warehouse of its environment.
const truWarehouse = "warehouse: warehouse\n"

// truSpec is a pipeline with one output of the pipeline's name, in dev. What is left out is as in most tests.
type truSpec struct {
	partition string // of the pipeline
	load      string // name of the load
	file      string // of the load
	columns   string // of the load
	sql       string // of the output
	output    string // further lines of the output
	tail      string // further lines of the pipeline
	config    string // the whole config but for its schema
}

// truFolder writes a pipeline's folder, and returns its path.
func (w *world) truFolder(name, version string, s truSpec) string {
	w.t.Helper()
	or := func(text, otherwise string) string {
		if text == "" {
			return otherwise
		}
		return text
	}
	load := or(s.load, "raw")
	folder := name + "-" + version
	w.write(folder+"/pipeline.yaml", "name: "+name+"\nversion: "+version+"\nowner: cases\npartition: "+or(s.partition, "{by: day, column: d}")+`
steps:
  - load:
      name: `+load+`
      file: "`+or(s.file, "data/"+name+"_@partition.csv")+`"
      columns: `+or(s.columns, "{id: int, d: date, v: text}")+`
outputs:
  - table: `+name+`
    sql: sql/out.sql
`+or(s.output, "    key: [id]\n    checks:\n      - row_count: {min: 0}\n")+s.tail)
	w.write(folder+"/sql/out.sql", or(s.sql, "SELECT id, d, v FROM "+load)+"\n")
	w.write(folder+"/config.dev.yaml", or(s.config, truWarehouse+"source_files: .\n")+"warehouse_schema: shop_dev\n")
	return folder
}

// truDays writes three rows a day for a pipeline of the usual columns; v is of every row.
func (w *world) truDays(name, v string, days ...string) {
	w.t.Helper()
	for _, day := range days {
		w.write("source/data/"+name+"_"+day+".csv", "id,d,v\n1,"+day+","+v+"\n2,"+day+","+v+"\n3,"+day+","+v+"\n")
	}
}

// truRows is how many rows a table of dev has; no table has none.
func (w *world) truRows(name string) int {
	w.t.Helper()
	if w.number(`SELECT count(*) FROM pg_class WHERE relname = $1 AND relnamespace = to_regnamespace('shop_dev')`, name) == 0 {
		return 0
	}
	return w.number(`SELECT count(*) FROM shop_dev."` + name + `"`)
}

// truWithin runs the CLI as a person does who gives up after a while; ended says that they did not have to.
func (w *world) truWithin(limit time.Duration, args ...string) (a answer, ended bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, built.cli, args...)
	cmd.Dir, cmd.Env = w.dir, w.env()
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	require.NoError(w.t, cmd.Start())
	_ = cmd.Wait() // how it ends is the answer
	w.said = append(w.said, out.String(), errOut.String())
	w.t.Logf("drawbridge %s: %d\n%.700s%.700s", strings.Join(args, " "), cmd.ProcessState.ExitCode(), out.String(), errOut.String())
	ended = ctx.Err() == nil
	if !ended {
		w.stalled()
	}
	return answer{code: cmd.ProcessState.ExitCode(), out: out.String(), err: errOut.String()}, ended
}

// stalled shows what is waited for, by sessions of the warehouse and by workflows, when a command did not end.
func (w *world) stalled() {
	w.t.Helper()
	for _, s := range w.texts(`
		SELECT concat_ws(' | ', pid, application_name, state, wait_event_type, wait_event, age(clock_timestamp(), query_start), pg_blocking_pids(pid)::text, left(query, 200))
		FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`) {
		w.t.Log("session:", s)
	}
	for _, e := range w.executions() {
		d, err := w.temporal.DescribeWorkflowExecution(w.t.Context(), e.GetWorkflowId(), e.GetRunId())
		if err != nil {
			w.t.Log("workflow:", e.GetWorkflowId(), err)
			continue
		}
		w.t.Log("workflow:", e.GetWorkflowId(), d.GetPendingWorkflowTask(), d.GetPendingActivities())
	}
}

// truWorld is a world in which something is live in dev, so that there is a history to look into whatever is refused.
func truWorld(t *testing.T) (*world, *worker) {
	t.Helper()
	w := newWorld(t)
	p := w.worker("worker", "--env", "dev", "--workflows")
	w.truDays("base", "a", newestDay)
	w.cli(0, "deploy", w.truFolder("base", "1.0.0", truSpec{}), "--to", "dev")
	return w, p
}

// truServer speaks as much of Postgres as it takes to be told a password, and remembers what it was told.
type truServer struct {
	host, port string
	mu         sync.Mutex
	sessions   int
	passwords  []string
}

// truListen starts a server that asks for a password in clear text, and lets nobody in. A silent one accepts, and never
// says a word.
func (w *world) truListen(silent bool) *truServer {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(w.t, err)
	s := &truServer{}
	s.host, s.port, err = net.SplitHostPort(l.Addr().String())
	require.NoError(w.t, err)
	var group sync.WaitGroup
	var open sync.Map
	group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			open.Store(conn, true)
			s.mu.Lock()
			s.sessions++
			s.mu.Unlock()
			group.Go(func() {
				if silent {
					_, _ = io.Copy(io.Discard, conn)
				} else {
					s.serve(conn)
				}
				_ = conn.Close()
			})
		}
	})
	w.t.Cleanup(func() {
		_ = l.Close()
		open.Range(func(conn, _ any) bool {
			_ = conn.(net.Conn).Close()
			return true
		})
		group.Wait()
	})
	return s
}

// serve is one session: it ends with a refusal, or where the client goes away.
func (s *truServer) serve(conn net.Conn) {
	const sslRequest = 80877103
	for {
		body, err := truMessage(conn)
		if err != nil {
			return
		}
		if len(body) == 4 && binary.BigEndian.Uint32(body) == sslRequest {
			if _, err := conn.Write([]byte{'N'}); err != nil {
				return
			}
			continue
		}
		break
	}
	if _, err := conn.Write([]byte{'R', 0, 0, 0, 8, 0, 0, 0, 3}); err != nil { // AuthenticationCleartextPassword
		return
	}
	kind := make([]byte, 1)
	if _, err := io.ReadFull(conn, kind); err != nil || kind[0] != 'p' {
		return
	}
	body, err := truMessage(conn)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.passwords = append(s.passwords, strings.TrimRight(string(body), "\x00"))
	s.mu.Unlock()
	said := "SFATAL\x00C28P01\x00Mno\x00\x00"
	head := binary.BigEndian.AppendUint32([]byte{'E'}, uint32(4+len(said)))
	_, _ = conn.Write(append(head, said...))
}

// truMessage reads the rest of a message: its length, and its body.
func truMessage(conn io.Reader) ([]byte, error) {
	var length uint32
	if err := binary.Read(conn, binary.BigEndian, &length); err != nil {
		return nil, err
	}
	if length < 4 || length > 1<<16 {
		return nil, io.ErrUnexpectedEOF
	}
	body := make([]byte, length-4)
	_, err := io.ReadFull(conn, body)
	return body, err
}

// heard are the passwords that it was told.
func (s *truServer) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.passwords...)
}

// told is how many passwords it was told: they may be real ones, and are not to be shown.
func (s *truServer) told() int { return len(s.heard()) }

// met is how many sessions there were.
func (s *truServer) met() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// truPlainWorker starts a worker as a person on a laptop does: with the exports of the local stack, and no policies.
func (w *world) truPlainWorker(name string, args ...string) *worker {
	w.t.Helper()
	p := &worker{t: w.t, name: name, log: filepath.Join(w.dir, name+".log"), done: make(chan struct{})}
	log, err := os.Create(p.log)
	require.NoError(w.t, err)
	p.cmd = exec.Command(built.worker, append([]string{"--source-root", w.dir, "--key", w.path("signing-key.pem")}, args...)...)
	p.cmd.Dir, p.cmd.Env = w.dir, append(w.env(), "DRAWBRIDGE_WAREHOUSE="+w.url)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(w.t, p.cmd.Start())
	require.NoError(w.t, log.Close())
	go func() {
		_ = p.cmd.Wait() // how it ends is the test's wish
		close(p.done)
	}()
	w.t.Cleanup(func() { p.end() })
	w.await(name+" to serve", func() bool {
		return strings.Count(p.output(), `"msg":"serving"`) == queuesPerEnvironment+1
	})
	return p
}

// srvID is the workflow that the CLI means by a name: deployments are found by their pipeline.
func (w *world) srvID(name string) string {
	w.t.Helper()
	id := w.status(name).ID
	require.NotEmpty(w.t, id)
	return id
}

// truDocumented asserts that a document of the repository has a text, however its lines are broken.
func truDocumented(t *testing.T, file, text string) {
	t.Helper()
	body, err := os.ReadFile("../../" + file)
	require.NoError(t, err)
	if !strings.Contains(strings.Join(strings.Fields(string(body)), " "), text) {
		t.Errorf("%s does not say %q", file, text)
	}
}
