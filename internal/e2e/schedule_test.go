package e2e_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"drawbridge/internal/partition"
	"drawbridge/internal/schedule"
	"drawbridge/internal/temporalx"
	"drawbridge/workflows"
)

// mornings is a schedule of which no test sees a time come by itself.
const mornings = `{cron: "0 6 1 1 *", lag: 1d}`

// by is a release with a schedule.
func (r tbRelease) by(schedule string) tbRelease {
	r.schedule = schedule
	return r
}

// schedules are those that the CLI lists.
func (w *world) schedules() []schedule.Standing {
	w.t.Helper()
	var all []schedule.Standing
	w.json(&all, "schedule", "list")
	return all
}

// schedule is the only one.
func (w *world) schedule() schedule.Standing {
	w.t.Helper()
	all := w.schedules()
	require.Len(w.t, all, 1)
	return all[0]
}

// trigger starts a scheduled run for a time, and returns its ID.
func (l *tbLab) trigger(at string, flags ...string) string {
	l.w.t.Helper()
	l.w.cli(0, append([]string{"schedule", "trigger", l.name, "--env", "dev", "--at", at, "--detach"}, flags...)...)
	when, err := time.Parse("2006-01-02T15:04", at)
	require.NoError(l.w.t, err)
	return l.runAt(when)
}

func (l *tbLab) runAt(at time.Time) string {
	return schedule.RunsID(l.name, "dev") + "-" + at.UTC().Format(time.RFC3339)
}

// told says whether a workflow's story has a text.
func (s status) told(text string) bool {
	return slices.ContainsFunc(s.Events, func(e workflows.Event) bool { return strings.Contains(e.Text, text) })
}

// The schedule is that of the release that is active, whatever makes it so; none where that has none.
func TestAScheduleFollowsTheActiveRelease(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 2)
	l.deploy(tbFirst())
	require.Empty(t, l.w.schedules(), "the first release has none")

	folder := l.release(tbSecond().by(mornings))
	said := l.w.cli(0, "plan", folder, "--to", "dev")
	require.Contains(t, said.out, "SCHEDULE")
	require.Contains(t, said.out, "0 6 1 1 * (UTC); the partition of 1d before; overlap: queue; catchup: 1d (new)")
	require.Contains(t, said.out, "applies its schedule")
	l.deploy(tbSecond().by(mornings))
	s := l.w.schedule()
	require.Equal(t, "0 6 1 1 *", s.Schedule.Cron)
	require.Equal(t, "1.1.0", s.Release.Version)
	require.True(t, l.w.status(workflows.DeploymentID(l.name, "1.1.0")).told("the schedule is 0 6 1 1 * (UTC)"))
	require.Contains(t, l.w.cli(0, "status").out, "runs 1.1.0 at 0 6 1 1 * (UTC)")

	l.deploy(tbThird().by(`{cron: "30 5 * * *", timezone: Europe/Berlin}`))
	require.Equal(t, "30 5 * * *", l.w.schedule().Schedule.Cron)
	l.w.cli(0, "schedule", "pause", l.name, "--env", "dev", "--reason", "the supplier is late")
	require.Contains(t, l.w.cli(0, "schedule", "pause", l.name, "--env", "dev", "--reason", "again").out, "was paused already: paused by ada: the supplier is late")

	require.Zero(t, l.rollback().code)
	s = l.w.schedule()
	require.Equal(t, []string{"0 6 1 1 *", "1.1.0"}, []string{s.Schedule.Cron, s.Release.Version}, "it is again that of what is active")
	require.NotNil(t, s.Pause)
	require.Equal(t, "ada", s.Pause.By, "what a person has paused stays so")
	require.Contains(t, l.w.cli(0, "schedule", "list").out, "paused by ada")
	l.w.cli(0, "schedule", "resume", l.name, "--env", "dev")
	require.Nil(t, l.w.schedule().Pause)
	require.Contains(t, l.w.cli(0, "schedule", "resume", l.name, "--env", "dev").out, "was not paused")

	require.Zero(t, l.rollback("--to", "1.0.0").code)
	require.Empty(t, l.w.schedules(), "what is active has none")
	require.True(t, l.w.status(l.id()).told("is removed"))
	require.Equal(t, 1, l.w.try("schedule", "next", l.name, "--env", "dev").code)
	require.Zero(t, l.rollback("--to", "1.1.0").code)
	require.Equal(t, "1.1.0", l.w.schedule().Release.Version, "and it comes back with its release")
}

