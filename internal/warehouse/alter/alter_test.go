package alter_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse/alter"
)

const prod = "prod"

// bundle is a schema with its ledger, and the workflow that changes a table there now.
type bundle struct {
	*alter.Tables
	db     *testdb.DB
	pool   *postgres.Pool
	ledger catalog.Ledger
	owner  effect.Owner
	keys   atomic.Int64
}

func setup(t *testing.T) *bundle {
	t.Helper()
	db := testdb.New(t)
	pool, err := postgres.Open(t.Context(), postgres.Options{URL: db.URL, Object: "warehouse " + db.Schema, Application: "drawbridge/test", MaxConns: 12})
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	b := &bundle{Tables: alter.On(pool, db.Schema), db: db, pool: pool, ledger: catalog.New(db.Schema), owner: start()}
	db.Exec(t, "CREATE SCHEMA "+pgx.Identifier{b.ledger.Schema()}.Sanitize())
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return b.ledger.Migrate(t.Context(), tx) }))
	return b
}

// start is a new start of the workflow that migrates.
func start() effect.Owner { return effect.OwnerOf("migrate/shop/prod/0001_channel", uuid.NewString()) }

// key is that of another effect of the workflow.
func (b *bundle) key() effect.Key {
	return effect.Key{Owner: b.owner, Environment: prod, Step: fmt.Sprintf("step-%d", b.keys.Add(1))}
}

func releaseOf(version string) release.Release {
	return release.Release{Pipeline: "shop", Version: version, Digest: "sha256:" + version}
}

