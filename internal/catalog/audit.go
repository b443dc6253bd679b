package catalog

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/check"
	"drawbridge/internal/gate"
)

// RecordResults stores the audits of generations; a second audit of the same generation replaces the first.
func (l Ledger) RecordResults(ctx context.Context, q Querier, generations []*Generation, results [][]check.Result) error {
	var statements []statement
	for i, g := range generations {
		for _, r := range results[i] {
			statements = append(statements, statement{
				what: fmt.Sprintf("record the checks of generation %d", g.ID), sql: `
					INSERT INTO ledger.check_result (generation, name, kind, severity, outcome, value, threshold, reason, failing, rows)
					VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
					ON CONFLICT (generation, name) DO UPDATE
					SET outcome = excluded.outcome, value = excluded.value, threshold = excluded.threshold,
					    reason = excluded.reason, failing = excluded.failing, rows = excluded.rows`,
				args: []any{g.ID, r.Name, string(r.Kind), string(r.Severity), string(r.Outcome), r.Value, r.Threshold, r.Reason, r.Failing, r.Rows},
			})
		}
	}
	return l.together(ctx, q, statements...)
}

// RecordReads adds to what an output of a release is known to read. Nothing is taken away: another partition may read less.
func (l Ledger) RecordReads(ctx context.Context, q Querier, digest, output string, reads []string) error {
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.read_set (digest, output, reads)
		SELECT $1, $2, r.name FROM unnest($3::text[]) AS r (name)
		ON CONFLICT DO NOTHING`), digest, output, reads); err != nil {
		return fmt.Errorf("record what %s reads: %w", output, err)
	}
	return nil
}

// Results reads the audit of a generation, by name.
func (l Ledger) Results(ctx context.Context, q Querier, generation int64) ([]check.Result, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT name, kind, severity, outcome, value, threshold, reason, failing, rows
		FROM ledger.check_result
		WHERE generation = $1
		ORDER BY name`), generation)
	if err != nil {
		return nil, fmt.Errorf("read checks of generation %d: %w", generation, err)
	}
	results, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r check.Result, err error) {
		err = row.Scan(&r.Name, &r.Kind, &r.Severity, &r.Outcome, &r.Value, &r.Threshold, &r.Reason, &r.Failing, &r.Rows)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("read checks of generation %d: %w", generation, err)
	}
	return results, nil
}

// History reads, per check of an output, the values of its generations that are or were live and that no rollback
// took away, newest first, at most limit generations.
func (l Ledger) History(ctx context.Context, q Querier, output string, limit int) (map[string][]float64, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT r.name, r.value
		FROM (
		  SELECT g.id
		  FROM ledger.generation g
		  WHERE g.output = $1
		    AND (g.state = 'live'
		      OR g.state IN ('retired', 'dropped')
		        AND (SELECT s.id FROM ledger.swap s WHERE s.output = g.output AND s.partition = g.partition AND s.to_generation = g.id LIMIT 1) IS NOT NULL
		        AND (SELECT s.id FROM ledger.swap s WHERE s.output = g.output AND s.partition = g.partition AND s.from_generation = g.id AND s.kind <> 'publish' LIMIT 1) IS NULL)
		  ORDER BY g.id DESC
		  LIMIT `+strconv.Itoa(limit)+` -- as a parameter it would be taken for a tenth of all
		) AS last
		JOIN ledger.check_result r ON r.generation = last.id
		WHERE r.value IS NOT NULL
		ORDER BY last.id DESC`), output)
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", output, err)
	}
	history := map[string][]float64{}
	var name string
	var value float64
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		history[name] = append(history[name], value)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", output, err)
	}
	return history, nil
}

// RecordSamples stores keys of rows under a generation and subject, instead of those that are there.
func (l Ledger) RecordSamples(ctx context.Context, q Querier, generation int64, subject string, keys []string) error {
	if _, err := q.Exec(ctx, l.sql(`DELETE FROM ledger.sample WHERE generation = $1 AND subject = $2`), generation, subject); err != nil {
		return fmt.Errorf("replace samples of generation %d: %w", generation, err)
	}
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.sample (generation, subject, key)
		SELECT $1, $2, unnest($3::text[])`), generation, subject, keys); err != nil {
		return fmt.Errorf("record samples of generation %d: %w", generation, err)
	}
	return nil
}

