package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/release"
	"drawbridge/internal/store"
	"drawbridge/workflows"
)

// subject is what a command is about: a folder (its source digest), a release of the store, a plan, or only the name of a
// pipeline, whose active release is meant.
type subject struct {
	pipeline     string
	version      string // for people, 1.4.0+0123abcd of a try; empty where only a name is known
	digest       string // of the release; of a folder: which the worker will build
	title        string // for messages
	source       string
	release      release.Release
	scheme       partition.Scheme  // of a folder and of a release
	outputs      []pipeline.Output // of a folder and of a release
	plan         string
	environments []string // all that the pipeline knows, in the order of crossing; of a plan: those that it crosses
	migrations   []string // of a folder and of a release: their names, in order
}

// digestPattern is what a person types of a plan digest.
var digestPattern = regexp.MustCompile(`^(sha256:)?[0-9a-f]{8,64}$`)

// subject reads an argument DIR | PIPELINE@VERSION | PLANDIGEST | PIPELINE. A folder is stored for the worker, which builds
// the release from it.
func (a *app) subject(ctx context.Context, arg string) (subject, error) {
	if isFolder(arg) {
		return a.folderSubject(ctx, arg)
	}
	if name, version, ok := strings.Cut(arg, "@"); ok {
		return a.releaseSubject(ctx, name, version)
	}
	if digestPattern.MatchString(arg) {
		return a.planSubject(ctx, arg)
	}
	if strings.ContainsAny(arg, "/\\") || arg == "." || arg == ".." {
		return subject{}, fault.Newf(fault.Invalid, "open pipeline", arg, "name the folder that holds pipeline.yaml, or make one: drawbridge init NAME",
			"there is no pipeline.yaml")
	}
	return subject{pipeline: arg, title: arg}, nil
}

// isFolder says whether an argument is a pipeline's folder; a name with an @ never is.
func isFolder(arg string) bool {
	if strings.Contains(arg, "@") {
		return false
	}
	_, err := os.Stat(filepath.Join(arg, pipeline.File))
	return err == nil
}

func (a *app) folderSubject(ctx context.Context, dir string) (subject, error) {
	f, err := openFolder(dir)
	if err != nil {
		return subject{}, err
	}
	p, err := f.check()
	if err != nil {
		return subject{}, err
	}
	s, err := a.store()
	if err != nil {
		return subject{}, err
	}
	digest, err := s.PutSource(ctx, f.files)
	if err != nil {
		return subject{}, err
	}
	packed, err := store.Pack(p.Name, p.Version, f.files)
	if err != nil {
		return subject{}, err
	}
	r, err := s.Named(ctx, packed.Release)
	return subject{
		pipeline: p.Name, version: r.Version, digest: r.Digest, title: fmt.Sprintf("%s from %s", r, dir), source: digest,
		scheme: p.Partition, outputs: p.Outputs, environments: p.Environments, migrations: migrationsOf(p),
	}, err
}

func (a *app) releaseSubject(ctx context.Context, name, version string) (subject, error) {
	s, err := a.store()
	if err != nil {
		return subject{}, err
	}
	digest, err := s.Resolve(ctx, name, version)
	if err != nil {
		return subject{}, err
	}
	return a.kept(ctx, s, digest)
}

// kept is the release that the store has by this digest.
func (a *app) kept(ctx context.Context, s *store.Store, digest string) (subject, error) {
	artifact, err := s.Load(ctx, digest)
	if err != nil {
		return subject{}, err
	}
	p, err := parse(artifact.Files)
	if err != nil {
		return subject{}, err
	}
	r, err := s.Named(ctx, artifact.Release)
	return subject{
		pipeline: r.Pipeline, version: r.Version, digest: r.Digest, title: r.String(), release: r, scheme: p.Partition, outputs: p.Outputs,
		environments: p.Environments, migrations: migrationsOf(p),
	}, err
}

// migrationsOf are the names of a pipeline's migrations, in order.
func migrationsOf(p *pipeline.Pipeline) []string {
	names := make([]string, len(p.Migrations))
	for i, m := range p.Migrations {
		names[i] = m.Name
	}
	return names
}

// tried is the deployment that began when the release had not claimed its version; empty where it has not yet.
func (s subject) tried() string {
	if _, _, try := release.CutTry(s.version); try {
		return ""
	}
	return workflows.DeploymentID(s.pipeline, release.Release{Version: s.version, Digest: s.digest}.As("").Version)
}

