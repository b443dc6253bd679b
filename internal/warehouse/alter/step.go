package alter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// longestScan bounds what reads a whole table. Who does not want to wait for it any longer cancels it.
const longestScan = 24 * time.Hour

// DoStep does a step of the plan that was entered, or undoes it: it looks whether that is so already, does it, and looks again. It happens
// once under its key, and the record commits with it where a transaction allows that. A step of an earlier phase is only looked at: what the
// probe does not find any more is fault.Conflict. Where locks are not to be had within the budget it returns the sessions in the way; where
// the environment is on hold nothing is done but undone. While it waits, or works, beat is told for how long in all, earlier attempts included.
func (t *Tables) DoStep(ctx context.Context, spec migrate.StepSpec, beat func(waited time.Duration)) (migrate.StepResult, error) {
	none := migrate.StepResult{}
	at := slices.IndexFunc(spec.Plan.Steps, func(s migrate.Step) bool { return s.ID == spec.Step.ID })
	if at < 0 {
		return none, fault.Newf(fault.Invalid, "do", spec.Step.ID, "plan it again", "the plan has no such step")
	}
	s := &step{t: t, spec: spec, step: spec.Plan.Steps[at], beat: func(waited time.Duration) { beat(spec.WaitedLocks + waited) }}
	result, err := s.do(ctx)
	if held, ok := errors.AsType[admission.HeldError](err); ok {
		return migrate.StepResult{Held: held.Reason}, nil
	}
	if named := s.named(ctx, err); named != nil {
		return none, named
	}
	if altered := s.altered(err); altered != nil {
		return none, altered
	}
	return result, postgres.Classify(s.verb(), s.step.ID, err)
}

// step is one DoStep.
type step struct {
	t    *Tables
	spec migrate.StepSpec
	step migrate.Step // as the plan has it
	beat func(waited time.Duration)
	mark string // what the table's triggers were when rows were counted; empty: none were
	kept []kept // generations of which a column is taken away, as they were when they were summed up
}

func (s *step) verb() string {
	if s.spec.Undo {
		return "undo"
	}
	return "do"
}

// statements are what is to be run.
func (s *step) statements() []string {
	if s.spec.Undo {
		return s.step.Undo
	}
	return s.step.Act
}

// effect is the record of it.
func (s *step) effect() postgres.Effect {
	return postgres.Effect{Key: s.spec.Key.String(), Kind: s.verb() + " step", Application: s.spec.Application}
}

func (s *step) do(ctx context.Context) (migrate.StepResult, error) {
	result, done, err := postgres.Done[migrate.StepResult](ctx, s.t.pool, s.t.ledger, s.spec.Key.String())
	if err != nil || done {
		return result, err
	}
	facts, err := s.t.ledger.MigrationFacts(ctx, s.t.pool, string(s.spec.Owner))
	if err != nil {
		return result, err
	}
	if _, err := s.admit(facts); err != nil {
		return result, err
	}
	if s.spec.Undo {
		if _, err := s.t.tableOf(ctx, s.t.pool, s.spec.Plan); fault.ClassOf(err) == fault.Conflict {
			return s.undoWithout(ctx)
		}
	}
	if s.spec.Undo && !facts.Migration.Back {
		if err := s.t.readOnly(ctx, func(tx pgx.Tx) error { return s.mayTurn(ctx, tx) }); err != nil {
			return result, err
		}
	}
	if s.step.Class == migrate.Concurrent {
		return s.concurrently(ctx)
	}
	levels, err := s.levels(ctx, s.t.pool)
	if fault.ClassOf(err) == fault.Conflict && s.spec.Plan.Drops { // the step may be that it is not there any more
		if there, looked := s.there(ctx, s.t.pool); looked == nil && there {
			return s.attempt(ctx, postgres.Rung{})
		}
	}
	if err != nil {
		return result, err
	}
	ladder := postgres.Ladder{Pool: s.t.pool, Mode: levels.Mode, Budget: s.spec.LockBudget - s.spec.WaitedLocks, Beat: s.beat}
	if s.scans() {
		ladder.Longest = longestScan
		if ladder.Read, err = s.read(ctx); err != nil {
			return result, err
		}
	}
	var blocked []generation.Session
	for range countedAtMost {
		if err := s.ready(ctx); err != nil {
			return migrate.StepResult{}, err
		}
		if levels, err = s.levels(ctx, s.t.pool); err != nil { // what was counted may add to them
			return migrate.StepResult{}, err
		}
		ladder.Relations = nil
		for _, r := range levels.All() {
			ladder.Relations = append(ladder.Relations, r.OID)
		}
		done, blocked, err = ladder.Climb(ctx, func(ctx context.Context, rung postgres.Rung) (err error) {
			result, err = s.attempt(ctx, rung)
			return err
		})
		if !errors.Is(err, errTouched) {
			break
		}
	}
	if errors.Is(err, errTouched) {
		err = s.unmet([]string{errTouched.Error()})
	}
	if err != nil {
		return migrate.StepResult{}, err
	}
	if !done {
		return inTheWay(blocked), nil
	}
	return result, nil
}

