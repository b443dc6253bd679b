package warehouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgerrcode"
	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/postgres"
)

// constraint is something that a table demands of every row, and of every partition that is attached to it.
type constraint struct {
	Table uint32
	Name  string
	// Def is the definition, which another table takes under the same name.
	Def   string
	Valid bool // rows that were there before obey it too
}

// keeps says that it is as much as another of its name.
func (c constraint) keeps(demanded constraint) bool {
	return c.Name == demanded.Name && c.condition() == demanded.condition() && (c.Valid || !demanded.Valid)
}

// condition is the definition, whatever rows are known to obey it.
func (c constraint) condition() string { return strings.TrimSuffix(c.Def, " NOT VALID") }

// debt is what a parent demands of its partitions, or hands down to them, and a child does not have yet: whoever administers the
// warehouse may add to a table what generations of earlier days lack.
type debt struct {
	generation catalog.Generation
	child      child
	columns    []generation.Column // that the child has yet to gain
	checks     []constraint
	notNull    []string
	inherited  []inherited
	stale      string // the child's primary key, which is in the way of the parent's; empty: none is
	parent     string // quoted
}

// payment is a step towards what a debt demands, in a transaction of its own.
type payment struct {
	pay func(ctx context.Context, tx pgx.Tx) error
	// said translates an error that is about the rows; nil: it is about something else.
	said func(ctx context.Context, err error) error
}

// payments are the steps of a debt, in order.
func (w *Warehouse) payments(d debt) []payment {
	broken := func(ctx context.Context, err error) error {
		if postgres.SQLState(err) != pgerrcode.CheckViolation {
			return nil
		}
		return w.broken(ctx, d)
	}
	var steps []payment
	for _, pay := range []func(context.Context, pgx.Tx) error{w.promise(d), w.validate(d), w.demand(d)} {
		steps = append(steps, payment{pay: pay, said: broken})
	}
	if d.stale != "" {
		steps = append(steps, payment{pay: w.alter(d, []string{"DROP CONSTRAINT " + postgres.Ident(d.stale)}), said: broken})
	}
	for _, x := range d.inherited {
		steps = append(steps, w.inherit(d, x))
	}
	return steps
}

// longestPayment is how long the rows of one generation may take to be read and indexed.
const longestPayment = 2 * time.Hour

// settle lets the generations that go live promise what their table demands, and have what it hands down, before a publish takes any lock: to attach them
// would be refused otherwise. Nobody reads them yet, so nobody waits while their rows are read. Where rows break a demand, the
// refusal names it. It may be repeated. done is false where others held a child for too long.
func (p *publication) settle(ctx context.Context, beat func(waited time.Duration)) (done bool, blocked []generation.Session, err error) {
	if done, blocked, err = p.loosen(ctx, beat); err != nil || !done {
		return false, blocked, err
	}
	debts, err := p.debts(ctx)
	if err != nil {
		return false, nil, err
	}
	for _, d := range debts {
		for _, step := range p.w.payments(d) {
			ladder := postgres.Ladder{Pool: p.w.pool, Relations: []uint32{d.child.OID}, Budget: p.spec.LockBudget - p.spec.WaitedLocks, Beat: beat, Longest: longestPayment}
			done, blocked, err = ladder.Climb(ctx, func(ctx context.Context, rung postgres.Rung) error {
				return pgx.BeginFunc(ctx, p.w.pool, func(tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = "+postgres.Milliseconds(rung.Wait)); err != nil {
						return err
					}
					return step.pay(ctx, tx)
				})
			})
			if err != nil {
				return false, nil, cmp.Or(step.said(ctx, err), err)
			}
			if !done {
				return false, blocked, nil
			}
		}
	}
	return true, nil, nil
}

// debts finds what is lacking. What makes a child unfit in another way is for the swap to say.
func (p *publication) debts(ctx context.Context) ([]debt, error) {
	var oids []uint32
	strict := false
	for _, found := range p.parents {
		oids = append(oids, found.OID)
		strict = strict || slices.ContainsFunc(found.Columns, func(c generation.Column) bool { return c.NotNull })
	}
	demanded, err := p.w.checks(ctx, p.w.pool, oids)
	if err != nil {
		return nil, err
	}
	handed, err := p.w.inheritances(ctx, p.w.pool, oids)
	if err != nil || len(demanded)+len(handed) == 0 && !strict {
		return nil, err
	}
	var ids []int64
	for _, s := range p.swaps() {
		if s.To != 0 {
			ids = append(ids, s.To)
		}
	}
	children, err := p.w.children(ctx, p.w.pool, ids)
	if err != nil {
		return nil, err
	}
	oids = nil
	for _, c := range children {
		oids = append(oids, c.OID)
	}
	promised, err := p.w.checks(ctx, p.w.pool, oids)
	if err != nil {
		return nil, err
	}
	has, err := p.w.inheritances(ctx, p.w.pool, oids)
	if err != nil {
		return nil, err
	}
	var debts []debt
	for _, s := range p.swaps() {
		g, found := p.generations[s.To], children[s.To]
		if s.To == 0 || found.OID == 0 || found.OID != g.Child {
			continue
		}
		parent := p.parents[s.Output]
		output := p.w.names.parent(s.Output)
		missing, err := found.missing(g, parent.Columns, output)
		if err != nil {
			return nil, err
		}
		d := debt{generation: g, child: found, columns: missing, parent: output}
		d.inherited, d.stale = lacking(handed, has, parent.OID, found.OID)
		for _, c := range demanded {
			if c.Table == parent.OID && !slices.ContainsFunc(promised, func(has constraint) bool {
				return has.Table == found.OID && has.keeps(c)
			}) {
				d.checks = append(d.checks, c)
			}
		}
		for _, want := range parent.Columns {
			if want.NotNull && slices.ContainsFunc(found.Columns, func(has generation.Column) bool { return has.Name == want.Name && !has.NotNull }) {
				d.notNull = append(d.notNull, want.Name)
			}
		}
		if len(d.checks)+len(d.notNull)+len(d.inherited) > 0 {
			debts = append(debts, d)
		}
	}
	return debts, nil
}

