package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
)

// migratedRows is how many rows the tables have that are migrated: 132 MB with their key.
const migratedRows = 1_000_000

// migrating is one migration of a table of the site, step by step, as its workflow does it.
type migrating struct {
	site  *site
	plan  migrate.Plan
	owner effect.Owner
	steps int
}

// migrate plans a migration of what the server says of the table, and enters it in the ledger.
func (s *site) migrate(ctx context.Context, table string, operations ...migrate.Operation) (*migrating, error) {
	s.effects++
	m := migrate.Migration{Name: fmt.Sprintf("%04d_bench", s.effects), Table: table, Why: "It is measured.", Operations: operations}
	described, err := s.DescribeTable(ctx, table, migrate.Expressions(m))
	if err != nil {
		return nil, err
	}
	p, err := migrate.Compute(migrate.Input{Migration: m, Release: s.tenure.Release, Environment: here, Table: described})
	if err != nil {
		return nil, err
	}
	d := &migrating{site: s, plan: p, owner: effect.OwnerOf("migrate/bench/"+here+"/"+m.Name, uuid.NewString())}
	_, err = s.BeginMigration(ctx, migrate.Entry{Plan: p, Digest: migrate.Digest(p), By: "bench", Reason: "it is measured"}, d.key())
	return d, err
}

func (d *migrating) key() effect.Key {
	d.steps++
	return effect.Key{Owner: d.owner, Environment: here, Step: "bench", Round: d.steps}
}

// through does the steps of phases.
func (d *migrating) through(ctx context.Context, phases ...migrate.Phase) error {
	for _, phase := range phases {
		if err := d.site.EnterPhase(ctx, d.owner, phase); err != nil {
			return err
		}
		for _, step := range d.plan.Of(phase) {
			if err := d.do(ctx, step, false); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *migrating) do(ctx context.Context, step migrate.Step, undo bool) error {
	r, err := d.site.DoStep(ctx, migrate.StepSpec{
		Owner: d.owner, Key: d.key(), Plan: d.plan, Step: step, Undo: undo, LockBudget: patience, Application: "drawbridge/bench/migrate",
	}, func(time.Duration) {})
	if err == nil && !r.Done {
		err = fmt.Errorf("the step %s waits for %d sessions", step.ID, len(r.Blocked))
	}
	return err
}

// fill brings all rows over, in so many lanes.
func (d *migrating) fill(ctx context.Context, lanes int) error {
	filled, err := d.site.FillTable(ctx, d.owner, d.plan, migrate.Pace{For: time.Hour, Lanes: lanes})
	if err == nil && !filled.Done {
		err = errors.New("the backfill has not come to its end")
	}
	return err
}

// back undoes what was done, and ends the migration.
func (d *migrating) back(ctx context.Context) error {
	for _, step := range slices.Backward(d.plan.Steps) {
		if step.Phase != migrate.Contract {
			if err := d.do(ctx, step, true); err != nil {
				return err
			}
		}
	}
	return d.site.EndMigration(ctx, d.owner, migrate.RolledBack)
}

// migrated makes a table that is migrated, anew.
func (s *site) migrated(ctx context.Context, table string) error {
	if _, err := s.db.Exec(ctx, "DROP TABLE IF EXISTS "+s.name(table)); err != nil {
		return err
	}
	return makeMigrated(ctx, s.db, s.name(table))
}

// makeMigrated makes a table of migratedRows. Nobody but who is measured vacuums it.
func makeMigrated(ctx context.Context, db *pgx.Conn, name string) error {
	for _, sql := range []string{
		`CREATE TABLE ` + name + ` (
			order_id bigint NOT NULL, ordered_at timestamptz, channel text, customer_id bigint, amount numeric(12,2), currency text, note text
		) WITH (autovacuum_enabled = false)`,
		`INSERT INTO ` + name + `
		SELECT i, timestamptz '2026-01-01 00:00+00' + i * interval '86 milliseconds', (ARRAY['web', 'app', 'store', 'partner'])[1 + i % 4],
		       i % 200000, (100 + i * 7919 % 50000)::numeric(12,2) / 100, 'EUR', md5(i::text)
		FROM generate_series(1::bigint, ` + strconv.Itoa(migratedRows) + `) AS i`,
		"ALTER TABLE " + name + " ADD PRIMARY KEY (order_id)",
		"VACUUM (ANALYZE) " + name,
	} {
		if _, err := db.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make the table to migrate: %w", err)
		}
	}
	return nil
}

// byPsql runs a script of this folder against a table of the site, and says how long psql took, less its start and login.
func (s *site) byPsql(ctx context.Context, name, table string) (time.Duration, error) {
	program, err := exec.LookPath("psql")
	if err != nil {
		return 0, errors.New("the scripts of internal/bench/sql are psql's, and there is no psql on the PATH")
	}
	environment, err := psqlEnvironment(s.url)
	if err != nil {
		return 0, err
	}
	script, err := scripts.ReadFile("sql/" + name + ".sql")
	if err != nil {
		return 0, err
	}
	run := func(input []byte) (time.Duration, error) {
		cmd := exec.CommandContext(ctx, program, "-X", "-q", "-o", os.DevNull, "-v", "ON_ERROR_STOP=1", "-v", "schema="+s.Schema(), "-v", "table="+table)
		cmd.Env, cmd.Stdin = environment, bytes.NewReader(input)
		var failed bytes.Buffer
		cmd.Stderr, cmd.Stdout = &failed, io.Discard
		passed := clock()
		if err := cmd.Run(); err != nil {
			return 0, fmt.Errorf("run %s.sql: %w: %s", name, err, bytes.TrimSpace(failed.Bytes()))
		}
		return passed(), nil
	}
	login, err := run([]byte("SELECT 1;\n"))
	if err != nil {
		return 0, err
	}
	took, err := run(script)
	return took - login, err
}
