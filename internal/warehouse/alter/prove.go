package alter

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// Prove counts in one snapshot of the table the rows of which each proof of the plan does not hold. It locks nothing that anybody waits for. Keys
// of such rows are left in the ledger, under the proof's name, instead of those that were there. beat is called every second.
func (t *Tables) Prove(ctx context.Context, owner effect.Owner, p migrate.Plan, beat func()) ([]migrate.Checked, error) {
	checked, _, err := t.count(ctx, owner, p, p.Proofs, beat)
	return checked, err
}

// count is Prove of some proofs of a plan. mark is what the table's triggers are in the snapshot.
func (t *Tables) count(ctx context.Context, owner effect.Owner, p migrate.Plan, proofs []migrate.Proof, beat func()) (checked []migrate.Checked, mark string, err error) {
	stop := postgres.Beating(beat, longestScan)
	defer stop()
	if len(proofs) == 0 {
		return nil, "", nil
	}
	checked = make([]migrate.Checked, len(proofs))
	keys := map[string][]string{}
	err = pgx.BeginTxFunc(ctx, t.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		facts, err := t.ledger.MigrationFacts(ctx, tx, string(owner))
		if err == nil {
			err = driven(facts, owner)
		}
		if err == nil {
			err = planned(facts, p)
		}
		if err != nil {
			return err
		}
		table, err := t.tableOf(ctx, tx, p)
		if err != nil {
			return err
		}
		if mark, err = triggers(ctx, tx, table); err != nil {
			return err
		}
		return t.prove(ctx, tx, p, proofs, checked, keys)
	})
	if onRow(err) {
		err = fault.New(fault.Refused, "prove", object(p), "correct the data, or the expression in the migration's file, and look again",
			fmt.Errorf("what is proved cannot be said of a row: %w", wordsOf(err)))
	}
	if err == nil {
		err = t.change(ctx, owner, "prove", func(tx pgx.Tx, f catalog.MigrationFacts) error {
			for _, proof := range proofs {
				if err := t.ledger.RecordMigrationSamples(ctx, tx, f.Migration.Owner, proof.Name, keys[proof.Name]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return checked, mark, postgres.Classify("prove", object(p), err)
}

func (t *Tables) prove(ctx context.Context, tx pgx.Tx, p migrate.Plan, proofs []migrate.Proof, checked []migrate.Checked, keys map[string][]string) error {
	if err := bounded(ctx, tx, longestScan); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `SELECT set_config('row_security', 'off', true)`); err != nil {
		return err
	}
	d := migrate.Table{Schema: t.schema, Name: p.Migration.Table}
	if err := t.describe(ctx, tx, &d); err != nil {
		return err
	}
	if err := t.indexes(ctx, tx, &d); err != nil {
		return err
	}
	table, key := "ONLY "+t.name(p.Migration.Table), keyOf(d.Key)
	if d.Kind == migrate.Partitioned {
		table = t.name(p.Migration.Table) // all of its partitions, or generations, in the one snapshot
	}
	if d.Kind == migrate.Partitioned && len(d.Key) == 0 {
		key = placeOf
	}
	var live liveTables
	if p.Given != nil {
		var err error
		if live, err = t.liveTables(ctx, tx, p); err != nil {
			return err
		}
	}
	counts, broken := make([]string, len(proofs)), make([]string, len(proofs))
	var into []any
	for i, proof := range proofs {
		rows := "count(*)"
		broken[i] = proof.Broken
		if len(proof.Given) > 0 {
			about := live.about(proof.Given)
			rows += " FILTER (WHERE " + about + ")"
			broken[i] = "CASE WHEN " + about + " THEN (" + proof.Broken + ") END" // of others nobody asks it
		}
		counts[i] = rows + ", count(*) FILTER (WHERE (" + broken[i] + "))"
		checked[i].Proof = proof.Name
		into = append(into, &checked[i].Rows, &checked[i].Broken)
	}
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT %s FROM %s", strings.Join(counts, ", "), table), pgx.QueryExecModeExec).Scan(into...); err != nil {
		return err
	}
	for i, proof := range proofs {
		if checked[i].Broken == 0 {
			continue
		}
		checked[i].Samples = t.ledger.MigrationSamplesQuery(p.Migration.Table)
		if p.Given != nil {
			var err error
			if checked[i].Again, err = live.again(ctx, tx, p, table, broken[i]); err != nil {
				return err
			}
		}
		found, err := tx.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE (%s) LIMIT %d", key, table, broken[i], sampled), pgx.QueryExecModeExec)
		if err != nil {
			return err
		}
		if keys[proof.Name], err = pgx.CollectRows(found, pgx.RowTo[string]); err != nil {
			return err
		}
	}
	return nil
}
