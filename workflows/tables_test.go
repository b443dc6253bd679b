package workflows_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/backfill"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/release"
	"drawbridge/internal/throttle"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// tables is a warehouse with one table that migrations change: which steps are done, and what the ledger has of them. It does each
// effect once under its key, and refuses what a warehouse refuses.
type tables struct {
	mu        sync.Mutex
	standings []migrate.Standing // newest last
	done      []string           // IDs of the steps that are done, in order
	log       []string           // all that was changed, in order
	effects   map[effect.Key]bool
	rows      int64
	broken    int64  // rows that break each proof
	again     string // what builds them again
	readers   []migrate.Reader
	unready   []string // what the table says against contract
	odd       []string // why the rights on the table could not be given back
	// made says that the pipeline's releases make the table; ungiven is what they do not give yet, and unfree what they still give.
	made            bool
	ungiven, unfree []string
	// proved is how often rows were counted, and proves happens then.
	proved int
	proves func()
	// meddle stands in a step's way: a result that is not done is what the step says. It is called with the tables held.
	meddle func(migrate.StepSpec) (migrate.StepResult, error)
	// piece stands in a backfill's way, in the same way; false: nothing is in it.
	piece func(n int) (migrate.Filled, bool)
	calls int
	lanes []int // in which each call brings rows over
	// load is what the one signal of the warehouse is, at each look.
	load func() float64
}

func (l *ledger) Sample(_ context.Context, limits []throttle.Limit) ([]throttle.Reading, error) {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	return []throttle.Reading{{Limit: limits[0], Value: x.load()}}, nil
}

// migrationFile renames a column that bi reads.
const migrationFile = `table: sales
why: the shop sells in several channels
operations:
  - rename_column: {column: chan, to: channel}
consumers:
  - {name: bi, must_ack: true}
  - {name: ops}
deprecate: {window: 48h}
`

const migrationID = "migrate/shop/prod/0001_channel"

// migrates is an environment with a table, and a release with a migration of it.
func migrates(t *testing.T) (*effects, *tables) {
	t.Helper()
	e := smooth(t, crossing("prod"))
	e.shelf.files["migrations/0001_channel.yaml"] = []byte(migrationFile)
	x := &tables{effects: map[effect.Key]bool{}, rows: 1000}
	e.ledgers["prod"].tables = x
	return e, x
}

func (e *effects) migrating(t activities.Target) *activities.Migrating {
	return &activities.Migrating{Site: e.sites[t.Environment], Now: func() time.Time { return e.clock() }}
}

func migrationInput() workflows.MigrationInput {
	return workflows.MigrationInput{Pipeline: "shop", Environment: "prod", Release: candidate(), Name: "0001_channel", By: "ann", Reason: "channels"}
}

func (x *tables) at(owner effect.Owner) *migrate.Standing {
	for i := range x.standings {
		if x.standings[i].Owner == owner {
			return &x.standings[i]
		}
	}
	return nil
}

// entered is the migration of an owner.
func (x *tables) entered(owner effect.Owner) (migrate.Standing, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.at(owner); s != nil {
		return *s, nil
	}
	return migrate.Standing{}, nil
}

func (l *ledger) DescribeAround(_ context.Context, d migrate.Table, _ migrate.Migration) (migrate.Table, error) {
	return d, nil
}

func (l *ledger) DescribeTable(_ context.Context, table string, expressions []migrate.Typed, _ ...migrate.Replacement) (migrate.Table, error) {
	t := migrate.Table{
		Schema: "shop_prod", Name: table, OID: 1, Kind: "table", Owned: true, Rows: l.tables.rows, Bytes: 1 << 20, Pages: 128, Version: 150018, Key: []string{"id"},
		Columns:     []migrate.Column{{Name: "id", Type: "bigint", NotNull: true}, {Name: "chan", Type: "text", NotNull: true}},
		Expressions: map[string]migrate.Expression{},
	}
	if l.tables.made {
		t.Kind, t.Managed, t.Pipeline = "partitioned table", true, "shop"
		t.Columns[1].NotNull = false
	}
	for _, e := range expressions {
		t.Expressions[e.Key()] = migrate.Expression{Type: e.Type, Text: e.Expression}
	}
	return t, nil
}

