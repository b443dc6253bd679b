package postgres

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.temporal.io/server/common/testing/freeport"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == GuardCommand {
		if err := Guard(os.Stdin, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestMajorVersion(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n": 15,
		"initdb (PostgreSQL) 14.0\n":                             14,
		"postgres (PostgreSQL) 17beta1\n":                        17,
		"postgres (PostgreSQL) 19devel\n":                        19,
	} {
		got, err := majorVersion(line)
		require.NoError(t, err, line)
		require.Equal(t, want, got, line)
	}
	_, err := majorVersion("usage: postgres [wrapper]\n")
	require.ErrorContains(t, err, "names no PostgreSQL version")
}

func TestTheEnvironmentChoosesTheVersionOfANewCluster(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]int{"": 0, "14": 14, "19": 19} {
		got, err := wanted(value)
		require.NoError(t, err, value)
		require.Equal(t, want, got, value)
	}
	for _, value := range []string{"13", "-15", "17.5", "newest"} {
		_, err := wanted(value)
		require.ErrorContains(t, err, "DRAWBRIDGE_POSTGRES is \""+value+"\"")
	}
}

func TestAClusterOfAnotherVersionIsNotTakenForTheOneThatIsAskedFor(t *testing.T) {
	link := filepath.Join(t.TempDir(), "postgres")
	t.Cleanup(func() { require.NoError(t, Remove(link)) })
	account, err := CurrentAccount()
	require.NoError(t, err)
	home, err := openHome(link, account)
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(home, "data"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(home, "data", "PG_VERSION"), []byte("15\n"), 0o600))
	t.Setenv(variable, "16")
	_, err = Open(t.Context(), link, Disposable)
	require.ErrorContains(t, err, "the cluster was made by Postgres 15, and DRAWBRIDGE_POSTGRES asks for 16")
}

func TestWhatCanNeitherBeFoundNorFetchedIsNamed(t *testing.T) {
	t.Parallel()
	_, err := Fetch(t.Context(), Account{}, newest+1)
	require.ErrorContains(t, err, "postgres 19 is not installed, and only 14 to 18 can be fetched")
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, dir := range []string{"usr/lib/postgresql/15/bin", "usr/lib/postgresql/17/bin", "opt/homebrew/opt/postgresql@16/bin"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, dir), 0o755))
	}
	got := candidates(t.Context(), "/first:/second", root)
	require.Equal(t, []string{"/first", "/second"}, got[:2], "the PATH comes first")
	require.Equal(t, []string{
		filepath.Join(root, "usr/lib/postgresql/17/bin"),
		filepath.Join(root, "usr/lib/postgresql/15/bin"),
		filepath.Join(root, "opt/homebrew/opt/postgresql@16/bin"),
	}, got[len(got)-3:], "then what packages leave off the PATH, the newest version first")
}

func TestInspect(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		programs map[string]string
		want     int
		wantErr  string
	}{
		"both programs":                     {programs: map[string]string{"postgres": "postgres (PostgreSQL) 16.2", "initdb": "initdb (PostgreSQL) 16.2"}, want: 16},
		"a lone wrapper":                    {programs: map[string]string{"postgres": "postgres (PostgreSQL) 16.2"}, wantErr: "initdb"},
		"programs of two versions":          {programs: map[string]string{"postgres": "postgres (PostgreSQL) 16.2", "initdb": "initdb (PostgreSQL) 15.4"}, wantErr: "postgres in"},
		"a program of another kind":         {programs: map[string]string{"postgres": "Postgres, the elephant", "initdb": "initdb (PostgreSQL) 16.2"}, wantErr: "names no PostgreSQL version"},
		"a directory with nothing of those": {wantErr: "no such file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for program, version := range tt.programs {
				script := "#!/bin/sh\necho '" + version + "'\n"
				require.NoError(t, os.WriteFile(filepath.Join(dir, program), []byte(script), 0o755))
			}
			got, err := inspect(t.Context(), Account{}, dir)
			if tt.wantErr != "" {
				require.ErrorContains(t, err, tt.wantErr)
				return
			}
			require.NoError(t, err)
			require.Equal(t, Installation{Bin: dir, Major: tt.want}, got)
		})
	}
}

