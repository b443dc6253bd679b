package activities_test

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"drawbridge/activities"
	"drawbridge/internal/admission"
	"drawbridge/internal/backfill"
	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
)

// batched is a warehouse that builds batches of a release of which something was seen.
type batched struct {
	filled
	proof    generation.BatchProof
	recorded []generation.BatchProof
	batches  [][]partition.Key
	broken   error                           // of every batch
	rows     map[partition.Key]int64         // by itself; 10 where nothing is said
	ranged   func(*generation.Generation)    // what a batch makes of it
	parks    map[partition.Key]string        // what a publish that begins with it waits for
	results  map[partition.Key]check.Outcome // of its audit
	smoked   string                          // checksum of what smoke has built
	gone     []int64
	keys     []effect.Key // of the publishes
	ids      map[effect.Key]int64
}

func (b *batched) BatchProof(context.Context, string, string) (generation.BatchProof, error) {
	return b.proof, nil
}

func (b *batched) TriedUnder(_ context.Context, key effect.Key, output string) (generation.Tried, error) {
	return generation.Tried{Generation: generation.Generation{ID: b.ids[key], Output: output, Rows: 10, Checksum: b.smoked}}, nil
}

func (b *batched) RecordBatchProof(_ context.Context, _, _ string, proof generation.BatchProof) error {
	b.recorded = append(b.recorded, proof)
	return nil
}

func (b *batched) Discard(_ context.Context, _ string, ids ...int64) error {
	b.gone = append(b.gone, ids...)
	return nil
}

// of is what a build makes of a partition: one under a key has one generation.
func (b *batched) of(spec activities.BuildSpec, key partition.Key) activities.Built {
	if b.ids == nil {
		b.ids = map[effect.Key]int64{}
	}
	under := spec.Key
	under.Partition = key
	if b.ids[under] == 0 {
		b.ids[under] = int64(100 + len(b.ids))
	}
	rows, said := b.rows[key]
	if !said {
		rows = 10
	}
	outcome := b.results[key]
	if outcome == "" {
		outcome = check.Passed
	}
	return activities.Built{
		Generation: generation.Generation{ID: b.ids[under], Output: spec.Outputs[0], Partition: key, Rows: rows, Checksum: "1"},
		Results:    []check.Result{{Name: "row_count", Outcome: outcome}},
	}
}

func (b *batched) Build(_ context.Context, spec activities.BuildSpec, _ func(activities.Progress)) ([]activities.Built, error) {
	if err := b.fails[spec.Partition]; err != nil {
		return nil, err
	}
	b.built = append(b.built, spec.Partition)
	return []activities.Built{b.of(spec, spec.Partition)}, nil
}

func (b *batched) BuildBatch(_ context.Context, spec activities.BuildSpec, keys []partition.Key, _ func(activities.Progress)) ([]activities.Built, error) {
	b.batches = append(b.batches, keys)
	if b.broken != nil {
		return nil, b.broken
	}
	var all []activities.Built
	for _, key := range keys {
		if b.fails[key] != nil {
			return nil, fault.Newf(fault.Invalid, "build", "shop", "mend it", "something of it is broken")
		}
		one := b.of(spec, key)
		if b.ranged != nil {
			b.ranged(&one.Generation)
		}
		all = append(all, one)
	}
	return all, nil
}

func (b *batched) Publish(_ context.Context, spec generation.PublishSpec, ticket admission.Ticket, _ func(time.Duration, time.Duration)) (generation.PublishResult, error) {
	b.keys = append(b.keys, spec.Key)
	if why := b.parks[spec.Key.Partition]; why != "" {
		return generation.PublishResult{WaitingFor: why}, nil
	}
	b.published = append(b.published, len(ticket.Question.Swaps))
	b.swapped = append(b.swapped, ticket.Question.Swaps...)
	return generation.PublishResult{Done: true, Swapped: len(ticket.Question.Swaps)}, nil
}

// uncut is the scaffold, whose orders come in one file.
func uncut(files map[string][]byte) {
	text := bytes.Replace(files["pipeline.yaml"], []byte("orders_@partition.csv"), []byte("orders.csv"), 1)
	files["pipeline.yaml"] = bytes.Replace(text, []byte("column: order_date}"), []byte("column: order_date, batch: 31}"), 1)
}

// january lists days from the first on.
func january(t *testing.T, days int) []partition.Key {
	t.Helper()
	scheme := partition.Scheme{By: partition.Day, Column: "order_date"}
	first, keys := partition.Key("2026-01-01"), []partition.Key(nil)
	for range days {
		keys = append(keys, first)
		var err error
		first, err = scheme.Next(first)
		require.NoError(t, err)
	}
	return keys
}

