package secret

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Finding is a place in a file where something looks like a secret. It never holds the text found there.
type Finding struct {
	Path   string `json:"path"`
	Line   int    `json:"line"`
	Column int    `json:"column"` // in characters, from 1
	Rule   string `json:"rule"`
}

// String returns the finding as path:line:column: rule.
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.Path, f.Line, f.Column, f.Rule)
}

// rule finds one kind of secret in a line. The first group of the pattern, or all of it where it has none, is
// the secret.
type rule struct {
	name string
	// marks are what a line has to contain, in lower case, before the pattern is tried: scanning costs little
	// where there is nothing to find.
	marks   []string
	pattern *regexp.Regexp
	accept  func(file, value string) bool // nil: every match is a finding
}

// Scan looks for secrets in files, which are given by slash-separated path. Findings are ordered by path and
// place; a place is reported once, by the first rule that matches there. References are never findings.
func Scan(files map[string][]byte) []Finding {
	rules := scanRules()
	var findings []Finding
	for _, file := range slices.Sorted(maps.Keys(files)) {
		number := 0
		for line := range bytes.Lines(files[file]) {
			number++
			for _, m := range scanLine(rules, file, bytes.TrimRight(line, "\r\n")) {
				findings = append(findings, Finding{Path: file, Line: number, Column: m.column, Rule: m.rule})
			}
		}
	}
	return findings
}

// match is a secret in a line.
type match struct {
	column int
	rule   string
}

func scanLine(rules []rule, file string, line []byte) []match {
	var (
		lower   = bytes.ToLower(line)
		taken   [][2]int
		matches []match
	)
	for _, r := range rules {
		if !slices.ContainsFunc(r.marks, func(mark string) bool { return bytes.Contains(lower, []byte(mark)) }) {
			continue
		}
		for _, m := range r.pattern.FindAllSubmatchIndex(line, -1) {
			start, end := m[len(m)-2], m[len(m)-1]
			if slices.ContainsFunc(taken, func(t [2]int) bool { return start < t[1] && t[0] < end }) {
				continue
			}
			if r.accept != nil && !r.accept(file, string(line[start:end])) {
				continue
			}
			taken = append(taken, [2]int{start, end})
			matches = append(matches, match{column: utf8.RuneCount(line[:start]) + 1, rule: r.name})
		}
	}
	slices.SortFunc(matches, func(a, b match) int { return cmp.Compare(a.column, b.column) })
	return matches
}