func (a *app) planSubject(ctx context.Context, typed string) (subject, error) {
	digest, err := a.planDigest(ctx, typed)
	if err != nil {
		return subject{}, err
	}
	p, err := a.readPlan(ctx, digest)
	if err != nil {
		return subject{}, err
	}
	from, err := a.store()
	if err != nil {
		return subject{}, err
	}
	r, err := from.Named(ctx, p.Release) // it may have claimed its version since it was planned
	if err != nil {
		return subject{}, err
	}
	s := subject{pipeline: r.Pipeline, version: r.Version, digest: r.Digest, title: "plan " + gate.Short(digest), plan: digest}
	for _, e := range p.Environments {
		s.environments = append(s.environments, e.Name)
	}
	return s, nil
}

// readPlan reads a plan's body from the store, which verifies that the digest names it.
func (a *app) readPlan(ctx context.Context, digest string) (plan.Plan, error) {
	s, err := a.store()
	if err != nil {
		return plan.Plan{}, err
	}
	body, err := s.Blob(ctx, digest)
	if err != nil {
		return plan.Plan{}, err
	}
	var p plan.Plan
	if err := json.Unmarshal(body, &p); err != nil || p.Release.Pipeline == "" {
		return plan.Plan{}, fault.Newf(fault.Invalid, "read plan", digest, "name the digest that drawbridge plan printed", "it is no plan")
	}
	return p, nil
}

// newest is the newest release of a pipeline in the store: it says where the pipeline's warehouses are.
func (a *app) newest(ctx context.Context, name string) (subject, error) {
	s, err := a.store()
	if err != nil {
		return subject{}, err
	}
	versions, err := s.Versions(ctx, name)
	if err != nil {
		return subject{}, err
	}
	if len(versions) == 0 {
		return subject{}, fault.Newf(fault.Invalid, "find a release of", name,
			"check the name, or name the store that holds it: --store REF (this one is "+s.Location()+")", "the store has none")
	}
	return a.releaseSubject(ctx, name, versions[len(versions)-1])
}

// named is the pipeline that an argument names: a folder's, or the name itself.
func named(arg string) (string, error) {
	if !isFolder(arg) {
		name, _, _ := strings.Cut(arg, "@")
		return name, nil
	}
	f, err := openFolder(arg)
	if err != nil {
		return "", err
	}
	p, err := parse(f.files)
	if err != nil {
		return "", err
	}
	return p.Name, nil
}

// upTo are the environments to cross, in order, the last one being to.
func (s subject) upTo(to string) ([]string, error) {
	for i, env := range s.environments {
		if env == to {
			return s.environments[:i+1], nil
		}
	}
	return nil, s.unknown(to)
}

// in refuses an environment that the pipeline does not know. Of a pipeline that is only named, nothing is known.
func (s subject) in(env string) error {
	if s.environments == nil {
		return nil
	}
	_, err := s.upTo(env)
	return err
}

func (s subject) unknown(env string) error {
	return fault.Newf(fault.Invalid, "find environment", fmt.Sprintf("%q", env),
		"choose one of "+strings.Join(s.environments, ", ")+", or write config."+env+".yaml", "the pipeline does not know it")
}

// releaseNamed refuses a pipeline without a version, where one is needed.
func (s subject) releaseNamed() error {
	if s.source == "" && s.plan == "" && s.release.Digest == "" {
		return fault.Newf(fault.Invalid, "find", s.pipeline, "name a folder (./"+s.pipeline+"), a release ("+s.pipeline+"@VERSION) or a plan digest",
			"it is neither a folder with pipeline.yaml nor a release")
	}
	return nil
}

// configs stores the configs that replace packed ones, given as ENV=FILE, and returns their digests by environment.
func (a *app) configs(ctx context.Context, given []string) (map[string]string, error) {
	if len(given) == 0 {
		return nil, nil
	}
	s, err := a.store()
	if err != nil {
		return nil, err
	}
	digests := map[string]string{}
	for _, pair := range given {
		env, file, ok := strings.Cut(pair, "=")
		if !ok || env == "" || file == "" {
			return nil, fault.Newf(fault.Invalid, "read", "--config "+pair, "write --config prod=FILE", "it is no ENV=FILE")
		}
		body, err := os.ReadFile(file)
		if err != nil {
			return nil, fault.New(fault.Invalid, "read config", file, "name a file: --config "+env+"=FILE", err)
		}
		if found := secretsIn(store.Files{file: body}); found != nil {
			return nil, found
		}
		if digests[env], err = s.PutBlob(ctx, configMedia, body); err != nil {
			return nil, err
		}
	}
	return digests, nil
}

// configMedia is the media type of a config that replaces the packed one.
const configMedia = "application/vnd.drawbridge.config.v1+yaml"

// planDigest completes what a person typed of a plan's digest.
func (a *app) planDigest(ctx context.Context, typed string) (string, error) {
	hex := strings.TrimPrefix(typed, "sha256:")
	if len(hex) == 64 {
		return "sha256:" + hex, nil
	}
	d, err := a.desk(ctx)
	if err != nil {
		return "", err
	}
	return d.FindPlan(ctx, hex)
}
