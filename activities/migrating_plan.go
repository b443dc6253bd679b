package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// PlanMigrationInput asks for a plan: of the migration of a name, or, without one, of the first that is not done there. Without a
// release it is about the one that the owner's workflow has open there.
type PlanMigrationInput struct {
	Target Target `json:"target"`
	Name   string `json:"name,omitempty"`
	// Rollback asks for the open one only, to take it back.
	Rollback bool `json:"rollback,omitempty"`
	// GiveUp gives up the way back to generations that lack what is new.
	GiveUp bool `json:"give_up,omitempty"`
	// Begins says that it is to begin, as soon as people have approved it.
	Begins bool `json:"begins,omitempty"`
}

// MigrationPlan is a plan, as workflows carry it, and where it is to be done.
type MigrationPlan struct {
	Target  Target          `json:"target"`
	Summary migrate.Summary `json:"summary"`
	Rule    gate.Approval   `json:"rule"` // of every gate there
	// Tells says that the environment's policy has somebody told what happens there.
	Tells bool `json:"tells,omitempty"`
	// Open is how it stands, where it has begun already: then the plan is the one by which it has. Approved is by whom, by gate, as far as what
	// people have answered about that plan counts: whichever start of its workflow they answered, they are not asked again.
	Open     migrate.Standing  `json:"open,omitzero"`
	Approved map[string]string `json:"approved,omitempty"`
	// Lacks is why it could not begin now, where another environment has to come first; empty: nothing is in its way.
	Lacks string `json:"lacks,omitempty"`
	// Nothing says that every migration of the release is done there.
	Nothing bool `json:"nothing,omitempty"`
}

// Plan computes a plan, and keeps it in the store. It changes nothing else, and may be repeated. The ledger of one that is to begin joins the
// environment, so that a hold which is set while people are asked finds it.
func (a *Migrating) Plan(ctx context.Context, in PlanMigrationInput) (MigrationPlan, error) {
	c, err := a.compute(ctx, in)
	if err != nil || c.nothing {
		return MigrationPlan{Target: c.target, Nothing: c.nothing}, a.Site.atOnce(err)
	}
	out, err := a.planned(ctx, c)
	if err != nil || c.open.Owner != "" {
		return out, err
	}
	if in.Begins {
		if err := (&Admitting{Site: a.Site}).settle(ctx, c.target, c.p, c.w); err != nil {
			return MigrationPlan{}, err
		}
	}
	lacks := a.Site.migrates(ctx, c.target.Release, c.plan.Migration.Name)
	if fault.ClassOf(lacks) == fault.Refused { // nobody is asked about what cannot begin
		out.Lacks = errors.Unwrap(lacks).Error() + "; " + fault.HintOf(lacks)
		return out, nil
	}
	return out, lacks
}

// planned keeps a plan, and sums it up.
func (a *Migrating) planned(ctx context.Context, c computedMigration) (MigrationPlan, error) {
	digest, err := a.Site.Store.PutBlob(ctx, migrationMedia, migrate.Canonical(c.plan))
	if err != nil {
		return MigrationPlan{}, fmt.Errorf("keep plan: %w", err)
	}
	if digest != migrate.Digest(c.plan) {
		return MigrationPlan{}, fault.Newf(fault.Invalid, "keep plan", migrate.Digest(c.plan), "report this", "the store knows it by another digest: "+digest)
	}
	summary := migrate.Summarize(c.plan, c.estimate)
	if summary.Fills {
		summary.Lanes = a.Site.Policy.Publish.Lanes
	}
	out := MigrationPlan{
		Target: c.target, Summary: summary, Rule: a.Site.Policy.Approval, Tells: a.Site.Policy.Notify.Tells(), Open: c.open,
	}
	if c.open.Owner == "" {
		return out, nil
	}
	_, out.Approved, err = a.approvals(ctx, c.w, c.open)
	return out, err
}

// approvals are the gates of an open migration at which people have answered what counts, and by whom each is approved. That it begins is
// approved for good; that it takes the old shape away for as long as the answers count, or for good once it does.
func (a *Migrating) approvals(ctx context.Context, w Warehouse, at migrate.Standing) (yes []gate.Gate, by map[string]string, err error) {
	by = map[string]string{}
	for _, name := range []string{gate.ApprovalOf(a.Site.Environment), gate.ContractOf(a.Site.Environment)} {
		begun := name == gate.ApprovalOf(a.Site.Environment) || at.Phase == migrate.Contract
		about, ok, err := a.approved(ctx, w, at.Owner, at.Plan, name, begun)
		if err != nil {
			return nil, nil, err
		}
		var people []string
		for _, g := range about {
			if !ok || !gate.Is(g.Name, name) {
				continue
			}
			yes = append(yes, g)
			for _, said := range g.Answers {
				if !slices.Contains(people, said.By) {
					people = append(people, said.By)
				}
			}
		}
		if ok {
			by[name] = strings.Join(people, ", ")
		}
	}
	return yes, by, nil
}

