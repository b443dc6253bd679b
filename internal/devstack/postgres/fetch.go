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

// Fetch downloads a Postgres, once per version and user, for a machine on which none is installed.
func Fetch(ctx context.Context, account Account) (Installation, error) {
	cache, err := fetchDir(account)
	if err != nil {
		return Installation{}, err
	}
	home := filepath.Join(cache, "postgres-"+string(embedded.V18))
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
		return Installation{}, errors.Join(fmt.Errorf("fetch Postgres %s: %w", embedded.V18, err), fetchErr)
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
