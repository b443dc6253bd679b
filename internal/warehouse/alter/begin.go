package alter

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// BeginMigration enters a migration, once under its key: from here on no other one changes its table. One of the same workflow that was
// stopped is taken over as it stands: with its own plan, its phase, its acks and its cursor, and whoever drove it before changes nothing any
// more. Where another workflow changes the table, or it was done already, it is fault.Conflict.
func (t *Tables) BeginMigration(ctx context.Context, e migrate.Entry, key effect.Key) (migrate.Standing, error) {
	p, table := e.Plan, e.Plan.Migration.Table
	m, err := postgres.Settle(ctx, t.pool, t.ledger, postgres.Effect{Key: key.String(), Kind: "begin migration"}, ledgerWait, func(tx pgx.Tx) (catalog.Migration, error) {
		none := catalog.Migration{}
		conflict := func(reason, hint string) error { return fault.Newf(fault.Conflict, "migrate", object(p), hint, reason) }
		if p.Environment != key.Environment || p.Schema != t.schema || e.Digest != migrate.Digest(p) {
			return none, conflict("the plan is one for "+p.Schema+" in "+p.Environment+", or not the one that was approved", "plan it again")
		}
		if err := t.ledger.BindEnvironment(ctx, tx, key.Environment); err != nil {
			return none, err
		}
		if err := t.ledger.ExcludeChange(ctx, tx); err != nil {
			return none, err
		}
		why, err := t.ledger.Fenced(ctx, tx, string(key.Owner))
		if err != nil {
			return none, err
		}
		if why != "" {
			return none, conflict("its workflow was stopped: "+why, "start it again")
		}
		owners, err := t.ledger.Owners(ctx, tx, []string{table})
		if err != nil {
			return none, err
		}
		if whose := owners[table]; whose != "" && (p.Given == nil || whose != p.Release.Pipeline) {
			return none, fault.Newf(fault.Refused, "migrate", object(p), "change the output's SELECT, or its key, indexes and checks in pipeline.yaml, and deploy it",
				"the table is an output of the pipeline "+whose)
		}
		open, err := t.openMigration(ctx, tx, table)
		if err != nil {
			return none, err
		}
		if open.Owner != "" {
			return t.takeOver(ctx, tx, open, key.Owner)
		}
		if done, err := t.ledger.MigrationDone(ctx, tx, p.Release.Pipeline, p.Migration.Name); err != nil {
			return none, err
		} else if done.Owner != "" {
			return none, conflict("it was done already, by "+effect.Owner(done.Owner).Workflow(), "write what is to change now into a file of its own")
		}
		if err := fresh(ctx, tx, p); err != nil {
			return none, err
		}
		begun := catalog.Migration{
			Owner: string(key.Owner), Pipeline: p.Release.Pipeline, Name: p.Migration.Name, Table: table, Plan: e.Digest,
			Digest: p.Release.Digest, Config: p.Config, By: e.By, Reason: e.Reason,
		}
		if p.Given != nil {
			begun.OldGiven, begun.NewGiven, begun.GiveUp = p.Given.Old, p.Given.New, p.Given.GiveUp
			if begun.Gives, err = t.stillGiven(ctx, tx, begun); err != nil {
				return none, err
			}
		}
		if err := t.ledger.BeginMigration(ctx, tx, begun); err != nil {
			return none, err
		}
		return t.ledger.Migration(ctx, tx, string(key.Owner))
	})
	if err != nil {
		return migrate.Standing{}, postgres.Classify("migrate", object(p), err)
	}
	return t.Migration(ctx, effect.Owner(m.Owner))
}

// fresh refuses to begin where something is there already that a step would take for what it has made itself: an undo would take that away.
func fresh(ctx context.Context, tx pgx.Tx, p migrate.Plan) error {
	for _, s := range p.Steps {
		if !s.Fresh {
			continue
		}
		var gone bool
		if err := tx.QueryRow(ctx, s.Gone, pgx.QueryExecModeDescribeExec).Scan(&gone); err != nil {
			return fmt.Errorf("look whether %s is done already: %w", s.ID, err)
		}
		if !gone {
			return fault.Newf(fault.Conflict, "migrate", object(p), "take the operation out of the file, or take away by hand what is there",
				fmt.Sprintf("what the step %s does (%s) is there already, or something of its name", s.ID, s.Title))
		}
	}
	return nil
}

