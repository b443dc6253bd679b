package secret

import (
	"regexp"
	"strings"
)

// placeholder stands for a reference in a template: one byte that no connection string contains.
const placeholder = "\x00"

var (
	urlScheme     = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	queryPassword = regexp.MustCompile(`(?i)[?&](?:ssl)?password=([^&#]*)`)
	wordPassword  = regexp.MustCompile(`(?i)(?:^|\s)(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'?|\S*)`)
)

// dsnShape says where the parts of a connection URL are, as byte offsets.
type dsnShape struct {
	isURL       bool
	userinfo    int // where the user information starts
	userinfoEnd int // the offset of its "@", or 0 where there is none
	query       int // the offset of "?", or -1
}

func splitDSN(text string) dsnShape {
	start := len(urlScheme.FindString(text))
	shape := dsnShape{isURL: start > 0, userinfo: start, query: -1}
	if !shape.isURL {
		return shape
	}
	head := text
	if i := strings.IndexByte(text, '?'); i >= 0 {
		shape.query = i
		head = text[:i]
	}
	// The last "@", not the first one of the authority: a password with a raw "/" or "@" in it is still found.
	// With none before the query, the "?" itself may belong to a password.
	at := strings.LastIndexByte(head, '@')
	if at < 0 {
		at = strings.LastIndexByte(text, '@')
	}
	shape.userinfoEnd = max(at, 0)
	return shape
}

// LiteralPassword reports whether a connection string, URL or keywords, has a password that is not entirely
// made of references. A value that does not parse counts as having one.
func LiteralPassword(value string) bool {
	parts, err := Parse(value)
	return err != nil || literalPassword(parts)
}

func literalPassword(parts []Part) bool {
	text, _ := template(parts)
	dsn := splitDSN(text)
	if !dsn.isURL {
		for _, m := range wordPassword.FindAllStringSubmatch(text, -1) {
			if isLiteral(strings.Trim(m[1], "'")) {
				return true
			}
		}
		return false
	}
	if dsn.userinfoEnd > 0 {
		_, password, _ := strings.Cut(text[dsn.userinfo:dsn.userinfoEnd], ":")
		if isLiteral(password) {
			return true
		}
	}
	for _, m := range queryPassword.FindAllStringSubmatch(text, -1) {
		if isLiteral(m[1]) {
			return true
		}
	}
	return false
}

func isLiteral(password string) bool { return strings.Trim(password, placeholder) != "" }

// template joins parts with a placeholder for each reference, and returns where each part starts.
func template(parts []Part) (string, []int) {
	var out strings.Builder
	offsets := make([]int, len(parts))
	for i, part := range parts {
		offsets[i] = out.Len()
		if part.IsRef() {
			out.WriteString(placeholder)
		} else {
			out.WriteString(part.Text)
		}
	}
	return out.String(), offsets
}
