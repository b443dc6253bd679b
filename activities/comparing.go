package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
)

// Comparer compares generations inside a warehouse.
type Comparer interface {
	// Compare reads both sides in one snapshot; samples of differences stay in the ledger. It refuses a baseline that is the
	// candidate, or is not what its origin says.
	Compare(ctx context.Context, in Comparison) (canary.Diff, error)
	// Live returns the live generation of a partition and the digest of the inputs it was built from; 0 when none is.
	Live(ctx context.Context, output string, key partition.Key) (id int64, inputs string, err error)
}

// Comparison is a candidate against a baseline.
type Comparison struct {
	Output    string
	Key       []string
	Metrics   []check.Check
	Baseline  int64
	Candidate int64
	Origin    canary.Origin
	// Active is the digest of the release that is active: a control is of this one.
	Active string
}

// CompareInput is what a canary built, and the controls that were built for those whose live generation saw other inputs.
type CompareInput struct {
	Target  Target           `json:"target"`
	Pieces  []Piece          `json:"pieces"`
	Control []Piece          `json:"control,omitempty"`
	Active  *release.Release `json:"active,omitempty"`
}

// CompareResult is the canary's verdict.
type CompareResult struct {
	Verdict gate.Verdict `json:"verdict"`
	// NoBaseline lists the pieces that nothing live could be compared with: their verdict rests on absolute checks.
	NoBaseline []string `json:"no_baseline,omitempty"`
}

// BaselineInput asks which of a canary's partitions can be compared with what is live.
type BaselineInput struct {
	Target Target  `json:"target"`
	Pieces []Piece `json:"pieces"`
}

// BaselineResult lists the pieces whose live generation was built from other inputs, or from unknown ones: they need a
// control built by the active release.
type BaselineResult struct {
	NeedControl []Piece `json:"need_control,omitempty"`
}

// ChooseBaseline compares the recorded input digests of live and candidate. It reads only.
func (a *Builds) ChooseBaseline(ctx context.Context, in BaselineInput) (BaselineResult, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return BaselineResult{}, err
	}
	var out BaselineResult
	for _, piece := range in.Pieces {
		live, same, err := liveOf(ctx, w, piece)
		if err != nil {
			return BaselineResult{}, err
		}
		if live != 0 && !same {
			out.NeedControl = append(out.NeedControl, piece)
		}
	}
	return out, nil
}

// liveOf is the live generation of a piece's partition, and whether it was built from the inputs that the piece was.
func liveOf(ctx context.Context, w Warehouse, piece Piece) (id int64, same bool, err error) {
	id, inputs, err := w.Live(ctx, piece.Swap.Output, piece.Swap.Partition)
	return id, inputs != "" && inputs == piece.Inputs, err
}

// CompareCanary compares every piece with its baseline and judges the differences by the release's budgets. A piece with
// no baseline is listed: its verdict rests on its audit. It reads only, but for the samples that it leaves in the ledger.
func (a *Builds) CompareCanary(ctx context.Context, in CompareInput) (CompareResult, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return CompareResult{}, err
	}
	control := map[string]int64{}
	for _, c := range in.Control {
		control[c.name()] = c.Swap.To
	}
	c := comparing{warehouse: w, pipeline: p, control: control}
	if in.Active != nil {
		c.active = in.Active.Digest
	}
	for _, piece := range in.Pieces {
		if err := c.compare(ctx, piece); err != nil {
			return CompareResult{}, fmt.Errorf("compare %s: %w", piece.name(), err)
		}
	}
	return CompareResult{Verdict: canary.Fold(c.verdicts, c.alone, in.Active), NoBaseline: c.alone}, nil
}

// comparing is one canary's comparisons.
type comparing struct {
	warehouse Warehouse
	pipeline  *pipeline.Pipeline
	control   map[string]int64
	active    string
	verdicts  []canary.Named
	alone     []string
}

// compare holds one piece against its control, or else against what is live and saw the same inputs.
func (c *comparing) compare(ctx context.Context, piece Piece) error {
	output, ok := c.pipeline.Output(piece.Swap.Output)
	if !ok {
		return fault.Newf(fault.Invalid, "compare", piece.name(), "plan again: drawbridge plan", "the release has no such output")
	}
	live, same, err := liveOf(ctx, c.warehouse, piece)
	if err != nil {
		return err
	}
	in := Comparison{
		Output: output.Table, Key: output.Key, Metrics: metrics(output.Checks), Candidate: piece.Swap.To,
		Baseline: live, Origin: canary.Live, Active: c.active,
	}
	if id, ok := c.control[piece.name()]; ok {
		in.Baseline, in.Origin = id, canary.Control
	} else if live == 0 || !same {
		c.alone = append(c.alone, piece.name())
		return nil
	}
	activity.RecordHeartbeat(ctx, piece.name())
	diff, err := c.warehouse.Compare(ctx, in)
	if err != nil {
		return err
	}
	c.verdicts = append(c.verdicts, canary.Named{Name: piece.name(), Verdict: canary.Judge(diff, c.pipeline.Canary.Expect)})
	return nil
}

// metrics are the checks that are numbers to compare.
func metrics(checks []check.Check) []check.Check {
	var out []check.Check
	for _, c := range checks {
		if c.Kind == check.MetricKind {
			out = append(out, c)
		}
	}
	return out
}
