package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/internal/notice"
	"drawbridge/workflows/conduct"
)

// How often it is looked whether contract is still held up; a consumer's word has it looked at once. Nobody may be there for weeks to
// answer its gate, so that is looked after less often once it has been open for long.
const (
	lookForReaders = time.Minute
	lookRarely     = time.Hour
)

func nextLook(open time.Duration) time.Duration {
	if open < lookRarely {
		return lookForReaders
	}
	return lookRarely
}

// clocksApart is the least that is waited for a window that is over by one clock and not by another.
const clocksApart = 10 * time.Second

// window keeps both shapes for as long as the plan says, from when the ledger says that it was switched: a new start goes on with what is left.
func (m *migrating) window(ctx workflow.Context) error {
	s, at := m.state, m.at(string(migrate.Deprecating))
	if s.Until.IsZero() {
		if s.Since.IsZero() { // an earlier program has begun the phase, and did not ask
			s.Since = workflow.Now(ctx)
		}
		s.Until = s.Since.Add(s.Plan.Window)
		if err := m.attest(ctx); err != nil {
			return err
		}
		if err := m.blockers(ctx); err != nil {
			return err
		}
		m.Tell(ctx, at, kept(s.Plan)+" until "+s.Until.UTC().Format(time.RFC3339)+m.waits())
		m.tell(ctx, notice.MigrationDeprecates)
	}
	if err := m.brownout(ctx); err != nil {
		return err
	}
	if left := s.Until.Sub(workflow.Now(ctx)); left > 0 {
		if err := m.Rest(ctx, left, "the deprecation window", func() bool { return false }); err != nil {
			return err
		}
	}
	return m.Checkpoint(ctx)
}

// kept says what there is in the deprecation window.
func kept(p migrate.Summary) string {
	if p.Kept != "" {
		return p.Table + " is kept under the name " + p.Kept
	}
	return "both shapes of " + p.Table + " are kept"
}

// blockers looks who or what keeps the old shape from being taken away.
func (m *migrating) blockers(ctx workflow.Context) error {
	m.heard = false
	blocked, err := MigrationBlockers.Do(ctx, m.Conductor, m.at(string(migrate.Deprecating)), "look who still needs the old shape", m.state.Target)
	if err == nil {
		m.state.Blocked, m.state.Acks = blocked, blocked.Acks
	}
	return err
}

// blocking notes what is in the way now, and says what contract waits for.
func (m *migrating) blocking(why []string) string {
	m.state.Blocked.Why = why
	return m.waits()
}

// waits is what contract waits for, as the end of a sentence.
func (m *migrating) waits() string {
	if why := m.state.Blocked.Why; len(why) > 0 {
		return "; contract waits: " + strings.Join(firstOf(why), "; ")
	}
	return ""
}

// mayContract asks for the approval to take the old shape away, until it is given and nobody is in the way. An approval that comes
// while somebody is waits for that, as long as it counts.
func (m *migrating) mayContract(ctx workflow.Context) error {
	why, s := "", m.state
	for {
		if s.Approved == "" { // by an earlier run of it, it was
			if err := m.askContract(ctx, why); err != nil {
				return err
			}
		}
		lapsed, err := m.enterContract(ctx)
		if err != nil || lapsed == "" {
			return err
		}
		why, s.Approved = lapsed, ""
	}
}

