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

// errNoHistory says that the sources do not know what they were before, or were much less then.
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
	if _, err := os.Stat(filepath.Join(sources, "workflows", "migration.go")); err != nil {
		return "", errNoHistory // its worker could begin less than what is tried here
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
	for name, phases := range map[string][]migrate.Phase{
		"before the switch": {migrate.Expand, migrate.DualWrite, migrate.Backfill, migrate.Verify},
		"from the switch":   {migrate.Switch, migrate.Deprecating, migrate.Contract},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := upgrading{w: newWorld(t), old: previous(t), phases: phases}
			u.begin()
			u.stopped()
			u.end()
		})
	}
}

// upgrading is an upgrade of the worker while there is a migration in each of some phases, each of a table of its own.
type upgrading struct {
	w      *world
	old    string // the worker's program before it
	phases []migrate.Phase
	first  *worker
	holds  []*hold
}

// nth is how migrations are numbered.
func (u *upgrading) nth(i int) string { return fmt.Sprintf("%04d", i+1) }

func (u *upgrading) id(i int) string {
	return workflows.MigrationID("shop", "dev", u.nth(i)+"_in_"+string(u.phases[i]))
}

// begin lets the old worker begin all of them. The environment is on hold, so that none goes on before it is said where it is to stop.
func (u *upgrading) begin() {
	t, w := u.w.t, u.w
	upgraded := w.worker("upgraded", "--env", "dev", "--workflows")
	folder := w.folder("1.0.0")
	for i, phase := range u.phases {
		w.write(folder+"/migrations/"+u.nth(i)+"_in_"+string(phase)+".yaml", strings.Replace(renamedChannel, "table: sales", "table: in_"+string(phase), 1))
	}
	w.cli(0, "build", folder)
	w.cli(0, "deploy", "shop@1.0.0", "--to", "dev")
	for _, phase := range u.phases {
		_, err := w.db.Exec(t.Context(), fmt.Sprintf(`
			CREATE TABLE shop_dev.in_%[1]s (id bigint PRIMARY KEY, chan text NOT NULL DEFAULT 'web');
			INSERT INTO shop_dev.in_%[1]s SELECT i FROM generate_series(1, 7000) i`, phase))
		require.NoError(t, err)
	}
	require.Contains(t, w.cli(0, "hold", "--env", "dev", "--reason", "all at once").out, "shop_dev")
	upgraded.stop()

	u.first = w.workerOf(u.old, "previous", "--env", "dev", "--workflows")
	for i := range u.phases {
		w.cli(0, "migrate", "start", "shop@1.0.0", u.nth(i), "--env", "dev", "--reason", "a better name", "--detach")
	}
	w.await("all to begin", func() bool {
		return w.number(`SELECT count(*) FROM shop_dev__ledger.migration`) == len(u.phases)
	})
	for i, phase := range u.phases {
		if phase == migrate.Deprecating { // it waits for people by itself
			continue
		}
		table, when := "effect", "NEW.key LIKE '"+u.id(i)+"/%/migrate-"+strings.ReplaceAll(string(phase), "_", "-")+"-%'"
		switch phase {
		case migrate.Backfill:
			table, when = "migration_cursor", "starts_with(NEW.owner, '"+u.id(i)+"/') AND NEW.rows > 0 AND NOT NEW.done"
		case migrate.Verify:
			table, when = "migration", "starts_with(NEW.owner, '"+u.id(i)+"/') AND NEW.phase = 'switch'"
		default: // it has steps
		}
		u.holds = append(u.holds, w.holdIn("shop_dev", table, when))
	}
	w.cli(0, "release-hold", "--env", "dev")
}

// agreed waits until a migration asks whether the old shape may go, and says yes.
func (u *upgrading) agreed(i int) {
	u.w.await("the contract gate of "+u.id(i), func() bool {
		g, open := u.w.status(u.id(i)).Open()
		return open && g.Name == "contract-dev"
	})
	u.w.cli(0, "migrate", "ack", u.id(i), "--consumer", "bi", "--as", "bob")
	u.w.cli(0, "approve", u.id(i), "--reason", "bi is ready")
}

// stopped kills the old worker once each migration is in its phase.
func (u *upgrading) stopped() {
	t, w := u.w.t, u.w
	for i, phase := range u.phases {
		switch phase {
		case migrate.Contract:
			u.agreed(i)
		case migrate.Deprecating:
			w.await("a deprecation", func() bool {
				_, open := w.status(u.id(i)).Open()
				return open
			})
		default: // a hold stops it
		}
	}
	for _, h := range u.holds {
		h.reached()
	}
	u.first.kill()
	for i, phase := range u.phases {
		require.Equal(t, []string{string(phase)}, w.texts(`SELECT phase FROM shop_dev__ledger.migration WHERE starts_with(owner, $1 || '/')`, u.id(i)))
		w.record(u.id(i), "in_"+string(phase))
	}
	for _, h := range u.holds {
		h.release()
	}
}

// end lets the new worker bring all of them to their ends.
func (u *upgrading) end() {
	t, w := u.w.t, u.w
	w.worker("second", "--env", "dev", "--workflows")
	for i, phase := range u.phases {
		if phase != migrate.Contract {
			u.agreed(i)
		}
	}
	for i, phase := range u.phases {
		s := w.tbOver(u.id(i))
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
