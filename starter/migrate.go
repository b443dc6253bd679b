package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/migrate"
	"drawbridge/internal/shell"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

func (a *app) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Change a table that others read and write, so that none of them notices",
		Long: `A migration is a file of a pipeline's folder migrations, and is about one table. It goes from expand over dual write, backfill, verify,
switch and a deprecation window to contract: until then it can be undone, step by step, and contract waits until everybody who has to
has said that they are ready, and people approve it. pause, resume, set-window and cancel steer it.`,
		Example: "  drawbridge migrate plan shop@1.2.0 --env prod\n  drawbridge migrate start shop@1.2.0 0003 --env prod --reason 'orders need a channel'",
		GroupID: groupChange,
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.migratePlanCommand(), a.migrateStartCommand(), a.migrateStatusCommand(), a.migrateNoticeCommand(), a.migrateAckCommand(), a.migrateRollbackCommand())
	return cmd
}

// migration is the flags of plan and start.
type migration struct {
	env, reason, format string
	config              []string
	detach, giveUp      bool
}

func (m *migration) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&m.env, "env", "", "environment")
	f.StringArrayVar(&m.config, "config", nil, "ENV=FILE: a config that says where the pipeline is, in place of the packed one")
	f.BoolVar(&m.giveUp, "give-up-rollback", false, "of an output: contract does not wait until generations are dropped that lack what is new; no rollback goes back to them then")
}

func (a *app) migratePlanCommand() *cobra.Command {
	var m migration
	cmd := &cobra.Command{
		Use:   "plan DIR|PIPELINE@VERSION [NNNN…] --env ENV",
		Short: "Show what migrations would do to their tables, step by step, and how each step is undone",
		Long: `Looks at the table in the environment and shows the phases with their steps: what is done, under which lock, what could go wrong, and how
it is undone. Without a number it is about the first migration that is not done there. It changes nothing. --format md prints the
change document for a review.`,
		Example: "  drawbridge migrate plan ./shop --env dev\n  drawbridge migrate plan shop@1.2.0 0003 --env prod --format md",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.migratePlan(cmd.Context(), args[0], args[1:], m)
		},
	}
	m.flags(cmd)
	a.asFlag(cmd)
	cmd.Flags().StringVar(&m.format, "format", string(formatText), "text, md (the change document) or json")
	return cmd
}

// plannedMigration is a plan, and how much work it is.
type plannedMigration struct {
	Digest   string           `json:"digest"`
	Estimate migrate.Estimate `json:"estimate"`
	migrate.Plan
}

func (a *app) migratePlan(ctx context.Context, arg string, numbers []string, m migration) error {
	switch planFormat(m.format) {
	case formatText, formatMD, formatJSON:
	default:
		return fault.Newf(fault.Invalid, "read", "--format "+m.format, "write text, md or json", "there is no such format")
	}
	if len(numbers) == 0 {
		numbers = []string{""}
	}
	a.json = a.json || planFormat(m.format) == formatJSON // --json says the same
	plans := []plannedMigration{}
	var texts []string
	var refused error
	for _, number := range numbers {
		s, err := a.askMigration(ctx, arg, number, m)
		if err != nil {
			return err
		}
		if s.Migration == nil || s.Migration.Plan == nil {
			texts = append(texts, unplanned(s))
			refused = cmp.Or(refused, exitOf(s).err())
			continue
		}
		p, err := a.readMigration(ctx, *s.Migration.Plan)
		if err != nil {
			return err
		}
		plans = append(plans, p)
		text := migrate.Text(p.Plan, p.Estimate) + standing(*s.Migration) + nextOfPlan(arg, p.Plan, *s.Migration)
		if planFormat(m.format) == formatMD {
			text = migrate.Markdown(p.Plan, p.Estimate)
		}
		texts = append(texts, text)
	}
	return cmp.Or(a.answer(plans, func(s console.Screen) string { return s.Document(strings.Join(texts, "\n")) }), refused)
}

// answerUnplanned says what there is to say where there is no plan.
func (a *app) answerUnplanned(s workflows.Status) error {
	if err := a.answer(s, func(x console.Screen) string { return x.Document(unplanned(s)) }); err != nil {
		return err
	}
	return exitOf(s).err()
}

