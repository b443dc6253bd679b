package warehouse_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/check"
	"drawbridge/internal/effect"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/model"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/release"
	"drawbridge/internal/source"
	"drawbridge/internal/turnback"
	"drawbridge/internal/warehouse"
)

// TestTheTablesEqualTheModel lets sampled traces of the model happen on a real Postgres. After every step what is live of each
// output and partition, what hangs in the tables, the active tenures, the fences, the crossings and the open turn-backs are
// those of the model, and an effect is admitted where the model admits it. DRAWBRIDGE_SOAK=1 replays ten times as many.
func TestTheTablesEqualTheModel(t *testing.T) {
	t.Parallel()
	traces := uint64(20)
	if os.Getenv("DRAWBRIDGE_SOAK") == "1" {
		traces *= 10
	}
	for seed := range traces {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			r := newReplay(t, seed%3 == 2)
			lived := (seed + 1) % 3 // releases that were deployed before
			w := r.deployed(t, int(lived), seed%2 == 1)
			for i, step := range model.Trace(w, seed, 30) {
				r.happens(t, &w, step, fmt.Sprintf("seed %d, step %d", seed, i))
				w = step.World
			}
		})
	}
}

// replay is a real warehouse to which happens what happens in a model.
type replay struct {
	*bundle
	tenures   map[int64]int64 // of the model → of the ledger
	built     map[int64]warehouse.BuiltOutput
	published map[string]try  // by flow and step: once it has happened, a retry has the same key
	roomy     map[string]bool // releases whose tables are there
	gone      [model.Partitions]bool
}

func newReplay(t *testing.T, sourceless bool) *replay {
	t.Helper()
	b := setupEmpty(t)
	for _, key := range model.Keys {
		b.orders(key, 2, 1)
	}
	return &replay{
		bundle: b, tenures: map[int64]int64{0: 0}, built: map[int64]warehouse.BuiltOutput{}, published: map[string]try{},
		roomy: map[string]bool{}, gone: [model.Partitions]bool{model.Partitions - 1: sourceless},
	}
}

// deployed lets so many releases of each pipeline be deployed, and returns the world from which a trace begins.
func (r *replay) deployed(t *testing.T, releases int, steps bool) model.World {
	t.Helper()
	w := model.New(model.Bounds{Pipelines: model.Pipelines, Flows: releases*model.Pipelines + 6, Faults: 3, Sourceless: r.gone, Steps: steps})
	next := func(o model.Op) {
		after, refused := w.Next(o)
		require.NoError(t, refused)
		r.happens(t, &w, model.Traced{Op: o, Admitted: true, World: after}, o.String())
		w = after
	}
	for p := range model.Pipelines {
		for n := range releases {
			next(model.Op{What: model.Start, Kind: model.Deploy, Pipeline: p, Release: n})
			for flow := len(w.Flows) - 1; w.Flows[flow].Step != model.StepOver; {
				next(model.Op{What: model.Do, Flow: flow})
			}
		}
	}
	return w
}

// happens lets one step happen, and holds what came of it to the model.
func (r *replay) happens(t *testing.T, before *model.World, step model.Traced, where string) {
	t.Helper()
	where = fmt.Sprintf("%s: %s", where, step.Op)
	switch o := step.Op; o.What {
	case model.Start, model.Cancel, model.Kill: // the ledger hears of none
	case model.Drop:
		r.drop(t, model.Version(o.Pipeline, 0).Pipeline)
	case model.Do, model.Lose, model.Zombie:
		f, after := before.Flows[o.Flow], step.World.Flows[o.Flow]
		where += " " + f.Step.String()
		err := r.effect(t, before, f, after, step.World)
		if err != nil {
			require.NotEmpty(t, fault.ClassOf(err), "%s: %v", where, err)
		}
		require.Equal(t, step.Admitted, err == nil, "%s: %v", where, err)
	}
	r.equals(t, &step.World, where)
}

// errMoved is a publish that found something else live.
var errMoved = fault.Newf(fault.Conflict, "publish", "partitions", "build again", "they have moved")

