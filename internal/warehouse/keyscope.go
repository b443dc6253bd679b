package warehouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/catalog"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// longestKeys is how long the keys of a table may be read before a publish and it still be alive: they are as many as its rows.
const longestKeys = time.Hour

// mostSearched bounds how many tables a statement names that a person is shown.
const mostSearched = 8

// acrossName is how the audit calls its look at other partitions.
const acrossName = "key across partitions"

// across looks whether keys of generations that one attempt builds are live in other partitions, where the output's key is unique over all
// of them, and adds what it finds to each one's results. It only warns: what is live may go away with the same publish, and that decides.
func (b *build) across(ctx context.Context, o pipeline.Output, generations []*catalog.Generation, results [][]check.Result) error {
	if o.KeyScope != pipeline.KeyOfOutput || b.spec.Control {
		return nil
	}
	ids := make([]int64, len(generations))
	for i, g := range generations {
		ids[i] = g.ID
	}
	if err := b.w.ledger.SetUniqueKey(ctx, b.w.pool, ids, o.Key); err != nil {
		return postgres.Classify("audit", o.Table, err)
	}
	live, err := b.w.ledger.Live(ctx, b.w.pool, []string{o.Table})
	if err != nil {
		return postgres.Classify("audit", o.Table, err)
	}
	for i, g := range generations {
		var beside []int64
		for _, other := range live {
			if other.Partition != g.Partition {
				beside = append(beside, other.ID)
			}
		}
		n, err := b.w.repeats(ctx, b.w.pool, o.Key, []int64{g.ID}, beside)
		if err != nil {
			return postgres.Classify("audit", o.Table+" "+string(g.Partition), err)
		}
		found := check.Result{Name: acrossName, Kind: check.Unique, Severity: check.Warn, Outcome: check.Passed, Failing: &n, Rows: g.Rows, Reason: "no key is in another partition"}
		if n > 0 {
			found.Outcome, found.Reason = check.Warned, fmt.Sprintf("%d keys are live in other partitions too", n)
		}
		results[i] = append(results[i], found)
	}
	return nil
}

// repeats counts keys of some generations that are in others too, by the equality that a unique index has.
func (w *Warehouse) repeats(ctx context.Context, q catalog.Querier, key []string, generations, others []int64) (n int64, err error) {
	if len(generations) == 0 || len(others) == 0 {
		return 0, nil
	}
	err = q.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM ((%s) INTERSECT (%s)) AS repeated", w.keysIn(key, generations), w.keysIn(key, others))).Scan(&n)
	return n, err
}

// keysIn selects the keys of generations.
func (w *Warehouse) keysIn(key []string, generations []int64) string {
	parts := make([]string, len(generations))
	for i, id := range generations {
		parts[i] = fmt.Sprintf("SELECT %s FROM %s", postgres.Idents(key), w.names.child(id))
	}
	return strings.Join(parts, " UNION ALL ")
}

// keysAcross refuses what goes live where the key is unique over all partitions of an output, and is in two of them afterwards. It may be
// called again: then it looks only at what has become live since. Nobody is kept from turning back by it.
func (p *publication) keysAcross(ctx context.Context, q catalog.Querier) error {
	if p.ticket.Question.TurnBack {
		return nil
	}
	var to []int64
	leaving := map[int64]bool{}
	for _, s := range p.swaps() {
		leaving[s.From] = true
		if s.To != 0 {
			to = append(to, s.To)
		}
	}
	unique, err := p.w.ledger.UniqueKeys(ctx, q, to)
	if err != nil || len(unique) == 0 {
		return err
	}
	coming := map[string][]int64{}
	for _, id := range slices.Sorted(maps.Keys(unique)) {
		coming[p.generations[id].Output] = append(coming[p.generations[id].Output], id)
	}
	live, err := p.w.ledger.Live(ctx, q, slices.Sorted(maps.Keys(coming)))
	if err != nil {
		return err
	}
	if p.besides == nil {
		p.besides = map[int64]bool{}
	}
	for _, output := range slices.Sorted(maps.Keys(coming)) {
		fresh := coming[output]
		key := unique[fresh[0]]
		var others []int64
		for _, id := range to { // what an earlier release has built, and goes live again with it
			if p.generations[id].Output == output && unique[id] == nil && !p.besides[id] {
				others = append(others, id)
			}
		}
		for _, g := range live {
			if g.Output == output && !leaving[g.ID] && !p.besides[g.ID] {
				others = append(others, g.ID)
			}
		}
		n, err := p.w.repeats(ctx, q, key, fresh, others)
		if err != nil {
			return err
		}
		if n == 0 && len(fresh) > 1 && !p.besides[fresh[0]] {
			if err := q.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT FROM (%s) AS k GROUP BY %s HAVING count(*) > 1) AS repeated",
				p.w.keysIn(key, fresh), postgres.Idents(key))).Scan(&n); err != nil {
				return err
			}
			others = fresh
		}
		if n > 0 {
			return p.repeatedKeys(output, key, n, fresh, others)
		}
		for _, id := range slices.Concat(fresh, others) {
			p.besides[id] = true
		}
	}
	return nil
}

// repeatedKeys is the refusal to let keys go live twice. Which they are is for the warehouse to say.
func (p *publication) repeatedKeys(output string, key []string, n int64, fresh, others []int64) error {
	columns := postgres.Idents(key)
	which := fmt.Sprintf("SELECT %s FROM %s INTERSECT SELECT %[1]s FROM %[3]s", columns, p.w.names.child(fresh[0]), p.w.names.parent(output))
	for _, s := range p.swaps() {
		if s.To == fresh[0] && s.From != 0 {
			which += fmt.Sprintf(" WHERE tableoid <> %s::regclass", postgres.Literal(p.w.names.child(s.From)))
		}
	}
	if slices.Equal(fresh, others) {
		which = fmt.Sprintf("SELECT %s FROM (%s) AS k GROUP BY %[1]s HAVING count(*) > 1", columns, p.w.keysIn(key, fresh[:min(len(fresh), mostSearched)]))
	}
	return fault.Newf(fault.Refused, "publish", output, "correct the source, or build the partitions together from which and into which rows have moved; the keys: "+which,
		fmt.Sprintf("the key (%s) is unique over all partitions, and %d keys of what goes live are in another partition too", strings.Join(key, ", "), n))
}
