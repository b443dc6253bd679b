package main

import (
	"context"
	"fmt"
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

// queue is a task queue and the kind of work that is polled there.
type queue struct {
	name        string
	kind        enumspb.TaskQueueType
	environment string // empty: the queue of the workflows
}

// queues are those that work in the environments needs, the workflows' first.
func queues(environments []string) []queue {
	all := []queue{{name: workflows.Queue, kind: enumspb.TASK_QUEUE_TYPE_WORKFLOW}}
	for _, env := range environments {
		all = append(all,
			queue{name: workflows.ControlQueue(env), kind: enumspb.TASK_QUEUE_TYPE_ACTIVITY, environment: env},
			queue{name: workflows.BuildQueue(env), kind: enumspb.TASK_QUEUE_TYPE_ACTIVITY, environment: env})
	}
	return all
}

// describer tells who polls a queue.
type describer interface {
	DescribeTaskQueue(ctx context.Context, name string, kind enumspb.TaskQueueType) (*workflowservice.DescribeTaskQueueResponse, error)
}

// unpolled returns the queues that no worker polls. A queue that cannot be looked at counts as polled: what is wrong then
// is the server, and the next call says so.
func unpolled(ctx context.Context, d describer, now time.Time, all []queue) []queue {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	silent := make([]bool, len(all))
	var group sync.WaitGroup
	for i, q := range all {
		group.Go(func() {
			res, err := d.DescribeTaskQueue(ctx, q.name, q.kind)
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
	var missing []queue
	for i, q := range all {
		if silent[i] {
			missing = append(missing, q)
		}
	}
	return missing
}

// startLines are the commands that start what is missing, one per environment.
func startLines(missing []queue) []string {
	var environments []string
	workflowsToo := false
	for _, q := range missing {
		if q.environment == "" {
			workflowsToo = true
		} else if !slices.Contains(environments, q.environment) {
			environments = append(environments, q.environment)
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
func noWorker(missing []queue) *fault.Error {
	return fault.Newf(fault.Refused, "find", "a worker", startHint(missing), "none polls "+queueNames(missing))
}

func startHint(missing []queue) string {
	return "start one: " + strings.Join(startLines(missing), " and ")
}

func queueNames(all []queue) string {
	names := make([]string, len(all))
	for i, q := range all {
		names[i] = q.name
	}
	return strings.Join(names, ", ")
}

// sayMissing prints where no worker answers: none polls, or the one that polled last does not answer.
func (m *Main) sayMissing(missing []queue) {
	fmt.Fprintf(m.Stderr, "%s no worker answers on %s: nothing goes on there until one does\n→ %s\n",
		m.style(m.Stderr).yellow("waiting:"), queueNames(missing), startHint(missing))
}
