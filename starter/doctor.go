package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"go.temporal.io/api/serviceerror"

	"drawbridge/activities"
	"drawbridge/internal/temporalx"
	"drawbridge/workflows"
)

func (a *app) doctorCommand() *cobra.Command {
	var envs []string
	cmd := &cobra.Command{
		Use:   "doctor [PIPELINE]",
		Short: "Check Temporal, workers, store and rights, a line each with its remedy",
		Long: `Checks what every command needs, and of the environments named by --env whether workers poll. With a pipeline, every
environment's worker also checks its store, warehouse, rights and source files.`,
		Example: "  drawbridge doctor --env dev\n  drawbridge doctor shop",
		GroupID: groupSetup,
		Args:    between(0, 1, "PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.doctor(cmd.Context(), args, envs)
		},
	}
	cmd.Flags().StringArrayVar(&envs, "env", nil, "an environment; repeat it for more (default: the pipeline's)")
	return cmd
}

// doctor checks from the ground up; what cannot be reached is not looked into. Something that is not right is a refusal.
func (a *app) doctor(ctx context.Context, args, envs []string) error {
	lines := []activities.Checked{a.checkStore(ctx)}
	c, err := a.temporal(ctx)
	if err != nil {
		return a.diagnosis(append(lines, unwell("Temporal", err)))
	}
	if _, err := list(ctx, c, changing(), 1); err != nil {
		return a.diagnosis(append(lines, namespaceLine(err)))
	}
	lines = append(lines, activities.Checked{Subject: "Temporal", OK: true, Text: "answers"}, checkAttributes(ctx, c))

	var s subject
	if len(args) > 0 {
		name, err := named(args[0])
		if err == nil {
			s, err = a.newest(ctx, name)
		}
		if err != nil {
			lines = append(lines, unwell("pipeline", err))
		}
		if len(envs) == 0 {
			envs = s.environments
		}
	}
	silentQueues := unpolled(ctx, c, a.Now(), queues(envs))
	lines = append(lines, workerLines(queues(envs), silentQueues)...)
	if s.release.Digest != "" {
		for _, env := range envs {
			lines = append(lines, a.askDoctor(ctx, s, env, silentQueues)...)
		}
	}
	return a.diagnosis(lines)
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
	if _, ok := errors.AsType[*serviceerror.NamespaceNotFound](err); ok {
		line.Remedy = "name one that exists: export TEMPORAL_NAMESPACE=NAME; or make it: temporal operator namespace create NAME"
	}
	return line
}

// checkAttributes looks whether our search attributes can be searched for. They make the inbox quick; nothing needs them.
func checkAttributes(ctx context.Context, c lister) activities.Checked {
	var missing []string
	for _, name := range workflows.Attributes() {
		_, err := list(ctx, c, fmt.Sprintf("%s = 'any'", name), 1)
		if _, ok := errors.AsType[*serviceerror.InvalidArgument](err); ok {
			missing = append(missing, name)
		} else if err != nil {
			return unwell("search attributes", err)
		}
	}
	if len(missing) > 0 {
		return activities.Checked{Subject: "search attributes", Text: "not registered: " + strings.Join(missing, ", "), Remedy: temporalx.RegisterLine(missing)}
	}
	return activities.Checked{Subject: "search attributes", OK: true, Text: "registered"}
}

func workerLines(all, missing []queue) []activities.Checked {
	var lines []activities.Checked
	for _, q := range all {
		line := activities.Checked{Subject: q.name, OK: true, Text: "a worker polls"}
		for _, m := range missing {
			if m.name == q.name {
				line = activities.Checked{Subject: q.name, Text: "no worker polls", Remedy: startLines([]queue{q})[0]}
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// askDoctor lets an environment's worker check itself. Without workers there is nobody to ask, which has been said.
func (a *app) askDoctor(ctx context.Context, s subject, env string, silentQueues []queue) []activities.Checked {
	for _, q := range silentQueues {
		if q.environment == "" || q.environment == env {
			return nil
		}
	}
	res, err := ask[activities.InspectResult](ctx, a, "inspect", order{
		workflow: workflows.InspectionName, pipeline: s.pipeline, environment: env, release: s.version,
		summary: "doctor of " + s.pipeline + " in " + env,
		input: activities.InspectInput{
			Kind: activities.InspectDoctor, Target: activities.Target{Environment: env, Release: s.release},
		},
	}, []string{env})
	if err != nil {
		return []activities.Checked{unwell(env, err)}
	}
	for i := range res.Checked {
		res.Checked[i].Subject = env + ": " + res.Checked[i].Subject
	}
	return res.Checked
}

func (a *app) diagnosis(lines []activities.Checked) error {
	wrong := 0
	for _, l := range lines {
		if !l.OK {
			wrong++
		}
	}
	if a.json {
		if err := a.print(lines); err != nil {
			return err
		}
	} else {
		a.showChecked(lines)
		fmt.Fprintln(a.Stdout)
		if wrong == 0 {
			a.next("drawbridge status")
		} else {
			a.next("do what the arrows say, then: drawbridge doctor")
		}
	}
	if wrong > 0 {
		return exitRefused.err()
	}
	return nil
}