// unplanned says why there is no plan, and what to do.
func unplanned(s workflows.Status) string {
	text := s.Sentence + "\n"
	if s.Hint != "" {
		text += "→ " + s.Hint + "\n"
	}
	return text
}

// standing says of a planned migration that it is under way, or what it waits for before it can begin.
func standing(m workflows.MigrationStatus) string {
	switch {
	case m.Open != nil:
		return fmt.Sprintf("BEGUN     %s by %s: %s; it is in phase %s, and goes by this plan\n",
			m.Open.Since.UTC().Format("2006-01-02 15:04 MST"), m.Open.By, m.Open.Reason, strings.ReplaceAll(string(m.Open.Phase), "_", " "))
	case m.Lacks != "":
		return "NOT YET   " + m.Lacks + "\n"
	}
	return ""
}

// nextOfPlan is the command to type after a plan.
func nextOfPlan(arg string, p migrate.Plan, m workflows.MigrationStatus) string {
	next := "drawbridge migrate start " + shell.Word(p.Release.String()) + " " + shell.Word(p.Migration.Name) + " --env " + shell.Word(p.Environment) + " --reason TEXT"
	if p.Given != nil && p.Given.GiveUp {
		next += " --give-up-rollback"
	}
	switch {
	case m.Open != nil:
		next = "drawbridge status " + shell.Word(m.Open.Owner.Workflow())
	case m.Lacks != "":
		return ""
	case isFolder(arg):
		next = "drawbridge build " + shell.Word(arg)
	}
	return "\nNext: " + next + "\n"
}

// readMigration reads the body of a plan from the store, which verifies that the digest names it.
func (a *app) readMigration(ctx context.Context, sum migrate.Summary) (plannedMigration, error) {
	s, err := a.store()
	if err != nil {
		return plannedMigration{}, err
	}
	body, err := s.Blob(ctx, sum.Digest)
	if err != nil {
		return plannedMigration{}, err
	}
	p := plannedMigration{Digest: sum.Digest, Estimate: sum.Estimate}
	if err := json.Unmarshal(body, &p.Plan); err != nil {
		return p, fault.New(fault.Invalid, "read plan", sum.Digest, "use the store of the environment's worker: --store REF", err)
	}
	return p, nil
}

// askMigration asks the environment's worker for the plan of one migration.
func (a *app) askMigration(ctx context.Context, arg, number string, m migration) (workflows.Status, error) {
	order, desk, err := a.migrationOrder(ctx, arg, number, m)
	if err != nil {
		return workflows.Status{}, err
	}
	in := order.Input.(workflows.MigrationInput)
	in.DryRun = true
	order.Input = in
	return dispatch.Ask[workflows.Status](ctx, desk, workflows.MigrationPreview, order)
}

// migrationOrder is what is asked for, or started, without an ID where no migration is named.
func (a *app) migrationOrder(ctx context.Context, arg, number string, m migration) (dispatch.Order, *dispatch.Desk, error) {
	var none dispatch.Order
	if m.env == "" {
		return none, nil, fault.Newf(fault.Invalid, "read", "--env", "name the environment: --env prod", "it is missing")
	}
	by, err := a.by()
	if err != nil {
		return none, nil, err
	}
	s, err := a.subject(ctx, arg)
	if err != nil {
		return none, nil, err
	}
	if err := s.releaseNamed(); err != nil {
		return none, nil, err
	}
	if err := s.in(m.env); err != nil {
		return none, nil, err
	}
	name, err := s.migration(number)
	if err != nil {
		return none, nil, err
	}
	configs, err := a.configs(ctx, m.config)
	if err != nil {
		return none, nil, err
	}
	desk, err := a.desk(ctx)
	return dispatch.Order{
		ID: workflows.MigrationID(s.pipeline, m.env, name), Workflow: workflows.MigrationName,
		Pipeline: s.pipeline, Release: s.version, By: by, Environments: []string{m.env},
		Summary: fmt.Sprintf("migrate %s in %s: %s", s.title, m.env, cmp.Or(name, "what is next")), Details: quoted(m.reason),
		Input: workflows.MigrationInput{
			Pipeline: s.pipeline, Environment: m.env, Config: configs[m.env], Release: s.release, Source: s.source, Name: name, GiveUp: m.giveUp, By: by, Reason: m.reason,
		},
	}, desk, err
}

