package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
)

// BrownoutInput asks for the brownout of a migration to begin, or to end.
type BrownoutInput struct {
	Target Target `json:"target"`
	On     bool   `json:"on,omitempty"`
	Round  int    `json:"round"` // it may be begun again, where it was ended before its time
}

// BrownoutOutput is how it stands then.
type BrownoutOutput struct {
	Tried migrate.Tried `json:"tried"`
	// Blocked is why it does not begin yet, Held that nothing changes for now: a hold.
	Blocked []string `json:"blocked,omitempty"`
	Held    string   `json:"held,omitempty"`
}

// Brownout tries contract for a while, or ends the trial. It begins only in the last stretch of the deprecation window, for which it is
// long enough, and while nobody is known to be in the way: it is for those whom nobody knows. It ends whenever that is asked for. At most
// once under target + on + round.
func (a *Migrating) Brownout(ctx context.Context, in BrownoutInput) (BrownoutOutput, error) {
	o, err := a.open(ctx, in.Target)
	if err != nil {
		return BrownoutOutput{}, err
	}
	if in.On {
		if why, err := o.untimely(ctx); err != nil || len(why) > 0 {
			return BrownoutOutput{Blocked: why}, err
		}
	}
	key := in.Target.Effect(onOff(in.On), "", in.Round)
	if !in.On {
		key = o.endOfBrownout(in.Target.Environment)
	}
	tried, err := o.brownout(ctx, key, in.On)
	if held, ok := errors.AsType[admission.HeldError](err); ok {
		return BrownoutOutput{Held: held.Reason}, nil
	}
	return BrownoutOutput{Tried: tried}, err
}

func onOff(on bool) string {
	if on {
		return "brownout-on"
	}
	return "brownout-off"
}

// endOfBrownout is the effect that ends the brownout that began last, whoever has it ended. An end that was asked for before that one began says
// nothing of it.
func (o opened) endOfBrownout(environment string) effect.Key {
	return effect.Key{Owner: o.standing.Owner, Environment: environment, Step: onOff(false) + "-" + o.standing.Brownout.Since.UTC().Format(time.RFC3339Nano)}
}

func (o opened) brownout(ctx context.Context, key effect.Key, on bool) (migrate.Tried, error) {
	return o.w.Brownout(ctx, migrate.BrownoutSpec{Owner: o.standing.Owner, Key: key, Plan: o.plan, On: on, Application: application(ctx, onOff(on))})
}

// untimely is why a brownout may not begin now.
func (o opened) untimely(ctx context.Context) ([]string, error) {
	if err := o.entitled(ctx); err != nil {
		return nil, err
	}
	opens, err := o.window()
	if err != nil {
		return nil, err
	}
	if o.plan.Brownout == nil {
		return nil, nil // which is refused where it would begin
	}
	if o.Now().Before(opens.Add(-o.plan.Brownout.For)) {
		return []string{"the brownout begins at " + opens.Add(-o.plan.Brownout.For).UTC().Format(time.RFC3339) + " at the earliest"}, nil
	}
	blocked, err := o.blocked(ctx)
	if err != nil || len(blocked.Why) > 0 {
		return blocked.Why, err
	}
	return o.w.BrownoutBlocked(ctx, o.plan)
}

// untried is why contract has to wait for the brownout; empty: it need not.
func (o opened) untried() string {
	switch b := o.plan.Brownout; {
	case b == nil, o.standing.Phase == migrate.Contract:
		return ""
	case o.standing.Brownout.On():
		return "its brownout is on until " + o.standing.Brownout.Since.Add(b.For).UTC().Format(time.RFC3339)
	case !o.standing.Brownout.Held:
		return "its brownout, of " + b.For.String() + ", has not been held"
	}
	return ""
}

// overdue is how long after its time a brownout is ended by whoever looks after the house: its workflow does that at once.
const overdue = time.Minute

// keepBrownouts ends brownouts whose workflow has not: somebody has terminated it, or cannot reach it. Nobody is refused for longer than was
// planned.
func (a *Keeping) keepBrownouts(ctx context.Context, in HousekeepInput, w Warehouse) error {
	on, err := w.BrownedOut(ctx)
	if err != nil {
		return err
	}
	var lost []string
	for _, at := range on {
		m := &Migrating{Site: a.Site, Now: time.Now}
		p, err := m.read(ctx, at.Plan)
		if err == nil && p.Environment == in.Environment && p.Brownout != nil && time.Since(at.Brownout.Since) > p.Brownout.For+overdue {
			o := opened{Migrating: m, w: w, plan: p, standing: at}
			_, err = o.brownout(ctx, o.endOfBrownout(in.Environment), false)
		}
		if err != nil {
			lost = append(lost, fmt.Sprintf("%s: %s", at.Owner.Workflow(), err.Error()))
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("end brownouts: %s", strings.Join(lost, "; "))
	}
	return nil
}
