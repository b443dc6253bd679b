package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// batchSize is how many partitions of a target's release one statement may build, where some lanes build at the same time. What was
// not seen to give the same for a range as one by one is built one by one.
func (s *Site) batchSize(ctx context.Context, w Warehouse, p *pipeline.Pipeline, t Target, lanes int) (int, error) {
	if p.BatchIn(p.Config) == 0 {
		return 1, nil
	}
	proof, err := w.BatchProof(ctx, t.Release.Digest, t.Config)
	return proof.Batch(p.BatchIn(p.Config), lanes), err
}

// neighbours are the first of some batches that one statement may build: partitions next to each other, of the same outputs, all of
// which are cut.
func neighbours(p *pipeline.Pipeline, all []batch, most int) []batch {
	cut := cutOutputs(p)
	if slices.ContainsFunc(all[0].outputs, func(table string) bool { return !slices.Contains(cut, table) }) {
		return all[:1]
	}
	n := 1
	for n < min(most, len(all)) && slices.Equal(all[0].outputs, all[n].outputs) && adjoin(p.Partition, all[n-1].key, all[n].key) {
		n++
	}
	return all[:n]
}

// preceding is the partition right before another, unless the calendar begins with that.
func preceding(scheme partition.Scheme, key partition.Key) (partition.Key, bool) {
	before, err := scheme.Prev(key)
	return before, err == nil
}

// adjoin says that one partition is right before another.
func adjoin(scheme partition.Scheme, before, after partition.Key) bool {
	next, err := scheme.Next(before)
	return err == nil && next == after
}

// cutOutputs are the tables that are cut as their pipeline is.
func cutOutputs(p *pipeline.Pipeline) []string {
	var tables []string
	for _, o := range p.Outputs {
		if o.Partition.By == p.Partition.By {
			tables = append(tables, o.Table)
		}
	}
	return tables
}

// oneByOne says that a batch has failed by something that one of its partitions is to blame for, and logs it.
func oneByOne(ctx context.Context, err error) bool {
	class := fault.ClassOf(err)
	if class != fault.Invalid && class != fault.Refused {
		return false
	}
	info := activity.GetInfo(ctx)
	activity.GetLogger(ctx).Warn("a batch failed, its partitions are built one by one", "correlation_id", info.WorkflowExecution.ID, "error", fault.Bound(err.Error()))
	return true
}

// spanOf names neighbouring partitions.
func spanOf(keys []partition.Key) partition.Key {
	first, last := keys[0], keys[len(keys)-1]
	if first == last {
		return first
	}
	return first + ".." + last
}

const (
	// proofFull is how many partitions with rows in every output a proof needs: what one statement numbers, cuts off or dates alike
	// shows only where there is something before and after it.
	proofFull = 3
	// proofMost is how many partitions are looked through for them.
	proofMost = 12
)

// proveBatch sees whether a release gives for a range what it gives for its partitions one by one, as it says by partition.batch:
// some neighbours up to the newest one of its canary are built both ways from the same landing, and compared by checksum. That
// happens once for a release and its config. A difference is a refusal that names it; where there are too few partitions to see
// one, nothing is recorded, and no batch is built.
func (s *Site) proveBatch(ctx context.Context, w Warehouse, p *pipeline.Pipeline, in SliceInput) error {
	if p.BatchIn(p.Config) == 0 {
		return nil
	}
	env, _, err := s.planned(ctx, in.Target, in.Plan)
	if err != nil || len(env.Canary) == 0 {
		return err
	}
	newest := env.Canary[len(env.Canary)-1]
	proof, err := w.BatchProof(ctx, in.Target.Release.Digest, in.Target.Config)
	if err != nil {
		return err
	}
	if !proof.Known {
		report, stop := pulse(ctx, newest)
		defer stop()
		v := proving{site: s, w: w, p: p, in: in, report: report, one: map[generation.Item]generation.Generation{}}
		if proof, err = v.run(ctx, newest); err != nil || !proof.Known {
			return err
		}
		if err := w.RecordBatchProof(ctx, in.Target.Release.Digest, in.Target.Config, proof); err != nil {
			return err
		}
	}
	if proof.Difference == "" {
		return nil
	}
	return fault.Newf(fault.Refused, "build", "partition.batch of "+in.Target.Release.String(),
		"take batch out of pipeline.yaml, or let the SELECT give for a range what it gives for each of its partitions", proof.Difference)
}

