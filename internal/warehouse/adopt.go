package warehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/adoption"
	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/turnback"
)

const (
	// boundsProof is the constraint that proves, before any long lock, what ATTACH would have to read all rows for.
	boundsProof = "drawbridge_adopt"
	// adoptedKey is what the name of the unique index ends with that an adoption makes; an output's name has at most 40 bytes.
	adoptedKey = "_adopted_key"
)

// adoptable is a plain table that is to become an output.
type adoptable struct {
	output  pipeline.Output
	oid     uint32
	name    string // quoted
	columns []generation.Column
	first   partition.Key
	upper   string // of the legacy partition
	proved  bool   // its proof is there, and validated
	keyed   bool   // a valid unique index of its key is there
}

// whole says that the output is one partition.
func (a adoptable) whole() bool { return a.output.Partition.By == partition.All }

// PlanAdoption says what an adoption would do to a table, and what keeps it from being done. It changes nothing. A table that was adopted
// already is a plan of nothing to do.
func (w *Warehouse) PlanAdoption(ctx context.Context, p *pipeline.Pipeline, ask adoption.Ask) (adoption.Plan, error) {
	var plan adoption.Plan
	err := pgx.BeginTxFunc(ctx, w.pool, postgres.ReadOnly(), func(tx pgx.Tx) error {
		_, found, err := w.lookAdoptable(ctx, tx, p, ask)
		plan = found
		return err
	})
	return plan, postgres.Classify("look at", ask.Output, err)
}

// FirstBuilt is the first partition of which all outputs can be built: what is before it is in the legacy partition of one. Empty: any.
func (w *Warehouse) FirstBuilt(ctx context.Context, p *pipeline.Pipeline) (first partition.Key, err error) {
	adopted, err := w.ledger.Adoptions(ctx, w.pool, p.Tables())
	for _, a := range adopted {
		if a.First != "" && (first == "" || p.Partition.Compare(a.First, first) > 0) {
			first = a.First
		}
	}
	return first, postgres.Classify("look at", w.names.schema, err)
}

// afterLegacy are the bounds of a chunk, which begins after the legacy partition where that reaches into it.
func (at *place) afterLegacy(chunk partition.Bounds, err error) (partition.Bounds, error) {
	first := at.parent.First
	if err != nil || first == "" || at.scheme.Chunk(first) != at.Chunk {
		return chunk, err
	}
	after, err := at.scheme.Bounds(first)
	chunk.Lower = after.Lower
	return chunk, err
}

// beforeLegacy refuses to turn back a partition that is in a legacy partition: that has no earlier state.
func (w *Warehouse) beforeLegacy(ctx context.Context, q catalog.Querier, req turnback.Request) error {
	if req.Partition == "" {
		return nil
	}
	outputs, err := w.ledger.OutputsOf(ctx, q, req.Pipeline)
	if err != nil {
		return err
	}
	adopted, err := w.ledger.Adoptions(ctx, q, outputs)
	if err != nil {
		return err
	}
	for _, output := range outputs {
		if err := adopted[output].AdoptedBefore("roll back", req.Partition); err != nil && (req.Output == "" || req.Output == output) {
			return err
		}
	}
	return nil
}

