package dispatch

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"drawbridge/activities"
	"drawbridge/internal/fault"
	"drawbridge/internal/temporalx"
	"drawbridge/workflows"
)

const (
	// answerWait is how long the workflow of an environment may take to answer, or to take a long question, before the
	// question gets a workflow of its own.
	answerWait = 5 * time.Second
	// pollEvery is how often it is asked for the answer to a long question.
	pollEvery = 500 * time.Millisecond
)

// Inspect puts a question to an environment. Its workflow answers, so that looking leaves nothing behind; where that does not
// answer, the question gets a workflow of its own.
func (d *Desk) Inspect(ctx context.Context, in activities.InspectInput, summary string) (activities.InspectResult, error) {
	env := in.Target.Environment
	if missing := d.Missing(ctx, []string{env}); len(missing) > 0 {
		return activities.InspectResult{}, noWorker(missing)
	}
	answer, told, err := d.askEnvironment(ctx, in)
	switch {
	case err == nil && answer.Class != "":
		return answer.InspectResult, fault.Newf(answer.Class, string(in.Kind), in.Target.Release.Pipeline+" in "+env, answer.Hint, answer.Failed)
	case err == nil && answer.Failed != "":
		return answer.InspectResult, errors.New(answer.Failed)
	case err == nil:
		return answer.InspectResult, nil
	case ctx.Err() != nil || said(err):
		return activities.InspectResult{}, err
	}
	already := ""
	if told {
		already = strings.Join(Names(Queues([]string{env})), ", ")
	}
	return Ask[activities.InspectResult](ctx, d, "inspect", Order{
		Workflow: workflows.InspectionName, Pipeline: in.Target.Release.Pipeline, Environments: []string{env}, Summary: summary, Input: in,
		untaken: untaken - answerWait, said: already, // it has waited already
	})
}

// said tells the answer "no" from no answer. One that starts over, or is no workflow of ours, has not answered.
func said(err error) bool {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok {
		return false
	}
	return app.Type() == workflows.FailedType || slices.Contains(fault.Classes(), fault.Class(app.Type()))
}

// askEnvironment asks the workflow of an environment, which it starts where it does not run. told says that the listener was told
// that no worker answers.
func (d *Desk) askEnvironment(ctx context.Context, in activities.InspectInput) (answer workflows.Answer, told bool, err error) {
	id := workflows.EnvironmentID(in.Target.Environment)
	short, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	var handle client.WorkflowUpdateHandle
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		handle, err = d.update(short, id, in)
		if err == nil {
			err = handle.Get(short, &answer)
		}
	}()
	soon := time.NewTimer(unheard)
	defer soon.Stop()
	select {
	case <-answered:
	case <-soon.C:
		told = true
		d.Listener.Workers(Queues([]string{in.Target.Environment}))
		<-answered
		if err == nil || said(err) {
			d.Listener.Workers(nil)
		}
	}
	if err != nil || answer.Done {
		return answer, told, err
	}
	answer, err = d.poll(ctx, Talk{client: d.Client, ID: id, Run: handle.RunID()}, answer.Number)
	return answer, told, err
}

func (d *Desk) update(ctx context.Context, id string, in activities.InspectInput) (client.WorkflowUpdateHandle, error) {
	return d.Client.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: d.Client.NewWithStartWorkflowOperation(temporalx.Standing(id, workflows.Queue),
			workflows.EnvironmentName, workflows.EnvironmentInput{Environment: in.Target.Environment}),
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateID: strings.ToLower(rand.Text()), WorkflowID: id, UpdateName: workflows.Ask, Args: []any{in},
			WaitForStage: client.WorkflowUpdateStageCompleted,
		},
	})
}

// errUnanswered says that the workflow of an environment ended, or fell silent, before it answered.
var errUnanswered = errors.New("nobody answers any more")

// poll asks for the answer to a long question until it is there. It asks the run that took the question: one that has started
// over since still knows what it answered.
func (d *Desk) poll(ctx context.Context, t Talk, number int) (workflows.Answer, error) {
	tick, look := time.NewTicker(pollEvery), time.NewTicker(lookEvery)
	defer tick.Stop()
	defer look.Stop()
	said := attendance{listener: d.Listener}
	heard := d.Now()
	for {
		select {
		case <-ctx.Done():
			return workflows.Answer{}, context.Cause(ctx)
		case <-look.C:
			said.look(d.Missing(ctx, []string{strings.TrimPrefix(t.ID, workflows.EnvironmentID(""))}))
			if !t.open(ctx) {
				if answer, err := t.answer(ctx, number); err == nil && answer.Done {
					return answer, nil
				}
				return workflows.Answer{}, errUnanswered
			}
		case <-tick.C:
			answer, err := t.answer(ctx, number)
			switch {
			case err == nil && answer.Done:
				return answer, nil
			case err == nil:
				heard = d.Now()
			case !silent(err) || d.Now().Sub(heard) > 3*answerWait:
				return workflows.Answer{}, errUnanswered
			}
		}
	}
}

func (t Talk) answer(ctx context.Context, number int) (answer workflows.Answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	value, err := t.client.QueryWorkflow(ctx, t.ID, t.Run, workflows.AnswerQuery, number)
	if err != nil {
		return answer, err
	}
	return answer, value.Get(&answer)
}

// Unheard says that nobody works in an environment, and that there is no trace of it: its workflow, which never ends, was never
// started.
func (d *Desk) Unheard(ctx context.Context, environment string) bool {
	if len(d.Missing(ctx, []string{environment})) == 0 {
		return false
	}
	short, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	_, err := d.Client.DescribeWorkflowExecution(short, workflows.EnvironmentID(environment), "")
	_, unheard := errors.AsType[*serviceerror.NotFound](err)
	return unheard
}

// open says whether this very run is open. Where the server does not say, it is taken to be.
func (t Talk) open(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	d, err := t.client.DescribeWorkflowExecution(ctx, t.ID, t.Run)
	if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
		return false
	}
	return err != nil || d.GetWorkflowExecutionInfo().GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// Replace ends the workflow of an environment that does not answer a query although workers are there, so that the next one
// who asks starts it anew: it keeps nothing that the ledgers lack. It says whether it did.
func (d *Desk) Replace(ctx context.Context, environment string) (bool, error) {
	t := d.Talk(workflows.EnvironmentID(environment))
	if len(d.Missing(ctx, nil)) > 0 || !t.open(ctx) {
		return false, nil
	}
	short, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	_, err := t.client.QueryWorkflow(short, t.ID, "", workflows.HouseQuery)
	if err == nil || ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return true, t.client.TerminateWorkflow(ctx, t.ID, "", "it does not answer, and doctor replaces it")
}
