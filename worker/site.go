package main

import (
	"context"

	"drawbridge/activities"
	"drawbridge/internal/canary"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/plan"
	"drawbridge/internal/source"
	"drawbridge/internal/warehouse"
)

// site joins the activities to a warehouse and to the files that it is loaded from.
type site struct {
	*warehouse.Warehouse
	files   source.Files
	connect source.Connect
	cfg     pipeline.Config
}

var _ activities.Warehouse = (*site)(nil)

// Observe implements activities.Observer.
func (s *site) Observe(ctx context.Context, p *pipeline.Pipeline) (plan.Observed, error) {
	headers, err := s.files.Headers(s.cfg, p)
	if err != nil {
		return plan.Observed{}, err
	}
	known, err := s.known(ctx, p)
	if err != nil {
		return plan.Observed{}, err
	}
	return s.Warehouse.Observe(ctx, known, headers)
}

// known is a pipeline with the columns of its extracts, as their sources say them.
func (s *site) known(ctx context.Context, p *pipeline.Pipeline) (*pipeline.Pipeline, error) {
	columns := map[string][]pipeline.Column{}
	for _, load := range p.Extracts() {
		said, err := s.ColumnsAt(ctx, load)
		if err != nil {
			return nil, err
		}
		columns[load.Name] = said
	}
	return p.With(columns), nil
}

// ColumnsAt implements activities.Inspector.
func (s *site) ColumnsAt(ctx context.Context, extract pipeline.Load) ([]pipeline.Column, error) {
	return s.connect.Describe(ctx, extract, s.Application())
}

// Discover implements activities.Observer.
func (s *site) Discover(ctx context.Context, p *pipeline.Pipeline) ([]partition.Key, error) {
	return s.Warehouse.Discover(ctx, p, s.open, s.connect)
}

func (s *site) open(_ context.Context, load pipeline.Load, key partition.Key) ([]source.File, error) {
	return s.files.List(s.cfg, load, key)
}

// Validate implements activities.Builder.
func (s *site) Validate(ctx context.Context, p *pipeline.Pipeline) ([]activities.Validation, error) {
	headers, err := s.files.Headers(s.cfg, p)
	if err != nil {
		return nil, err
	}
	p, err = s.known(ctx, p)
	if err != nil {
		return nil, err
	}
	findings, err := s.Warehouse.Validate(ctx, p, headers)
	lines := make([]activities.Validation, len(findings))
	for i, f := range findings {
		lines[i] = activities.Validation(f)
	}
	return lines, err
}

// Build implements activities.Builder.
func (s *site) Build(ctx context.Context, spec activities.BuildSpec, progress func(activities.Progress)) ([]activities.Built, error) {
	outputs, err := s.Warehouse.Build(ctx, s.spec(spec, progress))
	return builtOf(outputs), err
}

// BuildBatch implements activities.Builder.
func (s *site) BuildBatch(ctx context.Context, spec activities.BuildSpec, keys []partition.Key, progress func(activities.Progress)) ([]activities.Built, error) {
	outputs, err := s.Warehouse.BuildBatch(ctx, s.spec(spec, progress), keys)
	return builtOf(outputs), err
}

func (s *site) spec(spec activities.BuildSpec, progress func(activities.Progress)) warehouse.BuildSpec {
	return warehouse.BuildSpec{
		Key: spec.Key, Config: spec.Config, Tenure: spec.Tenure, Pipeline: spec.Pipeline, Release: spec.Release, Partition: spec.Partition, Outputs: spec.Outputs,
		Control: spec.Control, Twice: spec.Twice, Open: s.open, Connect: s.connect, Application: spec.Application, Moment: spec.Moment,
		Batch: spec.Batch, Once: spec.Once, Anew: spec.Anew, MaxRewrite: spec.MaxRewrite,
		Progress: func(p warehouse.Progress) { progress(told(p)) },
	}
}

func builtOf(outputs []warehouse.BuiltOutput) []activities.Built {
	built := make([]activities.Built, len(outputs))
	for i, o := range outputs {
		built[i] = activities.Built{Generation: o.Generation, From: o.From, Loaded: o.LoadedRows, Results: o.Results, Samples: o.Samples, Standing: o.Standing, Rewritten: o.Rewritten}
	}
	return built
}

// told is a build's progress as logs and heartbeats carry it.
func told(p warehouse.Progress) activities.Progress {
	out := activities.Progress{
		Stage: string(p.Stage), Done: p.Done, Output: p.Output, Load: p.Load, Partition: p.Partition,
		RowsIn: p.RowsIn, RowsOut: p.RowsOut, Bytes: p.Bytes, Seconds: p.Elapsed.Seconds(),
		Middle: !p.Done && p.Bytes > 0,
	}
	if c := p.Check; c != nil {
		out.Stage, out.Check, out.Done, out.Value, out.Limit, out.Outcome = "check", c.Name, true, c.Value, c.Threshold, string(c.Outcome)
		if c.Value == nil && c.Failing != nil {
			failing := float64(*c.Failing)
			out.Value = &failing
		}
	}
	return out
}

// Compare implements activities.Comparer.
func (s *site) Compare(ctx context.Context, in activities.Comparison) (canary.Diff, error) {
	return s.Warehouse.Compare(ctx, warehouse.Comparison(in))
}

// Rights implements activities.Inspector.
func (s *site) Rights(ctx context.Context) ([]activities.Checked, error) {
	findings, err := s.Warehouse.Rights(ctx)
	out := make([]activities.Checked, len(findings))
	for i, f := range findings {
		out[i] = activities.Checked{Subject: f.Subject, OK: f.OK, Text: f.Text, Remedy: f.Hint}
	}
	return out, err
}