func (l *ledger) BeginMigration(_ context.Context, e migrate.Entry, key effect.Key) (migrate.Standing, error) {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.at(key.Owner); s != nil {
		return *s, nil
	}
	for i := range x.standings {
		s := &x.standings[i]
		switch {
		case s.Ended != "":
		case s.Owner.Workflow() != key.Owner.Workflow():
			return migrate.Standing{}, fault.Newf(fault.Conflict, "begin", e.Plan.Migration.Name, "wait for it", s.Owner.Workflow()+" changes the table")
		default:
			s.Owner = key.Owner
			return *s, nil
		}
	}
	x.standings = append(x.standings, migrate.Standing{
		Owner: key.Owner, Pipeline: e.Plan.Release.Pipeline, Name: e.Plan.Migration.Name, Table: e.Plan.Migration.Table, Plan: e.Digest,
		Phase: migrate.Expand, By: e.By, Reason: e.Reason,
	})
	return x.standings[len(x.standings)-1], nil
}

func (l *ledger) Migration(_ context.Context, owner effect.Owner) (migrate.Standing, error) {
	return l.tables.entered(owner)
}

func (l *ledger) Migrations(context.Context, string) ([]migrate.Standing, error) {
	l.tables.mu.Lock()
	defer l.tables.mu.Unlock()
	all := slices.Clone(l.tables.standings)
	slices.Reverse(all)
	return all, nil
}

func (l *ledger) Unready(context.Context, effect.Owner, migrate.Plan, func()) ([]string, error) {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.unready, nil
}

func (l *ledger) Undone(_ context.Context, p migrate.Plan, phases ...migrate.Phase) ([]string, error) {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	var titles []string
	for _, phase := range phases {
		for _, s := range p.Of(phase) {
			if !slices.Contains(x.done, s.ID) {
				titles = append(titles, s.Title)
			}
		}
	}
	return titles, nil
}

func (l *ledger) EnterPhase(_ context.Context, owner effect.Owner, phase migrate.Phase) error {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.at(owner)
	if l.hold != "" && phase == migrate.Contract {
		return admission.HeldError{Reason: "the environment is on hold: " + l.hold}
	}
	if phase == migrate.Switch && len(x.ungiven) > 0 {
		return admission.HeldError{Reason: x.ungiven[0]}
	}
	if s.Phase != phase {
		x.log = append(x.log, "phase "+string(phase))
		s.PhaseSince = l.clock()
	}
	s.Phase = phase
	return nil
}

func (l *ledger) DoStep(_ context.Context, spec migrate.StepSpec, _ func(time.Duration)) (migrate.StepResult, error) {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.effects[spec.Key] {
		return migrate.StepResult{Done: true}, nil
	}
	s := x.at(spec.Owner)
	if l.hold != "" && !spec.Undo {
		return migrate.StepResult{Held: "the environment is on hold: " + l.hold}, nil
	}
	if x.meddle != nil {
		if res, err := x.meddle(spec); err != nil || !res.Done {
			return res, err
		}
	}
	there := slices.Contains(x.done, spec.Step.ID)
	switch {
	case s.Brownout.On():
		return migrate.StepResult{}, fault.Newf(fault.Conflict, "do", spec.Step.ID, "end it", "its brownout is on")
	case s.Back && !spec.Undo:
		return migrate.StepResult{}, fault.Newf(fault.Conflict, "do", spec.Step.ID, "let it go back", "its steps are undone")
	case spec.Undo && there:
		if last := x.done[len(x.done)-1]; last != spec.Step.ID {
			return migrate.StepResult{}, fmt.Errorf("%s is undone before %s", spec.Step.ID, last)
		}
		x.done = x.done[:len(x.done)-1]
		x.log = append(x.log, "undo "+spec.Step.ID)
	case !spec.Undo && !there:
		x.done = append(x.done, spec.Step.ID)
		x.log = append(x.log, "do "+spec.Step.ID)
	}
	s.Back = s.Back || spec.Undo
	x.effects[spec.Key] = true
	return migrate.StepResult{Done: true}, nil
}

