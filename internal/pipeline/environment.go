package pipeline

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"time"

	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/secret"
)

var policyFilePattern = regexp.MustCompile(`^policy\.([^./]+)\.yaml$`)

// ParseConfig reads one config.<env>.yaml; file is its name or path, from which the environment is taken.
func ParseConfig(file string, content []byte) (Config, error) {
	b := builder{problems: &findings{}}
	c := b.config(file, content, nil)
	return c, b.problems.err("config")
}

// ParsePolicy reads one policy.<env>.yaml; file is its name or path, from which the environment is taken.
func ParsePolicy(file string, content []byte) (Policy, error) {
	b := builder{problems: &findings{}}
	p := b.policy(file, content)
	return p, b.problems.err("policy")
}

// DefaultPolicy is the policy of an environment whose worker has no file: one person is asked, references within the
// default prefixes are resolved.
func DefaultPolicy(environment string) (Policy, error) {
	return ParsePolicy("policy."+environment+".yaml", []byte("{}"))
}

// environment takes the name out of config.<env>.yaml. It has no "-", so that the task queues drawbridge-<env> and
// drawbridge-<env>-build of two environments never meet.
func (b *builder) environment(file string, pattern *regexp.Regexp, form string) string {
	m := pattern.FindStringSubmatch(path.Base(file))
	if m == nil || !environmentPattern.MatchString(m[1]) {
		b.problems.add(place{file: file}, "the file name does not name an environment",
			"name it "+form+" with lower-case letters, digits and underscores, at most 20")
		return ""
	}
	return m[1]
}

// config reads a config and, where p is given, holds its overrides against the pipeline.
func (b *builder) config(file string, content []byte, p *Pipeline) Config {
	environment := b.environment(file, configFilePattern, "config.<env>.yaml")
	root := b.problems.read(ConfigDocument, file, content)
	c := Config{
		Environment:     environment,
		Warehouse:       as[string](root.get("warehouse")),
		WarehouseSchema: as[string](root.get("warehouse_schema")),
		WriteMode:       as[string](root.get("write_mode")),
		SourceFiles:     as[string](root.get("source_files")),
	}
	b.reference(root.get("warehouse"))
	if v := root.get("smoke"); v.ok() {
		c.Smoke = &Smoke{Latest: latest(v), MaxRuntime: as[time.Duration](v.get("max_runtime"))}
	}
	if v := root.get("watch"); v.ok() {
		c.Watch = &WatchOverride{
			For:       pointer[time.Duration](v.get("for")),
			Every:     pointer[time.Duration](v.get("every")),
			Freshness: pointer[time.Duration](v.get("freshness")),
		}
		if breach, ok := v.get("on_breach").data.(string); ok {
			c.Watch.OnBreach = new(OnBreach(breach))
		}
		if p != nil {
			b.watchOverride(v, *c.Watch, p.Watch)
		}
	}
	return c
}

func (b *builder) watchOverride(v value, over WatchOverride, watch Watch) {
	if watch.For == 0 {
		b.problems.add(v.at, "the pipeline has no watch to override", "add watch to "+File)
		return
	}
	length, every := watch.For, watch.Every
	if over.For != nil {
		length = *over.For
	}
	if over.Every != nil {
		every = *over.Every
	}
	if length > 0 && every > length {
		b.problems.add(v.at, "the watch would end before its first evaluation",
			fmt.Sprintf("here it is evaluated every %s for %s: make every shorter than for", every, length))
	}
}

// reference refuses a password that is written out, and a reference that cannot be read. Which references may be
// resolved is for the environment's policy to say.
func (b *builder) reference(v value) {
	text, ok := v.data.(string)
	if !ok {
		return
	}
	if _, err := secret.Parse(text); err != nil {
		b.problems.add(v.at, reasonOf(err), fault.HintOf(err))
		return
	}
	if secret.LiteralPassword(text) {
		b.problems.add(v.at, "the password is written out", "refer to it: ${env:DRAWBRIDGE_SECRET_NAME} or ${file:/run/secrets/name}")
	}
}

func (b *builder) policy(file string, content []byte) Policy {
	environment := b.environment(file, policyFilePattern, "policy.<env>.yaml")
	root := b.problems.read(PolicyDocument, file, content)
	approval, secrets, publish := root.get("approval"), root.get("secrets"), root.get("publish")
	p := Policy{
		Environment: environment,
		Approval: gate.Approval{
			Required:  as[bool](approval.get("required")),
			Approvers: approval.get("approvers").strings(),
			Quorum:    int(as[int64](approval.get("quorum"))),
			FourEyes:  as[bool](approval.get("four_eyes")),
			Expires:   as[time.Duration](approval.get("expires")),
		},
		Requires: root.get("requires").strings(),
		Secrets:  Secrets{Env: secrets.get("env").strings(), Files: secrets.get("files").strings()},
		Publish: Publish{
			LockBudget:        as[time.Duration](publish.get("lock_budget")),
			SnapshotWait:      as[time.Duration](publish.get("snapshot_wait")),
			OnSnapshotTimeout: OnTimeout(as[string](publish.get("on_snapshot_timeout"))),
			Lanes:             int(as[int64](publish.get("lanes"))),
		},
		KeepRetired:   as[time.Duration](root.get("keep_retired")),
		MaxPartitions: int(as[int64](root.get("max_partitions"))),
	}
	b.approval(approval, p.Approval)
	b.distinct(root.get("requires"), "requires")
	for _, required := range root.get("requires").items() {
		if required.data == environment && environment != "" {
			b.problems.add(required.at, "an environment cannot require itself", "name the environment before it")
		}
	}
	return p
}

// approval refuses rules that nothing can meet, and rules that would be read and ignored.
func (b *builder) approval(v value, a gate.Approval) {
	b.distinct(v.get("approvers"), "approvers")
	if n := len(a.Approvers); n > 0 && a.Quorum > n {
		b.problems.add(v.get("quorum").at, fmt.Sprintf("the quorum is %d of %d approvers", a.Quorum, n), "name more approvers, or lower the quorum")
	}
	if required, ok := v.get("required").data.(bool); !ok || required {
		return
	}
	for _, name := range []string{"approvers", "quorum", "four_eyes", "expires"} {
		if v.get(name).ok() {
			b.problems.add(v.keyAt(name), "nobody is asked, so "+name+" has no effect", "remove it, or set required: true")
		}
	}
}

// reasonOf is a fault's reason without its operation and object: the problem's own place says those.
func reasonOf(err error) string {
	if e, ok := errors.AsType[*fault.Error](err); ok && e.Err != nil {
		return e.Err.Error()
	}
	return err.Error()
}
