package workflows

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/migrate"
	"drawbridge/internal/notice"
	"drawbridge/workflows/conduct"
)

// Migration changes a table that others read and write, so that none of them notices.
//
//	planning → waiting (approval) → crossing: expand, dual write, backfill, verify, switch ⇄ waiting, paused
//	  → watching: the deprecation window → waiting: the contract gate → crossing: contract → done
//	up to the contract gate: cancelled, rejected → compensating → rolled_back | stuck          from contract on: never
//
// It promises: nothing is changed that its approved plan does not say; each step is done at most once, and looked for before and after;
// whatever stops it before contract, all that it has done is undone, last first, or what is left is named and the same command goes on
// with it; rows that break a proof stop it; the old shape goes only when its window is over, everybody who must has said that they are
// ready, nothing that the catalog knows reads it, and people have approved just that; after it nothing is turned back, and it goes on.
func Migration(ctx workflow.Context, in MigrationInput) (Status, error) {
	head := conduct.Header{Kind: "migration", Pipeline: in.Pipeline, By: in.By, Stage: StagePlanning, Environment: in.Environment}
	m := &migrating{in: in, state: &MigrationState{}}
	if in.State != nil {
		m.state = in.State
		head = in.State.Header
	}
	c, err := conduct.Open(ctx, head, m, Takes(MigrationName)...)
	if err != nil {
		return Status{}, err
	}
	m.Conductor = c
	err = c.Run(ctx, "migrate "+in.Pipeline, m.run, m.back)
	return Status{Header: c.Header(), Migration: m.shown()}, err
}

// MigrationState is what a migration carries across continue-as-new.
type MigrationState struct {
	Header conduct.Header    `json:"header"`
	Target activities.Target `json:"target"`
	Plan   migrate.Summary   `json:"plan"`
	Rule   gate.Approval     `json:"rule"`
	// Tells says that people are told what happens there.
	Tells bool `json:"tells,omitempty"`
	// Open says that the ledger has it, Phase where it is.
	Open  bool          `json:"open,omitempty"`
	Phase migrate.Phase `json:"phase,omitempty"`
	// Begun is how many of the plan's steps may have been done: those are undone where it goes back.
	Begun int `json:"begun"`
	// Round counts what people had tried again: each time is an effect of its own.
	Round    int               `json:"round,omitempty"`
	Filled   migrate.Filled    `json:"filled,omitzero"`
	Again    bool              `json:"again,omitempty"`     // all rows are to be looked at once more
	RowSpeed float64           `json:"row_speed,omitempty"` // rows a second, an exponential average
	Last     time.Time         `json:"last,omitzero"`       // when the last of them were brought over
	Load     throttled         `json:"load,omitzero"`
	Proved   []migrate.Checked `json:"proved,omitempty"`
	// Since is when its phase has begun, in whichever start of it.
	Since time.Time `json:"since,omitzero"`
	// Until is when its deprecation window ends, Blocked what contract waits for.
	Until   time.Time          `json:"until,omitzero"`
	Blocked activities.Blocked `json:"blocked,omitzero"`
	// Brownout is how the trial of contract stands, Browned how often one was ended, and Dark when it knew that the last one was on.
	Brownout migrate.Tried `json:"brownout,omitzero"`
	Browned  int           `json:"browned,omitempty"`
	Dark     time.Time     `json:"dark,omitzero"`
	// Approved is who has approved contract, and Looks when it looks again whether anybody is in the way.
	Approved string        `json:"approved,omitempty"`
	Looks    time.Time     `json:"looks,omitzero"`
	Acks     []migrate.Ack `json:"acks,omitempty"`
	// Untaken are the words of consumers that the ledger does not have yet.
	Untaken []conduct.Command `json:"untaken,omitempty"`
}

// migrating is one migration.
type migrating struct {
	*conduct.Conductor
	in    MigrationInput
	state *MigrationState
	// asked says that it has asked to begin, so that it may have; resumed that an earlier start had begun it; over that it has ended in
	// the ledger; heard that a consumer's word is noted that no look has seen yet.
	asked, resumed, over, heard bool
	// planned is what planning found, in the run that planned.
	planned activities.MigrationPlan
	// next is the migration of the release that is to be done after it.
	next string
	// undoing says that what was done is being undone, or has been.
	undoing bool
}

