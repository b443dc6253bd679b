package warehouse

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/canary"
	"drawbridge/internal/catalog"
	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
)

// Comparison is a candidate against a baseline, both generations of one partition.
type Comparison struct {
	Output    string
	Key       []string
	Metrics   []check.Check
	Baseline  int64
	Candidate int64
	Origin    canary.Origin
	Active    string // digest of the release that is active: a control is of this one
}

// Compare measures the difference of two generations in one snapshot that cannot write. Samples of differing rows stay
// in the ledger, under the candidate. A metric that one side cannot evaluate is a fault.Invalid; a baseline that is not what
// its origin says is a fault.Conflict.
func (w *Warehouse) Compare(ctx context.Context, in Comparison) (canary.Diff, error) {
	object := fmt.Sprintf("%s, generations %d and %d", in.Output, in.Baseline, in.Candidate)
	both, err := w.ledger.Generations(ctx, w.pool, []int64{in.Baseline, in.Candidate})
	if err != nil {
		return canary.Diff{}, postgres.Classify("compare", object, err)
	}
	for _, g := range both {
		if g.Child == 0 || g.Output != in.Output {
			return canary.Diff{}, fault.Newf(fault.Conflict, "compare", object, "list those that are kept: drawbridge history PIPELINE --env ENV --output "+in.Output+" --partition "+string(g.Partition),
				fmt.Sprintf("generation %d is %s, of %s", g.ID, g.State, g.Output))
		}
	}
	if why := unpaired(in, both[in.Baseline], both[in.Candidate]); why != "" {
		return canary.Diff{}, fault.Newf(fault.Conflict, "compare", object, "deploy again: drawbridge deploy PIPELINE@VERSION --to ENV", why)
	}
	kept, err := w.ledger.BuiltOver(ctx, w.pool, in.Baseline, in.Candidate)
	if err != nil {
		return canary.Diff{}, postgres.Classify("compare", object, err)
	}
	if why := overtaken(in, kept); why != "" {
		return canary.Diff{}, fault.Newf(fault.Conflict, "compare", object, "deploy again: drawbridge deploy PIPELINE@VERSION --to ENV", why)
	}
	side := func(g catalog.Generation) canary.Side {
		return canary.Side{Relation: w.names.child(g.ID), Columns: checkColumns(g.Columns)}
	}
	compiled, err := canary.Compile(canary.Spec{
		Key: in.Key, Origin: in.Origin, Baseline: side(both[in.Baseline]), Candidate: side(both[in.Candidate]), Metrics: in.Metrics,
	})
	if err != nil {
		return canary.Diff{}, err
	}
	if err := w.showAuthor(ctx, in.Baseline, in.Candidate); err != nil {
		return canary.Diff{}, postgres.Classify("compare", object, err)
	}
	var values check.Values
	samples := map[string][]string{}
	err = w.pool.Apart(ctx, w.pool.Application(), func(author *postgres.Session) error {
		values, samples, err = difference(ctx, author.Conn, compiled)
		return err
	})
	if err != nil {
		return canary.Diff{}, postgres.ClassifyRun("compare", object, err)
	}
	for kind, list := range samples {
		if err := w.ledger.RecordSamples(ctx, w.pool, in.Candidate, subjectOf(in.Origin)+kind, list); err != nil {
			return canary.Diff{}, postgres.Classify("compare", object, err)
		}
	}
	return compiled.Read(values)
}

// subjectOf is what samples of a comparison are kept under.
func subjectOf(origin canary.Origin) string {
	if origin == canary.Repeat {
		return "built twice: "
	}
	return "canary: "
}

// Tried reads generations as smoke and canary have to know them; an unknown ID is fault.Invalid.
func (w *Warehouse) Tried(ctx context.Context, ids ...int64) (map[int64]generation.Tried, error) {
	found, err := w.ledger.Tried(ctx, w.pool, ids)
	return found, postgres.Classify("look at", "what was tried", err)
}

// TriedUnder reads the last generation of an output that was built and audited under a key, whatever became of it since; its ID
// is 0 where there is none.
func (w *Warehouse) TriedUnder(ctx context.Context, key effect.Key, output string) (generation.Tried, error) {
	found, err := w.ledger.TriedUnder(ctx, w.pool, key, output)
	return found, postgres.Classify("look at", output+" "+string(key.Partition), err)
}

// Judged reads what a look under a key has found, by stage; none where there was none.
func (w *Warehouse) Judged(ctx context.Context, key effect.Key) (map[admission.Stage]admission.Verdict, error) {
	found, err := w.ledger.Verdicts(ctx, w.pool, key)
	return found, postgres.Classify("read verdicts of", key.Owner.Workflow(), err)
}

