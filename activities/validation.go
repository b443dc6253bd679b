package activities

import (
	"context"
	"errors"
	"io/fs"

	"drawbridge/internal/fault"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/strictyaml"
)

// Validation is one thing that validate looked at. Text holds the author's own names and fixtures, never data.
type Validation struct {
	Subject string `json:"subject"` // fct_orders: columns, tests/totals.yaml: totals are summed
	OK      bool   `json:"ok"`
	Text    string `json:"text,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// ValidateResult lists all that was looked at.
type ValidateResult struct {
	Lines []Validation `json:"lines"`
}

// Failures counts the lines that are not right.
func (r ValidateResult) Failures() int {
	n := 0
	for _, l := range r.Lines {
		if !l.OK {
			n++
		}
	}
	return n
}

// ValidateRelease prepares every SELECT against the environment, compares its columns with the parents', and runs the
// unit tests in transactions that are rolled back. Where the data says which partitions there are, it is loaded. It changes
// nothing, and may be repeated.
func (a *Builds) ValidateRelease(ctx context.Context, t Target) (ValidateResult, error) {
	p, w, err := a.Site.open(ctx, t)
	if err != nil {
		return ValidateResult{}, a.Site.atOnce(err)
	}
	return a.validate(ctx, p, w)
}

// ValidateSourceInput names a folder's source blob.
type ValidateSourceInput struct {
	Target Target `json:"target"` // its release may be empty
	Source string `json:"source"`
}

// ValidateSource is ValidateRelease for a folder that is not a release yet.
func (a *Builds) ValidateSource(ctx context.Context, in ValidateSourceInput) (ValidateResult, error) {
	if in.Target.Environment != a.Site.Environment {
		_, err := a.Site.Pipeline(ctx, in.Target)
		return ValidateResult{}, err
	}
	files, err := a.Site.Store.Source(ctx, in.Source)
	if err != nil {
		return ValidateResult{}, err
	}
	p, err := a.Site.parse(ctx, files, in.Target.Config)
	if err != nil {
		if problems, ok := problemsOf(err); ok {
			return ValidateResult{Lines: problems}, nil
		}
		return ValidateResult{}, err
	}
	w, err := a.Site.warehouse(ctx, p.Config)
	if err != nil {
		return ValidateResult{}, a.Site.atOnce(err)
	}
	return a.validate(ctx, p, w)
}

// validate looks at a pipeline here, and at its source files: rows that are in no partition make it wrong, and files that no
// load reads are said.
func (a *Builds) validate(ctx context.Context, p *pipeline.Pipeline, w Warehouse) (ValidateResult, error) {
	_, stop := pulse(ctx, partition.AllKey)
	defer stop()
	lines, err := w.Validate(ctx, p)
	if err != nil {
		return ValidateResult{Lines: lines}, a.Site.atOnce(err)
	}
	found, err := a.Site.buildable(ctx, p, w)
	switch broken, ok := errors.AsType[*fault.Error](err); {
	case errors.Is(err, fs.ErrNotExist): // a pipeline may be right before its first file is there
	case ok:
		lines = append(lines, Validation{Subject: "sources", Text: broken.Error(), Hint: fault.HintOf(err)})
	case err != nil:
		return ValidateResult{Lines: lines}, a.Site.atOnce(err)
	}
	for _, problem := range found.Problems(p.Partition) {
		lines = append(lines, Validation{Subject: problem.Object, OK: true, Text: problem.Text, Hint: problem.Remedy})
	}
	return ValidateResult{Lines: lines}, nil
}

// problemsOf turns the parser's problems into lines, so that they are shown with the rest and not as one error.
func problemsOf(err error) ([]Validation, bool) {
	problems, ok := strictyaml.ProblemsOf(err)
	if !ok {
		return nil, false
	}
	lines := make([]Validation, len(problems))
	for i, p := range problems {
		lines[i] = Validation{Subject: p.Position(), Text: p.Text(), Hint: p.Hint}
	}
	return lines, fault.ClassOf(err) == fault.Invalid
}