// fillingBatches is a backfill of some days, of a release whose batches were seen to be right.
func fillingBatches(t *testing.T, keys ...partition.Key) (*activities.Filling, *batched, activities.FillInput) {
	t.Helper()
	return fillingParts(t, nil, keys)
}

// fillingParts is one that becomes visible in some transactions, each of so many partitions, when all of it is built; none: as it is built.
func fillingParts(t *testing.T, parts []int, keys []partition.Key) (*activities.Filling, *batched, activities.FillInput) {
	t.Helper()
	s := setup(t)
	s.Policy.Publish.MaxPause = time.Second
	uncut(s.shelf.releases["sha256:1.0.0"])
	pl := backfill.Plan{Environment: "prod", Release: target("prod").Release, Tenure: 7, Slice: 100, Lanes: 1, Partitions: keys, Parts: parts}
	digest := backfill.Digest(pl)
	s.shelf.blobs[digest] = backfill.Canonical(pl)
	b := &batched{
		filled: filled{desk: *s.desk, open: backfill.Open{Owner: owner, Plan: digest, Tenure: 7}, fails: map[partition.Key]error{}},
		proof:  generation.BatchProof{Known: true, Most: 400}, parks: map[partition.Key]string{}, results: map[partition.Key]check.Outcome{},
	}
	b.facts.Active.Number, b.facts.Active.Release = 7, target("prod").Release
	s.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return b, nil }
	return &activities.Filling{Site: s.Site, Now: opened}, b, activities.FillInput{Target: target("prod"), Plan: digest, Failures: 10}
}

func TestABackfillBuildsNeighboursTogether(t *testing.T) {
	t.Parallel()
	keys := january(t, 20)
	gap := slices.Delete(slices.Clone(keys), 12, 13)
	for name, c := range map[string]struct {
		keys    []partition.Key
		proof   generation.BatchProof
		batches [][]partition.Key
		alone   []partition.Key
		slots   int64
		swaps   []int // of each publish
	}{
		"all are neighbours":       {keys: keys, proof: generation.BatchProof{Known: true, Most: 400}, batches: [][]partition.Key{keys}, swaps: []int{20}},
		"readers bear less":        {keys: keys, proof: generation.BatchProof{Known: true, Most: 400}, batches: [][]partition.Key{keys}, slots: 20, swaps: []int{8, 3, 3, 3, 3}},
		"one is missing":           {keys: gap, proof: generation.BatchProof{Known: true, Most: 400}, batches: [][]partition.Key{keys[:12], keys[13:]}, swaps: []int{12, 7}},
		"the lock table is small":  {keys: keys, proof: generation.BatchProof{Known: true, Most: 19}, batches: [][]partition.Key{keys[:19]}, alone: keys[19:], swaps: []int{19, 1}},
		"nobody has seen one":      {keys: keys[:2], proof: generation.BatchProof{Most: 400}, alone: keys[:2], swaps: []int{2}},
		"a range gives other rows": {keys: keys[:2], proof: generation.BatchProof{Known: true, Difference: "it differs", Most: 400}, alone: keys[:2], swaps: []int{2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, in := fillingBatches(t, c.keys...)
			b.proof, b.slots = c.proof, c.slots
			done, err := call(t, a.Fill, in)
			require.Nil(t, err)
			require.Equal(t, len(c.keys), done.Published)
			require.Len(t, b.swapped, len(c.keys))
			require.Equal(t, c.batches, b.batches)
			require.Equal(t, c.alone, b.built)
			require.Equal(t, c.swaps, b.published)
		})
	}
}

func TestNothingOfABatchIsPublishedBeforeAllOfTheBackfillIsBuilt(t *testing.T) {
	t.Parallel()
	keys := january(t, 20)
	a, b, in := fillingParts(t, []int{20}, keys)
	done, err := call(t, a.Fill, in)
	require.Nil(t, err)
	require.Equal(t, [][]partition.Key{keys}, b.batches)
	require.Equal(t, 20, done.Built)
	require.EqualValues(t, 200, done.Rows)
	require.Zero(t, done.Published)
	require.Empty(t, b.keys)

	a, b, in = fillingParts(t, []int{20}, keys)
	b.fails[keys[7]] = fault.Newf(fault.Invalid, "load", "orders.csv", "mend it", "it is broken")
	done, err = call(t, a.Fill, in)
	require.Nil(t, err)
	require.Len(t, done.Failed, 1)
	require.Equal(t, keys[7], done.Failed[0].Partition)
	require.Equal(t, 19, done.Built)
	require.Empty(t, b.keys)
}

