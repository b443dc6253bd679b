// Package warehouse is everything that Drawbridge does in a Postgres warehouse: it loads files, builds and audits
// generations, publishes them by swapping partitions, turns them back, and looks at what is there. It knows no
// Temporal: errors leave it as faults, or plain where another try may work.
package warehouse

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
)

const (
	// deadClient is after how many milliseconds the server notices that the worker of a running statement is gone.
	deadClient = 5000
	// idleInTransaction ends a transaction whose worker has stopped between two statements. None of ours pauses there
	// for longer than a round trip.
	idleInTransaction = "10s"
	// cancelGrace is how long a cancelled statement has to end before its connection is cut.
	cancelGrace = 5 * time.Second
	// applicationMax is where Postgres cuts an application_name.
	applicationMax = 63
)

// Options say which warehouse to open. URL holds credentials and is never shown.
type Options struct {
	URL         string
	Schema      string // what readers see; its siblings are __data, __ledger and __shadow
	Application string // application_name of sessions that no run owns
	MaxConns    int32  // 0 is 8
}

// Warehouse is one schema of one Postgres. It is safe for concurrent use.
type Warehouse struct {
	pool        *pgxpool.Pool
	names       names
	ledger      catalog.Ledger
	application string
}

// Open connects. A URL or a login that can never work is fault.Invalid; a server that does not answer is transient.
func Open(ctx context.Context, o Options) (*Warehouse, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		// The parser's message repeats the URL, password included.
		return nil, fault.Newf(fault.Invalid, "open warehouse", o.Schema, "write it as postgres://user@host:port/database",
			"its connection string cannot be parsed")
	}
	if err := checkSchemaName(o.Schema); err != nil {
		return nil, err
	}
	config.MaxConns = o.MaxConns
	if config.MaxConns <= 0 {
		config.MaxConns = 8
	}
	c := config.ConnConfig
	c.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec // nothing is cached: tables change under the sessions
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelGrace}
	}
	maps.Copy(c.RuntimeParams, map[string]string{
		"application_name":                    clip(o.Application),
		"timezone":                            "UTC",
		"datestyle":                           "ISO, YMD",
		"intervalstyle":                       "postgres",
		"client_encoding":                     "UTF8",
		"standard_conforming_strings":         "on",
		"search_path":                         pgx.Identifier{o.Schema}.Sanitize(),
		"idle_in_transaction_session_timeout": idleInTransaction,
		"tcp_keepalives_idle":                 "10",
		"tcp_keepalives_interval":             "5",
		"tcp_keepalives_count":                "3",
	})
	config.AfterConnect = watchClient
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, classify("open warehouse", o.Schema, err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, classify("open warehouse", o.Schema, err)
	}
	return &Warehouse{pool: pool, names: names{schema: o.Schema}, ledger: catalog.New(o.Schema), application: clip(o.Application)}, nil
}

// Close waits for the sessions in use, and closes all.
func (w *Warehouse) Close() { w.pool.Close() }

// Schema is what readers see.
func (w *Warehouse) Schema() string { return w.names.schema }

// watchClient makes the server look whether its client is still there while a statement runs. Servers on systems
// without the means for it refuse any other value than 0, and go without.
func watchClient(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("SET client_connection_check_interval = %d", deadClient))
	if sqlstate(err) == "22023" || sqlstate(err) == "42704" {
		return nil
	}
	return err
}

// pinned runs f in one session that carries application as its name, and leaves nothing of f in the session.
func (w *Warehouse) pinned(ctx context.Context, application string, f func(*pgx.Conn) error) error {
	conn, err := w.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT set_config('application_name', $1, false)`, clip(application)); err != nil {
		return err
	}
	err = f(conn.Conn())
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelGrace)
	defer cancel()
	leave := "DISCARD TEMP; SET application_name = " + quote(w.application)
	if conn.Conn().PgConn().TxStatus() != 'I' {
		leave = "ROLLBACK; " + leave
	}
	_, tidyErr := conn.Conn().PgConn().Exec(tidy, leave).ReadAll()
	if tidyErr != nil {
		_ = conn.Conn().Close(tidy) // the pool replaces a session that could not be cleaned
	}
	return err
}

func readOnly() pgx.TxOptions {
	return pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
}

func clip(application string) string {
	if len(application) > applicationMax {
		return application[:applicationMax]
	}
	return application
}
