package main

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
	"drawbridge/internal/warehouse"
)

const (
	table = "fct_orders"
	// patience is the budget of one publish for locks, and for snapshots: as much as a policy gives by default.
	patience = 30 * time.Second
	// cleanup bounds how long a figure takes to remove its schemas, also after it was interrupted.
	cleanup = time.Minute
)

//go:embed pipeline
var folder embed.FS

// folderFiles are the files of the pipeline that is measured.
func folderFiles() (map[string][]byte, error) { return embedded(folder, "pipeline") }

// embedded are the files below a folder that is embedded.
func embedded(from embed.FS, root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	below, err := fs.Sub(from, root)
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(below, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(below, path)
		return err
	})
	return files, err
}

// site is a figure's own part of the warehouse, and a folder: what it makes there is gone after it.
type site struct {
	*warehouse.Warehouse

	url      string
	dir      string
	db       *pgx.Conn // for what is no work of Drawbridge
	pipeline *pipeline.Pipeline
	effects  int
	tenure   release.Tenure // under which the figure builds and publishes
}

// The site is one environment, and one workflow changes it: nobody else may use it.
const (
	here  = "bench"
	owner = effect.Owner("bench/00000000-0000-0000-0000-000000000001")
)

// onSite runs a measurement on a site of its own.
func onSite(ctx context.Context, b *bench, measure func(ctx context.Context, s *site) error) (err error) {
	s := &site{url: b.url}
	files, err := folderFiles()
	if err != nil {
		return fmt.Errorf("read the pipeline: %w", err)
	}
	if s.pipeline, err = pipeline.Parse(files, ""); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "drawbridge-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.dir)) }()
	if s.db, err = s.connect(ctx); err != nil {
		return err
	}
	defer func() { _ = s.db.Close(context.WithoutCancel(ctx)) }()
	schema := "bench_" + strings.ToLower(rand.Text()[:8])
	s.Warehouse, err = warehouse.Open(ctx, warehouse.Options{URL: b.url, Schema: schema, Application: "drawbridge/bench"})
	if err != nil {
		return err
	}
	defer func() {
		s.Close()
		err = errors.Join(err, s.drop(ctx))
	}()
	if err := s.EnsureLedger(ctx); err != nil {
		return err
	}
	s.tenure, err = s.Enter(ctx, release.Tenure{
		Release: release.Release{Pipeline: "bench", Version: "1.0.0", Digest: "sha256:1.0.0"}, Kind: release.ByDeployment, Owner: string(owner), By: "bench",
	}, effect.Key{Owner: owner, Environment: here, Step: "enter"}, []string{table}, false)
	if err != nil {
		return err
	}
	return measure(ctx, s)
}

// connect opens a session as any client of the warehouse has it.
func (s *site) connect(ctx context.Context) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return nil, errors.New("connect to the warehouse in " + warehouseVariable + ": it does not let us in") // the driver's error may repeat the URL
	}
	return conn, nil
}

// name is a table of the site, quoted and qualified.
func (s *site) name(table string) string { return pgx.Identifier{s.Schema(), table}.Sanitize() }

// drop drops the site's schemas one by one, so that no transaction needs more locks than the server has.
func (s *site) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanup)
	defer cancel()
	db, err := s.connect(ctx) // the session of the measurement may have died with it
	if err != nil {
		return err
	}
	defer func() { _ = db.Close(ctx) }()
	for _, suffix := range []string{"", "__shadow", "__data", "__ledger"} {
		if _, err := db.Exec(ctx, "DROP SCHEMA IF EXISTS "+pgx.Identifier{s.Schema() + suffix}.Sanitize()+" CASCADE"); err != nil {
			return fmt.Errorf("drop the schemas %s*: %w", s.Schema(), err)
		}
	}
	return nil
}

// effect is a key that no effect has had.
func (s *site) effect() effect.Key {
	s.effects++
	return effect.Key{Owner: owner, Environment: here, Step: "bench", Round: s.effects}
}

// build builds one partition and makes the table ready for it, as a run does.
func (s *site) build(ctx context.Context, key partition.Key, file opener, progress func(warehouse.Progress)) (generation.Generation, error) {
	built, err := s.buildAll(ctx, key, file, progress)
	if err != nil {
		return generation.Generation{}, err
	}
	return built[0].Generation, s.makeRoom(ctx)
}

// buildAll builds all outputs of one partition.
func (s *site) buildAll(ctx context.Context, key partition.Key, file opener, progress func(warehouse.Progress)) ([]warehouse.BuiltOutput, error) {
	built, err := s.Build(ctx, warehouse.BuildSpec{
		Key: s.effect(), Tenure: s.tenure.Number, Pipeline: s.pipeline, Release: s.tenure.Release, Partition: key, Outputs: s.pipeline.Tables(),
		Open: file.open, Application: "drawbridge/bench/build", Moment: time.Now(), Progress: progress,
	})
	for _, b := range built {
		if b.Verdict.Outcome != gate.Pass {
			return nil, fmt.Errorf("the audit of %s is %s: %s", key, b.Verdict.Outcome, b.Verdict.Reason)
		}
	}
	return built, err
}

// makeRoom makes the tables of the pipeline.
func (s *site) makeRoom(ctx context.Context) error {
	ticket := s.ticket(nil)
	ticket.Question.What = admission.Expand
	_, err := s.Expand(ctx, s.pipeline, generation.ExpandSpec{LockBudget: patience, Application: "drawbridge/bench/expand"}, ticket, func(time.Duration) {})
	return err
}

// ticket asks to publish swaps under the site's tenure, where no approval is wanted.
func (s *site) ticket(swaps []generation.Swap) admission.Ticket {
	return admission.Ticket{Question: admission.Question{
		What: admission.Publish, Environment: here, Release: s.tenure.Release, Owner: owner, Tenure: s.tenure.Number, Swaps: swaps,
	}}
}

// swap is a partition that a generation takes over.
func swap(g generation.Generation, from int64) generation.Swap {
	return generation.Swap{Output: g.Output, Partition: g.Partition, From: from, To: g.ID}
}

// publish swaps generations. A publish that waits for a person is an error: nobody else may use the site.
func (s *site) publish(ctx context.Context, swaps ...generation.Swap) error {
	_, err := s.change(ctx, generation.PublishSpec{Activate: true}, s.ticket(swaps))
	return err
}

func (s *site) change(ctx context.Context, spec generation.PublishSpec, ticket admission.Ticket) (generation.PublishResult, error) {
	spec.Key, spec.Application, spec.By = s.effect(), "drawbridge/bench/publish", "bench"
	spec.LockBudget, spec.SnapshotWait = patience, patience
	result, err := s.Publish(ctx, spec, ticket, func(_, _ time.Duration) {})
	if err == nil && !result.Done {
		err = fmt.Errorf("the publish waits for %s of %d sessions", result.WaitingFor, len(result.Blocked))
	}
	return result, err
}
