package warehouse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"drawbridge/internal/catalog"
	"drawbridge/internal/fault"
	"drawbridge/internal/generation"
	"drawbridge/internal/pipeline"
	"drawbridge/internal/postgres"
)

const (
	// batchTable holds the rows of a SELECT until they are merged, and batchDeletes says which of them take their key away. No load and
	// no column of an author can be called so.
	batchTable   = `pg_temp."drawbridge batch"`
	batchDeletes = "drawbridge deletes"
)

// mode is how the rows of this build meet those that are live.
func (b *build) mode() pipeline.WriteMode { return b.spec.Pipeline.Config.WriteMode }

// keeps sets what a generation is built over and what it adds, where rows that are live stay. An append whose batch is live already
// adds nothing.
func (b *build) keeps(ctx context.Context, o pipeline.Output, g *catalog.Generation) error {
	if !b.mode().Keeps() {
		return nil
	}
	g.Mode = string(b.mode())
	if !b.spec.Anew {
		g.Kept = g.Baseline
	}
	name, err := b.batch(o)
	if err != nil {
		return err
	}
	added, err := b.added(ctx, g.Kept, name)
	if err == nil && added == 0 {
		g.Batch = name
	}
	return err
}

// batch names what a build adds to an output: as was asked for its partition, or after the files that it is made of. An output that is
// one partition beside others is made of all of its files with each of them.
func (b *build) batch(o pipeline.Output) (string, error) {
	loads := o.Loads(b.spec.Pipeline.Loads)
	if b.spec.Batch != "" && (o.Partition.By == b.spec.Pipeline.Partition.By || len(loads) == 0) {
		return b.spec.Batch, nil
	}
	if len(loads) == 0 {
		if b.mode() == pipeline.Merge {
			return "", nil // the same rows twice are the same rows
		}
		return "", fault.Newf(fault.Invalid, "append to", o.Table, "name the batch: drawbridge run PIPELINE --env ENV --partition P --batch NAME; or read a load",
			o.SQLFile+" reads no load whose file would tell one batch from another")
	}
	digest := sha256.New()
	for _, load := range loads {
		fmt.Fprintf(digest, "%s %s\n", load.Name, b.staged[load.Name].digest)
	}
	return pipeline.FileBatch + hex.EncodeToString(digest.Sum(nil))[:16], nil
}

// added is the generation under a live one that has appended a batch; 0: none has.
func (b *build) added(ctx context.Context, kept int64, batch string) (int64, error) {
	if kept == 0 || b.mode() != pipeline.Append {
		return 0, nil
	}
	added, err := b.w.ledger.Added(ctx, b.conn, kept, batch)
	return added, postgres.Classify("look for", "batch "+batch, err)
}

// standing are the outputs as they are live, where all that a run would append to them is there already; none where something is not.
func (b *build) standing(ctx context.Context, outputs []pipeline.Output, generations []catalog.Generation) ([]BuiltOutput, error) {
	if !b.spec.Once || b.mode() != pipeline.Append {
		return nil, nil
	}
	stand := make([]BuiltOutput, len(outputs))
	for i, o := range outputs {
		name, err := b.batch(o)
		if err != nil {
			return nil, err
		}
		live := generations[i].Baseline
		added, err := b.added(ctx, live, name)
		if err != nil || added == 0 {
			return nil, err
		}
		g, err := b.w.ledger.Generation(ctx, b.conn, live)
		if err != nil {
			return nil, postgres.Classify("look at", childName(live), err)
		}
		stand[i] = BuiltOutput{Generation: g.Plan(), From: live, Standing: name}
	}
	for _, g := range generations {
		if err := b.w.discard(ctx, g.ID, "its batch is live already"); err != nil {
			return nil, err
		}
	}
	return stand, nil
}

// write brings the rows of an output into its child, and those that are live and stay. It returns how many there are.
func (b *build) write(ctx context.Context, o pipeline.Output, g *catalog.Generation, candidate []generation.Column) (int64, error) {
	child := b.w.names.child(g.ID)
	b.reads = nil // of the output before
	if !b.mode().Keeps() {
		return b.insert(ctx, o, child, "", g.Partition, g.Bounds(), candidate)
	}
	live, err := b.live(ctx, o, g)
	if err != nil {
		return 0, err
	}
	if b.mode() == pipeline.Merge && (o.VersionColumn != "" || o.DeleteWhen != "") {
		return b.merge(ctx, o, *g, live, candidate)
	}
	var rows int64
	if b.mode() == pipeline.Merge || g.Batch != "" {
		if rows, err = b.insert(ctx, o, child, "", g.Partition, g.Bounds(), candidate); err != nil {
			return 0, err
		}
	}
	if g.Kept == 0 {
		return rows, nil
	}
	kept := fmt.Sprintf("INSERT INTO %s (%s)\nSELECT %[2]s\nFROM %s l", child, postgres.Idents(live), b.w.names.child(g.Kept))
	if b.mode() == pipeline.Merge {
		kept += fmt.Sprintf("\nWHERE NOT EXISTS (SELECT FROM %s b WHERE %s)", child, sameKey(o))
	}
	err = pgx.BeginTxFunc(ctx, b.conn, provisional(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL work_mem = "+postgres.Literal(buildMemory)); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, kept)
		rows += tag.RowsAffected()
		return err
	})
	return rows, postgres.Classify("keep the rows of", childName(g.Kept), err)
}

