// Package e2e_test drives Drawbridge as people do, by its two programs, on a real Temporal server and a real Postgres:
// what a user reads and types, and what must hold when workers are killed, stopped, cancelled or lied to.
//
// Every test has a namespace of Temporal, a database, a store, policies and workers of its own. Nothing in the programs
// knows of tests: exact moments are hit with the database's own locks, and with named pipes as source files.
package e2e_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"testing"
	"time"
)

// tests wait for servers and timers more than they compute, so more of them run at a time than there are cores.
const together = "4"

// programs are the binaries under test, built once; newer is the worker as a later version.
type programs struct {
	cli, worker, newer string
}

var built programs

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if missing() != "" {
		return m.Run() // every test skips, or fails in CI
	}
	if err := flag.Set("test.parallel", together); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "drawbridge-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	built = programs{cli: filepath.Join(dir, "drawbridge"), worker: filepath.Join(dir, "drawbridge-worker"), newer: filepath.Join(dir, "drawbridge-worker-next")}
	for _, p := range []struct{ program, source, version string }{
		{built.cli, "drawbridge/starter", "1.0.0"}, {built.worker, "drawbridge/worker", "1.0.0"}, {built.newer, "drawbridge/worker", "2.0.0"},
	} {
		if err := compile(p.program, p.source, p.version); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// compile builds a program that says it is of a version, with the race detector where the tests have it.
func compile(program, source, version string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	args := []string{"build", "-o", program, "-ldflags", "-X main.version=" + version}
	if raced() {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(ctx, "go", append(args, source)...).CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", source, err, out)
	}
	return nil
}

// raced says whether the tests were built with the race detector.
func raced() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// The servers that tests use. make test starts them, and sets these.
const (
	temporalAddress = "TEMPORAL_ADDRESS"
	warehouseURL    = "DRAWBRIDGE_WAREHOUSE"
	superuserURL    = "DRAWBRIDGE_TEST_SUPERUSER_URL" // creates the tests' databases
	stackDir        = "DRAWBRIDGE_STACK"              // set where the servers are a local stack of ours
)

// missing names a variable without which nothing can be tested.
func missing() string {
	for _, name := range []string{temporalAddress, warehouseURL, superuserURL} {
		if os.Getenv(name) == "" {
			return name
		}
	}
	return ""
}
