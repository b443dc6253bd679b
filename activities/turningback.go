package activities

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/turnback"
)

// Verify says how much of what goes live again is read before.
type Verify string

// The depths of verification. Quick is O(1) per partition; Full recounts rows and checksums before any lock.
const (
	VerifyQuick Verify = ""
	VerifyFull  Verify = "full"
)

// TurnBacker turns an environment back, as far as it is the ledger's.
type TurnBacker interface {
	// Pending are the batches of a pipeline that were appended, and were taken away by turning back since.
	Pending(ctx context.Context, pipeline string) ([]generation.Batch, error)
	// BeginTurnBack opens a turn-back or finds the one that the same request opened; ok is false where there is nothing. It
	// happens once under its key, whose owner goes on with it.
	BeginTurnBack(ctx context.Context, req turnback.Request, key effect.Key) (b turnback.TurnBack, ok bool, err error)
	// PreviewTurnBack says what a request would open, and changes nothing.
	PreviewTurnBack(ctx context.Context, req turnback.Request) (b turnback.TurnBack, ok bool, err error)
	// Knows says whether the ledger has ever heard of a pipeline; Remains is what it has of a workflow that cannot speak.
	Knows(ctx context.Context, pipeline string) (bool, error)
	Remains(ctx context.Context, pipeline, workflow string) (turnback.Remains, error)
	TurnBack(ctx context.Context, tenure int64) (turnback.TurnBack, error)
	// DecideTurnBack decides about the next partitions after a key, from what is live now.
	DecideTurnBack(ctx context.Context, b turnback.TurnBack, has []turnback.Output, after partition.Key, limit int) (turnback.Page, error)
	// DecidePartition decides about one partition.
	DecidePartition(ctx context.Context, b turnback.TurnBack, has []turnback.Output, key partition.Key) (turnback.Decision, error)
	RecordLeft(ctx context.Context, tenure int64, left []turnback.LeftOver) error
	Left(ctx context.Context, tenure int64, limit int) (stuck, left int, first []turnback.LeftOver, err error)
	// LeftAt are the outputs of some partitions that could not go back, and of which the turn-back has said so.
	LeftAt(ctx context.Context, tenure int64, keys []partition.Key) (map[generation.Item]bool, error)
	// EndTurnBack closes a turn-back, once under its key; Ended is the state in which it did, empty: it did not.
	EndTurnBack(ctx context.Context, tenure int64, state turnback.State, key effect.Key) error
	Ended(ctx context.Context, key effect.Key) (turnback.State, error)
	// DropStoppedShadows takes the shadows of stopped deployments apart. It may be repeated.
	DropStoppedShadows(ctx context.Context) error
	// EndLandings says that a workflow builds no more. Twice is once.
	EndLandings(ctx context.Context, owner string) error
	// Verify recounts rows and checksums of retired generations against what was recorded; a difference is fault.Refused.
	Verify(ctx context.Context, generations []int64, beat func()) error
}

// TurningBack are the activities of a turn-back. What goes back is decided anew in each of them, from what is live: so any
// of them may be repeated, resumed or taken over, and does exactly what is left.
type TurningBack struct {
	Site *Site
	Now  func() time.Time
}

// BeginInput asks for a rollback, which is a person's. The target's release may be empty: what is active says where the ledger is.
type BeginInput struct {
	Target  Target           `json:"target"`
	Request turnback.Request `json:"request"`
	DryRun  bool             `json:"dry_run,omitempty"`
}

// CompensateInput asks to turn back what the target's owner has changed, and nothing else. Who asked for the change, and whether
// a person wants it back, the ledger says.
type CompensateInput struct {
	Target Target `json:"target"`
	Round  int    `json:"round"`
	Reason string `json:"reason"`
	DryRun bool   `json:"dry_run,omitempty"`
}