// openMigration is the one of a table that has not ended, also of one that has the name since that migration has begun, and of which the name before is a
// view, or of one that it keeps hidden under it; its owner is empty where there is none.
func (t *Tables) openMigration(ctx context.Context, q catalog.Querier, table string) (catalog.Migration, error) {
	open, err := t.ledger.OpenMigration(ctx, q, table)
	if err != nil || open.Owner != "" {
		return open, err
	}
	all, err := t.ledger.OpenMigrations(ctx, q)
	if err != nil {
		return open, err
	}
	for _, m := range all {
		if migrate.DroppedName(m.Table, m.Name) == table {
			return m, nil
		}
	}
	rows, err := q.Query(ctx, `
		SELECT DISTINCT v.relname::text
		FROM pg_class c
		JOIN pg_namespace n ON n.oid = c.relnamespace
		JOIN pg_depend dep ON dep.classid = 'pg_rewrite'::regclass AND dep.refclassid = 'pg_class'::regclass AND dep.refobjid = c.oid
		JOIN pg_rewrite r ON r.oid = dep.objid
		JOIN pg_class v ON v.oid = r.ev_class AND v.relkind = 'v' AND v.relnamespace = n.oid
		WHERE n.nspname = $1 AND c.relname = $2`, t.schema, table)
	if err != nil {
		return open, fmt.Errorf("look for views of %s: %w", table, err)
	}
	views, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return open, fmt.Errorf("look for views of %s: %w", table, err)
	}
	for _, view := range views {
		if open, err = t.ledger.OpenMigration(ctx, q, view); err != nil || open.Owner != "" {
			return open, err
		}
	}
	return open, nil
}

// takeOver gives an open migration to a new start of its workflow. The caller holds ExcludeChange.
func (t *Tables) takeOver(ctx context.Context, tx pgx.Tx, open catalog.Migration, owner effect.Owner) (catalog.Migration, error) {
	if workflow := effect.Owner(open.Owner).Workflow(); workflow != owner.Workflow() {
		return open, fault.Newf(fault.Conflict, "migrate", open.Table, "see what it does: drawbridge status "+workflow,
			fmt.Sprintf("%s changes the table since %s", workflow, open.Since.UTC().Format("2006-01-02 15:04 MST")))
	}
	if open.Owner == string(owner) {
		return open, nil
	}
	if err := t.ledger.TakeMigration(ctx, tx, open.Owner, string(owner)); err != nil {
		return open, err
	}
	if err := t.ledger.Fence(ctx, tx, "it was started again", open.Owner); err != nil {
		return open, err
	}
	return t.ledger.Migration(ctx, tx, string(owner))
}

// Migration is that of an owner; its owner is empty where there is none.
func (t *Tables) Migration(ctx context.Context, owner effect.Owner) (migrate.Standing, error) {
	m, err := t.ledger.Migration(ctx, t.pool, string(owner))
	if err != nil || m.Owner == "" {
		return migrate.Standing{}, postgres.Classify("read the migration of", owner.Workflow(), err)
	}
	list, err := t.standing(ctx, []catalog.Migration{m})
	if err != nil {
		return migrate.Standing{}, err
	}
	return list[0], nil
}

// Migrations are those of a pipeline, newest first, ended ones too.
func (t *Tables) Migrations(ctx context.Context, pipeline string) ([]migrate.Standing, error) {
	list, err := t.ledger.Migrations(ctx, t.pool, pipeline)
	if err != nil {
		return nil, postgres.Classify("read the migrations of", pipeline, err)
	}
	return t.standing(ctx, list)
}

// standing adds to migrations who is ready.
func (t *Tables) standing(ctx context.Context, list []catalog.Migration) ([]migrate.Standing, error) {
	owners := make([]string, len(list))
	for i, m := range list {
		owners[i] = m.Owner
	}
	acks, err := t.ledger.Acks(ctx, t.pool, owners...)
	if err != nil {
		return nil, postgres.Classify("read who is ready for", "migrations", err)
	}
	standing := make([]migrate.Standing, len(list))
	for i, m := range list {
		standing[i] = migrate.Standing{
			Owner: effect.Owner(m.Owner), Pipeline: m.Pipeline, Name: m.Name, Table: m.Table, Plan: m.Plan, Phase: migrate.Phase(m.Phase), PhaseSince: m.PhaseSince.UTC(), Back: m.Back,
			By: m.By, Reason: m.Reason, Since: m.Since.UTC(), Ended: m.Outcome, Brownout: m.Tried(), Acks: acks[m.Owner],
		}
	}
	return standing, nil
}

