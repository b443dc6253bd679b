package activities

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/notice"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
)

// Teller keeps, in the ledger, what people are owed to be told.
type Teller interface {
	// Owe notes what receivers of an environment are owed, each event once, and drops what was owed of questions that are decided.
	Owe(ctx context.Context, environment string, owner effect.Owner, decided []string, owed []notice.Owed) error
	// TakeOwed takes what a receiver is owed next and is due, for a while in which nobody else takes it; ok is false where there is
	// nothing.
	TakeOwed(ctx context.Context, receiver string, long time.Duration) (o notice.Owed, ok bool, err error)
	// Told says that a receiver was told, and what it is owed after that.
	Told(ctx context.Context, o notice.Owed, next ...notice.Owed) error
	// Untold says why it could not be told: after a rest it is tried again, and what else it is owed not before.
	Untold(ctx context.Context, o notice.Owed, why string, rest time.Duration) error
	// NextOwed is when some receivers are to be told next; zero: they are owed nothing.
	NextOwed(ctx context.Context, receivers []string) (time.Time, error)
	// Debts are what receivers are owed and should have been told before.
	Debts(ctx context.Context) ([]notice.Debt, error)
	// Undertakings are the workflows that have something open, with its pipeline, but for those of which was told that they were
	// abandoned. It forgets what nobody of receivers is owed any more.
	Undertakings(ctx context.Context, receivers []string) (map[effect.Owner]string, error)
	// ToldMissed is how many missed times of a pipeline's schedule, which was made at a moment, people were told of; TellMissed notes it.
	ToldMissed(ctx context.Context, pipeline string, since time.Time) (int, error)
	TellMissed(ctx context.Context, pipeline string, since time.Time, times int) error
	// Forgo drops what is owed of questions of a workflow that has ended.
	Forgo(ctx context.Context, owner effect.Owner) error
}

// Sender tells a receiver of an event, once. An error says why it was not told; it may have been all the same.
type Sender interface {
	Send(ctx context.Context, r pipeline.Receiver, e notice.Event) error
}

// Fate is what has become of a workflow, as the server says.
type Fate string

// The fates.
const (
	FateOpen      Fate = "open"
	FateEnded     Fate = "ended"     // by itself: it has said how
	FateAbandoned Fate = "abandoned" // terminated, timed out, or not known any more
)

// Telling tells people what happens in an environment. What is to be told is noted in the ledger first, and sent from there: so a
// receiver that is down keeps nobody waiting, and what it is owed survives whoever owes it.
type Telling struct {
	Site *Site
	Now  func() time.Time
}

// AnnounceInput is what a workflow has to tell in an environment, in order.
type AnnounceInput struct {
	Target Target         `json:"target"` // says where the ledger is, and whose event it is
	Events []notice.Event `json:"events"`
}

// Announce notes what people are to be told, each event once under the caller's name. What it is that an event is about, who owns
// that, and how much it matters is not the caller's to say.
func (a *Telling) Announce(ctx context.Context, in AnnounceInput) error {
	if err := a.Site.serves(in.Target.Environment); err != nil || !a.Site.Policy.Notify.Tells() {
		return err
	}
	if err := a.Site.calls(ctx, in.Target.Owner); err != nil {
		return err
	}
	in.Target.Tenure = 0 // that the ledger has gone back is another matter
	_, p, w, err := a.Site.locate(ctx, in.Target)
	if err != nil {
		return err
	}
	if err := a.Site.owe(ctx, w, p, in.Target.Owner, in.Events...); err != nil {
		return err
	}
	for _, e := range in.Events {
		if err := a.Site.tellConsumers(ctx, w, p, in.Target.Owner, e); err != nil {
			return err
		}
	}
	return nil
}

