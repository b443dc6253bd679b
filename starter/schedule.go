package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"drawbridge/internal/console"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/schedule"
)

func (a *app) scheduleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule list|next|trigger|pause|resume",
		Short: "Look at what runs by itself, and steer it",
		Long: `A schedule stands in config.ENV.yaml of a pipeline (schedule:). It is applied when a release becomes the active one, turned back with it, and
runs what is active. Which partition a run builds follows from the time that was meant, minus lag; files that are not there yet are
waited for (wait_for). A turn-back pauses it, and makes up for the times that pass meanwhile; what a person has paused stays so until a
person resumes it.`,
		Example: "  drawbridge schedule list\n  drawbridge schedule next shop --env prod\n  drawbridge schedule pause shop --env prod --reason 'the supplier is late'",
		GroupID: groupChange,
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.scheduleListCommand(), a.scheduleNextCommand(), a.scheduleTriggerCommand(), a.schedulePauseCommand(), a.scheduleResumeCommand())
	return cmd
}

func (a *app) scheduleListCommand() *cobra.Command {
	var env string
	cmd := &cobra.Command{
		Use:     "list [PIPELINE]",
		Short:   "List the schedules: when, what is next, which release, who paused it",
		Long:    "Lists every schedule with the release that it runs, its next time, what it started last, and who has paused it.",
		Example: "  drawbridge schedule list\n  drawbridge schedule list shop --env prod --json",
		Args:    between(0, 1, "PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			desk, err := a.desk(cmd.Context())
			if err != nil {
				return err
			}
			all, err := desk.Schedules(cmd.Context())
			if err != nil {
				return err
			}
			shown := []schedule.Standing{}
			for _, s := range all {
				if (env == "" || s.Environment == env) && (len(args) == 0 || s.Pipeline == args[0]) {
					shown = append(shown, s)
				}
			}
			return a.answer(shown, func(s console.Screen) string { return s.Schedules(shown) })
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "only of this environment")
	return cmd
}

func (a *app) scheduleNextCommand() *cobra.Command {
	var env string
	var count int
	cmd := &cobra.Command{
		Use:     "next PIPELINE --env ENV",
		Short:   "Show the next times, and the partitions that are due then",
		Long:    "Shows the next times of a schedule with the partition that is due at each, and those before it that are run again.",
		Example: "  drawbridge schedule next shop --env prod\n  drawbridge schedule next shop --env prod --count 30 --json",
		Args:    between(1, 1, "PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 || count > mostNext {
				return fault.Newf(fault.Invalid, "read", "--count", fmt.Sprintf("give 1 to %d", mostNext), "it is no number of times")
			}
			s, err := a.scheduleOf(cmd.Context(), args[0], env)
			if err != nil {
				return err
			}
			desk, err := a.desk(cmd.Context())
			if err != nil {
				return err
			}
			times, err := desk.NextTimes(cmd.Context(), s, count)
			if err != nil {
				return err
			}
			next, err := console.NextOf(s, times)
			if err != nil {
				return err
			}
			return a.answer(next, func(screen console.Screen) string { return screen.Next(s, next) })
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "environment")
	cmd.Flags().IntVar(&count, "count", 5, "how many times")
	return cmd
}

// mostNext bounds how far ahead next looks.
const mostNext = 1000

func (a *app) scheduleTriggerCommand() *cobra.Command {
	var env, at string
	var detach bool
	cmd := &cobra.Command{
		Use:   "trigger PIPELINE --env ENV",
		Short: "Run now what is due, as the schedule would",
		Long: `Starts a scheduled run for a time: now, or --at. It builds the partition that is due at that time, with the release that is active,
beside what runs already, also where the schedule is paused.`,
		Example: "  drawbridge schedule trigger shop --env prod\n  drawbridge schedule trigger shop --env prod --at 2026-01-31T06:00",
		Args:    between(1, 1, "PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.scheduleOf(cmd.Context(), args[0], env)
			if err != nil {
				return err
			}
			when := a.Now()
			if at != "" {
				if when, err = readTime(s, at); err != nil {
					return err
				}
			}
			desk, err := a.desk(cmd.Context())
			if err != nil {
				return err
			}
			t, err := desk.TriggerSchedule(cmd.Context(), s, when)
			if err != nil {
				return err
			}
			return a.followUnless(cmd.Context(), detach, t, env)
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "environment")
	cmd.Flags().StringVar(&at, "at", "", "the time that is meant, in the schedule's timezone: 2026-01-31T06:00 (default now)")
	cmd.Flags().BoolVar(&detach, "detach", false, "return when it has started")
	return cmd
}

// readTime reads a time as people write it, in the schedule's zone where it names none.
func readTime(s schedule.Standing, text string) (time.Time, error) {
	zone, err := partition.Zone(s.Schedule.Zone(s.Scheme))
	if err != nil {
		return time.Time{}, err
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fault.Newf(fault.Invalid, "read --at", strconv.Quote(text), "write it as 2026-01-31T06:00", "it is no time")
}

func (a *app) schedulePauseCommand() *cobra.Command {
	var env, reason string
	cmd := &cobra.Command{
		Use:   "pause PIPELINE --env ENV --reason TEXT",
		Short: "Let a schedule start nothing more",
		Long: `Pauses a schedule until a person resumes it: no deployment and no turn-back does. What runs goes on. Times that pass meanwhile are not made
up: gaps finds what is missing afterwards.`,
		Example: "  drawbridge schedule pause shop --env prod --reason 'the supplier is late'",
		Args:    between(1, 1, "PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if reason == "" {
				return fault.Newf(fault.Invalid, "pause", args[0], "say why: --reason TEXT", "the reason is missing")
			}
			by, err := a.by()
			if err != nil {
				return err
			}
			if why := gate.Unfit(by, reason); why != "" {
				return fault.Newf(fault.Invalid, "pause", args[0], "write them as plain text, and shorter", why)
			}
			p := schedule.Pause{By: by, Reason: reason, Since: a.Now().UTC().Truncate(time.Second)}
			return a.steerSchedule(cmd.Context(), args[0], env, &p)
		},
	}
	a.asFlag(cmd)
	cmd.Flags().StringVar(&env, "env", "", "environment")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who look")
	return cmd
}

func (a *app) scheduleResumeCommand() *cobra.Command {
	var env string
	cmd := &cobra.Command{
		Use:     "resume PIPELINE --env ENV",
		Short:   "Let a paused schedule start again",
		Long:    "Ends a person's pause. Times that have passed meanwhile are not made up: gaps says what is missing.",
		Example: "  drawbridge schedule resume shop --env prod",
		Args:    between(1, 1, "PIPELINE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.steerSchedule(cmd.Context(), args[0], env, nil)
		},
	}
	cmd.Flags().StringVar(&env, "env", "", "environment")
	return cmd
}

// steerSchedule pauses a schedule, or resumes it where no pause is given.
func (a *app) steerSchedule(ctx context.Context, arg, env string, p *schedule.Pause) error {
	name, err := scheduled(arg, env)
	if err != nil {
		return err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return err
	}
	answer := console.SteeredSchedule{Command: "resume"}
	if p != nil {
		answer.Command = "pause"
		answer.Schedule, answer.Already, err = desk.PauseSchedule(ctx, name, env, *p)
	} else {
		answer.Schedule, answer.Already, err = desk.ResumeSchedule(ctx, name, env)
	}
	if err != nil {
		return err
	}
	return a.answer(answer, func(s console.Screen) string { return s.SteeredSchedule(answer) })
}

// scheduled reads which pipeline's schedule is meant.
func scheduled(arg, env string) (string, error) {
	name, err := named(arg)
	if err == nil && env == "" {
		err = fault.Newf(fault.Invalid, "read", "--env", "name the environment: --env prod", "it is missing")
	}
	return name, err
}

func (a *app) scheduleOf(ctx context.Context, arg, env string) (schedule.Standing, error) {
	name, err := scheduled(arg, env)
	if err != nil {
		return schedule.Standing{}, err
	}
	desk, err := a.desk(ctx)
	if err != nil {
		return schedule.Standing{}, err
	}
	return desk.Schedule(ctx, name, env)
}