// checks are the CHECK constraints of tables, by name.
func (w *Warehouse) checks(ctx context.Context, q catalog.Querier, tables []uint32) ([]constraint, error) {
	rows, err := q.Query(ctx, `
		SELECT conrelid AS "table", conname AS name, pg_get_constraintdef(oid) AS def, convalidated AS valid
		FROM pg_constraint
		WHERE contype = 'c' AND conrelid = ANY($1)
		ORDER BY conrelid, conname`, tables)
	if err != nil {
		return nil, fmt.Errorf("read constraints: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[constraint])
	if err != nil {
		return nil, fmt.Errorf("read constraints: %w", err)
	}
	return found, nil
}

// proof is the name of the constraint that proves a column free of NULL, so that the column's own mark needs no scan.
func (d debt) proof(i int) string { return fmt.Sprintf("%s_nn%d", childName(d.generation.ID), i+1) }

// promise adds what is lacking for new rows; no row is read.
func (w *Warehouse) promise(d debt) func(context.Context, pgx.Tx) error {
	var actions []string
	if d.child.Parent == 0 {
		for _, c := range d.columns {
			actions = append(actions, "ADD COLUMN IF NOT EXISTS "+postgres.Ident(c.Name)+" "+c.Type)
		}
	}
	add := func(name, def string) {
		actions = append(actions, "DROP CONSTRAINT IF EXISTS "+postgres.Ident(name),
			"ADD CONSTRAINT "+postgres.Ident(name)+" "+def+" NOT VALID")
	}
	for _, c := range d.checks {
		add(c.Name, c.condition())
	}
	for i, column := range d.notNull {
		add(d.proof(i), "CHECK ("+postgres.Ident(column)+" IS NOT NULL)")
	}
	return w.alter(d, actions)
}

// validate reads the rows, under a lock that keeps no reader out.
func (w *Warehouse) validate(d debt) func(context.Context, pgx.Tx) error {
	var actions []string
	for _, c := range d.checks {
		if c.Valid {
			actions = append(actions, "VALIDATE CONSTRAINT "+postgres.Ident(c.Name))
		}
	}
	for i := range d.notNull {
		actions = append(actions, "VALIDATE CONSTRAINT "+postgres.Ident(d.proof(i)))
	}
	return w.alter(d, actions)
}

// demand marks the columns, which the proofs spare a scan, and takes the proofs away.
func (w *Warehouse) demand(d debt) func(context.Context, pgx.Tx) error {
	var marks, drops []string
	for i, column := range d.notNull {
		marks = append(marks, "ALTER COLUMN "+postgres.Ident(column)+" SET NOT NULL")
		drops = append(drops, "DROP CONSTRAINT IF EXISTS "+postgres.Ident(d.proof(i)))
	}
	return w.alter(d, marks, drops)
}

// alter changes a child by some statements of some actions each.
func (w *Warehouse) alter(d debt, statements ...[]string) func(context.Context, pgx.Tx) error {
	return func(ctx context.Context, tx pgx.Tx) error {
		for _, actions := range statements {
			if len(actions) == 0 {
				continue
			}
			if _, err := tx.Exec(ctx, "ALTER TABLE "+w.names.child(d.generation.ID)+" "+strings.Join(actions, ", ")); err != nil {
				return err
			}
		}
		return nil
	}
}

// broken says which demands the rows of a child break, and takes away what was to be promised.
func (w *Warehouse) broken(ctx context.Context, d debt) error {
	child := w.names.child(d.generation.ID)
	var reasons, remedies, drops []string
	look := func(condition, name, remedy string) error {
		var rows int64
		if err := w.pool.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE NOT %s", child, condition)).Scan(&rows); err != nil {
			return err
		}
		if rows > 0 {
			reasons = append(reasons, fmt.Sprintf("%d of its rows break %s, which the table has gained since", rows, name))
			remedies = append(remedies, "ALTER TABLE "+d.parent+" "+remedy)
		}
		return nil
	}
	for _, c := range d.checks {
		drops = append(drops, "DROP CONSTRAINT IF EXISTS "+postgres.Ident(c.Name))
		condition := strings.TrimPrefix(c.condition(), "CHECK ")
		if !c.Valid {
			continue
		}
		if err := look(condition, "constraint "+c.Name, "DROP CONSTRAINT "+postgres.Ident(c.Name)); err != nil {
			return err
		}
	}
	for i, column := range d.notNull {
		drops = append(drops, "DROP CONSTRAINT IF EXISTS "+postgres.Ident(d.proof(i)))
		if err := look("("+postgres.Ident(column)+" IS NOT NULL)", "NOT NULL of column "+column, "ALTER COLUMN "+postgres.Ident(column)+" DROP NOT NULL"); err != nil {
			return err
		}
	}
	if _, err := w.pool.Exec(ctx, "ALTER TABLE "+child+" "+strings.Join(drops, ", ")); err != nil {
		return err
	}
	g := d.generation
	return fault.Newf(fault.Refused, "publish", fmt.Sprintf("generation %d of %s %s", g.ID, g.Output, g.Partition),
		"build it anew with rows that obey, or, before the same command again: "+strings.Join(remedies, "; "), strings.Join(reasons, "; "))
}
