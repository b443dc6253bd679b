package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

const migrationMedia = "application/vnd.drawbridge.migration.v1+json"

// Migrator looks at tables and changes them, step by step, and keeps migrations in the ledger.
type Migrator interface {
	// DescribeTable reads a table of the schema, what the server says of expressions over it, and what it makes of what is over columns
	// that are to be replaced. It locks nothing that anybody waits for.
	DescribeTable(ctx context.Context, table string, expressions []migrate.Typed, replaced ...migrate.Replacement) (migrate.Table, error)
	// DescribeAround adds to a table's description what a migration is about beside it: the tables that its foreign keys are to lead to,
	// and the types that get values.
	DescribeAround(ctx context.Context, d migrate.Table, m migrate.Migration) (migrate.Table, error)
	// BeginMigration enters a migration, once under its key: from here on no other one changes its table. One of the same workflow that
	// was stopped is taken over, with its plan and its phase.
	BeginMigration(ctx context.Context, e migrate.Entry, key effect.Key) (migrate.Standing, error)
	// Migration is the one that an owner has entered; its owner is empty where there is none.
	Migration(ctx context.Context, owner effect.Owner) (migrate.Standing, error)
	// Migrations are those of a pipeline, newest first, ended ones too.
	Migrations(ctx context.Context, pipeline string) ([]migrate.Standing, error)
	// EnterPhase notes the phase. While the environment is on hold contract is not entered: that is an admission.HeldError.
	EnterPhase(ctx context.Context, owner effect.Owner, phase migrate.Phase) error
	// Ungiven says what a migration of a table that releases make waits for before it may go on from a phase. From when the active release
	// gives both shapes, nothing else is published.
	Ungiven(ctx context.Context, owner effect.Owner, phase migrate.Phase) ([]string, error)
	// Unfree says what contract waits for of the releases that make a table, in the deprecation window.
	Unfree(ctx context.Context, owner effect.Owner) ([]string, error)
	// FreeOld lets releases be published that do not give the old shape any more, and says as Unfree does what contract still waits for.
	FreeOld(ctx context.Context, owner effect.Owner) ([]string, error)
	// Unready says what keeps the contract from beginning, as far as the table says: nothing written may be lost by it. It may read the
	// whole table.
	Unready(ctx context.Context, owner effect.Owner, p migrate.Plan, beat func()) ([]string, error)
	// DoStep looks whether a step is done, does it, and looks again. It happens once under its key.
	DoStep(ctx context.Context, spec migrate.StepSpec, beat func(waited time.Duration)) (migrate.StepResult, error)
	// FillTable brings rows over, batch by batch, until the pace says that it is enough. The next call goes on where this one was.
	FillTable(ctx context.Context, owner effect.Owner, p migrate.Plan, pace migrate.Pace) (migrate.Filled, error)
	// FillAgain lets the next call of FillTable look at all rows once more.
	FillAgain(ctx context.Context, owner effect.Owner, p migrate.Plan) (migrate.Filled, error)
	// Prove counts the rows of which a plan's proofs do not hold.
	Prove(ctx context.Context, owner effect.Owner, p migrate.Plan, beat func()) ([]migrate.Checked, error)
	// ReadersOfColumns are what the catalog knows to read columns of a table.
	ReadersOfColumns(ctx context.Context, table string, columns []string) ([]migrate.Reader, error)
	// CallsOf counts what roles call of statements that name what a plan takes away, since the first time that it was asked, or says why
	// that is not to be known.
	CallsOf(ctx context.Context, owner effect.Owner, p migrate.Plan) (migrate.Traffic, error)
	// Deprecated are the migrations here whose deprecation window has begun, and whose contract has not.
	Deprecated(ctx context.Context) ([]migrate.Standing, error)
	// Undone are the steps of some phases of a plan, by their titles, that are not done, or not any more.
	Undone(ctx context.Context, p migrate.Plan, phases ...migrate.Phase) ([]string, error)
	AckMigration(ctx context.Context, owner effect.Owner, a migrate.Ack) error
	// WithdrawAck takes a consumer's word back, until contract has begun. Twice is once.
	WithdrawAck(ctx context.Context, owner effect.Owner, consumer string) error
	// Brownout begins a plan's brownout, or ends it and gives back what it took, and returns how it stands. Once under its key. While the
	// environment is on hold none begins: that is an admission.HeldError.
	Brownout(ctx context.Context, spec migrate.BrownoutSpec) (migrate.Tried, error)
	// BrownoutBlocked is why it cannot begin, as far as the table says; empty: it can.
	BrownoutBlocked(ctx context.Context, p migrate.Plan) ([]string, error)
	// BrownedOut are the migrations whose brownout is on.
	BrownedOut(ctx context.Context) ([]migrate.Standing, error)
	// EndMigration ends one: migrate.Done, or migrate.RolledBack. Twice is once.
	EndMigration(ctx context.Context, owner effect.Owner, how string) error
}

