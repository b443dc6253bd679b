package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
)

// oldest is the first Postgres version that Drawbridge works on.
const oldest = 14

// variable names the major version that a new cluster is made with: tests choose by it.
const variable = "DRAWBRIDGE_POSTGRES"

// wanted is the major version that a value of the variable asks for, 0 where any from oldest on will do.
func wanted(value string) (int, error) {
	if value == "" {
		return 0, nil
	}
	major, err := strconv.Atoi(value)
	if err != nil || major < oldest {
		return 0, fmt.Errorf("%s is %q: give a major version from %d on, such as %d", variable, value, oldest, newest)
	}
	return major, nil
}

// ErrNotInstalled says that this machine has no Postgres that fits.
var ErrNotInstalled = errors.New("no fitting Postgres is installed")

// Installation is a directory that holds the server programs of one Postgres version.
type Installation struct {
	Bin   string
	Major int
}

// Find returns the first installation that the account can run: of version major, or of any version from 14 on
// where major is 0. It returns ErrNotInstalled where there is none.
func Find(ctx context.Context, account Account, major int) (Installation, error) {
	for _, dir := range candidates(ctx, os.Getenv("PATH"), "/") {
		found, err := inspect(ctx, account, dir)
		if err != nil {
			continue
		}
		if found.Major == major || (major == 0 && found.Major >= oldest) {
			return found, nil
		}
	}
	return Installation{}, ErrNotInstalled
}

// candidates lists the directories, below root, where server programs may be, the preferred ones first. Debian and
// Homebrew keep them off the PATH; there the newest version comes first.
func candidates(ctx context.Context, path, root string) []string {
	dirs := filepath.SplitList(path)
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, string(regexp.MustCompile(`\s+$`).ReplaceAll(out, nil)))
	}
	for _, pattern := range []string{
		"usr/lib/postgresql/*/bin",
		"usr/pgsql-*/bin",
		"opt/homebrew/opt/postgresql@*/bin",
		"usr/local/opt/postgresql@*/bin",
		"Applications/Postgres.app/Contents/Versions/latest/bin",
	} {
		matches, _ := filepath.Glob(filepath.Join(root, pattern)) // the only error is a bad pattern
		slices.Reverse(matches)
		dirs = append(dirs, matches...)
	}
	return dirs
}

// inspect runs the programs in dir, as the account that will run them later: a directory may hold a lone wrapper,
// programs of two versions, or be closed to the account.
func inspect(ctx context.Context, account Account, dir string) (Installation, error) {
	var majors []int
	for _, program := range []string{"postgres", "initdb"} {
		cmd := exec.CommandContext(ctx, filepath.Join(dir, program), "--version")
		cmd.Dir = "/"
		cmd.SysProcAttr = account.process()
		out, err := cmd.Output()
		if err != nil {
			return Installation{}, fmt.Errorf("run %s: %w", cmd.Path, err)
		}
		major, err := majorVersion(string(out))
		if err != nil {
			return Installation{}, fmt.Errorf("read the version of %s: %w", cmd.Path, err)
		}
		majors = append(majors, major)
	}
	if majors[0] != majors[1] {
		return Installation{}, fmt.Errorf("postgres in %s is version %d, initdb is version %d", dir, majors[0], majors[1])
	}
	return Installation{Bin: dir, Major: majors[0]}, nil
}

// counting is the library that counts calls of statements.
const counting = "pg_stat_statements"

// has says whether the server programs bring a library along, wherever they are linked to from.
func (i Installation) has(library string) bool {
	program, err := filepath.EvalSymlinks(filepath.Join(i.Bin, "postgres"))
	if err != nil {
		return false
	}
	for _, place := range []string{"lib", "lib/postgresql"} {
		found, _ := filepath.Glob(filepath.Join(filepath.Dir(program), "..", place, library+".*")) // the only error is a bad pattern
		if len(found) > 0 {
			return true
		}
	}
	return false
}

// majorVersion reads the line that every Postgres program prints for --version, pre-releases and vendors' additions
// included: "postgres (PostgreSQL) 17beta1 (Debian 17~beta1-1)".
func majorVersion(line string) (int, error) {
	match := regexp.MustCompile(`\(PostgreSQL\) (\d+)`).FindStringSubmatch(line)
	if match == nil {
		return 0, fmt.Errorf("%q names no PostgreSQL version", line)
	}
	return strconv.Atoi(match[1])
}
