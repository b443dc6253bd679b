package warehouse_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
	"drawbridge/internal/source"
	"drawbridge/internal/testdb"
	"drawbridge/internal/warehouse"
)

const prod = "prod"

// bundle is a warehouse with the files that its runs load, and the workflow that builds and publishes there now.
type bundle struct {
	*warehouse.Warehouse
	db     *testdb.DB
	files  map[string]string // "orders_2026-01-01.csv" -> content
	keys   atomic.Int64
	owner  effect.Owner
	tenure release.Tenure
}

// setup is a warehouse of prod in which a deployment of shop@1.0.0 has begun to cross.
func setup(t *testing.T) *bundle {
	t.Helper()
	b := setupEmpty(t)
	b.cross(t, "1.0.0")
	return b
}

// setupEmpty is a warehouse in which nothing has happened.
func setupEmpty(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{db: testdb.New(t), files: map[string]string{}}
	b.Warehouse = open(t, b.db)
	require.NoError(t, b.EnsureLedger(t.Context()))
	return b
}

// cross lets a new deployment of a version begin, after the one before has left.
func (b *bundle) cross(t *testing.T, version string) {
	t.Helper()
	require.NoError(t, b.Leave(t.Context(), "shop", string(b.owner)))
	b.owner = workflow(fmt.Sprintf("deploy/shop/%d", b.keys.Add(1)))
	b.tenure = b.enter(t, b.owner, version)
}

func (b *bundle) enter(t *testing.T, owner effect.Owner, version string) release.Tenure {
	t.Helper()
	tenure, err := b.Enter(t.Context(), deployment(owner, version), anew(owner), []string{"fct_orders"}, false)
	require.NoError(t, err)
	passed(t, b.Warehouse, tenure)
	return tenure
}

// passed records that a deployment's smoke and canary have passed.
func passed(t *testing.T, w *warehouse.Warehouse, tenure release.Tenure) {
	t.Helper()
	pass := gate.Verdict{Outcome: gate.Pass}
	_, err := w.Judge(t.Context(), tenure, anew(effect.Owner(tenure.Owner)),
		admission.Verdict{Stage: admission.Smoke, Verdict: pass}, admission.Verdict{Stage: admission.Canary, Verdict: pass})
	require.NoError(t, err)
}

// deployment is the tenure that a deployment of a version wants.
func deployment(owner effect.Owner, version string) release.Tenure {
	return release.Tenure{Release: releaseOf(version), Kind: release.ByDeployment, Owner: string(owner)}
}

// workflow is the owner of the effects of the first run of a workflow.
func workflow(id string) effect.Owner {
	return effect.OwnerOf(id, uuid.NewSHA1(uuid.NameSpaceURL, []byte(id)).String())
}

// anew is the key of another effect of a workflow, in prod unless said.
func anew(owner effect.Owner, environment ...string) effect.Key {
	return effect.Key{Owner: owner, Environment: append(environment, prod)[0], Step: uuid.NewString()}
}

func open(t *testing.T, db *testdb.DB) *warehouse.Warehouse {
	t.Helper()
	w, err := warehouse.Open(t.Context(), warehouse.Options{URL: db.URL, Schema: db.Schema, Application: "drawbridge/test", MaxConns: 12})
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w
}

// key is the next effect key: each call of an effect in a test is one of its own, unless it is kept.
func (b *bundle) key() effect.Key {
	return effect.Key{Owner: b.owner, Environment: prod, Step: fmt.Sprintf("step-%d", b.keys.Add(1))}
}

// open lists the files of the bundle that a load reads, in the order of their names.
func (b *bundle) open(_ context.Context, load pipeline.Load, key partition.Key) ([]source.File, error) {
	pattern, err := load.Pattern()
	if err != nil {
		return nil, err
	}
	var files []source.File
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		if r, ok := pattern.Read(name); ok && r.In(key) {
			files = append(files, fileOf(name, r.Values, strings.NewReader(b.files[name])))
		}
	}
	if len(files) == 0 {
		return nil, fs.ErrNotExist
	}
	return files, nil
}

