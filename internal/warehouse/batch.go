package warehouse

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/partition"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

// BuildBatch is Build of neighbouring partitions, in order, by one statement for each output: who asks knows that the SELECTs give
// for a range what they give for its partitions one by one. Each partition has the generations and the effect keys that it would
// have by itself, so that a batch may be built again, or its partitions one by one, and nothing is built twice. All of it is built
// or nothing is. The outputs are in the order of the partitions, then of the spec.
func (w *Warehouse) BuildBatch(ctx context.Context, spec BuildSpec, keys []partition.Key) ([]BuiltOutput, error) {
	outputs, err := spec.outputs()
	if err != nil {
		return nil, err
	}
	of := func(key partition.Key) BuildSpec {
		one := spec
		one.Partition, one.Key.Partition = key, key
		return one
	}
	var left []partition.Key
	done := map[partition.Key][]BuiltOutput{}
	for _, key := range keys {
		if done[key], err = w.alreadyBuilt(ctx, of(key), outputs); err != nil {
			return nil, err
		}
		if done[key] == nil {
			left = append(left, key)
		}
	}
	if len(left) > 0 {
		if err := spec.neighbours(left); err != nil {
			return nil, err
		}
		author, lost := w.author(ctx, spec, outputs)
		if lost != nil {
			return nil, lost
		}
		err = w.pool.ApartAside(ctx, spec.Application, author, func(author *postgres.Session) error {
			return w.pool.Pinned(ctx, spec.Application, func(conn *pgx.Conn) error {
				b := &build{w: w, conn: conn, author: author, spec: spec, fence: newFence(), started: time.Now(), staged: map[string]staged{}}
				return b.runBatch(ctx, outputs, left, done)
			})
		})
	}
	var built []BuiltOutput
	for _, key := range keys {
		built = append(built, done[key]...)
	}
	return built, postgres.Classify("build", spec.object(), err)
}

// neighbours refuses partitions of which one statement could not be bound to a range.
func (s BuildSpec) neighbours(keys []partition.Key) error {
	for i, key := range keys[1:] {
		if next, err := s.Pipeline.Partition.Next(keys[i]); err != nil || next != key {
			return fault.Newf(fault.Invalid, "build", s.Pipeline.Name, "build them one by one", fmt.Sprintf("%s is not the partition after %s", key, keys[i]))
		}
	}
	return nil
}

// runBatch builds partitions, and notes what it has built of each.
func (b *build) runBatch(ctx context.Context, outputs []pipeline.Output, keys []partition.Key, done map[partition.Key][]BuiltOutput) (err error) {
	var all []catalog.Generation
	for _, o := range outputs {
		for _, key := range keys {
			under := b.spec.Key
			under.Partition = key
			g, err := b.entry(o, key, under)
			if err != nil {
				return err
			}
			all = append(all, g)
		}
	}
	if err := b.enter(ctx, all); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			b.abandonBatch(ctx, all, err)
		}
	}()
	for _, load := range b.loads(outputs) {
		if b.staged[load.Name], err = b.land(ctx, load); err != nil {
			return err
		}
	}
	for i, o := range outputs {
		generations := make([]*catalog.Generation, len(keys))
		for k := range keys {
			generations[k] = &all[i*len(keys)+k]
		}
		built, err := b.outputBatch(ctx, o, generations)
		if err != nil {
			return err
		}
		for k, key := range keys {
			done[key] = append(done[key], built[k])
		}
	}
	return nil
}

// abandonBatch is abandon for generations that may hang in the parent through which they were filled.
func (b *build) abandonBatch(ctx context.Context, generations []catalog.Generation, cause error) {
	b.abandon(ctx, generations, cause)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), postgres.CancelGrace)
	defer cancel()
	_ = b.w.dropBuildParents(ctx) // else housekeeping does
}