func TestAScheduledRunBuildsWhatIsDue(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	l.deploy(tbFirst().by(`{cron: "0 6 1 1 *", lag: 1d, lookback: 1, timezone: Asia/Tokyo}`))
	before := map[string]string{}
	for _, day := range l.days {
		before[day] = l.child("dev", "ta", day)
	}
	// Six in Tokyo is nine in the evening of the day before, in UTC, where the partitions begin.
	said := l.w.cli(0, "schedule", "trigger", l.name, "--env", "dev", "--at", "2026-01-05T06:00")
	require.Contains(t, said.out, "live: 2026-01-02, 2026-01-03")
	for day, was := range before {
		if day == "2026-01-02" || day == "2026-01-03" {
			require.NotEqual(t, was, l.child("dev", "ta", day), day)
		} else {
			require.Equal(t, was, l.child("dev", "ta", day), day)
		}
	}
	id := l.runAt(time.Date(2026, 1, 4, 21, 0, 0, 0, time.UTC))
	require.Equal(t, "scheduled", l.w.status(id).Kind)
	require.Equal(t, schedule.ID(l.name, "dev"), l.w.status(workflows.RunID(l.name, "dev", "2026-01-03")).By)
	l.are("dev", 1, "ta")

	said = l.w.try("schedule", "trigger", l.name, "--env", "dev", "--at", "2026-01-21T06:00")
	require.Equal(t, 2, said.code, tbTold(said))
	require.Contains(t, said.out, l.name+"/o_2026-01-19.csv is not there")
	require.Contains(t, said.out, "drawbridge run "+l.name+" --env dev --partition 2026-01-19")

	var next []struct {
		At        time.Time
		Partition partition.Key
		Before    []partition.Key
	}
	l.w.json(&next, "schedule", "next", l.name, "--env", "dev", "--count", "2")
	require.Len(t, next, 2)
	require.Equal(t, []partition.Key{"2026-12-29"}, next[0].Before, next)
	require.Equal(t, partition.Key("2026-12-30"), next[0].Partition)
}

// A file that comes later is waited for; meanwhile nothing is busy.
func TestAScheduledRunIsThereWhenItsFileComes(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 2)
	l.deploy(tbFirst().by(`{cron: "0 6 1 1 *", wait_for: 6h}`))
	now := time.Now().UTC().Truncate(time.Minute)
	today := now.Format(time.DateOnly)
	id := l.trigger(now.Format("2006-01-02T15:04"))
	l.w.await("the run to wait", func() bool { return l.w.status(id).told("o_" + today + ".csv is not there") })
	l.w.write(l.source(today), tbRows(today))
	s := l.w.tbOver(id)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, "1", l.seen("dev", "ta")[today])
	l.w.record(id, "waited")
}

// The commit that makes a release the active one is there, and its worker dies before the schedule is.
func TestAWorkerIsKilledBetweenActivationAndSchedule(t *testing.T) {
	t.Parallel()
	l, first := tbWorld(t, 1)
	l.deploy(tbFirst())
	folder := l.release(tbSecond().by(mornings))
	h := l.w.holdIn(l.schema("dev"), "effect", effectOf("publish-canary"))
	l.w.cli(0, "deploy", folder, "--to", "dev", "--rebuild", "all", "--detach")
	h.reached()
	first.freeze()
	h.release()
	l.w.await("the release to be active", func() bool {
		return l.w.number(`SELECT count(*) FROM `+l.schema("dev")+`__ledger.active a JOIN `+l.schema("dev")+`__ledger.tenure t ON t.number = a.tenure WHERE t.version = '1.1.0'`) == 1
	})
	first.kill()
	require.Empty(t, l.w.schedules())
	l.w.worker("second", "--env", "dev", "--workflows")
	s := l.w.tbOver(workflows.DeploymentID(l.name, "1.1.0"))
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, "1.1.0", l.w.schedule().Release.Version)
}

