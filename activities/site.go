// Package activities holds the side effects of Drawbridge's workflows: a struct with its dependencies per concern,
// one file each. Every method is idempotent and says by which key; each maps its errors once, at its boundary.
package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"drawbridge/internal/admission"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
)

// Target names what an activity works on: a release in an environment, on behalf of a workflow.
type Target struct {
	Environment string          `json:"environment"`
	Release     release.Release `json:"release"`
	// Config is the digest of a config blob that replaces the packed one; empty is the packed one.
	Config string `json:"config,omitempty"`
	// Owner is the workflow on whose behalf.
	Owner effect.Owner `json:"owner"`
	// Tenure is under which it changes what is visible; 0: nothing is to be visible.
	Tenure int64 `json:"tenure,omitempty"`
	// Epoch and Swaps are what the ledger has told the owner, beside the tenure: which ledger it is, and how many swaps the
	// owner has made under the tenure. A ledger that lacks any of it has gone back, and nothing is done there.
	Epoch string `json:"epoch,omitempty"`
	Swaps int    `json:"swaps,omitempty"`
	// Now is the moment of the workflow's step: @now of every check and metric, and what freshness is held against.
	Now time.Time `json:"now,omitzero"`
}

// Effect is the key under which one effect of the target's workflow is done at most once.
func (t Target) Effect(step string, key partition.Key, round int) effect.Key {
	return effect.Key{Owner: t.Owner, Environment: t.Environment, Step: step, Partition: key, Round: round}
}

// Store is what activities need of the artifact store. Content is addressed by digest and verified when read.
type Store interface {
	// Source returns the files of a source blob.
	Source(ctx context.Context, digest string) (map[string][]byte, error)
	// Try looks for secrets, packs files as a release and keeps it, claiming no version. The same content again is the same
	// release, which is named by its version where it has claimed that.
	Try(ctx context.Context, name, version string, files map[string][]byte) (release.Release, error)
	// Owner is the digest that has claimed a version; empty: nobody has.
	Owner(ctx context.Context, pipeline, version string) (string, error)
	// Claim gives a release its version. Twice is once; a version that another release has is fault.Refused.
	Claim(ctx context.Context, r release.Release) error
	// Files returns the files of a release; a digest that does not match is fault.Refused.
	Files(ctx context.Context, digest string) (map[string][]byte, error)
	PutBlob(ctx context.Context, mediaType string, body []byte) (string, error)
	Blob(ctx context.Context, digest string) ([]byte, error)
	Attach(ctx context.Context, s release.Statement) error
	// Releases are the releases of a pipeline, newest version first, tried ones too.
	Releases(ctx context.Context, pipeline string) iter.Seq2[release.Release, error]
	// Statements returns the verified statements about a release.
	Statements(ctx context.Context, digest string) ([]release.Statement, error)
}

// Warehouse is one environment's warehouse as the activities need it; worker/ joins it to internal/warehouse.
type Warehouse interface {
	Observer
	Builder
	Comparer
	Admitter
	Publisher
	Keeper
	Teller
	TurnBacker
	Filler
	Migrator
	Downstreams
	Throttler
	Watcher
	Inspector
	Rebinder
	Adopter
}

// Site is one environment as its worker knows it: the only place where its policy, its secrets and its source files are.
type Site struct {
	Environment string
	Policy      pipeline.Policy
	Store       Store
	// Warehouse opens (or hands out again) the warehouse that a config names; sessions carry the application name.
	Warehouse func(ctx context.Context, cfg pipeline.Config) (Warehouse, error)
	// Ledgers lists the schemas behind a connection of the policy whose ledger is this environment's; unread are those whose ledger
	// does not say whose it is, and why.
	Ledgers func(ctx context.Context, connection string) (schemas []string, unread map[string]error, err error)
	Sources Sources
	// Schedules are those of Temporal; nil: nothing runs by itself.
	Schedules Schedules
	// Changed is told that something has changed here that housekeeping may look at; it does not wait. nil: nobody is told.
	Changed func()
	// Owes is told that somebody is owed something here; it does not wait. nil: nobody is told.
	Owes func()
	// Sender tells receivers of the policy.
	Sender Sender
	// Fate is what has become of a workflow, and whether an open one waits at a gate, or is paused, as the end of a sentence; nil:
	// that is not looked at.
	Fate func(ctx context.Context, owner effect.Owner) (fate Fate, stands string, err error)
	// FirstRun is the first run of the workflow that calls, as the server says; nil: only its ID is looked at.
	FirstRun func(ctx context.Context) (string, error)

	mu    sync.Mutex
	wal   written                       // of the last look
	known map[string]*pipeline.Pipeline // by release digest and config digest: immutable
}