// effect is the effect of a flow's present step, as the activities have it.
func (r *replay) effect(t *testing.T, before *model.World, f, after model.Flow, w model.World) error {
	t.Helper()
	ctx, owner, pipeline := t.Context(), workflow(f.Owner), model.Version(f.Pipeline, 0).Pipeline
	switch f.Step {
	case model.StepEnter:
		want := release.Tenure{Release: model.Version(f.Pipeline, f.Release), Kind: release.ByDeployment, Owner: string(owner)}
		if f.Kind == model.Run {
			want.Kind = release.ByRun
		}
		got, err := r.Enter(ctx, want, anew(effect.Owner(want.Owner)), tables(f.Pipeline, want.Release.Version), false)
		if err == nil {
			r.same(t, after.Tenure, got.Number)
		}
		if err == nil && got.Owner == want.Owner && want.Kind == release.ByDeployment {
			passed(t, r.Warehouse, got)
		}
		return err
	case model.StepBuild:
		return r.builds(t, f, w.Tenures[f.Tenure-1].Release)
	case model.StepPublish:
		if f.Kind == model.Run {
			return r.publishes(t, before, f, []int{f.Part}, !before.Tenures[f.Tenure-1].Activated)
		}
		if !before.Bounds.Steps {
			return r.publishes(t, before, f, []int{0, 1, 2}, true)
		}
		return r.publishes(t, before, f, model.Group(0), false)
	case model.StepPublishRest:
		return r.publishes(t, before, f, model.Group(1), true)
	case model.StepAttest:
		return r.Admit(ctx, r.question(before, f, admission.Attest))
	case model.StepLeave:
		return r.Leave(ctx, pipeline, string(owner))
	case model.StepOpen:
		return r.opens(t, f, after)
	case model.StepBack:
		if !before.Bounds.Steps {
			return r.turns(t, before, f, []int{0, 1, 2})
		}
		return r.turns(t, before, f, model.Group(0))
	case model.StepBackRest:
		return r.turns(t, before, f, model.Group(1))
	case model.StepEnd:
		return r.ends(t, f, w)
	case model.StepOver:
	}
	return nil
}

// same takes a tenure of the ledger for one of the model, the first time, and holds it to that afterwards.
func (r *replay) same(t *testing.T, modelled, real int64) {
	t.Helper()
	if have, known := r.tenures[modelled]; known {
		require.Equal(t, have, real, "tenure %d", modelled)
		return
	}
	r.tenures[modelled] = real
}

// builds builds every partition of a flow, all outputs together.
func (r *replay) builds(t *testing.T, f model.Flow, of release.Release) error {
	t.Helper()
	parts := []int{0, 1, 2}
	if f.Kind == model.Run {
		parts = []int{f.Part}
	}
	for _, part := range parts {
		spec := r.small(f, of, part, tables(f.Pipeline, of.Version))
		spec.Key.Step, spec.Key.Round, spec.Tenure = "build", f.Round, r.tenures[f.Tenure]
		built, err := r.Build(t.Context(), spec)
		if err != nil {
			return err
		}
		for o, one := range built {
			r.built[f.Built(f.Round, part, o)] = one
		}
	}
	return nil
}

// small builds one partition of some outputs of a release. What has lost its file is built by deployments and runs, which came
// before the loss, and by no turn-back.
func (r *replay) small(f model.Flow, of release.Release, part int, outputs []string) warehouse.BuildSpec {
	turning := f.Step != model.StepBuild
	return warehouse.BuildSpec{
		Key:      effect.Key{Owner: workflow(f.Owner), Environment: prod, Partition: model.Keys[part]},
		Pipeline: pipelineOf(f.Pipeline, of.Version), Release: of, Partition: model.Keys[part], Outputs: outputs,
		Application: "drawbridge/test/build", Moment: moment,
		Open: func(ctx context.Context, load pipeline.Load, key partition.Key) ([]source.File, error) {
			if turning && r.gone[part] {
				return nil, fs.ErrNotExist
			}
			return r.open(ctx, load, key)
		},
	}
}