// Nobody is left who would apply it: housekeeping does, also where somebody has taken it away by other means.
func TestHousekeepingKeepsTheSchedule(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 1)
	l.deploy(tbFirst().by(mornings))
	require.NoError(t, l.w.temporal.ScheduleClient().GetHandle(t.Context(), schedule.ID(l.name, "dev")).Delete(t.Context()))
	require.Empty(t, l.w.schedules())
	l.w.cli(0, "run", l.name, "--env", "dev", "--partition", l.days[0]) // a change, after which house is kept
	l.w.await("the schedule to be back", func() bool { return len(l.w.schedules()) == 1 })
}

// A turn-back pauses before its first swap, and what a schedule starts meanwhile waits, and then runs what is active.
func TestAScheduleMeetsARollback(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 3)
	l.deploy(tbFirst().by(mornings))
	l.deploy(tbSecond().by(mornings))
	held := l.block("dev", "ta", l.days[0])
	said := l.rollback()
	require.Equal(t, 4, said.code, tbTold(said))
	s := l.w.schedule()
	require.NotNil(t, s.Pause)
	require.Equal(t, l.id(), s.Pause.TurnBack)
	require.Equal(t, "1.0.0", s.Release.Version)
	require.Equal(t, "10", l.seen("dev", "ta")[l.days[0]], "nothing has been swapped yet")
	require.Equal(t, 2, l.w.try("schedule", "resume", l.name, "--env", "dev").code, "it goes on when the turn-back has ended")

	id := l.trigger("2026-01-03T06:00") // the second day
	l.w.await("the run to wait", func() bool { return l.w.status(id).told(l.id() + " turns back") })
	held.end()
	l.w.cli(0, "decide", l.id(), "--choice", "retry", "--reason", "it is free", "--as", "grace")
	back := l.w.tbOver(l.id())
	require.Equal(t, workflows.StageDone, back.Stage, back.Sentence)
	require.True(t, back.told("the schedule is paused until "+l.id()+" has ended"))
	require.True(t, back.told("the schedule goes on"))
	require.Nil(t, l.w.schedule().Pause)
	run := l.w.tbOver(id)
	require.Equal(t, workflows.StageDone, run.Stage, run.Sentence)
	require.Equal(t, "1.0.0", run.Release.Version)
	l.are("dev", 1, "ta")
}

// What a person pauses while something is turned back stays paused afterwards.
func TestAPersonsPauseOutlivesATurnBack(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 2)
	l.deploy(tbFirst().by(mornings))
	l.deploy(tbSecond().by(mornings))
	held := l.block("dev", "ta", l.days[0])
	require.Equal(t, 4, l.rollback().code)
	l.w.cli(0, "schedule", "pause", l.name, "--env", "dev", "--reason", "wait for me")
	held.end()
	l.w.cli(0, "decide", l.id(), "--choice", "retry", "--reason", "it is free", "--as", "grace")
	require.Equal(t, workflows.StageDone, l.w.tbOver(l.id()).Stage)
	s := l.w.schedule()
	require.NotNil(t, s.Pause)
	require.Equal(t, "ada", s.Pause.By)
}

// A terminated turn-back leaves the schedule paused; whoever finishes it lets it go on.
func TestARecoveryLetsTheScheduleGoOn(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 2)
	l.deploy(tbFirst().by(mornings))
	l.deploy(tbSecond().by(mornings))
	held := l.block("dev", "ta", l.days[0])
	require.Equal(t, 4, l.rollback().code)
	require.NoError(t, l.w.temporal.TerminateWorkflow(t.Context(), l.id(), "", "by hand"))
	require.NotNil(t, l.w.schedule().Pause)
	held.end()
	l.w.cli(0, "recover", l.id())
	require.Nil(t, l.w.schedule().Pause)
	l.are("dev", 1, "ta")
}