func (m *migrating) at(step string) conduct.Scope {
	return conduct.Scope{Environment: m.in.Environment, Step: step}
}

func (m *migrating) run(ctx workflow.Context) error {
	s := m.state
	if m.in.State == nil {
		if over, err := m.begin(ctx); err != nil || over {
			return err
		}
	}
	m.begun(ctx)
	for _, phase := range migrate.Phases() {
		if phase.Before(s.Phase) || !s.Plan.Has(phase) {
			continue
		}
		if err := m.phase(ctx, phase); err != nil {
			return err
		}
	}
	return m.end(ctx)
}

// begun lets it be steered and listened to, in every run of it.
func (m *migrating) begun(ctx workflow.Context) {
	s := m.state
	m.Rule(m.in.Environment, s.Rule)
	m.Consumers(s.Plan.Consumers, ready(s.Acks))
	m.Retake(s.Untaken)
	s.Untaken = nil
	if s.Tells {
		m.Listen(s.Target)
	}
	workflow.GoNamed(ctx, "acks", m.keepAcks)
}

// ready are the consumers who have said so.
func ready(acks []migrate.Ack) []string {
	var names []string
	for _, a := range acks {
		names = append(names, a.Consumer)
	}
	return names
}

// begin plans, asks where the environment wants an approval, and enters. over says that there is nothing to do.
func (m *migrating) begin(ctx workflow.Context) (over bool, err error) {
	at := m.at("plan")
	m.At(ctx, StagePlanning, at, "looking at "+cmp.Or(m.in.Name, "the first migration that is not done")+" in "+m.in.Environment)
	target := activities.Target{Environment: m.in.Environment, Release: m.in.Release, Config: m.in.Config, Owner: owner(ctx)}
	if m.in.Source != "" {
		if target.Release, err = BuildRelease.Try(ctx, m.in.Environment, "build release", activities.BuildReleaseInput{Source: m.in.Source}); err != nil {
			return false, err
		}
	}
	target.Release.Pipeline = m.in.Pipeline
	planned, err := PlanMigration.Do(ctx, m.Conductor, at, "plan migration", activities.PlanMigrationInput{Target: target, Name: m.in.Name, Rollback: m.in.Rollback, GiveUp: m.in.GiveUp, Begins: !m.in.DryRun && !m.in.Rollback})
	if err != nil {
		return false, err
	}
	if planned.Nothing {
		m.About(planned.Target.Release, "")
		m.Finish(ctx, StageDone, m.at(""), fmt.Sprintf("nothing to do: every migration of %s is done in %s", planned.Target.Release, m.in.Environment))
		return true, nil
	}
	m.by(planned)
	m.resumed = planned.Open.Owner != ""
	s := m.state
	for _, line := range s.Plan.Warnings {
		m.Tell(ctx, at, line)
	}
	if planned.Lacks != "" && !m.in.DryRun && !m.in.Rollback {
		return false, conduct.Refused("migrate", planned.Lacks)
	}
	m.planned = planned
	if m.in.DryRun && m.in.Rollback && planned.Open.Phase == migrate.Contract {
		return false, fault.Newf(fault.Refused, "roll back", s.Plan.Name, "let it go on to its end: "+m.onward(), "it is past its point of no return, and nothing of it is undone")
	}
	if m.in.DryRun {
		m.Finish(ctx, StageDone, m.at(""), fmt.Sprintf("dry run: %s would change %s in %s", s.Plan.Name, s.Plan.Table, count(len(s.Plan.Steps), "step")))
		return true, nil
	}
	if s.Rule.Required && !m.in.Rollback && !planned.Open.Back && planned.Approved[gate.ApprovalOf(m.in.Environment)] == "" {
		if err := m.approve(ctx); err != nil {
			return false, err
		}
	}
	if err := m.enter(ctx); err != nil {
		return false, err
	}
	switch {
	case m.in.Rollback && s.committed():
		return false, conduct.Refused("migrate", "not rolled back, as "+m.in.By+" wanted: "+m.in.Reason)
	case m.in.Rollback:
		return false, conduct.Refused("migrate", "rolled back by "+m.in.By+": "+m.in.Reason)
	}
	return false, nil
}

