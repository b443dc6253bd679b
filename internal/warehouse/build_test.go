package warehouse_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/check"
	"drawbridge/internal/fault"
	"drawbridge/internal/gate"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/warehouse"
)

func TestABuildUnderTheSameKeyIsTheSameGeneration(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	spec := b.spec(shop(), "2026-01-01")
	first, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	b.orders("2026-01-01", 20, 2) // a retry must not notice that the source moved
	second, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, first[0].Generation.ID, second[0].Generation.ID)
	require.Equal(t, first[0].Generation.Checksum, second[0].Generation.Checksum)
	require.ElementsMatch(t, first[0].Results, second[0].Results)
	require.Equal(t, 1, b.children(t))

	spec.Key = b.key()
	third, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	require.NotEqual(t, first[0].Generation.ID, third[0].Generation.ID)
	require.NotEqual(t, first[0].Generation.Inputs, third[0].Generation.Inputs, "other inputs have another digest")
}

// A check that reads @now can be judged again years later only where its moment is known.
func TestTheLedgerKeepsTheMomentOfABuild(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	built, err := b.Build(t.Context(), b.spec(shop(), "2026-01-01"))
	require.NoError(t, err)
	var kept time.Time
	require.NoError(t, b.db.Pool.QueryRow(t.Context(),
		`SELECT moment FROM `+b.db.Schema+`__ledger.generation WHERE id = $1`, built[0].Generation.ID).Scan(&kept))
	require.True(t, moment.Equal(kept), kept)
}

// stalled is a file that stops after its header until it is closed: a worker that was stopped in the middle of a load.
type stalled struct {
	head    io.Reader
	reached chan struct{}
	resume  chan struct{}
	rest    io.Reader
}

func (s *stalled) Read(p []byte) (int, error) {
	if n, err := s.head.Read(p); err == nil {
		return n, nil
	}
	if s.reached != nil {
		close(s.reached)
		s.reached = nil
		<-s.resume
	}
	return s.rest.Read(p)
}

func (s *stalled) Close() error { return nil }

func TestALaterAttemptEndsAStoppedOne(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	head, rest, _ := strings.Cut(b.files["orders_2026-01-01.csv"], "\n")
	file := &stalled{head: strings.NewReader(head + "\n"), rest: strings.NewReader(rest), reached: make(chan struct{}), resume: make(chan struct{})}
	reached := file.reached
	spec := b.spec(shop(), "2026-01-01")
	stopped := spec
	stopped.Open = only(file)
	failed := make(chan error, 1)
	go func() {
		_, err := b.Build(context.WithoutCancel(t.Context()), stopped)
		failed <- err
	}()
	<-reached
	built, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		var open int
		err := b.db.Pool.QueryRow(t.Context(), `
			SELECT count(*)
			FROM `+b.db.Schema+`__ledger.generation g
			JOIN pg_stat_activity a ON a.pid = g.backend_pid AND a.backend_start = g.backend_start
			WHERE g.state = 'rejected'`).Scan(&open)
		return err == nil && open == 0
	}, 10*time.Second, 10*time.Millisecond, "the stopped session is still there, with its snapshot")
	close(file.resume)
	require.Error(t, <-failed, "a superseded attempt has finished")

	again, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	require.Equal(t, built[0].Generation.ID, again[0].Generation.ID)
	require.Equal(t, 1, b.children(t))
	generations, err := b.Generations(t.Context(), "fct_orders", "2026-01-01")
	require.NoError(t, err)
	require.Len(t, generations, 2)
	require.Equal(t, generation.Built, generations[0].State)
	require.Contains(t, []generation.State{generation.Rejected, generation.Dropped}, generations[1].State)
}

func TestAKilledSessionLeavesARetryNothingToFear(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	spec := b.spec(shop(), "2026-01-01")
	killed := spec
	killed.Progress = func(p warehouse.Progress) {
		if p.Stage == warehouse.StageIndex && !p.Done {
			_, err := b.db.Pool.Exec(context.WithoutCancel(t.Context()), `
				SELECT pg_terminate_backend(backend_pid) FROM `+b.db.Schema+`__ledger.generation WHERE state = 'building'`)
			require.NoError(t, err)
		}
	}
	_, err := b.Build(t.Context(), killed)
	require.Error(t, err)
	require.Empty(t, fault.ClassOf(err), "a lost session is transient: %v", err)
	built, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	require.EqualValues(t, 10, built[0].Generation.Rows)
	require.Equal(t, 1, b.children(t))
}

func TestAFailedAuditIsAResultThatIsNeverPublished(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 3, -1)
	built := b.build(t, shop(), "2026-01-01")
	require.Equal(t, gate.Fail, built.Verdict.Outcome)
	require.Contains(t, built.Verdict.Reason, "amount >= 0")
	require.Contains(t, built.Samples, "__ledger")
	var samples int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), "SELECT count(*) FROM ("+built.Samples+") AS s WHERE subject = 'amount >= 0'").Scan(&samples))
	require.Equal(t, 3, samples)

	spec := b.patient(swap(built.Generation, 0))
	b.answered(t, "bob", gate.Approve, admission.AboutGeneration(built.Generation.ID))
	_, err := b.attempt(t.Context(), spec, beat)
	require.Equal(t, fault.Refused, fault.ClassOf(err), "%v", err)
	require.Empty(t, b.sum(t))
}