// scanRules returns the rules, the most telling first. Tokens with a fixed shape are found by it; passwords
// have none and are found by the name that they are given.
func scanRules() []rule {
	shape := func(name, marks, pattern string) rule {
		return rule{name: name, marks: strings.Fields(marks), pattern: regexp.MustCompile(pattern)}
	}
	value := func(name, marks, pattern string, accept func(file, value string) bool) rule {
		return rule{name: name, marks: strings.Fields(marks), pattern: regexp.MustCompile(pattern), accept: accept}
	}
	const (
		passwords = "password passwd passphrase pwd"
		tokens    = "secret token key credential"
		password  = `(?i)(?:password|passwd|passphrase|pwd)`
		token     = `(?i)(?:secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)`
		assigned  = `["']?\s*(?::=|=>|=|:)\s*`
	)
	return []rule{
		shape("private-key", "-----begin", `-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----`),
		shape("aws-access-key-id", "akia asia abia acca", `\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}\b`),
		shape("aws-secret-access-key", "aws", `(?i)aws.{0,20}secret.{0,20}?['"=:\s]+([A-Za-z0-9/+]{40})(?:['"\s]|$)`),
		shape("github-token", "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", `\b(?:gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})\b`),
		shape("gitlab-token", "glpat- gldt- glrt- glptt-", `\bgl(?:pat|dt|rt|ptt)-[A-Za-z0-9_-]{20,}`),
		shape("slack-token", "xox", `\bxox[abeoprs]-[A-Za-z0-9-]{10,}`),
		shape("slack-webhook", "hooks.slack.com", `\bhooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9/+]{30,})`),
		shape("google-api-key", "aiza", `\bAIza[0-9A-Za-z_-]{35}`),
		shape("google-oauth-secret", "gocspx-", `\bGOCSPX-[0-9A-Za-z_-]{28}`),
		shape("stripe-key", "k_live_ k_test_", `\b[sr]k_(?:live|test)_[0-9A-Za-z]{16,}`),
		shape("sendgrid-key", "sg.", `\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}`),
		shape("npm-token", "npm_", `\bnpm_[A-Za-z0-9]{36}\b`),
		shape("pypi-token", "pypi-age", `\bpypi-AgE[A-Za-z0-9_-]{50,}`),
		shape("azure-storage-key", "accountkey=", `\bAccountKey=([A-Za-z0-9+/]{86}==)`),
		shape("databricks-token", "dapi", `\bdapi[0-9a-f]{32}\b`),
		shape("vault-token", "hvs. hvb.", `\bhv[sb]\.[A-Za-z0-9_-]{24,}`),
		value("llm-api-key", "sk-", `\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}`, func(_, v string) bool { return entropy(v) > 3.5 }),
		shape("jwt", "eyj", `\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}`),
		value("password-in-url", "://", `\b[A-Za-z][A-Za-z0-9+.-]*://[^\s:/?#@'"]*:([^\s/@'"]+)@`, isWrittenOut),
		value("password-in-dsn", "password=", `(?i)\b(?:host|dbname|user)=\S+\s.*?\bpassword=([^\s'"]+)`, isNoName),
		value("password-in-sql", "password", `(?i)\bpassword\s+'([^']+)'`, isWrittenOut),
		value("password-literal", passwords, password+assigned+`["']([^"']{4,})["']`, isPassword),
		value("password-literal", passwords, password+`\s*[:=]\s*([^\s"',;)]{6,})`, isBarePassword),
		value("secret-literal", tokens, token+assigned+`["']([^"'\s]{16,})["']`, isToken),
		value("secret-literal", tokens, token+`\s*[:=]\s*([^\s"',;)]{16,})`, isBareToken),
	}
}

var (
	uuid    = regexp.MustCompile(`(?i)^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	digest  = regexp.MustCompile(`^sha(?:256|512)[:-]`)
	word    = regexp.MustCompile(`^[A-Za-z_][A-Za-z_.]*$`)
	words   = regexp.MustCompile(`^/?[a-z0-9]+(?:[/_.:-]+[a-z0-9]+)+$`)
	standIn = regexp.MustCompile(`(?i)^(?:x+|\*+|\.+|<.*>|your[_-].*|\[?redacted\]?|\$\{.*|\$[a-z_].*|@[a-z_]+|\{\{.*|%[(s].*)$`)
)

// isWrittenOut tells a password from a reference, a variable of a shell or a template, and a stand-in of
// documentation.
func isWrittenOut(_, value string) bool { return !standIn.MatchString(value) }

func isPassword(file, value string) bool {
	return isWrittenOut(file, value) && !uuid.MatchString(value)
}

// isNoName takes a plain word for a type or a column, such as "password: varchar" or "password=u.password".
func isNoName(file, value string) bool { return isPassword(file, value) && !word.MatchString(value) }

func isBarePassword(file, value string) bool { return holdsPairs(file) && isNoName(file, value) }

// isToken accepts what is random enough to be generated, and is no name, path, UUID or digest.
func isToken(file, value string) bool {
	return isPassword(file, value) && strings.ContainsAny(value, "0123456789") && entropy(value) > 3 &&
		!digest.MatchString(value) && !words.MatchString(value)
}

func isBareToken(file, value string) bool { return holdsPairs(file) && isToken(file, value) }

// holdsPairs reports whether an unquoted value in the file is text. In a program it is an expression, such as
// "token = t.token".
func holdsPairs(file string) bool {
	switch path.Ext(file) {
	case ".yaml", ".yml", ".env", ".ini", ".toml", ".cfg", ".conf", ".properties":
		return true
	}
	return false
}

// entropy is Shannon's, in bits per character: about 2.5 for words, 4 for random hexadecimal, 5 for base64.
func entropy(s string) float64 {
	counts := make(map[rune]int)
	for _, r := range s {
		counts[r]++
	}
	total := float64(utf8.RuneCountInString(s))
	var bits float64
	for _, n := range counts {
		p := float64(n) / total
		bits -= p * math.Log2(p)
	}
	return bits
}
