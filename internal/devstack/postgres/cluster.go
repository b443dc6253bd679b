// Package postgres runs the stack's private Postgres: it finds or fetches the server programs, creates a cluster that
// only this machine can reach, and keeps its server on a leash, so that it never outlives the stack.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Names in the cluster.
const (
	superuser = "postgres"
	role      = "drawbridge"
	warehouse = "warehouse"
	tests     = "drawbridge_test"
)

// Durability says what a crash of the machine may cost.
type Durability string

const (
	// Durable loses no committed transaction.
	Durable Durability = "durable"
	// Disposable may lose the whole cluster, in exchange for fast commits: for stacks that live as long as a test run.
	Disposable Durability = "disposable"
)

// Cluster is a private Postgres cluster. It is reached through TCP on 127.0.0.1 only: the path of a Unix socket may not
// exceed 107 bytes, and checkouts lie deeper than that.
type Cluster struct {
	home         string
	installation Installation
	account      Account
	passwords    Passwords
	durability   Durability
	port         int // of the server that was started last
}

// Open returns the cluster that link is or points to; Start creates it where there is none. A server that an earlier,
// killed stack left behind on it is stopped. The caller must be the only stack that uses link.
func Open(ctx context.Context, link string, durability Durability) (*Cluster, error) {
	account, err := CurrentAccount()
	if err != nil {
		return nil, err
	}
	home, err := openHome(link, account)
	if err != nil {
		return nil, err
	}
	c := &Cluster{home: home, account: account, durability: durability}
	if c.passwords, err = passwords(home); err != nil {
		return nil, err
	}
	major, err := c.major()
	if err != nil {
		return nil, err
	}
	asked, err := wanted(os.Getenv(variable))
	if err != nil {
		return nil, err
	}
	if major != 0 && asked != 0 && asked != major {
		return nil, fmt.Errorf("the cluster was made by Postgres %d, and %s asks for %d: start anew after `make clean`", major, variable, asked)
	}
	if c.installation, err = programs(ctx, account, cmp.Or(major, asked)); err != nil {
		return nil, err
	}
	return c, c.stopLeftover(ctx)
}

// Remove deletes the cluster, which must be stopped.
func (c *Cluster) Remove() error { return os.RemoveAll(c.home) }

// programs finds programs of version major; where that is 0 any version from 14 on will do. Where there are none they are
// fetched.
func programs(ctx context.Context, account Account, major int) (Installation, error) {
	installed, err := Find(ctx, account, major)
	if !errors.Is(err, ErrNotInstalled) {
		return installed, err
	}
	return Fetch(ctx, account, major)
}

func (c *Cluster) data() string { return filepath.Join(c.home, "data") }

// major is the version that made the cluster, 0 where there is no cluster yet.
func (c *Cluster) major() (int, error) {
	content, err := os.ReadFile(filepath.Join(c.data(), "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the cluster's version: %w", err)
	}
	return strconv.Atoi(strings.TrimSpace(string(content)))
}

// create makes the cluster where there is none: under another name and renames it when it is whole, so that a crash leaves no half cluster.
// Its locale is C on every machine: tests sort alike everywhere.
func (c *Cluster) create(ctx context.Context) error {
	if major, err := c.major(); err != nil || major != 0 {
		return err
	}
	unfinished := filepath.Join(c.home, "data.unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("remove an unfinished cluster: %w", err)
	}
	pwfile := filepath.Join(c.home, "pwfile")
	if err := os.WriteFile(pwfile, []byte(c.passwords.Superuser+"\n"), 0o600); err != nil {
		return fmt.Errorf("create the cluster: %w", err)
	}
	defer func() { _ = os.Remove(pwfile) }()
	if err := c.account.own(pwfile); err != nil {
		return fmt.Errorf("create the cluster: %w", err)
	}
	cmd := exec.CommandContext(ctx, filepath.Join(c.installation.Bin, "initdb"), "--pgdata", unfinished,
		"--username", superuser, "--pwfile", pwfile, "--auth", "scram-sha-256",
		"--encoding", "UTF8", "--locale", "C", "--no-instructions")
	if c.durability == Disposable {
		cmd.Args = append(cmd.Args, "--no-sync")
	}
	cmd.Dir = c.home
	cmd.SysProcAttr = c.account.process()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("create the cluster: initdb: %w: %s", err, out)
	}
	if err := os.Rename(unfinished, c.data()); err != nil {
		return fmt.Errorf("create the cluster: %w", err)
	}
	return nil
}

// settings are given on the command line: the cluster's own files stay as initdb wrote them, and a new port or a new
// version of the stack takes effect at the next start.
func (c *Cluster) settings() map[string]string {
	set := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(c.port),
		"unix_socket_directories": "",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
		"log_line_prefix":         "postgres %m [%p] %q%a ",
		"max_connections":         "200", // the workers' pools and the readers of a test, at once
		"shared_buffers":          "256MB",
		// A publish locks every child and index of the partitions that it swaps; 64, the default, holds few of them.
		"max_locks_per_transaction": "256",
		// Off by default in Postgres; tests leave prepared transactions in the way of a publish.
		"max_prepared_transactions": "10",
	}
	if c.durability == Disposable {
		// Commits stay synchronous: a test that ends Postgres at once asks what became of the ones it was told of. They are
		// written before they are acknowledged, and without fsync only a fall of the machine loses them.
		set["fsync"] = "off"
		set["full_page_writes"] = "off"
		// Who calls which statements is counted where a test creates the extension.
		if c.installation.has(counting) {
			set["shared_preload_libraries"] = counting
		}
	}
	return set
}

// Warehouse is the URL of the database that pipelines publish to.
func (c *Cluster) Warehouse() string { return c.url(role, c.passwords.Drawbridge, warehouse) }

// TestDatabase is the URL of the database that tests use, so that none of them can touch the warehouse.
func (c *Cluster) TestDatabase() string { return c.url(role, c.passwords.Drawbridge, tests) }

// TestSuperuser is the URL of the test database for what only a superuser may do.
func (c *Cluster) TestSuperuser() string { return c.url(superuser, c.passwords.Superuser, tests) }

func (c *Cluster) url(user, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password),
		Host:     net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// provision creates the role and the databases where they are missing. The role is what a warehouse's owner would hand
// out: no superuser, but allowed to see other sessions, on which publishing depends.
func (c *Cluster) provision(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.url(superuser, c.passwords.Superuser, "postgres"))
	if err != nil {
		return fmt.Errorf("prepare the databases: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	// A statement that fails is not written to the server's log: one of them holds a password.
	if _, err := conn.Exec(ctx, `SET log_min_error_statement = panic`); err != nil {
		return fmt.Errorf("prepare the databases: %w", err)
	}
	for _, object := range []struct{ name, exists, create string }{
		{role, `SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)`, `CREATE ROLE ` + role + ` LOGIN PASSWORD '` + c.passwords.Drawbridge + `' IN ROLE pg_read_all_stats, pg_signal_backend`},
		{warehouse, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, `CREATE DATABASE ` + warehouse + ` OWNER ` + role},
		{tests, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)`, `CREATE DATABASE ` + tests + ` OWNER ` + role},
	} {
		var exists bool
		if err := conn.QueryRow(ctx, object.exists, object.name).Scan(&exists); err != nil {
			return fmt.Errorf("look for %s: %w", object.name, err)
		}
		if exists {
			continue
		}
		if _, err := conn.Exec(ctx, object.create); err != nil {
			return fmt.Errorf("create %s: %w", object.name, err)
		}
	}
	return nil
}
