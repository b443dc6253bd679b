package secret

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const redacted = "[redacted]"

var (
	// The password runs to the last "@" before a blank or a quote, so that one with "/" or "@" in it goes whole.
	passwordInURL  = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s:/?#@'"]*:)[^\s'"]+(@)`)
	passwordInPair = regexp.MustCompile(`(?i)(\b(?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|[^\s&'"]+)`)
)

// Redact replaces every occurrence of the secrets in text, also in the escaped forms that they take in URLs.
// Empty secrets are ignored.
func Redact(text string, secrets ...string) string {
	var forms []string
	for _, s := range secrets {
		if s == "" {
			continue
		}
		query := url.QueryEscape(s)
		forms = append(forms, s, query, strings.ReplaceAll(query, "+", "%20"), url.PathEscape(s), url.UserPassword("", s).String()[1:])
	}
	// Longest first: a secret that is part of another must not leave the other's rest readable.
	slices.SortFunc(forms, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	for _, form := range forms {
		text = strings.ReplaceAll(text, form, redacted)
	}
	return text
}

// RedactURL replaces the passwords in all connection strings of a text, URLs and keyword strings. References
// to secrets are not secret, yet are replaced too.
func RedactURL(text string) string {
	text = passwordInURL.ReplaceAllString(text, "${1}"+redacted+"${2}")
	return passwordInPair.ReplaceAllString(text, "${1}"+redacted)
}
