package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"drawbridge/activities"
	"drawbridge/internal/console"
	"drawbridge/internal/dispatch"
	"drawbridge/internal/fault"
	"drawbridge/internal/temporalx"
	"drawbridge/workflows"
)

func (a *app) doctorCommand() *cobra.Command {
	var envs []string
	var rebind, copied bool
	cmd := &cobra.Command{
		Use:   "doctor [DIR|PIPELINE]",
		Short: "Check Temporal, workers, store and rights, a line each with its remedy",
		Long: `Checks what every command needs, and of the environments named by --env whether workers poll. With a pipeline, or its
folder before the first deployment, every environment's worker also checks its store, warehouse, rights and source files.
--rebind binds the ledger of an environment to its tables after they were restored from a dump.`,
		Example: "  drawbridge doctor --env dev\n  drawbridge doctor ./shop\n  drawbridge doctor shop\n  drawbridge doctor shop --env prod --rebind",
		GroupID: groupSetup,
		Args:    between(0, 1, "DIR or PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case copied && !rebind:
				return usage(cmd, "--as-environment goes with --rebind")
			case rebind && (len(args) == 0 || len(envs) != 1):
				return usage(cmd, "--rebind wants the pipeline and one environment: PIPELINE --env ENV --rebind")
			case rebind:
				return a.rebind(cmd.Context(), args[0], envs[0], copied)
			}
			return a.doctor(cmd.Context(), args, envs)
		},
	}
	cmd.Flags().StringArrayVar(&envs, "env", nil, "an environment; repeat it for more (default: the pipeline's)")
	cmd.Flags().BoolVar(&rebind, "rebind", false, "bind the ledger to the tables that are there, after a restore from a dump")
	cmd.Flags().BoolVar(&copied, "as-environment", false, "with --rebind: the warehouse is a copy of another environment's, and becomes that of --env")
	return cmd
}

// rebind has an environment's worker bind its ledger anew.
func (a *app) rebind(ctx context.Context, arg, env string, copied bool) error {
	name, err := named(arg)
	if err != nil {
		return err
	}
	s, err := a.newest(ctx, name)
	if err != nil {
		return err
	}
	if err := s.in(env); err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	res, err := dispatch.Ask[activities.InspectResult](ctx, desk, "inspect", dispatch.Order{
		Workflow: workflows.InspectionName, Pipeline: s.pipeline, Environments: []string{env}, Release: s.version,
		Summary: "rebind " + s.pipeline + " in " + env,
		Input: activities.InspectInput{
			Kind: activities.InspectRebind, Copied: copied, Target: activities.Target{Environment: env, Release: s.release},
		},
	})
	if err != nil {
		return err
	}
	return a.diagnosis(res.Checked)
}

// doctor checks from the ground up; what cannot be reached is not looked into. Something that is not right is a refusal.
func (a *app) doctor(ctx context.Context, args, envs []string) error {
	lines := []activities.Checked{a.checkStore(ctx)}
	d, err := a.desk(ctx)
	if err != nil {
		return a.diagnosis(append(lines, unwell("Temporal", err)))
	}
	if err := d.Listable(ctx); err != nil {
		return a.diagnosis(append(lines, namespaceLine(err)))
	}
	lines = append(lines, activities.Checked{Subject: "Temporal", OK: true, Text: "answers"}, checkAttributes(ctx, d))

	var s subject
	if len(args) > 0 {
		if s, err = a.looked(ctx, args[0]); err != nil {
			lines = append(lines, unwell("pipeline", err))
		}
		if len(envs) == 0 {
			envs = s.environments
		}
	}
	silentQueues := d.Missing(ctx, envs)
	lines = append(lines, workerLines(dispatch.Queues(envs), silentQueues)...)
	for _, env := range envs {
		lines = append(lines, replaced(ctx, d, env)...)
	}
	if s.release.Digest != "" {
		for _, env := range envs {
			lines = append(lines, a.askDoctor(ctx, s, env, silentQueues)...)
		}
	}
	return a.diagnosis(lines)
}

