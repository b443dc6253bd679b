package alter

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
	"drawbridge/internal/postgres"
)

// Ungiven says what a migration of a table that releases make waits for before it may go on from a phase: in dual write for an active release
// that gives both shapes, later for every live generation to be of one too. From when the active release gives both, nothing else is
// published any more. Empty: for nothing.
func (t *Tables) Ungiven(ctx context.Context, owner effect.Owner, phase migrate.Phase) (why []string, err error) {
	m, err := t.ledger.Migration(ctx, t.pool, string(owner))
	if err == nil {
		why, err = t.ungiven(ctx, t.pool, m, phase)
	}
	if err != nil || slices.Equal(m.Gives, both(m)) {
		return why, postgres.Classify("look what is given to", owner.Workflow(), err)
	}
	err = t.alone(ctx, owner, "begin dual write", func(tx pgx.Tx, f catalog.MigrationFacts) error {
		m := f.Migration
		_, lacks, err := t.active(ctx, tx, m, both(m))
		if err != nil || len(lacks) > 0 || !migrate.Phase(m.Phase).Before(migrate.Switch) {
			return err
		}
		return t.ledger.Give(ctx, tx, m.Owner, both(m))
	})
	return why, err
}

// Unfree says what contract waits for of the releases that make a table, and changes nothing. Empty: for nothing, or it is not in the
// deprecation window.
func (t *Tables) Unfree(ctx context.Context, owner effect.Owner) (why []string, err error) {
	err = t.readOnly(ctx, func(tx pgx.Tx) error {
		m, err := t.ledger.Migration(ctx, tx, string(owner))
		if err != nil || m.Phase != string(migrate.Deprecating) {
			return err
		}
		why, err = t.unfree(ctx, tx, m)
		return err
	})
	return why, postgres.Classify("look what is given to", owner.Workflow(), err)
}

// FreeOld lets releases be published that do not give the old shape any more, and says as Unfree does what contract still waits for. Whoever
// must has said that it may go.
func (t *Tables) FreeOld(ctx context.Context, owner effect.Owner) (why []string, err error) {
	err = t.alone(ctx, owner, "let the old shape go", func(tx pgx.Tx, f catalog.MigrationFacts) (err error) {
		m := f.Migration
		if m.Phase != string(migrate.Deprecating) {
			return nil
		}
		if err := t.ledger.Give(ctx, tx, m.Owner, m.NewGiven); err != nil {
			return err
		}
		m.Gives = m.NewGiven
		why, err = t.unfree(ctx, tx, m)
		return err
	})
	return why, err
}

// both are what releases give from dual write on.
func both(m catalog.Migration) []string { return slices.Concat(m.OldGiven, m.NewGiven) }

// alone changes the row of an open migration while nothing is published.
func (t *Tables) alone(ctx context.Context, owner effect.Owner, op string, do func(tx pgx.Tx, f catalog.MigrationFacts) error) error {
	return postgres.Classify(op, owner.Workflow(), pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, ledgerWait); err != nil {
			return err
		}
		if err := t.ledger.ExcludeChange(ctx, tx); err != nil {
			return err
		}
		f, shared, err := t.ledger.MigrationFactsToStay(ctx, tx, string(owner))
		switch {
		case err != nil:
			return err
		case !shared:
			return postgres.ErrContended
		}
		if err := driven(f, owner); err != nil {
			return err
		}
		if f.Migration.Back {
			return turned(f.Migration)
		}
		return do(tx, f)
	}))
}

