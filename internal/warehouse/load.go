package warehouse

import (
	"bytes"
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
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/source"
)

// Opener lists the files of a load for a partition; fs.ErrNotExist, here or when one is opened, when there is none.
type Opener func(ctx context.Context, load pipeline.Load, key partition.Key) ([]source.File, error)

// stagedTarget is how closely a staged table is sampled: a third of the server's default, as it is read by the release's
// own SELECTs and then gone.
const stagedTarget = 30

// staged are the files of a load that a run has copied into a table.
type staged struct {
	rows   int64
	digest string // sha256 of their bytes, and of their names where rows or their number depend on those
}

// relation is the table that takes the rows of a load.
type relation struct {
	// create makes the table with its columns.
	create func(columns []pipeline.Column) error
	// alter runs a statement on the table once it is there.
	alter func(sql string) error
	table string // quoted
	more  string // options of COPY
}

// stage copies a load's files into a temporary table of its name, which the session's SQL sees before any table of the
// same name.
func (b *build) stage(ctx context.Context, load pipeline.Load, key partition.Key) (staged, error) {
	var tx pgx.Tx
	exec := func(sql string) error {
		_, err := tx.Exec(ctx, sql)
		return postgres.Classify("load", load.Path(key), err)
	}
	done, err := b.read(ctx, load, key, relation{
		// Created in the COPY's own transaction, so that FREEZE saves the later reads from setting hint bits; and that begins only
		// once a file is open, for which nobody waits in a transaction.
		create: func(columns []pipeline.Column) (err error) {
			if tx, err = b.author.BeginTx(ctx, provisional()); err != nil {
				return postgres.Classify("load", load.Path(key), err)
			}
			return exec(createTemp(load, columns))
		},
		alter: exec, table: "pg_temp." + postgres.Ident(load.Name), more: "FREEZE true, ",
	})
	switch {
	case err == nil:
		err = postgres.Classify("load", load.Path(key), tx.Commit(ctx))
	case tx != nil:
		_ = tx.Rollback(ctx) // the session ends with the build that has failed
	}
	return done, err
}

// read copies the files of a load into a relation, one after another. It streams: memory does not grow with them.
func (b *build) read(ctx context.Context, load pipeline.Load, key partition.Key, into relation) (staged, error) {
	started := time.Now()
	b.progress(Progress{Stage: StageLoad, Load: load.Name})
	files, err := b.spec.Open(ctx, load, key)
	if err != nil {
		return staged{}, openFault(load.Path(key), err)
	}
	reading := fileReading{b: b, load: load, key: key, into: into}
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
	b.progress(Progress{Stage: StageLoad, Done: true, Load: load.Name, RowsOut: reading.rows, Bytes: reading.bytes, Elapsed: time.Since(started)})
	return staged{rows: reading.rows, digest: hex.EncodeToString(digest.Sum(nil))}, nil
}

// fileReading reads the files of a load into one relation.
type fileReading struct {
	b       *build
	load    pipeline.Load
	key     partition.Key
	into    relation
	first   string // the file that the relation was made for
	columns []pipeline.Column
	rows    int64
	bytes   int64
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
	lines := &lineReader{source: text, name: f.Name}
	head, rest, err := source.Header(lines, load, r.key)
	if err != nil {
		return nil, err
	}
	columns, err := source.Columns(load, r.key, head)
	if err != nil {
		return nil, err
	}
	if first {
		r.first, r.columns = f.Name, columns
		err = r.into.create(columns)
	} else {
		err = source.Alike(load, columns, r.first, r.columns)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range load.Parts { // a constant of the file costs nothing while its rows are read
		if err := r.into.alter(fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s", r.into.table, postgres.Ident(name), postgres.Literal(f.Column(name)))); err != nil {
			return nil, err
		}
	}
	tag, err := r.b.author.PgConn().CopyFrom(ctx, rest, copyInto(r.into.table, load, head, r.into.more))
	if err != nil {
		return nil, copyFault(err, lines.err, load, r.key, columns)
	}
	r.rows, r.bytes = r.rows+tag.RowsAffected(), r.bytes+counted.bytes
	return counted.digest, nil
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

// copyInto renders the statement of a load into a table.
func copyInto(table string, load pipeline.Load, head []string, more string) string {
	delimiter, encoding := load.Delimiter, load.Encoding
	if delimiter == "" {
		delimiter = ","
	}
	if encoding == "" {
		encoding = "UTF8"
	}
	return fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT csv, HEADER true, %sDELIMITER %s, ENCODING %s)",
		table, postgres.Idents(head), more, postgres.Literal(delimiter), postgres.Literal(encoding))
}

