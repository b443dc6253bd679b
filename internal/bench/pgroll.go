package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// superuserVariable names the server of the warehouse for a login that may make databases, and event triggers in them: pgroll makes some.
	superuserVariable = "DRAWBRIDGE_TEST_SUPERUSER_URL"
	pgrollPairs       = 5
	pgrollFolder      = "internal/bench/pgroll"
	broughtLanes      = 2 // those of a policy that says nothing
)

// pgrollFigure compares a new column and its backfill with what pgroll's library takes for it, with the batches that it chooses and no rest.
func pgrollFigure() figure {
	return figure{
		name: "migrate_backfill_vs_pgroll",
		numbers: []number{
			{name: "migrate_backfill_vs_pgroll", bound: bound{atLeast, 2.5}},
			{name: "migrate_add_column_s", better: lower},
			{name: "migrate_pgroll_s"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measurePgroll(ctx, b, s) })
		},
	}
}

func measurePgroll(ctx context.Context, b *bench, s *site) error {
	program := filepath.Join(s.dir, "pgroll")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, ".")
	build.Dir, build.Env = pgrollFolder, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pgrollFolder, err, bytes.TrimSpace(out))
	}
	const ours = "filled"
	var took, theirs sample
	var ratios []float64
	for pair := range pgrollPairs + 1 {
		if err := s.migrated(ctx, ours); err != nil {
			return err
		}
		all, _, err := s.bringOver(ctx, ours, broughtLanes)
		if err != nil {
			return err
		}
		their, err := s.byPgroll(ctx, program)
		if err != nil {
			return err
		}
		if pair == 0 {
			continue // it warms up: the server makes the files of its log then
		}
		took, theirs, ratios = append(took, all), append(theirs, their), append(ratios, their.Seconds()/all.Seconds())
	}
	b.put("migrate_backfill_vs_pgroll", median(ratios))
	b.put("migrate_add_column_s", took.median().Seconds())
	b.put("migrate_pgroll_s", theirs.median().Seconds())
	b.because("migrate_backfill_vs_pgroll", "medians of %d pairs over %d rows: %.1f s, pgroll %.1f s; the ratios %.2f", pgrollPairs, migratedRows,
		took.median().Seconds(), theirs.median().Seconds(), ratios)
	return nil
}

// byPgroll lets pgroll add the column in a database of its own, which is gone afterwards, as its event triggers are.
func (s *site) byPgroll(ctx context.Context, program string) (took time.Duration, err error) {
	server, err := url.Parse(os.Getenv(superuserVariable))
	if err != nil || server.Host == "" {
		return 0, errors.New(superuserVariable + " is not set, or is no URL: make bench sets it")
	}
	super, err := pgx.Connect(ctx, server.String())
	if err != nil {
		return 0, errors.New("connect to the server in " + superuserVariable + ": it does not let us in") // the driver's error may repeat the URL
	}
	defer func() { _ = super.Close(context.WithoutCancel(ctx)) }()
	database := "bench_pgroll_" + strings.ToLower(rand.Text()[:8])
	if _, err := super.Exec(ctx, "CREATE DATABASE "+database); err != nil {
		return 0, err
	}
	defer func() {
		_, dropped := super.Exec(context.WithoutCancel(ctx), "DROP DATABASE "+database+" WITH (FORCE)")
		err = errors.Join(err, dropped)
	}()
	server.Path = "/" + database
	db, err := pgx.Connect(ctx, server.String())
	if err != nil {
		return 0, errors.New("connect to the new database: it does not let us in")
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	if err := makeMigrated(ctx, db, "filled"); err != nil {
		return 0, err
	}
	migration, err := json.Marshal(map[string]any{"name": "0001_bench", "operations": []any{map[string]any{"add_column": map[string]any{
		"table": "filled", "up": bringUp, "column": map[string]any{"name": "cents", "type": "bigint", "nullable": false},
	}}}})
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(os.Environ(), "PGROLL_DATABASE="+server.String(), "SCHEMA=public", "MIGRATION="+string(migration))
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("run pgroll: %w: %s", err, bytes.TrimSpace(failed.Bytes()))
	}
	ms, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		return 0, fmt.Errorf("read how long pgroll took: %w", err)
	}
	// Until it is completed the new column has a name of pgroll's.
	var wrong int
	if err := db.QueryRow(ctx, "SELECT count(*) FROM filled WHERE _pgroll_new_cents IS DISTINCT FROM "+bringUp).Scan(&wrong); err != nil {
		return 0, err
	}
	if wrong > 0 {
		return 0, fmt.Errorf("pgroll has left %d rows out", wrong)
	}
	return time.Duration(ms * float64(time.Millisecond)), nil
}
