// Package setup writes the SQL that an administrator runs once per environment. It is pure, so that the CLI, which holds
// no credentials and links no driver, can print it.
package setup

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
)

// Options name a warehouse schema and its four roles. Empty names of roles are the schema's with _migrator, _runner,
// _author and _reader.
type Options struct {
	Schema   string
	Migrator string // owns schemas, tables and ledger; nobody logs in as it
	Runner   string // the worker logs in as it
	Author   string // the worker logs in as it to run the SQL of pipelines
	Reader   string // granted to those who read the published tables
}

// schemaName leaves room for the suffixes of the other schemas within the 63 bytes of an identifier.
var schemaName = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,47}$`)

// longestRole is the length of a Postgres identifier.
const longestRole = 63

// SQL returns one transaction that creates the roles and the schemas of an environment: all of it or nothing. It sets no
// password. Names that Postgres could not hold as they are written are fault.Invalid.
func SQL(o Options) (string, error) {
	if !schemaName.MatchString(o.Schema) || pipeline.TakenSchema(o.Schema) != "" {
		return "", fault.Newf(fault.Invalid, "set up schema", fmt.Sprintf("%q", o.Schema),
			"use lower-case letters, digits and _, at most 48 of them: --schema NAME", "it is no usable schema name")
	}
	o.Migrator, o.Runner = orSuffix(o.Migrator, o.Schema, "_migrator"), orSuffix(o.Runner, o.Schema, "_runner")
	o.Author, o.Reader = orSuffix(o.Author, o.Schema, "_author"), orSuffix(o.Reader, o.Schema, "_reader")
	roles := []string{o.Migrator, o.Runner, o.Author, o.Reader}
	for i, role := range roles {
		if len(role) > longestRole || strings.ContainsAny(role, "$\x00\r\n") || strings.HasPrefix(role, "pg_") {
			return "", fault.Newf(fault.Invalid, "set up role", fmt.Sprintf("%q", role),
				"use at most 63 bytes on one line, without $ and not beginning with pg_", "it is no usable role name")
		}
		if slices.Contains(roles[:i], role) {
			return "", fault.Newf(fault.Invalid, "set up roles of", o.Schema, "name four roles", "two of them are the same")
		}
	}
	return o.sql(), nil
}

func (o Options) sql() string {
	var b strings.Builder
	migrator, runner, author, reader := quote(o.Migrator), quote(o.Runner), quote(o.Author), quote(o.Reader)
	fmt.Fprintf(&b, `-- Drawbridge: roles and schemas of the warehouse schema %[1]s.
-- Run it once, in the warehouse's database, as a role that may create roles and schemas.
BEGIN;

-- The migrator owns the schemas and what is in them. The worker logs in as the runner, which acts as the migrator.
CREATE ROLE %[2]s NOLOGIN;
CREATE ROLE %[3]s LOGIN;
CREATE ROLE %[4]s NOLOGIN;
GRANT %[2]s TO %[3]s;
ALTER ROLE %[3]s SET role = %[2]s;

-- The worker logs in as the author to run what is written in pipelines. It is a member of nothing: it cannot become a role
-- that writes the ledger, and it writes no table but the one that is being built for it.
CREATE ROLE %[7]s LOGIN;

-- A publish waits for readers with older snapshots: it has to see them. On a person's decision it ends what blocks it.
GRANT pg_read_all_stats, pg_signal_backend TO %[2]s, %[3]s;

-- Loads are staged in temporary tables.
DO $$ BEGIN
	EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %%I TO %%I, %%I, %%I', current_database(), %[5]s, %[6]s, %[8]s);
END $$;

`, o.Schema, migrator, runner, reader, literal(o.Migrator), literal(o.Runner), author, literal(o.Author))
	for _, suffix := range []string{"", "__data", "__ledger", "__shadow"} {
		fmt.Fprintf(&b, "CREATE SCHEMA %s AUTHORIZATION %s;\n", quote(o.Schema+suffix), migrator)
	}
	fmt.Fprintf(&b, `
-- Readers see the published tables and nothing else. What pipelines read beside them is to be granted to the author.
GRANT USAGE ON SCHEMA %[1]s TO %[2]s, %[5]s;
GRANT USAGE ON SCHEMA %[7]s TO %[5]s;
ALTER DEFAULT PRIVILEGES FOR ROLE %[3]s IN SCHEMA %[1]s GRANT SELECT ON TABLES TO %[2]s, %[5]s;

COMMIT;

-- Then give the two logins of the worker passwords, in psql: \password %[4]s and \password %[6]s
-- and name both in connections of the environment's policy: url, password and author.
`, quote(o.Schema), reader, migrator, o.Runner, author, o.Author, quote(o.Schema+"__data"))
	return b.String()
}

func orSuffix(name, schema, suffix string) string {
	if name == "" {
		return schema + suffix
	}
	return name
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func literal(text string) string { return `'` + strings.ReplaceAll(text, `'`, `''`) + `'` }