// migration is the full name of the migration that a number, or a name, means; of none it is empty.
func (s subject) migration(number string) (string, error) {
	if number == "" {
		return "", nil
	}
	at := slices.IndexFunc(s.migrations, func(name string) bool { return means(number, name) })
	if at < 0 {
		return "", fault.Newf(fault.Invalid, "find migration", number, "choose one of "+cmp.Or(strings.Join(s.migrations, ", "), "none: it has no migrations"), "there is none of this number or name")
	}
	return s.migrations[at], nil
}

// means says whether a migration is meant by its number, with zeros before it or without, by its name, or by both: 3, 0003, channel and
// 0003_channel.
func means(said, migration string) bool {
	number, name, _ := strings.Cut(migration, "_")
	if said == migration || said == name {
		return true
	}
	n, err := strconv.Atoi(said)
	of, failed := strconv.Atoi(number)
	return err == nil && failed == nil && n == of
}

func (a *app) migrateStartCommand() *cobra.Command {
	var m migration
	cmd := &cobra.Command{
		Use:   "start PIPELINE@VERSION [NNNN] --env ENV --reason TEXT",
		Short: "Begin a migration, or go on with one that was stopped",
		Long: `Does a migration of a release in an environment. Without a number it is the first that is not done there, and it says which. Where the
environment's policy wants an approval it waits for that first; its plan is what is approved. The same command again goes on with a
migration whose workflow was ended from outside.

It follows until it is done, undone, or waits for a person; with --detach it returns when it has started.`,
		Example: "  drawbridge migrate start shop@1.2.0 --env dev --reason 'orders need a channel'\n  drawbridge migrate start shop@1.2.0 0003 --env prod --reason 'orders need a channel' --detach",
		Args:    between(1, 2, "PIPELINE@VERSION and a number"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number := ""
			if len(args) > 1 {
				number = args[1]
			}
			return a.migrateStart(cmd.Context(), args[0], number, m)
		},
	}
	m.flags(cmd)
	a.asFlag(cmd)
	cmd.Flags().StringVar(&m.reason, "reason", "", "why, for approvers and history")
	cmd.Flags().BoolVar(&m.detach, "detach", false, "return when it has started")
	return cmd
}

func (a *app) migrateStart(ctx context.Context, arg, number string, m migration) error {
	switch {
	case isFolder(arg):
		return fault.Newf(fault.Invalid, "migrate", arg, "build it first, and name the release: drawbridge build "+arg, "a migration is part of a release, and this is a folder")
	case m.reason == "":
		return fault.Newf(fault.Invalid, "migrate", arg, "say why: --reason TEXT", "the reason is missing")
	}
	// What is done, or cannot be planned, is said before anything is started: a start has the ID under which people look for what was.
	s, err := a.askMigration(ctx, arg, number, m)
	if err != nil {
		return err
	}
	if s.Migration == nil || s.Migration.Plan == nil {
		return a.answerUnplanned(s)
	}
	if number == "" {
		number = s.Migration.Name
		a.say(func(x console.Screen) string {
			return x.Document("the first that is not done in " + m.env + " is " + number + "\n")
		})
	}
	order, desk, err := a.migrationOrder(ctx, arg, number, m)
	if err != nil {
		return err
	}
	t, err := desk.Begin(ctx, order)
	if err != nil {
		return err
	}
	return a.followUnless(ctx, m.detach, t, m.env)
}

func (a *app) migrateStatusCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [PIPELINE|ID]",
		Short: "Show in which phase a migration is, and what it waits for",
		Long: `Shows in which phase a migration is, how far its backfill, and who or what keeps the old shape from being taken away: of all that are
open, or of those of a pipeline, else of the last one; or of the one that is named.

Exit codes: those of drawbridge status.`,
		Example: "  drawbridge migrate status --watch\n  drawbridge migrate status migrate/shop/prod/0003_channel --json",
		Args:    between(0, 1, "PIPELINE or ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			arg := ""
			if len(args) > 0 {
				arg = args[0]
			}
			if _, _, _, ok := workflows.Migrated(arg); ok {
				return a.status(cmd.Context(), arg, watch)
			}
			return a.statusOfLatest(cmd.Context(), "migrate/", arg, watch)
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "follow until it ends")
	return cmd
}