func (r *replay) question(w *model.World, f model.Flow, what admission.What) admission.Ticket {
	return admission.Ticket{Question: admission.Question{
		What: what, Environment: prod, Release: w.Tenures[f.Tenure-1].Release, Owner: workflow(f.Owner), Tenure: r.tenures[f.Tenure],
	}}
}

// publishes swaps what a flow has built of some partitions, all outputs in one transaction.
func (r *replay) publishes(t *testing.T, before *model.World, f model.Flow, parts []int, activate bool) error {
	t.Helper()
	step := fmt.Sprintf("%s/%s", f.Owner, f.Step)
	a, again := r.published[step]
	if !again {
		of := before.Tenures[f.Tenure-1].Release
		a = try{PublishSpec: patience(), ticket: r.question(before, f, admission.Publish)}
		a.Key = effect.Key{Owner: workflow(f.Owner), Environment: prod, Step: f.Step.String(), Round: f.Round}
		a.Activate = activate
		for _, part := range parts {
			for o := range tables(f.Pipeline, of.Version) {
				one := r.built[f.Built(f.Round, part, o)]
				a.ticket.Question.Swaps = append(a.ticket.Question.Swaps, swap(one.Generation, one.From))
			}
		}
		if err := r.makesRoom(t, f, a.ticket); err != nil {
			return err
		}
	}
	err := r.goesThrough(t, a)
	if err == nil {
		r.published[step] = a
	}
	return err
}

// makesRoom makes the tables of a release, once.
func (r *replay) makesRoom(t *testing.T, f model.Flow, ticket admission.Ticket) error {
	t.Helper()
	of := ticket.Question.Release
	if r.roomy[of.String()] {
		return nil
	}
	ticket.Question.What, ticket.Question.Swaps, ticket.Question.Outputs = admission.Expand, nil, tables(f.Pipeline, of.Version)
	result, err := r.Expand(t.Context(), pipelineOf(f.Pipeline, of.Version), generation.ExpandSpec{LockBudget: 20 * time.Second}, ticket, func(time.Duration) {})
	if err != nil {
		return err
	}
	require.True(t, result.Done, "%+v", result)
	r.roomy[of.String()] = true
	return nil
}

func patience() generation.PublishSpec {
	return generation.PublishSpec{LockBudget: time.Minute, SnapshotWait: time.Minute, Application: "drawbridge/test/publish"}
}

// goesThrough is a publish that nobody holds up.
func (r *replay) goesThrough(t *testing.T, a try) error {
	t.Helper()
	result, err := r.attempt(t.Context(), a, beat)
	if err == nil && len(result.Moved) > 0 {
		return errMoved
	}
	if err == nil {
		require.True(t, result.Done, "%+v", result)
	}
	return err
}

// opens opens a turn-back, or goes on with the open one.
func (r *replay) opens(t *testing.T, f, after model.Flow) error {
	t.Helper()
	pipeline := model.Version(f.Pipeline, 0).Pipeline
	person := turnback.Request{Pipeline: pipeline, ByPerson: true, By: "ann", Reason: "amounts doubled"}
	requests := []turnback.Request{person}
	switch f.Kind {
	case model.Deploy:
		requests[0] = turnback.Request{Pipeline: pipeline, Owner: string(workflow(f.Owner)), By: "deploy", Reason: "its watch was breached"}
	case model.Recover: // of the two that a recovery makes, one finds something
		requests = append(requests, person)
		requests[0].Resume, requests[1].Workflow = true, workflow(f.Of).Workflow()
	case model.Rollback:
		number, err := strconv.ParseInt(f.To, 10, 64)
		if requests[0].Resume = err != nil; err == nil {
			requests[0].To = strconv.FormatInt(r.tenures[number], 10)
		}
	case model.Run: // turns nothing back
	}
	for _, req := range requests {
		b, ok, err := r.BeginTurnBack(t.Context(), req, anew(workflow(f.Owner)))
		if err != nil {
			return err
		}
		if ok {
			r.same(t, after.Back, b.Tenure.Number)
			return nil
		}
		if b.Tenure.Number != 0 {
			return fault.Newf(fault.Conflict, "turn back", pipeline, "", "somebody else turns it back")
		}
	}
	require.Zero(t, after.Back, "there was something to turn back")
	return nil
}

