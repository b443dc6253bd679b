package source

import (
	"bytes"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"drawbridge/internal/pipeline"
)

// reader reads the text of a value for its column's type: it returns the text that the server is to read, which is dst where
// it had to write another. why is what is wrong with it, in words that hold no value.
type reader func(dst, text []byte) (value []byte, why string)

// readerOf is how the values of a column of a type are read: ISO forms only, and nothing that the server would drop or round
// without a word. Of a type that it does not know, nil: the server reads it alone.
func readerOf(typ string, load pipeline.Load, zone *time.Location) reader {
	name, first, second := typeParts(typ)
	switch name {
	case "smallint", "int2":
		return integer(16, typ)
	case "integer", "int", "int4":
		return integer(32, typ)
	case "bigint", "int8":
		return integer(64, typ)
	case "numeric", "decimal", "dec":
		return numeric{typ: typ, precision: first, scale: max(second, 0), comma: load.Decimal == ","}.read
	case "real", "float4":
		return float{typ: typ, bits: 32, sure: 6, comma: load.Decimal == ","}.read
	case "double precision", "float8":
		return float{typ: typ, bits: 64, sure: 15, comma: load.Decimal == ","}.read
	case "float":
		if first > 0 && first <= 24 {
			return float{typ: typ, bits: 32, sure: 6, comma: load.Decimal == ","}.read
		}
		return float{typ: typ, bits: 64, sure: 15, comma: load.Decimal == ","}.read
	case "boolean", "bool":
		return boolean
	case "character varying", "varchar":
		if first >= 0 {
			return atMost(first)
		}
	case "character", "char", "bpchar":
		if first >= 0 || name != "bpchar" {
			return atMost(max(first, 1))
		}
	case "date":
		return moments{typ: typ, dates: load.Dates, want: dateOnly}.read
	case "timestamp", "timestamp without time zone":
		return moments{typ: typ, dates: load.Dates, want: localTime, digits: fraction(first)}.read
	case "timestamptz", "timestamp with time zone":
		return moments{typ: typ, dates: load.Dates, want: instant, digits: fraction(first), zone: zone}.read
	case "time", "time without time zone":
		return clock(fraction(first))
	case "timetz", "time with time zone", "interval", "tsrange", "tstzrange", "daterange":
		return noWords(typ)
	}
	return nil
}

// wholly says that what readerOf lets pass is a value of the type: the server has nothing to refuse.
func wholly(typ string) bool {
	switch name, _, _ := typeParts(typ); name {
	case "text", "character varying", "varchar", "bpchar":
		return true
	case "timetz", "time with time zone", "interval", "tsrange", "tstzrange", "daterange":
		return false
	}
	return readerOf(typ, pipeline.Load{}, nil) != nil
}

// typeForm is a type as people write it: words, and numbers in parentheses after the first one or the last.
var typeForm = regexp.MustCompile(`^([a-z_0-9]+(?: [a-z]+)*?) ?(?:\( ?(\d+) ?(?:, ?(\d+) ?)?\))?((?: [a-z]+)*)$`)

// typeParts takes a type apart; a number that is not there is -1. Of an array or a name that is none of the server's own words
// it gives what stands there.
func typeParts(typ string) (name string, first, second int) {
	text := strings.Join(strings.Fields(strings.ToLower(typ)), " ")
	text = strings.TrimPrefix(text, "pg_catalog.")
	m := typeForm.FindStringSubmatch(text)
	if m == nil {
		return text, -1, -1
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			return -1
		}
		return n
	}
	return m[1] + m[4], number(m[2]), number(m[3])
}

// fraction is how many digits of a second a type of time keeps.
func fraction(declared int) int {
	if declared < 0 || declared > 6 {
		return 6
	}
	return declared
}

// trimmed is a number without the blanks around it, which mean nothing.
func trimmed(text []byte) []byte {
	if n := len(text); n > 0 && text[0] > ' ' && text[n-1] > ' ' {
		return text
	}
	return bytes.Trim(text, " \t")
}

func integer(bits int, typ string) reader {
	return func(_, text []byte) ([]byte, string) {
		digits := trimmed(text)
		if n := len(digits); n > 0 && n < 5 { // fits every integer, if it is one
			for i, c := range digits {
				if (c < '0' || c > '9') && (i > 0 || n == 1 || c != '-' && c != '+') {
					return nil, "the value is no " + typ
				}
			}
			return text, ""
		}
		if _, err := strconv.ParseInt(string(digits), 10, bits); err != nil {
			if whole(digits) {
				return nil, "the value is out of the range of " + typ
			}
			return nil, "the value is no " + typ
		}
		return text, ""
	}
}

// whole says that text is a sign, or none, and digits.
func whole(text []byte) bool {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		text = text[1:]
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(text) > 0
}

// decimal is a number taken apart: its digits before and after the point, and its exponent.
type decimal struct {
	negative     bool
	whole, after []byte
	exponent     int
	point        int // where the point stands in the text, -1: nowhere
}

