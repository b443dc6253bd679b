package source

import (
	"encoding/binary"
	"math"
	"strconv"
	"strings"
	"time"

	"drawbridge/internal/pipeline"
)

// encoder adds the server's binary form of a value to dst. It refuses what a reader of the column's type refuses: why says it.
type encoder func(dst, text []byte) (out []byte, why string)

// encoderOf is how the values of a column of a type are given in binary; nil: only their text is known.
func encoderOf(typ string, load pipeline.Load, zone *time.Location) encoder {
	name, first, second := typeParts(typ)
	comma := load.Decimal == ","
	switch name {
	case "smallint", "int2":
		return encodeInteger(2, typ)
	case "integer", "int", "int4":
		return encodeInteger(4, typ)
	case "bigint", "int8":
		return encodeInteger(8, typ)
	case "numeric", "decimal", "dec":
		return numeric{typ: typ, precision: first, scale: max(second, 0), comma: comma}.encode
	case "real", "float4":
		return float{typ: typ, bits: 32, sure: 6, comma: comma}.encode
	case "double precision", "float8":
		return float{typ: typ, bits: 64, sure: 15, comma: comma}.encode
	case "boolean", "bool":
		return encodeBoolean
	case "text":
		return func(dst, text []byte) ([]byte, string) { return append(dst, text...), "" }
	case "character varying", "varchar", "character", "char":
		read := readerOf(typ, load, zone)
		return func(dst, text []byte) ([]byte, string) {
			if read != nil {
				if _, why := read(nil, text); why != "" {
					return dst, why
				}
			}
			return append(dst, text...), ""
		}
	case "date":
		return moments{typ: typ, dates: load.Dates, want: dateOnly}.encode
	case "timestamp", "timestamp without time zone":
		return moments{typ: typ, dates: load.Dates, want: localTime, digits: fraction(first)}.encode
	case "timestamptz", "timestamp with time zone":
		return moments{typ: typ, dates: load.Dates, want: instant, digits: fraction(first), zone: zone}.encode
	}
	return nil
}

func encodeInteger(size int, typ string) encoder {
	read := integer(size*8, typ)
	return func(dst, text []byte) ([]byte, string) {
		if _, why := read(nil, text); why != "" {
			return dst, why
		}
		digits := trimmed(text)
		negative := digits[0] == '-'
		if negative || digits[0] == '+' {
			digits = digits[1:]
		}
		var n uint64 // of what fits, also the least
		for _, c := range digits {
			n = n*10 + uint64(c-'0')
		}
		if negative {
			n = -n
		}
		switch size {
		case 2:
			return binary.BigEndian.AppendUint16(dst, uint16(n)), "" //nolint:gosec // it was read as one of this size
		case 4:
			return binary.BigEndian.AppendUint32(dst, uint32(n)), "" //nolint:gosec // it was read as one of this size
		}
		return binary.BigEndian.AppendUint64(dst, n), ""
	}
}

func encodeBoolean(dst, text []byte) ([]byte, string) {
	if _, why := boolean(nil, text); why != "" {
		return dst, why
	}
	switch text[0] {
	case 't', 'T', 'y', 'Y', '1':
		return append(dst, 1), ""
	case 'o', 'O':
		if len(text) == 2 { // on
			return append(dst, 1), ""
		}
	}
	return append(dst, 0), ""
}

func (f float) encode(dst, text []byte) ([]byte, string) {
	text, why := f.read(nil, text)
	if why != "" {
		return dst, why
	}
	value, err := strconv.ParseFloat(string(text), f.bits) // it reads the words that the server writes, too
	if err != nil {
		return dst, "the value is out of the range of " + f.typ
	}
	if f.bits == 32 {
		return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(value))), ""
	}
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(value)), ""
}

// The signs of a number as the server writes them in binary.
const (
	numericPositive = 0x0000
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericInfinite = 0xD000
	numericLeast    = 0xF000
)

// mostDigits is how many digits a number may have that is written in binary; of longer ones only the text is known.
const mostDigits = 1000

const tooManyDigits = "the value has more than a thousand digits: load the column as text, and cast it in the SQL"