// outputBatch builds and audits one output of all partitions.
func (b *build) outputBatch(ctx context.Context, o pipeline.Output, generations []*catalog.Generation) ([]BuiltOutput, error) {
	inputs, err := b.inputs(ctx, o)
	if err != nil {
		return nil, err
	}
	var loaded int64
	for _, load := range o.Loads(b.spec.Pipeline.Loads) {
		loaded += b.staged[load.Name].rows
	}
	for _, g := range generations {
		g.Inputs, g.Loaded = inputs, loaded
	}
	candidate, err := b.w.describeOutput(ctx, b.author.Conn, b.spec.Pipeline.Loads, o)
	if err != nil {
		return nil, postgres.Classify("build", o.Table, err)
	}
	rows, err := b.fillBatch(ctx, o, generations, candidate)
	if err != nil {
		return nil, err
	}
	results, err := b.auditAll(ctx, o, generations, rows/int64(len(generations)))
	if err != nil {
		return nil, err
	}
	if err := b.across(ctx, o, generations, results); err != nil {
		return nil, err
	}
	for i := range results {
		results[i] = append(results[i], b.rejects(o)...)
	}
	if err := b.finish(ctx, generations, results); err != nil {
		return nil, err
	}
	built := make([]BuiltOutput, len(generations))
	for i, g := range generations {
		built[i] = b.w.builtOutput(*g, results[i])
	}
	return built, nil
}