// parseDecimal reads digits with one point and an exponent; comma says that the point is a comma.
func parseDecimal(text []byte, comma bool) (d decimal, ok bool) {
	point := byte('.')
	if comma {
		point = ','
	}
	d.point = -1
	at := 0
	if at < len(text) && (text[at] == '-' || text[at] == '+') {
		d.negative = text[at] == '-'
		at++
	}
	from := at
	for at < len(text) && text[at] >= '0' && text[at] <= '9' {
		at++
	}
	d.whole = text[from:at]
	if at < len(text) && text[at] == point {
		d.point = at
		at++
		from = at
		for at < len(text) && text[at] >= '0' && text[at] <= '9' {
			at++
		}
		d.after = text[from:at]
	}
	if len(d.whole)+len(d.after) == 0 {
		return d, false
	}
	if at < len(text) && (text[at] == 'e' || text[at] == 'E') {
		n, err := strconv.Atoi(string(text[at+1:]))
		if err != nil || n > 100_000 || n < -100_000 {
			return d, false
		}
		d.exponent, at = n, len(text)
	}
	return d, at == len(text)
}

// size is how many digits stand before the point, without zeros that lead, and how many after it, without zeros that trail.
func (d decimal) size() (before, after int) {
	digits := append(append(make([]byte, 0, len(d.whole)+len(d.after)), d.whole...), d.after...)
	point := len(d.whole) + d.exponent
	last := len(bytes.TrimRight(digits, "0"))
	first := len(digits) - len(bytes.TrimLeft(digits, "0"))
	if last <= first {
		return 0, 0
	}
	return max(0, point-first), max(0, last-point)
}

// dotted is the text with a point where it has a comma.
func (d decimal) dotted(dst, text []byte, comma bool) []byte {
	if !comma || d.point < 0 {
		return text
	}
	dst = append(dst[:0], text...)
	dst[d.point] = '.'
	return dst
}

type numeric struct {
	typ              string
	precision, scale int // a precision of -1 is none
	comma            bool
}

func (n numeric) read(dst, text []byte) ([]byte, string) {
	text = trimmed(text)
	d, ok := parseDecimal(text, n.comma)
	switch {
	case !ok && endless(text) && (n.precision < 0 || text[0] == 'N'):
		return text, ""
	case !ok:
		return nil, noNumber(n.typ, text, n.comma)
	}
	if n.precision >= 0 && (d.exponent != 0 || len(d.after) > n.scale || len(d.whole) > n.precision-n.scale) {
		before, after := d.size()
		if after > n.scale {
			return nil, "the value has more digits after the point than " + n.typ + " keeps: it would be rounded"
		}
		if before > n.precision-n.scale {
			return nil, "the value is out of the range of " + n.typ
		}
	}
	return d.dotted(dst, text, n.comma), ""
}

// endless says that a text is a number that the server writes in words, as it writes it.
func endless(text []byte) bool {
	switch string(text) {
	case "NaN", "Infinity", "-Infinity":
		return true
	}
	return false
}

// noNumber tells a number of another way of writing from what is none.
func noNumber(typ string, text []byte, comma bool) string {
	if _, ok := parseDecimal(text, !comma); ok {
		if comma {
			return "the value has a point, and decimal: \",\" is declared"
		}
		return "the value is no " + typ + ": its decimals follow a comma"
	}
	return "the value is no " + typ
}

type float struct {
	typ   string
	bits  int
	sure  int // so many digits always come back as they were
	comma bool
}

func (f float) read(dst, text []byte) ([]byte, string) {
	text = trimmed(text)
	d, ok := parseDecimal(text, f.comma)
	switch {
	case !ok && endless(text):
		return text, ""
	case !ok:
		return nil, noNumber(f.typ, text, f.comma)
	}
	text = d.dotted(dst, text, f.comma)
	if d.exponent == 0 && len(d.whole)+len(d.after) <= f.sure {
		return text, ""
	}
	value, err := strconv.ParseFloat(string(text), f.bits)
	if err != nil {
		return nil, "the value is out of the range of " + f.typ
	}
	// What the server gives back is the shortest number that is read as the same: it has to be the one that was written.
	shortest, _ := new(big.Rat).SetString(strconv.FormatFloat(value, 'e', -1, f.bits))
	if d.exponent > 400 || d.exponent < -400 {
		return nil, "the value is out of the range of " + f.typ
	}
	written, ok := new(big.Rat).SetString(string(text))
	if !ok || written.Cmp(shortest) != 0 {
		return nil, "the value has more digits than " + f.typ + " keeps: it would be rounded"
	}
	return text, ""
}

// truths are the ways to write a truth that need no guessing.
var truths = map[string]bool{
	"t": true, "f": true, "true": true, "false": true, "y": true, "n": true, "yes": true, "no": true, "on": true, "off": true, "1": true, "0": true,
}

func boolean(_, text []byte) ([]byte, string) {
	if len(text) > 5 || !truths[strings.ToLower(string(text))] {
		return nil, "the value is no boolean: true or false, t or f, yes or no, y or n, on or off, 1 or 0"
	}
	return text, ""
}

// atMost refuses a text that the server would cut: of blanks at the end it says nothing.
func atMost(characters int) reader {
	return func(_, text []byte) ([]byte, string) {
		if len(text) > characters && utf8.RuneCount(text) > characters {
			return nil, "the value is longer than " + strconv.Itoa(characters) + " characters"
		}
		return text, ""
	}
}

// noWords refuses the words that the server reads as a moment which depends on when it reads them, or as one of its own.
func noWords(typ string) reader {
	return func(_, text []byte) ([]byte, string) {
		lower := strings.ToLower(string(text))
		for _, word := range []string{"now", "today", "tomorrow", "yesterday", "epoch", "allballs", "infinity"} {
			if strings.Contains(lower, word) {
				return nil, "the value is no " + typ + ": a word of the server's own is none"
			}
		}
		return text, ""
	}
}