// copyPlace is how the server says where a COPY met an error; what follows the column's name is the row's value.
var copyPlace = regexp.MustCompile(`(?s)^COPY .*?, line (\d+)(?:, column ("[^"]*"|[^:]+?))?(?::.*)?$`)

// copyFault says which line and column of the file are wrong, and never what stands there.
func copyFault(err, readErr error, load pipeline.Load, key partition.Key, columns []pipeline.Column) error {
	switch {
	case fault.ClassOf(readErr) != "":
		return readErr
	case readErr != nil:
		return fmt.Errorf("read %s: %w", load.Path(key), readErr)
	case fault.ClassOf(err) != "":
		return err
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return postgres.ClassifyRun("load", load.Path(key), err)
	}
	object, hint := load.Path(key), "correct the file, or the load's columns, delimiter or encoding"
	place := copyPlace.FindStringSubmatch(pg.Where)
	if place == nil || pg.Code[:2] != "22" {
		return postgres.ClassifyRun("load", object, err)
	}
	object += ", line " + place[1]
	reason := postgres.DescribeRun(pg)
	name := strings.Trim(place[2], `"`)
	for i, c := range columns {
		switch {
		case c.Name != name:
		case slices.ContainsFunc(load.Columns, func(d pipeline.Column) bool { return d.Name == name }):
			object += ", column " + name
			if pg.Code == pgerrcode.InvalidTextRepresentation {
				reason = fmt.Sprintf("the value is no %s (SQLSTATE %s)", c.Type, pg.Code)
			}
		default:
			object += fmt.Sprintf(", column %d", i+1) // of a header that is none, the name is a value
		}
	}
	return fault.Newf(fault.Invalid, "load", object, hint, reason)
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

// lineReader fails at a line of `\.` alone: servers take it for the end of the data, and drop what follows without a word.
type lineReader struct {
	source io.Reader
	name   string
	err    error // of the source, but for its end
	lines  int
	last   []byte // the last three bytes that have passed
}

func (r *lineReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.source.Read(p)
	if ended := r.ended(p[:n]); ended != nil {
		r.err = ended
		return 0, ended
	}
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// ended says where a line is `\.` alone.
func (r *lineReader) ended(p []byte) error {
	edge := slices.Concat(r.last, p[:min(3, len(p))])
	at, lines := end(edge), r.lines-bytes.Count(r.last, []byte("\n"))
	if at < 0 {
		edge, lines = p, r.lines
		at = end(p)
	}
	if at >= 0 {
		lines += bytes.Count(edge[:at+1], []byte("\n")) + 1
		return fault.Newf(fault.Invalid, "load", fmt.Sprintf("%s, line %d", r.name, lines), `write it as "\." if it is a value, or take the line away`,
			`the line is \. alone: the server would read no further`)
	}
	r.lines += bytes.Count(p, []byte("\n"))
	tail := slices.Concat(r.last, p[max(0, len(p)-3):])
	r.last = tail[max(0, len(tail)-3):]
	return nil
}

// end finds the line break before a line of `\.` alone; -1 where there is none.
func end(p []byte) int {
	for from := 0; ; {
		i := bytes.Index(p[from:], []byte("\n\\."))
		if i < 0 || from+i+3 >= len(p) {
			return -1
		}
		if from += i; p[from+3] == '\n' || p[from+3] == '\r' {
			return from
		}
		from++
	}
}
