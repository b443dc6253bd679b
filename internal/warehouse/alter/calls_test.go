package alter_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse/alter"
)

// counting is a database of its own, as extensions belong to one, with a table that is migrated, and a login that owns it.
type counting struct {
	*alter.Tables
	super *pgx.Conn
	name  string // of the database, and what its roles end with
	owner effect.Owner
	plan  migrate.Plan
}

func setupCounting(t *testing.T) *counting {
	t.Helper()
	server := testdb.Superuser(t)
	c := &counting{name: strings.ReplaceAll(uuid.NewString(), "-", "")[:12], owner: start()}
	admin, err := pgx.Connect(t.Context(), server)
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+c.database())
	require.NoError(t, err)
	at, err := url.Parse(server)
	require.NoError(t, err)
	at.Path = "/" + c.database()
	c.super, err = pgx.Connect(t.Context(), at.String())
	require.NoError(t, err)
	for _, role := range []string{"bi", "ops"} {
		c.run(t, "CREATE ROLE "+c.role(role))
	}
	c.run(t, "CREATE ROLE "+c.role("owner")+" LOGIN PASSWORD 'counts'")
	at.User = url.UserPassword(c.role("owner"), "counts")
	pool, err := postgres.Open(t.Context(), postgres.Options{URL: at.String(), Object: "warehouse shop", Application: "drawbridge/test", MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		pool.Close()
		require.NoError(t, c.super.Close(ctx))
		for _, sql := range []string{
			"DROP DATABASE " + c.database() + " WITH (FORCE)",
			fmt.Sprintf("DROP ROLE %s, %s, %s", c.role("bi"), c.role("ops"), c.role("owner")),
		} {
			_, err := admin.Exec(ctx, sql)
			require.NoError(t, err)
		}
		require.NoError(t, admin.Close(ctx))
	})
	ledger := catalog.New("shop")
	for _, schema := range []string{"shop", ledger.Schema()} {
		c.run(t, "CREATE SCHEMA "+schema+" AUTHORIZATION "+c.role("owner"))
	}
	c.run(t, "CREATE TABLE shop.sales (id int, chan text, channel text)")
	c.run(t, "ALTER TABLE shop.sales OWNER TO "+c.role("owner"))
	c.run(t, fmt.Sprintf("GRANT USAGE ON SCHEMA shop TO %s, %s", c.role("bi"), c.role("ops")))
	c.run(t, fmt.Sprintf("GRANT ALL ON shop.sales TO %s, %s", c.role("bi"), c.role("ops")))
	require.NoError(t, pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return ledger.Migrate(t.Context(), tx) }))
	c.Tables = alter.On(pool, "shop")
	c.plan = migrate.Plan{
		Migration: migrate.Migration{Name: "0001_channel", Table: "sales"}, Release: releaseOf("1.0.0"), Environment: prod, Schema: "shop", Old: []string{"chan"},
	}
	_, err = c.BeginMigration(t.Context(), migrate.Entry{Plan: c.plan, Digest: migrate.Digest(c.plan), By: "ann", Reason: "needed"},
		effect.Key{Owner: c.owner, Environment: prod, Step: "begin"})
	require.NoError(t, err)
	return c
}

func (c *counting) database() string { return "counting_" + c.name }

func (c *counting) role(name string) string { return name + "_" + c.name }

func (c *counting) run(t *testing.T, sql string) {
	t.Helper()
	_, err := c.super.Exec(t.Context(), sql)
	require.NoError(t, err)
}

// as has a role call a statement.
func (c *counting) as(t *testing.T, role, sql string) {
	t.Helper()
	c.run(t, "SET ROLE "+c.role(role))
	c.run(t, sql)
	c.run(t, "RESET ROLE")
}

func (c *counting) look(t *testing.T) migrate.Traffic {
	t.Helper()
	traffic, err := c.CallsOf(t.Context(), c.owner, c.plan)
	require.NoError(t, err)
	return traffic
}