// RecoverInput asks, in a person's name, to finish what a workflow left that cannot speak: the turn-back that is open, or what
// the ledger still holds open of it. The target's owner is its recovery.
type RecoverInput struct {
	Target   Target `json:"target"`
	Round    int    `json:"round"`
	Workflow string `json:"workflow"`
	Resume   bool   `json:"resume,omitempty"`
	By       string `json:"by"`
}

// Began is an open turn-back; of a dry run one that nobody has opened. Nothing says that there was nothing to turn back.
type Began struct {
	Target   Target            `json:"target"` // where the ledger is
	TurnBack turnback.TurnBack `json:"turn_back"`
	// Nothing says that the caller has nothing to turn back. A turn-back that is there all the same is somebody else's: it takes
	// back what the caller did, or, where it is one of a single partition, comes first.
	Nothing bool          `json:"nothing,omitempty"`
	Rule    gate.Approval `json:"rule"` // of every gate there
	// Tells says that the environment's policy has somebody told what happens there.
	Tells bool `json:"tells,omitempty"`
	// Ends are the workflows that it would stop, in words. Of a dry run only.
	Ends []string `json:"ends,omitempty"`
	// Lines are the first of what would happen; Counts all of it, by action. Of a dry run only.
	Lines  []string                `json:"lines,omitempty"`
	Counts map[turnback.Action]int `json:"counts,omitempty"`
	// Newer are partitions that would be left, and Discarded such as would go back, although others have published over a backfill.
	Newer     int `json:"newer,omitempty"`
	Discarded int `json:"discarded,omitempty"`
	// Away are partitions of a backfill about which another turn-back has decided since: they stay.
	Away int `json:"away,omitempty"`
	// Remnants are partitions in which what an earlier turn-back had left would be live again.
	Remnants int `json:"remnants,omitempty"`
	// Schedule is what became of the pipeline's schedule.
	Schedule string `json:"schedule,omitempty"`
}

// Begin opens a rollback, or finds the open one that the same request has opened. From its commit on nothing of what is
// turned back publishes any more. It happens once for a workflow: an attempt that comes back when it has ended opens none.
func (a *TurningBack) Begin(ctx context.Context, in BeginInput) (Began, error) {
	req := in.Request
	if req.Owner == "" && effect.IsBackfill(req.Workflow) {
		return a.unfill(ctx, in)
	}
	if req.Owner != "" || req.Workflow != "" {
		did := cmp.Or(req.Workflow, effect.Owner(req.Owner).Workflow())
		return Began{}, fault.Newf(fault.Refused, "roll back", did,
			fmt.Sprintf("cancel it: drawbridge cancel %s; where it was terminated: drawbridge recover %s", did, did), "what a workflow did is turned back by itself, or by its recovery")
	}
	req.ByPerson = true
	return a.begin(ctx, beginning{target: in.Target, req: req, dry: in.DryRun})
}

// unfill opens the turn-back of a backfill: of the latest of its starts that has published something which is not turned back.
func (a *TurningBack) unfill(ctx context.Context, in BeginInput) (Began, error) {
	target, _, w, err := a.Site.locate(ctx, in.Target)
	if err != nil {
		return Began{}, a.Site.atOnce(err)
	}
	req := in.Request
	req.Pipeline = target.Release.Pipeline
	owners, err := w.BackfillsOf(ctx, req)
	if err != nil {
		return Began{}, err
	}
	if len(owners) == 0 {
		hint := "see what it did: drawbridge history " + target.Release.Pipeline + " --env " + a.Site.Environment
		req.Snapshot = true
		left, err := w.BackfillsOf(ctx, req)
		if err != nil {
			return Began{}, err
		}
		forces, err := a.changes(ctx, target, w, req, left)
		if err != nil {
			return Began{}, err
		}
		if forces {
			hint = fmt.Sprintf("what was left, as others have published it since, goes back with: drawbridge backfill rollback %s --reason TEXT --force", in.Request.Workflow)
		}
		return Began{}, fault.Newf(fault.Refused, "roll back", in.Request.Workflow, hint, "nothing that it has published is left to turn back")
	}
	req.Workflow, req.Owner, req.ByPerson = "", string(owners[0]), true
	return a.begin(ctx, beginning{target: in.Target, req: req, dry: in.DryRun})
}