// A scheduled run meets a backfill, a hold and a run of the same day as a person's does.
func TestAScheduledRunMeetsOthers(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 4)
	l.deploy(tbFirst().by(mornings))
	l.corrected(3, l.days...)
	finish := l.fifo(l.days[2])
	l.w.cli(0, "backfill", l.name, "--env", "dev", "--from", l.days[0], "--to", l.days[3], "--reason", "corrected", "--lanes", "1", "--detach")
	l.w.await("the backfill to be in the middle", l.w.loads)
	beside := l.trigger("2026-01-05T06:00") // the fourth day, which the backfill has still to build
	s := l.w.tbOver(beside)
	require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	require.Equal(t, "3", l.seen("dev", "ta")[l.days[3]])
	finish()
	require.Equal(t, workflows.StageDone, l.w.tbOver(l.backfillID()).Stage)
	require.Equal(t, map[string]string{l.days[0]: "3", l.days[1]: "3", l.days[2]: "1", l.days[3]: "3"}, l.seen("dev", "ta"))

	l.w.cli(0, "hold", "--env", "dev", "--reason", "quarter end")
	id := l.trigger("2026-01-02T06:00") // the first day
	run := workflows.RunID(l.name, "dev", partition.Key(l.days[0]))
	l.w.await("the run to say so", func() bool { return l.w.try("status", run).code == 0 && l.w.status(run).told("on hold: quarter end") })
	other := l.trigger("2026-01-02T07:00") // the first day again
	l.w.await("the other to wait", func() bool { return l.w.status(other).told(run + " is open already") })
	l.w.cli(0, "release-hold", "--env", "dev")
	for _, id := range []string{id, other} {
		s := l.w.tbOver(id)
		require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
	}
}

// A schedule fires by itself, and no time is lost that passes while something is turned back.
func TestAScheduleFiresByItself(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 1)
	today := time.Now().UTC().Format(time.DateOnly)
	l.w.write(l.source(today), tbRows(today))
	every := `{cron: "* * * * *", lookback: 0}`
	l.deploy(tbFirst().by(every))
	l.deploy(tbSecond().by(every))
	began := time.Now()
	l.w.await("the first time", func() bool { return len(l.times()) > 0 })
	held := l.block("dev", "ta", l.days[0])
	require.Equal(t, 4, l.rollback().code)
	paused := l.w.schedule().Pause
	require.NotNil(t, paused)
	l.w.await("a time to pass", func() bool { return time.Now().Truncate(time.Minute).After(paused.Since) })
	held.end()
	l.w.cli(0, "decide", l.id(), "--choice", "retry", "--reason", "it is free", "--as", "grace")
	back := l.w.tbOver(l.id())
	require.Equal(t, workflows.StageDone, back.Stage, back.Sentence)
	require.True(t, back.told("that has passed meanwhile is made up") || back.told("that have passed meanwhile are made up"), back.Events)
	l.w.cli(0, "schedule", "pause", l.name, "--env", "dev", "--reason", "enough")
	until := time.Now()
	var missing []string
	l.w.await("every minute to have run", func() bool {
		missing = nil
		have := l.times()
		for at := began.Truncate(time.Minute).Add(time.Minute); at.Before(until.Truncate(time.Minute)); at = at.Add(time.Minute) {
			if !slices.Contains(have, l.runAt(at)) {
				missing = append(missing, l.runAt(at))
			}
		}
		return len(missing) == 0
	})
	for _, id := range l.times() {
		require.Equal(t, workflows.StageDone, l.w.tbOver(id).Stage, id)
	}
	require.Equal(t, "1", l.seen("dev", "ta")[today], "they run what is active")
}

// times are the IDs of all runs of the lab's schedule.
func (l *tbLab) times() []string {
	l.w.t.Helper()
	answer, err := l.w.temporal.ListWorkflow(l.w.t.Context(), &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowId STARTS_WITH '%s'", schedule.RunsID(l.name, "dev")),
	})
	require.NoError(l.w.t, err)
	var ids []string
	for _, e := range answer.GetExecutions() {
		ids = append(ids, e.GetExecution().GetWorkflowId())
	}
	return ids
}