// fillBatch fills the children of all partitions by one statement, and returns how many rows it gave. The author's session inserts
// into a parent of their own, which has to be there before: whoever writes the SQL may create nothing in this schema. It is gone
// when the children are proved and indexed; housekeeping takes one whose build was stopped.
func (b *build) fillBatch(ctx context.Context, o pipeline.Output, generations []*catalog.Generation, candidate []generation.Column) (rows int64, err error) {
	first, last := generations[0], generations[len(generations)-1]
	object := o.Table + " " + spanOf(generations)
	tell := func(stage Stage, done bool, started time.Time) {
		p := Progress{Stage: stage, Done: done, Output: o.Table, Partition: partition.Key(spanOf(generations)), RowsIn: first.Loaded}
		if done {
			p.RowsOut, p.Elapsed = rows, time.Since(started)
		}
		b.progress(p)
	}
	parent, rest := b.w.names.buildParent(first.ID), b.w.names.buildRest(first.ID)
	err = pgx.BeginTxFunc(ctx, b.conn, provisional(), func(tx pgx.Tx) error {
		if err := b.createChildren(ctx, tx, o, generations, candidate); err != nil {
			return err
		}
		// What is NULL or out of bounds is to fall into the rest and be counted, so the parent demands nothing.
		ddl := []string{fmt.Sprintf("CREATE TABLE %s (LIKE %s) PARTITION BY RANGE (%s)", parent, b.w.names.child(first.ID), postgres.Ident(o.Partition.Column))}
		for _, g := range generations {
			ddl = append(ddl, b.w.proof(o, *g), fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s %s", parent, b.w.names.child(g.ID), forValues(*g)))
		}
		ddl = append(ddl, fmt.Sprintf("CREATE TABLE %s PARTITION OF %s DEFAULT", rest, parent))
		if author := b.w.pool.Author; author != "" {
			ddl = append(ddl, fmt.Sprintf("GRANT INSERT ON %s TO %s", parent, postgres.Ident(author)))
		}
		return together(ctx, tx, ddl)
	})
	if err != nil {
		return 0, postgres.Classify("create children of", object, err)
	}
	started := time.Now()
	tell(StageTransform, false, started)
	if rows, err = b.insert(ctx, o, parent, "", partition.Bounds{Lower: first.Lower, Upper: last.Upper}, candidate); err != nil {
		return 0, err
	}
	tell(StageTransform, true, started)
	started = time.Now()
	tell(StageIndex, false, started)
	err = pgx.BeginTxFunc(ctx, b.conn, provisional(), func(tx pgx.Tx) error {
		var lost int64
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM "+rest).Scan(&lost); err != nil {
			return err
		}
		if lost > 0 {
			return fault.Newf(fault.Invalid, "build", object, o.SQLFile+" must leave such rows out",
				fmt.Sprintf("%d of %d rows are in none of the partitions that were asked for", lost, rows))
		}
		ddl := []string{"SET LOCAL maintenance_work_mem = " + postgres.Literal(buildMemory)}
		for _, g := range generations {
			ddl = append(ddl, fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s", parent, b.w.names.child(g.ID)))
			if author := b.w.pool.Author; author != "" {
				ddl = append(ddl, fmt.Sprintf("REVOKE INSERT ON %s FROM %s", b.w.names.child(g.ID), postgres.Ident(author)))
			}
		}
		ddl = append(ddl, "DROP TABLE "+parent)
		for _, g := range generations {
			ddl = append(ddl, b.w.indexes(o, *g)...)
		}
		if err := together(ctx, tx, ddl); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT pg_current_xact_id()::text`).Scan(&first.BuiltXID)
	})
	if err != nil {
		return 0, postgres.Classify("build", object, err)
	}
	tell(StageIndex, true, started)
	if first.Older, first.ListedAt, err = b.w.pool.Older(ctx, first.BuiltXID); err != nil {
		return 0, postgres.Classify("list older snapshots for", object, err)
	}
	children := make([]string, len(generations))
	for i, g := range generations {
		g.BuiltXID, g.Older, g.ListedAt = first.BuiltXID, first.Older, first.ListedAt
		children[i] = b.w.names.child(g.ID)
	}
	_, err = b.conn.Exec(ctx, "VACUUM (ANALYZE) "+strings.Join(children, ", "))
	return rows, postgres.Classify("vacuum", object, err)
}

// BatchProof reads what a release was seen to give for a range, and how many partitions a batch may have.
func (w *Warehouse) BatchProof(ctx context.Context, digest, config string) (generation.BatchProof, error) {
	proof, err := w.ledger.BatchProof(ctx, w.pool, digest, config)
	if err == nil {
		var slots int64
		slots, err = w.pool.LockSlots(ctx)
		proof.Most = generation.MostInBatch(slots)
	}
	return proof, postgres.Classify("look at batches of", w.names.schema, err)
}

// RecordBatchProof writes what a release was seen to give for a range, once: what is there already stays.
func (w *Warehouse) RecordBatchProof(ctx context.Context, digest, config string, proof generation.BatchProof) error {
	return postgres.Classify("record batches of", w.names.schema, w.ledger.RecordBatchProof(ctx, w.pool, digest, config, proof))
}

// Discard gives up generations that never went live, and says why. Of those that have gone on since nothing is taken.
func (w *Warehouse) Discard(ctx context.Context, why string, ids ...int64) error {
	for _, id := range ids {
		if err := w.discard(ctx, id, why); err != nil {
			return postgres.Classify("drop", childName(id), err)
		}
	}
	return nil
}

// spanOf names the partitions of generations, which are neighbours.
func spanOf(generations []*catalog.Generation) string {
	first, last := generations[0].Partition, generations[len(generations)-1].Partition
	if first == last {
		return string(first)
	}
	return string(first) + ".." + string(last)
}

// dropBuildParents drops the parents of batches that are not built any more, once their children are gone.
func (w *Warehouse) dropBuildParents(ctx context.Context) error {
	ids, err := w.buildParents(ctx)
	if err != nil || len(ids) == 0 {
		return err
	}
	building, err := w.ledger.StillBuilding(ctx, w.pool, ids)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if slices.Contains(building, id) {
			continue
		}
		err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "DROP TABLE IF EXISTS "+w.names.buildParent(id)+" RESTRICT")
			return err
		})
		if err != nil {
			return postgres.Classify("drop", buildParentName(id), err)
		}
	}
	return nil
}

// buildParents are the parents of batches that nothing but their rest hangs in: by the generation that they are called after.
func (w *Warehouse) buildParents(ctx context.Context) ([]int64, error) {
	rows, err := w.pool.Query(ctx, `
		SELECT substr(c.relname, 2)::bigint AS id
		FROM pg_class c
		WHERE c.relnamespace = to_regnamespace($1) AND c.relkind = 'p' AND c.relname ~ '^b[0-9]+$'
		  AND NOT EXISTS (
		        SELECT
		        FROM pg_inherits i
		        JOIN pg_class child ON child.oid = i.inhrelid
		        WHERE i.inhparent = c.oid AND child.relname <> c.relname || '_rest')
		ORDER BY id`, postgres.Ident(w.names.data()))
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
