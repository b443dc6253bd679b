package secret_test

import (
	"io/fs"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/fault"
	"drawbridge/internal/secret"
)

func TestParse(t *testing.T) {
	t.Parallel()
	parts, err := secret.Parse("postgres://etl:${env:DRAWBRIDGE_SECRET_PW}@${file:/run/secrets/host}/db")
	require.NoError(t, err)
	require.Equal(t, []secret.Part{
		{Text: "postgres://etl:"},
		{Ref: secret.Ref{Scheme: "env", Name: "DRAWBRIDGE_SECRET_PW"}},
		{Text: "@"},
		{Ref: secret.Ref{Scheme: "file", Name: "/run/secrets/host"}},
		{Text: "/db"},
	}, parts)

	parts, err = secret.Parse("")
	require.NoError(t, err)
	require.Empty(t, parts)

	parts, err = secret.Parse("cost in $ and {braces}")
	require.NoError(t, err)
	require.Equal(t, []secret.Part{{Text: "cost in $ and {braces}"}}, parts)
}

func TestParseRefusesWhatOnlyLooksLikeAReference(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		value, says string
	}{
		"no closing brace":     {"s3cret ${env:NAME", "at column 8: the reference has no closing brace"},
		"no scheme":            {"${NAME}", "did you mean ${env:NAME}?"},
		"text in braces":       {"${s3cret text}", "names no scheme"},
		"unknown scheme":       {"${vault:s3cret}", "neither env nor file"},
		"no name":              {"${env:}", "names nothing"},
		"no variable name":     {"${env:s3cret-x y}", "does not name an environment variable"},
		"reference in another": {"${env:${env:NAME}}", "does not name an environment variable"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := secret.Parse(tt.value)
			require.Equal(t, fault.Invalid, fault.ClassOf(err))
			require.ErrorContains(t, err, tt.says)
			require.NotContains(t, err.Error(), "s3cret")
			require.NotEmpty(t, fault.HintOf(err))
		})
	}
}

func TestLiteralPassword(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"postgres://etl:hunter2@db/warehouse":                          true,
		"postgres://etl:p@ss@db/warehouse":                             true,
		"postgres://etl:p/ss@db/warehouse":                             true,
		"postgres://etl:p?ss@db/warehouse":                             true,
		"postgres://etl:x${env:DRAWBRIDGE_SECRET_PW}@db/warehouse":     true,
		"postgres://etl@db/warehouse?password=hunter2":                 true,
		"postgres://etl@db/warehouse?sslmode=require&Password=hunter2": true,
		"host=db user=etl password=hunter2":                            true,
		"host=db password = 'hunter 2'":                                true,
		"password='${env:A}x'":                                         true,
		"postgres://etl:${env:DRAWBRIDGE_SECRET_PW}@db/warehouse":      false,
		"postgres://etl:${file:/run/secrets/a@b}@db/warehouse":         false,
		"postgres://etl@db:5432/warehouse":                             false,
		"postgres://etl:@db/warehouse":                                 false,
		"postgres://db:5432/warehouse?application_name=a":              false,
		"postgres://db/warehouse?password=${env:A}":                    false,
		"host=db user=etl password=${env:A}":                           false,
		"host=db password='${env:A}' dbname=x":                         false,
		"host=db user=etl passfile=/home/etl/.pgpass":                  false,
		"${env:DRAWBRIDGE_SECRET_DSN}":                                 false,
		"":                                                             false,
	}
	for value, want := range tests {
		require.Equal(t, want, secret.LiteralPassword(value), value)
	}
}

