package migrate

import (
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/sqltext"
)

func ownRecipes() []Recipe {
	return []Recipe{{
		Kind: SQL, Since: soundConcurrently, Lock: AccessExclusive, plan: (*planner).own,
		What: "Runs statements of your own, as far as they are about this table alone and write no row: what they do, how that is seen, and how it is undone.",
		How:  "The probe has to be false when the migration begins. The statements run as any other step does; what they lock is measured, and where it is more than `locks` says they are taken back at once. Then the probe has to be true.",
		Undo: "The statements of `undo`; the probe has to be false then.",
	}}
}

// Places are the words that stand for the table in SQL of an author's own, each after an @.
func Places(schema, table string) map[string]string {
	return map[string]string{
		"schema": quote(schema), "table": qualified(schema, table),
		"schema_oid": literal(quote(schema)) + "::pg_catalog.regnamespace", "table_oid": literal(qualified(schema, table)) + "::pg_catalog.regclass",
	}
}

// Placed puts the names of a schema and a table into SQL of an author's own, in the places of @schema, @table, @schema_oid and @table_oid.
func Placed(sql, schema, table string) (string, error) {
	tokens, err := sqltext.Scan(sql)
	if err != nil {
		return "", fmt.Errorf("it is cut off: %w", err)
	}
	places := Places(schema, table)
	var b strings.Builder
	end := 0
	for _, t := range tokens {
		if t.Kind != sqltext.Placeholder {
			continue
		}
		text, known := places[t.Text]
		if !known {
			return "", fmt.Errorf("nothing stands for @%s", t.Text)
		}
		b.WriteString(sql[end:t.Start])
		b.WriteString(text)
		end = t.End
	}
	b.WriteString(sql[end:])
	placed := strings.TrimSpace(b.String())
	if strings.Contains(placed, "--") { // a comment ends with its line, and what comes after the statement is none of it
		placed += "\n"
	}
	return placed, nil
}

// OwnClass is how statements of an author's own are run.
func OwnClass(act []string) Class {
	class := Instant
	for _, sql := range act {
		tokens, err := sqltext.Scan(sql)
		if err != nil {
			continue
		}
		if concurrent(tokens) > 0 {
			return Concurrent
		}
		for _, t := range tokens {
			switch {
			case t.Kind != sqltext.Word:
			case t.Text == "validate" || t.Text == "analyze" || t.Text == "analyse":
				class = Scan
			}
		}
	}
	return class
}

// concurrent is how many tokens a statement begins with that make or drop an index concurrently; 0: it does neither, whatever else it says.
func concurrent(tokens []sqltext.Token) int {
	for _, begin := range [][]string{{"create", "index", "concurrently"}, {"create", "unique", "index", "concurrently"}, {"drop", "index", "concurrently"}} {
		if len(tokens) >= len(begin) && slices.EqualFunc(tokens[:len(begin)], begin, func(t sqltext.Token, word string) bool { return t.Kind == sqltext.Word && t.Text == word }) {
			return len(begin)
		}
	}
	return 0
}

// OwnLocks are what an author may say that statements lock, from the weakest.
func OwnLocks() []string {
	return []string{string(ShareUpdateExclusive), string(ShareRowExclusive), string(AccessExclusive)}
}

// ownIndex is the name of the index that a statement makes concurrently; false: it makes none.
func ownIndex(sql string) (string, bool) {
	tokens, err := sqltext.Scan(sql)
	if err != nil {
		return "", false
	}
	if at := concurrent(tokens); at > 0 && at+1 < len(tokens) && tokens[at+1].Kind == sqltext.Word && tokens[at+1].Text == "on" {
		return tokens[at].Text, true
	}
	return "", false
}

func (p *planner) own(o Operation) {
	placed := func(texts []string) []string {
		var all []string
		for _, text := range texts {
			if sql, err := Placed(text, p.in.Table.Schema, p.in.Table.Name); err == nil { // else it is among the mistakes
				all = append(all, sql)
			}
		}
		return all
	}
	lock := Lock(o.Locks)
	if lock == "" {
		lock = ShareUpdateExclusive
	}
	asked := fmt.Sprintf("coalesce((%s\n), false)", placed([]string{o.Probe})[0])
	s := Step{
		Title: "Run the SQL " + shown(o.Name),
		Act:   placed(o.Act), Probe: probe(asked), Gone: probe(no(asked)), Undo: placed(o.Undo),
		Lock: lock, Class: OwnClass(o.Act), Fresh: true, Own: true,
		Risk: "It is SQL of the author's own: look at what it does, and at what undoes it.",
	}
	if s.Class == Concurrent {
		name, ok := ownIndex(o.Act[0])
		if !ok || len(o.Act) > 1 {
			p.invalid("write CREATE INDEX CONCURRENTLY NAME ON @table (…)", "%s %s has to make one index, and nothing else, where it does that concurrently", o.Kind, shown(o.Name))
			return
		}
		if slices.ContainsFunc(p.in.Table.Indexes, func(i Index) bool { return i.Name == name }) {
			p.invalid("choose another name", "%s has an index %s already", shown(p.in.Table.Name), shown(name))
			return
		}
		half := p.hasIndex(name, "NOT (i.indisvalid AND i.indisready)")
		s.Lock = ShareUpdateExclusive
		s.Half, s.Clean = probe(half), []string{"DROP INDEX CONCURRENTLY IF EXISTS " + qualified(p.in.Table.Schema, name)}
		s.Probe, s.Gone = probe(no(half), asked), probe(no(p.hasIndex(name)), no(asked))
	}
	p.step(Expand, "sql", o.Name, s)
}
