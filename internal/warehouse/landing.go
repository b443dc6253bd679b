package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/source"
)

const (
	// landingLook is how often a build looks whether another has loaded what both need.
	landingLook = 200 * time.Millisecond
	// landingBeat is how often a loader says that it is at work.
	landingBeat = 5 * time.Second
)

// land makes a file that is not cut by partition readable in the author's session, as a view of its load's name. The first
// build of a workflow that needs the file loads it; the others wait for that, and read the same rows.
func (b *build) land(ctx context.Context, load pipeline.Load) (staged, error) {
	shape, err := b.shape(load)
	if err != nil {
		return staged{}, err
	}
	file := load.File
	if load.Extract != nil {
		file += " " + shape // another SELECT in a file of the same name is another source
	}
	l := catalog.Landing{
		Owner: string(b.spec.Key.Owner), Round: b.spec.Key.Round, Name: load.Name, File: file, Shape: shape,
		Session: b.author.PID, SessionStart: b.author.Started,
	}
	for {
		var ours bool
		err := pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) (err error) {
			ours, err = b.w.ledger.Land(ctx, tx, &l)
			return err
		})
		switch {
		case err != nil:
			return staged{}, postgres.Classify("load", load.File, err)
		case ours:
			if err := b.fillLanding(ctx, load, &l); err != nil {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.CancelGrace)
				defer cancel()
				_ = b.w.ledger.EndLanding(ctx, b.w.pool, l.ID, fault.Bound(err.Error())) // else housekeeping finds its loader gone
				return staged{}, err
			}
		case !l.Loaded:
			if err := postgres.Pause(ctx, landingLook); err != nil {
				return staged{}, err
			}
			continue
		}
		there, err := b.useLanding(ctx, load, l)
		if err != nil {
			return staged{}, postgres.Classify("read what was loaded of", load.File, err)
		}
		if there {
			return staged{rows: l.Rows, rejected: l.Rejected, source: landingName(l.ID), digest: l.Digest}, nil
		}
	}
}

// shape is a digest of all that decides which rows and columns a file gives: candidates and controls of different releases
// share a landing only where they read it alike.
func (b *build) shape(load pipeline.Load) (string, error) {
	text, err := json.Marshal(struct {
		Load     pipeline.Load `json:"load"`
		Folder   string        `json:"folder"`
		Zone     string        `json:"zone"`
		SourceDB string        `json:"source_db,omitempty"`
	}{load, b.spec.Pipeline.Config.SourceFiles, load.Zone(b.spec.Pipeline.Partition), b.spec.Pipeline.Config.SourceDB})
	if err != nil {
		return "", fmt.Errorf("describe load %s: %w", load.Name, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

// fillLanding loads the file. Its author's session writes the rows, as a value may run what the author has written; then nobody
// writes them any more.
func (b *build) fillLanding(ctx context.Context, load pipeline.Load, l *catalog.Landing) error {
	table := b.w.names.landing(l.ID)
	defer b.keepLanding(ctx, l.ID)()
	done, err := b.readLanding(ctx, load, l.ID)
	if err != nil {
		return err
	}
	if author := b.w.pool.Author; author != "" {
		if _, err := b.conn.Exec(ctx, fmt.Sprintf("REVOKE INSERT ON %s FROM %s", table, postgres.Ident(author))); err != nil {
			return postgres.Classify("load", load.File, err)
		}
	}
	if _, err := b.conn.Exec(ctx, "VACUUM (ANALYZE) "+table); err != nil {
		return postgres.Classify("load", load.File, err)
	}
	l.Loaded, l.Digest, l.Rows, l.Rejected = true, done.digest, done.rows, done.rejected
	var before string
	err = pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) (err error) {
		before, err = b.w.ledger.FinishLanding(ctx, tx, *l)
		return err
	})
	if err != nil {
		return postgres.Classify("load", load.File, err)
	}
	if before != "" {
		what := "file has"
		if load.Extract != nil {
			what = "rows at the source have"
		}
		return fault.Newf(fault.Conflict, "load", load.File, "start a new deployment or run: it reads what is there now",
			"the "+what+" changed since this one first loaded them, and what was loaded then is gone")
	}
	return nil
}

// readLanding loads what a load reads into the table of a landing.
func (b *build) readLanding(ctx context.Context, load pipeline.Load, id int64) (staged, error) {
	table := b.w.names.landing(id)
	if load.Extract != nil {
		return b.extract(ctx, load, partition.AllKey, func(e *source.Extract, rows io.Reader) (tag pgconn.CommandTag, err error) {
			if err := b.createLanding(ctx, load, e.Columns, table); err != nil {
				return tag, err
			}
			return b.author.PgConn().CopyFrom(ctx, rows, e.CopyInto(table))
		})
	}
	return b.read(ctx, load, partition.AllKey, landingName(id), relation{
		create: func(columns []pipeline.Column) error { return b.createLanding(ctx, load, columns, table) },
		alter: func(sql string) error {
			_, err := b.conn.Exec(ctx, sql)
			return postgres.Classify("load", load.File, err)
		},
		fill:  func(take func(tx pgx.Tx) error) error { return pgx.BeginTxFunc(ctx, b.author, provisional(), take) },
		table: table,
	})
}

// keepLanding says again and again that a landing is being loaded, until stop is called.
func (b *build) keepLanding(ctx context.Context, id int64) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() {
		for postgres.Pause(ctx, landingBeat) == nil {
			_ = b.w.ledger.KeepLanding(ctx, b.w.pool, id) // whoever cannot say it is taken for gone
		}
	})
	return func() {
		cancel()
		group.Wait()
	}
}