// askContract asks for the approval; why is what became of the one before.
func (m *migrating) askContract(ctx workflow.Context, why string) error {
	s, at := m.state, m.at("contract")
	if err := m.blockers(ctx); err != nil {
		return err
	}
	g, err := m.AskUntil(ctx, at, m.contractGate(why), nextLook, func() bool { return m.heard }, func(ctx workflow.Context) (conduct.Again, error) {
		if err := m.blockers(ctx); err != nil {
			return conduct.Again{}, err
		}
		now := m.contractGate(why)
		return conduct.Again{Question: now.Question, Verdict: now.Verdict}, nil
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
	var by []string
	for _, a := range g.Answers {
		by = append(by, a.By)
	}
	s.Approved = cmp.Or(strings.Join(by, ", "), "its rule")
	return nil
}

// enterContract begins contract when nobody is in the way any more; lapsed says why it has to be approved again.
func (m *migrating) enterContract(ctx workflow.Context) (lapsed string, err error) {
	s, at, told := m.state, m.at("contract"), ""
	for wait := (holding{}); ; {
		if err := m.Checkpoint(ctx); err != nil {
			return "", err
		}
		m.heard = false
		entered, err := EnterPhase.Do(ctx, m.Conductor, at, "begin contract", activities.EnterPhaseInput{Target: s.Target, Phase: migrate.Contract})
		if err != nil || entered.Entered || entered.Lapsed != "" {
			return entered.Lapsed, err
		}
		why := entered.Blocked
		if entered.Held != "" {
			why = []string{entered.Held}
		}
		s.Blocked.Why = why
		if sentence := "approved by " + s.Approved + m.blocking(why); sentence != told {
			told = sentence
			m.At(ctx, StageWatching, at, sentence)
		}
		if entered.Held != "" {
			if err := wait.out(ctx, m.Conductor, at, entered.Held); err != nil {
				return "", err
			}
			continue
		}
		rest := lookForReaders
		if left := entered.Opens.Sub(workflow.Now(ctx)); !entered.Opens.IsZero() {
			rest = max(clocksApart, min(rest, left))
		}
		s.Looks = workflow.Now(ctx).Add(rest)
		if err := m.Rest(ctx, rest, "until nobody needs the old shape", func() bool { return m.heard }); err != nil {
			return "", err
		}
		if err := m.grown(ctx); err != nil {
			return "", err
		}
	}
}

// contractGate is the question whether the old shape may go. It never expires: nothing is taken back only because nobody came by.
func (m *migrating) contractGate(lapsed string) gate.Gate {
	s := m.state
	what := ""
	if len(s.Plan.Old) > 0 {
		what = fmt.Sprintf("take %s of %s away", strings.Join(firstOf(s.Plan.Old), ", "), s.Plan.Table)
	}
	var titles, breaks []string
	for _, b := range s.Plan.Of(migrate.Contract) {
		titles = append(titles, b.Title)
		if b.Risk != "" && !slices.Contains(breaks, b.Risk) {
			breaks = append(breaks, b.Risk)
		}
	}
	what = cmp.Or(what, fmt.Sprintf("end the change of %s (%s)", s.Plan.Table, strings.Join(firstOf(titles), "; ")))
	g := gate.Gate{
		Name: gate.ContractOf(m.in.Environment), Endless: true, Choices: []gate.Choice{gate.Approve, gate.Reject},
		Question: fmt.Sprintf("%s in %s? %s It is the point of no return: nothing brings it back. A rejection undoes the migration", what, m.in.Environment, strings.Join(firstOf(breaks), " ")),
		Verdict:  gate.Verdict{Outcome: gate.Pass, Reason: "nobody is in the way"},
	}
	if s.committed() { // it was approved, and an earlier start has begun it
		g.Choices = []gate.Choice{gate.Approve}
		g.Question = fmt.Sprintf("go on: %s in %s? It is past its point of no return: nothing is undone any more", what, m.in.Environment)
	}
	if len(s.Blocked.Why) > 0 {
		g.Verdict = gate.Verdict{Outcome: gate.Inconclusive, Reason: "it waits, approved or not: " + strings.Join(firstOf(s.Blocked.Why), "; ")}
	}
	if lapsed != "" {
		g.Verdict.Reason = lapsed + "; " + g.Verdict.Reason
	}
	for _, name := range s.Plan.Consumers {
		e := gate.Evidence{Name: name, Value: "has not said that it is ready", Outcome: gate.None}
		if slices.Contains(s.Plan.MustAck, name) {
			e.Outcome = gate.Fail
		}
		if at := slices.IndexFunc(s.Acks, func(a migrate.Ack) bool { return a.Consumer == name }); at >= 0 {
			e.Value, e.Note, e.Outcome = "ready", "said by "+s.Acks[at].By, gate.Pass
		}
		g.Verdict.Evidence = append(g.Verdict.Evidence, e)
	}
	if s.Brownout.Held {
		long := s.Brownout.Until.Sub(s.Brownout.Since).Round(time.Second).String()
		g.Verdict.Evidence = append(g.Verdict.Evidence, gate.Evidence{
			Name: "brownout", Value: "held for " + long, Note: "from " + s.Brownout.Since.UTC().Format(time.RFC3339) + ": nobody has taken it back", Outcome: gate.Pass,
		})
	}
	for _, r := range s.Blocked.Readers {
		e := gate.Evidence{Name: r.Kind + " " + r.Name, Value: "reads " + r.Column, Note: "of " + cmp.Or(r.Owner, "nobody"), Outcome: gate.Fail}
		if r.Guessed {
			e.Value, e.Outcome = "may read "+r.Column+": its text has the name", gate.Inconclusive
		}
		g.Verdict.Evidence = append(g.Verdict.Evidence, e)
	}
	if s.Blocked.Unseen != "" {
		g.Verdict.Evidence = append(g.Verdict.Evidence, gate.Evidence{
			Name: "statements of readers", Value: "are not seen", Note: s.Blocked.Unseen, Outcome: gate.None,
		})
	}
	g.Verdict.Evidence = worstFirst(g.Verdict.Evidence)
	return g
}

// keepAcks notes the words of consumers in the ledger, one after the other.
func (m *migrating) keepAcks(ctx workflow.Context) {
	calm, _ := workflow.NewDisconnectedContext(ctx)
	for {
		said, taken, err := m.Acks(calm)
		if err != nil {
			return
		}
		if err := m.keepAck(calm, said); err != nil {
			m.Tell(ctx, m.at("ack"), fmt.Sprintf("what was said of %s could not be noted: %s", said.Items[0], conduct.Reason(err)))
		}
		taken()
		m.heard = true
	}
}

// keepAck notes one word in the ledger: that a consumer is ready, or that it is not after all.
func (m *migrating) keepAck(ctx workflow.Context, said conduct.Command) error {
	s, at := m.state, m.at("ack")
	in := activities.AckInput{Target: s.Target, Ack: migrate.Ack{Consumer: said.Items[0], By: said.By, Reason: said.Reason, At: workflow.Now(ctx)}}
	of := func(a migrate.Ack) bool { return a.Consumer == in.Ack.Consumer }
	if said.Kind == conduct.Withdraw {
		_, err := WithdrawAck.Do(ctx, m.Conductor, at, "note that "+in.Ack.Consumer+" is not ready after all", in)
		if err == nil {
			s.Acks = slices.DeleteFunc(s.Acks, of)
		}
		return err
	}
	_, err := AckMigration.Do(ctx, m.Conductor, at, "note that "+in.Ack.Consumer+" is ready", in)
	if err == nil && !slices.ContainsFunc(s.Acks, of) {
		s.Acks = append(s.Acks, in.Ack)
	}
	return err
}

// tell has people told where it is.
func (m *migrating) tell(ctx workflow.Context, kind notice.Kind) {
	s, me := m.state, workflow.GetInfo(ctx).WorkflowExecution.ID
	e := notice.Event{
		ID: s.Plan.Name, Kind: kind, What: fmt.Sprintf("%s begins to change %s in %s", s.Plan.Name, s.Plan.Table, m.in.Environment), Why: cmp.Or(s.Plan.Why, m.in.Reason),
		Commands: []string{"drawbridge status " + me, "drawbridge cancel " + me},
	}
	if kind == notice.MigrationDeprecates {
		e.What = fmt.Sprintf("the old shape of %s in %s goes after %s: %s", s.Plan.Table, m.in.Environment, s.Until.UTC().Format(time.RFC3339), cmp.Or(strings.Join(s.Plan.Old, ", "), s.Plan.Name))
		e.Why = strings.TrimPrefix(m.waits(), "; ")
		for _, name := range s.Plan.Consumers {
			e.Commands = append(e.Commands, "drawbridge migrate ack "+me+" --consumer "+name+" --as NAME")
		}
	}
	if kind == notice.MigrationBrownout {
		e.ID = fmt.Sprintf("%s-%d", s.Plan.Name, s.Browned)
		e.What = fmt.Sprintf("the brownout of %s in %s is on until %s: %s", s.Plan.Table, m.in.Environment, s.Dark.Add(s.Plan.Brownout).UTC().Format(time.RFC3339), s.Plan.Refuses)
		e.Commands = []string{"drawbridge pause " + me + " --reason TEXT", "drawbridge status " + me}
	}
	m.Announce(ctx, m.in.Environment, e)
}
