package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// Migration is a table that a workflow changes in place.
type Migration struct {
	Owner    string `db:"owner"`
	Pipeline string `db:"pipeline"`
	Name     string `db:"name"`
	Table    string `db:"table_name"`
	Plan     string `db:"plan"`   // digest
	Digest   string `db:"digest"` // of the release whose file it is
	Config   string `db:"config"`
	Phase    string `db:"phase"`
	// PhaseSince is when it has come to its phase.
	PhaseSince time.Time `db:"phase_since"`
	// Back says that its steps are undone.
	Back bool `db:"back"`
	// BrownoutSince and BrownoutUntil are when the last brownout began and ended; Held says that it was on for as long as the plan says.
	BrownoutSince *time.Time `db:"brownout_since"`
	BrownoutUntil *time.Time `db:"brownout_until"`
	BrownoutHeld  bool       `db:"brownout_held"`

	By     string    `db:"asked_by"`
	Reason string    `db:"reason"`
	Since  time.Time `db:"since"`
	Ended  bool      `db:"ended"`
	// Outcome is how it ended: done, rolled_back.
	Outcome string `db:"outcome"`
	// OldGiven, NewGiven and Gives are of a table that the pipeline's releases make: what they give until contract may begin, what they have to
	// give from dual write on, and what whatever is published has to give now.
	OldGiven []string `db:"old_given"`
	NewGiven []string `db:"new_given"`
	Gives    []string `db:"gives"`
	// GiveUp says that generations which lack what is new are given up at contract.
	GiveUp bool `db:"give_up"`
}

const migrationColumns = ` owner, pipeline, name, table_name, plan, digest, config, phase, phase_since, back, brownout_since, brownout_until, brownout_held, asked_by, reason, since, ended_at IS NOT NULL AS ended, outcome, old_given, new_given, gives, give_up `

// Migration reads the migration of an owner; its owner is empty where there is none.
func (l Ledger) Migration(ctx context.Context, q Querier, owner string) (Migration, error) {
	return first(l.migrations(ctx, q, `SELECT`+migrationColumns+`FROM ledger.migration WHERE owner = $1`, owner))
}

// OpenMigration reads the migration of a table that has not ended; its owner is empty where there is none.
func (l Ledger) OpenMigration(ctx context.Context, q Querier, table string) (Migration, error) {
	return first(l.migrations(ctx, q, `SELECT`+migrationColumns+`FROM ledger.migration WHERE table_name = $1 AND ended_at IS NULL`, table))
}

// OpenMigrations lists those that have not ended.
func (l Ledger) OpenMigrations(ctx context.Context, q Querier) ([]Migration, error) {
	return l.migrations(ctx, q, `SELECT`+migrationColumns+`FROM ledger.migration WHERE ended_at IS NULL ORDER BY owner`)
}

// MigrationDone reads the migration of a pipeline that was done under a name; its owner is empty where there is none.
func (l Ledger) MigrationDone(ctx context.Context, q Querier, pipeline, name string) (Migration, error) {
	return first(l.migrations(ctx, q, `SELECT`+migrationColumns+`FROM ledger.migration WHERE pipeline = $1 AND name = $2 AND outcome = 'done'`, pipeline, name))
}

// Migrations lists those of a pipeline, newest first.
func (l Ledger) Migrations(ctx context.Context, q Querier, pipeline string) ([]Migration, error) {
	return l.migrations(ctx, q, `SELECT`+migrationColumns+`FROM ledger.migration WHERE pipeline = $1 ORDER BY since DESC, owner`, pipeline)
}

// DeprecatedMigrations lists those whose deprecation window has begun, and whose contract has not.
func (l Ledger) DeprecatedMigrations(ctx context.Context, q Querier) ([]Migration, error) {
	return l.migrations(ctx, q, `SELECT`+migrationColumns+`FROM ledger.migration WHERE phase = 'deprecate' AND ended_at IS NULL AND NOT back ORDER BY owner`)
}

func first(list []Migration, err error) (m Migration, _ error) {
	if len(list) > 0 {
		m = list[0]
	}
	return m, err
}

func (l Ledger) migrations(ctx context.Context, q Querier, text string, args ...any) ([]Migration, error) {
	rows, err := q.Query(ctx, l.sql(text), args...)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Migration])
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return list, nil
}