// LiveBefore lists the partitions of some outputs that are live, and were published before a tenure was reserved.
func (w *Warehouse) LiveBefore(ctx context.Context, outputs []string, tenure int64) ([]partition.Key, error) {
	keys, err := w.ledger.LiveBefore(ctx, w.pool, outputs, tenure)
	return keys, postgres.Classify("read what is live of", w.names.schema, err)
}

// Judge writes what a look under a key has found of a tenure, once, and returns what the ledger has: of two attempts the first
// counts.
func (w *Warehouse) Judge(ctx context.Context, t release.Tenure, key effect.Key, verdicts ...admission.Verdict) (found map[admission.Stage]admission.Verdict, err error) {
	err = pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, ledgerWait); err != nil {
			return err
		}
		if err := w.ledger.RecordVerdicts(ctx, tx, t, key, verdicts); err != nil {
			return err
		}
		found, err = w.ledger.Verdicts(ctx, tx, key)
		return err
	})
	return found, postgres.Classify("record verdicts of", key.Owner.Workflow(), err)
}

// showAuthor lets the authors' login read generations: one may be older than the login.
func (w *Warehouse) showAuthor(ctx context.Context, ids ...int64) error {
	if w.pool.Author == "" {
		return nil
	}
	for _, id := range ids {
		var sees bool
		if err := w.pool.QueryRow(ctx, `SELECT has_table_privilege($1, $2, 'SELECT')`, w.pool.Author, w.names.child(id)).Scan(&sees); err != nil {
			return err
		}
		if sees {
			continue
		}
		if _, err := w.pool.Exec(ctx, fmt.Sprintf("GRANT SELECT ON %s TO %s", w.names.child(id), postgres.Ident(w.pool.Author))); err != nil {
			return err
		}
	}
	return nil
}

// difference runs a comparison, metrics of authors included, in one snapshot.
func difference(ctx context.Context, conn *pgx.Conn, compiled canary.Plan) (values check.Values, samples map[string][]string, err error) {
	samples = map[string][]string{}
	err = pgx.BeginTxFunc(ctx, conn, postgres.ReadOnly(), func(tx pgx.Tx) error {
		// It reads the two children by name.
		if err = postgres.Aside(ctx, tx); err != nil {
			return err
		}
		if values, err = runAll(ctx, tx, []check.Statement{compiled.Summary}, nil); err != nil {
			return err
		}
		if compiled.Identical(values) {
			return nil
		}
		row, err := oneRow(ctx, tx, compiled.Difference)
		if err != nil {
			return err
		}
		if err := values.Put(compiled.Difference, row); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, compiled.Samples().SQL)
		if err != nil {
			return err
		}
		var kind, sample string
		_, err = pgx.ForEachRow(rows, []any{&kind, &sample}, func() error {
			samples[kind] = append(samples[kind], sample)
			return nil
		})
		return err
	})
	return values, samples, err
}

// overtaken says that a candidate in which rows stay and its baseline were built over different rows, because somebody has published
// in between: then it is not the release that makes them differ. Empty: they were not.
func overtaken(in Comparison, kept map[int64]int64) string {
	over, keeps := kept[in.Candidate]
	if !keeps || in.Origin == canary.Earlier {
		return ""
	}
	same := in.Baseline
	if in.Origin != canary.Live {
		same = kept[in.Baseline]
	}
	if over == same {
		return ""
	}
	return fmt.Sprintf("rows of generation %d stay in the candidate, and of generation %d in what it is compared with: another run has published in between", over, same)
}

// unpaired says why a baseline says nothing about a candidate; empty when it does.
func unpaired(in Comparison, baseline, candidate catalog.Generation) string {
	switch {
	case baseline.ID == candidate.ID:
		return "the baseline is the candidate itself"
	case baseline.Partition != candidate.Partition:
		return fmt.Sprintf("the baseline is of partition %s, the candidate of %s", baseline.Partition, candidate.Partition)
	case candidate.Control:
		return "the candidate is a control"
	case in.Origin == canary.Live && baseline.State != generation.Live:
		return fmt.Sprintf("generation %d is %s, not live", baseline.ID, baseline.State)
	case in.Origin == canary.Control && !baseline.Control:
		return fmt.Sprintf("generation %d was not built as a control", baseline.ID)
	case in.Origin == canary.Repeat && (!baseline.Control || baseline.Digest != candidate.Digest || baseline.Config != candidate.Config):
		return fmt.Sprintf("generation %d is not the same release, built again", baseline.ID)
	case in.Origin == canary.Control && baseline.Digest != in.Active:
		return fmt.Sprintf("generation %d is of %s, which is not the active release", baseline.ID, baseline.Version)
	}
	return ""
}