// Migrating are the activities of a migration. What is done is its plan's, which the ledger names by digest: a caller names steps, and
// never says what they are. Each may be repeated, resumed or taken over.
type Migrating struct {
	Site *Site
	Now  func() time.Time
}

// opened is a migration that its workflow has entered.
type opened struct {
	*Migrating
	target   Target
	p        *pipeline.Pipeline
	w        Warehouse
	plan     migrate.Plan
	standing migrate.Standing
}

// open finds the migration that the target's owner has entered, and reads its plan as the ledger names it.
func (a *Migrating) open(ctx context.Context, t Target) (opened, error) {
	p, w, err := a.Site.open(ctx, t)
	if err != nil {
		return opened{}, err
	}
	o := opened{Migrating: a, target: t, p: p, w: w}
	if o.standing, err = w.Migration(ctx, t.Owner); err != nil {
		return o, err
	}
	if o.standing.Owner == "" {
		return o, o.refuse("its workflow has not begun it here", "start it again: drawbridge migrate start "+t.Release.String()+" --env "+t.Environment+" --reason TEXT")
	}
	if o.plan, err = a.read(ctx, o.standing.Plan); err != nil {
		return o, err
	}
	if o.plan.Environment != t.Environment || o.plan.Release.Digest != t.Release.Digest || o.plan.Config != t.Config {
		return o, o.refuse("its plan is about another release or environment", "see where it is: drawbridge status "+t.Owner.Workflow())
	}
	return o, nil
}

func (o opened) refuse(reason, hint string) error {
	return fault.Newf(fault.Refused, "migrate", o.target.Owner.Workflow(), hint, reason)
}

// read reads a plan by its digest, which the store verifies.
func (a *Migrating) read(ctx context.Context, digest string) (migrate.Plan, error) {
	var p migrate.Plan
	body, err := a.Site.Store.Blob(ctx, digest)
	if err != nil {
		return p, fmt.Errorf("fetch plan %s: %w", digest, err)
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return p, fault.New(fault.Invalid, "read plan", digest, "plan it again: drawbridge migrate plan PIPELINE@VERSION --env "+a.Site.Environment, err)
	}
	return p, nil
}

// approved says whether people have approved what the environment's own rule wants approved of the plan at a gate; begun says that what
// that allows has begun, and may go on.
func (o opened) approved(ctx context.Context, name string, begun bool) (said []gate.Gate, ok bool, err error) {
	return o.Migrating.approved(ctx, o.w, o.target.Owner, o.standing.Plan, name, begun)
}

func (a *Migrating) approved(ctx context.Context, w Warehouse, owner effect.Owner, digest, name string, begun bool) (about []gate.Gate, ok bool, err error) {
	said, err := w.Said(ctx, owner)
	if err != nil {
		return nil, false, err
	}
	for _, g := range said {
		if g.Plan == digest {
			about = append(about, g)
		}
	}
	return about, gate.Satisfied(a.Site.Policy.Approval, name, about, a.Now(), begun), nil
}

// EnterPhaseInput names the phase that begins.
type EnterPhaseInput struct {
	Target Target        `json:"target"`
	Phase  migrate.Phase `json:"phase"`
}