func TestALibraryIsFoundBesideTheProgramThatALinkLeadsTo(t *testing.T) {
	t.Parallel()
	real, links := t.TempDir(), t.TempDir()
	for _, dir := range []string{"bin", "lib"} {
		require.NoError(t, os.Mkdir(filepath.Join(real, dir), 0o755))
	}
	require.NoError(t, os.WriteFile(filepath.Join(real, "bin", "postgres"), nil, 0o755))
	require.NoError(t, os.Symlink(filepath.Join(real, "bin", "postgres"), filepath.Join(links, "postgres")))
	found := Installation{Bin: links}
	require.False(t, found.has(counting))
	require.NoError(t, os.WriteFile(filepath.Join(real, "lib", counting+".so"), nil, 0o644))
	require.True(t, found.has(counting))
	require.False(t, Installation{Bin: t.TempDir()}.has(counting))
}

func TestHome(t *testing.T) {
	t.Parallel()
	account, err := CurrentAccount()
	require.NoError(t, err)
	closed := t.TempDir()
	require.NoError(t, os.Chmod(closed, 0o700))
	link := filepath.Join(closed, "postgres")

	home, err := openHome(link, account)
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	require.True(t, account.canEnter(home))
	info, err := os.Stat(home)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	if account.switched {
		require.Equal(t, outside, filepath.Dir(home), "the account cannot enter root's directory")
	} else {
		require.Equal(t, closed, filepath.Dir(home))
	}
	again, err := openHome(link, account)
	require.NoError(t, err)
	require.Equal(t, home, again)

	made, err := passwords(home)
	require.NoError(t, err)
	require.NotEqual(t, made.Superuser, made.Drawbridge)
	require.Len(t, made.Drawbridge, 32)
	kept, err := passwords(home)
	require.NoError(t, err)
	require.Equal(t, made, kept)

	require.NoError(t, Remove(link))
	require.NoDirExists(t, home)
	_, err = os.Lstat(link)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, Remove(link), "nothing is left to remove")
}

func TestHomeReplacesALinkToNothing(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "postgres")
	require.NoError(t, os.Symlink(filepath.Join(t.TempDir(), "gone"), link))
	home, err := openHome(link, Account{})
	require.NoError(t, err)
	require.DirExists(t, home)
}

// TestOpenStopsAServerLeftBehind starts a server without a guard, as the death of stack and guard at once leaves one.
func TestOpenStopsAServerLeftBehind(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "postgres")
	t.Cleanup(func() { require.NoError(t, Remove(link)) })
	c, err := Open(t.Context(), link, Disposable)
	require.NoError(t, err)
	port := freeport.MustGetFreePort()
	server, err := c.Start(t.Context(), port, os.Stderr)
	require.NoError(t, err)
	require.NoError(t, server.Stop())

	left := exec.Command(filepath.Join(c.installation.Bin, "postgres"), "-D", c.data())
	for name, value := range c.settings() {
		left.Args = append(left.Args, "-c", name+"="+value)
	}
	left.SysProcAttr = c.account.process()
	require.NoError(t, left.Start())
	ended := make(chan error, 1)
	go func() { ended <- left.Wait() }()
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), c.Warehouse())
		return err == nil && conn.Close(t.Context()) == nil
	}, 10*time.Second, poll)

	c, err = Open(t.Context(), link, Disposable)
	require.NoError(t, err)
	require.NoError(t, <-ended, "it was shut down cleanly")
	server, err = c.Start(t.Context(), port, os.Stderr)
	require.NoError(t, err)
	require.NoError(t, server.Stop())
	require.NoError(t, server.Stop(), "stopping again does nothing")
}

// TestOpenForgivesAStaleProcessID leaves the file of a server whose process id now belongs to an innocent process.
func TestOpenForgivesAStaleProcessID(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "postgres")
	t.Cleanup(func() { require.NoError(t, Remove(link)) })
	c, err := Open(t.Context(), link, Disposable)
	require.NoError(t, err)
	require.NoError(t, c.create(t.Context()))
	file := filepath.Join(c.data(), "postmaster.pid")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "%d\n%s\n", os.Getpid(), c.data()), 0o600))

	_, err = Open(t.Context(), link, Disposable)
	require.NoError(t, err)
	require.NoFileExists(t, file)
}

func TestStartTellsWhenThePortIsTaken(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "postgres")
	t.Cleanup(func() { require.NoError(t, Remove(link)) })
	c, err := Open(t.Context(), link, Disposable)
	require.NoError(t, err)
	port := freeport.MustGetFreePort()
	server, err := c.Start(t.Context(), port, os.Stderr)
	require.NoError(t, err)
	defer func() { require.NoError(t, server.Stop()) }()

	other := filepath.Join(t.TempDir(), "postgres")
	t.Cleanup(func() { require.NoError(t, Remove(other)) })
	rival, err := Open(t.Context(), other, Disposable)
	require.NoError(t, err)
	_, err = rival.Start(t.Context(), port, os.Stderr)
	require.ErrorContains(t, err, "start Postgres")
}
