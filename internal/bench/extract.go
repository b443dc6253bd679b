package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
	"drawbridge/internal/source"
	"drawbridge/internal/warehouse"
)

const (
	extractRows  = 1_000_000
	extractPairs = 5
)

// extractFigure compares what an extract takes until its rows can be read (session, columns, COPY, digest) with a pipe of two psql, one
// of which copies the same SELECT out and the other into an unlogged table.
func extractFigure() figure {
	return figure{
		name: "extract_vs_copy_pipe",
		numbers: []number{
			{name: "extract_vs_copy_pipe", bound: bound{atLeast, 0.85}},
			{name: "extract_vs_copy_pipe_psql"},
			{name: "extract_mrows_s", better: higher},
			{name: "copy_pipe_mrows_s"},
		},
		measure: func(ctx context.Context, b *bench) error {
			return onSite(ctx, b, func(ctx context.Context, s *site) error { return measureExtract(ctx, b, s) })
		},
	}
}

func measureExtract(ctx context.Context, b *bench, s *site) error {
	if _, err := s.db.Exec(ctx, fmt.Sprintf(`
		CREATE TABLE %[1]s AS
		SELECT i AS order_id, '2026-01-01T00:00:00Z'::timestamptz + i * interval '86 milliseconds' AS ordered_at,
		       (ARRAY['web', 'app', 'store', 'partner'])[i %% 4 + 1] AS channel, i * 7919 %% 200000 AS customer_id, (i %% 50000 / 100.0)::numeric(12,2) AS amount, 'EUR' AS currency
		FROM generate_series(1::bigint, %[2]d) AS i;
		CREATE INDEX ON %[1]s (ordered_at)`, s.name("source"), extractRows)); err != nil {
		return fmt.Errorf("make the rows to read: %w", err)
	}
	if _, err := s.db.Exec(ctx, "VACUUM ANALYZE "+s.name("source")); err != nil {
		return fmt.Errorf("make the rows to read: %w", err)
	}
	pool, err := postgres.Open(ctx, postgres.Options{URL: b.url, Object: "source", Application: "drawbridge/bench"})
	if err != nil {
		return err
	}
	defer pool.Close()
	client, err := newPipeClient(s)
	if err != nil {
		return err
	}
	b.put("extract_vs_copy_pipe_psql", 0)
	if client.psql {
		b.put("extract_vs_copy_pipe_psql", 1)
	}
	b.say("compared with %s", client.name)
	race := extractRace{site: s, client: client, connect: func(ctx context.Context, _, application string, f func(*postgres.Session) error) error {
		return pool.In("source", s.Schema()).Apart(ctx, application, f)
	}}
	var pipes, extracts sample
	var ratios []float64
	for pair := range extractPairs + 1 {
		piped, err := race.pipe(ctx)
		if err != nil {
			return err
		}
		extracted, err := race.extract(ctx)
		if err != nil {
			return err
		}
		if pair == 0 {
			continue // it warms up
		}
		pipes, extracts = append(pipes, piped), append(extracts, extracted)
		ratios = append(ratios, piped.Seconds()/extracted.Seconds())
	}
	b.put("extract_vs_copy_pipe", median(ratios))
	b.because("extract_vs_copy_pipe", "medians of %d pairs: pipe %.2f s, extract %.2f s", extractPairs, pipes.median().Seconds(), extracts.median().Seconds())
	b.put("extract_mrows_s", extractRows/extracts.median().Seconds()/1e6)
	b.put("copy_pipe_mrows_s", extractRows/pipes.median().Seconds()/1e6)
	return nil
}

// extractRace runs both sides by turns.
type extractRace struct {
	site    *site
	client  pipeClient
	connect source.Connect
}

