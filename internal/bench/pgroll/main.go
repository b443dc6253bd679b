// Command pgroll adds a column that is filled by pgroll's library, and prints how many milliseconds that took. Only internal/bench runs it: it
// is a module of its own, so that nothing of Drawbridge depends on pgroll.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/xataio/pgroll/pkg/backfill"
	"github.com/xataio/pgroll/pkg/migrations"
	"github.com/xataio/pgroll/pkg/roll"
	"github.com/xataio/pgroll/pkg/state"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	took, err := run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:gocritic // the program ends, and what stop does with it
	}
	fmt.Fprintf(os.Stdout, "%.1f\n", float64(took)/float64(time.Millisecond))
}

// run starts the migration MIGRATION, as JSON, in the schema SCHEMA of the database PGROLL_DATABASE, which may make event triggers.
func run(ctx context.Context) (took time.Duration, err error) {
	url, schema := os.Getenv("PGROLL_DATABASE"), os.Getenv("SCHEMA")
	var migration migrations.Migration
	if err := json.Unmarshal([]byte(os.Getenv("MIGRATION")), &migration); err != nil {
		return 0, fmt.Errorf("read MIGRATION: %w", err)
	}
	s, err := state.New(ctx, url, "pgroll")
	if err != nil {
		return 0, fmt.Errorf("open pgroll's state: %w", err)
	}
	r, err := roll.New(ctx, url, schema, s)
	if err != nil {
		return 0, errors.Join(err, s.Close())
	}
	defer func() { err = errors.Join(err, r.Close(), s.Close()) }()
	if err := r.Init(ctx); err != nil {
		return 0, fmt.Errorf("make pgroll's schema: %w", err)
	}
	if err := s.CreateBaseline(ctx, schema, "0000_baseline"); err != nil {
		return 0, fmt.Errorf("note what is there: %w", err)
	}
	started := time.Now()
	if err := r.Start(ctx, &migration, backfill.NewConfig()); err != nil {
		return 0, fmt.Errorf("start the migration: %w", err)
	}
	return time.Since(started), nil
}