func TestGapsAreFoundAndFilled(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 6)
	l.w.remove(l.source(l.days[2]))
	l.deploy(tbFirst().by(`{cron: "0 6 * * *", lag: 1d}`))
	said := l.w.try("gaps", l.name, "--env", "dev")
	require.Equal(t, 2, said.code, "nothing of this year's autumn is there yet: %s", tbTold(said))
	l.corrected(3, l.days[4])
	l.later()
	var found struct {
		Live                              int
		Holes, Late, Unbuilt, Older, Fill []struct{ First, Last string }
		Commands                          []string
	}
	answer := l.w.try("gaps", l.name, "--env", "dev", "--json")
	require.Equal(t, 2, answer.code, tbTold(answer))
	require.NoError(t, json.Unmarshal([]byte(answer.out), &found))
	require.Equal(t, 5, found.Live)
	require.Equal(t, l.days[2], found.Holes[0].First)
	require.Equal(t, l.days[6], found.Unbuilt[0].First)
	require.Equal(t, l.days[4], found.Older[0].First)
	require.NotEmpty(t, found.Late)
	yesterday := time.Now().UTC().Add(-30 * time.Hour).Format(time.DateOnly)
	require.GreaterOrEqual(t, found.Late[len(found.Late)-1].Last, yesterday, "what was due at last")
	require.Len(t, found.Commands, 2)
	for _, command := range found.Commands {
		l.w.cli(0, strings.Fields(strings.TrimPrefix(command, "drawbridge "))...)
	}
	answer = l.w.try("gaps", l.name, "--env", "dev", "--json")
	require.NoError(t, json.Unmarshal([]byte(answer.out), &found))
	require.Equal(t, 6, found.Live)
	require.Empty(t, found.Commands, "what could be built is there")
	require.Equal(t, "3", l.seen("dev", "ta")[l.days[4]])
}

// What was due is counted by the times at which Temporal starts, in every zone, over every change of the clocks. What the clocks show
// twice it may start once or twice: the partition is the same.
func TestTheTimesOfAScheduleAreTemporals(t *testing.T) {
	t.Parallel()
	l, _ := tbWorld(t, 1)
	w := l.w
	l.deploy(tbFirst())
	all := temporalx.NewSchedules(w.temporal, w.namespace, workflows.ScheduledName, workflows.Queue, workflows.ScheduledAttributes)
	from := time.Date(2026, 1, 1, 0, 0, 30, 0, time.UTC)
	for i, c := range []struct{ cron, zone string }{
		{"30 2 * * *", "Europe/Berlin"},
		{"0 0 13,28-31 */2 fri", "America/New_York"},
		{"15 1-3 * 3,4,10,11 sun", "Australia/Sydney"},
		{"0 0 */2 * 5", "America/St_Johns"},
		{"50/5 23 29 feb *", "Asia/Kathmandu"},
		{"0 0 * * *", "America/Havana"},
		{"@weekly", ""},
	} {
		in := schedule.Input{
			Pipeline: fmt.Sprintf("p%d", i), Environment: "dev", Schedule: schedule.Schedule{Cron: c.cron, Timezone: c.zone, Overlap: schedule.Skip, Catchup: time.Hour},
			Scheme: partition.Scheme{By: partition.Day, Column: "d"},
		}
		require.NoError(t, all.Put(t.Context(), schedule.Applied{Input: in}))
		w.await("the schedule", func() bool {
			found, err := all.Find(t.Context(), in.Pipeline, "dev")
			return err == nil && found != nil && found.Input == in
		})
		to := from.AddDate(2, 6, 0)
		theirs, err := all.Times(t.Context(), in.Pipeline, "dev", from, to)
		require.NoError(t, err)
		times, err := in.Schedule.Times(in.Scheme)
		require.NoError(t, err)
		require.NotEmpty(t, theirs)
		zone, err := partition.Zone(c.zone)
		require.NoError(t, err)
		wall := func(at time.Time) string { return at.In(zone).Format("2006-01-02 15:04") }
		var ours []string
		for at := times.Next(from); !at.After(theirs[len(theirs)-1]); at = times.Next(at) {
			ours = append(ours, wall(at))
		}
		shown := make([]string, len(theirs))
		for i, at := range theirs {
			shown[i] = wall(at)
		}
		require.Equal(t, slices.Compact(shown), slices.Compact(ours), "%s in %s", c.cron, c.zone)
	}
}
