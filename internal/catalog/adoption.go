package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/release"
)

// Adoption is a table that was there before and is an output now.
type Adoption struct {
	Output     string           `db:"output"`
	Pipeline   string           `db:"pipeline"`
	Generation int64            `db:"generation"` // that it became; 0: it is the legacy partition
	Scheme     partition.Scheme `db:"scheme"`
	First      partition.Key    `db:"first"`     // after the legacy partition
	KeyIndex   string           `db:"key_index"` // that was made for it; empty: none
	Owner      string           `db:"owner"`
	By         string           `db:"asked_by"`
	Reason     string           `db:"reason"`
}

// knowsAdoptions says that the ledger is there, and that a program has brought it forward that knows of adoptions.
func (l Ledger) knowsAdoptions(ctx context.Context, q Querier) (knows bool, err error) {
	if err := q.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, pgx.Identifier{l.schema, "adoption"}.Sanitize()).Scan(&knows); err != nil {
		return false, fmt.Errorf("look for the ledger: %w", err)
	}
	return knows, nil
}

// Adoptions lists those of outputs that were adopted, by output.
func (l Ledger) Adoptions(ctx context.Context, q Querier, outputs []string) (map[string]Adoption, error) {
	if knows, err := l.knowsAdoptions(ctx, q); err != nil || !knows {
		return nil, err
	}
	rows, err := q.Query(ctx, l.sql(`
		SELECT output, pipeline, coalesce(generation, 0) AS generation, scheme, first, key_index, owner, asked_by, reason
		FROM ledger.adoption
		WHERE output = ANY($1)`), outputs)
	if err != nil {
		return nil, fmt.Errorf("look for adopted tables: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Adoption])
	if err != nil {
		return nil, fmt.Errorf("look for adopted tables: %w", err)
	}
	found := map[string]Adoption{}
	for _, a := range list {
		found[a.Output] = a
	}
	return found, nil
}

// FirstAfterLegacy is the first partition of an output that is not in its legacy partition; empty: it has none.
func (l Ledger) FirstAfterLegacy(ctx context.Context, q Querier, output string) (first partition.Key, err error) {
	err = q.QueryRow(ctx, l.sql(`SELECT first FROM ledger.adoption WHERE output = $1`), output).Scan(&first)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look for the legacy partition of %s: %w", output, err)
	}
	return first, nil
}

// EnterAdoption records that a table became an output, and claims the output for its pipeline; one of another pipeline is fault.Refused.
func (l Ledger) EnterAdoption(ctx context.Context, q Querier, a Adoption) error {
	scheme, err := json.Marshal(a.Scheme)
	if err != nil {
		return fmt.Errorf("encode the scheme of %s: %w", a.Output, err)
	}
	owners := map[string]string{}
	if err := l.together(ctx, q, claimOutputs(a.Pipeline, []string{a.Output}), readOwners([]string{a.Output}, owners)); err != nil {
		return err
	}
	if err := owned(a.Pipeline, []string{a.Output}, owners); err != nil {
		return err
	}
	generation := &a.Generation
	if a.Generation == 0 {
		generation = nil
	}
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.adoption (output, pipeline, generation, scheme, first, key_index, owner, asked_by, reason)
		VALUES ($1, $2, $3, $4::text::jsonb, $5, $6, $7, $8, $9)`),
		a.Output, a.Pipeline, generation, string(scheme), string(a.First), a.KeyIndex, a.Owner, a.By, a.Reason); err != nil {
		return fmt.Errorf("record the adoption of %s: %w", a.Output, err)
	}
	return nil
}

// EnterAdopted enters an adopted table as a generation of an output that is one partition, live from now on under a tenure of its own,
// which is never active, and sets its ID. Child, ChildOwner, Columns, Scheme, Fence, EffectKey and Owner are given.
func (l Ledger) EnterAdopted(ctx context.Context, tx pgx.Tx, g *Generation, by, reason string) error {
	t := release.Tenure{Release: g.Release(), Config: g.Config, Kind: release.ByAdoption, Owner: g.Owner, By: by, Reason: reason}
	if err := l.ReserveTenure(ctx, tx, &t); err != nil {
		return err
	}
	g.Tenure = t.Number
	columns, err := json.Marshal(g.Columns)
	if err != nil {
		return fmt.Errorf("encode the columns of %s: %w", g.Output, err)
	}
	scheme, err := json.Marshal(g.Scheme)
	if err != nil {
		return fmt.Errorf("encode the scheme of %s: %w", g.Output, err)
	}
	err = l.together(ctx, tx, statement{
		what: "enter the adopted generation of " + g.Output, into: []any{&g.ID}, sql: `
			INSERT INTO ledger.generation
			  (output, partition, state, pipeline, version, digest, config, owner_key, tenure, replaced, effect_key, control, fence, application,
			   backend_pid, backend_start, moment, scheme, lower, upper, child, owner, columns, audit, built_xid, listed_at, built_at)
			SELECT @output, @partition, 'live', @pipeline, @version, '', '', @owner_key, @tenure, 0, @effect_key, false, @fence::text::uuid, @application,
			       pid, backend_start, now(), @scheme::text::jsonb, '', '', @child, @owner, @columns::text::jsonb, 'pass', pg_current_xact_id(), now(), now()
			FROM pg_stat_activity
			WHERE pid = pg_backend_pid()
			RETURNING id`,
		args: []any{pgx.NamedArgs{
			"output": g.Output, "partition": g.Partition, "pipeline": g.Pipeline, "version": g.Version, "owner_key": g.Owner, "tenure": g.Tenure,
			"effect_key": g.EffectKey, "fence": g.Fence, "application": g.Application, "scheme": string(scheme), "child": g.Child, "owner": g.ChildOwner,
			"columns": string(columns),
		}},
	})
	if err != nil {
		return err
	}
	return l.together(ctx, tx,
		statement{
			what: "make the adopted generation live", args: []any{g.Output, string(g.Partition), g.ID, g.Tenure}, sql: `
				INSERT INTO ledger.live (output, partition, generation, tenure)
				VALUES ($1, $2, $3, $4)
				ON CONFLICT (output, partition) DO UPDATE
				SET generation = excluded.generation, tenure = excluded.tenure`,
		},
		statement{
			what: "record the adoption", args: []any{g.Tenure, g.Owner, g.EffectKey, string(Adopt), by, reason, g.Output, string(g.Partition), g.ID}, sql: `
				INSERT INTO ledger.swap (tenure, owner, effect_key, kind, asked_by, reason, output, partition, to_generation)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		})
}