// only opens one file, whatever is asked for.
func only(file io.ReadCloser) warehouse.Opener {
	return func(_ context.Context, load pipeline.Load, key partition.Key) ([]source.File, error) {
		return []source.File{{Name: load.Path(key), Open: func() (io.ReadCloser, error) { return file, nil }}}, nil
	}
}

func fileOf(name string, values map[string]string, content io.Reader) source.File {
	return source.File{Name: name, Values: values, Open: func() (io.ReadCloser, error) { return io.NopCloser(content), nil }}
}

// orders writes the file of a day: n orders with this amount each.
func (b *bundle) orders(day partition.Key, n, amount int) {
	var file strings.Builder
	file.WriteString("order_id,ordered_at,channel,amount\n")
	for i := range n {
		fmt.Fprintf(&file, "%d,%s 10:00:00+00,web,%d.50\n", i+1, day, amount)
	}
	b.files["orders_"+string(day)+".csv"] = file.String()
}

func day() partition.Scheme { return partition.Scheme{By: partition.Day, Column: "order_date"} }

// shop is a small pipeline: orders of a day, loaded from a file.
func shop() *pipeline.Pipeline {
	minimum := 1.0
	return &pipeline.Pipeline{
		Name: "shop", Version: "1.0.0", Partition: day(), Config: pipeline.Config{Environment: prod},
		Loads: []pipeline.Load{{
			Name: "raw_orders", File: "orders_@partition.csv", Format: "csv",
			Columns: []pipeline.Column{{Name: "order_id", Type: "bigint"}, {Name: "ordered_at", Type: "timestamptz"}, {Name: "amount", Type: "numeric(12,2)"}},
		}},
		Outputs: []pipeline.Output{{
			Table: "fct_orders", Partition: day(), SQLFile: "sql/fct_orders.sql", Key: []string{"order_id"},
			SQL: `SELECT order_id, ordered_at::date AS order_date, channel, amount
				FROM raw_orders
				WHERE ordered_at >= @partition_start AND ordered_at < @partition_end`,
			Checks: []check.Check{
				{Name: "row_count", Kind: check.RowCount, Severity: check.Fail, Min: &minimum},
				{Name: "amount >= 0", Kind: check.Expression, Severity: check.Fail, SQL: "amount >= 0"},
			},
		}},
	}
}

func releaseOf(version string) release.Release {
	return release.Release{Pipeline: "shop", Version: version, Digest: "sha256:" + version}
}

// moment is what @now stands for in every build.
var moment = time.Date(2026, 1, 5, 6, 0, 0, 0, time.UTC)

func (b *bundle) spec(p *pipeline.Pipeline, key partition.Key) warehouse.BuildSpec {
	var outputs []string
	for _, o := range p.Outputs {
		outputs = append(outputs, o.Table)
	}
	return warehouse.BuildSpec{
		Key: b.key(), Tenure: b.tenure.Number, Pipeline: p, Release: releaseOf(p.Version), Partition: key, Outputs: outputs,
		Open: b.open, Application: "drawbridge/test/build", Moment: moment,
	}
}

// build builds one partition, and makes the table ready for it.
func (b *bundle) build(t *testing.T, p *pipeline.Pipeline, key partition.Key) warehouse.BuiltOutput {
	t.Helper()
	built, err := b.Build(t.Context(), b.spec(p, key))
	require.NoError(t, err)
	b.expand(t, p)
	return built[0]
}

// expand makes room for what was built, and returns what it changed.
func (b *bundle) expand(t *testing.T, p *pipeline.Pipeline) []string {
	t.Helper()
	ticket := b.ticket()
	ticket.Question.What = admission.Expand
	result, err := b.Expand(t.Context(), p, generation.ExpandSpec{LockBudget: 20 * time.Second}, ticket, func(time.Duration) {})
	require.NoError(t, err)
	require.True(t, result.Done, "blocked: %+v", result)
	return result.Changes
}

