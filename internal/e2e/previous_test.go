package e2e_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/internal/migrate"
	"drawbridge/workflows"
)

// errNoHistory says that the sources do not know what they were before.
var errNoHistory = errors.New("the sources have no commit before this one here")

// previous is the worker of the commit before, which is built once. Where there is none, as in a copy of the sources or in a shallow clone,
// the test is skipped: histories of released workers are replayed all the same.
func previous(t *testing.T) string {
	t.Helper()
	program, err := builtBefore()
	if errors.Is(err, errNoHistory) {
		t.Skip(err)
	}
	require.NoError(t, err)
	return program
}

var builtBefore = sync.OnceValues(func() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Minute)
	defer cancel()
	root := filepath.Join("..", "..")
	commit := "HEAD^1"
	changed, err := exec.CommandContext(ctx, "git", "-C", root, "status", "--porcelain").Output()
	if err != nil {
		return "", errNoHistory
	}
	if len(changed) > 0 { // what is under test is no commit yet
		commit = "HEAD"
	}
	archive, err := exec.CommandContext(ctx, "git", "-C", root, "archive", "--format=tar", commit).Output()
	if err != nil {
		return "", errNoHistory
	}
	sources := filepath.Join(filepath.Dir(built.worker), "previous")
	if err := unpack(archive, sources); err != nil {
		return "", err
	}
	program := filepath.Join(filepath.Dir(built.worker), "drawbridge-worker-previous")
	args := []string{"build", "-C", sources, "-o", program, "-ldflags", "-X main.version=1.0.0"}
	if raced() {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(ctx, "go", append(args, "./worker")...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the worker of %s: %w\n%s", commit, err, out)
	}
	return program, nil
})

