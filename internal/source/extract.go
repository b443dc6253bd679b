package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// Connect runs f in a session of its own at the database that a pipeline calls from. A name that the environment's policy lets nobody
// read is fault.Refused; a server that does not answer is fault.Away.
type Connect func(ctx context.Context, from, application string, f func(*postgres.Session) error) error

// Extract is the SELECT of a load at its source, in a transaction that only reads: until that ends, nobody changes the tables that the
// SELECT names.
type Extract struct {
	// Columns are what the SELECT returns, with the types that they have at the source.
	Columns []pipeline.Column
	load    pipeline.Load
	conn    *pgx.Conn
	late    time.Time // when its time is up
	text    string    // of the SELECT, with numbered parameters
	params  []string  // by number
	oids    []uint32  // their types
	types   []string  // what those are called
	binary  bool
}

const (
	// lookTime bounds what is waited for who holds a lock at a source: which columns there are has to be known within seconds.
	lookTime = 10 * time.Second
	// lateGrace is how much later than the source we notice that the time of an extract is up.
	lateGrace = 5 * time.Second
)

// errLate ends an extract whose time is up.
var errLate = errors.New("the time is up")

// Extract settles what a load's SELECT returns at its source, and gives it to f, whose context ends when the load's time is up. The
// SELECT was written by others: it runs under the login that the policy has for such, and nothing that the source says of a row is in
// an error.
func (c Connect) Extract(ctx context.Context, load pipeline.Load, application string, f func(context.Context, *Extract) error) error {
	limit := load.Extract.Timeout
	e := &Extract{load: load, late: time.Now().Add(limit)}
	ctx, cancel := context.WithTimeoutCause(ctx, limit+lateGrace, errLate)
	defer cancel()
	err := c(ctx, load.Extract.From, application, func(s *postgres.Session) error {
		return pgx.BeginTxFunc(ctx, s, postgres.ReadOnly(), func(tx pgx.Tx) error {
			e.conn = tx.Conn()
			if err := e.prepare(ctx, tx); err != nil {
				return err
			}
			return f(ctx, e)
		})
	})
	switch {
	case err == nil || fault.ClassOf(err) != "":
		return err
	case errors.Is(context.Cause(ctx), errLate):
		return e.tooLate()
	case ctx.Err() != nil: // whatever was said of the end of the statement
		return fmt.Errorf("extract %s: %w", load.File, ctx.Err())
	case postgres.SQLState(err) != "":
		return postgres.ClassifyRun("extract", load.File, err)
	}
	return err
}

// Describe says which columns the SELECT of a load returns at its source, within seconds. It reads no row.
func (c Connect) Describe(ctx context.Context, load pipeline.Load, application string) (columns []pipeline.Column, err error) {
	brief, cancel := context.WithTimeout(ctx, 2*lookTime)
	defer cancel()
	err = c.Extract(brief, load, application, func(_ context.Context, e *Extract) error {
		columns = e.Columns
		return nil
	})
	if err != nil && brief.Err() != nil && ctx.Err() == nil && fault.ClassOf(err) == "" {
		return nil, away(load, "it does not answer")
	}
	return columns, err
}

func away(load pipeline.Load, reason string) error {
	return &fault.Away{Server: "the source of " + load.Name + ", " + load.Extract.From, Reason: fault.Unreachable(reason)}
}

func (e *Extract) tooLate() error {
	return fault.Newf(fault.Refused, "extract", e.load.File, "select less, let an index at the source serve the SELECT, or raise the extract's timeout",
		"the source has not given all rows within "+e.load.Extract.Timeout.String())
}

