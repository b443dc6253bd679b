package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	embedded "github.com/fergusstrange/embedded-postgres"
	"go.temporal.io/server/common/testing/freeport"
)

// fetched are the releases that can be fetched, by their major version.
func fetched() map[int]embedded.PostgresVersion {
	return map[int]embedded.PostgresVersion{
		14:     embedded.V14,
		15:     embedded.V15,
		16:     embedded.V16,
		17:     embedded.V17,
		newest: embedded.V18,
	}
}

// newest is the major version that is fetched where any will do.
const newest = 18

// Fetch downloads a Postgres of version major, or the newest where major is 0, once per version and user, for a machine on
// which none is installed.
func Fetch(ctx context.Context, account Account, major int) (Installation, error) {
	if major == 0 {
		major = newest
	}
	release, ok := fetched()[major]
	if !ok {
		return Installation{}, fmt.Errorf("postgres %d is not installed, and only %d to %d can be fetched", major, oldest, newest)
	}
	cache, err := fetchDir(account)
	if err != nil {
		return Installation{}, err
	}
	home := filepath.Join(cache, "postgres-"+string(release))
	bin := filepath.Join(home, "bin")
	if found, err := inspect(ctx, account, bin); err == nil {
		return found, nil
	}
	scratch, err := os.MkdirTemp(cache, ".fetch-")
	if err != nil {
		return Installation{}, fmt.Errorf("fetch Postgres: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()

	// The library fetches only as part of starting a server. Its server is stopped at once; as root, Postgres refuses
	// to start at all. Either way the programs are what was wanted, so that they decide about success.
	server := embedded.NewDatabase(embedded.DefaultConfig().
		Version(release).
		Port(uint32(freeport.MustGetFreePort())).
		CachePath(scratch).
		RuntimePath(filepath.Join(scratch, "run")).
		BinariesPath(home).
		Logger(nil))
	fetchErr := server.Start()
	if fetchErr == nil {
		fetchErr = server.Stop()
	}
	found, err := inspect(ctx, account, bin)
	if err != nil {
		return Installation{}, errors.Join(fmt.Errorf("fetch Postgres %s: %w", release, err), fetchErr)
	}
	return found, nil
}

// fetchDir is where fetched programs are kept. The account that a root process switches to cannot enter root's cache,
// so its programs lie in the open, in a directory that nobody but root can have made.
func fetchDir(account Account) (string, error) {
	if !account.switched {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find the cache directory: %w", err)
		}
		dir := filepath.Join(cache, "drawbridge")
		return dir, os.MkdirAll(dir, 0o755)
	}
	dir := filepath.Join(outside, "drawbridge-fetched")
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("create a directory for fetched programs: %w", err)
	}
	if info, err := os.Lstat(dir); err != nil || !info.IsDir() || owner(info) != 0 {
		return "", fmt.Errorf("%s is not a directory of root: remove it", dir)
	}
	return dir, nil
}
