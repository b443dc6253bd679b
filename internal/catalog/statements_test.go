package catalog_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"drawbridge/internal/admission"
	"drawbridge/internal/catalog"
	"drawbridge/internal/effect"
	"drawbridge/internal/generation"
	"drawbridge/internal/release"
	"drawbridge/internal/testdb"
)

// counted is a transaction that counts what is sent on its own.
type counted struct {
	pgx.Tx
	sent int
}

func (c *counted) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	c.sent++
	return c.Tx.Exec(ctx, sql, args...)
}

func (c *counted) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	c.sent++
	return c.Tx.Query(ctx, sql, args...)
}

func (c *counted) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	c.sent++
	return c.Tx.QueryRow(ctx, sql, args...)
}

func (c *counted) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	c.sent++
	return c.Tx.SendBatch(ctx, b)
}

// Other changes of the pipeline wait for both.
func TestThePublishedLedgerIsReadAndWrittenAtOnce(t *testing.T) {
	t.Parallel()
	db := testdb.New(t)
	ledger := catalog.New(db.Schema)
	_, err := db.Pool.Exec(t.Context(), "CREATE SCHEMA "+pgx.Identifier{ledger.Schema()}.Sanitize())
	require.NoError(t, err)
	require.NoError(t, pgx.BeginFunc(t.Context(), db.Pool, func(tx pgx.Tx) error {
		if err := ledger.Migrate(t.Context(), tx); err != nil {
			return err
		}
		tenure := release.Tenure{Release: release.Release{Pipeline: "shop", Version: "1.0.0", Digest: "sha256:1"}, Kind: release.ByDeployment, Owner: "w/1"}
		if err := ledger.ReserveTenure(t.Context(), tx, &tenure); err != nil {
			return err
		}
		swaps := []generation.Swap{{Output: "t", Partition: "all", From: 0, To: 0}}
		question := admission.Question{What: admission.Publish, Release: tenure.Release, Owner: "w/1", Tenure: tenure.Number, Swaps: swaps}
		c := &counted{Tx: tx}
		facts, shared, err := ledger.FactsToStay(t.Context(), c, question)
		require.NoError(t, err)
		require.True(t, shared)
		require.Equal(t, 1, c.sent)
		require.Equal(t, tenure.Number, facts.Tenure.Number)
		require.True(t, facts.Active.None())

		require.NoError(t, ledger.Record(t.Context(), c, catalog.Change{
			Pipeline: "shop", Outputs: []string{"t"}, Tenure: tenure.Number, Activate: true,
			Key: effect.Key{Owner: "w/1", Environment: "dev", Step: "publish"}, Kind: catalog.Publish,
		}, swaps))
		require.Equal(t, 2, c.sent)
		facts, err = ledger.Facts(t.Context(), c, question)
		require.NoError(t, err)
		require.Equal(t, tenure.Number, facts.Active.Number)
		require.Equal(t, "shop", facts.Owners["t"])
		require.True(t, facts.Begun)
		return nil
	}))
}
