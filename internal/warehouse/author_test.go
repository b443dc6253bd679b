package warehouse_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/testdb"
	"drawbridge/internal/turnback"
	"drawbridge/internal/warehouse"
)

// authored is a warehouse in which authors have a login of their own, and a function of the schema runs any statement with
// the rights of whoever calls it: more than a SELECT can do.
func authored(t *testing.T) (b *bundle, author string) {
	t.Helper()
	superuser := testdb.Superuser(t)
	b = &bundle{db: testdb.New(t), files: map[string]string{}}
	author = b.db.Schema + "_author"
	admin, err := pgx.Connect(t.Context(), superuser)
	require.NoError(t, err)
	defer func() { _ = admin.Close(t.Context()) }()
	parsed, err := url.Parse(b.db.URL)
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'author'", author))
	require.NoError(t, err)
	_, err = admin.Exec(t.Context(), fmt.Sprintf("GRANT pg_signal_backend, pg_read_all_stats TO %s", pgx.Identifier{parsed.User.Username()}.Sanitize()))
	require.NoError(t, err)
	parsed.User = url.UserPassword(author, "author")
	b.Warehouse, err = warehouse.Open(t.Context(), warehouse.Options{
		URL: b.db.URL, AuthorURL: parsed.String(), Schema: b.db.Schema, Application: "drawbridge/test", MaxConns: 12,
	})
	require.NoError(t, err)
	require.NoError(t, b.EnsureLedger(t.Context()))
	b.cross(t, "1.0.0")
	t.Cleanup(func() {
		b.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, onDatabase(t, superuser, b.db.URL))
		require.NoError(t, err)
		defer func() { _ = conn.Close(ctx) }()
		_, err = conn.Exec(ctx, "DROP OWNED BY "+author)
		require.NoError(t, err)
		_, err = conn.Exec(ctx, "DROP ROLE "+author)
		require.NoError(t, err)
	})
	b.db.Exec(t, fmt.Sprintf("GRANT USAGE ON SCHEMA %[1]s, %[1]s__data TO %[2]s", b.db.Schema, author))
	b.db.Exec(t, fmt.Sprintf("ALTER DEFAULT PRIVILEGES IN SCHEMA %[1]s GRANT SELECT ON TABLES TO %[2]s", b.db.Schema, author))
	b.runs(t)
	return b, author
}

// runs makes the function that runs any statement.
func (b *bundle) runs(t *testing.T) {
	t.Helper()
	b.db.Exec(t, `CREATE FUNCTION run(sql text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN EXECUTE sql; RETURN 0; END $$`)
}

// onDatabase is a server's URL, on the database of another.
func onDatabase(t *testing.T, server, database string) string {
	t.Helper()
	to, err := url.Parse(server)
	require.NoError(t, err)
	from, err := url.Parse(database)
	require.NoError(t, err)
	to.Path = from.Path
	return to.String()
}

// running is the shop, whose SELECT runs statements for every row before it returns it.
func running(statements ...string) *pipeline.Pipeline {
	p := shop()
	p.Name = "hostile"
	p.Outputs[0].Table = "fct_hostile"
	calls := make([]string, len(statements))
	for i, s := range statements {
		calls[i] = " + run(" + check.Literal(s) + ")"
	}
	p.Outputs[0].SQL = fmt.Sprintf(`
		SELECT order_id%s AS order_id, ordered_at::date AS order_date, channel, amount
		FROM raw_orders
		WHERE ordered_at >= @partition_start AND ordered_at < @partition_end`, strings.Join(calls, ""))
	return p
}

// zoned is the shop, with rows whose day depends on the session's timezone.
func zoned() *pipeline.Pipeline {
	p := shop()
	p.Outputs[0].SQL = `
		SELECT order_id, ordered_at::date AS order_date, ordered_at, ordered_at::text AS said, current_user::text AS who,
		       current_setting('search_path') AS path, (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) AS locks
		FROM raw_orders`
	return p
}