// unpack writes the files of a tar archive into a folder.
func unpack(archive []byte, folder string) error {
	for files := tar.NewReader(bytes.NewReader(archive)); ; {
		head, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if head.Typeflag != tar.TypeReg {
			continue
		}
		path := filepath.Join(folder, filepath.FromSlash(head.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		body, err := io.ReadAll(files)
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			return err
		}
	}
}

// A worker of the commit before begins migrations, and is killed while there is one in each phase; a worker of this one ends them all. As in
// any upgrade the new one has been there first: it keeps the ledger.
func TestAWorkerEndsMigrationsThatThePreviousOneBegan(t *testing.T) {
	t.Parallel()
	old := previous(t)
	w := newWorld(t)
	upgraded := w.worker("upgraded", "--env", "dev", "--workflows")
	folder := w.folder("1.0.0")
	_, err := w.db.Exec(t.Context(), `CREATE SCHEMA shop_dev`)
	require.NoError(t, err)
	ids := map[migrate.Phase]string{}
	for i, phase := range migrate.Phases() {
		_, err := w.db.Exec(t.Context(), fmt.Sprintf(`
			CREATE TABLE shop_dev.in_%[1]s (id bigint PRIMARY KEY, chan text NOT NULL DEFAULT 'web');
			INSERT INTO shop_dev.in_%[1]s SELECT i FROM generate_series(1, 7000) i`, phase))
		require.NoError(t, err)
		name := fmt.Sprintf("%04d_in_%s", i+1, phase)
		w.write(folder+"/migrations/"+name+".yaml", strings.Replace(renamedChannel, "table: sales", "table: in_"+string(phase), 1))
		ids[phase] = workflows.MigrationID("shop", "dev", name)
	}
	w.cli(0, "build", folder)
	w.cli(0, "migrate", "plan", "shop@1.0.0", "--env", "dev")
	upgraded.stop()
	first := w.workerOf(old, "previous", "--env", "dev", "--workflows")

	// All of them begin, and none goes on before it is said where each is stopped.
	begin, err := w.db.Begin(t.Context())
	require.NoError(t, err)
	for phase := range ids {
		_, err := begin.Exec(t.Context(), `LOCK TABLE shop_dev.in_`+string(phase)+` IN SHARE UPDATE EXCLUSIVE MODE`)
		require.NoError(t, err)
	}
	for i := range migrate.Phases() {
		w.cli(0, "migrate", "start", "shop@1.0.0", fmt.Sprintf("%04d", i+1), "--env", "dev", "--reason", "a better name", "--detach")
	}
	w.await("all to begin", func() bool {
		return w.number(`SELECT count(*) FROM shop_dev__ledger.migration`) == len(ids)
	})
	of := func(phase migrate.Phase) string { return "NEW.key LIKE '" + ids[phase] + "/%'" }
	holds := map[migrate.Phase]*hold{
		migrate.Expand:    w.holdIn("shop_dev", "effect", of(migrate.Expand)+" AND NEW.key LIKE '%/migrate-expand-%'"),
		migrate.DualWrite: w.holdIn("shop_dev", "effect", of(migrate.DualWrite)+" AND NEW.key LIKE '%/migrate-dual-write-%'"),
		migrate.Backfill:  w.holdIn("shop_dev", "migration_cursor", "NEW.owner LIKE '"+ids[migrate.Backfill]+"/%' AND NEW.rows > 0 AND NOT NEW.done"),
		migrate.Verify:    w.holdIn("shop_dev", "migration", "NEW.owner LIKE '"+ids[migrate.Verify]+"/%' AND NEW.phase = 'switch'"),
		migrate.Switch:    w.holdIn("shop_dev", "effect", of(migrate.Switch)+" AND NEW.key LIKE '%/migrate-switch-%'"),
		migrate.Contract:  w.holdIn("shop_dev", "effect", of(migrate.Contract)+" AND NEW.key LIKE '%/migrate-contract-%'"),
	}
	require.NoError(t, begin.Rollback(t.Context()))
	ends := func(phase migrate.Phase) {
		w.await("the contract gate of "+ids[phase], func() bool {
			g, open := w.status(ids[phase]).Open()
			return open && g.Name == "contract-dev"
		})
		w.cli(0, "migrate", "ack", ids[phase], "--consumer", "bi", "--as", "bob")
		w.cli(0, "approve", ids[phase], "--reason", "bi is ready")
	}
	ends(migrate.Contract)
	w.await("the deprecation of another one", func() bool {
		_, open := w.status(ids[migrate.Deprecating]).Open()
		return open
	})
	for _, h := range holds {
		h.reached()
	}
	first.kill()
	for phase, id := range ids {
		require.Equal(t, []string{string(phase)}, w.texts(`SELECT phase FROM shop_dev__ledger.migration WHERE starts_with(owner, $1 || '/')`, id))
	}
	for _, h := range holds {
		h.release()
	}
	w.worker("second", "--env", "dev", "--workflows")
	for phase := range ids {
		if phase != migrate.Contract {
			ends(phase)
		}
	}
	for phase, id := range ids {
		s := w.tbOver(id)
		require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
		require.Equal(t, 7000, w.number(`SELECT count(*) FROM shop_dev.in_`+string(phase)+` WHERE channel = 'web'`))
	}
}

func TestAWorkerEndsABackfillThatThePreviousOneBegan(t *testing.T) {
	t.Parallel()
	old := previous(t)
	l, upgraded := tbWorld(t, 4)
	l.deploy(tbFirst("ta", "tb"))
	l.corrected(3, l.days...)
	upgraded.stop()
	first := l.w.workerOf(old, "previous", "--env", "dev", "--workflows")
	h := l.w.holdIn(l.schema("dev"), "generation", "NEW.state = 'built' AND NEW.partition = '"+l.days[1]+"'")
	require.Zero(t, l.backfill("--detach", "--lanes", "1").code)
	h.reached()
	first.kill()
	h.release()
	l.w.worker("second", "--env", "dev", "--workflows")
	require.Equal(t, workflows.StageDone, l.w.tbEnds(l.backfillID()).Stage)
	l.are("dev", 3, "ta", "tb")
}

func TestAWorkerEndsATurnBackThatThePreviousOneBegan(t *testing.T) {
	t.Parallel()
	old := previous(t)
	l, upgraded := tbWorld(t, 4)
	l.deploy(tbFirst("ta", "tb"))
	l.deploy(tbSecond("ta", "tb"))
	upgraded.stop()
	first := l.w.workerOf(old, "previous", "--env", "dev", "--workflows")
	h := l.w.holdIn(l.schema("dev"), "swap", "starts_with(NEW.owner, '"+l.id()+"')")
	l.w.cli(0, "rollback", l.name, "--env", "dev", "--reason", "not after all", "--detach")
	h.reached()
	first.kill()
	h.release()
	l.w.worker("second", "--env", "dev", "--workflows")
	require.Equal(t, workflows.StageDone, l.w.tbEnds(l.id()).Stage)
	require.Equal(t, "1.0.0", l.active("dev"))
	l.are("dev", 1, "ta", "tb")
}