// proving builds partitions one by one and as a batch, for a comparison only.
type proving struct {
	site   *Site
	w      Warehouse
	p      *pipeline.Pipeline
	in     SliceInput
	report func(Progress)
	keys   []partition.Key // from the first on
	one    map[generation.Item]generation.Generation
	built  []int64
}

func (v *proving) run(ctx context.Context, newest partition.Key) (proof generation.BatchProof, err error) {
	defer func() {
		if lost := v.w.Discard(ctx, "built only to compare a batch with its partitions", v.built...); err == nil {
			err = lost
		}
	}()
	enough, err := v.apart(ctx, newest)
	if err != nil || !enough {
		return proof, err
	}
	ranged, err := v.w.BuildBatch(ctx, v.spec(ctx, "prove-batch", v.keys[0]), v.keys, v.report)
	proof = generation.BatchProof{Known: true, Partitions: v.keys}
	if fault.ClassOf(err) == fault.Invalid {
		proof.Difference = fault.Bound("as a batch " + string(spanOf(v.keys)) + " cannot be built: " + err.Error())
		return proof, nil
	}
	if err != nil {
		return proof, err
	}
	var differ []string
	for _, b := range ranged {
		g := b.Generation
		v.built = append(v.built, g.ID)
		one := v.one[generation.Item{Output: g.Output, Partition: g.Partition}]
		switch {
		case one.Rows != g.Rows:
			differ = append(differ, fmt.Sprintf("%s[%s] has %d rows in a batch and %d by itself", g.Output, g.Partition, g.Rows, one.Rows))
		case one.Checksum != g.Checksum:
			differ = append(differ, fmt.Sprintf("%s[%s] has other values in a batch than by itself", g.Output, g.Partition))
		}
	}
	proof.Difference = fault.Bound(strings.Join(differ, "; "))
	return proof, nil
}

// apart builds neighbours one by one, backwards, until there are enough; the answer says whether there are.
func (v *proving) apart(ctx context.Context, newest partition.Key) (bool, error) {
	full := 0
	for key := newest; len(v.keys) < proofMost; {
		built, err := v.w.Build(ctx, v.spec(ctx, "prove-one", key), v.report)
		if fault.ClassOf(err) == fault.Invalid {
			return false, nil // whoever builds it for readers says why
		}
		if err != nil {
			return false, err
		}
		v.keys = slices.Insert(v.keys, 0, key)
		all := true
		for _, b := range built {
			if key == newest {
				same, err := v.repeated(ctx, b)
				if err != nil || !same {
					v.built = append(v.built, b.Generation.ID)
					return false, err // whoever judges smoke says in what it differs
				}
			}
			v.one[generation.Item{Output: b.Generation.Output, Partition: key}] = b.Generation
			v.built = append(v.built, b.Generation.ID)
			all = all && b.Generation.Rows > 0
		}
		if all {
			full++
		}
		if full == proofFull {
			return true, nil
		}
		before, ok := preceding(v.p.Partition, key)
		if !ok {
			break
		}
		key = before
	}
	return false, nil
}

// repeated says whether smoke has built the same by itself: what differs each time differs from a batch too.
func (v *proving) repeated(ctx context.Context, b Built) (bool, error) {
	t, err := v.w.TriedUnder(ctx, v.in.Target.Effect(v.in.Step, b.Generation.Partition, v.in.Round), b.Generation.Output)
	return t.ID == 0 || t.Rows == b.Generation.Rows && t.Checksum == b.Generation.Checksum, err
}

// spec asks for a partition of every output that is cut, under no tenure: it is never published.
func (v *proving) spec(ctx context.Context, step string, key partition.Key) BuildSpec {
	return BuildSpec{
		Key: v.in.Target.Effect(step, key, v.in.Round), Config: v.in.Target.Config, Pipeline: v.p, Release: v.in.Target.Release,
		Partition: key, Outputs: cutOutputs(v.p), Control: true, Application: application(ctx, v.in.Step), Moment: v.in.Target.Now,
	}
}
