package warehouse

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/cutover"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/postgres"
)

// Observe looks at everything in the warehouse that a plan depends on. Environment, digests and sources are the
// caller's to fill in. A SELECT that the server refuses is a problem of the plan, not an error of Observe.
func (w *Warehouse) Observe(ctx context.Context, p *pipeline.Pipeline, h Headers) (plan.Observed, error) {
	observed := plan.Observed{Schema: w.names.schema}
	var tables []string
	for _, o := range p.Outputs {
		tables = append(tables, o.Table)
		out, err := w.observeOutput(ctx, o)
		if err != nil {
			return plan.Observed{}, err
		}
		candidate, err := w.Describe(ctx, p, o, h)
		if problem, ok := asProblem("select", o.Table, err); ok {
			observed.Problems = append(observed.Problems, problem)
		} else if err != nil {
			return plan.Observed{}, err
		}
		out.Candidate = candidate
		observed.Outputs = append(observed.Outputs, out)
	}
	there, err := w.ledger.Version(ctx, w.pool)
	if err != nil {
		return plan.Observed{}, postgres.Classify("observe", w.names.schema, err)
	}
	if there > 0 {
		if err := w.observeLedger(ctx, p, tables, &observed); err != nil {
			return plan.Observed{}, postgres.Classify("observe", w.names.schema, err)
		}
	}
	if observed.LockSlots, err = w.pool.LockSlots(ctx); err == nil {
		observed.ConstraintPages, err = w.constraintPages(ctx, w.pool)
	}
	if err != nil {
		return plan.Observed{}, postgres.Classify("observe", w.names.schema, err)
	}
	problems, err := w.preflight(ctx, p, observed)
	if err != nil {
		return plan.Observed{}, postgres.Classify("preflight", w.names.schema, err)
	}
	observed.Problems = append(observed.Problems, problems...)
	return observed, nil
}

// constraintPages is the size of the database's catalog of constraints.
func (w *Warehouse) constraintPages(ctx context.Context, q catalog.Querier) (pages int64, err error) {
	err = q.QueryRow(ctx, `
		SELECT pg_relation_size('pg_catalog.pg_constraint'::regclass) / current_setting('block_size')::bigint`).Scan(&pages)
	return pages, err
}

func (w *Warehouse) observeOutput(ctx context.Context, o pipeline.Output) (plan.ObservedOutput, error) {
	out := plan.ObservedOutput{Table: o.Table}
	found, err := w.findParent(ctx, w.pool, o.Table)
	if err != nil {
		return out, err
	}
	out.Kind, out.Columns, out.First = found.Kind, found.Columns, found.First
	if found.Kind == generation.Absent {
		return out, nil
	}
	out.Dependents, err = w.dependents(ctx, found.OID, o.Table)
	return out, postgres.Classify("find dependents of", o.Table, err)
}

