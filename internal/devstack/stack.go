package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	ui "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/server/temporal"
	"golang.org/x/sync/errgroup"

	"drawbridge/devstack/postgres"
)

// temporalGrace is how long Temporal may take to stop. Its state is safe at any moment.
const temporalGrace = 5 * time.Second

// Stack is a running stack as devstack.json describes it to other programs. The URLs hold passwords.
type Stack struct {
	PID             int    `json:"pid"`
	TemporalAddress string `json:"temporal_address"` // host:port
	UI              string `json:"ui"`
	Warehouse       string `json:"warehouse"`      // database warehouse, as its owner
	TestDatabase    string `json:"test_database"`  // database drawbridge_test, as its owner
	TestSuperuser   string `json:"test_superuser"` // database drawbridge_test, as superuser
	Log             string `json:"log"`
}

// kind is what a stack is for.
type kind string

const (
	// lasting stacks belong to a checkout: known ports, and nothing committed is ever lost.
	lasting kind = "lasting"
	// passing stacks live for one test run: any ports, and durability given up for speed.
	passing kind = "passing"
)

func (k kind) durability() postgres.Durability {
	if k == passing {
		return postgres.Disposable
	}
	return postgres.Durable
}

// synchronous is SQLite's setting of that name. With a write-ahead log "normal" survives the death of the process; the
// death of the machine may cost the last transactions, never the file.
func (k kind) synchronous() string {
	if k == passing {
		return "off"
	}
	return "normal"
}

// errDeleted says that the directory of a running stack is gone.
var errDeleted = errors.New("the directory was deleted under the running stack")

// serve runs the stack until it is told to stop, a part of it fails, or its directory is deleted: then nobody could stop
// it any more. SIGHUP restarts Postgres, and SIGUSR1 ends it without a shutdown first.
func serve(ctx context.Context, h home, k kind) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(hangup)

	if err := h.create(); err != nil {
		return err
	}
	lock, err := h.lock()
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	if err := removeIfThere(h.stateFile()); err != nil {
		return err
	}
	p, err := start(ctx, h, k)
	if err != nil {
		return errors.Join(err, p.stop())
	}
	if err = writeJSON(h.stateFile(), p.describe(h)); err == nil {
		err = p.watch(ctx, hangup, func() bool { return gone(lock, h.lockFile()) })
	}
	err = errors.Join(err, removeIfThere(h.stateFile()), p.stop())
	if errors.Is(err, errDeleted) {
		err = errors.Join(err, p.cluster.Remove())
	}
	return err
}

// parts are what runs in the stack's process, or on its leash; nil is what has not been started.
type parts struct {
	ports    Ports
	cluster  *postgres.Cluster
	postgres *postgres.Server
	temporal temporal.Server
	ui       *ui.Server
}

// start starts all parts. Where it fails, the parts that it returns are still to be stopped.
func start(ctx context.Context, h home, k kind) (parts, error) {
	var p parts
	var err error
	// First, since a server left behind by a killed stack holds the port that is to be taken again.
	if p.cluster, err = postgres.Open(ctx, h.postgres(), k.durability()); err != nil {
		return p, err
	}
	if p.ports, err = takePorts(h, k); err != nil {
		return p, err
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		p.postgres, err = p.cluster.Start(groupCtx, p.ports.Postgres, os.Stderr)
		return err
	})
	group.Go(func() (err error) {
		p.temporal, err = startTemporal(groupCtx, h.temporal(), p.ports.Temporal, k)
		return err
	})
	if err := group.Wait(); err != nil {
		return p, err
	}
	p.ui, err = startUI(ctx, p.ports)
	return p, err
}

// takePorts chooses the stack's ports and remembers them.
func takePorts(h home, k kind) (Ports, error) {
	preferred := defaultPorts()
	if k == passing {
		preferred = anyPorts()
	}
	if err := readJSON(h.portsFile(), &preferred); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Ports{}, err
	}
	ports, err := choosePorts(preferred, isFree)
	if err != nil {
		return Ports{}, err
	}
	return ports, writeJSON(h.portsFile(), ports)
}

func startUI(ctx context.Context, ports Ports) (*ui.Server, error) {
	server := ui.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: address(ports.Temporal),
		Host:                host,
		Port:                ports.UI,
		EnableUI:            true,
		DefaultNamespace:    namespace,
		HideLogs:            true,
		CORS:                uiconfig.CORS{CookieInsecure: true}, // it is served by plain HTTP
	}))
	go func() { _ = server.Start() }() // it never returns an error: where it cannot listen, it ends the process
	for isFree(ports.UI) {
		select {
		case <-ctx.Done():
			server.Stop()
			return nil, fmt.Errorf("await the Web UI: %w", ctx.Err())
		case <-time.After(poll):
		}
	}
	return server, nil
}

func (p *parts) describe(h home) Stack {
	return Stack{
		PID:             os.Getpid(),
		TemporalAddress: address(p.ports.Temporal),
		UI:              "http://" + address(p.ports.UI),
		Warehouse:       p.cluster.Warehouse(),
		TestDatabase:    p.cluster.TestDatabase(),
		TestSuperuser:   p.cluster.TestSuperuser(),
		Log:             h.logFile(),
	}
}

// watch returns when the stack is to stop; the error says why where nobody asked for it.
func (p *parts) watch(ctx context.Context, hangup <-chan os.Signal, deletedFunc func() bool) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case how := <-hangup:
			if err := p.restartPostgres(ctx, how); err != nil {
				return err
			}
		case <-p.postgres.Done():
			return errors.New("postgres ended by itself; the log says why")
		case <-tick.C:
			if deletedFunc() {
				return errDeleted
			}
		}
	}
}

func (p *parts) restartPostgres(ctx context.Context, how os.Signal) error {
	if how == syscall.SIGUSR1 {
		p.postgres.Crash()
	} else if err := p.postgres.Stop(); err != nil {
		return err
	}
	restarted, err := p.cluster.Start(ctx, p.ports.Postgres, os.Stderr)
	if err != nil {
		return err
	}
	p.postgres = restarted
	return nil
}

// stop stops what was started, the users of a part before the part.
func (p *parts) stop() error {
	var errs []error
	if p.ui != nil {
		p.ui.Stop()
	}
	if p.temporal != nil {
		stopped := make(chan error, 1)
		go func() { stopped <- p.temporal.Stop() }()
		select {
		case err := <-stopped:
			errs = append(errs, err)
		case <-time.After(temporalGrace):
			errs = append(errs, fmt.Errorf("temporal did not stop within %s and was left", temporalGrace))
		}
	}
	if p.postgres != nil {
		errs = append(errs, p.postgres.Stop())
	}
	return errors.Join(errs...)
}

// gone reports whether path no longer names the open file.
func gone(open *os.File, path string) bool {
	held, err := open.Stat()
	if err != nil {
		return true
	}
	named, err := os.Stat(path)
	return err != nil || !os.SameFile(held, named)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