// live are the columns that rows of the live generation bring along: those that the child has too. It notes how many bytes that is, and
// refuses more than the environment allows.
func (b *build) live(ctx context.Context, o pipeline.Output, g *catalog.Generation) ([]string, error) {
	if g.Kept == 0 {
		return nil, nil
	}
	kept, err := b.w.ledger.Generation(ctx, b.conn, g.Kept)
	if err != nil {
		return nil, postgres.Classify("look at", childName(g.Kept), err)
	}
	var size int64
	var columns []generation.Column
	err = pgx.BeginFunc(ctx, b.conn, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, `SELECT coalesce(pg_total_relation_size(to_regclass($1)), 0)`, b.w.names.child(g.Kept)).Scan(&size); err != nil {
			return err
		}
		columns, err = columnsOf(ctx, tx, kept.Child)
		return err
	})
	if err != nil {
		return nil, postgres.Classify("look at", childName(g.Kept), err)
	}
	if why, remedy := generation.TooLarge(size, b.spec.MaxRewrite); why != "" {
		return nil, fault.Newf(fault.Refused, string(b.mode()), o.Table+" "+string(g.Partition), remedy, why)
	}
	g.Rewritten = size
	var shared []string
	for _, c := range columns {
		if slices.ContainsFunc(g.Columns, func(has generation.Column) bool { return has.Name == c.Name }) {
			shared = append(shared, c.Name)
		}
	}
	for _, name := range o.Key {
		if b.mode() == pipeline.Merge && !slices.Contains(shared, name) {
			return nil, fault.Newf(fault.Refused, "merge into", o.Table+" "+string(g.Partition), "leave "+name+" out of the key, or build the partition again where write_mode is replace",
				"the rows that are live have no column "+name+", which the key names")
		}
	}
	return shared, nil
}

// sameKey is the condition that a live row l and a row b of the batch have the same key.
func sameKey(o pipeline.Output) string {
	all := make([]string, len(o.Key))
	for i, name := range o.Key {
		all[i] = fmt.Sprintf("b.%[1]s = l.%[1]s", postgres.Ident(name))
	}
	return strings.Join(all, " AND ")
}

// merge brings the newest row of each key into a child, where versions or deletes say which that is. The batch stands aside meanwhile,
// in its author's session: what is deleted, and what is older than what is live, never comes into the child.
func (b *build) merge(ctx context.Context, o pipeline.Output, g catalog.Generation, live []string, candidate []generation.Column) (rows int64, err error) {
	deletes := generation.Column{Name: batchDeletes, Type: "boolean"}
	if err := b.authors(ctx, fmt.Sprintf("CREATE TEMP TABLE %s (%s)", strings.TrimPrefix(batchTable, "pg_temp."), columnList(append(slices.Clone(candidate), deletes)))); err != nil {
		return 0, postgres.Classify("merge", o.Table, err)
	}
	when := o.DeleteWhen
	if when == "" {
		when = "false"
	}
	if g.Rows, err = b.insert(ctx, o, batchTable, when, g.Partition, g.Bounds(), candidate); err != nil {
		return 0, err
	}
	if g.Kept != 0 {
		if err := b.w.showAuthor(ctx, g.Kept); err != nil {
			return 0, postgres.Classify("merge", o.Table, err)
		}
	}
	var astray bool
	err = pgx.BeginTxFunc(ctx, b.author, provisional(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL work_mem = "+postgres.Literal(buildMemory)); err != nil {
			return err
		}
		if err := b.w.unfit(ctx, tx, o, g, batchTable); err != nil {
			astray = fault.ClassOf(err) == fault.Invalid
			return err
		}
		if err := b.ambiguous(ctx, tx, o, g); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, b.merging(o, g, live, candidate))
		rows = tag.RowsAffected()
		return err
	})
	if astray {
		if err := b.astray(ctx, o, g, batchTable); err != nil {
			return 0, postgres.Classify("merge", o.Table+" "+string(g.Partition), err)
		}
	}
	if err != nil {
		return 0, postgres.Classify("merge", o.Table+" "+string(g.Partition), err)
	}
	return rows, postgres.Classify("merge", o.Table, b.authors(ctx, "DROP TABLE "+batchTable))
}

