package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
	"go.uber.org/zap"

	"drawbridge/activities"
	"drawbridge/internal/gate"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline/scaffold"
	"drawbridge/internal/release"
	"drawbridge/internal/secret"
	"drawbridge/internal/testdb"
	"drawbridge/workflows"
	"drawbridge/workflows/conduct"
)

// The untouched scaffold lives through a month: a run every morning, late files, a supplier who sends amounts × 20 once, and
// one release that is wrong where no canary looks. The activities and the server are real; only time is the test
// environment's, which skips it. Whatever went back by itself was wrong, and whatever was wrong went back.
func TestTheScaffoldLivesThroughAMonth(t *testing.T) { //nolint:paralleltest // it sets the environment of its worker
	m := newMonth(t)
	m.stories = map[int]func(at time.Time){
		4: func(at time.Time) { // the first release, from the three days that the scaffold brings
			s := m.deploy(at, "1.0.0", nil, func(at time.Time) { m.daily(at) })
			require.Equal(t, workflows.StageDone, s.Stage, "a good fourth day is no breach: %+v", s.Gates)
			require.Empty(t, s.Gates)
		},
		9: func(at time.Time) { // the file of the eighth was cut off; the rest comes a day later
			m.deliver(8, 0.4)
			m.run(at, 8)
		},
		10: func(at time.Time) {
			m.deliver(8, 1)
			m.run(at, 8)
			m.daily(at)
		},
		12: func(at time.Time) { // a harmless release, and in its watch a run of a file that is wrong
			m.daily(at)
			s := m.deploy(at, "1.1.0", func(sql string) string { return sql + "WHERE amount IS NOT NULL\n" }, func(at time.Time) {
				m.deliver(12, 20)
				m.run(at, 12)
			}, func(env *testsuite.TestWorkflowEnvironment) gate.Decision {
				g := m.open(env)
				require.Contains(t, g.Verdict.Reason, "holds without run/"+m.name+"/prod/2026-01-12")
				m.deliver(12, 1)
				m.run(m.day(13).Add(5*time.Hour), 12)
				return gate.Decision{Gate: g.Name, Choice: gate.Keep, Reason: "the supplier sent it again"}
			})
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Equal(t, "every watch check holds again", m.last(s, "watch").Reason)
		},
		19: func(at time.Time) { // doubles the days before the canary's
			m.daily(at)
			bad := func(sql string) string {
				return strings.Replace(sql, "       amount\n", "       (CASE WHEN @partition_start::date BETWEEN date '2026-01-05' AND date '2026-01-16' THEN 2 * amount ELSE amount END)::numeric(12,2) AS amount\n", 1)
			}
			s := m.deploy(at, "1.2.0", bad, func(at time.Time) { m.daily(at) })
			require.Equal(t, workflows.StageRolledBack, s.Stage, s.Sentence)
			require.Contains(t, s.Sentence, "holds without this release")
		},
		22: func(at time.Time) { // good again; a late file in its watch
			m.daily(at)
			m.deliver(20, 1)
			s := m.deploy(at, "1.3.0", nil, func(at time.Time) {
				m.run(at, 20)
				m.daily(at)
			})
			require.Equal(t, workflows.StageDone, s.Stage, s.Sentence)
			require.Empty(t, s.Gates)
		},
		21: func(time.Time) {}, // the file of the twentieth does not come
	}
	for d := 4; d <= 31; d++ {
		at := m.day(d).Add(6 * time.Hour)
		if story, ok := m.stories[d]; ok {
			story(at)
			continue
		}
		m.daily(at)
	}
	require.Equal(t, []string{"1.2.0"}, m.rolledBack, "what went back by itself")
	require.Equal(t, "1.3.0", m.active())
	for d := 1; d <= 30; d++ {
		require.Equal(t, m.want(d), m.have(d), "day %d", d)
	}
}

// month is a pipeline, its worker's site, and the files that its suppliers send.
type month struct {
	t          *testing.T
	name       string
	root       string
	db         *testdb.DB
	site       *activities.Site
	control    []conduct.Bound
	build      []conduct.Bound
	stories    map[int]func(time.Time)
	ran        map[int]bool
	rolledBack []string
	edit       func(files map[string][]byte) // of every release; nil: none
	keeps      string                        // why its output need not be repeatable
}

func newMonth(t *testing.T) *month {
	t.Helper()
	m := &month{t: t, name: "month_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:8], root: t.TempDir(), db: testdb.New(t), ran: map[int]bool{}}
	t.Setenv("DRAWBRIDGE_WAREHOUSE", m.db.URL)
	policies := filepath.Join(t.TempDir(), "policies")
	m.write(filepath.Join(policies, "policy.prod.yaml"), "approval: {required: false}\n"+
		"connections: {warehouse: {url: '${env:DRAWBRIDGE_WAREHOUSE}', schemas: {write: ["+m.name+"_prod]}}}\n") // other tests' prods are not its houses
	o := options{policies: policies, sourceRoot: m.root, store: t.TempDir(), key: filepath.Join(t.TempDir(), "key.pem"), builds: 2}
	s, err := openStore(t.Context(), o, zap.NewNop())
	require.NoError(t, err)
	opened := newWarehouses(o.builds, secret.NewResolver(&secret.Known{}))
	m.site, err = newSite("prod", o, s, opened)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, suffix := range []string{"", "__data", "__ledger", "__shadow"} {
			_, err := m.db.Pool.Exec(context.WithoutCancel(t.Context()), "DROP SCHEMA IF EXISTS "+m.name+"_prod"+suffix+" CASCADE")
			require.NoError(t, err)
		}
	})
	t.Cleanup(opened.close)
	m.control, m.build = controlActivities(m.site), buildActivities(m.site)
	files, err := scaffold.New(m.name)
	require.NoError(t, err)
	for name, body := range files {
		if strings.HasPrefix(name, "data/") {
			m.write(filepath.Join(m.root, m.name, name), string(body))
		}
	}
	return m
}