// replacement is the plan by which the column channel of orders becomes source, in upper case: up and down lose nothing but case.
func (b *bundle) replacement() migrate.Plan {
	table, function := b.db.Schema+".orders", b.ledger.Schema()+".m0001_channel"
	column := func(name string) string {
		return fmt.Sprintf(`SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '%s'::regclass AND attname = '%s' AND NOT attisdropped)`, table, name)
	}
	sync := func(authority string) string {
		wins := `NEW.source := pg_catalog.upper(NEW.channel);`
		if authority == "source" {
			wins = `NEW.channel := pg_catalog.lower(NEW.source);`
		}
		return fmt.Sprintf(`
CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER SET search_path = '' AS $authority_is_%s$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.source IS NULL THEN NEW.source := pg_catalog.upper(NEW.channel);
    ELSIF NEW.channel IS NULL THEN NEW.channel := pg_catalog.lower(NEW.source);
    ELSE %s
    END IF;
  ELSIF NEW.channel IS DISTINCT FROM OLD.channel AND NEW.source IS DISTINCT FROM OLD.source THEN %s
  ELSIF NEW.channel IS DISTINCT FROM OLD.channel THEN NEW.source := pg_catalog.upper(NEW.channel);
  ELSIF NEW.source IS DISTINCT FROM OLD.source THEN NEW.channel := pg_catalog.lower(NEW.source);
  ELSIF NEW.source IS NULL THEN NEW.source := pg_catalog.upper(NEW.channel);
  END IF;
  RETURN NEW;
END
$authority_is_%s$`, function, authority, wins, wins, authority)
	}
	says := func(authority string) string {
		wins := "NEW.source := pg_catalog.upper(NEW.channel);\n    END IF"
		if authority == "source" {
			wins = "NEW.channel := pg_catalog.lower(NEW.source);\n    END IF"
		}
		return fmt.Sprintf(`SELECT coalesce((SELECT position(%s in prosrc) > 0 FROM pg_proc WHERE oid = to_regproc('%s')), false)`, postgres.Literal("ELSE "+wins), function)
	}
	valid := fmt.Sprintf(`SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = '%s'::regclass AND conname = 'source_there')`, table)
	return migrate.Plan{
		Migration: migrate.Migration{
			Name: "0001_channel", Table: "orders",
			Operations: []migrate.Operation{{Kind: migrate.RenameColumn, Column: "channel", To: "source", Up: "upper(channel)", Down: "lower(source)"}},
		},
		Release: releaseOf("1.0.0"), Environment: prod, Schema: b.db.Schema,
		Steps: []migrate.Step{
			{
				ID: "expand-add-source", Phase: migrate.Expand, Act: []string{"ALTER TABLE " + table + " ADD COLUMN source text"}, Probe: column("source"),
				Undo: []string{"ALTER TABLE " + table + " DROP COLUMN source RESTRICT"}, Lock: migrate.AccessExclusive, Class: migrate.Instant,
			},
			{
				ID: "dual-function", Phase: migrate.DualWrite, Act: []string{sync("channel")}, Probe: fmt.Sprintf(`SELECT to_regproc('%s') IS NOT NULL`, function),
				Undo: []string{"DROP FUNCTION " + function + "()"}, Class: migrate.Instant,
			},
			{
				ID: "dual-trigger", Phase: migrate.DualWrite, Act: []string{"CREATE TRIGGER m0001_channel BEFORE INSERT OR UPDATE ON " + table +
					" FOR EACH ROW WHEN (pg_catalog.current_setting('drawbridge.backfill', true) IS DISTINCT FROM 'on') EXECUTE FUNCTION " + function + "()"},
				Probe: fmt.Sprintf(`SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = '%s'::regclass AND tgname = 'm0001_channel')`, table),
				Undo:  []string{"DROP TRIGGER m0001_channel ON " + table}, Lock: migrate.ShareRowExclusive, Class: migrate.Instant,
			},
			{
				ID: "verify-check", Phase: migrate.Verify, Act: []string{"ALTER TABLE " + table + " ADD CONSTRAINT source_there CHECK (source IS NOT NULL) NOT VALID"},
				Probe: valid, Undo: []string{"ALTER TABLE " + table + " DROP CONSTRAINT source_there"}, Lock: migrate.AccessExclusive, Class: migrate.Instant,
			},
			{
				ID: "verify-validate", Phase: migrate.Verify, Act: []string{"ALTER TABLE " + table + " VALIDATE CONSTRAINT source_there"},
				Probe: fmt.Sprintf(`SELECT coalesce((SELECT convalidated FROM pg_constraint WHERE conrelid = '%s'::regclass AND conname = 'source_there'), false)`, table),
				Lock:  migrate.ShareUpdateExclusive, Class: migrate.Scan,
			},
			{
				ID: "verify-index", Phase: migrate.Verify, Act: []string{"CREATE INDEX CONCURRENTLY orders_source ON " + table + " (source)"},
				Probe: fmt.Sprintf(`SELECT coalesce((SELECT indisvalid AND indisready FROM pg_index WHERE indexrelid = to_regclass('%s.orders_source')), false)`, b.db.Schema),
				Half:  fmt.Sprintf(`SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('%s.orders_source') AND NOT (indisvalid AND indisready))`, b.db.Schema),
				Clean: []string{"DROP INDEX CONCURRENTLY " + b.db.Schema + ".orders_source"}, Undo: []string{"DROP INDEX CONCURRENTLY " + b.db.Schema + ".orders_source"},
				Lock: migrate.ShareUpdateExclusive, Class: migrate.Concurrent,
			},
			{
				ID: "switch-authority", Phase: migrate.Switch, Act: []string{sync("source")}, Probe: says("source"), Undo: []string{sync("channel")}, Class: migrate.Instant,
			},
			{
				ID: "contract-trigger", Phase: migrate.Contract, Act: []string{"DROP TRIGGER m0001_channel ON " + table, "DROP FUNCTION " + function + "()"},
				Probe: fmt.Sprintf(`SELECT to_regproc('%s') IS NULL`, function), Lock: migrate.AccessExclusive, Class: migrate.Instant,
			},
			{
				ID: "contract-drop", Phase: migrate.Contract, Act: []string{"ALTER TABLE " + table + " DROP COLUMN channel RESTRICT"},
				Probe: fmt.Sprintf(`SELECT NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = '%s'::regclass AND attname = 'channel' AND NOT attisdropped)`, table),
				Lock:  migrate.AccessExclusive, Class: migrate.Instant,
			},
		},
		Filling: &migrate.Filling{
			Set: []migrate.Assignment{{Column: "source", Expression: "upper(orders.channel)"}}, Key: []migrate.KeyColumn{{Name: "id", Type: "bigint"}},
		},
		Proofs: []migrate.Proof{
			{Name: "source is what channel says", Broken: "source IS DISTINCT FROM upper(channel)"}, {Name: "source is never null", Broken: "source IS NULL"},
		},
		Old: []string{"channel"},
	}
}