// Whatever an author's session was made to be, nobody else meets it.
func TestAHostileAuthorChangesNothingForTheOthers(t *testing.T) {
	t.Parallel()
	t.Run("with a login of their own", func(t *testing.T) {
		t.Parallel()
		b, _ := authored(t)
		betweenTwoOthers(t, b)
	})
	t.Run("with the one login that there is", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.runs(t)
		betweenTwoOthers(t, b)
	})
}

// Any SQL may take any advisory lock, and see in pg_locks which ones others take.
func TestNoLockThatAnAuthorCanTakeStopsTheOthers(t *testing.T) {
	t.Parallel()
	b, author := authored(t)
	ledger := b.db.Schema + "__ledger"
	b.db.Exec(t, `CREATE TABLE seen (classid oid, objid oid, objsubid int)`)
	b.db.Exec(t, `CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
		  INSERT INTO `+b.db.Schema+`.seen
		  SELECT l.classid, l.objid, l.objsubid FROM pg_locks l WHERE l.locktype = 'advisory' AND l.pid = pg_backend_pid(); -- other tests go on
		  RETURN NULL;
		END $$`)
	for _, table := range []string{"generation", "swap", "turn_back"} {
		b.db.Exec(t, `CREATE TRIGGER see AFTER INSERT ON `+ledger+`.`+table+` EXECUTE FUNCTION see()`)
	}
	change := func(amount int) {
		b.orders("2026-01-01", 5, amount)
		live := b.build(t, shop(), "2026-01-01")
		b.publish(t, swap(live.Generation, live.From))
		req := compensation(b.owner)
		req.ByPerson = true // who may take a first release away
		state, _ := b.begins(t, req).finish(t)
		require.Equal(t, turnback.Done, state)
		b.cross(t, "1.0.0")
	}
	change(1)

	theirs, err := url.Parse(b.db.URL)
	require.NoError(t, err)
	theirs.User = url.UserPassword(author, "author")
	conn, err := pgx.Connect(t.Context(), theirs.String())
	require.NoError(t, err)
	b.db.Exec(t, "GRANT SELECT ON seen TO "+author)
	_, err = conn.Exec(t.Context(), `
		SELECT CASE objsubid
		  WHEN 1 THEN pg_advisory_lock((classid::bigint << 32) | objid::bigint)
		  ELSE pg_advisory_lock(classid::bigint::bit(32)::int, objid::bigint::bit(32)::int) -- keys are signed, pg_locks shows them unsigned
		END
		FROM (SELECT DISTINCT * FROM `+b.db.Schema+`.seen) AS s`)
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), `BEGIN; LOCK TABLE `+ledger+`.change IN ACCESS EXCLUSIVE MODE`)
	require.ErrorContains(t, err, "permission denied")
	var gone atomic.Bool
	patience := time.AfterFunc(time.Minute, func() {
		gone.Store(true)
		_ = conn.Close(context.Background())
	})
	change(2)
	require.False(t, gone.Load(), "it went on only when the author's session had ended")
	if patience.Stop() {
		require.NoError(t, conn.Close(t.Context()))
	}
}

func betweenTwoOthers(t *testing.T, b *bundle) {
	t.Helper()
	b.orders("2026-01-01", 5, 1)
	before, err := b.Build(t.Context(), b.spec(zoned(), "2026-01-01"))
	require.NoError(t, err)
	for range 3 {
		hostile := running(
			`SET timezone = 'Asia/Tokyo'`, `SET datestyle = 'German'`, `SET search_path = pg_temp`, `SET statement_timeout = 1000`,
			`SELECT pg_advisory_lock(4711)`, `CREATE TEMP TABLE IF NOT EXISTS pg_class (relname text)`,
			`CREATE TEMP TABLE IF NOT EXISTS raw_channels (channel text)`, `SET client_encoding = 'LATIN1'`, `SET application_name = 'psql'`,
			`SET standard_conforming_strings = off`, `RESET ALL`, `SET timezone = 'Asia/Tokyo'`, `SELECT setseed(0.5)`,
		)
		built, err := b.Build(t.Context(), b.spec(hostile, "2026-01-01"))
		require.NoError(t, err)
		require.EqualValues(t, 5, built[0].Generation.Rows)
		require.Equal(t, gate.Pass, built[0].Verdict.Outcome)
	}
	after, err := b.Build(t.Context(), b.spec(zoned(), "2026-01-01"))
	require.NoError(t, err)
	require.Equal(t, before[0].Generation.Checksum, after[0].Generation.Checksum)
	require.NotEqual(t, before[0].Generation.ID, after[0].Generation.ID)
	require.NoError(t, b.Verify(t.Context(), []int64{before[0].Generation.ID, after[0].Generation.ID}, func() {}), "what is counted later is what was counted")
	// The server ends a closed session a moment later.
	require.Eventually(t, func() bool {
		return b.number(t, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 1 AND objid = 4711 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) == 0
	}, 10*time.Second, 10*time.Millisecond)
}

