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

// Opener lists the files of a load for a partition; fs.ErrNotExist, here or when one is opened, when there is none.
type Opener func(ctx context.Context, load pipeline.Load, key partition.Key) ([]source.File, error)

// stagedTarget is how closely a staged table is sampled: a third of the server's default, as it is read by the release's
// own SELECTs and then gone.
const stagedTarget = 30

// staged are the files of a load that a run has copied into a table.
type staged struct {
	rows     int64
	rejected int64  // rows that were left out
	source   string // under which they are in the ledger
	digest   string // sha256 of their bytes, and of their names where rows or their number depend on those
}

// relation is the table that takes the rows of a load.
type relation struct {
	// create makes the table with its columns.
	create func(columns []pipeline.Column) error
	// alter runs a statement on the table once it is there.
	alter func(sql string) error
	// fill runs what copies rows, in a transaction of the author's session.
	fill  func(take func(tx pgx.Tx) error) error
	table string   // quoted
	fast  []string // options of a COPY that takes all rows of a file at once
}

// stage copies a load's files into a temporary table of its name, which the session's SQL sees before any table of the
// same name.
func (b *build) stage(ctx context.Context, load pipeline.Load, key partition.Key) (staged, error) {
	if load.Extract != nil {
		return b.extract(ctx, load, key, func(e *source.Extract, rows io.Reader) (tag pgconn.CommandTag, err error) {
			err = pgx.BeginTxFunc(ctx, b.author, provisional(), func(tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, createTemp(load, e.Columns)); err != nil {
					return postgres.Classify("load", load.File, err)
				}
				tag, err = tx.Conn().PgConn().CopyFrom(ctx, rows, e.CopyInto("pg_temp."+postgres.Ident(load.Name), "FREEZE true"))
				return err
			})
			return tag, err
		})
	}
	var tx pgx.Tx
	exec := func(sql string) error {
		_, err := tx.Exec(ctx, sql)
		return postgres.Classify("load", load.Path(key), err)
	}
	done, err := b.read(ctx, load, key, b.spec.Key.String(), relation{
		// Created in the COPY's own transaction, so that FREEZE saves the later reads from setting hint bits; and that begins only
		// once a file is open, for which nobody waits in a transaction.
		create: func(columns []pipeline.Column) (err error) {
			if tx, err = b.author.BeginTx(ctx, provisional()); err != nil {
				return postgres.Classify("load", load.Path(key), err)
			}
			return exec(createTemp(load, columns))
		},
		alter: exec,
		fill:  func(take func(tx pgx.Tx) error) error { return take(tx) },
		table: "pg_temp." + postgres.Ident(load.Name), fast: []string{"FREEZE true"},
	})
	switch {
	case err == nil:
		err = postgres.Classify("load", load.Path(key), tx.Commit(ctx))
	case tx != nil:
		_ = tx.Rollback(ctx) // the session ends with the build that has failed
	}
	return done, err
}

// read copies the files of a load into a relation, one after another. It streams: memory does not grow with them. Every row that was
// read has to be one that the server took, or one that is in the ledger as left out.
func (b *build) read(ctx context.Context, load pipeline.Load, key partition.Key, under string, into relation) (staged, error) {
	started := time.Now()
	b.progress(Progress{Stage: StageLoad, Load: load.Name})
	files, err := b.spec.Open(ctx, load, key)
	if err != nil {
		return staged{}, openFault(load.Path(key), err)
	}
	if load.OnBadRow == pipeline.RejectRow {
		if err := b.w.ledger.ForgetRejects(ctx, b.w.pool, under, load.Name); err != nil {
			return staged{}, postgres.Classify("load", load.Path(key), err)
		}
	}
	reading := fileReading{b: b, load: load, key: key, under: under, into: into}
	digest := sha256.New()
	for i, file := range files {
		sum, err := reading.file(ctx, file, i == 0)
		if err != nil {
			return staged{}, err
		}
		if len(files) == 1 && len(load.Parts) == 0 {
			digest = sum
			break
		}
		fmt.Fprintf(digest, "%x %s\n", sum.Sum(nil), file.Name)
	}
	if err := reading.allowed(); err != nil {
		return staged{}, err
	}
	b.progress(Progress{Stage: StageLoad, Done: true, Load: load.Name, RowsOut: reading.rows, Bytes: reading.bytes, Elapsed: time.Since(started)})
	return staged{rows: reading.rows, rejected: reading.rejected, source: under, digest: hex.EncodeToString(digest.Sum(nil))}, nil
}