// BeginMigration enters a migration, in its first phase.
func (l Ledger) BeginMigration(ctx context.Context, tx pgx.Tx, m Migration) error {
	if _, err := tx.Exec(ctx, l.sql(`
		INSERT INTO ledger.migration (owner, pipeline, name, table_name, plan, digest, config, asked_by, reason, old_given, new_given, gives, give_up)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, coalesce($10::text[], '{}'), coalesce($11::text[], '{}'), coalesce($12::text[], '{}'), $13)`),
		m.Owner, m.Pipeline, m.Name, m.Table, m.Plan, m.Digest, m.Config, fault.Bound(m.By), fault.Bound(m.Reason), m.OldGiven, m.NewGiven, m.Gives, m.GiveUp); err != nil {
		return fmt.Errorf("enter the migration of %s: %w", m.Table, err)
	}
	return nil
}

// TakeMigration gives an open migration to another owner, with all that the ledger has of it.
func (l Ledger) TakeMigration(ctx context.Context, tx pgx.Tx, from, to string) error {
	if _, err := tx.Exec(ctx, l.sql(`UPDATE ledger.migration SET owner = $2 WHERE owner = $1 AND ended_at IS NULL`), from, to); err != nil {
		return fmt.Errorf("take the migration of %s over: %w", from, err)
	}
	return nil
}

// EnterPhase says where a migration is, from now on.
func (l Ledger) EnterPhase(ctx context.Context, tx pgx.Tx, owner, phase string) error {
	if _, err := tx.Exec(ctx, l.sql(`UPDATE ledger.migration SET phase = $2, phase_since = clock_timestamp() WHERE owner = $1 AND ended_at IS NULL`), owner, phase); err != nil {
		return fmt.Errorf("enter %s: %w", phase, err)
	}
	return nil
}

// TurnMigration says that the steps of a migration are undone from now on. Twice is once.
func (l Ledger) TurnMigration(ctx context.Context, tx pgx.Tx, owner string) error {
	if _, err := tx.Exec(ctx, l.sql(`UPDATE ledger.migration SET back = true WHERE owner = $1 AND NOT back`), owner); err != nil {
		return fmt.Errorf("turn the migration back: %w", err)
	}
	return nil
}

// EndMigration says how a migration ended. One that has ended stays as it is.
func (l Ledger) EndMigration(ctx context.Context, tx pgx.Tx, owner, how string) error {
	if _, err := tx.Exec(ctx, l.sql(`
		UPDATE ledger.migration
		SET ended_at = clock_timestamp(), outcome = $2
		WHERE owner = $1 AND ended_at IS NULL`), owner, how); err != nil {
		return fmt.Errorf("end the migration: %w", err)
	}
	return nil
}

// Acknowledge records that a consumer is ready. What was said first stays.
func (l Ledger) Acknowledge(ctx context.Context, q Querier, owner string, a migrate.Ack) error {
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.migration_ack (owner, consumer, said_by, reason, at)
		VALUES ($1, $2, $3, $4, least($5, clock_timestamp()))
		ON CONFLICT DO NOTHING`), owner, fault.Bound(a.Consumer), fault.Bound(a.By), fault.Bound(a.Reason), a.At); err != nil {
		return fmt.Errorf("record that %s is ready: %w", a.Consumer, err)
	}
	return nil
}

// Withdraw takes back that a consumer is ready.
func (l Ledger) Withdraw(ctx context.Context, q Querier, owner, consumer string) error {
	if _, err := q.Exec(ctx, l.sql(`DELETE FROM ledger.migration_ack WHERE owner = $1 AND consumer = $2`), owner, fault.Bound(consumer)); err != nil {
		return fmt.Errorf("take back that %s is ready: %w", consumer, err)
	}
	return nil
}

// Acks reads who is ready, by migration, in the order in which they said so.
func (l Ledger) Acks(ctx context.Context, q Querier, owners ...string) (map[string][]migrate.Ack, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT owner, consumer, said_by, reason, at
		FROM ledger.migration_ack
		WHERE owner = ANY($1)
		ORDER BY at, consumer`), owners)
	if err != nil {
		return nil, fmt.Errorf("read who is ready: %w", err)
	}
	acks := map[string][]migrate.Ack{}
	var owner string
	var a migrate.Ack
	if _, err := pgx.ForEachRow(rows, []any{&owner, &a.Consumer, &a.By, &a.Reason, &a.At}, func() error {
		a.At = a.At.UTC()
		acks[owner] = append(acks[owner], a)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read who is ready: %w", err)
	}
	return acks, nil
}