// An author's SQL writes neither the ledger nor what is published, and becomes nobody who could.
func TestAnAuthorCannotWriteWhatIsNotTheirs(t *testing.T) {
	t.Parallel()
	b, author := authored(t)
	b.orders("2026-01-01", 5, 1)
	live := b.build(t, shop(), "2026-01-01").Generation
	b.publish(t, swap(live, 0))
	owner := b.text(t, `SELECT current_user`)
	ledger := b.db.Schema + "__ledger"
	before := b.text(t, `SELECT md5(string_agg(g::text, ' ' ORDER BY id)) FROM `+ledger+`.generation g WHERE state = 'live'`)
	for _, statement := range []string{
		`SET ROLE ` + pgx.Identifier{owner}.Sanitize(),
		`SET SESSION AUTHORIZATION ` + pgx.Identifier{owner}.Sanitize(),
		`UPDATE ` + ledger + `.generation SET state = 'live'`,
		`DELETE FROM ` + ledger + `.live`,
		`SELECT count(*) FROM ` + ledger + `.generation`,
		`CREATE TABLE ` + ledger + `.mine (a int)`,
		`CREATE FUNCTION ` + b.db.Schema + `.count(bigint) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'`,
		`CREATE TABLE ` + b.db.Schema + `.mine (a int)`,
		`DELETE FROM ` + b.db.Schema + `.fct_orders`,
		`DELETE FROM ` + b.child(live.ID),
		`INSERT INTO ` + b.child(live.ID) + ` SELECT * FROM fct_orders`,
		`ALTER TABLE ` + b.child(live.ID) + ` DISABLE TRIGGER ALL`,
		`DROP TABLE ` + b.db.Schema + `.fct_orders`,
		`GRANT ` + pgx.Identifier{owner}.Sanitize() + ` TO ` + author,
		`COPY fct_orders TO PROGRAM 'cat'`,
	} {
		_, err := b.Build(t.Context(), b.spec(running(statement), "2026-01-01"))
		require.Error(t, err, statement)
		require.Contains(t, []fault.Class{fault.Refused, fault.Invalid}, fault.ClassOf(err), "%s: %v", statement, err)
		require.NotContains(t, err.Error(), owner, "%s: what the server says stays there", statement)
	}
	require.Equal(t, before, b.text(t, `SELECT md5(string_agg(g::text, ' ' ORDER BY id)) FROM `+ledger+`.generation g WHERE state = 'live'`))
	require.Equal(t, "7.50", b.sum(t))
}

// A check reads. What it calls cannot write, not even what its author might.
func TestACheckThatWritesIsInconclusiveAndWritesNothing(t *testing.T) {
	t.Parallel()
	b, author := authored(t)
	b.db.Exec(t, `CREATE TABLE scratch (a int)`)
	b.db.Exec(t, `GRANT INSERT, SELECT ON scratch TO `+author)
	b.orders("2026-01-01", 5, 1)
	p := shop()
	p.Outputs[0].Checks = append(p.Outputs[0].Checks, check.Check{
		Name: "writes", Kind: check.Expression, Severity: check.Fail, SQL: "run('INSERT INTO scratch VALUES (1)') = 0",
	})
	built := b.build(t, p, "2026-01-01")
	require.Equal(t, gate.Inconclusive, built.Verdict.Outcome)
	require.Contains(t, built.Verdict.Reason, "writes")
	least := 0.0
	_, err := b.Measure(t.Context(), check.Metric{Name: "writes", Severity: check.Fail, Min: &least, SQL: `SELECT run('INSERT INTO scratch VALUES (2)')`})
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.Zero(t, b.number(t, `SELECT count(*) FROM scratch`))
}