// EnteredPhase says whether it has begun, and why not.
type EnteredPhase struct {
	Entered bool `json:"entered"`
	// Since is when it has: earlier, where it had begun already.
	Since time.Time `json:"since,omitzero"`
	// Blocked are why contract waits, and Lapsed that its approval has expired: it may be asked for again.
	Blocked []string `json:"blocked,omitempty"`
	Lapsed  string   `json:"lapsed,omitempty"`
	// Held is why nothing changes for now: a hold.
	Held string `json:"held,omitempty"`
	// Opens is when the deprecation window is over for which contract waits.
	Opens time.Time `json:"opens,omitzero"`
}

// EnterPhase notes in the ledger which phase begins. None is skipped back, and contract begins only when its deprecation window is over,
// its brownout was held, nobody is in its way, people have approved it by an answer of its own, under this environment's rule, both shapes are still written and say
// the same, and nothing is on hold. Of a table that releases make, releases that do not give the old shape are let in from then on, and it
// begins when the active one is such. Twice is once. It heartbeats.
func (a *Migrating) EnterPhase(ctx context.Context, in EnterPhaseInput) (EnteredPhase, error) {
	o, err := a.open(ctx, in.Target)
	if err != nil {
		return EnteredPhase{}, err
	}
	if in.Phase.Before(o.standing.Phase) {
		return EnteredPhase{}, o.refuse(fmt.Sprintf("it is in phase %s already", o.standing.Phase), "see where it is: drawbridge status "+in.Target.Owner.Workflow())
	}
	if in.Phase == migrate.Contract {
		if opens, err := o.window(); err != nil || a.Now().Before(opens) {
			return EnteredPhase{Blocked: []string{"both shapes are kept until " + opens.UTC().Format(time.RFC3339)}, Opens: opens}, err
		}
		if why := o.untried(); why != "" {
			return EnteredPhase{Blocked: []string{why}}, nil
		}
		if blocked, err := o.blocked(ctx); err != nil || len(blocked.Why) > 0 {
			return EnteredPhase{Blocked: blocked.Why}, err
		}
		name := gate.ContractOf(a.Site.Environment)
		said, ok, err := o.approved(ctx, name, o.standing.Phase == migrate.Contract)
		if err != nil {
			return EnteredPhase{}, err
		}
		if !ok {
			why, lapsed := gate.Lack(a.Site.Policy.Approval, name, said, a.Now())
			if lapsed {
				return EnteredPhase{Lapsed: why}, nil
			}
			return EnteredPhase{}, o.refuse("nobody has approved that the old shape is taken away: "+why, "see what it waits for: drawbridge status "+in.Target.Owner.Workflow())
		}
		if o.plan.Given != nil {
			if why, err := o.w.FreeOld(ctx, in.Target.Owner); err != nil || len(why) > 0 {
				return EnteredPhase{Blocked: why}, err
			}
		}
		if o.standing.Phase != migrate.Contract {
			_, stop := pulse(ctx, partition.AllKey)
			defer stop()
			if why, err := o.w.Unready(ctx, in.Target.Owner, o.plan, func() {}); err != nil || len(why) > 0 {
				return EnteredPhase{Blocked: why}, err
			}
		}
	}
	if why, err := o.unproved(ctx, in.Phase); err != nil || why != "" {
		return EnteredPhase{Held: why}, err
	}
	err = o.w.EnterPhase(ctx, in.Target.Owner, in.Phase)
	if held, ok := errors.AsType[admission.HeldError](err); ok {
		return EnteredPhase{Held: held.Reason}, nil
	}
	if err != nil {
		return EnteredPhase{}, err
	}
	at, err := o.w.Migration(ctx, in.Target.Owner)
	return EnteredPhase{Entered: true, Since: at.PhaseSince}, err
}

// window is when the deprecation window is over, as the ledger has its beginning: no caller's timer is asked. It refuses where it has not
// begun.
func (o opened) window() (over time.Time, err error) {
	switch o.standing.Phase {
	case migrate.Contract:
		return time.Time{}, nil
	case migrate.Deprecating:
		return o.standing.PhaseSince.Add(o.plan.Migration.Deprecate.Window), nil
	case migrate.Expand, migrate.DualWrite, migrate.Backfill, migrate.Verify, migrate.Switch:
	}
	return time.Time{}, o.refuse("its deprecation window has not begun", "see where it is: drawbridge status "+o.target.Owner.Workflow())
}