func inTheWay(blocked []generation.Session) migrate.StepResult {
	named, more := generation.Named(blocked)
	return migrate.StepResult{Blocked: named, More: more}
}

// scans says whether it reads the whole table.
func (s *step) scans() bool { return s.step.Class == migrate.Scan && !s.spec.Undo }

// levels are what the step locks first, and how: what its statements want of the tables is had before they run, in one order. To undo may take more than to do:
// a trigger is dropped by the strongest lock. What keeps others out of a partitioned table keeps them out of its partitions too.
func (s *step) levels(ctx context.Context, q catalog.Querier) (l postgres.Levels, err error) {
	if s.spec.Plan.Given != nil {
		return s.tree(ctx, q)
	}
	modes := map[migrate.Lock]postgres.Mode{
		migrate.ShareUpdateExclusive: postgres.ShareUpdateExclusive, migrate.ShareRowExclusive: postgres.ShareRowExclusive, migrate.AccessExclusive: postgres.AccessExclusive,
	}
	mode, ok := modes[s.step.Lock]
	if !ok {
		return l, nil // reads and writes wait for what others hold, and nobody waits for them
	}
	only := s.step.Only
	if s.spec.Undo {
		mode, only = postgres.AccessExclusive, ""
	}
	l.Mode = mode
	if only != "" && only != s.spec.Plan.Migration.Table {
		part, there, err := s.t.partition(ctx, q, s.spec.Plan.Migration.Table, only)
		if there {
			l.Parents = []postgres.Relation{part}
		}
		return l, err // of one that has gone nothing is left to do
	}
	table, err := s.t.tableOf(ctx, q, s.spec.Plan)
	if err != nil {
		return l, err
	}
	if only == "" && mode != postgres.ShareUpdateExclusive {
		l.Chunks, l.Children, err = parts(ctx, q, table)
	}
	if err != nil {
		return l, err
	}
	also, err := s.also(ctx, q)
	l.Parents = slices.Concat(also, []postgres.Relation{table})
	return l, err
}

// read are the other tables that the step reads while it scans its own.
func (s *step) read(ctx context.Context) ([]uint32, error) {
	var tables []uint32
	for _, name := range s.step.Also {
		other, err := s.t.relation(ctx, s.t.pool, name)
		if err != nil {
			return nil, err
		}
		tables = append(tables, other.OID)
	}
	return tables, nil
}

// also are the other tables that the step locks as it does its own. One that has gone took with it what led there.
func (s *step) also(ctx context.Context, q catalog.Querier) ([]postgres.Relation, error) {
	var tables []postgres.Relation
	for _, name := range s.step.Also {
		other, err := s.t.relation(ctx, q, name)
		switch {
		case s.scans(), s.spec.Undo && fault.ClassOf(err) == fault.Conflict:
			continue
		case err != nil:
			return nil, err
		}
		tables = append(tables, other)
	}
	return tables, nil
}

// errThere says that nothing is left to do.
var errThere = errors.New("it is as it has to be already")

// attempt is one try of the transaction.
func (s *step) attempt(ctx context.Context, rung postgres.Rung) (migrate.StepResult, error) {
	return postgres.Once(ctx, s.t.pool, s.t.ledger, s.effect(), func(tx pgx.Tx) (migrate.StepResult, error) {
		none, done := migrate.StepResult{}, migrate.StepResult{Done: true}
		there, err := s.there(ctx, tx)
		if err != nil {
			return none, err
		}
		if there {
			return done, s.stay(ctx, tx, false)
		}
		if len(s.statements()) == 0 {
			return done, s.nothing(ctx, tx)
		}
		levels, err := s.levels(ctx, tx)
		if err != nil {
			return none, err
		}
		err = postgres.Lock(ctx, tx, levels, rung, func() error {
			if err := s.same(ctx, tx, levels); err != nil {
				return err
			}
			there, err := s.there(ctx, tx) // others may have been there before the lock was ours
			if err == nil && there {
				return errThere
			}
			if err == nil && !s.scans() {
				err = s.stay(ctx, tx, true)
			}
			if err == nil {
				err = s.undisturbed(ctx, tx)
			}
			return err
		})
		if errors.Is(err, errThere) {
			return done, s.stay(ctx, tx, false)
		}
		if err != nil {
			return none, err
		}
		if err := s.bound(ctx, tx, levels, rung); err != nil {
			return none, err
		}
		if err := s.act(ctx, tx); err != nil {
			return none, err
		}
		if s.scans() { // a hold or a fence does not wait for hours
			err = s.stay(ctx, tx, true)
		}
		return done, err
	})
}

// same says that partitions have come or gone before the locks were ours: from then on none does.
func (s *step) same(ctx context.Context, tx pgx.Tx, locked postgres.Levels) error {
	now, err := s.levels(ctx, tx)
	if err == nil && !slices.Equal(now.All(), locked.All()) {
		err = postgres.ErrContended
	}
	return err
}

