package backfill

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"drawbridge/internal/cutover"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/internal/window"
)

// Order is in which order the partitions of a span are built.
type Order string

// The orders.
const (
	Oldest Order = "oldest"
	Newest Order = "newest"
)

// Ask is what somebody wants built again: both ends are included.
type Ask struct {
	From  partition.Key `json:"from"`
	To    partition.Key `json:"to"`
	Order Order         `json:"order"`
	// Force builds what is current as well.
	Force bool `json:"force,omitempty"`
	// Lanes is how many slices are built at the same time; 0 leaves it to the policy.
	Lanes int `json:"lanes,omitempty"`
	// Release is the version that is built, where it is not the active one.
	Release string `json:"release,omitempty"`
	// Cutover is whether each partition is published when it is built (default), or all of them as one.
	Cutover cutover.Mode `json:"cutover,omitempty"`
}

// Input is everything that a plan is computed from.
type Input struct {
	Ask         Ask
	Environment string
	Pipeline    *pipeline.Pipeline
	Active      release.Tenure
	// Chosen is another release that was active here before, and is to be built; number 0: the active one is.
	Chosen   release.Tenure
	Policy   pipeline.Policy
	Observed plan.Observed
	// Changed is when the newest file of a partition was last written, as far as that is known.
	Changed map[partition.Key]time.Time
	// Readers are the pipelines that read what is built, and Bytes how many a partition has on average.
	Readers []Reader
	Bytes   int64
}

// Span is a run of neighbouring partitions, both ends included.
type Span struct {
	First partition.Key `json:"first"`
	Last  partition.Key `json:"last"`
	Count int           `json:"count"`
}

func (s Span) String() string {
	if s.Count == 1 {
		return string(s.First)
	}
	return fmt.Sprintf("%s to %s (%d)", s.First, s.Last, s.Count)
}

// Estimate is how much work it is, by what the ledger knows of real builds. Unknown is what it cannot say.
type Estimate struct {
	Rows    int64         `json:"rows"`
	Bytes   int64         `json:"bytes"` // on disk, with indexes
	Took    time.Duration `json:"took"`
	Unknown bool          `json:"unknown,omitempty"`
}

// Plan is a backfill as it was decided upon. Its digest covers everything here, and approvals name it.
type Plan struct {
	Ask         Ask             `json:"ask"`
	Environment string          `json:"environment"`
	Release     release.Release `json:"release"`
	Config      string          `json:"config,omitempty"`
	Tenure      int64           `json:"tenure"` // the active one, under which it publishes
	// Beside is the active release, where another one is built by choice.
	Beside      string `json:"beside,omitempty"`
	Lanes       int    `json:"lanes"`
	Slice       int    `json:"slice"` // partitions that one activity builds
	MaxFailures int    `json:"max_failures"`
	// Partitions are those to build, in the order of work.
	Partitions []partition.Key `json:"partitions"`
	// Whole are the outputs that are one partition: they are built once, at the end, from the inputs of Last.
	Whole []string      `json:"whole,omitempty"`
	Last  partition.Key `json:"last,omitempty"`
	// Current are left as they are, Missing have no files.
	Current  []Span   `json:"current,omitempty"`
	Missing  []Span   `json:"missing,omitempty"`
	Estimate Estimate `json:"estimate"`
	// Downstream is what others have to build again afterwards.
	Downstream []Downstream `json:"downstream,omitempty"`
	// Parts is how many items each transaction publishes, where all of them are built aside first.
	Parts []int `json:"parts,omitempty"`
	// Windows are those of the environment in any of which it works; none: always.
	Windows []string `json:"windows,omitempty"`
	// Over are the limits of the environment that it exceeds: then people are asked.
	Over []string `json:"over,omitempty"`
}

// partitionsPerSlice bounds a slice, and sliceTime is about how long one should take. Each lane finds slicesPerLane at least, where
// there are so many partitions: none is idle while another one works on, and lanes that are added have something to do.
const (
	partitionsPerSlice = 256
	sliceTime          = time.Minute
	slicesPerLane      = 4
)

