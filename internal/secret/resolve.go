package secret

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"drawbridge/internal/fault"
)

// Resolver turns references into values, and remembers those, so that they can be taken out of what is said.
type Resolver struct {
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	Known    *Known // nil: nothing is remembered
}

// NewResolver returns a resolver over the environment and the files of this process.
func NewResolver(known *Known) Resolver {
	return Resolver{Getenv: os.Getenv, ReadFile: os.ReadFile, Known: known}
}

// Resolve replaces each reference of a value by what it refers to, without its trailing line break. A secret
// that is missing or empty is an error, never an empty string. A secret's own text is not searched for references.
func (r Resolver) Resolve(value string) (string, error) {
	return r.resolve(value, func(_ int, plain string) string { return plain })
}

// ResolveDSN is Resolve for a connection string. A secret holds the password as it is; here it is escaped for
// the place where it stands (user information or query of a URL, value of a keyword string), so that a
// password with an "@" or a blank in it cannot change the host or the options.
func (r Resolver) ResolveDSN(dsn string) (string, error) {
	parts, err := Parse(dsn)
	if err != nil {
		return "", err
	}
	escape := dsnEscapes(parts)
	return r.resolve(dsn, func(i int, plain string) string { return escape[i](plain) })
}

func (r Resolver) resolve(value string, place func(part int, plain string) string) (string, error) {
	parts, err := Parse(value)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for i, part := range parts {
		if !part.IsRef() {
			out.WriteString(part.Text)
			continue
		}
		plain, err := r.fetch(part.Ref)
		if err != nil {
			return "", err
		}
		out.WriteString(place(i, plain))
	}
	return out.String(), nil
}

func (r Resolver) fetch(ref Ref) (string, error) {
	var plain, hint string
	switch ref.Scheme {
	case SchemeEnv:
		plain, hint = r.Getenv(ref.Name), "set "+ref.Name+" in the environment of the worker and start it again"
	case SchemeFile:
		hint = "put the secret into " + ref.Name + ", readable by the user of the worker"
		content, err := r.ReadFile(ref.Name)
		if err != nil {
			return "", fault.New(fault.Invalid, "resolve secret", ref.String(), hint, fileProblem(err))
		}
		plain = string(content)
	}
	plain = strings.TrimSuffix(strings.TrimSuffix(plain, "\n"), "\r")
	if plain == "" {
		return "", fault.New(fault.Invalid, "resolve secret", ref.String(), hint, errors.New("it is missing or empty"))
	}
	r.Known.add(plain)
	return plain, nil
}

// fileProblem reduces an error of reading a secret to what is known to hold no content.
func fileProblem(err error) error {
	for _, known := range []error{fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(err, known) {
			return known
		}
	}
	return errors.New("the file cannot be read")
}

// dsnEscapes returns, for each part of a connection string, how a value is written in its place.
func dsnEscapes(parts []Part) []func(string) string {
	var (
		plain    = func(s string) string { return s }
		inURL    = func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
		inQuotes = func(s string) string { return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) }
		quoted   = func(s string) string { return "'" + inQuotes(s) + "'" }
	)
	endsWord := func(rest string) bool { return rest == "" || rest[0] == ' ' }
	text, offsets := template(parts)
	dsn := splitDSN(text)
	escapes := make([]func(string) string, len(parts))
	for i, at := range offsets {
		escapes[i] = plain
		switch {
		case dsn.isURL && (at < dsn.userinfoEnd || dsn.query >= 0 && at > dsn.query):
			escapes[i] = inURL
		case dsn.isURL:
		case strings.HasSuffix(text[:at], "='"):
			escapes[i] = inQuotes
		case strings.HasSuffix(text[:at], "=") && endsWord(text[at+len(placeholder):]):
			escapes[i] = quoted
		}
	}
	return escapes
}
