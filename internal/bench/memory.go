package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

const (
	temporalVariable = "TEMPORAL_ADDRESS"
	environment      = "bench"
	fileRows         = 20_000_000
	fileBytes        = 1e9 // what so many rows have at least
	// deployLimit bounds the deployment of the file, and startLimit how long the worker takes to serve.
	deployLimit = 5 * time.Minute
	startLimit  = time.Minute
)

// memoryFigure is the greatest resident size of a worker process that loads a large file, in a deployment like any other.
func memoryFigure() figure {
	return figure{
		name: "worker_rss_mb",
		numbers: []number{
			{name: "worker_rss_mb", bound: bound{atMost, 150}},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureMemory(ctx, b, s) })
		},
	}
}

// programs are a worker and a CLI in a folder, with the environment that both run in.
type programs struct {
	dir         string
	environment []string
}

func measureMemory(ctx context.Context, b *bench, s *site) error {
	if os.Getenv(temporalVariable) == "" {
		return errors.New(temporalVariable + " is not set: make bench sets it")
	}
	p := newPrograms(s)
	if err := p.compile(ctx); err != nil {
		return err
	}
	if err := s.writeFolder(); err != nil {
		return err
	}
	size, err := writeLarge(s.dir)
	if err != nil {
		return err
	}
	b.say("the file has %d rows and %.2f GB", fileRows, float64(size)/1e9)
	if err := p.writePolicy(); err != nil {
		return err
	}
	worker, err := p.startWorker(ctx)
	if err != nil {
		return err
	}
	passed := clock()
	deployErr := p.deploy(ctx)
	peak, err := worker.stop()
	if err := errors.Join(deployErr, err); err != nil {
		return fmt.Errorf("%w\n%s", err, worker.tail())
	}
	var live int
	if err := s.db.QueryRow(ctx, "SELECT count(*) FROM "+s.name(table)).Scan(&live); err != nil {
		return fmt.Errorf("count what is live: %w", err)
	}
	if live != fileRows {
		return fmt.Errorf("%d rows are live where the file has %d", live, fileRows)
	}
	b.put("worker_rss_mb", peak)
	b.because("worker_rss_mb", "the deployment took %.0f s; the worker's greatest resident size was %.0f MB", passed().Seconds(), peak)
	return nil
}

func newPrograms(s *site) programs {
	return programs{dir: s.dir, environment: append(os.Environ(), warehouseVariable+"="+s.url,
		"DRAWBRIDGE_STORE="+filepath.Join(s.dir, "store"), "DRAWBRIDGE_USER=bench", "NO_COLOR=1")}
}

// compile builds both programs as make build does.
func (p programs) compile(ctx context.Context) error {
	for program, source := range map[string]string{"drawbridge": "drawbridge/starter", "drawbridge-worker": "drawbridge/worker"} {
		out, err := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(p.dir, program), source).CombinedOutput()
		if err != nil {
			return fmt.Errorf("build %s: %w\n%s", source, err, out)
		}
	}
	return nil
}

// writeFolder writes the pipeline's folder, with a name and a schema that nobody else has.
func (s *site) writeFolder() error {
	lines := map[string]string{"pipeline.yaml": "name: bench\n", "config.bench.yaml": "warehouse_schema: bench\n"}
	err := writeEmbedded(folder, "pipeline", filepath.Join(s.dir, "release"), func(file, text string) string {
		return strings.Replace(text, lines[file], strings.Replace(lines[file], "bench", s.Schema(), 1), 1)
	})
	if err != nil {
		return fmt.Errorf("write the release: %w", err)
	}
	return nil
}

// writeEmbedded writes what is embedded below root, edited.
func writeEmbedded(from embed.FS, root, to string, edit func(file, text string) string) error {
	files, err := embedded(from, root)
	if err != nil {
		return err
	}
	for name, content := range files {
		path := filepath.Join(to, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(edit(name, string(content))), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writePolicy lets the deployment through without a person.
func (p programs) writePolicy() error {
	path := filepath.Join(p.dir, "policy."+environment+".yaml")
	if err := os.WriteFile(path, []byte("approval: {required: false}\n"), 0o644); err != nil {
		return fmt.Errorf("write the policy: %w", err)
	}
	return nil
}

// writeLarge writes the file that is loaded, and returns its size in bytes.
func writeLarge(dir string) (size int64, err error) {
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return 0, fmt.Errorf("write the orders: %w", err)
	}
	path, err := writeFile(data, firstDay(), fileRows, sorted)
	if err != nil {
		return 0, fmt.Errorf("write the orders: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("write the orders: %w", err)
	}
	if info.Size() < fileBytes {
		return 0, fmt.Errorf("write the orders: %d rows have %d bytes, which are less than %d", fileRows, info.Size(), int64(fileBytes))
	}
	return info.Size(), nil
}

// worker is a running worker process.
type worker struct {
	cmd *exec.Cmd
	log string
}

// startWorker returns when the CLI finds that the worker serves.
func (p programs) startWorker(ctx context.Context) (*worker, error) {
	w := &worker{log: filepath.Join(p.dir, "worker.log")}
	log, err := os.Create(w.log)
	if err != nil {
		return nil, fmt.Errorf("start the worker: %w", err)
	}
	defer func() { _ = log.Close() }()
	w.cmd = exec.Command(filepath.Join(p.dir, "drawbridge-worker"), "--env", environment, "--workflows", "--policies", p.dir,
		"--source-root", p.dir, "--key", filepath.Join(p.dir, "signing-key.pem"))
	w.cmd.Dir, w.cmd.Env = p.dir, p.environment
	w.cmd.Stdout, w.cmd.Stderr = log, log
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the worker: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		out, err := p.cli(ctx, "doctor", "--env", environment)
		if err == nil {
			return w, nil
		}
		if ctx.Err() != nil {
			_, _ = w.stop()
			return nil, fmt.Errorf("the worker does not serve: %s\n%s", out, w.tail())
		}
		wait(ctx, 200*time.Millisecond)
	}
}

func (p programs) deploy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, deployLimit)
	defer cancel()
	out, err := p.cli(ctx, "deploy", filepath.Join(p.dir, "release"), "--to", environment, "--reason", "measure the worker")
	if err != nil {
		return fmt.Errorf("deploy: %w\n%s", err, out)
	}
	return nil
}

func (p programs) cli(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.dir, "drawbridge"), args...)
	cmd.Dir, cmd.Env = p.dir, p.environment
	return cmd.CombinedOutput()
}

// stop ends the worker, and returns its greatest resident size in MB. The kernel counts in what it shared with its
// parent before it was itself, so the size is never told too small.
func (w *worker) stop() (peak float64, err error) {
	if err := w.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("stop the worker: %w", err)
	}
	err = w.cmd.Wait()
	usage, ok := w.cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if err == nil && !ok {
		err = errors.New("the system does not tell its resident size")
	}
	if err != nil {
		return 0, fmt.Errorf("stop the worker: %w", err)
	}
	unit := 1024.0 // Linux and BSD
	if runtime.GOOS == "darwin" {
		unit = 1
	}
	return float64(usage.Maxrss) * unit / 1e6, nil
}

// tail is the end of the worker's log.
func (w *worker) tail() string {
	content, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-4096):])
}