// bound sets what the statements may take. Where a weak lock was enough, they wait for a stronger one no longer than a rung, should they want it.
func (s *step) bound(ctx context.Context, tx pgx.Tx, levels postgres.Levels, rung postgres.Rung) error {
	if len(levels.Parents) == 0 || levels.Mode == postgres.ShareUpdateExclusive {
		if _, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, postgres.Milliseconds(rung.Wait)); err != nil {
			return err
		}
	}
	if s.scans() {
		return bounded(ctx, tx, longestScan)
	}
	return nil
}

// bounded sets what one statement may take, and leaves what a lock may.
func bounded(ctx context.Context, tx pgx.Tx, d time.Duration) error {
	_, err := tx.Exec(ctx, `SELECT set_config('statement_timeout', $1, true)`, postgres.Milliseconds(d))
	return err
}

// act runs the statements, and looks what they have come to.
func (s *step) act(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Conn().PgConn().Exec(ctx, strings.Join(s.statements(), ";\n")).ReadAll(); err != nil {
		return err
	}
	there, err := s.there(ctx, tx)
	if err == nil && !there {
		err = s.fruitless()
	}
	if err == nil && s.step.Own {
		err = s.measured(ctx, tx)
	}
	if err == nil {
		err = s.note(ctx, tx)
	}
	return err
}

func (s *step) fruitless() error {
	if s.spec.Undo {
		return s.unmet([]string{"it went through, and something of it is there still: somebody has changed what it made since"})
	}
	return fault.Newf(fault.Conflict, s.verb(), s.step.ID, "look who else changes the table, and plan it again",
		"it went through, and what is looked for is not as it has to be")
}

// there says whether nothing is left to do.
func (s *step) there(ctx context.Context, q catalog.Querier) (bool, error) {
	if stays, err := s.stays(ctx, q); err != nil || stays {
		return stays, err
	}
	query, want := s.step.Probe, !s.spec.Undo
	if s.spec.Undo && s.step.Gone != "" { // what somebody has changed is not gone by that
		query, want = s.step.Gone, true
	}
	var found bool
	if err := q.QueryRow(ctx, query, pgx.QueryExecModeDescribeExec).Scan(&found); err != nil {
		return false, err
	}
	return found == want, nil
}

// nothing is what becomes of a step without statements that is not as it has to be.
func (s *step) nothing(ctx context.Context, tx pgx.Tx) error {
	if s.spec.Undo {
		return s.stay(ctx, tx, true) // it goes with what an earlier step has made
	}
	return s.fruitless()
}

// stay is the second look, in the step's own transaction: what it sees stays so until the commit. Acting says that something is to be done,
// or was.
func (s *step) stay(ctx context.Context, tx pgx.Tx, acting bool) error {
	facts, err := s.t.stay(ctx, tx, s.spec.Owner)
	if err != nil {
		return err
	}
	past, err := s.admit(facts)
	if err != nil {
		return err
	}
	switch {
	case s.spec.Undo:
		if !facts.Migration.Back {
			if err := s.mayTurn(ctx, tx); err != nil {
				return err
			}
		}
		return s.t.ledger.TurnMigration(ctx, tx, string(s.spec.Owner))
	case past && acting:
		return fault.Newf(fault.Conflict, "do", s.step.ID, "look who undid it, and roll the migration back",
			fmt.Sprintf("the migration is past it, in the phase %s, and it is not there any more", facts.Migration.Phase))
	}
	return nil
}

// admit says whether the step may be done or undone now, and whether the migration is past it.
func (s *step) admit(f catalog.MigrationFacts) (past bool, err error) {
	if err := driven(f, s.spec.Owner); err != nil {
		return false, err
	}
	if err := planned(f, s.spec.Plan); err != nil {
		return false, err
	}
	refuse := func(class fault.Class, reason, hint string) error {
		return fault.Newf(class, s.verb(), s.step.ID, hint, reason)
	}
	status := "see where it is: drawbridge status " + s.spec.Owner.Workflow()
	m := f.Migration
	phase := migrate.Phase(m.Phase)
	switch {
	case s.spec.Key.Environment != f.Environment || s.spec.Key.Owner != s.spec.Owner:
		return false, refuse(fault.Refused, "its key is not one of the migration's", status)
	case s.spec.Undo && (phase == migrate.Contract || s.step.Phase == migrate.Contract):
		return false, refuse(fault.Refused, "the contract has begun, and nothing takes that back", "let the migration go on to its end")
	case s.spec.Undo:
		return false, lit(m)
	case m.Back:
		return false, turned(m)
	case phase.Before(s.step.Phase):
		return false, refuse(fault.Conflict, fmt.Sprintf("it is a step of %s, and the migration is in %s", s.step.Phase, phase), status)
	}
	return s.step.Phase.Before(phase), held(f)
}