func TestABatchThatFailsIsRunOneByOneSoThatThePoisonedPartitionIsNamed(t *testing.T) {
	t.Parallel()
	keys := january(t, 5)
	for name, poison := range map[string]func(*batched){
		"it cannot be built": func(b *batched) {
			b.fails[keys[2]] = fault.Newf(fault.Invalid, "build", "fct_orders 2026-01-03", "mend it", "the key repeats")
		},
		"it fails its audit": func(b *batched) { b.results[keys[2]] = check.Failed },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, in := fillingBatches(t, keys...)
			poison(b)
			done, err := call(t, a.Fill, in)
			require.Nil(t, err)
			require.Equal(t, 4, done.Published)
			require.Len(t, done.Failed, 1)
			require.Equal(t, keys[2], done.Failed[0].Partition)
			require.Equal(t, 2, done.Failed[0].Index)
			require.Len(t, b.batches, 1, "it is not tried again")
			require.Len(t, b.swapped, 4)
		})
	}
}

func TestABatchThatIsHeldUpGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	keys := january(t, 20)
	a, b, in := fillingBatches(t, keys...)
	b.slots = 20 // eight at first
	b.parks[keys[8]] = generation.ForLocks
	done, err := call(t, a.Fill, in)
	require.Nil(t, err)
	require.Equal(t, []any{8, 8, generation.ForLocks}, []any{done.Published, done.Next, done.Parked.WaitingFor})
	require.NotEmpty(t, done.About)

	in.From = done.Next
	again, err := call(t, a.Fill, in)
	require.Nil(t, err)
	require.Equal(t, done.About, again.About, "what people have said about it holds")
	delete(b.parks, keys[8])
	done, err = call(t, a.Fill, in)
	require.Nil(t, err)
	require.Equal(t, 12, done.Published)
	require.Len(t, b.swapped, 20)

	for _, s := range b.swapped[8:] { // what others publish meanwhile is built again by itself
		require.NotZero(t, s.To)
	}
	a, b, in = fillingBatches(t, keys...)
	b.slots = 20
	b.parks[keys[8]] = generation.ForOthers
	done, err = call(t, a.Fill, in)
	require.Nil(t, err)
	require.Equal(t, keys[8], done.Failed[0].Partition, "others are faster again and again")
	require.Equal(t, 19, done.Published)
	require.Len(t, b.swapped, 19)
}

// smoking is the first slice of a plan whose canary is of the fifth of some days, of a release that says that it gives for a range
// what it gives one by one.
func smoking(t *testing.T) (*activities.Builds, *batched, activities.SliceInput) {
	t.Helper()
	a, at := laid(t, uncut)
	b := &batched{filled: filled{desk: at.desk, fails: map[partition.Key]error{}}, rows: map[partition.Key]int64{}, smoked: "1"}
	a.Site.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return b, nil }
	return a, b, activities.SliceInput{Target: target("prod"), Step: "canary", Plan: "sha256:plan"}
}