// Blocked is who or what keeps the old shape from being taken away.
type Blocked struct {
	// Missing are the consumers who have not said yet that they are ready.
	Missing []string `json:"missing,omitempty"`
	// Readers read what is taken away; those that are only guessed are in nobody's way.
	Readers []migrate.Reader `json:"readers,omitempty"`
	// Unseen is why nothing is known of those who read it by statements of their own; empty: it is.
	Unseen string        `json:"unseen,omitempty"`
	Acks   []migrate.Ack `json:"acks,omitempty"`
	// Why is what is in the way, in words; none: nothing is.
	Why []string `json:"why,omitempty"`
}

// readersKept bounds how many readers are carried and shown.
const readersKept = 40

// Blockers looks who or what keeps the old shape from being taken away: of a table that releases make, these too. It changes nothing.
func (a *Migrating) Blockers(ctx context.Context, t Target) (Blocked, error) {
	o, err := a.open(ctx, t)
	if err != nil {
		return Blocked{}, err
	}
	out, err := o.blocked(ctx)
	if err != nil || o.plan.Given == nil {
		return out, err
	}
	why, err := o.w.Unfree(ctx, t.Owner)
	out.Why = atMost(append(out.Why, why...))
	return out, err
}

// atMost bounds what is said to be in the way.
func atMost(why []string) []string {
	if len(why) <= readersKept {
		return why
	}
	return append(why[:readersKept:readersKept], fmt.Sprintf("and %d more", len(why)-readersKept))
}

// blocked is who needs the old shape still, whatever releases give: those that leave it out are let in when nobody does.
func (o opened) blocked(ctx context.Context) (Blocked, error) {
	var mustAck []string
	for _, c := range o.plan.Migration.Consumers {
		if c.MustAck {
			mustAck = append(mustAck, c.Name)
		}
	}
	out := Blocked{Acks: o.standing.Acks, Missing: migrate.Missing(mustAck, o.standing.Acks)}
	for _, name := range out.Missing {
		out.Why = append(out.Why, name+" has not said that it is ready")
	}
	if len(o.plan.Old) == 0 && o.plan.Renamed == "" {
		return out, nil
	}
	readers, err := o.releases(ctx)
	if err != nil {
		return out, err
	}
	known, err := o.known(ctx)
	if err != nil {
		return out, err
	}
	readers = append(readers, known...)
	for _, r := range readers {
		if !r.Guessed {
			why := fmt.Sprintf("the %s %s reads %s", r.Kind, r.Name, r.Column)
			if to := o.plan.Migration.Instead(r.Column); to != "" {
				why += " (let it read " + to + " instead)"
			}
			out.Why = append(out.Why, why)
		}
	}
	if o.standing.Phase == migrate.Deprecating { // before the switch the old shape is what is to be read, and after contract has begun nothing holds it up
		if err := o.w.EnsureLedger(ctx); err != nil { // an earlier program may have begun it
			return out, err
		}
		traffic, err := o.w.CallsOf(ctx, o.target.Owner, o.plan)
		if err != nil {
			return out, err
		}
		callers, why := o.plan.Migration.Callers(traffic, o.Now())
		readers, out.Why, out.Unseen = append(readers, callers...), append(out.Why, why...), traffic.Unseen
	}
	out.Readers = readers[:min(len(readers), readersKept)]
	out.Why = atMost(out.Why)
	return out, nil
}

// AckInput is a consumer's word.
type AckInput struct {
	Target Target      `json:"target"`
	Ack    migrate.Ack `json:"ack"`
}

// Ack notes a consumer's word that it is ready. The first word of a consumer stays. Twice is once.
func (a *Migrating) Ack(ctx context.Context, in AckInput) error {
	o, err := a.open(ctx, in.Target)
	if err != nil {
		return err
	}
	if err := o.mayAck(in.Ack.Consumer); err != nil {
		return err
	}
	if err := o.w.AckMigration(ctx, in.Target.Owner, in.Ack); err != nil {
		return err
	}
	return o.acknowledged(ctx, in.Ack)
}