// dependents names the views that read a table, at any depth, and the functions whose text names it, with its
// schema or from within it: a view is known for certain, a function's text only mentions the name.
func (w *Warehouse) dependents(ctx context.Context, relation uint32, name string) ([]string, error) {
	rows, err := w.pool.Query(ctx, `
		WITH RECURSIVE reads AS (
		  SELECT r.ev_class
		  FROM pg_depend d
		  JOIN pg_rewrite r ON r.oid = d.objid
		  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1
		  UNION
		  SELECT r.ev_class
		  FROM reads
		  JOIN pg_depend d ON d.refobjid = reads.ev_class
		  JOIN pg_rewrite r ON r.oid = d.objid
		  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
		)
		SELECT 'view ' || ev_class::regclass::text AS dependent
		FROM reads
		WHERE ev_class <> $1
		UNION
		SELECT 'function ' || p.oid::regprocedure::text
		FROM pg_proc p
		JOIN pg_namespace n ON n.oid = p.pronamespace
		WHERE p.prokind IN ('f', 'p')
		  AND (n.nspname = $3 AND p.prosrc ~ ('\m' || $2 || '\M')
		    OR p.prosrc ~ ('\m' || $3 || '"?\."?' || $2 || '\M'))
		ORDER BY dependent`, relation, name, w.names.schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

func (w *Warehouse) observeLedger(ctx context.Context, p *pipeline.Pipeline, tables []string, observed *plan.Observed) error {
	schemes := map[string]partition.Scheme{}
	for _, o := range p.Outputs {
		schemes[o.Table] = o.Partition
	}
	active, err := w.ledger.Active(ctx, w.pool, p.Name)
	if err != nil {
		return err
	}
	if !active.None() {
		observed.Active = &active.Release
	}
	if observed.OpenRuns, err = w.ledger.OpenRuns(ctx, w.pool, tables); err != nil {
		return err
	}
	if observed.RowsPerSecond, err = w.ledger.RowsPerSecond(ctx, w.pool, tables); err != nil {
		return err
	}
	ratio, err := w.ledger.SwapRatio(ctx, w.pool, cutover.Telling)
	if err != nil {
		return err
	}
	observed.SwapSpeed = cutover.Speed(ratio)
	unseen, err := w.unseen(ctx, tables)
	if err != nil {
		return err
	}
	for _, l := range unseen.Lines {
		observed.Problems = append(observed.Problems, plan.Problem{Rule: "detached", Object: l.Output, Text: l.Text, Remedy: l.Remedy})
	}
	live, err := w.ledger.Live(ctx, w.pool, tables)
	if err != nil {
		return err
	}
	var sizes map[int64]int64
	if p.Config.WriteMode.Keeps() {
		if sizes, err = w.childSizes(ctx, live); err != nil {
			return err
		}
	}
	for i := range observed.Outputs {
		for _, g := range live {
			if g.Output == observed.Outputs[i].Table {
				if sizes != nil {
					if observed.Outputs[i].Bytes == nil {
						observed.Outputs[i].Bytes = map[partition.Key]int64{}
					}
					observed.Outputs[i].Bytes[g.Partition] = sizes[g.ID]
				}
				observed.Outputs[i].Scheme = &g.Scheme
				observed.Outputs[i].Live = append(observed.Outputs[i].Live, g.Plan())
			}
		}
		// Text order is not partition order everywhere: 100000 comes after 20000.
		if scheme := schemes[observed.Outputs[i].Table]; len(observed.Outputs[i].Live) > 1 {
			slices.SortFunc(observed.Outputs[i].Live, func(a, b generation.Generation) int { return scheme.Compare(a.Partition, b.Partition) })
		}
	}
	return nil
}

// childSizes are how large the tables of generations are, with their indexes, in bytes.
func (w *Warehouse) childSizes(ctx context.Context, of []catalog.Generation) (map[int64]int64, error) {
	ids, names := make([]int64, len(of)), make([]string, len(of))
	for i, g := range of {
		ids[i], names[i] = g.ID, w.names.child(g.ID)
	}
	rows, err := w.pool.Query(ctx, `
		SELECT c.id, coalesce(pg_total_relation_size(to_regclass(c.name)), 0)
		FROM unnest($1::bigint[], $2::text[]) AS c (id, name)`, ids, names)
	if err != nil {
		return nil, err
	}
	sizes := map[int64]int64{}
	var id, size int64
	_, err = pgx.ForEachRow(rows, []any{&id, &size}, func() error {
		sizes[id] = size
		return nil
	})
	return sizes, err
}

// Live is the live generation of a partition and the digest of its inputs; 0 when nothing is live.
func (w *Warehouse) Live(ctx context.Context, output string, key partition.Key) (id int64, inputs string, err error) {
	live, err := w.ledger.Live(ctx, w.pool, []string{output})
	if err != nil {
		return 0, "", postgres.Classify("read what is live of", output, err)
	}
	for _, g := range live {
		if g.Partition == key {
			return g.ID, g.Inputs, nil
		}
	}
	return 0, "", nil
}

// asProblem turns a fault about the pipeline's own SQL into a problem that a plan shows.
func asProblem(rule, object string, err error) (plan.Problem, bool) {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return plan.Problem{}, false
	}
	return plan.Problem{Rule: rule, Object: object, Text: f.Error(), Remedy: f.Hint, Blocking: true}, true
}