// lookAdoptable looks at a table and plans its adoption.
func (w *Warehouse) lookAdoptable(ctx context.Context, tx pgx.Tx, p *pipeline.Pipeline, ask adoption.Ask) (adoptable, adoption.Plan, error) {
	a := adoptable{name: w.names.parent(ask.Output)}
	plan := adoption.Plan{Output: ask.Output, Schema: w.names.schema}
	var ok bool
	if a.output, ok = p.Output(ask.Output); !ok {
		return a, plan, fault.Newf(fault.Invalid, "adopt", ask.Output, "name an output of "+p.Name+": "+strings.Join(p.Tables(), ", "), "the release has no such output")
	}
	plan.Scheme = a.output.Partition
	done, err := w.ledger.Adoptions(ctx, tx, []string{ask.Output})
	if err != nil {
		return a, plan, err
	}
	if was, adopted := done[ask.Output]; adopted {
		plan.Adopted, plan.First = true, was.First
		if ask.Until != "" && ask.Until != was.First {
			return a, plan, fault.Newf(fault.Conflict, "adopt", ask.Output, "leave --until out", "it was adopted already, and is built from "+string(was.First)+" on")
		}
		return a, plan, nil
	}
	err = tx.QueryRow(ctx, `
		SELECT c.oid, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
		FROM pg_class c
		WHERE c.relname = $1 AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = $2)`, ask.Output, w.names.schema).Scan(&a.oid, &plan.Rows, &plan.Bytes)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, plan, fault.Newf(fault.Invalid, "adopt", ask.Output, "deploy the release: a table that is not there is created by its first publish", "there is no such table in "+w.names.schema)
	}
	if err != nil {
		return a, plan, err
	}
	if a.columns, err = columnsOf(ctx, tx, a.oid); err != nil {
		return a, plan, err
	}
	if plan.Refusals, err = refusals(ctx, tx, append(tableOnlyRules(), faceRules()...), a.oid); err != nil {
		return a, plan, err
	}
	plan.Refusals = append(plan.Refusals, unfitColumns(a.output, a.columns)...)
	owners, err := w.ledger.Owners(ctx, tx, []string{ask.Output})
	if err != nil {
		return a, plan, err
	}
	if of := owners[ask.Output]; of != "" && of != p.Name {
		plan.Refusals = append(plan.Refusals, adoption.Refusal{Rule: "owner", Text: "the table belongs to the pipeline " + of, Remedy: "give the output another name, or another warehouse_schema"})
	}
	if migrates, err := w.ledger.Migrates(ctx, tx, ask.Output); err != nil {
		return a, plan, err
	} else if migrates != "" {
		plan.Refusals = append(plan.Refusals, adoption.Refusal{Rule: "migration", Text: "migration " + migrates + " of it is open", Remedy: "finish it first: drawbridge status"})
	}
	if len(plan.Refusals) > 0 {
		return a, plan, nil
	}
	if err := w.delimit(ctx, tx, &a, ask.Until); err != nil {
		return a, plan, err
	}
	if err := w.proofs(ctx, tx, &a); err != nil {
		return a, plan, err
	}
	plan.First = a.first
	if plan.Stays, err = stays(ctx, tx, a.oid); err != nil {
		return a, plan, err
	}
	views, err := viewsOf(ctx, tx, a.oid)
	for _, v := range views {
		plan.Views = append(plan.Views, v.Name)
	}
	plan.Steps = a.steps(w.names, len(views))
	return a, plan, err
}

// delimit finds the first partition that is not in the legacy one: what was asked for, or the one after the newest row.
func (w *Warehouse) delimit(ctx context.Context, q catalog.Querier, a *adoptable, until partition.Key) error {
	s := a.output.Partition
	if a.whole() {
		if until != "" {
			return fault.Newf(fault.Invalid, "adopt", a.output.Table, "leave --until out", "the output is one partition")
		}
		return nil
	}
	first, err := w.promised(ctx, q, a.oid)
	if err != nil {
		return err
	}
	if first == "" || until != "" && until != first {
		first, err = w.boundary(ctx, q, a, until)
	}
	if err != nil {
		return err
	}
	a.first = first
	bounds, err := s.Bounds(first)
	a.upper = bounds.Lower
	return err
}

// promised is the first partition after the rows of a table, where that is proved; empty: it is not.
func (w *Warehouse) promised(ctx context.Context, q catalog.Querier, table uint32) (first partition.Key, err error) {
	err = q.QueryRow(ctx, `
		SELECT coalesce(max(split_part(obj_description(oid, 'pg_constraint'), ':', 1)), '')
		FROM pg_constraint
		WHERE conrelid = $1 AND conname = $2 AND convalidated`, table, boundsProof).Scan(&first)
	return first, err
}

// boundary is the first partition after the newest row, or the one that was asked for, where no row lies in it or after it.
func (w *Warehouse) boundary(ctx context.Context, q catalog.Querier, a *adoptable, until partition.Key) (first partition.Key, err error) {
	s := a.output.Partition
	columnType := ""
	for _, c := range a.columns {
		if c.Name == s.Column {
			columnType = c.Type
		}
	}
	column := postgres.Ident(s.Column)
	var newest *string
	if err := q.QueryRow(ctx, fmt.Sprintf("SELECT %s FROM (SELECT max(%s) AS %[2]s FROM %s) AS newest", keyOf(s, columnType), column, a.name)).Scan(&newest); err != nil {
		return "", err
	}
	if newest == nil && until == "" {
		return "", fault.Newf(fault.Invalid, "adopt", a.output.Table, "say which partition is built first: --until KEY. "+s.Spelling(), "it has no row that says where its newest partition ends")
	}
	if newest != nil {
		last, err := s.Parse(*newest)
		if err == nil {
			first, err = s.Next(last)
		}
		if err != nil {
			return "", fault.New(fault.Refused, "adopt", a.output.Table, "correct column "+s.Column+", or leave such rows out", err)
		}
	}
	if until == "" {
		return first, nil
	}
	key, err := s.Parse(string(until))
	if err != nil {
		return "", err
	}
	if first != "" && s.Compare(key, first) < 0 {
		return "", fault.Newf(fault.Refused, "adopt", a.output.Table, "say --until "+string(first)+", or a later one",
			fmt.Sprintf("it has rows in %s or after it, and what is built would hang beside them", key))
	}
	return key, nil
}

