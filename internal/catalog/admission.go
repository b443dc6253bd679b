package catalog

import (
	"context"
	"fmt"

	"drawbridge/internal/admission"
	"drawbridge/internal/gate"
)

// Facts reads what admission has to know about a question, as it is right now.
func (l Ledger) Facts(ctx context.Context, q Querier, question admission.Question) (admission.Facts, error) {
	return l.facts(ctx, q, question)
}

// FactsToStay reads the same in the effect's own transaction, and keeps the pipeline from being fenced, holds from being set, another
// tenure from being made the active one, and the outputs from changing hands: what it reads stays true until the commit. shared is
// false where somebody does one of these right now, and the transaction has ended.
func (l Ledger) FactsToStay(ctx context.Context, q Querier, question admission.Question) (f admission.Facts, shared bool, err error) {
	f, err = l.facts(ctx, q, question, shareChange(), keepActive(question.Release.Pipeline), keepOwners(question.Tables()))
	if fencing(err) {
		return f, false, nil
	}
	return f, true, err
}

// facts reads them after what comes first.
func (l Ledger) facts(ctx context.Context, q Querier, question admission.Question, first ...statement) (admission.Facts, error) {
	pipeline := question.Release.Pipeline
	f := admission.Facts{Owners: map[string]string{}, Generations: map[int64]admission.Generation{}, Live: map[admission.Slot]int64{}, Verdicts: map[admission.Stage]admission.Verdict{}}
	var hold Hold
	var crossing Crossing
	err := l.together(ctx, q, append(append(first, readChosen(string(question.Owner), &f.Chosen)...),
		readEnvironment(&f.Environment),
		readActive(pipeline, &f.Active),
		readNumbered(question.Tenure, &f.Tenure),
		readFenced(string(question.Owner), &f.Fenced),
		readStanding(&hold),
		readCrossing(pipeline, &crossing),
		statement{
			what: "look for a turn-back of " + pipeline, sql: `SELECT tenure FROM ledger.turn_back WHERE pipeline = $1 AND state = 'open'`,
			args: []any{pipeline}, into: []any{&f.TurnBack},
		},
		readOwners(question.Tables(), f.Owners),
		l.readGiving(question.Tables(), &f.Giving),
		readCandidates(question, f.Generations),
		readLiveTenures(question, f.Live),
		readAnswers(question.Tenure, &f.Answers),
		readAccepted(question, &f.Accepted),
		readVerdicts(question.Tenure, f.Verdicts),
		statement{
			what: fmt.Sprintf("look at tenure %d", question.Tenure),
			sql:  `SELECT EXISTS (SELECT FROM ledger.swap WHERE tenure = $1), clock_timestamp()`,
			args: []any{question.Tenure}, into: []any{&f.Begun, &f.Now},
		})...)
	if hold.ID != 0 {
		f.Hold = fmt.Sprintf("%s (set by %s)", hold.Reason, hold.By)
	}
	f.Crossing, f.Exclusive = crossing.Owner, crossing.Exclusive
	return f, err
}

// readCandidates reads the generations that are to go live.
func readCandidates(question admission.Question, found map[int64]admission.Generation) statement {
	var to []int64
	for _, s := range question.Swaps {
		if s.To != 0 {
			to = append(to, s.To)
		}
	}
	var id int64
	var g admission.Generation
	return statement{
		what: "read generations", sql: `
			SELECT id, pipeline, digest, config, state, control, coalesce(audit, ''), reason,` + gives + `
			FROM ledger.generation g
			WHERE id = ANY($1)`, args: []any{to},
		into: []any{&id, &g.Pipeline, &g.Digest, &g.Config, &g.State, &g.Control, &g.Audit, &g.Reason, &g.Gives}, each: func() error {
			found[id] = g
			g.Gives = nil
			return nil
		},
	}
}

// readAccepted reads what people answered to the question's owner about the generations that are to go live, and about what smoke
// and canary found of its tenure.
func readAccepted(question admission.Question, found *[]gate.Gate) statement {
	about := make([]string, 0, len(question.Swaps))
	for _, s := range question.Swaps {
		about = append(about, admission.AboutGeneration(s.To))
	}
	return answered(found, `WHERE a.owner = $1 AND a.about && ($2 || ARRAY(SELECT unnest(v.about) FROM ledger.verdict v WHERE v.tenure = $3))`,
		string(question.Owner), about, question.Tenure)
}

// readLiveTenures reads the tenures of what is live in the place of swaps.
func readLiveTenures(question admission.Question, found map[admission.Slot]int64) statement {
	outputs, partitions := make([]string, len(question.Swaps)), make([]string, len(question.Swaps))
	for i, s := range question.Swaps {
		outputs[i], partitions[i] = s.Output, string(s.Partition)
	}
	var at admission.Slot
	var tenure int64
	return statement{
		what: "read what is live", sql: `
			SELECT l.output, l.partition, l.tenure
			FROM ledger.live l
			JOIN unnest($1::text[], $2::text[]) AS wanted (output, partition) USING (output, partition)`, args: []any{outputs, partitions},
		into: []any{&at.Output, &at.Partition, &tenure}, each: func() error {
			found[at] = tenure
			return nil
		},
	}
}