// turns turns some partitions back, in one transaction, after it has built again what has to be.
func (r *replay) turns(t *testing.T, before *model.World, f model.Flow, parts []int) error {
	t.Helper()
	b, has, err := r.openBack(t, before, f)
	if err != nil {
		return err
	}
	l := before.Ledgers[f.Pipeline]
	a := try{PublishSpec: patience(), ticket: admission.Ticket{Question: admission.Question{
		What: admission.Publish, Environment: prod, Release: b.Tenure.Release, Config: b.Tenure.Config, Owner: workflow(f.Owner),
		Tenure: b.Tenure.Number, TurnBack: true,
	}}}
	a.Key = effect.Key{Owner: workflow(f.Owner), Environment: prod, Step: f.Step.String(), Round: int(r.keys.Add(1))}
	for _, part := range parts {
		d, err := r.DecidePartition(t.Context(), b, has, model.Keys[part])
		require.NoError(t, err)
		var again []string
		for _, it := range d.Items {
			switch it.Action {
			case turnback.Rebuild:
				again = append(again, it.Output)
			case turnback.SwapBack, turnback.Detach:
				a.ticket.Question.Swaps = append(a.ticket.Question.Swaps, generation.Swap{Output: it.Output, Partition: d.Partition, From: it.From, To: it.To})
			case turnback.Keep, turnback.Leave:
			}
		}
		if len(again) == 0 {
			continue
		}
		spec := r.small(f, b.Tenure.Release, part, again)
		spec.Key.Step, spec.Key.Round, spec.Tenure = "rebuild", a.Key.Round, b.Tenure.Number
		built, err := r.Build(t.Context(), spec)
		if r.gone[part] {
			require.Error(t, err, "its file is gone")
			continue
		}
		require.NoError(t, err)
		for _, one := range built {
			o := slices.Index(tables(f.Pipeline, "1.0.0"), one.Generation.Output)
			r.built[f.Built(l.Rebuilds(), part, o)] = one
			a.ticket.Question.Swaps = append(a.ticket.Question.Swaps, swap(one.Generation, one.From))
		}
	}
	if len(a.ticket.Question.Swaps) == 0 {
		return nil
	}
	return r.goesThrough(t, a)
}

// openBack reads the turn-back that a flow carries out, as every activity does first; has are the outputs of its release.
func (r *replay) openBack(t *testing.T, before *model.World, f model.Flow) (turnback.TurnBack, []turnback.Output, error) {
	t.Helper()
	b, err := r.TurnBack(t.Context(), r.tenures[f.Back])
	require.NoError(t, err)
	if b.State != turnback.Open {
		return b, nil, fault.Newf(fault.Conflict, "turn back", "", "start it again", "it has ended")
	}
	if err := b.DrivenBy(workflow(f.Owner)); err != nil {
		return b, nil, err
	}
	if of := before.Tenures[f.Back-1].Release; of.Digest != "" {
		var has []turnback.Output
		for _, table := range tables(f.Pipeline, of.Version) {
			has = append(has, turnback.Output{Table: table})
		}
		return b, has, nil
	}
	return b, nil, nil
}

// ends closes a turn-back as the model says it ended; one that stays open is not closed.
func (r *replay) ends(t *testing.T, f model.Flow, w model.World) error {
	t.Helper()
	b, err := r.TurnBack(t.Context(), r.tenures[f.Back])
	require.NoError(t, err)
	if b.State != turnback.Open {
		return fault.Newf(fault.Conflict, "end turn-back", "", "start it again", "it has ended")
	}
	if err := b.DrivenBy(workflow(f.Owner)); err != nil { // also where it was stopped, and ends nothing
		return err
	}
	for _, back := range w.Ledgers[f.Pipeline].Backs {
		if back.Tenure == f.Back && back.State != turnback.Open {
			return r.EndTurnBack(t.Context(), b.Tenure.Number, back.State, anew(workflow(f.Owner)))
		}
	}
	return nil
}

