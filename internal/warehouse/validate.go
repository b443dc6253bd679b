package warehouse

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// Finding is one thing that was looked at. Text holds the author's own names and fixtures, never data.
type Finding struct {
	Subject string `json:"subject"`
	OK      bool   `json:"ok"`
	Text    string `json:"text,omitempty"`
	Hint    string `json:"hint,omitempty"`
}

// Validate prepares every SELECT, check and watch check against this server, holds columns against the tables that are
// there, and runs the unit tests, all in transactions that are rolled back. What is wrong with the pipeline is a finding;
// an error is only what kept it from looking.
func (w *Warehouse) Validate(ctx context.Context, p *pipeline.Pipeline, h Headers) ([]Finding, error) {
	var findings []Finding
	err := w.pool.Apart(ctx, w.pool.Application(), func(author *postgres.Session) (err error) {
		v := &validation{w: w, conn: author.Conn, p: p, headers: h, columns: map[string][]generation.Column{}}
		findings, err = v.all(ctx)
		return err
	})
	return findings, postgres.Classify("validate", p.Name, err)
}

// all looks at everything.
func (v *validation) all(ctx context.Context) ([]Finding, error) {
	p := v.p
	for _, o := range p.Outputs {
		if err := v.look(ctx, o.Table+": SELECT", func(tx pgx.Tx) (string, error) { return v.selects(ctx, tx, o) }); err != nil {
			return nil, err
		}
	}
	for _, o := range p.Outputs {
		if v.columns[o.Table] == nil {
			continue // its SELECT is a finding already, and nothing can be prepared on it
		}
		for _, c := range o.Checks {
			if err := v.look(ctx, o.Table+": check "+c.Name, func(tx pgx.Tx) (string, error) { return "", v.check(ctx, tx, o, c) }); err != nil {
				return nil, err
			}
		}
	}
	for _, m := range p.Watch.Checks {
		if err := v.look(ctx, "watch: "+m.Name, func(tx pgx.Tx) (string, error) { return "", v.metric(ctx, tx, m) }); err != nil {
			return nil, err
		}
	}
	for _, t := range p.Tests {
		if err := v.look(ctx, t.File+": "+t.Name, func(tx pgx.Tx) (string, error) { return "", v.test(ctx, tx, t) }); err != nil {
			return nil, err
		}
	}
	return v.findings, nil
}

// validation is one Validate.
type validation struct {
	w        *Warehouse
	conn     *pgx.Conn // the authors'
	p        *pipeline.Pipeline
	headers  Headers
	columns  map[string][]generation.Column // of outputs whose SELECT is right
	findings []Finding
}

// look runs f in a rolled-back transaction; its fault is a finding.
func (v *validation) look(ctx context.Context, subject string, f func(pgx.Tx) (text string, err error)) error {
	finding := Finding{Subject: subject, OK: true}
	err := rolledBack(ctx, v.conn, func(tx pgx.Tx) (err error) {
		finding.Text, err = f(tx)
		return err
	})
	err = postgres.Classify("validate", subject, err)
	if broken, ok := errors.AsType[*fault.Error](err); ok {
		finding.OK, finding.Text, finding.Hint = false, broken.Error(), fault.HintOf(err)
		err = nil
	}
	v.findings = append(v.findings, finding)
	return err
}

// selects prepares an output's SELECT and holds its columns against the table.
func (v *validation) selects(ctx context.Context, tx pgx.Tx, o pipeline.Output) (string, error) {
	found, err := v.w.findParent(ctx, v.w.pool, o.Table)
	if err != nil {
		return "", err
	}
	if found.Kind == generation.Plain {
		return "", plainTable(o.Table, v.w.names.schema)
	}
	if err := createLoads(ctx, tx, v.p, v.headers); err != nil {
		return "", err
	}
	columns, err := v.w.describeOutput(ctx, tx.Conn(), v.p.Loads, o)
	if err != nil {
		return "", err
	}
	fresh, err := newColumns(o, found.Columns, columns)
	if err != nil {
		return "", err
	}
	v.columns[o.Table] = columns
	if found.Kind == generation.Managed && len(fresh) > 0 {
		return fmt.Sprintf("%d columns, of which the table lacks %d", len(columns), len(fresh)), nil
	}
	return fmt.Sprintf("%d columns", len(columns)), nil
}

// check prepares one check on a relation of the output's columns.
func (v *validation) check(ctx context.Context, tx pgx.Tx, o pipeline.Output, c check.Check) error {
	if err := v.createOutputs(ctx, tx); err != nil {
		return err
	}
	compiled, err := check.Compile("pg_temp."+postgres.Ident(o.Table), checkColumns(v.columns[o.Table]), []check.Check{c.At(time.Now())}, check.Options{})
	if err != nil {
		return err
	}
	for _, s := range compiled.Statements {
		if _, err := tx.Conn().PgConn().Prepare(ctx, "", s.SQL, nil); err != nil {
			return err
		}
	}
	return nil
}

// metric prepares one watch check. Outputs stand there with the columns that the release gives them.
func (v *validation) metric(ctx context.Context, tx pgx.Tx, m check.Metric) error {
	statement, err := check.CompileMetric(m.At(time.Now()))
	if err != nil {
		return err
	}
	if err := v.createOutputs(ctx, tx); err != nil {
		return err
	}
	_, err = tx.Conn().PgConn().Prepare(ctx, "", statement.SQL, nil)
	return err
}

// createOutputs creates an empty temporary table for each output whose columns are known; it hides the published one.
func (v *validation) createOutputs(ctx context.Context, tx pgx.Tx) error {
	for _, o := range v.p.Outputs {
		if columns := v.columns[o.Table]; columns != nil {
			if _, err := tx.Exec(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (%s)", postgres.Ident(o.Table), columnList(columns))); err != nil {
				return err
			}
		}
	}
	return nil
}

// test runs one unit test: given rows in, expected rows out, compared as multisets on the listed columns.
func (v *validation) test(ctx context.Context, tx pgx.Tx, t pipeline.UnitTest) error {
	if err := v.given(ctx, tx, t); err != nil {
		return err
	}
	var differences []string
	for _, o := range v.p.Outputs {
		rows, ok := t.Expect[o.Table]
		if !ok {
			continue
		}
		difference, err := v.expect(ctx, tx, t, o, rows)
		if err != nil {
			return err
		}
		if difference != "" {
			differences = append(differences, difference)
		}
	}
	if len(differences) == 0 {
		return nil
	}
	return fault.Newf(fault.Refused, "test", t.Name, "correct the SQL, or the expectation in "+t.File, strings.Join(differences, "; "))
}