// inherit lets what people have answered to an earlier start of a migration's workflow count for the one that goes on with it.
func (a *Migrating) inherit(ctx context.Context, c computedMigration, t Target) error {
	if c.open.Owner == t.Owner || c.open.Owner.Workflow() != t.Owner.Workflow() {
		return nil
	}
	yes, _, err := a.approvals(ctx, c.w, c.open)
	for _, g := range yes {
		if err := c.w.RecordAnswers(ctx, t.Owner, c.target.Release, g); err != nil {
			return err
		}
	}
	return err
}

// computedMigration is a plan, and what it was computed from.
type computedMigration struct {
	target   Target
	p        *pipeline.Pipeline
	w        Warehouse
	plan     migrate.Plan
	estimate migrate.Estimate
	open     migrate.Standing
	nothing  bool
}

// compute plans by the table as it is now. One that has begun keeps the plan by which it has.
func (a *Migrating) compute(ctx context.Context, in PlanMigrationInput) (c computedMigration, err error) {
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	c.target = in.Target
	if in.Target.Release.Digest == "" {
		return a.found(ctx, in.Target, in.Name)
	}
	if c.p, c.w, err = a.Site.open(ctx, in.Target); err != nil {
		return c, err
	}
	if c.target.Release, err = a.Site.called(ctx, c.p, in.Target.Release.Digest); err != nil {
		return c, err
	}
	if err := c.w.EnsureLedger(ctx); err != nil {
		return c, err
	}
	there, err := c.w.Migrations(ctx, c.p.Name)
	if err != nil {
		return c, err
	}
	m, err := a.choose(c.p, in.Name, there)
	if err != nil || m.Name == "" {
		c.nothing = err == nil
		return c, err
	}
	if at, ok := openOf(there, m.Name); ok {
		return a.resumed(ctx, c, at)
	}
	if in.Rollback {
		return c, noneOpen(in.Target, m.Name, "")
	}
	table, err := c.w.DescribeTable(ctx, m.Table, migrate.Expressions(m), migrate.Replacements(m)...)
	if err != nil {
		return c, err
	}
	if table, err = c.w.DescribeAround(ctx, table, m); err != nil {
		return c, err
	}
	c.plan, err = migrate.Compute(migrate.Input{Migration: m, Release: c.target.Release, Config: c.target.Config, Environment: a.Site.Environment, Table: table, Outputs: outputsOf(c.p), GiveUp: in.GiveUp})
	if err != nil {
		return c, err
	}
	c.estimate = migrate.Measure(c.plan, table)
	return c, nil
}

func outputsOf(p *pipeline.Pipeline) []string {
	names := make([]string, len(p.Outputs))
	for i, out := range p.Outputs {
		names[i] = out.Table
	}
	return names
}

// resumed is the plan of one that has begun.
func (a *Migrating) resumed(ctx context.Context, c computedMigration, at migrate.Standing) (computedMigration, error) {
	var err error
	if c.plan, err = a.read(ctx, at.Plan); err != nil {
		return c, err
	}
	c.open, c.target.Release, c.target.Config = at, c.plan.Release, c.plan.Config
	if c.p, c.w, err = a.Site.open(ctx, c.target); err != nil {
		return c, err
	}
	table, err := c.w.DescribeTable(ctx, c.plan.Migration.Table, nil)
	c.estimate = migrate.Measure(c.plan, table)
	return c, err
}

// found is the open migration of a name, wherever the pipeline has been.
func (a *Migrating) found(ctx context.Context, t Target, name string) (c computedMigration, err error) {
	var at *migrate.Standing
	ended := ""
	failed, err := a.Site.places(ctx, t, []string{t.Config}, func(p place) (done bool, err error) {
		there, err := p.w.Migrations(ctx, t.Release.Pipeline)
		if err != nil {
			return true, err
		}
		for _, s := range there {
			switch {
			case s.Name != name:
			case s.Ended == "":
				at, c.target = &s, p.target
				return true, nil
			default:
				ended = cmp.Or(ended, s.Ended)
			}
		}
		return false, nil
	})
	switch {
	case err != nil:
		return c, err
	case at != nil:
		return a.resumed(ctx, c, *at)
	}
	return c, cmp.Or(failed, noneOpen(t, name, ended))
}

