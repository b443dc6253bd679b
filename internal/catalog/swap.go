package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
)

// SwapKind says in which direction a swap went.
type SwapKind string

// The directions. What a turn-back takes away never counts as history that checks compare with. A detach is a person's: what
// was live there is live no more, and nothing else is. An adopt made a table live that was there before.
const (
	Publish  SwapKind = "publish"
	TurnBack SwapKind = "turn_back"
	Detach   SwapKind = "detach"
	Adopt    SwapKind = "adopt"
)

// Swap is one change of what is live, as it happened.
type Swap struct {
	ID        int64         `db:"id"`
	Tenure    int64         `db:"tenure"`
	Owner     string        `db:"owner"`
	EffectKey string        `db:"effect_key"`
	Kind      SwapKind      `db:"kind"`
	Output    string        `db:"output"`
	Partition partition.Key `db:"partition"`
	From      int64         `db:"from_generation"`
	To        int64         `db:"to_generation"`
	By        string        `db:"asked_by"`
	Reason    string        `db:"reason"`
	At        time.Time     `db:"at"`
}

const swapColumns = ` id, tenure, owner, asked_by, reason, effect_key, kind, output, partition, coalesce(from_generation, 0) AS from_generation,
	coalesce(to_generation, 0) AS to_generation, at `

