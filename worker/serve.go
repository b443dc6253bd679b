package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"

	"drawbridge/activities"
	"drawbridge/internal/notify"
	"drawbridge/internal/secret"
	"drawbridge/internal/source"
	"drawbridge/internal/store"
	"drawbridge/internal/temporalx"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

const (
	// grace is how long a stopping worker lets activities come to a heartbeat; what is not done by then is taken over.
	grace = 20 * time.Second
	// heartbeatThrottle bounds how late a cancellation is noticed.
	heartbeatThrottle = 2 * time.Second
	// cacheWait is how long a task or query waits for the worker that has its workflow in memory before any other takes it:
	// after a crash nobody should notice more than this.
	cacheWait = time.Second
	// controls is how many short activities an environment runs at the same time; each needs one or two sessions.
	controls = 6
)

// serve runs until ctx ends or a worker fails.
func serve(ctx context.Context, o options, log *zap.Logger) error {
	if err := o.check(); err != nil {
		return err
	}
	version, err := versioned(os.Getenv)
	if err != nil {
		return err
	}
	c, err := temporalx.Dial(ctx, temporalx.Options{Logger: temporalx.NewLogger(log)})
	if err != nil {
		return err
	}
	defer c.Close()
	if o.workflows {
		ensureAttributes(ctx, c, log)
	}
	fatal := make(chan error, 1)
	var started []worker.Worker
	start := func(queue string, opts worker.Options, register func(worker.Worker) error) error {
		opts.WorkerStopTimeout = grace
		opts.MaxHeartbeatThrottleInterval = heartbeatThrottle
		opts.DisableRegistrationAliasing = true
		opts.DeploymentOptions = version
		opts.OnFatalError = func(err error) {
			select {
			case fatal <- err:
			default:
			}
		}
		w := worker.New(c, queue, opts)
		if err := register(w); err != nil {
			return err
		}
		if err := w.Start(); err != nil {
			return fmt.Errorf("serve %s: %w", queue, err)
		}
		started = append(started, w)
		log.Info("serving", zap.String("queue", queue))
		return nil
	}
	defer func() {
		for _, s := range slices.Backward(started) {
			s.Stop()
		}
	}()
	if o.workflows {
		if err := start(workflows.Queue, worker.Options{LocalActivityWorkerOnly: true, StickyScheduleToStartTimeout: cacheWait}, func(w worker.Worker) error {
			workflows.RegisterWorkflows(w)
			return nil
		}); err != nil {
			return err
		}
	}
	if len(o.environments) == 0 {
		return await(ctx, fatal, log)
	}
	s, err := openStore(ctx, o, log)
	if err != nil {
		return err
	}
	known := &secret.Known{}
	warehouses := newWarehouses(o.builds, secret.NewResolver(known))
	defer warehouses.close()
	callers := &firstRuns{client: c}
	sender := notify.New(known)
	for _, env := range o.environments {
		site, err := newSite(env, o, s, warehouses)
		if err != nil {
			return err
		}
		changes, owes := newBell(c, env, workflows.Changed, log), newBell(c, env, workflows.Owed, log)
		go changes.serve(ctx)
		go owes.serve(ctx)
		site.Changed, site.Owes, site.FirstRun, site.Fate, site.Sender = changes.ring, owes.ring, callers.of, callers.fate, sender
		if site.Schedules, err = newSchedules(c, env); err != nil {
			return err
		}
		if err := start(workflows.ControlQueue(env), activityOptions(controls, known), func(w worker.Worker) error {
			return workflows.RegisterActivities(w, conduct.ControlQueue, controlActivities(site))
		}); err != nil {
			return err
		}
		if err := start(workflows.BuildQueue(env), activityOptions(o.builds, known), func(w worker.Worker) error {
			return workflows.RegisterActivities(w, conduct.BuildQueue, buildActivities(site))
		}); err != nil {
			return err
		}
	}
	return await(ctx, fatal, log)
}

// await serves until ctx ends or a worker fails.
func await(ctx context.Context, fatal <-chan error, log *zap.Logger) error {
	select {
	case <-ctx.Done():
		log.Info("stopping", zap.Duration("grace", grace))
		return nil
	case err := <-fatal:
		return fmt.Errorf("serve: %w", err)
	}
}

// ensureAttributes registers the search attributes where that is permitted. Where it is not, workflows run without them: the
// log says how somebody who may registers them.
func ensureAttributes(ctx context.Context, c client.Client, log *zap.Logger) {
	namespace, err := temporalx.Namespace(temporalx.Options{})
	if err == nil {
		err = temporalx.EnsureAttributes(ctx, c, namespace, workflows.Attributes())
	}
	if err != nil {
		log.Warn("search attributes are not registered: lists and the inbox are slower",
			zap.Error(err), zap.String("remedy", temporalx.RegisterLine(workflows.Attributes())))
	}
}

// activityOptions fixes the slots of a queue: they are sessions of a warehouse.
func activityOptions(slots int, known *secret.Known) worker.Options {
	return worker.Options{
		DisableWorkflowWorker: true, MaxConcurrentActivityExecutionSize: slots,
		Interceptors: []interceptor.WorkerInterceptor{
			activities.NewFaultInterceptor(known.Redact), activities.NewCallerInterceptor(workflows.MayCall), activities.NewHeartInterceptor(),
		},
	}
}

func openStore(ctx context.Context, o options, log *zap.Logger) (signedStore, error) {
	opened, err := store.OpenStore(o.store)
	if err != nil {
		return signedStore{}, err
	}
	if err := opened.Check(ctx); err != nil {
		return signedStore{}, err
	}
	signer, trusted, err := o.keys()
	return signedStore{Store: opened, signer: signer, trusted: trusted, log: log}, err
}

func newSite(env string, o options, s signedStore, warehouses *warehouses) (*activities.Site, error) {
	policy, err := o.policy(env)
	if err != nil {
		return nil, err
	}
	roots := policy.Sources.Roots
	if len(roots) == 0 {
		root, err := filepath.Abs(o.sourceRoot)
		if err != nil {
			return nil, fmt.Errorf("find source root: %w", err)
		}
		roots = []string{root}
	}
	files := source.Below(roots...)
	return &activities.Site{
		Environment: env, Policy: policy, Store: s, Sources: files, Warehouse: warehouses.opener(policy, files), Ledgers: warehouses.ledgers(policy),
	}, nil
}