// noneOpen is the refusal to take back what is not under way; ended is how it did, if it ever began.
func noneOpen(t Target, name, ended string) error {
	reason := "it has not begun in " + t.Environment
	switch ended {
	case migrate.Done:
		reason = "it is done in " + t.Environment + ", and nothing brings the old shape back"
	case migrate.RolledBack:
		reason = "it was rolled back in " + t.Environment + " already"
	}
	return fault.Newf(fault.Refused, "roll back", name, "see what is there: drawbridge migrate status "+t.Release.Pipeline, reason)
}

// openOf is the open migration of a name.
func openOf(there []migrate.Standing, name string) (migrate.Standing, bool) {
	at := slices.IndexFunc(there, func(s migrate.Standing) bool { return s.Name == name && s.Ended == "" })
	if at < 0 {
		return migrate.Standing{}, false
	}
	return there[at], true
}

// doneIn says whether the one of a name is done.
func doneIn(there []migrate.Standing, name string) bool {
	return slices.ContainsFunc(there, func(s migrate.Standing) bool { return s.Name == name && s.Ended == migrate.Done })
}

// choose is the migration that is meant; of no name: all are done there.
func (a *Migrating) choose(p *pipeline.Pipeline, name string, there []migrate.Standing) (migrate.Migration, error) {
	done := func(name string) bool { return doneIn(there, name) }
	var names []string
	for i, m := range p.Migrations {
		names = append(names, m.Name)
		switch {
		case name != "" && m.Name != name, name == "" && done(m.Name):
			continue
		case done(m.Name):
			return migrate.Migration{}, fault.Newf(fault.Refused, "migrate", m.Name, "see it: drawbridge migrate status "+p.Name, "it is done in "+a.Site.Environment)
		}
		for _, earlier := range p.Migrations[:i] {
			if earlier.Table == m.Table && !done(earlier.Name) {
				return migrate.Migration{}, fault.Newf(fault.Refused, "migrate", m.Name,
					fmt.Sprintf("do that first: drawbridge migrate start %s@%s %s --env %s --reason TEXT", p.Name, p.Version, earlier.Name, a.Site.Environment),
					fmt.Sprintf("%s changes %s too, comes before it, and is not done in %s", earlier.Name, m.Table, a.Site.Environment))
			}
		}
		return m, nil
	}
	switch {
	case len(names) == 0:
		return migrate.Migration{}, fault.Newf(fault.Invalid, "migrate", p.Name+"@"+p.Version, "write migrations/0001_NAME.yaml", "the release has no migrations")
	case name == "":
		return migrate.Migration{}, nil
	}
	return migrate.Migration{}, fault.Newf(fault.Invalid, "find migration", name, "choose one of "+strings.Join(names, ", "), "the release has none of this name")
}

// BeginMigrationInput is a migration that begins by a plan, or is taken over from a workflow that was stopped.
type BeginMigrationInput struct {
	Target Target `json:"target"`
	Name   string `json:"name"`
	Plan   string `json:"plan"` // digest
	By     string `json:"by"`
	Reason string `json:"reason"`
	// Rollback takes it over only to take it back.
	Rollback bool `json:"rollback,omitempty"`
	// GiveUp gives up the way back to generations that lack what is new.
	GiveUp bool `json:"give_up,omitempty"`
}

// Begin enters a migration, when the table is still as it was planned and people have approved what this environment's own policy wants
// approved: from here on no other one changes its table. One that has begun is taken over. Twice is once.
func (a *Migrating) Begin(ctx context.Context, in BeginMigrationInput) (MigrationPlan, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return MigrationPlan{}, err
	}
	if at, err := w.Migration(ctx, in.Target.Owner); err != nil {
		return MigrationPlan{}, err
	} else if at.Owner != "" && at.Plan == in.Plan { // an attempt before this one has begun it
		c, err := a.resumed(ctx, computedMigration{target: in.Target}, at)
		if err != nil {
			return MigrationPlan{}, err
		}
		return a.planned(ctx, c)
	}
	c, err := a.compute(ctx, PlanMigrationInput{Target: in.Target, Name: in.Name, Rollback: in.Rollback, GiveUp: in.GiveUp})
	if class := fault.ClassOf(err); !in.Rollback && (class == fault.Invalid || class == fault.Refused) { // it could be planned before
		return MigrationPlan{}, fault.New(fault.Conflict, "begin", in.Name, fault.HintOf(err), fmt.Errorf("it is not as it was when this was planned: %w", err))
	}
	if err != nil {
		return MigrationPlan{}, err
	}
	if c.nothing || migrate.Digest(c.plan) != in.Plan {
		return MigrationPlan{}, fault.Newf(fault.Conflict, "begin", in.Name, "start it again: drawbridge migrate start "+in.Target.Release.String()+" "+in.Name+" --env "+in.Target.Environment+" --reason TEXT",
			"the table is not as it was when this was planned")
	}
	if err := a.inherit(ctx, c, in.Target); err != nil {
		return MigrationPlan{}, err
	}
	if err := a.mayBegin(ctx, c, in); err != nil {
		return MigrationPlan{}, err
	}
	c.open, err = c.w.BeginMigration(ctx, migrate.Entry{Plan: c.plan, Digest: in.Plan, By: in.By, Reason: in.Reason}, in.Target.Effect("begin-migration", "", 0))
	if err != nil {
		return MigrationPlan{}, err
	}
	return a.planned(ctx, c)
}