// changes says that a turn-back of any of the starts of a backfill would change something.
func (a *TurningBack) changes(ctx context.Context, target Target, w Warehouse, req turnback.Request, owners []effect.Owner) (does bool, err error) {
	for _, owner := range owners {
		req.Workflow, req.Owner, req.ByPerson = "", string(owner), true
		b, ok, err := w.PreviewTurnBack(ctx, req)
		if err != nil {
			return false, err
		}
		if !ok || b.Request.Owner != req.Owner {
			continue
		}
		has, _, err := a.outputs(ctx, target, b)
		if err != nil {
			return false, err
		}
		if err := eachPage(ctx, w, b, has, func(page turnback.Page) (bool, error) {
			does = slices.ContainsFunc(page.Decisions, turnback.Decision.Changes)
			return does, nil
		}); err != nil || does {
			return does, err
		}
	}
	return false, nil
}

// eachPage decides about all that a turn-back is about, until look has seen enough.
func eachPage(ctx context.Context, w Warehouse, b turnback.TurnBack, has []turnback.Output, look func(turnback.Page) (enough bool, err error)) error {
	for after := partition.Key(""); ; {
		page, err := w.DecideTurnBack(ctx, b, has, after, pageSize)
		if err != nil {
			return err
		}
		if enough, err := look(page); err != nil || enough || page.Last == "" {
			return err
		}
		after = page.Last
	}
}

// Compensate opens the turn-back of what the calling workflow has changed, as Begin does. It happens once in a round.
func (a *TurningBack) Compensate(ctx context.Context, in CompensateInput) (Began, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return Began{}, err
	}
	tenure, err := w.TenureOf(ctx, in.Target.Release.Pipeline, in.Target.Owner)
	if err != nil {
		return Began{}, err
	}
	said, err := w.Said(ctx, in.Target.Owner)
	if err != nil {
		return Began{}, err
	}
	return a.begin(ctx, beginning{target: in.Target, round: in.Round, dry: in.DryRun, req: turnback.Request{
		Owner: string(in.Target.Owner), ByPerson: gate.SaidNo(a.Site.Policy.Approval, said), By: tenure.By, Reason: in.Reason,
	}})
}

// Recover opens the turn-back of what another workflow left, as Begin does, for that one's recovery only. It happens once in a
// round.
func (a *TurningBack) Recover(ctx context.Context, in RecoverInput) (Began, error) {
	if effect.RecoveryID(in.Workflow) != in.Target.Owner.Workflow() {
		return Began{}, fault.Newf(fault.Refused, "recover", in.Workflow, "drawbridge recover "+in.Workflow, in.Target.Owner.Workflow()+" is not its recovery")
	}
	req := turnback.Request{Workflow: in.Workflow, Resume: in.Resume, ByPerson: true, By: in.By, Reason: "recovery of " + in.Workflow}
	return a.begin(ctx, beginning{target: in.Target, round: in.Round, req: req})
}

// beginning is a turn-back that is to begin.
type beginning struct {
	target Target
	req    turnback.Request
	round  int
	dry    bool
}

