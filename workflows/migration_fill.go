package workflows

import (
	"cmp"
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/migrate"
	"drawbridge/workflows/conduct"
)

// fill brings the rows over, piece by piece, as fast as the warehouse bears; all of them are looked at once more where a person wants that.
func (m *migrating) fill(ctx workflow.Context) error {
	s, at := m.state, m.at(string(migrate.Backfill))
	if !s.Plan.Fills {
		return nil
	}
	if s.Last.IsZero() {
		s.Last = workflow.Now(ctx)
	}
	in := activities.FillTableInput{Target: s.Target}
	for wait := (holding{}); !s.Filled.Done; {
		if err := m.Checkpoint(ctx); err != nil {
			return err
		}
		if err := m.grown(ctx); err != nil {
			return err
		}
		in.Window, in.Again, in.Lanes = m.Window(), s.Again, s.Load.narrow(m.lanes())
		done, err := FillTable.Do(ctx, m.Conductor, at, "bring rows over", in)
		if err != nil {
			return err
		}
		if s.Again && done.Held == "" {
			s.Again = false
			continue
		}
		m.note(ctx, done.Filled)
		in.Waited = len(done.Throttled) > 0
		switch {
		case in.Waited:
			err = s.Load.out(ctx, m.Conductor, at, m.lanes(), done.Throttled, done.Opens, in.Window)
		case done.Held != "":
			err = wait.out(ctx, m.Conductor, at, done.Held)
		default:
			s.Load.went(at.Lane, m.lanes())
			wait = holding{}
		}
		if err != nil {
			return err
		}
	}
	m.Tell(ctx, at, fmt.Sprintf("%s brought over", count(int(s.Filled.Rows), "row")))
	return nil
}

// lanes is how many batches are written at the same time, unless the warehouse has enough to do.
func (m *migrating) lanes() int { return cmp.Or(m.Header().Lanes, m.state.Plan.Lanes, 1) }

// note counts what a call has brought over.
func (m *migrating) note(ctx workflow.Context, now migrate.Filled) {
	s := m.state
	if now.Rows == 0 && !now.Done { // it did not come to that
		return
	}
	at := workflow.Now(ctx)
	if rows, took := now.Rows-s.Filled.Rows, at.Sub(s.Last).Seconds(); rows > 0 && took > 0 {
		speed := float64(rows) / took
		if s.RowSpeed == 0 {
			s.RowSpeed = speed
		}
		s.RowSpeed += speedOf * (speed - s.RowSpeed)
	}
	s.Filled, s.Last = now, at
}

// grown continues as new once history has grown.
func (m *migrating) grown(ctx workflow.Context) error {
	if !workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
		return nil
	}
	return m.ContinueAsNew(ctx, MigrationName, func(carried conduct.Header) any {
		in, state := m.in, *m.state
		state.Header, state.Untaken = carried, m.Untaken()
		in.State = &state
		return in
	})
}

// verify proves what the plan wants of every row, and asks where it does not hold. Before it counts again, rows that lack a value get it.
func (m *migrating) verify(ctx workflow.Context) error {
	s, at := m.state, m.at(string(migrate.Verify))
	if s.Plan.Proofs == 0 {
		return nil
	}
	for {
		if err := m.fill(ctx); err != nil {
			return err
		}
		if err := m.Checkpoint(ctx); err != nil {
			return err
		}
		proved, err := ProveMigration.Do(ctx, m.Conductor, at, "count rows that are not as they have to be", s.Target)
		if err != nil {
			return err
		}
		s.Proved = proved[:min(len(proved), evidenceLimit)]
		question := gate.Gate{Name: "verify-" + m.in.Environment, Endless: true, Choices: []gate.Choice{gate.Retry, gate.Reject}, Verdict: gate.Verdict{Outcome: gate.Fail}}
		var broken []string
		for _, p := range proved {
			e := gate.Evidence{Name: p.Proof, Value: fmt.Sprintf("%d of %d broken", p.Broken, p.Rows), Limit: "0", Outcome: gate.Pass}
			if p.Broken > 0 {
				e.Outcome = gate.Fail
				broken = append(broken, fmt.Sprintf("%s does not hold of %s", p.Proof, count(int(p.Broken), "row")))
			}
			question.Verdict.Evidence = append(question.Verdict.Evidence, e)
		}
		if len(broken) == 0 {
			m.Tell(ctx, at, fmt.Sprintf("%s: every row is as it has to be", count(len(proved), "proof")))
			return nil
		}
		question.Verdict.Reason = strings.Join(firstOf(broken), "; ")
		question.Verdict.Evidence = worstFirst(question.Verdict.Evidence)
		question.Question = fmt.Sprintf("%s: %s (retry), or undo all that was done (reject)?", question.Verdict.Reason, m.mending(proved))
		g, err := m.Ask(ctx, at, question)
		if err != nil {
			return err
		}
		if err := goesOn(ctx, m.Conductor, at, s.Target, g); err != nil {
			return err
		}
		s.Filled, s.Again, s.Last = migrate.Filled{}, s.Plan.Fills, workflow.Now(ctx)
	}
}