func resolver(env, files map[string]string) secret.Resolver {
	return secret.Resolver{
		Getenv: func(name string) string { return env[name] },
		ReadFile: func(name string) ([]byte, error) {
			content, ok := files[name]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			return []byte(content), nil
		},
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	r := resolver(
		map[string]string{"DRAWBRIDGE_SECRET_A": "${env:DRAWBRIDGE_SECRET_B}", "DRAWBRIDGE_SECRET_B": "b", "HOME": "/root"},
		map[string]string{"/run/secrets/lf": "one\n", "/run/secrets/crlf": "two\r\n", "/run/secrets/blank": "\n", "/run/secrets/inner": " a\nb \n"},
	)
	resolved := map[string]string{
		"":                             "",
		"no reference":                 "no reference",
		"<${env:DRAWBRIDGE_SECRET_B}>": "<b>",
		"${file:/run/secrets/lf}|${file:/run/secrets/crlf}": "one|two",
		"${file:/run/secrets/inner}":                        " a\nb ",
		"${env:DRAWBRIDGE_SECRET_A}":                        "${env:DRAWBRIDGE_SECRET_B}", // values are not resolved again
	}
	for value, want := range resolved {
		got, err := r.Resolve(value)
		require.NoError(t, err, value)
		require.Equal(t, want, got)
	}
	refused := map[string]fault.Class{
		"${env:DRAWBRIDGE_SECRET_NONE}": fault.Invalid,
		"${file:/run/secrets/none}":     fault.Invalid,
		"${file:/run/secrets/blank}":    fault.Invalid,
	}
	for value, class := range refused {
		_, err := r.Resolve(value)
		require.Equal(t, class, fault.ClassOf(err), value)
		require.ErrorContains(t, err, value)
		require.NotEmpty(t, fault.HintOf(err), value)
	}
}

func TestResolveDSNKeepsASecretInItsPlace(t *testing.T) {
	t.Parallel()
	const password = `p@ss/w?rd 'x\ &host=evil#%41+`
	r := resolver(map[string]string{"DRAWBRIDGE_SECRET_PW": password, "DRAWBRIDGE_SECRET_HOST": "db.local"}, nil)
	templates := []string{
		"postgres://etl:${env:DRAWBRIDGE_SECRET_PW}@db.local:5432/warehouse",
		"postgres://etl:${env:DRAWBRIDGE_SECRET_PW}@${env:DRAWBRIDGE_SECRET_HOST}:5432/warehouse",
		"postgres://etl@db.local:5432/warehouse?password=${env:DRAWBRIDGE_SECRET_PW}",
		"host=db.local port=5432 user=etl dbname=warehouse password=${env:DRAWBRIDGE_SECRET_PW}",
		"password='${env:DRAWBRIDGE_SECRET_PW}' host=${env:DRAWBRIDGE_SECRET_HOST} port=5432 user=etl dbname=warehouse",
	}
	for _, template := range templates {
		dsn, err := r.ResolveDSN(template)
		require.NoError(t, err, template)
		config, err := pgconn.ParseConfig(dsn)
		require.NoError(t, err, template)
		require.Equal(t, password, config.Password, template)
		require.Equal(t, []string{"db.local", "etl", "warehouse"}, []string{config.Host, config.User, config.Database}, template)
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	const password = "p@ss w/rd"
	text := "dial " + password + " " + url.QueryEscape(password) + " " + (&url.URL{User: url.UserPassword("etl", password)}).String()
	require.NotContains(t, secret.Redact(text, password), "rd")
	require.Equal(t, "a [redacted] [redacted]!", secret.Redact("a secret secretive!", "secret", "", "secretive"))
	require.Equal(t, "unchanged", secret.Redact("unchanged"))
}

func TestRedactURL(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"dial postgres://etl:p@s/s@db/x failed": "dial postgres://etl:[redacted]@db/x failed",
		`"host=db password=hunter2 user=etl"`:   `"host=db password=[redacted] user=etl"`,
		"password='a b' user=etl":               "password=[redacted] user=etl",
		"postgres://db/x?password=p&user=etl":   "postgres://db/x?password=[redacted]&user=etl",
		"postgres://etl@db:5432/x":              "postgres://etl@db:5432/x",
		"nothing to see":                        "nothing to see",
	}
	for text, want := range tests {
		require.Equal(t, want, secret.RedactURL(text))
	}
}

func TestKnownTakesOutWhatWasResolved(t *testing.T) {
	t.Parallel()
	known := &secret.Known{}
	r := resolver(map[string]string{"PW": "hunter2-S3cret", "URL": "postgres://etl:p%40ss-word@db/warehouse", "A": "a"}, nil)
	r.Known = known
	for _, reference := range []string{"${env:PW}", "${env:URL}", "${env:A}"} {
		_, err := r.Resolve(reference)
		require.NoError(t, err)
	}
	got := known.Redact("user hunter2-S3cret of postgres://etl:p%40ss-word@db/warehouse says p@ss-word, a word; password=other host=h")
	require.Equal(t, "user [redacted] of [redacted] says [redacted], a word; password=[redacted] host=h", got)
}