func (a *TurningBack) begin(ctx context.Context, b beginning) (Began, error) {
	target, _, w, err := a.Site.locate(ctx, b.target)
	if err != nil {
		if b.req.Owner == "" { // a person waits, and nothing has been done yet
			err = a.Site.atOnce(err)
		}
		return Began{}, err
	}
	if err := w.EnsureLedger(ctx); err != nil {
		return Began{}, err
	}
	b.req.Pipeline, b.req.Guarded = target.Release.Pipeline, a.Site.Policy.Approval.Required
	out := Began{Target: target, Rule: a.Site.Policy.Approval, Tells: a.Site.Policy.Notify.Tells()}
	var ok bool
	if b.dry {
		out.TurnBack, ok, err = w.PreviewTurnBack(ctx, b.req)
		if err != nil || !ok {
			out.Nothing = !ok
			return out, a.Site.placed(err)
		}
		return a.preview(ctx, w, out)
	}
	out.TurnBack, ok, err = w.BeginTurnBack(ctx, b.req, b.target.Effect("begin-turn-back", "", b.round))
	out.Nothing = !ok
	switch {
	case err != nil:
	case !ok:
		sweep(ctx, w)
	default: // before the first swap
		out.Schedule, err = a.Site.reschedule(ctx, w, target.Release.Pipeline)
	}
	return out, a.Site.placed(err)
}

// previewLines bounds the part of a turn-back that travels in workflow history.
const previewLines = 40

func (a *TurningBack) preview(ctx context.Context, w Warehouse, out Began) (Began, error) {
	out.Counts = map[turnback.Action]int{}
	var err error
	if out.Ends, err = a.ends(ctx, out.TurnBack.Stopped); err != nil {
		return out, err
	}
	var tally turnback.Tally
	has, _, err := a.outputs(ctx, out.Target, out.TurnBack)
	if err != nil {
		return out, err
	}
	err = eachPage(ctx, w, out.TurnBack, has, func(page turnback.Page) (bool, error) {
		for _, d := range page.Decisions {
			out.Counts[d.Action]++
			tally = tally.Add(d, d.Changes())
			for _, it := range d.Items {
				if (it.Action != turnback.Keep || it.Away) && len(out.Lines) < previewLines {
					out.Lines = append(out.Lines, fmt.Sprintf("%s[%s] %s: %s", it.Output, d.Partition, it.Action, it.Reason))
				}
			}
		}
		return false, nil
	})
	out.Newer, out.Discarded, out.Remnants, out.Away = tally.Newer, tally.Discarded, tally.Remnants, tally.Away
	return out, err
}

