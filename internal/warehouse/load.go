package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/reject"
	"drawbridge/internal/source"
)

// Opener opens the file of a load for a partition; fs.ErrNotExist when it is not there.
type Opener func(ctx context.Context, load pipeline.Load, key partition.Key) (io.ReadCloser, error)

// stagedTarget is how closely a staged table is sampled: a third of the server's default, as it is read by the release's
// own SELECTs and then gone.
const stagedTarget = 30

// staged is a file that a run has copied into a temporary table.
type staged struct {
	rows     int64
	rejected int64  // rows that were left out
	source   string // under which they are in the ledger
	digest   string // sha256 of its bytes
}

// stage copies a load's file into a temporary table of its name, which the session's SQL sees before any table of the
// same name.
func (b *build) stage(ctx context.Context, load pipeline.Load, key partition.Key) (staged, error) {
	return b.read(ctx, load, key, b.spec.Key.String(), func(rows *source.Rows) (taken int64, err error) {
		err = pgx.BeginTxFunc(ctx, b.author, provisional(), func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, createTemp(load.Name, rows.Columns())); err != nil {
				return postgres.Classify("load", load.Path(key), err)
			}
			// Created in the COPY's own transaction, so that FREEZE saves the later reads from setting hint bits.
			taken, err = b.take(ctx, tx, "pg_temp."+postgres.Ident(load.Name), load, rows, "FREEZE true")
			return err
		})
		return taken, err
	})
}

// read opens a load's file and lets fill take its rows. It streams: memory does not grow with the file. Every row that was read has
// to be one that the server took, or one that is in the ledger as left out.
func (b *build) read(ctx context.Context, load pipeline.Load, key partition.Key, under string, fill func(*source.Rows) (taken int64, err error)) (staged, error) {
	started := time.Now()
	b.progress(Progress{Stage: StageLoad, Load: load.Name})
	file, err := b.spec.Open(ctx, load, key)
	switch {
	case fault.ClassOf(err) != "":
		return staged{}, err
	case errors.Is(err, fs.ErrNotExist):
		return staged{}, fault.Newf(fault.Invalid, "load", load.Path(key), "put the file there, or check source_files of the config",
			"the file is missing")
	case err != nil:
		return staged{}, fmt.Errorf("open %s: %w", load.Path(key), err)
	}
	defer func() { _ = file.Close() }()
	defer context.AfterFunc(ctx, func() { _ = file.Close() })() // a pipe into which nobody writes would be waited for
	counted := &countingReader{source: file, digest: sha256.New(), tick: func(bytes int64) {
		b.progress(Progress{Stage: StageLoad, Load: load.Name, Bytes: bytes})
	}}
	rows, err := source.Read(counted, load, load.Path(key), b.spec.Pipeline.Partition)
	if err != nil {
		return staged{}, err
	}
	if load.OnBadRow == pipeline.RejectRow {
		if err := b.w.ledger.ForgetRejects(ctx, b.w.pool, under, load.Name); err != nil {
			return staged{}, postgres.Classify("load", load.Path(key), err)
		}
		rows.Keep = func(rejects []reject.Row) error {
			return postgres.Classify("load", load.Path(key), b.w.ledger.RecordRejects(ctx, b.w.pool, under, load.Name, rejects))
		}
	}
	done := staged{source: under}
	if done.rows, err = fill(rows); err == nil {
		err = rows.Flush()
	}
	if err != nil {
		_ = rows.Flush() // what is wrong with the rows before helps to see why
		return staged{}, copyFault(err, load, key, rows)
	}
	if most := load.MaxRejects; most.Share > 0 && float64(rows.Left()) > most.Share*float64(rows.Left()+rows.Records()) {
		return staged{}, rows.TooMany(rows.Left(), rows.Left()+rows.Records())
	}
	done.rejected, done.digest = rows.Left(), hex.EncodeToString(counted.digest.Sum(nil))
	if done.rows != rows.Records() {
		return staged{}, fault.Newf(fault.Ambiguous, "load", load.Path(key), "tell who keeps Drawbridge, with the version of the server",
			fmt.Sprintf("the file has %d rows and the server took %d", rows.Records(), done.rows))
	}
	b.progress(Progress{Stage: StageLoad, Done: true, Load: load.Name, RowsOut: done.rows, Bytes: counted.bytes, Elapsed: time.Since(started)})
	return done, nil
}