// drop makes everything that is retired of a pipeline as old as housekeeping wants it, and keeps house.
func (r *replay) drop(t *testing.T, pipeline string) {
	t.Helper()
	r.db.Exec(t, `UPDATE `+r.db.Schema+`__ledger.generation SET at = now() - interval '30 days' WHERE state = 'retired' AND pipeline = $1`, pipeline)
	require.NoError(t, r.Housekeep(t.Context(), 24*time.Hour))
}

// tables are the outputs of a release.
func tables(p int, version string) (names []string) {
	for o := range model.Outputs {
		if model.Has(version, o) {
			names = append(names, model.Table(p, o))
		}
	}
	return names
}

// pipelineOf is a release of the model: its outputs are the rows of its file.
func pipelineOf(p int, version string) *pipeline.Pipeline {
	of := shop()
	of.Name, of.Version = model.Version(p, 0).Pipeline, version
	template := of.Outputs[0]
	of.Outputs = nil
	for _, table := range tables(p, version) {
		o := template
		o.Table, o.Checks = table, []check.Check{template.Checks[0]}
		of.Outputs = append(of.Outputs, o)
	}
	return of
}

// equals holds the tables to the model.
func (r *replay) equals(t *testing.T, w *model.World, where string) {
	t.Helper()
	ledger := r.db.Schema + "__ledger"
	want, fences := []string{}, []string{}
	generationOf := func(id int64) int64 { return r.built[id].Generation.ID }
	for p := range w.Bounds.Pipelines {
		l, name := w.Ledgers[p], model.Version(p, 0).Pipeline
		for part, key := range model.Keys {
			for o := range model.Outputs {
				if live := l.Slots[part][o].Live; live != 0 {
					id := generationOf(live)
					want = append(want, fmt.Sprintf("live %s %s %d", model.Table(p, o), key, id), fmt.Sprintf("attached %s g%d", model.Table(p, o), id))
				}
			}
		}
		if l.Active != 0 {
			want = append(want, fmt.Sprintf("active %s %d", name, r.tenures[l.Active]))
		}
		if l.Crossing != "" {
			want = append(want, fmt.Sprintf("crossing %s %s", name, workflow(l.Crossing)))
		}
		for _, b := range l.Backs {
			if b.State == turnback.Open {
				want = append(want, fmt.Sprintf("open %s %d", name, r.tenures[b.Tenure]))
			}
		}
		for _, owner := range l.Fenced {
			fences = append(fences, fmt.Sprintf("fence %s", workflow(owner)))
		}
	}
	want = append(want, fences...)
	rows, err := r.db.Pool.Query(t.Context(), `
		SELECT format('live %s %s %s', output, partition, generation) FROM `+ledger+`.live WHERE generation IS NOT NULL
		UNION ALL
		SELECT format('attached %s %s', p.relname, c.relname)
		FROM pg_class c
		JOIN pg_class p ON p.oid = pg_partition_root(c.oid)
		WHERE p.relnamespace = to_regnamespace($1) AND c.relispartition AND c.relkind = 'r'
		UNION ALL
		SELECT format('active %s %s', pipeline, tenure) FROM `+ledger+`.active
		UNION ALL
		SELECT format('crossing %s %s', pipeline, owner) FROM `+ledger+`.crossing
		UNION ALL
		SELECT format('open %s %s', pipeline, tenure) FROM `+ledger+`.turn_back WHERE state = 'open'
		UNION ALL
		SELECT format('fence %s', owner) FROM `+ledger+`.fence`, r.db.Schema)
	require.NoError(t, err)
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	slices.Sort(want)
	slices.Sort(have)
	require.Equal(t, want, have, where)
}