// ends says which workflows a turn-back would stop, and where each is. One that has ended is not stopped any more.
func (a *TurningBack) ends(ctx context.Context, owners []effect.Owner) ([]string, error) {
	var lines []string
	for _, o := range owners {
		line := "ends " + o.Workflow()
		if a.Site.Fate != nil {
			fate, at, err := a.Site.Fate(ctx, o)
			if err != nil {
				return nil, err
			}
			if fate != FateOpen {
				continue
			}
			if at != "" {
				line += ", which " + at
			}
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// outputs are those that the release to go back to has, and its pipeline; none where no release is gone back to.
func (a *TurningBack) outputs(ctx context.Context, t Target, b turnback.TurnBack) ([]turnback.Output, *pipeline.Pipeline, error) {
	if b.Tenure.None() {
		return nil, nil, nil
	}
	t.Release, t.Config = b.Tenure.Release, b.Tenure.Config
	p, err := a.Site.Pipeline(ctx, t)
	if err != nil {
		return nil, nil, fmt.Errorf("read the release to go back to: %w", err)
	}
	has := make([]turnback.Output, len(p.Outputs))
	for i, o := range p.Outputs {
		has[i] = turnback.Output{Table: o.Table, All: o.Partition.By == partition.All, Keeps: p.Config.WriteMode.Keeps()}
	}
	return has, p, nil
}

// EndInput ends a turn-back.
type EndInput struct {
	Target Target `json:"target"`
	Tenure int64  `json:"tenure"`
	Round  int    `json:"round"`
}

// Ended is how a turn-back ended: counts, and the first partitions that are left.
type Ended struct {
	State turnback.State `json:"state"`
	Stuck int            `json:"stuck,omitempty"`
	Left  int            `json:"left,omitempty"`
	Lines []string       `json:"lines,omitempty"`
	// Schedule is what became of the pipeline's schedule.
	Schedule string `json:"schedule,omitempty"`
	// Pending names the first batches that were appended, and are not live any more; More is how many others there are.
	Pending []string `json:"pending,omitempty"`
	More    int      `json:"more,omitempty"`
}

// endLines bounds how many partitions an end names; the others are rows of the ledger.
const endLines = 20

// End closes a turn-back, as stuck where something that should have gone back did not. It is not over while there is something
// to do of which nobody has said that it cannot be done. It happens once in a round.
func (a *TurningBack) End(ctx context.Context, in EndInput) (Ended, error) {
	_, w, err := a.Site.open(ctx, in.Target)
	if err != nil {
		return Ended{}, err
	}
	var out Ended
	var first []turnback.LeftOver
	if out.Stuck, out.Left, first, err = w.Left(ctx, in.Tenure, endLines); err != nil {
		return out, err
	}
	for _, one := range first {
		out.Lines = append(out.Lines, fmt.Sprintf("%s[%s]: %s", one.Output, one.Partition, one.Reason))
	}
	key := in.Target.Effect(fmt.Sprintf("end-turn-back-%d", in.Tenure), "", in.Round)
	if out.State, err = w.Ended(ctx, key); err != nil {
		return out, err
	}
	if out.State != "" {
		out.Schedule, err = a.Site.reschedule(ctx, w, in.Target.Release.Pipeline)
		return out, err
	}
	t, err := a.open(ctx, PassInput{Target: in.Target, Tenure: in.Tenure})
	if err != nil {
		return out, err
	}
	if err := a.over(ctx, t); err != nil {
		return out, err
	}
	out.State = turnback.Done
	if out.Stuck > 0 {
		out.State = turnback.Stuck
	}
	defer a.Site.changed()
	if err := w.EndTurnBack(ctx, in.Tenure, out.State, key); err != nil {
		return out, err
	}
	if err := w.EndLandings(ctx, string(in.Target.Owner)); err != nil {
		return out, err
	}
	sweep(ctx, w)
	if t.p != nil && t.p.Config.WriteMode == pipeline.Append {
		pending, err := w.Pending(ctx, t.p.Name)
		if err != nil {
			return out, err
		}
		for _, b := range pending[:min(len(pending), endLines)] {
			out.Pending = append(out.Pending, b.String())
		}
		out.More = len(pending) - len(out.Pending)
	}
	out.Schedule, err = a.Site.reschedule(ctx, w, in.Target.Release.Pipeline)
	return out, err
}

// over refuses to end a turn-back that has something left to do.
func (a *TurningBack) over(ctx context.Context, t turning) error {
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	return eachPage(ctx, t.w, t.b, t.has, func(page turnback.Page) (bool, error) {
		var open []generation.Item
		var keys []partition.Key
		for _, d := range page.Decisions {
			for _, it := range d.Items {
				if it.Action != turnback.Keep && it.Action != turnback.Leave {
					open, keys = append(open, generation.Item{Output: it.Output, Partition: d.Partition}), append(keys, d.Partition)
				}
			}
		}
		if len(open) == 0 {
			return false, nil
		}
		left, err := t.w.LeftAt(ctx, t.b.Tenure.Number, keys)
		if err != nil {
			return false, err
		}
		for _, it := range open {
			if !left[it] {
				return false, fault.Newf(fault.Refused, "end turn-back of", t.b.Request.Pipeline, "go on with it: drawbridge rollback "+t.b.Request.Pipeline+" --env "+a.Site.Environment+" --resume",
					fmt.Sprintf("%s[%s] has not gone back yet", it.Output, it.Partition))
			}
		}
		return false, nil
	})
}

// sweep takes the shadows of whoever was stopped apart, which they do themselves no more. No turn-back waits for that: what
// is in the way today goes with the next housekeeping.
func sweep(ctx context.Context, w Warehouse) {
	if err := w.DropStoppedShadows(ctx); err != nil {
		activity.GetLogger(ctx).Warn("shadows of stopped workflows are left to housekeeping", "error", err)
	}
}
