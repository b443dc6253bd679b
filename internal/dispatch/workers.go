package dispatch

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"drawbridge/internal/fault"
	"drawbridge/workflows"
)

const (
	// lookTimeout bounds a look at the queues, so that a missing worker is said within three seconds.
	lookTimeout = 2 * time.Second
	// pollGap is the age of a last poll beyond which its worker counts as gone: a long poll lasts a minute.
	pollGap = 75 * time.Second
)

// Queue is a task queue and the kind of work that is polled there.
type Queue struct {
	Name        string
	kind        enumspb.TaskQueueType
	Environment string // empty: the queue of the workflows
}

// Queues are those that work in the environments needs, the workflows' first.
func Queues(environments []string) []Queue {
	all := []Queue{{Name: workflows.Queue, kind: enumspb.TASK_QUEUE_TYPE_WORKFLOW}}
	for _, env := range environments {
		all = append(all,
			Queue{Name: workflows.ControlQueue(env), kind: enumspb.TASK_QUEUE_TYPE_ACTIVITY, Environment: env},
			Queue{Name: workflows.BuildQueue(env), kind: enumspb.TASK_QUEUE_TYPE_ACTIVITY, Environment: env})
	}
	return all
}

// describer tells who polls a queue.
type describer interface {
	DescribeTaskQueue(ctx context.Context, name string, kind enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error)
}

// unpolled returns the queues that no worker polls. A queue that cannot be looked at counts as polled: what is wrong then
// is the server, and the next call says so.
func unpolled(ctx context.Context, d describer, now time.Time, all []Queue) []Queue {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	silent := make([]bool, len(all))
	var group sync.WaitGroup
	for i, q := range all {
		group.Go(func() {
			res, err := d.DescribeTaskQueue(ctx, q.Name, q.kind)
			if err != nil {
				return
			}
			silent[i] = true
			for _, p := range res.GetPollers() {
				if now.Sub(p.GetLastAccessTime().AsTime()) < pollGap {
					silent[i] = false
				}
			}
		})
	}
	group.Wait()
	var missing []Queue
	for i, q := range all {
		if silent[i] {
			missing = append(missing, q)
		}
	}
	return missing
}

// StartLines are the commands that start what is missing, one per environment.
func StartLines(missing []Queue) []string {
	var environments []string
	workflowsToo := false
	for _, q := range missing {
		if q.Environment == "" {
			workflowsToo = true
		} else if !slices.Contains(environments, q.Environment) {
			environments = append(environments, q.Environment)
		}
	}
	if len(environments) == 0 && workflowsToo {
		return []string{"drawbridge-worker --workflows"}
	}
	lines := make([]string, len(environments))
	for i, env := range environments {
		lines[i] = "drawbridge-worker --env " + env
		if i == 0 && workflowsToo {
			lines[i] += " --workflows"
		}
	}
	return lines
}

// noWorker says which queues nobody polls, and how to start who does.
func noWorker(missing []Queue) *fault.Error {
	return fault.Newf(fault.Refused, "find", "a worker", startHint(missing), "none polls "+strings.Join(Names(missing), ", "))
}

func startHint(missing []Queue) string {
	return "start one: " + strings.Join(StartLines(missing), " and ")
}

// Names are the names of queues.
func Names(all []Queue) []string {
	names := make([]string, len(all))
	for i, q := range all {
		names[i] = q.Name
	}
	return names
}