func TestABatchIsSeenBeforeItIsReliedOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(*batched)
		proved  []partition.Key // by a batch; none: nothing is seen
		refused string
	}{
		"the same both ways": {proved: []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}},
		"after days without rows": {
			change: func(b *batched) { b.rows["2026-01-02"], b.rows["2026-01-01"] = 0, 0 },
			proved: []partition.Key{"2025-12-30", "2025-12-31", "2026-01-01", "2026-01-02", "2026-01-03"},
		},
		"other rows": {
			change: func(b *batched) { b.ranged = func(g *generation.Generation) { g.Rows++ } },
			proved: []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}, refused: "fct_orders[2026-01-02] has 11 rows in a batch and 10 by itself",
		},
		"other values": {
			change: func(b *batched) {
				b.ranged = func(g *generation.Generation) {
					if g.Partition == "2026-01-02" {
						g.Checksum = "2"
					}
				}
			},
			proved: []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}, refused: "fct_orders[2026-01-02] has other values in a batch than by itself",
		},
		"a batch that cannot be": {
			change: func(b *batched) {
				b.broken = fault.Newf(fault.Invalid, "build", "fct_orders", "mend it", "the key repeats")
			},
			proved: []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"}, refused: "cannot be built: build fct_orders: the key repeats",
		},
		"seen before, and right":               {change: func(b *batched) { b.proof.Known = true }},
		"seen before, and not so":              {change: func(b *batched) { b.proof = generation.BatchProof{Known: true, Difference: "it differed"} }, refused: "it differed"},
		"what is not the same by itself twice": {change: func(b *batched) { b.smoked = "7" }},
		"a neighbour that is broken": {change: func(b *batched) {
			b.fails["2026-01-02"] = fault.Newf(fault.Invalid, "build", "it", "mend it", "it is broken")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b, in := smoking(t)
			if c.change != nil {
				c.change(b)
			}
			known := b.proof.Known
			_, err := call(t, a.BuildSlice, in)
			if c.refused == "" {
				require.Nil(t, err)
			} else {
				require.NotNil(t, err)
				require.Equal(t, string(fault.Refused), err.Type())
				require.Contains(t, err.Message(), "partition.batch of shop@1.0.0")
				require.Contains(t, err.Message(), c.refused)
			}
			if c.proved == nil {
				require.Empty(t, b.batches)
				require.Empty(t, b.recorded)
			} else {
				require.Equal(t, [][]partition.Key{c.proved}, b.batches)
				require.Len(t, b.recorded, 1)
				require.Equal(t, c.proved, b.recorded[0].Partitions)
				require.Equal(t, c.refused == "", b.recorded[0].Difference == "")
			}
			require.Equal(t, known, len(b.gone) == 0, "what was built for it is given up")
		})
	}
}

// A loss of the server, or another attempt, says nothing about a release.
func TestABatchThatWasNotSeenToItsEndIsNotRecorded(t *testing.T) {
	t.Parallel()
	a, b, in := smoking(t)
	b.broken = fault.Newf(fault.Conflict, "build", "it", "wait", "a later attempt has taken over")
	_, err := call(t, a.BuildSlice, in)
	require.NotNil(t, err)
	require.Empty(t, b.recorded)
	require.NotEmpty(t, b.gone)
}

func TestASliceOfADeploymentIsBuiltTogetherAndAPoisonedPartitionIsNamed(t *testing.T) {
	t.Parallel()
	keys := january(t, 6)
	s := setup(t)
	s.Policy.Publish.MaxPause = time.Second
	uncut(s.shelf.releases["sha256:1.0.0"])
	p, err := s.Pipeline(t.Context(), target("prod"))
	require.NoError(t, err)
	planned, err := plan.Compute(plan.Input{Release: target("prod").Release, Pipeline: p, Environments: []plan.EnvironmentInput{{
		Config: p.Config, Observed: plan.Observed{
			Environment: "prod", ConfigDigest: p.Config.Digest(), PolicyDigest: s.Policy.Digest(), LockSlots: 6400, Sources: keys,
			Outputs: []plan.ObservedOutput{{Table: "fct_orders", Kind: generation.Absent}},
		},
	}}})
	require.NoError(t, err)
	s.shelf.blobs["sha256:plan"], err = json.Marshal(planned)
	require.NoError(t, err)
	b := &batched{filled: filled{desk: *s.desk, fails: map[partition.Key]error{}}, proof: generation.BatchProof{Known: true, Most: 400}}
	s.Warehouse = func(context.Context, pipeline.Config) (activities.Warehouse, error) { return b, nil }
	builds := &activities.Builds{Site: s.Site, Now: opened}
	in := activities.SliceInput{Target: target("prod"), Step: "slice-1", Plan: "sha256:plan", Slice: 1}
	out, failed := call(t, builds.BuildSlice, in)
	require.Nil(t, failed)
	require.Equal(t, [][]partition.Key{keys[:5]}, b.batches)
	require.Empty(t, b.built)
	for i, piece := range out.Pieces {
		require.Equal(t, keys[i], piece.Swap.Partition)
	}
	require.Len(t, out.Pieces, 5)

	in.From = 3
	out, failed = call(t, builds.BuildSlice, in)
	require.Nil(t, failed)
	require.Len(t, out.Pieces, 2)
	require.Equal(t, keys[3:5], b.batches[1])

	in.From, b.fails[keys[1]] = 0, fault.Newf(fault.Invalid, "build", "fct_orders 2026-01-02", "mend it", "the key repeats")
	_, failed = call(t, builds.BuildSlice, in)
	require.NotNil(t, failed)
	require.Contains(t, failed.Message(), "2026-01-02: the key repeats")
	require.Equal(t, keys[:1], b.built)
}