// Sources are the files that loads read, as far as activities look at them themselves.
type Sources interface {
	// Partitions are what the names of files say of a pipeline's partitions.
	Partitions(cfg pipeline.Config, p *pipeline.Pipeline) (plan.Sources, error)
	// Changed is when the newest file of each of some partitions was last written, where there is one.
	Changed(cfg pipeline.Config, p *pipeline.Pipeline, keys []partition.Key) (map[partition.Key]time.Time, error)
	// Missing are the load files of a partition that are not there.
	Missing(cfg pipeline.Config, p *pipeline.Pipeline, key partition.Key) ([]string, error)
}

// rememberedPipelines bounds the memory of parsed releases; they are a few kilobytes each.
const rememberedPipelines = 64

// Pipeline returns the parsed release of a target, with this environment's config. It refuses a target of another
// environment: a worker touches only what it serves.
func (s *Site) Pipeline(ctx context.Context, t Target) (*pipeline.Pipeline, error) {
	if err := s.serves(t.Environment); err != nil {
		return nil, err
	}
	if err := s.calls(ctx, t.Owner); err != nil {
		return nil, err
	}
	return s.read(ctx, t.Release, t.Config)
}

// serves refuses to answer for another environment.
func (s *Site) serves(environment string) error {
	if environment != s.Environment {
		return fault.Newf(fault.Refused, "serve environment", environment,
			"start a worker for it: drawbridge-worker --env "+environment, "this worker serves "+s.Environment+" only")
	}
	return nil
}

// read returns the parsed release, for whoever asks.
func (s *Site) read(ctx context.Context, r release.Release, config string) (*pipeline.Pipeline, error) {
	id := r.Digest + "+" + config
	s.mu.Lock()
	p, ok := s.known[id]
	s.mu.Unlock()
	if ok {
		return p, nil
	}
	files, err := s.Store.Files(ctx, r.Digest)
	if err != nil {
		return nil, fmt.Errorf("fetch release %s: %w", r.Digest, err)
	}
	p, err = s.parse(ctx, files, config)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil || len(s.known) >= rememberedPipelines {
		s.known = map[string]*pipeline.Pipeline{}
	}
	s.known[id] = p
	return p, nil
}

// calls refuses effects in the name of another workflow than the one that calls. Which one that is the server says, and not
// the caller: whoever can reach Temporal may call any activity, and owns nothing of others by that.
func (s *Site) calls(ctx context.Context, owner effect.Owner) error {
	if !activity.IsActivity(ctx) {
		return nil
	}
	caller := activity.GetInfo(ctx).WorkflowExecution.ID
	refused := fault.Newf(fault.Refused, "act for", owner.Workflow(), "each workflow acts for itself", caller+" asks")
	if owner.Workflow() != caller {
		return refused
	}
	if s.FirstRun == nil {
		return nil
	}
	first, err := s.FirstRun(ctx)
	if err == nil && owner != effect.OwnerOf(caller, first) {
		return fault.Newf(fault.Refused, "act for", owner.Workflow(), "each workflow acts for itself", "another one asks, which was started under the same ID")
	}
	return err
}

// parse reads a pipeline with the packed config of this environment, or with the blob that replaces it.
func (s *Site) parse(ctx context.Context, files map[string][]byte, config string) (*pipeline.Pipeline, error) {
	name := s.packed()
	if config != "" {
		body, err := s.Store.Blob(ctx, config)
		if err != nil {
			return nil, fmt.Errorf("fetch config %s: %w", config, err)
		}
		files = replaced(files, name, body)
	}
	return pipeline.Parse(files, name)
}

// locate finds where a pipeline lives in this environment, when a target names no release: its releases are asked in turn,
// newest first, until the ledger of one has something of it active, or else until one knows it at all: who has reserved a tenure
// there may have left a crossing. The config of what is active then says where it is. A release that never came here says nothing.
func (s *Site) locate(ctx context.Context, t Target) (Target, *pipeline.Pipeline, Warehouse, error) {
	if t.Release.Digest != "" {
		p, w, err := s.open(ctx, t)
		return t, p, w, err
	}
	var known *place
	var active release.Tenure
	failed, err := s.places(ctx, t, []string{t.Config}, func(at place) (done bool, err error) {
		if active, err = at.w.Active(ctx, t.Release.Pipeline); err != nil {
			return true, err
		}
		if active.Number != 0 {
			known = &at
			return true, nil
		}
		if known == nil {
			var knows bool
			if knows, err = at.w.Knows(ctx, t.Release.Pipeline); knows {
				known = &at
			}
		}
		return false, err
	})
	switch {
	case err != nil:
		return t, nil, nil, err
	case known != nil && active.None():
		return known.target, known.p, known.w, nil
	case known != nil:
		known.target.Release, known.target.Config = active.Release, active.Config
		p, w, err := s.open(ctx, known.target)
		return known.target, p, w, err
	case failed != nil:
		return t, nil, nil, failed
	}
	return t, nil, nil, fault.Newf(fault.Refused, "find", t.Release.Pipeline+" in "+s.Environment,
		"deploy a release: drawbridge deploy "+t.Release.Pipeline+"@VERSION --to "+s.Environment, "it was never published here")
}

