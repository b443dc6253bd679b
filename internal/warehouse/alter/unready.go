package alter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/postgres"
)

// Unready says what keeps the contract of a plan from beginning, as far as the table says: tables that inherit from it, steps on which the
// contract rests and that are not done any more, and, where nothing of that is, rows of which its proofs do not hold. Empty: nothing does. Keys
// of such rows are left in the ledger. It locks nothing that anybody waits for. beat is called every second.
func (t *Tables) Unready(ctx context.Context, owner effect.Owner, p migrate.Plan, beat func()) ([]string, error) {
	var all []string
	for _, s := range p.Of(migrate.Contract) {
		why, _, err := t.unready(ctx, owner, p, s, beat)
		if err != nil {
			return nil, postgres.Classify("look at", object(p), err)
		}
		for _, one := range why {
			if !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// unready is what keeps a step of the contract from being done, and what its table's triggers are while rows are counted.
func (t *Tables) unready(ctx context.Context, owner effect.Owner, p migrate.Plan, s migrate.Step, beat func()) (why []string, mark string, err error) {
	if why, err = t.lacking(ctx, t.pool, p, s); err != nil || len(why) > 0 || len(s.Proofs) == 0 {
		return why, "", err
	}
	checked, mark, err := t.count(ctx, owner, p, s.Proofs, beat)
	for _, c := range checked {
		if c.Broken > 0 {
			one := fmt.Sprintf("that %s does not hold of %s; keys of some: %s", c.Proof, rowsOf(c.Broken), c.Samples)
			if c.Again != "" {
				one += "; build their partitions again: " + c.Again
			}
			why = append(why, one)
		}
	}
	return why, mark, err
}

func rowsOf(n int64) string {
	if n == 1 {
		return "1 row"
	}
	return fmt.Sprintf("%d rows", n)
}

// lacking is what a look at the catalog says against a step: relatives of the table, and steps on which it rests that are not done any more.
func (t *Tables) lacking(ctx context.Context, q catalog.Querier, p migrate.Plan, s migrate.Step) ([]string, error) {
	table, err := t.tableOf(ctx, q, p)
	if p.Drops && fault.ClassOf(err) == fault.Conflict {
		return nil, nil // it has gone already: nothing is taken from anybody
	}
	if err != nil {
		return nil, err
	}
	var why []string
	if p.Given == nil { // what releases make consists of such
		if why, err = relatives(ctx, q, table); err != nil {
			return nil, err
		}
	}
	for _, id := range s.Needs {
		at := slices.IndexFunc(p.Steps, func(s migrate.Step) bool { return s.ID == id })
		if at < 0 {
			return nil, fault.Newf(fault.Invalid, "do", s.ID, "plan it again", "the plan has no step "+id)
		}
		var there bool
		if err := q.QueryRow(ctx, p.Steps[at].Probe, pgx.QueryExecModeDescribeExec).Scan(&there); err != nil {
			return nil, err
		}
		if !there {
			why = append(why, fmt.Sprintf("somebody has changed what the step %s made (%s): put it back as the plan has it", id, p.Steps[at].Title))
		}
	}
	return why, nil
}

// relatives says which tables inherit from a table, or it from them: what is done to one of them is done to others, whose rows nobody has
// looked at. The partitions of a partitioned table are none of these, but for those whose rows nobody can look at.
func relatives(ctx context.Context, q catalog.Querier, table postgres.Relation) ([]string, error) {
	rows, err := q.Query(ctx, `
		SELECT CASE WHEN i.inhparent = $1 THEN format('%I.%I inherits from the table: ALTER TABLE %I.%I NO INHERIT ', n.nspname, c.relname, n.nspname, c.relname) || $2
		       ELSE format('the table is a part of %I.%I, or inherits from it: take it out of that', n.nspname, c.relname) END
		FROM pg_inherits i
		JOIN pg_class c ON c.oid = CASE WHEN i.inhparent = $1 THEN i.inhrelid ELSE i.inhparent END
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE $1 = i.inhrelid OR $1 = i.inhparent AND NOT c.relispartition
		UNION ALL
		SELECT format('the partition %I.%I ', n.nspname, c.relname)
		       || CASE WHEN c.relkind = 'f' THEN 'is a foreign table' ELSE 'is in another schema' END || ': detach it first'
		FROM pg_partition_tree($1::oid) m
		JOIN pg_class c ON c.oid = m.relid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'f' OR c.relnamespace <> (SELECT relnamespace FROM pg_class WHERE oid = $1)
		ORDER BY 1
		LIMIT $3`, table.OID, table.Name, namedAtMost)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// triggers is what the table's triggers are, and its partitions with theirs: other text once somebody has made, changed or switched one,
// whatever they are like now, or has brought a partition, or taken one away.
func triggers(ctx context.Context, q catalog.Querier, table postgres.Relation) (mark string, err error) {
	err = q.QueryRow(ctx, `
		WITH own AS (SELECT $1::oid AS relation UNION SELECT relid::oid FROM pg_partition_tree($1::oid))
		SELECT concat_ws('; ', coalesce(string_agg(concat_ws(' ', g.oid, g.xmin, f.oid, f.xmin), ', ' ORDER BY g.oid), 'none'),
		                 (SELECT string_agg(relation::text, ', ' ORDER BY relation) FROM own))
		FROM pg_trigger g
		JOIN pg_proc f ON f.oid = g.tgfoid
		WHERE g.tgrelid IN (SELECT relation FROM own) AND (NOT g.tgisinternal OR g.tgparentid <> 0)`, table.OID).Scan(&mark)
	return mark, err
}

// errTouched says that somebody has changed a trigger, or partitions, since rows were counted: what was written meanwhile nobody has looked at.
var errTouched = errors.New("somebody changed a trigger of the table, or its partitions, while its rows were counted")

// countedAtMost is how often rows are counted for a step, where triggers change meanwhile.
const countedAtMost = 3

// ready refuses a step of the contract by which something written would be lost.
func (s *step) ready(ctx context.Context) error {
	s.mark, s.kept = "", nil
	if s.takesGiven() { // what is proved then is of the generations that are summed up here
		if err := s.recount(ctx); err != nil {
			return err
		}
	}
	if s.spec.Undo || len(s.step.Proofs) == 0 {
		return nil
	}
	if there, err := s.there(ctx, s.t.pool); err != nil || there {
		return err
	}
	why, mark, err := s.t.unready(ctx, s.spec.Owner, s.spec.Plan, s.step, func() { s.beat(0) })
	if err != nil {
		return err
	}
	s.mark = mark
	return s.unmet(why)
}

// undisturbed is the look under the step's lock: nobody inherits what is done, what it rests on is there, and has been since rows were counted.
func (s *step) undisturbed(ctx context.Context, q catalog.Querier) error {
	var why []string
	var err error
	if s.spec.Plan.Given != nil {
		return s.recounted(ctx, q)
	}
	if s.spec.Undo {
		var table postgres.Relation
		if table, err = s.t.tableOf(ctx, q, s.spec.Plan); err == nil {
			why, err = relatives(ctx, q, table)
		}
	} else {
		why, err = s.t.lacking(ctx, q, s.spec.Plan, s.step)
	}
	if err == nil {
		err = s.unmet(why)
	}
	if err != nil || s.mark == "" {
		return err
	}
	table, err := s.t.tableOf(ctx, q, s.spec.Plan)
	if err != nil {
		return err
	}
	mark, err := triggers(ctx, q, table)
	if err == nil && mark != s.mark {
		err = errTouched
	}
	return err
}

// unmet is the refusal of a step for reasons, if there are any.
func (s *step) unmet(why []string) error {
	if len(why) == 0 {
		return nil
	}
	return fault.Newf(fault.Conflict, s.verb(), s.step.ID, "put that right, and then: "+s.again(), strings.Join(why, "; "))
}

// again is the command that goes on where the step has stopped.
func (s *step) again() string {
	if s.spec.Undo {
		return "drawbridge migrate rollback " + s.spec.Owner.Workflow() + " --reason TEXT"
	}
	p := s.spec.Plan
	return fmt.Sprintf("drawbridge migrate start %s %s --env %s --reason TEXT", p.Release, p.Migration.Name, p.Environment)
}

// altered is the refusal to undo what somebody has changed so that the statements do not fit any more; nil: err is about something else.
func (s *step) altered(err error) error {
	state := postgres.SQLState(err)
	if !s.spec.Undo || state == "" || state == pgerrcode.InsufficientPrivilege || !slices.Contains([]string{"2B", "42"}, state[:2]) {
		return nil
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return nil
	}
	return fault.Newf(fault.Conflict, s.verb(), s.step.ID, "put that right, and then: "+s.again(),
		"somebody has changed what the migration made, and it cannot be taken back: "+postgres.Describe(pg))
}

// Undone are the steps of some phases, by their titles, that are not done, or not any more.
func (t *Tables) Undone(ctx context.Context, p migrate.Plan, phases ...migrate.Phase) (titles []string, err error) {
	err = t.readOnly(ctx, func(tx pgx.Tx) error {
		for _, phase := range phases {
			for _, s := range p.Of(phase) {
				var done bool
				if err := tx.QueryRow(ctx, s.Probe, pgx.QueryExecModeDescribeExec).Scan(&done); err != nil {
					return err
				}
				if !done {
					titles = append(titles, s.Title)
				}
			}
		}
		return nil
	})
	return titles, postgres.Classify("look at", object(p), err)
}