// WithdrawAck takes a consumer's word back, until contract has begun: it is waited for again. Twice is once.
func (a *Migrating) WithdrawAck(ctx context.Context, in AckInput) error {
	o, err := a.open(ctx, in.Target)
	if err != nil {
		return err
	}
	if err := o.mayAck(in.Ack.Consumer); err != nil {
		return err
	}
	if err := o.w.WithdrawAck(ctx, in.Target.Owner, in.Ack.Consumer); err != nil {
		return err
	}
	return o.withdrawn(ctx, in.Ack)
}

// mayAck refuses the word of whoever is no consumer of it.
func (o opened) mayAck(consumer string) error {
	for _, c := range o.plan.Migration.Consumers {
		if c.Name == consumer {
			return nil
		}
	}
	return o.refuse(fault.Bound(consumer)+" is no consumer of it", "see who is: drawbridge status "+o.target.Owner.Workflow())
}

// EndMigrationInput ends a migration.
type EndMigrationInput struct {
	Target Target `json:"target"`
	How    string `json:"how"`
}

// EndedMigration is what there is to do after a migration.
type EndedMigration struct {
	// Next is the first migration of the release that is not done there; empty: all are.
	Next string `json:"next,omitempty"`
}

// End ends a migration: its table is free for others. One that was never begun here has ended. Twice is once. It is done when all that its
// plan says is.
func (a *Migrating) End(ctx context.Context, in EndMigrationInput) (EndedMigration, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return EndedMigration{}, err
	}
	if err := a.end(ctx, w, in); err != nil || in.How != migrate.Done {
		return EndedMigration{}, err
	}
	there, err := w.Migrations(ctx, p.Name)
	if err != nil {
		return EndedMigration{}, err
	}
	for _, m := range p.Migrations {
		if !doneIn(there, m.Name) {
			return EndedMigration{Next: m.Name}, nil
		}
	}
	return EndedMigration{}, nil
}

func (a *Migrating) end(ctx context.Context, w Warehouse, in EndMigrationInput) error {
	at, err := w.Migration(ctx, in.Target.Owner)
	if err != nil || at.Owner == "" || at.Ended == in.How {
		return err
	}
	switch {
	case in.How == migrate.RolledBack && at.Phase == migrate.Contract:
		return fault.Newf(fault.Refused, "roll back", in.Target.Owner.Workflow(), "let it go on: drawbridge status "+in.Target.Owner.Workflow(), "it is past its point of no return")
	case in.How == migrate.Done:
		o, err := a.open(ctx, in.Target)
		if err != nil {
			return err
		}
		if err := o.whole(ctx); err != nil {
			return err
		}
	}
	defer a.Site.changed()
	return w.EndMigration(ctx, in.Target.Owner, in.How)
}

// whole refuses what is not done to the end of its plan.
func (o opened) whole(ctx context.Context) error {
	phases := switched()
	if len(o.plan.Of(migrate.Contract)) > 0 { // it takes away some of what the steps before it have made
		if o.standing.Phase != migrate.Contract {
			return o.refuse("its contract has not begun", "see where it is: drawbridge status "+o.target.Owner.Workflow())
		}
		phases = []migrate.Phase{migrate.Contract}
	}
	if g := o.plan.Given; g != nil && len(g.New) > 0 && o.standing.Phase.Before(migrate.Switch) {
		return o.refuse("it is not switched", "see where it is: drawbridge status "+o.target.Owner.Workflow())
	}
	return o.done(ctx, phases)
}

// switched are the phases after which the new shape counts.
func switched() []migrate.Phase {
	return []migrate.Phase{migrate.Expand, migrate.DualWrite, migrate.Switch}
}

// done refuses what the table does not bear out.
func (o opened) done(ctx context.Context, phases []migrate.Phase) error {
	undone, err := o.w.Undone(ctx, o.plan, phases...)
	if err == nil && len(undone) > 0 {
		err = o.refuse("this is not done, or not any more: "+strings.Join(undone[:min(len(undone), readersKept)], "; "), "see where it is: drawbridge status "+o.target.Owner.Workflow())
	}
	return err
}