func (m *month) write(path, body string) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m.t, os.WriteFile(path, []byte(body), 0o644))
}

// day is a day of January 2026, at midnight.
func (m *month) day(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }

func key(d int) partition.Key { return partition.Key(fmt.Sprintf("2026-01-%02d", d)) }

// sold is how many orders a day has: two percent more each day, a third less at weekends.
func (m *month) sold(d int) int {
	n := 100 * math.Pow(1.02, float64(d))
	if wd := m.day(d).Weekday(); wd == time.Saturday || wd == time.Sunday {
		n *= 0.67
	}
	return int(n)
}

const cents = 700 // of an order

// deliver writes a day's file: a part of it below 1, its amounts that many times above.
func (m *month) deliver(d int, factor float64) {
	m.t.Helper()
	n, amount := m.sold(d), cents
	if factor < 1 {
		n = int(float64(n) * factor)
	} else {
		amount = int(cents * factor)
	}
	var b strings.Builder
	b.WriteString("order_id,ordered_at,channel,amount\n")
	for i := range n {
		fmt.Fprintf(&b, "%d,%s 09:00:00+00,%s,%d.%02d\n", d*10000+i, key(d), []string{"web", "app", "store"}[i%3], amount/100, amount%100)
	}
	m.write(filepath.Join(m.root, m.name, "data", "orders_"+string(key(d))+".csv"), b.String())
}

// daily is the morning's run, of the day before.
func (m *month) daily(at time.Time) {
	m.t.Helper()
	d := at.Day() - 1
	if d < 4 || m.ran[d] {
		return
	}
	m.deliver(d, 1)
	m.run(at, d)
}

// run runs a day with what is active.
func (m *month) run(at time.Time, d int) {
	m.t.Helper()
	m.ran[d] = true
	env := m.environment(at, workflows.RunID(m.name, "prod", key(d)))
	env.ExecuteWorkflow(workflows.RunName, workflows.RunInput{Pipeline: m.name, Environment: "prod", Partition: key(d), Release: m.release(), By: "cron"})
	s := m.status(env)
	require.Equal(m.t, workflows.StageDone, s.Stage, "run of day %d: %s", d, s.Sentence)
}

// deploy deploys a version of the scaffold to prod; in its watch, 23 hours later, something happens, and half an hour after
// that its questions are answered.
func (m *month) deploy(at time.Time, version string, sql func(string) string, meanwhile func(time.Time), answers ...func(*testsuite.TestWorkflowEnvironment) gate.Decision) workflows.Status {
	m.t.Helper()
	files, err := scaffold.New(m.name)
	require.NoError(m.t, err)
	files["pipeline.yaml"] = []byte(strings.Replace(string(files["pipeline.yaml"]), "version: 1.0.0", "version: "+version, 1))
	if sql != nil {
		files["sql/fct_orders.sql"] = []byte(sql(string(files["sql/fct_orders.sql"])))
	}
	for name := range files {
		if strings.HasPrefix(name, "data/") {
			delete(files, name)
		}
	}
	if m.edit != nil {
		m.edit(files)
	}
	r, err := m.site.Store.Try(m.t.Context(), m.name, version, files)
	require.NoError(m.t, err)
	env := m.environment(at, "deploy/"+m.name+"/"+version)
	env.RegisterDelayedCallback(func() { meanwhile(at.Add(23 * time.Hour)) }, 23*time.Hour)
	for _, answer := range answers {
		env.RegisterDelayedCallback(func() {
			d := answer(env)
			d.By, d.Plan = "grace", m.now(env).Plan
			env.UpdateWorkflow(workflows.Decide, d.Gate, &testsuite.TestUpdateCallback{
				OnAccept: func() {}, OnReject: func(err error) { require.NoError(m.t, err) }, OnComplete: func(_ any, err error) { require.NoError(m.t, err) },
			}, d)
		}, 23*time.Hour+30*time.Minute)
	}
	in := workflows.DeploymentInput{Pipeline: m.name, Release: r, Environments: []string{"prod"}, By: "ann"}
	if version != "1.0.0" {
		in.Rebuild.Mode = "all"
	}
	env.ExecuteWorkflow(workflows.DeploymentName, in)
	s := m.status(env)
	if s.Stage == workflows.StageRolledBack {
		m.rolledBack = append(m.rolledBack, version)
		meanwhile(at.Add(23 * time.Hour)) // the morning comes all the same
	}
	return s
}

