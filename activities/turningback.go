package activities

import (
	"context"
	"encoding/json"
	"fmt"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// Verify says how much of what goes live again is read before.
type Verify string

// The depths of verification. Quick is O(1) per partition; Full recounts rows and checksums before any lock.
const (
	VerifyQuick Verify = ""
	VerifyFull  Verify = "full"
)

// TurnBacker computes and prepares a turn-back from the ledger.
type TurnBacker interface {
	// Undo says what a turn-back takes, per partition.
	Undo(ctx context.Context, p *pipeline.Pipeline, req plan.TurnBack) (plan.Undo, error)
	// Fence closes a workflow's effects: from its commit on, publishes under the key prefix are fault.Conflict, also by a
	// worker that was stopped in the middle of one. Twice is once.
	Fence(ctx context.Context, key string) error
	// Verify recounts rows and checksums of retired generations against what was recorded; a difference is fault.Refused.
	Verify(ctx context.Context, generations []int64, beat func()) error
}

// TurningBack are the activities that compute a rollback or a compensation.
type TurningBack struct {
	Site *Site
}

// SurveyInput asks what a turn-back takes.
type SurveyInput struct {
	Target  Target        `json:"target"`
	Request plan.TurnBack `json:"request"`
}

// swapsPerPublish bounds how many partitions go back in one transaction: it bounds what readers wait for.
const swapsPerPublish = 8

// Survey is a turn-back, small enough for workflow history; the items are a blob in the store.
type Survey struct {
	Undo string           `json:"undo"` // digest
	To   *release.Release `json:"to,omitempty"`
	From *release.Release `json:"from,omitempty"`
	// SwapBatches and RebuildBatches count the steps; Detached and Left are reported.
	SwapBatches    int      `json:"swap_batches"`
	RebuildBatches int      `json:"rebuild_batches"`
	Swaps          int      `json:"swaps"`
	Rebuilds       int      `json:"rebuilds"`
	Detached       int      `json:"detached"`
	Left           int      `json:"left"`
	Lines          []string `json:"lines,omitempty"` // the first of the items, for people
	// Rule is the one by which this environment's gates are decided.
	Rule gate.Approval `json:"rule"`
}

// surveyLines bounds the part of a turn-back that travels in workflow history.
const surveyLines = 40

// Survey reads the ledger and keeps the whole turn-back as a blob. It changes nothing.
func (a *TurningBack) Survey(ctx context.Context, in SurveyInput) (Survey, error) {
	p, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return Survey{}, err
	}
	undo, err := w.Undo(ctx, p, in.Request)
	if err != nil {
		return Survey{}, err
	}
	if err := a.dropOutputs(ctx, in.Target, undo); err != nil {
		return Survey{}, err
	}
	body, err := json.Marshal(undo)
	if err != nil {
		return Survey{}, fmt.Errorf("encode turn-back: %w", err)
	}
	digest, err := a.Site.Store.PutBlob(ctx, undoMedia, body)
	if err != nil {
		return Survey{}, fmt.Errorf("keep turn-back: %w", err)
	}
	s := Survey{Undo: digest, To: undo.To, From: undo.From, Rule: a.Site.Policy.Approval}
	for _, it := range undo.Items {
		switch it.Kind {
		case plan.UndoSwapBack:
			s.Swaps++
		case plan.UndoDetach:
			s.Detached++
		case plan.UndoRebuild:
			s.Rebuilds++
		case plan.UndoLeave:
			s.Left++
		}
		if len(s.Lines) < surveyLines {
			s.Lines = append(s.Lines, fmt.Sprintf("%s[%s] %s: %s", it.Output, it.Partition, it.Kind, it.Reason))
		}
	}
	s.SwapBatches = (s.Swaps + s.Detached + swapsPerPublish - 1) / swapsPerPublish
	s.RebuildBatches = (s.Rebuilds + swapsPerPublish - 1) / swapsPerPublish
	return s, nil
}

