package activities

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/canary"
	"drawbridge/internal/check"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
)

// Comparer compares generations inside a warehouse.
type Comparer interface {
	// Compare reads both sides in one snapshot; samples of differences stay in the ledger.
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
}

// CompareInput is what a canary built, and the control that was built for those that have no baseline of equal inputs.
type CompareInput struct {
	Target  Target  `json:"target"`
	Pieces  []Piece `json:"pieces"`
	Control []Piece `json:"control,omitempty"`
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
		id, inputs, err := w.Live(ctx, piece.Swap.Output, piece.Swap.Partition)
		if err != nil {
			return BaselineResult{}, err
		}
		if id != 0 && (inputs == "" || inputs != piece.Inputs) {
			out.NeedControl = append(out.NeedControl, piece)
		}
	}
	return out, nil
}

// CompareCanary compares every piece with its baseline and judges the differences by the release's budgets. A piece with
// no baseline is listed: its verdict rests on its audit, and where policy wants an approval a person decides. It reads only, but for the samples that it leaves in the ledger.
func (a *Builds) CompareCanary(ctx context.Context, in CompareInput) (CompareResult, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return CompareResult{}, err
	}
	control := map[string]Piece{}
	for _, c := range in.Control {
		control[c.Swap.Output+"["+string(c.Swap.Partition)+"]"] = c
	}
	var res CompareResult
	outcomes := []gate.Outcome{gate.Pass}
	for _, piece := range in.Pieces {
		name := piece.Swap.Output + "[" + string(piece.Swap.Partition) + "]"
		output, ok := p.Output(piece.Swap.Output)
		if !ok {
			continue
		}
		baseline, origin := piece.Swap.From, canary.Live
		if c, ok := control[name]; ok {
			baseline, origin = c.Swap.To, canary.Control
		}
		if baseline == 0 {
			res.NoBaseline = append(res.NoBaseline, name)
			res.Verdict.Reason = joinReason(res.Verdict.Reason, name+": no baseline, nothing is live to compare with")
			continue
		}
		activity.RecordHeartbeat(ctx, name)
		diff, err := w.Compare(ctx, Comparison{
			Output: output.Table, Key: output.Key, Metrics: metrics(output.Checks),
			Baseline: baseline, Candidate: piece.Swap.To, Origin: origin,
		})
		if err != nil {
			return CompareResult{}, fmt.Errorf("compare %s: %w", name, err)
		}
		verdict := canary.Judge(diff, p.Canary.Expect)
		outcomes = append(outcomes, verdict.Outcome)
		res.Verdict.Reason = joinReason(res.Verdict.Reason, name+": "+verdict.Reason)
		for _, e := range verdict.Evidence {
			e.Name = name + " " + e.Name
			res.Verdict.Evidence = append(res.Verdict.Evidence, e)
		}
	}
	res.Verdict.Outcome = gate.Worst(outcomes...)
	return res, nil
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

func joinReason(all, next string) string {
	if all == "" {
		return next
	}
	return all + "; " + next
}