// onward is the command that goes on with it when its workflow has ended.
func (m *migrating) onward() string {
	return fmt.Sprintf("drawbridge migrate start %s %s --env %s --reason TEXT", m.state.Plan.Release, m.state.Plan.Name, m.in.Environment)
}

// by goes on by a plan.
func (m *migrating) by(p activities.MigrationPlan) {
	s := m.state
	s.Target, s.Plan, s.Rule, s.Tells = p.Target, p.Summary, p.Rule, p.Tells
	s.Acks = p.Open.Acks
	m.Consumers(s.Plan.Consumers, ready(s.Acks)) // before it begins, too: whoever is ready may say so
	m.Rule(m.in.Environment, p.Rule)
	m.About(p.Summary.Release, p.Summary.Digest)
}

// approve asks for the approval of the plan.
func (m *migrating) approve(ctx workflow.Context) error {
	s, at := m.state, m.at("approval")
	g, err := m.Ask(ctx, at, gate.Gate{
		Name: gate.ApprovalOf(m.in.Environment), Choices: []gate.Choice{gate.Approve, gate.Reject},
		Question: fmt.Sprintf("change %s in %s by %s of %s, %s?", s.Plan.Table, m.in.Environment, s.Plan.Name, s.Plan.Release, count(len(s.Plan.Steps), "step")),
		Verdict:  gate.Verdict{Outcome: gate.Inconclusive, Reason: cmp.Or(strings.Join(s.Plan.Warnings, "; "), s.Plan.Why, "its plan says what is done, and how it is undone")},
	})
	if err != nil {
		return err
	}
	if err := record(ctx, m.Conductor, at, s.Target, g); err != nil {
		return err
	}
	if g.Decided != gate.Approve {
		return conduct.Refused(at.Step, g.Why)
	}
	return nil
}

func (m *migrating) beginInput() activities.BeginMigrationInput {
	s := m.state
	return activities.BeginMigrationInput{Target: s.Target, Name: s.Plan.Name, Plan: s.Plan.Digest, By: m.in.By, Reason: m.in.Reason, Rollback: m.in.Rollback, GiveUp: m.in.GiveUp}
}

// enter enters the migration, or takes over what its workflow has left open. One that went back goes on with that.
func (m *migrating) enter(ctx workflow.Context) error {
	m.asked = true
	entered, err := BeginMigration.Do(ctx, m.Conductor, m.at("begin"), "begin migration", m.beginInput())
	if err != nil {
		m.asked = !conduct.Decided(err)
		return err
	}
	m.entered(entered)
	s := m.state
	m.Tell(ctx, m.at("begin"), fmt.Sprintf("%s: %s is changed in %s, from phase %s on", s.Plan.Name, s.Plan.Table, m.in.Environment, words(s.Phase)))
	if entered.Open.Back {
		return conduct.Refused("migrate", "it was being rolled back when it was stopped")
	}
	if s.Tells {
		m.Listen(s.Target)
		m.tell(ctx, notice.MigrationStarted)
	}
	return nil
}

// entered goes on from where the ledger says that it is.
func (m *migrating) entered(p activities.MigrationPlan) {
	m.by(p)
	s := m.state
	s.Open, s.Phase, s.Since = true, p.Open.Phase, p.Open.PhaseSince
	s.Brownout, s.Dark = p.Open.Brownout, p.Open.Brownout.Since
	s.Approved = p.Approved[gate.ContractOf(m.in.Environment)]
	if m.resumed { // it has done some of its steps: which, their probes say
		s.Begun = s.Plan.Until(s.Phase)
	}
	if s.committed() {
		m.Past("what it takes away nothing brings back")
	}
}