// SamplesQuery is the statement with which a person reads the samples of a generation, in the warehouse.
func (l Ledger) SamplesQuery(generation int64) string {
	return fmt.Sprintf("SELECT subject, key FROM %s WHERE generation = %d ORDER BY subject, key",
		pgx.Identifier{l.schema, "sample"}.Sanitize(), generation)
}

// ForgetSamples deletes samples older than age, and says how many.
func (l Ledger) ForgetSamples(ctx context.Context, q Querier, age time.Duration) (int64, error) {
	var n int64
	for _, table := range []string{"sample", "migration_sample", "reject"} {
		tag, err := q.Exec(ctx, l.sql(`DELETE FROM ledger.`+table+` WHERE at < now() - make_interval(secs => $1)`), age.Seconds())
		if err != nil {
			return n, fmt.Errorf("forget old samples: %w", err)
		}
		n += tag.RowsAffected()
	}
	return n, nil
}

// RecordAnswers stores what people answered at a gate, one by one. An answer that is there already stays, and none is from
// later than now.
func (l Ledger) RecordAnswers(ctx context.Context, q Querier, owner, digest string, g gate.Gate) error {
	for _, a := range g.Answers {
		if _, err := q.Exec(ctx, l.sql(`
			INSERT INTO ledger.answer (owner, plan, digest, gate, person, choice, reason, asked_by, at, about)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, least($9, clock_timestamp()), $10)
			ON CONFLICT DO NOTHING`), owner, g.Plan, digest, g.Name, a.By, string(a.Choice), a.Reason, g.Requester, a.At, notNil(g.About)); err != nil {
			return fmt.Errorf("record an answer at gate %s: %w", g.Name, err)
		}
	}
	return nil
}

// readAnswers reads what people answered to the deployment of a tenure about its release under its plan, by gate: each as the
// gate that they answered. A tenure without a plan has no answers.
func readAnswers(tenure int64, gates *[]gate.Gate) statement {
	return answered(gates, `JOIN ledger.tenure t ON t.owner = a.owner AND t.plan = a.plan AND t.digest = a.digest
			WHERE t.number = $1 AND t.plan <> ''`, tenure)
}

// readDecisions reads what people answered to a workflow about one of some things.
func readDecisions(owner string, about []string, gates *[]gate.Gate) statement {
	return answered(gates, `WHERE a.owner = $1 AND a.about && $2`, owner, notNil(about))
}

// Decisions reads what people answered to a workflow about one of some things, by gate, in the order of recording.
func (l Ledger) Decisions(ctx context.Context, q Querier, owner string, about ...string) (gates []gate.Gate, err error) {
	err = l.together(ctx, q, readDecisions(owner, about, &gates))
	return gates, err
}

// Said reads everything that people answered to a workflow.
func (l Ledger) Said(ctx context.Context, q Querier, owner string) (gates []gate.Gate, err error) {
	err = l.together(ctx, q, answered(&gates, `WHERE a.owner = $1`, owner))
	return gates, err
}

// answered reads answers by gate, in the order of recording.
func answered(gates *[]gate.Gate, where string, args ...any) statement {
	var a gate.Answer
	var asked string
	var about []string
	return statement{
		what: "read answers", sql: `
			SELECT a.gate, a.plan, a.person, a.choice, a.reason, a.asked_by, a.at, a.about
			FROM ledger.answer a
			` + where + `
			ORDER BY min(a.id) OVER (PARTITION BY a.gate, a.plan), a.id`, args: args,
		into: []any{&a.Gate, &a.Plan, &a.By, &a.Choice, &a.Reason, &asked, &a.At, &about}, each: func() error {
			if n := len(*gates); n == 0 || (*gates)[n-1].Name != a.Gate || (*gates)[n-1].Plan != a.Plan {
				*gates = append(*gates, gate.Gate{Name: a.Gate, Plan: a.Plan, Requester: asked, About: about})
			}
			g := &(*gates)[len(*gates)-1]
			g.Answers = append(g.Answers, a)
			return nil
		},
	}
}

// notNil is a list as an array that is not NULL.
func notNil(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