// EnterPhase says that a migration is in a phase now. Twice is once, and one that is further on already stays there. What is on its way back
// enters none, and while the environment is on hold nothing enters contract: that is an admission.HeldError. So is what a table of releases
// still waits for, where the phase is one in which the new shape counts, or the old one goes.
func (t *Tables) EnterPhase(ctx context.Context, owner effect.Owner, phase migrate.Phase) error {
	if phase == migrate.Switch || phase == migrate.Deprecating || phase == migrate.Contract {
		m, err := t.ledger.Migration(ctx, t.pool, string(owner))
		if err != nil {
			return postgres.Classify("enter "+string(phase), owner.Workflow(), err)
		}
		if len(m.OldGiven)+len(m.NewGiven) > 0 {
			return t.enterGiven(ctx, owner, phase)
		}
	}
	return t.change(ctx, owner, "enter "+string(phase), func(tx pgx.Tx, f catalog.MigrationFacts) error {
		m := f.Migration
		if m.Back {
			return turned(m)
		}
		if migrate.Phase(m.Phase).Before(phase) {
			if phase == migrate.Contract {
				if err := cmp.Or(held(f), lit(m)); err != nil {
					return err
				}
			}
			return t.ledger.EnterPhase(ctx, tx, m.Owner, string(phase))
		}
		return nil
	})
}

// AckMigration records that a consumer is ready. Twice is once.
func (t *Tables) AckMigration(ctx context.Context, owner effect.Owner, a migrate.Ack) error {
	return t.change(ctx, owner, "acknowledge", func(tx pgx.Tx, f catalog.MigrationFacts) error {
		return t.ledger.Acknowledge(ctx, tx, f.Migration.Owner, a)
	})
}

// WithdrawAck takes back that a consumer is ready. Twice is once; when contract has begun it is fault.Conflict.
func (t *Tables) WithdrawAck(ctx context.Context, owner effect.Owner, consumer string) error {
	return t.change(ctx, owner, "withdraw", func(tx pgx.Tx, f catalog.MigrationFacts) error {
		if f.Migration.Phase == string(migrate.Contract) {
			return fault.Newf(fault.Conflict, "withdraw", f.Migration.Name+" of "+f.Migration.Table, "let it go on to its end: drawbridge status "+owner.Workflow(),
				"its contract has begun, and nothing takes that back")
		}
		return t.ledger.Withdraw(ctx, tx, f.Migration.Owner, consumer)
	})
}

// EndMigration says that a migration is done, or rolled back: the table is free for another one. Twice is once.
func (t *Tables) EndMigration(ctx context.Context, owner effect.Owner, how string) error {
	if ended, err := t.ledger.Migration(ctx, t.pool, string(owner)); err == nil && ended.Outcome == how {
		return nil
	}
	return t.change(ctx, owner, "end", func(tx pgx.Tx, f catalog.MigrationFacts) error {
		m := f.Migration
		switch {
		case how == migrate.RolledBack && m.Phase == string(migrate.Contract):
			return fault.Newf(fault.Refused, "roll back", m.Name+" of "+m.Table, "let it go on to its end: drawbridge status "+owner.Workflow(),
				"its contract has begun, and nothing takes that back")
		case how == migrate.Done && m.Back:
			return turned(m)
		}
		if err := lit(m); err != nil {
			return err
		}
		return t.ledger.EndMigration(ctx, tx, m.Owner, how)
	})
}

// change changes the row of an open migration, while nobody else does.
func (t *Tables) change(ctx context.Context, owner effect.Owner, op string, do func(tx pgx.Tx, f catalog.MigrationFacts) error) error {
	return postgres.Classify(op, owner.Workflow(), pgx.BeginFunc(ctx, t.pool, func(tx pgx.Tx) error {
		if err := postgres.Bound(ctx, tx, ledgerWait); err != nil {
			return err
		}
		f, shared, err := t.ledger.MigrationFactsToStay(ctx, tx, string(owner))
		if err != nil {
			return err
		}
		if !shared {
			return postgres.ErrContended
		}
		if err := driven(f, owner); err != nil {
			return err
		}
		return do(tx, f)
	}))
}
