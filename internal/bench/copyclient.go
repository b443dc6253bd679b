package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// copyClient copies a CSV file into a table, in the fastest way that a user has without Drawbridge.
type copyClient struct {
	name string
	psql bool
	copy func(ctx context.Context, table, file string) (time.Duration, error)
}

// newCopyClient is psql's \copy, or the driver's COPY where there is no psql.
func newCopyClient(s *site) (copyClient, error) {
	program, _ := exec.LookPath("psql")
	if program == "" {
		return copyClient{name: "COPY of the pgx driver, as there is no psql", copy: s.rawCopy}, nil
	}
	environment, err := psqlEnvironment(s.url)
	if err != nil {
		return copyClient{}, err
	}
	return copyClient{name: `\copy of psql`, psql: true, copy: func(ctx context.Context, table, file string) (time.Duration, error) {
		return psqlCopy(ctx, program, environment, table, file)
	}}, nil
}

// psqlEnvironment is what psql connects by: other users of the machine see arguments, and not the environment.
func psqlEnvironment(url string) ([]string, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errors.New("read " + warehouseVariable + ": it is no connection string") // the parser's message repeats it
	}
	sslmode := "disable"
	if config.TLSConfig != nil {
		sslmode = "require"
	}
	return append(os.Environ(), "PGHOST="+config.Host, "PGPORT="+strconv.Itoa(int(config.Port)), "PGUSER="+config.User,
		"PGPASSWORD="+config.Password, "PGDATABASE="+config.Database, "PGSSLMODE="+sslmode), nil
}

// psqlTiming is what \timing prints after a statement.
var psqlTiming = regexp.MustCompile(`(?m)^Time: ([0-9.]+) ms`)

// psqlCopy returns the time that psql itself measures: neither its start nor its login is in it.
func psqlCopy(ctx context.Context, program string, environment []string, table, file string) (time.Duration, error) {
	cmd := exec.CommandContext(ctx, program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", `\timing on`,
		"-c", fmt.Sprintf(`\copy %s from '%s' with (format csv, header true)`, table, strings.ReplaceAll(file, "'", "''")))
	cmd.Env = environment
	var errOut strings.Builder
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("run psql: %w: %s", err, strings.TrimSpace(errOut.String()))
	}
	printed := psqlTiming.FindSubmatch(out)
	if printed == nil {
		return 0, fmt.Errorf("run psql: it does not say how long it took: %q", out)
	}
	ms, err := strconv.ParseFloat(string(printed[1]), 64)
	return time.Duration(ms * float64(time.Millisecond)), err
}

func (s *site) rawCopy(ctx context.Context, table, path string) (time.Duration, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	passed := clock()
	_, err = s.db.PgConn().CopyFrom(ctx, file, fmt.Sprintf("COPY %s FROM STDIN (FORMAT csv, HEADER true)", table))
	return passed(), err
}