// prepare settles what the SELECT returns, and that it is one statement: the server refuses two.
func (e *Extract) prepare(ctx context.Context, tx pgx.Tx) error {
	// Rows that nobody has changed come in the same order.
	if _, err := tx.Exec(ctx, fmt.Sprintf(`
		SET LOCAL statement_timeout = %[1]d;
		SET LOCAL idle_in_transaction_session_timeout = %[1]d;
		SET LOCAL lock_timeout = %[2]d;
		SET LOCAL synchronize_seqscans = off`,
		min(e.load.Extract.Timeout.Milliseconds(), math.MaxInt32), lookTime.Milliseconds())); err != nil {
		return e.fault(err)
	}
	e.text, e.params = pipeline.Bind(e.load.Extract.SQL)
	prepared, err := e.conn.PgConn().Prepare(ctx, "", e.text, nil)
	if err != nil {
		return e.fault(err)
	}
	var modifiers []int32
	e.oids = prepared.ParamOIDs
	for range e.oids {
		modifiers = append(modifiers, -1)
	}
	oids := slices.Clone(e.oids)
	e.binary = true
	seen := map[string]bool{}
	for i, f := range prepared.Fields {
		if f.Name == "" || f.Name == "?column?" || seen[f.Name] {
			return fault.Newf(fault.Invalid, "extract", e.load.File, "give every column of the SELECT a name of its own (AS name)",
				fmt.Sprintf("column %d has no name of its own (%s)", i+1, f.Name))
		}
		seen[f.Name] = true
		e.binary = e.binary && travelsInBinary(f.DataTypeOID)
		e.Columns = append(e.Columns, pipeline.Column{Name: f.Name})
		oids, modifiers = append(oids, f.DataTypeOID), append(modifiers, f.TypeModifier)
	}
	names, err := e.typeNames(ctx, tx, oids, modifiers)
	if err != nil {
		return err
	}
	e.types = names[:len(e.oids)]
	for i, name := range names[len(e.oids):] {
		e.Columns[i].Type = name
		if !plainType.MatchString(name) {
			return fault.Newf(fault.Invalid, "extract", e.load.File, "cast it in the SELECT to a type that the warehouse has too, such as text",
				fmt.Sprintf("column %s has a type of a name of its own at the source", e.Columns[i].Name))
		}
	}
	return e.holdToColumns(ctx, prepared.Fields)
}