// LockLive locks the partitions of swaps against every other publish, in one order, without waiting, and returns the
// live generation of each, with the tenure of the swap that made it so. A partition that another publish holds is SQLSTATE
// 55P03.
func (l Ledger) LockLive(ctx context.Context, q Querier, swaps []generation.Swap) (map[Slot]Live, error) {
	outputs, partitions := make([]string, len(swaps)), make([]string, len(swaps))
	for i, s := range swaps {
		outputs[i], partitions[i] = s.Output, string(s.Partition)
	}
	if _, err := q.Exec(ctx, l.sql(`
		INSERT INTO ledger.live (output, partition)
		SELECT output, partition
		FROM unnest($1::text[], $2::text[]) AS wanted (output, partition)
		WHERE NOT EXISTS (SELECT FROM ledger.live l WHERE l.output = wanted.output AND l.partition = wanted.partition)
		ON CONFLICT DO NOTHING`), outputs, partitions); err != nil {
		return nil, fmt.Errorf("enter partitions: %w", err)
	}
	rows, err := q.Query(ctx, l.sql(`
		SELECT l.output, l.partition, coalesce(l.generation, 0), l.tenure
		FROM ledger.live l
		JOIN unnest($1::text[], $2::text[]) AS wanted (output, partition) USING (output, partition)
		ORDER BY l.output, l.partition
		FOR UPDATE OF l NOWAIT`), outputs, partitions)
	if err != nil {
		return nil, fmt.Errorf("lock partitions in the ledger: %w", err)
	}
	locked := map[Slot]Live{}
	var at Slot
	var live Live
	_, err = pgx.ForEachRow(rows, []any{&at.Output, &at.Partition, &live.Generation, &live.Tenure}, func() error {
		locked[at] = live
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lock partitions in the ledger: %w", err)
	}
	return locked, nil
}

// Slot is one partition of one output.
type Slot struct {
	Output    string
	Partition partition.Key
}

// Live is what readers see of a slot: a generation, 0 for none, and the tenure of the swap that made it so.
type Live struct {
	Generation int64
	Tenure     int64
}

// Change is why swaps happen: under which tenure of which pipeline, by whose effect, who asked.
type Change struct {
	Pipeline string
	Outputs  []string
	Tenure   int64
	Activate bool // the tenure becomes the active one
	Key      effect.Key
	Kind     SwapKind
	By       string
	Reason   string
}

// Record moves what is live, and the states of both sides, gives the outputs to the pipeline, and makes the change's tenure the
// active one where that is asked for. An output that belongs to another pipeline is fault.Refused. The caller holds the
// locks of LockLive.
func (l Ledger) Record(ctx context.Context, q Querier, c Change, swaps []generation.Swap) error {
	owners := map[string]string{}
	statements := append([]statement{claimOutputs(c.Pipeline, c.Outputs), readOwners(c.Outputs, owners)}, recordSwaps(c, swaps)...)
	if c.Activate {
		statements = append(statements, activate(c.Pipeline, c.Tenure)...)
	}
	if err := l.together(ctx, q, statements...); err != nil {
		return err
	}
	return owned(c.Pipeline, c.Outputs, owners)
}

func recordSwaps(c Change, swaps []generation.Swap) []statement {
	n := len(swaps)
	outputs, partitions, from, to := make([]string, n), make([]string, n), make([]*int64, n), make([]*int64, n)
	id := func(v int64) *int64 {
		if v == 0 {
			return nil
		}
		return &v
	}
	for i, s := range swaps {
		outputs[i], partitions[i], from[i], to[i] = s.Output, string(s.Partition), id(s.From), id(s.To)
	}
	what := fmt.Sprintf("record swaps of %s", c.Key)
	return []statement{
		{
			what: what, args: []any{from},
			sql: `UPDATE ledger.generation SET state = 'retired', at = clock_timestamp() WHERE id = ANY($1)`,
		},
		{
			what: what, args: []any{from, to},
			sql: `
				UPDATE ledger.generation g SET state = 'live', shadow = '', at = clock_timestamp(), replaced = coalesce(g.replaced, s.was, 0)
				FROM unnest($1::bigint[], $2::bigint[]) AS s (was, id)
				WHERE g.id = s.id`,
		},
		{
			what: what, args: []any{outputs, partitions, to, c.Tenure},
			sql: `
				UPDATE ledger.live l SET generation = s.generation, tenure = $4
				FROM unnest($1::text[], $2::text[], $3::bigint[]) AS s (output, partition, generation)
				WHERE l.output = s.output AND l.partition = s.partition`,
		},
		{
			what: what, args: []any{c.Tenure, string(c.Key.Owner), c.Key.String(), string(c.Kind), c.By, c.Reason, outputs, partitions, from, to},
			sql: `
				INSERT INTO ledger.swap (tenure, owner, effect_key, kind, asked_by, reason, output, partition, from_generation, to_generation)
				SELECT $1, $2, $3, $4, $5, $6, s.* FROM unnest($7::text[], $8::text[], $9::bigint[], $10::bigint[]) AS s`,
		},
	}
}

// SwapsAt lists the swaps of some partitions of outputs, in the order in which they happened.
func (l Ledger) SwapsAt(ctx context.Context, q Querier, outputs []string, keys []partition.Key) ([]Swap, error) {
	return l.swaps(ctx, q, `SELECT`+swapColumns+`FROM ledger.swap WHERE output = ANY($1) AND partition = ANY($2) ORDER BY id`, outputs, keys)
}

// PublishedAt are those of some partitions of outputs in which a workflow has ever published.
func (l Ledger) PublishedAt(ctx context.Context, q Querier, owner string, outputs []string, keys []partition.Key) ([]partition.Key, error) {
	rows, err := q.Query(ctx, l.sql(`
		SELECT DISTINCT partition
		FROM ledger.swap
		WHERE owner = $1 AND kind = 'publish' AND output = ANY($2) AND partition = ANY($3)
		ORDER BY 1`), owner, outputs, keys)
	if err != nil {
		return nil, fmt.Errorf("look for swaps of %s: %w", owner, err)
	}
	at, err := pgx.CollectRows(rows, pgx.RowTo[partition.Key])
	if err != nil {
		return nil, fmt.Errorf("look for swaps of %s: %w", owner, err)
	}
	return at, nil
}

// Swapped says whether a workflow has ever changed what is live.
func (l Ledger) Swapped(ctx context.Context, q Querier, owner string) (bool, error) {
	var swapped bool
	if err := q.QueryRow(ctx, l.sql(`SELECT EXISTS (SELECT FROM ledger.swap WHERE owner = $1)`), owner).Scan(&swapped); err != nil {
		return false, fmt.Errorf("look for swaps of %s: %w", owner, err)
	}
	return swapped, nil
}

func (l Ledger) swaps(ctx context.Context, q Querier, text string, args ...any) ([]Swap, error) {
	rows, err := q.Query(ctx, l.sql(text), args...)
	if err != nil {
		return nil, fmt.Errorf("read swaps: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[Swap])
	if err != nil {
		return nil, fmt.Errorf("read swaps: %w", err)
	}
	return list, nil
}