// authors runs a statement of ours in the author's session.
func (b *build) authors(ctx context.Context, statement string) error {
	_, err := b.author.Exec(ctx, statement)
	return err
}

// ambiguous refuses a batch in which no row of a key is the newest.
func (b *build) ambiguous(ctx context.Context, tx pgx.Tx, o pipeline.Output, g catalog.Generation) error {
	key, from, why := postgres.Idents(o.Key), batchTable, "and no version_column says which of its rows is newer"
	if v := o.VersionColumn; v != "" {
		from = fmt.Sprintf("(SELECT *, rank() OVER (PARTITION BY %s ORDER BY %s DESC NULLS LAST) AS \"drawbridge rank\" FROM %s) AS ranked WHERE \"drawbridge rank\" = 1",
			key, postgres.Ident(v), batchTable)
		why = "with the same " + v
	}
	var keys, rows int64
	if err := tx.QueryRow(ctx, fmt.Sprintf(`
		SELECT count(*), coalesce(sum(copies), 0)::bigint
		FROM (SELECT count(*) AS copies FROM %s GROUP BY %s HAVING count(*) > 1) AS repeated`, from, key)).Scan(&keys, &rows); err != nil || keys == 0 {
		return err
	}
	return fault.Newf(fault.Invalid, "merge", o.Table+" "+string(g.Partition), "make the SELECT return one row a key, or name a version_column in which its rows differ",
		fmt.Sprintf("the key (%s) repeats in the batch, %s: distinct values %d, rows %d", strings.Join(o.Key, ", "), why, keys, rows))
}

// merging is the statement that fills a child with the newest row of each key: of what is live, and of the batch.
func (b *build) merging(o pipeline.Output, g catalog.Generation, live []string, candidate []generation.Column) string {
	key, version := postgres.Idents(o.Key), postgres.Ident(o.VersionColumn)
	newest := "SELECT * FROM " + batchTable
	if o.VersionColumn != "" {
		newest = fmt.Sprintf("SELECT DISTINCT ON (%[1]s) * FROM %[2]s ORDER BY %[1]s, %[3]s DESC NULLS LAST", key, batchTable, version)
	}
	var into, fromLive, fromBatch []string
	for _, c := range g.Columns {
		inLive := slices.Contains(live, c.Name)
		inBatch := slices.ContainsFunc(candidate, func(has generation.Column) bool { return has.Name == c.Name })
		if !inLive && !inBatch {
			continue
		}
		name := postgres.Ident(c.Name)
		into = append(into, name)
		of := func(has bool, alias string) string {
			if has {
				return alias + "." + name
			}
			return "NULL::" + c.Type
		}
		fromLive, fromBatch = append(fromLive, of(inLive, "l")), append(fromBatch, of(inBatch, "b"))
	}
	statement := fmt.Sprintf("WITH newest AS (%s)\nINSERT INTO %s (%s)\nSELECT %s\nFROM newest b\nWHERE NOT b.%s",
		newest, b.w.names.child(g.ID), strings.Join(into, ", "), strings.Join(fromBatch, ", "), postgres.Ident(batchDeletes))
	if g.Kept == 0 {
		return statement
	}
	older := "false" // a row of the batch is older than the live one
	if slices.Contains(live, o.VersionColumn) {
		older = fmt.Sprintf("((l.%[1]s > b.%[1]s) IS TRUE OR b.%[1]s IS NULL AND l.%[1]s IS NOT NULL)", version)
		statement += fmt.Sprintf("\n  AND NOT EXISTS (SELECT FROM %s l WHERE %s AND %s)", b.w.names.child(g.Kept), sameKey(o), older)
	}
	return statement + fmt.Sprintf("\nUNION ALL\nSELECT %s\nFROM %s l\nWHERE NOT EXISTS (SELECT FROM newest b WHERE %s AND NOT %s)",
		strings.Join(fromLive, ", "), b.w.names.child(g.Kept), sameKey(o), older)
}

// Pending are the batches of a pipeline that were live, were taken away by turning back, and are not live again.
func (w *Warehouse) Pending(ctx context.Context, of string) ([]generation.Batch, error) {
	outputs, err := w.ledger.OutputsOf(ctx, w.pool, of)
	if err != nil {
		return nil, postgres.Classify("look at", w.names.schema, err)
	}
	pending, err := w.ledger.Pending(ctx, w.pool, outputs)
	return pending, postgres.Classify("look at", w.names.schema, err)
}