// committed says that nothing is turned back any more.
func (s *MigrationState) committed() bool { return s.Phase == migrate.Contract }

// phase does one phase.
func (m *migrating) phase(ctx workflow.Context, phase migrate.Phase) error {
	s := m.state
	switch {
	case phase == migrate.Contract:
		if err := m.mayContract(ctx); err != nil {
			return err
		}
		s.Phase = phase
		m.Past("what it takes away nothing brings back")
		calm, _ := workflow.NewDisconnectedContext(ctx)
		ctx = calm
	case phase != s.Phase:
		since, err := m.reach(ctx, phase)
		if err != nil {
			return err
		}
		s.Phase, s.Since = phase, since
	}
	stage := StageCrossing
	if phase == migrate.Deprecating {
		stage = StageWatching
	}
	m.At(ctx, stage, m.at(string(phase)), m.doing(phase))
	switch phase {
	case migrate.DualWrite:
		if err := m.given(ctx, phase); err != nil {
			return err
		}
	case migrate.Backfill:
		if err := m.given(ctx, phase); err != nil {
			return err
		}
		if err := m.fill(ctx); err != nil {
			return err
		}
	case migrate.Verify:
		if err := m.verify(ctx); err != nil {
			return err
		}
	case migrate.Deprecating:
		if err := m.window(ctx); err != nil {
			return err
		}
	case migrate.Expand, migrate.Switch, migrate.Contract:
	}
	before := s.Plan.Until(phase) - len(s.Plan.Of(phase))
	for i, b := range s.Plan.Of(phase) {
		s.Begun = max(s.Begun, before+i+1)
		if err := m.step(ctx, b, false); err != nil {
			return err
		}
	}
	return nil
}

// doing is what a phase does, as a sentence.
func (m *migrating) doing(phase migrate.Phase) string {
	s := m.state
	switch phase {
	case migrate.DualWrite, migrate.Backfill:
		if s.Plan.Rebuilds {
			return words(phase) + " of " + s.Plan.Table + " by its releases"
		}
		if phase == migrate.DualWrite {
			break
		}
		return "bringing the rows of " + s.Plan.Table + " over"
	case migrate.Verify:
		return "counting the rows of " + s.Plan.Table + " that are not as they have to be"
	case migrate.Deprecating:
		return kept(s.Plan)
	case migrate.Contract:
		if len(s.Plan.Old) > 0 {
			return "taking the old shape of " + s.Plan.Table + " away"
		}
	case migrate.Expand, migrate.Switch:
	}
	return words(phase) + " of " + s.Plan.Table + ": " + count(len(s.Plan.Of(phase)), "step")
}

// words are a phase as people read it.
func words(phase migrate.Phase) string { return strings.ReplaceAll(string(phase), "_", " ") }

// step does a step or undoes it, waits while the environment is on hold, and parks where somebody holds it up.
func (m *migrating) step(ctx workflow.Context, b migrate.Brief, undo bool) error {
	s, at, title := m.state, m.at(b.ID), b.Title
	if undo {
		title = "undo: " + title
	}
	for wait := (holding{}); ; {
		if !undo {
			if err := m.Checkpoint(ctx); err != nil {
				return err
			}
		}
		done, err := MigrationStep.Do(ctx, m.Conductor, at, title, activities.StepInput{Target: s.Target, Step: b.ID, Undo: undo, Round: s.Round})
		switch {
		case err != nil:
			return err
		case done.Done:
			m.Tell(ctx, at, title)
			return nil
		case done.Held != "":
			if err := wait.out(ctx, m.Conductor, at, done.Held); err != nil {
				return err
			}
			continue
		}
		question := parked(b.ID, "", s.Target, generation.PublishResult{Blocked: done.Blocked, More: done.More, WaitingFor: generation.ForLocks})
		question.Choices = []gate.Choice{gate.Retry, gate.Reject}
		if s.committed() { // there is no way back that a rejection could take
			question.Choices = []gate.Choice{gate.Retry}
		}
		question.Endless = undo || s.committed()
		g, err := m.Ask(ctx, at, question)
		if err != nil {
			return err
		}
		if g.Decided != gate.Retry {
			return conduct.Refused(b.ID, g.Why)
		}
	}
}