// environment is where one workflow runs from a moment on.
func (m *month) environment(at time.Time, id string) *testsuite.TestWorkflowEnvironment {
	m.t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(5 * time.Minute)
	env.SetStartTime(at)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: id, TaskQueue: workflows.Queue})
	env.SetWorkerOptions(worker.Options{Interceptors: []interceptor.WorkerInterceptor{&identified{run: uuid.NewString()}, activities.NewFaultInterceptor((&secret.Known{}).Redact)}})
	env.SetOnActivityStartedListener(func(info *activity.Info, ctx context.Context, _ converter.EncodedValues) {
		if info.ActivityType.Name == workflows.Attest.Activity().Name { // a day has passed for the workflow, and not for the ledger
			_, err := m.db.Pool.Exec(ctx, `UPDATE `+m.name+`_prod__ledger.tenure SET activated_at = activated_at - interval '24 hours'
				WHERE number = (SELECT tenure FROM `+m.name+`_prod__ledger.active)`)
			require.NoError(m.t, err)
		}
	})
	workflows.RegisterWorkflows(env)
	require.NoError(m.t, workflows.RegisterActivities(env, conduct.ControlQueue, m.control))
	require.NoError(m.t, workflows.RegisterActivities(env, conduct.BuildQueue, m.build))
	return env
}

// identified gives each workflow a run ID of its own, as a server does: effects are told apart by it.
type identified struct {
	interceptor.WorkerInterceptorBase
	run string
}

func (i *identified) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	return &inbound{WorkflowInboundInterceptorBase: interceptor.WorkflowInboundInterceptorBase{Next: next}, run: i.run}
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	run string
}

func (i *inbound) Init(out interceptor.WorkflowOutboundInterceptor) error {
	return i.Next.Init(&outbound{WorkflowOutboundInterceptorBase: interceptor.WorkflowOutboundInterceptorBase{Next: out}, run: i.run})
}

type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	run string
}

func (o *outbound) GetInfo(ctx workflow.Context) *workflow.Info {
	info := *o.Next.GetInfo(ctx)
	info.FirstRunID = o.run
	return &info
}

func (m *month) status(env *testsuite.TestWorkflowEnvironment) workflows.Status {
	m.t.Helper()
	require.True(m.t, env.IsWorkflowCompleted())
	if env.GetWorkflowError() != nil {
		return m.now(env)
	}
	var s workflows.Status
	require.NoError(m.t, env.GetWorkflowResult(&s))
	return s
}

func (m *month) now(env *testsuite.TestWorkflowEnvironment) workflows.Status {
	m.t.Helper()
	var s workflows.Status
	answer, err := env.QueryWorkflow(workflows.StatusQuery)
	require.NoError(m.t, err)
	require.NoError(m.t, answer.Get(&s))
	return s
}

// open is the question that a deployment asks.
func (m *month) open(env *testsuite.TestWorkflowEnvironment) gate.Gate {
	m.t.Helper()
	gates := m.now(env).Gates
	i := slices.IndexFunc(gates, func(g gate.Gate) bool { return g.Decided == "" })
	require.GreaterOrEqual(m.t, i, 0, "nothing is asked")
	return gates[i]
}

func (m *month) last(s workflows.Status, name string) (v gate.Verdict) {
	for _, one := range s.Crossings[0].Verdicts {
		if one.Gate == name {
			v = one.Verdict
		}
	}
	return v
}

// release is what is active in prod.
func (m *month) release() (r release.Release) {
	m.t.Helper()
	require.NoError(m.t, m.db.Pool.QueryRow(m.t.Context(), `SELECT t.pipeline, t.version, t.digest FROM `+m.name+`_prod__ledger.active a
		JOIN `+m.name+`_prod__ledger.tenure t ON t.number = a.tenure`).Scan(&r.Pipeline, &r.Version, &r.Digest))
	return r
}

func (m *month) active() string { return m.release().Version }

// want is what a day's revenue is, by its file.
func (m *month) want(d int) string {
	m.t.Helper()
	body, err := os.ReadFile(filepath.Join(m.root, m.name, "data", "orders_"+string(key(d))+".csv"))
	require.NoError(m.t, err)
	sum := 0
	for _, line := range strings.Split(strings.TrimSpace(string(body)), "\n")[1:] {
		var whole, hundredths int
		_, err := fmt.Sscanf(line[strings.LastIndexByte(line, ',')+1:], "%d.%d", &whole, &hundredths)
		require.NoError(m.t, err)
		sum += 100*whole + hundredths
	}
	return fmt.Sprintf("%d.%02d", sum/100, sum%100)
}

// have is a day's revenue as readers see it.
func (m *month) have(d int) string {
	m.t.Helper()
	var sum string
	require.NoError(m.t, m.db.Pool.QueryRow(m.t.Context(), `SELECT coalesce(sum(amount), 0)::numeric(12,2)::text FROM `+m.name+`_prod.fct_orders WHERE order_date = $1::text::date`, string(key(d))).Scan(&sum))
	return sum
}
