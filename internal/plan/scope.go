package plan

import (
	"fmt"
	"slices"

	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// lockRule is the rule of the lock table's size, which preflight holds against what is live, and the planner against
// what will be.
const lockRule = "lock-table"

// work is which partitions an environment tries and builds.
type work struct {
	smoke, canary []partition.Key
	aside         []generation.Item // what smoke builds to be audited, and nobody publishes
	slices        []Slice
	orphans       int // partitions in the scope that have no source files any more
	oversized     int // the canary or smoke size that was asked for, where it exceeds maxTrial
}

func (c crossing) work(smoke, canary int) work {
	scheme := c.pipeline.Partition
	smoke = max(1, smoke) // nothing is published untried
	sources, live := scheme.Latest(c.observed.Sources, len(c.observed.Sources)), c.live()
	w := work{
		smoke: scheme.Latest(sources, min(smoke, maxTrial)),
		canary: CanaryOf(c.pipeline, sources, func(key partition.Key) bool {
			return slices.ContainsFunc(c.pipeline.Outputs, func(o pipeline.Output) bool { return live[generation.Item{Output: o.Table, Partition: key}] })
		}),
	}
	if most := max(smoke, canary); most > maxTrial {
		w.oversized = most
	}
	if len(sources) == 0 {
		return w
	}
	inScope := c.scope(sources)
	w.orphans = c.orphans(sources, inScope)

	// What smoke builds is published with the canary where the deployment builds it anyway, and given up otherwise.
	first := Slice{Reused: true}
	everything := func(pipeline.Output) bool { return true }
	var tried []partition.Key
	for _, key := range sources {
		wanted := func(o pipeline.Output) bool {
			return inScope(key) || !live[generation.Item{Output: o.Table, Partition: key}]
		}
		switch {
		case slices.Contains(w.canary, key), slices.Contains(w.smoke, key) && len(c.cutItems(key, wanted)) > 0:
			tried = append(tried, key)
			first.Items = append(first.Items, c.cutItems(key, everything)...)
		case slices.Contains(w.smoke, key):
			w.aside = append(w.aside, c.cutItems(key, everything)...)
		}
	}
	first.Items = append(first.Items, c.wholeItems()...)
	w.slices = append(w.slices, first)

	var rest Slice
	partitions := 0
	for _, key := range sources {
		if slices.Contains(tried, key) {
			continue
		}
		items := c.cutItems(key, func(o pipeline.Output) bool {
			return inScope(key) || !live[generation.Item{Output: o.Table, Partition: key}]
		})
		if len(items) == 0 {
			continue
		}
		if partitions == c.perPublish() {
			w.slices = append(w.slices, rest)
			rest, partitions = Slice{}, 0
		}
		rest.Items = append(rest.Items, items...)
		partitions++
	}
	if partitions > 0 {
		w.slices = append(w.slices, rest)
	}
	return w
}

// perPublish is how many partitions go live in one transaction. What is built in batches goes live in larger parts where nothing was
// live before.
func (c crossing) perPublish() int {
	if c.observed.Active != nil {
		return generation.PartitionsPerPublish
	}
	return max(generation.PartitionsPerPublish, min(c.pipeline.Batch, generation.PartitionsPerFirstPublish))
}

// CanaryOf are the partitions that a release's canary tries: the newest that can be compared, which are live and can be built again.
// Where there is none it tries the newest that can be built.
func CanaryOf(p *pipeline.Pipeline, sources []partition.Key, live func(partition.Key) bool) []partition.Key {
	var both []partition.Key
	for _, key := range sources {
		if live(key) {
			both = append(both, key)
		}
	}
	if len(both) == 0 {
		both = sources
	}
	return p.Partition.Latest(both, min(max(1, p.Canary.Latest), maxTrial))
}

// cutItems are the wanted outputs that are cut as the pipeline is, in one partition.
func (c crossing) cutItems(key partition.Key, wanted func(pipeline.Output) bool) []generation.Item {
	var items []generation.Item
	for _, o := range c.pipeline.Outputs {
		if o.Partition.By == c.pipeline.Partition.By && wanted(o) {
			items = append(items, generation.Item{Output: o.Table, Partition: key})
		}
	}
	return items
}

// wholeItems are the outputs that are one partition, beside those that are cut.
func (c crossing) wholeItems() []generation.Item {
	var items []generation.Item
	for _, o := range c.pipeline.Outputs {
		if o.Partition.By == partition.All && c.pipeline.Partition.By != partition.All {
			items = append(items, generation.Item{Output: o.Table, Partition: partition.AllKey})
		}
	}
	return items
}

// scope says which partitions are built whatever is live.
func (c crossing) scope(sources []partition.Key) func(partition.Key) bool {
	scheme := c.pipeline.Partition
	switch c.rebuild.Mode {
	case RebuildAll:
		return func(partition.Key) bool { return true }
	case RebuildLast:
		from := scheme.Latest(sources, c.rebuild.Last)[0]
		return func(k partition.Key) bool { return scheme.Compare(k, from) >= 0 }
	case RebuildSince:
		return func(k partition.Key) bool { return scheme.Compare(k, c.rebuild.Since) >= 0 }
	case RebuildNone:
	}
	return func(partition.Key) bool { return false }
}

// live is every live generation's place.
func (c crossing) live() map[generation.Item]bool {
	live := map[generation.Item]bool{}
	for _, o := range c.observed.Outputs {
		for _, g := range o.Live {
			live[generation.Item{Output: o.Table, Partition: g.Partition}] = true
		}
	}
	return live
}

// orphans counts the live partitions in the scope that cannot be built again: their source files are gone.
func (c crossing) orphans(sources []partition.Key, inScope func(partition.Key) bool) int {
	gone := map[partition.Key]bool{}
	for _, o := range c.pipeline.Outputs {
		if o.Partition.By != c.pipeline.Partition.By {
			continue
		}
		found, _ := c.observed.output(o.Table)
		for _, g := range found.Live {
			_, has := slices.BinarySearchFunc(sources, g.Partition, c.pipeline.Partition.Compare)
			if !has && inScope(g.Partition) {
				gone[g.Partition] = true
			}
		}
	}
	return len(gone)
}

// limits are the problems of the work's size.
func (c crossing) limits(w work) []Problem {
	var found []Problem
	env, name := c.observed.Environment, c.pipeline.Name
	if len(w.canary) == 0 || len(w.smoke) == 0 {
		found = append(found, Problem{
			Rule: "sources", Object: name, Blocking: true,
			Text:   "no partition can be tried: for none of them every load file is there",
			Remedy: fmt.Sprintf("put the files under source_files of config.%s.yaml, where the worker of %s reads them", env, env),
		})
	}
	if w.oversized > 0 {
		found = append(found, Problem{
			Rule: "trial-size", Object: name, Blocking: true,
			Text:   fmt.Sprintf("smoke and canary are samples of at most %d partitions; %d are asked for", maxTrial, w.oversized),
			Remedy: "lower `partitions: latest N` of smoke and canary; --rebuild says what is built afterwards",
		})
	}
	if n := Partitions(w.slices); c.policy.MaxPartitions > 0 && n > c.policy.MaxPartitions {
		remedy := fmt.Sprintf("raise max_partitions in policy.%s.yaml: these partitions have no live generation", env)
		if c.rebuild.Mode != RebuildNone {
			remedy = "plan a narrower scope: --rebuild last=N, or --rebuild none"
		}
		found = append(found, Problem{
			Rule: "max-partitions", Object: name, Blocking: true,
			Text:   fmt.Sprintf("%d partitions would be built; the policy of %s allows %d", n, env, c.policy.MaxPartitions),
			Remedy: remedy,
		})
	}
	if watch := WatchOf(c.pipeline, c.config); watch.For > c.policy.KeepRetired {
		found = append(found, Problem{
			Rule: "watch", Object: name, Blocking: true,
			Text:   fmt.Sprintf("it watches for %s, and what it would go back to is kept for %s", durationText(watch.For), durationText(c.policy.KeepRetired)),
			Remedy: fmt.Sprintf("shorten the watch in config.%s.yaml, or raise keep_retired in policy.%s.yaml", env, env),
		})
	}
	if w.orphans > 0 {
		found = append(found, Problem{
			Rule: "sources", Object: name,
			Text:   fmt.Sprintf("%s in the scope cannot be built again, because their load files are gone; what is live there stays", count(w.orphans, "partition")),
			Remedy: "bring the files back, or accept that these partitions keep their present release",
		})
	}
	for _, o := range c.pipeline.Outputs {
		found = append(found, c.lockProblem(o, w)...)
	}
	return append(found, c.batchProblem()...)
}

// batchProblem says that a batch as large as the author allows would not fit into the server's lock table.
func (c crossing) batchProblem() []Problem {
	lanes := c.policy.Publish.Lanes
	most := generation.BatchProof{Known: true, Most: generation.MostInBatch(c.observed.LockSlots)}.Batch(c.pipeline.Batch, lanes)
	if c.pipeline.Batch <= most {
		return nil
	}
	return []Problem{{
		Rule: "batch", Object: c.pipeline.Name,
		Text:   fmt.Sprintf("partition.batch is %d; in %d lanes, half of the server's lock table is enough for %d: so many are built at a time", c.pipeline.Batch, lanes, most),
		Remedy: fmt.Sprintf("lower partition.batch, or raise max_locks_per_transaction of %s", c.observed.Environment),
	}}
}

// lockProblem guards the server's lock table, which every reader of the whole table fills too: it locks each partition
// and each of its indexes.
func (c crossing) lockProblem(o pipeline.Output, w work) []Problem {
	keys := map[partition.Key]bool{}
	if found, ok := c.observed.output(o.Table); ok {
		for _, g := range found.Live {
			keys[g.Partition] = true
		}
	}
	for _, s := range w.slices {
		for _, item := range s.Items {
			if item.Output == o.Table {
				keys[item.Partition] = true
			}
		}
	}
	indexes := o.IndexCount()
	locks, quarter := int64(len(keys)*(1+indexes)), c.observed.LockSlots/4
	if locks <= quarter || slices.ContainsFunc(c.observed.Problems, func(p Problem) bool {
		return p.Rule == lockRule && p.Object == o.Table // what is live is too much already, as preflight says
	}) {
		return nil
	}
	return []Problem{{
		Rule: lockRule, Object: o.Table, Blocking: true,
		Text: fmt.Sprintf("%s with %s each take %d locks to read as a whole; a quarter of the server's lock table is %d",
			count(len(keys), "partition"), count(indexes, "index"), locks, quarter),
		Remedy: coarser(o.Partition) + ", or raise max_locks_per_transaction",
	}}
}

// coarser proposes the next coarser grain.
func coarser(s partition.Scheme) string {
	switch s.By {
	case partition.Hour:
		return "partition by day"
	case partition.Day, partition.Week:
		return "partition by month"
	case partition.Month:
		return "partition by year"
	case partition.Range:
		return fmt.Sprintf("partition by {range: %d}", s.Size*10)
	case partition.Year, partition.List, partition.All:
	}
	return "partition by fewer, larger partitions"
}
