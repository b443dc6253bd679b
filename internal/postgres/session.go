package postgres

import (
	"cmp"
	"context"
	"maps"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// CancelGrace is how long a cancelled statement has to end before its connection is cut.
	CancelGrace = 5 * time.Second
	// deadClient is after how many milliseconds the server notices that the worker of a running statement is gone.
	deadClient  = "5000"
	clientCheck = "client_connection_check_interval"
	zoneParam   = "timezone"
	// openTimeout bounds what is waited for a database that accepts and does not answer; connectTimeout, for one address.
	openTimeout    = 10 * time.Second
	connectTimeout = 8 * time.Second
	// idleInTransaction ends a transaction whose worker has stopped between two statements. None of ours pauses there
	// for nearly so long.
	idleInTransaction = "10s"
	// idleSession is how long a session that nobody needs is kept: sessions are the whole server's.
	idleSession = time.Minute
	// applicationMax is where Postgres cuts an application_name.
	applicationMax = 63
)

// Options say which database to open. The URLs hold credentials and are never shown.
type Options struct {
	URL         string
	Object      string // what errors call it
	Application string // application_name of sessions that nobody has pinned
	MaxConns    int32  // 0 is 8
	// AuthorURL is another login of the same database, for SQL that others have written; empty: there is one login only.
	AuthorURL string
}

// Pool is the sessions of one login at one database, which run our own SQL only, whatever schemas it is about: it names
// them, and finds by plain names what is the server's and nothing else. It is safe for concurrent use.
type Pool struct {
	*pgxpool.Pool
	object      string
	application string
	author      *pgx.ConnConfig
	kept        *keptSessions
	// Author is the role under which SQL of others runs, and AuthorLogin the user that became it; both are empty where they
	// are our own.
	Author, AuthorLogin string
}

// Open connects, within openTimeout. A URL or a login that can never work is a fault; a server that does not answer is
// transient.
func Open(ctx context.Context, o Options) (*Pool, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	p := &Pool{object: o.Object, application: Clip(o.Application), kept: &keptSessions{}}
	config, err := pgxpool.ParseConfig(o.URL)
	if err != nil {
		return nil, unreadable(o.Object)
	}
	author := o.AuthorURL
	if author == "" {
		author = o.URL
	}
	if p.author, err = pgx.ParseConfig(author); err != nil {
		return nil, unreadable(o.Object)
	}
	config.MaxConns = o.MaxConns
	if config.MaxConns <= 0 {
		config.MaxConns = 8
	}
	configure(config.ConnConfig, p.application, "pg_catalog, pg_temp")
	// What the ledger is asked is asked again and again, and returns the same columns: the server reads and plans it once in a session.
	// To plan it for the values of each call takes longer than to run it, and to compile it longer than both.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheStatement
	config.ConnConfig.RuntimeParams["plan_cache_mode"] = "force_generic_plan"
	config.ConnConfig.RuntimeParams["jit"] = "off"
	config.MaxConnIdleTime = idleSession
	configure(p.author, p.application, "pg_temp")
	if p.Pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, connectFault("open", o.Object, err)
	}
	err = p.Ping(ctx)
	if state := SQLState(err); state == pgerrcode.InvalidParameterValue || state == pgerrcode.UndefinedObject {
		// Servers on systems without the means for it go without.
		p.Close()
		delete(config.ConnConfig.RuntimeParams, clientCheck)
		delete(p.author.RuntimeParams, clientCheck)
		if p.Pool, err = pgxpool.NewWithConfig(ctx, config); err == nil {
			err = p.Ping(ctx)
		}
	}
	if err != nil {
		p.Close()
		return nil, connectFault("open", o.Object, err)
	}
	if o.AuthorURL != "" {
		err = p.meetAuthor(ctx)
	}
	if err != nil {
		p.Close()
		return nil, Classify("open", o.Object, err)
	}
	return p, nil
}

// In is the same sessions for one part of the database, which errors call object: SQL that others have written finds by plain
// names what is in the schemas of path. To close it closes them all.
func (p *Pool) In(object string, path ...string) *Pool {
	part := *p
	part.object, part.author = object, p.author.Copy()
	part.author.RuntimeParams["search_path"] = Idents(append([]string{"pg_temp"}, path...))
	return &part
}

// Zoned is the same sessions, but those in which SQL of others runs have another timezone; empty is UTC.
func (p *Pool) Zoned(zone string) *Pool {
	part := *p
	part.author = p.author.Copy()
	part.author.RuntimeParams[zoneParam] = cmp.Or(zone, "UTC")
	return &part
}

// Close waits for the sessions in use, and closes all.
func (p *Pool) Close() {
	p.kept.close()
	p.Pool.Close()
}

// Reach says whether the server still answers.
func (p *Pool) Reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	return connectFault("reach", p.object, p.Ping(ctx))
}

// meetAuthor learns whether the author's login is one of its own.
func (p *Pool) meetAuthor(ctx context.Context) error {
	var own string
	if err := p.QueryRow(ctx, `SELECT current_user`).Scan(&own); err != nil {
		return err
	}
	return p.Apart(ctx, p.application, func(s *Session) error {
		if s.Role != own {
			p.Author, p.AuthorLogin = s.Role, p.author.User
		}
		return nil
	})
}

// configure sets what our SQL relies on, as parameters of the session's start: nothing that runs in the session can take
// them back by a RESET.
func configure(c *pgx.ConnConfig, application, path string) {
	c.ConnectTimeout = connectTimeout
	c.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec // nothing is cached: authors' tables change under the sessions
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: CancelGrace}
	}
	maps.Copy(c.RuntimeParams, map[string]string{
		"application_name":                    application,
		zoneParam:                             "UTC",
		"datestyle":                           "ISO, YMD",
		"intervalstyle":                       "postgres",
		"client_encoding":                     "UTF8",
		"standard_conforming_strings":         "on",
		"search_path":                         path,
		"idle_in_transaction_session_timeout": idleInTransaction,
		"tcp_keepalives_idle":                 "10",
		"tcp_keepalives_interval":             "5",
		"tcp_keepalives_count":                "3",
		clientCheck:                           deadClient,
	})
}

// Application is the application_name of sessions that nobody has pinned.
func (p *Pool) Application() string { return p.application }

// Pinned runs f in one session that carries application as its name and works aside, and leaves nothing of f in it.
func (p *Pool) Pinned(ctx context.Context, application string, f func(*pgx.Conn) error) error {
	conn, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, `SELECT set_config('application_name', $1, false), pg_try_advisory_lock_shared($2::int, pg_backend_pid())`,
		Clip(application), asideClass); err != nil {
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