// enterGiven begins the switch of a table that releases make, or what comes after it, while nothing is published. What it waits for is a HeldError.
func (t *Tables) enterGiven(ctx context.Context, owner effect.Owner, phase migrate.Phase) error {
	return t.alone(ctx, owner, "enter "+string(phase), func(tx pgx.Tx, f catalog.MigrationFacts) (err error) {
		m := f.Migration
		if !migrate.Phase(m.Phase).Before(phase) {
			return nil
		}
		if phase == migrate.Contract {
			if err := cmp.Or(held(f), lit(m)); err != nil {
				return err
			}
		}
		var why []string
		if len(m.NewGiven) > 0 && migrate.Phase(m.Phase).Before(migrate.Switch) {
			if why, err = t.ungiven(ctx, tx, m, migrate.Switch); err == nil && len(why) == 0 {
				err = t.ledger.Give(ctx, tx, m.Owner, both(m))
			}
		}
		if err == nil && phase == migrate.Contract {
			var still []string
			still, err = t.unfree(ctx, tx, m)
			why = append(why, still...)
		}
		if err != nil {
			return err
		}
		if len(why) > 0 {
			return admission.HeldError{Reason: strings.Join(why, "; ")}
		}
		return t.ledger.EnterPhase(ctx, tx, m.Owner, string(phase))
	})
}

// active is the active release of a migration's pipeline, and which of some columns it does not give.
func (t *Tables) active(ctx context.Context, q catalog.Querier, m catalog.Migration, wanted []string) (name string, lacks []string, err error) {
	active, err := t.ledger.Active(ctx, q, m.Pipeline)
	if err != nil {
		return "", nil, err
	}
	if active.None() {
		return "nothing", wanted, nil
	}
	gives, err := t.ledger.GivenBy(ctx, q, m.Table, active.Release.Digest)
	return active.Release.String(), migrate.Lacking(gives, wanted), err
}

// stillGiven are the old columns that a migration's pipeline gives when it begins. What its active release leaves out already, nobody has to give
// again.
func (t *Tables) stillGiven(ctx context.Context, q catalog.Querier, m catalog.Migration) ([]string, error) {
	active, err := t.ledger.Active(ctx, q, m.Pipeline)
	if err != nil || active.None() {
		return m.OldGiven, err
	}
	gives, err := t.ledger.GivenBy(ctx, q, m.Table, active.Release.Digest)
	if err != nil || len(gives) == 0 { // it has built nothing of the table
		return m.OldGiven, err
	}
	return shared(gives, m.OldGiven), nil
}

func (t *Tables) ungiven(ctx context.Context, q catalog.Querier, m catalog.Migration, phase migrate.Phase) ([]string, error) {
	name, lacks, err := t.active(ctx, q, m, both(m))
	if err != nil {
		return nil, err
	}
	environment, err := t.environment(ctx, q)
	if err != nil {
		return nil, err
	}
	if len(lacks) > 0 {
		return []string{fmt.Sprintf("%s is active, and does not give %s to %s: deploy a release whose SELECT gives %s: drawbridge deploy %s@VERSION --to %s",
			name, strings.Join(lacks, ", "), m.Table, strings.Join(both(m), ", "), m.Pipeline, environment)}, nil
	}
	if phase == migrate.DualWrite {
		return nil, nil
	}
	live, err := t.ledger.Live(ctx, q, []string{m.Table})
	if err != nil {
		return nil, err
	}
	live = slices.DeleteFunc(live, func(g catalog.Generation) bool { return len(migrate.Lacking(g.Gives(), both(m))) == 0 })
	var why []string
	if len(live) > 0 {
		why = append(why, fmt.Sprintf("%s built by releases that do not give %s: %s", unbuilt(m.Table, live), strings.Join(both(m), ", "), rebuild(m.Pipeline, environment, live, "")))
	}
	if phase == migrate.Switch {
		busy, err := t.busy(ctx, q, m)
		return append(why, busy...), err
	}
	return why, nil
}

// sorted sorts generations by their partitions.
func sorted(live []catalog.Generation) {
	slices.SortFunc(live, func(a, b catalog.Generation) int { return a.Scheme.Compare(a.Partition, b.Partition) })
}

