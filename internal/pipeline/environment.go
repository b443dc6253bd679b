package pipeline

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"time"

	"drawbridge/internal/cutover"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/strictyaml"
	"drawbridge/internal/throttle"
	"drawbridge/internal/window"
)

var policyFilePattern = regexp.MustCompile(`^policy\.([^./]+)\.yaml$`)

// ParseConfig reads one config.<env>.yaml; file is its name or path, from which the environment is taken.
func ParseConfig(file string, content []byte) (Config, error) {
	b := builder{problems: &strictyaml.Findings{}}
	c := b.config(file, content, nil)
	return c, b.problems.Err("config")
}

// ParsePolicy reads one policy.<env>.yaml; file is its name or path, from which the environment is taken.
func ParsePolicy(file string, content []byte) (Policy, error) {
	b := builder{problems: &strictyaml.Findings{}}
	p := b.policy(file, content)
	return p, b.problems.Err("policy")
}

// DefaultPolicy is the policy of an environment whose worker has no file: one person is asked, the one connection is
// made of DRAWBRIDGE_WAREHOUSE.
func DefaultPolicy(environment string) (Policy, error) {
	return ParsePolicy("policy."+environment+".yaml", []byte("{}"))
}

// environment takes the name out of config.<env>.yaml. It has no "-", so that the task queues drawbridge-<env> and
// drawbridge-<env>-build of two environments never meet.
func (b *builder) environment(file string, pattern *regexp.Regexp, form string) string {
	m := pattern.FindStringSubmatch(path.Base(file))
	if m == nil || !environmentPattern.MatchString(m[1]) {
		b.problems.Add(strictyaml.Place{File: file}, "the file name does not name an environment",
			"name it "+form+" with lower-case letters, digits and underscores, at most 20")
		return ""
	}
	return m[1]
}

// config reads a config and, where p is given, holds its overrides against the pipeline.
func (b *builder) config(file string, content []byte, p *Pipeline) Config {
	environment := b.environment(file, configFilePattern, "config.<env>.yaml")
	root := b.problems.Read(ConfigDocument.shape(), file, content)
	c := Config{
		Environment:     environment,
		Warehouse:       strictyaml.As[string](root.Get("warehouse")),
		WarehouseSchema: strictyaml.As[string](root.Get("warehouse_schema")),
		WriteMode:       b.writeMode(root.Get("write_mode"), p),
		SourceFiles:     strictyaml.As[string](root.Get("source_files")),
		SourceDB:        strictyaml.As[string](root.Get("source_db")),
	}
	b.warehouse(root.Get("warehouse"))
	b.warehouse(root.Get("source_db"))
	if whose := TakenSchema(c.WarehouseSchema); whose != "" {
		b.problems.Add(root.Get("warehouse_schema").At, c.WarehouseSchema+" "+whose, "name a schema of its own, without such an end")
	}
	b.inside(root.Get("source_files"))
	if v := root.Get("smoke"); v.OK() {
		c.Smoke = &Smoke{Latest: latest(v), MaxRuntime: strictyaml.As[time.Duration](v.Get("max_runtime"))}
	}
	if v := root.Get("watch"); v.OK() {
		c.Watch = &WatchOverride{
			For:       strictyaml.Pointer[time.Duration](v.Get("for")),
			Every:     strictyaml.Pointer[time.Duration](v.Get("every")),
			Freshness: strictyaml.Pointer[time.Duration](v.Get("freshness")),
		}
		if breach, ok := v.Get("on_breach").Data.(string); ok {
			c.Watch.OnBreach = new(OnBreach(breach))
		}
		if p != nil {
			b.watchOverride(v, *c.Watch, p.Watch)
		}
	}
	if v := root.Get("schedule"); v.OK() {
		c.Schedule = b.schedule(v, p)
	}
	return c
}

func (b *builder) watchOverride(v strictyaml.Value, over WatchOverride, watch Watch) {
	if watch.For == 0 {
		b.problems.Add(v.At, "the pipeline has no watch to override", "add watch to "+File+", or remove it here")
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
		b.problems.Add(v.At, "the watch would end before its first evaluation",
			fmt.Sprintf("here it is evaluated every %s for %s: make every shorter than for", every, length))
	}
}