// end ends it in the ledger: the table is free for others.
func (m *migrating) end(ctx workflow.Context) error {
	s, at := m.state, m.at("end")
	calm, _ := workflow.NewDisconnectedContext(ctx) // all is done by now
	if err := workflow.Await(calm, func() bool { return len(m.Untaken()) == 0 }); err != nil {
		return err
	}
	ended, err := EndMigration.Do(calm, m.Conductor, at, "end migration", activities.EndMigrationInput{Target: s.Target, How: migrate.Done})
	if err != nil {
		return err
	}
	m.over, m.next = true, ended.Next
	if err := m.attest(calm); err != nil {
		return err
	}
	sentence := fmt.Sprintf("%s is done: %s is changed in %s", s.Plan.Name, s.Plan.Table, m.in.Environment)
	if s.Filled.Rows > 0 {
		sentence += "; " + count(int(s.Filled.Rows), "row") + " brought over"
	}
	m.Finish(ctx, StageDone, m.at(""), sentence)
	return nil
}

// attest states that it is verified and switched: the environments that come later want to know that. Where it cannot be stated now,
// that is no reason to undo anything, and it is tried again at the end.
func (m *migrating) attest(ctx workflow.Context) error {
	return AttestMigration.Tidy(ctx, m.Conductor, m.at("attest"), "state that it is verified and switched", m.state.Target)
}

// back undoes what was done, last first. What has no way back, or cannot be taken now, is named, and the same command goes on with it.
func (m *migrating) back(ctx workflow.Context, _ error) (conduct.Outcome, error) {
	s := m.state
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	again := "drawbridge migrate rollback " + id + " --reason TEXT"
	if m.asked && !s.Open {
		entered, err := BeginMigration.Soon(ctx, m.in.Environment, "look whether it has begun", m.beginInput())
		switch {
		case conduct.Decided(err):
			return conduct.Outcome{}, nil
		case err != nil:
			return conduct.Outcome{Left: []string{"whether it has begun could not be read: " + conduct.Reason(err) + " (" + again + ")"}}, nil
		}
		m.entered(entered)
	}
	switch {
	case !s.Open || m.over:
		return conduct.Outcome{}, nil
	case s.committed():
		return conduct.Outcome{Onward: "it is past its point of no return, and nothing of it is undone; it goes on to its end by: " + m.onward()}, nil
	}
	changed := s.Begun > 0
	m.undoing = true
	if left := m.lit(ctx); left != "" {
		return conduct.Outcome{Left: []string{left + " (" + again + ")"}}, nil
	}
	m.At(ctx, StageCompensating, m.at("roll-back"), fmt.Sprintf("undoing what %s has done to %s", s.Plan.Name, s.Plan.Table))
	for ; s.Begun > 0; s.Begun-- {
		b := s.Plan.Steps[s.Begun-1]
		err := error(fault.Newf(fault.Refused, "undo", b.ID, "mend it by hand", "it has no way back"))
		if b.Undo {
			err = m.step(ctx, b, true)
		}
		if err != nil {
			return conduct.Outcome{Left: append([]string{b.Title + ": " + conduct.Reason(err), "what was done before goes back by: " + again}, m.titles(s.Begun-1)...)}, nil
		}
	}
	if _, err := EndMigration.Do(ctx, m.Conductor, m.at("roll-back"), "end migration", activities.EndMigrationInput{Target: s.Target, How: migrate.RolledBack}); err != nil {
		return conduct.Outcome{Left: []string{"it is undone, and still open in the ledger: " + conduct.Reason(err) + " (" + again + ")"}}, nil
	}
	m.over = true
	return conduct.Outcome{Changed: changed, What: "what it had done to " + s.Plan.Table}, nil
}

// titles are the first steps of the plan, the last of them first.
func (m *migrating) titles(n int) []string {
	var titles []string
	for _, b := range m.state.Plan.Steps[:n] {
		titles = append([]string{b.Title}, titles...)
	}
	return titles
}