// looked is what a doctor looks at: a folder as it is, which needs no release and claims no version, or the newest release.
func (a *app) looked(ctx context.Context, arg string) (subject, error) {
	if !isFolder(arg) {
		name, _, _ := strings.Cut(arg, "@")
		s, err := a.newest(ctx, name)
		if fault.ClassOf(err) == fault.Invalid {
			err = fault.New(fault.Invalid, "", "", "before its first deployment name its folder: drawbridge doctor ./"+name+"; else "+fault.HintOf(err), err)
		}
		return s, err
	}
	f, err := openFolder(arg)
	if err != nil {
		return subject{}, err
	}
	p, err := f.check()
	if err != nil {
		return subject{}, err
	}
	store, err := a.store()
	if err != nil {
		return subject{}, err
	}
	try, err := store.Try(ctx, p.Name, p.Version, f.files)
	if err != nil {
		return subject{}, err
	}
	return a.kept(ctx, store, try.Digest)
}

func (a *app) checkStore(ctx context.Context) activities.Checked {
	s, err := a.store()
	if err == nil {
		err = s.Check(ctx)
	}
	if err != nil {
		return unwell("store", err)
	}
	return activities.Checked{Subject: "store", OK: true, Text: "can be read and written: " + s.Location()}
}

// unwell is a line about an error, with what to do.
func unwell(subject string, err error) activities.Checked {
	p := describe(err)
	return activities.Checked{Subject: subject, Text: p.Text, Remedy: p.Hint}
}

func namespaceLine(err error) activities.Checked {
	line := unwell("Temporal", err)
	if dispatch.NoNamespace(err) {
		line.Remedy = "name one that exists: export TEMPORAL_NAMESPACE=NAME; or make it: temporal operator namespace create NAME"
	}
	return line
}

// checkAttributes looks whether our search attributes can be searched for. They make the inbox quick; nothing needs them.
func checkAttributes(ctx context.Context, d *dispatch.Desk) activities.Checked {
	missing, err := d.UnregisteredAttributes(ctx)
	if err != nil {
		return unwell("search attributes", err)
	}
	if len(missing) > 0 {
		return activities.Checked{Subject: "search attributes", Text: "not registered: " + strings.Join(missing, ", "), Remedy: temporalx.RegisterLine(missing)}
	}
	return activities.Checked{Subject: "search attributes", OK: true, Text: "registered"}
}

func workerLines(all, missing []dispatch.Queue) []activities.Checked {
	var lines []activities.Checked
	for _, q := range all {
		line := activities.Checked{Subject: q.Name, OK: true, Text: "a worker polls"}
		for _, m := range missing {
			if m.Name == q.Name {
				line = activities.Checked{Subject: q.Name, Text: "no worker polls", Remedy: dispatch.StartLines([]dispatch.Queue{q})[0]}
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// replaced replaces the workflow of an environment that does not answer. Where there is nothing to replace there is no line.
func replaced(ctx context.Context, d *dispatch.Desk, env string) []activities.Checked {
	did, err := d.Replace(ctx, env)
	if err != nil {
		return []activities.Checked{unwell("environment "+env, err)}
	}
	if !did {
		return nil
	}
	return []activities.Checked{{Subject: "environment " + env, OK: true, Text: "its workflow did not answer: it was ended, and starts again when it is asked"}}
}

// askDoctor lets an environment's worker check itself. Without workers there is nobody to ask, which has been said.
func (a *app) askDoctor(ctx context.Context, s subject, env string, silentQueues []dispatch.Queue) []activities.Checked {
	for _, q := range silentQueues {
		if q.Environment == "" || q.Environment == env {
			return nil
		}
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return []activities.Checked{unwell(env, err)}
	}
	in := activities.InspectInput{Kind: activities.InspectDoctor, Target: activities.Target{Environment: env, Release: s.release}}
	res, err := a.answerOf(ctx, desk, in, "doctor of "+s.pipeline+" in "+env)
	if err != nil {
		return []activities.Checked{unwell(env, err)}
	}
	for i := range res.Checked {
		res.Checked[i].Subject = env + ": " + res.Checked[i].Subject
	}
	return res.Checked
}

// diagnosis shows the lines; one that is not right is a refusal.
func (a *app) diagnosis(lines []activities.Checked) error {
	if err := a.answer(lines, func(s console.Screen) string { return s.Diagnosis(lines) }); err != nil {
		return err
	}
	if slices.ContainsFunc(lines, func(l activities.Checked) bool { return !l.OK }) {
		return exitRefused.err()
	}
	return nil
}