// plainType is what a type may be called at a source to become a type of a table of ours.
var plainType = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_ .]*(\([0-9]+(,-?[0-9]+)?\))?[A-Za-z ]*(\[\])?$`)

func (e *Extract) typeNames(ctx context.Context, tx pgx.Tx, oids []uint32, modifiers []int32) ([]string, error) {
	rows, err := tx.Query(ctx, `
		SELECT pg_catalog.format_type(t.oid, t.modifier)
		FROM unnest($1::pg_catalog.oid[], $2::pg_catalog.int4[]) WITH ORDINALITY AS t (oid, modifier, position)
		ORDER BY t.position`, oids, modifiers)
	if err != nil {
		return nil, postgres.Classify("extract", e.load.File, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(names) != len(oids) {
		err = errors.New("the source does not say what its types are called")
	}
	return names, postgres.Classify("extract", e.load.File, err)
}

// holdToColumns refuses a source that does not have what the load declares.
func (e *Extract) holdToColumns(ctx context.Context, fields []pgconn.FieldDescription) error {
	if len(e.load.Columns) == 0 {
		return nil
	}
	casts := make([]string, len(e.load.Columns))
	for i, c := range e.load.Columns {
		casts[i] = "NULL::" + c.Type
	}
	declared, err := e.conn.PgConn().Prepare(ctx, "", "SELECT "+strings.Join(casts, ", "), nil)
	if err != nil {
		return e.fault(err)
	}
	differs := func(name, reason string) error {
		return fault.Newf(fault.Conflict, "extract", e.load.File+", column "+name,
			"cast it in the SELECT, or declare under columns: of the extract what the source has now", reason)
	}
	for i, c := range e.load.Columns {
		at := slices.IndexFunc(fields, func(f pgconn.FieldDescription) bool { return f.Name == c.Name })
		if at < 0 {
			return differs(c.Name, "the SELECT does not return it")
		}
		want, has := declared.Fields[i], fields[at]
		if want.DataTypeOID != has.DataTypeOID || want.TypeModifier != -1 && want.TypeModifier != has.TypeModifier {
			return differs(c.Name, fmt.Sprintf("it is declared as %s, and the source has %s", c.Type, e.Columns[at].Type))
		}
	}
	return nil
}

// Format is how COPY is to read the rows.
func (e *Extract) Format() string {
	if e.binary {
		return "binary"
	}
	return "text"
}

// CopyInto is the statement that takes the rows into a table of the same columns, with more options.
func (e *Extract) CopyInto(table string, more ...string) string {
	return fmt.Sprintf("COPY %s FROM STDIN (%s)", table, strings.Join(append(more, "FORMAT "+e.Format()), ", "))
}

// Values are those of placeholders: of one by its name and the number of the type that the source has found for it; given is the type
// that the value is of, the same or a wider one that compares with it. No value is NULL.
type Values func(param string, oid uint32) (value []byte, given uint32)

// Copied is what an extract has given.
type Copied struct {
	Rows   int64
	Digest string // of its rows, in whatever order they came
}

// Copy writes the rows to a writer as COPY has them; values are those of the placeholders, each for the type that it has in the SELECT.
// It decodes none, and holds one at a time. Where ctx ends, the source's statement does too.
func (e *Extract) Copy(ctx context.Context, to io.Writer, value Values) (Copied, error) {
	rows := newCopiedRows(to)
	tag, err := e.conn.PgConn().CopyTo(ctx, rows, fmt.Sprintf("COPY (\n%s\n) TO STDOUT (FORMAT %s)", e.bound(value), e.Format()))
	if err != nil {
		if rows.err != nil {
			return Copied{}, rows.err
		}
		return Copied{}, e.fault(err)
	}
	return Copied{Rows: tag.RowsAffected(), Digest: rows.digest(e.Format(), e.Columns)}, rows.to.Flush()
}

// Counts says how many rows there are of each value of an expression over the SELECT's columns, which is text; of NULL, under "".
func (e *Extract) Counts(ctx context.Context, expression string, value Values) (map[string]int64, error) {
	sql := fmt.Sprintf("SELECT coalesce(%s, ''), count(*) FROM (\n%s\n) AS output GROUP BY 1", expression, e.bound(value))
	rows, err := e.conn.Query(ctx, sql)
	if err != nil {
		return nil, e.fault(err)
	}
	counts := map[string]int64{}
	var of string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&of, &n}, func() error {
		counts[of] = n
		return nil
	})
	return counts, e.fault(err)
}

// bound is the SELECT with values in the place of its parameters, which COPY does not take. They are literals of their types, as the
// server would have read them.
func (e *Extract) bound(value Values) string {
	sql, _ := pipeline.Fill(e.load.Extract.SQL, func(i int) string {
		literal, of := "NULL", e.types[i]
		bytes, given := value(e.params[i], e.oids[i])
		if bytes != nil {
			literal = postgres.Literal(string(bytes))
		}
		if given != e.oids[i] {
			of = map[uint32]string{pgtype.Int4OID: "int4", pgtype.Int8OID: "int8"}[given]
			if of == "" {
				of = "numeric"
			}
		}
		return "(" + literal + "::" + of + ")"
	})
	return sql
}

// fault is an error that the source has said. Its text may repeat rows: what survives of it is what it is about.
func (e *Extract) fault(err error) error {
	if err == nil || fault.ClassOf(err) != "" {
		return err
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return postgres.Classify("extract", e.load.File, err)
	}
	object := e.load.File
	if pg.Position > 0 {
		before := []rune(e.text)
		before = before[:min(len(before), int(pg.Position)-1)]
		object = fmt.Sprintf("%s:%d at %s", e.load.Extract.SQLFile, 1+strings.Count(string(before), "\n"), e.load.Extract.From)
	}
	switch {
	case pg.Code == pgerrcode.QueryCanceled && !time.Now().Before(e.late):
		return e.tooLate()
	case pg.Code == pgerrcode.LockNotAvailable:
		return away(e.load, "somebody there holds a lock on what "+e.load.Extract.SQLFile+" reads")
	case pg.Code == pgerrcode.InsufficientPrivilege:
		return fault.Newf(fault.Refused, "extract", object, "ask who keeps "+e.load.Extract.From+" to grant the connection's login SELECT on it", postgres.Describe(pg))
	case pg.Code[:2] == "25": // it writes, or begins or ends transactions
		return fault.Newf(fault.Invalid, "extract", object, "an extract only reads: leave out what does more", postgres.DescribeRun(pg))
	case pg.Code[:2] == "42" || pg.Code == pgerrcode.FeatureNotSupported:
		return postgres.Classify("extract", object, err)
	}
	return postgres.ClassifyRun("extract", object, err)
}
