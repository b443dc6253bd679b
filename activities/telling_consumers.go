package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"drawbridge/internal/effect"
	"drawbridge/internal/migrate"
	"drawbridge/internal/notice"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/shell"
)

// tellConsumers notes what each consumer of a migrated table is to be told, when people are told of the migration: when it begins, when its
// new shape counts, and when it has ended. Who has to say that it is ready is asked, and reminded until it has, or the migration is over. What
// they are told is the plan's, which the ledger names.
func (s *Site) tellConsumers(ctx context.Context, w Warehouse, p *pipeline.Pipeline, owner effect.Owner, e notice.Event) error {
	switch e.Kind {
	case notice.MigrationStarted, notice.MigrationDeprecates, notice.MigrationEnded:
	default:
		return nil
	}
	at, err := w.Migration(ctx, owner)
	if err != nil || at.Owner == "" || e.Kind == notice.MigrationEnded && at.Ended == "" {
		return err
	}
	plan, err := (&Migrating{Site: s}).read(ctx, at.Plan)
	if err != nil {
		return err
	}
	if err := s.owe(ctx, w, p, owner, consumerEvents(plan, at, e)...); err != nil {
		return err
	}
	var over []string
	if at, err = w.Migration(ctx, owner); err != nil { // who has said so while this was noted is not reminded
		return err
	}
	for _, c := range plan.Migration.Consumers {
		if at.Ended != "" || len(migrate.Missing([]string{c.Name}, at.Acks)) == 0 {
			over = append(over, notice.AckQuestion(c.Name))
		}
	}
	if len(over) == 0 {
		return nil
	}
	return w.Owe(ctx, s.Environment, owner, over, nil)
}

// consumerEvents are what each consumer is told of a migration when people are told that of it.
func consumerEvents(p migrate.Plan, at migrate.Standing, of notice.Event) []notice.Event {
	m, id := p.Migration, at.Owner.Workflow()
	table := p.Schema + "." + m.Table
	var events []notice.Event
	for _, c := range m.Consumers {
		e := notice.Event{
			Kind: notice.ConsumerInformed, At: of.At, By: at.By, Plan: at.Plan, Release: p.Release.String(), Workflow: id, Consumer: c.Name,
			Why: m.Why, Notice: migrate.Notice(p, c, at, of.At),
		}
		missing := len(migrate.Missing([]string{c.Name}, at.Acks)) > 0
		if missing && at.Ended == "" {
			e.Commands = append(e.Commands, migrate.AckCommand(id, c.Name))
		}
		e.Commands = append(e.Commands, "drawbridge migrate notice "+shell.Word(id)+" --consumer "+shell.Word(c.Name))
		occasion := ""
		switch until := at.Until(m.Deprecate.Window); {
		case of.Kind == notice.MigrationEnded:
			occasion, e.What = "ended", fmt.Sprintf("%s of %s has ended: %s", m.Name, table, strings.ReplaceAll(at.Ended, "_", " "))
			e.Commands = nil
		case of.Kind == notice.MigrationDeprecates && !until.IsZero():
			occasion, e.Deadline = "switched", &until
			e.What = fmt.Sprintf("the new shape of %s counts since %s", table, at.PhaseSince.UTC().Format("2006-01-02 15:04 MST"))
			if len(p.Old) > 0 {
				e.What += "; what goes: " + strings.Join(p.Old, ", ")
			}
			if c.MustAck && missing {
				e.Kind = notice.ConsumerAsked
			}
		default:
			occasion, e.What = "begun", fmt.Sprintf("%s is about to change: %s", table, m.Name)
		}
		e.ID = m.Name + "/" + c.Name + "/" + occasion
		events = append(events, e)
	}
	return events
}

// acknowledged has people told that a consumer is ready, and reminds it no more.
func (o opened) acknowledged(ctx context.Context, ack migrate.Ack) error {
	if !o.Site.Policy.Notify.Tells() {
		return nil
	}
	e := notice.Event{
		ID: o.standing.Name + "/" + ack.Consumer + "/" + ack.At.UTC().Format(time.RFC3339), Kind: notice.ConsumerReady, At: o.Now(), By: ack.By, Plan: o.standing.Plan, Release: o.plan.Release.String(),
		Consumer: ack.Consumer, What: ack.Consumer + " is ready for the new shape of " + o.plan.Schema + "." + o.plan.Migration.Table, Why: ack.Reason,
		Commands: []string{"drawbridge status " + o.target.Owner.Workflow()},
	}
	return o.Site.owe(ctx, o.w, o.p, o.target.Owner, e)
}

// withdrawn asks a consumer again that has taken its word back in the deprecation window, and reminds it from now on.
func (o opened) withdrawn(ctx context.Context, word migrate.Ack) error {
	m := o.plan.Migration
	until := o.standing.Until(m.Deprecate.Window)
	at := slices.IndexFunc(m.Consumers, func(c migrate.Consumer) bool { return c.Name == word.Consumer })
	if !o.Site.Policy.Notify.Tells() || until.IsZero() || !m.Consumers[at].MustAck {
		return nil
	}
	id := o.target.Owner.Workflow()
	return o.Site.owe(ctx, o.w, o.p, o.target.Owner, notice.Event{
		ID: m.Name + "/" + word.Consumer + "/withdrawn/" + word.At.UTC().Format(time.RFC3339), Kind: notice.ConsumerAsked, At: o.Now(), By: word.By,
		Plan: o.standing.Plan, Release: o.plan.Release.String(), Workflow: id, Consumer: word.Consumer, Deadline: &until,
		What: word.Consumer + " is not ready after all for the new shape of " + o.plan.Schema + "." + m.Table, Why: word.Reason,
		Commands: []string{migrate.AckCommand(id, word.Consumer)},
	})
}
