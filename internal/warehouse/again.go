package warehouse

import (
	"context"
	"time"

	"drawbridge/internal/catalog"
	"drawbridge/internal/check"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// again builds an output a second time from the same loaded rows, in the same session and in transactions of its own, under the key
// that the first's Again is. Both checksums are in the ledger before the first is built. Where they are the same the second is
// dropped at once; a difference is kept for who says in what.
func (b *build) again(ctx context.Context, o pipeline.Output, first catalog.Generation, candidate []generation.Column) (err error) {
	began := time.Now()
	defer func() { b.started = b.started.Add(time.Since(began)) }() // it is none of the first's time
	second, err := b.entry(o, b.spec.Partition, b.spec.Key.Again())
	if err != nil {
		return err
	}
	second.Control, second.Inputs, second.Loaded = true, first.Inputs, first.Loaded
	one := []catalog.Generation{second}
	if err := b.enter(ctx, one); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			b.abandon(ctx, one, err)
		}
	}()
	g := &one[0]
	g.Mode, g.Kept, g.Batch = first.Mode, first.Kept, first.Batch
	if err := b.createChild(ctx, o, g, candidate); err != nil {
		return err
	}
	if err := b.fill(ctx, o, g, candidate); err != nil {
		return err
	}
	o.Checks = nil // the first's audit says what they find
	if _, err := b.audit(ctx, o, g); err != nil {
		return err
	}
	if err := b.finish(ctx, []*catalog.Generation{g}, [][]check.Result{nil}); err != nil {
		return err
	}
	if g.Rows != first.Rows || g.Checksum != first.Checksum {
		return nil
	}
	return postgres.Classify("drop", childName(g.ID), b.w.discard(ctx, g.ID, "built again, only to be compared: the same rows"))
}
