package alter

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
	"drawbridge/internal/sqltext"
)

// The names of what an expression is tried on.
const (
	trialTable = "drawbridge_trial"
	trialView  = "drawbridge_trial_view"
)

// examine says of expressions over a table's columns whether they may become a part of it. Authors write them, and later writers' sessions
// run them: so an expression is refused that is not one by itself, that calls anything but what Postgres brings along, or that may give
// another value for the same row. Nothing of it is run: a view shows what it depends on before the server plans anything.
func (t *Tables) examine(ctx context.Context, d migrate.Table, expressions []migrate.Typed) (map[string]migrate.Expression, error) {
	found := map[string]migrate.Expression{}
	for _, e := range expressions {
		x, err := t.examineOne(ctx, d, e)
		if err != nil {
			return nil, err
		}
		found[e.Key()] = x
	}
	return found, nil
}

func (t *Tables) examineOne(ctx context.Context, d migrate.Table, e migrate.Typed) (x migrate.Expression, err error) {
	if why := alone(e.Expression); why != "" {
		return migrate.Expression{Refused: why}, nil
	}
	if e.Of != "" {
		c, there := d.Column(e.Of)
		if !there {
			return migrate.Expression{Refused: "the table has no column " + e.Of}, nil
		}
		e.Type = cmp.Or(e.Type, c.Type)
	}
	for _, name := range []string{e.Type, cmp.Or(e.As, e.Type)} {
		if why := alone(name); why != "" {
			return migrate.Expression{Refused: "its type is none: " + why}, nil
		}
	}
	err = t.tried(ctx, func(tx pgx.Tx) (err error) {
		x, err = t.try(ctx, tx, d, e)
		return err
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && !postgres.Contended(err) && authors(pg.Code) {
		return migrate.Expression{Refused: said(pg)}, nil // it has been run on no row
	}
	return x, err
}

// authors says whether a SQLSTATE is about what was written, and not about the server or our rights.
func authors(state string) bool {
	return state != "42501" && slices.Contains([]string{"0A", "22", "23", "42", "54", "2B"}, state[:2])
}

// said is what the server says of an expression, with its reason where the message has none.
func said(pg *pgconn.PgError) string {
	text := strings.ReplaceAll(strings.ReplaceAll(postgres.Describe(pg), "pg_temp.", ""), trialTable, "the table")
	if pg.Code == "42P17" {
		text += "; a value that depends on the session, such as a time zone or a format, needs a function that is told it"
	}
	return text
}

// tried runs f in a transaction of which nothing stays.
func (t *Tables) tried(ctx context.Context, f func(pgx.Tx) error) error {
	tx, err := t.pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := postgres.Bound(ctx, tx, describeWait); err != nil {
		return err
	}
	return f(tx)
}

// try creates a view and a generated column of the expression, on a copy of the table without rows.
func (t *Tables) try(ctx context.Context, tx pgx.Tx, d migrate.Table, e migrate.Typed) (migrate.Expression, error) {
	none := migrate.Expression{}
	simple := func(sql string) error {
		_, err := tx.Exec(ctx, sql, pgx.QueryExecModeExec) // one statement, whatever the text
		return err
	}
	refuse := func(format string, args ...any) (migrate.Expression, error) {
		return migrate.Expression{Refused: fmt.Sprintf(format, args...)}, nil
	}
	for _, name := range []string{e.Type, cmp.Or(e.As, e.Type)} {
		if why, err := t.plainType(ctx, tx, d, name); err != nil || why != "" {
			return migrate.Expression{Refused: why}, err
		}
	}
	if err := simple(fmt.Sprintf("CREATE TEMP TABLE %s (LIKE %s)", trialTable, t.name(d.Name))); err != nil {
		return none, err
	}
	if e.As != "" {
		if err := simple(fmt.Sprintf("ALTER TABLE pg_temp.%s ALTER COLUMN %s TYPE %s USING NULL", trialTable, postgres.Ident(e.Of), e.As)); err != nil {
			return none, err
		}
	}
	if err := simple(fmt.Sprintf("CREATE TEMP VIEW %s AS SELECT (\n%s\n) AS value FROM pg_temp.%s", trialView, e.Expression, trialTable)); err != nil {
		return none, err
	}
	var x migrate.Expression
	var foreign, generated []string
	if err := tx.QueryRow(ctx, `
		WITH uses AS (
		  SELECT dep.refclassid, dep.refobjid, dep.refobjsubid
		  FROM pg_rewrite r
		  JOIN pg_depend dep ON dep.classid = 'pg_rewrite'::regclass AND dep.objid = r.oid
		  WHERE r.ev_class = ('pg_temp.' || $1)::regclass
		    AND NOT (dep.refclassid = 'pg_class'::regclass AND dep.refobjid = ('pg_temp.' || $1)::regclass)
		),
		trial AS (SELECT attname, attnum FROM pg_attribute WHERE attrelid = ('pg_temp.' || $2)::regclass AND attnum > 0)
		SELECT (SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = ('pg_temp.' || $1)::regclass AND attnum = 1),
		       ARRAY(
		         SELECT c.attname::text
		         FROM uses u
		         JOIN trial c ON c.attnum = u.refobjsubid
		         WHERE u.refclassid = 'pg_class'::regclass AND u.refobjid = ('pg_temp.' || $2)::regclass
		         ORDER BY c.attnum),
		       ARRAY(
		         SELECT DISTINCT i.type || ' ' || i.identity
		         FROM uses u, pg_identify_object(u.refclassid, u.refobjid, 0) i
		         WHERE NOT (u.refclassid = 'pg_class'::regclass AND u.refobjid = ('pg_temp.' || $2)::regclass)
		           AND u.refclassid <> 'pg_collation'::regclass
		           AND NOT (u.refclassid = 'pg_type'::regclass AND EXISTS (
		             SELECT
		             FROM pg_type ty
		             LEFT JOIN pg_type el ON el.oid = ty.typelem AND ty.typcategory = 'A'
		             WHERE ty.oid = u.refobjid AND coalesce(el.typtype, ty.typtype) IN ('b', 'e', 'r', 'm')))
		         ORDER BY 1),
		       ARRAY(
		         SELECT a.attname::text
		         FROM uses u
		         JOIN trial c ON c.attnum = u.refobjsubid
		         JOIN pg_attribute a ON a.attrelid = $3 AND a.attname = c.attname
		         WHERE u.refclassid = 'pg_class'::regclass AND u.refobjid = ('pg_temp.' || $2)::regclass AND a.attgenerated <> ''
		         ORDER BY a.attnum)`, trialView, trialTable, d.OID).Scan(&x.Type, &x.Columns, &foreign, &generated); err != nil {
		return none, fmt.Errorf("look what the expression depends on: %w", err)
	}
	switch {
	case len(foreign) > 0:
		return refuse("it depends on what Postgres does not bring along: %s", strings.Join(foreign, ", "))
	case len(generated) > 0:
		return refuse("it reads the generated column %s, which has no value yet when a row is written", strings.Join(generated, ", "))
	}
	if err := simple(fmt.Sprintf("DROP VIEW pg_temp.%s", trialView)); err != nil {
		return none, err
	}
	if err := simple(fmt.Sprintf("ALTER TABLE pg_temp.%s ADD COLUMN drawbridge_value %s GENERATED ALWAYS AS (\n%s\n) STORED", trialTable, e.Type, e.Expression)); err != nil {
		return none, err
	}
	if err := tx.QueryRow(ctx, `
		SELECT pg_get_expr(d.adbin, d.adrelid)
		FROM pg_attribute a
		JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = ('pg_temp.' || $1)::regclass AND a.attname = 'drawbridge_value'`, trialTable).Scan(&x.Text); err != nil {
		return none, fmt.Errorf("read the expression as the server writes it: %w", err)
	}
	return x, nil
}

// plainType says why a type may not be that of a value; empty: it may.
func (t *Tables) plainType(ctx context.Context, tx pgx.Tx, d migrate.Table, name string) (why string, err error) {
	var known, checked bool
	if err := tx.QueryRow(ctx, `
		SELECT to_regtype($1) IS NOT NULL,
		       EXISTS (
		         SELECT
		         FROM pg_type ty
		         LEFT JOIN pg_type el ON el.oid = ty.typelem AND ty.typcategory = 'A'
		         WHERE ty.oid = to_regtype($1) AND (ty.typtype IN ('d', 'c') OR el.typtype IN ('d', 'c'))
		           AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = $2 AND attnum > 0 AND NOT attisdropped AND atttypid = ty.oid))`,
		name, d.OID).Scan(&known, &checked); err != nil {
		return "", err
	}
	switch {
	case !known:
		return fmt.Sprintf("the server knows no type %s; one that is not its own is written with its schema", name), nil
	case checked:
		return fmt.Sprintf("%s is a domain or a composite type, whose checks would run in every writer's session: take the type below it", name), nil
	}
	return "", nil
}

// alone says why a text would not stay by itself between parentheses, or does more than it shows; empty: it stays.
func alone(text string) string {
	if strings.TrimSpace(text) == "" {
		return "it is empty"
	}
	if strings.ContainsRune(text, 0) {
		return "it holds a zero byte"
	}
	tokens, err := sqltext.Scan(text)
	if err != nil {
		return err.Error()
	}
	var open []string
	for _, k := range tokens {
		if k.Kind == sqltext.Positional || k.Kind == sqltext.Placeholder {
			return "it has a placeholder"
		}
		if k.Kind != sqltext.Punctuation {
			continue
		}
		switch k.Text {
		case ";":
			return "it is more than one expression: there is a semicolon in it"
		case "$":
			return "it has a dollar sign outside a string"
		case "(", "[":
			open = append(open, k.Text)
		case ")", "]":
			if len(open) == 0 || (open[len(open)-1] == "(") != (k.Text == ")") {
				return "its parentheses do not pair"
			}
			open = open[:len(open)-1]
		case ",":
			if len(open) == 0 {
				return "it is more than one expression: there is a comma between them"
			}
		}
	}
	if len(open) > 0 {
		return "its parentheses do not pair"
	}
	if comment(text, tokens) {
		return "it holds a comment, or a string in dollar quotes or with backslashes: write it without"
	}
	return ""
}

// comment says whether a text has a comment, a dollar-quoted string, or one with backslashes, of which the server may see another end: between its
// tokens there are strings in quotes, numbers and blanks only.
func comment(text string, tokens []sqltext.Token) bool {
	at := 0
	for _, k := range append(tokens, sqltext.Token{Start: len(text), End: len(text)}) {
		if unplain(text[at:k.Start]) {
			return true
		}
		at = k.End
	}
	return false
}

func unplain(piece string) bool {
	quoted := false
	for i, c := range []byte(piece) {
		switch {
		case c == '\'':
			if !quoted && i > 0 && (piece[i-1] == 'e' || piece[i-1] == 'E') {
				return true
			}
			quoted = !quoted
		case quoted:
		case c == '$', strings.HasPrefix(piece[i:], "--"), strings.HasPrefix(piece[i:], "/*"):
			return true
		}
	}
	return false
}