// calls are those that a look finds, by role without what tells it from other tests'.
func (c *counting) calls(t *testing.T) map[string]int64 {
	t.Helper()
	traffic := c.look(t)
	require.Empty(t, traffic.Unseen)
	n := map[string]int64{}
	for _, call := range traffic.Calls {
		require.Equal(t, []string{"chan"}, call.Columns)
		n[strings.TrimSuffix(call.Role, "_"+c.name)] += call.Calls
	}
	return n
}

// counts lets calls be counted, and the owner see them. A server that does not load the library counts nothing.
func (c *counting) counts(t *testing.T) {
	t.Helper()
	var preloaded string
	require.NoError(t, c.super.QueryRow(t.Context(), "SHOW shared_preload_libraries").Scan(&preloaded))
	if !strings.Contains(preloaded, "pg_stat_statements") {
		t.Skip("the server does not load pg_stat_statements")
	}
	c.run(t, "CREATE SCHEMA counts")
	c.run(t, "CREATE EXTENSION pg_stat_statements SCHEMA counts")
	c.run(t, "GRANT USAGE ON SCHEMA counts TO PUBLIC")
	c.run(t, "GRANT pg_read_all_stats TO "+c.role("owner"))
}

func TestCallsOfWhatGoesAreCountedByRoleSinceTheFirstLook(t *testing.T) {
	t.Parallel()
	c := setupCounting(t)
	c.counts(t)
	for range 3 {
		c.as(t, "bi", "SELECT chan FROM shop.sales WHERE id = 1")
	}
	require.Empty(t, c.calls(t), "what was called before is not held against anybody")

	c.as(t, "bi", "SELECT channel FROM shop.sales")
	c.as(t, "bi", "SELECT * FROM shop.sales")
	require.Empty(t, c.calls(t), "the new shape may be called")

	c.as(t, "bi", "SELECT chan FROM shop.sales WHERE id = 2")
	c.as(t, "bi", "SELECT chan FROM shop.sales WHERE id = 3")
	c.as(t, "ops", "INSERT INTO shop.sales (id, chan) VALUES (1, 'x')")
	before := time.Now()
	require.Equal(t, map[string]int64{"bi": 2, "ops": 1}, c.calls(t))
	traffic := c.look(t)
	require.Equal(t, map[string]int64{"bi": 2, "ops": 1}, c.calls(t), "a look counts nothing twice")
	for _, call := range traffic.Calls {
		require.WithinDuration(t, before, call.Last, 30*time.Second)
		require.NotZero(t, call.Query)
		require.False(t, call.Guessed)
	}

	c.run(t, "SELECT counts.pg_stat_statements_reset()")
	c.as(t, "bi", "SELECT chan FROM shop.sales WHERE id = 4")
	require.Equal(t, map[string]int64{"bi": 3, "ops": 1}, c.calls(t), "somebody has had the server count anew")
}

func TestWhereCallsCannotBeSeenThatIsSaid(t *testing.T) {
	t.Parallel()
	c := setupCounting(t)
	require.Equal(t, migrate.Traffic{Unseen: "pg_stat_statements is not installed in this database"}, c.look(t))
	c.counts(t)
	require.Empty(t, c.look(t).Unseen)
	c.run(t, "REVOKE USAGE ON SCHEMA counts FROM PUBLIC")
	require.Contains(t, c.look(t).Unseen, "cannot be read")
	c.run(t, "REVOKE pg_read_all_stats FROM "+c.role("owner"))
	require.Contains(t, c.look(t).Unseen, "GRANT pg_read_all_stats")
}

func TestMigrationsInTheirWindowAreFound(t *testing.T) {
	t.Parallel()
	c := setupCounting(t)
	open, err := c.Deprecated(t.Context())
	require.NoError(t, err)
	require.Empty(t, open, "it is not switched yet")
	require.NoError(t, c.EnterPhase(t.Context(), c.owner, migrate.Deprecating))
	open, err = c.Deprecated(t.Context())
	require.NoError(t, err)
	require.Len(t, open, 1)
	require.Equal(t, c.owner, open[0].Owner)
	require.NoError(t, c.EnterPhase(t.Context(), c.owner, migrate.Contract))
	open, err = c.Deprecated(t.Context())
	require.NoError(t, err)
	require.Empty(t, open, "its contract has begun")
}