// place is a schema in which a pipeline may live here, and a release that says so.
type place struct {
	target Target
	p      *pipeline.Pipeline
	w      Warehouse
}

// places visits where the releases of a pipeline would have lived here, newest first, with each of some configs; each place
// once, until visit is done. failed is why one that may be another could not be opened: a release that is not for this
// environment is none.
func (s *Site) places(ctx context.Context, t Target, configs []string, visit func(place) (done bool, err error)) (failed, err error) {
	looked := map[string]bool{}
	for r, err := range s.Store.Releases(ctx, t.Release.Pipeline) {
		if err != nil {
			return failed, fmt.Errorf("list releases of %s: %w", t.Release.Pipeline, err)
		}
		for _, config := range configs {
			t.Release, t.Config = r, config
			p, w, err := s.open(ctx, t)
			if err != nil {
				if here, lost := s.isFor(ctx, t); here || lost != nil {
					failed = cmp.Or(failed, err) // another release may say where it is
				}
				continue
			}
			at := p.Config.Warehouse + " " + p.Config.WarehouseSchema
			if looked[at] {
				continue
			}
			looked[at] = true
			if done, err := visit(place{target: t, p: p, w: w}); err != nil || done {
				return failed, err
			}
		}
	}
	return failed, nil
}

// isFor says whether a release has a config for this environment.
func (s *Site) isFor(ctx context.Context, t Target) (bool, error) {
	if t.Config != "" {
		return true, nil
	}
	files, err := s.Store.Files(ctx, t.Release.Digest)
	_, ok := files[s.packed()]
	return ok, err
}

// packed is the name of this environment's config in a release.
func (s *Site) packed() string { return "config." + s.Environment + ".yaml" }

// replaced are files, one of them with another body.
func replaced(files map[string][]byte, name string, body []byte) map[string][]byte {
	with := make(map[string][]byte, len(files)+1)
	maps.Copy(with, files)
	with[name] = body
	return with
}

// open returns a target's pipeline at the target's moment, and its warehouse, whose ledger knows what it has told the
// target's owner.
func (s *Site) open(ctx context.Context, t Target) (*pipeline.Pipeline, Warehouse, error) {
	p, err := s.Pipeline(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	w, err := s.warehouse(ctx, p.Config)
	if err != nil {
		return nil, nil, err
	}
	if err := remembers(ctx, w, t); err != nil {
		return nil, nil, err
	}
	return p.At(t.Now), w, nil
}

// remembers is an error where a ledger does not know what it has told the target's owner.
func remembers(ctx context.Context, w Warehouse, t Target) error {
	if t.Tenure == 0 {
		return nil
	}
	return w.Remembers(ctx, admission.Told{Pipeline: t.Release.Pipeline, Owner: t.Owner, Tenure: t.Tenure, Epoch: t.Epoch, Swaps: t.Swaps})
}

// warehouse opens the warehouse of a config. A server that does not answer is waited for longer than a heartbeat may be late.
func (s *Site) warehouse(ctx context.Context, cfg pipeline.Config) (Warehouse, error) {
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	return s.Warehouse(ctx, cfg)
}

// atOnce is for the first look of a question or a change: nothing has been done yet, so that a server that cannot be reached
// is said at once, and is not waited for.
func (s *Site) atOnce(err error) error {
	away, ok := errors.AsType[fault.Unreachable](err)
	if !ok || fault.ClassOf(err) != "" {
		return err
	}
	server := "the warehouse of " + s.Environment
	if other, ok := errors.AsType[*fault.Away](err); ok {
		server = other.Server
	}
	return fault.New(fault.Refused, "reach", server,
		"is it up, and reachable from the worker? Look again: drawbridge doctor --env "+s.Environment, away)
}

// planLine is the command that plans a target anew.
func planLine(t Target) string {
	return "drawbridge plan " + t.Release.String() + " --to " + t.Environment
}