// MigrationFacts is what decides whether a migration may go on, read in one transaction.
type MigrationFacts struct {
	Environment string // that the ledger belongs to; empty: nobody's yet
	Fenced      string // why the owner is fenced; empty: it is not
	Hold        string // why nothing changes for now; empty: nothing holds
	Migration   Migration
}

// MigrationFacts reads them as they are right now.
func (l Ledger) MigrationFacts(ctx context.Context, q Querier, owner string) (MigrationFacts, error) {
	return l.migrationFacts(ctx, q, owner, "")
}

// MigrationFactsToStay reads them in a step's own transaction, and keeps them true until the commit: nobody fences, sets a hold, or moves the
// migration. shared is false where somebody does one of these right now, and the transaction has ended.
func (l Ledger) MigrationFactsToStay(ctx context.Context, tx pgx.Tx, owner string) (f MigrationFacts, shared bool, err error) {
	return l.migrationFactsLocked(ctx, tx, owner, "FOR NO KEY UPDATE NOWAIT")
}

// MigrationFactsToShare does the same for one of several transactions that go on at once.
func (l Ledger) MigrationFactsToShare(ctx context.Context, tx pgx.Tx, owner string) (f MigrationFacts, shared bool, err error) {
	return l.migrationFactsLocked(ctx, tx, owner, "FOR SHARE NOWAIT")
}

func (l Ledger) migrationFactsLocked(ctx context.Context, tx pgx.Tx, owner, lock string) (f MigrationFacts, shared bool, err error) {
	f, err = l.migrationFacts(ctx, tx, owner, lock, shareChange())
	if fencing(err) {
		return f, false, nil
	}
	return f, true, err
}

func (l Ledger) migrationFacts(ctx context.Context, q Querier, owner, lock string, first ...statement) (f MigrationFacts, err error) {
	var hold Hold
	m := &f.Migration
	err = l.together(ctx, q, append(first,
		readEnvironment(&f.Environment),
		readFenced(owner, &f.Fenced),
		readStanding(&hold),
		statement{
			what: "read the migration", sql: `SELECT` + migrationColumns + `FROM ledger.migration WHERE owner = $1 ` + lock, args: []any{owner},
			into: []any{
				&m.Owner, &m.Pipeline, &m.Name, &m.Table, &m.Plan, &m.Digest, &m.Config, &m.Phase, &m.PhaseSince, &m.Back, &m.BrownoutSince, &m.BrownoutUntil, &m.BrownoutHeld, &m.By, &m.Reason, &m.Since, &m.Ended, &m.Outcome,
				&m.OldGiven, &m.NewGiven, &m.Gives, &m.GiveUp,
			},
		})...)
	if hold.ID != 0 {
		f.Hold = fmt.Sprintf("%s (set by %s)", hold.Reason, hold.By)
	}
	return f, err
}

// RecordMigrationSamples stores keys of rows under a migration and subject, instead of those that are there.
func (l Ledger) RecordMigrationSamples(ctx context.Context, tx pgx.Tx, owner, subject string, keys []string) error {
	if _, err := tx.Exec(ctx, l.sql(`DELETE FROM ledger.migration_sample WHERE owner = $1 AND subject = $2`), owner, subject); err != nil {
		return fmt.Errorf("replace samples of the migration: %w", err)
	}
	if _, err := tx.Exec(ctx, l.sql(`
		INSERT INTO ledger.migration_sample (owner, subject, key)
		SELECT $1, $2, unnest($3::text[])`), owner, subject, keys); err != nil {
		return fmt.Errorf("record samples of the migration: %w", err)
	}
	return nil
}

// MigrationSamplesQuery is the statement with which a person reads the samples of a table's open migration, in the warehouse.
func (l Ledger) MigrationSamplesQuery(table string) string {
	schema := pgx.Identifier{l.schema}.Sanitize()
	return fmt.Sprintf("SELECT subject, key FROM %s.migration_sample JOIN %s.migration USING (owner) WHERE table_name = %s AND ended_at IS NULL",
		schema, schema, postgres.Literal(table))
}
