package warehouse

import (
	"context"
	"maps"
	"slices"
	"strings"

	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/sqltext"
)

// traceless says that what a build runs can leave nothing in its session that would reach what runs there next. DISCARD ALL takes away
// all but what no statement can: settings of the author's own stay, as empty ones, so does the seed of random(), and extensions keep
// what they like. So a session is kept only where the texts name no function that changes anything, none that is not the server's own,
// nothing that may call one (a view, a table with row security, a type), and where nobody has made an operator or a cast that could.
// A name that means something else costs a new session.
func (w *Warehouse) traceless(ctx context.Context, p *pipeline.Pipeline, outputs []pipeline.Output) (bool, error) {
	names := map[string]bool{}
	add := func(text string) { maps.Copy(names, sqltext.Identifiers(text)) }
	var texts []string
	for _, o := range outputs {
		texts = append(texts, o.SQL)
		for _, c := range o.Checks {
			texts = append(texts, c.SQL)
		}
		for _, load := range o.Loads(p.Loads) {
			if load.Extract != nil {
				return false, nil // its source says what its types are
			}
			for _, c := range load.Columns {
				texts = append(texts, c.Type)
			}
		}
	}
	for _, text := range texts {
		if strings.Contains(strings.ToUpper(text), `U&"`) { // a name in disguise
			return false, nil
		}
		add(text)
	}
	var none bool
	err := w.pool.QueryRow(ctx, `
		SELECT NOT EXISTS (SELECT FROM pg_proc WHERE proname = ANY($1) AND (provolatile = 'v' OR pronamespace <> 'pg_catalog'::regnamespace))
		   AND NOT EXISTS (
		     SELECT
		     FROM pg_class
		     WHERE relname = ANY($1) AND (relkind IN ('v', 'f') AND relpersistence <> 't' AND relnamespace <> 'pg_catalog'::regnamespace OR relrowsecurity))
		   AND NOT EXISTS (SELECT FROM pg_type WHERE typname = ANY($1) AND typtype IN ('b', 'd') AND typelem = 0 AND oid >= 16384)
		   AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_operator'::regclass AND objid = o.oid AND deptype = 'e'))
		   AND NOT EXISTS (SELECT FROM pg_cast c WHERE c.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_cast'::regclass AND objid = c.oid AND deptype = 'e'))`,
		slices.Collect(maps.Keys(names))).Scan(&none)
	return none, postgres.Classify("look at the SQL of", p.Name, err)
}

// author names who wrote the SQL of a build, so that nobody else meets its session; empty where the session is not to be kept.
func (w *Warehouse) author(ctx context.Context, spec BuildSpec, outputs []pipeline.Output) (string, error) {
	none, err := w.traceless(ctx, spec.Pipeline, outputs)
	if err != nil || !none {
		return "", err
	}
	return spec.Release.Digest + " " + spec.Config + " " + string(spec.Key.Owner), nil
}
