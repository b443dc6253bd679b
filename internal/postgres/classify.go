package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/fault"
)

// condition puts a SQLSTATE whose message would repeat a row's values into words; "" for the others.
func condition(state string) string {
	switch state {
	case pgerrcode.StringDataRightTruncationDataException:
		return "a value is too long for its column"
	case pgerrcode.NumericValueOutOfRange:
		return "a number is out of range for its type"
	case pgerrcode.NullValueNotAllowedDataException:
		return "a NULL where none is allowed"
	case pgerrcode.InvalidDatetimeFormat:
		return "a value is no valid date or time"
	case pgerrcode.DatetimeFieldOverflow:
		return "a date or time is out of range"
	case pgerrcode.DivisionByZero:
		return "division by zero"
	case pgerrcode.CharacterNotInRepertoire:
		return "a byte sequence is not valid in the encoding"
	case pgerrcode.InvalidParameterValue:
		return "a parameter has an invalid value"
	case pgerrcode.InvalidTextRepresentation:
		return "a value cannot be read as the type of its column"
	case pgerrcode.BadCopyFileFormat:
		return "a line has too few or too many columns"
	case pgerrcode.UntranslatableCharacter:
		return "a character cannot be converted between encodings"
	case pgerrcode.NotNullViolation:
		return "a NULL in a column that takes none"
	case pgerrcode.ForeignKeyViolation:
		return "a reference to a row that is not there"
	case pgerrcode.UniqueViolation:
		return "duplicate keys"
	case pgerrcode.CheckViolation:
		return "a row violates a check constraint"
	case pgerrcode.ExclusionViolation:
		return "rows exclude each other"
	}
	return ""
}

// hint says what to do next about a SQLSTATE that is the author's to mend.
func hint(state string) string {
	switch state[:2] {
	case "22":
		return "correct the data, or cast it in the SQL"
	case "23":
		return "correct the data, or the key"
	case "2B":
		return "drop or change what depends on it first"
	case "53", "54":
		return "stay within what Postgres can hold: fewer columns, shorter keys, a simpler expression, less to sort"
	}
	return "correct the SQL; drawbridge validate shows it without a deployment"
}

// ClassifyRun is Classify of an error that was raised while rows were read, by SQL that others have written: they, or their
// data, can put anything into a message. The SQLSTATE survives, and a column that is one of the declared names.
func ClassifyRun(op, object string, err error, declared ...string) error {
	return classify(op, object, err, func(pg *pgconn.PgError) string { return DescribeRun(pg, declared...) })
}

// DescribeRun is what ClassifyRun lets survive of a server error.
func DescribeRun(pg *pgconn.PgError, declared ...string) string {
	text := condition(pg.Code)
	if text == "" {
		text = "the SQL failed while it ran"
	}
	if slices.Contains(declared, pg.ColumnName) {
		text += " (column " + pg.ColumnName + ")"
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", text, pg.Code)
}

// Classify turns what the server or the driver said into a fault, or a plain error where another try may work. The
// text keeps the SQLSTATE and never holds a detail, a context or a row's values. An error that is classified already
// passes.
func Classify(op, object string, err error) error { return classify(op, object, err, Describe) }

func classify(op, object string, err error, describe func(*pgconn.PgError) string) error {
	if err == nil || fault.ClassOf(err) != "" {
		return err
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return connectFault(op, object, err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	where := strings.TrimSpace(op + " " + object)
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fmt.Errorf("%s: %w", where, err)
	}
	reason := errors.New(describe(pg))
	switch code := pg.Code; {
	case code == pgerrcode.InsufficientPrivilege || code[:2] == "28":
		return fault.New(fault.Refused, op, object, "see the rights that its role needs: drawbridge setup --env ENV --print", reason)
	case code == pgerrcode.ReadOnlySQLTransaction:
		return fault.New(fault.Invalid, op, object, "a SELECT of a check must not write", reason)
	case code == pgerrcode.ObjectNotInPrerequisiteState:
		return fault.New(fault.Refused, op, object, "look at what the object is, and who changed it", reason)
	case hopeless(code):
		return fault.New(fault.Invalid, op, object, hint(code), reason)
	}
	// 40001, 40P01, 55P03, 57014, 57P0x, 08xxx, 53xxx but for 53400, XX000 and what nobody has met: another attempt decides.
	return fmt.Errorf("%s: %w", where, reason)
}

// hopeless says that no other attempt of the same statement over the same data can do better. It goes by the class, so
// that codes of other versions of the server and of authors' functions count too.
func hopeless(code string) bool {
	switch code[:2] {
	case "0A", // not supported
		"21",       // cardinality
		"22",       // data
		"23",       // integrity
		"2B",       // something depends on it
		"2D", "2F", // what a function must not do
		"38", "39", // what a function in another language does
		"3D", // no such database
		"3F", // no such schema
		"42", // syntax, names, rights
		"44", // a view's check option
		"54", // beyond a limit of Postgres: columns, size of an index row, depth of an expression
		"P0": // raised in PL/pgSQL
		return true
	}
	// temp_file_limit: the same rows need the same space again.
	return code == pgerrcode.ConfigurationLimitExceeded
}

// Describe is the message of a server error without row values.
func Describe(pg *pgconn.PgError) string {
	text := condition(pg.Code)
	ok := text != ""
	switch {
	case ok && pg.Code[:2] == "23" && pg.ConstraintName != "":
		text += " (constraint " + pg.ConstraintName + ")"
	case ok && pg.ColumnName != "":
		text += " (column " + pg.ColumnName + ")"
	case ok:
	case pg.Code[:2] == "22" || pg.Code[:2] == "P0":
		text = "the data does not fit the SQL"
	default:
		text = pg.Message
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", fault.Bound(text), pg.Code)
}

// SQLState is the SQLSTATE in err's chain, or "".
func SQLState(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// ErrContended says that somebody else holds what is needed, where no statement of the server said so.
var ErrContended = errors.New("somebody else changes the same right now")

// Contended says that a statement gave up because somebody else holds what it needs: another attempt may get it.
func Contended(err error) bool {
	if errors.Is(err, ErrContended) {
		return true
	}
	switch SQLState(err) {
	case pgerrcode.LockNotAvailable, pgerrcode.DeadlockDetected, pgerrcode.SerializationFailure, pgerrcode.QueryCanceled:
		return true
	}
	return false
}
