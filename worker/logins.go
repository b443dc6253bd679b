package main

import (
	"net/url"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/secret"
)

// logins are the connection strings of one connection, its secrets resolved here and now. They stay in this process.
type logins struct {
	own    string
	author string // empty: authors' SQL runs under our own login
}

// resolve puts a connection's credentials into its own URL, so that none of them is ever sent to another host.
func resolve(r secret.Resolver, c pipeline.Connection) (logins, error) {
	whole, err := r.ResolveDSN(c.URL)
	if err != nil || c.Password == "" && c.Author == nil && c.TLS == (pipeline.TLS{}) {
		return logins{own: whole}, err
	}
	parsed, err := url.Parse(whole)
	if err != nil || parsed.Host == "" {
		// What the parser says repeats the URL, password included.
		return logins{}, fault.Newf(fault.Invalid, "connect by", "the policy's connection",
			"write its url as postgres://user@host:5432/database; in a password that is part of it, percent-encode @, /, :, ?, # and %", "its URL cannot be read")
	}
	query := parsed.Query()
	for name, value := range map[string]string{
		"sslmode": c.TLS.Mode, "sslrootcert": c.TLS.Root, "sslcert": c.TLS.Certificate, "sslkey": c.TLS.Key,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	parsed.RawQuery = query.Encode()
	own, author := *parsed, *parsed
	if c.Password != "" {
		plain, err := r.Resolve(c.Password)
		if err != nil {
			return logins{}, err
		}
		own.User = url.UserPassword(parsed.User.Username(), plain)
	}
	if c.Author == nil {
		return logins{own: own.String()}, nil
	}
	author.User = url.User(c.Author.User)
	if c.Author.Password != "" {
		plain, err := r.Resolve(c.Author.Password)
		if err != nil {
			return logins{}, err
		}
		author.User = url.UserPassword(c.Author.User, plain)
	}
	return logins{own: own.String(), author: author.String()}, nil
}