// owe notes what people are to be told of a pipeline, nil: of the environment, and lets them be told soon. Where nobody is told
// anything, or of this, nothing is noted.
func (s *Site) owe(ctx context.Context, w Warehouse, p *pipeline.Pipeline, owner effect.Owner, events ...notice.Event) error {
	var owed []notice.Owed
	var decided []string
	for _, e := range events {
		if !slices.Contains(notice.Kinds(), e.Kind) {
			return fault.Newf(fault.Invalid, "tell people of", string(e.Kind), "tell them of one of: "+fmt.Sprint(notice.Kinds()), "there is no such event")
		}
		e.ID = strings.TrimSuffix(strings.Join([]string{string(owner), s.Environment, string(e.Kind), e.ID}, "/"), "/")
		e.Schema, e.Environment, e.Severity, e.At = notice.Schema, s.Environment, e.Kind.Severity(), e.At.UTC()
		if e.Workflow == "" {
			e.Workflow = owner.Workflow()
		}
		if p != nil {
			e.Pipeline, e.Owner, e.Runbook = p.Name, p.Owner, p.Runbook
		}
		e = e.Tidy(func(text string) string { return text })
		later := []notice.Owed{{Event: e, Due: e.At}}
		switch e.Kind {
		case notice.GateOpened:
			later = append(later, notice.Later(e, s.Policy.Notify.Remind, s.Policy.Notify.Expiring)...)
		case notice.GateDecided:
			decided = append(decided, e.Gate)
		case notice.ConsumerReady:
			decided = append(decided, notice.AckQuestion(e.Consumer))
		case notice.ConsumerAsked:
			later = append(later, notice.Chase(e)...)
		default: // what is over when it is told
		}
		for _, name := range slices.Sorted(maps.Keys(s.Policy.Notify.Receivers)) {
			for i, o := range later {
				o.Receiver, o.Owner = name, string(owner)
				if i > 0 && o.Question == "" {
					o.Question = e.Gate
				}
				if s.Policy.Notify.Receivers[name].Wants(o.Event) {
					owed = append(owed, o)
				}
			}
		}
	}
	if len(owed) == 0 && len(decided) == 0 {
		return nil
	}
	if err := w.Owe(ctx, s.Environment, owner, decided, owed); err != nil {
		return err
	}
	if s.Owes != nil {
		s.Owes()
	}
	return nil
}

// DeliverInput names the environment, so that no worker answers for another.
type DeliverInput struct {
	Environment string `json:"environment"`
}

// Delivered is when people are to be told next; zero: nobody is owed anything.
type Delivered struct {
	Next time.Time `json:"next,omitzero"`
}

const (
	// tellWait bounds what is told out of one house at a time, and takeWait how long nobody else tells what one has taken.
	tellWait = time.Minute
	takeWait = 2 * time.Minute
	// firstUntold and lastUntold are the rests before a receiver is tried again that could not be told.
	firstUntold = 5 * time.Second
	lastUntold  = 10 * time.Minute
	// fateEvery is how often it is looked whether what is open was abandoned.
	fateEvery = 10 * time.Minute
	// awayEvery is when a house that could not be reached is looked at again.
	awayEvery = time.Minute
)