// A generation is compared under the authors' login too, whoever built it.
func TestAComparisonRunsUnderTheAuthorsLogin(t *testing.T) {
	t.Parallel()
	b, author := authored(t)
	b.orders("2026-01-01", 5, 1)
	first, second := b.build(t, shop(), "2026-01-01").Generation, b.build(t, shop(), "2026-01-01").Generation
	b.db.Exec(t, fmt.Sprintf("REVOKE ALL ON %s FROM %s", b.child(first.ID), author))
	diff, err := b.Compare(t.Context(), warehouse.Comparison{
		Output: "fct_orders", Key: []string{"order_id"}, Baseline: first.ID, Candidate: second.ID, Origin: canary.Earlier,
		Metrics: []check.Check{{Name: "total", Kind: check.MetricKind, Severity: check.Fail, SQL: "sum(amount)"}},
	})
	require.NoError(t, err)
	require.EqualValues(t, 5, diff.CandidateRows)
	require.Zero(t, diff.ChangedRows)
}

func TestAPlanSaysWhatTheAuthorsLoginIs(t *testing.T) {
	t.Parallel()
	b, author := authored(t)
	rules := func(w *warehouse.Warehouse) map[string]plan.Problem {
		observed, err := w.Observe(t.Context(), shop(), header())
		require.NoError(t, err)
		found := map[string]plan.Problem{}
		for _, p := range observed.Problems {
			found[p.Rule] = p
		}
		return found
	}
	require.NotContains(t, rules(b.Warehouse), "author-rights")
	require.NotContains(t, rules(b.Warehouse), "trusted-authors")

	alone := rules(open(t, b.db))
	require.Contains(t, alone, "trusted-authors")
	require.False(t, alone["trusted-authors"].Blocking, "a laptop has one login")

	for _, grant := range []string{
		`GRANT CREATE ON SCHEMA ` + b.db.Schema + ` TO ` + author,
		`GRANT UPDATE ON ALL TABLES IN SCHEMA ` + b.db.Schema + `__ledger TO ` + author,
		`REVOKE USAGE ON SCHEMA ` + b.db.Schema + `__data FROM ` + author,
	} {
		b.db.Exec(t, grant)
		require.True(t, rules(b.Warehouse)["author-rights"].Blocking, grant)
		b.db.Exec(t, `REVOKE CREATE ON SCHEMA `+b.db.Schema+` FROM `+author)
		b.db.Exec(t, `REVOKE ALL ON ALL TABLES IN SCHEMA `+b.db.Schema+`__ledger FROM `+author)
		b.db.Exec(t, `GRANT USAGE ON SCHEMA `+b.db.Schema+`__data TO `+author)
	}
	require.NotContains(t, rules(b.Warehouse), "author-rights")
	admin, err := pgx.Connect(t.Context(), testdb.Superuser(t))
	require.NoError(t, err)
	defer func() { _ = admin.Close(t.Context()) }()
	_, err = admin.Exec(t.Context(), fmt.Sprintf("GRANT %s TO %s", pgx.Identifier{b.text(t, `SELECT current_user`)}.Sanitize(), author))
	require.NoError(t, err)
	require.True(t, rules(b.Warehouse)["author-rights"].Blocking, "it may become the owner")
}

func (b *bundle) number(t *testing.T, sql string) (n int64) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), sql).Scan(&n))
	return n
}

func (b *bundle) text(t *testing.T, sql string) (s string) {
	t.Helper()
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), sql).Scan(&s))
	return s
}