// unbuilt names partitions of a table, sorted.
func unbuilt(table string, live []catalog.Generation) string {
	sorted(live)
	if len(live) == 1 {
		return fmt.Sprintf("1 partition of %s (%s) was", table, live[0].Partition)
	}
	return fmt.Sprintf("%d partitions of %s (%s to %s) were", len(live), table, live[0].Partition, live[len(live)-1].Partition)
}

// rebuild is the command that builds partitions again, which are sorted, and what a backfill is told more.
func rebuild(pipeline, environment string, live []catalog.Generation, more string) string {
	if live[0].Partition == partition.AllKey { // each run builds it
		return fmt.Sprintf("run any partition: drawbridge run %s --env %s --partition KEY", pipeline, environment)
	}
	return fmt.Sprintf("drawbridge backfill %s --env %s --from %s --to %s --reason TEXT", pipeline, environment, live[0].Partition, live[len(live)-1].Partition) + more
}

// unfree says what keeps an old shape from being taken away that nobody needs any more.
func (t *Tables) unfree(ctx context.Context, q catalog.Querier, m catalog.Migration) ([]string, error) {
	active, err := t.ledger.Active(ctx, q, m.Pipeline)
	if err != nil {
		return nil, err
	}
	environment, err := t.environment(ctx, q)
	if err != nil {
		return nil, err
	}
	why, err := t.busy(ctx, q, m)
	if err != nil {
		return nil, err
	}
	gives, err := t.ledger.GivenBy(ctx, q, m.Table, active.Release.Digest)
	if err != nil {
		return nil, err
	}
	if still := shared(gives, m.OldGiven); len(still) > 0 {
		when := ""
		if len(shared(m.Gives, still)) > 0 { // until then no such release is let in
			when = "once contract is approved, "
		}
		why = append(why, fmt.Sprintf("%s is active, and gives %s to %s: %sdeploy a release whose SELECT leaves it out: drawbridge deploy %s@VERSION --to %s",
			active.Release, strings.Join(still, ", "), m.Table, when, m.Pipeline, environment))
	}
	kept, err := t.ledger.Kept(ctx, q, m.Table)
	if err != nil {
		return nil, err
	}
	lacking, open := 0, 0
	for _, g := range kept {
		switch {
		case g.State == generation.Retired && len(migrate.Lacking(g.Gives(), m.NewGiven)) > 0:
			lacking++
		case g.State != generation.Retired && g.State != generation.Live && len(shared(names(g.Columns), m.OldGiven)) > 0:
			open++
		}
	}
	if lacking > 0 && !m.GiveUp {
		why = append(why, fmt.Sprintf("%d retired generations of %s lack %s, and are kept to go back to: they are dropped after keep_retired of the policy; to give them up, roll the migration back, and start it with --give-up-rollback",
			lacking, m.Table, strings.Join(m.NewGiven, ", ")))
	}
	if open > 0 {
		why = append(why, fmt.Sprintf("%d generations of %s are being built, or are built and not published yet: see by whom: drawbridge status", open, m.Table))
	}
	return why, nil
}

// busy is who changes the pipeline: what that one would go back to must not be refused to it.
func (t *Tables) busy(ctx context.Context, q catalog.Querier, m catalog.Migration) ([]string, error) {
	owner, err := t.ledger.Busy(ctx, q, m.Pipeline)
	if err != nil || owner == "" {
		return nil, err
	}
	workflow := effect.Owner(owner).Workflow()
	return []string{workflow + " changes the pipeline, or watches what it has published: drawbridge status " + workflow}, nil
}

// environment is the one that the ledger belongs to.
func (t *Tables) environment(ctx context.Context, q catalog.Querier) (string, error) {
	f, err := t.ledger.MigrationFacts(ctx, q, "")
	return f.Environment, err
}

// shared are the names that both lists have.
func shared(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(b), func(name string) bool { return !slices.Contains(a, name) })
}

func names(columns []generation.Column) []string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name
	}
	return list
}
