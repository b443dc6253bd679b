package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// RecordVerdicts writes what a look under a key has found of a tenure, once: what is there already stays.
func (l Ledger) RecordVerdicts(ctx context.Context, q Querier, t release.Tenure, key effect.Key, found []admission.Verdict) error {
	for _, v := range found {
		evidence, err := json.Marshal(v.Evidence)
		if err != nil {
			return fmt.Errorf("encode the evidence of %s: %w", v.Stage, err)
		}
		compared, err := json.Marshal(v.Compared)
		if err != nil {
			return fmt.Errorf("encode what %s compared: %w", v.Stage, err)
		}
		if _, err := q.Exec(ctx, l.sql(`
			INSERT INTO ledger.verdict (effect_key, stage, tenure, owner, plan, round, outcome, reason, evidence, compared, about)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10::text::jsonb, $11)
			ON CONFLICT DO NOTHING`), key.String(), string(v.Stage), t.Number, t.Owner, t.Plan, v.Round, string(v.Outcome), v.Reason,
			string(evidence), string(compared), notNil(v.About)); err != nil {
			return fmt.Errorf("record the verdict of %s under tenure %d: %w", v.Stage, t.Number, err)
		}
	}
	return nil
}

// Verdicts reads what a look under a key has found, by stage; none where there was none.
func (l Ledger) Verdicts(ctx context.Context, q Querier, key effect.Key) (map[admission.Stage]admission.Verdict, error) {
	found := map[admission.Stage]admission.Verdict{}
	err := l.together(ctx, q, verdicts(found, `SELECT v.* FROM ledger.verdict v WHERE v.effect_key = $1`, key.String()))
	return found, err
}

// readVerdicts reads the last verdict of each stage that a tenure's own workflow has found under its plan, without the evidence,
// which may be long.
func readVerdicts(tenure int64, found map[admission.Stage]admission.Verdict) statement {
	return verdicts(found, `
			SELECT DISTINCT ON (v.stage) v.stage, v.round, v.outcome, v.reason, '[]'::jsonb AS evidence, v.compared, v.about
			FROM ledger.verdict v
			JOIN ledger.tenure t ON t.number = v.tenure AND t.owner = v.owner AND t.plan = v.plan
			WHERE v.tenure = $1
			ORDER BY v.stage, v.id DESC`, tenure)
}

func verdicts(found map[admission.Stage]admission.Verdict, from string, args ...any) statement {
	var v admission.Verdict
	var evidence, compared string
	return statement{
		what: "read verdicts", args: args, sql: `
			SELECT w.stage, w.round, w.outcome, w.reason, w.evidence::text, w.compared::text, w.about
			FROM (` + from + `) w`,
		into: []any{&v.Stage, &v.Round, &v.Outcome, &v.Reason, &evidence, &compared, &v.About}, each: func() error {
			read := v
			if err := json.Unmarshal([]byte(evidence), &read.Evidence); err != nil {
				return fmt.Errorf("decode evidence: %w", err)
			}
			if err := json.Unmarshal([]byte(compared), &read.Compared); err != nil {
				return fmt.Errorf("decode what was compared: %w", err)
			}
			found[v.Stage] = read
			return nil
		},
	}
}

// LiveBefore lists the partitions of some outputs that are live, and were published before a tenure was reserved.
func (l Ledger) LiveBefore(ctx context.Context, q Querier, outputs []string, tenure int64) ([]partition.Key, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT DISTINCT v.partition
		FROM ledger.live v
		WHERE v.output = ANY($1) AND v.generation IS NOT NULL
		  AND EXISTS (
		        SELECT
		        FROM ledger.swap s
		        WHERE s.output = v.output AND s.partition = v.partition
		          AND s.at < (SELECT reserved_at FROM ledger.tenure WHERE number = $2))`), outputs, tenure)
	if err != nil {
		return nil, fmt.Errorf("list what was live before tenure %d: %w", tenure, err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowTo[partition.Key])
	if err != nil {
		return nil, fmt.Errorf("list what was live before tenure %d: %w", tenure, err)
	}
	return keys, nil
}

// ForgetVerdicts deletes verdicts older than age that admission asks for no more: their deployment neither crosses nor
// watches.
func (l Ledger) ForgetVerdicts(ctx context.Context, q Querier, age time.Duration) error {
	if _, err := q.Exec(ctx, l.sql(`
		DELETE FROM ledger.verdict v
		WHERE v.at < now() - make_interval(secs => $1)
		  AND NOT EXISTS (
		        SELECT
		        FROM ledger.tenure t
		        LEFT JOIN ledger.crossing c ON c.tenure = t.number
		        WHERE t.number = v.tenure AND (c.tenure IS NOT NULL OR t.watched_until > now()))`), age.Seconds()); err != nil {
		return fmt.Errorf("forget old verdicts: %w", err)
	}
	return nil
}

// Tried reads generations as smoke and canary have to know them; an unknown ID is fault.Invalid.
func (l Ledger) Tried(ctx context.Context, q Querier, ids []int64) (map[int64]generation.Tried, error) {
	found, err := l.Generations(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	tried := make(map[int64]generation.Tried, len(found))
	for id, g := range found {
		tried[id] = g.tried()
	}
	return tried, nil
}

// TriedUnder reads the last generation of an output that was built and audited under a key, whatever became of it since; its ID
// is 0 where there is none.
func (l Ledger) TriedUnder(ctx context.Context, q Querier, key effect.Key, output string) (generation.Tried, error) {
	list, err := l.collect(ctx, q, `SELECT`+generationColumns+`
		FROM ledger.generation g
		WHERE g.effect_key = $1 AND g.output = $2 AND g.audit IS NOT NULL
		ORDER BY g.id DESC
		LIMIT 1`, key.String(), output)
	if err != nil || len(list) == 0 {
		return generation.Tried{}, err
	}
	return list[0].tried(), nil
}

func (g Generation) tried() generation.Tried {
	return generation.Tried{
		Generation: g.Plan(), Config: g.Config, Owner: effect.Owner(g.Owner), Key: g.EffectKey, Tenure: g.Tenure, Control: g.Control,
		Baseline: g.Baseline, Audit: g.Audit, Reason: g.Reason, Seconds: g.Seconds,
	}
}