// dropOutputs turns the rebuild of an output that the release to go back to does not have into a detach, and says so.
func (a *TurningBack) dropOutputs(ctx context.Context, t Target, undo plan.Undo) error {
	if undo.To == nil {
		return nil
	}
	t.Release, t.Config = *undo.To, ""
	p, err := a.Site.Pipeline(ctx, t)
	if err != nil {
		return fmt.Errorf("read the release to go back to: %w", err)
	}
	for i, it := range undo.Items {
		if _, ok := p.Output(it.Output); !ok && it.Kind == plan.UndoRebuild {
			undo.Items[i].Kind = plan.UndoDetach
			undo.Items[i].Reason = fmt.Sprintf("%s has no such output: it is detached, the table stays", p.Version)
		}
	}
	return nil
}

// BatchInput names one batch of a surveyed turn-back.
type BatchInput struct {
	Target Target `json:"target"`
	Undo   string `json:"undo"` // digest
	Batch  int    `json:"batch"`
	Verify Verify `json:"verify,omitempty"`
}

// SwapBatch are the swaps of one batch, in the order of the survey.
type SwapBatch struct {
	Swaps []generation.Swap `json:"swaps"`
}

// Swaps returns the swaps of one batch, verified as asked.
func (a *TurningBack) Swaps(ctx context.Context, in BatchInput) (SwapBatch, error) {
	items, err := a.batch(ctx, in, plan.UndoSwapBack, plan.UndoDetach)
	if err != nil {
		return SwapBatch{}, err
	}
	var out SwapBatch
	var back []int64
	for _, it := range items {
		out.Swaps = append(out.Swaps, generation.Swap{Output: it.Output, Partition: it.Partition, From: it.Live, To: it.To})
		if it.To != 0 {
			back = append(back, it.To)
		}
	}
	if in.Verify == VerifyFull && len(back) > 0 {
		_, w, err := a.Site.open(ctx, in.Target)
		if err != nil {
			return SwapBatch{}, err
		}
		_, stop := pulse(ctx, items[0].Partition)
		defer stop()
		if err := w.Verify(ctx, back, func() {}); err != nil {
			return SwapBatch{}, err
		}
	}
	return out, nil
}

// RebuildBatch are the partitions of one batch that the target release builds again.
type RebuildBatch struct {
	Items []generation.Item `json:"items"`
}

// Rebuilds returns the items of one batch that are built again.
func (a *TurningBack) Rebuilds(ctx context.Context, in BatchInput) (RebuildBatch, error) {
	items, err := a.batch(ctx, in, plan.UndoRebuild)
	var out RebuildBatch
	for _, it := range items {
		out.Items = append(out.Items, generation.Item{Output: it.Output, Partition: it.Partition})
	}
	return out, err
}

// Fence closes the effects of the workflow whose work is turned back, before that is surveyed: a zombie cannot publish
// behind the compensation's back. Twice is once.
func (a *TurningBack) Fence(ctx context.Context, t Target) error {
	_, w, err := a.Site.open(ctx, t)
	if err != nil {
		return err
	}
	if err := w.EnsureLedger(ctx); err != nil {
		return err
	}
	return w.Fence(ctx, t.Key)
}

// batch reads one batch of the items of the given kinds.
func (a *TurningBack) batch(ctx context.Context, in BatchInput, kinds ...plan.UndoKind) ([]plan.UndoItem, error) {
	body, err := a.Site.Store.Blob(ctx, in.Undo)
	if err != nil {
		return nil, fmt.Errorf("fetch turn-back %s: %w", in.Undo, err)
	}
	var undo plan.Undo
	if err := json.Unmarshal(body, &undo); err != nil {
		return nil, fault.New(fault.Invalid, "read turn-back", in.Undo, "start the rollback again", err)
	}
	var of []plan.UndoItem
	for _, it := range undo.Items {
		for _, k := range kinds {
			if it.Kind == k {
				of = append(of, it)
			}
		}
	}
	from := in.Batch * swapsPerPublish
	if from >= len(of) {
		return nil, fault.Newf(fault.Invalid, "read turn-back", in.Undo, "start the rollback again", fmt.Sprintf("it has no batch %d", in.Batch))
	}
	return of[from:min(from+swapsPerPublish, len(of))], nil
}