// encode writes a number in digits of ten thousand, as the server keeps it.
func (n numeric) encode(dst, text []byte) ([]byte, string) {
	text, why := n.read(nil, text)
	if why != "" {
		return dst, why
	}
	word := func(values ...uint16) {
		for _, v := range values {
			dst = binary.BigEndian.AppendUint16(dst, v)
		}
	}
	switch string(text) {
	case "NaN":
		word(0, 0, numericNaN, 0)
		return dst, ""
	case "Infinity":
		word(0, 0, numericInfinite, 0)
		return dst, ""
	case "-Infinity":
		word(0, 0, numericLeast, 0)
		return dst, ""
	}
	d, _ := parseDecimal(text, false)
	if d.exponent > mostDigits || d.exponent < -mostDigits {
		return dst, tooManyDigits
	}
	var room [64]byte
	digits := append(append(room[:0], d.whole...), d.after...)
	point := len(d.whole) + d.exponent // how many of the digits stand before the point
	for point < 0 {
		digits, point = append([]byte{'0'}, digits...), point+1
	}
	for point > len(digits) {
		digits = append(digits, '0')
	}
	if len(digits) > mostDigits {
		return dst, tooManyDigits
	}
	scale := len(digits) - point // digits after the point
	// Groups of four meet at the point.
	group := func(i int) (value uint16) { // the i-th, from the first digit before the point that is in a group
		for k := range 4 {
			value *= 10
			if at := i + k; at >= 0 && at < len(digits) {
				value += uint16(digits[at] - '0')
			}
		}
		return value
	}
	first := point % 4
	if first > 0 {
		first -= 4
	}
	weight := (point - first) / 4
	var groups [mostDigits/4 + 2]uint16
	count := 0
	for at := first; at < len(digits); at += 4 {
		groups[count] = group(at)
		count++
	}
	begin := 0
	for begin < count && groups[begin] == 0 {
		begin, weight = begin+1, weight-1
	}
	for count > begin && groups[count-1] == 0 {
		count--
	}
	sign := uint16(numericPositive)
	if d.negative && count > begin {
		sign = numericNegative
	}
	if count == begin {
		weight = 1
	}
	word(uint16(count-begin), uint16(int16(weight-1)), sign, uint16(scale)) //nolint:gosec // bounded by mostDigits
	word(groups[begin:count]...)
	return dst, ""
}

// The server counts days and microseconds from the year 2000 on.
const (
	epochDays = 10_957 // from 1970
	dayMicros = 86_400_000_000
)

func (m moments) encode(dst, text []byte) ([]byte, string) {
	if s := string(trimmed(text)); s == "infinity" || s == "-infinity" {
		switch {
		case m.want == dateOnly && s[0] == 'i':
			return binary.BigEndian.AppendUint32(dst, math.MaxInt32), ""
		case m.want == dateOnly:
			return binary.BigEndian.AppendUint32(dst, 1<<31), ""
		case s[0] == 'i':
			return binary.BigEndian.AppendUint64(dst, math.MaxInt64), ""
		}
		return binary.BigEndian.AppendUint64(dst, 1<<63), ""
	}
	at, seconds, why := m.moment(text)
	if why != "" {
		return dst, why
	}
	days := int64(daysOf(at.astronomical(), at.month, at.day) - epochDays)
	if m.want == dateOnly {
		return binary.BigEndian.AppendUint32(dst, uint32(days)), "" //nolint:gosec // the years have a bound
	}
	micros := int64(at.hour*3600+at.minute*60+at.second-seconds) * 1_000_000
	fraction := at.nano
	if len(fraction) > 6 {
		fraction = fraction[:6] // what follows is zeros
	}
	if fraction != "" {
		n, _ := number(fraction + "000000"[:6-len(fraction)])
		micros += int64(n)
	}
	return binary.BigEndian.AppendUint64(dst, uint64(days*dayMicros+micros)), "" //nolint:gosec // two's complement is what the server reads
}

// daysOf counts the days from 1970 to a day of the Gregorian calendar, which has a period of 400 years.
func daysOf(year, month, day int) int {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = (year - 399) / 400
	}
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return era*146_097 + ofEra*365 + ofEra/4 - ofEra/100 + ofYear - 719_468
}

// offsetSeconds is what an offset from UTC says, in seconds to the east.
func offsetSeconds(s string) int {
	s = strings.TrimSpace(s)
	if s == "" || s == "Z" || s == "z" {
		return 0
	}
	digits := strings.ReplaceAll(s[1:], ":", "")
	seconds := 0
	for i, unit := range []int{3600, 60, 1} {
		if len(digits) >= 2*i+2 {
			n, _ := number(digits[2*i : 2*i+2])
			seconds += n * unit
		}
	}
	if s[0] == '-' {
		return -seconds
	}
	return seconds
}
