package warehouse

import (
	"context"
	"strings"

	"drawbridge/internal/backfill"
	"drawbridge/internal/postgres"
	"drawbridge/internal/release"
)

// ReadersOf are the pipelines of this ledger whose active releases read some outputs when they were built, but for the pipeline whose
// those are, each with what is live of it; and the releases, which know how they are cut.
func (w *Warehouse) ReadersOf(ctx context.Context, pipeline string, outputs []string) ([]backfill.Reader, []release.Tenure, error) {
	tables := make([]string, len(outputs))
	for i, o := range outputs {
		tables[i] = w.names.schema + "." + o
	}
	list, err := w.ledger.ReadersOf(ctx, w.pool, tables, pipeline)
	if err != nil {
		return nil, nil, postgres.Classify("look who reads", pipeline, err)
	}
	var readers []backfill.Reader
	var tenures []release.Tenure
	for _, r := range list {
		live, err := w.ledger.LiveOf(ctx, w.pool, r.Pipeline)
		if err != nil {
			return nil, nil, postgres.Classify("look who reads", pipeline, err)
		}
		reader := backfill.Reader{Pipeline: r.Pipeline, Live: live}
		for _, table := range r.Reads {
			reader.Reads = append(reader.Reads, strings.TrimPrefix(table, w.names.schema+"."))
		}
		readers = append(readers, reader)
		tenures = append(tenures, release.Tenure{Release: release.Release{Pipeline: r.Pipeline, Version: r.Version, Digest: r.Digest}, Config: r.Config})
	}
	return readers, tenures, nil
}

// SizeOf is how many bytes the live partitions of outputs have, about, and how many those are.
func (w *Warehouse) SizeOf(ctx context.Context, outputs []string) (bytes, partitions int64, err error) {
	bytes, partitions, err = w.ledger.SizeOf(ctx, w.pool, outputs)
	return bytes, partitions, postgres.Classify("measure", strings.Join(outputs, ", "), err)
}