// ticket asks to publish swaps on behalf of the workflow that is at work, where no approval is wanted.
func (b *bundle) ticket(swaps ...generation.Swap) admission.Ticket {
	return admission.Ticket{Question: admission.Question{
		What: admission.Publish, Environment: prod, Release: b.tenure.Release, Config: b.tenure.Config, Owner: b.owner, Tenure: b.tenure.Number, Swaps: swaps,
	}}
}

// try is a publish with its ticket.
type try struct {
	generation.PublishSpec
	ticket admission.Ticket
}

// patient is a publish that waits as long as a test may, and makes its tenure the active one.
func (b *bundle) patient(swaps ...generation.Swap) try {
	return try{
		PublishSpec: generation.PublishSpec{
			Key: b.key(), Activate: true, LockBudget: 20 * time.Second, SnapshotWait: 20 * time.Second, Application: "drawbridge/test/publish",
		},
		ticket: b.ticket(swaps...),
	}
}

func (b *bundle) attempt(ctx context.Context, a try, beat func(snapshots, locks time.Duration)) (generation.PublishResult, error) {
	return b.Publish(ctx, a.PublishSpec, a.ticket, beat)
}

func beat(_, _ time.Duration) {}

// answered records what a person answered to the workflow at work, at a gate of its own.
func (b *bundle) answered(t *testing.T, who string, choice gate.Choice, about ...string) {
	t.Helper()
	name := fmt.Sprintf("gate-%d", b.keys.Add(1))
	d := gate.Decision{Gate: name, Choice: choice, By: who, Reason: "looked"}
	require.NoError(t, b.RecordAnswers(t.Context(), b.owner, b.tenure.Release, gate.Gate{
		Name: name, Requester: "ann", About: about, Answers: []gate.Answer{{Decision: d, At: time.Now()}},
	}))
}

func swap(g generation.Generation, from int64) generation.Swap {
	return generation.Swap{Output: g.Output, Partition: g.Partition, From: from, To: g.ID}
}

// publish makes a generation live, and requires that it went through.
func (b *bundle) publish(t *testing.T, swaps ...generation.Swap) generation.PublishResult {
	t.Helper()
	return b.done(t, b.patient(swaps...))
}

func (b *bundle) done(t *testing.T, a try) generation.PublishResult {
	t.Helper()
	result, err := b.attempt(t.Context(), a, beat)
	require.NoError(t, err)
	require.True(t, result.Done, "blocked: %+v", result)
	return result
}

// child is the quoted name of a generation's table.
func (b *bundle) child(id int64) string { return fmt.Sprintf("%s__data.g%d", b.db.Schema, id) }

func (b *bundle) sum(t *testing.T) string {
	t.Helper()
	var sum *string
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT sum(amount)::text FROM fct_orders`).Scan(&sum))
	if sum == nil {
		return ""
	}
	return *sum
}

func TestARunIsVisibleOnceItIsPublished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 100, 1)
	built := b.build(t, shop(), "2026-01-01")
	require.Empty(t, b.sum(t), "nothing is visible before it is published")
	require.EqualValues(t, 100, built.Generation.Rows)
	require.NotEmpty(t, built.Generation.Checksum)
	require.NotEmpty(t, built.Generation.Inputs)
	b.publish(t, swap(built.Generation, 0))
	require.Equal(t, "150.00", b.sum(t))

	observed, err := b.Observe(t.Context(), shop(), header())
	require.NoError(t, err)
	require.Equal(t, generation.Managed, observed.Outputs[0].Kind)
	require.Len(t, observed.Outputs[0].Live, 1)
	require.Equal(t, built.Generation.ID, observed.Outputs[0].Live[0].ID)
	require.Equal(t, "numeric(12,2)", observed.Outputs[0].Candidate[3].Type)
}