// Compute plans a backfill. It refuses a span in which nothing can be built, and an environment in which nothing is active: what
// has not crossed yet is not to be published by a backfill.
func Compute(in Input) (Plan, error) {
	name := in.Pipeline.Name
	refuse := func(class fault.Class, hint, reason string) error {
		return fault.Newf(class, "plan backfill of", name+" in "+in.Environment, hint, reason)
	}
	if in.Active.None() {
		return Plan{}, refuse(fault.Refused, "deploy a release: drawbridge deploy "+name+"@VERSION --to "+in.Environment, "no release is active there")
	}
	scheme := in.Pipeline.Partition
	if scheme.By == partition.All {
		return Plan{}, refuse(fault.Invalid, "run it: drawbridge run "+name+" --env "+in.Environment+" --partition all", "it is one partition")
	}
	if in.Ask.Order != Oldest && in.Ask.Order != Newest {
		return Plan{}, refuse(fault.Invalid, "write --order oldest or --order newest", fmt.Sprintf("there is no order %q", in.Ask.Order))
	}
	if m := in.Ask.Cutover; m != "" && m != cutover.Each && m != cutover.One {
		return Plan{}, refuse(fault.Invalid, "write --cutover each or --cutover one", fmt.Sprintf("there is no cut-over %q", m))
	}
	span, err := scheme.Range(in.Ask.From, in.Ask.To)
	if err != nil {
		return Plan{}, err
	}
	if first := in.Observed.First(scheme); first != "" && scheme.Compare(in.Ask.From, first) < 0 {
		return Plan{}, refuse(fault.Refused, "name partitions from "+string(first)+" on",
			fmt.Sprintf("%s is in the legacy partition, as the table was adopted: what is before %s stays as it was then", in.Ask.From, first))
	}
	p := Plan{
		Ask: in.Ask, Environment: in.Environment, Release: in.builds().Release, Config: in.builds().Config, Tenure: in.Active.Number,
		Lanes: in.Ask.Lanes, MaxFailures: in.Policy.Backfill.MaxFailures,
	}
	if !in.builds().Same(in.Active) {
		p.Beside = in.Active.Release.String()
	}
	if p.Lanes == 0 {
		p.Lanes = in.Policy.Publish.Lanes
	}
	sources := map[partition.Key]bool{}
	for _, key := range in.Observed.Sources {
		sources[key] = true
	}
	var current, missing []partition.Key
	for _, key := range span {
		switch {
		case !sources[key]:
			missing = append(missing, key)
		case !in.Ask.Force && in.current(key):
			current = append(current, key)
		default:
			p.Partitions = append(p.Partitions, key)
		}
	}
	if len(missing) == len(span) {
		return Plan{}, refuse(fault.Refused, fmt.Sprintf("put them under source_files of config.%s.yaml, where the worker of %s reads them", in.Environment, in.Environment),
			fmt.Sprintf("no partition from %s to %s has its load files", in.Ask.From, in.Ask.To))
	}
	p.Current, p.Missing = Spans(scheme, current), Spans(scheme, missing)
	if p.Ask.Order == Newest {
		slices.Reverse(p.Partitions)
	}
	if len(p.Partitions) > 0 {
		p.Last = scheme.Latest(in.Observed.Sources, 1)[0]
		for _, o := range in.Pipeline.Outputs {
			if o.Partition.By == partition.All {
				p.Whole = append(p.Whole, o.Table)
			}
		}
	}
	p.estimate(in)
	p.share(max(1, in.Pipeline.BatchIn(in.Pipeline.Config)))
	if len(p.Partitions) > 0 {
		p.Downstream = p.affected(scheme, in.Readers)
	}
	p.limits(in.Policy.Backfill)
	if p.Beside != "" && len(p.Partitions) > 0 {
		p.Over = append(p.Over, fmt.Sprintf("%s is active, and not %s", p.Beside, p.Release))
	}
	if err := p.windows(in.Policy.Windows); err != nil {
		return Plan{}, err
	}
	if in.Ask.Cutover == cutover.One && len(p.Partitions) > 0 {
		p.cut(in)
	}
	return p, nil
}

// builds is what is built: the active release, or the one that was chosen.
func (in Input) builds() release.Tenure {
	if in.Chosen.Number != 0 {
		return in.Chosen
	}
	return in.Active
}

// current says that a partition is live as the release would build it: all its outputs are of that release and config,
// and no file of it was written since.
func (in Input) current(key partition.Key) bool {
	for _, o := range in.Pipeline.Outputs {
		if o.Partition.By != in.Pipeline.Partition.By {
			continue
		}
		live, ok := in.live(o.Table, key)
		if !ok || live.Release.Digest != in.builds().Release.Digest || live.Config != in.builds().Config || in.Changed[key].After(live.Began) {
			return false
		}
	}
	return true
}

func (in Input) live(table string, key partition.Key) (generation.Generation, bool) {
	for _, o := range in.Observed.Outputs {
		if o.Table != table {
			continue
		}
		at, ok := slices.BinarySearchFunc(o.Live, key, func(g generation.Generation, key partition.Key) int {
			return in.Pipeline.Partition.Compare(g.Partition, key)
		})
		if ok {
			return o.Live[at], true
		}
	}
	return generation.Generation{}, false
}

// estimate goes by the rows of what is live, and by the speed of the ledger's last builds.
func (p *Plan) estimate(in Input) {
	p.Slice = partitionsPerSlice
	var rows, partitions int64
	for _, o := range in.Pipeline.Outputs {
		if o.Partition.By != in.Pipeline.Partition.By {
			continue
		}
		for _, seen := range in.Observed.Outputs {
			if seen.Table != o.Table {
				continue
			}
			for _, g := range seen.Live {
				rows += g.Rows
			}
			partitions = max(partitions, int64(len(seen.Live)))
		}
	}
	speed := in.Observed.RowsPerSecond
	if partitions == 0 || speed <= 0 {
		p.Estimate.Unknown = len(p.Partitions) > 0
		return
	}
	each := float64(rows) / float64(partitions)
	p.Estimate.Bytes = in.Bytes * int64(len(p.Partitions))
	p.Estimate.Rows = int64(each * float64(len(p.Partitions)))
	p.Estimate.Took = time.Duration(each * float64(len(p.Partitions)) / speed / float64(max(1, p.Lanes)) * float64(time.Second)).Round(time.Second)
	if each > 0 {
		p.Slice = min(partitionsPerSlice, max(1, int(sliceTime.Seconds()*speed/each)))
	}
}