// createLanding makes the table. Types are found where the author's SQL finds them, through a temporary table.
func (b *build) createLanding(ctx context.Context, load pipeline.Load, columns []pipeline.Column, table string) error {
	var like uint32
	err := pgx.BeginFunc(ctx, b.author, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, createTemp(load, columns)); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT pg_catalog.to_regclass($1)::pg_catalog.oid`, "pg_temp."+postgres.Ident(load.Name)).Scan(&like)
	})
	if err != nil {
		return postgres.Classify("load", load.File, err)
	}
	err = pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		resolved, err := columnsOf(ctx, tx, like)
		if err != nil {
			return err
		}
		list := make([]string, len(resolved))
		for i, c := range resolved {
			list[i] = postgres.Ident(c.Name) + " " + c.Type
		}
		// A crash of the server empties it: useLanding looks. What can be loaded again needs no WAL.
		if _, err := tx.Exec(ctx, fmt.Sprintf("CREATE UNLOGGED TABLE %s (%s)", table, strings.Join(list, ", "))); err != nil {
			return err
		}
		if author := b.w.pool.Author; author != "" {
			_, err = tx.Exec(ctx, fmt.Sprintf("GRANT SELECT, INSERT ON %s TO %s", table, postgres.Ident(author)))
		}
		return err
	})
	if err == nil {
		_, err = b.author.Exec(ctx, "DROP TABLE pg_temp."+postgres.Ident(load.Name))
	}
	return postgres.Classify("load", load.File, err)
}

// useLanding makes a loaded landing readable under its load's name, and says whether it could: one that a crash of the server
// has emptied is given up. No crash can come between this look and the session's reads: it would end the session.
func (b *build) useLanding(ctx context.Context, load pipeline.Load, l catalog.Landing) (bool, error) {
	loaded, err := b.w.ledger.UseLanding(ctx, b.conn, l.ID)
	if err != nil || !loaded {
		return false, err
	}
	table := b.w.names.landing(l.ID)
	var there, filled bool
	if err := b.conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&there); err != nil {
		return false, err
	}
	if there && l.Rows > 0 {
		if err := b.author.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+table+")").Scan(&filled); err != nil {
			return false, err
		}
	}
	if !there || l.Rows > 0 && !filled {
		return false, b.w.ledger.EndLanding(ctx, b.conn, l.ID, "a crash of the server has emptied it")
	}
	_, err = b.author.Exec(ctx, fmt.Sprintf("CREATE TEMP VIEW %s AS SELECT * FROM %s", postgres.Ident(load.Name), table))
	return true, err
}

// EndLandings says that a workflow builds no more: housekeeping drops what it has loaded for its builds.
func (w *Warehouse) EndLandings(ctx context.Context, owner string) error {
	return postgres.Classify("end the landings of", owner, w.ledger.EndLandings(ctx, w.pool, owner))
}

// dropLandings drops the landings that nobody needs any more. What somebody still reads goes the next time.
func (w *Warehouse) dropLandings(ctx context.Context) error {
	ids, err := w.ledger.DisposableLandings(ctx, w.pool, abandonedAge)
	if err != nil {
		return err
	}
	var failed error
	for _, id := range ids {
		err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+w.names.landing(id)+" RESTRICT"); err != nil {
				return err
			}
			return w.ledger.DroppedLanding(ctx, tx, id)
		})
		if err != nil && failed == nil {
			failed = postgres.Classify("drop", landingName(id), err) // the others still go
		}
	}
	return failed
}
