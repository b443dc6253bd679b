package console

import (
	"fmt"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ink is text that is written as it is: it was escaped, and perhaps coloured.
type ink string

// longest bounds one text on a screen, in characters. Whole messages are in --json and in the ledger.
const longest = 2000

// escape makes text harmless for a terminal: what is not graphic is written out (\u001b, \u202e), as are bytes that are no
// UTF-8. What is too long is cut.
func escape(text string) ink { return escapeUpTo(text, longest) }

func escapeUpTo(text string, limit int) ink {
	if harmless(text) && utf8.RuneCountInString(text) <= limit {
		return ink(text)
	}
	var b strings.Builder
	n := 0
	for i, r := range text {
		if n++; n > limit {
			b.WriteString("…")
			break
		}
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsGraphic(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return ink(b.String())
}

func harmless(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsGraphic(r) }) < 0
}

// safe makes an argument of a format harmless. Numbers and ink stay; everything else is text.
func safe(arg any) any {
	switch v := arg.(type) {
	case nil:
		return ink("")
	case ink:
		return v
	case error:
		return escape(v.Error())
	case fmt.Stringer:
		return escape(v.String())
	}
	switch v := reflect.ValueOf(arg); v.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64, reflect.Bool:
		return arg
	case reflect.String:
		return escape(v.String())
	default:
		return escape(fmt.Sprint(arg))
	}
}

// inkf formats text. Its arguments are escaped; the format is ours.
func inkf(format string, args ...any) ink {
	safely := make([]any, len(args))
	for i, arg := range args {
		safely[i] = safe(arg)
	}
	return ink(fmt.Sprintf(format, safely...))
}

// shorten cuts text to at most limit characters.
func shorten(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	return string([]rune(text)[:limit-1]) + "…"
}