func (b *builder) policy(file string, content []byte) Policy {
	environment := b.environment(file, policyFilePattern, "policy.<env>.yaml")
	root := b.problems.Read(PolicyDocument.shape(), file, content)
	approval, publish, backfill := root.Get("approval"), root.Get("publish"), root.Get("backfill")
	p := Policy{
		Environment: environment,
		Approval: gate.Approval{
			Required:  strictyaml.As[bool](approval.Get("required")),
			Approvers: approval.Get("approvers").Strings(),
			Quorum:    int(strictyaml.As[int64](approval.Get("quorum"))),
			FourEyes:  strictyaml.As[bool](approval.Get("four_eyes")),
			Expires:   strictyaml.As[time.Duration](approval.Get("expires")),
		},
		Requires:    root.Get("requires").Strings(),
		Connections: b.connections(root.Get("connections")),
		Publish: Publish{
			LockBudget:        strictyaml.As[time.Duration](publish.Get("lock_budget")),
			SnapshotWait:      strictyaml.As[time.Duration](publish.Get("snapshot_wait")),
			OnSnapshotTimeout: OnTimeout(strictyaml.As[string](publish.Get("on_snapshot_timeout"))),
			Lanes:             int(strictyaml.As[int64](publish.Get("lanes"))),
			Cutover:           cutover.Mode(strictyaml.As[string](publish.Get("cutover"))),
			MaxPause:          strictyaml.As[time.Duration](publish.Get("max_pause")),
			MaxRewriteBytes:   strictyaml.As[int64](publish.Get("max_rewrite_bytes")),
		},
		Sources:       Sources{Roots: root.Get("sources").Get("roots").Strings()},
		KeepRetired:   strictyaml.As[time.Duration](root.Get("keep_retired")),
		Compensate:    Compensate(strictyaml.As[string](root.Get("compensate"))),
		MaxPartitions: int(strictyaml.As[int64](root.Get("max_partitions"))),
		Backfill: BackfillPolicy{
			MaxPartitions: int(strictyaml.As[int64](backfill.Get("max_partitions"))),
			MaxRows:       strictyaml.As[int64](backfill.Get("max_rows")),
			MaxTime:       strictyaml.As[time.Duration](backfill.Get("max_time")),
			MaxFailures:   int(strictyaml.As[int64](backfill.Get("max_failures"))),
		},
	}
	p.Throttle = limits(root.Get("throttle"))
	p.Notify = b.notify(root.Get("notify"))
	for _, at := range root.Get("throttle").Get("windows").Items() {
		w, err := window.Parse(strictyaml.As[string](at))
		if err == nil {
			_, err = w.Load()
		}
		if err != nil {
			b.problems.Add(at.At, reasonOf(err), fault.HintOf(err))
			continue
		}
		p.Windows = append(p.Windows, w.String())
	}
	b.approval(approval, p.Approval)
	if p.Backfill.MaxFailures > mostFailures {
		b.problems.Add(backfill.Get("max_failures").At, fmt.Sprintf("at most %d failures can be listed", mostFailures), "lower it: what fails that often is not a matter of single partitions")
	}
	b.distinct(root.Get("requires"), "requires")
	for _, required := range root.Get("requires").Items() {
		if required.Data == environment && environment != "" {
			b.problems.Add(required.At, "an environment cannot require itself", "name the environment before it")
		}
	}
	return p
}

// limits reads the limits of signals, each in its unit.
func limits(v strictyaml.Value) []throttle.Limit {
	var all []throttle.Limit
	for _, s := range []throttle.Signal{throttle.ReplicaLag, throttle.OldestTransaction} {
		if most := strictyaml.As[time.Duration](v.Get(string(s))); most > 0 {
			all = append(all, throttle.Limit{Signal: s, Max: most.Seconds()})
		}
	}
	for _, s := range []throttle.Signal{throttle.ReplicaBytes, throttle.WALRate, throttle.WaitingLocks, throttle.ActiveSessions, throttle.Size} {
		if most := v.Get(string(s)); most.OK() {
			all = append(all, throttle.Limit{Signal: s, Max: float64(strictyaml.As[int64](most))})
		}
	}
	for _, q := range v.Get("queries").Items() {
		all = append(all, throttle.Limit{
			Signal: throttle.Query, Name: strictyaml.As[string](q.Get("name")), SQL: strictyaml.As[string](q.Get("sql")), Max: strictyaml.As[float64](q.Get("max")),
		})
	}
	return all
}

// mostFailures bounds what a backfill carries of partitions that failed.
const mostFailures = 100

// approval refuses rules that nothing can meet, and rules that would be read and ignored.
func (b *builder) approval(v strictyaml.Value, a gate.Approval) {
	b.distinct(v.Get("approvers"), "approvers")
	if n := len(a.Approvers); n > 0 && a.Quorum > n {
		b.problems.Add(v.Get("quorum").At, fmt.Sprintf("the quorum is %d of %d approvers", a.Quorum, n), "name more approvers, or lower the quorum")
	}
	if required, ok := v.Get("required").Data.(bool); !ok || required {
		return
	}
	for _, name := range []string{"approvers", "quorum", "four_eyes", "expires"} {
		if v.Get(name).OK() {
			b.problems.Add(v.KeyAt(name), "nobody is asked, so "+name+" has no effect", "remove it, or set required: true")
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