func (l *ledger) FillAgain(context.Context, effect.Owner, migrate.Plan) (migrate.Filled, error) {
	l.tables.set(func() { l.tables.log = append(l.tables.log, "fill again") })
	return migrate.Filled{}, nil
}

func (l *ledger) FillTable(_ context.Context, owner effect.Owner, _ migrate.Plan, pace migrate.Pace) (migrate.Filled, error) {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	x.calls++
	x.lanes = append(x.lanes, pace.Lanes)
	if x.piece != nil {
		if f, instead := x.piece(x.calls); instead {
			return f, nil
		}
	}
	x.log = append(x.log, "fill")
	return migrate.Filled{Rows: x.rows, Total: x.rows, Done: true, Batch: 500}, nil
}

func (l *ledger) Prove(_ context.Context, _ effect.Owner, p migrate.Plan, _ func()) ([]migrate.Checked, error) {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	x.proved++
	if x.proves != nil {
		x.proves()
	}
	var out []migrate.Checked
	for _, proof := range p.Proofs {
		out = append(out, migrate.Checked{Proof: proof.Name, Rows: x.rows, Broken: x.broken, Again: x.again})
	}
	return out, nil
}

func (l *ledger) CallsOf(context.Context, effect.Owner, migrate.Plan) (migrate.Traffic, error) {
	return migrate.Traffic{Unseen: "pg_stat_statements is not installed in this database"}, nil
}

func (l *ledger) ReadersOfColumns(context.Context, string, []string) ([]migrate.Reader, error) {
	l.tables.mu.Lock()
	defer l.tables.mu.Unlock()
	return l.tables.readers, nil
}

// No pipeline reads the table.
func (l *ledger) ReadersOf(context.Context, string, []string) ([]backfill.Reader, []release.Tenure, error) {
	return nil, nil, nil
}

func (l *ledger) WithdrawAck(_ context.Context, owner effect.Owner, consumer string) error {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.at(owner)
	s.Acks = slices.DeleteFunc(s.Acks, func(a migrate.Ack) bool { return a.Consumer == consumer })
	return nil
}

func (l *ledger) AckMigration(_ context.Context, owner effect.Owner, a migrate.Ack) error {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.at(owner)
	if !slices.ContainsFunc(s.Acks, func(have migrate.Ack) bool { return have.Consumer == a.Consumer }) {
		s.Acks = append(s.Acks, a)
	}
	return nil
}

func (l *ledger) BrownoutBlocked(context.Context, migrate.Plan) ([]string, error) {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.odd, nil
}

func (l *ledger) Brownout(_ context.Context, spec migrate.BrownoutSpec) (migrate.Tried, error) {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.at(spec.Owner)
	b := &s.Brownout
	if x.effects[spec.Key] || spec.On == b.On() {
		return *b, nil
	}
	if spec.On {
		if l.hold != "" {
			return *b, admission.HeldError{Reason: "the environment is on hold: " + l.hold}
		}
		*b = migrate.Tried{Since: l.clock()}
		x.log = append(x.log, "dark")
	} else {
		b.Until = l.clock()
		b.Held = b.Until.Sub(b.Since) >= spec.Plan.Brownout.For
		x.log = append(x.log, "light")
	}
	x.effects[spec.Key] = true
	return *b, nil
}

func (l *ledger) EndMigration(_ context.Context, owner effect.Owner, how string) error {
	x := l.tables
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.at(owner); s.Ended == "" {
		s.Ended = how
		x.log = append(x.log, how)
	}
	return nil
}

// changes are all that was changed so far.
func (x *tables) changes() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.log)
}

// left are the steps that are done.
func (x *tables) left() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.done)
}

// set changes the tables as somebody else would.
func (x *tables) set(do func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	do()
}

// session is somebody in the way.
func session() generation.Session {
	return generation.Session{PID: 42, User: "bi", State: "idle in transaction", Holds: "ACCESS SHARE"}
}

// ready is a consumer's word.
func ready(consumer string) conduct.Command {
	return conduct.Command{Kind: conduct.Ack, By: "bob", Items: []string{consumer}}
}

// yesTo decides a gate of a migration.
func yesTo(name string, choice gate.Choice, plan string) gate.Decision {
	return gate.Decision{Gate: name, Plan: plan, Choice: choice, By: "bob", Reason: "so"}
}
