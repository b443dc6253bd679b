package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"drawbridge/internal/gate"
	"drawbridge/internal/view"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// recorder is a listener that remembers.
type recorder struct {
	stages  []workflows.Stage
	absent  []string
	retries []view.Retry
	ended   int
}

func (r *recorder) Status(s workflows.Status, retries []view.Retry) {
	r.stages, r.retries = append(r.stages, s.Stage), append(r.retries, retries...)
}

func (r *recorder) Workers(missing []Queue) {
	r.absent = append(r.absent, strings.Join(Names(missing), ", "))
}
func (r *recorder) End()          { r.ended++ }
func (r *recorder) Unregistered() {}

// never is a result that does not come. An interruption is reported as a server's client does it.
func never(ctx context.Context) (workflows.Status, error) {
	<-ctx.Done()
	return workflows.Status{}, serviceerror.NewCanceled("interrupted")
}

// follows follows a script whose statuses come one after the other; the last one stays.
func follows(p Patience, result func(context.Context) (workflows.Status, error), missing func() []Queue, answers ...any) (follower, *recorder) {
	r := &recorder{}
	i := 0
	status := func(context.Context) (workflows.Status, error) {
		answer := answers[min(i, len(answers)-1)]
		i++
		switch a := answer.(type) {
		case error:
			return workflows.Status{}, a
		case workflows.Status:
			return a, nil
		}
		panic(fmt.Sprintf("no answer: %T", answer))
	}
	return follower{
		talk: &script{status: status, result: result}, patience: p, listener: r,
		missing: func(context.Context) []Queue { return missing() },
		every:   time.Millisecond, look: time.Millisecond,
	}, r
}

func at(stage workflows.Stage, gates ...gate.Gate) workflows.Status {
	return workflows.Status{Header: conduct.Header{Stage: stage, Gates: gates}}
}

func everybody() []Queue { return nil }

func TestFollowingEndsWhereItShould(t *testing.T) {
	t.Parallel()
	open := gate.Gate{Name: "approval-prod"}
	closed := gate.Gate{Name: "approval-prod", Decided: gate.Approve}
	t.Run("at an open gate", func(t *testing.T) {
		t.Parallel()
		f, r := follows(UntilAsked, never, everybody, at(workflows.StageCrossing), at(workflows.StageWaiting, open))
		s, err := f.follow(t.Context())
		require.NoError(t, err)
		require.Equal(t, workflows.StageWaiting, s.Stage)
		require.Equal(t, []workflows.Stage{workflows.StageCrossing, workflows.StageWaiting}, r.stages)
		require.Equal(t, 1, r.ended)
	})
	t.Run("not at a gate that has just been decided", func(t *testing.T) {
		t.Parallel()
		f, _ := follows(UntilAsked, never, everybody, at(workflows.StageWaiting, closed), at(workflows.StageCrossing), at(workflows.StageWaiting, open))
		s, err := f.follow(t.Context())
		require.NoError(t, err)
		require.Equal(t, []gate.Gate{open}, s.Gates)
	})
	t.Run("at the end, through a gate, for the patient", func(t *testing.T) {
		t.Parallel()
		asked := make(chan struct{})
		f, r := follows(UntilDone, func(ctx context.Context) (workflows.Status, error) {
			select {
			case <-asked:
				return at(workflows.StageRolledBack), nil
			case <-ctx.Done():
				return workflows.Status{}, ctx.Err()
			}
		}, everybody)
		calls := 0
		f.talk.(*script).status = func(context.Context) (workflows.Status, error) {
			if calls++; calls == 3 {
				close(asked)
			}
			return at(workflows.StageWaiting, open), nil
		}
		s, err := f.follow(t.Context())
		require.NoError(t, err)
		require.Equal(t, workflows.StageRolledBack, s.Stage)
		require.Equal(t, workflows.StageRolledBack, r.stages[len(r.stages)-1])
		require.Greater(t, len(r.stages), 2, "it was shown while it waited")
	})
	t.Run("with the workflow's error", func(t *testing.T) {
		t.Parallel()
		failed := errors.New("the plan does not hold")
		f, _ := follows(UntilAsked, func(context.Context) (workflows.Status, error) { return workflows.Status{}, failed }, everybody, at(workflows.StagePlanning))
		_, err := f.follow(t.Context())
		require.ErrorIs(t, err, failed)
	})
	t.Run("with an error that asking again does not mend", func(t *testing.T) {
		t.Parallel()
		odd := serviceerror.NewPermissionDenied("no", "")
		f, _ := follows(UntilAsked, never, everybody, odd)
		_, err := f.follow(t.Context())
		require.ErrorIs(t, err, odd)
	})
	t.Run("when it is interrupted, without touching anything", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		f, r := follows(UntilAsked, never, everybody, at(workflows.StageCrossing))
		f.talk.(*script).status = func(context.Context) (workflows.Status, error) {
			cancel()
			return workflows.Status{}, serviceerror.NewCanceled("interrupted")
		}
		_, err := f.follow(ctx)
		require.True(t, Interrupted(ctx, err))
		require.Empty(t, r.absent, "an interruption is no missing worker")
	})
}

func TestFollowingSaysWhenWorkersGoAndCome(t *testing.T) {
	t.Parallel()
	dev := Queues([]string{"dev"})
	looks := 0
	missing := func() []Queue {
		looks++
		switch {
		case looks < 4:
			return dev
		case looks < 8:
			return nil
		}
		return dev[1:]
	}
	ctx, cancel := context.WithCancel(t.Context())
	f, r := follows(UntilDone, never, missing, at(workflows.StageCrossing))
	f.talk.(*script).status = func(context.Context) (workflows.Status, error) {
		if looks > 10 {
			cancel()
		}
		return at(workflows.StageCrossing), nil
	}
	_, err := f.follow(ctx)
	require.True(t, Interrupted(ctx, err))
	require.Equal(t, []string{"drawbridge, drawbridge-dev, drawbridge-dev-build", "", "drawbridge-dev, drawbridge-dev-build"}, r.absent,
		"each change is said once")
}

func TestFollowingBelievesSilence(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f, r := follows(UntilDone, never, everybody)
	calls := 0
	f.talk.(*script).status = func(context.Context) (workflows.Status, error) {
		calls++
		switch {
		case calls == 6:
			cancel()
		case calls > 3:
			return at(workflows.StageCrossing), nil
		}
		return workflows.Status{}, serviceerror.NewDeadlineExceeded("no answer")
	}
	_, err := f.follow(ctx)
	require.True(t, Interrupted(ctx, err))
	require.Equal(t, []string{workflows.Queue, ""}, r.absent, "a worker that was just killed is still on the books, and does not answer")
}

func TestFollowingTellsWhatIsTriedAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f, r := follows(UntilDone, never, everybody)
	s := f.talk.(*script)
	s.retries = []view.Retry{{Activity: "Publish", Attempt: 3, Error: "connection refused"}}
	s.status = func(context.Context) (workflows.Status, error) {
		if len(r.retries) > 0 {
			cancel()
		}
		return at(workflows.StageCrossing), nil
	}
	_, err := f.follow(ctx)
	require.True(t, Interrupted(ctx, err))
	require.Equal(t, s.retries[0], r.retries[0])
}