// fileReading reads the files of a load into one relation.
type fileReading struct {
	b        *build
	load     pipeline.Load
	key      partition.Key
	under    string // what rows that are left out are kept under
	into     relation
	first    string // the file that the relation was made for
	columns  []pipeline.Column
	rows     int64
	rejected int64
	bytes    int64
}

// file reads one file and returns the hash of its bytes. The first one decides the columns.
func (r *fileReading) file(ctx context.Context, f source.File, first bool) (hash.Hash, error) {
	load := r.load.Of(f.Name)
	file, err := f.Open()
	if err != nil {
		return nil, openFault(f.Name, err)
	}
	defer func() { _ = file.Close() }()
	defer context.AfterFunc(ctx, func() { _ = file.Close() })() // a pipe into which nobody writes would be waited for
	counted := &countingReader{source: file, digest: sha256.New(), tick: func(bytes int64) {
		r.b.progress(Progress{Stage: StageLoad, Load: load.Name, Bytes: r.bytes + bytes})
	}}
	text, err := source.Unpack(counted, f.Name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = text.Close() }()
	rows, err := source.Read(text, load, f.Name, r.b.spec.Pipeline.Partition)
	if err != nil {
		return nil, err
	}
	if first {
		r.first, r.columns = f.Name, rows.Columns()
		err = r.into.create(rows.Columns())
	} else {
		err = source.Alike(load, rows.Columns(), r.first, r.columns)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range load.Parts { // a constant of the file costs nothing while its rows are read
		if err := r.into.alter(fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s", r.into.table, postgres.Ident(name), postgres.Literal(f.Column(name)))); err != nil {
			return nil, err
		}
	}
	if err := r.take(ctx, load, f.Name, rows); err != nil {
		return nil, err
	}
	r.bytes += counted.bytes
	return counted.digest, nil
}

// take copies the rows of a file, and keeps those that are left out.
func (r *fileReading) take(ctx context.Context, load pipeline.Load, object string, rows *source.Rows) error {
	if load.OnBadRow == pipeline.RejectRow {
		rows.Keep = func(rejects []reject.Row) error {
			return postgres.Classify("load", object, r.b.w.ledger.RecordRejects(ctx, r.b.w.pool, r.under, load.Name, rejects))
		}
	}
	var taken int64
	err := r.into.fill(func(tx pgx.Tx) (err error) {
		taken, err = r.b.take(ctx, tx, r.into.table, load, rows, r.into.fast...)
		return err
	})
	if lost, ok := errors.AsType[*unreadError](err); ok {
		return postgres.ClassifyRun("load", object, lost.error)
	}
	if err == nil {
		err = rows.Flush()
	}
	if err != nil {
		_ = rows.Flush() // what is wrong with the rows before helps to see why
		return copyFault(err, load, object, rows)
	}
	if taken != rows.Records() {
		return fault.Newf(fault.Ambiguous, "load", object, "tell who keeps Drawbridge, with the version of the server",
			fmt.Sprintf("the file has %d rows and the server took %d", rows.Records(), taken))
	}
	r.rows, r.rejected = r.rows+taken, r.rejected+rows.Left()
	return nil
}

// allowed refuses more rows that are left out of all files than the load allows.
func (r *fileReading) allowed() error {
	most, all := r.load.MaxRejects, r.rows+r.rejected
	if r.rejected == 0 || most.Share > 0 && float64(r.rejected) <= most.Share*float64(all) || most.Share == 0 && r.rejected <= most.Count {
		return nil
	}
	return source.TooMany(r.load, r.load.Path(r.key), r.rejected, all)
}

func openFault(name string, err error) error {
	switch {
	case fault.ClassOf(err) != "":
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fault.Newf(fault.Invalid, "load", name, "put the file there, or check source_files of the config", "the file is missing")
	}
	return fmt.Errorf("open %s: %w", name, err)
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

// createTemp renders the temporary table that stands for a load: its own columns, and those from the names of its files.
func createTemp(load pipeline.Load, columns []pipeline.Column) string {
	list := make([]string, 0, len(columns)+len(load.Parts))
	for _, c := range columns {
		list = append(list, postgres.Ident(c.Name)+" "+c.Type)
	}
	for _, name := range load.Parts {
		if !slices.ContainsFunc(columns, func(c pipeline.Column) bool { return c.Name == name }) {
			list = append(list, postgres.Ident(name)+" text")
		}
	}
	return fmt.Sprintf("CREATE TEMP TABLE %s (%s)", postgres.Ident(load.Name), strings.Join(list, ", "))
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
func copyFault(err error, load pipeline.Load, object string, rows *source.Rows) error {
	if wrong := rows.Err(); wrong != nil {
		return wrong
	}
	if fault.ClassOf(err) != "" {
		return err
	}
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
