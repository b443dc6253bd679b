package dispatch

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"drawbridge/internal/fault"
	"drawbridge/internal/view"
	"drawbridge/workflows"
)

// Desk is where commands hand in what they want of Temporal.
type Desk struct {
	Client   client.Client
	Now      func() time.Time
	Listener Listener
}

// Listener hears what is worth saying while something is awaited.
type Listener interface {
	// Status hears how a followed workflow stands, again and again.
	Status(s workflows.Status, retries []view.Retry)
	// Workers hears which queues no worker polls, whenever that changes; none: they are back.
	Workers(missing []Queue)
	// End hears that following has ended.
	End()
	// Unregistered hears that the server does not know our search attributes.
	Unregistered()
}

// Talk is a conversation with a workflow by its ID: with its latest run.
func (d *Desk) Talk(id string) Talk { return Talk{client: d.Client, ID: id} }

// Missing are the queues that work in the environments needs, and that no worker polls.
func (d *Desk) Missing(ctx context.Context, environments []string) []Queue {
	return unpolled(ctx, d.Client, d.Now(), Queues(environments))
}

// Unreachable says that Temporal, or a worker that it asked, gave no answer in time.
func Unreachable(err error) bool {
	if _, ok := errors.AsType[*client.WorkflowUpdateServiceTimeoutOrCanceledError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*serviceerror.Unavailable](err); ok {
		return true
	}
	if _, ok := errors.AsType[*serviceerror.DeadlineExceeded](err); ok {
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// NoNamespace says that the server has no namespace of the name.
func NoNamespace(err error) bool {
	_, ok := errors.AsType[*serviceerror.NamespaceNotFound](err)
	return ok
}

// silent says that a query found no worker: the server refuses at once where none polled lately, or the answer never came.
func silent(err error) bool {
	if _, ok := errors.AsType[*serviceerror.FailedPrecondition](err); ok {
		return true
	}
	if _, ok := errors.AsType[*serviceerror.Canceled](err); ok {
		return true
	}
	return Unreachable(err)
}

// explain names the workflow where the server does not know it.
func (t Talk) explain(err error) error {
	if _, ok := errors.AsType[*serviceerror.NotFound](err); ok {
		return fault.Newf(fault.Invalid, "find", t.ID, "list what there is: drawbridge status", "there is no such workflow, or it has ended")
	}
	return err
}