// analyze lets the planner know what is staged, which autovacuum never does: it would guess at joins. One relation alone
// is not joined with another, and its size is known without.
func (b *build) analyze(ctx context.Context, loads []pipeline.Load) error {
	if len(loads) < 2 {
		return nil
	}
	return pgx.BeginFunc(ctx, b.author, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, fmt.Sprintf("SET LOCAL default_statistics_target = %d", stagedTarget)); err != nil {
			return err
		}
		for _, load := range loads {
			if !load.Partitioned() {
				continue // it was analyzed when it landed
			}
			if _, err := tx.Exec(ctx, "ANALYZE pg_temp."+postgres.Ident(load.Name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// createTemp renders the temporary table that stands for a load.
func createTemp(name string, columns []pipeline.Column) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TEMP TABLE %s (", postgres.Ident(name))
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(postgres.Ident(c.Name) + " " + c.Type)
	}
	b.WriteString(")")
	return b.String()
}

// copyInto renders the statement that takes the rows of a file into a table.
func copyInto(table string, rows *source.Rows, more ...string) string {
	names := make([]string, len(rows.Columns()))
	for i, c := range rows.Columns() {
		names[i] = c.Name
	}
	return fmt.Sprintf("COPY %s (%s) FROM STDIN (%s)", table, postgres.Idents(names), strings.Join(append(rows.CopyOptions(), more...), ", "))
}

// copyPlace is how the server says where a COPY met an error; what follows the column's name is the row's value.
var copyPlace = regexp.MustCompile(`(?s)^COPY .*?, line (\d+)(?:, column ("[^"]*"|[^:]+?))?(?::.*)?$`)

// copyFault says which line and column of the file are wrong, and never what stands there.
func copyFault(err error, load pipeline.Load, key partition.Key, rows *source.Rows) error {
	if wrong := rows.Err(); wrong != nil {
		return wrong
	}
	if fault.ClassOf(err) != "" {
		return err
	}
	object := load.Path(key)
	said, ok := refusalOf(err, load, rows)
	if !ok {
		return postgres.ClassifyRun("load", object, err)
	}
	object += fmt.Sprintf(", line %d", rows.Line(said.line))
	if said.column != "" {
		object += ", column " + said.column
	}
	return fault.Newf(fault.Invalid, "load", object, "correct the file, or the load's columns, delimiter or encoding", said.reason)
}

// refusal is what a server says of a row that it does not take.
type refusal struct {
	line           int // of what it was given
	column, reason string
}

// refusalOf takes a server's error apart; ok is false where it is not about a row.
func refusalOf(err error, load pipeline.Load, rows *source.Rows) (said refusal, ok bool) {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok || pg.Code[:2] != "22" && pg.Code[:2] != "23" {
		return said, false
	}
	place := copyPlace.FindStringSubmatch(pg.Where)
	if place == nil {
		return said, false
	}
	if said.line, err = strconv.Atoi(place[1]); err != nil {
		return said, false
	}
	said.reason = postgres.DescribeRun(pg)
	name := strings.Trim(place[2], `"`)
	for i, c := range rows.Columns() {
		switch {
		case c.Name != name:
		case slices.ContainsFunc(load.Columns, func(d pipeline.Column) bool { return d.Name == name }):
			said.column = name
			if pg.Code == pgerrcode.InvalidTextRepresentation {
				said.reason = fmt.Sprintf("the value is no %s (SQLSTATE %s)", c.Type, pg.Code)
			}
		default:
			said.column = strconv.Itoa(i + 1) // of a header that is none, the name is a value
		}
	}
	return said, true
}

// countingReader hashes and counts what passes, and tells every few megabytes.
type countingReader struct {
	source io.Reader
	digest hash.Hash
	tick   func(bytes int64)
	bytes  int64
	told   int64
}

// tellEvery is often enough for a heartbeat on the slowest disk, and rare enough to cost nothing.
const tellEvery = 4 << 20

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.source.Read(p)
	r.digest.Write(p[:n])
	r.bytes += int64(n)
	if r.bytes-r.told >= tellEvery {
		r.told = r.bytes
		r.tick(r.bytes)
	}
	return n, err
}