// mayBegin holds a migration that begins to what this environment wants of it. To take one back, nothing is wanted.
func (a *Migrating) mayBegin(ctx context.Context, c computedMigration, in BeginMigrationInput) error {
	if in.Rollback || c.open.Back {
		return nil
	}
	if by := c.open.Owner.Workflow(); c.open.Owner != "" && by != in.Target.Owner.Workflow() {
		return fault.Newf(fault.Conflict, "begin", in.Name, "see it: drawbridge status "+by, by+" has it open")
	}
	if err := a.Site.migrates(ctx, c.target.Release, in.Name); err != nil {
		return err
	}
	if c.plan.Filling != nil {
		if blind, err := a.Site.blind(ctx, c.w); err != nil || len(blind) > 0 {
			return cmp.Or(err, refused("migrate", in.Name, blind))
		}
	}
	if err := (&Admitting{Site: a.Site}).settle(ctx, c.target, c.p, c.w); err != nil {
		return err
	}
	if a.Site.Policy.Approval.Required {
		name := gate.ApprovalOf(a.Site.Environment)
		if _, ok, err := a.approved(ctx, c.w, in.Target.Owner, in.Plan, name, c.open.Owner != ""); err != nil || !ok {
			return cmp.Or(err, error(fault.Newf(fault.Refused, "begin", in.Name, "start it again, and approve its plan", "no approval of its plan is recorded")))
		}
	}
	if a.Site.beyond(c.p) {
		return a.Site.Store.Claim(ctx, c.target.Release)
	}
	return nil
}

// migrates refuses a migration of a release that was yanked, or that is not verified and switched in an environment that the policy of
// this one wants to have come first.
func (s *Site) migrates(ctx context.Context, r release.Release, name string) error {
	have, err := s.Store.Statements(ctx, r.Digest)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	switched := map[string]bool{}
	for _, st := range have {
		switch st.Kind {
		case release.Yanked:
			return fault.Newf(fault.Refused, "migrate", r.String(), "use another version", "it was yanked: "+st.Reason)
		case release.Migrated:
			switched[st.Environment] = switched[st.Environment] || st.Details[release.MigrationDetail] == name
		case release.Validated, release.Passed, release.Approved:
		}
	}
	for _, env := range s.Policy.Requires {
		if !switched[env] {
			return fault.Newf(fault.Refused, "migrate", name, fmt.Sprintf("do it there first: drawbridge migrate start %s %s --env %s --reason TEXT", r, name, env),
				fmt.Sprintf("%s wants a signed statement that it is verified and switched in %s, and there is none", s.Environment, env))
		}
	}
	return nil
}

// AttestMigration signs and attaches the statement that a migration is verified and switched here, as ledger and table bear it out. Once for each
// environment and plan.
func (a *Migrating) AttestMigration(ctx context.Context, t Target) error {
	o, err := a.open(ctx, t)
	if err != nil {
		return err
	}
	if o.standing.Ended != migrate.Done && !migrate.Switch.Before(o.standing.Phase) {
		return o.refuse("it is not switched yet", "see where it is: drawbridge status "+t.Owner.Workflow())
	}
	if o.standing.Phase == migrate.Deprecating {
		if err := o.done(ctx, switched()); err != nil {
			return err
		}
	}
	have, err := a.Site.Store.Statements(ctx, t.Release.Digest)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	if slices.ContainsFunc(have, func(s release.Statement) bool {
		return s.Kind == release.Migrated && s.Environment == t.Environment && s.Plan == o.standing.Plan
	}) {
		return nil
	}
	return a.Site.Store.Attach(ctx, release.Statement{
		Kind: release.Migrated, Subject: t.Release.Digest, Environment: t.Environment, Plan: o.standing.Plan,
		By: o.standing.By, Reason: o.standing.Reason, At: a.Now().UTC(), Details: map[string]string{release.MigrationDetail: o.standing.Name},
	})
}