// orders makes the table with n rows. channel may say more than lower case, which down loses.
func (b *bundle) orders(t *testing.T, n int) {
	t.Helper()
	b.db.Exec(t, `CREATE TABLE orders (id bigint PRIMARY KEY, channel text NOT NULL, amount int NOT NULL DEFAULT 0)`)
	b.db.Exec(t, `INSERT INTO orders SELECT i, 'Ch' || i % 7, i FROM generate_series(1, $1::int) i`, n)
	b.db.Exec(t, `ANALYZE orders`)
}

// begin enters a plan's migration.
func (b *bundle) begin(t *testing.T, p migrate.Plan) migrate.Standing {
	t.Helper()
	s, err := b.BeginMigration(t.Context(), migrate.Entry{Plan: p, Digest: migrate.Digest(p), By: "ann", Reason: "names"}, b.key())
	require.NoError(t, err)
	return s
}

func beat(time.Duration) {}

// spec asks for a step, patiently.
func (b *bundle) spec(p migrate.Plan, id string) migrate.StepSpec {
	return migrate.StepSpec{
		Owner: b.owner, Key: b.key(), Plan: p, Step: migrate.Step{ID: id}, LockBudget: 20 * time.Second, Application: "drawbridge/test/" + id,
	}
}

// step does a step, and requires that it went through.
func (b *bundle) step(t *testing.T, p migrate.Plan, id string) {
	t.Helper()
	r, err := b.DoStep(t.Context(), b.spec(p, id), beat)
	require.NoError(t, err, id)
	require.True(t, r.Done, "%s is blocked: %+v", id, r)
}

// phase enters a phase, and does its steps.
func (b *bundle) phase(t *testing.T, p migrate.Plan, phase migrate.Phase) {
	t.Helper()
	require.NoError(t, b.EnterPhase(t.Context(), b.owner, phase))
	for _, s := range p.Of(phase) {
		b.step(t, p, s.ID)
	}
}

// fill brings all rows over.
func (b *bundle) fill(ctx context.Context, p migrate.Plan) (migrate.Filled, error) {
	return b.FillTable(ctx, b.owner, p, migrate.Pace{For: time.Minute})
}

func (b *bundle) one(t *testing.T, sql string, args ...any) (value string) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "SELECT ("+sql+")::text", args...).Scan(&value))
	return value
}

func TestAColumnIsReplacedAndNothingOfItIsLost(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders(t, 12_000)
	p := b.replacement()
	standing := b.begin(t, p)
	require.Equal(t, migrate.Expand, standing.Phase)
	require.Equal(t, "orders", standing.Table)
	for _, phase := range []migrate.Phase{migrate.Expand, migrate.DualWrite} {
		b.phase(t, p, phase)
	}
	b.db.Exec(t, `INSERT INTO orders (id, channel) VALUES (20000, 'Late')`)
	b.phase(t, p, migrate.Backfill)
	filled, err := b.fill(t.Context(), p)
	require.NoError(t, err)
	require.True(t, filled.Done)
	require.EqualValues(t, 12_001, filled.Rows)
	b.phase(t, p, migrate.Verify)
	checked, err := b.Prove(t.Context(), b.owner, p, func() {})
	require.NoError(t, err)
	require.Equal(t, []migrate.Checked{{Proof: "source is what channel says", Rows: 12_001}, {Proof: "source is never null", Rows: 12_001}}, checked)
	require.Equal(t, "12000", b.one(t, `SELECT count(*) FROM orders WHERE channel = 'Ch' || id % 7`), "down loses case, and the backfill must not write it")
	b.phase(t, p, migrate.Switch)
	b.db.Exec(t, `UPDATE orders SET source = 'SHOP', channel = 'web' WHERE id = 1`)
	require.Equal(t, "shop", b.one(t, `SELECT channel FROM orders WHERE id = 1`), "the new side has the say now")
	b.phase(t, p, migrate.Deprecating)
	b.phase(t, p, migrate.Contract)
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	require.NoError(t, b.EndMigration(t.Context(), b.owner, migrate.Done))
	require.Equal(t, "12001", b.one(t, `SELECT count(source) FROM orders`))
	list, err := b.Migrations(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, migrate.Done, list[0].Ended)
}