// extract builds a partition from an extract, and returns what its load took.
func (r *extractRace) extract(ctx context.Context) (time.Duration, error) {
	p := *r.site.pipeline
	p.Loads = []pipeline.Load{{Name: p.Loads[0].Name, File: "sql/source.sql at source", Extract: &pipeline.Extract{
		From: "source", SQLFile: "sql/source.sql", SQL: "SELECT * FROM source WHERE ordered_at >= @partition_start AND ordered_at < @partition_end", Timeout: time.Hour,
	}}}
	var took time.Duration
	var rows int64
	_, err := r.site.Build(ctx, warehouse.BuildSpec{
		Key: r.site.effect(), Tenure: r.site.tenure.Number, Pipeline: &p, Release: r.site.tenure.Release, Partition: dayKey(firstDay()), Outputs: p.Tables(),
		Connect: r.connect, Application: "drawbridge/bench/extract", Moment: time.Now(), Progress: func(p warehouse.Progress) {
			if p.Done && p.Stage == warehouse.StageLoad {
				took, rows = p.Elapsed, p.RowsOut
			}
		},
	})
	if err == nil && rows != extractRows {
		err = fmt.Errorf("%d rows came over, of %d", rows, extractRows)
	}
	return took, err
}

// pipe copies the same rows into a new unlogged table.
func (r *extractRace) pipe(ctx context.Context) (time.Duration, error) {
	s := r.site
	if _, err := s.db.Exec(ctx, fmt.Sprintf("DROP TABLE IF EXISTS %[1]s; CREATE UNLOGGED TABLE %[1]s (LIKE %[2]s)", s.name("piped"), s.name("source"))); err != nil {
		return 0, fmt.Errorf("create the table to copy into: %w", err)
	}
	passed := clock()
	err := r.client.pipe(ctx, fmt.Sprintf("COPY (SELECT * FROM %s WHERE ordered_at >= '2026-01-01' AND ordered_at < '2026-01-02T00:00:00Z') TO STDOUT", s.name("source")),
		"COPY "+s.name("piped")+" FROM STDIN")
	return passed(), err
}

// pipeClient copies what one statement gives into what another takes, in the fastest way that a user has without Drawbridge.
type pipeClient struct {
	name string
	psql bool
	pipe func(ctx context.Context, from, into string) error
}

// newPipeClient is a pipe of two psql, or of two sessions of the driver where there is no psql.
func newPipeClient(s *site) (pipeClient, error) {
	program, _ := exec.LookPath("psql")
	if program == "" {
		return pipeClient{name: "a pipe of the pgx driver's COPY, as there is no psql", pipe: s.rawPipe}, nil
	}
	environment, err := psqlEnvironment(s.url)
	if err != nil {
		return pipeClient{}, err
	}
	return pipeClient{name: "a pipe of two psql", psql: true, pipe: func(ctx context.Context, from, into string) error {
		return psqlPipe(ctx, program, environment, from, into)
	}}, nil
}

func psqlPipe(ctx context.Context, program string, environment []string, from, into string) error {
	out := exec.CommandContext(ctx, program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", from)
	in := exec.CommandContext(ctx, program, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", into)
	out.Env, in.Env = environment, environment
	var outErr, inErr strings.Builder
	out.Stderr, in.Stderr = &outErr, &inErr
	rows, err := out.StdoutPipe()
	if err != nil {
		return err
	}
	in.Stdin = rows // a file: the two are joined by the system, as in a shell
	if err := errors.Join(out.Start(), in.Start()); err != nil {
		return fmt.Errorf("run psql: %w", err)
	}
	if err := errors.Join(in.Wait(), out.Wait()); err != nil {
		return fmt.Errorf("run psql: %w: %s", err, strings.TrimSpace(outErr.String()+inErr.String()))
	}
	return nil
}

func (s *site) rawPipe(ctx context.Context, from, into string) error {
	there, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer func(conn *pgx.Conn) { _ = conn.Close(context.WithoutCancel(ctx)) }(there)
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := there.PgConn().CopyTo(ctx, writer, from)
		_ = writer.CloseWithError(err)
		ended <- err
	}()
	_, err = s.db.PgConn().CopyFrom(ctx, reader, into)
	_ = reader.CloseWithError(io.ErrClosedPipe)
	return errors.Join(err, <-ended)
}
