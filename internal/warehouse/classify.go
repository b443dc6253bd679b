package warehouse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/fault"
)

// condition puts a SQLSTATE whose message would repeat a row's values into words; "" for the others.
func condition(state string) string {
	switch state {
	case "22001":
		return "a value is too long for its column"
	case "22003":
		return "a number is out of range for its type"
	case "22004":
		return "a NULL where none is allowed"
	case "22007":
		return "a value is no valid date or time"
	case "22008":
		return "a date or time is out of range"
	case "22012":
		return "division by zero"
	case "22021":
		return "a byte sequence is not valid in the encoding"
	case "22023":
		return "a parameter has an invalid value"
	case "22P02":
		return "a value cannot be read as the type of its column"
	case "22P04":
		return "a line has too few or too many columns"
	case "22P05":
		return "a character cannot be converted between encodings"
	case "23502":
		return "a NULL in a column that takes none"
	case "23503":
		return "a reference to a row that is not there"
	case "23505":
		return "duplicate keys"
	case "23514":
		return "a row violates a check constraint"
	case "23P01":
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
	}
	return "correct the SQL; drawbridge validate shows it without a deployment"
}

// classify turns what the server or the driver said into a fault, or a plain error where another try may work. The
// text keeps the SQLSTATE and never holds a detail, a context or a row's values. An error that is classified already
// passes.
func classify(op, object string, err error) error {
	if err == nil {
		return nil
	}
	if fault.ClassOf(err) != "" || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	where := strings.TrimSpace(op + " " + object)
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
			return fmt.Errorf("%s: the server cannot be reached", where) // the driver's text names user and host
		}
		return fmt.Errorf("%s: %w", where, err)
	}
	reason := errors.New(describe(pg))
	switch class := pg.Code[:2]; {
	case pg.Code == "42501" || class == "28":
		return fault.New(fault.Refused, op, object, "drawbridge setup --env E --print shows the rights that its role needs", reason)
	case pg.Code == "25006":
		return fault.New(fault.Invalid, op, object, "a SELECT of a check must not write", reason)
	case pg.Code == "55000":
		return fault.New(fault.Refused, op, object, "look at what the object is, and who changed it", reason)
	case class == "22" || class == "23" || class == "2B" || class == "42" || class == "0A" || class == "21" || class == "P0" || class == "3F" || class == "3D":
		return fault.New(fault.Invalid, op, object, hint(pg.Code), reason)
	}
	// 40001, 40P01, 55P03, 57014, 57P0x, 08xxx, 53xxx, XX000 and what nobody has met: another attempt decides.
	return fmt.Errorf("%s: %w", where, reason)
}

// describe is the message of a server error without row values.
func describe(pg *pgconn.PgError) string {
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
	return fmt.Sprintf("%s (SQLSTATE %s)", text, pg.Code)
}

// sqlstate is the SQLSTATE in err's chain, or "".
func sqlstate(err error) string {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code
	}
	return ""
}

// contended says that a statement gave up because somebody else holds what it needs: another attempt may get it.
func contended(err error) bool {
	switch sqlstate(err) {
	case "55P03", "40P01", "40001", "57014":
		return true
	}
	return false
}