// Deliver tells whoever is owed something in any house of the environment, and notes what was abandoned. It may be repeated: what two
// of them do at the same time is done once, and what one did not say it has done is told again. A receiver that fails or hangs keeps
// no other waiting.
func (a *Telling) Deliver(ctx context.Context, in DeliverInput) (Delivered, error) {
	if err := a.Site.serves(in.Environment); err != nil || !a.Site.Policy.Notify.Tells() {
		return Delivered{}, err
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	houses, unseen := a.Site.houses(ctx, a.Site.connections())
	var out Delivered
	if len(unseen) > 0 {
		out.Next = a.Now().Add(awayEvery)
	}
	for _, next := range within(ctx, tellWait, houses, a.deliver) {
		if !next.IsZero() && (out.Next.IsZero() || next.Before(out.Next)) {
			out.Next = next
		}
	}
	return out, ctx.Err()
}

// deliver tells what is owed in a house, and says when to come again.
func (a *Telling) deliver(ctx context.Context, h House) time.Time {
	next, err := a.house(ctx, h)
	if err != nil {
		if activity.IsActivity(ctx) {
			activity.GetLogger(ctx).Warn("people could not be told", "house", h.String(), "error", err)
		}
		return a.Now().Add(awayEvery)
	}
	return next
}

func (a *Telling) house(ctx context.Context, h House) (time.Time, error) {
	w, err := a.Site.enter(ctx, h)
	if err != nil {
		return time.Time{}, err
	}
	standing, err := w.Standing(ctx)
	if err != nil || standing.Environment != a.Site.Environment {
		return time.Time{}, err
	}
	open, err := a.forsaken(ctx, w)
	if err != nil {
		return time.Time{}, err
	}
	names := a.receivers()
	failed := make([]error, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() { failed[i] = a.tell(ctx, w, name) })
	}
	group.Wait()
	if err := cmp.Or(failed...); err != nil {
		return time.Time{}, err
	}
	next, err := w.NextOwed(ctx, names)
	if look := a.Now().Add(fateEvery); open && (next.IsZero() || look.Before(next)) {
		next = look
	}
	return next, err
}

func (a *Telling) receivers() []string {
	return slices.Sorted(maps.Keys(a.Site.Policy.Notify.Receivers))
}

// tell tells one receiver all that it is owed and is due, until it fails.
func (a *Telling) tell(ctx context.Context, w Warehouse, name string) error {
	receiver := a.Site.Policy.Notify.Receivers[name]
	for {
		o, ok, err := w.TakeOwed(ctx, name, takeWait)
		if err != nil || !ok {
			return err
		}
		if failed := a.Site.Sender.Send(ctx, receiver, o.Event); failed != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return w.Untold(ctx, o, fault.Bound(failed.Error()), min(lastUntold, firstUntold<<min(o.Tries, 16)))
		}
		if err := w.Told(ctx, o, a.after(o)...); err != nil {
			return err
		}
	}
}

// after is what a receiver is owed when it was told: of an open gate another reminder.
func (a *Telling) after(o notice.Owed) []notice.Owed {
	every := a.Site.Policy.Notify.Remind
	if o.Event.Kind != notice.GateReminded || every <= 0 {
		return nil
	}
	next := o
	next.Event, next.Tries = o.Event.Again(o.Event.Reminder+1), 0
	next.Due = a.Now().Add(every)
	if d := o.Event.Deadline; d != nil && !next.Due.Before(*d) {
		return nil
	}
	return []notice.Owed{next}
}

// forsaken notes which of the workflows that have something open were abandoned, and lets nobody be reminded of what has ended. open
// says that there are others.
func (a *Telling) forsaken(ctx context.Context, w Warehouse) (open bool, err error) {
	undertakings, err := w.Undertakings(ctx, a.receivers())
	if err != nil || a.Site.Fate == nil {
		return false, err
	}
	for _, owner := range slices.Sorted(maps.Keys(undertakings)) {
		fate, _, err := a.Site.Fate(ctx, owner)
		switch {
		case err != nil:
			return open, err
		case fate == FateOpen:
			open = true
			continue
		}
		if err := w.Forgo(ctx, owner); err != nil {
			return open, err
		}
		if fate == FateEnded {
			continue
		}
		p, err := a.about(ctx, w, undertakings[owner], owner)
		if err != nil {
			return open, err
		}
		id := owner.Workflow()
		if err := a.Site.owe(ctx, w, p, owner, notice.Event{
			Kind: notice.WorkflowAbandoned, At: a.Now(), What: id + " was ended from outside before it was finished",
			Why:      "what it has open keeps others out until it is recovered",
			Commands: []string{finishes(id), "drawbridge status " + id},
		}); err != nil {
			return open, err
		}
	}
	return open, nil
}