// migrationNamed refuses what is no ID of a migration.
func migrationNamed(op, id string) (pipeline, env, name string, err error) {
	pipeline, env, name, ok := workflows.Migrated(id)
	if !ok {
		err = fault.Newf(fault.Invalid, op, id, "name one, such as migrate/shop/prod/0003_channel; drawbridge status lists them", "it is no migration")
	}
	return pipeline, env, name, err
}

func (a *app) migrateAckCommand() *cobra.Command {
	m := conduct.Command{Kind: conduct.Ack}
	var consumer string
	var withdraw bool
	cmd := &cobra.Command{
		Use:   "ack ID --consumer NAME --as WHO",
		Short: "Say that a consumer of a table is ready for its new shape",
		Long: `Says for a consumer that it reads and writes the new shape, so that the old one may go. The migration's file lists the consumers, and who of
them has to say so. When no worker answers within ten seconds the word is recorded, and counts when one returns. What was said first stays.
--withdraw takes the word back, with a reason, until contract has begun: it waits for the consumer again.`,
		Example: "  drawbridge migrate ack migrate/shop/prod/0003_channel --consumer bi --as bob --reason 'the dashboards read channel now'",
		Args:    between(1, 1, "ID of a migration"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, _, _, err := migrationNamed("ack", args[0]); err != nil {
				return err
			}
			if consumer == "" {
				return fault.Newf(fault.Invalid, "read", "--consumer", "say who is ready: --consumer NAME", "it is missing")
			}
			m.Items = []string{consumer}
			if withdraw {
				m.Kind = conduct.Withdraw
			}
			return a.steer(cmd.Context(), args[0], m)
		},
	}
	a.steerFlags(cmd, &m)
	cmd.Flags().BoolVar(&withdraw, "withdraw", false, "it is not ready after all; --reason says why")
	cmd.Flags().StringVar(&consumer, "consumer", "", "who is ready, as the migration's file calls it")
	return cmd
}

func (a *app) migrateRollbackCommand() *cobra.Command {
	var reason string
	var detach bool
	cmd := &cobra.Command{
		Use:   "rollback ID --reason TEXT",
		Short: "Undo a migration, step by step, in any phase before contract",
		Long: `Stops a migration and undoes what it has done, the last step first; the table is then as it was before. Where its workflow was ended from
outside it is started to do just that. Once contract has begun nothing is undone any more, and it is refused.`,
		Example: "  drawbridge migrate rollback migrate/shop/prod/0003_channel --reason 'the new column is not what we need'",
		Args:    between(1, 1, "ID of a migration"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.migrateRollback(cmd.Context(), args[0], reason, detach)
		},
	}
	a.asFlag(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the history")
	cmd.Flags().BoolVar(&detach, "detach", false, "return when it has begun")
	return cmd
}

func (a *app) migrateRollback(ctx context.Context, id, reason string, detach bool) error {
	pipeline, env, name, err := migrationNamed("roll back", id)
	if err != nil {
		return err
	}
	if reason == "" {
		return fault.Newf(fault.Invalid, "roll back", id, "say why: --reason TEXT", "the reason is missing")
	}
	by, err := a.by()
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	runs, err := desk.Runs(ctx, id)
	if err != nil {
		return err
	}
	if runs {
		if _, _, err := desk.Steer(ctx, id, conduct.Command{Kind: conduct.Cancel, By: by, Reason: reason}); err != nil {
			return err
		}
		return a.followUnless(ctx, detach, desk.Talk(id), env)
	}
	in := workflows.MigrationInput{Pipeline: pipeline, Environment: env, Name: name, Rollback: true, By: by, Reason: reason}
	order := dispatch.Order{
		ID: id, Workflow: workflows.MigrationName, Pipeline: pipeline, By: by, Environments: []string{env},
		Summary: "roll back " + name + " in " + env, Details: quoted(reason),
	}
	looks := in
	looks.DryRun = true
	order.Input = looks
	s, err := dispatch.Ask[workflows.Status](ctx, desk, workflows.MigrationPreview, order)
	if err != nil {
		return err
	}
	if err := exitOf(s).err(); err != nil { // it is not open: what became of it stays to be seen under its ID
		return errors.Join(a.answer(s, func(x console.Screen) string { return x.Document(unplanned(s)) }), err)
	}
	order.Input = in
	t, err := desk.Begin(ctx, order)
	if err != nil {
		return err
	}
	return a.followUnless(ctx, detach, t, env)
}
