package postgres

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"drawbridge/internal/fault"
)

const (
	// CancelGrace is how long a cancelled statement has to end before its connection is cut.
	CancelGrace = 5 * time.Second
	// deadClient is after how many milliseconds the server notices that the worker of a running statement is gone.
	deadClient = 5000
	// idleInTransaction ends a transaction whose worker has stopped between two statements. None of ours pauses there
	// for longer than a round trip.
	idleInTransaction = "10s"
	// applicationMax is where Postgres cuts an application_name.
	applicationMax = 63
)

// Options say which database to open. URL holds credentials and is never shown.
type Options struct {
	URL         string
	Object      string // what errors call it
	SearchPath  string // a schema
	Application string // application_name of sessions that nobody has pinned
	MaxConns    int32  // 0 is 8
}

// Pool is the sessions of one login at one database. It is safe for concurrent use.
type Pool struct {
	*pgxpool.Pool
	application string
}

// Open connects. A URL or a login that can never work is fault.Invalid; a server that does not answer is transient.
func Open(ctx context.Context, o Options) (*Pool, error) {
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		// The parser's message repeats the URL, password included.
		return nil, fault.Newf(fault.Invalid, "open", o.Object, "write it as postgres://user@host:port/database",
			"its connection string cannot be parsed")
	}
	config.MaxConns = o.MaxConns
	if config.MaxConns <= 0 {
		config.MaxConns = 8
	}
	c := config.ConnConfig
	c.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec // nothing is cached: tables change under the sessions
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: CancelGrace}
	}
	maps.Copy(c.RuntimeParams, map[string]string{
		"application_name":                    Clip(o.Application),
		"timezone":                            "UTC",
		"datestyle":                           "ISO, YMD",
		"intervalstyle":                       "postgres",
		"client_encoding":                     "UTF8",
		"standard_conforming_strings":         "on",
		"search_path":                         Ident(o.SearchPath),
		"idle_in_transaction_session_timeout": idleInTransaction,
		"tcp_keepalives_idle":                 "10",
		"tcp_keepalives_interval":             "5",
		"tcp_keepalives_count":                "3",
	})
	config.AfterConnect = watchClient
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, Classify("open", o.Object, err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, Classify("open", o.Object, err)
	}
	return &Pool{Pool: pool, application: Clip(o.Application)}, nil
}

// Application is the application_name of sessions that nobody has pinned.
func (p *Pool) Application() string { return p.application }

// watchClient makes the server look whether its client is still there while a statement runs. Servers on systems
// without the means for it refuse any other value than 0, and go without.
func watchClient(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, fmt.Sprintf("SET client_connection_check_interval = %d", deadClient))
	if state := SQLState(err); state == pgerrcode.InvalidParameterValue || state == pgerrcode.UndefinedObject {
		return nil
	}
	return err
}

// Pinned runs f in one session that carries application as its name and works aside, and leaves nothing of f in it.
func (p *Pool) Pinned(ctx context.Context, application string, f func(*pgx.Conn) error) error {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT set_config('application_name', $1, false), pg_advisory_lock_shared($2::int, $3::int)`,
		Clip(application), asideClass, asideObject); err != nil {
		return err
	}
	err = f(conn.Conn())
	tidy, cancel := context.WithTimeout(context.WithoutCancel(ctx), CancelGrace)
	defer cancel()
	leave := "SELECT pg_advisory_unlock_all(); DISCARD TEMP; SET application_name = " + Literal(p.application)
	if conn.Conn().PgConn().TxStatus() != 'I' {
		leave = "ROLLBACK; " + leave
	}
	_, tidyErr := conn.Conn().PgConn().Exec(tidy, leave).ReadAll()
	if tidyErr != nil {
		_ = conn.Conn().Close(tidy) // the pool replaces a session that could not be cleaned
	}
	return err
}

// ReadOnly is one snapshot that sees everything as it is now and changes nothing.
func ReadOnly() pgx.TxOptions {
	return pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
}

// Clip cuts an application_name where Postgres would.
func Clip(application string) string {
	if len(application) > applicationMax {
		return application[:applicationMax]
	}
	return application
}