// finishes is the command that finishes what a workflow has left.
func finishes(id string) string {
	if effect.IsMigration(id) {
		return "drawbridge migrate rollback " + id + " --reason TEXT"
	}
	return "drawbridge recover " + id
}

// about is the pipeline of a workflow: as the release says that it was to activate, or the active one; nil: it is about none. Of a release
// that cannot be read only the name is known.
func (a *Telling) about(ctx context.Context, w Warehouse, name string, owner effect.Owner) (*pipeline.Pipeline, error) {
	if name == "" {
		return nil, nil
	}
	of, err := w.TenureOf(ctx, name, owner)
	if err == nil && of.None() {
		of, err = w.Active(ctx, name)
	}
	if err != nil {
		return nil, err
	}
	if !of.None() {
		if p, err := a.Site.read(ctx, of.Release, of.Config); err == nil {
			return p, nil
		}
	}
	return &pipeline.Pipeline{Name: name}, nil
}

// test tells every receiver that it is a test, at the same time, and says what became of it.
func (a *Inspecting) test(ctx context.Context, t Target) ([]Checked, error) {
	if err := a.Site.serves(t.Environment); err != nil {
		return nil, err
	}
	receivers := a.Site.Policy.Notify.Receivers
	if len(receivers) == 0 {
		return nil, fault.Newf(fault.Refused, "tell people in", a.Site.Environment, "add notify to the policy of "+a.Site.Environment+", and start its worker again: docs/notifications.md",
			"its policy has nobody told anything")
	}
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	names := slices.Sorted(maps.Keys(receivers))
	lines := make([]Checked, len(names))
	var group sync.WaitGroup
	for i, name := range names {
		group.Go(func() {
			lines[i] = Checked{Subject: "notify " + name, OK: true, Text: "was told"}
			if err := a.Site.Sender.Send(ctx, receivers[name], trial(a.Site.Environment, t.Owner, time.Now())); err != nil {
				lines[i] = Checked{Subject: "notify " + name, Text: fault.Bound(err.Error()), Remedy: cmp.Or(fault.HintOf(err), unheard)}
			}
		})
	}
	group.Wait()
	return lines, nil
}

const unheard = "mend the receiver, or what the policy says of it; what it is owed is told when it is back"

func trial(environment string, owner effect.Owner, now time.Time) notice.Event {
	return notice.Event{
		Schema: notice.Schema, ID: string(owner) + "/" + environment + "/" + string(notice.Test), Kind: notice.Test, Severity: notice.Test.Severity(),
		At: now.UTC(), Environment: environment, Workflow: owner.Workflow(), What: "this is a test: whoever reads it is told what happens in " + environment,
	}
}

// notifyLines are a line for each receiver: whether it was told all that it is owed.
func (a *Inspecting) notifyLines(ctx context.Context, w Warehouse) []Checked {
	receivers := a.Site.Policy.Notify.Receivers
	if len(receivers) == 0 {
		return nil
	}
	debts, err := w.Debts(ctx)
	if err != nil {
		return []Checked{unwell("notify", err)}
	}
	var lines []Checked
	for _, name := range slices.Sorted(maps.Keys(receivers)) {
		line := Checked{Subject: "notify " + name, OK: true, Text: "was told everything"}
		if i := slices.IndexFunc(debts, func(d notice.Debt) bool { return d.Receiver == name }); i >= 0 {
			d := debts[i]
			line.Text = fmt.Sprintf("is owed %d, the oldest since %s", d.Owed, d.Since.UTC().Format("2006-01-02 15:04 MST"))
			if d.Failure != "" {
				line.OK, line.Remedy = false, unheard+"; try it: drawbridge notify test --env "+a.Site.Environment
				line.Text += ": " + d.Failure
			}
		}
		lines = append(lines, line)
	}
	return lines
}
