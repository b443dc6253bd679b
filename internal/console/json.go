package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// JSON is a value for programs. It may be read in a terminal all the same, so what is not graphic is escaped as JSON does.
func JSON(value any) (string, error) { return encode(value, "  ") }

// Line is a value for programs, in one line.
func Line(value any) (string, error) { return encode(value, "") }

func encode(value any, indent string) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(value); err != nil {
		return "", fmt.Errorf("encode answer: %w", err)
	}
	// Outside of texts JSON has only graphic characters and line breaks.
	var out strings.Builder
	for _, r := range b.String() {
		switch {
		case r == '\n' || unicode.IsGraphic(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String(), nil
}