// SumAdopted records the rows and the checksum of an adopted generation, which nobody can write any more.
func (l Ledger) SumAdopted(ctx context.Context, q Querier, id, rows int64, checksum string) error {
	if _, err := q.Exec(ctx, l.sql(`
		UPDATE ledger.generation
		SET rows = $2, checksum = $3::text::numeric
		WHERE id = $1`), id, rows, checksum); err != nil {
		return fmt.Errorf("record the rows of generation %d: %w", id, err)
	}
	return nil
}

// LeaveAdoption forgets an adoption whose table is given back. What it became is live no more, and dropped as far as the ledger goes;
// what was built since and retired cannot go live again. Where nothing was, the output is nobody's again.
func (l Ledger) LeaveAdoption(ctx context.Context, q Querier, a Adoption, key, by, reason string) error {
	statements := []statement{{
		what: "forget the adoption of " + a.Output, args: []any{a.Output}, sql: `DELETE FROM ledger.adoption WHERE output = $1`,
	}, {
		what: "give up what was built of " + a.Output, args: []any{a.Output, a.Generation}, sql: `
			UPDATE ledger.generation
			SET not_reattachable = 'its table was given back'
			WHERE output = $1 AND state = 'retired' AND id <> $2`,
	}}
	if a.Generation != 0 {
		statements = append(statements, statement{
			what: "record that the table is given back", args: []any{a.Generation, a.Owner, key, string(Detach), by, reason}, sql: `
				INSERT INTO ledger.swap (tenure, owner, effect_key, kind, asked_by, reason, output, partition, from_generation)
				SELECT tenure, $2, $3, $4, $5, $6, output, partition, id
				FROM ledger.generation
				WHERE id = $1`,
		}, statement{
			what: "make nothing live", args: []any{a.Output, a.Generation}, sql: `
				UPDATE ledger.live SET generation = NULL WHERE output = $1 AND generation = $2`,
		}, statement{
			what: "drop the adopted generation from the ledger", args: []any{a.Generation}, sql: `
				UPDATE ledger.generation SET state = 'dropped', child = NULL, at = clock_timestamp() WHERE id = $1`,
		})
	}
	return l.together(ctx, q, append(statements, statement{
		what: "give up the claim of " + a.Output, args: []any{a.Output, a.Generation}, sql: `
			DELETE FROM ledger.output o
			WHERE output = $1 AND NOT EXISTS (SELECT FROM ledger.generation g WHERE g.output = o.output AND g.id <> $2)`,
	})...)
}

// InUse says what of an output is live, or on its way, besides a generation: 0 is none.
func (l Ledger) InUse(ctx context.Context, q Querier, output string, besides int64) (live, open int, err error) {
	if err := q.QueryRow(ctx, l.sql(`
		SELECT count(*) FILTER (WHERE state = 'live'), count(*) FILTER (WHERE state IN ('building', 'built', 'shadow'))
		FROM ledger.generation
		WHERE output = $1 AND id <> $2`), output, besides).Scan(&live, &open); err != nil {
		return 0, 0, fmt.Errorf("look for generations of %s: %w", output, err)
	}
	return live, open, nil
}

// Migrates names the open migration of a table; empty: none is.
func (l Ledger) Migrates(ctx context.Context, q Querier, table string) (name string, err error) {
	if err := q.QueryRow(ctx, l.sql(`
		SELECT coalesce(max(name), '') FROM ledger.migration WHERE table_name = $1 AND ended_at IS NULL`), table).Scan(&name); err != nil {
		return "", fmt.Errorf("look for a migration of %s: %w", table, err)
	}
	return name, nil
}

// AdoptedBefore refuses a partition that is in the legacy partition of an output: those are one table, and none of them is built.
func (a Adoption) AdoptedBefore(op string, key partition.Key) error {
	if a.First == "" || !a.has(key) || a.Scheme.Compare(key, a.First) >= 0 {
		return nil
	}
	return fault.Newf(fault.Refused, op, a.Output+" "+string(key), "name partitions from "+string(a.First)+" on",
		"it is in the legacy partition, as the table was adopted: what is before "+string(a.First)+" stays as it was then")
}

// has says that a key is one of its scheme.
func (a Adoption) has(key partition.Key) bool {
	_, err := a.Scheme.Parse(string(key))
	return err == nil
}