func TestACheckThatCannotBeEvaluatedIsInconclusiveAndAPersonMayAcceptIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 3, 1)
	p := shop()
	p.Outputs[0].Checks = append(p.Outputs[0].Checks, check.Check{Name: "broken", Kind: check.Expression, Severity: check.Fail, SQL: "1 / (amount - amount) > 0"})
	built := b.build(t, p, "2026-01-01")
	require.Equal(t, gate.Inconclusive, built.Verdict.Outcome)
	require.Contains(t, built.Verdict.Reason, "broken")
	require.NotContains(t, built.Verdict.Reason, "row_count", "the other checks keep their result")

	spec := b.patient(swap(built.Generation, 0))
	spec.ticket.Rule = gate.Approval{Required: true, Approvers: []string{"bob"}}
	spec.ticket.Question.Tenure = b.tenure.Number
	refused := func(why string) {
		t.Helper()
		_, err := b.attempt(t.Context(), spec, beat)
		require.Equal(t, fault.Refused, fault.ClassOf(err), "%s: %v", why, err)
		require.ErrorContains(t, err, "inconclusive", why)
	}
	b.done(t, b.patient()) // the tenure is active: what is left to say is about the generation
	refused("nobody was asked")
	b.answered(t, "bob", gate.Approve, admission.AboutGeneration(built.Generation.ID+1))
	refused("it is another one that was accepted")
	b.answered(t, "mallory", gate.Approve, admission.AboutGeneration(built.Generation.ID))
	refused("who accepted it may not, by the environment's rule")
	b.answered(t, "bob", gate.Reject, admission.AboutGeneration(built.Generation.ID))
	refused("it was rejected")
	b.answered(t, "bob", gate.Approve, admission.AboutGeneration(built.Generation.ID))
	b.done(t, spec)
}

func TestHistoryIsWhatWasLiveAndNotTakenBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	limit := 0.5
	p := shop()
	p.Outputs[0].Checks = []check.Check{{Name: "row_count", Kind: check.RowCount, Severity: check.Fail, VsHistory: &limit, Min: new(float64)}}
	for _, day := range []partition.Key{"2026-01-01", "2026-01-02", "2026-01-03"} {
		b.orders(day, 100, 1)
		b.publish(t, swap(b.build(t, p, day).Generation, 0))
	}
	b.orders("2026-01-04", 10, 1)
	built := b.build(t, p, "2026-01-04")
	require.Equal(t, gate.Fail, built.Verdict.Outcome, "%+v", built.Results)
	require.Contains(t, built.Verdict.Reason, "differs by 90")
}

func TestOutputsOfOneRunAreBuiltTogetherOrNotAtAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 10, 1)
	p := shop()
	p.Outputs = append(p.Outputs, pipeline.Output{
		Table: "dim_channel", Partition: partition.Scheme{By: partition.All}, SQLFile: "sql/dim_channel.sql", Key: []string{"channel"},
		SQL:    "SELECT channel, 1 / (count(*) - 10)::int AS orders FROM raw_orders GROUP BY channel",
		Checks: []check.Check{{Name: "not_null(channel)", Kind: check.NotNull, Severity: check.Fail, Columns: []string{"channel"}}},
	})
	spec := b.spec(p, "2026-01-01")
	_, err := b.Build(t.Context(), spec)
	require.Equal(t, fault.Invalid, fault.ClassOf(err), "%v", err)
	require.Zero(t, b.children(t))

	b.orders("2026-01-01", 11, 1)
	built, err := b.Build(t.Context(), spec)
	require.NoError(t, err)
	require.Len(t, built, 2)
	require.Equal(t, partition.AllKey, built[1].Generation.Partition)
	require.Equal(t, gate.Pass, built[1].Verdict.Outcome, "%+v", built[1].Results)
	b.expand(t, p)
	b.publish(t, swap(built[0].Generation, 0), swap(built[1].Generation, 0))
	var channels int
	require.NoError(t, b.db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM dim_channel`).Scan(&channels))
	require.Equal(t, 1, channels)
}

// What an output reads besides its files is what the server has seen it read: through a view, and through a function too.
func TestTheLedgerKnowsWhatAnOutputReads(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.orders("2026-01-01", 5, 1)
	b.db.Exec(t, `CREATE TABLE rates (channel text, rate numeric)`)
	b.db.Exec(t, `CREATE TABLE quotas (channel text, quota numeric)`)
	b.db.Exec(t, `CREATE VIEW rates_now AS SELECT * FROM rates`)
	b.db.Exec(t, `CREATE FUNCTION quota_of(text) RETURNS numeric STABLE LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT q.quota FROM quotas q WHERE q.channel = $1); END'`)
	known := func() (names []string) {
		rows, err := b.db.Pool.Query(t.Context(), `SELECT output || ' ' || reads FROM `+b.db.Schema+`__ledger.read_set WHERE digest = $1 ORDER BY 1`, releaseOf("1.0.0").Digest)
		require.NoError(t, err)
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return names
	}
	b.build(t, shop(), "2026-01-01")
	require.Empty(t, known(), "its files, and nothing else")
	p := shop()
	p.Outputs[0].SQL = strings.NewReplacer("channel, amount", "channel, coalesce(quota_of(channel), amount)::numeric(12,2) AS amount", "FROM raw_orders", "FROM raw_orders LEFT JOIN rates_now USING (channel)").
		Replace(p.Outputs[0].SQL)
	for range 2 { // twice is once
		b.build(t, p, "2026-01-01")
		schema := "fct_orders " + b.db.Schema
		require.Equal(t, []string{schema + ".quotas", schema + ".rates", schema + ".rates_now"}, known())
	}
}
