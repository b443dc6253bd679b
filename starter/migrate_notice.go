package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/markup"
	"drawbridge/internal/migrate"
	"drawbridge/workflows"
)

func (a *app) migrateNoticeCommand() *cobra.Command {
	var m migration
	var consumer string
	cmd := &cobra.Command{
		Use:   "notice ID|RELEASE [NNNN]",
		Short: "Write what a consumer of a table is told: what changes, until when, and what to do instead",
		Long: `Writes the notice of a migration, or of one of a release (a folder or PIPELINE@VERSION, with --env), for each of its consumers or for one: what changes for it and why, queries that go on working, until
when the old shape is kept, what happens then, and the line by which it says that it is ready. Of a migration that is under way the dates are
those of its ledger. It changes nothing; where the environment's policy has people told of consumers, they get the same.`,
		Example: "  drawbridge migrate notice migrate/shop/prod/0003_channel --consumer bi\n  drawbridge migrate notice shop@1.2.0 0003 --env prod --format json",
		Args:    between(1, 2, "ID of a migration, or PIPELINE@VERSION and a number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number := ""
			if len(args) > 1 {
				number = args[1]
			}
			return a.migrateNotice(cmd.Context(), args[0], number, consumer, m)
		},
	}
	m.flags(cmd)
	a.asFlag(cmd)
	cmd.Flags().StringVar(&consumer, "consumer", "", "one of them, as the migration's file calls it; all by default")
	cmd.Flags().StringVar(&m.format, "format", string(formatMD), "md or json")
	return cmd
}

// consumerNotice is what one consumer is told.
type consumerNotice struct {
	Migration string `json:"migration"`
	Consumer  string `json:"consumer"`
	Contact   string `json:"contact,omitempty"`
	MustAck   bool   `json:"must_ack,omitempty"`
	// Ready says that it has acknowledged, Until when the deprecation window is over, Ack how it acknowledges.
	Ready  bool       `json:"ready,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
	Ack    string     `json:"ack,omitempty"`
	Notice string     `json:"notice"` // Markdown
}

func (a *app) migrateNotice(ctx context.Context, arg, number, consumer string, m migration) error {
	switch planFormat(m.format) {
	case formatMD, formatJSON:
	default:
		return fault.Newf(fault.Invalid, "read", "--format "+m.format, "write md or json", "there is no such format")
	}
	a.json = a.json || planFormat(m.format) == formatJSON // --json says the same
	s, err := a.askNotice(ctx, arg, number, m)
	if err != nil {
		return err
	}
	if s.Migration == nil || s.Migration.Plan == nil {
		return a.answerUnplanned(s)
	}
	p, err := a.readMigration(ctx, *s.Migration.Plan)
	if err != nil {
		return err
	}
	at := migrate.Standing{}
	if s.Migration.Open != nil {
		at = *s.Migration.Open
	}
	notices, err := noticesOf(p.Plan, at, consumer, a.Now())
	if err != nil {
		return err
	}
	return a.answer(notices, func(s console.Screen) string {
		var texts []string
		for _, n := range notices {
			texts = append(texts, "# "+markup.Text(n.Migration+": "+n.Consumer)+"\n\n"+n.Notice)
		}
		return s.Document(strings.Join(texts, "\n"))
	})
}

// askNotice asks the environment's worker for a plan: of a migration that is under way the one by which it has begun.
func (a *app) askNotice(ctx context.Context, arg, number string, m migration) (workflows.Status, error) {
	pipeline, env, name, ok := workflows.Migrated(arg)
	if !ok {
		return a.askMigration(ctx, arg, number, m)
	}
	by, err := a.by()
	if err != nil {
		return workflows.Status{}, err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return workflows.Status{}, err
	}
	return dispatch.Ask[workflows.Status](ctx, desk, workflows.MigrationPreview, dispatch.Order{
		ID: arg, Workflow: workflows.MigrationName, Pipeline: pipeline, By: by, Environments: []string{env}, Summary: "notice of " + name + " in " + env,
		Input: workflows.MigrationInput{Pipeline: pipeline, Environment: env, Name: name, Rollback: true, DryRun: true, By: by},
	})
}

// noticesOf are those of every consumer of a plan, or of one.
func noticesOf(p migrate.Plan, at migrate.Standing, consumer string, now time.Time) ([]consumerNotice, error) {
	notices, names := []consumerNotice{}, []string{}
	for _, c := range p.Migration.Consumers {
		names = append(names, c.Name)
		if consumer != "" && c.Name != consumer {
			continue
		}
		n := consumerNotice{
			Migration: p.Migration.Name, Consumer: c.Name, Contact: c.Contact, MustAck: c.MustAck, Notice: migrate.Notice(p, c, at, now),
			Ready: slices.ContainsFunc(at.Acks, func(a migrate.Ack) bool { return a.Consumer == c.Name }),
		}
		if until := at.Until(p.Migration.Deprecate.Window); !until.IsZero() {
			n.Until = &until
		}
		if at.Owner != "" && !n.Ready {
			n.Ack = migrate.AckCommand(at.Owner.Workflow(), c.Name)
		}
		notices = append(notices, n)
	}
	switch {
	case len(names) == 0:
		return nil, fault.Newf(fault.Invalid, "write a notice of", p.Migration.Name, "name them in its file: consumers: [{name: bi}]", "the migration names no consumer")
	case len(notices) == 0:
		return nil, fault.Newf(fault.Invalid, "write a notice for", consumer, "choose one of "+strings.Join(names, ", "), "it is no consumer of "+p.Migration.Name)
	}
	return notices, nil
}