// proofs looks at what was proved before.
func (w *Warehouse) proofs(ctx context.Context, q catalog.Querier, a *adoptable) error {
	if err := q.QueryRow(ctx, `
		SELECT EXISTS (
		  SELECT
		  FROM pg_constraint
		  WHERE conrelid = $1 AND conname = $2 AND convalidated AND obj_description(oid, 'pg_constraint') = $3)`, a.oid, boundsProof, a.promise()).Scan(&a.proved); err != nil {
		return err
	}
	a.keyed = !a.whole() || len(a.output.Key) == 0
	if a.keyed {
		return nil
	}
	return q.QueryRow(ctx, `
		SELECT EXISTS (
		  SELECT
		  FROM pg_index i
		  WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
		    AND (SELECT array_agg(a.attname::text ORDER BY a.attname)
		         FROM unnest(i.indkey[0:i.indnkeyatts - 1]) AS k (attnum)
		         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum)
		        = (SELECT array_agg(name ORDER BY name) FROM unnest($2::text[]) AS key (name)))`, a.oid, a.output.Key).Scan(&a.keyed)
}

// steps are what is done, in order.
func (a adoptable) steps(n names, views int) []adoption.Step {
	var steps []adoption.Step
	if condition := a.condition(); condition != "" && !a.proved {
		steps = append(steps,
			adoption.Step{Text: "from now on the table takes only rows of which it is true that " + condition, Lock: "ACCESS EXCLUSIVE, for a moment"},
			adoption.Step{Text: "look at all rows, whether they keep to it", Lock: "SHARE UPDATE EXCLUSIVE: readers and writers pass"})
	}
	if !a.keyed {
		steps = append(steps, adoption.Step{Text: "make a unique index of the key (" + strings.Join(a.output.Key, ", ") + ")", Lock: "SHARE UPDATE EXCLUSIVE: readers and writers pass"})
	}
	becomes := "the legacy partition, before " + string(a.first)
	if a.whole() {
		becomes = "the live generation"
	}
	text := fmt.Sprintf("in one transaction: the table moves to %s and becomes %s; a partitioned table takes its name, owner, rights, policies and comments; nobody writes the rows any more", n.data(), becomes)
	if views > 0 {
		text += fmt.Sprintf("; %d views read that one, and keep their rights and what is built on them", views)
	}
	return append(steps, adoption.Step{Text: text, Lock: "ACCESS EXCLUSIVE, for a moment"})
}

// promise is what the proof says in its comment: the first partition after the rows, and what they keep to.
func (a adoptable) promise() string { return string(a.first) + ": " + a.condition() }

// condition is what all rows have to keep to, as SQL, beyond what the table demands already; empty: there is nothing to prove.
func (a adoptable) condition() string {
	var parts []string
	for _, name := range keyColumns(a.output, catalog.Generation{}) {
		if i := slices.IndexFunc(a.columns, func(c generation.Column) bool { return c.Name == name }); i < 0 || !a.columns[i].NotNull {
			parts = append(parts, postgres.Ident(name)+" IS NOT NULL")
		}
	}
	if !a.whole() {
		parts = append(parts, postgres.Ident(a.output.Partition.Column)+" < "+postgres.Literal(a.upper))
	}
	return strings.Join(parts, " AND ")
}

// mayAdopt refuses what others stand in the way of: a hold, an open turn-back, a deployment that crosses, another owner. It looks in the
// effect's own transaction, and what it sees stays so.
func (w *Warehouse) mayAdopt(ctx context.Context, tx pgx.Tx, spec adoption.Spec) error {
	if err := w.ledger.BindEnvironment(ctx, tx, spec.Key.Environment); err != nil {
		return err
	}
	// Looked at as a build: it is entitled to no publish, and everything else has to be right.
	question := admission.Question{
		What: admission.Build, Environment: spec.Key.Environment, Release: spec.Release, Config: spec.Config, Owner: spec.Key.Owner, Outputs: []string{spec.Output},
	}
	facts, shared, err := w.ledger.FactsToStay(ctx, tx, question)
	if err != nil {
		return err
	}
	if !shared {
		return postgres.ErrContended
	}
	if err := admission.Decide(question, facts, gate.Approval{}); err != nil {
		return err
	}
	refuse := func(reason, hint string) error { return fault.Newf(fault.Conflict, "adopt", spec.Output, hint, reason) }
	switch {
	case facts.Hold != "":
		return refuse("the environment is on hold: "+facts.Hold, "say it again when that is released: drawbridge release-hold --env "+spec.Key.Environment)
	case facts.Crossing != "":
		return refuse("a deployment crosses here", "say it again when that has ended: drawbridge status")
	}
	return nil
}