// share lets all lanes have a part of the work. Neighbours that are built together stay in one slice.
func (p *Plan) share(batch int) {
	lanes := max(1, p.Lanes) * slicesPerLane
	part := (len(p.Partitions) + lanes - 1) / lanes
	p.Slice = max(1, min(p.Slice, (part+batch-1)/batch*batch))
}

// limits says which bounds of the environment it exceeds. What cannot be estimated counts as more than is allowed.
func (p *Plan) limits(limits pipeline.BackfillPolicy) {
	if n := len(p.Partitions); limits.MaxPartitions > 0 && n > limits.MaxPartitions {
		p.Over = append(p.Over, fmt.Sprintf("%d partitions, more than %d", n, limits.MaxPartitions))
	}
	if len(p.Partitions) == 0 {
		return
	}
	e := p.Estimate
	switch {
	case limits.MaxRows == 0:
	case e.Unknown:
		p.Over = append(p.Over, fmt.Sprintf("an unknown number of rows, maybe more than %d", limits.MaxRows))
	case e.Rows > limits.MaxRows:
		p.Over = append(p.Over, fmt.Sprintf("about %d rows, more than %d", e.Rows, limits.MaxRows))
	}
	switch {
	case limits.MaxTime == 0:
	case e.Unknown:
		p.Over = append(p.Over, fmt.Sprintf("an unknown time, maybe more than %s", limits.MaxTime))
	case e.Took > limits.MaxTime:
		p.Over = append(p.Over, fmt.Sprintf("about %s, more than %s", e.Took, limits.MaxTime))
	}
}

// windows says when it may work; what does not get done while a window is open without a break is above a limit.
func (p *Plan) windows(texts []string) error {
	all, err := window.ParseAll(texts)
	if err != nil || len(all) == 0 || len(p.Partitions) == 0 {
		return err
	}
	p.Windows = texts
	longest := window.Longest(all)
	switch {
	case longest == 0:
	case p.Estimate.Unknown:
		p.Over = append(p.Over, fmt.Sprintf("an unknown time, maybe longer than its window is open (%s)", longest))
	case p.Estimate.Took > longest:
		p.Over = append(p.Over, fmt.Sprintf("about %s, longer than its window is open (%s)", p.Estimate.Took, longest))
	}
	return nil
}

// Spans joins neighbouring keys, given in the scheme's order.
func Spans(scheme partition.Scheme, keys []partition.Key) []Span {
	var spans []Span
	for _, key := range keys {
		if last := len(spans) - 1; last >= 0 {
			if next, err := scheme.Next(spans[last].Last); err == nil && next == key {
				spans[last].Last = key
				spans[last].Count++
				continue
			}
		}
		spans = append(spans, Span{First: key, Last: key, Count: 1})
	}
	return spans
}

// Overlaps says whether two spans of a scheme have a partition in common.
func Overlaps(scheme partition.Scheme, a, b Ask) bool {
	return scheme.Compare(a.From, b.To) <= 0 && scheme.Compare(b.From, a.To) <= 0
}

// Canonical is the JSON of a plan, whose SHA-256 is its digest.
func Canonical(p Plan) []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic(fmt.Sprintf("encode a backfill's plan: %v", err)) // it holds nothing that cannot be encoded
	}
	return body
}

// Digest names a plan.
func Digest(p Plan) string {
	sum := sha256.Sum256(Canonical(p))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Slices is how many slices a plan has: what is one partition is one more, the last.
func (p Plan) Slices() int {
	n := (len(p.Partitions) + p.Slice - 1) / p.Slice
	if len(p.Whole) > 0 {
		n++
	}
	return n
}

// Item is one thing to build: a partition of the outputs that are cut, or the outputs that are one partition.
type Item struct {
	Index     int
	Partition partition.Key
	Whole     bool
}

// Items are the items of a slice, or the one at a place of the plan, which Single names.
func (p Plan) Items(slice int) []Item {
	if slice < 0 {
		return []Item{p.item(Place(slice))}
	}
	first, last := slice*p.Slice, min((slice+1)*p.Slice, len(p.Partitions))
	if first >= len(p.Partitions) { // the last slice
		first, last = len(p.Partitions), len(p.Partitions)+1
	}
	items := make([]Item, 0, last-first)
	for i := first; i < last; i++ {
		items = append(items, p.item(i))
	}
	return items
}

// Single is the slice that is one item only, to be tried again.
func Single(index int) int { return -index - 1 }

// Place is the item that such a slice is.
func Place(slice int) int { return -slice - 1 }

func (p Plan) item(index int) Item {
	if index >= len(p.Partitions) {
		return Item{Index: index, Partition: partition.AllKey, Whole: true}
	}
	return Item{Index: index, Partition: p.Partitions[index]}
}
